/* NaN, infinities, -0, denormal and huge numbers through compiled maps: the answers of the interpreter rounded to
 * f32, for every level, with and without passes, on every x86 target of this machine, wherever in a vector they lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "passes/pass.h"
#include "tests/random/compiled.h"
#include "tests/unit/ir_util.h"

/* How far the answer may be off, in units in the last place. Rows with a bound are functions of emit_math.c: there a
 * denormal argument may count as 0, and so may a denormal result. ZERO_SIGN: netc's algebra takes the row for x or
 * -x, which gives another sign where the answer is 0 (passes/algebra.c). */
enum { ZERO_SIGN = -1 };
static const struct {
    const char *text;           /* of x = %x[b,i] and y = %y[b,i] */
    int         ulp;
} ROWS[] = {
    {"add(x, y)", 0},          {"sub(x, y)", 0},          {"mul(x, y)", 0},           {"div(x, y)", 0},
    {"neg(x)", 0},             {"max(x, y)", 0},          {"max(x, 0)", 0},           {"max(0, x)", 0},
    {"sqrt(x)", 0},            {"floor(x)", 0},           {"f32(lt(x, y))", 0},       {"f32(eq(x, y))", 0},
    {"sel(lt(x, y), x, y)", 0},                           {"sel(lt(x, 0), neg(x), x)", 0},
    {"f32(i32(x))", 0},        {"f32(u8(x))", 0},         {"f32(pred(x))", 0},        {"sel(eq(x, x), x, 0)", 0},
    {"exp(x)", 2},             {"log(x)", 2},             {"tanh(x)", 2},             {"pow(x, y)", 2},
    {"sin(sel(lt(mul(x, x), 1e10), x, 0))", 2},           {"cos(sel(lt(mul(x, x), 1e10), x, 0))", 2},
    /* what algebra must leave alone, or may only change where no number can tell */
    {"add(x, 0)", ZERO_SIGN},        {"add(x, -0)", 0},         {"sub(x, 0)", 0},           {"sub(0, x)", ZERO_SIGN},
    {"mul(x, 1)", 0},          {"mul(x, 0)", 0},          {"mul(x, -1)", 0},          {"div(x, 1)", 0},
    {"div(x, -1)", 0},         {"div(x, 2)", 0},          {"div(0, x)", 0},           {"neg(neg(x))", 0},
    {"sub(x, x)", 0},          {"div(x, x)", 0},          {"add(x, neg(y))", 0},      {"sub(neg(x), y)", 0},
    {"max(x, x)", 0},          {"max(x, neg(x))", 0},     {"mul(x, x)", 0},           {"sel(lt(x, y), x, x)", 0},
    {"pow(x, 0)", 2},          {"pow(x, 1)", 2},          {"pow(x, 2)", 2},           {"pow(1, x)", 2},
    {"neg(sub(x, y))", 0},      {"mul(neg(x), neg(y))", 0},
    {"max(sub(x, y), 0)", 0},  {"sel(lt(0, x), y, 0)", 0}, {"mul(y, f32(lt(0, x)))", 0}, {"mul(f32(eq(x, y)), x)", 0},
    {"mul(f32(lt(x, y)), f32(lt(y, x)))", 0},
};
enum { NROWS = sizeof ROWS / sizeof *ROWS };

static const float SPECIAL[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 2.5f, -3.0f, 1e-45f, -1e-45f, 1e-39f, 0x1p-126f,
                                -0x1p-126f, 1e-20f, 1e20f, -1e20f, 0x1.fffffep127f, -0x1.fffffep127f, INFINITY,
                                -INFINITY, NAN, 88.8f, -104.0f, 0x1p31f, -0x1p31f, 8388607.5f, 300.0f};
enum { NSPECIAL = sizeof SPECIAL / sizeof *SPECIAL, MOST = 16 };

/* x[i] = SPECIAL[i / N], y[i] = SPECIAL[i % N]; denormals are zeros of their sign in x if *cx has bit 1, in y if it
 * has bit 2. */
static const double *special_leaf(void *cx, const Node *leaf) {
    static double v[NSPECIAL * NSPECIAL];
    bool x = !strcmp(leaf->u.input.key, "x"), flushed = *(int *)cx & (x ? 1 : 2);
    for (int i = 0; i < NSPECIAL * NSPECIAL; i++) {
        float s = SPECIAL[x ? i / NSPECIAL : i % NSPECIAL];
        v[i] = flushed && fpclassify(s) == FP_SUBNORMAL ? copysign(0, s) : s;
    }
    return v;
}

/* MOST outputs from row `first` on. */
static Graph *make_graph(Arena *a, int first) {
    char *text = arena_printf(a, "graph special(n<=%d) {\n %%x = input data \"x\" : f32[n,%d]\n"
                                 " %%y = input data \"y\" : f32[n,%d]\n", NSPECIAL, NSPECIAL, NSPECIAL);
    char *outs = "";
    for (int i = first; i < NROWS && i < first + MOST; i++) {
        char *e = "";
        for (const char *p = ROWS[i].text; *p; p++) {
            bool name = (*p == 'x' || *p == 'y') && (p == ROWS[i].text || strchr("( ", p[-1])) && strchr(",)", p[1]);
            e = arena_printf(a, name ? "%s%%%c[b,i]" : "%s%c", e, *p);
        }
        text = arena_printf(a, "%s%%r%d = comp [b,i] map %s : f32[n,%d]\n", text, i, e, NSPECIAL);
        outs = arena_printf(a, "%sout r%d = %%r%d\n", outs, i, i);
    }
    return ir_good(a, arena_printf(a, "%s%s}", text, outs));
}

static bool same(float got, double want, int ulp) {
    float w = (float)want;
    if (isnan(w) || isnan(got)) return isnan(w) && isnan(got);
    if (w == 0 && got == 0 && ulp != ZERO_SIGN) return !signbit(w) == !signbit(got);
    if (ulp > 0 && got == 0 && fabs(want) < 0x1.000004p-126) return true;
    if (w == got) return true;
    float reach = fmaxf(nextafterf(fabsf(w), INFINITY) - fabsf(w), 0);
    return ulp > 0 && isfinite(w) && fabsf(got - w) <= (float)ulp * reach;
}

/* Row r at point i; want[m]: the interpreter's answers with denormals flushed as m says. */
static bool right(float got, double *const *const *want, int r, int out, int i) {
    for (int m = 0; m < (ROWS[r].ulp > 0 ? 4 : 1); m++)
        if (same(got, want[m][out][i], ROWS[r].ulp)) return true;
    return false;
}

/* How many answers are wrong. */
static int check(TargetId target, int level, bool passes, int first) {
    Arena      *a = arena_new();
    Graph      *g = make_graph(a, first);
    const char *why = "";
    double    **want[4];
    int         flushed[4] = {0, 1, 2, 3}, wrong = 0;
    InterpEnv   env = {.leaf = special_leaf};
    for (int m = 3; m >= 0; m--) {
        env.cx = &flushed[m];
        want[m] = interp_run(a, g, &env);
    }
    if (passes) passes_run(g, &(PassOptions){.level = level, .verify_each = true, .out = stderr});
    Compiled *c = compiled_new(a, g, &(CompileHow){target, level, NULL}, &why);
    if (!c) fail_msg("%s", why);
    char **got = compiled_run(c, &(RunHow){&env, 1, 0, false}, &why);
    if (!got) fail_msg("%s", why);
    for (int r = first; r < NROWS && r < first + MOST; r++)
        for (int i = 0; i < NSPECIAL * NSPECIAL; i++) {
            float y = ((const float *)got[r - first])[i];
            if (right(y, (double *const *const *)want, r, r - first, i)) continue;
            print_error("%s of %g, %g is %.9g, not %.9g (-O%d, passes %s, %s)\n", ROWS[r].text, SPECIAL[i / NSPECIAL],
                        SPECIAL[i % NSPECIAL], y, want[0][r - first][i], level, passes ? "on" : "off",
                        c->k->target.name);
            wrong++;
        }
    compiled_free(c);
    arena_free(a);
    return wrong;
}

static void check_target(TargetId id) {
    Target t;
    target_row(&t, id);
    if (!target_here(&t)) return;
    int wrong = 0;
    for (int level = 0; level <= 2; level++)
        for (int first = 0; first < NROWS; first += MOST) wrong += check(id, level, level > 0, first);
    assert_int_equal(wrong, 0);
}

static void avx512(void **state) { (void)state, check_target(TARGET_AVX512); }
static void avx2(void **state) { (void)state, check_target(TARGET_AVX2); }
static void avx(void **state) { (void)state, check_target(TARGET_AVX); }
static void sse2(void **state) { (void)state, check_target(TARGET_SSE2); }

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(avx512), cmocka_unit_test(avx2), cmocka_unit_test(avx),
                                       cmocka_unit_test(sse2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
