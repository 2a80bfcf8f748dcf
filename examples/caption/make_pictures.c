/* Makes pictures of one to five MNIST digits in a row, and what they show in words:
 *     make_pictures MNIST_FOLDER FOLDER [COUNT]
 *
 * Writes FOLDER/pictures/00000.pgm ..., 24 high and 104 wide, and FOLDER/captions.tsv: for each picture its path,
 * tab, its words. COUNT (20,000) in all; the last 20th shows MNIST's test digits.
 */
#include <sys/stat.h>

#include "../mnist/digits.h"

enum { PICTURES = 20000, HEIGHT = 24, WIDTH = 104, MOST = 5, STEP = 20 };
static const char *const WORD[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};

/* The row begins at the left; each digit may be off its place, by a pixel across, by two down or up. */
static void make_picture(const Digits *d, uint8_t *image, char *words) {
    int n = 1 + pick(MOST), left = pick(5) - 4;
    memset(image, 0, HEIGHT * WIDTH);
    for (int i = 0; i < n; i++) {
        int k = pick(d->count), y = pick(5) - 4, x = left + STEP * i + pick(3) - 1;
        draw_digit(image, HEIGHT, WIDTH, d, k, y, x);
        words += sprintf(words, "%s%s", i ? " " : "", WORD[d->label[k]]);
    }
}

static void write_picture(const char *path, const uint8_t *image) {
    FILE *f = fopen(path, "wb");
    if (!f) fail("cannot be written", path);
    fprintf(f, "P5\n%d %d\n255\n", WIDTH, HEIGHT);
    fwrite(image, 1, HEIGHT * WIDTH, f);
    if (ferror(f) | fclose(f)) fail("cannot be written", path);
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: make_pictures MNIST_FOLDER FOLDER [COUNT]\n"), 2;
    int     n = argc > 3 ? atoi(argv[3]) : PICTURES;
    Digits  train = read_digits(argv[1], "train"), test = read_digits(argv[1], "t10k");
    uint8_t image[HEIGHT * WIDTH];
    char    path[4096], words[64];
    snprintf(path, sizeof path, "%s/pictures", argv[2]);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/captions.tsv", argv[2]);
    FILE *f = fopen(path, "w");
    if (!f) fail("cannot be written", path);
    for (int i = 0; i < n; i++) {
        make_picture(i < n - n / 20 ? &train : &test, image, words);
        snprintf(path, sizeof path, "%s/pictures/%05d.pgm", argv[2], i);
        write_picture(path, image);
        fprintf(f, "pictures/%05d.pgm\t%s\n", i, words);
    }
    if (ferror(f) | fclose(f)) fail("cannot be written", "captions.tsv");
    return 0;
}
