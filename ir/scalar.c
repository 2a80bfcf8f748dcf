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

/* INTERP(ID) { ... }: the number of operation ID with result type t for operands x, y, z. */
#define UNUSED __attribute__((unused))
#define INTERP(id) static double interp_##id(UNUSED DType t, UNUSED double x, UNUSED double y, UNUSED double z)

/* i32 arithmetic wraps, as the machine's does. The operands are whole numbers below 2^31 in size, so
 * sums are exact in double; products are formed in 64 bits. */
static double wrap(int64_t v) { return (double)(int32_t)(uint32_t)v; }

/* Toward zero, the nearest value of the type outside it, NaN to 0. */
static double to_integer(double x, double least, double most) {
    if (isnan(x)) return 0;
    x = trunc(x);
    return (x < least ? least : x > most ? most : x) + 0.0;      /* + 0.0: no negative zero */
}

INTERP(CONST) { return x; }
INTERP(IDX)   { return x; }
INTERP(BOUND) { return x; }
INTERP(READ)  { return x; }
INTERP(ADD)   { return t == DT_I32 ? wrap((int64_t)(x + y)) : x + y; }
INTERP(SUB)   { return t == DT_I32 ? wrap((int64_t)(x - y)) : x - y; }
INTERP(MUL)   { return t == DT_I32 ? wrap((int64_t)x * (int64_t)y) : x * y; }
INTERP(DIV)   { return x / y; }
INTERP(NEG)   { return t == DT_I32 ? wrap(-(int64_t)x) : -x; }
INTERP(MAX)   { return x > y ? x : y; }
INTERP(EXP)   { return exp(x); }
INTERP(LOG)   { return log(x); }
INTERP(TANH)  { return tanh(x); }
INTERP(SQRT)  { return x <= 0 ? 0 : sqrt(x); }
INTERP(SIN)   { return sin(x); }
INTERP(COS)   { return cos(x); }
INTERP(FLOOR) { return floor(x); }
INTERP(POW)   { return x < 0 ? NAN : pow(fabs(x), y); }             /* -0 counts as 0 */
INTERP(LT)    { return x < y; }
INTERP(EQ)    { return x == y; }
INTERP(SEL)   { return x != 0 ? y : z; }

INTERP(CAST) {
    switch (t) {
    case DT_I32: return to_integer(x, INT32_MIN, INT32_MAX);
    case DT_U8: return to_integer(x, 0, UINT8_MAX);
    case DT_PRED: return x != 0;
    default: return x;
    }
}

static double (*const ROWS[SC_COUNT])(DType, double, double, double) = {
#define SCALAR(id, text, args, type, math) [SC_##id] = interp_##id,
#include "ir/scalars.def"
#undef SCALAR
};

double scalar_eval(ScalarOp op, DType result, double x, double y, double z) {
    return ROWS[op](result, x, y, z);
}
