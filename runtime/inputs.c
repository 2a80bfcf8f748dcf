/* The arguments of a function from a command line: arrays, texts, numbers. */
#include <stdlib.h>
#include <string.h>

#include "runtime/command.h"
#include "runtime/settings.h"

#define MAX_LINES (UINT64_C(1) << 32)

static const netc_port *port_of(const netc_inputs *in, int i) { return &in->call->func->in[i]; }

static const netc_vocab *vocab_of(const netc_inputs *in, int i) {
    const netc_port *p = port_of(in, i);
    return p->dtype == NETC_I32 ? netc_model_vocab(in->call->engine->model, p->dim) : NULL;
}

/* The default of argument `i`, if the description has one; of lengths the dim's maximum. */
static bool port_default(const netc_inputs *in, int i, float *v) {
    const netc_model *m = in->call->engine->model;
    const netc_json *functions = netc_json_get(netc_json_root(m->doc), "functions");
    if (port_of(in, i)->lengths) {
        *v = (float)netc_model_dim(m, port_of(in, i)->name)->size;
        return true;
    }
    for (const netc_json *f = netc_json_first(functions); f; f = f->next) {
        if (strcmp(netc_json_string(netc_json_get(f, "name"), ""), in->call->func->name)) continue;
        const netc_json *d = netc_json_get(netc_json_at(netc_json_get(f, "in"), (uint32_t)i), "default");
        *v = (float)netc_json_number(d, 0);
        return d != NULL;
    }
    return false;
}

/* ---- rows and lengths --------------------------------------------------------------------------------- */

static netc_lengths *lengths_of(const netc_inputs *in, const char *dim) {
    int i = 0;
    while (i < in->nlengths && strcmp(in->lengths[i].dim->name, dim)) i++;
    return i < in->nlengths ? &in->lengths[i] : NULL;
}

/* All arrays have the same rows; `first` was the first of them. */
static int set_rows(netc_inputs *in, const char **first, int64_t rows, const char *what) {
    if (rows < 1) return netc_error(NETC_EXIT_DATA, "%s has no rows", what);
    if (*first && rows != in->rows)
        return netc_error(NETC_EXIT_DATA, "%s has %lld rows, %s has %lld: the first axis is the batch", *first,
                          (long long)in->rows, what, (long long)rows);
    *first = what;
    in->rows = rows;
    return NETC_EXIT_OK;
}

/* Rows of one length, where the lengths of the dim are not given. */
static int whole_rows(netc_inputs *in, const netc_port *p, const netc_tensor *t, const char *what) {
    for (int k = 0; k < p->rank && t->rank == p->rank + 1; k++) {
        netc_lengths *n = p->axis[k] ? lengths_of(in, p->axis[k]) : NULL;
        if (!n || n->length) continue;
        if (t->shape[k + 1] < 1 || t->shape[k + 1] > n->dim->size)
            return netc_error(NETC_EXIT_DATA, "%s: an axis of %lld, but %s goes from 1 to %lld", what,
                              (long long)t->shape[k + 1], n->dim->name, (long long)n->dim->size);
        n->length = netc_array((size_t)in->rows, sizeof *n->length);
        for (int64_t r = 0; r < in->rows; r++) n->length[r] = (int32_t)t->shape[k + 1];
    }
    return NETC_EXIT_OK;
}

/* ---- arrays ------------------------------------------------------------------------------------------- */

static int read_lengths(netc_inputs *in, netc_lengths *n, const char *file, const char **first) {
    netc_tensor t;
    int         code = n->length ? netc_error(NETC_EXIT_USAGE, "--in %s is given twice", n->dim->name)
                                 : netc_tensor_read(file, &t);
    if (code) return code;
    code = netc_lengths_from_tensor(n->dim, &t, file, &n->length);
    if (!code) code = set_rows(in, first, t.shape[0], file);
    netc_tensor_free(&t);
    return code;
}

/* A tensor's rows for port i. A port with one value per call takes the bare shape. */
static int read_array(netc_inputs *in, int i, const char *file, const char **first) {
    const netc_port *p = port_of(in, i);
    netc_column     *c = &in->column[i];
    netc_tensor      t;
    int              code = netc_tensor_read(file, &t);
    if (code) return code;
    if (!p->rows && t.rank < NETC_MAX_RANK) {
        memmove(t.shape + 1, t.shape, (size_t)t.rank * sizeof t.shape[0]);
        t.shape[0] = 1;
        t.rank++;
    }
    int64_t rows = t.rank ? t.shape[0] : 0;
    bool    pixels = netc_tensor_of_pixels(file);
    if (p->ragged) {
        code = set_rows(in, first, rows, file);
        if (!code) code = whole_rows(in, p, &t, file);
        if (!code) code = netc_column_from_padded(c, in->lengths, in->nlengths, &t, file, pixels);
    } else {
        void *data = NULL;
        code = netc_rows_from_tensor(p, &t, file, pixels, false, &c->dtype, &data);
        if (!code) c->data = data;
        if (!code && p->rows) code = set_rows(in, first, rows, file);
    }
    c->scale = pixels && c->dtype == NETC_U8 && p->dtype == NETC_F32;      /* as the data that were trained on */
    netc_tensor_free(&t);
    return code;
}

/* ---- texts -------------------------------------------------------------------------------------------- */

static int no_symbol(const netc_port *p, const char *where, const char *bad, size_t size) {
    if (!size) return netc_error(NETC_EXIT_DATA, "%s: the text of %s is not UTF-8", where, p->name);
    return netc_error(NETC_EXIT_DATA, "%s: '%.*s' is no symbol of dim %s", where, size < 60 ? (int)size : 60, bad,
                      p->dim);
}

/* Several symbols together are not one that is unknown. */
static bool is_one_symbol(const netc_vocab *v, const char *text) {
    const char *p = text, *end = text + strlen(text), *symbol;
    size_t      size;
    int         n = 0, more = 1;
    if (!strcmp(text, v->symbol[v->unk])) return true;
    while (n < 2 && (more = netc_next_symbol(v->by, &p, end, &symbol, &size)) > 0) n++;
    return n == 1 && more >= 0;
}

/* The symbols of a text for port i: one, or a row of them. */
static int encode(const netc_inputs *in, int i, const char *text, const char *where, netc_symbols *s) {
    const netc_port  *p = port_of(in, i);
    const netc_vocab *v = vocab_of(in, i);
    const char       *bad;
    size_t            size;
    if (!p->rank) {
        int64_t symbol = netc_vocab_find(v, text, strlen(text));
        if (symbol < 0) return no_symbol(p, where, text, strlen(text) + !*text);
        if (symbol == v->unk && !is_one_symbol(v, text))
            return netc_error(NETC_EXIT_DATA, "%s: %s takes one symbol of dim %s", where, p->name, p->dim);
        netc_symbols_add(s, symbol);
        return NETC_EXIT_OK;
    }
    if (!netc_vocab_encode(v, text, strlen(text), s, &bad, &size)) return no_symbol(p, where, bad, size);
    if (p->ragged && s->n >= 1 && s->n <= p->count) return NETC_EXIT_OK;
    if (!p->ragged && s->n == p->count) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: %lld symbols%s, %s takes %s%lld", where, (long long)s->n,
                      v->eos >= 0 ? " (with <eos>)" : "", p->name, p->ragged ? "1 to " : "", (long long)p->count);
}

/* The length of row r of the port's dim: what was given for it must agree. */
static int set_length(netc_inputs *in, const netc_port *p, int64_t r, int64_t length, bool given, const char *where) {
    netc_lengths *n = lengths_of(in, p->axis[0]);
    if (given && n->length[r] != length)
        return netc_error(NETC_EXIT_DATA, "%s: %s has %lld steps of %s, another argument says %d", where, p->name,
                          (long long)length, p->axis[0], n->length[r]);
    n->length[r] = (int32_t)length;
    return NETC_EXIT_OK;
}

/* Texts as the rows of port i; `where[r]` names each. */
static int set_texts(netc_inputs *in, int i, char *const *text, int64_t rows, char *const *where) {
    const netc_port *p = port_of(in, i);
    netc_column     *c = &in->column[i];
    netc_lengths    *n = p->ragged ? lengths_of(in, p->axis[0]) : NULL;
    netc_symbols     s = {0}, all = {0};
    bool             given = n && n->length;
    int              code = NETC_EXIT_OK;
    if (n && !given) n->length = netc_array((size_t)rows, sizeof *n->length);
    if (p->ragged) c->start = netc_array((size_t)rows + 1, sizeof *c->start);
    for (int64_t r = 0; r < rows && !code; r++) {
        s.n = 0;
        code = encode(in, i, text[r], where[r], &s);
        for (int64_t k = 0; k < s.n; k++) netc_symbols_add(&all, s.at[k]);
        if (!code && n) code = set_length(in, p, r, s.n, given, where[r]);
        if (p->ragged) c->start[r + 1] = all.n;
    }
    free(s.at);
    c->dtype = NETC_I32;
    c->data = all.at;
    return code;
}

static int one_text(netc_inputs *in, int i, const char *text, const char **first) {
    char *line = (char *)(uintptr_t)text, *where = (char *)(uintptr_t)port_of(in, i)->name;
    int   code = set_rows(in, first, 1, where);
    return code ? code : set_texts(in, i, &line, 1, &where);
}

/* A row for each line of a file. */
static int text_file(netc_inputs *in, int i, const char *file, const char **first) {
    char   *data = NULL, **line = NULL, **where = NULL;
    size_t  size;
    int64_t n = 0;
    int     code = netc_read_file(file, MAX_LINES, &data, &size);
    if (!code && memchr(data, 0, size)) code = netc_error(NETC_EXIT_DATA, "%s: a NUL byte in the text", file);
    for (char *p = data; !code && p < data + size; n++) {
        char *end = p + strcspn(p, "\n");
        bool  last = !*end;
        if (!(n & (n - 1))) {
            line = netc_resize(line, (size_t)(n ? 2 * n : 1), sizeof *line);
            where = netc_resize(where, (size_t)(n ? 2 * n : 1), sizeof *where);
        }
        *end = 0;
        if (end > p && end[-1] == '\r') end[-1] = 0;
        line[n] = p;
        where[n] = netc_format("%s:%lld", file, (long long)n + 1);
        p = end + !last;
    }
    if (!code) code = set_rows(in, first, n, file);
    if (!code) code = set_texts(in, i, line, n, where);
    for (int64_t k = 0; k < n; k++) free(where[k]);
    free(where);
    free(line);
    free(data);
    return code;
}

int netc_inputs_line(netc_inputs *in, const char *line, const char *where) {
    netc_column *c = &in->column[in->lines];
    const netc_port *p = c->port;
    char *text = (char *)(uintptr_t)line, *at = (char *)(uintptr_t)where;
    netc_lengths *n = p->ragged ? lengths_of(in, p->axis[0]) : NULL;
    free(c->data);
    free(c->start);
    c->data = NULL;
    c->start = NULL;
    if (n && !in->lines_fixed) {
        free(n->length);
        n->length = NULL;
    }
    return set_texts(in, in->lines, &text, 1, &at);
}

/* ---- --in ---------------------------------------------------------------------------------------------- */

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

static bool ends(const char *s, const char *with) {
    size_t n = strlen(s), k = strlen(with);
    return n >= k && !strcmp(s + n - k, with);
}

static bool is_given(const netc_inputs *in, int i) {
    const netc_port *p = port_of(in, i);
    return in->column[i].data || in->lines == i || (p->lengths && lengths_of(in, p->name)->length);
}

static int read_input(netc_inputs *in, int i, const char *file, const char **first) {
    const netc_port *p = port_of(in, i);
    if (is_given(in, i)) return netc_error(NETC_EXIT_USAGE, "--in %s is given twice", p->name);
    if (!vocab_of(in, i) || ends(file, ".npy")) return read_array(in, i, file, first);
    if (ends(file, ".txt")) return text_file(in, i, file, first);
    if (strcmp(file, "-")) return one_text(in, i, file, first);
    if (in->lines >= 0) return netc_error(NETC_EXIT_USAGE, "standard input can be one argument, not two");
    in->lines = i;
    return set_rows(in, first, 1, p->name);
}

/* The ragged dim whose lengths "DIM=FILE" gives, or NULL. */
static netc_lengths *given_lengths(const netc_inputs *in, const char *text, const char **file) {
    for (int i = 0; i < in->nlengths; i++)
        if (netc_setting_is(text, in->lengths[i].dim->name, file)) return &in->lengths[i];
    return NULL;
}

/* Lengths first: arrays are read as far as they go. */
static int read_inputs(netc_inputs *in, const netc_options *o, const char **first) {
    int code = NETC_EXIT_OK;
    for (int k = 0; k < 2 * o->ngiven && !code; k++) {
        const netc_given *given = &o->given[k % o->ngiven];
        const char       *file;
        if (given->id != NETC_OPT_IN) continue;
        netc_lengths *n = given_lengths(in, given->value, &file);
        if (n && k < o->ngiven) code = read_lengths(in, n, file, first);
        if (n || k < o->ngiven) continue;
        int i = input_port(in, given->value, &file);
        code = i < 0 ? NETC_EXIT_USAGE : read_input(in, i, file, first);
    }
    return code;
}

/* ---- NAME=VALUE ---------------------------------------------------------------------------------------- */

static int set_number(netc_inputs *in, int i, const char *setting, const char *value) {
    const netc_port *p = port_of(in, i);
    double           v, lo = 0, hi = (double)p->size - 1;
    if (p->ragged || p->count != 1)
        return netc_error(NETC_EXIT_USAGE, "%s is an array: give it as --in %s=FILE", p->name, p->name);
    if (!netc_parse_real(value, &v)) return netc_error(NETC_EXIT_USAGE, "%s: not a number", setting);
    if (p->lengths) {
        lo = 1;
        hi = (double)netc_model_dim(in->call->engine->model, p->name)->size;
    }
    if ((p->dim || p->lengths) && (v < lo || v > hi || v != (double)(int64_t)v))
        return netc_error(NETC_EXIT_DATA, "%s: %s is a whole number from %.0f to %.0f", setting,
                          p->lengths ? "a length" : p->dim, lo, hi);
    in->fill[i] = (float)v;
    return NETC_EXIT_OK;
}

static int set_symbol(netc_inputs *in, int i, const char *setting, const char *value) {
    netc_symbols s = {0};
    int          code = encode(in, i, value, setting, &s);
    if (!code) in->fill[i] = (float)s.at[0];
    free(s.at);
    return code;
}

/* An argument of the function, else a setting of the model. */
static int read_setting(netc_inputs *in, const char *setting, bool *given, const char **first) {
    const netc_func *f = in->call->func;
    const char      *value;
    int              i = 0;
    while (i < f->nin && !netc_setting_is(setting, f->in[i].name, &value)) i++;
    if (i == f->nin) return netc_setting_apply(in->call->engine->model, setting);
    if (is_given(in, i)) return netc_error(NETC_EXIT_USAGE, "%s is given twice", f->in[i].name);
    given[i] = true;
    if (!vocab_of(in, i)) return set_number(in, i, setting, value);
    return f->in[i].rank ? one_text(in, i, value, first) : set_symbol(in, i, setting, value);
}

/* ---- all of them ---------------------------------------------------------------------------------------- */

static int missing_input(const netc_func *f, const netc_port *p) {
    const char *dot = strchr(f->name, '.');             /* entry.NAME */
    char        text[NETC_SHAPE_TEXT];
    return netc_error(NETC_EXIT_USAGE, "%s needs --in %s=FILE (%s, one row: %s)", dot ? dot + 1 : f->name, p->name,
                      netc_dtype_text(p->dtype), netc_shape_text(p->rank, p->shape, text));
}

static bool has_dim(const netc_port *p, const char *dim) {
    bool has = p->lengths && !strcmp(p->name, dim);
    for (int k = 0; k < p->rank; k++) has |= p->axis[k] && !strcmp(p->axis[k], dim);
    return has;
}

static void begin(netc_inputs *in, netc_call *call) {
    const netc_func  *f = call->func;
    const netc_model *m = call->engine->model;
    *in = (netc_inputs){.call = call, .rows = 1, .lines = -1};
    in->column = netc_array((size_t)f->nin + 1, sizeof *in->column);
    in->fill = netc_array((size_t)f->nin + 1, sizeof *in->fill);
    in->lengths = netc_array((size_t)m->ndim + 1, sizeof *in->lengths);
    for (int i = 0; i < f->nin; i++) in->column[i].port = &f->in[i];
    for (int d = 0; d < m->ndim; d++) {
        bool used = false;
        for (int i = 0; i < f->nin; i++) used |= has_dim(&f->in[i], m->dim[d].name);
        if (used) in->lengths[in->nlengths++].dim = &m->dim[d];
    }
}

static int read_all(netc_inputs *in, const char *const *setting, int n, const netc_options *o) {
    const netc_func *f = in->call->func;
    bool            *given = netc_array((size_t)f->nin + 1, sizeof *given);
    const char      *first = NULL;
    int              code = o ? read_inputs(in, o, &first) : NETC_EXIT_OK;
    for (int s = 0; s < n && !code; s++) code = read_setting(in, setting[s], given, &first);
    for (int i = 0; i < f->nin && !code; i++)
        if (!given[i] && !is_given(in, i) && !port_default(in, i, &in->fill[i])) code = missing_input(f, &f->in[i]);
    const netc_port *p = in->lines >= 0 ? port_of(in, in->lines) : NULL;
    in->lines_fixed = p && p->ragged && lengths_of(in, p->axis[0])->length;
    free(given);
    if (code) netc_inputs_free(in);
    return code;
}

int netc_inputs_read(netc_inputs *in, netc_call *call, const netc_options *o) {
    begin(in, call);
    return read_all(in, o->setting, o->nsetting, o);
}

int netc_inputs_set(netc_inputs *in, netc_call *call, const char *const *setting, int n) {
    begin(in, call);
    return read_all(in, setting, n, NULL);
}

void netc_inputs_free(netc_inputs *in) {
    for (int i = 0; in->call && i < in->call->func->nin; i++) {
        free(in->column[i].data);
        free(in->column[i].start);
    }
    for (int i = 0; i < in->nlengths; i++) free(in->lengths[i].length);
    free(in->column);
    free(in->fill);
    free(in->lengths);
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
        const netc_port *p = port_of(in, i);
        const int32_t   *length = p->lengths ? netc_lengths_of(in->lengths, in->nlengths, p->name) : NULL;
        int64_t          rows = p->rows ? n : 1;
        char            *to = in->call->in[i];
        if (length) memcpy(to, length + first, (size_t)n * sizeof *length);
        else if (!in->column[i].data) fill_port(p, to, rows * p->count, in->fill[i]);
        else
            for (int64_t r = 0; r < rows; r++)
                netc_column_row(&in->column[i], in->lengths, in->nlengths, p->rows ? first + r : 0,
                                to + (size_t)r * p->row_bytes);
    }
}
