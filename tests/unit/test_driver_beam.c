/* Beam search against the same search done one sequence at a time, each scored by the objective; all sequences
 * where the beam is wide enough for all; one beam is the argmax. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"
#include "passes/beam.h"
#include "passes/pass.h"

enum { SYMBOLS = 4, LONGEST = 5, STOP = 1, ROWS = 3, WIDTH = 4 };

static const char *const TEXT =
    "dim V = 4\ndim T <= %d\nmodel M { emb = Embed(3); cell = Lstm(4); out = Dense(V)\n"
    " objective(s: [4], w: V[T]) {\n"
    "  scan t in T { h[t], c[t] = cell(emb(w[t-1] ?? 0), h[t-1], c[t-1]) from s, zeros }\n"
    "  loss sum[t](xent(4 * out(h[t]), w[t])) }\n"
    " entry say(s: [4]) {\n"
    "  scan t in T until w[t] == 1 {\n"
    "   h[t], c[t] = cell(emb(w[t-1]), h[t-1], c[t-1]) from s, zeros\n"
    "   w[t] = argmax(4 * out(h[t])) from 0 }\n  return w, h }\n"
    " entry force(s: [4], w: V[T]) -> [T,4] {\n"
    "  scan t in T { h[t], c[t] = cell(emb(w[t-1] ?? 0), h[t-1], c[t-1]) from s, zeros }\n  return h } }";

/* A step that runs scans of its own: over a sequence that the beam changes, from its state, backwards; one is read by the
 * argmax, one after it alone, and a sequence is a result. */
static const char *const NESTED =
    "dim V = 4\ndim K = 3\ndim T <= %d\nmodel M { emb = Embed(4); enc = Rnn(4); back = Rnn(4); cell = Gru(4); out = Dense(V)\n"
    " fn look(s: [4], h: [4]) -> [K,4] {\n"
    "  u[k < K, i] = s[i] * h[i] + k\n"
    "  scan k in K { q[k] = enc(u[k], q[k-1]) from h }\n"
    "  scan k in K { r[k] = back(q[k], r[k+1]) from s }\n  return r }\n"
    " fn step(s: [4], e: [4], h: [4]) -> ([4], [K,4]) {\n"
    "  r = look(s, h)\n  return cell(e + first(r), h), r }\n"
    " objective(s: [4], w: V[T]) {\n"
    "  scan t in T { h[t], r[t] = step(s, emb(w[t-1] ?? 0), h[t-1])  from s, zeros\n   z[t] = sum(r[t-1]) * s }\n"
    "  loss sum[t](xent(4 * out(h[t] + 0.1*z[t]), w[t])) }\n"
    " entry say(s: [4]) {\n"
    "  scan t in T until w[t] == 1 {\n"
    "   h[t], r[t] = step(s, emb(w[t-1]), h[t-1]) from s, zeros\n"
    "   z[t] = sum(r[t-1]) * s\n"
    "   w[t] = argmax(4 * out(h[t] + 0.1*z[t]))   from 0\n"
    "   after[t] = last(look(emb(w[t]), h[t])) }\n"
    "  both[t, i] = h[t,i] + after[t,i] + r[t,0,i]\n  return w, both }\n"
    " entry force(s: [4], w: V[T]) -> [T,4] {\n"
    "  scan t in T { h[t], r[t] = step(s, emb(w[t-1] ?? 0), h[t-1]) from s, zeros\n   z[t] = sum(r[t-1]) * s\n"
    "   after[t] = last(look(emb(w[t]), h[t])) }\n"
    "  both[t, i] = h[t,i] + after[t,i] + r[t,0,i]\n  return both } }";

typedef struct {
    Arena   *arena;
    Program *program;
    uint64_t seed;
    int      row, length;                                  /* of what is scored */
    int      word[LONGEST];
} Net;

static Net net_of(const char *text, int longest, uint64_t seed) {
    Net   n = {.arena = arena_new(), .seed = seed};
    Diag *d = diag_new(n.arena);
    n.program = program_load_text(n.arena, d, "beam.net", arena_printf(n.arena, text, longest), NULL);
    bool ok = n.program && program_check(n.program);
    diag_print(d, stderr, false);
    assert_true(ok);
    return n;
}

static Net net(int longest, uint64_t seed) { return net_of(TEXT, longest, seed); }

static uint32_t site_of(const char *key) {
    uint32_t h = 1;
    for (; *key; key++) h = h * 31 + (unsigned char)*key;
    return h;
}

/* In a graph of one row the row is n->row. */
static const double *leaf(void *cx, const Node *l) {
    Net    *n = cx;
    int64_t count = type_count(&l->type);
    double *v = ARENA_ARRAY(n->arena, double, count);
    const char *key = l->op == OP_PARAM ? l->u.param.key : l->u.input.key;
    if (l->op == OP_INPUT && !strcmp(key, "T")) v[0] = n->length;
    else if (l->op == OP_INPUT && !strcmp(key, "w"))
        for (int i = 0; i < n->length; i++) v[i] = n->word[i];
    else {
        int64_t from = l->op == OP_INPUT && l->type.dim[0].size == 1 ? n->row * WIDTH : 0;
        for (int64_t i = 0; i < count; i++) v[i] = 2 * rng_uniform(n->seed, site_of(key), 0, from + i) - 1;
    }
    return v;
}

static double **run(Net *n, Graph *g) {
    const char *why;
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    InterpEnv env = {.leaf = leaf, .cx = n};
    if (g->bounds.n > 2) env.bound[2] = n->length;
    return interp_run(n->arena, g, &env);
}

static Graph *entry(Net *n, const char *name, int rows) {
    const ModelInfo *m = program_model(n->program);
    for (int i = 0; i < m->nentry; i++)
        if (!strcmp(m->entry[i].name, name)) return program_entry(n->program, i, rows, n->arena);
    fail_msg("no entry %s", name);
    return NULL;
}

/* The sum of log_softmax of the first `length` symbols. */
static double score(Net *n, Graph *objective, const int *word, int length) {
    n->length = length;
    memcpy(n->word, word, sizeof(int) * (size_t)length);
    return -run(n, objective)[0][0];
}

typedef struct {
    int    word[LONGEST], length;
    double score;
    bool   ended;
} Sequence;

static int better(const void *a, const void *b) {
    double x = ((const Sequence *)a)->score, y = ((const Sequence *)b)->score;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The search in plain C: all continuations, sorted, the best `beams` of them. */
static Sequence search(Net *n, int longest, int beams) {
    Graph    *g = program_objective(n->program, false, 1, n->arena);
    Sequence *now = ARENA_ARRAY(n->arena, Sequence, 1 + beams), *next = ARENA_ARRAY(n->arena, Sequence, SYMBOLS * (1 + beams));
    int       count = 1;
    for (int t = 0; t < longest; t++) {
        int made = 0;
        for (int i = 0; i < count; i++) {
            if (now[i].ended) next[made++] = now[i];
            for (int v = 0; v < SYMBOLS && !now[i].ended; v++) {
                Sequence s = now[i];
                s.word[s.length++] = v;
                s.score = score(n, g, s.word, s.length);
                s.ended = v == STOP;
                next[made++] = s;
            }
        }
        qsort(next, (size_t)made, sizeof *next, better);
        count = made < beams ? made : beams;
        memcpy(now, next, sizeof *now * (size_t)count);
    }
    return now[0];
}

static Graph *beamed(Net *n, int beams) {
    Graph *g = entry(n, "say", ROWS);
    bool   none;
    const char *why = "";
    if (!beam_search(g, beams, &none, &why)) fail_msg("%s", why);
    return g;
}

/* Symbols, length and states of every row. */
static void compare(Net *n, Graph *g, int longest, int beams) {
    double **y = run(n, g);
    int      lengths = g->outs.n - 1;
    Graph   *force = entry(n, "force", 1);
    assert_string_equal(g->outs.at[lengths].name, "T");
    for (n->row = 0; n->row < ROWS; n->row++) {
        Sequence due = search(n, longest, beams);
        if (y[lengths][n->row] != due.length) fail_msg("%d beams, row %d: length %g, not %d", beams, n->row, y[lengths][n->row], due.length);
        for (int t = 0; t < due.length; t++)
            if (y[0][n->row * longest + t] != due.word[t])
                fail_msg("%d beams, row %d: symbol %d is %g, not %d", beams, n->row, t, y[0][n->row * longest + t], due.word[t]);
        n->length = due.length;
        memcpy(n->word, due.word, sizeof due.word);
        double *h = run(n, force)[0];
        for (int i = 0; i < due.length * WIDTH; i++) assert_float_equal(y[1][n->row * longest * WIDTH + i], h[i], 1e-12);
    }
}

static void compare_all(const char *text, uint64_t seeds) {
    int differ = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        for (int beams = 1; beams <= 4; beams++) {
            Net n = net_of(text, LONGEST, seed);
            Graph *g = beamed(&n, beams);
            compare(&n, g, LONGEST, beams);
            Graph *greedy = beamed(&n, 1);
            double *x = run(&n, g)[0], *y = run(&n, greedy)[0];
            for (int i = 0; beams > 1 && i < ROWS * LONGEST; i++) differ += x[i] != y[i];
            arena_free(n.arena);
        }
    assert_true(differ > 0);                               /* the search finds what the argmax does not */
}

static void as_one_by_one(void **state) {
    (void)state;
    compare_all(TEXT, 6);
}

static void scans_inside_a_step(void **state) {
    (void)state;
    compare_all(NESTED, 4);
}

/* Wide enough for every sequence: the best of all. */
static void all_sequences(void **state) {
    (void)state;
    enum { SHORT = 3 };
    for (uint64_t seed = 10; seed < 14; seed++) {
        Net      n = net(SHORT, seed);
        Graph   *g = beamed(&n, 32), *objective = program_objective(n.program, false, 1, n.arena);
        double **y = run(&n, g);
        for (n.row = 0; n.row < ROWS; n.row++) {
            double best = -INFINITY;
            int    word[SHORT], found[SHORT] = {0}, length = 0;
            for (int code = 0; code < SYMBOLS * SYMBOLS * SYMBOLS; code++) {
                int m = 0;
                for (int c = code; m < SHORT && (!m || word[m - 1] != STOP); c /= SYMBOLS) word[m++] = c % SYMBOLS;
                double s = score(&n, objective, word, m);
                if (s > best) best = s, length = m, memcpy(found, word, sizeof found);
            }
            assert_float_equal(y[g->outs.n - 1][n.row], length, 0);
            for (int t = 0; t < length; t++) assert_float_equal(y[0][n.row * SHORT + t], found[t], 0);
        }
        arena_free(n.arena);
    }
}

static void one_beam_is_the_argmax(void **state) {
    (void)state;
    Net   n = net(LONGEST, 1);
    char *plain = graph_text(entry(&n, "say", ROWS), n.arena);
    assert_string_equal(graph_text(beamed(&n, 1), n.arena), plain);
    arena_free(n.arena);
}

/* Passes change nothing, and what they leave is still a graph. */
static void keep(const char *text) {
    Net    n = net_of(text, LONGEST, 2);
    Graph *g = beamed(&n, 3);
    double **due = run(&n, g);
    passes_run(g, &(PassOptions){.level = 2, .verify_each = true, .out = stderr});
    double **y = run(&n, g);
    for (int i = 0; i < g->outs.n; i++)
        for (int64_t k = 0; k < type_count(&g->outs.at[i].value->type); k++) assert_float_equal(y[i][k], due[i][k], 1e-12);
    arena_free(n.arena);
}

static void passes_keep_it(void **state) {
    (void)state;
    keep(TEXT);
    keep(NESTED);
}

static void refusals(void **state) {
    (void)state;
    static const struct { const char *step, *why; } WRONG[] = {
        {"w[t] = draw(out(h[t])) from 0", "draws"},
        {"w[t] = argmin(out(h[t])) from 0", "no argmax"},
        {"w[t] = argmax(out(h[t])) from 0\n v[t] = argmax(out(h[t]) .* out(h[t])) from 0\n k[t] = v[t-1]", "two argmax"},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        Arena   *a = arena_new();
        Diag    *d = diag_new(a);
        Program *p = program_load_text(a, d, "beam.net", arena_printf(a,
            "dim V = 4\ndim T <= 5\nmodel M { c = Rnn(4); out = Dense(V); e = Embed(4)\n"
            " objective(s: [4], y: V) { loss xent(out(c(e(y), s)), y) }\n entry say(s: [4]) -> V[T] {\n"
            "  scan t in T until w[t] == 1 {\n   h[t] = c(e(w[t-1]), h[t-1]) from s\n   %s }\n  return w } }", WRONG[i].step), NULL);
        bool ok = p && program_check(p), none;
        diag_print(d, stderr, false);
        assert_true(ok);
        Graph *g = program_entry(p, 0, 2, a);
        char  *before = graph_text(g, a);
        const char *why = "";
        assert_false(beam_search(g, 3, &none, &why));
        if (!strstr(why, WRONG[i].why)) fail_msg("'%s' says: %s", WRONG[i].step, why);
        assert_string_equal(graph_text(g, a), before);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_one_by_one), cmocka_unit_test(scans_inside_a_step), cmocka_unit_test(all_sequences),
        cmocka_unit_test(one_beam_is_the_argmax),
        cmocka_unit_test(passes_keep_it), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
