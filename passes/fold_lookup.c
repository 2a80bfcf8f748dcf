/* A sum over eq(v, a) is a lookup at a.
 *
 *     sum over v of eq(v, a) * f(v)                    =  f(a)            one-hot times a matrix, z[y]
 *     y[v,k] = sum over b of eq(v, a[b]) * f[b,k]      =  scatter_add     the gradient of a lookup
 *
 * eq(v, a) may be written as sel(eq, f, 0), as f * cast(eq), or as a one-hot map that the sum reads.
 * The rule holds only if a is one of the values of v. That is so by construction for an argmax over v's
 * range, and for inputs that are elements of a dim of v's size or less, checked when they are loaded.
 */
#include "passes/algebra.h"
#include "passes/fold_impl.h"

/* ---- finding the factor ------------------------------------------------------------------------------ */

typedef struct {
    int  v;
    bool found;
} Uses;

static void find_use(const Expr *e, void *cx) {
    Uses *u = cx;
    if (e->op == SC_IDX) u->found |= affine_coef(&e->aff, u->v) != 0;
    for (int i = 0; i < e->nsub; i++) u->found |= affine_coef(&e->sub[i].aff, u->v) != 0;
}

static bool uses_var(const Expr *e, int v) {
    Uses u = {v, false};
    expr_walk(e, find_use, &u);
    return u.found;
}

static bool derived_from(const Draft *d, int v) {
    for (int i = d->nout + d->nred; i < d->nout + d->nred + d->nder; i++)
        if (affine_coef(&d->var[i].num, v)) return true;
    return false;
}

/* Every number of the i32 tensor `n` lies in 0 .. size-1. */
static bool is_trusted(const Node *n, int64_t size) {
    if (n->op == OP_INPUT) return n->u.input.below && n->u.input.below <= size;
    if (n->op == OP_RESHAPE || n->op == OP_STOP) return is_trusted(n->arg[0], size);
    if (n->op != OP_COMP) return false;
    const Comp *c = &n->u.comp;
    if (c->kind == KIND_ARGMAX || c->kind == KIND_ARGMIN) {
        int64_t count = 1;
        for (int i = c->nout; i < c->nout + c->nred; i++) count *= c->var[i].ext.size;
        return count <= size;
    }
    return c->kind == KIND_MAP && c->expr->op == SC_READ && !c->expr->guarded && is_trusted(n->arg[0], size);
}

/* c is eq(v, a), a trusted and independent of v. */
static bool equals_trusted(Factor *f, const Expr *c) {
    if (c->op != SC_EQ || c->arg[0]->dtype != DT_I32 || f->index) return false;
    for (int side = 0; side < 2; side++) {
        const Expr *i = c->arg[side], *a = c->arg[1 - side];
        int         v;
        if (i->op != SC_IDX || !affine_is_var(&i->aff, &v) || v != f->v) continue;
        if (a->op != SC_READ || a->guarded || uses_var(a, f->v)) continue;
        if (!is_trusted(f->d->arg.at[a->operand], f->d->var[v].ext.size)) continue;
        f->index = a;
        return true;
    }
    return false;
}

const Expr *sum_without(Factor *f, const Expr *e) {
    Arena      *a = f->d->g->arena;
    const Expr *r;
    switch (e->op) {
    case SC_SEL:
        if (!expr_is_const(e->arg[2], 0)) return NULL;
        if (f->match(f, e->arg[0])) return e->arg[1];
        return (r = sum_without(f, e->arg[1])) ? alg_sel(a, e->arg[0], r, e->arg[2]) : NULL;
    case SC_CAST:
        return e->dtype == DT_F32 && f->match(f, e->arg[0]) ? expr_const(a, 1) : NULL;
    case SC_MUL:
        for (int side = 0; side < 2; side++)
            if ((r = sum_without(f, e->arg[side]))) return alg_op2(a, SC_MUL, r, e->arg[1 - side]);
        return NULL;
    case SC_NEG:
        return (r = sum_without(f, e->arg[0])) ? alg_op1(a, SC_NEG, r) : NULL;
    case SC_DIV:
        return (r = sum_without(f, e->arg[0])) ? alg_op2(a, SC_DIV, r, e->arg[1]) : NULL;
    default:
        return NULL;
    }
}

/* ---- one-hot maps ------------------------------------------------------------------------------------- */

static bool is_one_hot(const Node *n) {
    if (n->op != OP_COMP || n->u.comp.kind != KIND_MAP || n->type.dtype != DT_F32) return false;
    const Expr *e = n->u.comp.expr, *c = e->arg[0];
    if (e->op == SC_SEL && (!expr_is_const(e->arg[1], 1) || !expr_is_const(e->arg[2], 0))) return false;
    return (e->op == SC_SEL || e->op == SC_CAST) && c->op == SC_EQ && c->arg[0]->dtype == DT_I32;
}

static void inline_one_hots(Draft *d) {
    for (int k = 0; k < d->arg.n; k++)
        if (is_one_hot(d->arg.at[k]) && draft_can_inline(d, k)) draft_inline(d, k);
}

/* ---- a reduction variable: a lookup --------------------------------------------------------------------- */

typedef struct {
    Arena      *arena;
    int         v;
    const Expr *index;
    bool        ok;
} Lookup;

/* x[.., v + k, ..] becomes x[.., k + {a}, ..]; any other use of v stops it. */
static const Expr *look_up(Lookup *l, const Expr *e) {
    if (!uses_var(e, l->v)) return e;
    if (e->op == SC_READ) {
        Sub sub[MAX_RANK];
        l->ok &= !e->guarded;
        for (int i = 0; i < e->nsub; i++) {
            int64_t k = affine_coef(&e->sub[i].aff, l->v);
            sub[i] = e->sub[i];
            if (sub[i].ind) l->ok &= !uses_var(sub[i].ind, l->v) && !k;
            if (!k) continue;
            l->ok &= k == 1;
            sub[i].aff = affine_add(sub[i].aff, affine_var(l->v), -k);
            sub[i].ind = l->index;
        }
        return expr_read(l->arena, e->dtype, e->operand, e->nsub, sub, e->guarded);
    }
    if (e->op == SC_IDX) {                              /* idx(v) is a */
        l->ok &= affine_is_var(&e->aff, NULL);
        return l->index;
    }
    const Expr *arg[3] = {NULL, NULL, NULL};
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = look_up(l, e->arg[i]);
    return alg_rebuild(l->arena, e, arg);
}

static bool look_up_red(Draft *d, int v) {
    if (d->var[v].ext.bound || derived_from(d, v)) return false;
    Factor      f = {.d = d, .v = v, .match = equals_trusted};
    const Expr *rest = sum_without(&f, d->expr);
    if (!rest) return false;
    Lookup      l = {d->g->arena, v, f.index, true};
    const Expr *e = look_up(&l, rest);
    if (!l.ok) return false;
    bool keep[MAX_VARS];
    for (int i = 0; i < MAX_VARS; i++) keep[i] = i != v;
    d->expr = e;
    draft_drop_vars(d, keep);
    return true;
}

bool lookup_reds(Draft *d) {
    if (d->kind != KIND_SUM) return false;
    Draft open = *d;
    bool  changed = false;
    inline_one_hots(&open);
    for (int v = open.nout; v < open.nout + open.nred; v++)
        if (look_up_red(&open, v)) changed = true, v--;
    if (changed) *d = open;
    return changed;
}

/* ---- an out: scatter_add ----------------------------------------------------------------------------------- */

/* A draft over the variables `first` and then `rest` of d, with its derived ones; by = old to new. */
static Draft reordered(const Draft *d, const int *first, int nfirst, const int *rest, int nrest, bool derived,
                       Affine *by) {
    Draft o = *d;
    int   n = 0, old = d->nout + d->nred;
    for (int i = 0; i < nfirst + nrest; i++) {
        int v = i < nfirst ? first[i] : rest[i - nfirst];
        o.var[n] = d->var[v];
        by[v] = affine_var(n++);
    }
    for (int i = 0; derived && i < d->nder; i++) {
        o.var[n] = d->var[old + i];
        o.var[n].num = affine_subst(&d->var[old + i].num, by, old + i);
        by[old + i] = affine_var(n++);
    }
    o.nout = nfirst;
    o.nred = nrest;
    o.nder = derived ? d->nder : 0;
    o.kind = o.nred + o.nder ? KIND_SUM : KIND_MAP;
    return o;
}

/* index[r] for the reduction variables r that it depends on; grad[r, k] for the outs k but v. */
static Node *scatter(const Draft *d, int v, const Expr *index, const Expr *e) {
    int    r[MAX_VARS], rest[MAX_VARS], axes[MAX_VARS], nr = 0, nrest = 0, n = 0;
    Affine by[MAX_VARS] = {0};
    for (int i = 0; i < d->nout + d->nred + d->nder; i++) {
        bool is_red = i >= d->nout && i < d->nout + d->nred;
        if (uses_var(index, i) && !is_red) return NULL;
        if (is_red && uses_var(index, i)) r[nr++] = i;
        if (is_red && !uses_var(index, i)) rest[nrest++] = i;
    }
    if (!nr || nr + d->nout - 1 > MAX_RANK) return NULL;
    for (int i = 0; i < nr; i++) axes[n++] = r[i];
    for (int i = 0; i < d->nout; i++)
        if (i != v) axes[n++] = i;
    int   nvar = d->nout + d->nred + d->nder;
    Draft in = reordered(d, r, nr, NULL, 0, false, by);
    in.expr = expr_subst(d->g->arena, index, by, nvar, NULL);
    Node *at = draft_finish(&in);
    Draft gr = reordered(d, axes, n, rest, nrest, true, by);
    gr.expr = expr_subst(d->g->arena, e, by, nvar, NULL);
    Node *s = graph_scatter(d->g, draft_finish(&gr), at, d->var[v].ext.size);
    Draft back = *d;                    /* v is the first axis of s; it is axis v of the result */
    Affine sub[MAX_RANK] = {0};
    sub[0] = affine_var(v);
    for (int i = 0, k = 1; i < d->nout; i++)
        if (i != v) sub[k++] = affine_var(i);
    back.nred = back.nder = 0;
    back.kind = KIND_MAP;
    back.expr = draft_read(&back, s, sub);
    return draft_finish(&back);
}

Node *lookup_scatter(Draft *d) {
    enum { WORTH = 4 };                 /* fewer rows than this: the plain sum is as good */
    if (d->kind != KIND_SUM || !d->nred) return NULL;
    Draft open = *d;
    inline_one_hots(&open);
    for (int v = 0; v < open.nout; v++) {
        if (open.var[v].ext.bound || open.var[v].ext.size < WORTH || derived_from(&open, v)) continue;
        Factor      f = {.d = &open, .v = v, .match = equals_trusted};
        const Expr *rest = sum_without(&f, open.expr);
        if (!rest || uses_var(rest, v)) continue;
        Node *n = scatter(&open, v, f.index, rest);
        if (n) return n;
    }
    return NULL;
}
