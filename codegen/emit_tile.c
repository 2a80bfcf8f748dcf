/* One tile of a nest: every stage over the tile's points, in registers; then the stores.
 *
 * A stage keeps one accumulator vector for every vector of points (times `chains` partial results), runs its
 * reduction loops around a body that takes each of its unrolled points, and leaves its values in
 * e->stage[]. If its lanes lie along reductions, an accumulator belongs to one point, and the lanes
 * are summed up at the end: VL accumulators at a time by a transposing tree. */
#include "codegen/nest_impl.h"

/* A stage being computed. */
typedef struct {
    const Stage *s;
    int          stage;
    Layout       out;           /* points */
    Layout       red;           /* reductions of one pass: lanes, and rows that are unrolled */
    bool         across;        /* lanes along reductions */
    bool         in_order;      /* an accumulator meets points in C order: the first of equal extremes comes first */
    int          width;         /* of the accumulators */
    int          nacc;          /* accumulators: out.rows * out.nvec * chains */
    bool        *dead;          /* per accumulator: no point counts */
    Val         *acc, *index, *seen;      /* per accumulator; index: argmax; seen: kinds that need a first point */
} Work;

typedef struct {
    Emit *e;
    int   n;                    /* stages that share the loops */
    Work *work;
    int   ncarry;
    Val   carry[MAX_ACC];
} Loops;

/* ---- kinds ------------------------------------------------------------------------------------------- */

static bool is_arg(Kind k) { return k == KIND_ARGMAX || k == KIND_ARGMIN; }
static bool is_least(Kind k) { return k == KIND_MIN || k == KIND_ARGMIN; }
static bool is_extreme(Kind k) { return k == KIND_MAX || k == KIND_MIN || is_arg(k); }

/* The value that a reduction starts from, as a number. */
static Val first_value(Codegen *cg, Kind k, DType d) {
    if (d == DT_PRED) return l_i1(cg, k == KIND_ALL);
    if (is_extreme(k)) {
        double inf = is_least(k) ? __builtin_inf() : -__builtin_inf();
        if (d == DT_F32) return l_f32(cg, inf);
        return LLVMConstInt(codegen_type(cg, d), (unsigned long long)(is_least(k) ? INT32_MAX : INT32_MIN), true);
    }
    int64_t one = k == KIND_PROD;
    return d == DT_F32 ? l_f32(cg, (double)one) : LLVMConstInt(codegen_type(cg, d), (unsigned long long)one, true);
}

/* Is x a better extreme than y? */
static Val better(Codegen *cg, Kind k, Val x, Val y) {
    bool real = l_element(x) == cg->f32;
    if (real) return l_fcmp(cg, is_least(k) ? LLVMRealOLT : LLVMRealOGT, x, y);
    return l_icmp(cg, is_least(k) ? LLVMIntSLT : LLVMIntSGT, x, y);
}

/* In an extreme a NaN counts as the worst value. It loses every comparison, so only an argmax, whose first point or tie
 * may win without one, has to replace it. */
static Val not_nan(Codegen *cg, Kind k, Val x) {
    if (l_element(x) != cg->f32) return x;
    Val worst = l_real_like(x, is_least(k) ? __builtin_inf() : -__builtin_inf());
    return l_select(cg, better(cg, k, x, worst), x, worst);
}

static Val combine(Codegen *cg, Kind k, Val x, Val y) {
    bool real = l_element(x) == cg->f32;
    switch (k) {
    case KIND_SUM: return real ? l_fadd(cg, x, y) : l_add(cg, x, y);
    case KIND_PROD: return real ? l_fmul(cg, x, y) : l_mul(cg, x, y);
    case KIND_ALL: return LLVMBuildAnd(cg->b, x, y, "");
    case KIND_ANY: return LLVMBuildOr(cg->b, x, y, "");
    default: return l_select(cg, better(cg, k, y, x), y, x);
    }
}

/* Of two argmax candidates the better, or the first of equals. */
static void combine_arg(Codegen *cg, Kind k, Val *x, Val *ix, Val y, Val iy) {
    Val more = better(cg, k, y, *x);
    Val tie = LLVMBuildNot(cg->b, LLVMBuildOr(cg->b, more, better(cg, k, *x, y), ""), "");
    Val take = LLVMBuildOr(cg->b, more, LLVMBuildAnd(cg->b, tie, l_icmp(cg, LLVMIntSLT, iy, *ix), ""), "");
    *x = l_select(cg, take, y, *x);
    *ix = l_select(cg, take, iy, *ix);
}

static Val first_of_equals(Codegen *cg, Val x, Val y, Val ix, Val iy) {
    Val tie = l_element(x) == cg->f32 ? l_fcmp(cg, LLVMRealOEQ, x, y) : l_icmp(cg, LLVMIntEQ, x, y);
    return LLVMBuildAnd(cg->b, tie, l_icmp(cg, LLVMIntSLT, ix, iy), "");
}

/* ---- the body of the reduction loops ------------------------------------------------------------------ */

/* A point of the tile and a point of the pass. */
static Point body_point(Emit *e, const Work *w, int row, int vec, const Point *red) {
    Point p = w->across ? *red : layout_point(e, &w->out, row, vec);
    if (w->across) {
        Point o = layout_point(e, &w->out, row, 0);
        for (int i = 0; i < w->out.nrow; i++)
            for (int k = 0; k < p.width; k++) p.off[w->out.row[i]][k] = o.off[w->out.row[i]][0];
        p.serial = o.serial;
        return p;
    }
    for (int i = 0; i < w->red.nrow; i++)
        for (int k = 0; k < p.width; k++) p.off[w->red.row[i]][k] = red->off[w->red.row[i]][0];
    return p;
}

/* A sum gets zeros in the lanes along reductions that do not count; other kinds get a mask. */
static Val lanes_mask(Emit *e, const Work *w, const Point *p) {
    Val  mask = guards_mask(e, w->s->nguard, w->s->guard, p);
    bool real_sum = w->s->kind == KIND_SUM && w->s->expr->dtype == DT_F32;
    if (!w->across || p->valid == p->width || real_sum) return mask;
    Val in = l_mask_const(e->cg, 0, p->valid, p->width);
    return mask ? LLVMBuildAnd(e->cg->b, widen(e, mask, p->width), in, "") : in;
}

/* v with zeros in the lanes that do not count; what comes straight from memory is loaded so. */
static Val clear_tail(Emit *e, Val v, const Point *p) {
    enum { MEMO_TAIL = 176 };
    Codegen *cg = e->cg;
    v = widen(e, v, p->width);
    Val old = memo_find(e, MEMO_TAIL, v, NULL, NULL, p->valid, 0);
    if (old) return old;
    Val in = l_mask_const(cg, 0, p->valid, p->width), zero = l_zero(LLVMTypeOf(v)), made;
    if (has_masks(e, DT_F32) && LLVMIsALoadInst(v))
        made = l_masked_load(cg, LLVMTypeOf(v), LLVMGetOperand(v, 0), dtype_size(DT_F32), in, zero);
    else made = l_select(cg, in, v, zero);
    return memo_add(e, MEMO_TAIL, v, NULL, NULL, p->valid, 0, made);
}

static void accumulate(Emit *e, Work *w, int acc, const Point *p) {
    Codegen    *cg = e->cg;
    const Expr *x = w->s->expr;
    if (guards_fail(e, w->s->nguard, w->s->guard, p)) return;
    Val *to = &w->acc[acc], old = *to, mask = lanes_mask(e, w, p);
    if (mask) mask = widen(e, mask, w->width);
    if (is_arg(w->s->kind)) {
        Val v = not_nan(cg, w->s->kind, widen(e, emit_eval(e, x, p), w->width)), more = better(cg, w->s->kind, v, old);
        Val index = widen(e, emit_index(e, &w->s->flat, p), w->width);
        if (!w->in_order) more = LLVMBuildOr(cg->b, more, first_of_equals(cg, v, old, index, w->index[acc]), "");
        if (w->seen) more = LLVMBuildOr(cg->b, more, LLVMBuildNot(cg->b, w->seen[acc], ""), "");
        if (mask) more = LLVMBuildAnd(cg->b, more, mask, "");
        *to = l_select(cg, more, v, old);
        w->index[acc] = l_select(cg, more, index, w->index[acc]);
    } else if (w->s->kind == KIND_SUM && x->op == SC_MUL && x->dtype == DT_F32) {
        Val a = emit_eval(e, x->arg[0], p), b = emit_eval(e, x->arg[1], p);
        if (w->across && p->valid < p->width) a = clear_tail(e, a, p), b = clear_tail(e, b, p);
        *to = l_fma(cg, widen(e, a, w->width), widen(e, b, w->width), old);
    } else {
        Val  v = widen(e, emit_eval(e, x, p), w->width);
        bool tail = w->across && p->valid < p->width && w->s->kind == KIND_SUM && x->dtype == DT_F32;
        *to = combine(cg, w->s->kind, old, tail ? clear_tail(e, v, p) : v);
    }
    if (mask && !is_arg(w->s->kind)) *to = l_select(cg, mask, *to, old);
    if (!w->seen) return;
    Val every = l_const_splat(l_i1(cg, true), w->width);
    w->seen[acc] = mask ? LLVMBuildOr(cg->b, w->seen[acc], mask, "") : every;
}

static bool is_product(const Stage *s) {
    return s->kind == KIND_SUM && s->expr->op == SC_MUL && s->expr->dtype == DT_F32;
}

/* Every point of the tile with one point of the pass. Of sums of products that share the loops each takes all points
 * before the next one: what they have in common stays in registers, what belongs to one is needed no longer. */
static void body_points(Loops *l, int u, int q, int chain) {
    const Layout *out = &l->work[0].out;
    bool          swap = l->work[0].s->vectors_first;
    int           points = out->rows * out->nvec, turns = is_product(l->work[0].s) ? l->n : 1, each = l->n / turns;
    for (int i = 0; i < turns * points; i++) {
        int at = i % points, r = swap ? at % out->rows : at / out->nvec, v = swap ? at / out->rows : at % out->nvec;
        for (int k = i / points * each; k < (i / points + 1) * each; k++) {
            Work *w = &l->work[k];
            Point red = layout_point(l->e, &w->red, u, q), p = body_point(l->e, w, r, v, &red);
            accumulate(l->e, w, (r * w->out.nvec + v) * w->s->chains + chain % w->s->chains, &p);
        }
    }
}

/* What one point of the pass loads may serve the next ones while there are registers for it. A value of memory that
 * waits for a later point in the stack's memory instead would be stored and loaded where it could just be loaded. */
static void body(Loops *l) {
    enum { TIGHT = 4 };         /* free registers */
    Emit *e = l->e;
    int   room = e->k->target.registers - 1;
    for (int k = 0; k < l->n; k++) {
        Work *w = &l->work[k];
        w->red = layout_of(e, w->s->nred, w->s->red, w->across ? w->s->nlane : 0, w->s->lane, w->s->width);
        if (w->across) w->red.width = w->width, w->red.nvec = (w->red.lanes + w->width - 1) / w->width;
        for (int i = 0; i < w->nacc; i++) room -= !w->dead[i];
    }
    const Layout *red = &l->work[0].red;
    if (l->work[0].stage == 0) emit_ask_next_tiles(e);
    e->loads = 0;
    e->in_order = room <= TIGHT && e->k->level >= 2;
    for (int i = 0, each = 0; i < red->rows * red->nvec; i++) {
        int before = e->loads;
        if (i && before + each > room && e->k->level >= 2) forget_loads(e), before = 0;
        body_points(l, i / red->nvec, i % red->nvec, i);
        if (i == 0) each = e->loads - before;
    }
    e->in_order = false;
}

/* ---- reduction loops ----------------------------------------------------------------------------------- */

static void gather_carry(Loops *l) {
    l->ncarry = 0;
    for (int k = 0; k < l->n; k++) {
        Work *w = &l->work[k];
        for (int i = 0; i < w->nacc; i++) {
            if (w->dead[i]) continue;
            if (l->ncarry + 3 > MAX_ACC) ICE("a tile of %d accumulators", w->nacc);
            l->carry[l->ncarry++] = w->acc[i];
            if (w->index) l->carry[l->ncarry++] = w->index[i];
            if (w->seen) l->carry[l->ncarry++] = w->seen[i];
        }
    }
}

static void spread_carry(Loops *l) {
    int c = 0;
    for (int k = 0; k < l->n; k++) {
        Work *w = &l->work[k];
        for (int i = 0; i < w->nacc; i++) {
            if (w->dead[i]) continue;
            w->acc[i] = l->carry[c++];
            if (w->index) w->index[i] = l->carry[c++];
            if (w->seen) w->seen[i] = l->carry[c++];
        }
    }
}

static void reduce_level(Loops *l, int level);

/* The body at every point of the list. */
static void list_loop(Loops *l) {
    Emit    *e = l->e;
    Codegen *cg = e->cg;
    int      slots = e->n->naccess + e->n->nstore, mark = e->memo.n;
    Val     *saved = arena_copy(e->a, e->ptr, sizeof *saved * (size_t)slots);
    gather_carry(l);
    Loop loop = l_loop(cg, l_i64(cg, 0), e->list_count, 1, l->ncarry, l->carry);
    spread_carry(l);
    Val move = list_move_at(e, loop.i);
    e->listed = list_value_at(e, loop.i);
    for (int i = 0; i < e->n->naccess; i++)
        if (e->n->access[i].listed)
            e->ptr[i] = l_gep(cg, codegen_memory_type(cg, e->n->access[i].dtype), e->ptr[i], move);
    body(l);
    gather_carry(l);
    l_loop_end(cg, &loop, l->carry);
    spread_carry(l);
    memcpy(e->ptr, saved, sizeof *saved * (size_t)slots);
    memo_restore(e, mark);
}

/* for v from lo to hi in steps: the levels inside, with `step` values at a time. */
static void reduce_loop(Loops *l, int level, int v, Val lo, Val hi, int64_t step, int64_t last) {
    Emit *e = l->e;
    int   slots = e->n->naccess + e->n->nstore, mark = e->memo.n;
    Val  *saved = arena_copy(e->a, e->ptr, sizeof *saved * (size_t)slots);
    gather_carry(l);
    Loop loop = l_loop(e->cg, lo, hi, step, l->ncarry, l->carry);
    spread_carry(l);
    e->base[v] = loop.i;
    e->base_max[v] = last;
    e->count[v] = step;
    move_pointers(e, v, loop.i);
    emit_ask_next_passes(e, l->work[0].s, level, l->work[0].nacc / l->work[0].s->chains, step);
    reduce_level(l, level + 1);
    gather_carry(l);
    l_loop_end(e->cg, &loop, l->carry);
    spread_carry(l);
    e->base[v] = NULL;
    memcpy(e->ptr, saved, sizeof *saved * (size_t)slots);
    memo_restore(e, mark);
}

static void reduce_level(Loops *l, int level) {
    Emit        *e = l->e;
    const Stage *s = l->work[0].s;
    if (level == s->nloop) {
        int mark = e->memo.n;
        body(l);
        memo_restore(e, mark);
        return;
    }
    int            v = s->loop[level];
    const NestVar *var = &e->n->var[v];
    int64_t        step = s->step[v], full = var->size / step * step;
    Val            zero = l_i64(e->cg, 0);
    if (full == var->size && full > step && peel_last(e, s->nguard, s->guard, v)) full -= step;
    bool           cut = e->n->cut && v == e->n->cut_var;
    if (var->bound || cut) {
        Val lo = cut ? e->cut_lo : zero, n = cut ? e->cut_hi : var_limit(e, v), whole = n;
        bool even = cut && !var->bound && var->size % step == 0 && e->n->cut % step == 0;
        if (step > 1 && !even)
            whole = l_sub(e->cg, n, LLVMBuildURem(e->cg->b, l_sub(e->cg, n, lo), l_i64(e->cg, step), ""));
        reduce_loop(l, level, v, lo, whole, step, var->size - 1);
        if (step > 1 && !even) reduce_loop(l, level, v, whole, n, 1, var->size - 1);
    } else {
        if (full == step) {
            e->count[v] = step;
            reduce_level(l, level + 1);
        } else if (full) {
            reduce_loop(l, level, v, zero, l_i64(e->cg, full), step, full - step);
        }
        e->konst[v] = full;
        e->count[v] = var->size - full;
        if (full < var->size) reduce_level(l, level + 1);
        e->konst[v] = 0;
    }
    e->count[v] = 1;
}

/* ---- a stage's result ---------------------------------------------------------------------------------- */

/* Chain 0 gets what all chains of an accumulator found; an argmax has one. */
static void combine_chains(Emit *e, Work *w) {
    Codegen *cg = e->cg;
    int      chains = w->s->chains, n = w->nacc / chains;
    for (int i = 0; i < n; i++) {
        Val *part = &w->acc[i * chains], *seen = w->seen ? &w->seen[i * chains] : NULL;
        for (int span = 1; span < chains; span *= 2)
            for (int c = 0; c + span < chains; c += 2 * span) {
                part[c] = combine(cg, w->s->kind, part[c], part[c + span]);
                if (seen) seen[c] = LLVMBuildOr(cg->b, seen[c], seen[c + span], "");
            }
        w->acc[i] = part[0];
        if (w->index) w->index[i] = w->index[i * chains];
        if (seen) w->seen[i] = seen[0];
    }
    w->nacc = n;
}

/* n <= width vectors -> one vector whose lane j is the sum of all lanes of v[j] (other lanes: any value). */
static Val transposed_sums(Codegen *cg, Val *v, int n, int width) {
    Val t[POINT_LANES];
    for (int i = 0; i < width; i++) t[i] = i < n ? v[i] : NULL;
    for (int live = width, w = width / 2; live > 1; live /= 2, w /= 2)
        for (int i = 0, h = live / 2; i < h; i++) {
            Val a = t[i], b = t[i + h] ? t[i + h] : a;
            int low[POINT_LANES], high[POINT_LANES];
            if (!a) continue;
            for (int j = 0; j < width; j++) {
                int block = j / (2 * w) * 2 * w, q = j % (2 * w);
                low[j] = q < w ? block + q : width + block + q - w;
                high[j] = low[j] + w;
            }
            t[i] = l_fadd(cg, l_shuffle(cg, a, b, low, width), l_shuffle(cg, a, b, high, width));
        }
    return t[0];
}

static Val kind_tree(Codegen *cg, Kind k, Val v) {
    for (int n = l_lanes(v) / 2; n >= 1; n /= 2) {
        int low[POINT_LANES], high[POINT_LANES];
        for (int i = 0; i < n; i++) low[i] = i, high[i] = n + i;
        v = combine(cg, k, l_shuffle(cg, v, NULL, low, n), l_shuffle(cg, v, NULL, high, n));
    }
    return v;
}

static Val arg_tree(Codegen *cg, Kind k, Val v, Val ix) {
    for (int n = l_lanes(v) / 2; n >= 1; n /= 2) {
        int low[POINT_LANES], high[POINT_LANES];
        for (int i = 0; i < n; i++) low[i] = i, high[i] = n + i;
        Val x = l_shuffle(cg, v, NULL, low, n), i = l_shuffle(cg, ix, NULL, low, n);
        combine_arg(cg, k, &x, &i, l_shuffle(cg, v, NULL, high, n), l_shuffle(cg, ix, NULL, high, n));
        v = x, ix = i;
    }
    return ix;
}

/* Accumulators of a stage with lanes along reductions become numbers, packed into vectors. */
static void sum_lanes(Emit *e, Work *w, StageValue *to) {
    Codegen *cg = e->cg;
    bool     real_sum = w->s->kind == KIND_SUM && w->s->expr->dtype == DT_F32;
    int      n = w->nacc;
    if (w->width == 1 || (real_sum && n > 1)) {
        to->pack = w->width;
        to->v = ARENA_ARRAY(e->a, Val, (n + w->width - 1) / w->width);
        for (int i = 0; i < n; i += w->width) {
            int some = n - i < w->width ? n - i : w->width;
            Val *from = w->index ? w->index + i : w->acc + i;
            to->v[i / w->width] = w->width == 1 ? from[0] : transposed_sums(cg, from, some, w->width);
        }
        return;
    }
    to->pack = 1;
    to->v = ARENA_ARRAY(e->a, Val, n);
    for (int i = 0; i < n; i++)
        to->v[i] = w->index ? arg_tree(cg, w->s->kind, w->acc[i], w->index[i]) : kind_tree(cg, w->s->kind, w->acc[i]);
}

/* Where no point counted, an extreme is 0. */
static void empty_is_zero(Emit *e, Work *w) {
    for (int i = 0; i < w->nacc && w->seen && !w->index; i++)
        w->acc[i] = l_select(e->cg, w->seen[i], w->acc[i], l_zero(LLVMTypeOf(w->acc[i])));
}

static void take_up_numbers(Emit *e, const Work *w, StageValue *to);

static void finish(Emit *e, Work *w) {
    StageValue *to = &e->stage[w->stage];
    combine_chains(e, w);
    to->layout = w->out;
    if (w->across) {
        if (w->seen) ICE("lanes along a guarded extreme");
        sum_lanes(e, w, to);
        if (e->n->cut) take_up_numbers(e, w, to);
        return;
    }
    empty_is_zero(e, w);
    to->pack = w->out.width;
    to->v = ARENA_ARRAY(e->a, Val, w->nacc);
    memcpy(to->v, w->index ? w->index : w->acc, sizeof(Val) * (size_t)w->nacc);
}

/* ---- stages ------------------------------------------------------------------------------------------- */

static bool in_list(const int *list, int n, int v) {
    for (int i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

static int place_in(const int *list, int n, int v) {
    int i = 0;
    while (i < n && list[i] != v) i++;
    return i;
}

/* All points of reduction v that one pass takes, or one lane of it, follow each other; so v may stand outside u only
 * if its loop does and no pass takes several v before the next u. */
static bool in_order(const Nest *n, const Stage *s) {
    for (int i = 0; i < s->nred; i++)
        for (int k = i + 1; k < s->nred; k++) {
            int v = s->red[i], u = s->red[k];
            if (n->var[v].size == 1 || n->var[u].size == 1) continue;
            if (s->flat.k[v] < s->flat.k[u]) return false;
            if (place_in(s->loop, s->nloop, v) > place_in(s->loop, s->nloop, u)) return false;
            if (s->step[v] > 1 && s->step[u] < n->var[u].size) return false;
            if (in_list(s->lane, s->nlane, v) && !in_list(s->lane, s->nlane, u)) return false;
        }
    return true;
}

/* In all turns but the first, sums go on from what the last one has left in store 0. */
static void take_up(Emit *e, Work *w) {
    for (int r = 0; r < w->out.rows; r++)
        for (int q = 0; q < w->out.nvec; q++) {
            Val  *acc = &w->acc[(r * w->out.nvec + q) * w->s->chains];
            Point p = layout_point(e, &w->out, r, q);
            *acc = l_select(e->cg, e->cut_first, *acc, widen(e, stored_at(e, 0, &p), w->width));
        }
}

/* With lanes along reductions it is the numbers that go on. */
static void take_up_numbers(Emit *e, const Work *w, StageValue *to) {
    Codegen *cg = e->cg;
    for (int i = 0; i < w->nacc; i += to->pack) {
        Val *sum = &to->v[i / to->pack], old = l_zero(LLVMTypeOf(*sum));
        for (int k = 0; k < to->pack && i + k < w->nacc; k++) {
            Point p = layout_point(e, &w->out, i + k, 0);
            Val   x = stored_at(e, 0, &p);
            old = l_lanes(old) == 1 ? x : l_insert(cg, old, x, k);
        }
        *sum = l_select(cg, e->cut_first, *sum, l_fadd(cg, old, *sum));
    }
}

static void leave_numbers(Emit *e, const StageValue *s) {
    for (int r = 0; r < s->layout.rows; r++) {
        Point p = layout_point(e, &s->layout, r, 0);
        Val   v = s->v[r / s->pack];
        store_at(e, 0, &p, l_lanes(v) == 1 ? v : l_extract(e->cg, v, r % s->pack));
    }
}

static void leave_off(Emit *e) {
    const StageValue *s = &e->stage[0];
    const Stage      *stage = &e->n->stage[0];
    if (stage->nlane && in_list(stage->red, stage->nred, stage->lane[0])) {
        leave_numbers(e, s);
        return;
    }
    for (int r = 0; r < s->layout.rows; r++)
        for (int q = 0; q < s->layout.nvec; q++) {
            Point p = layout_point(e, &s->layout, r, q);
            store_at(e, 0, &p, s->v[r * s->layout.nvec + q]);
        }
}

/* Accumulators for which the guards fail over all reductions: they stay what they are at the start, and no loop carries
 * them. */
static void find_dead(Emit *e, Work *w) {
    const Stage *s = w->s;
    w->dead = ARENA_ARRAY(e->a, bool, w->nacc);
    if (!s->nguard || w->across) return;
    for (int i = 0; i < s->nred; i++) {
        e->base[s->red[i]] = l_i64(e->cg, 0);
        e->base_max[s->red[i]] = e->n->var[s->red[i]].size - 1;
    }
    for (int i = 0; i < w->nacc; i++) {
        int   at = i / s->chains;
        Point p = layout_point(e, &w->out, at / w->out.nvec, at % w->out.nvec);
        w->dead[i] = guards_fail(e, s->nguard, s->guard, &p);
    }
    for (int i = 0; i < s->nred; i++) e->base[s->red[i]] = NULL;
}

static void start(Emit *e, Work *w, int stage) {
    Codegen     *cg = e->cg;
    const Stage *s = &e->n->stage[stage];
    for (int i = 0; i < s->nwin; i++) e->count[s->win[i]] = e->n->var[s->win[i]].size;
    *w = (Work){.s = s, .stage = stage, .across = s->nlane && in_list(s->red, s->nred, s->lane[0])};
    w->in_order = in_order(e->n, s);
    w->out = layout_of(e, s->npoint, s->point, w->across ? 0 : s->nlane, s->lane, s->width);
    w->width = w->across ? s->width : w->out.width;
    w->nacc = w->out.rows * w->out.nvec * s->chains;
    w->acc = ARENA_ARRAY(e->a, Val, w->nacc);
    if (is_arg(s->kind)) w->index = ARENA_ARRAY(e->a, Val, w->nacc);
    if (is_extreme(s->kind) && s->nguard) w->seen = ARENA_ARRAY(e->a, Val, w->nacc);
    for (int i = 0; i < w->nacc; i++) {
        w->acc[i] = l_const_splat(first_value(cg, s->kind, s->expr->dtype), w->width);
        if (w->index) w->index[i] = l_const_splat(l_i32(cg, 0), w->width);
        if (w->seen) w->seen[i] = l_const_splat(l_i1(cg, false), w->width);
    }
    if (e->n->cut && !w->across) take_up(e, w);
    find_dead(e, w);
}

/* The stage and those that run in its loops or go on from it; their number. */
static int emit_stages(Emit *e, int stage) {
    Work  work[MAX_STAGES];
    Loops l = {.e = e, .work = work};
    do {
        start(e, &work[l.n], stage + l.n);
        l.n++;
    } while (stage + l.n < e->n->nstage && e->n->stage[stage + l.n].joined);
    if (e->n->list.on) list_loop(&l);
    else reduce_level(&l, 0);
    int done = l.n;
    for (; stage + done < e->n->nstage && e->n->stage[stage + done].goes_on; done++) {
        work[0].s = &e->n->stage[stage + done];
        work[0].stage = stage + done;
        reduce_level(&l, 0);
    }
    for (int i = 0; i < l.n; i++) finish(e, &work[i]);
    for (int i = 0; i < work[0].s->nwin; i++) e->count[work[0].s->win[i]] = 1;
    return done;
}

static void emit_points(Emit *e) {
    int vars[MAX_VARS];
    for (int v = 0; v < e->n->nout; v++) vars[v] = v;
    Layout l = layout_of(e, e->n->nout, vars, e->n->nlane, e->n->lane, e->n->width);
    for (int r = 0; r < l.rows; r++)
        for (int q = 0; q < l.nvec; q++) {
            Val   v[MAX_STORES];
            Point p = layout_point(e, &l, r, q);
            bool  none[MAX_STORES];
            for (int i = 0; i < e->n->nstore; i++) {
                none[i] = guards_fail(e, e->n->store[i].nguard, e->n->store[i].guard, &p);
                if (!none[i]) v[i] = emit_eval(e, e->n->store[i].expr, &p);
                if (!none[i] && e->n->adds) v[i] = l_fadd(e->cg, stored_at(e, i, &p), widen(e, v[i], p.width));
            }
            for (int i = 0; i < e->n->nstore; i++)
                if (!none[i]) store_at(e, i, &p, v[i]);
        }
}

/* Can the values of all stages be taken row by row, out v making the rows? */
static bool has_rows(const Emit *e, int v) {
    for (int i = 0; i < e->n->nstage; i++) {
        const StageValue *s = &e->stage[i];
        if (!s->v) continue;            /* another goes on from it */
        if (!s->layout.nlane || s->layout.rows != e->count[v] || s->pack != s->layout.width) return false;
        if (l_element(s->v[0]) != e->cg->f32) return false;
    }
    return e->count[v] > 1;
}

/* A stage's values in the stack's memory. */
static Val put_down(Emit *e, const StageValue *s) {
    Codegen *cg = e->cg;
    int      n = s->layout.rows * s->layout.nvec;
    Ty       t = LLVMTypeOf(s->v[0]);
    Val      at = l_alloca(cg, LLVMArrayType2(t, (uint64_t)n));
    for (int i = 0; i < n; i++) l_store(cg, s->v[i], l_gep_const(cg, t, at, i), 4 * s->pack);
    return at;
}

/* Row i of what lies there. */
static void take_row(Emit *e, StageValue *s, int v, Val at, Val i) {
    Codegen *cg = e->cg;
    Ty       t = LLVMTypeOf(s->v[0]);
    Val      row = l_gep(cg, t, at, LLVMBuildNSWMul(cg->b, i, l_i64(cg, s->layout.nvec), ""));
    s->v = ARENA_ARRAY(e->a, Val, s->layout.nvec);
    s->layout.count[v] = s->layout.rows = 1;
    for (int q = 0; q < s->layout.nvec; q++) s->v[q] = l_load(cg, t, l_gep_const(cg, t, row, q), 4 * s->pack);
}

/* The stores of the tile, its rows in a loop over the values of out v. */
static void emit_rows(Emit *e, int v) {
    Codegen *cg = e->cg;
    int      slots = e->n->naccess + e->n->nstore, mark = e->memo.n;
    int64_t  count = e->count[v], low = e->base_min[v], high = e->base_max[v];
    Val     *ptr = arena_copy(e->a, e->ptr, sizeof *ptr * (size_t)slots), base = e->base[v], at[MAX_STAGES];
    for (int i = 0; i < e->n->nstage; i++)
        if (e->stage[i].v) at[i] = put_down(e, &e->stage[i]);
    Loop loop = l_loop(cg, l_i64(cg, 0), l_i64(cg, count), 1, 0, NULL);
    for (int i = 0; i < e->n->nstage; i++)
        if (e->stage[i].v) take_row(e, &e->stage[i], v, at[i], loop.i);
    if (!base) e->base_min[v] = e->base_max[v] = 0;
    e->base[v] = base ? l_add(cg, base, loop.i) : loop.i;
    e->base_max[v] += count - 1;
    e->count[v] = 1;
    move_pointers(e, v, loop.i);
    emit_points(e);
    l_loop_end(cg, &loop, NULL);
    e->count[v] = count;
    e->base[v] = base;
    e->base_min[v] = low;
    e->base_max[v] = high;
    memcpy(e->ptr, ptr, sizeof *ptr * (size_t)slots);
    memo_restore(e, mark);
}

static void emit_stores(Emit *e) {
    if (e->n->row_loop && has_rows(e, e->n->row_loop - 1)) emit_rows(e, e->n->row_loop - 1);
    else emit_points(e);
}

void emit_tile(Emit *e) {
    int mark = e->memo.n;
    emit_prefetch(e);
    for (int s = 0; s < e->n->nstage;) s += emit_stages(e, s);
    if (e->n->cut) {
        int inside = e->memo.n;
        If  last = l_if(e->cg, e->cut_last);
        emit_stores(e);
        memo_restore(e, inside);
        l_if_end(e->cg, &last);
        If rest = l_if(e->cg, LLVMBuildNot(e->cg->b, e->cut_last, ""));
        leave_off(e);
        l_if_end(e->cg, &rest);
    } else {
        emit_stores(e);
    }
    memo_restore(e, mark);
}
