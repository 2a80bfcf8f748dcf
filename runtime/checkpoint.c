#include "runtime/checkpoint.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CURSOR = 8, METRICS_FIXED = 5 };

static const char NAME_CURSOR[] = "netc.cursor", NAME_METRICS[] = "netc.metrics";

/* ---- identity ---------------------------------------------------------------------------------------- */

void netc_identity_add(netc_identity *id, const char *name, const char *fmt, ...) {
    char    value[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    id->item = netc_resize(id->item, (size_t)id->n + 1, sizeof *id->item);
    id->item[id->n].name = netc_strdup(name);
    id->item[id->n++].value = netc_strdup(value);
}

void netc_identity_free(netc_identity *id) {
    for (int i = 0; i < id->n; i++) {
        free(id->item[i].name);
        free(id->item[i].value);
    }
    free(id->item);
    *id = (netc_identity){0};
}

/* Exit code 4 naming every difference. */
static int compare_identity(const netc_identity *id, const netc_tensors *s, const char *path) {
    netc_buf b = {0};
    for (int i = 0; i < id->n; i++) {
        char       *key = netc_format("netc.run.%s", id->item[i].name);
        const char *was = netc_tensors_meta(s, key);
        if (!was) was = "none";
        if (strcmp(was, id->item[i].value))
            netc_buf_printf(&b, "%s%s was %s, now %s", b.size ? "; " : "", id->item[i].name, was, id->item[i].value);
        free(key);
    }
    if (b.size)
        netc_error(NETC_EXIT_DATA, "%s is of another run: %s. Use --fresh to start anew, or another --out", path,
                   b.data);
    int code = b.size ? NETC_EXIT_DATA : NETC_EXIT_OK;
    netc_buf_free(&b);
    return code;
}

/* ---- files ------------------------------------------------------------------------------------------- */

static char *file_name(int64_t step) { return netc_format("ckpt-%09lld.safetensors", (long long)step); }

/* The step in a checkpoint's name; -1: not a checkpoint. */
static int64_t step_of(const char *name) {
    long long step = -1;
    if (sscanf(name, "ckpt-%lld", &step) != 1 || step < 0) return -1;
    char *again = file_name(step);
    bool  same = !strcmp(again, name);
    free(again);
    return same ? step : -1;
}

static int by_step_down(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* Steps of all checkpoints in the folder, newest first; *n of them. free() it. */
static int64_t *list_steps(const netc_run_folder *r, int *n) {
    int64_t *steps = NULL;
    DIR     *d = opendir(r->path);
    *n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        int64_t step = step_of(e->d_name);
        if (step < 0) continue;
        steps = netc_resize(steps, (size_t)*n + 1, sizeof *steps);
        steps[(*n)++] = step;
    }
    if (d) closedir(d);
    if (*n) qsort(steps, (size_t)*n, sizeof *steps, by_step_down);
    return steps;
}

char *netc_checkpoint_newest(const netc_run_folder *r) {
    int      n;
    int64_t *steps = list_steps(r, &n);
    char    *name = n ? file_name(steps[0]) : NULL;
    free(steps);
    return name;
}

/* Keeps the checkpoint of `step`, just written, and the one before it. Later ones are those that were
 * found corrupt when the run went on from an earlier one. */
static void prune(const netc_run_folder *r, int64_t step) {
    int      n, older = 0;
    int64_t *steps = list_steps(r, &n);
    for (int i = 0; i < n; i++) {
        if (steps[i] == step || (steps[i] < step && older++ == 0)) continue;
        char *name = file_name(steps[i]), *path = netc_run_path(r, name);
        unlink(path);
        free(path);
        free(name);
    }
    free(steps);
}

/* ---- saving ------------------------------------------------------------------------------------------ */

/* Fills `metrics` (room for METRICS_FIXED + 2 * sums) and returns how many there are. */
static int64_t pack_position(const netc_position *at, uint64_t cursor[CURSOR], double *metrics) {
    const netc_score *s = &at->sums;
    int64_t values[CURSOR] = {at->epoch, at->batch, at->step, s->rows, at->best_epoch, at->best_step, at->stale, 0};
    for (int i = 0; i < CURSOR; i++) cursor[i] = (uint64_t)values[i];
    double fixed[METRICS_FIXED] = {at->best, at->kept, at->seconds, at->epoch_seconds, s->loss};
    memcpy(metrics, fixed, sizeof fixed);
    for (int i = 0; i < s->nsum; i++) {
        metrics[METRICS_FIXED + i] = s->sum[i];
        metrics[METRICS_FIXED + s->nsum + i] = s->share[i];
    }
    return METRICS_FIXED + 2 * s->nsum;
}

int netc_checkpoint_save(const netc_run_folder *r, const netc_model *m, const netc_identity *id, const netc_blocks *b,
                         const netc_position *at) {
    uint64_t     cursor[CURSOR];
    double       metrics[METRICS_FIXED + 2 * NETC_MAX_SUMS];
    int64_t      shape[1] = {CURSOR}, nmetrics[1] = {pack_position(at, cursor, metrics)};
    netc_tensors s = {0};
    netc_weights_collect(m, b->weights, b->state, "checkpoint", &s);
    netc_opt_collect(m, b->opt, b->state, &s);
    netc_tensors_add(&s, NAME_CURSOR, NETC_U64, 1, shape, cursor);
    netc_tensors_add(&s, NAME_METRICS, NETC_F64, 1, nmetrics, metrics);
    for (int i = 0; i < id->n; i++) {
        char *key = netc_format("netc.run.%s", id->item[i].name);
        netc_tensors_add_meta(&s, key, id->item[i].value);
        free(key);
    }
    char *name = file_name(at->step), *path = netc_run_path(r, name);
    int   code = netc_checkpoint_write(path, &s, (uint64_t)at->step);
    if (!code) prune(r, at->step);
    free(path);
    free(name);
    netc_tensors_free(&s);
    return code;
}

/* ---- loading ----------------------------------------------------------------------------------------- */

static const netc_tensor *find_vector(const netc_tensors *s, const char *name, netc_dtype d, int64_t n) {
    const netc_tensor *t = netc_tensors_find(s, name);
    return t && t->dtype == d && t->rank == 1 && t->shape[0] == n ? t : NULL;
}

static int unpack_position(const netc_tensors *s, const char *path, netc_position *at) {
    netc_score        *q = &at->sums;
    const netc_tensor *tc = find_vector(s, NAME_CURSOR, NETC_U64, CURSOR);
    const netc_tensor *tm = find_vector(s, NAME_METRICS, NETC_F64, METRICS_FIXED + 2 * q->nsum);
    if (!tc || !tm) return netc_error(NETC_EXIT_DATA, "%s: not a checkpoint of this objective", path);
    const uint64_t *c = tc->data;
    const double   *d = tm->data;
    at->epoch = (int64_t)c[0];
    at->batch = (int64_t)c[1];
    at->step = (int64_t)c[2];
    q->rows = (int64_t)c[3];
    at->best_epoch = (int64_t)c[4];
    at->best_step = (int64_t)c[5];
    at->stale = (int64_t)c[6];
    at->best = d[0];
    at->kept = d[1];
    at->seconds = d[2];
    at->epoch_seconds = d[3];
    q->loss = d[4];
    for (int i = 0; i < q->nsum; i++) {
        q->sum[i] = d[METRICS_FIXED + i];
        q->share[i] = d[METRICS_FIXED + q->nsum + i] != 0;
    }
    return NETC_EXIT_OK;
}

/* *corrupt: the file itself is bad or cannot be read, an older one may do. */
static int load_file(const char *path, const netc_model *m, const netc_identity *id, netc_blocks *b, netc_position *at,
                     bool *corrupt) {
    netc_tensors s;
    int code = netc_checkpoint_read(path, NULL, NULL, &s);
    *corrupt = code == NETC_EXIT_DATA || code == NETC_EXIT_IO;
    if (code) return code;
    *corrupt = false;
    code = compare_identity(id, &s, path);
    if (!code) code = netc_weights_assign(m, path, &s, b->weights, b->state);
    if (!code) code = netc_opt_assign(m, path, &s, b->opt, b->state);
    if (!code) code = unpack_position(&s, path, at);
    netc_tensors_free(&s);
    return code;
}

int netc_checkpoint_load(const netc_run_folder *r, const netc_model *m, const netc_identity *id, netc_blocks *b,
                         netc_position *at, bool *found, char **file) {
    int      n, code = NETC_EXIT_OK;
    int64_t *steps = list_steps(r, &n);
    *found = false;
    *file = NULL;
    for (int i = 0; i < n && !*found; i++) {
        bool  corrupt = false;
        char *name = file_name(steps[i]), *path = netc_run_path(r, name);
        code = load_file(path, m, id, b, at, &corrupt);
        if (code && corrupt && i + 1 < n) netc_warning("%s cannot be used; trying the checkpoint before it", path);
        if (code && corrupt && i + 1 == n)
            netc_error(NETC_EXIT_DATA, "no valid checkpoint in %s; --fresh moves the folder away and starts anew",
                       r->path);
        if (!code) {
            *found = true;
            *file = name;
            name = NULL;
        }
        free(path);
        free(name);
        if (code && !corrupt) break;
    }
    free(steps);
    return code;
}

/* ---- weights of a step ------------------------------------------------------------------------------- */

int netc_weights_save_step(const netc_model *m, const char *path, const netc_blocks *b, int64_t step) {
    netc_tensors s = {0};
    char         text[32];
    snprintf(text, sizeof text, "%lld", (long long)step);
    netc_weights_collect(m, b->weights, b->state, "weights", &s);
    netc_tensors_add_meta(&s, "netc.step", text);
    int code = netc_safetensors_write(path, &s);
    netc_tensors_free(&s);
    return code;
}

int netc_weights_load_step(const netc_model *m, const char *path, netc_blocks *b, int64_t step, bool *loaded) {
    netc_tensors s;
    int          code = netc_safetensors_read(path, NULL, NULL, &s);
    *loaded = false;
    if (code) return code;
    const char *text = netc_tensors_meta(&s, "netc.step");
    int64_t     have = text ? strtoll(text, NULL, 10) : -1;
    if (have < step)
        code = netc_error(NETC_EXIT_DATA, "%s holds the weights of step %lld, not of step %lld that the run kept", path,
                          (long long)have, (long long)step);
    if (!code && have == step) {
        code = netc_weights_assign(m, path, &s, b->weights, b->state);
        *loaded = !code;
    }
    netc_tensors_free(&s);
    return code;
}
