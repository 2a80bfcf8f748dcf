/* The module: its target, its functions, its tables. */
#include "codegen/codegen_impl.h"

#include <string.h>

#include <llvm-c/Core.h>
#include <llvm-c/Support.h>

#include "codegen/l.h"

/* ---- the target ---------------------------------------------------------------------------------- */

/* Passes over machine code that take time and gain nothing, because nests come out in their final form: loops have
 * pointers of their own (loop strength reduction would take half of the compile time to look for better ones), their
 * instructions come in the order that keeps fewest values in registers (which the scheduler, misched, would undo), what
 * does not change in a loop stands before it (licm would move constants there too, and spill them), and nothing is
 * computed twice (cse) or copied (copyprop); CodeGenPrepare (cgp) moves addresses to no gain. Those of the last four
 * lines find next to nothing to do: without them the code differs in some hundred instructions of a model, most in
 * the first and last lines of functions. The options are the process's, so they are set once. */
static void set_options(void) {
    static bool done;
    if (done) return;
    done = true;
    static const char *const OPTIONS[] = {
        "netc", "-disable-lsr", "-enable-misched=false", "-disable-machine-licm", "-disable-postra-machine-licm",
        "-disable-machine-cse", "-disable-copyprop", "-disable-cgp",
        "-disable-constant-hoisting", "-disable-mergeicmps", "-disable-partial-libcall-inlining",
        "-disable-expand-reductions", "-disable-early-taildup", "-disable-tail-duplicate", "-disable-early-ifcvt",
        "-x86-cmov-converter=false", "-x86-machine-combiner=false", "-disable-postra-machine-sink", "-disable-post-ra",
        "-disable-machine-dce", "-x86-disable-avoid-SFB", "-enable-shrink-wrap=false",
    };
    LLVMParseCommandLineOptions(sizeof OPTIONS / sizeof *OPTIONS, OPTIONS, NULL);
}

static void start_backend(Arch arch) {
    set_options();
    if (arch == ARCH_X86_64) {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
    } else {
        LLVMInitializeAArch64TargetInfo();
        LLVMInitializeAArch64Target();
        LLVMInitializeAArch64TargetMC();
        LLVMInitializeAArch64AsmPrinter();
    }
}

/* Level 2 of LLVM's code generation, 1 under -O0: the order of instructions is netc's, LLVM selects them and
 * allocates registers. `quick`: level 0, the same numbers from slower code that is made in half of the time; on AArch64
 * that would be another way to select instructions, which nothing here tests. Position-independent, so that objects
 * go into shared libraries. */
LLVMTargetMachineRef codegen_machine(const Target *t, int level, bool quick) {
    LLVMTargetRef target;
    char         *error = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &target, &error)) ICE("LLVM: %s", error);
    LLVMCodeGenOptLevel effort = level > 0 ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelLess;
    if (quick && t->arch == ARCH_X86_64) effort = LLVMCodeGenLevelNone;
    LLVMTargetMachineRef m = LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features, effort, LLVMRelocPIC,
                                                     LLVMCodeModelSmall);
    if (!m) ICE("LLVM cannot make code for %s", t->triple);
    return m;
}

static void make_types(Codegen *cg) {
    LLVMContextRef cx = cg->cx;
    cg->f32 = LLVMFloatTypeInContext(cx);
    cg->f64 = LLVMDoubleTypeInContext(cx);
    cg->i64 = LLVMInt64TypeInContext(cx);
    cg->i32 = LLVMInt32TypeInContext(cx);
    cg->i16 = LLVMInt16TypeInContext(cx);
    cg->i8 = LLVMInt8TypeInContext(cx);
    cg->i1 = LLVMInt1TypeInContext(cx);
    cg->ptr = LLVMPointerTypeInContext(cx, 0);
    cg->none = LLVMVoidTypeInContext(cx);
    LLVMTypeRef p = cg->ptr, n = cg->i64;
    LLVMTypeRef fields[] = {
        [ABI_IN] = p,   [ABI_OUT] = p,     [ABI_WEIGHTS] = p, [ABI_OPT] = p,  [ABI_STATE] = p,   [ABI_ARENA] = p,
        [ABI_SCALARS] = p, [ABI_SEED] = n, [ABI_STEP] = n,
        [ABI_BOUND] = LLVMArrayType2(n, MAX_BOUNDS + 1), [ABI_BARRIER] = p, [ABI_POOL] = p,
    };
    cg->args = LLVMStructCreateNamed(cx, "netc_args");
    LLVMStructSetBody(cg->args, fields, sizeof fields / sizeof *fields, false);
}

static void open_piece(Codegen *cg) {
    Piece *p = ARENA_NEW(cg->arena, Piece);
    p->cx = cg->cx = LLVMContextCreate();
    p->later = cg->later;
    p->quick = cg->quick;
    p->module = cg->module = LLVMModuleCreateWithNameInContext(cg->name, cg->cx);
    cg->b = LLVMCreateBuilderInContext(cg->cx);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(cg->machine);
    LLVMSetModuleDataLayout(cg->module, layout);
    LLVMDisposeTargetData(layout);
    LLVMSetTarget(cg->module, cg->target.triple);
    make_types(cg);
    vec_push(cg->arena, &cg->pieces, p);
}

Codegen *codegen_new(Arena *a, const Target *t, int level, const char *module_name) {
    Codegen *cg = ARENA_NEW(a, Codegen);
    cg->arena = a;
    cg->target = *t;
    cg->level = level;
    cg->name = module_name;
    start_backend(t->arch);
    cg->machine = codegen_machine(t, level, false);
    open_piece(cg);
    return cg;
}

void codegen_for_memory(Codegen *cg, int threads) {
    cg->crew = crew_new(cg->arena, &cg->target, cg->level, threads - 1);
}

void codegen_free(Codegen *cg) {
    if (cg->jit) l_check(LLVMOrcDisposeLLJIT(cg->jit));
    if (cg->crew) crew_end(cg->crew);
    LLVMDisposeBuilder(cg->b);
    for (int i = 0; i < cg->pieces.n; i++) piece_free(cg->pieces.at[i]);
    LLVMDisposeTargetMachine(cg->machine);
    cg->jit = NULL;
    cg->pieces.n = 0;
    cg->module = NULL;
}

const char *codegen_llvm_version(void) { return LLVM_VERSION_STRING; }

CodegenTimes codegen_times(const Codegen *cg) {
    CodegenTimes sum = {.link = cg->link};
    for (int i = 0; i < cg->pieces.n; i++) {
        if (cg->pieces.at[i]->later && !cg->joined) continue;       /* a thread may be at it */
        const CodegenTimes *t = &cg->pieces.at[i]->times;
        sum.verify += t->verify;
        sum.passes += t->passes;
        sum.object += t->object;
    }
    return sum;
}

int codegen_modules(const Codegen *cg) { return cg->pieces.n; }

void codegen_time_report(const Codegen *cg, FILE *out) {
    for (int i = 0; i < cg->times.n; i++) {
        const NestTime *t = &cg->times.at[i];
        fprintf(out, "%-40s ", t->nest);
        if (t->same) fprintf(out, "the code of %s\n", t->same);
        else fprintf(out, "%8.3f ms  %d instructions\n", 1e3 * t->emit, t->instructions);
    }
    CodegenTimes t = codegen_times(cg);
    fprintf(out, "LLVM, over all threads: passes %.1f ms, object code of %d modules %.1f ms, link %.1f ms\n",
            1e3 * t.passes, codegen_modules(cg), 1e3 * t.object, 1e3 * t.link);
}

/* ---- pieces -------------------------------------------------------------------------------------- */

int codegen_instructions(LLVMValueRef fn) {
    int n = 0;
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(fn); b; b = LLVMGetNextBasicBlock(b))
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) n++;
    return n;
}

static void close_piece(Codegen *cg) {
    LLVMDisposeBuilder(cg->b);
    crew_add(cg->crew, cg->pieces.at[cg->pieces.n - 1]);
    for (int i = 0; i < cg->functions.n; i++) cg->functions.at[i].fn = NULL;
    open_piece(cg);
}

void codegen_cut(Codegen *cg, int instructions) {
    if (cg->crew && piece_instructions(cg->pieces.at[cg->pieces.n - 1]) >= instructions) close_piece(cg);
}

void codegen_send(Codegen *cg) { codegen_cut(cg, PIECE_INSTRUCTIONS / 4); }

void codegen_quick(Codegen *cg, bool on) { cg->quick = on && cg->crew; }

void codegen_fit(Codegen *cg) {
    Piece *p = cg->pieces.at[cg->pieces.n - 1];
    if (p->quick == cg->quick) return;
    if (piece_instructions(p)) close_piece(cg);
    else p->quick = cg->quick;
}

void codegen_later(Codegen *cg) {
    if (!cg->crew || cg->later) return;
    codegen_function_table(cg, "netc_model_functions");
    cg->later = true;
    close_piece(cg);
}

/* ---- functions ----------------------------------------------------------------------------------- */

/* no-builtins: LLVM must not turn loops into calls of memset; nothing outside the object may be called.
 * prefer-vector-width: LLVM would else split 512-bit vectors on processors that it deems slow at them. */
void codegen_attributes(Codegen *cg, LLVMValueRef fn) {
    l_attribute(cg, fn, (unsigned)LLVMAttributeFunctionIndex, "nounwind", 0);
    l_attribute_text(cg, fn, "no-builtins", "");
    l_attribute_text(cg, fn, "target-cpu", cg->target.cpu);
    l_attribute_text(cg, fn, "tune-cpu", cg->target.tune);
    l_attribute_text(cg, fn, "target-features", cg->target.features);
    const char *bits = arena_printf(cg->arena, "%d", 32 * cg->target.width);
    l_attribute_text(cg, fn, "prefer-vector-width", bits);
}

LLVMValueRef codegen_helper(Codegen *cg, const char *name, LLVMTypeRef type) {
    LLVMValueRef fn = LLVMAddFunction(cg->module, name, type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    codegen_attributes(cg, fn);
    return fn;
}

LLVMValueRef codegen_helper_begin(Codegen *cg, const char *name, LLVMTypeRef result, LLVMTypeRef *params, unsigned n,
                                  Where *before) {
    *before = (Where){cg->fn, cg->fn ? l_here(cg) : NULL};
    cg->fn = codegen_helper(cg, name, LLVMFunctionType(result, params, n, false));
    l_at(cg, l_block(cg, "entry"));
    return cg->fn;
}

void codegen_helper_end(Codegen *cg, Where before) {
    cg->fn = before.fn;
    if (before.at) l_at(cg, before.at);
}

/* Hidden: for the other pieces, not for the process. */
static void share(LLVMValueRef fn) {
    LLVMSetLinkage(fn, LLVMExternalLinkage);
    LLVMSetVisibility(fn, LLVMHiddenVisibility);
}

LLVMValueRef codegen_shared(Codegen *cg, const char *name, LLVMTypeRef type) {
    LLVMValueRef fn = codegen_helper(cg, name, type);
    if (cg->crew) share(fn);
    return fn;
}

LLVMValueRef codegen_callee(Codegen *cg, const char *name, LLVMTypeRef type) {
    LLVMValueRef fn = LLVMGetNamedFunction(cg->module, name);
    if (fn) return fn;
    share(fn = LLVMAddFunction(cg->module, name, type));
    return fn;
}

static LLVMTypeRef function_type(Codegen *cg) {
    LLVMTypeRef params[3] = {cg->ptr, cg->i32, cg->i32};
    return LLVMFunctionType(cg->none, params, 3, false);
}

LLVMValueRef codegen_model_function(Codegen *cg, const char *name) {
    for (int i = 0; i < cg->functions.n; i++) {
        Emitted *f = &cg->functions.at[i];
        if (strcmp(f->name, name)) continue;
        if (!f->fn) f->fn = codegen_callee(cg, f->symbol, function_type(cg));
        return f->fn;
    }
    return NULL;
}

void codegen_begin(Codegen *cg, const char *name) {
    codegen_fit(cg);
    const char *symbol = arena_printf(cg->arena, "%s.%s", cg->name, name);      /* a dot: never a symbol of C */
    cg->fn = codegen_shared(cg, symbol, function_type(cg));
    l_attribute(cg, cg->fn, 1, "noalias", 0);
    l_attribute(cg, cg->fn, 1, "readonly", 0);
    l_at(cg, l_block(cg, "entry"));
    vec_push(cg->arena, &cg->functions, ((Emitted){name, symbol, cg->fn}));
}

void codegen_end(Codegen *cg) {
    LLVMBuildRetVoid(cg->b);
    cg->fn = NULL;
}

LLVMTypeRef codegen_type(Codegen *cg, DType d) {
    return d == DT_F32 ? cg->f32 : d == DT_I32 ? cg->i32 : d == DT_U8 ? cg->i8 : cg->i1;
}

LLVMTypeRef codegen_memory_type(Codegen *cg, DType d) { return d == DT_PRED ? cg->i8 : codegen_type(cg, d); }

/* ---- arguments ----------------------------------------------------------------------------------- */

LLVMValueRef abi_args(Codegen *cg) { return LLVMGetParam(cg->fn, 0); }
LLVMValueRef abi_tid(Codegen *cg) { return LLVMGetParam(cg->fn, 1); }
LLVMValueRef abi_nthreads(Codegen *cg) { return LLVMGetParam(cg->fn, 2); }

LLVMValueRef abi_load(Codegen *cg, AbiField f) {
    LLVMValueRef p = LLVMBuildStructGEP2(cg->b, cg->args, abi_args(cg), (unsigned)f, "");
    return l_load_invariant(cg, LLVMStructGetTypeAtIndex(cg->args, (unsigned)f), p, 8);
}

LLVMValueRef abi_in(Codegen *cg, int i) {
    return l_load_invariant(cg, cg->ptr, l_gep_const(cg, cg->ptr, abi_load(cg, ABI_IN), i), 8);
}

LLVMValueRef abi_out(Codegen *cg, int i) {
    return l_load_invariant(cg, cg->ptr, l_gep_const(cg, cg->ptr, abi_load(cg, ABI_OUT), i), 8);
}

LLVMValueRef abi_scalar(Codegen *cg, int i) {
    return l_load_invariant(cg, cg->f32, l_gep_const(cg, cg->f32, abi_load(cg, ABI_SCALARS), i), 4);
}

LLVMValueRef abi_bound(Codegen *cg, int i) {
    LLVMValueRef p = LLVMBuildStructGEP2(cg->b, cg->args, abi_args(cg), (unsigned)ABI_BOUND, "");
    return l_load_invariant(cg, cg->i64, l_gep_const(cg, cg->i64, p, i), 8);
}

static LLVMValueRef barrier_function(Codegen *cg) {
    static const char NAME[] = "c.barrier";
    LLVMValueRef      fn = LLVMGetNamedFunction(cg->module, NAME);
    Where             before;
    if (fn) return fn;
    fn = codegen_helper_begin(cg, NAME, cg->none, &cg->ptr, 1, &before);
    LLVMValueRef wait = abi_load(cg, ABI_BARRIER);
    If           s = l_if(cg, LLVMBuildIsNotNull(cg->b, wait, ""));
    LLVMValueRef pool = abi_load(cg, ABI_POOL);
    LLVMBuildCall2(cg->b, LLVMFunctionType(cg->none, &cg->ptr, 1, false), wait, &pool, 1, "");
    l_if_end(cg, &s);
    LLVMBuildRetVoid(cg->b);
    codegen_helper_end(cg, before);
    return fn;
}

void abi_barrier(Codegen *cg) {
    LLVMValueRef fn = barrier_function(cg), args = abi_args(cg);
    LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, &args, 1, "");
}

/* ---- tables -------------------------------------------------------------------------------------- */

static LLVMValueRef byte_array(Codegen *cg, const char *symbol, const void *bytes, size_t n, int align) {
    LLVMValueRef text = LLVMConstStringInContext2(cg->cx, bytes, n, true);
    LLVMValueRef g = LLVMAddGlobal(cg->module, LLVMTypeOf(text), symbol);
    LLVMSetInitializer(g, text);
    LLVMSetGlobalConstant(g, true);
    LLVMSetAlignment(g, (unsigned)align);
    return g;
}

LLVMValueRef codegen_table(Codegen *cg, const char *name, const void *bytes, size_t n) {
    LLVMValueRef g = byte_array(cg, name, bytes, n, 64);
    LLVMSetLinkage(g, LLVMInternalLinkage);
    return g;
}

void codegen_blob(Codegen *cg, const char *symbol, const void *bytes, size_t n) {
    byte_array(cg, symbol, bytes, n, 16);
    LLVMValueRef size = LLVMAddGlobal(cg->module, cg->i64, arena_printf(cg->arena, "%s_size", symbol));
    LLVMSetInitializer(size, l_i64(cg, (int64_t)n));
    LLVMSetGlobalConstant(size, true);
}

void codegen_function_table(Codegen *cg, const char *symbol) {
    LLVMTypeRef  pair[2] = {cg->ptr, cg->ptr};
    LLVMTypeRef  row = LLVMStructTypeInContext(cg->cx, pair, 2, false);
    int          first = cg->tabled, n = cg->functions.n - first;
    LLVMValueRef *rows = ARENA_ARRAY(cg->arena, LLVMValueRef, n + 1);
    for (int i = 0; i < n; i++) {
        const Emitted *f = &cg->functions.at[first + i];
        LLVMValueRef   name = byte_array(cg, "name", f->name, strlen(f->name) + 1, 1);
        LLVMSetLinkage(name, LLVMPrivateLinkage);
        LLVMValueRef value[2] = {name, codegen_model_function(cg, f->name)};
        rows[i] = LLVMConstStructInContext(cg->cx, value, 2, false);
    }
    rows[n] = LLVMConstNull(row);
    LLVMValueRef table = LLVMAddGlobal(cg->module, LLVMArrayType2(row, (uint64_t)n + 1), symbol);
    LLVMSetInitializer(table, LLVMConstArray2(row, rows, (uint64_t)n + 1));
    LLVMSetGlobalConstant(table, true);
    cg->table[cg->later] = symbol;
    cg->tabled = cg->functions.n;
}
