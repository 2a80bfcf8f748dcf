/* The backward pass of max-pooling, without the unpooled gradient.
 *
 * The gradient of a max over disjoint windows is the pooled gradient at one position of each window, zero elsewhere:
 *
 *     g[b,c,u,v] = sum over r, s of (flat(r,s) = arg[b,c,i,j] ? d[b,c,i,j] : 0)    with i = (u-r)/2, j = (v-s)/2
 *
 * A sum over all (u, v) of g times something is a sum over the windows (i, j) of d times the something at the
 * position that arg tells: a lookup in place of a product with a mostly zero tensor (a quarter of the
 * work for 2x2). So the weight gradient of a convolution, sum over b, u, v of g[b,o,u,v] x[b,c,u+r,v+s], becomes
 *
 *     sum over b, i, j of d[b,o,i,j] x[b, c, 2 i + row(arg[b,o,i,j]) + r, 2 j + column(arg[b,o,i,j]) + s]
 *
 * with x laid out channels last, so that neighbouring weights are neighbouring numbers. Where g is only copied into
 * a frame (pack.c, for the gradient of the image), the frame is made from d and arg at once. */
#include <string.h>

#include "passes/unpool_impl.h"

enum { LANES = 4 };              /* an axis worth turning for */

/* ---- recognizing ----------------------------------------------------------------------------------------- */

typedef struct {
    const Node *n;
    const Sub  *point;
    bool        same;
} SamePoint;

static void look_at_read(const Expr *e, void *cx) {
    SamePoint *s = cx;
    if (e->op == SC_IDX) s->same = false;
    if (e->op != SC_READ || e->nsub == 0) return;
    if (e->nsub != s->n->type.rank) s->same = false;
    for (int i = 0; i < e->nsub && s->same; i++)
        s->same = !e->sub[i].ind && affine_equal(&e->sub[i].aff, &s->point[i].aff);
}

/* Axis k of the window's point: the out k itself, or a derived (out k - red) / div. */
static bool find_axis(Unpool *p, const Comp *c, int k, const Affine *at, const Affine *flat) {
    int v, first = c->nout + c->nred;
    if (!affine_is_var(at, &v)) return false;
    p->ext[k] = c->var[v].ext;
    if (v == k) return true;
    if (v < first || c->var[v].ext.bound || c->var[k].ext.bound) return false;
    const Var *d = &c->var[v];
    if (d->num.c || d->num.n != 2 || affine_coef(&d->num, k) != 1) return false;
    int red = d->num.term[0].var == k ? d->num.term[1].var : d->num.term[0].var;
    if (red < c->nout || red >= first || affine_coef(&d->num, red) != -1) return false;
    p->div[k] = d->div;
    p->span[k] = c->var[red].ext.size;
    p->scale[k] = affine_coef(flat, red);
    return p->span[k] <= d->div && p->scale[k] > 0 && d->div * (d->ext.size - 1) + p->span[k] <= c->var[k].ext.size;
}

bool find_unpool(Node *n, Unpool *p) {
    const Comp *c = &n->u.comp;
    *p = (Unpool){.g = n};
    if (n->op != OP_COMP || c->kind != KIND_SUM || !c->nder || c->nder != c->nred) return false;
    if (c->expr->op != SC_SEL) return false;
    const Expr *eq = c->expr->arg[0];
    if (eq->op != SC_EQ || !expr_is_const(c->expr->arg[2], 0)) return false;
    const Expr *idx = eq->arg[0], *read = eq->arg[1];
    if (idx->op == SC_READ) idx = eq->arg[1], read = eq->arg[0];
    if (idx->op != SC_IDX || idx->aff.c || idx->aff.n != c->nred) return false;
    if (read->op != SC_READ || read->nsub != n->type.rank) return false;
    SamePoint s = {n, read->sub, true};
    expr_walk(c->expr->arg[1], look_at_read, &s);
    for (int k = 0; k < n->type.rank && s.same; k++)
        s.same = !read->sub[k].ind && find_axis(p, c, k, &read->sub[k].aff, &idx->aff);
    p->arg = n->arg[read->operand];
    p->flat = read;
    p->value = c->expr->arg[1];
    return s.same;
}

/* ---- rewriting a sum ------------------------------------------------------------------------------------- */

/* [0 .. count-1] -> factor * ((i / scale) % span), as a table of integers. */
static Node *position_table(Rewrite *w, const Unpool *p, int k, int64_t factor) {
    int64_t count = 1;
    for (int i = 0; i < p->g->type.rank; i++)
        if (p->div[i]) count *= p->span[i];
    double *v = ARENA_ARRAY(w->g->arena, double, count);
    for (int64_t i = 0; i < count; i++) v[i] = (double)(factor * (i / p->scale[k] % p->span[k]));
    return graph_const(w->g, type_of(DT_I32, 1, &(Extent){.size = count}), v);
}

/* A sum being rewritten: variable v of it runs over axis axis[v] of g (-1: none). */
typedef struct {
    Rewrite      *w;
    const Unpool *p;
    Node         *n;
    Sub           point[MAX_RANK];        /* where the sum reads arg and d, over its new variables */
    int           axis[MAX_VARS];
    NodeList      args;
    bool          lane[MAX_VARS];         /* outs that lie in lanes of a moved operand */
    bool          fails;
} Sum;

static int operand_of(Sum *s, Node *arg) {
    for (int i = 0; i < s->args.n; i++)
        if (s->args.at[i] == arg) return i;
    vec_push(s->w->g->arena, &s->args, arg);
    return s->args.n - 1;
}

/* d or arg at the sum's point. */
static const Expr *at_point(Sum *s, const Expr *e) {
    Arena *a = s->w->g->arena;
    Expr  *made = arena_copy(a, e, sizeof *e);
    if (e->op == SC_READ) {
        made->operand = operand_of(s, s->p->g->arg[e->operand]);
        if (e->nsub) made->sub = s->point;
        return expr_read(a, e->dtype, made->operand, e->nsub, made->sub, false);
    }
    for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = at_point(s, e->arg[i]);
    return made;
}

/* A subscript of another operand: positions u become div * i + the table's value. */
static Sub move_sub(Sum *s, const Sub *sub) {
    Arena *a = s->w->g->arena;
    Sub    r = {sub->aff, sub->ind};
    for (int t = 0; t < sub->aff.n; t++) {
        int     v = sub->aff.term[t].var, k = s->axis[v];
        int64_t coef = sub->aff.term[t].coef;
        if (k < 0) continue;
        if (sub->ind) s->fails = true;
        r.aff = affine_add(r.aff, affine_var(v), coef * (s->p->div[k] - 1));
        Sub         at = {affine_const(0), at_point(s, s->p->flat)};
        const Expr *step = expr_read(a, DT_I32, operand_of(s, position_table(s->w, s->p, k, coef)), 1, &at, false);
        r.ind = r.ind ? expr_op2(a, SC_ADD, r.ind, step) : step;
    }
    return r;
}

/* ---- the order of axes ----------------------------------------------------------------------------------- */

static bool point_uses(const Sum *s, int v) {
    for (int k = 0; k < s->p->g->type.rank; k++)
        if (affine_coef(&s->point[k].aff, v)) return true;
    return false;
}

/* Axes that an out alone runs over, one that d does not depend on: the lanes. They come last, the others keep
 * their order. True if that is another order than the operand has. */
static bool lanes_last(Sum *s, const Node *arg, const Sub *sub, int *order) {
    int n = 0, rank = arg->type.rank;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < rank; i++) {
            int  v;
            bool lane = !sub[i].ind && affine_is_var(&sub[i].aff, &v) && v < s->n->u.comp.nout && !point_uses(s, v) &&
                        arg->type.dim[i].size >= LANES;
            if (lane) s->lane[v] = true;
            if (lane == (pass == 1)) order[n++] = i;
        }
    for (int i = 0; i < rank; i++)
        if (order[i] != i) return true;
    return false;
}

Node *turn(Rewrite *w, Node *arg, const int *order) {
    Var var[MAX_RANK] = {0};
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < arg->type.rank; i++) {
        var[i] = (Var){.name = "i", .ext = arg->type.dim[order[i]]};
        sub[order[i]].aff = affine_var(i);
    }
    for (int i = 0; i < w->turned.n; i++) {
        const Node *t = w->turned.at[i];
        bool        same = t->arg[0] == arg;
        for (int k = 0; k < arg->type.rank && same; k++) same = affine_equal(&t->u.comp.expr->sub[k].aff, &sub[k].aff);
        if (same) return w->turned.at[i];
    }
    const Expr *e = expr_read(w->g->arena, arg->type.dtype, 0, arg->type.rank, sub, false);
    graph_at(w->g, arg->name, arg->loc);
    Node *t = graph_comp(w->g, KIND_MAP, arg->type.rank, 0, 0, var, e, 1, &arg);
    vec_push(w->g->arena, &w->turned, t);
    return t;
}

/* ---- the sum --------------------------------------------------------------------------------------------- */

/* A read of another operand at positions that arg tells. */
static const Expr *move_read(Sum *s, const Expr *e) {
    Arena *a = s->w->g->arena;
    Node  *arg = s->n->arg[e->operand];
    Sub    sub[MAX_RANK], turned[MAX_RANK];
    int    order[MAX_RANK];
    bool   moved = false;
    for (int i = 0; i < e->nsub; i++) {
        sub[i] = move_sub(s, &e->sub[i]);
        moved |= sub[i].ind != e->sub[i].ind;
    }
    if (moved && e->guarded) s->fails = true;
    if (!moved || !lanes_last(s, arg, sub, order))
        return expr_read(a, e->dtype, operand_of(s, arg), e->nsub, sub, e->guarded);
    for (int i = 0; i < e->nsub; i++) turned[i] = sub[order[i]];
    return expr_read(a, e->dtype, operand_of(s, turn(s->w, arg, order)), e->nsub, turned, false);
}

static const Expr *move_expr(Sum *s, const Expr *e) {
    Expr *made = arena_copy(s->w->g->arena, e, sizeof *e);
    if (e->op == SC_IDX) {
        for (int t = 0; t < e->aff.n; t++) s->fails |= s->axis[e->aff.term[t].var] >= 0;
        return e;
    }
    if (e->op == SC_READ) return s->n->arg[e->operand] == s->p->g ? at_point(s, s->p->value) : move_read(s, e);
    for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = move_expr(s, e->arg[i]);
    return made;
}

static void count_reads(const Expr *e, void *cx) {
    Sum *s = cx;
    if (e->op != SC_READ || s->n->arg[e->operand] != s->p->g) return;
    const Comp *c = &s->n->u.comp;
    s->fails |= s->args.n > 0 || e->guarded;                /* args.n counts reads for now */
    vec_push(s->w->g->arena, &s->args, s->p->g);
    for (int k = 0; k < e->nsub; k++) {
        int v;
        s->point[k] = e->sub[k];
        if (!s->p->div[k]) continue;
        bool red = affine_is_var(&e->sub[k].aff, &v) && v >= c->nout && v < c->nout + c->nred;
        if (red && s->axis[v] < 0) s->axis[v] = k;
        else s->fails = true;
    }
}

static bool product_with(const Expr *e, const Node *n, const Node *g) {
    if (e->op == SC_READ) return n->arg[e->operand] == g;
    return e->op == SC_MUL && (product_with(e->arg[0], n, g) || product_with(e->arg[1], n, g));
}

/* The outs that alone run over an axis of a moved operand, as turned: they come last. Renumbers the variables of e;
 * false: they are last already. */
static bool turn_outs(const Sum *s, Var *var, const Expr **e, int *place) {
    const Comp *c = &s->n->u.comp;
    Affine      map[MAX_VARS];
    Var         old[MAX_VARS];
    int         at = 0, nvar = c->nout + c->nred + c->nder;
    bool        same = true;
    for (int pass = 0; pass < 2; pass++)
        for (int v = 0; v < c->nout; v++)
            if (s->lane[v] == (pass == 1)) place[v] = at++;
    for (int v = 0; v < c->nout; v++) same &= place[v] == v;
    if (same) return false;
    memcpy(old, var, sizeof *old * (size_t)nvar);
    for (int v = 0; v < nvar; v++) map[v] = affine_var(v < c->nout ? place[v] : v);
    for (int v = 0; v < c->nout; v++) var[place[v]] = old[v];
    for (int v = c->nout + c->nred; v < nvar; v++) var[v].num = affine_subst(&old[v].num, map, nvar);
    *e = expr_subst(s->w->g->arena, *e, map, nvar, NULL);
    return true;
}

/* sum[..., lanes] in the order of the outs of n. */
static Node *turn_back(Rewrite *w, const Node *n, Node *sum, const int *place) {
    const Comp *c = &n->u.comp;
    Var         var[MAX_RANK] = {0};
    Sub         sub[MAX_RANK] = {0};
    for (int v = 0; v < c->nout; v++) {
        var[v] = (Var){.name = c->var[v].name, .ext = c->var[v].ext};
        sub[place[v]].aff = affine_var(v);
    }
    const Expr *e = expr_read(w->g->arena, n->type.dtype, 0, c->nout, sub, false);
    return graph_comp(w->g, KIND_MAP, c->nout, 0, 0, var, e, 1, &sum);
}

/* The sum over windows instead of positions, or NULL. */
static Node *sum_over_windows(Rewrite *w, const Unpool *p, Node *n) {
    const Comp *c = &n->u.comp;
    Sum         s = {.w = w, .p = p, .n = n};
    Var         var[MAX_VARS];
    for (int v = 0; v < MAX_VARS; v++) s.axis[v] = -1;
    if (n->op != OP_COMP || c->kind != KIND_SUM || !product_with(c->expr, n, p->g)) return NULL;
    expr_walk(c->expr, count_reads, &s);
    int whole = 0;
    for (int k = 0; k < p->g->type.rank; k++) whole += p->div[k] > 0;
    for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
        var[v] = c->var[v];
        whole -= s.axis[v] >= 0;
        if (s.axis[v] >= 0) var[v].ext = p->ext[s.axis[v]];
        for (int t = 0; var[v].div && t < var[v].num.n; t++) s.fails |= s.axis[var[v].num.term[t].var] >= 0;
    }
    if (s.fails || whole) return NULL;
    s.args.n = 0;
    const Expr *e = move_expr(&s, c->expr);
    int         place[MAX_RANK];
    if (s.fails) return NULL;
    bool turned = turn_outs(&s, var, &e, place);
    graph_at(w->g, n->name, n->loc);
    Node *sum = graph_comp(w->g, KIND_SUM, c->nout, c->nred, c->nder, var, e, s.args.n, s.args.at);
    return turned ? turn_back(w, n, sum, place) : sum;
}

/* ---- frames ---------------------------------------------------------------------------------------------- */

/* A map that copies g with shifted subscripts: g's own sum over the map's variables. */
static Node *frame(Rewrite *w, const Unpool *p, Node *n) {
    const Comp *c = &n->u.comp, *from = &p->g->u.comp;
    int         nvar = from->nout + from->nred + from->nder;
    Var         var[MAX_VARS];
    Affine      map[MAX_VARS];
    if (n->op != OP_COMP || c->kind != KIND_MAP || c->expr->op != SC_READ || c->nout != from->nout) return NULL;
    for (int v = 0; v < nvar; v++) {
        var[v] = from->var[v];
        map[v] = affine_var(v);
    }
    for (int k = 0; k < c->nout; k++) {
        const Sub *sub = &c->expr->sub[k];
        Affine     shift = sub->aff;
        int        v;
        shift.c = 0;
        if (sub->ind || !affine_is_var(&shift, &v) || v != k || (!p->div[k] && sub->aff.c)) return NULL;
        var[k] = c->var[k];
        map[k] = sub->aff;
    }
    for (int v = from->nout + from->nred; v < nvar; v++) var[v].num = affine_subst(&from->var[v].num, map, nvar);
    const Expr *e = expr_subst(w->g->arena, from->expr, map, nvar, NULL);
    graph_at(w->g, n->name, n->loc);
    return graph_comp(w->g, KIND_SUM, from->nout, from->nred, from->nder, var, e, p->g->narg, p->g->arg);
}

/* ---- the pass -------------------------------------------------------------------------------------------- */

void rewrite_readers(Graph *g, RewriteReader *rewrite) {
    Rewrite w = {.g = g};
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Unpool p;
        if (!find_unpool(g->nodes.at[i], &p)) continue;
        for (int k = 0; k < count; k++) {
            Node *n = g->nodes.at[k], *made = NULL;
            for (int j = 0; j < n->narg && !made; j++)
                if (n->arg[j] == p.g) made = rewrite(&w, &p, n);
            if (made) graph_replace(g, n, made);
        }
    }
    graph_sweep(g);
}

static Node *look_up(Rewrite *w, const Unpool *p, Node *n) {
    Node *made = sum_over_windows(w, p, n);
    return made ? made : frame(w, p, n);
}

void unpool_graph(Graph *g) { rewrite_readers(g, look_up); }
