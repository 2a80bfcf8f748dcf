/* A comp under construction: what grad, fold and inline_maps change before it becomes a node again.
 *
 * A draft may break the rules that a node keeps (a map with derived variables, a copy); draft_finish
 * puts that right. Expressions live in the graph's arena.
 */
#ifndef NETC_PASSES_DRAFT_H
#define NETC_PASSES_DRAFT_H
#include "ir/ir.h"

enum { MAX_OPERANDS = 16 };         /* of a comp that a pass makes larger */

typedef struct {
    Graph      *g;
    Kind        kind;
    int         nout, nred, nder;
    Var         var[MAX_VARS];
    const Expr *expr;
    VEC(Node *) arg;
} Draft;

Draft draft_of(Graph *g, const Node *comp);
/* The number of `n` among the operands; it becomes one if it is not. */
int   draft_operand(Draft *d, Node *n);
/* A plain read of `n`: axis i at the affine form sub[i]. */
const Expr *draft_read(Draft *d, Node *n, const Affine *sub);
/* The flattened index of the reduction variables, in C order, as argmax counts. */
Affine draft_flat(const Draft *d);

/* The reads of operand k can be replaced by its expression: it is a map, its result is read without an
 * indirect subscript, and unguarded (or it only permutes the axes of what it reads). */
bool  draft_can_inline(const Draft *d, int k);
/* Does so. The operand stays in the list; draft_finish drops it. */
void  draft_inline(Draft *d, int k);
/* How many different operands the expression reads. */
int   draft_reads(const Draft *d);

/* Derived variables that are proven to be affine forms in range are replaced by them. */
bool  draft_settle(Draft *d);
/* A comp that is a copy of an operand, element by element: that operand; else NULL. */
Node *draft_copied(const Draft *d);
/* The node: settled; a reduction over nothing becomes a map, a copy becomes what it copies. */
Node *draft_finish(Draft *d);
/* The same in place: `into`, a comp of the same type, becomes what the draft says (a copy stays a map).
 * Operands may now come later in g->nodes than `into`, if the caller made new ones: graph_sort. */
void  draft_store(Draft *d, Node *into);
/* Removes variables: keep[v] false for those that nothing uses any more; numbers close up. */
void  draft_drop_vars(Draft *d, const bool *keep);

#endif
