/* Steps of a loop that begin with their sums.
 *
 * Backwards in time a step of a cell computes dz from dh, point by point, then the next dh[b,k] = sum over i of
 * U[i,k] dz[b,i]. Threads wait for each other before the sum, which needs all of dz, and again before the next step,
 * whose dz is not cut as dh was. If the step is cut between the two instead,
 *
 *     dh[b,k] = sum over i of U[i,k] dz[b,i]          dz of the step before
 *     dz[b,k] = f(dh[b,k])
 *
 * then dz goes from step to step, f is computed where the sum's results are, in registers, and threads wait once.
 *
 * What goes first: sums that no other sum of the step needs and nothing that is stacked, with the maps of them, if they
 * make next values of carries that maps alone read, each at its own point. What these sums and maps read of the rest
 * becomes carries; parts of such maps that need none of the sums stay where they are. In the first step the sums are
 * over zeros; if that does not give the first value, it is selected. The last ones are made behind the loop, if
 * something reads them. */
#include "passes/draft.h"
#include "passes/kernels_impl.h"

enum { MOST_NEW = 24 };

/* A loop being cut. Arrays are by id of the body's nodes as they were. */
typedef struct {
    Graph  *g, *body;
    Node   *scan;
    Arena  *scratch;
    int     count;              /* of these nodes */
    bool   *needed;             /* by another sum, by what is stacked */
    bool   *first;              /* goes first */
    bool   *near;               /* a carry that goes first, or maps of it */
    int     nnew;
    Node   *value[MOST_NEW], *arg[MOST_NEW];        /* what becomes a carry, and its value of the step before */
} Cut;

static bool is_map(const Node *n) { return n->op == OP_COMP && n->u.comp.kind == KIND_MAP; }
static bool is_sum(const Node *n) { return n->op == OP_COMP && n->u.comp.kind == KIND_SUM && n->u.comp.nred; }

static Node *next_value(const Cut *c, int carry) { return c->body->outs.at[carry].value; }

static bool is_carry(const Node *n, int carry) { return n->op == OP_ARG && n->u.arg.index == carry; }

/* The same in every step. */
static bool is_captured(const Cut *c, const Node *n) {
    const Scan *s = &c->scan->u.scan;
    return n->op == OP_CONST || (n->op == OP_ARG && n->u.arg.index >= s->ncarry + s->nover);
}

/* ---- what goes first --------------------------------------------------------------------------------------- */

static void find_first(Cut *c) {
    for (int i = c->count - 1; i >= 0; i--) {
        const Node *n = c->body->nodes.at[i];
        for (int k = 0; k < n->narg; k++) c->needed[n->arg[k]->id] |= c->needed[i] || !is_map(n);
    }
    for (int i = 0; i < c->count; i++) {
        const Node *n = c->body->nodes.at[i];
        c->first[i] = is_sum(n) && !c->needed[i];
        for (int k = 0; k < n->narg; k++) c->first[i] |= c->first[n->arg[k]->id];
    }
}

typedef struct {
    const Node *n;
    int         operand;
    bool        other;
} OwnReads;

static void look_at_own(const Expr *e, void *cx) {
    OwnReads *r = cx;
    if (e->op == SC_READ && e->operand == r->operand) r->other |= !reads_own_point(r->n, e);
}

static bool reads_alike(const Node *n, int operand) {
    OwnReads r = {.n = n, .operand = operand};
    expr_walk(n->u.comp.expr, look_at_own, &r);
    return !r.other;
}

/* Do maps alone read the carry, and do they make what some sum reads? */
static bool gains(Cut *c, int carry) {
    bool any = false;
    for (int i = 0; i < c->count; i++) {
        const Node *n = c->body->nodes.at[i];
        bool        reads = false;
        for (int k = 0; k < n->narg; k++) {
            reads |= c->near[n->arg[k]->id];
            if (is_carry(n->arg[k], carry) && (!is_map(n) || !reads_alike(n, k))) return false;
        }
        c->near[i] = is_carry(n, carry) || (reads && is_map(n));
        any |= reads && is_sum(n);
    }
    for (int i = 0; i < c->body->outs.n; i++) any &= !is_carry(c->body->outs.at[i].value, carry);
    return any;
}

/* Finds what goes first; false if nothing does. */
static bool find_cut(Cut *c) {
    const Scan *s = &c->scan->u.scan;
    bool        any = false, again;
    if (s->part.bound || scan_runs(c->scratch, c->scan)) return false;
    for (int i = s->ncarry; i < c->body->outs.n; i++) c->needed[c->body->outs.at[i].value->id] = true;
    do {
        again = any = false;
        find_first(c);
        for (int i = 0; i < s->ncarry; i++) {
            Node *n = next_value(c, i);
            if (!c->first[n->id]) continue;
            if (gains(c, i)) any = true;
            else c->needed[n->id] = again = true;
        }
    } while (again);
    return any;
}

/* ---- new carries ------------------------------------------------------------------------------------------- */

/* The argument for the value that `n` had in the step before; NULL: there are too many. */
static Node *of_step_before(Cut *c, Node *n) {
    for (int i = 0; i < c->nnew; i++)
        if (c->value[i] == n) return c->arg[i];
    if (c->nnew == MOST_NEW) return NULL;
    c->value[c->nnew] = n;
    graph_at(c->body, n->name, n->loc);
    return c->arg[c->nnew++] = loop_arg(c->body, n->type);
}

/* What the walk over a part of a map's expression finds. */
typedef struct {
    const Cut  *c;
    const Node *n;
    bool        first, moves;   /* reads what goes first; something of the step */
} Part;

static void look_at_part(const Expr *e, void *cx) {
    Part *p = cx;
    if (e->op != SC_READ) return;
    const Node *arg = p->n->arg[e->operand];
    p->first |= p->c->first[arg->id];
    p->moves |= !p->c->first[arg->id] && !is_captured(p->c, arg);
}

/* e, of map n that goes first, with carries in place of what is computed behind it; NULL: it cannot be. The operands of
 * n are followed by the new ones in `args`. */
static const Expr *carry_parts(Cut *c, Node *n, const Expr *e, int *narg, Node **args) {
    Part p = {.c = c, .n = n};
    expr_walk(e, look_at_part, &p);
    if (!p.moves) return e;
    if (p.first && e->op != SC_READ) {
        Expr *made = arena_copy(c->body->arena, e, sizeof *e);
        for (int i = 0; i < SCALARS[e->op].args; i++)
            if (!(made->arg[i] = carry_parts(c, n, e->arg[i], narg, args))) return NULL;
        return made;
    }
    if (p.first || e->dtype != DT_F32 || *narg == MAX_OPERANDS) return NULL;
    graph_at(c->body, n->name, n->loc);
    const Comp *m = &n->u.comp;
    bool        whole = e->op == SC_READ && n->arg[e->operand]->op == OP_COMP && reads_own_point(n, e);
    Node *value = whole ? n->arg[e->operand] : graph_comp(c->body, KIND_MAP, m->nout, 0, 0, m->var, e, n->narg, n->arg);
    Node       *arg = of_step_before(c, value);
    Sub   sub[MAX_RANK] = {0};
    for (int i = 0; i < n->u.comp.nout; i++) sub[i].aff = affine_var(i);
    if (!arg) return NULL;
    args[*narg] = arg;
    return expr_read(c->body->arena, DT_F32, (*narg)++, n->u.comp.nout, sub, false);
}

/* Node n, which goes first, on its operands of the step before; made: its operands that go first. */
static Node *remake(Cut *c, Node *n, Node *const *made) {
    Node       *args[2 * MAX_OPERANDS];
    int         narg = n->narg;
    const Expr *e = n->u.comp.expr;
    if (narg > MAX_OPERANDS) return NULL;
    for (int k = 0; k < narg; k++) args[k] = n->arg[k];
    if (is_map(n) && !(e = carry_parts(c, n, e, &narg, args))) return NULL;
    for (int k = 0; k < n->narg; k++) {
        Node *arg = args[k];
        bool  carried = is_sum(n) && !c->first[arg->id] && !is_captured(c, arg);
        if (c->first[arg->id]) args[k] = made[arg->id];
        if (carried) args[k] = arg->op == OP_COMP && arg->type.dtype == DT_F32 ? of_step_before(c, arg) : NULL;
        if (!args[k]) return NULL;
    }
    const Comp *m = &n->u.comp;
    graph_at(c->body, n->name, n->loc);
    return graph_comp(c->body, m->kind, m->nout, m->nred, m->nder, m->var, e, narg, args);
}

/* ---- the first step ---------------------------------------------------------------------------------------- */

static bool is_zero(const Cut *c, const Node *n);

/* Is e, of node n, 0 if the new carries are? */
static bool zero_expr(const Cut *c, const Node *n, const Expr *e) {
    const Expr *const *x = e->arg;
    switch (e->op) {
    case SC_CONST: return e->value == 0;
    case SC_READ: return is_zero(c, n->arg[e->operand]);
    case SC_NEG: return zero_expr(c, n, x[0]);
    case SC_ADD: case SC_SUB: return zero_expr(c, n, x[0]) && zero_expr(c, n, x[1]);
    case SC_MUL: return zero_expr(c, n, x[0]) || zero_expr(c, n, x[1]);
    case SC_SEL: return zero_expr(c, n, x[1]) && zero_expr(c, n, x[2]);
    default: return false;
    }
}

static bool is_zero(const Cut *c, const Node *n) {
    for (int i = 0; i < c->nnew; i++)
        if (c->arg[i] == n) return true;
    return (is_map(n) || is_sum(n)) && zero_expr(c, n, n->u.comp.expr);
}

static Node *map_of(Graph *g, const Type *t, const Expr *e, int narg, Node *const *args) {
    static const char *const NAMES[MAX_RANK] = {"i", "j", "k", "l", "m", "o", "p", "q"};
    Var var[MAX_RANK] = {0};
    for (int i = 0; i < t->rank; i++) var[i] = (Var){.name = NAMES[i], .ext = t->dim[i]};
    return graph_comp(g, KIND_MAP, t->rank, 0, 0, var, e, narg, args);
}

static const Expr *own_point(Graph *g, const Node *n, int operand) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) sub[i].aff = affine_var(i);
    return expr_read(g->arena, n->type.dtype, operand, n->type.rank, sub, false);
}

static Node *step_number(Cut *c) {
    for (int i = 0; i < c->body->nodes.n; i++)
        if (is_carry(c->body->nodes.at[i], ARG_STEP)) return c->body->nodes.at[i];
    Node *t = loop_arg(c->body, type_of(DT_I32, 0, NULL));
    t->u.arg.index = ARG_STEP;
    return t;
}

/* Is it the first step? t: the read of its number */
static const Expr *in_first_step(const Cut *c, const Expr *t) {
    const Scan *s = &c->scan->u.scan;
    Arena      *a = c->body->arena;
    if (!s->reverse) return expr_op2(a, SC_EQ, t, expr_int(a, 0));
    if (!s->trip.bound) return expr_op2(a, SC_EQ, t, expr_int(a, s->trip.size - 1));
    const Expr *last = expr_op2(a, SC_ADD, expr_bound(a, s->trip.bound), expr_const(a, -1));
    return expr_op2(a, SC_EQ, expr_cast(a, DT_F32, t), last);
}

/* The value of old carry i in a step; `made`: what the sums give. */
static Node *value_in_step(Cut *c, int i, Node *made) {
    Node *init = c->scan->arg[i];
    if (is_zero(c, made) && is_map(init) && expr_is_const(init->u.comp.expr, 0)) return made;
    Node *args[3] = {step_number(c), scan_operand(c->g, c->scan, init, false), made};
    const Expr *t = own_point(c->body, args[0], 0), *start = own_point(c->body, init, 1),
               *sum = own_point(c->body, made, 2);
    graph_at(c->body, made->name, made->loc);
    return map_of(c->body, &made->type, expr_sel(c->body->arena, in_first_step(c, t), start, sum), 3, args);
}

/* ---- the loop ---------------------------------------------------------------------------------------------- */

/* What goes first, made again; by id of the old nodes. False: it cannot be. */
static bool make_first(Cut *c, Node **made) {
    for (int i = 0; i < c->count; i++)
        if (c->first[i] && !(made[i] = remake(c, c->body->nodes.at[i], made))) return false;
    return true;
}

static void replace_args(Cut *c, int carry, Node *by) {
    for (int i = 0; i < c->count; i++)
        if (is_carry(c->body->nodes.at[i], carry)) graph_replace(c->body, c->body->nodes.at[i], by);
}

static bool is_new(const Cut *c, const Node *n) {
    for (int i = 0; i < c->nnew; i++)
        if (c->arg[i] == n) return true;
    return false;
}

/* Operands and outputs of the scan: carries that stay, new ones, all others. to: the new number of each old carry that
 * stays. */
static void set_carries(Cut *c, int *to) {
    Scan   *s = &c->scan->u.scan;
    int     kept = 0, old = s->ncarry, nout = c->body->outs.n;
    Node  **args = ARENA_ARRAY(c->g->arena, Node *, c->scan->narg + c->nnew);
    Output *outs = ARENA_ARRAY(c->scratch, Output, nout + c->nnew);
    for (int i = 0; i < old; i++) {
        to[i] = c->first[next_value(c, i)->id] ? -1 : kept;
        if (to[i] < 0) continue;
        args[kept] = c->scan->arg[i];
        outs[kept++] = c->body->outs.at[i];
    }
    for (int i = 0; i < c->nnew; i++) {
        args[kept + i] = map_of(c->g, &c->arg[i]->type, expr_const(c->g->arena, 0), 0, NULL);
        outs[kept + i] = (Output){.kind = OUT_VALUE, .value = c->value[i]};
        c->arg[i]->u.arg.index = kept + i;
    }
    int more = kept + c->nnew - old;
    for (int i = old; i < c->scan->narg; i++) args[i + more] = c->scan->arg[i];
    for (int i = old; i < nout; i++) outs[i + more] = c->body->outs.at[i];
    c->scan->arg = args;
    c->scan->narg += more;
    s->ncarry += more;
    c->body->outs.n = 0;
    for (int i = 0; i < nout + more; i++)
        graph_output(c->body, OUT_VALUE, arena_printf(c->scratch, "%d", i), outs[i].value, NULL);
    for (int i = 0; i < c->body->nodes.n; i++) {
        Node *n = c->body->nodes.at[i];
        if (n->op != OP_ARG || n->u.arg.index < 0 || is_new(c, n)) continue;
        n->u.arg.index = n->u.arg.index < old ? to[n->u.arg.index] : n->u.arg.index + more;
    }
}

/* ---- behind the loop --------------------------------------------------------------------------------------- */

/* Node n of the body after the last step: what goes first, on the last values of the new carries. */
static Node *after_last(Cut *c, Node *n) {
    const Scan *s = &c->scan->u.scan;
    const Comp *m = &n->u.comp;
    Node       *args[2 * MAX_OPERANDS];
    if (n->op == OP_CONST) return graph_const(c->g, n->type, n->u.konst.value);
    if (n->op == OP_ARG && n->u.arg.index < s->ncarry) return graph_result(c->g, c->scan, n->u.arg.index);
    if (n->op == OP_ARG) return c->scan->arg[n->u.arg.index];
    for (int k = 0; k < n->narg; k++) args[k] = after_last(c, n->arg[k]);
    graph_at(c->g, n->name, n->loc);
    return graph_comp(c->g, m->kind, m->nout, m->nred, m->nder, m->var, m->expr, n->narg, args);
}

static bool is_read(const Graph *g, const Node *n) {
    bool read = false;
    for (int i = 0; i < g->nodes.n && !read; i++)
        for (int k = 0; k < g->nodes.at[i]->narg; k++) read |= g->nodes.at[i]->arg[k] == n;
    for (int i = 0; i < g->outs.n; i++) read |= g->outs.at[i].value == n;
    return read;
}

/* last: by old carry, what makes its next value. */
static void set_results(Cut *c, int old, const int *to, Node *const *last) {
    int count = c->g->nodes.n, more = c->scan->u.scan.ncarry - old;
    for (int i = 0; i < count; i++) {
        Node *r = c->g->nodes.at[i];
        if (r->op != OP_RESULT || r->arg[0] != c->scan) continue;
        int index = r->u.result.index;
        r->u.result.index = index < old ? to[index] : index + more;
        if (index < old && to[index] < 0 && is_read(c->g, r)) graph_replace(c->g, r, after_last(c, last[index]));
    }
}

/* ---- all loops --------------------------------------------------------------------------------------------- */

static bool rotate(Graph *g, Node *scan, Arena *scratch) {
    Graph *body = scan->u.scan.body;
    int    count = body->nodes.n, ncarry = scan->u.scan.ncarry;
    Node **made = ARENA_ARRAY(scratch, Node *, count), **last = ARENA_ARRAY(scratch, Node *, ncarry);
    int   *to = ARENA_ARRAY(scratch, int, ncarry);
    Cut    c = {.g = g, .body = body, .scan = scan, .scratch = scratch, .count = count,
                .needed = ARENA_ARRAY(scratch, bool, count), .first = ARENA_ARRAY(scratch, bool, count),
                .near = ARENA_ARRAY(scratch, bool, count)};
    if (!find_cut(&c)) return false;
    if (make_first(&c, made)) {
        for (int i = 0; i < ncarry; i++) {
            const Node *next = next_value(&c, i);
            if (!c.first[next->id]) continue;
            last[i] = made[next->id];
            replace_args(&c, i, value_in_step(&c, i, last[i]));
        }
        set_carries(&c, to);
        set_results(&c, ncarry, to, last);
    }
    graph_sort(body);
    graph_sweep(body);
    return true;
}

void rotate_loops(Graph *g) {
    Arena *a = arena_new();
    bool   any = false;
    for (int i = 0, count = g->nodes.n; i < count; i++)
        if (g->nodes.at[i]->op == OP_SCAN) any |= rotate(g, g->nodes.at[i], a);
    arena_free(a);
    if (!any) return;
    graph_sort(g);
    graph_sweep(g);
}
