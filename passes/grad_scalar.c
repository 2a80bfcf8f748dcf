/* Derivatives of the scalar operations: one row of scalars.def, one line here. */
#include <stddef.h>

#include "passes/algebra.h"
#include "passes/grad_impl.h"

/* An operation on its way: operands A B C, their derivatives DA DB DC, its value Y. NULL is zero. */
typedef struct {
    Arena      *arena;
    const Expr *a, *b, *c, *da, *db, *dc, *y;
} Chain;

static const Expr *k(const Chain *x, double v) { return expr_const(x->arena, v); }
static const Expr *zero_if_null(const Chain *x, const Expr *e) { return e ? e : k(x, 0); }

static const Expr *add(const Chain *x, const Expr *p, const Expr *q) {
    return !p ? q : !q ? p : alg_op2(x->arena, SC_ADD, p, q);
}

static const Expr *neg(const Chain *x, const Expr *p) { return p ? alg_op1(x->arena, SC_NEG, p) : NULL; }

static const Expr *sub(const Chain *x, const Expr *p, const Expr *q) {
    return !q ? p : !p ? neg(x, q) : alg_op2(x->arena, SC_SUB, p, q);
}

static const Expr *mul(const Chain *x, const Expr *p, const Expr *q) {
    return p && q ? scalar_times(x->arena, p, q) : NULL;
}

static const Expr *quo(const Chain *x, const Expr *p, const Expr *q) {
    return p ? alg_op2(x->arena, SC_DIV, p, q) : NULL;
}

static const Expr *fn(const Chain *x, ScalarOp op, const Expr *p) { return alg_op1(x->arena, op, p); }

static const Expr *fn2(const Chain *x, ScalarOp op, const Expr *p, const Expr *q) {
    return alg_op2(x->arena, op, p, q);
}

static const Expr *sel(const Chain *x, const Expr *c, const Expr *p, const Expr *q) {
    return p || q ? alg_sel(x->arena, c, zero_if_null(x, p), zero_if_null(x, q)) : NULL;
}

#define K(v)      k(x, v)
#define ADD(p, q) add(x, p, q)
#define SUB(p, q) sub(x, p, q)
#define MUL(p, q) mul(x, p, q)
#define DIV(p, q) quo(x, p, q)
#define NEG(p)    neg(x, p)
#define LT(p, q)  fn2(x, SC_LT, p, q)
#define EQ(p, q)  fn2(x, SC_EQ, p, q)
#define SEL(c, p, q) sel(x, c, p, q)
#define A  x->a
#define B  x->b
#define DA x->da
#define DB x->db
#define DC x->dc
#define Y  x->y
#define GRAD(id, e) static const Expr *grad_##id(const Chain *x) { (void)x; return e; }

GRAD(CONST, NULL)
GRAD(IDX, NULL)
GRAD(BOUND, NULL)
GRAD(READ, NULL)                        /* of the read in question: 1, see derive() */
GRAD(ADD, ADD(DA, DB))
GRAD(SUB, SUB(DA, DB))
GRAD(MUL, ADD(MUL(DA, B), MUL(DB, A)))
GRAD(DIV, SUB(DIV(DA, B), MUL(DB, DIV(Y, B))))
GRAD(NEG, NEG(DA))
GRAD(MAX, SEL(LT(B, B->op == SC_CONST ? Y : A), DA, DB))
GRAD(EXP, MUL(DA, Y))
GRAD(LOG, DIV(DA, A))
GRAD(TANH, MUL(DA, SUB(K(1), MUL(Y, Y))))
GRAD(SQRT, SEL(LT(K(0), Y), DIV(MUL(DA, K(0.5)), Y), NULL))
GRAD(SIN, MUL(DA, fn(x, SC_COS, A)))
GRAD(COS, MUL(DA, NEG(fn(x, SC_SIN, A))))
GRAD(FLOOR, NULL)
GRAD(POW, ADD(SEL(EQ(B, K(0)), NULL, MUL(DA, MUL(B, fn2(x, SC_POW, A, SUB(B, K(1)))))),
              SEL(LT(K(0), A), MUL(DB, MUL(Y, fn(x, SC_LOG, A))), NULL)))
GRAD(LT, NULL)
GRAD(EQ, NULL)
GRAD(SEL, SEL(A, DB, DC))
GRAD(CAST, NULL)

static const Expr *(*const GRAD[SC_COUNT])(const Chain *) = {
#define SCALAR(id, text, args, type, math) [SC_##id] = grad_##id,
#include "ir/scalars.def"
#undef SCALAR
};

/* Where a choice is made, the result is what the arm gives. */
bool scalar_uses_y(const Expr *e) {
    if (e->op == SC_SEL) return scalar_uses_y(e->arg[1]) || scalar_uses_y(e->arg[2]);
    return e->op == SC_EXP || e->op == SC_TANH || e->op == SC_SQRT || e->op == SC_DIV || e->op == SC_POW ||
           (e->op == SC_MAX && e->arg[1]->op == SC_CONST);
}

const Expr *scalar_times(Arena *a, const Expr *d, const Expr *w) {
    if (expr_is_const(d, 0)) return d;
    if (d->op == SC_SEL) return alg_sel(a, d->arg[0], scalar_times(a, d->arg[1], w), scalar_times(a, d->arg[2], w));
    if (d->op == SC_NEG) return alg_op1(a, SC_NEG, scalar_times(a, d->arg[0], w));
    if (d->op == SC_DIV && expr_is_const(d->arg[0], 1)) return alg_op2(a, SC_DIV, w, d->arg[1]);
    return alg_op2(a, SC_MUL, d, w);
}

/* Only f32 has slopes. Equal reads are one: their derivatives add up. */
static const Expr *derive(Arena *a, const Expr *e, const Expr *read, const Expr *y) {
    if (e->dtype != DT_F32) return NULL;
    if (e->op == SC_READ) return expr_equal(e, read) ? expr_const(a, 1) : NULL;
    Chain        x = {.arena = a, .a = e->arg[0], .b = e->arg[1], .c = e->arg[2], .y = y};
    const Expr **d[3] = {&x.da, &x.db, &x.dc};
    bool         any = false;
    for (int i = 0; i < SCALARS[e->op].args; i++) {
        bool arm = e->op == SC_SEL && i > 0 && y != e;
        *d[i] = derive(a, e->arg[i], read, arm ? y : e->arg[i]);
        any |= *d[i] != NULL;
    }
    return any ? GRAD[e->op](&x) : NULL;
}

const Expr *scalar_derivative(Arena *a, const Expr *e, const Expr *read, const Expr *y) {
    return derive(a, e, read, y ? y : e);
}
