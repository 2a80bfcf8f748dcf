/* The C interface of a model: what of it is asked for, the functions' code, the header's text. docs/c-api.md is
 * written for those who call it.
 *
 *   CModel m = {...};                      filled by the driver
 *   if (!c_model_check(a, &m, &why)) ...   names that C does not allow
 *   codegen_function(cg, ...)              the functions that m.function[].function names
 *   codegen_c_interface(cg, &m)            their wrappers, exported
 *   char *text = c_header(a, &m)
 */
#ifndef NETC_CODEGEN_C_API_H
#define NETC_CODEGEN_C_API_H
#include "codegen/codegen.h"

/* An argument or result. Dense, C order; pred and u8 are bytes. */
typedef struct {
    const char *name;               /* the user's; the header makes a C identifier of it */
    DType       dtype;
    int         rank;               /* of one row: without the row axis */
    int64_t     dim[MAX_RANK];
    bool        rows;               /* one row per example; false: one value per call */
    int64_t     range;              /* i32 inputs: the numbers must lie in 0 .. range-1; 0: any */
    const char *axis[MAX_RANK];     /* the ragged dim of an axis, which has room for the longest length; NULL: none */
    int64_t     longest;            /* input: the lengths of the ragged dim of this name, 1 .. longest; 0: other */
    bool        found;              /* result: the lengths of the ragged dim of this name */
} CPort;

typedef enum {
    C_ENTRY,                        /* int NAME_ENTRY(io, weights, state, arena, arena_size) */
    C_TRAIN,                        /* int NAME_train_step(io, weights, opt, state, arena, arena_size) */
    C_INIT                          /* int NAME_init(weights, seed, arena, arena_size); results: parameters, by key */
} CKind;

typedef struct {
    CKind       kind;
    const char *name;               /* C_ENTRY: the entry's name */
    const char *function;           /* "entry.classify", "train", "init" */
    int         nin, nout;
    CPort      *in, *out;           /* in the order of netc_args */
    int64_t     arena;              /* bytes that the function itself needs */
    bool        random;             /* an entry that draws: its io has a seed */
    bool        state;              /* it uses the model's states: without, theirs may be NULL */
    int         nbound;             /* netc_args.bound[2] .. [nbound - 1] are .. */
    int         bound_in[MAX_BOUNDS + 1];      /* .. the longest length in this input; -1: always .. */
    int64_t     bound_size[MAX_BOUNDS + 1];    /* .. the largest */
} CFunction;

/* A tensor at a byte offset (a multiple of 64) of its block, dense, C order, f32. */
typedef struct {
    const char *key;                /* "Net.c1.w" */
    int         rank;
    int64_t     dim[MAX_RANK];
    int64_t     offset;
    double      first;              /* states and optimizer slots: the first value of every number */
    bool        in_file;            /* states: part of a weights file (not a lane's) */
} CTensor;

typedef struct {
    const char *name;
    double      value;
} CHyper;

/* The symbols of a vocab dim, by number. */
typedef struct {
    const char        *dim;
    int64_t            n;
    const char *const *symbol;
} CVocab;

typedef struct CModel {
    const char *name;               /* prefix of functions and, in upper case, of macros: [a-z][a-z0-9_]{0,47} */
    const char *source;             /* base name of the .net file, for the header's first line */
    const char *version;            /* netc's */
    Target      target;
    int64_t     batch;              /* most rows of a call */
    int         nhyper;
    CHyper     *hyper;              /* in the order of netc_args.scalars; step, epoch, batches, progress follow */
    int         nparam, nstate, nopt;
    CTensor    *param, *state, *opt;
    int64_t     weights_size, state_size, opt_size;      /* bytes, without the 64 that can be read past the end */
    int         nfunction;
    CFunction  *function;
    int         nvocab;
    CVocab     *vocab;
} CModel;

/* Are the names such that the header is C? False and a message (in a) if not. */
bool  c_model_check(Arena *a, const CModel *m, const char **why);
/* The text of NAME.h. C99 and C++. */
char *c_header(Arena *a, const CModel *m);
/* Bytes of arena that the C function asks for: those of f, and room for copies of its arguments and results. */
int64_t c_arena_size(const CModel *m, const CFunction *f);

#endif
