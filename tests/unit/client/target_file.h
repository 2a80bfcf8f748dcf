/* A job for target_client.c: a TargetFile, the sizes of inputs and outputs in bytes (i64), then weights, optimizer
 * state, state, scalars and inputs; then what must come out: `nchecks` times a TargetCheck and its TargetNumbers. */
#ifndef NETC_TESTS_TARGET_FILE_H
#define NETC_TESTS_TARGET_FILE_H
#include "runtime/netc_rt.h"

typedef struct {
    char     table[64], name[64];       /* of the table of functions, of the function in it */
    int64_t  nin, nout, nchecks;
    int64_t  weights, opt, state, scalars, arena;       /* bytes */
    uint64_t seed, step;
    int64_t  bound[NETC_BOUNDS];
} TargetFile;

enum { TARGET_F32, TARGET_I32, TARGET_U8 };             /* types of numbers */
enum { TARGET_OUTPUTS = 3 };    /* blocks: weights, optimizer state, state, then the outputs */

typedef struct {
    char    name[64];           /* of the graph's output */
    int64_t block, offset;      /* bytes */
    int64_t type, count;
} TargetCheck;

/* The value and how far from it is allowed; error < 0: beyond the bounds of this call, not compared. */
typedef struct {
    double value, error;
} TargetNumber;

#endif
