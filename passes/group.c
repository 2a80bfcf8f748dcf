/* Groups of nodes: dependence, order, what must be stored. */
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
    vec_push(f->a, &gr->nodes, n);
    f->group[n->id] = gr;
}

/* Pushes the groups that n reads from. */
static void push_producers(Fuse *f, const Node *n, GroupList *stack) {
    for (int i = 0; i < n->narg; i++) {
        Group *p = f->group[node_storage(n->arg[i])->id];
        if (!p || p->visit == f->visit) continue;
        p->visit = f->visit;
        vec_push(f->a, stack, p);
    }
}

static bool reaches(Fuse *f, GroupList *stack, const Group *target) {
    while (stack->n) {
        Group *gr = stack->at[--stack->n];
        if (gr == target) return true;
        for (int i = 0; i < gr->nodes.n; i++) push_producers(f, gr->nodes.at[i], stack);
        for (int i = 0; i < gr->after.n; i++) {
            Group *p = gr->after.at[i];
            if (p->visit == f->visit) continue;
            p->visit = f->visit;
            vec_push(f->a, stack, p);
        }
    }
    return false;
}

bool group_needs(Fuse *f, Group *from, const Group *target) {
    GroupList stack = {0};
    from->visit = ++f->visit;
    vec_push(f->a, &stack, from);
    return reaches(f, &stack, target);
}

bool group_cycle(Fuse *f, const Node *n, const Group *gr) {
    for (int i = 0; i < n->narg; i++) {
        Group *p = f->group[node_storage(n->arg[i])->id];
        if (p && p != gr && group_needs(f, p, gr)) return true;
    }
    return false;
}

/* ---- order ------------------------------------------------------------------------------------------ */

static int last_id(const Group *gr) { return gr->nodes.at[gr->nodes.n - 1]->id; }

/* Depth first over what a group needs, from the groups in the order of their last nodes. */
static void visit_group(Fuse *f, Group *gr, GroupList *out) {
    if (gr->visit == f->visit) return;
    gr->visit = f->visit;
    for (int i = 0; i < gr->nodes.n; i++) {
        const Node *n = gr->nodes.at[i];
        for (int k = 0; k < n->narg; k++) {
            Group *p = f->group[node_storage(n->arg[k])->id];
            if (p) visit_group(f, p, out);
        }
    }
    for (int i = 0; i < gr->after.n; i++) visit_group(f, gr->after.at[i], out);
    vec_push(f->a, out, gr);
}

void group_sort(Fuse *f) {
    GroupList out = {0};
    for (int i = 1; i < f->groups.n; i++)
        for (int j = i; j > 0 && last_id(f->groups.at[j]) < last_id(f->groups.at[j - 1]); j--) {
            Group *t = f->groups.at[j];
            f->groups.at[j] = f->groups.at[j - 1];
            f->groups.at[j - 1] = t;
        }
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
