/* Registers suffice: in the innermost loops of the contractions of a training step, for every target, the assembly is
 * searched for loads and stores of the stack, where LLVM puts what finds no register. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "passes/kernels.h"
#include "tests/unit/net_util.h"

#define NET(dims, layers)                                                                                      \
    "net 1\n dim K = 10\n data D(x: " dims ", y: K) { train = npz(\"a\") }\n model Net { objective(x: " dims ", y: K) {\n" \
    " z = x " layers " |> Dense(K) as out\n loss xent(z, y) } }\n train Net on D { batch = 10; optimizer = sgd(0.1) }\n"

/* Convolutions with pools (forward with the pool, backward through it), without, with a stride; dense layers. */
static const struct { const char *name, *text; } NETS[] = {
    {"pooled", NET("[1,28,28]", "|> Conv(20, 5) as c1 |> relu |> maxpool(2) |> Conv(40, 5) as c2 |> relu |> maxpool(2) |> flatten")},
    {"conv", NET("[16,16,16]", "|> Conv(16, 3, pad=1) as c1 |> relu |> Conv(32, 3, pad=1) as c2 |> relu |> global_avgpool")},
    {"lstm", "net 1\n dim K = 10\n dim T = 16\n data D(x: [T,40], y: K) { train = npz(\"a\") }\n model Net {\n cell = Lstm(96)\n"
             " out = Dense(K)\n objective(x: [T,40], y: K) {\n"
             " scan t in T { h[t], c[t] = cell(x[t], h[t-1], c[t-1]) from zeros, zeros }\n loss xent(out(h[T-1]), y) } }\n"
             " train Net on D { batch = 32; optimizer = sgd(0.1) }\n"},
    {"dense", NET("[640]", "|> Dense(500) as f1 |> relu |> Dense(300) as f2 |> relu")},
};
enum { NNETS = sizeof NETS / sizeof *NETS, FEW = 8 };   /* FEW: loops with fewer multiply-adds are no contractions */

/* Instructions of one loop that may touch the stack; 0 where there is no row. */
#define ROWS_OF_EXP "softmax of the loss, not a contraction: the constants of exp want registers, too"
#define SUMS_APART "without a fused multiply-add, LLVM holds several products before it adds them"
static const struct { const char *net; TargetId target; int most; const char *why; } ALLOWED[] = {
    {"pooled", TARGET_AVX512, 2, "grad of c2.w: its list of points lies on the stack"},
    {"pooled", TARGET_AVX2, 12, ROWS_OF_EXP}, {"conv", TARGET_AVX2, 12, ROWS_OF_EXP}, {"dense", TARGET_AVX2, 12, ROWS_OF_EXP},
    {"lstm", TARGET_AVX512, 1, "the bound of the batch, in a weight gradient's loop over time and batch"},
    {"lstm", TARGET_AVX2, 12, ROWS_OF_EXP}, {"lstm", TARGET_SSE2, 24, SUMS_APART},
    {"pooled", TARGET_SSE2, 24, SUMS_APART}, {"conv", TARGET_SSE2, 18, SUMS_APART}, {"dense", TARGET_SSE2, 22, SUMS_APART},
};

/* ---- assembly -------------------------------------------------------------------------------------- */

typedef struct {
    char **line;
    int    n;
} Text;

static Text lines_of(Arena *a, char *text) {
    Text t = {0};
    for (char *p = text; *p; p++) t.n += *p == '\n';
    t.line = ARENA_ARRAY(a, char *, t.n + 1);
    t.n = 0;
    for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n")) t.line[t.n++] = p;
    return t;
}

static bool is_local_label(const char *line) { return !strncmp(line, ".L", 2); }
static bool is_function(const char *line) { return *line != '\t' && *line != ' ' && *line != '.' && strchr(line, ':'); }

/* The line of the label that a branch goes back to; -1: no branch, or forward. */
static int loop_start(const Text *t, int at) {
    const char *line = t->line[at], *label = strstr(line, ".L");
    if (*line != '\t' || !label || strchr("jbct", line[1]) == NULL) return -1;
    size_t n = strcspn(label, " \t,");
    for (int i = at; i >= 0 && !is_function(t->line[i]); i--)
        if (is_local_label(t->line[i]) && !strncmp(t->line[i], label, n) && t->line[i][n] == ':') return i;
    return -1;
}

static bool has_any(const char *line, const char *const *words) {
    for (; *words; words++)
        if (strstr(line, *words)) return true;
    return false;
}

/* Stack accesses of the innermost loop from .. to; -1 if it is no contraction: few products, or a division, as in the
 * tanh of a cell's gates, whose constants and steps want more registers than there are. */
static int spills_of(const Text *t, int from, int to) {
    static const char *const PRODUCTS[] = {"vfmadd", "vfnmadd", "vmulps", "\tmulps", "fmla", "fmul", "fmadd", NULL};
    static const char *const STACK[] = {"(%rsp", "[sp", NULL};
    static const char *const DIVISIONS[] = {"divps", "fdiv", NULL};
    int products = 0, stack = 0;
    for (int i = from; i <= to; i++) {
        if (has_any(t->line[i], DIVISIONS)) return -1;
        products += has_any(t->line[i], PRODUCTS);
        stack += has_any(t->line[i], STACK);
    }
    return products < FEW ? -1 : stack;
}

/* The most of any loop; *where: the nest. */
static int worst_loop(const Text *t, const char **where) {
    const char *function = "";
    int         most = 0, inner = -1;   /* inner: end of the last loop */
    for (int i = 0; i < t->n; i++) {
        if (is_function(t->line[i])) function = t->line[i];
        int start = loop_start(t, i);
        if (start < 0) continue;
        if (start > inner) {
            int n = spills_of(t, start, i);
            if (n > 0) print_message("    %.40s %d of %d lines\n", function, n, i - start);
            if (n > most) most = n, *where = function;
        }
        inner = i;
    }
    return most;
}

/* ---- the nets -------------------------------------------------------------------------------------- */

static Place any_place(void *cx, const Node *leaf) {
    (void)cx;
    Space s = leaf->op == OP_INPUT ? SPACE_SCALAR : leaf->op == OP_PARAM ? SPACE_WEIGHTS : SPACE_STATE;
    return (Place){.space = s, .offset = leaf->op == OP_INPUT ? 0 : (int64_t)leaf->id << 24};
}

static char *assembly(Arena *a, int net, const Target *t) {
    const char   *why = "", *path = arena_printf(a, "/tmp/netc_spills_%d.s", (int)getpid());
    KernelOptions o = {.level = 2, .place = any_place};
    Graph        *g = net_training_step(a, NETS[net].name, NETS[net].text);
    size_t        n;
    passes_run(g, &(PassOptions){.level = 2, .out = stderr});
    Codegen *cg = codegen_new(a, t, 2, "spills");
    codegen_function(cg, kernels_build(a, g, t, &o));
    codegen_function_table(cg, "spills_functions");
    if (!codegen_asm(cg, path, &why)) fail_msg("%s", why);
    codegen_free(cg);
    char *text = file_read(a, path, 1 << 28, &n);
    unlink(path);
    assert_non_null(text);
    return text;
}

static void check_target(TargetId id) {
    Target t;
    target_row(&t, id);
    int failed = 0;
    for (int k = 0; k < NNETS; k++) {
        Arena      *a = arena_new();
        const char *where = "";
        Text        text = lines_of(a, assembly(a, k, &t));
        int         most = worst_loop(&text, &where), allowed = 0;
        const char *reason = "";
        for (size_t i = 0; i < sizeof ALLOWED / sizeof *ALLOWED; i++)
            if (ALLOWED[i].target == id && !strcmp(ALLOWED[i].net, NETS[k].name))
                allowed = ALLOWED[i].most, reason = ALLOWED[i].why;
        print_message("%-7s %-7s %d stack accesses in a loop, %d allowed%s%s\n", t.name, NETS[k].name, most, allowed,
                      *reason ? ": " : "", reason);
        failed += most > allowed;
        arena_free(a);
    }
    if (failed) fail_msg("%s: %d nets with more", t.name, failed);
}

static void test_avx512(void **state) { (void)state, check_target(TARGET_AVX512); }
static void test_avx2(void **state) { (void)state, check_target(TARGET_AVX2); }
static void test_sse2(void **state) { (void)state, check_target(TARGET_SSE2); }
static void test_neon(void **state) { (void)state, check_target(TARGET_NEON); }

/* The count finds what there is: a loop around a loop, a spill in each. */
static void test_count(void **state) {
    (void)state;
    char text[] = "f:\n.L1:\n\tvmovups\t8(%rsp), %ymm0\n.L2:\n\tvfmadd1\n\tvfmadd1\n\tvfmadd1\n\tvfmadd1\n\tvfmadd1\n\tvfmadd1\n"
                  "\tvfmadd1\n\tvfmadd1\t(%rsp), %ymm1\n\tvmovups\t%ymm1, 64(%rsp)\n\tjl\t.L2\n\tjne\t.L1\n";
    Arena      *a = arena_new();
    Text        t = lines_of(a, text);
    const char *where = "";
    assert_int_equal(worst_loop(&t, &where), 2);
    assert_string_equal(where, "f:");
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count), cmocka_unit_test(test_avx512), cmocka_unit_test(test_avx2),
        cmocka_unit_test(test_sse2),  cmocka_unit_test(test_neon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
