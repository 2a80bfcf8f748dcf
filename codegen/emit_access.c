/* Loads and stores of a vector of points. What the lanes' offsets look like decides: one number for all, one vector,
 * a few runs or a small span put together by shuffles, or lane by lane. Up to a vector past the end of a tensor may
 * be read (its place has slack); nothing outside of it is written. */
#include <stdlib.h>

#include "codegen/nest_impl.h"

enum { MEMO_LOAD = 160, MEMO_LANES, MEMO_MOVE, MEMO_MASK, MEMO_SCALARS, MEMO_RANDOM, MEMO_TABLE, MEMO_TURNED };

static int node_slot(const Emit *e, int store) { return e->n->naccess + store; }

bool has_masks(const Emit *e, DType d) {
    return e->cg->target.arch == ARCH_X86_64 && e->cg->target.width >= 8 && dtype_size(d) == 4;
}

/* A masked store is one fast instruction from AVX-512 on; before, several stores are faster on many processors. */
static bool has_masked_store(const Emit *e, DType d) {
    return has_masks(e, d) && strstr(e->cg->target.features, "+avx512vl");
}

/* A mask in the form that mask_lane takes: a number where masks have registers of their own, from which one lane comes
 * by a shift and a move. */
static Val mask_lanes(Emit *e, Val mask) {
    return l_lanes(mask) > 1 && has_masked_store(e, DT_F32) ? l_mask_bits(e->cg, mask) : mask;
}

/* A mask of one value is that of all lanes. */
static Val mask_lane(Emit *e, Val mask, int lane) {
    Codegen *cg = e->cg;
    if (LLVMTypeOf(mask) != cg->i64) return l_extract(cg, mask, l_lanes(mask) == 1 ? 0 : lane);
    Val bit = LLVMBuildAnd(cg->b, mask, l_i64(cg, (int64_t)1 << lane), "");
    return LLVMBuildICmp(cg->b, LLVMIntNE, bit, l_i64(cg, 0), "");
}

void move_pointers(Emit *e, int v, Val i) {
    Codegen *cg = e->cg;
    for (int k = 0; k < e->n->naccess + e->n->nstore; k++) {
        bool        load = k < e->n->naccess;
        const Lin  *off = load ? &e->n->access[k].off : &e->n->store[k - e->n->naccess].off;
        const Node *node = load ? e->n->access[k].node : e->n->store[k - e->n->naccess].node;
        if (!off->k[v] || !e->ptr[k]) continue;
        Val moved = memo_find(e, MEMO_MOVE, e->ptr[k], i, NULL, off->k[v], node->type.dtype);
        if (!moved) {
            Val by = off->k[v] == 1 ? i : LLVMBuildNSWMul(cg->b, i, l_i64(cg, off->k[v]), "");
            moved = l_gep(cg, codegen_memory_type(cg, node->type.dtype), e->ptr[k], by);
            memo_add(e, MEMO_MOVE, e->ptr[k], i, NULL, off->k[v], node->type.dtype, moved);
        }
        e->ptr[k] = moved;
    }
}

/* ---- guards ------------------------------------------------------------------------------------------ */

/* What a guard's form may be in each lane: c[lane] + lo .. c[lane] + hi. False if it is not known. */
static bool guard_values(const Emit *e, const Guard *g, const Point *p, int64_t c[POINT_LANES], int64_t *lo,
                         int64_t *hi) {
    *lo = *hi = 0;
    for (int v = 0; v < e->n->nvar; v++) {
        int64_t k = g->lin.k[v];
        if (k && e->n->var[v].div) return false;
        if (!k || !e->base[v]) continue;
        *lo += k * (k < 0 ? e->base_max[v] : e->base_min[v]);
        *hi += k * (k < 0 ? e->base_min[v] : e->base_max[v]);
    }
    lin_offsets(e, &g->lin, p, c);
    return true;
}

/* Does the guard hold at all points of p, whatever the open loops' counters are? */
static bool always_holds(const Emit *e, const Guard *g, const Point *p) {
    int64_t c[POINT_LANES], lo, hi;
    if (!guard_values(e, g, p, c, &lo, &hi)) return false;
    for (int i = 0; i < p->width; i++)
        if (c[i] + lo < 0 || c[i] + hi >= g->size) return false;
    return !g->bound;
}

bool guards_fail(const Emit *e, int n, const Guard *g, const Point *p) {
    for (int k = 0; k < n; k++) {
        int64_t c[POINT_LANES], lo, hi;
        bool    fails = guard_values(e, &g[k], p, c, &lo, &hi);
        for (int i = 0; i < p->width && fails; i++) fails = c[i] + hi < 0 || c[i] + lo >= g[k].size;
        if (fails) return true;
    }
    return false;
}

static bool can_fail_at(const Emit *e, int n, const Guard *g, int v, bool end) {
    for (int k = 0; k < n; k++) {
        if (!guard_settles(e->n, &g[k], v)) continue;
        int64_t lo, hi;
        lin_range(e->n, &g[k].lin, &lo, &hi);
        bool high = hi >= g[k].size, low = lo < 0;
        if (g[k].lin.k[v] > 0 ? (end ? high : low) : (end ? low : high)) return true;
    }
    return false;
}

bool peel_first(const Emit *e, int n, const Guard *g, int v) { return can_fail_at(e, n, g, v, false); }
bool peel_last(const Emit *e, int n, const Guard *g, int v) { return can_fail_at(e, n, g, v, true); }

static Val both(Emit *e, Val x, Val y) {
    if (!x || !y) return x ? x : y;
    int w = l_lanes(x) > l_lanes(y) ? l_lanes(x) : l_lanes(y);
    return LLVMBuildAnd(e->cg->b, widen(e, x, w), widen(e, y, w), "");
}

static Val guard_mask(Emit *e, const Guard *g, const Point *p) {
    Codegen *cg = e->cg;
    if (always_holds(e, g, p)) return NULL;
    Val at = emit_index(e, &g->lin, p), limit = l_int_like(at, g->size);
    if (g->bound) limit = widen(e, LLVMBuildTrunc(cg->b, bound_value(e, g->bound), cg->i32, ""), l_lanes(at));
    Val ok = l_icmp(cg, LLVMIntULT, at, limit);
    for (int v = 0; v < e->n->nvar; v++) {
        const NestVar *var = &e->n->var[v];
        if (!g->lin.k[v] || !var->div) continue;
        Lin only = lin_var(v);
        Val num = emit_index(e, &var->num, p), q = emit_index(e, &only, p);
        ok = both(e, ok, l_icmp(cg, LLVMIntEQ, num, l_mul(cg, q, l_int_like(q, var->div))));
    }
    return ok;
}

Val guards_mask(Emit *e, int n, const Guard *g, const Point *p) {
    Val all = NULL;
    for (int i = 0; i < n; i++) {
        Val m = memo_find(e, MEMO_MASK, &g[i], NULL, NULL, p->serial, 0);
        if (!m) {
            m = guard_mask(e, &g[i], p);
            if (m) memo_add(e, MEMO_MASK, &g[i], NULL, NULL, p->serial, 0, m);
        }
        all = both(e, all, m);
    }
    return all;
}

/* ---- loads ------------------------------------------------------------------------------------------- */

/* One access at a vector of points: address `ptr` + off[lane] elements. */
typedef struct {
    DType   dtype;
    Ty      element;            /* in memory */
    Val     ptr, origin;        /* origin: an address that can be read */
    Val     index;              /* i32: elements beyond ptr + off; NULL, or one per lane */
    Val     mask;               /* i1, NULL: all */
    int     width, valid;
    int64_t off[POINT_LANES];
} Lanes;

/* From the form in memory to the form in registers. */
static Val from_memory(Emit *e, DType d, Val v) {
    return d == DT_PRED ? l_icmp(e->cg, LLVMIntNE, v, l_zero(LLVMTypeOf(v))) : v;
}

/* Within the thread: no instruction, but LLVM moves no load across it and takes no value of memory across it. */
static void fence(Emit *e) { LLVMBuildFence(e->cg->b, LLVMAtomicOrderingSequentiallyConsistent, true, ""); }

static Val load_plain(Emit *e, const Lanes *l, int64_t off, int width) {
    Codegen *cg = e->cg;
    int64_t  form = width + (e->epoch << 8);
    Val      old = memo_find(e, MEMO_LOAD, l->ptr, NULL, NULL, off, form);
    if (old) return old;
    e->loads++;
    if (e->in_order) fence(e);
    Val v = l_load(cg, l_vec(l->element, width), l_gep_const(cg, l->element, l->ptr, off), dtype_size(l->dtype));
    return memo_add(e, MEMO_LOAD, l->ptr, NULL, NULL, off, form, v);
}

void forget_loads(Emit *e) {
    fence(e);
    e->epoch++;
    e->loads = 0;
}

/* Does the target load scattered numbers by one instruction? That is short code, but hardly faster than number by
 * number: wanted at the end of a tile only. */
static bool has_gather(const Emit *e, DType d, int width) {
    return e->n->nstage > 0 && width >= 8 && dtype_size(d) == 4 && strstr(e->cg->target.features, "+avx2");
}

static Val gather_lanes(Emit *e, const Lanes *l) {
    Codegen *cg = e->cg;
    Ty       t = l_vec(l->element, l->width);
    Val      lane[POINT_LANES], mask = l_mask_const(cg, 0, l->valid, l->width);
    for (int i = 0; i < l->width; i++) lane[i] = l_i32(cg, l->off[i]);
    Val at = LLVMConstVector(lane, (unsigned)l->width);
    if (l->index) at = l_add(cg, at, widen(e, l->index, l->width));
    return l_gather(cg, t, LLVMBuildGEP2(cg->b, l->element, l->ptr, &at, 1, ""), dtype_size(l->dtype), mask, l_zero(t));
}

/* Lane by lane; where the mask fails the origin is read instead. */
static Val load_lanes(Emit *e, const Lanes *l) {
    Codegen *cg = e->cg;
    Val      r = LLVMGetPoison(l_vec(l->element, l->width));
    if (!l->mask && l->index && has_gather(e, l->dtype, l->width)) return gather_lanes(e, l);
    Val mask = l->mask ? mask_lanes(e, l->mask) : NULL;
    for (int i = 0; i < l->valid; i++) {
        Val at = l_gep_const(cg, l->element, l->ptr, l->off[i]);
        if (l->index) {
            Val lane = l_extract(cg, l->index, l_lanes(l->index) == 1 ? 0 : i);
            at = l_gep(cg, l->element, at, LLVMBuildSExt(cg->b, lane, cg->i64, ""));
        }
        if (mask) at = l_select(cg, mask_lane(e, mask, i), at, l->origin);
        Val x = l_load(cg, l->element, at, dtype_size(l->dtype));
        r = l->width == 1 ? x : l_insert(cg, r, x, i);
    }
    return r;
}

/* Runs of consecutive offsets, each loaded as a vector that begins with the run. */
static Val load_runs(Emit *e, const Lanes *l, int nrun, const int *start) {
    Codegen *cg = e->cg;
    int      each = l->width / nrun, iota[POINT_LANES];
    bool     equal = nrun * each == l->width && (nrun == 2 || nrun == 4) && l->valid == l->width;
    for (int i = 0; i < nrun; i++) equal &= start[i] == i * each;
    for (int i = 0; i < l->width; i++) iota[i] = i;
    if (equal) {
        Val part[4];
        for (int i = 0; i < nrun; i++) part[i] = load_plain(e, l, l->off[start[i]], each);
        for (int n = nrun, w = 2 * each; n > 1; n /= 2, w *= 2)
            for (int i = 0; i < n / 2; i++) part[i] = l_shuffle(cg, part[2 * i], part[2 * i + 1], iota, w);
        return part[0];
    }
    Val r = load_plain(e, l, l->off[0], l->width);
    for (int k = 1; k < nrun; k++) {
        int index[POINT_LANES];
        for (int i = 0; i < l->width; i++) index[i] = i < start[k] ? i : l->width + i - start[k];
        r = l_shuffle(cg, r, load_plain(e, l, l->off[start[k]], l->width), index, l->width);
    }
    return r;
}

/* Offsets within a few vectors from the smallest: those vectors, then one shuffle for each but the first. */
static Val load_span(Emit *e, const Lanes *l, int64_t low, int pieces) {
    Val r = NULL;
    for (int k = 0; k < pieces; k++) {
        int  index[POINT_LANES];
        bool any = false;
        for (int i = 0; i < l->width; i++) {
            int64_t at = l->off[i] - low;
            bool    here = at / l->width == k;
            any |= here;
            index[i] = r ? (here ? l->width + (int)(at % l->width) : i) : here ? (int)(at % l->width) : -1;
        }
        if (!any) continue;
        Val x = load_plain(e, l, low + k * l->width, l->width);
        r = l_shuffle(e->cg, r ? r : x, r ? x : NULL, index, l->width);
    }
    return r;
}

static int find_runs(const Lanes *l, int *start) {
    int n = 0;
    for (int i = 0; i < l->valid; i++)
        if (i == 0 || l->off[i] != l->off[i - 1] + 1) start[n++] = i;
    return n;
}

static Val load_pattern(Emit *e, const Lanes *l) {
    int     start[POINT_LANES], nrun = find_runs(l, start);
    int64_t low = l->off[0], high = l->off[0];
    if (nrun == 1) return load_plain(e, l, l->off[0], l->width);
    for (int i = 1; i < l->valid; i++) {
        if (l->off[i] < low) low = l->off[i];
        if (l->off[i] > high) high = l->off[i];
    }
    int64_t pieces = (high - low) / l->width + 1;
    if (nrun <= 4 && nrun <= pieces) return load_runs(e, l, nrun, start);
    if (pieces <= 4) return load_span(e, l, low, (int)pieces);
    return load_lanes(e, l);
}

/* ---- loads by transposition --------------------------------------------------------------------------- */

/* Lanes far apart, and a variable v that walks along memory while the lanes stay: four of its values in all lanes are
 * loaded as four numbers from each lane's place, and turned. Every group of 4 lanes is a 4 x 4 block. */
enum { TURN = 4 };

/* A variable that is the same in all lanes, moves the access by 1, and has some values from p on; -1: none. */
static int turning_variable(const Emit *e, const Lin *off, const Point *p) {
    for (int v = 0; v < e->n->nvar; v++)
        if (off->k[v] == 1 && all_equal(p->off[v], p->width) && e->count[v] - p->off[v][0] / TURN * TURN > 1) return v;
    return -1;
}

/* Numbers first .. first + 3 of the places of lanes j, 4 + j, 8 + j, ..., one after the other. */
static Val load_quarters(Emit *e, const Lanes *l, int j, int64_t first) {
    Val part[POINT_LANES / TURN];
    int n = l->width / TURN, iota[POINT_LANES];
    for (int i = 0; i < l->width; i++) iota[i] = i;
    for (int q = 0; q < n; q++) part[q] = load_plain(e, l, l->off[TURN * q + j] + first, TURN);
    for (int w = 2 * TURN; n > 1; n /= 2, w *= 2)
        for (int q = 0; q < n / 2; q++) part[q] = l_shuffle(e->cg, part[2 * q], part[2 * q + 1], iota, w);
    return part[0];
}

/* Of pairs of `unit` lanes within 4: the low ones (high: the others) of a and b by turns. */
static Val interleave(Codegen *cg, Val a, Val b, int unit, bool high) {
    int index[POINT_LANES], width = l_lanes(a);
    for (int i = 0; i < width; i++) {
        int at = i % TURN, from = at / (2 * unit) * unit + at % unit + (high ? TURN / 2 : 0);
        index[i] = i / TURN * TURN + from + (at / unit % 2 ? width : 0);
    }
    return l_shuffle(cg, a, b, index, width);
}

static Val load_turned(Emit *e, const Lanes *l, int64_t at) {
    Codegen *cg = e->cg;
    int64_t  first = -(at % TURN), key = (l->off[1] - l->off[0]) * POINT_LANES + l->valid;
    Val      old = memo_find(e, MEMO_TURNED, l->ptr, NULL, NULL, l->off[0], key), x[TURN], y[TURN];
    if (old) return old;
    for (int j = 0; j < TURN; j++) x[j] = load_quarters(e, l, j, first);
    for (int j = 0; j < TURN; j++) y[j] = interleave(cg, x[j / 2 * 2], x[j / 2 * 2 + 1], 1, j % 2);
    for (int j = 0; j < TURN; j++) {
        x[j] = interleave(cg, y[j / 2], y[2 + j / 2], 2, j % 2);
        memo_add(e, MEMO_TURNED, l->ptr, NULL, NULL, l->off[0] + first + j, key, x[j]);
    }
    return x[at % TURN];
}

/* Lanes with one distance between them (those that do not count repeat the last), too far apart for a few vectors. */
static bool far_apart(const Lanes *l) {
    int64_t by = l->off[1] - l->off[0];
    for (int i = 1; i < l->valid; i++)
        if (l->off[i] != l->off[0] + i * by) return false;
    return l->width % TURN == 0 && l->valid > 2 && llabs(by) * (l->valid - 1) / l->width >= 4;
}

static Val load_masked(Emit *e, const Lanes *l) {
    Codegen *cg = e->cg;
    if (l->width > 1 && has_masks(e, l->dtype) && consecutive(l->off, l->valid)) {
        Ty  t = l_vec(l->element, l->width);
        Val mask = widen(e, l->mask, l->width);
        if (l->valid < l->width) mask = LLVMBuildAnd(cg->b, mask, l_mask_const(cg, 0, l->valid, l->width), "");
        Val at = l_gep_const(cg, l->element, l->ptr, l->off[0]);
        return l_masked_load(cg, t, at, dtype_size(l->dtype), mask, l_zero(t));
    }
    Val v = load_lanes(e, l);
    return l_select(cg, widen(e, l->mask, l->width), v, l_zero(LLVMTypeOf(v)));
}

/* Where a guard that lanes differ in fails, does every lane still stay within half the slack of its tensor? Then it can
 * be loaded all the same: what is loaded spans no more than the other half. Guards that all lanes share are left out:
 * where one fails, the origin is read. */
static bool fails_nearby(const Emit *e, const Access *a, const Point *p, const Lanes *l) {
    int64_t far = 0, low = l->off[0], high = l->off[0];
    if (e->k->place[a->node->id].space != SPACE_ARENA || l->width == 1) return false;
    for (int i = 0; i < p->width; i++) {
        if (l->off[i] < low) low = l->off[i];
        if (l->off[i] > high) high = l->off[i];
    }
    for (int i = 0; i < a->nguard; i++) {
        const Guard *g = &a->guard[i];
        int64_t      c[POINT_LANES], lo, hi;
        for (int v = 0; v < e->n->nvar; v++)
            if (g->lin.k[v] && e->n->var[v].div) return false;
        lin_offsets(e, &g->lin, p, c);
        if (all_equal(c, p->width)) continue;
        if (g->bound) return false;
        lin_range(e->n, &g->lin, &lo, &hi);
        int64_t off = lo < 0 ? -lo : 0;
        if (hi - g->size + 1 > off) off = hi - g->size + 1;
        far += off * g->stride;
    }
    int64_t size = dtype_size(a->dtype);
    return far * size <= ARENA_SLACK / 2 && (high - low + l->width) * size <= ARENA_SLACK / 2;
}

/* The guards that all lanes share. */
static Val shared_mask(Emit *e, const Access *a, const Point *p) {
    Val all = NULL;
    for (int i = 0; i < a->nguard; i++) {
        int64_t c[POINT_LANES];
        lin_offsets(e, &a->guard[i].lin, p, c);
        if (all_equal(c, p->width)) all = both(e, all, guards_mask(e, 1, &a->guard[i], p));
    }
    return all;
}

static Val load_nearby(Emit *e, Lanes *l, Val shared) {
    Codegen *cg = e->cg;
    Val      mask = l->mask;
    int64_t  low = l->off[0];
    for (int i = 1; i < l->width; i++)
        if (l->off[i] < low) low = l->off[i];
    if (shared) {
        l->ptr = l_select(cg, shared, l_gep_const(cg, l->element, l->ptr, low), l->origin);
        for (int i = 0; i < l->width; i++) l->off[i] -= low;
    }
    l->mask = NULL;
    Val v = load_pattern(e, l);
    return l_select(cg, widen(e, mask, l->width), v, l_zero(LLVMTypeOf(v)));
}

/* One number for the whole vector. */
static Val load_number(Emit *e, Lanes *l) {
    Codegen *cg = e->cg;
    if (!l->mask) return from_memory(e, l->dtype, load_plain(e, l, l->off[0], 1));
    l->width = l->valid = 1;
    Val v = load_lanes(e, l);
    return from_memory(e, l->dtype, l_select(cg, l->mask, v, l_zero(l->element)));
}

/* Adds to `index` stride * the value of an indirect subscript or irregular variable. */
static Val add_index(Emit *e, Val index, Val x, int64_t stride) {
    Codegen *cg = e->cg;
    if (l_element(x) != cg->i32) x = LLVMBuildZExt(cg->b, x, l_vec(cg->i32, l_lanes(x)), "");
    if (stride != 1) x = l_mul(cg, x, l_int_like(x, stride));
    if (!index) return x;
    int w = l_lanes(x) > l_lanes(index) ? l_lanes(x) : l_lanes(index);
    return l_add(cg, widen(e, x, w), widen(e, index, w));
}

/* ---- random numbers ---------------------------------------------------------------------------------- */

/* What the open loops add to the element number: i64, NULL for 0. */
static Val element_base(Emit *e, const Access *a) {
    Codegen *cg = e->cg;
    Val      sum = NULL;
    for (int v = 0; v < e->n->nvar; v++) {
        if (!a->off.k[v] || !e->base[v]) continue;
        Val x = memo_find(e, MEMO_RANDOM, e->base[v], NULL, NULL, a->off.k[v], 0);
        if (!x) {
            x = LLVMBuildNSWMul(cg->b, e->base[v], l_i64(cg, a->off.k[v]), "");
            memo_add(e, MEMO_RANDOM, e->base[v], NULL, NULL, a->off.k[v], 0, x);
        }
        if (!sum) {
            sum = x;
            continue;
        }
        Val y = memo_find(e, MEMO_RANDOM, sum, x, NULL, 0, 0);
        sum = y ? y : memo_add(e, MEMO_RANDOM, sum, x, NULL, 0, 0, l_add(cg, sum, x));
    }
    return sum;
}

/* Is the base a multiple of n, whatever the counters are? */
static bool base_multiple(const Emit *e, const Access *a, int64_t n) {
    for (int v = 0; v < e->n->nvar; v++) {
        int64_t step = v < e->n->nout && e->count[v] == e->n->step[v] ? e->n->step[v] : 1;
        if (a->off.k[v] && e->base[v] && a->off.k[v] * step % n) return false;
    }
    return true;
}

/* A quarter of the numbers that one call of the generator gives for 4 vectors. */
static Val random_block(Emit *e, int access, Val base, int64_t first, int width) {
    Codegen *cg = e->cg;
    int64_t  block = first / (4 * width) * (4 * width);
    int      quarter = (int)(first - block) / width;
    Val      old = memo_find(e, MEMO_RANDOM, base, &e->rng[access], NULL, block, quarter), out[4];
    if (old) return old;
    rng_block(cg, e->rng[access], base ? l_add(cg, base, l_i64(cg, block)) : l_i64(cg, block), width, out);
    for (int i = 0; i < 4; i++) memo_add(e, MEMO_RANDOM, base, &e->rng[access], NULL, block, i, out[i]);
    return out[quarter];
}

/* The numbers of the points, which `l` describes as it does for memory. */
static Val load_random(Emit *e, int access, const Lanes *l) {
    Codegen      *cg = e->cg;
    const Access *a = &e->n->access[access];
    Val           base = element_base(e, a), lane[POINT_LANES];
    bool          row = l->width >= 4 && l->valid == l->width && consecutive(l->off, l->width) && !l->index;
    if (row && l->off[0] % l->width == 0 && base_multiple(e, a, 4))
        return random_block(e, access, base, l->off[0], l->width);
    for (int i = 0; i < l->width; i++) lane[i] = l_i64(cg, l->off[i]);
    Val at = l->width == 1 ? lane[0] : LLVMConstVector(lane, (unsigned)l->width);
    if (base) at = l_add(cg, l_splat(cg, base, l->width), at);
    if (l->index) at = l_add(cg, at, LLVMBuildSExt(cg->b, widen(e, l->index, l->width), l_vec(cg->i64, l->width), ""));
    return rng_at(cg, e->rng[access], at);
}

/* ---- small tables ------------------------------------------------------------------------------------ */

/* An element of a table of constants that an index alone tells: by comparisons, since every lane has its own. NULL if
 * the table is too large for that. */
static Val load_table(Emit *e, const Access *a, const Lanes *l) {
    Codegen *cg = e->cg;
    int64_t  count = type_count(&a->node->type);
    if (a->node->op != OP_CONST || !l->index || l_lanes(l->index) == 1 || l->mask || count > CODE_TABLE) return NULL;
    if (a->node->type.dtype != DT_I32 && a->node->type.dtype != DT_F32) return NULL;
    if (!all_equal(l->off, l->width) || l->off[0]) return NULL;
    for (int v = 0; v < e->n->nvar; v++)
        if (a->off.k[v]) return NULL;
    const double *table = a->node->u.konst.value;
    bool          real = a->node->type.dtype == DT_F32;
    Val           r = NULL;
    for (int64_t i = 0; i < count; i++) {
        Val x = l_const_splat(real ? l_f32(cg, table[i]) : l_i32(cg, (int64_t)table[i]), l->width);
        if (!r) r = x;
        if (i == 0 || table[i] == table[0]) continue;
        Val is = memo_find(e, MEMO_TABLE, l->index, NULL, NULL, i, 0);
        if (!is) {
            is = l_icmp(cg, LLVMIntEQ, l->index, l_int_like(l->index, i));
            memo_add(e, MEMO_TABLE, l->index, NULL, NULL, i, 0, is);
        }
        r = l_select(cg, is, x, r);
    }
    return r;
}

/* ---- access ------------------------------------------------------------------------------------------ */

/* A number of the caller's or of a step. */
static Val load_uniform(Emit *e, const Place *at) {
    const void *owner = at->space == SPACE_SCALAR ? NULL : e;
    Val         old = memo_find(e, MEMO_SCALARS, owner, NULL, NULL, at->offset, 0);
    if (old) return old;
    Val v = at->space == SPACE_SCALAR
                ? abi_scalar(e->cg, (int)at->offset)
                : LLVMBuildTrunc(e->cg->b, step_value(e, (int)at->offset), e->cg->i32, "");
    return memo_add(e, MEMO_SCALARS, owner, NULL, NULL, at->offset, 0, v);
}

/* v where mask (NULL: everywhere), else 0. */
static Val where(Emit *e, Val mask, Val v, int width) {
    if (!mask) return v;
    v = widen(e, v, width);
    return l_select(e->cg, widen(e, mask, width), v, l_zero(LLVMTypeOf(v)));
}

Val access_load(Emit *e, int access, const Point *p) {
    const Access *a = &e->n->access[access];
    Place         at = e->k->place[a->node->id];
    if (at.space == SPACE_SCALAR || at.space == SPACE_STEP)
        return where(e, guards_mask(e, a->nguard, a->guard, p), load_uniform(e, &at), p->width);
    Lanes l = {.dtype = a->dtype, .element = codegen_memory_type(e->cg, a->dtype), .ptr = e->ptr[access],
               .origin = e->origin[access], .width = p->width, .valid = p->valid};
    Lin known = a->off;
    for (int v = 0; v < e->n->nvar; v++) {
        if (!e->n->var[v].div || !a->off.k[v]) continue;
        Lin only = lin_var(v);
        l.index = add_index(e, l.index, emit_index(e, &only, p), a->off.k[v]);
        known.k[v] = 0;
    }
    for (int i = 0; i < a->nind; i++)
        l.index = add_index(e, l.index, emit_eval(e, a->ind[i].expr, p), a->ind[i].stride);
    lin_offsets(e, &known, p, l.off);
    l.mask = guards_mask(e, a->nguard, a->guard, p);
    if (a->node->op == OP_RNG) return where(e, l.mask, load_random(e, access, &l), l.width);
    Val known_element = load_table(e, a, &l);
    if (known_element) return known_element;
    if (l.index && l_lanes(l.index) == 1 && !l.mask) {
        l.ptr = l_gep(e->cg, l.element, l.ptr, LLVMBuildSExt(e->cg->b, l.index, e->cg->i64, ""));
        l.index = NULL;
    }
    bool one_index = !l.index || l_lanes(l.index) == 1, one_mask = !l.mask || l_lanes(l.mask) == 1;
    if (all_equal(l.off, l.width) && one_index && one_mask) return load_number(e, &l);
    if (l.mask && l.index) return from_memory(e, l.dtype, where(e, l.mask, load_lanes(e, &l), l.width));
    if (l.mask && fails_nearby(e, a, p, &l)) return from_memory(e, l.dtype, load_nearby(e, &l, shared_mask(e, a, p)));
    if (l.mask) return from_memory(e, l.dtype, load_masked(e, &l));
    if (l.index) return from_memory(e, l.dtype, load_lanes(e, &l));
    int turn = l.width > 1 && dtype_size(l.dtype) == 4 && far_apart(&l) ? turning_variable(e, &known, p) : -1;
    if (turn >= 0) return load_turned(e, &l, p->off[turn][0]);
    return from_memory(e, l.dtype, load_pattern(e, &l));
}

/* ---- stores ------------------------------------------------------------------------------------------ */

/* Lanes from .. from + n - 1 of v to ptr + off: in powers of two, or masked where that is one instruction. */
static void store_run(Emit *e, DType d, Val ptr, int64_t off, Val v, int from, int n) {
    Codegen *cg = e->cg;
    Ty       t = codegen_memory_type(cg, d);
    int      width = l_lanes(v), size = dtype_size(d);
    if (from == 0 && n < width && n > 2 && has_masked_store(e, d)) {
        l_masked_store(cg, v, l_gep_const(cg, t, ptr, off), size, l_mask_const(cg, 0, n, width));
        return;
    }
    while (n > 0) {
        int piece = 1, index[POINT_LANES];
        while (2 * piece <= n) piece *= 2;
        for (int i = 0; i < piece; i++) index[i] = from + i;
        l_store(cg, piece == width ? v : l_shuffle(cg, v, NULL, index, piece), l_gep_const(cg, t, ptr, off), size);
        off += piece, from += piece, n -= piece;
    }
}

/* Lanes in which the guards hold whatever the counters are; false if that is not known of some lane. */
static bool lanes_held(const Emit *e, int n, const Guard *g, const Point *p, bool held[POINT_LANES]) {
    for (int i = 0; i < p->valid; i++) held[i] = true;
    for (int k = 0; k < n; k++) {
        int64_t c[POINT_LANES], lo, hi;
        if (g[k].bound || !guard_values(e, &g[k], p, c, &lo, &hi)) return false;
        for (int i = 0; i < p->valid; i++) {
            bool always = c[i] + lo >= 0 && c[i] + hi < g[k].size, never = c[i] + hi < 0 || c[i] + lo >= g[k].size;
            if (!always && !never) return false;
            held[i] &= always;
        }
    }
    return true;
}

/* Lane by lane, where the guards hold. */
static void store_guarded(Emit *e, int store, const Point *p, Val v) {
    Val mask = mask_lanes(e, guards_mask(e, e->n->store[store].nguard, e->n->store[store].guard, p));
    const Store *s = &e->n->store[store];
    Codegen     *cg = e->cg;
    Ty           t = codegen_memory_type(cg, s->node->type.dtype);
    int64_t      off[POINT_LANES];
    lin_offsets(e, &s->off, p, off);
    for (int i = 0; i < p->valid; i++) {
        If  yes = l_if(cg, mask_lane(e, mask, i));
        Val at = l_gep_const(cg, t, e->ptr[node_slot(e, store)], off[i]);
        l_store(cg, l_extract(cg, v, i), at, dtype_size(s->node->type.dtype));
        l_if_end(cg, &yes);
    }
}

Val stored_at(Emit *e, int store, const Point *p) {
    const Store *s = &e->n->store[store];
    DType        d = s->node->type.dtype;
    Val          to = e->ptr[node_slot(e, store)];
    Lanes l = {.dtype = d, .element = codegen_memory_type(e->cg, d), .ptr = to, .origin = to, .width = p->width,
               .valid = p->valid};
    lin_offsets(e, &s->off, p, l.off);
    return load_pattern(e, &l);
}

void store_at(Emit *e, int store, const Point *p, Val v) {
    const Store *s = &e->n->store[store];
    DType        d = s->node->type.dtype;
    int64_t      off[POINT_LANES];
    bool         held[POINT_LANES], known = lanes_held(e, s->nguard, s->guard, p, held);
    lin_offsets(e, &s->off, p, off);
    v = widen(e, v, p->width);
    if (d == DT_PRED) v = LLVMBuildZExt(e->cg->b, v, l_vec(e->cg->i8, p->width), "");
    if (!known) {
        store_guarded(e, store, p, v);
        return;
    }
    for (int i = 0; i < p->valid;) {
        int n = 1;
        while (i + n < p->valid && held[i + n] == held[i] && off[i + n] == off[i] + n) n++;
        if (held[i]) store_run(e, d, e->ptr[node_slot(e, store)], off[i], v, i, n);
        i += n;
    }
}
