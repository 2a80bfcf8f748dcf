/* What unpool.c and spread.c share. */
#ifndef NETC_PASSES_UNPOOL_IMPL_H
#define NETC_PASSES_UNPOOL_IMPL_H
#include "passes/kernels_impl.h"

/* The gradient of a max over disjoint windows (see unpool.c). Axis k of g is pooled (div[k] > 0) or the same axis of
 * arg and d. */
typedef struct {
    Node       *g, *arg;
    const Expr *value;          /* d: over g's variables, every read at the window's point */
    const Expr *flat;           /* the read of arg */
    int64_t     div[MAX_RANK];  /* stride of the windows */
    int64_t     scale[MAX_RANK];          /* what one step of the window's variable adds to flat */
    Extent      ext[MAX_RANK];  /* of arg and d */
    int64_t     span[MAX_RANK]; /* of the window */
} Unpool;

typedef struct {
    Graph   *g;
    NodeList turned;            /* operands with axes in another order, to make equal ones once */
} Rewrite;

/* unpool.c: is n such a node? */
bool  find_unpool(Node *n, Unpool *p);
/* Replaces every node that reads such a node by what `rewrite` makes of it; NULL: it stays. */
typedef Node *RewriteReader(Rewrite *w, const Unpool *p, Node *n);
void  rewrite_readers(Graph *g, RewriteReader *rewrite);
/* `arg` with its axes in another order. */
Node *turn(Rewrite *w, Node *arg, const int *order);

#endif
