/* Messages about the user's files: collected, never fatal, each with a place and a code.
 *
 *   mnist.net:12:9: error: unknown name 'logit'; did you mean 'logits'? [E0201]
 *      12 |   z = logit(img)
 *         |       ^~~~~
 *   mnist.net:4:6: note: 'logits' is declared here
 *
 * Code that finds a mistake calls diag_error, returns NULL or false, and goes on with the next
 * statement; nothing but the driver exits. After DIAG_LIMIT errors the rest is counted, not shown. What is said again
 * (same place, same words) is neither: `errors` and `warnings` count different messages.
 */
#ifndef NETC_BASE_DIAG_H
#define NETC_BASE_DIAG_H
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/vec.h"

enum { DIAG_LIMIT = 20 };

/* A source text. `name` is what messages show (base name of the file). */
typedef struct {
    const char *name, *path, *text;
    size_t      size;
    bool        std;               /* part of the standard library */
} Source;

/* A place: `line` and `col` from 1; `len` bytes are underlined (at least 1). */
typedef struct {
    const Source *src;
    int           line, col, len;
} Loc;

/* One row per code in diag.def: DIAG(id, code, title, text, wrong, right). */
typedef enum {
#define DIAG(id, code, title, text, wrong, right) id,
#include "base/diag.def"
#undef DIAG
    DIAG_COUNT
} DiagCode;

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE } DiagLevel;

typedef struct {
    DiagLevel   level;
    DiagCode    code;              /* unused for notes */
    Loc         loc;
    const char *text;
} Message;

typedef struct {
    Arena *arena;
    VEC(Message) list;
    int errors, warnings;
    bool repeated;                 /* the last error or warning had been said before: its notes are dropped, too */
} Diag;

Diag *diag_new(Arena *a);
/* Gives false. Notes belong to the last error or warning. */
bool  diag_error(Diag *d, Loc at, DiagCode code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void  diag_warning(Diag *d, Loc at, DiagCode code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void  diag_note(Diag *d, Loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* All messages, with source lines and carets, in order. `color`: ANSI colours. */
void  diag_print(const Diag *d, FILE *out, bool color);

const char *diag_code(DiagCode c);                         /* "E0201" */
/* The long text of `netc explain CODE` written to out; false if there is no such code. */
bool  diag_explain(const char *code, FILE *out);

/* A broken invariant of netc itself: prints where, asks for a report, exits 70. */
#define ICE(...) ice(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void ice(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
