/* What the files that emit nests share.
 *
 *   emit_function.c  functions, threads, loops of scans
 *   emit_nest.c    a nest's function, loops over outs
 *   emit_tile.c    one tile: stages (accumulators, reduction loops), then stores
 *   emit_prefetch.c  memory asked for before it is needed
 *   emit_expr.c    an expression at a vector of points
 *   emit_list.c    lists of the points that count; results that are added up in memory
 *   emit_access.c  loads and stores of a vector of points, guards
 *   nest_key.c     which nests have the same code
 *   layout.c       which point of a tile lies in which lane of which vector
 *
 * The value of a nest's variable v at a point is
 *     base[v] (a loop counter, if a loop over v is open) + konst[v] + Point.off[v][lane],
 * the last two known now. Every access and store has a running pointer that all open loops have moved already,
 * so that what is left at a point is a constant offset.
 */
#ifndef NETC_CODEGEN_NEST_IMPL_H
#define NETC_CODEGEN_NEST_IMPL_H
#include "codegen/l.h"
#include "ir/nest.h"

enum { POINT_LANES = 16, MAX_ACC = L_MAX_CARRY };

/* `width` points of a tile, one per lane, of which the first `valid` count (the others repeat the last). */
typedef struct {
    int     width, valid;
    int     serial;             /* tells points apart in the memo */
    int64_t off[MAX_VARS][POINT_LANES];
} Point;

/* How the points of a tile over some variables lie in vectors: `lane` variables fill the lanes, innermost first,
 * cut into vectors of `width`; all others are rows. */
typedef struct {
    int     nlane, lane[MAX_LANE_VARS];
    int     nrow, row[MAX_VARS];          /* innermost last */
    int64_t count[MAX_VARS];    /* values of each of these variables in the tile */
    int     lanes, width, nvec, rows;
} Layout;

/* The values of a stage over the current tile. Row r, lane position i of the layout is in lane at % pack of
 * v[at / pack], where at = r * nvec * pack + i (stages with lanes over outs) or r (over reductions). */
typedef struct {
    Layout layout;
    int    pack;                /* values per vector */
    Val   *v;
} StageValue;

typedef struct {
    int     kind;
    const void *p, *q, *r;
    int64_t x, y;
    Val     v;
    int     next;
} Memo;

enum { MEMO_HEADS = 1024 };

/* An operand of stage 0 whose next tiles are asked for while a tile is summed up: emit_prefetch.c. */
typedef struct {
    int     access;
    int     var;                /* the loop that comes to other numbers of it; those inside come back to the same */
    int     pieces, part;       /* of a tile's values of var, a line or a value each; those that this tile asks for */
    int64_t piece;              /* elements from one to the next */
    Val     off;                /* i64: bytes to the first one that this tile asks for */
} Ahead;

enum { MAX_AHEAD = 2 };

typedef struct {
    Codegen       *cg;
    Arena         *a;
    const Kernels *k;
    const Nest    *n;
    Val            base[MAX_VARS];        /* i64; NULL: no loop over the variable is open */
    int64_t        base_min[MAX_VARS], base_max[MAX_VARS];     /* the smallest and largest value of base */
    int64_t        konst[MAX_VARS];
    int64_t        count[MAX_VARS];       /* values of the variable in the current tile or pass */
    Val           *origin;      /* per access, then per store: the address of the node's first element */
    Val           *ptr;         /* the same, moved by the open loops */
    Val            bound[MAX_BOUNDS + 1]; /* i64: the bounds of this call, by number */
    Val            cut_lo, cut_hi;        /* i64: of this turn (Nest.cut) */
    Val            cut_first, cut_last;   /* i1: is it the first turn, the last? */
    Val            steps;       /* array of i64: the numbers of the present steps of the loops around */
    StageValue     stage[MAX_STAGES];
    RngKey        *rng;         /* per access that reads random numbers */
    Val            list_value, list_move, list_count;     /* arrays; i64 */
    Val            listed;      /* the value at the point of the list */
    Val            block_lo, block_hi;                    /* of the list's block_var */
    enum { STEP_ALL, STEP_ZERO, STEP_ADD } step;          /* of a nest that adds: all at once, or in blocks */
    VEC(Memo)      memo;
    int            head[MEMO_HEADS];
    int            serial;
    int            loads;       /* made since forget_loads */
    bool           in_order;    /* loads stay where they are: LLVM would move up to four of them to the first */
    int64_t        epoch;       /* of the loads that the memo may give */
    int            nahead;
    Ahead          ahead[MAX_AHEAD];
} Emit;

/* The tensors and random nodes that a nest touches, each once: what its code gets as parameters. */
typedef struct {
    int          n;
    const Node **node;
    int         *of;            /* by access, then by store: its number, -1 = it has no address */
} Slots;

/* Constants of so many numbers may become part of a nest's code. */
enum { CODE_TABLE = 16 };

/* nest_key.c */
Slots       slots_of(Arena *a, const Kernels *k, const Nest *n);
/* The function that has the code of n already; NULL: none has, and `symbol` is noted as the one that will. */
const char *shared_nest(Codegen *cg, const Kernels *k, const Nest *n, const Slots *s, const char *symbol);

/* layout.c */
Layout layout_of(const Emit *e, int nvar, const int *var, int nlane, const int *lane, int width);
Point  layout_point(Emit *e, const Layout *l, int row, int vec);
/* Row and lane position of the point in lane `lane` of p. */
void   layout_find(const Layout *l, const Point *p, int lane, int *row, int *at);
/* c + the constant part of a form in every lane of p. */
void   lin_offsets(const Emit *e, const Lin *a, const Point *p, int64_t out[POINT_LANES]);
bool   all_equal(const int64_t *x, int n);
bool   consecutive(const int64_t *x, int n);

/* emit_expr.c: a number (the same at all points) or a vector of p->width. */
Val    emit_eval(Emit *e, const Expr *x, const Point *p);
Val    emit_index(Emit *e, const Lin *a, const Point *p);             /* i32 */
Val    widen(Emit *e, Val v, int width);                              /* a number in all lanes */
/* Values made before at a place that dominates this one. */
Val    memo_find(Emit *e, int kind, const void *p, const void *q, const void *r, int64_t x, int64_t y);
Val    memo_add(Emit *e, int kind, const void *p, const void *q, const void *r, int64_t x, int64_t y, Val v);
void   memo_restore(Emit *e, int mark);                               /* e->memo.n at the mark */

/* emit_access.c */
Val    access_load(Emit *e, int access, const Point *p);
void   store_at(Emit *e, int store, const Point *p, Val v);
/* What lies where store_at would store. */
Val    stored_at(Emit *e, int store, const Point *p);
/* i1 or a vector of it; NULL: all guards hold everywhere. */
Val    guards_mask(Emit *e, int n, const Guard *g, const Point *p);
/* Does one of them fail at every point, whatever the counters of the open loops are? */
bool   guards_fail(const Emit *e, int n, const Guard *g, const Point *p);
/* Are the first or the last values of v, in tiles of `step`, better taken out of its loop, because they settle a guard
 * that fails there alone? */
bool   peel_first(const Emit *e, int n, const Guard *g, int v);
bool   peel_last(const Emit *e, int n, const Guard *g, int v);
/* Are loads and stores of some of a vector's lanes one instruction? */
bool   has_masks(const Emit *e, DType d);
/* From here on memory is loaded again, by LLVM too, rather than kept in registers. */
void   forget_loads(Emit *e);
/* Moves all running pointers by the counter i of a loop over v. */
void   move_pointers(Emit *e, int v, Val i);

/* emit_list.c: makes the list of the nest, for the values of the outs whose loops are open. */
void   emit_list(Emit *e);
/* Value and move (i64) at the point i of the list. */
Val    list_value_at(Emit *e, Val i);
Val    list_move_at(Emit *e, Val i);
/* Sets the results that the open loops lead to to 0. */
void   emit_zeros(Emit *e);

/* emit_tile.c */
void   emit_tile(Emit *e);
/* emit_nest.c: the function of a nest, for emit_function.c */
void   emit_start(Emit *e, Codegen *cg, Arena *a, const Kernels *k, const Nest *n);
void   emit_nest(Codegen *cg, Arena *a, const Kernels *k, const Nest *n, const Slots *s, const char *symbol);
/* The call of nest `symbol` for trips lo .. hi-1. */
/* moved: NULL, or the rows by which what lives in a turn of a chain is moved. */
void   emit_call(Emit *e, const Slots *s, const char *symbol, Val lo, Val hi, Val moved);
Val    tiles_of(Emit *e, int v);
Val    trips_of(Emit *e);
/* The number of the present step of a loop around (i64); the address of a stored value in these steps. */
Val    step_value(Emit *e, int loop);
Val    emit_address(Emit *e, const Node *n);
/* A bound of this call (i64); iterations of v in this call. */
Val    bound_value(Emit *e, int bound);
Val    var_limit(Emit *e, int v);

/* emit_prefetch.c: before a tile: asks for the memory that its stores touch, finds what to ask for within its sums. */
void   emit_prefetch(Emit *e);
/* What later passes of the reduction loop of `level` read, `step` values at a time; vectors: accumulators. */
void   emit_ask_next_passes(Emit *e, const Stage *s, int level, int64_t vectors, int64_t step);
/* In a pass of stage 0's loops: asks for what the same pass of the next tiles reads. */
void   emit_ask_next_tiles(Emit *e);

/* emit_scatter.c */
void   emit_scatter(Emit *e, Val lo, Val hi);

#endif
