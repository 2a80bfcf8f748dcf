/* A model of sequences by hand, as the compiler would make it: a bigram table w[3][3] over the symbols a b c, whose
 * loss carries a lane state along, so that every bit of a run depends on the order of its batches, on the lengths
 * and on what was carried. Entries take and give sequences. */
#ifndef NETC_TESTS_SEQUENCE_MODEL_H
#define NETC_TESTS_SEQUENCE_MODEL_H
#include <math.h>
#include <signal.h>
#include <string.h>

#include "runtime/netc_rt.h"

enum { SM_V = 3, SM_T = 6, SM_N = 9, SM_BATCH = 4 };

static long sm_signal_step = -1, sm_steps, sm_work;    /* sm_work: steps of sequences up to the bounds */

/* Loss of row r: a soft bigram model, and the carried state pulls on it. Moves the state. */
static float sm_row(const netc_args *a, long r, float *gradient) {
    const int32_t *x = (const int32_t *)a->in[0] + r * SM_T, *y = (const int32_t *)a->in[1] + r * SM_T;
    float         *h = a->state + r, loss = 0;
    int            n = ((const int32_t *)a->in[2])[r];
    for (int t = 0; t < n; t++) {
        const float *w = a->weights + SM_V * x[t];
        float        sum = 0;
        *h = 0.5f * *h + (float)x[t];
        for (int k = 0; k < SM_V; k++) sum += expf(w[k]);
        loss += logf(sum) - w[y[t]] + 0.001f * *h;
        for (int k = 0; k < SM_V && gradient; k++)
            gradient[SM_V * x[t] + k] += expf(w[k]) / sum - (float)(k == y[t]);
    }
    for (int t = n; t < SM_T; t++)
        if (x[t] || y[t]) loss = NAN;                   /* padding is zero */
    return loss;
}

static void sm_objective(const netc_args *a, bool training) {
    float gradient[SM_V * SM_V] = {0}, loss = 0, steps = 0, most = 0;
    for (long r = 0; r < a->bound[1]; r++) {
        float n = (float)((const int32_t *)a->in[2])[r];
        loss += sm_row(a, r, gradient);
        steps += n;
        most = n > most ? n : most;
    }
    if (a->bound[2] != (int64_t)most) loss = NAN;
    if (training) {
        for (int i = 0; i < SM_V * SM_V; i++) a->weights[i] -= 0.1f * gradient[i] / (float)a->bound[1];
        sm_work += a->bound[2] * a->bound[1];
        sm_steps++;
        if ((long)a->step == sm_signal_step) raise(SIGTERM);
    }
    *(float *)a->out[0] = loss / (float)a->bound[1];
    *(float *)a->out[1] = loss;
    *(float *)a->out[2] = steps;
    *(float *)a->out[3] = steps;
}

static void sm_train(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    if (!tid) sm_objective(a, true);
}

static void sm_eval(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    if (!tid) sm_objective(a, false);
}

static void sm_init(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (int i = 0; i < SM_V * SM_V && !tid; i++) ((float *)a->out[0])[i] = 0.1f * (float)i;
}

/* echo(x: Char[T]) -> Char[T]: each symbol's successor; garbage past the length. */
static void sm_echo(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (long r = 0; r < a->bound[1] && !tid; r++) {
        const int32_t *x = (const int32_t *)a->in[0] + r * SM_T;
        int32_t       *y = (int32_t *)a->out[0] + r * SM_T, length = ((const int32_t *)a->in[1])[r];
        for (int t = 0; t < SM_T; t++) y[t] = t < length ? (x[t] + 1) % SM_V : 77;
    }
}

/* move(x: Char[T], v: [T]) -> Char[T]: x moved by v. */
static void sm_move(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (long r = 0; r < a->bound[1] && !tid; r++)
        for (int t = 0; t < SM_T; t++)
            ((int32_t *)a->out[0])[r * SM_T + t] =
                (((const int32_t *)a->in[0])[r * SM_T + t] + (int32_t)((const float *)a->in[1])[r * SM_T + t]) % SM_V;
}

/* grow(first: Char, step = 1) -> Char[N]: counts up; the length comes from outside. */
static void sm_grow(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (long r = 0; r < a->bound[1] && !tid; r++) {
        int32_t length = ((const int32_t *)a->in[2])[r], first = ((const int32_t *)a->in[0])[r];
        float   step = ((const float *)a->in[1])[r];
        for (int t = 0; t < length; t++)
            ((int32_t *)a->out[0])[r * SM_N + t] = (first + (int32_t)step * (t + 1) + (int32_t)a->step) % SM_V;
    }
}

/* until(x: Char[T]) -> Word[N]: as many words as x has symbols, then <eos>. */
static void sm_until(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (long r = 0; r < a->bound[1] && !tid; r++) {
        int32_t length = ((const int32_t *)a->in[1])[r];
        for (int t = 0; t < SM_N; t++) ((int32_t *)a->out[0])[r * SM_N + t] = t < length ? t % 2 : t == length ? 3 : 99;
        ((int32_t *)a->out[1])[r] = length + 1;
    }
}

/* sums(v: [T,2]) -> [T], Word: the sum of each step, and a word for the number of steps. */
static void sm_sums(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    for (long r = 0; r < a->bound[1] && !tid; r++) {
        const float *v = (const float *)a->in[0] + r * SM_T * 2;
        int32_t      length = ((const int32_t *)a->in[1])[r];
        for (int t = 0; t < SM_T; t++) ((float *)a->out[0])[r * SM_T + t] = v[2 * t] + v[2 * t + 1] + (t < length ? 0 : 5);
        ((int32_t *)a->out[1])[r] = length % 2;
    }
}

static void sm_grad(const netc_args *a, uint32_t tid, uint32_t n) {
    (void)n;
    float loss = 0;
    if (tid) return;
    memset(a->out[1], 0, sizeof(float) * SM_V * SM_V);
    for (long r = 0; r < a->bound[1]; r++) loss += sm_row(a, r, a->out[1]);
    for (int i = 0; i < SM_V * SM_V; i++) ((float *)a->out[1])[i] /= (float)a->bound[1];
    *(float *)a->out[0] = loss / (float)a->bound[1];
}

static const netc_function_entry SM_FUNCTIONS[] = {
    {"train", sm_train}, {"eval", sm_eval}, {"init", sm_init}, {"grad", sm_grad}, {"entry.echo", sm_echo},
    {"entry.grow", sm_grow}, {"entry.move", sm_move}, {"entry.until", sm_until}, {"entry.sums", sm_sums}, {NULL, NULL},
};

#define SM_CHARS(name) "{\"name\":\"" name "\",\"dtype\":\"i32\",\"shape\":[6],\"axes\":[\"T\"],\"dim\":\"Char\",\"size\":3}"
#define SM_WORDS "{\"name\":\"0\",\"dtype\":\"i32\",\"shape\":[9],\"axes\":[\"N\"],\"dim\":\"Word\",\"size\":4}"
#define SM_LENGTHS(dim) "{\"name\":\"" dim "\",\"dtype\":\"i32\",\"shape\":[],\"lengths\":true}"
#define SM_OUT(name) "{\"name\":\"" name "\",\"dtype\":\"f32\",\"shape\":[],\"rows\":false}"
#define SM_OBJECTIVE(name) "{\"name\":\"" name "\",\"arena\":0,\"bounds\":[\"n\",\"T\"],\"in\":[" SM_CHARS("x") "," \
    SM_CHARS("y") "," SM_LENGTHS("T") "],\"out\":[" SM_OUT("loss") "," SM_OUT("ratio.ppl.0") "," SM_OUT("ratio.ppl.1") \
    "," SM_OUT("metric.steps") "]}"
#define SM_ENTRY(name, bounds, in, out) "{\"name\":\"entry." name "\",\"arena\":0,\"bounds\":[\"n\"" bounds "],\"in\":[" in \
    "],\"out\":[" out "]}"

/* `symbols`: of Char, three. `splits` and `train` in JSON. */
#define SM_DESCRIPTION(symbols, splits, train) \
    "{\"netc\":\"0.1.0\",\"name\":\"seq\",\"model\":\"Net\",\"hash\":\"0123456789abcdef\",\"target\":\"test\",\"cpu\":[]," \
    "\"batch\":4,\"dims\":[{\"name\":\"T\",\"size\":6,\"ragged\":true},{\"name\":\"N\",\"size\":9,\"ragged\":true}," \
    "{\"name\":\"Char\",\"size\":3,\"vocab\":{\"by\":\"char\",\"min\":1,\"eos\":false,\"symbols\":[" symbols "]}}," \
    "{\"name\":\"Word\",\"size\":4,\"vocab\":{\"by\":\"word\",\"min\":1,\"eos\":true,\"symbols\":[\"even\",\"odd\"]}}]," \
    "\"hypers\":[],\"scalars\":[\"step\",\"epoch\",\"batches\",\"progress\"]," \
    "\"params\":[{\"key\":\"Net.w\",\"shape\":[3,3],\"offset\":0,\"init\":\"uniform\",\"orthogonal\":false}]," \
    "\"states\":[{\"key\":\"Net.h\",\"shape\":[],\"offset\":0,\"lane\":true,\"init\":0.5}],\"opt\":[]," \
    "\"weights_size\":64,\"state_size\":64,\"opt_size\":0,\"step_flops\":100," \
    "\"metrics\":[{\"name\":\"ppl\",\"formula\":[[0],\"exp\"]}]," \
    "\"functions\":[" SM_OBJECTIVE("train") "," SM_OBJECTIVE("eval") "," \
    "{\"name\":\"init\",\"arena\":0,\"in\":[],\"out\":[{\"name\":\"Net.w\",\"dtype\":\"f32\",\"shape\":[3,3],\"rows\":false}]}," \
    "{\"name\":\"grad\",\"arena\":0,\"bounds\":[\"n\",\"T\"],\"in\":[" SM_CHARS("x") "," SM_CHARS("y") "," SM_LENGTHS("T") \
    "],\"out\":[" SM_OUT("loss") ",{\"name\":\"grad.Net.w\",\"dtype\":\"f32\",\"shape\":[3,3],\"rows\":false}]}," \
    SM_ENTRY("echo", ",\"T\"", SM_CHARS("x") "," SM_LENGTHS("T"), \
             "{\"name\":\"y\",\"dtype\":\"i32\",\"shape\":[6],\"axes\":[\"T\"],\"dim\":\"Char\",\"size\":3}") "," \
    SM_ENTRY("move", ",\"T\"", SM_CHARS("x") ",{\"name\":\"v\",\"dtype\":\"f32\",\"shape\":[6],\"axes\":[\"T\"]}," \
             SM_LENGTHS("T"), "{\"name\":\"y\",\"dtype\":\"i32\",\"shape\":[6],\"axes\":[\"T\"],\"dim\":\"Char\"," \
             "\"size\":3}") "," \
    SM_ENTRY("grow", ",\"N\"", "{\"name\":\"first\",\"dtype\":\"i32\",\"shape\":[],\"dim\":\"Char\",\"size\":3}," \
             "{\"name\":\"step\",\"dtype\":\"f32\",\"shape\":[],\"default\":1}," SM_LENGTHS("N"), \
             "{\"name\":\"0\",\"dtype\":\"i32\",\"shape\":[9],\"axes\":[\"N\"],\"dim\":\"Char\",\"size\":3}") "," \
    SM_ENTRY("until", ",\"T\"", SM_CHARS("x") "," SM_LENGTHS("T"), SM_WORDS "," SM_LENGTHS("N")) "," \
    SM_ENTRY("sums", ",\"T\"", "{\"name\":\"v\",\"dtype\":\"f32\",\"shape\":[6,2],\"axes\":[\"T\",null]}," SM_LENGTHS("T"), \
             "{\"name\":\"s\",\"dtype\":\"f32\",\"shape\":[6],\"axes\":[\"T\"]}," \
             "{\"name\":\"parity\",\"dtype\":\"i32\",\"shape\":[],\"dim\":\"Word\",\"size\":4}") "]," \
    "\"data\":{\"name\":\"D\",\"fields\":[" SM_CHARS("x") "," SM_CHARS("y") "],\"splits\":{" splits "}}," \
    "\"train\":{" train "}}"

#define SM_ABC "\"a\",\"b\",\"c\""
#define SM_SOURCE(kind, file) "{\"op\":\"source\",\"kind\":\"" kind "\",\"files\":[\"" file "\"],\"args\":{},\"line\":1}"
#define SM_STREAM(lo, hi) "{\"op\":\"stream\",\"x\":\"x\",\"y\":\"y\",\"of\":{\"op\":\"slice\",\"lo\":" #lo ",\"hi\":" #hi \
                          ",\"fraction\":true,\"of\":" SM_SOURCE("text", "t.txt") "}}"
#define SM_STREAMS "\"train\":" SM_STREAM(0.0, 0.75) ",\"valid\":" SM_STREAM(0.75, 1.0)
#define SM_TABLE "\"train\":" SM_SOURCE("tsv", "d.tsv")

#endif
