/* A scan in the graph: its carries, its body, its sequences. steps.c makes the node. */
#include "frontend/lower_impl.h"
#include "frontend/scan_impl.h"

enum { ROUNDS = 16, DEEPEST = MAX_RANK };

static Arena *memory(Cx *cx) { return cx->graph->arena; }

/* ---- what carries vary with -------------------------------------------------------------------- */

static bool join_axes(Cx *cx, Out *o, const Value *v) {
    Value have = {.naxis = o->naxis, .axis = o->axis}, *both[2] = {&have, (Value *)v}, all = {0};
    if (!v || v->kind != V_TENSOR) return false;
    take_axes(cx, &all, 2, both);
    bool grew = all.naxis > o->naxis;
    o->naxis = all.naxis;
    o->axis = all.axis;
    return grew;
}

/* Inside a map over i a carry varies with i if its first or its next value does: until nothing is added. */
static bool find_axes(ScanWalk *s, Frame *f) {
    Cx *cx = s->cx;
    Graph *graph = cx->graph;
    bool ok = true, grew = true;
    for (int i = 0; i < s->outs.n; i++) join_axes(cx, &s->outs.at[i], s->outs.at[i].init);
    cx->graph = NULL;
    cx->muted++;
    for (int round = 0; ok && grew && round < ROUNDS; round++) {
        Frame *g = scan_frame(s, f);
        grew = false;
        ok = block(cx, &s->item->items, g, false, NULL);
        for (int i = 0; ok && i < s->outs.n; i++)
            if (s->outs.at[i].carried) grew |= join_axes(cx, &s->outs.at[i], scan_output(g, &s->outs.at[i]));
    }
    cx->muted--;
    cx->graph = graph;
    return ok;
}

/* ---- carries ----------------------------------------------------------------------------------- */

static void carry_axes(Cx *cx, int naxis, Index *const *axis, const Ty *ty, Axes *a) {
    *a = (Axes){0};
    axes_push(a, VAR_BATCH, (Extent){cx->batch, 1}, NULL, "b");
    for (int i = 0; i < naxis; i++) axes_push_dim(cx, a, axis[i]->var, axis[i]->dim, axis[i]->name);
    for (int i = 0; i < ty->rank; i++) axes_push_dim(cx, a, i, ty->dim[i], "i");
}

/* A value of the carry's type: a number or zeros fill it. */
static const Expr *carry_expr(Cx *cx, Value *v, const Ty *ty) {
    DType d = lower_dtype(ty);
    if (d == DT_I32 && v->kind == V_NUMBER) return expr_int(memory(cx), (int64_t)num_value(v->u.num));
    const Expr *e = fill(cx, v, ty)->expr;
    if (e->dtype == d) return e;
    return d == DT_I32 && e->op == SC_CONST ? expr_int(memory(cx), (int64_t)e->value) : expr_cast(memory(cx), d, e);
}

/* How many steps were executed before this one, of this example. */
static const Expr *executed(Cx *cx, const Index *v) {
    Arena *m = memory(cx);
    const Expr *t = lower_var(cx, v->var);
    if (!v->reverse) return t;
    return expr_op2(m, SC_SUB, expr_op2(m, SC_SUB, length_expr(cx, v->dim), expr_int(m, 1)), t);
}

/* Every k executed steps the gradient through the carry is cut, but never that to its first value. */
static const Expr *cut(ScanWalk *s, Node *carry, const Axes *a) {
    Cx *cx = s->cx;
    Arena *m = memory(cx);
    const Expr *before = axes_read(cx, carry, a);
    if (!s->truncate || !cx->training || before->dtype != DT_F32) return before;
    const Expr *done = executed(cx, s->var), *k = lower_real(cx, (double)s->truncate), *x = expr_cast(m, DT_F32, done);
    const Expr *whole = expr_op2(m, SC_MUL, k, expr_op1(m, SC_FLOOR, expr_op2(m, SC_DIV, x, k)));
    const Expr *now = lower_and(cx, expr_op2(m, SC_LT, expr_int(m, 0), done), expr_op2(m, SC_EQ, x, whole));
    node_place(cx);
    return expr_sel(m, now, axes_read(cx, graph_stop(cx->graph, carry), a), before);
}

static bool open_carry(ScanWalk *s, OpenLoop *l, Out *o, ScanOut *out, const Expr *counts) {
    Cx *cx = s->cx;
    Axes a;
    cx->at = o->from->loc;
    carry_axes(cx, o->naxis, o->axis, &o->ty, &a);
    OpenLoop *open = cx->loops.at[--cx->loops.n];            /* the first value belongs outside */
    Node *init = lower_as(cx, carry_expr(cx, o->init, &o->ty), &a);
    cx->loops.at[cx->loops.n++] = open;
    if (!init) return false;
    Node *carry = loop_carry(cx, l, init);
    carry->name = arena_printf(memory(cx), "%s.%s", cx->owner, o->name);
    out->before = axes_read(cx, carry, &a);
    out->counts = counts;
    out->prev->expr = cut(s, carry, &a);
    return true;
}

Value *scan_assign(Cx *cx, const ScanOut *o, Value *v) {
    if (!cx->graph || !o->before || !v || v->kind != V_TENSOR) return v;
    Axes a;
    carry_axes(cx, o->naxis, o->axis, &o->ty, &a);
    const Expr *e = carry_expr(cx, v, &o->ty);
    if (o->counts) e = expr_sel(memory(cx), o->counts, e, o->before);
    Node *n = lower_as(cx, e, &a);
    Value *r = value_tensor(cx, o->ty);
    r->batched = true;
    r->naxis = o->naxis;
    r->axis = o->axis;
    r->expr = n ? axes_read(cx, n, &a) : lower_real(cx, 0);
    return r;
}

/* ---- until ------------------------------------------------------------------------------------- */

/* Two more carries: whether an example still runs, and how many steps it has made. */
typedef struct {
    Node *runs, *count;
} Until;

static const Expr *row_expr(Cx *cx, const Node *n) {
    Sub row = {.aff = affine_var(VAR_BATCH)};
    return expr_read(memory(cx), n->type.dtype, n->id, 1, &row, false);
}

static Node *per_row(Cx *cx, const Expr *e) {
    Ty none = {0};
    Axes a;
    carry_axes(cx, 0, NULL, &none, &a);
    return lower_as(cx, e, &a);
}

static Until open_until(ScanWalk *s, OpenLoop *l) {
    Cx *cx = s->cx;
    Until u;
    OpenLoop *open = cx->loops.at[--cx->loops.n];
    Node *runs = per_row(cx, lower_bool(cx, true)), *count = per_row(cx, expr_int(memory(cx), 0));
    cx->loops.at[cx->loops.n++] = open;
    u.runs = loop_carry(cx, l, runs);
    u.count = loop_carry(cx, l, count);
    return u;
}

static bool next_until(ScanWalk *s, OpenLoop *l, const Until *u, Frame *g) {
    Cx *cx = s->cx;
    Arena *m = memory(cx);
    cx->at = s->item->b->loc;
    Value *stop = eval_tensor(cx, s->item->b, g);
    if (!stop) return false;
    if (stop->naxis) return report(cx, s->item->b->loc, E_SCAN, "'until' cannot depend on a map index");
    const Expr *runs = row_expr(cx, u->runs), *one = expr_sel(m, runs, expr_int(m, 1), expr_int(m, 0));
    loop_next(cx, l, per_row(cx, lower_and(cx, runs, lower_not(cx, stop->expr))));
    loop_next(cx, l, per_row(cx, expr_op2(m, SC_ADD, row_expr(cx, u->count), one)));
    return true;
}

/* ---- the scan ---------------------------------------------------------------------------------- */

static bool open_carries(ScanWalk *s, OpenLoop *l, Frame *g, const Until *u) {
    Cx *cx = s->cx;
    const Expr *counts = s->item->b ? row_expr(cx, u->runs) : steps_mask(cx, cx->loops.n);
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        if (o->carried && !open_carry(s, l, o, env_find(&g->env, o->name)->value->u.out, counts)) return false;
    }
    return true;
}

/* One output: which result its sequence is, and the axes of one step of it. */
typedef struct {
    int  result, carry;            /* carry -1: not carried */
    Axes axes;
} Stacked;

static bool close_output(ScanWalk *s, OpenLoop *l, const Out *o, Value *v, int *carries, Stacked *out) {
    Cx *cx = s->cx;
    cx->at = o->lhs->loc;
    if (!v || v->kind != V_TENSOR) return false;
    Node *n = lower_with_axes(cx, v, &out->axes);
    if (!n) return false;
    out->carry = -1;
    if (o->carried) {
        loop_next(cx, l, n);
        out->carry = (*carries)++;
    }
    out->result = loop_stack(cx, l, n);
    return true;
}

static Value *sequence_value(ScanWalk *s, const Out *o, const Value *v, Dim *dim, const Stacked *st,
                             Node *const *result) {
    Cx *cx = s->cx;
    Value *r = scan_sequence(s, o, v, dim);
    if (r->kind == V_POISON) return r;
    Axes a = {0};
    axes_push_dim(cx, &a, 0, dim, "t");
    for (int i = 0; i < st->axes.n; i++) {
        int var = st->axes.var[i] < MAX_RANK ? st->axes.var[i] + 1 : st->axes.var[i];
        axes_push(&a, var, st->axes.ext[i], st->axes.dim[i], st->axes.name[i]);
    }
    if (!axes_fit(cx, &a)) return value_poison(cx);
    r->batched = true;
    r->expr = axes_read(cx, result[st->result], &a);
    if (st->carry >= 0) {
        Value *end = value_copy(cx, v);
        end->expr = axes_read(cx, result[st->carry], &st->axes);
        *(s->var->reverse ? &r->first : &r->last) = end;
        r->whole = r->expr;
    }
    return r;
}

static bool finish(ScanWalk *s, OpenLoop *l, const Until *u, Frame *f, Frame *g, Dim *dim) {
    Cx *cx = s->cx;
    Stacked *st = ARENA_ARRAY(cx->arena, Stacked, s->outs.n);
    Node **result;
    int carries = s->item->b ? 2 : 0;
    if (s->item->b && !next_until(s, l, u, g)) return false;
    for (int i = 0; i < s->outs.n; i++)
        if (!close_output(s, l, &s->outs.at[i], scan_output(g, &s->outs.at[i]), &carries, &st[i])) return false;
    cx->at = s->item->loc;
    loop_finish(cx, l, &result);
    if (s->item->b) length_set(cx, dim, result[1]);
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        define(cx, f, o->name, sequence_value(s, o, scan_output(g, o), dim, &st[i], result), o->lhs->loc);
    }
    return true;
}

bool scan_lower(ScanWalk *s, Frame *f, Dim *dim) {
    Cx *cx = s->cx;
    if (cx->loops.n == DEEPEST)
        return report(cx, s->item->loc, E_LIMIT_DEPTH, "scans are nested more than %d deep", DEEPEST);
    if (!find_axes(s, f)) return false;
    int depth = cx->loops.n;
    OpenLoop *l = loop_open(cx, s->var, s->var->reverse, (int)s->checkpoint);
    Frame *g = scan_frame(s, f);
    Until u = {0};
    if (s->item->b) u = open_until(s, l);
    bool ok = open_carries(s, l, g, &u) && block(cx, &s->item->items, g, false, NULL) && finish(s, l, &u, f, g, dim);
    cx->loops.n = depth;
    return ok;
}
