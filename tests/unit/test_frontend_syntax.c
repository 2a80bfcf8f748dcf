/* The parser: trees and messages of tests/golden/syntax, limits, places, expressions written back.
 * tests/golden/syntax/x.net is compared with x.ast (its tree) or x.err (its messages).
 * UPDATE=1 rewrites those files: look at the difference before you commit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glob.h>

#include "base/str.h"
#include "frontend/ast.h"
#include "frontend/std_files.h"

static Arena *arena;
static Diag  *diag;

static int begin(void **state) {
    (void)state;
    arena = arena_new();
    diag = diag_new(arena);
    return 0;
}

static int end(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static AstList *parse_bytes(const char *name, const char *text, size_t size) {
    Source *src = ARENA_NEW(arena, Source);
    *src = (Source){.name = name, .path = name, .text = text, .size = size};
    diag = diag_new(arena);
    return ast_parse(arena, diag, src);
}

static AstList *parse(const char *text) { return parse_bytes("x.net", text, strlen(text)); }

/* `n` times `s`. */
static const char *repeat(const char *s, int n) {
    size_t len = strlen(s);
    char  *text = arena_alloc(arena, len * (size_t)n + 1);
    for (int i = 0; i < n; i++) memcpy(text + len * (size_t)i, s, len);
    return text;
}

static const char *join(const char *a, const char *b, const char *c) { return arena_printf(arena, "%s%s%s", a, b, c); }

/* The first message is of that code at line:col. */
static void expect_error(const char *text, DiagCode code, int line, int col) {
    assert_null(parse(text));
    assert_true(diag->list.n > 0);
    const Message *m = &diag->list.at[0];
    assert_string_equal(diag_code(m->code), diag_code(code));
    assert_int_equal(m->loc.line, line);
    assert_int_equal(m->loc.col, col);
}

/* ---- golden files -------------------------------------------------------------------------------- */

static char *printed(const AstList *items) {
    char  *text = NULL;
    size_t size = 0;
    FILE  *out = open_memstream(&text, &size);
    if (items) ast_print(items, out);
    else diag_print(diag, out, false);
    fclose(out);
    return text;
}

static void check_golden(const char *path) {
    size_t      size;
    const char *text = file_read(arena, path, 1 << 20, &size);
    assert_non_null(text);
    AstList *items = parse_bytes(strrchr(path, '/') + 1, text, size);
    char    *got = printed(items);
    const char *file = arena_printf(arena, "%.*s.%s", (int)strlen(path) - 4, path, items ? "ast" : "err");
    if (getenv("UPDATE")) assert_true(file_write(file, got, strlen(got)));
    const char *want = file_read(arena, file, 1 << 20, NULL);
    if (!want) fail_msg("%s is missing", file);
    if (strcmp(got, want)) fail_msg("%s differs from what the parser gives:\n%s", file, got);
    free(got);
}

static void golden_files(void **state) {
    (void)state;
    glob_t files;
    assert_int_equal(glob(SOURCE_DIR "/tests/golden/syntax/*.net", 0, NULL, &files), 0);
    assert_true(files.gl_pathc >= 6);
    for (size_t i = 0; i < files.gl_pathc; i++) check_golden(files.gl_pathv[i]);
    globfree(&files);
}

static void standard_library(void **state) {
    (void)state;
    int n = 0;
    for (const StdFile *f = std_files; f->name; f++, n++)
        if (!parse_bytes(f->name, f->text, strlen(f->text))) fail_msg("%s does not parse", f->name);
    assert_true(n >= 8);
}

/* ---- limits: one below, at, and one above --------------------------------------------------------- */

static void nesting(void **state) {
    (void)state;
    const char *open[] = {"(", "[", "f("}, *close[] = {")", "]", ")"};
    for (int i = 0; i < 3; i++) {
        assert_non_null(parse(join("y = ", repeat(open[i], 255), join("x", repeat(close[i], 255), "\n"))));
        assert_non_null(parse(join("y = ", repeat(open[i], 256), join("x", repeat(close[i], 256), "\n"))));
        expect_error(join("y = ", repeat(open[i], 257), join("x", repeat(close[i], 257), "\n")), E_LIMIT_DEPTH, 1,
                     5 + 256 * (int)strlen(open[i]) + (int)strlen(open[i]) - 1);
        assert_int_equal(diag->list.n, 1);
    }
    expect_error(join("y = ", repeat("(", 100000), ""), E_LIMIT_DEPTH, 1, 261);
    expect_error(repeat("model M {", 300), E_LIMIT_DEPTH, 1, 9 * 257);
}

static void height(void **state) {
    (void)state;
    const char *chain[] = {"+x", "|>f", "(1)", "[0]", ".a"};
    for (int i = 0; i < 5; i++) {
        assert_non_null(parse(join("y = x", repeat(chain[i], 900), "\n")));
        assert_null(parse(join("y = x", repeat(chain[i], 1001), "\n")));
        assert_int_equal(diag->list.n, 1);
        assert_int_equal(diag->list.at[0].code, E_LIMIT_DEPTH);
    }
    const char *prefix[] = {"-", "not ", "x^", "if a then b else "};
    for (int i = 0; i < 4; i++) {
        assert_non_null(parse(join("y = ", repeat(prefix[i], 900), "x\n")));
        assert_null(parse(join("y = ", repeat(prefix[i], 100000), "x\n")));
        assert_int_equal(diag->list.n, 1);
        assert_int_equal(diag->list.at[0].code, E_LIMIT_DEPTH);
    }
}

static void sizes(void **state) {
    (void)state;
    assert_non_null(parse(join(repeat("a", 255), " = 1\n", "")));
    assert_non_null(parse(join(repeat("a", 256), " = 1\n", "")));
    expect_error(join("y = ", repeat("a", 257), "\n"), E_LIMIT_TEXT, 1, 5);
    /* y = [ 1 then n times , 1 then ] and the ends of line and file: 7 + 2n; a ';' is one more */
    assert_non_null(parse(join("y=[1", repeat(",1", 999996), "]\n")));
    assert_non_null(parse(join("y=[1", repeat(",1", 999996), "];\n")));
    expect_error(join("y=[1", repeat(",1", 999997), "]\n"), E_LIMIT_TEXT, 2, 1);
    enum { MAX = 16 << 20 };
    char *blanks = arena_alloc(arena, MAX + 2);
    memset(blanks, ' ', MAX + 1);
    assert_non_null(parse_bytes("x.net", blanks, MAX - 1));
    assert_non_null(parse_bytes("x.net", blanks, MAX));
    assert_null(parse_bytes("x.net", blanks, MAX + 1));
    assert_int_equal(diag->list.at[0].code, E_LIMIT_TEXT);
}

static double number(const char *text) {
    AstList *items = parse(join("y = ", text, "\n"));
    assert_non_null(items);
    return items->at[0]->args.at[0]->num;
}

static void numbers(void **state) {
    (void)state;
    assert_true(number("10_000") == 10000);
    assert_true(number("1e-3") == 1e-3);
    assert_true(number("0.1") == 0.1);
    assert_true(number("9007199254740991") == 9007199254740991.0);
    assert_true(number("9007199254740992") == 9007199254740992.0);
    assert_true(number("1e308") == 1e308);
    assert_true(number("1e-400") == 0);
    expect_error("y = 9007199254740994\n", E_LIMIT_NUMBER, 1, 5);
    expect_error("y = 4611686018427387904\n", E_LIMIT_NUMBER, 1, 5);
    expect_error("y = 1e309\n", E_LIMIT_NUMBER, 1, 5);
    expect_error(join("y = ", repeat("1", 500), "\n"), E_LIMIT_NUMBER, 1, 5);
}

/* ---- characters ---------------------------------------------------------------------------------- */

static void characters(void **state) {
    (void)state;
    assert_null(parse_bytes("x.net", "a = 1\nb\0 = 2\n", 14));
    assert_int_equal(diag->list.at[0].loc.line, 2);
    assert_int_equal(diag->list.at[0].loc.col, 2);
    assert_null(parse_bytes("x.net", "# \0\n", 4));
    expect_error("a = 1\nh\303\251 = 2\n", E_SYNTAX_CHAR, 2, 2);
    assert_non_null(parse("# \303\251\na = \"\303\251\"\n"));
    assert_non_null(parse("a = 1\r\nb = 2\r\n"));
    assert_non_null(parse(""));
    assert_non_null(parse("a = 1"));
    AstList *items = parse("a = \"x\\n\\t\\\"\\\\y\"\n");
    assert_non_null(items);
    assert_string_equal(items->at[0]->args.at[0]->name, "x\n\t\"\\y");
}

static void many_errors(void **state) {
    (void)state;
    assert_null(parse(repeat("y = 3 3\n", 1000)));
    assert_int_equal(diag->list.n, DIAG_LIMIT);
}

/* ---- expressions written back --------------------------------------------------------------------- */

/* What is written comes back with as few brackets as its meaning needs. */
static void expressions_as_text(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } ROWS[] = {
        {"(H + 2*pad - dilation*(k-1) - 1)/stride + 1", "(H+2*pad-dilation*(k-1)-1)/stride+1"},
        {"a - (b - c)", "a-(b-c)"}, {"(a - b) - c", "a-b-c"}, {"2*(a/b)", "2*(a/b)"}, {"(2*a)/b", "2*a/b"},
        {"-x^2", "-x^2"}, {"(-x)^2", "(-x)^2"}, {"2^(a^b)", "2^a^b"}, {"(a^b)^c", "(a^b)^c"}, {"2^-3", "2^-3"},
        {"-(-x)", "--x"}, {"-(a*b)", "-(a*b)"}, {"(-a)*b", "-a*b"},
        {"(a == b) == c", "(a==b)==c"}, {"(not a) == b", "(not a)==b"}, {"not (a == b)", "not a==b"},
        {"(a and b) or c", "a and b or c"}, {"(a or b) and c", "(a or b) and c"},
        {"x |> f(1) |> g as h", "x|>f(1)|>g as h"}, {"(x |> f) + 1", "(x|>f)+1"}, {"x |> (f + g)", "x|>(f+g)"},
        {"if a then b else c + 1", "if a then b else c+1"}, {"(if a then b else c) + 1", "(if a then b else c)+1"},
        {"x[i, 0:n, :] ?? -inf", "x[i, 0:n, :] ?? -inf"}, {"(x[i] ?? 0)*2", "x[i] ?? 0*2"},
        {"f(1, k = 2).w[0]", "f(1, k=2).w[0]"}, {"(a + b).w", "(a+b).w"}, {"[[1, 0.5], [2, 3]]", "[[1, 0.5], [2, 3]]"},
        {"(a, true)", "(a, true)"}, {"\"t\\\"\"", "\"t\\\"\""},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        AstList *items = parse(join("y = ", ROWS[i].in, "\n"));
        assert_non_null(items);
        const char *text = ast_text(arena, items->at[0]->args.at[0]);
        assert_string_equal(text, ROWS[i].out);
        items = parse(join("y = ", text, "\n"));
        assert_non_null(items);
        assert_string_equal(ast_text(arena, items->at[0]->args.at[0]), text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(golden_files, begin, end),
        cmocka_unit_test_setup_teardown(standard_library, begin, end),
        cmocka_unit_test_setup_teardown(nesting, begin, end),
        cmocka_unit_test_setup_teardown(height, begin, end),
        cmocka_unit_test_setup_teardown(sizes, begin, end),
        cmocka_unit_test_setup_teardown(numbers, begin, end),
        cmocka_unit_test_setup_teardown(characters, begin, end),
        cmocka_unit_test_setup_teardown(many_errors, begin, end),
        cmocka_unit_test_setup_teardown(expressions_as_text, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
