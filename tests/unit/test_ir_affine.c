/* Affine forms: one normal form, and algebra that agrees with evaluation. */
#include "tests/unit/ir_util.h"

static const int64_t POINT[4] = {3, -2, 7, 5};

static Affine form(int64_t c, int64_t k0, int64_t k1, int64_t k2) {
    Affine f = affine_const(c);
    f = affine_add(f, affine_var(2), k2);          /* out of order on purpose */
    f = affine_add(f, affine_var(0), k0);
    return affine_add(f, affine_var(1), k1);
}

static void normal_form(void **state) {
    (void)state;
    Affine a = form(4, 2, 0, -1), b = affine_add(affine_scale(affine_var(0), 2), form(4, 0, 3, -1), 1);
    b = affine_add(b, affine_var(1), -3);
    assert_true(affine_equal(&a, &b));
    assert_memory_equal(&a, &b, sizeof a);         /* equal forms are equal bytes */
    assert_int_equal(a.n, 2);
    assert_int_equal(affine_coef(&a, 0), 2);
    assert_int_equal(affine_coef(&a, 1), 0);
    assert_int_equal(affine_coef(&a, 2), -1);
}

static void algebra_is_evaluation(void **state) {
    (void)state;
    Affine a = form(1, 2, 3, 4), b = form(-5, -2, 1, 0);
    for (int64_t k = -3; k <= 3; k++) {
        Affine sum = affine_add(a, b, k), scaled = affine_scale(a, k);
        assert_int_equal(affine_eval(&sum, POINT), affine_eval(&a, POINT) + k * affine_eval(&b, POINT));
        assert_int_equal(affine_eval(&scaled, POINT), k * affine_eval(&a, POINT));
    }
    Affine zero = affine_scale(a, 0);
    assert_true(affine_is_const(&zero));
    assert_int_equal(zero.c, 0);
}

static void substitution(void **state) {
    (void)state;
    Affine  a = form(1, 2, 3, 4), by[2] = {form(7, 0, 1, 1), affine_const(2)};
    Affine  s = affine_subst(&a, by, 2);           /* variable 2 stays */
    int64_t point[3] = {affine_eval(&by[0], POINT), 2, POINT[2]};
    assert_int_equal(affine_eval(&s, POINT), affine_eval(&a, point));
}

static void what_a_form_is(void **state) {
    (void)state;
    int    var = -1;
    Affine v = affine_var(3), c = affine_const(9), two = affine_scale(v, 2), more = affine_add(v, c, 1);
    assert_true(affine_is_var(&v, &var));
    assert_int_equal(var, 3);
    assert_false(affine_is_var(&c, &var) || affine_is_var(&two, &var) || affine_is_var(&more, &var));
    assert_true(affine_is_const(&c));
    assert_false(affine_is_const(&v));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_form),
        cmocka_unit_test(algebra_is_evaluation),
        cmocka_unit_test(substitution),
        cmocka_unit_test(what_a_form_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
