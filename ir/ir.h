/* The graph: a typed tensor program in SSA form. The one public header of ir/.
 *
 * A Graph is one function of a model (a training step, an evaluation, an entry). Nodes are values;
 * arithmetic is one operation, `comp`, an index equation:
 *
 *     %7 = comp [b,o,i,j | c,r,s] sum mul(%w[o,c,r,s], %x[b,c,2*i+r,2*j+s])  : f32[B,20,12,12]
 *
 * The batch is explicit: it is the first axis of everything that depends on an example. Its extent has
 * a static size B and a run-time bound n <= B (the rows that this call really has).
 * Rule of bounds: what lies at or beyond a bound is never read and is undefined; a variable that runs
 * over a bounded axis runs to the bound. So padding is in no sum, no loss and no gradient.
 */
#ifndef NETC_IR_IR_H
#define NETC_IR_IR_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/vec.h"

enum { MAX_RANK = 8, MAX_VARS = 24, MAX_TERMS = 8, MAX_BOUNDS = 7 };
#define MAX_ELEMENTS ((int64_t)1 << 40)         /* of one value */

/* ---- types ---------------------------------------------------------------------------------- */

typedef enum { DT_F32, DT_I32, DT_U8, DT_PRED, DT_COUNT } DType;   /* storage bytes: 4 4 1 1 */

/* An axis: its static size, and the run-time bound that cuts it (index into Graph.bounds), 0 = none. */
typedef struct {
    int64_t size;
    int     bound;
} Extent;

typedef struct {
    DType  dtype;
    int    rank;
    Extent dim[MAX_RANK];
} Type;

const char *dtype_text(DType d);                /* "f32" */
int         dtype_size(DType d);                /* bytes */
int64_t     type_count(const Type *t);          /* elements at full size */
bool        type_equal(const Type *a, const Type *b);
Type        type_of(DType d, int rank, const Extent *dims);

/* ---- affine forms ------------------------------------------------------------------------------ */

/* c + sum of coef * variable. Variables are indices into Comp.var. Terms are sorted by variable and
 * have coef != 0, so that equal forms are equal bytes. */
typedef struct {
    int64_t c;
    int     n;
    struct { int var; int64_t coef; } term[MAX_TERMS];
} Affine;

Affine  affine_const(int64_t c);
Affine  affine_var(int var);
Affine  affine_add(Affine a, Affine b, int64_t scale);              /* a + scale * b */
Affine  affine_scale(Affine a, int64_t k);
int64_t affine_coef(const Affine *a, int var);                      /* 0 if absent */
bool    affine_equal(const Affine *a, const Affine *b);
bool    affine_is_const(const Affine *a);
bool    affine_is_var(const Affine *a, int *var);                   /* exactly one variable, coef 1, c 0 */
int64_t affine_eval(const Affine *a, const int64_t *value);         /* value[var] */
Affine  affine_subst(const Affine *a, const Affine *by, int nvar);  /* variable v becomes by[v] */

/* ---- scalar expressions ------------------------------------------------------------------------ */

typedef enum {
#define SCALAR(id, text, args, type, math) SC_##id,
#include "ir/scalars.def"
#undef SCALAR
    SC_COUNT
} ScalarOp;

typedef struct {
    const char *text;
    int         args;
    const char *math;
} ScalarInfo;
extern const ScalarInfo SCALARS[SC_COUNT];

typedef struct Expr Expr;

/* A subscript: an affine form plus, if `ind` is not NULL, the value of an integer expression (an
 * indirect subscript: x[b, y[b]]). An indirect value is trusted to lie inside the axis: the runtime
 * checks labels and symbols when it loads them. */
typedef struct {
    Affine      aff;
    const Expr *ind;
} Sub;

/* Immutable; lives in the graph's arena; may be shared between comps with the same variables. */
struct Expr {
    ScalarOp    op;
    DType       dtype;
    const Expr *arg[3];
    double      value;          /* SC_CONST */
    Affine      aff;            /* SC_IDX */
    int         bound;          /* SC_BOUND */
    int         operand;        /* SC_READ: which operand of the comp */
    int         nsub;
    Sub        *sub;
    bool        guarded;        /* SC_READ: an affine subscript may leave its axis or bound; the value is 0 then */
};

const Expr *expr_const(Arena *a, double v);
const Expr *expr_int(Arena *a, int64_t v);                               /* i32 constant */
const Expr *expr_pred(Arena *a, bool v);                                  /* true, false */
const Expr *expr_idx(Arena *a, Affine f);                                /* i32 constant if f has no variable */
const Expr *expr_bound(Arena *a, int bound);
const Expr *expr_read(Arena *a, DType d, int operand, int nsub, const Sub *sub, bool guarded);
const Expr *expr_op1(Arena *a, ScalarOp op, const Expr *x);
const Expr *expr_op2(Arena *a, ScalarOp op, const Expr *x, const Expr *y);
const Expr *expr_sel(Arena *a, const Expr *c, const Expr *x, const Expr *y);
const Expr *expr_cast(Arena *a, DType d, const Expr *x);
bool        expr_is_const(const Expr *e, double v);
bool        expr_equal(const Expr *a, const Expr *b);
int         expr_size(const Expr *e);                                     /* operations, reads included */
/* Calls f on every node of e, operands before users; indirect subscripts included. */
void        expr_walk(const Expr *e, void (*f)(const Expr *, void *), void *cx);
/* e with every variable v replaced by var[v] and operand k renumbered to operand[k] (NULL: same). */
const Expr *expr_subst(Arena *a, const Expr *e, const Affine *var, int nvar, const int *operand);
/* The result type of an operation on operands of these types (docs/ir.md has the table); false if it has
 * none. Rows of type OWN other than sel are not looked at. */
bool        scalar_type(ScalarOp op, const DType *arg, DType *result);
/* The number an operation gives for numbers (pred: 0 or 1): the interpreter's and the folder's rule. */
double      scalar_eval(ScalarOp op, DType result, double x, double y, double z);

/* ---- nodes ------------------------------------------------------------------------------------- */

typedef enum {
#define OP(id, text, args, math) OP_##id,
#include "ir/ops.def"
#undef OP
    OP_COUNT
} OpId;

typedef struct {
    const char *text;
    int         args;
    const char *math;
} OpInfo;
extern const OpInfo OPS[OP_COUNT];

typedef enum {
#define KIND(id, text, math) KIND_##id,
#include "ir/kinds.def"
#undef KIND
    KIND_COUNT
} Kind;
extern const char *const KIND_TEXT[KIND_COUNT];

/* A variable of a comp. Outs come first, then reds, then derived. A derived variable has the value
 * num / div; the point is skipped unless the division is exact and the value lies in 0 .. extent-1
 * (and below the bound). `num` may use outs, reds and derived variables of lower number. */
typedef struct {
    const char *name;           /* for printing: "i"; printed names are made unique */
    Extent      ext;
    Affine      num;            /* derived only */
    int64_t     div;            /* derived only: >= 1; 0 for outs and reds */
} Var;

typedef struct {
    Kind        kind;
    int         nout, nred, nder;
    Var        *var;            /* nout + nred + nder */
    const Expr *expr;
} Comp;

/* Where an input's numbers come from. */
typedef enum {
    IN_DATA,                    /* an argument: [n, ...] one row per example */
    IN_SCALAR                   /* a run-time scalar: hyper.eta, step, batches, epoch, progress */
} InputKind;

typedef enum {
    STATE_SHARED,               /* batch-norm averages: stored with the weights */
    STATE_LANE,                 /* one row per batch row */
    STATE_OPT                   /* an optimizer's slot */
} StateKind;

typedef struct Node  Node;
typedef struct Graph Graph;

/* A recurrence. The operands of the node, in this order: first values of the carries, sequences (cut along
 * their first axis, one slice a step), captured values. The body reads them through its ARG nodes, by
 * operand number, and its outputs are the next carries and then the values to stack. Results, in the order
 * of the outputs: the last carries; the stacks, with the trip as a new first axis. Element t of a sequence
 * and of a stack belongs to step t, also when the steps run from the last to the first. */
typedef struct {
    Graph      *body;           /* over the same bounds; its leaves are arguments and constants */
    int         ncarry, nover, nuse;
    Extent      trip;           /* number of steps; a bound cuts it */
    Extent      part;           /* with a bound T: each step stands for `size` of T; those past the last are not made:
                                   the body would hold the carries, and nothing reads what it would stack */
    bool        reverse;
    int         checkpoint;     /* when differentiated: keep the carries of every so many steps; 0: all */
    const char *var;            /* the step's name, for printing */
} Scan;

enum { ARG_STEP = -1 };         /* the argument that is the number of the step, i32[] */

struct Node {
    OpId        op;
    int         id;             /* number within the graph, in creation order */
    Type        type;
    const char *name;           /* the user's name path ("Net.c1"), or NULL */
    Loc         loc;            /* the source it came from */
    int         narg;
    Node      **arg;
    union {
        struct { const double *value; } konst;                 /* OP_CONST: type_count numbers, C order */
        struct { InputKind kind; const char *key; int64_t below; } input;  /* OP_INPUT; below: see graph_index */
        struct { const char *key; } param;                     /* OP_PARAM: "Net.c1.w" */
        struct { StateKind kind; const char *key; double init; } state;   /* OP_STATE */
        struct { uint32_t site; } rng;                         /* OP_RNG: hash of the call path */
        struct { int index; } arg;                             /* OP_ARG: operand of the scan, or ARG_STEP */
        Comp        comp;                                      /* OP_COMP */
        Scan        scan;          /* OP_SCAN; its own type is f32[], and nothing reads it */
        struct { int index; } result;                          /* OP_RESULT */
    } u;
    void       *mark;           /* scratch of the running pass; NULL between passes */
    int         panel;          /* in kernels: 1 + the axis that lies in panels (Place.panel); 0: none */
    int         panel_size;     /* its values in one */
};

typedef enum {
    OUT_VALUE,                  /* handed to the caller under `name` */
    OUT_PARAM, OUT_STATE        /* becomes the new value of the leaf `target` when the call ends */
} OutKind;

typedef struct {
    OutKind     kind;
    const char *name;           /* "loss", "metric.accuracy", "0" (first result), "grad.Net.c1.w" */
    Node       *value;
    Node       *target;
} Output;

/* A run-time bound: bounds[1] is the number of rows n of this call; index 0 is not used. */
typedef struct {
    const char *name;           /* "n": letters, digits, '_' */
    int64_t     size;           /* its largest value, B */
} Bound;

struct Graph {
    Arena      *arena;
    const char *name;           /* "train", "eval", "classify" */
    VEC(Node *)  nodes;         /* every node, operands before users */
    VEC(Output)  outs;
    VEC(Bound)   bounds;        /* [0] unused */
    int         args;           /* graph_arg: numbers given */
    const char *at_name;        /* graph_at: what the next nodes are called and where they come from */
    Loc         at_loc;
};

/* graph.c: making graphs. Every builder appends to g->nodes, checks its operands (ICE on a broken
 * rule) and works out the type. Equal leaves (same op and key) are made once. */
Graph *graph_new(Arena *a, const char *name);
int    graph_bound(Graph *g, const char *name, int64_t size);
void   graph_at(Graph *g, const char *name, Loc loc);    /* name and place of the nodes made next */
Node  *graph_const(Graph *g, Type t, const double *value);
Node  *graph_scalar(Graph *g, double v);                  /* rank 0 f32 */
Node  *graph_input(Graph *g, Type t, InputKind kind, const char *key);
/* Data that stand for elements of a dim, i32: the caller hands numbers in 0 .. below-1, and nothing else. */
Node  *graph_index(Graph *g, Type t, int64_t below, const char *key);
Node  *graph_param(Graph *g, Type t, const char *key);
Node  *graph_state(Graph *g, Type t, StateKind kind, const char *key, double init);
Node  *graph_rng(Graph *g, Type t, uint32_t site);
/* Reads in `expr` refer to args[operand]; unused operands are dropped, equal ones merged. The result
 * type is dtype x the extents of the outs (argmax: i32; all, any: pred). `var` is copied. */
Node  *graph_comp(Graph *g, Kind kind, int nout, int nred, int nder, const Var *var, const Expr *expr,
                  int narg, Node *const *args);
Node  *graph_gather(Graph *g, Node *table, Node *index);
Node  *graph_scatter(Graph *g, Node *grad, Node *index, int64_t rows);
Node  *graph_reshape(Graph *g, Node *a, int rank, const Extent *dims);
Node  *graph_stop(Graph *g, Node *a);
Node  *graph_scan(Graph *g, const Scan *s, int narg, Node *const *args);   /* the body becomes the node's own */
Node  *graph_result(Graph *g, Node *scan, int index);
int    scan_results(const Node *scan);                    /* how many it has */
Type   scan_result_type(const Node *scan, int index);
Graph *graph_clone(Arena *a, const Graph *g);             /* bodies included */
void   graph_output(Graph *g, OutKind kind, const char *name, Node *value, Node *target);
Output *graph_find_output(Graph *g, const char *name);    /* NULL if there is none */
/* y = op of equal-shaped operands, element by element (rank-0 operands spread). */
Node  *graph_map1(Graph *g, ScalarOp op, Node *a);
Node  *graph_map2(Graph *g, ScalarOp op, Node *a, Node *b);
/* Keeps the nodes that the outputs need, renumbers them in a topological order. */
void   graph_sweep(Graph *g);
/* Who reads what: users[node id] for the nodes in g->nodes (ids must be current: graph_sort, graph_sweep);
 * an operand used twice by one node counts once. Lives in `a`. */
typedef VEC(Node *) NodeList;
NodeList *graph_users(Graph *g, Arena *a);
/* Every operand and output value that is `old` becomes `new`, which must have the same type. Output
 * targets stay. `old` itself goes with the next sweep. Needs graph_sort if `new` is younger than a user. */
void   graph_replace(Graph *g, Node *old, Node *new);
/* Sorts g->nodes so that operands come before users (after a pass changed operands in place). */
void   graph_sort(Graph *g);

/* loop.c: making a scan. The body is built like anything else, as nodes of a graph: loop_arg makes an
 * argument, on it the nodes of one step are built, loop_close cuts out what the results need, as a body.
 *
 * In `from` every node may stand for a value of the outside (Bind.inner): the cut ends there. What depends
 * on no bound node and is no constant is captured by itself, which needs from == g. Sequences and captured
 * values that the results do not need are left out. The nodes of the step
 * stay in `from`; arguments are no part of a finished graph, so the next graph_sweep must find them unused. */
typedef struct {
    Node *inner;                /* in `from` */
    Node *outer;                /* in `g`: first value, sequence, or captured value */
} Bind;

typedef struct {
    Extent      trip, part;
    bool        reverse;
    int         checkpoint;
    const char *var;
    Node       *step;           /* the argument that is the step's number; NULL: not used */
    VEC(Bind)   carry, over, use;
    VEC(Node *) next, stack;    /* in `from`: one next value per carry; values to stack */
} ScanMake;

Node *loop_arg(Graph *g, Type t);
Type  loop_slice(const Type *t);                          /* of one step of a sequence */
Node *loop_close(Graph *g, const Graph *from, const ScanMake *l);

/* lift.c: nodes of a body outside their loop. A node of the body is known outside as `node`, with the step as
 * a new first axis if `steps`; node NULL: not known. */
typedef struct {
    Node *node;
    bool  steps;
} Lifted;

/* Node n of a body as a node of g, from what its operands are outside (known[id]); false if it cannot be. The new
 * axis is the step, unless the number of the step is itself known outside. A scan in the body becomes one whose
 * carries, stacks and lifted sequences have the new axis (known of the scan itself: the new one, to be read by results
 * alone). */
bool  lift_node(Graph *g, Extent trip, const char *var, const Node *n, const Lifted *known, Lifted *out);
/* n, the same along a new first axis. */
Node *lift_repeat(Graph *g, Extent ext, const char *var, Node *n);
/* The sum over all steps of comp n (a map or a sum), without an array of its values; NULL if it cannot be. */
Node *lift_sum(Graph *g, Extent trip, const char *var, const Node *n, const Lifted *known);
/* Fission: what does not depend on the carries is computed before the scan, what they do not need after it.
 * result[i] (of scan_results) becomes the node that replaces result i. False: nothing moved. */
bool  scan_fission(Graph *g, Node *scan, Node **result);

/* print.c, parse.c: the text form; parse(print(g)) is g. docs/ir.md describes it. Node ids must be current
 * (they are, unless a pass moved nodes by hand). The source text ends with a NUL byte at text[size]; the
 * graph does not point into it. */
void   graph_print(const Graph *g, FILE *out);
char  *graph_text(const Graph *g, Arena *a);
char  *type_text(const Graph *g, const Type *t, Arena *a);   /* "f32[n,10]" */
char  *node_text(const Graph *g, const Node *n, Arena *a);   /* "%7 = comp ... : f32[n,10]  # Net.fc a.net:3" */
Graph *graph_parse(Arena *a, Diag *d, const Source *src);   /* NULL after an error in `d` */

/* verify.c: every rule of docs/ir.md (V1 ..); false and a text in *why (in the graph's arena). */
bool   graph_verify(Graph *g, const char **why);

/* dot.c: for graphviz; gradient nodes in another colour. */
void   graph_dot(const Graph *g, FILE *out);
/* view.c, view_dot.c, view_svg.c: the same for people: layers and equations in the user's names instead of nodes.
 * `steps` 0: the cell, with its feedback edges; else so many copies of a step side by side. */
void   graph_view(const Graph *g, int steps, bool svg, FILE *out);

/* interp.c: the reference. Runs a graph in double precision, in plain index order. */
typedef struct {
    /* The numbers of a leaf (input, param, state), type_count doubles in C order; NULL: zeros
     * (states: their first value). */
    const double *(*leaf)(void *cx, const Node *leaf);
    void          *cx;
    uint64_t       seed, step;
    int64_t        bound[MAX_BOUNDS + 1];   /* bound[1] = rows of this call; 0 = its full size */
} InterpEnv;
/* Values of the outputs, in the order of g->outs; each type_count doubles, 0 beyond a bound. */
double **interp_run(Arena *a, const Graph *g, const InterpEnv *env);

/* philox.c: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * Element e (C order, row axis included) of an rng node of a call: key = (seed, site), counter =
 * (e / 4, step low, step high, 0), word e % 4; number = ((word >> 9) + 0.5) * 2^-23: 24 bits, exact in f32,
 * so that it lies in (0,1) there too. */
void   philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
double rng_uniform(uint64_t seed, uint32_t site, uint64_t step, int64_t element);

#endif
