/* From a graph to kernels, in this order:
 *
 *   lower_ops.c    what is not a comp becomes one (gather), outputs get values of their own
 *   spread.c       gradients of images behind max-pooling become sums over pooled cells
 *   sink.c         maps over the steps of a loop go into its body
 *   keep.c         what scans stack for others: functions in place of what they are functions of
 *   rotate.c       steps of a loop that begin with their sums
 *   panel.c        operands of contractions in panels, those that loops capture before them
 *   turn.c         other weights of loops in the order in which they load well
 *   taps.c         convolutions whose taps are added up last
 *   pack.c         guarded and masked operands of contractions become tensors that load well
 *   unpool.c       gradients through max-pooling become lookups
 *   winograd.c     convolutions with fewer multiplications
 *   reuse.c        sums read maps that are stored anyway
 *   order.c        operands of contractions with the axis last that fills the lanes
 *   fuse.c         which nodes are computed together; group.c: their dependence and order; sums.c: several sums in
 *                  one nest
 *   update.c       new values of parameters and states go over the old ones, or wait
 *   nest_build.c   a group as loops over one space: variables, stages, stores, accesses; residue.c: strides backwards
 *   schedule.c     lanes, tiles, order, threads; merge.c, choose.c (the search), cost.c and traffic.c (the model),
 *                  listed.c; repeat.c: searches that were made before
 *   forced.c       schedules from the command line; schedule_text.c: and in print
 *   chain.c        nests that run for a few rows of the batch at a time
 *   threads.c      which nests the threads share, and along which loop
 *   scan_build.c   a scan as a loop over the nests of its body, which go through all of this as well
 *   scan_done.c    which scans can stop early
 *   plan.c         places in the arena, barriers
 */
#ifndef NETC_PASSES_KERNELS_H
#define NETC_PASSES_KERNELS_H
#include "ir/nest.h"

/* Schedules that are wanted in place of the chosen ones (--schedule), in the form in which kernels_print shows them
 * (passes/forced.h). */
typedef struct {
    int                n;
    const char *const *text;    /* "train_1_Net_c2:lanes=s,j/4:tile=c/5" */
    bool              *met;     /* by text: a kernel of this name was there */
    const char        *error;   /* the first text that cannot be, and what can; NULL: none */
} ForcedSchedules;

typedef struct {
    int         level;          /* -O: 0 one scalar nest per node, 1 fused, 2 fused and tiled */
    const char *off;            /* comma-separated fusions that are not wanted: see FUSIONS; NULL: none */
    /* Where a parameter or state lies (space, byte offset; C order) and which number of args->scalars an
     * IN_SCALAR input is (SPACE_SCALAR, index). 64 bytes past the end of every block can be read. */
    Place     (*place)(void *cx, const Node *leaf);
    void       *cx;
    ForcedSchedules *forced;    /* NULL: none */
    bool        eager;          /* winograd.c, taps.c, sums.c wherever they can be, however long it takes: for tests */
    int         threads;        /* that most likely run it; 0: not known. The bits do not depend on it */
} KernelOptions;

/* Names for `off`, NULL-terminated. */
extern const char *const FUSIONS[];

/* Adds nodes to g (copies, packed operands); nothing else may change g afterwards. Lives in `a`. */
Kernels *kernels_build(Arena *a, Graph *g, const Target *t, const KernelOptions *o);

/* Multiplications, additions and other scalar operations of all nests at full size. */
int64_t  kernels_flops(const Kernels *k);

/* --print-schedule: a paragraph per nest. */
void     kernels_print(const Kernels *k, FILE *out);
/* Names of kernels as --print-schedule shows them and --schedule takes them: "train_1_Net_c2". */
const char *kernel_name(Arena *a, const Kernels *k, const Nest *n);
/* The schedule in text form, the name and a ':' before it; NULL: it has none (a scan). */
const char *kernel_schedule(Arena *a, const Kernels *k, const Nest *n);
/* The share of the target's peak that the cost model predicts; 0: unknown. */
double   kernel_predicted(const Kernels *k, const Nest *n);
double   kernel_predicted_us(const Nest *n);
/* A call on so many threads, as the model of threads.c sees it: shares, meetings, what moves between caches. */
double   kernels_cycles(const Kernels *k, int threads);
double   cycles_to_us(double cycles);       /* at the clock of the machines that the model was made on */
/* Does it only lay numbers out in another way? */
bool     nest_packs(const Nest *n);

/* Checks the memory plan on its own terms, pair by pair: no two tensors that live at the same time
 * overlap, all lie inside the arena. False and a text (in `a`) if not. */
bool     kernels_check_plan(const Kernels *k, Arena *a, const char **why);

#endif
