/* safetensors: 8 bytes header length N (little-endian), N bytes of JSON, the data.
 * Nothing that the header says is believed before it is checked against the file's size.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/json.h"
#include "runtime/tensor_file.h"

enum { MAX_HEADER = 16 << 20 };

static const char METADATA[] = "__metadata__", END_NAME[] = "netc.end";
#define END_MAGIC UINT64_C(0x646e652e6374656e)      /* the bytes "netc.end" */

static const struct {
    const char *text;
    netc_dtype  dtype;
} NAMES[] = {
    {"F32", NETC_F32}, {"I32", NETC_I32}, {"U8", NETC_U8},   {"F64", NETC_F64},   {"I64", NETC_I64}, {"U64", NETC_U64},
    {"I8", NETC_I8},   {"I16", NETC_I16}, {"F16", NETC_F16}, {"BF16", NETC_BF16}, {"BOOL", NETC_BOOL},
};
enum { NNAMES = sizeof NAMES / sizeof *NAMES };

/* ---- reading -------------------------------------------------------------------------------------- */

typedef struct {
    netc_tensor tensor;
    uint64_t    begin, end;             /* in the data */
} entry;

typedef struct {
    const char *path;
    int         fd;
    uint64_t    size, header;           /* bytes of the file; of the JSON text */
    uint32_t    header_crc;             /* of the length and the JSON text */
    entry      *e;                      /* in the order of the data, once sorted */
    int         count;
} reader;

static int corrupt(const reader *r, const char *name, const char *what) {
    return netc_error(NETC_EXIT_DATA, "%s: not a valid safetensors file: %s%s%s", r->path, name ? name : "",
                      name ? ": " : "", what);
}

static int read_shape(reader *r, const netc_json *shape, netc_tensor *t) {
    if (!netc_json_is(shape, NETC_JSON_ARRAY)) return corrupt(r, t->name, "its shape is missing");
    if (shape->count > NETC_MAX_RANK) return corrupt(r, t->name, "it has more than 8 axes");
    for (const netc_json *m = netc_json_first(shape); m; m = m->next) {
        int64_t n = netc_json_int(m, -1);
        if (n < 0) return corrupt(r, t->name, "an axis of its shape is not a number of elements");
        t->shape[t->rank++] = n;
    }
    return NETC_EXIT_OK;
}

static int read_offsets(reader *r, const netc_json *offsets, entry *e) {
    int64_t begin = netc_json_int(netc_json_at(offsets, 0), -1), end = netc_json_int(netc_json_at(offsets, 1), -1);
    if (!netc_json_is(offsets, NETC_JSON_ARRAY) || offsets->count != 2 || begin < 0 || end < begin) {
        return corrupt(r, e->tensor.name, "its data_offsets are broken");
    }
    e->begin = (uint64_t)begin;
    e->end = (uint64_t)end;
    uint64_t bytes;
    if (!netc_tensor_size(&e->tensor, &bytes)) return corrupt(r, e->tensor.name, "its shape is too large");
    if (e->end - e->begin != bytes) return corrupt(r, e->tensor.name, "its data_offsets do not fit its shape");
    e->tensor.bytes = (size_t)bytes;
    return NETC_EXIT_OK;
}

static int read_entry(reader *r, const netc_json *m) {
    entry *e = &r->e[r->count++];
    *e = (entry){.tensor = {.name = netc_strdup(m->key)}};
    if (!netc_json_is(m, NETC_JSON_OBJECT) || m->count != 3) {
        return corrupt(r, m->key, "an entry has dtype, shape and data_offsets, nothing else");
    }
    const char *dtype = netc_json_string(netc_json_get(m, "dtype"), "");
    int d = 0;
    while (d < NNAMES && strcmp(NAMES[d].text, dtype)) d++;
    if (d == NNAMES) return corrupt(r, m->key, "its dtype is none that netc reads");
    e->tensor.dtype = NAMES[d].dtype;
    int code = read_shape(r, netc_json_get(m, "shape"), &e->tensor);
    return code ? code : read_offsets(r, netc_json_get(m, "data_offsets"), e);
}

static int read_metadata(reader *r, const netc_json *m, netc_tensors *s) {
    if (!netc_json_is(m, NETC_JSON_OBJECT)) return corrupt(r, METADATA, "is not an object");
    for (const netc_json *t = netc_json_first(m); t; t = t->next) {
        if (!netc_json_is(t, NETC_JSON_STRING)) return corrupt(r, METADATA, "holds something else than text");
        netc_tensors_add_meta(s, t->key, t->u.string);
    }
    return NETC_EXIT_OK;
}

static int by_begin(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The data must be covered exactly: no holes, no overlaps, nothing behind. */
static int check_cover(reader *r) {
    uint64_t at = 0;
    if (r->count) qsort(r->e, (size_t)r->count, sizeof *r->e, by_begin);
    for (int i = 0; i < r->count; i++) {
        if (r->e[i].begin != at) return corrupt(r, r->e[i].tensor.name, "its data overlap others or leave a hole");
        at = r->e[i].end;
    }
    uint64_t data = r->size - 8 - r->header;
    if (at == data) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: %s: its header describes %llu bytes of data, the file has %llu", r->path,
                      at > data ? "truncated" : "not a valid safetensors file", (unsigned long long)at,
                      (unsigned long long)data);
}

static int read_tree(reader *r, const netc_json *root, netc_tensors *s) {
    if (!netc_json_is(root, NETC_JSON_OBJECT)) return corrupt(r, NULL, "the header is not an object");
    r->e = netc_array(root->count, sizeof *r->e);
    for (const netc_json *m = netc_json_first(root); m; m = m->next) {
        int code = strcmp(m->key, METADATA) ? read_entry(r, m) : read_metadata(r, m, s);
        if (code) return code;
    }
    return check_cover(r);
}

/* Takes `text`. */
static int parse_header(reader *r, char *text, netc_tensors *s) {
    const char *why;
    size_t where;
    netc_json_doc *doc = netc_json_parse_owned(text, (size_t)r->header, &why, &where);
    if (!doc) {
        return netc_error(NETC_EXIT_DATA, "%s: not a valid safetensors file: byte %zu: %s", r->path, 8 + where, why);
    }
    int code = read_tree(r, netc_json_root(doc), s);
    netc_json_free(doc);
    return code;
}

static int read_header(reader *r, netc_tensors *s) {
    unsigned char length[8];
    if (r->size < 8) return corrupt(r, NULL, "it has less than 8 bytes");
    int code = netc_read_exact(r->fd, length, 8, 0, r->path);
    if (code) return code;
    for (int i = 7; i >= 0; i--) r->header = r->header << 8 | length[i];
    if (r->header > MAX_HEADER || r->header > r->size - 8) {
        return netc_error(NETC_EXIT_DATA, "%s: not a valid safetensors file: header of %llu bytes (the file has %llu, "
                          "%d are accepted)", r->path, (unsigned long long)r->header, (unsigned long long)r->size,
                          MAX_HEADER);
    }
    char *text = netc_try_alloc(r->header + 1, r->path);
    if (!text) return NETC_EXIT_LIMIT;
    text[r->header] = 0;
    code = netc_read_exact(r->fd, text, r->header, 8, r->path);
    if (!code && text[0] != '{') code = corrupt(r, NULL, "the header does not begin with '{'");
    if (code) {
        free(text);
        return code;
    }
    r->header_crc = netc_crc32(netc_crc32(0, length, 8), text, (size_t)r->header);
    return parse_header(r, text, s);
}

/* Every tensor gets a place of its own, aligned to 64 bytes: in the file they are packed. */
static int read_data(reader *r, netc_tensors *s) {
    uint64_t room = 0;
    for (int i = 0; i < s->count; i++) room += ((uint64_t)s->t[i].bytes + 63) / 64 * 64;
    s->block = netc_try_alloc(room, r->path);
    if (!s->block) return NETC_EXIT_LIMIT;
    char *to = s->block;
    for (int i = 0; i < s->count; i++) {
        netc_tensor *t = &s->t[i];
        int code = netc_read_exact(r->fd, to, t->bytes, 8 + r->header + r->e[i].begin, r->path);
        if (code) return code;
        t->data = to;
        to += (t->bytes + 63) / 64 * 64;
    }
    return NETC_EXIT_OK;
}

/* The tensors' names, types and shapes go to *s, in the order of the data. */
static void hand_over(reader *r, netc_tensors *s) {
    s->t = netc_array((size_t)r->count, sizeof *s->t);
    for (; s->count < r->count; s->count++) {
        s->t[s->count] = r->e[s->count].tensor;
        r->e[s->count].tensor.name = NULL;
    }
}

static int read_file(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s, uint32_t *header_crc) {
    int code = NETC_EXIT_OK;
    *s = (netc_tensors){0};
    reader r = {.path = path};
    r.fd = netc_open_read(path, &r.size, &code);
    if (r.fd < 0) return code;
    code = read_header(&r, s);
    if (!code) {
        hand_over(&r, s);
        if (check) code = check(cx, path, s);
    }
    if (!code) code = read_data(&r, s);
    close(r.fd);
    for (int i = 0; i < r.count; i++) free(r.e[i].tensor.name);
    free(r.e);
    if (code) netc_tensors_free(s);
    *header_crc = r.header_crc;
    return code;
}

int netc_safetensors_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s) {
    uint32_t header_crc;
    return read_file(path, check, cx, s, &header_crc);
}

static int check_end(const char *path, const netc_tensors *s, uint32_t header_crc) {
    const netc_tensor *end = s->count ? &s->t[s->count - 1] : NULL;
    if (!end || strcmp(end->name, END_NAME) || end->dtype != NETC_U64 || end->bytes != 32) {
        return netc_error(NETC_EXIT_DATA, "%s: not a complete checkpoint: it does not end with %s", path, END_NAME);
    }
    const uint64_t *record = end->data;
    uint32_t crc = netc_crc32(0, record, 16);
    for (int i = 0; i < s->count - 1; i++) crc = netc_crc32(crc, s->t[i].data, s->t[i].bytes);
    if (record[0] == END_MAGIC && record[2] == header_crc && record[3] == crc) return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_DATA, "%s: corrupt: the sum of its %s is wrong", path,
                      record[2] != header_crc ? "header" : "data");
}

int netc_checkpoint_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s) {
    uint32_t header_crc;
    int code = read_file(path, check, cx, s, &header_crc);
    if (!code) code = check_end(path, s, header_crc);
    if (code) netc_tensors_free(s);
    return code;
}

/* ---- writing -------------------------------------------------------------------------------------- */

static int by_alignment(const void *a, const void *b) {
    const netc_tensor *x = *(const netc_tensor *const *)a, *y = *(const netc_tensor *const *)b;
    int dx = netc_dtype_size(x->dtype), dy = netc_dtype_size(y->dtype);
    return dx != dy ? dy - dx : strcmp(x->name, y->name);
}

static void put_entry(netc_buf *b, const netc_tensor *t, uint64_t begin) {
    int d = 0;
    while (NAMES[d].dtype != t->dtype) d++;
    if (b->size > 1) netc_buf_text(b, ",");
    netc_json_put_string(b, t->name);
    netc_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", NAMES[d].text);
    for (int i = 0; i < t->rank; i++) netc_buf_printf(b, "%s%lld", i ? "," : "", (long long)t->shape[i]);
    netc_buf_printf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
                    (unsigned long long)(begin + t->bytes));
}

/* The length and the JSON text, padded with blanks so that the data begin on 64 bytes. */
static netc_buf make_header(const netc_tensors *s, netc_tensor **order, int count, uint64_t *data) {
    netc_buf b = {0};
    netc_buf_text(&b, "{");
    for (int i = 0; i < s->nmeta; i++) {
        netc_buf_text(&b, i ? "," : "\"__metadata__\":{");
        netc_json_put_string(&b, s->meta[i].key);
        netc_buf_text(&b, ":");
        netc_json_put_string(&b, s->meta[i].value);
    }
    if (s->nmeta) netc_buf_text(&b, "}");
    *data = 0;
    for (int i = 0; i < count; i++) {
        put_entry(&b, order[i], *data);
        *data += order[i]->bytes;
    }
    netc_buf_text(&b, "}");
    while ((b.size + 8) % 64) netc_buf_text(&b, " ");
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(b.size >> 8 * i);
    netc_buf whole = {0};
    netc_buf_add(&whole, length, 8);
    netc_buf_add(&whole, b.data, b.size);
    netc_buf_free(&b);
    return whole;
}

/* `end`: the commit record, whose sums are filled in here, or NULL. */
static int write_file(const char *path, const netc_tensors *s, netc_tensor *end) {
    int count = s->count;
    netc_tensor **order = netc_array((size_t)count + 1, sizeof *order);
    for (int i = 0; i < count; i++) order[i] = &s->t[i];
    qsort(order, (size_t)count, sizeof *order, by_alignment);
    if (end) order[count++] = end;
    uint64_t data;
    netc_buf header = make_header(s, order, count, &data);
    if (end) {
        uint64_t *record = end->data;
        uint32_t crc = netc_crc32(0, record, 16);
        for (int i = 0; i < count - 1; i++) crc = netc_crc32(crc, order[i]->data, order[i]->bytes);
        record[2] = netc_crc32(0, header.data, header.size);
        record[3] = crc;
    }
    netc_file f;
    int code = netc_file_create(&f, path, header.size + data);
    if (!code) {
        code = netc_file_write(&f, header.data, header.size);
        for (int i = 0; i < count && !code; i++) code = netc_file_write(&f, order[i]->data, order[i]->bytes);
        if (code) netc_file_abort(&f);
        else code = netc_file_commit(&f);
    }
    netc_buf_free(&header);
    free(order);
    return code;
}

int netc_safetensors_write(const char *path, const netc_tensors *s) { return write_file(path, s, NULL); }

int netc_checkpoint_write(const char *path, const netc_tensors *s, uint64_t step) {
    uint64_t record[4] = {END_MAGIC, step, 0, 0};
    netc_tensor end = {.name = (char *)(uintptr_t)END_NAME, .dtype = NETC_U64, .rank = 1, .shape = {4}, .data = record,
                       .bytes = sizeof record};
    return write_file(path, s, &end);
}
