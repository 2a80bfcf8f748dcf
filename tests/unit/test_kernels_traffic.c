/* Schedules that memory asks for, against the interpreter: reductions that are cut into turns (passes/traffic.c), loads by
 * transposition (codegen/emit_access.c), memory asked for ahead of time (codegen/emit_prefetch.c). Small caches make
 * small products need them. */
#include "tests/unit/kernel_util.h"

enum { L1 = 2048, L2 = 8192 };

/* A dense layer of k inputs and o outputs, forward and backward, an activation behind each. */
static const char *dense_text(Arena *a, int rows, int k, int o) {
    return arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d]\n %%w = param \"w\" : f32[%d,%d]\n %%b = param \"b\" : f32[%d]\n"
        "%%y = comp [b,o | k<%d] sum mul(%%w[o,k], %%x[b,k]) : f32[n,%d]\n"
        "%%z = comp [b,o] map max(add(%%y[b,o], %%b[o]), 0) : f32[n,%d]\n"
        "%%dx = comp [b,k | o<%d] sum mul(%%w[o,k], %%z[b,o]) : f32[n,%d]\n"
        "%%dr = comp [b,k] map sel(lt(0, %%x[b,k]), %%dx[b,k], 0) : f32[n,%d]\n"
        "%%s = comp [b | k<%d] sum %%dr[b,k] : f32[n]\n"
        "%%dw = comp [o,k | b<n] sum mul(%%z[b,o], %%x[b,k]) : f32[%d,%d]\n"
        "%%w1 = comp [o,k] map sub(%%w[o,k], mul(0.1, %%dw[o,k])) : f32[%d,%d]\n"
        "out z = %%z\n out s = %%s\n set %%w = %%w1\n}",
        rows, k, o, k, o, k, o, o, o, k, k, k, o, k, o, k);
}

static void check_dense(int rows, int now, int k, int o, const char *cpu) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = now, .l1 = L1, .l2 = L2, .tolerance = 5e-6};
    Graph    *g = ir_good(r.a, dense_text(r.a, rows, k, o)), *same = ir_good(r.a, dense_text(r.a, rows, k, o));
    kt_check_graph(&r, g, same, arena_printf(r.a, "%d -> %d, %d of %d rows", k, o, now, rows));
    arena_free(r.a);
}

/* Around the turns, the unrolled steps within them, vectors and tiles. */
static void cut_reductions(void **state) {
    (void)state;
    static const int SIZES[] = {1, 33, 64, 67, 99, 100, 317};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        check_dense(10, 10, 32, SIZES[i], NULL);
        check_dense(21, 17, 29, SIZES[i], NULL);
        check_dense(11, 0, 32, SIZES[i], "haswell");
        check_dense(3, 0, 19, SIZES[i], "x86-64");
    }
}

/* Inner sizes around the blocks of four numbers, outer ones around the vectors. */
static void turned_loads(void **state) {
    (void)state;
    static const int INNER[] = {1, 2, 3, 4, 5, 7, 8, 13, 50}, OUTER[] = {3, 8, 15, 33};
    for (size_t i = 0; i < sizeof INNER / sizeof *INNER; i++)
        for (size_t j = 0; j < sizeof OUTER / sizeof *OUTER; j++) {
            check_dense(20, 20, INNER[i], OUTER[j], NULL);
            check_dense(9, 0, OUTER[j], INNER[i], i % 2 ? "haswell" : "x86-64");
        }
}

/* Maps that turn a matrix, whole and in part. */
static void transposed_copies(void **state) {
    (void)state;
    static const int SIZES[] = {1, 3, 4, 8, 15, 33, 67};
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        kt_check(arena_printf(a, "graph g(n<=21) { %%x = input data \"x\" : f32[n,%d]\n"
                                 "%%t = comp [k,b] map mul(2, %%x[b,k]) : f32[%d,n]\n out t = %%t\n}",
                              SIZES[i], SIZES[i]), 10);
    arena_free(a);
}

/* Caches decide: a matrix that fits is not cut, one that does not is, and only where the target's vectors lie in it. */
static void cuts_are_chosen(void **state) {
    (void)state;
    Arena        *a = arena_new();
    Target        t;
    for (int small = 0; small < 2; small++) {
        int cuts = 0;
        target_row(&t, TARGET_AVX2);
        if (small) t.l1 = L1, t.l2 = L2;
        Kernels *k = kt_kernels(a, dense_text(a, 10, 32, 99), &t, NULL);
        for (int i = 0; i < k->nnest; i++) cuts += k->nest[i]->cut > 0;
        assert_int_equal(cuts > 0, small);
    }
    arena_free(a);
}

/* A product with every image of a batch: k channels of so many pixels into m. */
static const char *images_text(Arena *a, int rows, int k, int m, int pixels) {
    return arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d,%d]\n %%w = param \"w\" : f32[%d,%d]\n"
        "%%y = comp [b,m,i | k<%d] sum mul(%%w[k,m], %%x[b,k,i]) : f32[n,%d,%d]\n"
        "%%z = comp [b,i | m<%d] max %%y[b,m,i] : f32[n,%d]\n out z = %%z\n}",
        rows, k, pixels, k, m, k, m, pixels, m, pixels);
}

/* Around the turns, with all rows and with fewer. */
static void turns_inside(void **state) {
    (void)state;
    static const int SIZES[][4] = {{12, 67, 9, 100}, {17, 99, 3, 64}, {23, 48, 13, 131}, {40, 131, 1, 96}};
    static const char *const CUTS[] = {"cut=k/8", "cut=k/8:inside", "cut=k/33:inside:shared=1", "cut=k/5:inside:shared=0"};
    for (size_t i = 0; i < 4 * sizeof SIZES / sizeof *SIZES; i++) {
        const int      *z = SIZES[i / 4];
        Arena          *a = arena_new();
        const char     *text = images_text(a, z[0], z[1], z[2], z[3]);
        Target          t;
        target_row(&t, TARGET_AVX2);
        Kernels        *k = kt_kernels(a, text, &t, NULL);
        bool            met = false;
        const char     *schedule = arena_printf(a, "%s:%s", kernel_name(a, k, k->nest[0]), CUTS[i % 4]);
        ForcedSchedules forced = {1, &schedule, &met, NULL};
        KernelRun       r = {.a = a, .level = 2, .rows = i % 2 * z[0] / 2, .forced = &forced, .tolerance = 5e-6};
        kt_check_graph(&r, ir_good(a, text), ir_good(a, text), schedule);
        if (!met || forced.error) fail_msg("%s: %s", schedule, forced.error ? forced.error : "no such kernel");
        arena_free(a);
    }
}

/* Two loops that are shared out have none between them that the turns could be inside of. */
static void turns_inside_of_one_loop(void **state) {
    (void)state;
    Arena      *a = arena_new();
    const char *text = images_text(a, 12, 67, 9, 100);
    Target      t;
    target_row(&t, TARGET_AVX2);
    Kernels        *k = kt_kernels(a, text, &t, NULL);
    bool            met = false;
    const char     *schedule = arena_printf(a, "%s:cut=k/8:inside:shared=2", kernel_name(a, k, k->nest[0]));
    ForcedSchedules forced = {1, &schedule, &met, NULL};
    KernelOptions   o = {.level = 2, .place = kt_place, .cx = &(KtLayout){.a = a}, .forced = &forced};
    kernels_build(a, ir_good(a, text), &t, &o);
    if (!forced.error || !strstr(forced.error, "shared=0 or 1")) fail_msg("%s", forced.error ? forced.error : "was taken");
    arena_free(a);
}

/* An image that does not stay in the first cache is gone through in turns by itself, not all images in each turn. */
static void turns_inside_are_chosen(void **state) {
    (void)state;
    Arena *a = arena_new();
    Target t;
    target_row(&t, TARGET_AVX2);
    for (int rows = 2; rows <= 51; rows += 49) {
        const Nest *n = kt_kernels(a, images_text(a, rows, 184, 9, 576), &t, NULL)->nest[0];
        assert_int_equal(n->cut && n->cut_inside, rows > 2);
    }
    arena_free(a);
}

static int times_asked(Arena *a, int rows, int l2) {
    Target        t;
    int           n = 0;
    target_row(&t, TARGET_AVX2);
    if (l2) t.l2 = l2;
    Codegen *cg = codegen_new(a, &t, 2, "asked");
    codegen_function(cg, kt_kernels(a, dense_text(a, rows, 32, 317), &t, NULL));
    for (const char *p = codegen_llvm_text(cg, a); (p = strstr(p, "call void @llvm.prefetch")); p++) n++;
    codegen_free(cg);
    return n;
}

/* A matrix beyond the second cache is asked for ahead of time, if its numbers take part in several multiply-adds. */
static void next_tiles_are_asked_for(void **state) {
    (void)state;
    Arena *a = arena_new();
    assert_true(times_asked(a, 10, L2) > 0);
    assert_int_equal(times_asked(a, 10, 0), 0);
    assert_true(times_asked(a, 1, L2) < times_asked(a, 10, L2));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_reductions), cmocka_unit_test(turned_loads), cmocka_unit_test(transposed_copies),
        cmocka_unit_test(cuts_are_chosen), cmocka_unit_test(turns_inside), cmocka_unit_test(turns_inside_of_one_loop),
        cmocka_unit_test(turns_inside_are_chosen), cmocka_unit_test(next_tiles_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
