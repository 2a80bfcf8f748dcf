/* The loops behind peak.h. Each keeps every accumulator in a register of its own and has enough of them to hide the
 * latency of a multiply-add: 24 with 32 registers, 12 with 16. */
#include "driver/peak.h"

/* X(0) .. X(n-1) */
#define TIMES6(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define TIMES12(X) TIMES6(X) X(6) X(7) X(8) X(9) X(10) X(11)
#define TIMES24(X) TIMES12(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#if defined(__x86_64__)

static const float ONE = 1, SMALL = 1e-3f;

#define XMM_0_15                                                                                                      \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",        \
        "xmm13", "xmm14", "xmm15"
#define XMM_16_31                                                                                                     \
    "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",       \
        "xmm28", "xmm29", "xmm30", "xmm31"

/* Operands %0 rounds; %1, %2 the constants. */
#define REGISTERS_LOOP(zero, start, body, end, ...)                                                                   \
    __asm__ volatile(zero start "1:\n\t" body "dec %0\n\tjnz 1b\n\t" end                                              \
                     : "+r"(rounds) : "m"(ONE), "m"(SMALL) : "cc", __VA_ARGS__)

/* Operands %0 rounds, %1 panel, %2 row, %3 what is left of the depth; %4, %5 where both begin. `step`: bytes of the
 * panel for one step. */
#define FED_LOOP(zero, body, step, end, ...)                                                                           \
    const char *p, *q;                                                                                                 \
    int64_t depth;                                                                                                     \
    __asm__ volatile(zero "2:\n\tmov %4, %1\n\tmov %5, %2\n\tmov %6, %3\n\t"                                           \
                          "1:\n\t" body "add $" step ", %1\n\tadd $4, %2\n\tdec %3\n\tjnz 1b\n\t"                      \
                          "dec %0\n\tjnz 2b\n\t" end                                                                   \
                     : "+r"(rounds), "=&r"(p), "=&r"(q), "=&r"(depth)                                                  \
                     : "r"(panel), "r"(rows), "i"(PEAK_DEPTH), "i"(PEAK_ROW)                                           \
                     : "cc", "memory", __VA_ARGS__)

#define READ_LOOP(body, end, ...)                                                                                     \
    __asm__ volatile("1:\n\t" body "add $256, %0\n\tsub $256, %1\n\tjnz 1b\n\t" end                                   \
                     : "+r"(p), "+r"(bytes) : : "cc", "memory", __VA_ARGS__)

/* ---- 512 bits, 32 registers --------------------------------------------------------------------------- */

#define ZERO_512(i) "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define FMA_512(i) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #i "\n\t"
#define ROW_512(row, a, b)                                                                                            \
    "vbroadcastss " #row "*%c7(%2), %%zmm26\n\t"                                                                      \
    "vfmadd231ps %%zmm24, %%zmm26, %%zmm" #a "\n\tvfmadd231ps %%zmm25, %%zmm26, %%zmm" #b "\n\t"

__attribute__((target("avx512f"))) static void registers_512(int64_t rounds) {
    REGISTERS_LOOP(TIMES24(ZERO_512), "vbroadcastss %1, %%zmm30\n\tvbroadcastss %2, %%zmm31\n\t", TIMES24(FMA_512),
                   "vzeroupper\n\t", XMM_0_15, XMM_16_31);
}

__attribute__((target("avx512f"))) static void fed_512(int64_t rounds, const float *panel, const float *rows) {
    FED_LOOP(TIMES24(ZERO_512),
             "vmovaps (%1), %%zmm24\n\tvmovaps 64(%1), %%zmm25\n\t"
             ROW_512(0, 0, 1) ROW_512(1, 2, 3) ROW_512(2, 4, 5) ROW_512(3, 6, 7) ROW_512(4, 8, 9) ROW_512(5, 10, 11)
             ROW_512(6, 12, 13) ROW_512(7, 14, 15) ROW_512(8, 16, 17) ROW_512(9, 18, 19) ROW_512(10, 20, 21)
             ROW_512(11, 22, 23), "128", "vzeroupper\n\t", XMM_0_15, XMM_16_31);
}

__attribute__((target("avx512f"))) static void read_512(const char *p, int64_t bytes) {
    READ_LOOP(
        "vmovaps (%0), %%zmm0\n\tvmovaps 64(%0), %%zmm1\n\tvmovaps 128(%0), %%zmm2\n\tvmovaps 192(%0), %%zmm3\n\t",
        "vzeroupper\n\t", XMM_0_15);
}

/* ---- 256 bits, 16 registers --------------------------------------------------------------------------- */

#define ZERO_256(i) "vxorps %%ymm" #i ", %%ymm" #i ", %%ymm" #i "\n\t"
#define FMA_256(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define ROW_256(row, a, b)                                                                                            \
    "vbroadcastss " #row "*%c7(%2), %%ymm14\n\t"                                                                      \
    "vfmadd231ps %%ymm12, %%ymm14, %%ymm" #a "\n\tvfmadd231ps %%ymm13, %%ymm14, %%ymm" #b "\n\t"
/* Without multiply-add instructions: six products beside six sums. */
#define MUL_ADD_256(i) "vmulps %%ymm14, %%ymm" #i ", %%ymm" #i "\n\t"
#define ADD_256(i) "vaddps %%ymm15, %%ymm" #i ", %%ymm" #i "\n\t"
#define ROW_MUL_ADD_256(row, a, b)                                                                                    \
    "vbroadcastss " #row "*%c7(%2), %%ymm14\n\t"                                                                      \
    "vmulps %%ymm12, %%ymm14, %%ymm15\n\tvaddps %%ymm15, %%ymm" #a ", %%ymm" #a "\n\t"                                \
    "vmulps %%ymm13, %%ymm14, %%ymm15\n\tvaddps %%ymm15, %%ymm" #b ", %%ymm" #b "\n\t"
#define PANEL_256 "vmovaps (%1), %%ymm12\n\tvmovaps 32(%1), %%ymm13\n\t"
#define CONSTANTS_256 "vbroadcastss %1, %%ymm14\n\tvbroadcastss %2, %%ymm15\n\t"
#define SIX_ROWS(ROW) ROW(0, 0, 1) ROW(1, 2, 3) ROW(2, 4, 5) ROW(3, 6, 7) ROW(4, 8, 9) ROW(5, 10, 11)

__attribute__((target("avx2,fma"))) static void registers_256(int64_t rounds) {
    REGISTERS_LOOP(TIMES12(ZERO_256), CONSTANTS_256, TIMES12(FMA_256), "vzeroupper\n\t", XMM_0_15);
}

__attribute__((target("avx2,fma"))) static void fed_256(int64_t rounds, const float *panel, const float *rows) {
    FED_LOOP(TIMES12(ZERO_256), PANEL_256 SIX_ROWS(ROW_256), "64", "vzeroupper\n\t", XMM_0_15);
}

__attribute__((target("avx"))) static void registers_avx(int64_t rounds) {
    REGISTERS_LOOP(TIMES12(ZERO_256), CONSTANTS_256,
                   MUL_ADD_256(0) ADD_256(6) MUL_ADD_256(1) ADD_256(7) MUL_ADD_256(2) ADD_256(8)
                   MUL_ADD_256(3) ADD_256(9) MUL_ADD_256(4) ADD_256(10) MUL_ADD_256(5) ADD_256(11),
                   "vzeroupper\n\t", XMM_0_15);
}

__attribute__((target("avx"))) static void fed_avx(int64_t rounds, const float *panel, const float *rows) {
    FED_LOOP(TIMES12(ZERO_256), PANEL_256 SIX_ROWS(ROW_MUL_ADD_256), "64", "vzeroupper\n\t", XMM_0_15);
}

__attribute__((target("avx"))) static void read_256(const char *p, int64_t bytes) {
    READ_LOOP(
        "vmovaps (%0), %%ymm0\n\tvmovaps 32(%0), %%ymm1\n\tvmovaps 64(%0), %%ymm2\n\tvmovaps 96(%0), %%ymm3\n\t"
        "vmovaps 128(%0), %%ymm4\n\tvmovaps 160(%0), %%ymm5\n\tvmovaps 192(%0), %%ymm6\n\tvmovaps 224(%0), %%ymm7\n\t",
        "vzeroupper\n\t", XMM_0_15);
}

/* ---- 128 bits, 16 registers --------------------------------------------------------------------------- */

#define ZERO_128(i) "xorps %%xmm" #i ", %%xmm" #i "\n\t"
#define MUL_128(i) "mulps %%xmm14, %%xmm" #i "\n\t"
#define ADD_128(i) "addps %%xmm15, %%xmm" #i "\n\t"
#define ROW_128(row, a, b)                                                                                            \
    "movss " #row "*%c7(%2), %%xmm14\n\tshufps $0, %%xmm14, %%xmm14\n\tmovaps %%xmm14, %%xmm15\n\t"                   \
    "mulps %%xmm12, %%xmm15\n\taddps %%xmm15, %%xmm" #a "\n\t"                                                        \
    "mulps %%xmm13, %%xmm14\n\taddps %%xmm14, %%xmm" #b "\n\t"

static void registers_128(int64_t rounds) {
    REGISTERS_LOOP(TIMES12(ZERO_128), "movss %1, %%xmm14\n\tshufps $0, %%xmm14, %%xmm14\n\t"
                   "movss %2, %%xmm15\n\tshufps $0, %%xmm15, %%xmm15\n\t",
                   MUL_128(0) ADD_128(6) MUL_128(1) ADD_128(7) MUL_128(2) ADD_128(8)
                   MUL_128(3) ADD_128(9) MUL_128(4) ADD_128(10) MUL_128(5) ADD_128(11), "", XMM_0_15);
}

static void fed_128(int64_t rounds, const float *panel, const float *rows) {
    FED_LOOP(TIMES12(ZERO_128), "movaps (%1), %%xmm12\n\tmovaps 16(%1), %%xmm13\n\t" SIX_ROWS(ROW_128), "32", "",
             XMM_0_15);
}

static void read_128(const char *p, int64_t bytes) {
    READ_LOOP(
        "movaps (%0), %%xmm0\n\tmovaps 16(%0), %%xmm1\n\tmovaps 32(%0), %%xmm2\n\tmovaps 48(%0), %%xmm3\n\t"
        "movaps 64(%0), %%xmm4\n\tmovaps 80(%0), %%xmm5\n\tmovaps 96(%0), %%xmm6\n\tmovaps 112(%0), %%xmm7\n\t"
        "movaps 128(%0), %%xmm0\n\tmovaps 144(%0), %%xmm1\n\tmovaps 160(%0), %%xmm2\n\tmovaps 176(%0), %%xmm3\n\t"
        "movaps 192(%0), %%xmm4\n\tmovaps 208(%0), %%xmm5\n\tmovaps 224(%0), %%xmm6\n\tmovaps 240(%0), %%xmm7\n\t",
        "", XMM_0_15);
}

const PeakLoops *peak_loops(const Target *t) {
    static const PeakLoops AVX512 = {registers_512, fed_512, read_512, 2 * 16 * 24, 2 * 16 * 24 * PEAK_DEPTH};
    static const PeakLoops AVX2 = {registers_256, fed_256, read_256, 2 * 8 * 12, 2 * 8 * 12 * PEAK_DEPTH};
    static const PeakLoops AVX = {registers_avx, fed_avx, read_256, 2 * 8 * 6, 2 * 8 * 12 * PEAK_DEPTH};
    static const PeakLoops SSE2 = {registers_128, fed_128, read_128, 2 * 4 * 6, 2 * 4 * 12 * PEAK_DEPTH};
    return t->width >= 16 ? &AVX512 : t->width == 8 && t->has_fma ? &AVX2 : t->width == 8 ? &AVX : &SSE2;
}

#elif defined(__aarch64__)

/* ---- NEON: 128 bits, 32 registers --------------------------------------------------------------------- */

#define V_0_31                                                                                                        \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",      \
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
#define ZERO(i) "movi v" #i ".4s, #0\n\t"
#define FMA(i) "fmla v" #i ".4s, v30.4s, v31.4s\n\t"
#define ROW(lane, of, a, b)                                                                                           \
    "fmla v" #a ".4s, v24.4s, v" #of ".s[" #lane "]\n\tfmla v" #b ".4s, v25.4s, v" #of ".s[" #lane "]\n\t"

static void registers_neon(int64_t rounds) {
    __asm__ volatile(TIMES24(ZERO) "fmov v30.4s, #1.0\n\tfmov v31.4s, #0.125\n\t"
                     "1:\n\t" TIMES24(FMA) "subs %0, %0, #1\n\tb.ne 1b\n\t" : "+r"(rounds) : : "cc", V_0_31);
}

static void fed_neon(int64_t rounds, const float *panel, const float *rows) {
    const char *p, *q;
    int64_t     depth;
    __asm__ volatile(TIMES24(ZERO) "2:\n\tmov %1, %4\n\tmov %2, %5\n\tmov %3, %6\n\t"
                     "1:\n\tldp q24, q25, [%1], #32\n\tldp q26, q27, [%2], #32\n\tldr q28, [%2], #16\n\t"
                     ROW(0, 26, 0, 1) ROW(1, 26, 2, 3) ROW(2, 26, 4, 5) ROW(3, 26, 6, 7)
                     ROW(0, 27, 8, 9) ROW(1, 27, 10, 11) ROW(2, 27, 12, 13) ROW(3, 27, 14, 15)
                     ROW(0, 28, 16, 17) ROW(1, 28, 18, 19) ROW(2, 28, 20, 21) ROW(3, 28, 22, 23)
                     "subs %3, %3, #1\n\tb.ne 1b\n\tsubs %0, %0, #1\n\tb.ne 2b\n\t"
                     : "+r"(rounds), "=&r"(p), "=&r"(q), "=&r"(depth)
                     : "r"(panel), "r"(rows), "i"(PEAK_DEPTH) : "cc", "memory", V_0_31);
}

#define LOAD_PAIR "ldp q0, q1, [%0], #32\n\tldp q2, q3, [%0], #32\n\t"

static void read_neon(const char *p, int64_t bytes) {
    __asm__ volatile("1:\n\t" LOAD_PAIR LOAD_PAIR LOAD_PAIR LOAD_PAIR "subs %1, %1, #256\n\tb.ne 1b\n\t"
                     : "+r"(p), "+r"(bytes) : : "cc", "memory", V_0_31);
}

const PeakLoops *peak_loops(const Target *t) {
    static const PeakLoops NEON = {registers_neon, fed_neon, read_neon, 2 * 4 * 24, 2 * 4 * 24 * PEAK_DEPTH};
    (void)t;
    return &NEON;
}

#endif
