#include "passes/draft.h"

#include <math.h>
#include <string.h>

#include "passes/algebra.h"

Draft draft_of(Graph *g, const Node *n) {
    const Comp *c = &n->u.comp;
    Draft       d = {.g = g, .kind = c->kind, .nout = c->nout, .nred = c->nred, .nder = c->nder, .expr = c->expr};
    memcpy(d.var, c->var, sizeof *c->var * (size_t)(c->nout + c->nred + c->nder));
    for (int i = 0; i < n->narg; i++) vec_push(g->arena, &d.arg, n->arg[i]);
    return d;
}

int draft_operand(Draft *d, Node *n) {
    for (int i = 0; i < d->arg.n; i++)
        if (d->arg.at[i] == n) return i;
    vec_push(d->g->arena, &d->arg, n);
    return d->arg.n - 1;
}

const Expr *draft_read(Draft *d, Node *n, const Affine *at) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < n->type.rank; i++) sub[i].aff = at[i];
    return expr_read(d->g->arena, n->type.dtype, draft_operand(d, n), n->type.rank, sub, false);
}

Affine draft_flat(const Draft *d) {
    Affine f = affine_const(0);
    for (int v = d->nout; v < d->nout + d->nred; v++)
        f = affine_add(affine_var(v), f, d->var[v].ext.size);
    return f;
}

/* ---- inlining a map -------------------------------------------------------------------------------- */

static bool same_extent(Extent a, Extent b) { return a.size == b.size && a.bound == b.bound; }

/* The map only reorders axes: it reads its one operand at its own variables, each once, on axes of the
 * same extent. Then what lies outside the one lies outside the other. */
static bool is_permutation(const Node *map) {
    const Comp *c = &map->u.comp;
    const Expr *e = c->expr;
    unsigned    seen = 0;
    if (e->op != SC_READ || e->guarded || e->nsub != c->nout) return false;
    for (int i = 0; i < e->nsub; i++) {
        int v;
        if (e->sub[i].ind || !affine_is_var(&e->sub[i].aff, &v) || seen & 1u << v) return false;
        if (!same_extent(c->var[v].ext, map->arg[0]->type.dim[i])) return false;
        seen |= 1u << v;
    }
    return true;
}

typedef struct {
    int         operand;
    bool        ok, permutes;
    const Node *map;
    const Expr *read;
} Check;

/* A form of the map has at most the terms of its subscripts together. */
static bool terms_fit(const Affine *f, const Expr *read) {
    int n = 0;
    for (int i = 0; i < f->n; i++) n += read->sub[f->term[i].var].aff.n;
    return n <= MAX_TERMS;
}

static void check_terms(const Expr *e, void *cx) {
    Check *k = cx;
    if (e->op == SC_IDX) k->ok &= terms_fit(&e->aff, k->read);
    for (int i = 0; i < e->nsub; i++) k->ok &= terms_fit(&e->sub[i].aff, k->read);
}

static void check_read(const Expr *e, void *cx) {
    Check *k = cx;
    if (e->op != SC_READ || e->operand != k->operand || !k->ok) return;
    k->ok = !e->guarded || k->permutes || expr_is_const(k->map->u.comp.expr, 0);
    for (int i = 0; i < e->nsub; i++) k->ok &= !e->sub[i].ind;
    k->read = e;
    expr_walk(k->map->u.comp.expr, check_terms, k);
}

bool draft_can_inline(const Draft *d, int k) {
    const Node *map = d->arg.at[k];
    if (map->op != OP_COMP || map->u.comp.kind != KIND_MAP) return false;
    Check c = {.operand = k, .ok = true, .map = map, .permutes = is_permutation(map)};
    expr_walk(d->expr, check_read, &c);
    return c.ok;
}

typedef struct {
    Draft      *d;
    int         operand;
    const Node *map;
    int        *renumber;       /* the map's operands among the draft's */
} Inline;

static const Expr *inline_reads(const Inline *in, const Expr *e);

static const Expr *inline_read(const Inline *in, const Expr *e) {
    Arena *a = in->d->g->arena;
    if (e->operand != in->operand) {
        Sub  sub[MAX_RANK];
        bool same = true;
        for (int i = 0; i < e->nsub; i++) {
            sub[i] = e->sub[i];
            if (!sub[i].ind) continue;
            sub[i].ind = inline_reads(in, sub[i].ind);
            same &= sub[i].ind == e->sub[i].ind;
        }
        return same ? e : expr_read(a, e->dtype, e->operand, e->nsub, sub, e->guarded);
    }
    Affine by[MAX_RANK];
    for (int i = 0; i < e->nsub; i++) by[i] = e->sub[i].aff;
    const Expr *r = expr_subst(a, in->map->u.comp.expr, by, e->nsub, in->renumber);
    return e->guarded && r->op == SC_READ ? expr_read(a, r->dtype, r->operand, r->nsub, r->sub, true) : r;
}

static const Expr *inline_reads(const Inline *in, const Expr *e) {
    if (e->op == SC_READ) return inline_read(in, e);
    const Expr *arg[3] = {NULL, NULL, NULL};
    for (int i = 0; i < SCALARS[e->op].args; i++) arg[i] = inline_reads(in, e->arg[i]);
    return alg_rebuild(in->d->g->arena, e, arg);
}

void draft_inline(Draft *d, int k) {
    const Node *map = d->arg.at[k];
    Inline      in = {d, k, map, ARENA_ARRAY(d->g->arena, int, map->narg)};
    for (int i = 0; i < map->narg; i++) in.renumber[i] = draft_operand(d, map->arg[i]);
    d->expr = inline_reads(&in, d->expr);
}

typedef struct {
    const Draft *d;
    unsigned char *seen;
    int            n;
} Reads;

static void note_read(const Expr *e, void *cx) {
    Reads *r = cx;
    if (e->op != SC_READ || r->seen[e->operand]) return;
    r->seen[e->operand] = 1;
    r->n++;
}

int draft_reads(const Draft *d) {
    Reads r = {d, ARENA_ARRAY(d->g->arena, unsigned char, d->arg.n), 0};
    expr_walk(d->expr, note_read, &r);
    return r.n;
}

/* ---- finishing ------------------------------------------------------------------------------------- */

bool draft_settle(Draft *d) {
    Affine by[MAX_VARS];
    Var    kept[MAX_VARS];
    int    first = d->nout + d->nred, n = first;
    for (int v = 0; v < first; v++) {
        by[v] = affine_var(v);
        kept[v] = d->var[v];
    }
    for (int v = first; v < first + d->nder; v++) {
        Var x = d->var[v];
        x.num = affine_subst(&x.num, by, v);
        affine_reduce(&x.num, &x.div);
        if (x.div == 1 && affine_inside(&x.num, kept, x.ext)) {
            by[v] = x.num;
        } else {
            by[v] = affine_var(n);
            kept[n++] = x;
        }
    }
    if (n == first + d->nder) return false;
    d->expr = expr_subst(d->g->arena, d->expr, by, first + d->nder, NULL);
    d->nder = n - first;
    memcpy(d->var, kept, sizeof *kept * (size_t)n);
    return true;
}

Node *draft_copied(const Draft *d) {
    const Expr *e = d->expr;
    if (d->nred || d->nder || e->op != SC_READ || e->guarded || e->nsub != d->nout) return NULL;
    Node *from = d->arg.at[e->operand];
    for (int i = 0; i < e->nsub; i++) {
        int v;
        const Affine *f = &e->sub[i].aff;
        bool          only = d->var[i].ext.size == 1 && affine_is_const(f) && f->c == 0;
        if (e->sub[i].ind || (!only && (!affine_is_var(f, &v) || v != i))) return NULL;
        if (!same_extent(from->type.dim[i], d->var[i].ext)) return NULL;
    }
    return from;
}

void draft_drop_vars(Draft *d, const bool *keep) {
    Affine by[MAX_VARS];
    int    n = 0, nvar = d->nout + d->nred + d->nder, nout = 0, nred = 0;
    for (int v = 0; v < nvar; v++) {
        by[v] = affine_var(n);
        if (!keep[v]) continue;
        Var x = d->var[v];
        x.num = affine_subst(&x.num, by, v);
        nout += v < d->nout;
        nred += v >= d->nout && v < d->nout + d->nred;
        d->var[n++] = x;
    }
    d->expr = expr_subst(d->g->arena, d->expr, by, nvar, NULL);
    d->nout = nout;
    d->nred = nred;
    d->nder = n - nout - nred;
}

/* The extreme of one point is the point, unless that is NaN. */
static void drop_nan(Draft *d) {
    Arena      *a = d->g->arena;
    bool        real = d->expr->dtype == DT_F32;
    const Expr *inf = expr_const(a, d->kind == KIND_MIN ? INFINITY : -INFINITY);
    if (d->kind == KIND_MAX && real) d->expr = expr_op2(a, SC_MAX, d->expr, inf);
    if (d->kind == KIND_MIN && real) d->expr = expr_sel(a, expr_op2(a, SC_LT, d->expr, inf), d->expr, inf);
}

static void settle_kind(Draft *d) {
    draft_settle(d);
    bool over_nothing = !d->nred && !d->nder;
    if (over_nothing) drop_nan(d);
    if (over_nothing && d->kind != KIND_ARGMAX && d->kind != KIND_ARGMIN) d->kind = KIND_MAP;
    if (!over_nothing && d->kind == KIND_MAP) d->kind = KIND_SUM;
}

static Node *make(Draft *d) {
    return graph_comp(d->g, d->kind, d->nout, d->nred, d->nder, d->var, d->expr, d->arg.n, d->arg.at);
}

Node *draft_finish(Draft *d) {
    settle_kind(d);
    Node *from = d->kind == KIND_MAP ? draft_copied(d) : NULL;
    return from ? from : make(d);
}

void draft_store(Draft *d, Node *into) {
    settle_kind(d);
    Node *n = make(d);
    if (!type_equal(&n->type, &into->type)) ICE("%%%d changed its type", into->id);
    d->g->nodes.n--;
    into->narg = n->narg;
    into->arg = n->arg;
    into->u.comp = n->u.comp;
}
