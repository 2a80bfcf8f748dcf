/* Scalar operations: one row of scalars.def, one function here. x, y, z are numbers or vectors (codegen_impl.h says
 * how a type looks in a register). Comparisons with NaN do not hold, as in C. */
#include "codegen/l.h"

static bool is_float(Val x) { return LLVMGetTypeKind(l_element(x)) == LLVMFloatTypeKind; }
static unsigned bits_of(Val x) { return LLVMGetIntTypeWidth(l_element(x)); }

/* i32 arithmetic wraps. */
#define ARITHMETIC(id, on_float, on_integer)                                                          \
    static Val emit_##id(Codegen *cg, DType t, Val x, Val y, Val z) {                                   \
        (void)t, (void)z;                                                                                \
        return is_float(x) ? LLVMBuild##on_float(cg->b, x, y, "") : LLVMBuild##on_integer(cg->b, x, y, ""); \
    }
ARITHMETIC(ADD, FAdd, Add)
ARITHMETIC(SUB, FSub, Sub)
ARITHMETIC(MUL, FMul, Mul)
#undef ARITHMETIC

static Val emit_DIV(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)z;
    return LLVMBuildFDiv(cg->b, x, y, "");
}

static Val emit_NEG(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)y, (void)z;
    return is_float(x) ? LLVMBuildFNeg(cg->b, x, "") : LLVMBuildNeg(cg->b, x, "");
}

static Val emit_MAX(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)z;
    Val more = is_float(x) ? l_fcmp(cg, LLVMRealOGT, x, y) : l_icmp(cg, LLVMIntSGT, x, y);
    return l_select(cg, more, x, y);
}

#define FUNCTION(id, name)                                              \
    static Val emit_##id(Codegen *cg, DType t, Val x, Val y, Val z) { \
        (void)t, (void)y, (void)z;                                      \
        return name(cg, x);                                             \
    }
FUNCTION(EXP, math_exp)
FUNCTION(LOG, math_log)
FUNCTION(TANH, math_tanh)
FUNCTION(SIN, math_sin)
FUNCTION(COS, math_cos)
FUNCTION(FLOOR, math_floor)
#undef FUNCTION

/* Correctly rounded for x > 0; 0 for x <= 0. */
static Val emit_SQRT(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)y, (void)z;
    Val zero = l_real_like(x, 0);
    return l_select(cg, l_fcmp(cg, LLVMRealOLE, x, zero), zero, l_call1(cg, "llvm.sqrt", x));
}

static Val emit_POW(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)z;
    return math_pow(cg, x, y);
}

static Val emit_LT(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)z;
    return is_float(x) ? l_fcmp(cg, LLVMRealOLT, x, y) : l_icmp(cg, LLVMIntSLT, x, y);
}

static Val emit_EQ(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t, (void)z;
    return is_float(x) ? l_fcmp(cg, LLVMRealOEQ, x, y) : l_icmp(cg, LLVMIntEQ, x, y);
}

static Val emit_SEL(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)t;
    return l_select(cg, x, y, z);
}

/* ---- cast ---------------------------------------------------------------------------------------- */

static Val float_to(Codegen *cg, DType t, Val x) {
    if (t == DT_PRED) return l_fcmp(cg, LLVMRealUNE, x, l_real_like(x, 0));
    Ty types[2] = {l_vec(codegen_type(cg, t), l_lanes(x)), LLVMTypeOf(x)};
    return l_intrinsic(cg, t == DT_I32 ? "llvm.fptosi.sat" : "llvm.fptoui.sat", 2, types, 1, &x);
}

static Val integer_to(Codegen *cg, DType t, Val x) {
    Ty to = l_vec(codegen_type(cg, t), l_lanes(x));
    if (t == DT_PRED) return l_icmp(cg, LLVMIntNE, x, l_int_like(x, 0));
    if (t == DT_F32) {
        return bits_of(x) == 32 ? LLVMBuildSIToFP(cg->b, x, to, "") : LLVMBuildUIToFP(cg->b, x, to, "");
    }
    if (bits_of(x) < 32) return LLVMBuildZExt(cg->b, x, to, "");
    Val low = l_int_like(x, 0), high = l_int_like(x, UINT8_MAX);
    x = l_select(cg, l_icmp(cg, LLVMIntSGT, x, low), x, low);
    x = l_select(cg, l_icmp(cg, LLVMIntSLT, x, high), x, high);
    return LLVMBuildTrunc(cg->b, x, to, "");
}

/* To an integer type: toward zero, the nearest value of the type outside it, NaN to 0; to pred: x is not 0. */
static Val emit_CAST(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)y, (void)z;
    if (l_element(x) == codegen_type(cg, t)) return x;
    return is_float(x) ? float_to(cg, t, x) : integer_to(cg, t, x);
}

/* ---- the table ----------------------------------------------------------------------------------- */

/* These rows have no operands: what they are depends on the nest, which emits them itself. */
static Val emit_of_nest(Codegen *cg, DType t, Val x, Val y, Val z) {
    (void)cg, (void)t, (void)x, (void)y, (void)z;
    ICE("a scalar that the nest emits");
}
#define emit_CONST emit_of_nest
#define emit_IDX   emit_of_nest
#define emit_BOUND emit_of_nest
#define emit_READ  emit_of_nest

static Val (*const EMIT[SC_COUNT])(Codegen *, DType, Val, Val, Val) = {
#define SCALAR(id, text, args, type, math) [SC_##id] = emit_##id,
#include "ir/scalars.def"
#undef SCALAR
};

/* Dozens of instructions each. */
static const bool LONG[SC_COUNT] = {[SC_EXP] = true, [SC_LOG] = true, [SC_TANH] = true,
                                    [SC_SIN] = true, [SC_COS] = true, [SC_POW] = true};

/* A call of op as a function of the module. */
static Val call_scalar(Codegen *cg, ScalarOp op, DType result, Val x, Val y) {
    const char *name = arena_printf(cg->arena, "c.%s%d", SCALARS[op].text, l_lanes(x));
    Val         fn = LLVMGetNamedFunction(cg->module, name), arg[2] = {x, y};
    unsigned    n = (unsigned)SCALARS[op].args;
    if (!fn) {
        Ty    t = LLVMTypeOf(x);
        Where before;
        fn = codegen_helper_begin(cg, name, t, (Ty[]){t, t}, n, &before);
        LLVMBuildRet(cg->b, EMIT[op](cg, result, LLVMGetParam(fn, 0), n > 1 ? LLVMGetParam(fn, 1) : NULL, NULL));
        codegen_helper_end(cg, before);
    }
    return LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, arg, n, "");
}

LLVMValueRef emit_scalar(Codegen *cg, ScalarOp op, DType result, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z) {
    return cg->quick && LONG[op] ? call_scalar(cg, op, result, x, y) : EMIT[op](cg, result, x, y, z);
}
