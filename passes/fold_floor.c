/* Whole quotients of indices: x[i/2] of an enlarged image, w[i/d] of a head of attention, i - 4*(i/4).
 *
 * The front end writes i/k as i32(floor(i / k)). Where every subscript is affine, the reads have strides, and a
 * gradient is a sum over the points that read an element, not over all with a test:
 *
 *     floor((k*A + r) / k)              =  A           for 0 <= r < k
 *     f(floor((i + k*A) / k)), i < k*m  =  f(i1 + A),  i = k*i1 + i2        i becomes two variables
 *     sum over r of eq(r + A, B) f(r)   =  f(B - A)    where that is one of r's values: a derived variable
 */
#include <math.h>

#include "passes/algebra.h"
#include "passes/fold_impl.h"

/* ---- forms ------------------------------------------------------------------------------------------ */

typedef struct {
    const Draft *d;
    int          split;         /* a variable in the way of a quotient, which can be split */
    int64_t      by;            /* and by what; 0: none */
} Quotients;

static bool whole_of(Quotients *q, const Expr *e, Affine *f);

/* e is x / k for a whole number k; a division by a power of two has become a product. */
static const Expr *divided(const Expr *e, int64_t *k) {
    if (e->op != SC_DIV && e->op != SC_MUL) return NULL;
    int         c = e->op == SC_MUL && e->arg[0]->op == SC_CONST ? 0 : 1;
    const Expr *by = e->arg[c];
    if (by->op != SC_CONST) return NULL;
    double v = e->op == SC_DIV ? by->value : 1 / by->value;
    *k = v >= 2 && v <= 1 << 24 ? (int64_t)v : 0;
    return *k && (double)*k == v ? e->arg[1 - c] : NULL;
}

static bool may_split(const Draft *d, int v, int64_t k) {
    return v < d->nout + d->nred && !d->var[v].ext.bound && d->var[v].ext.size > k && d->var[v].ext.size % k == 0;
}

/* floor(f / k), if it is an affine form. */
static bool quotient(Quotients *q, const Affine *f, int64_t k, Affine *result) {
    int64_t lo, hi, c = (f->c % k + k) % k;
    Affine  whole = affine_const((f->c - c) / k), rest = affine_const(c);
    for (int i = 0; i < f->n; i++) {
        int64_t coef = f->term[i].coef;
        Affine *to = coef % k ? &rest : &whole;
        *to = affine_add(*to, affine_var(f->term[i].var), coef % k ? coef : coef / k);
    }
    affine_range(&rest, q->d->var, &lo, &hi);
    *result = whole;
    if (lo >= 0 && hi < k) return true;
    if (rest.n == 1 && !rest.c && rest.term[0].coef == 1 && may_split(q->d, rest.term[0].var, k)) {
        q->split = rest.term[0].var;
        q->by = k;
    }
    return false;
}

static int terms_of(const Affine *a, const Affine *b) {
    int n = a->n;
    for (int i = 0; i < b->n; i++) n += !affine_coef(a, b->term[i].var);
    return n;
}

static bool sum_of(const Affine *a, const Affine *b, int64_t scale, Affine *f) {
    if (terms_of(a, b) > MAX_TERMS) return false;
    *f = affine_add(*a, *b, scale);
    return true;
}

/* The i32 value e as an affine form. */
static bool whole_of(Quotients *q, const Expr *e, Affine *f) {
    Affine  a, b;
    int64_t k;
    switch (e->op) {
    case SC_IDX:
        *f = e->aff;
        return true;
    case SC_CONST:
        *f = affine_const((int64_t)e->value);
        return e->dtype == DT_I32;
    case SC_NEG:
        if (!whole_of(q, e->arg[0], &a)) return false;
        *f = affine_scale(a, -1);
        return true;
    case SC_ADD: case SC_SUB:
        return whole_of(q, e->arg[0], &a) && whole_of(q, e->arg[1], &b) && sum_of(&a, &b, e->op == SC_ADD ? 1 : -1, f);
    case SC_MUL:
        if (!whole_of(q, e->arg[0], &a) || !whole_of(q, e->arg[1], &b)) return false;
        if (!affine_is_const(&a) && !affine_is_const(&b)) return false;
        *f = affine_is_const(&a) ? affine_scale(b, a.c) : affine_scale(a, b.c);
        return true;
    case SC_CAST: {                                     /* i32(floor(f32(x) / k)) */
        const Expr *floored = e->arg[0];
        if (e->dtype != DT_I32 || floored->op != SC_FLOOR) return false;
        const Expr *x = divided(floored->arg[0], &k);
        return x && x->op == SC_CAST && x->arg[0]->dtype == DT_I32 && whole_of(q, x->arg[0], &a)
            && quotient(q, &a, k, f);
    }
    default:
        return false;
    }
}

/* ---- expressions --------------------------------------------------------------------------------------- */

/* A read whose indirect subscripts are affine forms has none. What was trusted to be inside is guarded if that
 * cannot be proved. */
static const Expr *affine_read(Quotients *q, const Expr *e) {
    Sub    sub[MAX_RANK];
    Affine f;
    bool   guarded = e->guarded, changed = false;
    for (int i = 0; i < e->nsub; i++) {
        sub[i] = e->sub[i];
        if (!sub[i].ind || !whole_of(q, sub[i].ind, &f) || !sum_of(&sub[i].aff, &f, 1, &f)) continue;
        sub[i] = (Sub){.aff = f};
        guarded |= !affine_inside(&f, q->d->var, q->d->arg.at[e->operand]->type.dim[i]);
        changed = true;
    }
    return changed ? expr_read(q->d->g->arena, e->dtype, e->operand, e->nsub, sub, guarded) : e;
}

static const Expr *affine_expr(Quotients *q, const Expr *e) {
    Affine f;
    if (e->op == SC_READ) return affine_read(q, e);
    if (e->dtype == DT_I32 && e->op != SC_IDX && e->op != SC_CONST && whole_of(q, e, &f))
        return expr_idx(q->d->g->arena, f);
    const Expr *arg[3] = {NULL, NULL, NULL};
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = affine_expr(q, e->arg[i]);
    return alg_rebuild(q->d->g->arena, e, arg);
}

/* ---- variables ------------------------------------------------------------------------------------------- */

/* Variable v, of k*m values, as k*v1 + v2: v1 in its place, v2 behind. */
static void split_var(Draft *d, int v, int64_t k) {
    Affine by[MAX_VARS];
    int    nvar = d->nout + d->nred + d->nder;
    for (int i = 0; i < nvar; i++) by[i] = affine_var(i + (i > v));
    by[v] = affine_add(affine_var(v + 1), affine_var(v), k);
    for (int i = nvar; i > v; i--) d->var[i] = d->var[i - 1];
    d->var[v].ext.size /= k;
    d->var[v + 1].ext.size = k;
    for (int i = d->nout + d->nred + 1; i < nvar + 1; i++) d->var[i].num = affine_subst(&d->var[i].num, by, nvar);
    d->expr = expr_subst(d->g->arena, d->expr, by, nvar, NULL);
    *(v < d->nout ? &d->nout : &d->nred) += 1;
}

typedef struct {
    int  n, var;
    bool ok;
} Room;

static void room_in(const Affine *f, Room *r) {
    r->ok &= f->n + (affine_coef(f, r->var) != 0) <= MAX_TERMS;
}

static void room_in_expr(const Expr *e, void *cx) {
    if (e->op == SC_IDX) room_in(&e->aff, cx);
    for (int i = 0; i < e->nsub; i++) room_in(&e->sub[i].aff, cx);
}

/* Forms have room for one more variable instead of v. */
static bool has_room(const Draft *d, int v) {
    Room r = {.var = v, .ok = d->nout + d->nred + d->nder < MAX_VARS};
    expr_walk(d->expr, room_in_expr, &r);
    for (int i = d->nout + d->nred; i < d->nout + d->nred + d->nder; i++) room_in(&d->var[i].num, &r);
    return r.ok;
}

bool floor_reds(Draft *d) {
    Quotients   q = {.d = d};
    const Expr *e = affine_expr(&q, d->expr);
    bool        changed = e != d->expr;
    d->expr = e;
    if (!q.by || q.split < d->nout || !has_room(d, q.split)) return changed;
    split_var(d, q.split, q.by);
    return true;
}

/* Splits one out. */
static bool split_out(Draft *d) {
    Quotients q = {.d = d};
    affine_expr(&q, d->expr);
    if (!q.by || q.split >= d->nout || d->nout == MAX_RANK || !has_room(d, q.split)) return false;
    split_var(d, q.split, q.by);
    floor_reds(d);
    return true;
}

Node *floor_outs(Draft *d) {
    Draft  s = *d;
    Extent dim[MAX_RANK];
    if (!d->nred || !split_out(&s)) return NULL;
    while (split_out(&s)) {}
    for (int i = 0; i < d->nout; i++) dim[i] = d->var[i].ext;
    return graph_reshape(d->g, draft_finish(&s), d->nout, dim);
}

/* ---- equal indices ------------------------------------------------------------------------------------------ */

/* eq(f, g), f - g with the variable r and coefficient 1 or -1, r not among what derived variables are made of. */
static bool equals_red(Factor *f, const Expr *c) {
    if (c->op != SC_EQ || c->arg[0]->op != SC_IDX || c->arg[1]->op != SC_IDX || f->index) return false;
    Affine  diff;
    if (!sum_of(&c->arg[0]->aff, &c->arg[1]->aff, -1, &diff)) return false;
    int64_t k = affine_coef(&diff, f->v);
    if (k != 1 && k != -1) return false;
    for (int i = 0; i < diff.n; i++)
        if (diff.term[i].var >= f->d->nout + f->d->nred) return false;
    f->index = expr_idx(f->d->g->arena, affine_add(affine_scale(diff, -k), affine_var(f->v), 1));
    return true;
}

/* Red v becomes a derived variable with the value num. */
static void derive(Draft *d, int v, Affine num) {
    Affine by[MAX_VARS];
    int    last = d->nout + d->nred - 1, nvar = d->nout + d->nred + d->nder;
    Var    x = d->var[v];
    for (int i = 0; i < nvar; i++) by[i] = affine_var(i == v ? last : i - (i > v && i <= last));
    for (int i = v; i < last; i++) d->var[i] = d->var[i + 1];
    x.num = affine_subst(&num, by, nvar);
    x.div = 1;
    d->var[last] = x;
    for (int i = last + 1; i < nvar; i++) d->var[i].num = affine_subst(&d->var[i].num, by, nvar);
    d->expr = expr_subst(d->g->arena, d->expr, by, nvar, NULL);
    d->nred--;
    d->nder++;
}

bool equal_reds(Draft *d) {
    if (d->kind != KIND_SUM) return false;
    for (int v = d->nout; v < d->nout + d->nred; v++) {
        Factor      f = {.d = d, .v = v, .match = equals_red};
        const Expr *rest = d->var[v].ext.bound ? NULL : sum_without(&f, d->expr);
        if (!rest) continue;
        d->expr = rest;
        derive(d, v, f.index->aff);
        return true;
    }
    return false;
}
