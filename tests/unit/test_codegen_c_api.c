/* The C interface of a toy model, emitted by hand: its header compiles as C99 and C++, a C program that knows nothing
 * but the header (client/c_api_client.c) calls it, and the object's symbols are those of the header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "codegen/c_api.h"
#include "codegen/l.h"
#include "tests/unit/elf_util.h"
#include "tests/unit/folder_util.h"

/* ---- the model ----------------------------------------------------------------------------------- */

/* w [3] of the weights (offset 64), a shared state s, a lane state that begins with 5, one optimizer slot. */
static CTensor PARAMS[] = {{.key = "Toy.w", .rank = 1, .dim = {3}, .offset = 64}, {.key = "Toy.a"}};
static CTensor STATES[] = {{.key = "Toy.s", .first = 2, .in_file = true},
                           {.key = "Toy.lane", .offset = 64, .first = 5}};
static CTensor SLOTS[] = {{.key = "opt.n.Toy.w", .rank = 1, .dim = {3}, .first = 0.5}};
static CHyper  HYPERS[] = {{"eta", 0.25}};

static CPort ENTRY_IN[] = {{.name = "x", .rank = 1, .dim = {3}, .rows = true},
                           {.name = "int", .dtype = DT_I32, .rows = true, .range = 4}};
static CPort ENTRY_OUT[] = {{.name = "0", .rank = 1, .dim = {3}, .rows = true},
                            {.name = "x", .dtype = DT_PRED, .rows = true}};
static CPort TRAIN_IN[] = {{.name = "x", .rank = 1, .dim = {3}, .rows = true}};
static CPort TRAIN_OUT[] = {{.name = "loss"}, {.name = "metric.good"}};
static CPort INIT_OUT[] = {{.name = "Toy.w", .rank = 1, .dim = {3}}, {.name = "Toy.a"}};

static CFunction FUNCTIONS[] = {
    {.kind = C_ENTRY, .name = "scale", .function = "entry.scale", .nin = 2, .nout = 2, .in = ENTRY_IN, .out = ENTRY_OUT,
     .arena = 100, .state = true},
    {.kind = C_TRAIN, .name = "train_step", .function = "train", .nin = 1, .nout = 2, .in = TRAIN_IN, .out = TRAIN_OUT,
     .state = true},
    {.kind = C_INIT, .name = "init", .function = "init", .nout = 2, .out = INIT_OUT},
};

static CModel toy(TargetId id) {
    CModel m = {.name = "toy", .source = "toy.net", .version = "0.1.0", .batch = 4, .nhyper = 1, .hyper = HYPERS,
                .nparam = 2, .nstate = 2, .nopt = 1, .param = PARAMS, .state = STATES, .opt = SLOTS,
                .weights_size = 128, .state_size = 128, .opt_size = 64, .nfunction = 3, .function = FUNCTIONS};
    target_row(&m.target, id);
    return m;
}

/* y[b,j] = x[b,j] w[j] + s + int[b] + eta; the pred is x[b,0] < 0. Reads a vector of x at once, as kernels do, and
 * counts calls in the lane state. */
static void emit_entry(Codegen *cg) {
    codegen_begin(cg, "entry.scale");
    Val weights = abi_load(cg, ABI_WEIGHTS), state = abi_load(cg, ABI_STATE);
    Val s = l_load(cg, cg->f32, state, 4), lane = l_bytes(cg, state, 64);
    l_store(cg, l_fadd(cg, l_load(cg, cg->f32, lane, 4), l_f32(cg, 1)), lane, 4);
    Ty   t = l_vec(cg->f32, 8);
    Val  w = l_load(cg, t, l_bytes(cg, weights, 64), 4);
    Loop l = l_loop(cg, l_i64(cg, 0), abi_bound(cg, 1), 1, 0, NULL);
    Val  at = l_mul(cg, l.i, l_i64(cg, 3));
    Val  x = l_load(cg, t, l_gep(cg, cg->f32, abi_in(cg, 0), at), 4);
    Val  k = l_load(cg, cg->i32, l_gep(cg, cg->i32, abi_in(cg, 1), l.i), 4);
    k = emit_scalar(cg, SC_CAST, DT_F32, k, NULL, NULL);
    Val  add = l_fadd(cg, l_fadd(cg, s, k), abi_scalar(cg, 0));
    Val  y = l_fadd(cg, l_fmul(cg, x, w), l_splat(cg, add, 8));
    l_masked_store(cg, y, l_gep(cg, cg->f32, abi_out(cg, 0), at), 4, l_mask_const(cg, 0, 3, 8));
    Val low = l_fcmp(cg, LLVMRealOLT, l_extract(cg, x, 0), l_f32(cg, 0));
    l_store(cg, LLVMBuildZExt(cg->b, low, cg->i8, ""), l_gep(cg, cg->i8, abi_out(cg, 1), l.i), 1);
    l_loop_end(cg, &l, NULL);
    codegen_end(cg);
}

/* w[0] -= eta x[0,0], n[0] += 1; loss = step + epoch + batches + progress, good = the seed. */
static void emit_train(Codegen *cg) {
    codegen_begin(cg, "train");
    Val w = l_bytes(cg, abi_load(cg, ABI_WEIGHTS), 64), n = abi_load(cg, ABI_OPT);
    Val x = l_load(cg, cg->f32, abi_in(cg, 0), 4);
    l_store(cg, l_fsub(cg, l_load(cg, cg->f32, w, 4), l_fmul(cg, abi_scalar(cg, 0), x)), w, 4);
    l_store(cg, l_fadd(cg, l_load(cg, cg->f32, n, 4), l_f32(cg, 1)), n, 4);
    Val sum = abi_scalar(cg, 1);
    for (int i = 2; i < 5; i++) sum = l_fadd(cg, sum, abi_scalar(cg, i));
    l_store(cg, sum, abi_out(cg, 0), 4);
    l_store(cg, LLVMBuildUIToFP(cg->b, abi_load(cg, ABI_SEED), cg->f32, ""), abi_out(cg, 1), 4);
    codegen_end(cg);
}

/* w[j] = seed + j, a = -1 */
static void emit_init(Codegen *cg) {
    codegen_begin(cg, "init");
    Val seed = LLVMBuildUIToFP(cg->b, abi_load(cg, ABI_SEED), cg->f32, "");
    for (int j = 0; j < 3; j++)
        l_store(cg, l_fadd(cg, seed, l_f32(cg, j)), l_gep_const(cg, cg->f32, abi_out(cg, 0), j), 4);
    l_store(cg, l_f32(cg, -1), abi_out(cg, 1), 4);
    codegen_end(cg);
}

/* Writes toy.h and toy.o for a target; the object's bytes. */
static char *build(Arena *a, TargetId id) {
    CModel      m = toy(id);
    const char *why = "", *header = c_header(a, &m), *object = arena_printf(a, "%s/toy.o", folder);
    if (!c_model_check(a, &m, &why)) fail_msg("%s", why);
    assert_true(file_write(arena_printf(a, "%s/toy.h", folder), header, strlen(header)));
    Codegen *cg = codegen_new(a, &m.target, 2, "toy");
    emit_entry(cg);
    emit_train(cg);
    emit_init(cg);
    codegen_c_interface(cg, &m);
    if (!codegen_object(cg, object, &why)) fail_msg("%s", why);
    codegen_free(cg);
    size_t n;
    return file_read(a, object, 1 << 24, &n);
}

/* ---- tests --------------------------------------------------------------------------------------- */

static void shell(Arena *a, const char *command) {
    const char *inside = arena_printf(a, "cd %s && %s", folder, command);
    if (system(inside)) fail_msg("%s", inside);
}

static void test_symbols(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Arena *a = arena_new();
        char  *object = build(a, (TargetId)i);
        assert_string_equal(elf_globals(a, object, true),
                            "toy_init toy_pack toy_reset toy_scale toy_train_step toy_unpack ");
        assert_string_equal(elf_globals(a, object, false), "");
        arena_free(a);
    }
}

static void test_header_compiles(void **state) {
    (void)state;
    Arena *a = arena_new();
    build(a, TARGET_SSE2);
    static const char *const mode[] = {"-x c -std=c99", "-x c -std=c11 -ffreestanding", "-x c++ -std=c++11",
                                       "-x c++ -std=c++17"};
    for (size_t i = 0; i < sizeof mode / sizeof *mode; i++)
        shell(a, arena_printf(a, "cc %s -Wall -Wextra -pedantic -Werror -fsyntax-only toy.h", mode[i]));
    arena_free(a);
}

static void test_client(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Target t;
        target_row(&t, (TargetId)i);
        if (!target_here(&t)) continue;
        Arena *a = arena_new();
        build(a, (TargetId)i);
        shell(a, "cc -std=c99 -Wall -Wextra -Werror -g -I. " SOURCE_DIR "/tests/unit/client/c_api_client.c toy.o "
                 "-o client && ./client");
        arena_free(a);
    }
}

static void refused(CModel m, const char *part) {
    Arena      *a = arena_new();
    const char *why = NULL;
    assert_false(c_model_check(a, &m, &why));
    assert_non_null(strstr(why, part));
    arena_free(a);
}

static void test_names(void **state) {
    (void)state;
    CFunction f[2] = {FUNCTIONS[0], FUNCTIONS[0]};
    CModel    m = toy(TARGET_SSE2);
    m.function = f, m.nfunction = 2;
    f[1].name = "SCALE";
    refused(m, "case only");
    f[1].name = "pack";
    refused(m, "toy_pack");
    f[1].name = "other";
    m.name = "Toy";
    refused(m, "[a-z]");
    m.name = "a234567890123456789012345678901234567890123456789";
    refused(m, "cannot be the name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_header_compiles),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
