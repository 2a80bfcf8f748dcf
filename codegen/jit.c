/* Object code loaded into this process: the bytes that codegen_object would write. */
#include <time.h>

#include "codegen/l.h"

typedef struct {
    const char *name;
    void       *fn;
} TableRow;

/* *why = the message of e, which is consumed; true if there is none. */
static bool no_error(Codegen *cg, LLVMErrorRef e, const char **why) {
    if (!e) return true;
    char *text = LLVMGetErrorMessage(e);
    *why = arena_strdup(cg->arena, text);
    LLVMDisposeErrorMessage(text);
    return false;
}

/* LLJIT takes buffers over; ours stay for codegen_object. The code calls nothing outside itself, so no
 * symbols of this process are offered to it. */
static bool load(Codegen *cg, const char **why) {
    if (!no_error(cg, LLVMOrcCreateLLJIT(&cg->jit, NULL), why)) {
        cg->jit = NULL;
        return false;
    }
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(cg->jit);
    bool               ok = true;
    for (int i = 0; i < cg->pieces.n && ok; i++) {
        LLVMMemoryBufferRef object = cg->pieces.at[i]->object;
        LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(LLVMGetBufferStart(object),
                                                                             LLVMGetBufferSize(object), cg->name);
        ok = no_error(cg, LLVMOrcLLJITAddObjectFile(cg->jit, library, copy), why);
    }
    return ok;
}

/* Functions of a module are internal symbols; their table is what can be looked up. */
bool codegen_jit(Codegen *cg, const char **why) {
    if (cg->jit) return true;
    if (!target_here(&cg->target)) {
        *why = arena_printf(cg->arena, "this machine does not run code for %s", cg->target.name);
        return false;
    }
    if (!cg->table && !cg->finished) codegen_function_table(cg, "netc_model_functions");
    if (!codegen_finish(cg, why)) return false;
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    bool ok = load(cg, why) && (!cg->table || codegen_symbol(cg, cg->table));
    clock_gettime(CLOCK_MONOTONIC, &t1);
    cg->link += (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    return ok;
}

void *codegen_symbol(Codegen *cg, const char *symbol) {
    LLVMOrcExecutorAddress address;
    const char            *why;
    return no_error(cg, LLVMOrcLLJITLookup(cg->jit, &address, symbol), &why) ? (void *)(uintptr_t)address : NULL;
}

void *codegen_function_address(Codegen *cg, const char *name) {
    const TableRow *row = cg->table ? codegen_symbol(cg, cg->table) : NULL;
    for (; row && row->name; row++)
        if (!strcmp(row->name, name)) return row->fn;
    return NULL;
}
