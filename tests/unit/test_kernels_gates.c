/* Steps of recurrent cells: what they stack (passes/keep.c), where they are cut (rotate.c), several sums in one nest (sums.c,
 * schedule.c's equal cuts), against the interpreter; how many nests a step has and how often threads meet in it. */
#include "base/str.h"
#include "passes/pass.h"
#include "tests/unit/kernel_util.h"

/* @ units, # rows, in T steps of which each row has its own number. LAST: its last state counts, too. */
#define HEAD                                                                                                              \
    "graph g(n<=#, T<=5) {\n %x = input data \"x\" : f32[n,T,3]\n %len = input data \"T_6\" : i32[n]\n"                   \
    "%xt = comp [t,b,d] map sel(lt(idx(t), %len[b]), %x[b,t,d], 0) : f32[T,n,3]\n %h0 = comp [b,i] map 0 : f32[n,@]\n"
#define WEIGHTS(g) "%W" g " = param \"W" g "\" : f32[@,3]\n %U" g " = param \"U" g "\" : f32[@,@]\n %b" g " = param \"b" g "\" : f32[@]\n"
#define INPUT(g) "%x" g " = comp [t,b,i | d<3] sum mul(%W" g "[i,d], %xt[t,b,d]) : f32[T,n,@]\n"
#define GATE(g, before, after) "%r" g " = comp [b,i | k<@] sum mul(%U" g "[i,k], %h[b,k]) : f32[n,@]\n"                                \
    "%" g " = comp [b,i] map " before "add(%x" g "[b,i], add(mul(0.5, %r" g "[b,i]), %b" g "[i]))" after " : f32[n,@]\n"
#define SIGMOID(g) GATE(g, "add(mul(0.5, tanh(mul(0.5, ", "))), 0.5)")
#define TANH(g) GATE(g, "tanh(", ")")
#define HELD(to, from, old) "%" to " = comp [b,i] map sel(lt(%t, %len[b]), %" from "[b,i], %" old "[b,i]) : f32[n,@]\n"
#define LOSS(last)                                                                                                         \
    "%hs = result %s, " last " : f32[T,n,@]\n %hl = result %s, 0 : f32[n,@]\n"                                             \
    "%e = comp [| t<T,b<n,i<@] sum sel(lt(idx(t), %len[b]), mul(%hs[t,b,i], %hs[t,b,i]), 0) : f32[]\n"           \
    "%l = comp [| b<n,i<@] sum mul(%hl[b,i], mul(%hl[b,i], f32(idx(i+1)))) : f32[]\n"                                                      \
    "%loss = comp [] map add(mul(0.1, %e), mul(!, %l)) : f32[]\n out loss = %loss\n}"

static const char LSTM[] = HEAD WEIGHTS("i") WEIGHTS("f") WEIGHTS("o") WEIGHTS("g") INPUT("i") INPUT("f") INPUT("o") INPUT("g")
    "%s = scan t<T carry(%h0, %h0) over(%xi, %xf, %xo, %xg) use(%Ui, %Uf, %Uo, %Ug, %bi, %bf, %bo, %bg, %len) {\n"
    "%h = arg 0 : f32[n,@]\n %c = arg 1 : f32[n,@]\n %xi = arg 2 : f32[n,@]\n %xf = arg 3 : f32[n,@]\n %xo = arg 4 : f32[n,@]\n"
    "%xg = arg 5 : f32[n,@]\n %Ui = arg 6 : f32[@,@]\n %Uf = arg 7 : f32[@,@]\n %Uo = arg 8 : f32[@,@]\n %Ug = arg 9 : f32[@,@]\n"
    "%bi = arg 10 : f32[@]\n %bf = arg 11 : f32[@]\n %bo = arg 12 : f32[@]\n %bg = arg 13 : f32[@]\n %len = arg 14 : i32[n]\n"
    "%t = arg step : i32[]\n" SIGMOID("i") SIGMOID("f") SIGMOID("o") TANH("g")
    "%c1 = comp [b,i] map add(mul(%f[b,i], %c[b,i]), mul(%i[b,i], %g[b,i])) : f32[n,@]\n"
    "%h1 = comp [b,i] map mul(%o[b,i], tanh(%c1[b,i])) : f32[n,@]\n" HELD("c2", "c1", "c") HELD("h2", "h1", "h")
    "carry %h2\n carry %c2\n stack %h2\n }\n" LOSS("2");

static const char GRU[] = HEAD WEIGHTS("z") WEIGHTS("r") WEIGHTS("g") INPUT("z") INPUT("r") INPUT("g")
    "%s = scan t<T carry(%h0) over(%xz, %xr, %xg) use(%Uz, %Ur, %Ug, %bz, %br, %bg, %len) {\n"
    "%h = arg 0 : f32[n,@]\n %xz = arg 1 : f32[n,@]\n %xr = arg 2 : f32[n,@]\n %xg = arg 3 : f32[n,@]\n %Uz = arg 4 : f32[@,@]\n"
    "%Ur = arg 5 : f32[@,@]\n %Ug = arg 6 : f32[@,@]\n %bz = arg 7 : f32[@]\n %br = arg 8 : f32[@]\n %bg = arg 9 : f32[@]\n"
    "%len = arg 10 : i32[n]\n %t = arg step : i32[]\n" SIGMOID("z") SIGMOID("r")
    "%p = comp [b,i] map mul(%r[b,i], %h[b,i]) : f32[n,@]\n %q = comp [b,i | k<@] sum mul(%Ug[i,k], %p[b,k]) : f32[n,@]\n"
    "%g = comp [b,i] map tanh(add(%xg[b,i], add(mul(0.5, %q[b,i]), %bg[i]))) : f32[n,@]\n"
    "%h1 = comp [b,i] map add(mul(sub(1, %z[b,i]), mul(0.5, %h[b,i])), mul(%z[b,i], %g[b,i])) : f32[n,@]\n" HELD("h2", "h1", "h")
    "carry %h2\n stack %h2\n }\n" LOSS("1");

static const char VANILLA[] = HEAD WEIGHTS("z") INPUT("z")
    "%s = scan t<T carry(%h0) over(%xz) use(%Uz, %bz, %len) {\n %h = arg 0 : f32[n,@]\n %xz = arg 1 : f32[n,@]\n"
    "%Uz = arg 2 : f32[@,@]\n %bz = arg 3 : f32[@]\n %len = arg 4 : i32[n]\n %t = arg step : i32[]\n" TANH("z")
    HELD("h2", "z", "h") "carry %h2\n stack %h2\n }\n" LOSS("1");

/* The training graph, simplified or as differentiation leaves it. last: the weight of the last state in the loss */
static Graph *cell(Arena *a, const char *text, int units, int rows, double last, bool simplify) {
    Buf b = buf_new(a);
    for (; *text; text++) {
        if (*text == '@' || *text == '#') buf_printf(&b, "%d", *text == '@' ? units : rows);
        else if (*text == '!') buf_printf(&b, "%g", last);
        else buf_putc(&b, *text);
    }
    Graph *g = ir_good(a, b.s);
    grad_params(g);
    if (simplify) passes_run(g, &(PassOptions){.level = 2, .verify_each = true, .out = stderr});
    return g;
}

static void check(const char *text, int units, int rows, int now, double last, const char *cpu, bool eager, const char *off) {
    KernelRun r = {.a = arena_new(), .level = 2, .cpu = cpu, .rows = now, .eager = eager, .off = off, .tolerance = 2e-5};
    Graph    *g = cell(r.a, text, units, rows, last, true), *same = cell(r.a, text, units, rows, last, false);
    Target    t = kt_target(&r);
    kt_check_graph(&r, g, same, arena_printf(r.a, "%d units, %d of %d rows, last %g, %s, eager %d, off %s", units, now, rows,
                                                last, t.name, eager, off ? off : ""));
    arena_free(r.a);
}

/* Units and rows around the width of a vector; all sums that can be in one nest, and those that the model puts there. */
static void check_cell(const char *text) {
    static const int UNITS[] = {1, 7, 8, 9, 17, 33}, ROWS[] = {1, 3, 7, 8, 9};
    for (int i = 0; i < 6; i++) {
        int rows = ROWS[i % 5];
        check(text, UNITS[i], rows, rows, i % 2 ? 0.25 : 0, "haswell", i % 3 == 0, NULL);
        check(text, UNITS[i], ROWS[(i + 2) % 5], 1, i % 2 ? 0 : 0.25, i % 2 ? "x86-64" : NULL, true, NULL);
    }
    check(text, 17, 8, 5, 0.25, NULL, false, "rotate");
    check(text, 17, 8, 5, 0.25, NULL, true, "keep");
    check(text, 17, 8, 5, 0.25, "haswell", false, "sums");
}

static void lstm(void **state) {
    (void)state;
    check_cell(LSTM);
}

static void gru(void **state) {
    (void)state;
    check_cell(GRU);
}

static void vanilla(void **state) {
    (void)state;
    check_cell(VANILLA);
}

/* ---- what a step looks like ------------------------------------------------------------------------------------- */

typedef struct {
    int nests, barriers, sums, dear;        /* of a step; dear: expressions of stores with a tanh */
} Step;

static void find_tanh(const Expr *e, void *cx) { *(bool *)cx |= e->op == SC_TANH; }

static Step step_of(const ScanLoop *l) {
    Step s = {0};
    for (int i = l->nfirst; i < l->body->nnest - l->nlast; i++) {
        const Nest *n = l->body->nest[i];
        s.nests++;
        s.barriers += n->barrier;
        s.sums += n->nstage > 0;
        for (int k = 0; k < n->nstore; k++) {
            bool dear = false;
            expr_walk(n->store[k].expr, find_tanh, &dear);
            s.dear += dear;
        }
    }
    return s;
}

/* The steps of the loop forwards and backwards. */
static void steps(const char *text, TargetId id, bool eager, const char *off, Step step[2]) {
    Arena        *a = arena_new();
    KtLayout     *l = ARENA_NEW(a, KtLayout);
    KernelOptions o = {.level = 2, .off = off, .place = kt_place, .cx = l, .eager = eager};
    Target        t;
    int           found = 0;
    l->a = a;
    target_row(&t, id);
    Kernels *k = kernels_build(a, cell(a, text, 256, 32, 0, true), &t, &o);
    for (int i = 0; i < k->nnest; i++) {
        if (k->nest[i]->kind != NEST_SCAN) continue;
        assert_true(found < 2);
        assert_int_equal(k->nest[i]->scan->reverse, found);
        step[found++] = step_of(k->nest[i]->scan);
    }
    assert_int_equal(found, 2);
    arena_free(a);
}

/* One meeting a step where the maths allow it; r * h of a GRU is one in between, and backwards its adjoint. */
static void meetings(void **state) {
    (void)state;
    static const TargetId TARGETS[] = {TARGET_AVX2, TARGET_AVX512, TARGET_NEON};
    static const struct { const char *text; int forward, backward, plain; } CELLS[] = {{LSTM, 1, 1, 2}, {VANILLA, 1, 1, 2}, {GRU, 2, 2, 3}};
    Step s[2];
    for (int i = 0; i < 3; i++)
        for (int t = 0; t < 3; t++) {
            steps(CELLS[i].text, TARGETS[t], false, NULL, s);
            assert_int_equal(s[0].barriers, CELLS[i].forward);
            assert_int_equal(s[1].barriers, CELLS[i].backward);
            steps(CELLS[i].text, TARGETS[t], false, "rotate", s);
            assert_int_equal(s[1].barriers, CELLS[i].plain);
        }
}

/* Functions of what the scan stacks are not computed again backwards. */
static void functions_are_kept(void **state) {
    (void)state;
    Step s[2];
    steps(GRU, TARGET_AVX2, false, NULL, s);
    assert_int_equal(s[1].dear, 0);
    steps(GRU, TARGET_AVX2, false, "keep", s);
    assert_int_not_equal(s[1].dear, 0);
}

/* All gates in one nest with the pointwise part behind them, all terms of their adjoint in one nest. */
static void one_nest(void **state) {
    (void)state;
    Step s[2];
    steps(LSTM, TARGET_AVX2, true, NULL, s);
    assert_int_equal(s[0].nests, 1);
    assert_int_equal(s[1].nests, 1);
    assert_int_equal(s[0].barriers + s[1].barriers, 2);
    steps(LSTM, TARGET_AVX2, true, "sums", s);
    assert_int_equal(s[0].sums, 4);
    assert_int_equal(s[1].sums, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lstm), cmocka_unit_test(gru), cmocka_unit_test(vanilla), cmocka_unit_test(meetings),
        cmocka_unit_test(functions_are_kept), cmocka_unit_test(one_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
