/* netc whose LLVM makes no machine code of some functions, for check_rescue.sh: linked with
 * --wrap=LLVMTargetMachineEmitToMemoryBuffer. Environment: LLVM_FAILS_IN, a part of the function's name; LLVM_FAILS_BY,
 * "fatal" (an instruction of another processor, which LLVM cannot select) or "crash". */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

LLVMBool __real_LLVMTargetMachineEmitToMemoryBuffer(LLVMTargetMachineRef machine, LLVMModuleRef module,
                                                    LLVMCodeGenFileType kind, char **error, LLVMMemoryBufferRef *code);
LLVMBool __wrap_LLVMTargetMachineEmitToMemoryBuffer(LLVMTargetMachineRef machine, LLVMModuleRef module,
                                                    LLVMCodeGenFileType kind, char **error, LLVMMemoryBufferRef *code);

static LLVMValueRef find_function(LLVMModuleRef module, const char *part) {
    size_t length;
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f))
        if (LLVMCountBasicBlocks(f) && strstr(LLVMGetValueName2(f, &length), part)) return f;
    return NULL;
}

static void add_foreign_instruction(LLVMModuleRef module, LLVMValueRef f) {
#ifdef __x86_64__
    static const char NAME[] = "llvm.aarch64.crc32b";
#else
    static const char NAME[] = "llvm.x86.sse42.crc32.32.32";
#endif
    LLVMContextRef    cx = LLVMGetModuleContext(module);
    LLVMTypeRef       i32 = LLVMInt32TypeInContext(cx);
    LLVMTypeRef       type = LLVMFunctionType(i32, (LLVMTypeRef[]){i32, i32}, 2, false);
    LLVMBuilderRef    b = LLVMCreateBuilderInContext(cx);
    LLVMBasicBlockRef entry = LLVMGetEntryBasicBlock(f);
    LLVMValueRef      one = LLVMConstInt(i32, 1, false);
    unsigned          id = LLVMLookupIntrinsicID(NAME, sizeof NAME - 1);
    LLVMValueRef      foreign = LLVMGetIntrinsicDeclaration(module, id, NULL, 0);
    LLVMPositionBuilderBefore(b, LLVMGetFirstInstruction(entry));
    LLVMValueRef to = LLVMBuildAlloca(b, i32, "");
    LLVMSetVolatile(LLVMBuildStore(b, LLVMBuildCall2(b, type, foreign, (LLVMValueRef[]){one, one}, 2, ""), to), true);
    LLVMDisposeBuilder(b);
}

LLVMBool __wrap_LLVMTargetMachineEmitToMemoryBuffer(LLVMTargetMachineRef machine, LLVMModuleRef module,
                                                    LLVMCodeGenFileType kind, char **error, LLVMMemoryBufferRef *code) {
    const char  *part = getenv("LLVM_FAILS_IN"), *by = getenv("LLVM_FAILS_BY");
    LLVMValueRef f = part && by ? find_function(module, part) : NULL;
    if (f && !strcmp(by, "crash")) raise(SIGSEGV);
    if (f && !strcmp(by, "fatal")) add_foreign_instruction(module, f);
    return __real_LLVMTargetMachineEmitToMemoryBuffer(machine, module, kind, error, code);
}
