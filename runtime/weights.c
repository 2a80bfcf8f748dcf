/* The blocks of weights, optimizer slots and states, and their files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model.h"

/* ---- blocks --------------------------------------------------------------------------------------- */

static float *slot_data(const float *block, const netc_slot *s) {
    return (float *)(uintptr_t)block + s->offset / sizeof(float);
}

static void set_first(const netc_slot *slot, int n, float *block) {
    for (int i = 0; i < n; i++) {
        float *p = slot_data(block, &slot[i]);
        for (int64_t k = 0; k < slot[i].count; k++) p[k] = slot[i].first;
    }
}

int netc_blocks_new(const netc_model *m, netc_blocks *b) {
    *b = (netc_blocks){0};
    b->weights = netc_block_new(m->weights_size, "the weights");
    b->opt = b->weights ? netc_block_new(m->opt_size, "the optimizer's state") : NULL;
    b->state = b->opt ? netc_block_new(m->state_size, "the states") : NULL;
    if (!b->state) {
        netc_blocks_free(m, b);
        return NETC_EXIT_LIMIT;
    }
    netc_blocks_reset(m, b);
    return NETC_EXIT_OK;
}

void netc_blocks_free(const netc_model *m, netc_blocks *b) {
    netc_block_free(b->weights, m->weights_size);
    netc_block_free(b->opt, m->opt_size);
    netc_block_free(b->state, m->state_size);
    *b = (netc_blocks){0};
}

void netc_blocks_copy(const netc_model *m, netc_blocks *to, const netc_blocks *from) {
    memcpy(to->weights, from->weights, (size_t)m->weights_size);
    memcpy(to->opt, from->opt, (size_t)m->opt_size);
    memcpy(to->state, from->state, (size_t)m->state_size);
}

void netc_blocks_reset(const netc_model *m, netc_blocks *b) {
    set_first(m->state, m->nstate, b->state);
    set_first(m->opt, m->nopt, b->opt);
}

/* ---- places --------------------------------------------------------------------------------------- */

/* A tensor of a file and where its numbers lie in a block. */
typedef struct {
    char   *key;
    int     rank;
    int64_t shape[NETC_MAX_RANK];
    int64_t count;
    bool    optional;           /* a state: a weights file made elsewhere need not have it */
    float  *data;
} place;

typedef struct {
    place *p;
    int    count;
} places;

/* In a file a lane state is "lane." + its key and has the rows as its first axis. */
static void add_places(places *to, const netc_model *m, const netc_slot *slot, int n, const float *block, bool lane) {
    bool optional = slot == m->state && !lane;
    to->p = netc_resize(to->p, (size_t)(to->count + n), sizeof *to->p);
    for (int i = 0; i < n; i++) {
        const netc_slot *s = &slot[i];
        if (s->lane != lane) continue;
        place *p = &to->p[to->count++];
        *p = (place){.count = s->count, .optional = optional, .data = slot_data(block, s)};
        p->key = netc_format("%s%s", lane ? "lane." : "", s->key);
        if (lane) p->shape[p->rank++] = m->batch;
        for (int k = 0; k < s->rank; k++) p->shape[p->rank++] = s->shape[k];
    }
}

static places weight_places(const netc_model *m, const float *weights, const float *state) {
    places p = {0};
    add_places(&p, m, m->param, m->nparam, weights, false);
    add_places(&p, m, m->state, m->nstate, state, false);
    return p;
}

static places opt_places(const netc_model *m, const float *opt, const float *state) {
    places p = {0};
    add_places(&p, m, m->opt, m->nopt, opt, false);
    add_places(&p, m, m->state, m->nstate, state, true);
    return p;
}

static void free_places(places *p) {
    for (int i = 0; i < p->count; i++) free(p->p[i].key);
    free(p->p);
}

/* ---- vocabularies --------------------------------------------------------------------------------- */

/* The symbols of each vocab dim stand in the metadata: a trained model answers without the text. */
static char *vocab_key(const char *dim) { return netc_format("netc.vocab.%s", dim); }

static bool is_stored(const netc_dim *d) { return d->table.count && d->table.by != NETC_BY_BYTE; }

static void collect_vocabs(const netc_model *m, netc_tensors *s) {
    for (int i = 0; i < m->ndim; i++) {
        netc_buf b = {0};
        char    *key = vocab_key(m->dim[i].name);
        if (is_stored(&m->dim[i])) {
            netc_vocab_put_json(&b, &m->dim[i].table);
            netc_tensors_add_meta(s, key, b.data);
        }
        netc_buf_free(&b);
        free(key);
    }
}

/* count 0: the file does not say. */
static int find_vocab(const char *path, const netc_tensors *s, const char *dim, netc_vocab *v) {
    char       *key = vocab_key(dim);
    const char *text = netc_tensors_meta(s, key), *why;
    size_t      where;
    int         code = NETC_EXIT_OK;
    *v = (netc_vocab){0};
    if (text) {
        netc_json_doc *doc = netc_json_parse(text, strlen(text), &why, &where);
        if (!doc || netc_vocab_from_json(v, netc_json_root(doc)))
            code = netc_error(NETC_EXIT_DATA, "%s: its vocabulary of %s cannot be read", path, dim);
        netc_json_free(doc);
    }
    free(key);
    return code;
}

int netc_weights_vocab(const char *path, const char *dim, netc_vocab *v) {
    netc_tensors s;
    *v = (netc_vocab){0};
    int code = netc_tensors_read(path, NULL, NULL, &s);
    if (!code) code = find_vocab(path, &s, dim, v);
    netc_tensors_free(&s);
    return code;
}

static int other_vocab(const char *path, const netc_dim *d, const netc_vocab *file, int64_t at) {
    const netc_vocab *here = &d->table;
    const char *a = at < file->count ? file->symbol[at] : "none", *b = at < here->count ? here->symbol[at] : "none";
    return netc_error(NETC_EXIT_DATA, "%s was trained with other symbols of %s: %lld of them, here %lld; number %lld "
                      "is '%.40s', here '%.40s'. Compile the model with the text that it was trained on", path, d->name,
                      (long long)file->count, (long long)here->count, (long long)at, a, b);
}

static int check_vocabs(const netc_model *m, const char *path, const netc_tensors *s) {
    int code = NETC_EXIT_OK;
    for (int i = 0; i < m->ndim && !code; i++) {
        const netc_dim *d = &m->dim[i];
        netc_vocab v;
        if (!is_stored(d)) continue;
        code = find_vocab(path, s, d->name, &v);
        int64_t at = code || !v.count ? -1 : netc_vocab_difference(&v, &d->table);
        if (at >= 0) code = other_vocab(path, d, &v, at);
        netc_vocab_free(&v);
    }
    return code;
}

/* ---- writing -------------------------------------------------------------------------------------- */

static void collect(places p, netc_tensors *s) {
    for (int i = 0; i < p.count; i++) netc_tensors_add(s, p.p[i].key, NETC_F32, p.p[i].rank, p.p[i].shape, p.p[i].data);
    free_places(&p);
}

void netc_weights_collect(const netc_model *m, const float *weights, const float *state, const char *kind,
                          netc_tensors *s) {
    netc_tensors_add_meta(s, "format", "netc");
    netc_tensors_add_meta(s, "netc.kind", kind);
    netc_tensors_add_meta(s, "netc.model", m->model);
    netc_tensors_add_meta(s, "netc.model_hash", m->hash);
    netc_tensors_add_meta(s, "netc.version", m->version);
    collect_vocabs(m, s);
    collect(weight_places(m, weights, state), s);
}

void netc_opt_collect(const netc_model *m, const float *opt, const float *state, netc_tensors *s) {
    collect(opt_places(m, opt, state), s);
}

int netc_weights_save(const netc_model *m, const char *path, const float *weights, const float *state) {
    netc_tensors s = {0};
    netc_weights_collect(m, weights, state, "weights", &s);
    int code = netc_safetensors_write(path, &s);
    netc_tensors_free(&s);
    return code;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static const char OTHER_MODEL[] = "these are the weights of another model";

static int check_place(const char *path, const netc_tensors *s, const place *p) {
    char want[NETC_SHAPE_TEXT], have[NETC_SHAPE_TEXT];
    const netc_tensor *t = netc_tensors_find(s, p->key);
    netc_shape_text(p->rank, p->shape, want);
    if (!t && p->optional) return NETC_EXIT_OK;
    if (!t) return netc_error(NETC_EXIT_DATA, "%s: has no tensor %s %s; %s", path, p->key, want, OTHER_MODEL);
    bool same = t->rank == p->rank;
    for (int k = 0; same && k < p->rank; k++) same = t->shape[k] == p->shape[k];
    if (!same) {
        return netc_error(NETC_EXIT_DATA, "%s: %s has the shape %s, the model needs %s; %s", path, p->key,
                          netc_shape_text(t->rank, t->shape, have), want, OTHER_MODEL);
    }
    bool numbers = t->dtype == NETC_F32 || t->dtype == NETC_F64 || t->dtype == NETC_F16 || t->dtype == NETC_BF16;
    if (numbers) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: %s holds %s, weights are f32", path, p->key, netc_dtype_text(t->dtype));
}

/* What a checkpoint holds beside the weights. */
static bool is_bookkeeping(const char *name) {
    static const char *const NAMES[] = {"cursor", "metrics", "rng"};
    bool prefixed = !strncmp(name, "opt.", 4) || !strncmp(name, "lane.", 5) || !strncmp(name, "netc.", 5);
    for (int i = 0; i < 3; i++) prefixed |= !strcmp(name, NAMES[i]);
    return prefixed;
}

static int check_extra(const char *path, const netc_tensors *s, const places *p) {
    const char *kind = netc_tensors_meta(s, "netc.kind");
    bool checkpoint = kind && !strcmp(kind, "checkpoint");
    for (int i = 0; i < s->count; i++) {
        const char *name = s->t[i].name;
        bool known = checkpoint && is_bookkeeping(name);
        for (int k = 0; !known && k < p->count; k++) known = !strcmp(p->p[k].key, name);
        if (known) continue;
        return netc_error(NETC_EXIT_DATA, "%s: has a tensor %s that the model lacks; %s", path, name, OTHER_MODEL);
    }
    return NETC_EXIT_OK;
}

static int check_places(const char *path, const netc_tensors *s, const places *p, bool extra) {
    int code = NETC_EXIT_OK;
    for (int i = 0; i < p->count && !code; i++) code = check_place(path, s, &p->p[i]);
    return code || !extra ? code : check_extra(path, s, p);
}

typedef struct {
    const netc_model *m;
    places            p;
} expected;

/* netc_tensors_check: before any data are read. */
static int check_weights(void *cx, const char *path, const netc_tensors *s) {
    const expected *e = cx;
    int code = check_vocabs(e->m, path, s);
    return code ? code : check_places(path, s, &e->p, true);
}

static void assign(const char *path, const netc_tensors *s, const places *p) {
    for (int i = 0; i < p->count; i++) {
        const place *to = &p->p[i];
        const netc_tensor *t = netc_tensors_find(s, to->key);
        bool rounded, finite = true;
        if (!t) {
            netc_note("%s: has no %s: its first value is used", path, to->key);
            continue;
        }
        netc_tensor_to_f32(t, to->data, &rounded);
        for (int64_t k = 0; k < to->count; k++) finite &= isfinite(to->data[k]) != 0;
        if (rounded) netc_note("%s: %s: f64 rounded to f32", path, to->key);
        if (!finite) netc_warning("%s: %s holds values that are not finite", path, to->key);
    }
}

int netc_weights_assign(const netc_model *m, const char *path, const netc_tensors *s, float *weights, float *state) {
    expected e = {m, weight_places(m, weights, state)};
    int code = check_weights(&e, path, s);
    if (!code) assign(path, s, &e.p);
    free_places(&e.p);
    return code;
}

int netc_opt_assign(const netc_model *m, const char *path, const netc_tensors *s, float *opt, float *state) {
    places p = opt_places(m, opt, state);
    int code = check_places(path, s, &p, false);
    if (!code) assign(path, s, &p);
    free_places(&p);
    return code;
}

int netc_weights_load(const netc_model *m, const char *path, float *weights, float *state) {
    netc_tensors s;
    expected e = {m, weight_places(m, weights, state)};
    int code = netc_tensors_read(path, check_weights, &e, &s);
    if (!code) assign(path, &s, &e.p);
    netc_tensors_free(&s);
    free_places(&e.p);
    return code;
}

/* ---- first values --------------------------------------------------------------------------------- */

/* Vector v of n numbers, `stride` apart: made orthogonal to the ones before it, twice, because once
 * leaves what rounding left; then of length 1. */
static void orthogonalize_vector(float *w, int64_t v, int64_t n, int64_t between, int64_t stride) {
    float *x = w + v * between;
    for (int64_t pass = 0; pass < 2; pass++) {
        for (int64_t u = 0; u < v; u++) {
            const float *y = w + u * between;
            double dot = 0;
            for (int64_t k = 0; k < n; k++) dot += (double)x[k * stride] * y[k * stride];
            for (int64_t k = 0; k < n; k++) x[k * stride] = (float)(x[k * stride] - dot * y[k * stride]);
        }
    }
    double square = 0;
    for (int64_t k = 0; k < n; k++) square += (double)x[k * stride] * x[k * stride];
    double length = sqrt(square);
    for (int64_t k = 0; k < n && length > 0; k++) x[k * stride] = (float)(x[k * stride] / length);
}

void netc_orthogonalize(float *w, int64_t rows, int64_t cols) {
    int64_t vectors = rows <= cols ? rows : cols;
    for (int64_t v = 0; v < vectors; v++) {
        if (rows <= cols) orthogonalize_vector(w, v, cols, cols, 1);
        else orthogonalize_vector(w, v, rows, 1, cols);
    }
}
