/* Seeded random networks: what the compiler fuses and tiles most. Convolutions (strides, padding, dilation, groups),
 * bias, activations, pools of all kinds, normalization, dropout, residuals, lookups, dense layers, a loss. */
#ifndef NETC_TESTS_RANDOM_NET_H
#define NETC_TESTS_RANDOM_NET_H
#include "ir/ir.h"

/* Leaves have keys as random_graph.h says; the numbers of parameters "NAME.w" should be small (net_leaf).
 * Outputs "loss", "accuracy" sometimes, and values between. A batch bound always. */
Graph *random_net(Arena *a, uint64_t seed);

/* random_leaf (cx: RandomLeaves), weights a quarter of that. */
const double *net_leaf(void *cx, const Node *leaf);

/* Gradients of all parameters and a step of an optimizer: new values of parameters and of its slots. The graph
 * needs an output "loss". */
void random_training(Graph *g, uint64_t seed);

#endif
