/* Private to the parser: what the scanner (lex.l), the token pump (tokens.c) and the grammar (parse.y) share.
 *
 *   text -> raw_lex (flex) -> net_lex (the pump) -> net_parse (bison) -> items
 *
 * flex knows spellings only. The pump decides what depends on more than the spelling: whether a newline ends a
 * statement, whether `loss` is a statement word or a name, and the limits. bison knows the grammar.
 */
#ifndef NETC_FRONTEND_PARSE_IMPL_H
#define NETC_FRONTEND_PARSE_IMPL_H
#include <stdbool.h>

#include "frontend/ast.h"

enum {
    LIMIT_FILE = 16 << 20,         /* bytes */
    LIMIT_TOKENS = 2000000,
    LIMIT_NESTING = 256,           /* open brackets of all kinds */
    LIMIT_HEIGHT = 1000,           /* of an expression's tree: walkers may recurse without counting */
    LIMIT_NAME = 256               /* bytes */
};

/* A piece of the text as the scanner sees it. `kind` is a token of parse.h or a RAW_ one. */
typedef struct {
    int         kind;
    Loc         loc;
    const char *text;              /* in the source, loc.len bytes (a token never spans lines) */
} Token;

enum { RAW_NEWLINE = 1000, RAW_BAD_STRING, RAW_BAD_CHAR };

typedef struct {
    Arena        *arena;
    Diag         *diag;
    const Source *src;
    void         *scanner;
    AstList       items;           /* the result */
    int           errors;

    /* the scanner's place */
    size_t offset;
    int    line, col;

    /* the pump */
    Token  last;                   /* handed to bison last; kind 0 at the beginning */
    Token  held;                   /* read, to be handed out next */
    Token  first;                  /* of the statement */
    Token  open[LIMIT_NESTING];    /* the brackets that are open */
    int    nopen, ntokens;
    int    parens, braces;         /* open ( and [ of the innermost block; open { */
    bool   has_held;
    bool   at_line_start;          /* the token read last is the first of its line */
    bool   pending;                /* a newline was read that may end the statement */
    bool   assigned;               /* the statement's '=' was read */
    bool   ended, stopped;         /* the text is at its end; no more tokens are handed out */
    bool   skipping;               /* after an error: to the end of the statement */
    int    skip_braces;
} Parser;

/* tokens.c */
void tokens_error(Parser *p, Loc at, DiagCode code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void tokens_stop(Parser *p);                     /* no more tokens: what follows could only mislead */
void tokens_skip(Parser *p);                     /* after an error: go on with the next statement */
bool tokens_is_statement_word(const char *text, int len);

/* syntax_error.c: the message for a token that does not fit; `expected`: spellings of those that would. */
void tokens_unexpected(Parser *p, const char *const *expected, int n);

/* ast.c: a copy of `proto` in the arena with its height filled in; an error if that is too much. */
Ast *ast_make(Parser *p, Ast proto);

#endif
