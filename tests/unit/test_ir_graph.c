/* The builders of graphs: what they merge, drop, refuse; order, users, replacing, sweeping. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/ir_util.h"

static Arena *A;

static int setup(void **state) { (void)state; A = arena_new(); return 0; }
static int teardown(void **state) { (void)state; arena_free(A); return 0; }

static Type f32(int rank, int64_t d0, int64_t d1) { return type_of(DT_F32, rank, (Extent[]){{d0, 0}, {d1, 0}}); }

static void leaves_once(void **state) {
    (void)state;
    Graph *g = graph_new(A, "t");
    Type   t = f32(2, 3, 4);
    assert_ptr_equal(graph_param(g, t, "w"), graph_param(g, t, "w"));
    assert_ptr_not_equal(graph_param(g, t, "w"), graph_param(g, t, "v"));
    assert_ptr_equal(graph_scalar(g, 1), graph_scalar(g, 1));
    assert_ptr_not_equal(graph_scalar(g, 0.0), graph_scalar(g, -0.0));
    assert_ptr_equal(graph_rng(g, t, 5), graph_rng(g, t, 5));
    assert_ptr_not_equal(graph_rng(g, t, 5), graph_rng(g, f32(1, 3, 0), 5));
    assert_ptr_not_equal(graph_input(g, t, IN_DATA, "w"), graph_param(g, t, "w"));
    assert_ptr_equal(graph_state(g, t, STATE_OPT, "w", 0), graph_state(g, t, STATE_OPT, "w", 0));
}

static const Expr *at(int operand, int var) {
    Sub s = {affine_var(var), NULL};
    return expr_read(A, DT_F32, operand, 1, &s, false);
}

static void operands_are_those_read(void **state) {
    (void)state;
    Graph *g = graph_new(A, "t");
    Node  *x = graph_param(g, f32(1, 3, 0), "x"), *y = graph_param(g, f32(1, 3, 0), "y");
    Var    v = {.name = "i", .ext = {3, 0}};
    /* operand 1 is not read, 0 and 3 are the same value, 2 is read first */
    const Expr *e = expr_op2(A, SC_ADD, at(2, 0), expr_op2(A, SC_MUL, at(0, 0), at(3, 0)));
    Node       *n = graph_comp(g, KIND_MAP, 1, 0, 0, &v, e, 4, (Node *[]){x, graph_scalar(g, 1), y, x});
    assert_int_equal(n->narg, 2);
    assert_ptr_equal(n->arg[0], y);
    assert_ptr_equal(n->arg[1], x);
    const Expr *product = n->u.comp.expr->arg[1];
    assert_int_equal(n->u.comp.expr->arg[0]->operand, 0);
    assert_int_equal(product->arg[0]->operand, 1);
    assert_int_equal(product->arg[1]->operand, 1);
    v.name = "changed";                              /* var was copied */
    assert_string_equal(n->u.comp.var[0].name, "i");
}

static void types_of_results(void **state) {
    (void)state;
    Graph *g = graph_new(A, "t");
    int    n = graph_bound(g, "n", 8);
    Node  *x = graph_input(g, type_of(DT_F32, 2, (Extent[]){{8, n}, {6, 0}}), IN_DATA, "x");
    Node  *y = graph_input(g, type_of(DT_I32, 1, (Extent[]){{8, n}}), IN_DATA, "y");
    Node  *e = graph_param(g, f32(2, 100, 6), "emb");
    assert_string_equal(type_text(g, &graph_map2(g, SC_LT, x, x)->type, A), "pred[n,6]");
    assert_string_equal(type_text(g, &graph_map2(g, SC_MUL, graph_scalar(g, 2), x)->type, A), "f32[n,6]");
    assert_string_equal(type_text(g, &graph_gather(g, e, y)->type, A), "f32[n,6]");
    assert_string_equal(type_text(g, &graph_scatter(g, x, y, 100)->type, A), "f32[100,6]");
    Node *r = graph_reshape(g, x, 3, (Extent[]){{8, n}, {2, 0}, {3, 0}});
    assert_string_equal(type_text(g, &r->type, A), "f32[n,2,3]");
    assert_string_equal(type_text(g, &graph_stop(g, y)->type, A), "i32[n]");
}

static void users_and_replacing(void **state) {
    (void)state;
    Graph *g = graph_new(A, "t");
    Node  *x = graph_param(g, f32(1, 3, 0), "x"), *sq = graph_map2(g, SC_MUL, x, x);
    Node  *e = graph_map1(g, SC_EXP, sq), *l = graph_map1(g, SC_LOG, sq);
    graph_output(g, OUT_VALUE, "a", e, NULL);
    graph_output(g, OUT_VALUE, "b", sq, NULL);
    graph_output(g, OUT_PARAM, "x", l, x);
    NodeList *users = graph_users(g, A);
    assert_int_equal(users[x->id].n, 1);             /* sq reads it twice */
    assert_int_equal(users[sq->id].n, 2);
    Node *neg = graph_map1(g, SC_NEG, sq);
    graph_replace(g, sq, neg);                       /* neg itself keeps reading sq */
    assert_ptr_equal(neg->arg[0], sq);
    assert_ptr_equal(e->arg[0], neg);
    assert_ptr_equal(graph_find_output(g, "b")->value, neg);
    assert_null(graph_find_output(g, "c"));
    graph_sort(g);                                   /* neg is younger than e */
    const char *why;
    assert_true(graph_verify(g, &why));
    assert_true(neg->id < e->id);
}

static void sweeping(void **state) {
    (void)state;
    Graph *g = graph_new(A, "t");
    Node  *x = graph_param(g, f32(1, 3, 0), "x"), *w = graph_param(g, f32(1, 3, 0), "w");
    graph_map1(g, SC_EXP, x);
    Node *y = graph_map1(g, SC_LOG, x);
    graph_output(g, OUT_PARAM, "w", y, w);
    graph_sweep(g);
    assert_int_equal(g->nodes.n, 3);                 /* x, the target w, y */
    for (int i = 0; i < 3; i++) assert_int_equal(g->nodes.at[i]->id, i);
}

static void names_and_places(void **state) {
    (void)state;
    Graph *g = graph_new(A, "t");
    Source s = {.name = "a.net"};
    graph_at(g, "Net.c1", (Loc){&s, 3, 1, 1});
    Node *x = graph_param(g, f32(1, 3, 0), "x");
    graph_at(g, NULL, (Loc){0});
    assert_string_equal(x->name, "Net.c1");
    assert_string_equal(node_text(g, x, A), "%x = param \"x\" : f32[3]  # Net.c1 a.net:3");
    assert_null(graph_map1(g, SC_EXP, x)->name);
}

/* The exit status of a child that does the wrong thing `which`. */
static int wrong(int which) {
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        Graph *g = graph_new(A, "t");
        Node  *x = graph_param(g, f32(1, 3, 0), "x"), *y = graph_param(g, f32(1, 4, 0), "y");
        switch (which) {
        case 0: graph_map2(g, SC_ADD, x, y); break;
        case 1: graph_gather(g, x, y); break;
        case 2: graph_reshape(g, x, 1, (Extent[]){{5, 0}}); break;
        case 3: graph_param(g, f32(1, 5, 0), "x"); break;
        case 4: expr_op2(A, SC_ADD, expr_const(A, 1), expr_int(A, 1)); break;
        case 5: graph_output(g, OUT_PARAM, "x", y, x); break;
        }
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void broken_rules_stop(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++) assert_int_equal(wrong(i), 70);
    assert_int_equal(wrong(6), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_once),
        cmocka_unit_test(operands_are_those_read),
        cmocka_unit_test(types_of_results),
        cmocka_unit_test(users_and_replacing),
        cmocka_unit_test(sweeping),
        cmocka_unit_test(names_and_places),
        cmocka_unit_test(broken_rules_stop),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
