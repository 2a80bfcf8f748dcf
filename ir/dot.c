/* A graph for graphviz: `dot -Tsvg`. A node shows its operation, its type, and what the user calls it;
 * what belongs to the gradient (its name begins with "grad") is drawn in another colour. */
#include <string.h>

#include "base/str.h"
#include "ir/ir_impl.h"

static bool is_gradient(const Node *n) { return n->name && !strncmp(n->name, "grad", 4); }

static const char *fill_color(const Node *n) {
    if (is_gradient(n)) return "#f4cccc";
    switch (n->op) {
    case OP_PARAM: return "#fff2cc";
    case OP_STATE: return "#ffe0b3";
    case OP_INPUT: return "#d9ead3";
    case OP_CONST:
    case OP_RNG: return "#eeeeee";
    default: return "#dbe9f7";
    }
}

static void put_label(Buf *b, const Graph *g, const Node *n) {
    Buf text = buf_new(b->arena);
    buf_printf(&text, "%%%d %s", n->id, OPS[n->op].text);
    if (n->op == OP_COMP) buf_printf(&text, " %s", KIND_TEXT[n->u.comp.kind]);
    if (n->op == OP_RESULT) buf_printf(&text, " %d", n->u.result.index);
    if (leaf_key(n)) buf_printf(&text, " %s", leaf_key(n));
    buf_printf(&text, "\n%s", type_text(g, &n->type, b->arena));
    if (n->name) buf_printf(&text, "\n%s", n->name);
    if (n->loc.src) buf_printf(&text, "%s%s:%d", n->name ? "  " : "\n", n->loc.src->name, n->loc.line);
    for (const char *s = text.s; *s; s++) {
        if (*s == '"' || *s == '\\') buf_putc(b, '\\');
        buf_puts(b, *s == '\n' ? "\\n" : (char[]){*s, 0});
    }
}

static void put_nodes(Buf *b, const Graph *g, const char *prefix);

/* A scan is a box around its body: edges go from its operands to the body's arguments, from what the body
 * gives to the results, and, dashed, from a next carry back to the carry. */
static void put_scan(Buf *b, const Node *n, const char *prefix) {
    const Graph *body = n->u.scan.body;
    const char  *inner = arena_printf(b->arena, "%sn%d_", prefix, n->id);
    buf_printf(b, "  subgraph cluster_%s {\n  label=\"scan %s%s\";\n", inner, n->u.scan.var ? n->u.scan.var : "t",
               n->u.scan.reverse ? " reverse" : "");
    put_nodes(b, body, inner);
    buf_puts(b, "  }\n");
    for (int i = 0; i < body->nodes.n; i++) {
        const Node *a = body->nodes.at[i];
        if (a->op != OP_ARG || a->u.arg.index == ARG_STEP) continue;
        int k = a->u.arg.index;
        buf_printf(b, "  %sn%d -> %sn%d;\n", prefix, n->arg[k]->id, inner, i);
        if (k < n->u.scan.ncarry)
            buf_printf(b, "  %sn%d -> %sn%d [style=dashed, constraint=false];\n", inner, body->outs.at[k].value->id,
                       inner, i);
    }
}

static void put_node(Buf *b, const Graph *g, const Node *n, const char *prefix) {
    const char *color = is_gradient(n) ? " [color=\"#cc0000\"]" : "";
    if (n->op == OP_SCAN) {
        put_scan(b, n, prefix);
        return;
    }
    buf_printf(b, "  %sn%d [fillcolor=\"%s\", label=\"", prefix, n->id, fill_color(n));
    put_label(b, g, n);
    buf_puts(b, "\"];\n");
    for (int i = 0; i < n->narg && n->op != OP_RESULT; i++)
        buf_printf(b, "  %sn%d -> %sn%d%s;\n", prefix, n->arg[i]->id, prefix, n->id, color);
    if (n->op == OP_RESULT)
        buf_printf(b, "  %sn%d_n%d -> %sn%d%s;\n", prefix, n->arg[0]->id,
                   n->arg[0]->u.scan.body->outs.at[n->u.result.index].value->id, prefix, n->id, color);
}

static void put_nodes(Buf *b, const Graph *g, const char *prefix) {
    for (int i = 0; i < g->nodes.n; i++) put_node(b, g, g->nodes.at[i], prefix);
}

/* An output is a plain text below its value; an update points back, dashed, to the leaf that it sets. */
static void put_output(Buf *b, const Output *o, int i) {
    if (o->target) {
        buf_printf(b, "  n%d -> n%d [style=dashed, constraint=false];\n", o->value->id, o->target->id);
        return;
    }
    buf_printf(b, "  o%d [shape=plaintext, style=\"\", label=", i);
    buf_json(b, o->name);
    buf_printf(b, "];\n  n%d -> o%d;\n", o->value->id, i);
}

void graph_dot(const Graph *g, FILE *out) {
    Arena *a = arena_new();
    Buf    b = buf_new(a);
    buf_puts(&b, "digraph ");
    buf_json(&b, g->name);
    buf_puts(&b, " {\n  node [shape=box, style=filled, fontname=\"monospace\", fontsize=10];\n");
    put_nodes(&b, g, "");
    for (int i = 0; i < g->outs.n; i++) put_output(&b, &g->outs.at[i], i);
    buf_puts(&b, "}\n");
    fputs(b.s, out);
    arena_free(a);
}
