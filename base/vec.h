/* Growable arrays that live in an arena.
 *
 *   VEC(Node *) nodes = {0};
 *   vec_push(arena, &nodes, node);
 *   for (int i = 0; i < nodes.n; i++) use(nodes.at[i]);
 *
 * The old block stays in the arena when an array grows (it dies with the arena).
 */
#ifndef NETC_BASE_VEC_H
#define NETC_BASE_VEC_H
#include <string.h>

#include "base/arena.h"

#define VEC(T) struct { T *at; int n, cap; }

#define vec_push(a, v, x)                                                                        \
    do {                                                                                         \
        if ((v)->n == (v)->cap) {                                                                \
            int vec_cap_ = (v)->cap ? 2 * (v)->cap : 8;                                          \
            void *vec_p_ = arena_alloc((a), sizeof(*(v)->at) * (size_t)vec_cap_);                \
            if ((v)->n) memcpy(vec_p_, (v)->at, sizeof(*(v)->at) * (size_t)(v)->n);              \
            (v)->at = vec_p_;                                                                    \
            (v)->cap = vec_cap_;                                                                 \
        }                                                                                        \
        (v)->at[(v)->n++] = (x);                                                                 \
    } while (0)

#endif
