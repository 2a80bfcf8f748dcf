/* The schedule of a nest: merges variables, chooses lanes and tiles (choose.c) for the stage with the most work, fits
 * the other stages and the stores to its tile, orders the loops, decides what is shared out among the threads.
 *
 * Order of loops over outs: outermost the variable that cuts most memory into pieces, since what does not
 * depend on it is read again in every turn; then the same question for what is left of every tensor. */
#include <string.h>

#include "passes/schedule_impl.h"

enum { WORTH_THREADS = 60000, ENOUGH_TRIPS = 12 };   /* operations + bytes; shares of a nest */

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

static void plain_nest(Nest *n) {
    n->width = 1;
    for (int v = 0; v < n->nout; v++) {
        n->step[v] = 1;
        n->loop[n->nloop++] = v;
    }
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

/* How many vectors (or numbers) of access `a` a pass over the tile's points meets. */
static int64_t vectors_met(const Nest *n, const Stage *s, const Choice *c, const Access *a) {
    int64_t met = 1, lanes = 1;
    bool    varies = false;
    for (int i = 0; i < c->nlane && !c->across; i++) {
        lanes *= c->step[c->lane[i]];
        varies |= a->off.k[c->lane[i]] != 0;
    }
    for (int i = 0; i < n->nout + s->nwin; i++) {
        int v = i < n->nout ? i : s->win[i - n->nout];
        if (!a->off.k[v] || (!c->across && in_list(c->lane, c->nlane, v))) continue;
        met *= i < n->nout ? c->step[v] : n->var[v].size;
    }
    return varies ? met * ((lanes + c->width - 1) / c->width) : met;
}

typedef struct {
    const Nest   *n;
    const Stage  *s;
    const Choice *c;
    const Access *held;
    int64_t       met;
} Held;

static void look_at_operand(const Expr *e, void *cx) {
    Held *h = cx;
    if (e->op != SC_READ || !h->n->access[e->operand].node) return;
    const Access *a = &h->n->access[e->operand];
    int64_t       met = vectors_met(h->n, h->s, h->c, a);
    if (!h->held || met < h->met) {
        h->held = a;
        h->met = met;
    }
}

/* Outs and window: innermost those that move the operand with the fewest vectors, since what moves with the innermost is
 * kept in registers; among equals those with most values outside. */
static void order_points(const Nest *n, Stage *s, const Choice *c) {
    Held h = {.n = n, .s = s, .c = c};
    expr_walk(s->expr, look_at_operand, &h);
    s->npoint = 0;
    s->vectors_outside = h.held && !c->across;
    for (int i = 0; i < c->nlane && h.held; i++) s->vectors_outside &= !h.held->off.k[c->lane[i]];
    for (int i = 0; i < n->nout + s->nwin; i++) {
        int     v = i < n->nout ? i : s->win[i - n->nout], at = s->npoint++;
        int64_t count = i < n->nout ? c->step[v] : n->var[v].size;
        bool    moves = h.held && h.held->off.k[v];
        while (at > 0) {
            int     u = s->point[at - 1];
            int64_t before = u < n->nout ? c->step[u] : n->var[u].size;
            bool    inner = h.held && h.held->off.k[u];
            if (inner == moves ? before >= count : moves) break;
            s->point[at] = u;
            at--;
        }
        s->point[at] = v;
    }
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

/* Stages first .. first + result - 1 share their loops. */
static int joined_stages(const Nest *n, int first) {
    int count = 1;
    while (first + count < n->nstage && n->stage[first + count].joined) count++;
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

/* ---- stores -------------------------------------------------------------------------------------------- */

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
}

/* ---- loops over outs ----------------------------------------------------------------------------------- */

/* Bytes of all tensors that v cuts, each divided by the trips of the loops chosen before. */
static double cut_by(const Nest *n, int v, const double *share) {
    double bytes = 0;
    for (int i = 0; i < n->naccess + n->nstore; i++) {
        bool        load = i < n->naccess;
        const Lin  *off = load ? &n->access[i].off : &n->store[i - n->naccess].off;
        const Node *node = load ? n->access[i].node : n->store[i - n->naccess].node;
        if (!node || !off->k[v]) continue;
        bytes += share[i] * (double)(type_count(&node->type) * dtype_size(node->type.dtype));
    }
    return bytes;
}

/* Is there an out left that may stand outside of the remainders? */
static bool inner_only(const Nest *n, const bool *taken) {
    for (int v = 0; v < n->nout; v++)
        if (!taken[v] && !n->var[v].apart) return true;
    return false;
}

static void order_outs(Nest *n, Arena *a) {
    double *share = ARENA_ARRAY(a, double, n->naccess + n->nstore);
    bool    taken[MAX_VARS] = {false};
    for (int i = 0; i < n->naccess + n->nstore; i++) share[i] = 1;
    n->nloop = 0;
    for (int k = 0; k < n->nout; k++) {
        int best = -1;
        for (int v = 0; v < n->nout; v++) {
            if (taken[v] || (n->var[v].apart && inner_only(n, taken))) continue;
            bool one = nest_trips(n, v) == 1, best_one = best >= 0 && nest_trips(n, best) == 1;
            if (best >= 0 && one && !best_one) continue;
            if (best < 0 || (best_one && !one) || cut_by(n, v, share) > cut_by(n, best, share)) best = v;
        }
        taken[best] = true;
        n->loop[n->nloop++] = best;
        for (int i = 0; i < n->naccess + n->nstore; i++) {
            const Lin *off = i < n->naccess ? &n->access[i].off : &n->store[i - n->naccess].off;
            if (off->k[best]) share[i] /= (double)nest_trips(n, best);
        }
    }
}

/* How many of the outer loops the threads share. */
static void share_out(Nest *n) {
    int64_t trips = 1;
    n->npar = 0;
    nest_count(n);
    if (n->flops + n->bytes < WORTH_THREADS) return;
    while (n->npar < n->nloop && trips < ENOUGH_TRIPS && !n->var[n->loop[n->npar]].apart)
        trips *= nest_trips(n, n->loop[n->npar++]);
    if (trips == 1) n->npar = 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

static void tile_nest(const Fuse *f, Nest *n) {
    int    main = 0;
    Choice c;
    merge_vars(n);
    for (int i = 0; i < n->nstage; i += joined_stages(n, i))
        if (stage_work(n, i, joined_stages(n, i)) > stage_work(n, main, joined_stages(n, main))) main = i;
    Task w = task_of(f->t, n, main, n->nstage ? joined_stages(n, main) : 0);
    c = choose(&w, NULL);
    for (int v = 0; v < n->nout; v++) n->step[v] = c.step[v];
    if (n->nstage) apply_choice(n, main, w.count, &c);
    for (int i = 0; i < n->nstage; i += joined_stages(n, i)) {
        int count = joined_stages(n, i);
        if (i == main) continue;
        if (reduces_window(n, &n->stage[i])) {
            Choice x = c;
            x.chains = x.nlane = 0;
            for (int k = 0; k < c.nlane; k++)
                if (c.lane[k] < n->nout) x.lane[x.nlane++] = c.lane[k];
            x.chains = 1;
            apply_choice(n, i, count, &x);
        } else {
            Task   other = task_of(f->t, n, i, count);
            Choice x = choose(&other, &c);
            apply_choice(n, i, count, &x);
        }
    }
    store_lanes(n, &c);
    order_outs(n, f->a);
}

void nest_schedule(const Fuse *f, Nest *n) {
    if (n->kind == NEST_SCATTER || f->o->level < 2) plain_nest(n);
    else tile_nest(f, n);
    unroll_windows(n);
    if (n->kind == NEST_SCATTER) n->npar = n->nout;
    else share_out(n);
}
