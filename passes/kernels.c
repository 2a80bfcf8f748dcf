/* kernels_build: the pipeline from a graph to kernels. */
#include "base/str.h"
#include "passes/kernels_impl.h"

#include <string.h>

/* C-order strides for every node; the places of leaves. */
static void place_leaves(Fuse *f) {
    Kernels *k = f->k;
    for (int i = 0; i < f->g->nodes.n; i++) {
        Node   *n = f->g->nodes.at[i];
        Place   p = {.space = node_computed(n) ? SPACE_ARENA : SPACE_NONE};
        int64_t next = 1;
        if (n->op == OP_CONST) p.space = SPACE_CONST;
        if (n->op == OP_PARAM || n->op == OP_STATE || (n->op == OP_INPUT && n->u.input.kind == IN_SCALAR))
            p = f->o->place(f->o->cx, n);
        if (n->op == OP_INPUT && n->u.input.kind == IN_DATA) {
            p.space = SPACE_IN;
            p.offset = k->nin;
            k->in[k->nin++] = n;
        }
        for (int d = n->type.rank - 1; d >= 0; next *= n->type.dim[d].size, d--) p.stride[d] = next;
        k->place[n->id] = p;
    }
}

static bool read_by_view(const Fuse *f, const Node *n) {
    for (int i = 0; i < f->users[n->id].n; i++)
        if (f->users[n->id].at[i]->op != OP_COMP) return true;
    return false;
}

/* A tensor of the arena that a spread sum reads in rows, over and over: each row (the two innermost axes) begins at an
 * aligned address, so that no vector lies in two lines of the cache. */
static void align_rows(Fuse *f) {
    for (int i = 0; i < f->groups.n; i++) {
        Spread      s;
        const Node *n = f->groups.at[i]->space;
        if (!f->groups.at[i]->alone || !spread_find(n, &s)) continue;
        const Expr *e = n->u.comp.expr->arg[1];
        const Node *arg = e->op == SC_READ ? n->arg[e->operand] : NULL;
        if (!arg || arg->type.rank < 3 || !f->group[arg->id] || read_by_view(f, arg)) continue;
        Place *p = &f->k->place[arg->id];
        if (p->space != SPACE_ARENA || p->buffer) continue;
        int64_t width = f->t->width, next = 1;
        for (int d = arg->type.rank - 1; d >= 0; next *= arg->type.dim[d].size, d--) {
            if (d == arg->type.rank - 3) next = (next + width - 1) / width * width;
            p->stride[d] = next;
        }
    }
}

enum { LINE = 64, CROWDED = 1024 };     /* bytes: lines so far apart, or a multiple of it, share few sets of a cache */

/* Is n read by its own subscripts alone, not through a view of its numbers in C order? */
static bool read_by_subscripts(const Fuse *f, const Node *n) {
    for (int i = 0; i < f->users[n->id].n; i++) {
        OpId op = f->users[n->id].at[i]->op;
        if (op != OP_COMP && op != OP_SCAN) return false;
    }
    return true;
}

void place_apart(const Fuse *f, const Node *n, Place *p) {
    int64_t next = 1, size = dtype_size(n->type.dtype);
    if (f->o->level < 2 || n->type.dtype != DT_F32 || n->op == OP_SCATTER || !read_by_subscripts(f, n)) return;
    for (int d = n->type.rank - 1; d >= 0; next *= n->type.dim[d].size, d--) {
        if (d < n->type.rank - 1 && next * size % CROWDED == 0) next += LINE / size;
        p->stride[d] = next;
    }
}

/* Panels: the other axes in C order, each of their points with `panel` values of the axis. */
static void set_panels(Fuse *f) {
    for (int i = 0; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        Place      *p = &f->k->place[i];
        int         axis = n->panel - 1;
        if (axis < 0) continue;
        int64_t next = p->panel = n->panel_size;
        for (int d = n->type.rank - 1; d >= 0; d--) {
            p->stride[d] = d == axis ? 1 : next;
            if (d != axis) next *= n->type.dim[d].size;
        }
        p->panel_stride = next;
    }
}

/* Rows and planes of tensors in the arena lie apart from multiples of what makes their lines meet in the caches. */
static void set_rows_apart(Fuse *f) {
    for (int i = 0; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        Place      *p = &f->k->place[i];
        if (!f->group[i] || f->group[i]->alone || !f->stored[i] || p->space != SPACE_ARENA || p->buffer) continue;
        place_apart(f, n, p);
    }
}

/* What is stored in the arena gets a buffer; what is not stored has no place. */
static void make_buffers(Fuse *f) {
    Kernels *k = f->k;
    for (int i = 0; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        Place      *p = &k->place[n->id];
        if (!node_computed(n) || p->space != SPACE_ARENA || p->buffer) continue;
        if (f->stored[n->id]) p->buffer = buffer_new(f, n, place_bytes(p, &n->type), k->depth);
        else p->space = SPACE_NONE;
    }
}

static void build_nest(Fuse *f, Group *gr) {
    Kernels *k = f->k;
    Nest    *n;
    if (gr->space->op == OP_SCAN) {
        n = scan_build(f, gr, k->nnest);
    } else {
        n = nest_build(f, gr, k->nnest);
        nest_schedule(f, n);
    }
    k->nest[k->nnest++] = n;
}

static void build_nests(Fuse *f) {
    int ncarry = f->scan ? f->scan->u.scan.ncarry : 0;
    f->k->nest = ARENA_ARRAY(f->a, Nest *, f->groups.n + 2 * ncarry);
    for (int i = 0; i < ncarry; i++)
        if (f->first[i]) build_nest(f, f->first[i]);
    for (int i = 0; i < f->groups.n; i++) build_nest(f, f->groups.at[i]);
    for (int i = 0; i < ncarry; i++)
        if (f->last[i]) build_nest(f, f->last[i]);
}

/* Bodies first: what a scan stacks decides where its results lie. */
static void lower_all(Graph *g, const Target *t, const KernelOptions *o, int ncarry) {
    bool sink = o->level >= 2 && fusion_on(o, "sink");
    if (sink) sink_maps(g);
    while (o->level >= 2 && fusion_on(o, "keep") && keep_functions(g))
        if (sink) sink_maps(g);     /* there is more room in the expressions now */
    if (o->level >= 2 && fusion_on(o, "rotate")) rotate_loops(g);
    lower_ops(g, ncarry);
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN) lower_all(g->nodes.at[i]->u.scan.body, t, o, g->nodes.at[i]->u.scan.ncarry);
    if (o->level >= 2 && fusion_on(o, "panel")) panel_weights(g, t);
    if (o->level >= 2 && fusion_on(o, "turn")) turn_weights(g, t);
    if (o->level >= 2 && fusion_on(o, "spread") && fusion_on(o, "listed")) spread_graph(g);
    if (o->level >= 2 && !ncarry && fusion_on(o, "taps")) taps_graph(g, t, o->eager);
    if (o->level >= 2 && fusion_on(o, "pack")) pack_contractions(g);
    if (o->level >= 2 && fusion_on(o, "unpool")) unpool_graph(g);
    if (o->level >= 2 && !ncarry && fusion_on(o, "winograd")) winograd_graph(g, t, o->eager);
    if (o->level >= 2 && fusion_on(o, "reuse")) reuse_maps(g);
    if (o->level >= 2 && fusion_on(o, "panel")) panel_operands(g, t);
}

/* The nests of graph f->g, a function or a body. */
static void build_level(Fuse *f) {
    Graph   *g = f->g;
    Kernels *k = f->k;
    int      ncarry = f->scan ? f->scan->u.scan.ncarry : 0, room = g->nodes.n + 3 * (g->outs.n + ncarry);
    f->group = ARENA_ARRAY(f->a, Group *, room);
    f->stored = ARENA_ARRAY(f->a, bool, room);
    f->users = ARENA_ARRAY(f->a, NodeList, room);
    memcpy(f->users, graph_users(g, f->a), sizeof *f->users * (size_t)g->nodes.n);
    k->place = ARENA_ARRAY(f->a, Place, room);
    k->in = ARENA_ARRAY(f->a, Node *, g->nodes.n);
    k->out = ARENA_ARRAY(f->a, Output, g->outs.n);
    place_leaves(f);
    set_panels(f);
    fuse_groups(f);
    if (!f->scan) settle_outputs(f);
    group_sort(f);
    group_stored(f);
    if (f->scan) place_body(f);
    set_rows_apart(f);
    align_rows(f);
    make_buffers(f);
    place_results(f);
    build_nests(f);
}

void kernels_body(Fuse *up, Node *scan, ScanLoop *l, int number) {
    Kernels *k = l->body = ARENA_NEW(up->a, Kernels);
    Fuse     f = {.a = up->a, .g = scan->u.scan.body, .t = up->t, .o = up->o, .k = k, .buffers = up->buffers,
                  .searches = up->searches, .up = up,
                  .scan = scan, .first = ARENA_ARRAY(up->a, Group *, scan->u.scan.ncarry),
                  .last = ARENA_ARRAY(up->a, Group *, scan->u.scan.ncarry)};
    *k = (Kernels){.name = arena_printf(up->a, "%s_%d_scan", up->k->name, number),
                   .graph = f.g,
                   .target = up->k->target,
                   .level = up->k->level,
                   .depth = up->k->depth + 1};
    if (k->depth > MAX_LOOPS) ICE("scans are nested more than %d deep", MAX_LOOPS);
    build_level(&f);
    for (int i = 0; i < scan->u.scan.ncarry; i++) {
        l->nfirst += f.first[i] != NULL;
        l->nlast += f.last[i] != NULL;
    }
}

Kernels *kernels_build(Arena *a, Graph *g, const Target *t, const KernelOptions *o) {
    Kernels   *k = ARENA_NEW(a, Kernels);
    BufferList buffers = {0};
    Fuse       f = {.a = a, .g = g, .t = t, .o = o, .k = k, .buffers = &buffers, .searches = searches_new(a)};
    *k = (Kernels){.name = g->name, .graph = g, .target = *t, .level = o->level};
    lower_all(g, t, o, 0);
    if (o->level >= 2 && fusion_on(o, "order")) order_operands(g, t);
    build_level(&f);
    if (o->level >= 2 && fusion_on(o, "chain")) chain_nests(&f);
    if (o->level >= 2 && fusion_on(o, "threads")) share_nests(&f);
    plan_memory(&f);
    return k;
}

int64_t kernels_flops(const Kernels *k) {
    int64_t n = 0;
    for (int i = 0; i < k->nnest; i++) n += k->nest[i]->flops;
    return n;
}
