/* Seeded random graphs and random numbers for their leaves, for tests of passes and of compiled code. */
#ifndef NETC_TESTS_RANDOM_GRAPH_H
#define NETC_TESTS_RANDOM_GRAPH_H
#include "ir/ir.h"

/* Uniform in lo .. hi; the state is any number, such as the seed. */
double  random_real(uint64_t *state, double lo, double hi);
int64_t random_int(uint64_t *state, int64_t lo, int64_t hi);          /* both ends included */

/* A valid graph: leaves of all kinds, comps of all kinds with all scalars, windows with strides and
 * padding, lookups, shared nodes, several outputs "out0" .., and a smooth "loss" of rank 0 over everything.
 * Sizes are 1, 2, 3, 5, 7, 16, 17; ranks 0 .. 4; a batch bound in about half of the graphs.
 * Every intermediate number stays moderate (no overflow, no division by nearly 0). `nodes`: how many
 * operations, about; 8 is a good value. */
Graph *random_graph(Arena *a, uint64_t seed, int nodes);

/* The same with scans, nested ones too, over a second bound "T": reversed, checkpointed, over sequences, with carries
 * that are stacked and such that are not. */
Graph *random_scans(Arena *a, uint64_t seed, int nodes);

/* Numbers for leaves: InterpEnv.leaf with a RandomLeaves as cx, or random_numbers for one node. The same
 * key and seed give the same numbers. f32: -1 .. 1 in multiples of 2^-12, so that f32 holds them. i32
 * inputs are elements of a dim, whose size is the number after '/' in their key: "label/10". u8: 0 .. 255. */
typedef struct {
    Arena   *arena;
    uint64_t seed;
} RandomLeaves;
const double *random_leaf(void *cx, const Node *leaf);
double       *random_numbers(Arena *a, uint64_t seed, const Node *leaf);

#endif
