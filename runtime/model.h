/* The description (netc_rt.h) as structs, and the weights, states and optimizer slots of a model:
 * their blocks in memory and their files.
 */
#ifndef NETC_RUNTIME_MODEL_H
#define NETC_RUNTIME_MODEL_H
#include "runtime/json.h"
#include "runtime/tensor_file.h"
#include "runtime/vocab.h"

/* An argument or result of a function, or a field of the data. Shapes are without the row axis. */
typedef struct {
    const char *name;
    netc_dtype  dtype;          /* NETC_F32, NETC_I32, NETC_U8; NETC_BOOL ("pred", a byte 0 or 1) of results */
    int         rank;
    int64_t     shape[NETC_MAX_RANK];
    int64_t     count;          /* elements of one row */
    size_t      row_bytes;
    bool        rows;           /* false: one value per call (outputs) */
    bool        ragged;         /* an axis is of a ragged dim: */
    const char *axis[NETC_MAX_RANK];     /* of the shape: the ragged dim, or NULL */
    bool        lengths;        /* the lengths of the ragged dim of its name: given (in) or found (out) */
    const char *dim;            /* element of this dim, or NULL: a number */
    int64_t     size;           /* of that dim; 0 without */
} netc_port;

/* A parameter, state or optimizer slot: floats at `offset` bytes of its block, dense, C order. */
typedef struct {
    const char *key;
    int         rank;
    int64_t     shape[NETC_MAX_RANK];
    int64_t     count;          /* elements; of a lane state: batch * the shape's product */
    uint64_t    offset;
    bool        lane;           /* a state with one row per batch row: not part of the weights file */
    bool        orthogonal;     /* params: the init function gives normal numbers, the runtime orthogonalizes */
    const char *init;           /* params: "he"... */
    float       first;          /* states, opt: first value */
} netc_slot;

typedef struct {
    const char    *name;
    netc_function *fn;
    uint64_t       arena;       /* bytes of scratch */
    netc_port     *in, *out;
    int            nin, nout;
    int            nbound;      /* bounds of a call: 1 = rows, .. nbound - 1 */
    const char    *bound[NETC_BOUNDS];   /* their names */
    int            bound_in[NETC_BOUNDS]; /* the input with the lengths whose longest it is; -1: always the largest */
    int64_t        bound_size[NETC_BOUNDS];
} netc_func;

typedef struct {
    const char *name;
    int64_t     size;           /* ragged: the maximum */
    bool        ragged;
    const netc_json *vocab;     /* {"file","by","col","min","eos","symbols":[plain ones]?} or NULL */
    netc_vocab  table;          /* its symbols; count 0: not a vocab, or one whose symbols are not known */
} netc_dim;

typedef struct {
    const char *name;
    float       value;          /* the description's; the caller may change it */
    double     *grid;
    int         ngrid;
} netc_hyper;

typedef struct {
    bool        present;
    int64_t     seed, batch, epochs, patience;
    const char *keep;           /* metric or "loss"; NULL: the last weights */
    int         keep_sign;      /* 1: larger is better */
    const char **sweep;
    int         nsweep;
    int64_t     ensemble;       /* 1: off */
    const char *bucket;         /* a ragged dim: batches of like lengths; NULL: off */
    int64_t     every;          /* steps between two samples, 0: off */
    const char *sample;         /* the entry that is called then .. */
    const char **sample_arg;    /* .. with these NAME=VALUE */
    int         nsample_arg;
} netc_train_plan;

/* A metric that is not a plain mean: arithmetic on quotients of sums, in the order of a stack machine. */
typedef struct {
    const char *name;
    const netc_json *formula;   /* [[0], "exp"]: ratios by their numbers, numbers, operators */
} netc_formula;

struct netc_model {
    netc_json_doc *doc;         /* owns all the texts */
    const char  *version, *name, *model, *hash, *target;
    const char **cpu;
    int          ncpu;
    int64_t      batch;
    int64_t      beam;             /* sequences that entries with `until` keep; 0: no beam search */
    double       step_flops;
    netc_dim    *dim;    int ndim;
    netc_hyper  *hyper;  int nhyper;
    netc_slot   *param;  int nparam;
    netc_slot   *state;  int nstate;
    netc_slot   *opt;    int nopt;
    netc_func   *func;   int nfunc;
    uint64_t     weights_size, state_size, opt_size;    /* bytes of the blocks */
    netc_port   *field;  int nfield;                    /* of the data block */
    const char  *data_name;                             /* NULL: no data block */
    const netc_json *splits;                            /* {"train": E, ...} */
    netc_formula *formula; int nformula;
    netc_train_plan train;
    netc_code   *code; void *code_cx;                   /* of functions whose fn is NULL so far */
};

/* netc_model_new, netc_model_free: netc_rt.h. netc_model_new checks the description wholly: offsets
 * inside their blocks, products, that each function is in the table. */
netc_func  *netc_model_func(const netc_model *m, const char *name);      /* NULL if absent */
/* The code of a function, waiting for it if it is still being made (netc_model_later); NULL after a message if it
 * cannot be made. */
netc_function *netc_model_code(netc_model *m, const char *name);
netc_hyper *netc_model_hyper(const netc_model *m, const char *name);
/* The symbols of a dim; NULL: it has none that are known. */
const netc_vocab *netc_model_vocab(const netc_model *m, const char *dim);
netc_dim   *netc_model_dim(const netc_model *m, const char *name);
int64_t     netc_model_param_count(const netc_model *m);                 /* numbers in all parameters */
/* 0, or exit code 8 naming the first feature that this CPU lacks. */
int         netc_model_check_cpu(const netc_model *m);

/* The three blocks of one set of weights. */
typedef struct {
    float *weights, *opt, *state;
} netc_blocks;
int  netc_blocks_new(const netc_model *m, netc_blocks *b);               /* zero; states, opt: first values */
void netc_blocks_free(const netc_model *m, netc_blocks *b);
void netc_blocks_copy(const netc_model *m, netc_blocks *to, const netc_blocks *from);
void netc_blocks_reset(const netc_model *m, netc_blocks *b);             /* states and opt to first values */

/* Weights files: parameters and shared states under their keys, safetensors or .npz.
 * Adds tensors that point into the blocks, and the metadata of netc (kind: "weights" | "checkpoint"). */
void netc_weights_collect(const netc_model *m, const float *weights, const float *state, const char *kind,
                          netc_tensors *s);
int  netc_weights_save(const netc_model *m, const char *path, const float *weights, const float *state);
/* The optimizer's slots (their keys begin with "opt.") and lane states ("lane." + key). */
void netc_opt_collect(const netc_model *m, const float *opt, const float *state, netc_tensors *s);
/* Every parameter and shared state must be there with its shape. Tensors of a checkpoint that are not
 * weights are passed over; anything else that the model lacks is an error. Exit code 4 with the key and
 * both shapes; values that are not finite: a warning. Until success nothing is changed. */
int  netc_weights_load(const netc_model *m, const char *path, float *weights, float *state);
/* The same from tensors already read (a checkpoint). `path` for messages. */
int  netc_weights_assign(const netc_model *m, const char *path, const netc_tensors *s, float *weights, float *state);
int  netc_opt_assign(const netc_model *m, const char *path, const netc_tensors *s, float *opt, float *state);
/* The symbols of a dim that a weights file was trained with; count 0: it does not say. */
int  netc_weights_vocab(const char *path, const char *dim, netc_vocab *v);
/* Overwrites an orthogonal parameter's normal numbers by an orthogonal matrix: Gram-Schmidt on the
 * smaller side of [shape[0], rest], rows or columns of length 1. */
void netc_orthogonalize(float *w, int64_t rows, int64_t cols);

#endif
