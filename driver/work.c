#include "driver/work.h"

#include <string.h>

static void count_read(const Expr *e, void *cx) { *(int *)cx += e->op == SC_READ; }

static bool has_read(const Expr *e) {
    int n = 0;
    expr_walk(e, count_read, &n);
    return n > 0;
}

/* A sum of products of two tensors: each point is one multiply-add. (A sum of squares is not counted.) */
static bool is_contraction(const Node *x) {
    if (x->op != OP_COMP || x->u.comp.kind != KIND_SUM || x->narg < 2) return false;
    const Expr *e = x->u.comp.expr;
    return e->op == SC_MUL && has_read(e->arg[0]) && has_read(e->arg[1]);
}

/* Points of a comp's outs and reductions; those of one example if `each`. */
static int64_t points(const Comp *c, bool each) {
    int64_t n = 1;
    for (int v = 0; v < c->nout + c->nred; v++)
        if (!each || c->var[v].ext.bound != 1) n *= c->var[v].ext.size;
    return n;
}

Work work_layer(const Graph *g, const char *layer) {
    Work   w = {0};
    size_t n = strlen(layer);
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *x = g->nodes.at[i];
        if (x->op == OP_SCAN) {
            Work body = work_layer(x->u.scan.body, layer);
            w.macs += body.macs * x->u.scan.trip.size;
            if (body.shape.rank) w.shape = body.shape;
        }
        if (!x->name || strncmp(x->name, layer, n) || (x->name[n] && x->name[n] != '.') || x->op != OP_COMP) continue;
        w.shape = x->type;
        if (is_contraction(x)) w.macs += points(&x->u.comp, true);
    }
    return w;
}

/* Rows that lookups into parameters choose from, times their number at each point of the comp. */
typedef struct {
    const Node *node;
    int64_t     rows;
} Lookups;

static void count_lookup(const Expr *e, void *cx) {
    Lookups *l = cx;
    if (e->op != SC_READ || l->node->arg[e->operand]->op != OP_PARAM) return;
    for (int s = 0; s < e->nsub; s++)
        if (e->sub[s].ind) l->rows += l->node->arg[e->operand]->type.dim[s].size;
}

static int64_t node_macs(const Node *x) {
    if (x->op == OP_SCAN) return work_graph(x->u.scan.body) * x->u.scan.trip.size;
    if (x->op == OP_GATHER && x->arg[0]->op == OP_PARAM) return type_count(&x->type) * x->arg[0]->type.dim[0].size;
    if (x->op != OP_COMP) return 0;
    Lookups l = {.node = x};
    expr_walk(x->u.comp.expr, count_lookup, &l);
    return points(&x->u.comp, false) * (l.rows + is_contraction(x));
}

int64_t work_graph(const Graph *g) {
    int64_t macs = 0;
    for (int i = 0; i < g->nodes.n; i++) macs += node_macs(g->nodes.at[i]);
    return macs;
}
