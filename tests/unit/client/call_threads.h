/* A call of a compiled function as a pool makes it, in any program that knows netc's ABI alone. */
#ifndef NETC_TESTS_CALL_THREADS_H
#define NETC_TESTS_CALL_THREADS_H
#include <pthread.h>

#include "runtime/netc_rt.h"

enum { MAX_CALL_THREADS = 8 };

typedef struct {
    netc_function   *fn;
    const netc_args *args;
    uint32_t         tid, n;
} CallThread;

static inline void call_barrier(void *pool) { pthread_barrier_wait(pool); }

static inline void *call_work(void *thread) {
    CallThread *t = thread;
    t->fn(t->args, t->tid, t->n);
    return NULL;
}

/* On n <= MAX_CALL_THREADS threads; sets the barrier of args. */
static inline void call_threads(netc_function *fn, netc_args *args, uint32_t n) {
    pthread_barrier_t all;
    pthread_t         thread[MAX_CALL_THREADS];
    CallThread        t[MAX_CALL_THREADS];
    pthread_barrier_init(&all, NULL, n);
    args->barrier = n > 1 ? call_barrier : NULL;
    args->pool = &all;
    for (uint32_t i = 0; i < n; i++) t[i] = (CallThread){fn, args, i, n};
    for (uint32_t i = 1; i < n; i++) pthread_create(&thread[i], NULL, call_work, &t[i]);
    call_work(&t[0]);
    for (uint32_t i = 1; i < n; i++) pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&all);
}

#endif
