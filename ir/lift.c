/* Nodes of a body as nodes around the scan: for all steps at once, with the step as the first axis. Fission moves comps
 * and the like; beam search, whose new axis is the beams, lifts scans as well. */
#include <string.h>

#include "ir/ir_impl.h"

/* ---- one node ---------------------------------------------------------------------------------------- */

/* A comp being lifted. The step is variable `step` of the result, the other variables keep their order. */
typedef struct {
    Graph        *g;
    const Node   *n;
    const Lifted *known;
    int           step;
    Affine        by[MAX_VARS]; /* the comp's variables */
    VEC(Node *)   args;
    bool          ok;
} LiftCx;

static const Expr *lift_expr(LiftCx *cx, const Expr *e);

static int operand_of(LiftCx *cx, Node *n) {
    for (int i = 0; i < cx->args.n; i++)
        if (cx->args.at[i] == n) return i;
    vec_push(cx->g->arena, &cx->args, n);
    return cx->args.n - 1;
}

/* The number of the step, unless it is known outside: then the new axis is another one. */
static bool is_new_axis(const Node *n, const Lifted *known) {
    return n->op == OP_ARG && n->u.arg.index == ARG_STEP && !known[n->id].node;
}

static const Expr *lift_read(LiftCx *cx, const Expr *e) {
    Arena        *a = cx->g->arena;
    const Node   *from = cx->n->arg[e->operand];
    const Lifted *to = &cx->known[from->id];
    Sub           sub[MAX_RANK + 1] = {0};
    int           nsub = 0;
    if (is_new_axis(from, cx->known)) return expr_idx(a, affine_var(cx->step));
    if (!to->node || e->nsub + to->steps > MAX_RANK) {
        cx->ok = false;
        return e;
    }
    if (to->steps) sub[nsub++].aff = affine_var(cx->step);
    for (int i = 0; i < e->nsub; i++, nsub++) {
        sub[nsub].aff = affine_subst(&e->sub[i].aff, cx->by, MAX_VARS);
        if (e->sub[i].ind) sub[nsub].ind = lift_expr(cx, e->sub[i].ind);
    }
    return expr_read(a, e->dtype, operand_of(cx, to->node), nsub, sub, e->guarded);
}

static const Expr *lift_expr(LiftCx *cx, const Expr *e) {
    Arena      *a = cx->g->arena;
    const Expr *arg[3] = {NULL, NULL, NULL};
    if (e->op == SC_READ) return lift_read(cx, e);
    if (e->op == SC_IDX) return expr_idx(a, affine_subst(&e->aff, cx->by, MAX_VARS));
    if (!SCALARS[e->op].args) return e;
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = lift_expr(cx, e->arg[i]);
    if (e->op == SC_CAST) return expr_cast(a, e->dtype, arg[0]);
    return arg[2]   ? expr_sel(a, arg[0], arg[1], arg[2])
           : arg[1] ? expr_op2(a, e->op, arg[0], arg[1])
                    : expr_op1(a, e->op, arg[0]);
}

/* The comp over its variables and the step: an out (place 0) or a reduction variable (place nout). */
static Node *lift_comp(Graph *g, Extent trip, const char *name, const Node *n, const Lifted *known, bool sum) {
    const Comp *c = &n->u.comp;
    int         nvar = c->nout + c->nred + c->nder, place = sum ? c->nout : 0;
    LiftCx      cx = {.g = g, .n = n, .known = known, .step = place, .ok = true};
    Var         var[MAX_VARS] = {0};
    if (nvar == MAX_VARS || (!sum && c->nout == MAX_RANK)) return NULL;
    for (int v = 0; v < MAX_VARS; v++) cx.by[v] = affine_var(v < place ? v : v + 1);
    var[place] = (Var){.name = name, .ext = trip};
    for (int v = 0; v < nvar; v++) {
        Var x = c->var[v];
        if (x.div) x.num = affine_subst(&x.num, cx.by, MAX_VARS);
        var[v < place ? v : v + 1] = x;
    }
    const Expr *e = lift_expr(&cx, c->expr);
    if (!cx.ok) return NULL;
    graph_at(g, n->name, n->loc);
    return graph_comp(g, sum ? KIND_SUM : c->kind, c->nout + !sum, c->nred + sum, c->nder, var, e, cx.args.n,
                      cx.args.at);
}

/* A node none of whose operands changes from step to step. */
static Node *copy_outside(Graph *g, const Node *n, const Lifted *known) {
    const char *why;
    Node        proto = *n;
    proto.arg = ARENA_ARRAY(g->arena, Node *, n->narg);
    for (int k = 0; k < n->narg; k++)
        if (!(proto.arg[k] = known[n->arg[k]->id].node)) return NULL;
    if (n->op == OP_SCAN) proto.u.scan.body = graph_clone(g->arena, n->u.scan.body);
    graph_at(g, n->name, n->loc);
    return graph_try(g, &proto, &why);
}

static bool reads_step(const Node *n, const Lifted *known) {
    for (int k = 0; k < n->narg; k++)
        if (is_new_axis(n->arg[k], known)) return true;
    return false;
}

static Node *lift_reshape(Graph *g, Extent trip, const Node *n, Node *from) {
    Extent dim[MAX_RANK] = {trip};
    if (n->type.rank == MAX_RANK) return NULL;
    for (int i = 0; i < n->type.rank; i++) dim[i + 1] = n->type.dim[i];
    graph_at(g, n->name, n->loc);
    return graph_reshape(g, from, n->type.rank + 1, dim);
}

/* ---- scans --------------------------------------------------------------------------------------------- */

Node *lift_repeat(Graph *g, Extent ext, const char *name, Node *n) {
    Var var[MAX_RANK + 1] = {{.name = name, .ext = ext}};
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) {
        var[i + 1] = (Var){.name = "i", .ext = n->type.dim[i]};
        sub[i].aff = affine_var(i + 1);
    }
    const Expr *e = expr_read(g->arena, n->type.dtype, 0, n->type.rank, sub, false);
    return graph_comp(g, KIND_MAP, n->type.rank + 1, 0, 0, var, e, 1, &n);
}

/* The new axis stands before the time of a sequence, a loop wants it behind; and back. */
static Node *swap_first(Graph *g, Node *n) {
    Var var[MAX_RANK] = {0};
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) {
        int from = i < 2 ? 1 - i : i;
        var[i] = (Var){.name = "i", .ext = n->type.dim[from]};
        sub[from].aff = affine_var(i);
    }
    const Expr *e = expr_read(g->arena, n->type.dtype, 0, n->type.rank, sub, false);
    return graph_comp(g, KIND_MAP, n->type.rank, 0, 0, var, e, 1, &n);
}

/* One scan whose steps know the new axis. All carries and stacks have it, whether they differ along it or not. */
typedef struct {
    Graph       *g;
    Extent       ext;
    const char  *name;
    const Node  *n;
    const Lifted *known;        /* the operands */
    Lifted      *in;            /* by id: the nodes of the body */
    ScanMake     l;
} LiftScan;

static Node *with_axis(const LiftScan *x, const Lifted *v) {
    return v->steps ? v->node : lift_repeat(x->g, x->ext, x->name, v->node);
}

static void lift_argument(LiftScan *x, int i) {
    Arena       *a = x->g->arena;
    const Node  *arg = x->n->u.scan.body->nodes.at[i];
    int          k = arg->u.arg.index, over = x->n->u.scan.ncarry;
    const Lifted *operand = k == ARG_STEP ? NULL : &x->known[x->n->arg[k]->id];
    if (k == ARG_STEP) {
        x->in[i].node = x->l.step = loop_arg(x->g, arg->type);
    } else if (k < over) {
        x->in[i] = (Lifted){x->l.carry.at[k].inner, true};
    } else if (k < over + x->n->u.scan.nover) {
        Node *sequence = operand->steps ? swap_first(x->g, operand->node) : operand->node;
        x->in[i] = (Lifted){loop_arg(x->g, loop_slice(&sequence->type)), operand->steps};
        vec_push(a, &x->l.over, ((Bind){x->in[i].node, sequence}));
    } else {
        x->in[i] = *operand;
    }
}

static Node *lift_scan(Graph *g, Extent ext, const char *name, const Node *n, const Lifted *known) {
    const Scan *s = &n->u.scan;
    LiftScan    x = {.g = g, .ext = ext, .name = name, .n = n, .known = known,
                     .in = ARENA_ARRAY(g->arena, Lifted, s->body->nodes.n),
                     .l = {.trip = s->trip, .part = s->part, .reverse = s->reverse, .var = s->var}};
    graph_at(g, n->name, n->loc);
    for (int k = 0; k < s->ncarry; k++) {
        Node *first = with_axis(&x, &known[n->arg[k]->id]);
        vec_push(g->arena, &x.l.carry, ((Bind){loop_arg(g, first->type), first}));
    }
    for (int i = 0; i < s->body->nodes.n; i++) {
        const Node *m = s->body->nodes.at[i];
        if (m->op == OP_ARG) lift_argument(&x, i);
        else if (!lift_node(g, ext, name, m, x.in, &x.in[i])) return NULL;
    }
    for (int i = 0; i < s->body->outs.n; i++) {
        Node *out = with_axis(&x, &x.in[s->body->outs.at[i].value->id]);
        if (i < s->ncarry) vec_push(g->arena, &x.l.next, out);
        else vec_push(g->arena, &x.l.stack, out);
    }
    graph_at(g, n->name, n->loc);
    return loop_close(g, g, &x.l);
}

static Node *lift_result(Graph *g, const Node *n, Node *scan) {
    graph_at(g, n->name, n->loc);
    Node *r = graph_result(g, scan, n->u.result.index);
    return n->u.result.index < scan->u.scan.ncarry ? r : swap_first(g, r);
}

/* ---- any node ------------------------------------------------------------------------------------------ */

bool lift_node(Graph *g, Extent trip, const char *var, const Node *n, const Lifted *known, Lifted *out) {
    bool steps = reads_step(n, known);
    for (int k = 0; k < n->narg; k++) steps |= known[n->arg[k]->id].steps;
    *out = (Lifted){NULL, steps};
    if (!steps) {
        out->node = copy_outside(g, n, known);
    } else if (n->op == OP_COMP) {
        out->node = lift_comp(g, trip, var, n, known, false);
    } else if (n->op == OP_RESHAPE) {
        out->node = lift_reshape(g, trip, n, known[n->arg[0]->id].node);
    } else if (n->op == OP_STOP) {
        out->node = graph_stop(g, known[n->arg[0]->id].node);
    } else if (n->op == OP_SCAN) {
        out->node = lift_scan(g, trip, var, n, known);
    } else if (n->op == OP_RESULT) {
        out->node = lift_result(g, n, known[n->arg[0]->id].node);
    } else if (n->op == OP_GATHER && !known[n->arg[0]->id].steps && n->type.rank < MAX_RANK) {
        graph_at(g, n->name, n->loc);
        out->node = graph_gather(g, known[n->arg[0]->id].node, known[n->arg[1]->id].node);
    }
    return out->node != NULL;
}

Node *lift_sum(Graph *g, Extent trip, const char *var, const Node *n, const Lifted *known) {
    bool comp =
        n->op == OP_COMP && (n->u.comp.kind == KIND_MAP || n->u.comp.kind == KIND_SUM) && n->type.dtype == DT_F32;
    return comp ? lift_comp(g, trip, var, n, known, true) : NULL;
}

/* ---- fission ------------------------------------------------------------------------------------------- */

typedef struct {
    Graph  *g, *body;
    Node   *scan;
    Scan    s;
    int     n;
    bool   *carried, *steps;    /* depends on a carry; differs from step to step */
    bool   *before, *kept, *after, *needed;
    Lifted *known;              /* outside */
} Fission;

static bool is_arg(const Node *n) { return n->op == OP_ARG; }
static bool is_carry(const Fission *f, const Node *n) {
    return is_arg(n) && n->u.arg.index >= 0 && n->u.arg.index < f->s.ncarry;
}

static bool is_over(const Fission *f, const Node *n) {
    int k = n->u.arg.index;
    return is_arg(n) && k >= f->s.ncarry && k < f->s.ncarry + f->s.nover;
}

/* By its operation alone. */
static bool can_lift(const Fission *f, const Node *n) {
    if (is_arg(n)) return !is_carry(f, n);
    if (!f->steps[n->id]) return n->op != OP_CONST;
    switch (n->op) {
    case OP_COMP: return n->u.comp.nout < MAX_RANK && n->u.comp.nout + n->u.comp.nred + n->u.comp.nder < MAX_VARS;
    case OP_RESHAPE: return n->type.rank < MAX_RANK;
    case OP_STOP: return true;
    case OP_GATHER: return !f->steps[n->arg[0]->id] && n->type.rank < MAX_RANK;
    default: return false;
    }
}

static bool fits_outside(const Fission *f, const Node *n) {
    for (int k = 0; k < n->narg; k++)
        if (n->arg[k]->type.rank == MAX_RANK && f->steps[n->arg[k]->id]) return false;
    return n->type.rank < MAX_RANK || !f->steps[n->id];
}

static void classify(Fission *f) {
    for (int i = 0; i < f->n; i++) {
        const Node *n = f->body->nodes.at[i];
        f->carried[i] = is_carry(f, n);
        f->steps[i] = is_carry(f, n) || is_over(f, n) || (is_arg(n) && n->u.arg.index == ARG_STEP);
        for (int k = 0; k < n->narg; k++) {
            f->carried[i] |= f->carried[n->arg[k]->id];
            f->steps[i] |= f->steps[n->arg[k]->id];
        }
        bool leaf = is_arg(n) || n->op == OP_CONST || (n->op == OP_COMP && !n->narg);
        f->before[i] = !f->carried[i] && !leaf && can_lift(f, n) && fits_outside(f, n);
        for (int k = 0; k < n->narg; k++) {
            const Node *a = n->arg[k];
            bool outside = f->before[a->id] || (is_arg(a) && !is_carry(f, a)) || a->op == OP_CONST || !a->narg;
            f->before[i] = f->before[i] && outside;
        }
    }
}

/* What the next carries need, or what cannot leave, stays, and with it all that it needs. */
static void place(Fission *f) {
    for (int i = 0; i < f->body->outs.n; i++) {
        int id = f->body->outs.at[i].value->id;
        f->needed[id] = true;
        if (i < f->s.ncarry) f->kept[id] = true;
    }
    for (int i = f->n - 1; i >= 0; i--) {
        const Node *n = f->body->nodes.at[i];
        for (int k = 0; f->needed[i] && k < n->narg; k++) f->needed[n->arg[k]->id] = true;
    }
    for (int i = f->n - 1; i >= 0; i--) {
        const Node *n = f->body->nodes.at[i];
        if (f->before[i] || !f->needed[i]) continue;
        if (!is_arg(n) && n->narg && !(can_lift(f, n) && fits_outside(f, n))) f->kept[i] = true;
        for (int k = 0; f->kept[i] && k < n->narg; k++) f->kept[n->arg[k]->id] = true;
    }
    for (int i = 0; i < f->n; i++) {
        const Node *n = f->body->nodes.at[i];
        f->after[i] = f->needed[i] && !f->before[i] && !f->kept[i] && n->narg > 0;
    }
}

static bool moves(const Fission *f) {
    for (int i = 0; i < f->n; i++)
        if ((f->before[i] && f->needed[i]) || f->after[i]) return true;
    return false;
}

static void lift_to(Fission *f, const Node *n) {
    if (!lift_node(f->g, f->s.trip, f->s.var, n, f->known, &f->known[n->id]))
        ICE("%s of a body cannot be lifted", OPS[n->op].text);
}

/* 0, 1, 2 ..: the step's number at each step. */
static Node *all_steps(const Fission *f) {
    Var var = {.name = f->s.var, .ext = f->s.trip};
    return graph_comp(f->g, KIND_MAP, 1, 0, 0, &var, expr_idx(f->g->arena, affine_var(0)), 0, NULL);
}

static void lift_before(Fission *f) {
    for (int i = 0; i < f->n; i++) {
        const Node *n = f->body->nodes.at[i];
        if (is_arg(n) && !is_carry(f, n) && n->u.arg.index != ARG_STEP)
            f->known[i] = (Lifted){f->scan->arg[n->u.arg.index], is_over(f, n)};
        else if (n->op == OP_CONST || (n->op == OP_COMP && !n->narg))
            f->known[i] = (Lifted){copy_outside(f->g, n, f->known), false};
        else if (is_arg(n) && n->u.arg.index == ARG_STEP)
            f->known[i] = (Lifted){all_steps(f), true};
        else if (f->before[i] && f->needed[i])
            lift_to(f, n);
    }
}

/* Is n read by what comes after the loop, or a result of it? Then its values are stacked. */
static bool read_after(const Fission *f, const Node *n) {
    for (int i = f->s.ncarry; i < f->body->outs.n; i++)
        if (f->body->outs.at[i].value == n) return true;
    for (int i = 0; i < f->n; i++)
        for (int k = 0; f->after[i] && k < f->body->nodes.at[i]->narg; k++)
            if (f->body->nodes.at[i]->arg[k] == n) return true;
    return false;
}

static Node *smaller_scan(Fission *f) {
    Arena *a = f->g->arena;
    ScanMake l = {
        .trip = f->s.trip, .part = f->s.part, .reverse = f->s.reverse, .checkpoint = f->s.checkpoint, .var = f->s.var};
    VEC(const Node *) stacked = {0};
    for (int i = 0; i < f->n; i++) {
        Node *n = f->body->nodes.at[i];
        if (is_arg(n) && n->u.arg.index == ARG_STEP) l.step = n;
        else if (f->known[i].node && n->op != OP_CONST && (is_arg(n) || f->before[i])) {
            Bind b = {n, f->known[i].node};
            if (f->known[i].steps) vec_push(a, &l.over, b);
            else vec_push(a, &l.use, b);
        }
        bool inside = f->kept[i] && !f->before[i] && !f->known[i].node;
        if ((inside || is_carry(f, n)) && read_after(f, n)) {
            vec_push(a, &l.stack, n);
            vec_push(a, &stacked, n);
        }
    }
    for (int i = 0; i < f->s.ncarry; i++) {
        Node *arg = NULL;
        for (int k = 0; k < f->n; k++)
            if (is_carry(f, f->body->nodes.at[k]) && f->body->nodes.at[k]->u.arg.index == i) arg = f->body->nodes.at[k];
        if (!arg) arg = loop_arg(f->body, f->scan->arg[i]->type);      /* a carry that nothing reads */
        vec_push(a, &l.carry, ((Bind){arg, f->scan->arg[i]}));
        vec_push(a, &l.next, f->body->outs.at[i].value);
    }
    graph_at(f->g, f->scan->name, f->scan->loc);
    Node *scan = loop_close(f->g, f->body, &l);
    for (int i = 0; i < stacked.n; i++)
        f->known[stacked.at[i]->id] = (Lifted){graph_result(f->g, scan, f->s.ncarry + i), true};
    return scan;
}

bool scan_fission(Graph *g, Node *scan, Node **result) {
    Arena  *a = arena_new();
    Graph  *body = scan->u.scan.body;
    int     n = body->nodes.n;
    const char *name = g->at_name;
    Loc     loc = g->at_loc;
    Fission f = {.g = g,
                 .body = body,
                 .scan = scan,
                 .s = scan->u.scan,
                 .n = n,
                 .carried = ARENA_ARRAY(a, bool, n),
                 .steps = ARENA_ARRAY(a, bool, n),
                 .before = ARENA_ARRAY(a, bool, n),
                 .kept = ARENA_ARRAY(a, bool, n),
                 .after = ARENA_ARRAY(a, bool, n),
                 .needed = ARENA_ARRAY(a, bool, n),
                 .known = ARENA_ARRAY(a, Lifted, n)};
    classify(&f);
    place(&f);
    bool moved = moves(&f);
    if (moved) {
        lift_before(&f);
        Node *smaller = smaller_scan(&f);
        for (int i = 0; i < n; i++)
            if (f.after[i]) lift_to(&f, body->nodes.at[i]);
        for (int i = 0; i < body->outs.n; i++) {
            const Lifted *l = &f.known[body->outs.at[i].value->id];
            result[i] = i < f.s.ncarry ? graph_result(g, smaller, i)
                        : l->steps     ? l->node
                                       : lift_repeat(f.g, f.s.trip, f.s.var, l->node);
        }
    }
    graph_at(g, name, loc);
    arena_free(a);
    return moved;
}
