/* A nest as a function of its own, `void (args, lo, hi, steps, addresses...)`: over a range of its parallel trips, in
 * the present steps of the scans around. No number depends on the range. Addresses are parameters: equal layers share
 * the code of one nest (nest_key.c). */
#include "codegen/nest_impl.h"

enum { FIXED_PARAMS = 4 };              /* of a nest's function, before its addresses */

/* ---- iterations ---------------------------------------------------------------------------------------- */

Val bound_value(Emit *e, int bound) { return e->bound[bound]; }

Val var_limit(Emit *e, int v) {
    const NestVar *var = &e->n->var[v];
    if (!var->bound) return l_i64(e->cg, var->size);
    Val n = bound_value(e, var->bound);
    return var->per == 1 ? n : LLVMBuildNSWMul(e->cg->b, n, l_i64(e->cg, var->per), "");
}

/* Tiles of out v, the last one perhaps smaller. */
Val tiles_of(Emit *e, int v) {
    int64_t step = e->n->step[v];
    Val     n = var_limit(e, v);
    if (step == 1) return n;
    return LLVMBuildUDiv(e->cg->b, l_add(e->cg, n, l_i64(e->cg, step - 1)), l_i64(e->cg, step), "");
}

Val trips_of(Emit *e) {
    Val trips = l_i64(e->cg, 1);
    for (int i = 0; i < e->n->npar; i++) trips = LLVMBuildNSWMul(e->cg->b, trips, tiles_of(e, e->n->loop[i]), "");
    return trips;
}

/* ---- loops over outs ----------------------------------------------------------------------------------- */

typedef struct {
    Val *ptr;
    int  mark;
} Saved;

static Saved save(Emit *e) {
    size_t slots = (size_t)(e->n->naccess + e->n->nstore);
    return (Saved){arena_copy(e->a, e->ptr, sizeof(Val) * slots), e->memo.n};
}

static void restore(Emit *e, Saved s) {
    memcpy(e->ptr, s.ptr, sizeof(Val) * (size_t)(e->n->naccess + e->n->nstore));
    memo_restore(e, s.mark);
}

static void out_level(Emit *e, int level);
static void list_tiles(Emit *e, int level);
static void level_tiles(Emit *e, int level);

static bool peels(const Emit *e, int v, bool (*test)(const Emit *, int, const Guard *, int)) {
    for (int i = 0; i < e->n->nstore; i++)
        if (test(e, e->n->store[i].nguard, e->n->store[i].guard, v)) return true;
    return false;
}

/* The loops inside `level` with v = base + konst, `count` values in a tile. */
static void inside(Emit *e, int level, int v, Val base, int64_t konst, int64_t count) {
    Saved s = save(e);
    e->base[v] = base;
    e->konst[v] = konst;
    e->count[v] = count;
    if (base) move_pointers(e, v, base);
    out_level(e, level + 1);
    e->base[v] = NULL;
    e->konst[v] = 0;
    e->count[v] = 1;
    restore(e, s);
}

static void out_loop(Emit *e, int level, int v, Val lo, Val hi, int64_t step, int64_t first, int64_t last) {
    Loop loop = l_loop(e->cg, lo, hi, step, 0, NULL);
    e->base_min[v] = first;
    e->base_max[v] = last;
    inside(e, level, v, loop.i, 0, step);
    l_loop_end(e->cg, &loop, NULL);
    e->base_min[v] = 0;
}

/* The loop over v without a bound. Tiles where a guard may fail come before and after it; remainders have no loop. */
static void static_loop(Emit *e, int level, int v) {
    int64_t step = e->n->step[v], size = e->n->var[v].size, first = 0, last = size / step * step;
    if (e->n->var[v].apart) first = last;
    else if (peels(e, v, peel_first) && last > step) first = step;
    if (!e->n->var[v].apart && last == size && last - first > step && peels(e, v, peel_last)) last -= step;
    if (last - first == step) first = last;
    for (int64_t at = 0; at < first; at += step) inside(e, level, v, NULL, at, step);
    if (first < last) out_loop(e, level, v, l_i64(e->cg, first), l_i64(e->cg, last), step, first, last - step);
    if (last < size) inside(e, level, v, NULL, last, size - last);
}

/* What whole tiles of v leave over under a bound: at full size a tile of its own, else point by point. */
static void bounded_rest(Emit *e, int level, int v, Val lo, Val hi) {
    Codegen *cg = e->cg;
    int64_t  size = e->n->var[v].size, rest = size % e->n->step[v];
    if (rest < 2) {
        out_loop(e, level, v, lo, hi, 1, 0, size - 1);
        return;
    }
    Val   all = l_icmp(cg, LLVMIntEQ, hi, l_i64(cg, size));
    Saved s = save(e);
    If    full = l_if(cg, all);
    inside(e, level, v, NULL, size - rest, rest);
    restore(e, s);
    l_if_end(cg, &full);
    If part = l_if(cg, LLVMBuildNot(cg->b, all, ""));
    out_loop(e, level, v, lo, hi, 1, 0, size - 1);
    restore(e, s);
    l_if_end(cg, &part);
}

/* A loop over v: whole tiles, then what is left: a smaller tile, or point by point. */
static void out_level(Emit *e, int level) {
    if (e->n->adds && level == nest_zero_level(e->n) && e->step != STEP_ADD) emit_zeros(e);
    if (e->n->adds && level == nest_zero_level(e->n) && e->step == STEP_ZERO) return;
    if (e->n->list.on && level == e->n->list.level) {
        list_tiles(e, level);
        return;
    }
    level_tiles(e, level);
}

/* Makes the list, then the tiles over it; an empty one adds nothing. */
static void list_tiles(Emit *e, int level) {
    emit_list(e);
    if (!e->n->adds) {
        level_tiles(e, level);
        return;
    }
    Saved s = save(e);
    If    some = l_if(e->cg, l_icmp(e->cg, LLVMIntSGT, e->list_count, l_i64(e->cg, 0)));
    level_tiles(e, level);
    l_if_end(e->cg, &some);
    restore(e, s);
}

static void level_tiles(Emit *e, int level) {
    if (level == e->n->nloop) {
        emit_tile(e);
        return;
    }
    int            v = e->n->loop[level];
    const NestVar *var = &e->n->var[v];
    int64_t        step = e->n->step[v];
    Val            zero = l_i64(e->cg, 0);
    if (var->bound) {
        Val n = var_limit(e, v), whole = n;
        if (step > 1) whole = l_sub(e->cg, n, LLVMBuildURem(e->cg->b, n, l_i64(e->cg, step), ""));
        out_loop(e, level, v, zero, whole, step, 0, var->size - step);
        if (step > 1) bounded_rest(e, level, v, whole, n);
        return;
    }
    static_loop(e, level, v);
}

static void parallel_level(Emit *e, int level, const Val *tile);

/* The last values of the variable of parallel loop `level`: as a tile of `count`, or point by point. */
static void rest_tile(Emit *e, int level, const Val *tile, int64_t count) {
    int v = e->n->loop[level];
    e->base[v] = NULL;
    e->konst[v] = e->n->var[v].size - count;
    e->count[v] = count;
    parallel_level(e, level + 1, tile);
    e->konst[v] = 0;
}

static void rest_points(Emit *e, int level, const Val *tile, Val at, Val n) {
    int  v = e->n->loop[level];
    Loop loop = l_loop(e->cg, at, n, 1, 0, NULL);
    e->base_max[v] = e->n->var[v].size - 1;
    e->count[v] = 1;
    e->base[v] = loop.i;
    move_pointers(e, v, loop.i);
    parallel_level(e, level + 1, tile);
    l_loop_end(e->cg, &loop, NULL);
}

/* Parallel loop `level` at tile number tile[level]. */
static void parallel_level(Emit *e, int level, const Val *tile) {
    if (level == e->n->npar) {
        out_level(e, level);
        return;
    }
    Codegen       *cg = e->cg;
    int            v = e->n->loop[level];
    const NestVar *var = &e->n->var[v];
    int64_t        step = e->n->step[v], rest = var->size % step;
    if (!rest && !var->bound && var->size > step && peels(e, v, peel_last)) rest = step;
    Val            at = step == 1 ? tile[level] : LLVMBuildNSWMul(cg->b, tile[level], l_i64(cg, step), "");
    Val            n = var_limit(e, v);
    Saved          s = save(e);
    bool           split = rest == step || (step > 1 && (var->bound || rest));
    If             full = {0};
    if (rest == step) n = l_i64(cg, var->size - step);
    if (split) full = l_if(cg, l_icmp(cg, LLVMIntSLE, l_add(cg, at, l_i64(cg, step)), n));
    e->base[v] = at;
    e->base_max[v] = var->size - step > 0 ? var->size - step : 0;
    if (rest == step) e->base_max[v] -= step;
    e->count[v] = step;
    move_pointers(e, v, at);
    if (var->size >= step) parallel_level(e, level + 1, tile);
    if (split) {
        restore(e, s);
        l_if_end(cg, &full);
        Val over = l_icmp(cg, LLVMIntSGT, l_add(cg, at, l_i64(cg, step)), n), all = NULL;
        if (var->bound && rest > 1) all = l_icmp(cg, LLVMIntEQ, n, l_i64(cg, var->size));
        if (!var->bound || all) {
            If part = l_if(cg, all ? LLVMBuildAnd(cg->b, over, all, "") : over);
            rest_tile(e, level, tile, rest);
            restore(e, s);
            l_if_end(cg, &part);
        }
        if (var->bound) {
            If part = l_if(cg, all ? LLVMBuildAnd(cg->b, over, LLVMBuildNot(cg->b, all, ""), "") : over);
            rest_points(e, level, tile, at, n);
            restore(e, s);
            l_if_end(cg, &part);
        }
    }
    e->base[v] = NULL;
    e->konst[v] = 0;
    e->count[v] = 1;
    restore(e, s);
}

/* for trip in lo .. hi-1 */
static void trips(Emit *e, Val lo, Val hi) {
    Codegen *cg = e->cg;
    Val      tile[MAX_VARS];
    if (!e->n->npar) {
        out_level(e, 0);
        return;
    }
    Saved s = save(e);
    Val   tiles[MAX_VARS];
    for (int i = 1; i < e->n->npar; i++) tiles[i] = tiles_of(e, e->n->loop[i]);
    Loop loop = l_loop(cg, lo, hi, 1, 0, NULL);
    Val  trip = loop.i;
    for (int i = e->n->npar - 1; i > 0; i--) {
        tile[i] = LLVMBuildURem(cg->b, trip, tiles[i], "");
        trip = LLVMBuildUDiv(cg->b, trip, tiles[i], "");
    }
    tile[0] = trip;
    parallel_level(e, 0, tile);
    l_loop_end(cg, &loop, NULL);
    restore(e, s);
}

/* ---- a nest's function --------------------------------------------------------------------------------- */

static Val table_of(Emit *e, const Node *n) {
    Type     t = n->type;
    int64_t  count = type_count(&t);
    int      size = dtype_size(t.dtype);
    uint8_t *bytes = arena_alloc(e->a, (size_t)(count * size + 64));
    for (int64_t i = 0; i < count; i++) {
        double  v = n->u.konst.value[i];
        float   f = (float)v;
        int32_t k = (int32_t)v;
        uint8_t u = (uint8_t)v;
        const void *from = t.dtype == DT_F32 ? (void *)&f : t.dtype == DT_I32 ? (void *)&k : (void *)&u;
        memcpy(bytes + i * size, from, (size_t)size);
    }
    char *name = arena_printf(e->a, "%s_const%d", e->k->name, n->id);
    return codegen_table(e->cg, name, bytes, (size_t)(count * size + 64));
}

Val step_value(Emit *e, int loop) {
    return l_load(e->cg, e->cg->i64, l_gep_const(e->cg, e->cg->i64, e->steps, loop), 8);
}

static Val base_of(Emit *e, const Place *p, const Node *n) {
    switch (p->space) {
    case SPACE_ARENA: return l_bytes(e->cg, abi_load(e->cg, ABI_ARENA), p->offset);
    case SPACE_WEIGHTS: return l_bytes(e->cg, abi_load(e->cg, ABI_WEIGHTS), p->offset);
    case SPACE_OPT: return l_bytes(e->cg, abi_load(e->cg, ABI_OPT), p->offset);
    case SPACE_STATE: return l_bytes(e->cg, abi_load(e->cg, ABI_STATE), p->offset);
    case SPACE_IN: return abi_in(e->cg, (int)p->offset);
    case SPACE_OUT: return abi_out(e->cg, (int)p->offset);
    case SPACE_CONST: return table_of(e, p->table ? p->table : n);
    default: return NULL;
    }
}

/* The address of a stored node's first element in the present steps; NULL for what has no address. */
Val emit_address(Emit *e, const Node *n) {
    Codegen     *cg = e->cg;
    const Place *p = &e->k->place[n->id];
    Val          at = base_of(e, p, n);
    for (int i = 0; at && i < e->k->depth; i++)
        if (p->step[i]) at = l_gep(cg, cg->i8, at, l_mul(cg, step_value(e, i), l_i64(cg, p->step[i])));
    if (!at || !p->turn) return at;
    Val turn = l_add(cg, step_value(e, p->turn - 1), l_i64(cg, p->phase));
    return l_gep(cg, cg->i8, at, l_mul(cg, LLVMBuildAnd(cg->b, turn, l_i64(cg, 1), ""), l_i64(cg, p->slot)));
}

static void take_addresses(Emit *e, const Slots *s) {
    const Nest *n = e->n;
    int         slots = n->naccess + n->nstore;
    e->origin = ARENA_ARRAY(e->a, Val, slots);
    e->ptr = ARENA_ARRAY(e->a, Val, slots);
    e->rng = ARENA_ARRAY(e->a, RngKey, n->naccess);
    for (int i = 0; i < slots; i++) {
        if (s->of[i] < 0) continue;
        Val value = LLVMGetParam(e->cg->fn, (unsigned)(FIXED_PARAMS + s->of[i]));
        if (s->node[s->of[i]]->op == OP_RNG) e->rng[i] = rng_key(e->cg, value);
        else e->ptr[i] = e->origin[i] = value;
    }
}

void emit_start(Emit *e, Codegen *cg, Arena *a, const Kernels *k, const Nest *n) {
    *e = (Emit){.cg = cg, .a = a, .k = k, .n = n};
    for (int v = 0; v < MAX_VARS; v++) e->count[v] = 1;
    for (int i = 1; i < k->graph->bounds.n; i++) e->bound[i] = abi_bound(cg, i);
}

/* The thread's share in every turn of a cut reduction. */
static void all_turns(Emit *e, Val lo, Val hi) {
    Codegen *cg = e->cg;
    bool     bound = e->n->var[e->n->cut_var].bound;
    Val      size = var_limit(e, e->n->cut_var), one = l_i64(cg, 1);
    if (bound) size = l_select(cg, l_icmp(cg, LLVMIntSGT, size, one), size, one); /* a sum of nothing is stored, too */
    Loop     turn = l_loop(cg, l_i64(cg, 0), size, e->n->cut, 0, NULL);
    Val      next = l_add(cg, turn.i, l_i64(cg, e->n->cut));
    e->cut_lo = turn.i;
    e->cut_first = l_icmp(cg, LLVMIntEQ, turn.i, l_i64(cg, 0));
    e->cut_last = l_icmp(cg, LLVMIntSGE, next, size);
    e->cut_hi = l_select(cg, e->cut_last, var_limit(e, e->n->cut_var), next);
    trips(e, lo, hi);
    l_loop_end(cg, &turn, NULL);
}

/* The same for each trip by itself. */
static void all_turns_inside(Emit *e, Val lo, Val hi) {
    Loop trip = l_loop(e->cg, lo, hi, 1, 0, NULL);
    all_turns(e, trip.i, l_add(e->cg, trip.i, l_i64(e->cg, 1)));
    l_loop_end(e->cg, &trip, NULL);
}

/* The thread's share; in blocks: its results set to 0, then the share once for each block. */
static void all_trips(Emit *e, Val lo, Val hi) {
    Codegen    *cg = e->cg;
    const List *list = &e->n->list;
    if (e->n->cut) {
        if (e->n->cut_inside && e->n->npar == 1) all_turns_inside(e, lo, hi);
        else all_turns(e, lo, hi);
        return;
    }
    if (!list->block) {
        trips(e, lo, hi);
        return;
    }
    Saved s = save(e);
    Val   n = var_limit(e, list->block_var);
    e->step = STEP_ZERO;
    trips(e, lo, hi);
    restore(e, s);
    e->step = STEP_ADD;
    Loop l = l_loop(cg, l_i64(cg, 0), n, list->block, 0, NULL);
    Val  end = l_add(cg, l.i, l_i64(cg, list->block));
    e->block_lo = l.i;
    e->block_hi = l_select(cg, l_icmp(cg, LLVMIntSLT, end, n), end, n);
    trips(e, lo, hi);
    l_loop_end(cg, &l, NULL);
    restore(e, s);
}

static Ty nest_type(Codegen *cg, Arena *a, const Slots *s) {
    Ty *t = ARENA_ARRAY(a, Ty, FIXED_PARAMS + s->n);
    t[0] = t[3] = cg->ptr, t[1] = t[2] = cg->i64;
    for (int i = 0; i < s->n; i++) t[FIXED_PARAMS + i] = s->node[i]->op == OP_RNG ? cg->i32 : cg->ptr;
    return LLVMFunctionType(cg->none, t, (unsigned)(FIXED_PARAMS + s->n), false);
}

void emit_nest(Codegen *cg, Arena *a, const Kernels *k, const Nest *n, const Slots *s, const char *symbol) {
    codegen_fit(cg);
    Val fn = codegen_shared(cg, symbol, nest_type(cg, a, s));
    l_attribute(cg, fn, LLVMAttributeFunctionIndex, "noinline", 0);
    /* A register that is spilled across two lines of the cache costs as much as dozens of operations. */
    if (k->target.width > 4)
        l_attribute(cg, fn, LLVMAttributeFunctionIndex, "alignstack", 4 * (uint64_t)k->target.width);
    cg->fn = fn;
    l_at(cg, l_block(cg, "entry"));
    Emit *e = ARENA_NEW(a, Emit);
    emit_start(e, cg, a, k, n);
    e->steps = LLVMGetParam(fn, 3);
    take_addresses(e, s);
    Val lo = LLVMGetParam(fn, 1), hi = LLVMGetParam(fn, 2);
    if (n->kind == NEST_SCATTER) emit_scatter(e, lo, hi);
    else all_trips(e, lo, hi);
    codegen_end(cg);
}

void emit_call(Emit *e, const Slots *s, const char *symbol, Val lo, Val hi, Val moved) {
    Codegen *cg = e->cg;
    Ty       type = nest_type(cg, e->a, s);
    Val     *arg = ARENA_ARRAY(e->a, Val, FIXED_PARAMS + s->n);
    arg[0] = abi_args(cg), arg[1] = lo, arg[2] = hi, arg[3] = e->steps;
    for (int i = 0; i < s->n; i++) {
        const Node *n = s->node[i];
        arg[FIXED_PARAMS + i] = n->op == OP_RNG ? l_i32(cg, n->u.rng.site) : emit_address(e, n);
        if (!moved || n->op == OP_RNG || !e->k->local[n->id]) continue;
        int64_t row = e->k->place[n->id].stride[0] * dtype_size(n->type.dtype);
        arg[FIXED_PARAMS + i] =
            l_gep(cg, cg->i8, arg[FIXED_PARAMS + i], LLVMBuildNSWMul(cg->b, moved, l_i64(cg, row), ""));
    }
    LLVMBuildCall2(cg->b, type, codegen_callee(cg, symbol, type), arg, (unsigned)(FIXED_PARAMS + s->n), "");
}
