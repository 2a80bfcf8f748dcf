/* Convolutions whose taps are added up last.
 *
 * In the gradient of an image, sum over o, r, s of w[o,c,r,s] dy[b,o,i,j] with i = (u - r) / 2, j = (v - s) / 2,
 * every tap reads dy at another place: in a frame of zeros, a copy, and with a stride for every remainder of u and v
 * anew. With few channels c there is little to do with what was loaded before the next place comes. The same is
 *
 *     P[b,c,r,s,i,j] = sum over o of w[o,c,r,s] dy[b,o,i,j]         a product of matrices, dy read as it lies
 *     dx[b,c,u,v]    = sum over r, s of P[b,c,r,s,i,j]
 *
 * and likewise y[b,o,i,j] = sum over c, r, s of w[o,c,r,s] x[b,c,i+r,j+s]. What P takes to write and to read is little
 * beside long sums. */
#include "passes/kernels_impl.h"

enum { FEW = 6, MANY = 8 };             /* channels */
enum { MOST_MORE = 4 };                 /* times the products of the plain form, where all are taken */
/* Shares of the peak: of the product; of the plain form with a stride, and a stride that no taps fill; without. */
static const double PRODUCT = 0.45, STRIDED = 0.3, SPREAD = 0.15, FEW_CHANNELS = 0.25, SOME_CHANNELS = 0.5,
                    MANY_CHANNELS = 1;
/* Of L2; cycles to write and read a number of P, near and far; to copy one into a frame. */
static const double NEAR = 0.9, NEAR_COST = 3, FAR_COST = 4, FRAME_COST = 1.4;
static const double STARTING = 2000;    /* cycles of a nest more */
static const double WORTH = 1.15;

/* A variable of the convolution. */
typedef enum {
    ROLE_SUMMED,                /* a reduction of the product */
    ROLE_OUT,                   /* an out of both sums */
    ROLE_TAP,                   /* an out of the product that the second sum runs over */
    ROLE_PLACE                  /* an out that tells places of the image, or a derived variable */
} Role;

typedef struct {
    Graph      *g;
    Node       *n;
    const Expr *w, *x;          /* factors: weights; what is read at places that the taps tell */
    Role        role[MAX_VARS];
    bool        place[MAX_RANK];          /* per axis of x: is it told by taps? */
    int         nrow, row[MAX_RANK];      /* variables that are outs of the product, but for places */
} Taps;

/* ---- recognizing ----------------------------------------------------------------------------------------- */

static bool reads_plainly(const Node *n, const Expr *e) {
    if (e->op != SC_READ || e->dtype != DT_F32) return false;
    for (int i = 0; i < e->nsub; i++)
        if (e->sub[i].ind) return false;
    return n->arg[e->operand]->type.dtype == DT_F32;
}

/* Variables of a form, those of derived ones among them, tell places. False: one of them is under a bound. */
static bool mark_places(Taps *t, const Affine *f) {
    const Comp *c = &t->n->u.comp;
    for (int i = 0; i < f->n; i++) {
        int v = f->term[i].var;
        if (c->var[v].ext.bound) return false;
        t->role[v] = v < c->nout || v >= c->nout + c->nred ? ROLE_PLACE : ROLE_TAP;
        if (c->var[v].div && !mark_places(t, &c->var[v].num)) return false;
    }
    return true;
}

/* A number on the axis, or a variable that tells no place and never leaves the axis. */
static bool is_plain(const Taps *t, const Affine *f, Extent axis) {
    int v;
    if (affine_is_const(f)) return f->c >= 0 && f->c < axis.size && !axis.bound;
    if (!affine_is_var(f, &v) || t->role[v] == ROLE_TAP || t->role[v] == ROLE_PLACE) return false;
    return t->n->u.comp.var[v].ext.size <= axis.size && t->n->u.comp.var[v].ext.bound == axis.bound;
}

/* Axes of x are outs or reductions as they are, or places. */
static bool find_places(Taps *t) {
    const Comp *c = &t->n->u.comp;
    bool        any = false;
    for (int v = 0; v < c->nout + c->nred; v++) t->role[v] = v < c->nout ? ROLE_OUT : ROLE_SUMMED;
    for (int i = 0; i < t->x->nsub; i++) {
        const Affine *f = &t->x->sub[i].aff;
        int           v;
        t->place[i] = !(affine_is_const(f) || (affine_is_var(f, &v) && v < c->nout + c->nred));
        if (!t->place[i]) continue;
        any = true;
        if (!mark_places(t, f) || t->n->arg[t->x->operand]->type.dim[i].bound) return false;
    }
    for (int i = 0; i < t->x->nsub && any; i++)
        any = t->place[i] || is_plain(t, &t->x->sub[i].aff, t->n->arg[t->x->operand]->type.dim[i]);
    return any;
}

static bool uses(const Expr *read, int v) {
    for (int i = 0; i < read->nsub; i++)
        if (affine_coef(&read->sub[i].aff, v)) return true;
    return false;
}

/* The rows of the product: outs of x alone, then those of the weights in their order, taps among them. */
static bool find_rows(Taps *t) {
    const Comp *c = &t->n->u.comp;
    bool        seen[MAX_VARS] = {false};
    int         places = 0;
    for (int i = 0; i < t->x->nsub; i++) places += t->place[i];
    for (int i = -1; i < t->w->nsub; i++)
        for (int v = 0; v < c->nout + c->nred; v++) {
            bool row = t->role[v] == ROLE_OUT || t->role[v] == ROLE_TAP;
            bool here = i < 0 ? !uses(t->w, v) : affine_coef(&t->w->sub[i].aff, v) != 0;
            if (!row || seen[v] || !here) continue;
            if (t->nrow + places == MAX_RANK) return false;
            seen[v] = true;
            t->row[t->nrow++] = v;
        }
    return true;
}

static bool find(Taps *t) {
    const Comp *c = &t->n->u.comp;
    if (t->n->op != OP_COMP || c->kind != KIND_SUM || c->expr->op != SC_MUL) return false;
    for (int side = 0; side < 2; side++) {
        bool summed = false, good = true;
        t->x = c->expr->arg[side];
        t->w = c->expr->arg[1 - side];
        t->nrow = 0;
        if (!reads_plainly(t->n, t->w) || !reads_plainly(t->n, t->x) || t->w->guarded || !find_places(t)) continue;
        for (int v = 0; v < c->nout + c->nred + c->nder; v++) {
            if (c->var[v].div) good &= t->role[v] == ROLE_PLACE && uses(t->x, v);
            if (t->role[v] == ROLE_PLACE) good &= !uses(t->w, v);
            summed |= v < c->nout + c->nred && t->role[v] == ROLE_SUMMED && uses(t->w, v) && uses(t->x, v);
        }
        if (good && summed && find_rows(t)) return true;
    }
    return false;
}

/* ---- the choice ------------------------------------------------------------------------------------------ */

/* Products of the plain form, of the form with the taps last; numbers of P. */
static double plain_work(const Taps *t) {
    const Comp *c = &t->n->u.comp;
    double      work = 1;
    for (int v = 0; v < c->nout + c->nred + c->nder; v++)
        if (c->var[v].div) work /= (double)c->var[v].div;
        else work *= (double)c->var[v].ext.size;
    return work;
}

static double places_and_rows(const Taps *t) {
    const Comp *c = &t->n->u.comp;
    double      count = 1;
    for (int i = 0; i < t->nrow; i++) count *= (double)c->var[t->row[i]].ext.size;
    for (int i = 0; i < t->x->nsub; i++)
        if (t->place[i]) count *= (double)t->n->arg[t->x->operand]->type.dim[i].size;
    return count;
}

static double sum_length(const Taps *t) {
    const Comp *c = &t->n->u.comp;
    double      count = 1;
    for (int v = c->nout; v < c->nout + c->nred; v++)
        if (t->role[v] == ROLE_SUMMED) count *= (double)c->var[v].ext.size;
    return count;
}

static bool strided(const Taps *t) {
    const Comp *c = &t->n->u.comp;
    bool        any = false;
    for (int v = c->nout + c->nred; v < c->nout + c->nred + c->nder; v++) any |= c->var[v].div > 1;
    return any;
}

/* The share of the peak that the plain form is expected to reach: what reads a place serves few channels, or remainders
 * of a stride; what convolutions of many channels save by fewer multiplications (winograd.c) counts as well. */
static double plain_efficiency(const Taps *t) {
    const Comp *c = &t->n->u.comp;
    double      channels = 1, taps = 1;
    for (int v = 0; v < c->nout + c->nred; v++) {
        if (t->role[v] == ROLE_OUT && !uses(t->x, v)) channels *= (double)c->var[v].ext.size;
        if (t->role[v] == ROLE_TAP) taps *= (double)c->var[v].ext.size;
    }
    if (strided(t)) return taps > 1 ? STRIDED : SPREAD;
    return channels < FEW ? FEW_CHANNELS : channels < MANY ? SOME_CHANNELS : MANY_CHANNELS;
}

static bool pays(const Taps *t, const Target *target, bool all) {
    const Node  *image = t->n->arg[t->x->operand];
    const Extent rows = t->n->type.rank ? t->n->type.dim[0] : (Extent){1, 0};
    double       p = places_and_rows(t), x = (double)type_count(&image->type);
    double       per_cycle = target->width * target->fma_ports, product = p * sum_length(t);
    double       plain = plain_work(t) / per_cycle / plain_efficiency(t), last = product / per_cycle / PRODUCT;
    bool         near = rows.bound && (p + x) / (double)rows.size * sizeof(float) <= NEAR * target->l2;
    double       frame = t->n->u.comp.nder && !near ? FRAME_COST * x : 0;
    if (all) return product <= MOST_MORE * plain_work(t);
    return plain + frame > WORTH * (last + STARTING + p * (near ? NEAR_COST : FAR_COST));
}

/* ---- the two sums ---------------------------------------------------------------------------------------- */

static const Expr *read_by(const Taps *t, const Expr *e, int operand, const Affine *by, int nvar) {
    const Expr *x = expr_subst(t->g->arena, e, by, nvar, NULL);
    return expr_read(t->g->arena, DT_F32, operand, x->nsub, x->sub, false);
}

/* at[axis]: the product's axis of a place. */
static Node *product(const Taps *t, int *at, Affine *by) {
    const Comp *c = &t->n->u.comp;
    Node       *image = t->n->arg[t->x->operand];
    Var         var[MAX_VARS] = {0};
    Sub         sub[MAX_RANK] = {0};
    int         n = 0, nvar = c->nout + c->nred + c->nder;
    for (int v = 0; v < nvar; v++) by[v] = affine_const(0);
    for (int i = 0; i < t->nrow; i++) {
        by[t->row[i]] = affine_var(n);
        var[n++] = c->var[t->row[i]];
    }
    for (int i = 0; i < t->x->nsub; i++) {
        if (!t->place[i]) continue;
        at[i] = n;
        var[n++] = (Var){.name = "i", .ext = image->type.dim[i]};
    }
    int nout = n;
    for (int v = c->nout; v < c->nout + c->nred; v++) {
        if (t->role[v] != ROLE_SUMMED) continue;
        by[v] = affine_var(n);
        var[n++] = c->var[v];
    }
    for (int i = 0; i < t->x->nsub; i++)
        sub[i].aff = t->place[i] ? affine_var(at[i]) : affine_subst(&t->x->sub[i].aff, by, nvar);
    const Expr *e = expr_op2(t->g->arena, SC_MUL, read_by(t, t->w, 0, by, nvar),
                             expr_read(t->g->arena, DT_F32, 1, t->x->nsub, sub, false));
    return graph_comp(t->g, KIND_SUM, nout, n - nout, 0, var, e, 2, (Node *[]){t->n->arg[t->w->operand], image});
}

static Node *sum_of_taps(const Taps *t, Node *product, const int *at, const Affine *rows) {
    const Comp *c = &t->n->u.comp;
    Affine      by[MAX_VARS];
    Var         var[MAX_VARS];
    Sub         sub[MAX_RANK] = {0};
    int         n = 0, nvar = c->nout + c->nred + c->nder;
    for (int v = 0; v < nvar; v++) {
        if (t->role[v] == ROLE_SUMMED && v < c->nout + c->nred) continue;
        var[n] = c->var[v];
        if (c->var[v].div) var[n].num = affine_subst(&c->var[v].num, by, v);
        by[v] = affine_var(n++);
    }
    for (int i = 0, to; i < t->nrow; i++)
        if (affine_is_var(&rows[t->row[i]], &to)) sub[to].aff = by[t->row[i]];
    for (int i = 0; i < t->x->nsub; i++)
        if (t->place[i]) sub[at[i]].aff = affine_subst(&t->x->sub[i].aff, by, nvar);
    const Expr *e = expr_read(t->g->arena, DT_F32, 0, product->type.rank, sub, t->x->guarded);
    return graph_comp(t->g, KIND_SUM, c->nout, n - c->nout - c->nder, c->nder, var, e, 1, &product);
}

void taps_graph(Graph *g, const Target *target, bool all) {
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Taps   t = {.g = g, .n = g->nodes.at[i]};
        int    at[MAX_RANK];
        Affine rows[MAX_VARS];
        if (!find(&t) || !pays(&t, target, all)) continue;
        graph_at(g, t.n->name, t.n->loc);
        Node *p = product(&t, at, rows);
        graph_replace(g, t.n, sum_of_taps(&t, p, at, rows));
    }
    graph_sort(g);
    graph_sweep(g);
}
