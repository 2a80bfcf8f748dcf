#include "runtime/command.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/settings.h"

int netc_command_start(netc_command c, netc_model *m, int argc, char **argv, netc_options *o) {
    int code = netc_options_parse(c, argc, argv, o);
    /* `run` and `grad` have arguments among their settings: netc_inputs_read goes through them. */
    if (!code && !o->help && c != NETC_CMD_run && c != NETC_CMD_grad) code = netc_settings_apply(m, o);
    if (code) netc_options_free(o);
    return code;
}

int netc_command_no_operands(const netc_options *o, int allowed) {
    if (o->noperand <= allowed) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "%s: '%s' is neither an option nor name=value (--help)",
                      netc_command_name(o->command),
                      o->operand[allowed]);
}

int netc_command_threads(const netc_options *o, int *threads) {
    int64_t n = 0;
    int     code = netc_option_int(o, NETC_OPT_THREADS, 1, NETC_MAX_THREADS, &n);
    *threads = (int)n;
    return code;
}

/* "30s" seconds, "100" steps. */
static int read_log_every(const netc_options *o, netc_train_options *t) {
    const char *text = netc_option(o, NETC_OPT_LOG_EVERY, "10s");
    char       *number = netc_strdup(text);
    size_t      n = strlen(number);
    bool        seconds = n > 1 && number[n - 1] == 's', good;
    if (seconds) number[n - 1] = 0;
    good = seconds ? netc_parse_real(number, &t->log_every_seconds) && t->log_every_seconds > 0
                   : netc_parse_int(number, 1, INT64_MAX, &t->log_every_steps);
    free(number);
    if (good) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_USAGE, "option --log-every: '%s' is neither steps (100) nor seconds (30s)", text);
}

static int read_progress(const netc_options *o, netc_train_options *t) {
    static const char *const KINDS[] = {"auto", "bar", "plain", "none"};
    const char *text = netc_option(o, NETC_OPT_PROGRESS, netc_option_given(o, NETC_OPT_QUIET) ? "none" : "auto");
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, KINDS[i])) {
            t->progress = (netc_progress_kind)i;
            return NETC_EXIT_OK;
        }
    return netc_error(NETC_EXIT_USAGE, "option --progress: '%s' is none of auto, bar, plain, none", text);
}

int netc_command_train_options(const netc_options *o, netc_train_options *t) {
    int64_t save_every = 300;
    *t = (netc_train_options){.fresh = netc_option_given(o, NETC_OPT_FRESH)};
    t->run = netc_option(o, NETC_OPT_RUN, NULL);
    t->data = netc_option(o, NETC_OPT_DATA, NULL);
    t->weights = netc_option(o, NETC_OPT_WEIGHTS, NULL);
    int code = netc_command_threads(o, &t->threads);
    if (!code) code = netc_option_int(o, NETC_OPT_SAVE_EVERY, 0, 1000000000, &save_every);
    if (!code) code = read_log_every(o, t);
    if (!code) code = read_progress(o, t);
    t->save_every = (double)save_every;
    return code;
}

/* ---- inputs ------------------------------------------------------------------------------------------- */

/* The default of argument `i`, if the description has one. */
static bool port_default(const netc_inputs *in, int i, float *v) {
    const netc_json *functions = netc_json_get(netc_json_root(in->call->engine->model->doc), "functions");
    for (const netc_json *f = netc_json_first(functions); f; f = f->next) {
        if (strcmp(netc_json_string(netc_json_get(f, "name"), ""), in->call->func->name)) continue;
        const netc_json *d = netc_json_get(netc_json_at(netc_json_get(f, "in"), (uint32_t)i), "default");
        *v = (float)netc_json_number(d, 0);
        return d != NULL;
    }
    return false;
}

/* "NAME=FILE" of --in: the port's index, -1 after a message. */
static int input_port(const netc_inputs *in, const char *text, const char **file) {
    const netc_func *f = in->call->func;
    const char      *value;
    for (int i = 0; i < f->nin; i++)
        if (netc_setting_is(text, f->in[i].name, file)) return i;
    if (!(value = strchr(text, '='))) return netc_error(-1, "option --in needs NAME=FILE, not '%s'", text);
    const char **names = netc_array((size_t)f->nin + 1, sizeof *names);
    char        *name = netc_format("%.*s", (int)(value - text), text);
    for (int i = 0; i < f->nin; i++) names[i] = f->in[i].name;
    char *hint = netc_did_you_mean(name, names, f->nin);
    netc_error(-1, "%s has no argument '%s'%s", f->name, name, hint);
    free(hint);
    free(name);
    free(names);
    return -1;
}

/* A tensor's rows for port i. A port with one value per call takes the bare shape. */
static int read_array(netc_inputs *in, int i, const char *file, int64_t *rows) {
    const netc_port *p = &in->call->func->in[i];
    netc_tensor      t;
    netc_dtype       dtype;
    void            *data;
    int              code = netc_tensor_read(file, &t);
    if (code) return code;
    if (!p->rows && t.rank < NETC_MAX_RANK) {
        memmove(t.shape + 1, t.shape, (size_t)t.rank * sizeof t.shape[0]);
        t.shape[0] = 1;
        t.rank++;
    }
    *rows = t.rank ? t.shape[0] : 0;
    code = netc_rows_from_tensor(p, &t, file, false, false, &dtype, &data);
    if (!code) in->data[i] = data;
    netc_tensor_free(&t);
    return code;
}

static int read_file_inputs(netc_inputs *in, const netc_options *o) {
    const char *first = NULL;
    for (int g = 0; g < o->ngiven; g++) {
        const char *file;
        int64_t     rows;
        if (o->given[g].id != NETC_OPT_IN) continue;
        int i = input_port(in, o->given[g].value, &file);
        if (i < 0) return NETC_EXIT_USAGE;
        if (in->data[i]) return netc_error(NETC_EXIT_USAGE, "--in %s is given twice", in->call->func->in[i].name);
        int code = read_array(in, i, file, &rows);
        if (code) return code;
        if (!in->call->func->in[i].rows) continue;
        if (rows < 1) return netc_error(NETC_EXIT_DATA, "%s has no rows", file);
        if (first && rows != in->rows)
            return netc_error(NETC_EXIT_DATA, "%s has %lld rows, %s has %lld: the first axis is the batch", first,
                              (long long)in->rows, file, (long long)rows);
        first = file;
        in->rows = rows;
    }
    return NETC_EXIT_OK;
}

/* NAME=VALUE: an argument of the function, else a setting of the model. */
static int read_settings(netc_inputs *in, const netc_options *o, bool *given) {
    netc_model      *m = in->call->engine->model;
    const netc_func *f = in->call->func;
    for (int s = 0; s < o->nsetting; s++) {
        const char *value;
        int         i = 0;
        double      v;
        while (i < f->nin && !netc_setting_is(o->setting[s], f->in[i].name, &value)) i++;
        if (i == f->nin) {
            int code = netc_setting_apply(m, o->setting[s]);
            if (code) return code;
        } else if (f->in[i].count != 1) {
            return netc_error(NETC_EXIT_USAGE, "%s is an array: give it as --in %s=FILE", f->in[i].name, f->in[i].name);
        } else if (!netc_parse_real(value, &v)) {
            return netc_error(NETC_EXIT_USAGE, "%s: not a number", o->setting[s]);
        } else if (f->in[i].dim && (v < 0 || v >= (double)f->in[i].size || v != (double)(int64_t)v)) {
            return netc_error(NETC_EXIT_DATA, "%s: an element of %s is a whole number from 0 to %lld", o->setting[s],
                              f->in[i].dim, (long long)f->in[i].size - 1);
        } else {
            in->fill[i] = (float)v;
            given[i] = true;
        }
    }
    return NETC_EXIT_OK;
}

static int missing_input(const netc_func *f, const netc_port *p) {
    const char *dot = strchr(f->name, '.');             /* entry.NAME */
    char        text[NETC_SHAPE_TEXT];
    return netc_error(NETC_EXIT_USAGE, "%s needs --in %s=FILE (%s, one row: %s)", dot ? dot + 1 : f->name, p->name,
                      netc_dtype_text(p->dtype), netc_shape_text(p->rank, p->shape, text));
}

int netc_inputs_read(netc_inputs *in, netc_call *call, const netc_options *o) {
    const netc_func *f = call->func;
    size_t           n = (size_t)f->nin + 1;
    bool            *given = netc_array(n, sizeof *given);
    *in = (netc_inputs){.call = call, .rows = 1};
    in->data = netc_array(n, sizeof *in->data);
    in->fill = netc_array(n, sizeof *in->fill);
    int code = read_settings(in, o, given);
    if (!code) code = read_file_inputs(in, o);
    for (int i = 0; i < f->nin && !code; i++)
        if (!in->data[i] && !given[i] && !port_default(in, i, &in->fill[i])) code = missing_input(f, &f->in[i]);
    free(given);
    if (code) netc_inputs_free(in);
    return code;
}

void netc_inputs_free(netc_inputs *in) {
    for (int i = 0; in->call && i < in->call->func->nin; i++) free(in->data[i]);
    free(in->data);
    free(in->fill);
    *in = (netc_inputs){0};
}

static void fill_port(const netc_port *p, void *dst, int64_t n, float v) {
    for (int64_t k = 0; k < n; k++) {
        if (p->dtype == NETC_F32) ((float *)dst)[k] = v;
        else if (p->dtype == NETC_I32) ((int32_t *)dst)[k] = (int32_t)v;
        else ((uint8_t *)dst)[k] = (uint8_t)v;
    }
}

void netc_inputs_batch(const netc_inputs *in, int64_t first, int64_t n) {
    for (int i = 0; i < in->call->func->nin; i++) {
        const netc_port *p = &in->call->func->in[i];
        int64_t          rows = p->rows ? n : 1;
        size_t           from = p->rows ? (size_t)first * p->row_bytes : 0;
        void            *to = in->call->in[i];
        if (in->data[i]) memcpy(to, (char *)in->data[i] + from, (size_t)rows * p->row_bytes);
        else fill_port(p, to, rows * p->count, in->fill[i]);
    }
}
