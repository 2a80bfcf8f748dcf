/* A program that knows a model by its header alone (the toy of test_codegen_c_api.c). Exits with the line of the first
 * expectation that fails. The arrays it hands over end where the readable memory ends. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "toy.h"

#ifdef __SSE__
#include <xmmintrin.h>
#else
static unsigned _mm_getcsr(void) { return 0; }
#endif

#define EXPECT(x) do { if (!(x)) exit(__LINE__ % 250 + 1); } while (0)

/* n bytes that end at the end of a page, with no page behind. */
static void *at_edge(size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (n + page - 1) / page * page;
    char  *p = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(p != MAP_FAILED);
    EXPECT(!mprotect(p + size, page, PROT_NONE));
    return p + size - n;
}

static void *block(size_t size) {
    void *p = NULL;
    EXPECT(!posix_memalign(&p, TOY_ALIGN, size + TOY_ALIGN));
    memset(p, 0x7f, size + TOY_ALIGN);
    return p;
}

static void *weights, *state, *opt, *arena;
static float *x, *y;
static int32_t *k;
static uint8_t *low;

static toy_scale_io good(void) {
    toy_scale_io io;
    io.size = sizeof io;
    io.count = 3;
    io.x = x;
    io.int_ = k;
    io.out0 = y;
    io.out_x = low;
    return io;
}

static int scale(const toy_scale_io *io) { return toy_scale(io, weights, state, arena, TOY_SCALE_ARENA_SIZE); }

static void test_results(void) {
    toy_scale_io io = good();
    unsigned     mode = _mm_getcsr();
    EXPECT(scale(&io) == TOY_OK);
    EXPECT(_mm_getcsr() == mode);
    for (int b = 0; b < 3; b++) {
        for (int j = 0; j < 3; j++) EXPECT(y[3 * b + j] == x[3 * b + j] * (float)(7 + j) + 2.0f + (float)k[b] + 0.25f);
        EXPECT(low[b] == (x[3 * b] < 0));
    }
    EXPECT(((float *)state)[16] == 6.0f);
    x[0] = -1e-41f;                       /* a denormal counts as 0 in the code, not before and behind */
    EXPECT(scale(&io) == TOY_OK && low[0] == 0 && x[0] < 0);
    x[0] = -4.0f;
    io.out0 = NULL;
    io.out_x = NULL;
    EXPECT(scale(&io) == TOY_OK && ((float *)state)[16] == 8.0f);
}

static void test_refusals(void) {
    toy_scale_io io = good();
    EXPECT(scale(NULL) == TOY_ENULL);
    io.x = NULL;
    EXPECT(scale(&io) == TOY_ENULL);
    io = good(), io.size -= 1;
    EXPECT(scale(&io) == TOY_ESIZE);
    io = good(), io.count = 0;
    EXPECT(scale(&io) == TOY_ECOUNT);
    io.count = TOY_BATCH + 1;
    EXPECT(scale(&io) == TOY_ECOUNT);
    io = good(), io.x = (const float *)((const char *)x - 2);
    EXPECT(scale(&io) == TOY_EALIGN);
    io = good(), io.out0 = (float *)((char *)y - 1);
    EXPECT(scale(&io) == TOY_EALIGN);
    io = good(), k[2] = 4;
    EXPECT(scale(&io) == TOY_ERANGE);
    k[2] = -1;
    EXPECT(scale(&io) == TOY_ERANGE);
    k[2] = 3;
    EXPECT(toy_scale(&io, NULL, state, arena, TOY_SCALE_ARENA_SIZE) == TOY_ENULL);
    EXPECT(toy_scale(&io, (char *)weights + 4, state, arena, TOY_SCALE_ARENA_SIZE) == TOY_EALIGN);
    EXPECT(toy_scale(&io, weights, NULL, arena, TOY_SCALE_ARENA_SIZE) == TOY_ENULL);
    EXPECT(toy_scale(&io, weights, state, NULL, TOY_SCALE_ARENA_SIZE) == TOY_ENULL);
    EXPECT(toy_scale(&io, weights, state, (char *)arena + 32, TOY_SCALE_ARENA_SIZE) == TOY_EALIGN);
    EXPECT(toy_scale(&io, weights, state, arena, TOY_SCALE_ARENA_SIZE - 1) == TOY_ESIZE);
    EXPECT(((float *)state)[16] == 8.0f);
}

static void test_training(void) {
    toy_train_step_io io;
    float             loss, good_share;
    memset(&io, 0, sizeof io);
    io.size = sizeof io;
    io.count = TOY_BATCH - 1;
    io.x = x;
    io.loss = &loss;
    io.metric_good = &good_share;
    io.step = 100;
    io.seed = 77;
    io.eta = 0.5f;
    io.epoch = 2.0f;
    io.batches = 50.0f;
    io.progress = 0.5f;
    float before = ((float *)weights)[16];
    EXPECT(toy_train_step(&io, weights, opt, state, arena, TOY_TRAIN_STEP_ARENA_SIZE) == TOY_OK);
    EXPECT(((float *)weights)[16] == before - 0.5f * x[0]);
    EXPECT(((float *)opt)[0] == 1.5f);
    EXPECT(loss == 152.5f && good_share == 77.0f);
    EXPECT(toy_train_step(&io, weights, NULL, state, arena, TOY_TRAIN_STEP_ARENA_SIZE) == TOY_ENULL);
}

/* Tensors by key: a (offset 0), s (the shared state), w. */
static void test_packing(void) {
    float *plain = at_edge(TOY_PLAIN_COUNT * sizeof(float)), back[TOY_PLAIN_COUNT];
    EXPECT(TOY_PLAIN_COUNT == 5);
    EXPECT(toy_unpack(plain, weights, state) == TOY_OK);
    EXPECT(plain[0] == -1.0f && plain[1] == 2.0f && plain[3] == 8.0f && plain[4] == 9.0f);
    for (int i = 0; i < TOY_PLAIN_COUNT; i++) plain[i] = (float)(10 + i);
    EXPECT(toy_pack(plain, weights, state) == TOY_OK);
    EXPECT(toy_unpack(back, weights, state) == TOY_OK);
    EXPECT(!memcmp(plain, back, sizeof back));
    EXPECT(((float *)state)[0] == 11.0f && ((float *)weights)[0] == 10.0f && ((float *)weights)[16] == 12.0f);
    EXPECT(toy_pack(NULL, weights, state) == TOY_ENULL);
}

int main(void) {
    weights = block(TOY_WEIGHTS_SIZE), state = block(TOY_STATE_SIZE), opt = block(TOY_OPT_SIZE);
    arena = block(TOY_SCALE_ARENA_SIZE + TOY_TRAIN_STEP_ARENA_SIZE + TOY_INIT_ARENA_SIZE);
    x = at_edge(3 * TOY_SCALE_X_COUNT * sizeof *x), y = at_edge(3 * TOY_SCALE_OUT0_COUNT * sizeof *y);
    k = at_edge(3 * sizeof *k), low = at_edge(3);
    for (int i = 0; i < 9; i++) x[i] = (float)(i - 4);
    for (int i = 0; i < 3; i++) k[i] = i + 1;
    EXPECT(toy_init(weights, 7, arena, TOY_INIT_ARENA_SIZE) == TOY_OK);
    EXPECT(toy_reset(opt, NULL) == TOY_OK && toy_reset(NULL, state) == TOY_OK);
    EXPECT(((float *)opt)[2] == 0.5f && ((float *)state)[0] == 2.0f && ((float *)state)[16] == 5.0f);
    test_results();
    test_refusals();
    test_training();
    test_packing();
    return 0;
}
