/* Nests against the interpreter: kinds, types, guards, derived and indirect subscripts, awkward sizes. */
#include "tests/unit/kernel_util.h"

static void maps(void **state) {
    (void)state;
    static const int SIZES[] = {1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 129};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        char text[600];
        snprintf(text, sizeof text,
                 "graph g(n<=5) { %%x = input data \"x\" : f32[n,%d]\n %%w = param \"w\" : f32[%d]\n"
                 "%%a = comp [b,i] map add(mul(%%x[b,i], %%w[i]), 0.5) : f32[n,%d]\n"
                 "%%c = comp [b,i] map sel(lt(%%a[b,i], 0), neg(%%x[b,i]), %%a[b,%d-i]) : f32[n,%d]\n"
                 "out a = %%a\n out c = %%c\n }",
                 SIZES[i], SIZES[i], SIZES[i], SIZES[i] - 1, SIZES[i]);
        kt_check(text, 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(maps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
