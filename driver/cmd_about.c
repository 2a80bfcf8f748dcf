/* help, version, explain, targets: what netc says about itself. */
#include <string.h>

#include "base/str.h"
#include "base/target.h"
#include "codegen/codegen.h"
#include "driver/commands.h"
#include "passes/kernels.h"
#include "passes/pass.h"

int cmd_help(Arena *a, const Options *o) {
    (void)a;
    static const char *const NAMES[] = {
#define COMMAND(name, operands, help, runtime) #name,
#define OPTION(id, name, arg, commands, help)
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
    };
    for (int i = 0; o->operand && i < CMD_COUNT; i++) {
        if (strcmp(o->operand, NAMES[i])) continue;
        opts_help(stdout, (Command)i);
        return 0;
    }
    if (o->operand) {
        const char *near = str_nearest(o->operand, NAMES, CMD_COUNT);
        fprintf(stderr, "netc: there is no command '%s'%s%s%s\n", o->operand, near ? "; did you mean '" : "",
                near ? near : "", near ? "'?" : "");
        return 2;
    }
    opts_help(stdout, CMD_help);
    fputs("\nPasses, in order:\n", stdout);
    passes_list(stdout);
    fputs("\nFusions and rewritings of kernels (--fno-NAME):\n ", stdout);
    for (int i = 0; FUSIONS[i]; i++) printf(" %s%s", FUSIONS[i], i % 12 == 11 ? "\n " : "");
    fputc('\n', stdout);
    return 0;
}

int cmd_version(Arena *a, const Options *o) {
    (void)a;
    (void)o;
    printf("netc %s (LLVM %s)\n", NETC_VERSION, codegen_llvm_version());
    return 0;
}

int cmd_explain(Arena *a, const Options *o) {
    (void)a;
    if (!o->operand) {
        fputs("netc: explain needs a code, such as E0301\n", stderr);
        return 2;
    }
    if (diag_explain(o->operand, stdout)) return 0;
    fprintf(stderr, "netc: there is no message code %s (codes stand in brackets at the end of a message)\n",
            o->operand);
    return 2;
}

int cmd_targets(Arena *a, const Options *o) {
    (void)a;
    (void)o;
    printf("%-10s %-28s %7s %10s  %s\n", "-mcpu", "target", "floats", "registers", "");
    for (int i = 0; i < TARGET_COUNT; i++) {
        Target t;
        target_row(&t, (TargetId)i);
        printf("%-10s %-28s %7d %10d  %s\n", t.name, t.triple, t.width, t.registers, t.text);
    }
    return 0;
}
