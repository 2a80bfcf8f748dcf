/* Every scalar operation and the random numbers, as machine code, for every x86 target that this machine runs, alone and
 * in vectors of 4, 8 and 16: against double precision within the bounds that emit_math.c states, and lane for lane the
 * scalar code's bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/l.h"
#include "runtime/netc_rt.h"

/* Samples are bit patterns 0, STRIDE, 2 STRIDE, ...: all signs, exponents, infinities and NaNs. */
#ifndef STRIDE
#define STRIDE 5003u
#endif

static double square_root(double x) { return x <= 0 ? 0 : sqrt(x); }

/* One operand: its function in double, the bound in ulp, and the largest |x| that the bound holds for. */
static const struct {
    ScalarOp op;
    double (*exact)(double);
    double bound, range;
} FUNCTIONS[] = {
    {SC_EXP, exp, 1.1, INFINITY},        {SC_LOG, log, 1.0, INFINITY}, {SC_TANH, tanh, 1.5, INFINITY},
    {SC_SQRT, square_root, 0.5, INFINITY}, {SC_SIN, sin, 1.0, 0x1p20},   {SC_COS, cos, 1.0, 0x1p20},
    {SC_FLOOR, floor, 0, INFINITY},
};
enum { NFUNCTIONS = sizeof FUNCTIONS / sizeof *FUNCTIONS };

static const ScalarOp PAIRS[] = {SC_ADD, SC_SUB, SC_MUL, SC_DIV, SC_MAX, SC_POW, SC_LT, SC_EQ};
enum { NPAIRS = sizeof PAIRS / sizeof *PAIRS };

static const float SPECIAL[] = {
    0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 2.0f, 3.0f, -3.0f, 1e-45f, -1e-45f, 1e-38f, 0x1p-126f, -0x1p-126f, 1e-20f,
    1e20f, 0x1.fffffep127f, -0x1.fffffep127f, INFINITY, -INFINITY, NAN, 87.3f, 88.72f, 88.73f, -87.3f, -87.4f, -104.0f,
    0.625f, 0.62499f, 9.01f, 0x1p23f, 8388607.5f};
enum { NSPECIAL = sizeof SPECIAL / sizeof *SPECIAL };

/* ---- code ---------------------------------------------------------------------------------------- */

/* out[0][i] = op(in[0][i], in[1][i]) for i < count, `width` at a time. */
static void emit_map(Codegen *cg, const char *name, ScalarOp op, int width) {
    bool pred = op == SC_LT || op == SC_EQ;
    codegen_begin(cg, name);
    Val a = abi_in(cg, 0), b = abi_in(cg, 1), out = abi_out(cg, 0);
    Loop l = l_loop(cg, l_i64(cg, 0), abi_bound(cg, 1), width, 0, NULL);
    Ty   t = l_vec(cg->f32, width);
    Val  x = l_load(cg, t, l_gep(cg, cg->f32, a, l.i), 4);
    Val  y = SCALARS[op].args == 2 ? l_load(cg, t, l_gep(cg, cg->f32, b, l.i), 4) : NULL;
    Val  v = emit_scalar(cg, op, pred ? DT_PRED : DT_F32, x, y, NULL);
    if (pred) v = emit_scalar(cg, SC_CAST, DT_F32, v, NULL, NULL);
    l_store(cg, v, l_gep(cg, cg->f32, out, l.i), 4);
    l_loop_end(cg, &l, NULL);
    codegen_end(cg);
}

/* out[0][i] = number of element i of a random node: in blocks of 4 vectors, or one by one from any index. */
static void emit_random(Codegen *cg, const char *name, uint32_t site, int width, bool blocks) {
    codegen_begin(cg, name);
    Val    out = abi_out(cg, 0);
    RngKey k = rng_key(cg, l_i32(cg, site));
    Loop   l = l_loop(cg, l_i64(cg, 0), abi_bound(cg, 1), blocks ? 4 * width : width, 0, NULL);
    if (blocks) {
        Val v[4];
        rng_block(cg, k, l.i, width, v);
        for (int i = 0; i < 4; i++)
            l_store(cg, v[i], l_gep(cg, cg->f32, out, l_add(cg, l.i, l_i64(cg, i * width))), 4);
    } else {
        Val index = l_add(cg, l_splat(cg, l.i, width), l_iota(cg->i64, width, 0, 1));
        l_store(cg, rng_at(cg, k, index), l_gep(cg, cg->f32, out, l.i), 4);
    }
    l_loop_end(cg, &l, NULL);
    codegen_end(cg);
}

static const int WIDTHS[] = {1, 4, 8, 16};
enum { NWIDTHS = sizeof WIDTHS / sizeof *WIDTHS };

enum { SITE = 0x1e3779b9 };
#define SEED UINT64_C(0x123456789abcdef)
#define STEP UINT64_C(0x700000005)

static Codegen *make_module(Arena *a, TargetId id) {
    Target t;
    target_row(&t, id);
    Codegen *cg = codegen_new(a, &t, 2, "math");
    for (int w = 0; w < NWIDTHS; w++) {
        int width = WIDTHS[w];
        for (int i = 0; i < NFUNCTIONS; i++)
            emit_map(cg, arena_printf(a, "%s.%d", SCALARS[FUNCTIONS[i].op].text, width), FUNCTIONS[i].op, width);
        for (int i = 0; i < NPAIRS; i++)
            emit_map(cg, arena_printf(a, "%s.%d", SCALARS[PAIRS[i]].text, width), PAIRS[i], width);
        emit_random(cg, arena_printf(a, "rng_at.%d", width), SITE, width, false);
        emit_random(cg, arena_printf(a, "rng_block.%d", width), SITE, width, true);
    }
    return cg;
}

static netc_function *function(Arena *a, Codegen *cg, const char *name, int width) {
    void *p = codegen_function_address(cg, arena_printf(a, "%s.%d", name, width));
    if (!p) fail_msg("no function %s.%d", name, width);
    return (netc_function *)(uintptr_t)p;
}

static void call(netc_function *f, const float *x, const float *y, float *out, int64_t n) {
    const void *in[2] = {x, y};
    void       *result[1] = {out};
    netc_args   args = {.in = in, .out = result, .bound = {0, n}, .seed = SEED, .step = STEP};
    f(&args, 0, 1);
}

/* Runs `check` on the code of every target that this machine has, loaded once. */
static struct { Arena *arena; Codegen *cg; const char *name; } loaded[TARGET_COUNT];

static int load_all(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Target t;
        target_row(&t, (TargetId)i);
        if (!target_here(&t)) continue;
        const char *why = "";
        loaded[i].name = t.name;
        loaded[i].arena = arena_new();
        loaded[i].cg = make_module(loaded[i].arena, (TargetId)i);
        if (!codegen_jit(loaded[i].cg, &why)) fail_msg("%s: %s", t.name, why);
    }
    return 0;
}

static int free_all(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        if (!loaded[i].cg) continue;
        codegen_free(loaded[i].cg);
        arena_free(loaded[i].arena);
    }
    return 0;
}

/* ---- accuracy ------------------------------------------------------------------------------------ */

static uint32_t bits(float x) {
    uint32_t b;
    memcpy(&b, &x, 4);
    return b;
}

static float from_bits(uint32_t b) {
    float x;
    memcpy(&x, &b, 4);
    return x;
}

/* Distance from the exact value in ulp of it; infinity where the kinds differ (NaN, sign of an infinity).
 * An infinity counts as 2^128, and 0 is right below 2^-126. */
static double distance(float y, double exact) {
    if (isnan(exact) || isnan(y)) return isnan(exact) && isnan(y) ? 0 : INFINITY;
    if (isinf(exact) && y == exact) return 0;
    if (fabs(exact) < 0x1p-126 && y == 0) return 0;
    double got = isinf(y) ? copysign(0x1p128, y) : y;
    if (fabs(exact) > 0x1p128) exact = copysign(0x1p128, exact);
    int e;
    frexp(exact, &e);
    return fabs(got - exact) / ldexp(1, (exact == 0 || e < -125 ? -125 : e) - 24);
}

/* A denormal argument may count as 0. */
static double distance1(float y, double (*exact)(double), float x) {
    double d = distance(y, exact(x));
    if (d > 0 && x != 0 && fabsf(x) < 0x1p-126f) d = fmin(d, distance(y, exact(copysign(0, x))));
    return d;
}

enum { CHUNK = 1 << 14, NEAR = 256 };

/* Fills x with the next samples; false: there are no more. The first ones lie around the special values. */
static bool next_samples(float *x, uint64_t *next) {
    int n = 0;
    if (*next >> 32) return false;
    for (int s = 0; s < NSPECIAL && *next == 0; s++)
        for (uint32_t k = 0; k < NEAR; k++) x[n++] = from_bits(bits(SPECIAL[s]) - NEAR / 2 + k);
    for (; n < CHUNK; n++, *next += STRIDE) x[n] = from_bits((uint32_t)*next);
    return true;
}
_Static_assert(NSPECIAL * NEAR < CHUNK, "room for what lies around the special values");

static void same_lanes(int k, ScalarOp op, const float *x, const float *one, const float *wide, int width) {
    for (int j = 0; j < CHUNK; j++)
        if (bits(one[j]) != bits(wide[j]) && !(isnan(one[j]) && isnan(wide[j])))
            fail_msg("%s %s(%a): one %a, in a vector of %d %a", loaded[k].name, SCALARS[op].text, x[j], one[j], width,
                     wide[j]);
}

/* The worst error of function i of target k over the samples; *where is its argument. */
static double worst(int k, int i, float *where) {
    static float  x[CHUNK], one[CHUNK], wide[CHUNK];
    ScalarOp      op = FUNCTIONS[i].op;
    netc_function *f[NWIDTHS];
    double        most = 0;
    for (int w = 0; w < NWIDTHS; w++) f[w] = function(loaded[k].arena, loaded[k].cg, SCALARS[op].text, WIDTHS[w]);
    for (uint64_t next = 0; next_samples(x, &next);) {
        call(f[0], x, x, one, CHUNK);
        for (int w = 1; w < NWIDTHS; w++) {
            call(f[w], x, x, wide, CHUNK);
            same_lanes(k, op, x, one, wide, WIDTHS[w]);
        }
        for (int j = 0; j < CHUNK; j++) {
            if (isfinite(x[j]) && fabsf(x[j]) > FUNCTIONS[i].range) {
                if (!(fabsf(one[j]) <= 1)) fail_msg("%s(%a) = %a", SCALARS[op].text, x[j], one[j]);
                continue;
            }
            double d = distance1(one[j], FUNCTIONS[i].exact, x[j]);
            if (d > most) most = d, *where = x[j];
        }
    }
    return most;
}

static void test_functions_keep_their_bounds(void **state) {
    (void)state;
    for (int k = 0; k < TARGET_COUNT; k++) {
        for (int i = 0; i < NFUNCTIONS && loaded[k].cg; i++) {
            float  where = 0;
            double most = worst(k, i, &where);
            print_message("%-7s %-6s %.3f ulp at %a\n", loaded[k].name, SCALARS[FUNCTIONS[i].op].text, most, where);
            if (most > FUNCTIONS[i].bound)
                fail_msg("%s(%a) is off by %g ulp", SCALARS[FUNCTIONS[i].op].text, where, most);
        }
    }
}

/* ---- two operands -------------------------------------------------------------------------------- */

/* pow: 1 ulp against the interpreter's rule, where -0 counts as 0; the others are exact, rounded once. */
static bool right(ScalarOp op, float a, float b, float y) {
    double exact = scalar_eval(op, op == SC_LT || op == SC_EQ ? DT_PRED : DT_F32, a, b, 0);
    if (op == SC_POW && a == 0) exact = scalar_eval(op, DT_F32, 0, b, 0);
    if (op != SC_POW) return bits(y) == bits((float)exact) || (isnan(y) && isnan(exact));
    return distance(y, exact) <= 1 || ((fabsf(a) < 0x1p-126f) && distance(y, scalar_eval(op, DT_F32, 0, b, 0)) <= 1);
}

static void check_pairs(int k, ScalarOp op, const float *x, const float *y, int n) {
    static float one[CHUNK], wide[CHUNK];
    call(function(loaded[k].arena, loaded[k].cg, SCALARS[op].text, 1), x, y, one, n);
    for (int i = 0; i < n; i++)
        if (!right(op, x[i], y[i], one[i]))
            fail_msg("%s %s(%a, %a) = %a", loaded[k].name, SCALARS[op].text, x[i], y[i], one[i]);
    for (int w = 1; w < NWIDTHS; w++) {
        call(function(loaded[k].arena, loaded[k].cg, SCALARS[op].text, WIDTHS[w]), x, y, wide, n);
        for (int i = 0; i < n; i++)
            if (bits(one[i]) != bits(wide[i]) && !(isnan(one[i]) && isnan(wide[i])))
                fail_msg("%s %s(%a, %a): one %a, in a vector of %d %a", loaded[k].name, SCALARS[op].text, x[i], y[i], one[i],
                         WIDTHS[w], wide[i]);
    }
}

static void test_pairs(void **state) {
    (void)state;
    static float x[CHUNK], y[CHUNK];
    _Static_assert(NSPECIAL * NSPECIAL <= CHUNK, "room for all pairs");
    for (int k = 0; k < TARGET_COUNT; k++) {
        for (int i = 0; i < NPAIRS && loaded[k].cg; i++) {
            for (int j = 0; j < NSPECIAL * NSPECIAL; j++) x[j] = SPECIAL[j / NSPECIAL], y[j] = SPECIAL[j % NSPECIAL];
            check_pairs(k, PAIRS[i], x, y, NSPECIAL * NSPECIAL);
            srand(1);
            for (int round = 0; round < 8; round++) {
                for (int j = 0; j < CHUNK; j++) {
                    x[j] = round % 2 ? from_bits((uint32_t)rand() << 1 | (rand() & 1)) : (float)rand() * 0x1p-29f;
                    y[j] = round % 2 ? from_bits((uint32_t)rand() << 1 | (rand() & 1)) : (float)rand() * 0x1p-26f - 16;
                }
                check_pairs(k, PAIRS[i], x, y, CHUNK);
            }
        }
    }
}

/* ---- random numbers ------------------------------------------------------------------------------ */

static void test_random_numbers(void **state) {
    (void)state;
    static float out[CHUNK];
    static const char *const name[] = {"rng_at", "rng_block"};
    for (int k = 0; k < TARGET_COUNT; k++) {
        for (int i = 0; i < 2 * NWIDTHS && loaded[k].cg; i++) {
            call(function(loaded[k].arena, loaded[k].cg, name[i / NWIDTHS], WIDTHS[i % NWIDTHS]), NULL, NULL, out, CHUNK);
            for (int j = 0; j < CHUNK; j++) {
                float expected = (float)rng_uniform(SEED, SITE, STEP, j);
                if (out[j] != expected)
                    fail_msg("%s %s.%d: element %d is %a, not %a", loaded[k].name, name[i / NWIDTHS], WIDTHS[i % NWIDTHS], j, out[j],
                             expected);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_keep_their_bounds),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_random_numbers),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
