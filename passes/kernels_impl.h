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
    bool        alone;          /* nothing joins: the values are complete only when the nest has ended */
    GroupList   after;          /* groups that must run before, beyond those whose values it reads */
    int         first, last;    /* smallest and largest id of the nodes */
    int         visit;          /* the walk that met it last */
    Nest       *nest;
};

typedef struct {
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
} Fuse;

bool  fusion_on(const KernelOptions *o, const char *name);

/* The node whose storage holds the numbers of n: n without reshapes and stops. */
Node *node_storage(Node *n);
/* n without stops. */
Node *node_unstop(Node *n);
/* Does a nest compute it? (comp, scatter_add) */
bool  node_computed(const Node *n);

/* Are the subscripts of a read by n its own outs, one by one? (On an axis of size 1 a constant 0 is the out.) */
bool  reads_own_point(const Node *n, const Expr *read);

/* lower_ops.c */
void  lower_ops(Graph *g);
/* residue.c: the values that derived variable number `derived` takes at the points that count and around them, if
 * cutting an out makes them dense. */
bool  residue_range(const Comp *c, int derived, int64_t *lo, int64_t *hi);
/* pack.c */
void  pack_contractions(Graph *g);
/* unpool.c */
void  unpool_graph(Graph *g);
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
/* schedule.c: fills the schedule of n. */
void  nest_schedule(const Fuse *f, Nest *n);
/* cost.c: flops and bytes of n at full size. */
void  nest_count(Nest *n);
/* chain.c: fills k->chain and k->local */
void  chain_nests(Fuse *f);
/* plan.c: offsets in the arena, barriers. */
void  plan_memory(Fuse *f);

#endif
