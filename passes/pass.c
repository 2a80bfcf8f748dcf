/* The runner: which passes, in which order, and everything around them. */
#include "passes/pass.h"

#include <string.h>
#include <time.h>

typedef struct {
    const char *name, *help;
    int         level;
    bool      (*run)(Graph *, PassCx *);
} Pass;

static const Pass PASSES[] = {
#define PASS(name, level, help) {#name, help, level, pass_##name},
#include "passes/passes.def"
#undef PASS
};
enum { NPASSES = sizeof PASSES / sizeof *PASSES };

static bool is_name(const char *list, size_t n, const char *name) {
    return strlen(name) == n && !memcmp(list, name, n);
}

/* `name` is one of a comma-separated list (NULL: empty). */
static bool listed(const char *list, const char *name) {
    while (list && *list) {
        size_t n = strcspn(list, ",");
        if (is_name(list, n, name)) return true;
        list += n + (list[n] == ',');
    }
    return false;
}

static const Pass *find(const char *name, size_t n) {
    for (int i = 0; i < NPASSES; i++)
        if (is_name(name, n, PASSES[i].name)) return &PASSES[i];
    return NULL;
}

const char *pass_name(int i) { return i < NPASSES ? PASSES[i].name : NULL; }

void passes_list(FILE *out) {
    for (const Pass *p = PASSES; p < PASSES + NPASSES; p++)
        fprintf(out, "  %-14s -O%d  %s\n", p->name, p->level, p->help);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(Graph *g, const char *when) {
    const char *why;
    if (!graph_verify(g, &why)) ICE("graph %s %s: %s", g->name, when, why);
}

/* On the bodies of scans first. */
static bool run_all(Graph *g, const Pass *p, PassCx *cx) {
    bool changed = false;
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN) changed |= run_all(g->nodes.at[i]->u.scan.body, p, cx);
    return p->run(g, cx) || changed;
}

static void run(Graph *g, const Pass *p, const PassOptions *o) {
    FILE  *out = o->out ? o->out : stdout;
    PassCx cx = {.scratch = arena_new()};
    int    before = g->nodes.n;
    double start = seconds();
    run_all(g, p, &cx);
    double took = seconds() - start;
    arena_free(cx.scratch);
    if (o->verify_each) check(g, arena_printf(g->arena, "after %s", p->name));
    if (o->time_report)
        fprintf(out, "%-14s %-14s %8.3f ms  %d -> %d nodes\n", g->name, p->name, 1e3 * took, before, g->nodes.n);
    if (o->print_after && (!strcmp(o->print_after, "all") || listed(o->print_after, p->name))) {
        fprintf(out, "# after %s\n", p->name);
        graph_print(g, out);
    }
    if (o->dot_after && !strcmp(o->dot_after, p->name)) graph_dot(g, stdout);
}

/* One-hot sums become lookups before their gradients are made, padding that is none loses its guards, and
 * activations move behind pools. */
void passes_prepare(Graph *g, const PassOptions *o) {
    static const char *const PREPARE[] = {"fold", "cse", "max_first", "dce"};
    for (size_t i = 0; i < sizeof PREPARE / sizeof *PREPARE; i++) {
        const Pass *p = find(PREPARE[i], strlen(PREPARE[i]));
        if (p->level <= o->level && !listed(o->off, p->name)) run(g, p, o);
    }
}

void passes_run(Graph *g, const PassOptions *o) {
    if (o->verify_each) check(g, "before the passes");
    if (!o->only) {
        for (int i = 0; i < NPASSES; i++)
            if (PASSES[i].level <= o->level && !listed(o->off, PASSES[i].name)) run(g, &PASSES[i], o);
        return;
    }
    for (const char *list = o->only; *list;) {
        size_t      n = strcspn(list, ",");
        const Pass *p = find(list, n);
        if (!p) ICE("there is no pass %.*s", (int)n, list);
        run(g, p, o);
        list += n + (list[n] == ',');
    }
}
