/* Three steps of every optimizer of the library, of l2 and of clipping, as the reference takes them: the
 * whole training graph (loss, gradients, update) interpreted, parameters and slots fed back. */
#include "passes/pass.h"
#include "reference.h"

/* The values of the leaves from step to step. */
typedef struct {
    Reference *r;
    Graph     *g;
    double   **last;               /* outputs of the step before; NULL: the first step */
} Steps;

static const double *step_leaf(void *cx, const Node *leaf) {
    Steps *s = cx;
    for (int i = 0; s->last && i < s->g->outs.n; i++)
        if (s->g->outs.at[i].target == leaf) return s->last[i];
    return reference_leaf(s->r, leaf);
}

static double **train(Reference *r, Graph *g, int steps) {
    Steps s = {r, g, NULL};
    for (int i = 0; i < steps; i++) {
        InterpEnv env = {.leaf = step_leaf, .cx = &s, .bound = {0, r->rows}};
        s.last = interp_run(r->arena, g, &env);
    }
    return s.last;
}

static void check_optimizer(const char *record, const char *settings) {
    Reference r = {.arena = arena_new()};
    r.diag = diag_new(r.arena);
    read_records(&r, SOURCE_DIR "/tests/golden/reference/optimizers.txt");
    const char *text = arena_printf(r.arena,
                                    "data D(x: [3], y: [2]) { train = npy(\"x.npy\", \"y.npy\") }\n"
                                    "model M {\n  d = Dense(2)\n  objective(x: [3], y: [2]) { loss mse(d(x), y) }\n}\n"
                                    "train M on D { %s }\n",
                                    settings);
    r.program = program_load_text(r.arena, r.diag, "optimizers.net", text, NULL);
    bool ok = r.program && program_check(r.program);
    diag_print(r.diag, stderr, false);
    assert_true(ok);
    Graph *g = program_objective(r.program, true, r.rows + PADDING, r.arena);
    assert_non_null(g);
    grad_params(g);
    assert_true(program_optimize(r.program, g));
    const char *why = "";
    if (!graph_verify(g, &why)) fail_msg("%s: %s", record, why);
    double **out = train(&r, g, 3);
    int compared = 0;
    for (int i = 0; i < g->outs.n; i++) {
        if (g->outs.at[i].kind != OUT_PARAM) continue;
        Record *x = find_record(&r, record, g->outs.at[i].name);
        assert_non_null(x);
        for (int64_t k = 0; k < x->n; k++)
            if (!(fabs(out[i][k] - x->value[k]) <= 1e-9))
                fail_msg("%s %s[%ld] is %.12g, due %.12g", record, x->key, (long)k, out[i][k], x->value[k]);
        compared++;
    }
    assert_int_equal(compared, 2);
    arena_free(r.arena);
}

static void optimizers_agree(void **state) {
    (void)state;
    check_optimizer("sgd.plain", "optimizer = sgd(0.1)");
    check_optimizer("momentum.plain", "optimizer = momentum(0.1)");
    check_optimizer("nesterov.plain", "optimizer = nesterov(0.1)");
    check_optimizer("rmsprop.plain", "optimizer = rmsprop(lr=0.1, rho=0.99)");
    check_optimizer("adagrad.plain", "optimizer = adagrad(0.1)");
    check_optimizer("adam.plain", "optimizer = adam(0.1)");
    check_optimizer("adamw.plain", "optimizer = adamw(0.1)");
}

static void penalties_and_clipping_agree(void **state) {
    (void)state;
    check_optimizer("sgd.l2", "optimizer = sgd(0.1); l2 = 0.5");
    check_optimizer("sgd.norm", "optimizer = sgd(0.1); clip = 0.3");
    check_optimizer("sgd.value", "optimizer = sgd(0.1); clip = value(0.1)");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(optimizers_agree),
                                       cmocka_unit_test(penalties_and_clipping_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
