/* The tree as text. One node a line: the member of its parent that holds it, its kind, its place, its own values:
 *
 *   fn 7:3 logits
 *     params: p 7:13 img
 *       type: type 7:18 f32
 *         args: num 7:19 1
 */
#include "frontend/ast.h"
#include "base/str.h"

/* A text as it is written, escapes included. */
static void print_text(const char *s, FILE *out) {
    fputs(" \"", out);
    for (; *s; s++) {
        const char *escape = *s == '\n' ? "\\n" : *s == '\t' ? "\\t" : *s == '"' ? "\\\"" : *s == '\\' ? "\\\\" : NULL;
        if (escape) fputs(escape, out);
        else fputc(*s, out);
    }
    fputc('"', out);
}

static void print_values(const Ast *e, FILE *out) {
    fprintf(out, "%s %d:%d", ast_kind_name(e->kind), e->loc.line, e->loc.col);
    switch (e->kind) {
    case AST_NET:
    case AST_NUM:
        fprintf(out, e->flag || e->kind == AST_NET ? " %.0f" : " real %.17g", e->num);
        break;
    case AST_BOOL:
        fputs(e->flag ? " true" : " false", out);
        break;
    case AST_BIN:
        fprintf(out, " %s", bin_op_text(e->op));
        break;
    case AST_STR:
        print_text(e->name, out);
        break;
    default:
        if (e->name) fprintf(out, " %s", e->name);
        if (e->text) fprintf(out, " %s", e->text);
    }
    if (e->kind == AST_DIM && e->flag) fputs(" ragged", out);
    if (e->kind == AST_PARAM && e->flag) fputs(" random", out);
    if (e->kind == AST_LHS && e->flag) fputs(" indexed", out);
    fputc('\n', out);
}

static void print_node(const Ast *e, const char *role, int depth, FILE *out);

static void print_list(const AstList *list, const char *role, int depth, FILE *out) {
    for (int i = 0; i < list->n; i++) print_node(list->at[i], role, depth, out);
}

static void print_node(const Ast *e, const char *role, int depth, FILE *out) {
    if (!e) return;
    fprintf(out, "%*s%s", 2 * depth, "", role);
    print_values(e, out);
    print_list(&e->statics, "statics: ", depth + 1, out);
    print_list(&e->params, "params: ", depth + 1, out);
    print_node(e->type, "type: ", depth + 1, out);
    print_list(&e->args, "args: ", depth + 1, out);
    print_list(&e->from, "from: ", depth + 1, out);
    print_node(e->a, "a: ", depth + 1, out);
    print_node(e->b, "b: ", depth + 1, out);
    print_node(e->c, "c: ", depth + 1, out);
    print_list(&e->items, "items: ", depth + 1, out);
}

void ast_print(const AstList *items, FILE *out) { print_list(items, "", 0, out); }

/* ---- an expression as written -------------------------------------------------------------------- */

/* How tightly an operator binds, as in parse.y; what is no operator binds tightest. */
static int binding(const Ast *e) {
    static const int BIN[] = {
        [BIN_OR] = 2, [BIN_AND] = 3, [BIN_EQ] = 5, [BIN_NE] = 5, [BIN_LT] = 5, [BIN_GT] = 5, [BIN_LE] = 5,
        [BIN_GE] = 5, [BIN_ADD] = 6, [BIN_SUB] = 6, [BIN_MUL] = 7, [BIN_DIV] = 7, [BIN_EMUL] = 7,
        [BIN_EDIV] = 7, [BIN_POW] = 9,
    };
    switch (e->kind) {
    case AST_IF: return 0;
    case AST_PIPE: return 1;
    case AST_NOT: return 4;
    case AST_NEG: return 8;
    case AST_GUARD: return 10;
    case AST_BIN: return BIN[e->op];
    default: return 11;
    }
}

static void put(Buf *b, const Ast *e, int least);

static void put_list(Buf *b, const AstList *list, const char *open, const char *close) {
    buf_puts(b, open);
    for (int i = 0; i < list->n; i++) {
        if (i) buf_puts(b, ", ");
        put(b, list->at[i], 0);
    }
    buf_puts(b, close);
}

static void put_operator(Buf *b, const Ast *e) {
    int  bind = binding(e);
    bool word = e->kind == AST_BIN && (e->op == BIN_OR || e->op == BIN_AND);
    switch (e->kind) {
    case AST_IF:
        buf_puts(b, "if ");
        put(b, e->a, 0);
        buf_puts(b, " then ");
        put(b, e->b, 0);
        buf_puts(b, " else ");
        put(b, e->c, 0);
        break;
    case AST_PIPE:
        put(b, e->a, bind);
        buf_puts(b, "|>");
        put(b, e->b, 11);
        if (e->name) buf_printf(b, " as %s", e->name);
        break;
    case AST_NOT:
        buf_puts(b, "not ");
        put(b, e->a, 5);
        break;
    case AST_NEG:
        buf_putc(b, '-');
        put(b, e->a, bind);
        break;
    case AST_GUARD:
        put(b, e->a, 11);
        buf_puts(b, " ?? ");
        put(b, e->b, e->b->kind == AST_NEG ? 8 : 11);
        break;
    default:
        put(b, e->a, bind == 9 ? 10 : bind == 5 ? 6 : bind);      /* ^ groups to the right, == not at all */
        buf_printf(b, word ? " %s " : "%s", bin_op_text(e->op));
        put(b, e->b, bind == 9 ? 8 : bind + 1);
    }
}

static void put_plain(Buf *b, const Ast *e) {
    switch (e->kind) {
    case AST_NUM:
        buf_number(b, e->num);
        break;
    case AST_BOOL:
        buf_puts(b, e->flag ? "true" : "false");
        break;
    case AST_STR:
        buf_json(b, e->name);
        break;
    case AST_TUPLE:
        put_list(b, &e->args, "(", ")");
        break;
    case AST_LIST:
        put_list(b, &e->args, "[", "]");
        break;
    case AST_CALL:
        put(b, e->a, 11);
        put_list(b, &e->args, "(", ")");
        break;
    case AST_INDEX:
        put(b, e->a, 11);
        put_list(b, &e->args, "[", "]");
        break;
    case AST_FIELD:
        put(b, e->a, 11);
        buf_printf(b, ".%s", e->name);
        break;
    case AST_SLICE:
        if (e->a) put(b, e->a, 0);
        buf_putc(b, ':');
        if (e->b) put(b, e->b, 0);
        break;
    case AST_ARG:
        if (e->name) buf_printf(b, "%s=", e->name);
        put(b, e->a, 0);
        break;
    case AST_TYPE:
        if (!e->args.n || strcmp(e->name, "f32")) buf_puts(b, e->name);
        if (e->args.n) put_list(b, &e->args, "[", "]");
        break;
    case AST_TUPLETYPE:
        put_list(b, &e->args, "(", ")");
        break;
    default:
        buf_puts(b, e->name ? e->name : ast_kind_name(e->kind));
    }
}

/* e, in parentheses if it binds more loosely than `least`. */
static void put(Buf *b, const Ast *e, int least) {
    int  bind = binding(e);
    bool parens = bind < least;
    if (parens) buf_putc(b, '(');
    if (bind == 11) put_plain(b, e);
    else put_operator(b, e);
    if (parens) buf_putc(b, ')');
}

const char *ast_text(Arena *a, const Ast *e) {
    Buf b = buf_new(a);
    put(&b, e, 0);
    return b.s;
}
