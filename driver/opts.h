/* The command line: one table (opts.def), parsed into an Options. */
#ifndef NETC_DRIVER_OPTS_H
#define NETC_DRIVER_OPTS_H
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/vec.h"

typedef enum {
#define COMMAND(name, operands, help, runtime) CMD_##name,
#define OPTION(id, name, arg, commands, help)
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
    CMD_COUNT
} Command;

typedef enum {
#define COMMAND(name, operands, help, runtime)
#define OPTION(id, name, arg, commands, help) OPT_##id,
#include "driver/opts.def"
#undef COMMAND
#undef OPTION
    OPT_COUNT
} Option;

typedef struct {
    Command     command;
    const char *value[OPT_COUNT];          /* the option's argument, "" if it has none; NULL: not given */
    const char *operand;                   /* FILE, or what the command takes in its place; NULL: not given */
    VEC(const char *) settings;            /* name=value */
    VEC(const char *) off;                 /* NAME of every --fno-NAME */
    VEC(const char *) schedules;           /* of every --schedule */
    VEC(char *) rest;                      /* for the runtime's command: options unknown here, in order */
} Options;

/* False after a message on stderr (exit code 2). */
bool opts_parse(Arena *a, int argc, char **argv, Options *o);
void opts_help(FILE *out, Command about);  /* CMD_help: all commands */

#endif
