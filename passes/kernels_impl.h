/* What the files behind kernels_build share. */
#ifndef NETC_PASSES_KERNELS_IMPL_H
#define NETC_PASSES_KERNELS_IMPL_H
#include "passes/kernels.h"

/* Nodes computed together: the future nest. */
typedef struct Group Group;
typedef VEC(Group *) GroupList;
struct Group {
    NodeList    nodes;          /* in graph order */
    Node       *space;          /* its outs are the nest's outs */
    Node       *pool;           /* the first window reduction, or NULL: the nodes before it are computed at every
                                   position of its window */
    NodeList    terms;          /* sums of which the nest computes the sum of all alone, each from where the one before
                                   ended */
    bool        alone;          /* nothing joins: the values are complete only when the nest has ended */
    GroupList   after;          /* groups that must run before, beyond those whose values it reads */
    int         first, last;    /* smallest and largest id of the nodes */
    int         visit;          /* the walk that met it last */
    Nest       *nest;
};

typedef VEC(Buffer *) BufferList;
typedef struct Searches Searches;           /* repeat.c */

typedef struct Fuse {
    Arena         *a;           /* of the kernels */
    Graph         *g;
    const Target  *t;
    const KernelOptions *o;
    Kernels       *k;
    NodeList      *users;       /* by id */
    Group        **group;       /* by id: of computed nodes; NULL for leaves and views */
    GroupList      groups;      /* group_sort puts them in the order of execution */
    bool          *stored;      /* by id: the value is needed in memory */
    int            visit;
    bool           edges;       /* some group has an `after` */
    BufferList    *buffers;     /* of the whole function */
    Searches      *searches;    /* for its schedules */
    /* of a body */
    struct Fuse   *up;          /* the graph around; NULL: a function */
    Node          *scan;
    Group        **first, **last;   /* copies of first values before the steps, of last carries behind them; by
                                   carry, NULL: none */
} Fuse;

bool  fusion_on(const KernelOptions *o, const char *name);

/* The node whose storage holds the numbers of n: n without reshapes and stops. */
Node *node_storage(Node *n);
/* n without stops. */
Node *node_unstop(Node *n);
/* Does a nest of the graph compute it? (comp, scatter_add) Results of scans are made by the bodies' nests. */
bool  node_computed(const Node *n);

/* Are the subscripts of a read by n its own outs, one by one? (On an axis of size 1 a constant 0 is the out.) */
bool  reads_own_point(const Node *n, const Expr *read);

/* residue.c: the values that derived variable number `derived` takes at the points that count and around them, if
 * cutting an out makes them dense. */
bool  residue_range(const Comp *c, int derived, int64_t *lo, int64_t *hi);
/* lower_ops.c. ncarry: of a body; its outputs from there on are stacks, which may be carries as well. 0: a function */
void  lower_ops(Graph *g, int ncarry);
Node *lower_copy(Graph *g, Node *n);            /* a map that copies n */
/* sink.c: maps of sequences, into the bodies of the loops of g */
void    sink_maps(Graph *g);
/* The argument of the scan's body for `outer`, run over or captured; made if there is none. */
Node   *scan_operand(Graph *g, Node *scan, Node *outer, bool over);
/* keep.c: functions that scans of g stack in place of what they are functions of */
bool    keep_functions(Graph *g);
/* rotate.c: loops of g (not in their bodies) whose steps are cut before a sum */
void    rotate_loops(Graph *g);
/* panel.c: operands that the loops of g (not their bodies) use in every step; other operands */
void    panel_weights(Graph *g, const Target *t);
void    panel_operands(Graph *g, const Target *t);
/* Is `read`, by n, one of panels, and which variable tells the panel? -1: no */
int     panel_variable(const Node *n, const Expr *read);
/* turn.c: before the loops of g, not in their bodies */
void  turn_weights(Graph *g, const Target *t);
/* A read of n by a map over its axes in another order, `axis` last; var: the map's variables. */
const Expr *axis_last(Graph *g, const Node *n, int axis, Var *var);
/* reuse.c: sums of what a stored map computes read the map. */
void  reuse_maps(Graph *g);
/* taps.c: convolutions whose taps are added up last. all: also those that are estimated to take longer */
void  taps_graph(Graph *g, const Target *t, bool all);
/* pack.c */
void  pack_contractions(Graph *g);
/* order.c */
void order_operands(Graph *g, const Target *t);
/* unpool.c */
void  unpool_graph(Graph *g);
/* winograd.c: convolutions with fewer multiplications. all: also those that are estimated to take longer */
void  winograd_graph(Graph *g, const Target *t, bool all);
/* spread.c: the sum for a gradient behind pooling that a nest computes by adding to memory. */
void  spread_graph(Graph *g);
/* Such a sum: variables of the comp that are loops of its nest, and all others as forms of those (but for the
 * reductions that are no loops). */
typedef struct {
    bool   loop[MAX_VARS];
    Affine form[MAX_VARS];
} Spread;
bool  spread_find(const Node *n, Spread *s);
/* fuse.c: fills users, group, groups. */
void   fuse_groups(Fuse *f);
/* listed.c: a sum over the list of such reductions goes in blocks, so that what it reads over and over stays in the
 * first cache: values of block variable *red (of the comp) at a time; 0: no blocks, or not such a sum. */
int64_t list_block(const Target *t, const Node *n);
/* sums.c: several sums in one nest. A sum beside one like it that shares an operand; terms that map m, of group gr,
 * adds up. */
bool   join_sums(Fuse *f, Node *n);
void   join_terms(Fuse *f, Node *m, Group *gr);
/* fuse.c */
bool   same_outs(const Node *a, const Node *b);
bool   same_reds(const Node *a, const Node *b);
bool   group_has_room(const Group *gr, const Node *n);
/* group.c */
Group *group_new(Fuse *f, Node *n);
void   group_join(Fuse *f, Group *gr, Node *n);
/* Does `from` need a value of `target` (or is it), directly or through others? */
bool   group_needs(Fuse *f, Group *from, const Group *target);
/* Would n in gr make gr need itself? */
bool   group_cycle(Fuse *f, const Node *n, const Group *gr);
/* Orders f->groups for execution. */
void   group_sort(Fuse *f);
/* Fills f->stored. */
void   group_stored(Fuse *f);
/* update.c: gives outputs their places. The new value of a leaf goes straight to the leaf if every reader of
 * the old one can run before; else to the arena, and a copy runs at the end. */
void   settle_outputs(Fuse *f);
/* nest_build.c */
Nest *nest_build(Fuse *f, Group *gr, int number);
/* repeat.c */
Searches *searches_new(Arena *a);
/* schedule.c: cycles of n, which nothing needs afterwards. */
double nest_cycles(const Fuse *f, Nest *n);
/* Fills the schedule of n. */
void  nest_schedule(const Fuse *f, Nest *n);
/* How many of the outer loops the threads share: enough for a dozen of shares; none if the nest is small. */
void  nest_share(Nest *n);
/* cost.c: flops and bytes of n at full size. */
void  nest_count(Nest *n);
/* chain.c: fills k->chain; then, when the lives of buffers are known, k->local, lets local tensors share memory, and
 * lets buffers live as long as their chains. */
void  chain_nests(Fuse *f);
void  chain_locals(Kernels *k, Arena *a);
void  chain_share(Kernels *k, Arena *a);
void  chain_lives(const Kernels *k);
/* threads.c: leaves nests to one thread where sharing them out would cost more than it saves. */
void  share_nests(const Fuse *f);
/* scan_build.c. Places of the results of f's scans; then, for f a body: of its arguments and outputs. */
void  place_results(Fuse *f);
void  place_body(Fuse *f);
/* The nest of a scan; kernels.c: the body's nests. */
Nest *scan_build(Fuse *f, Group *gr, int number);
void  kernels_body(Fuse *up, Node *scan, ScanLoop *l, int number);
/* scan_done.c: the value of the body that tells which rows run on; NULL: all steps must be made */
Node *scan_runs(Arena *a, const Node *scan);
/* kernels.c: strides for n, which lies in the arena, that keep its rows and planes out of the same sets of a cache. */
void    place_apart(const Fuse *f, const Node *n, Place *p);
/* From the first byte of a node to the last. */
int64_t place_bytes(const Place *p, const Type *t);
/* plan.c: a buffer of at least `bytes`; offsets of all buffers, barriers. */
Buffer *buffer_new(Fuse *f, const Node *n, int64_t bytes, int depth);
void  plan_memory(Fuse *f);

#endif
