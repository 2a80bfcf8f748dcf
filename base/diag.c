#include "base/diag.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *code, *title, *text, *wrong, *right;
} ROWS[] = {
#define DIAG(id, code, title, text, wrong, right) [id] = {code, title, text, wrong, right},
#include "base/diag.def"
#undef DIAG
};

Diag *diag_new(Arena *a) {
    Diag *d = ARENA_NEW(a, Diag);
    d->arena = a;
    return d;
}

static bool same_message(const Message *a, const Message *b) {
    bool here = a->loc.src == b->loc.src && a->loc.line == b->loc.line && a->loc.col == b->loc.col;
    return here && a->level == b->level && a->code == b->code && !strcmp(a->text, b->text);
}

/* Is m among the messages so far; a note, among those of the message that it belongs to? */
static bool said(const Diag *d, const Message *m) {
    for (int i = d->list.n - 1; i >= 0; i--) {
        if (same_message(&d->list.at[i], m)) return true;
        if (m->level == DIAG_NOTE && d->list.at[i].level != DIAG_NOTE) return false;
    }
    return false;
}

/* A layer is checked wherever it is used, and in several rounds: what is wrong with it is said once, with its notes. */
static void add(Diag *d, DiagLevel level, Loc at, DiagCode code, const char *fmt, va_list ap) {
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    Message m = {level, code, at, text};
    bool    again = said(d, &m);
    if (level != DIAG_NOTE) d->repeated = again;
    if (again || d->repeated) return;
    if (level == DIAG_ERROR) d->errors++;
    if (level == DIAG_WARNING) d->warnings++;
    if (d->errors > DIAG_LIMIT) return;
    m.text = arena_strdup(d->arena, text);
    vec_push(d->arena, &d->list, m);
}

bool diag_error(Diag *d, Loc at, DiagCode code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(d, DIAG_ERROR, at, code, fmt, ap);
    va_end(ap);
    return false;
}

void diag_warning(Diag *d, Loc at, DiagCode code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(d, DIAG_WARNING, at, code, fmt, ap);
    va_end(ap);
}

void diag_note(Diag *d, Loc at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    add(d, DIAG_NOTE, at, 0, fmt, ap);
    va_end(ap);
}

enum { LINE_LIMIT = 200, BEFORE_PLACE = 60, PIECE = 120 };

/* A second or later byte of a character in UTF-8: it has no column on the screen. */
static bool continues(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

static void print_piece(const char *p, int begin, int end, int width, FILE *out) {
    if (begin) fputs("...", out);
    for (int i = begin; i < end; i++)
        if (p[i] != '\r' || i + 1 < width) fputc(p[i] == '\t' || !iscntrl((unsigned char)p[i]) ? p[i] : '?', out);
    if (end < width) fputs("...", out);
    fputc('\n', out);
}

/* The source line of a place with the caret range below it; of a very long line the piece around the place.
 *    12 |   z = logit(img)
 *       |       ^~~~~                                                                    */
static void print_line(Loc at, FILE *out) {
    const char *p = at.src ? at.src->text : NULL;
    if (!p || at.line < 1) return;
    for (int l = 1; l < at.line; l++) {
        p = strchr(p, '\n');
        if (!p) return;
        p++;
    }
    int width = (int)strcspn(p, "\n"), begin = 0, end = width, place = at.col - 1;
    if (width > LINE_LIMIT) {
        begin = place > BEFORE_PLACE ? place - BEFORE_PLACE : 0;
        end = width - begin > PIECE ? begin + PIECE : width;
        while (begin < place && continues(p[begin])) begin++;
        while (end < width && continues(p[end])) end++;
    }
    fprintf(out, "%5d | ", at.line);
    print_piece(p, begin, end, width, out);
    fputs(begin ? "      |    " : "      | ", out);
    for (int i = begin; i < place && i < end; i++)
        if (!continues(p[i])) fputc(p[i] == '\t' ? '\t' : ' ', out);
    fputc('^', out);
    for (int i = place + 1; i < place + at.len && i < end; i++)
        if (!continues(p[i])) fputc('~', out);
    fputc('\n', out);
}

void diag_print(const Diag *d, FILE *out, bool color) {
    static const struct { const char *word, *on; } LEVEL[] = {
        [DIAG_ERROR] = {"error", "\033[1;31m"},
        [DIAG_WARNING] = {"warning", "\033[1;35m"},
        [DIAG_NOTE] = {"note", "\033[1;36m"},
    };
    for (int i = 0; i < d->list.n; i++) {
        const Message *m = &d->list.at[i];
        const char *on = color ? LEVEL[m->level].on : "", *off = color ? "\033[0m" : "";
        if (m->loc.src) fprintf(out, "%s:%d:%d: ", m->loc.src->name, m->loc.line, m->loc.col);
        fprintf(out, "%s%s:%s %s", on, LEVEL[m->level].word, off, m->text);
        if (m->level != DIAG_NOTE) fprintf(out, " [%s]", ROWS[m->code].code);
        fputc('\n', out);
        print_line(m->loc, out);
    }
    if (d->errors > DIAG_LIMIT) fprintf(out, "%d more errors not shown\n", d->errors - DIAG_LIMIT);
}

const char *diag_code(DiagCode c) { return ROWS[c].code; }

enum { EXPLAIN_WIDTH = 80 };

static void print_wrapped(const char *s, FILE *out) {
    for (size_t col = 0; *s;) {
        size_t n = strcspn(s, " ");
        if (col && col + 1 + n > EXPLAIN_WIDTH) {
            fputc('\n', out);
            col = 0;
        }
        fprintf(out, "%s%.*s", col ? " " : "", (int)n, s);
        col += n + (col > 0);
        s += n + (s[n] == ' ');
    }
    fputc('\n', out);
}

static void print_example(const char *s, FILE *out) {
    for (; *s; s += strcspn(s, "\n"), s += *s == '\n') fprintf(out, "    %.*s\n", (int)strcspn(s, "\n"), s);
}

bool diag_explain(const char *code, FILE *out) {
    for (int i = 0; i < DIAG_COUNT; i++) {
        if (strcmp(ROWS[i].code, code)) continue;
        fprintf(out, "%s: %s\n\n", ROWS[i].code, ROWS[i].title);
        print_wrapped(ROWS[i].text, out);
        fputs("\nWrong:\n", out);
        print_example(ROWS[i].wrong, out);
        fputs("\nRight:\n", out);
        print_example(ROWS[i].right, out);
        return true;
    }
    return false;
}

_Noreturn void ice(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "netc: internal error in %s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputs("\nThis is a bug in netc, not in your file: please report it with the file.\n", stderr);
    va_end(ap);
    exit(70);
}
