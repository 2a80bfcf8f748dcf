/* The first values of parameters as a graph of random numbers and maps.
 *
 * normal numbers: Box and Muller, "A note on the generation of random normal deviates", 1958.
 * glorot: Glorot and Bengio, AISTATS 2010, uniform; he: He et al., ICCV 2015, normal. fan_in is the product
 * of all sizes but the first, fan_out the first times the product from the third on.
 */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"
#include "frontend/program.h"

static const Expr *times(Cx *cx, double k, const Expr *e) {
    return k == 1 ? e : expr_op2(cx->graph->arena, SC_MUL, lower_real(cx, k), e);
}

/* Numbers in (0,1) of a parameter's shape; `salt` tells apart the two that a normal number needs. */
static const Expr *uniform(Cx *cx, const ParamInfo *q, const char *salt) {
    uint32_t site = hash_text(hash_text(hash_text(HASH_START, "init."), q->key), salt);
    Node *n = graph_rng(cx->graph, q->type, site);
    Sub sub[MAX_RANK] = {0};
    for (int i = 0; i < q->type.rank; i++) sub[i].aff = affine_var(i);
    return expr_read(cx->graph->arena, DT_F32, n->id, q->type.rank, sub, false);
}

static const Expr *symmetric(Cx *cx, const ParamInfo *q, double scale) {
    Arena *m = cx->graph->arena;
    const Expr *u = expr_op2(m, SC_SUB, times(cx, 2, uniform(cx, q, "")), lower_real(cx, 1));
    return times(cx, scale, u);
}

static const Expr *normal(Cx *cx, const ParamInfo *q, double scale) {
    Arena *m = cx->graph->arena;
    const Expr *radius = expr_op1(m, SC_SQRT, times(cx, -2, expr_op1(m, SC_LOG, uniform(cx, q, ".r"))));
    const Expr *angle = expr_op1(m, SC_COS, times(cx, 2 * M_PI, uniform(cx, q, ".a")));
    return times(cx, scale, expr_op2(m, SC_MUL, radius, angle));
}

static const Expr *first_value(Cx *cx, const ParamInfo *q) {
    double fan_in = 1, rest = 1;
    for (int i = 1; i < q->type.rank; i++) fan_in *= (double)q->type.dim[i].size;
    for (int i = 2; i < q->type.rank; i++) rest *= (double)q->type.dim[i].size;
    double fan_out = q->type.rank ? (double)q->type.dim[0].size * rest : 1;
    const char *name = q->init.name;
    if (!strcmp(name, "uniform")) return symmetric(cx, q, q->init.arg);
    if (!strcmp(name, "normal")) return normal(cx, q, q->init.arg);
    if (!strcmp(name, "glorot")) return symmetric(cx, q, sqrt(6 / (fan_in + fan_out)));
    if (!strcmp(name, "he")) return normal(cx, q, sqrt(2 / fan_in));
    if (!strcmp(name, "orthogonal")) return normal(cx, q, 1);
    return lower_real(cx, !strcmp(name, "constant") ? q->init.arg : 0);
}

Graph *program_init(Program *p, Arena *graph_arena) {
    static const char *const NAMES[MAX_RANK] = {"i", "j", "k", "l", "m", "p", "q", "r"};
    const ModelInfo *info = program_model(p);
    if (!info || p->diag->errors) return NULL;
    Cx *cx = &p->cx;
    Graph *g = graph_begin(p, "init", 1, graph_arena);
    for (int i = 0; i < info->nparam; i++) {
        const ParamInfo *q = &info->param[i];
        Var var[MAX_RANK] = {0};
        for (int k = 0; k < q->type.rank; k++) var[k] = (Var){.name = NAMES[k], .ext = q->type.dim[k]};
        graph_at(g, q->layer, q->loc);
        const Expr *e = first_value(cx, q);
        Node *n = graph_comp(g, KIND_MAP, q->type.rank, 0, 0, var, e, g->nodes.n, g->nodes.at);
        graph_output(g, OUT_VALUE, q->key, n, NULL);
    }
    return graph_end(p);
}
