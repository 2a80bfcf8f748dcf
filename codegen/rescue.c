/* LLVM's own errors as results. LLVM ends the process where it cannot go on: an instruction that it cannot select, a
 * register allocator that runs in circles, a null pointer of its own. A training may be running beside it by then, so
 * LLVM makes code within rescue_run: its handler of fatal errors and the signals of a crash lead back there, in the
 * same thread. What LLVM was working on is lost, memory and all; the module must not be touched again. */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/ErrorHandling.h>
#include <pthread.h>

#include "codegen/l.h"

static const int CRASHES[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
enum { NCRASHES = sizeof CRASHES / sizeof *CRASHES, STACK = 1 << 16 };

typedef struct {
    sigjmp_buf back;
    char       text[RESCUE_TEXT];       /* what LLVM said; "": it crashed */
} Rescue;

static _Thread_local Rescue *rescue;    /* of this thread's rescue_run; NULL: none is open */
static struct sigaction      before[NCRASHES];     /* what the signals do while no thread is in LLVM */

static void on_fatal(const char *why) {
    if (!rescue) ICE("LLVM: %s", why);
    snprintf(rescue->text, sizeof rescue->text, "%s", why);
    siglongjmp(rescue->back, 1);
}

/* A crash outside of LLVM (in another thread) does what it did before: the signal comes again once this returns. */
static void on_crash(int signal) {
    if (rescue) siglongjmp(rescue->back, signal);
    for (int i = 0; i < NCRASHES; i++)
        if (CRASHES[i] == signal) sigaction(signal, &before[i], NULL);
    raise(signal);
}

/* Signals are caught while a thread is in LLVM, and no longer. One that is blocked would end the process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int             inside;

static void catch_signals(sigset_t *mask) {
    struct sigaction a = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
    sigset_t         crashes;
    sigemptyset(&a.sa_mask);
    sigemptyset(&crashes);
    for (int i = 0; i < NCRASHES; i++) sigaddset(&crashes, CRASHES[i]);
    pthread_sigmask(SIG_UNBLOCK, &crashes, mask);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < NCRASHES && !inside; i++) sigaction(CRASHES[i], &a, &before[i]);
    inside++;
    pthread_mutex_unlock(&lock);
}

static void leave_signals(const sigset_t *mask) {
    pthread_mutex_lock(&lock);
    inside--;
    for (int i = 0; i < NCRASHES && !inside; i++) sigaction(CRASHES[i], &before[i], NULL);
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

static void install_handler(void) { LLVMInstallFatalErrorHandler(on_fatal); }

bool rescue_run(void (*work)(void *), void *cx, char why[RESCUE_TEXT]) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    Rescue  r = {.text = ""};
    stack_t own = {.ss_sp = malloc(STACK), .ss_size = STACK}, old;      /* what crashed may have filled the stack */
    bool    has_stack = own.ss_sp && !sigaltstack(&own, &old);
    sigset_t mask;
    catch_signals(&mask);
    int signal = sigsetjmp(r.back, 1);
    if (!signal) {
        rescue = &r;
        work(cx);
    }
    rescue = NULL;
    leave_signals(&mask);
    if (has_stack) sigaltstack(&old, NULL);
    free(own.ss_sp);
    if (!signal) return true;
    if (r.text[0]) snprintf(why, RESCUE_TEXT, "%s", r.text);
    else snprintf(why, RESCUE_TEXT, "it crashed (signal %d)", signal);
    return false;
}
