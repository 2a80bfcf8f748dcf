/* From modules to object code. The pieces of a model are independent, so a crew of threads works on them, beginning
 * while the next ones are still emitted. A piece's code depends on the piece alone: not on the thread that makes
 * it, not on the order. */
#include <llvm-c/Analysis.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "codegen/l.h"

/* ---- one piece ----------------------------------------------------------------------------------------- */

/* Of this thread's work: with more threads than processors, the time on the clock says nothing. */
static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A module that breaks LLVM's rules is a mistake of ours. */
static void verify(Piece *p) {
#ifdef NETC_CHECKS
    double start = seconds();
    char  *error = NULL;
    if (LLVMVerifyModule(p->module, LLVMReturnStatusAction, &error)) ICE("LLVM: %s", error);
    LLVMDisposeMessage(error);
    p->times.verify += seconds() - start;
#else
    (void)p;
#endif
}

/* Common subexpressions of the element-wise code: addresses and loads that several stores of a nest share. More
 * passes cost compile time and gain nothing, since loops come out of the nests in their final form. */
static void run_passes(Piece *p, LLVMTargetMachineRef m, int level) {
    if (level < 1) return;
    double start = seconds();
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    l_check(LLVMRunPasses(p->module, "function(early-cse)", m, options));
    LLVMDisposePassBuilderOptions(options);
    p->times.passes += seconds() - start;
}

void piece_seal(Piece *p, LLVMTargetMachineRef m, int level) {
    if (p->sealed) return;
    p->sealed = true;
    verify(p);
    run_passes(p, m, level);
}

/* The first functions of a module, helpers aside: LLVM's errors do not say which one they are about. */
static void some_names(LLVMModuleRef module, char *text, size_t size) {
    enum { SHOWN = 4 };
    size_t at = 0;
    int    n = 0;
    text[0] = 0;
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f && at < size; f = LLVMGetNextFunction(f)) {
        size_t      length;
        const char *name = LLVMGetValueName2(f, &length);
        if (!LLVMCountBasicBlocks(f) || !strncmp(name, "c.", 2)) continue;
        if (n++ < SHOWN) at += (size_t)snprintf(text + at, size - at, "%s%s", n > 1 ? ", " : "", name);
    }
    if (n > SHOWN && at < size) snprintf(text + at, size - at, " and %d more", n - SHOWN);
}

typedef struct {
    LLVMModuleRef        module;
    LLVMTargetMachineRef machine;
    LLVMCodeGenFileType  kind;
    LLVMMemoryBufferRef  code;
    char                *error;         /* LLVM's first one: after some it goes on (LLVMDisposeMessage) */
} Making;

static void on_diagnostic(LLVMDiagnosticInfoRef d, void *making) {
    Making *m = making;
    if (LLVMGetDiagInfoSeverity(d) == LLVMDSError && !m->error) m->error = LLVMGetDiagInfoDescription(d);
}

static void emit_code(void *making) {
    Making *m = making;
    char   *error = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(m->machine, m->module, m->kind, &error, &m->code)) m->code = NULL;
    if (error && !m->error) m->error = error;
    else if (error) LLVMDisposeMessage(error);
}

LLVMMemoryBufferRef piece_code(Piece *p, LLVMModuleRef module, LLVMTargetMachineRef m, LLVMCodeGenFileType kind) {
    Making making = {.module = module, .machine = m, .kind = kind};
    char   names[200], why[RESCUE_TEXT], text[sizeof names + sizeof why + 64];
    some_names(module, names, sizeof names);
    LLVMContextSetDiagnosticHandler(p->cx, on_diagnostic, &making);
    p->lost |= !rescue_run(emit_code, &making, why);
    LLVMContextSetDiagnosticHandler(p->cx, NULL, NULL);
    if (!p->lost && !making.error) return making.code;
    snprintf(text, sizeof text, "LLVM made no machine code of %s: %s", names, p->lost ? why : making.error);
    if (making.error) LLVMDisposeMessage(making.error);
    if (making.code && !p->lost) LLVMDisposeMemoryBuffer(making.code);
    p->error = LLVMCreateMessage(text);
    return NULL;
}

static void make_object(Piece *p, LLVMTargetMachineRef m, const Target *t, int level) {
    if (p->object || p->error) return;
    piece_seal(p, m, level);
    double               start = seconds();
    LLVMTargetMachineRef quick = p->quick ? codegen_machine(t, level, true) : NULL;
    p->object = piece_code(p, p->module, quick ? quick : m, LLVMObjectFile);
    if (quick) LLVMDisposeTargetMachine(quick);
    p->times.object += seconds() - start;
}

int piece_instructions(const Piece *p) {
    int n = 0;
    for (LLVMValueRef f = LLVMGetFirstFunction(p->module); f; f = LLVMGetNextFunction(f)) n += codegen_instructions(f);
    return n;
}

void piece_free(Piece *p) {
    if (p->object) LLVMDisposeMemoryBuffer(p->object);
    if (p->error) LLVMDisposeMessage(p->error);
    if (p->lost) return;
    LLVMDisposeModule(p->module);
    LLVMContextDispose(p->cx);
}

/* ---- the crew ------------------------------------------------------------------------------------------ */

enum { MAX_CREW = 16 };

/* Pieces of a kind: those that are waited for first, those for later. */
typedef struct {
    Piece *waiting;                     /* without a thread */
    int    unmade;                      /* waiting or in work */
} Queue;

struct Crew {
    Target          target;
    int             level;
    int             size, running;      /* threads that it may have; that were started */
    pthread_t       thread[MAX_CREW];
    pthread_mutex_t lock;               /* of what follows */
    pthread_cond_t  news;
    Queue           queue[2];           /* by Piece.later */
    bool            closed;             /* there will be no more */
};

Crew *crew_new(Arena *a, const Target *t, int level, int n) {
    Crew *c = ARENA_NEW(a, Crew);
    c->target = *t;
    c->level = level;
    c->size = n < MAX_CREW ? n : MAX_CREW;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    return c;
}

/* Takes the largest piece out of the queue, so that the last ones to be made are short. NULL: it is empty. */
static Piece *pop(Queue *q) {
    Piece **best = &q->waiting;
    for (Piece **p = best; *p; p = &(*p)->next)
        if ((*p)->instructions > (*best)->instructions) best = p;
    Piece *p = *best;
    if (p) *best = p->next;
    return p;
}

/* Makes the object code of a piece; called with the lock, which it gives back meanwhile. */
static void make_piece(Crew *c, Piece *p, LLVMTargetMachineRef m) {
    pthread_mutex_unlock(&c->lock);
    make_object(p, m, &c->target, c->level);
    pthread_mutex_lock(&c->lock);
    c->queue[p->later].unmade--;
    pthread_cond_broadcast(&c->news);
}

static void *run_thread(void *crew) {
    Crew                *c = crew;
    LLVMTargetMachineRef m = codegen_machine(&c->target, c->level, false);
    pthread_mutex_lock(&c->lock);
    for (;;) {
        Piece *p = pop(&c->queue[0]);
        if (!p) p = pop(&c->queue[1]);
        if (p) make_piece(c, p, m);
        else if (c->closed) break;
        else pthread_cond_wait(&c->news, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    LLVMDisposeTargetMachine(m);
    return NULL;
}

/* Signals are the main thread's business: it may be training already. */
static void start_thread(Crew *c) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&c->thread[c->running], NULL, run_thread, c)) c->running++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Where the system refuses a thread, the others and the caller of crew_wait do its work. */
void crew_add(Crew *c, Piece *p) {
    Queue *q = &c->queue[p->later];
    p->instructions = piece_instructions(p);
    pthread_mutex_lock(&c->lock);
    p->next = q->waiting;
    q->waiting = p;
    q->unmade++;
    pthread_cond_signal(&c->news);
    pthread_mutex_unlock(&c->lock);
    if (c->running < c->size) start_thread(c);
}

void crew_wait(Crew *c, LLVMTargetMachineRef m, bool later) {
    pthread_mutex_lock(&c->lock);
    for (Queue *q = &c->queue[later]; q->unmade;) {
        Piece *p = pop(q);
        if (p) make_piece(c, p, m);
        else pthread_cond_wait(&c->news, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

void crew_end(Crew *c) {
    pthread_mutex_lock(&c->lock);
    c->closed = true;
    c->queue[0].waiting = c->queue[1].waiting = NULL;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->running; i++) pthread_join(c->thread[i], NULL);
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->lock);
}

/* ---- all pieces ---------------------------------------------------------------------------------------- */

/* Waits for those that are for later or those that are not. */
static bool made(Codegen *cg, bool later, const char **why) {
    if (cg->crew) crew_wait(cg->crew, cg->machine, later);
    for (int i = 0; i < cg->pieces.n; i++) {
        const Piece *p = cg->pieces.at[i];
        if (p->later != later || p->object) continue;
        *why = arena_strdup(cg->arena, p->error);
        return false;
    }
    return true;
}

static void end_crew(Codegen *cg) {
    if (cg->crew) crew_end(cg->crew);
    cg->crew = NULL;
}

bool codegen_finish(Codegen *cg, const char **why) {
    if (cg->finished) return true;
    Piece *open = cg->pieces.at[cg->pieces.n - 1];
    if (cg->crew) crew_add(cg->crew, open);
    else make_object(open, cg->machine, &cg->target, cg->level);
    cg->finished = made(cg, false, why);
    if (!cg->later) end_crew(cg);
    return cg->finished;
}

bool codegen_finish_later(Codegen *cg, const char **why) {
    bool ok = made(cg, true, why);
    end_crew(cg);
    return ok;
}
