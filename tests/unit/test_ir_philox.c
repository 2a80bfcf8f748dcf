/* Philox4x32-10 against the known answers that its authors publish with Random123. */
#include "tests/unit/ir_util.h"

static void known_answers(void **state) {
    (void)state;
    static const struct { uint32_t counter[4], key[2], out[4]; } KAT[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof KAT / sizeof *KAT; i++) {
        uint32_t out[4];
        philox(KAT[i].counter, KAT[i].key, out);
        assert_memory_equal(out, KAT[i].out, sizeof out);
    }
}

static void numbers_lie_inside(void **state) {
    (void)state;
    double sum = 0, square = 0;
    for (int e = 0; e < 40000; e++) {
        double u = rng_uniform(1, 2, 3, e);
        assert_true(u > 0 && u < 1);
        assert_true((double)(float)u == u);          /* f32 holds it */
        sum += u;
        square += u * u;
    }
    assert_true(sum / 40000 > 0.49 && sum / 40000 < 0.51);
    assert_true(square / 40000 > 0.323 && square / 40000 < 0.343);
}

/* Every part of the key and the counter matters; element 4k + i is word i of block k. */
static void layout(void **state) {
    (void)state;
    double u = rng_uniform(7, 8, 9, 10);
    assert_true(u != rng_uniform(6, 8, 9, 10) && u != rng_uniform(7, 7, 9, 10) && u != rng_uniform(7, 8, 8, 10));
    assert_true(u != rng_uniform(7, 8, 9 + (1ull << 32), 10));
    uint32_t word[4];
    philox((uint32_t[]){2, 9, 1, 0}, (uint32_t[]){7, 8}, word);
    for (int i = 0; i < 4; i++)
        assert_true(rng_uniform(7, 8, 9 + (1ull << 32), 8 + i) == ((word[i] >> 9) + 0.5) / 8388608);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(numbers_lie_inside),
        cmocka_unit_test(layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
