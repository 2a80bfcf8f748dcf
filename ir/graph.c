#include <string.h>

#include "ir/ir_impl.h"

const OpInfo OPS[OP_COUNT] = {
#define OP(id, text, args, math) [OP_##id] = {text, args, math},
#include "ir/ops.def"
#undef OP
};

const char *const KIND_TEXT[KIND_COUNT] = {
#define KIND(id, text, math) [KIND_##id] = text,
#include "ir/kinds.def"
#undef KIND
};

Graph *graph_new(Arena *a, const char *name) {
    Graph *g = ARENA_NEW(a, Graph);
    g->arena = a;
    g->name = name;
    vec_push(a, &g->bounds, (Bound){0});
    return g;
}

int graph_bound(Graph *g, const char *name, int64_t size) {
    vec_push(g->arena, &g->bounds, ((Bound){name, size}));
    return g->bounds.n - 1;
}

void graph_at(Graph *g, const char *name, Loc loc) {
    g->at_name = name;
    g->at_loc = loc;
}

/* ---- nodes --------------------------------------------------------------------------------------- */

static bool same_leaf(const Node *a, const Node *b) {
    if (a->op != b->op) return false;
    switch (a->op) {
    case OP_CONST: {
        if (!type_equal(&a->type, &b->type)) return false;
        return !memcmp(a->u.konst.value, b->u.konst.value, sizeof(double) * (size_t)type_count(&a->type));
    }
    case OP_INPUT: return a->u.input.kind == b->u.input.kind && !strcmp(a->u.input.key, b->u.input.key);
    case OP_PARAM: return !strcmp(a->u.param.key, b->u.param.key);
    case OP_STATE: return a->u.state.kind == b->u.state.kind && !strcmp(a->u.state.key, b->u.state.key);
    case OP_RNG: return a->u.rng.site == b->u.rng.site && type_equal(&a->type, &b->type);
    case OP_ARG: return a->u.arg.index == b->u.arg.index;
    default: return false;
    }
}

/* Two leaves of one key must agree in everything; *why says so if not. */
static Node *find_leaf(Graph *g, const Node *n, const char **why) {
    for (int i = 0; i < g->nodes.n; i++) {
        Node *old = g->nodes.at[i];
        if (!same_leaf(old, n)) continue;
        bool init = n->op != OP_STATE || !memcmp(&old->u.state.init, &n->u.state.init, sizeof(double));
        if (!type_equal(&old->type, &n->type) || !init) *why = "another leaf has this key and another type";
        return old;
    }
    return NULL;
}

Node *graph_try(Graph *g, const Node *proto, const char **why) {
    Type type;
    *why = shape_infer(g, proto, &type);
    if (*why) return NULL;
    if (proto->op <= OP_ARG) {
        Node *old = find_leaf(g, proto, why);
        if (*why) return NULL;
        if (old) return old;
    }
    Node *n = arena_copy(g->arena, proto, sizeof *proto);
    n->type = type;
    n->id = g->nodes.n;
    n->name = g->at_name;
    n->loc = g->at_loc;
    if (n->narg) n->arg = arena_copy(g->arena, proto->arg, sizeof *n->arg * (size_t)n->narg);
    vec_push(g->arena, &g->nodes, n);
    return n;
}

static Node *must(Graph *g, const Node *proto) {
    const char *why;
    Node       *n = graph_try(g, proto, &why);
    if (!n) ICE("%s in graph %s (%s): %s", OPS[proto->op].text, g->name, g->at_name ? g->at_name : "no name", why);
    return n;
}

static const char *keep(Graph *g, const char *key) { return arena_strdup(g->arena, key); }

Node *graph_const(Graph *g, Type t, const double *value) {
    size_t n = (size_t)type_count(&t);
    return must(g, &(Node){.op = OP_CONST, .type = t, .u.konst.value = arena_copy(g->arena, value, n * sizeof *value)});
}

Node *graph_scalar(Graph *g, double v) { return graph_const(g, type_of(DT_F32, 0, NULL), &v); }

Node *graph_input(Graph *g, Type t, InputKind kind, const char *key) {
    return must(g, &(Node){.op = OP_INPUT, .type = t, .u.input = {kind, keep(g, key), 0}});
}

Node *graph_index(Graph *g, Type t, int64_t below, const char *key) {
    return must(g, &(Node){.op = OP_INPUT, .type = t, .u.input = {IN_DATA, keep(g, key), below}});
}

Node *graph_param(Graph *g, Type t, const char *key) {
    return must(g, &(Node){.op = OP_PARAM, .type = t, .u.param = {keep(g, key)}});
}

Node *graph_state(Graph *g, Type t, StateKind kind, const char *key, double init) {
    return must(g, &(Node){.op = OP_STATE, .type = t, .u.state = {kind, keep(g, key), init}});
}

Node *graph_rng(Graph *g, Type t, uint32_t site) {
    return must(g, &(Node){.op = OP_RNG, .type = t, .u.rng = {site}});
}

Node *graph_gather(Graph *g, Node *table, Node *index) {
    return must(g, &(Node){.op = OP_GATHER, .narg = 2, .arg = (Node *[]){table, index}});
}

Node *graph_scatter(Graph *g, Node *grad, Node *index, int64_t rows) {
    Type t = type_of(DT_F32, 1, &(Extent){.size = rows});
    return must(g, &(Node){.op = OP_SCATTER, .type = t, .narg = 2, .arg = (Node *[]){grad, index}});
}

Node *graph_reshape(Graph *g, Node *a, int rank, const Extent *dims) {
    Type t = type_of(a->type.dtype, rank, dims);
    return must(g, &(Node){.op = OP_RESHAPE, .type = t, .narg = 1, .arg = &a});
}

Node *graph_stop(Graph *g, Node *a) { return must(g, &(Node){.op = OP_STOP, .narg = 1, .arg = &a}); }

/* ---- comp ---------------------------------------------------------------------------------------- */

/* Operands in the order of their first read in `expr`, each once: then the text of a comp, which names
 * operands and not their numbers, says everything. */
typedef struct {
    Node *const *args;
    int          narg;
    int         *renumber;      /* old number -> new, -1 = not read (yet) */
    Node       **used;
    int          nused;
    bool         broken;        /* a read of an operand that is not there */
} Operands;

static void use_operand(const Expr *e, void *cx) {
    Operands *o = cx;
    if (e->op != SC_READ) return;
    if (e->operand < 0 || e->operand >= o->narg) {
        o->broken = true;
        return;
    }
    int k = 0;
    while (k < o->nused && o->used[k] != o->args[e->operand]) k++;
    if (k == o->nused) o->used[o->nused++] = o->args[e->operand];
    o->renumber[e->operand] = k;
}

Node *graph_try_comp(Graph *g, const Comp *c, int narg, Node *const *args, const char **why) {
    Operands o = {args, narg, ARENA_ARRAY(g->arena, int, narg), ARENA_ARRAY(g->arena, Node *, narg), 0, false};
    for (int i = 0; i < narg; i++) o.renumber[i] = -1;
    expr_walk(c->expr, use_operand, &o);
    if (o.broken) {
        *why = "a read of an operand that is not there";
        return NULL;
    }
    bool same = o.nused == narg;
    for (int i = 0; i < narg; i++) same &= o.renumber[i] == i;
    Comp made = *c;
    int  nvar = c->nout + c->nred + c->nder;
    made.var = arena_copy(g->arena, c->var, sizeof *c->var * (size_t)(nvar > 0 ? nvar : 0));
    if (!same) made.expr = expr_subst(g->arena, c->expr, NULL, 0, o.renumber);
    return graph_try(g, &(Node){.op = OP_COMP, .narg = o.nused, .arg = o.used, .u.comp = made}, why);
}

Node *graph_comp(Graph *g, Kind kind, int nout, int nred, int nder, const Var *var, const Expr *expr, int narg,
                 Node *const *args) {
    const char *why;
    Comp        c = {kind, nout, nred, nder, (Var *)var, expr};       /* graph_try_comp copies var */
    Node       *n = graph_try_comp(g, &c, narg, args, &why);
    if (!n) ICE("comp in graph %s (%s): %s", g->name, g->at_name ? g->at_name : "no name", why);
    return n;
}

/* A read of `a` at the outs, or of its one number if its rank is 0. */
static const Expr *read_spread(Graph *g, const Node *a, int operand) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < a->type.rank; i++) sub[i].aff = affine_var(i);
    return expr_read(g->arena, a->type.dtype, operand, a->type.rank, sub, false);
}

static Node *map(Graph *g, const Type *shape, const Expr *e, int narg, Node *const *args) {
    static const char *const NAMES[MAX_RANK] = {"i", "j", "k", "l", "m", "o", "p", "q"};
    Var var[MAX_RANK] = {0};
    for (int i = 0; i < shape->rank; i++) var[i] = (Var){.name = NAMES[i], .ext = shape->dim[i]};
    return graph_comp(g, KIND_MAP, shape->rank, 0, 0, var, e, narg, args);
}

Node *graph_map1(Graph *g, ScalarOp op, Node *a) {
    return map(g, &a->type, expr_op1(g->arena, op, read_spread(g, a, 0)), 1, &a);
}

Node *graph_map2(Graph *g, ScalarOp op, Node *a, Node *b) {
    const Type *shape = a->type.rank ? &a->type : &b->type;
    if (a->type.rank && b->type.rank) {
        Type t = b->type;
        t.dtype = a->type.dtype;
        if (!type_equal(&a->type, &t))
            ICE("%s of two shapes (ranks %d and %d)", SCALARS[op].text, a->type.rank, t.rank);
    }
    const Expr *e = expr_op2(g->arena, op, read_spread(g, a, 0), read_spread(g, b, 1));
    return map(g, shape, e, 2, (Node *[]){a, b});
}

/* ---- scans ---------------------------------------------------------------------------------------- */

Node *graph_scan(Graph *g, const Scan *s, int narg, Node *const *args) {
    return must(g, &(Node){.op = OP_SCAN, .narg = narg, .arg = (Node **)args, .u.scan = *s});
}

Node *graph_result(Graph *g, Node *scan, int index) {
    return must(g, &(Node){.op = OP_RESULT, .narg = 1, .arg = &scan, .u.result.index = index});
}

int scan_results(const Node *scan) { return scan->u.scan.body->outs.n; }

Graph *graph_clone(Arena *a, const Graph *g) {
    Graph *c = graph_new(a, g->name);
    Arena *scratch = arena_new();
    Node **copy = ARENA_ARRAY(scratch, Node *, g->nodes.n);
    c->args = g->args;
    for (int i = 1; i < g->bounds.n; i++) vec_push(a, &c->bounds, g->bounds.at[i]);
    for (int i = 0; i < g->nodes.n; i++) {
        Node *n = arena_copy(a, g->nodes.at[i], sizeof *n);
        n->arg = ARENA_ARRAY(a, Node *, n->narg);
        for (int k = 0; k < n->narg; k++) n->arg[k] = copy[g->nodes.at[i]->arg[k]->id];
        if (n->op == OP_SCAN) n->u.scan.body = graph_clone(a, n->u.scan.body);
        vec_push(a, &c->nodes, n);
        copy[i] = n;
    }
    for (int i = 0; i < g->outs.n; i++) {
        Output o = g->outs.at[i];
        o.value = copy[o.value->id];
        if (o.target) o.target = copy[o.target->id];
        vec_push(a, &c->outs, o);
    }
    arena_free(scratch);
    return c;
}

/* ---- outputs, users, order ------------------------------------------------------------------------- */

void graph_output(Graph *g, OutKind kind, const char *name, Node *value, Node *target) {
    if ((kind == OUT_VALUE) != !target) ICE("output %s: a target belongs to an update", name);
    if (target && !type_equal(&value->type, &target->type)) ICE("output %s: the type of its target differs", name);
    vec_push(g->arena, &g->outs, ((Output){kind, keep(g, name), value, target}));
}

Output *graph_find_output(Graph *g, const char *name) {
    for (int i = 0; i < g->outs.n; i++)
        if (!strcmp(g->outs.at[i].name, name)) return &g->outs.at[i];
    return NULL;
}

NodeList *graph_users(Graph *g, Arena *a) {
    NodeList *users = ARENA_ARRAY(a, NodeList, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++) {
        Node *n = g->nodes.at[i];
        for (int k = 0; k < n->narg; k++) {
            NodeList *u = &users[n->arg[k]->id];
            if (!u->n || u->at[u->n - 1] != n) vec_push(a, u, n);
        }
    }
    return users;
}

void graph_replace(Graph *g, Node *old, Node *new) {
    if (!type_equal(&old->type, &new->type))
        ICE("%s (%%%d) replaced by a value of another type", OPS[old->op].text, old->id);
    for (int i = 0; i < g->nodes.n; i++) {
        Node *n = g->nodes.at[i];
        if (n == new) continue;           /* new may be made from old: stop(old) */
        for (int k = 0; k < n->narg; k++)
            if (n->arg[k] == old) n->arg[k] = new;
    }
    for (int i = 0; i < g->outs.n; i++)
        if (g->outs.at[i].value == old) g->outs.at[i].value = new;
}

static void number(Graph *g) {
    for (int i = 0; i < g->nodes.n; i++) g->nodes.at[i]->id = i;
}

/* A depth-first walk over operands with its own stack (a graph may be 100 000 nodes deep). A graph that
 * is in order already keeps its order. */
void graph_sort(Graph *g) {
    enum { NEW, OPEN, DONE };
    int    count = g->nodes.n, done = 0;
    Arena *scratch = arena_new();
    Node **order = ARENA_ARRAY(scratch, Node *, count), **stack = ARENA_ARRAY(scratch, Node *, count);
    int   *next = ARENA_ARRAY(scratch, int, count);
    char  *state = ARENA_ARRAY(scratch, char, count);
    number(g);
    for (int i = 0; i < count; i++) {
        int depth = 0;
        if (state[i] == NEW) stack[depth++] = g->nodes.at[i];
        while (depth) {
            Node *n = stack[depth - 1];
            state[n->id] = OPEN;
            if (next[n->id] == n->narg) {
                state[n->id] = DONE;
                order[done++] = n;
                depth--;
                continue;
            }
            Node *a = n->arg[next[n->id]++];
            if (a->id < 0 || a->id >= count || g->nodes.at[a->id] != a)
                ICE("an operand of %%%d is not in the graph", n->id);
            if (state[a->id] == OPEN) ICE("%%%d needs itself", a->id);
            if (state[a->id] == NEW) stack[depth++] = a;
        }
    }
    memcpy(g->nodes.at, order, sizeof *order * (size_t)count);
    number(g);
    arena_free(scratch);
}

void graph_sweep(Graph *g) {
    graph_sort(g);
    Arena *scratch = arena_new();
    bool  *live = ARENA_ARRAY(scratch, bool, g->nodes.n);
    for (int i = 0; i < g->outs.n; i++) {
        live[g->outs.at[i].value->id] = true;
        if (g->outs.at[i].target) live[g->outs.at[i].target->id] = true;
    }
    for (int i = g->nodes.n - 1; i >= 0; i--)
        for (int k = 0; live[i] && k < g->nodes.at[i]->narg; k++) live[g->nodes.at[i]->arg[k]->id] = true;
    int kept = 0;
    for (int i = 0; i < g->nodes.n; i++)
        if (live[i]) g->nodes.at[kept++] = g->nodes.at[i];
    g->nodes.n = kept;
    number(g);
    arena_free(scratch);
}
