/* What a schedule moves between the caches. A tile reads its operands along the whole reduction; the loops around it
 * come back to some of them. What fits in a cache together with all that is touched in between is found there
 * again; what does not comes from the next one, a line at a time.
 *
 * The same estimate orders the loops over outs: innermost the variable whose next value touches least that is new. */
#include "passes/schedule_impl.h"

/* Bytes: a line; a cycle from beyond L2; the distance at which lines compete for one set of L1, and of L2. */
enum { LINE = 64, L3_CYCLE = 12, L1_WAY = 4096, L2_WAY = 65536, LEVELS = MAX_VARS + 1 };
enum { FAR = 1024, STREAMS = 8 };       /* bytes between runs of memory; such runs that a processor reads ahead */
static const double APART = 3;          /* what more of them take than their bytes */
static const double USABLE = 0.9;      /* of a cache: other data, and lines that meet in one set */
static const double WORTH_CUT = 1.2;    /* times the cycles of arithmetic: then a cut is tried */
static const double HIDDEN = 0.75;      /* of traffic that arithmetic takes longer than */

/* An access or store of the nest. */
typedef struct {
    const Lin *off;
    int        size;            /* bytes of an element */
    double     weight, most;    /* lines written come and go; bytes of the whole tensor */
} Stream;

typedef struct {
    double bytes;               /* of all lines */
    double l1, l2;              /* the room they take in a cache: runs a multiple of a way apart share few sets */
    bool   apart;               /* more runs, far apart, than are read ahead */
} Foot;

typedef struct {
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
    int64_t stride[MAX_VARS], extent[MAX_VARS], run = 1;
    int     n = 0;
    for (int v = 0; v < w->n->nvar; v++) {
        int64_t k = s->off->k[v] < 0 ? -s->off->k[v] : s->off->k[v];
        int     at = n;
        if (!k || w->extent[v] < 2) continue;
        for (; at > 0 && stride[at - 1] > k; at--) {
            stride[at] = stride[at - 1];
            extent[at] = extent[at - 1];
        }
        stride[at] = k;
        extent[at] = w->extent[v];
        n++;
    }
    double  runs = 1;
    int64_t apart = 0;
    for (int i = 0; i < n; i++) {
        if (stride[i] <= run || stride[i] * s->size < LINE) {
            run += stride[i] * (extent[i] - 1);
            continue;
        }
        runs *= (double)extent[i];
        if (!apart || extent[i] > 8) apart = stride[i] * s->size;
    }
    double length = (double)(run * s->size + LINE - s->size), bytes = runs * length;
    if (bytes > s->most) bytes = s->most;
    if (runs < 9) return (Foot){bytes, bytes, bytes, false};
    return (Foot){bytes, room_for(bytes, length, apart, L1_WAY), room_for(bytes, length, apart, L2_WAY),
                  runs > STREAMS && apart >= FAR && length < FAR};
}

static void add_stream(Walk *w, const Node *node, const Lin *off, double weight) {
    if (w->count == MAX_READS + MAX_STORES) return;
    int size = dtype_size(node->type.dtype);
    w->stream[w->count++] = (Stream){off, size, weight, (double)(type_count(&node->type) * size)};
}

static Walk walk_of(const Nest *n, const int64_t *step) {
    Walk w = {.n = n};
    for (int i = 0; i < n->naccess && i < MAX_READS; i++) {
        const Access *a = &n->access[i];
        if (a->node && a->node->op != OP_RNG && !a->nind) add_stream(&w, a->node, &a->off, 1);
    }
    for (int i = 0; i < n->nstore; i++) add_stream(&w, n->store[i].node, &n->store[i].off, 2);
    for (int v = 0; v < n->nvar; v++) w.extent[v] = v < n->nout && step[v] < n->var[v].size ? step[v] : n->var[v].size;
    return w;
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

static double weighted(const Walk *w, const Foot *each) {
    double sum = 0;
    for (int i = 0; i < w->count; i++) sum += w->stream[i].weight * each[i].bytes;
    return sum;
}

/* Remainders stand inside of all other loops. */
static bool remainder_left(const Walk *w) {
    for (int v = 0; v < w->n->nout; v++)
        if (w->n->var[v].apart && w->extent[v] < w->n->var[v].size) return true;
    return false;
}

/* Takes the next loop outwards: the variable with the least that is new per turn. -1: none is left. */
static int next_loop(Walk *w, const int64_t *step, const Foot *each) {
    bool   apart = remainder_left(w);
    int    best = -1;
    double least = 0, before = weighted(w, each);
    Foot   now[MAX_READS + MAX_STORES];
    for (int v = w->n->nout - 1; v >= 0; v--) {
        int64_t size = w->n->var[v].size, small = w->extent[v];
        if (small == size || (apart && !w->n->var[v].apart)) continue;
        w->extent[v] = size;
        touched(w, now);
        double more = (weighted(w, now) - before) * (double)step[v] / (double)(size - step[v] ? size - step[v] : 1);
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
    Walk w = walk_of(n, step);
    Foot each[MAX_READS + MAX_STORES];
    int  at = n->nout, v, inner[MAX_VARS], count = 0;
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
    Foot   all[LEVELS];
    Foot   each[LEVELS][MAX_READS + MAX_STORES];
    double trips[LEVELS];       /* of the loop around it */
} Levels;

/* cut: 0, or values of n->cut_var in a turn of the loop around all others. */
static void find_levels(Walk *w, const int64_t *step, int64_t cut, Levels *l) {
    const Nest *n = w->n;
    if (cut) w->extent[n->cut_var] = cut;
    for (l->count = 0;;) {
        int k = l->count++;
        l->all[k] = touched(w, l->each[k]);
        int v = l->loop[k] = next_loop(w, step, l->each[k]);
        if (v >= 0) {
            l->trips[k] = (double)((n->var[v].size + step[v] - 1) / step[v]);
        } else if (cut && w->extent[n->cut_var] == cut) {
            l->loop[k] = n->cut_var;
            l->trips[k] = (double)((n->var[n->cut_var].size + cut - 1) / cut);
            w->extent[n->cut_var] = n->var[n->cut_var].size;
        } else {
            return;
        }
    }
}

/* Bytes that come into a cache that the levels below `fit` fit in; from beyond L2 they come run by run of the tile. */
static double bytes_into(const Walk *w, const Levels *l, int fit, int64_t l2) {
    double sum = 0, turns = 1;
    int    k = fit ? fit - 1 : 0;
    for (int i = k; i + 1 < l->count; i++) turns *= l->trips[i];
    for (int i = 0; i < w->count; i++) {
        const Stream *s = &w->stream[i];
        bool          stays = fit && k + 1 < l->count && !s->off->k[l->loop[k]];
        double        slow = l2 && s->most > (double)l2 && l->each[0][i].apart ? APART : 1;
        sum += slow * s->weight * l->each[k][i].bytes * turns / (stays ? l->trips[k] : 1);
    }
    return sum;
}

static double cycles_of(const Target *t, const Nest *n, const int64_t *step, int64_t cut, double cycles) {
    Walk   w = walk_of(n, step);
    Levels l;
    int    in_l1 = 0, in_l2 = 0;
    find_levels(&w, step, cut, &l);
    while (in_l1 < l.count && l.all[in_l1].l1 <= USABLE * t->l1) in_l1++;
    while (in_l2 < l.count && l.all[in_l2].l2 <= USABLE * t->l2) in_l2++;
    if (in_l1 == l.count) return cycles;
    double l2 = bytes_into(&w, &l, in_l1, 0) / (3 * t->width), l3 = bytes_into(&w, &l, in_l2, t->l2) / L3_CYCLE;
    double most = cycles > l2 ? cycles : l2;
    if (l3 > most) most = l3;
    return most + (1 - HIDDEN) * (cycles + l2 + l3 - most);
}

/* Cycles to load and store the sums once more. */
static double turn_cycles(const Nest *n, const Choice *c) {
    double cycles = 4;
    for (int v = 0; v < n->nout; v++) cycles *= (double)n->var[v].size;
    return cycles / c->width;
}

void traffic_cost(const Target *t, const Nest *n, Choice *c, double cycles) {
    static const int64_t CUTS[] = {2, 4, 8, 16, 32, 64, 128, 256};
    c->cost = cycles_of(t, n, c->step, 0, cycles);
    if (n->cut_var < 0 || c->across || c->cost < WORTH_CUT * cycles) return;
    for (size_t i = 0; i < sizeof CUTS / sizeof *CUTS && 2 * CUTS[i] <= n->var[n->cut_var].size; i++) {
        double turns = (double)(n->var[n->cut_var].size / CUTS[i]);
        double cost = cycles_of(t, n, c->step, CUTS[i], cycles + turns * turn_cycles(n, c));
        if (cost >= c->cost) continue;
        c->cost = cost;
        c->cut = CUTS[i];
    }
}
