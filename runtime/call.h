/* Calling compiled functions: buffers for their arguments, scratch, scalars, threads. */
#ifndef NETC_RUNTIME_CALL_H
#define NETC_RUNTIME_CALL_H
#include "runtime/data.h"
#include "runtime/model.h"
#include "runtime/pool.h"

/* What every call of one model shares. One caller at a time. */
typedef struct {
    netc_model *model;
    netc_pool  *pool;
    bool        owns_pool;
    char       *arena;          /* scratch for the largest function */
    uint64_t    arena_size;
    float      *scalars;        /* in the description's order */
    int        *scalar_kind;    /* index of a hyper, or one of SCALAR_* in call.c */
    int         nscalar;
} netc_engine;

/* `threads` as in netc_pool_new; `pool` NULL: a pool of its own. Checks the description's scalars and
 * the CPU. Exit code. */
int  netc_engine_new(netc_engine *e, netc_model *m, int threads, netc_pool *pool);
void netc_engine_free(netc_engine *e);

/* Where training stands: the values of step, epoch, batches and progress. */
typedef struct {
    int64_t step, epoch;        /* both from 0; step counts over the whole training */
    int64_t batches, epochs;    /* steps per epoch, epochs in all; 1 outside of training */
} netc_time;

/* One function with buffers for all its arguments and results, `batch` rows each. */
typedef struct {
    netc_engine     *engine;
    const netc_func *func;
    void           **in, **out; /* one per port; in[i] may be pointed elsewhere between calls */
    char            *block;     /* the buffers */
    uint64_t         block_size;
} netc_call;

/* NETC_EXIT_INTERNAL after a message if the model lacks the function, NETC_EXIT_LIMIT without memory. */
int  netc_call_new(netc_call *c, netc_engine *e, const char *function);
void netc_call_free(netc_call *c);                      /* {0} is allowed */
int  netc_call_in(const netc_call *c, const char *name);        /* index of a port, -1: none */
int  netc_call_out(const netc_call *c, const char *name);
/* Of a function whose code may still be made (netc_model_later): waits for it. NETC_EXIT_INTERNAL after a message if it
 * cannot be made; the function must not be run then. */
int  netc_call_ready(const netc_call *c);
void netc_call_run(netc_call *c, netc_blocks *b, const netc_time *t, uint64_t seed, int64_t count);

/* Examples of a split as arguments of a function. */
typedef struct {
    const netc_split *split;
    netc_call        *call;     /* whose in[] are filled */
    int              *field;    /* field of the data block, per port; -1: lengths */
    netc_call         expand;   /* {0}: the split is not expanded */
    int64_t          *position; /* of one batch */
    netc_call         other;    /* the buffers that are filled; netc_feed_take gives them to `call` for its own */
    int64_t           rows;     /* that netc_feed_start was given; 0: none wait to be taken */
} netc_feed;

/* Every argument of the call must be a field of the data. Exit code after a message. */
int  netc_feed_new(netc_feed *f, const netc_split *s, netc_call *call);
void netc_feed_free(netc_feed *f);                      /* {0} is allowed */
/* Begins to gather the batch of position[0..n) (n > 0): threads that wait do it, beside the calls that follow. */
void netc_feed_start(netc_feed *f, const int64_t *position, int64_t n);
/* Does the rest: call->in are the rows of the batch then. `b`: the blocks that an expand function is called with. */
void netc_feed_take(netc_feed *f, netc_blocks *b);

#endif
