/* The text form: every file of tests/golden/ir is what it prints as; mistakes get one message at the right
 * place; mutilated texts do no harm. */
#include <dirent.h>
#include <stdlib.h>

#include "base/str.h"
#include "tests/unit/ir_util.h"

static const char *GOLDEN = SOURCE_DIR "/tests/golden/ir";

/* Calls f on every file of the folder; the number of files. */
static int each_golden(void (*f)(const char *path, const char *text)) {
    DIR *d = opendir(GOLDEN);
    int  n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 4 || strcmp(e->d_name + len - 3, ".ir")) continue;
        Arena *a = arena_new();
        char  *path = arena_printf(a, "%s/%s", GOLDEN, e->d_name), *text = file_read(a, path, 1 << 20, NULL);
        assert_non_null(text);
        f(path, text);
        arena_free(a);
        n++;
    }
    closedir(d);
    return n;
}

static void check_round(const char *path, const char *text) {
    Arena *a = arena_new();
    print_message("%s\n", path);
    assert_string_equal(graph_text(ir_good(a, text), a), text);
    arena_free(a);
}

static void printed_is_parsed(void **state) {
    (void)state;
    assert_true(each_golden(check_round) >= 5);
}

/* The operations and reductions of the golden files; a new row of a table needs an example there. */
static bool op_seen[OP_COUNT], kind_seen[KIND_COUNT];

static void see_graph(const Graph *g) {
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.at[i];
        op_seen[n->op] = true;
        if (n->op == OP_COMP) kind_seen[n->u.comp.kind] = true;
        if (n->op == OP_SCAN) see_graph(n->u.scan.body);
    }
}

static void see_all(const char *path, const char *text) {
    (void)path;
    Arena *a = arena_new();
    see_graph(ir_graph(a, text));
    arena_free(a);
}

static void every_row_has_an_example(void **state) {
    (void)state;
    each_golden(see_all);
    for (int i = 0; i < OP_COUNT; i++)
        if (!op_seen[i]) fail_msg("no golden file has the operation %s", OPS[i].text);
    for (int i = 0; i < KIND_COUNT; i++)
        if (!kind_seen[i]) fail_msg("no golden file has the reduction %s", KIND_TEXT[i]);
}

/* Every scalar operation, on every type of operands that it takes. */
static void every_scalar(void **state) {
    (void)state;
    static const char *const LEAVES[] = {
        [SC_CONST] = "-2.5", [SC_IDX] = "idx(2*i+1)", [SC_BOUND] = "bound(n)", [SC_READ] = "%x?[i-1,{%y[i]}]",
    };
    static const char *const READS[DT_COUNT] = {"%x[i,0]", "%y[i]", "%u[i]", "%p[i]"};
    Arena *a = arena_new();
    for (int op = 0; op < SC_COUNT; op++) {
        int taken = 0;
        for (int t = 0; t < DT_COUNT; t++) {
            DType       arg[3] = {op == SC_SEL ? DT_PRED : (DType)t, (DType)t, (DType)t}, result = DT_F32;
            const char *e = SCALARS[op].args ? NULL : LEAVES[op], *r0 = READS[arg[0]], *r = READS[t];
            if (op == SC_CAST && t == DT_F32) continue;
            if (op == SC_IDX) result = DT_I32;
            if (SCALARS[op].args && op != SC_CAST && !scalar_type((ScalarOp)op, arg, &result)) continue;
            if (op == SC_CAST) e = arena_printf(a, "f32(%s)", r);
            if (!e && SCALARS[op].args == 1) e = arena_printf(a, "%s(%s)", SCALARS[op].text, r0);
            if (!e && SCALARS[op].args == 2) e = arena_printf(a, "%s(%s, %s)", SCALARS[op].text, r0, r);
            if (!e && SCALARS[op].args == 3) e = arena_printf(a, "%s(%s, %s, %s)", SCALARS[op].text, r0, r, r);
            char *node = arena_printf(a, "= comp [i] map %s : %s[n]\n", e, dtype_text(result));
            Graph *g = ir_good(a, arena_printf(a, "graph g(n<=3) { %%x = input data \"x\" : f32[n,4]\n"
                                                  "%%y = input data \"y\" : i32[n] %%u = input data \"u\" : u8[n]\n"
                                                  "%%p = input data \"p\" : pred[n] %%z %s}", node));
            if (!strstr(graph_text(g, a), node)) fail_msg("%s prints as %s", node, graph_text(g, a));
            assert_int_equal(g->nodes.at[4]->u.comp.expr->op, op);
            taken++;
        }
        if (!taken) fail_msg("%s takes no operands", SCALARS[op].text);
    }
    arena_free(a);
}

/* docs/ir.md names every row of the tables, and its example is a graph. */
static void documented(void **state) {
    (void)state;
    Arena *a = arena_new();
    char  *doc = file_read(a, SOURCE_DIR "/docs/ir.md", 1 << 20, NULL);
    assert_non_null(doc);
    for (int i = 0; i < OP_COUNT; i++)
        if (!strstr(doc, arena_printf(a, "| `%s` |", OPS[i].text))) fail_msg("docs/ir.md lacks %s", OPS[i].text);
    for (int i = 0; i < KIND_COUNT; i++)
        if (!strstr(doc, arena_printf(a, "| `%s` |", KIND_TEXT[i]))) fail_msg("docs/ir.md lacks %s", KIND_TEXT[i]);
    for (int i = 0; i < SC_COUNT; i++)
        if (!strstr(doc, arena_printf(a, "`%s`", SCALARS[i].text))) fail_msg("docs/ir.md lacks %s", SCALARS[i].text);
    char *example = strstr(doc, "```\ngraph ") + 4, *end = strstr(example, "```");
    example = arena_strndup(a, example, (size_t)(end - example));
    assert_string_equal(graph_text(ir_good(a, example), a), example);
    arena_free(a);
}

/* What the writer may write otherwise, and how it is printed. */
static void free_forms(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_good(a, "# before\ngraph g ( n <= 3 ){%in=input data\"x\":f32[n,4]# Net\n"
                          "%sum=comp[b|k<2,j<2;q=(j-k)/1<4]sum mul(%in?[b,k+j-k+1*q - 1],%in[b,q])\n:f32[n]\n"
                          "%a = comp[b] map %sum[b+0] : f32[n] out y = %a}  # after\n");
    assert_string_equal(graph_text(g, a), "graph g(n<=3) {\n"
                                          "  %x = input data \"x\" : f32[n,4]  # Net\n"
                                          "  %1 = comp [b | k<2,j<2 ; q=-k+j<4] sum mul(%x?[b,j+q-1], %x[b,q]) : f32[n]\n"
                                          "  %2 = comp [b] map %1[b] : f32[n]\n"
                                          "  out y = %2\n}\n");
    arena_free(a);
}

static void variables_get_distinct_names(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = graph_new(a, "g");
    Sub    s[3] = {{affine_var(0), NULL}, {affine_var(1), NULL}, {affine_var(2), NULL}};
    Node  *x = graph_param(g, type_of(DT_F32, 3, (Extent[]){{2, 0}, {2, 0}, {2, 0}}), "x");
    Var    v[3] = {{.name = "i", .ext = {2, 0}}, {.name = "i", .ext = {2, 0}}, {.ext = {2, 0}}};
    Node  *n = graph_comp(g, KIND_MAP, 3, 0, 0, v, expr_read(a, DT_F32, 0, 3, s, false), 1, &x);
    assert_string_equal(node_text(g, n, a), "%1 = comp [i,i1,v] map %x[i,i1,v] : f32[2,2,2]");
    arena_free(a);
}

/* A node keeps its name and the line it came from. */
static void origin_survives(void **state) {
    (void)state;
    Arena *a = arena_new();
    Graph *g = ir_graph(a, "graph g() {\n %a = const 1 : f32[]  # Net.c1 x y.net:17\n"
                           " %b = const 2 : f32[]  # y.net:18\n %c = const 3 : f32[]  # a:b\n %d = const 4 : f32[]\n}");
    const Node *n = g->nodes.at[0];
    assert_string_equal(n->name, "Net.c1 x");
    assert_string_equal(n->loc.src->name, "y.net");
    assert_int_equal(n->loc.line, 17);
    assert_null(g->nodes.at[1]->name);
    assert_int_equal(g->nodes.at[1]->loc.line, 18);
    assert_string_equal(g->nodes.at[2]->name, "a:b");
    assert_null(g->nodes.at[3]->name);
    arena_free(a);
}

#define HEAD "graph g(n<=3) {\n%x = input data \"x\" : f32[n,4]\n%y = input data \"y\" : i32[n]\n"

static void mistakes(void **state) {
    (void)state;
    static const struct { const char *text; int line, col; const char *says; } BAD[] = {
        {"", 1, 1, "expected 'graph'"},
        {"graph g(", 1, 9, "expected the name of a bound"},
        {"graph g(n<=3, n<=4) {}", 1, 15, "two bounds are called 'n'"},
        {"graph g(a<=1,b<=1,c<=1,d<=1,e<=1,f<=1,g<=1,h<=1) {}", 1, 45, "more than 7 bounds"},
        {"graph g() {", 1, 12, "expected '%', 'out', 'set' or '}'"},
        {"graph g() {} x", 1, 14, "text after the end"},
        {HEAD "%z = conv %x", 4, 6, "unknown word 'conv'"},
        {HEAD "%x = const 1 : f32[]", 4, 1, "%x is defined twice"},
        {HEAD "%z = stop %zz : f32[]", 4, 11, "%zz is not defined above"},
        {HEAD "%z = stop %x : f32[n,5]", 4, 1, "the type is not that of the operation"},
        {HEAD "%z = stop %x : f33[n,4]", 4, 16, "unknown word 'f33'"},
        {HEAD "%z = stop %x : f32[m]", 4, 20, "no bound is called 'm'"},
        {HEAD "%z = const 1 : f32[2,2,2,2,2,2,2,2,2]", 4, 35, "more than 8 axes"},
        {HEAD "%z = const [1,2] : f32[3]", 4, 26, "count of numbers"},
        {HEAD "%z = const 0 : f32[100000,100000]", 4, 34, "more than 2^24 numbers"},
        {HEAD "%z = param \"w\" : f32[9000000,9000000]", 4, 1, "more than 2^40 elements"},
        {HEAD "%z = param \"w\" : f32[99999999999999999999]", 4, 22, "the number is too large"},
        {HEAD "%z = rng 0x1ffffffff : f32[2]", 4, 12, "32-bit number"},
        {HEAD "%z = comp [i] map %x[i,q] : f32[n]", 4, 24, "no variable is called 'q' here"},
        {HEAD "%z = comp [i,i] map 1 : f32[2,2]", 4, 14, "two variables are called 'i'"},
        {HEAD "%z = comp [i] map %x[i] : f32[n]", 4, 19, "too few subscripts"},
        {HEAD "%z = comp [i] map %x[i,1,2] : f32[n]", 4, 19, "too many subscripts"},
        {HEAD "%z = comp [i] map add(%y[i], 1) : f32[n]", 4, 19, "add does not take operands of these types"},
        {HEAD "%z = comp [i] map %x[i,{%x[i,0]}] : f32[n]", 4, 33, "an indirect subscript is i32"},
        {HEAD "%z = comp [i] map foo(1) : f32[n]", 4, 19, "unknown operation 'foo'"},
        {HEAD "%z = comp [i] cast 1 : f32[n]", 4, 15, "unknown word 'cast'"},
        {HEAD "%z = comp [i | r<2] map 1 : f32[n]", 4, 1, "a map has no variables but its outs"},
        {HEAD "%z = comp [i | r<2] all 1 : pred[n]", 4, 1, "all of f32"},
        {HEAD "%z = comp [i] sum 1 : f32[]", 4, 1, "one axis per out"},
        {HEAD "%z = comp [i ; p=(i)/0<2] sum 1 : f32[n]", 4, 23, "the divisor is 0"},
        {HEAD "%z = comp [i ; p=p<2] sum 1 : f32[n]", 4, 18, "no variable is called 'p' here"},
        {HEAD "%z = gather %x, %x : f32[n,4,4]", 4, 1, "an index of type f32, not i32"},
        {HEAD "%z = reshape %x : f32[12]", 4, 1, "the counts of elements differ"},
        {HEAD "%z = reshape %x : f32[4,n]", 4, 1, "the counts of elements differ"},
        {HEAD "%z = param \"\\q\" : f32[]", 4, 15, "a string knows the escapes"},
        {HEAD "%z = param \"w : f32[]\n", 4, 22, "the string does not end"},
        {HEAD "set %x = %x\n}", 4, 5, "only a parameter or a state is set"},
        {HEAD "%w = param \"w\" : f32[4]\nset %w = %x\n}", 5, 5, "the two types differ"},
        {HEAD "%w = param \"w\" : f32[4]\n%v = param \"w\" : f32[5]", 5, 1, "another leaf has this key"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        Arena *a = arena_new();
        Diag  *d;
        assert_null(ir_parse(a, BAD[i].text, &d));
        assert_int_equal(d->list.n, 1);
        const Message *m = &d->list.at[0];
        if (!strstr(m->text, BAD[i].says) || m->loc.line != BAD[i].line || m->loc.col != BAD[i].col)
            fail_msg("%s\ngives %d:%d: %s", BAD[i].text, m->loc.line, m->loc.col, m->text);
        assert_int_equal(m->code, E_SYNTAX);
        arena_free(a);
    }
}

static void nesting_is_limited(void **state) {
    (void)state;
    Arena *a = arena_new();
    for (int deep = 100; deep <= 100000; deep *= 1000) {
        Buf b = buf_new(a);
        buf_puts(&b, "graph g() { %z = comp [] map ");
        for (int i = 0; i < deep; i++) buf_puts(&b, "neg(");
        buf_puts(&b, "1");
        for (int i = 0; i < deep; i++) buf_putc(&b, ')');
        buf_puts(&b, " : f32[] }");
        Diag  *d;
        Graph *g = ir_parse(a, b.s, &d);
        if (deep == 100) {
            assert_non_null(g);
            continue;
        }
        assert_null(g);
        assert_non_null(strstr(d->list.at[0].text, "nested too deep"));
    }
    arena_free(a);
}

/* Texts with a few bytes changed, cut or doubled either give one message or a graph that prints and parses
 * again; whether it verifies does not matter. */
static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void mutilate(char *text, uint64_t *seed) {
    static const char BYTES[] = "%[]{}(),:;|<=+-*?/\"#09naix. \n\\";
    size_t n = strlen(text);
    for (uint32_t k = 1 + next_random(seed) % 3; k; k--) {
        size_t at = next_random(seed) % n, from = next_random(seed) % n, len = next_random(seed) % 12;
        if (len > n - at) len = n - at;
        if (len > n - from) len = n - from;
        switch (next_random(seed) % 3) {
        case 0: text[at] = BYTES[next_random(seed) % (sizeof BYTES - 1)]; break;
        case 1: memmove(text + at, text + from, len); break;
        case 2: memset(text + at, ' ', len); break;
        }
    }
}

static void try_mutations(const char *path, const char *text) {
    uint64_t seed = 1;
    int      parsed = 0;
    (void)path;
    for (int i = 0; i < 400; i++) {
        Arena *a = arena_new();
        Diag  *d;
        char  *bad = arena_strdup(a, text);
        const char *why;
        mutilate(bad, &seed);
        Graph *g = ir_parse(a, bad, &d);
        assert_int_equal(d->list.n, g ? 0 : 1);
        if (g) {
            char *printed = graph_text(g, a);
            assert_string_equal(graph_text(ir_graph(a, printed), a), printed);
            graph_verify(g, &why);
            parsed++;
        }
        arena_free(a);
    }
    assert_true(parsed > 0 && parsed < 400);
}

static void mutilated_texts(void **state) {
    (void)state;
    each_golden(try_mutations);
}

static void pictures(void **state) {
    (void)state;
    Arena *a = arena_new();
    size_t size = file_read(a, SOURCE_DIR "/tests/golden/ir/conv.ir", 1 << 20, &size) ? size : 0;
    char  *text = file_read(a, SOURCE_DIR "/tests/golden/ir/conv.ir", 1 << 20, NULL), *dot;
    FILE  *f = open_memstream(&dot, &size);
    graph_dot(ir_good(a, text), f);
    fclose(f);
    assert_non_null(strstr(dot, "n3 [fillcolor=\"#dbe9f7\", label=\"%3 comp sum\\nf32[n,2,3,3]\\nNet.c1  conv.net:3\"];"));
    assert_non_null(strstr(dot, "n5 [fillcolor=\"#f4cccc\""));
    assert_non_null(strstr(dot, "n1 -> n3;"));
    assert_non_null(strstr(dot, "n4 -> o0;"));
    free(dot);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_is_parsed),
        cmocka_unit_test(every_row_has_an_example),
        cmocka_unit_test(every_scalar),
        cmocka_unit_test(documented),
        cmocka_unit_test(free_forms),
        cmocka_unit_test(variables_get_distinct_names),
        cmocka_unit_test(origin_survives),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(mutilated_texts),
        cmocka_unit_test(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
