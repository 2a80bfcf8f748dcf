/* Differentiation of a scan: another scan, from the last step to the first.
 *
 * Its body is the backward walk over the body of the forward one. Carries are the adjoints of the carries.
 * What the walk reads of the forward values is, in this order: an operand of the scan; a carry before its
 * step, which is the stack of the carry shifted by one; a value that is stacked anyway; a map of such values,
 * which is computed again; and else a value that the forward scan stacks for it. With checkpoint 1 everything
 * is computed again but the carries.
 *
 * The gradient of a captured value is a sum over the steps. Where a step's share is a comp, the sum runs
 * after the loop over the stacked operands of that comp: for a recurrent weight one contraction over time
 * and batch. Else it is carried along. */
#include <string.h>

#include "passes/grad_impl.h"
#include "passes/pass.h"

/* Arrays by id are over the nodes of `body`, a copy of the scan's, to which the backward walk is added. */
typedef struct {
    Backward *b;
    Graph    *g, *body;
    Node     *n;
    Scan      s;
    Arena    *scratch;
    int       count;            /* forward nodes in body */
    Node    **arg;              /* of the body, by operand; NULL: not read */
    Node     *step;
    Node    **seed;             /* adjoints of the results, in g; NULL: none */
    Node    **dcarry, **dstack; /* arguments of the backward body; NULL: none */
    bool     *wanted;           /* per operand: it needs a gradient, or its carry does */
    Backward  walk;
    bool     *stash, *again;    /* by id: read from a stack; computed again */
    bool     *fixed, *cheap;    /* by id: the same in every step; to be had without another stack */
    VEC(Bind) inner;            /* results of scans in the body that only the walk has asked for */
    ScanMake      loop;
    Lifted   *known;            /* by id: in g */
} ScanGrad;

void grad_RESULT(Backward *b, Node *n, Node *dy) {
    Node **mark = &b->adjoint[n->arg[0]->id];           /* the scan looks at all of its results itself */
    if (!*mark) *mark = dy;
}

static bool is_real(const Node *n) { return n->type.dtype == DT_F32; }
static Node *output_of(const ScanGrad *x, int i) { return x->body->outs.at[i].value; }

/* ---- what is given ------------------------------------------------------------------------------------- */

/* Every carry gets an argument, also one that only its last value is asked of. */
static void find_arguments(ScanGrad *x) {
    for (int i = 0; i < x->body->nodes.n; i++) {
        Node *n = x->body->nodes.at[i];
        if (n->op != OP_ARG) continue;
        if (n->u.arg.index == ARG_STEP) x->step = n;
        else x->arg[n->u.arg.index] = n;
    }
    for (int j = 0; j < x->s.ncarry; j++)
        if (!x->arg[j]) x->arg[j] = loop_arg(x->body, x->n->arg[j]->type);
    x->count = x->body->nodes.n;
}

static void find_seeds(ScanGrad *x) {
    for (int i = x->n->id + 1; i < x->b->count; i++) {
        Node *r = x->g->nodes.at[i];
        if (r->op != OP_RESULT || r->arg[0] != x->n) continue;
        Node **seed = &x->seed[r->u.result.index], *dy = x->b->adjoint[i];
        if (dy) *seed = *seed ? graph_map2(x->g, SC_ADD, *seed, dy) : dy;
    }
}

/* Operands that need a gradient, and carries that depend on one: until nothing is added. */
static void find_wanted(ScanGrad *x) {
    for (int k = 0; k < x->n->narg; k++)
        x->wanted[k] = x->arg[k] && is_real(x->arg[k]) && x->b->needed[x->n->arg[k]->id];
    for (bool again = true; again;) {
        VEC(Node *) wrt = {0};
        for (int k = 0; k < x->n->narg; k++)
            if (x->wanted[k]) vec_push(x->scratch, &wrt, x->arg[k]);
        x->walk = backward_new(x->body, x->scratch, wrt.n, wrt.at);
        x->walk.stash = x->b->stash;
        again = false;
        for (int j = 0; j < x->s.ncarry; j++) {
            bool depends = x->arg[j] && is_real(x->arg[j]) && x->walk.needed[output_of(x, j)->id];
            again |= depends && !x->wanted[j];
            x->wanted[j] |= depends;
        }
    }
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

/* The shares of two reads of one comp often begin with the same map of the adjoint: it is made once, since
 * what is stacked or summed later is looked at before the passes run. */
static void share_equal(ScanGrad *x) {
    int    n = x->body->nodes.n;
    Node **first = ARENA_ARRAY(x->scratch, Node *, n);
    for (int i = 0; i < n; i++) {
        Node *m = x->body->nodes.at[i];
        first[i] = m;
        for (int k = 0; k < m->narg; k++) m->arg[k] = first[m->arg[k]->id];
        bool twice = false;
        for (int k = 0; k < m->narg; k++)
            for (int j = 0; j < k; j++) twice |= m->arg[j] == m->arg[k];
        if (i < x->count || twice || m->op == OP_SCAN) continue;
        for (int j = x->count; j < i && first[i] == m; j++)
            if (first[j] == x->body->nodes.at[j] && node_same(x->body->nodes.at[j], m)) first[i] = x->body->nodes.at[j];
    }
    for (int i = 0; i < x->count; i++) {
        if (x->walk.adjoint[i]) x->walk.adjoint[i] = first[x->walk.adjoint[i]->id];
        for (int k = 0; k < x->walk.parts[i].n; k++) x->walk.parts[i].at[k] = first[x->walk.parts[i].at[k]->id];
    }
}

static void walk_back(ScanGrad *x) {
    Arena *a = x->scratch;
    x->walk.apart = ARENA_ARRAY(a, bool, x->count);
    x->walk.parts = ARENA_ARRAY(a, NodeList, x->count);
    for (int k = x->s.ncarry + x->s.nover; k < x->n->narg; k++)
        if (x->arg[k]) x->walk.apart[x->arg[k]->id] = true;
    for (int i = 0; i < x->body->outs.n; i++) {
        Node *y = output_of(x, i);
        bool  carry = i < x->s.ncarry;
        if (!is_real(y) || !(carry ? x->wanted[i] : x->seed[i] && x->walk.needed[y->id])) continue;
        graph_at(x->body, "grad.carry", y->loc);
        Node *d = loop_arg(x->body, y->type);
        (carry ? x->dcarry : x->dstack)[i] = d;
        if (x->walk.needed[y->id]) grad_add(&x->walk, y, d);     /* if not, the first value alone has a gradient */
    }
    backward_run(&x->walk, x->count - 1);
    share_equal(x);
}

/* The gradient of a carry before the step; zeros if nothing reads it. */
static Node *next_of(ScanGrad *x, int j) {
    Node *d = x->walk.adjoint[x->arg[j]->id];
    return d ? d : grad_zeros(x->body, &x->arg[j]->type);
}

/* ---- forward values that the walk reads ---------------------------------------------------------------- */

static int stack_of(const ScanGrad *x, const Node *n) {
    for (int i = x->s.ncarry; i < x->body->outs.n; i++)
        if (output_of(x, i) == n) return i;
    return -1;
}

static bool is_next(const ScanGrad *x, const Node *n) {
    for (int j = 0; j < x->s.ncarry; j++)
        if (output_of(x, j) == n) return true;
    return false;
}

/* Nodes come in order, so what is said of operands is known. */
static void look_at(ScanGrad *x, const Node *n) {
    bool map = n->op == OP_COMP && n->u.comp.kind == KIND_MAP, fixed = true, cheap = map;
    if (n->op == OP_ARG) fixed = n->u.arg.index >= x->s.ncarry + x->s.nover && n != x->step;
    for (int k = 0; k < n->narg; k++) {
        fixed &= x->fixed[n->arg[k]->id];
        cheap &= x->cheap[n->arg[k]->id];
    }
    x->fixed[n->id] = fixed;
    x->cheap[n->id] = fixed || cheap || n->op == OP_ARG || is_next(x, n) || stack_of(x, n) >= 0;
}

/* Decides how forward node n comes into the backward body, and what it needs for that. */
static void provide(ScanGrad *x, Node *n) {
    if (n->op == OP_ARG || x->stash[n->id] || x->again[n->id]) return;
    bool all = x->s.checkpoint == 1;
    bool stacked = !all && (is_next(x, n) || stack_of(x, n) >= 0);
    if (!x->fixed[n->id] && (stacked || !(all || x->cheap[n->id]))) {
        x->stash[n->id] = x->cheap[n->id] = true;
        return;
    }
    x->again[n->id] = true;
    for (int k = 0; k < n->narg; k++) provide(x, n->arg[k]);
}

/* A scan in the body whose backward scan has made it stack more: the forward body's one must do so too. */
static void stack_inner(ScanGrad *x, Node *r) {
    Graph *forward = x->n->u.scan.body;
    Node  *scan = forward->nodes.at[r->arg[0]->id];
    scan->u.scan.body = graph_clone(x->g->arena, r->arg[0]->u.scan.body);
    graph_at(forward, r->name, r->loc);
    Node *value = graph_result(forward, scan, r->u.result.index);
    graph_output(forward, OUT_VALUE, arena_printf(x->g->arena, "%d", forward->outs.n), value, NULL);
    graph_at(x->g, r->name, r->loc);
    vec_push(x->scratch, &x->inner, ((Bind){r, graph_result(x->g, x->n, forward->outs.n - 1)}));
}

static void provide_all(ScanGrad *x) {
    Arena *a = x->scratch;
    bool  *read = ARENA_ARRAY(a, bool, x->count), all = x->s.checkpoint == 1;
    for (int j = x->count; j < x->body->nodes.n; j++) {
        Node *n = x->body->nodes.at[j];
        bool  inner = n->op == OP_RESULT && n->arg[0]->id < x->count && !all;
        if (inner) stack_inner(x, n);
        for (int k = 0; !inner && k < n->narg; k++)
            if (n->arg[k]->id < x->count) read[n->arg[k]->id] = true;
    }
    for (int i = 0; i < x->count; i++) {
        look_at(x, x->body->nodes.at[i]);
        if (read[i]) provide(x, x->body->nodes.at[i]);
    }
}

/* The stack of forward node n, in g; the forward scan gets the result if it has none. */
static Node *stacked(ScanGrad *x, const Node *n) {
    Graph *forward = x->n->u.scan.body;
    Node  *original = forward->nodes.at[n->id];
    int    i = x->s.ncarry;
    while (i < forward->outs.n && forward->outs.at[i].value != original) i++;
    if (i == forward->outs.n) graph_output(forward, OUT_VALUE, arena_printf(x->g->arena, "%d", i), original, NULL);
    graph_at(x->g, n->name, n->loc);
    return graph_result(x->g, x->n, i);
}

/* The values of carry j before each step: its stack, one later, behind its first value. */
static Node *values_before(ScanGrad *x, int j) {
    Arena      *a = x->g->arena;
    Node       *init = x->n->arg[j], *args[2] = {init, stacked(x, output_of(x, j))};
    const Type *t = &init->type;
    Extent      trip = x->s.trip;
    Var         var[MAX_RANK] = {{.name = x->s.var, .ext = trip}};
    Sub         sub[MAX_RANK] = {{.aff = affine_var(0)}}, first[MAX_RANK] = {0};
    sub[0].aff.c = x->s.reverse ? 1 : -1;
    for (int i = 0; i < t->rank; i++) {
        var[i + 1] = (Var){.name = "i", .ext = t->dim[i]};
        sub[i + 1].aff = first[i].aff = affine_var(i + 1);
    }
    const Expr *now = expr_idx(a, affine_var(0)), *start = expr_int(a, x->s.reverse ? trip.size - 1 : 0);
    int bound = trip.bound ? trip.bound : x->s.part.bound;
    if (x->s.reverse && bound) {
        now = expr_cast(a, DT_F32, now);
        start = expr_op2(a, SC_SUB, expr_bound(a, bound), expr_const(a, 1));
        if (!trip.bound)
            start = expr_op1(a, SC_FLOOR, expr_op2(a, SC_DIV, start, expr_const(a, (double)x->s.part.size)));
    }
    const Expr *before = expr_read(a, t->dtype, 1, t->rank + 1, sub, true);
    const Expr *e =
        expr_sel(a, expr_op2(a, SC_EQ, now, start), expr_read(a, t->dtype, 0, t->rank, first, false), before);
    return graph_comp(x->g, KIND_MAP, t->rank + 1, 0, 0, var, e, 2, args);
}

static void add_over(ScanGrad *x, Node *inner, Node *outer) {
    vec_push(x->scratch, &x->loop.over, ((Bind){inner, outer}));
    x->known[inner->id] = (Lifted){outer, true};
}

static bool is_read(const ScanGrad *x, const Node *n) {
    for (int i = 0; i < x->body->nodes.n; i++) {
        const Node *u = x->body->nodes.at[i];
        for (int k = 0; (i >= x->count || x->again[i]) && k < u->narg; k++)
            if (u->arg[k] == n) return true;
    }
    return false;
}

/* Binds what the backward body reads: adjoints, operands, carries before their step, stacks. */
static void bind_all(ScanGrad *x) {
    int over = x->s.ncarry, use = over + x->s.nover;
    for (int i = over; i < x->body->outs.n; i++)
        if (x->dstack[i]) add_over(x, x->dstack[i], x->seed[i]);
    for (int k = 0; k < x->n->narg; k++) {
        if (!x->arg[k] || !is_read(x, x->arg[k])) continue;
        if (k < over) add_over(x, x->arg[k], values_before(x, k));
        else if (k < use) add_over(x, x->arg[k], x->n->arg[k]);
        else {
            vec_push(x->scratch, &x->loop.use, ((Bind){x->arg[k], x->n->arg[k]}));
            x->known[x->arg[k]->id] = (Lifted){x->n->arg[k], false};
        }
    }
    for (int i = 0; i < x->count; i++)
        if (x->stash[i]) add_over(x, x->body->nodes.at[i], stacked(x, x->body->nodes.at[i]));
    for (int i = 0; i < x->inner.n; i++) add_over(x, x->inner.at[i].inner, x->inner.at[i].outer);
}

/* ---- what was decided, for --print-stash --------------------------------------------------------------- */

static void note(ScanGrad *x, const Node *n, const Type *t, int64_t steps, StashHow how, const char *why) {
    Stash s = {.scan = x->n, .name = n->name, .loc = n->loc, .type = *t, .how = how, .why = why,
               .bytes = steps * type_count(t) * dtype_size(t->dtype)};
    vec_push(x->g->arena, x->b->stash, s);
}

static void note_operand(ScanGrad *x, int k) {
    int64_t trip = x->s.trip.size;
    Node   *a = x->arg[k];
    if (!a || !is_read(x, a)) return;
    if (k < x->s.ncarry) note(x, a, &a->type, trip, STASH_KEPT, "the value of the step before");
    else if (k < x->s.ncarry + x->s.nover)
        note(x, a, &a->type, trip, STASH_GIVEN, "a sequence that the scan runs over");
    else if (a->type.rank) note(x, a, &a->type, 1, STASH_CAPTURED, "the same in every step");
}

static void note_all(ScanGrad *x) {
    bool all = x->s.checkpoint == 1;
    for (int k = 0; k < x->n->narg; k++) note_operand(x, k);
    for (int i = 0; i < x->count; i++) {
        Node *n = x->body->nodes.at[i];
        if (x->stash[i])
            note(x, n, &n->type, x->s.trip.size, STASH_KEPT,
                 is_next(x, n)         ? "a carry"
                 : stack_of(x, n) >= 0 ? "an output of the scan"
                                       : "dearer to compute again than to keep");
        else if (x->again[i] && !all && n->narg)
            note(x, n, &n->type, 1, STASH_AGAIN,
                 x->fixed[i] ? "the same in every step" : "element by element from what is there");
    }
    for (int i = 0; i < x->inner.n; i++)
        note(x, x->inner.at[i].inner, &x->inner.at[i].inner->type, x->s.trip.size, STASH_KEPT, "of the scan inside");
    if (all) note(x, x->n, &(Type){.dtype = DT_F32}, 0, STASH_AGAIN, "a segment runs again when its turn comes");
}

/* ---- gradients of captured values ---------------------------------------------------------------------- */

/* A scan that computes its segments again keeps no values of all steps for a sum behind it. */
static bool sums_later(const ScanGrad *x, const Node *part) {
    if (x->s.checkpoint == 1) return false;
    if (part->op == OP_SCATTER) return part->type.rank < MAX_RANK && part->arg[0]->type.rank < MAX_RANK;
    if (part->op != OP_COMP) return false;
    const Comp *c = &part->u.comp;
    for (int k = 0; k < part->narg; k++)
        if (part->arg[k]->type.rank == MAX_RANK) return false;
    return (c->kind == KIND_MAP || c->kind == KIND_SUM) && c->nout + c->nred + c->nder < MAX_VARS;
}

/* Operands of a part that are not known outside are stacked by the backward scan. */
static void stack_operands(ScanGrad *x, const Node *part) {
    for (int k = 0; k < part->narg; k++) {
        Node *a = part->arg[k];
        if (x->known[a->id].node || a == x->step) continue;
        bool there = false;
        for (int i = 0; i < x->loop.stack.n; i++) there |= x->loop.stack.at[i] == a;
        if (!there) vec_push(x->scratch, &x->loop.stack, a);
    }
}

/* Shares that are no comps are added up in a carry. */
static void carry_sum(ScanGrad *x, Node *part) {
    graph_at(x->body, part->name, part->loc);
    Node *sum = loop_arg(x->body, part->type);
    vec_push(x->scratch, &x->loop.carry, ((Bind){sum, grad_zeros(x->g, &part->type)}));
    vec_push(x->scratch, &x->loop.next, graph_map2(x->body, SC_ADD, sum, part));
}

/* What a node of the body is in all steps at once; the step's number is not among what is known. */
static Node *in_all_steps(ScanGrad *x, const Node *n) {
    const Lifted *l = &x->known[n->id];
    Var           t = {.name = x->s.var, .ext = x->s.trip};
    if (n == x->step) return graph_comp(x->g, KIND_MAP, 1, 0, 0, &t, expr_idx(x->g->arena, affine_var(0)), 0, NULL);
    return l->steps ? l->node : lift_repeat(x->g, x->s.trip, x->s.var, l->node);
}

static Node *sum_later(ScanGrad *x, const Node *part) {
    graph_at(x->g, part->name, part->loc);
    if (part->op == OP_SCATTER)
        return graph_scatter(x->g, in_all_steps(x, part->arg[0]), in_all_steps(x, part->arg[1]),
                             part->type.dim[0].size);
    Node *sum = lift_sum(x->g, x->s.trip, x->s.var, part, x->known);
    if (!sum) ICE("the sum of a gradient over the steps of a scan");
    return sum;
}

/* ---- the scan ------------------------------------------------------------------------------------------ */

static const NodeList *parts_of(const ScanGrad *x, int k) {
    static const NodeList NONE;
    return x->arg[k] && x->wanted[k] ? &x->walk.parts[x->arg[k]->id] : &NONE;
}

/* A share that is a sum of what the backward body computes anyway, as a gate's bias has one: its operand is then a
 * stack that another share wants, too. */
static void share_maps(ScanGrad *x, NodeList *parts) {
    for (int i = 0; i < parts->n; i++) {
        Node *part = parts->at[i];
        if (part->op != OP_COMP || part->u.comp.kind != KIND_SUM || part->u.comp.nder) continue;
        for (int m = x->count; m < part->id; m++) {
            Node *map = x->body->nodes.at[m], *sum = NULL;
            if (map->op == OP_COMP && map->u.comp.kind == KIND_MAP) sum = sum_of_map(x->body, map, part);
            if (sum) parts->at[i] = sum;
            if (sum) break;
        }
    }
}

static void plan_loop(ScanGrad *x) {
    ScanMake *l = &x->loop;
    int   over = x->s.ncarry, use = over + x->s.nover;
    *l = (ScanMake){.trip = x->s.trip, .part = x->s.part, .reverse = !x->s.reverse, .var = x->s.var, .step = x->step};
    for (int j = 0; j < over; j++) {
        if (!x->dcarry[j]) continue;
        Node *last = x->seed[j] ? x->seed[j] : grad_zeros(x->g, &x->dcarry[j]->type);
        vec_push(x->scratch, &l->carry, ((Bind){x->dcarry[j], last}));
        vec_push(x->scratch, &l->next, next_of(x, j));
    }
    for (int k = use; k < x->n->narg; k++)
        for (int i = 0; i < parts_of(x, k)->n; i++)
            if (!sums_later(x, parts_of(x, k)->at[i])) carry_sum(x, parts_of(x, k)->at[i]);
    for (int k = use; k < x->n->narg; k++)
        if (x->arg[k] && x->wanted[k]) share_maps(x, &x->walk.parts[x->arg[k]->id]);
    provide_all(x);
    if (x->b->stash) note_all(x);
    x->known = ARENA_ARRAY(x->scratch, Lifted, x->body->nodes.n);
    bind_all(x);
    for (int k = over; k < use; k++)
        if (x->arg[k] && x->wanted[k] && x->walk.adjoint[x->arg[k]->id])
            vec_push(x->scratch, &l->stack, x->walk.adjoint[x->arg[k]->id]);
    for (int k = use; k < x->n->narg; k++)
        for (int i = 0; i < parts_of(x, k)->n; i++)
            if (sums_later(x, parts_of(x, k)->at[i])) stack_operands(x, parts_of(x, k)->at[i]);
}

/* Of segments that are computed again nothing leaves the loop: for all of them at once it would be stored. */
static Node **results_of(ScanGrad *x) {
    graph_at(x->g, "grad.scan", x->n->loc);
    Node  *scan = loop_close(x->g, x->body, &x->loop);
    int    n = scan_results(scan);
    Node **result = ARENA_ARRAY(x->scratch, Node *, n);
    if (x->s.checkpoint != 1 && scan_fission(x->g, scan, result)) return result;
    for (int i = 0; i < n; i++) result[i] = graph_result(x->g, scan, i);
    return result;
}

/* Hands on what the backward scan gives. */
static void hand_on(ScanGrad *x, Node **result) {
    int over = x->s.ncarry, use = over + x->s.nover, carry = 0, stack = x->loop.carry.n;
    for (int i = 0; i < x->loop.stack.n; i++) {
        Lifted *l = &x->known[x->loop.stack.at[i]->id];
        if (!l->node) *l = (Lifted){result[stack + i], true};
    }
    for (int j = 0; j < over; j++) {
        if (!x->dcarry[j]) continue;
        Node *d = result[carry++];
        if (x->b->needed[x->n->arg[j]->id]) grad_add(x->b, x->n->arg[j], d);
    }
    for (int k = over; k < use; k++)
        if (x->arg[k] && x->wanted[k] && x->walk.adjoint[x->arg[k]->id]) grad_add(x->b, x->n->arg[k], result[stack++]);
    for (int k = use; k < x->n->narg; k++)
        for (int i = 0; i < parts_of(x, k)->n; i++) {
            Node *part = parts_of(x, k)->at[i];
            grad_add(x->b, x->n->arg[k], sums_later(x, part) ? sum_later(x, part) : result[carry++]);
        }
}

void grad_SCAN(Backward *b, Node *n, Node *dy) {
    (void)dy;
    Arena   *a = arena_new();
    ScanGrad x = {.b = b, .g = b->g, .n = n, .s = n->u.scan, .scratch = a};
    int      results = scan_results(n);
    x.body = graph_clone(b->g->arena, n->u.scan.body);
    x.arg = ARENA_ARRAY(a, Node *, n->narg);
    x.wanted = ARENA_ARRAY(a, bool, n->narg);
    x.seed = ARENA_ARRAY(a, Node *, results);
    x.dcarry = ARENA_ARRAY(a, Node *, results);
    x.dstack = ARENA_ARRAY(a, Node *, results);
    find_arguments(&x);
    x.stash = ARENA_ARRAY(a, bool, x.count);
    x.again = ARENA_ARRAY(a, bool, x.count);
    x.fixed = ARENA_ARRAY(a, bool, x.count);
    x.cheap = ARENA_ARRAY(a, bool, x.count);
    find_seeds(&x);
    find_wanted(&x);
    walk_back(&x);
    plan_loop(&x);
    hand_on(&x, results_of(&x));
    arena_free(a);
}
