/* Threads: every thread takes part in every call, barriers hold, denormals are flushed in all of them. */
#include "runtime_files.h"

#include <stdatomic.h>
#include <time.h>

#include "runtime/pool.h"

enum { ROUNDS = 200, MOST = 5 };

typedef struct {
    netc_pool *pool;
    atomic_int calls[MOST];
    int        before[MOST], seen[MOST][ROUNDS];        /* what a thread sees of the others after a barrier */
    float      tiny, product[MOST];
} work;

static void count_up(void *cx, uint32_t tid, uint32_t n) {
    work *w = cx;
    atomic_fetch_add(&w->calls[tid], 1);
    for (int round = 0; round < ROUNDS; round++) {
        w->before[tid] = round + 1;
        netc_pool_barrier(w->pool);
        for (uint32_t i = 0; i < n; i++) w->seen[tid][round] += w->before[i];
        netc_pool_barrier(w->pool);
    }
}

static void every_thread_and_barrier(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST; threads++) {
        work *w = calloc(1, sizeof *w);
        w->pool = netc_pool_new(threads);
        assert_int_equal(netc_pool_threads(w->pool), threads);
        for (int call = 0; call < 20; call++) {
            memset(w->seen, 0, sizeof w->seen);
            netc_pool_run(w->pool, count_up, w);
            for (int t = 0; t < threads; t++)
                for (int round = 0; round < ROUNDS; round++) assert_int_equal(w->seen[t][round], threads * (round + 1));
        }
        for (int t = 0; t < threads; t++) assert_int_equal(w->calls[t], 20);
        netc_pool_free(w->pool);
        free(w);
    }
}

static void multiply_tiny(void *cx, uint32_t tid, uint32_t n) {
    (void)n;
    work *w = cx;
    volatile float tiny = w->tiny, half = 0.5f;
    w->product[tid] = tiny * half;
}

static void denormals_are_flushed(void **state) {
    (void)state;
    volatile float tiny = 1.17549435e-38f, half = 0.5f;         /* the least normal number */
    work          *w = calloc(1, sizeof *w);
    w->tiny = tiny;
    w->pool = netc_pool_new(3);
    netc_pool_run(w->pool, multiply_tiny, w);
    for (int t = 0; t < 3; t++) assert_true(w->product[t] == 0);
    assert_true(tiny * half > 0);                               /* the caller's mode is back */
    netc_pool_free(w->pool);
    free(w);
}

static void add_call(void *cx, uint32_t tid, uint32_t n) {
    (void)n;
    atomic_fetch_add(&((work *)cx)->calls[tid], 1);
}

/* Workers that went to sleep between calls wake up for the next one. */
static void sleepers_wake(void **state) {
    (void)state;
    work *w = calloc(1, sizeof *w);
    w->pool = netc_pool_new(3);
    for (int call = 0; call < 10; call++) {
        netc_pool_run(w->pool, add_call, w);
        nanosleep(&(struct timespec){.tv_nsec = call % 2 ? 10000000 : 2000000}, NULL);
    }
    for (int t = 0; t < 3; t++) assert_int_equal(w->calls[t], 10);
    netc_pool_free(w->pool);
    free(w);
}

enum { PIECES = 300 };

typedef struct {
    work       w;
    atomic_int done[PIECES];
} idle;

static void count_piece(void *cx, uint32_t i) { atomic_fetch_add(&((idle *)cx)->done[i], 1); }

/* Work for waiting threads: every piece once, with and without calls beside it, and the next one follows at once. */
static void pieces_are_done_meanwhile(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST; threads++) {
        idle *t = calloc(1, sizeof *t);
        t->w.pool = netc_pool_new(threads);
        netc_pool_finish(t->w.pool);                            /* nothing yet */
        for (int round = 0; round < 60; round++) {
            uint32_t count = (uint32_t)(round * 7 % PIECES);
            memset(t->done, 0, sizeof t->done);
            netc_pool_meanwhile(t->w.pool, count_piece, t, count);
            if (round % 3) netc_pool_run(t->w.pool, round % 3 == 1 ? add_call : count_up, &t->w);
            if (round % 2) netc_pool_finish(t->w.pool);
            else netc_pool_meanwhile(t->w.pool, count_piece, t, 0);
            for (uint32_t i = 0; i < PIECES; i++) assert_int_equal(t->done[i], i < count);
        }
        netc_pool_free(t->w.pool);
        free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_and_barrier),
        cmocka_unit_test(denormals_are_flushed),
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(pieces_are_done_meanwhile),
    };
    return cmocka_run_group_tests_name("runtime/pool", tests, NULL, NULL);
}
