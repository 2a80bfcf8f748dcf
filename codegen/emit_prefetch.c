/* What the stores of a tile read and write, asked for before its sums.
 *
 * The stores touch a few short runs of each tensor, rows apart, and no processor guesses which come next. If they do
 * not lie in a near cache every tile waits for them, although its sums take longer than any memory: so their lines are
 * asked for first. */
#include "codegen/nest_impl.h"

enum { LINE = 64, LEAST_SUM = 32, MOST_LINES = 112 };      /* bytes; points of a sum; lines asked for */

typedef struct {
    Emit *e;
    int   n;
    int   access[MAX_STORES * 4];
} Reads;

static void note_read(const Expr *x, void *cx) {
    Reads *r = cx;
    if (x->op != SC_READ || r->n == (int)(sizeof r->access / sizeof *r->access)) return;
    const Access *a = &r->e->n->access[x->operand];
    if (!a->node || a->nind || a->listed || a->node->op == OP_RNG || !r->e->ptr[x->operand]) return;
    for (int i = 0; i < r->n; i++)
        if (r->access[i] == x->operand) return;
    r->access[r->n++] = x->operand;
}

static void ask_for(Emit *e, Val ptr, Ty element, int64_t off, bool write) {
    Codegen *cg = e->cg;
    Val      x[4] = {l_gep_const(cg, element, ptr, off), l_i32(cg, write), l_i32(cg, 3), l_i32(cg, 1)};
    l_intrinsic(cg, "llvm.prefetch", 1, &cg->ptr, 4, x);
}

/* The lines of all points of the tile, each once as far as constant offsets tell. */
static int ask_for_all(Emit *e, const Layout *l, const Lin *off, const Node *node, Val ptr, bool write, int room) {
    int     size = dtype_size(node->type.dtype), count = 0;
    int64_t last = 0;
    for (int i = 0; i < l->rows * l->nvec; i++) {
        int64_t at[POINT_LANES];
        Point   p = layout_point(e, l, i / l->nvec, i % l->nvec);
        lin_offsets(e, off, &p, at);
        if (count && at[0] >= last && (at[0] - last) * size < LINE) continue;
        if (count == room) return count;
        last = at[0];
        count++;
        ask_for(e, ptr, codegen_memory_type(e->cg, node->type.dtype), at[0], write);
    }
    return count;
}

static int64_t sum_points(const Nest *n) {
    int64_t most = 0;
    for (int i = 0; i < n->nstage; i++) {
        int64_t points = 1;
        for (int k = 0; k < n->stage[i].nred; k++) points *= n->var[n->stage[i].red[k]].size;
        if (points > most) most = points;
    }
    return most;
}

void emit_prefetch(Emit *e) {
    const Nest *n = e->n;
    Reads       r = {.e = e};
    int         vars[MAX_VARS], room = MOST_LINES;
    int64_t     bytes = 0;
    if (e->k->level < 2 || n->adds || n->cut || n->list.on || sum_points(n) < LEAST_SUM) return;
    for (int v = 0; v < n->nout; v++) vars[v] = v;
    for (int i = 0; i < n->nstore; i++) expr_walk(n->store[i].expr, note_read, &r);
    for (int i = 0; i < r.n; i++) bytes += type_count(&n->access[r.access[i]].node->type) * dtype_size(n->access[r.access[i]].dtype);
    for (int i = 0; i < n->nstore; i++) bytes += type_count(&n->store[i].node->type) * dtype_size(n->store[i].node->type.dtype);
    if (bytes <= e->k->target.l1) return;
    Layout l = layout_of(e, n->nout, vars, n->nlane, n->lane, n->width);
    for (int i = 0; i < r.n; i++) {
        const Access *a = &n->access[r.access[i]];
        room -= ask_for_all(e, &l, &a->off, a->node, e->ptr[r.access[i]], false, room);
    }
    for (int i = 0; i < n->nstore; i++)
        room -= ask_for_all(e, &l, &n->store[i].off, n->store[i].node, e->ptr[n->naccess + i], true, room);
}
