/* The search for a schedule: which variables fill the lanes, how many values of which variables make a tile, what is
 * unrolled. Lanes follow memory: the variables of one access from the smallest stride up. Everything is
 * decided by the cost model; no timing, no randomness. */
#include <string.h>

#include "passes/schedule_impl.h"

/* Of the cycles before: what unrolling must leave at most if the last pass is code of its own, which is compiled and
 * fetched as well. */
static const double WORTH_A_REST = 0.95;
enum { SECOND = 7, MAX_TRIED = 96 };    /* SECOND: steps tried for a second row variable */

/* Lanes that were tried, with what else try_chain is given. */
typedef struct {
    int     width, nlane, lane[MAX_LANE_VARS], turning;
    bool    across;
} Tried;

typedef struct {
    Task         *w;
    const Choice *given;        /* steps of outs that must be kept, or NULL */
    double        limit;        /* choices that cost more are of no use; 0: none */
    int           nrow, row[MAX_VARS];    /* variables that may be rows of a tile */
    int           turning;      /* a reduction of which several values are turned, -1: none */
    int           ntried;
    Tried         tried[MAX_TRIED];
    Choice        best;
} Search;

static const int64_t STEPS[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 20, 24};
enum { NSTEPS = sizeof STEPS / sizeof *STEPS };

/* False if the choice needs more than there is: so would more of it. */
static bool consider(Search *s, const Choice *c) {
    double cost = choice_cost(s->w, c);
    if (cost < 0) return false;
    if (s->limit > 0 && cost >= s->limit) return true;
    if (s->best.cost >= 0 && cost >= s->best.cost) return true;
    Choice full = *c;
    full.cost = cost;
    full.cut = 0;
    full.inside = 0;
    if (s->w->count) traffic_cost(s->w, &full, cost);
    if (s->best.cost < 0 || full.cost < s->best.cost) s->best = full;
    return true;
}

/* Would lanes along `lane` be far apart in an access that r walks through number by number? */
static bool may_turn(const Task *w, int lane, int r) {
    bool any = false;
    if (w->n->var[r].bound || w->n->var[r].size < TURN) return false;
    for (int i = 0; i < w->nread; i++) {
        const Lin *off = &w->n->access[w->read[i]].off;
        any |= off->k[r] == 1 && off->k[lane] > TURN;
    }
    return any;
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

/* A map, or what a remainder takes from one point: nothing that is loaded serves a second row. */
static bool sums_nothing(const Task *w) { return !w->count || !w->n->stage[w->first].nred; }

/* Tiles of one or two row variables. */
static void try_rows(Search *s, Choice *c) {
    const Nest *n = s->w->n;
    consider(s, c);
    if (s->given) return;
    for (int i = 0; i < s->nrow && sums_nothing(s->w); i++) {
        int u = s->row[i];
        if (!c->nlane || !may_turn(s->w, c->lane[0], u)) continue;
        c->step[u] = 2 * TURN < n->var[u].size ? 2 * TURN : n->var[u].size;
        consider(s, c);
        c->step[u] = 1;
    }
    if (sums_nothing(s->w)) return;
    for (int i = 0; i < s->nrow; i++) {
        int u = s->row[i];
        for (int a = 0; a < NSTEPS && STEPS[a] <= n->var[u].size; a++) {
            c->step[u] = STEPS[a];
            if (!consider(s, c)) break;
            for (int j = a < SECOND ? i + 1 : 0; j < s->nrow; j++) {     /* what is before i has met these steps */
                int v = s->row[j];
                for (int b = 0; j != i && b < SECOND && STEPS[b] <= n->var[v].size; b++) {
                    c->step[v] = STEPS[b];
                    if (!consider(s, c)) break;
                }
                if (j != i) c->step[v] = 1;
            }
        }
        c->step[u] = 1;
    }
}

/* The same with all remainders in the tile (their results lie side by side, their operands are the same), with that of
 * the smallest stride alone, with none. */
static void try_remainders(Search *s, Choice *c) {
    const Nest *n = s->w->n;
    int         rest[MAX_VARS], count = 0;
    for (int v = 0; v < n->nout; v++)
        if (n->var[v].apart) rest[count++] = v;
    if (s->given || !count) {
        try_rows(s, c);
        return;
    }
    for (int in = count; in >= 0; in--) {
        for (int i = 0; i < count; i++) c->step[rest[i]] = i >= count - in ? n->var[rest[i]].size : 1;
        try_rows(s, c);
    }
}

static void find_rows(Search *s, const Choice *c) {
    s->nrow = 0;
    for (int v = 0; v < s->w->n->nout; v++) {
        bool lane = s->w->n->var[v].size == 1 || s->w->n->var[v].apart || s->w->n->var[v].panel;
        for (int i = 0; i < c->nlane; i++) lane |= c->lane[i] == v;
        if (!lane) s->row[s->nrow++] = v;
    }
}

/* ---- lanes --------------------------------------------------------------------------------------------- */

/* Variables of `a` from the list, by stride, smallest first. */
static int chain_of(const Nest *n, const Lin *a, int count, const int *var, int *chain) {
    int len = 0;
    for (int i = 0; i < count; i++) {
        int v = var[i], at = len;
        if (a->k[v] <= 0 || n->var[v].size == 1 || n->var[v].apart) continue;
        while (at > 0 && a->k[chain[at - 1]] > a->k[v]) {
            chain[at] = chain[at - 1];
            at--;
        }
        chain[at] = v;
        len++;
    }
    return len < MAX_LANE_VARS ? len : MAX_LANE_VARS;
}

/* The last lane variable takes as many values as fill 1, 2, ... vectors. */
static void try_last_lane(Search *s, Choice c, int64_t inner) {
    const Nest *n = s->w->n;
    int         v = c.lane[c.nlane - 1];
    int64_t     before = 0, size = n->var[v].size;
    for (int q = 1; q <= MAX_VECTORS; q++) {
        int64_t step = (q * c.width) / inner;
        if (step > size || task_window(s->w, v) || n->var[v].panel) step = size;
        if (s->given && !c.across) step = s->given->step[v];
        if (step < 1 || step == before || inner * step > MAX_VECTORS * c.width) continue;
        before = step;
        c.step[v] = step;
        c.chains = 1;
        try_remainders(s, &c);
        for (c.chains = 2; c.across && c.chains <= q; c.chains *= 2) try_remainders(s, &c);
    }
}

/* Several accesses may begin with the same variables. */
static bool was_tried(Search *s, const Choice *c) {
    Tried now = {.width = c->width, .nlane = c->nlane, .turning = s->turning, .across = c->across};
    for (int i = 0; i < MAX_LANE_VARS; i++) now.lane[i] = i < c->nlane ? c->lane[i] : -1;
    for (int i = 0; i < s->ntried; i++) {
        const Tried *t = &s->tried[i];
        bool same =
            t->width == now.width && t->nlane == now.nlane && t->turning == now.turning && t->across == now.across;
        if (same && !memcmp(t->lane, now.lane, sizeof now.lane)) return true;
    }
    if (s->ntried < MAX_TRIED) s->tried[s->ntried++] = now;
    return false;
}

/* Every beginning of the chain as lanes; all but the last variable whole. */
static void try_chain(Search *s, Choice c, int len, const int *chain) {
    const Nest *n = s->w->n;
    int64_t     inner = 1;
    for (int k = 1; k <= len; k++) {
        int v = chain[k - 1];
        if (n->var[v].bound && len > 1 && !s->given && s->w->count) break;
        c.nlane = k;
        c.lane[k - 1] = v;
        find_rows(s, &c);
        if (!was_tried(s, &c)) try_last_lane(s, c, inner);
        if (n->var[v].bound) break;
        c.step[v] = n->var[v].size;
        if (s->given && !c.across) c.step[v] = s->given->step[v];
        inner *= c.step[v];
        if (inner > MAX_VECTORS * c.width) break;
    }
}

static Choice scalar_choice(const Search *s, int width) {
    Choice c = {.width = width, .chains = 1, .cost = -1};
    for (int v = 0; v < s->w->n->nvar; v++) c.step[v] = s->w->n->var[v].panel ? s->w->n->var[v].size : 1;
    if (s->given) memcpy(c.step, s->given->step, sizeof c.step);
    const Stage *stage = &s->w->n->stage[s->w->first];
    for (int i = 0; s->w->count && i < stage->nred; i++) c.step[stage->red[i]] = 1;
    return c;
}

bool can_go_across(const Task *w) {
    for (int i = w->first; i < w->first + w->count; i++) {
        Kind k = w->n->stage[i].kind;
        if (k >= KIND_MAX && k <= KIND_ARGMIN && w->n->stage[i].nguard) return false;
        if (w->n->stage[i].nwin) return false;
    }
    return w->count > 0;
}

static void try_form(Search *s, const Lin *a, int width) {
    Task *w = s->w;
    int   outs[2 * MAX_VARS], n = 0, chain[MAX_VARS];
    for (int v = 0; v < w->n->nout; v++) outs[n++] = v;
    for (int i = 0; w->count && i < w->n->stage[w->first].nwin; i++) outs[n++] = w->n->stage[w->first].win[i];
    Choice c = scalar_choice(s, width);
    int    len = chain_of(w->n, a, n, outs, chain);
    try_chain(s, c, len, chain);
    const Stage *stage = &w->n->stage[w->first];
    for (int i = 0; w->count && len && i < stage->nred; i++) {
        int r = stage->red[i];
        if (!may_turn(w, chain[0], r)) continue;
        c.step[r] = TURN;
        s->turning = r;
        try_chain(s, c, len, chain);
        s->turning = -1;
        c.step[r] = 1;
    }
    if (!can_go_across(w)) return;
    c.across = true;
    n = chain_of(w->n, a, stage->nred, stage->red, chain);
    if (n && a->k[chain[0]] == 1) try_chain(s, c, n, chain);
}

/* ---- unrolling ------------------------------------------------------------------------------------------ */

/* The reduction with the smallest stride that is not taken whole yet: -1 if it is in the lanes or cut already. */
static int innermost_reduction(const Task *w, const Choice *c) {
    const Stage *stage = &w->n->stage[w->first];
    int          best = -1;
    for (int i = 0; i < stage->nred; i++) {
        int v = stage->red[i];
        if (c->step[v] == w->n->var[v].size) continue;
        if (best < 0 || var_stride(w->n, v) < var_stride(w->n, best)) best = v;
    }
    return best >= 0 && c->step[best] == 1 && !w->n->var[best].bound ? best : -1;
}

/* From the inside out, so that what a pass touches lies together. */
static void try_unrolling(Search *s) {
    for (int v; (v = innermost_reduction(s->w, &s->best)) >= 0;) {
        const NestVar *var = &s->w->n->var[v];
        Choice         base = s->best;
        for (int64_t u = 2; u <= 8 && u <= var->size; u++) {
            Choice c = base;
            if (u != var->size && (u & (u - 1))) continue;
            c.step[v] = u;
            consider(s, &c);
            for (c.chains = 2; !base.across && c.chains <= u; c.chains *= 2) consider(s, &c);
        }
        if (var->size % s->best.step[v] && s->best.cost > WORTH_A_REST * base.cost) s->best = base;
        if (s->best.step[v] != var->size) return;
    }
}

Choice choose_below(Task *w, const Choice *given, double limit) {
    enum { UNROLLED = 5 };      /* unrolling may save a part of it */
    Search s = {.w = w, .given = given, .turning = -1, .limit = limit + limit / UNROLLED};
    s.best.cost = -1;
    find_rows(&s, &(Choice){0});
    s.best = scalar_choice(&s, 1);
    s.best.cost = choice_cost(w, &s.best);
    for (int width = w->t->width; width >= 4 && width >= w->t->width / 2; width /= 2) {
        if (width < w->t->width && s.best.cost <= w->points * w->ops / width / w->t->fma_ports) break;
        for (int i = 0; i < w->nread; i++) try_form(&s, &w->n->access[w->read[i]].off, width);
        for (int i = 0; i < w->n->nstore; i++) try_form(&s, &w->n->store[i].off, width);
    }
    if (w->count) try_unrolling(&s);
    return s.best;
}

Choice choose(Task *w, const Choice *given) { return choose_below(w, given, 0); }
