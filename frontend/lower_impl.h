/* What the files of lowering share: lower.c (values to nodes), lengths.c (ragged dims), steps.c (the loops of
 * scans). */
#ifndef NETC_FRONTEND_LOWER_IMPL_H
#define NETC_FRONTEND_LOWER_IMPL_H
#include "frontend/lower.h"

/* The axes of a value as a node: their variables in expressions, and the dims they come from (NULL: none). */
typedef struct {
    int         n;
    int         var[MAX_VARS];
    Extent      ext[MAX_VARS];
    const Dim  *dim[MAX_VARS];
    const char *name[MAX_VARS];
} Axes;

bool axes_push(Axes *a, int var, Extent e, const Dim *d, const char *name);
bool axes_push_dim(Cx *cx, Axes *a, int var, const Dim *d, const char *name);
bool axes_fit(Cx *cx, const Axes *a);                        /* false: over a limit, which is reported */
const Expr *axes_read(Cx *cx, const Node *n, const Axes *a);
/* The comp with these outs and reduction variables. What the expression reads at the steps of open loops
 * becomes slices. */
Node *comp_make(Cx *cx, Kind kind, const Axes *outs, const Axes *reds, const Expr *e);
/* The same without looking at steps. */
Node *comp_make_plain(Cx *cx, Kind kind, const Axes *outs, const Axes *reds, const Expr *e);
/* e as a node with exactly these axes; v with a batch axis, and its axes. NULL over a limit. */
Node *lower_as(Cx *cx, const Expr *e, const Axes *a);
Node *lower_with_axes(Cx *cx, const Value *v, Axes *a);
void  node_place(Cx *cx);                                    /* name and line of the nodes made next */

/* steps.c: e without the steps of open loops; `a`, `b` hold the comp's variables (b may be NULL). */
const Expr *steps_resolve(Cx *cx, const Expr *e, const Axes *a, const Axes *b);

/* An axis for the step of every open loop, outermost first. */
bool steps_axes(Cx *cx, Axes *a);
/* The innermost open loop that e changes with, as a count from the outside; 0: none. */
int  steps_level(Cx *cx, const Expr *e);
/* True where the step of that loop is inside the length of its dim; NULL: always. */
const Expr *steps_mask(Cx *cx, int level);

/* lengths.c */
Extent extent_of(Cx *cx, const Dim *d);
/* Past the length of an example a stored value holds numbers too, which must stay numbers, because the
 * gradient there is 0 times them: an f32 that may become inf or NaN on its way is 0 there. `except`: indices
 * that are no axes of it. */
const Value *mask_value(Cx *cx, const Value *v, const IndexList *except);
/* What is reduced over ix: neutral for the kind where an index has passed its length. */
const Value *mask_reduced(Cx *cx, Kind kind, const Value *v, const IndexList *ix);
/* A largest or smallest of nothing is 0. */
const Expr *unless_empty(Cx *cx, Kind kind, const Expr *e, const IndexList *ix);
const Expr *mask_input(Cx *cx, const Value *v);              /* 0 past the length */

#endif
