/* A sum whose expression a map computes at the same points reads the map, if that is stored for another reader anyway:
 *
 *     m[b,c,i,j] = sel(lt(0, z[b,c,i,j]), d[b,c,i,j], 0)           the gradient behind relu, for a contraction
 *     s[c] = sum over b,i,j of sel(lt(0, z[b,c,i,j]), d[b,c,i,j], 0)     = sum over b,i,j of m[b,c,i,j]
 *
 * It reads one tensor instead of two or more, and d need not be stored if only m and s read it. */
#include <string.h>

#include "passes/grad_impl.h"
#include "passes/kernels_impl.h"

enum { WORTH = 3 };              /* operations and reads of an expression */

typedef struct {
    const Node *map, *sum;
    int         of[MAX_VARS];   /* the sum's variable for each out of the map, -1: none yet */
} Match;

/* Is a form of the map the form of the sum under the match? Only single variables are looked at. */
static bool match_form(Match *m, const Affine *a, const Affine *b) {
    int u, v;
    if (affine_is_const(a) || affine_is_const(b)) return affine_equal(a, b);
    if (!affine_is_var(a, &u) || !affine_is_var(b, &v)) return false;
    if (m->of[u] < 0) m->of[u] = v;
    return m->of[u] == v;
}

static bool match_expr(Match *m, const Expr *a, const Expr *b) {
    if (a->op != b->op || a->dtype != b->dtype || a->guarded != b->guarded || a->nsub != b->nsub) return false;
    if (a->op == SC_CONST) return expr_equal(a, b);
    if (a->op == SC_BOUND) return a->bound == b->bound;
    if (a->op == SC_IDX) return match_form(m, &a->aff, &b->aff);
    if (a->op == SC_READ && m->map->arg[a->operand] != m->sum->arg[b->operand]) return false;
    for (int i = 0; i < a->nsub; i++) {
        if (!a->sub[i].ind != !b->sub[i].ind || !match_form(m, &a->sub[i].aff, &b->sub[i].aff)) return false;
        if (a->sub[i].ind && !match_expr(m, a->sub[i].ind, b->sub[i].ind)) return false;
    }
    for (int i = 0; i < SCALARS[a->op].args; i++)
        if (!match_expr(m, a->arg[i], b->arg[i])) return false;
    return true;
}

/* Different variables of the sum, each over all of its axis. */
static bool whole_axes(const Match *m) {
    const Comp *map = &m->map->u.comp, *sum = &m->sum->u.comp;
    for (int u = 0; u < map->nout; u++) {
        int v = m->of[u];
        if (v < 0 || v >= sum->nout + sum->nred) return false;
        if (sum->var[v].ext.size != map->var[u].ext.size || sum->var[v].ext.bound != map->var[u].ext.bound)
            return false;
        for (int k = 0; k < u; k++)
            if (m->of[k] == v) return false;
    }
    return true;
}

static bool is_stored(const NodeList *users, const Node *map) {
    for (int i = 0; i < users[map->id].n; i++) {
        const Node *u = users[map->id].at[i];
        if (u->op == OP_COMP && u->u.comp.kind != KIND_MAP) return true;
    }
    return false;
}

Node *sum_of_map(Graph *g, Node *map, const Node *sum) {
    const Comp *c = &sum->u.comp;
    Match       m = {.map = map, .sum = sum};
    Sub         sub[MAX_RANK] = {0};
    memset(m.of, -1, sizeof m.of);
    if (!match_expr(&m, map->u.comp.expr, c->expr) || !whole_axes(&m)) return NULL;
    for (int i = 0; i < map->u.comp.nout; i++) sub[i].aff = affine_var(m.of[i]);
    const Expr *e = expr_read(g->arena, map->type.dtype, 0, map->type.rank, sub, false);
    graph_at(g, sum->name, sum->loc);
    return graph_comp(g, c->kind, c->nout, c->nred, c->nder, c->var, e, 1, &map);
}

void reuse_maps(Graph *g) {
    Arena    *a = arena_new();
    NodeList *users = graph_users(g, a), maps = {0};
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Node *n = g->nodes.at[i], *made = NULL;
        if (n->op != OP_COMP || expr_size(n->u.comp.expr) < WORTH) continue;
        if (n->u.comp.kind == KIND_MAP) {
            if (n->type.rank && is_stored(users, n)) vec_push(a, &maps, n);
            continue;
        }
        for (int k = 0; k < maps.n && !made && !n->u.comp.nder; k++) made = sum_of_map(g, maps.at[k], n);
        if (made) graph_replace(g, n, made);
    }
    arena_free(a);
    graph_sweep(g);
}
