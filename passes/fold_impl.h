/* What the files of constant folding share: fold.c (expressions, variables, constants), fold_lookup.c
 * (a sum over eq is a lookup). */
#ifndef NETC_PASSES_FOLD_IMPL_H
#define NETC_PASSES_FOLD_IMPL_H
#include "passes/draft.h"

/* fold_lookup.c: a sum over variable v of eq(v, a) times f(v) becomes f(a); true if one did. */
bool  lookup_reds(Draft *d);
/* sum over r of eq(v, a[r]) times f[r, rest], v an out: scatter_add. The new node, or NULL. */
Node *lookup_scatter(Draft *d);

#endif
