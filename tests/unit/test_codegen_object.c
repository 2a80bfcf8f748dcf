/* Modules and object files, for every target: layout of arguments, symbols, the same bytes every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "codegen/l.h"
#include "runtime/netc_rt.h"
#include "tests/unit/elf_util.h"
#include "tests/unit/folder_util.h"

static void emit_scalars(Codegen *cg) {
    int w = cg->target.width;
    Ty  t = l_vec(cg->f32, w);
    for (int op = SC_ADD; op < SC_COUNT; op++) {
        if (op == SC_SEL || op == SC_CAST) continue;
        codegen_begin(cg, SCALARS[op].text);
        Val x = l_load(cg, t, abi_in(cg, 0), 4), y = l_load(cg, t, abi_in(cg, 1), 4);
        Val v = emit_scalar(cg, (ScalarOp)op, DT_F32, x, y, NULL);
        if (l_element(v) == cg->i1) v = emit_scalar(cg, SC_SEL, DT_F32, v, x, y);
        l_store(cg, v, abi_out(cg, 0), 4);
        codegen_end(cg);
    }
}

/* Casts of f32 to each type and back, and everything else that could tempt LLVM into a call. */
static void emit_others(Codegen *cg) {
    int w = cg->target.width;
    codegen_begin(cg, "casts");
    Val x = l_load(cg, l_vec(cg->f32, w), abi_in(cg, 0), 4);
    for (int d = 0; d < DT_COUNT; d++) {
        Val v = emit_scalar(cg, SC_CAST, (DType)d, x, NULL, NULL);
        v = emit_scalar(cg, SC_CAST, DT_F32, v, NULL, NULL);
        l_store(cg, v, l_gep_const(cg, cg->f32, abi_out(cg, 0), d * w), 4);
    }
    codegen_end(cg);
    codegen_begin(cg, "rng");
    Val out[4];
    rng_block(cg, rng_key(cg, l_i32(cg, 7)), l_i64(cg, 0), w, out);
    for (int i = 0; i < 4; i++) l_store(cg, out[i], l_gep_const(cg, cg->f32, abi_out(cg, 0), i * w), 4);
    abi_barrier(cg);
    codegen_end(cg);
    codegen_begin(cg, "masks");
    Val mask = l_mask_below(cg, l_i64(cg, 0), abi_bound(cg, 1), w), zero = l_zero(l_vec(cg->f32, w));
    Val index = l_add(cg, l_iota(cg->i64, w, 0, 3), l_splat(cg, abi_load(cg, ABI_STEP), w));
    Val a = l_masked_load(cg, l_vec(cg->f32, w), abi_in(cg, 0), 4, mask, zero);
    Val b = l_gather(cg, l_vec(cg->f32, w), l_gep(cg, cg->f32, abi_in(cg, 1), index), 4, mask, zero);
    l_masked_store(cg, l_fma(cg, a, b, b), abi_out(cg, 0), 4, mask);
    l_store(cg, l_reduce(cg, b, l_fadd), abi_out(cg, 0), 4);
    codegen_end(cg);
}

static Codegen *make(Arena *a, TargetId id) {
    Target t;
    target_row(&t, id);
    Codegen *cg = codegen_new(a, &t, 2, "toy");
    emit_scalars(cg);
    emit_others(cg);
    codegen_blob(cg, "netc_model_description", "{}", 2);
    codegen_function_table(cg, "netc_model_functions");
    return cg;
}

static char *object_bytes(Arena *a, Codegen *cg, size_t *n) {
    const char *why = "", *path = arena_printf(a, "%s/toy.o", folder);
    if (!codegen_object(cg, path, &why)) fail_msg("%s", why);
    char *bytes = file_read(a, path, 1 << 26, n);
    assert_non_null(bytes);
    return bytes;
}

static void test_objects_need_nothing(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Arena   *a = arena_new();
        Codegen *cg = make(a, (TargetId)i);
        size_t   n;
        char    *bytes = object_bytes(a, cg, &n);
        int      machine = cg->target.arch == ARCH_X86_64 ? EM_X86_64 : EM_AARCH64;
        assert_int_equal(((const Elf64_Ehdr *)bytes)->e_machine, machine);
        assert_string_equal(elf_globals(a, bytes, false), "");
        assert_string_equal(elf_globals(a, bytes, true),
                            "netc_model_description netc_model_description_size netc_model_functions ");
        codegen_free(cg);
        arena_free(a);
    }
}

/* What was asked for before does not change an object file. */
static void test_same_bytes_every_way(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Arena      *a = arena_new();
        Codegen    *plain = make(a, (TargetId)i), *busy = make(a, (TargetId)i);
        size_t      n, m;
        const char *why = "";
        if (target_here(&busy->target) && !codegen_jit(busy, &why)) fail_msg("%s", why);
        if (!codegen_asm(busy, arena_printf(a, "%s/toy.s", folder), &why)) fail_msg("%s", why);
        assert_non_null(strstr(codegen_llvm_text(busy, a), "@toy.tanh"));
        char *p = object_bytes(a, plain, &n), *b = object_bytes(a, busy, &m);
        assert_int_equal(n, m);
        assert_memory_equal(p, b, n);
        codegen_free(plain);
        codegen_free(busy);
        arena_free(a);
    }
}

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

/* Each target's own vectors are used, and no wider ones. */
static void test_vectors(void **state) {
    (void)state;
    for (int i = 0; i < TARGET_COUNT; i++) {
        Arena      *a = arena_new();
        Codegen    *cg = make(a, (TargetId)i);
        const char *why = "", *path = arena_printf(a, "%s/toy.s", folder);
        size_t      n;
        if (!codegen_asm(cg, path, &why)) fail_msg("%s", why);
        char *text = file_read(a, path, 1 << 26, &n);
        assert_true(has(text, "%zmm") == (cg->target.width == 16));
        assert_true(has(text, "%ymm") == (cg->target.arch == ARCH_X86_64 && cg->target.width >= 8));
        assert_true((has(text, "vfmadd") || has(text, "fmla")) == cg->target.has_fma);
        codegen_free(cg);
        arena_free(a);
    }
}

static void test_argument_layout(void **state) {
    (void)state;
    static const size_t offset[] = {
        [ABI_IN] = offsetof(netc_args, in),           [ABI_OUT] = offsetof(netc_args, out),
        [ABI_WEIGHTS] = offsetof(netc_args, weights), [ABI_OPT] = offsetof(netc_args, opt),
        [ABI_STATE] = offsetof(netc_args, state),     [ABI_ARENA] = offsetof(netc_args, arena),
        [ABI_SCALARS] = offsetof(netc_args, scalars), [ABI_SEED] = offsetof(netc_args, seed),
        [ABI_STEP] = offsetof(netc_args, step),       [ABI_BOUND] = offsetof(netc_args, bound),
        [ABI_BARRIER] = offsetof(netc_args, barrier), [ABI_POOL] = offsetof(netc_args, pool)};
    for (int i = 0; i < TARGET_COUNT; i++) {
        Arena            *a = arena_new();
        Codegen          *cg = make(a, (TargetId)i);
        LLVMTargetDataRef layout = LLVMGetModuleDataLayout(cg->module);
        for (unsigned k = 0; k < sizeof offset / sizeof *offset; k++)
            assert_int_equal(LLVMOffsetOfElement(layout, cg->args, k), offset[k]);
        assert_int_equal(LLVMABISizeOfType(layout, cg->args), sizeof(netc_args));
        codegen_free(cg);
        arena_free(a);
    }
}

static void test_tables(void **state) {
    (void)state;
    Arena      *a = arena_new();
    Target      host;
    const char *why = "";
    target_host(&host);
    Codegen *cg = make(a, host.id);
    if (!codegen_jit(cg, &why)) fail_msg("%s", why);
    assert_string_equal((char *)codegen_symbol(cg, "netc_model_description"), "{}");
    assert_int_equal(*(uint64_t *)codegen_symbol(cg, "netc_model_description_size"), 2);
    const netc_function_entry *row = codegen_symbol(cg, "netc_model_functions");
    assert_string_equal(row[0].name, "add");
    assert_ptr_equal((void *)(uintptr_t)row[0].fn, codegen_function_address(cg, "add"));
    assert_null(codegen_function_address(cg, "no such function"));
    assert_null(codegen_symbol(cg, "no_such_symbol"));
    codegen_free(cg);
    arena_free(a);
}

/* "scalars" now, the others later. */
static Codegen *make_in_two(Arena *a, const Target *host, int threads) {
    const char *why = "";
    Codegen    *cg = codegen_new(a, host, 2, "toy");
    codegen_for_memory(cg, threads);
    emit_scalars(cg);
    codegen_later(cg);
    emit_others(cg);
    if (!codegen_jit(cg, &why)) fail_msg("%s", why);
    return cg;
}

static void run_rng(Codegen *cg, float out[4 * 16]) {
    netc_function *fn = (netc_function *)(uintptr_t)codegen_function_address(cg, "rng");
    void          *outs[1] = {out};
    netc_args      args = {.out = outs, .seed = 5, .step = 6};
    assert_non_null(fn);
    fn(&args, 0, 1);
}

/* Functions for later are there after codegen_join, the others before; the code is the same. */
static void test_later(void **state) {
    (void)state;
    Arena      *a = arena_new();
    Target      host;
    const char *why = "";
    target_host(&host);
    Codegen *whole = make(a, host.id);
    float    want[4 * 16] = {0};
    if (!codegen_jit(whole, &why)) fail_msg("%s", why);
    assert_true(codegen_join(whole, &why));                        /* nothing is for later */
    run_rng(whole, want);
    for (int threads = 1; threads <= 3; threads++) {
        Codegen *cg = make_in_two(a, &host, threads);
        float    got[4 * 16] = {0};
        void    *add = codegen_function_address(cg, "add");
        assert_non_null(add);
        assert_null(codegen_function_address(cg, "rng"));
        for (int again = 0; again < 2; again++)
            if (!codegen_join(cg, &why)) fail_msg("%s", why);
        assert_ptr_equal(codegen_function_address(cg, "add"), add);
        run_rng(cg, got);
        assert_memory_equal(got, want, sizeof got);
        codegen_free(cg);
    }
    codegen_free(whole);
    arena_free(a);
}

/* The end may come while threads are at work. */
static void test_never_joined(void **state) {
    (void)state;
    Arena *a = arena_new();
    Target host;
    target_host(&host);
    for (int threads = 1; threads <= 4; threads++) codegen_free(make_in_two(a, &host, threads));
    arena_free(a);
}

/* Numbers of all kinds: small, large, negative, and what has rules of its own. */
static void fill(float x[16], float y[16], int round) {
    static const float SPECIAL[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1, -1, 0.5f, 1e-30f, 88.8f, -87.4f, 1e30f};
    for (int i = 0; i < 16; i++) {
        x[i] = round ? (float)((i * 37 + round * 11) % 61 - 30) * 0.37f : SPECIAL[i % 12];
        y[i] = round ? (float)((i * 53 + round * 7) % 41 - 20) * 0.21f : SPECIAL[(i * 5 + 3) % 12];
    }
}

static Codegen *make_quick(Arena *a, const Target *host, bool quick) {
    const char *why = "";
    Codegen    *cg = codegen_new(a, host, 2, "toy");
    codegen_for_memory(cg, 1);
    codegen_quick(cg, quick);
    emit_scalars(cg);
    emit_others(cg);
    codegen_quick(cg, false);
    if (!codegen_jit(cg, &why)) fail_msg("%s", why);
    return cg;
}

/* Code that is made quickly gives the bits of the other. */
static void test_quick(void **state) {
    (void)state;
    enum { ROUNDS = 20 };
    Arena *a = arena_new();
    Target host;
    target_host(&host);
    Codegen *cg[2] = {make_quick(a, &host, false), make_quick(a, &host, true)};
    float    out[2][DT_COUNT * 16], x[16], y[16];
    for (int op = SC_ADD; op < SC_CAST; op++)
        for (int round = 0; round < ROUNDS && op != SC_SEL; round++) {
            memset(out, 0, sizeof out);
            fill(x, y, round);
            for (int quick = 0; quick < 2; quick++) {
                void         *code = codegen_function_address(cg[quick], SCALARS[op].text), *outs[] = {out[quick]};
                const void   *ins[] = {x, y};
                netc_args     args = {.in = ins, .out = outs};
                assert_non_null(code);
                ((netc_function *)(uintptr_t)code)(&args, 0, 1);
            }
            for (int i = 0; i < 16; i++)
                if (memcmp(&out[0][i], &out[1][i], sizeof(float)) && !(isnan(out[0][i]) && isnan(out[1][i])))
                    fail_msg("%s(%a, %a): %a, quickly %a", SCALARS[op].text, x[i], y[i], out[0][i], out[1][i]);
        }
    for (int quick = 0; quick < 2; quick++) run_rng(cg[quick], out[quick]);
    assert_memory_equal(out[0], out[1], sizeof(float) * 64);
    for (int quick = 0; quick < 2; quick++) codegen_free(cg[quick]);
    arena_free(a);
}

/* A path that cannot be written is an answer, not the end. */
static void test_unwritable(void **state) {
    (void)state;
    Arena      *a = arena_new();
    Codegen    *cg = make(a, TARGET_SSE2);
    const char *why = NULL;
    assert_false(codegen_object(cg, arena_printf(a, "%s/none/toy.o", folder), &why));
    assert_non_null(strstr(why, "cannot write"));
    codegen_free(cg);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_need_nothing), cmocka_unit_test(test_same_bytes_every_way),
        cmocka_unit_test(test_vectors),              cmocka_unit_test(test_argument_layout),
        cmocka_unit_test(test_tables),               cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_later),                cmocka_unit_test(test_never_joined),
        cmocka_unit_test(test_quick),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
