/* grad: the loss and its gradients for given inputs and weights, as safetensors: "loss", a scalar, the
 * mean over the rows, and one tensor per parameter under its key. More rows than the compiled batch are
 * taken in batches, whose means are weighted by their rows. Training mode, step 0, states at their
 * stored or first values. */
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"

/* Sums of rows * value, in double: the loss at 0, then the parameters' numbers one after the other. */
typedef struct {
    netc_call *call;
    int        loss, *port;     /* outputs of the function: the loss, the gradient of each parameter */
    double    *sum;
    float     *mean;
    int64_t    count;
} gradients;

static int gradients_new(gradients *g, netc_call *c) {
    const netc_model *m = c->engine->model;
    *g = (gradients){.call = c, .loss = netc_call_out(c, "loss"), .count = 1};
    g->port = netc_array((size_t)m->nparam + 1, sizeof *g->port);
    if (g->loss < 0) return netc_error(NETC_EXIT_INTERNAL, "description: grad has no output 'loss'");
    for (int i = 0; i < m->nparam; i++) {
        char *name = netc_format("grad.%s", m->param[i].key);
        g->port[i] = netc_call_out(c, name);
        g->count += m->param[i].count;
        bool fits = g->port[i] >= 0 && c->func->out[g->port[i]].count == m->param[i].count;
        int  code = fits ? NETC_EXIT_OK : netc_error(NETC_EXIT_INTERNAL, "description: grad does not make %s", name);
        free(name);
        if (code) return code;
    }
    g->sum = netc_try_alloc((uint64_t)g->count * sizeof *g->sum, "the gradients");
    g->mean = netc_try_alloc((uint64_t)g->count * sizeof *g->mean, "the gradients");
    if (!g->sum || !g->mean) return NETC_EXIT_LIMIT;
    memset(g->sum, 0, (size_t)g->count * sizeof *g->sum);
    return NETC_EXIT_OK;
}

static void gradients_free(gradients *g) {
    free(g->port);
    free(g->sum);
    free(g->mean);
}

static void add_batch(gradients *g, int64_t rows) {
    const netc_model *m = g->call->engine->model;
    double           *sum = g->sum;
    *sum++ += (double)rows * *(const float *)g->call->out[g->loss];
    for (int i = 0; i < m->nparam; i++) {
        const float *d = g->call->out[g->port[i]];
        for (int64_t k = 0; k < m->param[i].count; k++) *sum++ += (double)rows * d[k];
    }
}

static int write_gradients(gradients *g, int64_t rows, const char *path) {
    const netc_model *m = g->call->engine->model;
    netc_tensors      s = {0};
    for (int64_t k = 0; k < g->count; k++) g->mean[k] = (float)(g->sum[k] / (double)rows);
    const float *at = g->mean;
    netc_tensors_add_meta(&s, "format", "netc");
    netc_tensors_add_meta(&s, "netc.kind", "gradients");
    netc_tensors_add_meta(&s, "netc.model_hash", m->hash);
    netc_tensors_add(&s, "loss", NETC_F32, 0, NULL, at++);
    for (int i = 0; i < m->nparam; at += m->param[i++].count)
        netc_tensors_add(&s, m->param[i].key, NETC_F32, m->param[i].rank, m->param[i].shape, at);
    int code = netc_safetensors_write(path, &s);
    netc_tensors_free(&s);
    return code;
}

/* Each batch sees the states as they were stored. */
static int run_batches(netc_call *c, const netc_inputs *in, const netc_blocks *stored, uint64_t seed, gradients *g) {
    const netc_model *m = c->engine->model;
    netc_blocks       b;
    int               code = netc_blocks_new(m, &b);
    for (int64_t first = 0; first < in->rows && !code; first += m->batch) {
        int64_t n = in->rows - first < m->batch ? in->rows - first : m->batch;
        netc_blocks_copy(m, &b, stored);
        netc_inputs_batch(in, first, n);
        netc_call_run(c, &b, &(netc_time){.batches = 1, .epochs = 1}, seed, n);
        add_batch(g, n);
    }
    netc_blocks_free(m, &b);
    return code;
}

static int write_grad(netc_engine *e, const netc_options *o, const char *weights, const char *path) {
    netc_model *m = e->model;
    netc_call   c;
    netc_inputs in = {0};
    netc_blocks b = {0};
    gradients   g = {0};
    int64_t     seed = 0;
    int         code = netc_option_int(o, NETC_OPT_SEED, 0, INT64_MAX, &seed);
    if (code || (code = netc_call_new(&c, e, "grad"))) return code;
    code = netc_inputs_read(&in, &c, o);
    if (!code && in.lines >= 0)
        code = netc_error(NETC_EXIT_USAGE, "grad answers once: give the text, or its lines as a .txt file");
    if (!code) code = gradients_new(&g, &c);
    if (!code) code = netc_blocks_new(m, &b);
    if (!code) code = netc_weights_load(m, weights, b.weights, b.state);
    if (!code) code = run_batches(&c, &in, &b, (uint64_t)seed, &g);
    if (!code) code = write_gradients(&g, in.rows, path);
    gradients_free(&g);
    netc_blocks_free(m, &b);
    netc_inputs_free(&in);
    netc_call_free(&c);
    return code;
}

int netc_cmd_grad(netc_model *m, int argc, char **argv) {
    netc_options o;
    netc_engine  e;
    const char  *weights, *path;
    int          threads, code = netc_command_start(NETC_CMD_grad, m, argc, argv, &o);
    if (code || o.help) goto done;
    code = netc_command_no_operands(&o, 0);
    if (!code) code = netc_option_need(&o, NETC_OPT_WEIGHTS, &weights);
    if (!code) code = netc_option_need(&o, NETC_OPT_RESULT, &path);
    if (!code) code = netc_command_threads(&o, &threads);
    if (!code && !(code = netc_engine_new(&e, m, threads, NULL))) {
        code = write_grad(&e, &o, weights, path);
        netc_engine_free(&e);
    }
done:
    netc_options_free(&o);
    return code;
}
