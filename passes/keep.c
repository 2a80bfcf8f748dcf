/* The gradient of a scan reads functions of what the scan has stacked: tanh(z[t]), where the scan itself computes tanh
 * of the same z. Instead of z the function's value is stacked then, which takes no more memory, and nothing is computed
 * twice.
 *
 * A function of a backward loop's maps is known to the scan if all that it reads is: stacks of the scan, sequences that
 * both run over, values that both capture. It is done for all of them if they are not more than the sequences that they
 * save. */
#include "passes/draft.h"
#include "passes/kernels_impl.h"
#include "passes/pass.h"

enum { MOST_KEPT = 24, MOST_ARGS = 40 };

/* A function that is to be kept: an expression whose operands are nodes of the scan's body, over the outs of `map`. */
typedef struct {
    const Node *map;            /* of the backward loop, where it was found */
    const Expr *of, *expr;      /* in the map; with ids of the scan's body as operands */
    Node       *value, *arg;    /* of the scan's body; of the backward loop's */
} Kept;

typedef struct {
    Graph *g, *forward, *back;  /* the bodies */
    Node  *scan, *loop;
    Node **known;               /* by id of back's nodes: of forward, or NULL */
    int   *reads, *saved;       /* by id of back's nodes: reads of it, those in what is kept */
    int    n;
    Kept   kept[MOST_KEPT];
} Keep;

static bool is_map(const Node *n) { return n->op == OP_COMP && n->u.comp.kind == KIND_MAP; }

static bool is_dear(ScalarOp op) {
    return op == SC_EXP || op == SC_LOG || op == SC_TANH || op == SC_SIN || op == SC_COS || op == SC_POW;
}

/* ---- what the scan knows ------------------------------------------------------------------------------------ */

static Node *argument(const Graph *body, int index) {
    for (int i = 0; i < body->nodes.n; i++)
        if (body->nodes.at[i]->op == OP_ARG && body->nodes.at[i]->u.arg.index == index) return body->nodes.at[i];
    return NULL;
}

static Node *known_in_scan(const Keep *k, const Node *arg) {
    const Scan *s = &k->scan->u.scan, *b = &k->loop->u.scan;
    if (arg->op != OP_ARG || arg->u.arg.index < b->ncarry) return NULL;
    int         index = arg->u.arg.index;
    const Node *outer = k->loop->arg[index];
    bool        over = index < b->ncarry + b->nover;
    if (over && outer->op == OP_RESULT && outer->arg[0] == k->scan && outer->u.result.index >= s->ncarry)
        return k->forward->outs.at[outer->u.result.index].value;
    for (int i = s->ncarry; i < k->scan->narg; i++)
        if (k->scan->arg[i] == outer && over == (i < s->ncarry + s->nover)) return argument(k->forward, i);
    return NULL;
}

/* ---- functions ---------------------------------------------------------------------------------------------- */

typedef struct {
    const Keep *k;
    const Node *n;
    bool        fails, moves;   /* moves: with the step */
} Look;

static void look_at(const Expr *e, void *cx) {
    Look *l = cx;
    l->fails |= e->op == SC_IDX || e->op == SC_BOUND;
    if (e->op != SC_READ) return;
    const Node *arg = l->n->arg[e->operand];
    l->fails |= !l->k->known[arg->id] || e->guarded;
    for (int i = 0; i < e->nsub; i++) l->fails |= e->sub[i].ind != NULL;
    l->moves |= arg->op == OP_ARG && arg->u.arg.index < l->k->loop->u.scan.ncarry + l->k->loop->u.scan.nover;
}

/* Is e, of map n of the backward loop, a function that the scan can compute? */
static bool is_known(const Keep *k, const Node *n, const Expr *e) {
    Look l = {.k = k, .n = n};
    if (!is_dear(e->op) || e->dtype != DT_F32) return false;
    expr_walk(e, look_at, &l);
    return !l.fails && l.moves;
}

/* e, of map n, with ids of the scan's body as operands; n is of the backward loop or, `inside`, of that body itself. */
static const Expr *in_scan(const Keep *k, const Node *n, const Expr *e, bool inside) {
    int    operand[MOST_ARGS] = {0};
    Affine var[MAX_VARS];
    for (int v = 0; v < MAX_VARS; v++) var[v] = affine_var(v);
    for (int i = 0; i < n->narg; i++) {
        const Node *arg = inside ? n->arg[i] : k->known[n->arg[i]->id];
        operand[i] = arg ? arg->id : 0;
    }
    return expr_subst(k->g->arena, e, var, MAX_VARS, operand);
}

static Kept *find_kept(Keep *k, const Node *n, const Expr *e) {
    for (int i = 0; i < k->n; i++)
        if (same_outs(k->kept[i].map, n) && expr_equal(k->kept[i].expr, e)) return &k->kept[i];
    return NULL;
}

typedef struct {
    Keep       *k;
    const Node *n;
    int        *count;
} Count;

static void count_read(const Expr *e, void *cx) {
    Count *c = cx;
    if (e->op == SC_READ) c->count[c->n->arg[e->operand]->id]++;
}

/* Notes the functions of e, of map n; false: there are too many. */
static bool note_functions(Keep *k, const Node *n, const Expr *e) {
    if (is_known(k, n, e)) {
        const Expr *is = in_scan(k, n, e, false);
        expr_walk(e, count_read, &(Count){k, n, k->saved});
        if (find_kept(k, n, is)) return true;
        if (k->n == MOST_KEPT) return false;
        k->kept[k->n++] = (Kept){.map = n, .of = e, .expr = is};
        return true;
    }
    bool fits = true;
    for (int i = 0; i < SCALARS[e->op].args; i++) fits &= note_functions(k, n, e->arg[i]);
    return fits;
}

/* Are there functions to keep, not more than sequences that are read for them alone? */
static bool is_worth(Keep *k) {
    int saves = 0;
    for (int i = 0; i < k->back->nodes.n; i++) {
        const Node *n = k->back->nodes.at[i];
        for (int j = 0; j < n->narg && !is_map(n); j++) k->reads[n->arg[j]->id]++;
        if (!is_map(n)) continue;
        if (n->narg > MOST_ARGS || !note_functions(k, n, n->u.comp.expr)) return false;
        expr_walk(n->u.comp.expr, count_read, &(Count){k, n, k->reads});
    }
    for (int i = 0; i < k->back->outs.n; i++) k->reads[k->back->outs.at[i].value->id]++;
    for (int i = 0; i < k->back->nodes.n; i++) {
        const Node *n = k->back->nodes.at[i];
        bool        over = n->op == OP_ARG && n->u.arg.index >= k->loop->u.scan.ncarry &&
                    n->u.arg.index < k->loop->u.scan.ncarry + k->loop->u.scan.nover;
        saves += over && k->reads[i] && k->reads[i] == k->saved[i];
    }
    return k->n && k->n <= saves;
}

/* ---- the change --------------------------------------------------------------------------------------------- */

static const Expr *own_point(Graph *g, const Node *n, int operand) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) sub[i].aff = affine_var(i);
    return expr_read(g->arena, DT_F32, operand, n->type.rank, sub, false);
}

/* e, of map n, with reads of values in place of functions; inside: n is of the scan's body. */
static const Expr *read_kept(Keep *k, Draft *d, const Node *n, const Expr *e, bool inside) {
    bool  known = inside ? is_dear(e->op) : is_known(k, n, e);
    Kept *kept = known ? find_kept(k, n, in_scan(k, n, e, inside)) : NULL;
    Node *value = !kept ? NULL : inside ? kept->value : kept->arg;
    if (value && value != n) return own_point(d->g, value, draft_operand(d, value));
    if (!SCALARS[e->op].args) return e;
    Expr *made = arena_copy(d->g->arena, e, sizeof *e);
    for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = read_kept(k, d, n, e->arg[i], inside);
    return made;
}

static void read_all(Keep *k, Graph *body, int count, bool inside) {
    for (int i = 0; i < count; i++) {
        Node *n = body->nodes.at[i];
        if (!is_map(n) || n->narg > MOST_ARGS) continue;
        Draft d = draft_of(body, n);
        d.expr = read_kept(k, &d, n, n->u.comp.expr, inside);
        if (d.arg.n > n->narg) draft_store(&d, n);
    }
}

/* The function as a map of the scan's body, the one that is there already if there is one. */
static Node *value_of(Keep *k, const Kept *x) {
    for (int i = 0; i < k->forward->nodes.n; i++) {
        Node *n = k->forward->nodes.at[i];
        if (!is_map(n) || n->narg > MOST_ARGS || !same_outs(n, x->map)) continue;
        if (expr_equal(in_scan(k, n, n->u.comp.expr, true), x->expr)) return n;
    }
    const Comp *m = &x->map->u.comp;
    Node       *args[MOST_ARGS];
    for (int i = 0; i < x->map->narg; i++) {
        Node *arg = k->known[x->map->arg[i]->id];
        args[i] = arg ? arg : k->forward->nodes.at[0];          /* not read by the function */
    }
    graph_at(k->forward, k->scan->name, k->scan->loc);
    return graph_comp(k->forward, KIND_MAP, m->nout, 0, 0, m->var, x->of, x->map->narg, args);
}

/* The result of the scan that stacks n. */
static int stack_of(Keep *k, Node *n) {
    for (int i = k->scan->u.scan.ncarry; i < k->forward->outs.n; i++)
        if (k->forward->outs.at[i].value == n) return i;
    graph_output(k->forward, OUT_VALUE, arena_printf(k->g->arena, "%d", k->forward->outs.n), n, NULL);
    return k->forward->outs.n - 1;
}

static void keep(Keep *k) {
    int count = k->forward->nodes.n, back = k->back->nodes.n;
    for (int i = 0; i < k->n; i++) k->kept[i].value = value_of(k, &k->kept[i]);
    read_all(k, k->forward, count, true);
    for (int i = 0; i < k->n; i++) {
        Kept *x = &k->kept[i];
        graph_at(k->g, x->value->name, x->value->loc);
        x->arg = scan_operand(k->g, k->loop, graph_result(k->g, k->scan, stack_of(k, x->value)), true);
    }
    read_all(k, k->back, back, false);
    graph_sort(k->forward);
    graph_sweep(k->forward);
    graph_sort(k->back);
    graph_sweep(k->back);
}

/* The functions of one scan that the other, behind it, reads. */
static bool keep_for(Graph *g, Node *scan, Node *loop, Arena *a) {
    Graph *back = loop->u.scan.body;
    Keep   k = {.g = g, .forward = scan->u.scan.body, .back = back, .scan = scan, .loop = loop,
                .known = ARENA_ARRAY(a, Node *, back->nodes.n), .reads = ARENA_ARRAY(a, int, back->nodes.n),
                .saved = ARENA_ARRAY(a, int, back->nodes.n)};
    if (scan->u.scan.trip.size != loop->u.scan.trip.size || scan->u.scan.trip.bound != loop->u.scan.trip.bound)
        return false;
    for (int i = 0; i < back->nodes.n; i++) k.known[i] = known_in_scan(&k, back->nodes.at[i]);
    if (!is_worth(&k)) return false;
    keep(&k);
    return true;
}

static bool reads_stack(const Node *loop, const Node *scan) {
    for (int i = loop->u.scan.ncarry; i < loop->narg; i++)
        if (loop->arg[i]->op == OP_RESULT && loop->arg[i]->arg[0] == scan) return true;
    return false;
}

bool keep_functions(Graph *g) {
    Arena *a = arena_new();
    bool   any = false;
    for (int i = 0, count = g->nodes.n; i < count; i++)
        for (int k = 0; k < i; k++) {
            Node *loop = g->nodes.at[i], *scan = g->nodes.at[k];
            if (loop->op == OP_SCAN && scan->op == OP_SCAN && reads_stack(loop, scan))
                any |= keep_for(g, scan, loop, a);
        }
    if (any) {
        graph_sort(g);
        pass_dce(g, &(PassCx){a});
    }
    arena_free(a);
    return any;
}
