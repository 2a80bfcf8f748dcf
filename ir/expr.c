/* Expressions over scalars. The builders make exactly the operation they are asked for: simplifying is
 * the business of a pass, so that what is written is what is there. The one normal form: an index form
 * without variables is an i32 constant, a cast to the type that is there already is nothing. */
#include "ir/ir.h"

#include <string.h>

static Expr *make(Arena *a, ScalarOp op, DType d) {
    Expr *e = ARENA_NEW(a, Expr);
    e->op = op;
    e->dtype = d;
    e->aff = affine_const(0);
    return e;
}

static const Expr *constant(Arena *a, DType d, double v) {
    Expr *e = make(a, SC_CONST, d);
    e->value = v;
    return e;
}

const Expr *expr_const(Arena *a, double v) { return constant(a, DT_F32, v); }
const Expr *expr_int(Arena *a, int64_t v) { return constant(a, DT_I32, (double)v); }
const Expr *expr_pred(Arena *a, bool v) { return constant(a, DT_PRED, v); }

const Expr *expr_idx(Arena *a, Affine f) {
    if (affine_is_const(&f)) return expr_int(a, f.c);
    Expr *e = make(a, SC_IDX, DT_I32);
    e->aff = f;
    return e;
}

const Expr *expr_bound(Arena *a, int bound) {
    Expr *e = make(a, SC_BOUND, DT_F32);
    e->bound = bound;
    return e;
}

const Expr *expr_read(Arena *a, DType d, int operand, int nsub, const Sub *sub, bool guarded) {
    Expr *e = make(a, SC_READ, d);
    e->operand = operand;
    e->nsub = nsub;
    e->sub = arena_copy(a, sub, sizeof *sub * (size_t)nsub);
    e->guarded = guarded;
    return e;
}

static const Expr *operation(Arena *a, ScalarOp op, const Expr *x, const Expr *y, const Expr *z) {
    const Expr *arg[3] = {x, y, z};
    DType       t[3] = {DT_F32, DT_F32, DT_F32}, result = DT_F32;
    int         n = x ? y ? z ? 3 : 2 : 1 : 0;
    for (int i = 0; i < n; i++) t[i] = arg[i]->dtype;
    if (op == SC_CAST || op <= SC_READ || SCALARS[op].args != n)
        ICE("%s does not take %d operands", SCALARS[op].text, n);
    if (!scalar_type(op, t, &result))
        ICE("%s of %s, %s, %s", SCALARS[op].text, dtype_text(t[0]), dtype_text(t[1]), dtype_text(t[2]));
    Expr *e = make(a, op, result);
    memcpy(e->arg, arg, sizeof arg);
    return e;
}

const Expr *expr_op1(Arena *a, ScalarOp op, const Expr *x) { return operation(a, op, x, NULL, NULL); }
const Expr *expr_op2(Arena *a, ScalarOp op, const Expr *x, const Expr *y) { return operation(a, op, x, y, NULL); }

const Expr *expr_sel(Arena *a, const Expr *c, const Expr *x, const Expr *y) {
    return operation(a, SC_SEL, c, x, y);
}

const Expr *expr_cast(Arena *a, DType d, const Expr *x) {
    if (x->dtype == d) return x;
    Expr *e = make(a, SC_CAST, d);
    e->arg[0] = x;
    return e;
}

bool expr_is_const(const Expr *e, double v) { return e->op == SC_CONST && e->value == v; }

static bool sub_equal(const Sub *a, const Sub *b) {
    if (!affine_equal(&a->aff, &b->aff) || !a->ind != !b->ind) return false;
    return !a->ind || expr_equal(a->ind, b->ind);
}

/* Constants are compared as bytes: 0 and -0 differ, NaN is itself. */
bool expr_equal(const Expr *a, const Expr *b) {
    if (a == b) return true;
    if (a->op != b->op || a->dtype != b->dtype) return false;
    switch (a->op) {
    case SC_CONST: return !memcmp(&a->value, &b->value, sizeof a->value);
    case SC_IDX: return affine_equal(&a->aff, &b->aff);
    case SC_BOUND: return a->bound == b->bound;
    case SC_READ:
        if (a->operand != b->operand || a->nsub != b->nsub || a->guarded != b->guarded) return false;
        for (int i = 0; i < a->nsub; i++)
            if (!sub_equal(&a->sub[i], &b->sub[i])) return false;
        return true;
    default:
        for (int i = 0; i < SCALARS[a->op].args; i++)
            if (!expr_equal(a->arg[i], b->arg[i])) return false;
        return true;
    }
}

static void count(const Expr *e, void *cx) {
    *(int *)cx += e->op >= SC_READ;
}

int expr_size(const Expr *e) {
    int n = 0;
    expr_walk(e, count, &n);
    return n;
}

void expr_walk(const Expr *e, void (*f)(const Expr *, void *), void *cx) {
    for (int i = 0; i < SCALARS[e->op].args; i++) expr_walk(e->arg[i], f, cx);
    for (int i = 0; i < e->nsub; i++)
        if (e->sub[i].ind) expr_walk(e->sub[i].ind, f, cx);
    f(e, cx);
}

typedef struct {
    Arena        *arena;
    const Affine *var;
    int           nvar;
    const int    *operand;
} Subst;

static const Expr *subst(const Subst *s, const Expr *e);

static const Expr *subst_read(const Subst *s, const Expr *e) {
    Sub sub[MAX_RANK];
    for (int i = 0; i < e->nsub; i++) {
        sub[i].aff = s->var ? affine_subst(&e->sub[i].aff, s->var, s->nvar) : e->sub[i].aff;
        sub[i].ind = e->sub[i].ind ? subst(s, e->sub[i].ind) : NULL;
    }
    return expr_read(s->arena, e->dtype, s->operand ? s->operand[e->operand] : e->operand, e->nsub, sub, e->guarded);
}

static const Expr *subst(const Subst *s, const Expr *e) {
    if (e->op == SC_READ) return subst_read(s, e);
    if (e->op == SC_IDX) return s->var ? expr_idx(s->arena, affine_subst(&e->aff, s->var, s->nvar)) : e;
    const Expr *arg[3] = {NULL, NULL, NULL};
    bool        same = true;
    for (int i = 0; i < SCALARS[e->op].args; i++) {
        arg[i] = subst(s, e->arg[i]);
        same &= arg[i] == e->arg[i];
    }
    if (same) return e;
    Expr *r = make(s->arena, e->op, e->dtype);
    memcpy(r->arg, arg, sizeof arg);
    return r;
}

const Expr *expr_subst(Arena *a, const Expr *e, const Affine *var, int nvar, const int *operand) {
    Subst s = {a, var, nvar, operand};
    return subst(&s, e);
}
