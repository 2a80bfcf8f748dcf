/* Differentiation: every scalar and every kind against difference quotients, whole nets, corners. */
#include "base/str.h"
#include "tests/unit/passes_util.h"

/* ---- every row of scalars.def -------------------------------------------------------------------------- */

/* sum over i of c_i f(a_i, b_i, ..): x is kept in a range where f is smooth. */
static Graph *scalar_graph(Arena *a, ScalarOp op, double lo, double hi) {
    Graph      *g = graph_new(a, "scalar");
    Extent      dim = {5, 0};
    Node       *p = graph_param(g, type_of(DT_F32, 1, &dim), "p"), *q = graph_param(g, type_of(DT_F32, 1, &dim), "q");
    Var         var = {"i", dim, {0}, 0};
    const Expr *r[2];
    for (int k = 0; k < 2; k++) {                     /* lo .. hi from -1 .. 1 */
        const Expr *x = expr_read(a, DT_F32, k, 1, &(Sub){affine_var(0), NULL}, false);
        r[k] = expr_op2(a, SC_ADD, expr_op2(a, SC_MUL, x, expr_const(a, (hi - lo) / 2)), expr_const(a, (hi + lo) / 2));
    }
    const Expr *e = r[0];
    switch (op) {
    case SC_CONST: e = expr_op2(a, SC_MUL, r[0], expr_const(a, 3)); break;
    case SC_IDX: e = expr_op2(a, SC_MUL, r[0], expr_cast(a, DT_F32, expr_idx(a, affine_var(0)))); break;
    case SC_BOUND: e = expr_op2(a, SC_MUL, r[0], expr_bound(a, graph_bound(g, "n", 4))); break;
    case SC_READ: break;
    case SC_LT: case SC_EQ: e = expr_op2(a, SC_MUL, r[0], expr_cast(a, DT_F32, expr_op2(a, op, r[0], r[1]))); break;
    case SC_SEL: e = expr_sel(a, expr_op2(a, SC_LT, r[0], r[1]), expr_op2(a, SC_MUL, r[0], r[1]), r[1]); break;
    case SC_CAST: e = expr_op2(a, SC_MUL, r[0], expr_cast(a, DT_F32, expr_cast(a, DT_I32, r[1]))); break;
    default: e = SCALARS[op].args == 1 ? expr_op1(a, op, r[0]) : expr_op2(a, op, r[0], r[1]); break;
    }
    Node *root = graph_comp(g, KIND_MAP, 1, 0, 0, &var, e, 2, (Node *[]){p, q});       /* f at the root */
    Node *inner = graph_comp(g, KIND_SUM, 0, 1, 0, &var, expr_op2(a, SC_MUL, e, e), 2, (Node *[]){p, q});
    const Expr *y = expr_read(a, DT_F32, 0, 1, &(Sub){affine_var(0), NULL}, false);
    Node *sum = graph_comp(g, KIND_SUM, 0, 1, 0, &var, expr_op2(a, SC_MUL, y, expr_op2(a, SC_SUB, y, expr_const(a, 3))), 1, &root);
    graph_output(g, OUT_VALUE, "loss", graph_map2(g, SC_ADD, sum, inner), NULL);
    return g;
}

static void every_scalar(void **state) {
    (void)state;
    for (int op = 0; op < SC_COUNT; op++) {
        Arena *a = arena_new();
        bool   positive = op == SC_LOG || op == SC_SQRT || op == SC_POW || op == SC_DIV;
        for (uint64_t seed = 1; seed <= 4; seed++)
            must_gradcheck(scalar_graph(a, (ScalarOp)op, positive ? 0.5 : -1.7, 2.1), seed, 5, 0, SCALARS[op].text);
        arena_free(a);
    }
}

/* ---- every row of kinds.def ------------------------------------------------------------------------------ */

static void every_kind(void **state) {
    (void)state;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        Arena      *a = arena_new();
        bool        pred = kind == KIND_ALL || kind == KIND_ANY, index = kind == KIND_ARGMAX || kind == KIND_ARGMIN;
        const char *vars = kind == KIND_MAP ? "[b,o]" : "[b,o | i<3,j<2]", *sub = kind == KIND_MAP ? "o,0,1" : "o,i,j";
        const char *e = arena_printf(a, "mul(%%p[%s], %%x[b,o])", sub);
        if (pred) e = arena_printf(a, "lt(%s, 0.1)", e);
        const char *comp = arena_printf(a, "%%r = comp %s %s %s : %s[n,4]\n", vars, KIND_TEXT[kind], e,
                                        pred ? "pred" : index ? "i32" : "f32");
        Graph *g = ir_good(a, arena_printf(a, "%s%s%s", HEAD "%x = input data \"x\" : f32[n,4]\n"
                                           "%p = param \"p\" : f32[4,3,2]\n%q = param \"q\" : f32[4]\n", comp,
                                           "%f = comp [b,i] map mul(%q[i], f32(%r[b,i])) : f32[n,4]\n" SQUARES1("%f", 4)));
        must_gradcheck(g, 5, 24, 3, KIND_TEXT[kind]);
        arena_free(a);
    }
}

/* ---- nets -------------------------------------------------------------------------------------------------- */

static void every_net(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++)
        for (int64_t rows = 0; rows <= 3; rows += 3) {
            Arena *a = arena_new();
            must_gradcheck(ir_good(a, NETS[i].text), 11, 12, rows, NETS[i].name);
            arena_free(a);
        }
}

/* Gradient graphs verify, and are differentiable again. */
static void gradients_verify(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        Arena *a = arena_new();
        Graph *g = ir_good(a, NETS[i].text);
        grad_params(g);
        must_verify(g, NETS[i].name);
        arena_free(a);
    }
}

/* loss2 = sum of squares of the gradients of loss: its gradient is a second derivative. */
static void second_derivatives(void **state) {
    (void)state;
    static const char *const WHICH[] = {"conv_stride_pad", "two_convs", "attention", "products", "embedding", "dense_xent"};
    for (int i = 0; i < NNETS; i++) {
        bool chosen = false;
        for (size_t k = 0; k < sizeof WHICH / sizeof *WHICH; k++) chosen |= !strcmp(WHICH[k], NETS[i].name);
        if (!chosen) continue;
        Arena *a = arena_new();
        Graph *g = ir_good(a, NETS[i].text);
        Output *loss = graph_find_output(g, "loss");
        VEC(Node *) p = {0};
        for (int k = 0; k < g->nodes.n; k++)
            if (g->nodes.at[k]->op == OP_PARAM) vec_push(a, &p, g->nodes.at[k]);
        Node **grad = ARENA_ARRAY(a, Node *, p.n), *total = graph_scalar(g, 0);
        grad_build(g, loss->value, p.n, p.at, grad);
        for (int k = 0; k < p.n; k++) {
            Var         var[MAX_RANK] = {0};
            Sub         sub[MAX_RANK] = {0};
            int         rank = p.at[k]->type.rank;
            for (int v = 0; v < rank; v++) {
                var[v] = (Var){.name = "i", .ext = p.at[k]->type.dim[v]};
                sub[v].aff = affine_var(v);
            }
            const Expr *x = expr_read(a, DT_F32, 0, rank, sub, false);
            total = graph_map2(g, SC_ADD, total, graph_comp(g, KIND_SUM, 0, rank, 0, var, expr_op2(a, SC_MUL, x, x), 1, &grad[k]));
        }
        graph_find_output(g, "loss")->value = total;
        must_gradcheck(g, 12, 6, 2, NETS[i].name);
        arena_free(a);
    }
}

/* ---- corners ------------------------------------------------------------------------------------------------- */

typedef struct {
    const double *x;
} One;

static const double *one_leaf(void *cx, const Node *n) {
    (void)n;
    return ((One *)cx)->x;
}

/* The gradient of the one parameter %x : f32[4] of a graph, at x. */
static void expect_gradient(const char *body, const double *x, const double *want) {
    Arena *a = arena_new();
    Graph *g = ir_good(a, arena_printf(a, "graph g() {\n%%x = param \"x\" : f32[4]\n%sout loss = %%loss }", body));
    One    one = {x};
    grad_params(g);
    must_verify(g, body);
    double **y = interp_run(a, g, &(InterpEnv){.leaf = one_leaf, .cx = &one});
    for (int i = 0; i < 4; i++)
        if (y[1][i] != want[i]) fail_msg("%s: gradient %d is %.17g, not %g", body, i, y[1][i], want[i]);
    arena_free(a);
}

#define TOTAL(v) "%loss = comp [| i<4] sum " v "[i] : f32[]\n"

static void corners(void **state) {
    (void)state;
    const double x[] = {0, 2, 2, -1}, zero[4] = {0};
    /* relu'(0) = 0: a tie goes to the second operand. */
    expect_gradient("%y = comp [i] map max(%x[i], 0) : f32[4]\n" TOTAL("%y"), x, (double[]){0, 1, 1, 0});
    expect_gradient("%y = comp [i] map max(0, %x[i]) : f32[4]\n" TOTAL("%y"), x, (double[]){1, 1, 1, 0});
    expect_gradient("%y = comp [i] map mul(2, max(%x[i], 0)) : f32[4]\n" TOTAL("%y"), x, (double[]){0, 2, 2, 0});
    /* Reductions: the first of equals, exactly one. */
    expect_gradient("%loss = comp [| i<4] max %x[i] : f32[]\n", x, (double[]){0, 1, 0, 0});
    expect_gradient("%loss = comp [| i<4] min mul(%x[i], %x[i]) : f32[]\n", (double[]){1, -1, 1, 1}, (double[]){2, 0, 0, 0});
    expect_gradient("%loss = comp [| i<2,j<2] max %x[2*j+i] : f32[]\n", (double[]){1, 1, 1, 1}, (double[]){1, 0, 0, 0});
    /* sqrt'(0) = 0. */
    expect_gradient("%y = comp [i] map sqrt(mul(%x[i], %x[i])) : f32[4]\n" TOTAL("%y"), x, (double[]){0, 1, 1, -1});
    /* The branch not taken brings no NaN, in one comp or in several. */
    expect_gradient("%y = comp [i] map sel(lt(0, %x[i]), log(%x[i]), 0) : f32[4]\n" TOTAL("%y"), x, (double[]){0, 0.5, 0.5, 0});
    expect_gradient("%l = comp [i] map log(%x[i]) : f32[4]\n%y = comp [i] map sel(lt(0, %x[i]), %l[i], 0) : f32[4]\n" TOTAL("%y"),
                    x, (double[]){0, 0.5, 0.5, 0});
    expect_gradient("%r = comp [i] map div(1, %x[i]) : f32[4]\n%s = comp [i] map mul(%r[i], 4) : f32[4]\n"
                    "%y = comp [i] map sel(eq(%x[i], 0), 7, %s[i]) : f32[4]\n" TOTAL("%y"), x, (double[]){0, -1, -1, -4});
    /* Factors that are zero: the product of the others. */
    expect_gradient("%loss = comp [| i<4] prod %x[i] : f32[]\n", x, (double[]){-4, 0, 0, 0});
    expect_gradient("%loss = comp [| i<4] prod %x[i] : f32[]\n", (double[]){0, 0, 3, 1}, zero);
    /* pow at 0, and 0^0. */
    expect_gradient("%y = comp [i] map pow(%x[i], 2) : f32[4]\n" TOTAL("%y"), (double[]){0, 3, 1, 2}, (double[]){0, 6, 2, 4});
    expect_gradient("%y = comp [i] map pow(%x[i], 0) : f32[4]\n" TOTAL("%y"), (double[]){0, 3, 1, 2}, zero);
    expect_gradient("%y = comp [i] map pow(0, %x[i]) : f32[4]\n" TOTAL("%y"), (double[]){1, 3, 1, 2}, zero);
    /* Nothing passes through stop, floor or an index; a loss that does not depend on x at all. */
    expect_gradient("%s = stop %x : f32[4]\n" TOTAL("%s"), x, zero);
    expect_gradient("%y = comp [i] map floor(%x[i]) : f32[4]\n" TOTAL("%y"), x, zero);
    expect_gradient("%y = comp [i | j<4] argmax mul(%x[j], f32(idx(i))) : i32[4]\n%f = comp [i] map f32(%y[i]) : f32[4]\n" TOTAL("%f"), x, zero);
    expect_gradient("%loss = const 3 : f32[]\n", x, zero);
    /* A gradient that reads twice, and an element that several points read. */
    expect_gradient("%loss = comp [| i<3] sum mul(%x[i], %x[i+1]) : f32[]\n", (double[]){1, 2, 3, 4}, (double[]){2, 4, 6, 3});
    expect_gradient("%y = comp [i] map %x[1] : f32[4]\n" TOTAL("%y"), x, (double[]){0, 4, 0, 0});
}

/* ---- the shape of what comes out --------------------------------------------------------------------------------- */

static void expect_line(Graph *g, Arena *a, const char *line) {
    const char *text = graph_text(g, a);
    if (!strstr(text, line)) fail_msg("no '%s' in\n%s", line, text);
}

/* The gradients of a convolution are plain contractions: small reductions, no division at stride 1. */
static void convolution_shapes(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, NETS[2].text);                    /* two_convs */
    grad_params(g);
    run_passes(g, NULL, NULL);
    expect_line(g, a, "comp [o,c,r,s | b<n,i<4,j<4] sum mul(%4[b,c,r+i,s+j], ");
    expect_line(g, a, "comp [b,c,u,v | o<3,r<3,s<3 ; i=u-r<4,j=v-s<4] sum mul(%w2[o,c,r,s], ");
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar), cmocka_unit_test(every_kind), cmocka_unit_test(every_net),
        cmocka_unit_test(gradients_verify), cmocka_unit_test(second_derivatives), cmocka_unit_test(corners),
        cmocka_unit_test(convolution_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
