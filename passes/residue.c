/* Strides and pooling, backwards.
 *
 * The gradient of y[i] = f(x[2 i + r]) with respect to x[p] runs over r and needs i = (p - r) / 2: half the
 * points have no i. Or it runs over i and needs r = p - 2 i: nearly none has an r. With p = 2 whole + rest
 * the points that count are dense: r = rest + 2 t, i = whole - t. For a window that is not larger than
 * its stride (pooling) only t = 0 is left and the reduction is gone. With an odd padding, (p - r + 1) / 2, it is
 * r = 1 - rest + 2 t.
 */
#include "passes/nest_impl.h"

/* All terms of a but those of p and q are multiples of d; so is the constant, or d is 2. */
static bool rest_divisible(const Affine *a, int p, int q, int64_t d) {
    if (a->c % d && d != 2) return false;
    for (int i = 0; i < a->n; i++)
        if (a->term[i].var != p && a->term[i].var != q && a->term[i].coef % d) return false;
    return true;
}

static bool find_forward(const Comp *c, const Var *v, int p, int q, Residue *r) {
    if (v->div < 2 || affine_coef(&v->num, p) != 1 || affine_coef(&v->num, q) != -1) return false;
    if (!rest_divisible(&v->num, p, q, v->div) || c->var[q].ext.bound) return false;
    *r = (Residue){.out = p, .red = q, .div = v->div, .span = c->var[q].ext.size, .flip = v->num.c % v->div != 0};
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
        for (int q = c->nout; q < c->nout + c->nred; q++) {
            bool found = find_forward(c, v, p, q, r) || find_inverse(c, v, p, q, r);
            if (found && c->var[p].ext.size % r->div == 0) return true;
        }
    }
    return false;
}

void residue_split(NestBuild *b) {
    const Comp *space = &b->gr->space->u.comp;
    for (int i = 0; i < b->gr->nodes.n && !b->gr->pool; i++) {
        const Comp *c = &b->gr->nodes.at[i]->u.comp;
        Residue     r;
        for (int j = 0; j < c->nder; j++)
            if (residue_find(c, j, &r) && !b->split[r.out].div) b->split[r.out].div = r.div;
    }
    for (int i = 0; i < space->nout; i++) {
        Split     *s = &b->split[i];
        const Var *v = &space->var[i];
        s->whole = nest_var(b->n, v->name, v->ext.size / (s->div ? s->div : 1), v->ext.bound);
        b->outs[i] = lin_var(s->whole);
    }
    for (int i = 0; i < space->nout; i++) {
        Split *s = &b->split[i];
        if (!s->div) continue;
        s->rest = nest_var(b->n, space->var[i].name, s->div, 0);
        Lin rest = lin_var(s->rest);
        b->outs[i] = lin_const(0);
        b->outs[i].k[s->whole] = s->div;
        lin_add(&b->outs[i], &rest, 1);
    }
    b->n->nout = b->n->nvar;
}
