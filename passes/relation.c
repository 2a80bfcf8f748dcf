#include "passes/relation.h"

#include <string.h>

#include "passes/algebra.h"

/* Variables: 0 .. nvar-1 are those of `from`, nvar+i is q_i. An equation is a form that is 0. */
enum { MAX_EQ = MAX_RANK + MAX_VARS };

typedef struct {
    const Draft *from;
    int          nvar, neq;
    Affine       eq[MAX_EQ];
    bool         solved[MAX_EQ];
    bool         is_pivot[MAX_VARS];
    /* In the order of solving: pivot[i] = num[i] / div[i]; pivot -1: a condition, num[i] = 0. */
    int     nstep, pivot[MAX_EQ];
    Affine  num[MAX_EQ];
    int64_t div[MAX_EQ];
} Solver;

static void set_equations(Solver *s, const Expr *read) {
    const Draft *f = s->from;
    for (int v = f->nout + f->nred; v < s->nvar; v++)
        s->eq[s->neq++] = affine_add(f->var[v].num, affine_var(v), -f->var[v].div);
    for (int i = 0; i < read->nsub; i++)
        if (!read->sub[i].ind) s->eq[s->neq++] = affine_add(read->sub[i].aff, affine_var(s->nvar + i), -1);
}

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* Which of two variables of an equation is the better pivot. Outs of the comp come first: what is left to
 * enumerate is then small (the window of a convolution and not its image). Then the longer one, then the
 * one that needs no division. */
static bool better_pivot(const Solver *s, const Affine *eq, int a, int b) {
    const Draft *f = s->from;
    if ((a < f->nout) != (b < f->nout)) return a < f->nout;
    if (f->var[a].ext.size != f->var[b].ext.size) return f->var[a].ext.size > f->var[b].ext.size;
    return magnitude(affine_coef(eq, a)) < magnitude(affine_coef(eq, b));
}

/* The best pivot of an equation, -1 if there is none; *n = how many there are. */
static int find_pivot(const Solver *s, const Affine *eq, int *n) {
    int best = -1;
    *n = 0;
    for (int i = 0; i < eq->n; i++) {
        int v = eq->term[i].var;
        if (v >= s->nvar || s->is_pivot[v]) continue;
        ++*n;
        if (best < 0 || better_pivot(s, eq, v, best)) best = v;
    }
    return best;
}

/* eq with p = num / div put in; multiplied by div, so that it stays whole. */
static Affine eliminate(Affine eq, int p, const Affine *num, int64_t div) {
    int64_t k = affine_coef(&eq, p), none = 0;
    if (!k) return eq;
    Affine rest = affine_add(eq, affine_var(p), -k);
    rest = affine_add(affine_scale(rest, div), *num, k);
    affine_reduce(&rest, &none);
    return rest;
}

static void solve_for(Solver *s, int e, int p) {
    int     i = s->nstep++;
    int64_t k = p < 0 ? 1 : affine_coef(&s->eq[e], p);
    Affine  rest = p < 0 ? s->eq[e] : affine_add(s->eq[e], affine_var(p), -k);
    s->solved[e] = true;
    s->pivot[i] = p;
    s->num[i] = affine_scale(rest, k > 0 ? -1 : 1);
    s->div[i] = magnitude(k);
    if (p < 0) return;
    affine_reduce(&s->num[i], &s->div[i]);
    s->is_pivot[p] = true;
    for (int j = 0; j < s->neq; j++)
        if (!s->solved[j]) s->eq[j] = eliminate(s->eq[j], p, &s->num[i], s->div[i]);
}

/* Equations with the fewest possible pivots first: i = q leaves no choice and costs nothing. Among equals
 * the last, so that the derived variables come out in the order of the subscripts. */
static void solve(Solver *s) {
    for (;;) {
        int chosen = -1, pivot = -1, fewest = 0;
        for (int e = s->neq - 1; e >= 0; e--) {
            int n, p;
            if (s->solved[e]) continue;
            p = find_pivot(s, &s->eq[e], &n);
            if (chosen >= 0 && n >= fewest) continue;
            chosen = e;
            pivot = p;
            fewest = n;
        }
        if (chosen < 0) return;
        solve_for(s, chosen, pivot);
    }
}

static int add_var(Draft *to, Var v) {
    int n = to->nout + to->nred + to->nder;
    if (n == MAX_VARS) ICE("the gradient of an index equation needs more than %d variables", MAX_VARS);
    to->var[n] = v;
    return n;
}

/* A condition that holds always (0 = 0) is dropped; another is a derived variable of extent 1. */
static void add_condition(Draft *to, Affine num) {
    if (affine_is_const(&num) && num.c == 0) return;
    add_var(to, (Var){.name = "only", .ext = {.size = 1}, .num = num, .div = 1});
    to->nder++;
}

/* Pivots from the last to the first: the form of each needs free variables and later pivots only. */
static void write_derived(const Solver *s, Draft *to, Affine *by) {
    for (int i = s->nstep - 1; i >= 0; i--) {
        Affine  num = affine_subst(&s->num[i], by, s->nvar + to->nout);
        int64_t div = s->div[i];
        int     p = s->pivot[i];
        if (p < 0) {
            add_condition(to, num);
            continue;
        }
        affine_reduce(&num, &div);
        if (div == 1 && affine_inside(&num, to->var, s->from->var[p].ext)) {
            by[p] = num;
            continue;
        }
        by[p] = affine_var(add_var(to, (Var){s->from->var[p].name, s->from->var[p].ext, num, div}));
        to->nder++;
    }
}

/* The name of an out: that of the variable in the subscript, if it is one. */
static const char *axis_name(const Draft *from, const Expr *read, int i) {
    static const char *const NAMES[MAX_RANK] = {"p", "q", "u", "v", "w", "x", "y", "z"};
    int v;
    return affine_is_var(&read->sub[i].aff, &v) && !read->sub[i].ind ? from->var[v].name : NAMES[i];
}

void relation_solve(const Draft *from, const Expr *read, const Type *axes, Draft *to, Affine *by) {
    Solver s = {.from = from, .nvar = from->nout + from->nred + from->nder};
    Affine map[MAX_EQ];
    set_equations(&s, read);
    solve(&s);
    to->nout = to->nred = to->nder = 0;
    for (int i = 0; i < axes->rank; i++) {
        map[s.nvar + i] = affine_var(add_var(to, (Var){.name = axis_name(from, read, i), .ext = axes->dim[i]}));
        to->nout++;
    }
    for (int v = 0; v < s.nvar; v++) {
        if (s.is_pivot[v]) continue;
        map[v] = affine_var(add_var(to, (Var){.name = from->var[v].name, .ext = from->var[v].ext}));
        to->nred++;
    }
    write_derived(&s, to, map);
    memcpy(by, map, sizeof *by * (size_t)s.nvar);
}
