/* From values to graph nodes: see lower.h. */
#include "frontend/lower_impl.h"

/* ---- rewriting expressions --------------------------------------------------------------------- */

typedef VEC(Node *) Operands;

/* Variables to replace, and (for a comp) the nodes that are read, in the order of their numbers. */
typedef struct {
    Cx           *cx;
    int           n;
    const Change *by;
    Operands     *operands;        /* NULL: operands keep their numbers */
} Rewrite;

static const Change *find_change(const Rewrite *w, int var) {
    for (int i = 0; i < w->n; i++)
        if (w->by[i].var == var) return &w->by[i];
    return NULL;
}

static Arena *memory(Cx *cx) { return cx->graph->arena; }

/* k * ind + plus; plus may be NULL. */
static const Expr *add_scaled(Cx *cx, const Expr *plus, const Expr *ind, int64_t k) {
    if (k != 1) ind = expr_op2(memory(cx), SC_MUL, expr_int(memory(cx), k), ind);
    return plus ? expr_op2(memory(cx), SC_ADD, plus, ind) : ind;
}

static Affine rewrite_affine(const Rewrite *w, const Affine *a, const Expr **ind) {
    Affine r = affine_const(a->c);
    for (int i = 0; i < a->n; i++) {
        const Change *c = find_change(w, a->term[i].var);
        r = affine_add(r, c ? c->aff : affine_var(a->term[i].var), a->term[i].coef);
        if (c && c->ind) *ind = add_scaled(w->cx, *ind, c->ind, a->term[i].coef);
    }
    return r;
}

static int operand_number(const Rewrite *w, int id) {
    if (!w->operands) return id;
    Node *n = w->cx->graph->nodes.at[id];
    for (int i = 0; i < w->operands->n; i++)
        if (w->operands->at[i] == n) return i;
    vec_push(memory(w->cx), w->operands, n);
    return w->operands->n - 1;
}

static const Expr *rewrite(const Rewrite *w, const Expr *e) {
    Arena *m = memory(w->cx);
    if (e->op == SC_READ) {
        Sub sub[MAX_RANK];
        for (int i = 0; i < e->nsub; i++) {
            sub[i].ind = e->sub[i].ind ? rewrite(w, e->sub[i].ind) : NULL;
            sub[i].aff = rewrite_affine(w, &e->sub[i].aff, &sub[i].ind);
        }
        return expr_read(m, e->dtype, operand_number(w, e->operand), e->nsub, sub, e->guarded);
    }
    if (e->op == SC_IDX) {
        const Expr *ind = NULL;
        Affine a = rewrite_affine(w, &e->aff, &ind);
        return ind ? expr_op2(m, SC_ADD, expr_idx(m, a), ind) : expr_idx(m, a);
    }
    const Expr *arg[3] = {NULL, NULL, NULL};
    bool same = true;
    for (int i = 0; i < SCALARS[e->op].args; i++) {
        arg[i] = rewrite(w, e->arg[i]);
        same = same && arg[i] == e->arg[i];
    }
    if (same) return e;
    if (e->op == SC_CAST) return expr_cast(m, e->dtype, arg[0]);
    if (arg[2]) return expr_sel(m, arg[0], arg[1], arg[2]);
    return arg[1] ? expr_op2(m, e->op, arg[0], arg[1]) : expr_op1(m, e->op, arg[0]);
}

const Expr *lower_change(Cx *cx, const Expr *e, int n, const Change *by) {
    Rewrite w = {cx, n, by, NULL};
    return n ? rewrite(&w, e) : e;
}

/* ---- what an expression varies with ------------------------------------------------------------ */

typedef struct { int var; bool found; } UsesCx;

static bool affine_uses(const Affine *a, int var) { return affine_coef(a, var) != 0; }

static void uses_var(const Expr *e, void *p) {
    UsesCx *u = p;
    if (e->op == SC_IDX) u->found |= affine_uses(&e->aff, u->var);
    for (int i = 0; i < e->nsub; i++) u->found |= affine_uses(&e->sub[i].aff, u->var);
}

bool lower_uses(const Expr *e, int var) {
    UsesCx u = {var, false};
    expr_walk(e, uses_var, &u);
    return u.found;
}

bool lower_plain(const Expr *e) {
    switch (e->op) {
    case SC_CONST: case SC_IDX: case SC_BOUND: return true;
    case SC_CAST: return lower_plain(e->arg[0]);
    case SC_READ:
        if (e->guarded) return false;
        for (int i = 0; i < e->nsub; i++)
            if (e->sub[i].ind) return false;
        return true;
    default: return false;
    }
}

static Extent batch_extent(Cx *cx) { return (Extent){cx->batch, 1}; }

bool axes_push(Axes *a, int var, Extent e, const Dim *d, const char *name) {
    if (a->n == MAX_VARS) return false;
    a->var[a->n] = var;
    a->ext[a->n] = e;
    a->dim[a->n] = d;
    a->name[a->n++] = name;
    return true;
}

bool axes_push_dim(Cx *cx, Axes *a, int var, const Dim *d, const char *name) {
    return axes_push(a, var, extent_of(cx, d), d, name);
}

static bool in_list(const IndexList *ix, const Index *i) {
    for (int k = 0; ix && k < ix->n; k++)
        if (ix->at[k] == i) return true;
    return false;
}

/* The variables of v that occur, in node order, without those of `except`. False: too many. */
static bool axes_of(Cx *cx, const Value *v, bool batch, const IndexList *except, Axes *out) {
    static const char *const OWN[MAX_RANK] = {"i", "j", "k", "l", "m", "p", "q", "r"};
    bool ok = true;
    out->n = 0;
    if (batch) ok = axes_push(out, VAR_BATCH, batch_extent(cx), NULL, "b");
    for (int i = 0; i < v->naxis; i++) {
        Index *x = v->axis[i];
        if (in_list(except, x) || !lower_uses(v->expr, x->var)) continue;
        ok = ok && axes_push_dim(cx, out, x->var, x->dim, x->name);
    }
    for (int i = 0; i < v->ty.rank; i++) ok = ok && axes_push_dim(cx, out, i, v->ty.dim[i], OWN[i]);
    return ok;
}

bool axes_fit(Cx *cx, const Axes *a) {
    int64_t n = 1;
    if (a->n > MAX_RANK)
        return report(cx, cx->at, E_LIMIT_RANK,
                      "a tensor has at most %d axes, the batch and the indices around it included; this has %d",
                      MAX_RANK, a->n);
    for (int i = 0; i < a->n; i++)
        if (__builtin_mul_overflow(n, a->ext[i].size, &n) || n > MAX_ELEMENTS)
            return report(cx, cx->at, E_LIMIT_TENSOR, "this tensor has more than 2^40 elements");
    if (cx->graph->nodes.n > NODE_LIMIT)
        return report(cx, cx->at, E_LIMIT_WORK, "the program unrolls to more than %d operations", NODE_LIMIT);
    return true;
}

const Expr *axes_read(Cx *cx, const Node *n, const Axes *a) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < a->n; i++) sub[i].aff = affine_var(a->var[i]);
    return expr_read(memory(cx), n->type.dtype, n->id, a->n, sub, false);
}

/* What stands for a value that is over a limit (which was reported). */
static const Expr *nothing(Cx *cx, DType d) {
    if (d == DT_PRED) return lower_bool(cx, false);
    return d == DT_I32 ? expr_int(memory(cx), 0) : expr_cast(memory(cx), d, lower_real(cx, 0));
}

/* ---- nodes ------------------------------------------------------------------------------------- */

/* The nodes made next belong to the instance around, at the user's line. */
void node_place(Cx *cx) {
    bool std = cx->at.src && cx->at.src->std && cx->library.at.src;
    graph_at(cx->graph, cx->owner, std ? cx->library.at : cx->at);
}

static bool reads_exactly(const Expr *e, const Node *n, const Axes *a) {
    if (n->type.rank != a->n) return false;
    for (int i = 0; i < a->n; i++) {
        int var;
        if (e->sub[i].ind || !affine_is_var(&e->sub[i].aff, &var) || var != a->var[i]) return false;
        if (n->type.dim[i].size != a->ext[i].size || n->type.dim[i].bound != a->ext[i].bound) return false;
    }
    return true;
}

Node *comp_make_plain(Cx *cx, Kind kind, const Axes *outs, const Axes *reds, const Expr *e) {
    Var var[2 * MAX_VARS] = {0};
    Change by[2 * MAX_VARS];
    Operands operands = {0};
    int n = 0;
    for (int k = 0; k < 2; k++) {
        const Axes *a = k ? reds : outs;
        for (int i = 0; a && i < a->n; i++, n++) {
            var[n] = (Var){.name = a->name[i], .ext = a->ext[i]};
            by[n] = (Change){a->var[i], affine_var(n), NULL};
        }
    }
    Rewrite w = {cx, n, by, &operands};
    e = rewrite(&w, e);
    node_place(cx);
    return graph_comp(cx->graph, kind, outs->n, reds ? reds->n : 0, 0, var, e, operands.n, operands.at);
}

Node *comp_make(Cx *cx, Kind kind, const Axes *outs, const Axes *reds, const Expr *e) {
    return comp_make_plain(cx, kind, outs, reds, steps_resolve(cx, e, outs, reds));
}

Node *lower_as(Cx *cx, const Expr *e, const Axes *a) {
    if (!axes_fit(cx, a)) return NULL;
    if (e->op == SC_READ && !e->guarded && reads_exactly(e, cx->graph->nodes.at[e->operand], a))
        return cx->graph->nodes.at[e->operand];
    return comp_make(cx, KIND_MAP, a, NULL, e);
}

/* The node of v and its axes; NULL over a limit. */
static Node *store(Cx *cx, const Value *v, bool batch, Axes *a) {
    v = mask_value(cx, v, NULL);
    if (!axes_of(cx, v, batch || lower_uses(v->expr, VAR_BATCH), NULL, a)) a->n = MAX_VARS;
    return lower_as(cx, v->expr, a);
}

Node *lower_with_axes(Cx *cx, const Value *v, Axes *a) { return store(cx, v, true, a); }

Node *lower_node(Cx *cx, const Value *v, bool batch) {
    Axes a;
    Node *n = store(cx, v, batch, &a);
    return n ? n : graph_scalar(cx->graph, 0);
}

Value *lower_stored(Cx *cx, const Value *v) {
    Value *r = value_copy(cx, v);
    if (!cx->graph) return r;
    Axes a;
    Node *n = store(cx, v, false, &a);
    r->expr = n ? axes_read(cx, n, &a) : nothing(cx, v->expr->dtype);
    return r;
}

Value *lower_named(Cx *cx, Value *v) {
    return !cx->graph || lower_plain(v->expr) ? v : lower_stored(cx, v);
}

static int count_axes(Cx *cx, const Value *v) {
    Axes a;
    return axes_of(cx, v, lower_uses(v->expr, VAR_BATCH), NULL, &a) ? a.n : MAX_VARS;
}

Value *lower_factor(Cx *cx, Value *v, const Value *product) {
    if (!cx->graph || v->expr->op == SC_READ || lower_plain(v->expr)) return v;
    return count_axes(cx, v) < count_axes(cx, product) ? lower_stored(cx, v) : v;
}

static void find_expensive(const Expr *e, void *p) {
    switch (e->op) {
    case SC_EXP: case SC_LOG: case SC_TANH: case SC_SQRT: case SC_SIN: case SC_COS: case SC_POW: case SC_DIV:
        *(bool *)p = true;
        return;
    default: return;
    }
}

Value *lower_hoist(Cx *cx, Value *v, int n, Value *const *with) {
    bool expensive = false;
    expr_walk(v->expr, find_expensive, &expensive);
    if (!expensive) return v;
    Axes mine, other;
    if (!axes_of(cx, v, lower_uses(v->expr, VAR_BATCH), NULL, &mine)) return v;
    for (int i = 0; i < n; i++) {
        if (with[i] == v || !axes_of(cx, with[i], lower_uses(with[i]->expr, VAR_BATCH), NULL, &other)) continue;
        for (int k = 0; k < other.n; k++) {
            bool has = false;
            for (int j = 0; j < mine.n; j++) has |= mine.var[j] == other.var[k];
            if (!has) return lower_stored(cx, v);
        }
    }
    return v;
}

/* Own dim k of v stands alone in one subscript, over a whole axis. */
static bool lone(Cx *cx, const Value *v, int k) {
    const Expr *e = v->expr;
    const Node *n = cx->graph->nodes.at[e->operand];
    int seen = 0, var;
    for (int i = 0; i < e->nsub; i++) {
        if (!affine_uses(&e->sub[i].aff, k)) continue;
        if (e->sub[i].ind || !affine_is_var(&e->sub[i].aff, &var)) return false;
        if (n->type.dim[i].size != v->ty.dim[k]->size) return false;
        seen++;
    }
    return seen == 1;
}

Value *lower_direct(Cx *cx, Value *v) {
    bool direct = v->expr->op == SC_READ && lower_plain(v->expr);
    for (int k = 0; direct && k < v->ty.rank; k++) direct = lone(cx, v, k);
    return direct ? v : lower_stored(cx, v);
}

/* ---- reductions -------------------------------------------------------------------------------- */

const Expr *lower_reduce(Cx *cx, Kind kind, const Value *v, const IndexList *ix, bool batch) {
    Axes outs, reds = {0};
    v = mask_reduced(cx, kind, v, ix);
    bool ok = axes_of(cx, v, !batch && lower_uses(v->expr, VAR_BATCH), ix, &outs);
    if (batch) axes_push(&reds, VAR_BATCH, batch_extent(cx), NULL, "b");
    for (int i = 0; ix && i < ix->n; i++)
        ok = ok && axes_push_dim(cx, &reds, ix->at[i]->var, ix->at[i]->dim, ix->at[i]->name);
    if (!ok || outs.n + reds.n > MAX_VARS) {
        report(cx, cx->at, E_LIMIT_INDICES, "this reduction has more than %d indices", MAX_VARS);
        return nothing(cx, v->expr->dtype);
    }
    if (!axes_fit(cx, &outs)) return nothing(cx, v->expr->dtype);
    return unless_empty(cx, kind, axes_read(cx, comp_make(cx, kind, &outs, &reds, v->expr), &outs), ix);
}

const Expr *lower_matmul(Cx *cx, Value *a, Value *b) {
    a = lower_named(cx, a);
    b = lower_named(cx, b);
    Index *k = index_new(cx, "k", a->ty.dim[1], NULL, cx->at, true);
    Change in_a = {1, affine_var(k->var), NULL}, in_b = {0, affine_var(k->var), NULL};
    Value *both[2] = {a, b};
    Value *p = value_tensor(cx, (Ty){.base = B_F32, .rank = b->ty.rank, .dim = {a->ty.dim[0], b->ty.dim[1]}});
    take_axes(cx, p, 2, both);
    p->expr = expr_op2(memory(cx), SC_MUL, lower_change(cx, a->expr, 1, &in_a), lower_change(cx, b->expr, 1, &in_b));
    IndexList over = {0};
    vec_push(cx->arena, &over, k);
    return lower_reduce(cx, KIND_SUM, p, &over, false);
}

Node *lower_gather(Cx *cx, const Value *table, const Value *index, const Expr **read) {
    Axes a;
    *read = nothing(cx, table->expr->dtype);
    Node *rows = store(cx, index, false, &a);
    if (!rows) return NULL;
    int rest = table->ty.rank - 1;
    if (a.n + rest > MAX_RANK) {
        for (int i = 0; i < rest && a.n < MAX_VARS; i++) axes_push(&a, i, (Extent){1, 0}, NULL, "");
        axes_fit(cx, &a);
        return NULL;
    }
    node_place(cx);
    Node *g = graph_gather(cx->graph, cx->graph->nodes.at[table->expr->operand], rows);
    for (int i = 0; i < rest; i++) axes_push_dim(cx, &a, i, table->ty.dim[i + 1], "");
    if (!axes_fit(cx, &a)) return NULL;
    *read = axes_read(cx, g, &a);
    return g;
}

const Expr *lower_stop(Cx *cx, const Value *v) {
    Axes a;
    Node *n = store(cx, v, false, &a);
    if (!n) return nothing(cx, v->expr->dtype);
    node_place(cx);
    return axes_read(cx, graph_stop(cx->graph, n), &a);
}

const Expr *lower_flat(Cx *cx, const Value *v, Dim *size) {
    Axes a;
    Node *n = store(cx, v, false, &a);
    if (!n) return nothing(cx, v->expr->dtype);
    a.n -= v->ty.rank;
    axes_push(&a, 0, (Extent){size->size, 0}, NULL, "i");
    node_place(cx);
    return axes_read(cx, graph_reshape(cx->graph, n, a.n, a.ext), &a);
}

/* ---- leaves ------------------------------------------------------------------------------------ */

DType lower_dtype(const Ty *t) {
    switch (t->base) {
    case B_ELEMENT: case B_I32: return DT_I32;
    case B_U8: return DT_U8;
    case B_BOOL: return DT_PRED;
    default: return DT_F32;
    }
}

static void own_axes(Cx *cx, const Ty *ty, bool batch, Axes *a) {
    a->n = 0;
    if (batch) axes_push(a, VAR_BATCH, batch_extent(cx), NULL, "b");
    for (int i = 0; i < ty->rank; i++) axes_push_dim(cx, a, i, ty->dim[i], "");
}

const Expr *lower_leaf(Cx *cx, Node *n, const Ty *ty, bool batch) {
    Axes a;
    own_axes(cx, ty, batch, &a);
    const Expr *e = axes_read(cx, n, &a);
    if (ty->base != B_BOOL || n->type.dtype == DT_PRED) return e;
    return expr_op2(memory(cx), SC_LT, lower_real(cx, 0), lower_number(cx, e));
}

Type lower_type(Cx *cx, const Ty *ty, bool batch) {
    Axes a;
    own_axes(cx, ty, batch, &a);
    DType d = lower_dtype(ty);
    return type_of(d, a.n, a.ext);
}

/* Conditions come in as u8. What lies past the length of an example is not looked at. */
const Expr *lower_input(Cx *cx, const Ty *ty, const char *key) {
    Type t = lower_type(cx, ty, true);
    if (t.dtype == DT_PRED) t.dtype = DT_U8;
    node_place(cx);
    Value v = {.kind = V_TENSOR, .ty = *ty, .batched = true};
    Node *in = ty->base == B_ELEMENT ? graph_index(cx->graph, t, extent_of(cx, ty->elem).size, key)
                                     : graph_input(cx->graph, t, IN_DATA, key);
    v.expr = lower_leaf(cx, in, ty, true);
    const Expr *masked = mask_input(cx, &v);
    if (masked == v.expr) return masked;
    v.expr = masked;
    return lower_stored(cx, &v)->expr;
}

const Expr *lower_scalar_input(Cx *cx, const char *key) {
    Type t = {.dtype = DT_F32};
    node_place(cx);
    Node *n = graph_input(cx->graph, t, IN_SCALAR, key);
    return expr_read(memory(cx), DT_F32, n->id, 0, NULL, false);
}

uint32_t hash_text(uint32_t h, const char *s) {
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

uint32_t hash_call(Cx *cx, Loc at) {
    uint32_t h = hash_text(HASH_START, cx->owner ? cx->owner : "");
    h = hash_text(h, arena_printf(cx->arena, "@%s:%d:%d", at.src ? at.src->name : "", at.line, at.col));
    for (int i = 0; cx->frame && i < cx->frame->repeat.n; i++)
        h = hash_text(h, arena_printf(cx->arena, ".%lld", (long long)cx->frame->repeat.at[i]));
    return h;
}

/* The site: who is called from where, all the way down, so that two calls have two sequences. */
const Expr *lower_uniform(Cx *cx, const Value *v, const char *salt) {
    uint32_t site = HASH_START;
    for (int i = 0; i < cx->path.n; i++) site = hash_text(site, arena_printf(cx->arena, "%08x", cx->path.at[i]));
    site = hash_text(site, arena_printf(cx->arena, "%08x%s", hash_call(cx, cx->at), salt));
    Axes a = {0};
    bool ok = steps_axes(cx, &a) && axes_push(&a, VAR_BATCH, batch_extent(cx), NULL, "b");
    for (int i = 0; i < v->naxis; i++)
        ok = ok && axes_push_dim(cx, &a, v->axis[i]->var, v->axis[i]->dim, v->axis[i]->name);
    for (int i = 0; i < v->ty.rank; i++) ok = ok && axes_push_dim(cx, &a, i, v->ty.dim[i], "");
    if (!ok || !axes_fit(cx, &a)) return lower_real(cx, 0.5);
    node_place(cx);
    return axes_read(cx, graph_rng(cx->graph, type_of(DT_F32, a.n, a.ext), site), &a);
}

/* ---- small expressions ------------------------------------------------------------------------- */

const Expr *lower_var(Cx *cx, int var) { return expr_idx(memory(cx), affine_var(var)); }
const Expr *lower_real(Cx *cx, double v) { return expr_const(memory(cx), v); }
const Expr *lower_bool(Cx *cx, bool v) { return expr_pred(memory(cx), v); }

const Expr *lower_number(Cx *cx, const Expr *e) {
    if (e->op == SC_CONST) return lower_real(cx, e->value);
    return expr_cast(memory(cx), DT_F32, e);
}

const Expr *lower_not(Cx *cx, const Expr *e) { return expr_op2(memory(cx), SC_EQ, e, lower_bool(cx, false)); }
const Expr *lower_and(Cx *cx, const Expr *a, const Expr *b) {
    return expr_sel(memory(cx), a, b, lower_bool(cx, false));
}

const Expr *lower_or(Cx *cx, const Expr *a, const Expr *b) { return expr_sel(memory(cx), a, lower_bool(cx, true), b); }
