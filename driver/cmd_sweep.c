/* netc sweep: a dim in the grid changes the code, so each combination of dims is compiled; the runtime
 * searches the hypers of each (runtime/sweep.h). */
#include <string.h>

#include "driver/commands.h"
#include "driver/commands_impl.h"

enum { MAX_MODELS = 256 };

/* Every combination of the dims that the train block's sweep names, as lists of settings. */
typedef struct {
    Arena *arena;
    int    ndim;
    const char *(*value)[MAX_RANK];     /* [combination][dim]: "K=5" */
    int    n;
} Grid;

static bool is_swept(const TrainInfo *t, const DimInfo *d) {
    for (int i = 0; i < t->nsweep; i++)
        if (!strcmp(t->sweep[i], d->name)) return d->ngrid > 0;
    return !t->nsweep && d->ngrid > 0;
}

/* The dims' values in the order of the file, the last changing fastest. False: too many. */
static bool make_grid(Arena *a, const Program *p, Grid *g) {
    int              ndim;
    const DimInfo   *d = program_dims(p, &ndim);
    const TrainInfo *t = program_train(p);
    *g = (Grid){.arena = a, .n = 1, .value = arena_alloc(a, sizeof *g->value * MAX_MODELS)};
    for (int i = 0; i < ndim && t; i++) {
        if (!is_swept(t, &d[i])) continue;
        if (g->ndim == MAX_RANK || g->n * d[i].ngrid > MAX_MODELS) return false;
        for (int k = g->n - 1; k >= 0; k--)                  /* from the back: each old row becomes ngrid rows */
            for (int v = d[i].ngrid - 1; v >= 0; v--) {
                const char **row = g->value[k * d[i].ngrid + v];
                memmove(row, g->value[k], sizeof *g->value);
                row[g->ndim] = arena_printf(a, "%s=%.0f", d[i].name, d[i].grid[v]);
            }
        g->ndim++;
        g->n *= d[i].ngrid;
    }
    return true;
}

static const char *row_text(const Grid *g, int k) {
    Buf b = buf_new(g->arena);
    for (int i = 0; i < g->ndim; i++) buf_printf(&b, "%s%s", i ? " " : "", g->value[k][i]);
    return g->ndim ? b.s : "";
}

int cmd_sweep(Arena *a, const Options *o) {
    static const char *const NAMES[] = {"train", "eval", "init", "expands", NULL};
    Build  first, *b;
    Grid   g;
    int    code = build_load(&first, a, o), made = 0;
    if (code) return code;
    if (!make_grid(a, first.program, &g)) {
        fprintf(stderr, "netc: the grid has more than %d combinations of dims\n", MAX_MODELS);
        return NETC_EXIT_LIMIT;
    }
    netc_model **m = ARENA_ARRAY(a, netc_model *, g.n);
    const char **dims = ARENA_ARRAY(a, const char *, g.n);
    b = ARENA_ARRAY(a, Build, g.n);
    for (; made < g.n && !code; made++) {
        dims[made] = row_text(&g, made);
        code = build_load_with(&b[made], a, o, g.ndim, g.value[made]);
        if (!code) code = build_start(&b[made]);
        if (!code) code = prepare(&b[made], NAMES, &m[made]);
    }
    if (!code) {
        Words argv = runtime_argv(&b[0], "sweep");
        code = netc_sweep_models(g.n, m, dims, argv.n, argv.at);
    }
    for (int i = 0; i < made; i++) {
        netc_model_free(m[i]);
        build_free(&b[i]);
    }
    return code;
}
