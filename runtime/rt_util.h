/* What every part of the runtime needs: messages, memory, files that appear whole or not at all,
 * sums, clocks, the features of this machine.
 */
#ifndef NETC_RUNTIME_RT_UTIL_H
#define NETC_RUNTIME_RT_UTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/netc_rt.h"

/* ---- messages -------------------------------------------------------------------------------------
 * One line on stderr: "PROGRAM: what: where: what to do". Functions that can fail return an exit code
 * (NETC_EXIT_OK = 0), having said why through netc_error exactly once. */
void        netc_set_program(const char *name);         /* shown first; keeps the pointer; NULL: nothing */
FILE       *netc_messages_to(FILE *out);                /* default stderr; NULL: nowhere. Returns the one before */
/* Prints the message and returns `code`, so that `return netc_error(NETC_EXIT_DATA, ...)` reads well. */
int         netc_error(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* netc_error with ": " and the text of errno. */
int         netc_error_errno(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void        netc_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void        netc_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *netc_error_text(void);                      /* the last error's message, "" if none */

/* ---- memory ---------------------------------------------------------------------------------------
 * netc_alloc is for small things of our own: out of memory ends the process with exit code 8.
 * netc_try_alloc is for sizes that come from files: NULL after a message when the size is more than
 * the machine has (the caller returns NETC_EXIT_LIMIT); its memory is not zeroed. Free with free(). */
void *netc_alloc(size_t size);                          /* zeroed */
void *netc_array(size_t count, size_t size);            /* count * size, checked, zeroed */
void *netc_resize(void *p, size_t count, size_t size);  /* what is new is not zeroed */
char *netc_strdup(const char *s);
char *netc_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));   /* free() it */
void *netc_try_alloc(uint64_t size, const char *what);  /* 64-byte aligned, 64 bytes of room behind */
bool  netc_mul(uint64_t a, uint64_t b, uint64_t *product);      /* false: overflow */
bool  netc_add(uint64_t a, uint64_t b, uint64_t *sum);

/* Blocks that generated code works in: 64-byte aligned, NETC_SLACK readable and writable zero bytes
 * before and after, huge pages advised. NULL (and a message) if there is no memory. */
enum { NETC_SLACK = 4096 };
void *netc_block_new(uint64_t size, const char *what);
void  netc_block_free(void *block, uint64_t size);      /* NULL is allowed; `size` as in netc_block_new */

/* A growing string of bytes; always followed by a NUL that `size` does not count. {0} is empty. */
typedef struct {
    char  *data;
    size_t size, room;
} netc_buf;
void netc_buf_add(netc_buf *b, const void *p, size_t n);
void netc_buf_text(netc_buf *b, const char *s);
void netc_buf_printf(netc_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void netc_buf_free(netc_buf *b);

/* ---- files ----------------------------------------------------------------------------------------
 * A file being written: a temporary beside the target (".NAME.PID.tmp"), its room reserved first (a
 * full disk shows before anything is written), then fsync, rename, fsync of the folder. Until the
 * commit the target is as it was; after a failure or an abort nothing is left behind. A target that is
 * a device or a pipe is written directly. */
typedef struct {
    int   fd;                    /* -1: not open */
    bool  direct;                /* device or pipe: no temporary */
    char *path, *temporary;
} netc_file;
int  netc_file_create(netc_file *f, const char *path, uint64_t size);   /* size: bytes expected, 0 = unknown */
int  netc_file_write(netc_file *f, const void *p, size_t n);
int  netc_file_commit(netc_file *f);                    /* closes and frees in any case */
void netc_file_abort(netc_file *f);                     /* {.fd = -1} is allowed */
int  netc_write_file(const char *path, const void *p, size_t n);        /* the three in one */
void netc_remove_temporaries(const char *dir);          /* stale ".*.tmp" of a run that was killed */
int  netc_make_dir(const char *path);                   /* with parents; OK if it exists */

/* Opens a regular file for reading; -1 after a message with *code set. */
int  netc_open_read(const char *path, uint64_t *size, int *code);
/* Reads a whole regular file of at most `max` bytes; *data has a NUL after it; free() it. */
int  netc_read_file(const char *path, uint64_t max, char **data, size_t *size);
int  netc_read_exact(int fd, void *p, uint64_t n, uint64_t offset, const char *path);   /* pread, whole */
char *netc_folder_of(const char *path);                 /* "a/b.csv": "a"; "b.csv": "."; free() it */
/* DIR/NAME for a file name that stands in a .net file or a table: relative, without "..". NULL after a
 * message. free() it. */
char *netc_data_path(const char *dir, const char *name);

/* ---- sums, clock, machine ------------------------------------------------------------------------- */
uint64_t netc_xxh64(const void *p, size_t n, uint64_t seed);    /* XXH64, xxhash.com specification */
uint32_t netc_crc32(uint32_t crc, const void *p, size_t n);     /* zlib's; start with 0 */
double   netc_seconds(void);                                    /* monotonic */
/* Has this CPU (and its system) the feature of LLVM's name: "avx512f", "avx2", "fma", "neon"? */
bool     netc_cpu_has(const char *feature);

#endif
