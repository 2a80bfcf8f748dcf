/* Pictures as tensors: PNG (libpng), PGM and PPM. */
#ifndef NETC_RUNTIME_IMAGE_H
#define NETC_RUNTIME_IMAGE_H
#include "runtime/tensor_file.h"

/* Reads a picture as u8 [c, h, w], c = 1 (grey) or 3; 16-bit samples lose their low byte, alpha is
 * dropped. With want != NULL (a shape [c, h, w]) another height or width is an error that names both,
 * and grey is turned into colour (equal channels) or colour into grey (ITU-R 601 luma) to fit c. */
int netc_image_read(const char *path, const int64_t want[3], netc_tensor *t);
/* Does the name end as one of these formats' do? */
bool netc_image_named(const char *path);

#endif
