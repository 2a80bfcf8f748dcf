/* Maps over the steps of a scan go into its body.
 *
 * Fission moves what does not depend on the carries out of a loop. For a contraction that is a gain; a map
 *
 *     i[t,b,j] = sigmoid(z[t,b,j])           of a sequence that the body reads as well,
 *
 * would be written for all steps, to leave the caches, and be read back step by step. Beside the body's other maps it
 * costs its arithmetic alone, of which they often have a part already. */
#include "passes/draft.h"
#include "passes/kernels_impl.h"

enum { MAX_ARGS = 16 };

/* What the walk over a map's expression finds. */
typedef struct {
    const Node *n;
    bool        over[MAX_ARGS], use[MAX_ARGS];  /* operands that are read at the step; others */
    bool        fails;
} Reads;

static bool moves_with(const Expr *e, int sub, int v) { return affine_coef(&e->sub[sub].aff, v) != 0; }

static void look_at(const Expr *e, void *cx) {
    Reads *r = cx;
    if (e->op == SC_IDX) r->fails |= affine_coef(&e->aff, 0) != 0;
    if (e->op != SC_READ) return;
    const Node *arg = node_storage(r->n->arg[e->operand]);
    int         v;
    bool        over = e->nsub && !e->sub[0].ind && affine_is_var(&e->sub[0].aff, &v) && v == 0;
    for (int i = over ? 1 : 0; i < e->nsub; i++) r->fails |= e->sub[i].ind || moves_with(e, i, 0);
    r->fails |= arg->op == OP_RNG;
    (over ? r->over : r->use)[e->operand] = true;
}

/* ---- operands of the scan ---------------------------------------------------------------------------------- */

static int operand_at(const Node *scan, const Node *outer, int from, int to) {
    for (int i = from; i < to; i++)
        if (scan->arg[i] == outer) return i;
    return -1;
}

/* The number of `outer` among the sequences of the scan (or the captured values), made if it is new. */
static int operand_of(Graph *g, Node *scan, Node *outer, bool over) {
    Scan *s = &scan->u.scan;
    int first = s->ncarry, end = first + s->nover,
        at = over ? operand_at(scan, outer, first, end) : operand_at(scan, outer, end, scan->narg);
    if (at >= 0) return at;
    at = over ? end : scan->narg;
    Node **args = ARENA_ARRAY(g->arena, Node *, scan->narg + 1);
    for (int i = 0; i <= scan->narg; i++) args[i] = i == at ? outer : scan->arg[i < at ? i : i - 1];
    for (int i = 0; i < s->body->nodes.n; i++) {
        Node *n = s->body->nodes.at[i];
        if (n->op == OP_ARG && n->u.arg.index >= at) n->u.arg.index++;
    }
    scan->arg = args;
    scan->narg++;
    if (over) s->nover++;
    else s->nuse++;
    return at;
}

static void drop_operand(Node *scan, int k) {
    Scan *s = &scan->u.scan;
    for (int i = k; i + 1 < scan->narg; i++) scan->arg[i] = scan->arg[i + 1];
    scan->narg--;
    s->nover--;
    for (int i = 0; i < s->body->nodes.n; i++) {
        Node *n = s->body->nodes.at[i];
        if (n->op == OP_ARG && n->u.arg.index > k) n->u.arg.index--;
    }
}

static Node *arg_of(Node *scan, int k, const Type *t) {
    Graph *body = scan->u.scan.body;
    for (int i = 0; i < body->nodes.n; i++) {
        Node *n = body->nodes.at[i];
        if (n->op == OP_ARG && n->u.arg.index == k) return n;
    }
    Node *arg = loop_arg(body, *t);
    arg->u.arg.index = k;
    return arg;
}

Node *scan_operand(Graph *g, Node *scan, Node *outer, bool over) {
    Type t = over ? loop_slice(&outer->type) : outer->type;
    return arg_of(scan, operand_of(g, scan, outer, over), &t);
}

/* ---- the map in the body ----------------------------------------------------------------------------------- */

/* Without the first subscript where that is the step. */
static const Expr *of_a_step(Arena *a, const Reads *r, const Expr *e) {
    if (e->op == SC_READ)
        return r->over[e->operand] ? expr_read(a, e->dtype, e->operand, e->nsub - 1, e->sub + 1, e->guarded) : e;
    if (!SCALARS[e->op].args) return e;
    Expr *made = arena_copy(a, e, sizeof *e);
    for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = of_a_step(a, r, e->arg[i]);
    return made;
}

static Node *inside(Graph *g, Node *scan, const Node *n, const Reads *r) {
    Graph *body = scan->u.scan.body;
    Node  *args[MAX_ARGS];
    Affine var[MAX_VARS] = {affine_const(0)};
    for (int v = 1; v < n->u.comp.nout; v++) var[v] = affine_var(v - 1);
    for (int k = 0; k < n->narg; k++) args[k] = scan_operand(g, scan, n->arg[k], r->over[k]);
    const Expr *e = expr_subst(body->arena, of_a_step(body->arena, r, n->u.comp.expr), var, n->u.comp.nout, NULL);
    graph_at(body, n->name, n->loc);
    return graph_comp(body, KIND_MAP, n->u.comp.nout - 1, 0, 0, n->u.comp.var + 1, e, n->narg, args);
}

/* ---- which -------------------------------------------------------------------------------------------------- */

/* Do nothing but maps of the body read operand k? */
static bool maps_read(const Node *scan, int k) {
    const Graph *body = scan->u.scan.body;
    for (int i = 0; i < body->outs.n; i++)
        if (node_storage(body->outs.at[i].value)->op == OP_ARG) return false;
    for (int i = 0; i < body->nodes.n; i++) {
        const Node *u = body->nodes.at[i];
        for (int j = 0; j < u->narg; j++)
            if (u->arg[j]->op == OP_ARG && u->arg[j]->u.arg.index == k &&
                (u->op != OP_COMP || u->u.comp.kind != KIND_MAP || u->narg + scan->arg[k]->narg > MAX_OPERANDS))
                return false;
    }
    return true;
}

/* A map of sequences of which the scan has all but one anyway: then no more is stored and read than the map itself. */
static bool sinks(const NodeList *users, const Node *scan, int k, Reads *r) {
    const Scan *s = &scan->u.scan;
    const Node *n = scan->arg[k];
    int         more = 0, times = 0;
    if (n->op != OP_COMP || n->u.comp.kind != KIND_MAP || n->narg > MAX_ARGS || users[n->id].n != 1) return false;
    if (n->type.dim[0].size != s->trip.size || n->type.dim[0].bound != s->trip.bound) return false;
    for (int i = 0; i < scan->narg; i++) times += scan->arg[i] == n;
    *r = (Reads){.n = n};
    expr_walk(n->u.comp.expr, look_at, r);
    for (int i = 0; i < n->narg; i++) {
        r->fails |= r->over[i] && r->use[i];
        more += r->over[i] && operand_at(scan, n->arg[i], s->ncarry, s->ncarry + s->nover) < 0;
    }
    return times == 1 && !r->fails && more <= 1 && maps_read(scan, k);
}

/* The map becomes part of the expressions of its readers. */
static void inline_in_readers(Graph *body, Node *map) {
    for (int i = 0; i < body->nodes.n; i++) {
        Node *u = body->nodes.at[i];
        int   k = 0;
        while (k < u->narg && u->arg[k] != map) k++;
        if (k == u->narg) continue;
        Draft d = draft_of(body, u);
        if (!draft_can_inline(&d, k)) continue;
        draft_inline(&d, k);
        draft_store(&d, u);
    }
}

static void sink_into(Graph *g, const NodeList *users, Node *scan) {
    Reads r;
    for (int k = scan->u.scan.ncarry; k < scan->u.scan.ncarry + scan->u.scan.nover; k++) {
        if (!sinks(users, scan, k, &r)) continue;
        Type  slice = loop_slice(&scan->arg[k]->type);
        Node *old = arg_of(scan, k, &slice), *made = inside(g, scan, scan->arg[k], &r);
        graph_replace(scan->u.scan.body, old, made);
        drop_operand(scan, k--);
        graph_sort(scan->u.scan.body);
        inline_in_readers(scan->u.scan.body, made);
        graph_sweep(scan->u.scan.body);
    }
}

void sink_maps(Graph *g) {
    Arena    *a = arena_new();
    NodeList *users = graph_users(g, a);
    for (int i = 0, count = g->nodes.n; i < count; i++)
        if (g->nodes.at[i]->op == OP_SCAN) sink_into(g, users, g->nodes.at[i]);
    arena_free(a);
    graph_sweep(g);
}
