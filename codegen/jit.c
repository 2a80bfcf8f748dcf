/* Object code loaded into this process: the bytes that codegen_object would write. */
#include <time.h>

#include "codegen/l.h"

typedef struct {
    const char *name;
    void       *fn;
} TableRow;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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
static bool load(Codegen *cg, bool later, const char **why) {
    double             begun = seconds();
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(cg->jit);
    bool               ok = true;
    for (int i = 0; i < cg->pieces.n && ok; i++) {
        if (cg->pieces.at[i]->later != later) continue;
        LLVMMemoryBufferRef object = cg->pieces.at[i]->object;
        LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(LLVMGetBufferStart(object),
                                                                             LLVMGetBufferSize(object), cg->name);
        ok = no_error(cg, LLVMOrcLLJITAddObjectFile(cg->jit, library, copy), why);
    }
    ok = ok && (!cg->table[later] || codegen_symbol(cg, cg->table[later]));
    cg->link += seconds() - begun;
    return ok;
}

/* Functions of a module are internal symbols; their table is what can be looked up. */
bool codegen_jit(Codegen *cg, const char **why) {
    if (cg->jit) return true;
    if (!target_here(&cg->target)) {
        *why = arena_printf(cg->arena, "this machine does not run code for %s", cg->target.name);
        return false;
    }
    const char *name = cg->later ? "netc_model_functions_later" : "netc_model_functions";
    if (!cg->table[cg->later] && !cg->finished) codegen_function_table(cg, name);
    if (!codegen_finish(cg, why)) return false;
    if (no_error(cg, LLVMOrcCreateLLJIT(&cg->jit, NULL), why)) return load(cg, false, why);
    cg->jit = NULL;
    return false;
}

bool codegen_join(Codegen *cg, const char **why) {
    if (!cg->later || cg->joined) return true;
    return cg->joined = codegen_finish_later(cg, why) && load(cg, true, why);
}

void *codegen_symbol(Codegen *cg, const char *symbol) {
    LLVMOrcExecutorAddress address;
    const char            *why;
    return no_error(cg, LLVMOrcLLJITLookup(cg->jit, &address, symbol), &why) ? (void *)(uintptr_t)address : NULL;
}

void *codegen_function_address(Codegen *cg, const char *name) {
    for (int later = 0; later <= cg->joined; later++) {
        const TableRow *row = cg->table[later] ? codegen_symbol(cg, cg->table[later]) : NULL;
        for (; row && row->name; row++)
            if (!strcmp(row->name, name)) return row->fn;
    }
    return NULL;
}
