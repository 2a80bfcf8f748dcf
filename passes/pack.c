/* Operands of contractions in a form that loads well.
 *
 * A factor of a sum of products that is more than a plain read (guarded at a border, cut off by a derived variable's
 * range, masked by an activation's slope) would be worked out again for every product it takes part in, under a mask.
 * It becomes a tensor of its own: one axis for each index form in it, as long as the form's range, zero where
 * the product is skipped. The gradient of a convolution with respect to its image,
 *
 *     sum over o, r, s of w[o,c,r,s] dy[b,o,i,j]   with i = p - r, j = q - s inside the image,
 *
 * reads dy in a frame of zeros then: w[o,c,r,s] frame[b, o, p-r+4, q-s+4], and has no derived variable left.
 * A 1x1 convolution with a stride gets what it takes of the image, side by side. An operand that would be packed whole
 * stays. Equal operands are packed once (a convolution's padded image serves its weight gradient too). */
#include <string.h>

#include "passes/kernels_impl.h"

enum { MAX_FACTORS = 8, MAX_ARGS = 64, WORTH = 8 };   /* WORTH: products per packed number */

/* An axis of a packed operand: a form without its constant, divided by `stride` (a stride that no tap fills: 1x1
 * convolutions take every other number), from lo to lo + size - 1. */
typedef struct {
    Affine form;
    int64_t stride, lo;
    Extent  ext;
} Axis;

typedef struct {
    Graph      *g;
    Node       *n;              /* the contraction */
    Affine      var[MAX_VARS];  /* its variables; derived ones by their forms where the division is 1 */
    bool        open[MAX_VARS]; /* derived variables that are still there */
    int64_t     lo[MAX_VARS], hi[MAX_VARS];     /* of open ones that may be an axis: a little more than their range */
    int         naxis;
    Axis        axis[MAX_RANK];
    bool        fails;          /* the factor cannot be packed */
} Pack;

/* ---- forms --------------------------------------------------------------------------------------------- */

static Affine without_constant(Affine a) {
    a.c = 0;
    return a;
}

static void form_range(const Pack *p, const Affine *a, int64_t *lo, int64_t *hi) {
    *lo = *hi = a->c;
    for (int i = 0; i < a->n; i++) {
        int64_t last = a->term[i].coef * (p->n->u.comp.var[a->term[i].var].ext.size - 1);
        *(last < 0 ? lo : hi) += last;
    }
}

static Affine expand(const Pack *p, const Affine *a) {
    const Comp *c = &p->n->u.comp;
    return affine_subst(a, p->var, c->nout + c->nred + c->nder);
}

static bool uses_open(const Pack *p, const Affine *a) {
    for (int i = 0; i < a->n; i++)
        if (p->open[a->term[i].var]) return true;
    return false;
}

/* What all coefficients of a form are multiples of. */
static int64_t common_stride(const Affine *a) {
    int64_t d = 0;
    for (int i = 0; i < a->n; i++) {
        int64_t x = a->term[i].coef < 0 ? -a->term[i].coef : a->term[i].coef;
        while (x) {
            int64_t rest = d % x;
            d = x;
            x = rest;
        }
    }
    return d ? d : 1;
}

/* The axis of a form (its constant aside), made if there is none; -1 if it cannot be one. */
static int axis_of(Pack *p, Affine form) {
    const Var *var = p->n->u.comp.var;
    Extent     ext = {0};
    int        v;
    form = without_constant(form);
    const int64_t stride = uses_open(p, &form) ? 1 : common_stride(&form);
    for (int i = 0; i < form.n; i++) form.term[i].coef /= stride;
    for (int i = 0; i < p->naxis; i++)
        if (p->axis[i].stride == stride && affine_equal(&p->axis[i].form, &form)) return i;
    if (p->naxis == MAX_RANK) return -1;
    int64_t lo, hi;
    form_range(p, &form, &lo, &hi);
    if (affine_is_var(&form, &v) && p->open[v] && p->lo[v] <= p->hi[v]) {
        lo = p->lo[v];
        ext.size = p->hi[v] - lo + 1;
    } else if (uses_open(p, &form)) {
        return -1;
    } else if (affine_is_var(&form, &v)) {
        ext = var[v].ext;
    } else {
        ext.size = hi - lo + 1;
        for (int i = 0; i < form.n; i++)
            if (var[form.term[i].var].ext.bound) return -1;
    }
    p->axis[p->naxis] = (Axis){form, stride, lo, ext};
    return p->naxis++;
}

/* ---- what a factor reads --------------------------------------------------------------------------------- */

static void look_at_form(Pack *p, Affine a) {
    a = expand(p, &a);
    if (!affine_is_const(&a) && axis_of(p, a) < 0) p->fails = true;
}

static void look_at(const Expr *e, void *cx) {
    Pack *p = cx;
    if (e->op == SC_IDX) look_at_form(p, e->aff);
    for (int i = 0; i < e->nsub; i++) {
        p->fails |= e->sub[i].ind != NULL;
        look_at_form(p, e->sub[i].aff);
    }
}

/* Is the factor a read that stays inside its tensor, whatever the variables are, and reads neighbours along its last
 * axis? */
static bool is_plain(const Pack *p, const Expr *e) {
    if (e->op == SC_CONST) return true;
    if (e->op != SC_READ) return false;
    const Node *arg = p->n->arg[e->operand];
    for (int i = 0; i < e->nsub; i++) {
        Affine  a = expand(p, &e->sub[i].aff);
        int64_t lo, hi;
        int     v;
        if (e->sub[i].ind || uses_open(p, &a)) return false;
        if (i == e->nsub - 1 && common_stride(&a) > 1) return false;
        if (affine_is_var(&a, &v) && p->n->u.comp.var[v].ext.bound == arg->type.dim[i].bound &&
            p->n->u.comp.var[v].ext.size <= arg->type.dim[i].size)
            continue;
        form_range(p, &a, &lo, &hi);
        if (lo < 0 || hi >= arg->type.dim[i].size || arg->type.dim[i].bound) return false;
    }
    return arg->type.dtype == DT_F32;
}

/* ---- the packed operand ---------------------------------------------------------------------------------- */

/* A form in terms of the axes' variables. */
static Affine on_axes(Pack *p, Affine a) {
    a = expand(p, &a);
    if (affine_is_const(&a)) return a;
    int    k = axis_of(p, a);
    Affine r = {.c = a.c};
    Affine at = affine_var(k);
    at.c = p->axis[k].lo;
    return affine_add(r, at, p->axis[k].stride);
}

static const Expr *move_to_axes(Pack *p, const Expr *e) {
    Expr *made = arena_copy(p->g->arena, e, sizeof *e);
    if (e->op == SC_IDX) return expr_idx(p->g->arena, on_axes(p, e->aff));
    if (e->nsub) made->sub = arena_copy(p->g->arena, e->sub, sizeof *e->sub * (size_t)e->nsub);
    for (int i = 0; i < e->nsub; i++) made->sub[i].aff = on_axes(p, e->sub[i].aff);
    if (e->op == SC_READ) made->guarded = true;
    for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = move_to_axes(p, e->arg[i]);
    return made;
}

/* e where 0 <= form < size, else 0. */
static const Expr *within(Graph *g, Affine form, int64_t size, const Expr *e) {
    Arena      *a = g->arena;
    const Expr *zero = expr_const(a, 0), *at = expr_idx(a, form);
    e = expr_sel(a, expr_op2(a, SC_LT, at, expr_int(a, size)), e, zero);
    return expr_sel(a, expr_op2(a, SC_LT, expr_int(a, -1), at), e, zero);
}

/* Does the factor, a read, give 0 by itself where derived variable v is out of range? */
static bool zero_outside(const Pack *p, const Expr *e, int v) {
    int var;
    if (e->op != SC_READ) return false;
    for (int i = 0; i < e->nsub; i++)
        if (affine_is_var(&e->sub[i].aff, &var) && var == v)
            return p->n->arg[e->operand]->type.dim[i].size == p->n->u.comp.var[v].ext.size;
    return false;
}

static bool same_map(const Node *a, const Node *b) {
    const Comp *x = &a->u.comp, *y = &b->u.comp;
    if (!type_equal(&a->type, &b->type) || a->narg != b->narg) return false;
    if (memcmp(a->arg, b->arg, sizeof *a->arg * (size_t)a->narg)) return false;
    return y->kind == KIND_MAP && x->nout == y->nout && expr_equal(x->expr, y->expr);
}

/* Does e over p's axes read every number of its operand at its place: is the operand what would be packed? */
static bool is_whole(const Pack *p, const Expr *e) {
    if (e->op != SC_READ || e->nsub != p->naxis) return false;
    const Type *t = &p->n->arg[e->operand]->type;
    for (int i = 0, var; i < e->nsub; i++) {
        const Extent x = p->axis[i].ext;
        if (e->sub[i].ind || !affine_is_var(&e->sub[i].aff, &var) || var != i) return false;
        if (x.size != t->dim[i].size || x.bound != t->dim[i].bound) return false;
    }
    return true;
}

/* The node that holds factor e over p's axes; settled[] gets the derived variables whose range it sees to. */
static Node *make_pack(Pack *p, const Expr *e, NodeList *packs, bool *settled) {
    const Comp *c = &p->n->u.comp;
    const Expr *body = move_to_axes(p, e);
    Var         var[MAX_RANK] = {0};
    for (int v = c->nout + c->nred; v < c->nout + c->nred + c->nder; v++) {
        if (p->open[v] && p->lo[v] > p->hi[v]) continue;
        Affine form = p->var[v];
        int    before = p->naxis;
        if (axis_of(p, form) < 0) continue;
        if (p->naxis > before) {
            p->naxis = before;          /* another factor's business */
            continue;
        }
        if (!zero_outside(p, e, v)) body = within(p->g, on_axes(p, affine_var(v)), c->var[v].ext.size, body);
        settled[v] = true;
    }
    if (is_whole(p, body)) return p->n->arg[body->operand];
    for (int i = 0; i < p->naxis; i++) var[i] = (Var){.name = "i", .ext = p->axis[i].ext};
    graph_at(p->g, p->n->name, p->n->loc);
    Node *made = graph_comp(p->g, KIND_MAP, p->naxis, 0, 0, var, body, p->n->narg, p->n->arg);
    for (int i = 0; i < packs->n; i++)
        if (same_map(made, packs->at[i])) return packs->at[i];
    vec_push(p->g->arena, packs, made);
    return made;
}

static const Expr *read_pack(Pack *p, int operand) {
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < p->naxis; i++) {
        sub[i].aff = p->axis[i].form;
        sub[i].aff.c -= p->axis[i].lo;
    }
    return expr_read(p->g->arena, DT_F32, operand, p->naxis, sub, false);
}

/* ---- a contraction --------------------------------------------------------------------------------------- */

static int factors_of(const Expr *e, const Expr **list, int n) {
    if (e->op != SC_MUL || n >= MAX_FACTORS - 1) return list[n] = e, n + 1;
    return factors_of(e->arg[1], list, factors_of(e->arg[0], list, n));
}

static int64_t points_of(const Comp *c) {
    int64_t n = 1;
    for (int i = 0; i < c->nout + c->nred; i++) n *= c->var[i].ext.size;
    return n;
}

static Pack start_pack(Graph *g, Node *n) {
    const Comp *c = &n->u.comp;
    Pack        p = {.g = g, .n = n};
    for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
        const Var *var = &c->var[v];
        p.var[v] = affine_var(v);
        if (!var->div) continue;
        p.open[v] = var->div > 1;
        for (int i = 0; i < var->num.n; i++) p.open[v] |= p.open[var->num.term[i].var];
        if (!p.open[v]) p.var[v] = affine_subst(&var->num, p.var, v);
        p.lo[v] = 1;
        if (p.open[v] && !var->ext.bound && !residue_range(c, v - c->nout - c->nred, &p.lo[v], &p.hi[v])) p.lo[v] = 1;
    }
    return p;
}

static bool worth_packing(const Pack *p) {
    int64_t size = 1;
    for (int i = 0; i < p->naxis; i++) size *= p->axis[i].ext.size;
    return size * WORTH <= points_of(&p->n->u.comp);
}

/* The comp `c` with another expression and without the settled derived variables; those that need a division stay, over
 * all of the values that their frame has (so that no test of their range is left). Variables are renumbered. */
static Node *make_comp(Pack *p, const Expr *e, int narg, Node *const *args, const bool *settled) {
    const Comp *c = &p->n->u.comp;
    Var         var[MAX_VARS];
    Affine      map[MAX_VARS];
    int         n = 0, nder = c->nder;
    for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
        if (settled[v] && !p->open[v]) {
            map[v] = affine_subst(&p->var[v], map, v);
            nder--;
            continue;
        }
        var[n] = c->var[v];
        if (c->var[v].div) var[n].num = affine_subst(&c->var[v].num, map, v);
        map[v] = affine_var(n);
        if (settled[v]) {
            var[n].num.c -= p->lo[v] * var[n].div;
            var[n].ext.size = p->hi[v] - p->lo[v] + 1;
            map[v].c = p->lo[v];
        }
        n++;
    }
    e = expr_subst(p->g->arena, e, map, c->nout + c->nred + c->nder, NULL);
    graph_at(p->g, p->n->name, p->n->loc);
    return graph_comp(p->g, c->kind, c->nout, c->nred, nder, var, e, narg, args);
}

/* The contraction with its factors packed, or NULL if there is nothing to gain. */
static Node *pack_operands(Graph *g, Node *n, NodeList *packs) {
    const Expr *factor[MAX_FACTORS], *product = NULL;
    Node       *args[MAX_ARGS];
    bool        settled[MAX_VARS] = {false}, any = false;
    int         count = factors_of(n->u.comp.expr, factor, 0), narg = n->narg;
    Pack        p;
    if (narg + count > MAX_ARGS) return NULL;
    memcpy(args, n->arg, sizeof *args * (size_t)narg);
    for (int i = 0; i < count; i++) {
        p = start_pack(g, n);
        if (is_plain(&p, factor[i])) continue;
        expr_walk(factor[i], look_at, &p);
        if (p.fails || !p.naxis || factor[i]->dtype != DT_F32 || !worth_packing(&p)) continue;
        args[narg] = make_pack(&p, factor[i], packs, settled);
        factor[i] = read_pack(&p, narg++);
        any = true;
    }
    if (!any) return NULL;
    for (int i = 0; i < count; i++) product = product ? expr_op2(g->arena, SC_MUL, product, factor[i]) : factor[i];
    p = start_pack(g, n);
    return make_comp(&p, product, narg, args, settled);
}

/* ---- which of two to sum over ---------------------------------------------------------------------------- */

/* The reduction r of a derived variable i = (p - r + c) / d that may change places with it, if i has fewer values than
 * r has taps for a p; -1: none. */
static int longer_reduction(const Comp *c, int derived) {
    const Var *i = &c->var[derived];
    int        red = -1;
    for (int k = 0; k < i->num.n; k++) {
        int v = i->num.term[k].var;
        if (v >= c->nout + c->nred) return -1;
        if (v < c->nout) continue;
        if (red >= 0 || i->num.term[k].coef != -1) return -1;
        red = v;
    }
    if (red < 0 || i->ext.bound || c->var[red].ext.bound) return -1;
    for (int v = c->nout + c->nred; v < c->nout + c->nred + c->nder; v++)
        if (v != derived && (affine_coef(&c->var[v].num, red) || affine_coef(&c->var[v].num, derived))) return -1;
    return i->ext.size * i->div < c->var[red].ext.size ? red : -1;
}

/* Few results, many taps: the gradient of the image, summed over the taps, meets the border of its frame nearly always.
 * It is the sum over the results instead, with r = p - d i + c, and the weights in a frame. In place. */
static void sum_over_fewer(Graph *g, Node *n) {
    Comp *c = &n->u.comp;
    for (int v = c->nout + c->nred; v < c->nout + c->nred + c->nder; v++) {
        int    red = longer_reduction(c, v), nvar = c->nout + c->nred + c->nder;
        Affine by[MAX_VARS];
        if (red < 0) continue;
        for (int u = 0; u < nvar; u++) by[u] = affine_var(u == v ? red : u == red ? v : u);
        Var    *var = arena_copy(g->arena, c->var, sizeof *c->var * (size_t)nvar);
        Affine  tap = affine_add(c->var[v].num, affine_var(red), 1);
        var[red].name = c->var[v].name;
        var[red].ext = c->var[v].ext;
        var[v].name = c->var[red].name;
        var[v].ext = c->var[red].ext;
        var[v].num = affine_add(tap, affine_var(red), -c->var[v].div);
        var[v].div = 1;
        c->var = var;
        c->expr = expr_subst(g->arena, c->expr, by, nvar, NULL);
    }
}

void pack_contractions(Graph *g) {
    NodeList packs = {0};
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Node *n = g->nodes.at[i];
        if (n->op != OP_COMP || n->u.comp.kind != KIND_SUM || !n->u.comp.nred || n->u.comp.expr->op != SC_MUL) continue;
        sum_over_fewer(g, n);
        Node *packed = pack_operands(g, n, &packs);
        if (packed) graph_replace(g, n, packed);
    }
    graph_sweep(g);
}
