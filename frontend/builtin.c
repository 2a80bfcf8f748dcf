/* The built-in functions. */
#include <math.h>

#include "frontend/check.h"
#include "frontend/lower.h"

/* A call being served: its arguments. */
typedef struct {
    Cx         *cx;
    const char *name;
    Loc         loc;
    Frame      *frame;
    int         n;
    Value     **arg;
} Call;

static bool need(const Call *c, int low, int high) {
    if (c->n >= low && c->n <= high) return true;
    const char *s = low == 1 && high == 1 ? "" : "s";
    if (low == high)
        return report(c->cx, c->loc, E_ARGUMENTS, "%s takes %d argument%s, %d given", c->name, low, s, c->n);
    return report(c->cx, c->loc, E_ARGUMENTS, "%s takes %d or %d argument%s, %d given", c->name, low, high, s, c->n);
}

/* ---- elementwise ------------------------------------------------------------------------------- */

static double real_value(const char *name, ScalarOp op, double x) {
    if (op != SC_COUNT) return scalar_eval(op, DT_F32, x, 0, 0);
    return !strcmp(name, "abs") ? fabs(x) : (x > 0) - (x < 0);
}

/* abs and sign are choices, with slope 0 at 0. */
static const Expr *sign_expr(Cx *cx, const char *name, const Expr *x) {
    Arena *m = cx->graph->arena;
    const Expr *zero = lower_real(cx, 0), *neg = expr_op2(m, SC_LT, x, zero);
    if (!strcmp(name, "abs"))
        return expr_sel(m, neg, expr_op1(m, SC_NEG, x), expr_sel(m, expr_op2(m, SC_EQ, x, zero), zero, x));
    const Expr *pos = expr_sel(m, expr_op2(m, SC_LT, zero, x), lower_real(cx, 1), zero);
    return expr_sel(m, neg, lower_real(cx, -1), pos);
}

static Value *call_elementwise(const Call *c, ScalarOp op) {
    if (!need(c, 1, 1)) return NULL;
    Cx *cx = c->cx;
    if (is_static(c->arg[0])) {
        Num n;
        as_static(cx, c->arg[0], c->loc, &n);
        return value_number(cx, num_real(real_value(c->name, op, num_value(n))));
    }
    Value *v = as_number(cx, c->arg[0], c->loc, false);
    Value *r = v ? elementwise(cx, 1, &v, ty_scalar(B_F32), c->loc, c->name) : NULL;
    if (!r || !cx->graph) return r;
    r->expr = op == SC_COUNT ? sign_expr(cx, c->name, lower_named(cx, v)->expr)
                             : expr_op1(cx->graph->arena, op, v->expr);
    return r;
}

/* max(a, b), min(a, b): on a tie the second wins, so that max(x, 0) has slope 0 at 0. */
static Value *call_pick(const Call *c) {
    Cx *cx = c->cx;
    bool max = !strcmp(c->name, "max");
    if (c->arg[0]->kind == V_NUMBER && c->arg[1]->kind == V_NUMBER) {
        bool second = num_value(c->arg[1]->u.num) > num_value(c->arg[0]->u.num);
        return c->arg[second == max];
    }
    Value *v[2] = {as_number(cx, c->arg[0], c->loc, false), as_number(cx, c->arg[1], c->loc, false)};
    if (!v[0] || !v[1]) return NULL;
    Value *r = elementwise(cx, 2, v, ty_scalar(B_F32), c->loc, c->name);
    if (!r || !cx->graph) return r;
    Arena *m = cx->graph->arena;
    for (int i = 0; i < 2; i++) v[i] = max ? lower_hoist(cx, v[i], 2, v) : lower_named(cx, v[i]);
    if (max) r->expr = expr_op2(m, SC_MAX, v[0]->expr, v[1]->expr);
    else r->expr = expr_sel(m, expr_op2(m, SC_LT, v[0]->expr, v[1]->expr), v[0]->expr, v[1]->expr);
    return r;
}

/* ---- reductions -------------------------------------------------------------------------------- */

static Value *call_reduce(const Call *c) {
    Cx *cx = c->cx;
    Value *v = as_tensor(cx, c->arg[0], c->loc);
    if (!v) return NULL;
    if (v->ty.base == B_UNKNOWN) return v;
    if (!strncmp(c->name, "arg", 3) && v->ty.rank != 1) {
        report(cx, c->loc, E_SHAPES, "%s needs one dim, this is %s; %s[i](x[i]) names the axis", c->name,
               ty_text(cx->arena, &v->ty), c->name);
        return NULL;
    }
    if (!v->ty.rank) return as_number(cx, v, c->loc, true);
    IndexList ix = {0};
    Value *one = value_tensor(cx, ty_base(v->ty));
    Change by[MAX_RANK];
    one->batched = v->batched;
    one->axis = ARENA_ARRAY(cx->arena, Index *, v->naxis + v->ty.rank);
    for (int k = 0; k < v->naxis; k++) one->axis[one->naxis++] = v->axis[k];
    for (int k = 0; k < v->ty.rank; k++) {
        Index *i = index_new(cx, "r", v->ty.dim[k], NULL, c->loc, true);
        vec_push(cx->arena, &ix, i);
        one->axis[one->naxis++] = i;
        by[k] = (Change){k, affine_var(i->var), NULL};
    }
    if (cx->graph) one->expr = lower_change(cx, v->expr, v->ty.rank, by);
    return fold(cx, c->name, &ix, one, c->loc);
}

/* ---- sequences and shapes ---------------------------------------------------------------------- */

static Value *call_stop(const Call *c) {
    Value *v = need(c, 1, 1) ? as_tensor(c->cx, c->arg[0], c->loc) : NULL;
    if (!v) return NULL;
    Value *r = value_copy(c->cx, v);
    r->param = NULL;
    r->is_index = false;
    if (c->cx->graph && v->expr->op != SC_CONST) r->expr = lower_stop(c->cx, v);
    return r;
}

static Value *call_end(const Call *c) {
    Cx *cx = c->cx;
    Value *v = need(c, 1, 1) ? as_tensor(cx, c->arg[0], c->loc) : NULL;
    if (!v || v->ty.base == B_UNKNOWN) return v;
    if (!v->ty.rank) {
        report(cx, c->loc, E_SHAPES, "%s needs a sequence, this is %s", c->name, ty_text(cx->arena, &v->ty));
        return NULL;
    }
    Value *r = value_copy(cx, v);
    r->ty.rank--;
    r->param = NULL;
    for (int k = 0; k < r->ty.rank; k++) r->ty.dim[k] = v->ty.dim[k + 1];
    r->first = r->last = NULL;
    r->batched |= v->ty.dim[0]->ragged;
    bool last = !strcmp(c->name, "last");
    const Value *end = last ? v->last : v->first;
    if (cx->graph && end && v->expr == v->whole) {
        Value *known = value_copy(cx, end);
        known->ty = r->ty;
        return known;
    }
    if (!cx->graph) return r;
    Change by[MAX_RANK];
    Dim *d = v->ty.dim[0];
    Arena *m = cx->graph->arena;
    by[0] = (Change){0, affine_const(last && !d->ragged ? d->size - 1 : 0), NULL};
    if (last && d->ragged) {
        const Expr *at = expr_op2(m, SC_SUB, length_expr(cx, d), expr_int(m, 1));
        by[0].ind = expr_op2(m, SC_MAX, at, expr_int(m, 0));
        v = lower_direct(cx, v);
    }
    for (int k = 1; k < v->ty.rank; k++) by[k] = (Change){k, affine_var(k - 1), NULL};
    r->expr = lower_change(cx, v->expr, v->ty.rank, by);
    if (d->ragged && (d->derived || d->floored) && r->expr->dtype == DT_F32)      /* it may be empty */
        r->expr = expr_sel(m, expr_op2(m, SC_LT, expr_int(m, 0), length_expr(cx, d)), r->expr, lower_real(cx, 0));
    return r;
}

static Value *call_flatten(const Call *c) {
    Cx *cx = c->cx;
    Value *v = need(c, 1, 1) ? as_tensor(cx, c->arg[0], c->loc) : NULL;
    if (!v || v->ty.base == B_UNKNOWN) return v;
    int64_t size = 1;
    bool large = false;
    for (int k = 0; k < v->ty.rank; k++) {
        Dim *d = v->ty.dim[k];
        if (d->ragged) {
            report(cx, c->loc, E_RAGGED, "flatten over the ragged dim %s: its size is not the same for all examples",
                   dim_text(cx->arena, d));
            if (d->name) remark(cx, d->loc, "'%s' is declared here", d->name);
            return NULL;
        }
        large |= __builtin_mul_overflow(size, d->size, &size);
    }
    if (large || size > SIZE_LIMIT) {
        report(cx, c->loc, E_SIZE_RANGE, "the flattened size is too large: a dim has at most %d", SIZE_LIMIT);
        return NULL;
    }
    Value *r = value_copy(cx, v);
    r->param = NULL;
    r->ty.rank = 1;
    r->ty.dim[0] = dim_number(cx->arena, size);
    if (cx->graph) r->expr = lower_flat(cx, v, r->ty.dim[0]);
    return r;
}

static Value *call_zeros(const Call *c, const Ast *call) {
    Cx *cx = c->cx;
    Ty ty = ty_scalar(B_F32);
    for (int k = 0; k < call->args.n; k++) {
        const Ast *e = call->args.at[k]->a;
        if (ty.rank == MAX_RANK - 1) {
            report(cx, e->loc, E_LIMIT_RANK, "a tensor has at most %d dims besides the batch", MAX_RANK - 1);
            return NULL;
        }
        Dim *d = size_dim(cx, e, c->frame);
        if (!d) return NULL;
        ty.dim[ty.rank++] = d;
    }
    return fill(cx, value_number(cx, num_int(0)), &ty);
}

static Value *call_convert(const Call *c) {
    Cx *cx = c->cx;
    Value *v = need(c, 1, 1) ? as_tensor(cx, c->arg[0], c->loc) : NULL;
    if (!v) return NULL;
    Value *r = value_copy(cx, v);
    r->param = NULL;
    r->is_index = false;
    r->ty.base = B_F32;
    r->ty.elem = NULL;
    if (cx->graph) r->expr = lower_number(cx, v->expr);
    return r;
}

/* ---- chance ------------------------------------------------------------------------------------ */

/* One element by its logits: argmax of z plus Gumbel noise. */
static Value *call_draw(const Call *c) {
    Cx *cx = c->cx;
    Value *v = need(c, 1, 1) ? as_number(cx, c->arg[0], c->loc, false) : NULL;
    if (!v || v->ty.base == B_UNKNOWN) return v;
    if (v->ty.rank != 1) {
        report(cx, c->loc, E_SHAPES, "draw takes one row of logits, this is %s", ty_text(cx->arena, &v->ty));
        return NULL;
    }
    Value *noisy = value_copy(cx, v);
    noisy->batched = true;
    if (cx->graph) {
        Arena *m = cx->graph->arena;
        const Expr *u = lower_uniform(cx, v, "draw");
        const Expr *gumbel = expr_op1(m, SC_NEG, expr_op1(m, SC_LOG, expr_op1(m, SC_NEG, expr_op1(m, SC_LOG, u))));
        noisy->expr = expr_op2(m, SC_ADD, v->expr, gumbel);
    }
    Call argmax = {cx, "argmax", c->loc, c->frame, 1, &noisy};
    return call_reduce(&argmax);
}

/* keep(x, q): 1 with probability q, else 0, for every number of x. */
static Value *call_keep(const Call *c) {
    if (!need(c, 2, 2)) return NULL;
    Cx *cx = c->cx;
    Num p;
    if (is_static(c->arg[1]) && as_static(cx, c->arg[1], c->loc, &p) && (num_value(p) < 0 || num_value(p) > 1)) {
        report(cx, c->loc, E_ARGUMENTS, "the probability to keep a number is from 0 to 1, this is %s",
               num_text(cx->arena, p));
        return NULL;
    }
    Value *v = as_number(cx, c->arg[0], c->loc, false), *q = as_number(cx, c->arg[1], c->loc, false);
    if (!v || !q) return NULL;
    v = value_copy(cx, v);
    v->batched = true;
    Value *both[2] = {v, q};
    Value *r = elementwise(cx, 2, both, ty_scalar(B_F32), c->loc, c->name);
    if (r && cx->graph)
        r->expr = lower_number(cx, expr_op2(cx->graph->arena, SC_LT, lower_uniform(cx, v, "keep"), q->expr));
    return r && tensor_fits(cx, r, c->loc) ? r : NULL;
}

/* A standard normal number for every number of x (Box and Muller). */
static Value *call_noise(const Call *c) {
    Cx    *cx = c->cx;
    Value *v = need(c, 1, 1) ? as_number(cx, c->arg[0], c->loc, false) : NULL;
    if (!v || v->ty.base == B_UNKNOWN) return v;
    v = value_copy(cx, v);
    v->batched = true;
    if (cx->graph) {
        Arena      *m = cx->graph->arena;
        const Expr *u = expr_op1(m, SC_LOG, lower_uniform(cx, v, "noise.r")), *a = lower_uniform(cx, v, "noise.a");
        const Expr *radius = expr_op1(m, SC_SQRT, expr_op2(m, SC_MUL, lower_real(cx, -2), u));
        v->expr = expr_op2(m, SC_MUL, radius, expr_op1(m, SC_COS, expr_op2(m, SC_MUL, lower_real(cx, 2 * M_PI), a)));
    }
    return tensor_fits(cx, v, c->loc) ? v : NULL;
}

/* ---- the batch --------------------------------------------------------------------------------- */

/* The mean of v over the batch and the indices `gone`. */
static const Expr *batch_sum(Cx *cx, const Value *v, const IndexList *gone) {
    Arena *m = cx->graph->arena;
    const Expr *n = expr_bound(m, 1);
    double k = 1;
    bool ragged = false;
    for (int i = 0; i < gone->n; i++) {
        k *= (double)gone->at[i]->dim->size;
        ragged |= gone->at[i]->dim->ragged;
    }
    if (ragged) {                                    /* every valid entry counts once */
        Value *one = value_tensor(cx, ty_scalar(B_F32));
        one->expr = lower_count(cx, gone);
        n = lower_reduce(cx, KIND_SUM, one, NULL, true);
    } else if (k != 1) {
        n = expr_op2(m, SC_MUL, n, lower_real(cx, k));
    }
    return expr_op2(m, SC_DIV, lower_reduce(cx, KIND_SUM, v, gone, true), n);
}

/* Over the batch and over the indices of the callers' maps; this body's own indices stay. */
static Value *call_batch(const Call *c) {
    Cx *cx = c->cx;
    Value *v = need(c, 1, 1) ? as_number(cx, c->arg[0], c->loc, false) : NULL;
    if (!v) return NULL;
    for (Frame *g = c->frame; g; g = g->parent)
        if (g->scan) {
            report(cx, c->loc, E_SCAN, "%s inside a scan", c->name);
            return NULL;
        }
    Value *r = value_copy(cx, v);
    IndexList gone = {0};
    r->axis = ARENA_ARRAY(cx->arena, Index *, v->naxis);
    r->naxis = 0;
    r->batched = false;
    for (int k = 0; k < v->naxis; k++) {
        if (v->axis[k]->frame == c->frame->body) r->axis[r->naxis++] = v->axis[k];
        else vec_push(cx->arena, &gone, v->axis[k]);
    }
    if (!cx->graph) return r;
    if (!v->batched) return v;
    v = lower_named(cx, v);
    r->expr = batch_sum(cx, v, &gone);
    if (!strcmp(c->name, "batch_mean")) return r;
    Arena *m = cx->graph->arena;
    Value *mean = lower_stored(cx, r), *off = value_copy(cx, v);
    off->expr = expr_op2(m, SC_SUB, v->expr, mean->expr);
    off = lower_stored(cx, off);
    off->expr = expr_op2(m, SC_MUL, off->expr, off->expr);
    r->expr = batch_sum(cx, off, &gone);
    return r;
}

/* ---- dispatch ---------------------------------------------------------------------------------- */

static const struct { const char *name; Value *(*call)(const Call *c); } FUNCTIONS[] = {
    {"stop", call_stop}, {"last", call_end}, {"first", call_end}, {"flatten", call_flatten}, {"f32", call_convert},
    {"draw", call_draw}, {"keep", call_keep}, {"noise", call_noise},
    {"batch_mean", call_batch}, {"batch_var", call_batch},
};
enum { NFUNCTIONS = sizeof FUNCTIONS / sizeof *FUNCTIONS };

Value *builtin(Cx *cx, const char *name, const Ast *call, Frame *f, Value *first) {
    Call c = {cx, name, call->loc, f, 0, ARENA_ARRAY(cx->arena, Value *, call->args.n + 1)};
    for (int k = 0; k < call->args.n; k++)
        if (call->args.at[k]->name) {
            report(cx, call->loc, E_ARGUMENTS, "%s has no named arguments%s", name,
                   is_reduction(name) ? arena_printf(cx->arena, "; %s[j](x[i,j]) goes over the dim of j", name) : "");
            return NULL;
        }
    if (!strcmp(name, "zeros")) return call_zeros(&c, call);
    if (first) c.arg[c.n++] = first;
    for (int k = 0; k < call->args.n; k++) {
        Value *v = eval(cx, call->args.at[k]->a, f);
        if (!v) return NULL;
        c.arg[c.n++] = v;
    }
    ScalarOp op;
    if (is_elementwise(name, &op)) return call_elementwise(&c, op);
    bool two = !strcmp(name, "max") || !strcmp(name, "min");
    if (two && c.n == 2) return call_pick(&c);
    if (is_reduction(name)) return need(&c, 1, two ? 2 : 1) ? call_reduce(&c) : NULL;
    for (int i = 0; i < NFUNCTIONS; i++)
        if (!strcmp(name, FUNCTIONS[i].name)) return FUNCTIONS[i].call(&c);
    report(cx, call->loc, E_CALL, "'%s' is not a function", name);
    return NULL;
}
