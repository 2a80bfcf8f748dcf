#include "passes/gradcheck.h"

#include <math.h>
#include <string.h>

#include "passes/gradcheck_impl.h"
#include "passes/pass.h"

/* Node.mark holds the numbers of a node while this runs: of the leaves, and of everything once
 * the base point is known. */
typedef struct {
    Graph           *g;
    const GradCheck *o;
    InterpEnv        env;       /* reads the marks */
    double         **derived;   /* per parameter */
    double           largest;   /* derivative */
} Check;

static const double *marked(void *cx, const Node *leaf) {
    (void)cx;
    return leaf->mark;
}

/* ---- the base point --------------------------------------------------------------------------------- */

static void set_leaves(Check *c, const InterpEnv *env, Arena *a) {
    for (int i = 0; i < c->g->nodes.n; i++) {
        Node *n = c->g->nodes.at[i];
        if (n->op != OP_INPUT && n->op != OP_PARAM && n->op != OP_STATE) continue;
        const double *v = env->leaf ? env->leaf(env->cx, n) : NULL;
        int64_t       count = type_count(&n->type);
        if (n->op == OP_PARAM) {
            double *moved = ARENA_ARRAY(a, double, count);
            for (int64_t e = 0; e < count; e++)
                moved[e] = (v ? v[e] : 0) + c->o->move * (2 * rng_uniform(c->o->seed, (uint32_t)i, 0, e) - 1);
            v = moved;
        }
        n->mark = v ? arena_copy(a, v, sizeof *v * (size_t)count) : NULL;
    }
}

/* The numbers of every node of g at the base point. */
static double **run_all(const Check *c, const Graph *g, Arena *a) {
    Graph all = *g;
    memset(&all.outs, 0, sizeof all.outs);
    for (int i = 0; i < g->nodes.n; i++) vec_push(a, &all.outs, ((Output){OUT_VALUE, "", g->nodes.at[i], NULL}));
    return interp_run(a, &all, &c->env);
}

/* Differentiation may change scans (checkpoints), so it gets a graph of its own. */
static void derive(Check *c, int nparam, Node **param, Node *loss, Arena *a) {
    Graph *g = c->g, *with = graph_clone(a, g);
    Node **grad = ARENA_ARRAY(a, Node *, nparam), **wrt = ARENA_ARRAY(a, Node *, nparam);
    for (int p = 0; p < nparam; p++) wrt[p] = with->nodes.at[param[p]->id];
    grad_build(with, with->nodes.at[loss->id], nparam, wrt, grad);
    double **value = run_all(c, with, a), **base = run_all(c, g, a);
    c->derived = ARENA_ARRAY(a, double *, nparam);
    for (int p = 0; p < nparam; p++) {
        c->derived[p] = value[grad[p]->id];
        for (int64_t e = 0; e < type_count(&param[p]->type); e++) c->largest = fmax(c->largest, fabs(c->derived[p][e]));
    }
    for (int i = 0; i < g->nodes.n; i++) g->nodes.at[i]->mark = base[i];
}

/* ---- quotients ------------------------------------------------------------------------------------------ */

static double loss_at(const Check *c, Graph *part, double *number, double value) {
    double kept = *number;
    Arena *a = arena_new();
    *number = value;
    double loss = interp_run(a, part, &c->env)[0][0];
    *number = kept;
    arena_free(a);
    return loss;
}

static double quotient(const Check *c, Graph *part, double *x, double h) {
    double near = loss_at(c, part, x, *x + h) - loss_at(c, part, x, *x - h);
    double far = loss_at(c, part, x, *x + 2 * h) - loss_at(c, part, x, *x - 2 * h);
    return (8 * near - far) / (12 * h);
}

static double relative(const Check *c, double d, double q) {
    double scale = fmax(fmax(fabs(d), fabs(q)), 1e-3 * c->largest);
    if (isnan(d) || isnan(q)) return INFINITY;
    return scale > 0 ? fabs(d - q) / scale : 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static void compare(const Check *c, Graph *part, double *x, int64_t at, double d, GradCheckRow *row) {
    static const double STEP[] = {1e-3, 1e-4, 1e-5, 1e-6};
    double best = INFINITY, best_q = 0;
    for (int i = 0; i < 4 && best > 0.01 * GRADCHECK_GOAL; i++) {
        double q = quotient(c, part, &x[at], STEP[i] * fmax(1, fabs(x[at])));
        double error = relative(c, d, q);
        if (error >= best && i) continue;
        best = error;
        best_q = q;
    }
    row->compared++;
    if (row->compared > 1 && best <= row->error) return;
    row->error = best;
    row->at = at;
    row->derived = d;
    row->quotient = best_q;
}

static GradCheckRow check_param(const Check *c, int p, Node *param, const Node *loss) {
    GradCheckRow row = {.key = param->u.param.key};
    int64_t      count = type_count(&param->type), samples = c->o->samples > 0 ? c->o->samples : 20;
    if (samples > count) samples = count;
    for (int64_t k = 0; k < samples; k++) {         /* one number in each of `samples` equal stretches */
        int64_t from = k * count / samples, to = (k + 1) * count / samples;
        double  u = rng_uniform(c->o->seed, (uint32_t)param->id, 1, k);
        int64_t at = from + (int64_t)(u * (double)(to - from));
        Arena  *a = arena_new();
        compare(c, gradcheck_part(c->g, param, at, loss, a), param->mark, at, c->derived[p][at], &row);
        arena_free(a);
    }
    return row;
}

bool gradcheck(Graph *g, const InterpEnv *env, const GradCheck *o, Arena *a, GradCheckRow **row, int *n) {
    Output *loss = graph_find_output(g, "loss");
    if (!loss) ICE("graph %s has no output \"loss\"", g->name);
    g->outs.at[0] = *loss;
    g->outs.n = 1;
    graph_sweep(g);
    Check c = {.g = g, .o = o, .env = *env};
    c.env.leaf = marked;
    set_leaves(&c, env, a);
    VEC(Node *) params = {0};
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_PARAM) vec_push(a, &params, g->nodes.at[i]);
    Node *value = g->outs.at[0].value;
    derive(&c, params.n, params.at, value, a);
    bool fine = true;
    *n = params.n;
    *row = ARENA_ARRAY(a, GradCheckRow, params.n);
    for (int p = 0; p < params.n; p++) {
        (*row)[p] = check_param(&c, p, params.at[p], value);
        fine &= (*row)[p].error <= GRADCHECK_GOAL;
    }
    for (int i = 0; i < g->nodes.n; i++) g->nodes.at[i]->mark = NULL;
    return fine;
}
