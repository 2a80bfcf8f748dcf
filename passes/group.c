/* Groups of nodes: dependence, order, what must be stored. */
#include <stdlib.h>

#include "passes/kernels_impl.h"

bool reads_own_point(const Node *n, const Expr *read) {
    const Comp *c = &n->u.comp;
    if (read->nsub != c->nout) return false;
    for (int i = 0; i < read->nsub; i++) {
        const Affine *a = &read->sub[i].aff;
        int           v;
        if (read->sub[i].ind) return false;
        if (c->var[i].ext.size == 1 && affine_is_const(a) && a->c == 0) continue;
        if (!affine_is_var(a, &v) || v != i) return false;
    }
    return true;
}

Group *group_new(Fuse *f, Node *n) {
    Group *gr = ARENA_NEW(f->a, Group);
    gr->space = n;
    vec_push(f->a, &f->groups, gr);
    group_join(f, gr, n);
    return gr;
}

void group_join(Fuse *f, Group *gr, Node *n) {
    if (!gr->nodes.n || n->id < gr->first) gr->first = n->id;
    if (!gr->nodes.n || n->id > gr->last) gr->last = n->id;
    vec_push(f->a, &gr->nodes, n);
    f->group[n->id] = gr;
}

/* The groups that must run before gr. */
static GroupList producers(Fuse *f, const Group *gr) {
    GroupList list = {0};
    for (int i = 0; i < gr->nodes.n; i++)
        for (int k = 0; k < gr->nodes.at[i]->narg; k++) {
            Group *p = f->group[node_storage(gr->nodes.at[i]->arg[k])->id];
            if (p && p != gr) vec_push(f->a, &list, p);
        }
    for (int i = 0; i < gr->after.n; i++) vec_push(f->a, &list, gr->after.at[i]);
    return list;
}

/* Operands come before users, so a group that ends before `target` begins needs nothing of it, unless an edge was
 * added to it or to one of its producers. */
bool group_needs(Fuse *f, Group *from, const Group *target) {
    GroupList stack = {0};
    from->visit = ++f->visit;
    vec_push(f->a, &stack, from);
    while (stack.n) {
        Group *gr = stack.at[--stack.n];
        if (gr == target) return true;
        if (!f->edges && gr->last < target->first) continue;
        GroupList list = producers(f, gr);
        for (int i = 0; i < list.n; i++) {
            if (list.at[i]->visit == f->visit) continue;
            list.at[i]->visit = f->visit;
            vec_push(f->a, &stack, list.at[i]);
        }
    }
    return false;
}

bool group_cycle(Fuse *f, const Node *n, const Group *gr) {
    for (int i = 0; i < n->narg; i++) {
        Group *p = f->group[node_storage(n->arg[i])->id];
        if (p && p != gr && group_needs(f, p, gr)) return true;
    }
    return false;
}

/* ---- order ------------------------------------------------------------------------------------------ */

/* A walk over what a group needs, depth first, with its own stack: chains of groups may be long. */
static void visit_group(Fuse *f, Group *from, GroupList *out) {
    typedef struct {
        Group    *gr;
        GroupList list;
        int       next;
    } Open;
    VEC(Open) stack = {0};
    if (from->visit == f->visit) return;
    from->visit = f->visit;
    vec_push(f->a, &stack, ((Open){from, producers(f, from), 0}));
    while (stack.n) {
        Open *top = &stack.at[stack.n - 1];
        if (top->next == top->list.n) {
            vec_push(f->a, out, top->gr);
            stack.n--;
            continue;
        }
        Group *p = top->list.at[top->next++];
        if (p->visit == f->visit) continue;
        p->visit = f->visit;
        vec_push(f->a, &stack, ((Open){p, producers(f, p), 0}));
    }
}

static int by_last_node(const void *x, const void *y) {
    const Group *const *a = x, *const *b = y;
    return (*a)->last - (*b)->last;
}

/* What a group needs comes before it; else they run in the order of their last nodes. */
void group_sort(Fuse *f) {
    GroupList out = {0};
    if (f->groups.n) qsort(f->groups.at, (size_t)f->groups.n, sizeof *f->groups.at, by_last_node);
    f->visit++;
    for (int i = 0; i < f->groups.n; i++) visit_group(f, f->groups.at[i], &out);
    f->groups = out;
}

/* ---- what is stored --------------------------------------------------------------------------------- */

/* Is the value of n, which group `gr` computes, read outside of it? Through a reshape counts as outside. */
static bool read_outside(const Fuse *f, const Node *n, const Group *gr) {
    for (int i = 0; i < f->users[n->id].n; i++) {
        const Node *u = f->users[n->id].at[i];
        if (u->op == OP_STOP ? read_outside(f, u, gr) : u->op == OP_RESHAPE || f->group[u->id] != gr) return true;
    }
    return false;
}

void group_stored(Fuse *f) {
    for (int i = 0; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        if (f->group[n->id]) f->stored[n->id] = n->op == OP_SCATTER || read_outside(f, n, f->group[n->id]);
    }
    for (int i = 0; i < f->g->outs.n; i++) f->stored[node_storage(f->g->outs.at[i].value)->id] = true;
}
