/* What the code (c_api.c) and the header (c_header.c) of a C interface must agree on. */
#ifndef NETC_CODEGEN_C_IMPL_H
#define NETC_CODEGEN_C_IMPL_H
#include "codegen/c_api.h"

/* Return codes; a name in the header is NAME_ID. */
#define C_CODES(X)                                                                                  \
    X(OK, 0, "done")                                                                                \
    X(ENULL, -1, "a pointer is NULL")                                                               \
    X(ESIZE, -2, "io->size or arena_size is too small")                                             \
    X(EALIGN, -3, "a block is not aligned to 64 bytes, or an array not to its elements")            \
    X(ECOUNT, -4, "io->count is 0 or more than the batch")                                          \
    X(ERANGE, -5, "a number of an integer input is outside its dim, or a length not 1 .. the longest")

typedef enum {
#define X(id, value, text) C_##id = value,
    C_CODES(X)
#undef X
    C_LAST = C_ERANGE
} CCode;

enum {
    C_ALIGN = 64,               /* of blocks and of copies in the arena */
    C_SLACK = 64,               /* bytes that kernels may read past the end of a tensor */
    C_TIMES = 4                 /* scalars after the hypers: step, epoch, batches, progress */
};

int64_t c_row_count(const CPort *p);                            /* elements of a row (of the value, without rows) */
int64_t c_room(const CModel *m, const CPort *p);                /* bytes of its copy in the arena */
int64_t c_tensor_count(const CTensor *t);
/* The tensors of a weights file, sorted by key as the file has them: parameters and the states in it. *is_state[i]
 * tells which block. In a; *n of them. */
const CTensor **c_file_tensors(Arena *a, const CModel *m, int *n, bool **is_state);

#endif
