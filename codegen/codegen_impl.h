/* Inside codegen/: the state of one module and what its files call across.
 *
 *   l.h            thin wrappers of the LLVM C API: l_load, l_gep, l_loop ...
 *   emit_nest*.c   nests (codegen_function); reads, indices, bounds
 *   nest_key.c     which nests have the same code
 *   emit_scalar.c  one emit_ID per row of scalars.def
 *   emit_math.c    exp, log, tanh, sin, cos, pow
 *   emit_rng.c     Philox
 *   codegen.c      modules, functions, tables    jit.c, object.c  the object code's uses
 *   pieces.c       from modules to object code, on several threads
 *   rescue.c       where LLVM would end the process
 *   c_api.c        the C interface (c_header.c its header)
 *
 * Numbers in registers: f32 float, i32 i32, u8 i8, pred i1; one of them or a vector <n x ...>, n = any
 * power of two. In memory a pred is a byte, 0 or 1.
 */
#ifndef NETC_CODEGEN_CODEGEN_IMPL_H
#define NETC_CODEGEN_CODEGEN_IMPL_H
#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>

#include "base/str.h"
#include "base/vec.h"
#include "codegen/codegen.h"

/* A function of the model: `name` as the description says ("train", "entry.classify"). */
typedef struct {
    const char  *name, *symbol;
    LLVMValueRef fn;                    /* in the open module; NULL: not declared there yet (codegen_callee) */
} Emitted;

/* A module of LLVM in a context of its own, so that one thread can turn it into object code while another thread
 * emits the next. Code for files is one piece; code for memory is cut between nests (codegen_cut). */
typedef struct Piece Piece;
struct Piece {
    Piece              *next;
    LLVMContextRef      cx;
    LLVMModuleRef       module;
    bool                later;          /* codegen_later: the caller of codegen_jit does not wait for it */
    bool                quick;          /* codegen_quick */
    int                 instructions;   /* once it is with the crew */
    bool                sealed;         /* verified, passes run: nothing can be emitted any more */
    LLVMMemoryBufferRef object;         /* its object code; NULL before */
    char               *error;          /* why there is none (LLVMDisposeMessage) */
    bool                lost;           /* LLVM left it halfway */
    CodegenTimes        times;
};

/* A nest's function, which serves all nests that are equal up to addresses: see nest_key.c. */
typedef struct {
    uint64_t       hash;
    const int64_t *key;
    int            n;
    const char    *symbol;
} SharedNest;

/* For --time-report. */
typedef struct {
    const char *nest, *same;    /* same: the nest whose code it shares, or NULL */
    double      emit;           /* seconds */
    int         instructions;   /* of LLVM, before its passes */
} NestTime;

typedef struct Crew Crew;               /* pieces.c: the threads, and the pieces that wait for them */

struct Codegen {
    Arena *arena;
    Target target;
    int    level;                       /* -O */
    const char *name;                   /* of the module: prefix of symbols */

    VEC(Piece *)         pieces;        /* the last one is open */
    Crew                *crew;          /* NULL: code for files */
    LLVMContextRef       cx;            /* of the open piece */
    LLVMModuleRef        module;
    LLVMBuilderRef       b;             /* where the next instruction goes */
    LLVMTargetMachineRef machine;
    LLVMTypeRef          f32, f64, i64, i32, i16, i8, i1, ptr, none;
    LLVMTypeRef          args;          /* struct netc_args */
    LLVMValueRef         fn;            /* the function being emitted; its parameters: args, tid, nthreads */

    VEC(Emitted)        functions;
    VEC(SharedNest)     nests;
    VEC(NestTime)       times;
    bool                later, quick;   /* what is emitted now: Piece.later, Piece.quick */
    const char         *table[2];       /* symbols of the function tables, by Piece.later; NULL: none */
    int                 tabled;         /* functions that are in one */
    bool                finished;       /* every piece has its object code, but those for later: */
    bool                joined;         /* they have it, too, and are loaded */
    LLVMOrcLLJITRef     jit;            /* NULL before codegen_jit */
    double              link;           /* seconds */
};

/* ---- codegen.c ------------------------------------------------------------------------------- */

/* Fields of netc_args (runtime/netc_rt.h), in its order. */
typedef enum {
    ABI_IN, ABI_OUT, ABI_WEIGHTS, ABI_OPT, ABI_STATE, ABI_ARENA, ABI_SCALARS, ABI_SEED, ABI_STEP, ABI_BOUND,
    ABI_BARRIER, ABI_POOL
} AbiField;

/* Starts `void MODULE.NAME(const netc_args *, i32 tid, i32 nthreads)`, internal linkage, with the target's attributes,
 * and records it under `name` (kept by pointer) for the function table; cg->fn is it, cg->b stands at the end of its
 * first block. */
void codegen_begin(Codegen *cg, const char *name);
/* Adds `ret void`. */
void codegen_end(Codegen *cg);
/* A helper function of the module, internal linkage, same attributes; the builder does not move. */
LLVMValueRef codegen_helper(Codegen *cg, const char *name, LLVMTypeRef type);
/* One that is emitted while another function is open; after codegen_helper_end the builder goes on at `before`. */
typedef struct {
    LLVMValueRef      fn;
    LLVMBasicBlockRef at;
} Where;
LLVMValueRef codegen_helper_begin(Codegen *cg, const char *name, LLVMTypeRef result, LLVMTypeRef *params, unsigned n,
                                  Where *before);
void         codegen_helper_end(Codegen *cg, Where before);
/* The same for one that other pieces call, too: by its name, which no other function of the model may have. */
LLVMValueRef codegen_shared(Codegen *cg, const char *name, LLVMTypeRef type);
/* A function made by codegen_shared, whichever piece it is in, as the open module knows it. */
LLVMValueRef codegen_callee(Codegen *cg, const char *name, LLVMTypeRef type);
/* A function of the model by its description name, or NULL. */
LLVMValueRef codegen_model_function(Codegen *cg, const char *name);
int  codegen_instructions(LLVMValueRef fn);
/* Between two functions: a piece of so many instructions goes to the threads, and a new one is opened. No value of
 * LLVM outlives it. A piece costs about as much as PIECE_INSTRUCTIONS do. */
enum { PIECE_INSTRUCTIONS = 1000 };
void codegen_cut(Codegen *cg, int instructions);
/* Before a function, and its types: the open piece becomes one for what is emitted now (codegen_quick). */
void codegen_fit(Codegen *cg);
/* The attributes of every function: target features, nounwind, no-builtins, vector width. */
void codegen_attributes(Codegen *cg, LLVMValueRef fn);

/* The parameters of the function being emitted. */
LLVMValueRef abi_args(Codegen *cg), abi_tid(Codegen *cg), abi_nthreads(Codegen *cg);
/* A field of args but ABI_BOUND: ptr or i64. */
LLVMValueRef abi_load(Codegen *cg, AbiField f);
/* args->in[i], args->out[i] (ptr), args->scalars[i] (float). */
LLVMValueRef abi_in(Codegen *cg, int i), abi_out(Codegen *cg, int i), abi_scalar(Codegen *cg, int i);
/* args->bound[i] (i64) */
LLVMValueRef abi_bound(Codegen *cg, int i);
/* if (args->barrier) args->barrier(args->pool), in a helper: LLVM's work grows with the blocks of a function. */
void abi_barrier(Codegen *cg);

LLVMTypeRef codegen_type(Codegen *cg, DType d);             /* in registers: float, i32, i8, i1 */
LLVMTypeRef codegen_memory_type(Codegen *cg, DType d);      /* in memory: float, i32, i8, i8 */
/* An internal constant table in read-only memory, 64-byte aligned; a ptr. */
LLVMValueRef codegen_table(Codegen *cg, const char *name, const void *bytes, size_t n);

/* ---- emit_scalar.c --------------------------------------------------------------------------- */

/* op of x, y, z (those that op takes; the others NULL): all numbers or all vectors of one width. `result` is the type
 * of the value (matters for cast). Not for CONST, IDX, BOUND, READ, which are the nest's. */
LLVMValueRef emit_scalar(Codegen *cg, ScalarOp op, DType result, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);

/* ---- emit_math.c: x f32, or a vector of it ----------------------------------------------------- */

LLVMValueRef math_exp(Codegen *cg, LLVMValueRef x);
LLVMValueRef math_log(Codegen *cg, LLVMValueRef x);
LLVMValueRef math_tanh(Codegen *cg, LLVMValueRef x);
LLVMValueRef math_sin(Codegen *cg, LLVMValueRef x);
LLVMValueRef math_cos(Codegen *cg, LLVMValueRef x);
LLVMValueRef math_floor(Codegen *cg, LLVMValueRef x);
LLVMValueRef math_pow(Codegen *cg, LLVMValueRef a, LLVMValueRef b);

/* ---- emit_rng.c ------------------------------------------------------------------------------ */

/* The key and call counter of a site, made once per function: from args->seed, args->step and the node's site. */
typedef struct {
    LLVMValueRef key0, key1, step_lo, step_hi;      /* i32 */
} RngKey;

RngKey rng_key(Codegen *cg, LLVMValueRef site);     /* i32 */
/* Element index (i64 or a vector of i64) -> f32 in (0,1), rng_uniform's bits. Any indices. */
LLVMValueRef rng_at(Codegen *cg, RngKey k, LLVMValueRef index);
/* Elements base .. base + 4 w - 1 as four vectors of w lanes, in order; base (i64) a multiple of 4: a quarter of
 * rng_at's work. */
void rng_block(Codegen *cg, RngKey k, LLVMValueRef base, int w, LLVMValueRef out[4]);

/* ---- codegen.c, pieces.c --------------------------------------------------------------------- */

LLVMTargetMachineRef codegen_machine(const Target *t, int level, bool quick);
/* Verifies a module and runs the level's IR passes, once. */
void  piece_seal(Piece *p, LLVMTargetMachineRef m, int level);
void  piece_free(Piece *p);
int   piece_instructions(const Piece *p);
/* rescue.c: runs work(cx). False if LLVM gave up or crashed within it: *why says how. */
enum { RESCUE_TEXT = 400 };
bool  rescue_run(void (*work)(void *), void *cx, char why[RESCUE_TEXT]);
/* The code of a piece that is sealed, as object code or assembly; NULL: why is in p->error, which names the kernels. */
LLVMMemoryBufferRef piece_code(Piece *p, LLVMModuleRef module, LLVMTargetMachineRef m, LLVMCodeGenFileType kind);
/* The threads that make object code beside the caller, `n` of them; crew_add starts them. */
Crew *crew_new(Arena *a, const Target *t, int level, int n);
void  crew_add(Crew *c, Piece *p);
/* Works beside the threads until all pieces are made that are for later, or all that are not. */
void  crew_wait(Crew *c, LLVMTargetMachineRef m, bool later);
/* Drops what no thread has begun, and ends the threads. */
void  crew_end(Crew *c);
/* Makes the object code of all pieces; those for later are left to the crew. Nothing can be emitted afterwards. */
bool  codegen_finish(Codegen *cg, const char **why);
/* The same for the others, after codegen_finish. */
bool  codegen_finish_later(Codegen *cg, const char **why);

#endif
