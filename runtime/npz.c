/* .npz: a zip archive (APPNOTE.TXT of PKWARE) of .npy files, stored or deflated, also zip64. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/npy_impl.h"

enum { MAX_MEMBERS = 1 << 16, STORED = 0, DEFLATED = 8, END_SIZE = 22, CENTRAL_SIZE = 46, LOCAL_SIZE = 30 };

typedef struct {
    const char *path;
    int         fd;
    uint64_t    size;                   /* of the file */
} archive;

typedef struct {
    char    *name;                      /* "x.npy" */
    int      method;
    uint32_t crc;
    uint64_t packed, plain, local;      /* bytes in the file, bytes unpacked, offset of the local header */
    size_t   header;                    /* of the .npy */
    bool     fortran;
} member;

static int broken(const archive *a, const char *name, const char *what) {
    return netc_error(NETC_EXIT_DATA, "%s: not a valid .npz file: %s%s%s", a->path, name ? name : "", name ? ": " : "",
                      what);
}

static uint64_t little(const unsigned char *p, int n) {
    uint64_t v = 0;
    while (n--) v = v << 8 | p[n];
    return v;
}

/* ---- the directory -------------------------------------------------------------------------------- */

typedef struct {
    uint64_t count, size, offset;
} directory;

/* `locator` (20 bytes) stands before the end record and says where the zip64 record is. */
static int read_zip64_end(archive *a, const unsigned char *locator, directory *d) {
    unsigned char far[56];
    uint64_t where = little(locator + 8, 8);
    if (where > a->size || a->size - where < sizeof far) return broken(a, NULL, "its zip64 record is missing");
    int code = netc_read_exact(a->fd, far, sizeof far, where, a->path);
    if (code) return code;
    if (memcmp(far, "PK\6\6", 4)) return broken(a, NULL, "its zip64 record is missing");
    *d = (directory){little(far + 32, 8), little(far + 40, 8), little(far + 48, 8)};
    return NETC_EXIT_OK;
}

/* The end record lies in the last 64 KiB; with values of all ones, a zip64 one lies before it. */
static int find_directory(archive *a, directory *d) {
    uint64_t room = a->size < END_SIZE + 65535 ? a->size : END_SIZE + 65535;
    unsigned char *p = netc_alloc((size_t)room);
    int code = netc_read_exact(a->fd, p, room, a->size - room, a->path);
    bool found = code != NETC_EXIT_OK;
    for (uint64_t at = room < END_SIZE ? 0 : room - END_SIZE + 1; at-- > 0 && !found;) {
        if (memcmp(p + at, "PK\5\6", 4)) continue;
        *d = (directory){little(p + at + 10, 2), little(p + at + 12, 4), little(p + at + 16, 4)};
        found = true;
        bool far = d->count == 0xffff || d->size == 0xffffffff || d->offset == 0xffffffff;
        if (far && at >= 20 && !memcmp(p + at - 20, "PK\6\7", 4)) code = read_zip64_end(a, p + at - 20, d);
    }
    free(p);
    if (code) return code;
    if (!found) return broken(a, NULL, "the directory of the archive is missing (truncated?)");
    if (d->offset > a->size || a->size - d->offset < d->size) return broken(a, NULL, "its directory lies outside");
    return d->count <= MAX_MEMBERS ? NETC_EXIT_OK : broken(a, NULL, "it has more than 65536 members");
}

/* Sizes and offset that do not fit 32 bits stand in an extra field (id 1), in this order. */
static void read_zip64(const unsigned char *extra, size_t n, member *m) {
    while (n >= 4) {
        size_t id = (size_t)little(extra, 2), size = (size_t)little(extra + 2, 2);
        if (size > n - 4) return;
        if (id == 1) {
            uint64_t *wide[] = {&m->plain, &m->packed, &m->local};
            const unsigned char *p = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*wide[i] != 0xffffffff || (size_t)(p - extra) + 4 > size) continue;
                *wide[i] = little(p, 8);
                p += 8;
            }
            return;
        }
        extra += 4 + size;
        n -= 4 + size;
    }
}

/* One entry of the directory at p[0..n); *used = its bytes. */
static int read_central(archive *a, const unsigned char *p, size_t n, member *m, size_t *used) {
    if (n < CENTRAL_SIZE || memcmp(p, "PK\1\2", 4)) return broken(a, NULL, "its directory is broken");
    size_t name = (size_t)little(p + 28, 2), extra = (size_t)little(p + 30, 2), comment = (size_t)little(p + 32, 2);
    *used = CENTRAL_SIZE + name + extra + comment;
    if (*used > n) return broken(a, NULL, "its directory is broken");
    m->method = (int)little(p + 10, 2);
    m->crc = (uint32_t)little(p + 16, 4);
    m->packed = little(p + 20, 4);
    m->plain = little(p + 24, 4);
    m->local = little(p + 42, 4);
    m->name = netc_alloc(name + 1);
    memcpy(m->name, p + CENTRAL_SIZE, name);
    read_zip64(p + CENTRAL_SIZE + name, extra, m);
    if (strlen(m->name) != name || name < 5 || strcmp(m->name + name - 4, ".npy")) {
        return broken(a, m->name, "is not a .npy file");
    }
    if (little(p + 8, 2) & 1) return broken(a, m->name, "is encrypted");
    if (m->method != STORED && m->method != DEFLATED) return broken(a, m->name, "is not packed by deflate");
    /* Deflate packs 1032 to 1 at best. */
    bool possible = m->method == STORED ? m->packed == m->plain : m->plain / 1032 <= m->packed;
    return possible ? NETC_EXIT_OK : broken(a, m->name, "its sizes are wrong");
}

static int read_directory(archive *a, member **members, int *count) {
    directory d = {0};
    int code = find_directory(a, &d);
    if (code) return code;
    unsigned char *p = netc_try_alloc(d.size, a->path);
    if (!p) return NETC_EXIT_LIMIT;
    code = netc_read_exact(a->fd, p, d.size, d.offset, a->path);
    size_t at = 0, used = 0;
    *members = netc_array((size_t)d.count, sizeof **members);
    while (!code && *count < (int)d.count) {
        code = read_central(a, p + at, (size_t)d.size - at, &(*members)[(*count)++], &used);
        at += used;
    }
    free(p);
    return code;
}

/* ---- members -------------------------------------------------------------------------------------- */

/* The bytes of one member from its beginning on. */
typedef struct {
    archive      *a;
    const member *m;
    uint64_t      at, left;             /* packed bytes: where the next lie, how many */
    z_stream      z;
    bool          open;
    uint32_t      crc;
    unsigned char in[1 << 15];
} stream;

static int stream_open(stream *s, archive *a, const member *m) {
    unsigned char local[LOCAL_SIZE];
    memset(s, 0, sizeof *s);
    s->a = a;
    s->m = m;
    if (m->local > a->size || a->size - m->local < LOCAL_SIZE) return broken(a, m->name, "lies outside of the file");
    int code = netc_read_exact(a->fd, local, sizeof local, m->local, a->path);
    if (code) return code;
    if (memcmp(local, "PK\3\4", 4)) return broken(a, m->name, "its local header is missing");
    s->at = m->local + LOCAL_SIZE + little(local + 26, 2) + little(local + 28, 2);
    s->left = m->packed;
    if (s->at > a->size || a->size - s->at < s->left) return broken(a, m->name, "is truncated");
    if (m->method == DEFLATED && inflateInit2(&s->z, -15) != Z_OK) return netc_error(NETC_EXIT_LIMIT, "out of memory");
    s->open = m->method == DEFLATED;
    return NETC_EXIT_OK;
}

static void stream_close(stream *s) {
    if (s->open) inflateEnd(&s->z);
    s->open = false;
}

static int refill(stream *s) {
    size_t n = s->left < sizeof s->in ? (size_t)s->left : sizeof s->in;
    if (!n) return broken(s->a, s->m->name, "its packed data end too early");
    int code = netc_read_exact(s->a->fd, s->in, n, s->at, s->a->path);
    s->at += n;
    s->left -= n;
    s->z.next_in = s->in;
    s->z.avail_in = (uInt)n;
    return code;
}

static int stream_inflate(stream *s, char *to, uint64_t n) {
    while (n) {
        if (!s->z.avail_in) {
            int code = refill(s);
            if (code) return code;
        }
        uInt part = n < (1u << 30) ? (uInt)n : (1u << 30);
        s->z.next_out = (Bytef *)to;
        s->z.avail_out = part;
        int result = inflate(&s->z, Z_NO_FLUSH);
        uint64_t got = part - s->z.avail_out;
        to += got;
        n -= got;
        if ((result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) || (result == Z_STREAM_END && n)) {
            return broken(s->a, s->m->name, "its packed data are corrupt");
        }
    }
    return NETC_EXIT_OK;
}

static int stream_read(stream *s, void *to, uint64_t n) {
    int code;
    if (s->m->method == DEFLATED) {
        code = stream_inflate(s, to, n);
    } else if (n > s->left) {
        code = broken(s->a, s->m->name, "is truncated");
    } else {
        code = netc_read_exact(s->a->fd, to, n, s->at, s->a->path);
        s->at += n;
        s->left -= n;
    }
    if (!code) s->crc = netc_crc32(s->crc, to, (size_t)n);
    return code;
}

/* Reads the .npy header; *text (free() it) has m->header bytes. */
static int stream_header(stream *s, member *m, netc_tensor *t, const char *path) {
    char prefix[NPY_PREFIX];
    if (m->plain < NPY_PREFIX) return broken(s->a, m->name, "is no .npy file");
    int code = stream_read(s, prefix, NPY_PREFIX);
    if (!code) code = npy_prefix(prefix, NPY_PREFIX, path, &m->header);
    if (code) return code;
    if (m->header < NPY_PREFIX || m->header > m->plain) return broken(s->a, m->name, "is no .npy file");
    char *text = netc_alloc(m->header);
    memcpy(text, prefix, NPY_PREFIX);
    code = stream_read(s, text + NPY_PREFIX, m->header - NPY_PREFIX);
    if (!code) code = npy_header(text, m->header, path, t, &m->fortran);
    free(text);
    if (!code && m->plain - m->header != t->bytes) code = broken(s->a, m->name, "its size does not fit its shape");
    return code;
}

/* With `data` also the numbers. *t must be empty; its name is set. */
static int read_member(archive *a, member *m, netc_tensor *t, bool data) {
    stream s;
    char *path = netc_format("%s: %s", a->path, m->name), *name = t->name;
    int code = stream_open(&s, a, m);
    if (!code) code = stream_header(&s, m, t, path);
    t->name = name;
    if (!code && data) {
        code = netc_tensor_alloc(t, path);
        if (!code) code = stream_read(&s, t->data, t->bytes);
        if (!code && s.crc != m->crc) code = broken(a, m->name, "its sum is wrong");
        if (!code && m->fortran) code = npy_to_c_order(t, path);
    }
    stream_close(&s);
    free(path);
    return code;
}

static int read_archive(archive *a, member *m, int count, netc_tensors_check *check, void *cx, netc_tensors *s) {
    s->t = netc_array((size_t)count, sizeof *s->t);
    s->owns_data = true;
    int code = NETC_EXIT_OK;
    for (int i = 0; i < count && !code; i++) {
        m[i].name[strlen(m[i].name) - 4] = 0;
        if (netc_tensors_find(s, m[i].name)) return broken(a, m[i].name, "stands twice in the archive");
        s->t[s->count++].name = netc_strdup(m[i].name);
        code = read_member(a, &m[i], &s->t[i], false);
    }
    if (!code && check) code = check(cx, a->path, s);
    for (int i = 0; i < count && !code; i++) code = read_member(a, &m[i], &s->t[i], true);
    return code;
}

int netc_npz_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s) {
    archive a = {.path = path};
    member *members = NULL;
    int count = 0, code;
    *s = (netc_tensors){0};
    a.fd = netc_open_read(path, &a.size, &code);
    if (a.fd < 0) return code;
    code = read_directory(&a, &members, &count);
    if (!code) code = read_archive(&a, members, count, check, cx, s);
    close(a.fd);
    for (int i = 0; i < count; i++) free(members[i].name);
    free(members);
    if (code) netc_tensors_free(s);
    return code;
}
