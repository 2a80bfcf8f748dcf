/* Constant folding and algebra.
 *
 * In expressions: the rules of algebra.c; reads of constants; comparisons of indices, and guards of reads,
 * that the ranges of the variables decide. In comps: derived variables that are affine forms, variables of
 * extent 1, reductions over nothing or over what the expression does not mention, copies, sums over eq
 * (fold_lookup.c), quotients and digits of indices (fold_floor.c, fold_digits.c),
 * comps of constants that are small. Values stay what they are, but for the rounding of a
 * repeated sum that becomes a product. Leaves topological order.
 */
#include <math.h>
#include <string.h>

#include "passes/algebra.h"
#include "passes/fold_impl.h"
#include "passes/pass.h"

/* ---- expressions -------------------------------------------------------------------------------------- */

static const Expr *fold_expr(const Draft *d, const Expr *e);

/* Every element of `n` is the same known number. */
static bool is_uniform(const Node *n, double *v) {
    if (n->type.dtype == DT_U8) return false;
    if (n->op == OP_COMP && n->u.comp.kind == KIND_MAP && n->u.comp.expr->op == SC_CONST) {
        *v = n->u.comp.expr->value;
        return true;
    }
    if (n->op != OP_CONST) return false;
    int64_t count = type_count(&n->type);
    *v = n->u.konst.value[0];
    for (int64_t i = 1; i < count; i++)
        if (memcmp(v, &n->u.konst.value[i], sizeof *v)) return false;
    return true;
}

static const Expr *fold_read(const Draft *d, const Expr *e) {
    Arena      *a = d->g->arena;
    const Node *n = d->arg.at[e->operand];
    double      v;
    if (is_uniform(n, &v) && (!e->guarded || v == 0)) return alg_const(a, e->dtype, v);
    Sub  sub[MAX_RANK];
    bool inside = true, same = true;
    for (int i = 0; i < e->nsub; i++) {
        sub[i] = e->sub[i];
        inside &= affine_inside(&sub[i].aff, d->var, n->type.dim[i]) && !sub[i].ind;
        if (!sub[i].ind) continue;
        sub[i].ind = fold_expr(d, sub[i].ind);
        same &= sub[i].ind == e->sub[i].ind;
    }
    bool guarded = e->guarded && !inside;
    return same && guarded == e->guarded ? e : expr_read(a, e->dtype, e->operand, e->nsub, sub, guarded);
}

/* An index as an affine form; as i32, or as an f32 that holds it exactly. */
static bool whole_form(const Expr *e, Affine *f) {
    enum { EXACT = 1 << 24 };
    if (e->op == SC_IDX) {
        *f = e->aff;
        return true;
    }
    if (e->op == SC_CONST && fabs(e->value) < EXACT && floor(e->value) == e->value) {
        *f = affine_const((int64_t)e->value);
        return true;
    }
    return e->op == SC_CAST && e->dtype == DT_F32 && e->arg[0]->op == SC_IDX && whole_form(e->arg[0], f);
}

/* x < y and x = y of indices, where their ranges decide. */
static const Expr *decide(const Draft *d, const Expr *e) {
    Affine  f, g;
    int64_t lo, hi;
    if (e->arg[0]->dtype == DT_PRED || !whole_form(e->arg[0], &f) || !whole_form(e->arg[1], &g)) return e;
    Affine diff = affine_add(f, g, -1);
    affine_range(&diff, d->var, &lo, &hi);
    if (e->op == SC_LT && hi < 0) return expr_pred(d->g->arena, true);
    if (e->op == SC_LT && lo >= 0) return expr_pred(d->g->arena, false);
    if (e->op == SC_EQ && (hi < 0 || lo > 0)) return expr_pred(d->g->arena, false);
    if (e->op == SC_EQ && lo == 0 && hi == 0) return expr_pred(d->g->arena, true);
    return e;
}

static const Expr *fold_expr(const Draft *d, const Expr *e) {
    Arena      *a = d->g->arena;
    const Expr *arg[3] = {NULL, NULL, NULL};
    if (e->op == SC_READ) return fold_read(d, e);
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = fold_expr(d, e->arg[i]);
    const Expr *r = alg_rebuild(a, e, arg);
    if (r == e) r = alg_simple(a, e);
    return r->op == SC_LT || r->op == SC_EQ ? decide(d, r) : r;
}

/* ---- variables ----------------------------------------------------------------------------------------- */

static void note_vars(const Expr *e, void *used) {
    bool *u = used;
    for (int i = 0; e->op == SC_IDX && i < e->aff.n; i++) u[e->aff.term[i].var] = true;
    for (int k = 0; k < e->nsub; k++)
        for (int i = 0; i < e->sub[k].aff.n; i++) u[e->sub[k].aff.term[i].var] = true;
}

static void find_used(const Draft *d, bool *used) {
    memset(used, 0, sizeof *used * MAX_VARS);
    expr_walk(d->expr, note_vars, used);
    for (int v = d->nout + d->nred; v < d->nout + d->nred + d->nder; v++)
        for (int i = 0; i < d->var[v].num.n; i++) used[d->var[v].num.term[i].var] = true;
}

/* A variable of extent 1 is 0. */
static bool fold_ones(Draft *d) {
    Affine by[MAX_VARS];
    bool   used[MAX_VARS], changed = false;
    int    nvar = d->nout + d->nred + d->nder;
    find_used(d, used);
    for (int v = 0; v < nvar; v++) {
        bool one = d->var[v].ext.size == 1 && !d->var[v].ext.bound && used[v] && !d->var[v].div;
        by[v] = one ? affine_const(0) : affine_var(v);
        changed |= one;
    }
    if (!changed) return false;
    d->expr = expr_subst(d->g->arena, d->expr, by, nvar, NULL);
    for (int v = d->nout + d->nred; v < nvar; v++) d->var[v].num = affine_subst(&d->var[v].num, by, nvar);
    return true;
}

/* n times the same: a product in a sum, nothing in a maximum; a bound may be 0, so only sums know it. */
static bool may_drop(const Draft *d, int v) {
    if (d->var[v].ext.size == 1 && !d->var[v].ext.bound) return true;
    switch (d->kind) {
    case KIND_SUM: return d->expr->dtype == DT_F32;
    case KIND_MAX: case KIND_MIN: case KIND_ALL: case KIND_ANY: return !d->var[v].ext.bound;
    default: return false;
    }
}

static bool drop_unused_reds(Draft *d) {
    Arena *a = d->g->arena;
    bool   used[MAX_VARS], keep[MAX_VARS], changed = false;
    find_used(d, used);
    for (int v = 0; v < MAX_VARS; v++) keep[v] = true;
    for (int v = d->nout; v < d->nout + d->nred; v++) {
        if (used[v] || !may_drop(d, v)) continue;
        Extent x = d->var[v].ext;
        keep[v] = false;
        changed = true;
        if (d->kind == KIND_SUM && (x.size > 1 || x.bound))
            d->expr = alg_op2(a, SC_MUL, d->expr, x.bound ? expr_bound(a, x.bound) : expr_const(a, (double)x.size));
    }
    if (changed) draft_drop_vars(d, keep);
    return changed;
}

/* A sum of zeros. */
static bool fold_zeros(Draft *d) {
    if (d->kind != KIND_SUM || !expr_is_const(d->expr, 0) || d->nred + d->nder == 0) return false;
    d->nred = d->nder = 0;
    return true;
}

/* ---- comps of constants ---------------------------------------------------------------------------------- */

static bool is_small_constant(const Node *n) {
    enum { WORK = 1 << 16, RESULT = 1 << 12 };
    const Comp *c = &n->u.comp;
    int64_t     work = 1;
    for (int k = 0; k < n->narg; k++)
        if (n->arg[k]->op != OP_CONST) return false;
    for (int i = 0; i < n->type.rank; i++)
        if (n->type.dim[i].bound) return false;
    for (int v = 0; v < c->nout + c->nred; v++)
        if (c->var[v].ext.bound || (work *= c->var[v].ext.size) > WORK) return false;
    return n->narg > 0 && type_count(&n->type) <= RESULT && n->type.dtype != DT_U8;
}

static Node *evaluate(Graph *g, const Node *n, Arena *scratch) {
    Graph *t = graph_new(scratch, "constant");
    Node **arg = ARENA_ARRAY(scratch, Node *, n->narg);
    for (int k = 0; k < n->narg; k++) arg[k] = graph_const(t, n->arg[k]->type, n->arg[k]->u.konst.value);
    const Comp *c = &n->u.comp;
    Node       *y = graph_comp(t, c->kind, c->nout, c->nred, c->nder, c->var, c->expr, n->narg, arg);
    graph_output(t, OUT_VALUE, "y", y, NULL);
    return graph_const(g, n->type, interp_run(scratch, t, &(InterpEnv){0})[0]);
}

static bool mentions_bound(const Expr *e) {
    if (e->op == SC_BOUND) return true;
    for (int i = 0; i < SCALARS[e->op].args; i++)
        if (mentions_bound(e->arg[i])) return true;
    return false;
}

/* ---- the pass ---------------------------------------------------------------------------------------------- */

static bool reads_twice(const Node *n) {
    for (int k = 0; k < n->narg; k++)
        for (int j = 0; j < k; j++)
            if (n->arg[j] == n->arg[k]) return true;
    return false;
}

/* Folds comp n in place; gives what to use instead of it: n itself, or another node. */
static Node *fold_comp(Graph *g, Node *n, Arena *scratch, bool *changed) {
    Draft d = draft_of(g, n);
    bool  again = true, any = reads_twice(n);
    while (again) {
        const Expr *e = fold_expr(&d, d.expr);
        again = e != d.expr;
        d.expr = e;
        again |= draft_settle(&d);
        again |= fold_ones(&d);
        again |= drop_unused_reds(&d);
        again |= fold_zeros(&d);
        again |= lookup_reds(&d);
        again |= floor_reds(&d);
        again |= equal_reds(&d);
        any |= again;
    }
    Node *other = lookup_scatter(&d);
    if (!other) other = floor_outs(&d);
    if (!other) other = digits_merged(&d);
    if (!other && !d.nred && d.kind == KIND_MAP) other = draft_copied(&d);
    if (!other) other = digits_split(&d);
    if (!other && any) draft_store(&d, n);
    if (!other && is_small_constant(n) && !mentions_bound(n->u.comp.expr)) other = evaluate(g, n, scratch);
    *changed |= any || other;
    return other ? other : n;
}

/* A reshape of a reshape is one; to the same shape it is none. */
static Node *fold_reshape(Graph *g, Node *n) {
    Node *from = n->arg[0];
    while (from->op == OP_RESHAPE) from = from->arg[0];
    if (type_equal(&from->type, &n->type)) return from;
    return from == n->arg[0] ? n : graph_reshape(g, from, n->type.rank, n->type.dim);
}

bool pass_fold(Graph *g, PassCx *cx) {
    graph_sort(g);
    int    count = g->nodes.n;
    bool   changed = false;
    Node **instead = ARENA_ARRAY(cx->scratch, Node *, count);
    for (int i = 0; i < count; i++) {
        Node *n = g->nodes.at[i];
        for (int k = 0; k < n->narg; k++)
            if (n->arg[k]->id < count) n->arg[k] = instead[n->arg[k]->id];
        graph_at(g, n->name, n->loc);
        instead[i] = n;
        if (n->op == OP_COMP) instead[i] = fold_comp(g, n, cx->scratch, &changed);
        if (n->op == OP_RESHAPE) instead[i] = fold_reshape(g, n);
        changed |= instead[i] != n;
    }
    for (int i = 0; i < g->outs.n; i++) g->outs.at[i].value = instead[g->outs.at[i].value->id];
    graph_at(g, NULL, (Loc){0});
    graph_sort(g);
    return changed;
}
