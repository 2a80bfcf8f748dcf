/* Sums over a list of the points that count.
 *
 * In a sum of products value * other, `value` may be zero at most points: the gradient behind a max-pooling is, at
 * three of four positions of a window, and behind relu at half of what is left. And `other` may be read at a place that
 * an index tensor tells. Then the points where `value` is not 0 are written into a list, each with its value and with
 * the distance to what it reads of `other`; the tile runs over the list:
 *
 *     for outs that value or the distance depend on:      (for a weight gradient: the filter)
 *         make the list
 *         for tiles of the other outs:                    (channels and columns of the filter in lanes, its rows)
 *             for points of the list: acc += value * other[distance ...]
 *
 * One broadcast and one vector of `other` per accumulator, no test and no index arithmetic, nothing done for a zero.
 *
 * Outs that do not tell results apart (`adds`: see spread.c) are loops like any other, but what a tile gives is added
 * to memory. They stand inside the loops over the other outs. */
#include <string.h>

#include "passes/schedule_impl.h"

enum { MOST = 4096, TILE = 24, LIST_VECTORS = 4, MAX_TILE_VECTORS = 24 };
static const double CACHED = 0.75;      /* of the first cache, for what lists lead to */
static const double MAKING = 8;         /* cycles for a vector of points that may be in the list */
static const double STARTING = 20;      /* a loop over a list: its start, and the branch that ends it, mispredicted */
static const double MASKED = 0.5;       /* share of non-zeros behind a comparison of numbers */

typedef struct {
    const Fuse *f;
    Nest       *n;
    const Expr *value;          /* the factor that may be zero */
    int         other;          /* access: the other factor */
    bool        key[MAX_VARS];  /* outs that the list depends on */
    double      share;          /* of the points in the list */
    int64_t     block;          /* 0: no blocks */
    double      blocks;
} Listing;

typedef struct {
    int     nlane, lane[MAX_LANE_VARS];
    int64_t step[MAX_VARS];
    double  cost;
} Tile;

/* ---- what an expression depends on ------------------------------------------------------------------------ */

typedef struct {
    const Nest *n;
    bool       *on;             /* by variable */
} Depends;

static void add_lin(bool *on, const Lin *a) {
    for (int v = 0; v < MAX_VARS; v++) on[v] |= a->k[v] != 0;
}

static void look_at(const Expr *e, void *cx) {
    Depends *d = cx;
    for (int i = 0; e->op == SC_IDX && i < e->aff.n; i++) d->on[e->aff.term[i].var] = true;
    if (e->op != SC_READ) return;
    const Access *a = &d->n->access[e->operand];
    add_lin(d->on, &a->off);
    for (int i = 0; i < a->nguard; i++) add_lin(d->on, &a->guard[i].lin);
    for (int i = 0; i < a->nind; i++) expr_walk(a->ind[i].expr, look_at, d);
}

/* ---- recognizing ------------------------------------------------------------------------------------------ */

static bool reads_stage(const Nest *n) {
    for (int i = 0; i < n->naccess; i++)
        if (!n->access[i].node && n->access[i].stage < 0) return true;
    return false;
}

/* The share of points at which sel(..., x, 0) is not 0 by its form. */
static double share_of(const Nest *n, const Expr *e) {
    if (e->op != SC_SEL || !expr_is_const(e->arg[2], 0)) return 1;
    double      rest = share_of(n, e->arg[1]);
    const Expr *c = e->arg[0];
    if (c->op != SC_EQ) return MASKED * rest;
    for (int side = 0; side < 2; side++) {
        double values = 1;
        if (c->arg[side]->op != SC_IDX) continue;
        for (int i = 0; i < c->arg[side]->aff.n; i++) values *= (double)n->var[c->arg[side]->aff.term[i].var].size;
        return rest / values;
    }
    return MASKED * rest;
}

/* Factor `other` is a plain read, along lanes that `value` does not depend on; the list may pay for itself (what adds
 * to memory has no other schedule but plain loops). */
static bool find_factors(Listing *l, const Expr *value, const Expr *other) {
    const Nest  *n = l->n;
    const Stage *s = &n->stage[0];
    bool         on[MAX_VARS] = {false}, lanes = false;
    if (other->op != SC_READ || !n->access[other->operand].node) return false;
    const Access *a = &n->access[other->operand];
    Depends       d = {n, on};
    if (a->dtype != DT_F32 || a->nguard || a->node->op == OP_RNG) return false;
    expr_walk(value, look_at, &d);
    for (int i = 0; i < a->nind; i++) expr_walk(a->ind[i].expr, look_at, &d);
    for (int i = 0; i < s->nred; i++)
        if (!on[s->red[i]]) return false;
    for (int v = 0; v < n->nout; v++) {
        l->key[v] = on[v] && n->var[v].size > 1;
        lanes |= !on[v] && a->off.k[v] == 1 && n->var[v].size > 1;
        if (n->var[v].adds && n->var[v].bound) return false;
    }
    l->value = value;
    l->other = other->operand;
    l->share = share_of(n, value);
    return lanes && (n->adds || a->nind || l->share < MASKED);
}

static bool find_listing(Listing *l) {
    const Nest  *n = l->n;
    const Stage *s = &n->stage[0];
    if (n->kind != NEST_LOOPS || n->nstage != 1 || s->kind != KIND_SUM || s->nguard || s->nwin || !s->nred)
        return false;
    if (s->expr->op != SC_MUL || s->expr->dtype != DT_F32 || reads_stage(n)) return false;
    for (int v = 0; v < n->nvar; v++)
        if (n->var[v].div) return false;
    return find_factors(l, s->expr->arg[0], s->expr->arg[1]) || find_factors(l, s->expr->arg[1], s->expr->arg[0]);
}

/* ---- blocks ----------------------------------------------------------------------------------------------- */

typedef struct {
    const Node *n;
    const Expr *read;           /* at places that an index tells */
} Moved;

static void find_moved(const Expr *e, void *cx) {
    Moved *m = cx;
    for (int i = 0; e->op == SC_READ && i < e->nsub; i++)
        if (e->sub[i].ind) m->read = e;
}

int64_t list_block(const Target *t, const Node *n) {
    const Comp *c = &n->u.comp;
    Moved       m = {n, NULL};
    int64_t     far = 0, points = 1, size = 0;
    if (n->op != OP_COMP || c->kind != KIND_SUM || c->expr->op != SC_MUL || c->nder) return 0;
    for (int side = 0; side < 2 && !m.read; side++)
        if (c->expr->arg[side]->op == SC_READ) find_moved(c->expr->arg[side], &m);
    if (!m.read) return 0;
    const Type *type = &n->arg[m.read->operand]->type;
    for (int v = c->nout; v < c->nout + c->nred; v++) {
        int64_t stride = 1, distance = 0;
        for (int i = type->rank - 1; i >= 0; stride *= type->dim[i].size, i--)
            distance += stride * affine_coef(&m.read->sub[i].aff, v);
        points *= c->var[v].ext.size;
        if (distance > far) far = distance, size = c->var[v].ext.size;
    }
    if (!far) return 0;
    int64_t block = (int64_t)(CACHED * t->l1) / (far * dtype_size(type->dtype)), most = MOST / (points / size);
    if (block > most) block = most;
    return block >= size || most < 1 ? 0 : block < 1 ? 1 : block;
}

/* The reduction that list_block means: `other` moves farthest with it. */
static int block_var(const Nest *n, const Lin *other) {
    const Stage *s = &n->stage[0];
    int          best = s->red[0];
    for (int i = 1; i < s->nred; i++)
        if (other->k[s->red[i]] > other->k[best]) best = s->red[i];
    return best;
}

/* ---- the tile --------------------------------------------------------------------------------------------- */

static double passes(const Nest *n, int v, int64_t step) {
    double whole = (double)(n->var[v].size / step);
    return whole + (n->var[v].size % step ? 1 : 0);
}

/* Lists to make, at full size. */
static double lists_of(const Listing *l) {
    double lists = l->blocks;
    for (int v = 0; v < l->n->nout; v++)
        if (l->key[v]) lists *= (double)l->n->var[v].size;
    return lists;
}

static double points_of(const Listing *l) {
    double points = 1 / l->blocks;
    for (int i = 0; i < l->n->stage[0].nred; i++) points *= (double)l->n->var[l->n->stage[0].red[i]].size;
    return points;
}

/* Cycles of the tiles of one list; -1: too many registers. */
static double tile_cost(const Listing *l, const Tile *t) {
    const Target *m = l->f->t;
    double        lanes = 1, rows = 1, tiles = 1;
    for (int v = 0; v < l->n->nout; v++) {
        bool lane = false;
        if (l->key[v]) continue;
        for (int i = 0; i < t->nlane; i++) lane |= t->lane[i] == v;
        *(lane ? &lanes : &rows) *= (double)t->step[v];
        tiles *= passes(l->n, v, t->step[v]);
    }
    double vectors = (double)(int64_t)((lanes + m->width - 1) / m->width), acc = vectors * rows;
    bool   folds = m->arch == ARCH_X86_64;                  /* a multiply-add reads memory by itself */
    if (acc + (folds ? 1 : 2) > m->registers) return -1;
    double cycles = acc / m->fma_ports, loads = (acc * (1 + 0.5 * m->width / 16) + 2) / m->loads;
    if (loads > cycles) cycles = loads;
    if (cycles < m->latency) cycles = m->latency;
    return tiles * (points_of(l) * l->share * (cycles + 1) + STARTING + 2 * acc);
}

static void try_tile(Listing *l, const Tile *t, Tile *best) {
    Tile x = *t;
    x.cost = tile_cost(l, t);
    if (x.cost >= 0 && (best->cost < 0 || x.cost < best->cost)) *best = x;
}

static void try_rows(Listing *l, Tile t, Tile *best) {
    const Nest *n = l->n;
    try_tile(l, &t, best);
    for (int v = 0; v < n->nout; v++) {
        bool lane = l->key[v];
        for (int i = 0; i < t.nlane; i++) lane |= t.lane[i] == v;
        for (int64_t step = 2; !lane && step <= n->var[v].size && step <= TILE; step++) {
            t.step[v] = step;
            try_tile(l, &t, best);
        }
        t.step[v] = 1;
    }
}

/* Outs in the lanes: those along which `other` is read, from the smallest stride up. */
static Tile choose_tile(Listing *l) {
    const Nest *n = l->n;
    Tile        t = {0}, best = {.cost = -1};
    int64_t     inner = 1, width = l->f->t->width;
    const Lin  *off = &n->access[l->other].off;
    for (int v = 0; v < n->nout; v++) t.step[v] = 1;
    while (t.nlane < MAX_LANE_VARS) {
        int next = -1;
        for (int v = 0; v < n->nout; v++) {
            bool taken = l->key[v] || n->var[v].size == 1 || off->k[v] != inner || n->var[v].bound;
            for (int i = 0; i < t.nlane; i++) taken |= t.lane[i] == v;
            if (!taken) next = v;
        }
        if (next < 0) break;
        t.lane[t.nlane++] = next;
        for (int64_t q = 1; q <= MAX_TILE_VECTORS; q++) {
            int64_t step = q * width / inner;
            if (step < 1 || (t.nlane > 1 && step < 2)) continue;
            if (step > n->var[next].size) step = n->var[next].size;
            t.step[next] = step;
            try_rows(l, t, &best);
            if (step == n->var[next].size) break;
        }
        t.step[next] = n->var[next].size;
        inner *= n->var[next].size;
        if (inner > MAX_TILE_VECTORS * width) break;
    }
    return best;
}

/* The tile that is wanted; cost -1: it cannot be. */
static Tile wanted_tile(Listing *l, const Choice *want) {
    const Nest *n = l->n;
    Tile        t = {.nlane = want->nlane, .cost = -1};
    int64_t     inner = 1;
    memcpy(t.lane, want->lane, sizeof t.lane);
    for (int v = 0; v < n->nout; v++) {
        t.step[v] = want->step[v];
        if (l->key[v] && t.step[v] > 1) return t;
    }
    for (int i = 0; i < t.nlane; i++) {
        int v = t.lane[i];
        if (v >= n->nout || l->key[v] || n->var[v].bound || n->access[l->other].off.k[v] != inner) return t;
        inner *= n->var[v].size;
        if (i + 1 < t.nlane && t.step[v] < n->var[v].size) return t;
    }
    if (t.nlane) t.cost = tile_cost(l, &t);
    return t;
}

/* Do the points of a tile lie at different places of the result? */
static bool tile_distinct(const Nest *n, const Tile *t) {
    int64_t span = 0;
    bool    done[MAX_VARS] = {false};
    if (!n->adds) return true;
    for (;;) {
        int best = -1;
        for (int v = 0; v < n->nout; v++)
            if (!done[v] && t->step[v] > 1 && (best < 0 || n->store[0].off.k[v] < n->store[0].off.k[best])) best = v;
        if (best < 0) return true;
        if (n->store[0].off.k[best] <= span) return false;
        span += n->store[0].off.k[best] * (t->step[best] - 1);
        done[best] = true;
    }
}

/* ---- the list --------------------------------------------------------------------------------------------- */

static Access *new_access(const Fuse *f, Nest *n, Access a) {
    Access *more = ARENA_ARRAY(f->a, Access, n->naccess + 1);
    memcpy(more, n->access, sizeof *more * (size_t)n->naccess);
    more[n->naccess] = a;
    n->access = more;
    n->cap_access = ++n->naccess;
    return &more[n->naccess - 1];
}

/* What moves `other` with the reductions: their part of its offset, and its indirect parts. */
static const Expr *move_of(const Listing *l) {
    Arena        *a = l->f->a;
    const Access *o = &l->n->access[l->other];
    Lin           part = lin_const(0);
    for (int i = 0; i < l->n->stage[0].nred; i++) part.k[l->n->stage[0].red[i]] = o->off.k[l->n->stage[0].red[i]];
    const Expr *e = expr_idx(a, lin_affine(&part));
    for (int i = 0; i < o->nind; i++) {
        const Expr *x = o->ind[i].expr;
        if (o->ind[i].stride != 1) x = expr_op2(a, SC_MUL, x, expr_int(a, o->ind[i].stride));
        e = expr_op2(a, SC_ADD, e, x);
    }
    return e;
}

typedef struct {
    const Nest *n;
    int         best;           /* a read of memory by `value` */
    int64_t     stride;         /* smallest of a reduction */
} Leading;

static void find_leading(const Expr *e, void *cx) {
    Leading *b = cx;
    if (e->op != SC_READ || !b->n->access[e->operand].node) return;
    for (int i = 0; i < b->n->stage[0].nred; i++) {
        int64_t k = b->n->access[e->operand].off.k[b->n->stage[0].red[i]];
        if (k <= 0 || (b->best >= 0 && k >= b->stride)) continue;
        b->best = e->operand;
        b->stride = k;
    }
}

/* Lanes and loops with which the list is made: along the memory of `value`. */
static void schedule_list(Listing *l) {
    Nest   *n = l->n;
    List   *list = &n->list;
    Leading b = {n, -1, 0};
    int64_t lanes = 1, width = l->f->t->width;
    bool    lane[MAX_VARS] = {false};
    expr_walk(l->value, find_leading, &b);
    for (int i = 0; i < list->nred; i++) list->step[list->red[i]] = 1;
    list->width = 1;
    while (b.best >= 0 && b.stride == 1 && lanes < width && list->nlane < MAX_LANE_VARS) {
        int next = -1;
        for (int i = 0; i < list->nred; i++)
            if (n->access[b.best].off.k[list->red[i]] == lanes && n->var[list->red[i]].size > 1) next = list->red[i];
        if (next < 0 || n->var[next].bound) break;
        int64_t most = LIST_VECTORS * width / lanes, step = n->var[next].size;
        if (step > most) step = most;
        list->lane[list->nlane++] = next;
        list->step[next] = step;
        lanes *= step;
        lane[next] = true;
        list->width = (int)width;
        if (step < n->var[next].size) break;
    }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < list->nred; i++)
            if (lane[list->red[i]] == (pass == 1)) list->loop[list->nloop++] = list->red[i];
}

/* ---- the nest --------------------------------------------------------------------------------------------- */

static void put_loops(Listing *l) {
    Nest *n = l->n;
    n->nloop = 0;
    for (int pass = 0; pass < 3; pass++)                    /* keys; keys that add, small strides outside; the tiles */
        for (int64_t last = -1;;) {
            int     best = -1;
            int64_t stride = 0;
            for (int v = 0; v < n->nout; v++) {
                int     kind = !l->key[v] ? 2 : n->var[v].adds ? 1 : 0;
                int64_t k = (n->store[0].off.k[v] + 1) * MAX_VARS + v;
                if (kind == pass && k > last && (best < 0 || k < stride)) best = v, stride = k;
            }
            if (best < 0) break;
            last = stride;
            n->loop[n->nloop++] = best;
            if (pass < 2) n->list.level = n->nloop;
        }
}

/* Points of one list at most. */
static int64_t most_of(const Listing *l) {
    const Nest *n = l->n;
    int64_t     most = 1;
    for (int i = 0; i < n->stage[0].nred; i++) most *= n->var[n->stage[0].red[i]].size;
    return l->block ? most / n->var[block_var(n, &n->access[l->other].off)].size * l->block : most;
}

static void build_list(Listing *l, const Tile *t) {
    Nest  *n = l->n;
    Stage *s = &n->stage[0];
    List  *list = &n->list;
    *list = (List){.on = true, .value = l->value, .move = move_of(l), .most = most_of(l), .nred = s->nred};
    memcpy(list->red, s->red, sizeof list->red);
    schedule_list(l);
    Access rest = n->access[l->other], value = {.stage = STAGE_LISTED, .dtype = DT_F32, .off = lin_const(0)};
    for (int i = 0; i < s->nred; i++) rest.off.k[s->red[i]] = 0;
    rest.nind = 0;
    rest.listed = true;
    new_access(l->f, n, rest);
    new_access(l->f, n, value);
    const Expr *x = expr_read(l->f->a, DT_F32, n->naccess - 2, 0, NULL, false);
    s->expr = expr_op2(l->f->a, SC_MUL, expr_read(l->f->a, DT_F32, n->naccess - 1, 0, NULL, false), x);
    s->nloop = 0;
    s->width = n->width = l->f->t->width;
    s->chains = 1;
    s->nlane = n->nlane = t->nlane;
    memcpy(s->lane, t->lane, sizeof s->lane);
    memcpy(n->lane, t->lane, sizeof n->lane);
    for (int v = 0; v < n->nout; v++) {
        n->step[v] = t->step[v];
        s->point[s->npoint++] = v;
    }
    put_loops(l);
    if (!l->block) return;
    list->block = l->block;
    list->block_var = block_var(n, &n->access[l->other].off);
    n->adds = true;
}

/* What is set to 0 at once is one run of memory: outs inside of those loops do not reach beyond it. */
static bool zeros_in_runs(const Nest *n) {
    int     level = nest_zero_level(n);
    int64_t run = type_count(&n->store[0].node->type), last = 0;
    for (int k = 0; k < n->nloop; k++) {
        int64_t stride = n->store[0].off.k[n->loop[k]];
        if (n->var[n->loop[k]].size == 1) continue;
        if (k >= level) last += stride * (n->var[n->loop[k]].size - 1);
        else if (stride < run) run = stride;
    }
    return last < run;
}

/* How the reductions are cut into blocks; false: the list would be too long. */
static bool find_blocks(Listing *l) {
    const Nest *n = l->n;
    int64_t     size = n->var[block_var(n, &n->access[l->other].off)].size;
    l->blocks = 1;
    l->block = n->alone && !n->adds ? list_block(l->f->t, n->stage[0].node) : 0;
    if (l->block >= size) l->block = 0;
    if (l->block) l->blocks = (double)((size + l->block - 1) / l->block);
    return points_of(l) <= MOST;
}

bool list_schedule(const Fuse *f, Nest *n, double cost, const Choice *want) {
    Listing l = {.f = f, .n = n};
    if (!find_listing(&l) || !find_blocks(&l)) return false;
    Tile t = want ? wanted_tile(&l, want) : choose_tile(&l);
    if (t.cost < 0 || !tile_distinct(n, &t)) return false;
    double listed = lists_of(&l) * (points_of(&l) / f->t->width * MAKING + STARTING + t.cost);
    if (cost >= 0 && listed >= cost) return false;
    Nest before = *n;
    build_list(&l, &t);
    n->cycles = listed;
    if (!n->adds || zeros_in_runs(n)) return true;
    *n = before;
    return false;
}
