/* Sums over lists (passes/listed.c) and sums that pooled cells spread over an image (passes/spread.c), against the
 * interpreter: channels and filters around the widths of vectors and tiles, windows of several sizes, images that the
 * windows do not cover, padding, batches that are not full. */
#include "tests/unit/kernel_util.h"

typedef struct {
    int n, c, o, image, field, pad, window, stride, rows;
    bool dense;                 /* no relu: no zeros but those of the windows */
} Net;

/* conv, bias, max-pool, relu, backwards: weights, bias and image. `image` is the smaller side; the other is one more. */
static const char *net_text(Arena *a, const Net *t) {
    int h = t->image, w = h + 1, k = t->field, s = t->stride;
    int ch = h + 2 * t->pad - k + 1, cw = w + 2 * t->pad - k + 1, ph = (ch - t->window) / s + 1, pw = (cw - t->window) / s + 1;
    const char *in = t->pad ? arena_printf(a, "%%x?[b,c,i+r-%d,j+s-%d]", t->pad, t->pad) : "%x[b,c,i+r,j+s]";
    const char *head = arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d,%d,%d]\n %%w = param \"w\" : f32[%d,%d,%d,%d]\n %%b = param \"b\" : f32[%d]\n"
        "%%y = comp [b,o,i,j | c<%d,r<%d,s<%d] sum mul(%%w[o,c,r,s], %s) : f32[n,%d,%d,%d]\n",
        t->n, t->c, h, w, t->o, t->c, k, k, t->o, t->c, k, k, in, t->o, ch, cw);
    const char *pool = arena_printf(a,
        "%%m = comp [b,o,i,j | r<%d,s<%d] max add(%%y[b,o,%d*i+r,%d*j+s], %%b[o]) : f32[n,%d,%d,%d]\n"
        "%%k = comp [b,o,i,j | r<%d,s<%d] argmax add(%%y[b,o,%d*i+r,%d*j+s], %%b[o]) : i32[n,%d,%d,%d]\n"
        "%%z = comp [b,o,i,j] map max(%%m[b,o,i,j], 0) : f32[n,%d,%d,%d]\n"
        "%%g = comp [b,o,p,q | r<%d,s<%d ; i=(p-r)/%d<%d,j=(q-s)/%d<%d] sum "
        "sel(eq(idx(%d*r+s), %%k[b,o,i,j]), %s, 0) : f32[n,%d,%d,%d]\n",
        t->window, t->window, s, s, t->o, ph, pw, t->window, t->window, s, s, t->o, ph, pw, t->o, ph, pw,
        t->window, t->window, s, ph, s, pw, t->window,
        t->dense ? "%m[b,o,i,j]" : "sel(lt(0, %z[b,o,i,j]), %z[b,o,i,j], 0)", t->o, ch, cw);
    return arena_printf(a, "%s%s"
        "%%dw = comp [o,c,r,s | b<n,i<%d,j<%d] sum mul(%%g[b,o,i,j], %s) : f32[%d,%d,%d,%d]\n"
        "%%dx = comp [b,c,p,q | o<%d,r<%d,s<%d ; i=p-r+%d<%d,j=q-s+%d<%d] sum mul(%%w[o,c,r,s], %%g[b,o,i,j]) : f32[n,%d,%d,%d]\n"
        "%%w1 = comp [o,c,r,s] map sub(%%w[o,c,r,s], mul(0.1, %%dw[o,c,r,s])) : f32[%d,%d,%d,%d]\n"
        "out z = %%z\n out dx = %%dx\n set %%w = %%w1\n}",
        head, pool, ch, cw, in, t->o, t->c, k, k, t->o, k, k, t->pad, ch, t->pad, cw, t->c, h, w, t->o, t->c, k, k);
}

static Kernels *kernels_of(Arena *a, const char *text, const char *off, TargetId id) {
    Target        t;
    target_row(&t, id);
    return kt_kernels(a, text, &t, off);
}

/* Nests with lists: those that spread, or the others. */
static int lists(const Kernels *k, bool spread) {
    int n = 0;
    for (int i = 0; i < k->nnest; i++) {
        bool adds = false;
        for (int v = 0; v < k->nest[i]->nout; v++) adds |= k->nest[i]->var[v].adds;
        n += k->nest[i]->list.on && adds == spread;
    }
    return n;
}

static int blocks(const Kernels *k) {
    int n = 0;
    for (int i = 0; i < k->nnest; i++) n += k->nest[i]->list.block > 0;
    return n;
}

static const Net NETS[] = {
    {3, 4, 6, 12, 5, 0, 2, 2, 2, false},       /* the ladder's shapes, small */
    {2, 20, 17, 12, 5, 0, 2, 2, 0, false},
    {5, 5, 8, 9, 3, 1, 2, 2, 3, false},        /* padding; an odd image: the windows leave a border */
    {2, 7, 9, 13, 3, 2, 3, 3, 1, false},       /* windows of 3 x 3 */
    {2, 8, 33, 7, 1, 0, 2, 2, 2, false},       /* fields of one pixel */
    {3, 33, 5, 8, 4, 0, 2, 3, 2, false},       /* windows with gaps between them */
    {1, 16, 1, 6, 3, 1, 2, 2, 0, false},       /* one filter, one example */
    {9, 12, 3, 20, 3, 0, 2, 2, 8, false},         /* a batch in blocks, the last one not full */
    {3, 6, 9, 11, 3, 1, 2, 2, 2, true}, /* no relu */
    {2, 9, 5, 9, 3, 0, 1, 2, 0, true},  /* windows of one number: a stride */
};

static void against_the_interpreter(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof NETS / sizeof *NETS; i++) {
        Arena *a = arena_new();
        kt_check(net_text(a, &NETS[i]), NETS[i].rows);
        arena_free(a);
    }
}

static void each_form_alone(void **state) {
    (void)state;
    static const char *const OFF[] = {"spread", "listed", "unpool", "pack"};
    for (size_t i = 0; i < sizeof OFF / sizeof *OFF; i++) {
        Arena *a = arena_new();
        kt_check_as(net_text(a, &NETS[2]), 2, NULL, 2, OFF[i]);
        arena_free(a);
    }
}

/* Vectors of 4 lanes, and of 8 without the instruction that permutes them. */
static void other_targets(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (int i = 0; i < 2; i++) {
        kt_check_as(net_text(a, &NETS[2]), 2, i ? "sandybridge" : "x86-64", 3, NULL);
        kt_check_as(net_text(a, &NETS[3]), 2, i ? "sandybridge" : "x86-64", 1, NULL);
    }
    arena_free(a);
}

/* No sum that adds to memory is left to plain loops. */
static void spread_sums_have_lists(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof NETS / sizeof *NETS; i++) {
        Kernels *k = kernels_of(a, net_text(a, &NETS[i]), NULL, i % 2 ? TARGET_AVX2 : TARGET_AVX512);
        for (int n = 0; n < k->nnest; n++) assert_true(!k->nest[n]->adds || k->nest[n]->list.on);
    }
    arena_free(a);
}

/* Both gradients take their lists, on every target; switched off, neither does. */
static void forms_are_chosen(void **state) {
    (void)state;
    static const TargetId TARGETS[] = {TARGET_AVX512, TARGET_AVX2, TARGET_SSE2, TARGET_NEON};
    Arena      *a = arena_new();
    const char *text = net_text(a, &NETS[1]);
    for (size_t i = 0; i < sizeof TARGETS / sizeof *TARGETS; i++) {
        Kernels *k = kernels_of(a, text, NULL, TARGETS[i]);
        assert_int_equal(lists(k, true), 1);
        assert_int_equal(lists(k, false), 1);
        assert_int_equal(blocks(kernels_of(a, net_text(a, &NETS[7]), NULL, TARGETS[i])), 1);
        assert_int_equal(blocks(kernels_of(a, net_text(a, &NETS[3]), NULL, TARGETS[i])), 0);
    }
    Kernels *k = kernels_of(a, text, "spread", TARGET_AVX2);
    assert_int_equal(lists(k, true), 0);
    assert_int_equal(lists(k, false), 1);
    k = kernels_of(a, text, "listed", TARGET_AVX2);
    assert_int_equal(lists(k, true) + lists(k, false), 0);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_interpreter), cmocka_unit_test(each_form_alone), cmocka_unit_test(other_targets),
        cmocka_unit_test(forms_are_chosen), cmocka_unit_test(spread_sums_have_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
