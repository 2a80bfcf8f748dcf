/* Reverse-mode differentiation of a graph: from the loss backward, each operation hands the adjoint of
 * its result on to its operands. What is added are nodes of the same operations (docs/ir.md). */
#include <string.h>

#include "passes/grad_impl.h"
#include "passes/pass.h"

void grad_add(Backward *b, Node *n, Node *g) {
    if (b->apart && b->apart[n->id]) {
        vec_push(b->scratch, &b->parts[n->id], g);
        return;
    }
    Node **sum = &b->adjoint[n->id];
    *sum = *sum ? graph_map2(b->g, SC_ADD, *sum, g) : g;
}

/* ---- one rule per operation ------------------------------------------------------------------------ */

typedef void Rule(Backward *b, Node *n, Node *dy);

/* Leaves take nothing from anyone; through `stop` nothing passes. */
#define grad_CONST NULL
#define grad_INPUT NULL
#define grad_PARAM NULL
#define grad_STATE NULL
#define grad_RNG   NULL
#define grad_STOP  NULL
#define grad_ARG   NULL


static void grad_GATHER(Backward *b, Node *n, Node *dy) {
    Node *table = n->arg[0];
    if (b->needed[table->id]) grad_add(b, table, graph_scatter(b->g, dy, n->arg[1], table->type.dim[0].size));
}

static void grad_SCATTER(Backward *b, Node *n, Node *dy) {
    if (b->needed[n->arg[0]->id]) grad_add(b, n->arg[0], graph_gather(b->g, dy, n->arg[1]));
}

static void grad_RESHAPE(Backward *b, Node *n, Node *dy) {
    const Type *t = &n->arg[0]->type;
    grad_add(b, n->arg[0], graph_reshape(b->g, dy, t->rank, t->dim));
}

static Rule *const GRAD[OP_COUNT] = {
#define OP(id, text, args, math) [OP_##id] = grad_##id,
#include "ir/ops.def"
#undef OP
};

/* ---- what needs a gradient -------------------------------------------------------------------------- */

static void mark_needed(Backward *b, int n, Node *const *wrt) {
    for (int i = 0; i < n; i++) b->needed[wrt[i]->id] = true;
    for (int i = 0; i < b->g->nodes.n; i++) {
        const Node *x = b->g->nodes.at[i];
        if (x->type.dtype != DT_F32 || !GRAD[x->op]) continue;
        for (int k = 0; k < x->narg; k++) b->needed[i] |= b->needed[x->arg[k]->id];
    }
}

static void find_risky(const Expr *e, void *risky) {
    bool dividing = e->op == SC_DIV && e->arg[1]->op != SC_CONST;
    if (dividing || e->op == SC_LOG || e->op == SC_EXP || e->op == SC_POW) *(bool *)risky = true;
}

static void mark_risky(Backward *b) {
    for (int i = 0; i < b->g->nodes.n; i++) {
        const Node *x = b->g->nodes.at[i];
        if (x->op != OP_COMP || x->u.comp.kind != KIND_MAP) continue;
        expr_walk(x->u.comp.expr, find_risky, &b->risky[i]);
        for (int k = 0; k < x->narg; k++) b->risky[i] |= b->risky[x->arg[k]->id];
    }
}

/* Gradients are called after what they are the gradients of. */
static void name_gradients(Graph *g, const Node *n) {
    static const char PREFIX[] = "grad.";
    bool again = n->name && !strncmp(n->name, PREFIX, sizeof PREFIX - 1);
    graph_at(g, !n->name ? NULL : again ? n->name : arena_printf(g->arena, "%s%s", PREFIX, n->name), n->loc);
}

Node *grad_zeros(Graph *g, const Type *t) {
    Var var[MAX_RANK] = {0};
    for (int i = 0; i < t->rank; i++) var[i] = (Var){.name = "i", .ext = t->dim[i]};
    return graph_comp(g, KIND_MAP, t->rank, 0, 0, var, expr_const(g->arena, 0), 0, NULL);
}

/* ---- the walk --------------------------------------------------------------------------------------- */

Backward backward_new(Graph *g, Arena *scratch, int n, Node *const *wrt) {
    int      count = g->nodes.n;
    Backward b = {.g = g, .scratch = scratch, .count = count, .adjoint = ARENA_ARRAY(scratch, Node *, count),
                  .needed = ARENA_ARRAY(scratch, bool, count), .risky = ARENA_ARRAY(scratch, bool, count)};
    mark_needed(&b, n, wrt);
    mark_risky(&b);
    return b;
}

void backward_run(Backward *b, int last) {
    for (int i = last; i >= 0; i--) {
        Node *x = b->g->nodes.at[i];
        if (!b->adjoint[i] || !b->needed[i] || !GRAD[x->op]) continue;
        name_gradients(b->g, x);
        GRAD[x->op](b, x, b->adjoint[i]);
    }
}

static void build(Graph *g, Node *loss, int n, Node *const *wrt, Node **grad, StashList *stash) {
    const char *name = g->at_name;
    Loc         loc = g->at_loc;
    if (loss->type.rank) ICE("the loss has rank %d", loss->type.rank);
    graph_sort(g);
    segment_scans(g);
    Arena   *scratch = arena_new();
    Backward b = backward_new(g, scratch, n, wrt);
    b.stash = stash;
    graph_at(g, "grad.loss", loss->loc);
    b.adjoint[loss->id] = graph_scalar(g, 1);
    backward_run(&b, loss->id);
    for (int i = 0; i < n; i++) {
        name_gradients(g, wrt[i]);
        grad[i] = b.adjoint[wrt[i]->id] ? b.adjoint[wrt[i]->id] : grad_zeros(g, &wrt[i]->type);
    }
    graph_at(g, name, loc);
    arena_free(scratch);
}

void grad_build(Graph *g, Node *loss, int n, Node *const *wrt, Node **grad) { build(g, loss, n, wrt, grad, NULL); }

void grad_params(Graph *g) { grad_params_noting(g, NULL); }

void grad_params_noting(Graph *g, StashList *stash) {
    Output *loss = graph_find_output(g, "loss");
    if (!loss) ICE("graph %s has no output \"loss\"", g->name);
    VEC(Node *) params = {0};
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_PARAM) vec_push(g->arena, &params, g->nodes.at[i]);
    Node **grad = ARENA_ARRAY(g->arena, Node *, params.n);
    build(g, loss->value, params.n, params.at, grad, stash);
    for (int i = 0; i < params.n; i++)
        graph_output(g, OUT_VALUE, arena_printf(g->arena, "grad.%s", params.at[i]->u.param.key), grad[i], NULL);
}
