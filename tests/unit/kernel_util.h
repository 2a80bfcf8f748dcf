/* For tests of kernels: a graph from text, compiled for this machine, run on random numbers, compared with the
 * interpreter; the same bits at 1, 2 and 3 threads. Memory that a run must not depend on is full of NaN.
 *
 * Leaves get numbers in (-1, 1) by their key; an i32 or u8 leaf whose key ends in _N gets integers below N.
 *
 * With NETC_EXPORT=FOLDER and NETC_EXPORT_CPU=NAME in the environment kernels are not run but written there, those for
 * that target alone, with what must come out (client/target_file.h): tests/cross.sh runs them on another machine. */
#ifndef NETC_TESTS_KERNEL_UTIL_H
#define NETC_TESTS_KERNEL_UTIL_H
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/target.h"
#include "codegen/codegen.h"
#include "passes/kernels.h"
#include "passes/pass.h"
#include "runtime/netc_rt.h"
#include "tests/unit/client/call_threads.h"
#include "tests/unit/client/target_file.h"
#include "tests/unit/ir_util.h"

enum { KT_BLOCK = 1 << 24, KT_SLACK = 64 };

typedef struct {
    Arena   *a;
    int      level;
    const char *off;            /* fusions that are off */
    bool     eager;             /* see KernelOptions */
    int      threads;           /* the same */
    const char *cpu;            /* -mcpu, NULL: this machine's best */
    int64_t  rows, steps;       /* the bounds: rows, and all others; 0: all */
    uint64_t seed, step;
    double   tolerance;
    int      l1, l2;            /* bytes of cache that schedules count on; 0: the target's */
    const double *(*leaf)(void *cx, const Node *n);    /* cx: the run; NULL: kt_leaf */
    ForcedSchedules *forced;    /* NULL: none */
} KernelRun;

/* ---- leaves ---------------------------------------------------------------------------------------- */

static inline const char *kt_key(const Node *n) {
    return n->op == OP_INPUT ? n->u.input.key : n->op == OP_PARAM ? n->u.param.key : n->u.state.key;
}

static inline const double *kt_leaf(void *cx, const Node *n) {
    KernelRun  *r = cx;
    const char *key = kt_key(n), *limit = strrchr(key, '_');
    int64_t     count = type_count(&n->type);
    double     *v = ARENA_ARRAY(r->a, double, count);
    uint64_t    x = 88172645463325252u;
    for (const char *p = key; *p; p++) x = (x ^ (uint64_t)*p) * 0x9E3779B97F4A7C15u;
    for (int64_t i = 0; i < count; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        v[i] = n->type.dtype == DT_F32 ? (double)(float)((double)(x >> 40) / (1 << 23) - 1)
                                       : (double)(x % (uint64_t)(limit ? atoi(limit + 1) : 2));
    }
    return v;
}

static inline const double *kt_numbers(KernelRun *r, const Node *n) { return (r->leaf ? r->leaf : kt_leaf)(r, n); }

static inline void kt_write(DType d, char *to, const double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (d == DT_F32) ((float *)to)[i] = (float)v[i];
        else if (d == DT_I32) ((int32_t *)to)[i] = (int32_t)v[i];
        else ((uint8_t *)to)[i] = (uint8_t)v[i];
    }
}

static inline double kt_read(DType d, const char *from, int64_t i) {
    if (d == DT_F32) return ((const float *)from)[i];
    if (d == DT_I32) return ((const int32_t *)from)[i];
    return ((const uint8_t *)from)[i];
}

/* ---- the caller's memory ----------------------------------------------------------------------------- */

typedef struct {
    const char *key;
    Space       space;
    int64_t     offset, size;
} KtSlot;

typedef struct {
    VEC(KtSlot) slots;
    int64_t     used[9];
    Arena      *a;
} KtLayout;

static inline Place kt_place(void *cx, const Node *leaf) {
    KtLayout *l = cx;
    Space     space = leaf->op == OP_INPUT ? SPACE_SCALAR : leaf->op == OP_PARAM ? SPACE_WEIGHTS
                    : leaf->u.state.kind == STATE_OPT ? SPACE_OPT : SPACE_STATE;
    for (int i = 0; i < l->slots.n; i++)
        if (!strcmp(l->slots.at[i].key, kt_key(leaf)) && l->slots.at[i].space == space)
            return (Place){.space = space, .offset = l->slots.at[i].offset};
    int64_t size = space == SPACE_SCALAR ? 1 : (type_count(&leaf->type) * dtype_size(leaf->type.dtype) + 63) / 64 * 64;
    vec_push(l->a, &l->slots, ((KtSlot){kt_key(leaf), space, l->used[space], size}));
    l->used[space] += size;
    return (Place){.space = space, .offset = l->slots.at[l->slots.n - 1].offset};
}

/* The kernels of a graph for a target; off: one pass that is left out, or NULL. */
static inline Kernels *kt_kernels_at(Arena *a, const char *text, const Target *t, int level, const char *off) {
    KtLayout     *l = ARENA_NEW(a, KtLayout);
    KernelOptions o = {.level = level, .off = off, .place = kt_place, .cx = l};
    const char   *why;
    l->a = a;
    Kernels *k = kernels_build(a, ir_good(a, text), t, &o);
    if (!kernels_check_plan(k, a, &why)) fail_msg("%s", why);
    return k;
}

static inline Kernels *kt_kernels(Arena *a, const char *text, const Target *t, const char *off) {
    return kt_kernels_at(a, text, t, 2, off);
}

static inline char *kt_memory(Arena *a, int64_t size, int paint) {
    char *p = (char *)(((uintptr_t)arena_alloc(a, (size_t)size + 64 + KT_SLACK) + 63) & ~(uintptr_t)63);
    memset(p, paint, (size_t)size + KT_SLACK);
    return p;
}

/* ---- a run ------------------------------------------------------------------------------------------- */

typedef struct {
    KernelRun     *r;
    Graph         *g;
    Kernels       *k;
    KtLayout       layout;
    netc_function *fn;
    char         **out;         /* by index of g->outs: its numbers after the run */
} KtBuilt;

static inline int64_t kt_bound(const KernelRun *r, const Graph *g, int i) {
    int64_t some = i == 1 ? r->rows : r->steps;
    return some && some < g->bounds.at[i].size ? some : g->bounds.at[i].size;
}

/* Is element e of a value below all bounds? */
static inline bool kt_lives(const KernelRun *r, const Graph *g, const Type *t, int64_t e) {
    for (int d = t->rank - 1; d >= 0; e /= t->dim[d].size, d--)
        if (t->dim[d].bound && e % t->dim[d].size >= kt_bound(r, g, t->dim[d].bound)) return false;
    return true;
}

static inline int64_t kt_bytes(const Node *n) { return type_count(&n->type) * dtype_size(n->type.dtype); }

/* The row of that name, of any architecture. */
static inline bool kt_row(Target *t, const char *name) {
    for (int id = 0; id < TARGET_COUNT; id++) {
        target_row(t, (TargetId)id);
        if (!strcmp(t->name, name)) return true;
    }
    return false;
}

static inline Target kt_target(const KernelRun *r) {
    Target      t;
    const char *why = "", *cpu = r->cpu ? r->cpu : getenv("NETC_EXPORT_CPU");
    if (!(cpu && kt_row(&t, cpu)) && !target_select(&t, NULL, cpu, &why)) fail_msg("%s", why);
    if (r->l1) t.l1 = r->l1;
    if (r->l2) t.l2 = r->l2;
    return t;
}

static inline void kt_build(KtBuilt *b, Codegen *cg) {
    KernelOptions o = {.level = b->r->level, .off = b->r->off, .place = kt_place, .cx = &b->layout,
                       .forced = b->r->forced, .eager = b->r->eager, .threads = b->r->threads};
    Target        t = kt_target(b->r);
    const char   *why;
    b->layout.a = b->r->a;
    b->k = kernels_build(b->r->a, b->g, &t, &o);
    if (!kernels_check_plan(b->k, b->r->a, &why)) fail_msg("%s", why);
    codegen_function(cg, b->k);
}

static inline int64_t kt_block_bytes(const KtBuilt *b, int space) {
    return b->layout.used[space] * (space == SPACE_SCALAR ? 4 : 1);
}

/* The leaves that lie in a space. */
static inline char *kt_block(const KtBuilt *b, int space) {
    char *p = kt_memory(b->r->a, kt_block_bytes(b, space), 0xFF);
    for (int i = 0; i < b->g->nodes.n; i++) {
        const Node *n = b->g->nodes.at[i];
        Place       at = b->k->place[n->id];
        if ((int)at.space != space || (n->op != OP_PARAM && n->op != OP_STATE && space != SPACE_SCALAR)) continue;
        kt_write(n->type.dtype, p + at.offset * (space == SPACE_SCALAR ? 4 : 1), kt_numbers(b->r, n), type_count(&n->type));
    }
    return p;
}

/* A data input, below the bounds. */
static inline char *kt_input(const KtBuilt *b, const Node *n) {
    char         *p = kt_memory(b->r->a, kt_bytes(n), 0xFF);
    const double *v = kt_numbers(b->r, n);
    for (int64_t e = 0; e < type_count(&n->type); e++)
        if (kt_lives(b->r, b->g, &n->type, e)) kt_write(n->type.dtype, p + e * dtype_size(n->type.dtype), v + e, 1);
    return p;
}

static inline void kt_execute(KtBuilt *b, uint32_t threads) {
    Arena   *a = b->r->a;
    Kernels *k = b->k;
    char    *block[9] = {0};
    for (int s = 0; s < 9; s++) block[s] = kt_block(b, s);
    const void **in = ARENA_ARRAY(a, const void *, k->nin + 1);
    void       **out = ARENA_ARRAY(a, void *, k->nout + 1);
    for (int i = 0; i < k->nin; i++) in[i] = kt_input(b, k->in[i]);
    for (int i = 0; i < k->nout; i++) out[i] = kt_memory(a, kt_bytes(k->out[i].value), 0xAB);
    netc_args args = {.in = in, .out = out, .weights = (float *)block[SPACE_WEIGHTS], .opt = (float *)block[SPACE_OPT],
                      .state = (float *)block[SPACE_STATE], .arena = kt_memory(a, k->arena_size, 0xFF),
                      .scalars = (float *)block[SPACE_SCALAR], .seed = b->r->seed, .step = b->r->step,
                      .bound = {0, 1}};
    for (int i = 1; i < b->g->bounds.n; i++) args.bound[i] = kt_bound(b->r, b->g, i);
    call_threads(b->fn, &args, threads);
    b->out = ARENA_ARRAY(a, char *, b->g->outs.n);
    for (int i = 0, v = 0; i < b->g->outs.n; i++) {
        const Output *o = &b->g->outs.at[i];
        if (o->kind == OUT_VALUE) b->out[i] = out[v++];
        else b->out[i] = block[k->place[o->target->id].space] + k->place[o->target->id].offset;
        if (o->kind != OUT_VALUE) continue;
        for (int q = 0; q < KT_SLACK; q++)
            if (b->out[i][kt_bytes(o->value) + q] != (char)0xAB) fail_msg("output %s: written past its end", o->name);
    }
}

static inline void kt_compare(const KtBuilt *b, const Graph *want_graph, double **want, const char *what) {
    for (int i = 0; i < b->g->outs.n; i++) {
        const Output *o = &b->g->outs.at[i];
        const Type   *t = &want_graph->outs.at[i].value->type;
        int64_t       n = type_count(t);
        double        scale = 0;
        for (int64_t j = 0; j < n; j++)
            if (fabs(want[i][j]) > scale && isfinite(want[i][j])) scale = fabs(want[i][j]);
        for (int64_t j = 0; j < n; j++) {
            double got = kt_read(o->value->type.dtype, b->out[i], j);
            if (got == want[i][j] || (isnan(got) && isnan(want[i][j])) || !kt_lives(b->r, want_graph, t, j)) continue;
            if (!(fabs(got - want[i][j]) <= b->r->tolerance * (scale + 1e-6))) {
                kernels_print(b->k, stderr);
                fail_msg("%s: %s[%lld] = %.9g, not %.9g (scale %g)", what, o->name, (long long)j, got, want[i][j], scale);
            }
        }
    }
}

/* After a run of one thread: two and three give the same bits. */
static inline void kt_same_at_threads(KtBuilt *b, const char *what) {
    char **first = b->out;
    for (uint32_t threads = 2; threads <= 3; threads++) {
        kt_execute(b, threads);
        for (int i = 0; i < b->g->outs.n; i++) {
            const Type *t = &b->g->outs.at[i].value->type;
            int64_t     size = dtype_size(t->dtype);
            for (int64_t e = 0; e < type_count(t); e++)
                if (kt_lives(b->r, b->g, t, e) && memcmp(first[i] + e * size, b->out[i] + e * size, (size_t)size))
                    fail_msg("%s: %s differs between 1 and %u threads", what, b->g->outs.at[i].name, threads);
        }
    }
}

/* ---- on another machine ---------------------------------------------------------------------------- */

/* want: of each output of the graph. */
static inline void kt_put_checks(FILE *f, const KtBuilt *b, TargetNumber *const *want) {
    for (int i = 0, v = 0; i < b->g->outs.n; i++) {
        const Output *o = &b->g->outs.at[i];
        const Type   *t = &o->value->type;
        TargetCheck   c = {.type = t->dtype == DT_F32 ? TARGET_F32 : t->dtype == DT_I32 ? TARGET_I32 : TARGET_U8,
                           .count = type_count(t)};
        snprintf(c.name, sizeof c.name, "%s", o->name);
        if (o->kind == OUT_VALUE) {
            c.block = TARGET_OUTPUTS + v++;
        } else {
            Place at = b->k->place[o->target->id];
            c.block = at.space == SPACE_WEIGHTS ? 0 : at.space == SPACE_OPT ? 1 : 2;
            c.offset = at.offset;
        }
        fwrite(&c, sizeof c, 1, f);
        fwrite(want[i], sizeof **want, (size_t)c.count, f);
    }
}

/* The job of a kernel for client/target_client.c, its function in that table. */
static inline void kt_write_job(const KtBuilt *b, TargetNumber *const *want, const char *table, const char *path) {
    const Kernels *k = b->k;
    const int64_t *used = b->layout.used;
    FILE          *f = fopen(path, "wb");
    if (!f) fail_msg("%s: %s", path, strerror(errno));
    TargetFile h = {.nin = k->nin, .nout = k->nout, .nchecks = b->g->outs.n, .weights = used[SPACE_WEIGHTS],
                    .opt = used[SPACE_OPT], .state = used[SPACE_STATE], .scalars = 4 * used[SPACE_SCALAR],
                    .arena = k->arena_size, .seed = b->r->seed, .step = b->r->step, .bound = {0, 1}};
    snprintf(h.table, sizeof h.table, "%s", table);
    snprintf(h.name, sizeof h.name, "%s", k->name);
    for (int i = 1; i < b->g->bounds.n; i++) h.bound[i] = kt_bound(b->r, b->g, i);
    fwrite(&h, sizeof h, 1, f);
    for (int i = 0; i < k->nin; i++) fwrite(&(int64_t){kt_bytes(k->in[i])}, sizeof(int64_t), 1, f);
    for (int i = 0; i < k->nout; i++) fwrite(&(int64_t){kt_bytes(k->out[i].value)}, sizeof(int64_t), 1, f);
    static const Space BLOCKS[] = {SPACE_WEIGHTS, SPACE_OPT, SPACE_STATE, SPACE_SCALAR};
    for (int i = 0; i < 4; i++) fwrite(kt_block(b, BLOCKS[i]), 1, (size_t)kt_block_bytes(b, BLOCKS[i]), f);
    for (int i = 0; i < k->nin; i++) fwrite(kt_input(b, k->in[i]), 1, (size_t)kt_bytes(k->in[i]), f);
    kt_put_checks(f, b, want);
    assert_int_equal(fclose(f), 0);
}

/* What kt_compare allows. */
static inline TargetNumber **kt_wanted(const KtBuilt *b, const Graph *g, double **want) {
    TargetNumber **w = ARENA_ARRAY(b->r->a, TargetNumber *, g->outs.n);
    for (int i = 0; i < g->outs.n; i++) {
        const Type *t = &g->outs.at[i].value->type;
        double      scale = 0;
        for (int64_t e = 0; e < type_count(t); e++)
            if (fabs(want[i][e]) > scale && isfinite(want[i][e])) scale = fabs(want[i][e]);
        w[i] = ARENA_ARRAY(b->r->a, TargetNumber, type_count(t));
        for (int64_t e = 0; e < type_count(t); e++)
            w[i][e] = (TargetNumber){want[i][e], kt_lives(b->r, g, t, e) ? b->r->tolerance * (scale + 1e-6) : -1};
    }
    return w;
}

/* Object, job and a line of jobs.def in the folder `to`. */
static inline void kt_export(KtBuilt *b, const Graph *same, double **want, const char *to, const char *what) {
    static int  count;
    Arena      *a = b->r->a;
    const char *why = "", *name = arena_printf(a, "%s_%d", program_invocation_short_name, ++count);
    Target      t = kt_target(b->r);
    Codegen    *cg = codegen_new(a, &t, b->r->level, name);
    kt_build(b, cg);
    codegen_function_table(cg, arena_printf(a, "%s_functions", name));
    if (!codegen_object(cg, arena_printf(a, "%s/%s.o", to, name), &why)) fail_msg("%s: %s", what, why);
    codegen_free(cg);
    kt_write_job(b, kt_wanted(b, same, want), name, arena_printf(a, "%s/%s.job", to, name));
    FILE *f = fopen(arena_printf(a, "%s/jobs.def", to), "a");
    assert_non_null(f);
    fprintf(f, "JOB(%s)     /* %s */\n", name, what);
    assert_int_equal(fclose(f), 0);
}

/* ---- checks ---------------------------------------------------------------------------------------- */

/* Compiles and runs `g` (changed by that) and compares with the interpreter's values of `same`, an equal graph. False
 * if that is not for this machine. */
static inline bool kt_check_graph(KernelRun *r, Graph *g, Graph *same, const char *what) {
    const char *why = "", *to = getenv("NETC_EXPORT"), *cpu = getenv("NETC_EXPORT_CPU");
    KtBuilt     b = {.r = r, .g = g};
    Target      t = kt_target(r);
    if (to ? strcmp(t.name, cpu) != 0 : !target_here(&t)) return false;
    if (r->tolerance == 0) r->tolerance = 2e-6;
    InterpEnv env = {.leaf = kt_leaf, .cx = r, .seed = r->seed, .step = r->step, .bound = {0}};
    for (int i = 1; i < same->bounds.n; i++) env.bound[i] = kt_bound(r, same, i);

    double **want = interp_run(r->a, same, &env);
    if (to) {
        kt_export(&b, same, want, to, what);
        return true;
    }
    Codegen *cg = codegen_new(r->a, &t, r->level, "test");
    kt_build(&b, cg);
    if (!codegen_jit(cg, &why)) fail_msg("%s: %s", what, why);
    b.fn = (netc_function *)codegen_function_address(cg, b.k->name);
    assert_non_null(b.fn);
    kt_execute(&b, 1);
    kt_compare(&b, same, want, what);
    kt_same_at_threads(&b, what);
    codegen_free(cg);
    return true;
}

/* Compiled at one level for one processor, with bounds. */
static inline void kt_check_steps(const char *text, int level, const char *cpu, int64_t rows, int64_t steps, const char *off) {
    KernelRun r = {.a = arena_new(), .level = level, .cpu = cpu, .rows = rows, .steps = steps, .off = off, .seed = 5, .step = 7};
    Graph    *g = ir_good(r.a, text), *same = ir_good(r.a, text);
    Target    t = kt_target(&r);
    kt_check_graph(&r, g, same, arena_printf(r.a, "-O%d %s rows %lld steps %lld off %s", level, t.name, (long long)rows,
                                             (long long)steps, off ? off : ""));
    arena_free(r.a);
}

static inline void kt_check_as(const char *text, int level, const char *cpu, int64_t rows, const char *off) {
    kt_check_steps(text, level, cpu, rows, 0, off);
}

/* The text as plain loops, fused, scheduled for three widths of vectors; with fewer rows than there is room for. */
static inline void kt_check(const char *text, int64_t rows) {
    kt_check_as(text, 0, NULL, rows, NULL);
    kt_check_as(text, 1, NULL, 0, NULL);
    kt_check_as(text, 2, NULL, 0, NULL);
    kt_check_as(text, 2, NULL, rows, NULL);
    kt_check_as(text, 2, "haswell", 0, NULL);
    kt_check_as(text, 2, "x86-64", rows, NULL);
}

#endif
