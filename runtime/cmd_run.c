/* run ENTRY: any number of rows through an entry, in batches; the batch is the first axis of all arrays.
 * With several weights files every result that is an element of a dim is put to the vote. */
#include <stdlib.h>
#include <string.h>

#include "runtime/results.h"
#include "runtime/settings.h"
#include "runtime/vote.h"

/* ---- running ----------------------------------------------------------------------------------------- */

/* The answers of all members to one batch, then their vote in the call's own buffers. Lengths (formulas of those that
 * are given, see check_votes) are the same for all. */
static void vote_batch(netc_call *c, const netc_members *s, const netc_time *t, uint64_t seed, int64_t n,
                       int32_t **ballot) {
    const netc_func *f = c->func;
    for (int m = 0; m < s->n; m++) {
        netc_call_run(c, &s->member[m], t, seed, n);
        for (int i = 0; i < f->nout; i++) {
            if (f->out[i].lengths) continue;
            int64_t count = f->out[i].count * (f->out[i].rows ? n : 1);
            memcpy(ballot[i] + m * count, c->out[i], (size_t)count * sizeof(int32_t));
        }
    }
    for (int i = 0; i < f->nout; i++)
        if (!f->out[i].lengths)
            netc_vote(ballot[i], s->n, f->out[i].count * (f->out[i].rows ? n : 1), f->out[i].size, c->out[i]);
}

static int check_votes(const netc_model *m, const netc_func *f) {
    for (int i = 0; i < f->nout; i++)
        if (f->out[i].lengths && netc_model_dim(m, f->out[i].name))
            return netc_error(NETC_EXIT_USAGE, "%s ends its sequences itself (until), several weights cannot vote on "
                              "that: give one", f->name);
    for (int i = 0; i < f->nout; i++)
        if (!f->out[i].lengths && (!f->out[i].dim || f->out[i].dtype != NETC_I32))
            return netc_error(NETC_EXIT_USAGE, "the result '%s' of %s is a number, several weights cannot vote on it: "
                              "give one", f->out[i].name, f->name);
    return NETC_EXIT_OK;
}

/* Every batch has its own step, from `step` on, so that entries that draw see other random numbers in each. */
static int run_batches(netc_call *c, const netc_members *s, const netc_inputs *in, uint64_t seed, int64_t step,
                       const netc_results *r) {
    const netc_func *f = c->func;
    int64_t          batch = c->engine->model->batch;
    int32_t        **ballot = netc_array((size_t)f->nout + 1, sizeof *ballot);
    int              code = s->n > 1 ? check_votes(c->engine->model, f) : NETC_EXIT_OK;
    for (int i = 0; i < f->nout && s->n > 1; i++)
        ballot[i] = netc_array((size_t)f->out[i].count * (size_t)batch * (size_t)s->n, sizeof **ballot);
    for (int64_t first = 0; first < in->rows && !code; first += batch) {
        int64_t   n = in->rows - first < batch ? in->rows - first : batch;
        netc_time t = {.step = step + first / batch, .batches = 1, .epochs = 1};
        netc_inputs_batch(in, first, n);
        if (s->n > 1) vote_batch(c, s, &t, seed, n, ballot);
        else netc_call_run(c, &s->member[0], &t, seed, n);
        netc_results_take(r, first, n);
    }
    for (int i = 0; i < f->nout; i++) free(ballot[i]);
    free(ballot);
    return code;
}

/* Standard input line by line, each answered at once. */
static int run_lines(netc_call *c, const netc_members *s, netc_inputs *in, uint64_t seed, const netc_results *r) {
    char   *line = NULL;
    size_t  room = 0;
    ssize_t n;
    int     code = NETC_EXIT_OK;
    for (int64_t k = 0; !code && (n = getline(&line, &room, stdin)) >= 0; k++) {
        char *where = netc_format("standard input:%lld", (long long)k + 1);
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
        if (memchr(line, 0, (size_t)n)) code = netc_error(NETC_EXIT_DATA, "%s: a NUL byte in the text", where);
        if (!code) code = netc_inputs_line(in, line, where);
        if (!code) code = run_batches(c, s, in, seed, k, r);
        if (!code) code = netc_results_print(r);
        free(where);
    }
    free(line);
    return code;
}

static int unknown_entry(const netc_model *m, const char *name) {
    netc_buf b = {0};
    for (int i = 0; i < m->nfunc; i++) {
        const char *entry = m->func[i].name;
        if (!strncmp(entry, "entry.", 6)) netc_buf_printf(&b, "%s%s", b.size ? ", " : "", entry + 6);
    }
    int code = netc_error(NETC_EXIT_USAGE, "no entry '%s'; the model has %s", name, b.size ? b.data : "none");
    netc_buf_free(&b);
    return code;
}

static int run_entry(netc_engine *e, const char *function, const netc_options *o, const char *weights) {
    netc_call    c;
    netc_inputs  in = {0};
    netc_members members = {0};
    netc_results r = {0};
    int64_t      seed = 0;
    int          code = netc_option_int(o, NETC_OPT_SEED, 0, INT64_MAX, &seed);
    if (code || (code = netc_call_new(&c, e, function))) return code;
    code = netc_inputs_read(&in, &c, o);
    if (!code) code = netc_results_new(&r, &c, &in, o);
    if (!code) code = netc_members_load(e->model, weights, &members);
    if (!code && in.lines >= 0) {
        code = run_lines(&c, &members, &in, (uint64_t)seed, &r);
    } else if (!code) {
        code = run_batches(&c, &members, &in, (uint64_t)seed, 0, &r);
        if (!code) code = netc_results_write(&r);
    }
    netc_results_free(&r);
    netc_members_free(&members);
    netc_inputs_free(&in);
    netc_call_free(&c);
    return code;
}

int netc_cmd_run(netc_model *m, int argc, char **argv) {
    netc_options o;
    netc_engine  e;
    const char  *weights;
    char        *function = NULL;
    int          threads, code = netc_command_start(NETC_CMD_run, m, argc, argv, &o);
    if (code || o.help) goto done;
    if (!o.noperand) {
        code = unknown_entry(m, "");
        goto done;
    }
    function = netc_format("entry.%s", o.operand[0]);
    if (!netc_model_func(m, function)) code = unknown_entry(m, o.operand[0]);
    if (!code) code = netc_command_no_operands(&o, 1);
    if (!code) code = netc_option_need(&o, NETC_OPT_WEIGHTS, &weights);
    if (!code) code = netc_command_threads(&o, &threads);
    if (!code && !(code = netc_engine_new(&e, m, threads, NULL))) {
        code = run_entry(&e, function, &o, weights);
        netc_engine_free(&e);
    }
done:
    free(function);
    netc_options_free(&o);
    return code;
}
