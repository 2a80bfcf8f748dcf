/* Sequences, lowered and interpreted: a batch means what its examples mean alone, whatever lies past their
 * ends; entries that end by themselves; states across windows; what leaves the loop. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "frontend/frontend.h"

enum { ROWS = 4, MOST = 6 };

typedef struct {
    Arena   *arena;
    Program *program;
    double   length[2][ROWS];      /* of T, of S */
    int      row;                  /* >= 0: the batch is this example alone */
    double   past;                 /* what lies past an end */
    const double *lane;            /* lane states; NULL: their first values */
} Net;

static Net net(const char *text) {
    Net n = {.arena = arena_new(), .length = {{3, 6, 1, 4}, {2, 1, 5, 3}}, .row = -1};
    Diag *d = diag_new(n.arena);
    n.program = program_load_text(n.arena, d, "test.net", text, NULL);
    bool ok = n.program && program_check(n.program);
    diag_print(d, stderr, false);
    assert_true(ok);
    return n;
}

static double number(uint32_t site, int64_t i) { return 2 * rng_uniform(3, site, 0, i) - 1; }

static uint32_t site_of(const char *key) {
    uint32_t h = 1;
    for (; *key; key++) h = h * 31 + (unsigned char)*key;
    return h;
}

/* The inputs x..: over T first; s..: over S first; k..: neither. Whole numbers 0 .. 3 where elements are due. */
static const double *leaf(void *cx, const Node *n) {
    Net *t = cx;
    int64_t count = type_count(&n->type), width = count / n->type.dim[0].size;
    double *v = ARENA_ARRAY(t->arena, double, count);
    if (n->op == OP_STATE) {
        for (int64_t i = 0; i < count; i++) v[i] = t->lane ? t->lane[i] : n->u.state.init;
        return v;
    }
    const char *key = n->op == OP_PARAM ? n->u.param.key : n->u.input.key;
    for (int64_t i = 0; i < count && n->op == OP_PARAM; i++) v[i] = number(site_of(key), i);
    for (int64_t b = 0; b < n->type.dim[0].size && n->op == OP_INPUT; b++) {
        int example = t->row >= 0 ? t->row : (int)b % ROWS, dim = *key == 's';
        if (!strcmp(key, "T") || !strcmp(key, "S") || !strcmp(key, "N")) {
            v[b] = t->length[*key == 'S'][example];
            continue;
        }
        int64_t steps = n->type.rank > 1 ? n->type.dim[1].size : 1;
        for (int64_t i = 0; i < width; i++) {
            double u = number(site_of(key), example * 1000 + i);
            bool past = *key != 'k' && (double)(i / (width / steps)) >= t->length[dim][example];
            v[b * width + i] = past ? t->past : n->type.dtype == DT_I32 ? floor(2 * u + 2) : u;
        }
    }
    return v;
}

static InterpEnv env_of(Net *t, const Graph *g) {
    InterpEnv env = {.leaf = leaf, .cx = t, .seed = 5, .bound = {0, t->row >= 0 ? 1 : ROWS}};
    for (int i = 2; i < g->bounds.n; i++)
        for (int b = 0; b < ROWS; b++) {
            double len = t->length[*g->bounds.at[i].name == 'S'][t->row >= 0 ? t->row : b];
            if ((int64_t)len > env.bound[i]) env.bound[i] = (int64_t)len;
        }
    return env;
}

static Graph *objective(Net *t) {
    const char *why;
    Graph *g = program_objective(t->program, true, ROWS + 1, t->arena);
    assert_non_null(g);
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    return g;
}

static double loss(Net *t) {
    Graph *g = objective(t);
    InterpEnv env = env_of(t, g);
    return interp_run(t->arena, g, &env)[0][0];
}

static double **entry(Net *t, int k, Graph **graph) {
    const char *why;
    Graph *g = program_entry(t->program, k, ROWS + 1, t->arena);
    assert_non_null(g);
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    InterpEnv env = env_of(t, g);
    *graph = g;
    return interp_run(t->arena, g, &env);
}

#define DIMS "dim T <= 6\ndim S <= 5\ndim V = 4\n"
static const char *const NETS[] = {
    DIMS "model M { c = Rnn(3)\n objective(x: [T,2]) { scan t in T { h[t] = c(x[t], h[t-1]) from zeros }\n"
         " loss sum(last(h)) + mean(h) + sum(first(h)) } }",
    DIMS "model M { c = Lstm(3)\n objective(x: [T,2]) { scan t in T { h[t], m[t] = c(x[t], h[t+1], m[t+1]) from zeros, 0.5 }\n"
         " loss sum(first(h)) + max[t](m[t,0]) + min[t](h[t,1]) + prod[t](h[t,2]) } }",
    DIMS "model M { a = BiLstm(2); b = StackedLstm(4, 2); o = Gru(4)\n objective(x: [T,2]) { u = b(a2(a(x)))\n"
         " scan t in T with (checkpoint=2) { g[t] = o(u[t], g[t-1]) from last(u) }\n loss mean(g) / T }\n"
         " fn a2(v: [T,4]) -> [T,4] { w[t] = v[t] + (v[t-1] ?? 0.25); return w } }",
    DIMS "model M { e = Gru(3); d = Gru(3); emb = Embed(2); o = Dense(V)\n dimless = Dense(3)\n objective(sx: V[S], xy: V[T]) {\n"
         " scan s in S { h[s] = e(emb(sx[s]), h[s-1]) from zeros }\n scan t in T {\n  w[s] = sum[k](g[t-1,k] * h[s,k])\n"
         "  a = softmax(w)\n  c[k] = sum[s](a[s] * h[s,k])\n  g[t] = d(concat(emb(xy[t-1] ?? 0), c), g[t-1]) from last(h) }\n"
         " loss mean[t](xent(o(g[t]), xy[t])) + sum(dimless(g[0])) } }",
    DIMS "model M { cv = Conv1(3, 3, pad=1); c1 = Conv1(2, 4)\n objective(x: [T,2], sx: [S,2]) { z[c,t] = x[t,c]\n"
         " q = z |> cv |> maxpool1(2)\n r[t,s] = exp(x[t,0] * sx[s,1]) / (0.1 + x[t,1]^2)\n"
         " loss mean(q) + max(z |> c1) + mean[t,s](log(r[t,s])) + sum[t < T-2](x[t+2,0] - x[t,1]) + sum[t < T](x[T-1-t,0] * f32(t))\n"
         "  + (if any[t](x[t,0] > 0.9) then 1 else 0) + x[argmax[t](x[t,0]), 1] } }",
};
enum { NNETS = sizeof NETS / sizeof *NETS };

static void a_batch_is_the_mean_of_its_examples(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        Net t = net(NETS[i]);
        double all = loss(&t), alone = 0;
        for (t.row = 0; t.row < ROWS; t.row++) alone += loss(&t) / ROWS;
        if (!(fabs(all - alone) <= 1e-12 * (1 + fabs(all)))) fail_msg("net %d: %.17g, alone %.17g", i, all, alone);
        arena_free(t.arena);
    }
}

static void past_the_end_nothing_is_read(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        Net t = net(NETS[i]);
        double due = loss(&t);
        static const double PAST[] = {1e30, INFINITY, NAN, -1e9};
        for (int k = 0; k < 4; k++) {
            t.past = PAST[k];
            if (loss(&t) != due) fail_msg("net %d, %g past the end: %.17g, not %.17g", i, PAST[k], loss(&t), due);
        }
        arena_free(t.arena);
    }
}

/* Ended examples hold; their lengths are a result. */
static void until(void **state) {
    (void)state;
    Net t = net("dim T <= 6\nmodel M { param w: [1] ~ normal(1)\n objective(k: [2]) { loss sum(w) }\n"
                " entry count(k: [2]) -> f32[T] {\n"
                "  scan t in T until 2 * k[0] + n[t] > 3 { n[t] = n[t-1] + 1 from 0 }\n  return n } }");
    Graph *g;
    double **y = entry(&t, 0, &g);
    assert_int_equal(g->outs.n, 2);
    assert_string_equal(g->outs.at[1].name, "T");
    assert_int_equal(program_model(t.program)->entry[0].nfound, 1);
    assert_int_equal(program_model(t.program)->entry[0].nlength, 0);
    for (int b = 0; b < ROWS; b++) {
        double k = number(site_of("k"), b * 1000), n = 1;
        while (!(2 * k + n > 3) && n < MOST) n++;
        assert_float_equal(y[1][b], n, 0);
        for (int i = 0; i < MOST; i++) assert_float_equal(y[0][b * MOST + i], fmin(i + 1, n), 0);
    }
    arena_free(t.arena);
}

/* A dim that no argument fixes is an argument itself; what is drawn is fed back. */
static void free_lengths(void **state) {
    (void)state;
    Net t = net("dim V = 4\ndim N <= 6\nmodel M { c = Rnn(3); o = Dense(V)\n"
                " objective(k: V) { loss xent(o(c(onehot(k), zeros(3))), k) }\n"
                " entry sample(k: V, heat = 1.0) -> V[N] {\n  scan t in N {\n"
                "   h[t] = c(onehot(v[t-1]), h[t-1]) from zeros\n   v[t] = draw(o(h[t]) / heat) from k }\n  return v } }");
    Graph *g;
    double **y = entry(&t, 0, &g), **again = entry(&t, 0, &g);
    const FuncInfo *f = &program_model(t.program)->entry[0];
    assert_int_equal(f->nlength, 1);
    assert_string_equal(f->length[0], "N");
    bool differ = false;
    for (int i = 0; i < ROWS * MOST; i++) {
        assert_true(y[0][i] >= 0 && y[0][i] < 4 && y[0][i] == floor(y[0][i]));
        assert_float_equal(y[0][i], again[0][i], 0);
        differ |= i >= MOST && y[0][i] != y[0][i - MOST];
    }
    assert_true(differ);
    arena_free(t.arena);
}

/* Two windows with the state between them are one long sequence. */
static void states_go_on(void **state) {
    (void)state;
    static const char *const TEXT = "dim T = %d\nmodel M { c = Rnn(3)\n objective(kx: [T,2]) { state h0: [3] = 0\n"
                                    " scan t in T { h[t] = c(kx[t], h[t-1]) from h0 }\n next h0 = last(h)\n loss sum(h) } }";
    Arena *a = arena_new();
    Net    whole = net(arena_printf(a, TEXT, 6));
    double due = loss(&whole);
    Graph *g = objective(&whole);
    assert_int_equal(g->outs.at[g->outs.n - 1].kind, OUT_STATE);
    /* The first half: its inputs are the first three steps of the same numbers. */
    Net    half = net("dim T = 6\nmodel M { c = Rnn(3)\n objective(kx: [T,2]) { state h0: [3] = 0\n"
                      " u = kx[0:3]\n scan t in 3 { h[t] = c(u[t], h[t-1]) from h0 }\n next h0 = last(h)\n loss sum(h) } }");
    Net    rest = net("dim T = 6\nmodel M { c = Rnn(3)\n objective(kx: [T,2]) { state h0: [3] = 0\n"
                      " u = kx[3:6]\n scan t in 3 { h[t] = c(u[t], h[t-1]) from h0 }\n next h0 = last(h)\n loss sum(h) } }");
    Graph *first = objective(&half);
    InterpEnv env = env_of(&half, first);
    double **y = interp_run(a, first, &env);
    rest.lane = y[first->outs.n - 1];
    assert_float_equal(y[0][0] + loss(&rest), due, 1e-12);
    arena_free(whole.arena);
    arena_free(half.arena);
    arena_free(rest.arena);
    arena_free(a);
}

static const Node *find_scan(const Graph *g) {
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN) return g->nodes.at[i];
    fail();
    return NULL;
}

/* Products with the input leave the loop, and so does the output layer: four are left of an LSTM's eight. */
static void what_needs_no_carry_leaves_the_loop(void **state) {
    (void)state;
    Net t = net("dim T <= 6\ndim V = 4\nmodel M { c = Lstm(3); o = Dense(V)\n objective(x: [T,2], xy: V[T]) {\n"
                " scan t in T { h[t], m[t] = c(x[t], h[t-1], m[t-1]) from zeros, zeros\n  z[t] = o(h[t]) }\n"
                " loss mean[t](xent(z[t], xy[t])) } }");
    Graph *g = objective(&t);
    const Node *scan = find_scan(g);
    int inside = 0, outside = 0;
    for (int i = 0; i < scan->u.scan.body->nodes.n; i++) {
        const Node *n = scan->u.scan.body->nodes.at[i];
        inside += n->op == OP_COMP && n->u.comp.kind == KIND_SUM;
    }
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.at[i];
        outside += n->op == OP_COMP && n->u.comp.kind == KIND_SUM && n->type.rank == 3 && n->type.dim[0].bound == 2;
    }
    assert_int_equal(inside, 4);
    assert_int_equal(outside, 5);
    arena_free(t.arena);
}

/* A map over time is the network over all frames at once: no scan. */
static void a_map_is_no_scan(void **state) {
    (void)state;
    Net t = net("dim T <= 6\nmodel M { d = Dense(3)\n objective(x: [T,2]) { y[t] = tanh(d(x[t]))\n loss sum(last(y)) } }");
    Graph *g = objective(&t);
    for (int i = 0; i < g->nodes.n; i++) assert_int_not_equal(g->nodes.at[i]->op, OP_SCAN);
    arena_free(t.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_the_mean_of_its_examples), cmocka_unit_test(past_the_end_nothing_is_read),
        cmocka_unit_test(until), cmocka_unit_test(free_lengths), cmocka_unit_test(states_go_on),
        cmocka_unit_test(what_needs_no_carry_leaves_the_loop), cmocka_unit_test(a_map_is_no_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
