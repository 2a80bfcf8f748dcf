/* netc: the command line. The only place that ends the process on purpose. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "driver/commands.h"

static int (*const RUN[])(Arena *, const Options *) = {
#define COMMAND(name, operands, help, runtime) [CMD_##name] = cmd_##name,
#define OPTION(id, name, arg, commands, help)
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
};

int main(int argc, char **argv) {
    Arena  *a = arena_new();
    Options o;
    signal(SIGPIPE, SIG_IGN);
    int code = opts_parse(a, argc, argv, &o) ? RUN[o.command](a, &o) : 2;
    if (fflush(stdout) || ferror(stdout)) {
        fputs("netc: cannot write to standard output\n", stderr);
        code = code ? code : 3;
    }
    arena_free(a);
    return code;
}
