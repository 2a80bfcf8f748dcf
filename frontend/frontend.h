/* From a .net file to graphs. The one public header of frontend/ (with ast.h).
 *
 *   Program *p = program_load(arena, diag, "mnist.net", &options);     parse, std library, `use`d files
 *   program_check(p)                                                   names, dims, types of everything
 *   Graph *g = program_objective(p, model, true, batch, graph_arena)   one example's maths, batched
 *
 * Checking and lowering are one walk (eval.c): over types alone it checks, with a graph it also builds.
 * Mistakes go to `diag`; functions return NULL or false after one.
 */
#ifndef NETC_FRONTEND_FRONTEND_H
#define NETC_FRONTEND_FRONTEND_H
#include "base/str.h"
#include "frontend/ast.h"
#include "ir/ir.h"

typedef struct Program Program;

/* name=value from the command line, for a dim, a hyper or a train key ("train.batch"). */
typedef struct {
    const char *name, *value;
    bool        used;              /* set by program_load / program_check */
} Override;

typedef struct {
    const char *name;
    int64_t     size;              /* ragged: the maximum */
    bool        ragged, vocab;
    bool        bytes;             /* the bytes of a text(..): the symbols are the 256 bytes */
    const char *vocab_file, *vocab_by;   /* vocab only */
    int         vocab_col;
    int64_t     vocab_min;
    bool        vocab_eos;
    const double *grid;            /* dim K = 5 in [3, 5, 7] */
    int         ngrid;
} DimInfo;

typedef struct {
    Override *override;
    int       noverride;
    bool      keep_unknown;        /* an override of nothing in the program is no error: the caller looks at `used` */
    const char *data_dir;          /* where file names of the .net are looked up; NULL: beside the file */
    /* Number of symbols of the vocab dim `d` (all but its size is set). Returns false (with a message in *why)
     * if it cannot be known. NULL: vocab sizes must be overridden. The symbols themselves are the runtime's
     * business. */
    bool (*vocab)(void *cx, const DimInfo *d, int64_t *size, const char **why);
    void *cx;
} FrontOptions;

Program *program_load(Arena *a, Diag *d, const char *path, const FrontOptions *o);
/* The same from text in memory (tests): `name` is shown in messages. */
Program *program_load_text(Arena *a, Diag *d, const char *name, const char *text, const FrontOptions *o);
bool     program_check(Program *p);                  /* the whole file: models, entries, data, train */

/* ---- what a checked program has ---------------------------------------------------------------- */

typedef struct {
    const char   *name;
    double        value;
    const double *grid;
    int           ngrid;
} HyperInfo;

/* How a parameter begins. `name`: zeros constant uniform normal glorot he orthogonal. */
typedef struct {
    const char *name;
    double      arg;               /* constant: the value; uniform, normal: the scale */
} InitInfo;

typedef struct {
    const char *key;               /* "Net.c1.w" */
    const char *layer;             /* owner: "Net.c1", and the layer's declared name in `decl` */
    const char *decl;              /* "Conv" */
    Type        type;
    InitInfo    init;
    Loc         loc;
} ParamInfo;

/* A named argument of an objective or entry, or a result. `dim`: name of the dim it is an element of
 * (label: Digit), or NULL for numbers. type has no batch axis; dtype f32, i32 (elements, i32), u8. */
typedef struct {
    const char *name;
    Type        type;
    const char *dim;
    int64_t     dim_size;
    const char *axis[MAX_RANK];    /* name of each axis's dim, or NULL */
    bool        ragged[MAX_RANK];
    bool        has_default;
    double      value;             /* default */
} PortInfo;

typedef struct {
    const char *name;              /* "objective" or the entry's name */
    PortInfo   *in, *out;
    int         nin, nout;
    const char **metric;           /* objective */
    const char **formula;          /* of each: NULL, a mean over the examples, or what ratio.c makes of it */
    int         nmetric;
    bool        recurrent;         /* uses a scan or a ragged dim .. */
    Loc         sequence;          /* .. first here */
    const char **length;           /* ragged dims: the graph has for each an input of its name, i32 [n], the .. */
    int         nlength;           /* .. lengths, and a bound of its name, the longest of them */
    const char **found;            /* ragged dims whose lengths are results: by 'until'; derived ones, T-1 */
    int         nfound;
    bool        wrong;             /* its text has a mistake, which was reported: in and out are not known */
} FuncInfo;

typedef struct {
    const char *name;
    ParamInfo  *param;
    int         nparam;
    FuncInfo    objective;         /* name NULL: none */
    FuncInfo   *entry;
    int         nentry;
} ModelInfo;

typedef struct { const char *key; int sign; } KeepInfo;     /* best(accuracy): sign 1; best(-loss): -1 */

typedef struct {
    Loc          loc;
    const char  *model, *data;
    int64_t      seed, batch, epochs;      /* defaults 1, 32, 10 */
    KeepInfo     keep;                     /* key NULL: the last weights */
    int64_t      patience;                 /* 0: off */
    const char **sweep;                    /* names of hypers and dims */
    int          nsweep;
    int64_t      ensemble;                 /* members, 1 = off */
    bool         has_optimizer, clip_by_norm;
    const char  *bucket;                   /* a ragged dim, or NULL */
    int64_t      every;                    /* steps from one sample to the next; 0: none */
    const char  *sample;                   /* the entry, and its arguments as NAME=VALUE */
    const char **sample_arg;
    int          nsample_arg;
} TrainInfo;

const DimInfo   *program_dims(const Program *p, int *n);
const HyperInfo *program_hypers(const Program *p, int *n);
const ModelInfo *program_model(const Program *p);       /* the trained model, else the last one; NULL: none */
const TrainInfo *program_train(const Program *p);       /* NULL: no train block */
int64_t          program_batch(const Program *p);       /* examples a step, with a train block or without one */
/* The data block as JSON (runtime/netc_rt.h says its form), appended to b; false if there is none. */
bool             program_data_json(const Program *p, Buf *b);

/* ---- lowering ---------------------------------------------------------------------------------- */

/* The objective for `batch` rows. Outputs (OUT_VALUE): "loss" (rank 0: mean over the rows), and
 * "metric.NAME" (rank 0: sum over the rows), next values of states (OUT_STATE).
 * training: the constant of that name. Bound 1 is the number of rows. */
Graph *program_objective(Program *p, bool training, int64_t batch, Arena *graph_arena);
/* Entry number i; outputs are named by the result: its name if `return y` names it, else "0", "1".. */
Graph *program_entry(Program *p, int i, int64_t batch, Arena *graph_arena);
/* After differentiation: adds l2, clip and the optimizer to a training graph that has outputs
 * "grad.KEY" for every parameter. Appends OUT_PARAM and OUT_STATE outputs, drops the grad outputs. */
bool   program_optimize(Program *p, Graph *g);
/* First values of all parameters, outputs named by key ("orthogonal" ones: normal numbers, which the
 * runtime makes orthogonal). */
Graph *program_init(Program *p, Arena *graph_arena);
/* The k-th expand of the data block as a function of one field and its integer arguments (i32, one row
 * per example); NULL when k is past the last. Inputs: the field under its name, then "arg.NAME" for each
 * further parameter of the function, in order. Output "0". */
Graph *program_expand(Program *p, int k, int64_t batch, Arena *graph_arena);

/* Any expression's type walk as text, for `netc check --print-types` and tests. */
void   program_print(const Program *p, FILE *out);

#endif
