/* The reference: runs a graph node by node in double precision, in plain index order. It is what every
 * pass and every compiled kernel is compared with, so it knows nothing about speed beyond this: the
 * expression of a comp becomes a list of instructions once, and a point of the loop allocates nothing. */
#include <math.h>
#include <string.h>

#include "ir/ir_impl.h"
#include "ir/points.h"

typedef struct {
    const Graph     *g;
    const InterpEnv *env;
    Arena           *arena;                 /* dies with the run */
    int64_t          bound[MAX_BOUNDS + 1];
    double         **value;                 /* of every node, by id; 0 beyond a bound */
    double        ***results;               /* of every scan, by id */
    const double   **args;                  /* a body: the numbers of its arguments */
    double           step;                  /* and of its step */
} Run;

/* ---- points of a shape -------------------------------------------------------------------------------- */

static int64_t limit_of(const Run *r, Extent e) { return e.bound ? r->bound[e.bound] : e.size; }

static void strides_of(const Type *t, int64_t *stride) {
    int64_t s = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        stride[i] = s;
        s *= t->dim[i].size;
    }
}

/* Runs over the elements of a value that lie below the bounds. */
typedef struct {
    int     rank;
    int64_t at[MAX_RANK], limit[MAX_RANK], stride[MAX_RANK];
} Walk;

static bool walk_first(Walk *w, const Run *r, const Type *t) {
    w->rank = t->rank;
    strides_of(t, w->stride);
    for (int i = 0; i < t->rank; i++) w->limit[i] = limit_of(r, t->dim[i]);
    return first_point(w->rank, w->at, w->limit);
}

static bool walk_next(Walk *w) { return next_point(w->rank, w->at, w->limit); }

static int64_t walk_offset(const Walk *w) {
    int64_t e = 0;
    for (int i = 0; i < w->rank; i++) e += w->at[i] * w->stride[i];
    return e;
}

/* ---- expressions as instructions -------------------------------------------------------------------------- */

typedef struct {
    int     var;
    int64_t coef;
} Term;

/* One subscript of a read that cannot be folded into one address. */
typedef struct {
    Affine  aff;
    int     ind;                            /* the instruction that gives the indirect part, -1: none */
    int64_t limit, stride;
} Index;

/* Instruction i writes slot i. A read of plain subscripts is data[c + sum of coef * variable]. */
typedef struct {
    ScalarOp      op;
    DType         dtype;
    int           arg[3];
    const Expr   *expr;
    const double *data;
    int64_t       c;
    int           nterm, nindex;
    Term         *term;
    Index        *index;                    /* guarded or indirect reads: checked one by one */
    bool          guarded;
} Inst;

typedef struct {
    Run         *run;
    const Node  *n;
    VEC(Inst)    inst;
    double      *slot;
    int64_t      var[MAX_VARS], limit[MAX_VARS];
} Program;

static int compile(Program *p, const Expr *e);

static void compile_index(Program *p, Inst *in, const Expr *e, const Type *t, const int64_t *stride) {
    in->nindex = e->nsub;
    in->index = ARENA_ARRAY(p->run->arena, Index, e->nsub);
    for (int i = 0; i < e->nsub; i++) {
        const Sub *s = &e->sub[i];
        in->index[i] = (Index){s->aff, s->ind ? compile(p, s->ind) : -1, limit_of(p->run, t->dim[i]), stride[i]};
    }
}

static void compile_address(Program *p, Inst *in, const Expr *e, const int64_t *stride) {
    int64_t coef[MAX_VARS] = {0};
    for (int i = 0; i < e->nsub; i++) {
        const Affine *f = &e->sub[i].aff;
        in->c += f->c * stride[i];
        for (int k = 0; k < f->n; k++) coef[f->term[k].var] += f->term[k].coef * stride[i];
    }
    in->term = ARENA_ARRAY(p->run->arena, Term, MAX_VARS);
    for (int v = 0; v < MAX_VARS; v++)
        if (coef[v]) in->term[in->nterm++] = (Term){v, coef[v]};
}

static void compile_read(Program *p, Inst *in, const Expr *e) {
    const Node *arg = p->n->arg[e->operand];
    int64_t     stride[MAX_RANK];
    bool        plain = !e->guarded;
    for (int i = 0; i < e->nsub; i++) plain &= !e->sub[i].ind;
    strides_of(&arg->type, stride);
    in->data = p->run->value[arg->id];
    in->guarded = e->guarded;
    if (plain)
        compile_address(p, in, e, stride);
    else
        compile_index(p, in, e, &arg->type, stride);
}

/* The instruction of `e`, made once for equal expressions. */
static int compile(Program *p, const Expr *e) {
    Inst in = {.op = e->op, .dtype = e->dtype, .expr = e};
    bool leaf = SCALARS[e->op].args == 0;
    for (int i = 0; i < SCALARS[e->op].args; i++) in.arg[i] = compile(p, e->arg[i]);
    for (int i = 0; i < p->inst.n; i++) {
        const Inst *old = &p->inst.at[i];
        if (old->op != in.op || old->dtype != in.dtype || memcmp(old->arg, in.arg, sizeof in.arg)) continue;
        if (!leaf || expr_equal(old->expr, e)) return i;
    }
    if (e->op == SC_READ) compile_read(p, &in, e);
    vec_push(p->run->arena, &p->inst, in);
    return p->inst.n - 1;
}

static double read_checked(const Program *p, const Inst *in) {
    int64_t e = 0;
    for (int i = 0; i < in->nindex; i++) {
        const Index *x = &in->index[i];
        int64_t      v = affine_eval(&x->aff, p->var);
        if (x->ind >= 0) v += (int64_t)p->slot[x->ind];
        if (v < 0 || v >= x->limit) {
            if (x->ind < 0 && in->guarded) return 0;
            ICE("an indirect subscript of %lld on an axis of %lld", (long long)v, (long long)x->limit);
        }
        e += v * x->stride;
    }
    return in->data[e];
}

static double read_plain(const Program *p, const Inst *in) {
    int64_t e = in->c;
    for (int i = 0; i < in->nterm; i++) e += in->term[i].coef * p->var[in->term[i].var];
    return in->data[e];
}

/* The value of the whole expression at the point p->var: that of the last instruction. */
static double evaluate(Program *p) {
    double *s = p->slot;
    for (int i = 0; i < p->inst.n; i++) {
        const Inst *in = &p->inst.at[i];
        switch (in->op) {
        case SC_CONST: s[i] = in->expr->value; break;
        case SC_IDX: s[i] = (double)affine_eval(&in->expr->aff, p->var); break;
        case SC_BOUND: s[i] = (double)p->run->bound[in->expr->bound]; break;
        case SC_READ: s[i] = in->index ? read_checked(p, in) : read_plain(p, in); break;
        default: s[i] = scalar_eval(in->op, in->dtype, s[in->arg[0]], s[in->arg[1]], s[in->arg[2]]);
        }
    }
    return s[p->inst.n - 1];
}

/* ---- comp ---------------------------------------------------------------------------------------------- */

/* What a reduction has found so far. */
typedef struct {
    double  value;
    int64_t where;                          /* argmax, argmin: the point's number */
    bool    any;                            /* a point was seen */
} Found;

/* A NaN counts as the worst value, so that it wins over nothing, whatever the order of the points. */
static void extreme(Found *f, double x, double worst, int64_t where) {
    if (isnan(x)) x = worst;
    if (f->any && !(worst < 0 ? x > f->value : x < f->value)) return;
    f->value = x;
    f->where = where;
}

static void combine(Kind kind, Found *f, double x, int64_t where) {
    switch (kind) {
    case KIND_MAP: f->value = x; break;
    case KIND_SUM: f->value += x; break;
    case KIND_PROD: f->value *= x; break;
    case KIND_ALL: f->value = f->value != 0 && x != 0; break;
    case KIND_ANY: f->value = f->value != 0 || x != 0; break;
    case KIND_MAX:
    case KIND_ARGMAX: extreme(f, x, -INFINITY, where); break;
    case KIND_MIN:
    case KIND_ARGMIN: extreme(f, x, INFINITY, where); break;
    case KIND_COUNT: break;
    }
    f->any = true;
}

/* The reduction at the outs in p->var. `where` counts in C order over the reds at their full sizes. */
static double reduce(Program *p, const Comp *c) {
    Found    f = {.value = c->kind == KIND_PROD || c->kind == KIND_ALL};
    int64_t *red = p->var + c->nout;
    if (!first_point(c->nred, red, p->limit + c->nout)) return f.value;
    do {
        int64_t where = 0;
        if (!derive_point(c, p->var, p->limit)) continue;
        for (int i = 0; i < c->nred; i++) where = where * c->var[c->nout + i].ext.size + red[i];
        combine(c->kind, &f, evaluate(p), where);
    } while (next_point(c->nred, red, p->limit + c->nout));
    return c->kind == KIND_ARGMAX || c->kind == KIND_ARGMIN ? (double)f.where : f.value;
}

static void interp_COMP(Run *r, const Node *n, double *y) {
    const Comp *c = &n->u.comp;
    Program     p = {.run = r, .n = n};
    int64_t     stride[MAX_RANK];
    compile(&p, c->expr);
    p.slot = ARENA_ARRAY(r->arena, double, p.inst.n);
    for (int i = 0; i < c->nout + c->nred + c->nder; i++) p.limit[i] = limit_of(r, c->var[i].ext);
    strides_of(&n->type, stride);
    if (!first_point(c->nout, p.var, p.limit)) return;
    do {
        int64_t e = 0;
        for (int i = 0; i < c->nout; i++) e += p.var[i] * stride[i];
        y[e] = reduce(&p, c);
    } while (next_point(c->nout, p.var, p.limit));
}

/* ---- the other operations ---------------------------------------------------------------------------------- */

static void fill(Run *r, const Node *n, double *y, const double *from, double otherwise) {
    Walk w;
    if (!walk_first(&w, r, &n->type)) return;
    do {
        int64_t e = walk_offset(&w);
        y[e] = from ? from[e] : otherwise;
    } while (walk_next(&w));
}

static void interp_CONST(Run *r, const Node *n, double *y) { fill(r, n, y, n->u.konst.value, 0); }

static const double *leaf(Run *r, const Node *n) { return r->env->leaf ? r->env->leaf(r->env->cx, n) : NULL; }

static void interp_INPUT(Run *r, const Node *n, double *y) { fill(r, n, y, leaf(r, n), 0); }
static void interp_PARAM(Run *r, const Node *n, double *y) { fill(r, n, y, leaf(r, n), 0); }
static void interp_STATE(Run *r, const Node *n, double *y) { fill(r, n, y, leaf(r, n), n->u.state.init); }

static void interp_RNG(Run *r, const Node *n, double *y) {
    Walk w;
    if (!walk_first(&w, r, &n->type)) return;
    do {
        int64_t e = walk_offset(&w);
        y[e] = rng_uniform(r->env->seed, n->u.rng.site, r->env->step, e);
    } while (walk_next(&w));
}

static int64_t row(double index, int64_t rows) {
    if (!(index >= 0 && index < (double)rows)) ICE("row %g of a value of %lld rows", index, (long long)rows);
    return (int64_t)index;
}

/* Both walk over the index tensor; a row is everything after the first axis of the table. */
static void interp_GATHER(Run *r, const Node *n, double *y) {
    const Node   *table = n->arg[0], *index = n->arg[1];
    const double *from = r->value[table->id];
    int64_t       rows = table->type.dim[0].size, width = type_count(&table->type) / rows;
    Walk          w;
    if (!walk_first(&w, r, &index->type)) return;
    do {
        int64_t e = walk_offset(&w);
        memcpy(y + e * width, from + row(r->value[index->id][e], rows) * width, sizeof *y * (size_t)width);
    } while (walk_next(&w));
}

static void interp_SCATTER(Run *r, const Node *n, double *y) {
    const Node *grad = n->arg[0], *index = n->arg[1];
    int64_t     rows = n->type.dim[0].size, width = type_count(&n->type) / rows;
    Walk        w;
    if (!walk_first(&w, r, &index->type)) return;
    do {
        int64_t       e = walk_offset(&w);
        const double *from = r->value[grad->id] + e * width;
        double       *to = y + row(r->value[index->id][e], rows) * width;
        for (int64_t i = 0; i < width; i++) to[i] += from[i];
    } while (walk_next(&w));
}

static void copy(Run *r, const Node *n, double *y) {
    memcpy(y, r->value[n->arg[0]->id], sizeof *y * (size_t)type_count(&n->type));
}

static void interp_RESHAPE(Run *r, const Node *n, double *y) { copy(r, n, y); }
static void interp_STOP(Run *r, const Node *n, double *y) { copy(r, n, y); }

static void interp_ARG(Run *r, const Node *n, double *y) {
    int k = n->u.arg.index;
    fill(r, n, y, k == ARG_STEP ? &r->step : r->args[k], 0);
}

static void interp_RESULT(Run *r, const Node *n, double *y) {
    memcpy(y, r->results[n->arg[0]->id][n->u.result.index], sizeof *y * (size_t)type_count(&n->type));
}

static void run_nodes(Run *r);

/* One step: the arguments are set; gives what the body's outputs are. */
static void run_step(Run *r, const Node *n, double **result, int64_t t) {
    const Scan *s = &n->u.scan;
    Run         b = {.g = s->body, .env = r->env, .arena = arena_new(), .args = r->args, .step = (double)t};
    memcpy(b.bound, r->bound, sizeof b.bound);
    run_nodes(&b);
    for (int i = 0; i < s->body->outs.n; i++) {
        const Node *v = s->body->outs.at[i].value;
        int64_t     count = type_count(&v->type);
        memcpy(result[i] + (i < s->ncarry ? 0 : t * count), b.value[v->id], sizeof(double) * (size_t)count);
    }
    arena_free(b.arena);
}

static int64_t steps_of(const Run *r, const Scan *s) {
    if (!s->part.bound) return limit_of(r, s->trip);
    return (r->bound[s->part.bound] + s->part.size - 1) / s->part.size;
}

/* What steps that are not made would stack: numbers that show if somebody reads them. */
static void poison(const Scan *s, double *stack, const Type *t, int64_t steps) {
    int64_t count = type_count(t), slice = count / s->trip.size;
    for (int64_t i = steps * slice; t->dtype == DT_F32 && i < count; i++) stack[i] = NAN;
}

static void interp_SCAN(Run *r, const Node *n, double *y) {
    const Scan    *s = &n->u.scan;
    const double **outside = r->args, **args = ARENA_ARRAY(r->arena, const double *, n->narg);
    double       **result = ARENA_ARRAY(r->arena, double *, scan_results(n));
    int64_t        steps = steps_of(r, s);
    (void)y;
    for (int i = 0; i < scan_results(n); i++) {
        Type t = scan_result_type(n, i);
        result[i] = ARENA_ARRAY(r->arena, double, type_count(&t));
        if (i < s->ncarry) memcpy(result[i], r->value[n->arg[i]->id], sizeof(double) * (size_t)type_count(&t));
        else if (s->part.bound) poison(s, result[i], &t, steps);
    }
    r->args = args;
    for (int64_t k = 0; k < steps; k++) {
        int64_t t = s->reverse ? steps - 1 - k : k;
        for (int i = 0; i < n->narg; i++) {
            bool over = i >= s->ncarry && i < s->ncarry + s->nover;
            args[i] = i < s->ncarry ? result[i] : r->value[n->arg[i]->id];
            if (over) args[i] += t * (type_count(&n->arg[i]->type) / s->trip.size);
        }
        run_step(r, n, result, t);
    }
    r->args = outside;
    r->results[n->id] = result;
}

static void (*const INTERP[OP_COUNT])(Run *, const Node *, double *) = {
#define OP(id, text, args, math) [OP_##id] = interp_##id,
#include "ir/ops.def"
#undef OP
};

static void run_nodes(Run *r) {
    const Graph *g = r->g;
    r->value = ARENA_ARRAY(r->arena, double *, g->nodes.n);
    r->results = ARENA_ARRAY(r->arena, double **, g->nodes.n);
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.at[i];
        r->value[n->id] = ARENA_ARRAY(r->arena, double, type_count(&n->type));
        INTERP[n->op](r, n, r->value[n->id]);
    }
}

double **interp_run(Arena *a, const Graph *g, const InterpEnv *env) {
    Run r = {.g = g, .env = env, .arena = arena_new()};
    for (int i = 1; i < g->bounds.n; i++) {
        int64_t n = env->bound[i], size = g->bounds.at[i].size;
        if (n < 0 || n > size) ICE("bound %s is %lld, over %lld", g->bounds.at[i].name, (long long)n, (long long)size);
        r.bound[i] = n ? n : size;
    }
    run_nodes(&r);
    double **out = ARENA_ARRAY(a, double *, g->outs.n);
    for (int i = 0; i < g->outs.n; i++) {
        const Node *n = g->outs.at[i].value;
        out[i] = arena_copy(a, r.value[n->id], sizeof(double) * (size_t)type_count(&n->type));
    }
    arena_free(r.arena);
    return out;
}
