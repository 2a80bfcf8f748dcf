/* An index as the digits of another: im[c,i,j] = h[49*c + 7*i + j], and back.
 *
 *     y[q] = sum over j < 7, k < 7 with i = (q - 7*j - k)/49 of f(i,j,k)     is f with its axes merged,
 *     y[c,i,j] = h[49*c + 7*i + j]                                           is h with its axis split:
 *
 * reshapes, which cost nothing. The first form is what the gradient rule makes of the second. Only copies: sums over
 * the windows of a pool have digits, too, and passes of their own (passes/unpool.c).
 */
#include "passes/fold_impl.h"

typedef struct {
    int n, var[MAX_VARS];       /* from the last digit to the first */
} Digits;

/* The variable whose values count `weight` each in out q, where q = num's other terms + div * derived; -1: none. */
static int digit_of_weight(const Draft *d, int derived, int64_t weight) {
    const Var *x = &d->var[derived];
    if (x->div == weight) return derived;
    for (int i = 0; i < x->num.n; i++) {
        int v = x->num.term[i].var;
        if (x->num.term[i].coef == -weight && v >= d->nout && v < d->nout + d->nred) return v;
    }
    return -1;
}

/* The derived variable and reductions are the digits of out q. */
static bool find_digits(const Draft *d, int derived, int q, Digits *g) {
    const Var *x = &d->var[derived];
    int64_t    weight = 1;
    if (x->num.c || d->var[q].ext.bound || affine_coef(&x->num, q) != 1) return false;
    for (g->n = 0; g->n < x->num.n;) {
        int v = digit_of_weight(d, derived, weight);
        if (v < 0 || d->var[v].ext.bound || d->var[v].ext.size < 2) return false;
        g->var[g->n++] = v;
        weight *= d->var[v].ext.size;
    }
    return weight == d->var[q].ext.size;
}

/* The variables of d with the digits in the place of out q; by: old ones in terms of the new. */
static bool put_digits(Draft *d, int q, const Digits *g) {
    Affine by[MAX_VARS];
    Var    var[MAX_VARS];
    int    n = 0, nvar = d->nout + d->nred + d->nder;
    bool   is_digit[MAX_VARS] = {false};
    if (d->nout + g->n - 1 > MAX_RANK) return false;
    for (int i = 0; i < g->n; i++) is_digit[g->var[i]] = true;
    for (int v = 0; v < nvar; v++) {
        for (int i = g->n - 1; v == q && i >= 0; i--) {
            by[g->var[i]] = affine_var(n);
            var[n] = d->var[g->var[i]];
            var[n++].div = 0;
        }
        if (v == q || is_digit[v]) continue;
        by[v] = affine_var(n);
        var[n++] = d->var[v];
    }
    Affine  whole = affine_const(0);
    int64_t weight = 1;
    for (int i = 0; i < g->n; weight *= d->var[g->var[i++]].ext.size) whole = affine_add(whole, by[g->var[i]], weight);
    by[q] = whole;
    d->nout += g->n - 1;
    d->nred -= g->n - 1;
    d->nder--;
    for (int v = d->nout + d->nred; v < n; v++) var[v].num = affine_subst(&var[v].num, by, nvar);
    for (int v = 0; v < n; v++) d->var[v] = var[v];
    d->expr = expr_subst(d->g->arena, d->expr, by, nvar, NULL);
    return true;
}

typedef struct {
    int  var;
    bool ok;
} Alone;

static void find_terms(const Affine *f, Alone *a) { a->ok &= !affine_coef(f, a->var) || f->n == 1; }

static void find_uses(const Expr *e, void *cx) {
    if (e->op == SC_IDX) find_terms(&e->aff, cx);
    for (int i = 0; i < e->nsub; i++) find_terms(&e->sub[i].aff, cx);
}

/* q stands in no form beside other variables, so that there is room for its digits. */
static bool stands_alone(const Draft *d, int q, int derived) {
    Alone a = {q, true};
    expr_walk(d->expr, find_uses, &a);
    for (int v = d->nout + d->nred; v < d->nout + d->nred + d->nder; v++)
        if (v != derived) find_terms(&d->var[v].num, &a);
    return a.ok;
}

Node *digits_merged(const Draft *d) {
    if (d->expr->op != SC_READ) return NULL;
    for (int v = d->nout + d->nred; v < d->nout + d->nred + d->nder; v++)
        for (int q = 0; q < d->nout; q++) {
            Digits g;
            Draft  s = *d;
            Extent dim[MAX_RANK];
            if (!find_digits(d, v, q, &g) || !stands_alone(d, q, v) || !put_digits(&s, q, &g)) continue;
            for (int i = 0; i < d->nout; i++) dim[i] = d->var[i].ext;
            return graph_reshape(d->g, draft_finish(&s), d->nout, dim);
        }
    return NULL;
}

/* Position in C order of element sub[] of a tensor. */
static bool position(const Type *t, const Sub *sub, Affine *f) {
    int64_t stride = 1;
    int     n = 0;
    *f = affine_const(0);
    for (int i = t->rank - 1; i >= 0; stride *= t->dim[i--].size) {
        if (sub[i].ind || (n += sub[i].aff.n) > MAX_TERMS) return false;
        *f = affine_add(*f, sub[i].aff, stride);
    }
    return true;
}

static bool bounds_agree(const Draft *d, const Type *t) {
    for (int i = 0; i < d->nout; i++)
        if (d->var[i].ext.bound && (i || !t->rank || t->dim[0].bound != d->var[0].ext.bound
                                    || t->dim[0].size != d->var[0].ext.size)) return false;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].bound && (i || !d->nout || !d->var[0].ext.bound)) return false;
    return true;
}

Node *digits_split(const Draft *d) {
    const Expr *e = d->expr;
    if (d->kind != KIND_MAP || d->nred || d->nder || e->op != SC_READ || e->guarded) return NULL;
    Node  *from = d->arg.at[e->operand];
    Affine read, own;
    Sub    sub[MAX_RANK] = {0};
    Type   type = {.dtype = e->dtype, .rank = d->nout};
    for (int i = 0; i < d->nout; i++) {
        type.dim[i] = d->var[i].ext;
        if (type.dim[i].size > 1 || type.dim[i].bound) sub[i].aff = affine_var(i);
    }
    if (!bounds_agree(d, &from->type) || type_count(&type) != type_count(&from->type)) return NULL;
    if (!position(&from->type, e->sub, &read) || !position(&type, sub, &own) || !affine_equal(&read, &own)) return NULL;
    return graph_reshape(d->g, from, type.rank, type.dim);
}
