/* Strides and pooling, backwards.
 *
 * The gradient of y[i] = f(x[2 i + r]) with respect to x[p] runs over r and needs i = (p - r) / 2: half the
 * points have no i. Or it runs over i and needs r = p - 2 i: nearly none has an r. With p = 2 whole + rest
 * the points that count are dense: r = rest + 2 t, i = whole - t. For a window that is not larger than
 * its stride (pooling) only t = 0 is left and the reduction is gone. With an odd padding, (p - r + 1) / 2, it is
 * r = 1 - rest + 2 t; with larger strides p is moved, p = 3 whole + rest - 1.
 *
 * Outs that tell the panel of an operand (panel.c) are cut in the same way: 16 whole + rest, with all rests in one
 * tile.
 *
 * Every remainder has code of its own (NestVar.apart): how many taps it has is known there, so nothing is tested
 * in a loop. Where the size is no multiple of the stride the last whole has remainders that are
 * not there: their stores have a guard.
 */
#include "passes/nest_impl.h"

/* All terms of a but those of p and q are multiples of d. */
static bool rest_divisible(const Affine *a, int p, int q, int64_t d) {
    for (int i = 0; i < a->n; i++)
        if (a->term[i].var != p && a->term[i].var != q && a->term[i].coef % d) return false;
    return true;
}

static bool find_forward(const Comp *c, const Var *v, int p, int q, Residue *r) {
    int64_t over = v->div > 1 ? (v->num.c % v->div + v->div) % v->div : 0;
    if (v->div < 2 || affine_coef(&v->num, p) != 1 || !rest_divisible(&v->num, p, q, v->div)) return false;
    if (q >= 0 && (affine_coef(&v->num, q) != -1 || c->var[q].ext.bound)) return false;
    *r = (Residue){.out = p, .red = q, .div = v->div, .span = q < 0 ? 1 : c->var[q].ext.size,
                   .flip = over && v->div == 2, .cut = v->div == 2 ? 0 : over};
    return true;
}

static bool find_inverse(const Comp *c, const Var *v, int p, int q, Residue *r) {
    int64_t d = -affine_coef(&v->num, q);
    if (v->div != 1 || d < 2 || affine_coef(&v->num, p) != 1 || v->num.n != 2) return false;
    if (v->num.c % d || v->ext.bound || c->var[q].ext.bound) return false;
    *r = (Residue){.out = p, .red = q, .div = d, .span = v->ext.size, .shift = v->num.c / d, .inverse = true};
    return true;
}

bool residue_find(const Comp *c, int derived, Residue *r) {
    const Var *v = &c->var[c->nout + c->nred + derived];
    for (int p = 0; p < c->nout; p++) {
        if (c->var[p].ext.bound || !affine_coef(&v->num, p)) continue;
        for (int q = c->nout; q < c->nout + c->nred; q++)
            if (find_forward(c, v, p, q, r) || find_inverse(c, v, p, q, r)) return true;
        if (find_forward(c, v, p, -1, r)) return true;
    }
    return false;
}

static int64_t wholes(int64_t size, int64_t div, int64_t cut) { return div ? (size + cut + div - 1) / div : size; }

bool residue_range(const Comp *c, int derived, int64_t *lo, int64_t *hi) {
    const Var *v = &c->var[c->nout + c->nred + derived];
    Residue    r;
    if (!residue_find(c, derived, &r) || r.inverse || v->num.n != (r.red < 0 ? 1 : 2)) return false;
    int64_t base = (v->num.c - r.cut - r.flip) / r.div;
    *lo = base - (r.span - 1) / r.div;
    *hi = base + wholes(c->var[r.out].ext.size, r.div, r.cut) - 1 + r.flip;
    return true;
}

static void look_for_panels(const Expr *e, void *cx) {
    NestBuild *b = cx;
    int        v = e->op == SC_READ ? panel_variable(b->m, e) : -1;
    if (v >= 0) b->split[v] = (Split){.div = b->m->arg[e->operand]->panel_size, .panel = true};
}

/* Outs that tell the panel of an operand or of a result. */
static void split_panels(NestBuild *b) {
    for (int i = 0; i < b->gr->nodes.n; i++) {
        b->m = b->gr->nodes.at[i];
        expr_walk(b->m->u.comp.expr, look_for_panels, b);
        if (b->m->panel) b->split[b->m->panel - 1] = (Split){.div = b->m->panel_size, .panel = true};
    }
}

void residue_split(NestBuild *b) {
    const Comp *space = &b->gr->space->u.comp;
    split_panels(b);
    for (int i = 0; i < b->gr->nodes.n && !b->gr->pool; i++) {
        const Comp *c = &b->gr->nodes.at[i]->u.comp;
        Residue     r;
        for (int j = 0; j < c->nder; j++)
            if (residue_find(c, j, &r) && !b->split[r.out].div) b->split[r.out] = (Split){.div = r.div, .shift = r.cut};
    }
    for (int i = 0; i < space->nout; i++) {
        Split     *s = &b->split[i];
        const Var *v = &space->var[i];
        s->whole = nest_var(b->n, v->name, wholes(v->ext.size, s->div, s->shift), v->ext.bound);
        b->outs[i] = lin_var(s->whole);
    }
    for (int i = 0; i < space->nout; i++) {
        Split *s = &b->split[i];
        if (!s->div) continue;
        s->rest = nest_var(b->n, space->var[i].name, s->div, 0);
        b->n->var[s->rest].apart = !s->panel;
        b->n->var[s->rest].panel = s->panel;
        Lin rest = lin_var(s->rest);
        b->outs[i] = lin_const(-s->shift);
        b->outs[i].k[s->whole] = s->div;
        lin_add(&b->outs[i], &rest, 1);
    }
    b->n->nout = b->n->nvar;
}
