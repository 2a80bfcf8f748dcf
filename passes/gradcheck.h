/* Derived gradients against difference quotients, in the interpreter's double precision. */
#ifndef NETC_PASSES_GRADCHECK_H
#define NETC_PASSES_GRADCHECK_H
#include "ir/ir.h"

typedef struct {
    int      samples;           /* numbers compared per parameter; all if it has no more. 0: 20 */
    uint64_t seed;              /* of the choice of numbers, and of the move */
    double   move;              /* parameters are first moved by up to this much; 0: not at all */
} GradCheck;

typedef struct {
    const char *key;            /* the parameter */
    int         compared;
    double      error;          /* the worst relative error, and where: */
    int64_t     at;
    double      derived, quotient;
} GradCheckRow;

/* What a correct gradient stays under, away from kinks. */
#define GRADCHECK_GOAL 1e-6

/* Compares the gradients of output "loss" of g with respect to all parameters of g. `g` is used up: it
 * loses its other outputs. env gives the leaves' numbers (the parameters' before
 * the move). One row per parameter, in the order of the graph, in arena `a`. True if every error is
 * at most GRADCHECK_GOAL.
 *
 * The quotient is the central one of fourth order, at the largest of some steps at which it agrees: near
 * a kink of max or of a choice a large step sees both sides. Errors are relative to the larger of the two
 * numbers, but at least a thousandth of the largest derivative anywhere. */
bool gradcheck(Graph *g, const InterpEnv *env, const GradCheck *o, Arena *a, GradCheckRow **row, int *n);

#endif
