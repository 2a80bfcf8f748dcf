/* A stand-alone trainer: the model's object file linked with the runtime library by the system's compiler. */
#ifndef NETC_DRIVER_LINK_H
#define NETC_DRIVER_LINK_H
#include <stdbool.h>

#include "base/arena.h"

/* Links `object` into the program `out` (a temporary file that is renamed). An exit code, after a message
 * on stderr if it is not 0. */
int link_trainer(Arena *a, const char *object, const char *out);

#endif
