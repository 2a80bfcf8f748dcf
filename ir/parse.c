/* Reads the text form of a graph; docs/ir.md has the grammar. A recursive descent without a separate
 * lexer. The first mistake ends it. The text may be hostile: nesting, numbers, counts and memory are
 * limited here, types are checked by the same rules that the builders use, and what is left (subscripts
 * in range and the like) is the verifier's. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "ir/ir_impl.h"

enum { DEPTH = 200, SCANS = 16, NODES = 100000, CONSTS = 1 << 24, NUMBER = 1 << 30 };

typedef struct {
    const char *name;
    Node       *node;
} Named;

typedef struct {
    Arena        *arena;
    Diag         *diag;
    const Source *src;
    const char   *at, *end;
    Graph        *g;
    int           depth, scans;     /* expressions, bodies around */
    int64_t       consts;           /* numbers in tables so far */
    bool          failed;
    Named        *table;            /* names of nodes, open addressing */
    int           named, slots;
    VEC(const Source *) sources;    /* the files named in comments */
    Comp         *c;                /* the comp being read: its variables and operands */
    VEC(Node *)   args;
} Parse;

/* ---- text ------------------------------------------------------------------------------------------ */

static Loc here(const Parse *p, const char *at) {
    Loc l = {p->src, 1, 1, 1};
    for (const char *s = p->src->text; s < at; s++) {
        l.col++;
        if (*s == '\n') l.line++, l.col = 1;
    }
    return l;
}

/* Always false, for `return fail(...)`; only the first mistake is reported. */
static bool fail_at(Parse *p, const char *at, const char *fmt, const char *arg) {
    char text[200];
    if (p->failed) return false;
    p->failed = true;
    snprintf(text, sizeof text, fmt, arg);
    return diag_error(p->diag, here(p, at), E_SYNTAX, "%s", text);
}

static bool fail(Parse *p, const char *what) { return fail_at(p, p->at, "%s", what); }

static void blanks(Parse *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')) p->at++;
}

static void skip(Parse *p) {
    for (;;) {
        blanks(p);
        if (p->at < p->end && *p->at == '#')
            while (p->at < p->end && *p->at != '\n') p->at++;
        else if (p->at < p->end && *p->at == '\n')
            p->at++;
        else
            return;
    }
}

static char peek(Parse *p) {
    skip(p);
    return p->at < p->end ? *p->at : 0;
}

static bool accept(Parse *p, const char *s) {
    size_t n = strlen(s);
    skip(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, s, n)) return false;
    p->at += n;
    return true;
}

static bool expect(Parse *p, const char *s) {
    return accept(p, s) || fail_at(p, p->at, "expected '%s'", s);
}

static bool word_char(char c, bool dots) { return isalnum((unsigned char)c) || c == '_' || (dots && c == '.'); }

/* The word at p->at, NULL if there is none. `dots`: a path like Net.c1.w is one word. */
static const char *word(Parse *p, bool dots) {
    skip(p);
    const char *start = p->at;
    while (p->at < p->end && word_char(*p->at, dots)) p->at++;
    return p->at > start ? arena_strndup(p->arena, start, (size_t)(p->at - start)) : NULL;
}

static bool keyword(Parse *p, const char *s) {
    skip(p);
    const char *start = p->at, *w = word(p, false);
    if (w && !strcmp(w, s)) return true;
    p->at = start;
    return false;
}

/* The character after a backslash: what JSON writes, of the \u escapes those below \u0080. 0: a mistake. */
static char escape(Parse *p) {
    static const char DIGITS[] = "0123456789abcdef";
    char c = p->at < p->end ? *p->at++ : 0;
    if (c == '"' || c == '\\') return c;
    int code = 0;
    for (int i = 0; c == 'u' && i < 4; i++) {
        const char *digit = p->at < p->end ? strchr(DIGITS, tolower((unsigned char)*p->at)) : NULL;
        if (!digit) return 0;
        code = code * 16 + (int)(digit - DIGITS);
        p->at++;
    }
    return code < 128 ? (char)code : 0;
}

/* NULL after a mistake. */
static const char *string(Parse *p) {
    if (!expect(p, "\"")) return NULL;
    Buf b = buf_new(p->arena);
    while (p->at < p->end && *p->at != '"' && (unsigned char)*p->at >= ' ') {
        char c = *p->at++;
        if (c == '\\' && !(c = escape(p))) {
            fail(p, "a string knows the escapes \\\" \\\\ \\u00xx");
            return NULL;
        }
        buf_putc(&b, c);
    }
    if (p->at == p->end || *p->at != '"') {
        fail(p, "the string does not end on its line");
        return NULL;
    }
    p->at++;
    return b.s;
}

static const char *name_or_string(Parse *p) {
    const char *s = peek(p) == '"' ? string(p) : word(p, true);
    if (!s) fail(p, "expected a name");
    return s;
}

/* A whole number below `limit`, without sign. */
static bool whole(Parse *p, int64_t limit, int64_t *v) {
    skip(p);
    const char *start = p->at;
    *v = 0;
    for (; p->at < p->end && isdigit((unsigned char)*p->at); p->at++) {
        *v = *v * 10 + (*p->at - '0');
        if (*v > limit) return fail_at(p, start, "the number is too large%s", "");
    }
    return p->at > start || fail(p, "expected a whole number");
}

static bool number(Parse *p, double *v) {
    skip(p);
    bool minus = accept(p, "-");
    if (keyword(p, "inf") || keyword(p, "nan")) {
        *v = p->at[-1] == 'f' ? __builtin_inf() : __builtin_nan("");
    } else {
        char *stop;
        if (p->at == p->end || !(isdigit((unsigned char)*p->at) || *p->at == '.')) return fail(p, "expected a number");
        *v = strtod(p->at, &stop);
        if (stop == p->at) return fail(p, "expected a number");
        p->at = stop;
    }
    if (minus) *v = -*v;
    return true;
}

/* One of `n` words; -1 after a mistake. */
static int one_of(Parse *p, const char *const *words, int n) {
    skip(p);
    const char *start = p->at, *w = word(p, false);
    for (int i = 0; w && i < n; i++)
        if (!strcmp(w, words[i])) return i;
    fail_at(p, start, w ? "unknown word '%s'" : "expected a word", w);
    return -1;
}

/* ---- the names of nodes ------------------------------------------------------------------------------- */

static Named *find(Parse *p, const char *name) {
    uint32_t h = 2166136261u;
    for (const char *s = name; *s; s++) h = (h ^ (unsigned char)*s) * 16777619u;
    uint32_t i = h & (uint32_t)(p->slots - 1);
    while (p->table[i].name && strcmp(p->table[i].name, name)) i = (i + 1) & (uint32_t)(p->slots - 1);
    return &p->table[i];
}

static void define(Parse *p, const char *name, Node *node) {
    if (2 * ++p->named > p->slots) {
        Named *old = p->table;
        int    n = p->slots;
        p->slots = n ? 2 * n : 64;
        p->table = ARENA_ARRAY(p->arena, Named, p->slots);
        for (int i = 0; i < n; i++)
            if (old[i].name) *find(p, old[i].name) = old[i];
    }
    *find(p, name) = (Named){name, node};
}

static const char *node_word(Parse *p) {
    if (!expect(p, "%")) return NULL;
    const char *name = p->at < p->end && word_char(*p->at, true) ? word(p, true) : NULL;
    if (!name) fail(p, "expected a name after '%'");
    return name;
}

static Node *node_ref(Parse *p) {
    skip(p);
    const char *start = p->at, *name = node_word(p);
    if (!name) return NULL;
    Node *n = p->slots ? find(p, name)->node : NULL;
    if (!n) fail_at(p, start, "%%%s is not defined above", name);
    return n;
}

/* ---- types ------------------------------------------------------------------------------------------- */

static int find_bound(const Parse *p, const char *name) {
    for (int i = 1; i < p->g->bounds.n; i++)
        if (!strcmp(p->g->bounds.at[i].name, name)) return i;
    return 0;
}

static bool extent(Parse *p, Extent *e) {
    *e = (Extent){0};
    if (isdigit((unsigned char)peek(p))) return whole(p, MAX_ELEMENTS, &e->size);
    const char *start = p->at, *w = word(p, false);
    if (!w) return fail(p, "expected a size or a bound");
    e->bound = find_bound(p, w);
    if (!e->bound) return fail_at(p, start, "no bound is called '%s'", w);
    e->size = p->g->bounds.at[e->bound].size;
    return true;
}

static bool type(Parse *p, Type *t) {
    int d = one_of(p, DTYPE_TEXT, DT_COUNT);
    *t = (Type){.dtype = (DType)d};
    if (d < 0 || !expect(p, "[")) return false;
    while (!accept(p, "]")) {
        if (t->rank == MAX_RANK) return fail(p, "a type of more than 8 axes");
        if (t->rank && !expect(p, ",")) return false;
        if (!extent(p, &t->dim[t->rank++])) return false;
    }
    return true;
}

/* ---- affine forms and expressions ------------------------------------------------------------------------ */

static bool variable(Parse *p, int nvar, int *var) {
    skip(p);
    const char *start = p->at, *w = word(p, false);
    if (!w) return fail(p, "expected a variable or a number");
    for (*var = 0; *var < nvar; (*var)++)
        if (!strcmp(p->c->var[*var].name, w)) return true;
    return fail_at(p, start, "no variable is called '%s' here", w);
}

/* [k *] variable, or k */
static bool affine_term(Parse *p, int nvar, int64_t sign, Affine *f) {
    int64_t k = 1;
    int     var = 0;
    if (isdigit((unsigned char)peek(p))) {
        if (!whole(p, NUMBER, &k)) return false;
        if (!accept(p, "*")) {
            f->c += sign * k;
            return true;
        }
    }
    if (!variable(p, nvar, &var)) return false;
    if (f->n == MAX_TERMS && !affine_coef(f, var)) return fail(p, "an affine form of more than 8 variables");
    *f = affine_add(*f, affine_var(var), sign * k);
    return true;
}

static const Expr *expr(Parse *p);

/* Terms with + and - between them. With `ind`, one term may be { expression }. */
static bool affine(Parse *p, int nvar, Affine *f, const Expr **ind) {
    *f = affine_const(0);
    int64_t sign = accept(p, "-") ? -1 : 1;
    for (;;) {
        if (ind && !*ind && sign > 0 && accept(p, "{")) {
            *ind = expr(p);
            if (!*ind || !expect(p, "}")) return false;
        } else if (!affine_term(p, nvar, sign, f)) {
            return false;
        }
        char c = peek(p);
        if (c != '+' && c != '-') return true;
        p->at++;
        sign = c == '-' ? -1 : 1;
    }
}

static int nvars(const Comp *c) { return c->nout + c->nred + c->nder; }

static const Expr *read(Parse *p) {
    const char *start = p->at;
    Node       *n = node_ref(p);
    Sub         sub[MAX_RANK] = {0};
    int         nsub = 0;
    if (!n) return NULL;
    bool guarded = accept(p, "?");
    if (accept(p, "[")) {
        while (!accept(p, "]")) {
            if (nsub && !expect(p, ",")) return NULL;
            if (nsub == n->type.rank) {
                fail_at(p, start, "too many subscripts%s", "");
                return NULL;
            }
            if (!affine(p, nvars(p->c), &sub[nsub].aff, &sub[nsub].ind)) return NULL;
            if (sub[nsub].ind && sub[nsub].ind->dtype != DT_I32) {
                fail(p, "an indirect subscript is i32");
                return NULL;
            }
            nsub++;
        }
    }
    if (nsub != n->type.rank) {
        fail_at(p, start, "too few subscripts%s", "");
        return NULL;
    }
    vec_push(p->arena, &p->args, n);
    return expr_read(p->arena, n->type.dtype, p->args.n - 1, nsub, sub, guarded);
}

static const Expr *expr_bound_ref(Parse *p) {
    const char *start = p->at, *w = word(p, false);
    int         bound = w ? find_bound(p, w) : 0;
    if (bound) return expr_bound(p->arena, bound);
    fail_at(p, start, "no bound is called '%s'", w ? w : "");
    return NULL;
}

/* The operands of a scalar operation, after its name and '('. */
static const Expr *operation(Parse *p, const char *start, ScalarOp op) {
    const Expr *arg[3];
    DType       t[3], result;
    int         n = SCALARS[op].args;
    for (int i = 0; i < n; i++) {
        if (i && !expect(p, ",")) return NULL;
        if (!(arg[i] = expr(p))) return NULL;
        t[i] = arg[i]->dtype;
    }
    if (!scalar_type(op, t, &result)) {
        fail_at(p, start, "%s does not take operands of these types", SCALARS[op].text);
        return NULL;
    }
    return n == 1 ? expr_op1(p->arena, op, arg[0])
         : n == 2 ? expr_op2(p->arena, op, arg[0], arg[1]) : expr_sel(p->arena, arg[0], arg[1], arg[2]);
}

/* What stands in the parentheses after `w`: idx, bound, a cast, or an operation. */
static const Expr *call(Parse *p, const char *start, const char *w) {
    if (!strcmp(w, SCALARS[SC_IDX].text)) {
        Affine f;
        return affine(p, nvars(p->c), &f, NULL) ? expr_idx(p->arena, f) : NULL;
    }
    if (!strcmp(w, SCALARS[SC_BOUND].text)) return expr_bound_ref(p);
    for (int d = 0; d < DT_COUNT; d++) {
        if (strcmp(w, DTYPE_TEXT[d])) continue;
        const Expr *x = expr(p);
        return x ? expr_cast(p->arena, (DType)d, x) : NULL;
    }
    for (int op = 0; op < SC_COUNT; op++)
        if (SCALARS[op].args && op != SC_CAST && !strcmp(w, SCALARS[op].text)) return operation(p, start, (ScalarOp)op);
    fail_at(p, start, "unknown operation '%s'", w);
    return NULL;
}

static const Expr *word_expr(Parse *p) {
    const char *start = p->at, *w = word(p, false);
    if (!w) {
        fail(p, "expected an expression");
        return NULL;
    }
    if (!strcmp(w, "true") || !strcmp(w, "false")) return expr_pred(p->arena, w[0] == 't');
    if (!strcmp(w, "inf") || !strcmp(w, "nan")) return expr_const(p->arena, strtod(w, NULL));
    if (!expect(p, "(")) return NULL;
    const Expr *e = call(p, start, w);
    return e && expect(p, ")") ? e : NULL;
}

static const Expr *number_expr(Parse *p) {
    double v;
    return number(p, &v) ? expr_const(p->arena, v) : NULL;
}

static const Expr *expr(Parse *p) {
    if (p->depth == DEPTH) {
        fail(p, "expressions nested too deep");
        return NULL;
    }
    p->depth++;
    char        c = peek(p);
    bool        digits = isdigit((unsigned char)c) || c == '-' || c == '.';
    const Expr *e = c == '%' ? read(p) : digits ? number_expr(p) : word_expr(p);
    p->depth--;
    return e;
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

static Var *new_var(Parse *p) {
    Comp *c = p->c;
    if (nvars(c) == MAX_VARS) {
        fail(p, "a comp of more than 24 variables");
        return NULL;
    }
    const char *start = (skip(p), p->at), *w = word(p, false);
    if (!w || isdigit((unsigned char)w[0])) {
        fail_at(p, start, "expected the name of a variable%s", "");
        return NULL;
    }
    for (int i = 0; i < nvars(c); i++) {
        if (strcmp(c->var[i].name, w)) continue;
        fail_at(p, start, "two variables are called '%s'", w);
        return NULL;
    }
    Var *v = &c->var[nvars(c)];
    *v = (Var){.name = w, .num = affine_const(0)};
    return v;
}

/* i=(p-r)/2<12, or i=p-r<12 */
static bool derived_var(Parse *p) {
    Var *v = new_var(p);
    if (!v || !expect(p, "=")) return false;
    bool quotient = accept(p, "(");
    v->div = 1;
    if (!affine(p, nvars(p->c), &v->num, NULL)) return false;
    if (quotient && (!expect(p, ")") || !expect(p, "/") || !whole(p, NUMBER, &v->div))) return false;
    if (v->div < 1) return fail(p, "the divisor is 0");
    if (!expect(p, "<") || !extent(p, &v->ext)) return false;
    p->c->nder++;
    return true;
}

/* [outs | reds ; derived] */
static bool vars(Parse *p) {
    Comp *c = p->c;
    Var  *v;
    if (!expect(p, "[")) return false;
    for (char e = peek(p); e != '|' && e != ';' && e != ']'; e = peek(p)) {
        if (c->nout && !expect(p, ",")) return false;
        if (!new_var(p)) return false;
        if (++c->nout > MAX_RANK) return fail(p, "a comp of more than 8 outs");
    }
    if (accept(p, "|"))
        do {
            if (!(v = new_var(p)) || !expect(p, "<") || !extent(p, &v->ext)) return false;
            c->nred++;
        } while (accept(p, ","));
    if (accept(p, ";"))
        do {
            if (!derived_var(p)) return false;
        } while (accept(p, ","));
    return expect(p, "]");
}

static bool comp(Parse *p, Node *n) {
    p->c = &n->u.comp;
    p->c->var = ARENA_ARRAY(p->arena, Var, MAX_VARS);
    p->args.n = 0;
    if (!vars(p)) return false;
    int kind = one_of(p, KIND_TEXT, KIND_COUNT);
    if (kind < 0) return false;
    p->c->kind = (Kind)kind;
    return (p->c->expr = expr(p)) != NULL;
}

/* One number for all elements, or [ all of them ]; the type comes after it. */
static bool table(Parse *p, double **value, int64_t *count) {
    VEC(double) v = {0};
    double      x;
    bool        list = accept(p, "[");
    do {
        if (!number(p, &x)) return false;
        if (++p->consts > CONSTS) return fail(p, "more than 2^24 numbers in tables");
        vec_push(p->arena, &v, x);
    } while (list && accept(p, ","));
    *value = v.at;
    *count = list ? v.n : -1;
    return !list || expect(p, "]");
}

static bool fill_table(Parse *p, Node *n, double *value, int64_t count) {
    int64_t want = type_count(&n->type);
    if (count < 0) {
        if (want > CONSTS || (p->consts += want) > CONSTS) return fail(p, "more than 2^24 numbers in tables");
        double *all = ARENA_ARRAY(p->arena, double, want);
        for (int64_t i = 0; i < want; i++) all[i] = value[0];
        value = all;
    } else if (want != count) {
        return fail(p, "the count of numbers is not that of the type");
    }
    n->u.konst.value = value;
    return true;
}

static bool site(Parse *p, uint32_t *v) {
    char *stop;
    if (!expect(p, "0x")) return false;
    errno = 0;
    unsigned long s = isxdigit((unsigned char)*p->at) ? strtoul(p->at, &stop, 16) : (stop = (char *)p->at, 0);
    if (stop == p->at || s > UINT32_MAX || errno) return fail(p, "expected a 32-bit number in hexadecimal");
    p->at = stop;
    *v = (uint32_t)s;
    return true;
}

static bool operands(Parse *p, Node *n) {
    p->args.n = 0;
    for (int i = 0; i < OPS[n->op].args; i++) {
        if (i && !expect(p, ",")) return false;
        Node *a = node_ref(p);
        if (!a) return false;
        vec_push(p->arena, &p->args, a);
    }
    n->narg = p->args.n;
    n->arg = p->args.at;
    return true;
}

static bool node(Parse *p);

/* carry(%a, %b): adds to p->args; *n counts them. */
static bool operand_list(Parse *p, const char *what, int *n) {
    if (!keyword(p, what)) return true;
    if (!expect(p, "(")) return false;
    do {
        Node *a = node_ref(p);
        if (!a) return false;
        vec_push(p->arena, &p->args, a);
        ++*n;
    } while (accept(p, ","));
    return expect(p, ")");
}

/* A line `carry %next` or `stack %value`. */
static bool body_output(Parse *p, bool stack) {
    Node *value = node_ref(p);
    if (!value) return false;
    int k = p->g->outs.n;
    if (k >= NODES) return fail(p, "more than 100000 results");
    if (!stack && k && !strcmp(p->g->outs.at[k - 1].name, "stack")) return fail(p, "a carry after a stack");
    graph_output(p->g, OUT_VALUE, stack ? "stack" : "carry", value, NULL);
    return true;
}

/* { nodes, carry and stack lines }: a graph of its own, with its own names. */
static bool body(Parse *p, Scan *s) {
    Parse outer = *p;
    p->g = graph_new(p->arena, "body");
    for (int i = 1; i < outer.g->bounds.n; i++) vec_push(p->arena, &p->g->bounds, outer.g->bounds.at[i]);
    p->table = NULL;
    p->named = p->slots = 0;
    p->args.at = NULL;
    p->args.n = p->args.cap = 0;
    bool ok = expect(p, "{");
    while (ok && !accept(p, "}"))
        ok = peek(p) == '%' ? node(p)
           : keyword(p, "carry") ? body_output(p, false)
           : keyword(p, "stack") ? body_output(p, true) : fail(p, "expected '%', 'carry', 'stack' or '}'");
    int carries = 0;
    for (int i = 0; i < p->g->outs.n; i++) {
        carries += !strcmp(p->g->outs.at[i].name, "carry");
        p->g->outs.at[i].name = arena_printf(p->arena, "%d", i);
    }
    s->body = p->g;
    if (ok && carries != s->ncarry) ok = fail(p, "the body does not have one 'carry' per carry");
    p->g = outer.g;
    p->table = outer.table;
    p->named = outer.named;
    p->slots = outer.slots;
    p->args.at = outer.args.at;
    p->args.n = outer.args.n;
    p->args.cap = outer.args.cap;
    return ok;
}

/* a<4 by 16 of T: each step is 16 of the bound T */
static bool part(Parse *p, Scan *s) {
    Extent of;
    if (!keyword(p, "by")) return true;
    if (!whole(p, NUMBER, &s->part.size)) return false;
    if (!keyword(p, "of") || !extent(p, &of) || !of.bound) return fail(p, "expected 'of' and a bound");
    s->part.bound = of.bound;
    return true;
}

/* t<25 reverse carry(..) over(..) use(..) checkpoint 5 { .. } */
static bool scan(Parse *p, Node *n) {
    Scan   *s = &n->u.scan;
    int64_t k = 0;
    if (p->scans == SCANS) return fail(p, "scans nested too deep");
    const char *w = (skip(p), word(p, false));
    if (!w || isdigit((unsigned char)w[0])) return fail(p, "expected the name of the step");
    s->var = w;
    if (!expect(p, "<") || !extent(p, &s->trip) || !part(p, s)) return false;
    s->reverse = keyword(p, "reverse");
    p->args.at = NULL;
    p->args.n = p->args.cap = 0;
    if (!operand_list(p, "carry", &s->ncarry) || !operand_list(p, "over", &s->nover) ||
        !operand_list(p, "use", &s->nuse))
        return false;
    if (keyword(p, "checkpoint") && !whole(p, NUMBER, &k)) return false;
    s->checkpoint = (int)k;
    n->narg = p->args.n;
    n->arg = p->args.at;
    p->scans++;
    bool ok = body(p, s);
    p->scans--;
    return ok;
}

/* What stands between the operation and ':', except for const. */
static bool attributes(Parse *p, Node *n) {
    int     k = 0;
    int64_t count;
    switch (n->op) {
    case OP_COMP: return comp(p, n);
    case OP_RNG: return site(p, &n->u.rng.site);
    case OP_INPUT:
        k = one_of(p, INPUT_TEXT, 2);
        n->u.input.kind = (InputKind)k;
        if (k < 0 || !(n->u.input.key = string(p))) return false;
        return k != IN_DATA || !accept(p, "<") || whole(p, INT32_MAX, &n->u.input.below);
    case OP_PARAM: return (n->u.param.key = string(p)) != NULL;
    case OP_STATE:
        k = one_of(p, STATE_TEXT, 3);
        n->u.state.kind = (StateKind)k;
        return k >= 0 && (n->u.state.key = string(p)) && number(p, &n->u.state.init);
    case OP_ARG:
        if (keyword(p, "step")) return n->u.arg.index = ARG_STEP, true;
        if (!whole(p, NODES, &count)) return false;
        n->u.arg.index = (int)count;
        return true;
    case OP_RESULT:
        if (!operands(p, n) || !expect(p, ",") || !whole(p, NODES, &count)) return false;
        n->u.result.index = (int)count;
        return true;
    case OP_SCAN: return scan(p, n);
    default: return operands(p, n);
    }
}

static const Source *source(Parse *p, const char *name) {
    for (int i = 0; i < p->sources.n; i++)
        if (!strcmp(p->sources.at[i]->name, name)) return p->sources.at[i];
    Source *s = ARENA_NEW(p->arena, Source);
    s->name = s->path = name;
    vec_push(p->arena, &p->sources, s);
    return s;
}

/* "# Net.c1 mnist.net:12" after a node: its name and place. The last word is a place if it is FILE:LINE. */
static void origin(Parse *p) {
    Loc none = {0};
    graph_at(p->g, NULL, none);
    blanks(p);
    if (p->at == p->end || *p->at != '#') return;
    const char *s = p->at + 1, *e = s;
    while (e < p->end && *e != '\n') e++;
    p->at = e;
    while (s < e && isspace((unsigned char)*s)) s++;
    while (e > s && isspace((unsigned char)e[-1])) e--;
    const char *w = e, *colon;
    while (w > s && !isspace((unsigned char)w[-1])) w--;
    for (colon = e; colon > w && isdigit((unsigned char)colon[-1]);) colon--;
    Loc loc = none;
    if (colon < e && e - colon < 9 && colon - 1 > w && colon[-1] == ':') {
        const char *file = arena_strndup(p->arena, w, (size_t)(colon - 1 - w));
        loc = (Loc){source(p, file), (int)strtol(colon, NULL, 10), 1, 1};
        for (e = w; e > s && isspace((unsigned char)e[-1]);) e--;
    }
    graph_at(p->g, e > s ? arena_strndup(p->arena, s, (size_t)(e - s)) : NULL, loc);
}

static Node *make(Parse *p, Node *n, const char *start) {
    const char *why;
    Type        given = n->type;
    Node       *made;
    if (n->op == OP_COMP) {
        Comp *c = &n->u.comp;
        if (given.rank != c->nout) {
            fail_at(p, start, "the type does not have one axis per out%s", "");
            return NULL;
        }
        for (int i = 0; i < c->nout; i++) c->var[i].ext = given.dim[i];
        made = graph_try_comp(p->g, c, p->args.n, p->args.at, &why);
    } else {
        made = graph_try(p->g, n, &why);
    }
    if (made && !type_equal(&made->type, &given)) {
        made = NULL;
        why = "the type is not that of the operation";
    }
    if (!made) fail_at(p, start, "%s", why);
    return made;
}

/* %name = operation ... : type  # origin */
static bool node(Parse *p) {
    static const char *const WORDS[OP_COUNT] = {
#define OP(id, text, args, math) [OP_##id] = text,
#include "ir/ops.def"
#undef OP
    };
    const char *start = p->at, *name = node_word(p);
    double     *value = NULL;
    int64_t     count = 0;
    if (!name || !expect(p, "=")) return false;
    if (p->g->nodes.n >= NODES) return fail(p, "more than 100000 nodes");
    if (p->slots && find(p, name)->name) return fail_at(p, start, "%%%s is defined twice", name);
    int op = one_of(p, WORDS, OP_COUNT);
    if (op < 0) return false;
    Node n = {.op = (OpId)op};
    if (!(n.op == OP_CONST ? table(p, &value, &count) : attributes(p, &n))) return false;
    if (n.op != OP_SCAN && (!expect(p, ":") || !type(p, &n.type))) return false;
    if (n.op == OP_CONST && !fill_table(p, &n, value, count)) return false;
    origin(p);
    Node *made = make(p, &n, start);
    if (made) define(p, name, made);
    return made != NULL;
}

static bool output(Parse *p) {
    const char *name = name_or_string(p);
    Node       *value;
    if (!name || !expect(p, "=") || !(value = node_ref(p))) return false;
    graph_output(p->g, OUT_VALUE, name, value, NULL);
    return true;
}

/* set [name:] %target = %value */
static bool update(Parse *p) {
    const char *name = NULL, *start = (skip(p), p->at);
    Node       *value, *target;
    if (peek(p) != '%' && (!(name = name_or_string(p)) || !expect(p, ":"))) return false;
    if (!(target = node_ref(p)) || !expect(p, "=") || !(value = node_ref(p))) return false;
    if (target->op != OP_PARAM && target->op != OP_STATE)
        return fail_at(p, start, "only a parameter or a state is set%s", "");
    if (!type_equal(&value->type, &target->type)) return fail_at(p, start, "the two types differ%s", "");
    graph_output(p->g, target->op == OP_PARAM ? OUT_PARAM : OUT_STATE, name ? name : leaf_key(target), value, target);
    return true;
}

/* graph NAME(bound<=size, ...) */
static bool header(Parse *p) {
    if (!keyword(p, "graph")) return fail(p, "expected 'graph'");
    const char *name = name_or_string(p);
    if (!name || !expect(p, "(")) return false;
    p->g = graph_new(p->arena, name);
    while (!accept(p, ")")) {
        int64_t     size;
        if (p->g->bounds.n > 1 && !expect(p, ",")) return false;
        const char *start = (skip(p), p->at), *w = word(p, false);
        if (!w || isdigit((unsigned char)w[0])) return fail(p, "expected the name of a bound");
        if (find_bound(p, w)) return fail_at(p, start, "two bounds are called '%s'", w);
        if (p->g->bounds.n > MAX_BOUNDS) return fail(p, "more than 7 bounds");
        if (!expect(p, "<=") || !whole(p, MAX_ELEMENTS, &size)) return false;
        graph_bound(p->g, w, size);
    }
    return expect(p, "{");
}

Graph *graph_parse(Arena *a, Diag *d, const Source *src) {
    Parse p = {.arena = a, .diag = d, .src = src, .at = src->text, .end = src->text + src->size};
    if (memchr(src->text, 0, src->size)) {
        p.at = memchr(src->text, 0, src->size);
        fail(&p, "a NUL byte in the text");
        return NULL;
    }
    if (!header(&p)) return NULL;
    while (!accept(&p, "}")) {
        bool ok = peek(&p) == '%' ? node(&p)
                : keyword(&p, "out") ? output(&p)
                : keyword(&p, "set") ? update(&p) : fail(&p, "expected '%', 'out', 'set' or '}'");
        if (!ok) return NULL;
    }
    if (peek(&p)) {
        fail(&p, "text after the end of the graph");
        return NULL;
    }
    graph_at(p.g, NULL, (Loc){0});
    return p.g;
}
