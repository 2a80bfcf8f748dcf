/* exp, log, tanh, sin, cos, pow, floor as straight-line code over numbers or vectors; no tables, no calls.
 *
 * One order of operations for every width: a lane gives the bits that the scalar code gives. A target without a
 * rounded-once multiply-add gives other last bits than one with it; the bounds hold for both. Bounds are in units in
 * the last place of the result, against the exact value (tests/unit/test_codegen_math.c measures them).
 * Denormal arguments may count as 0 and results below 2^-126 are 0, whatever the mode of the machine.
 *
 * Polynomials are minimax on the interval that the reduction leaves; tools/minimax.py computes them.
 */
#include <math.h>

#include "codegen/l.h"

/* c[0] + c[1] x + ... + c[n-1] x^(n-1), by Horner's rule. */
static Val poly(Codegen *cg, Val x, const double *c, int n) {
    Val p = l_real_like(x, c[n - 1]);
    for (int i = n - 2; i >= 0; i--) p = l_fma(cg, p, x, l_real_like(x, c[i]));
    return p;
}

/* x compared with a constant. */
static Val test(Codegen *cg, LLVMRealPredicate p, Val x, double limit) {
    return l_fcmp(cg, p, x, l_real_like(x, limit));
}

static Val shift_left(Codegen *cg, Val x, int n) { return LLVMBuildShl(cg->b, x, l_int_like(x, n), ""); }

static Val to_f64(Codegen *cg, Val x) { return LLVMBuildFPExt(cg->b, x, l_vec(cg->f64, l_lanes(x)), ""); }
static Val to_f32(Codegen *cg, Val x) { return LLVMBuildFPTrunc(cg->b, x, l_vec(cg->f32, l_lanes(x)), ""); }

/* ---- exp ----------------------------------------------------------------------------------------- */

/* e^r 2^k for |r| <= ln 2 / 2, k the low bits of the integers n: e^r = 1 + r + r^2 p(r) with |error| < 2^-27.7, and k
 * is added to the exponent field. Wrong outside k = -126 .. 128; callers replace that. */
static Val exp_reduced(Codegen *cg, Val r, Val n) {
    static const double P[] = {0x1.fffffcp-2, 0x1.555490p-3, 0x1.5558f4p-5, 0x1.123a6ap-7, 0x1.6a2362p-10};
    Val p = poly(cg, r, P, 5);
    p = l_fma(cg, p, l_fmul(cg, r, r), r);
    p = l_fadd(cg, p, l_real_like(r, 1));
    return l_bitcast(cg, l_add(cg, l_bitcast(cg, p, cg->i32), shift_left(cg, n, 23)), cg->f32);
}

/* Bound: 1.1 ulp. e^x = 2^k e^r, k = x / ln 2 rounded, r = x - k ln 2 with ln 2 in two parts, the first of 9 bits
 * so that k times it is exact. Adding 3 * 2^22 rounds to a whole number and leaves it in the low bits. */
Val math_exp(Codegen *cg, Val x) {
    enum { BIG = 3 << 22 };
    Val t = l_fma(cg, x, l_real_like(x, 0x1.715476p+0), l_real_like(x, BIG));
    Val k = l_fsub(cg, t, l_real_like(x, BIG));
    Val r = l_fma(cg, k, l_real_like(x, -0x1.63p-1), x);
    r = l_fma(cg, k, l_real_like(x, 0x1.bd0106p-13), r);
    Val y = exp_reduced(cg, r, l_bitcast(cg, t, cg->i32));
    /* NaN takes the first branch: NaN + inf = NaN. */
    y = l_select(cg, test(cg, LLVMRealUGT, x, 0x1.62e42ep+6), l_fadd(cg, x, l_real_like(x, INFINITY)), y);
    return l_select(cg, test(cg, LLVMRealOLT, x, -0x1.5d589ep+6), l_real_like(x, 0), y);
}

/* ---- log ----------------------------------------------------------------------------------------- */

/* x = 2^k m, m in [sqrt 1/2, sqrt 2): *k as a float, m - 1 (exact). x a normal number > 0. */
static Val split(Codegen *cg, Val x, Val *k) {
    Val bits = l_bitcast(cg, x, cg->i32);
    Val up = l_sub(cg, bits, l_int_like(bits, 0x3f3504f3));              /* the bits of sqrt 1/2 */
    Val e = LLVMBuildAShr(cg->b, up, l_int_like(bits, 23), "");
    *k = LLVMBuildSIToFP(cg->b, e, LLVMTypeOf(x), "");
    Val m = l_bitcast(cg, l_sub(cg, bits, shift_left(cg, e, 23)), cg->f32);
    return l_fsub(cg, m, l_real_like(x, 1));
}

/* Bound: 1 ulp. ln x = k ln 2 + ln(1 + f), ln(1 + f) = f - f^2 / 2 + f^3 p(f) with |error| < 2^-27.3 of it; small terms
 * are added first. */
Val math_log(Codegen *cg, Val x) {
    static const double P[] = {0x1.555554p-2, -0x1.000226p-2, 0x1.99a008p-3, -0x1.547246p-3,
                               0x1.22da18p-3, -0x1.0d8534p-3, 0x1.055b8ap-3, -0x1.38b618p-4};
    Val k, f = split(cg, x, &k), f2 = l_fmul(cg, f, f);
    Val y = l_fmul(cg, l_fmul(cg, poly(cg, f, P, 8), f), f2);
    y = l_fma(cg, k, l_real_like(x, -0x1.bd0106p-13), y);
    y = l_fma(cg, f2, l_real_like(x, -0.5), y);
    y = l_fma(cg, k, l_real_like(x, 0x1.63p-1), l_fadd(cg, f, y));
    y = l_select(cg, test(cg, LLVMRealOLT, x, 0x1p-126), l_real_like(x, -INFINITY), y);
    y = l_select(cg, test(cg, LLVMRealOLT, x, 0), l_real_like(x, NAN), y);
    return l_select(cg, test(cg, LLVMRealOLT, x, INFINITY), y, x);       /* inf and NaN give themselves */
}

/* ---- tanh ---------------------------------------------------------------------------------------- */

static Val absolute(Codegen *cg, Val x) { return l_call1(cg, "llvm.fabs", x); }

static Val with_sign(Codegen *cg, Val magnitude, Val sign) {
    Ty  t = LLVMTypeOf(sign);
    Val x[2] = {magnitude, sign};
    return l_intrinsic(cg, "llvm.copysign", 1, &t, 2, x);
}

/* Bound: 1.5 ulp. Below 0.625 an odd polynomial, |error| < 2^-27.7; above 1 - 2 / (e^2|x| + 1). */
Val math_tanh(Codegen *cg, Val x) {
    static const double P[] = {-0x1.555532p-2, 0x1.1106f6p-3, -0x1.b835a4p-5, 0x1.51f8cep-6, -0x1.750ce4p-8};
    Val z = l_fmul(cg, x, x), a = absolute(cg, x), one = l_real_like(x, 1);
    Val small = l_fma(cg, l_fmul(cg, poly(cg, z, P, 5), z), x, x);
    Val e = math_exp(cg, l_fadd(cg, a, a));
    Val part = LLVMBuildFDiv(cg->b, l_real_like(x, 2), l_fadd(cg, e, one), "");
    Val y = l_select(cg, test(cg, LLVMRealOLT, a, 0.625), small, l_fsub(cg, one, part));
    return with_sign(cg, y, x);                                  /* of -0 too */
}

/* ---- sin, cos ------------------------------------------------------------------------------------ */

/* sin r and cos r for |r| <= pi/4, r + rest to more digits than a float has: each a main part, and a small one that
 * holds the rounding errors of the main one too. */
static Val sine(Codegen *cg, Val r, Val rest) {
    static const double P[] = {-0x1.555546p-3, 0x1.110778p-7, -0x1.9953fep-13};
    Val z = l_fmul(cg, r, r);
    Val y = l_fadd(cg, r, l_fma(cg, l_fmul(cg, poly(cg, z, P, 3), z), r, rest));
    return l_select(cg, test(cg, LLVMRealOEQ, r, 0), r, y);      /* keeps -0 */
}

static Val cosine(Codegen *cg, Val r, Val rest) {
    static const double P[] = {0x1.55554ap-5, -0x1.6c0c28p-10, 0x1.99e80cp-16};
    Val z = l_fmul(cg, r, r), half = l_fmul(cg, z, l_real_like(z, 0.5)), one = l_real_like(z, 1);
    Val most = l_fsub(cg, one, half), lost = l_fsub(cg, l_fsub(cg, one, most), half);
    Val small = l_fsub(cg, lost, l_fmul(cg, r, rest));
    return l_fadd(cg, most, l_fma(cg, poly(cg, z, P, 3), l_fmul(cg, z, z), small));
}

/* Bound: 1 ulp for |x| <= 2^20; beyond, precision fades, and the result stays in [-1, 1]. x = q pi/2 + r in double,
 * pi/2 in two parts, the first of 33 bits so that q times it is exact; sine or cosine of r by the parity of q, the
 * sign by its second bit. */
static Val circular(Codegen *cg, Val x, int quarter) {
    Val d = to_f64(cg, x), big = l_real_like(d, 0x3p51);
    Val t = l_fma(cg, d, l_real_like(d, 0x1.45f306dc9c883p-1), big), q = l_fsub(cg, t, big);
    Val exact = l_fma(cg, q, l_real_like(d, -0x1.921fb544p+0), d);
    exact = l_fma(cg, q, l_real_like(d, -0x1.0b4611a626331p-34), exact);
    Val far = test(cg, LLVMRealOGT, absolute(cg, exact), 0.8);
    exact = l_select(cg, far, l_real_like(exact, 0), exact);
    Val r = to_f32(cg, exact), rest = to_f32(cg, l_fsub(cg, exact, to_f64(cg, r)));
    Val n = LLVMBuildTrunc(cg->b, l_bitcast(cg, t, cg->i64), l_vec(cg->i32, l_lanes(x)), "");
    n = l_add(cg, n, l_int_like(n, quarter));
    Val odd = l_icmp(cg, LLVMIntNE, LLVMBuildAnd(cg->b, n, l_int_like(n, 1), ""), l_int_like(n, 0));
    Val flip = LLVMBuildAnd(cg->b, shift_left(cg, n, 30), l_int_like(n, INT32_MIN), "");
    Val y = l_bitcast(cg, l_select(cg, odd, cosine(cg, r, rest), sine(cg, r, rest)), cg->i32);
    return l_bitcast(cg, LLVMBuildXor(cg->b, y, flip, ""), cg->f32);
}

Val math_sin(Codegen *cg, Val x) { return circular(cg, x, 0); }
Val math_cos(Codegen *cg, Val x) { return circular(cg, x, 1); }

/* ---- floor --------------------------------------------------------------------------------------- */

/* Exact. Without the instruction: cut off toward zero through i32 where there can be a fraction at all, one less
 * where that went up, and the sign of x (floor of -0 is -0). */
Val math_floor(Codegen *cg, Val x) {
    if (cg->target.has_round) return l_call1(cg, "llvm.floor", x);
    Val fraction = test(cg, LLVMRealOLT, absolute(cg, x), 0x1p23);
    Val safe = l_select(cg, fraction, x, l_real_like(x, 0));
    Val whole = LLVMBuildFPToSI(cg->b, safe, l_vec(cg->i32, l_lanes(x)), "");
    Val cut = LLVMBuildSIToFP(cg->b, whole, LLVMTypeOf(x), "");
    Val less = l_fsub(cg, cut, l_real_like(x, 1));
    Val y = with_sign(cg, l_select(cg, l_fcmp(cg, LLVMRealOGT, cut, x), less, cut), x);
    return l_select(cg, fraction, y, x);
}

/* ---- pow ----------------------------------------------------------------------------------------- */

/* ln a in double, |error| < 2^-44 of it: a = 2^k m, s = (m - 1) / (m + 1), ln m = 2 s + s^3 p(s^2). */
static Val log_f64(Codegen *cg, Val a) {
    static const double P[] = {0x1.555555561d7d4p-1, 0x1.999996ab52ca4p-2, 0x1.2494111955eaap-2, 0x1.c62b5942cc709p-3,
                               0x1.9111bf1607a24p-3};
    Val k, f = to_f64(cg, split(cg, a, &k));
    Val s = LLVMBuildFDiv(cg->b, f, l_fadd(cg, f, l_real_like(f, 2)), ""), z = l_fmul(cg, s, s);
    Val y = l_fma(cg, l_fmul(cg, z, s), poly(cg, z, P, 5), l_fadd(cg, s, s));
    y = l_fma(cg, to_f64(cg, k), l_real_like(f, 0x1.62e42fefa39efp-1), y);
    return l_select(cg, test(cg, LLVMRealOLT, a, INFINITY), y, to_f64(cg, a));
}

/* e^y of a double, as a float. */
static Val exp_f64(Codegen *cg, Val y) {
    Val big = l_real_like(y, 0x3p51);
    Val t = l_fma(cg, y, l_real_like(y, 0x1.71547652b82fep+0), big), k = l_fsub(cg, t, big);
    Val r = to_f32(cg, l_fma(cg, k, l_real_like(y, -0x1.62e42fefa39efp-1), y));
    Val n = LLVMBuildTrunc(cg->b, l_bitcast(cg, t, cg->i64), l_vec(cg->i32, l_lanes(y)), "");
    Val e = exp_reduced(cg, r, n);
    Val over = to_f32(cg, l_fadd(cg, y, l_real_like(y, INFINITY)));
    e = l_select(cg, test(cg, LLVMRealUGT, y, 0x1.62e42fefa39efp+6), over, e);
    return l_select(cg, test(cg, LLVMRealOLT, y, -0x1.5d589f2fe5107p+6), l_real_like(e, 0), e);
}

/* Bound: 1 ulp. e^(b ln a) with the product in double. */
Val math_pow(Codegen *cg, Val a, Val b) {
    Val zero = l_real_like(a, 0), one = l_real_like(a, 1);
    Val y = exp_f64(cg, l_fmul(cg, to_f64(cg, b), log_f64(cg, a)));
    Val of_zero = l_select(cg, test(cg, LLVMRealOLT, b, 0), l_real_like(a, INFINITY), zero);
    of_zero = l_select(cg, test(cg, LLVMRealUNO, b, 0), b, of_zero);
    y = l_select(cg, test(cg, LLVMRealOLT, a, 0x1p-126), of_zero, y);
    Val unit = LLVMBuildOr(cg->b, test(cg, LLVMRealOEQ, b, 0), test(cg, LLVMRealOEQ, a, 1), "");
    y = l_select(cg, unit, one, y);
    return l_select(cg, test(cg, LLVMRealOLT, a, 0), l_real_like(a, NAN), y);
}
