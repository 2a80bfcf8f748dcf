/* Wrong programs get the message that is due, at its place: the first line of every file of
 * tests/golden/errors (the mistakes of the language's reference) and tests/golden/diag (one file for each
 * code, named by it). A line "# override: name=value" sets a value as the command line would. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"

static bool nine_symbols(void *cx, const DimInfo *d, int64_t *size, const char **why) {
    (void)cx, (void)d, (void)why;
    *size = 9;
    return true;
}

static const Message *first_message(const Diag *d) {
    for (int i = 0; i < d->list.n; i++)
        if (d->list.at[i].level != DIAG_NOTE) return &d->list.at[i];
    return NULL;
}

static const char *message_text(Arena *a, const Message *m) {
    if (!m) return "no error";
    if (!m->loc.src) return m->text;
    return arena_printf(a, "%s:%d:%d: %s", m->loc.src->name, m->loc.line, m->loc.col, m->text);
}

/* Everything that can report: the check, then the graphs. */
static void walk_all(Program *p, Arena *a) {
    if (!p || !program_check(p)) return;
    const ModelInfo *m = program_model(p);
    if (m && m->objective.name) program_objective(p, true, 4, a);
    for (int i = 0; m && i < m->nentry; i++) program_entry(p, i, 4, a);
}

static void check_file(const char *dir, const char *name) {
    Arena *a = arena_new();
    Diag *d = diag_new(a);
    size_t size;
    const char *path = arena_printf(a, "%s/%s", dir, name);
    char *text = file_read(a, path, 1 << 20, &size);
    assert_non_null(text);
    if (strstr(text, "\n# args: ")) return arena_free(a);          /* said later than the check: check_errors.sh */
    char *want = arena_strndup(a, text + 2, strcspn(text + 2, "\n"));
    FrontOptions o = {.vocab = nine_symbols};
    Override set;
    const char *line = strstr(text, "\n# override: ");
    if (line) {
        char *s = arena_strndup(a, line + 13, strcspn(line + 13, "\n"));
        char *eq = strchr(s, '=');
        *eq = 0;
        set = (Override){s, eq + 1, false};
        o.override = &set;
        o.noverride = 1;
    }
    walk_all(program_load(a, d, path, &o), a);
    const Message *m = first_message(d);
    const char *got = message_text(a, m);
    if (strcmp(got, want)) fail_msg("%s:\n  due %s\n  got %s", name, want, got);
    if (strchr("EW", name[0]) && strncmp(diag_code(m->code), name, 5))
        fail_msg("%s is reported as %s", name, diag_code(m->code));
    arena_free(a);
}

static int check_folder(const char *dir) {
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, ".net")) check_file(dir, e->d_name), n++;
    closedir(d);
    return n;
}

/* Programs without a mistake, sequences included, check. */
static void right_programs(void **state) {
    (void)state;
    const char *dir = SOURCE_DIR "/tests/golden/programs";
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".net")) continue;
        Arena *a = arena_new();
        Diag *diag = diag_new(a);
        FrontOptions o = {.vocab = nine_symbols};
        Program *p = program_load(a, diag, arena_printf(a, "%s/%s", dir, e->d_name), &o);
        bool ok = p && program_check(p);
        if (!ok) diag_print(diag, stderr, false);
        assert_true(ok);
        arena_free(a);
        n++;
    }
    closedir(d);
    assert_true(n >= 12);
}

/* The examples of `netc explain`: a row's program holds the wrong one, and is right with the right one in its place.
 * Command lines and examples with a piece left out are no parts of programs. */
static void examples_of_the_rows(void **state) {
    (void)state;
    static const struct { const char *code, *wrong, *right; } ROWS[] = {
#define DIAG(id, code, title, text, wrong, right) {code, wrong, right},
#include "base/diag.def"
#undef DIAG
    };
    int tried = 0;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        Arena *a = arena_new();
        size_t size;
        const char *path = arena_printf(a, SOURCE_DIR "/tests/golden/diag/%s.net", ROWS[i].code);
        char *text = file_read(a, path, 1 << 20, &size);
        if (!text) fail_msg("%s has no program in tests/golden/diag", ROWS[i].code);
        bool part = strncmp(ROWS[i].wrong, "netc ", 5) && !strstr(ROWS[i].wrong, "...");
        char *at = strstr(text, ROWS[i].wrong);
        if (part && !at) fail_msg("%s.net does not hold the wrong example of its row", ROWS[i].code);
        if (part) {
            const char *right = arena_printf(a, "%.*s%s%s", (int)(at - text), text, ROWS[i].right,
                                             at + strlen(ROWS[i].wrong));
            Diag *d = diag_new(a);
            Program *p = program_load_text(a, d, ROWS[i].code, right, NULL);
            if (!p || !program_check(p) || d->warnings)
                fail_msg("the right example of %s: %s", ROWS[i].code, message_text(a, first_message(d)));
            tried++;
        }
        arena_free(a);
    }
    assert_true(tried >= 55);
}

static void errors_of_the_reference(void **state) {
    (void)state;
    assert_true(check_folder(SOURCE_DIR "/tests/golden/errors") >= 30);
}

static void every_code(void **state) {
    (void)state;
    assert_true(check_folder(SOURCE_DIR "/tests/golden/diag") >= 40);
}

/* One run reports the mistakes of all statements, each once, and nothing that only follows from them. */
static void many_errors(void **state) {
    (void)state;
    static const char TEXT[] = "dim D = 4\n"
                               "fn f(x: [D]) -> [D] = x + zz\n"
                               "model M {\n"
                               "  a = Dense(3)\n"
                               "  objective(x: [D], y: [D]) {\n"
                               "    u = a(x) + a(f(y))\n"
                               "    v = u + qq\n"
                               "    w[i] = v[i] + 3*i\n"
                               "    loss sum(w) + u\n"
                               "    metric k = x\n"
                               "  }\n"
                               "  entry e(x: [D]) = f(x)\n"
                               "}\n";
    static const int LINES[] = {2, 7, 10};
    Arena *a = arena_new();
    Diag *d = diag_new(a);
    Program *p = program_load_text(a, d, "many.net", TEXT, NULL);
    assert_non_null(p);
    assert_false(program_check(p));
    assert_int_equal(d->errors, 3);
    for (int i = 0, k = 0; i < d->list.n; i++)
        if (d->list.at[i].level == DIAG_ERROR) assert_int_equal(d->list.at[i].loc.line, LINES[k++]);
    arena_free(a);
}

/* The list of d in letters: Error, Warning, note. */
static void expect_messages(const char *text, const char *due, int errors, int warnings) {
    Arena *a = arena_new();
    Diag *d = diag_new(a);
    Program *p = program_load_text(a, d, "x.net", text, NULL);
    assert_non_null(p);
    program_check(p);
    bool same = (int)strlen(due) == d->list.n;
    for (int i = 0; same && i < d->list.n; i++) same = due[i] == "EWn"[d->list.at[i].level];
    if (!same) diag_print(d, stderr, false);
    assert_true(same);
    assert_int_equal(d->errors, errors);
    assert_int_equal(d->warnings, warnings);
    arena_free(a);
}

/* A layer is checked at each of its uses, in the objective and in entries; a mistake in it is one. */
static void mistakes_of_a_layer(void **state) {
    (void)state;
    expect_messages("layer L()(x: [n]) -> f32 {\n  y[i] = 2*i\n  return sum(y) + sum(x)\n}\n"
                    "model M {\n  a = L()\n  objective(x: [4]) { loss a(x) + L()(x) }\n  entry e(x: [4]) = a(x)\n}\n",
                    "E", 1, 0);
    expect_messages("layer L()(x: [n]) -> [n] {\n  state mu: [n] = 0\n  y[i] = x[i] + mu[i]\n  return y\n}\n"
                    "model M { objective(x: [3]) { loss sum(x |> L() |> L()) } }\n",
                    "W", 0, 1);
    expect_messages("layer L()(x: [n]) -> [n] {\n  y[i < 5] = x[i]\n  return y\n}\n"
                    "model M { objective(x: [3]) { loss sum(L()(x)) + sum(L()(x)) } }\n",
                    "E", 1, 0);
}

/* Notes follow each message that they belong to, also where another one has had the same note. */
static void notes_of_each_message(void **state) {
    (void)state;
    expect_messages("fn same(x: [4], d) -> [4] = x\ndata D(x: [4], y: [4]) {\n"
                    "  train = csv(\"a.csv\") |> expand(same, u, [[0]])\n"
                    "  valid = csv(\"b.csv\") |> expand(same, v, [[0]])\n}\n",
                    "EnEn", 2, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_of_the_reference), cmocka_unit_test(every_code), cmocka_unit_test(examples_of_the_rows),
        cmocka_unit_test(many_errors), cmocka_unit_test(right_programs), cmocka_unit_test(mistakes_of_a_layer),
        cmocka_unit_test(notes_of_each_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
