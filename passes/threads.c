/* Which nests the threads share, along which loop, and which thread 0 runs alone.
 *
 * A nest that is shared out costs a start together with the others, and what one thread wrote and another reads has to
 * move from cache to cache, line by line: a small nest on two threads is slower than on one, and so is a small step
 * whose weights are cut along rows when they are read and along columns when they are written. The model goes through
 * the nests in the order of execution for N threads and notes which part of every tensor lies in whose cache: that of
 * thread 0, which runs alone what is not shared, and that of each of the others, which are alike. Code for this machine
 * is for as many threads as it has CPUs; code that goes elsewhere is what is best for 2, 4 and 8 threads in the mean.
 * From all shared and from none shared, one nest after the other takes the way that makes the step shortest: alone,
 * shared as it was scheduled, or, if what it touches stays in a cache, with another loop outermost, so that a thread
 * writes the rows that it reads.
 *
 * It changes nothing but who computes what, and when: the same bits either way. */
#include <math.h>

#include "passes/kernels_impl.h"

/* Cycles: threads meet, and what each of them adds to that, because all write the one line where they meet; a byte
 * moves between two caches; a byte that another thread has read is made one's own. */
static const double MEETING = 1000, ARRIVAL = 250, MOVE = 0.7, CLAIM = 1.2;
static const double TURNED = 1.1;       /* times the cycles, with another loop outermost */
enum { ROUNDS = 4, MAX_WAYS = 4, MAX_COUNTS = 3 };

/* What a thread has, or touches, of a tensor: nothing; its share along the axis that spans so many elements; all. */
typedef struct {
    enum { NOTHING, SHARE, ALL } part;
    int64_t span;
} Part;

/* A tensor by its memory. */
typedef struct {
    const Buffer *buffer;
    Space         space;
    int64_t       offset;
    int64_t       size;         /* bytes */
    Part          has[2];       /* thread 0; each of the others */
} Memory;

/* A nest touches a tensor. */
typedef struct {
    int     memory;
    double  bytes;
    bool    writes, passing;    /* passing: another slice in every step */
    Part    part;               /* of each thread */
} Touch;

/* A way to share a nest out: the loop that stands outermost. */
typedef struct {
    int    var, npar;
    double cycles;              /* of one thread */
    int64_t trips;
    int    first;               /* touches */
} Way;

typedef struct {
    Nest   *n;
    bool    may;                /* nothing else has decided */
    int     nway, way;          /* -1: thread 0 alone */
    Way     ways[MAX_WAYS];     /* the first: as it was scheduled */
    int     count;              /* touches of a way */
    int     alone;              /* the first touch of thread 0 alone */
    int     loop;               /* NEST_SCAN: the first behind its body; else 0 */
    bool    follows;            /* in a chain, not its first: threads do not meet before it */
} Step;

typedef struct {
    Arena         *a;
    const Target  *t;
    VEC(Step)      steps;
    VEC(Touch)     touches;
    VEC(Memory)    memory;
    int            ncount, count[MAX_COUNTS];   /* of threads */
    int            threads;     /* the present one of them */
    bool           together;    /* the last nest was shared out */
} Model;

/* ---- what is touched ---------------------------------------------------------------------------------- */

static int memory_of(Model *m, const Place *p, int64_t bytes) {
    const Buffer *b = p->space == SPACE_ARENA ? p->buffer : NULL;
    for (int i = 0; i < m->memory.n; i++) {
        const Memory *o = &m->memory.at[i];
        if (o->buffer == b && o->space == p->space && (b || o->offset == p->offset)) return i;
    }
    int64_t size = b ? b->size : bytes;
    Memory  o = {.buffer = b, .space = p->space, .offset = b ? 0 : p->offset, .size = size};
    vec_push(m->a, &m->memory, o);
    return m->memory.n - 1;
}

/* What each thread touches through `off` if the outermost loop of more than one tile is shared out. */
static Part part_of(const Nest *n, int npar, const Lin *off, bool indirect) {
    for (int i = 0; i < npar; i++) {
        int     v = n->kind == NEST_SCATTER ? i : n->loop[i];
        int64_t k = off->k[v] < 0 ? -off->k[v] : off->k[v];
        if (nest_trips(n, v) < 2) continue;
        return k && !indirect ? (Part){SHARE, k * n->var[v].size} : (Part){ALL, 0};
    }
    return (Part){ALL, 0};
}

static void touch(Model *m, const Kernels *k, const Nest *n, int npar, const Node *node, const Lin *off, bool indirect,
                  bool writes) {
    const Place *p = &k->place[node->id];
    Touch        t = {.bytes = (double)(type_count(&node->type) * dtype_size(node->type.dtype)), .writes = writes};
    if (p->space == SPACE_NONE || p->space == SPACE_SCALAR || p->space == SPACE_CONST || p->space == SPACE_STEP) return;
    for (int i = 0; i < k->depth; i++) t.passing |= p->step[i] != 0;
    t.memory = memory_of(m, p, (int64_t)t.bytes);
    t.part = part_of(n, npar, off, indirect);
    vec_push(m->a, &m->touches, t);
}

/* The touches of n if its first npar loops are shared out; the number of the first. */
static int touch_all(Model *m, const Kernels *k, const Nest *n, int npar) {
    int first = m->touches.n;
    for (int i = 0; i < n->naccess; i++) {
        const Access *a = &n->access[i];
        if (a->node) touch(m, k, n, npar, a->node, &a->off, a->nind || a->listed, false);
    }
    for (int i = 0; i < n->nstore; i++) touch(m, k, n, npar, n->store[i].node, &n->store[i].off, false, true);
    return first;
}

/* ---- ways --------------------------------------------------------------------------------------------- */

static void add_way(Model *m, const Kernels *k, Step *s, const Nest *n, double cycles) {
    int64_t trips = 1;
    for (int i = 0; i < n->npar; i++) trips *= n->kind == NEST_SCATTER ? n->var[i].size : nest_trips(n, n->loop[i]);
    s->ways[s->nway++] = (Way){n->nloop ? n->loop[0] : 0, n->npar, cycles, trips, touch_all(m, k, n, n->npar)};
}

static void put_outermost(Nest *n, int v) {
    int at = 0;
    while (n->loop[at] != v) at++;
    for (; at > 0; at--) n->loop[at] = n->loop[at - 1];
    n->loop[0] = v;
}

/* With another loop outermost. */
static void add_turned(Model *m, const Kernels *k, Step *s, const Nest *n) {
    if (n->kind != NEST_LOOPS || n->list.on || n->adds || n->bytes > 4 * (int64_t)m->t->l2) return;
    for (int i = 1; i < n->nloop && s->nway < MAX_WAYS; i++) {
        int  v = n->loop[i];
        Nest turned = *n;
        if (nest_trips(n, v) < 2 || n->var[v].apart || n->var[n->loop[0]].apart) continue;
        put_outermost(&turned, v);
        nest_share(&turned);
        if (turned.npar) add_way(m, k, s, &turned, TURNED * n->cycles);
    }
}

/* `chain`: of n, the nest number `at` in it, or NULL. */
static void add_step(Model *m, const Kernels *k, Nest *n, const Chain *chain, int at) {
    Step s = {.n = n, .way = n->npar ? 0 : -1, .follows = chain && at};
    s.may = !chain && n->npar && !n->fixed && n->kind == NEST_LOOPS;
    s.alone = touch_all(m, k, n, 0);
    s.count = m->touches.n - s.alone;
    if (n->npar) add_way(m, k, &s, n, n->cycles);
    if (s.may) add_turned(m, k, &s, n);
    int64_t rows = chain ? chain->rows * chain->per[at] : 0;
    if (rows && n->npar) s.ways[0].trips = (n->var[n->loop[0]].size + rows - 1) / rows;
    vec_push(m->a, &m->steps, s);
}

static const Chain *chain_of(const Kernels *k, int nest) {
    for (int c = 0; c < k->nchain; c++)
        if (nest >= k->chain[c].first && nest < k->chain[c].first + k->chain[c].count) return &k->chain[c];
    return NULL;
}

static void add_nests(Model *m, const Kernels *k) {
    for (int i = 0; i < k->nnest; i++) {
        Nest *n = k->nest[i];
        if (n->kind != NEST_SCAN) {
            const Chain *chain = chain_of(k, i);
            add_step(m, k, n, chain, chain ? i - chain->first : 0);
            continue;
        }
        int at = m->steps.n;
        vec_push(m->a, &m->steps, ((Step){.n = n}));
        add_nests(m, n->scan->body);
        m->steps.at[at].loop = m->steps.n;
    }
}

/* ---- time --------------------------------------------------------------------------------------------- */

static bool same_shares(Part a, Part b) { return a.span <= 2 * b.span && b.span <= 2 * a.span; }

/* Of the whole. */
static double size_of(Part p, double threads) { return p.part == NOTHING ? 0 : p.part == ALL ? 1 : 1 / threads; }

/* The part of the tensor that has to come. */
static double missing(Part has, Part need, double threads) {
    if (need.part == NOTHING || has.part == ALL) return 0;
    if (need.part == ALL || has.part == NOTHING) return size_of(need, threads) - size_of(has, threads);
    return same_shares(has, need) ? 0 : (1 - 1 / threads) / threads;
}

static Part both(Part has, Part need) {
    if (need.part == NOTHING || has.part == ALL) return has;
    if (need.part == ALL || has.part == NOTHING || same_shares(has, need)) return need;
    return (Part){ALL, 0};
}

/* The part of the tensor that a thread needs and that lies with others, `n` of which have `other` each. */
static double overlap(Part need, Part other, double n, double threads) {
    if (need.part == NOTHING || other.part == NOTHING || n < 1) return 0;
    if (other.part == ALL) return size_of(need, threads);
    if (need.part == ALL) return n / threads;
    return same_shares(need, other) ? 0 : n / (threads * threads);
}

/* Cycles for the thread that waits longest; what lies where afterwards. What no other has comes from where it would
 * come from anyway. */
static double touch_cycles(Model *m, const Touch *t, bool shared) {
    Memory *o = &m->memory.at[t->memory];
    Part    need[2] = {shared ? t->part : (Part){ALL, 0}, shared ? t->part : (Part){NOTHING, 0}};
    double  most = 0, threads = m->threads;
    for (int i = 0; i < 2 && i < m->threads; i++) {
        double first = i, alike = threads - 1 - i;      /* others: is thread 0 one of them; how many that are alike */
        bool   there = (first > 0 && o->has[0].part != NOTHING) || (alike > 0 && o->has[1].part != NOTHING);
        double cycles = there ? MOVE * missing(o->has[i], need[i], threads) : 0;
        double with = overlap(need[i], o->has[0], first, threads) + overlap(need[i], o->has[1], alike, threads);
        if (t->writes) cycles += CLAIM * fmin(with, size_of(need[i], threads));
        if (cycles > most) most = cycles;
    }
    for (int i = 0; i < 2 && (t->writes || !t->passing); i++)
        o->has[i] = t->writes ? need[i] : both(o->has[i], need[i]);
    return o->size <= m->threads * (int64_t)m->t->l2 ? most * t->bytes : 0;
}

/* Of the thread with the largest share. */
static double way_cycles(const Way *w, int threads) {
    return w->cycles * (double)((w->trips + threads - 1) / threads) / (double)w->trips;
}

static double step_cycles(Model *m, const Step *s) {
    bool   shared = s->way >= 0;
    int    first = shared ? s->ways[s->way].first : s->alone;
    double cycles = shared ? way_cycles(&s->ways[s->way], m->threads) : s->n->cycles;
    if ((shared || m->together) && m->threads > 1 && !s->follows) cycles += MEETING + ARRIVAL * m->threads;
    m->together = shared;
    for (int i = 0; i < s->count; i++) cycles += touch_cycles(m, &m->touches.at[first + i], shared);
    return cycles;
}

/* Steps from .. to - 1, once through; a loop twice: as at first, and as ever after. */
static double run_cycles(Model *m, int from, int to) {
    double sum = 0;
    for (int i = from; i < to; i++) {
        const Step *s = &m->steps.at[i];
        if (!s->loop) {
            sum += step_cycles(m, s);
            continue;
        }
        sum += run_cycles(m, i + 1, s->loop);
        sum += run_cycles(m, i + 1, s->loop) * (double)(s->n->scan->trip.size - 1);
        i = s->loop - 1;
    }
    return sum;
}

/* A call, as it is when others came before it: weights lie where the last one left them. */
static double cycles_on(Model *m, int threads) {
    m->threads = threads;
    for (int i = 0; i < m->memory.n; i++) m->memory.at[i].has[0].part = m->memory.at[i].has[1].part = NOTHING;
    m->together = false;
    double cycles = 0;
    for (int call = 0; call < 2; call++) {
        for (int i = 0; i < m->memory.n; i++) {
            Memory *o = &m->memory.at[i];
            if (o->space == SPACE_IN) o->has[0].part = ALL, o->has[1].part = NOTHING;
        }
        cycles = run_cycles(m, 0, m->steps.n);
    }
    return cycles;
}

/* The mean over the numbers of threads. */
static double call_cycles(Model *m) {
    double sum = 0;
    for (int i = 0; i < m->ncount; i++) sum += cycles_on(m, m->count[i]);
    return sum / m->ncount;
}

/* ---- the choice --------------------------------------------------------------------------------------- */

/* The best way of one step while the others stay; false: it has it already. */
static bool turn(Model *m, Step *s, double *best) {
    int found = s->way, before = s->way;
    for (int w = -1; w < s->nway; w++) {
        if (w == before) continue;
        s->way = w;
        double cycles = call_cycles(m);
        if (cycles < *best) *best = cycles, found = w;
    }
    s->way = found;
    return found != before;
}

static double improve(Model *m) {
    double best = call_cycles(m);
    bool   more = true;
    for (int round = 0; round < ROUNDS && more; round++) {
        more = false;
        for (int i = 0; i < m->steps.n; i++)
            if (m->steps.at[i].may) more |= turn(m, &m->steps.at[i], &best);
    }
    return best;
}

static void set_ways(Model *m, int way) {
    for (int i = 0; i < m->steps.n; i++)
        if (m->steps.at[i].may) m->steps.at[i].way = way;
}

static void settle(Step *s, int way) {
    Nest *n = s->n;
    n->npar = way < 0 ? 0 : s->ways[way].npar;
    if (way > 0) put_outermost(n, s->ways[way].var);
}

/* Loops of whose body no nest is shared out are one thread's as a whole. */
static void find_serial(const Kernels *k) {
    for (int i = 0; i < k->nnest; i++) {
        ScanLoop *l = k->nest[i]->scan;
        if (k->nest[i]->kind != NEST_SCAN) continue;
        find_serial(l->body);
        l->serial = true;
        for (int j = 0; j < l->body->nnest; j++) {
            const Nest *in = l->body->nest[j];
            l->serial &= in->kind == NEST_SCAN ? in->scan->serial : in->npar == 0;
        }
    }
}

void share_nests(const Fuse *f) {
    Arena *a = arena_new();
    Model  m = {.a = a, .t = f->t, .ncount = MAX_COUNTS, .count = {2, 4, 8}};
    if (f->o->threads) m.ncount = 1, m.count[0] = f->o->threads > 2 ? f->o->threads : 2;
    add_nests(&m, f->k);
    set_ways(&m, -1);
    double alone = improve(&m);
    int   *found = ARENA_ARRAY(a, int, m.steps.n + 1);
    for (int i = 0; i < m.steps.n; i++) found[i] = m.steps.at[i].way;
    set_ways(&m, 0);
    bool shared = improve(&m) < alone;
    for (int i = 0; i < m.steps.n; i++)
        if (m.steps.at[i].may) settle(&m.steps.at[i], shared ? m.steps.at[i].way : found[i]);
    find_serial(f->k);
    arena_free(a);
}

double kernels_cycles(const Kernels *k, int threads) {
    Arena *a = arena_new();
    Model  m = {.a = a, .t = &k->target};
    add_nests(&m, k);
    double cycles = cycles_on(&m, threads);
    arena_free(a);
    return cycles;
}
