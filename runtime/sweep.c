#include "runtime/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/run_folder.h"
#include "runtime/score.h"
#include "runtime/signals.h"

typedef struct {
    char       *values;         /* "K=5 eta=0.03 lmbda=0.1" */
    netc_model *model;
    double     *hyper;          /* the model's, in its order */
    double      score, seconds; /* score nan: it diverged */
    int64_t     kept_epoch;
} trial;

struct netc_sweep {
    const netc_train_options *options;
    netc_run_folder folder;
    trial   *trial;
    int      ntrial;
    char    *earlier;           /* sweep.jsonl of the sweep that goes on; "" if there is none */
    netc_buf records;           /* sweep.jsonl as it is now */
    char    *key;               /* what trials are judged by */
    int      sign;
};

int netc_sweep_begin(const netc_train_options *o, const char *run, netc_sweep **sweep) {
    netc_sweep *s = netc_alloc(sizeof *s);
    size_t      size;
    *sweep = NULL;
    s->options = o;
    int code = netc_run_open(&s->folder, o->run ? o->run : run, o->fresh);
    if (!code) {
        char *path = netc_run_path(&s->folder, "sweep.jsonl");
        FILE *there = fopen(path, "r");
        if (there) fclose(there);
        if (there) code = netc_read_file(path, UINT64_C(1) << 30, &s->earlier, &size);
        else s->earlier = netc_strdup("");
        free(path);
    }
    if (code) netc_sweep_free(s);
    else *sweep = s;
    return code;
}

void netc_sweep_free(netc_sweep *s) {
    if (!s) return;
    for (int i = 0; i < s->ntrial; i++) {
        free(s->trial[i].values);
        free(s->trial[i].hyper);
    }
    if (s->folder.path) netc_run_close(&s->folder);
    netc_buf_free(&s->records);
    free(s->trial);
    free(s->earlier);
    free(s->key);
    free(s);
}

/* ---- trials ------------------------------------------------------------------------------------------ */

/* A record without what may differ from one time to the next: found again, the trial need not be run. */
static void put_trial(netc_buf *b, const netc_sweep *s, int number, const trial *t, uint64_t data) {
    const netc_train_plan *plan = &t->model->train;
    netc_buf_printf(b, "{\"trial\":%d,\"values\":", number);
    netc_json_put_string(b, t->values);
    netc_buf_printf(b, ",\"hash\":\"%s\",\"data\":\"%016llx\",\"seed\":%lld,\"epochs\":%lld,\"key\":\"%s\",",
                    t->model->hash, (unsigned long long)data, (long long)plan->seed, (long long)plan->epochs, s->key);
}

/* Did this trial diverge in the sweep that goes on? */
static bool diverged_before(const netc_sweep *s, const netc_buf *beginning) {
    const char *line = strstr(s->earlier, beginning->data);
    if (!line) return false;
    const char *end = strchr(line, '\n'), *score = strstr(line, "\"score\":null");
    return end && score && score < end;
}

static int record_trial(netc_sweep *s, const trial *t, const netc_buf *beginning) {
    netc_buf_text(&s->records, beginning->data);
    netc_buf_text(&s->records, "\"score\":");
    netc_json_put_number(&s->records, t->score);
    netc_buf_printf(&s->records, ",\"kept_epoch\":%lld,\"seconds\":", (long long)t->kept_epoch);
    netc_json_put_number(&s->records, t->seconds);
    netc_buf_text(&s->records, "}\n");
    char *path = netc_run_path(&s->folder, "sweep.jsonl");
    int   code = netc_write_file(path, s->records.data, s->records.size);
    free(path);
    return code;
}

static char *trial_folder(const netc_sweep *s, int number) {
    return netc_format("%s/sweep-%d", s->folder.path, number);
}

/* Trains the model with the hypers that it has now. */
static int run_trial(netc_sweep *s, netc_engine *e, const netc_data *data, const char *values) {
    netc_model       *m = e->model;
    netc_train_result r;
    int               number = s->ntrial + 1, code = NETC_EXIT_OK;
    s->trial = netc_resize(s->trial, (size_t)number, sizeof *s->trial);
    trial *t = &s->trial[s->ntrial++];
    *t = (trial){.values = netc_strdup(values), .model = m, .score = NAN};
    t->hyper = netc_array((size_t)m->nhyper + 1, sizeof *t->hyper);
    for (int i = 0; i < m->nhyper; i++) t->hyper[i] = (double)m->hyper[i].value;
    netc_buf beginning = {0};
    put_trial(&beginning, s, number, t, netc_data_fingerprint(data));
    if (!diverged_before(s, &beginning)) {
        netc_train_options o = *s->options;
        char              *folder = trial_folder(s, number), *label = netc_format("trial %d (%s)  ", number, values);
        o.run = folder;
        o.label = label;
        o.fresh = false;
        o.skip_test = true;
        code = netc_train_in(e, data, &o, &r);
        t->score = code ? NAN : r.score;
        t->kept_epoch = r.kept_epoch;
        t->seconds = r.seconds;
        netc_train_result_free(&r);
        free(label);
        free(folder);
    }
    if (!code || code == NETC_EXIT_NUMERIC) code = record_trial(s, t, &beginning);
    netc_buf_free(&beginning);
    return code;
}

/* ---- the grid ---------------------------------------------------------------------------------------- */

/* Is the hyper searched? By name if the plan has a list, else if it has a grid. */
static bool is_swept(const netc_model *m, const netc_hyper *h) {
    for (int i = 0; i < m->train.nsweep; i++)
        if (!strcmp(m->train.sweep[i], h->name)) return h->ngrid > 0;
    return !m->train.nsweep && h->ngrid > 0;
}

/* Sets hyper k and those after it to every combination; the last one changes fastest. `values`: the text so far. */
static int try_combinations(netc_sweep *s, netc_engine *e, const netc_data *data, int k, const char *values) {
    netc_model *m = e->model;
    while (k < m->nhyper && !is_swept(m, &m->hyper[k])) k++;
    if (k == m->nhyper) return run_trial(s, e, data, values);
    netc_hyper *h = &m->hyper[k];
    float       before = h->value;
    int         code = NETC_EXIT_OK;
    for (int i = 0; i < h->ngrid && !code; i++) {
        char *more = netc_format("%s%s%s=%g", values, *values ? " " : "", h->name, h->grid[i]);
        h->value = (float)h->grid[i];
        code = try_combinations(s, e, data, k + 1, more);
        free(more);
    }
    h->value = before;
    return code;
}

static int check_grid(const netc_model *m, const char *dims) {
    bool any = *dims != 0;
    for (int i = 0; i < m->nhyper; i++) any |= is_swept(m, &m->hyper[i]);
    if (!any)
        return netc_error(NETC_EXIT_USAGE, "nothing to sweep: no hyper has a grid, as `hyper eta = 0.1 in [0.01, "
                          "0.1]`, or the train block's sweep does not name it");
    for (int i = 0; i < m->train.nsweep && !*dims; i++)
        if (netc_model_dim(m, m->train.sweep[i]))
            netc_note("dim %s is compiled in and not searched here", m->train.sweep[i]);
    return NETC_EXIT_OK;
}

int netc_sweep_add(netc_sweep *s, netc_model *m, const char *dims) {
    netc_engine e;
    netc_data   data = {0};
    const char *key;
    int         code = check_grid(m, dims);
    if (!code) code = netc_engine_new(&e, m, s->options->threads, NULL);
    if (code) return code;
    netc_watched(m, &key, &s->sign);
    if (!s->key) s->key = netc_strdup(key);
    code = netc_train_data(m, s->options->data, &data);
    if (!code) {
        const netc_split *valid = netc_data_split(&data, "valid");
        if (!valid || !valid->count)
            code = netc_error(NETC_EXIT_DATA, "a sweep chooses on validation data: the data block has no `valid`");
    }
    if (!code) code = try_combinations(s, &e, &data, 0, dims);
    netc_data_free(&data);
    netc_engine_free(&e);
    return code;
}

/* ---- the best ---------------------------------------------------------------------------------------- */

/* The trial with the best score, the first of equals; -1: all diverged. */
static int best_trial(const netc_sweep *s) {
    int best = -1;
    for (int i = 0; i < s->ntrial; i++) {
        double v = s->trial[i].score;
        if (!isnan(v) && (best < 0 || s->sign * v > s->sign * s->trial[best].score)) best = i;
    }
    return best;
}

static void print_table(const netc_sweep *s, int best, FILE *out) {
    int width = 6;
    for (int i = 0; i < s->ntrial; i++)
        if ((int)strlen(s->trial[i].values) > width) width = (int)strlen(s->trial[i].values);
    fprintf(out, "trial  %-*s  valid %-10s  epoch  seconds\n", width, "values", s->key);
    for (int i = 0; i < s->ntrial; i++) {
        const trial *t = &s->trial[i];
        char         score[32] = "diverged";
        if (!isnan(t->score)) snprintf(score, sizeof score, "%.6g", t->score);
        fprintf(out, "%5d  %-*s  %-16s  %5lld  %7.1f%s\n", i + 1, width, t->values, score, (long long)t->kept_epoch,
                t->seconds, i == best ? "  best" : "");
    }
}

/* Scores the test data with the weights of the trial, and keeps those beside sweep.jsonl. */
static int score_best(netc_sweep *s, netc_engine *e, int best, netc_data *data, netc_buf *line) {
    static const char *const NAMES[] = {"test", "valid", NULL};
    netc_model    *m = e->model;
    netc_blocks    b;
    netc_evaluator v;
    char          *folder = trial_folder(s, best + 1), *from = netc_format("%s/weights.safetensors", folder);
    char          *to = netc_run_path(&s->folder, "sweep-best.safetensors");
    int            code = netc_blocks_new(m, &b);
    if (!code) code = netc_weights_load(m, from, b.weights, b.state);
    if (!code) code = netc_weights_save(m, to, b.weights, b.state);
    if (!code) code = netc_data_load(m, s->options->data ? s->options->data : ".", NAMES, data);
    netc_split *split = code ? NULL : netc_data_split(data, "test");
    if (!code && (!split || !split->count)) split = netc_data_split(data, "valid");
    if (!code) code = netc_evaluator_new(&v, e, split);
    if (!code) {
        code = netc_evaluate(&v, &b, &(netc_time){.batches = 1, .epochs = 1}, (uint64_t)m->train.seed);
        if (!code) netc_score_result(line, &v.score, split->name);
        netc_evaluator_free(&v);
    }
    netc_blocks_free(m, &b);
    free(to);
    free(from);
    free(folder);
    return code;
}

int netc_sweep_finish(netc_sweep *s, FILE *out) {
    int best = best_trial(s);
    print_table(s, best, out);
    if (best < 0) return netc_error(NETC_EXIT_NUMERIC, "every trial diverged");
    const trial *t = &s->trial[best];
    netc_model  *m = t->model;
    netc_engine  e;
    netc_data    data = {0};
    netc_buf     line = {0};
    float       *before = netc_array((size_t)m->nhyper + 1, sizeof *before);
    int          code = netc_engine_new(&e, m, s->options->threads, NULL);
    if (!code) {
        for (int i = 0; i < m->nhyper; i++) {
            before[i] = m->hyper[i].value;
            m->hyper[i].value = (float)t->hyper[i];
        }
        code = score_best(s, &e, best, &data, &line);
        for (int i = 0; i < m->nhyper; i++) m->hyper[i].value = before[i];
        netc_data_free(&data);
        netc_engine_free(&e);
    }
    if (!code) fprintf(out, "best: %s\n%s\n", t->values, line.data);
    netc_buf_free(&line);
    free(before);
    return code;
}
