/* Several sums of products in one nest, if the model says that it takes less than a nest for each.
 *
 * Beside each other: sums over the same space and the same reductions that have an operand in common and meet in a map,
 * as the gates of a cell do:
 *
 *     i[b,j] = f(sum over k of U[j,k] h[b,k], sum over k of V[j,k] h[b,k], ...)
 *
 * A tile holds the results of all, for which the common operand is loaded once, and the map is its epilogue. But it
 * holds fewer results of each, and reads the other operands of all, which must stay in the first cache.
 *
 * After one another: sums that a map adds up and nothing else reads,
 *
 *     dh[b,k] = sum over i of U[i,k] x[b,i] + sum over i of V[i,k] y[b,i]
 *
 * are one sum whose terms are taken in turn, each from what the one before has left in the tile's registers. */
#include "passes/kernels_impl.h"

enum { RECENT = 8 };            /* groups that are looked at */

static bool is_product_sum(const Node *n) {
    const Comp *c = &n->u.comp;
    if (n->op != OP_COMP || n->type.dtype != DT_F32 || n->panel) return false;
    return c->kind == KIND_SUM && c->nred && !c->nder && c->expr->op == SC_MUL;
}

/* ---- what the model says ----------------------------------------------------------------------------------- */

/* Cycles of a nest of these sums. terms: after one another */
static double cycles_of(Fuse *f, const NodeList *sums, bool terms) {
    Group *gr = ARENA_NEW(f->a, Group), *old[MAX_STAGES];
    gr->space = sums->at[0];
    gr->nodes = *sums;
    if (terms) gr->terms = *sums;
    for (int i = 0; i < sums->n; i++) {
        old[i] = f->group[sums->at[i]->id];
        f->group[sums->at[i]->id] = gr;
        f->stored[sums->at[i]->id] = !terms || i == sums->n - 1;
    }
    double cycles = nest_cycles(f, nest_build(f, gr, 0));
    for (int i = 0; i < sums->n; i++) {
        f->group[sums->at[i]->id] = old[i];
        f->stored[sums->at[i]->id] = false;
    }
    return cycles;
}

static double cycles_of_each(Fuse *f, const NodeList *sums) {
    double cycles = 0;
    for (int i = 0; i < sums->n; i++) {
        NodeList one = {0};
        vec_push(f->a, &one, sums->at[i]);
        cycles += cycles_of(f, &one, false);
    }
    return cycles;
}

/* ---- beside each other -------------------------------------------------------------------------------------- */

typedef struct {
    const Node *n, *other;
    const Expr *read;           /* of other */
    bool        common;
} Common;

static bool equal_reads(const Expr *a, const Expr *b) {
    if (a->nsub != b->nsub || a->guarded || b->guarded) return false;
    for (int i = 0; i < a->nsub; i++)
        if (a->sub[i].ind || b->sub[i].ind || !affine_equal(&a->sub[i].aff, &b->sub[i].aff)) return false;
    return true;
}

static void look_at_n(const Expr *e, void *cx) {
    Common *c = cx;
    if (e->op == SC_READ && e->nsub && c->n->arg[e->operand] == c->other->arg[c->read->operand])
        c->common |= equal_reads(e, c->read);
}

static void look_at_other(const Expr *e, void *cx) {
    Common *c = cx;
    if (e->op != SC_READ) return;
    c->read = e;
    expr_walk(c->n->u.comp.expr, look_at_n, c);
}

static bool have_common(const Node *n, const Node *other) {
    Common c = {.n = n, .other = other};
    expr_walk(other->u.comp.expr, look_at_other, &c);
    return c.common;
}

/* Is there a map that both lead to, through maps alone? */
static bool meet(const Fuse *f, const Node *x, const Node *y) {
    char *from = ARENA_ARRAY(f->a, char, f->g->nodes.n);
    from[x->id] = 1;
    from[y->id] = 2;
    for (int i = (x->id < y->id ? x : y)->id + 1; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        if (n->op != OP_COMP || n->u.comp.kind != KIND_MAP) continue;
        for (int k = 0; k < n->narg; k++) from[i] |= from[n->arg[k]->id];
        if (from[i] == 3) return true;
    }
    return false;
}

static bool may_join(Fuse *f, const Node *n, const Group *gr) {
    const Node *first = gr->nodes.at[0];
    if (gr->pool || gr->alone || gr->terms.n || !is_product_sum(first)) return false;
    if (!same_outs(n, first) || !same_reds(n, first)) return false;
    for (int i = 0; i < n->narg; i++)
        if (f->group[node_storage(n->arg[i])->id] == gr) return false;
    return have_common(n, first) && group_has_room(gr, n) && meet(f, n, first) && !group_cycle(f, n, gr);
}

bool join_sums(Fuse *f, Node *n) {
    if (!is_product_sum(n)) return false;
    for (int i = f->groups.n - 1; i >= 0 && i > f->groups.n - 1 - RECENT; i--) {
        Group   *gr = f->groups.at[i];
        NodeList sums = {0}, one = {0};
        if (!may_join(f, n, gr)) continue;
        for (int k = 0; k < gr->nodes.n; k++)
            if (is_product_sum(gr->nodes.at[k])) vec_push(f->a, &sums, gr->nodes.at[k]);
        vec_push(f->a, &one, n);
        double apart = cycles_of(f, &sums, false) + cycles_of(f, &one, false);
        vec_push(f->a, &sums, n);
        if (!f->o->eager && cycles_of(f, &sums, false) >= apart) continue;
        group_join(f, gr, n);
        return true;
    }
    return false;
}

/* ---- after one another -------------------------------------------------------------------------------------- */

typedef struct {
    int operand, count;
} Counting;

static void count_reads(const Expr *e, void *cx) {
    Counting *c = cx;
    c->count += e->op == SC_READ && e->operand == c->operand;
}

/* Sums that map m adds up and that nothing else reads, alone in their groups but for what is gr, of m. */
static void find_terms(Fuse *f, const Node *m, const Expr *e, const Group *gr, NodeList *terms) {
    if (e->op == SC_ADD) {
        find_terms(f, m, e->arg[0], gr, terms);
        find_terms(f, m, e->arg[1], gr, terms);
    }
    Node    *n = e->op == SC_READ ? m->arg[e->operand] : NULL;
    Counting c = {.operand = e->operand};
    if (!n || !is_product_sum(n) || f->users[n->id].n != 1 || !reads_own_point(m, e) || terms->n == MAX_STAGES) return;
    expr_walk(m->u.comp.expr, count_reads, &c);
    const Group *own = f->group[n->id];
    if (c.count != 1 || !own || own->pool || own->alone || own->nodes.n != (own == gr ? 2 : 1) || !same_outs(n, m))
        return;
    if (terms->n && !same_reds(n, terms->at[0])) return;
    for (int i = 0; i < f->g->outs.n; i++)
        if (node_storage(f->g->outs.at[i].value) == n) return;
    vec_push(f->a, terms, n);
}

static void drop_group(Fuse *f, const Group *gr) {
    int n = 0;
    for (int i = 0; i < f->groups.n; i++)
        if (f->groups.at[i] != gr) f->groups.at[n++] = f->groups.at[i];
    f->groups.n = n;
}

void join_terms(Fuse *f, Node *m, Group *gr) {
    NodeList terms = {0};
    bool     any = false;
    if (gr->nodes.n != 2 || gr->nodes.at[1] != m) return;
    find_terms(f, m, m->u.comp.expr, gr, &terms);
    for (int i = 0; i < terms.n; i++) any |= terms.at[i] == gr->nodes.at[0];
    if (!any || terms.n < 2) return;
    if (!f->o->eager && cycles_of(f, &terms, true) >= cycles_of_each(f, &terms)) return;
    for (int i = 0; i < terms.n; i++)
        if (f->group[terms.at[i]->id] != gr) drop_group(f, f->group[terms.at[i]->id]);
    gr->nodes.n = 0;
    for (int i = 0; i < terms.n; i++) group_join(f, gr, terms.at[i]);
    group_join(f, gr, m);
    gr->terms = terms;
}
