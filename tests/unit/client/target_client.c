/* Runs functions of compiled models on the numbers of files (target_file.h): target_client FILE... compares what comes
 * out with what the file says, and the bits of runs with one, two and three threads. Knows nothing of netc but its
 * ABI, so that it can be built for any machine; kernel_util.h writes the files. jobs.def names the tables of functions:
 * JOB(x) for x_functions. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/client/call_threads.h"
#include "tests/unit/client/target_file.h"

#define JOB(table) extern const netc_function_entry table##_functions[];
#include "jobs.def"
#undef JOB

static const struct { const char *name; const netc_function_entry *entry; } TABLES[] = {
#define JOB(table) {#table, table##_functions},
#include "jobs.def"
#undef JOB
};
enum { NTABLES = sizeof TABLES / sizeof *TABLES, SLACK = 64, THREADS = 3 };

static netc_function *find(const char *table, const char *name) {
    for (int i = 0; i < NTABLES; i++)
        for (const netc_function_entry *e = TABLES[i].entry; e->name && !strcmp(TABLES[i].name, table); e++)
            if (!strcmp(e->name, name)) return e->fn;
    return NULL;
}

/* ---- files ----------------------------------------------------------------------------------------- */

/* SLACK bytes may be read behind every block. */
static void *block(int64_t size) {
    char *p = aligned_alloc(64, (size_t)((size + SLACK + 63) / 64 * 64));
    if (!p) exit(3);
    memset(p, 0xFF, (size_t)size + SLACK);
    return p;
}

static void load(FILE *f, void *p, int64_t size) {
    if (fread(p, 1, (size_t)size, f) != (size_t)size) exit(4);
}

static void *load_block(FILE *f, int64_t size) {
    void *p = block(size);
    load(f, p, size);
    return p;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

/* The blocks as a run leaves them; f is behind the inputs then. */
static void **run(FILE *f, TargetFile *h, uint32_t threads) {
    rewind(f);
    load(f, h, sizeof *h);
    int64_t *size = load_block(f, (h->nin + h->nout) * (int64_t)sizeof *size);
    void   **b = calloc((size_t)(TARGET_OUTPUTS + h->nout), sizeof *b);
    b[0] = load_block(f, h->weights), b[1] = load_block(f, h->opt), b[2] = load_block(f, h->state);
    void        *scalars = load_block(f, h->scalars), *arena = block(h->arena);
    const void **in = block(h->nin * (int64_t)sizeof *in);
    for (int64_t i = 0; i < h->nin; i++) in[i] = load_block(f, size[i]);
    for (int64_t i = 0; i < h->nout; i++) b[TARGET_OUTPUTS + i] = block(size[h->nin + i]);
    netc_args args = {.in = in, .out = b + TARGET_OUTPUTS, .weights = b[0], .opt = b[1], .state = b[2], .arena = arena,
                      .scalars = scalars, .seed = h->seed, .step = h->step};
    memcpy(args.bound, h->bound, sizeof args.bound);
    netc_function *fn = find(h->table, h->name);
    if (!fn) exit(6);
    call_threads(fn, &args, threads);
    for (int64_t i = 0; i < h->nin; i++) free((void *)in[i]);
    free(in), free(arena), free(scalars), free(size);
    return b;
}

static void free_blocks(const TargetFile *h, void **b) {
    for (int64_t i = 0; i < TARGET_OUTPUTS + h->nout; i++) free(b[i]);
    free(b);
}

/* ---- comparisons ----------------------------------------------------------------------------------- */

static double number(const char *p, int64_t type, int64_t i) {
    if (type == TARGET_F32) return ((const float *)p)[i];
    if (type == TARGET_I32) return ((const int32_t *)p)[i];
    return ((const uint8_t *)p)[i];
}

static bool allowed(TargetNumber want, double got) {
    if (want.error == INFINITY && !isfinite(want.value) == !isfinite(got)) return true;
    if (isnan(want.value)) return isnan(got);
    return want.value == got || fabs(got - want.value) <= want.error;
}

/* One output of the runs with 1, 2 .. threads. */
static bool check(const char *job, const TargetCheck *c, const TargetNumber *want, void **const *b) {
    int64_t     size = c->type == TARGET_U8 ? 1 : 4;
    const char *one = (const char *)b[0][c->block] + c->offset;
    for (int64_t i = 0; i < c->count; i++) {
        if (want[i].error < 0) continue;
        double got = number(one, c->type, i);
        if (!allowed(want[i], got)) {
            printf("%s: %s[%lld] is %.9g, the interpreter's %.9g +- %.2g\n", job, c->name, (long long)i, got,
                   want[i].value, want[i].error);
            return false;
        }
        for (int t = 1; t < THREADS; t++)
            if (memcmp(one + i * size, (const char *)b[t][c->block] + c->offset + i * size, (size_t)size)) {
                printf("%s: %s[%lld] differs between 1 and %d threads\n", job, c->name, (long long)i, t + 1);
                return false;
            }
    }
    return true;
}

static long long compared;

static bool do_job(const char *path) {
    TargetFile h;
    bool       good = true;
    void     **b[THREADS];
    FILE      *f = fopen(path, "rb");
    if (!f) exit(2);
    for (int t = 0; t < THREADS; t++) b[t] = run(f, &h, (uint32_t)t + 1);
    for (int64_t i = 0; i < h.nchecks; i++) {
        TargetCheck c;
        load(f, &c, sizeof c);
        TargetNumber *want = load_block(f, c.count * (int64_t)sizeof *want);
        good &= check(path, &c, want, b);
        compared += c.count;
        free(want);
    }
    for (int t = 0; t < THREADS; t++) free_blocks(&h, b[t]);
    fclose(f);
    return good;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = 1; i < argc; i++) failed += !do_job(argv[i]);
    printf("%d jobs, %lld numbers compared, %d jobs failed\n", argc - 1, compared, failed);
    return failed || argc < 2;
}
