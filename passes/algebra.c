#include "passes/algebra.h"

#include <math.h>

/* ---- affine forms ------------------------------------------------------------------------------ */

void affine_range(const Affine *f, const Var *var, int64_t *lo, int64_t *hi) {
    *lo = *hi = f->c;
    for (int i = 0; i < f->n; i++) {
        int64_t end = f->term[i].coef * (var[f->term[i].var].ext.size - 1);
        if (end < 0)
            *lo += end;
        else
            *hi += end;
    }
}

bool affine_inside(const Affine *f, const Var *var, Extent axis) {
    int v;
    if (axis.bound) return affine_is_var(f, &v) && var[v].ext.bound == axis.bound;
    int64_t lo, hi;
    affine_range(f, var, &lo, &hi);
    return lo >= 0 && hi < axis.size;
}

static int64_t gcd(int64_t a, int64_t b) {
    if (a < 0) a = -a;
    if (b < 0) b = -b;
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

void affine_reduce(Affine *num, int64_t *div) {
    int64_t k = gcd(*div, num->c);
    for (int i = 0; i < num->n; i++) k = gcd(k, num->term[i].coef);
    if (k <= 1) return;
    num->c /= k;
    for (int i = 0; i < num->n; i++) num->term[i].coef /= k;
    *div /= k;
}

/* ---- facts about expressions --------------------------------------------------------------------- */

const Expr *alg_const(Arena *a, DType d, double v) {
    switch (d) {
    case DT_I32: return expr_int(a, (int64_t)v);
    case DT_PRED: return expr_pred(a, v != 0);
    default: return expr_const(a, v);
    }
}

bool alg_is_finite(const Expr *e) {
    switch (e->op) {
    case SC_CONST: return isfinite(e->value);
    case SC_BOUND: return true;
    case SC_CAST: return e->arg[0]->dtype != DT_F32 || alg_is_finite(e->arg[0]);
    case SC_SEL: return alg_is_finite(e->arg[1]) && alg_is_finite(e->arg[2]);
    case SC_NEG: return alg_is_finite(e->arg[0]);
    default: return e->dtype != DT_F32;
    }
}

static bool is_number(const Expr *e) { return e->op == SC_CONST; }

static bool is_power_of_two(double v) {
    int exponent;
    return isfinite(v) && v != 0 && fabs(frexp(v, &exponent)) == 0.5 && exponent > -100 && exponent < 100;
}

/* The index form of an i32 expression that is one. */
static bool index_form(const Expr *e, Affine *f) {
    if (e->dtype != DT_I32 || (e->op != SC_IDX && e->op != SC_CONST)) return false;
    *f = e->op == SC_IDX ? e->aff : affine_const((int64_t)e->value);
    return true;
}

/* not(c) is written sel(c, false, true) or eq(c, false): gives c, or NULL. */
static const Expr *negated(const Expr *e) {
    if (e->op == SC_SEL && e->dtype == DT_PRED && expr_is_const(e->arg[1], 0) && expr_is_const(e->arg[2], 1))
        return e->arg[0];
    if (e->op == SC_EQ && e->arg[0]->dtype == DT_PRED && expr_is_const(e->arg[1], 0)) return e->arg[0];
    return NULL;
}

/* ---- rules: one function per operation, NULL when nothing applies ---------------------------------- */

static const Expr *simple_ADD(Arena *a, const Expr *x, const Expr *y) {
    Affine f, g;
    if (expr_is_const(y, 0)) return x;
    if (expr_is_const(x, 0)) return y;
    if (index_form(x, &f) && index_form(y, &g)) return expr_idx(a, affine_add(f, g, 1));
    if (y->op == SC_NEG) return alg_op2(a, SC_SUB, x, y->arg[0]);
    if (x->op == SC_NEG) return alg_op2(a, SC_SUB, y, x->arg[0]);
    return NULL;
}

static const Expr *simple_SUB(Arena *a, const Expr *x, const Expr *y) {
    Affine f, g;
    if (expr_is_const(y, 0)) return x;
    if (expr_is_const(x, 0)) return alg_op1(a, SC_NEG, y);
    if (index_form(x, &f) && index_form(y, &g)) return expr_idx(a, affine_add(f, g, -1));
    if (y->op == SC_NEG) return alg_op2(a, SC_ADD, x, y->arg[0]);
    if (alg_is_finite(x) && expr_equal(x, y)) return alg_const(a, x->dtype, 0);
    return NULL;
}

static const Expr *simple_MUL(Arena *a, const Expr *x, const Expr *y) {
    Affine f;
    if (is_number(x) && !is_number(y)) {
        const Expr *t = x;
        x = y;
        y = t;
    }
    if (expr_is_const(y, 1)) return x;
    if (expr_is_const(y, -1)) return alg_op1(a, SC_NEG, x);
    if (expr_is_const(y, 0) && alg_is_finite(x)) return y;
    if (is_number(y) && index_form(x, &f)) return expr_idx(a, affine_scale(f, (int64_t)y->value));
    if (x->op == SC_NEG && y->op == SC_NEG) return alg_op2(a, SC_MUL, x->arg[0], y->arg[0]);
    if (x->op == SC_NEG && is_number(y)) return alg_op2(a, SC_MUL, x->arg[0], alg_op1(a, SC_NEG, y));
    return NULL;
}

static const Expr *simple_DIV(Arena *a, const Expr *x, const Expr *y) {
    if (expr_is_const(y, 1)) return x;
    if (is_number(y) && is_power_of_two(y->value)) return alg_op2(a, SC_MUL, x, expr_const(a, 1 / y->value));
    return NULL;
}

static const Expr *simple_NEG(Arena *a, const Expr *x) {
    Affine f;
    if (x->op == SC_NEG) return x->arg[0];
    if (index_form(x, &f)) return expr_idx(a, affine_scale(f, -1));
    return NULL;
}

static const Expr *simple_compare(Arena *a, ScalarOp op, const Expr *x, const Expr *y) {
    Affine f, g;
    if (index_form(x, &f) && index_form(y, &g)) {
        Affine d = affine_add(f, g, -1);
        if (affine_is_const(&d)) return expr_pred(a, op == SC_LT ? d.c < 0 : d.c == 0);
    }
    if (!expr_equal(x, y)) return NULL;
    if (op == SC_LT) return expr_pred(a, false);
    return x->dtype != DT_F32 ? expr_pred(a, true) : NULL;
}

static const Expr *simple_SEL(Arena *a, const Expr *c, const Expr *x, const Expr *y) {
    if (is_number(c)) return c->value != 0 ? x : y;
    if (expr_equal(x, y)) return x;
    if (x->dtype == DT_PRED && expr_is_const(x, 1) && expr_is_const(y, 0)) return c;
    if (negated(c)) return alg_sel(a, negated(c), y, x);
    if (x->op == SC_SEL && expr_equal(x->arg[0], c)) return alg_sel(a, c, x->arg[1], y);
    if (y->op == SC_SEL && expr_equal(y->arg[0], c)) return alg_sel(a, c, x, y->arg[2]);
    return NULL;
}

/* A cast of a cast is one cast where the type between holds every value of the first. */
static const Expr *simple_CAST(Arena *a, DType d, const Expr *x) {
    if (x->dtype == d) return x;
    bool widening = x->op == SC_CAST && x->dtype != DT_PRED && x->arg[0]->dtype != DT_F32 &&
                    (x->arg[0]->dtype == DT_PRED || (x->arg[0]->dtype == DT_U8 && x->dtype != DT_U8));
    return widening && d != DT_PRED ? alg_cast(a, d, x->arg[0]) : NULL;
}

/* All operands are numbers: so is the result. (There are no u8 constants; a NaN keeps its operation.) */
static const Expr *fold_numbers(Arena *a, const Expr *e) {
    double v[3] = {0};
    int    n = SCALARS[e->op].args;
    if (!n || e->dtype == DT_U8) return NULL;
    for (int i = 0; i < n; i++) {
        if (!is_number(e->arg[i])) return NULL;
        v[i] = e->arg[i]->value;
    }
    double r = scalar_eval(e->op, e->dtype, v[0], v[1], v[2]);
    return isnan(r) ? NULL : alg_const(a, e->dtype, r);
}

const Expr *alg_simple(Arena *a, const Expr *e) {
    const Expr *x = e->arg[0], *y = e->arg[1], *r = fold_numbers(a, e);
    if (r) return r;
    switch (e->op) {
    case SC_ADD: r = simple_ADD(a, x, y); break;
    case SC_SUB: r = simple_SUB(a, x, y); break;
    case SC_MUL: r = simple_MUL(a, x, y); break;
    case SC_DIV: r = simple_DIV(a, x, y); break;
    case SC_NEG: r = simple_NEG(a, x); break;
    case SC_LT:
    case SC_EQ: r = simple_compare(a, e->op, x, y); break;
    case SC_SEL: r = simple_SEL(a, x, y, e->arg[2]); break;
    case SC_CAST: r = simple_CAST(a, e->dtype, x); break;
    default: break;
    }
    return r ? r : e;
}

const Expr *alg_op1(Arena *a, ScalarOp op, const Expr *x) { return alg_simple(a, expr_op1(a, op, x)); }

const Expr *alg_op2(Arena *a, ScalarOp op, const Expr *x, const Expr *y) {
    return alg_simple(a, expr_op2(a, op, x, y));
}

const Expr *alg_sel(Arena *a, const Expr *c, const Expr *x, const Expr *y) {
    return alg_simple(a, expr_sel(a, c, x, y));
}

const Expr *alg_cast(Arena *a, DType d, const Expr *x) { return alg_simple(a, expr_cast(a, d, x)); }

const Expr *alg_rebuild(Arena *a, const Expr *e, const Expr *const *arg) {
    bool same = true;
    for (int i = 0; i < SCALARS[e->op].args; i++) same &= arg[i] == e->arg[i];
    if (same) return e;
    switch (SCALARS[e->op].args) {
    case 1: return e->op == SC_CAST ? alg_cast(a, e->dtype, arg[0]) : alg_op1(a, e->op, arg[0]);
    case 2: return alg_op2(a, e->op, arg[0], arg[1]);
    default: return alg_sel(a, arg[0], arg[1], arg[2]);
    }
}
