/* Symbols of an ELF object file, for tests. */
#ifndef NETC_TESTS_ELF_UTIL_H
#define NETC_TESTS_ELF_UTIL_H
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static int compare_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Global symbols of the object that are defined (or undefined), sorted, each with a space behind it. */
static char *elf_globals(Arena *a, const char *object, bool defined) {
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)object;
    const Elf64_Shdr *section = (const Elf64_Shdr *)(object + e->e_shoff);
    const char       *name[256];
    int               n = 0;
    for (int i = 0; i < e->e_shnum; i++) {
        if (section[i].sh_type != SHT_SYMTAB) continue;
        const char      *text = object + section[section[i].sh_link].sh_offset;
        const Elf64_Sym *s = (const Elf64_Sym *)(object + section[i].sh_offset);
        for (size_t k = 1; k < section[i].sh_size / sizeof *s; k++)
            if (ELF64_ST_BIND(s[k].st_info) != STB_LOCAL && (s[k].st_shndx != SHN_UNDEF) == defined && n < 256)
                name[n++] = text + s[k].st_name;
    }
    qsort(name, (size_t)n, sizeof *name, compare_text);
    Buf b = buf_new(a);
    for (int i = 0; i < n; i++) buf_printf(&b, "%s ", name[i]);
    return b.s;
}

#endif
