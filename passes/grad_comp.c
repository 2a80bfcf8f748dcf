/* The one rule of differentiation for comp.
 *
 * For each different read of operand k in y[outs] = kind over reds of e:
 *
 *     dk[q] += sum over all index values that make the read touch element q of dy[outs] * d e / d read
 *
 * The index values come from relation.c, the derivative from grad_scalar.c. The kinds differ in the weight
 * that they put on a point: map and sum 1; max and min 1 for the first winner and 0 for the others;
 * prod the product of the others.
 */
#include "passes/algebra.h"
#include "passes/grad_impl.h"
#include "passes/relation.h"

/* ---- before: arms of a choice --------------------------------------------------------------------- */

typedef struct {
    const Backward *b;
    const Draft    *d;
    int             found;      /* an operand, or -1 */
} Arms;

static void find_risky(const Expr *e, void *cx) {
    Arms *r = cx;
    if (e->op != SC_READ || r->found >= 0) return;
    Node *n = r->d->arg.at[e->operand];
    if (r->b->risky[n->id] && draft_can_inline(r->d, e->operand)) r->found = e->operand;
}

static void find_arm(const Expr *e, void *cx) {
    if (e->op != SC_SEL) return;
    expr_walk(e->arg[1], find_risky, cx);
    expr_walk(e->arg[2], find_risky, cx);
}

/* `if x > 0 then log(x) else 0` has slope 0 at 0 and not NaN, also when log(x) is a node of its own: what
 * an arm computes element by element belongs into the expression, where the choice comes last. */
static void gather_arms(const Backward *b, Draft *d) {
    enum { LARGE = 200 };
    for (;;) {
        Arms r = {b, d, -1};
        expr_walk(d->expr, find_arm, &r);
        if (r.found < 0 || expr_size(d->expr) > LARGE || draft_reads(d) >= MAX_OPERANDS) return;
        draft_inline(d, r.found);
    }
}

/* ---- weights of the kinds -------------------------------------------------------------------------- */

/* The forward comp, its operands and what a weight reads besides. */
typedef struct {
    Draft       d;
    Node       *node, *dy;
    Affine      at[MAX_VARS];   /* the variables themselves: at[0 .. nout-1] reads a result */
    const Expr *y;              /* the result, if the expression's slope can use it */
} Forward;

typedef const Expr *Weight(Forward *f, const Expr *slope, const Expr *dy);

static const Expr *weight_MAP(Forward *f, const Expr *slope, const Expr *dy) {
    return scalar_times(f->d.g->arena, slope, dy);
}

static const Expr *weight_SUM(Forward *f, const Expr *slope, const Expr *dy) { return weight_MAP(f, slope, dy); }

/* Exactly one winner, also when several are equal. */
static const Expr *weight_winner(Forward *f, Kind arg, const Expr *slope, const Expr *dy) {
    Arena      *a = f->d.g->arena;
    const Comp *c = &f->node->u.comp;
    Node       *winner = graph_comp(f->d.g, arg, c->nout, c->nred, c->nder, c->var, c->expr, f->node->narg,
                                    f->node->arg);
    const Expr *here = expr_idx(a, draft_flat(&f->d));
    const Expr *wins = alg_op2(a, SC_EQ, here, draft_read(&f->d, winner, f->at));
    return alg_sel(a, wins, scalar_times(a, slope, dy), expr_const(a, 0));
}

static const Expr *weight_MAX(Forward *f, const Expr *slope, const Expr *dy) {
    return weight_winner(f, KIND_ARGMAX, slope, dy);
}

static const Expr *weight_MIN(Forward *f, const Expr *slope, const Expr *dy) {
    return weight_winner(f, KIND_ARGMIN, slope, dy);
}

/* others[outs, reds] = product over all points but this one: exact when factors are zero. */
static Node *product_of_others(Forward *f) {
    Draft  o = f->d;
    Arena *a = o.g->arena;
    int    first = o.nout + o.nred, n = first + o.nred;
    Affine to_other[MAX_VARS];
    if (first > MAX_RANK || n + o.nder > MAX_VARS) ICE("the gradient of a product over %d variables", o.nred);
    const Expr *same = expr_pred(a, true);
    for (int v = 0; v < o.nout; v++) to_other[v] = affine_var(v);
    for (int i = 0; i < o.nred; i++) {
        to_other[o.nout + i] = affine_var(first + i);
        o.var[first + i] = f->d.var[o.nout + i];
        const Expr *eq = alg_op2(a, SC_EQ, expr_idx(a, affine_var(o.nout + i)), expr_idx(a, affine_var(first + i)));
        same = alg_sel(a, same, eq, expr_pred(a, false));
    }
    for (int i = 0; i < o.nder; i++) {
        Var v = f->d.var[first + i];
        v.num = affine_subst(&v.num, to_other, first + i);
        to_other[first + i] = affine_var(n + i);
        o.var[n + i] = v;
    }
    const Expr *e = expr_subst(a, f->d.expr, to_other, first + o.nder, NULL);
    o.expr = alg_sel(a, same, expr_const(a, 1), e);
    o.nout = first;
    return draft_finish(&o);
}

static const Expr *weight_PROD(Forward *f, const Expr *slope, const Expr *dy) {
    Arena      *a = f->d.g->arena;
    const Expr *others = draft_read(&f->d, product_of_others(f), f->at);
    return scalar_times(a, slope, alg_op2(a, SC_MUL, others, dy));
}

/* Indices and conditions have no slope. */
#define weight_ARGMAX NULL
#define weight_ARGMIN NULL
#define weight_ALL    NULL
#define weight_ANY    NULL

static Weight *const WEIGHT[KIND_COUNT] = {
#define KIND(id, text, math) [KIND_##id] = weight_##id,
#include "ir/kinds.def"
#undef KIND
};

/* ---- the rule --------------------------------------------------------------------------------------- */

/* Points whose indirect subscript is the element asked for; the others give nothing. */
static const Expr *guard_indirect(Arena *a, const Expr *read, const Expr *e, const Affine *by, int nvar) {
    for (int i = 0; i < read->nsub; i++) {
        const Sub *s = &read->sub[i];
        if (!s->ind) continue;
        Affine      rest = affine_add(affine_var(i), affine_subst(&s->aff, by, nvar), -1);
        const Expr *ind = expr_subst(a, s->ind, by, nvar, NULL);
        e = alg_sel(a, alg_op2(a, SC_EQ, expr_idx(a, rest), ind), e, expr_const(a, 0));
    }
    return e;
}

static void contribute(Backward *b, Forward *f, const Expr *read) {
    Draft      *d = &f->d;
    Arena      *a = b->g->arena;
    Node       *operand = d->arg.at[read->operand];
    const Expr *slope = scalar_derivative(a, d->expr, read, f->y);
    if (!slope || expr_is_const(slope, 0)) return;
    const Expr *e = WEIGHT[d->kind](f, slope, draft_read(d, f->dy, f->at));
    Draft       to = *d;
    Affine      by[MAX_VARS];
    int         nvar = d->nout + d->nred + d->nder;
    relation_solve(d, read, &operand->type, &to, by);
    to.kind = KIND_SUM;
    to.expr = guard_indirect(a, read, expr_subst(a, e, by, nvar, NULL), by, nvar);
    grad_add(b, operand, draft_finish(&to));
}

typedef struct {
    const Backward *b;
    const Draft    *d;
    VEC(const Expr *) reads;
} Reads;

/* Different reads of operands that need a gradient. Reads inside subscripts have none. */
static void find_reads(Reads *r, const Expr *e) {
    if (e->dtype != DT_F32) return;
    for (int i = 0; i < SCALARS[e->op].args; i++) find_reads(r, e->arg[i]);
    if (e->op != SC_READ || !r->b->needed[r->d->arg.at[e->operand]->id]) return;
    for (int i = 0; i < r->reads.n; i++)
        if (expr_equal(r->reads.at[i], e)) return;
    vec_push(r->b->scratch, &r->reads, e);
}

void grad_COMP(Backward *b, Node *n, Node *dy) {
    Kind kind = n->u.comp.kind;
    if (!WEIGHT[kind]) return;
    Forward f = {.d = draft_of(b->g, n), .node = n, .dy = dy};
    for (int v = 0; v < MAX_VARS; v++) f.at[v] = affine_var(v);
    gather_arms(b, &f.d);
    Reads r = {.b = b, .d = &f.d};
    find_reads(&r, f.d.expr);
    if (kind == KIND_MAP && scalar_uses_y(f.d.expr)) f.y = draft_read(&f.d, n, f.at);
    for (int i = 0; i < r.reads.n; i++) contribute(b, &f, r.reads.at[i]);
}
