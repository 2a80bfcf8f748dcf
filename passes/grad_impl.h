/* What the files of differentiation share: grad.c (order, operations), grad_comp.c (the rule for comp),
 * grad_scalar.c (the rules for scalars). */
#ifndef NETC_PASSES_GRAD_IMPL_H
#define NETC_PASSES_GRAD_IMPL_H
#include "passes/draft.h"
#include "passes/grad.h"

/* One backward walk. Arrays are by id of the nodes that were there when it began. */
typedef struct {
    Graph *g;
    Arena *scratch;
    int    count;               /* nodes when it began */
    Node **adjoint;             /* d loss / d node so far; NULL = zero */
    bool  *needed;              /* depends on what is differentiated for */
    bool  *risky;               /* element-wise, and may divide by zero or overflow on its way */
    bool  *apart;               /* contributions are not added up but collected in `parts`; NULL: none */
    NodeList *parts;
    StashList *stash;           /* takes down what scans keep; NULL: nobody asks */
} Backward;

/* A walk over the nodes that g has now; needed[] depends on the n nodes of `wrt`. */
Backward backward_new(Graph *g, Arena *scratch, int n, Node *const *wrt);
/* From node `last` back to the first: adjoints that are there are handed on. */
void backward_run(Backward *b, int last);
/* Adds `g` to the adjoint of `n`. */
void grad_add(Backward *b, Node *n, Node *g);
/* A map that is 0, of this type. */
Node *grad_zeros(Graph *g, const Type *t);

/* grad_scan.c: contributions of a scan, from the adjoints of its results. */
void grad_SCAN(Backward *b, Node *n, Node *dy);
void grad_RESULT(Backward *b, Node *n, Node *dy);

/* grad_segment.c: scans with checkpoints become scans over segments of that many steps, of which each is
 * a scan; the outer one has checkpoint 1. Leaves topological order. */
void segment_scans(Graph *g);

/* grad_memory.c: bytes of all sequences of scans in a graph: what they run over and what they stack; of a scan in a
 * body what one step of the body needs. */
int64_t sequence_bytes(const Graph *g);

/* grad_comp.c: contributions of comp `n` with adjoint `dy` to its operands. */
void grad_COMP(Backward *b, Node *n, Node *dy);

/* reuse.c: `sum` as a sum of what `map` computes; NULL: its expression is another. */
Node *sum_of_map(Graph *g, Node *map, const Node *sum);

/* grad_scalar.c: d e / d read, where a read counts if it equals `read` (expr_equal); NULL is zero.
 * `y`, if not NULL, is an expression that has the value of e already. */
const Expr *scalar_derivative(Arena *a, const Expr *e, const Expr *read, const Expr *y);
/* The operations of which a derivative uses the result; only for these is a `y` worth having. */
bool        scalar_uses_y(const Expr *e);
/* weight * d, with the product taken inside choices: where d is zero by choice, the result is zero,
 * whatever the branch not taken would give. */
const Expr *scalar_times(Arena *a, const Expr *d, const Expr *weight);

#endif
