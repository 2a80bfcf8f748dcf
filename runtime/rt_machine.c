/* Sums, the clock, the features of the CPU. */
#include "runtime/rt_util.h"

#include <string.h>
#include <time.h>
#include <zlib.h>

/* ---- XXH64 ---------------------------------------------------------------------------------------- */

#define P1 UINT64_C(0x9E3779B185EBCA87)
#define P2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define P3 UINT64_C(0x165667B19E3779F9)
#define P4 UINT64_C(0x85EBCA77C2B2AE63)
#define P5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t rotate(uint64_t x, int r) { return x << r | x >> (64 - r); }
static uint64_t xx_round(uint64_t acc, uint64_t lane) { return rotate(acc + lane * P2, 31) * P1; }
static uint64_t xx_merge(uint64_t h, uint64_t acc) { return (h ^ xx_round(0, acc)) * P1 + P4; }

static uint64_t load64(const unsigned char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static uint32_t load32(const unsigned char *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static uint64_t xx_tail(uint64_t h, const unsigned char *p, size_t n) {
    for (; n >= 8; p += 8, n -= 8) h = rotate(h ^ xx_round(0, load64(p)), 27) * P1 + P4;
    if (n >= 4) {
        h = rotate(h ^ load32(p) * P1, 23) * P2 + P3;
        p += 4;
        n -= 4;
    }
    for (; n; p++, n--) h = rotate(h ^ *p * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

uint64_t netc_xxh64(const void *data, size_t n, uint64_t seed) {
    const unsigned char *p = data;
    uint64_t h = seed + P5;
    size_t rest = n;
    if (n >= 32) {
        uint64_t acc[4] = {seed + P1 + P2, seed + P2, seed, seed - P1};
        for (; rest >= 32; p += 32, rest -= 32) {
            for (int i = 0; i < 4; i++) acc[i] = xx_round(acc[i], load64(p + 8 * i));
        }
        h = rotate(acc[0], 1) + rotate(acc[1], 7) + rotate(acc[2], 12) + rotate(acc[3], 18);
        for (int i = 0; i < 4; i++) h = xx_merge(h, acc[i]);
    }
    return xx_tail(h + n, p, rest);
}

uint32_t netc_crc32(uint32_t crc, const void *p, size_t n) {
    return (uint32_t)crc32_z(crc, p, n);
}

/* ---- clock ---------------------------------------------------------------------------------------- */

double netc_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- features of the CPU -------------------------------------------------------------------------- */

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* What the system must save for a feature's registers (XCR0). */
enum { SAVES_NONE = 0, SAVES_YMM = 0x6, SAVES_ZMM = 0xe6 };

/* Feature, cpuid leaf and subleaf, register (0 eax .. 3 edx), bit: Intel SDM vol. 2A, CPUID. */
static const struct {
    const char *name;
    uint32_t    leaf, sub;
    int         reg, bit;
    uint32_t    saves;
} FEATURES[] = {
    {"cx8", 1, 0, 3, 8, 0},            {"cmov", 1, 0, 3, 15, 0},          {"mmx", 1, 0, 3, 23, 0},
    {"fxsr", 1, 0, 3, 24, 0},          {"sse", 1, 0, 3, 25, 0},           {"sse2", 1, 0, 3, 26, 0},
    {"sse3", 1, 0, 2, 0, 0},           {"pclmul", 1, 0, 2, 1, 0},         {"ssse3", 1, 0, 2, 9, 0},
    {"fma", 1, 0, 2, 12, SAVES_YMM},   {"cx16", 1, 0, 2, 13, 0},          {"sse4.1", 1, 0, 2, 19, 0},
    {"sse4.2", 1, 0, 2, 20, 0},        {"movbe", 1, 0, 2, 22, 0},         {"popcnt", 1, 0, 2, 23, 0},
    {"aes", 1, 0, 2, 25, 0},           {"xsave", 1, 0, 2, 26, 0},         {"avx", 1, 0, 2, 28, SAVES_YMM},
    {"f16c", 1, 0, 2, 29, SAVES_YMM},  {"rdrnd", 1, 0, 2, 30, 0},
    {"fsgsbase", 7, 0, 1, 0, 0},       {"bmi", 7, 0, 1, 3, 0},            {"avx2", 7, 0, 1, 5, SAVES_YMM},
    {"bmi2", 7, 0, 1, 8, 0},           {"avx512f", 7, 0, 1, 16, SAVES_ZMM}, {"avx512dq", 7, 0, 1, 17, SAVES_ZMM},
    {"rdseed", 7, 0, 1, 18, 0},        {"adx", 7, 0, 1, 19, 0},           {"avx512ifma", 7, 0, 1, 21, SAVES_ZMM},
    {"clflushopt", 7, 0, 1, 23, 0},    {"clwb", 7, 0, 1, 24, 0},          {"avx512cd", 7, 0, 1, 28, SAVES_ZMM},
    {"sha", 7, 0, 1, 29, 0},           {"avx512bw", 7, 0, 1, 30, SAVES_ZMM}, {"avx512vl", 7, 0, 1, 31, SAVES_ZMM},
    {"avx512vbmi", 7, 0, 2, 1, SAVES_ZMM}, {"pku", 7, 0, 2, 3, 0},        {"avx512vbmi2", 7, 0, 2, 6, SAVES_ZMM},
    {"gfni", 7, 0, 2, 8, 0},           {"vaes", 7, 0, 2, 9, SAVES_YMM},   {"vpclmulqdq", 7, 0, 2, 10, SAVES_YMM},
    {"avx512vnni", 7, 0, 2, 11, SAVES_ZMM}, {"avx512bitalg", 7, 0, 2, 12, SAVES_ZMM},
    {"avx512vpopcntdq", 7, 0, 2, 14, SAVES_ZMM}, {"rdpid", 7, 0, 2, 22, 0},
    {"avx512fp16", 7, 0, 3, 23, SAVES_ZMM}, {"avxvnni", 7, 1, 0, 4, SAVES_YMM},
    {"avx512bf16", 7, 1, 0, 5, SAVES_ZMM},
    {"xsaveopt", 13, 1, 0, 0, 0},      {"xsavec", 13, 1, 0, 1, 0},        {"xsaves", 13, 1, 0, 3, 0},
    {"sahf", 0x80000001, 0, 2, 0, 0},  {"lzcnt", 0x80000001, 0, 2, 5, 0}, {"sse4a", 0x80000001, 0, 2, 6, 0},
    {"prfchw", 0x80000001, 0, 2, 8, 0}, {"64bit", 0x80000001, 0, 3, 29, 0},
};

static uint32_t saved_registers(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;     /* OSXSAVE */
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

bool netc_cpu_has(const char *feature) {
    for (size_t i = 0; i < sizeof FEATURES / sizeof *FEATURES; i++) {
        if (strcmp(FEATURES[i].name, feature)) continue;
        uint32_t r[4];
        if (!__get_cpuid_count(FEATURES[i].leaf, FEATURES[i].sub, &r[0], &r[1], &r[2], &r[3])) return false;
        uint32_t saves = FEATURES[i].saves;
        return (r[FEATURES[i].reg] >> FEATURES[i].bit & 1) && (saved_registers() & saves) == saves;
    }
    return false;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

/* Bits of AT_HWCAP: Documentation/arch/arm64/elf_hwcaps.rst of Linux. */
static const struct {
    const char *name;
    int         bit;
} FEATURES[] = {
    {"fp-armv8", 0}, {"neon", 1},     {"aes", 3},      {"sha2", 6},    {"crc", 7},
    {"lse", 8},      {"fullfp16", 9}, {"rdm", 12},     {"rcpc", 15},   {"dotprod", 20}, {"sve", 22},
};

bool netc_cpu_has(const char *feature) {
    for (size_t i = 0; i < sizeof FEATURES / sizeof *FEATURES; i++) {
        if (!strcmp(FEATURES[i].name, feature)) return getauxval(AT_HWCAP) >> FEATURES[i].bit & 1;
    }
    return false;
}

#else
bool netc_cpu_has(const char *feature) {
    (void)feature;
    return false;
}
#endif
