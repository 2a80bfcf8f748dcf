/* Splits in use: gathering batches, random orders. */
#include <stdlib.h>
#include <string.h>

#include "runtime/data_impl.h"
#include "runtime/philox.h"

void netc_data_free(netc_data *d) {
    for (int i = 0; i < d->nsplit; i++) {
        free(d->split[i].map);
        free(d->split[i].variant);
    }
    free(d->split);
    for (netc_source *s = d->sources; s;) {
        netc_source *next = s->next;
        for (int i = 0; i < s->ncolumn; i++) {
            free(s->column[i].data);
            free(s->column[i].start);
        }
        for (int i = 0; i < s->nlengths; i++) free(s->lengths[i].length);
        free(s->column);
        free(s->lengths);
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
            int64_t numbers = s->text ? s->rows : c->start ? c->start[s->rows] : s->rows * c->port->count;
            if (c->data) h = netc_xxh64(c->data, (size_t)numbers * (size_t)netc_dtype_size(c->dtype), h);
        }
        for (int i = 0; i < s->nlengths && !s->text; i++)
            h = netc_xxh64(s->lengths[i].length, (size_t)s->rows * sizeof(int32_t), h);
    }
    for (int i = 0; i < d->nsplit; i++) {
        const netc_split *s = &d->split[i];
        int64_t view[] = {s->count, s->first, s->variants};
        h = netc_xxh64(s->name, strlen(s->name), h);
        h = netc_xxh64(view, sizeof view, h);
        if (s->lanes) h = netc_xxh64((int64_t[]){s->lanes, s->lane, s->window}, 3 * sizeof(int64_t), h);
        if (s->map) h = netc_xxh64(s->map, (size_t)s->count * sizeof *s->map, h);
        if (s->variant) h = netc_xxh64(s->variant, (size_t)s->variants * (size_t)s->nargs * sizeof *s->variant, h);
    }
    return h;
}

/* ---- batches -------------------------------------------------------------------------------------- */

static int64_t dataset_index(const netc_split *s, int64_t position) {
    return s->map ? s->map[position] : s->first + position;
}

/* The first symbol of an example of a stream. */
static int64_t window_at(const netc_split *s, int64_t example) {
    return s->first + example % s->lanes * s->lane + example / s->lanes * s->window;
}

void netc_batch_gather(const netc_split *s, const int64_t *position, int64_t n, int field, void *dst) {
    const netc_source *source = s->source;
    const netc_column *c = &source->column[field];
    for (int64_t i = 0; i < n; i++) {
        char *to = (char *)dst + (size_t)i * c->port->row_bytes;
        if (s->lanes) data_copy(&source->column[0], window_at(s, position[i]) + (field == s->follower), s->window, to);
        else netc_column_row(c, source->lengths, source->nlengths, dataset_index(s, position[i]) / s->variants, to);
    }
}

/* A row of a column without lengths, but for what is longer than a few dozens of lines: that comes in order anyway. */
void netc_batch_prefetch(const netc_split *s, int64_t position, int field) {
    enum { LINE = 64, MOST = 2048 };
    const netc_column *c = &s->source->column[field];
    if (s->lanes || c->start) return;
    int64_t     bytes = c->port->count * netc_dtype_size(c->dtype);
    const char *row = (const char *)c->data + dataset_index(s, position) / s->variants * bytes;
    for (int64_t k = 0; k < bytes && k < MOST; k += LINE) __builtin_prefetch(row + k);
}

bool netc_batch_lengths(const netc_split *s, const int64_t *position, int64_t n, const char *dim, int32_t *dst) {
    const netc_source *source = s->source;
    const int32_t *length = s->lanes ? NULL : netc_lengths_of(source->lengths, source->nlengths, dim);
    if (!length && !s->lanes) return false;
    for (int64_t i = 0; i < n; i++)
        dst[i] = length ? length[dataset_index(s, position[i]) / s->variants] : (int32_t)s->window;
    return true;
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

/* ---- orders of an epoch --------------------------------------------------------------------------- */

typedef struct {
    int32_t length;
    int64_t place, position;    /* `place` in the random order: equal lengths keep it */
} entry;

static int by_length(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Sorts each group of batches by the length of `dim`. */
static void sort_groups(const netc_split *s, const char *dim, int64_t group, int64_t *order) {
    entry *e = netc_array((size_t)(group < s->count ? group : s->count), sizeof *e);
    for (int64_t first = 0; first < s->count; first += group) {
        int64_t n = s->count - first < group ? s->count - first : group;
        for (int64_t i = 0; i < n; i++) {
            e[i] = (entry){0, i, order[first + i]};
            netc_batch_lengths(s, &e[i].position, 1, dim, &e[i].length);
        }
        qsort(e, (size_t)n, sizeof *e, by_length);
        for (int64_t i = 0; i < n; i++) order[first + i] = e[i].position;
    }
    free(e);
}

/* The full batches in a random order; a short one stays last. */
static void shuffle_batches(int64_t count, int64_t batch, uint64_t seed, uint64_t epoch, int64_t *order) {
    int64_t n = count / batch, *pick = netc_array((size_t)n + 1, sizeof *pick);
    int64_t *sorted = netc_array((size_t)count, sizeof *sorted);
    memcpy(sorted, order, (size_t)count * sizeof *order);
    netc_permutation(seed ^ UINT64_C(0x6275636b65740000), epoch, n, pick);
    for (int64_t i = 0; i < n; i++)
        memcpy(order + i * batch, sorted + pick[i] * batch, (size_t)batch * sizeof *order);
    free(sorted);
    free(pick);
}

void netc_epoch_order(const netc_split *s, const char *bucket, int64_t batch, uint64_t seed, uint64_t epoch,
                      int64_t *out) {
    if (s->lanes) {
        for (int64_t i = 0; i < s->count; i++) out[i] = i;
        return;
    }
    netc_permutation(seed, epoch, s->count, out);
    if (!bucket || !netc_lengths_of(s->source->lengths, s->source->nlengths, bucket)) return;
    sort_groups(s, bucket, batch * NETC_BUCKET, out);
    shuffle_batches(s->count, batch, seed, epoch, out);
}
