#include "runtime/image.h"

#include <ctype.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_SIDE = 1 << 16, MAX_FILE = 1 << 30 };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcasecmp(s + n - m, end);
}

bool netc_image_named(const char *path) {
    return ends_with(path, ".png") || ends_with(path, ".pgm") || ends_with(path, ".ppm") || ends_with(path, ".pnm");
}

/* Pixels as they come: rows of interleaved samples, c = 1 or 3 of them each. */
typedef struct {
    const char    *path;
    int64_t        w, h, c;
    unsigned char *pixel;
} picture;

/* Refuses a size that is not the wanted one, or that `file` bytes cannot hold, before memory is taken. */
static int take_size(picture *p, const int64_t want[3], uint64_t file) {
    if (p->w < 1 || p->h < 1 || p->w > MAX_SIDE || p->h > MAX_SIDE) {
        return netc_error(NETC_EXIT_DATA, "%s: a picture of %lld x %lld pixels", p->path, (long long)p->h,
                          (long long)p->w);
    }
    if (want && (p->h != want[1] || p->w != want[2])) {
        return netc_error(NETC_EXIT_DATA, "%s: has %lld x %lld pixels (height x width), the field is %lld x %lld",
                          p->path, (long long)p->h, (long long)p->w, (long long)want[1], (long long)want[2]);
    }
    uint64_t bytes = (uint64_t)(p->w * p->h * p->c);
    if (bytes / 24 / 1032 > file) return netc_error(NETC_EXIT_DATA, "%s: truncated", p->path);
    p->pixel = netc_try_alloc(bytes, p->path);
    return p->pixel ? NETC_EXIT_OK : NETC_EXIT_LIMIT;
}

/* ---- PNG ------------------------------------------------------------------------------------------ */

typedef struct {
    const unsigned char *p;
    size_t               left;
    char                 why[128];
} png_source;

static void png_bytes(png_structp png, png_bytep to, size_t n) {
    png_source *s = png_get_io_ptr(png);
    if (n > s->left) png_error(png, "the file ends too early");
    memcpy(to, s->p, n);
    s->p += n;
    s->left -= n;
}

static void png_failed(png_structp png, png_const_charp why) {
    png_source *s = png_get_error_ptr(png);
    snprintf(s->why, sizeof s->why, "%s", why);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp why) {
    (void)png;
    (void)why;                      /* oddities in chunks that do not change the pixels */
}

/* Asks for 8 bits a sample, palettes as colours, no alpha. */
static void png_normalize(png_structp png, png_infop info) {
    png_set_strip_16(png);
    png_set_palette_to_rgb(png);
    if (png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

/* Between setjmp and longjmp only *p, *code and *rows change, and those live outside of this frame. */
static bool png_decode(png_structp png, png_infop info, picture *p, const int64_t want[3], size_t file, int *code,
                       png_bytep **rows) {
    if (setjmp(png_jmpbuf(png))) return false;
    png_set_user_limits(png, MAX_SIDE, MAX_SIDE);
    png_set_chunk_malloc_max(png, 1 << 22);
    png_read_info(png, info);
    p->w = png_get_image_width(png, info);
    p->h = png_get_image_height(png, info);
    png_normalize(png, info);
    p->c = png_get_channels(png, info);
    if (p->c != 1 && p->c != 3) png_error(png, "an unknown kind of colours");
    *code = take_size(p, want, file);
    if (*code) return true;
    *rows = netc_array((size_t)p->h, sizeof **rows);
    for (int64_t y = 0; y < p->h; y++) (*rows)[y] = p->pixel + y * p->w * p->c;
    png_read_image(png, *rows);
    png_read_end(png, NULL);
    return true;
}

static int read_png(picture *p, const int64_t want[3], const char *data, size_t size) {
    png_source source = {(const unsigned char *)data, size, ""};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return netc_error(NETC_EXIT_LIMIT, "%s: out of memory", p->path);
    }
    int code = NETC_EXIT_OK;
    png_bytep *rows = NULL;
    png_set_read_fn(png, &source, png_bytes);
    if (!png_decode(png, info, p, want, size, &code, &rows)) {
        code = netc_error(NETC_EXIT_DATA, "%s: not a valid PNG file: %s", p->path, source.why);
    }
    free(rows);
    png_destroy_read_struct(&png, &info, NULL);
    return code;
}

/* ---- PGM, PPM: netpbm.sourceforge.net/doc/pgm.html ---------------------------------------------------- */

typedef struct {
    const unsigned char *p, *end;
} pnm_source;

/* The next number, after blanks and # comments; -1: none. */
static int64_t pnm_number(pnm_source *s) {
    while (s->p < s->end && (isspace(*s->p) || *s->p == '#')) {
        if (*s->p == '#') {
            while (s->p < s->end && *s->p != '\n') s->p++;
        } else {
            s->p++;
        }
    }
    int64_t v = -1;
    for (; s->p < s->end && isdigit(*s->p); s->p++) {
        v = (v < 0 ? 0 : v * 10) + (*s->p - '0');
        if (v > INT32_MAX) return -1;
    }
    return v;
}

static int64_t pnm_sample(pnm_source *s, bool text, int64_t most) {
    if (text) return pnm_number(s);
    int bytes = most > 255 ? 2 : 1;
    if (s->end - s->p < bytes) return -1;
    int64_t v = bytes == 2 ? s->p[0] << 8 | s->p[1] : s->p[0];
    s->p += bytes;
    return v;
}

static int read_pnm(picture *p, const int64_t want[3], const char *data, size_t size) {
    pnm_source s = {(const unsigned char *)data + 2, (const unsigned char *)data + size};
    bool text = data[1] == '2' || data[1] == '3';
    p->c = data[1] == '3' || data[1] == '6' ? 3 : 1;
    p->w = pnm_number(&s);
    p->h = pnm_number(&s);
    int64_t most = pnm_number(&s);
    if (most < 1 || most > 65535) return netc_error(NETC_EXIT_DATA, "%s: not a valid PGM or PPM file", p->path);
    if (!text && s.p < s.end) s.p++;            /* the one blank before the samples */
    int code = take_size(p, want, size);
    for (int64_t i = 0; !code && i < p->w * p->h * p->c; i++) {
        int64_t v = pnm_sample(&s, text, most);
        if (v < 0 || v > most) {
            code = netc_error(NETC_EXIT_DATA, "%s: %s", p->path, v < 0 ? "truncated" : "a sample beyond its maximum");
        } else {
            p->pixel[i] = most == 65535 ? (unsigned char)(v >> 8) : (unsigned char)((v * 255 + most / 2) / most);
        }
    }
    return code;
}

/* ---- both ----------------------------------------------------------------------------------------- */

/* One channel of c out of the interleaved samples. ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B. */
static unsigned char channel_of(const picture *p, int64_t at, int64_t channel, int64_t c) {
    const unsigned char *s = p->pixel + at * p->c;
    if (p->c == c) return s[channel];
    return p->c == 1 ? s[0] : (unsigned char)((19595 * s[0] + 38470 * s[1] + 7471 * s[2] + 32768) >> 16);
}

static int to_planes(const picture *p, const int64_t want[3], netc_tensor *t) {
    int64_t c = want ? want[0] : p->c, pixels = p->w * p->h;
    if (c != 1 && c != 3) {
        return netc_error(NETC_EXIT_DATA, "%s: pictures have 1 or 3 channels, not %lld", p->path, (long long)c);
    }
    *t = (netc_tensor){.dtype = NETC_U8, .rank = 3, .shape = {c, p->h, p->w}};
    int code = netc_tensor_alloc(t, p->path);
    if (code) return code;
    unsigned char *to = t->data;
    for (int64_t k = 0; k < c; k++) {
        for (int64_t i = 0; i < pixels; i++) *to++ = channel_of(p, i, k, c);
    }
    return NETC_EXIT_OK;
}

int netc_image_read(const char *path, const int64_t want[3], netc_tensor *t) {
    picture p = {.path = path};
    char *data;
    size_t size;
    *t = (netc_tensor){0};
    int code = netc_read_file(path, MAX_FILE, &data, &size);
    if (code) return code;
    if (size > 8 && !png_sig_cmp((png_const_bytep)data, 0, 8)) code = read_png(&p, want, data, size);
    else if (size > 2 && data[0] == 'P' && strchr("2356", data[1])) code = read_pnm(&p, want, data, size);
    else code = netc_error(NETC_EXIT_DATA, "%s: neither a PNG nor a PGM or PPM file", path);
    if (!code) code = to_planes(&p, want, t);
    free(p.pixel);
    free(data);
    return code;
}
