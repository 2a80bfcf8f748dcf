/* Whole programs, from the text to kernels, find the forms that make a step fast: one pass may not hide them from the
 * next. That the forms are right is for other tests (test_kernels_listed, test_passes_golden, test_driver_torch). */
#include <stdlib.h>

#include "passes/kernels.h"
#include "tests/unit/kernel_util.h"
#include "tests/unit/net_util.h"

#define NET(dims, functions, layers)                                                                              \
    "net 1\n dim K = 10\n" functions "data D(x: " dims ", y: K) { train = npz(\"a\") }\n"                             \
    "model Net { objective(x: " dims ", y: K) {\n z = x " layers " |> Dense(K) as out\n loss xent(z, y) } }\n"        \
    "train Net on D { batch = 10; optimizer = sgd(0.1) }\n"

static const char POOLED[] = NET("[1,28,28]", "",
    "|> Conv(20, 5) as c1 |> relu |> maxpool(2) |> Conv(40, 5) as c2 |> relu |> maxpool(2) |> flatten");

static const char ENLARGED[] = NET("[64]",
    "fn image(x: [n]) -> [n/16,4,4] {\n y[c < n/16, i < 4, j < 4] = x[16*c + 4*i + j]\n return y\n}\n"
    "fn up(x: [C,H,W]) -> [C,2*H,2*W] {\n y[c, i < 2*H, j < 2*W] = x[c, i/2, j/2]\n return y\n}\n",
    "|> Dense(128) as d |> image |> up |> Conv(6, 3, pad=1) as c |> flatten");

static const char HEADS[] = NET("[9,6]",
    "layer Heads(h)(x: [T,n]) -> [T,n] {\n q = Dense(n);  k = Dense(n);  v = Dense(n)\n"
    " a[t] = q(x[t]);  b[t] = k(x[t]);  c[t] = v(x[t])\n"
    " s[g < h, t, u] = sum[i < n/h](a[t, n/h*g + i] * b[u, n/h*g + i])\n w[g, t] = softmax(s[g, t])\n"
    " y[t, i] = sum[u](w[i/(n/h), t, u] * c[u, i])\n return y\n}\n",
    "|> Heads(3) as a |> flatten");

static Kernels *kernels_of(Arena *a, const char *name, const char *text) {
    KtLayout      l = {.a = a};
    KernelOptions o = {.level = 2, .place = kt_place, .cx = &l};
    Target        t;
    Graph        *g = net_training_step(a, name, text);
    target_row(&t, TARGET_AVX2);
    passes_run(g, &(PassOptions){.level = 2, .out = stderr});
    return kernels_build(a, g, &t, &o);
}

static int lists(const Kernels *k) {
    int n = 0;
    for (int i = 0; i < k->nnest; i++) n += k->nest[i]->list.on;
    return n;
}

static int indirect_reals(const Kernels *k) {
    int n = 0;
    for (int i = 0; i < k->nnest; i++)
        for (int j = 0; j < k->nest[i]->naccess; j++)
            n += k->nest[i]->access[j].dtype == DT_F32 && k->nest[i]->access[j].nind > 0;
    return n;
}

/* Behind a pool the weight gradients of both convolutions and the image gradient of the second go over lists. */
static void gradients_of_pools_are_lists(void **state) {
    (void)state;
    Arena *a = arena_new();
    assert_int_equal(lists(kernels_of(a, "pooled", POOLED)), 3);
    arena_free(a);
}

/* Subscripts like i/2 and 16*c + 4*i + j: indirect are the read of the label's score, and the copy that enlarges. */
static void quotients_are_no_lookups(void **state) {
    (void)state;
    Arena *a = arena_new();
    assert_int_equal(indirect_reals(kernels_of(a, "enlarged", ENLARGED)), 2);
    assert_int_equal(indirect_reals(kernels_of(a, "heads", HEADS)), 1);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_pools_are_lists),
        cmocka_unit_test(quotients_are_no_lookups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
