/* The machine that code is generated for: what passes/ may count on when it chooses a schedule, and what
 * codegen/ tells LLVM. One row of targets.def; no row depends on the machine that netc runs on, so
 * that equal rows give equal bytes everywhere. */
#ifndef NETC_BASE_TARGET_H
#define NETC_BASE_TARGET_H
#include <stdbool.h>
#include <stddef.h>

typedef enum { ARCH_X86_64, ARCH_AARCH64 } Arch;

typedef enum {
#define TARGET(id, ...) TARGET_##id,
#include "base/targets.def"
#undef TARGET
    TARGET_COUNT
} TargetId;

typedef struct {
    TargetId    id;
    const char *name;           /* "avx512" */
    Arch        arch;
    const char *triple;         /* LLVM's: "x86_64-unknown-linux-gnu" */
    const char *cpu;            /* LLVM's name of the architecture's baseline: "x86-64", "generic" */
    const char *tune;           /* LLVM's processor model for order and cost */
    const char *features;       /* LLVM's: "+avx2,+fma": what the code may use beyond `cpu` */
    const char *needs;          /* "avx2,fma": what a program checks at its start; "" = nothing */
    int         width;          /* floats in a vector */
    int         registers;      /* vector registers */
    bool        has_fma;        /* a multiply-add that rounds once */
    bool        has_round;      /* floor and round are instructions */
    int         loads, stores;  /* vectors a cycle, from and to L1 */
    int         fma_ports;      /* vector multiply-adds a cycle */
    int         latency;        /* of one, in cycles */
    int         l1, l2;         /* bytes of data cache of one core */
    const char *text;           /* for `netc targets` */
} Target;

/* The best row whose needs this machine has. */
void target_host(Target *t);

/* triple: NULL = this machine's; "ARCH" or "ARCH-...", ARCH x86_64 or aarch64, an ELF system; kept by pointer.
 * cpu: NULL or "native" = the best of this machine (the lowest row if ARCH is another), else a name or
 * alias of targets.def. False and a text in *why (static) if there is no such row. */
bool target_select(Target *t, const char *triple, const char *cpu, const char **why);

/* Row `id`, with the default triple of its architecture. */
void target_row(Target *t, TargetId id);

/* Has this machine the row's architecture and all of its needs? */
bool target_here(const Target *t);

#endif
