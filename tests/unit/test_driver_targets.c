/* Training steps, of random networks and graphs too, as object files for every target, linked into a program for that
 * machine and run: the interpreter's numbers within the bound of tests/random/error_bound.h, the same bits with one,
 * two and three threads. x86-64 runs under qemu as the least processor that the target promises to be enough, aarch64
 * under qemu, AVX-512, which qemu does not know, under Bochs (tests/avx512.sh) where the processor has none; what a
 * machine has not (emulators, cross compiler) is named and skipped.
 *
 *     NETC_SEED=7 NETC_COUNT=100 test_driver_targets     with the random subjects 7 .. 106 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/random/campaign.h"
#include "tests/random/error_bound.h"
#include "tests/random/random_graph.h"
#include "tests/random/random_net.h"
#include "tests/unit/folder_util.h"
#include "tests/unit/kernel_util.h"
#include "tests/unit/net_util.h"

static const struct { const char *name, *text; } NETS[] = {
    {"chapter",
     "net 1\n dim Digit = 10\n data D(img: [1,28,28], label: Digit) { train = idx(\"a\", \"b\") }\n model Net {\n"
     " objective(img: [1,28,28], label: Digit) {\n"
     "  z = img |> Conv(20, 5) as c1 |> relu |> maxpool(2) |> Conv(40, 5) as c2 |> relu |> maxpool(2) |> flatten\n"
     "   |> Dense(100) as fc |> relu |> Dense(Digit) as out\n  loss xent(z, label) } }\n"
     "train Net on D { batch = 2; optimizer = sgd(0.1) }\n"},
    {"maps",
     "net 1\n data D(x: [19], y: [19]) { train = npz(\"a\") }\n model Net {\n"
     " param s: [19] ~ normal(1)\n objective(x: [19], y: [19]) {\n"
     "  a[i] = tanh(s[i] * x[i]) + sigmoid(x[i]) * exp(-x[i]^2)\n"
     "  b[i] = log(1 + exp(a[i])) + sqrt(abs(x[i]) + 0.1) + sin(3 * a[i]) * cos(x[i])\n"
     "  loss mean((b - y)^2) } }\n"
     "train Net on D { batch = 7; optimizer = adam(0.01) }\n"},
    {"strided",
     "net 1\n dim K = 5\n data D(img: [3,13,11], label: K) { train = npz(\"a\") }\n model Net {\n"
     " objective(img: [3,13,11], label: K) {\n"
     "  z = img |> Conv(9, 3, 2, 1) as c1 |> relu |> Conv(6, 1, 2) as c2 |> relu |> flatten |> Dense(K) as out\n"
     "  loss xent(z, label) } }\n"
     "train Net on D { batch = 3; optimizer = momentum(0.05) }\n"},
    {"dense",
     "net 1\n dim K = 7\n data D(x: [70], label: K) { train = npz(\"a\") }\n model Net {\n"
     " objective(x: [70], label: K) {\n"
     "  z = x |> Dense(67) as f1 |> relu |> dropout(0.3) |> Dense(33) as f2 |> tanh |> Dense(K) as out\n"
     "  loss xent(z, label) } }\n"
     "train Net on D { batch = 10; optimizer = sgd(0.1) }\n"},
};
enum { NNETS = sizeof NETS / sizeof *NETS, SEED = 3, STEP = 2, RANDOM = 12 };

/* How a program for a target is made and run: by qemu-user as a model of processor, or by the script that boots a
 * whole machine. */
static const struct { TargetId id; const char *compiler, *emulator, *model, *machine; } MACHINES[] = {
    {TARGET_AVX512, "cc", NULL, NULL, SOURCE_DIR "/tests/avx512.sh"},
    {TARGET_AVX2, "cc", "qemu-x86_64", "Haswell", NULL},
    {TARGET_AVX, "cc", "qemu-x86_64", "SandyBridge", NULL},
    {TARGET_SSE2, "cc", "qemu-x86_64", "qemu64", NULL},
    {TARGET_NEON, "aarch64-linux-gnu-gcc", "qemu-aarch64", "cortex-a57", NULL},
};
enum { NMACHINES = sizeof MACHINES / sizeof *MACHINES };
_Static_assert((int)NMACHINES == (int)TARGET_COUNT, "a way to run every target");

/* ---- a net's training step ------------------------------------------------------------------------- */

/* Weights small, labels below 3, slots and states of optimizers not negative, hypers 0.05. */
static const double *leaf(void *cx, const Node *n) {
    const double *from = kt_leaf(cx, n);
    int64_t       count = type_count(&n->type);
    double       *v = arena_copy(((KernelRun *)cx)->a, from, sizeof *v * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        if (n->op == OP_PARAM) v[i] = (float)(v[i] / 4);
        if (n->op == OP_STATE) v[i] = fabs(v[i]);
        if (n->op == OP_INPUT && n->type.dtype == DT_I32) v[i] = (double)(i % 3);
        if (n->op == OP_INPUT && n->u.input.kind == IN_SCALAR)
            v[i] = (float)(strncmp(kt_key(n), "hyper.", 6) ? 2 : 0.05);
    }
    return v;
}

/* What is run, and what the interpreter says. */
typedef struct {
    const char *name;
    uint64_t    seed;           /* of a random subject; 0: a net */
    KernelRun   run;
    Graph      *plain;
    Bounded   **bound;
} Case;
static Case  *cases;
static int    ncases;
static Arena *arena;

static const double *random_numbers_of(void *cx, const Node *n) {
    KernelRun *r = cx;
    return net_leaf(&(RandomLeaves){r->a, r->seed}, n);
}

static Graph *make_graph(Arena *a, int i) {
    const Case *c = &cases[i];
    if (!c->seed) return net_training_step(a, c->name, NETS[i].text);
    Subject s = {.source = (SubjectSource)(c->seed % FROM_TEXT), .seed = c->seed, .train = true};
    Graph  *g = campaign_graph(a, &s);
    g->name = c->name;
    return g;
}

/* Every other random subject with one row less than there is room for. */
static void interpret(Case *c, int i) {
    c->run = (KernelRun){.a = arena, .level = 2, .seed = c->seed ? c->seed : SEED, .step = STEP,
                         .leaf = c->seed ? random_numbers_of : leaf};
    c->plain = make_graph(arena, i);
    if (c->seed % 2 && c->plain->bounds.n > 1) c->run.rows = c->run.steps = c->plain->bounds.at[1].size - 1;
    InterpEnv env = {.leaf = c->run.leaf, .cx = &c->run, .seed = c->run.seed, .step = STEP};
    for (int k = 1; k < c->plain->bounds.n; k++) env.bound[k] = kt_bound(&c->run, c->plain, k);
    c->bound = bound_run(arena, c->plain, &env);
}

static void interpret_all(void) {
    const char *count = getenv("NETC_COUNT"), *first = getenv("NETC_SEED");
    arena = arena_new();
    ncases = NNETS + (count ? atoi(count) : RANDOM);
    cases = ARENA_ARRAY(arena, Case, ncases);
    for (int i = 0; i < ncases; i++) {
        if (i >= NNETS) cases[i].seed = (uint64_t)(first ? atoi(first) : 1) + (uint64_t)(i - NNETS);
        cases[i].name = i < NNETS ? NETS[i].name : arena_printf(arena, "random%llu", (unsigned long long)cases[i].seed);
        interpret(&cases[i], i);
    }
}

/* The bounds as the client allows them. */
static TargetNumber **allowed(Arena *a, const KtBuilt *b, const Case *w) {
    TargetNumber **n = ARENA_ARRAY(a, TargetNumber *, b->g->outs.n);
    for (int i = 0; i < b->g->outs.n; i++) {
        const Type *t = &w->plain->outs.at[i].value->type;
        n[i] = ARENA_ARRAY(a, TargetNumber, type_count(t));
        for (int64_t e = 0; e < type_count(t); e++) {
            Bounded x = w->bound[i][e];
            n[i][e] = (TargetNumber){x.value, kt_lives(b->r, w->plain, t, e) ? bound_distance(x) : -1};
        }
    }
    return n;
}

/* ---- a target -------------------------------------------------------------------------------------- */

static void run(const char *command) {
    if (system(command)) fail_msg("failed: %s", command);
}

static bool have(const char *program) {
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
    return system(command) == 0;
}

/* On a machine whose whole file system the folder is. */
static void boot(Arena *a, const char *script) {
    FILE *f = fopen(arena_printf(a, "%s/commands", folder), "w");
    assert_non_null(f);
    fprintf(f, "/net");
    for (int i = 0; i < ncases; i++) fprintf(f, " /%s.job", cases[i].name);
    fprintf(f, "\n");
    assert_int_equal(fclose(f), 0);
    run(arena_printf(a, "%s machine %s", script, folder));
}

/* Runs the program on its jobs; false: this machine cannot, and has said why. */
static bool run_program(Arena *a, int machine, const Target *t) {
    const char *emulator = MACHINES[machine].emulator, *script = MACHINES[machine].machine;
    bool        emulated = emulator && have(emulator);
    if (emulated || target_here(t)) {
        run(arena_printf(a, "%s %s %s %s/net %s/*.job 2>/dev/null", emulated ? emulator : "", emulated ? "-cpu" : "",
                         emulated ? MACHINES[machine].model : "", folder, folder));
        return true;
    }
    if (script && system(arena_printf(a, "%s ready", script)) == 0) return boot(a, script), true;
    print_message("skipped: %s needs %s\n", t->name, emulator ? "qemu-user" : "what tests/avx512.sh setup downloads");
    return false;
}

/* All cases in one object file, a job file for each. */
static void compile(Arena *a, const Target *t) {
    const char *why = "";
    Codegen    *cg = codegen_new(a, t, 2, "target");
    for (int i = 0; i < ncases; i++) {
        KtBuilt       b = {.r = &cases[i].run, .g = make_graph(a, i), .layout.a = a};
        KernelOptions o = {.level = 2, .place = kt_place, .cx = &b.layout};
        passes_run(b.g, &(PassOptions){.level = 2, .out = stderr});
        b.k = kernels_build(a, b.g, t, &o);
        codegen_function(cg, b.k);
        const char *path = arena_printf(a, "%s/%s.job", folder, cases[i].name);
        kt_write_job(&b, allowed(a, &b, &cases[i]), "target", path);
    }
    codegen_function_table(cg, "target_functions");
    if (!codegen_object(cg, arena_printf(a, "%s/net.o", folder), &why)) fail_msg("%s", why);
    codegen_free(cg);
}

static void check_machine(int machine) {
    Arena      *a = arena_new();
    Target      t;
    const char *compiler = MACHINES[machine].compiler;
    target_row(&t, MACHINES[machine].id);
    if (!have(compiler)) {
        print_message("skipped: %s needs %s (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross)\n", t.name, compiler);
        skip();
    }
    compile(a, &t);
    run(arena_printf(a, "echo 'JOB(target)' > %s/jobs.def", folder));
    run(arena_printf(a, "cd %s && %s -std=gnu11 -O1 -static -pthread -I%s -I. -o net %s net.o -lm", folder, compiler,
                     SOURCE_DIR, SOURCE_DIR "/tests/unit/client/target_client.c"));
    bool ran = run_program(a, machine, &t);
    arena_free(a);
    if (!ran) skip();
}

#define MACHINE(name, row)                    \
    static void test_##name(void **state) { \
        (void)state;                        \
        check_machine(row);                 \
    }
MACHINE(avx512, 0)
MACHINE(avx2, 1)
MACHINE(avx, 2)
MACHINE(sse2, 3)
MACHINE(neon, 4)

static int start(void **state) {
    (void)state;
    interpret_all();
    return make_folder(state);
}

static int end(void **state) {
    (void)state;
    arena_free(arena);
    return remove_folder(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_avx512), cmocka_unit_test(test_avx2), cmocka_unit_test(test_avx),
        cmocka_unit_test(test_sse2),   cmocka_unit_test(test_neon),
    };
    return cmocka_run_group_tests(tests, start, end);
}
