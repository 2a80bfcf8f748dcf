/* The linear relation between the variables of a comp and the elements that one of its reads touches.
 *
 * A comp says, for all values of its outs and reds: div_d * d = num_d for each derived variable d. A read
 * x[s0, s1, ...] adds s_i = q_i. Seen from x, the q are given, and the other variables are what has to
 * be enumerated; this file chooses for each equation a variable to solve for (a pivot) and writes the
 * relation as the index part of another comp: outs q, reds = the variables that are no pivots, derived =
 * the pivots. It is the whole of what is special about the gradient of a comp:
 *
 *     y[b,o,i,j] = sum over c,r,s of w[o,c,r,s] x[b,c,2i+r,2j+s],   seen from x:
 *     outs b,c,p,q   reds o,r,s   derived i = (p-r)/2, j = (q-s)/2
 */
#ifndef NETC_PASSES_RELATION_H
#define NETC_PASSES_RELATION_H
#include "passes/draft.h"

/* Sets the variables of `to` (outs = the axes of `axes`, the type of what is read) and
 * by[v] = variable v of `from` as an affine form of them. Subscripts with an indirect part give no
 * equation. `to` keeps its operands; its expression is the caller's business. */
void relation_solve(const Draft *from, const Expr *read, const Type *axes, Draft *to, Affine *by);

#endif
