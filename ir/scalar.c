/* The scalar operations on numbers: one row of scalars.def, one function here. */
#include <math.h>

#include "ir/ir.h"

const ScalarInfo SCALARS[SC_COUNT] = {
#define SCALAR(id, text, args, type, math) [SC_##id] = {text, args, math},
#include "ir/scalars.def"
#undef SCALAR
};

/* ---- types ---------------------------------------------------------------------------------- */

typedef enum { RULE_NUM, RULE_PRED, RULE_OWN } Rule;

static const Rule RULES[SC_COUNT] = {
#define SCALAR(id, text, args, type, math) [SC_##id] = RULE_##type,
#include "ir/scalars.def"
#undef SCALAR
};

/* Operations that i32 has too; the other NUM rows are for f32 alone. */
static bool on_integers(ScalarOp op) {
    return op == SC_ADD || op == SC_SUB || op == SC_MUL || op == SC_NEG || op == SC_MAX;
}

bool scalar_type(ScalarOp op, const DType *arg, DType *result) {
    int args = SCALARS[op].args;
    if (args == 2 && arg[0] != arg[1]) return false;
    if (op == SC_SEL) {
        *result = arg[1];
        return arg[0] == DT_PRED && arg[1] == arg[2];
    }
    if (op == SC_BOUND) {
        *result = DT_F32;
        return true;
    }
    switch (RULES[op]) {
    case RULE_NUM:
        *result = arg[0];
        return arg[0] == DT_F32 || (arg[0] == DT_I32 && on_integers(op));
    case RULE_PRED:
        *result = DT_PRED;
        return op == SC_EQ || arg[0] == DT_F32 || arg[0] == DT_I32;
    case RULE_OWN:
        return true;              /* the node says, and nothing about its operands is wrong */
    }
    return false;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* i32 arithmetic wraps, as the machine's does. The operands are whole numbers below 2^31 in size, so
 * sums are exact in double; products are formed in 64 bits. */
static double wrap(double v) { return (double)(int32_t)(uint32_t)(int64_t)v; }

static double interp_CONST(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return x; }
static double interp_IDX(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return x; }
static double interp_BOUND(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return x; }
static double interp_READ(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return x; }

static double interp_ADD(DType t, double x, double y, double z) {
    (void)z;
    return t == DT_I32 ? wrap(x + y) : x + y;
}

static double interp_SUB(DType t, double x, double y, double z) {
    (void)z;
    return t == DT_I32 ? wrap(x - y) : x - y;
}

static double interp_MUL(DType t, double x, double y, double z) {
    (void)z;
    return t == DT_I32 ? (double)(int32_t)(uint32_t)((int64_t)x * (int64_t)y) : x * y;
}

static double interp_NEG(DType t, double x, double y, double z) {
    (void)y, (void)z;
    return t == DT_I32 ? wrap(-x) : -x;
}

static double interp_DIV(DType t, double x, double y, double z) { (void)t, (void)z; return x / y; }
static double interp_MAX(DType t, double x, double y, double z) { (void)t, (void)z; return x > y ? x : y; }
static double interp_EXP(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return exp(x); }
static double interp_LOG(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return log(x); }
static double interp_TANH(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return tanh(x); }
static double interp_SQRT(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return x <= 0 ? 0 : sqrt(x); }
static double interp_SIN(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return sin(x); }
static double interp_COS(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return cos(x); }
static double interp_FLOOR(DType t, double x, double y, double z) { (void)t, (void)y, (void)z; return floor(x); }

static double interp_POW(DType t, double x, double y, double z) {
    (void)t, (void)z;
    return x < 0 ? NAN : pow(x, y);
}

static double interp_LT(DType t, double x, double y, double z) { (void)t, (void)z; return x < y; }
static double interp_EQ(DType t, double x, double y, double z) { (void)t, (void)z; return x == y; }
static double interp_SEL(DType t, double x, double y, double z) { (void)t; return x != 0 ? y : z; }

/* To an integer type: toward zero, the nearest value of the type outside it, NaN to 0. */
static double to_integer(double x, double least, double most) {
    if (isnan(x)) return 0;
    x = trunc(x);
    return (x < least ? least : x > most ? most : x) + 0.0;      /* + 0.0: no negative zero */
}

static double interp_CAST(DType t, double x, double y, double z) {
    (void)y, (void)z;
    switch (t) {
    case DT_I32: return to_integer(x, INT32_MIN, INT32_MAX);
    case DT_U8: return to_integer(x, 0, UINT8_MAX);
    case DT_PRED: return x != 0;
    default: return x;
    }
}

static double (*const INTERP[SC_COUNT])(DType, double, double, double) = {
#define SCALAR(id, text, args, type, math) [SC_##id] = interp_##id,
#include "ir/scalars.def"
#undef SCALAR
};

double scalar_eval(ScalarOp op, DType result, double x, double y, double z) {
    return INTERP[op](result, x, y, z);
}
