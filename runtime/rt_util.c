/* Messages, memory, growing strings. */
#include "runtime/rt_util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- messages ------------------------------------------------------------------------------------- */

static const char *program_name;
static FILE       *message_file;
static bool        message_file_set;        /* else stderr */
static char        last_error[2048];

void netc_set_program(const char *name) { program_name = name; }

static FILE *messages(void) { return message_file_set ? message_file : stderr; }

FILE *netc_messages_to(FILE *out) {
    FILE *before = messages();
    message_file = out;
    message_file_set = true;
    return before;
}

const char *netc_error_text(void) { return last_error; }

/* File names and keys are a stranger's bytes: they must not steer the terminal. */
static void make_printable(char *s) {
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
    }
}

static void say(const char *kind, char *text) {
    FILE *out = messages();
    if (!out) return;
    if (program_name) fprintf(out, "%s: ", program_name);
    fprintf(out, "%s%s\n", kind, text);
    fflush(out);
}

static void compose(char *text, size_t room, const char *fmt, va_list args) {
    int n = vsnprintf(text, room, fmt, args);
    if (n < 0) snprintf(text, room, "%s", fmt);
    make_printable(text);
}

int netc_error(int code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char text[sizeof last_error];      /* an argument may be last_error itself */
    compose(text, sizeof text, fmt, args);
    va_end(args);
    memcpy(last_error, text, sizeof text);
    say("", text);
    return code;
}

int netc_error_errno(int code, const char *fmt, ...) {
    int why = errno;
    char text[sizeof last_error - 128];
    va_list args;
    va_start(args, fmt);
    compose(text, sizeof text, fmt, args);
    va_end(args);
    return netc_error(code, "%s: %s", text, strerror(why));
}

void netc_warning(const char *fmt, ...) {
    char text[sizeof last_error];
    va_list args;
    va_start(args, fmt);
    compose(text, sizeof text, fmt, args);
    va_end(args);
    say("warning: ", text);
}

void netc_note(const char *fmt, ...) {
    char text[sizeof last_error];
    va_list args;
    va_start(args, fmt);
    compose(text, sizeof text, fmt, args);
    va_end(args);
    say("note: ", text);
}

/* ---- memory --------------------------------------------------------------------------------------- */

static void out_of_memory(void) {
    exit(netc_error(NETC_EXIT_LIMIT, "out of memory"));
}

bool netc_mul(uint64_t a, uint64_t b, uint64_t *product) { return !__builtin_mul_overflow(a, b, product); }
bool netc_add(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }

void *netc_alloc(size_t size) {
    void *p = calloc(1, size ? size : 1);
    if (!p) out_of_memory();
    return p;
}

void *netc_array(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) out_of_memory();
    return p;
}

void *netc_resize(void *p, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory();
    p = realloc(p, bytes ? bytes : 1);
    if (!p) out_of_memory();
    return p;
}

char *netc_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    return memcpy(netc_alloc(n), s, n);
}

char *netc_format(const char *fmt, ...) {
    va_list args;
    char *s;
    va_start(args, fmt);
    int n = vasprintf(&s, fmt, args);
    va_end(args);
    if (n < 0) out_of_memory();
    return s;
}

/* Memory is overcommitted on Linux: malloc succeeds and the process is killed later. So what the
 * machine cannot hold is refused here. */
static bool machine_can_hold(uint64_t size, const char *what) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_C(1) << 40;
    if (size <= memory) return true;
    netc_error(NETC_EXIT_LIMIT, "%s: needs %.1f GiB of memory, this machine has %.1f GiB", what,
               (double)size / 0x1p30, (double)memory / 0x1p30);
    return false;
}

void *netc_try_alloc(uint64_t size, const char *what) {
    if (!machine_can_hold(size, what)) return NULL;
    void *p = aligned_alloc(64, (size_t)(size + 127) / 64 * 64);
    if (!p) netc_error(NETC_EXIT_LIMIT, "%s: out of memory (%.1f MiB)", what, (double)size / 0x1p20);
    return p;
}

/* From this size on a block has whole huge pages of its own: generated code strides through matrices, and a load in
 * every 4 KiB page costs more than the load. */
enum { HUGE_PAGE = 2 << 20, LEAST_HUGE = 256 << 10 };

/* Bytes of address space of a block with its slack. */
static size_t block_room(uint64_t size) {
    size_t room = (size_t)size + 2 * NETC_SLACK;
    return size < LEAST_HUGE ? room : (room + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

/* `room` bytes, a multiple of HUGE_PAGE, at a multiple of it: cut out of a larger piece. */
static char *map_aligned(size_t room) {
    char *base = mmap(NULL, room + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return base;
    size_t before = (HUGE_PAGE - (uintptr_t)base % HUGE_PAGE) % HUGE_PAGE;
    if (before) munmap(base, before);
    munmap(base + before + room, HUGE_PAGE - before);
#ifdef MADV_HUGEPAGE
    madvise(base + before, room, MADV_HUGEPAGE);    /* only advice: failure costs speed, nothing else */
#endif
    return base + before;
}

void *netc_block_new(uint64_t size, const char *what) {
    if (!machine_can_hold(size, what)) return NULL;
    size_t room = block_room(size);
    char  *base = room % HUGE_PAGE ? mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                   : map_aligned(room);
    if (base == MAP_FAILED) {
        netc_error_errno(NETC_EXIT_LIMIT, "%s: no memory for %.1f MiB", what, (double)size / 0x1p20);
        return NULL;
    }
    return base + NETC_SLACK;
}

void netc_block_free(void *block, uint64_t size) {
    if (block) munmap((char *)block - NETC_SLACK, block_room(size));
}

/* ---- growing strings ------------------------------------------------------------------------------ */

static void buf_reserve(netc_buf *b, size_t more) {
    size_t need;
    if (__builtin_add_overflow(b->size, more + 1, &need)) out_of_memory();
    if (need <= b->room) return;
    size_t room = b->room * 2 > 64 ? b->room * 2 : 64;
    if (room < need) room = need;
    b->data = netc_resize(b->data, room, 1);
    b->room = room;
}

void netc_buf_add(netc_buf *b, const void *p, size_t n) {
    buf_reserve(b, n);
    if (n) memcpy(b->data + b->size, p, n);
    b->size += n;
    b->data[b->size] = 0;
}

void netc_buf_text(netc_buf *b, const char *s) { netc_buf_add(b, s, strlen(s)); }

void netc_buf_printf(netc_buf *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n > 0) {
        buf_reserve(b, (size_t)n);
        vsnprintf(b->data + b->size, (size_t)n + 1, fmt, again);
        b->size += (size_t)n;
    }
    va_end(again);
}

void netc_buf_free(netc_buf *b) {
    free(b->data);
    *b = (netc_buf){0};
}
