/* tests/golden/passes/NAME/x.ir: a graph, and in x.ir.out what the passes of its first line make of it,
 *
 *     # args: --passes=fold,dce          or          # args: --grad --passes=fold
 *
 * (--grad: differentiate first). UPDATE=1 writes the x.ir.out anew; look at the difference. */
#include <glob.h>

#include "base/str.h"
#include "tests/unit/passes_util.h"

static char *args_of(Arena *a, const char *text) {
    static const char START[] = "# args:";
    if (strncmp(text, START, sizeof START - 1)) fail_msg("the first line does not begin with '%s'", START);
    return arena_strndup(a, text + sizeof START - 1, strcspn(text, "\n") - (sizeof START - 1));
}

/* Runs what the arguments say; the values must stay the same. */
static char *result(Arena *a, const char *path, const char *text) {
    Graph *g = ir_good(a, text), *plain = ir_good(a, text);
    for (char *arg = strtok(args_of(a, text), " "); arg; arg = strtok(NULL, " ")) {
        if (!strcmp(arg, "--grad")) {
            grad_params(g);
            grad_params(plain);
            must_verify(g, path);
        } else if (!strncmp(arg, "--passes=", 9)) {
            run_passes(g, arg + 9, NULL);
        } else {
            fail_msg("%s: what is '%s'?", path, arg);
        }
    }
    same_values(a, plain, g, 1, 0, path);
    return graph_text(g, a);
}

static void golden(void **state) {
    (void)state;
    Arena *a = arena_new();
    glob_t files;
    int    bad = 0;
    assert_int_equal(glob(SOURCE_DIR "/tests/golden/passes/*/*.ir", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *path = files.gl_pathv[i], *out = arena_printf(a, "%s.out", path);
        char       *text = file_read(a, path, 1 << 20, NULL), *got = result(a, path, text);
        if (getenv("UPDATE")) assert_true(file_write(out, got, strlen(got)));
        const char *want = file_read(a, out, 1 << 20, NULL);
        if (want && !strcmp(got, want)) continue;
        print_error("%s: got\n%s", path, got);
        bad++;
    }
    globfree(&files);
    arena_free(a);
    assert_int_equal(bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
