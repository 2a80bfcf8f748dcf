#include "runtime/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/signals.h"

static const char METRIC[] = "metric.", RATIO[] = "ratio.";

static bool begins(const char *name, const char *with) { return !strncmp(name, with, strlen(with)); }

/* ---- formulas ---------------------------------------------------------------------------------------- */

enum { STACK = 64 };

typedef struct {
    const char *name;
    int         args;
    double    (*one)(double);
} operator;

static double negate(double v) { return -v; }

static const operator OPERATORS[] = {
    {"add", 2, NULL}, {"sub", 2, NULL}, {"mul", 2, NULL}, {"div", 2, NULL}, {"pow", 2, NULL},
    {"neg", 1, negate}, {"exp", 1, exp}, {"log", 1, log}, {"sqrt", 1, sqrt},
};
enum { NOPERATORS = sizeof OPERATORS / sizeof *OPERATORS };

static double two(int op, double a, double b) {
    return op == 0 ? a + b : op == 1 ? a - b : op == 2 ? a * b : op == 3 ? a / b : pow(a, b);
}

/* One word of a formula; returns the new height of the stack, -1: it is none. */
static int formula_step(const netc_score *s, int metric, const netc_json *e, double *stack, int n) {
    const char *name = netc_json_string(e, NULL);
    int         k = 0;
    if (netc_json_is(e, NETC_JSON_ARRAY)) {                       /* [k]: the metric's ratio number k */
        int64_t ratio = netc_json_int(netc_json_at(e, 0), -1), at = s->first[metric] + 2 * ratio;
        if (ratio < 0 || ratio >= NETC_MAX_SUMS || at + 1 >= s->nsum || n == STACK) return -1;
        stack[n] = s->sum[at] / s->sum[at + 1];
        return n + 1;
    }
    if (netc_json_is(e, NETC_JSON_NUMBER)) {
        if (n == STACK) return -1;
        stack[n] = netc_json_number(e, 0);
        return n + 1;
    }
    while (k < NOPERATORS && (!name || strcmp(OPERATORS[k].name, name))) k++;
    if (k == NOPERATORS || n < OPERATORS[k].args) return -1;
    if (OPERATORS[k].args == 1) {
        stack[n - 1] = OPERATORS[k].one(stack[n - 1]);
        return n;
    }
    stack[n - 2] = two(k, stack[n - 2], stack[n - 1]);
    return n - 1;
}

static bool formula_value(const netc_score *s, int metric, double *v) {
    double stack[STACK];
    int    n = 0;
    for (const netc_json *e = netc_json_first(s->formula[metric]); e && n >= 0; e = e->next)
        n = formula_step(s, metric, e, stack, n);
    if (n == 1) *v = stack[0];
    return n == 1;
}

/* ---- sums -------------------------------------------------------------------------------------------- */

/* The metric of output i: a mean of "metric.NAME", or the formula of NAME at its first "ratio.NAME.0". */
static int add_metric(netc_score *s, const netc_model *m, const char *output) {
    const char *name = strchr(output, '.') + 1;
    size_t      n = strlen(name);
    int         k = 0, at = s->nmetric;
    if (at == NETC_MAX_METRICS)
        return netc_error(NETC_EXIT_LIMIT, "the objective has more than %d metrics", NETC_MAX_METRICS);
    if (begins(output, RATIO)) {
        if (n < 2 || strcmp(name + n - 2, ".0")) return NETC_EXIT_OK;
        n -= 2;
        while (k < m->nformula && (strncmp(m->formula[k].name, name, n) || m->formula[k].name[n])) k++;
        if (k == m->nformula) return netc_error(NETC_EXIT_INTERNAL, "description: no formula of %s", output);
        name = m->formula[k].name;
        s->formula[at] = m->formula[k].formula;
    }
    s->name[at] = name;
    s->first[at] = s->nsum;
    s->nmetric++;
    return NETC_EXIT_OK;
}

static int check_formulas(const netc_score *s) {
    double v;
    for (int i = 0; i < s->nmetric; i++)
        if (s->formula[i] && !formula_value(s, i, &v))
            return netc_error(NETC_EXIT_INTERNAL, "description: metric %s is no formula", s->name[i]);
    return NETC_EXIT_OK;
}

int netc_score_new(netc_score *s, const netc_call *c) {
    const netc_func *f = c->func;
    *s = (netc_score){.loss_port = netc_call_out(c, "loss")};
    if (s->loss_port < 0) return netc_error(NETC_EXIT_INTERNAL, "description: %s has no output 'loss'", f->name);
    for (int i = 0; i < f->nout; i++) {
        const char *name = f->out[i].name;
        if (!begins(name, METRIC) && !begins(name, RATIO)) continue;
        int code = add_metric(s, c->engine->model, name);
        if (!code && s->nsum == NETC_MAX_SUMS)
            code = netc_error(NETC_EXIT_LIMIT, "the objective has more than %d sums in its metrics", NETC_MAX_SUMS);
        if (code) return code;
        s->port[s->nsum++] = i;
    }
    netc_score_clear(s);
    return check_formulas(s);
}

void netc_score_clear(netc_score *s) {
    s->loss = 0;
    s->rows = 0;
    for (int i = 0; i < s->nsum; i++) {
        s->sum[i] = 0;
        s->share[i] = true;
    }
}

double netc_score_add(netc_score *s, const netc_call *c, int64_t count) {
    double loss = *(const float *)c->out[s->loss_port];
    s->loss += loss * (double)count;
    s->rows += count;
    for (int i = 0; i < s->nsum; i++) {
        double v = *(const float *)c->out[s->port[i]];
        s->sum[i] += v;
        if (v != floor(v) || v < 0 || v > (double)count) s->share[i] = false;
    }
    return loss;
}

double netc_score_loss(const netc_score *s) { return s->rows ? s->loss / (double)s->rows : NAN; }

double netc_score_metric(const netc_score *s, int i) {
    double v = NAN;
    if (!s->rows) return NAN;
    if (!s->formula[i]) return s->sum[s->first[i]] / (double)s->rows;
    formula_value(s, i, &v);
    return v;
}

static bool is_share(const netc_score *s, int i) { return !s->formula[i] && s->share[s->first[i]]; }

bool netc_score_value(const netc_score *s, const char *key, double *v) {
    if (!strcmp(key, "loss")) {
        *v = netc_score_loss(s);
        return true;
    }
    for (int i = 0; i < s->nmetric; i++)
        if (!strcmp(key, s->name[i])) {
            *v = netc_score_metric(s, i);
            return true;
        }
    return false;
}

/* Four decimals where they say something. */
static void put_number(netc_buf *b, double v) {
    double size = fabs(v);
    netc_buf_printf(b, size != 0 && (size < 0.01 || size >= 1e5) ? "%.4g" : "%.4f", v);
}

void netc_score_text(netc_buf *b, const netc_score *s, const char *gap) {
    netc_buf_text(b, "loss ");
    put_number(b, netc_score_loss(s));
    for (int i = 0; i < s->nmetric; i++) {
        netc_buf_printf(b, "%s%s ", gap, s->name[i]);
        if (is_share(s, i)) netc_buf_printf(b, "%.2f %%", 100 * netc_score_metric(s, i));
        else put_number(b, netc_score_metric(s, i));
    }
}

void netc_score_json(netc_buf *b, const netc_score *s) {
    netc_buf_text(b, "{\"loss\":");
    netc_json_put_number(b, netc_score_loss(s));
    for (int i = 0; i < s->nmetric; i++) {
        netc_buf_text(b, ",");
        netc_json_put_string(b, s->name[i]);
        netc_buf_text(b, ":");
        netc_json_put_number(b, netc_score_metric(s, i));
    }
    netc_buf_text(b, "}");
}

void netc_score_result(netc_buf *b, const netc_score *s, const char *split) {
    netc_buf_printf(b, "%s ", split);
    netc_score_text(b, s, " ");
    netc_buf_printf(b, " (%lld examples)", (long long)s->rows);
}

/* ---- evaluation -------------------------------------------------------------------------------------- */

void netc_states_reset_lanes(const netc_model *m, float *state) {
    for (int i = 0; i < m->nstate; i++) {
        const netc_slot *s = &m->state[i];
        float           *at = state + s->offset / sizeof(float);
        for (int64_t k = 0; s->lane && k < s->count; k++) at[k] = s->first;
    }
}

void netc_states_copy_shared(const netc_model *m, float *to, const float *from) {
    for (int i = 0; i < m->nstate; i++) {
        const netc_slot *s = &m->state[i];
        size_t           at = s->offset / sizeof(float);
        if (!s->lane) memcpy(to + at, from + at, (size_t)s->count * sizeof(float));
    }
}

int netc_evaluator_new(netc_evaluator *v, netc_engine *e, const netc_split *s) {
    *v = (netc_evaluator){.engine = e};
    int code = netc_call_new(&v->call, e, "eval");
    if (!code) code = netc_feed_new(&v->feed, s, &v->call);
    if (!code) code = netc_score_new(&v->score, &v->call);
    v->position = netc_array((size_t)e->model->batch, sizeof *v->position);
    if (!code && e->model->state_size &&
        !(v->scratch.state = netc_block_new(e->model->state_size, "states of the evaluation")))
        code = NETC_EXIT_LIMIT;
    if (code) netc_evaluator_free(v);
    return code;
}

void netc_evaluator_free(netc_evaluator *v) {
    netc_feed_free(&v->feed);
    netc_call_free(&v->call);
    free(v->position);
    if (v->scratch.state) netc_block_free(v->scratch.state, v->engine->model->state_size);
    *v = (netc_evaluator){0};
}

/* The batch that begins at example `first`, if there is one. */
static void start_rows(netc_evaluator *v, int64_t first) {
    int64_t left = v->feed.split->count - first, batch = v->call.engine->model->batch, n = left < batch ? left : batch;
    if (n < 1) return;
    for (int64_t i = 0; i < n; i++) v->position[i] = first + i;
    netc_feed_start(&v->feed, v->position, n);
}

int netc_evaluate(netc_evaluator *v, const netc_blocks *b, const netc_time *t, uint64_t seed) {
    const netc_model *m = v->engine->model;
    netc_blocks       use = {.weights = b->weights, .opt = b->opt, .state = v->scratch.state};
    int64_t           rows = v->feed.split->count;
    int               code = netc_call_ready(&v->call);
    if (code) return code;
    netc_score_clear(&v->score);
    if (use.state) {
        netc_states_copy_shared(m, use.state, b->state);
        netc_states_reset_lanes(m, use.state);
    }
    start_rows(v, 0);
    for (int64_t first = 0; first < rows; first += m->batch) {
        int64_t n = v->feed.rows;
        if (netc_signal_caught()) return netc_signal_exit_code();
        netc_feed_take(&v->feed, &use);
        start_rows(v, first + m->batch);
        netc_call_run(&v->call, &use, t, seed, n);
        netc_score_add(&v->score, &v->call, n);
    }
    return NETC_EXIT_OK;
}
