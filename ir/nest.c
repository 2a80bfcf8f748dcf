/* Linear forms over a nest's variables. */
#include "ir/nest.h"

#include <string.h>

Lin lin_const(int64_t c) {
    Lin r;
    memset(&r, 0, sizeof r);
    r.c = c;
    return r;
}

Lin lin_var(int var) {
    Lin r = lin_const(0);
    r.k[var] = 1;
    return r;
}

void lin_add(Lin *a, const Lin *b, int64_t scale) {
    a->c += scale * b->c;
    for (int v = 0; v < MAX_VARS; v++) a->k[v] += scale * b->k[v];
}

bool lin_equal(const Lin *a, const Lin *b) { return !memcmp(a, b, sizeof *a); }

Lin lin_of(const Affine *a, const Lin *by) {
    Lin r = lin_const(a->c);
    for (int i = 0; i < a->n; i++) lin_add(&r, &by[a->term[i].var], a->term[i].coef);
    return r;
}

Affine lin_affine(const Lin *a) {
    Affine r = affine_const(a->c);
    for (int v = 0; v < MAX_VARS; v++)
        if (a->k[v]) r = affine_add(r, affine_var(v), a->k[v]);
    return r;
}

int nest_zero_level(const Nest *n) {
    int k = 0;
    if (n->list.block) return n->list.level;
    while (k < n->nloop && !n->var[n->loop[k]].adds) k++;
    return k;
}

int64_t nest_trips(const Nest *n, int var) { return (n->var[var].size + n->step[var] - 1) / n->step[var]; }

void lin_range(const Nest *n, const Lin *a, int64_t *lo, int64_t *hi) {
    *lo = *hi = a->c;
    for (int v = 0; v < n->nvar; v++) {
        int64_t last = a->k[v] * (n->var[v].size - 1);
        *(last < 0 ? lo : hi) += last;
    }
}

/* Under a bound the one form that is known to stay below it is a variable with the same bound. */
static bool below_bound(const Nest *n, const Guard *g) {
    for (int v = 0; v < n->nvar; v++) {
        Lin only = lin_var(v);
        if (lin_equal(&only, &g->lin)) return n->var[v].bound == g->bound && n->var[v].per == 1;
    }
    return false;
}

bool guard_can_fail(const Nest *n, const Guard *g) {
    int64_t lo, hi;
    for (int v = 0; v < n->nvar; v++)
        if (n->var[v].div && g->lin.k[v]) return true;          /* the division may not be exact */
    if (g->bound) return !below_bound(n, g);
    lin_range(n, &g->lin, &lo, &hi);
    return lo < 0 || hi >= g->size;
}

bool guard_settles(const Nest *n, const Guard *g, int v) {
    if (!g->lin.k[v] || g->bound) return false;
    for (int u = 0; u < n->nvar; u++)
        if (g->lin.k[u] && u != v && ((!n->var[u].apart && !n->var[u].panel) || n->var[u].div)) return false;
    return true;
}

bool guard_equal(const Guard *a, const Guard *b) {
    return a->size == b->size && a->bound == b->bound && lin_equal(&a->lin, &b->lin);
}
