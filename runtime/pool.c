#include "runtime/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rt_util.h"

/* A waiting thread looks this often in a tight loop, then gives its CPU to others between looks. The
 * number adapts: a wait that takes longer than SHORT_SECONDS means that the thread waited for has no CPU
 * (the machine is busy), and then every turn of the tight loop keeps it from getting one. */
enum { LEAST_SPINS = 16, MOST_SPINS = 256 };
static const double SHORT_SECONDS = 50e-6;
/* Between calls a thread that found no work for this long goes to sleep. */
static const double DOZE_SECONDS = 2e-3;

typedef struct {
    netc_pool *pool;
    uint32_t   tid;
    pthread_t  thread;
} worker;

struct netc_pool {
    /* Fields that threads write while others wait on them have a cache line of their own. */
    _Alignas(64) atomic_uint call;          /* counts calls; a change is the start signal */
    _Alignas(64) atomic_uint running;       /* workers that are still in the task */
    _Alignas(64) atomic_uint arrived;       /* at the barrier */
    _Alignas(64) atomic_uint phase;         /* counts barriers passed */
    _Alignas(64) atomic_uint sleeping;
    _Alignas(64) atomic_ullong begun;       /* work for threads that wait, see BEGUN_* */
    atomic_uint     done;                   /* pieces of it */
    netc_pool_work *work;
    void           *work_cx;
    _Alignas(64) atomic_int spins;          /* how long waits spin at present */
    netc_pool_task *task;
    void           *cx;
    uint32_t        nthreads;
    bool            own_cpus;               /* there are as many CPUs as threads */
    bool            quit;
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    worker         *worker;                 /* nthreads - 1 */
};

/* ---- floating-point mode ---------------------------------------------------------------------------- */

#if defined(__x86_64__)
static uint64_t flush_denormals(void) {
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040u);           /* flush-to-zero, denormals-are-zero */
    return before;
}

static void restore_denormals(uint64_t mode) { __builtin_ia32_ldmxcsr((unsigned)mode); }
#elif defined(__aarch64__)
static uint64_t flush_denormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | UINT64_C(1) << 24));
    return before;
}

static void restore_denormals(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static uint64_t flush_denormals(void) { return 0; }
static void     restore_denormals(uint64_t mode) { (void)mode; }
#endif

/* ---- waiting ---------------------------------------------------------------------------------------- */

static inline void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool changed(atomic_uint *word, unsigned old) {
    return atomic_load_explicit(word, memory_order_acquire) != old;
}

/* One word says which work it is, of how many pieces, and how many were begun: who takes a piece knows that it belongs
 * to the work whose `work` and `work_cx` stand there until it is done. */
enum { BEGUN_BITS = 24 };
static const uint64_t BEGUN_MASK = (UINT64_C(1) << BEGUN_BITS) - 1;

static uint32_t pieces_of(uint64_t begun) { return (uint32_t)(begun >> BEGUN_BITS & BEGUN_MASK); }

/* Does one piece of the work for threads that wait, if there is any. */
static bool work_meanwhile(netc_pool *p) {
    unsigned long long begun = atomic_load_explicit(&p->begun, memory_order_acquire);
    do {
        if ((begun & BEGUN_MASK) >= pieces_of(begun)) return false;
    } while (!atomic_compare_exchange_weak_explicit(&p->begun, &begun, begun + 1, memory_order_acq_rel,
                                                    memory_order_acquire));
    p->work(p->work_cx, (uint32_t)(begun & BEGUN_MASK));
    atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
    return true;
}

/* Waits until *word differs from `old`: spins, then yields. Gives up after `limit` seconds (0: never);
 * true if the word changed. */
static bool wait_change(netc_pool *p, atomic_uint *word, unsigned old, double limit) {
    int spins = atomic_load_explicit(&p->spins, memory_order_relaxed);
    while (!changed(word, old) && work_meanwhile(p)) {}
    for (int i = 0; i < spins; i++) {
        if (changed(word, old)) return true;
        cpu_relax();
    }
    double start = netc_seconds();
    while (!changed(word, old)) {
        sched_yield();
        if (limit > 0 && netc_seconds() - start > limit) return false;
    }
    bool quick = netc_seconds() - start < SHORT_SECONDS;
    spins = quick ? 2 * spins : spins / 4;
    spins = spins < LEAST_SPINS ? LEAST_SPINS : spins > MOST_SPINS ? MOST_SPINS : spins;
    if (p->own_cpus) atomic_store_explicit(&p->spins, spins, memory_order_relaxed);
    return true;
}

static void sleep_until_call(netc_pool *p, unsigned old) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleeping, 1);
    while (atomic_load(&p->call) == old) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleeping, 1);
    pthread_mutex_unlock(&p->lock);
}

void netc_pool_barrier(void *pool) {
    netc_pool *p = pool;
    if (p->nthreads == 1) return;
    unsigned phase = atomic_load_explicit(&p->phase, memory_order_acquire);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) + 1 == p->nthreads) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&p->phase, 1, memory_order_release);
    } else {
        wait_change(p, &p->phase, phase, 0);
    }
}

/* ---- threads ---------------------------------------------------------------------------------------- */

static void *worker_main(void *arg) {
    worker    *w = arg;
    netc_pool *p = w->pool;
    unsigned   seen = 0;
    flush_denormals();
    for (;;) {
        if (!wait_change(p, &p->call, seen, DOZE_SECONDS)) sleep_until_call(p, seen);
        seen++;
        if (p->quit) return NULL;
        p->task(p->cx, w->tid, p->nthreads);
        atomic_fetch_sub_explicit(&p->running, 1, memory_order_acq_rel);
    }
}

/* Lets the workers see a new call: the task for them, or quit. */
static void signal_call(netc_pool *p) {
    atomic_fetch_add(&p->call, 1);
    if (!atomic_load(&p->sleeping)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void netc_pool_run(netc_pool *p, netc_pool_task *task, void *cx) {
    uint64_t mode = flush_denormals();
    uint32_t others = p->nthreads - 1;
    if (others) {
        p->task = task;
        p->cx = cx;
        atomic_store_explicit(&p->running, others, memory_order_relaxed);
        signal_call(p);
    }
    task(cx, 0, p->nthreads);
    unsigned left;
    while ((left = atomic_load_explicit(&p->running, memory_order_acquire))) wait_change(p, &p->running, left, 0);
    restore_denormals(mode);
}

void netc_pool_finish(netc_pool *p) {
    while (work_meanwhile(p)) {}
    uint32_t count = pieces_of(atomic_load_explicit(&p->begun, memory_order_relaxed));
    for (int i = 0; atomic_load_explicit(&p->done, memory_order_acquire) < count; i++) {
        if (i < MOST_SPINS) cpu_relax();
        else sched_yield();
    }
}

void netc_pool_meanwhile(netc_pool *p, netc_pool_work *work, void *cx, uint32_t count) {
    netc_pool_finish(p);
    p->work = work;
    p->work_cx = cx;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    uint64_t number = (atomic_load_explicit(&p->begun, memory_order_relaxed) >> 2 * BEGUN_BITS) + 1;
    atomic_store_explicit(&p->begun, number << 2 * BEGUN_BITS | (uint64_t)count << BEGUN_BITS, memory_order_release);
}

int netc_default_threads(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n < 1 ? 1 : n > NETC_MAX_THREADS ? NETC_MAX_THREADS : n;
}

/* Workers never run signal handlers: those belong to the thread that trains. They cannot use the pool
 * before the first call, so its size may still shrink here. */
static void start_workers(netc_pool *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    uint32_t wanted = p->nthreads, n = 1;
    for (; n < wanted; n++) {
        worker *w = &p->worker[n - 1];
        *w = (worker){.pool = p, .tid = n};
        if (pthread_create(&w->thread, NULL, worker_main, w)) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->nthreads = n;
    if (n < wanted) netc_warning("the system allows %u threads instead of %u: results are the same", n, wanted);
}

netc_pool *netc_pool_new(int threads) {
    netc_pool *p = aligned_alloc(64, sizeof *p);
    if (!p) exit(netc_error(NETC_EXIT_LIMIT, "no memory for the thread pool"));
    memset(p, 0, sizeof *p);
    int cpus = netc_default_threads();
    if (threads <= 0) threads = cpus;
    if (threads > NETC_MAX_THREADS) threads = NETC_MAX_THREADS;
    p->nthreads = (uint32_t)threads;
    p->own_cpus = threads <= cpus;
    p->spins = p->own_cpus ? LEAST_SPINS : 0;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->worker = netc_array((size_t)threads, sizeof *p->worker);
    start_workers(p);
    return p;
}

void netc_pool_free(netc_pool *p) {
    if (!p) return;
    p->quit = true;
    signal_call(p);
    for (uint32_t i = 1; i < p->nthreads; i++) pthread_join(p->worker[i - 1].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p->worker);
    free(p);
}

int netc_pool_threads(const netc_pool *p) { return (int)p->nthreads; }
