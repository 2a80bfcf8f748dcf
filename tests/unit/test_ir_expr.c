/* Scalar expressions: types, equality, substitution, and the number of every operation. */
#include <math.h>

#include "tests/unit/ir_util.h"

static Arena *A;

static int setup(void **state) { (void)state; A = arena_new(); return 0; }
static int teardown(void **state) { (void)state; arena_free(A); return 0; }

static const Expr *read1(int operand, Affine f) {
    Sub s = {f, NULL};
    return expr_read(A, DT_F32, operand, 1, &s, false);
}

static void types(void **state) {
    (void)state;
    DType r, ff[] = {DT_F32, DT_F32}, ii[] = {DT_I32, DT_I32}, fi[] = {DT_F32, DT_I32}, pp[] = {DT_PRED, DT_PRED};
    assert_true(scalar_type(SC_ADD, ff, &r) && r == DT_F32);
    assert_true(scalar_type(SC_ADD, ii, &r) && r == DT_I32);
    assert_false(scalar_type(SC_ADD, fi, &r) || scalar_type(SC_ADD, pp, &r) || scalar_type(SC_DIV, ii, &r));
    assert_true(scalar_type(SC_LT, ii, &r) && r == DT_PRED);
    assert_false(scalar_type(SC_LT, pp, &r));
    assert_true(scalar_type(SC_EQ, pp, &r) && r == DT_PRED);
    assert_true(scalar_type(SC_SEL, (DType[]){DT_PRED, DT_I32, DT_I32}, &r) && r == DT_I32);
    assert_false(scalar_type(SC_SEL, (DType[]){DT_F32, DT_F32, DT_F32}, &r));
    assert_false(scalar_type(SC_EXP, ii, &r));
}

static void equality(void **state) {
    (void)state;
    const Expr *a = expr_op2(A, SC_MUL, read1(0, affine_var(0)), expr_const(A, 2));
    const Expr *b = expr_op2(A, SC_MUL, read1(0, affine_var(0)), expr_const(A, 2));
    assert_true(a != b && expr_equal(a, b));
    assert_false(expr_equal(a, expr_op2(A, SC_MUL, read1(1, affine_var(0)), expr_const(A, 2))));
    assert_false(expr_equal(a, expr_op2(A, SC_MUL, read1(0, affine_var(1)), expr_const(A, 2))));
    assert_false(expr_equal(a, expr_op2(A, SC_ADD, read1(0, affine_var(0)), expr_const(A, 2))));
    assert_false(expr_equal(expr_const(A, 0), expr_const(A, -0.0)));
    assert_false(expr_equal(expr_const(A, 1), expr_int(A, 1)));
    assert_true(expr_equal(expr_idx(A, affine_const(4)), expr_int(A, 4)));
    assert_int_equal(expr_size(a), 2);               /* the product and the read */
}

static void record(const Expr *e, void *cx) {
    Affine *f = cx;
    if (e->op == SC_READ && e->operand == 5) f[0] = e->sub[0].aff;
    if (e->op == SC_READ && e->operand == 6) f[1] = e->sub[0].aff;
    if (e->op == SC_IDX) f[2] = e->aff;
}

static void substitution(void **state) {
    (void)state;
    Sub         indirect = {affine_const(0), expr_cast(A, DT_I32, read1(1, affine_var(1)))};
    const Expr *e = expr_op2(A, SC_ADD, expr_read(A, DT_F32, 0, 1, &indirect, false),
                             expr_cast(A, DT_F32, expr_idx(A, affine_var(0))));
    Affine      by[2] = {affine_add(affine_var(3), affine_const(1), 1), affine_scale(affine_var(2), 2)}, seen[3] = {0};
    const Expr *s = expr_subst(A, e, by, 2, (int[]){5, 6});
    expr_walk(s, record, seen);
    assert_true(affine_is_const(&seen[0]));
    assert_true(affine_equal(&seen[1], &by[1]));     /* inside the indirect subscript */
    assert_true(affine_equal(&seen[2], &by[0]));
    assert_true(expr_subst(A, expr_const(A, 1), by, 2, NULL)->op == SC_CONST);
}

/* One line per row of scalars.def; the walk below fails if a row has none. */
static const struct { ScalarOp op; DType t; double x, y, z, want; } VALUES[] = {
    {SC_CONST, DT_F32, 3, 0, 0, 3}, {SC_IDX, DT_I32, 3, 0, 0, 3},
    {SC_BOUND, DT_F32, 3, 0, 0, 3}, {SC_READ, DT_F32, 3, 0, 0, 3},
    {SC_ADD, DT_F32, 1.5, 2, 0, 3.5}, {SC_ADD, DT_I32, INT32_MAX, 1, 0, INT32_MIN},
    {SC_SUB, DT_F32, 1.5, 2, 0, -0.5}, {SC_SUB, DT_I32, INT32_MIN, 1, 0, INT32_MAX},
    {SC_MUL, DT_F32, 1.5, 2, 0, 3}, {SC_MUL, DT_I32, 65536, 65537, 0, 65536},
    {SC_DIV, DT_F32, 3, 2, 0, 1.5}, {SC_DIV, DT_F32, 1, 0, 0, INFINITY},
    {SC_NEG, DT_F32, 3, 0, 0, -3}, {SC_NEG, DT_I32, INT32_MIN, 0, 0, INT32_MIN},
    {SC_MAX, DT_F32, 3, 4, 0, 4}, {SC_MAX, DT_F32, 0.0, -0.0, 0, -0.0}, {SC_MAX, DT_F32, NAN, 1, 0, 1},
    {SC_EXP, DT_F32, 0, 0, 0, 1}, {SC_EXP, DT_F32, -INFINITY, 0, 0, 0},
    {SC_LOG, DT_F32, 1, 0, 0, 0}, {SC_LOG, DT_F32, 0, 0, 0, -INFINITY}, {SC_LOG, DT_F32, -1, 0, 0, NAN},
    {SC_TANH, DT_F32, INFINITY, 0, 0, 1}, {SC_SQRT, DT_F32, 9, 0, 0, 3}, {SC_SQRT, DT_F32, -9, 0, 0, 0},
    {SC_SIN, DT_F32, 0, 0, 0, 0}, {SC_COS, DT_F32, 0, 0, 0, 1}, {SC_FLOOR, DT_F32, -1.5, 0, 0, -2},
    {SC_POW, DT_F32, 4, 0.5, 0, 2}, {SC_POW, DT_F32, 0, 2, 0, 0}, {SC_POW, DT_F32, 0, 0, 0, 1},
    {SC_POW, DT_F32, -2, 2, 0, NAN},
    {SC_LT, DT_PRED, 1, 2, 0, 1}, {SC_LT, DT_PRED, 2, 2, 0, 0}, {SC_LT, DT_PRED, NAN, 2, 0, 0},
    {SC_EQ, DT_PRED, 2, 2, 0, 1}, {SC_EQ, DT_PRED, 1, 2, 0, 0},
    {SC_SEL, DT_F32, 1, 5, 6, 5}, {SC_SEL, DT_F32, 0, NAN, 6, 6},
    {SC_CAST, DT_I32, -1.9, 0, 0, -1}, {SC_CAST, DT_I32, 1e20, 0, 0, INT32_MAX}, {SC_CAST, DT_I32, NAN, 0, 0, 0},
    {SC_CAST, DT_U8, 300, 0, 0, 255}, {SC_CAST, DT_U8, -3, 0, 0, 0},
    {SC_CAST, DT_PRED, 0.5, 0, 0, 1}, {SC_CAST, DT_F32, 7, 0, 0, 7},
};

static void numbers(void **state) {
    (void)state;
    bool seen[SC_COUNT] = {false};
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++) {
        double want = VALUES[i].want;
        double got = scalar_eval(VALUES[i].op, VALUES[i].t, VALUES[i].x, VALUES[i].y, VALUES[i].z);
        bool   same = isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want);
        if (!same)
            fail_msg("%s, line %d of the table: %g instead of %g", SCALARS[VALUES[i].op].text, (int)i, got, want);
        seen[VALUES[i].op] = true;
    }
    for (int op = 0; op < SC_COUNT; op++)
        if (!seen[op]) fail_msg("no value for %s in the table", SCALARS[op].text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(equality),
        cmocka_unit_test(substitution),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
