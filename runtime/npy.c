/* .npy and .npz. A .npy file: "\x93NUMPY", version, header length, a Python dictionary as text, the
 * numbers. A .npz file: a zip archive of .npy files, stored or deflated.
 */
#include "runtime/npy_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    char       text[4];
    netc_dtype dtype;
} DESCR[] = {
    {"<f4", NETC_F32}, {"<f8", NETC_F64}, {"<f2", NETC_F16}, {"<i4", NETC_I32}, {"<i8", NETC_I64}, {"<u8", NETC_U64},
    {"<i2", NETC_I16}, {"|i1", NETC_I8},  {"|u1", NETC_U8},  {"|b1", NETC_BOOL}, {"<i1", NETC_I8}, {"<u1", NETC_U8},
};
enum { NDESCR = sizeof DESCR / sizeof *DESCR };

/* ---- the header ----------------------------------------------------------------------------------- */

typedef struct {
    const char *p, *end, *path;
} dictionary;

static int broken(const char *path, const char *what) {
    return netc_error(NETC_EXIT_DATA, "%s: not a valid .npy file: %s", path, what);
}

static void skip_blanks(dictionary *d) {
    while (d->p < d->end && (*d->p == ' ' || *d->p == '\n' || *d->p == '\t')) d->p++;
}

static bool take(dictionary *d, const char *text) {
    size_t n = strlen(text);
    skip_blanks(d);
    if ((size_t)(d->end - d->p) < n || memcmp(d->p, text, n)) return false;
    d->p += n;
    return true;
}

static int read_descr(dictionary *d, netc_tensor *t) {
    char quote = take(d, "'") ? '\'' : take(d, "\"") ? '"' : 0;
    const char *close = quote ? memchr(d->p, quote, (size_t)(d->end - d->p)) : NULL;
    if (!close || close - d->p > 16) {
        return broken(d->path, "structured or object arrays are not read; save one array of numbers");
    }
    for (int i = 0; i < NDESCR; i++) {
        if (close - d->p != 3 || memcmp(d->p, DESCR[i].text, 3)) continue;
        t->dtype = DESCR[i].dtype;
        d->p = close + 1;
        return NETC_EXIT_OK;
    }
    return netc_error(NETC_EXIT_DATA, "%s: numbers of type '%.*s' are not read; save them with .astype('<f4') or "
                      ".astype('<i4')", d->path, (int)(close - d->p), d->p);
}

static int read_axes(dictionary *d, netc_tensor *t) {
    if (!take(d, "(")) return broken(d->path, "its shape is missing");
    while (!take(d, ")")) {
        skip_blanks(d);
        int64_t n = 0;
        const char *from = d->p;
        for (; d->p < d->end && *d->p >= '0' && *d->p <= '9'; d->p++) {
            if (n > INT64_MAX / 16) return broken(d->path, "an axis is too large");
            n = n * 10 + (*d->p - '0');
        }
        if (d->p == from) return broken(d->path, "its shape is not a tuple of numbers");
        if (t->rank == NETC_MAX_RANK) return broken(d->path, "it has more than 8 axes");
        t->shape[t->rank++] = n;
        if (take(d, ",")) continue;
        if (!take(d, ")")) return broken(d->path, "its shape is not a tuple of numbers");
        break;
    }
    return NETC_EXIT_OK;
}

static int read_dictionary(dictionary *d, netc_tensor *t, bool *fortran) {
    enum { DESCR_KEY = 1, ORDER_KEY = 2, SHAPE_KEY = 4, ALL_KEYS = 7 };
    int seen = 0, key, code = NETC_EXIT_OK;
    if (!take(d, "{")) return broken(d->path, "its header is not a dictionary");
    while (!take(d, "}")) {
        key = take(d, "'descr'") ? DESCR_KEY : take(d, "'fortran_order'") ? ORDER_KEY : 0;
        if (!key && take(d, "'shape'")) key = SHAPE_KEY;
        if (!key || (seen & key) || !take(d, ":")) return broken(d->path, "its header has other keys than numpy's");
        seen |= key;
        if (key == DESCR_KEY) code = read_descr(d, t);
        if (key == SHAPE_KEY) code = read_axes(d, t);
        if (key == ORDER_KEY) {
            *fortran = take(d, "True");
            if (!*fortran && !take(d, "False")) code = broken(d->path, "fortran_order is neither True nor False");
        }
        if (code) return code;
        if (take(d, ",")) continue;
        if (!take(d, "}")) return broken(d->path, "its header is not a dictionary");
        break;
    }
    skip_blanks(d);
    if (seen != ALL_KEYS || d->p != d->end) return broken(d->path, "its header is not complete");
    return NETC_EXIT_OK;
}

int npy_prefix(const char *bytes, size_t n, const char *path, size_t *header) {
    const unsigned char *p = (const unsigned char *)bytes;
    if (n < NPY_PREFIX || memcmp(p, "\x93NUMPY", 6)) return broken(path, "it does not begin as numpy's files do");
    if (p[6] < 1 || p[6] > 3) return broken(path, "its version is unknown");
    size_t length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    *header = (p[6] > 1 ? 12 : 10) + length;
    return length <= NPY_MAX_HEADER ? NETC_EXIT_OK : broken(path, "its header is longer than 1 MiB");
}

int npy_header(const char *bytes, size_t header, const char *path, netc_tensor *t, bool *fortran) {
    size_t start = bytes[6] > 1 ? 12 : 10;
    *t = (netc_tensor){0};
    if (header < start) return broken(path, "its header is too short");
    dictionary d = {.p = bytes + start, .end = bytes + header, .path = path};
    int code = read_dictionary(&d, t, fortran);
    uint64_t size;
    if (!code && !netc_tensor_size(t, &size)) code = broken(path, "its shape is too large");
    if (!code) t->bytes = (size_t)size;
    return code;
}

/* Element (i0, i1, ..) of Fortran order lies at i0 + n0 * (i1 + n1 * ...). */
int npy_to_c_order(netc_tensor *t, const char *path) {
    size_t size = (size_t)netc_dtype_size(t->dtype);
    int64_t count = netc_tensor_count(t), index[NETC_MAX_RANK] = {0};
    if (t->rank < 2 || !count) return NETC_EXIT_OK;
    char *to = netc_try_alloc(t->bytes, path);
    if (!to) return NETC_EXIT_LIMIT;
    int64_t stride[NETC_MAX_RANK] = {1}, at = 0;
    for (int k = 1; k < t->rank; k++) stride[k] = stride[k - 1] * t->shape[k - 1];
    for (int64_t i = 0; i < count; i++) {
        memcpy(to + (size_t)i * size, (char *)t->data + (size_t)at * size, size);
        for (int k = t->rank - 1; k >= 0; k--) {
            at += stride[k];
            if (++index[k] < t->shape[k]) break;
            at -= stride[k] * t->shape[k];
            index[k] = 0;
        }
    }
    free(t->data);
    t->data = to;
    return NETC_EXIT_OK;
}

/* ---- one file ------------------------------------------------------------------------------------- */

static int read_npy(int fd, uint64_t size, const char *path, netc_tensor *t) {
    char prefix[NPY_PREFIX] = {0};
    size_t header;
    bool fortran = false;
    int code = netc_read_exact(fd, prefix, size < NPY_PREFIX ? size : NPY_PREFIX, 0, path);
    if (!code) code = npy_prefix(prefix, (size_t)(size < NPY_PREFIX ? size : NPY_PREFIX), path, &header);
    if (code) return code;
    if (header > size) return broken(path, "it is truncated in its header");
    char *text = netc_alloc(header + 1);
    code = netc_read_exact(fd, text, header, 0, path);
    if (!code) code = npy_header(text, header, path, t, &fortran);
    free(text);
    if (code) return code;
    if (size - header != t->bytes) {
        char shape[NETC_SHAPE_TEXT];
        return netc_error(NETC_EXIT_DATA, "%s: %s: %s of %s needs %zu bytes, the file has %llu", path,
                          size - header < t->bytes ? "truncated" : "not a valid .npy file",
                          netc_shape_text(t->rank, t->shape, shape), netc_dtype_text(t->dtype), t->bytes,
                          (unsigned long long)(size - header));
    }
    code = netc_tensor_alloc(t, path);
    if (!code) code = netc_read_exact(fd, t->data, t->bytes, header, path);
    return !code && fortran ? npy_to_c_order(t, path) : code;
}

int netc_npy_read(const char *path, netc_tensor *t) {
    uint64_t size;
    int code;
    *t = (netc_tensor){0};
    int fd = netc_open_read(path, &size, &code);
    if (fd < 0) return code;
    code = read_npy(fd, size, path, t);
    close(fd);
    if (code) netc_tensor_free(t);
    return code;
}

int netc_npy_write(const char *path, const netc_tensor *t) {
    int d = 0;
    while (d < NDESCR && DESCR[d].dtype != t->dtype) d++;
    if (d == NDESCR) return netc_error(NETC_EXIT_USAGE, "%s: numpy has no type %s", path, netc_dtype_text(t->dtype));
    netc_buf b = {0};
    netc_buf_add(&b, "\x93NUMPY\x01\x00\x00\x00", NPY_PREFIX - 2);
    netc_buf_printf(&b, "{'descr': '%s', 'fortran_order': False, 'shape': (", DESCR[d].text);
    for (int i = 0; i < t->rank; i++) netc_buf_printf(&b, "%s%lld,", i ? " " : "", (long long)t->shape[i]);
    netc_buf_text(&b, "), }");
    while ((b.size + 1) % 64) netc_buf_text(&b, " ");
    netc_buf_text(&b, "\n");
    b.data[8] = (char)((b.size - 10) & 255);
    b.data[9] = (char)((b.size - 10) >> 8);
    netc_file f;
    int code = netc_file_create(&f, path, b.size + t->bytes);
    if (!code) {
        code = netc_file_write(&f, b.data, b.size);
        if (!code) code = netc_file_write(&f, t->data, t->bytes);
        if (code) netc_file_abort(&f);
        else code = netc_file_commit(&f);
    }
    netc_buf_free(&b);
    return code;
}
