/* Index variables and reductions: sum[c,r](w[o,c,r] * x[c,i+r]). */
#include "frontend/check.h"
#include "frontend/lower.h"

bool index_fresh(Cx *cx, const char *name, Frame *f, Loc at) {
    Value *old = lookup(f, name);
    bool taken = old && (old->kind == V_TENSOR || old->kind == V_DIM || old->kind == V_NUMBER || old->kind == V_INDEX ||
                         old->kind == V_SCANOUT);
    if (!taken && !is_builtin(name)) return true;
    report(cx, at, E_INDEX_NAME, "'%s' already has a meaning here: take another name for the index", name);
    if (old) note_declared(cx, f, name);
    return false;
}

Index *index_new(Cx *cx, const char *name, Dim *d, Frame *frame, Loc loc, bool bounded) {
    Index *i = ARENA_NEW(cx->arena, Index);
    *i = (Index){.name = name, .dim = d, .frame = frame, .loc = loc, .bounded = bounded, .var = cx->next_var++};
    if (d && d->ragged) uses_sequence(cx, loc);
    return i;
}

/* The indices of a left side or reduction (from number `from` on), defined in g. */
bool index_make(Cx *cx, const AstList *subs, int from, Frame *f, Frame *g, IndexList *out) {
    for (int k = from; k < subs->n; k++) {
        const Ast *s = subs->at[k];
        Dim *bound = NULL;
        if (s->kind == AST_BIN && s->op == BIN_LT && s->a->kind == AST_ID) {
            bound = size_dim(cx, s->b, f);
            if (!bound) return false;
            s = s->a;
        }
        if (s->kind != AST_ID) return report(cx, s->loc, E_SUBSCRIPT, "an index is a name, or name < bound");
        if (!index_fresh(cx, s->name, g, s->loc)) return false;
        Index *i = index_new(cx, s->name, bound, f->body, s->loc, bound != NULL);
        Value *v = value_new(cx, V_INDEX);
        v->u.index = i;
        define(cx, g, s->name, v, s->loc);
        vec_push(cx->arena, out, i);
    }
    return true;
}

/* ---- bounds that follow from use ---------------------------------------------------------------- */

typedef struct {
    Cx    *cx;
    Frame *frame;
    const IndexList *pending;
} InferCx;

static bool wants(const InferCx *c, const Index *i) {
    for (int k = 0; k < c->pending->n; k++)
        if (c->pending->at[k] == i) return !i->dim;
    return false;
}

/* x[.., i, ..] with a known x gives i the dim of that axis. */
static bool infer_at(const Ast *e, void *p) {
    InferCx *c = p;
    if (e->kind != AST_INDEX || e->a->kind != AST_ID) return false;
    Value *base = lookup(c->frame, e->a->name);
    if (!base || (base->kind != V_TENSOR && base->kind != V_SCANOUT)) return false;
    bool step = base->kind == V_SCANOUT;             /* the first subscript is the step */
    const Ty *ty = &base->ty;
    if (step) ty = base->u.out->cur ? &base->u.out->cur->ty : &base->u.out->ty;
    for (int k = step; k < e->args.n && k - step < ty->rank; k++) {
        const Ast *s = e->args.at[k];
        Value *v = s->kind == AST_ID ? lookup(c->frame, s->name) : NULL;
        if (v && v->kind == V_INDEX && wants(c, v->u.index)) v->u.index->dim = ty->dim[k - step];
    }
    return false;
}

static const Index *unbounded(const IndexList *ix) {
    for (int k = 0; k < ix->n; k++)
        if (!ix->at[k]->dim) return ix->at[k];
    return NULL;
}

/* A name whose definition failed. */
static bool is_poisoned(const Ast *e, void *p) {
    InferCx *c = p;
    Value *v = e->kind == AST_ID ? lookup(c->frame, e->name) : NULL;
    return v && v->kind == V_POISON;
}

bool index_infer(Cx *cx, const IndexList *ix, const AstList *exprs, Frame *g) {
    if (!unbounded(ix)) return true;
    InferCx c = {cx, g, ix};
    for (int k = 0; k < exprs->n; k++) ast_find(exprs->at[k], infer_at, &c);
    if (unbounded(ix)) {                             /* a trial walk binds an index at its first lone use */
        Graph *graph = cx->graph;
        cx->graph = NULL;
        cx->muted++;
        for (int k = 0; k < exprs->n; k++)
            if (!eval(cx, exprs->at[k], g)) break;
        cx->muted--;
        cx->graph = graph;
    }
    for (int k = 0; k < ix->n; k++)
        if (ix->at[k]->dim && ix->at[k]->dim->ragged) uses_sequence(cx, ix->at[k]->loc);
    const Index *left = unbounded(ix);
    if (!left || cx->lenient) return true;
    for (int k = 0; k < exprs->n; k++)
        if (ast_find(exprs->at[k], is_poisoned, &c)) return false;
    return report(cx, left->loc, E_BOUND, "index %s has no bound: write %s < n, or use it alone in a subscript",
                  left->name, left->name);
}

/* ---- reductions -------------------------------------------------------------------------------- */

static bool is_arg(const char *op) { return !strncmp(op, "arg", 3); }

static Value *operand(Cx *cx, const char *op, const IndexList *ix, Value *v, Loc at) {
    if (!strcmp(op, "all") || !strcmp(op, "any")) {
        v = as_tensor(cx, v, at);
        if (!v || v->ty.base == B_BOOL || v->ty.base == B_UNKNOWN) return v;
        report(cx, at, E_CONDITION, "'%s' needs a condition, this is %s", op, ty_text(cx->arena, &v->ty));
        return NULL;
    }
    if (!is_arg(op)) return as_number(cx, v, at, true);
    v = as_tensor(cx, v, at);
    if (!v) return NULL;
    if (ix->n != 1 || v->ty.rank) {
        report(cx, at, E_SHAPES, "%s takes one index and a number", op);
        return NULL;
    }
    return as_number(cx, v, at, false);
}

static const Expr *fold_expr(Cx *cx, const char *op, const IndexList *ix, const Value *v) {
    static const struct { const char *op; Kind kind; } KINDS[] = {
        {"sum", KIND_SUM}, {"mean", KIND_SUM}, {"max", KIND_MAX}, {"min", KIND_MIN}, {"prod", KIND_PROD},
        {"all", KIND_ALL}, {"any", KIND_ANY}, {"argmax", KIND_ARGMAX}, {"argmin", KIND_ARGMIN},
    };
    int k = 0;
    while (strcmp(KINDS[k].op, op)) k++;
    const Expr *e = lower_reduce(cx, KINDS[k].kind, v, ix, false);
    if (strcmp(op, "mean")) return e;
    return expr_op2(cx->graph->arena, SC_DIV, e, lower_count(cx, ix));
}

Value *fold(Cx *cx, const char *op, const IndexList *ix, Value *v, Loc at) {
    v = operand(cx, op, ix, v, at);
    if (!v || v->ty.base == B_UNKNOWN) return v;
    Ty ty = v->ty;
    bool condition = !strcmp(op, "all") || !strcmp(op, "any");
    ty.base = condition ? B_BOOL : is_arg(op) ? B_ELEMENT : B_F32;
    ty.elem = is_arg(op) ? ix->at[0]->dim : NULL;
    Value *r = value_tensor(cx, ty);
    r->axis = ARENA_ARRAY(cx->arena, Index *, v->naxis);
    r->batched = v->batched;
    for (int k = 0; k < ix->n; k++) r->batched |= ix->at[k]->dim->ragged;
    for (int k = 0; k < v->naxis; k++) {
        bool gone = false;
        for (int i = 0; i < ix->n; i++) gone |= ix->at[i] == v->axis[k];
        if (!gone) r->axis[r->naxis++] = v->axis[k];
    }
    if (cx->graph) r->expr = fold_expr(cx, op, ix, v);
    return tensor_fits(cx, r, at) ? r : NULL;
}

/* The body of a sum of products. Factors that are more than reads, and vary with less than the product,
 * become nodes, so that the sum is a contraction of two nodes. */
static Value *product(Cx *cx, const Ast *body, Frame *g) {
    Value *a = eval(cx, body->a, g), *b = eval(cx, body->b, g);
    if (!a || !b) return NULL;
    a = as_number(cx, a, body->loc, false);
    b = as_number(cx, b, body->loc, false);
    if (!a || !b) return NULL;
    if (cx->graph && !a->ty.rank && !b->ty.rank) {
        Value *both[2] = {a, b};
        Value *p = value_tensor(cx, ty_scalar(B_F32));
        take_axes(cx, p, 2, both);
        p->expr = expr_op2(cx->graph->arena, SC_MUL, a->expr, b->expr);
        a = lower_factor(cx, a, p);
        b = lower_factor(cx, b, p);
    }
    return arithmetic(cx, BIN_MUL, a, b, body->loc);
}

Value *reduction(Cx *cx, const char *op, const AstList *subs, const Ast *body, Frame *f, Loc at) {
    Frame *g = frame_child(cx, f, f->kind);
    IndexList ix = {0};
    AstList bodies = {0};
    vec_push(cx->arena, &bodies, (Ast *)body);
    if (!index_make(cx, subs, 0, f, g, &ix) || !index_infer(cx, &ix, &bodies, g)) return NULL;
    if (unbounded(&ix)) {
        Value *any = value_any(cx);
        return any;
    }
    bool contraction = !strcmp(op, "sum") && body->kind == AST_BIN && body->op == BIN_MUL;
    Value *v = contraction ? product(cx, body, g) : eval_tensor(cx, body, g);
    return v ? fold(cx, op, &ix, v, contraction ? body->loc : at) : NULL;
}
