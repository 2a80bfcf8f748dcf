/* Which row of targets.def a command line stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/target.h"

static void chooses(const char *triple, const char *cpu, TargetId id, const char *llvm_triple) {
    Target      t;
    const char *why = "";
    if (!target_select(&t, triple, cpu, &why)) fail_msg("%s %s: %s", triple, cpu, why);
    assert_int_equal(t.id, id);
    assert_string_equal(t.triple, llvm_triple);
}

static void test_names(void **state) {
    (void)state;
    const char *x86 = "x86_64-unknown-linux-gnu", *arm = "aarch64-unknown-linux-gnu";
    chooses("x86_64", "haswell", TARGET_AVX2, x86);
    chooses("x86_64", "avx512", TARGET_AVX512, x86);
    chooses("x86_64", "generic", TARGET_SSE2, x86);
    chooses("amd64", "x86-64", TARGET_SSE2, x86);
    chooses("x86_64-linux-musl", "sandybridge", TARGET_AVX, "x86_64-linux-musl");
    chooses("aarch64", "generic", TARGET_NEON, arm);
    chooses("arm64", "neoverse-n1", TARGET_NEON, arm);
}

static void refuses(const char *triple, const char *cpu, const char *part) {
    Target      t;
    const char *why = "";
    assert_false(target_select(&t, triple, cpu, &why));
    if (!strstr(why, part)) fail_msg("'%s' does not say '%s'", why, part);
}

static void test_refusals(void **state) {
    (void)state;
    refuses("x86_64", "pentium", "avx512 avx2 avx sse2 neon");
    refuses("x86_64", "neon", "unknown processor");
    refuses("x86_64", "", "unknown processor");
    refuses("x86_64", "haswell broadwell", "unknown processor");
    refuses("x86_64", " haswell", "unknown processor");
    refuses("x86_64", "haswel", "unknown processor");
    refuses("riscv64", NULL, "unknown machine");
    refuses("x86_64x", NULL, "unknown machine");
    refuses("x86_64-w64-windows-gnu", NULL, "ELF");
    refuses("arm64-apple-macos", NULL, "ELF");
}

/* native, nothing said and target_host agree, and the machine runs what they say. */
static void test_host(void **state) {
    (void)state;
    Target      host, native, nothing;
    const char *why = "";
    target_host(&host);
    assert_true(target_here(&host));
    assert_true(target_select(&native, NULL, "native", &why));
    assert_true(target_select(&nothing, NULL, NULL, &why));
    assert_int_equal(native.id, host.id);
    assert_int_equal(nothing.id, host.id);
}

/* Without a processor, another architecture means every machine of it. */
static void test_other_architecture(void **state) {
    (void)state;
    Target host;
    target_host(&host);
    if (host.arch == ARCH_X86_64) chooses("aarch64", NULL, TARGET_NEON, "aarch64-unknown-linux-gnu");
    else chooses("x86_64", NULL, TARGET_SSE2, "x86_64-unknown-linux-gnu");
}

/* A schedule relies on these. */
static void test_rows(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Target t;
        target_row(&t, (TargetId)i);
        assert_int_equal(t.id, i);
        assert_true(t.width == 4 || t.width == 8 || t.width == 16);
        assert_true(t.registers >= 16 && t.loads >= 1 && t.stores >= 1 && t.fma_ports >= 1 && t.latency >= 1);
        assert_true(t.l1 >= 16384 && t.l2 > t.l1);
        assert_true(t.has_fma == (strstr(t.features, "fma") || strstr(t.features, "neon")));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_refusals),           cmocka_unit_test(test_host),
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_other_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
