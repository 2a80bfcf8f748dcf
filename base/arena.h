/* Arenas: memory that dies together.
 *
 * netc frees nothing one by one. Every allocation belongs to an arena named by its lifetime:
 *   compile   source text, names, AST, diagnostics: lives as long as one run of the compiler
 *   graph     the nodes of one graph
 *   scratch   made and freed by the pass runner around each pass
 */
#ifndef NETC_BASE_ARENA_H
#define NETC_BASE_ARENA_H
#include <stddef.h>
#include <stdint.h>

typedef struct Arena Arena;

Arena *arena_new(void);                        /* never NULL: out of memory ends the process, exit 8 */
void   arena_free(Arena *a);                   /* NULL is allowed */
void  *arena_alloc(Arena *a, size_t size);     /* zeroed, aligned to 16 bytes */
void  *arena_copy(Arena *a, const void *p, size_t size);
char  *arena_strdup(Arena *a, const char *s);
char  *arena_strndup(Arena *a, const char *s, size_t n);
char  *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ARENA_NEW(a, T) one zeroed T; ARENA_ARRAY(a, T, n) n of them. */
#define ARENA_NEW(a, T)      ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

#endif
