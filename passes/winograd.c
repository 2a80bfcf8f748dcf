/* Convolutions with fewer multiplications (Winograd 1980; Toom and Cook).
 *
 * m values of a sum over k taps, y[i] = sum over r of a[r] b[i+r], are products of polynomials: with n = m + k - 1
 * points each, y = A' ((G a) .* (B' b)), n products instead of m k. The matrices are small tables of the points. A
 * contraction that has such a sum along one axis becomes, with the long side of it cut into tiles of m,
 *
 *     U[u, ..]   = sum over r of G[u,r] a[.., r, ..]
 *     V[u, t, ..] = sum over i of B'[u,i] b[.., m t + i, ..]
 *     M[u, t, ..] = the contraction of U and V, with u as an axis of both and the sum over r gone
 *     y[.., m t + i, ..] = sum over u of A'[i,u] M[u, t, ..]
 *
 * The gradient with respect to the image has the same form, with the taps in reverse. In the weight gradient, sum over
 * i of dy[i] x[i+r], the taps r are the results and the sum is long: F(k, m), summed over the tiles before A'.
 *
 * One axis alone is treated, and not the last one, which fills the lanes: tiles would lie across the vectors. A second
 * axis would move more memory between the caches than it saves arithmetic. Results differ from the plain sum's by
 * rounding: see docs/performance.md for the bound. */
#include <math.h>
#include <string.h>

#include "passes/kernels_impl.h"

enum { MOST_POINTS = 8, LEAST_TAPS = 3 };
static const double EFFICIENCY = 0.75;  /* of contractions: share of the peak */
static const double NEAR = 0.9, NEAR_COST = 0.4,
                    FAR_COST = 1.4;     /* of L2; cycles for a number to or from L2, from beyond */
static const double STARTING = 6000;    /* cycles of three nests more */
static const double POINTS[MOST_POINTS - 1] = {0, 1, -1, 2, -2, 0.5, -0.5};

/* y[at] = sum over tap of a[tap] b[at + tap + lo], in a contraction; tap is reversed if mirror. */
typedef struct {
    Graph      *g;
    Node       *n;
    const Expr *a, *b;          /* reads */
    int         at, tap;        /* an out, a reduction */
    int         of_a, of_b;     /* the subscripts they stand in */
    int64_t     lo;
    bool        mirror;
    bool        long_sum;       /* the taps are cut into tiles, not the outs */
    int64_t     m, k, points, tiles;
    Node       *table_a, *table_b, *table_y;
    Node       *u, *v;
} Winograd;

/* ---- recognizing ----------------------------------------------------------------------------------------- */

static bool reads_plainly(const Node *n, const Expr *e) {
    if (e->op != SC_READ || e->dtype != DT_F32) return false;
    for (int i = 0; i < e->nsub; i++)
        if (e->sub[i].ind) return false;
    return n->arg[e->operand]->type.rank < MAX_RANK;
}

/* The one subscript that v stands in; -1: none, or several. */
static int place_of(const Expr *e, int v) {
    int at = -1;
    for (int i = 0; i < e->nsub; i++) {
        if (!affine_coef(&e->sub[i].aff, v)) continue;
        if (at >= 0) return -1;
        at = i;
    }
    return at;
}

static bool find_axis(Winograd *w, int of_b) {
    const Comp   *c = &w->n->u.comp;
    const Affine *f = &w->b->sub[of_b].aff;
    if (f->n != 2) return false;
    for (int i = 0; i < 2; i++) {
        int     v;
        int64_t coef = f->term[!i].coef;
        w->at = f->term[i].var;
        w->tap = f->term[!i].var;
        if (w->at >= c->nout || w->tap < c->nout || f->term[i].coef != 1 || (coef != 1 && coef != -1)) continue;
        w->of_a = place_of(w->a, w->tap);
        w->of_b = of_b;
        w->mirror = coef < 0;
        if (w->of_a < 0 || place_of(w->b, w->tap) != of_b || place_of(w->b, w->at) != of_b) continue;
        if (!affine_is_var(&w->a->sub[w->of_a].aff, &v) || w->a->guarded) continue;
        bool in_a = false;
        for (int k = 0; k < w->a->nsub; k++) in_a |= affine_coef(&w->a->sub[k].aff, w->at) != 0;
        if (in_a || c->var[w->at].ext.bound || c->var[w->tap].ext.bound) continue;
        w->lo = f->c - (w->mirror ? c->var[w->tap].ext.size - 1 : 0);
        w->long_sum = c->var[w->tap].ext.size > c->var[w->at].ext.size;
        w->k = c->var[w->long_sum ? w->at : w->tap].ext.size;
        return w->k >= LEAST_TAPS && !(w->mirror && w->long_sum);
    }
    return false;
}

/* ---- the choice ------------------------------------------------------------------------------------------ */

static int64_t long_side(const Winograd *w) { return w->n->u.comp.var[w->long_sum ? w->tap : w->at].ext.size; }

static double elements_of(const Node *n) { return (double)type_count(&n->type); }

/* Do the tensors over the points stay in L2 while one row of the batch runs through all nests (chain.c)? */
static bool stays_near(const Winograd *w, const Target *t, double u, double v, double product) {
    const Extent rows = w->n->type.dim[0];
    return !w->long_sum && rows.bound && (u + (v + product) / (double)rows.size) * sizeof(float) <= NEAR * t->l2;
}

/* Estimated cycles saved by F(m, k). */
static double gain(const Winograd *w, const Target *t, int64_t m) {
    const Comp *c = &w->n->u.comp;
    const Node *in_a = w->n->arg[w->a->operand], *in_b = w->n->arg[w->b->operand];
    double      products = 1, per_cycle = t->width * t->fma_ports, n = (double)(m + w->k - 1);
    double      tiles = (double)((long_side(w) + m - 1) / m), side = (double)long_side(w);
    double      a = elements_of(in_a), b = elements_of(in_b), y = elements_of(w->n);
    double      u = a * (w->long_sum ? tiles * n / side : n / (double)w->k);
    double      v = b * tiles * n / (double)in_b->type.dim[w->of_b].size;
    double      product = y * (w->long_sum ? n / (double)w->k : tiles * n / side);
    for (int i = 0; i < c->nout + c->nred; i++) products *= (double)c->var[i].ext.size;
    double saved = products * (1 - tiles * n / (side * (double)w->k)) / per_cycle / EFFICIENCY;
    double work = (u * (double)(w->long_sum ? m : w->k) + v * n + y * n) / per_cycle;
    double moved = a + u + b + v + y + 2 * product;
    return saved - work - STARTING - moved * (stays_near(w, t, u, v, product) ? NEAR_COST : FAR_COST);
}

static bool choose_tile(Winograd *w, const Target *t, bool all) {
    double best = 0;
    w->m = 0;
    for (int64_t m = 2; m + w->k - 1 <= MOST_POINTS; m++) {
        double g = gain(w, t, m);
        if (w->m || !all ? g <= best : false) continue;
        best = g;
        w->m = m;
    }
    w->points = w->m + w->k - 1;
    if (w->m) w->tiles = (long_side(w) + w->m - 1) / w->m;
    return w->m > 0;
}

/* ---- tables ---------------------------------------------------------------------------------------------- */

static Node *table(Graph *g, int64_t rows, int64_t columns, const double *v) {
    Type t = type_of(DT_F32, 2, (Extent[]){{rows, 0}, {columns, 0}});
    return graph_const(g, t, arena_copy(g->arena, v, sizeof *v * (size_t)(rows * columns)));
}

/* [u][i]: the coefficients of the product of (x - p) over all finite points p but number u. */
static Node *table_of_b(Graph *g, int64_t n) {
    double v[MOST_POINTS * MOST_POINTS] = {0};
    for (int64_t u = 0; u < n; u++) {
        double *row = &v[u * n];
        int     degree = 0;
        row[0] = 1;
        for (int64_t p = 0; p < n - 1; p++) {
            if (p == u) continue;
            degree++;
            for (int i = degree; i >= 0; i--) row[i] = (i ? row[i - 1] : 0) - POINTS[p] * row[i];
        }
    }
    return table(g, n, n, v);
}

/* [u][r]: powers of the points, over what B' is too large by; the last point is infinity. */
static Node *table_of_a(Graph *g, int64_t n, int64_t taps) {
    double v[MOST_POINTS * MOST_POINTS] = {0};
    for (int64_t u = 0; u < n - 1; u++) {
        double f = 1;
        for (int64_t p = 0; p < n - 1; p++) f *= p == u ? 1 : POINTS[u] - POINTS[p];
        for (int64_t r = 0; r < taps; r++) v[u * taps + r] = pow(POINTS[u], (double)r) / f;
    }
    v[n * taps - 1] = 1;
    return table(g, n, taps, v);
}

/* [i][u]: powers of the points. */
static Node *table_of_y(Graph *g, int64_t n, int64_t results) {
    double v[MOST_POINTS * MOST_POINTS] = {0};
    for (int64_t i = 0; i < results; i++)
        for (int64_t u = 0; u < n - 1; u++) v[i * n + u] = pow(POINTS[u], (double)i);
    v[results * n - 1] = 1;
    return table(g, results, n, v);
}

/* ---- the four sums --------------------------------------------------------------------------------------- */

/* Where the axis of the points stands in a tensor: behind the batch. */
static int points_axis(const Node *x) { return x->type.rank && x->type.dim[0].bound ? 1 : 0; }

/* sum over i < taps of table[u, i] x[.., axis: tile * t + i + lo, ..], t < tiles; without the axis t if tiles is 0. */
static Node *transform(const Winograd *w, Node *x, Node *table, int axis, int64_t lo, int64_t tiles, bool mirror) {
    Arena  *a = w->g->arena;
    Var     var[MAX_RANK + 2] = {0};
    Sub     sub[MAX_RANK] = {0}, at[2] = {0};
    int     n = 0, nout = x->type.rank + (tiles ? 1 : 0), u = points_axis(x);
    int64_t taps = table->type.dim[1].size, last = lo + (tiles ? tiles - 1 : 0) * w->m + taps - 1;
    for (int i = 0; i < x->type.rank; i++) {
        if (n == u) n++;
        sub[i].aff = i == axis ? affine_const(lo) : affine_var(n);
        if (i == axis && !tiles) continue;
        if (i == axis) sub[i].aff = affine_add(sub[i].aff, affine_var(n), w->m);
        var[n++] = (Var){.name = i == axis ? "t" : "i", .ext = i == axis ? (Extent){tiles, 0} : x->type.dim[i]};
    }
    var[u] = (Var){.name = "u", .ext = {w->points, 0}};
    var[nout] = (Var){.name = "r", .ext = {taps, 0}};
    sub[axis].aff = affine_add(sub[axis].aff, affine_var(nout), 1);
    at[0].aff = affine_var(u);
    at[1].aff = affine_var(nout);
    if (mirror) {
        at[1].aff = affine_const(taps - 1);
        at[1].aff = affine_add(at[1].aff, affine_var(nout), -1);
    }
    bool        guarded = lo < 0 || last >= x->type.dim[axis].size || x->type.dim[axis].bound;
    const Expr *e = expr_op2(a, SC_MUL, expr_read(a, DT_F32, 0, 2, at, false),
                             expr_read(a, DT_F32, 1, x->type.rank, sub, guarded));
    graph_at(w->g, w->n->name, w->n->loc);
    return graph_comp(w->g, KIND_SUM, nout, 1, 0, var, e, 2, (Node *[]){table, x});
}

/* The read e of the contraction, of what `transform` made of its operand; map: its variables. */
static const Expr *read_points(const Winograd *w, const Expr *e, const Affine *map, int nvar, int axis, int u,
                               bool tiles, int t, int operand) {
    Sub   sub[MAX_RANK + 1] = {0};
    int   n = 0;
    Node *x = w->n->arg[e->operand];
    int   pu = points_axis(x);
    for (int i = 0; i < e->nsub; i++) {
        if (n == pu) n++;
        if (i == axis && !tiles) continue;
        sub[n++].aff = i == axis ? affine_var(t) : affine_subst(&e->sub[i].aff, map, nvar);
    }
    sub[pu].aff = affine_var(u);
    return expr_read(w->g->arena, DT_F32, operand, e->nsub + (tiles ? 1 : 0), sub, e->guarded);
}

/* The contraction over the points: the out `at` or the reduction `tap` runs over tiles, the other is gone, and the out
 * u is new. map[]: its variables for those of the old one. */
static Node *multiply(Winograd *w, Affine *map) {
    const Comp *c = &w->n->u.comp;
    int         drop = w->long_sum ? w->at : w->tap, keep = w->long_sum ? w->tap : w->at;
    int         u = points_axis(w->n), n = 0, nvar = c->nout + c->nred, t = -1;
    Var         var[MAX_VARS] = {0};
    for (int v = 0; v < nvar; v++) {
        if (n == u) n++;
        if (v == drop) continue;
        map[v] = affine_var(n);
        var[n] = c->var[v];
        if (v == keep) var[t = n].ext.size = w->tiles;
        n++;
    }
    var[u] = (Var){.name = "u", .ext = {w->points, 0}};
    bool        a_first = c->expr->arg[0] == w->a;
    const Expr *a = read_points(w, w->a, map, nvar, w->of_a, u, w->long_sum, t, 0);
    const Expr *b = read_points(w, w->b, map, nvar, w->of_b, u, true, t, 1);
    const Expr *e = expr_op2(w->g->arena, SC_MUL, a_first ? a : b, a_first ? b : a);
    int         nout = c->nout + (w->long_sum ? 0 : 1);
    graph_at(w->g, w->n->name, w->n->loc);
    return graph_comp(w->g, KIND_SUM, nout, n - nout, 0, var, e, 2, (Node *[]){w->u, w->v});
}

/* sum over u of table[i, u] product[u, t, ..] at every out of the old contraction; i = at - m t, or at. */
static Node *results(const Winograd *w, Node *product, const Affine *map) {
    const Comp *c = &w->n->u.comp;
    Arena      *a = w->g->arena;
    int         n = c->nout, pu = points_axis(w->n), i = n, u = w->long_sum ? n : n + 1, t = n + 2;
    Var         var[MAX_RANK + 3] = {0};
    Sub         sub[MAX_RANK + 1] = {0}, at[2] = {{affine_var(w->long_sum ? w->at : i), NULL}, {affine_var(u), NULL}};
    for (int v = 0; v < n; v++) {
        int to;
        var[v] = c->var[v];
        if (v == w->at && w->long_sum) continue;
        affine_is_var(&map[v], &to);
        sub[to].aff = affine_var(v == w->at ? t : v);
    }
    sub[pu].aff = affine_var(u);
    if (!w->long_sum) var[i] = (Var){.name = "i", .ext = {w->m, 0}};
    var[u] = (Var){.name = "u", .ext = {w->points, 0}};
    if (!w->long_sum) {
        Affine num = affine_add(affine_var(w->at), affine_var(i), -1);
        var[t] = (Var){.name = "t", .ext = {w->tiles, 0}, .num = num, .div = w->m};
    }
    const Expr *e = expr_op2(a, SC_MUL, expr_read(a, DT_F32, 0, 2, at, false),
                             expr_read(a, DT_F32, 1, product->type.rank, sub, false));
    graph_at(w->g, w->n->name, w->n->loc);
    return graph_comp(w->g, KIND_SUM, n, w->long_sum ? 1 : 2, w->long_sum ? 0 : 1, var, e, 2,
                      (Node *[]){w->table_y, product});
}

/* ---- the pass -------------------------------------------------------------------------------------------- */

static bool same_sum(const Node *a, const Node *b) {
    if (!type_equal(&a->type, &b->type) || !expr_equal(a->u.comp.expr, b->u.comp.expr)) return false;
    return a->arg[1] == b->arg[1] && !memcmp(a->arg[0]->u.konst.value, b->arg[0]->u.konst.value,
                                             sizeof(double) * (size_t)type_count(&a->arg[0]->type));
}

/* The node made before that is equal to n. */
static Node *once(Graph *g, NodeList *made, Node *n) {
    for (int i = 0; i < made->n; i++)
        if (same_sum(made->at[i], n)) return made->at[i];
    vec_push(g->arena, made, n);
    return n;
}

static Node *rewrite(Winograd *w, NodeList *made) {
    Affine  map[MAX_VARS];
    Node   *a = w->n->arg[w->a->operand], *b = w->n->arg[w->b->operand];
    int64_t results_of = w->long_sum ? w->k : w->m, taps = w->long_sum ? w->m : w->k;
    w->table_a = table_of_a(w->g, w->points, taps);
    w->table_b = table_of_b(w->g, w->points);
    w->table_y = table_of_y(w->g, w->points, results_of);
    w->u = once(w->g, made, transform(w, a, w->table_a, w->of_a, 0, w->long_sum ? w->tiles : 0, w->mirror));
    w->v = once(w->g, made, transform(w, b, w->table_b, w->of_b, w->lo, w->tiles, false));
    return results(w, multiply(w, map), map);
}

static bool find(Winograd *w, const Target *t, bool all) {
    const Comp *c = &w->n->u.comp;
    if (w->n->op != OP_COMP || c->kind != KIND_SUM || c->nder) return false;
    if (c->expr->op != SC_MUL || c->nout >= MAX_RANK) return false;
    for (int swap = 0; swap < 2; swap++) {
        w->a = c->expr->arg[swap];
        w->b = c->expr->arg[!swap];
        if (!reads_plainly(w->n, w->a) || !reads_plainly(w->n, w->b) || w->a->operand == w->b->operand) continue;
        for (int i = 0; i + 1 < w->b->nsub; i++)
            if (find_axis(w, i) && choose_tile(w, t, all)) return true;
    }
    return false;
}

/* What is made of small leaves alone comes before all others: between the nests of a chain it would cut it in two. */
static void leaves_first(Graph *g, const NodeList *made, const Target *t) {
    NodeList all = {0};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < g->nodes.n; i++) {
            Node *n = g->nodes.at[i];
            bool  first = false;
            for (int k = 0; k < made->n; k++) first |= made->at[k] == n && n->arg[1]->op == OP_PARAM;
            first &= type_count(&n->type) * dtype_size(n->type.dtype) <= t->l2;
            if (first == (pass == 0)) vec_push(g->arena, &all, n);
        }
    memcpy(g->nodes.at, all.at, sizeof *all.at * (size_t)all.n);
}

void winograd_graph(Graph *g, const Target *t, bool all) {
    NodeList made = {0};
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Winograd w = {.g = g, .n = g->nodes.at[i]};
        if (find(&w, t, all)) graph_replace(g, w.n, rewrite(&w, &made));
    }
    leaves_first(g, &made, t);
    graph_sort(g);
    graph_sweep(g);
}
