/* The interpreter against values worked out by hand, and what it does at bounds. */
#include <math.h>

#include "base/str.h"
#include "tests/unit/ir_util.h"

/* Leaves by key. */
typedef struct {
    const char   *key;
    const double *value;
} Given;

static const double *leaf(void *cx, const Node *n) {
    const char *key = n->op == OP_INPUT ? n->u.input.key : n->op == OP_PARAM ? n->u.param.key : n->u.state.key;
    for (const Given *g = cx; g->key; g++)
        if (!strcmp(g->key, key)) return g->value;
    return NULL;
}

static double **run(Arena *a, Graph *g, Given *given, int64_t rows) {
    InterpEnv env = {.leaf = leaf, .cx = given, .seed = 3, .step = 4, .bound = {0, rows}};
    return interp_run(a, g, &env);
}

static Graph *golden(Arena *a, const char *name) {
    char *text = file_read(a, arena_printf(a, "%s/tests/golden/ir/%s.ir", SOURCE_DIR, name), 1 << 20, NULL);
    assert_non_null(text);
    return ir_good(a, text);
}

static void check(const char *what, const double *got, const double *want, int n) {
    for (int i = 0; i < n; i++)
        if (got[i] != want[i] && !(fabs(got[i] - want[i]) <= 1e-12 * (1 + fabs(want[i]))))
            fail_msg("%s[%d] = %.17g, not %.17g", what, i, got[i], want[i]);
}

#define CHECK(what, got, ...) \
    check(what, got, (const double[]){__VA_ARGS__}, (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))

/* 3x3 kernels, stride 2, padding 1. Kernel 0 is all ones over an image of ones: it counts the pixels under
 * it. Kernel 1 picks the pixel above its centre. */
static void convolution(void **state) {
    (void)state;
    Arena *a = arena_new();
    double x[50], w[18] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1}, b[2] = {-5, 0.5};
    for (int i = 0; i < 50; i++) x[i] = i < 25 ? 1 : NAN;               /* row 1 is beyond the bound */
    double **y = run(a, golden(a, "conv"), (Given[]){{"x", x}, {"Net.c1.w", w}, {"Net.c1.b", b}, {0}}, 1);
    CHECK("y", y[0], 0, 1, 0, 1, 4, 1, 0, 1, 0, 0.5, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5,
          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    /* dy = 1 where y > 0: for kernel 0 the middle cross of the 3x3 output, for kernel 1 everywhere. */
    CHECK("dw", y[1], 3, 4, 3, 4, 5, 4, 3, 4, 3, 4, 6, 4, 6, 9, 6, 4, 6, 4);
    CHECK("dx row 0", y[2], 0, 1, 1, 1, 0);
    arena_free(a);
}

/* dx of the convolution: sum(dx * dx') = sum(dy * conv(dx')) for every dx' (it is linear). */
static void adjoint(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "graph g(n<=2) {\n%x = input data \"x\" : f32[n,1,5,5]\n"
                          "%d = input data \"d\" : f32[n,2,3,3]\n"
                          "%w = param \"w\" : f32[2,1,3,3]\n"
                          "%y = comp [b,o,p,q | c<1,r<3,s<3]"
                          " sum mul(%w[o,c,r,s], %x?[b,c,2*p+r-1,2*q+s-1]) : f32[n,2,3,3]\n"
                          "%e = comp [b,c,i,j | o<2,r<3,s<3 ; p=(i-r+1)/2<3,q=(j-s+1)/2<3]"
                          " sum mul(%w[o,c,r,s], %d[b,o,p,q]) : f32[n,1,5,5]\n"
                          "%l = comp [| b<n,o<2,p<3,q<3] sum mul(%y[b,o,p,q], %d[b,o,p,q]) : f32[]\n"
                          "%m = comp [| b<n,c<1,i<5,j<5] sum mul(%x[b,c,i,j], %e[b,c,i,j]) : f32[]\nout l = %l out m = %m }");
    double x[50], w[18], d[36];
    for (int i = 0; i < 50; i++) x[i] = rng_uniform(1, 1, 0, i);
    for (int i = 0; i < 18; i++) w[i] = rng_uniform(1, 2, 0, i);
    for (int i = 0; i < 36; i++) d[i] = rng_uniform(1, 3, 0, i);
    double **y = run(a, g, (Given[]){{"x", x}, {"w", w}, {"d", d}, {0}}, 0);
    assert_true(y[0][0] > 1);
    check("<dy, conv x>", y[0], y[1], 1);
    arena_free(a);
}

/* 3x3 windows at stride 2 that leave the 4x4 image on the right and below; the first of equals wins. */
static void max_pooling(void **state) {
    (void)state;
    Arena   *a = arena_new();
    double   x[32] = {1, 2, 9, 4, 5, 6, 7, 8, 9, 1, 1, -3, 3, 5, 1, -2};
    double **y = run(a, golden(a, "maxpool"), (Given[]){{"x", x}, {0}}, 1);
    CHECK("y", y[0], 9, 9, 9, 1, 0, 0, 0, 0);
    CHECK("where", y[1], 2, 0, 0, 0, 0, 0, 0, 0);
    CHECK("dx", y[2], 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0);
    arena_free(a);
}

static void softmax(void **state) {
    (void)state;
    Arena   *a = arena_new();
    double   z[12] = {0, log(2), log(5), 1000, 1000, -1000, 7, 7, 7, 9, 9, 9}, label[4] = {1, 0, 2, -7};
    double **y = run(a, golden(a, "softmax"), (Given[]){{"z", z}, {"y", label}, {0}}, 3);
    CHECK("loss", y[0], (log(8. / 2) + log(2) + log(3)) / 3);
    CHECK("accuracy", y[1], 1. / 3);                     /* ties go to the first: row 1 is right, row 2 wrong */
    CHECK("all", y[2], 0);
    CHECK("dz", y[3], 1 / 24., -6 / 24., 5 / 24., -1 / 6., 1 / 6., 0, 1 / 9., 1 / 9., -2 / 9., 0, 0, 0);
    arena_free(a);
}

static void embedding(void **state) {
    (void)state;
    Arena   *a = arena_new();
    double   e[10] = {10, 11, 20, 21, 30, 31, 40, 41, 50, 51}, y0[6] = {3, 1, 3, 3, 99, 99};
    double **y = run(a, golden(a, "embedding"), (Given[]){{"Net.emb.E", e}, {"y", y0}, {0}}, 2);
    CHECK("difference", y[0], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    CHECK("rows", y[1], 40, 41, 20, 21, 40, 41, 40, 41, 0, 0, 0, 0);
    CHECK("dE", y[2], 0, 0, 20, 21, 0, 0, 120, 123, 0, 0);
    CHECK("shifted", y[3], 50, 20, 50, 40, 0, 0);
    arena_free(a);
}

#define LINE(kind, expr, type) "%" #kind " = comp [| i<2,j<3] " #kind " " expr " : " type "\nout " #kind " = %" #kind "\n"

/* Every way to reduce, over a table with ties; then over nothing (a derived variable that never fits). */
static void reductions(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "graph g() {\n%t = const [3, -1, 4, 4, -1, 2] : f32[2,3]\n"
                          LINE(sum, "%t[i,j]", "f32[]") LINE(prod, "%t[i,j]", "f32[]") LINE(max, "%t[i,j]", "f32[]")
                          LINE(min, "%t[i,j]", "f32[]") LINE(argmax, "%t[i,j]", "i32[]") LINE(argmin, "%t[i,j]", "i32[]")
                          LINE(all, "lt(%t[i,j], 5)", "pred[]") LINE(any, "lt(%t[i,j], -2)", "pred[]") "}");
    double **y = run(a, g, (Given[]){{0}}, 0);
    static const double WANT[] = {11, 96, 4, -1, 2, 1, 1, 0}, EMPTY[] = {0, 1, 0, 0, 0, 0, 1, 0};
    for (int i = 0; i < 8; i++) check(g->outs.at[i].name, y[i], &WANT[i], 1);
    for (int i = 0; i < 8; i++) {
        char *text = arena_printf(a, "graph g() { %%z = comp [| i<3 ; j=(2*i+1)/2<3] %s %s : %s out z = %%z }",
                                  g->outs.at[i].name, i < 6 ? "f32(idx(i))" : "true", i < 4 ? "f32[]" : i < 6 ? "i32[]" : "pred[]");
        check(text, run(a, ir_good(a, text), (Given[]){{0}}, 0)[0], &EMPTY[i], 1);
    }
    arena_free(a);
}

/* A derived variable must divide exactly, lie in its extent, and below its bound. */
static void derived_variables(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "graph g(n<=4) {\n%x = input data \"x\" : f32[n]\n"
                          "%a = comp [i ; j=(i-3)/2<3] sum add(f32(idx(j)), 10) : f32[12]\n"
                          "%b = comp [i ; j=i-1<n] sum %x[j] : f32[7]\n"
                          "%c = comp [i ; u=i-2<1] sum 1 : f32[4]\n"
                          "%d = comp [i ; j=(i)/2<9,k=(j)/2<9] sum f32(idx(k)) : f32[9]\n"
                          "out a = %a out b = %b out c = %c out d = %d }");
    double **y = run(a, g, (Given[]){{"x", (double[]){5, 6, 7, 8}}, {0}}, 3);
    CHECK("a", y[0], 0, 0, 0, 10, 0, 11, 0, 12, 0, 0, 0, 0);
    CHECK("b", y[1], 0, 5, 6, 7, 0, 0, 0);
    CHECK("c", y[2], 0, 0, 1, 0);
    CHECK("d", y[3], 0, 0, 0, 0, 1, 0, 0, 0, 2);
    arena_free(a);
}

/* Two bounds; guarded reads see the bound, not the size; what leaves bring beyond it is not read. */
static void bounds(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "graph g(n<=2, t<=4) {\n%x = input data \"x\" : f32[n,t]\n"
                          "%a = comp [b | i<t] sum %x[b,i] : f32[n]\n%b = comp [b,i] map %x?[b,i+1] : f32[n,t]\n"
                          "%c = comp [] map mul(bound(n), bound(t)) : f32[]\n"
                          "%r = reshape %x : f32[1,n,1,t]\n%s = stop %r : f32[1,n,1,t]\n"
                          "%d = comp [b,i] map add(%x[b,i], 1) : f32[n,t]\n"
                          "out a = %a out b = %b out c = %c out s = %s out d = %d }");
    double    x[8] = {1, 2, 3, NAN, NAN, NAN, NAN, NAN};
    InterpEnv env = {.leaf = leaf, .cx = (Given[]){{"x", x}, {0}}, .bound = {0, 1, 3}};
    double  **y = interp_run(a, g, &env);
    CHECK("a", y[0], 6, 0);
    CHECK("b", y[1], 2, 3, 0, 0, 0, 0, 0, 0);
    CHECK("c", y[2], 3);
    CHECK("s", y[3], 1, 2, 3, 0, 0, 0, 0, 0);
    CHECK("d", y[4], 2, 3, 4, 0, 0, 0, 0, 0);
    arena_free(a);
}

static void whole_numbers(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "graph g() {\n%k = const 2000000000 : i32[]\n"
                          "%a = comp [i] map add(%k, mul(%k, idx(i))) : i32[3]\n"
                          "%b = comp [i] map i32(mul(f32(idx(i)), -0.7)) : i32[4]\n"
                          "%c = comp [] map i32(1e30) : i32[]\nout a = %a out b = %b out c = %c }");
    double **y = run(a, g, (Given[]){{0}}, 0);
    CHECK("a", y[0], 2000000000, -294967296, 1705032704);       /* modulo 2^32 */
    CHECK("b", y[1], 0, 0, -1, -2);
    CHECK("c", y[2], INT32_MAX);
    arena_free(a);
}

static void leaves(void **state) {
    (void)state;
    Arena   *a = arena_new();
    double   w[6] = {1, 2, 3, 4, 5, 6}, eta = 0.5, v[6] = {10};
    Graph   *g = golden(a, "update");
    graph_output(g, OUT_VALUE, "rng", g->nodes.at[6], NULL);
    graph_output(g, OUT_VALUE, "h", g->nodes.at[4], NULL);
    Given     given[] = {{"Net.w", w}, {"hyper.eta", &eta}, {"v.Net.w", v}, {0}};
    InterpEnv env = {.leaf = leaf, .cx = given, .seed = 3, .step = 4, .bound = {0, 2, 1}};
    double  **y = interp_run(a, g, &env), u[6];
    for (int i = 0; i < 6; i++) u[i] = rng_uniform(3, 0xdeadbeef, 4, i);
    check("rng", y[7], u, 6);
    CHECK("h", y[8], -1.5, -1.5, -1.5, -1.5, -1.5, -1.5, 0, 0, 0, 0, 0, 0);
    double v0 = 9 + (u[0] < 0.5 ? 0.25 : -INFINITY);
    CHECK("w - eta v", y[5], 1 - 0.5 * v0);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution),
        cmocka_unit_test(adjoint),
        cmocka_unit_test(max_pooling),
        cmocka_unit_test(softmax),
        cmocka_unit_test(embedding),
        cmocka_unit_test(reductions),
        cmocka_unit_test(derived_variables),
        cmocka_unit_test(bounds),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
