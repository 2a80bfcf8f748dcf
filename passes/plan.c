/* Places in the arena, and barriers.
 *
 * A tensor lives from the nest that makes it to the last that reads it. Tensors are placed from the largest to the
 * smallest, each at the lowest offset where it meets no other that lives at the same time: 64-byte aligned,
 * with slack before and behind it (loads may run over the ends). All is static and depends on nothing but the
 * nests.
 *
 * A barrier stands before a nest that touches memory which a nest since the last barrier has written, or writes what
 * one has read; nests that thread 0 alone runs do not need one between them, nor do those of a chain (chain.c).
 */
#include <stdlib.h>
#include <string.h>

#include "passes/kernels_impl.h"

enum { ALIGN = 64 };

typedef struct {
    const Node *node;
    int64_t     size, offset;
    int         first, last;    /* nests */
} Life;

/* Bytes from the first element to the last, and slack. */
static int64_t room_of(const Kernels *k, const Node *n) {
    int64_t last = 0;
    for (int i = 0; i < n->type.rank; i++) last += (n->type.dim[i].size - 1) * k->place[n->id].stride[i];
    int64_t bytes = (last + 1) * dtype_size(n->type.dtype) + ARENA_SLACK;
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* In a chain the first nest runs again after the last has run: what lives in a part of a chain lives in all of it. */
static void live_with_chains(const Kernels *k, Life *l) {
    for (int c = 0; c < k->nchain; c++) {
        int first = k->chain[c].first, last = first + k->chain[c].count - 1;
        if (l->first > first && l->first <= last) l->first = first;
        if (l->last >= first && l->last < last) l->last = last;
    }
}

/* The tensors in the arena, with their lives. */
static Life *find_lives(const Kernels *k, Arena *a, int *count) {
    int n = 0;
    for (int i = 0; i < k->nnest; i++) n += k->nest[i]->nstore;
    Life *lives = ARENA_ARRAY(a, Life, n + 1);
    int  *life = ARENA_ARRAY(a, int, k->graph->nodes.n);      /* of a node: its number + 1 */
    *count = 0;
    for (int i = 0; i < k->nnest; i++) {
        const Nest *nest = k->nest[i];
        for (int s = 0; s < nest->nstore; s++) {
            const Node *node = nest->store[s].node;
            if (k->place[node->id].space != SPACE_ARENA) continue;
            lives[(*count)++] = (Life){node, room_of(k, node), k->place[node->id].offset, i, i};
            life[node->id] = *count;
        }
        for (int r = 0; r < nest->naccess; r++) {
            const Node *node = nest->access[r].node;
            if (node && life[node->id]) lives[life[node->id] - 1].last = i;
        }
    }
    for (int i = 0; i < *count; i++) live_with_chains(k, &lives[i]);
    return lives;
}

static int larger_first(const void *x, const void *y) {
    const Life *a = x, *b = y;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return a->node->id - b->node->id;
}

static int lower_first(const void *x, const void *y) {
    const Life *const *a = x, *const *b = y;
    return (*a)->offset < (*b)->offset ? -1 : (*a)->offset > (*b)->offset;
}

static bool live_together(const Life *a, const Life *b) { return a->first <= b->last && b->first <= a->last; }

/* The lowest offset where `l` fits among the tensors placed before it. */
static int64_t find_offset(const Life *l, const Life *lives, int placed, const Life **rival) {
    int     n = 0;
    int64_t at = ARENA_SLACK;
    for (int i = 0; i < placed; i++)
        if (live_together(l, &lives[i])) rival[n++] = &lives[i];
    qsort(rival, (size_t)n, sizeof *rival, lower_first);
    for (int i = 0; i < n; i++) {
        if (rival[i]->offset >= at + l->size) break;
        if (rival[i]->offset + rival[i]->size > at) at = rival[i]->offset + rival[i]->size;
    }
    return at;
}

static void place_tensors(Fuse *f) {
    Kernels     *k = f->k;
    int          n;
    Life        *lives = find_lives(k, f->a, &n);
    const Life **rival = ARENA_ARRAY(f->a, const Life *, n + 1);
    qsort(lives, (size_t)n, sizeof *lives, larger_first);
    k->arena_size = ARENA_SLACK;
    for (int i = 0; i < n; i++) {
        lives[i].offset = find_offset(&lives[i], lives, i, rival);
        k->place[lives[i].node->id].offset = lives[i].offset;
        if (lives[i].offset + lives[i].size > k->arena_size) k->arena_size = lives[i].offset + lives[i].size;
    }
}

/* ---- barriers ---------------------------------------------------------------------------------------- */

typedef struct {
    Space   space;
    int64_t lo, hi;
} Range;

static Range range_of(const Kernels *k, const Node *n) {
    Place   p = k->place[n->id];
    bool    numbered = p.space == SPACE_OUT || p.space == SPACE_IN || p.space == SPACE_SCALAR;
    return (Range){p.space, p.offset, p.offset + (numbered ? 1 : room_of(k, n) - ARENA_SLACK)};
}

static bool ranges_meet(Range a, Range b) { return a.space == b.space && a.lo < b.hi && b.lo < a.hi; }

static bool writes_meet(const Kernels *k, const Nest *a, const Nest *b) {
    for (int i = 0; i < a->nstore; i++) {
        Range w = range_of(k, a->store[i].node);
        for (int j = 0; j < b->nstore; j++)
            if (ranges_meet(w, range_of(k, b->store[j].node))) return true;
        for (int j = 0; j < b->naccess; j++)
            if (b->access[j].node && b->access[j].node->op != OP_RNG && ranges_meet(w, range_of(k, b->access[j].node)))
                return true;
    }
    return false;
}

/* Must the threads wait between nests since .. before - 1 and nest n? */
static bool must_wait(const Kernels *k, int since, int before, const Nest *n) {
    for (int j = since; j < before; j++) {
        const Nest *b = k->nest[j];
        if ((n->npar || b->npar) && (writes_meet(k, b, n) || writes_meet(k, n, b))) return true;
    }
    return false;
}

/* A chain has no barrier inside: a thread's rows are its own. */
static void place_barriers(Kernels *k) {
    int since = 0, chain = 0;
    for (int i = 0, count; i < k->nnest; i += count) {
        bool in_chain = chain < k->nchain && k->chain[chain].first == i;
        bool wait = false;
        count = in_chain ? k->chain[chain++].count : 1;
        for (int j = i; j < i + count; j++) {
            k->nest[j]->barrier = false;
            wait |= must_wait(k, since, i, k->nest[j]);
        }
        k->nest[i]->barrier = wait;
        if (wait) since = i;
    }
}

void plan_memory(Fuse *f) {
    place_tensors(f);
    place_barriers(f->k);
}

/* ---- the check ---------------------------------------------------------------------------------------- */

bool kernels_check_plan(const Kernels *k, Arena *a, const char **why) {
    int   n;
    Life *lives = find_lives(k, a, &n);
    for (int i = 0; i < n; i++) {
        const Life *x = &lives[i];
        if (x->offset < ARENA_SLACK || x->offset % ALIGN || x->offset + x->size > k->arena_size) {
            *why = arena_printf(a, "%%%d lies at %lld, size %lld, in an arena of %lld", x->node->id,
                                (long long)x->offset, (long long)x->size, (long long)k->arena_size);
            return false;
        }
        for (int j = 0; j < i; j++) {
            const Life *y = &lives[j];
            if (!live_together(x, y) || x->offset >= y->offset + y->size || y->offset >= x->offset + x->size) continue;
            *why = arena_printf(a, "%%%d and %%%d overlap", x->node->id, y->node->id);
            return false;
        }
    }
    return true;
}
