#include <string.h>

#include "passes/algebra.h"
#include "passes/draft.h"
#include "passes/gradcheck_impl.h"

enum { ANY = -1 };

/* A node of the whole graph, seen from the part. */
typedef struct {
    Node   *base;               /* its numbers at the base point; made when first needed */
    Node   *now;                /* its value with the number changed; NULL: it does not change */
    int64_t only[MAX_RANK];     /* it changes only where axis i has this index; ANY: anywhere */
} Seen;

typedef struct {
    Arena *arena;
    Graph *part;
    Seen  *seen;                /* by id in the whole graph */
} Part;

static Node *base_of(Part *p, const Node *n) {
    Seen *s = &p->seen[n->id];
    if (s->base) return s->base;
    s->base = graph_input(p->part, n->type, IN_DATA, arena_printf(p->arena, "n%d", n->id));
    s->base->mark = n->mark;
    return s->base;
}

static Node *now_of(Part *p, const Node *n) { return p->seen[n->id].now ? p->seen[n->id].now : base_of(p, n); }

/* ---- which points a change reaches --------------------------------------------------------------------- */

typedef struct {
    const Part *p;
    const Node *n;
    bool        first;
    int64_t     at[MAX_VARS];   /* only points with this value of the variable see a change; ANY: all */
} Reach;

/* All changed reads of a point must look at the same value, or the variable is free. */
static void narrow(const Expr *e, void *cx) {
    Reach   *r = cx;
    int64_t  at[MAX_VARS];
    if (e->op != SC_READ) return;
    const Seen *s = &r->p->seen[r->n->arg[e->operand]->id];
    if (!s->now) return;
    for (int v = 0; v < MAX_VARS; v++) at[v] = ANY;
    for (int i = 0; i < e->nsub; i++) {
        int v;
        if (s->only[i] != ANY && !e->sub[i].ind && affine_is_var(&e->sub[i].aff, &v)) at[v] = s->only[i];
    }
    for (int v = 0; v < MAX_VARS; v++)
        if (r->first || r->at[v] != at[v]) r->at[v] = r->first ? at[v] : ANY;
    r->first = false;
}

static Reach reach_of(const Part *p, const Node *n) {
    const Comp *c = &n->u.comp;
    Reach       r = {.p = p, .n = n, .first = true};
    expr_walk(c->expr, narrow, &r);
    for (int v = 0; v < MAX_VARS; v++) {
        bool is_out = v < c->nout, is_red = !is_out && v < c->nout + c->nred;
        bool fixable = is_out || (is_red && c->kind == KIND_SUM && n->type.dtype == DT_F32);
        if (!fixable || c->var[v].ext.bound) r.at[v] = ANY;
    }
    return r;
}

/* ---- a comp ----------------------------------------------------------------------------------------------- */

/* The comp over the variables that are not fixed. Where reductions are fixed, the result is not the value
 * but its change: the other terms cancel. */
static Node *reached_part(Part *p, const Node *n, const Reach *r, bool change) {
    const Comp *c = &n->u.comp;
    Draft       d = {.g = p->part, .kind = c->kind};
    Affine      by[MAX_VARS];
    int         count = 0, *now = ARENA_ARRAY(p->arena, int, n->narg), *base = ARENA_ARRAY(p->arena, int, n->narg);
    for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
        by[v] = r->at[v] == ANY ? affine_var(count) : affine_const(r->at[v]);
        if (r->at[v] != ANY) continue;
        d.var[count] = c->var[v];
        d.var[count++].num = affine_subst(&c->var[v].num, by, v);
        d.nout += v < c->nout;
        d.nred += v >= c->nout && v < c->nout + c->nred;
        d.nder += v >= c->nout + c->nred;
    }
    for (int k = 0; k < n->narg; k++) now[k] = draft_operand(&d, now_of(p, n->arg[k]));
    d.expr = expr_subst(p->arena, c->expr, by, MAX_VARS, now);
    if (change) {
        for (int k = 0; k < n->narg; k++) base[k] = draft_operand(&d, base_of(p, n->arg[k]));
        d.expr = expr_op2(p->arena, SC_SUB, d.expr, expr_subst(p->arena, c->expr, by, MAX_VARS, base));
    }
    return draft_finish(&d);
}

/* The whole value: what was reached in its place, the base around it. */
static Node *put_together(Part *p, const Node *n, const Reach *r, Node *reached, bool change) {
    const Comp *c = &n->u.comp;
    Arena      *a = p->arena;
    Draft       d = {.g = p->part, .kind = KIND_MAP, .nout = c->nout};
    Affine      whole[MAX_RANK], free[MAX_RANK];
    const Expr *here = expr_pred(a, true);
    int         rank = 0;
    for (int v = 0; v < c->nout; v++) {
        d.var[v] = c->var[v];
        whole[v] = affine_var(v);
        if (r->at[v] == ANY) {
            free[rank++] = affine_var(v);
        } else {
            const Expr *is = alg_op2(a, SC_EQ, expr_idx(a, affine_var(v)), expr_int(a, r->at[v]));
            here = alg_sel(a, here, is, expr_pred(a, false));
        }
    }
    const Expr *base = draft_read(&d, base_of(p, n), whole), *now = draft_read(&d, reached, free);
    if (change) now = expr_op2(a, SC_ADD, base, now);
    d.expr = alg_sel(a, here, now, base);
    return draft_finish(&d);
}

static void change_comp(Part *p, const Node *n) {
    const Comp *c = &n->u.comp;
    Reach       r = reach_of(p, n);
    bool        change = false, fixed = false;
    for (int v = 0; v < c->nout + c->nred; v++)
        if (r.at[v] >= c->var[v].ext.size) return;      /* no point reads what changes */
    for (int v = 0; v < c->nout; v++) fixed |= r.at[v] != ANY;
    for (int v = c->nout; v < c->nout + c->nred; v++) change |= r.at[v] != ANY;
    Node *reached = reached_part(p, n, &r, change);
    Seen *s = &p->seen[n->id];
    s->now = fixed || change ? put_together(p, n, &r, reached, change) : reached;
    for (int v = 0; v < n->type.rank; v++) s->only[v] = r.at[v];
}

/* ---- a graph ------------------------------------------------------------------------------------------------ */

static bool changes(const Part *p, const Node *n) {
    if (n->op == OP_STOP) return false;
    for (int k = 0; k < n->narg; k++)
        if (p->seen[n->arg[k]->id].now) return true;
    return false;
}

/* The values at the base point of what the stops of a body take: a scan of its own that stacks them. */
static Node *base_stops(Part *p, const Node *n) {
    Scan   s = n->u.scan;
    Node **args = ARENA_ARRAY(p->arena, Node *, n->narg);
    s.body = graph_clone(p->arena, s.body);
    for (int i = 0; i < s.body->nodes.n; i++)
        if (s.body->nodes.at[i]->op == OP_STOP)
            graph_output(s.body, OUT_VALUE, arena_printf(p->arena, "%d", s.body->outs.n), s.body->nodes.at[i]->arg[0],
                         NULL);
    for (int k = 0; k < n->narg; k++) args[k] = base_of(p, n->arg[k]);
    return graph_scan(p->part, &s, n->narg, args);
}

/* In a body, too, what a stop gives does not change: it becomes a sequence. */
static Node *change_scan(Part *p, const Node *n) {
    Scan s = n->u.scan;
    int  use = s.ncarry + s.nover, stops = 0, count = s.body->nodes.n;
    VEC(Node *) args = {0};
    Node *base = NULL;
    s.body = graph_clone(p->arena, s.body);
    for (int i = 0; i < count; i++) stops += s.body->nodes.at[i]->op == OP_STOP;
    if (stops) base = base_stops(p, n);
    for (int i = 0; i < count; i++) {
        Node *a = s.body->nodes.at[i];
        if (a->op == OP_ARG && a->u.arg.index >= use) a->u.arg.index += stops;
    }
    for (int k = 0; k < use; k++) vec_push(p->arena, &args, now_of(p, n->arg[k]));
    for (int i = 0; i < count; i++) {
        Node *stop = s.body->nodes.at[i];
        if (stop->op != OP_STOP) continue;
        vec_push(p->arena, &args, graph_result(p->part, base, scan_results(n) + s.nover - n->u.scan.nover));
        stop->op = OP_ARG;
        stop->narg = 0;
        stop->u.arg.index = s.ncarry + s.nover++;
    }
    for (int k = use; k < n->narg; k++) vec_push(p->arena, &args, now_of(p, n->arg[k]));
    return graph_scan(p->part, &s, args.n, args.at);
}

static void change_node(Part *p, const Node *n) {
    Seen *s = &p->seen[n->id];
    Node *arg[2] = {NULL, NULL};
    for (int i = 0; i < MAX_RANK; i++) s->only[i] = ANY;
    for (int k = 0; k < n->narg && k < 2; k++) arg[k] = now_of(p, n->arg[k]);
    switch (n->op) {
    case OP_COMP: change_comp(p, n); break;
    case OP_GATHER: s->now = graph_gather(p->part, arg[0], arg[1]); break;
    case OP_SCATTER: s->now = graph_scatter(p->part, arg[0], arg[1], n->type.dim[0].size); break;
    case OP_SCAN: s->now = change_scan(p, n); break;
    case OP_RESULT: s->now = graph_result(p->part, arg[0], n->u.result.index); break;
    case OP_RESHAPE: s->now = graph_reshape(p->part, arg[0], n->type.rank, n->type.dim); break;
    default: ICE("%s has no operands", OPS[n->op].text);
    }
}

Graph *gradcheck_part(const Graph *g, const Node *param, int64_t at, const Node *loss, Arena *a) {
    Part p = {.arena = a, .part = graph_new(a, "part"), .seen = ARENA_ARRAY(a, Seen, g->nodes.n)};
    for (int i = 1; i < g->bounds.n; i++) graph_bound(p.part, g->bounds.at[i].name, g->bounds.at[i].size);
    Seen *s = &p.seen[param->id];
    s->now = graph_param(p.part, param->type, param->u.param.key);
    s->now->mark = param->mark;
    size_t bytes = sizeof(double) * (size_t)type_count(&param->type);
    base_of(&p, param)->mark = arena_copy(a, param->mark, bytes);       /* the caller changes the other */
    for (int i = param->type.rank - 1; i >= 0; i--) {
        s->only[i] = at % param->type.dim[i].size;
        at /= param->type.dim[i].size;
    }
    for (int i = param->id + 1; i <= loss->id; i++)
        if (changes(&p, g->nodes.at[i])) change_node(&p, g->nodes.at[i]);
    graph_output(p.part, OUT_VALUE, "loss", now_of(&p, loss), NULL);
    graph_sweep(p.part);
    return p.part;
}
