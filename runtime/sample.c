#include "runtime/sample.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/score.h"

int netc_sampler_new(netc_sampler *s, netc_engine *e) {
    const netc_train_plan *plan = &e->model->train;
    *s = (netc_sampler){.engine = e};
    if (!plan->every) return NETC_EXIT_OK;
    char *function = netc_format("entry.%s", plan->sample);
    int   code = netc_call_new(&s->call, e, function);
    free(function);
    if (!code) code = netc_inputs_set(&s->inputs, &s->call, plan->sample_arg, plan->nsample_arg);
    if (!code && e->model->state_size &&
        !(s->scratch.state = netc_block_new(e->model->state_size, "states of the samples")))
        code = NETC_EXIT_LIMIT;
    if (code) netc_sampler_free(s);
    return code;
}

void netc_sampler_free(netc_sampler *s) {
    if (s->scratch.state) netc_block_free(s->scratch.state, s->engine->model->state_size);
    netc_inputs_free(&s->inputs);
    netc_call_free(&s->call);
    *s = (netc_sampler){0};
}

bool netc_sampler_due(const netc_sampler *s, int64_t step) {
    return s->call.func && step % s->engine->model->train.every == 0;
}

/* A drawn byte is no command for the terminal, and none ends the text. */
static void hide_controls(char *s, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f) s[i] = '?';
    }
}

char *netc_sampler_text(netc_sampler *s, const netc_blocks *b, const netc_time *t, uint64_t seed) {
    const netc_model *m = s->engine->model;
    netc_blocks       use = {.weights = b->weights, .opt = b->opt, .state = s->scratch.state};
    netc_results      r;
    netc_buf          text = {0};
    if (use.state) {
        netc_states_copy_shared(m, use.state, b->state);
        netc_states_reset_lanes(m, use.state);
    }
    if (!netc_results_new(&r, &s->call, &s->inputs, NULL)) {
        netc_inputs_batch(&s->inputs, 0, s->inputs.rows);
        netc_call_run(&s->call, &use, t, seed, s->inputs.rows);
        netc_results_take(&r, 0, s->inputs.rows);
        netc_results_text(&r, &text);
    }
    netc_results_free(&r);
    if (text.size) text.data[--text.size] = 0;          /* the last line's end */
    hide_controls(text.data, text.size);
    return text.data;
}
