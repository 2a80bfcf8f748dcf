/* Kernels: a graph after fusion, scheduling and memory planning; what codegen/ emits.
 *
 * A Kernels is one function: a list of nests, run in order, with a barrier where one thread needs what
 * another made. A nest computes one or more nodes over one loop space. Everything about speed (lanes,
 * tiles, order, what is kept in registers) is data here, chosen in passes/, and only read by codegen/.
 */
#ifndef NETC_IR_NEST_H
#define NETC_IR_NEST_H
#include "ir/ir.h"

/* Where a node's numbers lie during a call. */
typedef enum {
    SPACE_NONE,                 /* not stored: computed where it is read (a fused node) */
    SPACE_ARENA, SPACE_WEIGHTS, SPACE_OPT, SPACE_STATE,
    SPACE_IN,                   /* offset = index of the data input */
    SPACE_OUT,                  /* offset = index of the output */
    SPACE_SCALAR,               /* offset = index into args->scalars */
    SPACE_CONST                 /* a table in the object file */
} Space;

typedef struct {
    Space   space;
    int64_t offset;             /* bytes, or an index (see Space) */
    int64_t stride[MAX_RANK];   /* elements, per axis of the node's type */
} Place;

typedef struct Nest Nest;
typedef struct Kernels Kernels;

/* The rest is written with passes/fuse.c, passes/schedule.c, passes/plan.c. */

#endif
