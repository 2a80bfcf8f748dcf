/* Places in the arena, and barriers.
 *
 * A tensor lives from the nest that makes it to the last that reads it; one that is touched inside a scan but belongs
 * to the graph around lives as long as the whole scan. Tensors are placed from the largest to the smallest, each at the
 * lowest offset where it meets no other that lives at the same time: 64-byte aligned, with slack before and behind it
 * (loads may run over the ends). All is static and depends on nothing but the nests.
 *
 * A barrier stands before a nest that touches memory which a nest since the last barrier has written, or writes what
 * one has read; nests that thread 0 alone runs do not need one between them, nor those of a chain (chain.c), nor those
 * whose shared loops are cut alike, where each thread meets what it has written itself. What came before a step of a
 * scan is what came before the scan, or the step before.
 */
#include <stdlib.h>
#include <string.h>

#include "passes/kernels_impl.h"

enum { ALIGN = 64 };

Buffer *buffer_new(Fuse *f, const Node *n, int64_t bytes, int depth) {
    Buffer *b = ARENA_NEW(f->a, Buffer);
    *b = (Buffer){.node = n, .size = (bytes + ARENA_SLACK + ALIGN - 1) / ALIGN * ALIGN, .depth = depth, .first = -1};
    vec_push(f->a, f->buffers, b);
    return b;
}

int64_t place_bytes(const Place *p, const Type *t) {
    int64_t last = 0;
    for (int i = 0; i < t->rank && !p->panel; i++) last += (t->dim[i].size - 1) * p->stride[i];
    for (int i = 0; i < t->rank && p->panel; i++)
        if (p->stride[i] == 1) last = (t->dim[i].size + p->panel - 1) / p->panel * p->panel_stride - 1;
    return (last + 1) * dtype_size(t->dtype);
}

/* ---- lives --------------------------------------------------------------------------------------------- */

typedef struct {
    const ScanLoop *around[MAX_LOOPS];
    int             at;
} Walk;

static void number_nests(Walk *w, const Kernels *k) {
    for (int i = 0; i < k->nnest; i++) {
        Nest *n = k->nest[i];
        n->at = w->at++;
        if (n->kind != NEST_SCAN) continue;
        n->scan->at = n->at;
        number_nests(w, n->scan->body);
        n->scan->end = w->at++;
    }
}

static void touch(const Walk *w, const Kernels *k, const Nest *n, const Node *node) {
    if (!node || k->place[node->id].space != SPACE_ARENA) return;
    Buffer         *b = k->place[node->id].buffer;
    const ScanLoop *l = b->depth < k->depth ? w->around[b->depth] : NULL;
    int             from = l ? l->at : n->at, to = l ? l->end : n->at;
    if (b->first < 0) b->first = from, b->last = to;
    if (from < b->first) b->first = from;
    if (to > b->last) b->last = to;
}

static void touch_all(Walk *w, const Kernels *k) {
    for (int i = 0; i < k->nnest; i++) {
        const Nest *n = k->nest[i];
        for (int s = 0; s < n->nstore; s++) touch(w, k, n, n->store[s].node);
        for (int r = 0; r < n->naccess; r++) touch(w, k, n, n->access[r].node);
        if (n->kind != NEST_SCAN) continue;
        w->around[k->depth] = n->scan;
        touch_all(w, n->scan->body);
    }
}

static void find_lives(const Kernels *k) {
    Walk w = {0};
    for (int i = 0; i < k->nbuffer; i++) k->buffer[i]->first = k->buffer[i]->last = -1;
    number_nests(&w, k);
    touch_all(&w, k);
}

/* ---- offsets ------------------------------------------------------------------------------------------- */

static int larger_first(const void *x, const void *y) {
    const Buffer *const *a = x, *const *b = y;
    if ((*a)->size != (*b)->size) return (*a)->size > (*b)->size ? -1 : 1;
    return (*a)->first != (*b)->first ? (*a)->first - (*b)->first : (*a)->node->id - (*b)->node->id;
}

static int lower_first(const void *x, const void *y) {
    const Buffer *const *a = x, *const *b = y;
    return (*a)->offset < (*b)->offset ? -1 : (*a)->offset > (*b)->offset;
}

static bool live_together(const Buffer *a, const Buffer *b) { return a->first <= b->last && b->first <= a->last; }

/* The lowest offset where b fits among the buffers placed before it. */
static int64_t find_offset(const Buffer *b, Buffer *const *all, int placed, Buffer **rival) {
    int     n = 0;
    int64_t at = ARENA_SLACK;
    for (int i = 0; i < placed; i++)
        if (live_together(b, all[i])) rival[n++] = all[i];
    qsort(rival, (size_t)n, sizeof *rival, lower_first);
    for (int i = 0; i < n; i++) {
        if (rival[i]->offset >= at + b->size) break;
        if (rival[i]->offset + rival[i]->size > at) at = rival[i]->offset + rival[i]->size;
    }
    return at;
}

static void place_buffers(Kernels *k, Arena *a) {
    Buffer **rival = ARENA_ARRAY(a, Buffer *, k->nbuffer + 1);
    if (k->nbuffer) qsort(k->buffer, (size_t)k->nbuffer, sizeof *k->buffer, larger_first);
    k->arena_size = ARENA_SLACK;
    for (int i = 0; i < k->nbuffer; i++) {
        Buffer *b = k->buffer[i];
        b->offset = find_offset(b, k->buffer, i, rival);
        if (b->offset + b->size > k->arena_size) k->arena_size = b->offset + b->size;
    }
}

/* From offsets within buffers to offsets in the arena. */
static void settle_places(Kernels *k) {
    for (int i = 0; i < k->graph->nodes.n; i++)
        if (k->place[i].space == SPACE_ARENA && k->place[i].buffer) k->place[i].offset += k->place[i].buffer->offset;
    for (int i = 0; i < k->nnest; i++)
        if (k->nest[i]->kind == NEST_SCAN) settle_places(k->nest[i]->scan->body);
}

/* ---- barriers ---------------------------------------------------------------------------------------- */

typedef struct {
    Space   space;
    int64_t lo, hi;
} Range;

static int64_t bytes_of(const Place *p, const Node *n) { return p->span ? p->span : place_bytes(p, &n->type); }

static Range range_of(const Kernels *k, const Node *n) {
    const Place *p = &k->place[n->id];
    bool numbered = p->space == SPACE_OUT || p->space == SPACE_IN || p->space == SPACE_SCALAR, moves = p->turn != 0;
    int64_t      size = bytes_of(p, n);
    for (int i = 0; i < k->depth; i++) moves |= p->step[i] != 0;
    if (p->space == SPACE_ARENA && moves)
        return (Range){p->space, p->buffer->offset, p->buffer->offset + p->buffer->size};
    return (Range){p->space, p->offset, p->offset + (numbered ? 1 : size)};
}

static bool ranges_meet(Range a, Range b) { return a.space == b.space && a.lo < b.hi && b.lo < a.hi; }

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

/* A nest with the kernels whose places it uses. */
typedef struct {
    const Kernels *k;
    Nest          *n;
    bool           old;         /* ran in a step before the present one, or before the loop */
} Ran;

typedef VEC(Ran) RanList;

/* Do the places of a node of x and one of y meet? In one and the same step the slices of a buffer are known. */
static bool places_meet(const Ran *x, const Node *a, const Ran *y, const Node *b) {
    const Place *p = &x->k->place[a->id], *q = &y->k->place[b->id];
    bool         same_step = x->k == y->k && !x->old && !y->old && p->space == SPACE_ARENA && p->buffer == q->buffer;
    if (!ranges_meet(range_of(x->k, a), range_of(y->k, b))) return false;
    if (!same_step || p->turn != q->turn || memcmp(p->step, q->step, sizeof p->step)) return true;
    if (p->turn) return p->phase == q->phase;
    return p->offset < q->offset + bytes_of(q, b) && q->offset < p->offset + bytes_of(p, a);
}

/* What trip number i of a nest's one shared loop touches of a tensor lies, `period` aside, from span * i on, in less
 * than span elements. */
typedef struct {
    int64_t span, period;
} Part;

static bool part_of(const Nest *n, const Lin *off, Part *part) {
    int     p = n->loop[0];
    int64_t reach = (n->step[p] - 1) * off->k[p];
    if (n->kind != NEST_LOOPS || n->npar != 1 || n->adds || n->list.on || off->k[p] < 1) return false;
    *part = (Part){n->step[p] * off->k[p], 0};
    for (int v = 0; v < n->nvar; v++) {
        if (v == p || !off->k[v]) continue;
        if (off->k[v] < 0 || n->var[v].div) return false;
        if (off->k[v] < part->span) reach += off->k[v] * (n->var[v].size - 1);
        else part->period = common_divisor(part->period, off->k[v]);
    }
    int64_t first = part->period ? off->c % part->period : off->c;
    return first >= 0 && first + reach < part->span;
}

static bool same_trips(const Nest *a, const Nest *b) {
    const NestVar *x = &a->var[a->loop[0]], *y = &b->var[b->loop[0]];
    return x->size == y->size && x->bound == y->bound && x->per == y->per && a->step[a->loop[0]] == b->step[b->loop[0]];
}

/* A chain shares out turns, not trips. */
static bool in_chain(const Ran *r) {
    for (int c = 0; c < r->k->nchain; c++)
        for (int i = 0; i < r->k->chain[c].count; i++)
            if (r->k->nest[r->k->chain[c].first + i] == r->n) return true;
    return false;
}

/* Both touch a tensor, but each of its elements in the same trip of their shared loops: so the same thread does. */
static bool thread_keeps(const Ran *a, const Node *of, const Lin *x, const Ran *b, const Node *too, const Lin *y) {
    Part p, q;
    if (of != too || !part_of(a->n, x, &p) || !part_of(b->n, y, &q) || !same_trips(a->n, b->n) || p.span != q.span)
        return false;
    int64_t period = common_divisor(p.period, q.period);
    return (!period || period >= p.span * nest_trips(a->n, a->n->loop[0])) && !in_chain(a) && !in_chain(b);
}

static bool writes_meet(const Ran *x, const Ran *y) {
    const Nest *a = x->n, *b = y->n;
    for (int i = 0; i < a->nstore; i++) {
        const Store *s = &a->store[i];
        for (int j = 0; j < b->nstore; j++) {
            const Store *t = &b->store[j];
            if (places_meet(x, s->node, y, t->node) && !thread_keeps(x, s->node, &s->off, y, t->node, &t->off))
                return true;
        }
        for (int j = 0; j < b->naccess; j++) {
            const Access *r = &b->access[j];
            if (!r->node || r->node->op == OP_RNG || !places_meet(x, s->node, y, r->node)) continue;
            if (r->nind || r->listed || !thread_keeps(x, s->node, &s->off, y, r->node, &r->off)) return true;
        }
    }
    return false;
}

static bool must_wait(const RanList *since, const Ran *now) {
    for (int i = 0; i < since->n; i++) {
        const Ran *before = &since->at[i];
        if (!now->n->npar && !before->n->npar) continue;
        if (writes_meet(before, now) || writes_meet(now, before)) return true;
    }
    return false;
}

static void ran(Arena *a, RanList *since, const Ran *r) {
    for (int i = 0; i < since->n; i++)
        if (since->at[i].n == r->n) return;
    vec_push(a, since, *r);
}

static void ran_before(Arena *a, RanList *entry, const RanList *since) {
    for (int i = 0; i < since->n; i++) {
        Ran r = since->at[i];
        r.old = true;
        ran(a, entry, &r);
    }
}

/* The nests inside a loop that thread 0 runs alone. */
static void list_inside(Arena *a, const Kernels *k, RanList *list) {
    for (int i = 0; i < k->nnest; i++) {
        if (k->nest[i]->kind == NEST_SCAN) list_inside(a, k->nest[i]->scan->body, list);
        else vec_push(a, list, ((Ran){k, k->nest[i], false}));
    }
}

static void wait_serial(Arena *a, Nest *n, RanList *since) {
    RanList inside = {0};
    list_inside(a, n->scan->body, &inside);
    for (int i = 0; i < inside.n && !n->barrier; i++) n->barrier = must_wait(since, &inside.at[i]);
    if (n->barrier) since->n = 0;
    for (int i = 0; i < inside.n; i++) ran(a, since, &inside.at[i]);
}

/* A chain has no barrier inside: a thread's rows are its own. */
static void wait_chain(Arena *a, const Kernels *k, const Chain *c, RanList *since) {
    Nest *first = k->nest[c->first];
    for (int i = c->first; i < c->first + c->count && !first->barrier; i++)
        first->barrier = must_wait(since, &(Ran){k, k->nest[i], false});
    if (first->barrier) since->n = 0;
    for (int i = c->first; i < c->first + c->count; i++) ran(a, since, &(Ran){k, k->nest[i], false});
}

static const Chain *chain_at(const Kernels *k, int nest) {
    for (int c = 0; c < k->nchain; c++)
        if (k->chain[c].first == nest) return &k->chain[c];
    return NULL;
}

static bool wait_loop(Arena *a, const ScanLoop *l, RanList *since);

/* Nests from .. to - 1; true if one of them got a barrier that it did not have. */
static bool wait_nests(Arena *a, const Kernels *k, int from, int to, RanList *since) {
    bool more = false;
    for (int i = from; i < to; i++) {
        Ran          r = {k, k->nest[i], false};
        bool         before = r.n->barrier;
        const Chain *chain = chain_at(k, i);
        if (chain) {
            wait_chain(a, k, chain, since);
            i += chain->count - 1;
        } else if (r.n->kind == NEST_SCAN && r.n->scan->serial) {
            wait_serial(a, r.n, since);
        } else if (r.n->kind == NEST_SCAN) {
            more |= wait_loop(a, r.n->scan, since);
        } else {
            if (!r.n->barrier) r.n->barrier = must_wait(since, &r);
            if (r.n->barrier) since->n = 0;
            ran(a, since, &r);
        }
        more |= r.n->barrier != before;
    }
    return more;
}

/* The steps are gone through until what a step leaves to the next one asks for no further barrier. */
static bool wait_loop(Arena *a, const ScanLoop *l, RanList *since) {
    const Kernels *k = l->body;
    int            last = k->nnest - l->nlast, known;
    bool           any = wait_nests(a, k, 0, l->nfirst, since), more;
    RanList        entry = {0};
    ran_before(a, &entry, since);
    do {
        since->n = 0;
        for (int i = 0; i < entry.n; i++) ran(a, since, &entry.at[i]);
        any |= more = wait_nests(a, k, l->nfirst, last, since);
        known = entry.n;
        ran_before(a, &entry, since);
    } while (more || entry.n > known);
    return wait_nests(a, k, last, k->nnest, since) || any;
}

static void place_barriers(Kernels *k, Arena *a) {
    RanList since = {0};
    wait_nests(a, k, 0, k->nnest, &since);
}

void plan_memory(Fuse *f) {
    Kernels *k = f->k;
    k->nbuffer = f->buffers->n;
    k->buffer = f->buffers->at;
    find_lives(k);
    chain_locals(k, f->a);
    chain_share(k, f->a);
    find_lives(k);
    chain_lives(k);
    place_buffers(k, f->a);
    settle_places(k);
    place_barriers(k, f->a);
}

/* ---- the check ---------------------------------------------------------------------------------------- */

static bool check_buffer(const Kernels *k, Arena *a, int i, const char **why) {
    const Buffer *x = k->buffer[i];
    if (x->offset < ARENA_SLACK || x->offset % ALIGN || x->offset + x->size > k->arena_size) {
        *why = arena_printf(a, "%%%d lies at %lld, size %lld, in an arena of %lld", x->node->id, (long long)x->offset,
                            (long long)x->size, (long long)k->arena_size);
        return false;
    }
    for (int j = 0; j < i; j++) {
        const Buffer *y = k->buffer[j];
        if (!live_together(x, y) || x->offset >= y->offset + y->size || y->offset >= x->offset + x->size) continue;
        *why = arena_printf(a, "%%%d and %%%d overlap", x->node->id, y->node->id);
        return false;
    }
    return true;
}

/* Do all slices lie in their buffers? A carry's argument at the first step is the slot of the first value. */
static bool check_places(const Kernels *k, Arena *a, const char **why) {
    for (int i = 0; i < k->graph->nodes.n; i++) {
        const Place *p = &k->place[i];
        const Node  *n = k->graph->nodes.at[i];
        int64_t      size = type_count(&n->type) * dtype_size(n->type.dtype);
        if (p->space != SPACE_ARENA) continue;
        if (p->offset >= p->buffer->offset && p->offset + size <= p->buffer->offset + p->buffer->size) continue;
        *why = arena_printf(a, "%%%d lies at %lld, outside of its buffer", n->id, (long long)p->offset);
        return false;
    }
    for (int i = 0; i < k->nnest; i++)
        if (k->nest[i]->kind == NEST_SCAN && !check_places(k->nest[i]->scan->body, a, why)) return false;
    return true;
}

bool kernels_check_plan(const Kernels *k, Arena *a, const char **why) {
    find_lives(k);
    chain_lives(k);
    for (int i = 0; i < k->nbuffer; i++)
        if (!check_buffer(k, a, i, why)) return false;
    return check_places(k, a, why);
}
