/* Weights of a loop in the order in which its contractions load well.
 *
 * A recurrent product, sum over k of U[i,k] h[b,k], finds the outs i of U far apart. U is the same in all steps: a
 * captured matrix whose last axis is summed over, and that has an axis of outs enough for the lanes, is turned once
 * before the loop, U'[k,i], and read in this order in every step. */
#include "passes/kernels_impl.h"

enum { WORTH_STEPS = 4, MAX_FACTORS = 8 };

typedef struct {
    Graph        *g;            /* around the scan */
    Node         *scan;
    const Target *t;
} Turn;

/* A captured value with one axis moved to the end, as the body knows it. */
typedef struct {
    int   operand, axis;
    Node *arg;
} Turned;

typedef VEC(Turned) TurnedList;

/* Subscript i of a read, if it is a variable and nothing else; -1: it is more. */
static int plain_var(const Expr *read, int i) {
    int v;
    return !read->sub[i].ind && affine_is_var(&read->sub[i].aff, &v) ? v : -1;
}

/* The axis of factor `read` of n that should be the last; -1: none. */
static int axis_to_turn(const Turn *t, const Node *n, const Expr *read) {
    const Comp *c = &n->u.comp;
    const Scan *s = &t->scan->u.scan;
    if (read->op != SC_READ || read->guarded || read->nsub < 2 || read->dtype != DT_F32) return -1;
    const Node *arg = n->arg[read->operand];
    if (arg->op != OP_ARG || arg->panel || arg->u.arg.index < s->ncarry + s->nover) return -1;
    int last = plain_var(read, read->nsub - 1), best = -1;
    if (last < c->nout || last >= c->nout + c->nred) return -1;
    for (int i = 0; i < read->nsub - 1; i++) {
        int v = plain_var(read, i);
        if (v < 0) return -1;
        if (v < c->nout && !c->var[v].ext.bound && c->var[v].ext.size >= t->t->width) best = i;
    }
    return best;
}

const Expr *axis_last(Graph *g, const Node *n, int axis, Var *var) {
    Sub sub[MAX_RANK] = {0};
    int rank = n->type.rank;
    for (int i = 0; i < rank; i++) {
        int to = i == axis ? rank - 1 : i < axis ? i : i - 1;
        var[to] = (Var){.name = "i", .ext = n->type.dim[i]};
        sub[i].aff = affine_var(to);
    }
    return expr_read(g->arena, n->type.dtype, 0, rank, sub, false);
}

/* The operand with `axis` as the last one, made before the loop. */
static Node *turn_outside(Graph *g, Node *n, int axis) {
    Var         var[MAX_RANK] = {0};
    const Expr *read = axis_last(g, n, axis, var);
    graph_at(g, n->name, n->loc);
    return graph_comp(g, KIND_MAP, n->type.rank, 0, 0, var, read, 1, &n);
}

static Node *turned_arg(Turn *t, TurnedList *list, int operand, int axis) {
    for (int i = 0; i < list->n; i++)
        if (list->at[i].operand == operand && list->at[i].axis == axis) return list->at[i].arg;
    Node *outside = turn_outside(t->g, t->scan->arg[operand], axis), *arg = scan_operand(t->g, t->scan, outside, false);
    vec_push(t->g->arena, list, ((Turned){operand, axis, arg}));
    return arg;
}

static const Expr *read_turned(Graph *g, const Expr *read, int axis, int operand) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < read->nsub; i++) sub[i == axis ? read->nsub - 1 : i < axis ? i : i - 1] = read->sub[i];
    return expr_read(g->arena, read->dtype, operand, read->nsub, sub, false);
}

/* The product e of n with its factors turned; args gets the operands of the new reads behind n's own. */
static const Expr *turn_factors(Turn *t, TurnedList *list, const Node *n, const Expr *e, Node **args, int *narg) {
    Arena *a = t->scan->u.scan.body->arena;
    if (e->op == SC_MUL) {
        const Expr *x = turn_factors(t, list, n, e->arg[0], args, narg),
                   *y = turn_factors(t, list, n, e->arg[1], args, narg);
        return x == e->arg[0] && y == e->arg[1] ? e : expr_op2(a, SC_MUL, x, y);
    }
    int axis = axis_to_turn(t, n, e);
    if (axis < 0 || *narg == n->narg + MAX_FACTORS) return e;
    args[*narg] = turned_arg(t, list, n->arg[e->operand]->u.arg.index, axis);
    return read_turned(t->scan->u.scan.body, e, axis, (*narg)++);
}

static void turn_node(Turn *t, TurnedList *list, Node *n) {
    const Comp *c = &n->u.comp;
    Graph      *body = t->scan->u.scan.body;
    int         narg = n->narg;
    if (n->op != OP_COMP || c->kind != KIND_SUM || !c->nred || c->expr->op != SC_MUL) return;
    Node **args = ARENA_ARRAY(body->arena, Node *, narg + MAX_FACTORS);
    for (int i = 0; i < narg; i++) args[i] = n->arg[i];
    const Expr *e = turn_factors(t, list, n, c->expr, args, &narg);
    if (e == c->expr) return;
    graph_at(body, n->name, n->loc);
    graph_replace(body, n, graph_comp(body, c->kind, c->nout, c->nred, c->nder, c->var, e, narg, args));
}

void turn_weights(Graph *g, const Target *t) {
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Node *scan = g->nodes.at[i];
        if (scan->op != OP_SCAN || scan->u.scan.trip.size < WORTH_STEPS) continue;
        Graph     *body = scan->u.scan.body;
        Turn       turn = {g, scan, t};
        TurnedList list = {0};
        for (int k = 0, n = body->nodes.n; k < n; k++) turn_node(&turn, &list, body->nodes.at[k]);
        graph_sort(body);
        graph_sweep(body);
    }
    graph_sort(g);
    graph_sweep(g);
}
