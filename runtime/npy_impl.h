/* The header of a .npy file, for npy.c and npz.c. */
#ifndef NETC_RUNTIME_NPY_IMPL_H
#define NETC_RUNTIME_NPY_IMPL_H
#include "runtime/tensor_file.h"

enum { NPY_PREFIX = 12, NPY_MAX_HEADER = 1 << 20 };

/* From the first NPY_PREFIX bytes (n of them there): bytes before the numbers. */
int npy_prefix(const char *bytes, size_t n, const char *path, size_t *header);
/* From those bytes: dtype, shape and bytes of *t. */
int npy_header(const char *bytes, size_t header, const char *path, netc_tensor *t, bool *fortran);
/* Turns data in Fortran order into C order, in new memory. */
int npy_to_c_order(netc_tensor *t, const char *path);

#endif
