/* Which nests have the same code: those that differ in addresses and names alone, as the equal layers of a deep network
 * do. The code of a nest gets addresses as parameters, one for every tensor, so it is emitted once. */
#include "codegen/nest_impl.h"

typedef VEC(int64_t) Words;

typedef struct {
    Arena *a;
    Words  w;
} Key;

/* A new field that the code depends on belongs into the key, too: else nests that differ in it alone would share
 * the code of one of them. */
_Static_assert(sizeof(Nest) == 17648 && sizeof(Stage) == 880 && sizeof(Access) == 256 && sizeof(Guard) == 224 &&
                   sizeof(Indirect) == 16 && sizeof(Expr) == 216 && sizeof(NestVar) == 248 && sizeof(List) == 472,
               "a struct of nests has changed: put the new field into its key below, then its size here");

Slots slots_of(Arena *a, const Kernels *k, const Nest *n) {
    int   count = n->naccess + n->nstore;
    Slots s = {.node = ARENA_ARRAY(a, const Node *, count), .of = ARENA_ARRAY(a, int, count)};
    for (int i = 0; i < count; i++) {
        const Node *node = i < n->naccess ? n->access[i].node : n->store[i - n->naccess].node;
        Space       space = node ? k->place[node->id].space : SPACE_NONE;
        s.of[i] = -1;
        if (!node || space == SPACE_SCALAR || space == SPACE_STEP || (space == SPACE_NONE && node->op != OP_RNG))
            continue;
        int at = 0;
        while (at < s.n && s.node[at] != node) at++;
        if (at == s.n) s.node[s.n++] = node;
        s.of[i] = at;
    }
    return s;
}

/* ---- parts --------------------------------------------------------------------------------------------- */

static void put(Key *key, int64_t x) { vec_push(key->a, &key->w, x); }

static void put_list(Key *key, int n, const int *x) {
    put(key, n);
    for (int i = 0; i < n; i++) put(key, x[i]);
}

static void put_lin(Key *key, const Lin *a, int nvar) {
    put(key, a->c);
    for (int v = 0; v < nvar; v++) put(key, a->k[v]);
}

static void put_guards(Key *key, int n, const Guard *g, int nvar) {
    put(key, n);
    for (int i = 0; i < n; i++) {
        put_lin(key, &g[i].lin, nvar);
        put(key, g[i].size);
        put(key, g[i].bound);
        put(key, g[i].stride);
    }
}

/* Operand of a read: the number of an access, which stands for its subscripts. */
static void put_expr(Key *key, const Expr *e) {
    int64_t bits;
    put(key, e ? (int64_t)e->op : -1);
    if (!e) return;
    memcpy(&bits, &e->value, sizeof bits);
    put(key, e->dtype);
    put(key, e->op == SC_CONST ? bits : 0);
    put(key, e->op == SC_BOUND ? e->bound : 0);
    put(key, e->op == SC_READ ? e->operand : 0);
    put(key, e->op == SC_IDX ? e->aff.n : 0);
    for (int i = 0; i < e->aff.n && e->op == SC_IDX; i++) {
        put(key, e->aff.term[i].var);
        put(key, e->aff.term[i].coef);
    }
    put(key, e->op == SC_IDX ? e->aff.c : 0);
    for (int i = 0; i < SCALARS[e->op].args; i++) put_expr(key, e->arg[i]);
}

/* A small table may be part of the code. */
static void put_table(Key *key, const Node *n) {
    int64_t count = n->op == OP_CONST ? type_count(&n->type) : 0;
    if (count > CODE_TABLE) count = 0;
    put(key, count);
    for (int64_t i = 0; i < count; i++) {
        int64_t bits;
        memcpy(&bits, &n->u.konst.value[i], sizeof bits);
        put(key, bits);
    }
}

static void put_node(Key *key, const Kernels *k, const Node *n, int slot) {
    put(key, slot);
    if (!n) return;
    Place p = k->place[n->id];
    put(key, n->op == OP_RNG);
    put(key, p.space);
    put(key, p.space == SPACE_SCALAR || p.space == SPACE_STEP ? p.offset : 0);
    put(key, n->type.dtype);
    put_table(key, p.table ? p.table : n);
}

static void put_access(Key *key, const Kernels *k, const Nest *n, const Access *a, int slot) {
    put_node(key, k, a->node, slot);
    put(key, a->node ? -1 : a->stage);
    put(key, a->listed);
    put(key, a->dtype);
    put_lin(key, &a->off, n->nvar);
    put(key, a->nind);
    for (int i = 0; i < a->nind; i++) {
        put_expr(key, a->ind[i].expr);
        put(key, a->ind[i].stride);
    }
    put_guards(key, a->nguard, a->guard, n->nvar);
}

static void put_var(Key *key, const NestVar *v, int nvar) {
    put(key, v->size);
    put(key, v->bound);
    put(key, v->per);
    put(key, v->apart);
    put(key, v->panel);
    put(key, v->div);
    put(key, v->adds);
    if (v->div) put_lin(key, &v->num, nvar);
}

static void put_stage(Key *key, const Nest *n, const Stage *s) {
    put(key, s->kind);
    put_expr(key, s->expr);
    put_list(key, s->nred, s->red);
    put_list(key, s->nwin, s->win);
    put_guards(key, s->nguard, s->guard, n->nvar);
    put_lin(key, &s->flat, n->nvar);
    put(key, s->width);
    put_list(key, s->nlane, s->lane);
    put_list(key, s->npoint, s->point);
    put(key, s->vectors_first);
    put_list(key, s->nloop, s->loop);
    for (int v = 0; v < n->nvar; v++) put(key, s->step[v]);
    put(key, s->chains);
    put(key, s->joined);
    put(key, s->goes_on);
}

static void put_store(Key *key, const Kernels *k, const Nest *n, const Store *s, int slot) {
    put_node(key, k, s->node, slot);
    put_expr(key, s->expr);
    put_lin(key, &s->off, n->nvar);
    put_guards(key, s->nguard, s->guard, n->nvar);
    put(key, n->kind == NEST_SCATTER ? s->node->type.dim[0].size : 0);
}

static void put_list_of_points(Key *key, const Nest *n, const List *l) {
    put(key, l->on);
    if (!l->on) return;
    put_expr(key, l->value);
    put_expr(key, l->move);
    put(key, l->most);
    put(key, l->block);
    put(key, l->block_var);
    put(key, l->level);
    put(key, l->width);
    put_list(key, l->nred, l->red);
    put_list(key, l->nlane, l->lane);
    put_list(key, l->nloop, l->loop);
    for (int v = 0; v < n->nvar; v++) put(key, l->step[v]);
}

/* ---- the table ----------------------------------------------------------------------------------------- */

/* All but names, place in the order, barrier (the caller's) and the counts for people. */
static Words key_of(Arena *a, const Kernels *k, const Nest *n, const Slots *s) {
    Key key = {.a = a};
    put(&key, n->kind);
    put(&key, n->nout);
    put(&key, n->nvar);
    for (int v = 0; v < n->nvar; v++) put_var(&key, &n->var[v], n->nvar);
    put(&key, n->naccess);
    for (int i = 0; i < n->naccess; i++) put_access(&key, k, n, &n->access[i], s->of[i]);
    put(&key, n->nstage);
    for (int i = 0; i < n->nstage; i++) put_stage(&key, n, &n->stage[i]);
    put(&key, n->nstore);
    for (int i = 0; i < n->nstore; i++) put_store(&key, k, n, &n->store[i], s->of[n->naccess + i]);
    put_list_of_points(&key, n, &n->list);
    put(&key, n->adds ? type_count(&n->store[0].node->type) : 0);
    put(&key, n->width);
    put(&key, n->row_loop);
    put_list(&key, n->nlane, n->lane);
    put_list(&key, n->nloop, n->loop);
    for (int v = 0; v < n->nvar; v++) put(&key, n->step[v]);
    put(&key, n->npar);
    put(&key, n->cut);
    put(&key, n->cut ? n->cut_var : 0);
    put(&key, n->cut_inside);
    return key.w;
}

const char *shared_nest(Codegen *cg, const Kernels *k, const Nest *n, const Slots *s, const char *symbol) {
    Words    w = key_of(cg->arena, k, n, s);
    vec_push(cg->arena, &w, cg->quick);
    uint64_t hash = (uint64_t)w.n;
    for (int i = 0; i < w.n; i++) hash = (hash ^ (uint64_t)w.at[i] ^ hash >> 29) * 0xBF58476D1CE4E5B9u;
    for (int i = 0; i < cg->nests.n; i++) {
        const SharedNest *old = &cg->nests.at[i];
        if (old->hash == hash && old->n == w.n && !memcmp(old->key, w.at, sizeof(int64_t) * (size_t)w.n))
            return old->symbol;
    }
    vec_push(cg->arena, &cg->nests, ((SharedNest){hash, w.at, w.n, symbol}));
    return NULL;
}
