/* Scans under differentiation and passes: gradients against difference quotients, checkpoints against none,
 * fission, shares of captured values, dead results. */
#include "passes/grad.h"
#include "passes/gradcheck.h"
#include "passes/pass.h"
#include "ir_util.h"

#include <math.h>

static const double *leaf(void *cx, const Node *n) {
    Arena  *a = cx;
    int64_t count = type_count(&n->type);
    double *v = ARENA_ARRAY(a, double, count);
    for (int64_t i = 0; i < count; i++)
        v[i] = n->type.dtype == DT_I32 ? (double)(1 + i % 5) : 2 * rng_uniform(7, (uint32_t)n->type.rank, 0, i) - 1;
    return v;
}

static InterpEnv env_of(Arena *a) { return (InterpEnv){.leaf = leaf, .cx = a, .seed = 1, .bound = {0, 2, 5}}; }

static void must_verify(Graph *g) {
    const char *why;
    if (!graph_verify(g, &why)) fail_msg("%s", why);
}

/* A graph over x [n,T,2], its lengths, and two weights; %s is a scan over %xt, %loss the result. */
static Graph *net(Arena *a, const char *rest) {
    return ir_good(a, arena_printf(a,
        "graph f(n<=3, T<=5) {\n"
        "  %%x = input data \"x\" : f32[n,T,2]\n  %%len = input data \"T\" : i32[n]\n"
        "  %%W = param \"W\" : f32[3,2]\n  %%U = param \"U\" : f32[3,3]\n"
        "  %%h0 = comp [b,i | j<3] sum mul(0.5, %%U[j,i]) : f32[n,3]\n"
        "  %%xt = comp [t,b,d] map sel(lt(idx(t), %%len[b]), %%x[b,t,d], 0) : f32[T,n,2]\n%s  out loss = %%loss\n}\n", rest));
}

#define CELL                                                                                                        \
    "%h = arg 0 : f32[n,3]\n%x = arg 1 : f32[n,2]\n%W = arg 2 : f32[3,2]\n%U = arg 3 : f32[3,3]\n"                  \
    "%len = arg 4 : i32[n]\n%t = arg step : i32[]\n"                                                                \
    "%u = comp [b,i | d<2] sum mul(%W[i,d], %x[b,d]) : f32[n,3]\n"                                                  \
    "%r = comp [b,i | k<3] sum mul(%U[i,k], %h[b,k]) : f32[n,3]\n"                                                  \
    "%g = comp [b,i] map sel(lt(%t, %len[b]), tanh(add(%u[b,i], %r[b,i])), %h[b,i]) : f32[n,3]\n"
#define OVER "carry(%h0) over(%xt) use(%W, %U, %len)"
#define LOSS                                                                                                        \
    "  %last = result %s, 0 : f32[n,3]\n  %hs = result %s, 1 : f32[T,n,3]\n"                                        \
    "  %a = comp [| b<n,i<3] sum mul(%last[b,i], %last[b,i]) : f32[]\n"                                             \
    "  %c = comp [| t<T,b<n,i<3] sum sel(lt(idx(t), %len[b]), mul(%hs[t,b,i], f32(idx(i+1))), 0) : f32[]\n"         \
    "  %loss = comp [] map add(%a, %c) : f32[]\n"

static Graph *vanilla(Arena *a, const char *options) {
    return net(a, arena_printf(a, "  %%s = scan t<T%s {\n%s", options, CELL "carry %g\nstack %g\n}\n" LOSS));
}

/* Every gradient at most GRADCHECK_GOAL off. */
static void check_gradients(Graph *g, Arena *a) {
    GradCheckRow *row;
    GradCheck     o = {.seed = 1, .move = 0.1};
    InterpEnv     env = env_of(a);
    int           n;
    if (gradcheck(g, &env, &o, a, &row, &n)) return;
    for (int i = 0; i < n; i++) print_message("%s %.2e: %g, not %g\n", row[i].key, row[i].error, row[i].derived, row[i].quotient);
    fail_msg("gradients of %s", graph_text(g, a));
}

static double **values(Arena *a, Graph *g) {
    InterpEnv env = env_of(a);
    return interp_run(a, g, &env);
}

static void compare(Graph *f, double **x, double **y, double bound) {
    for (int i = 0; i < f->outs.n; i++)
        for (int64_t k = 0; k < type_count(&f->outs.at[i].value->type); k++)
            if (!(fabs(x[i][k] - y[i][k]) <= bound * (1 + fabs(x[i][k]))))
                fail_msg("%s[%ld]: %.17g and %.17g", f->outs.at[i].name, (long)k, x[i][k], y[i][k]);
}


static const Node *scan_number(const Graph *g, int k) {
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN && k-- == 0) return g->nodes.at[i];
    fail_msg("no scan %d in %s", k, graph_text(g, g->arena));
    return NULL;
}

static void run_passes(Graph *g) {
    PassOptions o = {.level = 2, .verify_each = true, .out = stderr};
    passes_run(g, &o);
}

static void forward_and_back(void **state) {
    (void)state;
    static const char *const OPTIONS[] = {" " OVER, " reverse " OVER, " " OVER " checkpoint 2", " reverse " OVER " checkpoint 2",
                                          " " OVER " checkpoint 1", " " OVER " checkpoint 4"};
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        Graph *g = vanilla(a, OPTIONS[i]);
        check_gradients(graph_clone(a, g), a);
        grad_params(g);
        must_verify(g);
        double **before = values(a, g);
        run_passes(g);
        compare(g, before, values(a, g), 1e-12);
    }
    arena_free(a);
}

/* The same bits of the loss, the gradients within rounding. */
static void checkpoints_change_nothing(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (int reverse = 0; reverse < 2; reverse++) {
        const char *way = reverse ? " reverse " OVER : " " OVER;
        Graph *plain = vanilla(a, way);
        grad_params(plain);
        double **due = values(a, plain);
        for (int k = 1; k < 7; k++) {
            Graph *g = vanilla(a, arena_printf(a, "%s checkpoint %d", way, k));
            grad_params(g);
            must_verify(g);
            compare(g, due, values(a, g), 1e-13);
        }
    }
    arena_free(a);
}

/* A table of as many rows as there are steps at most, read by the number of the step, as a row or within an expression:
 * nothing past its end is read in the last segment. */
static void checkpoints_stay_inside_of_tables(void **state) {
    (void)state;
    static const char TABLE[] = "  %%P = param \"P\" : f32[5,3]\n"
                                "  %%s = scan t<T%s carry(%%h0) over(%%xt) use(%%W, %%U, %%len, %%P)%s {\n%s";
    static const char *const READS[] = {
        CELL "%P = arg 5 : f32[5,3]\n%m = comp [b,i] map mul(%g[b,i], %P[{%t},i]) : f32[n,3]\ncarry %m\nstack %m\n}\n" LOSS,
        CELL "%P = arg 5 : f32[5,3]\n%e = gather %P, %t : f32[3]\n"
             "%m = comp [b,i] map mul(%g[b,i], %e[i]) : f32[n,3]\ncarry %m\nstack %m\n}\n" LOSS};
    Arena *a = arena_new();
    for (int i = 0; i < 4; i++) {
        double **due = NULL;
        for (int k = 0; k < 7; k++) {
            const char *way = i % 2 ? " reverse" : "", *how = k ? arena_printf(a, " checkpoint %d", k) : "";
            Graph      *g = net(a, arena_printf(a, TABLE, way, how, READS[i / 2]));
            if (!k) check_gradients(graph_clone(a, g), a);
            grad_params(g);
            must_verify(g);
            if (!k) due = values(a, g);
            else compare(g, due, values(a, g), 1e-13);
        }
    }
    arena_free(a);
}

/* Inside of a loop: a carry whose next value needs no gradient hands one to its first value; the gradient of a carry that
 * nothing asks for is a scan over zeros alone. */
static void first_values_have_gradients(void **state) {
    (void)state;
    static const char BODY[] =
        CELL "%z = comp [b,i] map f32(lt(idx(i), %t)) : f32[n,3]\n"
             "%in = scan r<3 reverse carry(%g, %g) use(%z) {\n%a = arg 0 : f32[n,3]\n%b = arg 1 : f32[n,3]\n"
             "%q = arg 2 : f32[n,3]\n%d = comp [b,i] map mul(0.5, %b[b,i]) : f32[n,3]\ncarry %q\ncarry %d\nstack %a\n}\n"
             "%st = result %in, 2 : f32[3,n,3]\n%m = comp [b,i | r<3] sum %st[r,b,i] : f32[n,3]\ncarry %m\nstack %m\n}\n" LOSS;
    Arena *a = arena_new();
    for (int k = 0; k < 3; k++) {
        const char *how = k ? arena_printf(a, " checkpoint %d", k) : "";
        check_gradients(net(a, arena_printf(a, "  %%s = scan t<T %s%s {\n%s", OVER, how, BODY)), a);
    }
    arena_free(a);
}

/* Segments past the longest of the batch are not run, and what they would stack (the interpreter has NaN there) is read by
 * nothing: with a bound that ends inside, at the end and at the beginning of a segment. */
static void segments_past_the_end(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (int reverse = 0; reverse < 2; reverse++)
        for (int longest = 2; longest <= 5; longest++) {
            const char *way = reverse ? " reverse " OVER : " " OVER;
            Graph      *plain = vanilla(a, way);
            InterpEnv   env = env_of(a);
            env.bound[2] = longest;
            grad_params(plain);
            double **due = interp_run(a, plain, &env);
            for (int k = 1; k < 5; k++) {
                Graph *g = vanilla(a, arena_printf(a, "%s checkpoint %d", way, k));
                grad_params(g);
                int parts = 0;
                for (int i = 0; i < g->nodes.n; i++) parts += g->nodes.at[i]->op == OP_SCAN && g->nodes.at[i]->u.scan.part.size == k;
                assert_int_equal(parts, k > 1 ? 2 : 0);            /* forward and back */
                compare(g, due, interp_run(a, g, &env), 1e-13);
                run_passes(g);
                compare(g, due, interp_run(a, g, &env), 1e-12);
            }
        }
    arena_free(a);
}

/* One stack, that of h: the pre-activations are not kept; the gradients of both weights are sums over time. */
static void a_vanilla_cell_keeps_h_alone(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = vanilla(a, " " OVER);
    grad_params(g);
    run_passes(g);
    const Node *forward = scan_number(g, 0), *back = scan_number(g, 1);
    assert_int_equal(scan_results(forward), 2);
    assert_true(back->u.scan.reverse);
    assert_int_equal(back->u.scan.ncarry, 1);
    for (int i = 0; i < g->outs.n; i++) {
        const Node *v = g->outs.at[i].value;
        if (strncmp(g->outs.at[i].name, "grad.", 5)) continue;
        assert_int_equal(v->op, OP_COMP);
    }
    arena_free(a);
}

/* W x leaves the loop before it, what only the stack needs after it. */
static void fission(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = net(a, "  %s = scan t<T " OVER " {\n" CELL
                      "%z = comp [b,i | k<3] sum mul(%U[k,i], %g[b,k]) : f32[n,3]\n"
                      "%e = comp [b] map f32(%t) : f32[n]\n"
                      "%q = comp [b,i] map add(mul(%z[b,i], %h[b,i]), %e[b]) : f32[n,3]\ncarry %g\nstack %q\n}\n" LOSS);
    double   loss = values(a, g)[0][0];
    Node    *scan = (Node *)scan_number(g, 0), *result[2];
    int      body = scan->u.scan.body->nodes.n;
    assert_true(scan_fission(g, scan, result));
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_RESULT && g->nodes.at[i]->arg[0] == scan)
            graph_replace(g, g->nodes.at[i], result[g->nodes.at[i]->u.result.index]);
    graph_sweep(g);
    must_verify(g);
    const Graph *b = scan_number(g, 0)->u.scan.body;
    assert_true(b->nodes.n < body);
    int sums = 0;
    for (int i = 0; i < b->nodes.n; i++) sums += b->nodes.at[i]->op == OP_COMP && b->nodes.at[i]->u.comp.kind == KIND_SUM;
    assert_int_equal(sums, 1);                       /* U h */
    assert_true(fabs(values(a, g)[0][0] - loss) < 1e-12);
    check_gradients(g, a);
    arena_free(a);
}

/* A scan in the body; its gradient needs values that the inner scan stacks for it. */
static void nested(void **state) {
    (void)state;
    Arena *a = arena_new();
    static const char *const BODY =
        "%y = comp [s,b,d] map mul(%x[b,d], f32(idx(s))) : f32[4,n,2]\n"
        "%in = scan s<4%s carry(%g) over(%y) use(%U) {\n"
        "  %p = arg 0 : f32[n,3]\n%x = arg 1 : f32[n,2]\n%U = arg 2 : f32[3,3]\n"
        "  %m = comp [b,i | k<3] sum mul(%U[k,i], %p[b,k]) : f32[n,3]\n"
        "  %o = comp [b,i] map tanh(add(%m[b,i], %x[b,0])) : f32[n,3]\n  carry %o\n  stack %o\n}\n"
        "%v = result %in, 0 : f32[n,3]\n%vs = result %in, 1 : f32[4,n,3]\n"
        "%n = comp [b,i | s<4] sum mul(%vs[s,b,i], add(%v[b,i], f32(idx(s)))) : f32[n,3]\n"
        "%nh = comp [b,i] map sel(lt(%t, %len[b]), tanh(%n[b,i]), %h[b,i]) : f32[n,3]\ncarry %nh\nstack %nh\n}\n";
    static const char *const INNER[] = {"", " reverse", " checkpoint 2"}, *const OUTER[] = {"", " checkpoint 2", " checkpoint 1"};
    for (int i = 0; i < 3; i++)
        for (int o = 0; o < 3; o++) {
            const char *at = strstr(BODY, "%s carry");
            bool        last = strstr(INNER[i], "check") != NULL;
            char       *body = arena_printf(a, "%.*s%s carry(%%g) over(%%y) use(%%U)%s%s", (int)(at - BODY), BODY,
                                            last ? "" : INNER[i], last ? INNER[i] : "", strstr(at, " {"));
            Graph *g = net(a, arena_printf(a, "  %%s = scan t<T %s%s {\n%s%s%s", OVER, OUTER[o], CELL, body, LOSS));
            check_gradients(graph_clone(a, g), a);
            grad_params(g);
            must_verify(g);
            run_passes(g);
        }
    arena_free(a);
}

/* A stack that nothing reads goes, and with it its operands and its work. */
static void dead_results_go(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = net(a, "  %s = scan t<T " OVER " {\n" CELL "%z = comp [b] map mul(%x[b,0], 2) : f32[n]\ncarry %g\nstack %g\nstack %z\n}\n" LOSS);
    PassOptions o = {.level = 2, .only = "dce", .verify_each = true, .out = stderr};
    passes_run(g, &o);
    assert_int_equal(scan_results(scan_number(g, 0)), 2);
    arena_free(a);
}

/* What lies past a length is never read: NaN there changes nothing. */
static const double *leaf_with_nan(void *cx, const Node *n) {
    double *v = (double *)leaf(cx, n);
    if (n->op == OP_INPUT && n->type.rank == 3)
        for (int b = 0; b < 3; b++)
            for (int t = 0; t < 5; t++)
                for (int d = 0; d < 2; d++)
                    if (t >= 1 + b % 5 || b >= 2) v[(b * 5 + t) * 2 + d] = NAN;
    return v;
}

static void padding_does_not_matter(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = vanilla(a, " " OVER);
    grad_params(g);
    InterpEnv env = env_of(a);
    double  **due = interp_run(a, g, &env);
    env.leaf = leaf_with_nan;
    compare(g, due, interp_run(a, g, &env), 0);
    env.bound[2] = 2;                                /* the longest of the two rows: lengths 1 and 2 */
    compare(g, due, interp_run(a, g, &env), 1e-14);
    arena_free(a);
}

/* Sequences of 40 steps over a cell whose input product leaves the loop, so that segments take it back in. */
static Graph *long_net(Arena *a) {
    return ir_good(a, "graph f(n<=3, T<=40) {\n"
        "  %x = input data \"x\" : f32[n,T,2]\n  %len = input data \"T\" : i32[n]\n"
        "  %W = param \"W\" : f32[3,2]\n  %U = param \"U\" : f32[3,3]\n"
        "  %h0 = comp [b,i | j<3] sum mul(0.5, %U[j,i]) : f32[n,3]\n"
        "  %xt = comp [t,b,d] map sel(lt(idx(t), %len[b]), %x[b,t,d], 0) : f32[T,n,2]\n"
        "  %xw = comp [t,b,i | d<2] sum mul(%W[i,d], %xt[t,b,d]) : f32[T,n,3]\n"
        "  %s = scan t<T carry(%h0) over(%xw) use(%U, %len) {\n"
        "    %h = arg 0 : f32[n,3]\n    %u = arg 1 : f32[n,3]\n    %U = arg 2 : f32[3,3]\n    %len = arg 3 : i32[n]\n"
        "    %t = arg step : i32[]\n    %r = comp [b,i | k<3] sum mul(%U[i,k], %h[b,k]) : f32[n,3]\n"
        "    %v = comp [b,i] map tanh(add(%u[b,i], %r[b,i])) : f32[n,3]\n"
        "    %q = comp [b,i | k<3] sum mul(%U[k,i], %v[b,k]) : f32[n,3]\n"
        "    %g = comp [b,i] map sel(lt(%t, %len[b]), tanh(%q[b,i]), %h[b,i]) : f32[n,3]\n    carry %g\n  }\n"
        "  %last = result %s, 0 : f32[n,3]\n  %loss = comp [| b<n,i<3] sum mul(%last[b,i], f32(idx(i+1))) : f32[]\n"
        "  out loss = %loss\n}\n");
}

static double **long_values(Arena *a, Graph *g) {
    InterpEnv env = {.leaf = leaf, .cx = a, .seed = 1, .bound = {0, 2, 37}};
    return interp_run(a, g, &env);
}

/* A budget chooses the longest segments that fit; gradients stay; what cannot fit says how much it would need. */
static void budgets(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *plain = long_net(a);
    Budget none = grad_budget(plain, INT64_MAX);
    assert_true(none.fits && !none.scans.n && none.plain == none.chosen);
    Budget least = grad_budget(long_net(a), 0);
    assert_true(!least.fits && least.scans.n == 1 && least.chosen < none.plain / 2);
    grad_params(plain);
    double **due = long_values(a, plain);
    int      before = 2;
    for (int64_t budget = least.chosen; budget < none.plain; budget += none.plain / 7) {
        Graph *g = long_net(a);
        Budget b = grad_budget(g, budget);
        assert_true(b.fits && b.chosen <= budget && b.plain == none.plain);
        assert_int_equal(b.scans.n, 1);
        assert_true(b.scans.at[0].checkpoint >= before);       /* more memory, longer segments */
        before = b.scans.at[0].checkpoint;
        grad_params(g);
        must_verify(g);
        compare(g, due, long_values(a, g), 1e-13);
        run_passes(g);
        compare(g, due, long_values(a, g), 1e-12);
    }
    assert_true(before > 2);
    arena_free(a);
}

/* A checkpoint that the user wrote is not touched. */
static void own_checkpoints_stay(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = long_net(a);
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN) g->nodes.at[i]->u.scan.checkpoint = 7;
    Budget b = grad_budget(g, 0);
    assert_int_equal(b.scans.n, 0);
    assert_int_equal(scan_number(g, 0)->u.scan.checkpoint, 7);
    arena_free(a);
}

static const Stash *stash_of(const StashList *list, StashHow how, int k) {
    for (int i = 0; i < list->n; i++)
        if (list->at[i].how == how && k-- == 0) return &list->at[i];
    return NULL;
}

/* Of a vanilla cell h is kept, once as the value of the step before; U is captured; tanh is kept because of its sum. */
static void what_is_kept_is_told(void **state) {
    (void)state;
    Arena    *a = arena_new();
    StashList list = {0};
    Graph    *g = vanilla(a, " " OVER);
    grad_params_noting(g, &list);
    const Stash *kept = stash_of(&list, STASH_KEPT, 0);
    assert_non_null(kept);
    assert_int_equal(kept->bytes, 5 * 3 * 3 * 4);
    assert_int_equal(kept->type.rank, 2);
    assert_non_null(stash_of(&list, STASH_CAPTURED, 0));
    int64_t sum = 0;
    for (int i = 0; stash_of(&list, STASH_KEPT, i); i++) sum += stash_of(&list, STASH_KEPT, i)->bytes;
    StashList again = {0};
    g = vanilla(a, " " OVER " checkpoint 2");
    grad_params_noting(g, &again);
    int segments = 0;
    for (int i = 0; i < again.n; i++)                           /* the scan over segments keeps its carry alone */
        if (again.at[i].scan->u.scan.checkpoint == 1 && again.at[i].how == STASH_KEPT) {
            segments++;
            assert_int_equal(again.at[i].bytes, 3 * 3 * 3 * 4);
        }
    assert_int_equal(segments, 1);
    assert_true(sum >= kept->bytes);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets), cmocka_unit_test(own_checkpoints_stay), cmocka_unit_test(what_is_kept_is_told),
        cmocka_unit_test(forward_and_back), cmocka_unit_test(checkpoints_change_nothing),
        cmocka_unit_test(checkpoints_stay_inside_of_tables),
        cmocka_unit_test(first_values_have_gradients), cmocka_unit_test(segments_past_the_end),
        cmocka_unit_test(a_vanilla_cell_keeps_h_alone), cmocka_unit_test(fission), cmocka_unit_test(nested),
        cmocka_unit_test(dead_results_go), cmocka_unit_test(padding_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
