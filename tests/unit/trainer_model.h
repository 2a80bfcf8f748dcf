/* A model by hand, as the compiler would make it: softmax regression with momentum, a running mean of
 * the inputs (a shared state), noise that depends on (seed, step, row), a step size that falls with
 * `progress`. The work is split over threads by class, so every thread count gives the same bits. */
#ifndef NETC_TESTS_TRAINER_MODEL_H
#define NETC_TESTS_TRAINER_MODEL_H
#include <math.h>
#include <string.h>

#include "runtime/netc_rt.h"

enum { TM_X = 4, TM_CLASSES = 3, TM_BATCH = 8, TM_B_AT = 16, TM_SCALARS = 6 };

/* Set by a test: raise `tm_signal` in step `tm_signal_step`; make the loss nan from `tm_nan_step` on. */
static long tm_signal_step = -1, tm_nan_step = -1, tm_train_calls, tm_eval_calls;
static int  tm_signal;

static float tm_noise(const netc_args *a, long row) {
    uint64_t h = (a->seed * UINT64_C(0x9E3779B97F4A7C15)) ^ (a->step * UINT64_C(0xBF58476D1CE4E5B9)) ^ (uint64_t)row;
    h = (h ^ h >> 29) * UINT64_C(0x94D049BB133111EB);
    return 1.0f + 0.01f * (float)(h >> 40) / 16777216.0f;
}

/* softmax of W (x - mu) + b for one row; logits in p[TM_CLASSES]. */
static void tm_forward(const netc_args *a, long row, float scale, float *p) {
    const float *x = (const float *)a->in[0] + row * TM_X, *w = a->weights, *b = a->weights + TM_B_AT, *mu = a->state;
    float        top = -INFINITY, sum = 0;
    for (int k = 0; k < TM_CLASSES; k++) {
        p[k] = b[k];
        for (int i = 0; i < TM_X; i++) p[k] += w[k * TM_X + i] * (x[i] - mu[i]) * scale;
        if (p[k] > top) top = p[k];
    }
    for (int k = 0; k < TM_CLASSES; k++) sum += p[k] = expf(p[k] - top);
    for (int k = 0; k < TM_CLASSES; k++) p[k] /= sum;
}

static int tm_argmax(const float *p) {
    int best = 0;
    for (int k = 1; k < TM_CLASSES; k++)
        if (p[k] > p[best]) best = k;
    return best;
}

static void tm_wait(const netc_args *a) {
    if (a->barrier) a->barrier(a->pool);
}

static void tm_scores(const netc_args *a, const float *p) {
    const int32_t *label = a->in[1];
    double         loss = 0;
    int            right = 0;
    for (long r = 0; r < a->bound[1]; r++) {
        loss -= log((double)p[r * TM_CLASSES + label[r]]);
        right += tm_argmax(p + r * TM_CLASSES) == label[r];
    }
    *(float *)a->out[0] = (float)(loss / (double)a->bound[1]);
    *(float *)a->out[1] = (float)right;
}

/* Gradients of class k: d[TM_X] for its weights, the return value for its bias. */
static float tm_gradient(const netc_args *a, const float *p, int k, float *d) {
    const int32_t *label = a->in[1];
    float          db = 0;
    memset(d, 0, TM_X * sizeof *d);
    for (long r = 0; r < a->bound[1]; r++) {
        const float *x = (const float *)a->in[0] + r * TM_X;
        float        e = (p[r * TM_CLASSES + k] - (label[r] == k)) / (float)a->bound[1];
        db += e;
        for (int i = 0; i < TM_X; i++) d[i] += e * (x[i] - a->state[i]);
    }
    return db;
}

static void tm_train(const netc_args *a, uint32_t tid, uint32_t n) {
    float *p = (float *)(void *)a->arena;
    for (long r = tid; r < a->bound[1]; r += n) tm_forward(a, r, tm_noise(a, r), p + r * TM_CLASSES);
    tm_wait(a);
    float rate = a->scalars[0] * (1 - 0.5f * a->scalars[5]);
    for (int k = (int)tid; k < TM_CLASSES; k += (int)n) {
        float d[TM_X], *v = a->opt + k * TM_X, *vb = a->opt + TM_B_AT + k;
        float db = tm_gradient(a, p, k, d);
        for (int i = 0; i < TM_X; i++) {
            v[i] = a->scalars[1] * v[i] + d[i];
            a->weights[k * TM_X + i] -= rate * v[i];
        }
        *vb = a->scalars[1] * *vb + db;
        a->weights[TM_B_AT + k] -= rate * *vb;
    }
    tm_wait(a);
    if (tid) return;
    tm_scores(a, p);
    for (int i = 0; i < TM_X; i++) {
        float mean = 0;
        for (long r = 0; r < a->bound[1]; r++) mean += ((const float *)a->in[0])[r * TM_X + i] / (float)a->bound[1];
        a->state[i] = 0.9f * a->state[i] + 0.1f * mean;
    }
    tm_train_calls++;
    if (tm_nan_step >= 0 && (long)a->step >= tm_nan_step) *(float *)a->out[0] = NAN;
    if (tm_signal && (long)a->step == tm_signal_step) raise(tm_signal);
}

static void tm_eval(const netc_args *a, uint32_t tid, uint32_t n) {
    float *p = (float *)(void *)a->arena;
    for (long r = tid; r < a->bound[1]; r += n) tm_forward(a, r, 1, p + r * TM_CLASSES);
    tm_wait(a);
    if (tid) return;
    tm_scores(a, p);
    tm_eval_calls++;
}

static void tm_init(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (int i = 0; i < TM_CLASSES * TM_X && !tid; i++) ((float *)a->out[0])[i] = 0.5f * (tm_noise(a, i) - 1.005f) * 100;
    for (int k = 0; k < TM_CLASSES && !tid; k++) ((float *)a->out[1])[k] = 0;
}

static void tm_grad(const netc_args *a, uint32_t tid, uint32_t n) {
    float *p = (float *)(void *)a->arena, right;
    (void)n;
    if (tid) return;
    for (long r = 0; r < a->bound[1]; r++) tm_forward(a, r, 1, p + r * TM_CLASSES);
    void     *out[2] = {a->out[0], &right};
    netc_args b = *a;
    b.out = out;
    tm_scores(&b, p);
    for (int k = 0; k < TM_CLASSES; k++) ((float *)a->out[2])[k] = tm_gradient(a, p, k, (float *)a->out[1] + k * TM_X);
    a->state[0] += 1000;                                /* must not be seen by the next batch */
}

static void tm_classify(const netc_args *a, uint32_t tid, uint32_t n) {
    for (long r = tid; r < a->bound[1]; r += n) {
        float p[TM_CLASSES];
        tm_forward(a, r, 1, p);
        ((int32_t *)a->out[0])[r] = tm_argmax(p);
    }
}

/* scores(x, heat = 2): p, logits / heat as a second result. */
static void tm_both(const netc_args *a, uint32_t tid, uint32_t n) {
    for (long r = tid; r < a->bound[1]; r += n) {
        float *p = (float *)a->out[0] + r * TM_CLASSES;
        tm_forward(a, r, 1, p);
        ((float *)a->out[1])[r] = p[0] / ((const float *)a->in[1])[r];
    }
}

/* The variant's integer is added to the first input, times 0.01. */
static void tm_expand(const netc_args *a, uint32_t tid, uint32_t n) {
    for (long r = tid; r < a->bound[1]; r += n)
        for (int i = 0; i < TM_X; i++)
            ((float *)a->out[0])[r * TM_X + i] =
                ((const float *)a->in[0])[r * TM_X + i] + (i ? 0 : 0.01f * (float)((const int32_t *)a->in[1])[r]);
}

static const netc_function_entry TM_FUNCTIONS[] = {
    {"train", tm_train}, {"eval", tm_eval}, {"init", tm_init}, {"grad", tm_grad},
    {"entry.classify", tm_classify}, {"entry.both", tm_both}, {"expand.0", tm_expand}, {NULL, NULL},
};

#define TM_PORT_X "{\"name\":\"x\",\"dtype\":\"f32\",\"shape\":[4]}"
#define TM_PORT_LABEL "{\"name\":\"label\",\"dtype\":\"i32\",\"shape\":[],\"dim\":\"Kind\",\"size\":3}"
#define TM_SCORES "{\"name\":\"loss\",\"dtype\":\"f32\",\"shape\":[],\"rows\":false}," \
                  "{\"name\":\"metric.accuracy\",\"dtype\":\"f32\",\"shape\":[],\"rows\":false}"
#define TM_SOURCE "{\"op\":\"source\",\"kind\":\"safetensors\",\"files\":[\"data.safetensors\"],\"args\":{},\"line\":1}"
#define TM_SLICE(lo, hi) "{\"op\":\"slice\",\"of\":" TM_SOURCE ",\"lo\":" #lo ",\"hi\":" #hi ",\"fraction\":false}"
#define TM_EXPANDED "{\"op\":\"expand\",\"of\":" TM_SLICE(0, 100) ",\"function\":\"expand.0\",\"field\":\"x\",\"variants\":[[0],[1],[-1]]}"

/* 100 examples train (12 full batches and one of 4), 40 validate, 60 test. `splits` and `train` in JSON. */
#define TM_DESCRIPTION(splits, train) \
    "{\"netc\":\"0.1.0\",\"name\":\"hand\",\"model\":\"Net\",\"hash\":\"0123456789abcdef\",\"target\":\"test\",\"cpu\":[]," \
    "\"batch\":8,\"dims\":[{\"name\":\"Kind\",\"size\":3}]," \
    "\"hypers\":[{\"name\":\"eta\",\"value\":0.1,\"grid\":[0.001,0.1]},{\"name\":\"mom\",\"value\":0.5,\"grid\":[0.0,0.5]}]," \
    "\"scalars\":[\"hyper.eta\",\"hyper.mom\",\"step\",\"epoch\",\"batches\",\"progress\"]," \
    "\"params\":[{\"key\":\"Net.w\",\"shape\":[3,4],\"offset\":0,\"init\":\"uniform\",\"orthogonal\":false}," \
    "{\"key\":\"Net.b\",\"shape\":[3],\"offset\":64,\"init\":\"zeros\",\"orthogonal\":false}]," \
    "\"states\":[{\"key\":\"Net.mu\",\"shape\":[4],\"offset\":0,\"lane\":false,\"init\":0}," \
    "{\"key\":\"Net.h\",\"shape\":[2],\"offset\":64,\"lane\":true,\"init\":0.5}]," \
    "\"opt\":[{\"key\":\"opt.v.Net.w\",\"shape\":[3,4],\"offset\":0,\"init\":0},{\"key\":\"opt.v.Net.b\",\"shape\":[3],\"offset\":64,\"init\":0}]," \
    "\"weights_size\":128,\"state_size\":128,\"opt_size\":128,\"step_flops\":100," \
    "\"functions\":[" \
    "{\"name\":\"train\",\"arena\":128,\"in\":[" TM_PORT_X "," TM_PORT_LABEL "],\"out\":[" TM_SCORES "]}," \
    "{\"name\":\"eval\",\"arena\":128,\"in\":[" TM_PORT_X "," TM_PORT_LABEL "],\"out\":[" TM_SCORES "]}," \
    "{\"name\":\"init\",\"arena\":0,\"in\":[],\"out\":[{\"name\":\"Net.w\",\"dtype\":\"f32\",\"shape\":[3,4],\"rows\":false}," \
    "{\"name\":\"Net.b\",\"dtype\":\"f32\",\"shape\":[3],\"rows\":false}]}," \
    "{\"name\":\"grad\",\"arena\":128,\"in\":[" TM_PORT_X "," TM_PORT_LABEL "],\"out\":[" \
    "{\"name\":\"loss\",\"dtype\":\"f32\",\"shape\":[],\"rows\":false}," \
    "{\"name\":\"grad.Net.w\",\"dtype\":\"f32\",\"shape\":[3,4],\"rows\":false}," \
    "{\"name\":\"grad.Net.b\",\"dtype\":\"f32\",\"shape\":[3],\"rows\":false}]}," \
    "{\"name\":\"entry.classify\",\"arena\":0,\"in\":[" TM_PORT_X "],\"out\":[{\"name\":\"0\",\"dtype\":\"i32\",\"shape\":[]," \
    "\"dim\":\"Kind\",\"size\":3}]}," \
    "{\"name\":\"entry.both\",\"arena\":0,\"in\":[" TM_PORT_X ",{\"name\":\"heat\",\"dtype\":\"f32\",\"shape\":[],\"default\":2}]," \
    "\"out\":[{\"name\":\"p\",\"dtype\":\"f32\",\"shape\":[3]},{\"name\":\"cool\",\"dtype\":\"f32\",\"shape\":[]}]}," \
    "{\"name\":\"expand.0\",\"arena\":0,\"in\":[" TM_PORT_X ",{\"name\":\"d\",\"dtype\":\"i32\",\"shape\":[]}],\"out\":[" TM_PORT_X "]}]," \
    "\"data\":{\"name\":\"Points\",\"fields\":[" TM_PORT_X "," TM_PORT_LABEL "],\"splits\":{" splits "}}," \
    "\"train\":{" train "}}"

#define TM_SPLITS "\"train\":" TM_SLICE(0, 100) ",\"valid\":" TM_SLICE(100, 140) ",\"test\":" TM_SLICE(140, 200)
#define TM_PLAN "\"seed\":1,\"batch\":8,\"epochs\":6,\"keep\":{\"key\":\"accuracy\",\"sign\":1},\"patience\":0," \
                "\"sweep\":[\"eta\",\"mom\"],\"ensemble\":1"
#define TM_PLAIN TM_DESCRIPTION(TM_SPLITS, TM_PLAN)

#endif
