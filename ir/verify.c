/* The rules that hold between any two passes; docs/ir.md lists them under the same numbers. What only
 * concerns types (V2) is in shape.c, where the builders use it too. */
#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "ir/ir_impl.h"

/* Wide enough for any coefficient times any size. */
__extension__ typedef __int128 Wide;

typedef struct {
    Wide lo, hi;
} Range;

typedef struct {
    Graph      *g;
    const Node *n;              /* the node being checked; NULL: none, or an output */
    bool        sound;          /* its type is right: it may be printed in full */
    bool        body;           /* g is the body of a scan */
    const char *why;
} Verify;

/* Always false, for `return broken(...)`; the rule's number first, then the node. */
static bool broken(Verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool broken(Verify *v, const char *fmt, ...) {
    char    text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    Arena *a = v->g->arena;
    v->why = !v->n ? arena_strdup(a, text)
           : v->sound ? arena_printf(a, "%s, in: %s", text, node_text(v->g, v->n, a))
           : arena_printf(a, "%s, in: %%%d = %s # %s", text, v->n->id, OPS[v->n->op].text,
                          v->n->name ? v->n->name : "");
    return false;
}

/* ---- V1: order ----------------------------------------------------------------------------------------- */

static bool in_graph(const Graph *g, const Node *n, int before) {
    return n && n->id >= 0 && n->id < before && g->nodes.at[n->id] == n;
}

/* Nothing else may be looked at, printed even, before this holds for the whole graph. */
static bool check_order(Verify *v) {
    Graph *g = v->g;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.at[i];
        if (n->id != i) return broken(v, "V1: node number %d stands at place %d", n->id, i);
        if ((unsigned)n->op >= OP_COUNT) return broken(v, "V1: %%%d has no operation", i);
        if (n->mark) return broken(v, "V1: %%%d (%s) still carries the mark of a pass", i, OPS[n->op].text);
        for (int k = 0; k < n->narg; k++)
            if (!in_graph(g, n->arg[k], i))
                return broken(v, "V1: operand %d of %%%d (%s) is not defined before it", k, i, OPS[n->op].text);
    }
    for (int i = 0; i < g->outs.n; i++) {
        const Output *o = &g->outs.at[i];
        if (!in_graph(g, o->value, g->nodes.n) || (o->target && !in_graph(g, o->target, g->nodes.n)))
            return broken(v, "V1: output %s is not in the graph", o->name);
    }
    return true;
}

/* ---- V2: types ----------------------------------------------------------------------------------------- */

static bool check_type(Verify *v) {
    Type        t;
    const char *why = shape_infer(v->g, v->n, &t);
    v->sound = false;
    if (why) return broken(v, "V2: %s", why);
    if (!type_equal(&t, &v->n->type)) return broken(v, "V2: the type is not the one that the operation gives");
    if (v->n->op == OP_ARG && !v->body) return broken(v, "V9: an argument outside a body");
    return v->sound = true;
}

/* ---- V3: affine forms and whole numbers -------------------------------------------------------------------- */

static bool check_form(Verify *v, const Affine *f) {
    for (int i = 0; i < f->n; i++) {
        if (f->term[i].coef == 0) return broken(v, "V3: an affine form has a term 0");
        if (i && f->term[i - 1].var >= f->term[i].var)
            return broken(v, "V3: the terms of an affine form are not sorted");
    }
    return true;
}

/* The values that a form takes while its variables run over their extents. */
static Range range_of(const Comp *c, const Affine *f) {
    Range r = {f->c, f->c};
    for (int i = 0; i < f->n; i++) {
        Wide top = (Wide)f->term[i].coef * (c->var[f->term[i].var].ext.size - 1);
        *(top < 0 ? &r.lo : &r.hi) += top;
    }
    return r;
}

static bool check_vars(Verify *v, const Comp *c) {
    for (int i = c->nout + c->nred; i < c->nout + c->nred + c->nder; i++) {
        Range r = range_of(c, &c->var[i].num);
        if (!check_form(v, &c->var[i].num)) return false;
        if (r.lo < INT64_MIN / 2 || r.hi > INT64_MAX / 2) return broken(v, "V3: a derived variable overflows 64 bits");
    }
    return true;
}

/* ---- V4, V5: reads stay inside -------------------------------------------------------------------------------- */

/* Below a bound for certain: 0 (a length is at least 1), or one variable that runs to this bound, plus
 * something that is never positive. */
static bool below_bound(const Comp *c, const Affine *f, int bound) {
    if (bound > 1 && affine_is_const(f) && f->c == 0) return true;
    for (int i = 0; i < f->n; i++) {
        int var = f->term[i].var;
        if (f->term[i].coef != 1 || c->var[var].ext.bound != bound) continue;
        Affine rest = affine_add(*f, affine_var(var), -1);
        if (range_of(c, &rest).hi <= 0) return true;
    }
    return false;
}

static bool check_sub(Verify *v, const Expr *e, int axis) {
    const Comp *c = &v->n->u.comp;
    const Sub  *s = &e->sub[axis];
    Extent      ext = v->n->arg[e->operand]->type.dim[axis];
    if (!check_form(v, &s->aff)) return false;
    Range r = range_of(c, &s->aff);
    if (r.lo < INT64_MIN / 2 || r.hi > INT64_MAX / 2) return broken(v, "V3: a subscript overflows 64 bits");
    if (s->ind) return ext.bound != 1 || broken(v, "V5: an indirect subscript on a bounded axis (%d)", axis);
    if (e->guarded) return true;
    if (r.lo < 0 || r.hi >= ext.size)
        return broken(v, "V4: subscript %d of operand %d runs from %lld to %lld on an axis of %lld", axis, e->operand,
                      (long long)r.lo, (long long)r.hi, (long long)ext.size);
    if (ext.bound && !below_bound(c, &s->aff, ext.bound))
        return broken(v, "V5: subscript %d of operand %d may pass the bound %s of its axis", axis, e->operand,
                      v->g->bounds.at[ext.bound].name);
    return true;
}

static bool check_number(Verify *v, DType d, double x) {
    static const double LEAST[DT_COUNT] = {[DT_I32] = INT32_MIN};
    static const double MOST[DT_COUNT] = {[DT_I32] = INT32_MAX, [DT_U8] = UINT8_MAX, [DT_PRED] = 1};
    if (d == DT_F32 || (x >= LEAST[d] && x <= MOST[d] && x == (double)(int64_t)x)) return true;
    return broken(v, "V3: %g is no number of type %s", x, dtype_text(d));
}

static bool check_expr(Verify *v, const Expr *e) {
    for (int i = 0; i < SCALARS[e->op].args; i++)
        if (!check_expr(v, e->arg[i])) return false;
    if (e->op == SC_IDX) {
        if (!check_form(v, &e->aff)) return false;
        Range r = range_of(&v->n->u.comp, &e->aff);
        if (r.lo < INT32_MIN || r.hi > INT32_MAX) return broken(v, "V3: an index value overflows i32");
    }
    if (e->op == SC_CONST && !check_number(v, e->dtype, e->value)) return false;
    for (int i = 0; i < e->nsub; i++)
        if ((e->sub[i].ind && !check_expr(v, e->sub[i].ind)) || !check_sub(v, e, i)) return false;
    return true;
}

/* ---- V6, V7: operands, leaves, outputs ------------------------------------------------------------------------- */

static void note_read(const Expr *e, void *cx) {
    bool *read = cx;
    if (e->op == SC_READ) read[e->operand] = true;
}

static bool check_operands(Verify *v) {
    Arena *scratch = arena_new();
    bool  *read = ARENA_ARRAY(scratch, bool, v->n->narg);
    int    unread = 0;
    expr_walk(v->n->u.comp.expr, note_read, read);
    while (unread < v->n->narg && read[unread]) unread++;
    arena_free(scratch);
    return unread == v->n->narg || broken(v, "V6: operand %d is not read", unread);
}

static bool bounded(const Type *t) {
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i].bound) return true;
    return false;
}

static bool check_leaf(Verify *v) {
    const Node *n = v->n;
    const char *key = leaf_key(n);
    if (n->op == OP_PARAM || (n->op == OP_STATE && n->u.state.kind != STATE_LANE))
        if (bounded(&n->type)) return broken(v, "V7: what is stored has no bounded axis");
    if (n->op == OP_GATHER && n->arg[0]->type.dim[0].bound)
        return broken(v, "V5: an indirect subscript on a bounded axis (0)");
    if (n->op == OP_SCATTER && n->type.dim[0].bound)
        return broken(v, "V5: an indirect subscript on a bounded axis (0)");
    for (int64_t i = 0; n->op == OP_CONST && i < type_count(&n->type); i++)
        if (!check_number(v, n->type.dtype, n->u.konst.value[i])) return false;
    for (int i = 0; key && i < n->id; i++) {
        const Node *other = v->g->nodes.at[i];
        if (other->op == n->op && !strcmp(leaf_key(other), key)) return broken(v, "V7: %%%d is the same leaf", i);
    }
    return true;
}

static bool check_outputs(Verify *v) {
    static const OpId TARGET[] = {[OUT_PARAM] = OP_PARAM, [OUT_STATE] = OP_STATE};
    Graph *g = v->g;
    v->n = NULL;
    for (int i = 0; i < g->outs.n; i++) {
        const Output *o = &g->outs.at[i];
        if ((o->kind == OUT_VALUE) != !o->target)
            return broken(v, "V8: output %s: only an update has a target", o->name);
        if (o->target && o->target->op != TARGET[o->kind])
            return broken(v, "V8: update %s sets a leaf of another kind", o->name);
        if (o->target && !type_equal(&o->value->type, &o->target->type))
            return broken(v, "V8: update %s has another type than its target", o->name);
        for (int k = 0; k < i; k++) {
            const Output *p = &g->outs.at[k];
            if (o->target ? o->target == p->target : !p->target && !strcmp(o->name, p->name))
                return broken(v, "V8: %s is set twice", o->name);
        }
    }
    return true;
}

static bool check_graph(Verify *v);

/* A body keeps the same rules; what it may hold and how it fits its operands is part of its scan's type. */
static bool check_body(Verify *v) {
    Verify b = {.g = v->n->u.scan.body, .body = true};
    if (check_graph(&b)) return true;
    return broken(v, "V9: in the body: %s", b.why);
}

static bool check_node(Verify *v) {
    if (!check_type(v) || !check_leaf(v)) return false;
    if (v->n->op == OP_SCAN) return check_body(v);
    if (v->n->op != OP_COMP) return true;
    return check_vars(v, &v->n->u.comp) && check_expr(v, v->n->u.comp.expr) && check_operands(v);
}

static bool check_graph(Verify *v) {
    bool ok = check_order(v);
    for (int i = 0; ok && i < v->g->nodes.n; i++) {
        v->n = v->g->nodes.at[i];
        ok = check_node(v);
    }
    return ok && check_outputs(v);
}

bool graph_verify(Graph *g, const char **why) {
    Verify v = {.g = g};
    bool   ok = check_graph(&v);
    *why = v.why;
    return ok;
}
