/* The schedule of a nest: merges variables, chooses lanes and tiles (choose.c) for the stage with the most work, fits
 * the other stages and the stores to its tile, orders the loops, decides what is shared out among the threads.
 *
 * traffic.c orders the loops over outs. */
#include <string.h>

#include "passes/forced.h"

enum { DEEP = 12, MAX_STORE_WIDTH = 16, LONG_CODE = 200 };   /* operations; floats; operations on vectors */
enum { WORTH_THREADS = 60000 }; /* operations + bytes */
enum { FEW_TRIPS = 8 }; /* of one loop that is shared out alone in a step, so that threads keep what they write */

static bool in_list(const int *list, int n, int v) {
    for (int i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

/* ---- plain loops --------------------------------------------------------------------------------------- */

static void plain_stage(const Nest *n, Stage *s) {
    s->width = s->chains = 1;
    for (int v = 0; v < n->nout; v++) s->point[s->npoint++] = v;
    for (int i = 0; i < s->nwin; i++) s->point[s->npoint++] = s->win[i];
    for (int i = 0; i < s->nred; i++) {
        s->loop[s->nloop++] = s->red[i];
        s->step[s->red[i]] = 1;
    }
}

/* 0: results of different v lie in runs of memory of their own; 1: v adds; 2: inside such a run. */
static int order_of_adding(const Nest *n, int v) {
    if (n->var[v].adds) return 1;
    for (int u = 0; u < n->nout; u++)
        if (n->var[u].adds && n->store[0].off.k[u] >= n->store[0].off.k[v]) return 2;
    return 0;
}

/* What is added up is zeroed before the first loop that adds, a run of memory at a time (emit_list.c). */
static void plain_nest(Nest *n) {
    n->width = 1;
    for (int part = 0; part < 3; part++)
        for (int v = 0; v < n->nout; v++)
            if (order_of_adding(n, v) == part) n->loop[n->nloop++] = v;
    for (int v = 0; v < n->nout; v++) n->step[v] = 1;
    for (int i = 0; i < n->nstage; i++) plain_stage(n, &n->stage[i]);
}

/* Reductions over a window are unrolled: their points are in registers. */
static void unroll_windows(Nest *n) {
    for (int i = 0; i < n->nstage; i++)
        for (int k = 0; k < n->stage[i].nwin; k++)
            for (int j = 0; j < n->nstage; j++) n->stage[j].step[n->stage[i].win[k]] = n->var[n->stage[i].win[k]].size;
}

/* ---- stages -------------------------------------------------------------------------------------------- */

/* Reduction loops: large strides outside, what is unrolled or in lanes inside. */
static void order_reductions(const Nest *n, Stage *s) {
    s->nloop = 0;
    for (int i = 0; i < s->nred; i++) {
        int v = s->red[i], at = s->nloop++;
        while (at > 0) {
            int  u = s->loop[at - 1];
            bool inner = s->step[u] > 1 && s->step[v] == 1, outer = s->step[v] > 1 && s->step[u] == 1;
            if (outer || (!inner && var_stride(n, u) >= var_stride(n, v))) break;
            s->loop[at] = u;
            at--;
        }
        s->loop[at] = v;
    }
}

/* ---- the order of a tile's points ------------------------------------------------------------------------ */

/* Loops over the points of a tile: variables with several values, and (var -1) the vectors along the lanes. */
typedef struct {
    int     var;
    int64_t count;
} PointLoop;

enum { MAX_POINT_LOOPS = 5 };

typedef struct {
    const Nest   *n;
    const Choice *c;
    int           nread, read[MAX_READS];
    int           m;
    PointLoop     loop[MAX_POINT_LOOPS], best[MAX_POINT_LOOPS];
    int64_t       least;        /* registers that best needs */
} PointOrder;

static void note_read(const Expr *e, void *cx) {
    PointOrder *o = cx;
    if (e->op == SC_READ && o->n->access[e->operand].node && o->nread < MAX_READS) o->read[o->nread++] = e->operand;
}

static bool moves_with(const PointOrder *o, const Access *a, int var) {
    if (var >= 0) return a->off.k[var] || a->nind;
    for (int i = 0; i < o->c->nlane; i++)
        if (a->off.k[o->c->lane[i]]) return true;
    return a->nind;
}

/* Registers for what is loaded once for all points: an operand that does not move with a loop is kept through it, with
 * as many values as the loops inside it give it. */
static int64_t kept(const PointOrder *o) {
    int64_t sum = 0;
    for (int i = 0; i < o->nread; i++) {
        const Access *a = &o->n->access[o->read[i]];
        int64_t       values = 1;
        bool          keep = false;
        for (int k = 0; k < o->m; k++) {
            bool moves = moves_with(o, a, o->loop[k].var);
            if (moves && keep) values *= o->loop[k].count;
            keep |= !moves;
        }
        sum += values;
    }
    return sum;
}

/* All orders of the loops from `at` inwards; the vectors stand first or last. */
static void try_point_orders(PointOrder *o, int at) {
    if (at == o->m) {
        for (int i = 1; i < o->m - 1; i++)
            if (o->loop[i].var < 0) return;
        int64_t need = kept(o);
        if (o->least >= 0 && need >= o->least) return;
        o->least = need;
        memcpy(o->best, o->loop, sizeof o->best);
        return;
    }
    for (int i = at; i < o->m; i++) {
        PointLoop first = o->loop[i];
        memmove(&o->loop[at + 1], &o->loop[at], sizeof first * (size_t)(i - at));
        o->loop[at] = first;
        try_point_orders(o, at + 1);
        memmove(&o->loop[at], &o->loop[at + 1], sizeof first * (size_t)(i - at));
        o->loop[i] = first;
    }
}

static int64_t vectors_of(const Nest *n, const Choice *c) {
    int64_t lanes = 1;
    for (int i = 0; i < c->nlane; i++) lanes *= c->lane[i] < n->nout ? c->step[c->lane[i]] : n->var[c->lane[i]].size;
    return c->across ? 1 : (lanes + c->width - 1) / c->width;
}

/* Outs and window in the order that keeps fewest operands in registers; of equal ones, those with most values outside
 * and the vectors inside. */
static void order_points(const Nest *n, Stage *s, const Choice *c) {
    PointOrder o = {.n = n, .c = c, .least = -1};
    s->npoint = 0;
    expr_walk(s->expr, note_read, &o);
    for (int i = 0; i < n->nout + s->nwin; i++) {
        int     v = i < n->nout ? i : s->win[i - n->nout], at = o.m;
        int64_t count = i < n->nout ? c->step[v] : n->var[v].size;
        if (count == 1 || in_list(c->lane, c->nlane, v) || o.m == MAX_POINT_LOOPS - 1) {
            s->point[s->npoint++] = v;
            continue;
        }
        for (; at > 0 && o.loop[at - 1].count < count; at--) o.loop[at] = o.loop[at - 1];
        o.loop[at] = (PointLoop){v, count};
        o.m++;
    }
    o.loop[o.m++] = (PointLoop){-1, vectors_of(n, c)};
    try_point_orders(&o, 0);
    for (int i = 0; i < o.m; i++)
        if (o.best[i].var >= 0) s->point[s->npoint++] = o.best[i].var;
    s->vectors_first = o.m > 1 && o.best[0].var < 0;
}

static void apply_choice(Nest *n, int first, int count, const Choice *c) {
    for (int i = first; i < first + count; i++) {
        Stage *s = &n->stage[i];
        s->width = c->width;
        s->nlane = c->nlane;
        memcpy(s->lane, c->lane, sizeof s->lane);
        for (int k = 0; k < s->nred; k++) s->step[s->red[k]] = c->step[s->red[k]];
        s->chains = s->kind == KIND_ARGMAX || s->kind == KIND_ARGMIN ? 1 : c->chains;
        order_points(n, s, c);
        order_reductions(n, s);
    }
}

int joined_stages(const Nest *n, int first) {
    int count = 1;
    while (first + count < n->nstage && (n->stage[first + count].joined || n->stage[first + count].goes_on)) count++;
    return count;
}

static double stage_work(const Nest *n, int first, int count) {
    double work = 0;
    for (int i = first; i < first + count; i++) {
        double points = 1;
        for (int k = 0; k < n->stage[i].nwin; k++) points *= (double)n->var[n->stage[i].win[k]].size;
        for (int k = 0; k < n->stage[i].nred; k++) points *= (double)n->var[n->stage[i].red[k]].size;
        work += points;
    }
    return work;
}

static bool reduces_window(const Nest *n, const Stage *s) {
    for (int i = 0; i < n->nstage; i++)
        for (int k = 0; k < n->stage[i].nwin; k++)
            if (in_list(s->red, s->nred, n->stage[i].win[k])) return true;
    return false;
}

/* The lanes of what comes after a window: the outs in the lanes of the window's values, and as many outs of the tile
 * beside them as fill a vector best. */
static Choice beside_window(const Nest *n, const Choice *c) {
    Choice  x = *c;
    int64_t lanes = 1;
    x.nlane = 0;
    x.chains = 1;
    for (int k = 0; k < c->nlane; k++)
        if (c->lane[k] < n->nout) lanes *= c->step[x.lane[x.nlane++] = c->lane[k]];
    while (x.nlane < MAX_LANE_VARS && lanes < c->width) {
        int    best = -1;
        double most = (double)lanes / c->width;
        for (int v = 0; v < n->nout; v++) {
            int64_t more = lanes * c->step[v];
            double  full = (double)more / (double)((more + c->width - 1) / c->width * c->width);
            if (c->step[v] < 2 || in_list(x.lane, x.nlane, v) || full <= most) continue;
            best = v;
            most = full;
        }
        if (best < 0) break;
        x.lane[x.nlane++] = best;
        lanes *= c->step[best];
    }
    return x;
}

/* ---- stores -------------------------------------------------------------------------------------------- */

static double stores_weight(const Nest *n) {
    double weight = 0;
    for (int i = 0; i < n->nstore; i++) weight += expr_weight(n->store[i].expr);
    return weight;
}

/* Each operation of exp or tanh waits for the one before: two vectors of points side by side take hardly longer than
 * one. */
static void widen_stores(Nest *n) {
    int64_t lanes = 1;
    for (int i = 0; i < n->nlane; i++) lanes *= n->step[n->lane[i]];
    if (stores_weight(n) >= DEEP && lanes % (2 * n->width) == 0 && 2 * n->width <= MAX_STORE_WIDTH) n->width *= 2;
}

/* The code for all points of a tile should not leave the first cache of instructions: the out that makes the rows, if
 * they are many and one out makes them all. */
static void loop_over_rows(Nest *n) {
    int     row = -1, rows = 0;
    int64_t lanes = 1;
    for (int v = 0; v < n->nout; v++) {
        if (in_list(n->lane, n->nlane, v)) lanes *= n->step[v];
        else if (n->step[v] > 1) row = v, rows++;
    }
    if (rows != 1 || n->var[row].apart || n->var[row].panel || !n->nstage) return;
    for (int i = 0; i < n->nstage; i++)
        if (n->stage[i].nwin || !n->stage[i].nlane || n->stage[i].lane[0] >= n->nout) return;
    int64_t vectors = (lanes + n->stage[0].width - 1) / n->stage[0].width;
    if (stores_weight(n) * (double)(vectors * n->step[row]) >= LONG_CODE) n->row_loop = row + 1;
}

/* Lanes of the stores: the outs among the main stage's lanes, and remainders of the tile that lie between them in
 * memory; if the lanes are reductions, the tile's outs by the stride with which the first result is stored. */
static void store_lanes(Nest *n, const Choice *c) {
    n->width = c->width;
    n->nlane = 0;
    for (int i = 0; i < c->nlane && !c->across; i++)
        if (c->lane[i] < n->nout) n->lane[n->nlane++] = c->lane[i];
    for (int v = 0; v < n->nout; v++) {
        bool between = n->var[v].apart && n->nlane && n->store[0].off.k[v] < n->store[0].off.k[n->lane[0]];
        if (n->step[v] == 1 || n->nlane == MAX_LANE_VARS || !(c->across || between)) continue;
        int at = n->nlane++;
        while (at > 0 && n->store[0].off.k[n->lane[at - 1]] > n->store[0].off.k[v]) {
            n->lane[at] = n->lane[at - 1];
            at--;
        }
        n->lane[at] = v;
    }
    widen_stores(n);
}

/* ---- loops over outs ----------------------------------------------------------------------------------- */

void nest_share(Nest *n) {
    int64_t trips = 1;
    n->npar = 0;
    if (n->flops + n->bytes < WORTH_THREADS) return;
    int most = n->list.on ? n->list.level : n->nloop;
    while (n->npar < most && trips < ENOUGH_TRIPS && !n->var[n->loop[n->npar]].adds && !n->var[n->loop[n->npar]].apart)
        trips *= nest_trips(n, n->loop[n->npar++]);
    if (trips == 1) n->npar = 0;
    if (n->cut_inside && n->npar > 1) n->npar = 1;
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

int cut_variable(const Nest *n) {
    enum { SEVERAL = 4 };
    const Stage *s = &n->stage[0];
    int          best = -1;
    if (n->nstage != 1 || n->kind != NEST_LOOPS || s->kind != KIND_SUM || s->expr->dtype != DT_F32 || s->nwin)
        return -1;
    if (n->store[0].node->type.dtype != DT_F32) return -1;
    for (int i = 0; i < s->nred; i++) {
        int  v = s->red[i];
        bool several = n->var[v].size >= SEVERAL;
        if (n->var[v].div || n->var[v].size < 2) continue;
        if (best < 0 || (several && (n->var[best].size < SEVERAL || var_stride(n, v) > var_stride(n, best)))) best = v;
    }
    return best;
}

/* Is the first store a place of its own? In the body of a scan it may be that of a value of another step. */
static bool may_hold_sums(const Fuse *f, const Nest *n) {
    return !f->scan && f->k->place[n->store[0].node->id].space == SPACE_ARENA;
}

int nest_main_stage(const Nest *n) {
    int main = 0;
    for (int i = 0; i < n->nstage; i += joined_stages(n, i))
        if (stage_work(n, i, joined_stages(n, i)) > stage_work(n, main, joined_stages(n, main))) main = i;
    return main;
}

/* Lanes and loops of the stages beside the main one, whose tile they take over. Returns the lanes of the stores. */
static Choice fit_others(const Fuse *f, Nest *n, int main, const Choice *c) {
    Choice lanes = *c;
    for (int i = 0; i < n->nstage; i += joined_stages(n, i)) {
        int  count = joined_stages(n, i);
        Task w = task_of(f->t, n, i, count);
        if (i == main) continue;
        bool   window = reduces_window(n, &n->stage[i]);
        Choice x = window ? beside_window(n, c) : choose(&w, c);
        if (window) x.cost = choice_cost(&w, &x);
        if (window && x.nlane) lanes = x;
        apply_choice(n, i, count, &x);
        if (x.cost > 0) n->cycles += x.cost;
    }
    return lanes;
}

/* The loop over v outside of all others. */
static void move_first(Nest *n, int v) {
    int at = 0;
    while (n->loop[at] != v) at++;
    for (; at > 0; at--) n->loop[at] = n->loop[at - 1];
    n->loop[0] = v;
}

/* Lanes, tile and order of a nest that is not run over a list. */
static void tile_loops(const Fuse *f, Nest *n, int main, const Choice *c, const Forced *x) {
    for (int v = 0; v < n->nout; v++) n->step[v] = c->step[v];
    n->cut = c->cut;
    n->cut_inside = c->inside > 0;
    n->cycles = c->cost;
    if (n->nstage) apply_choice(n, main, joined_stages(n, main), c);
    Choice lanes = fit_others(f, n, main, c);
    store_lanes(n, &lanes);
    if (x && x->width && !n->nstage) n->width = x->width;
    loop_over_rows(n);
    traffic_order(f->t, n, n->step, n->loop);
    n->nloop = n->nout;
    if (c->inside && !x) move_first(n, c->inside - 1);
    if (x) forced_order(x, n, main, n->nstage ? joined_stages(n, main) : 0);
}

/* What is asked for, if it can be. */
static bool force(const Fuse *f, Nest *n, int main, Task *w, Forced *x, const Choice *chosen) {
    if (!forced_read(x, w, chosen)) return false;
    if (!x->list && n->adds) {
        if (!x->steps) return false;
        return forced_fail(
            x, "results of this kernel are added up in memory: over a list (list:lanes=..:tile=..) or plain loops");
    }
    if (x->list) {
        int cut = n->cut_var;
        n->cut_var = -1;
        if (list_schedule(f, n, -1, x->steps ? &x->c : NULL)) return true;
        n->cut_var = cut;
        return forced_fail(
            x, "no list with these lanes and this tile: lanes are outs that lie side by side in the operand that is "
               "not zero, as they are in the printed schedule");
    }
    if (!forced_check(x, w)) return false;
    tile_loops(f, n, main, &x->c, x);
    return true;
}

/* ---- cut like another nest ------------------------------------------------------------------------------- */

/* The same variables, and a main stage over the same of them? */
static bool is_alike(const Nest *p, const Nest *n) {
    if (p->kind != NEST_LOOPS || p->list.on || p->adds || p->cut) return false;
    if (!p->nstage || !n->nstage || p->nout != n->nout) return false;
    const Stage *s = &p->stage[nest_main_stage(p)], *t = &n->stage[nest_main_stage(n)];
    if (s->nred != t->nred || s->nwin || t->nwin || s->kind != t->kind) return false;
    for (int v = 0; v < n->nout; v++)
        if (p->var[v].size != n->var[v].size || p->var[v].bound != n->var[v].bound) return false;
    for (int i = 0; i < s->nred; i++)
        if (s->red[i] != t->red[i] || p->var[s->red[i]].size != n->var[t->red[i]].size) return false;
    return true;
}

static bool reads_result(const Nest *n, const Nest *p) {
    for (int i = 0; i < n->naccess; i++)
        for (int k = 0; k < p->nstore; k++)
            if (n->access[i].node == p->store[k].node) return true;
    return false;
}

/* What was chosen for p. */
static Choice choice_of(const Nest *p) {
    const Stage *s = &p->stage[nest_main_stage(p)];
    Choice       c = {.width = s->width, .nlane = s->nlane, .chains = s->chains};
    c.across = s->nlane && in_list(s->red, s->nred, s->lane[0]);
    memcpy(c.lane, s->lane, sizeof c.lane);
    for (int v = 0; v < p->nout; v++) c.step[v] = p->step[v];
    for (int i = 0; i < s->nred; i++) c.step[s->red[i]] = s->step[s->red[i]];
    return c;
}

/* In a loop, an earlier nest whose results n reads, if n's sums take hardly longer with its tile than with *c, which
 * becomes that: then each thread reads what it has written itself, and need not wait for others. What else n reads
 * comes once, whatever the tile. NULL: there is none. */
static const Nest *cut_alike(const Fuse *f, Task *w, Choice *c) {
    static const double HARDLY = 1.05;
    for (int i = f->k->nnest - 1; i >= 0 && f->scan && w->count; i--) {
        const Nest *p = f->k->nest[i];
        if (!is_alike(p, w->n) || !reads_result(w->n, p)) continue;
        Choice x = choice_of(p);
        double cycles = choice_cost(w, &x);
        if (cycles < 0 || cycles > HARDLY * choice_cost(w, c)) continue;
        traffic_cost(w, &x, cycles);
        *c = x;
        return p;
    }
    return NULL;
}

static void tile_nest(const Fuse *f, Nest *n, Forced *x) {
    merge_vars(n);
    int    cut = may_hold_sums(f, n) ? cut_variable(n) : -1, main = nest_main_stage(n);
    Choice c = {.width = 1, .chains = 1};
    Task   w = task_of(f->t, n, main, n->nstage ? joined_stages(n, main) : 0);
    n->cut_var = n->adds ? -1 : cut;
    if (!n->adds) c = choose_once(f, &w);
    const Nest *like = n->adds || x ? NULL : cut_alike(f, &w, &c);
    if (x && force(f, n, main, &w, x, &c)) return;
    n->cut_var = -1;
    if (n->adds) {
        if (!list_schedule(f, n, -1, NULL)) plain_nest(n);
        return;
    }
    if (fusion_on(f->o, "listed") && list_schedule(f, n, c.cost, NULL)) return;
    n->cut_var = cut;
    tile_loops(f, n, main, &c, NULL);
    if (like) memcpy(n->loop, like->loop, sizeof n->loop);
}

double nest_cycles(const Fuse *f, Nest *n) {
    tile_nest(f, n, NULL);
    return n->cycles;
}

void nest_schedule(const Fuse *f, Nest *n) {
    Forced *x = forced_find(f, kernel_name(f->a, f->k, n));
    bool    plain = n->kind == NEST_SCATTER || f->o->level < 2;
    if (plain) plain_nest(n);
    else tile_nest(f, n, x);
    unroll_windows(n);
    nest_count(n);
    if (n->kind == NEST_SCATTER) n->npar = n->nout;
    else nest_share(n);
    if (f->scan && n->npar > 1 && nest_trips(n, n->loop[0]) >= FEW_TRIPS) n->npar = 1;
    if (!n->cycles) n->cycles = (double)(n->flops + n->bytes / 4);
    if (x && plain && !forced_read(x, &(Task){.t = f->t, .n = n}, &(Choice){.width = 1})) return;
    if (x && plain && x->steps)
        forced_fail(x, f->o->level < 2 ? "schedules are for -O2" : "loops of a scatter have no lanes");
    if (x) forced_share(x, n);
}
