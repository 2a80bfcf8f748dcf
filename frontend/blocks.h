/* The data and train blocks, which are not maths: read from the tree, checked, described.
 * The program around them (program.c) gives what they need to know; they know nothing of the checker.
 * Mistakes go to `diag`; the functions return NULL after one.
 */
#ifndef NETC_FRONTEND_BLOCKS_H
#define NETC_FRONTEND_BLOCKS_H
#include "frontend/frontend.h"

/* What a block may ask of its program. */
typedef struct {
    /* The value of a number known at compile time: a literal, a dim that is not ragged, arithmetic of these.
     * False if it is none; nothing is reported. */
    bool (*number)(void *cx, const Ast *e, double *value);
    /* The declaration (AST_FN) of a function by that name in the file or the standard library, or NULL. */
    const Ast *(*function)(void *cx, const char *name);
    /* "; did you mean 'x'?" or "": the function with the nearest name. */
    const char *(*suggest)(void *cx, const char *name);
    void *cx;
} BlockHost;

/* ---- data NAME(fields) { .. } -------------------------------------------------------------------- */

typedef struct DataBlock DataBlock;

/* One `expand(function, field, variants)`, in the order of their numbers in the JSON ("expand.0"). */
typedef struct {
    const char *function, *field;
    const Ast  *decl;              /* of the function */
    int         narg;              /* whole numbers after the field */
    int64_t   (*variant)[8];
    int         nvariant;
    Loc         loc;
} DataExpand;

/* `field`: the block's parameters, types resolved, in order (kept by reference). */
DataBlock *data_block_check(Arena *a, Diag *d, const Ast *data, const PortInfo *field, int nfield,
                            const BlockHost *host);
/* { "name": .., "fields": [..], "splits": {..} } as runtime/netc_rt.h says. */
void data_block_json(const DataBlock *b, Buf *out);
bool data_block_has_text(const DataBlock *b);         /* a text(..) is among its sources */
const DataExpand *data_block_expands(const DataBlock *b, int *n);

/* ---- train MODEL on DATA { .. } ------------------------------------------------------------------ */

/* What a train block may name. Metric names are those of the model's objective. */
typedef struct {
    const char *const *metric;
    int                nmetric;
    const HyperInfo   *hyper;
    int                nhyper;
    const DimInfo     *dim;
    int                ndim;
    const FuncInfo    *entry;      /* of the model */
    int                nentry;
    const PortInfo    *field;      /* of the data; NULL: there is a mistake in the data, which was reported */
    int                nfield;
    const BlockHost   *host;
} TrainNames;

/* The expressions that go into the training graph are kept as written: NULL where not set. */
typedef struct {
    TrainInfo  info;
    const Ast *optimizer;          /* a call `adam(eta)` or a name `sgd` */
    const Ast *l2, *l1;
    const Ast *clip;               /* the bound itself; info.clip_by_norm says of what */
} TrainBlock;

/* Overrides "train.KEY=value" replace the block's own settings and are marked used. */
TrainBlock *train_block_check(Arena *a, Diag *d, const Ast *train, const TrainNames *names, Override *override,
                              int noverride);
/* Examples a step where there is no train block: what "train.batch" says, else DEFAULT_BATCH. */
enum { DEFAULT_BATCH = 32 };
int64_t train_batch(Arena *a, Diag *d, const BlockHost *host, Override *override, int noverride);

#endif
