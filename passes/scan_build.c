/* A scan as a loop over the nests of its body, and where its values lie.
 *
 * Body and surroundings share memory: an argument of the body is a slice of the operand, an element of a stack a slice
 * of the result, both moving with the step. The carry that a step makes is read by the step after it, so it has two
 * places in turn, unless it is stacked as well: then it is read where it was stacked, and the stack has room for one
 * slice more, the first value. First values are copied to where the step before the first one would have put them;
 * last carries are copied from where the last step put them. */
#include <string.h>

#include "passes/kernels_impl.h"

static int64_t bytes_of(const Node *n) { return type_count(&n->type) * dtype_size(n->type.dtype); }

static Node *output(const Node *scan, int i) { return node_storage(scan->u.scan.body->outs.at[i].value); }

/* The carry that stack number j (of all outputs) is the new value of; -1: none. */
static int carry_of(const Node *scan, int j) {
    for (int i = 0; i < scan->u.scan.ncarry; i++)
        if (output(scan, i) == output(scan, j)) return i;
    return -1;
}

/* ---- results, in the graph around ------------------------------------------------------------------------ */

/* The first node for a result that something reads; NULL: nothing does. */
static Node *find_result(const Fuse *f, const Node *scan, int index) {
    for (int i = scan->id; i < f->g->nodes.n; i++) {
        Node *r = f->g->nodes.at[i];
        if (r->op == OP_RESULT && r->arg[0] == scan && r->u.result.index == index && f->stored[r->id]) return r;
    }
    return NULL;
}

/* Does something in the body see the numbers of output j side by side, as a reshape does? */
static bool viewed_inside(const Node *scan, int j) {
    const Graph *body = scan->u.scan.body;
    const Node  *n = output(scan, j);
    for (int i = 0; i < body->nodes.n; i++) {
        const Node *user = body->nodes.at[i];
        if (user->op == OP_COMP || user->op == OP_SCAN) continue;
        for (int k = 0; k < user->narg; k++)
            if (node_storage(user->arg[k]) == n) return true;
    }
    return false;
}

/* Is r the one node for its result? */
static bool only_result(const Fuse *f, const Node *r) {
    int count = 0;
    for (int i = r->arg[0]->id; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        count += n->op == OP_RESULT && n->arg[0] == r->arg[0] && n->u.result.index == r->u.result.index;
    }
    return count == 1;
}

static void place_result(Fuse *f, Node *r) {
    const Scan *s = &r->arg[0]->u.scan;
    Place      *p = &f->k->place[r->id];
    Node       *same = find_result(f, r->arg[0], r->u.result.index);
    bool        carry = r->u.result.index < s->ncarry, also = !carry && carry_of(r->arg[0], r->u.result.index) >= 0;
    p->space = SPACE_ARENA;
    if (same != r) {
        *p = f->k->place[same->id];
        return;
    }
    if (!carry && only_result(f, r) && !viewed_inside(r->arg[0], r->u.result.index)) place_apart(f, r, p);
    int64_t slice = p->stride[0] * dtype_size(r->type.dtype);
    p->buffer = buffer_new(f, r, place_bytes(p, &r->type) + (also ? slice : 0), f->k->depth);
    if (also && !s->reverse) p->offset = slice;
}

void place_results(Fuse *f) {
    for (int i = 0; i < f->g->nodes.n; i++)
        if (f->g->nodes.at[i]->op == OP_RESULT && f->stored[i]) place_result(f, f->g->nodes.at[i]);
}

/* ---- outputs and arguments of the body --------------------------------------------------------------------- */

static int own_loop(const Fuse *f) { return f->up->k->depth; }

static int64_t direction(const Fuse *f) { return f->scan->u.scan.reverse ? -1 : 1; }

/* The slice of `p` in one step of the loop. */
static Place one_step(const Fuse *f, Place p, DType d) {
    p.step[own_loop(f)] = p.stride[0] * dtype_size(d);
    memmove(p.stride, p.stride + 1, sizeof *p.stride * (MAX_RANK - 1));
    return p;
}

/* Numbers of type `from` at p, for those who see them as `to`: in C order where the shapes differ, since no
 * output that is reshaped lies apart. */
static Place seen_as(Place p, const Type *from, const Type *to) {
    int64_t next = 1;
    if (type_equal(from, to)) return p;
    for (int d = to->rank - 1; d >= 0; next *= to->dim[d].size, d--) p.stride[d] = next;
    return p;
}

static void place_outputs(Fuse *f) {
    const Scan *s = &f->scan->u.scan;
    for (int j = s->ncarry; j < f->g->outs.n; j++) {
        const Node *n = output(f->scan, j), *r = find_result(f->up, f->scan, j);
        if (!r) continue;
        Place p = one_step(f, f->up->k->place[r->id], r->type.dtype);
        f->k->place[n->id] = seen_as(p, &f->g->outs.at[j].value->type, &n->type);
    }
    for (int i = 0; i < s->ncarry; i++) {
        const Node *n = output(f->scan, i);
        Place      *p = &f->k->place[n->id];
        if (p->buffer) continue;
        p->turn = 1 + own_loop(f);
        p->slot = (bytes_of(n) + 63) / 64 * 64;
        p->buffer = buffer_new(f, n, 2 * p->slot, f->up->k->depth);
    }
}

/* Where the step before put carry i. */
static Place carry_place(const Fuse *f, int i) {
    const Node *n = output(f->scan, i);
    Place       p = seen_as(f->k->place[n->id], &n->type, &f->g->outs.at[i].value->type);
    p.offset -= direction(f) * p.step[own_loop(f)];
    if (p.turn == 1 + own_loop(f)) p.phase ^= 1;
    return p;
}

/* A value of the graph around as the body sees it: as a whole. */
static Place outer_place(const Fuse *f, Node *n) {
    const Node *store = node_storage(n);
    Place       p = f->up->k->place[store->id];
    int64_t     next = 1;
    for (int i = n->type.rank - 1; i >= 0 && node_unstop(n) != store; next *= n->type.dim[i].size, i--)
        p.stride[i] = next;
    if (p.space == SPACE_CONST && !p.table) p.table = store;
    if (!p.span) p.span = place_bytes(&p, &store->type);
    return p;
}

static Place argument_place(const Fuse *f, const Node *arg) {
    const Scan *s = &f->scan->u.scan;
    int         k = arg->u.arg.index;
    if (k == ARG_STEP) return (Place){.space = SPACE_STEP, .offset = own_loop(f)};
    if (k < s->ncarry) return carry_place(f, k);
    Place p = outer_place(f, f->scan->arg[k]);
    if (k >= s->ncarry + s->nover) return p;
    return one_step(f, p, arg->type.dtype);
}

/* ---- copies ------------------------------------------------------------------------------------------------ */

/* A copy of `from` to `to` in a group of its own, outside of the order of the others. */
static Group *copy_to(Fuse *f, Node *from, Place to) {
    Node  *copy = lower_copy(f->g, from);
    f->k->place[copy->id] = to;
    Group *gr = group_new(f, copy);
    f->groups.n--;
    f->stored[copy->id] = true;
    return gr;
}

static bool all_equal(const Node *n) {
    for (int64_t i = 1; i < type_count(&n->type); i++)
        if (n->u.konst.value[i] != n->u.konst.value[0]) return false;
    return true;
}

/* The first value of a carry in the body. */
static Node *first_value(Fuse *f, int i) {
    Node *init = f->scan->arg[i], *store = node_storage(init);
    graph_at(f->g, init->name, init->loc);
    if (store->op == OP_CONST && all_equal(store)) return graph_const(f->g, init->type, store->u.konst.value);
    Node *arg = loop_arg(f->g, init->type);
    f->k->place[arg->id] = outer_place(f, init);
    return arg;
}

static void make_copies(Fuse *f) {
    for (int i = 0; i < f->scan->u.scan.ncarry; i++) {
        Node       *next = f->g->outs.at[i].value;
        const Node *r = find_result(f->up, f->scan, i);
        const Node *store = node_storage(next);
        f->first[i] = copy_to(f, first_value(f, i), seen_as(f->k->place[store->id], &store->type, &next->type));
        if (r) f->last[i] = copy_to(f, next, f->up->k->place[r->id]);
    }
}

void place_body(Fuse *f) {
    place_outputs(f);
    for (int i = 0; i < f->g->nodes.n; i++)
        if (f->g->nodes.at[i]->op == OP_ARG) f->k->place[i] = argument_place(f, f->g->nodes.at[i]);
    make_copies(f);
}

/* ---- the loop ---------------------------------------------------------------------------------------------- */

Nest *scan_build(Fuse *f, Group *gr, int number) {
    const Scan *s = &gr->space->u.scan;
    Nest       *n = ARENA_NEW(f->a, Nest);
    ScanLoop   *l = ARENA_NEW(f->a, ScanLoop);
    n->kind = NEST_SCAN;
    n->name = arena_printf(f->a, "%d_scan", number);
    n->fused = "";
    n->scan = l;
    *l = (ScanLoop){.trip = s->trip, .part = s->part, .reverse = s->reverse, .depth = f->k->depth, .serial = true,
                    .runs = scan_runs(f->a, gr->space)};
    kernels_body(f, gr->space, l, number);
    for (int i = 0; i < l->body->nnest; i++) {
        const Nest *in = l->body->nest[i];
        bool        every = i >= l->nfirst && i < l->body->nnest - l->nlast;
        n->flops += in->flops * (every ? s->trip.size : 1);
        n->bytes += in->bytes * (every ? s->trip.size : 1);
        n->cycles += in->cycles * (double)(every ? s->trip.size : 1);
        l->serial &= in->kind == NEST_SCAN ? in->scan->serial : in->npar == 0;
    }
    return n;
}
