/* The syntax tree of a .net file, as written: no names resolved, no types.
 * Nodes live in the `compile` arena; the tree is never changed after parsing. */
#ifndef NETC_FRONTEND_AST_H
#define NETC_FRONTEND_AST_H
#include <stdbool.h>

#include "base/diag.h"

typedef enum {
#define AST(id, text, fields) AST_##id,
#include "frontend/ast.def"
#undef AST
    AST_COUNT
} AstKind;

typedef enum {
    BIN_OR, BIN_AND, BIN_EQ, BIN_NE, BIN_LT, BIN_GT, BIN_LE, BIN_GE,
    BIN_ADD, BIN_SUB, BIN_MUL, BIN_DIV, BIN_EMUL, BIN_EDIV, BIN_POW
} BinOp;

typedef struct Ast Ast;
typedef VEC(Ast *) AstList;

struct Ast {
    AstKind     kind;
    Loc         loc;           /* the first token, or the operator (see ast.def) */
    const char *name, *text;
    double      num;
    bool        flag;
    BinOp       op;
    Ast        *a, *b, *c, *type;
    AstList     statics, params, args, from, items;
    int         height;        /* of the tree below: at most LIMIT_HEIGHT, so walkers may recurse freely */
};

const char *ast_kind_name(AstKind k);      /* "scan" */
const char *bin_op_text(BinOp op);         /* ".*" */

/* Parses a source into its items (a list; NULL after a syntax error, which is in `diag`). */
AstList *ast_parse(Arena *a, Diag *d, const Source *src);

/* The tree as text, one node a line, indented: `netc check --print-ast`. */
void ast_print(const AstList *items, FILE *out);

/* An expression as it would be written, without blanks around operators ("H+2*pad-k"):
 * used in messages. */
const char *ast_text(Arena *a, const Ast *e);

#endif
