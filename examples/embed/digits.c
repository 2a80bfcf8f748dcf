/* A trained network inside a C program, through the header that netc wrote. It reads the plain numbers of a weights
 * file, packs them once, and classifies the images of an IDX file. See the Makefile beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

/* All memory is ours: blocks as large as the header says, aligned to 64 bytes, with 64 readable bytes behind. */
static void *block(size_t size) {
    void *p = aligned_alloc(64, (size + 127) / 64 * 64);
    if (!p) exit(8);
    return memset(p, 0, (size + 127) / 64 * 64);
}

static FILE *open_at(const char *path, long skip) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, skip, SEEK_SET)) {
        perror(path);
        exit(3);
    }
    return f;
}

/* A .safetensors file: 8 bytes length of the header, the header, the numbers in the order that the pack
 * function wants. */
static void read_weights(const char *path, void *weights) {
    unsigned char size[8];
    FILE *f = open_at(path, 0);
    float *plain = block(DIGITS_PLAIN_COUNT * sizeof *plain);
    long   header = 0;
    if (fread(size, 1, 8, f) != 8) exit(4);
    for (int i = 3; i >= 0; i--) header = header << 8 | size[i];
    if (fseek(f, header, SEEK_CUR) || fread(plain, sizeof *plain, DIGITS_PLAIN_COUNT, f) != DIGITS_PLAIN_COUNT) {
        fprintf(stderr, "%s: too short\n", path);
        exit(4);
    }
    if (digits_pack(plain, weights, NULL)) exit(4);
    free(plain);
    fclose(f);
}

int main(int argc, char **argv) {
    static unsigned char pixels[DIGITS_BATCH][DIGITS_CLASSIFY_IMG_COUNT], labels[DIGITS_BATCH];
    static float   img[DIGITS_BATCH][DIGITS_CLASSIFY_IMG_COUNT];
    static int32_t class[DIGITS_BATCH];
    if (argc != 4) {
        fprintf(stderr, "usage: %s WEIGHTS.safetensors IMAGES LABELS (IDX files)\n", argv[0]);
        return 2;
    }
    void *weights = block(DIGITS_WEIGHTS_SIZE), *arena = block(DIGITS_CLASSIFY_ARENA_SIZE);
    read_weights(argv[1], weights);
    FILE *images = open_at(argv[2], 16), *answers = open_at(argv[3], 8);
    long  right = 0, all = 0;
    size_t n;
    while ((n = fread(pixels, DIGITS_CLASSIFY_IMG_COUNT, DIGITS_BATCH, images)) > 0 &&
           fread(labels, 1, n, answers) == n) {
        for (size_t i = 0; i < n * DIGITS_CLASSIFY_IMG_COUNT; i++) img[0][i] = pixels[0][i] / 255.0f;
        digits_classify_io io = {.size = sizeof io, .count = (uint32_t)n, .img = img[0], .out0 = class};
        int code = digits_classify(&io, weights, NULL, arena, DIGITS_CLASSIFY_ARENA_SIZE);
        if (code) {
            fprintf(stderr, "digits_classify: %d\n", code);
            return 4;
        }
        for (size_t i = 0; i < n; i++) right += class[i] == labels[i];
        all += (long)n;
    }
    printf("%ld of %ld images right (%.2f %%)\n", right, all, all ? 100.0 * (double)right / (double)all : 0.0);
    return 0;
}
