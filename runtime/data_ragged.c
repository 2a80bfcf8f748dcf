/* Ragged fields: rows of different lengths. A row in a file or a batch is padded; in memory it is packed, as far
 * as its lengths go.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data_impl.h"

const int32_t *netc_lengths_of(const netc_lengths *lengths, int nlengths, const char *dim) {
    for (int i = 0; i < nlengths; i++) {
        if (!strcmp(lengths[i].dim->name, dim)) return lengths[i].length;
    }
    return NULL;
}

int64_t data_row_of(const netc_port *p, const int64_t *start, int64_t rows, int64_t element) {
    if (!start) return element / p->count;
    int64_t lo = 0, hi = rows;              /* start[lo] <= element < start[hi] */
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (start[mid] <= element) lo = mid;
        else hi = mid;
    }
    return lo;
}

int data_no_ragged(const data_load *l) {
    for (int i = 0; i < l->s->ncolumn; i++) {
        const netc_port *p = l->s->column[i].port;
        if (!p->ragged) continue;
        return netc_error(NETC_EXIT_DATA, "%s: %s has rows of different lengths, which %s cannot hold; use npz, "
                          "safetensors, csv or tsv", l->file[0], p->name, l->kind);
    }
    return NETC_EXIT_OK;
}

/* ---- rows, packed and padded ---------------------------------------------------------------------- */

/* A row as runs of numbers that lie together, both packed and padded to the axes `size`. */
typedef struct {
    int            last;        /* the last ragged axis: all behind it is whole */
    const int64_t *size;
    int64_t        length[NETC_MAX_RANK];
    int64_t        packed;      /* so far */
    void         (*copy)(void *cx, int64_t packed, int64_t padded, int64_t n);
    void          *cx;
} row_walk;

static int64_t after(const int64_t *size, int rank, int axis) {
    int64_t n = 1;
    for (int k = axis + 1; k < rank; k++) n *= size[k];
    return n;
}

static void walk_axis(row_walk *w, int rank, int axis, int64_t at) {
    int64_t stride = after(w->size, rank, axis);
    if (axis == w->last) {
        w->copy(w->cx, w->packed, at, w->length[axis] * stride);
        w->packed += w->length[axis] * stride;
        return;
    }
    for (int64_t i = 0; i < w->length[axis]; i++) walk_axis(w, rank, axis + 1, at + i * stride);
}

/* Sets length[] and last; returns the numbers of the row. */
static int64_t measure_row(const netc_port *p, const netc_lengths *lengths, int nlengths, int64_t row, row_walk *w) {
    int64_t n = 1;
    for (int k = 0; k < p->rank; k++) {
        w->length[k] = p->axis[k] ? netc_lengths_of(lengths, nlengths, p->axis[k])[row] : p->shape[k];
        if (p->axis[k]) w->last = k;
        n *= w->length[k];
    }
    return n;
}

/* i / 255 for the 256 values of a pixel: a look-up is faster than a division where those are scalar. */
#define UNIT1(i) (i) / 255.0f
#define UNIT4(i) UNIT1(i), UNIT1((i) + 1), UNIT1((i) + 2), UNIT1((i) + 3)
#define UNIT16(i) UNIT4(i), UNIT4((i) + 4), UNIT4((i) + 8), UNIT4((i) + 12)
#define UNIT64(i) UNIT16(i), UNIT16((i) + 16), UNIT16((i) + 32), UNIT16((i) + 48)
static const float UNIT[256] = {UNIT64(0), UNIT64(64), UNIT64(128), UNIT64(192)};

void data_copy(const netc_column *c, int64_t from, int64_t n, void *to) {
    netc_dtype want = c->port->dtype;
    const uint8_t *u8 = (const uint8_t *)c->data + from;
    float *f = to;
    if (c->dtype == want) {
        size_t size = (size_t)netc_dtype_size(want);
        memcpy(to, (const char *)c->data + (size_t)from * size, (size_t)n * size);
    } else if (want == NETC_I32) {
        for (int64_t k = 0; k < n; k++) ((int32_t *)to)[k] = u8[k];
    } else if (c->scale) {
        for (int64_t k = 0; k < n; k++) f[k] = UNIT[u8[k]];
    } else {
        for (int64_t k = 0; k < n; k++) f[k] = (float)u8[k];
    }
}

typedef struct {
    const netc_column *c;
    int64_t            start;
    char              *to;
} unpacking;

static void unpack_run(void *cx, int64_t packed, int64_t padded, int64_t n) {
    const unpacking *u = cx;
    data_copy(u->c, u->start + packed, n, u->to + (size_t)padded * (size_t)netc_dtype_size(u->c->port->dtype));
}

void netc_column_row(const netc_column *c, const netc_lengths *lengths, int nlengths, int64_t row, void *dst) {
    const netc_port *p = c->port;
    if (!c->start) {
        data_copy(c, row * p->count, p->count, dst);
        return;
    }
    unpacking u = {c, c->start[row], dst};
    row_walk w = {.size = p->shape, .copy = unpack_run, .cx = &u};
    memset(dst, 0, p->row_bytes);
    measure_row(p, lengths, nlengths, row, &w);
    walk_axis(&w, p->rank, 0, 0);
}

typedef struct {
    const char *from;
    char       *to;
    size_t      size;           /* of a number */
} moving;

static void move_run(void *cx, int64_t packed, int64_t padded, int64_t n) {
    const moving *q = cx;
    (void)packed;
    memcpy(q->to + (size_t)padded * q->size, q->from + (size_t)padded * q->size, (size_t)n * q->size);
}

void netc_row_copy(const netc_port *p, const int64_t *length, const void *from, void *to) {
    moving q = {from, to, (size_t)netc_dtype_size(p->dtype)};
    row_walk w = {.size = p->shape, .copy = move_run, .cx = &q};
    memset(to, 0, p->row_bytes);
    for (int k = 0; k < p->rank; k++) {
        w.length[k] = length[k];
        if (p->axis[k]) w.last = k;
    }
    walk_axis(&w, p->rank, 0, 0);
}

/* ---- padded tensors ------------------------------------------------------------------------------- */

int netc_lengths_from_tensor(const netc_dim *dim, const netc_tensor *t, const char *what, int32_t **length) {
    bool integers = t->dtype != NETC_F32 && t->dtype != NETC_F64 && t->dtype != NETC_F16 && t->dtype != NETC_BF16;
    if (!integers || t->rank != 1)
        return netc_error(NETC_EXIT_DATA, "%s: the lengths of %s are integers, one per row: an i32 array of one axis",
                          what, dim->name);
    *length = netc_try_alloc((uint64_t)t->shape[0] * sizeof **length, what);
    if (!*length) return NETC_EXIT_LIMIT;
    for (int64_t i = 0; i < t->shape[0]; i++) {
        double v = netc_tensor_get(t, i);
        if (v >= 1 && v <= (double)dim->size) {
            (*length)[i] = (int32_t)v;
            continue;
        }
        free(*length);
        *length = NULL;
        return netc_error(NETC_EXIT_DATA, "%s: row %lld (the first is 0) has the length %.0f of %s, which goes from 1 "
                          "to %lld", what, (long long)i, v, dim->name, (long long)dim->size);
    }
    return NETC_EXIT_OK;
}

/* Axes as they must be, every row inside. */
static int check_padded(const netc_port *p, const netc_lengths *lengths, int nlengths, const netc_tensor *t,
                        const char *what) {
    char have[NETC_SHAPE_TEXT], want[NETC_SHAPE_TEXT];
    bool fits = t->rank == p->rank + 1;
    for (int k = 0; k < p->rank && fits; k++)
        fits = p->axis[k] ? t->shape[k + 1] <= p->shape[k] : t->shape[k + 1] == p->shape[k];
    if (!fits)
        return netc_error(NETC_EXIT_DATA, "%s: rows of shape %s, but %s is %s (ragged axes at most)", what,
                          netc_shape_text(t->rank > 0 ? t->rank - 1 : 0, t->shape + 1, have), p->name,
                          netc_shape_text(p->rank, p->shape, want));
    for (int k = 0; k < p->rank; k++) {
        const int32_t *length = p->axis[k] ? netc_lengths_of(lengths, nlengths, p->axis[k]) : NULL;
        for (int64_t r = 0; length && r < t->shape[0]; r++) {
            if (length[r] <= t->shape[k + 1]) continue;
            return netc_error(NETC_EXIT_DATA, "%s: row %lld (the first is 0) has %d steps of %s, but the array holds "
                              "%lld", what, (long long)r, length[r], p->axis[k], (long long)t->shape[k + 1]);
        }
    }
    return NETC_EXIT_OK;
}

static void pack_run(void *cx, int64_t packed, int64_t padded, int64_t n) {
    const moving *q = cx;
    memcpy(q->to + (size_t)packed * q->size, q->from + (size_t)padded * q->size, (size_t)n * q->size);
}

/* The rows of t without padding, in its own type; c->start is set. */
static int pack(netc_column *c, const netc_lengths *lengths, int nlengths, const netc_tensor *t, const char *what,
                void **packed) {
    const netc_port *p = c->port;
    int64_t rows = t->shape[0], row_size = after(t->shape + 1, p->rank, -1);
    moving q = {.size = (size_t)netc_dtype_size(t->dtype)};
    row_walk w = {.size = t->shape + 1, .copy = pack_run, .cx = &q};
    c->start = netc_array((size_t)rows + 1, sizeof *c->start);
    for (int64_t r = 0; r < rows; r++)
        c->start[r + 1] = c->start[r] + measure_row(p, lengths, nlengths, r, &w);
    *packed = netc_try_alloc((uint64_t)c->start[rows] * q.size, what);
    if (!*packed) return NETC_EXIT_LIMIT;
    for (int64_t r = 0; r < rows; r++) {
        q.from = (const char *)t->data + (size_t)(r * row_size) * q.size;
        q.to = (char *)*packed + (size_t)c->start[r] * q.size;
        w.packed = 0;
        measure_row(p, lengths, nlengths, r, &w);
        walk_axis(&w, p->rank, 0, 0);
    }
    return NETC_EXIT_OK;
}

int netc_column_from_padded(netc_column *c, const netc_lengths *lengths, int nlengths, netc_tensor *t,
                            const char *what, bool keep_u8) {
    const netc_port *p = c->port;
    netc_tensor packed = {.dtype = t->dtype, .rank = 1};
    int code = check_padded(p, lengths, nlengths, t, what);
    if (!code) code = data_check_type(p, t, what);
    if (!code) code = pack(c, lengths, nlengths, t, what, &packed.data);
    if (code) return code;
    packed.shape[0] = c->start[t->shape[0]];
    bool keep = (t->dtype == p->dtype || (t->dtype == NETC_U8 && p->dtype == NETC_F32 && keep_u8)) && !p->dim;
    c->dtype = keep ? t->dtype : p->dtype;
    if (keep) {
        c->data = packed.data;
        return NETC_EXIT_OK;
    }
    c->data = netc_try_alloc((uint64_t)packed.shape[0] * (uint64_t)netc_dtype_size(c->dtype), what);
    code = c->data ? data_convert(p, &packed, what, c->start, t->shape[0], c->data) : NETC_EXIT_LIMIT;
    free(packed.data);
    return code;
}
