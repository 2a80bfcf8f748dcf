/* train and sweep: one network, an ensemble, or every combination of a grid. */
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"
#include "runtime/run_folder.h"
#include "runtime/signals.h"
#include "runtime/sweep.h"
#include "runtime/vote.h"

static int print_result(const char *text) {
    printf("%s\n", text);
    return fflush(stdout) ? netc_error_errno(NETC_EXIT_IO, "cannot write to standard output") : NETC_EXIT_OK;
}

static int train_one(netc_engine *e, const netc_data *data, const netc_train_options *o) {
    netc_train_result r;
    int               code = netc_train_in(e, data, o, &r);
    int printed = r.text ? print_result(r.text) : NETC_EXIT_OK;
    netc_train_result_free(&r);
    return code ? code : printed;
}

/* ---- ensemble ---------------------------------------------------------------------------------------- */

/* Trains member `i` of 1..n in RUN/i with the seed that follows. */
static int train_member(netc_engine *e, const netc_data *data, const netc_train_options *whole, const char *run,
                        int64_t i) {
    netc_model        *m = e->model;
    netc_train_options o = *whole;
    netc_train_result  r;
    char *folder = netc_format("%s/%lld", run, (long long)i);
    char *label = netc_format("member %lld/%lld  ", (long long)i, (long long)m->train.ensemble);
    o.run = folder;
    o.label = label;
    o.fresh = false;
    m->train.seed += i - 1;
    int code = netc_train_in(e, data, &o, &r);
    m->train.seed -= i - 1;
    if (r.text && o.progress != NETC_PROGRESS_NONE) fprintf(stderr, "%s%s\n", label, r.text);
    netc_train_result_free(&r);
    free(label);
    free(folder);
    return code;
}

static char *member_files(const char *run, int64_t n) {
    netc_buf b = {0};
    for (int64_t i = 1; i <= n; i++)
        netc_buf_printf(&b, "%s%s/%lld/weights.safetensors", i > 1 ? "," : "", run, (long long)i);
    return b.data;
}

/* The vote of all members over the test data, else over the validation or training data. */
static int score_members(netc_engine *e, const netc_data *data, netc_run_folder *folder) {
    netc_members members = {0};
    char        *files = member_files(folder->path, e->model->train.ensemble), *text = NULL;
    double       share;
    netc_split  *split = netc_data_split(data, "test");
    if (!split || !split->count) split = netc_data_split(data, "valid");
    if (!split || !split->count) split = netc_data_split(data, "train");
    int code = netc_members_load(e->model, files, &members);
    if (!code) code = netc_vote_score(e, &members, split, &share, &text);
    if (!code) {
        netc_buf b = {0};
        netc_buf_printf(&b, "{\"event\":\"vote\",\"members\":%d,\"split\":\"%s\",\"accuracy\":", members.n,
                        split->name);
        netc_json_put_number(&b, share);
        netc_buf_text(&b, "}");
        netc_run_log(folder, b.data);
        netc_buf_free(&b);
        code = print_result(text);
    }
    netc_members_free(&members);
    free(text);
    free(files);
    return code;
}

static int train_ensemble(netc_engine *e, const netc_data *data, const netc_train_options *o) {
    netc_run_folder folder;
    char           *run = o->run ? netc_strdup(o->run) : netc_default_run(e->model);
    int             code = netc_vote_possible(e->model);
    if (!code) code = netc_run_open(&folder, run, o->fresh);
    if (!code) {
        netc_signals_catch();
        for (int64_t i = 1; i <= e->model->train.ensemble && !code; i++) code = train_member(e, data, o, run, i);
        if (!code) code = score_members(e, data, &folder);
        netc_signals_restore();
        netc_run_close(&folder);
    }
    free(run);
    return code;
}

/* ---- commands ---------------------------------------------------------------------------------------- */

int netc_cmd_train(netc_model *m, int argc, char **argv) {
    netc_options       o;
    netc_train_options t;
    netc_engine        e;
    netc_data          data = {0};
    int                code = netc_command_start(NETC_CMD_train, m, argc, argv, &o);
    if (code || o.help) goto done;
    code = netc_command_no_operands(&o, 0);
    if (!code) code = netc_command_train_options(&o, &t);
    if (!code && !m->train.present) code = netc_error(NETC_EXIT_MODEL, "the model has no train block");
    if (!code && !(code = netc_engine_new(&e, m, t.threads, NULL))) {
        code = netc_train_data(m, t.data, &data);
        if (!code) code = m->train.ensemble > 1 ? train_ensemble(&e, &data, &t) : train_one(&e, &data, &t);
        netc_data_free(&data);
        netc_engine_free(&e);
    }
done:
    netc_options_free(&o);
    return code;
}

/* One model per combination of the dims in the grid; each searches its hypers. */
static int sweep_all(int n, netc_model *const *m, const char *const *dims, const netc_train_options *t) {
    netc_sweep *s;
    char       *run = netc_default_run(m[0]);
    netc_signals_catch();
    int code = netc_sweep_begin(t, run, &s);
    for (int i = 0; i < n && !code; i++) code = netc_sweep_add(s, m[i], dims[i]);
    if (!code) code = netc_sweep_finish(s, stdout);
    netc_sweep_free(s);
    netc_signals_restore();
    free(run);
    return code;
}

int netc_sweep_models(int n, netc_model *const *m, const char *const *dims, int argc, char **argv) {
    netc_options       o;
    netc_train_options t;
    int                code = netc_command_start(NETC_CMD_sweep, m[0], argc, argv, &o);
    if (code || o.help) goto done;
    code = netc_command_no_operands(&o, 0);
    if (!code) code = netc_command_train_options(&o, &t);
    if (!code && !m[0]->train.present) code = netc_error(NETC_EXIT_MODEL, "the model has no train block");
    if (!code) code = sweep_all(n, m, dims, &t);
done:
    netc_options_free(&o);
    return code;
}

int netc_cmd_sweep(netc_model *m, int argc, char **argv) {
    return netc_sweep_models(1, &m, (const char *const[]){""}, argc, argv);
}
