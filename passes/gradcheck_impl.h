/* What the two files of the gradient check share. */
#ifndef NETC_PASSES_GRADCHECK_IMPL_H
#define NETC_PASSES_GRADCHECK_IMPL_H
#include "ir/ir.h"

/* The loss as a graph of its own: a function of the number `at` (C order) of `param` alone. Every node of
 * g holds its numbers at the base point in its mark; so do the leaves of the result, of which the one for
 * `param` shares the array. Output 0 is the loss. What a `stop` gives does not change.
 *
 * Of a node only the part is computed that the number can reach: a weight of one output channel changes one
 * channel, and of a sum over channels only one term. */
Graph *gradcheck_part(const Graph *g, const Node *param, int64_t at, const Node *loss, Arena *a);

#endif
