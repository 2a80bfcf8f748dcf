#include "tests/random/random_net.h"

#include <stdlib.h>
#include <string.h>

#include "passes/pass.h"
#include "tests/random/random_graph.h"

const double *net_leaf(void *cx, const Node *leaf) {
    RandomLeaves *r = cx;
    double       *v = random_numbers(r->arena, r->seed, leaf);
    size_t        n = leaf->op == OP_PARAM ? strlen(leaf->u.param.key) : 0;
    if (n < 2 || strcmp(leaf->u.param.key + n - 2, ".w")) return v;
    for (int64_t i = 0; i < type_count(&leaf->type); i++) v[i] /= 4;
    return v;
}

/* ---- the network in the making ------------------------------------------------------------------------------- */

enum { MOST = 40000 };                  /* multiplications of a layer */

typedef struct {
    Graph   *g;
    Arena   *a;
    uint64_t s;
    Extent   rows;
    Node    *x, *kept;                  /* the last value; one for a residual */
    int      layers, outs;
    Node    *arg[8];                    /* of the comp in the making */
    int      narg;
    Var      var[MAX_VARS];
    int      nvar;
} Net;

static int64_t any(Net *n, int64_t lo, int64_t hi) { return random_int(&n->s, lo, hi); }
static bool    chance(Net *n, int percent) { return any(n, 1, 100) <= percent; }

static int64_t any_width(Net *n, int64_t most) {
    static const int64_t W[] = {1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 20, 31, 32, 33, 48, 64, 65, 100, 129};
    int64_t count = 0;
    while (count < (int64_t)(sizeof W / sizeof *W) && W[count] <= most) count++;
    return count ? W[any(n, 0, count - 1)] : 1;
}

static void start(Net *n, int nvar, const Extent *ext) {
    static const char *const NAME[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    n->narg = 0;
    n->nvar = nvar;
    for (int i = 0; i < nvar; i++) n->var[i] = (Var){.name = NAME[i], .ext = ext[i]};
}

static const Expr *read(Net *n, Node *x, const Affine *at, bool guarded) {
    Sub sub[MAX_RANK] = {0};
    int k = 0;
    for (int i = 0; i < x->type.rank; i++) sub[i].aff = at[i];
    while (k < n->narg && n->arg[k] != x) k++;
    n->arg[k] = x;
    if (k == n->narg) n->narg++;
    return expr_read(n->a, x->type.dtype, k, x->type.rank, sub, guarded);
}

/* x at variables v[0], v[1], .. */
static const Expr *read_at(Net *n, Node *x, const int *v) {
    Affine at[MAX_RANK];
    for (int i = 0; i < x->type.rank; i++) at[i] = affine_var(v[i]);
    return read(n, x, at, false);
}

static Node *finish(Net *n, Kind kind, int nout, const Expr *e) {
    return graph_comp(n->g, kind, nout, n->nvar - nout, 0, n->var, e, n->narg, n->arg);
}

static Node *param(Net *n, const char *what, int rank, const Extent *ext) {
    return graph_param(n->g, type_of(DT_F32, rank, ext), arena_printf(n->a, "l%d.%s", n->layers, what));
}

#define E1(op, x)    expr_op1(n->a, SC_##op, x)
#define E2(op, x, y) expr_op2(n->a, SC_##op, x, y)
#define K(v)         expr_const(n->a, v)

static const int FIRST[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* ---- layers -------------------------------------------------------------------------------------------------- */

/* A window over an image axis. */
typedef struct {
    int64_t size, stride, pad, dilation, out;
} Window;

/* The same on an axis of `in` elements; out is 0 where it does not fit. */
static Window over(Window w, int64_t in) {
    int64_t reach = w.dilation * (w.size - 1) + 1;
    w.out = in + 2 * w.pad < reach ? 0 : (in + 2 * w.pad - reach) / w.stride + 1;
    return w;
}

static Window any_window(Net *n, int64_t in, int64_t least, int64_t most, bool pool) {
    Window w = {any(n, least, most), 1, 0, 1, 0};
    if (chance(n, pool ? 80 : 30)) w.stride = pool && chance(n, 80) ? w.size : any(n, 1, 3);
    if (chance(n, pool ? 15 : 40)) w.pad = any(n, 0, w.size / 2);
    if (chance(n, 15)) w.dilation = 2;
    return over(w, in);
}

static Affine under(const Window *w, int out, int at) {
    Affine f = affine_add(affine_scale(affine_var(out), w->stride), affine_var(at), w->dilation);
    f.c = -w->pad;
    return f;
}

static void add_bias(Net *n, int axis) {
    Type *t = &n->x->type;
    Node *b = param(n, "b", 1, &t->dim[axis]);
    start(n, t->rank, t->dim);
    n->x = finish(n, KIND_MAP, t->rank, E2(ADD, read_at(n, n->x, FIRST), read_at(n, b, &axis)));
}

/* variables: b, o, i, j | r, s, c; groups: o takes channel o alone */
static void add_conv(Net *n) {
    Type  *t = &n->x->type;
    Window p = any_window(n, t->dim[2].size, 1, 5, false);
    Window q = chance(n, 70) ? over(p, t->dim[3].size) : any_window(n, t->dim[3].size, 1, 5, false);
    if (p.out < 1 || q.out < 1) return;
    bool    groups = chance(n, 15), same = chance(n, 30);
    int64_t cost = n->rows.size * p.out * q.out * p.size * q.size * (groups ? 1 : t->dim[1].size);
    int64_t o = groups || same ? t->dim[1].size : any_width(n, MOST / cost);
    if (o * cost > 2 * MOST) return;
    Extent wd[] = {{o, 0}, t->dim[1], {p.size, 0}, {q.size, 0}}, gd[] = {{o, 0}, {p.size, 0}, {q.size, 0}};
    Node  *w = groups ? param(n, "w", 3, gd) : param(n, "w", 4, wd);
    Extent ext[] = {n->rows, {o, 0}, {p.out, 0}, {q.out, 0}, {p.size, 0}, {q.size, 0}, t->dim[1]};
    start(n, groups ? 6 : 7, ext);
    Affine at[] = {affine_var(0), affine_var(groups ? 1 : 6), under(&p, 2, 4), under(&q, 3, 5)};
    const Expr *x = read(n, n->x, at, p.pad > 0 || q.pad > 0);
    const Expr *k = read_at(n, w, groups ? (int[]){1, 4, 5} : (int[]){1, 6, 4, 5});
    n->x = finish(n, KIND_SUM, 4, chance(n, 50) ? E2(MUL, k, x) : E2(MUL, x, k));
    if (chance(n, 80)) add_bias(n, 1);
}

static void add_pool(Net *n) {
    Type  *t = &n->x->type;
    Window p = any_window(n, t->dim[2].size, 1, 3, true), q = over(p, t->dim[3].size);
    if (p.out < 1 || q.out < 1) return;
    Extent ext[] = {n->rows, t->dim[1], {p.out, 0}, {q.out, 0}, {p.size, 0}, {q.size, 0}};
    Affine at[] = {affine_var(0), affine_var(1), under(&p, 2, 4), under(&q, 3, 5)};
    start(n, 6, ext);
    const Expr *x = read(n, n->x, at, p.pad > 0);
    switch (any(n, 0, 5)) {
    case 0: n->x = finish(n, KIND_SUM, 4, E2(MUL, x, K(1.0 / (double)(p.size * q.size)))); break;
    case 1:
        n->x = finish(n, KIND_SUM, 4, E2(MUL, x, x));
        n->x = graph_map1(n->g, SC_SQRT, graph_map2(n->g, SC_ADD, n->x, graph_scalar(n->g, 0.25)));
        break;
    case 2: n->x = finish(n, KIND_MIN, 4, x); break;
    default: n->x = finish(n, KIND_MAX, 4, x);
    }
}

/* An output width for a contraction over an f32 tensor x[rows, ...]. */
static void add_dense(Net *n) {
    Type   *t = &n->x->type;
    int64_t each = type_count(t) / n->rows.size, o = any_width(n, MOST / each / n->rows.size);
    int     rank = t->rank;
    Extent  wd[MAX_RANK] = {{o, 0}}, ext[MAX_RANK + 1] = {n->rows, {o, 0}};
    int     xv[MAX_RANK] = {0}, wv[MAX_RANK] = {1};
    for (int i = 1; i < rank; i++) {
        wd[i] = ext[i + 1] = t->dim[i];
        xv[i] = wv[i] = i + 1;
    }
    bool  turned = rank == 2 && chance(n, 30);            /* w[in, out] */
    Node *w = turned ? param(n, "w", 2, (Extent[]){wd[1], wd[0]}) : param(n, "w", rank, wd);
    start(n, rank + 1, ext);
    const Expr *k = read_at(n, w, turned ? (int[]){2, 1} : wv);
    n->x = finish(n, KIND_SUM, 2, E2(MUL, k, read_at(n, n->x, xv)));
    if (chance(n, 80)) add_bias(n, 1);
}

static void add_activation(Net *n) {
    Type *t = &n->x->type;
    start(n, t->rank, t->dim);
    const Expr *x = read_at(n, n->x, FIRST), *e;
    switch (any(n, 0, 7)) {
    case 0: e = E1(TANH, x); break;
    case 1: e = E2(DIV, K(1), E2(ADD, K(1), E1(EXP, E1(NEG, x)))); break;
    case 2: e = expr_sel(n->a, E2(LT, x, K(0)), E2(MUL, K(0.125), x), x); break;
    case 3: e = E2(DIV, x, E2(ADD, K(1), E1(EXP, E1(NEG, x)))); break;
    case 4: e = E2(MAX, K(0), x); break;
    default: e = E2(MAX, x, K(0));
    }
    n->x = finish(n, KIND_MAP, t->rank, e);
}

static void add_dropout(Net *n) {
    Type *t = &n->x->type;
    Node *r = graph_rng(n->g, *t, (uint32_t)any(n, 0, UINT32_MAX));
    start(n, t->rank, t->dim);
    const Expr *keep = E2(LT, read_at(n, r, FIRST), K(0.75)), *x = read_at(n, n->x, FIRST);
    n->x = finish(n, KIND_MAP, t->rank, expr_sel(n->a, keep, E2(DIV, x, K(0.75)), K(0)));
}

/* Mean and spread over all axes but `axis` (batch normalization: 1) or over all but the rows (0). */
static void add_norm(Net *n) {
    Type  *t = &n->x->type;
    int    axis = chance(n, 60) ? 1 : 0, rank = t->rank, at[MAX_RANK], k = 1;
    Extent ext[MAX_RANK] = {t->dim[axis]};
    double points = 1;
    for (int i = 0; i < rank; i++) {
        at[i] = i == axis ? 0 : k;
        if (i == axis) continue;
        ext[k++] = t->dim[i];
        if (!t->dim[i].bound) points *= (double)t->dim[i].size;
    }
    start(n, rank, ext);
    const Expr *mean = E2(DIV, read_at(n, n->x, at), K(points));
    if (axis) mean = E2(DIV, mean, expr_bound(n->a, n->rows.bound));
    Node *mu = finish(n, KIND_SUM, 1, mean);
    start(n, rank, ext);
    const Expr *off = E2(SUB, read_at(n, n->x, at), read_at(n, mu, FIRST)),
               *part = E2(DIV, E2(MUL, off, off), K(points));
    if (axis) part = E2(DIV, part, expr_bound(n->a, n->rows.bound));
    Node *var = finish(n, KIND_SUM, 1, part), *gain = param(n, "gain", 1, &t->dim[1]);
    start(n, rank, t->dim);
    const Expr *z = E2(SUB, read_at(n, n->x, FIRST), read_at(n, mu, &axis));
    z = E2(DIV, z, E1(SQRT, E2(ADD, read_at(n, var, &axis), K(0.125))));
    n->x = finish(n, KIND_MAP, rank, E2(MUL, z, read_at(n, gain, &FIRST[1])));
}

static void add_residual(Net *n) {
    if (n->kept && type_equal(&n->kept->type, &n->x->type)) n->x = graph_map2(n->g, SC_ADD, n->x, n->kept);
    n->kept = n->x;
}

static void add_flatten(Net *n) {
    Extent dim[] = {n->rows, {type_count(&n->x->type) / n->rows.size, 0}};
    n->x = graph_reshape(n->g, n->x, 2, dim);
}

static void show(Net *n, Node *x) {
    graph_output(n->g, OUT_VALUE, arena_printf(n->a, "out%d", n->outs++), x, NULL);
}

static void add_layer(Net *n, bool image) {
    n->layers++;
    graph_at(n->g, arena_printf(n->a, "Net.l%d", n->layers), (Loc){0});
    switch (any(n, 0, 11)) {
    case 0: case 1: case 2:
        if (image) add_conv(n);
        else add_dense(n);
        if (chance(n, 60)) add_activation(n);
        if (image && chance(n, 50)) add_pool(n);
        break;
    case 3: case 4:
        if (image) add_conv(n);
        else add_dense(n);
        if (image) add_pool(n);
        add_activation(n);
        break;
    case 5: if (image) add_pool(n); break;
    case 6: add_dropout(n); break;
    case 7: add_norm(n); break;
    case 8: add_residual(n); break;
    case 9: add_activation(n); break;
    default:
        if (image) add_conv(n);
        else add_dense(n);
    }
    if (chance(n, 10)) show(n, n->x);
}

/* ---- ends ---------------------------------------------------------------------------------------------------- */

static void make_input(Net *n) {
    int    rank = chance(n, 75) ? 4 : 2;
    Extent dim[] = {n->rows, {any(n, 1, 4), 0}, {any(n, 3, 15), 0}, {any(n, 3, 15), 0}};
    if (rank == 2) dim[1].size = any_width(n, 100);
    if (rank == 4 && chance(n, 50)) dim[3] = dim[2];
    if (chance(n, 15)) {                                    /* symbols and their vectors */
        Node *y = graph_index(n->g, type_of(DT_I32, 1, dim), 7, "symbol");
        n->x = graph_gather(n->g, param(n, "w", 2, (Extent[]){{7, 0}, {any_width(n, 64), 0}}), y);
        return;
    }
    bool bytes = chance(n, 15);
    n->x = graph_input(n->g, type_of(bytes ? DT_U8 : DT_F32, rank, dim), IN_DATA, "x");
    if (!bytes) return;
    start(n, rank, dim);
    n->x = finish(n, KIND_MAP, rank, E2(DIV, expr_cast(n->a, DT_F32, read_at(n, n->x, FIRST)), K(255)));
}

/* The row's z at its label. */
static const Expr *at_label(Net *n, Node *z, Node *label) {
    Sub sub[2] = {{affine_var(0), NULL}, {affine_const(0), read_at(n, label, FIRST)}};
    n->arg[n->narg] = z;
    return expr_read(n->a, DT_F32, n->narg++, 2, sub, false);
}

static void add_cross_entropy(Net *n) {
    Node  *z = n->x, *label;
    Extent ext[] = {n->rows, z->type.dim[1]};
    label = graph_index(n->g, type_of(DT_I32, 1, ext), ext[1].size, "y");
    start(n, 2, ext);
    Node *most = finish(n, KIND_MAX, 1, read_at(n, z, FIRST));
    start(n, 2, ext);
    Node *sum = finish(n, KIND_SUM, 1, E1(EXP, E2(SUB, read_at(n, z, FIRST), read_at(n, most, FIRST))));
    start(n, 1, ext);
    const Expr *l = E2(ADD, E1(LOG, read_at(n, sum, FIRST)), read_at(n, most, FIRST));
    Node *each = finish(n, KIND_MAP, 1, E2(SUB, l, at_label(n, z, label)));
    start(n, 1, ext);
    Node *loss = finish(n, KIND_SUM, 0, E2(DIV, read_at(n, each, FIRST), expr_bound(n->a, n->rows.bound)));
    graph_output(n->g, OUT_VALUE, "loss", loss, NULL);
    if (!chance(n, 50)) return;
    start(n, 2, ext);
    Node *best = finish(n, KIND_ARGMAX, 1, read_at(n, z, FIRST));
    start(n, 1, ext);
    const Expr *right = E2(EQ, read_at(n, best, FIRST), read_at(n, label, FIRST));
    graph_output(n->g, OUT_VALUE, "accuracy", finish(n, KIND_SUM, 0, expr_cast(n->a, DT_F32, right)), NULL);
}

static void add_squares(Net *n) {
    Type *t = &n->x->type;
    Node *want = graph_input(n->g, *t, IN_DATA, "want");
    start(n, t->rank, t->dim);
    const Expr *off = E2(SUB, read_at(n, n->x, FIRST), read_at(n, want, FIRST));
    const Expr *e = E2(DIV, E2(MUL, off, off), K((double)(type_count(t) / n->rows.size)));
    Node *loss = finish(n, KIND_SUM, 0, E2(DIV, e, expr_bound(n->a, n->rows.bound)));
    graph_output(n->g, OUT_VALUE, "loss", loss, NULL);
}

Graph *random_net(Arena *a, uint64_t seed) {
    static const int64_t ROWS[] = {1, 2, 3, 4, 5, 8, 10, 16, 17};
    Net *n = ARENA_NEW(a, Net);
    *n = (Net){.g = graph_new(a, "net"), .a = a, .s = seed * 0x9e3779b97f4a7c15u + 7};
    n->rows.size = ROWS[any(n, 0, 8)];
    n->rows.bound = graph_bound(n->g, "n", n->rows.size);
    make_input(n);
    if (n->x->type.rank == 4)
        for (int64_t i = any(n, 1, 5); i > 0; i--) add_layer(n, true);
    if (n->x->type.rank == 4 && chance(n, 80)) {
        if (chance(n, 60)) add_flatten(n);
        n->layers++;
        add_dense(n);
    }
    if (n->x->type.rank == 2)
        for (int64_t i = any(n, 0, 3); i > 0; i--) add_layer(n, false);
    if (chance(n, 30)) show(n, n->x);
    if (n->x->type.rank == 2 && chance(n, 60)) add_cross_entropy(n);
    else add_squares(n);
    graph_at(n->g, NULL, (Loc){0});
    graph_sweep(n->g);
    return n->g;
}

/* ---- training ------------------------------------------------------------------------------------------------ */

/* w - eta g, or with a slot: v' = 0.5 v + g, w - eta v' */
static void add_step(Graph *g, Node *w, Node *grad, Node *eta, bool slot) {
    const char *key = w->u.param.key;
    if (slot) {
        Node *v = graph_state(g, w->type, STATE_OPT, arena_printf(g->arena, "v.%s", key), 0);
        grad = graph_map2(g, SC_ADD, graph_map2(g, SC_MUL, v, graph_scalar(g, 0.5)), grad);
        graph_output(g, OUT_STATE, v->u.state.key, grad, v);
    }
    Node *step = graph_map2(g, SC_SUB, w, graph_map2(g, SC_MUL, grad, eta));
    graph_output(g, OUT_PARAM, key, step, w);
}

static int by_key(const void *x, const void *y) {
    return strcmp((*(Node *const *)x)->u.param.key, (*(Node *const *)y)->u.param.key);
}

void random_training(Graph *g, uint64_t seed) {
    VEC(Node *) params = {0};
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_PARAM) vec_push(g->arena, &params, g->nodes.at[i]);
    if (params.n) qsort(params.at, (size_t)params.n, sizeof *params.at, by_key);
    Node **grad = ARENA_ARRAY(g->arena, Node *, params.n + 1);
    grad_build(g, graph_find_output(g, "loss")->value, params.n, params.at, grad);
    bool  slots = random_int(&seed, 0, 1), show_gradients = random_int(&seed, 0, 1);
    Node *eta = graph_input(g, type_of(DT_F32, 0, NULL), IN_SCALAR, "hyper.eta");
    for (int i = 0; i < params.n; i++) {
        const char *name = arena_printf(g->arena, "grad.%s", params.at[i]->u.param.key);
        if (show_gradients) graph_output(g, OUT_VALUE, name, grad[i], NULL);
        add_step(g, params.at[i], grad[i], eta, slots);
    }
    graph_sweep(g);
}
