/* Which nests the threads share: a step too small for two threads is one thread's; what writes a matrix is cut along
 * the rows by which it is read. Values and bits at 1, 2 and 3 threads as everywhere. */
#include "tests/unit/kernel_util.h"

/* For so many threads; 0: it is not known for how many. */
static Kernels *build_for(Arena *a, const char *text, const char *off, int threads) {
    KtLayout     *l = ARENA_NEW(a, KtLayout);
    KernelOptions o = {.level = 2, .off = off, .place = kt_place, .cx = l, .threads = threads};
    Target        t;
    target_row(&t, TARGET_AVX2);
    l->a = a;
    return kernels_build(a, ir_good(a, text), &t, &o);
}

static Kernels *build(Arena *a, const char *text, const char *off) { return build_for(a, text, off, 2); }

static const int COUNTS[] = {0, 2, 4, 8};
enum { NCOUNTS = sizeof COUNTS / sizeof *COUNTS };

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

/* Three products that are worth a thread each: a fourth and an eighth have nothing to do. */
static const char THREE[] =
    "graph train(n<=1) { %x = param \"x\" : f32[3,64,64]\n %y = param \"y\" : f32[3,64,64]\n"
    "%z = comp [b,i,j | k<64] sum mul(%x[b,i,k], %y[b,k,j]) : f32[3,64,64]\n out z = %z\n}";

static const char LARGE[] =
    "graph train(n<=64) { %x = input data \"x\" : f32[n,512]\n %w = param \"w\" : f32[512,512]\n"
    "%y = comp [b,o | k<512] sum mul(%w[o,k], %x[b,k]) : f32[n,512]\n out y = %y\n}";

/* What holds for two threads holds for more. */
static void more_threads_decide_alike(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (int c = 0; c < NCOUNTS; c++) {
        assert_true(scan_of(build_for(a, CELL, NULL, COUNTS[c]))->scan->serial);
        const Kernels *k = build_for(a, LAYER, NULL, COUNTS[c]);
        for (int i = 0; i < 2; i++) assert_int_equal(shared_stride(k->nest[i], "w"), 400);
        assert_true(build_for(a, LARGE, NULL, COUNTS[c])->nest[0]->npar > 0);
    }
    assert_true(build_for(a, LARGE, NULL, 1)->nest[0]->npar > 0);       /* it may be run by more */
    arena_free(a);
}

/* Meetings grow with the threads, shares do not get smaller than one trip. */
static void time_by_threads(void **state) {
    (void)state;
    Arena         *a = arena_new();
    const Kernels *large = build(a, LARGE, NULL), *cell = build(a, CELL, NULL);
    double         one = kernels_cycles(large, 1), before = one;
    for (int threads = 2; threads <= 8; threads *= 2) {
        double now = kernels_cycles(large, threads);
        assert_true(now < before && now > one / threads);
        before = now;
        assert_true(kernels_cycles(cell, threads) == kernels_cycles(cell, 1));
    }
    assert_true(kernels_cycles(large, 2) < 0.6 * one && kernels_cycles(large, 8) < 0.25 * one);
    KernelOptions o = {.level = 2, .place = kt_place, .cx = &(KtLayout){.a = a}, .threads = 2};
    Target        t;
    target_row(&t, TARGET_AVX2);
    Kernels *three = kernels_build(a, ir_good(a, THREE), &t, &o);
    Nest    *n = three->nest[three->nnest - 1];
    n->npar = 1;                                                        /* the products alone */
    assert_int_equal(nest_trips(n, n->loop[0]), 3);
    double alone = kernels_cycles(three, 1);
    assert_true(kernels_cycles(three, 2) > 0.66 * alone && kernels_cycles(three, 2) < 0.8 * alone);
    assert_true(kernels_cycles(three, 4) < 0.5 * alone);
    assert_true(kernels_cycles(three, 8) > kernels_cycles(three, 4));
    arena_free(a);
}

/* Whatever number of threads the code was made for, the bits are the same. */
static void bits_do_not_depend_on_it(void **state) {
    (void)state;
    static const char *const TEXTS[] = {LAYER, CELL, THREE, LARGE};
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        KtBuilt first = {0};
        for (int c = 0; c < NCOUNTS; c++) {
            KernelRun  *r = ARENA_NEW(a, KernelRun);
            const char *why = "";
            *r = (KernelRun){.a = a, .level = 2, .seed = 5, .step = 7, .threads = COUNTS[c]};
            KtBuilt     b = {.r = r, .g = ir_good(a, TEXTS[i])};
            Target      t = kt_target(r);
            if (!target_here(&t)) skip();
            Codegen    *cg = codegen_new(a, &t, 2, "test");
            kt_build(&b, cg);
            assert_true(codegen_jit(cg, &why));
            b.fn = (netc_function *)codegen_function_address(cg, b.k->name);
            kt_execute(&b, 1);
            if (!c) first = b;
            for (int o = 0; o < b.g->outs.n; o++)
                assert_memory_equal(first.out[o], b.out[o], (size_t)kt_bytes(b.g->outs.at[o].value));
            kt_same_at_threads(&b, "code for several threads");
            codegen_free(cg);
        }
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stay_with_their_thread),
        cmocka_unit_test(small_steps_are_one_threads),
        cmocka_unit_test(more_threads_decide_alike),
        cmocka_unit_test(time_by_threads),
        cmocka_unit_test(bits_do_not_depend_on_it),
    };
    return cmocka_run_group_tests_name("kernels/threads", tests, NULL, NULL);
}
