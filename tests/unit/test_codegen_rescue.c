/* Where LLVM would end the process: its fatal errors, its errors after which it goes on, a crash. The kernel is named,
 * what was made before can be called, nothing ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codegen/l.h"
#include "runtime/netc_rt.h"
#include "tests/unit/folder_util.h"

/* An instruction of another processor: LLVM cannot select it, which is fatal. */
static void emit_fatal(Codegen *cg, const char *name) {
    bool  here = cg->target.arch == ARCH_X86_64;
    Val   x[2] = {l_i32(cg, 1), l_i32(cg, 2)};
    codegen_begin(cg, name);
    Val y = here ? l_intrinsic(cg, "llvm.aarch64.crc32b", 0, NULL, 2, x)
                 : l_intrinsic(cg, "llvm.x86.sse42.crc32.32.32", 0, NULL, 2, x);
    l_store(cg, y, abi_out(cg, 0), 4);
    codegen_end(cg);
}

/* A register that no processor has: an error that LLVM reports and goes on. */
static void emit_error(Codegen *cg, const char *name) {
    static const char TEXT[] = "", WHERE[] = "={nowhere}";
    Ty type = LLVMFunctionType(cg->i32, NULL, 0, false);
    codegen_begin(cg, name);
    Val f = LLVMGetInlineAsm(type, (char *)TEXT, 0, (char *)WHERE, sizeof WHERE - 1, false, false,
                             LLVMInlineAsmDialectATT, false);
    l_store(cg, LLVMBuildCall2(cg->b, type, f, NULL, 0, ""), abi_out(cg, 0), 4);
    codegen_end(cg);
}

static void emit_seven(Codegen *cg, const char *name) {
    codegen_begin(cg, name);
    l_store(cg, l_i32(cg, 7), abi_out(cg, 0), 4);
    codegen_end(cg);
}

static int32_t result_of(Codegen *cg, const char *name) {
    int32_t        y = 0;
    netc_function *f = (netc_function *)(uintptr_t)codegen_function_address(cg, name);
    assert_non_null(f);
    f(&(netc_args){.out = (void *const[]){&y}}, 0, 1);
    return y;
}

/* Code for memory, of one function so far: it gives 7. */
static Codegen *with_good(Arena *a, int threads) {
    Target t;
    target_host(&t);
    Codegen *cg = codegen_new(a, &t, 2, "rescue");
    codegen_for_memory(cg, threads);
    emit_seven(cg, "good");
    return cg;
}

typedef void Emitter(Codegen *cg, const char *name);

/* The function of the first step fails: so does codegen_jit, and says which. */
static void fails_at_once(Emitter *emit, const char *says) {
    Arena      *a = arena_new();
    const char *why = NULL;
    for (int threads = 1; threads <= 2; threads++) {
        Codegen *cg = with_good(a, threads);
        emit(cg, "bad");
        assert_false(codegen_jit(cg, &why));
        assert_true(codegen_broken(cg));
        assert_non_null(strstr(why, "rescue.bad"));
        assert_non_null(strstr(why, says));
        codegen_free(cg);
    }
    arena_free(a);
}

/* A later one fails: what the first step needs is there, before and after. */
static void fails_later(Emitter *emit, const char *says) {
    Arena      *a = arena_new();
    const char *why = NULL;
    for (int threads = 1; threads <= 2; threads++) {
        Codegen *cg = with_good(a, threads);
        codegen_later(cg);
        emit(cg, "bad");
        assert_true(codegen_jit(cg, &why));
        assert_int_equal(result_of(cg, "good"), 7);
        assert_false(codegen_join(cg, &why));
        assert_non_null(strstr(why, "rescue.bad"));
        assert_non_null(strstr(why, says));
        assert_int_equal(result_of(cg, "good"), 7);
        assert_null(codegen_function_address(cg, "bad"));
        codegen_free(cg);
    }
    arena_free(a);
}

static void fatal_errors_are_messages(void **state) {
    (void)state;
    fails_at_once(emit_fatal, "Cannot select");
    fails_later(emit_fatal, "Cannot select");
}

static void errors_are_messages(void **state) {
    (void)state;
    fails_at_once(emit_error, "nowhere");
    fails_later(emit_error, "nowhere");
}

static void no_file_of_broken_code(void **state) {
    (void)state;
    static const struct {
        Emitter *emit;
        bool (*write)(Codegen *cg, const char *path, const char **why);
    } CASES[] = {{emit_fatal, codegen_object}, {emit_fatal, codegen_asm}, {emit_error, codegen_object}};
    Arena      *a = arena_new();
    Target      t;
    const char *why = NULL, *path = arena_printf(a, "%s/bad", folder);
    target_host(&t);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Codegen *cg = codegen_new(a, &t, 2, "rescue");
        CASES[i].emit(cg, "bad");
        assert_false(CASES[i].write(cg, path, &why));
        assert_true(codegen_broken(cg));
        assert_non_null(strstr(why, "rescue.bad"));
        assert_int_equal(access(path, F_OK), -1);
        codegen_free(cg);
    }
    arena_free(a);
}

static void write_to(void *page) { *(volatile char *)page = 1; }

static void *crash(void *page) {
    char why[RESCUE_TEXT] = "", ours[8] = "";
    for (int i = 0; i < 2; i++) {                       /* the signal is not blocked afterwards */
        assert_false(rescue_run(write_to, page, why));
        assert_non_null(strstr(why, "crashed"));
    }
    assert_true(rescue_run(write_to, ours, why));
    assert_int_equal(ours[0], 1);
    return NULL;
}

/* In this thread, and in one that has all signals blocked, as the threads that make code have. */
static void a_crash_is_a_message(void **state) {
    (void)state;
    pthread_t thread;
    sigset_t  all, before;
    void     *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    crash(page);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(pthread_create(&thread, NULL, crash, page), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_join(thread, NULL);
    munmap(page, 4096);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fatal_errors_are_messages),
        cmocka_unit_test(errors_are_messages),
        cmocka_unit_test(no_file_of_broken_code),
        cmocka_unit_test(a_crash_is_a_message),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
