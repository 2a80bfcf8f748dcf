/* From a .net file to compiled functions: the one pipeline behind train, run, compile, check ...
 *
 *   build_load      file -> checked Program
 *   build_function  lower, differentiate, optimize, fuse, schedule, emit: one function of the model
 *   build_describe  the description that the runtime reads (runtime/netc_rt.h)
 *   build_jit       machine code in memory and a netc_model over it
 */
#ifndef NETC_DRIVER_BUILD_H
#define NETC_DRIVER_BUILD_H
#include "base/target.h"
#include "codegen/codegen.h"
#include "driver/opts.h"
#include "frontend/frontend.h"
#include "passes/kernels.h"
#include "passes/pass.h"
#include "runtime/netc_rt.h"
#include "runtime/vocab.h"

/* A tensor of a block (weights, states, optimizer slots), at a 64-byte aligned byte offset. */
typedef struct {
    const char *key;
    Type        type;
    int64_t     offset;
    double      init;
    StateKind   kind;              /* states and optimizer slots */
    const ParamInfo *param;        /* parameters */
} Slot;

typedef struct {
    VEC(Slot) slots;
    int64_t   size;                /* bytes */
} Block;

/* The symbols of a vocab dim, as they were found when the program was loaded. */
typedef struct {
    const char *dim;
    netc_vocab  symbols;
} Symbols;

typedef struct {
    const char     *name;          /* "train", "entry.classify", "expand.0" */
    const FuncInfo *info;          /* ports; NULL for init and expand */
    Graph          *graph;         /* NULL: another function has it */
    Kernels        *kernels;
} Function;

typedef struct {
    Arena         *arena;
    Diag          *diag;
    const Options *options;
    Override      *setting;        /* name=value of the command line, and those of `build_load_with` */
    int            nsetting;
    const char    *path, *stem;    /* the .net file; its name as an identifier */
    Program       *program;
    const ModelInfo *model;
    int64_t        batch;
    uint64_t       hash;           /* of the training graph, before passes; 0 until it is built */
    int            level;          /* -O */
    int            beams;          /* --beam; 0: not given */
    int            searched;       /* entries that it has changed */
    Target         target;
    Block          weights, state, opt;
    VEC(Function)  functions;
    VEC(Symbols)   vocabs;
    Codegen       *cg;
    ForcedSchedules forced;        /* --schedule */
    bool           said_memory, said_stash;      /* what --max-memory and --print-stash tell is told once */
    double         t_start, t_front, t_lower, t_passes, t_emit, t_code;   /* seconds, for --time-report */
} Build;

/* Loads and checks operand 0. Returns an exit code, 0 = fine (messages are printed). */
int build_load(Build *b, Arena *a, const Options *o);
/* The same with further settings, n of them ("K=5"). */
int build_load_with(Build *b, Arena *a, const Options *o, int n, const char *const *more);
/* Chooses the target and lays out the blocks; call once before build_function. An exit code. */
int build_start(Build *b);
/* A function as a user names it, an entry by its own name: as the others here name it. NULL after a message if there is
 * none. */
const char *build_function_name(const Build *b, const char *name);
/* Lowers one function: "train", "eval", "grad", "init", "entry.NAME", "expand.K". NULL after an error
 * in b->diag, or if the model has no such function. */
Graph *build_graph(Build *b, const char *name, Arena *a);
/* The pass options that the command line asks for. */
PassOptions build_pass_options(const Build *b);
/* build_graph, passes, kernels: all but machine code. An exit code. */
int build_kernels(Build *b, const char *name);
/* After the last function: does every --schedule name a kernel? An exit code. */
int build_schedules(const Build *b);
/* build_kernels and emission. An exit code. */
int build_function(Build *b, const char *name);
/* Every expand of the data block. An exit code. */
int build_expands(Build *b);
/* vocab.c: FrontOptions.vocab, cx being the Build: symbols from the weights that the command reads, else from
 * the file. */
bool build_vocab(void *cx, const DimInfo *d, int64_t *size, const char **why);
const netc_vocab *build_symbols(const Build *b, const char *dim);    /* NULL: not known */
uint64_t build_hash(const Graph *g);
/* The ragged dim of a bound: a dim called n has the bound n_, since the rows are called n. */
const char *build_bound_dim(const Graph *g, int bound);
/* The ragged dim of axis i of an argument or result whose axes begin at `skip`; NULL: none. */
const char *build_ragged_axis(const Function *f, const Type *t, const PortInfo *info, int i, int skip);
/* Is it a ragged dim whose lengths are results? */
bool build_finds(const FuncInfo *f, const char *dim);
/* The description of everything built so far. */
char *build_describe(Build *b, size_t *size);
/* The functions that follow are not needed at once: build_jit's model gets their machine code, which is made in the
 * background, when it first calls one. All messages about them come before build_jit returns. */
void build_later(Build *b);
/* Machine code in memory; NULL after a message. */
netc_model *build_jit(Build *b);
/* Waits for the functions of build_later. 0, or the exit code after a message. */
int build_join(Build *b);
/* The names of passes and fusions in the options; false after a message about one that does not exist. */
bool build_names_known(const Build *b);
/* The message about code that LLVM failed to make, and its exit code. */
int build_broken(const char *why);
/* --time-report: the times of all stages; waits for the functions of build_later, and gives what build_join gives. */
int build_time_report(Build *b, FILE *out);
/* Prints the messages of b->diag; the exit code they stand for: 0, 1, or 8 if only limits were hit. */
int build_messages(const Build *b);
void build_free(Build *b);

#endif
