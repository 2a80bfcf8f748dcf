/* From the expressions of a data block to splits: sources are loaded once, views are made of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data_impl.h"

typedef struct {
    const netc_model *m;
    const char       *dir;
    netc_data        *d;
} planner;

static int broken(const char *what) {
    return netc_error(NETC_EXIT_INTERNAL, "the description of the data is broken: %s", what);
}

/* ---- sources -------------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    int       (*load)(data_load *l);
} KINDS[] = {
    {"idx", data_load_idx},   {"npy", data_load_npy},   {"npz", data_load_named},   {"safetensors", data_load_named},
    {"csv", data_load_table}, {"tsv", data_load_table}, {"images", data_load_images},
    {"text", data_load_text},
};
enum { NKINDS = sizeof KINDS / sizeof *KINDS };

static bool same_source(const netc_json *a, const netc_json *b) {
    static const char *const KEYS[] = {"kind", "files", "args"};
    for (int i = 0; i < 3; i++) {
        if (!netc_json_equal(netc_json_get(a, KEYS[i]), netc_json_get(b, KEYS[i]))) return false;
    }
    return true;
}

/* A place for the lengths of every ragged dim that a field has. */
static void find_lengths(const netc_model *m, netc_source *s) {
    s->lengths = netc_array((size_t)m->ndim, sizeof *s->lengths);
    for (int i = 0; i < m->ndim; i++) {
        bool used = false;
        for (int f = 0; f < m->nfield; f++)
            for (int k = 0; k < m->field[f].rank; k++)
                used |= m->field[f].axis[k] && !strcmp(m->field[f].axis[k], m->dim[i].name);
        if (used) s->lengths[s->nlengths++].dim = &m->dim[i];
    }
}

static netc_source *new_source(const planner *p, const netc_json *e) {
    netc_source *s = netc_alloc(sizeof *s);
    s->plan = e;
    s->rows = -1;
    s->ncolumn = p->m->nfield;
    s->column = netc_array((size_t)s->ncolumn, sizeof *s->column);
    for (int i = 0; i < s->ncolumn; i++) s->column[i] = (netc_column){.port = &p->m->field[i]};
    find_lengths(p->m, s);
    s->next = p->d->sources;
    p->d->sources = s;                  /* from here on netc_data_free frees it */
    return s;
}

static int load_source(planner *p, const netc_json *e, netc_source *s) {
    const netc_json *files = netc_json_get(e, "files");
    data_load l = {.m = p->m, .dir = p->dir, .kind = netc_json_string(netc_json_get(e, "kind"), ""), .s = s};
    int code = NETC_EXIT_OK, k = 0;
    while (k < NKINDS && strcmp(KINDS[k].kind, l.kind)) k++;
    if (k == NKINDS) return netc_error(NETC_EXIT_MODEL, "%s(...) is not read by this version of netc", l.kind);
    l.file = netc_array(files ? files->count : 0, sizeof *l.file);
    for (const netc_json *f = netc_json_first(files); f && !code; f = f->next, l.nfile++) {
        l.file[l.nfile] = netc_data_path(p->dir, netc_json_string(f, ""));
        if (!l.file[l.nfile]) code = NETC_EXIT_IO;
    }
    if (!code) code = KINDS[k].load(&l);
    for (int i = 0; i < l.nfile; i++) free(l.file[i]);
    free(l.file);
    return code;
}

static int make_source(planner *p, const netc_json *e, netc_split *v) {
    netc_source *s = p->d->sources;
    while (s && !same_source(s->plan, e)) s = s->next;
    if (!s) {
        s = new_source(p, e);
        int code = load_source(p, e, s);
        if (code) return code;
    }
    v->source = s;
    v->count = s->rows;
    v->variants = 1;
    v->field = -1;
    return NETC_EXIT_OK;
}

/* ---- views ---------------------------------------------------------------------------------------- */

static int keep_range(netc_split *v, int64_t from, int64_t to) {
    if (from >= to) {
        return netc_error(NETC_EXIT_DATA, "data: a split is empty: rows %lld to %lld", (long long)from, (long long)to);
    }
    if (v->map) memmove(v->map, v->map + from, (size_t)(to - from) * sizeof *v->map);
    else v->first += from;
    v->count = to - from;
    return NETC_EXIT_OK;
}

/* Fractions cut where they round to, so that [0.0:0.9] and [0.9:1.0] meet. */
static int64_t cut_at(double fraction, int64_t count) {
    double at = floor(fraction * (double)count + 0.5);
    return at < 0 ? 0 : at > (double)count ? count : (int64_t)at;
}

static int slice(const netc_json *e, netc_split *v) {
    const netc_json *lo = netc_json_get(e, "lo"), *hi = netc_json_get(e, "hi");
    if (netc_json_bool(netc_json_get(e, "fraction"), false)) {
        return keep_range(v, cut_at(netc_json_number(lo, 0), v->count), cut_at(netc_json_number(hi, 1), v->count));
    }
    double from = netc_json_number(lo, 0), to = netc_json_number(hi, (double)v->count);
    if (from >= 0 && to <= (double)v->count) return keep_range(v, (int64_t)from, (int64_t)to);
    return netc_error(NETC_EXIT_DATA, "data: rows %.0f to %.0f are taken, there are %lld", from, to,
                      (long long)v->count);
}

static int split(const netc_json *e, netc_split *v) {
    const netc_json *parts = netc_json_get(e, "parts");
    int64_t part = netc_json_int(netc_json_get(e, "part"), -1);
    double before = 0;
    if (part < 0 || !netc_json_at(parts, (uint32_t)part)) return broken("a part of a split is missing");
    for (int64_t i = 0; i < part; i++) before += netc_json_number(netc_json_at(parts, (uint32_t)i), 0);
    double after = before + netc_json_number(netc_json_at(parts, (uint32_t)part), 0);
    return keep_range(v, cut_at(before, v->count), cut_at(after, v->count));
}

/* Gives v a list of its own, in random order. */
static int shuffle(const netc_json *e, netc_split *v) {
    int64_t *order = netc_array((size_t)v->count, sizeof *order);
    /* Epochs of training count from 0: the last number gives an order that none of them has. */
    netc_permutation((uint64_t)netc_json_int(netc_json_get(e, "seed"), 0), UINT64_MAX, v->count, order);
    for (int64_t i = 0; i < v->count; i++) order[i] = v->map ? v->map[order[i]] : v->first + order[i];
    free(v->map);
    v->map = order;
    v->first = 0;
    return NETC_EXIT_OK;
}

static int read_variants(const netc_json *list, netc_split *v) {
    v->variants = netc_json_is(list, NETC_JSON_ARRAY) ? (int64_t)list->count : 0;
    v->nargs = netc_json_first(list) ? (int)netc_json_first(list)->count : 0;
    if (!v->variants || !v->nargs) return broken("expand has no variants");
    v->variant = netc_array((size_t)v->variants * (size_t)v->nargs, sizeof *v->variant);
    int32_t *to = v->variant;
    for (const netc_json *e = netc_json_first(list); e; e = e->next) {
        if (!netc_json_is(e, NETC_JSON_ARRAY) || (int)e->count != v->nargs) return broken("variants of two lengths");
        for (const netc_json *k = netc_json_first(e); k; k = k->next) *to++ = (int32_t)netc_json_int(k, 0);
    }
    return NETC_EXIT_OK;
}

/* Position p becomes the positions p * variants .. p * variants + variants - 1. */
static int expand(const planner *p, const netc_json *e, netc_split *v) {
    const char *field = netc_json_string(netc_json_get(e, "field"), "");
    if (v->function) {
        return netc_error(NETC_EXIT_MODEL, "data: expand of what is expanded already; list all variants at once");
    }
    v->field = 0;
    while (v->field < p->m->nfield && strcmp(p->m->field[v->field].name, field)) v->field++;
    v->function = netc_json_string(netc_json_get(e, "function"), "");
    if (v->field == p->m->nfield || !netc_model_func(p->m, v->function)) return broken("expand of what is unknown");
    int code = read_variants(netc_json_get(e, "variants"), v);
    if (code) return code;
    if (v->map) {
        int64_t n = v->variants, *map = netc_array((size_t)(v->count * n), sizeof *map);
        for (int64_t i = 0; i < v->count * n; i++) map[i] = v->map[i / n] * n + i % n;
        free(v->map);
        v->map = map;
    }
    v->first *= v->variants;
    v->count *= v->variants;
    return NETC_EXIT_OK;
}

/* On a failure the caller frees *v. */
static int make_view(planner *p, const netc_json *e, netc_split *v) {
    const char *op = netc_json_string(netc_json_get(e, "op"), "");
    if (!strcmp(op, "source")) return make_source(p, e, v);
    if (!netc_json_get(e, "of")) return broken("an operation without an operand");
    int code = make_view(p, netc_json_get(e, "of"), v);
    if (code) return code;
    if (v->lanes) return netc_error(NETC_EXIT_MODEL, "data: nothing follows a stream");
    if (!strcmp(op, "stream")) return data_stream(p->m, e, v);
    if (!strcmp(op, "slice")) return slice(e, v);
    if (!strcmp(op, "split")) return split(e, v);
    if (!strcmp(op, "shuffle")) return shuffle(e, v);
    if (!strcmp(op, "expand")) return expand(p, e, v);
    return broken("an unknown operation");
}

static bool is_wanted(const char *name, const char *const *names) {
    if (!names) return true;
    for (; *names; names++) {
        if (!strcmp(*names, name)) return true;
    }
    return false;
}

int netc_data_load(const netc_model *m, const char *dir, const char *const *names, netc_data *d) {
    *d = (netc_data){0};
    if (!m->data_name) return netc_error(NETC_EXIT_MODEL, "the program has no data block");
    planner p = {m, dir, d};
    int code = NETC_EXIT_OK;
    d->split = netc_array(m->splits ? m->splits->count : 0, sizeof *d->split);
    for (const netc_json *e = netc_json_first(m->splits); e && !code; e = e->next) {
        if (!is_wanted(e->key, names)) continue;
        netc_split *v = &d->split[d->nsplit++];
        v->name = e->key;
        code = make_view(&p, e, v);
        if (!code && v->source->text && !v->lanes)
            code = netc_error(NETC_EXIT_MODEL, "data: '%s' is a text, which is trained on as a stream: |> stream(x, y)",
                              v->name);
    }
    if (code) netc_data_free(d);
    return code;
}

/* The symbols of dim `d` from its file. */
static int read_vocab(const data_load *l, const netc_dim *d, netc_vocab *v) {
    char *path = netc_data_path(l->dir, netc_json_string(netc_json_get(d->vocab, "file"), ""));
    if (!path) return NETC_EXIT_IO;
    int code = netc_vocab_read(v, path, netc_json_string(netc_json_get(d->vocab, "by"), "char"),
                               (int)netc_json_int(netc_json_get(d->vocab, "col"), -1),
                               netc_json_int(netc_json_get(d->vocab, "min"), 1),
                               netc_json_bool(netc_json_get(d->vocab, "eos"), false));
    free(path);
    return code;
}

int data_vocab(const data_load *l, const netc_port *p, netc_vocab *own, const netc_vocab **v) {
    const netc_dim *d = p->dim ? netc_model_dim(l->m, p->dim) : NULL;
    *own = (netc_vocab){0};
    *v = netc_model_vocab(l->m, p->dim);
    if (*v || !d || !d->vocab) return NETC_EXIT_OK;
    int code = read_vocab(l, d, own);
    if (!code && own->count != p->size) {
        code = netc_error(NETC_EXIT_DATA, "dim %s was compiled with %lld symbols, its file has %lld now; compile it "
                          "again", p->dim, (long long)p->size, (long long)own->count);
        netc_vocab_free(own);
    }
    if (!code) *v = own;
    return code;
}
