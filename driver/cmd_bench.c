/* netc bench: how fast a model trains and answers on this machine, as a share of what the machine can do.
 *
 * Compiles the training step (without a train block: sgd(0.01)) and the objective without training, gives them
 * random inputs of the declared types, sequences as long as they may be, and times calls as the trainer makes them.
 * --kernels: the step again, nest by nest, each a function of its own, so that every nest finds the memory and caches
 * as in a real step. Nests of a chain stay together, and each is timed in every turn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver/build.h"
#include "driver/commands.h"
#include "driver/measure.h"
#include "driver/peak.h"
#include "driver/work.h"
#include "runtime/trainer.h"

enum { LEAST_CALLS = 9, WARM_UP = 3, SITE_INPUT = 0x696e70, SEED = 1 };
/* Peaks before and after that differ by more mean that the machine did not hold still. */
static const double PEAK_TOLERANCE = 0.05;

/* What the command line asks for. */
typedef struct {
    const Options *options;
    long           threads;     /* 0: one per CPU */
    double         seconds;     /* of each measurement */
    bool           kernels, json;
} Request;

/* A model ready to run. */
typedef struct {
    Build       build;
    netc_model *model;
    netc_engine engine;
    netc_blocks blocks;
    netc_call   train, eval;    /* eval: {0} with --kernels */
    netc_time   time;
} Bench;

typedef struct {
    Timing  step, infer;
    int64_t macs;               /* forward multiply-adds of a batch */
    double  compile, compile_all;       /* seconds from the file to the machine code of a step, of everything */
    Peak    peak;
} Figures;

/* ---- the command line -------------------------------------------------------------------------------- */

static bool read_threads(const char *text, long *v) {
    char *end;
    *v = strtol(text, &end, 10);
    if (*text && !*end && *v >= 1 && *v < 1 << 24) return true;
    fprintf(stderr, "netc: --threads takes a whole number of at least 1, not '%s'\n", text);
    return false;
}

static bool read_request(const Options *o, Request *r) {
    const char *seconds = o->value[OPT_SECONDS];
    *r = (Request){.options = o, .seconds = 1, .kernels = o->value[OPT_KERNELS], .json = o->value[OPT_JSON]};
    if (o->value[OPT_THREADS] && !read_threads(o->value[OPT_THREADS], &r->threads)) return false;
    char *end = NULL;
    if (seconds) r->seconds = strtod(seconds, &end);
    if (!seconds || (*seconds && !*end && r->seconds > 0 && r->seconds < 1e6)) return true;
    fprintf(stderr, "netc: --seconds takes a positive number, not '%s'\n", seconds);
    return false;
}

/* ---- compiling --------------------------------------------------------------------------------------- */

/* Loads the model and chooses the target, which must be this machine's. An exit code. */
static int start(Bench *b, Arena *a, const Request *r) {
    memset(b, 0, sizeof *b);
    int code = build_load(&b->build, a, r->options);
    if (!code) code = build_start(&b->build);
    if (code) return code;
    if (!b->build.model->objective.name) {
        fprintf(stderr, "netc: model %s has no objective\n", b->build.model->name);
        return NETC_EXIT_MODEL;
    }
    if (target_here(&b->build.target)) return 0;
    fprintf(stderr, "netc: this machine does not run code for %s\n", b->build.target.name);
    return NETC_EXIT_LIMIT;
}

static int compile(Bench *b, const char *const *names) {
    int code = 0;
    bool whole = !b->build.functions.n;         /* not nest by nest */
    for (; *names && !code; names++) {
        if (!strcmp(*names, "eval")) build_later(&b->build);
        code = build_function(&b->build, *names);
    }
    if (!code && whole) code = build_schedules(&b->build);
    if (!code && !(b->model = build_jit(&b->build))) code = NETC_EXIT_INTERNAL;
    return code;
}

/* Normal numbers, elements of each dim, and the largest length of each ragged dim. */
static void fill_inputs(const netc_call *c, int64_t batch) {
    const netc_model *m = c->engine->model;
    for (int i = 0; i < c->func->nin; i++) {
        const netc_port *p = &c->func->in[i];
        uint32_t         site = SITE_INPUT + (uint32_t)i;
        for (int64_t k = 0, n = p->count * batch; k < n; k++) {
            if (p->lengths) {
                ((int32_t *)c->in[i])[k] = (int32_t)netc_model_dim(m, p->name)->size;
                continue;
            }
            double u = rng_uniform(SEED, site, 0, 2 * k), v = rng_uniform(SEED, site, 0, 2 * k + 1);
            if (p->dtype == NETC_F32)
                ((float *)c->in[i])[k] = (float)(sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v));
            else if (p->dtype == NETC_I32) ((int32_t *)c->in[i])[k] = (int32_t)(u * (double)(p->size ? p->size : 1));
            else ((uint8_t *)c->in[i])[k] = (uint8_t)(256 * u);
        }
    }
}

/* Threads, memory, first weights, inputs. An exit code. */
static int prepare(Bench *b, int threads, const char *function) {
    int code = netc_engine_new(&b->engine, b->model, threads, NULL);
    if (!code) code = netc_blocks_new(b->model, &b->blocks);
    if (!code) code = netc_first_weights(&b->engine, SEED, &b->blocks);
    if (!code) code = netc_call_new(&b->train, &b->engine, function);
    if (!code) fill_inputs(&b->train, b->model->batch);
    b->time = (netc_time){.batches = 1000, .epochs = 1};
    return code;
}

static void finish(Bench *b) {
    netc_call_free(&b->train);
    netc_call_free(&b->eval);
    if (b->model) netc_blocks_free(b->model, &b->blocks);
    netc_engine_free(&b->engine);
    netc_model_free(b->model);
    build_free(&b->build);
}

/* ---- the whole step ---------------------------------------------------------------------------------- */

static void run_step(void *cx) {
    Bench *b = cx;
    netc_call_run(&b->train, &b->blocks, &b->time, SEED, b->model->batch);
    b->time.step++;
}

static void run_eval(void *cx) {
    Bench *b = cx;
    netc_call_run(&b->eval, &b->blocks, &b->time, SEED, b->model->batch);
}

static Peak higher(Peak a, Peak b) { return (Peak){fmax(a.registers, b.registers), fmax(a.fed, b.fed)}; }

static void measure_all(Bench *b, double seconds, Figures *f) {
    netc_pool *pool = b->engine.pool;
    Peak       before = peak_measure(pool, &b->build.target);
    f->step = measure(seconds, LEAST_CALLS, run_step, b);
    f->infer = measure(seconds, LEAST_CALLS, run_eval, b);
    Peak after = peak_measure(pool, &b->build.target);
    f->peak = higher(before, after);
    if (fabs(before.registers - after.registers) > PEAK_TOLERANCE * f->peak.registers)
        netc_note("the machine's peak changed from %.1f to %.1f Gflop/s: it is busy, or its clock is", before.registers,
                  after.registers);
}

static int bench_step(Arena *a, const Request *r, Bench *b, Figures *f) {
    int code = start(b, a, r);
    if (!code) code = compile(b, (const char *const[]){"init", "train", "eval", NULL});
    if (code) return code;
    f->compile = netc_seconds() - b->build.t_start;
    if ((code = build_join(&b->build))) return code;
    f->compile_all = netc_seconds() - b->build.t_start;
    Arena *ga = arena_new();
    Graph *g = program_objective(b->build.program, false, b->build.batch, ga);
    f->macs = work_graph(g);
    arena_free(ga);
    code = prepare(b, (int)r->threads, "train");
    if (!code) code = netc_call_new(&b->eval, &b->engine, "eval");
    if (code) return code;
    fill_inputs(&b->eval, b->model->batch);
    measure_all(b, r->seconds, f);
    return 0;
}

/* ---- kernel by kernel -------------------------------------------------------------------------------- */

/* One nest of the training step. */
typedef struct {
    const Kernels *whole;       /* the function that it is in: alone, or with its chain */
    const Nest *nest;
    Samples     samples;
    Timing      time;
    double      bandwidth;      /* Gbyte/s from memory of its size */
} Kernel;

/* Nests from .. from + count - 1 of the function f as a function of its own: one nest, or a chain. */
static void push_part(Build *b, Function f, int from, int count, const Chain *chain) {
    const Kernels *whole = f.kernels;
    Kernels       *k = arena_copy(b->arena, whole, sizeof *k);
    Nest          *first = arena_copy(b->arena, whole->nest[from], sizeof *first);
    first->barrier = false;
    k->nest = arena_copy(b->arena, whole->nest + from, sizeof *k->nest * (size_t)count);
    k->nest[0] = first;
    k->nnest = count;
    k->nchain = chain ? 1 : 0;
    k->name = arena_printf(b->arena, "nest.%d", from);
    if (chain) {
        k->chain = arena_copy(b->arena, chain, sizeof *chain);
        k->chain->first = 0;
        k->laps = (whole->arena_size + 63) / 64 * 64;
        k->arena_size = k->laps + (count + 1) * (int64_t)sizeof(int64_t);
    }
    codegen_function(b->cg, k);
    f.name = k->name;
    f.kernels = k;
    vec_push(b->arena, &b->functions, f);
}

/* Makes every nest of the function built last, and every chain, a function of its own. They share its arguments, leaves
 * and scratch; the start and end of a call stand for the barriers between them. */
static void split_nests(Build *b) {
    Function       f = b->functions.at[--b->functions.n];
    const Kernels *whole = f.kernels;
    for (int i = 0, c = 0; i < whole->nnest; f.graph = NULL) {
        bool chain = c < whole->nchain && whole->chain[c].first == i;
        int  count = chain ? whole->chain[c].count : 1;
        push_part(b, f, i, count, chain ? &whole->chain[c++] : NULL);
        i += count;
    }
}

static int compile_nests(Bench *b, int *nfunc) {
    int code = build_kernels(&b->build, "train");
    if (code) return code;
    split_nests(&b->build);
    *nfunc = b->build.functions.n;
    return compile(b, (const char *const[]){"init", NULL});
}

/* Adds a call's time, or each nest's part of it. */
static void record_call(Bench *b, Kernel *k, const Kernels *f, double seconds) {
    const int64_t *laps = f->laps ? (const int64_t *)(const void *)((char *)b->engine.arena + f->laps) : NULL;
    double         sum = 0;
    for (int i = 0; i < f->nnest && laps; i++) sum += (double)laps[i];
    for (int i = 0; i < f->nnest; i++)
        vec_push(b->build.arena, &k[i].samples, sum > 0 ? seconds * (double)laps[i] / sum : seconds / f->nnest);
}

/* One step, a call for each nest or chain; adds its times if `record`. */
static void run_nests(Bench *b, Kernel *k, int nfunc, bool record) {
    for (int i = 0; i < nfunc; i++) {
        const Kernels *f = b->build.functions.at[i].kernels;
        if (f->laps) memset((char *)b->engine.arena + f->laps, 0, sizeof(int64_t) * (size_t)f->nnest);
        b->train.func = &b->model->func[i];
        double begun = netc_seconds();
        run_step(b);
        double end = netc_seconds();
        b->time.step--;
        if (record) record_call(b, k, f, end - begun);
        k += f->nnest;
    }
    b->time.step++;
}

static void measure_nests(Bench *b, double seconds, Kernel *k, int n, int nfunc) {
    double end = netc_seconds() + seconds;
    for (int i = 0; i < WARM_UP + LEAST_CALLS || netc_seconds() < end; i++) run_nests(b, k, nfunc, i >= WARM_UP);
    for (int i = 0; i < n; i++) {
        k[i].time = timing_of(&k[i].samples);
        k[i].bandwidth = peak_bandwidth(b->engine.pool, &b->build.target, k[i].nest->bytes);
    }
}

/* The training step as `*n` kernels with their times. */
static int bench_kernels(Arena *a, const Request *r, Bench *b, Kernel **kernel, int *n) {
    int nfunc, code = start(b, a, r);
    if (!code) code = compile_nests(b, &nfunc);
    if (!code) code = prepare(b, (int)r->threads, "nest.0");
    if (code) return code;
    for (int i = 0; i < nfunc; i++) *n += b->build.functions.at[i].kernels->nnest;
    *kernel = ARENA_ARRAY(a, Kernel, *n);
    for (int i = 0, at = 0; i < nfunc; i++) {
        const Kernels *k = b->build.functions.at[i].kernels;
        for (int j = 0; j < k->nnest; j++) (*kernel)[at++] = (Kernel){.whole = k, .nest = k->nest[j]};
    }
    measure_nests(b, r->seconds, *kernel, *n, nfunc);
    return 0;
}

/* ---- what a kernel is, in words ---------------------------------------------------------------------- */

enum { PARTS = 8 };             /* nests between a part of a gradient and the new value */

/* Is n the new value, or a part of the gradient that it alone is made of, in other nests (sums, copies)? */
static bool serves(const Kernels *k, const Node *n, const Node *value, int depth) {
    int readers = 0;
    if (n == value) return true;
    if (!depth || n->op != OP_COMP) return false;
    for (int i = 0; i < k->graph->nodes.n; i++) {
        const Node *user = k->graph->nodes.at[i];
        for (int j = 0; j < user->narg; j++) {
            if (user->arg[j] != n) continue;
            bool part = user == value || !user->name || !n->name || !strcmp(user->name, n->name);
            if (!part || !serves(k, user, value, depth - 1)) return false;
            readers++;
            break;
        }
    }
    return readers > 0;
}

/* "update Net.c1.w" where the nest makes a parameter's new value, or the gradient for it; else the user's name of what
 * it computes. */
static const char *kernel_label(Arena *a, const Kernels *k, const Nest *n) {
    for (int i = 0; i < n->nstore; i++)
        for (int j = 0; j < k->graph->outs.n; j++) {
            const Output *out = &k->graph->outs.at[j];
            if (out->kind == OUT_VALUE || !serves(k, n->store[i].node, out->value, PARTS)) continue;
            const Node *leaf = out->target;
            return arena_printf(a, "update %s", leaf->op == OP_PARAM ? leaf->u.param.key : leaf->u.state.key);
        }
    const Node *made = n->nstage ? n->stage[0].node : n->nstore ? n->store[0].node : NULL;
    return made && made->name ? made->name : n->name;
}

/* The name that --print-schedule shows and --schedule takes. */
static const char *step_kernel(Arena *a, const Nest *n) { return arena_printf(a, "train_%s", n->name); }

/* The share of the peak of all threads: those that the kernel is shared out to. */
static double predicted(const Bench *b, const Kernel *k) {
    const Nest *n = k->nest;
    bool        shared = n->npar || (n->scan && !n->scan->serial);
    return kernel_predicted(k->whole, n) / (shared ? 1 : netc_pool_threads(b->engine.pool));
}

/* What is computed together: "sum max argmax". */
static const char *kernel_parts(Arena *a, const Nest *n) {
    Buf b = buf_new(a);
    for (int i = 0; i < n->nstage; i++) buf_printf(&b, "%s%s", i ? " " : "", KIND_TEXT[n->stage[i].kind]);
    if (n->fused && *n->fused) buf_printf(&b, "%s%s", b.n ? " " : "", n->fused);
    return nest_packs(n)             ? "pack"
           : b.n                     ? b.s
           : n->kind == NEST_SCATTER ? "scatter"
           : n->kind == NEST_SCAN    ? "scan"
                                     : "map";
}

/* Variables in the lanes with their counts, then the other variables of the tile: "j/12 + o/5 r/3". */
static const char *kernel_tile(Arena *a, const Nest *n) {
    Buf        b = buf_new(a);
    bool       in_lanes[MAX_VARS] = {false};
    const int *lane = n->nstage ? n->stage[0].lane : n->lane;
    int        nlane = n->nstage ? n->stage[0].nlane : n->nlane;
    for (int i = 0; i < nlane; i++) {
        in_lanes[lane[i]] = true;
        buf_printf(&b, "%s%s/%lld", i ? " " : "", n->var[lane[i]].name,
                   (long long)(lane[i] < n->nout ? n->step[lane[i]] : n->var[lane[i]].size));
    }
    bool first = true;
    for (int v = 0; v < n->nout; v++) {
        if (in_lanes[v] || n->step[v] < 2) continue;
        buf_printf(&b, "%s%s/%lld", first ? " + " : " ", n->var[v].name, (long long)n->step[v]);
        first = false;
    }
    return b.n ? b.s : "-";
}

/* ---- printing ---------------------------------------------------------------------------------------- */

static double gflops(double flops, double seconds) { return 1e-9 * flops / seconds; }

static void print_line(const char *what, Timing t, double flops, const Peak *p) {
    double rate = gflops(flops, t.median);
    printf("%-10s %10.3f ms %10.3f ms %9.1f %8.1f %% %8.1f %%\n", what, 1e3 * t.median, 1e3 * t.min, rate,
           100 * rate / p->registers, 100 * rate / p->fed);
}

/* The lengths that the step was given, one for each ragged dim: "T 25, S 20", or as JSON. */
static void put_lengths(Buf *t, const Bench *b, bool json) {
    const netc_func *f = b->train.func;
    bool             first = true;
    for (int i = 0; i < f->nin; i++) {
        if (!f->in[i].lengths) continue;
        int length = *(const int32_t *)b->train.in[i];
        buf_printf(t, json ? "%s\"%s\":%d" : "%s%s %d", first ? "" : json ? "," : ", ", f->in[i].name, length);
        first = false;
    }
}

static void print_figures(Arena *a, const Bench *b, const Figures *f) {
    const Build *d = &b->build;
    int          threads = netc_pool_threads(b->engine.pool);
    printf("%s: batch %lld, %d thread%s, %s\n", d->path, (long long)d->batch, threads, threads > 1 ? "s" : "",
           d->target.name);
    Buf lengths = buf_new(a);
    put_lengths(&lengths, b, false);
    if (lengths.n) printf("lengths of sequences: %s\n", lengths.s);
    printf("peak %.1f Gflop/s in registers, %.1f fed from L1\n\n", f->peak.registers, f->peak.fed);
    printf("%-10s %13s %13s %9s %10s %10s\n", "", "median", "minimum", "Gflop/s", "of peak", "of L1-fed");
    print_line("step", f->step, 6 * (double)f->macs, &f->peak);
    print_line("inference", f->infer, 2 * (double)f->macs, &f->peak);
    printf("compile    %10.1f ms from the file to the first step (front end %.1f, lowering %.1f, passes %.1f, "
           "emission %.1f, machine code %.1f), %.1f ms with inference\n",
           1e3 * f->compile, 1e3 * d->t_front, 1e3 * d->t_lower, 1e3 * d->t_passes, 1e3 * d->t_emit, 1e3 * d->t_code,
           1e3 * f->compile_all);
}

static void print_kernels(Arena *a, const Bench *b, const Kernel *k, int n, const Peak *p) {
    double sum = 0;
    printf("\n%-28s %-22s %-24s %-20s %8s %8s %8s %9s %10s\n", "kernel", "computes", "parts", "lanes + tile", "Mflop",
           "us", "Gflop/s", "of peak", "predicted");
    for (int i = 0; i < n; i++) {
        const Nest *nest = k[i].nest;
        double      rate = gflops((double)nest->flops, k[i].time.median);
        printf("%-28s %-22s %-24s %-20s %8.3f %8.1f %8.1f %7.1f %% %8.1f %%\n", step_kernel(a, nest),
               kernel_label(a, k[i].whole, nest), kernel_parts(a, nest), kernel_tile(a, nest),
               1e-6 * (double)nest->flops, 1e6 * k[i].time.median, rate, 100 * rate / p->registers,
               100 * predicted(b, &k[i]));
        sum += k[i].time.median;
    }
    printf("%-28s %-22s %-24s %-20s %8s %8.1f\n", "in all", "", "", "", "", 1e6 * sum);
}

static void put(Buf *j, const char *name, double v) {
    buf_printf(j, ",\"%s\":", name);
    buf_number(j, v);
}

static void put_count(Buf *j, const char *name, int64_t n) { buf_printf(j, ",\"%s\":%lld", name, (long long)n); }

static void put_text(Buf *j, const char *name, const char *text) {
    buf_printf(j, ",\"%s\":", name);
    buf_json(j, text);
}

static void put_figures(Buf *j, const Bench *b, const Figures *f) {
    buf_puts(j, "{\"file\":");
    buf_json(j, b->build.path);
    put_count(j, "batch", b->build.batch);
    put_count(j, "threads", netc_pool_threads(b->engine.pool));
    put_text(j, "target", b->build.target.name);
    buf_puts(j, ",\"lengths\":{");
    put_lengths(j, b, true);
    buf_puts(j, "}");
    put(j, "step_ms", 1e3 * f->step.median);
    put(j, "step_ms_min", 1e3 * f->step.min);
    put(j, "infer_ms", 1e3 * f->infer.median);
    put(j, "infer_ms_min", 1e3 * f->infer.min);
    put(j, "compile_ms", 1e3 * f->compile);
    put(j, "compile_all_ms", 1e3 * f->compile_all);
    put_count(j, "step_flops", 6 * f->macs);
    put(j, "peak_gflops", f->peak.registers);
    put(j, "l1_gflops", f->peak.fed);
    put(j, "share", gflops(6 * (double)f->macs, f->step.median) / f->peak.registers);
}

static void put_kernels(Buf *j, Arena *a, const Bench *b, const Kernel *k, int n, const Peak *p) {
    buf_puts(j, ",\"kernels\":[");
    for (int i = 0; i < n; i++) {
        const Nest *nest = k[i].nest;
        double      rate = gflops((double)nest->flops, k[i].time.median);
        buf_printf(j, "%s\n{\"kernel\":", i ? "," : "");
        buf_json(j, step_kernel(a, nest));
        put_text(j, "name", kernel_label(a, k[i].whole, nest));
        put_text(j, "parts", kernel_parts(a, nest));
        put_text(j, "tile", kernel_tile(a, nest));
        put_count(j, "flops", nest->flops);
        put_count(j, "bytes", nest->bytes);
        put(j, "ms", 1e3 * k[i].time.median);
        put(j, "ms_min", 1e3 * k[i].time.min);
        put(j, "gflops", rate);
        put(j, "bandwidth_gbs", k[i].bandwidth);
        put(j, "share", rate / p->registers);
        put(j, "predicted", predicted(b, &k[i]));
        buf_puts(j, "}");
    }
    buf_puts(j, "]");
}

static void print_all(Arena *a, bool json, const Bench *step, const Figures *f, const Bench *nests, const Kernel *k,
                      int n) {
    if (!json) {
        print_figures(a, step, f);
        if (n) print_kernels(a, nests, k, n, &f->peak);
        return;
    }
    Buf j = buf_new(a);
    put_figures(&j, step, f);
    if (n) put_kernels(&j, a, nests, k, n, &f->peak);
    printf("%s}\n", j.s);
}

int cmd_bench(Arena *a, const Options *o) {
    Request r;
    Bench   step = {0}, nests = {0};
    Figures f = {0};
    Kernel *kernel = NULL;
    int     n = 0;
    if (!read_request(o, &r)) return NETC_EXIT_USAGE;
    int code = bench_step(a, &r, &step, &f);
    if (!code && r.kernels) code = bench_kernels(a, &r, &nests, &kernel, &n);
    if (!code) print_all(a, r.json, &step, &f, &nests, kernel, n);
    finish(&step);
    finish(&nests);
    return code;
}
