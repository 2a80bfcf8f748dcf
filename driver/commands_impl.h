/* What the commands that end in the runtime share (cmd_runtime.c). */
#ifndef NETC_DRIVER_COMMANDS_IMPL_H
#define NETC_DRIVER_COMMANDS_IMPL_H
#include "driver/build.h"

typedef VEC(char *) Words;

/* Builds the functions in `names` (NULL-terminated; "entries" and "expands" stand for all of them) of a
 * loaded and started *b, and makes machine code. */
int   prepare(Build *b, const char *const *names, netc_model **m);
/* argv of the runtime's command: "netc COMMAND", what was not ours, and where the data are. */
Words runtime_argv(Build *b, const char *command);

#endif
