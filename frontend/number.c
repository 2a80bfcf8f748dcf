/* Numbers known at compile time: exact fractions as long as they fit, reals otherwise. */
#include <limits.h>
#include <math.h>

#include "frontend/check.h"

Num num_int(int64_t v) { return (Num){.kind = N_EXACT, .q = ratio(v, 1)}; }
Num num_real(double v) { return (Num){.kind = N_REAL, .q = {0, 1}, .r = v}; }
Num num_bool(bool v) { return (Num){.kind = N_BOOL, .q = ratio(v, 1)}; }

double num_value(Num n) { return n.kind == N_REAL ? n.r : ratio_real(n.q); }

bool num_whole(Num n, int64_t *v) {
    if (n.kind == N_BOOL) return false;
    if (n.kind == N_EXACT) {
        *v = n.q.num;
        return n.q.den == 1;
    }
    if (!(fabs(n.r) < 9e15) || n.r != floor(n.r)) return false;
    *v = (int64_t)n.r;
    return true;
}

const char *num_text(Arena *a, Num n) {
    if (n.kind == N_BOOL) return n.q.num ? "true" : "false";
    if (n.kind == N_EXACT && n.q.den == 1) return arena_printf(a, "%lld", (long long)n.q.num);
    if (n.kind == N_EXACT) return arena_printf(a, "%lld/%lld", (long long)n.q.num, (long long)n.q.den);
    return arena_printf(a, "%.15g", n.r);
}

static bool exact_power(Ratio a, int64_t k, Ratio *r) {
    if (k < 0 || k > 4096) return false;
    *r = ratio(1, 1);
    for (int64_t i = 0; i < k; i++)
        if (!ratio_mul(*r, a, r)) return false;
    return true;
}

/* The exact result, if both operands are exact and so is it. */
static bool exact(BinOp op, Ratio a, Ratio b, Ratio *r) {
    switch (op) {
    case BIN_ADD: return ratio_add(a, b, r);
    case BIN_SUB: return b.num != INT64_MIN && ratio_add(a, (Ratio){-b.num, b.den}, r);
    case BIN_MUL: case BIN_EMUL: return ratio_mul(a, b, r);
    case BIN_DIV: case BIN_EDIV: return ratio_mul(a, ratio(b.num < 0 ? -b.den : b.den, b.num < 0 ? -b.num : b.num), r);
    case BIN_POW: return b.den == 1 && exact_power(a, b.num, r);
    default: return false;
    }
}

static double real(BinOp op, double a, double b) {
    switch (op) {
    case BIN_ADD: return a + b;
    case BIN_SUB: return a - b;
    case BIN_MUL: case BIN_EMUL: return a * b;
    case BIN_DIV: case BIN_EDIV: return a / b;
    default: return pow(a, b);
    }
}

static bool compare(BinOp op, int order) {
    switch (op) {
    case BIN_EQ: return order == 0;
    case BIN_NE: return order != 0;
    case BIN_LT: return order < 0;
    case BIN_GT: return order > 0;
    case BIN_LE: return order <= 0;
    default: return order >= 0;
    }
}

bool num_binary(BinOp op, Num a, Num b, Num *r) {
    bool both = a.kind != N_REAL && b.kind != N_REAL;
    double x = num_value(a), y = num_value(b);
    switch (op) {
    case BIN_AND: *r = num_bool(x != 0 && y != 0); return true;
    case BIN_OR: *r = num_bool(x != 0 || y != 0); return true;
    case BIN_EQ: case BIN_NE: case BIN_LT: case BIN_GT: case BIN_LE: case BIN_GE:
        *r = num_bool(compare(op, both ? ratio_compare(a.q, b.q) : (x > y) - (x < y)));
        return true;
    case BIN_DIV: case BIN_EDIV:
        if (y == 0) return false;
        break;
    case BIN_POW:
        if (x == 0 && y < 0) return false;
        break;
    default: break;
    }
    Ratio q;
    *r = both && exact(op, a.q, b.q, &q) ? (Num){.kind = N_EXACT, .q = q} : num_real(real(op, x, y));
    return true;
}

bool num_const(const Ast *e, Num *r, const Ast **bad) {
    Num a, b;
    *bad = e;
    switch (e->kind) {
    case AST_NUM:
        *r = e->flag && fabs(e->num) < 9e15 ? num_int((int64_t)e->num) : num_real(e->num);
        return true;
    case AST_BOOL:
        *r = num_bool(e->flag);
        return true;
    case AST_NEG:
        if (!num_const(e->a, &a, bad)) return false;
        return num_binary(BIN_SUB, num_int(0), a, r);
    case AST_BIN:
        if (e->op < BIN_ADD) return false;
        if (!num_const(e->a, &a, bad) || !num_const(e->b, &b, bad)) return false;
        *bad = e;
        return num_binary(e->op, a, b, r);
    default:
        return false;
    }
}
