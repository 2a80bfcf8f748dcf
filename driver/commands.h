/* The commands of netc, one function a row of opts.def. Each returns an exit code. */
#ifndef NETC_DRIVER_COMMANDS_H
#define NETC_DRIVER_COMMANDS_H
#include "driver/opts.h"

#define COMMAND(name, operands, help, runtime) int cmd_##name(Arena *a, const Options *o);
#define OPTION(id, name, arg, commands, help)
#include "driver/opts.def"
#undef COMMAND
#undef OPTION

#endif
