/* Types, and the type rule of every operation (rule V2 of docs/ir.md). */
#include <stdarg.h>
#include <string.h>

#include "ir/ir_impl.h"

const char *const DTYPE_TEXT[DT_COUNT] = {[DT_F32] = "f32", [DT_I32] = "i32", [DT_U8] = "u8", [DT_PRED] = "pred"};

const char *dtype_text(DType d) { return DTYPE_TEXT[d]; }
int         dtype_size(DType d) { return d == DT_F32 || d == DT_I32 ? 4 : 1; }

int64_t type_count(const Type *t) {
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(n, t->dim[i].size, &n)) return INT64_MAX;
    return n;
}

static bool extent_equal(Extent a, Extent b) { return a.size == b.size && a.bound == b.bound; }

static bool dims_equal(int n, const Extent *a, const Extent *b) {
    for (int i = 0; i < n; i++)
        if (!extent_equal(a[i], b[i])) return false;
    return true;
}

bool type_equal(const Type *a, const Type *b) {
    return a->dtype == b->dtype && a->rank == b->rank && dims_equal(a->rank, a->dim, b->dim);
}

Type type_of(DType d, int rank, const Extent *dims) {
    Type t = {.dtype = d, .rank = rank};
    if (rank < 0 || rank > MAX_RANK) ICE("a type of rank %d", rank);
    if (rank) memcpy(t.dim, dims, sizeof *dims * (size_t)rank);
    return t;
}

/* ---- checks that several rules share -------------------------------------------------------------- */

static const char *say(Graph *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static const char *say(Graph *g, const char *fmt, ...) {
    char    text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return arena_strdup(g->arena, text);
}

static const char *check_extent(Graph *g, Extent e) {
    if (e.size < 1) return say(g, "an extent of %lld", (long long)e.size);
    if (e.bound == 0) return NULL;
    if (e.bound < 0 || e.bound >= g->bounds.n) return say(g, "bound %d does not exist", e.bound);
    if (e.size != g->bounds.at[e.bound].size)
        return say(g, "an extent of %lld under bound %s of %lld", (long long)e.size, g->bounds.at[e.bound].name,
                   (long long)g->bounds.at[e.bound].size);
    return NULL;
}

static const char *check_type(Graph *g, const Type *t) {
    const char *why;
    if (t->rank < 0 || t->rank > MAX_RANK) return say(g, "rank %d is over %d", t->rank, MAX_RANK);
    for (int i = 0; i < t->rank; i++)
        if ((why = check_extent(g, t->dim[i]))) return why;
    if (type_count(t) > MAX_ELEMENTS) return say(g, "more than 2^40 elements");
    return NULL;
}

/* ---- comp ---------------------------------------------------------------------------------------- */

typedef struct {
    Graph      *g;
    const Node *n;
    int         nvar;
} CompCheck;

static const char *check_affine(const CompCheck *cx, const Affine *f, int nvar) {
    if (f->n < 0 || f->n > MAX_TERMS) return say(cx->g, "an affine form of %d terms", f->n);
    for (int i = 0; i < f->n; i++)
        if (f->term[i].var < 0 || f->term[i].var >= nvar)
            return say(cx->g, "variable %d is not defined where it is used", f->term[i].var);
    return NULL;
}

static const char *check_expr(const CompCheck *cx, const Expr *e);

static const char *check_read(const CompCheck *cx, const Expr *e) {
    const char *why;
    if (e->operand < 0 || e->operand >= cx->n->narg)
        return say(cx->g, "a read of operand %d, which is not there", e->operand);
    const Type *t = &cx->n->arg[e->operand]->type;
    if (e->nsub != t->rank) return say(cx->g, "%d subscripts on a value of rank %d", e->nsub, t->rank);
    if (e->dtype != t->dtype) return say(cx->g, "a read of %s as %s", dtype_text(t->dtype), dtype_text(e->dtype));
    for (int i = 0; i < e->nsub; i++) {
        const Expr *ind = e->sub[i].ind;
        if ((why = check_affine(cx, &e->sub[i].aff, cx->nvar))) return why;
        if (ind && (why = check_expr(cx, ind))) return why;
        if (ind && ind->dtype != DT_I32)
            return say(cx->g, "an indirect subscript of type %s, not i32", dtype_text(ind->dtype));
    }
    return NULL;
}

static const char *check_expr(const CompCheck *cx, const Expr *e) {
    const char *why;
    DType       arg[3] = {DT_F32, DT_F32, DT_F32}, result = e->dtype;
    if (e->op == SC_READ) return check_read(cx, e);
    for (int i = 0; i < SCALARS[e->op].args; i++) {
        if ((why = check_expr(cx, e->arg[i]))) return why;
        arg[i] = e->arg[i]->dtype;
    }
    if (e->op == SC_IDX && (why = check_affine(cx, &e->aff, cx->nvar))) return why;
    if (e->op == SC_BOUND && (e->bound < 1 || e->bound >= cx->g->bounds.n))
        return say(cx->g, "bound %d does not exist", e->bound);
    if (!scalar_type(e->op, arg, &result))
        return say(cx->g, "%s does not take these types (%s ...)", SCALARS[e->op].text, dtype_text(arg[0]));
    if (result != e->dtype)
        return say(cx->g, "%s gives %s, not %s", SCALARS[e->op].text, dtype_text(result), dtype_text(e->dtype));
    return NULL;
}

static const char *check_vars(const CompCheck *cx, const Comp *c) {
    const char *why;
    for (int i = 0; i < cx->nvar; i++) {
        const Var *v = &c->var[i];
        bool       derived = i >= c->nout + c->nred;
        if ((why = check_extent(cx->g, v->ext))) return why;
        if (derived != (v->div != 0)) return say(cx->g, "variable %d: only a derived variable has a divisor", i);
        if (!derived) continue;
        if (v->div < 1) return say(cx->g, "variable %d is divided by %lld", i, (long long)v->div);
        if ((why = check_affine(cx, &v->num, i))) return why;
    }
    return NULL;
}

/* Which element types a way of reducing takes, and the type of its result. */
static const char *check_kind(const CompCheck *cx, const Comp *c, DType *d) {
    bool number = *d == DT_F32 || *d == DT_I32;
    switch (c->kind) {
    case KIND_MAP:
        if (c->nred || c->nder) return say(cx->g, "a map has no variables but its outs");
        return NULL;
    case KIND_ALL:
    case KIND_ANY:
        return *d == DT_PRED ? NULL : say(cx->g, "%s of %s", KIND_TEXT[c->kind], dtype_text(*d));
    default:
        if (!number) return say(cx->g, "%s of %s", KIND_TEXT[c->kind], dtype_text(*d));
        if (c->kind == KIND_ARGMAX || c->kind == KIND_ARGMIN) *d = DT_I32;
        return NULL;
    }
}

static const char *shape_COMP(Graph *g, const Node *n, Type *t) {
    const Comp *c = &n->u.comp;
    const char *why;
    if (c->nout < 0 || c->nred < 0 || c->nder < 0 || c->nout > MAX_RANK || c->nred > MAX_VARS || c->nder > MAX_VARS)
        return say(g, "%d outs, %d reds, %d derived variables", c->nout, c->nred, c->nder);
    CompCheck cx = {g, n, c->nout + c->nred + c->nder};
    if (cx.nvar > MAX_VARS) return say(g, "%d variables, more than %d", cx.nvar, MAX_VARS);
    if ((why = check_vars(&cx, c)) || (why = check_expr(&cx, c->expr))) return why;
    DType d = c->expr->dtype;
    if ((why = check_kind(&cx, c, &d))) return why;
    *t = (Type){.dtype = d, .rank = c->nout};
    for (int i = 0; i < c->nout; i++) t->dim[i] = c->var[i].ext;
    return NULL;
}

/* ---- the other operations ---------------------------------------------------------------------------- */

static const char *shape_leaf(const Node *n, Type *t) {
    *t = n->type;
    return NULL;
}

static const char *shape_CONST(Graph *g, const Node *n, Type *t) {
    if (!n->u.konst.value) return say(g, "no numbers");
    return shape_leaf(n, t);
}

static const char *shape_INPUT(Graph *g, const Node *n, Type *t) {
    if (n->u.input.kind == IN_SCALAR && (n->type.rank || n->type.dtype != DT_F32))
        return say(g, "a scalar input is f32[]");
    return shape_leaf(n, t);
}

static const char *shape_PARAM(Graph *g, const Node *n, Type *t) {
    if (n->type.dtype != DT_F32) return say(g, "a parameter of %s", dtype_text(n->type.dtype));
    return shape_leaf(n, t);
}

static const char *shape_STATE(Graph *g, const Node *n, Type *t) {
    (void)g;
    return shape_leaf(n, t);
}

static const char *shape_RNG(Graph *g, const Node *n, Type *t) {
    if (n->type.dtype != DT_F32) return say(g, "random numbers of %s", dtype_text(n->type.dtype));
    return shape_leaf(n, t);
}

static const char *shape_GATHER(Graph *g, const Node *n, Type *t) {
    const Type *table = &n->arg[0]->type, *index = &n->arg[1]->type;
    int         rest = table->rank - 1, rank = index->rank + rest;
    if (rest < 0) return say(g, "gather from a value of rank 0");
    if (index->dtype != DT_I32) return say(g, "an index of type %s, not i32", dtype_text(index->dtype));
    if (rank > MAX_RANK) return say(g, "rank %d is over %d", rank, MAX_RANK);
    *t = type_of(table->dtype, index->rank, index->dim);
    t->rank = rank;
    if (rest) memcpy(t->dim + index->rank, table->dim + 1, sizeof *t->dim * (size_t)rest);
    return NULL;
}

static const char *shape_SCATTER(Graph *g, const Node *n, Type *t) {
    const Type *grad = &n->arg[0]->type, *index = &n->arg[1]->type;
    int         rest = grad->rank - index->rank;
    if (index->dtype != DT_I32) return say(g, "an index of type %s, not i32", dtype_text(index->dtype));
    if (grad->dtype != DT_F32) return say(g, "a sum of %s", dtype_text(grad->dtype));
    if (rest < 0 || !dims_equal(index->rank, grad->dim, index->dim))
        return say(g, "the axes of the index do not come first");
    if (rest + 1 > MAX_RANK || n->type.rank < 1) return say(g, "rank %d", rest + 1);
    *t = type_of(DT_F32, 1, n->type.dim);
    t->rank = 1 + rest;
    if (rest) memcpy(t->dim + 1, grad->dim + index->rank, sizeof *t->dim * (size_t)rest);
    return NULL;
}

/* The size of the run of unbounded axes that starts at *i; *i moves to the bounded axis after it. */
static int64_t unbounded_run(const Type *t, int *i) {
    int64_t n = 1;
    while (*i < t->rank && !t->dim[*i].bound) n *= t->dim[(*i)++].size;
    return n;
}

/* The same count of numbers; and a bounded axis stays an axis, with the same number of elements on each
 * side of it, so that what lies beyond the bound before lies beyond it after. */
static const char *shape_RESHAPE(Graph *g, const Node *n, Type *t) {
    const Type *from = &n->arg[0]->type, *to = &n->type;
    for (int i = 0, j = 0;; i++, j++) {
        if (unbounded_run(from, &i) != unbounded_run(to, &j)) return say(g, "the counts of elements differ");
        if (i == from->rank && j == to->rank) break;
        if (i == from->rank || j == to->rank || !extent_equal(from->dim[i], to->dim[j]))
            return say(g, "a bounded axis is cut or joined");
    }
    *t = type_of(from->dtype, to->rank, to->dim);
    return NULL;
}

static const char *shape_STOP(Graph *g, const Node *n, Type *t) {
    (void)g;
    *t = n->arg[0]->type;
    return NULL;
}

static const char *shape_ARG(Graph *g, const Node *n, Type *t) {
    if (n->u.arg.index < ARG_STEP) return say(g, "an argument of number %d", n->u.arg.index);
    if (n->u.arg.index == ARG_STEP && (n->type.rank || n->type.dtype != DT_I32)) return say(g, "the step is i32[]");
    return shape_leaf(n, t);
}

/* ---- scans: V9 ------------------------------------------------------------------------------------------ */

Type loop_slice(const Type *t) { return type_of(t->dtype, t->rank - 1, t->dim + 1); }

/* What the body sees of an operand. */
static const char *check_argument(Graph *g, const Node *n, const Node *arg) {
    const Scan *s = &n->u.scan;
    int         k = arg->u.arg.index;
    if (k == ARG_STEP) return NULL;
    if (k >= n->narg) return say(g, "the body reads argument %d of %d", k, n->narg);
    Type want = n->arg[k]->type;
    if (k >= s->ncarry && k < s->ncarry + s->nover) want = loop_slice(&want);
    return type_equal(&want, &arg->type) ? NULL
                                         : say(g, "argument %d of the body has another type than its operand", k);
}

static const char *check_operands(Graph *g, const Node *n) {
    const Scan *s = &n->u.scan;
    if (s->ncarry < 0 || s->nover < 0 || s->nuse < 0 || s->ncarry + s->nover + s->nuse != n->narg)
        return say(g, "%d operands of a scan with %d, %d and %d", n->narg, s->ncarry, s->nover, s->nuse);
    for (int i = s->ncarry; i < s->ncarry + s->nover; i++) {
        const Type *t = &n->arg[i]->type;
        if (!t->rank || !extent_equal(t->dim[0], s->trip))
            return say(g, "the first axis of sequence %d is not the trip", i);
    }
    return NULL;
}

static const char *check_results(Graph *g, const Node *n) {
    const Graph *b = n->u.scan.body;
    if (b->outs.n < n->u.scan.ncarry) return say(g, "a carry has no next value");
    for (int i = 0; i < b->outs.n; i++) {
        const Type *t = &b->outs.at[i].value->type;
        if (b->outs.at[i].kind != OUT_VALUE) return say(g, "an update in a body");
        if (i < n->u.scan.ncarry && !type_equal(t, &n->arg[i]->type)) return say(g, "carry %d changes its type", i);
        if (i >= n->u.scan.ncarry && t->rank == MAX_RANK) return say(g, "a stack of rank %d", t->rank + 1);
    }
    return NULL;
}

/* All parts are steps, and none is cut by a bound. */
static const char *check_part(Graph *g, const Scan *s) {
    if (s->part.bound < 0 || s->part.bound >= g->bounds.n)
        return say(g, "steps are parts of a bound that is not there");
    if (s->part.size < 1 || s->trip.bound || s->trip.size > INT64_MAX / s->part.size ||
        s->trip.size * s->part.size < g->bounds.at[s->part.bound].size)
        return say(g, "%lld steps of %lld do not make up the bound %s", (long long)s->trip.size,
                   (long long)s->part.size, g->bounds.at[s->part.bound].name);
    return NULL;
}

static const char *shape_SCAN(Graph *g, const Node *n, Type *t) {
    const Scan *s = &n->u.scan;
    const char *why;
    if (!s->body) return say(g, "a scan without a body");
    if (s->checkpoint < 0) return say(g, "a checkpoint every %d steps", s->checkpoint);
    if (s->part.bound && (why = check_part(g, s))) return why;
    if ((why = check_extent(g, s->trip)) || (why = check_operands(g, n))) return why;
    if (s->body->bounds.n > g->bounds.n) return say(g, "the body has a bound of its own");
    for (int i = 1; i < s->body->bounds.n; i++)
        if (s->body->bounds.at[i].size != g->bounds.at[i].size) return say(g, "bound %d differs in the body", i);
    for (int i = 0; i < s->body->nodes.n; i++) {
        const Node *a = s->body->nodes.at[i];
        if (a->op == OP_ARG && (why = check_argument(g, n, a))) return why;
        if (a->op < OP_ARG && a->op != OP_CONST) return say(g, "a body has no %s", OPS[a->op].text);
    }
    *t = type_of(DT_F32, 0, NULL);
    return check_results(g, n);
}

Type scan_result_type(const Node *scan, int index) {
    const Scan *s = &scan->u.scan;
    const Type *t = &s->body->outs.at[index].value->type;
    if (index < s->ncarry) return *t;
    Type r = type_of(t->dtype, 1, &s->trip);
    for (int i = 0; i < t->rank; i++) r.dim[r.rank++] = t->dim[i];
    return r;
}

static const char *shape_RESULT(Graph *g, const Node *n, Type *t) {
    if (n->arg[0]->op != OP_SCAN) return say(g, "a result of %s", OPS[n->arg[0]->op].text);
    if (n->u.result.index < 0 || n->u.result.index >= scan_results(n->arg[0]))
        return say(g, "result %d of a scan with %d", n->u.result.index, scan_results(n->arg[0]));
    *t = scan_result_type(n->arg[0], n->u.result.index);
    return NULL;
}

static const char *(*const SHAPE[OP_COUNT])(Graph *, const Node *, Type *) = {
#define OP(id, text, args, math) [OP_##id] = shape_##id,
#include "ir/ops.def"
#undef OP
};

/* Types that an operation takes from n->type are checked before the rule uses them, the result after it. */
const char *shape_infer(Graph *g, const Node *n, Type *t) {
    const char *why;
    int         args = OPS[n->op].args;
    if (args >= 0 && n->narg != args) return say(g, "%d operands instead of %d", n->narg, args);
    if (n->op != OP_COMP && (why = check_type(g, &n->type))) return why;
    for (int i = 0; i < n->narg && n->op != OP_RESULT; i++)
        if (n->arg[i]->op == OP_SCAN) return say(g, "a scan is read by its results alone");
    if ((why = SHAPE[n->op](g, n, t))) return why;
    return check_type(g, t);
}
