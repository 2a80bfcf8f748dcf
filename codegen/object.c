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
    LLVMMemoryBufferRef text = piece_code(the_piece(cg), copy, cg->machine, LLVMAssemblyFile);
    if (!text) {                                    /* the copy goes with its context, if that is not lost */
        *why = arena_strdup(cg->arena, the_piece(cg)->error);
        return false;
    }
    bool ok = write_buffer(cg, path, text, why);
    LLVMDisposeMemoryBuffer(text);
    LLVMDisposeModule(copy);
    return ok;
}

bool codegen_broken(const Codegen *cg) {
    for (int i = 0; i < cg->pieces.n; i++)
        if (cg->pieces.at[i]->error) return true;
    return false;
}

char *codegen_llvm_text(Codegen *cg, Arena *a) {
    piece_seal(the_piece(cg), cg->machine, cg->level);
    char *text = LLVMPrintModuleToString(cg->module);
    char *copy = arena_strdup(a, text);
    LLVMDisposeMessage(text);
    return copy;
}
