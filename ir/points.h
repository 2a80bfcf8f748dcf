/* The points of a box in C order, for loops over all elements. */
#ifndef NETC_IR_POINTS_H
#define NETC_IR_POINTS_H
#include <stdbool.h>
#include <stdint.h>

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

#endif
