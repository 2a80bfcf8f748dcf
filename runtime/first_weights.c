/* First values of the parameters: the compiled function "init" draws them, orthogonal ones are finished here. */
#include <string.h>

#include "runtime/trainer.h"

static int assign(netc_call *c, const netc_slot *s, float *weights) {
    int port = netc_call_out(c, s->key);
    if (port < 0 || c->func->out[port].count != s->count)
        return netc_error(NETC_EXIT_INTERNAL, "description: init does not make the parameter %s", s->key);
    float *w = weights + s->offset / sizeof(float);
    memcpy(w, c->out[port], (size_t)s->count * sizeof(float));
    int64_t rows = s->rank ? s->shape[0] : 1;
    if (s->orthogonal && rows > 0) netc_orthogonalize(w, rows, s->count / rows);
    return NETC_EXIT_OK;
}

int netc_first_weights(netc_engine *e, uint64_t seed, netc_blocks *b) {
    const netc_model *m = e->model;
    netc_call         c;
    int               code = netc_call_new(&c, e, "init");
    if (!code) netc_call_run(&c, b, &(netc_time){.batches = 1, .epochs = 1}, seed, 1);
    for (int i = 0; i < m->nparam && !code; i++) code = assign(&c, &m->param[i], b->weights);
    netc_call_free(&c);
    return code;
}
