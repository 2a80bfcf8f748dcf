/* Lowered programs, interpreted, give the losses, metrics, states and results of the reference. */
#include "reference.h"

static void objectives_agree(void **state) {
    (void)state;
    for (int i = 0; i < NREFERENCE; i++) {
        Reference r = reference_load(REFERENCE[i]);
        for (int training = 0; training < 2; training++) {
            Graph *g = program_objective(r.program, training, r.rows + PADDING, r.arena);
            assert_non_null(g);
            const char *what = training ? "train" : "eval";
            assert_int_equal(reference_compare(&r, g, what, ""), count_records(&r, what));
            if (training) assert_int_equal(reference_compare(&r, g, "state", ""), count_records(&r, "state"));
        }
        arena_free(r.arena);
    }
}

static void entries_agree(void **state) {
    (void)state;
    int entries = 0;
    for (int i = 0; i < NREFERENCE; i++) {
        Reference r = reference_load(REFERENCE[i]);
        const ModelInfo *m = program_model(r.program);
        for (int k = 0; k < m->nentry; k++, entries++) {
            Graph *g = program_entry(r.program, k, r.rows + PADDING, r.arena);
            assert_non_null(g);
            g->outs.at[0].name = m->entry[k].name;
            assert_int_equal(reference_compare(&r, g, "entry", ""), 1);
        }
        arena_free(r.arena);
    }
    assert_true(entries >= 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(objectives_agree), cmocka_unit_test(entries_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
