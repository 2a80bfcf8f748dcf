/* From modules to object code. The pieces of a model are independent, so a crew of threads works on them, beginning
 * while the next ones are still emitted. A piece's code depends on the piece alone: not on the thread that makes
 * it, not on the order. */
#include <llvm-c/Analysis.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
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

static void make_object(Piece *p, LLVMTargetMachineRef m, int level) {
    if (p->object) return;
    piece_seal(p, m, level);
    double start = seconds();
    if (LLVMTargetMachineEmitToMemoryBuffer(m, p->module, LLVMObjectFile, &p->error, &p->object)) p->object = NULL;
    p->times.object += seconds() - start;
}

void piece_free(Piece *p) {
    if (p->object) LLVMDisposeMemoryBuffer(p->object);
    if (p->error) LLVMDisposeMessage(p->error);
    LLVMDisposeModule(p->module);
    LLVMContextDispose(p->cx);
}

/* ---- the crew ------------------------------------------------------------------------------------------ */

enum { MAX_CREW = 16 };

struct Crew {
    Target          target;
    int             level;
    int             size, running;      /* threads that it may have; that were started */
    pthread_t       thread[MAX_CREW];
    pthread_mutex_t lock;               /* of what follows */
    pthread_cond_t  news;
    Piece          *first, **last;      /* pieces without a thread */
    bool            closed;             /* there will be no more */
};

Crew *crew_new(Arena *a, const Target *t, int level, int n) {
    Crew *c = ARENA_NEW(a, Crew);
    c->target = *t;
    c->level = level;
    c->size = n < MAX_CREW ? n : MAX_CREW;
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    return c;
}

/* The next piece; waits for one unless there will be no more: NULL. */
static Piece *take(Crew *c) {
    pthread_mutex_lock(&c->lock);
    while (!c->first && !c->closed) pthread_cond_wait(&c->news, &c->lock);
    Piece *p = c->first;
    if (p && !(c->first = p->next)) c->last = &c->first;
    pthread_mutex_unlock(&c->lock);
    return p;
}

static void work(Crew *c, LLVMTargetMachineRef m) {
    for (Piece *p; (p = take(c));) make_object(p, m, c->level);
}

static void *run_thread(void *crew) {
    Crew                *c = crew;
    LLVMTargetMachineRef m = codegen_machine(&c->target, c->level);
    work(c, m);
    LLVMDisposeTargetMachine(m);
    return NULL;
}

/* Where the system refuses a thread, the others and crew_end's caller do its work. */
void crew_add(Crew *c, Piece *p) {
    pthread_mutex_lock(&c->lock);
    *c->last = p;
    c->last = &p->next;
    pthread_cond_signal(&c->news);
    pthread_mutex_unlock(&c->lock);
    if (c->running < c->size && !pthread_create(&c->thread[c->running], NULL, run_thread, c)) c->running++;
}

void crew_end(Crew *c, LLVMTargetMachineRef m, bool cancel) {
    pthread_mutex_lock(&c->lock);
    c->closed = true;
    if (cancel) c->first = NULL;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    work(c, m);
    for (int i = 0; i < c->running; i++) pthread_join(c->thread[i], NULL);
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->lock);
}

/* ---- all pieces ---------------------------------------------------------------------------------------- */

bool codegen_finish(Codegen *cg, const char **why) {
    if (cg->finished) return true;
    Piece *open = cg->pieces.at[cg->pieces.n - 1];
    if (cg->crew) {
        crew_add(cg->crew, open);
        crew_end(cg->crew, cg->machine, false);
        cg->crew = NULL;
    } else {
        make_object(open, cg->machine, cg->level);
    }
    for (int i = 0; i < cg->pieces.n; i++) {
        const Piece *p = cg->pieces.at[i];
        if (p->object) continue;
        *why = arena_strdup(cg->arena, p->error);
        return false;
    }
    return cg->finished = true;
}
