/* The token pump between flex and bison.
 *
 * A newline ends a statement iff no ( or [ is open, the token before it can end one, and the token after it can
 * begin one. So a line may begin with an infix operator, `|>`, `->`, `then` or `from`.
 *
 * A statement word (`loss`, `dim`, `train` ..) is one only at the beginning of a statement, when a blank and an
 * operand follow on its line; elsewhere, and before `=` or `,`, it is a name.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/habits.h"
#include "frontend/parse_impl.h"
#include "frontend/parse.h"

int raw_lex(Token *token, void *scanner);
int net_lex(NET_STYPE *value, Loc *loc, Parser *p);

static const struct {
    const char *text;
    int         kind;
} STATEMENT_WORDS[] = {
    {"net", T_NET},     {"use", T_USE},     {"dim", T_DIM},     {"hyper", T_HYPER},   {"fn", T_FN},
    {"layer", T_LAYER}, {"optim", T_OPTIM}, {"data", T_DATA},   {"model", T_MODEL},   {"objective", T_OBJECTIVE},
    {"entry", T_ENTRY}, {"train", T_TRAIN}, {"param", T_PARAM}, {"state", T_STATE},   {"next", T_NEXT},
    {"loss", T_LOSS},   {"metric", T_METRIC}, {"scan", T_SCAN}, {"repeat", T_REPEAT},
};

static int statement_word(const char *text, int len) {
    for (size_t i = 0; i < sizeof STATEMENT_WORDS / sizeof *STATEMENT_WORDS; i++) {
        const char *w = STATEMENT_WORDS[i].text;
        if ((int)strlen(w) == len && !memcmp(w, text, (size_t)len)) return STATEMENT_WORDS[i].kind;
    }
    return 0;
}

bool tokens_is_statement_word(const char *text, int len) { return statement_word(text, len) != 0; }

/* The statement word that a name at the beginning of a statement is, or T_ID. */
static int word_or_name(const Token *t) {
    int         kind = statement_word(t->text, t->loc.len);
    const char *after = t->text + t->loc.len;
    bool        blank = *after == ' ' || *after == '\t';
    if (!kind) return T_ID;
    after += strspn(after, " \t\r");
    if (kind == T_OBJECTIVE) return *after == '(' ? kind : T_ID;
    return blank && *after && !strchr("\n=,", *after) ? kind : T_ID;
}

void tokens_error(Parser *p, Loc at, DiagCode code, const char *fmt, ...) {
    char    text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_error(p->diag, at, code, "%s", text);
    if (++p->errors == DIAG_LIMIT) tokens_stop(p);
}

void tokens_stop(Parser *p) { p->stopped = true; }

/* ---- newlines ------------------------------------------------------------------------------------ */

static bool can_end(int kind) {
    switch (kind) {
    case T_ID: case T_NUM: case T_STR: case T_FIELD: case T_TRUE: case T_FALSE:
    case T_RPAREN: case T_RBRACKET: case T_RBRACE:
    case RAW_BAD_STRING: case RAW_BAD_CHAR:      /* reported; the next line is another statement */
        return true;
    }
    return false;
}

static bool can_begin(int kind) {
    switch (kind) {
    case T_ID: case T_NUM: case T_STR: case T_FIELD: case T_TRUE: case T_FALSE: case T_IF: case T_NOT:
    case T_RETURN: case T_RBRACE: case T_LPAREN: case T_LBRACKET:
        return true;
    }
    return false;
}

/* The next token with newlines decided: an ID is still an ID, RAW_ ones come through. */
static Token next_token(Parser *p) {
    Token t;
    if (p->has_held || p->ended) {
        p->has_held = false;
        return p->held;
    }
    p->at_line_start = false;
    while (raw_lex(&t, p->scanner) == RAW_NEWLINE) {
        p->pending = p->pending || !p->parens;
        p->at_line_start = true;
    }
    p->ended = t.kind == T_END;
    bool ends = p->ended || (p->pending && can_end(p->last.kind) && can_begin(t.kind));
    p->pending = false;
    if (!ends) return t;
    p->held = t;
    p->has_held = true;
    return (Token){T_NL, p->ended ? t.loc : p->last.loc, "\n"};
}

/* ---- brackets and limits ------------------------------------------------------------------------- */

/* Forgets the ( and [ that are open inside the innermost block. */
static void drop_parens(Parser *p) {
    while (p->nopen && p->open[p->nopen - 1].kind != T_LBRACE) p->nopen--;
    p->parens = 0;
}

/* Keeps the list of open brackets; one that closes none, or another kind's, is the grammar's business. */
static bool count_bracket(Parser *p, const Token *t) {
    bool in_parens = p->nopen && p->open[p->nopen - 1].kind != T_LBRACE;
    switch (t->kind) {
    case T_LPAREN: case T_LBRACKET: case T_LBRACE:
        if (p->nopen == LIMIT_NESTING) {
            tokens_error(p, t->loc, E_LIMIT_DEPTH, "nesting too deep (limit %d)", LIMIT_NESTING);
            return false;
        }
        p->open[p->nopen++] = *t;
        *(t->kind == T_LBRACE ? &p->braces : &p->parens) += 1;
        break;
    case T_RPAREN: case T_RBRACKET:
        p->nopen -= in_parens;
        p->parens -= in_parens;
        break;
    case T_RBRACE:
        drop_parens(p);
        p->braces -= p->nopen > 0;
        p->nopen -= p->nopen > 0;
        break;
    }
    return true;
}

static bool check_limits(Parser *p, const Token *t) {
    if (++p->ntokens > LIMIT_TOKENS) {
        tokens_error(p, t->loc, E_LIMIT_TEXT, "the file has more than %d words and signs", LIMIT_TOKENS);
        return false;
    }
    if (t->kind == T_ID && t->loc.len > LIMIT_NAME) {
        tokens_error(p, t->loc, E_LIMIT_TEXT, "a name of %d letters (limit %d)", t->loc.len, LIMIT_NAME);
        return false;
    }
    return count_bracket(p, t);
}

/* ---- values -------------------------------------------------------------------------------------- */

/* The number of a NUM. netc never leaves the C locale, so strtod reads a point. */
static bool read_number(Parser *p, const Token *t, NET_STYPE *value) {
    char   text[400];
    size_t n = 0;
    bool   whole = true;
    for (int i = 0; i < t->loc.len && n < sizeof text - 1; i++) {
        if (t->text[i] == '_') continue;
        whole = whole && isdigit((unsigned char)t->text[i]);
        text[n++] = t->text[i];
    }
    text[n] = 0;
    double v = strtod(text, NULL);
    if (n == sizeof text - 1 || v > 1e308 || (whole && v > 9007199254740992.0)) {
        tokens_error(p, t->loc, E_LIMIT_NUMBER, "the number is too large (limit %s)", whole ? "2^53" : "1e308");
        return false;
    }
    value->number.value = v;
    value->number.whole = whole;
    return true;
}

/* The text of a STR without its quotes, escapes resolved. */
static bool read_text(Parser *p, const Token *t, NET_STYPE *value) {
    char *s = arena_alloc(p->arena, (size_t)t->loc.len), *to = s;
    for (const char *c = t->text + 1; c < t->text + t->loc.len - 1; c++) {
        if (*c != '\\') {
            *to++ = *c;
            continue;
        }
        switch (*++c) {
        case 'n': *to++ = '\n'; break;
        case 't': *to++ = '\t'; break;
        case '"': case '\\': *to++ = *c; break;
        default: {
            Loc at = t->loc;
            at.col += (int)(c - 1 - t->text);
            at.len = 2;
            tokens_error(p, at, E_SYNTAX_STRING, "unknown escape '\\%c' in a text: \\n \\t \\\" \\\\ exist", *c);
            return false;
        }
        }
    }
    value->name = s;
    return true;
}

static bool read_value(Parser *p, const Token *t, NET_STYPE *value) {
    switch (t->kind) {
    case T_NUM:
        return read_number(p, t, value);
    case T_STR:
        return read_text(p, t, value);
    case T_ID:
        value->name = arena_strndup(p->arena, t->text, (size_t)t->loc.len);
        return true;
    case T_FIELD:
        value->name = arena_strndup(p->arena, t->text + 1, (size_t)t->loc.len - 1);
        return true;
    case RAW_BAD_STRING:
        tokens_error(p, t->loc, E_SYNTAX_STRING, "this text has no closing '\"' on its line");
        return false;
    case RAW_BAD_CHAR:
        if (isprint((unsigned char)*t->text))
            tokens_error(p, t->loc, E_SYNTAX_CHAR, "unexpected character '%c'%s", *t->text, habit_character(*t->text));
        else
            tokens_error(p, t->loc, E_SYNTAX_CHAR, "unexpected character (byte 0x%02x): a .net file is ASCII outside "
                         "comments and texts", (unsigned char)*t->text);
        return false;
    }
    return true;
}

/* ---- after an error ------------------------------------------------------------------------------ */

/* Does the line that begins with t begin a statement, whatever brackets are still open? */
static bool begins_statement(const Parser *p, const Token *t) {
    return p->at_line_start && (t->kind == T_RETURN || (t->kind == T_ID && word_or_name(t) != T_ID));
}

void tokens_skip(Parser *p) {
    Token t = p->last;
    if (t.kind == T_NL || t.kind == T_RBRACE || t.kind == T_END) return;
    if (p->parens && begins_statement(p, &t)) {
        p->held = t;               /* read it again, as a statement */
        p->has_held = true;
    }
    p->skipping = true;
    p->skip_braces = p->braces - (t.kind == T_LBRACE);
}

/* The token that ends the statement with the error in it: a newline, or the '}' of the block around it. */
static Token skip_statement(Parser *p) {
    p->skipping = false;
    for (;;) {
        Token t = next_token(p);
        if (t.kind == T_END || (t.kind == T_NL && p->braces == p->skip_braces)) return t;
        if (begins_statement(p, &t) && p->parens) {
            drop_parens(p);
            p->held = t;
            p->has_held = true;
            if (p->braces == p->skip_braces) return (Token){T_NL, t.loc, "\n"};
            continue;
        }
        if (!check_limits(p, &t)) {
            tokens_stop(p);
            return t;
        }
        if (p->braces < p->skip_braces || (t.kind == T_RBRACE && !p->skip_braces && !p->braces)) return t;
        p->last = t;
    }
}

/* ---- what bison reads ---------------------------------------------------------------------------- */

int net_lex(NET_STYPE *value, Loc *loc, Parser *p) {
    bool  skipped = p->skipping;
    Token t = skipped ? skip_statement(p) : next_token(p);
    bool  fits = skipped || check_limits(p, &t);
    if (!fits) tokens_stop(p);
    if (p->stopped) return T_END;

    bool at_start = !p->last.kind || p->last.kind == T_NL || p->last.kind == T_LBRACE || p->last.kind == T_RBRACE;
    if (at_start && t.kind == T_ID) t.kind = word_or_name(&t);
    if (at_start) {
        p->first = t;
        p->assigned = false;
    }
    if (t.kind == T_ASSIGN && !p->parens) p->assigned = true;
    p->last = t;
    *loc = t.loc;
    if (!loc->len) loc->len = 1;
    if (read_value(p, &t, value)) return t.kind;
    tokens_skip(p);
    return T_NET_error;
}
