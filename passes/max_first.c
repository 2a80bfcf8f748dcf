/* max(relu(x + b)) over a window becomes relu(max(x) + b): the same numbers from fewer points, and the
 * gradient reads the pooled result instead of the image.
 *
 * What is moved out of a max or min reduction are operations that never turn an order around and whose
 * other operand is the same for all points of the reduction: + b, max(.., b), times a positive constant.
 * Rounding keeps order too, so results are equal (only a NaN may be lost or kept where it was not). Ties
 * that the moved operation makes have slope 0. Belongs before differentiation (passes_prepare); after it,
 * maps that a gradient reads stay where they are.
 */
#include "passes/algebra.h"
#include "passes/draft.h"
#include "passes/pass.h"

typedef struct {
    const Draft *d;
    bool         varies;
} Invariant;

static void check_vars(const Expr *e, void *cx) {
    Invariant *v = cx;
    for (int i = 0; e->op == SC_IDX && i < e->aff.n; i++) v->varies |= e->aff.term[i].var >= v->d->nout;
    for (int k = 0; k < e->nsub; k++)
        for (int i = 0; i < e->sub[k].aff.n; i++) v->varies |= e->sub[k].aff.term[i].var >= v->d->nout;
}

static bool is_invariant(const Draft *d, const Expr *e) {
    Invariant v = {d, false};
    expr_walk(e, check_vars, &v);
    return !v.varies;
}

/* Which operand of `e` the reduction may move into; -1: none. */
static int movable(const Draft *d, const Expr *e) {
    if (e->dtype != DT_F32 || (e->op != SC_ADD && e->op != SC_MAX && e->op != SC_MUL)) return -1;
    for (int side = 0; side < 2; side++) {
        const Expr *other = e->arg[1 - side];
        if (!is_invariant(d, other) || is_invariant(d, e->arg[side])) continue;
        if (e->op == SC_MUL && !(other->op == SC_CONST && other->value > 0)) continue;
        return side;
    }
    return -1;
}

/* A reduction of which operations were moved out: d.expr is what is left inside. */
typedef struct {
    ScalarOp    op;
    const Expr *other;
    int         side;           /* of the operand that the reduction moved into */
} Step;

typedef struct {
    Draft d;
    int   n;
    Step  step[MAX_OPERANDS];   /* the outermost first */
} Moved;

static void move_steps(Moved *m) {
    for (int side; m->n < MAX_OPERANDS && (side = movable(&m->d, m->d.expr)) >= 0;) {
        const Expr *e = m->d.expr;
        m->step[m->n++] = (Step){e->op, e->arg[1 - side], side};
        m->d.expr = e->arg[side];
    }
}

typedef struct {
    Graph          *g;
    const NodeList *users;
    const bool     *is_output;
    int             count;      /* nodes that users and is_output know */
} Context;

/* The map that is read as it is by this reduction and nobody else moves in, if all of its operations move
 * out again: then nothing is computed more often than before. */
static bool move_map(const Context *c, Moved *m) {
    const Expr *e = m->d.expr;
    if (e->op != SC_READ) return false;
    const Node *map = m->d.arg.at[e->operand];
    if (map->id >= c->count || c->users[map->id].n != 1 || c->is_output[map->id]) return false;
    if (!draft_can_inline(&m->d, e->operand)) return false;
    Moved deeper = *m;
    draft_inline(&deeper.d, e->operand);
    move_steps(&deeper);
    if (deeper.n == m->n || deeper.d.expr->op != SC_READ) return false;
    *m = deeper;
    return true;
}

/* What to use instead of the reduction `n`; NULL if nothing moves. */
static Node *move_out(const Context *c, const Node *n) {
    Moved m = {.d = draft_of(c->g, n)};
    for (int v = m.d.nout; v < m.d.nout + m.d.nred; v++)
        if (m.d.var[v].ext.bound) return NULL;          /* over nothing, the result would not be 0 */
    if (!m.d.nred || m.d.nder) return NULL;
    move_steps(&m);
    while (move_map(c, &m)) continue;
    if (!m.n) return NULL;
    Draft  outer = m.d;
    Node  *pooled = draft_finish(&m.d);
    Affine at[MAX_RANK];
    for (int v = 0; v < outer.nout; v++) at[v] = affine_var(v);
    const Expr *e = draft_read(&outer, pooled, at);
    for (int i = m.n - 1; i >= 0; i--) {
        const Step *s = &m.step[i];
        e = expr_op2(c->g->arena, s->op, s->side ? s->other : e, s->side ? e : s->other);
    }
    outer.expr = e;
    outer.kind = KIND_MAP;
    outer.nred = 0;
    return draft_finish(&outer);
}

bool pass_max_first(Graph *g, PassCx *cx) {
    graph_sort(g);
    int       count = g->nodes.n;
    bool      changed = false, *is_output = ARENA_ARRAY(cx->scratch, bool, count);
    NodeList *users = graph_users(g, cx->scratch);
    for (int i = 0; i < g->outs.n; i++) is_output[g->outs.at[i].value->id] = true;
    Context c = {g, users, is_output, count};
    for (int i = 0; i < count; i++) {
        Node *n = g->nodes.at[i];
        if (n->op != OP_COMP || (n->u.comp.kind != KIND_MAX && n->u.comp.kind != KIND_MIN)) continue;
        graph_at(g, n->name, n->loc);
        Node *m = move_out(&c, n);
        if (!m) continue;
        graph_replace(g, n, m);
        changed = true;
    }
    graph_at(g, NULL, (Loc){0});
    graph_sort(g);
    return changed;
}
