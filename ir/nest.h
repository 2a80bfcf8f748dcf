/* Kernels: a graph after fusion, scheduling and memory planning; what codegen/ emits.
 *
 * A Kernels is one function: a list of nests, run in order, with a barrier where one thread needs what
 * another made. A nest that stands for a scan holds the body's Kernels, run once a step. Any other computes one or
 * more nodes over one loop space:
 *
 *     for outs:                             loops over the nest's out variables, in tiles
 *         stage 0, stage 1, ...             reductions, kept in registers for the whole tile
 *         stores                            maps of the stages' values, written to memory
 *
 * A convolution with bias, activation and max-pooling is one nest: outs [b,o,i,j]; stage 0 the sum over
 * (c, ky, kx) at each of the window's 4 positions; stage 1 the max over the window, stage 2 its argmax;
 * the stores are relu(stage 1 + b[o]) and stage 2. The unpooled image exists in registers only.
 *
 * Everything about speed (lanes, tiles, order, places, strides) is data here, chosen in passes/, and only
 * read by codegen/.
 */
#ifndef NETC_IR_NEST_H
#define NETC_IR_NEST_H
#include "base/target.h"
#include "ir/ir.h"

enum { MAX_STAGES = 8, MAX_STORES = 16, MAX_LANES = 64, MAX_LANE_VARS = 6, MAX_LOOPS = 16 };

/* ---- where a node's numbers lie during a call ---------------------------------------------------- */

typedef enum {
    SPACE_NONE,                 /* not stored: computed where it is read (fused, random), or a view */
    SPACE_ARENA, SPACE_WEIGHTS, SPACE_OPT, SPACE_STATE,
    SPACE_IN,                   /* offset = index of the data input */
    SPACE_OUT,                  /* offset = index of the output */
    SPACE_SCALAR,               /* offset = index into args->scalars */
    SPACE_CONST,                /* a table in the object file */
    SPACE_STEP                  /* offset = which of the loops around: the number of its step */
} Space;

/* A piece of the arena, with all steps' slices of what lies in it. */
typedef struct {
    const Node *node;           /* for people */
    int64_t     size, offset;   /* bytes */
    int         depth;          /* loops around the nests that it belongs to */
    int         first, last;    /* the nests that touch it (Nest.at); a loop inside counts as one */
} Buffer;

/* In the body of a scan a place may move with the steps of the loops around: t0 of the outermost, t1 .. */
typedef struct {
    Space   space;
    int64_t offset;             /* bytes, or an index (see Space); SPACE_ARENA: in its buffer until plan.c is done */
    int64_t stride[MAX_RANK];   /* elements, per axis of the node's type */
    int64_t panel;              /* 0, or values of axis Node.panel - 1 that lie together, in a panel with all values of
                                   the other axes; the next panel begins panel_stride elements behind: passes/panel.c */
    int64_t panel_stride;
    int64_t step[MAX_LOOPS];    /* bytes from one step of each loop to the next */
    int     turn;               /* 1 + the loop whose steps use two slots in turn; 0: none */
    int64_t slot;               /* bytes of one; the second is used where step + phase is odd */
    int     phase;
    int64_t span;               /* bytes that all steps together may touch behind the start; 0: the node's */
    Buffer *buffer;             /* SPACE_ARENA */
    const Node *table;          /* SPACE_CONST: the constant */
} Place;

/* ---- expressions of a nest ------------------------------------------------------------------------ */

/* c + sum of k[v] * variable v: element offsets and conditions over a nest's variables. */
typedef struct {
    int64_t c;
    int64_t k[MAX_VARS];
} Lin;

/* nest.c */
Lin     lin_const(int64_t c);
Lin     lin_var(int var);
void    lin_add(Lin *a, const Lin *b, int64_t scale);               /* a += scale * b */
bool    lin_equal(const Lin *a, const Lin *b);
Lin     lin_of(const Affine *a, const Lin *by);                     /* variable v becomes by[v] */
Affine  lin_affine(const Lin *a);

/* Holds where 0 <= lin < size, and below the run-time bound if there is one. */
typedef struct {
    Lin     lin;
    int64_t size;
    int     bound;              /* index into Graph.bounds, 0 = none */
    int64_t stride;             /* guards of accesses: elements from one value of lin to the next */
} Guard;

/* Bytes on both sides of every tensor in the arena that can be read, though they mean nothing. */
enum { ARENA_SLACK = 256 };

/* An indirect part of an offset: stride * value of the integer expression. */
typedef struct {
    const Expr *expr;
    int64_t     stride;
} Indirect;

/* What a SC_READ node of a nest's expression reads: Expr.operand is an index into Nest.access; the
 * node's own subscripts are not used. */
typedef struct {
    Node     *node;             /* the tensor (never a view), or NULL: a stage's value */
    int       stage;            /* node NULL: value of this stage at the same point, or STAGE_LISTED */
    bool      listed;           /* moved by the list's `move` */
    DType     dtype;
    Lin       off;              /* element offset from the node's place */
    int       nind;
    Indirect *ind;
    int       nguard;
    Guard    *guard;            /* where one fails, the value is 0 and memory is not touched */
} Access;

/* A variable: an out of the nest, or a reduction variable of one or more stages.
 * Runs over 0 .. size-1, or, under a bound, 0 .. rows * per - 1 (merged axes have per > 1).
 * Irregular variables (div > 0) have no loop: their value is num / div, and the point is skipped unless the
 * division is exact and the value lies in 0 .. size-1. */
typedef struct {
    const char *name;
    int64_t     size;
    int         bound;
    int64_t     per;
    Lin         num;
    int64_t     div;
    bool        apart;          /* a remainder (passes/residue.c): each value has code of its own, so that conditions
                                   on it are settled when the code is made */
    bool        panel;          /* the place in a panel: all values are in one tile */
    bool        adds;           /* an out that does not tell results apart: what its values give is added in memory */
} NestVar;

/* Reductions of which few points count, as a list. Before the loops over the outs that `value` and `move` do not depend
 * on, the points where `value` is not 0 are written down with `move`, the elements by which they move the other
 * operand; the stage then runs over the list. value, move: over outs and the reductions; vectors along `lane`. */
typedef struct {
    bool        on;
    const Expr *value, *move;   /* f32, i32 */
    int64_t     most;           /* points at full size, of a block if there are blocks */
    int64_t     block;          /* every thread runs through its share of the loops for so many values of block_var,
                                   then for the next ones, and adds the results; 0: no blocks */
    int         block_var;
    /* schedule */
    int         level;          /* loops over outs around the list */
    int         width;
    int         nred, red[MAX_VARS];
    int         nlane, lane[MAX_LANE_VARS];
    int         nloop, loop[MAX_VARS];    /* outermost first */
    int64_t     step[MAX_VARS];
} List;

enum { STAGE_LISTED = -2 };     /* Access.stage: the value at the point of the list */

/* A reduction, computed at every point of outs x window and kept in registers. */
typedef struct {
    Node       *node;           /* the comp it computes */
    Kind        kind;
    const Expr *expr;
    int         nred, red[MAX_VARS];      /* its reduction variables */
    int         nwin, win[MAX_VARS];      /* variables of later stages that it is computed for, unrolled */
    int         nguard;
    Guard      *guard;          /* points where one fails are skipped */
    Lin         flat;           /* argmax, argmin: the number of a point, C order of the comp's reds */
    /* schedule */
    int         width;          /* floats in its vectors; 1 = scalars */
    int         nlane, lane[MAX_LANE_VARS];   /* variables in the lanes, innermost first: all of outs and
                                   window, or all reductions (then one vector is summed up at the end) */
    int         npoint, point[MAX_VARS];  /* outs and window in the order in which a tile takes their values, innermost
                                   last: what stays the same from one to the next stays in registers */
    bool        vectors_first;  /* the vectors of a tile outside of its rows; else innermost */
    int         nloop, loop[MAX_VARS];    /* reduction loops, outermost first */
    int64_t     step[MAX_VARS];           /* per reduction variable: values taken by one pass of its loop */
    int         chains;         /* independent partial results per point over unrolled reductions */
    bool        joined;         /* runs in the loops of the stage before (same reductions and window) */
    bool        goes_on;        /* a sum that starts from what the stage before, a sum over the same reductions, has
                                   summed up; nothing else reads that */
} Stage;

/* A result written to memory, at every point of outs. */
typedef struct {
    Node       *node;           /* never a view */
    const Expr *expr;
    Lin         off;            /* element offset from the node's place */
    int         nguard;
    Guard      *guard;          /* where one fails there is nothing to store: the last remainders of a cut out */
} Store;

typedef enum {
    NEST_LOOPS,                 /* stages and stores */
    NEST_SCATTER,               /* outs [k...]: the rows of store[0] are zeroed, then for each i... in C order
                                   store[0][index[i...], k...] += grad[i..., k...]; see scatter_* below */
    NEST_SCAN                   /* no loops of its own: `scan` */
} NestKind;

typedef struct Kernels Kernels;

/* The nests of a scan's body: the first of them run before the first step (as if in the step before it), the last of
 * them after the last step (as in that one), the others in every step. */
typedef struct {
    Kernels *body;
    int      nfirst, nlast;
    Extent   trip, part;        /* Scan.part */
    bool     reverse;
    int      depth;             /* loops around it: the number of its own */
    bool     serial;            /* thread 0 alone runs it */
    Node    *runs;              /* pred[n] in the body: rows that go on after the step. Where none does the steps end,
                                   and stacks of whole numbers get zeros for the others; NULL: all steps are made */
    int      at, end;           /* Nest.at of what is inside lies between */
} ScanLoop;

typedef struct {
    NestKind  kind;
    char     *name;             /* number and the user's name, as an identifier: "0_Net_c1" */
    int       nvar;
    NestVar   var[MAX_VARS];    /* outs first */
    int       nout;
    int       naccess, cap_access;
    Access   *access;
    int       nstage;
    Stage     stage[MAX_STAGES];
    int       nstore;
    Store     store[MAX_STORES];
    List      list;             /* of stage 0's reductions */
    bool      adds;             /* some outs are `adds`, or the list has blocks: results are set to 0, then added to */
    bool      alone;            /* nothing is computed from the results in this nest */
    /* schedule */
    int       width;            /* of the stores' vectors */
    int       nlane, lane[MAX_LANE_VARS];     /* outs in the stores' lanes, innermost first */
    int       row_loop;         /* 1 + the out whose values in a tile the stores take in a loop, since the code of all
                                   is large; 0: code for each */
    int       nloop, loop[MAX_VARS];          /* loops over outs, outermost first */
    int64_t   step[MAX_VARS];   /* per out: values per tile */
    int       npar;             /* the first npar loops are shared out among the threads; 0: thread 0 alone */
    int       cut_var;          /* a reduction of stage 0 that is cut into turns of `cut` values (0: it is not): in each
                                   turn all tiles are visited; between turns store 0 holds what is summed up so far */
    int64_t   cut;
    bool      cut_inside;       /* the turns are made inside of the outermost loop, if that alone is shared out */
    bool      barrier;          /* wait for all threads before this nest */
    bool      fixed;            /* order or npar were asked for (--schedule) */
    bool      chained;          /* it is in a chain; before chains are made: it was asked for that */
    int64_t   flops, bytes;     /* at full size */
    double    cycles;           /* of one core, as the cost model predicts them; 0: not scheduled */
    int       at;               /* place in the order of execution */
    ScanLoop *scan;             /* NEST_SCAN */
    const char *fused;          /* for people, what is computed beside the stages: "2 maps, update of Net.c1.w" */
} Nest;

/* The loops outside of what sets results to 0, if n->adds: what is inside is one run of memory. */
int     nest_zero_level(const Nest *n);
int64_t nest_trips(const Nest *n, int var);                         /* tiles of an out at full size */
/* The smallest and largest value over all points at full size. */
void    lin_range(const Nest *n, const Lin *a, int64_t *lo, int64_t *hi);
/* Can the guard fail? */
bool    guard_can_fail(const Nest *n, const Guard *g);
/* Does it depend on v and else on nothing but variables whose values have code of their own? Then only the first
 * and the last values of v matter. */
bool    guard_settles(const Nest *n, const Guard *g, int v);
bool    guard_equal(const Guard *a, const Guard *b);

/* ---- a function ------------------------------------------------------------------------------------ */

/* Nests first .. first + count - 1 run for `rows` rows of the batch, then for the next: see passes/chain.c. */
typedef struct {
    int      first, count;
    int64_t  rows;
    int64_t *per;               /* per nest: values of its outermost loop for a row */
} Chain;

enum { MAX_CHAIN = 256 };

struct Kernels {
    const char *name;
    Graph      *graph;          /* of a function, or the body of a scan */
    Target      target;
    int         level;
    int         depth;          /* loops around the nests */
    Nest      **nest;
    int         nnest;
    int         nchain;
    Chain      *chain;          /* in the order of their nests; no nest is in two */
    const Chain **local;        /* by Node.id: the chain that alone makes and uses the node, or NULL */
    Place      *place;          /* by Node.id */
    int64_t     arena_size;     /* bytes; of a function */
    int64_t     laps;           /* offset in the arena of an int64 for each nest, to which thread 0 adds what the nest
                                   took within a chain, in ticks of the processor's counter; 0: nobody asks */
    int         nbuffer;        /* of a function, those of bodies among them */
    Buffer    **buffer;
    int         nin;
    Node      **in;             /* IN_DATA leaves in graph order = order of args->in */
    int         nout;
    Output     *out;            /* OUT_VALUE outputs in graph order = order of args->out */
};

#endif
