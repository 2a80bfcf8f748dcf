/* For tests of passes/: graphs from text, values of graphs, comparison of two runs. */
#ifndef NETC_TESTS_PASSES_UTIL_H
#define NETC_TESTS_PASSES_UTIL_H
#include <math.h>
#include <stdlib.h>

#include "passes/gradcheck.h"
#include "passes/pass.h"
#include "tests/random/random_graph.h"
#include "tests/unit/ir_util.h"
#include "tests/unit/passes_nets.h"

static inline void must_verify(Graph *g, const char *what) {
    const char *why;
    if (!graph_verify(g, &why)) fail_msg("%s: %s", what, why);
}

static inline InterpEnv env_of(const Graph *g, RandomLeaves *leaves, int64_t rows) {
    InterpEnv e = {.leaf = random_leaf, .cx = leaves, .seed = leaves->seed, .step = 3};
    e.bound[1] = g->bounds.n > 1 ? rows : 0;
    return e;
}

/* Outputs of g on random leaves; `rows` of the bound, 0 = all. */
static inline double **values_of(Arena *a, const Graph *g, uint64_t seed, int64_t rows) {
    RandomLeaves leaves = {a, seed};
    InterpEnv    env = env_of(g, &leaves, rows);
    return interp_run(a, g, &env);
}

/* Equal up to rounding; equal infinities are equal, and so are two NaN. */
static inline bool close_numbers(double x, double y) {
    if (x == y || (isnan(x) && isnan(y))) return true;
    return fabs(x - y) <= 1e-9 * (1 + fabs(x) + fabs(y));
}

/* Every element of every output below the bound; outputs are matched by name. */
static inline void same_values(Arena *a, const Graph *g, const Graph *h, uint64_t seed, int64_t rows,
                               const char *what) {
    double **x = values_of(a, g, seed, rows), **y = values_of(a, h, seed, rows);
    assert_int_equal(g->outs.n, h->outs.n);
    for (int i = 0; i < g->outs.n; i++) {
        const Type *t = &g->outs.at[i].value->type;
        assert_string_equal(g->outs.at[i].name, h->outs.at[i].name);
        for (int64_t e = 0; e < type_count(t); e++)
            if (!close_numbers(x[i][e], y[i][e]))
                fail_msg("%s: output %s[%lld] is %.17g without and %.17g with", what, g->outs.at[i].name, (long long)e,
                         x[i][e], y[i][e]);
    }
}

static inline void run_passes(Graph *g, const char *only, const char *off) {
    passes_run(g, &(PassOptions){.level = 3, .only = only, .off = off, .verify_each = true, .out = stderr});
}

/* Gradients of g against difference quotients; g is used up. */
static inline void must_gradcheck(Graph *g, uint64_t seed, int samples, int64_t rows, const char *what) {
    Arena        *a = arena_new();
    GradCheckRow *row;
    int           n;
    RandomLeaves  leaves = {a, seed};
    InterpEnv     env = env_of(g, &leaves, rows);
    GradCheck     o = {.samples = samples, .seed = seed};
    gradcheck(g, &env, &o, a, &row, &n);
    for (int i = 0; i < n; i++)
        if (!(row[i].error <= GRADCHECK_GOAL))
            fail_msg("%s: d loss / d %s[%lld] is %.12g, the quotient %.12g (%.2g off)", what, row[i].key,
                     (long long)row[i].at, row[i].derived, row[i].quotient, row[i].error);
    arena_free(a);
}

#endif
