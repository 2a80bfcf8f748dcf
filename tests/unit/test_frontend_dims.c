/* Sizes as forms, when two dims are the same, and the proofs that subscripts stay inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/dims.h"

static Arena *A;

static int setup(void **state) {
    (void)state;
    A = arena_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(A);
    return 0;
}

static Dim *named(const char *name, int64_t size, bool ragged) {
    Dim *d = dim_number(A, size);
    d->name = name;
    d->ragged = ragged;
    return d;
}

static Form plus(Form f, int64_t c) { return form_add(A, f, form_number(c), 1); }

static void forms_cancel(void **state) {
    (void)state;
    Dim *h = named("H", 8, false), *t = named("T", 9, true);
    Form f = form_add(A, form_scale(A, form_of(A, h), 2), plus(form_of(A, t), 3), 1);
    assert_string_equal(form_text(A, f), "2*H+T+3");
    f = form_add(A, f, form_of(A, h), -2);
    assert_string_equal(form_text(A, f), "T+3");
    assert_string_equal(form_text(A, form_add(A, f, form_of(A, t), -1)), "3");
    bool bad;
    assert_int_equal(form_size(plus(form_of(A, h), -2), &bad), 6);
    assert_false(bad);
}

static void forms_overflow_is_seen(void **state) {
    (void)state;
    bool bad;
    form_size(form_scale(A, plus(form_number(INT64_MAX / 2), 1), 3), &bad);
    assert_true(bad);
    form_size(form_scale(A, form_of(A, named("H", 1 << 30, false)), INT64_MAX / 4), &bad);
    assert_true(bad);
}

static void a_form_is_the_dim_that_it_equals(void **state) {
    (void)state;
    Dim *h = named("H", 8, false), *t = named("T", 9, true);
    assert_ptr_equal(form_dim(A, plus(plus(form_of(A, h), 1), -1)), h);
    Dim *n = form_dim(A, plus(form_of(A, h), -2));
    assert_null(n->name);
    assert_int_equal(n->size, 6);
    Dim *d = form_dim(A, plus(form_of(A, t), -2));
    assert_true(d->ragged && d->derived);
    assert_string_equal(dim_text(A, d), "T-2");
}

static void floors_of_ragged_dims_are_atoms(void **state) {
    (void)state;
    FloorTable floors = {0};
    Dim *t = named("T", 9, true), *h = named("H", 8, false);
    Form half = form_div(A, &floors, form_of(A, t), 2);
    assert_true(form_equal(half, form_div(A, &floors, form_of(A, t), 2)));
    assert_false(form_equal(half, form_div(A, &floors, plus(form_of(A, t), 1), 2)));
    assert_int_equal(floors.n, 2);
    assert_string_equal(dim_text(A, form_dim(A, half)), "T/2");
    assert_int_equal(form_dim(A, half)->size, 4);
    assert_int_equal(form_div(A, &floors, plus(form_of(A, h), -9), 2).c, -1);           /* floors, not truncates */
    assert_true(form_equal(form_div(A, &floors, form_scale(A, form_of(A, t), 4), 2), form_scale(A, form_of(A, t), 2)));
}

static void which_dims_are_the_same(void **state) {
    (void)state;
    Dim *h = named("H", 8, false), *w = named("W", 8, false), *t = named("T", 8, true), *u = named("U", 8, true);
    assert_true(dim_same(h, h));
    assert_false(dim_same(h, w));                    /* nominal, even with equal sizes */
    assert_true(dim_same(h, dim_number(A, 8)));
    assert_false(dim_same(h, dim_number(A, 9)));
    assert_ptr_equal(dim_join(dim_number(A, 8), h), h);
    assert_false(dim_same(t, u));
    assert_false(dim_same(t, dim_number(A, 8)));
    assert_true(dim_same(form_dim(A, plus(form_of(A, t), 1)), form_dim(A, plus(form_of(A, t), 1))));
    assert_false(dim_same(form_dim(A, plus(form_of(A, t), 1)), form_dim(A, plus(form_of(A, u), 1))));
}

/* lo .. hi is inside axis d. */
static bool inside(Limit lo, Limit hi, const Dim *d) {
    Limit room = limit_add(A, limit_add(A, limit_dim(A, d, false), limit_number(1), -1), hi, -1);
    return limit_nonnegative(lo) && limit_nonnegative(room);
}

static void bounds_of_static_axes(void **state) {
    (void)state;
    Dim *h = named("H", 8, false);
    assert_true(inside(limit_number(0), limit_number(7), h));
    assert_false(inside(limit_number(0), limit_number(8), h));
    assert_false(inside(limit_number(-1), limit_number(7), h));
    assert_false(inside(limit_unknown(), limit_number(3), h));
}

/* The convolution over time: i < (T-k)/s+1, r < k, s*i+r is inside T for every length of T. */
static void bounds_of_a_convolution_over_time(void **state) {
    (void)state;
    FloorTable floors = {0};
    Dim *t = named("T", 12, true);
    int64_t k = 3, s = 2;
    Dim *steps = form_dim(A, plus(form_div(A, &floors, plus(form_of(A, t), -k), s), 1));
    Limit last = limit_add(A, limit_dim(A, steps, true), limit_number(1), -1);
    Limit hi = limit_add(A, limit_scale(A, last, ratio(s, 1)), limit_number(k - 1), 1);
    assert_true(inside(limit_number(0), hi, t));
    assert_false(inside(limit_number(0), limit_add(A, hi, limit_number(1), 1), t));
}

static void a_length_is_at_least_one(void **state) {
    (void)state;
    Dim *t = named("T", 12, true);
    assert_true(inside(limit_number(0), limit_number(0), t));
    assert_false(inside(limit_number(0), limit_number(1), t));
    Limit last = limit_add(A, limit_dim(A, t, true), limit_number(1), -1);
    assert_true(inside(last, last, t));              /* the last step */
}

static void ratios(void **state) {
    (void)state;
    Ratio r;
    assert_true(ratio_add(ratio(1, 6), ratio(1, 3), &r));
    assert_true(r.num == 1 && r.den == 2);
    assert_int_equal(ratio_floor(ratio(-1, 2)), -1);
    assert_int_equal(ratio_compare(ratio(-1, 2), ratio(1, -3)), -1);
    assert_false(ratio_mul(ratio(INT64_MAX, 1), ratio(2, 1), &r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_cancel), cmocka_unit_test(forms_overflow_is_seen),
        cmocka_unit_test(a_form_is_the_dim_that_it_equals), cmocka_unit_test(floors_of_ragged_dims_are_atoms),
        cmocka_unit_test(which_dims_are_the_same), cmocka_unit_test(bounds_of_static_axes),
        cmocka_unit_test(bounds_of_a_convolution_over_time), cmocka_unit_test(a_length_is_at_least_one),
        cmocka_unit_test(ratios),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
