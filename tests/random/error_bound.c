#include "tests/random/error_bound.h"

#include <math.h>
#include <string.h>

#include "ir/points.h"

#define ROUNDING 0x1p-23            /* of one operation, twice what it is */
#define FUNCTION 0x1p-21            /* of exp, log and their like: 2 units in the last place, twice */
#define TINY     1e-36              /* what is this small may count as 0 */

typedef struct Run {
    const Graph     *g;
    const InterpEnv *env;
    Arena           *a;
    int64_t          bound[MAX_BOUNDS + 1];
    Bounded        **value;         /* by node id; of a scan: its results, one after the other */
    /* of a body */
    const struct Run *around;
    const Node       *scan;
    Bounded         **carry;        /* before the step */
    int64_t           step;
} Run;

/* A comp at one point. */
typedef struct {
    Run        *r;
    const Node *n;
    int64_t     var[MAX_VARS], limit[MAX_VARS];
} At;

static Bounded exact(double v) { return (Bounded){v, 0}; }

/* A number that is not finite bounds nothing. */
static Bounded number(double v, double e) { return (Bounded){v, isfinite(v) && e == e ? e : INFINITY}; }

static int64_t limit_of(const Run *r, Extent e) { return e.bound ? r->bound[e.bound] : e.size; }

/* The larger distance of f(x - e) and f(x + e) from f(x), for a function that only rises. */
static double spread(double low, double mid, double high) { return fmax(mid - low, high - mid); }

/* ---- scalar operations ------------------------------------------------------------------------------------ */

static Bounded quotient(Bounded x, Bounded y) {
    double v = x.value / y.value, least = fabs(y.value) - y.error;
    if (least <= 0) return (Bounded){v, INFINITY};
    return number(v, (x.error + fabs(v) * y.error) / least + ROUNDING * fabs(v));
}

static Bounded largest(Bounded x, Bounded y) {
    if (x.value - x.error > y.value + y.error) return x;
    if (y.value - y.error > x.value + x.error) return y;
    return number(fmax(x.value, y.value), fmax(x.error, y.error));
}

static Bounded power(Bounded x, Bounded y) {
    double v = scalar_eval(SC_POW, DT_F32, x.value, y.value, 0);
    if (x.error == 0 && y.error == 0) return number(v, FUNCTION * fabs(v));
    if (x.value <= x.error) return (Bounded){v, INFINITY};
    double l = log(x.value), off = -log1p(-x.error / x.value);
    off = fabs(y.value) * off + fabs(l) * y.error + off * y.error;
    return number(v, v * expm1(off) + FUNCTION * v * exp(off));
}

static Bounded root(Bounded x) {
    if (x.value + x.error <= 0) return exact(0);
    double low = sqrt(fmax(x.value - x.error, 0)), mid = sqrt(fmax(x.value, 0)), high = sqrt(x.value + x.error);
    return number(mid, spread(low, mid, high) + ROUNDING * high);
}

static Bounded logarithm(Bounded x) {
    double v = log(x.value);
    if (x.error == 0) return number(v, FUNCTION * fabs(v));
    if (x.value <= x.error) return (Bounded){v, INFINITY};
    double off = -log1p(-x.error / x.value);
    return number(v, off + FUNCTION * (fabs(v) + off));
}

/* A condition that holds, does not, or may turn around. */
static Bounded condition(bool holds, bool sure) { return (Bounded){holds, sure ? 0 : 1}; }

static Bounded compare(ScalarOp op, Bounded x, Bounded y) {
    double apart = fabs(x.value - y.value), off = x.error + y.error;
    return condition(op == SC_LT ? x.value < y.value : x.value == y.value, off == 0 || apart > off);
}

static Bounded chosen(Bounded c, Bounded x, Bounded y) {
    Bounded one = c.value != 0 ? x : y, other = c.value != 0 ? y : x;
    if (c.error == 0) return one;
    return number(one.value, fmax(one.error, fabs(one.value - other.value) + other.error));
}

static Bounded converted(DType to, DType from, Bounded x) {
    double v = scalar_eval(SC_CAST, to, x.value, 0, 0);
    if (to == DT_PRED) return condition(v != 0, x.error == 0 || fabs(x.value) > x.error);
    if (to == DT_F32) return number(v, x.error + (from == DT_I32 && fabs(v) > 0x1p24 ? ROUNDING * fabs(v) : 0));
    return number(v, spread(scalar_eval(SC_CAST, to, x.value - x.error, 0, 0), v,
                            scalar_eval(SC_CAST, to, x.value + x.error, 0, 0)));
}

static Bounded operation(const Expr *e, Bounded x, Bounded y, Bounded z) {
    double v = scalar_eval(e->op, e->dtype, x.value, y.value, z.value), ax = fabs(x.value), ay = fabs(y.value);
    double unit = e->dtype == DT_F32 ? ROUNDING : 0;
    switch (e->op) {
    case SC_ADD: case SC_SUB: return number(v, x.error + y.error + unit * (ax + ay));
    case SC_MUL:
        if (x.error == 0 && y.error == 0) return number(v, unit * fabs(v));
        return number(v, ax * y.error + ay * x.error + x.error * y.error + unit * fabs(v));
    case SC_DIV: return quotient(x, y);
    case SC_NEG: return (Bounded){v, x.error};
    case SC_MAX: return largest(x, y);
    case SC_EXP: return number(v, v * expm1(x.error) + FUNCTION * v * exp(x.error));
    case SC_LOG: return logarithm(x);
    case SC_TANH: case SC_SIN: case SC_COS: return number(v, fmin(x.error, 2) + FUNCTION * fabs(v));
    case SC_SQRT: return root(x);
    case SC_FLOOR: return number(v, spread(floor(x.value - x.error), v, floor(x.value + x.error)));
    case SC_POW: return power(x, y);
    case SC_LT: case SC_EQ: return compare(e->op, x, y);
    case SC_SEL: return chosen(x, y, z);
    default: return exact(v);
    }
}

/* ---- reads ------------------------------------------------------------------------------------------------- */

static Bounded eval(const At *p, const Expr *e);

static Bounded element(const At *p, const Node *n, const int64_t *at) {
    int64_t e = 0;
    for (int d = 0; d < n->type.rank; d++) e = e * n->type.dim[d].size + at[d];
    return p->r->value[n->id][e];
}

/* Element at[..] of n where subscript `k` may be anything within `off`; k < 0: none is unsure. */
static Bounded look_up(const At *p, const Node *n, int64_t *at, int k, double off) {
    Bounded found = element(p, n, at);
    if (k < 0) return found;
    int64_t mid = at[k], reach = (int64_t)fmin(off, 1e6);
    for (at[k] = mid - reach; at[k] <= mid + reach; at[k]++) {
        if (at[k] < 0 || at[k] >= limit_of(p->r, n->type.dim[k])) continue;
        Bounded other = element(p, n, at);
        found.error = fmax(found.error, fabs(other.value - found.value) + other.error);
    }
    return found;
}

static Bounded read(const At *p, const Expr *e) {
    const Node *n = p->n->arg[e->operand];
    int64_t     at[MAX_RANK];
    int         unsure = -1;
    double      off = 0;
    for (int i = 0; i < e->nsub; i++) {
        at[i] = affine_eval(&e->sub[i].aff, p->var);
        if (!e->sub[i].ind) {
            if (at[i] < 0 || at[i] >= limit_of(p->r, n->type.dim[i])) return exact(0);
            continue;
        }
        Bounded k = eval(p, e->sub[i].ind);
        at[i] += (int64_t)k.value;
        if (k.error == 0) continue;
        if (unsure >= 0) return (Bounded){0, INFINITY};
        unsure = i;
        off = k.error;
    }
    return look_up(p, n, at, unsure, off);
}

static Bounded eval(const At *p, const Expr *e) {
    Bounded x[3] = {{0, 0}, {0, 0}, {0, 0}};
    switch (e->op) {
    case SC_CONST: return number(e->value, (double)(float)e->value == e->value ? 0 : ROUNDING * fabs(e->value));
    case SC_IDX: return exact((double)affine_eval(&e->aff, p->var));
    case SC_BOUND: return exact((double)p->r->bound[e->bound]);
    case SC_READ: return read(p, e);
    default: break;
    }
    for (int i = 0; i < SCALARS[e->op].args; i++) x[i] = eval(p, e->arg[i]);
    if (e->op == SC_CAST) return converted(e->dtype, e->arg[0]->dtype, x[0]);
    return operation(e, x[0], x[1], x[2]);
}

/* ---- comp -------------------------------------------------------------------------------------------------- */

/* The points of a reduction: their values and numbers. */
typedef struct {
    int64_t  n;
    Bounded *term;
    int64_t *where;
} Points;

static Bounded added(const Points *s, DType t) {
    double sum = 0, size = 0, off = 0;
    for (int64_t i = 0; i < s->n; i++) {
        sum += s->term[i].value;
        size += fabs(s->term[i].value);
        off += s->term[i].error;
    }
    return number(sum, off + (t == DT_F32 && s->n > 1 ? 0x1p-24 * (double)s->n * (size + off) : 0));
}

static Bounded multiplied(const Points *s, DType t) {
    static const Expr F32 = {.op = SC_MUL, .dtype = DT_F32}, I32 = {.op = SC_MUL, .dtype = DT_I32};
    Bounded p = exact(1);
    for (int64_t i = 0; i < s->n; i++) p = operation(t == DT_F32 ? &F32 : &I32, p, s->term[i], exact(0));
    return p;
}

/* max, min (sign -1), argmax, argmin: the first winner; any point that may be as good may win instead; a NaN counts as
 * the worst value. */
static Bounded winner(const Points *s, double sign, bool number_of) {
    int64_t best = 0;
    double  least = -INFINITY, lo = INFINITY, hi = -INFINITY, off = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (isnan(s->term[i].value)) s->term[i].value = -sign * INFINITY;
        if (sign * s->term[i].value > sign * s->term[best].value) best = i;
        least = fmax(least, sign * s->term[i].value - s->term[i].error);
    }
    if (!s->n) return exact(0);
    bool sure = true;
    for (int64_t i = 0; i < s->n; i++) {
        if (sign * s->term[i].value + s->term[i].error < least) continue;
        sure &= s->term[i].error == 0;
        off = fmax(off, s->term[i].error);
        lo = fmin(lo, (double)s->where[i]);
        hi = fmax(hi, (double)s->where[i]);
    }
    if (!number_of) return number(s->term[best].value, off);
    double w = (double)s->where[best];
    return (Bounded){w, sure ? 0 : fmax(hi - w, w - lo)};
}

/* all: `decides` is false; any: true. */
static Bounded decided(const Points *s, bool decides) {
    bool holds = !decides, unsure = false;
    for (int64_t i = 0; i < s->n; i++) {
        if ((s->term[i].value != 0) == decides) holds = decides;
        if ((s->term[i].value != 0) == decides && s->term[i].error == 0) return condition(decides, true);
        unsure |= s->term[i].error != 0;
    }
    return condition(holds, !unsure);
}

static Bounded reduce(const Points *s, Kind kind, DType t) {
    switch (kind) {
    case KIND_MAP: return s->n ? s->term[0] : exact(0);
    case KIND_SUM: return added(s, t);
    case KIND_PROD: return multiplied(s, t);
    case KIND_MAX: case KIND_ARGMAX: return winner(s, 1, kind == KIND_ARGMAX);
    case KIND_MIN: case KIND_ARGMIN: return winner(s, -1, kind == KIND_ARGMIN);
    case KIND_ALL: case KIND_ANY: return decided(s, kind == KIND_ANY);
    case KIND_COUNT: break;
    }
    return exact(0);
}

static void run_comp(Run *r, const Node *n, Bounded *y) {
    const Comp *c = &n->u.comp;
    At          p = {.r = r, .n = n};
    int64_t     most = 1, *red = p.var + c->nout;
    for (int i = 0; i < c->nout + c->nred + c->nder; i++) p.limit[i] = limit_of(r, c->var[i].ext);
    for (int i = 0; i < c->nred; i++) most *= c->var[c->nout + i].ext.size;
    Points s = {0, ARENA_ARRAY(r->a, Bounded, most), ARENA_ARRAY(r->a, int64_t, most)};
    if (!first_point(c->nout, p.var, p.limit)) return;
    do {
        int64_t at = 0;
        for (int i = 0; i < c->nout; i++) at = at * c->var[i].ext.size + p.var[i];
        s.n = 0;
        for (bool more = first_point(c->nred, red, p.limit + c->nout); more;
             more = next_point(c->nred, red, p.limit + c->nout)) {
            if (!derive_point(c, p.var, p.limit)) continue;
            s.where[s.n] = 0;
            for (int i = 0; i < c->nred; i++) s.where[s.n] = s.where[s.n] * c->var[c->nout + i].ext.size + red[i];
            s.term[s.n++] = eval(&p, c->expr);
        }
        y[at] = reduce(&s, c->kind, n->type.dtype);
    } while (next_point(c->nout, p.var, p.limit));
}

/* ---- the other operations ------------------------------------------------------------------------------------ */

/* Runs the statement for every element of a value below the bounds; e: its number in C order. */
#define EACH_ELEMENT(r, t, at, e)                                                                           \
    for (int64_t at[MAX_RANK] = {0}, lim_[MAX_RANK], e = 0, more_ = walk_first(r, t, at, lim_); more_;       \
         more_ = next_point((t)->rank, at, lim_), e = 0)                                                     \
        if (walk_element(t, at, &e))

static bool walk_first(const Run *r, const Type *t, int64_t *at, int64_t *limit) {
    for (int i = 0; i < t->rank; i++) limit[i] = limit_of(r, t->dim[i]);
    return first_point(t->rank, at, limit);
}

static bool walk_element(const Type *t, const int64_t *at, int64_t *e) {
    for (int i = 0; i < t->rank; i++) *e = *e * t->dim[i].size + at[i];
    return true;
}

static void run_leaf(Run *r, const Node *n, Bounded *y) {
    const double *v = n->op == OP_CONST ? n->u.konst.value : n->op == OP_RNG ? NULL : r->env->leaf(r->env->cx, n);
    EACH_ELEMENT(r, &n->type, at, e) {
        if (!v) y[e] = exact(rng_uniform(r->env->seed, n->u.rng.site, r->env->step, e));
        else y[e] = number(v[e], n->type.dtype == DT_F32 && (double)(float)v[e] != v[e] ? ROUNDING * fabs(v[e]) : 0);
    }
}

static void run_gather(Run *r, const Node *n, Bounded *y) {
    const Node *table = n->arg[0], *index = n->arg[1];
    At          p = {.r = r, .n = n};
    EACH_ELEMENT(r, &n->type, at, e) {
        int64_t k = 0, from[MAX_RANK];
        for (int i = 0; i < index->type.rank; i++) k = k * index->type.dim[i].size + at[i];
        Bounded row = r->value[index->id][k];
        from[0] = (int64_t)row.value;
        for (int i = 1; i < table->type.rank; i++) from[i] = at[index->type.rank + i - 1];
        y[e] = look_up(&p, table, from, row.error > 0 ? 0 : -1, row.error);
    }
}

static void run_scatter(Run *r, const Node *n, Bounded *y) {
    const Node *grad = n->arg[0], *index = n->arg[1];
    int64_t     rows = n->type.dim[0].size, width = type_count(&n->type) / rows;
    double     *size = ARENA_ARRAY(r->a, double, type_count(&n->type)), terms = (double)type_count(&index->type);
    EACH_ELEMENT(r, &index->type, at, e) {
        Bounded row = r->value[index->id][e];
        for (int64_t k = 0; k < rows; k++) {
            bool here = k == (int64_t)row.value;
            if (fabs((double)k - row.value) > row.error) continue;
            for (int64_t i = 0; i < width; i++) {
                Bounded g = r->value[grad->id][e * width + i], *to = &y[k * width + i];
                if (here) to->value += g.value;
                to->error += g.error + (row.error > 0 ? fabs(g.value) : 0);
                size[k * width + i] += fabs(g.value) + g.error;
            }
        }
    }
    for (int64_t i = 0; i < rows * width; i++) y[i] = number(y[i].value, y[i].error + 0x1p-24 * terms * size[i]);
}

static int64_t results_before(const Node *scan, int index) {
    int64_t n = 0;
    for (int i = 0; i < index; i++) {
        Type t = scan_result_type(scan, i);
        n += type_count(&t);
    }
    return n;
}

/* An argument of a body. */
static void run_arg(Run *r, const Node *n, Bounded *y) {
    const Scan *s = &r->scan->u.scan;
    int         k = n->u.arg.index;
    if (k == ARG_STEP) {
        *y = exact((double)r->step);
        return;
    }
    int64_t        count = type_count(&n->type);
    const Bounded *from = k < s->ncarry ? r->carry[k] : r->around->value[r->scan->arg[k]->id];
    if (k >= s->ncarry && k < s->ncarry + s->nover) from += r->step * count;
    memcpy(y, from, sizeof *y * (size_t)count);
}

static void run_graph(Run *r);

/* `y`: all results, one after the other. */
static void run_scan(Run *r, const Node *n, Bounded *y) {
    const Scan *s = &n->u.scan;
    int64_t     trip = limit_of(r, s->trip);
    Run         b = {.g = s->body, .env = r->env, .a = r->a, .around = r, .scan = n,
                     .carry = ARENA_ARRAY(r->a, Bounded *, s->ncarry + 1)};
    memcpy(b.bound, r->bound, sizeof b.bound);
    for (int i = 0; i < s->ncarry; i++) b.carry[i] = r->value[n->arg[i]->id];
    for (int64_t t = 0; t < trip; t++) {
        b.step = s->reverse ? trip - 1 - t : t;
        run_graph(&b);
        for (int i = 0; i < s->body->outs.n; i++) {
            const Node *out = s->body->outs.at[i].value;
            Bounded    *v = b.value[out->id];
            int64_t     count = type_count(&out->type);
            if (i < s->ncarry) b.carry[i] = v;
            else memcpy(y + results_before(n, i) + b.step * count, v, sizeof *y * (size_t)count);
        }
    }
    for (int i = 0; i < s->ncarry; i++)
        memcpy(y + results_before(n, i), b.carry[i], sizeof *y * (size_t)type_count(&n->arg[i]->type));
}

static void run_node(Run *r, const Node *n, Bounded *y) {
    switch (n->op) {
    case OP_ARG: run_arg(r, n, y); return;
    case OP_SCAN: run_scan(r, n, y); return;
    case OP_RESULT:
        memcpy(y, r->value[n->arg[0]->id] + results_before(n->arg[0], n->u.result.index),
               sizeof *y * (size_t)type_count(&n->type));
        return;
    case OP_COMP: run_comp(r, n, y); return;
    case OP_GATHER: run_gather(r, n, y); return;
    case OP_SCATTER: run_scatter(r, n, y); return;
    case OP_RESHAPE: case OP_STOP:
        memcpy(y, r->value[n->arg[0]->id], sizeof *y * (size_t)type_count(&n->type));
        return;
    default: run_leaf(r, n, y);
    }
}

static void run_graph(Run *r) {
    r->value = ARENA_ARRAY(r->a, Bounded *, r->g->nodes.n);
    for (int i = 0; i < r->g->nodes.n; i++) {
        const Node *n = r->g->nodes.at[i];
        int64_t     count = n->op == OP_SCAN ? results_before(n, scan_results(n)) : type_count(&n->type);
        r->value[n->id] = ARENA_ARRAY(r->a, Bounded, count);
        run_node(r, n, r->value[n->id]);
    }
}

Bounded **bound_run(Arena *a, const Graph *g, const InterpEnv *env) {
    Run r = {.g = g, .env = env, .a = a};
    for (int i = 1; i < g->bounds.n; i++) r.bound[i] = env->bound[i] ? env->bound[i] : g->bounds.at[i].size;
    run_graph(&r);
    Bounded **out = ARENA_ARRAY(a, Bounded *, g->outs.n);
    for (int i = 0; i < g->outs.n; i++) out[i] = r.value[g->outs.at[i].value->id];
    return out;
}

double bound_distance(Bounded b) { return BOUND_SLACK * b.error + TINY; }

bool bound_allows(Bounded b, double got) {
    if (b.error == INFINITY && !isfinite(b.value) == !isfinite(got)) return true;
    if (isnan(b.value)) return isnan(got);
    if (b.value == got) return true;
    return fabs(got - b.value) <= bound_distance(b);
}
