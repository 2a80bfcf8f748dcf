/* netc's loss and gradients against PyTorch's recorded answers (tests/torch/record.py) for networks that
 * together use every layer and option of the library, and sequences of different lengths, packed in PyTorch.
 *
 * The rule: netc's root-mean-square distance from PyTorch's f64 answer is at most twice that of PyTorch's
 * own f32 answer, plus four units in the last place of the tensor's largest number (a gradient that is zero
 * in exact arithmetic, as that of a bias before a batch normalisation, is measured against the loss's scale). */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/vec.h"
#include "runtime/tensor_file.h"

static Arena *arena;

/* sqrt(mean((a - b)^2)) */
static double distance(const netc_tensor *a, const netc_tensor *b) {
    int64_t n = netc_tensor_count(a);
    double  sum = 0;
    for (int64_t i = 0; i < n; i++) sum += pow(netc_tensor_get(a, i) - netc_tensor_get(b, i), 2);
    return sqrt(sum / (double)n);
}

static double largest(const netc_tensor *a) {
    double m = 0;
    for (int64_t i = 0; i < netc_tensor_count(a); i++) m = fmax(m, fabs(netc_tensor_get(a, i)));
    return m;
}

/* The command that computes the gradients of tests/torch/NAME into a file. */
static const char *command(const char *name, const char *out) {
    const char *dir = arena_printf(arena, "%s/tests/torch/%s", SOURCE_DIR, name);
    const char *cmd = arena_printf(arena, "%s/netc grad %s/net.net --weights %s/weights.safetensors --out %s",
                                   BINARY_DIR, dir, dir, out);
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char *dot = strstr(e->d_name, ".npy");
        if (!dot) continue;
        cmd = arena_printf(arena, "%s --in %.*s=%s/%s", cmd, (int)(dot - e->d_name), e->d_name, dir, e->d_name);
    }
    closedir(d);
    return cmd;
}

static void check_network(const char *name, const char *options) {
    const char  *out = arena_printf(arena, "%s/torch_%s_%d.safetensors", BINARY_DIR, name, (int)getpid());
    netc_tensors want, got;
    if (system(arena_printf(arena, "%s %s", command(name, out), options))) fail_msg("netc grad failed on %s", name);
    assert_int_equal(
        netc_safetensors_read(arena_printf(arena, "%s/tests/torch/%s/answers.safetensors", SOURCE_DIR, name), NULL,
                              NULL, &want),
        0);
    assert_int_equal(netc_safetensors_read(out, NULL, NULL, &got), 0);
    double floor = 0;
    for (int i = 0; i < want.count; i++) floor = fmax(floor, 5e-2 * largest(&want.t[i]));
    for (int i = 0; i < want.count; i++) {
        netc_tensor *w = &want.t[i];
        if (!strncmp(w->name, "f32:", 4)) continue;
        netc_tensor *g = netc_tensors_find(&got, w->name),
                    *f32 = netc_tensors_find(&want, arena_printf(arena, "f32:%s", w->name));
        if (!g) fail_msg("%s: netc gives no %s", name, w->name);
        assert_int_equal(netc_tensor_count(g), netc_tensor_count(w));
        double ulp = fmax(largest(w), floor) * 0x1p-23, mine = distance(g, w), theirs = distance(f32, w);
        print_message("%-11s %-14s off by %.1e, PyTorch's f32 by %.1e\n", name, w->name, mine, theirs);
        if (!(mine <= 2 * theirs + 4 * ulp))
            fail_msg("%s: %s is off by %g; allowed %g", name, w->name, mine, 2 * theirs + 4 * ulp);
    }
    netc_tensors_free(&want);
    netc_tensors_free(&got);
    unlink(out);
}

#define NETWORK(name)                                                                                                  \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        check_network(#name, "");                                                                                      \
        check_network(#name, "-O0");                                                                                   \
    }
NETWORK(dense)
NETWORK(conv)
NETWORK(convpool)
NETWORK(pools)
NETWORK(conv1)
NETWORK(attention)
NETWORK(batchnorm)
NETWORK(losses)
NETWORK(residual)
NETWORK(own)
NETWORK(rnn)
NETWORK(lstm)
NETWORK(gru)
NETWORK(reset)
NETWORK(bilstm)
NETWORK(stacked)
NETWORK(encdec)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),     cmocka_unit_test(test_conv),      cmocka_unit_test(test_convpool),
        cmocka_unit_test(test_pools),     cmocka_unit_test(test_conv1),     cmocka_unit_test(test_attention),
        cmocka_unit_test(test_batchnorm), cmocka_unit_test(test_losses),    cmocka_unit_test(test_residual),
        cmocka_unit_test(test_own),       cmocka_unit_test(test_rnn),       cmocka_unit_test(test_lstm),
        cmocka_unit_test(test_gru),       cmocka_unit_test(test_reset),     cmocka_unit_test(test_bilstm),
        cmocka_unit_test(test_stacked),   cmocka_unit_test(test_encdec),
    };
    arena = arena_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
