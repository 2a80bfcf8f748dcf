/* The message for a token that does not fit the grammar, from the tokens that would have fitted. */
#include <string.h>

#include "frontend/habits.h"
#include "frontend/parse_impl.h"
#include "frontend/parse.h"

/* What bison expected, as spellings ("a name", "=", "end of line"). */
typedef struct {
    const char *const *at;
    int                n;
} Expected;

static bool has(Expected e, const char *name) {
    for (int i = 0; i < e.n; i++)
        if (!strcmp(e.at[i], name)) return true;
    return false;
}

static bool is_comparison(int kind) {
    switch (kind) {
    case T_EQ: case T_NE: case T_LT: case T_GT: case T_LE: case T_GE: return true;
    }
    return false;
}

static bool is_reserved(int kind) {
    switch (kind) {
    case T_IF: case T_THEN: case T_ELSE: case T_IN: case T_FROM: case T_AS: case T_UNTIL: case T_ON: case T_WITH:
    case T_OR: case T_AND: case T_NOT: case T_TRUE: case T_FALSE: case T_RETURN: return true;
    }
    return false;
}

/* The token as the message shows it: 'loss', end of line. */
static const char *found(Parser *p) {
    const Token *t = &p->last;
    if (t->kind == T_END || (t->kind == T_NL && p->ended)) return "the end of the file";
    if (t->kind == T_NL && *t->text == '\n') return "the end of the line";
    int len = t->loc.len < 40 ? t->loc.len : 40;
    return arena_printf(p->arena, "'%.*s'%s", len, t->text, is_reserved(t->kind) ? " (a reserved word)" : "");
}

/* The structural tokens that would fit, "',' or ')'"; an operator would nearly always fit and says nothing. */
static const char *wanted(Parser *p, Expected e) {
    static const char *const STRUCTURE[] = {"=", "<=", ":", "~", "->", ",", "then", "else", "in", "on",
                                            ")", "]", "{", "}"};
    const char *text = "";
    if (has(e, "end of line")) return "the end of the statement";
    if (has(e, "a number")) return "an expression";
    if (has(e, "a name")) return has(e, "[") ? "a type" : "a name";
    for (size_t i = 0; i < sizeof STRUCTURE / sizeof *STRUCTURE; i++) {
        if (!has(e, STRUCTURE[i]) || (i < 2 && has(e, "+"))) continue;   /* after a value: f(a = 1), a <= b */
        text = arena_printf(p->arena, "%s%s'%s'", text, *text ? " or " : "", STRUCTURE[i]);
    }
    return *text ? text : e.n ? arena_printf(p->arena, "'%s'", e.at[0]) : "something else";
}

/* `loss(x)`: the statement's first word is a statement word without its blank. */
static bool lacks_blank(const Parser *p, Expected e) {
    int outer = p->parens - (p->last.kind == T_LPAREN || p->last.kind == T_LBRACKET);
    return p->first.kind == T_ID && tokens_is_statement_word(p->first.text, p->first.loc.len) && !p->assigned &&
           !outer && has(e, "=");
}

/* The sign before the token, blanks skipped; 0 at the beginning of its line. */
static char sign_before(const Token *t) {
    const char *s = t->text;
    for (int n = t->loc.col - 1; n > 0; n--)
        if (*--s != ' ' && *s != '\t') return *s;
    return 0;
}

/* A tail for what other languages would have meant, "; ..." or "". */
static const char *habit(const Parser *p, Expected e) {
    const Token *t = &p->last;
    char         before = sign_before(t), after = t->loc.len == 1 ? t->text[1] : 0;
    if (p->first.kind == T_ID && !p->assigned && p->first.text != t->text) {
        const char *tail = habit_statement(p->first.text, p->first.loc.len);
        if (*tail) return tail;
    }
    if (after == '=' && strchr("+-*/^", *t->text)) return "; a new value is given by 'x = x + 1'";
    if (t->kind == T_EQ && !p->assigned && has(e, "=")) return "; '==' compares, '=' gives a name its value";
    if (t->kind == T_STAR && before == '*') return "; a power is x^2";
    if (t->kind == T_SLASH && before == '/') return "; a comment begins with '#', a whole quotient is floor(a/b)";
    if (t->kind == T_SLASH && (after == '/' || after == '*')) return "; a comment begins with '#'";
    if (t->kind == T_IF && has(e, "end of line")) return "; a choice is 'if c then a else b'";
    if (t->kind == T_ASSIGN && has(e, "end of line")) return "; statements stand on lines of their own, or after ';'";
    if (t->kind == T_STR && has(e, "return")) return "; a comment begins with '#'";
    if (before == ':' && has(e, "]")) return "; a slice has two ends that count from the beginning: x[0:3]";
    return "";
}

static void statement_error(Parser *p, Expected e) {
    Loc at = p->last.loc;
    if (p->last.kind == T_END && p->nopen) {
        Token open = p->open[p->nopen - 1];
        tokens_error(p, at, E_SYNTAX, "the file ends inside a block: '}' is missing");
        diag_note(p->diag, open.loc, "the block begins here");
        tokens_stop(p);
    } else if (p->last.kind == T_RBRACE) {
        tokens_error(p, at, E_SYNTAX, "this '}' closes nothing");
        tokens_stop(p);
    } else {
        tokens_error(p, at, E_SYNTAX, "a statement cannot begin with %s%s", found(p), habit(p, e));
    }
}

/* A note at the bracket that waits for its end, if that is on another line. */
static void note_open_bracket(Parser *p, Expected e) {
    const Token *last = &p->last;
    int          n = p->nopen - (last->kind == T_LPAREN || last->kind == T_LBRACKET || last->kind == T_LBRACE);
    if (n <= 0 || !(has(e, ")") || has(e, "]")) || p->open[n - 1].loc.line == last->loc.line) return;
    const Token *open = &p->open[n - 1];
    if (open->kind != T_LBRACE) diag_note(p->diag, open->loc, "the '%c' is not closed", *open->text);
}

void tokens_unexpected(Parser *p, const char *const *expected, int n) {
    Expected e = {expected, n};
    if (p->stopped) return;
    if (lacks_blank(p, e)) {
        tokens_error(p, p->first.loc, E_SYNTAX_STATEMENT,
                     "'%.*s' as a statement needs a blank and its operand after it", p->first.loc.len, p->first.text);
    } else if (is_comparison(p->last.kind) && has(e, "+") && !has(e, "==")) {
        tokens_error(p, p->last.loc, E_SYNTAX_CHAIN, "comparisons do not chain: join them with 'and'");
    } else if (has(e, "return")) {
        statement_error(p, e);
    } else {
        tokens_error(p, p->last.loc, E_SYNTAX, "expected %s, found %s%s", wanted(p, e), found(p), habit(p, e));
        note_open_bracket(p, e);
        if (p->last.kind == T_END || has(e, "{")) tokens_stop(p);
    }
    tokens_skip(p);
}
