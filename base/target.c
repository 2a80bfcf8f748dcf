#include "base/target.h"

#include <string.h>

static const Target ROWS[TARGET_COUNT] = {
#define TARGET(id_, name_, arch_, aliases_, tune_, features_, needs_, width_, registers_, fma_, round_, loads_,        \
               stores_, ports_, latency_, l1_, l2_, text_)                                                             \
    [TARGET_##id_] = {.id = TARGET_##id_, .name = name_, .arch = arch_, .tune = tune_, .features = features_,          \
                      .needs = needs_, .width = width_, .registers = registers_, .has_fma = fma_,                     \
                      .has_round = round_, .loads = loads_, .stores = stores_, .fma_ports = ports_,                   \
                      .latency = latency_, .l1 = l1_, .l2 = l2_, .text = text_},
#include "base/targets.def"
#undef TARGET
};

/* Names for -mcpu, each after a space. "generic" stands for a row of either architecture. */
static const char *const ALIASES[TARGET_COUNT] = {
#define TARGET(id, name, arch, aliases, ...) [TARGET_##id] = " " name aliases,
#include "base/targets.def"
#undef TARGET
};

#define TARGET(id, name, arch, aliases, ...) " " name
static const char KNOWN[] = "unknown processor; netc knows native and, with the aliases that `netc targets` lists,"
#include "base/targets.def"
    ;
#undef TARGET

void target_row(Target *t, TargetId id) {
    *t = ROWS[id];
    bool x86 = t->arch == ARCH_X86_64;
    t->triple = x86 ? "x86_64-unknown-linux-gnu" : "aarch64-unknown-linux-gnu";
    t->cpu = x86 ? "x86-64" : "generic";
}

/* ---- the machine at hand ------------------------------------------------------------------------- */

#if defined(__x86_64__)
static const Arch HOST = ARCH_X86_64;

static bool host_feature(const char *name, size_t n) {
    struct { const char *name; bool here; } all[] = {
        {"avx", __builtin_cpu_supports("avx")},           {"avx2", __builtin_cpu_supports("avx2")},
        {"fma", __builtin_cpu_supports("fma")},           {"avx512f", __builtin_cpu_supports("avx512f")},
        {"avx512vl", __builtin_cpu_supports("avx512vl")}, {"avx512bw", __builtin_cpu_supports("avx512bw")},
        {"avx512dq", __builtin_cpu_supports("avx512dq")},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strlen(all[i].name) == n && !memcmp(all[i].name, name, n)) return all[i].here;
    return false;
}
#elif defined(__aarch64__)
static const Arch HOST = ARCH_AARCH64;

static bool host_feature(const char *name, size_t n) { return n == 4 && !memcmp(name, "neon", 4); }
#else
#error "netc runs on x86-64 and aarch64"
#endif

bool target_here(const Target *t) {
    if (t->arch != HOST) return false;
    for (const char *s = t->needs; *s;) {
        size_t n = strcspn(s, ",");
        if (!host_feature(s, n)) return false;
        s += n + (s[n] == ',');
    }
    return true;
}

/* The first row of the architecture that this machine runs; rows stand best first. */
void target_host(Target *t) {
    for (int i = 0; i < TARGET_COUNT; i++) {
        target_row(t, (TargetId)i);
        if (target_here(t)) return;
    }
}

/* ---- choice -------------------------------------------------------------------------------------- */

static bool has_word(const char *words, const char *word) {
    size_t n = strcspn(word, " ");
    if (word[n]) return false;
    for (const char *s = words; n && (s = strstr(s, word)); s++)
        if (s[-1] == ' ' && (s[n] == ' ' || !s[n])) return true;
    return false;
}

static bool is_arch(const char *triple, const char *arch) {
    size_t n = strlen(arch);
    return !strncmp(triple, arch, n) && (!triple[n] || triple[n] == '-');
}

static bool find_arch(const char *triple, Arch *arch, const char **why) {
    *arch = HOST;
    if (!triple) return true;
    *arch = is_arch(triple, "aarch64") || is_arch(triple, "arm64") ? ARCH_AARCH64 : ARCH_X86_64;
    if (*arch == ARCH_X86_64 && !is_arch(triple, "x86_64") && !is_arch(triple, "amd64")) {
        *why = "unknown machine; netc makes code for x86_64 and aarch64";
        return false;
    }
    if (strstr(triple, "windows") || strstr(triple, "darwin") || strstr(triple, "apple") || strstr(triple, "macos")) {
        *why = "netc makes ELF object files only (linux or none)";
        return false;
    }
    return true;
}

bool target_select(Target *t, const char *triple, const char *cpu, const char **why) {
    Arch arch;
    if (!find_arch(triple, &arch, why)) return false;
    bool native = !cpu || !strcmp(cpu, "native");
    bool found = false;
    for (int i = 0; i < TARGET_COUNT; i++) {
        if (ROWS[i].arch != arch) continue;
        if (native && arch != HOST) {                 /* the last row: what every such machine runs */
            target_row(t, (TargetId)i);
            found = true;
        } else if (!found && (native ? target_here(&ROWS[i]) : has_word(ALIASES[i], cpu))) {
            target_row(t, (TargetId)i);
            found = true;
        }
    }
    if (!found) *why = KNOWN;
    /* A bare architecture stands for its Linux triple, which target_row set. */
    if (found && triple && strchr(triple, '-')) t->triple = triple;
    return found;
}
