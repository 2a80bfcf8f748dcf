#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Block {
    struct Block *next;
    size_t        used, size;
    _Alignas(16) char data[];
} Block;

struct Arena {
    Block *top;
};

enum { BLOCK_SIZE = 64 * 1024 };

static void *must(void *p) {
    if (!p) {
        fputs("netc: out of memory\n", stderr);
        exit(8);
    }
    return p;
}

Arena *arena_new(void) { return must(calloc(1, sizeof(Arena))); }

void arena_free(Arena *a) {
    if (!a) return;
    for (Block *b = a->top, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

void *arena_alloc(Arena *a, size_t size) {
    if (size > SIZE_MAX / 2) must(NULL);
    size = (size + 15) & ~(size_t)15;
    Block *b = a->top;
    if (!b || b->size - b->used < size) {
        size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        b = must(calloc(1, sizeof(Block) + cap));
        b->size = cap;
        b->next = a->top;
        a->top = b;
    }
    void *p = b->data + b->used;
    b->used += size;
    return p;
}

void *arena_copy(Arena *a, const void *p, size_t size) {
    void *q = arena_alloc(a, size);
    if (size) memcpy(q, p, size);
    return q;
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *arena_strdup(Arena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

char *arena_printf(Arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
