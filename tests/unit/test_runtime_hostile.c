/* Every reader of the runtime on damaged files: bytes changed, removed, put in, cut off, at random from
 * a fixed seed. Nothing may crash, hang or read outside (the asan preset); a refusal has a message and
 * one of the documented codes. NETC_FUZZ=N in the environment: N files per reader.
 */
#include "runtime_files.h"

#include <zlib.h>

#include "runtime/image.h"
#include "runtime/json.h"
#include "runtime/picture.h"
#include "runtime/table.h"
#include "runtime/tensor_file.h"
#include "runtime/vocab.h"

/* ---- readers ------------------------------------------------------------------------------------------ */

static int read_safetensors(const char *path) {
    netc_tensors s;
    int code = netc_safetensors_read(path, NULL, NULL, &s);
    netc_tensors_free(&s);
    return code;
}

static int read_checkpoint(const char *path) {
    netc_tensors s;
    int code = netc_checkpoint_read(path, NULL, NULL, &s);
    netc_tensors_free(&s);
    return code;
}

static int read_npz(const char *path) {
    netc_tensors s;
    int code = netc_npz_read(path, NULL, NULL, &s);
    netc_tensors_free(&s);
    return code;
}

static int read_npy(const char *path) {
    netc_tensor t;
    int code = netc_npy_read(path, &t);
    netc_tensor_free(&t);
    return code;
}

static int read_idx(const char *path) {
    netc_tensor t;
    int code = netc_idx_read(path, &t);
    netc_tensor_free(&t);
    return code;
}

static int read_image(const char *path) {
    netc_tensor t;
    int code = netc_image_read(path, NULL, &t);
    netc_tensor_free(&t);
    return code;
}

static int read_table(const char *path) {
    netc_table t;
    const netc_record *r;
    double v, sum = 0;
    int code = netc_table_open(&t, path, false);
    while (!code && !(code = netc_table_next(&t, &r)) && r) {
        for (int i = 0; i < r->count; i++) {
            sum += netc_cell_number(&r->cell[i], &v) ? v : (double)strlen(r->cell[i].text);
        }
    }
    netc_table_close(&t);
    return code;
}

static int read_vocab(const char *path) {
    netc_vocab v;
    int code = netc_vocab_read(&v, path, "char", -1, 2, true);
    netc_vocab_free(&v);
    return code;
}

static int read_json(const char *path) {
    char *text;
    size_t size, where;
    const char *why;
    int code = netc_read_file(path, 1 << 20, &text, &size);
    netc_json_doc *doc = netc_json_parse(text, size, &why, &where);
    free(text);
    if (!doc) return netc_error(NETC_EXIT_DATA, "byte %zu: %s", where, why);
    netc_json_free(doc);
    return code;
}

/* ---- sound files to start from -------------------------------------------------------------------------- */

static void make_files(void) {
    float w[18];
    for (int i = 0; i < 18; i++) w[i] = (float)i;
    netc_tensors s = {0};
    netc_tensors_add(&s, "Net.c1.w", NETC_F32, 3, (int64_t[]){2, 3, 3}, w);
    netc_tensors_add(&s, "k", NETC_U8, 1, (int64_t[]){5}, w);
    netc_tensors_add_meta(&s, "format", "netc");
    assert_int_equal(netc_safetensors_write(at("safetensors"), &s), 0);
    assert_int_equal(netc_checkpoint_write(at("checkpoint"), &s, 1), 0);
    assert_int_equal(netc_npy_write(at("npy"), &s.t[0]), 0);
    netc_tensors_free(&s);
    assert_int_equal(netc_picture_filters(at("png"), w, 2, 1, 3, 3, NETC_SCALE_FILTER), 0);
    put_bytes("pgm", "P5 # picture\n3 2\n255\n123456", 27);
    put_text("ppm", "P3 2 1 15\n1 2 3  4 5 6\n");
    put_text("csv", "a,b,\"c \"\"q\"\"\"\r\n1,-2.5e3,x\n4,5,\"two\nlines\"\n");
    put_text("txt", "a text with \xc3\xa9 and \xe2\x82\xac\n");
    put_text("json", "{\"a\": [1, -2.5e1, true, null, \"x\\n\\u00e9\\ud83d\\ude00\"], \"b\": {\"c\": 922337203685}}");
    char idx[64] = "\0\0\x08\x02\0\0\0\x06\0\0\0\x08";
    put_bytes("idx", idx, 12 + 48);
    gzFile z = gzopen(at("idx_packed"), "wb");
    gzwrite(z, idx, 12 + 48);
    gzclose(z);
    /* numpy.savez(x=arange(3, dtype='u1')): one stored member. */
    static const char NPZ[] =
        "PK\3\4\x14\0\0\0\0\0\0\0\0\0" "CCCC" "\x53\0\0\0\x53\0\0\0\x05\0\0\0x.npy"
        "\x93NUMPY\1\0\x46\0{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }            \n\0\1\2"
        "PK\1\2\x14\0\x14\0\0\0\0\0\0\0\0\0" "CCCC" "\x53\0\0\0\x53\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0x.npy"
        "PK\5\6\0\0\0\0\1\0\1\0\x33\0\0\0\x76\0\0\0\0\0";
    char npz[sizeof NPZ];
    memcpy(npz, NPZ, sizeof NPZ);
    uint32_t crc = netc_crc32(0, npz + 35, 0x53);
    memcpy(npz + 14, &crc, 4);
    memcpy(npz + 0x76 + 16, &crc, 4);
    put_bytes("npz", npz, sizeof NPZ - 1);
}

/* ---- damage --------------------------------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t next_random(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

/* One change of p[0..*n), which has room for one byte more. */
static void damage(char *p, size_t *n) {
    static const char EXTREME[] = {0, 1, -1, 127, -128, '"', '{', '[', ',', '9', '-'};
    size_t i = next_random((uint32_t)*n);
    switch (next_random(6)) {
    case 0: p[i] ^= (char)(1 << next_random(8)); break;
    case 1: p[i] = EXTREME[next_random(sizeof EXTREME)]; break;
    case 2: p[i] = (char)next_random(256); break;
    case 3: memmove(p + i, p + i + 1, *n - i - 1), (*n)--; break;
    case 4: memmove(p + i + 1, p + i, *n - i), (*n)++, p[i] = p[next_random((uint32_t)*n)]; break;
    case 5: *n = next_random(4) ? *n : i; break;
    }
}

static void attack(const char *name, int (*read)(const char *)) {
    char *sound, *p;
    size_t size;
    int refused = 0, count = getenv("NETC_FUZZ") ? atoi(getenv("NETC_FUZZ")) : 400;
    assert_int_equal(netc_read_file(at(name), 1 << 20, &sound, &size), 0);
    if (read(at(name))) fail_msg("the sound %s is refused: %s", name, netc_error_text());
    p = malloc(size + 16);
    for (int k = 0; k < count; k++) {
        size_t n = size;
        memcpy(p, sound, size);
        for (uint32_t changes = 1 + next_random(4); changes && n > 1; changes--) damage(p, &n);
        put_bytes("damaged", p, n);
        int code = read(at("damaged"));
        refused += code != 0;
        if (code && code != NETC_EXIT_DATA && code != NETC_EXIT_LIMIT) fail_msg("%s: exit code %d", name, code);
        assert_true(!code || netc_error_text()[0]);
    }
    free(p);
    free(sound);
    assert_true(refused > 0 || !strcmp(name, "csv"));
}

static void test_damaged_files(void **state) {
    (void)state;
    static const struct { const char *name; int (*read)(const char *); } READERS[] = {
        {"safetensors", read_safetensors}, {"checkpoint", read_checkpoint}, {"npy", read_npy}, {"npz", read_npz},
        {"idx", read_idx}, {"idx_packed", read_idx}, {"png", read_image}, {"pgm", read_image}, {"ppm", read_image},
        {"csv", read_table}, {"txt", read_vocab}, {"json", read_json},
    };
    seed = 20260;
    make_files();
    for (size_t i = 0; i < sizeof READERS / sizeof *READERS; i++) attack(READERS[i].name, READERS[i].read);
}

int main(void) {
    const struct CMUnitTest tests[] = {RUNTIME_TEST(test_damaged_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
