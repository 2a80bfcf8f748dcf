/* The text form of a graph (docs/ir.md has the grammar; parse.c reads it back). */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "ir/ir_impl.h"

typedef struct {
    const Graph *g;
    Arena       *arena;
    Buf          out;
    const char **name;          /* of every node, by id: "%12", "%Net.c1.w" */
    const Node  *n;             /* the comp being printed */
    char       **var;           /* its variables' names */
    int          margin;        /* of its lines */
} Print;

/* ---- names --------------------------------------------------------------------------------------- */

bool text_is_name(const char *s) {
    if (!*s) return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '.') return false;
    return true;
}

static void put_name(Buf *b, const char *s) {
    if (text_is_name(s))
        buf_puts(b, s);
    else
        buf_json(b, s);
}

const char *leaf_key(const Node *n) {
    switch (n->op) {
    case OP_INPUT: return n->u.input.key;
    case OP_PARAM: return n->u.param.key;
    case OP_STATE: return n->u.state.key;
    default: return NULL;
    }
}

/* A leaf is called by its key, if that reads as a name and no leaf before it has the same. */
static const char *node_name(const Print *p, const Node *n) {
    const char *key = leaf_key(n);
    bool        good = key && text_is_name(key) && !isdigit((unsigned char)key[0]);
    for (int i = 0; good && i < n->id; i++) {
        const char *other = leaf_key(p->g->nodes.at[i]);
        if (other && !strcmp(other, key)) good = false;
    }
    return good ? arena_printf(p->arena, "%%%s", key) : arena_printf(p->arena, "%%%d", n->id);
}

static const char *name_of(const Print *p, const Node *n) {
    if (n->id < 0 || n->id >= p->g->nodes.n || p->g->nodes.at[n->id] != n) return "%?";
    return p->name[n->id];
}

/* Distinct identifiers for the variables of a comp: the second "i" becomes "i1". */
static char **var_names(Print *p, const Comp *c) {
    int    nvar = c->nout + c->nred + c->nder;
    char **name = ARENA_ARRAY(p->arena, char *, nvar + 1);
    for (int i = 0; i < nvar; i++) {
        const char *given = c->var[i].name && c->var[i].name[0] ? c->var[i].name : "v";
        char       *base = arena_printf(p->arena, "%s%s", isdigit((unsigned char)given[0]) ? "v" : "", given);
        for (char *s = base; *s; s++)
            if (!isalnum((unsigned char)*s)) *s = '_';
        name[i] = base;
        for (int k = 1, j = 0; j < i; j++) {
            if (strcmp(name[j], name[i])) continue;
            name[i] = arena_printf(p->arena, "%s%d", base, k++);
            j = -1;
        }
    }
    return name;
}

/* ---- types and expressions --------------------------------------------------------------------------- */

static void put_extent(Buf *b, const Graph *g, Extent e) {
    if (e.bound > 0 && e.bound < g->bounds.n)
        buf_puts(b, g->bounds.at[e.bound].name);
    else
        buf_printf(b, "%lld", (long long)e.size);
}

char *type_text(const Graph *g, const Type *t, Arena *a) {
    Buf b = buf_new(a);
    buf_printf(&b, "%s[", dtype_text(t->dtype));
    for (int i = 0; i < t->rank; i++) {
        if (i) buf_putc(&b, ',');
        put_extent(&b, g, t->dim[i]);
    }
    buf_putc(&b, ']');
    return b.s;
}

/* 2*i+r-1; an empty form is 0, unless something follows it (`more`). */
static void put_affine(Print *p, const Affine *f, bool more) {
    bool first = true;
    for (int i = 0; i < f->n; i++) {
        int64_t k = f->term[i].coef;
        buf_puts(&p->out, k < 0 ? "-" : first ? "" : "+");
        if (k != 1 && k != -1)
            buf_printf(&p->out, "%llu*", k < 0 ? 0ULL - (unsigned long long)k : (unsigned long long)k);
        buf_puts(&p->out, p->var[f->term[i].var]);
        first = false;
    }
    if (f->c || (first && !more)) buf_printf(&p->out, first ? "%lld" : "%+lld", (long long)f->c);
}

static void put_expr(Print *p, const Expr *e);

static void put_read(Print *p, const Expr *e) {
    buf_puts(&p->out, name_of(p, p->n->arg[e->operand]));
    if (e->guarded) buf_putc(&p->out, '?');
    if (!e->nsub) return;
    for (int i = 0; i < e->nsub; i++) {
        const Sub *s = &e->sub[i];
        buf_putc(&p->out, i ? ',' : '[');
        put_affine(p, &s->aff, s->ind);
        if (!s->ind) continue;
        buf_puts(&p->out, s->aff.n || s->aff.c ? "+{" : "{");
        put_expr(p, s->ind);
        buf_putc(&p->out, '}');
    }
    buf_putc(&p->out, ']');
}

static void put_const(Print *p, const Expr *e) {
    if (e->dtype == DT_PRED)
        buf_puts(&p->out, e->value != 0 ? "true" : "false");
    else if (e->dtype == DT_I32)
        buf_printf(&p->out, "idx(%.0f)", e->value);
    else
        buf_number(&p->out, e->value);
}

static void put_expr(Print *p, const Expr *e) {
    switch (e->op) {
    case SC_CONST: put_const(p, e); return;
    case SC_READ: put_read(p, e); return;
    case SC_BOUND: buf_printf(&p->out, "bound(%s)", p->g->bounds.at[e->bound].name); return;
    case SC_IDX:
        buf_puts(&p->out, "idx(");
        put_affine(p, &e->aff, false);
        break;
    default:
        buf_printf(&p->out, "%s(", e->op == SC_CAST ? dtype_text(e->dtype) : SCALARS[e->op].text);
        for (int i = 0; i < SCALARS[e->op].args; i++) {
            if (i) buf_puts(&p->out, ", ");
            put_expr(p, e->arg[i]);
        }
    }
    buf_putc(&p->out, ')');
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

/* [b,o,i | c<3,r<5 ; p=(i-r)/2<12]: the extents of the outs are those of the node's type. */
static void put_vars(Print *p, const Comp *c) {
    buf_putc(&p->out, '[');
    for (int i = 0; i < c->nout; i++) buf_printf(&p->out, "%s%s", i ? "," : "", p->var[i]);
    for (int i = 0; i < c->nred; i++) {
        buf_printf(&p->out, "%s%s<", i ? "," : c->nout ? " | " : "| ", p->var[c->nout + i]);
        put_extent(&p->out, p->g, c->var[c->nout + i].ext);
    }
    for (int i = c->nout + c->nred; i < c->nout + c->nred + c->nder; i++) {
        const Var *v = &c->var[i];
        buf_printf(&p->out, "%s%s=%s", i > c->nout + c->nred ? "," : " ; ", p->var[i], v->div == 1 ? "" : "(");
        put_affine(p, &v->num, false);
        if (v->div != 1) buf_printf(&p->out, ")/%lld", (long long)v->div);
        buf_putc(&p->out, '<');
        put_extent(&p->out, p->g, v->ext);
    }
    buf_putc(&p->out, ']');
}

static void put_comp(Print *p, const Node *n) {
    p->n = n;
    p->var = var_names(p, &n->u.comp);
    buf_puts(&p->out, "comp ");
    put_vars(p, &n->u.comp);
    buf_printf(&p->out, " %s ", KIND_TEXT[n->u.comp.kind]);
    put_expr(p, n->u.comp.expr);
}

/* One number if all are the same. */
static void put_numbers(Print *p, const Node *n) {
    int64_t       count = type_count(&n->type);
    const double *v = n->u.konst.value;
    int64_t       same = 1;
    while (same < count && !memcmp(&v[same], &v[0], sizeof *v)) same++;
    if (same < count) buf_putc(&p->out, '[');
    for (int64_t i = 0; i < (same < count ? count : 1); i++) {
        if (i) buf_puts(&p->out, ", ");
        buf_number(&p->out, v[i]);
    }
    if (same < count) buf_putc(&p->out, ']');
}

const char *const INPUT_TEXT[2] = {[IN_DATA] = "data", [IN_SCALAR] = "scalar"};
const char *const STATE_TEXT[3] = {[STATE_SHARED] = "shared", [STATE_LANE] = "lane", [STATE_OPT] = "opt"};

static void put_attributes(Print *p, const Node *n) {
    buf_puts(&p->out, OPS[n->op].text);
    buf_putc(&p->out, ' ');
    switch (n->op) {
    case OP_CONST: put_numbers(p, n); break;
    case OP_INPUT: buf_printf(&p->out, "%s ", INPUT_TEXT[n->u.input.kind]); break;
    case OP_STATE: buf_printf(&p->out, "%s ", STATE_TEXT[n->u.state.kind]); break;
    case OP_RNG: buf_printf(&p->out, "0x%08x", n->u.rng.site); break;
    case OP_ARG:
        if (n->u.arg.index == ARG_STEP) buf_puts(&p->out, "step");
        else buf_printf(&p->out, "%d", n->u.arg.index);
        break;
    default: break;
    }
    if (leaf_key(n)) buf_json(&p->out, leaf_key(n));
    if (n->op == OP_INPUT && n->u.input.below) buf_printf(&p->out, " < %lld", (long long)n->u.input.below);
    if (n->op == OP_STATE) {
        buf_putc(&p->out, ' ');
        buf_number(&p->out, n->u.state.init);
    }
    for (int i = 0; i < n->narg; i++) buf_printf(&p->out, "%s%s", i ? ", " : "", name_of(p, n->arg[i]));
    if (n->op == OP_RESULT) buf_printf(&p->out, ", %d", n->u.result.index);
}

/* ---- scans --------------------------------------------------------------------------------------------- */

static void put_operands(Print *p, const Node *n, const char *word, int from, int count) {
    if (!count) return;
    buf_printf(&p->out, " %s(", word);
    for (int i = 0; i < count; i++) buf_printf(&p->out, "%s%s", i ? ", " : "", name_of(p, n->arg[from + i]));
    buf_putc(&p->out, ')');
}

static Print start(Arena *a, const Graph *g);
static void  put_node(Print *p, const Node *n);

/* scan t<25 reverse carry(%h0) over(%x) use(%w) { nodes; carry %next; stack %value } */
static void put_scan(Print *p, const Node *n) {
    const Scan *s = &n->u.scan;
    const char *margin = arena_printf(p->arena, "%*s", p->margin + 2, "");
    buf_printf(&p->out, "scan %s<",
               s->var && text_is_name(s->var) && !isdigit((unsigned char)s->var[0]) ? s->var : "t");
    put_extent(&p->out, p->g, s->trip);
    if (s->part.bound)
        buf_printf(&p->out, " by %lld of %s", (long long)s->part.size, p->g->bounds.at[s->part.bound].name);
    if (s->reverse) buf_puts(&p->out, " reverse");
    put_operands(p, n, "carry", 0, s->ncarry);
    put_operands(p, n, "over", s->ncarry, s->nover);
    put_operands(p, n, "use", s->ncarry + s->nover, s->nuse);
    if (s->checkpoint) buf_printf(&p->out, " checkpoint %d", s->checkpoint);
    buf_puts(&p->out, " {\n");
    Print b = start(p->arena, s->body);
    b.margin = p->margin + 2;
    for (int i = 0; i < s->body->nodes.n; i++) {
        buf_puts(&b.out, margin);
        put_node(&b, s->body->nodes.at[i]);
        buf_putc(&b.out, '\n');
    }
    for (int i = 0; i < s->body->outs.n; i++)
        buf_printf(&b.out, "%s%s %s\n", margin, i < s->ncarry ? "carry" : "stack",
                   name_of(&b, s->body->outs.at[i].value));
    buf_printf(&p->out, "%s%.*s}", b.out.s, p->margin, margin);
}

/* "# Net.c1 mnist.net:12" */
static void put_origin(Print *p, const Node *n) {
    bool placed = n->loc.src && n->loc.line > 0;
    bool named = n->name && n->name[0];
    if (!named && !placed) return;
    buf_puts(&p->out, "  #");
    if (named) buf_putc(&p->out, ' ');
    for (const char *s = n->name; named && *s; s++) buf_putc(&p->out, iscntrl((unsigned char)*s) ? '?' : *s);
    if (placed) buf_printf(&p->out, " %s:%d", n->loc.src->name, n->loc.line);
}

static void put_node(Print *p, const Node *n) {
    buf_printf(&p->out, "%s = ", name_of(p, n));
    if (n->op == OP_COMP)
        put_comp(p, n);
    else if (n->op == OP_SCAN)
        put_scan(p, n);
    else
        put_attributes(p, n);
    if (n->op != OP_SCAN) buf_printf(&p->out, " : %s", type_text(p->g, &n->type, p->arena));
    put_origin(p, n);
}

/* out loss = %9      set %Net.c1.w = %12      set other_name: %Net.c1.w = %12 */
static void put_output(Print *p, const Output *o) {
    if (o->kind == OUT_VALUE) {
        buf_puts(&p->out, "out ");
        put_name(&p->out, o->name);
    } else {
        buf_puts(&p->out, "set ");
        const char *key = leaf_key(o->target);
        if (!key || strcmp(key, o->name)) {
            put_name(&p->out, o->name);
            buf_puts(&p->out, ": ");
        }
        buf_puts(&p->out, name_of(p, o->target));
    }
    buf_printf(&p->out, " = %s", name_of(p, o->value));
}

static Print start(Arena *a, const Graph *g) {
    Print p = {.g = g, .arena = a, .out = buf_new(a), .margin = 2};
    p.name = ARENA_ARRAY(a, const char *, g->nodes.n + 1);
    for (int i = 0; i < g->nodes.n; i++) p.name[i] = node_name(&p, g->nodes.at[i]);
    return p;
}

char *graph_text(const Graph *g, Arena *a) {
    Print p = start(a, g);
    buf_puts(&p.out, "graph ");
    put_name(&p.out, g->name);
    buf_putc(&p.out, '(');
    for (int i = 1; i < g->bounds.n; i++)
        buf_printf(&p.out, "%s%s<=%lld", i > 1 ? ", " : "", g->bounds.at[i].name, (long long)g->bounds.at[i].size);
    buf_puts(&p.out, ") {\n");
    for (int i = 0; i < g->nodes.n; i++) {
        buf_puts(&p.out, "  ");
        put_node(&p, g->nodes.at[i]);
        buf_putc(&p.out, '\n');
    }
    for (int i = 0; i < g->outs.n; i++) {
        buf_puts(&p.out, "  ");
        put_output(&p, &g->outs.at[i]);
        buf_putc(&p.out, '\n');
    }
    buf_puts(&p.out, "}\n");
    return p.out.s;
}

char *node_text(const Graph *g, const Node *n, Arena *a) {
    Print p = start(a, g);
    put_node(&p, n);
    return p.out.s;
}

void graph_print(const Graph *g, FILE *out) {
    Arena *a = arena_new();
    fputs(graph_text(g, a), out);
    arena_free(a);
}
