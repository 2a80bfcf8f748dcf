/* The gradient of an image behind a max-pooling, as what every pooled cell spreads over the image.
 *
 * In the plain form each pixel gathers from the unpooled gradient, of which three of four numbers (for 2x2) are zero:
 *
 *     dx[b,c,u,v] = sum over o, r, s of w[o,c,r,s] g[b,o,p,q]        with p = u-r, q = v-s
 *     g[b,o,p,q]  = sum over y, x of (flat(y,x) = arg[b,o,i,j] ? d[b,o,i,j] : 0)    with i = (p-y)/2, j = (q-x)/2
 *
 * Put together, the sum runs over o, r, s, y, x; and the two systems of equations have one solution for the image:
 * u = 2 i + y + r, v = 2 j + x + s. So a nest may run over the cells i, j instead of the pixels, and add to memory:
 *
 *     for b: dx[b] = 0; for y, x, i, j: list the o with arg[b,o,i,j] = flat(y,x) and d[b,o,i,j] not 0;
 *         for r: dx[b, 2i+y+r, 2j+x .. , all c] += sum over the list of d w[o, r, all s, all c]
 *
 * This file makes the sum (spread_graph) and finds the solution of such a sum (spread_find), by which nest_build.c
 * makes the loops; listed.c makes the lists. w, d, arg and dx are turned so that what lies in lanes comes last. */
#include <string.h>

#include "passes/unpool_impl.h"

enum { LANES = 4 };              /* fewer channels than this are not worth lanes */

/* ---- the solution ----------------------------------------------------------------------------------------- */

/* div * d = num for derived variable d, solved for an out or an earlier derived variable. */
static bool solve(const Comp *c, int d, Spread *s, bool *solved) {
    Affine num = c->var[d].num;
    for (int i = 0; i < num.n; i++) {
        int t = num.term[i].var;
        if (num.term[i].coef != 1 || solved[t] || (t >= c->nout && t < c->nout + c->nred)) continue;
        Affine rest = affine_add(num, affine_var(t), -1);
        s->form[t] = affine_add(affine_scale(affine_var(d), c->var[d].div), rest, -1);
        solved[t] = true;
        return true;
    }
    return false;
}

static void form_range(const Comp *c, const Affine *a, int64_t *lo, int64_t *hi) {
    *lo = *hi = a->c;
    for (int i = 0; i < a->n; i++) {
        int64_t last = a->term[i].coef * (c->var[a->term[i].var].ext.size - 1);
        *(last < 0 ? lo : hi) += last;
    }
}

/* Does every point of the loops lead into the ranges of the solved variables? */
static bool stays_inside(const Comp *c, const Spread *s, const bool *solved, bool outs_too) {
    for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
        int64_t lo, hi;
        if (!solved[v]) continue;
        form_range(c, &s->form[v], &lo, &hi);
        if (c->var[v].ext.bound || ((v >= c->nout || outs_too) && (lo < 0 || hi >= c->var[v].ext.size))) return false;
    }
    return true;
}

/* Loops: the outs that are left, derived variables that are left, reductions in the forms of outs. */
static bool find_loops(const Comp *c, Spread *s, const bool *solved) {
    bool any = false;
    for (int v = 0; v < c->nout; v++) {
        if (!solved[v]) s->loop[v] = true;
        any |= solved[v];
        for (int i = 0; solved[v] && i < s->form[v].n; i++) {
            int t = s->form[v].term[i].var;
            s->loop[t] = true;
            if (c->var[t].ext.bound || t < c->nout) return false;
        }
    }
    for (int v = c->nout + c->nred; v < c->nout + c->nred + c->nder; v++)
        if (!solved[v] && !s->loop[v]) return false;
    return any;
}

static bool solution(const Comp *c, Spread *s, bool outs_too) {
    int  n = c->nout + c->nred + c->nder;
    bool solved[MAX_VARS] = {false};
    *s = (Spread){0};
    for (int v = 0; v < n; v++) s->form[v] = affine_var(v);
    for (int d = n - 1; d >= c->nout + c->nred; d--)
        if (!solve(c, d, s, solved)) return false;
    for (int turn = 0; turn < c->nder; turn++)
        for (int v = 0; v < n; v++)
            if (solved[v]) s->form[v] = affine_subst(&s->form[v], s->form, n);
    return find_loops(c, s, solved) && stays_inside(c, s, solved, outs_too);
}

/* sel(eq(position of the loops, a read), x, 0): at one of several positions. */
static bool is_choice(const Comp *c, const Expr *e, const Spread *s) {
    if (e->op != SC_SEL || e->arg[0]->op != SC_EQ || !expr_is_const(e->arg[2], 0)) return false;
    const Expr *idx = e->arg[0]->arg[0], *read = e->arg[0]->arg[1];
    if (idx->op == SC_READ) idx = e->arg[0]->arg[1], read = e->arg[0]->arg[0];
    if (idx->op != SC_IDX || read->op != SC_READ || !idx->aff.n) return false;
    for (int i = 0; i < idx->aff.n; i++) {
        int v = idx->aff.term[i].var;
        if (v < c->nout || v >= c->nout + c->nred || !s->loop[v]) return false;
    }
    return true;
}

static bool is_product(const Comp *c, const Spread *s) {
    const Expr *e = c->expr;
    if (e->op != SC_MUL) return false;
    for (int side = 0; side < 2; side++)
        if (is_choice(c, e->arg[side], s) && e->arg[1 - side]->op == SC_READ && !e->arg[1 - side]->guarded) return true;
    return false;
}

bool spread_find(const Node *n, Spread *s) {
    const Comp *c = &n->u.comp;
    if (n->op != OP_COMP || c->kind != KIND_SUM || n->type.dtype != DT_F32 || !c->nder) return false;
    if (!solution(c, s, true) || !is_product(c, s)) return false;
    for (int v = c->nout; v < c->nout + c->nred; v++)
        if (!s->loop[v]) return true;
    return false;
}

/* ---- making the sum --------------------------------------------------------------------------------------- */

typedef struct {
    Rewrite      *w;
    const Unpool *p;
    Node         *n;
    const Expr   *other;        /* n's expression: the read of g times this */
    const Expr   *at;           /* the read of g */
    int           lane;         /* n's out that comes last */
    int           nvar;         /* of the sum: n's outs, n's reductions, g's, n's derived variables, g's */
    int           place[MAX_VARS];        /* of n's variables among those */
    Var           var[MAX_VARS];
    NodeList      args;
} Sum;

static bool uses(const Expr *read, int v) {
    for (int i = 0; i < read->nsub; i++)
        if (affine_coef(&read->sub[i].aff, v)) return true;
    return false;
}

static bool plain_read(const Expr *e) {
    for (int i = 0; i < e->nsub; i++)
        if (e->sub[i].ind) return false;
    return e->op == SC_READ && !e->guarded;
}

/* n is a product of g at derived positions and one other tensor, which has an out of its own: the channels. */
static bool find_product(Sum *s) {
    const Comp *c = &s->n->u.comp;
    const Expr *e = c->expr;
    if (s->n->op != OP_COMP || c->kind != KIND_SUM || e->op != SC_MUL) return false;
    int side = e->arg[0]->op == SC_READ && s->n->arg[e->arg[0]->operand] == s->p->g ? 0 : 1;
    s->at = e->arg[side];
    s->other = e->arg[1 - side];
    if (!plain_read(s->at) || !plain_read(s->other) || s->n->arg[s->at->operand] != s->p->g) return false;
    if (s->n->arg[s->other->operand] == s->p->g || s->other->dtype != DT_F32) return false;
    for (int k = 0; k < s->at->nsub; k++) {
        int v;
        if (s->p->div[k] && (!affine_is_var(&s->at->sub[k].aff, &v) || v < c->nout + c->nred)) return false;
    }
    s->lane = -1;
    for (int i = 0; i < s->other->nsub; i++) {
        int v;
        if (!affine_is_var(&s->other->sub[i].aff, &v) || v >= c->nout || uses(s->at, v)) continue;
        if (c->var[v].ext.size >= LANES && !c->var[v].ext.bound) s->lane = v;
    }
    return s->lane >= 0;
}

/* The variables of the sum. */
static void place_vars(Sum *s) {
    const Comp *c = &s->n->u.comp, *g = &s->p->g->u.comp;
    Affine      map[MAX_VARS], inner[MAX_VARS];
    int         at = 0;
    for (int v = 0; v < c->nout; v++)
        if (v != s->lane) s->place[v] = at++;
    s->place[s->lane] = at++;
    for (int v = c->nout; v < c->nout + c->nred; v++) s->place[v] = at++;
    for (int v = c->nout + c->nred; v < c->nout + c->nred + c->nder; v++) s->place[v] = at++ + g->nred;
    s->nvar = at + g->nred + g->nder;
    for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
        map[v] = affine_var(s->place[v]);
        s->var[s->place[v]] = c->var[v];
        if (c->var[v].div) s->var[s->place[v]].num = affine_subst(&c->var[v].num, map, v);
    }
    int first = c->nout + c->nred;
    for (int k = 0; k < g->nout; k++) inner[k] = affine_subst(&s->at->sub[k].aff, map, first + c->nder);
    for (int v = g->nout; v < g->nout + g->nred + g->nder; v++) {
        int to = v < g->nout + g->nred ? first + v - g->nout : first + g->nred + c->nder + v - g->nout - g->nred;
        inner[v] = affine_var(to);
        s->var[to] = g->var[v];
        if (g->var[v].div) s->var[to].num = affine_subst(&g->var[v].num, inner, v);
    }
}

/* A read with the subscripts `sub`; axes that `last` alone runs over come last. */
static const Expr *turned_read(Sum *s, Node *arg, DType d, int nsub, const Sub *sub, int last) {
    int  order[MAX_RANK], n = 0;
    Sub  to[MAX_RANK];
    bool same = true;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < nsub; i++) {
            int  v;
            bool lane = affine_is_var(&sub[i].aff, &v) && v == last;
            if (lane == (pass == 1)) order[n++] = i;
        }
    for (int i = 0; i < nsub; i++) {
        to[i] = sub[order[i]];
        same &= order[i] == i;
    }
    vec_push(s->w->g->arena, &s->args, same ? arg : turn(s->w, arg, order));
    return expr_read(s->w->g->arena, d, s->args.n - 1, nsub, to, false);
}

/* g's expression over the sum's variables: every read is at the window's point; the channels of g come last. */
static const Expr *choice_expr(Sum *s, const Expr *e, const Affine *map, int last) {
    Arena *a = s->w->g->arena;
    Expr  *made = arena_copy(a, e, sizeof *e);
    if (e->op == SC_IDX) return expr_idx(a, affine_subst(&e->aff, map, s->p->g->u.comp.nout + s->p->g->u.comp.nred));
    if (e->op == SC_READ) {
        Sub sub[MAX_RANK] = {0};
        for (int i = 0; i < e->nsub; i++) sub[i].aff = affine_subst(&e->sub[i].aff, map, MAX_VARS);
        return turned_read(s, s->p->g->arg[e->operand], e->dtype, e->nsub, sub, last);
    }
    for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = choice_expr(s, e->arg[i], map, last);
    return made;
}

static const Expr *sum_expr(Sum *s) {
    const Comp *c = &s->n->u.comp, *g = &s->p->g->u.comp;
    Affine      map[MAX_VARS], inner[MAX_VARS];
    Sub         sub[MAX_RANK] = {0};
    int         last = -1, v, first = c->nout + c->nred;
    for (int i = 0; i < MAX_VARS; i++) map[i] = inner[i] = affine_const(0);
    for (int i = 0; i < first + c->nder; i++) map[i] = affine_var(s->place[i]);
    for (int k = 0; k < g->nout; k++) {
        inner[k] = affine_subst(&s->at->sub[k].aff, map, first + c->nder);
        if (affine_is_var(&s->at->sub[k].aff, &v) && v >= c->nout && v < first) last = s->place[v];
    }
    for (int i = g->nout; i < g->nout + g->nred; i++) inner[i] = affine_var(first + i - g->nout);
    for (int i = g->nout + g->nred; i < g->nout + g->nred + g->nder; i++)
        inner[i] = affine_var(first + g->nred + c->nder + i - g->nout - g->nred);
    for (int i = 0; i < s->other->nsub; i++) sub[i].aff = affine_subst(&s->other->sub[i].aff, map, first + c->nder);
    const Expr *other = turned_read(s, s->n->arg[s->other->operand], DT_F32, s->other->nsub, sub, s->place[s->lane]);
    return expr_op2(s->w->g->arena, SC_MUL, choice_expr(s, g->expr, inner, last), other);
}

/* Makes room in the outs for all that the loops reach; *low: the smallest value of each out that is solved. */
static bool frame_outs(Sum *s, Comp *sum, int64_t *low) {
    Spread f;
    if (!solution(sum, &f, false)) return false;
    for (int v = 0; v < sum->nout; v++) {
        int64_t lo, hi;
        low[v] = 0;
        if (f.loop[v]) continue;
        form_range(sum, &f.form[v], &lo, &hi);
        low[v] = lo < 0 ? lo : 0;
        if (hi < s->var[v].ext.size - 1) hi = s->var[v].ext.size - 1;
        s->var[v].ext.size = hi - low[v] + 1;
        Affine map[MAX_VARS];
        for (int i = 0; i < s->nvar; i++) map[i] = affine_var(i);
        map[v].c = low[v];
        for (int i = sum->nout + sum->nred; i < s->nvar; i++) s->var[i].num = affine_subst(&s->var[i].num, map, i);
    }
    return true;
}

/* n's own order of axes and its part of the frame. */
static Node *cut_out(Sum *s, Node *sum, const int64_t *low) {
    const Comp *c = &s->n->u.comp;
    Var         var[MAX_RANK] = {0};
    Sub         sub[MAX_RANK] = {0};
    for (int v = 0; v < c->nout; v++) {
        var[v] = (Var){.name = c->var[v].name, .ext = c->var[v].ext};
        sub[s->place[v]].aff = affine_var(v);
        sub[s->place[v]].aff.c = -low[s->place[v]];
    }
    const Expr *e = expr_read(s->w->g->arena, DT_F32, 0, c->nout, sub, false);
    return graph_comp(s->w->g, KIND_MAP, c->nout, 0, 0, var, e, 1, &sum);
}

static Node *spread_sum(Rewrite *w, const Unpool *p, Node *n) {
    Sum         s = {.w = w, .p = p, .n = n};
    const Comp *g = &p->g->u.comp;
    int64_t     low[MAX_RANK];
    Spread      found;
    if (!find_product(&s) || n->u.comp.nout + n->u.comp.nred + n->u.comp.nder + g->nred + g->nder > MAX_VARS / 2 + 4)
        return NULL;
    place_vars(&s);
    Comp sum = {.kind = KIND_SUM, .nout = n->u.comp.nout, .nred = n->u.comp.nred + g->nred,
                .nder = n->u.comp.nder + g->nder, .var = s.var};
    if (!frame_outs(&s, &sum, low)) return NULL;
    graph_at(w->g, n->name, n->loc);
    const Expr *e = sum_expr(&s);
    graph_at(w->g, n->name, n->loc);
    Node *made = graph_comp(w->g, KIND_SUM, sum.nout, sum.nred, sum.nder, s.var, e, s.args.n, s.args.at);
    return spread_find(made, &found) ? cut_out(&s, made, low) : NULL;
}

void spread_graph(Graph *g) { rewrite_readers(g, spread_sum); }
