/* Searches for a schedule that were made before: the equal layers of a deep network have equal nests, and what choose.c
 * finds depends on a nest's loops, accesses and expressions alone, not on which tensors they are. */
#include <string.h>

#include "passes/schedule_impl.h"

typedef VEC(int64_t) Words;

typedef struct {
    Arena *a;
    Words  w;
} Key;

typedef struct Search {
    Words          key;
    Choice         found;
    struct Search *next;
} Search;

enum { HEADS = 64 };

struct Searches {
    Search *head[HEADS];
};

static void put(Key *k, int64_t x) { vec_push(k->a, &k->w, x); }

static void put_list(Key *k, int n, const int *x) {
    put(k, n);
    for (int i = 0; i < n; i++) put(k, x[i]);
}

static void put_lin(Key *k, const Nest *n, const Lin *a) {
    put(k, a->c);
    for (int v = 0; v < n->nvar; v++) put(k, a->k[v]);
}

static void put_guards(Key *k, const Nest *n, int count, const Guard *g) {
    put(k, count);
    for (int i = 0; i < count; i++) {
        put_lin(k, n, &g[i].lin);
        put(k, g[i].size);
        put(k, g[i].bound);
    }
}

/* What costs and indices depend on; the values of constants do not count. */
static void put_expr(Key *k, const Expr *e) {
    put(k, e->op);
    put(k, e->dtype);
    if (e->op == SC_READ) put(k, e->operand);
    for (int i = 0; i < e->aff.n && e->op == SC_IDX; i++) {
        put(k, e->aff.term[i].var);
        put(k, e->aff.term[i].coef);
    }
    put(k, -1);
    for (int i = 0; i < SCALARS[e->op].args; i++) put_expr(k, e->arg[i]);
}

static void put_node(Key *k, const Node *n) {
    put(k, n ? (int64_t)n->op : -1);
    put(k, n ? type_count(&n->type) : 0);
    put(k, n ? (int64_t)n->type.dtype : 0);
}

static void put_var(Key *k, const Nest *n, const NestVar *v) {
    put(k, v->size);
    put(k, v->bound);
    put(k, v->per);
    put(k, v->div);
    put(k, v->apart + 2 * v->adds);
    if (v->div) put_lin(k, n, &v->num);
}

static void put_access(Key *k, const Nest *n, const Access *a) {
    put_node(k, a->node);
    put(k, a->stage);
    put(k, a->dtype);
    put_lin(k, n, &a->off);
    put_guards(k, n, a->nguard, a->guard);
    put(k, a->nind);
    for (int i = 0; i < a->nind; i++) {
        put_expr(k, a->ind[i].expr);
        put(k, a->ind[i].stride);
    }
}

static void put_stage(Key *k, const Nest *n, const Stage *s) {
    put(k, s->kind);
    put_expr(k, s->expr);
    put_list(k, s->nred, s->red);
    put_list(k, s->nwin, s->win);
    put_guards(k, n, s->nguard, s->guard);
    put(k, s->goes_on);
}

static Words key_of(Arena *a, const Task *w) {
    const Nest *n = w->n;
    Key         k = {.a = a};
    put(&k, w->first);
    put(&k, w->count);
    put(&k, n->cut_var);
    put(&k, n->nout);
    put(&k, n->nvar);
    for (int v = 0; v < n->nvar; v++) put_var(&k, n, &n->var[v]);
    put(&k, n->naccess);
    for (int i = 0; i < n->naccess; i++) put_access(&k, n, &n->access[i]);
    put(&k, n->nstage);
    for (int i = 0; i < n->nstage; i++) put_stage(&k, n, &n->stage[i]);
    for (int i = 0; i < n->nstore; i++) {
        put_node(&k, n->store[i].node);
        put_expr(&k, n->store[i].expr);
        put_lin(&k, n, &n->store[i].off);
        put_guards(&k, n, n->store[i].nguard, n->store[i].guard);
    }
    return k.w;
}

Searches *searches_new(Arena *a) { return ARENA_NEW(a, Searches); }

Choice choose_once(const Fuse *f, Task *w) {
    Words    key = key_of(f->a, w);
    uint64_t hash = (uint64_t)key.n;
    for (int i = 0; i < key.n; i++) hash = (hash ^ (uint64_t)key.at[i] ^ hash >> 29) * 0xBF58476D1CE4E5B9u;
    Search **head = &f->searches->head[hash >> 32 & (HEADS - 1)];
    for (Search *s = *head; s; s = s->next)
        if (s->key.n == key.n && !memcmp(s->key.at, key.at, sizeof *key.at * (size_t)key.n)) return s->found;
    Search *s = ARENA_NEW(f->a, Search);
    *s = (Search){key, choose(w, NULL), *head};
    *head = s;
    return s->found;
}
