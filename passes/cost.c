/* What a nest costs: scalar operations and bytes at full size, for reports and for the choice of what is worth
 * sharing out among threads. */
#include "passes/kernels_impl.h"

static int64_t space(const Nest *n, int nvar, const int *var) {
    int64_t points = 1;
    for (int i = 0; i < nvar; i++) points *= n->var[var[i]].size;
    return points;
}

static void count_op(const Expr *e, void *cx) {
    *(int64_t *)cx += e->op > SC_READ && e->op != SC_CAST;
}

static int64_t ops_of(const Expr *e) {
    int64_t n = 0;
    expr_walk(e, count_op, &n);
    return n;
}

void nest_count(Nest *n) {
    int64_t points = 1;
    n->flops = n->bytes = 0;
    for (int v = 0; v < n->nout; v++) points *= n->var[v].size;
    for (int i = 0; i < n->nstage; i++) {
        const Stage *s = &n->stage[i];
        n->flops += points * space(n, s->nwin, s->win) * space(n, s->nred, s->red) * (ops_of(s->expr) + 1);
    }
    for (int i = 0; i < n->nstore; i++) {
        if (n->store[i].expr) n->flops += points * ops_of(n->store[i].expr);
        n->bytes += type_count(&n->store[i].node->type) * dtype_size(n->store[i].node->type.dtype);
    }
    for (int i = 0; i < n->naccess; i++) {
        const Node *node = n->access[i].node;
        bool        seen = !node || node->op == OP_RNG;
        for (int k = 0; k < i; k++) seen |= n->access[k].node == node;
        if (!seen) n->bytes += type_count(&node->type) * dtype_size(node->type.dtype);
    }
}
