/* The memory of sequences while training: --max-memory, --print-stash, and what check says of it. */
#ifndef NETC_DRIVER_MEMORY_H
#define NETC_DRIVER_MEMORY_H
#include "driver/build.h"

const char *bytes_text(Arena *a, double n);              /* "1.5 KiB" */
/* "512M" as bytes; false if `s` is no size. */
bool bytes_parse(const char *s, int64_t *bytes);
/* grad_params by the options: chooses checkpoints, prints what is kept. False after an error in b->diag. */
bool build_gradient(Build *b, Graph *g);
/* Of a model with sequences: what a training step keeps, without and with checkpoints. An exit code. */
int  print_sequence_memory(Build *b);

#endif
