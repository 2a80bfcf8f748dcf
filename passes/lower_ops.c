/* Brings a graph into the form that fuse.c wants: everything computed is a comp or a scatter_add, every
 * output has a computed value of its own.
 *
 *   gather       becomes a map with an indirect subscript
 *   scatter_add  reads tensors with an address: scalars and random numbers are copied first; so does a scan
 *   output       of a leaf, a view, a random number, or of a value that another output has: a copy of it
 */
#include <string.h>

#include "passes/kernels_impl.h"

Node *node_storage(Node *n) {
    while (n->op == OP_RESHAPE || n->op == OP_STOP) n = n->arg[0];
    return n;
}

Node *node_unstop(Node *n) {
    while (n->op == OP_STOP) n = n->arg[0];
    return n;
}

bool node_computed(const Node *n) { return n->op == OP_COMP || n->op == OP_SCATTER; }

static void outs_of(const Type *t, Var *var) {
    static const char *const NAMES[MAX_RANK] = {"i", "j", "k", "l", "m", "o", "p", "q"};
    for (int i = 0; i < t->rank; i++) var[i] = (Var){.name = NAMES[i], .ext = t->dim[i]};
}

/* y[i..., k...] = table[index[i...], k...] */
static Node *gather_map(Graph *g, Node *n) {
    Node *table = n->arg[0], *index = n->arg[1];
    int   lead = index->type.rank;
    Var   var[MAX_RANK] = {0};
    Sub   at[MAX_RANK] = {0}, sub[MAX_RANK] = {0};
    outs_of(&n->type, var);
    for (int i = 0; i < lead; i++) at[i].aff = affine_var(i);
    sub[0].aff = affine_const(0);
    sub[0].ind = expr_read(g->arena, index->type.dtype, 1, lead, at, false);
    for (int i = 1; i < table->type.rank; i++) sub[i].aff = affine_var(lead + i - 1);
    const Expr *e = expr_read(g->arena, table->type.dtype, 0, table->type.rank, sub, false);
    return graph_comp(g, KIND_MAP, n->type.rank, 0, 0, var, e, 2, (Node *[]){table, index});
}

Node *lower_copy(Graph *g, Node *n) {
    Var var[MAX_RANK] = {0};
    Sub sub[MAX_RANK] = {0};
    outs_of(&n->type, var);
    for (int i = 0; i < n->type.rank; i++) sub[i].aff = affine_var(i);
    const Expr *e = expr_read(g->arena, n->type.dtype, 0, n->type.rank, sub, false);
    graph_at(g, n->name, n->loc);
    return graph_comp(g, KIND_MAP, n->type.rank, 0, 0, var, e, 1, &n);
}

/* Does an output before number i lie where n lies? A stack may lie where a carry lies: its slices are the carry. */
static bool claimed(const Graph *g, int ncarry, int i, const Node *n) {
    for (int k = i < ncarry ? 0 : ncarry; k < i; k++)
        if (node_storage(g->outs.at[k].value) == n) return true;
    return false;
}

/* A rank-0 argument of a body may be a scalar input of the function. */
static bool has_address(Node *n) {
    n = node_storage(n);
    if (n->op == OP_ARG) return n->type.rank > 0;
    return n->op != OP_RNG && !(n->op == OP_INPUT && n->u.input.kind == IN_SCALAR);
}

/* Operands of scans have addresses, or are scalars that the body reads as such. */
static void lower_scan(Graph *g, Node *n) {
    for (int k = 0; k < n->narg; k++) {
        bool scalar = n->arg[k]->type.rank == 0 && node_storage(n->arg[k])->op != OP_RNG;
        if (!scalar && !has_address(n->arg[k])) n->arg[k] = lower_copy(g, n->arg[k]);
    }
}

void lower_ops(Graph *g, int ncarry) {
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Node *n = g->nodes.at[i];
        for (int k = 0; n->op == OP_SCATTER && k < n->narg; k++)
            if (!has_address(n->arg[k])) n->arg[k] = lower_copy(g, n->arg[k]);
        if (n->op == OP_SCAN) lower_scan(g, n);
        if (n->op != OP_GATHER) continue;
        graph_at(g, n->name, n->loc);
        graph_replace(g, n, gather_map(g, n));
    }
    for (int i = 0; i < g->outs.n; i++) {
        Node *n = node_storage(g->outs.at[i].value);
        if (!node_computed(n) || claimed(g, ncarry, i, n)) g->outs.at[i].value = lower_copy(g, g->outs.at[i].value);
    }
    graph_sweep(g);
}
