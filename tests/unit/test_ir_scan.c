/* Scans: values by hand, text, rules, pictures, what loop_close cuts out. */
#include "ir_util.h"

#include <math.h>
#include <stdlib.h>

static const double *leaf(void *cx, const Node *n) {
    Arena  *a = cx;
    double *v = ARENA_ARRAY(a, double, type_count(&n->type));
    for (int64_t i = 0; i < type_count(&n->type); i++) v[i] = (double)(i + 1);
    return v;
}

static double **run(Arena *a, const Graph *g, int64_t bound) {
    InterpEnv env = {.leaf = leaf, .cx = a, .bound = {0, bound}};
    return interp_run(a, g, &env);
}

/* s = 2 s + x[t] + t over x = 1, 2, 3, 4 from 10. */
static Graph *sums(Arena *a, const char *options) {
    return ir_good(a, arena_printf(a,
        "graph f(T<=4) {\n  %%x = input data \"x\" : f32[T]\n  %%w = param \"w\" : f32[]\n  %%s0 = comp [] map 10 : f32[]\n"
        "  %%r = scan t<T%s carry(%%s0) over(%%x) {\n    %%s = arg 0 : f32[]\n    %%x = arg 1 : f32[]\n"
        "    %%t = arg step : i32[]\n    %%n = comp [] map add(mul(2, %%s), add(%%x, f32(%%t))) : f32[]\n"
        "    carry %%n\n    stack %%s\n    stack %%n\n  }\n  %%a = result %%r, 0 : f32[]\n  %%b = result %%r, 1 : f32[T]\n"
        "  %%c = result %%r, 2 : f32[T]\n  out last = %%a\n  out before = %%b\n  out after = %%c\n}\n", options));
}

static void due(const double *v, int n, const double *want) {
    for (int i = 0; i < n; i++) assert_float_equal(v[i], want[i], 0);
}

static void by_hand(void **state) {
    (void)state;
    Arena  *a = arena_new();
    double **y = run(a, sums(a, ""), 0);
    due(y[0], 1, (double[]){197});
    due(y[1], 4, (double[]){10, 21, 45, 95});
    due(y[2], 4, (double[]){21, 45, 95, 197});
    arena_free(a);
}

static void backwards(void **state) {
    (void)state;
    Arena  *a = arena_new();
    double **y = run(a, sums(a, " reverse"), 0);     /* x + t is 7, 5, 3, 1 */
    due(y[0], 1, (double[]){2 * (2 * (2 * 27 + 5) + 3) + 1});
    due(y[2], 4, (double[]){243, 121, 59, 27});
    due(y[1], 4, (double[]){121, 59, 27, 10});
    arena_free(a);
}

static void a_bound_cuts(void **state) {
    (void)state;
    Arena  *a = arena_new();
    double **y = run(a, sums(a, ""), 2);
    due(y[0], 1, (double[]){45});
    due(y[2], 4, (double[]){21, 45, 0, 0});
    y = run(a, sums(a, " reverse"), 2);
    due(y[2], 4, (double[]){47, 23, 0, 0});
    arena_free(a);
}

static const char *const HEAD = "graph f(T<=4) {\n%x = input data \"x\" : f32[T]\n%y = input data \"y\" : f32[3]\n"
                                "%s0 = comp [] map 10 : f32[]\n%k = const 3 : i32[]\n";

static void mistakes(void **state) {
    (void)state;
    static const struct { const char *text, *due; } WRONG[] = {
        {"%r = scan t<T carry(%s0) { %s = arg 1 : f32[] carry %s }", "reads argument 1 of 1"},
        {"%r = scan t<T carry(%s0) { %s = arg 0 : i32[] carry %s }", "another type"},
        {"%r = scan t<T carry(%s0) { %s = arg 0 : f32[] stack %s }", "one 'carry' per carry"},
        {"%r = scan t<T carry(%s0) { %s = arg 0 : f32[] carry %s carry %s }", "one 'carry' per carry"},
        {"%r = scan t<T carry(%s0) { %s = arg 0 : f32[] stack %s carry %s }", "a carry after a stack"},
        {"%r = scan t<T carry(%s0) { %i = comp [] map idx(1) : i32[] carry %i }", "changes its type"},
        {"%r = scan t<3 over(%x) { %v = arg 0 : f32[] stack %v }", "is not the trip"},
        {"%r = scan t<T over(%s0) { %v = arg 0 : f32[] stack %v }", "is not the trip"},
        {"%r = scan t<T carry(%s0) { %p = param \"p\" : f32[] carry %p }", "a body has no param"},
        {"%r = scan t<T carry(%s0) { %p = input data \"p\" : f32[] carry %p }", "a body has no input"},
        {"%r = scan t<T carry(%s0) { carry %s0 }", "not defined above"},
        {"%r = scan t<T carry(%s0) { %t = arg step : f32[] carry %t }", "the step is i32[]"},
        {"%r = scan t<T carry(%s0) { %s = arg 0 : f32[] carry %s } %q = stop %r : f32[]", "by its results alone"},
        {"%r = scan t<T carry(%s0) { %s = arg 0 : f32[] carry %s } %q = result %r, 1 : f32[]", "result 1 of a scan with 1"},
        {"%q = result %x, 0 : f32[]", "a result of input"},
        {"%r = scan t<U carry(%s0) { }", "no bound is called"},
        {"%r = scan t<2 by 2 of U carry(%s0) { %s = arg 0 : f32[] carry %s }", "no bound is called"},
        {"%r = scan t<2 by 2 of 4 carry(%s0) { %s = arg 0 : f32[] carry %s }", "expected 'of' and a bound"},
        {"%r = scan t<2 by 1 of T carry(%s0) { %s = arg 0 : f32[] carry %s }", "2 steps of 1 do not make up the bound T"},
        {"%r = scan t<T by 2 of T carry(%s0) { %s = arg 0 : f32[] carry %s }", "do not make up the bound"},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        Arena *a = arena_new();
        Diag  *d;
        Graph *g = ir_parse(a, arena_printf(a, "%s%s}\n", HEAD, WRONG[i].text), &d);
        if (g || !d->list.n || !strstr(d->list.at[0].text, WRONG[i].due))
            fail_msg("%s\n gives %s", WRONG[i].text, d->list.n ? d->list.at[0].text : "nothing");
        arena_free(a);
    }
}

static void rules(void **state) {
    (void)state;
    static const struct { const char *text, *due; } WRONG[] = {
        {"%a = arg 0 : f32[]", "V9: an argument outside a body"},
        {"%r = scan t<T over(%x) use(%y) { %v = arg 0 : f32[] %y = arg 1 : f32[3] %z = comp [i] map %y[i+1] : f32[3] stack %z }",
         "V9: in the body: V4"},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        Arena *a = arena_new();
        const char *why = "nothing";
        Graph *g = ir_graph(a, arena_printf(a, "%s%s}\n", HEAD, WRONG[i].text));
        if (graph_verify(g, &why) || !strstr(why, WRONG[i].due)) fail_msg("%s\n gives %s", WRONG[i].text, why);
        arena_free(a);
    }
}

/* As text and back. */
static void parts_of_a_bound(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "graph f(T<=7) {\n%s0 = const 1 : f32[]\n%r = scan a<4 by 2 of T carry(%s0) {\n%s = arg 0 : f32[]\n"
                          "%u = comp [] map mul(2, %s) : f32[]\ncarry %u\nstack %u\n}\n%y = result %r, 0 : f32[]\nout y = %y\n}\n");
    char *text = graph_text(g, a);
    assert_non_null(strstr(text, "scan a<4 by 2 of T carry("));
    assert_string_equal(graph_text(ir_good(a, text), a), text);
    InterpEnv env = {.cx = a};
    for (env.bound[1] = 1; env.bound[1] <= 7; env.bound[1]++)
        assert_float_equal(interp_run(a, g, &env)[0][0], (double)(1 << (env.bound[1] + 1) / 2), 0);
    arena_free(a);
}

static void bodies_are_not_endless(void **state) {
    (void)state;
    Arena *a = arena_new();
    Diag  *d;
    char  *deep = arena_strdup(a, "");
    for (int i = 0; i < 40; i++) deep = arena_printf(a, "%s%%r = scan t<3 { ", deep);
    assert_null(ir_parse(a, arena_printf(a, "graph f() { %s", deep), &d));
    assert_non_null(strstr(d->list.at[0].text, "nested too deep"));
    arena_free(a);
}

/* Operands that the step does not need are left out; what it needs from outside is captured; copies are copies. */
static void closing(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a, "f");
    Extent three = {3, 0};
    Type   f = type_of(DT_F32, 0, NULL), seq = type_of(DT_F32, 1, &three);
    Node  *x = graph_input(g, seq, IN_DATA, "x"), *w = graph_param(g, f, "w"), *h0 = graph_scalar(g, 1);
    Node  *h = loop_arg(g, f), *v = loop_arg(g, f), *unread = loop_arg(g, f);
    Node  *next = graph_map2(g, SC_ADD, graph_map2(g, SC_MUL, h, w), v);
    ScanMake l = {.trip = three, .var = "t"};
    vec_push(a, &l.carry, ((Bind){h, h0}));
    vec_push(a, &l.over, ((Bind){unread, x}));
    vec_push(a, &l.over, ((Bind){v, x}));
    vec_push(a, &l.next, next);
    vec_push(a, &l.stack, next);
    Node *scan = loop_close(g, g, &l);
    graph_output(g, OUT_VALUE, "h", graph_result(g, scan, 0), NULL);
    graph_sweep(g);
    const char *why = NULL;
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    assert_int_equal(scan->u.scan.nover, 1);
    assert_int_equal(scan->u.scan.nuse, 1);
    assert_ptr_equal(scan->arg[2], w);
    due(run(a, g, 0)[0], 1, (double[]){1 + 1 + 2 + 3});
    Graph *c = graph_clone(a, g);
    assert_string_equal(graph_text(c, a), graph_text(g, a));
    c->nodes.at[scan->id]->u.scan.body->nodes.n = 0;
    assert_true(scan->u.scan.body->nodes.n > 0);
    arena_free(a);
}

static void picture(void **state) {
    (void)state;
    Arena *a = arena_new();
    char  *text;
    size_t size;
    FILE  *f = open_memstream(&text, &size);
    graph_dot(sums(a, ""), f);
    fclose(f);
    assert_non_null(strstr(text, "subgraph cluster_n3_"));
    assert_non_null(strstr(text, "n0 -> n3_n1"));            /* x goes into the body */
    assert_non_null(strstr(text, "style=dashed"));           /* the carry comes round */
    free(text);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand), cmocka_unit_test(backwards), cmocka_unit_test(a_bound_cuts), cmocka_unit_test(mistakes),
        cmocka_unit_test(rules), cmocka_unit_test(parts_of_a_bound), cmocka_unit_test(bodies_are_not_endless), cmocka_unit_test(closing), cmocka_unit_test(picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
