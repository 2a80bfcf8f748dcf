/* Convolutions with fewer multiplications (passes/winograd.c) against the interpreter: forward, both gradients, on shapes
 * that tiles do not cover, small and large frames, fields of every size that there are points for. */
#include "tests/unit/kernel_util.h"

/* Rounding, of a result's largest number: twice what plain sums are held to. */
static const double BOUND = 4e-6;

typedef struct {
    int n, c, o, h, w, field, pad, rows;
} Conv;

/* conv, bias, relu; its gradients, with the result in the place of the gradient behind relu. */
static const char *conv_text(Arena *a, const Conv *t) {
    int k = t->field, p = t->h + 2 * t->pad - k + 1, q = t->w + 2 * t->pad - k + 1;
    const char *in = t->pad ? arena_printf(a, "%%x?[b,c,i+r-%d,j+s-%d]", t->pad, t->pad) : "%x[b,c,i+r,j+s]";
    const char *head = arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d,%d,%d]\n %%w = param \"w\" : f32[%d,%d,%d,%d]\n %%b = param \"b\" : f32[%d]\n"
        "%%y = comp [b,o,i,j | c<%d,r<%d,s<%d] sum mul(%%w[o,c,r,s], %s) : f32[n,%d,%d,%d]\n"
        "%%z = comp [b,o,i,j] map max(add(%%y[b,o,i,j], %%b[o]), 0) : f32[n,%d,%d,%d]\n",
        t->n, t->c, t->h, t->w, t->o, t->c, k, k, t->o, t->c, k, k, in, t->o, p, q, t->o, p, q);
    return arena_printf(a, "%s"
        "%%dw = comp [o,c,r,s | b<n,i<%d,j<%d] sum mul(%%z[b,o,i,j], %s) : f32[%d,%d,%d,%d]\n"
        "%%dx = comp [b,c,p,q | o<%d,r<%d,s<%d ; i=p-r+%d<%d,j=q-s+%d<%d] sum mul(%%w[o,c,r,s], %%z[b,o,i,j]) : f32[n,%d,%d,%d]\n"
        "%%w1 = comp [o,c,r,s] map sub(%%w[o,c,r,s], mul(0.1, %%dw[o,c,r,s])) : f32[%d,%d,%d,%d]\n"
        "out z = %%z\n out dx = %%dx\n set %%w = %%w1\n}",
        head, p, q, in, t->o, t->c, k, k, t->o, k, k, t->pad, p, t->pad, q, t->c, t->h, t->w, t->o, t->c, k, k);
}

/* Sums with one of the small tables. */
static int tables(const Graph *g) {
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *x = g->nodes.at[i];
        n += x->op == OP_COMP && x->narg == 2 && x->arg[0]->op == OP_CONST && x->arg[0]->type.rank == 2;
    }
    return n;
}

/* least: of sums with tables. */
static void check(const char *text, const char *what, const char *cpu, int rows, int least) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = rows, .eager = true, .off = "taps", .tolerance = BOUND};
    Graph    *g = ir_good(r.a, text), *same = ir_good(r.a, text);
    if (kt_check_graph(&r, g, same, what) && tables(g) < least) fail_msg("%s: %d sums with tables", what, tables(g));
    arena_free(r.a);
}

static void check_conv(const Conv *t, const char *cpu) {
    Arena *a = arena_new();
    check(conv_text(a, t), arena_printf(a, "%d->%d, %dx%d, field %d, pad %d, %d of %d rows", t->c, t->o, t->h, t->w, t->field,
                                        t->pad, t->rows, t->n), cpu, t->rows,
          t->h + 2 * t->pad - t->field + 1 >= t->field ? 5 : 0);
    arena_free(a);
}

/* Every field and frame, on images from one pixel up. */
static void fields_and_frames(void **state) {
    (void)state;
    static const int SIDES[] = {1, 2, 3, 5, 7, 8, 13, 16, 33}, CHANNELS[] = {1, 2, 3, 5, 7, 11};
    int number = 0;
    for (int k = 3; k <= 7; k++)
        for (int pad = 0; pad < k; pad++)
            for (int i = (k + 2 * pad) % 5; i < 9; i += 5) {
                if (SIDES[i] + 2 * pad < k) continue;
                number++;
                Conv t = {1 + number % 3, CHANNELS[number % 6], CHANNELS[(number + pad) % 6], SIDES[i],
                          SIDES[i] + number % 4, k, pad, number % 2};
                check_conv(&t, number % 4 ? NULL : number % 8 ? "haswell" : "x86-64");
            }
}

static void larger(void **state) {
    (void)state;
    static const Conv NETS[] = {
        {2, 20, 17, 12, 12, 5, 0, 0}, {2, 8, 9, 32, 32, 3, 1, 1}, {9, 33, 8, 8, 8, 3, 1, 7}, {4, 8, 24, 15, 18, 3, 1, 0},
        {4, 13, 29, 7, 7, 3, 1, 3}, {1, 1, 12, 28, 28, 7, 3, 0},
    };
    for (size_t i = 0; i < sizeof NETS / sizeof *NETS; i++) check_conv(&NETS[i], i % 2 ? "haswell" : NULL);
}

/* What stands behind: max-pooling over windows, a residual. What is no such convolution: strides, gaps between taps. */
static void around_it(void **state) {
    (void)state;
    Arena *a = arena_new();
    check("graph g(n<=3) { %x = input data \"x\" : f32[n,5,12,12]\n %w = param \"w\" : f32[7,5,5,5]\n %b = param \"b\" : f32[7]\n"
          "%y = comp [b,o,i,j | c<5,r<5,s<5] sum mul(%w[o,c,r,s], %x[b,c,i+r,j+s]) : f32[n,7,8,8]\n"
          "%m = comp [b,o,i,j | r<2,s<2] max add(%y[b,o,2*i+r,2*j+s], %b[o]) : f32[n,7,4,4]\n"
          "%k = comp [b,o,i,j | r<2,s<2] argmax add(%y[b,o,2*i+r,2*j+s], %b[o]) : i32[n,7,4,4]\n"
          "out m = %m\n out k = %k\n}", "pooled", NULL, 2, 3);
    check("graph g(n<=2) { %x = input data \"x\" : f32[n,6,9,9]\n %w = param \"w\" : f32[6,6,3,3]\n"
          "%y = comp [b,o,i,j | c<6,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,i+r-1,j+s-1]) : f32[n,6,9,9]\n"
          "%z = comp [b,o,i,j] map max(add(%y[b,o,i,j], %x[b,o,i,j]), 0) : f32[n,6,9,9]\n"
          "out z = %z\n}", "residual", NULL, 0, 3);
    check("graph g(n<=2) { %x = input data \"x\" : f32[n,4,17,17]\n %w = param \"w\" : f32[5,4,3,3]\n"
          "%y = comp [b,o,i,j | c<4,r<3,s<3] sum mul(%w[o,c,r,s], %x[b,c,2*i+r,2*j+s]) : f32[n,5,8,8]\n"
          "%z = comp [b,o,i,j | c<4,r<3,s<3] sum mul(%w[o,c,r,s], %x[b,c,i+2*r,j+2*s]) : f32[n,5,13,13]\n"
          "out y = %y\n out z = %z\n}", "strides and gaps", NULL, 1, 0);
    check("graph g(n<=2) { %x = input data \"x\" : f32[n,3,9,8,7]\n %w = param \"w\" : f32[5,3,3,3,3]\n"
          "%y = comp [b,o,i,j,k | c<3,r<3,s<3,t<3] sum mul(%w[o,c,r,s,t], %x?[b,c,i+r-1,j+s-1,k+t-1]) : f32[n,5,9,8,7]\n"
          "out y = %y\n}", "three dimensions", NULL, 0, 3);
    arena_free(a);
}

/* The model takes it where it saves much, leaves it where it saves little; the switch and -O1 leave it. */
static void where_it_pays(void **state) {
    (void)state;
    static const struct {
        Conv        t;
        int         level;
        const char *off;
        bool        taken;
    } CASES[] = {
        {{32, 64, 64, 32, 32, 3, 1, 0}, 2, NULL, true},        {{10, 20, 40, 12, 12, 5, 0, 0}, 2, NULL, true},
        {{32, 64, 64, 32, 32, 3, 1, 0}, 2, "winograd", false}, {{32, 64, 64, 32, 32, 3, 1, 0}, 1, NULL, false},
        {{32, 1, 2, 28, 28, 3, 0, 0}, 2, NULL, false},         {{32, 3, 4, 32, 32, 3, 1, 0}, 2, NULL, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Arena *a = arena_new();
        Target t;
        target_row(&t, TARGET_AVX2);
        Kernels *k = kt_kernels_at(a, conv_text(a, &CASES[i].t), &t, CASES[i].level, CASES[i].off);
        assert_int_equal(tables(k->graph) > 0, CASES[i].taken);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_frames), cmocka_unit_test(larger), cmocka_unit_test(around_it),
        cmocka_unit_test(where_it_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
