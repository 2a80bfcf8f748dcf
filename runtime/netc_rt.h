/* The runtime: everything that trains and runs a compiled model, in C11, without LLVM.
 *
 * `netc train` (code from the JIT) and a stand-alone trainer (the same code from an object file) call
 * the same functions here with the same two things: a table of functions and a description (JSON).
 * The runtime includes nothing of netc's other folders. Its exported symbols begin with netc_.
 */
#ifndef NETC_RUNTIME_NETC_RT_H
#define NETC_RUNTIME_NETC_RT_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exit codes of netc and of every trainer. */
enum {
    NETC_EXIT_OK = 0, NETC_EXIT_MODEL = 1, NETC_EXIT_USAGE = 2, NETC_EXIT_IO = 3, NETC_EXIT_DATA = 4,
    NETC_EXIT_NUMERIC = 5, NETC_EXIT_SAVE = 6, NETC_EXIT_COMPARE = 7, NETC_EXIT_LIMIT = 8,
    NETC_EXIT_INTERNAL = 70, NETC_EXIT_INT = 130, NETC_EXIT_TERM = 143
};

/* ---- generated code ------------------------------------------------------------------------------ */

enum { NETC_BOUNDS = 8 };

/* The arguments of a compiled function. The layout is known to codegen/ (abi_* there). */
typedef struct netc_args {
    const void *const *in;      /* data inputs in the description's order: dense, C order, row axis first,
                                   `batch` rows of room, ragged axes at their maximum, 64 bytes readable past the end */
    void *const *out;           /* outputs in the description's order, same rules */
    float       *weights;       /* the parameter block */
    float       *opt;           /* the optimizer's block */
    float       *state;         /* shared and lane states */
    char        *arena;         /* scratch, 64-byte aligned, `arena` bytes of the description */
    const float *scalars;       /* the description's scalars: hypers, then step, epoch, batches, progress */
    uint64_t     seed, step;    /* keys of the random numbers */
    int64_t      bound[NETC_BOUNDS];     /* run-time bounds of the function, in the order of its "bounds": [1] rows
                                   of this call, 1 .. batch; [k] the longest length of ragged dim k, 1 .. its maximum */
    void       (*barrier)(void *pool);   /* NULL with one thread */
    void        *pool;
} netc_args;

/* Runs on every thread of the pool at once; the split of the work depends on shapes only. */
typedef void netc_function(const netc_args *args, uint32_t tid, uint32_t nthreads);

/* NULL-terminated table that the object file of a trainer exports as netc_model_functions. */
typedef struct {
    const char    *name;        /* "train", "eval", "init", "entry.classify", "expand.0", "grad" */
    netc_function *fn;
} netc_function_entry;

/* ---- the description ------------------------------------------------------------------------------
 * JSON, made by driver/describe.c, exported by a trainer's object as netc_model_description:
 * { "netc": "0.1.0", "name": "mnist", "model": "Net", "hash": "16 hex digits", "target": "x86-64 avx512f,fma",
 *   "cpu": ["avx512f","fma"],                         features that the code needs (checked at start, exit 8)
 *   "batch": 10, "beam": 4,                           0 or left out: no beam search in the entries
 *   "dims":    [{"name":"Digit","size":10}, {"name":"T","size":25,"ragged":true},
 *               {"name":"Char","size":67,"vocab":{"file":"t.txt","by":"char","col":0,"min":1,"eos":false,
 *                "symbols":[plain ones, if they were known]}},
 *               {"name":"Byte","size":256,"bytes":true}],                 its symbols are the bytes of a text
 *   "hypers":  [{"name":"eta","value":0.03,"grid":[0.01,0.03]}],
 *   "scalars": ["hyper.eta","step","epoch","batches","progress"],   order of netc_args.scalars; step counts
 *              from 0 over the whole training, batches = steps per epoch, progress = step / (epochs * batches)
 *   "params":  [{"key":"Net.c1.w","shape":[20,1,5,5],"offset":BYTES,"init":"he","orthogonal":false}],
 *   "states":  [{"key":"Net.bn.mu","shape":[16],"offset":BYTES,"lane":false,"init":0}],
 *   "opt":     [{"key":"opt.v.Net.c1.w","shape":[...],"offset":BYTES,"init":0}],
 *   "weights_size":BYTES, "state_size":BYTES, "opt_size":BYTES,
 *   "functions":[{"name":"train","arena":BYTES,"bounds":["n","T"],
 *                 "in": [{"name":"img","dtype":"f32","shape":[1,28,28]},
 *                        {"name":"label","dtype":"i32","shape":[],"dim":"Digit","size":10},
 *                        {"name":"word","dtype":"i32","shape":[20],"axes":["T"],"dim":"Letter","size":27},
 *                        {"name":"T","dtype":"i32","shape":[],"lengths":true}],
 *                 "out":[{"name":"loss","dtype":"f32","shape":[],"rows":false}, ...]}],
 *                 shapes are without the row axis; "rows":false = one value per call; "axes": the ragged dim of each
 *                 axis or null, left out if there is none; "lengths": the lengths of the dim of that name, one per
 *                 row: given (in) or found (out; of a formula of dims as well, "T-1"). bounds: what
 *                 netc_args.bound holds, from [1] on; the first is the rows
 *                 "step_flops": N (forward multiply-adds x 2)
 *   "data":    {"name":"Mnist","fields":[{"name":"img","dtype":"f32","shape":[1,28,28]},
 *                                        {"name":"label","dtype":"i32","shape":[],"dim":"Digit","size":10}],
 *               "splits":{"train":E,"valid":E,"test":E}}
 *      E = {"op":"source","kind":"idx|csv|tsv|npy|npz|safetensors|text|images","files":["..."],"args":{..},"line":N}
 *        | {"op":"slice","of":E,"lo":0,"hi":50000,"fraction":false}
 *        | {"op":"split","of":E,"parts":[0.8,0.1,0.1],"part":0} | {"op":"shuffle","of":E,"seed":1}
 *        | {"op":"expand","of":E,"function":"expand.0","field":"img","variants":[[0,0],[1,0]]}
 *        | {"op":"stream","of":E,"x":"x","y":"y"}
 *   "metrics": [{"name":"ppl","formula":[[0],"exp"]}],   those that are no means: score.h
 *   "train":   {"seed":1,"batch":10,"epochs":40,"keep":{"key":"accuracy","sign":1},"patience":10,
 *               "sweep":["eta"],"ensemble":5,"bucket":"T",
 *               "every":{"steps":1000,"entry":"sample","args":["first=T","N=200"]}}
 * } */

/* Loading, training, answering: trainer.h, data.h, tensor files: see the headers beside this one. */

/* The stand-alone trainer's main and `netc train|eval|run ...` share these:
 * argv[0] = program name as shown in messages; argv[1..] as docs/trainer.md says. Return an exit code. */
typedef struct netc_model netc_model;
/* NULL on a broken description or a missing function (a message on stderr). Keeps the pointers. A function of the table
 * may be NULL if netc_model_later follows. */
netc_model *netc_model_new(const char *description, size_t size, const netc_function_entry *functions);
/* The first call of a function that is NULL in the table asks `code` for it: its machine code is still being made.
 * NULL after a message if it could not be made. */
typedef netc_function *netc_code(void *cx, const char *name);
void        netc_model_later(netc_model *m, netc_code *code, void *cx);
void        netc_model_free(netc_model *m);
int netc_cmd_train(netc_model *m, int argc, char **argv);
int netc_cmd_sweep(netc_model *m, int argc, char **argv);    /* every combination of the grid */
/* A sweep over dims as well: n compiled models, each with the sizes it stands for ("K=5 H=100"). */
int netc_sweep_models(int n, netc_model *const *m, const char *const *dims, int argc, char **argv);
int netc_cmd_eval(netc_model *m, int argc, char **argv);
int netc_cmd_run(netc_model *m, int argc, char **argv);      /* ENTRY --weights W --in x=f.npy --out y.npy */
int netc_cmd_init(netc_model *m, int argc, char **argv);     /* -o W --seed N */
int netc_cmd_grad(netc_model *m, int argc, char **argv);     /* --weights W --in a=x.npy --out G [--seed N] */
int netc_cmd_filters(netc_model *m, int argc, char **argv);  /* --weights W --layer Net.c1 -o f.png */
int netc_trainer_main(int argc, char **argv, const char *description, size_t size,
                      const netc_function_entry *functions);

#ifdef __cplusplus
}
#endif
#endif
