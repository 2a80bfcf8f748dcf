/* What the lowering makes of a program: the form of its nodes, names, states, random numbers, expansions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"

typedef struct {
    Arena   *arena;
    Diag    *diag;
    Program *program;
} Loaded;

static Loaded load(const char *text) {
    Loaded l = {.arena = arena_new()};
    l.diag = diag_new(l.arena);
    l.program = program_load_text(l.arena, l.diag, "t.net", text, NULL);
    bool ok = l.program && program_check(l.program);
    diag_print(l.diag, stderr, false);
    assert_true(ok);
    return l;
}

static Graph *verified(Graph *g) {
    const char *why = "";
    assert_non_null(g);
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    return g;
}

static Graph *lower(Loaded *l, bool training) { return verified(program_objective(l->program, training, 4, l->arena)); }

static int count_kind(const Graph *g, Kind kind) {
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) n += g->nodes.at[i]->op == OP_COMP && g->nodes.at[i]->u.comp.kind == kind;
    return n;
}

static int count_op(const Graph *g, OpId op) {
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++) n += g->nodes.at[i]->op == op;
    return n;
}

static const Node *first_kind(const Graph *g, Kind kind) {
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_COMP && g->nodes.at[i]->u.comp.kind == kind) return g->nodes.at[i];
    return NULL;
}

static void find_guard(const Expr *e, void *p) { *(bool *)p |= e->guarded; }

static bool guarded(const Node *n) {
    bool g = false;
    expr_walk(n->u.comp.expr, find_guard, &g);
    return g;
}

/* A convolution is one sum of products of two reads, guarded only if it pads; a pool is one max. */
static void convolutions_are_one_comp(void **state) {
    (void)state;
    for (int pad = 0; pad < 2; pad++) {
        Loaded l = load(pad ? "model M { objective(x: [2,8,8]) { loss sum(x |> Conv(3, 3, pad=1) as c |> maxpool(2)) } }"
                            : "model M { objective(x: [2,8,8]) { loss sum(x |> Conv(3, 3) as c |> maxpool(2)) } }");
        Graph *g = lower(&l, true);
        const Node *conv = first_kind(g, KIND_SUM), *pool = first_kind(g, KIND_MAX);
        const Expr *e = conv->u.comp.expr;
        assert_int_equal(conv->u.comp.nout, 4);
        assert_int_equal(conv->u.comp.nred, 3);
        assert_true(e->op == SC_MUL && e->arg[0]->op == SC_READ && e->arg[1]->op == SC_READ);
        assert_int_equal(guarded(conv), pad);
        assert_string_equal(conv->name, "M.c");
        assert_int_equal(conv->loc.line, 1);
        assert_int_equal(count_kind(g, KIND_MAX), 1);
        assert_true(pool->u.comp.expr->op == SC_READ && !guarded(pool));
        arena_free(l.arena);
    }
}

/* A function under a map is the same comps with one more axis. */
static void maps_are_axes(void **state) {
    (void)state;
    Loaded l = load("dim T = 5\nmodel M { d = Dense(3)\n"
                    "  objective(x: [T,4]) { f[t] = relu(d(x[t])); loss sum(f) } }");
    Graph *g = lower(&l, true);
    const Node *n = first_kind(g, KIND_SUM);
    assert_int_equal(n->type.rank, 3);
    assert_int_equal(n->type.dim[0].bound, 1);
    assert_int_equal(n->type.dim[1].size, 5);
    assert_int_equal(n->type.dim[2].size, 3);
    arena_free(l.arena);
}

static void rows_are_gathered(void **state) {
    (void)state;
    Loaded l = load("dim T = 5\ndim V = 7\nmodel M { emb = Embed(3)\n"
                    "  objective(x: V[T]) { e[t] = emb(x[t]); loss sum(e) } }");
    Graph *g = lower(&l, true);
    assert_int_equal(count_op(g, OP_GATHER), 1);
    assert_int_equal(count_op(g, OP_CONST), 0);
    arena_free(l.arena);
}

static int rng_sites(const Graph *g, uint32_t *site) {
    int n = 0;
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_RNG) site[n++] = g->nodes.at[i]->u.rng.site;
    return n;
}

/* A function called from two places draws two masks; lowering again draws the same two; without training none. */
static void masks_belong_to_call_paths(void **state) {
    (void)state;
    Loaded l = load("model M {\n  d = Dense(3)\n  fn enc(x: [4]) -> [3] = d(x) |> dropout(0.5)\n"
                    "  objective(x: [4], y: [4]) { loss sum(enc(x) .* enc(y)) } }");
    uint32_t a[4], b[4];
    assert_int_equal(rng_sites(lower(&l, true), a), 2);
    assert_true(a[0] != a[1]);
    assert_int_equal(rng_sites(lower(&l, true), b), 2);
    assert_memory_equal(a, b, 2 * sizeof *a);
    assert_int_equal(rng_sites(lower(&l, false), b), 0);
    arena_free(l.arena);
}

static const double *zeros(void *cx, const Node *leaf) {
    return ARENA_ARRAY(cx, double, type_count(&leaf->type));
}

/* Standard normal numbers: mean 0, variance 1, third moment 0 within 4 standard errors; other ones at each place in the
 * text; a constant for the gradient. A file may call something of its own by the name. */
static void noise_is_normal(void **state) {
    (void)state;
    enum { ROWS = 4, N = 20000 };
    Loaded   l = load("model M { entry f(x: [20000]) -> [20000] = noise(x)\n entry g(x: [4]) -> [4] = noise(x) - noise(x) }");
    Graph   *g = verified(program_entry(l.program, 0, ROWS, l.arena));
    InterpEnv env = {.leaf = zeros, .cx = l.arena, .seed = 5, .step = 2};
    double *x = interp_run(l.arena, g, &env)[0], sum[4] = {0};
    for (int i = 0; i < ROWS * N; i++)
        for (int k = 1; k < 4; k++) sum[k] += pow(x[i], k) / (ROWS * N);
    double error = 4 / sqrt(ROWS * N);
    if (fabs(sum[1]) > error || fabs(sum[2] - 1) > error * sqrt(2) || fabs(sum[3]) > error * sqrt(15))
        fail_msg("moments %g %g %g", sum[1], sum[2], sum[3]);
    uint32_t site[8];
    assert_int_equal(rng_sites(verified(program_entry(l.program, 1, ROWS, l.arena)), site), 4);
    arena_free(l.arena);
    l = load("fn noise(x: [n]) -> [n] = 2*x\nmodel M { entry f(x: [3]) -> [3] = noise(x) }");
    assert_int_equal(rng_sites(verified(program_entry(l.program, 0, ROWS, l.arena)), site), 0);
    arena_free(l.arena);
}

static const Output *update_of(const Graph *g, const char *key) {
    for (int i = 0; i < g->outs.n; i++)
        if (g->outs.at[i].kind == OUT_STATE && !strcmp(g->outs.at[i].name, key)) return &g->outs.at[i];
    return NULL;
}

/* What depends on examples is kept per row and advances always; the rest once, and in training only. */
static void states_are_shared_or_per_lane(void **state) {
    (void)state;
    Loaded l = load("model M {\n  objective(x: [4]) {\n    state h: [4] = 0.5\n    state k = 0\n    next h = h + x\n"
                    "    next k = k + 1\n    loss sum(h) + k } }");
    Graph *train = lower(&l, true), *eval = lower(&l, false);
    assert_int_equal(update_of(train, "M.h")->target->u.state.kind, STATE_LANE);
    assert_int_equal(update_of(train, "M.h")->value->type.rank, 2);
    assert_int_equal(update_of(train, "M.k")->target->u.state.kind, STATE_SHARED);
    assert_int_equal(update_of(train, "M.k")->value->type.rank, 0);
    assert_true(update_of(train, "M.h")->target->u.state.init == 0.5);
    assert_non_null(update_of(eval, "M.h"));
    assert_null(update_of(eval, "M.k"));
    arena_free(l.arena);
}

static const double *expand_leaf(void *cx, const Node *leaf) {
    static const double FIELD[] = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}, DY[] = {1, -1}, DX[] = {0, 1};
    (void)cx;
    if (!strcmp(leaf->u.input.key, "arg.dy")) return DY;
    return strcmp(leaf->u.input.key, "arg.dx") ? FIELD : DX;
}

/* An expansion moves each example by its own numbers; zeros come in from outside. */
static void expansions_move_examples(void **state) {
    (void)state;
    static const double DUE[] = {0, 0, 0, 1, 2, 3, 0, 4, 5, 0, 0, 0};
    Loaded l = load("fn shift(x: [H,W], dy, dx) -> [H,W] {\n  y[i < H, j < W] = x[i-dy, j-dx] ?? 0\n  return y\n}\n"
                    "data D(img: [2,3]) { train = npy(\"a.npy\") |> expand(shift, img, [[0,0],[1,0]]) }\n"
                    "model M { objective(img: [2,3]) { loss sum(img) } }\ntrain M on D { epochs = 1 }");
    assert_null(program_expand(l.program, 1, 2, l.arena));
    Graph *g = verified(program_expand(l.program, 0, 2, l.arena));
    InterpEnv env = {.leaf = expand_leaf};
    double **out = interp_run(l.arena, g, &env);
    for (int i = 0; i < 12; i++) assert_true(out[0][i] == DUE[i]);
    arena_free(l.arena);
}

/* First values have the spread that their initialisers promise, and are the same every time. */
static void first_values(void **state) {
    (void)state;
    Loaded l = load("model M {\n  param a: [64,64] ~ he\n  param b: [64,64] ~ glorot\n  param c: [64,64] ~ uniform(0.5)\n"
                    "  param d: [64,64] ~ normal(0.1)\n  param e: [3] = 2\n"
                    "  objective(x: f32) { loss sum(a) + sum(b) + sum(c) + sum(d) + sum(e)*x } }");
    const double DUE[] = {sqrt(2.0 / 64), sqrt(6.0 / 128 / 3), 0.5 / sqrt(3), 0.1};
    Graph *g = verified(program_init(l.program, l.arena));
    InterpEnv env = {.seed = 7};
    double **out = interp_run(l.arena, g, &env);
    assert_int_equal(g->outs.n, 5);
    for (int i = 0; i < 4; i++) {
        double sum = 0, square = 0;
        for (int k = 0; k < 4096; k++) sum += out[i][k] / 4096, square += out[i][k] * out[i][k] / 4096;
        assert_true(fabs(sum) < 4 * DUE[i] / 64);
        assert_true(fabs(sqrt(square) / DUE[i] - 1) < 0.05);
    }
    for (int k = 0; k < 3; k++) assert_true(out[4][k] == 2);
    arena_free(l.arena);
}

/* A function with a sequence is marked, and says whose lengths it needs. */
static void sequences_are_marked(void **state) {
    (void)state;
    Loaded l = load("dim T <= 5\nmodel M { c = Rnn(3)\n  objective(x: [T,2]) {\n"
                    "    scan t in T { h[t] = c(x[t], h[t-1]) from zeros }\n    loss sum(last(h)) } }");
    const FuncInfo *f = &program_model(l.program)->objective;
    assert_true(f->recurrent);
    assert_int_equal(f->sequence.line, 3);
    assert_int_equal(f->nlength, 1);
    assert_string_equal(f->length[0], "T");
    assert_int_equal(f->nfound, 0);
    assert_non_null(program_objective(l.program, true, 4, l.arena));
    arena_free(l.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_are_one_comp), cmocka_unit_test(maps_are_axes), cmocka_unit_test(rows_are_gathered),
        cmocka_unit_test(masks_belong_to_call_paths), cmocka_unit_test(noise_is_normal),
        cmocka_unit_test(states_are_shared_or_per_lane),
        cmocka_unit_test(expansions_move_examples), cmocka_unit_test(first_values), cmocka_unit_test(sequences_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
