#include "runtime/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/checkpoint.h"
#include "runtime/options.h"
#include "runtime/sample.h"
#include "runtime/signals.h"

typedef struct {
    netc_engine   *engine;
    netc_model    *model;
    const netc_data *data;
    const netc_train_options *options;
    netc_split    *train, *valid;       /* valid NULL: none */
    netc_split    *final;               /* scored at the end: test, else valid, else train */
    netc_run_folder folder;
    netc_identity  identity;
    netc_blocks    blocks;
    netc_blocks    best;                /* weights and states of the best epoch, if `keeps` */
    bool           keeps, best_here;    /* the plan has `keep`; `best` is that of at.best_step */
    netc_call      call;
    netc_feed      feed;
    netc_evaluator evaluator;           /* of valid */
    netc_sampler   sampler;
    netc_position  at;
    int64_t       *order, batches;      /* of this epoch; steps per epoch */
    netc_progress  progress;
    bool           best_unsaved;        /* `best` is newer than best.safetensors */
    bool           save_failed;         /* the last attempt to write state */
    double         started, last_save, validating;      /* clock; seconds of one validation */
    double         seconds_before;      /* at.seconds at `started` */
    int64_t        steps_before;
} trainer;

char *netc_default_run(const netc_model *m) { return netc_format("%s.run", m->name); }

void netc_watched(const netc_model *m, const char **key, int *sign) {
    *key = m->train.keep ? m->train.keep : "loss";
    *sign = m->train.keep ? m->train.keep_sign : -1;
}

int netc_train_data(const netc_model *m, const char *dir, netc_data *data) {
    static const char *const NAMES[] = {"train", "valid", "test", NULL};
    return netc_data_load(m, dir ? dir : ".", NAMES, data);
}

void netc_train_result_free(netc_train_result *r) {
    free(r->text);
    *r = (netc_train_result){0};
}

/* ---- where it stands ---------------------------------------------------------------------------------- */

static bool out_of_patience(const trainer *t) {
    int64_t patience = t->model->train.patience;
    return patience > 0 && t->valid && t->at.stale >= patience;
}

static bool is_finished(const trainer *t) {
    return !t->at.batch && (t->at.epoch >= t->model->train.epochs || out_of_patience(t));
}

/* ---- records ----------------------------------------------------------------------------------------- */

static void put_field(netc_buf *b, const char *name, double v) {
    netc_buf_printf(b, ",\"%s\":", name);
    netc_json_put_number(b, v);
}

static void put_text(netc_buf *b, const char *name, const char *text) {
    netc_buf_printf(b, ",\"%s\":", name);
    netc_json_put_string(b, text);
}

static void put_score(netc_buf *b, const char *name, const netc_score *s) {
    netc_buf_printf(b, ",\"%s\":", name);
    netc_score_json(b, s);
}

/* {"event":EVENT,"epoch":..,"step":.. ; the caller adds fields, finish_record writes it. */
static netc_buf begin_record(const trainer *t, const char *event) {
    netc_buf b = {0};
    netc_buf_printf(&b, "{\"event\":\"%s\",\"epoch\":%lld,\"step\":%lld", event, (long long)t->at.epoch,
                    (long long)t->at.step);
    return b;
}

static void finish_record(trainer *t, netc_buf *b) {
    netc_buf_text(b, "}");
    netc_run_log(&t->folder, b->data);
    netc_buf_free(b);
}

static void log_start(trainer *t, const char *checkpoint) {
    const netc_model *m = t->model;
    char              text[NETC_REAL_TEXT];
    netc_buf          b = begin_record(t, checkpoint ? "resume" : "start");
    if (checkpoint) put_text(&b, "from", checkpoint);
    put_text(&b, "netc", m->version);
    put_text(&b, "model", m->name);
    put_text(&b, "hash", m->hash);
    put_text(&b, "target", m->target);
    put_field(&b, "seed", (double)m->train.seed);
    put_field(&b, "batch", (double)m->batch);
    put_field(&b, "epochs", (double)m->train.epochs);
    put_field(&b, "threads", netc_pool_threads(t->engine->pool));
    put_field(&b, "parameters", (double)netc_model_param_count(m));
    put_field(&b, "train_examples", (double)t->train->count);
    put_field(&b, "valid_examples", t->valid ? (double)t->valid->count : 0);
    netc_buf_text(&b, ",\"hypers\":{");
    for (int i = 0; i < m->nhyper; i++) {
        netc_buf_text(&b, i ? "," : "");
        netc_json_put_string(&b, m->hyper[i].name);
        netc_buf_text(&b, ":");
        netc_buf_text(&b, netc_real_text(m->hyper[i].value, text));
    }
    netc_buf_text(&b, "}");
    finish_record(t, &b);
}

/* ---- setting up -------------------------------------------------------------------------------------- */

static void make_identity(trainer *t) {
    const netc_model *m = t->model;
    netc_identity    *id = &t->identity;
    netc_identity_add(id, "model", "%s", m->hash);
    netc_identity_add(id, "target", "%s", m->target);
    netc_identity_add(id, "batch", "%lld", (long long)m->batch);
    netc_identity_add(id, "seed", "%lld", (long long)m->train.seed);
    netc_identity_add(id, "data", "%016llx", (unsigned long long)netc_data_fingerprint(t->data));
    netc_identity_add(id, "keep", "%s%s", m->train.keep && m->train.keep_sign < 0 ? "-" : "",
                      m->train.keep ? m->train.keep : "none");
    netc_identity_add(id, "bucket", "%s", m->train.bucket ? m->train.bucket : "none");
    for (int i = 0; i < m->nhyper; i++) {
        char text[NETC_REAL_TEXT];
        netc_identity_add(id, m->hyper[i].name, "%s", netc_real_text(m->hyper[i].value, text));
    }
}

static int find_splits(trainer *t) {
    const netc_train_plan *plan = &t->model->train;
    if (!plan->present) return netc_error(NETC_EXIT_MODEL, "the model has no train block");
    t->train = netc_data_split(t->data, "train");
    t->valid = netc_data_split(t->data, "valid");
    t->final = netc_data_split(t->data, "test");
    if (!t->train) return netc_error(NETC_EXIT_DATA, "the data block has no 'train'");
    if (!t->train->count) return netc_error(NETC_EXIT_DATA, "the training data have no examples");
    if (t->valid && !t->valid->count) t->valid = NULL;
    if (!t->final || !t->final->count) t->final = t->valid ? t->valid : t->train;
    t->keeps = plan->keep && t->valid;
    if (!t->valid && (plan->keep || plan->patience))
        netc_progress_say(&t->progress, "no validation data (`valid` in the data block): keep and patience do nothing");
    t->batches = (t->train->count - 1) / t->model->batch + 1;
    t->order = netc_array((size_t)t->train->count, sizeof *t->order);
    return NETC_EXIT_OK;
}

/* Weights and states of the best epoch; no optimizer. */
static int make_best(trainer *t) {
    const netc_model *m = t->model;
    if (!t->keeps) return NETC_EXIT_OK;
    t->best.weights = netc_block_new(m->weights_size, "the best weights");
    t->best.state = netc_block_new(m->state_size, "the best states");
    return t->best.weights && t->best.state ? NETC_EXIT_OK : NETC_EXIT_LIMIT;
}

static void copy_best(trainer *t) {
    memcpy(t->best.weights, t->blocks.weights, t->model->weights_size);
    memcpy(t->best.state, t->blocks.state, t->model->state_size);
    t->best_here = t->best_unsaved = true;
}

static int check_watched(const trainer *t) {
    const char *key;
    int         sign;
    double      v;
    netc_watched(t->model, &key, &sign);
    if (netc_score_value(&t->at.sums, key, &v)) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_MODEL, "keep = best(%s): the objective has no metric of that name", key);
}

/* The first weights, or those of --weights. */
static int begin(trainer *t) {
    const char *file = t->options->weights;
    int         code = file ? netc_weights_load(t->model, file, t->blocks.weights, t->blocks.state)
                            : netc_first_weights(t->engine, (uint64_t)t->model->train.seed, &t->blocks);
    if (!code) log_start(t, NULL);
    return code;
}

static int resume(trainer *t, const char *checkpoint) {
    netc_position *at = &t->at;
    if (at->epoch < 0 || at->batch < 0 || at->batch > t->batches || at->step < 0)
        return netc_error(NETC_EXIT_DATA, "%s/%s: its position is not one of this run", t->folder.path, checkpoint);
    if (t->keeps && at->best_step) {
        char *path = netc_run_path(&t->folder, "best.safetensors");
        int   code = netc_weights_load_step(t->model, path, &t->best, at->best_step, &t->best_here);
        free(path);
        if (code) return code;
    }
    if (is_finished(t)) return NETC_EXIT_OK;
    log_start(t, checkpoint);
    netc_progress_say(&t->progress, "going on from %s/%s: %lld epochs and %lld of %lld steps are done", t->folder.path,
                      checkpoint, (long long)at->epoch, (long long)at->batch, (long long)t->batches);
    return NETC_EXIT_OK;
}

static int begin_or_resume(trainer *t) {
    bool  found;
    char *file = NULL;
    int   code = netc_checkpoint_load(&t->folder, t->model, &t->identity, &t->blocks, &t->at, &found, &file);
    if (!code) code = found ? resume(t, file) : begin(t);
    free(file);
    return code;
}

static int start(trainer *t) {
    const netc_train_options *o = t->options;
    netc_progress_start(&t->progress, o->progress, NULL, o->label ? o->label : "");
    t->progress.every_steps = o->log_every_steps;
    if (o->log_every_seconds > 0) t->progress.every_seconds = o->log_every_seconds;
    int code = find_splits(t);
    if (!code) code = netc_blocks_new(t->model, &t->blocks);
    if (!code) code = make_best(t);
    if (!code) code = netc_call_new(&t->call, t->engine, "train");
    if (!code) code = netc_feed_new(&t->feed, t->train, &t->call);
    if (!code) code = netc_score_new(&t->at.sums, &t->call);
    if (!code) code = check_watched(t);
    if (!code && t->valid) code = netc_evaluator_new(&t->evaluator, t->engine, t->valid);
    if (!code && !o->skip_test) code = netc_sampler_new(&t->sampler, t->engine);
    if (code) return code;
    make_identity(t);
    t->at.best = t->at.kept = NAN;
    char *folder = o->run ? netc_strdup(o->run) : netc_default_run(t->model);
    code = netc_run_open(&t->folder, folder, o->fresh);
    free(folder);
    if (!code) code = begin_or_resume(t);
    t->started = t->last_save = netc_seconds();
    t->seconds_before = t->at.seconds;
    t->steps_before = t->at.step;
    return code;
}

static void stop(trainer *t) {
    const netc_model *m = t->model;
    netc_progress_clear(&t->progress);
    netc_run_close(&t->folder);
    netc_identity_free(&t->identity);
    netc_sampler_free(&t->sampler);
    netc_evaluator_free(&t->evaluator);
    netc_feed_free(&t->feed);
    netc_call_free(&t->call);
    netc_block_free(t->best.weights, m->weights_size);
    netc_block_free(t->best.state, m->state_size);
    netc_blocks_free(m, &t->blocks);
    free(t->order);
}

/* ---- saving ------------------------------------------------------------------------------------------ */

static bool all_finite(const netc_model *m, const float *weights) {
    for (int i = 0; i < m->nparam; i++) {
        const float *w = weights + m->param[i].offset / sizeof(float);
        for (int64_t k = 0; k < m->param[i].count; k++)
            if (!isfinite(w[k])) return false;
    }
    return true;
}

/* Training cannot go on: `what` ("the loss is nan") happened in the last step. What was saved stays. */
static int diverged(trainer *t, const char *what) {
    netc_progress_clear(&t->progress);
    netc_buf b = begin_record(t, "error"), hypers = {0};
    put_text(&b, "what", what);
    finish_record(t, &b);
    for (int i = 0; i < t->model->nhyper; i++) {
        const netc_hyper *h = &t->model->hyper[i];
        netc_buf_printf(&hypers, "%s%s=%g", i ? " " : " than now: ", h->name, (double)h->value);
    }
    int64_t epoch = (t->at.step - 1) / t->batches, batch = t->at.step - epoch * t->batches;
    int     code = netc_error(NETC_EXIT_NUMERIC, "%s at epoch %lld, step %lld/%lld: training diverged. Start anew "
                              "(--fresh) with a smaller step size%s, or with `clip` in the train block", what,
                              (long long)epoch + 1, (long long)batch, (long long)t->batches,
                              hypers.size ? hypers.data : "");
    char *good = netc_checkpoint_newest(&t->folder);
    if (good) netc_note("the last finite state stays in %s/%s", t->folder.path, good);
    free(good);
    netc_buf_free(&hypers);
    return code;
}

/* best.safetensors stands on the disk before a checkpoint names its step: whatever happens in between,
 * the run goes on from an earlier checkpoint and makes that step again. */
static bool save_best(trainer *t) {
    if (!t->best_unsaved) return true;
    char *path = netc_run_path(&t->folder, "best.safetensors");
    t->best_unsaved = netc_weights_save_step(t->model, path, &t->best, t->at.best_step) != NETC_EXIT_OK;
    free(path);
    return !t->best_unsaved;
}

/* A failure to write is a warning: training goes on in memory. Only numbers that are not finite stop it. */
static int save(trainer *t) {
    if (!all_finite(t->model, t->blocks.weights)) return diverged(t, "a weight is not finite");
    double now = netc_seconds();
    t->at.seconds = t->seconds_before + now - t->started;
    bool failed = !save_best(t) ||
                  netc_checkpoint_save(&t->folder, t->model, &t->identity, &t->blocks, &t->at) != NETC_EXIT_OK;
    if (failed) netc_warning("no checkpoint was written; training goes on, the older one stays");
    t->save_failed = failed;
    t->last_save = now;
    return NETC_EXIT_OK;
}

/* After a signal: a durable state, and how to go on. */
static int save_and_leave(trainer *t, int why) {
    int code = save(t);
    if (code) return code;
    netc_buf b = begin_record(t, "stop");
    put_field(&b, "batch", (double)t->at.batch);
    finish_record(t, &b);
    netc_progress_clear(&t->progress);
    if (t->save_failed) return netc_error(NETC_EXIT_SAVE, "stopped, but the state could not be saved");
    netc_note("stopped at epoch %lld, step %lld/%lld; everything is saved in %s. The same command goes on from here",
              (long long)t->at.epoch + 1, (long long)t->at.batch, (long long)t->batches, t->folder.path);
    return why;
}

/* ---- one epoch --------------------------------------------------------------------------------------- */

static netc_time time_now(const trainer *t) {
    return (netc_time){.step = t->at.step, .epoch = t->at.epoch, .batches = t->batches,
                       .epochs = t->model->train.epochs};
}

static void show_step(trainer *t, int64_t rows, double epoch_started) {
    double now = netc_seconds();
    if (!netc_progress_due(&t->progress, t->at.step, now)) return;
    int64_t epochs = t->model->train.epochs, steps_left = epochs * t->batches - t->at.step;
    double  per_step = (now - t->started) / (double)(t->at.step - t->steps_before);
    netc_progress_point at = {.epoch = t->at.epoch + 1, .epochs = epochs, .batch = t->at.batch, .batches = t->batches};
    at.rate = (double)rows / (now - epoch_started);
    at.left = per_step * (double)steps_left + t->validating * (double)(epochs - t->at.epoch);
    netc_progress_step(&t->progress, &t->at.sums, &at, now);
}

/* Rows of a batch of this epoch; not above 0: there is no such batch. */
static int64_t batch_rows(const trainer *t, int64_t batch) {
    int64_t left = t->train->count - batch * t->model->batch;
    return left < t->model->batch ? left : t->model->batch;
}

static void start_batch(trainer *t, int64_t batch) {
    netc_feed_start(&t->feed, t->order + batch * t->model->batch, batch_rows(t, batch));
}

/* The step at.batch of this epoch, while threads that wait gather the next batch; returns the number of its rows, 0 if
 * the loss is not finite. */
static int64_t train_step(trainer *t, double *loss) {
    int64_t n = batch_rows(t, t->at.batch), next = batch_rows(t, t->at.batch + 1);
    if (!t->feed.rows) start_batch(t, t->at.batch);
    netc_feed_take(&t->feed, &t->blocks);
    if (next > 0) start_batch(t, t->at.batch + 1);
    netc_time now = time_now(t);
    netc_call_run(&t->call, &t->blocks, &now, (uint64_t)t->model->train.seed, n);
    *loss = netc_score_add(&t->at.sums, &t->call, n);
    t->at.batch++;
    t->at.step++;
    return n;
}

/* `every`: what the entry says now, on the screen and in the log. */
static void show_sample(trainer *t) {
    netc_time now = time_now(t);
    char     *text = netc_sampler_text(&t->sampler, &t->blocks, &now, (uint64_t)t->model->train.seed);
    if (!text) return;
    netc_buf b = begin_record(t, "sample");
    put_text(&b, "entry", t->model->train.sample);
    put_text(&b, "text", text);
    finish_record(t, &b);
    netc_progress_say(&t->progress, "step %lld, %s: %s", (long long)t->at.step, t->model->train.sample, text);
    free(text);
}

static int train_epoch(trainer *t) {
    double  begun = netc_seconds(), before = t->at.epoch_seconds, loss;
    int64_t rows = 0;
    const netc_train_plan *plan = &t->model->train;
    netc_epoch_order(t->train, plan->bucket, t->model->batch, (uint64_t)plan->seed, (uint64_t)t->at.epoch, t->order);
    if (!t->at.batch) {
        netc_score_clear(&t->at.sums);
        netc_states_reset_lanes(t->model, t->blocks.state);
        before = 0;
    }
    while (t->at.batch < t->batches) {
        rows += train_step(t, &loss);
        if (!isfinite(loss)) return diverged(t, isnan(loss) ? "the loss is nan" : "the loss is infinite");
        show_step(t, rows, begun);
        if (netc_sampler_due(&t->sampler, t->at.step)) {
            int code = netc_call_ready(&t->sampler.call);
            if (code) return save_and_leave(t, code);
            show_sample(t);
        }
        double now = netc_seconds();
        t->at.epoch_seconds = before + now - begun;
        if (netc_signal_caught()) return save_and_leave(t, netc_signal_exit_code());
        bool due = t->options->save_every > 0 && now - t->last_save > t->options->save_every;
        if (due && t->at.batch < t->batches) {
            int code = save(t);
            if (code) return code;
        }
    }
    return NETC_EXIT_OK;
}

/* Is v better than the best so far? nan never is. */
static bool improves(const trainer *t, double v, int sign) {
    return !isnan(v) && (!t->at.best_epoch || sign * v > sign * t->at.best);
}

/* Scores the validation data and keeps the best weights. */
static int validate(trainer *t, bool *best) {
    const char *key;
    int         sign;
    double      v = NAN, begun = netc_seconds();
    netc_time   now = time_now(t);
    int         code = netc_evaluate(&t->evaluator, &t->blocks, &now, (uint64_t)t->model->train.seed);
    if (code) return save_and_leave(t, code);
    t->validating = netc_seconds() - begun;
    netc_watched(t->model, &key, &sign);
    netc_score_value(&t->evaluator.score, key, &v);
    *best = improves(t, v, sign);
    t->at.stale = *best ? 0 : t->at.stale + 1;
    if (*best) {
        t->at.best = v;
        t->at.best_epoch = t->at.epoch + 1;
        t->at.best_step = t->at.step;
    }
    t->at.kept = t->keeps ? t->at.best : v;
    if (*best && t->keeps) copy_best(t);
    return NETC_EXIT_OK;
}

static void report_epoch(trainer *t, bool best) {
    double   rate = t->at.epoch_seconds > 0 ? (double)t->at.sums.rows / t->at.epoch_seconds : 0;
    char     per_second[16];
    netc_buf line = {0}, b = begin_record(t, "epoch");
    netc_rate_text(per_second, rate);
    netc_score_text(&line, &t->at.sums, "  ");
    put_score(&b, "train", &t->at.sums);
    if (t->valid) {
        netc_buf_text(&line, "  valid ");
        netc_score_text(&line, &t->evaluator.score, "  ");
        put_score(&b, "valid", &t->evaluator.score);
        netc_buf_printf(&b, ",\"best\":%s", best ? "true" : "false");
    }
    put_field(&b, "seconds", t->at.epoch_seconds);
    put_field(&b, "examples_per_second", rate);
    finish_record(t, &b);
    netc_progress_say(&t->progress, "epoch %lld/%lld  %s  %.1f s  %s examples/s%s", (long long)t->at.epoch,
                      (long long)t->model->train.epochs, line.data, t->at.epoch_seconds, per_second,
                      best ? "  best" : "");
    netc_buf_free(&line);
}

static int train_epochs(trainer *t) {
    while (!is_finished(t)) {
        bool best = false;
        int  code = train_epoch(t);
        if (!code && t->valid) code = validate(t, &best);
        if (code) return code;
        t->at.epoch++;
        t->at.batch = 0;
        report_epoch(t, best);
        code = save(t);
        if (code) return code;
        if (netc_signal_caught() && !is_finished(t)) return save_and_leave(t, netc_signal_exit_code());
    }
    if (out_of_patience(t) && t->at.epoch < t->model->train.epochs)
        netc_progress_say(&t->progress, "stopped: %lld epochs without a better score than that of epoch %lld",
                          (long long)t->at.stale, (long long)t->at.best_epoch);
    return NETC_EXIT_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static const char RESULT[] = "result.json";

/* The text of an earlier end of this run at this very step; NULL if there is none. */
static char *read_result(const trainer *t) {
    char  *path = netc_run_path(&t->folder, RESULT), *data = NULL, *text = NULL;
    size_t size, where;
    FILE  *there = fopen(path, "r");
    if (there) fclose(there);
    if (there && !netc_read_file(path, 1 << 20, &data, &size)) {
        const char    *why;
        netc_json_doc *doc = netc_json_parse(data, size, &why, &where);
        const netc_json *root = doc ? netc_json_root(doc) : NULL;
        const char      *line = netc_json_string(netc_json_get(root, "text"), NULL);
        if (line && netc_json_int(netc_json_get(root, "step"), -1) == t->at.step) text = netc_strdup(line);
        netc_json_free(doc);
    }
    free(data);
    free(path);
    return text;
}

static void write_result(trainer *t, const netc_score *s, int64_t kept_epoch, const char *text) {
    netc_buf b = {0};
    netc_buf_printf(&b, "{\"step\":%lld,\"epochs\":%lld,\"kept_epoch\":%lld", (long long)t->at.step,
                    (long long)t->at.epoch, (long long)kept_epoch);
    put_text(&b, "split", t->final->name);
    put_score(&b, "score", s);
    put_field(&b, "examples", (double)s->rows);
    put_text(&b, "text", text);
    netc_buf_text(&b, "}\n");
    char *path = netc_run_path(&t->folder, RESULT);
    if (netc_write_file(path, b.data, b.size)) t->save_failed = true;
    free(path);
    netc_buf_free(&b);
}

/* Scores the kept weights once and writes the result down, unless the weights themselves are not on the disk. */
static int score_final(trainer *t, netc_blocks *kept, int64_t kept_epoch, char **text) {
    netc_evaluator v;
    netc_time      now = time_now(t);
    netc_buf       line = {0};
    int            code = netc_evaluator_new(&v, t->engine, t->final);
    if (code) return code;
    code = netc_evaluate(&v, kept, &now, (uint64_t)t->model->train.seed);
    if (!code) {
        netc_score_result(&line, &v.score, t->final->name);
        if (!t->save_failed) write_result(t, &v.score, kept_epoch, line.data);
        netc_buf b = begin_record(t, "end");
        put_field(&b, "kept_epoch", (double)kept_epoch);
        put_score(&b, t->final->name, &v.score);
        put_field(&b, "seconds", t->at.seconds);
        finish_record(t, &b);
        *text = line.data;
    } else {
        netc_note("stopped before the %s data were scored; the same command does that", t->final->name);
    }
    netc_evaluator_free(&v);
    return code;
}

static int finish(trainer *t, netc_train_result *r) {
    bool         use_best = t->keeps && t->at.best_step > 0;
    netc_blocks *kept = use_best ? &t->best : &t->blocks;
    if (use_best && !t->best_here)
        return netc_error(NETC_EXIT_DATA, "%s/best.safetensors does not hold the best weights (epoch %lld) of this "
                          "run; train longer, or --fresh", t->folder.path, (long long)t->at.best_epoch);
    r->kept_epoch = use_best ? t->at.best_epoch : t->at.epoch;
    r->score = t->at.kept;
    r->epochs = t->at.epoch;
    r->steps = t->at.step;
    r->seconds = t->at.seconds;
    if (r->was_finished && !t->options->skip_test && (r->text = read_result(t))) return NETC_EXIT_OK;
    char *path = netc_run_path(&t->folder, "weights.safetensors");
    if (netc_weights_save_step(t->model, path, kept, use_best ? t->at.best_step : t->at.step)) t->save_failed = true;
    int code = t->options->skip_test ? NETC_EXIT_OK : score_final(t, kept, r->kept_epoch, &r->text);
    if (!code && (t->save_failed || t->folder.log_failed))
        code = netc_error(NETC_EXIT_SAVE, "training ended, but not everything could be written to %s", t->folder.path);
    else if (!code && !t->options->skip_test)
        netc_progress_say(&t->progress, "weights of epoch %lld: %s", (long long)r->kept_epoch, path);
    free(path);
    return code;
}

int netc_train_in(netc_engine *e, const netc_data *data, const netc_train_options *o, netc_train_result *r) {
    trainer t = {.engine = e, .model = e->model, .data = data, .options = o, .folder = {.lock = -1, .log = -1}};
    *r = (netc_train_result){.score = NAN};
    netc_signals_catch();
    int code = start(&t);
    if (!code) {
        r->was_finished = is_finished(&t);
        if (r->was_finished && t.at.epoch)
            netc_progress_say(&t.progress,
                              "%s is finished: %lld epochs are done; train.epochs=N trains longer, --fresh "
                              "anew",
                              t.folder.path, (long long)t.at.epoch);
        code = train_epochs(&t);
    }
    if (!code) code = finish(&t, r);
    stop(&t);
    netc_signals_restore();
    return code;
}
