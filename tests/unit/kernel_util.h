/* For tests of kernels: a graph from text, compiled for this machine, run on random numbers, compared with the
 * interpreter; the same bits at 1, 2 and 3 threads. Memory that a run must not depend on is full of NaN.
 *
 * Leaves get numbers in (-1, 1) by their key; an i32 or u8 leaf whose key ends in _N gets integers below N. */
#ifndef NETC_TESTS_KERNEL_UTIL_H
#define NETC_TESTS_KERNEL_UTIL_H
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/target.h"
#include "codegen/codegen.h"
#include "passes/kernels.h"
#include "passes/pass.h"
#include "runtime/netc_rt.h"
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

/* ---- threads ----------------------------------------------------------------------------------------- */

typedef struct {
    netc_function    *fn;
    const netc_args  *args;
    uint32_t          tid, n;
} KtThread;

static inline void kt_barrier(void *pool) { pthread_barrier_wait(pool); }

static inline void *kt_thread(void *p) {
    KtThread *t = p;
    t->fn(t->args, t->tid, t->n);
    return NULL;
}

static inline void kt_call(netc_function *fn, netc_args *args, uint32_t n) {
    pthread_barrier_t barrier;
    pthread_t         thread[8];
    KtThread          t[8];
    pthread_barrier_init(&barrier, NULL, n);
    args->barrier = n > 1 ? kt_barrier : NULL;
    args->pool = &barrier;
    for (uint32_t i = 0; i < n; i++) t[i] = (KtThread){fn, args, i, n};
    for (uint32_t i = 1; i < n; i++) pthread_create(&thread[i], NULL, kt_thread, &t[i]);
    kt_thread(&t[0]);
    for (uint32_t i = 1; i < n; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
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

static inline Target kt_target(const KernelRun *r) {
    Target      t;
    const char *why = "";
    if (!target_select(&t, NULL, r->cpu, &why)) fail_msg("%s", why);
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

static inline void kt_execute(KtBuilt *b, uint32_t threads) {
    Arena   *a = b->r->a;
    Kernels *k = b->k;
    char    *block[9] = {0};
    for (int s = 0; s < 9; s++) block[s] = kt_memory(a, b->layout.used[s] * (s == SPACE_SCALAR ? 4 : 1), 0xFF);
    for (int i = 0; i < b->g->nodes.n; i++) {
        const Node *n = b->g->nodes.at[i];
        Place       p = k->place[n->id];
        if (n->op != OP_PARAM && n->op != OP_STATE && p.space != SPACE_SCALAR) continue;
        kt_write(n->type.dtype, block[p.space] + p.offset * (p.space == SPACE_SCALAR ? 4 : 1), kt_numbers(b->r, n), type_count(&n->type));
    }
    const void **in = ARENA_ARRAY(a, const void *, k->nin + 1);
    void       **out = ARENA_ARRAY(a, void *, k->nout + 1);
    for (int i = 0; i < k->nin; i++) {
        const Node *n = k->in[i];
        char         *p = kt_memory(a, kt_bytes(n), 0xFF);
        const double *v = kt_numbers(b->r, n);
        for (int64_t e = 0; e < type_count(&n->type); e++)
            if (kt_lives(b->r, b->g, &n->type, e)) kt_write(n->type.dtype, p + e * dtype_size(n->type.dtype), v + e, 1);
        in[i] = p;
    }
    for (int i = 0; i < k->nout; i++) out[i] = kt_memory(a, kt_bytes(k->out[i].value), 0xAB);
    netc_args args = {.in = in, .out = out, .weights = (float *)block[SPACE_WEIGHTS], .opt = (float *)block[SPACE_OPT],
                      .state = (float *)block[SPACE_STATE], .arena = kt_memory(a, k->arena_size, 0xFF),
                      .scalars = (float *)block[SPACE_SCALAR], .seed = b->r->seed, .step = b->r->step,
                      .bound = {0, 1}};
    for (int i = 1; i < b->g->bounds.n; i++) args.bound[i] = kt_bound(b->r, b->g, i);
    kt_call(b->fn, &args, threads);
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

/* Compiles and runs `g` (changed by that) and compares with the interpreter's values of `same`, an equal graph. */
static inline void kt_check_graph(KernelRun *r, Graph *g, Graph *same, const char *what) {
    Target      t = kt_target(r);
    const char *why = "";
    KtBuilt     b = {.r = r, .g = g};
    if (r->tolerance == 0) r->tolerance = 2e-6;
    InterpEnv env = {.leaf = kt_leaf, .cx = r, .seed = r->seed, .step = r->step, .bound = {0}};
    for (int i = 1; i < same->bounds.n; i++) env.bound[i] = kt_bound(r, same, i);

    double  **want = interp_run(r->a, same, &env);
    Codegen  *cg = codegen_new(r->a, &t, r->level, "test");
    kt_build(&b, cg);
    if (!codegen_jit(cg, &why)) fail_msg("%s: %s", what, why);
    b.fn = (netc_function *)codegen_function_address(cg, b.k->name);
    assert_non_null(b.fn);
    kt_execute(&b, 1);
    kt_compare(&b, same, want, what);
    kt_same_at_threads(&b, what);
    codegen_free(cg);
}

/* Compiled at one level for one processor, with bounds. */
static inline void kt_check_steps(const char *text, int level, const char *cpu, int64_t rows, int64_t steps, const char *off) {
    KernelRun r = {.a = arena_new(), .level = level, .cpu = cpu, .rows = rows, .steps = steps, .off = off, .seed = 5, .step = 7};
    Graph    *g = ir_good(r.a, text), *same = ir_good(r.a, text);
    Target    t = kt_target(&r);
    if (target_here(&t))
        kt_check_graph(&r, g, same, arena_printf(r.a, "-O%d %s rows %lld steps %lld off %s", level, t.name,
                                                    (long long)rows, (long long)steps, off ? off : ""));
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
