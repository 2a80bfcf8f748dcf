/* The code blocks of the documentation are whole programs: every ```net block of docs/ and README.md checks, and
 * its functions become graphs. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "frontend/frontend.h"

static bool thirty_symbols(void *cx, const DimInfo *d, int64_t *size, const char **why) {
    (void)cx, (void)d, (void)why;
    *size = 30;
    return true;
}

static bool make_graphs(Program *p, Arena *a) {
    const ModelInfo *m = program_model(p);
    if (m && m->objective.name && !program_objective(p, true, 4, a)) return false;
    for (int i = 0; m && i < m->nentry; i++)
        if (!program_entry(p, i, 4, a)) return false;
    return true;
}

static void compile_block(const char *name, const char *text) {
    FrontOptions options = {.vocab = thirty_symbols};
    Arena       *a = arena_new();
    Diag        *d = diag_new(a);
    Program     *p = program_load_text(a, d, name, text, &options);
    bool         ok = p && program_check(p) && make_graphs(p, a);
    diag_print(d, stderr, false);
    if (!ok || d->list.n) fail_msg("a code block of %s does not compile without a message", name);
    arena_free(a);
}

/* The number of ```net blocks in a file. Lines before a block become empty ones, so that places are the file's. */
static int compile_blocks(Arena *a, const char *path) {
    static const char FENCE[] = "\n```net\n";
    char *text = file_read(a, path, 1 << 20, NULL);
    int   n = 0;
    assert_non_null(text);
    for (char *at = text; (at = strstr(at, FENCE)); n++) {
        char *begin = at + sizeof FENCE - 1, *end = strstr(begin, "\n```");
        assert_non_null(end);
        Buf b = buf_new(a);
        for (const char *s = text; s < begin; s++)
            if (*s == '\n') buf_putc(&b, '\n');
        buf_printf(&b, "%.*s\n", (int)(end - begin), begin);
        compile_block(strrchr(path, '/') + 1, b.s);
        at = end;
    }
    return n;
}

static void code_blocks(void **state) {
    (void)state;
    Arena *a = arena_new();
    glob_t files;
    assert_true(compile_blocks(a, SOURCE_DIR "/docs/language.md") >= 12);
    assert_true(compile_blocks(a, SOURCE_DIR "/README.md") >= 3);
    assert_int_equal(glob(SOURCE_DIR "/*.md", 0, NULL, &files), 0);
    assert_int_equal(glob(SOURCE_DIR "/docs/*.md", GLOB_APPEND, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) compile_blocks(a, files.gl_pathv[i]);
    globfree(&files);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(code_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
