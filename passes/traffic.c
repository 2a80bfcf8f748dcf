/* What a schedule moves between the caches. A tile reads its operands along the whole reduction; the loops around it
 * come back to some of them. What fits in a cache together with all that is touched in between is found there
 * again; what does not comes from the next one, a line at a time.
 *
 * The same estimate orders the loops over outs: innermost the variable whose next value touches least that is new. */
#include <math.h>

#include "passes/schedule_impl.h"

/* Bytes: a line; a cycle from beyond L2, from memory; the distance at which lines compete for one set of L1, and of L2;
 * what a core may count on of the cache that all cores share. */
enum {
    LINE = 64,
    L3_CYCLE = 12,
    MEMORY_CYCLE = 4,
    L1_WAY = 4096,
    L2_WAY = 65536,
    SHARED = 8 << 20,
    LEVELS = MAX_VARS + 1
};
/* Bytes of a run that is fetched ahead by itself; between runs of memory; such runs that a processor reads ahead. */
enum { LONG_RUN = 4096, FAR = 1024, STREAMS = 8 };
enum { TURN_RUN = 512 };        /* bytes of a run that a turn reads at least, if others follow before it goes on */
static const double APART = 3;          /* what reading more of them takes than their bytes */
static const double USABLE = 0.9;      /* of a cache: other data, and lines that meet in one set */
static const double WORTH_CUT = 1.2;    /* times the cycles of arithmetic: then a cut is tried */
static const double HIDDEN = 0.75;      /* of traffic that arithmetic takes longer than */

/* An access or store of the nest. */
typedef struct {
    const Lin *off;
    int        size;            /* bytes of an element */
    double     weight, most;    /* lines written come and go; bytes of the whole tensor */
    int        n, var[MAX_VARS];          /* variables that it moves with, smallest stride first */
    int64_t    stride[MAX_VARS];
} Stream;

typedef struct {
    double bytes, run;          /* of all lines; of a run of them */
    double l1, l2;              /* the room they take in a cache: runs a multiple of a way apart share few sets */
    bool   apart;               /* more runs, far apart, than are read ahead */
} Foot;

typedef struct {
    const Target *t;
    const Nest *n;
    int         count;
    Stream      stream[MAX_READS + MAX_STORES];
    int64_t     extent[MAX_VARS];
} Walk;

/* The room that `bytes` in runs of `run` bytes, `stride` apart, take in a cache. */
static double room_for(double bytes, double run, int64_t stride, int64_t way) {
    int64_t common = way;
    for (int64_t rest = stride % way; rest;) {
        int64_t next = common % rest;
        common = rest;
        rest = next;
    }
    return common > run ? bytes * (double)common / run : bytes;
}

/* A stream at the walk's extents. Variables with small strides make runs, the others repeat them; a run begins and
 * ends within a line. */
static Foot footprint(const Walk *w, const Stream *s) {
    double  runs = 1;
    int64_t apart = 0, run = 1;
    for (int i = 0; i < s->n; i++) {
        int64_t extent = w->extent[s->var[i]];
        if (extent < 2) continue;
        if (s->stride[i] <= run || s->stride[i] * s->size < LINE) {
            run += s->stride[i] * (extent - 1);
            continue;
        }
        runs *= (double)extent;
        if (!apart || extent > 8) apart = s->stride[i] * s->size;
    }
    double length = (double)(run * s->size + LINE - s->size), bytes = runs * length;
    if (bytes > s->most) bytes = s->most;
    if (runs < 9) return (Foot){bytes, length, bytes, bytes, false};
    return (Foot){bytes, length, room_for(bytes, length, apart, L1_WAY), room_for(bytes, length, apart, L2_WAY),
                  runs > STREAMS && apart >= FAR && length < FAR};
}

static void add_stream(Walk *w, const Node *node, const Lin *off, double weight) {
    if (w->count == MAX_READS + MAX_STORES) return;
    int     size = dtype_size(node->type.dtype);
    Stream *s = &w->stream[w->count++];
    *s = (Stream){.off = off, .size = size, .weight = weight, .most = (double)(type_count(&node->type) * size)};
    for (int v = 0; v < w->n->nvar; v++) {
        int64_t k = off->k[v] < 0 ? -off->k[v] : off->k[v];
        int     at = s->n;
        if (!k || w->n->var[v].size < 2) continue;
        for (; at > 0 && s->stride[at - 1] > k; at--) {
            s->stride[at] = s->stride[at - 1];
            s->var[at] = s->var[at - 1];
        }
        s->stride[at] = k;
        s->var[at] = v;
        s->n++;
    }
}

static void find_streams(Walk *w, const Target *t, const Nest *n) {
    w->t = t;
    w->n = n;
    w->count = 0;
    for (int i = 0; i < n->naccess && i < MAX_READS; i++) {
        const Access *a = &n->access[i];
        if (a->node && a->node->op != OP_RNG && !a->nind) add_stream(w, a->node, &a->off, 1);
    }
    for (int i = 0; i < n->nstore; i++) add_stream(w, n->store[i].node, &n->store[i].off, 2);
}

static void start_walk(Walk *w, const int64_t *step) {
    const Nest *n = w->n;
    for (int v = 0; v < n->nvar; v++) w->extent[v] = v < n->nout && step[v] < n->var[v].size ? step[v] : n->var[v].size;
}

/* What is touched at the walk's extents; each[]: by stream. */
static Foot touched(const Walk *w, Foot *each) {
    Foot sum = {0};
    for (int i = 0; i < w->count; i++) {
        each[i] = footprint(w, &w->stream[i]);
        sum.bytes += each[i].bytes;
        sum.l1 += each[i].l1;
        sum.l2 += each[i].l2;
    }
    return sum;
}

/* Remainders stand inside of all other loops. */
static bool remainder_left(const Walk *w) {
    for (int v = 0; v < w->n->nout; v++)
        if (w->n->var[v].apart && w->extent[v] < w->n->var[v].size) return true;
    return false;
}

/* A result that does not stay in L2 is best written run by run: lines that are begun here and there are fetched one by
 * one, where runs are fetched ahead. The variable that goes on with the runs of such a result, as long as they are
 * short and all that is touched along it stays in L2, whence operands come fast. -1: none. */
static int along_results(Walk *w) {
    Foot each[MAX_READS + MAX_STORES];
    for (int i = 0; i < w->count; i++) {
        const Stream *s = &w->stream[i];
        if (s->weight < 2 || s->most <= (double)w->t->l2) continue;
        for (int k = 0; k < s->n; k++) {
            int     v = s->var[k];
            int64_t small = w->extent[v];
            if (s->stride[k] * s->size > LONG_RUN) break;
            if (v >= w->n->nout || small == w->n->var[v].size) continue;
            if (small * s->stride[k] * s->size > LONG_RUN) break;
            w->extent[v] = w->n->var[v].size;
            bool fits = touched(w, each).l2 <= USABLE * w->t->l2;
            if (fits) return v;
            w->extent[v] = small;
            break;
        }
    }
    return -1;
}

/* Takes the next loop outwards: the variable with the least that is new per turn. -1: none is left. */
static int next_loop(Walk *w, const int64_t *step, const Foot *each) {
    bool   apart = remainder_left(w);
    int    best = apart ? -1 : along_results(w);
    double least = 0;
    if (best >= 0) return best;
    for (int v = w->n->nout - 1; v >= 0; v--) {
        int64_t size = w->n->var[v].size, small = w->extent[v];
        if (small == size || (apart && !w->n->var[v].apart)) continue;
        double more = 0;
        w->extent[v] = size;
        for (int i = 0; i < w->count; i++)
            if (w->stream[i].off->k[v])
                more += w->stream[i].weight * (footprint(w, &w->stream[i]).bytes - each[i].bytes);
        more *= (double)step[v] / (double)(size - step[v] ? size - step[v] : 1);
        w->extent[v] = small;
        if (best < 0 || more < least) best = v, least = more;
    }
    if (best >= 0) w->extent[best] = w->n->var[best].size;
    return best;
}

/* A nest whose whole does not fit in L2, but what one turn through the batch touches does, goes through the batch
 * outermost: it costs nothing and can be part of a chain. */
static void batch_first(const Target *t, Walk *w, const int64_t *step, int *order, int count) {
    Foot each[MAX_READS + MAX_STORES];
    int  at = 0;
    while (at < count && !(w->n->var[order[at]].bound && !w->n->var[order[at]].adds)) at++;
    if (!at || at == count || !w->n->nstage) return;
    int v = order[at];
    for (int i = 0; i < w->n->nout; i++) w->extent[i] = w->n->var[i].size;
    if (touched(w, each).l2 <= USABLE * t->l2) return;
    w->extent[v] = step[v];
    if (touched(w, each).l2 > USABLE * t->l2) return;
    for (; at > 0; at--) order[at] = order[at - 1];
    order[0] = v;
}

void traffic_order(const Target *t, const Nest *n, const int64_t *step, int *order) {
    Walk w;
    Foot each[MAX_READS + MAX_STORES];
    int  at = n->nout, v, inner[MAX_VARS], count = 0;
    find_streams(&w, t, n);
    start_walk(&w, step);
    touched(&w, each);
    while ((v = next_loop(&w, step, each)) >= 0) {
        inner[count++] = v;
        touched(&w, each);
    }
    for (int i = 0; i < count; i++) order[count - 1 - i] = inner[i];
    batch_first(t, &w, step, order, count);
    for (v = 0, at = count; v < n->nout; v++)
        if (step[v] >= n->var[v].size) order[at++] = v;
}

/* ---- cycles -------------------------------------------------------------------------------------------- */

typedef struct {
    int    count;               /* levels: the tile, then with one loop more each */
    int    loop[LEVELS];        /* of level i: the loop around it, -1 at the last */
    int    turn;                /* the level of a turn inside of the outermost loop; -1: there is none */
    Foot   all[LEVELS];
    Foot   each[LEVELS][MAX_READS + MAX_STORES];
    double trips[LEVELS];       /* of the loop around it */
} Levels;

/* The one loop that is not taken yet; -1: none, or several. */
static int loop_left(const Walk *w) {
    int left = -1;
    for (int v = 0; v < w->n->nout; v++) {
        if (w->extent[v] == w->n->var[v].size) continue;
        if (left >= 0) return -1;
        left = v;
    }
    return left;
}

static double trips_of(const Walk *w, const int64_t *step, int v) {
    return (double)((w->n->var[v].size + step[v] - 1) / step[v]);
}

/* cut: 0, or values of n->cut_var in a turn. The loop of turns stands around all others; inside: around all but the
 * outermost. */
static void find_levels(Walk *w, const int64_t *step, int64_t cut, bool inside, Levels *l) {
    const Nest *n = w->n;
    if (cut) w->extent[n->cut_var] = cut;
    l->turn = -1;
    for (l->count = 0;;) {
        int k = l->count++;
        l->all[k] = touched(w, l->each[k]);
        if (inside && l->turn < 0 && loop_left(w) >= 0) {
            l->turn = k;
            l->loop[k] = n->cut_var;
        } else {
            l->loop[k] = next_loop(w, step, l->each[k]);
            if (l->loop[k] < 0 && cut && !inside && w->extent[n->cut_var] == cut) l->loop[k] = n->cut_var;
        }
        if (l->loop[k] < 0) return;
        if (l->loop[k] != n->cut_var) {
            l->trips[k] = trips_of(w, step, l->loop[k]);
            continue;
        }
        l->trips[k] = (double)((n->var[n->cut_var].size + cut - 1) / cut);
        w->extent[n->cut_var] = n->var[n->cut_var].size;
    }
}

/* May the turns be made inside of the outermost loop: has it trips to share out, and does a turn read long runs of what
 * it cuts, before others follow? */
static bool can_be_inside(const Walk *w, const Levels *l) {
    if (l->turn < 0 || l->trips[l->turn + 1] < ENOUGH_TRIPS) return false;
    for (int i = 0; i < w->count; i++) {
        const Stream *s = &w->stream[i];
        bool          far = s->most > (double)w->t->l2 && s->off->k[w->n->cut_var];
        if (far && l->each[l->turn][i].run < TURN_RUN) return false;
    }
    return true;
}

/* Bytes that come into a cache that the levels below `fit` fit in; from beyond L2 they come run by run of the tile.
 * Nothing waits for what is written. */
static double bytes_into(const Walk *w, const Levels *l, int fit, int64_t l2) {
    double sum = 0, turns = 1;
    int    k = fit ? fit - 1 : 0;
    for (int i = k; i + 1 < l->count; i++) turns *= l->trips[i];
    for (int i = 0; i < w->count; i++) {
        const Stream *s = &w->stream[i];
        bool          stays = fit && k + 1 < l->count && !s->off->k[l->loop[k]];
        bool          waits = l2 && s->weight < 2 && s->most > (double)l2 && l->each[0][i].apart;
        sum += (waits ? APART : 1) * s->weight * l->each[k][i].bytes * turns / (stays ? l->trips[k] : 1);
    }
    return sum;
}

/* With what moves between the caches. *outermost: becomes the loop around all others; -1: there is none. */
static double cycles_of(const Target *t, Walk *w, const int64_t *step, int64_t cut, bool inside, double cycles,
                        int *outermost) {
    Levels l;
    int    in_l1 = 0, in_l2 = 0, in_l3 = 0;
    start_walk(w, step);
    find_levels(w, step, cut, inside, &l);
    *outermost = l.count > 1 ? l.loop[l.count - 2] : -1;
    if (inside && !can_be_inside(w, &l)) return INFINITY;
    while (in_l1 < l.count && l.all[in_l1].l1 <= USABLE * t->l1) in_l1++;
    while (in_l2 < l.count && l.all[in_l2].l2 <= USABLE * t->l2) in_l2++;
    while (in_l3 < l.count && l.all[in_l3].bytes <= SHARED) in_l3++;
    if (in_l1 == l.count) return cycles;
    double l2 = bytes_into(w, &l, in_l1, 0) / (3 * t->width), l3 = bytes_into(w, &l, in_l2, t->l2) / L3_CYCLE;
    double memory = in_l3 == l.count ? 0 : bytes_into(w, &l, in_l3, t->l2) / MEMORY_CYCLE;
    double most = cycles > l2 ? cycles : l2;
    if (l3 > most) most = l3;
    if (memory > most) most = memory;
    return most + (1 - HIDDEN) * (cycles + l2 + l3 + memory - most);
}

double far_cycles(double bytes) { return bytes / (bytes > SHARED ? MEMORY_CYCLE : L3_CYCLE); }

void traffic_cost(const Task *w, Choice *c, double cycles) {
    const Target *t = w->t;
    const Nest   *n = w->n;
    static const int64_t CUTS[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
    Walk walk;
    int  outermost;
    find_streams(&walk, t, n);
    c->cost = cycles_of(t, &walk, c->step, 0, false, cycles, &outermost);
    if (n->cut_var < 0 || c->cost < WORTH_CUT * cycles) return;
    for (int i = 0; i < c->nlane; i++)
        if (c->lane[i] == n->cut_var) return;
    for (size_t i = 0; i < sizeof CUTS / sizeof *CUTS && 2 * CUTS[i] <= n->var[n->cut_var].size; i++) {
        double turns = (double)(n->var[n->cut_var].size / CUTS[i]), sums = cycles + turns * turn_cycles(w, c);
        for (int inside = 0; inside < 2; inside++) {
            double cost = cycles_of(t, &walk, c->step, CUTS[i], inside, sums, &outermost);
            if (cost >= c->cost) continue;
            c->cost = cost;
            c->cut = CUTS[i];
            c->inside = inside ? 1 + outermost : 0;
        }
    }
}
