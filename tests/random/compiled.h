/* A graph as machine code, and its runs on memory that hides nothing: every block ends (or begins) at a page that
 * cannot be touched, what a run must not read is painted, what it must not write is read-only or checked. */
#ifndef NETC_TESTS_COMPILED_H
#define NETC_TESTS_COMPILED_H
#include "base/target.h"
#include "codegen/codegen.h"
#include "ir/nest.h"
#include "runtime/netc_rt.h"

typedef struct {
    TargetId    target;
    int         level;          /* -O */
    const char *off;            /* fusions, passes/kernels.h */
} CompileHow;

typedef struct CompiledLeaves CompiledLeaves;

typedef struct {
    Arena          *a;
    Graph          *g;          /* as kernels_build left it: outs are those of the graph that was given */
    Kernels        *k;
    Codegen        *cg;
    CompiledLeaves *leaves;
    netc_function  *fn;
} Compiled;

/* g is used up. NULL and a text in *why if the memory plan does not hold or the code cannot be loaded. */
Compiled *compiled_new(Arena *a, Graph *g, const CompileHow *how, const char **why);
/* The function of the same module's object file, linked by cc and loaded; NULL and *why on failure. */
netc_function *compiled_from_object(Compiled *c, const char *folder, const char **why);
void      compiled_free(Compiled *c);

typedef struct {
    const InterpEnv *env;       /* leaves, seed, step, rows (bound[1]) */
    uint32_t         threads;   /* 1 .. 8 */
    uint32_t         paint;     /* what the arena and the outputs' rows beyond the bound hold before */
    bool             low;       /* blocks begin behind a page that cannot be touched, else they end before one */
} RunHow;

/* What each output of the graph holds after a run: type_count elements of its type. NULL and *why (in a) if memory
 * was written that must not be. Blocks stay mapped as long as the process. */
char **compiled_run(Compiled *c, const RunHow *how, const char **why);

/* Is element e of a value of type t below the bounds of a run? */
bool compiled_lives(const InterpEnv *env, const Type *t, int64_t e);
/* Element i of such an output. */
double compiled_number(DType t, const char *bytes, int64_t i);

#endif
