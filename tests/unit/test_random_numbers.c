/* The runtime's Philox and the compiler's are one function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ir/ir.h"
#include "runtime/philox.h"

static void test_same_function(void **state) {
    (void)state;
    uint32_t x = 1;
    for (int i = 0; i < 1000; i++) {
        uint32_t in[6], a[4], b[4];
        for (int k = 0; k < 6; k++) in[k] = x = x * 1664525u + 1013904223u;
        philox(in, in + 4, a);
        netc_philox(in, in + 4, b);
        assert_memory_equal(a, b, sizeof a);
    }
}

/* The known answers of the authors' Random123 library (kat_vectors). */
static void test_known_answers(void **state) {
    (void)state;
    static const uint32_t ONES[4] = {~0u, ~0u, ~0u, ~0u}, ZEROS[4];
    static const uint32_t FROM_ZEROS[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t FROM_ONES[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    uint32_t out[4];
    netc_philox(ZEROS, ZEROS, out);
    assert_memory_equal(out, FROM_ZEROS, sizeof out);
    netc_philox(ONES, ONES, out);
    assert_memory_equal(out, FROM_ONES, sizeof out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_function), cmocka_unit_test(test_known_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
