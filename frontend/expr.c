/* Expressions: names, arithmetic, comparison, conditions. */
#include <math.h>

#include "frontend/check.h"
#include "frontend/lower.h"

/* ---- what a value can be used as --------------------------------------------------------------- */

static Value *constant(Cx *cx, Num n) {
    Value *v = value_tensor(cx, ty_scalar(n.kind == N_BOOL ? B_BOOL : B_F32));
    if (cx->graph) v->expr = n.kind == N_BOOL ? lower_bool(cx, n.q.num) : lower_real(cx, num_value(n));
    return v;
}

Value *as_tensor(Cx *cx, Value *v, Loc at) {
    if (!v) return NULL;
    switch (v->kind) {
    case V_TENSOR: return v;
    case V_NUMBER: return constant(cx, v->u.num);
    case V_DIM: {
        if (!v->u.dim->ragged) return constant(cx, num_int(v->u.dim->size));
        uses_sequence(cx, at);
        Value *r = value_tensor(cx, ty_scalar(B_F32));
        r->batched = true;
        if (cx->graph) r->expr = lower_number(cx, length_expr(cx, v->u.dim));
        return r;
    }
    case V_POISON: return NULL;
    case V_TUPLE:
        report(cx, at, E_VALUES, "%d values where one is needed", v->u.tuple.n);
        return NULL;
    case V_INST:
        report(cx, at, E_VALUE, "%s is a layer instance: apply it to something", v->u.inst->path);
        return NULL;
    default:
        report(cx, at, E_VALUE, "a value is needed here");
        return NULL;
    }
}

bool as_static(Cx *cx, const Value *v, Loc at, Num *out) {
    if (!v || v->kind == V_POISON) return false;
    if (v->kind == V_NUMBER) *out = v->u.num;
    else if (is_static(v)) *out = num_int(v->u.dim->size);
    else return report(cx, at, E_STATIC, "this must be known at compile time");
    return true;
}

Value *as_number(Cx *cx, Value *v, Loc at, bool boolean) {
    v = as_tensor(cx, v, at);
    if (!v) return NULL;
    if (v->ty.base == B_ELEMENT && !v->is_index) {
        report(cx, at, E_ELEMENT, "this is an element of %s, not a number: f32(...) converts",
               dim_text(cx->arena, v->ty.elem));
        return NULL;
    }
    if (v->ty.base == B_BOOL && !boolean) {
        report(cx, at, E_CONDITION, "this is a condition, not a number: f32(...) converts");
        return NULL;
    }
    if (v->ty.base == B_F32 || v->ty.base == B_UNKNOWN) return v;
    Value *r = value_copy(cx, v);
    r->ty.base = B_F32;
    r->ty.elem = NULL;
    r->is_index = false;
    if (v->expr) r->expr = lower_number(cx, v->expr);
    return r;
}

Value *as_literal(Cx *cx, Value *v, Dim *dim, Loc at) {
    int64_t k;
    if (!num_whole(v->u.num, &k) || k < 0 || k >= dim->size) {
        report(cx, at, E_ELEMENT, "%s is not an element of %s", num_text(cx->arena, v->u.num),
               dim_text(cx->arena, dim));
        return NULL;
    }
    Value *r = value_tensor(cx, ty_element(dim));
    if (cx->graph) r->expr = expr_int(cx->graph->arena, k);
    return r;
}

Value *fill(Cx *cx, Value *v, const Ty *ty) {
    if (v->kind == V_TENSOR && !v->zeros) return v;
    Value *r = value_tensor(cx, *ty);
    for (int i = 0; i < ty->rank; i++) r->batched |= ty->dim[i]->ragged;
    if (cx->graph) r->expr = lower_real(cx, v->kind == V_NUMBER ? num_value(v->u.num) : 0);
    return r;
}

bool tensor_fits(Cx *cx, const Value *v, Loc at) {
    int rank = v->ty.rank + v->naxis + v->batched;
    if (rank > MAX_RANK)
        return report(cx, at, E_LIMIT_RANK,
                      "a tensor has at most %d axes, the batch and the indices around it included; this has %d",
                      MAX_RANK, rank);
    int64_t n = 1;
    bool large = false;
    for (int i = 0; i < v->ty.rank; i++)             /* a dim that is not known yet is found wanting elsewhere */
        if (v->ty.dim[i]) large |= __builtin_mul_overflow(n, v->ty.dim[i]->size, &n) || n > MAX_ELEMENTS;
    for (int i = 0; i < v->naxis; i++)
        if (v->axis[i]->dim) large |= __builtin_mul_overflow(n, v->axis[i]->dim->size, &n) || n > MAX_ELEMENTS;
    return !large || report(cx, at, E_LIMIT_TENSOR, "this tensor has more than 2^40 elements");
}

/* ---- elementwise ------------------------------------------------------------------------------- */

Value *elementwise(Cx *cx, int n, Value *const *v, Ty base, Loc at, const char *what) {
    Ty shape = {0};
    bool any = false, unknown = false;
    for (int i = 0; i < n; i++) {
        const Ty *t = &v[i]->ty;
        unknown |= t->base == B_UNKNOWN;
        if (!t->rank) continue;
        bool same = shape.rank == t->rank;
        for (int k = 0; same && k < t->rank; k++) same = dim_same(shape.dim[k], t->dim[k]);
        if (any && !same) {
            shape.base = B_F32;
            Ty other = *t;
            other.base = B_F32;
            int errors = cx->diag->errors;
            report(cx, at, E_SHAPES, "%s: shapes %s and %s differ", what, ty_text(cx->arena, &shape),
                   ty_text(cx->arena, &other));
            if (shape.rank != other.rank)
                advise(cx, errors, "no value is spread over dims by itself: an equation says which, as in "
                       "y[i,j] = x[i,j] + b[j]");
            return NULL;
        }
        for (int k = 0; k < t->rank; k++) shape.dim[k] = any ? dim_join(shape.dim[k], t->dim[k]) : t->dim[k];
        shape.rank = t->rank;
        any = true;
    }
    shape.base = unknown && !any ? B_UNKNOWN : base.base;
    shape.elem = base.elem;
    Value *r = value_tensor(cx, shape);
    take_axes(cx, r, n, v);
    return r;
}

/* The operands of an elementwise operation as expressions: what does not vary with everything that the
 * result varies with, and is expensive, becomes a node of its own first. */
static void operands(Cx *cx, int n, Value **v) {
    for (int i = 0; i < n; i++) v[i] = lower_hoist(cx, v[i], n, v);
}

static bool multiply_shapes(Cx *cx, Value *a, Value *b, Loc at, Value **out) {
    int ra = a->ty.rank, rb = b->ty.rank;
    bool ua = is_unknown(a), ub = is_unknown(b);
    Value *both[2] = {a, b};
    *out = NULL;
    if (ra == 2 && ub) {
        *out = value_tensor(cx, (Ty){.base = B_F32, .rank = 1, .dim = {a->ty.dim[0]}});
        take_axes(cx, *out, 2, both);
        (*out)->batched = true;
        return true;
    }
    if (ra == 2 && (rb == 1 || rb == 2)) {
        if (!dim_same(a->ty.dim[1], b->ty.dim[0]))
            return report(cx, at, E_SHAPES, "'*' of %s and %s: %s and %s differ", ty_text(cx->arena, &a->ty),
                          ty_text(cx->arena, &b->ty), dim_text(cx->arena, a->ty.dim[1]),
                          dim_text(cx->arena, b->ty.dim[0]));
        Ty ty = {.base = B_F32, .rank = rb, .dim = {a->ty.dim[0]}};
        if (rb == 2) ty.dim[1] = b->ty.dim[1];
        *out = value_tensor(cx, ty);
        take_axes(cx, *out, 2, both);
        if (cx->graph) (*out)->expr = lower_matmul(cx, a, b);
        return true;
    }
    if (ra == 1 && rb == 2)
        return report(cx, at, E_SHAPES, "'*' of %s and %s: the matrix stands before its vector, W*x",
                      ty_text(cx->arena, &a->ty), ty_text(cx->arena, &b->ty));
    if (ra && (rb || ub) && !ua && !ub)
        return report(cx, at, E_SHAPES,
                      "'*' of %s and %s: sum[i](a[i]*b[i]) is the inner product, .* works element by element",
                      ty_text(cx->arena, &a->ty), ty_text(cx->arena, &b->ty));
    if (ua && rb) {
        *out = value_any(cx);
        take_axes(cx, *out, 2, both);
    }
    return true;
}

Value *arithmetic(Cx *cx, BinOp op, Value *a, Value *b, Loc at) {
    a = as_number(cx, a, at, false);
    b = as_number(cx, b, at, false);
    if (!a || !b) return NULL;
    if (op == BIN_MUL) {
        Value *r;
        if (!multiply_shapes(cx, a, b, at, &r)) return NULL;
        if (r) return r;
    }
    if (op == BIN_DIV && a->ty.rank && b->ty.rank) {
        report(cx, at, E_SHAPES, "'/' of %s and %s: './' divides element by element", ty_text(cx->arena, &a->ty),
               ty_text(cx->arena, &b->ty));
        return NULL;
    }
    Value *v[2] = {a, b};
    Value *r = elementwise(cx, 2, v, ty_scalar(B_F32), at, arena_printf(cx->arena, "'%s'", bin_op_text(op)));
    if (!r || !cx->graph) return r;
    static const ScalarOp SCALAR_OF[] = {
        [BIN_ADD] = SC_ADD, [BIN_SUB] = SC_SUB, [BIN_MUL] = SC_MUL, [BIN_DIV] = SC_DIV, [BIN_EMUL] = SC_MUL,
        [BIN_EDIV] = SC_DIV,
    };
    operands(cx, 2, v);
    r->expr = expr_op2(cx->graph->arena, SCALAR_OF[op], v[0]->expr, v[1]->expr);
    return r;
}

static Value *logical(Cx *cx, const Ast *e, Value *a, Value *b) {
    Value *v[2] = {as_tensor(cx, a, e->loc), as_tensor(cx, b, e->loc)};
    for (int i = 0; i < 2; i++) {
        if (!v[i]) return NULL;
        if (v[i]->ty.base == B_BOOL || v[i]->ty.base == B_UNKNOWN) continue;
        report(cx, e->loc, E_CONDITION, "'%s' joins conditions, this is %s", bin_op_text(e->op),
               ty_text(cx->arena, &v[i]->ty));
        return NULL;
    }
    Value *r = elementwise(cx, 2, v, ty_scalar(B_BOOL), e->loc, bin_op_text(e->op));
    if (r && cx->graph)
        r->expr = e->op == BIN_AND ? lower_and(cx, v[0]->expr, v[1]->expr) : lower_or(cx, v[0]->expr, v[1]->expr);
    return r;
}

static const Expr *compare_exprs(Cx *cx, BinOp op, const Expr *a, const Expr *b) {
    Arena *m = cx->graph->arena;
    if (a->dtype != b->dtype || a->dtype == DT_PRED) {
        a = lower_number(cx, a);
        b = lower_number(cx, b);
    }
    switch (op) {
    case BIN_EQ: return expr_op2(m, SC_EQ, a, b);
    case BIN_NE: return lower_not(cx, expr_op2(m, SC_EQ, a, b));
    case BIN_LT: return expr_op2(m, SC_LT, a, b);
    case BIN_GT: return expr_op2(m, SC_LT, b, a);
    case BIN_LE: return lower_or(cx, expr_op2(m, SC_LT, a, b), expr_op2(m, SC_EQ, a, b));
    default: return lower_or(cx, expr_op2(m, SC_LT, b, a), expr_op2(m, SC_EQ, a, b));
    }
}

static bool comparable(Cx *cx, BinOp op, Value **a, Value **b, Loc at) {
    const char *sign = bin_op_text(op);
    if (is_element(*a) && !(*a)->is_index && (*b)->kind == V_NUMBER) *b = as_literal(cx, *b, (*a)->ty.elem, at);
    else if (is_element(*b) && !(*b)->is_index && (*a)->kind == V_NUMBER) *a = as_literal(cx, *a, (*b)->ty.elem, at);
    if (!*a || !*b) return false;
    if (is_element(*a) && is_element(*b)) {
        if (!dim_same((*a)->ty.elem, (*b)->ty.elem))
            return report(cx, at, E_ELEMENT, "'%s' of an element of %s and one of %s", sign,
                          dim_text(cx->arena, (*a)->ty.elem), dim_text(cx->arena, (*b)->ty.elem));
        if (op != BIN_EQ && op != BIN_NE && !(*a)->is_index && !(*b)->is_index)
            return report(cx, at, E_ELEMENT, "elements of %s have no order: '==' and '!=' only",
                          dim_text(cx->arena, (*a)->ty.elem));
    } else if (!((*a)->kind == V_TENSOR && (*a)->ty.base == B_BOOL)) {
        *a = as_number(cx, *a, at, false);
        *b = as_number(cx, *b, at, false);
    }
    *a = as_tensor(cx, *a, at);
    *b = as_tensor(cx, *b, at);
    return *a && *b;
}

static Value *comparison(Cx *cx, BinOp op, Value *a, Value *b, Loc at) {
    if (!comparable(cx, op, &a, &b, at)) return NULL;
    Value *v[2] = {a, b};
    Value *r = elementwise(cx, 2, v, ty_scalar(B_BOOL), at, arena_printf(cx->arena, "'%s'", bin_op_text(op)));
    if (!r || !cx->graph) return r;
    operands(cx, 2, v);
    r->expr = compare_exprs(cx, op, v[0]->expr, v[1]->expr);
    return r;
}

/* x^k for a whole k: multiplications. Intermediate squares become nodes, so that the work is log k. */
static Value *whole_power(Cx *cx, Value *v, int64_t k) {
    Arena *m = cx->graph->arena;
    if (k == 0) {
        Value *r = value_copy(cx, v);
        r->expr = lower_real(cx, 1);
        return r;
    }
    if (k < 0) {
        Value *r = value_copy(cx, whole_power(cx, v, -k));
        r->expr = expr_op2(m, SC_DIV, lower_real(cx, 1), r->expr);
        return r;
    }
    if (k == 1) return v;
    v = lower_named(cx, v);
    Value *half = lower_named(cx, whole_power(cx, v, k / 2));
    Value *r = value_copy(cx, v);
    r->expr = expr_op2(m, SC_MUL, half->expr, half->expr);
    if (k % 2) r->expr = expr_op2(m, SC_MUL, r->expr, v->expr);
    return r;
}

static Value *power(Cx *cx, Value *a, Value *b, Loc at) {
    a = as_number(cx, a, at, false);
    if (!a) return NULL;
    if (b->kind == V_NUMBER) {
        int64_t k;
        Value *r = elementwise(cx, 1, &a, ty_scalar(B_F32), at, "^");
        if (!r || !cx->graph) return r;
        bool whole = num_whole(b->u.num, &k) && k >= -64 && k <= 64;
        r->expr = whole ? whole_power(cx, a, k)->expr
                        : expr_op2(cx->graph->arena, SC_POW, a->expr, lower_real(cx, num_value(b->u.num)));
        return r;
    }
    b = as_number(cx, b, at, false);
    if (!b) return NULL;
    Value *v[2] = {a, b};
    Value *r = elementwise(cx, 2, v, ty_scalar(B_F32), at, "^");
    if (!r || !cx->graph) return r;
    operands(cx, 2, v);
    r->expr = expr_op2(cx->graph->arena, SC_POW, v[0]->expr, v[1]->expr);
    return r;
}

static Value *eval_binary(Cx *cx, const Ast *e, Frame *f) {
    Value *a = eval(cx, e->a, f), *b = eval(cx, e->b, f);
    if (!a || !b) return NULL;
    if (is_static(a) && is_static(b)) {
        Num x, y, r;
        if (!as_static(cx, a, e->loc, &x) || !as_static(cx, b, e->loc, &y)) return NULL;
        if (!num_binary(e->op, x, y, &r)) {
            report(cx, e->loc, E_DIVISION, "division by zero");
            return NULL;
        }
        return value_number(cx, r);
    }
    switch (e->op) {
    case BIN_AND: case BIN_OR: return logical(cx, e, a, b);
    case BIN_EQ: case BIN_NE: case BIN_LT: case BIN_GT: case BIN_LE: case BIN_GE:
        return comparison(cx, e->op, a, b, e->loc);
    case BIN_POW: return power(cx, a, b, e->loc);
    default: return arithmetic(cx, e->op, a, b, e->loc);
    }
}

static Value *eval_neg(Cx *cx, const Ast *e, Frame *f) {
    Value *v = eval(cx, e->a, f);
    if (!v) return NULL;
    if (v->kind == V_NUMBER) {
        Num r;
        num_binary(BIN_SUB, num_int(0), v->u.num, &r);
        return value_number(cx, v->u.num.kind == N_REAL ? num_real(-v->u.num.r) : r);
    }
    v = as_number(cx, v, e->loc, false);
    Value *r = v ? elementwise(cx, 1, &v, ty_scalar(B_F32), e->loc, "-") : NULL;
    if (r && cx->graph) r->expr = expr_op1(cx->graph->arena, SC_NEG, v->expr);
    return r;
}

static Value *eval_not(Cx *cx, const Ast *e, Frame *f) {
    Value *v = eval(cx, e->a, f);
    if (!v) return NULL;
    if (v->kind == V_NUMBER) return value_number(cx, num_bool(num_value(v->u.num) == 0));
    v = as_tensor(cx, v, e->loc);
    if (!v) return NULL;
    if (v->ty.base != B_BOOL && v->ty.base != B_UNKNOWN) {
        report(cx, e->loc, E_CONDITION, "'not' needs a condition, this is %s", ty_text(cx->arena, &v->ty));
        return NULL;
    }
    Value *r = elementwise(cx, 1, &v, ty_scalar(B_BOOL), e->loc, "not");
    if (r && cx->graph) r->expr = lower_not(cx, v->expr);
    return r;
}

/* ---- if ---------------------------------------------------------------------------------------- */

static Value *zero_tensor(Cx *cx, Value *v) {
    return v && v->zeros ? constant(cx, num_int(0)) : v;
}

bool unify(Cx *cx, Value **a, Value **b, Ty *base, Loc at) {
    if (!*a || !*b) return false;
    bool ea = is_element(*a) && !(*a)->is_index, eb = is_element(*b) && !(*b)->is_index;
    if (ea && (*b)->kind == V_NUMBER) *b = as_literal(cx, *b, (*a)->ty.elem, at);
    else if (eb && (*a)->kind == V_NUMBER) *a = as_literal(cx, *a, (*b)->ty.elem, at);
    *a = zero_tensor(cx, as_tensor(cx, *a, at));
    *b = zero_tensor(cx, as_tensor(cx, *b, at));
    if (!*a || !*b) return false;
    if (ea || eb || (*a)->ty.base == B_BOOL || (*b)->ty.base == B_BOOL) {
        Ty x = ty_base((*a)->ty), y = ty_base((*b)->ty);
        if (!ty_same(&x, &y))
            return report(cx, at, E_MATCH, "%s and %s differ", ty_text(cx->arena, &(*a)->ty),
                          ty_text(cx->arena, &(*b)->ty));
        *base = ty_join(&x, &y);
        return true;
    }
    *a = as_number(cx, *a, at, false);
    *b = as_number(cx, *b, at, false);
    *base = ty_scalar(B_F32);
    return *a && *b;
}

static Value *eval_if(Cx *cx, const Ast *e, Frame *f) {
    Value *c = eval(cx, e->a, f);
    if (!c) return NULL;
    if (c->kind == V_NUMBER) {
        if (c->u.num.kind != N_BOOL) {
            report(cx, e->a->loc, E_CONDITION, "'if' needs a condition, this is a number");
            return NULL;
        }
        return eval(cx, c->u.num.q.num ? e->b : e->c, f);
    }
    c = as_tensor(cx, c, e->a->loc);
    if (!c) return NULL;
    if (c->ty.base != B_BOOL && c->ty.base != B_UNKNOWN) {
        report(cx, e->a->loc, E_CONDITION, "'if' needs a condition, this is %s", ty_text(cx->arena, &c->ty));
        return NULL;
    }
    Value *a = eval(cx, e->b, f), *b = eval(cx, e->c, f);
    Ty base;
    if (!a || !b || !unify(cx, &a, &b, &base, e->loc)) return NULL;
    Value *v[3] = {c, a, b};
    Value *r = elementwise(cx, 3, v, base, e->loc, "'if'");
    if (!r || !cx->graph) return r;
    operands(cx, 3, v);
    r->expr = expr_sel(cx->graph->arena, v[0]->expr, v[1]->expr, v[2]->expr);
    return r;
}

/* ---- names and literals ------------------------------------------------------------------------ */

static Value *builtin_name(Cx *cx, const Ast *e, Frame *f) {
    if (!strcmp(e->name, "training")) return value_number(cx, num_bool(cx->training));
    if (!strcmp(e->name, "inf")) return value_number(cx, num_real(INFINITY));
    if (!strcmp(e->name, "pi")) return value_number(cx, num_real(M_PI));
    if (!strcmp(e->name, "zeros")) {
        Value *v = value_tensor(cx, ty_scalar(B_UNKNOWN));
        v->zeros = true;
        if (cx->graph) v->expr = lower_real(cx, 0);
        return v;
    }
    if (is_builtin(e->name)) report(cx, e->loc, E_CALL, "'%s' is a function: call it", e->name);
    else report(cx, e->loc, E_NAME, "unknown name '%s'%s", e->name, suggest_visible(cx, f, e->name));
    return NULL;
}

static Value *index_value(Cx *cx, const Ast *e, Frame *f) {
    Subscript s;
    if (!subscript(cx, e, f, &s)) return NULL;
    Value *v = value_tensor(cx, ty_element(s.elem));
    v->naxis = s.axes.naxis;
    v->axis = s.axes.axis;
    v->batched = s.axes.batched;
    v->is_index = true;
    if (cx->graph) v->expr = lower_var(cx, s.index->var);
    return v;
}

static Value *eval_name(Cx *cx, const Ast *e, Frame *f) {
    Value *v = lookup(f, e->name);
    if (!v) return builtin_name(cx, e, f);
    switch (v->kind) {
    case V_POISON: return NULL;
    case V_INDEX: return index_value(cx, e, f);
    case V_SCANOUT: {
        const char *t = v->u.out->var->name;
        report(cx, e->loc, E_SCAN_READ, "inside its scan '%s' needs a subscript: %s[%s] or %s[%s-1]", e->name, e->name,
               t, e->name, t);
        return NULL;
    }
    default: break;
    }
    if (v->param) v->param->read = true;
    if (!v->scalar || !cx->graph) return v;
    Value *r = value_copy(cx, v);
    r->scalar = NULL;
    r->expr = lower_scalar_input(cx, v->scalar);
    return r;
}

static Value *eval_tuple(Cx *cx, const Ast *e, Frame *f) {
    Value *t = value_new(cx, V_TUPLE);
    t->u.tuple.n = e->args.n;
    t->u.tuple.at = ARENA_ARRAY(cx->arena, Value *, e->args.n);
    for (int i = 0; i < e->args.n; i++) {
        t->u.tuple.at[i] = eval(cx, e->args.at[i], f);
        if (!t->u.tuple.at[i]) return NULL;
    }
    return t;
}

typedef VEC(double) Numbers;

/* The numbers of a nested list in C order; dim[0 .. *rank-1] its sizes, the same all over. */
static bool table(Cx *cx, const Ast *e, int depth, int *rank, int64_t *dim, Numbers *out) {
    if (e->kind != AST_LIST) {
        Num n;
        const Ast *bad;
        if (*rank < 0) *rank = depth;
        if (*rank != depth || !num_const(e, &n, &bad)) return false;
        vec_push(cx->arena, out, num_value(n));
        return true;
    }
    if (depth >= MAX_RANK - 1 || (*rank >= 0 && depth >= *rank) || !e->args.n) return false;
    if (dim[depth] < 0) dim[depth] = e->args.n;
    if (dim[depth] != e->args.n) return false;
    for (int i = 0; i < e->args.n; i++)
        if (!table(cx, e->args.at[i], depth + 1, rank, dim, out)) return false;
    return true;
}

static Value *eval_list(Cx *cx, const Ast *e) {
    int64_t dim[MAX_RANK];
    int rank = -1;
    Numbers numbers = {0};
    for (int i = 0; i < MAX_RANK; i++) dim[i] = -1;
    if (!table(cx, e, 0, &rank, dim, &numbers)) {
        report(cx, e->loc, E_TABLE, "a list is a table of numbers, all rows alike");
        return NULL;
    }
    Ty ty = {.base = B_F32, .rank = rank};
    Type type = {.dtype = DT_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        ty.dim[i] = dim_number(cx->arena, dim[i]);
        type.dim[i] = (Extent){dim[i], 0};
    }
    Value *v = value_tensor(cx, ty);
    if (cx->graph) {
        double *copy = arena_copy(cx->graph->arena, numbers.at, sizeof *copy * (size_t)numbers.n);
        v->expr = lower_leaf(cx, graph_const(cx->graph, type, copy), &ty, false);
    }
    return v;
}

static Value *eval_kind(Cx *cx, const Ast *e, Frame *f) {
    Num n;
    const Ast *bad;
    switch (e->kind) {
    case AST_NUM: case AST_BOOL:
        num_const(e, &n, &bad);
        return value_number(cx, n);
    case AST_STR: {
        Value *v = value_new(cx, V_TEXT);
        v->u.text = e->name;
        return v;
    }
    case AST_ID: return eval_name(cx, e, f);
    case AST_TUPLE: return eval_tuple(cx, e, f);
    case AST_LIST: return eval_list(cx, e);
    case AST_IF: return eval_if(cx, e, f);
    case AST_NOT: return eval_not(cx, e, f);
    case AST_NEG: return eval_neg(cx, e, f);
    case AST_BIN: return eval_binary(cx, e, f);
    case AST_PIPE: return eval_pipe(cx, e, f);
    case AST_GUARD: return eval_guard(cx, e, f);
    case AST_CALL: return eval_call(cx, e, f);
    case AST_INDEX: return eval_index(cx, e, f, NULL);
    case AST_FIELD: return eval_field(cx, e, f);
    default: ICE("%s is no expression", ast_kind_name(e->kind));
    }
}

bool take_step(Cx *cx, Loc at) {
    if (++cx->work <= WORK_LIMIT) return true;
    if (!cx->overworked) report(cx, at, E_LIMIT_WORK, "the program unrolls to more than %d steps", WORK_LIMIT);
    cx->overworked |= !cx->muted;
    return false;
}

Value *eval(Cx *cx, const Ast *e, Frame *f) {
    if (cx->depth >= DEPTH_LIMIT) {
        report(cx, e->loc, E_LIMIT_DEPTH, "this expression is nested too deeply");
        return NULL;
    }
    if (!take_step(cx, e->loc)) return NULL;
    cx->depth++;
    Loc at = cx->at;
    Frame *frame = cx->frame;
    cx->at = e->loc;
    cx->frame = f;
    Value *v = eval_kind(cx, e, f);
    cx->at = at;
    cx->frame = frame;
    cx->depth--;
    return v;
}

Value *eval_tensor(Cx *cx, const Ast *e, Frame *f) { return as_tensor(cx, eval(cx, e, f), e->loc); }
