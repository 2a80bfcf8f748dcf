/* The steps of scans in graphs. While the body of a scan is walked, its nodes are made in the graph around
 * it, each once, for one step: what they read of a carry is an argument, what they read of another value at
 * [t] is an argument that stands for a slice. loop_finish cuts them out as the scan's body. */
#include "frontend/lower_impl.h"

struct OpenLoop {
    Index *var;
    int    depth;                  /* 1: the outermost */
    ScanMake   loop;
};

static Arena *memory(Cx *cx) { return cx->graph->arena; }

/* ---- levels ------------------------------------------------------------------------------------ */

static int node_level(Cx *cx, int id) {
    while (cx->level.n <= id) {
        const Node *n = cx->graph->nodes.at[cx->level.n];
        int level = 0;
        for (int k = 0; k < n->narg; k++)
            if (cx->level.at[n->arg[k]->id] > level) level = cx->level.at[n->arg[k]->id];
        vec_push(cx->arena, &cx->level, level);
    }
    return cx->level.at[id];
}

static Node *argument(Cx *cx, const OpenLoop *l, Type t) {
    node_place(cx);
    Node *n = loop_arg(cx->graph, t);
    node_level(cx, n->id);
    cx->level.at[n->id] = l->depth;
    return n;
}

typedef struct { Cx *cx; int level; } LevelCx;

static void raise_level(const Expr *e, void *p) {
    LevelCx *x = p;
    int level = e->op == SC_READ ? node_level(x->cx, e->operand) : 0;
    if (level > x->level) x->level = level;
}

/* The deepest loop of the nodes that e reads. */
static int reads_level(Cx *cx, const Expr *e) {
    LevelCx x = {cx, 0};
    expr_walk(e, raise_level, &x);
    return x.level;
}

int steps_level(Cx *cx, const Expr *e) {
    int level = reads_level(cx, e);
    for (int i = cx->loops.n; i > level; i--)
        if (lower_uses(e, cx->loops.at[i - 1]->var->var)) return i;
    return level;
}

const Expr *steps_mask(Cx *cx, int level) {
    const Index *v = cx->loops.at[level - 1]->var;
    if (!v->dim->ragged) return NULL;
    for (int i = 0; i < cx->until.n; i++)
        if (cx->until.at[i] == v->dim) return NULL;
    return expr_op2(memory(cx), SC_LT, lower_var(cx, v->var), length_expr(cx, v->dim));
}

bool steps_axes(Cx *cx, Axes *a) {
    bool ok = true;
    for (int i = 0; i < cx->loops.n; i++) {
        const Index *v = cx->loops.at[i]->var;
        ok = ok && axes_push_dim(cx, a, v->var, v->dim, v->name);
    }
    return ok;
}

/* ---- reads at a step --------------------------------------------------------------------------- */

static Node *step_number(Cx *cx, OpenLoop *l) {
    if (!l->loop.step) l->loop.step = argument(cx, l, type_of(DT_I32, 0, NULL));
    return l->loop.step;
}

static const Expr *step_expr(Cx *cx, OpenLoop *l) {
    return expr_read(memory(cx), DT_I32, step_number(cx, l)->id, 0, NULL, false);
}

/* The slice of a sequence at the step of l. */
static Node *slice(Cx *cx, OpenLoop *l, Node *sequence) {
    for (int i = 0; i < l->loop.over.n; i++)
        if (l->loop.over.at[i].outer == sequence) return l->loop.over.at[i].inner;
    Bind b = {argument(cx, l, loop_slice(&sequence->type)), sequence};
    vec_push(cx->arena, &l->loop.over, b);
    return b.inner;
}

typedef struct {
    Cx         *cx;
    const Axes *a, *b;             /* the variables of the comp */
} Resolve;

static const Expr *resolve(const Resolve *r, const Expr *e);

/* The open loops whose step e mentions, from number `above` on. */
static int loops_of(Cx *cx, const Expr *e, int above, OpenLoop **out) {
    int n = 0;
    for (int i = above; i < cx->loops.n; i++)
        if (lower_uses(e, cx->loops.at[i]->var->var)) out[n++] = cx->loops.at[i];
    return n;
}

static bool mentions(const Expr *e, int from, int var) {
    for (int k = from; k < e->nsub; k++)
        if (affine_coef(&e->sub[k].aff, var) || (e->sub[k].ind && lower_uses(e->sub[k].ind, var))) return true;
    return false;
}

/* The first subscripts are the steps of these loops, in this order, and no other mentions them. */
static bool is_sliced(const Expr *e, int n, OpenLoop *const *l) {
    if (e->guarded || e->nsub < n) return false;
    for (int i = 0; i < n; i++) {
        int var;
        bool lone = !e->sub[i].ind && affine_is_var(&e->sub[i].aff, &var) && var == l[i]->var->var;
        if (!lone || mentions(e, i + 1, l[i]->var->var)) return false;
    }
    return true;
}

static void used_axes(const Axes *from, const Expr *e, Axes *to) {
    for (int i = 0; from && i < from->n; i++)
        if (lower_uses(e, from->var[i])) axes_push(to, from->var[i], from->ext[i], from->dim[i], from->name[i]);
}

/* What e reads, for all steps of these loops, as a read that begins with the steps. */
static const Expr *all_steps(const Resolve *r, const Expr *e, int n, OpenLoop *const *l) {
    Cx *cx = r->cx;
    Axes a = {0};
    for (int i = 0; i < n; i++) axes_push_dim(cx, &a, l[i]->var->var, l[i]->var->dim, l[i]->var->name);
    used_axes(r->a, e, &a);
    used_axes(r->b, e, &a);
    if (!axes_fit(cx, &a)) return NULL;
    return axes_read(cx, comp_make_plain(cx, KIND_MAP, &a, NULL, e), &a);
}

/* A step inside a subscript of a value of the same step: its number. */
static const Expr *at_number(const Resolve *r, const Expr *e, int n, OpenLoop *const *l) {
    Cx *cx = r->cx;
    Arena *m = memory(cx);
    Change by[MAX_VARS];
    for (int i = 0; i < n; i++) by[i] = (Change){l[i]->var->var, affine_const(0), step_expr(cx, l[i])};
    const Expr *at = lower_change(cx, e, n, by);
    if (!e->guarded) return at;
    const Type *t = &cx->graph->nodes.at[e->operand]->type;
    const Expr *inside = NULL;
    Sub sub[MAX_RANK];
    for (int k = 0; k < at->nsub; k++) {             /* an indirect subscript is trusted: keep it inside */
        sub[k] = at->sub[k];
        if (!sub[k].ind) continue;
        const Expr *i =
            sub[k].aff.n || sub[k].aff.c ? expr_op2(m, SC_ADD, sub[k].ind, expr_idx(m, sub[k].aff)) : sub[k].ind;
        const Expr *last = expr_int(m, t->dim[k].size - 1);
        if (t->dim[k].bound)
            last = expr_op2(m, SC_SUB, expr_cast(m, DT_I32, expr_bound(m, t->dim[k].bound)), expr_int(m, 1));
        const Expr *low = expr_op2(m, SC_LT, i, expr_int(m, 0)), *high = expr_op2(m, SC_LT, last, i);
        const Expr *out = lower_or(cx, low, high);
        inside = inside ? lower_and(cx, inside, lower_not(cx, out)) : lower_not(cx, out);
        sub[k] = (Sub){affine_const(0), expr_sel(m, low, expr_int(m, 0), expr_sel(m, high, last, i))};
    }
    const Expr *zero = e->dtype == DT_PRED  ? lower_bool(cx, false)
                       : e->dtype == DT_I32 ? expr_int(m, 0)
                                            : lower_real(cx, 0);
    return expr_sel(m, inside, expr_read(m, at->dtype, at->operand, at->nsub, sub, true), zero);
}

static const Expr *resolve_read(const Resolve *r, const Expr *e) {
    Cx *cx = r->cx;
    OpenLoop *l[MAX_RANK + 1];
    if (!loops_of(cx, e, 0, l)) return e;
    int level = node_level(cx, e->operand), inner = loops_of(cx, e, level, l);
    if (inner && !is_sliced(e, inner, l)) {
        for (int k = 0; k < e->nsub; k++)            /* a subscript may be a carry of a deeper loop */
            if (e->sub[k].ind && reads_level(cx, e->sub[k].ind) > level) level = reads_level(cx, e->sub[k].ind);
        inner = loops_of(cx, e, level, l);
        int all = loops_of(cx, e, 0, l);             /* outer steps in subscripts of an inner value */
        if (all > inner) e = at_number(r, e, all - inner, l);
        if (!inner) return resolve(r, e);
        inner = loops_of(cx, e, level, l);
        e = all_steps(r, e, inner, l);
        if (!e) return lower_real(cx, 0);
    }
    Node *n = cx->graph->nodes.at[e->operand];
    for (int i = 0; i < inner; i++) n = slice(cx, l[i], n);
    e = expr_read(memory(cx), e->dtype, n->id, e->nsub - inner, e->sub + inner, e->guarded);
    int left = loops_of(cx, e, 0, l);
    return left ? resolve(r, at_number(r, e, left, l)) : e;
}

static const Expr *resolve_index(const Resolve *r, const Expr *e) {
    Cx *cx = r->cx;
    Change by[MAX_VARS];
    int n = 0;
    for (int i = 0; i < cx->loops.n; i++) {
        OpenLoop *l = cx->loops.at[i];
        if (affine_coef(&e->aff, l->var->var)) by[n++] = (Change){l->var->var, affine_const(0), step_expr(cx, l)};
    }
    return lower_change(cx, e, n, by);
}

static const Expr *resolve(const Resolve *r, const Expr *e) {
    Arena *m = memory(r->cx);
    const Expr *arg[3] = {NULL, NULL, NULL};
    bool same = true;
    if (e->op == SC_READ) return resolve_read(r, e);
    if (e->op == SC_IDX) return resolve_index(r, e);
    for (int i = 0; i < SCALARS[e->op].args; i++) {
        arg[i] = resolve(r, e->arg[i]);
        same = same && arg[i] == e->arg[i];
    }
    if (same) return e;
    if (e->op == SC_CAST) return expr_cast(m, e->dtype, arg[0]);
    if (arg[2]) return expr_sel(m, arg[0], arg[1], arg[2]);
    return arg[1] ? expr_op2(m, e->op, arg[0], arg[1]) : expr_op1(m, e->op, arg[0]);
}

const Expr *steps_resolve(Cx *cx, const Expr *e, const Axes *a, const Axes *b) {
    Resolve r = {cx, a, b};
    return cx->loops.n ? resolve(&r, e) : e;
}

/* ---- loops ------------------------------------------------------------------------------------- */

OpenLoop *loop_open(Cx *cx, Index *var, bool reverse, int checkpoint) {
    OpenLoop *l = ARENA_NEW(cx->arena, OpenLoop);
    *l = (OpenLoop){.var = var, .depth = cx->loops.n + 1};
    l->loop = (ScanMake){.trip = extent_of(cx, var->dim), .reverse = reverse, .checkpoint = checkpoint,
                     .var = arena_strdup(memory(cx), var->name)};
    vec_push(cx->arena, &cx->loops, l);
    return l;
}

Node *loop_carry(Cx *cx, OpenLoop *l, Node *init) {
    Bind b = {argument(cx, l, init->type), init};
    vec_push(cx->arena, &l->loop.carry, b);
    return b.inner;
}

void loop_next(Cx *cx, OpenLoop *l, Node *next) { vec_push(cx->arena, &l->loop.next, next); }

int loop_stack(Cx *cx, OpenLoop *l, Node *value) {
    vec_push(cx->arena, &l->loop.stack, value);
    return l->loop.carry.n + l->loop.stack.n - 1;
}

void loop_finish(Cx *cx, OpenLoop *l, Node ***result) {
    Graph *g = cx->graph;
    cx->loops.n--;
    node_place(cx);
    Node *scan = loop_close(g, g, &l->loop);
    int n = scan_results(scan);
    *result = ARENA_ARRAY(cx->arena, Node *, n);
    if (scan_fission(g, scan, *result)) return;
    for (int i = 0; i < n; i++) (*result)[i] = graph_result(g, scan, i);
}
