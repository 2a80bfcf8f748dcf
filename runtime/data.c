/* Splits in use: gathering batches, random orders. */
#include "runtime/data.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/philox.h"

void netc_data_free(netc_data *d) {
    for (int i = 0; i < d->nsplit; i++) {
        free(d->split[i].map);
        free(d->split[i].variant);
    }
    free(d->split);
    for (netc_source *s = d->sources; s;) {
        netc_source *next = s->next;
        for (int i = 0; i < s->ncolumn; i++) free(s->column[i].data);
        free(s->column);
        free(s);
        s = next;
    }
    *d = (netc_data){0};
}

netc_split *netc_data_split(const netc_data *d, const char *name) {
    for (int i = 0; i < d->nsplit; i++) {
        if (!strcmp(d->split[i].name, name)) return &d->split[i];
    }
    return NULL;
}

uint64_t netc_data_fingerprint(const netc_data *d) {
    uint64_t h = 0;
    for (const netc_source *s = d->sources; s; s = s->next) {
        for (int i = 0; i < s->ncolumn; i++) {
            const netc_column *c = &s->column[i];
            size_t row = (size_t)c->port->count * (size_t)netc_dtype_size(c->dtype);
            h = netc_xxh64(c->data, (size_t)s->rows * row, h);
        }
    }
    for (int i = 0; i < d->nsplit; i++) {
        const netc_split *s = &d->split[i];
        int64_t view[] = {s->count, s->first, s->variants};
        h = netc_xxh64(s->name, strlen(s->name), h);
        h = netc_xxh64(view, sizeof view, h);
        if (s->map) h = netc_xxh64(s->map, (size_t)s->count * sizeof *s->map, h);
        if (s->variant) h = netc_xxh64(s->variant, (size_t)s->variants * (size_t)s->nargs * sizeof *s->variant, h);
    }
    return h;
}

/* ---- batches -------------------------------------------------------------------------------------- */

static int64_t dataset_index(const netc_split *s, int64_t position) {
    return s->map ? s->map[position] : s->first + position;
}

/* i / 255 for the 256 values of a pixel: a look-up is faster than a division where those are scalar. */
#define UNIT1(i) (i) / 255.0f
#define UNIT4(i) UNIT1(i), UNIT1((i) + 1), UNIT1((i) + 2), UNIT1((i) + 3)
#define UNIT16(i) UNIT4(i), UNIT4((i) + 4), UNIT4((i) + 8), UNIT4((i) + 12)
#define UNIT64(i) UNIT16(i), UNIT16((i) + 16), UNIT16((i) + 32), UNIT16((i) + 48)
static const float UNIT[256] = {UNIT64(0), UNIT64(64), UNIT64(128), UNIT64(192)};

static void copy_row(const netc_column *c, int64_t row, char *to) {
    const netc_port *p = c->port;
    const uint8_t *u8 = (const uint8_t *)c->data + row * p->count;
    float *f = (float *)to;
    if (c->dtype == p->dtype) {
        memcpy(to, (const char *)c->data + (size_t)row * p->row_bytes, p->row_bytes);
    } else if (c->scale) {
        for (int64_t k = 0; k < p->count; k++) f[k] = UNIT[u8[k]];
    } else {
        for (int64_t k = 0; k < p->count; k++) f[k] = (float)u8[k];
    }
}

void netc_batch_gather(const netc_split *s, const int64_t *position, int64_t n, int field, void *dst) {
    const netc_column *c = &s->source->column[field];
    for (int64_t i = 0; i < n; i++) {
        copy_row(c, dataset_index(s, position[i]) / s->variants, (char *)dst + (size_t)i * c->port->row_bytes);
    }
}

void netc_batch_variant(const netc_split *s, const int64_t *position, int64_t n, int arg, int32_t *dst) {
    for (int64_t i = 0; i < n; i++) {
        dst[i] = s->variant[dataset_index(s, position[i]) % s->variants * s->nargs + arg];
    }
}

/* ---- random orders -------------------------------------------------------------------------------- */

/* The k-th number below `limit`: half of Philox block k/2, scaled (its bias is below limit / 2^64). */
static int64_t random_below(uint64_t seed, uint64_t epoch, uint64_t k, int64_t limit) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, out[4];
    uint32_t counter[4] = {(uint32_t)(k / 2), (uint32_t)epoch, (uint32_t)(epoch >> 32), 0x6f726465};
    netc_philox(counter, key, out);
    const uint32_t *half = out + 2 * (k % 2);
    uint64_t bits = (uint64_t)half[0] << 32 | half[1];
    return (int64_t)((unsigned __int128)bits * (uint64_t)limit >> 64);
}

/* Fisher and Yates. */
void netc_permutation(uint64_t seed, uint64_t epoch, int64_t n, int64_t *out) {
    for (int64_t i = 0; i < n; i++) out[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = random_below(seed, epoch, (uint64_t)i, i + 1), kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}
