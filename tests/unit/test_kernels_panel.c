/* Operands in panels (passes/panel.c) and maps of sequences inside of loops (passes/sink.c), against the interpreter. */
#include "base/str.h"
#include "tests/unit/kernel_util.h"

/* A dense layer and the gradients of its weights, with a map as operand and an epilogue; sizes around a panel. */
static const char *dense_text(Arena *a, int rows, int k, int o) {
    return arena_printf(a,
        "graph g(n<=%d) { %%x = input data \"x\" : f32[n,%d]\n %%w = param \"w\" : f32[%d,%d]\n %%b = param \"b\" : f32[%d]\n"
        "%%h = comp [b,k] map max(%%x[b,k], 0) : f32[n,%d]\n"
        "%%y = comp [b,o | k<%d] sum mul(%%w[o,k], %%h[b,k]) : f32[n,%d]\n"
        "%%z = comp [b,o] map tanh(add(%%y[b,o], %%b[o])) : f32[n,%d]\n"
        "%%dw = comp [o,k | b<n] sum mul(%%z[b,o], %%h[b,k]) : f32[%d,%d]\n"
        "%%w1 = comp [o,k] map sub(%%w[o,k], mul(0.1, %%dw[o,k])) : f32[%d,%d]\n"
        "out z = %%z\n set %%w = %%w1\n}",
        rows, k, o, k, o, k, k, o, o, o, k, o, k);
}

/* The recurrent product of a loop and, in a loop backwards, its gradient; all steps' share of the weights' gradient; an
 * operand of the second loop that is a map over all steps. */
static const char *loop_text(Arena *a, int rows, int h) {
    Buf b = buf_new(a);
    const char *text =
        "graph g(n<=#) { %x = input data \"x\" : f32[n,@]\n %U = param \"U\" : f32[@,@]\n"
        "%s = scan t<9 carry(%x) use(%U) {\n %h = arg 0 : f32[n,@]\n %U = arg 1 : f32[@,@]\n"
        "%r = comp [b,i | k<@] sum mul(%U[i,k], %h[b,k]) : f32[n,@]\n"
        "%y = comp [b,i] map tanh(mul(0.3, add(%r[b,i], %h[b,i]))) : f32[n,@]\n carry %y\n stack %y\n stack %r\n }\n"
        "%l = result %s, 0 : f32[n,@]\n %hs = result %s, 1 : f32[9,n,@]\n %rs = result %s, 2 : f32[9,n,@]\n"
        "%g = comp [t,b,i] map sub(1, mul(%hs[t,b,i], %hs[t,b,i])) : f32[9,n,@]\n"
        "%q = scan t<9 reverse carry(%l) over(%g, %hs) use(%U) {\n %d = arg 0 : f32[n,@]\n %g = arg 1 : f32[n,@]\n"
        "%h = arg 2 : f32[n,@]\n %U = arg 3 : f32[@,@]\n"
        "%e = comp [b,i] map mul(%d[b,i], add(%g[b,i], mul(0.1, %h[b,i]))) : f32[n,@]\n"
        "%f = comp [b,k | i<@] sum mul(%U[i,k], %e[b,i]) : f32[n,@]\n carry %f\n stack %e\n }\n"
        "%es = result %q, 1 : f32[9,n,@]\n %dx = result %q, 0 : f32[n,@]\n"
        "%dU = comp [i,k | t<9,b<n] sum mul(%es[t,b,i], %hs[t,b,k]) : f32[@,@]\n"
        "%U1 = comp [i,j] map sub(%U[i,j], mul(0.1, %dU[i,j])) : f32[@,@]\n out d = %dx\n out r = %rs\n set %U = %U1\n}";
    for (; *text; text++) {
        if (*text == '@' || *text == '#') buf_printf(&b, "%d", *text == '@' ? h : rows);
        else buf_putc(&b, *text);
    }
    return b.s;
}

static void check(const char *(*text)(Arena *, int, int, int), int rows, int now, int k, int o, const char *cpu) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = now, .tolerance = 1e-5};
    Graph    *g = ir_good(r.a, text(r.a, rows, k, o)), *same = ir_good(r.a, text(r.a, rows, k, o));
    kt_check_graph(&r, g, same, arena_printf(r.a, "%d -> %d, %d of %d rows", k, o, now, rows));
    arena_free(r.a);
}

static const char *loop_of(Arena *a, int rows, int h, int unused) {
    (void)unused;
    return loop_text(a, rows, h);
}

/* Places of variables in panels that the training of `text` has. */
static int panels_of(const char *text, TargetId id, const char *off) {
    Arena        *a = arena_new();
    Target        t;
    int           count = 0;
    target_row(&t, id);
    Kernels *k = kt_kernels(a, text, &t, off);
    for (int i = 0; i < k->nnest; i++) {
        const Kernels *in = k->nest[i]->kind == NEST_SCAN ? k->nest[i]->scan->body : NULL;
        for (int v = 0; v < k->nest[i]->nvar; v++) count += k->nest[i]->var[v].panel;
        for (int j = 0; in && j < in->nnest; j++)
            for (int v = 0; v < in->nest[j]->nvar; v++) count += in->nest[j]->var[v].panel;
    }
    arena_free(a);
    return count;
}

/* Outs that fill the last panel, all but one, or one value of it; rows that fill a tile or do not. */
static void dense_layers(void **state) {
    (void)state;
    static const int SIZES[] = {1, 13, 15, 16, 17, 31, 32, 33, 47, 48, 49, 61};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        check(dense_text, 360, 360, 160, SIZES[i], i % 2 ? NULL : "haswell");
        check(dense_text, 361, 177, SIZES[i], 160, i % 2 ? "haswell" : NULL);
    }
    check(dense_text, 360, 0, 47, 160, "x86-64");
}

/* Sums too short for lanes along them. */
static void short_sums(void **state) {
    (void)state;
    static const int SIZES[] = {7, 16, 33, 50};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        check(dense_text, 40, i % 2 ? 37 : 40, SIZES[i], 2003, i % 2 ? NULL : "haswell");
}

static void loops(void **state) {
    (void)state;
    static const int SIZES[] = {1, 7, 8, 9, 13, 16, 17, 31, 32, 33, 63, 80};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        check(loop_of, 8, 8, SIZES[i], 0, "haswell");
        check(loop_of, 5, 3, SIZES[i], 0, NULL);
        check(loop_of, 7, 7, SIZES[i], 0, "x86-64");
    }
    check(loop_of, 68, 68, 96, 0, NULL);        /* long enough a sum for panels of rows */
    check(loop_of, 71, 65, 97, 0, "haswell");
}

/* The shapes above do have panels, and small ones none. */
static void panels_are_chosen(void **state) {
    (void)state;
    Arena *a = arena_new();
    assert_int_not_equal(panels_of(dense_text(a, 360, 160, 47), TARGET_AVX2, NULL), 0);
    assert_int_equal(panels_of(dense_text(a, 360, 160, 47), TARGET_AVX2, "panel"), 0);
    assert_int_equal(panels_of(dense_text(a, 10, 160, 47), TARGET_AVX2, NULL), 0);
    assert_int_not_equal(panels_of(dense_text(a, 40, 33, 640), TARGET_AVX2, NULL), 0);
    assert_int_equal(panels_of(dense_text(a, 40, 33, 640), TARGET_AVX2, "panel"), 0);
    assert_int_equal(panels_of(loop_text(a, 8, 32), TARGET_AVX2, NULL), 4);      /* two copies, two products */
    assert_int_equal(panels_of(loop_text(a, 2, 32), TARGET_AVX2, NULL), 0);
    assert_true(panels_of(loop_text(a, 68, 96), TARGET_AVX2, NULL) > 4);
    assert_true(panels_of(loop_text(a, 68, 96), TARGET_AVX512, NULL) > 4);
    arena_free(a);
}

/* A map over the steps is computed in the loop, unless what reads it there is a contraction. */
static void maps_sink(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (int on = 0; on < 2; on++) {
        KtLayout     *l = ARENA_NEW(a, KtLayout);
        KernelOptions o = {.level = 2, .off = on ? NULL : "sink", .place = kt_place, .cx = l};
        Target        t;
        int           outside = 0;
        l->a = a;
        target_row(&t, TARGET_AVX2);
        Kernels *k = kernels_build(a, ir_good(a, loop_text(a, 8, 32)), &t, &o);
        for (int i = 0; i < k->graph->nodes.n; i++) {
            const Node *n = k->graph->nodes.at[i];
            outside += n->op == OP_COMP && n->type.rank == 3 && n->u.comp.expr->op == SC_SUB;
        }
        assert_int_equal(outside, !on);
    }
    arena_free(a);
}

/* Two gates of a cell read the step before, and the second nest reads what the first has stored at its own points: threads
 * meet once a step. */
static void one_barrier_a_step(void **state) {
    (void)state;
    Arena        *a = arena_new();
    Target        t;
    int           barriers = 0, shared = 0;
    const char   *text =
        "graph g(n<=32) { %x = input data \"x\" : f32[n,256]\n %U = param \"U\" : f32[256,256]\n %V = param \"V\" : f32[256,256]\n"
        "%s = scan t<4 carry(%x) use(%U, %V) {\n %h = arg 0 : f32[n,256]\n %U = arg 1 : f32[256,256]\n %V = arg 2 : f32[256,256]\n"
        "%p = comp [b,i | k<256] sum mul(%U[i,k], %h[b,k]) : f32[n,256]\n"
        "%q = comp [b,i | k<256] sum mul(%V[i,k], %h[b,k]) : f32[n,256]\n"
        "%y = comp [b,i] map mul(tanh(mul(0.05, %p[b,i])), tanh(mul(0.05, %q[b,i]))) : f32[n,256]\n carry %y\n stack %y\n stack %p\n }\n"
        "%hs = result %s, 1 : f32[4,n,256]\n %ps = result %s, 2 : f32[4,n,256]\n out h = %hs\n out p = %ps\n}";
    target_row(&t, TARGET_AVX2);
    Kernels *k = kt_kernels(a, text, &t, NULL);
    for (int i = 0; i < k->nnest; i++) {
        const ScanLoop *loop = k->nest[i]->scan;
        for (int j = loop ? loop->nfirst : 0; loop && j < loop->body->nnest - loop->nlast; j++) {
            barriers += loop->body->nest[j]->barrier;
            shared += loop->body->nest[j]->npar > 0;
        }
    }
    assert_int_equal(shared, 2);
    assert_int_equal(barriers, 1);
    kt_check_as(text, 2, NULL, 0, NULL);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_layers), cmocka_unit_test(short_sums), cmocka_unit_test(loops),
        cmocka_unit_test(panels_are_chosen), cmocka_unit_test(maps_sink),
        cmocka_unit_test(one_barrier_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
