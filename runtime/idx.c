/* IDX: two zero bytes, a type, the rank, one big-endian u32 per axis, the numbers, big-endian. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/tensor_file.h"

static const struct {
    int        code;
    netc_dtype dtype;
} TYPES[] = {{8, NETC_U8}, {9, NETC_I8}, {11, NETC_I16}, {12, NETC_I32}, {13, NETC_F32}, {14, NETC_F64}};
enum { NTYPES = sizeof TYPES / sizeof *TYPES };

/* gzread passes through what is not compressed, so one way serves both. */
typedef struct {
    const char *path;
    gzFile      gz;
    uint64_t    size;                   /* of the file */
    bool        packed;
} source;

static int read_failed(const source *s, const char *what) {
    int number;
    const char *why = gzerror(s->gz, &number);
    if (number == Z_ERRNO) return netc_error_errno(NETC_EXIT_IO, "%s: cannot be read", s->path);
    bool early = number == Z_OK || number == Z_BUF_ERROR;
    return netc_error(NETC_EXIT_DATA, "%s: %s in its %s%s%s", s->path, early ? "truncated" : "corrupt", what,
                      early ? "" : ": ", early ? "" : why);
}

/* All n bytes, or a message. */
static int read_bytes(source *s, void *to, uint64_t n, const char *what) {
    for (char *p = to; n;) {
        unsigned part = n < (1u << 30) ? (unsigned)n : (1u << 30);
        int got = gzread(s->gz, p, part);
        if (got <= 0) return read_failed(s, what);
        p += got;
        n -= (uint64_t)got;
    }
    return NETC_EXIT_OK;
}

static int read_header(source *s, netc_tensor *t) {
    unsigned char head[4], axis[4];
    int code = read_bytes(s, head, 4, "header");
    if (code) return code;
    int k = 0;
    while (k < NTYPES && TYPES[k].code != head[2]) k++;
    if (head[0] || head[1] || k == NTYPES || !head[3] || head[3] > NETC_MAX_RANK) {
        return netc_error(NETC_EXIT_DATA, "%s: not an IDX file: it begins with %02x %02x %02x %02x", s->path, head[0],
                          head[1], head[2], head[3]);
    }
    t->dtype = TYPES[k].dtype;
    while (!code && t->rank < head[3]) {
        code = read_bytes(s, axis, 4, "header");
        t->shape[t->rank++] = (int64_t)axis[0] << 24 | axis[1] << 16 | axis[2] << 8 | axis[3];
    }
    return code;
}

/* What the header promises must be possible for a file of this size. */
static int check_size(const source *s, const netc_tensor *t) {
    uint64_t bytes, header = 4 + 4 * (uint64_t)t->rank;
    char shape[NETC_SHAPE_TEXT];
    netc_shape_text(t->rank, t->shape, shape);
    if (!netc_tensor_size(t, &bytes)) return netc_error(NETC_EXIT_DATA, "%s: %s is too large", s->path, shape);
    bool good = s->packed ? bytes / 1032 <= s->size : bytes + header == s->size;
    if (good) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: %s: %s of %s needs %llu bytes, the file has %llu", s->path,
                      s->packed || bytes + header > s->size ? "truncated" : "not a valid IDX file", shape,
                      netc_dtype_text(t->dtype), (unsigned long long)(bytes + (s->packed ? 0 : header)),
                      (unsigned long long)s->size);
}

static void swap_bytes(netc_tensor *t) {
    int size = netc_dtype_size(t->dtype);
    unsigned char *p = t->data;
    for (size_t i = 0; size > 1 && i < t->bytes; i += (size_t)size) {
        for (int a = 0, b = size - 1; a < b; a++, b--) {
            unsigned char kept = p[i + (size_t)a];
            p[i + (size_t)a] = p[i + (size_t)b];
            p[i + (size_t)b] = kept;
        }
    }
}

/* Nothing may follow. Reading on also makes zlib compare the sum at the end of gzip data. */
static int check_end(source *s) {
    char more;
    int got = gzread(s->gz, &more, 1), number;
    gzerror(s->gz, &number);
    if (got > 0) return netc_error(NETC_EXIT_DATA, "%s: not a valid IDX file: more data than it says", s->path);
    return got < 0 || number == Z_BUF_ERROR ? read_failed(s, "data") : NETC_EXIT_OK;
}

static int read_all(source *s, netc_tensor *t) {
    int code = read_header(s, t);
    s->packed = !gzdirect(s->gz);
    if (!code) code = check_size(s, t);
    if (!code) code = netc_tensor_alloc(t, s->path);
    if (!code) code = read_bytes(s, t->data, t->bytes, "data");
    if (!code) code = check_end(s);
    if (!code) swap_bytes(t);
    return code;
}

/* `path`, or `path`.gz if only that exists. */
static char *existing(const char *path) {
    struct stat st;
    char *packed = netc_format("%s.gz", path);
    if (stat(path, &st) && errno == ENOENT && !stat(packed, &st)) return packed;
    free(packed);
    return netc_strdup(path);
}

int netc_idx_read(const char *path, netc_tensor *t) {
    int code = NETC_EXIT_OK;
    *t = (netc_tensor){0};
    char *name = existing(path);
    source s = {.path = name};
    int fd = netc_open_read(name, &s.size, &code);
    if (fd >= 0) {
        s.gz = gzdopen(fd, "rb");
        if (s.gz) {
            gzbuffer(s.gz, 1 << 17);
            code = read_all(&s, t);
            gzclose(s.gz);
        } else {
            close(fd);
            code = netc_error(NETC_EXIT_LIMIT, "out of memory");
        }
    }
    free(name);
    if (code) netc_tensor_free(t);
    return code;
}
