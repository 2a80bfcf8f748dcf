#include "ir/ir.h"

#include <string.h>

Affine affine_const(int64_t c) {
    Affine r;
    memset(&r, 0, sizeof r);        /* padding and unused terms too: equal forms are equal bytes */
    r.c = c;
    return r;
}

Affine affine_var(int var) {
    Affine r = affine_const(0);
    r.n = 1;
    r.term[0].var = var;
    r.term[0].coef = 1;
    return r;
}

static void push(Affine *r, int var, int64_t coef) {
    if (coef == 0) return;
    if (r->n == MAX_TERMS) ICE("an affine form of more than %d terms", MAX_TERMS);
    r->term[r->n].var = var;
    r->term[r->n].coef = coef;
    r->n++;
}

/* A merge of two sorted lists of terms. */
Affine affine_add(Affine a, Affine b, int64_t scale) {
    Affine r = affine_const(a.c + scale * b.c);
    int    i = 0, j = 0;
    while (i < a.n || j < b.n) {
        if (j == b.n || (i < a.n && a.term[i].var < b.term[j].var)) {
            push(&r, a.term[i].var, a.term[i].coef);
            i++;
        } else if (i == a.n || b.term[j].var < a.term[i].var) {
            push(&r, b.term[j].var, scale * b.term[j].coef);
            j++;
        } else {
            push(&r, a.term[i].var, a.term[i].coef + scale * b.term[j].coef);
            i++, j++;
        }
    }
    return r;
}

Affine affine_scale(Affine a, int64_t k) { return affine_add(affine_const(0), a, k); }

int64_t affine_coef(const Affine *a, int var) {
    for (int i = 0; i < a->n; i++)
        if (a->term[i].var == var) return a->term[i].coef;
    return 0;
}

bool affine_equal(const Affine *a, const Affine *b) {
    if (a->c != b->c || a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (a->term[i].var != b->term[i].var || a->term[i].coef != b->term[i].coef) return false;
    return true;
}

bool affine_is_const(const Affine *a) { return a->n == 0; }

bool affine_is_var(const Affine *a, int *var) {
    if (a->c != 0 || a->n != 1 || a->term[0].coef != 1) return false;
    if (var) *var = a->term[0].var;
    return true;
}

int64_t affine_eval(const Affine *a, const int64_t *value) {
    int64_t r = a->c;
    for (int i = 0; i < a->n; i++) r += a->term[i].coef * value[a->term[i].var];
    return r;
}

Affine affine_subst(const Affine *a, const Affine *by, int nvar) {
    Affine r = affine_const(a->c);
    for (int i = 0; i < a->n; i++) {
        int var = a->term[i].var;
        r = affine_add(r, var < nvar ? by[var] : affine_var(var), a->term[i].coef);
    }
    return r;
}
