/* Beam search. The scan's body is one step of one sequence for every row; it becomes a step of `beams` sequences, as
 * a new first axis of the carries and of all that depends on them (lift_node).
 *
 * What the argmax needs is computed for each beam. Of all beams and symbols, the best sums of log_softmax win: each
 * winner has a parent, the beam that it continues, and a symbol. What the step has computed so far is then looked up
 * at the parents, the argmax is the symbol, and the rest of the body is computed for the winners. A beam that has
 * ended is a candidate with the sum it has. Equal sums: the beam and then the symbol that comes first.
 *
 * The winners of a step stand in the order of their sums, so that beam 0 is the result. What was stacked is followed
 * back from it, from parent to parent, by a scan in the other direction. */
#include <math.h>

#include "passes/beam.h"

typedef struct {
    Graph   *g, *body;             /* body: a copy of the scan's, to which the logits are added */
    Node    *n;
    Scan     s;
    Arena   *scratch;
    int      count, beams;
    Node    *best, *logits, *runs; /* in body: the argmax; what it compares, as a map; the carry that says it runs */
    int64_t  symbols;
    bool    *later;                /* by id: depends on the argmax */
    Lifted  *known, *chosen;       /* by id: for the beams as they were; for the winners */
    Node    *parent, *score;       /* of the winners, [beams, rows] */
    ScanMake loop;
} Beam;

/* ---- small nodes ------------------------------------------------------------------------------- */

static Extent beam_axis(const Beam *x) { return (Extent){.size = x->beams}; }

/* x[i0, i1, ...] of operand k over the variables `first`.. */
static const Expr *read_at(Beam *x, int operand, const Node *n, const Sub *head, int nhead, int first) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) {
        if (i < nhead) sub[i] = head[i];
        else sub[i].aff = affine_var(first + i - nhead);
    }
    return expr_read(x->g->arena, n->type.dtype, operand, n->type.rank, sub, false);
}

static const Expr *plain_read(Beam *x, int operand, const Node *n) { return read_at(x, operand, n, NULL, 0, 0); }

static int type_vars(const Type *t, Var *var) {
    for (int i = 0; i < t->rank && i < MAX_RANK; i++) var[i] = (Var){.name = "i", .ext = t->dim[i]};
    return t->rank;
}

/* Which axis is the rows. */
static int rows_axis(const Type *t) {
    int k = 0;
    while (k < t->rank && t->dim[k].bound != 1) k++;
    return k < t->rank ? k : -1;
}

/* n[first, row]: a table of the rows, by two variables. */
static const Expr *at_row(Beam *x, int operand, const Node *n, int first, int row) {
    Sub sub[2] = {{.aff = affine_var(first)}, {.aff = affine_var(row)}};
    return expr_read(x->g->arena, n->type.dtype, operand, 2, sub, false);
}

/* Of beam j what its parent has: value[parent[j,b], ..., b, ...]. */
static Node *at_parent(Beam *x, Node *n, Node *parent) {
    Var   var[MAX_RANK];
    int   rank = type_vars(&n->type, var);
    Node *args[2] = {n, parent};
    Sub   head = {.ind = at_row(x, 1, parent, 0, rows_axis(&n->type))};
    return graph_comp(x->g, KIND_MAP, rank, 0, 0, var, read_at(x, 0, n, &head, 1, 1), 2, args);
}

/* Of beam 0. */
static Node *first_beam(Beam *x, Node *n) {
    Var  var[MAX_RANK];
    Type t = loop_slice(&n->type);
    Sub  head = {.aff = affine_const(0)};
    type_vars(&t, var);
    return graph_comp(x->g, KIND_MAP, t.rank, 0, 0, var, read_at(x, 0, n, &head, 1, 0), 1, &n);
}

/* ---- what is searched -------------------------------------------------------------------------- */

static bool is_carry(const Scan *s, const Node *n) {
    return n->op == OP_ARG && n->u.arg.index >= 0 && n->u.arg.index < s->ncarry;
}

/* The next value of a carry is sel(runs, argmax, carry): a carried argmax of an example that may have ended. */
static Node *fed_back(const Scan *s, const Node *next, Node **runs) {
    if (next->op != OP_COMP || next->u.comp.kind != KIND_MAP || next->type.rank != 1 || next->type.dtype != DT_I32)
        return NULL;
    const Expr *e = next->u.comp.expr;
    if (e->op != SC_SEL || e->arg[0]->op != SC_READ || e->arg[1]->op != SC_READ || e->arg[2]->op != SC_READ)
        return NULL;
    Node *flag = next->arg[e->arg[0]->operand], *best = next->arg[e->arg[1]->operand];
    bool  ends = is_carry(s, flag) && flag->type.dtype == DT_PRED && is_carry(s, next->arg[e->arg[2]->operand]);
    if (!ends || best->op != OP_COMP || best->u.comp.kind != KIND_ARGMAX) return NULL;
    *runs = flag;
    return best;
}

static bool find_best(Beam *x, const char **why) {
    for (int k = 0; k < x->s.ncarry; k++) {
        Node *runs, *best = fed_back(&x->s, x->body->outs.at[k].value, &runs);
        if (!best || best == x->best) continue;
        if (x->best) return *why = "two argmax are fed back; beam search continues one sequence of symbols", false;
        x->best = best;
        x->runs = runs;
    }
    if (!x->best) return *why = "no argmax is fed back in a scan with 'until'", false;
    const Comp *c = &x->best->u.comp;
    bool plain = c->nout == 1 && c->nred == 1 && !c->nder && c->expr->dtype == DT_F32;
    if (!plain || c->var[1].ext.bound)
        return *why = "the argmax that is fed back is not one over a vector of numbers", false;
    x->symbols = c->var[1].ext.size;
    if (x->symbols * x->beams >= 1 << 22) return *why = "beams times symbols are 2^22 or more", false;
    x->logits = graph_comp(x->body, KIND_MAP, 2, 0, 0, c->var, c->expr, x->best->narg, x->best->arg);
    return true;
}

/* The argmax of numbers with noise is a draw. */
static bool is_drawn(const Beam *x) {
    bool *outside = ARENA_ARRAY(x->scratch, bool, x->g->nodes.n), *inside = ARENA_ARRAY(x->scratch, bool, x->count);
    for (int i = 0; i <= x->n->id; i++) {
        const Node *n = x->g->nodes.at[i];
        outside[i] = n->op == OP_RNG;
        for (int k = 0; k < n->narg; k++) outside[i] |= outside[n->arg[k]->id];
    }
    for (int i = 0; i < x->count; i++) {
        const Node *n = x->body->nodes.at[i];
        int         k = n->op == OP_ARG ? n->u.arg.index : ARG_STEP;
        inside[i] = n->op == OP_RNG || (k >= x->s.ncarry && outside[x->n->arg[k]->id]);
        for (int j = 0; j < n->narg; j++) inside[i] |= inside[n->arg[j]->id];
    }
    return inside[x->best->id];
}

/* Is there room for the new axis in all that is computed, scans inside included? */
static bool has_room(const Graph *body) {
    for (int i = 0; i < body->nodes.n; i++) {
        const Node *n = body->nodes.at[i];
        const Comp *c = &n->u.comp;
        if (n->type.rank >= MAX_RANK || (n->op == OP_COMP && c->nout + c->nred + c->nder >= MAX_VARS)) return false;
        if (n->op == OP_SCAN && !has_room(n->u.scan.body)) return false;
    }
    return true;
}

/* Draws stay with one sequence. */
static bool can_search(Beam *x, const char **why) {
    bool *many = ARENA_ARRAY(x->scratch, bool, x->count);
    if (is_drawn(x)) return *why = "a step draws random numbers", false;
    if (!has_room(x->body)) return *why = "a step computes something with too many axes", false;
    for (int i = 0; i < x->count; i++) {
        const Node *n = x->body->nodes.at[i];
        many[i] = is_carry(&x->s, n);
        for (int k = 0; k < n->narg; k++) {
            many[i] |= many[n->arg[k]->id];
            x->later[i] |= x->later[n->arg[k]->id] || n->arg[k] == x->best;
        }
        if (many[i] && n->op != OP_SCAN && rows_axis(&n->type) < 0)
            return *why = "a step computes something that is not for each row", false;
    }
    return true;
}

/* ---- a step ------------------------------------------------------------------------------------ */

static Node *new_carry(Beam *x, Node *first) {
    Node *arg = loop_arg(x->g, first->type);
    vec_push(x->scratch, &x->loop.carry, ((Bind){arg, first}));
    return arg;
}

static void open_loop(Beam *x) {
    int over = x->s.ncarry, use = over + x->s.nover;
    x->loop = (ScanMake){.trip = x->s.trip, .reverse = x->s.reverse, .var = x->s.var};
    for (int i = 0; i < x->count; i++) {
        Node *n = x->body->nodes.at[i];
        int   k = n->op == OP_ARG ? n->u.arg.index : ARG_STEP;
        if (n->op != OP_ARG) continue;
        if (k == ARG_STEP) x->known[i].node = x->loop.step = loop_arg(x->g, n->type);
        else if (k >= use) x->known[i].node = x->n->arg[k];
        else if (k >= over) {
            x->known[i].node = loop_arg(x->g, n->type);
            vec_push(x->scratch, &x->loop.over, ((Bind){x->known[i].node, x->n->arg[k]}));
        }
    }
    for (int k = 0; k < over; k++) {
        Node *arg = new_carry(x, lift_repeat(x->g, beam_axis(x), "m", x->n->arg[k]));
        for (int i = 0; i < x->count; i++)
            if (x->body->nodes.at[i]->op == OP_ARG && x->body->nodes.at[i]->u.arg.index == k)
                x->known[i] = (Lifted){arg, true};
    }
}

static void lift(Beam *x, const Node *n, const Lifted *known, Lifted *out) {
    if (!lift_node(x->g, beam_axis(x), "m", n, known, out)) ICE("%s with a beam as a new axis", OPS[n->op].text);
}

/* Sums of log_softmax of every continuation, [beams, rows, symbols]. */
static Node *candidates(Beam *x, Node *z, Node *sum) {
    Arena *a = x->g->arena;
    Var var[3] = {
        {.name = "m", .ext = beam_axis(x)}, {.name = "b", .ext = z->type.dim[1]}, {.name = "v", .ext = z->type.dim[2]}};
    Node  *args[4] = {z}, *runs = x->known[x->runs->id].node;
    args[1] = graph_comp(x->g, KIND_MAX, 2, 1, 0, var, plain_read(x, 0, z), 1, args);
    const Expr *from_top = expr_op2(a, SC_SUB, plain_read(x, 0, z), plain_read(x, 1, args[1]));
    args[2] = graph_comp(x->g, KIND_SUM, 2, 1, 0, var, expr_op1(a, SC_EXP, from_top), 2, args);
    const Expr *logp = expr_op2(a, SC_SUB, from_top, expr_op1(a, SC_LOG, plain_read(x, 2, args[2])));
    Node *in[5] = {z, args[1], args[2], sum, runs};
    const Expr *s = plain_read(x, 3, sum), *none = expr_const(a, -INFINITY);
    const Expr *held = expr_sel(a, expr_op2(a, SC_EQ, expr_idx(a, affine_var(2)), expr_int(a, 0)), s, none);
    const Expr *e = expr_sel(a, plain_read(x, 4, runs), expr_op2(a, SC_ADD, s, logp), held);
    return graph_comp(x->g, KIND_MAP, 3, 0, 0, var, e, 5, in);
}

/* The best candidate that is not among the first j: its number, or its sum. */
static Node *pick(Beam *x, Kind kind, Node *all, int j, Node *const *before) {
    Arena *a = x->g->arena;
    const Type *t = &all->type;
    Var    var[3] = {{.name = "b", .ext = t->dim[1]}, {.name = "m", .ext = t->dim[0]}, {.name = "v", .ext = t->dim[2]}};
    Node  *args[MAX_BEAMS + 1] = {all};
    Sub    at[3] = {{.aff = affine_var(1)}, {.aff = affine_var(0)}, {.aff = affine_var(2)}};
    Affine number = affine_add(affine_var(2), affine_var(1), x->symbols);
    const Expr *e = expr_read(a, DT_F32, 0, 3, at, false);
    for (int i = 0; i < j; i++) {
        args[i + 1] = before[i];
        const Expr *taken = expr_op2(a, SC_EQ, expr_idx(a, number), plain_read(x, i + 1, before[i]));
        e = expr_sel(a, taken, expr_const(a, -INFINITY), e);
    }
    return graph_comp(x->g, kind, 1, 2, 0, var, e, j + 1, args);
}

/* [beams, rows] from one node a beam. */
static Node *side_by_side(Beam *x, Node *const *n) {
    Arena *a = x->g->arena;
    Var    var[2] = {{.name = "j", .ext = beam_axis(x)}, {.name = "b", .ext = n[0]->type.dim[0]}};
    const Expr *e = read_at(x, x->beams - 1, n[0], NULL, 0, 1);
    for (int j = x->beams - 2; j >= 0; j--)
        e = expr_sel(a, expr_op2(a, SC_EQ, expr_idx(a, affine_var(0)), expr_int(a, j)), read_at(x, j, n[0], NULL, 0, 1),
                     e);
    return graph_comp(x->g, KIND_MAP, 2, 0, 0, var, e, x->beams, n);
}

/* number / symbols, and what is left. Whole numbers below 2^22: exact in f32. */
static Node *part_of(Beam *x, Node *number, bool parent) {
    Arena *a = x->g->arena;
    Var    var = {.name = "b", .ext = number->type.dim[0]};
    const Expr *k = plain_read(x, 0, number), *n = expr_const(a, (double)x->symbols);
    const Expr *p = expr_cast(a, DT_I32, expr_op1(a, SC_FLOOR, expr_op2(a, SC_DIV, expr_cast(a, DT_F32, k), n)));
    if (!parent) p = expr_op2(a, SC_SUB, k, expr_op2(a, SC_MUL, p, expr_int(a, x->symbols)));
    return graph_comp(x->g, KIND_MAP, 1, 0, 0, &var, p, 1, &number);
}

/* Chooses the winners; the argmax becomes their symbols. */
static void choose(Beam *x, Node *sum) {
    Node  *number[MAX_BEAMS], *score[MAX_BEAMS], *parent[MAX_BEAMS], *symbol[MAX_BEAMS];
    Lifted z;
    lift(x, x->logits, x->known, &z);
    Node *all = candidates(x, z.node, sum);
    for (int j = 0; j < x->beams; j++) {
        number[j] = pick(x, KIND_ARGMAX, all, j, number);
        score[j] = pick(x, KIND_MAX, all, j, number);
        parent[j] = part_of(x, number[j], true);
        symbol[j] = part_of(x, number[j], false);
    }
    x->parent = side_by_side(x, parent);
    x->score = side_by_side(x, score);
    for (int i = 0; i < x->count; i++) {
        x->chosen[i] = x->known[i];
        bool value = x->known[i].steps && x->known[i].node && x->known[i].node->op != OP_SCAN;
        if (value) x->chosen[i].node = at_parent(x, x->known[i].node, x->parent);
    }
    x->chosen[x->best->id] = (Lifted){side_by_side(x, symbol), true};
}

static void make_step(Beam *x) {
    Var   var[2] = {{.name = "m", .ext = beam_axis(x)}, {.name = "b", .ext = x->runs->type.dim[0]}};
    Arena *a = x->g->arena;
    const Expr *one = expr_op2(a, SC_EQ, expr_idx(a, affine_var(0)), expr_int(a, 0));
    Node *first =
        graph_comp(x->g, KIND_MAP, 2, 0, 0, var, expr_sel(a, one, expr_const(a, 0), expr_const(a, -INFINITY)), 0, NULL);
    Node *sum = new_carry(x, first);                    /* the last carry */
    for (int i = 0; i < x->count; i++) {
        const Node *n = x->body->nodes.at[i];
        if (n->op != OP_ARG && !x->later[i] && n != x->best) lift(x, n, x->known, &x->known[i]);
    }
    choose(x, sum);
    for (int i = 0; i < x->count; i++)
        if (x->later[i]) lift(x, x->body->nodes.at[i], x->chosen, &x->chosen[i]);
    for (int i = 0; i < x->body->outs.n; i++) {
        Lifted *l = &x->chosen[x->body->outs.at[i].value->id];
        if (i >= x->s.ncarry) vec_push(x->scratch, &x->loop.stack, l->node);
        else vec_push(x->scratch, &x->loop.next, l->steps ? l->node : lift_repeat(x->g, beam_axis(x), "m", l->node));
    }
    vec_push(x->scratch, &x->loop.next, x->score);
    vec_push(x->scratch, &x->loop.stack, x->parent);
}

/* ---- results ----------------------------------------------------------------------------------- */

/* Which beam the result was at each step: [steps, rows], from the parents of all steps. */
static Node *trace(Beam *x, Node *parents) {
    Arena   *a = x->g->arena;
    ScanMake l = {.trip = x->s.trip, .reverse = !x->s.reverse, .var = x->s.var};
    Var      var = {.name = "b", .ext = parents->type.dim[2]};
    Node    *args[2];
    Node    *first = graph_comp(x->g, KIND_MAP, 1, 0, 0, &var, expr_int(a, 0), 0, NULL);
    Node *beam = args[1] = loop_arg(x->g, first->type), *parent = args[0] = loop_arg(x->g, loop_slice(&parents->type));
    vec_push(x->scratch, &l.carry, ((Bind){beam, first}));
    vec_push(x->scratch, &l.over, ((Bind){parent, parents}));
    Sub head = {.ind = plain_read(x, 1, beam)};
    vec_push(x->scratch, &l.next,
             graph_comp(x->g, KIND_MAP, 1, 0, 0, &var, read_at(x, 0, parent, &head, 1, 0), 2, args));
    vec_push(x->scratch, &l.stack, beam);
    return graph_result(x->g, loop_close(x->g, x->g, &l), 1);
}

/* stack[t, beam[t,b], ..., b, ...] */
static Node *follow(Beam *x, Node *stack, Node *beam) {
    Var   var[MAX_RANK] = {{.name = x->s.var, .ext = stack->type.dim[0]}};
    Node *args[2] = {stack, beam};
    Sub   head[2] = {{.aff = affine_var(0)}, {.ind = at_row(x, 1, beam, 0, rows_axis(&stack->type) - 1)}};
    for (int i = 2; i < stack->type.rank; i++) var[i - 1] = (Var){.name = "i", .ext = stack->type.dim[i]};
    return graph_comp(x->g, KIND_MAP, stack->type.rank - 1, 0, 0, var, read_at(x, 0, stack, head, 2, 1), 2, args);
}

static void replace_results(Beam *x, Node *scan) {
    Graph *g = x->g;
    int    stacks = x->body->outs.n - x->s.ncarry;
    Node  *beam = trace(x, graph_result(g, scan, x->s.ncarry + 1 + stacks));
    for (int i = 0; i < g->nodes.n; i++) {
        Node *r = g->nodes.at[i], *new;
        if (r->op != OP_RESULT || r->arg[0] != x->n) continue;
        int k = r->u.result.index;
        graph_at(g, r->name, r->loc);
        if (k < x->s.ncarry) new = first_beam(x, graph_result(g, scan, k));
        else {
            new = graph_result(g, scan, k + 1);
            if (x->chosen[x->body->outs.at[k].value->id].steps) new = follow(x, new, beam);
        }
        graph_replace(g, r, new);
    }
}

static bool search(Graph *g, Node *n, int beams, bool *none, const char **why) {
    Arena *a = arena_new();
    Beam x = {
        .g = g, .n = n, .s = n->u.scan, .beams = beams, .scratch = a, .body = graph_clone(g->arena, n->u.scan.body)};
    x.count = x.body->nodes.n;
    x.later = ARENA_ARRAY(a, bool, x.count);
    x.known = ARENA_ARRAY(a, Lifted, x.count + 1);
    x.chosen = ARENA_ARRAY(a, Lifted, x.count + 1);
    bool ok = find_best(&x, why);
    *none = !ok && !x.best;
    ok = ok && can_search(&x, why);
    if (ok && beams > 1) {
        graph_at(g, n->name, n->loc);
        open_loop(&x);
        make_step(&x);
        graph_at(g, n->name, n->loc);
        replace_results(&x, loop_close(g, g, &x.loop));
        graph_sort(g);
        graph_sweep(g);
    }
    graph_at(g, NULL, (Loc){0});
    arena_free(a);
    return ok;
}

bool beam_search(Graph *g, int beams, bool *none, const char **why) {
    *none = true;
    *why = "it has no scan with 'until'";
    for (int i = 0; i < g->nodes.n; i++) {
        if (g->nodes.at[i]->op != OP_SCAN) continue;
        bool ok = search(g, g->nodes.at[i], beams, none, why);
        if (ok || !*none) return ok;
    }
    return false;
}
