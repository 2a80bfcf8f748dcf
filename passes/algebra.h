/* Scalar expressions made simple while they are built.
 *
 * Only rules that keep every value: the results are equal numbers for all operands, NaN and infinities
 * included (a zero may change its sign). So x*0 stays unless x is known to be finite.
 */
#ifndef NETC_PASSES_ALGEBRA_H
#define NETC_PASSES_ALGEBRA_H
#include "ir/ir.h"

const Expr *alg_op1(Arena *a, ScalarOp op, const Expr *x);
const Expr *alg_op2(Arena *a, ScalarOp op, const Expr *x, const Expr *y);
const Expr *alg_sel(Arena *a, const Expr *c, const Expr *x, const Expr *y);
const Expr *alg_cast(Arena *a, DType d, const Expr *x);
/* The same for an operation whose operands are simple already; `e` itself if nothing applies. */
const Expr *alg_simple(Arena *a, const Expr *e);
/* e with the operands `arg`; `e` itself if they are its own. */
const Expr *alg_rebuild(Arena *a, const Expr *e, const Expr *const *arg);
/* A constant of an element type (f32, i32, pred). */
const Expr *alg_const(Arena *a, DType d, double v);
/* Never NaN or infinite, whatever the operands hold. */
bool        alg_is_finite(const Expr *e);

/* Ranges of affine forms over variables 0 <= v < var[v].ext.size. */
void        affine_range(const Affine *f, const Var *var, int64_t *lo, int64_t *hi);
/* f is proven to lie on an axis: in 0 .. size-1, and below the bound if there is one. */
bool        affine_inside(const Affine *f, const Var *var, Extent axis);
/* num / div in lowest terms: both divided by what divides every coefficient, the constant and div. */
void        affine_reduce(Affine *num, int64_t *div);

#endif
