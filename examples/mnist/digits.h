/* For the programs that make data of MNIST's digits: reading the IDX files, random numbers, drawing. */
#ifndef DIGITS_H
#define DIGITS_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE };

typedef struct {
    int            count;
    const uint8_t *pixel;           /* count pictures of SIDE x SIDE */
    const uint8_t *label;
} Digits;

static inline void fail(const char *what, const char *file) {
    fprintf(stderr, "%s: %s\n", file, what);
    exit(3);
}

/* The contents of a file behind its header of `skip` bytes. */
static inline uint8_t *read_idx(const char *folder, const char *name, long skip, long *size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) fail("cannot be read", path);
    *size = ftell(f) - skip;
    uint8_t *data = *size > 0 ? malloc((size_t)*size) : NULL;
    if (!data || fseek(f, skip, SEEK_SET) || fread(data, 1, (size_t)*size, f) != (size_t)*size)
        fail("is cut off", path);
    fclose(f);
    return data;
}

/* part: "train" or "t10k" */
static inline Digits read_digits(const char *folder, const char *part) {
    char   images[64], labels[64];
    long   pixels, count;
    Digits d;
    snprintf(images, sizeof images, "%s-images-idx3-ubyte", part);
    snprintf(labels, sizeof labels, "%s-labels-idx1-ubyte", part);
    d.pixel = read_idx(folder, images, 16, &pixels);
    d.label = read_idx(folder, labels, 8, &count);
    if (pixels != count * PIXELS) fail("does not fit its labels", images);
    d.count = (int)count;
    return d;
}

/* SplitMix64: the same numbers everywhere. A number from 0 to n-1. */
static inline int pick(int n) {
    static uint64_t state = 1;
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (int)((z ^ z >> 31) >> 33) % n;
}

/* Draws digit k with its upper left corner at (y, x); the brighter pixel wins. */
static inline void draw_digit(uint8_t *image, int height, int width, const Digits *d, int k, int y, int x) {
    for (int i = 0; i < PIXELS; i++) {
        int v = y + i / SIDE, u = x + i % SIDE;
        uint8_t p = d->pixel[(size_t)k * PIXELS + (size_t)i];
        if (v >= 0 && v < height && u >= 0 && u < width && p > image[v * width + u]) image[v * width + u] = p;
    }
}

#endif
