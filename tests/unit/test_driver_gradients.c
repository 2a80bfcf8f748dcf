/* Differentiated programs, interpreted, give the gradients of the reference. */
#include "passes/pass.h"
#include "reference.h"

static void gradients_agree(void **state) {
    (void)state;
    for (int i = 0; i < NREFERENCE; i++) {
        Reference r = reference_load(REFERENCE[i]);
        Graph *g = program_objective(r.program, true, r.rows + PADDING, r.arena);
        assert_non_null(g);
        grad_params(g);
        assert_int_equal(reference_compare(&r, g, "grad", "grad."), count_records(&r, "grad"));
        arena_free(r.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
