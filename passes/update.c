/* Where outputs lie. The caller's buffers take OUT_VALUE outputs. The new value of a parameter or state is
 * written over the old one by the nest that computes it, if every reader of the old value can run before
 * (an edge makes it so) or reads, in that same nest, just the element that is written. Otherwise the new
 * value lies in the arena, and a copy runs after all readers. */
#include "passes/kernels_impl.h"

/* Reads of `leaf` by u that are not of u's own element. */
typedef struct {
    const Node *u, *leaf;
    bool        elsewhere;
} OwnReads;

static void look_at_read(const Expr *e, void *cx) {
    OwnReads *r = cx;
    if (e->op != SC_READ || node_storage(r->u->arg[e->operand]) != r->leaf) return;
    if (node_unstop(r->u->arg[e->operand]) != r->leaf || !reads_own_point(r->u, e)) r->elsewhere = true;
}

static bool reads_own_element(const Node *u, const Node *leaf, const Group *gr) {
    OwnReads r = {u, leaf, u->op != OP_COMP || gr->pool != NULL};
    if (!r.elsewhere) expr_walk(u->u.comp.expr, look_at_read, &r);
    return !r.elsewhere;
}

static bool reads_leaf(const Node *u, const Node *leaf) {
    for (int i = 0; i < u->narg; i++)
        if (node_storage(u->arg[i]) == leaf) return true;
    return false;
}

/* Puts every reader of `leaf` before gr; false if one cannot be. */
static bool readers_before(Fuse *f, const Node *leaf, Group *gr) {
    for (int i = 0; i < f->g->nodes.n; i++) {
        const Node *u = f->g->nodes.at[i];
        Group      *r = f->group[u->id];
        if (!r || !reads_leaf(u, leaf)) continue;
        if (r == gr ? !reads_own_element(u, leaf, gr) : group_needs(f, r, gr)) return false;
    }
    for (int i = 0; i < f->g->nodes.n; i++) {
        Node  *u = f->g->nodes.at[i];
        Group *r = f->group[u->id];
        if (!r || r == gr || !reads_leaf(u, leaf)) continue;
        vec_push(f->a, &gr->after, r);
        f->edges = true;
    }
    return true;
}

/* A node that copies n, in a group of its own. */
static Node *copy_at_end(Fuse *f, Node *n) {
    Var var[MAX_RANK] = {0};
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) {
        var[i] = (Var){.name = "i", .ext = n->type.dim[i]};
        sub[i].aff = affine_var(i);
    }
    const Expr *e = expr_read(f->g->arena, n->type.dtype, 0, n->type.rank, sub, false);
    graph_at(f->g, n->name, n->loc);
    Node *copy = graph_comp(f->g, KIND_MAP, n->type.rank, 0, 0, var, e, 1, &n);
    vec_push(f->a, &f->users[n->id], copy);
    group_new(f, copy);
    return copy;
}

static void settle_update(Fuse *f, Output *o) {
    Node *value = node_storage(o->value);
    if (!readers_before(f, o->target, f->group[value->id])) {
        value = copy_at_end(f, o->value);
        o->value = value;
        if (!readers_before(f, o->target, f->group[value->id])) ICE("the update %s cannot be ordered", o->name);
    }
    int64_t stride[MAX_RANK], next = 1;
    for (int i = value->type.rank - 1; i >= 0; next *= value->type.dim[i].size, i--) stride[i] = next;
    Place *p = &f->k->place[value->id];
    *p = f->k->place[o->target->id];
    for (int i = 0; i < value->type.rank; i++) p->stride[i] = stride[i];
}

void settle_outputs(Fuse *f) {
    for (int i = 0; i < f->g->outs.n; i++) {
        Output *o = &f->g->outs.at[i];
        if (o->kind != OUT_VALUE) {
            settle_update(f, o);
            continue;
        }
        Place *p = &f->k->place[node_storage(o->value)->id];
        p->space = SPACE_OUT;
        p->offset = f->k->nout;
        f->k->out[f->k->nout++] = *o;
    }
}
