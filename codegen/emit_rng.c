/* Philox4x32-10 (ir/philox.c has the definition) over vectors of counters. */
#include "codegen/l.h"

enum { ROUNDS = 10 };

RngKey rng_key(Codegen *cg, LLVMValueRef site) {
    LLVMValueRef seed = abi_load(cg, ABI_SEED), step = abi_load(cg, ABI_STEP);
    LLVMValueRef high = LLVMBuildLShr(cg->b, step, l_i64(cg, 32), "");
    return (RngKey){
        .key0 = LLVMBuildTrunc(cg->b, seed, cg->i32, ""),
        .key1 = site,
        .step_lo = LLVMBuildTrunc(cg->b, step, cg->i32, ""),
        .step_hi = LLVMBuildTrunc(cg->b, high, cg->i32, ""),
    };
}

/* The 64-bit product of every lane and a constant, in halves. */
static void multiply(Codegen *cg, Val a, uint32_t b, Val *high, Val *low) {
    Ty  wide = l_vec(cg->i64, l_lanes(a));
    Val x = LLVMBuildZExt(cg->b, a, wide, "");
    Val p = l_mul(cg, x, l_int_like(x, (int64_t)b));
    *low = LLVMBuildTrunc(cg->b, p, LLVMTypeOf(a), "");
    *high = LLVMBuildTrunc(cg->b, LLVMBuildLShr(cg->b, p, l_int_like(x, 32), ""), LLVMTypeOf(a), "");
}

static Val xor3(Codegen *cg, Val a, Val b, Val c) { return LLVMBuildXor(cg->b, LLVMBuildXor(cg->b, a, b, ""), c, ""); }

/* The four words of the blocks numbered `block` (i32, one or a vector). The rounds are a loop: unrolled, they were 40 %
 * of a model's compile time, and the processor overlaps them either way. */
static void emit_words(Codegen *cg, RngKey k, Val block, Val c[4]) {
    int  n = l_lanes(block);
    Val  x[6] = {block, l_splat(cg, k.step_lo, n), l_splat(cg, k.step_hi, n), l_int_like(block, 0), k.key0, k.key1};
    Loop l = l_loop(cg, l_i32(cg, 0), l_i32(cg, ROUNDS), 1, 6, x);
    Val  h0, l0, h1, l1;
    multiply(cg, x[0], 0xD2511F53u, &h0, &l0);
    multiply(cg, x[2], 0xCD9E8D57u, &h1, &l1);
    x[0] = xor3(cg, h1, x[1], l_splat(cg, x[4], n));
    x[1] = l1;
    x[2] = xor3(cg, h0, x[3], l_splat(cg, x[5], n));
    x[3] = l0;
    x[4] = l_add(cg, x[4], l_i32(cg, 0x9E3779B9));
    x[5] = l_add(cg, x[5], l_i32(cg, 0xBB67AE85));
    l_loop_end(cg, &l, x);
    memcpy(c, x, 4 * sizeof *c);
}

/* ((word >> 9) + 0.5) 2^-23, exact in f32. */
static Val to_uniform(Codegen *cg, Val word) {
    Val top = LLVMBuildLShr(cg->b, word, l_int_like(word, 9), "");
    Val x = LLVMBuildSIToFP(cg->b, top, l_vec(cg->f32, l_lanes(word)), "");
    return l_fmul(cg, l_fadd(cg, x, l_real_like(x, 0.5)), l_real_like(x, 0x1p-23));
}

/* A function of the module: beside the hundreds of operations of the rounds a call is nothing, and every site of a
 * model has it. make: from block numbers to four vectors. */
static void call_helper(Codegen *cg, const char *name, RngKey k, Val block, Ty vector,
                        void make(Codegen *, RngKey, Val, Val[4]), Val c[4]) {
    Val   fn = LLVMGetNamedFunction(cg->module, name), x[5] = {block, k.key0, k.key1, k.step_lo, k.step_hi};
    Where before;
    if (!fn) {
        Ty result = LLVMStructTypeInContext(cg->cx, (Ty[]){vector, vector, vector, vector}, 4, false);
        fn = codegen_helper_begin(cg, name, result, (Ty[]){LLVMTypeOf(block), cg->i32, cg->i32, cg->i32, cg->i32}, 5,
                                  &before);
        RngKey key = {LLVMGetParam(fn, 1), LLVMGetParam(fn, 2), LLVMGetParam(fn, 3), LLVMGetParam(fn, 4)};
        make(cg, key, LLVMGetParam(fn, 0), c);
        Val all = LLVMGetUndef(result);
        for (unsigned i = 0; i < 4; i++) all = LLVMBuildInsertValue(cg->b, all, c[i], i, "");
        LLVMBuildRet(cg->b, all);
        codegen_helper_end(cg, before);
    }
    Val all = LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, x, 5, "");
    for (unsigned i = 0; i < 4; i++) c[i] = LLVMBuildExtractValue(cg->b, all, i, "");
}

LLVMValueRef rng_at(Codegen *cg, RngKey k, LLVMValueRef index) {
    Ty  narrow = l_vec(cg->i32, l_lanes(index));
    Val block = LLVMBuildTrunc(cg->b, LLVMBuildLShr(cg->b, index, l_int_like(index, 2), ""), narrow, "");
    Val which = LLVMBuildTrunc(cg->b, index, narrow, "");
    Val odd = LLVMBuildTrunc(cg->b, which, l_vec(cg->i1, l_lanes(index)), "");
    Val two = LLVMBuildAnd(cg->b, which, l_int_like(which, 2), "");
    Val c[4];
    call_helper(cg, arena_printf(cg->arena, "c.words%d", l_lanes(block)), k, block, narrow, emit_words, c);
    Val low = l_select(cg, odd, c[1], c[0]), high = l_select(cg, odd, c[3], c[2]);
    return to_uniform(cg, l_select(cg, l_icmp(cg, LLVMIntNE, two, l_int_like(two, 0)), high, low));
}

/* Lane i of the words c[0..3] belongs to elements 4i .. 4i + 3: two rounds of pairing lanes bring them into order. */
static void emit_block(Codegen *cg, RngKey k, Val block, Val out[4]) {
    int w = l_lanes(block);
    Val c[4];
    emit_words(cg, k, block, c);
    if (w == 1) {
        for (int i = 0; i < 4; i++) out[i] = to_uniform(cg, c[i]);
        return;
    }
    int pairs[2 * L_MAX_LANES], quads[4 * L_MAX_LANES];
    for (int i = 0; i < w; i++) pairs[2 * i] = i, pairs[2 * i + 1] = w + i;
    for (int i = 0; i < w; i++) {
        quads[4 * i] = 2 * i, quads[4 * i + 1] = 2 * i + 1;
        quads[4 * i + 2] = 2 * w + 2 * i, quads[4 * i + 3] = 2 * w + 2 * i + 1;
    }
    Val low = l_shuffle(cg, c[0], c[1], pairs, 2 * w), high = l_shuffle(cg, c[2], c[3], pairs, 2 * w);
    for (int i = 0; i < 4; i++) out[i] = to_uniform(cg, l_shuffle(cg, low, high, quads + i * w, w));
}

void rng_block(Codegen *cg, RngKey k, LLVMValueRef base, int w, LLVMValueRef out[4]) {
    Val first = LLVMBuildTrunc(cg->b, LLVMBuildLShr(cg->b, base, l_i64(cg, 2), ""), cg->i32, "");
    Val block = l_add(cg, l_splat(cg, first, w), l_iota(cg->i32, w, 0, 1));
    call_helper(cg, arena_printf(cg->arena, "c.block%d", w), k, block, l_vec(cg->f32, w), emit_block, out);
}
