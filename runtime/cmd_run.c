/* run ENTRY: any number of rows through an entry, in batches; the batch is the first axis of all arrays.
 * With several weights files every result that is an element of a dim is put to the vote. */
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"
#include "runtime/settings.h"
#include "runtime/vote.h"

/* Where the results go. */
typedef struct {
    const netc_func *func;
    int64_t          rows;
    char           **data;      /* per output: rows * row_bytes, or one value */
    const char     **file;      /* per output, NULL: not wanted */
    bool             print;     /* no --out: as text on stdout */
} results;

/* ---- where results go -------------------------------------------------------------------------------- */

/* The output that "NAME=FILE" or, with a single result, "FILE" means; -1 after a message. */
static int output_port(const results *r, const char *text, const char **file) {
    const netc_func *f = r->func;
    for (int i = 0; i < f->nout; i++)
        if (netc_setting_is(text, f->out[i].name, file)) return i;
    *file = text;
    if (f->nout == 1) return 0;
    netc_buf b = {0};
    for (int i = 0; i < f->nout; i++) netc_buf_printf(&b, "%s%s", i ? ", " : "", f->out[i].name);
    netc_error(-1, "--out %s: %s has several results (%s): give --out NAME=FILE for each that you want", text,
               f->name, b.data);
    netc_buf_free(&b);
    return -1;
}

static int results_new(results *r, const netc_func *f, const netc_options *o, int64_t rows) {
    size_t n = (size_t)f->nout + 1;
    *r = (results){.func = f, .rows = rows, .print = true};
    r->data = netc_array(n, sizeof *r->data);
    r->file = netc_array(n, sizeof *r->file);
    for (int g = 0; g < o->ngiven; g++) {
        const char *file;
        if (o->given[g].id != NETC_OPT_RESULT) continue;
        int i = output_port(r, o->given[g].value, &file);
        if (i < 0) return NETC_EXIT_USAGE;
        r->file[i] = strcmp(file, "-") ? file : "/dev/stdout";
        r->print = false;
    }
    for (int i = 0; i < f->nout; i++) {
        uint64_t bytes;
        if (!r->print && !r->file[i]) continue;
        if (!netc_mul(f->out[i].row_bytes, f->out[i].rows ? (uint64_t)rows : 1, &bytes)) return NETC_EXIT_LIMIT;
        if (!(r->data[i] = netc_try_alloc(bytes, f->out[i].name))) return NETC_EXIT_LIMIT;
    }
    return NETC_EXIT_OK;
}

static void results_free(results *r) {
    for (int i = 0; r->data && i < r->func->nout; i++) free(r->data[i]);
    free(r->data);
    free(r->file);
}

static void print_value(const netc_port *p, const char *data, int64_t k) {
    if (p->dtype == NETC_F32) printf("%.9g", (double)((const float *)(const void *)data)[k]);
    else if (p->dtype == NETC_I32) printf("%d", ((const int32_t *)(const void *)data)[k]);
    else printf("%d", ((const uint8_t *)data)[k]);
}

/* A line per row; results beside each other. */
static int print_rows(const results *r) {
    for (int64_t row = 0; row < r->rows; row++) {
        bool first = true;
        for (int i = 0; i < r->func->nout; i++) {
            const netc_port *p = &r->func->out[i];
            if (!p->rows && row) continue;
            for (int64_t k = 0; k < p->count; k++, first = false) {
                if (!first) putchar(' ');
                print_value(p, r->data[i] + (size_t)row * p->row_bytes, k);
            }
        }
        putchar('\n');
    }
    return fflush(stdout) ? netc_error_errno(NETC_EXIT_IO, "cannot write to standard output") : NETC_EXIT_OK;
}

static int write_results(const results *r) {
    if (r->print) return print_rows(r);
    for (int i = 0; i < r->func->nout; i++) {
        const netc_port *p = &r->func->out[i];
        netc_tensor      t = {.dtype = p->dtype, .data = r->data[i]};
        if (!r->file[i]) continue;
        if (p->rows) t.shape[t.rank++] = r->rows;
        if (t.rank + p->rank > NETC_MAX_RANK)
            return netc_error(NETC_EXIT_LIMIT, "%s has more than %d axes with the batch", p->name, NETC_MAX_RANK);
        for (int k = 0; k < p->rank; k++) t.shape[t.rank++] = p->shape[k];
        t.bytes = p->row_bytes * (size_t)(p->rows ? r->rows : 1);
        int code = netc_npy_write(r->file[i], &t);
        if (code) return code;
    }
    return NETC_EXIT_OK;
}

/* ---- running ----------------------------------------------------------------------------------------- */

static void take_batch(const results *r, const netc_call *c, int i, int64_t first, int64_t n) {
    const netc_port *p = &r->func->out[i];
    if (!r->data[i]) return;
    size_t at = p->rows ? (size_t)first * p->row_bytes : 0, rows = p->rows ? (size_t)n : 1;
    memcpy(r->data[i] + at, c->out[i], rows * p->row_bytes);
}

/* The answers of all members to one batch, then their vote in the call's own buffers. */
static void vote_batch(netc_call *c, const netc_members *s, const netc_time *t, uint64_t seed, int64_t n,
                       int32_t **ballot) {
    const netc_func *f = c->func;
    for (int m = 0; m < s->n; m++) {
        netc_call_run(c, &s->member[m], t, seed, n);
        for (int i = 0; i < f->nout; i++) {
            int64_t count = f->out[i].count * (f->out[i].rows ? n : 1);
            memcpy(ballot[i] + m * count, c->out[i], (size_t)count * sizeof(int32_t));
        }
    }
    for (int i = 0; i < f->nout; i++)
        netc_vote(ballot[i], s->n, f->out[i].count * (f->out[i].rows ? n : 1), f->out[i].size, c->out[i]);
}

static int check_votes(const netc_func *f) {
    for (int i = 0; i < f->nout; i++)
        if (!f->out[i].dim || f->out[i].dtype != NETC_I32)
            return netc_error(NETC_EXIT_USAGE, "the result '%s' of %s is a number, several weights cannot vote on it: "
                              "give one", f->out[i].name, f->name);
    return NETC_EXIT_OK;
}

/* Every batch has its own step, so that entries that draw see other random numbers in each. */
static int run_batches(netc_call *c, const netc_members *s, const netc_inputs *in, uint64_t seed, const results *r) {
    const netc_func *f = c->func;
    int64_t          batch = c->engine->model->batch;
    int32_t        **ballot = netc_array((size_t)f->nout + 1, sizeof *ballot);
    int              code = s->n > 1 ? check_votes(f) : NETC_EXIT_OK;
    for (int i = 0; i < f->nout && s->n > 1; i++)
        ballot[i] = netc_array((size_t)f->out[i].count * (size_t)batch * (size_t)s->n, sizeof **ballot);
    for (int64_t first = 0; first < in->rows && !code; first += batch) {
        int64_t   n = in->rows - first < batch ? in->rows - first : batch;
        netc_time t = {.step = first / batch, .batches = 1, .epochs = 1};
        netc_inputs_batch(in, first, n);
        if (s->n > 1) vote_batch(c, s, &t, seed, n, ballot);
        else netc_call_run(c, &s->member[0], &t, seed, n);
        for (int i = 0; i < f->nout; i++) take_batch(r, c, i, first, n);
    }
    for (int i = 0; i < f->nout; i++) free(ballot[i]);
    free(ballot);
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
    results      r = {0};
    int64_t      seed = 0;
    int          code = netc_option_int(o, NETC_OPT_SEED, 0, INT64_MAX, &seed);
    if (code || (code = netc_call_new(&c, e, function))) return code;
    code = netc_inputs_read(&in, &c, o);
    if (!code) code = results_new(&r, c.func, o, in.rows);
    if (!code) code = netc_members_load(e->model, weights, &members);
    if (!code) code = run_batches(&c, &members, &in, (uint64_t)seed, &r);
    if (!code) code = write_results(&r);
    results_free(&r);
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
