/* Operands in another order of axes (passes/order.c), packed strides (passes/pack.c), results and operands that come
 * from far (passes/traffic.c, codegen/emit_prefetch.c), and sums with lanes along reductions that are no multiple of
 * a vector, against the interpreter. */
#include "tests/unit/kernel_util.h"

typedef struct {
    int rows, c, o, side, k, stride, pad;
} Conv;

/* A convolution and its weight gradient, from a framed image; the gradient has a reader in another order. */
static const char *conv_text(Arena *a, Conv s) {
    int f = s.side + 2 * s.pad, m = (f - s.k) / s.stride + 1;
    return arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d,%d,%d]\n %%y = input data \"y\" : f32[n,%d,%d,%d]\n"
        "%%w = param \"w\" : f32[%d,%d,%d,%d]\n %%b = param \"b\" : f32[%d]\n"
        "%%f = comp [b,o,i,j | c<%d,r<%d,s<%d] sum mul(%%w[o,c,r,s], %%x?[b,c,%d*i+r-%d,%d*j+s-%d]) : f32[n,%d,%d,%d]\n"
        "%%z = comp [b,o,i,j] map max(add(%%f[b,o,i,j], %%b[o]), 0) : f32[n,%d,%d,%d]\n"
        "%%d = comp [o,c,r,s | b<n,i<%d,j<%d] sum mul(%%y[b,o,i,j], %%x?[b,c,%d*i+r-%d,%d*j+s-%d]) : f32[%d,%d,%d,%d]\n"
        "%%w1 = comp [o,c,r,s] map sub(%%w[o,c,r,s], mul(0.1, %%d[o,c,r,s])) : f32[%d,%d,%d,%d]\n"
        "out z = %%z\n set %%w = %%w1\n}",
        s.rows, s.c, s.side, s.side, s.o, m, m, s.o, s.c, s.k, s.k, s.o, s.c, s.k, s.k, s.stride, s.pad, s.stride, s.pad, s.o, m, m,
        s.o, m, m, m, m, s.stride, s.pad, s.stride, s.pad, s.o, s.c, s.k, s.k, s.o, s.c, s.k, s.k);
}

/* Maps that only move axes of what they read. */
static int turned_copies(const Kernels *k) {
    int n = 0;
    for (int i = 0; i < k->graph->nodes.n; i++) {
        const Node *m = k->graph->nodes.at[i];
        const Expr *e = m->op == OP_COMP && m->u.comp.kind == KIND_MAP ? m->u.comp.expr : NULL;
        int         v;
        if (!e || e->op != SC_READ || e->guarded || e->nsub < 2) continue;
        bool moved = false, plain = true;
        for (int d = 0; d < e->nsub; d++) {
            plain &= affine_is_var(&e->sub[d].aff, &v);
            moved |= plain && v != d;
        }
        n += plain && moved;
    }
    return n;
}

static int copies_of(Arena *a, Conv s, TargetId id, const char *off) {
    Target        t;
    target_row(&t, id);
    return turned_copies(kt_kernels(a, conv_text(a, s), &t, off));
}

/* Out channels around the vectors; images, strides and pads that fill none; rows beyond the bound. */
static const Conv CONVS[] = {
    {3, 31, 16, 13, 3, 2, 1}, {3, 17, 15, 14, 3, 2, 0}, {5, 13, 17, 11, 3, 1, 1}, {2, 40, 8, 15, 5, 2, 2}, {9, 29, 7, 10, 3, 1, 0},
    {9, 67, 33, 9, 1, 2, 0},  {4, 8, 37, 13, 3, 1, 1},  {7, 7, 31, 12, 3, 3, 1},
};

/* caches: bytes of L1, four times as much in L2; 0: the target's. */
static void check_conv_in(Conv s, const char *cpu, int64_t now, const char *off, int caches) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = now, .tolerance = 1e-5, .off = off, .l1 = caches,
                   .l2 = 4 * caches};
    Graph    *g = ir_good(r.a, conv_text(r.a, s)), *same = ir_good(r.a, conv_text(r.a, s));
    kt_check_graph(&r, g, same, arena_printf(r.a, "%d->%d %d on %d stride %d pad %d", s.c, s.o, s.k, s.side, s.stride, s.pad));
    arena_free(r.a);
}

static void check_conv(Conv s, const char *cpu, int64_t now, const char *off) { check_conv_in(s, cpu, now, off, 0); }

static void turned_operands(void **state) {
    static const char *const CPUS[] = {NULL, "haswell", "x86-64"};
    (void)state;
    for (size_t i = 0; i < sizeof CONVS / sizeof *CONVS; i++)
        check_conv(CONVS[i], CPUS[i % 3], i % 2 ? CONVS[i].rows - 1 : 0, NULL);
}

/* Strides and few pixels want other orders, large images with stride 1 do not; and they can be switched off. */
static void orders_are_chosen(void **state) {
    (void)state;
    static const Conv LARGE[] = {{39, 39, 211, 16, 5, 2, 2}, {39, 443, 51, 16, 5, 2, 0}};
    Arena *a = arena_new();
    int    some = 0;
    for (size_t i = 0; i < sizeof LARGE / sizeof *LARGE; i++) {
        assert_true(copies_of(a, LARGE[i], TARGET_AVX2, NULL) > 0);
        assert_int_equal(copies_of(a, LARGE[i], TARGET_AVX2, "order"), 0);
    }
    for (size_t i = 0; i < sizeof CONVS / sizeof *CONVS; i++) some += copies_of(a, CONVS[i], TARGET_AVX2, NULL) > 0;
    assert_true(some > 0);                              /* so turned_operands sees them as well */
    assert_int_equal(copies_of(a, (Conv){1, 6, 6, 64, 3, 1, 1}, TARGET_AVX2, NULL), 0);
    arena_free(a);
}

/* Weight gradients of few channels: lanes along the pixels, whose rows end within a vector. */
static void lanes_along_short_rows(void **state) {
    static const int SIDES[] = {1, 5, 7, 8, 9, 13, 15, 17, 31, 33};
    (void)state;
    for (size_t i = 0; i < sizeof SIDES / sizeof *SIDES; i++) {
        Conv s = {.rows = 5, .c = 2, .o = 3, .side = SIDES[i] + 2, .k = 3, .stride = 1, .pad = 0};
        check_conv(s, NULL, 4, NULL);
        check_conv(s, "haswell", 0, "order");
        check_conv(s, "x86-64", 5, "order");
        s.k = 1, s.side = SIDES[i];
        check_conv(s, NULL, 0, "order");
    }
}

/* A 1x1 convolution with a stride and its weight gradient. */
static const char *sampled_text(Arena *a, Conv s) {
    int m = (s.side - 1) / s.stride + 1;
    return arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d,%d,%d]\n %%y = input data \"y\" : f32[n,%d,%d,%d]\n"
        "%%w = param \"w\" : f32[%d,%d]\n"
        "%%f = comp [b,o,i,j | c<%d] sum mul(%%w[o,c], %%x[b,c,%d*i,%d*j]) : f32[n,%d,%d,%d]\n"
        "%%d = comp [o,c | b<n,i<%d,j<%d] sum mul(%%y[b,o,i,j], %%x[b,c,%d*i,%d*j]) : f32[%d,%d]\n"
        "out f = %%f\n out d = %%d\n}",
        s.rows, s.c, s.side, s.side, s.o, m, m, s.o, s.c, s.c, s.stride, s.stride, s.o, m, m, m, m, s.stride, s.stride, s.o, s.c);
}

static void check_sampled(Conv s, const char *cpu, int64_t now) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = now, .tolerance = 1e-5};
    Graph    *g = ir_good(r.a, sampled_text(r.a, s)), *same = ir_good(r.a, sampled_text(r.a, s));
    kt_check_graph(&r, g, same, arena_printf(r.a, "%d->%d on %d stride %d", s.c, s.o, s.side, s.stride));
    arena_free(r.a);
}

/* Maps that take every stride-th number. */
static int strided_packs(Arena *a, Conv s, const char *off) {
    Target        t;
    int           n = 0;
    target_row(&t, TARGET_AVX2);
    Kernels *k = kt_kernels(a, sampled_text(a, s), &t, off);
    for (int i = 0; i < k->graph->nodes.n; i++) {
        const Node *m = k->graph->nodes.at[i];
        const Expr *e = m->op == OP_COMP && m->u.comp.kind == KIND_MAP ? m->u.comp.expr : NULL;
        for (int d = 0; e && e->op == SC_READ && d < e->nsub; d++) n += d == 3 && affine_coef(&e->sub[d].aff, d) == s.stride;
    }
    return n;
}

/* What is taken of the image is packed, once for both sums, if there are products enough. */
static void strides_are_packed(void **state) {
    static const Conv SHAPES[] = {
        {.rows = 3, .c = 19, .o = 11, .side = 15, .stride = 2}, {.rows = 2, .c = 9, .o = 24, .side = 16, .stride = 3},
        {.rows = 4, .c = 12, .o = 9, .side = 13, .stride = 4},  {.rows = 5, .c = 3, .o = 17, .side = 2, .stride = 2},
    };
    (void)state;
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        check_sampled(SHAPES[i], i % 2 ? "haswell" : NULL, SHAPES[i].rows - 1);
        check_sampled(SHAPES[i], "x86-64", 0);
    }
    assert_int_equal(strided_packs(a, SHAPES[0], NULL), 1);
    assert_int_equal(strided_packs(a, SHAPES[0], "pack"), 0);
    assert_int_equal(strided_packs(a, (Conv){.rows = 3, .c = 19, .o = 2, .side = 15, .stride = 2}, NULL), 0);
    arena_free(a);
}

/* The frame of the gradient of such an image is the incoming gradient itself: nothing is copied. */
static void whole_operands(void **state) {
    (void)state;
    Arena        *a = arena_new();
    Target        t;
    target_row(&t, TARGET_AVX2);
    Kernels *k = kt_kernels(a,
        "graph g(n<=3) { %y = input data \"y\" : f32[n,16,17,17]\n %w = param \"w\" : f32[16,9,1,1]\n"
        "%d = comp [b,c,p,q | o<16 ; i=(p)/2<17,j=(q)/2<17] sum mul(%w[o,c,0,0], %y[b,o,i,j]) : f32[n,9,33,33]\n"
        "out d = %d\n}", &t, NULL);
    for (int i = 0; i < k->nnest; i++) assert_false(nest_packs(k->nest[i]));
    arena_free(a);
}

/* Results that leave L2 are written row by row; planes of images that do not stay there are asked for ahead. */
static void far_memory(void **state) {
    enum { SMALL = 2048 };
    static const Conv SHAPES[] = {{4, 8, 7, 41, 3, 1, 1}, {3, 33, 5, 23, 1, 1, 0}, {3, 21, 14, 19, 3, 2, 1}, {2, 1, 37, 24, 5, 1, 2},
                                  {3, 45, 2, 17, 3, 1, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        check_conv_in(SHAPES[i], NULL, 0, i % 2 ? "winograd" : NULL, SMALL);
        check_conv_in(SHAPES[i], "haswell", SHAPES[i].rows - 1, NULL, 4 * SMALL);
        check_conv_in(SHAPES[i], "x86-64", 0, NULL, SMALL);
    }
}

/* The innermost loop over tiles of a sequence's convolution, whose operand would rather see other channels next. */
static const char *innermost_loop(Arena *a, int l2) {
    Target        t;
    const char   *name = "";
    target_row(&t, TARGET_AVX2);
    t.l2 = l2;
    Kernels *k = kt_kernels(a,
        "graph g(n<=151) { %x = input data \"x\" : f32[n,8,2949]\n %w = param \"w\" : f32[7,8,5]\n"
        "%f = comp [b,o,i | c<8,r<5] sum mul(%w[o,c,r], %x[b,c,i+r]) : f32[n,7,2945]\n"
        "%g = comp [b,o,i] map mul(2, %f[b,o,i]) : f32[n,7,2945]\n out f = %f\n out g = %g\n}", &t, NULL);
    const Nest *n = k->nest[0];
    for (int i = 0; i < n->nloop; i++)
        if (n->step[n->loop[i]] < n->var[n->loop[i]].size) name = n->var[n->loop[i]].name;
    return name;
}

static void results_go_row_by_row(void **state) {
    (void)state;
    Arena *a = arena_new();
    assert_string_equal(innermost_loop(a, 1 << 28), "o");
    assert_string_equal(innermost_loop(a, 1 << 19), "i");
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turned_operands), cmocka_unit_test(orders_are_chosen), cmocka_unit_test(lanes_along_short_rows),
        cmocka_unit_test(strides_are_packed), cmocka_unit_test(whole_operands), cmocka_unit_test(far_memory),
        cmocka_unit_test(results_go_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
