/* netc gradcheck: the derived gradients of the objective against difference quotients, both in the
 * interpreter's double precision, on random inputs of the declared types. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver/build.h"
#include "driver/commands.h"
#include "passes/gradcheck.h"

enum { SITE_INPUT = 0x696e70, ROWS = 3 };

typedef struct {
    Build   *b;
    uint64_t seed;
    Graph   *init;
    double **first;                /* values of init's outputs */
    int      ninput;
} Leaves;

static double normal(uint64_t seed, uint32_t site, int64_t i) {
    double u = rng_uniform(seed, site, 0, 2 * i), v = rng_uniform(seed, site, 0, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

/* Lengths of a ragged dim, from 1 to its size; NULL if `key` is none. */
static double *lengths(Leaves *l, const Node *leaf) {
    int            ndim;
    const DimInfo *dim = program_dims(l->b->program, &ndim);
    for (int i = 0; i < ndim; i++) {
        if (!dim[i].ragged || strcmp(dim[i].name, leaf->u.input.key)) continue;
        double *v = ARENA_ARRAY(l->b->arena, double, type_count(&leaf->type));
        for (int64_t k = 0; k < type_count(&leaf->type); k++)
            v[k] = 1 + floor(rng_uniform(l->seed, SITE_INPUT + 1000 + (uint32_t)i, 1, k) * (double)dim[i].size);
        return v;
    }
    return NULL;
}

/* Numbers of a data input: normal ones, elements of its dim, or lengths. */
static const double *input(Leaves *l, const Node *leaf) {
    int64_t         n = type_count(&leaf->type);
    double         *v = ARENA_ARRAY(l->b->arena, double, n);
    const FuncInfo *f = &l->b->model->objective;
    const PortInfo *port = NULL;
    int             k = 0;
    for (int i = 0; i < f->nlength; i++)
        if (!strcmp(f->length[i], leaf->u.input.key)) return lengths(l, leaf);
    for (int i = 0; i < f->nin; i++)
        if (!strcmp(f->in[i].name, leaf->u.input.key)) port = &f->in[k = i];
    for (int64_t i = 0; i < n; i++) {
        bool element = port && port->dim;
        v[i] = element ? floor(rng_uniform(l->seed, SITE_INPUT + (uint32_t)k, 1, i) * (double)port->dim_size)
                       : normal(l->seed, SITE_INPUT + (uint32_t)k, i);
    }
    return v;
}

static const double *scalar(Leaves *l, const char *key) {
    int              n;
    double          *v = ARENA_ARRAY(l->b->arena, double, 1);
    const HyperInfo *h = program_hypers(l->b->program, &n);
    for (int i = 0; i < n; i++)
        if (!strncmp(key, "hyper.", 6) && !strcmp(key + 6, h[i].name)) *v = h[i].value;
    return v;
}

static const double *leaf_numbers(void *cx, const Node *leaf) {
    Leaves *l = cx;
    if (leaf->op == OP_INPUT) return leaf->u.input.kind == IN_DATA ? input(l, leaf) : scalar(l, leaf->u.input.key);
    if (leaf->op == OP_PARAM)
        for (int i = 0; i < l->init->outs.n; i++)
            if (!strcmp(l->init->outs.at[i].name, leaf->u.param.key)) return l->first[i];
    return NULL;
}

static bool number_option(const Options *o, Option k, long low, long *v) {
    char *end;
    if (!o->value[k]) return true;
    *v = strtol(o->value[k], &end, 10);
    if (!*end && *v >= low && *v < 1 << 30) return true;
    fprintf(stderr, "netc: '%s' is not a whole number of at least %ld\n", o->value[k], low);
    return false;
}

static void print_rows(const GradCheckRow *row, int n) {
    double worst = 0;
    printf("%-28s %9s %10s %16s %16s\n", "parameter", "compared", "error", "derived", "quotient");
    for (int i = 0; i < n; i++) {
        printf("%-28s %9d %10.1e %16.9g %16.9g\n", row[i].key, row[i].compared, row[i].error, row[i].derived,
               row[i].quotient);
        worst = fmax(worst, row[i].error);
    }
    printf("worst relative error %.1e (goal %.0e)\n", worst, GRADCHECK_GOAL);
}

int cmd_gradcheck(Arena *a, const Options *o) {
    Build b;
    long  seed = 1, rows = ROWS;
    if (!number_option(o, OPT_SEED, 0, &seed) || !number_option(o, OPT_BATCH, 1, &rows)) return NETC_EXIT_USAGE;
    int code = build_load(&b, a, o);
    if (code) return code;
    b.batch = rows;
    code = build_start(&b);
    if (code) return code;
    Arena  *ga = arena_new();
    Leaves  l = {.b = &b, .seed = (uint64_t)seed, .init = program_init(b.program, ga)};
    Graph  *g = b.model->objective.name ? program_objective(b.program, true, b.batch, ga) : NULL;
    if (!g || !l.init) {
        code = build_messages(&b);
        if (!code) fprintf(stderr, "netc: model %s has no objective\n", b.model->name);
        arena_free(ga);
        return code ? code : NETC_EXIT_MODEL;
    }
    InterpEnv env = {.leaf = leaf_numbers, .cx = &l, .seed = l.seed};
    l.first = interp_run(ga, l.init, &env);
    GradCheck     how = {.seed = l.seed, .move = 0.1};
    GradCheckRow *row;
    int           n;
    bool          ok = gradcheck(g, &env, &how, ga, &row, &n);
    print_rows(row, n);
    arena_free(ga);
    build_free(&b);
    return ok ? 0 : NETC_EXIT_NUMERIC;
}
