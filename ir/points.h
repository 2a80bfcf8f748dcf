/* The points of a box in C order, for loops over all elements; the points of a comp. */
#ifndef NETC_IR_POINTS_H
#define NETC_IR_POINTS_H
#include <stdbool.h>
#include <stdint.h>

#include "ir/ir.h"

/* The first point of 0 <= at[i] < limit[i]; false if there is none. */
static inline bool first_point(int n, int64_t *at, const int64_t *limit) {
    for (int i = 0; i < n; i++) {
        at[i] = 0;
        if (limit[i] < 1) return false;
    }
    return true;
}

/* The point after `at`; false after the last. */
static inline bool next_point(int n, int64_t *at, const int64_t *limit) {
    for (int i = n - 1; i >= 0; i--) {
        if (++at[i] < limit[i]) return true;
        at[i] = 0;
    }
    return false;
}

/* Gives the derived variables of a comp their values at the point of the others; false: the point is skipped. */
static inline bool derive_point(const Comp *c, int64_t *at, const int64_t *limit) {
    for (int i = c->nout + c->nred; i < c->nout + c->nred + c->nder; i++) {
        int64_t num = affine_eval(&c->var[i].num, at);
        if (num < 0 || num % c->var[i].div) return false;
        at[i] = num / c->var[i].div;
        if (at[i] >= limit[i]) return false;
    }
    return true;
}

#endif
