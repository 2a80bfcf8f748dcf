/* Convolutions whose taps are added up last (passes/taps.c) against the interpreter: forward and the gradient of the image,
 * every stride, fields from one tap up, frames, images that the stride does not divide. */
#include "tests/unit/kernel_util.h"

typedef struct {
    int n, c, o, h, w, field, stride, pad, rows;
} Conv;

static int size_after(const Conv *t, int size) { return (size + 2 * t->pad - t->field) / t->stride + 1; }

/* conv, bias, relu; the gradient of the image with the result in the place of the gradient behind relu. */
static const char *conv_text(Arena *a, const Conv *t) {
    int k = t->field, p = size_after(t, t->h), q = size_after(t, t->w);
    return arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d,%d,%d]\n %%w = param \"w\" : f32[%d,%d,%d,%d]\n %%b = param \"b\" : f32[%d]\n"
        "%%y = comp [b,o,i,j | c<%d,r<%d,s<%d] sum mul(%%w[o,c,r,s], %%x?[b,c,%d*i+r-%d,%d*j+s-%d]) : f32[n,%d,%d,%d]\n"
        "%%z = comp [b,o,i,j] map max(add(%%y[b,o,i,j], %%b[o]), 0) : f32[n,%d,%d,%d]\n"
        "%%dx = comp [b,c,p,q | o<%d,r<%d,s<%d ; i=(p-r+%d)/%d<%d,j=(q-s+%d)/%d<%d] sum mul(%%w[o,c,r,s], %%z[b,o,i,j])"
        " : f32[n,%d,%d,%d]\n out z = %%z\n out dx = %%dx\n}",
        t->n, t->c, t->h, t->w, t->o, t->c, k, k, t->o, t->c, k, k, t->stride, t->pad, t->stride, t->pad, t->o, p, q, t->o, p, q,
        t->o, k, k, t->pad, t->stride, p, t->pad, t->stride, q, t->c, t->h, t->w);
}

/* Products with the taps among their outs. */
static int products(const Graph *g, int rank) {
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *x = g->nodes.at[i];
        n += x->op == OP_COMP && x->u.comp.kind == KIND_SUM && x->u.comp.nred && !x->u.comp.nder && x->type.rank == rank;
    }
    return n;
}

/* least: of products of that rank. */
static void check(const char *text, const char *what, const char *cpu, int rows, int rank, int least) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = rows, .eager = true, .off = "winograd", .tolerance = 2e-6};
    Graph    *g = ir_good(r.a, text), *same = ir_good(r.a, text);
    if (kt_check_graph(&r, g, same, what) && products(g, rank) < least) fail_msg("%s: %d products", what, products(g, rank));
    arena_free(r.a);
}

static void check_conv(const Conv *t, const char *cpu, int least) {
    Arena *a = arena_new();
    check(conv_text(a, t), arena_printf(a, "%d->%d, %dx%d, field %d, stride %d, pad %d, %d of %d rows", t->c, t->o, t->h, t->w,
                                        t->field, t->stride, t->pad, t->rows, t->n), cpu, t->rows, 6, least);
    arena_free(a);
}

/* Every stride, field and frame, on images that they fit and do not fit. */
static void strides_and_frames(void **state) {
    (void)state;
    static const int SIDES[] = {1, 2, 3, 5, 7, 8, 13, 16, 21}, CHANNELS[] = {1, 2, 3, 5, 9, 17};
    int number = 0;
    for (int stride = 1; stride <= 3; stride++)
        for (int k = 1; k <= 5; k += k == 3 ? 2 : 1)
            for (int pad = 0; pad <= k / 2; pad++)
                for (int i = (k + 2 * pad + stride) % 3; i < 9; i += 3) {
                    if (SIDES[i] + 2 * pad < k) continue;
                    number++;
                    Conv t = {1 + number % 3, CHANNELS[number % 6], CHANNELS[(number + pad) % 6], SIDES[i],
                              SIDES[i] + number % 4, k, stride, pad, number % 2};
                    check_conv(&t, number % 4 ? NULL : number % 8 ? "haswell" : "x86-64", 0);
                }
}

static void larger(void **state) {
    (void)state;
    static const Conv NETS[] = {
        {2, 20, 12, 19, 19, 1, 2, 0, 0}, {3, 1, 40, 14, 14, 3, 1, 1, 2}, {5, 2, 33, 15, 15, 3, 2, 1, 0},
        {4, 7, 24, 8, 8, 3, 2, 0, 3},    {2, 5, 19, 14, 14, 7, 1, 0, 0}, {9, 10, 12, 12, 25, 3, 2, 0, 9},
    };
    for (size_t i = 0; i < sizeof NETS / sizeof *NETS; i++) check_conv(&NETS[i], i % 2 ? "haswell" : NULL, 1);
}

/* Sequences, groups of channels, three dimensions; what has no such form. */
static void around_it(void **state) {
    (void)state;
    check("graph g(n<=3) { %y = input data \"y\" : f32[n,18,21]\n %w = param \"w\" : f32[18,6,3]\n"
          "%x = comp [b,c,u | o<18,r<3 ; i=(u-r)/2<21] sum mul(%w[o,c,r], %y[b,o,i]) : f32[n,6,44]\n out x = %x\n}",
          "a sequence", NULL, 2, 4, 1);
    check("graph g(n<=3) { %y = input data \"y\" : f32[n,4,9,5,5]\n %w = param \"w\" : f32[4,9,2,3,3]\n"
          "%x = comp [b,g,c,u,v | o<9,r<3,s<3 ; i=u-r+1<5,j=v-s+1<5] sum mul(%w[g,o,c,r,s], %y[b,g,o,i,j]) : f32[n,4,2,5,5]\n"
          "out x = %x\n}", "groups", NULL, 3, 7, 1);
    check("graph g(n<=2) { %x = input data \"x\" : f32[n,3,9,8,7]\n %w = param \"w\" : f32[2,3,3,3,3]\n"
          "%y = comp [b,o,i,j,k | c<3,r<3,s<3,t<3] sum mul(%w[o,c,r,s,t], %x?[b,c,i+r-1,j+s-1,k+t-1]) : f32[n,2,9,8,7]\n"
          "out y = %y\n}", "three dimensions", NULL, 0, 8, 1);
    check("graph g(n<=2) { %x = input data \"x\" : f32[n,9,12]\n %w = param \"w\" : f32[7,9]\n"
          "%y = comp [b,o,i | c<9] sum mul(%w[o,c], %x[b,c,i]) : f32[n,7,12]\n"
          "%z = comp [b,i | c<9,r<4] sum mul(%w[r,c], %x[b,c,i]) : f32[n,12]\n out y = %y\n out z = %z\n}",
          "no places", NULL, 0, 4, 0);
    check("graph g(n<=2) { %x = input data \"x\" : f32[n,5,12]\n %w = param \"w\" : f32[2,9,3]\n"
          "%y = comp [b,o,i | c<9,r<3] sum mul(%w[o,c,r], %x?[b,c,i+r-1]) : f32[n,2,12]\n out y = %y\n}",
          "more channels than there are", NULL, 0, 4, 0);
}

/* The model takes it where few channels or a stride make the plain form slow; the switch and -O1 leave it. */
static void where_it_pays(void **state) {
    (void)state;
    static const struct {
        Conv        t;
        int         level;
        const char *off;
        int         taken;
    } CASES[] = {
        {{51, 1, 184, 24, 24, 3, 1, 1, 0}, 2, NULL, 1},   {{31, 155, 50, 30, 30, 1, 2, 0, 0}, 2, NULL, 1},
        {{32, 10, 84, 25, 25, 3, 2, 0, 0}, 2, NULL, 1},   {{16, 9, 190, 14, 14, 7, 1, 0, 0}, 2, NULL, 1},
        {{51, 1, 184, 24, 24, 3, 1, 1, 0}, 2, "taps", 0}, {{51, 1, 184, 24, 24, 3, 1, 1, 0}, 1, NULL, 0},
        {{32, 64, 64, 32, 32, 3, 1, 1, 0}, 2, NULL, 0},   {{10, 20, 40, 12, 12, 5, 1, 0, 0}, 2, NULL, 0},
        {{64, 16, 16, 32, 32, 3, 1, 1, 0}, 2, NULL, 0},   {{158, 4, 7, 27, 27, 5, 1, 0, 0}, 2, NULL, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Arena *a = arena_new();
        Target t;
        target_row(&t, TARGET_AVX2);
        Kernels *k = kt_kernels_at(a, conv_text(a, &CASES[i].t), &t, CASES[i].level, CASES[i].off);
        assert_int_equal(products(k->graph, 6), CASES[i].taken);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strides_and_frames), cmocka_unit_test(larger), cmocka_unit_test(around_it),
        cmocka_unit_test(where_it_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
