/* What a nest costs: operations and bytes at full size, for reports; cycles of a schedule, for choosing one.
 *
 * The model of a pass of the innermost loop: arithmetic, loads and shuffles each have their ports, all share the
 * front end, and an accumulator cannot be updated before its last update is done; the slowest of these rules.
 * Loads count once for all points of a tile that read the same numbers. It ignores caches: the order of the
 * loops (schedule.c) sees to those. */
#include "passes/schedule_impl.h"

#include <math.h>

enum { MAX_BODY = 128, MIN_BODY = 4, MIN_PASSES = 64 };    /* vectors of points in one pass; passes */
enum { MAX_OPS = 256 };                                    /* operations in one pass: more take long to compile */
enum { MEAN = 8 };                      /* vectors of a tile whose loads are looked at */
static const double INDEX = 6;          /* operations to find an indirect offset */
static const double RANDOM = 80;        /* operations for a vector of random numbers; a quarter in blocks */
static const double REST = 1.08;        /* a smaller last tile is code of its own */
static const double CODE = 1;           /* an operation of the code, which comes from L2 once a run */
static const double IN_THE_WAY = 0.3;   /* of loads and shuffles that should run beside the arithmetic */

/* ---- totals -------------------------------------------------------------------------------------------- */

static int64_t space(const Nest *n, int nvar, const int *var) {
    int64_t points = 1;
    for (int i = 0; i < nvar; i++) points *= n->var[var[i]].size;
    return points;
}

static void count_op(const Expr *e, void *cx) {
    *(int64_t *)cx += e->op > SC_READ && e->op != SC_CAST;
}

static int64_t ops_of(const Expr *e) {
    int64_t n = 0;
    expr_walk(e, count_op, &n);
    return n;
}

/* Is the guard settled when the code is made: does it depend on remainders, and on one variable beside them? */
static bool is_settled(const Nest *n, const Guard *g) {
    for (int v = 0; v < n->nvar; v++)
        if (g->lin.k[v] && !n->var[v].apart) return guard_settles(n, g, v);
    return true;
}

typedef struct {
    const Nest  *n;
    const Guard *g;
    bool         any;
    int          nvar, var[MAX_VARS];     /* remainders first */
    int          nrest;
} Share;

static double count_holding(const Share *s, int i, int64_t at) {
    if (i == s->nvar) return at >= 0 && at < s->g->size;
    double  sum = 0;
    int64_t size = s->n->var[s->var[i]].size;
    for (int64_t x = 0; x < size; x++) sum += count_holding(s, i + 1, at + s->g->lin.k[s->var[i]] * x);
    return s->any && i >= s->nrest ? sum > 0 : sum;
}

double stage_live(const Nest *n, const Stage *s, bool any) {
    double live = 1;
    for (int i = 0; i < s->nguard; i++) {
        Share  sh = {.n = n, .g = &s->guard[i], .any = any};
        double all = 1;
        if (!is_settled(n, &s->guard[i])) continue;
        for (int pass = 0; pass < 2; pass++) {
            for (int v = 0; v < n->nvar; v++)
                if (s->guard[i].lin.k[v] && n->var[v].apart == !pass) sh.var[sh.nvar++] = v;
            if (!pass) sh.nrest = sh.nvar;
        }
        for (int k = 0; k < (any ? sh.nrest : sh.nvar); k++) all *= (double)n->var[sh.var[k]].size;
        live *= count_holding(&sh, 0, s->guard[i].lin.c) / all;
    }
    return live;
}

void nest_count(Nest *n) {
    int64_t points = 1;
    n->flops = n->bytes = 0;
    for (int v = 0; v < n->nout; v++) points *= n->var[v].size;
    for (int i = 0; i < n->nstage; i++) {
        const Stage *s = &n->stage[i];
        int64_t all = points * space(n, s->nwin, s->win) * space(n, s->nred, s->red) * (ops_of(s->expr) + 1);
        n->flops += s->nguard ? (int64_t)(stage_live(n, s, false) * (double)all + 0.5) : all;
    }
    for (int i = 0; i < n->nstore; i++) {
        if (n->store[i].expr) n->flops += points * ops_of(n->store[i].expr);
        n->bytes += type_count(&n->store[i].node->type) * dtype_size(n->store[i].node->type.dtype);
    }
    for (int i = 0; i < n->naccess; i++) {
        const Node *node = n->access[i].node;
        bool        seen = !node || node->op == OP_RNG;
        for (int k = 0; k < i; k++) seen |= n->access[k].node == node;
        if (!seen) n->bytes += type_count(&node->type) * dtype_size(node->type.dtype);
    }
}

int64_t var_stride(const Nest *n, int v) {
    int64_t most = 0;
    for (int i = 0; i < n->naccess; i++) {
        int64_t k = n->access[i].off.k[v] * dtype_size(n->access[i].dtype);
        if (n->access[i].node && (k < 0 ? -k : k) > most) most = k < 0 ? -k : k;
    }
    return most;
}

/* ---- what an access depends on --------------------------------------------------------------------------- */

typedef struct {
    const Nest *n;
    int         v;
    bool        found;
} Depends;

static void look_at_index(const Expr *e, void *cx) {
    Depends *d = cx;
    if (e->op == SC_IDX) d->found |= affine_coef(&e->aff, d->v) != 0;
    if (e->op != SC_READ) return;
    const Access *a = &d->n->access[e->operand];
    d->found |= a->off.k[d->v] != 0;
    for (int i = 0; i < a->nind; i++) expr_walk(a->ind[i].expr, look_at_index, d);
}

/* Does an indirect part of the access's offset move with v? */
static bool index_moves(const Nest *n, const Access *a, int v) {
    Depends d = {n, v, false};
    for (int i = 0; i < a->nind; i++) expr_walk(a->ind[i].expr, look_at_index, &d);
    return d.found;
}

/* Variables of the outs, the window and the reductions that move each read. */
static void find_moves(Task *w) {
    const Nest  *n = w->n;
    const Stage *s = w->count ? &n->stage[w->first] : NULL;
    bool         of[MAX_VARS] = {false};
    for (int v = 0; v < n->nout; v++) of[v] = true;
    for (int i = 0; s && i < s->nwin; i++) of[s->win[i]] = w->window[s->win[i]] = true;
    for (int i = 0; s && i < s->nred; i++) of[s->red[i]] = true;
    for (int i = 0; i < w->nread; i++) {
        const Access *a = &n->access[w->read[i]];
        for (int v = 0; v < n->nvar; v++)
            if (of[v] && n->var[v].size > 1 && (a->off.k[v] || (a->nind && index_moves(n, a, v))))
                w->move[i][w->nmove[i]++] = v;
    }
}

/* ---- a task -------------------------------------------------------------------------------------------- */

/* Vector instructions of a scalar operation. */
static double op_weight(const Expr *e) {
    switch (e->op) {
    case SC_CONST: case SC_IDX: case SC_BOUND: case SC_READ: return 0;
    case SC_DIV: case SC_SQRT: return 6;
    case SC_EXP: return 12;
    case SC_LOG: case SC_TANH: return 18;
    case SC_SIN: case SC_COS: return 22;
    case SC_POW: return 40;
    default: return 1;
    }
}

static void add_weight(const Expr *e, void *cx) { *(double *)cx += op_weight(e); }

double expr_weight(const Expr *e) {
    double weight = 0;
    expr_walk(e, add_weight, &weight);
    return weight;
}

typedef struct {
    Task  *w;
    double ops;
} Counting;

static void count_expr(const Expr *e, void *cx) {
    Counting *c = cx;
    c->ops += op_weight(e);
    if (e->op != SC_READ) return;
    const Access *a = &c->w->n->access[e->operand];
    if (!a->node) return;
    for (int i = 0; i < a->nguard; i++)
        if (!is_settled(c->w->n, &a->guard[i])) c->ops += 2;
    for (int i = 0; i < c->w->nread; i++)
        if (c->w->read[i] == e->operand) return;
    if (c->w->nread < MAX_READS) c->w->read[c->w->nread++] = e->operand;
}

typedef struct {
    int  access;
    bool found;
} Finding;

static void look_for_access(const Expr *e, void *cx) {
    Finding *f = cx;
    f->found |= e->op == SC_READ && e->operand == f->access;
}

static bool is_product(const Stage *s) {
    return s->kind == KIND_SUM && s->expr->op == SC_MUL && s->expr->dtype == DT_F32;
}

/* Several sums of products in the same loops: what all of them read is kept while they take their turns at a point. */
static void find_common(Task *w) {
    for (int i = 0; i < w->nread && w->count > 1; i++) {
        w->common[i] = true;
        for (int s = w->first; s < w->first + w->count; s++) {
            Finding f = {w->read[i], false};
            expr_walk(w->n->stage[s].expr, look_for_access, &f);
            w->common[i] &= f.found && is_product(&w->n->stage[s]);
        }
    }
}

Task task_of(const Target *t, const Nest *n, int first, int count) {
    bool     in_turn = count > 1 && n->stage[first + 1].goes_on;
    Task     w = {.t = t, .n = n, .first = first, .count = in_turn ? 1 : count, .turns = in_turn ? count : 1};
    Counting c = {&w, 0};
    for (int i = first; i < first + w.count; i++) {
        const Stage *s = &n->stage[i];
        bool         fused = s->kind == KIND_SUM && s->expr->op == SC_MUL;
        expr_walk(s->expr, count_expr, &c);
        c.ops += fused ? 0 : 1;
        for (int k = 0; k < s->nguard; k++)
            if (!is_settled(n, &s->guard[k])) c.ops += 2;
    }
    w.ops = c.ops;
    w.points = w.live = count ? stage_live(n, &n->stage[first], false) : 1;
    for (int v = 0; v < n->nout; v++) w.points *= (double)n->var[v].size;
    for (int i = 0; count && i < n->stage[first].nwin; i++) w.points *= (double)n->var[n->stage[first].win[i]].size;
    for (int i = 0; count && i < n->stage[first].nred; i++) w.points *= (double)n->var[n->stage[first].red[i]].size;
    for (int i = 0; i < n->nstore; i++)
        if (!count) expr_walk(n->store[i].expr, count_expr, &c);
    if (!count) w.ops = c.ops;
    w.most_ops = w.ops;
    for (int i = 0; i < n->nstage; i++) w.most_ops = fmax(w.most_ops, expr_weight(n->stage[i].expr));
    w.points *= w.turns;
    find_common(&w);
    find_moves(&w);
    return w;
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

static int64_t lanes_of(const Choice *c) {
    int64_t lanes = 1;
    for (int i = 0; i < c->nlane; i++) lanes *= c->step[c->lane[i]];
    return lanes;
}

/* Of lanes first .. first + n - 1; those that are not there repeat the last one. */
static void lane_offsets(const Choice *c, const Lin *a, int64_t first, int n, int64_t *off) {
    int64_t last = lanes_of(c) - 1;
    for (int i = 0; i < n; i++) {
        int64_t at = first + i < last ? first + i : last;
        off[i] = 0;
        for (int k = 0; k < c->nlane; k++) {
            off[i] += a->k[c->lane[k]] * (at % c->step[c->lane[k]]);
            at /= c->step[c->lane[k]];
        }
    }
}

static bool in_lanes(const Choice *c, int v) {
    for (int i = 0; i < c->nlane; i++)
        if (c->lane[i] == v) return true;
    return false;
}

/* A load of n floats at any address: the longer, the more often it lies in two lines of the cache. */
static double load_weight(int n) { return 1 + 0.75 * n / 16; }

/* Shuffles to put numbers of two registers together in any order. */
static double join_weight(const Target *t) { return t->registers > 16 ? 1 : 3; }

/* TURN values of a variable that walks along memory, in lanes far apart: loads from each lane's place, turned. */
static bool is_turned(const Choice *c, const Nest *n, const Access *a) {
    for (int v = 0; v < n->nvar; v++)
        if (a->off.k[v] == 1 && !in_lanes(c, v) && c->step[v] >= TURN) return true;
    return false;
}

/* Per vector. Twice what instructions say: without, LSTM-256's loops, whose lines come from L2, take 1.13 times as
 * long. */
static Pattern turned_pattern(int width) {
    return (Pattern){2.0 * width / TURN * load_weight(TURN), 2.0 * width / TURN + 2, false, true};
}

/* Of the vector whose first lane is `first`. */
static Pattern vector_pattern(const Target *t, const Choice *c, const Lin *a, int64_t first, int n) {
    int64_t off[MAX_LANES], low, high;
    int     runs = 1;
    bool    same = true;
    lane_offsets(c, a, first, n, off);
    low = high = off[0];
    for (int i = 1; i < n; i++) {
        runs += off[i] != off[i - 1] + 1;
        same &= off[i] == off[0];
        if (off[i] < low) low = off[i];
        if (off[i] > high) high = off[i];
    }
    int64_t pieces = (high - low) / (n ? n : 1) + 1;
    if (same) return (Pattern){1, 0, true, false};
    if (runs == 1) return (Pattern){load_weight(n), 0, false, false};
    bool halves = (runs == 2 || runs == 4) && n % runs == 0 && off[n / runs] != off[n / runs - 1] + 1;
    if (runs <= 4 && runs <= pieces && halves) return (Pattern){runs * load_weight(n / runs), runs - 1, false, false};
    if (runs <= 4 && runs <= pieces) return (Pattern){runs * load_weight(n), (runs - 1) * join_weight(t), false, false};
    if (pieces <= 4) return (Pattern){load_weight(n) * (double)pieces, (double)pieces, false, false};
    bool even = true;
    for (int i = 1; i < n; i++) even &= off[i] == off[0] + i * (off[1] - off[0]);
    return (Pattern){n, n, false, even && n % TURN == 0};
}

/* The mean of a tile's vectors: where a row ends within one it is put together. */
static Pattern pattern_of(const Target *t, const Choice *c, const Lin *a, int n) {
    int64_t lanes = lanes_of(c), vecs = (lanes + n - 1) / n;
    if (vecs > MEAN) vecs = MEAN;
    Pattern p = vector_pattern(t, c, a, 0, n);
    if (c->nlane < 2 || p.uniform) return p;
    for (int64_t i = 1; i < vecs; i++) {
        Pattern next = vector_pattern(t, c, a, i * n, n);
        p.loads += next.loads;
        p.shuffles += next.shuffles;
        p.strided &= next.strided;
    }
    p.loads /= (double)vecs;
    p.shuffles /= (double)vecs;
    return p;
}

/* Of a vector of results, whose runs are stored one by one. A remainder in the tile that lies between the lanes fills
 * the gaps: two registers are put together then. */
static Pattern store_pattern(const Nest *n, const Choice *c, const Lin *a, int width) {
    int64_t off[MAX_LANES];
    int     runs = 1;
    for (int v = 0; v < n->nout && c->nlane; v++)
        if (n->var[v].apart && c->step[v] > 1 && a->k[v] && a->k[v] < a->k[c->lane[0]])
            return (Pattern){load_weight(width), 2, false, false};
    lane_offsets(c, a, 0, width, off);
    for (int i = 1; i < width; i++) runs += off[i] != off[i - 1] + 1;
    return (Pattern){runs * load_weight(width / runs), runs > 1 ? runs : 0, width == 1, false};
}

/* ---- cycles -------------------------------------------------------------------------------------------- */

bool task_window(const Task *w, int v) { return w->window[v]; }

bool task_reduction(const Task *w, int v) {
    for (int i = 0; w->count && i < w->n->stage[w->first].nred; i++)
        if (w->n->stage[w->first].red[i] == v) return true;
    return false;
}

/* Passes over a variable. A smaller last one counts by its size, but not below a part of a whole one. Under a bound the
 * same holds for an out at full size; what is left over of a reduction is done one by one. */
static const Steps *steps_of(Task *w, int var, int64_t step) {
    const NestVar *v = &w->n->var[var];
    Steps         *s = &w->steps[var];
    if (s->step == step) return s;
    int64_t left = v->size % step;
    double  whole = (double)(v->size / step), rest = (double)left / (double)step;
    *s = (Steps){step, whole, (whole > 0) + rest, left > 0};
    if (v->bound && var >= w->n->nout) s->passes += (double)left;
    else if (left) s->passes += rest < 0.5 ? 0.5 : rest;
    return s;
}

/* The shape of a tile and of a pass. */
typedef struct {
    int     width;
    double  vecs;               /* vectors along the lanes */
    double  rows, unrolled, live;         /* live: share of the points that count */
    double  acc;                /* accumulators */
    bool    lane[MAX_VARS];
} Shape;

/* Are all remainders in the tile? */
static bool whole_remainders(const Nest *n, const Choice *c) {
    for (int v = 0; v < n->nout; v++)
        if (n->var[v].apart && c->step[v] < n->var[v].size) return false;
    return true;
}

static Shape shape_of(const Task *w, const Choice *c) {
    const Nest *n = w->n;
    Shape       s = {.width = 1, .rows = 1, .unrolled = 1};
    int64_t     lanes = lanes_of(c);
    while (s.width < c->width && s.width < lanes) s.width *= 2;
    s.vecs = (double)((lanes + s.width - 1) / s.width);
    for (int i = 0; i < c->nlane; i++) s.lane[c->lane[i]] = true;
    for (int v = 0; v < n->nout; v++)
        if (!s.lane[v]) s.rows *= (double)c->step[v];
    for (int i = 0; w->count && i < n->stage[w->first].nwin; i++)
        if (!s.lane[n->stage[w->first].win[i]]) s.rows *= (double)n->var[n->stage[w->first].win[i]].size;
    for (int i = 0; w->count && i < n->stage[w->first].nred; i++)
        if (!s.lane[n->stage[w->first].red[i]]) s.unrolled *= (double)c->step[n->stage[w->first].red[i]];
    s.acc = s.rows * (c->across ? 1 : s.vecs) * c->chains * (w->count ? w->count : 1);
    s.live = w->live;
    if (s.live < 1 && whole_remainders(n, c)) s.acc *= stage_live(n, &n->stage[w->first], true);
    return s;
}

/* Distinct vectors (or numbers) of read i in a pass; *indices: of its indirect offset. */
static double distinct(const Task *w, const Choice *c, int i, const Shape *s, bool uniform, double *indices) {
    const Nest   *n = w->n;
    const Access *a = &n->access[w->read[i]];
    double        d = uniform ? 1 : s->vecs;
    *indices = a->nind ? 1 : 0;
    for (int k = 0; k < w->nmove[i]; k++) {
        int    v = w->move[i][k];
        double count = w->window[v] ? (double)n->var[v].size : (double)c->step[v];
        if (count < 2 || s->lane[v]) continue;
        d *= count;
        if (a->nind && index_moves(n, a, v)) *indices *= count;
    }
    return d;
}

/* Patterns depend on the lanes only: they are kept while those stay the same. */
static void look_at_lanes(Task *w, const Choice *c, int width) {
    const Choice *old = &w->lanes;
    bool          same = old->width == width && old->nlane == c->nlane && old->across == c->across;
    for (int i = 0; i < c->nlane && same; i++)
        same = old->lane[i] == c->lane[i] && old->step[c->lane[i]] == c->step[c->lane[i]];
    for (int v = 0; v < w->n->nout && same; v++) same = !w->n->var[v].apart || old->step[v] == c->step[v];
    if (same && c->nlane) return;
    w->lanes = *c;
    w->lanes.width = width;
    for (int i = 0; i < w->nread; i++) {
        const Access *a = &w->n->access[w->read[i]];
        w->pattern[i] = pattern_of(w->t, c, &a->off, width);
        for (int k = 0; k < c->nlane && a->nind; k++)
            if (index_moves(w->n, a, c->lane[k])) w->pattern[i] = (Pattern){2 * width, width, false, false};
    }
    for (int i = 0; i < w->n->nstore; i++)
        w->store[i] = c->across ? (Pattern){4, 0, false, false}
                                : store_pattern(w->n, c, &w->n->store[i].off, width);
}

static double slowest(double a, double b) { return a > b ? a : b; }

/* Cycles of one pass; *live: vectors that must stay in registers beside the accumulators: all of the operand that has
 * the fewest, one of the others; all of one that several sums have in common. */
static double pass_cycles(const Task *w, const Choice *c, const Shape *s, double *live, double *ops) {
    double common = 0;
    double work = (w->ops > 0 ? w->ops : 1) * s->rows * s->unrolled * s->vecs * s->live, loads = 0, shuffles = 0,
           waiting = 0;
    *live = w->nread > 1 ? 64 : 1;
    for (int i = 0; i < w->nread; i++) {
        const Access *a = &w->n->access[w->read[i]];
        Pattern       p = w->pattern[i];
        double        indices, d = distinct(w, c, i, s, p.uniform, &indices);
        if (a->node->op == OP_RNG) {
            bool blocks = c->nlane && a->off.k[c->lane[0]] == 1 && c->step[c->lane[0]] % (4 * s->width) == 0;
            work += d * (blocks ? RANDOM / 4 : RANDOM);
            continue;
        }
        bool   turned = p.strided && is_turned(c, w->n, a);
        double met = a->nguard ? d * s->live : d;
        if (turned) p = turned_pattern(s->width);
        work += INDEX * indices;
        loads += met * p.loads;
        shuffles += met * p.shuffles;
        double held = d / (c->across ? s->unrolled * s->vecs : s->unrolled);
        if (held < *live) *live = held < 1 ? 1 : held;
        if (w->common[i]) common += held;
        if (turned) waiting += (TURN - 1) * held;
    }
    if (*live < common) *live = common;
    *live += waiting;
    double updates = s->unrolled * s->live * (c->across ? s->vecs : 1) / c->chains;
    double cycles = slowest(work / w->t->fma_ports, loads / w->t->loads);
    cycles = slowest(cycles, shuffles);
    *ops = work + loads + shuffles;
    cycles = slowest(cycles, *ops / 4);
    return slowest(cycles, updates * w->t->latency) + IN_THE_WAY * (loads / w->t->loads + shuffles) + 1.5;
}

/* Of a vector of results. */
static double store_cycles(const Pattern *p) { return p->uniform ? 1 : 1.25 * p->loads + 0.25 * p->shuffles; }

double turn_cycles(const Task *w, const Choice *c) {
    static const double ACROSS = 8;     /* lanes summed up, a number loaded and stored */
    double outs = 1;
    for (int v = 0; v < w->n->nout; v++) outs *= (double)w->n->var[v].size;
    return c->across ? outs * ACROSS : outs / c->width * (2 * store_cycles(&w->store[0]) + 1);
}

/* Cycles at the end of a tile: accumulators into results, results into memory. */
static double tile_cycles(const Task *w, const Choice *c, const Shape *s) {
    double cycles = 8;
    if (w->count && c->across) cycles += s->acc * (s->acc > 4 ? 4 : 8);
    if (w->count && !c->across) cycles += s->acc;
    for (int i = 0; i < w->n->nstore; i++) {
        Pattern p = w->store[i];
        double  vectors = c->across ? s->rows / 4 + 1 : s->rows * s->vecs;
        cycles += vectors * store_cycles(&p);
    }
    return cycles;
}

/* Vectors of points in the code of a pass: little work gets little code, and points of many operations are few. */
static double body_limit(const Task *w) {
    double passes_wanted = w->points / w->t->width / MIN_PASSES;
    double most = w->most_ops * MAX_BODY > MAX_OPS ? MAX_OPS / w->most_ops : MAX_BODY;
    return passes_wanted < MIN_BODY || most < MIN_BODY ? MIN_BODY : passes_wanted < most ? passes_wanted : most;
}

double choice_cost(Task *w, const Choice *c) {
    const Nest *n = w->n;
    Shape       s = shape_of(w, c);
    double      live, ops, total = 1, bodies = 1;
    if (s.rows * s.vecs > 64 || s.acc > 64 || s.rows * s.vecs * s.unrolled * s.live > body_limit(w)) return -1;
    look_at_lanes(w, c, s.width);
    double pass = pass_cycles(w, c, &s, &live, &ops);
    double spare = w->t->has_fma ? 1 : 2;               /* the other operand, and a product on its way to its sum */
    bool   tail = c->across && lanes_of(c) % s.width && w->t->registers <= 16;         /* a mask of its lanes */
    if (s.acc > 1 && s.acc + live + spare + tail > w->t->registers) return -1;
    for (int i = 0; w->count && i < n->stage[w->first].nred; i++) {
        int          v = n->stage[w->first].red[i];
        const Steps *p = steps_of(w, v, c->step[v]);
        total *= p->passes;
        bodies *= p->bodies;
    }
    total = total * pass * w->turns + tile_cycles(w, c, &s);
    for (int v = 0; v < n->nout; v++) {
        const Steps *p = steps_of(w, v, c->step[v]);
        total *= p->passes;
        bodies *= p->bodies;
        if (p->rest) total *= REST;
    }
    return total + CODE * ops * bodies;
}
