/* d.h: made by netc 0.1.0 from d.net for x86-64 with AVX2 and FMA (x86_64-unknown-linux-gnu). Do not edit.
 *
 * Functions return 0 or a code below. They keep nothing between calls, allocate nothing and
 * call nothing: all memory is the caller's. Blocks (weights, opt, state, arena) are aligned to
 * 64 bytes and as large as the sizes below. Threads may call at the same time with the same
 * weights if opt, state and arena are not shared. Arrays are dense, in C order, the row (example)
 * first; they must not overlap a block or each other, but a result may lie in the place of an input of its
 * shape. docs/c-api.md of netc says more.
 */
#ifndef NETC_D_H
#define NETC_D_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define D_CPU                          "avx2,fma" /* processor features it needs */
#define D_BATCH                        32         /* most rows of a call */
#define D_ALIGN                        64         /* of every block */
#define D_WEIGHTS_SIZE                 8048192    /* bytes; 0, as for the next two: may be NULL */
#define D_STATE_SIZE                   0          /* bytes; what the model carries from call to call */
#define D_OPT_SIZE                     0          /* bytes; what the optimizer carries from step to step */
#define D_PLAIN_COUNT                  2012010    /* floats that d_pack reads */

enum {
    D_OK = 0, /* done */
    D_ENULL = -1, /* a pointer is NULL */
    D_ESIZE = -2, /* io->size or arena_size is too small */
    D_EALIGN = -3, /* a block is not aligned to 64 bytes, or an array not to its elements */
    D_ECOUNT = -4, /* io->count is 0 or more than the batch */
    D_ERANGE = -5 /* a number of an integer input is outside its dim, or a length not 1 .. the longest */
};

#define D_INIT_ARENA_SIZE              8048768    /* bytes; scratch */
/* First weights, drawn with a seed: those of `netc init`. */
int d_init(void *weights, uint64_t seed, void *arena, size_t arena_size);

/* Between blocks and plain numbers: the tensors one after the other, each in C order, which is
 * the data part of a weights file (.safetensors) that netc writes. First float, key, shape:
 *   0: Net.f0.W [1000][1000]
 *   1000000: Net.f0.b [1000]
 *   1001000: Net.f1.W [1000][1000]
 *   2001000: Net.f1.b [1000]
 *   2002000: Net.out.W [10][1000]
 *   2012000: Net.out.b [10]
 */
int d_pack(const float *plain, void *weights, void *state);
int d_unpack(float *plain, const void *weights, const void *state);

/* First values of the optimizer's and the model's states; NULL: leave that block alone. */
int d_reset(void *opt, void *state);

#ifdef __cplusplus
}
#endif
#endif
