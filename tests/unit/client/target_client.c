/* Runs one function of a compiled model on numbers from a file: target_client FUNCTION IN OUT. Knows nothing of netc
 * but its ABI, so that it can be built for any machine; test_driver_targets.c writes IN and reads OUT.
 *
 * IN: the Header, the sizes of inputs and outputs in bytes (i64), then weights, optimizer state, state, scalars and
 * inputs. OUT: weights, optimizer state, state, outputs as the call left them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/client/target_file.h"

extern const netc_function_entry target_functions[];

enum { SLACK = 64 };                    /* may be read behind every block */

static void *block(int64_t size) {
    char *p = aligned_alloc(64, (size_t)((size + SLACK + 63) / 64 * 64));
    if (!p) exit(3);
    memset(p, 0xFF, (size_t)size + SLACK);
    return p;
}

static void *load(FILE *f, int64_t size) {
    char *p = block(size);
    if (fread(p, 1, (size_t)size, f) != (size_t)size) exit(4);
    return p;
}

static void save(FILE *f, const void *p, int64_t size) {
    if (fwrite(p, 1, (size_t)size, f) != (size_t)size) exit(5);
}

int main(int argc, char **argv) {
    TargetFile h;
    FILE      *f = argc == 4 ? fopen(argv[2], "rb") : NULL;
    if (!f || fread(&h, sizeof h, 1, f) != 1) return 2;
    int64_t     *size = load(f, (h.nin + h.nout) * (int64_t)sizeof *size);
    void        *weights = load(f, h.weights), *opt = load(f, h.opt), *state = load(f, h.state);
    void        *scalars = load(f, h.scalars);
    const void **in = block(h.nin * (int64_t)sizeof *in);
    void       **out = block(h.nout * (int64_t)sizeof *out);
    for (int64_t i = 0; i < h.nin; i++) in[i] = load(f, size[i]);
    for (int64_t i = 0; i < h.nout; i++) out[i] = block(size[h.nin + i]);
    fclose(f);
    netc_args args = {.in = in, .out = out, .weights = weights, .opt = opt, .state = state, .arena = block(h.arena),
                      .scalars = scalars, .seed = h.seed, .step = h.step, .bound = {0, h.count}};
    const netc_function_entry *e = target_functions;
    while (e->name && strcmp(e->name, argv[1])) e++;
    if (!e->name) return 6;
    e->fn(&args, 0, 1);
    if (!(f = fopen(argv[3], "wb"))) return 7;
    save(f, weights, h.weights);
    save(f, opt, h.opt);
    save(f, state, h.state);
    for (int64_t i = 0; i < h.nout; i++) save(f, out[i], size[h.nin + i]);
    return fclose(f) ? 8 : 0;
}
