/* Schedules in text form: what --print-schedule shows of a kernel and --schedule takes.
 *
 *     train_1_Net_c2:lanes=s,j/4:tile=c/5:order=b,c,i,j:over=c,r,s/5:shared=2
 *
 *   lanes=V/N,...  variables in the lanes of the main stage with their values, innermost first: outs and variables of a
 *                  window, or reductions. Without /N all values.
 *   width=N        numbers in a vector, if not the target's
 *   tile=V/N,...   the other outs of which a tile has several values
 *   order=V,...    loops over outs, outermost first
 *   over=V/N,...   loops over reductions, outermost first; N values are unrolled
 *   chains=N       partial results per point
 *   cut=V/N        the reduction V in turns of N values
 *   inside         the turns are made inside of the outermost loop
 *   list           over a list of what is not zero (passes/listed.c); lanes and tile alone
 *   chained        in turns of rows with the nests before or behind it (passes/chain.c), where that is possible
 *   shared=N       the first N loops are shared out among the threads; 0: one thread
 *
 * Variables are called as in the program; the second of one name is "i.2". What is not named stays as it was chosen,
 * but lanes= alone means no tile, no unrolling, no chains, no cut. */
#ifndef NETC_PASSES_FORCED_H
#define NETC_PASSES_FORCED_H
#include "passes/schedule_impl.h"

/* What is asked for one nest. */
typedef struct {
    ForcedSchedules *all;
    Arena           *a;
    const char      *kernel, *fields;     /* fields: behind the first ':' */
    const Nest      *n;
    bool             chained;
    int              width;               /* of the stores' vectors, which may be two of the machine's; 0: not named */
    bool             list, lanes, steps;  /* lanes were named; lanes, tile or over were */
    Choice           c;
    int              norder, order[MAX_VARS];
    int              nover, over[MAX_VARS];
    int              shared;              /* -1: not named */
} Forced;

/* What is asked for the nest called `kernel`; NULL: nothing is. Its variables are not merged yet. */
Forced *forced_find(const Fuse *f, const char *kernel);
/* The first mistake is kept. Returns false. */
bool    forced_fail(Forced *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads the fields; x->c begins as the choice that was made. False after a mistake. */
bool    forced_read(Forced *x, const Task *w, const Choice *chosen);
/* Can the nest run like that (not over a list)? Sets x->c.cost. */
bool    forced_check(Forced *x, Task *w);
/* The orders of loops in the scheduled nest, whose main stages are main .. main + count - 1. */
void    forced_order(const Forced *x, Nest *n, int main, int count);
void    forced_share(Forced *x, Nest *n);

#endif
