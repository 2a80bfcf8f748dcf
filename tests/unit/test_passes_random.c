/* Random graphs: no pass changes a value; gradients equal difference quotients, before and after the
 * passes. A failure names the seed; `test_passes_random SEED` runs that graph alone and prints it,
 * `test_passes_random FIRST LAST` runs a range. */
#include "base/str.h"
#include "tests/unit/passes_util.h"

enum { GRAPHS = 150 };

static uint64_t only_seed;              /* 0: all of first .. last */
static uint64_t first = 1, last = GRAPHS;

static const char *const NAMES[] = {
#define PASS(name, level, help) #name,
#include "passes/passes.def"
#undef PASS
};
enum { NPASSES = sizeof NAMES / sizeof *NAMES };

static Graph *graph_of(Arena *a, uint64_t seed) {
    Graph *g = random_graph(a, seed, 3 + (int)(seed % 8));
    if (only_seed) graph_print(g, stderr);
    return g;
}

static void valid(void **state) {
    (void)state;
    int ops[OP_COUNT] = {0}, kinds[KIND_COUNT] = {0};
    for (uint64_t seed = first; seed <= last; seed++) {
        Arena *a = arena_new();
        Graph *g = graph_of(a, seed);
        must_verify(g, arena_printf(a, "seed %llu", (unsigned long long)seed));
        double **y = values_of(a, g, seed, 1);
        for (int i = 0; i < g->outs.n; i++)
            if (!isfinite(y[i][0]))
                fail_msg("seed %llu: %s is %g", (unsigned long long)seed, g->outs.at[i].name, y[i][0]);
        for (int i = 0; i < g->nodes.n; i++) {
            ops[g->nodes.at[i]->op]++;
            if (g->nodes.at[i]->op == OP_COMP) kinds[g->nodes.at[i]->u.comp.kind]++;
        }
        arena_free(a);
    }
    bool all = first == 1 && last == GRAPHS;
    for (int i = 0; all && i < OP_COUNT; i++)
        if (!ops[i] && i != OP_ARG && i != OP_SCAN && i != OP_RESULT)         /* test_passes_scan.c */
            fail_msg("no %s in %d graphs", OPS[i].text, GRAPHS);
    for (int i = 0; all && i < KIND_COUNT; i++)
        if (!kinds[i]) fail_msg("no %s in %d graphs", KIND_TEXT[i], GRAPHS);
}

/* Without any pass, with all, with each one off, and a random list. */
static void compare(uint64_t seed, bool grads) {
    for (int p = -2; p < NPASSES; p++) {
        Arena *a = arena_new();
        Graph *plain = random_graph(a, seed, 3 + (int)(seed % 8)), *g = random_graph(a, seed, 3 + (int)(seed % 8));
        if (grads) {
            grad_params(plain);
            grad_params(g);
        }
        const char *only = NULL;
        uint64_t    s = seed;
        for (int i = 0; p == -2 && i < 6; i++)
            only = arena_printf(a, "%s%s%s", only ? only : "", only ? "," : "", NAMES[random_int(&s, 0, NPASSES - 1)]);
        run_passes(g, only, p >= 0 ? NAMES[p] : NULL);
        const char *what = arena_printf(a, "seed %llu, passes %s without %s", (unsigned long long)seed,
                                        only ? only : "all", p >= 0 ? NAMES[p] : "none");
        if (only_seed) graph_print(g, stderr);
        same_values(a, plain, g, seed, (int64_t)(seed % 2), what);
        arena_free(a);
    }
}

static void passes_keep_values(void **state) {
    (void)state;
    for (uint64_t seed = first; seed <= last; seed++) {
        compare(seed, false);
        compare(seed, true);
    }
}

static void gradients(void **state) {
    (void)state;
    for (uint64_t seed = first; seed <= last; seed++) {
        Arena *a = arena_new();
        Graph *g = random_graph(a, seed, 3 + (int)(seed % 8));
        must_gradcheck(g, seed, 3, (int64_t)(seed % 2), arena_printf(a, "seed %llu", (unsigned long long)seed));
        arena_free(a);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) first = last = strtoull(argv[1], NULL, 10);
    if (argc > 2) last = strtoull(argv[2], NULL, 10);
    if (argc == 2) only_seed = first;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid), cmocka_unit_test(passes_keep_values), cmocka_unit_test(gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
