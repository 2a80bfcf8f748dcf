/* Chains: nests that run one after the other for a few rows of the batch, then for the next rows.
 *
 * A layer of a large batch writes more than the caches hold, and the next layer would read it back from memory. If
 * both go through the batch in their outermost loop, and row r of the one needs nothing but row r of the other, they
 * may run for some rows together: what is passed on is still in the cache, and no thread waits for another between
 * them. A tensor that the chain alone uses lives in the rows of a thread's first turn: the same memory in every turn.
 *
 * Nests that do not fit may stand between: small ones that need nothing of the chain run before it, others after it, as
 * long as what joins later needs nothing of them. What those read lives longer then, and is farther away.
 *
 * What a nest computes and in which order it adds is the same with and without a chain. */
#include <string.h>

#include "passes/schedule_impl.h"

enum { LEAST_TURNS = 8 };       /* of a chain at full size: shares for the threads */
enum { MOST_PASSED = 4 };       /* nests that run after a chain, though they stood in it: what they read lives longer */
/* Of the cycles that a chain computes: what it must save. Where arithmetic rules, shares of single nests keep threads
 * busier. */
static const double WORTH = 0.05;
static const double CALL = 100;         /* cycles to begin a nest for a turn */
static const double USABLE = 0.9;       /* of L2 */
enum { NEAR = 4 << 20 };        /* bytes: what a turn touches at most, if what it passes on is to be saved */
static const double NOT_NEXT = 0.9;     /* of what is saved, beyond L2 */

typedef struct {
    const Fuse *f;
    Kernels    *k;
    int         count;          /* of the chain that is growing */
    Nest       *nest[MAX_CHAIN];
    int64_t     batch;          /* rows */
    int         bound;
    int64_t     rows;           /* of a turn */
    int64_t     per[MAX_CHAIN]; /* per nest: values of its outermost loop for a row */
} Growing;

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

static bool has_rows(const Growing *g, const Node *node) {
    return node->type.rank && node->type.dim[0].size == g->batch && node->type.dim[0].bound == g->bound;
}

/* Does row r of node lie in one run of memory, at the r * per-th values of the nest's outermost variable? */
static bool by_rows(const Growing *g, const Nest *n, const Node *node, const Lin *off, int64_t per) {
    int64_t row = g->k->place[node->id].stride[0];
    int     v = n->loop[0];
    if (!has_rows(g, node) || off->k[v] * per != row) return false;
    for (int u = 0; u < n->nvar; u++)
        if (u != v && n->var[u].size > 1 && (off->k[u] >= row || off->k[u] <= -row)) return false;
    return true;
}

static bool stores(const Nest *n, const Node *node) {
    for (int s = 0; s < n->nstore; s++)
        if (n->store[s].node == node) return true;
    return false;
}

/* The nest of the chain that writes node; -1: none. */
static int writer_of(const Growing *g, const Node *node) {
    for (int i = 0; i < g->count; i++)
        if (stores(g->nest[i], node)) return i;
    return -1;
}

/* May the nest be the next of the chain (whose batch is settled)? */
static bool fits(const Growing *g, const Nest *n, int64_t per) {
    for (int s = 0; s < n->nstore; s++) {
        const Place *p = &g->k->place[n->store[s].node->id];
        if (p->space != SPACE_OUT && (p->space != SPACE_ARENA || p->buffer->node != n->store[s].node)) return false;
        if (!by_rows(g, n, n->store[s].node, &n->store[s].off, per)) return false;
    }
    for (int i = 0; i < n->naccess; i++) {
        const Access *a = &n->access[i];
        if (!a->node || writer_of(g, a->node) < 0) continue;
        if (a->nind || a->listed || !by_rows(g, n, a->node, &a->off, per)) return false;
    }
    return true;
}

/* ---- what a chain saves --------------------------------------------------------------------------------- */

static double bytes_of(const Node *n) { return (double)(type_count(&n->type) * dtype_size(n->type.dtype)); }

/* What a turn touches of node, if none of the nests from .. to - 1 has touched it. */
static double turn_bytes(const Growing *g, const Node *node, int from, int to) {
    for (int i = from; i < to; i++) {
        if (stores(g->nest[i], node)) return 0;
        for (int a = 0; a < g->nest[i]->naccess; a++)
            if (g->nest[i]->access[a].node == node) return 0;
    }
    return has_rows(g, node) ? bytes_of(node) / (double)g->batch * (double)g->rows : bytes_of(node);
}

/* What a turn of nests from .. to touches. */
static double span_bytes(const Growing *g, int from, int to) {
    double sum = 0;
    for (int i = from; i <= to; i++) {
        const Nest *n = g->nest[i];
        for (int s = 0; s < n->nstore; s++) sum += turn_bytes(g, n->store[s].node, from, i);
        for (int a = 0; a < n->naccess; a++) {
            const Node *node = n->access[a].node;
            bool        twice = !node;
            for (int b = 0; b < a; b++) twice |= n->access[b].node == node;
            if (!twice) sum += turn_bytes(g, node, from, i);
        }
    }
    return sum;
}

/* Cycles to write and read what is passed on within the chain, if it did not stay in the caches of a core. */
static double saved(const Growing *g) {
    double cycles = 0, l2 = USABLE * g->f->t->l2;
    for (int i = 0; i < g->count; i++)
        for (int a = 0; a < g->nest[i]->naccess; a++) {
            const Node *node = g->nest[i]->access[a].node;
            int         from = node && bytes_of(node) > g->f->t->l2 ? writer_of(g, node) : -1;
            if (from < 0) continue;
            double span = span_bytes(g, from, i);
            if (span <= NEAR) cycles += (span <= l2 ? 2 : 2 * NOT_NEXT) * far_cycles(bytes_of(node));
        }
    return cycles;
}

/* What it must save. */
static double wanted(const Growing *g) {
    double cycles = 0;
    for (int i = 0; i < g->count; i++)
        cycles += WORTH * g->nest[i]->cycles + CALL * (double)g->batch / (double)g->rows;
    return cycles;
}

/* ---- growing -------------------------------------------------------------------------------------------- */

/* Adds the nest to the chain, or begins one with it, if that saves so much more at least. */
static bool grow(Growing *g, Nest *n, double least) {
    if (n->kind != NEST_LOOPS || !n->nloop || !n->nstore || g->count == MAX_CHAIN) return false;
    if (n->fixed && !n->chained) return false;
    int            v = n->loop[0];
    const NestVar *var = &n->var[v];
    const Type    *type = &n->store[0].node->type;
    if (var->apart || var->adds || !type->rank || (n->list.on && !n->list.level)) return false;
    int64_t batch = type->dim[0].size, per = batch ? var->size / batch : 0;
    if (!per || var->size % batch || var->bound != type->dim[0].bound) return false;
    if (g->count && (batch != g->batch || var->bound != g->bound)) return false;
    g->batch = batch;
    g->bound = var->bound;
    int64_t step = n->step[v] / gcd(n->step[v], per), before = g->rows;
    int64_t rows = g->count ? g->rows / gcd(g->rows, step) * step : step;
    if (batch / rows < LEAST_TURNS || !fits(g, n, per)) return false;
    least += saved(g);
    g->rows = rows;
    g->per[g->count] = per;
    g->nest[g->count++] = n;
    if (saved(g) >= least) return true;
    g->rows = before;
    g->count--;
    return false;
}

static bool same_memory(const Kernels *k, const Node *a, const Node *b) {
    const Place *p = &k->place[a->id], *q = &k->place[b->id];
    if (a == b) return true;
    if (p->space != q->space || p->space == SPACE_NONE) return false;
    return p->space == SPACE_ARENA ? p->buffer == q->buffer : p->offset == q->offset;
}

/* Does b touch what a writes? */
static bool touches(const Kernels *k, const Nest *a, const Nest *b) {
    for (int s = 0; s < a->nstore; s++) {
        for (int i = 0; i < b->nstore; i++)
            if (same_memory(k, a->store[s].node, b->store[i].node)) return true;
        for (int i = 0; i < b->naccess; i++)
            if (b->access[i].node && same_memory(k, a->store[s].node, b->access[i].node)) return true;
    }
    return false;
}

static bool free_of(const Kernels *k, const Nest *n, Nest *const *others, int count) {
    for (int i = 0; i < count; i++)
        if (touches(k, n, others[i]) || touches(k, others[i], n)) return false;
    return true;
}

/* Cycles to bring what n reads of the arena from farther away. */
static double cost_of_passing(const Growing *g, const Nest *n) {
    double cycles = 0;
    for (int a = 0; a < n->naccess; a++) {
        const Node *node = n->access[a].node;
        if (!node || g->k->place[node->id].space != SPACE_ARENA || bytes_of(node) <= g->f->t->l2) continue;
        cycles += far_cycles(bytes_of(node));
    }
    return cycles;
}

/* The chain that begins with nest `first`. Nests that stand in it move: small ones that are free of it before it, at
 * most MOST_PASSED behind it. Returns its new place; -1: there is none. */
static int extend(Growing *g, int first) {
    Kernels *k = g->k;
    Nest    *before[MAX_CHAIN], *passed[MOST_PASSED];
    int      nbefore = 0, npassed = 0, moved = 0, left = 0;
    double   cost = 0, paid = 0;
    for (int i = first + 1; i < k->nnest && k->nest[i]->kind != NEST_SCAN; i++) {
        Nest *n = k->nest[i];
        bool  is_free = free_of(k, n, passed, npassed);
        if (is_free && grow(g, n, cost)) {
            paid += cost;
            cost = 0;
            moved = nbefore;
            left = npassed;
        } else if (is_free && nbefore < MAX_CHAIN && n->bytes <= g->f->t->l2 && free_of(k, n, g->nest, g->count)) {
            before[nbefore++] = n;
        } else if (npassed < MOST_PASSED) {
            passed[npassed++] = n;
            cost += cost_of_passing(g, n);
        } else {
            break;
        }
    }
    if (g->count < 2 || saved(g) - paid <= wanted(g)) return -1;
    Nest **to = k->nest + first;
    memcpy(to, before, sizeof *to * (size_t)moved);
    memcpy(to + moved, g->nest, sizeof *to * (size_t)g->count);
    memcpy(to + moved + g->count, passed, sizeof *to * (size_t)left);
    return first + moved;
}

void chain_nests(Fuse *f) {
    Kernels *k = f->k;
    k->chain = ARENA_ARRAY(f->a, Chain, k->nnest);
    for (int i = 0; i < k->nnest; i++) {
        Growing g = {.f = f, .k = k};
        int     first = grow(&g, k->nest[i], 0) ? extend(&g, i) : -1;
        if (first < 0) continue;
        Chain *c = &k->chain[k->nchain++];
        *c = (Chain){.first = first, .count = g.count, .rows = g.rows};
        c->per = arena_copy(f->a, g.per, sizeof *g.per * (size_t)g.count);
        for (int j = 0; j < g.count; j++)
            if (!g.nest[j]->npar) g.nest[j]->npar = 1;
        i = first + g.count - 1;
    }
    for (int i = 0; i < k->nnest; i++) k->nest[i]->chained = false;
    for (int c = 0; c < k->nchain; c++)
        for (int i = 0; i < k->chain[c].count; i++) k->nest[k->chain[c].first + i]->chained = true;
}

/* ---- what lives in a chain ------------------------------------------------------------------------------ */

static int first_at(const Kernels *k, const Chain *c) { return k->nest[c->first]->at; }
static int last_at(const Kernels *k, const Chain *c) { return k->nest[c->first + c->count - 1]->at; }

/* Where a guard fails the first number of the tensor may be read in place of the one that is not there; but the address
 * of what is moved from turn to turn is no tensor's. */
static bool read_under_guards(const Kernels *k, const Chain *c, const Node *node) {
    for (int i = c->first; i < c->first + c->count; i++)
        for (int a = 0; a < k->nest[i]->naccess; a++)
            if (k->nest[i]->access[a].node == node && k->nest[i]->access[a].nguard) return true;
    return false;
}

void chain_locals(Kernels *k, Arena *a) {
    k->local = ARENA_ARRAY(a, const Chain *, k->graph->nodes.n);
    for (int c = 0; c < k->nchain; c++) {
        const Chain *chain = &k->chain[c];
        for (int i = chain->first; i < chain->first + chain->count; i++)
            for (int s = 0; s < k->nest[i]->nstore; s++) {
                const Node  *node = k->nest[i]->store[s].node;
                const Place *p = &k->place[node->id];
                if (p->space != SPACE_ARENA || p->buffer->first < first_at(k, chain)) continue;
                if (p->buffer->last > last_at(k, chain) || read_under_guards(k, chain, node)) continue;
                k->local[node->id] = chain;
            }
    }
}

/* Memory for the rows of a chain. */
typedef struct {
    Buffer *buffer;
    int64_t pitch;              /* bytes from row to row */
    int     last;               /* the nest that reads it last */
} Rows;

/* Moves what p places to rows that are free again; its own become rows for others. */
static void share_rows(Place *p, int64_t pitch, Rows *rows, int *n) {
    Buffer *own = p->buffer;
    int     i = 0;
    while (i < *n && (rows[i].last >= own->first || rows[i].pitch != pitch)) i++;
    if (i == *n) {
        rows[(*n)++] = (Rows){own, pitch, own->last};
        return;
    }
    rows[i].last = own->last;
    p->buffer = rows[i].buffer;
    if (own->size > p->buffer->size) p->buffer->size = own->size;
    own->size = 0;
}

/* Tensors that live in turn, with rows equally far apart, lie in one memory: a thread's rows of the one are its rows of
 * the other. So what a deep chain passes on stays in the cache. */
void chain_share(Kernels *k, Arena *a) {
    int left = 0;
    for (int c = 0; c < k->nchain; c++) {
        const Chain *chain = &k->chain[c];
        Rows        *rows = ARENA_ARRAY(a, Rows, k->nbuffer);
        int          n = 0;
        for (int i = chain->first; i < chain->first + chain->count; i++)
            for (int s = 0; s < k->nest[i]->nstore; s++) {
                const Node *node = k->nest[i]->store[s].node;
                Place      *p = &k->place[node->id];
                if (k->local[node->id] != chain || p->buffer->node != node || p->offset) continue;
                share_rows(p, p->stride[0] * dtype_size(node->type.dtype), rows, &n);
            }
    }
    for (int i = 0; i < k->nbuffer; i++)
        if (k->buffer[i]->size) k->buffer[left++] = k->buffer[i];
    k->nbuffer = left;
}

/* The first nest runs again after the last has run: what lives in a part of a chain lives in all of it. */
void chain_lives(const Kernels *k) {
    for (int c = 0; c < k->nchain; c++) {
        int first = first_at(k, &k->chain[c]), last = last_at(k, &k->chain[c]);
        for (int i = 0; i < k->nbuffer; i++) {
            Buffer *b = k->buffer[i];
            if (b->first > first && b->first <= last) b->first = first;
            if (b->last >= first && b->last < last) b->last = last;
        }
    }
}
