/* The finished module: verified, made into object code once; files of it. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "codegen/l.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A module that breaks LLVM's rules is a mistake of ours. */
static void verify(Codegen *cg) {
#ifdef NETC_CHECKS
    double start = seconds();
    char  *error = NULL;
    if (LLVMVerifyModule(cg->module, LLVMReturnStatusAction, &error)) ICE("LLVM: %s", error);
    LLVMDisposeMessage(error);
    cg->times.verify += seconds() - start;
#else
    (void)cg;
#endif
}

/* Common subexpressions of the element-wise code: addresses and loads that several stores of a nest share. More
 * passes cost compile time and gain nothing, since loops come out of the nests in their final form. */
static void run_passes(Codegen *cg) {
    if (cg->level < 1) return;
    double start = seconds();
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    l_check(LLVMRunPasses(cg->module, "function(early-cse)", cg->machine, options));
    LLVMDisposePassBuilderOptions(options);
    cg->times.passes += seconds() - start;
}

/* The steps between the last emitted instruction and machine code, once. */
static void seal(Codegen *cg) {
    if (cg->sealed) return;
    cg->sealed = true;
    verify(cg);
    run_passes(cg);
}

bool codegen_finish(Codegen *cg, const char **why) {
    if (cg->object) return true;
    seal(cg);
    double start = seconds();
    char  *error = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(cg->machine, cg->module, LLVMObjectFile, &error, &cg->object)) {
        *why = arena_strdup(cg->arena, error);
        LLVMDisposeMessage(error);
        cg->object = NULL;
        return false;
    }
    cg->times.object += seconds() - start;
    return true;
}

static bool write_buffer(Codegen *cg, const char *path, LLVMMemoryBufferRef m, const char **why) {
    if (file_write(path, LLVMGetBufferStart(m), LLVMGetBufferSize(m))) return true;
    *why = arena_printf(cg->arena, "cannot write %s: %s", path, strerror(errno));
    return false;
}

bool codegen_object(Codegen *cg, const char *path, const char **why) {
    return codegen_finish(cg, why) && write_buffer(cg, path, cg->object, why);
}

/* The printer of assembly changes what it prints (it expands instructions in place), so it gets a copy: the
 * object code stays what it would have been without. */
bool codegen_asm(Codegen *cg, const char *path, const char **why) {
    seal(cg);
    LLVMModuleRef       copy = LLVMCloneModule(cg->module);
    LLVMMemoryBufferRef text = NULL;
    char               *error = NULL;
    bool ok = !LLVMTargetMachineEmitToMemoryBuffer(cg->machine, copy, LLVMAssemblyFile, &error, &text);
    if (ok) {
        ok = write_buffer(cg, path, text, why);
        LLVMDisposeMemoryBuffer(text);
    } else {
        *why = arena_strdup(cg->arena, error);
        LLVMDisposeMessage(error);
    }
    LLVMDisposeModule(copy);
    return ok;
}

char *codegen_llvm_text(Codegen *cg, Arena *a) {
    seal(cg);
    char *text = LLVMPrintModuleToString(cg->module);
    char *copy = arena_strdup(a, text);
    LLVMDisposeMessage(text);
    return copy;
}
