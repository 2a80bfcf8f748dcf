/* How far a compiled graph may be from the interpreter: the values in double precision, and for each a bound on
 * the distance of what f32 code computes.
 *
 * The bound follows the graph operation by operation (running error analysis; N. Higham, "Accuracy and Stability
 * of Numerical Algorithms", SIAM 2002, 3.3): an operation passes on what its operands may be off, times its
 * slope, and adds its own rounding, 2^-23 of the terms' absolute values; a sum of n terms in any order adds
 * n 2^-24 times the sum of their absolute values. Where rounding may turn a comparison, floor or argmax around,
 * the bound covers both sides, and all elements that a lookup may then find. So it holds for any order of
 * evaluation, and it is infinite where nothing can be said. */
#ifndef NETC_TESTS_ERROR_BOUND_H
#define NETC_TESTS_ERROR_BOUND_H
#include "ir/ir.h"

typedef struct {
    double value, error;
} Bounded;

/* Compiled code may be this many times the bound off: netc's passes may round once more where they rewrite. */
enum { BOUND_SLACK = 4 };

/* Of each output, in the order of g->outs, type_count numbers; beyond a bound of `env`, zeros. */
Bounded **bound_run(Arena *a, const Graph *g, const InterpEnv *env);

/* Can compiled code give `got` for b? NaN for NaN, an infinity for itself. */
bool bound_allows(Bounded b, double got);
/* How far from b.value a number may be. */
double bound_distance(Bounded b);

#endif
