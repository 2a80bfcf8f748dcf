/* Beam search in an entry that ends by itself. */
#ifndef NETC_PASSES_BEAM_H
#define NETC_PASSES_BEAM_H
#include "ir/ir.h"

enum { MAX_BEAMS = 32 };

/* The scan of g that runs `until` a condition and feeds an argmax back keeps, instead of it, the `beams` sequences
 * with the best sums of log_softmax so far; results are those of the best one. 1 beam changes nothing: that is the
 * argmax. False and *why if g has no such scan (*none is true then) or it cannot be done; g is as it was. */
bool beam_search(Graph *g, int beams, bool *none, const char **why);

#endif
