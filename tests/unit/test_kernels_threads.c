/* Which nests the threads share: a step too small for two threads is one thread's; what writes a matrix is cut along
 * the rows by which it is read. Values and bits at 1, 2 and 3 threads as everywhere. */
#include "tests/unit/kernel_util.h"

static Kernels *build(Arena *a, const char *text, const char *off) {
    Target        t;
    target_row(&t, TARGET_AVX2);
    return kt_kernels(a, text, &t, off);
}

/* Whole layer, its loss gradient by hand, and the update. The matrix stays in L2: a larger one is written by rows anyway. */
static const char LAYER[] =
    "graph train(n<=10) { %x = input data \"x\" : f32[n,400]\n %w = param \"w\" : f32[100,400]\n"
    "%y = comp [b,o | k<400] sum mul(%w[o,k], %x[b,k]) : f32[n,100]\n"
    "%z = comp [b,o] map max(%y[b,o], 0) : f32[n,100]\n"
    "%d = comp [o,k | b<n] sum mul(%z[b,o], %x[b,k]) : f32[100,400]\n"
    "%w1 = comp [o,k] map sub(%w[o,k], mul(0.001, %d[o,k])) : f32[100,400]\n out z = %z\n set %w = %w1\n}";

static const char CELL[] =
    "graph train(n<=1, T<=25) {\n %u = input data \"u\" : f32[T,n,128]\n %U = param \"U\" : f32[128,128]\n"
    "%h0 = const 0 : f32[n,128]\n"
    "%s = scan t<T carry(%h0) over(%u) use(%U) {\n %h = arg 0 : f32[n,128]\n %u = arg 1 : f32[n,128]\n"
    "%U = arg 2 : f32[128,128]\n"
    "%r = comp [b,i | k<128] sum mul(%U[i,k], %h[b,k]) : f32[n,128]\n"
    "%g = comp [b,i] map tanh(add(%u[b,i], mul(0.1, %r[b,i]))) : f32[n,128]\n carry %g\n stack %g\n }\n"
    "%hs = result %s, 1 : f32[T,n,128]\n out h = %hs\n}";

/* The axis of w along which a nest is shared out: the elements between two values of its outermost loop. */
static int64_t shared_stride(const Nest *n, const char *key) {
    for (int i = 0; i < n->naccess; i++) {
        const Node *node = n->access[i].node;
        if (node && node->op == OP_PARAM && !strcmp(node->u.param.key, key)) return n->access[i].off.k[n->loop[0]];
    }
    return -1;
}

static void rows_stay_with_their_thread(void **state) {
    (void)state;
    Arena         *a = arena_new();
    const Kernels *k = build(a, LAYER, NULL);
    assert_int_equal(k->nnest, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(k->nest[i]->npar > 0);
        assert_int_equal(shared_stride(k->nest[i], "w"), 400);
    }
    k = build(a, LAYER, "threads");                             /* as they were scheduled: along columns */
    assert_int_equal(shared_stride(k->nest[1], "w"), 1);
    KernelRun r = {.a = a, .level = 2, .seed = 5, .step = 7};
    kt_check_graph(&r, ir_good(a, LAYER), ir_good(a, LAYER), "a layer");
    arena_free(a);
}

static const Nest *scan_of(const Kernels *k) {
    for (int i = 0; i < k->nnest; i++)
        if (k->nest[i]->kind == NEST_SCAN) return k->nest[i];
    return NULL;
}

static void small_steps_are_one_threads(void **state) {
    (void)state;
    Arena *a = arena_new();
    assert_true(scan_of(build(a, CELL, NULL))->scan->serial);
    assert_false(scan_of(build(a, CELL, "threads"))->scan->serial);
    for (int off = 0; off < 2; off++) {
        KernelRun r = {.a = a, .level = 2, .off = off ? "threads" : NULL, .seed = 5, .step = 7, .tolerance = 4e-6};
        kt_check_graph(&r, ir_good(a, CELL), ir_good(a, CELL), "a cell");
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stay_with_their_thread),
        cmocka_unit_test(small_steps_are_one_threads),
    };
    return cmocka_run_group_tests_name("kernels/threads", tests, NULL, NULL);
}
