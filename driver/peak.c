#include "driver/peak.h"

#include <string.h>

#include "driver/measure.h"
#include "runtime/rt_util.h"

static const double MEASURE_SECONDS = 0.1, READ_SECONDS = 0.02, CALL_SECONDS = 5e-4;
enum { LEAST_CALLS = 9 };
static const int64_t SMALLEST_READ = 16384, LARGEST_READ = (int64_t)1 << 29, READ_AT_ONCE = 1 << 24;

typedef struct {
    netc_pool       *pool;
    const PeakLoops *loops;
    bool             fed;
    int64_t          rounds;
    char            *block;     /* fed: operands of each thread, ROOM apart; read: what is read */
    int64_t          part;      /* read: bytes of one thread */
} Work;

/* The operands of one thread's loop, on pages of their own. */
enum { ROOM = 16384 };

static void work_task(void *cx, uint32_t tid, uint32_t nthreads) {
    const Work *w = cx;
    (void)nthreads;
    if (!w->fed) {
        w->loops->registers(w->rounds);
        return;
    }
    const char *panel = w->block + (size_t)tid * ROOM;
    w->loops->fed(w->rounds, (const float *)panel, (const float *)(panel + PEAK_PANEL_BYTES));
}

static void work_call(void *cx) {
    Work *w = cx;
    netc_pool_run(w->pool, work_task, w);
}

/* Gflop/s, of the best call: a ceiling is not lowered by what else the machine does. The number of rounds is such that
 * a call takes CALL_SECONDS: far above the cost of a call, short enough for many samples. */
static double work_rate(Work *w, double flops) {
    double seconds = 0;
    for (w->rounds = 256; seconds < CALL_SECONDS / 2; w->rounds *= 2) {
        double begun = netc_seconds();
        work_call(w);
        seconds = netc_seconds() - begun;
    }
    Timing t = measure(MEASURE_SECONDS, LEAST_CALLS, work_call, w);
    return 1e-9 * flops * (double)w->rounds * netc_pool_threads(w->pool) / t.min;
}

/* Numbers that neither grow without limit nor vanish: 1 for the panel, a thousandth for the rows. */
static void fill(char *block, uint64_t room) {
    float *f = (float *)block;
    for (uint64_t i = 0; i < room / sizeof *f; i++)
        f[i] = i % (ROOM / sizeof *f) < PEAK_PANEL_BYTES / sizeof *f ? 1 : 1e-3f;
}

Peak peak_measure(netc_pool *pool, const Target *t) {
    uint64_t         room = (uint64_t)netc_pool_threads(pool) * ROOM;
    const PeakLoops *loops = peak_loops(t);
    Work             w = {.pool = pool, .loops = loops, .block = netc_block_new(room, "operands of the peak loop")};
    Peak             p = {.registers = work_rate(&w, loops->registers_flops)};
    if (!w.block) return p;
    fill(w.block, room);
    w.fed = true;
    p.fed = work_rate(&w, loops->fed_flops);
    netc_block_free(w.block, room);
    return p;
}

static void read_task(void *cx, uint32_t tid, uint32_t nthreads) {
    const Work *w = cx;
    (void)nthreads;
    for (int64_t i = 0; i < w->rounds; i++) w->loops->read(w->block + (int64_t)tid * w->part, w->part);
}

static void read_call(void *cx) {
    Work *w = cx;
    netc_pool_run(w->pool, read_task, w);
}

double peak_bandwidth(netc_pool *pool, const Target *t, int64_t bytes) {
    int64_t size = SMALLEST_READ, threads = netc_pool_threads(pool);
    while (size < bytes && size < LARGEST_READ) size *= 2;
    int64_t part = (size / threads + 255) / 256 * 256;
    Work w = {
        .pool = pool, .loops = peak_loops(t), .part = part, .rounds = size < READ_AT_ONCE ? READ_AT_ONCE / size : 1};
    w.block = netc_block_new((uint64_t)(part * threads), "the memory that is read for its speed");
    if (!w.block) return 0;
    memset(w.block, 1, (size_t)(part * threads));
    Timing time = measure(READ_SECONDS, LEAST_CALLS, read_call, &w);
    netc_block_free(w.block, (uint64_t)(part * threads));
    return 1e-9 * (double)(part * threads * w.rounds) / time.min;
}
