/* The filters of a convolution as a PNG of blocks: white = small weight, dark = large weight. */
#ifndef NETC_RUNTIME_PICTURE_H
#define NETC_RUNTIME_PICTURE_H
#include "runtime/rt_util.h"

typedef enum {
    NETC_SCALE_FILTER,          /* white and black are the least and largest weight of each filter (all its channels) */
    NETC_SCALE_LAYER            /* ... of the whole layer */
} netc_picture_scale;

/* w is [n, c, h, w] in C order. One channel: the filters fill a near-square grid, row by row. More:
 * one row of c blocks per filter. Every weight is a square of pixels. Written atomically. */
int netc_picture_filters(const char *path, const float *weights, int64_t n, int64_t c, int64_t h, int64_t w,
                         netc_picture_scale scale);

#endif
