/* What the files behind nest_schedule share. */
#ifndef NETC_PASSES_SCHEDULE_IMPL_H
#define NETC_PASSES_SCHEDULE_IMPL_H
#include "passes/kernels_impl.h"

/* MAX_VECTORS: along the lanes of a tile. TURN: values that are loaded far apart and turned (emit_access.c) */
enum { MAX_READS = 64, TURN = 4, MAX_VECTORS = 6 };
enum { ENOUGH_TRIPS = 12 };     /* of the loops that are shared out: more than threads, so that all are busy */

/* A way to run a stage (with those that share its loops), or the stores of a nest without stages. */
typedef struct {
    bool    across;             /* lanes along reductions */
    int     width;
    int     nlane, lane[MAX_LANE_VARS];   /* innermost first */
    int64_t step[MAX_VARS];     /* outs: per tile; reductions: per pass */
    int     chains;
    int64_t cut;                /* of n->cut_var, see Nest */
    int     inside;             /* 1 + the loop around the turns (Nest.cut_inside); 0: none */
    double  cost;               /* cycles of one core for the whole nest */
} Choice;

/* Loads and shuffles to fill a vector of an access. */
typedef struct {
    double loads, shuffles;
    bool   uniform;             /* one number for all lanes */
    bool   strided;             /* lanes far apart, with one distance: may be turned, see emit_access.c */
} Pattern;

/* A variable taken `step` values at a time. */
typedef struct {
    int64_t step;
    double  passes;
    double  bodies;             /* code for them, in that of a whole pass */
    bool    rest;               /* the last pass is smaller */
} Steps;

/* The work that a choice is made for. */
typedef struct {
    const Target *t;
    const Nest   *n;
    int           first, count; /* stages in the same loops; count 0: the stores */
    int           turns;        /* sums like the first that go on from it, and itself */
    int           nread, read[MAX_READS];       /* memory accesses of their expressions */
    int           nmove[MAX_READS], move[MAX_READS][MAX_VARS];    /* per read: variables that it moves with */
    bool          window[MAX_VARS];
    bool          common[MAX_READS];      /* per read: by all of several sums */
    double        ops;          /* vector operations per point */
    double        most_ops;     /* the same of the stage of the nest that has most, since they share the tile */
    double        points;       /* of outs, window and reductions that count */
    double        live;         /* share of all points that count, as far as remainders decide it */
    /* of the lanes that were looked at last */
    Choice        lanes;
    Pattern       pattern[MAX_READS], store[MAX_STORES];
    Steps         steps[MAX_VARS];        /* by variable: those that were looked at last */
} Task;

/* schedule.c: the reduction that may be cut, or -1: of a nest that is one sum, the outermost in memory, so that the
 * operands pass by in one go. */
int    cut_variable(const Nest *n);

/* merge.c */
void   merge_vars(Nest *n);

/* listed.c: a schedule over a list of the points that count, if the nest has that form and it costs less than `cost`
 * cycles (below 0: in any case). `want`: NULL, or lanes and steps that the tile must have. */
bool   list_schedule(const Fuse *f, Nest *n, double cost, const Choice *want);

/* The stage (with those that share its loops) that lanes and tile are chosen for. */
int    nest_main_stage(const Nest *n);
/* Stages first .. first + result - 1 share their loops, or go on one from the other: they have one schedule. */
int    joined_stages(const Nest *n, int first);

/* cost.c */
Task   task_of(const Target *t, const Nest *n, int first, int count);
bool   task_window(const Task *w, int v);       /* is v a variable of the window? */
bool   task_reduction(const Task *w, int v);
/* Cycles; -1 if the choice needs more registers than there are, or too much code. */
double choice_cost(Task *w, const Choice *c);

/* To load and store the sums of all outs once more, after choice_cost. */
double turn_cycles(const Task *w, const Choice *c);

/* The share of points at which the guards hold whose variables are remainders and reductions. `any`: share of the
 * remainders at which they hold for some value of the reductions. */
double stage_live(const Nest *n, const Stage *s, bool any);

/* Vector instructions of an expression. */
double expr_weight(const Expr *e);

/* The largest stride with which v moves through a tensor, in bytes. */
int64_t var_stride(const Nest *n, int v);

/* schedule_text.c: a variable as --print-schedule calls it. */
const char *nest_var_name(Arena *a, const Nest *n, int v);

/* traffic.c: sets c->cost to the cycles of a choice that computes for `cycles`, with what it moves between the caches,
 * and c->cut if it moves less that way; the loops over outs with tiles of step[], outermost first. */
void   traffic_cost(const Task *w, Choice *c, double cycles);
/* To bring a tensor of so many bytes, more than a core's own caches hold, from where it is. */
double far_cycles(double bytes);
void   traffic_order(const Target *t, const Nest *n, const int64_t *step, int *order);

/* choose.c: may lanes run along the reductions? */
bool   can_go_across(const Task *w);
/* The cheapest choice found; `given`: NULL, or steps of the outs that are settled already. */
Choice choose(Task *w, const Choice *given);
/* The same; what costs more than `limit` (0: none) is looked at in less detail. */
Choice choose_below(Task *w, const Choice *given, double limit);
/* repeat.c: choose(w, NULL), searched for once for equal nests. */
Choice choose_once(const Fuse *f, Task *w);

#endif
