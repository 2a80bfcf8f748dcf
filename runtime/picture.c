#include "runtime/picture.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

/* Pixels: of the thin line around a filter, of white between filters; the longest side aimed at. */
enum { LINE = 1, GAP = 3, TARGET = 1600, BLOCK_MAX = 16 };
enum { WHITE = 255, LINE_GREY = 128 };

/* Where things lie: rows x cols filters' channels, each h x w blocks of `block` pixels. */
typedef struct {
    int64_t rows, cols, h, w, block, width, height;
} layout;

static int64_t square_root_up(int64_t n) {
    int64_t r = 1;
    while (r * r < n) r++;
    return r;
}

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static layout make_layout(int64_t n, int64_t c, int64_t h, int64_t w) {
    layout l = {.h = h, .w = w};
    l.cols = c > 1 ? c : square_root_up(n);
    l.rows = c > 1 ? n : (n + l.cols - 1) / l.cols;
    int64_t room = min_of(TARGET / (l.cols * w), TARGET / (l.rows * h));
    l.block = room < 1 ? 1 : min_of(room, BLOCK_MAX);
    l.width = l.cols * (w * l.block + 2 * LINE + GAP) + GAP;
    l.height = l.rows * (h * l.block + 2 * LINE + GAP) + GAP;
    return l;
}

/* Least weight white, largest black. */
static unsigned char shade(float v, float low, float high) {
    if (!(v > low)) return WHITE;
    if (v >= high) return 0;
    return (unsigned char)(WHITE - (int)(((double)v - low) / ((double)high - low) * WHITE + 0.5));
}

static void draw_block(const layout *l, unsigned char *pixel, int64_t place, const float *w, float low, float high) {
    int64_t x0 = GAP + place % l->cols * (l->w * l->block + 2 * LINE + GAP);
    int64_t y0 = GAP + place / l->cols * (l->h * l->block + 2 * LINE + GAP);
    int64_t wide = l->w * l->block + 2 * LINE, tall = l->h * l->block + 2 * LINE;
    for (int64_t y = 0; y < tall; y++) {
        for (int64_t x = 0; x < wide; x++) {
            bool line = y < LINE || x < LINE || y >= tall - LINE || x >= wide - LINE;
            unsigned char *to = &pixel[(y0 + y) * l->width + x0 + x];
            *to = line ? LINE_GREY : shade(w[(y - LINE) / l->block * l->w + (x - LINE) / l->block], low, high);
        }
    }
}

static void range_of(const float *w, int64_t count, float *low, float *high) {
    *low = *high = w[0];
    for (int64_t i = 1; i < count; i++) {
        if (w[i] < *low) *low = w[i];
        if (w[i] > *high) *high = w[i];
    }
}

/* ---- PNG ------------------------------------------------------------------------------------------ */

static void png_put(png_structp png, png_bytep p, size_t n) { netc_buf_add(png_get_io_ptr(png), p, n); }
static void png_flush_nothing(png_structp png) { (void)png; }

static void png_failed(png_structp png, png_const_charp why) {
    netc_error(NETC_EXIT_INTERNAL, "libpng: %s", why);
    png_longjmp(png, 1);
}

static bool png_encode(png_structp png, png_infop info, const layout *l, unsigned char *pixel, netc_buf *out) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_write_fn(png, out, png_put, png_flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)l->width, (png_uint_32)l->height, 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int64_t y = 0; y < l->height; y++) png_write_row(png, pixel + y * l->width);
    png_write_end(png, info);
    return true;
}

static int write_png(const char *path, const layout *l, unsigned char *pixel) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, png_failed, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    netc_buf out = {0};
    int code = NETC_EXIT_INTERNAL;
    if (!info) code = netc_error(NETC_EXIT_LIMIT, "%s: out of memory", path);
    else if (png_encode(png, info, l, pixel, &out)) code = netc_write_file(path, out.data, out.size);
    png_destroy_write_struct(&png, &info);
    netc_buf_free(&out);
    return code;
}

int netc_picture_filters(const char *path, const float *weights, int64_t n, int64_t c, int64_t h, int64_t w,
                         netc_picture_scale scale) {
    layout l = make_layout(n, c, h, w);
    if (l.width > 1 << 15 || l.height > 1 << 15) {
        return netc_error(NETC_EXIT_LIMIT, "%s: %lld filters of %lld channels are too many for one picture", path,
                          (long long)n, (long long)c);
    }
    size_t bytes = (size_t)(l.width * l.height);
    unsigned char *pixel = netc_alloc(bytes);
    memset(pixel, WHITE, bytes);
    float low, high;
    range_of(weights, n * c * h * w, &low, &high);
    for (int64_t i = 0; i < n; i++) {
        const float *filter = weights + i * c * h * w;
        if (scale == NETC_SCALE_FILTER) range_of(filter, c * h * w, &low, &high);
        for (int64_t k = 0; k < c; k++) draw_block(&l, pixel, i * c + k, filter + k * h * w, low, high);
    }
    int code = write_png(path, &l, pixel);
    free(pixel);
    return code;
}
