#ifndef NETC_DRIVER_C_MODEL_H
#define NETC_DRIVER_C_MODEL_H
#include "codegen/c_api.h"
#include "driver/build.h"

/* The C interface of all functions that were built: entries, "train", "init". `name`: prefix of its symbols. */
void c_model_of(const Build *b, const char *name, CModel *m);

#endif
