/* What differentiation tells about scans, and the memory it may take. */
#ifndef NETC_PASSES_GRAD_H
#define NETC_PASSES_GRAD_H
#include "ir/ir.h"

typedef enum {
    STASH_KEPT,                    /* stored for every step */
    STASH_GIVEN,                   /* a sequence that is there anyway */
    STASH_CAPTURED,                /* one value for all steps */
    STASH_AGAIN                    /* computed again in the step that needs it */
} StashHow;

/* A forward value that the gradient of a scan reads. */
typedef struct {
    const Node *scan;
    const char *name;              /* of the value: "Net.h"; NULL */
    Loc         loc;
    Type        type;              /* of one step */
    int64_t     bytes;             /* of all steps at most */
    StashHow    how;
    const char *why;
} Stash;

typedef VEC(Stash) StashList;

/* grad.c: grad_params, taking down in `stash` (if it is not NULL) what scans keep for it. */
void grad_params_noting(Graph *g, StashList *stash);

/* grad_memory.c: chooses checkpoints for scans that have none, so that the sequences of the gradient's graph fit
 * into `budget` bytes; the largest scan first, its longest segments that fit, since fewer segments cost less. */
typedef struct {
    Loc         loc;
    const char *var;
    int         checkpoint;
} Segmented;

typedef struct {
    int64_t     plain, chosen;     /* bytes of all sequences without and with what was chosen */
    VEC(Segmented) scans;
    bool        fits;              /* else `chosen` is the least that there is */
} Budget;

Budget grad_budget(Graph *g, int64_t budget);

#endif
