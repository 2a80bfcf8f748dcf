/* Places in the arena, and barriers.
 *
 * A tensor lives from the nest that makes it to the last that reads it; one that is touched inside a scan but belongs
 * to the graph around lives as long as the whole scan. Tensors are placed from the largest to the smallest, each at the
 * lowest offset where it meets no other that lives at the same time: 64-byte aligned, with slack before and behind it
 * (loads may run over the ends). All is static and depends on nothing but the nests.
 *
 * A barrier stands before a nest that touches memory which a nest since the last barrier has written, or writes what
 * one has read; nests that thread 0 alone runs do not need one between them, nor do those of a chain (chain.c). What came before a step of a scan is what
 * came before the scan, or the step before.
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

static Range range_of(const Kernels *k, const Node *n) {
    const Place *p = &k->place[n->id];
    bool         numbered = p->space == SPACE_OUT || p->space == SPACE_IN || p->space == SPACE_SCALAR, moves = p->turn != 0;
    int64_t      size = p->span ? p->span : place_bytes(p, &n->type);
    for (int i = 0; i < k->depth; i++) moves |= p->step[i] != 0;
    if (p->space == SPACE_ARENA && moves) return (Range){p->space, p->buffer->offset, p->buffer->offset + p->buffer->size};
    return (Range){p->space, p->offset, p->offset + (numbered ? 1 : size)};
}

static bool ranges_meet(Range a, Range b) { return a.space == b.space && a.lo < b.hi && b.lo < a.hi; }

/* A nest with the kernels whose places it uses. */
typedef struct {
    const Kernels *k;
    Nest          *n;
} Ran;

typedef VEC(Ran) RanList;

static bool writes_meet(const Ran *x, const Ran *y) {
    const Nest *a = x->n, *b = y->n;
    for (int i = 0; i < a->nstore; i++) {
        Range w = range_of(x->k, a->store[i].node);
        for (int j = 0; j < b->nstore; j++)
            if (ranges_meet(w, range_of(y->k, b->store[j].node))) return true;
        for (int j = 0; j < b->naccess; j++)
            if (b->access[j].node && b->access[j].node->op != OP_RNG && ranges_meet(w, range_of(y->k, b->access[j].node)))
                return true;
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

/* The nests inside a loop that thread 0 runs alone. */
static void list_inside(Arena *a, const Kernels *k, RanList *list) {
    for (int i = 0; i < k->nnest; i++) {
        if (k->nest[i]->kind == NEST_SCAN) list_inside(a, k->nest[i]->scan->body, list);
        else vec_push(a, list, ((Ran){k, k->nest[i]}));
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
        first->barrier = must_wait(since, &(Ran){k, k->nest[i]});
    if (first->barrier) since->n = 0;
    for (int i = c->first; i < c->first + c->count; i++) ran(a, since, &(Ran){k, k->nest[i]});
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
        Ran          r = {k, k->nest[i]};
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
    for (int i = 0; i < since->n; i++) ran(a, &entry, &since->at[i]);
    do {
        since->n = 0;
        for (int i = 0; i < entry.n; i++) ran(a, since, &entry.at[i]);
        any |= more = wait_nests(a, k, l->nfirst, last, since);
        known = entry.n;
        for (int i = 0; i < since->n; i++) ran(a, &entry, &since->at[i]);
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
