/* Subscripts and reads: x[c, 2*i+r-1, t] with a proof that they stay inside, or with ?? for outside. */
#include "frontend/check.h"
#include "frontend/lower.h"

enum { COEF_LIMIT = 1 << 24, OFFSET_LIMIT = 1 << 30 };

/* ---- subscripts -------------------------------------------------------------------------------- */

static Limit last_entry(Cx *cx, const Dim *d, bool up) {
    return limit_add(cx->arena, limit_dim(cx->arena, d, up), limit_number(1), -1);
}

static Subscript constant(int64_t k) {
    Subscript s = {.lo = limit_number(k), .hi = limit_number(k), .is_const = true, .value = k, .aff = affine_const(k)};
    return s;
}

static void of_index(Cx *cx, Index *v, Subscript *s) {
    s->lo = limit_number(0);
    s->hi = v->dim ? last_entry(cx, v->dim, true) : limit_unknown();
    s->elem = v->dim;
    s->index = v;
    s->aff = affine_var(v->var);
    if (v->scan) {
        s->axes.batched = true;
        return;
    }
    s->axes.naxis = 1;
    s->axes.axis = ARENA_ARRAY(cx->arena, Index *, 1);
    s->axes.axis[0] = v;
    s->axes.batched = v->dim && v->dim->ragged;
}

/* The value of s as an i32 expression. */
static const Expr *subscript_expr(Cx *cx, const Subscript *s) {
    Arena *m = cx->graph->arena;
    if (!s->ind) return expr_idx(m, s->aff);
    if (affine_is_const(&s->aff) && !s->aff.c) return s->ind;
    return expr_op2(m, SC_ADD, s->ind, expr_idx(m, s->aff));
}

static bool small(const Affine *a) {
    for (int i = 0; i < a->n; i++)
        if (a->term[i].coef > COEF_LIMIT || a->term[i].coef < -COEF_LIMIT) return false;
    return a->c <= OFFSET_LIMIT && a->c >= -OFFSET_LIMIT;
}

static int terms_of_sum(const Affine *a, const Affine *b) {
    int n = a->n;
    for (int i = 0; i < b->n; i++) n += affine_coef(a, b->term[i].var) == 0;
    return n;
}

static bool add(Cx *cx, const Subscript *a, const Subscript *b, int sign, Loc at, Subscript *s) {
    s->lo = limit_add(cx->arena, a->lo, sign > 0 ? b->lo : b->hi, sign);
    s->hi = limit_add(cx->arena, a->hi, sign > 0 ? b->hi : b->lo, sign);
    s->is_const = a->is_const && b->is_const;
    s->value = a->value + sign * b->value;
    if (terms_of_sum(&a->aff, &b->aff) > MAX_TERMS)
        return report(cx, at, E_LIMIT_INDICES, "a subscript has at most %d indices", MAX_TERMS);
    s->aff = affine_add(a->aff, b->aff, sign);
    if (!cx->graph) return true;
    s->ind = a->ind;
    if (b->ind) {
        Arena *m = cx->graph->arena;
        if (s->ind) s->ind = expr_op2(m, sign > 0 ? SC_ADD : SC_SUB, s->ind, b->ind);
        else s->ind = sign > 0 ? b->ind : expr_op1(m, SC_NEG, b->ind);
    }
    return true;
}

static bool multiply(Cx *cx, const Subscript *a, const Subscript *b, Subscript *s) {
    if (!a->is_const) {
        const Subscript *t = a;
        a = b;
        b = t;
    }
    if (!a->is_const) {                              /* a product of two run-time numbers */
        s->lo = s->hi = limit_unknown();
        if (cx->graph)
            s->ind = expr_op2(cx->graph->arena, SC_MUL, subscript_expr(cx, a), subscript_expr(cx, b));
        s->aff = affine_const(0);
        return true;
    }
    Ratio k = ratio(a->value, 1);
    s->lo = limit_scale(cx->arena, a->value < 0 ? b->hi : b->lo, k);
    s->hi = limit_scale(cx->arena, a->value < 0 ? b->lo : b->hi, k);
    s->is_const = b->is_const;
    s->value = a->value * b->value;
    s->aff = affine_scale(b->aff, a->value);
    if (b->ind)
        s->ind = expr_op2(cx->graph->arena, SC_MUL, expr_int(cx->graph->arena, a->value), b->ind);
    return true;
}

static int64_t floor_div(int64_t x, int64_t k) { return x / k - (x % k < 0); }

static Limit floor_bound(Cx *cx, Limit x, int64_t q, bool up) {
    if (!x.known) return x;
    if (!x.n) {
        Ratio v;
        return ratio_mul(x.c, ratio(1, q), &v) ? limit_number(ratio_floor(v)) : limit_unknown();
    }
    Limit r = limit_scale(cx->arena, x, ratio(1, q));
    return up ? r : limit_add(cx->arena, r, limit_scale(cx->arena, limit_number(1 - q), ratio(1, q)), 1);
}

static bool divide(Cx *cx, const Subscript *a, const Subscript *b, Loc at, Subscript *s) {
    if (!b->is_const || b->value < 1)
        return report(cx, at, E_SUBSCRIPT, "a subscript is divided by a number of at least 1");
    int64_t q = b->value;
    s->lo = floor_bound(cx, a->lo, q, false);
    s->hi = floor_bound(cx, a->hi, q, true);
    s->is_const = a->is_const;
    s->value = floor_div(a->value, q);
    bool exact = !a->ind && a->aff.c % q == 0;
    for (int i = 0; i < a->aff.n; i++) exact = exact && a->aff.term[i].coef % q == 0;
    s->aff = affine_const(s->is_const ? s->value : 0);
    if (s->is_const) return true;
    if (exact) {
        s->aff.c = a->aff.c / q;
        s->aff.n = a->aff.n;
        for (int i = 0; i < a->aff.n; i++) {
            s->aff.term[i].var = a->aff.term[i].var;
            s->aff.term[i].coef = a->aff.term[i].coef / q;
        }
    } else if (cx->graph) {                          /* whole numbers below 2^24: exact in f32 */
        Arena *m = cx->graph->arena;
        const Expr *x = expr_op2(m, SC_DIV, expr_cast(m, DT_F32, subscript_expr(cx, a)), lower_real(cx, (double)q));
        s->ind = expr_cast(m, DT_I32, expr_op1(m, SC_FLOOR, x));
    }
    return true;
}

static bool combine(Cx *cx, const Ast *e, const Subscript *a, const Subscript *b, Subscript *s) {
    Value *from[2] = {(Value *)&a->axes, (Value *)&b->axes};
    take_axes(cx, &s->axes, 2, from);
    bool ok;
    switch (e->kind == AST_NEG ? BIN_SUB : e->op) {
    case BIN_ADD: ok = add(cx, a, b, 1, e->loc, s); break;
    case BIN_SUB: ok = add(cx, a, b, -1, e->loc, s); break;
    case BIN_MUL: ok = multiply(cx, a, b, s); break;
    default: ok = divide(cx, a, b, e->loc, s); break;
    }
    if (ok && (!small(&s->aff) || s->value > OFFSET_LIMIT || s->value < -OFFSET_LIMIT))
        return report(cx, e->loc, E_SUBSCRIPT, "the numbers in this subscript are too large");
    return ok;
}

/* A subscript that is not made of indices and numbers: a value. */
static bool of_value(Cx *cx, const Ast *e, Frame *f, Subscript *s) {
    Value *v = eval(cx, e, f);
    if (!v) return false;
    if (is_static(v)) {
        Num n;
        int64_t k;
        as_static(cx, v, e->loc, &n);
        if (!num_whole(n, &k))
            return report(cx, e->loc, E_SUBSCRIPT, "a subscript is a whole number, not %s", num_text(cx->arena, n));
        if (k > OFFSET_LIMIT || k < -OFFSET_LIMIT)
            return report(cx, e->loc, E_SUBSCRIPT, "the numbers in this subscript are too large");
        *s = constant(k);
        return true;
    }
    v = as_tensor(cx, v, e->loc);
    if (!v) return false;
    s->axes = *v;
    s->lo = s->hi = limit_unknown();
    if (v->ty.base == B_UNKNOWN) return true;
    if (v->ty.rank || (v->ty.base != B_ELEMENT && v->ty.base != B_I32 && v->ty.base != B_U8))
        return report(cx, e->loc, E_SUBSCRIPT,
                      "a subscript is an index, a whole number or an element of a dim, this is %s",
                      ty_text(cx->arena, &v->ty));
    if (v->ty.base == B_ELEMENT) {
        s->lo = limit_number(0);
        s->hi = last_entry(cx, v->ty.elem, true);
        s->elem = v->ty.elem;
    }
    if (!cx->graph) return true;
    s->ind = expr_cast(cx->graph->arena, DT_I32, lower_named(cx, v)->expr);
    if (s->ind->op == SC_CONST) {
        s->aff = affine_const((int64_t)s->ind->value);
        s->ind = NULL;
    }
    return true;
}

bool subscript(Cx *cx, const Ast *e, Frame *f, Subscript *s) {
    *s = (Subscript){.aff = affine_const(0)};
    if (e->kind == AST_ID) {
        Value *v = lookup(f, e->name);
        if (v && v->kind == V_INDEX) {
            of_index(cx, v->u.index, s);
            return true;
        }
        if (v && v->kind == V_DIM && v->u.dim->ragged) {
            uses_sequence(cx, e->loc);
            s->axes.batched = true;
            if (cx->graph) s->ind = length_expr(cx, v->u.dim);
            s->lo = limit_dim(cx->arena, v->u.dim, false);
            s->hi = limit_dim(cx->arena, v->u.dim, true);
            return true;
        }
    }
    bool neg = e->kind == AST_NEG;
    if (!neg && (e->kind != AST_BIN || e->op < BIN_ADD || e->op > BIN_DIV)) return of_value(cx, e, f, s);
    if (cx->depth >= DEPTH_LIMIT) return report(cx, e->loc, E_LIMIT_DEPTH, "this expression is nested too deeply");
    Subscript a = constant(0), b;
    cx->depth++;
    bool ok = neg ? subscript(cx, e->a, f, &b) : subscript(cx, e->a, f, &a) && subscript(cx, e->b, f, &b);
    cx->depth--;
    return ok && combine(cx, e, &a, &b, s);
}

/* ---- staying inside ---------------------------------------------------------------------------- */

/* The axis d takes subscript s: an element of it, or proved inside, or guarded. */
static bool inside(Cx *cx, Subscript *s, const Dim *d, Loc at, bool guarded) {
    s->below = !limit_nonnegative(s->lo);
    s->above = !limit_nonnegative(limit_add(cx->arena, last_entry(cx, d, false), s->hi, -1));
    if (s->elem) {
        bool number = s->index && s->index->bounded && !s->elem->name;
        if (dim_same(s->elem, d)) {
            s->below = s->above = false;
            return true;
        }
        if (!number) {
            if (s->index)
                report(cx, at, E_AXIS, "index %s runs over %s, the axis is %s", s->index->name,
                       dim_text(cx->arena, s->elem), dim_text(cx->arena, d));
            else
                report(cx, at, E_AXIS, "this is an element of %s, the axis is %s", dim_text(cx->arena, s->elem),
                       dim_text(cx->arena, d));
            if (d->name) remark(cx, d->loc, "'%s' is declared here", d->name);
            return false;
        }
    }
    if (guarded || (!s->below && !s->above)) return true;
    Ratio least;
    if (!s->lo.known || !s->hi.known)
        return report(cx, at, E_OUTSIDE,
                      "this subscript is not known to stay inside the axis: give a value for outside with ??");
    if (s->is_const && !d->ragged)
        return report(cx, at, E_OUTSIDE, "subscript %lld is outside [%s]: the first entry is 0, the last %lld",
                      (long long)s->value, dim_text(cx->arena, d), (long long)d->size - 1);
    int errors = cx->diag->errors;
    if (s->below && limit_least(s->lo, &least))
        report(cx, at, E_OUTSIDE, "this subscript can be %s: give a value for outside with ??",
               num_text(cx->arena, (Num){.kind = N_EXACT, .q = least}));
    else
        report(cx, at, E_OUTSIDE, "this subscript can pass the end of %s: give a value for outside with ??",
               dim_text(cx->arena, d));
    if (d->ragged && !s->aff.n)
        advise(cx, errors, "last(..) is the last step that is there, first(..) the first");
    return false;
}

/* x[lo:hi] over axis d: its dim, and where it begins. */
static bool slice(Cx *cx, const Ast *e, Frame *f, Dim *d, Dim **dim, Subscript *begin) {
    *dim = d;
    *begin = constant(0);
    if (!e->a) return true;
    Form lo, hi;
    if (!size_form(cx, e->a, f, &lo) || !size_form(cx, e->b, f, &hi)) return false;
    Form n = form_add(cx->arena, hi, lo, -1);
    if (!dim_fits(cx, n, e->loc, form_text(cx->arena, n))) return false;
    *dim = form_dim(cx->arena, n);
    if (!subscript(cx, e->a, f, begin)) return false;
    if (!d) return true;                            /* not known yet, as below */
    if (!limit_nonnegative(begin->lo) ||
        !limit_nonnegative(limit_add(cx->arena, limit_dim(cx->arena, d, false), limit_form(cx->arena, hi, true), -1)))
        return report(cx, e->loc, E_OUTSIDE, "the slice can leave the axis %s", dim_text(cx->arena, d));
    return true;
}

/* ---- reads ------------------------------------------------------------------------------------- */

/* A read being put together: its subscripts and what the result is. */
typedef struct {
    int       n;
    Subscript sub[MAX_RANK];
    int       own[MAX_RANK];       /* slices: which dim of the result; -1: a plain subscript */
    Ty        ty;
    bool      sliced;
} Read;

static bool read_subscripts(Cx *cx, const Value *base, const AstList *ix, int from, Frame *f, bool guarded, Read *r) {
    r->ty = ty_base(base->ty);
    for (int k = from; k < ix->n; k++) {
        const Ast *e = ix->at[k];
        Dim *d = base->ty.dim[r->n];
        Subscript *s = &r->sub[r->n];
        r->own[r->n] = -1;
        if (e->kind == AST_SLICE) {
            Dim *part;
            if (!slice(cx, e, f, d, &part, s)) return false;
            r->own[r->n] = r->ty.rank;
            r->ty.dim[r->ty.rank++] = part;
            r->sliced = true;
        } else {
            if (!subscript(cx, e, f, s)) return false;
            if (s->index && !s->index->dim) s->index->dim = s->elem = d;
            if (d && !inside(cx, s, d, e->loc, guarded)) return false;
        }
        r->n++;
    }
    for (int k = r->n; k < base->ty.rank; k++) r->ty.dim[r->ty.rank++] = base->ty.dim[k];
    return true;
}

/* Whole rows of a table that does not vary: a gather. */
static bool is_row(const Value *base, const Read *r, bool guard) {
    const Expr *e = base->expr;
    if (guard || r->n != 1 || r->sliced || !r->sub[0].ind || base->ty.rank < 2) return false;
    if (!affine_is_const(&r->sub[0].aff) || r->sub[0].aff.c) return false;
    if (e->nsub != base->ty.rank) return false;
    for (int i = 0, var; i < e->nsub; i++)
        if (!affine_is_var(&e->sub[i].aff, &var) || var != i) return false;
    return true;
}

static bool may_leave(const Subscript *s) { return s->below || s->above; }

/* Past the length of an example a subscript that is made of lengths or steps may be anything. */
static bool may_stray(const Subscript *s, const Dim *d) {
    return d->ragged && !s->elem && !s->is_const;
}

/* The subscripts of a read as they are lowered. An indirect one is trusted to lie inside, so that one
 * which may leave its axis is kept in it; inside_expr says where its value counts. */
static Change subscript_change(Cx *cx, const Value *base, const Read *r, int k) {
    const Subscript *s = &r->sub[k];
    if (!s->ind || !(may_leave(s) || may_stray(s, base->ty.dim[k]))) return (Change){k, s->aff, s->ind};
    Arena *m = cx->graph->arena;
    const Expr *at = subscript_expr(cx, s), *last = length_last(cx, base->ty.dim[k]), *first = expr_int(m, 0);
    at = expr_op2(m, SC_MAX, expr_op2(m, SC_SUB, last, at), first);              /* last - min(at, last) */
    return (Change){k, affine_const(0), expr_op2(m, SC_MAX, expr_op2(m, SC_SUB, last, at), first)};
}

static const Expr *read_expr(Cx *cx, Value *base, const Read *r, bool guard) {
    Change by[MAX_RANK];
    bool indirect = false;
    int terms = 0;
    for (int k = 0; k < r->n; k++) {
        by[k] = subscript_change(cx, base, r, k);
        if (r->own[k] >= 0) by[k].aff = affine_add(by[k].aff, affine_var(r->own[k]), 1);
        indirect |= by[k].ind != NULL;
        terms += by[k].aff.n;
    }
    int rest = r->ty.rank - (base->ty.rank - r->n);          /* dims that slices leave */
    for (int k = r->n; k < base->ty.rank; k++) by[k] = (Change){k, affine_var(k - r->n + rest), NULL};
    if (indirect || guard || terms + base->naxis >= MAX_TERMS) base = lower_direct(cx, base);
    if (is_row(base, r, guard)) {
        const Expr *e;
        Value index = r->sub[0].axes;
        index.kind = V_TENSOR;
        index.ty = ty_scalar(B_I32);
        index.expr = r->sub[0].ind;
        lower_gather(cx, base, &index, &e);
        return e;
    }
    const Expr *e = lower_change(cx, base->expr, base->ty.rank, by);
    return guard ? expr_read(cx->graph->arena, e->dtype, e->operand, e->nsub, e->sub, true) : e;
}

/* True where every subscript is inside that may leave its axis. */
static const Expr *inside_expr(Cx *cx, const Value *base, const Read *r) {
    Arena *m = cx->graph->arena;
    const Expr *all = NULL;
    for (int k = 0; k < r->n; k++) {
        const Expr *at = subscript_expr(cx, &r->sub[k]), *test;
        if (r->sub[k].below) {
            test = expr_op2(m, SC_LT, expr_int(m, -1), at);
            all = all ? lower_and(cx, all, test) : test;
        }
        if (r->sub[k].above) {
            test = expr_op2(m, SC_LT, at, length_expr(cx, base->ty.dim[k]));
            all = all ? lower_and(cx, all, test) : test;
        }
    }
    return all;
}

/* guard, clamp: an affine, an indirect subscript may leave its axis. */
static Value *guarded(Cx *cx, const Ast *e, Frame *f, const Value *base, const Read *r, Value *got,
                      const Ast *otherwise, bool guard, bool clamp) {
    if (r->sliced) {
        report(cx, e->loc, E_SUBSCRIPT, "'?\?' guards subscripts, not slices");
        return NULL;
    }
    Value *other = eval(cx, otherwise, f), *inner = got;
    Ty b;
    if (!other || !unify(cx, &inner, &other, &b, e->loc)) return NULL;
    if (other->ty.rank && other->ty.rank != got->ty.rank) {
        report(cx, otherwise->loc, E_SHAPES, "the default is %s, the value %s", ty_text(cx->arena, &other->ty),
               ty_text(cx->arena, &got->ty));
        return NULL;
    }
    Value *v[2] = {inner, other};
    Value *out = elementwise(cx, 2, v, b, e->loc, "'?\?'");
    if (!out || !cx->graph) return out;
    bool zero = expr_is_const(other->expr, 0) && inner->expr->op == SC_READ;
    for (int k = 0; k < r->n; k++) zero = zero && !(base->ty.dim[k]->ragged && r->sub[k].above);
    if (!clamp && (!guard || zero)) out->expr = inner->expr;
    else out->expr = expr_sel(cx->graph->arena, inside_expr(cx, base, r), inner->expr, other->expr);
    return out;
}

/* A bound cuts an axis shorter than the text knows: only the axis's own index, and 0, are surely below. */
static bool may_pass_bound(Cx *cx, const Value *base, const Read *r, int k) {
    const Subscript *s = &r->sub[k];
    const Dim *d = base->ty.dim[k];
    if (s->ind || !has_bound(cx, d)) return false;
    if (s->is_const && s->value == 0) return r->own[k] >= 0 && !dim_same(r->ty.dim[r->own[k]], d);
    return r->own[k] >= 0 || !s->index || !dim_same(s->index->dim, d);
}

static Value *read(Cx *cx, Value *base, const Ast *e, int from, Frame *f, const Ast *otherwise) {
    const AstList *ix = &e->args;
    if (is_unknown(base)) {
        Subscript s;
        for (int k = from; k < ix->n; k++)
            if (ix->at[k]->kind != AST_SLICE && !subscript(cx, ix->at[k], f, &s)) return NULL;
        Value *any = value_any(cx);
        any->naxis = base->naxis;
        any->axis = base->axis;
        return any;
    }
    if (ix->n - from > base->ty.rank) {
        int given = ix->n - from;
        report(cx, e->loc, E_SUBSCRIPT, "%d subscript%s for %d dim%s: this is %s", given, given == 1 ? "" : "s",
               base->ty.rank, base->ty.rank == 1 ? "" : "s", ty_text(cx->arena, &base->ty));
        return NULL;
    }
    Read r = {0};
    if (!read_subscripts(cx, base, ix, from, f, otherwise != NULL, &r)) return NULL;
    Value *parts[MAX_RANK + 1] = {base};
    bool guard = false, clamp = false;
    for (int k = 0; k < r.n; k++) {
        parts[k + 1] = &r.sub[k].axes;
        if (otherwise && may_leave(&r.sub[k])) *(r.sub[k].ind ? &clamp : &guard) = true;
    }
    Value *got = value_tensor(cx, r.ty);
    take_axes(cx, got, r.n + 1, parts);
    for (int k = 0; k < r.n; k++) got->batched |= r.own[k] >= 0 && base->ty.dim[k]->ragged;
    bool stray = false;
    for (int k = 0; cx->graph && k < r.n; k++) stray |= may_pass_bound(cx, base, &r, k);
    if (cx->graph) got->expr = read_expr(cx, base, &r, guard || stray);
    return otherwise ? guarded(cx, e, f, base, &r, got, otherwise, guard, clamp) : got;
}

/* " (an equation reads its own h[t-1] only inside 'scan t in ...')" where that may be the mistake. */
static const char *recurrence_hint(Cx *cx, const Ast *e) {
    const Ast *s = e->args.at[0];
    bool shift = s->kind == AST_BIN && (s->op == BIN_ADD || s->op == BIN_SUB);
    bool step = shift && s->a->kind == AST_ID && s->b->kind == AST_NUM;
    if (!step) return "";
    return arena_printf(cx->arena, " (an equation reads its own %s[%s] only inside 'scan %s in ...')", e->a->name,
                        ast_text(cx->arena, s), s->a->name);
}

Value *eval_index(Cx *cx, const Ast *e, Frame *f, const Ast *otherwise) {
    if (e->a->kind == AST_ID) {
        const char *name = e->a->name;
        Value *o = lookup(f, name);
        if (o && o->kind == V_SCANOUT) {
            Value *base = scan_read(cx, o->u.out, e->args.at[0], e);
            if (!base) return NULL;
            if (otherwise) {
                int errors = cx->diag->errors;
                report(cx, e->loc, E_SCAN_READ,
                       "%s is carried by the scan: its first value follows 'from', not '?\?'", name);
                if (e->args.n > 1) {
                    const char *step = ast_text(cx->arena, e->args.at[0]);
                    advise(cx, errors, "for a neighbour past the edge take the whole of %s[%s] first: p = %s[%s]; "
                           "p[i-1] ?? 0", name, step, name, step);
                }
                return NULL;
            }
            return e->args.n > 1 ? read(cx, base, e, 1, f, NULL) : base;
        }
        if (!o && !is_builtin(name)) {
            const char *hint = recurrence_hint(cx, e);
            report(cx, e->a->loc, E_NAME, "unknown name '%s'%s", name, *hint ? hint : suggest_visible(cx, f, name));
            return NULL;
        }
        if (!o && is_reduction(name)) {
            report(cx, e->loc, E_CALL, "%s[...] needs an expression in round brackets after it", name);
            return NULL;
        }
    }
    Value *base = eval(cx, e->a, f);
    if (!base) return NULL;
    if (base->kind != V_TENSOR) {
        report(cx, e->loc, E_SUBSCRIPT, "only a tensor takes subscripts");
        return NULL;
    }
    return read(cx, base, e, 0, f, otherwise);
}

Value *eval_guard(Cx *cx, const Ast *e, Frame *f) {
    if (e->a->kind != AST_INDEX) {
        report(cx, e->loc, E_SUBSCRIPT, "'?\?' follows a subscripted read, as in x[i-1] ?? 0");
        return NULL;
    }
    return eval_index(cx, e->a, f, e->b);
}
