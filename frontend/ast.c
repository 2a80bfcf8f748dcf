/* Making nodes, and parsing a source into them. */
#include "frontend/ast.h"

#include <string.h>

#include "frontend/parse_impl.h"

int   net_parse(Parser *p);
int   raw_lex_init_extra(Parser *p, void **scanner);
int   raw_lex_destroy(void *scanner);
void *raw__scan_bytes(const char *text, int size, void *scanner);

const char *ast_kind_name(AstKind k) {
    static const char *const NAMES[] = {
#define AST(id, text, fields) [AST_##id] = text,
#include "frontend/ast.def"
#undef AST
    };
    return NAMES[k];
}

const char *bin_op_text(BinOp op) {
    static const char *const TEXT[] = {
        [BIN_OR] = "or", [BIN_AND] = "and", [BIN_EQ] = "==", [BIN_NE] = "!=", [BIN_LT] = "<",
        [BIN_GT] = ">", [BIN_LE] = "<=", [BIN_GE] = ">=", [BIN_ADD] = "+", [BIN_SUB] = "-",
        [BIN_MUL] = "*", [BIN_DIV] = "/", [BIN_EMUL] = ".*", [BIN_EDIV] = "./", [BIN_POW] = "^",
    };
    return TEXT[op];
}

static void raise_height(Ast *e, const Ast *child) {
    if (child && child->height >= e->height) e->height = child->height + 1;
}

static void raise_height_list(Ast *e, const AstList *list) {
    for (int i = 0; i < list->n; i++) raise_height(e, list->at[i]);
}

Ast *ast_make(Parser *p, Ast proto) {
    Ast *e = arena_copy(p->arena, &proto, sizeof proto);
    raise_height(e, e->a);
    raise_height(e, e->b);
    raise_height(e, e->c);
    raise_height(e, e->type);
    raise_height_list(e, &e->statics);
    raise_height_list(e, &e->params);
    raise_height_list(e, &e->args);
    raise_height_list(e, &e->from);
    raise_height_list(e, &e->items);
    if (e->height > LIMIT_HEIGHT && !p->stopped) {
        tokens_error(p, e->loc, E_LIMIT_DEPTH, "nesting too deep (limit %d operations inside one another)",
                     LIMIT_HEIGHT);
        tokens_stop(p);
    }
    return e;
}

/* A place in the text by its offset. */
static Loc place(const Source *src, size_t offset) {
    Loc at = {src, 1, 1, 1};
    for (size_t i = 0; i < offset; i++) {
        at.col++;
        if (src->text[i] == '\n') {
            at.line++;
            at.col = 1;
        }
    }
    return at;
}

AstList *ast_parse(Arena *a, Diag *d, const Source *src) {
    const char *nul = memchr(src->text, 0, src->size);
    if (src->size > LIMIT_FILE) {
        diag_error(d, place(src, 0), E_LIMIT_TEXT, "the file has %zu bytes (limit %d MiB)", src->size,
                   LIMIT_FILE >> 20);
        return NULL;
    }
    if (nul) {
        diag_error(d, place(src, (size_t)(nul - src->text)), E_SYNTAX_CHAR, "a NUL byte: this is not a text file");
        return NULL;
    }
    Parser *p = ARENA_NEW(a, Parser);
    *p = (Parser){.arena = a, .diag = d, .src = src, .line = 1, .col = 1};
    if (raw_lex_init_extra(p, &p->scanner)) ICE("no memory for the scanner");
    raw__scan_bytes(src->text, (int)src->size, p->scanner);
    net_parse(p);
    raw_lex_destroy(p->scanner);
    return p->errors ? NULL : (AstList *)arena_copy(a, &p->items, sizeof p->items);
}
