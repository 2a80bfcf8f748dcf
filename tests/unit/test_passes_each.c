/* Every pass alone, every list of passes of interest, and the pipeline: the same numbers as no pass. */
#include "base/str.h"
#include "tests/unit/passes_util.h"

static const char *const NAMES[] = {
#define PASS(name, level, help) #name,
#include "passes/passes.def"
#undef PASS
};
enum { NPASSES = sizeof NAMES / sizeof *NAMES };

static Graph *net(Arena *a, int i, bool grads) {
    Graph *g = ir_good(a, NETS[i].text);
    if (grads) grad_params(g);
    return g;
}

static void expect_same(int i, const char *only, const char *off) {
    for (int64_t rows = 0; rows <= 3; rows += 3) {
        Arena *a = arena_new();
        Graph *plain = net(a, i, true), *g = net(a, i, true);
        run_passes(g, only, off);
        same_values(a, plain, g, 7, rows,
                    arena_printf(a, "%s, passes %s without %s", NETS[i].name, only ? only : "all", off ? off : "none"));
        arena_free(a);
    }
}

static void each_alone(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++)
        for (int p = 0; p < NPASSES; p++) expect_same(i, NAMES[p], NULL);
}

static void pipeline_without_each(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        expect_same(i, NULL, NULL);
        for (int p = 0; p < NPASSES; p++) expect_same(i, NULL, NAMES[p]);
    }
}

static void other_orders(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        expect_same(i, "inline_maps,cse,fold,inline_maps,fold,cse,dce", NULL);
        expect_same(i, "dce,fold,fold,inline_maps,inline_maps,cse,dce,fold", NULL);
    }
}

/* Gradients made after passes_prepare are those made without it. */
static void prepared(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        Arena *a = arena_new();
        Graph *plain = net(a, i, true), *g = net(a, i, false);
        passes_prepare(g, &(PassOptions){.level = 2, .verify_each = true});
        grad_params(g);
        must_verify(g, NETS[i].name);
        same_values(a, plain, g, 7, 3, NETS[i].name);
        run_passes(g, NULL, NULL);
        same_values(a, plain, g, 7, 3, NETS[i].name);
        arena_free(a);
    }
}

/* A pass that says it changed nothing has changed nothing, and the pipeline comes to rest. */
static void reports_changes(void **state) {
    (void)state;
    for (int i = 0; i < NNETS; i++) {
        Arena *a = arena_new();
        Graph *g = net(a, i, true);
        for (int round = 0, changed = 1; changed; round++) {
            assert_true(round < 6);
            changed = 0;
#define PASS(name, level, help)                                                                 \
    {                                                                                           \
        PassCx cx = {arena_new()};                                                              \
        char  *before = graph_text(g, a);                                                       \
        bool   says = pass_##name(g, &cx);                                                      \
        if (!says) assert_string_equal(before, graph_text(g, a));                               \
        changed |= says;                                                                        \
        arena_free(cx.scratch);                                                                 \
    }
#include "passes/passes.def"
#undef PASS
        }
        must_verify(g, NETS[i].name);
        arena_free(a);
    }
}

/* ---- the runner ------------------------------------------------------------------------------------------- */

static char *printed(const PassOptions *o, Graph *g) {
    char       *text = NULL;
    size_t      size = 0;
    PassOptions p = *o;
    p.out = open_memstream(&text, &size);
    passes_run(g, &p);
    fclose(p.out);
    return text;
}

static void runner(void **state) {
    (void)state;
    Arena *a = arena_new();
    char  *text = printed(&(PassOptions){.level = 1, .print_after = "cse", .time_report = true}, net(a, 0, true));
    assert_non_null(strstr(text, "# after cse\ngraph g(n<=4) {"));
    assert_null(strstr(text, "# after fold"));
    assert_non_null(strstr(text, "g              dce"));
    assert_non_null(strstr(text, " nodes\n"));
    free(text);
    text = printed(&(PassOptions){.level = 1, .print_after = "all", .off = "fold,dce"}, net(a, 0, true));
    assert_null(strstr(text, "# after fold"));
    assert_non_null(strstr(text, "# after cse"));
    free(text);
    text = printed(&(PassOptions){.level = 0, .print_after = "all"}, net(a, 0, true));
    assert_null(strstr(text, "# after fold"));
    assert_non_null(strstr(text, "# after dce"));
    free(text);
    text = printed(&(PassOptions){.level = 0, .only = "cse,fold", .print_after = "all"}, net(a, 0, true));
    assert_true(strstr(text, "# after cse") < strstr(text, "# after fold"));
    free(text);
    arena_free(a);
}

/* ---- shapes that later stages look for ------------------------------------------------------------------------ */

static void expect_text(int i, const char *line, bool there) {
    Arena *a = arena_new();
    Graph *g = net(a, i, true);
    run_passes(g, NULL, NULL);
    char *text = graph_text(g, a);
    if (!strstr(text, line) != !there) fail_msg("%s: '%s' is%s in\n%s", NETS[i].name, line, there ? " not" : "", text);
    arena_free(a);
}

static int find(const char *name) {
    for (int i = 0; i < NNETS; i++)
        if (!strcmp(NETS[i].name, name)) return i;
    fail_msg("no net %s", name);
    return -1;
}

static void shapes(void **state) {
    (void)state;
    /* A one-hot product is a lookup, its gradient a scatter_add; nothing sums over the symbols. */
    expect_text(find("one_hot"), "%W[o,{%\"y\"[b]}]", false);
    expect_text(find("one_hot"), "scatter_add", true);
    expect_text(find("one_hot"), "k<6", false);
    /* A stop is gone. */
    expect_text(find("dense_xent"), "stop", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_alone), cmocka_unit_test(pipeline_without_each), cmocka_unit_test(other_orders),
        cmocka_unit_test(prepared),
        cmocka_unit_test(reports_changes), cmocka_unit_test(runner), cmocka_unit_test(shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
