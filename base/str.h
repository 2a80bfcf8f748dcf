/* Text that grows, and small helpers on C strings. */
#ifndef NETC_BASE_STR_H
#define NETC_BASE_STR_H
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

/* A growing text in an arena; `s` is always NUL-terminated once something was added. */
typedef struct {
    Arena *arena;
    char  *s;
    size_t n, cap;
} Buf;

Buf  buf_new(Arena *a);
void buf_putc(Buf *b, char c);
void buf_puts(Buf *b, const char *s);
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_json(Buf *b, const char *s);          /* s as a JSON string, quotes included */
void buf_number(Buf *b, double v);             /* shortest text that reads back to the same double */

/* The name nearest to `s` (edit distance), or NULL if none is near enough to suggest. */
const char *str_nearest(const char *s, const char *const *names, int n);

/* The whole file, NUL-terminated, *size bytes long; NULL with errno set if it cannot be read,
 * errno EFBIG above `limit` bytes. */
char *file_read(Arena *a, const char *path, size_t limit, size_t *size);

/* Writes `size` bytes to a temporary file beside `path` and renames it: `path` is never half written.
 * False with errno set on failure (what existed before stays). */
bool file_write(const char *path, const void *data, size_t size);

#endif
