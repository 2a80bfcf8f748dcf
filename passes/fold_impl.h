/* What the files of constant folding share: fold.c (expressions, variables, constants), fold_lookup.c
 * (a sum over eq is a lookup), fold_floor.c (quotients of indices),
 * fold_digits.c (an index made of several). */
#ifndef NETC_PASSES_FOLD_IMPL_H
#define NETC_PASSES_FOLD_IMPL_H
#include "passes/draft.h"

/* A factor eq(v, a) of a summand. */
typedef struct Factor Factor;
struct Factor {
    const Draft *d;
    int          v;             /* the variable in question */
    bool       (*match)(Factor *f, const Expr *c);      /* is the condition c the factor? Sets index */
    const Expr  *index;         /* a, once found */
};

/* fold_lookup.c: e without the factor; NULL if it has none. */
const Expr *sum_without(Factor *f, const Expr *e);
/* A sum over variable v of eq(v, a) times f(v) becomes f(a); true if one did. */
bool  lookup_reds(Draft *d);
/* sum over r of eq(v, a[r]) times f[r, rest], v an out: scatter_add. The new node, or NULL. */
Node *lookup_scatter(Draft *d);

/* fold_floor.c: quotients of indices that are affine forms become that, with reduction variables split for it. */
bool  floor_reds(Draft *d);
/* The same for a reduction with an out to split: the new node, or NULL. */
Node *floor_outs(Draft *d);
/* A sum over variable r of eq(r, form) has the derived variable r = form. */
bool  equal_reds(Draft *d);

/* fold_digits.c: reductions that find the digits of an out, and a copy that splits an axis into digits: the reshape,
 * or NULL. */
Node *digits_merged(const Draft *d);
Node *digits_split(const Draft *d);

#endif
