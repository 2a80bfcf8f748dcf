/* Checkpoints: a scan of T steps with `checkpoint k` becomes a scan over T/k segments (rounded up), of which
 * each is a scan of k steps. Differentiated, the outer one keeps only its carries and computes a segment
 * again when its turn comes: T/k + k stacked steps instead of T. Steps past the longest length of the batch hold the
 * carries, and segments past it are not run at all (Scan.part). What is computed for all steps before the scan and read
 * by it alone (fission put it there) goes back into the segments: W*x[t] for k steps at a time. */
#include "passes/algebra.h"
#include "passes/grad_impl.h"

typedef struct {
    Graph *g;
    Node  *n;
    Scan   s;
    Extent segments, steps;
    bool   ragged;              /* the last segment may go past the end */
    Graph *body;                /* of the inner scan, being changed */
    ScanMake   inner, outer;
} Segment;

/* [segments, steps, ...] of a sequence. */
static Node *cut(const Segment *x, Node *sequence) {
    Arena      *a = x->g->arena;
    const Type *t = &sequence->type;
    Var         var[MAX_RANK + 1] = {{.name = "a", .ext = x->segments}, {.name = x->s.var, .ext = x->steps}};
    Sub         sub[MAX_RANK] = {0};
    sub[0].aff = affine_add(affine_var(1), affine_var(0), x->steps.size);
    for (int i = 1; i < t->rank; i++) {
        var[i + 1] = (Var){.name = "i", .ext = t->dim[i]};
        sub[i].aff = affine_var(i + 1);
    }
    const Expr *e = expr_read(a, t->dtype, 0, t->rank, sub, x->ragged);
    return graph_comp(x->g, KIND_MAP, t->rank + 1, 0, 0, var, e, 1, &sequence);
}

/* The stack [trip, ...] from one of segments. */
static Node *join(const Segment *x, Node *stack) {
    Arena      *a = x->g->arena;
    const Type *t = &stack->type;
    Extent      dim[MAX_RANK] = {{x->segments.size * x->steps.size, 0}};
    Var         var[MAX_RANK] = {{.name = x->s.var, .ext = x->s.trip}};
    Sub         sub[MAX_RANK] = {{.aff = affine_var(0)}};
    for (int i = 1; i + 1 < t->rank; i++) {
        dim[i] = t->dim[i + 1];
        var[i] = (Var){.name = "i", .ext = dim[i]};
        sub[i].aff = affine_var(i);
    }
    Node *flat = graph_reshape(x->g, stack, t->rank - 1, dim);
    if (!x->ragged) return flat;
    return graph_comp(x->g, KIND_MAP, t->rank - 1, 0, 0, var, expr_read(a, t->dtype, 0, t->rank - 1, sub, false), 1,
                      &flat);
}

static Node *argument(const Graph *body, int index) {
    for (int i = 0; i < body->nodes.n; i++)
        if (body->nodes.at[i]->op == OP_ARG && body->nodes.at[i]->u.arg.index == index) return body->nodes.at[i];
    return NULL;
}

static const Expr *number(Arena *a, int operand) { return expr_read(a, DT_I32, operand, 0, NULL, false); }

/* What is read by the number of the step stays inside of its axis in the steps past the last, which hold the
 * carries. */
static Node *last_at_most(Segment *x, Node *whole) {
    Arena *a = x->g->arena;
    const Expr *now = number(a, 0), *last = expr_int(a, x->s.trip.size - 1);
    const Expr *e = expr_sel(a, expr_op2(a, SC_LT, now, last), now, last);
    return graph_comp(x->body, KIND_MAP, 0, 0, 0, NULL, e, 1, &whole);
}

/* The number of the step in the whole: segment * steps + step. */
static Node *whole_step(Segment *x, Node *segment) {
    Arena *a = x->g->arena;
    Type   t = type_of(DT_I32, 0, NULL);
    Node  *old = argument(x->body, ARG_STEP), *first = loop_arg(x->body, t), *step = loop_arg(x->body, t);
    const Expr *start = expr_op2(a, SC_MUL, number(a, 0), expr_int(a, x->steps.size));
    Node *begin = graph_comp(x->g, KIND_MAP, 0, 0, 0, NULL, start, 1, &segment);
    Node *args[2] = {first, step};
    Node *whole =
        graph_comp(x->body, KIND_MAP, 0, 0, 0, NULL, expr_op2(a, SC_ADD, number(a, 0), number(a, 1)), 2, args);
    if (old) graph_replace(x->body, old, x->ragged ? last_at_most(x, whole) : whole);
    vec_push(a, &x->inner.use, ((Bind){first, begin}));
    x->inner.step = step;
    return whole;
}

/* sel(step < trip, next, carry) */
static Node *hold(Segment *x, Node *whole, Node *next, Node *carry) {
    Arena *a = x->g->arena;
    Var    var[MAX_RANK] = {0};
    Sub    sub[MAX_RANK] = {0};
    int    rank = next->type.rank;
    for (int i = 0; i < rank; i++) {
        var[i] = (Var){.name = "i", .ext = next->type.dim[i]};
        sub[i].aff = affine_var(i);
    }
    const Expr *at = number(a, 0), *end = expr_int(a, x->s.trip.size);
    if (x->s.trip.bound) {
        at = expr_cast(a, DT_F32, at);
        end = expr_bound(a, x->s.trip.bound);
    }
    const Expr *e = expr_sel(a, expr_op2(a, SC_LT, at, end), expr_read(a, next->type.dtype, 1, rank, sub, false),
                             expr_read(a, next->type.dtype, 2, rank, sub, false));
    Node *args[3] = {whole, next, carry};
    return graph_comp(x->body, KIND_MAP, rank, 0, 0, var, e, 3, args);
}

/* Binds an argument to the slices of a sequence, one for each segment. */
static void over_slices(Segment *x, Node *arg, Node *sequence) {
    Arena *a = x->g->arena;
    Node  *slices = cut(x, sequence), *slice = loop_arg(x->g, loop_slice(&slices->type));
    vec_push(a, &x->outer.over, ((Bind){slice, slices}));
    vec_push(a, &x->inner.over, ((Bind){arg, slice}));
}

/* ---- work before the scan ------------------------------------------------------------------------------ */

typedef struct {
    bool ok;
    bool steps[MAX_OPERANDS], whole[MAX_OPERANDS];     /* operand k is read at the step; is read without it */
} Sinks;

static void look_at_read(const Expr *e, void *p) {
    Sinks *s = p;
    if (e->op == SC_IDX) s->ok &= !affine_coef(&e->aff, 0);
    if (e->op != SC_READ) return;
    int  var;
    bool step = e->nsub && !e->sub[0].ind && affine_is_var(&e->sub[0].aff, &var) && !var;
    for (int k = step; k < e->nsub; k++) s->ok &= !affine_coef(&e->sub[k].aff, 0);
    if (e->operand < MAX_OPERANDS) *(step ? &s->steps[e->operand] : &s->whole[e->operand]) = true;
}

static bool is_read_once(const Graph *g, const Node *n) {
    int users = 0;
    for (int i = 0; i < g->nodes.n; i++)
        for (int k = 0; k < g->nodes.at[i]->narg; k++) users += g->nodes.at[i]->arg[k] == n;
    for (int i = 0; i < g->outs.n; i++) users += g->outs.at[i].value == n;
    return users == 1;
}

/* A sequence that only this scan reads, each step of it made of a step of others: W*x[t]. */
static bool can_sink(const Segment *x, const Node *n, Sinks *s) {
    *s = (Sinks){.ok = n->op == OP_COMP && n->narg <= MAX_OPERANDS && n->u.comp.nout && !n->u.comp.nder};
    if (!s->ok || !is_read_once(x->g, n)) return false;
    expr_walk(n->u.comp.expr, look_at_read, s);
    for (int k = 0; k < n->narg; k++) {
        const Extent *e = &n->arg[k]->type.dim[0];
        s->ok &= !(s->steps[k] && s->whole[k]);
        if (s->steps[k]) s->ok &= e->size == x->s.trip.size && e->bound == x->s.trip.bound;
    }
    return s->ok && n->narg;
}

static const Expr *without_step(Arena *a, const Expr *e, const Sinks *s, const Affine *by) {
    const Expr *arg[3] = {NULL, NULL, NULL};
    if (e->op == SC_READ) {
        int skip = s->steps[e->operand];
        Sub sub[MAX_RANK] = {0};
        for (int k = skip; k < e->nsub; k++) {
            sub[k - skip].aff = affine_subst(&e->sub[k].aff, by, MAX_VARS);
            if (e->sub[k].ind) sub[k - skip].ind = without_step(a, e->sub[k].ind, s, by);
        }
        return expr_read(a, e->dtype, e->operand, e->nsub - skip, sub, e->guarded);
    }
    if (e->op == SC_IDX) return expr_idx(a, affine_subst(&e->aff, by, MAX_VARS));
    if (!SCALARS[e->op].args) return e;
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = without_step(a, e->arg[i], s, by);
    if (e->op == SC_CAST) return expr_cast(a, e->dtype, arg[0]);
    return arg[2]   ? expr_sel(a, arg[0], arg[1], arg[2])
           : arg[1] ? expr_op2(a, e->op, arg[0], arg[1])
                    : expr_op1(a, e->op, arg[0]);
}

/* One step of it, computed in the body: a segment makes its own part and no sequence of all steps is stored. */
static Node *sink(Segment *x, const Node *n, const Sinks *s) {
    Arena      *a = x->g->arena;
    const Comp *c = &n->u.comp;
    Node       *arg[MAX_OPERANDS];
    Affine      by[MAX_VARS];
    for (int v = 0; v < MAX_VARS; v++) by[v] = v ? affine_var(v - 1) : affine_const(0);
    for (int k = 0; k < n->narg; k++) {
        const Type *t = &n->arg[k]->type;
        arg[k] = loop_arg(x->body, s->steps[k] ? loop_slice(t) : *t);
        if (s->steps[k]) over_slices(x, arg[k], n->arg[k]);
        else vec_push(a, &x->inner.use, ((Bind){arg[k], n->arg[k]}));
    }
    graph_at(x->body, n->name, n->loc);
    Node *m = graph_comp(x->body, c->kind, c->nout - 1, c->nred, 0, c->var + 1, without_step(a, c->expr, s, by),
                         n->narg, arg);
    graph_at(x->body, NULL, (Loc){0});
    return m;
}

/* ---- the two scans ------------------------------------------------------------------------------------- */

static void plan_inner(Segment *x, Node *segment) {
    Arena *a = x->g->arena;
    int    over = x->s.ncarry, use = over + x->s.nover;
    Node **had = ARENA_ARRAY(a, Node *, x->n->narg + 1); /* arguments made from here on have numbers of their own */
    for (int k = 0; k < x->n->narg; k++) had[k] = argument(x->body, k);
    Node  *whole = x->ragged || argument(x->body, ARG_STEP) ? whole_step(x, segment) : NULL;
    for (int k = 0; k < x->n->narg; k++) {
        Node *arg = had[k], *operand = x->n->arg[k];
        if (k < over) {
            Node *next = x->body->outs.at[k].value;
            if (!arg) arg = loop_arg(x->body, operand->type);
            vec_push(a, &x->inner.carry, ((Bind){arg, x->outer.carry.at[k].inner}));
            vec_push(a, &x->inner.next, x->ragged ? hold(x, whole, next, arg) : next);
        } else if (k < use && arg) {
            Sinks s;
            if (can_sink(x, operand, &s)) graph_replace(x->body, arg, sink(x, operand, &s));
            else over_slices(x, arg, operand);
        } else if (arg) {
            vec_push(a, &x->inner.use, ((Bind){arg, operand}));
        }
    }
    for (int i = over; i < x->body->outs.n; i++) vec_push(a, &x->inner.stack, x->body->outs.at[i].value);
    graph_sort(x->body);
}

/* Takes nodes from number `from` on that depend on an argument made there out of the graph. */
static void discard(Graph *g, int from) {
    Arena *scratch = arena_new();
    bool  *gone = ARENA_ARRAY(scratch, bool, g->nodes.n);
    int    kept = from;
    for (int i = from; i < g->nodes.n; i++) {
        const Node *n = g->nodes.at[i];
        gone[i] = n->op == OP_ARG;
        for (int k = 0; k < n->narg; k++) gone[i] |= gone[n->arg[k]->id];
    }
    for (int i = from; i < g->nodes.n; i++)
        if (!gone[i]) g->nodes.at[kept++] = g->nodes.at[i];
    g->nodes.n = kept;
    arena_free(scratch);
    graph_sort(g);
}

static void segment(Graph *g, Node *n) {
    Segment x = {.g = g, .n = n, .s = n->u.scan, .body = graph_clone(g->arena, n->u.scan.body)};
    int64_t k = x.s.checkpoint, total = x.s.trip.size;
    int     from = g->nodes.n;
    x.steps = (Extent){.size = k};
    x.segments = (Extent){.size = (total + k - 1) / k};
    x.ragged = x.s.trip.bound || total % k;
    x.inner = (ScanMake){.trip = x.steps, .reverse = x.s.reverse, .var = x.s.var};
    x.outer = (ScanMake){
        .trip = x.segments, .part = {k, x.s.trip.bound}, .reverse = x.s.reverse, .var = "a", .checkpoint = 1};
    graph_at(g, n->name, n->loc);
    Node *number = loop_arg(g, type_of(DT_I32, 0, NULL));
    for (int j = 0; j < x.s.ncarry; j++) {
        Node *arg = loop_arg(g, n->arg[j]->type);
        vec_push(g->arena, &x.outer.carry, ((Bind){arg, n->arg[j]}));
    }
    x.outer.step = number;
    plan_inner(&x, number);
    Node  *inner = loop_close(g, x.body, &x.inner);
    Node **made = ARENA_ARRAY(g->arena, Node *, scan_results(inner));
    bool   moved = scan_fission(g, inner, made);
    for (int i = 0; i < scan_results(inner); i++) {
        Node *r = moved ? made[i] : graph_result(g, inner, i);
        if (i < x.s.ncarry) vec_push(g->arena, &x.outer.next, r);
        else vec_push(g->arena, &x.outer.stack, r);
    }
    Node *outer = loop_close(g, g, &x.outer);
    Node **result = ARENA_ARRAY(g->arena, Node *, scan_results(n));
    for (int i = 0; i < scan_results(n); i++) {
        result[i] = graph_result(g, outer, i);
        if (i >= x.s.ncarry) result[i] = join(&x, result[i]);
    }
    for (int i = 0; i < from; i++)
        if (g->nodes.at[i]->op == OP_RESULT && g->nodes.at[i]->arg[0] == n)
            graph_replace(g, g->nodes.at[i], result[g->nodes.at[i]->u.result.index]);
    discard(g, from);
}

void segment_scans(Graph *g) {
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < g->nodes.n && !again; i++) {
            Node *n = g->nodes.at[i];
            if (n->op != OP_SCAN) continue;
            segment_scans(n->u.scan.body);
            again = n->u.scan.checkpoint > 1 && n->u.scan.checkpoint < n->u.scan.trip.size;
            if (again) segment(g, n);
            if (again) n->u.scan.checkpoint = 0;           /* nothing reads it any more */
        }
    }
}
