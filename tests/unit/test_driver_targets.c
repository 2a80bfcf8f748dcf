/* Training steps as object files for every target, linked into a program for that machine and run: the interpreter's
 * numbers within the bound of tests/random/error_bound.h. x86-64 runs under qemu as the least processor that the
 * target promises to be enough, aarch64 under qemu, AVX-512, which qemu does not know, under Bochs (tests/avx512.sh)
 * where the processor has none; what a machine has not (emulators, cross compiler) is named and skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/random/error_bound.h"
#include "tests/unit/client/target_file.h"
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
enum { NNETS = sizeof NETS / sizeof *NETS, SEED = 3, STEP = 2 };

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

static Graph *training_step(Arena *a, int net) { return net_training_step(a, NETS[net].name, NETS[net].text); }

/* What the interpreter says. */
typedef struct {
    Graph    *plain;
    Bounded **bound;
} Wanted;
static Wanted wanted[NNETS];

static Arena *arena;

static void interpret(void) {
    KernelRun r = {.a = arena = arena_new()};
    InterpEnv env = {.leaf = leaf, .cx = &r, .seed = SEED, .step = STEP};
    for (int i = 0; i < NNETS; i++) {
        wanted[i].plain = training_step(r.a, i);
        wanted[i].bound = bound_run(r.a, wanted[i].plain, &env);
    }
}

/* ---- files ----------------------------------------------------------------------------------------- */

static void put_block(FILE *f, const KtBuilt *b, Space space) {
    int64_t size = b->layout.used[space] * (space == SPACE_SCALAR ? 4 : 1);
    char   *p = kt_memory(b->r->a, size, 0xFF);
    for (int i = 0; i < b->g->nodes.n; i++) {
        const Node *n = b->g->nodes.at[i];
        Place       at = b->k->place[n->id];
        bool        here = n->op == OP_PARAM || n->op == OP_STATE || n->op == OP_INPUT;
        if (!here || at.space != space) continue;
        kt_write(n->type.dtype, p + at.offset * (space == SPACE_SCALAR ? 4 : 1), leaf(b->r, n), type_count(&n->type));
    }
    fwrite(p, 1, (size_t)size, f);
}

static void write_input(const KtBuilt *b, const char *path) {
    const Kernels *k = b->k;
    FILE          *f = fopen(path, "wb");
    assert_non_null(f);
    TargetFile h = {k->nin,
                    k->nout,
                    b->layout.used[SPACE_WEIGHTS],
                    b->layout.used[SPACE_OPT],
                    b->layout.used[SPACE_STATE],
                    4 * b->layout.used[SPACE_SCALAR],
                    k->arena_size,
                    SEED,
                    STEP,
                    b->g->bounds.at[1].size};
    fwrite(&h, sizeof h, 1, f);
    for (int i = 0; i < k->nin; i++) fwrite(&(int64_t){kt_bytes(k->in[i])}, sizeof(int64_t), 1, f);
    for (int i = 0; i < k->nout; i++) fwrite(&(int64_t){kt_bytes(k->out[i].value)}, sizeof(int64_t), 1, f);
    static const Space BLOCKS[] = {SPACE_WEIGHTS, SPACE_OPT, SPACE_STATE, SPACE_SCALAR};
    for (int i = 0; i < 4; i++) put_block(f, b, BLOCKS[i]);
    for (int i = 0; i < k->nin; i++) {
        char *p = kt_memory(b->r->a, kt_bytes(k->in[i]), 0);
        kt_write(k->in[i]->type.dtype, p, leaf(b->r, k->in[i]), type_count(&k->in[i]->type));
        fwrite(p, 1, (size_t)kt_bytes(k->in[i]), f);
    }
    assert_int_equal(fclose(f), 0);
}

/* Where outputs lie in the file that the client wrote. */
static void compare_output(const KtBuilt *b, const Wanted *w, const char *path, const char *target) {
    size_t         size;
    const char    *p = file_read(b->r->a, path, 1 << 28, &size), *out;
    const int64_t *used = b->layout.used;
    assert_non_null(p);
    out = p + used[SPACE_WEIGHTS] + used[SPACE_OPT] + used[SPACE_STATE];
    for (int i = 0; i < b->g->outs.n; i++) {
        const Output *o = &b->g->outs.at[i];
        const char   *from = out;
        if (o->kind == OUT_VALUE) {
            out += kt_bytes(o->value);
        } else {
            Place at = b->k->place[o->target->id];
            from = p + at.offset + (at.space == SPACE_WEIGHTS ? 0 : used[SPACE_WEIGHTS]) +
                   (at.space == SPACE_STATE ? used[SPACE_OPT] : 0);
        }
        for (int64_t e = 0; e < type_count(&w->plain->outs.at[i].value->type); e++) {
            double got = kt_read(o->value->type.dtype, from, e);
            if (!bound_allows(w->bound[i][e], got))
                fail_msg("%s, %s: %s[%lld] is %.9g, the interpreter's %.9g +- %.2g", target, b->g->name, o->name,
                         (long long)e, got, w->bound[i][e].value, w->bound[i][e].error);
        }
    }
    assert_int_equal(out - p, size);
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

/* Runs the program on its input files in the folder; false: this machine cannot, and has said why. */
static bool run_each(Arena *a, const char *prefix) {
    for (int i = 0; i < NNETS; i++)
        run(arena_printf(a, "%s %s/net %s %s/%s.in %s/out/%s 2>/dev/null", prefix, folder, NETS[i].name, folder,
                         NETS[i].name, folder, NETS[i].name));
    return true;
}

/* As above, on a machine whose whole file system the folder is. */
static bool boot(Arena *a, const char *script) {
    FILE *f = fopen(arena_printf(a, "%s/commands", folder), "w");
    assert_non_null(f);
    for (int i = 0; i < NNETS; i++) fprintf(f, "/net %s /%s.in /out/%s\n", NETS[i].name, NETS[i].name, NETS[i].name);
    assert_int_equal(fclose(f), 0);
    run(arena_printf(a, "%s machine %s", script, folder));
    return true;
}

static bool run_program(Arena *a, int machine, const Target *t) {
    const char *emulator = MACHINES[machine].emulator, *script = MACHINES[machine].machine;
    run(arena_printf(a, "rm -rf %s/out && mkdir %s/out", folder, folder));
    if (emulator && have(emulator))
        return run_each(a, arena_printf(a, "%s -cpu %s", emulator, MACHINES[machine].model));
    if (target_here(t)) return run_each(a, "");
    if (script && system(arena_printf(a, "%s ready", script)) == 0) return boot(a, script);
    print_message("skipped: %s needs %s\n", t->name, emulator ? "qemu-user" : "what tests/avx512.sh setup downloads");
    return false;
}

static void check_machine(int machine) {
    KernelRun   r = {.a = arena_new(), .level = 2, .seed = SEED, .step = STEP, .leaf = leaf};
    Target      t;
    KtBuilt     built[NNETS];
    const char *why = "", *object = arena_printf(r.a, "%s/net.o", folder);
    target_row(&t, MACHINES[machine].id);
    if (!have(MACHINES[machine].compiler)) {
        print_message("skipped: %s needs %s (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross)\n", t.name,
                      MACHINES[machine].compiler);
        skip();
    }
    Codegen *cg = codegen_new(r.a, &t, 2, "target");
    for (int i = 0; i < NNETS; i++) {
        KtBuilt      *b = &built[i];
        KernelOptions o = {.level = 2, .place = kt_place, .cx = &b->layout};
        *b = (KtBuilt){.r = &r, .g = training_step(r.a, i), .layout.a = r.a};
        passes_run(b->g, &(PassOptions){.level = 2, .out = stderr});
        b->k = kernels_build(r.a, b->g, &t, &o);
        codegen_function(cg, b->k);
    }
    codegen_function_table(cg, "target_functions");
    if (!codegen_object(cg, object, &why)) fail_msg("%s", why);
    codegen_free(cg);
    run(arena_printf(r.a, "%s -std=gnu11 -O1 -static -I%s -o %s/net %s/tests/unit/client/target_client.c %s",
                     MACHINES[machine].compiler, SOURCE_DIR, folder, SOURCE_DIR, object));
    for (int i = 0; i < NNETS; i++) write_input(&built[i], arena_printf(r.a, "%s/%s.in", folder, NETS[i].name));
    bool ran = run_program(r.a, machine, &t);
    for (int i = 0; i < NNETS && ran; i++)
        compare_output(&built[i], &wanted[i], arena_printf(r.a, "%s/out/%s", folder, NETS[i].name), t.name);
    arena_free(r.a);
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
    interpret();
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
