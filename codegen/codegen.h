/* From graphs to machine code, through the LLVM C API. The one public header of codegen/.
 *
 *   Codegen *cg = codegen_new(diag_arena, &target, level, "mnist");
 *   codegen_function(cg, kernels)            one per function of the model (train, eval, entries, init)
 *   codegen_jit(cg) / codegen_object(cg)     the same code of every function either way: the same bits
 *
 * What a function does is settled before: kernels (fused, scheduled nests with their memory plan) come
 * from passes/; this folder only emits them.
 */
#ifndef NETC_CODEGEN_CODEGEN_H
#define NETC_CODEGEN_CODEGEN_H
#include "base/target.h"
#include "ir/nest.h"

typedef struct Codegen Codegen;

/* Seconds of work in LLVM so far, summed over threads. */
typedef struct {
    double verify, passes, object, link;
} CodegenTimes;

/* `module_name`: an identifier, the prefix of symbols. ICE if LLVM cannot make code for the target. */
Codegen *codegen_new(Arena *a, const Target *t, int level, const char *module_name);
void     codegen_free(Codegen *cg);                                    /* ends what codegen_jit loaded, too */
/* Before the first function, for code that codegen_jit alone will use: the model becomes several modules, which
 * `threads` threads (the caller's is one) turn into object code, beginning while the caller still emits. How the model
 * is cut depends on its functions only, and each function's code does not depend on how it is cut. */
void     codegen_for_memory(Codegen *cg, int threads);
/* Before the work that leads to the next function: the threads may begin with what has been emitted. */
void     codegen_send(Codegen *cg);
/* After codegen_for_memory: the functions emitted from here on are needed later. codegen_jit does not wait for their
 * machine code, which the threads make in the background; codegen_join does. */
void     codegen_later(Codegen *cg);
/* After codegen_for_memory: what is emitted from here on takes longer to compile than to run, as what runs once does.
 * Its code is made in less time, and is slower. */
void     codegen_quick(Codegen *cg, bool on);
/* Emits `void MODULE.NAME(const netc_args *, uint32_t tid, uint32_t nthreads)` (runtime/netc_rt.h), a local symbol. */
void     codegen_function(Codegen *cg, const Kernels *k);
/* A constant byte array with external visibility, for the model's description. */
void     codegen_blob(Codegen *cg, const char *symbol, const void *bytes, size_t n);
/* A table { name, function } of all functions emitted so far, NULL-terminated, for the stand-alone trainer. */
void     codegen_function_table(Codegen *cg, const char *symbol);
/* The C interface of a model (codegen/c_api.h, docs/c-api.md): exported functions around those emitted so far. */
struct CModel;
void     codegen_c_interface(Codegen *cg, const struct CModel *m);

/* Outputs. false + message in *why (arena) on failure; LLVM's own errors and crashes are failures, too, and the message
 * names kernels that may have led to them. The first call ends emission: the module is verified (builds
 * with NETC_CHECKS) and its object code made once, which memory and file share. Files are written whole or not; after
 * codegen_for_memory there are none. */
bool     codegen_jit(Codegen *cg, const char **why);
/* After codegen_jit: makes the functions of codegen_later callable, and ends the threads. */
bool     codegen_join(Codegen *cg, const char **why);
/* After codegen_jit: a function under its description name ("train"), an exported symbol; NULL if there is none, or
 * none before codegen_join. */
void    *codegen_function_address(Codegen *cg, const char *name);
void    *codegen_symbol(Codegen *cg, const char *symbol);
bool     codegen_object(Codegen *cg, const char *path, const char **why);
bool     codegen_asm(Codegen *cg, const char *path, const char **why);
bool     codegen_broken(const Codegen *cg);         /* after a failure: was it LLVM that failed, not a file? */
char    *codegen_llvm_text(Codegen *cg, Arena *a);                      /* the module's IR, after its passes */
CodegenTimes codegen_times(const Codegen *cg);
/* --time-report: a line per kernel (emission, size, or the kernel whose code it shares), then LLVM's times. */
void     codegen_time_report(const Codegen *cg, FILE *out);
int      codegen_modules(const Codegen *cg);                            /* how many the model became */

const char *codegen_llvm_version(void);                                 /* "19.1.7" */

#endif
