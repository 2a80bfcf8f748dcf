/* The head of the file that target_client.c reads. */
#ifndef NETC_TESTS_TARGET_FILE_H
#define NETC_TESTS_TARGET_FILE_H
#include "runtime/netc_rt.h"

typedef struct {
    int64_t  nin, nout;
    int64_t  weights, opt, state, scalars, arena;       /* bytes */
    uint64_t seed, step;
    int64_t  count;
} TargetFile;

#endif
