/* Scans that can stop before their trip is over ('until'): one carry tells for each row whether it still runs, and
 * where it is false every carry stays what it is, itself among them. Once no row runs nothing can change any more;
 * what would be stacked means nothing.
 *
 * This is found in the expressions: with the carry false, the next value of each carry must become that carry. */
#include "passes/algebra.h"
#include "passes/kernels_impl.h"

typedef struct {
    Arena      *a;
    const Node *n;              /* the next value of a carry */
    int         runs;           /* the carry that is false */
} Done;

static int argument_of(const Done *d, const Expr *read) {
    const Node *arg = d->n->arg[read->operand];
    return arg->op == OP_ARG ? arg->u.arg.index : ARG_STEP;
}

/* e where the row does not run. */
static const Expr *when_done(const Done *d, const Expr *e) {
    const Expr *arg[3] = {NULL, NULL, NULL};
    int         v;
    if (e->op == SC_READ) {
        bool own = argument_of(d, e) == d->runs && !e->sub[0].ind && affine_is_var(&e->sub[0].aff, &v) && v == 0;
        return own ? alg_const(d->a, DT_PRED, 0) : e;
    }
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = when_done(d, e->arg[i]);
    if (!SCALARS[e->op].args) return e;
    return alg_simple(d->a, alg_rebuild(d->a, e, arg));
}

/* Does carry k stay what it is in rows that do not run? */
static bool is_held(Arena *a, const Node *scan, int k, int runs) {
    Done d = {a, node_unstop(scan->u.scan.body->outs.at[k].value), runs};
    if (d.n->op != OP_COMP || d.n->u.comp.kind != KIND_MAP || !d.n->u.comp.nout || d.n->u.comp.var[0].ext.bound != 1)
        return false;
    const Expr *e = when_done(&d, d.n->u.comp.expr);
    if (k == runs) return e->op == SC_CONST && e->value == 0;
    return e->op == SC_READ && argument_of(&d, e) == k && reads_own_point(d.n, e);
}

Node *scan_runs(Arena *a, const Node *scan) {
    const Scan *s = &scan->u.scan;
    for (int r = 0; r < s->ncarry; r++) {
        Node *next = s->body->outs.at[r].value;
        bool  all = next->type.dtype == DT_PRED && next->type.rank == 1 && next->type.dim[0].bound == 1;
        for (int k = 0; k < s->ncarry && all; k++) all = is_held(a, scan, k, r);
        if (all) return node_unstop(next);
    }
    return NULL;
}
