/* Arrays as rows of fields: IDX and .npy files in the order of the fields, .npz and safetensors by name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data_impl.h"

/* ---- rows of a port ------------------------------------------------------------------------------- */

/* Equal shapes, axes of size 1 apart. */
static bool same_shape(int arank, const int64_t *a, int brank, const int64_t *b) {
    int i = 0, k = 0;
    for (;;) {
        while (i < arank && a[i] == 1) i++;
        while (k < brank && b[k] == 1) k++;
        if (i == arank || k == brank) return i == arank && k == brank;
        if (a[i++] != b[k++]) return false;
    }
}

static int check_shape(const netc_port *p, const netc_tensor *t, const char *what, bool flat) {
    char have[NETC_SHAPE_TEXT], want[NETC_SHAPE_TEXT];
    netc_shape_text(p->rank, p->shape, want);
    if (!t->rank) return netc_error(NETC_EXIT_DATA, "%s: one number, but %s needs rows of %s", what, p->name, want);
    if (same_shape(t->rank - 1, t->shape + 1, p->rank, p->shape)) return NETC_EXIT_OK;
    if (flat && p->rank == 1 && netc_tensor_count(t) == t->shape[0] * p->count) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: rows of shape %s, but %s is %s", what,
                      netc_shape_text(t->rank - 1, t->shape + 1, have), p->name, want);
}

static bool is_integer(netc_dtype d) {
    return d != NETC_F32 && d != NETC_F64 && d != NETC_F16 && d != NETC_BF16;
}

int data_check_element(const netc_port *p, int64_t value, const char *where) {
    if (!p->dim || (value >= 0 && value < p->size)) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: %s is %lld, but %s has %lld values, 0 to %lld", where, p->name,
                      (long long)value, p->dim, (long long)p->size, (long long)p->size - 1);
}

static int bad_row(const netc_port *p, const char *what, int64_t row, double value, const char *why) {
    return netc_error(NETC_EXIT_DATA, "%s: row %lld (the first is 0): %s is %g: %s", what, (long long)row, p->name,
                      value, why);
}

/* Integers of any type to i32 or u8. */
static int convert_integers(const netc_port *p, const netc_tensor *t, const char *what, const int64_t *start,
                            int64_t rows, void *to) {
    double low = p->dtype == NETC_U8 ? 0 : INT32_MIN, high = p->dtype == NETC_U8 ? 255 : INT32_MAX;
    int64_t n = netc_tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        double v = netc_tensor_get(t, i);
        if (v < low || v > high)
            return bad_row(p, what, data_row_of(p, start, rows, i), v, "it does not fit its type");
        if (p->dtype == NETC_U8) ((uint8_t *)to)[i] = (uint8_t)v;
        else ((int32_t *)to)[i] = (int32_t)v;
        if (!p->dim || (v >= 0 && v < (double)p->size)) continue;
        char where[512];
        snprintf(where, sizeof where, "%s: row %lld (the first is 0)", what,
                 (long long)data_row_of(p, start, rows, i));
        return data_check_element(p, (int64_t)v, where);
    }
    return NETC_EXIT_OK;
}

int data_convert(const netc_port *p, const netc_tensor *t, const char *what, const int64_t *start, int64_t rows,
                 void *to) {
    if (p->dtype != NETC_F32) return convert_integers(p, t, what, start, rows, to);
    bool rounded;
    netc_tensor_to_f32(t, to, &rounded);
    if (rounded) netc_note("%s: %s rounded to f32", what, netc_dtype_text(t->dtype));
    return NETC_EXIT_OK;
}

int data_check_type(const netc_port *p, const netc_tensor *t, const char *what) {
    if (p->dtype == NETC_F32 || is_integer(t->dtype)) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: holds %s, but %s needs integers; save it with .astype('<i4')", what,
                      netc_dtype_text(t->dtype), p->name);
}

int netc_rows_from_tensor(const netc_port *p, netc_tensor *t, const char *what, bool keep_u8, bool flat,
                          netc_dtype *dtype, void **data) {
    int code = check_shape(p, t, what, flat);
    if (!code) code = data_check_type(p, t, what);
    if (code) return code;
    bool keep = t->dtype == p->dtype || (t->dtype == NETC_U8 && p->dtype == NETC_F32 && keep_u8);
    *dtype = keep ? t->dtype : p->dtype;
    if (keep && !p->dim) {
        *data = t->data;
        t->data = NULL;
        return NETC_EXIT_OK;
    }
    *data = netc_try_alloc((uint64_t)netc_tensor_count(t) * (uint64_t)netc_dtype_size(*dtype), what);
    if (!*data) return NETC_EXIT_LIMIT;
    code = data_convert(p, t, what, NULL, t->shape[0], *data);
    if (code) free(*data);
    return code;
}

/* ---- columns of a source -------------------------------------------------------------------------- */

int data_set_rows(data_load *l, int64_t rows, const char *path) {
    if (!rows) return netc_error(NETC_EXIT_DATA, "%s: empty: it has no rows", path);
    if (l->s->rows < 0) l->s->rows = rows;
    if (l->s->rows == rows) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: has %lld rows, %s has %lld", path, (long long)rows, l->file[0],
                      (long long)l->s->rows);
}

static int check_finite(const netc_column *c, int64_t rows, const char *path) {
    const float *v = c->data;
    int64_t n = c->start ? c->start[rows] : rows * c->port->count;
    for (int64_t i = 0; c->dtype == NETC_F32 && i < n; i++) {
        if (!isfinite(v[i]))
            return bad_row(c->port, path, data_row_of(c->port, c->start, rows, i), v[i], "not a finite number");
    }
    return NETC_EXIT_OK;
}

int data_set_column(data_load *l, int field, netc_tensor *t, const char *path, bool u8_is_image) {
    netc_column *c = &l->s->column[field];
    void *data = NULL;
    int code = t->rank ? NETC_EXIT_OK : netc_error(NETC_EXIT_DATA, "%s: one number, but rows are needed", path);
    if (!code && c->port->ragged) {
        code = data_set_rows(l, t->shape[0], path);
        if (!code) code = netc_column_from_padded(c, l->s->lengths, l->s->nlengths, t, path, true);
    } else if (!code) {
        code = netc_rows_from_tensor(c->port, t, path, true, u8_is_image, &c->dtype, &data);
        c->data = code ? NULL : data;
    }
    if (code) return code;
    c->scale = u8_is_image && c->dtype == NETC_U8 && c->port->dtype == NETC_F32;
    code = data_set_rows(l, t->shape[0], path);
    return code ? code : check_finite(c, l->s->rows, path);
}

static int load_files(data_load *l, int (*read)(const char *, netc_tensor *), bool u8_is_image) {
    int code = data_no_ragged(l);
    if (code) return code;
    if (l->nfile != l->s->ncolumn) {
        return netc_error(NETC_EXIT_DATA, "%s: %d files for the %d fields of data %s", l->kind, l->nfile, l->s->ncolumn,
                          l->m->data_name);
    }
    for (int i = 0; i < l->nfile && !code; i++) {
        netc_tensor t;
        code = read(l->file[i], &t);
        if (!code) code = data_set_column(l, i, &t, l->file[i], u8_is_image);
        netc_tensor_free(&t);
    }
    return code;
}

int data_load_idx(data_load *l) { return load_files(l, netc_idx_read, true); }
int data_load_npy(data_load *l) { return load_files(l, netc_npy_read, false); }

/* netc_tensors_check: the fields are there, before any data are read. */
static int check_fields(void *cx, const char *path, const netc_tensors *s) {
    const data_load *l = cx;
    for (int i = 0; i < l->s->ncolumn; i++) {
        const netc_port *p = l->s->column[i].port;
        const netc_tensor *t = netc_tensors_find(s, p->name);
        if (!t) return netc_error(NETC_EXIT_DATA, "%s: has no array named %s", path, p->name);
        int code = p->ragged ? NETC_EXIT_OK : check_shape(p, t, path, false);
        if (code) return code;
    }
    for (int i = 0; i < l->s->nlengths; i++) {
        const char *dim = l->s->lengths[i].dim->name;
        if (!netc_tensors_find(s, dim))
            return netc_error(NETC_EXIT_DATA, "%s: has no array named %s with the lengths of its rows (i32)", path,
                              dim);
    }
    return NETC_EXIT_OK;
}

static int read_lengths(data_load *l, netc_tensors *s) {
    int code = NETC_EXIT_OK;
    for (int i = 0; i < l->s->nlengths && !code; i++) {
        netc_lengths *to = &l->s->lengths[i];
        const netc_tensor *t = netc_tensors_find(s, to->dim->name);
        char *what = netc_format("%s: %s", l->file[0], to->dim->name);
        code = netc_lengths_from_tensor(to->dim, t, what, &to->length);
        if (!code) code = data_set_rows(l, t->shape[0], what);
        free(what);
    }
    return code;
}

/* A tensor of a set as one that owns its data. */
static int take_tensor(netc_tensors *s, netc_tensor *from, const char *path, netc_tensor *t) {
    *t = *from;
    t->name = NULL;
    if (s->owns_data) {
        from->data = NULL;
        return NETC_EXIT_OK;
    }
    int code = netc_tensor_alloc(t, path);
    if (!code) memcpy(t->data, from->data, t->bytes);
    return code;
}

int data_load_named(data_load *l) {
    netc_tensors s;
    if (l->nfile != 1) return netc_error(NETC_EXIT_DATA, "%s: one file is needed, not %d", l->kind, l->nfile);
    int code = netc_tensors_read(l->file[0], check_fields, l, &s);
    if (!code) code = read_lengths(l, &s);
    for (int i = 0; i < l->s->ncolumn && !code; i++) {
        netc_tensor t = {0};
        const char *name = l->s->column[i].port->name;
        char *what = netc_format("%s: %s", l->file[0], name);
        code = take_tensor(&s, netc_tensors_find(&s, name), what, &t);
        if (!code) code = data_set_column(l, i, &t, what, false);
        netc_tensor_free(&t);
        free(what);
    }
    netc_tensors_free(&s);
    return code;
}
