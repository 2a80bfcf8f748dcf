/* Functions of a model: every nest is a function of its own (emit_nest.c); the function of the model gives each thread
 * its share of every nest, with barriers where the plan asks for them. A scan is a loop around the nests of its body,
 * which every thread runs, or thread 0 alone. The shares depend on nothing but shapes. */
#include <string.h>
#include <time.h>

#include "codegen/nest_impl.h"

/* The code of a nest. */
typedef struct {
    Slots       slots;
    const char *symbol;
} Code;

typedef struct {
    Codegen *cg;
    Arena   *a;
    Code    *code;              /* by Nest.at */
    Val      steps;             /* i64 per loop: the numbers of the present steps */
} Caller;

static void run_nests(Caller *c, const Kernels *k, int from, int to);

/* ---- shares ---------------------------------------------------------------------------------------------- */

/* { n * tid / threads, n * (tid + 1) / threads }: a helper, because LLVM makes three blocks of a division of 64 bits,
 * and its work grows with the blocks of a function. */
static Val share_function(Codegen *cg) {
    static const char NAME[] = "c.share";
    Val   fn = LLVMGetNamedFunction(cg->module, NAME);
    Where before;
    if (fn) return fn;
    Ty pair = LLVMStructTypeInContext(cg->cx, (Ty[]){cg->i64, cg->i64}, 2, false);
    fn = codegen_helper_begin(cg, NAME, pair, (Ty[]){cg->i64, cg->i32, cg->i32}, 3, &before);
    Val tid = LLVMBuildZExt(cg->b, LLVMGetParam(fn, 1), cg->i64, "");
    Val threads = LLVMBuildZExt(cg->b, LLVMGetParam(fn, 2), cg->i64, "");
    Val n = LLVMGetParam(fn, 0), lo = l_mul(cg, n, tid), share = LLVMGetUndef(pair);
    share = LLVMBuildInsertValue(cg->b, share, LLVMBuildUDiv(cg->b, lo, threads, ""), 0, "");
    share = LLVMBuildInsertValue(cg->b, share, LLVMBuildUDiv(cg->b, l_add(cg, lo, n), threads, ""), 1, "");
    LLVMBuildRet(cg->b, share);
    codegen_helper_end(cg, before);
    return fn;
}

/* The thread's share of n: lo .. hi-1. */
static void share_of(Codegen *cg, Val n, Val *lo, Val *hi) {
    Val fn = share_function(cg), x[3] = {n, abi_tid(cg), abi_nthreads(cg)};
    Val share = LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, x, 3, "");
    *lo = LLVMBuildExtractValue(cg->b, share, 0, "");
    *hi = LLVMBuildExtractValue(cg->b, share, 1, "");
}

static Val is_first(Codegen *cg) { return l_icmp(cg, LLVMIntEQ, abi_tid(cg), l_i32(cg, 0)); }

/* ---- nests ----------------------------------------------------------------------------------------------- */

static bool is_alone(const Nest *n) { return n->kind != NEST_SCAN && !n->npar; }

static Emit *start_call(Caller *c, const Kernels *k, const Nest *n) {
    Emit *e = ARENA_NEW(c->a, Emit);
    emit_start(e, c->cg, c->a, k, n);
    e->steps = c->steps;
    return e;
}

static void call_nest(Caller *c, const Kernels *k, const Nest *n) {
    const Code *code = &c->code[n->at];
    if (n->barrier) abi_barrier(c->cg);
    Emit *e = start_call(c, k, n);
    Val   lo, hi;
    share_of(c->cg, trips_of(e), &lo, &hi);
    emit_call(e, &code->slots, code->symbol, lo, hi, NULL);
}

/* The nests from .. that thread 0 runs one after the other; returns the number behind the last one. */
static int call_alone(Caller *c, const Kernels *k, int from, int to) {
    Codegen *cg = c->cg;
    int      i = from;
    if (k->nest[from]->barrier) abi_barrier(cg);
    If first = l_if(cg, is_first(cg));
    do {
        const Code *code = &c->code[k->nest[i]->at];
        emit_call(start_call(c, k, k->nest[i]), &code->slots, code->symbol, l_i64(cg, 0), l_i64(cg, 1), NULL);
    } while (++i < to && is_alone(k->nest[i]) && !k->nest[i]->barrier);
    l_if_end(cg, &first);
    return i;
}

/* The node whose storage holds the numbers of n. */
static const Node *node_behind(const Node *n) {
    while (n->op == OP_RESHAPE || n->op == OP_STOP) n = n->arg[0];
    return n;
}

/* The address of a value in the arena in the present steps. */
static Val place_address(Caller *c, const Kernels *k, const Node *n) {
    Emit *e = ARENA_NEW(c->a, Emit);
    *e = (Emit){.cg = c->cg, .a = c->a, .k = k, .steps = c->steps};
    return emit_address(e, n);
}

/* ---- chains ---------------------------------------------------------------------------------------------- */

static Val smaller(Codegen *cg, Val a, Val b) { return l_select(cg, l_icmp(cg, LLVMIntULT, a, b), a, b); }

/* Trips of the chain's nest i for turns 0 .. turn-1. */
static Val trips_before(Emit *e, const Chain *c, int i, Val turn) {
    Codegen *cg = e->cg;
    int      v = e->n->loop[0];
    Val      tiles = l_mul(cg, turn, l_i64(cg, c->rows * c->per[i] / e->n->step[v])), inner = l_i64(cg, 1);
    tiles = smaller(cg, tiles, tiles_of(e, v));
    for (int k = 1; k < e->n->npar; k++) inner = LLVMBuildNSWMul(cg->b, inner, tiles_of(e, e->n->loop[k]), "");
    return LLVMBuildNSWMul(cg->b, tiles, inner, "");
}

/* Ticks of a counter that programs can read; 0: there is none. */
static Val ticks_now(Codegen *cg) {
    bool        x86 = cg->target.arch == ARCH_X86_64;
    const char *name = x86 ? "llvm.readcyclecounter" : "llvm.readsteadycounter";
    unsigned    id = LLVMLookupIntrinsicID(name, strlen(name));
    Val         fn = LLVMGetIntrinsicDeclaration(cg->module, id, NULL, 0);
    return LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, NULL, 0, "");
}

/* Adds the ticks since *before for nest i; other threads write where nobody reads. */
static void note_lap(Caller *c, const Kernels *k, int i, Val *before) {
    Codegen *cg = c->cg;
    Val      now = ticks_now(cg), laps = l_gep_const(cg, cg->i8, abi_load(cg, ABI_ARENA), k->laps);
    Val      at = l_gep(cg, cg->i64, laps, l_select(cg, is_first(cg), l_i64(cg, i), l_i64(cg, k->nnest)));
    l_store(cg, l_add(cg, l_load(cg, cg->i64, at, 8), l_sub(cg, now, *before)), at, 8);
    *before = now;
}

/* Every thread has its share of the turns. */
static void call_chain(Caller *c, const Kernels *k, const Chain *chain) {
    Codegen       *cg = c->cg;
    const Nest    *first = k->nest[chain->first];
    const NestVar *var = &first->var[first->loop[0]];
    Emit         **e = ARENA_ARRAY(c->a, Emit *, chain->count);
    for (int i = 0; i < chain->count; i++) e[i] = start_call(c, k, k->nest[chain->first + i]);
    if (first->barrier) abi_barrier(cg);
    Val  rows = var->bound ? bound_value(e[0], var->bound) : l_i64(cg, var->size / chain->per[0]);
    Val  turns = LLVMBuildUDiv(cg->b, l_add(cg, rows, l_i64(cg, chain->rows - 1)), l_i64(cg, chain->rows), "");
    Val  lo, hi;
    share_of(cg, turns, &lo, &hi);
    Loop loop = l_loop(cg, lo, hi, 1, 0, NULL);
    Val  next = l_add(cg, loop.i, l_i64(cg, 1)), moved = l_mul(cg, l_sub(cg, lo, loop.i), l_i64(cg, chain->rows));
    Val  before = k->laps ? ticks_now(cg) : NULL;
    for (int i = 0; i < chain->count; i++) {
        const Code *code = &c->code[e[i]->n->at];
        emit_call(e[i], &code->slots, code->symbol, trips_before(e[i], chain, i, loop.i),
                  trips_before(e[i], chain, i, next), moved);
        if (k->laps) note_lap(c, k, chain->first + i, &before);
    }
    l_loop_end(cg, &loop, NULL);
}

/* ---- scans ----------------------------------------------------------------------------------------------- */

static void set_step(Caller *c, const ScanLoop *l, Val t) {
    l_store(c->cg, t, l_gep_const(c->cg, c->cg->i64, c->steps, l->depth), 8);
}

/* Is any row running on after the present step? */
static Val any_runs(Caller *c, const ScanLoop *l) {
    Codegen *cg = c->cg;
    Val      any = l_zero(cg->i8), at = place_address(c, l->body, l->runs);
    Loop     rows = l_loop(cg, l_i64(cg, 0), abi_bound(cg, 1), 1, 1, &any);
    any = LLVMBuildOr(cg->b, any, l_load(cg, cg->i8, l_gep(cg, cg->i8, at, rows.i), 1), "");
    l_loop_end(cg, &rows, &any);
    return any;
}

/* Steps that were not made: what is stacked may be looked up later, so that whole numbers are zeros. */
static void clear_stacks(Caller *c, const ScanLoop *l, Val made, Val trip) {
    Codegen *cg = c->cg;
    for (int i = 0; i < l->body->graph->outs.n; i++) {
        const Node  *n = node_behind(l->body->graph->outs.at[i].value);
        const Place *p = &l->body->place[n->id];
        if (n->type.dtype == DT_F32 || p->space != SPACE_ARENA || !p->step[l->depth]) continue;
        Loop steps = l_loop(cg, made, trip, 1, 0, NULL);
        set_step(c, l, l->reverse ? l_sub(cg, l_sub(cg, trip, l_i64(cg, 1)), steps.i) : steps.i);
        Val  at = place_address(c, l->body, n), bytes = l_i64(cg, type_count(&n->type) * dtype_size(n->type.dtype));
        Loop all = l_loop(cg, l_i64(cg, 0), bytes, 1, 0, NULL);
        l_store(cg, l_zero(cg->i8), l_gep(cg, cg->i8, at, all.i), 1);
        l_loop_end(cg, &all, NULL);
        l_loop_end(cg, &steps, NULL);
    }
}

/* The steps of a loop that may end early: `made` counts them. */
static void run_until(Caller *c, const ScanLoop *l, Val trip, int from, int to) {
    Codegen *cg = c->cg;
    Val      runs = l_alloca(cg, cg->i8), made = l_alloca(cg, cg->i64), end = l_sub(cg, trip, l_i64(cg, 1));
    l_store(cg, LLVMConstInt(cg->i8, 1, false), runs, 1);
    l_store(cg, l_i64(cg, 0), made, 8);
    Loop loop = l_loop(cg, l_i64(cg, 0), trip, 1, 0, NULL);
    If   go = l_if(cg, LLVMBuildIsNotNull(cg->b, l_load(cg, cg->i8, runs, 1), ""));
    set_step(c, l, l->reverse ? l_sub(cg, end, loop.i) : loop.i);
    run_nests(c, l->body, from, to);
    if (!l->serial) abi_barrier(cg);
    l_store(cg, any_runs(c, l), runs, 1);
    l_store(cg, l_add(cg, loop.i, l_i64(cg, 1)), made, 8);
    l_if_end(cg, &go);
    l_loop_end(cg, &loop, NULL);
    Val count = l_load(cg, cg->i64, made, 8), last = l_sub(cg, count, l_i64(cg, 1));
    If  first = l_if(cg, is_first(cg));
    clear_stacks(c, l, count, trip);
    l_if_end(cg, &first);
    if (!l->serial) abi_barrier(cg);
    set_step(c, l, l->reverse ? l_sub(cg, end, last) : last);
}

/* How many steps are made. */
static Val steps_made(Caller *c, const ScanLoop *l) {
    Codegen *cg = c->cg;
    if (!l->part.bound) return l->trip.bound ? abi_bound(cg, l->trip.bound) : l_i64(cg, l->trip.size);
    Val up = l_add(cg, abi_bound(cg, l->part.bound), l_i64(cg, l->part.size - 1));
    return LLVMBuildUDiv(cg->b, up, l_i64(cg, l->part.size), "");
}

static void run_loop(Caller *c, const ScanLoop *l) {
    Codegen *cg = c->cg;
    int      last = l->body->nnest - l->nlast;
    Val      trip = steps_made(c, l), none = l_i64(cg, -1);
    Val      end = l_sub(cg, trip, l_i64(cg, 1));
    set_step(c, l, l->reverse ? trip : none);
    run_nests(c, l->body, 0, l->nfirst);
    if (l->runs) {
        run_until(c, l, trip, l->nfirst, last);
    } else {
        Loop loop = l_loop(cg, l_i64(cg, 0), trip, 1, 0, NULL);
        set_step(c, l, l->reverse ? l_sub(cg, end, loop.i) : loop.i);
        run_nests(c, l->body, l->nfirst, last);
        l_loop_end(cg, &loop, NULL);
    }
    run_nests(c, l->body, last, l->body->nnest);
}

static void call_loop(Caller *c, const Nest *n) {
    Codegen *cg = c->cg;
    if (n->barrier) abi_barrier(cg);
    if (!n->scan->serial) {
        run_loop(c, n->scan);
        return;
    }
    If first = l_if(cg, is_first(cg));
    run_loop(c, n->scan);
    l_if_end(cg, &first);
}

static void run_nests(Caller *c, const Kernels *k, int from, int to) {
    int chain = 0;
    for (int i = from; i < to;) {
        while (chain < k->nchain && k->chain[chain].first < i) chain++;
        int end = chain < k->nchain ? k->chain[chain].first : to;
        if (chain < k->nchain && i == end) {
            call_chain(c, k, &k->chain[chain]);
            i += k->chain[chain].count;
        } else if (is_alone(k->nest[i])) {
            i = call_alone(c, k, i, end < to ? end : to);
        } else {
            if (k->nest[i]->kind == NEST_SCAN) call_loop(c, k->nest[i]);
            else call_nest(c, k, k->nest[i]);
            i++;
        }
    }
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void emit_nests(Caller *c, const Kernels *k) {
    for (int i = 0; i < k->nnest; i++) {
        const Nest *n = k->nest[i];
        if (n->kind == NEST_SCAN) {
            emit_nests(c, n->scan->body);
            continue;
        }
        Code       *code = &c->code[n->at];
        const char *own = arena_printf(c->cg->arena, "%s_%s", k->name, n->name);
        code->slots = slots_of(c->a, k, n);
        code->symbol = shared_nest(c->cg, k, n, &code->slots, own);
        NestTime t = {.nest = own, .same = code->symbol};
        if (!code->symbol) {
            double start = seconds();
            emit_nest(c->cg, c->a, k, n, &code->slots, code->symbol = own);
            t.emit = seconds() - start;
            t.instructions = codegen_instructions(LLVMGetNamedFunction(c->cg->module, own));
        }
        vec_push(c->cg->arena, &c->cg->times, t);
        if (t.same) continue;
        codegen_cut(c->cg, PIECE_INSTRUCTIONS);
    }
}

/* The numbers of nests (Nest.at) lie below. */
static int numbers_of(const Kernels *k) {
    const Nest *last = k->nnest ? k->nest[k->nnest - 1] : NULL;
    return !last ? 0 : 1 + (last->kind == NEST_SCAN ? last->scan->end : last->at);
}

/* The calls of a loop's nests are made in every step, those of the others once. */
static bool has_loop(const Kernels *k) {
    for (int i = 0; i < k->nnest; i++)
        if (k->nest[i]->kind == NEST_SCAN) return true;
    return false;
}

void codegen_function(Codegen *cg, const Kernels *k) {
    Caller c = {.cg = cg, .a = arena_new()};
    c.code = ARENA_ARRAY(c.a, Code, numbers_of(k));
    emit_nests(&c, k);
    bool quick = cg->quick;
    codegen_quick(cg, quick || !has_loop(k));
    codegen_begin(cg, k->name);
    c.steps = l_alloca(cg, LLVMArrayType2(cg->i64, MAX_LOOPS));
    run_nests(&c, k, 0, k->nnest);
    codegen_end(cg);
    codegen_quick(cg, quick);
    arena_free(c.a);
}
