/* A recurrent network step by step inside a C program: the entry `read` of ../charlm/lstm.net takes one character and
 * the state of the cell and gives what may follow and the state after it. The state is two arrays of ours, so a text
 * may be of any length, and stopped, kept or branched anywhere. It says how many bits a character of standard input
 * costs, then writes on for as many characters as are asked for. See the Makefile beside it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charlm.h"

static const char *const SYMBOL[] = CHARLM_SYMBOLS_Char;
enum { SYMBOLS = sizeof SYMBOL / sizeof *SYMBOL };

/* One stream: the state, and the logarithms of what may come next. */
typedef struct {
    float h[CHARLM_READ_H_COUNT], c[CHARLM_READ_C_COUNT], next[CHARLM_READ_OUT0_COUNT];
} Stream;

static void *weights, *arena;

static void *block(size_t size) {
    void *p = aligned_alloc(64, (size + 127) / 64 * 64);
    if (!p) exit(8);
    return memset(p, 0, (size + 127) / 64 * 64);
}

/* The plain numbers behind the header of a .safetensors file. */
static void read_weights(const char *path) {
    unsigned char size[8];
    long          header = 0;
    float        *plain = block(CHARLM_PLAIN_COUNT * sizeof *plain);
    FILE         *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(3);
    }
    if (fread(size, 1, 8, f) != 8) exit(4);
    for (int i = 3; i >= 0; i--) header = header << 8 | size[i];
    if (fseek(f, header, SEEK_CUR) || fread(plain, sizeof *plain, CHARLM_PLAIN_COUNT, f) != CHARLM_PLAIN_COUNT) exit(4);
    if (charlm_pack(plain, weights, NULL)) exit(4);     /* the model's own state is for training */
    free(plain);
    fclose(f);
}

/* The state after one character more, in the place of the one before. */
static void step(Stream *s, int32_t character) {
    charlm_read_io io = {.size = sizeof io, .count = 1, .char_ = &character, .h = s->h, .c = s->c,
                         .out0 = s->next, .h1 = s->h, .c1 = s->c};
    int code = charlm_read(&io, weights, NULL, arena, CHARLM_READ_ARENA_SIZE);
    if (code) {
        fprintf(stderr, "charlm_read: %d\n", code);
        exit(4);
    }
}

static int32_t symbol_of(int byte) {
    for (int i = 0; i < SYMBOLS; i++)
        if (SYMBOL[i][0] == byte && !SYMBOL[i][1]) return i;
    return -1;
}

static int32_t draw(const Stream *s) {
    static unsigned long long seed = 1;
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    double u = (double)(seed >> 11) / 9007199254740992.0;
    int    i = 0;
    while (i + 1 < SYMBOLS && (u -= exp(s->next[i])) > 0) i++;
    return i;
}

int main(int argc, char **argv) {
    static Stream s;                                     /* begins as zeros, as in training */
    long   count = 0, others = 0;
    double bits = 0;
    int    byte;
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s WEIGHTS.safetensors [CHARACTERS_TO_WRITE] < TEXT\n", argv[0]);
        return 2;
    }
    weights = block(CHARLM_WEIGHTS_SIZE);
    arena = block(CHARLM_READ_ARENA_SIZE);
    read_weights(argv[1]);
    while ((byte = getchar()) != EOF) {
        int32_t character = symbol_of(byte);
        if (character < 0) {
            others++;
            continue;
        }
        if (count++) bits -= s.next[character] / log(2);
        step(&s, character);
    }
    printf("%ld characters, %.3f bits each", count, count > 1 ? bits / (double)(count - 1) : 0.0);
    if (others) printf(" (%ld bytes that it does not know)", others);
    puts("");
    for (long i = argc == 3 && count ? atol(argv[2]) : 0; i > 0; i--) {
        int32_t next = draw(&s);
        fputs(SYMBOL[next], stdout);
        step(&s, next);
    }
    return 0;
}
