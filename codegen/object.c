/* Files of the finished module. */
#include <errno.h>
#include <string.h>

#include "codegen/l.h"

static bool write_buffer(Codegen *cg, const char *path, LLVMMemoryBufferRef m, const char **why) {
    if (file_write(path, LLVMGetBufferStart(m), LLVMGetBufferSize(m))) return true;
    *why = arena_printf(cg->arena, "cannot write %s: %s", path, strerror(errno));
    return false;
}

/* The module, as it goes into files. */
static Piece *the_piece(Codegen *cg) {
    if (cg->pieces.n != 1) ICE("code for memory has no file");
    return cg->pieces.at[0];
}

bool codegen_object(Codegen *cg, const char *path, const char **why) {
    return codegen_finish(cg, why) && write_buffer(cg, path, the_piece(cg)->object, why);
}

/* The printer of assembly changes what it prints (it expands instructions in place), so it gets a copy: the
 * object code stays what it would have been without. */
bool codegen_asm(Codegen *cg, const char *path, const char **why) {
    piece_seal(the_piece(cg), cg->machine, cg->level);
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
    piece_seal(the_piece(cg), cg->machine, cg->level);
    char *text = LLVMPrintModuleToString(cg->module);
    char *copy = arena_strdup(a, text);
    LLVMDisposeMessage(text);
    return copy;
}
