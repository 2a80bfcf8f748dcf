/* Variables of a nest that always move together become one: [b, i, j] of a tensor in C order is one run of numbers.
 * u and v merge if every form has coefficient (size of v) * (coefficient of v) for u; then v stands for
 * u * size + v and u is left with one value. */
#include "passes/schedule_impl.h"

typedef struct {
    int  u, v;
    bool used;
} Used;

static void look_at_index(const Expr *e, void *cx) {
    Used *w = cx;
    if (e->op != SC_IDX) return;
    for (int i = 0; i < e->aff.n; i++) w->used |= e->aff.term[i].var == w->u || e->aff.term[i].var == w->v;
}

static bool index_uses(const Nest *n, int u, int v) {
    Used w = {u, v, false};
    for (int i = 0; i < n->nstage; i++) expr_walk(n->stage[i].expr, look_at_index, &w);
    for (int i = 0; i < n->nstore; i++) expr_walk(n->store[i].expr, look_at_index, &w);
    for (int i = 0; i < n->naccess; i++)
        for (int k = 0; k < n->access[i].nind; k++) expr_walk(n->access[i].ind[k].expr, look_at_index, &w);
    return w.used;
}

static bool goes_along(const Nest *n, const Lin *a, int u, int v) { return a->k[u] == n->var[v].size * a->k[v]; }

static bool guards_along(const Nest *n, int count, const Guard *g, int u, int v) {
    for (int i = 0; i < count; i++)
        if (!goes_along(n, &g[i].lin, u, v)) return false;
    return true;
}

static bool can_merge(const Nest *n, int u, int v) {
    if (n->var[v].bound || n->var[u].size == 1 || n->var[v].size == 1) return false;
    if (n->var[u].apart || n->var[v].apart) return false;
    for (int i = 0; i < n->naccess; i++) {
        const Access *a = &n->access[i];
        if (a->node && (!goes_along(n, &a->off, u, v) || !guards_along(n, a->nguard, a->guard, u, v))) return false;
    }
    for (int i = 0; i < n->nstore; i++)
        if (!goes_along(n, &n->store[i].off, u, v) || !guards_along(n, n->store[i].nguard, n->store[i].guard, u, v))
            return false;
    for (int i = 0; i < n->nstage; i++) {
        const Stage *s = &n->stage[i];
        bool         arg = s->kind == KIND_ARGMAX || s->kind == KIND_ARGMIN;
        if (!guards_along(n, s->nguard, s->guard, u, v) || (arg && !goes_along(n, &s->flat, u, v))) return false;
    }
    for (int i = 0; i < n->nvar; i++)
        if (n->var[i].div && (n->var[i].num.k[u] || n->var[i].num.k[v])) return false;
    return !index_uses(n, u, v);
}

/* v := u * size + v. The coefficients of v are right as they are; u stays at 0. */
static void merge(Nest *n, int u, int v) {
    NestVar *x = &n->var[u], *y = &n->var[v];
    y->bound = x->bound;
    y->per = x->bound ? x->per * y->size : 1;
    y->size *= x->size;
    x->size = 1;
    x->bound = 0;
    x->per = 1;
}

static void merge_list(Nest *n, int count, const int *var) {
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < count; j++)
                if (i != j && can_merge(n, var[i], var[j])) {
                    merge(n, var[i], var[j]);
                    again = true;
                }
    }
}

void merge_vars(Nest *n) {
    int outs[MAX_VARS];
    for (int v = 0; v < n->nout; v++) outs[v] = v;
    merge_list(n, n->nout, outs);
    for (int i = 0; i < n->nstage; i++)
        if (!n->stage[i].joined && !n->stage[i].goes_on) merge_list(n, n->stage[i].nred, n->stage[i].red);
}
