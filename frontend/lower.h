/* From values to graph nodes. Internal to frontend/.
 *
 * A lowered value is a scalar expression (ir.h) that is not yet tied to a comp. Its variables:
 *     0 .. MAX_RANK-1    its own dims (a canonical numbering: equal shapes combine without renaming)
 *     VAR_BATCH          the row of the batch
 *     VAR_FIRST ..       index variables, numbered once per walk (Index.var)
 * and the operand of a read is the number of a node (Node.id). lower_node makes it a node: the variables
 * that occur become axes, batch first, then index variables, then own dims.
 *
 * Functions that take a value may be called without a graph (the value comes back as it is) where that
 * is said; all others need cx->graph. lower_stored, lower_named and lower_factor may.
 */
#ifndef NETC_FRONTEND_LOWER_H
#define NETC_FRONTEND_LOWER_H
#include "frontend/check.h"

enum { VAR_BATCH = MAX_RANK, VAR_FIRST };

/* What a variable of an expression is replaced by: aff + ind. */
typedef struct {
    int         var;
    Affine      aff;
    const Expr *ind;
} Change;

const Expr *lower_change(Cx *cx, const Expr *e, int n, const Change *by);
bool        lower_uses(const Expr *e, int var);
bool        lower_plain(const Expr *e);           /* a constant or a read of a node, without arithmetic */
DType       lower_dtype(const Ty *t);
Type        lower_type(Cx *cx, const Ty *t, bool batch);

/* ---- values as nodes. Over a limit: reported, and a constant stands for the value. ---------------- */

/* v as a node with the axes [batch] [index variables that occur] own dims; `batch`: with a batch axis in
 * any case. */
Node  *lower_node(Cx *cx, const Value *v, bool batch);
/* v as a read of its node. */
Value *lower_stored(Cx *cx, const Value *v);
/* v itself if it is plain, else as lower_stored: what is read in several places is computed once. */
Value *lower_named(Cx *cx, Value *v);
/* A factor of a sum of products: reads stay (guarded and indirect ones too); other work is stored if it
 * varies with less than the product. */
Value *lower_factor(Cx *cx, Value *v, const Value *product);
/* Stores v if it is expensive and does not vary with all that its fellow operands vary with. */
Value *lower_hoist(Cx *cx, Value *v, int n, Value *const *with);
/* v with every own dim alone in one subscript over a whole axis: a guard on the read is a guard of v. */
Value *lower_direct(Cx *cx, Value *v);

/* ---- operations: expressions that read the new node ----------------------------------------------- */

/* v combined over the indices ix (NULL: none) and, if `batch`, over the rows of the batch. */
const Expr *lower_reduce(Cx *cx, Kind kind, const Value *v, const IndexList *ix, bool batch);
const Expr *lower_matmul(Cx *cx, Value *a, Value *b);
/* Rows of a table (a direct read without batch or index axes) picked by the elements of `index`. */
Node       *lower_gather(Cx *cx, const Value *table, const Value *index, const Expr **read);
const Expr *lower_stop(Cx *cx, const Value *v);
const Expr *lower_flat(Cx *cx, const Value *v, Dim *size);

/* ---- ragged dims ------------------------------------------------------------------------------------ */

/* The length of d in an example, i32; a static dim's is its size. */
const Expr *length_expr(Cx *cx, const Dim *d);
/* From now on the numbers of `node`, i32 [n], are the lengths of d. */
void        length_set(Cx *cx, const Dim *d, Node *node);
/* How many entries there are over ix, as a number of at least 1. */
const Expr *lower_count(Cx *cx, const IndexList *ix);
/* The largest subscript that storage along d has: i32. */
const Expr *length_last(Cx *cx, const Dim *d);
bool        has_bound(Cx *cx, const Dim *d);                 /* its axis is cut at the longest of the batch */

/* ---- steps of scans ----------------------------------------------------------------------------------- */

typedef struct OpenLoop OpenLoop;

OpenLoop   *loop_open(Cx *cx, Index *var, bool reverse, int checkpoint);
/* A carry with this first value: its value before the step, as a node of the step. */
Node       *loop_carry(Cx *cx, OpenLoop *l, Node *init);
void        loop_next(Cx *cx, OpenLoop *l, Node *next);      /* of the carries, in order */
int         loop_stack(Cx *cx, OpenLoop *l, Node *value);    /* number of the result */
/* Makes the scan; *result: by number, the carries' last values first. */
void        loop_finish(Cx *cx, OpenLoop *l, Node ***result);

/* ---- leaves -------------------------------------------------------------------------------------- */

const Expr *lower_leaf(Cx *cx, Node *n, const Ty *ty, bool batch);
const Expr *lower_input(Cx *cx, const Ty *ty, const char *key);
const Expr *lower_scalar_input(Cx *cx, const char *key);
/* Numbers in (0,1), one for each element of v in each example; salt tells apart two uses at one place. */
const Expr *lower_uniform(Cx *cx, const Value *v, const char *salt);

/* ---- small expressions ---------------------------------------------------------------------------- */

const Expr *lower_var(Cx *cx, int var);           /* the value of a variable, i32 */
const Expr *lower_number(Cx *cx, const Expr *e);  /* as f32 */
const Expr *lower_real(Cx *cx, double v);
const Expr *lower_bool(Cx *cx, bool v);
const Expr *lower_not(Cx *cx, const Expr *e);
const Expr *lower_and(Cx *cx, const Expr *a, const Expr *b);
const Expr *lower_or(Cx *cx, const Expr *a, const Expr *b);

enum { HASH_START = 2166136261u };                /* FNV-1a, 32 bits */
uint32_t hash_text(uint32_t h, const char *s);
uint32_t hash_call(Cx *cx, Loc at);               /* a call at this place, by this owner, in these repeats */

#endif
