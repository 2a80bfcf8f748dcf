/* Tensors in memory: sizes, conversions, sets. */
#include "runtime/tensor_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    int         size;
} DTYPES[NETC_DTYPES] = {
    [NETC_F32] = {"f32", 4}, [NETC_I32] = {"i32", 4}, [NETC_U8] = {"u8", 1},   [NETC_F64] = {"f64", 8},
    [NETC_I64] = {"i64", 8}, [NETC_U64] = {"u64", 8}, [NETC_I8] = {"i8", 1},   [NETC_I16] = {"i16", 2},
    [NETC_F16] = {"f16", 2}, [NETC_BF16] = {"bf16", 2}, [NETC_BOOL] = {"bool", 1},
};

int         netc_dtype_size(netc_dtype d) { return DTYPES[d].size; }
const char *netc_dtype_text(netc_dtype d) { return DTYPES[d].text; }

int64_t netc_tensor_count(const netc_tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

bool netc_tensor_size(const netc_tensor *t, uint64_t *bytes) {
    const uint64_t most = UINT64_C(1) << 40;
    uint64_t n = 1;
    bool empty = false;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] < 0) return false;
        empty |= t->shape[i] == 0;
        if (t->shape[i] && (!netc_mul(n, (uint64_t)t->shape[i], &n) || n > most)) return false;
    }
    *bytes = empty ? 0 : n * (uint64_t)netc_dtype_size(t->dtype);
    return true;
}

int netc_tensor_alloc(netc_tensor *t, const char *path) {
    uint64_t bytes;
    char text[NETC_SHAPE_TEXT];
    if (!netc_tensor_size(t, &bytes)) {
        return netc_error(NETC_EXIT_LIMIT, "%s: a tensor %s is too large", path,
                          netc_shape_text(t->rank, t->shape, text));
    }
    t->data = netc_try_alloc(bytes, path);
    t->bytes = (size_t)bytes;
    return t->data ? NETC_EXIT_OK : NETC_EXIT_LIMIT;
}

void netc_tensor_free(netc_tensor *t) {
    free(t->name);
    free(t->data);
    *t = (netc_tensor){0};
}

const char *netc_shape_text(int rank, const int64_t *shape, char text[NETC_SHAPE_TEXT]) {
    int n = snprintf(text, NETC_SHAPE_TEXT, "[");
    for (int i = 0; i < rank && n < NETC_SHAPE_TEXT - 24; i++) {
        n += snprintf(text + n, (size_t)(NETC_SHAPE_TEXT - n), "%s%lld", i ? ", " : "", (long long)shape[i]);
    }
    snprintf(text + n, (size_t)(NETC_SHAPE_TEXT - n), "]");
    return text;
}

/* ---- numbers -------------------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* IEEE 754 binary16. */
static float half_to_float(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
               : exponent       ? ldexpf((float)(fraction + 1024), exponent - 25)
                                : ldexpf((float)fraction, -24);
    return h & 0x8000 ? -size : size;
}

#define AT(type) (((const type *)t->data)[i])

double netc_tensor_get(const netc_tensor *t, int64_t i) {
    switch (t->dtype) {
    case NETC_F32:  return AT(float);
    case NETC_F64:  return AT(double);
    case NETC_F16:  return half_to_float(AT(uint16_t));
    case NETC_BF16: return float_of_bits((uint32_t)AT(uint16_t) << 16);
    case NETC_U8:   return AT(uint8_t);
    case NETC_BOOL: return AT(uint8_t) != 0;
    case NETC_I8:   return AT(int8_t);
    case NETC_I16:  return AT(int16_t);
    case NETC_I32:  return AT(int32_t);
    case NETC_I64:  return (double)AT(int64_t);
    case NETC_U64:  return (double)AT(uint64_t);
    case NETC_DTYPES: break;
    }
    return 0;
}

void netc_tensor_to_f32(const netc_tensor *t, float *dst, bool *rounded) {
    int64_t n = netc_tensor_count(t);
    bool changed = false;
    if (t->dtype == NETC_F32) {
        if (n) memcpy(dst, t->data, (size_t)n * sizeof *dst);
    } else {
        for (int64_t i = 0; i < n; i++) {
            double v = netc_tensor_get(t, i);
            dst[i] = (float)v;
            changed |= (double)dst[i] != v && !isnan(v);
        }
    }
    if (rounded) *rounded = changed;
}

/* ---- sets ----------------------------------------------------------------------------------------- */

void netc_tensors_free(netc_tensors *s) {
    for (int i = 0; i < s->count; i++) {
        free(s->t[i].name);
        if (s->owns_data) free(s->t[i].data);
    }
    for (int i = 0; i < s->nmeta; i++) {
        free(s->meta[i].key);
        free(s->meta[i].value);
    }
    free(s->t);
    free(s->meta);
    free(s->block);
    *s = (netc_tensors){0};
}

netc_tensor *netc_tensors_find(const netc_tensors *s, const char *name) {
    for (int i = 0; i < s->count; i++) {
        if (!strcmp(s->t[i].name, name)) return &s->t[i];
    }
    return NULL;
}

const char *netc_tensors_meta(const netc_tensors *s, const char *key) {
    for (int i = 0; i < s->nmeta; i++) {
        if (!strcmp(s->meta[i].key, key)) return s->meta[i].value;
    }
    return NULL;
}

void netc_tensors_add(netc_tensors *s, const char *name, netc_dtype d, int rank, const int64_t *shape,
                      const void *data) {
    if (!(s->count & (s->count - 1))) s->t = netc_resize(s->t, (size_t)(s->count ? 2 * s->count : 1), sizeof *s->t);
    netc_tensor *t = &s->t[s->count++];
    *t = (netc_tensor){.name = netc_strdup(name), .dtype = d, .rank = rank, .data = (void *)(uintptr_t)data};
    for (int i = 0; i < rank; i++) t->shape[i] = shape[i];
    uint64_t bytes = 0;
    netc_tensor_size(t, &bytes);
    t->bytes = (size_t)bytes;
}

void netc_tensors_add_meta(netc_tensors *s, const char *key, const char *value) {
    s->meta = netc_resize(s->meta, (size_t)s->nmeta + 1, sizeof *s->meta);
    s->meta[s->nmeta].key = netc_strdup(key);
    s->meta[s->nmeta++].value = netc_strdup(value);
}
