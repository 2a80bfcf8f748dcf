/* Which reader: by the end of the file's name. */
#include "runtime/tensor_file.h"

#include <string.h>

#include "runtime/clip.h"
#include "runtime/image.h"

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static int read_image(const char *path, netc_tensor *t) {
    int code = netc_image_read(path, NULL, t);
    if (code) return code;
    for (int i = 3; i > 0; i--) t->shape[i] = t->shape[i - 1];
    t->shape[0] = 1;
    t->rank = 4;
    return NETC_EXIT_OK;
}

/* One row of frames. */
static int read_clip(const char *path, netc_tensor *t) {
    int code = netc_clip_read(path, NULL, INT32_MAX, t);
    if (code) return code;
    for (int i = 4; i > 0; i--) t->shape[i] = t->shape[i - 1];
    t->shape[0] = 1;
    t->rank = 5;
    return NETC_EXIT_OK;
}

static bool idx_named(const char *path) {
    return ends_with(path, "-ubyte") || ends_with(path, ".idx") || ends_with(path, ".gz");
}

bool netc_tensor_of_pixels(const char *path) {
    return netc_image_named(path) || idx_named(path) || netc_is_folder(path);
}

int netc_tensor_read(const char *path, netc_tensor *t) {
    if (ends_with(path, ".npy")) return netc_npy_read(path, t);
    if (netc_image_named(path)) return read_image(path, t);
    if (idx_named(path)) return netc_idx_read(path, t);
    if (netc_is_folder(path)) return read_clip(path, t);
    return netc_error(NETC_EXIT_USAGE, "%s: the kind of file is not known from its name; it should end in .npy, .idx, "
                      "-ubyte (.gz too), .png, .pgm or .ppm, or be a folder of pictures", path);
}

int netc_tensors_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s) {
    if (ends_with(path, ".npz")) return netc_npz_read(path, check, cx, s);
    return netc_safetensors_read(path, check, cx, s);
}
