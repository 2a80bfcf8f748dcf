/* Threads that stay: one parallel region per call of a compiled function.
 *
 * Every thread runs the same task with its own number; the caller is thread 0. How the work is split is
 * the task's business (compiled code splits by shapes only, so results do not depend on the number of
 * threads). While a task runs, denormal numbers are flushed to zero in every thread; the caller's own
 * mode is restored when the call returns.
 */
#ifndef NETC_RUNTIME_POOL_H
#define NETC_RUNTIME_POOL_H
#include <stdint.h>

typedef struct netc_pool netc_pool;
typedef void netc_pool_task(void *cx, uint32_t tid, uint32_t nthreads);

enum { NETC_MAX_THREADS = 1024 };

/* threads 0: one per CPU that this process may use. Where the system refuses a thread the pool is
 * smaller (a warning says so). Never NULL. */
netc_pool *netc_pool_new(int threads);
void       netc_pool_free(netc_pool *p);                /* NULL is allowed */
int        netc_pool_threads(const netc_pool *p);
int        netc_default_threads(void);

/* Returns when the task has returned in every thread. Not re-entrant: one caller at a time. */
void netc_pool_run(netc_pool *p, netc_pool_task *task, void *cx);
/* Work for threads that wait: work(cx, i) for each i below `count` (less than 2^24), once, in any thread and order,
 * beside the calls that follow; what was left of earlier such work is done first. It may use nothing of the pool. */
typedef void netc_pool_work(void *cx, uint32_t i);
void netc_pool_meanwhile(netc_pool *p, netc_pool_work *work, void *cx, uint32_t count);
/* Does what is left and returns when all of it is done. Outside of tasks. */
void netc_pool_finish(netc_pool *p);
/* Inside a task: waits for all threads of the pool. The type is that of netc_args.barrier. */
void netc_pool_barrier(void *pool);

#endif
