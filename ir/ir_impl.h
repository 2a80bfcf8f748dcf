/* What the files of ir/ share and nobody else sees. */
#ifndef NETC_IR_IR_IMPL_H
#define NETC_IR_IR_IMPL_H
#include "ir/ir.h"

extern const char *const DTYPE_TEXT[DT_COUNT];

/* shape.c: the type of `n` by the rule of its operation. Leaves, and what no operand tells (the rows of
 * scatter_add, the dims of reshape), come from n->type. NULL, or what is wrong (in g's arena). */
const char *shape_infer(Graph *g, const Node *n, Type *t);

/* graph.c: a copy of `proto` as a node of g, its type worked out; NULL and *why if a rule is broken.
 * An equal leaf that is there is returned instead. The public builders are this with an ICE. */
Node *graph_try(Graph *g, const Node *proto, const char **why);

/* The same for comp, with graph_comp's rules about operands. `expr` may be kept. */
Node *graph_try_comp(Graph *g, const Comp *c, int narg, Node *const *args, const char **why);

/* print.c: what the two sides of the text form share. */
bool        text_is_name(const char *s);        /* letters, digits, '_' and '.' only: needs no quotes */
const char *leaf_key(const Node *n);            /* of an input, parameter or state; NULL for the others */
extern const char *const INPUT_TEXT[2], *const STATE_TEXT[3];

#endif
