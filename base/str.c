#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

Buf buf_new(Arena *a) { return (Buf){.arena = a, .s = arena_alloc(a, 64), .cap = 64}; }

static void reserve(Buf *b, size_t more) {
    if (b->n + more + 1 <= b->cap) return;
    size_t cap = b->cap;
    while (cap < b->n + more + 1) cap *= 2;
    char *s = arena_alloc(b->arena, cap);
    memcpy(s, b->s, b->n);
    b->s = s;
    b->cap = cap;
}

void buf_putc(Buf *b, char c) {
    reserve(b, 1);
    b->s[b->n++] = c;
    b->s[b->n] = 0;
}

void buf_puts(Buf *b, const char *s) {
    size_t n = strlen(s);
    reserve(b, n);
    memcpy(b->s + b->n, s, n + 1);
    b->n += n;
}

void buf_printf(Buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    reserve(b, (size_t)n);
    vsnprintf(b->s + b->n, (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

void buf_json(Buf *b, const char *s) {
    buf_putc(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 32)
            buf_printf(b, "\\u%04x", c);
        else
            buf_putc(b, (char)c);
    }
    buf_putc(b, '"');
}

void buf_number(Buf *b, double v) {
    if (isnan(v) || isinf(v)) {
        buf_puts(b, isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    char t[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(t, sizeof t, "%.*g", digits, v);
        if (strtod(t, NULL) == v) break;
    }
    buf_puts(b, t);
}

/* Levenshtein distance, cut at 63 characters a name. */
static int distance(const char *a, const char *b) {
    int row[64], n = (int)strlen(b);
    if (n > 62 || strlen(a) > 62) return 99;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diag = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int sub = diag + (a[i - 1] != b[j - 1]);
            diag = row[j];
            int del = row[j] + 1, ins = row[j - 1] + 1;
            row[j] = sub < del ? (sub < ins ? sub : ins) : (del < ins ? del : ins);
        }
    }
    return row[n];
}

const char *str_nearest(const char *s, const char *const *names, int n) {
    const char *best = NULL;
    int least = (int)strlen(s) / 3 + 1;       /* one slip in a short name, more in a long one */
    for (int i = 0; i < n; i++) {
        int d = distance(s, names[i]);
        if (d && d <= least && (!best || d < least)) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

char *file_read(Arena *a, const char *path, size_t limit, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (size_t)st.st_size > limit) {
        int e = S_ISDIR(st.st_mode) ? EISDIR : !S_ISREG(st.st_mode) ? EINVAL : EFBIG;
        close(fd);
        errno = e;
        return NULL;
    }
    size_t n = (size_t)st.st_size, got = 0;
    char  *p = arena_alloc(a, n + 1);
    while (got < n) {
        ssize_t r = read(fd, p + got, n - got);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) break;
        got += (size_t)r;
    }
    close(fd);
    if (got < n) {
        errno = EIO;
        return NULL;
    }
    p[n] = 0;
    if (size) *size = n;
    return p;
}

static bool write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

bool file_write(const char *path, const void *data, size_t size) {
    size_t n = strlen(path) + 32;
    char  *tmp = malloc(n);
    if (!tmp) return false;
    snprintf(tmp, n, "%s.tmp%ld", path, (long)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write_all(fd, data, size) && fsync(fd) == 0;
    int  e = errno;
    if (fd >= 0 && close(fd) && ok) ok = false, e = errno;
    if (ok && rename(tmp, path)) ok = false, e = errno;
    if (!ok) unlink(tmp);
    free(tmp);
    errno = e;
    return ok;
}
