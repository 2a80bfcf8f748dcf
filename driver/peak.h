/* What this machine can do at most, measured: the denominators of every share that netc prints.
 *
 *   registers   multiply-adds on registers alone: nothing is loaded
 *   fed         the inner loop of a matrix product whose operands lie in the L1 cache: per step 2 vectors, one
 *               broadcast for each row, 2 multiply-adds a row. Cores run slower here (their clock), so this is
 *               what the best possible kernel reaches.
 *
 * The loops are fixed, in assembly (peak_loops.c), so that they are the same in every build of netc: a wandering
 * denominator makes every share worthless. They use the vectors of the target that code is generated for. */
#ifndef NETC_DRIVER_PEAK_H
#define NETC_DRIVER_PEAK_H
#include "base/target.h"
#include "runtime/pool.h"

typedef struct {
    double registers, fed;      /* Gflop/s of all threads of the pool together; a multiply-add is 2 flop */
} Peak;

/* Takes about 0.2 s. The target must be one of this machine. */
Peak   peak_measure(netc_pool *pool, const Target *t);

/* Gbyte/s at which the pool reads a block of `bytes` again and again, each thread its own part of it; 0 if there
 * is no memory for it. Sizes are rounded to powers of two. */
double peak_bandwidth(netc_pool *pool, const Target *t, int64_t bytes);

/* ---- peak_loops.c ---------------------------------------------------------------------------------------- */

/* Inner loops with one target's vectors. */
typedef struct {
    void  (*registers)(int64_t rounds);
    void  (*fed)(int64_t rounds, const float *panel, const float *rows);
    void  (*read)(const char *p, int64_t bytes);      /* p 64-byte aligned, bytes > 0 a multiple of 256 */
    double registers_flops, fed_flops;                /* of one round */
} PeakLoops;

/* Of the fed loop: its depth, and bytes of its operands. The rows are PEAK_ROW apart or (where the processor
 * multiplies by one element of a vector) lie side by side. */
enum { PEAK_DEPTH = 64, PEAK_ROW = 272, PEAK_PANEL_BYTES = 128 * PEAK_DEPTH, PEAK_ROWS_BYTES = 12 * PEAK_ROW };

const PeakLoops *peak_loops(const Target *t);

#endif
