#include "tests/random/random_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers -------------------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t next(uint64_t *s) {
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double  random_real(uint64_t *s, double lo, double hi) { return lo + (hi - lo) * (double)(next(s) >> 11) * 0x1p-53; }
int64_t random_int(uint64_t *s, int64_t lo, int64_t hi) { return lo + (int64_t)(next(s) % (uint64_t)(hi - lo + 1)); }

static const char *key_of(const Node *n) {
    return n->op == OP_INPUT ? n->u.input.key : n->op == OP_PARAM ? n->u.param.key : n->u.state.key;
}

static double one_number(uint64_t *s, const Node *n) {
    int64_t below = n->op == OP_INPUT && n->u.input.below ? n->u.input.below : 10;
    switch (n->type.dtype) {
    case DT_I32: return (double)random_int(s, 0, below - 1);
    case DT_U8: return (double)random_int(s, 0, 255);
    case DT_PRED: return (double)random_int(s, 0, 1);
    default: return (double)random_int(s, -4096, 4096) / 4096;
    }
}

double *random_numbers(Arena *a, uint64_t seed, const Node *n) {
    int64_t count = type_count(&n->type);
    double *v = ARENA_ARRAY(a, double, count);
    for (const char *k = key_of(n); *k; k++) seed = seed * 31 + (unsigned char)*k;
    for (int64_t i = 0; i < count; i++) v[i] = one_number(&seed, n);
    return v;
}

const double *random_leaf(void *cx, const Node *leaf) {
    RandomLeaves *r = cx;
    return random_numbers(r->arena, r->seed, leaf);
}

/* ---- the generator ----------------------------------------------------------------------------------------- */

enum { MOST = 2000, POOL = 64 };                    /* elements of a value; values kept */

/* A value, and how large its numbers can be. */
typedef struct {
    Node  *n;
    double amp;
    bool   used;
} Value;

typedef struct {
    Graph   *g;
    Arena   *a;
    uint64_t s;
    int      bound;                 /* 0: a graph without a batch */
    int      time;                  /* the bound of steps; 0: a graph without scans */
    int      depth;                 /* scans around */
    int      leaves;
    Value    pool[POOL];            /* f32 */
    int      n;
    Node    *label[8];              /* i32, elements of a dim */
    int64_t  size[8];               /* of that dim */
    int      nlabel;
    /* the comp in the making */
    int      nvar;
    Var      var[MAX_VARS];
    Node    *arg[MAX_VARS];
    int      narg;
} Gen;

typedef struct {
    const Expr *e;                  /* f32 */
    double      amp;
} Term;

static bool chance(Gen *r, int percent) { return random_int(&r->s, 1, 100) <= percent; }
static int  pick(Gen *r, int n) { return (int)random_int(&r->s, 0, n - 1); }

static int64_t any_size(Gen *r, int64_t most) {
    static const int64_t SIZE[] = {1, 2, 3, 5, 7, 16, 17};
    int64_t s = SIZE[pick(r, 7)];
    return s <= most ? s : 1 + s % (most < 1 ? 1 : most < 3 ? most : 3);
}

/* Random extents, at most `most` elements in all; the batch comes first. */
static int any_dims(Gen *r, int rank, bool batch, int64_t most, Extent *dim) {
    int n = 0;
    if (batch && r->bound) {
        dim[n++] = (Extent){r->g->bounds.at[r->bound].size, r->bound};
        most /= dim[0].size;
    }
    for (; n < rank; n++) {
        dim[n] = (Extent){any_size(r, most), 0};
        most /= dim[n].size;
    }
    return n;
}

/* The same, perhaps with an axis of steps more. */
static int any_axes(Gen *r, int rank, bool batch, int64_t most, Extent *dim) {
    int n = any_dims(r, rank, batch, most, dim);
    if (r->time && n < 4 && chance(r, 30)) dim[n++] = (Extent){r->g->bounds.at[r->time].size, r->time};
    return n;
}

static Node *keep(Gen *r, Node *n, double amp) {
    if (r->n < POOL) r->pool[r->n++] = (Value){n, amp, false};
    return n;
}

static Node *add_param(Gen *r, int rank, const Extent *dim) {
    return keep(r, graph_param(r->g, type_of(DT_F32, rank, dim), arena_printf(r->a, "p%d", r->leaves++)), 1);
}

static void add_leaf(Gen *r) {
    Extent dim[MAX_RANK];
    bool   batch = chance(r, 60);
    int    rank = any_dims(r, pick(r, 5), batch, MOST, dim);
    switch (pick(r, 7)) {
    case 0: {
        StateKind kind = rank && dim[0].bound ? STATE_LANE : STATE_SHARED;
        keep(r, graph_state(r->g, type_of(DT_F32, rank, dim), kind, arena_printf(r->a, "s%d", r->leaves++), 0.5), 1);
        break;
    }
    case 1: keep(r, graph_rng(r->g, type_of(DT_F32, rank, dim), (uint32_t)next(&r->s)), 1); break;
    case 2: {
        const char *key = arena_printf(r->a, "hyper.h%d", r->leaves++);
        keep(r, graph_input(r->g, type_of(DT_F32, 0, NULL), IN_SCALAR, key), 1);
        break;
    }
    case 3: case 4: {
        const char *key = arena_printf(r->a, "x%d", r->leaves++);
        keep(r, graph_input(r->g, type_of(DT_F32, rank, dim), IN_DATA, key), 1);
        break;
    }
    default:
        rank = any_dims(r, pick(r, 5), false, MOST, dim);
        add_param(r, rank, dim);
    }
}

static void add_label(Gen *r) {
    Extent dim[MAX_RANK];
    int    rank = any_dims(r, pick(r, 3), chance(r, 70), 100, dim);
    if (r->nlabel == 8) return;
    int64_t size = random_int(&r->s, 2, 7);
    r->size[r->nlabel] = size;
    r->label[r->nlabel++] = graph_index(r->g, type_of(DT_I32, rank, dim), size, arena_printf(r->a, "y%d", r->leaves++));
}

/* ---- reads -------------------------------------------------------------------------------------------------- */

/* A form on the axis: in range, or (*guarded) perhaps not. False: no variable fits a bounded axis. */
static bool any_form(Gen *r, Extent axis, Affine *f, bool *guarded) {
    int fits[MAX_VARS], n = 0;
    for (int v = 0; v < r->nvar; v++)
        if (axis.bound ? r->var[v].ext.bound == axis.bound : r->var[v].ext.size <= axis.size) fits[n++] = v;
    if (axis.bound) {
        *f = n ? affine_var(fits[pick(r, n)]) : affine_const(0);
        return n > 0;
    }
    if (!n || chance(r, 10)) {
        *f = affine_const(random_int(&r->s, 0, axis.size - 1));
        return true;
    }
    int     v = fits[pick(r, n)];
    int64_t slack = axis.size - r->var[v].ext.size;
    *f = affine_add(affine_var(v), affine_const(random_int(&r->s, 0, slack)), 1);
    if (chance(r, 10))                                  /* backwards */
        *f = affine_add(affine_const(axis.size - 1), affine_var(v), -1);
    if (chance(r, 15)) {
        *f = affine_scale(affine_var(v), random_int(&r->s, 1, 2));
        f->c = random_int(&r->s, -2, 2);
        int w = pick(r, r->nvar);
        if (!r->var[w].ext.bound) *f = affine_add(*f, affine_var(w), 1);
        *guarded = true;
    }
    return true;
}

static int operand(Gen *r, Node *n) {
    for (int k = 0; k < r->narg; k++)
        if (r->arg[k] == n) return k;
    r->arg[r->narg] = n;
    return r->narg++;
}

/* A read of any axes of n, or NULL. */
static const Expr *read_node(Gen *r, Node *n) {
    Sub  sub[MAX_RANK] = {0};
    bool guarded = false;
    if (r->narg == 12) return NULL;
    for (int i = 0; i < n->type.rank; i++)
        if (!any_form(r, n->type.dim[i], &sub[i].aff, &guarded)) return NULL;
    return expr_read(r->a, n->type.dtype, operand(r, n), n->type.rank, sub, guarded);
}

/* x[.., {label}, ..] where an axis is long enough for some label. */
static const Expr *read_looked_up(Gen *r, Node *n) {
    Sub  sub[MAX_RANK] = {0};
    bool guarded = false, done = false;
    if (r->narg > 10) return NULL;
    for (int i = 0; i < n->type.rank; i++) {
        int l = r->nlabel ? pick(r, r->nlabel) : -1;
        if (!done && l >= 0 && !n->type.dim[i].bound && r->size[l] <= n->type.dim[i].size) {
            const Expr *ind = read_node(r, r->label[l]);
            if (!ind || ind->guarded) return NULL;
            sub[i] = (Sub){affine_const(0), ind};
            done = true;
        } else if (!any_form(r, n->type.dim[i], &sub[i].aff, &guarded)) {
            return NULL;
        }
    }
    return done ? expr_read(r->a, n->type.dtype, operand(r, n), n->type.rank, sub, guarded) : NULL;
}

static Term any_read(Gen *r) {
    for (int tries = 0; tries < 6; tries++) {
        int         k = pick(r, r->n);
        const Expr *e = chance(r, 15) ? read_looked_up(r, r->pool[k].n) : read_node(r, r->pool[k].n);
        if (!e) continue;
        r->pool[k].used = true;
        return (Term){e, r->pool[k].amp};
    }
    double v = (double)random_int(&r->s, -8, 8) / 4;
    return (Term){expr_const(r->a, v), fabs(v)};
}

/* ---- expressions: one case per row of scalars.def ------------------------------------------------------------- */

#define E1(op, x)    expr_op1(r->a, SC_##op, x)
#define E2(op, x, y) expr_op2(r->a, SC_##op, x, y)
#define K(v)         expr_const(r->a, v)

static Term any_term(Gen *r, int depth);

/* x with numbers of size 1 at most */
static Term tame(Gen *r, Term t) {
    return t.amp <= 1 ? t : (Term){E2(MUL, t.e, K(exp2(-ceil(log2(t.amp))))), 1};
}

/* x^2 + c */
static const Expr *positive(Gen *r, Term t, double c) { return E2(ADD, E2(MUL, t.e, t.e), K(c)); }

static const Expr *any_index(Gen *r) {
    if (!r->nvar) return expr_int(r->a, random_int(&r->s, 0, 5));
    Affine f = affine_var(pick(r, r->nvar));
    if (chance(r, 50)) f = affine_add(affine_scale(f, random_int(&r->s, 1, 3)), affine_var(pick(r, r->nvar)), -1);
    return expr_idx(r->a, f);
}

static const Expr *any_label(Gen *r) {
    const Expr *e = r->nlabel ? read_node(r, r->label[pick(r, r->nlabel)]) : NULL;
    return e ? e : any_index(r);
}

static const Expr *any_condition(Gen *r, int depth) {
    switch (pick(r, 4)) {
    case 0: return E2(EQ, any_index(r), any_label(r));
    case 1: return E2(LT, any_index(r), any_label(r));
    case 2: return E2(EQ, E1(FLOOR, any_term(r, depth - 1).e), E1(FLOOR, any_term(r, depth - 1).e));
    default: return E2(LT, any_term(r, depth - 1).e, any_term(r, depth - 1).e);
    }
}

static Term operation(Gen *r, ScalarOp op, int depth) {
    Term   x = any_term(r, depth - 1), y = SCALARS[op].args > 1 ? any_term(r, depth - 1) : x, t = tame(r, x);
    double m = fmax(x.amp, y.amp);
    switch (op) {
    case SC_CONST: return (Term){K((double)random_int(&r->s, -4, 4) / 2), 2};
    case SC_IDX: return tame(r, (Term){expr_cast(r->a, DT_F32, any_index(r)), 70});
    case SC_BOUND: return r->bound ? (Term){E2(DIV, x.e, expr_bound(r->a, r->bound)), x.amp} : x;
    case SC_READ: case SC_COUNT: return x;
    case SC_ADD: return (Term){E2(ADD, x.e, y.e), x.amp + y.amp};
    case SC_SUB: return (Term){E2(SUB, x.e, y.e), x.amp + y.amp};
    case SC_MUL: return (Term){E2(MUL, x.e, y.e), x.amp * y.amp};
    case SC_DIV: return (Term){E2(DIV, x.e, positive(r, y, 0.5)), 2 * x.amp};
    case SC_NEG: return (Term){E1(NEG, x.e), x.amp};
    case SC_MAX: return (Term){E2(MAX, x.e, chance(r, 30) ? K(0) : y.e), m};
    case SC_EXP: return (Term){E1(EXP, t.e), 2.8};
    case SC_LOG: return (Term){E1(LOG, positive(r, x, 0.5)), fmax(0.7, log(x.amp * x.amp + 0.5))};
    case SC_TANH: return (Term){E1(TANH, x.e), 1};
    case SC_SQRT: return (Term){E1(SQRT, positive(r, x, 0.25)), x.amp + 0.5};
    case SC_SIN: return (Term){E1(SIN, x.e), 1};
    case SC_COS: return (Term){E1(COS, x.e), 1};
    case SC_FLOOR: return (Term){E1(FLOOR, x.e), x.amp + 1};
    case SC_POW: return (Term){E2(POW, positive(r, t, 0.5), tame(r, y).e), 2};
    case SC_LT: case SC_EQ: return (Term){expr_cast(r->a, DT_F32, any_condition(r, depth)), 1};
    case SC_SEL: return (Term){expr_sel(r->a, any_condition(r, depth), x.e, y.e), m};
    case SC_CAST: return (Term){expr_cast(r->a, DT_F32, expr_cast(r->a, DT_I32, E2(MUL, t.e, K(3)))), 3};
    }
    return x;
}

static Term any_term(Gen *r, int depth) {
    enum { TOO_LARGE = 16 };
    if (depth <= 0) return any_read(r);
    Term t = operation(r, (ScalarOp)pick(r, SC_COUNT), depth);
    return t.amp > TOO_LARGE ? tame(r, t) : t;
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static void start_comp(Gen *r, int n, const Extent *dim) {
    static const char *const NAME[] = {"i", "j", "k", "l", "m", "p", "q", "r"};
    r->narg = 0;
    r->nvar = n;
    for (int v = 0; v < n; v++) r->var[v] = (Var){.name = NAME[v % 8], .ext = dim[v]};
}

static Node *finish_comp(Gen *r, Kind kind, int nout, int nder, const Expr *e) {
    return graph_comp(r->g, kind, nout, r->nvar - nout - nder, nder, r->var, e, r->narg, r->arg);
}

static double reduced_amp(Kind kind, double amp, double points) {
    return kind == KIND_SUM ? amp * points : kind == KIND_PROD ? pow(1.5, points) : amp;
}

/* A comp of any kind over any expression. */
static void add_any_comp(Gen *r) {
    Extent dim[2 * MAX_RANK];
    Kind   kind = (Kind)pick(r, KIND_COUNT);
    int    nout = any_axes(r, pick(r, 5), chance(r, 70), MOST / 4, dim), nred = 0;
    if (kind != KIND_MAP) nred = any_axes(r, 1 + pick(r, 3), chance(r, 30), kind == KIND_PROD ? 7 : 60, dim + nout);
    start_comp(r, nout + nred, dim);
    double points = 1;
    for (int v = nout; v < r->nvar; v++) points *= (double)dim[v].size;
    Term t = any_term(r, 1 + pick(r, 3));
    if (kind == KIND_PROD) t = (Term){E2(ADD, E2(MUL, tame(r, t).e, K(0.5)), K(1)), 1.5};
    const Expr *e = t.e;
    if (kind == KIND_ALL || kind == KIND_ANY) e = any_condition(r, 1);
    Node *n = finish_comp(r, kind, nout, 0, e);
    if (n->type.dtype == DT_F32) {
        keep(r, n, reduced_amp(kind, t.amp, points));
        return;
    }
    if (n->type.dtype == DT_I32 && r->nlabel < 8 && points > 1) {       /* the winner may be looked up */
        r->size[r->nlabel] = (int64_t)points;
        r->label[r->nlabel++] = n;
    }
    start_comp(r, nout, dim);
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < nout; i++) sub[i].aff = affine_var(i);
    e = expr_cast(r->a, DT_F32, expr_read(r->a, n->type.dtype, operand(r, n), nout, sub, false));
    keep(r, finish_comp(r, KIND_MAP, nout, 0, tame(r, (Term){e, points}).e), 1);
}

/* sum of w[.., reds] x[.., reds]: a plain contraction, and a map after it that scales it down. */
static void add_contraction(Gen *r) {
    int   k = pick(r, r->n);
    Node *x = r->pool[k].n;
    if (x->type.rank < 1 || x->type.rank > 3 || x->type.dim[x->type.rank - 1].bound) return;
    int    rank = x->type.rank;
    Extent last = x->type.dim[rank - 1], o = {any_size(r, MOST * last.size / type_count(&x->type) / 4), 0};
    Node  *w = add_param(r, 2, (Extent[]){o, last});
    Extent dim[MAX_RANK];
    for (int i = 0; i < rank - 1; i++) dim[i] = x->type.dim[i];
    dim[rank - 1] = o;
    dim[rank] = last;
    start_comp(r, rank + 1, dim);
    Sub xs[MAX_RANK] = {0}, ws[2] = {{affine_var(rank - 1), NULL}, {affine_var(rank), NULL}};
    for (int i = 0; i < rank; i++) xs[i].aff = affine_var(i < rank - 1 ? i : rank);
    const Expr *e = E2(MUL, expr_read(r->a, DT_F32, operand(r, w), 2, ws, false),
                       expr_read(r->a, DT_F32, operand(r, x), rank, xs, false));
    r->pool[k].used = true;
    keep(r, finish_comp(r, KIND_SUM, rank, 0, e), r->pool[k].amp * (double)last.size);
}

/* A window over the last axis: a convolution with a new parameter, or a pool; stride, dilation, padding. */
static void add_window(Gen *r) {
    int   k = pick(r, r->n);
    Node *x = r->pool[k].n;
    int   rank = x->type.rank;
    if (rank < 1 || rank > 4 || x->type.dim[rank - 1].bound || x->type.dim[rank - 1].size < 3) return;
    int64_t size = x->type.dim[rank - 1].size;
    int64_t stride = 1 + pick(r, 3), dil = 1 + pick(r, 2), win = 2 + pick(r, 2), pad = pick(r, 2);
    int64_t outs = (size + 2 * pad - dil * (win - 1) - 1) / stride + 1;
    if (size + 2 * pad < dil * (win - 1) + 1) return;
    bool   conv = chance(r, 50);
    Node  *w = conv ? add_param(r, 1, &(Extent){win, 0}) : NULL;
    Extent dim[MAX_RANK];
    for (int i = 0; i < rank - 1; i++) dim[i] = x->type.dim[i];
    dim[rank - 1] = (Extent){outs, 0};
    dim[rank] = (Extent){win, 0};
    start_comp(r, rank + 1, dim);
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < rank; i++) sub[i].aff = affine_var(i);
    sub[rank - 1].aff = affine_add(affine_scale(affine_var(rank - 1), stride), affine_var(rank), dil);
    sub[rank - 1].aff.c = -pad;
    const Expr *e = expr_read(r->a, DT_F32, operand(r, x), rank, sub, pad > 0);
    if (conv) e = E2(MUL, expr_read(r->a, DT_F32, operand(r, w), 1, &(Sub){affine_var(rank), NULL}, false), e);
    r->pool[k].used = true;
    Kind kind = conv || chance(r, 30) ? KIND_SUM : chance(r, 70) ? KIND_MAX : KIND_MIN;
    keep(r, finish_comp(r, kind, rank, 0, e), r->pool[k].amp * (double)win);
}

/* A derived variable: every stride-th element put apart, as in the gradient of a strided window. */
static void add_spread(Gen *r) {
    int   k = pick(r, r->n);
    Node *x = r->pool[k].n;
    int   rank = x->type.rank;
    if (rank < 1 || rank > 4 || x->type.dim[rank - 1].bound) return;
    int64_t stride = 1 + pick(r, 3), size = x->type.dim[rank - 1].size * stride, shift = pick(r, 3);
    Extent  dim[MAX_RANK];
    for (int i = 0; i < rank; i++) dim[i] = x->type.dim[i];
    dim[rank - 1] = (Extent){size, 0};
    start_comp(r, rank, dim);
    Affine num = affine_add(affine_var(rank - 1), affine_const(shift), -1);
    r->var[r->nvar++] = (Var){"d", x->type.dim[rank - 1], num, stride};
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < rank; i++) sub[i].aff = affine_var(i < rank - 1 ? i : rank);
    r->pool[k].used = true;
    const Expr *e = expr_read(r->a, DT_F32, operand(r, x), rank, sub, false);
    keep(r, finish_comp(r, KIND_SUM, rank, 1, e), r->pool[k].amp);
}

/* gather and scatter_add */
static void add_lookup(Gen *r) {
    if (!r->nlabel) return;
    int   k = pick(r, r->n), l = pick(r, r->nlabel);
    Node *x = r->pool[k].n, *y = r->label[l];
    bool  rows = x->type.rank >= 1 && !x->type.dim[0].bound && x->type.dim[0].size >= r->size[l];
    if (rows && x->type.rank + y->type.rank <= 5 && type_count(&x->type) * type_count(&y->type) < 10 * MOST) {
        for (int i = 1; i < x->type.rank; i++)
            if (x->type.dim[i].bound) return;
        r->pool[k].used = true;
        keep(r, graph_gather(r->g, x, y), r->pool[k].amp);
        return;
    }
    for (int i = 0; i < y->type.rank; i++) {
        Extent xi = x->type.dim[i], yi = y->type.dim[i];
        if (i >= x->type.rank || xi.size != yi.size || xi.bound != yi.bound) return;
    }
    if (x->type.rank - y->type.rank > 3) return;
    for (int i = y->type.rank; i < x->type.rank; i++)
        if (x->type.dim[i].bound) return;
    r->pool[k].used = true;
    keep(r, graph_scatter(r->g, x, y, r->size[l]), r->pool[k].amp * (double)type_count(&y->type));
}

static bool has_bounds(const Type *t) {
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].bound) return true;
    return false;
}

/* The axes after the batch become one, or one axis becomes two. */
static void add_reshape(Gen *r) {
    int   k = pick(r, r->n);
    Type *t = &r->pool[k].n->type;
    int   first = t->rank > 0 && t->dim[0].bound, n = 0;
    Extent dim[MAX_RANK];
    for (int i = first; i < t->rank; i++)
        if (t->dim[i].bound) return;
    if (first) dim[n++] = t->dim[0];
    int64_t rest = 1;
    for (int i = first; i < t->rank; i++) rest *= t->dim[i].size;
    for (int64_t f = 2; chance(r, 50) && f < 8; f++)
        if (rest % f == 0 && rest > f) {
            dim[n++] = (Extent){f, 0};
            rest /= f;
            break;
        }
    dim[n++] = (Extent){rest, 0};
    r->pool[k].used = true;
    keep(r, graph_reshape(r->g, r->pool[k].n, n, dim), r->pool[k].amp);
}

/* Shifted: where x is compared with its own stop, a derivative would stand on the jump. */
static void add_stop(Gen *r) {
    int k = pick(r, r->n);
    Node *stopped = graph_stop(r->g, r->pool[k].n);
    keep(r, graph_map2(r->g, SC_ADD, stopped, graph_scalar(r->g, 0.375)), r->pool[k].amp + 0.375);
}

/* Numbers back to about 1, so that nothing grows over a long chain. */
static void tame_last(Gen *r) {
    Value *v = &r->pool[r->n - 1];
    if (v->amp <= 4 || r->n == POOL) return;
    Node *n = graph_map2(r->g, SC_MUL, v->n, graph_scalar(r->g, exp2(-ceil(log2(v->amp)))));
    v->used = true;
    keep(r, n, 1);
}

/* ---- scans ---------------------------------------------------------------------------------------------------- */

static void add_step(Gen *r);

/* Arguments of a body for values of r: carries, sequences; some values of r as they are. */
static void open_body(Gen *r, Gen *in, ScanMake *l) {
    for (int i = 1 + pick(r, 2); i > 0; i--) {
        Value *v = &r->pool[pick(r, r->n)];
        if (v->n->type.rank > 3 || type_count(&v->n->type) > 200) continue;
        Node *arg = loop_arg(r->g, v->n->type);
        vec_push(r->g->arena, &l->carry, ((Bind){arg, v->n}));
        keep(in, arg, fmax(1, v->amp));
        v->used = true;
    }
    for (int k = 0; k < r->n; k++) {
        Value *v = &r->pool[k];
        Type  *t = &v->n->type;
        if (!t->rank || t->dim[0].size != l->trip.size || t->dim[0].bound != l->trip.bound || !chance(r, 60)) continue;
        Node *arg = loop_arg(r->g, loop_slice(t));
        vec_push(r->g->arena, &l->over, ((Bind){arg, v->n}));
        keep(in, arg, v->amp);
        v->used = true;
    }
    for (int i = pick(r, 3); i > 0; i--) {
        Value *v = &r->pool[pick(r, r->n)];
        keep(in, v->n, v->amp);
        v->used = true;
    }
    if (!chance(r, 60) || r->nlabel == 8) return;
    in->size[in->nlabel] = l->trip.size;
    in->label[in->nlabel++] = l->step = loop_arg(r->g, type_of(DT_I32, 0, NULL));
}

/* What a carry becomes: a number of size 1, or half way there; computed in another shape now and then. */
static Node *next_carry(Gen *r, Node *carry) {
    const Type *t = &carry->type;
    Sub         sub[MAX_RANK] = {0};
    if (t->rank > 1 && !has_bounds(t) && chance(r, 30)) {
        Extent turned[MAX_RANK];
        for (int i = 0; i < t->rank; i++) turned[i] = t->dim[t->rank - 1 - i];
        start_comp(r, t->rank, turned);
        const Expr *e = any_term(r, 2).e;
        return graph_reshape(r->g, finish_comp(r, KIND_MAP, t->rank, 0, E1(TANH, e)), t->rank, t->dim);
    }
    start_comp(r, t->rank, t->dim);
    const Expr *e = any_term(r, 2).e;
    for (int i = 0; i < t->rank; i++) sub[i].aff = affine_var(i);
    e = E1(TANH, e);
    if (chance(r, 50)) e = E2(MUL, K(0.5), E2(ADD, e, expr_read(r->a, DT_F32, operand(r, carry), t->rank, sub, false)));
    return finish_comp(r, KIND_MAP, t->rank, 0, e);
}

/* What a stack holds: a value, or its numbers in one row. */
static Node *stacked(Gen *r, Node *n) {
    if (has_bounds(&n->type) || !chance(r, 25)) return n;
    return graph_reshape(r->g, n, 1, &(Extent){type_count(&n->type), 0});
}

/* A recurrence over some values; everything that the body may hold is made in it. */
static void add_scan(Gen *r) {
    enum { DEEPEST = 2 };
    if (!r->time || r->depth == DEEPEST) return;
    Extent   all = {r->g->bounds.at[r->time].size, r->time};
    ScanMake l = {.trip = chance(r, 60) ? all : (Extent){1 + pick(r, 5), 0}, .reverse = chance(r, 50), .var = "t",
                  .checkpoint = chance(r, 25) ? 1 + pick(r, 3) : 0};
    Gen     *in = ARENA_NEW(r->a, Gen);
    *in = *r;
    in->n = 0;
    in->depth++;
    open_body(r, in, &l);
    in->s = r->s;
    for (int i = 1 + pick(in, 3); i > 0 && l.carry.n; i--) add_step(in);
    for (int i = 0; i < l.carry.n; i++) vec_push(r->g->arena, &l.next, next_carry(in, l.carry.at[i].inner));
    for (int i = 1 + pick(in, 2); i > 0 && l.carry.n; i--) {
        Node *n = chance(in, 40) ? l.next.at[pick(in, l.next.n)] : in->pool[pick(in, in->n)].n;
        if (n->type.rank < 4 && type_count(&n->type) < MOST / 4) vec_push(r->g->arena, &l.stack, stacked(in, n));
    }
    r->s = in->s;
    r->leaves = in->leaves;
    if (!l.carry.n) return;
    Node *scan = loop_close(r->g, r->g, &l);
    for (int i = 0; i < scan_results(scan); i++)
        if (i >= l.carry.n || chance(r, 60)) keep(r, graph_result(r->g, scan, i), 4);
}

/* An operation in a body. */
static void add_step(Gen *r) {
    static void (*const ADD[])(Gen *) = {add_any_comp, add_any_comp, add_contraction, add_contraction, add_window,
                                         add_lookup, add_reshape, add_scan};
    ADD[pick(r, (int)(sizeof ADD / sizeof *ADD))](r);
    tame_last(r);
}

/* mean of squares of everything that nothing else reads */
static void add_loss(Gen *r) {
    Node *loss = graph_scalar(r->g, 0);
    int   out = 0;
    for (int k = 0; k < r->n; k++) {
        Node *n = r->pool[k].n;
        if (r->pool[k].used && !chance(r, 15)) continue;
        graph_output(r->g, OUT_VALUE, arena_printf(r->a, "out%d", out++), n, NULL);
        Sub sub[MAX_RANK] = {0};
        start_comp(r, n->type.rank, n->type.dim);
        for (int i = 0; i < n->type.rank; i++) sub[i].aff = affine_var(i);
        const Expr *x = expr_read(r->a, DT_F32, operand(r, n), n->type.rank, sub, false);
        const Expr *e = E2(MUL, E2(MUL, x, x), K(1 / (double)type_count(&n->type)));
        loss = graph_map2(r->g, SC_ADD, loss, finish_comp(r, n->type.rank ? KIND_SUM : KIND_MAP, 0, 0, e));
    }
    graph_output(r->g, OUT_VALUE, "loss", loss, NULL);
}

static Gen *start_graph(Arena *a, uint64_t seed) {
    Gen *r = ARENA_NEW(a, Gen);
    r->a = a;
    r->s = seed * 0x2545f4914f6cdd1du + 1;
    r->g = graph_new(a, "random");
    return r;
}

/* x [T, ..]: what a scan may run over. */
static void add_sequence(Gen *r) {
    Extent dim[MAX_RANK] = {{r->g->bounds.at[r->time].size, r->time}};
    int    rank = 1 + any_dims(r, pick(r, 3), chance(r, 70), 100, dim + 1);
    const char *key = arena_printf(r->a, "q%d", r->leaves++);
    keep(r, graph_input(r->g, type_of(DT_F32, rank, dim), IN_DATA, key), 1);
}

Graph *random_scans(Arena *a, uint64_t seed, int nodes) {
    Gen *r = start_graph(a, seed);
    r->bound = graph_bound(r->g, "n", random_int(&r->s, 1, 5));
    r->time = graph_bound(r->g, "T", random_int(&r->s, 1, 6));
    add_param(r, 2, (Extent[]){{any_size(r, 40), 0}, {any_size(r, 40), 0}});
    for (int i = pick(r, 2); i >= 0; i--) add_sequence(r);
    add_leaf(r);
    add_label(r);
    for (int i = 0; i < nodes && r->n < POOL - 8; i++) {
        graph_at(r->g, arena_printf(a, "Net.n%d", i), (Loc){0});
        if (i % 2) add_scan(r);
        else add_step(r);
    }
    add_loss(r);
    graph_at(r->g, NULL, (Loc){0});
    graph_sweep(r->g);
    return r->g;
}

Graph *random_graph(Arena *a, uint64_t seed, int nodes) {
    Gen *r = start_graph(a, seed);
    if (chance(r, 50)) r->bound = graph_bound(r->g, "n", random_int(&r->s, 1, 5));
    add_param(r, 2, (Extent[]){{any_size(r, 40), 0}, {any_size(r, 40), 0}});
    for (int i = pick(r, 3); i >= 0; i--) add_leaf(r);
    for (int i = pick(r, 3); i > 0; i--) add_label(r);
    for (int i = 0; i < nodes && r->n < POOL - 4; i++) {
        static void (*const ADD[])(Gen *) = {add_any_comp, add_any_comp, add_any_comp, add_any_comp, add_contraction,
                                             add_contraction, add_window, add_window, add_spread, add_lookup,
                                             add_reshape, add_stop};
        graph_at(r->g, arena_printf(a, "Net.n%d", i), (Loc){0});
        ADD[pick(r, (int)(sizeof ADD / sizeof *ADD))](r);
        tame_last(r);
    }
    add_loss(r);
    graph_at(r->g, NULL, (Loc){0});
    graph_sweep(r->g);
    return r->g;
}
