/* Makes clips of moving digits from MNIST:   make_clips MNIST_FOLDER clips.safetensors [COUNT]
 *
 * COUNT (5,000) clips of 3 to 16 frames of 32x32; the last tenth shows MNIST's test digits, the others its training
 * digits. A digit moves in a straight line and turns at the borders. One frame in eight shows another digit than the
 * one before; in one of three a grey block hides a part of it. The label of a frame is the digit that is there.
 */
#include "../mnist/digits.h"

enum { CLIPS = 5000, MAX = 16, SIZE = 32, FRAME = SIZE * SIZE, BLOCK = 14 };

/* Moves x by *speed within lo .. hi. */
static int move(int x, int *speed, int lo, int hi) {
    if (x + *speed < lo || x + *speed > hi) *speed = -*speed;
    return x + *speed;
}

static void make_clip(const Digits *d, int length, uint8_t *frame, int32_t *label) {
    int y = pick(9) - 2, x = pick(9) - 2, dy = pick(5) - 2, dx = pick(5) - 2, k = pick(d->count);
    for (int t = 0; t < length; t++, frame += FRAME) {
        if (t && pick(8) == 0) k = pick(d->count);
        draw_digit(frame, SIZE, SIZE, d, k, y, x);
        label[t] = d->label[k];
        if (pick(3) == 0) {
            int top = 2 + pick(SIZE - BLOCK - 4), left = 2 + pick(SIZE - BLOCK - 4);
            for (int i = 0; i < BLOCK; i++) memset(frame + (top + i) * SIZE + left, 128, BLOCK);
        }
        y = move(y, &dy, -2, 6);
        x = move(x, &dx, -2, 6);
    }
}

/* A safetensors file: the size of a JSON text, the text, the numbers. (Little-endian machines.) */
static void write_clips(const char *path, int n, const uint8_t *frame, const int32_t *label, const int32_t *length) {
    size_t a = (size_t)n * MAX * FRAME, b = a + (size_t)n * MAX * 4, c = b + (size_t)n * 4;
    char   text[512];
    snprintf(text, sizeof text,
             "{\"frames\":{\"dtype\":\"U8\",\"shape\":[%d,%d,1,%d,%d],\"data_offsets\":[0,%zu]},"
             "\"digit\":{\"dtype\":\"I32\",\"shape\":[%d,%d],\"data_offsets\":[%zu,%zu]},"
             "\"T\":{\"dtype\":\"I32\",\"shape\":[%d],\"data_offsets\":[%zu,%zu]}}",
             n, MAX, SIZE, SIZE, a, n, MAX, a, b, n, b, c);
    uint64_t size = (strlen(text) + 7) / 8 * 8;
    FILE *f = fopen(path, "wb");
    if (!f) fail("cannot be written", path);
    fwrite(&size, sizeof size, 1, f);
    fprintf(f, "%-*s", (int)size, text);
    fwrite(frame, 1, a, f);
    fwrite(label, 4, (size_t)n * MAX, f);
    fwrite(length, 4, (size_t)n, f);
    if (ferror(f) | fclose(f)) fail("cannot be written", path);
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: make_clips MNIST_FOLDER clips.safetensors [COUNT]\n"), 2;
    int      n = argc > 3 ? atoi(argv[3]) : CLIPS;
    Digits   train = read_digits(argv[1], "train"), test = read_digits(argv[1], "t10k");
    uint8_t *frame = calloc((size_t)n * MAX, FRAME);
    int32_t *label = calloc((size_t)n * MAX, 4), *length = calloc((size_t)n, 4);
    if (!frame || !label || !length) fail("out of memory", argv[2]);
    for (int i = 0; i < n; i++) {
        length[i] = 3 + pick(MAX - 2);
        make_clip(i < n - n / 10 ? &train : &test, length[i], frame + (size_t)i * MAX * FRAME, label + i * MAX);
    }
    write_clips(argv[2], n, frame, label, length);
    return 0;
}
