/* Ragged dims in graphs. A declared one, `dim T <= 64`, is an axis of 64 under a run-time bound, the longest
 * length of the batch, with the lengths of the examples in an input of its name, i32 [n]. A derived one, T-k+1,
 * is an axis of its largest size; its lengths are a formula of the others. */
#include <math.h>
#include <string.h>

#include "frontend/lower_impl.h"

static Arena *memory(Cx *cx) { return cx->graph->arena; }

/* ---- extents ----------------------------------------------------------------------------------- */

static bool is_declared(const Dim *d) { return d->ragged && !d->derived && !d->floored; }

bool has_bound(Cx *cx, const Dim *d) { return extent_of(cx, d).bound != 0; }

Extent extent_of(Cx *cx, const Dim *d) {
    Extent e = {d->size, 0};
    if (!is_declared(d)) return e;
    for (int i = 0; i < cx->until.n; i++)
        if (cx->until.at[i] == d) return e;
    Graph *g = cx->graph;
    const char *name = strcmp(d->name, "n") ? d->name : "n_";        /* the rows are called n */
    for (int i = 2; i < g->bounds.n; i++)
        if (!strcmp(g->bounds.at[i].name, name)) return (Extent){d->size, i};
    if (g->bounds.n <= MAX_BOUNDS) e.bound = graph_bound(g, name, d->size);
    return e;
}

/* ---- lengths ----------------------------------------------------------------------------------- */

void length_set(Cx *cx, const Dim *d, Node *node) {
    Length l = {d, node};
    vec_push(cx->arena, &cx->lengths, l);
}

static const Expr *form_length(Cx *cx, Form f) {
    Arena *m = memory(cx);
    const Expr *sum = expr_int(m, f.c);
    for (int i = 0; i < f.n; i++) {
        const Expr *e = length_expr(cx, f.atom[i].dim);
        if (f.atom[i].k != 1) e = expr_op2(m, SC_MUL, expr_int(m, f.atom[i].k), e);
        sum = i || f.c ? expr_op2(m, SC_ADD, sum, e) : e;
    }
    return sum;
}

/* Whole numbers below 2^24: exact in f32. */
static const Expr *quotient(Cx *cx, const Dim *d) {
    Arena *m = memory(cx);
    const Expr *x = expr_cast(m, DT_F32, form_length(cx, d->over));
    return expr_cast(m, DT_I32, expr_op1(m, SC_FLOOR, expr_op2(m, SC_DIV, x, expr_const(m, (double)d->div))));
}

static Node *length_node(Cx *cx, const Dim *d) {
    Axes a = {0};
    axes_push(&a, VAR_BATCH, (Extent){cx->batch, 1}, NULL, "b");
    node_place(cx);
    if (is_declared(d)) return graph_input(cx->graph, type_of(DT_I32, 1, a.ext), IN_DATA, d->name);
    const Expr *e = d->floored ? quotient(cx, d) : form_length(cx, d->form);
    if (d->derived) e = expr_op2(memory(cx), SC_MAX, e, expr_int(memory(cx), 0));
    return comp_make_plain(cx, KIND_MAP, &a, NULL, e);
}

const Expr *length_expr(Cx *cx, const Dim *d) {
    if (!d->ragged) return expr_int(memory(cx), d->size);
    Node *n = NULL;
    for (int i = 0; i < cx->lengths.n; i++)
        if (cx->lengths.at[i].dim == d || (!d->floored && dim_same(cx->lengths.at[i].dim, d)))
            n = cx->lengths.at[i].node;
    if (!n) {
        n = length_node(cx, d);
        length_set(cx, d, n);
    }
    Sub row = {.aff = affine_var(VAR_BATCH)};
    return expr_read(memory(cx), DT_I32, n->id, 1, &row, false);
}

const Expr *lower_count(Cx *cx, const IndexList *ix) {
    Arena *m = memory(cx);
    const Expr *n = NULL;
    double k = 1;
    for (int i = 0; i < ix->n; i++) {
        const Dim *d = ix->at[i]->dim;
        if (!d->ragged) {
            k *= (double)d->size;
            continue;
        }
        const Expr *e = length_expr(cx, d);
        if (!is_declared(d)) e = expr_op2(m, SC_MAX, e, expr_int(m, 1));
        e = lower_number(cx, e);
        n = n ? expr_op2(m, SC_MUL, n, e) : e;
    }
    if (!n) return lower_real(cx, k);
    return k == 1 ? n : expr_op2(m, SC_MUL, n, lower_real(cx, k));
}

const Expr *length_last(Cx *cx, const Dim *d) {
    Arena *m = memory(cx);
    Extent e = extent_of(cx, d);
    if (!e.bound) return expr_int(m, e.size - 1);
    return expr_op2(m, SC_SUB, expr_cast(m, DT_I32, expr_bound(m, e.bound)), expr_int(m, 1));
}

/* ---- masks ------------------------------------------------------------------------------------- */

static const Expr *inside(Cx *cx, const Expr *all, int var, const Dim *d) {
    const Expr *test = expr_op2(memory(cx), SC_LT, lower_var(cx, var), length_expr(cx, d));
    return all ? lower_and(cx, all, test) : test;
}

static void find_risk(const Expr *e, void *risky) {
    bool divides = e->op == SC_DIV && e->arg[1]->op != SC_CONST;
    if (divides || e->op == SC_EXP || e->op == SC_LOG || e->op == SC_POW) *(bool *)risky = true;
}

static bool listed(const IndexList *list, const Index *i) {
    for (int k = 0; list && k < list->n; k++)
        if (list->at[k] == i) return true;
    return false;
}

static const Expr *inside_own(Cx *cx, const Value *v) {
    const Expr *all = NULL;
    for (int k = 0; k < v->ty.rank; k++)
        if (v->ty.dim[k]->ragged) all = inside(cx, all, k, v->ty.dim[k]);
    return all;
}

const Value *mask_value(Cx *cx, const Value *v, const IndexList *except) {
    bool risky = false;
    if (v->expr->dtype != DT_F32) return v;
    expr_walk(v->expr, find_risk, &risky);
    if (!risky) return v;
    const Expr *all = inside_own(cx, v);
    for (int k = 0; k < v->naxis; k++) {
        const Index *i = v->axis[k];
        if (i->dim->ragged && !listed(except, i) && lower_uses(v->expr, i->var)) all = inside(cx, all, i->var, i->dim);
    }
    int level = steps_level(cx, v->expr);
    const Expr *step = level ? steps_mask(cx, level) : NULL;
    if (step) all = all ? lower_and(cx, all, step) : step;
    if (!all) return v;
    Value *r = value_copy(cx, v);
    r->expr = expr_sel(memory(cx), all, v->expr, lower_real(cx, 0));
    return r;
}

/* What adds nothing. */
static const Expr *neutral(Cx *cx, Kind kind, DType d) {
    bool smallest = kind == KIND_MIN || kind == KIND_ARGMIN, largest = kind == KIND_MAX || kind == KIND_ARGMAX;
    if (d == DT_PRED) return lower_bool(cx, kind == KIND_ALL);
    double v = kind == KIND_PROD ? 1 : smallest ? INFINITY : largest ? -INFINITY : 0;
    if (d == DT_F32) return lower_real(cx, v);
    return expr_int(memory(cx), smallest ? INT32_MAX : largest ? INT32_MIN : (int64_t)v);
}

const Value *mask_reduced(Cx *cx, Kind kind, const Value *v, const IndexList *ix) {
    v = mask_value(cx, v, ix);
    const Expr *all = NULL;
    for (int k = 0; ix && k < ix->n; k++)
        if (ix->at[k]->dim->ragged) all = inside(cx, all, ix->at[k]->var, ix->at[k]->dim);
    if (!all) return v;
    Value *r = value_copy(cx, v);
    r->expr = expr_sel(memory(cx), all, v->expr, neutral(cx, kind, v->expr->dtype));
    return r;
}

/* Declared lengths are at least 1. */
const Expr *unless_empty(Cx *cx, Kind kind, const Expr *e, const IndexList *ix) {
    Arena *m = memory(cx);
    if (kind != KIND_MAX && kind != KIND_MIN) return e;
    for (int k = 0; ix && k < ix->n; k++) {
        const Dim *d = ix->at[k]->dim;
        if (!d->ragged || is_declared(d)) continue;
        e = expr_sel(m, expr_op2(m, SC_LT, expr_int(m, 0), length_expr(cx, d)), e, neutral(cx, KIND_SUM, e->dtype));
    }
    return e;
}

const Expr *mask_input(Cx *cx, const Value *v) {
    const Expr *all = inside_own(cx, v);
    if (!all) return v->expr;
    DType d = v->expr->dtype;
    const Expr *zero = d == DT_U8 ? expr_cast(memory(cx), d, lower_real(cx, 0)) : neutral(cx, KIND_SUM, d);
    return expr_sel(memory(cx), all, v->expr, zero);
}
