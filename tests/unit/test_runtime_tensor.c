/* safetensors, .npy, .npz, IDX: what is written is read; what is broken is refused with a message. */
#include "runtime_files.h"

#include <zlib.h>

#include "runtime/image.h"
#include "runtime/tensor_file.h"

/* ---- safetensors ------------------------------------------------------------------------------------ */

static void put_safetensors(const char *name, const char *header, const void *data, size_t size) {
    netc_buf b = {0};
    uint64_t n = strlen(header);
    netc_buf_add(&b, &n, 8);
    netc_buf_text(&b, header);
    netc_buf_add(&b, data, size);
    put_bytes(name, b.data, b.size);
    netc_buf_free(&b);
}

static void assert_refused(const char *header, size_t data, const char *why) {
    static const char ZEROS[64];
    netc_tensors s;
    put_safetensors("bad", header, ZEROS, data);
    assert_int_equal(netc_safetensors_read(at("bad"), NULL, NULL, &s), NETC_EXIT_DATA);
    assert_said(why);
    assert_int_equal(s.count, 0);
}

static void test_safetensors_round_trip(void **state) {
    (void)state;
    float w[6] = {1, 2, 3, 4, 5, 6};
    uint8_t bytes[3] = {7, 8, 9};
    uint64_t wide[1] = {UINT64_MAX};
    netc_tensors s = {0}, r;
    netc_tensors_add(&s, "b.bytes", NETC_U8, 1, (int64_t[]){3}, bytes);
    netc_tensors_add(&s, "z", NETC_F32, 2, (int64_t[]){2, 3}, w);
    netc_tensors_add(&s, "a \"q\"", NETC_F32, 0, NULL, w + 5);
    netc_tensors_add(&s, "wide", NETC_U64, 1, (int64_t[]){1}, wide);
    netc_tensors_add_meta(&s, "format", "netc");
    assert_int_equal(netc_safetensors_write(at("w"), &s), 0);
    netc_tensors_free(&s);
    assert_int_equal(netc_safetensors_read(at("w"), NULL, NULL, &r), 0);
    assert_int_equal(r.count, 4);
    static const char *const ORDER[] = {"wide", "a \"q\"", "z", "b.bytes"};   /* alignment, then name */
    for (int i = 0; i < 4; i++) assert_string_equal(r.t[i].name, ORDER[i]);
    assert_memory_equal(r.t[2].data, w, sizeof w);
    assert_int_equal((uintptr_t)r.t[2].data % 64, 0);
    assert_int_equal(r.t[1].rank, 0);
    assert_true(((float *)r.t[1].data)[0] == 6);
    assert_true(((uint64_t *)r.t[0].data)[0] == UINT64_MAX);
    assert_string_equal(netc_tensors_meta(&r, "format"), "netc");
    assert_null(netc_tensors_meta(&r, "no"));
    netc_tensors_free(&r);
    char *file;
    size_t size;
    assert_int_equal(netc_read_file(at("w"), 1 << 20, &file, &size), 0);
    uint64_t header;
    memcpy(&header, file, 8);
    assert_int_equal((8 + header) % 64, 0);
    free(file);
}

static void test_safetensors_refusals(void **state) {
    (void)state;
    netc_tensors s;
    assert_refused("[1]", 0, "does not begin with '{'");
    assert_refused("{\"a\":1}", 0, "dtype, shape and data_offsets");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", 4, "is missing");
    assert_refused("{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "do not fit its shape");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "axis");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "axis");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "8 axes");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,0]}}", 0,
                   "too large");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,2],\"data_offsets\":[0,4]}}", 4,
                   "too large");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "data_offsets are broken");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "nothing else");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                   "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "twice");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                   "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "overlap");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "hole");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "truncated");
    assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "describes 4 bytes");
    assert_refused("{\"__metadata__\":{\"a\":1}}", 0, "something else than text");
    put_text("short", "1234");
    assert_int_equal(netc_safetensors_read(at("short"), NULL, NULL, &s), NETC_EXIT_DATA);
    put_bytes("long", "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    assert_int_equal(netc_safetensors_read(at("long"), NULL, NULL, &s), NETC_EXIT_DATA);
    assert_int_equal(netc_safetensors_read(at("none"), NULL, NULL, &s), NETC_EXIT_IO);
}

static int refuse(void *cx, const char *path, const netc_tensors *header) {
    (void)path;
    *(int *)cx = header->count;
    assert_null(header->t[0].data);
    return NETC_EXIT_DATA;
}

static void test_check_runs_before_data(void **state) {
    (void)state;
    netc_tensors s;
    int seen = 0;
    put_safetensors("w", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "1234", 4);
    assert_int_equal(netc_safetensors_read(at("w"), refuse, &seen, &s), NETC_EXIT_DATA);
    assert_int_equal(seen, 1);
}

static void put_checkpoint(void) {
    float w[5] = {1, 2, 3, 4, 5};
    uint8_t odd[3] = {1, 2, 3};
    netc_tensors s = {0};
    netc_tensors_add(&s, "w", NETC_F32, 1, (int64_t[]){5}, w);
    netc_tensors_add(&s, "odd", NETC_U8, 1, (int64_t[]){3}, odd);
    netc_tensors_add_meta(&s, "netc.kind", "checkpoint");
    assert_int_equal(netc_checkpoint_write(at("ckpt"), &s, 812), 0);
    netc_tensors_free(&s);
}

static void test_checkpoint_finds_every_flipped_bit(void **state) {
    (void)state;
    netc_tensors s;
    char *file;
    size_t size;
    put_checkpoint();
    assert_int_equal(netc_checkpoint_read(at("ckpt"), NULL, NULL, &s), 0);
    assert_string_equal(s.t[s.count - 1].name, "netc.end");
    assert_true(((uint64_t *)s.t[s.count - 1].data)[1] == 812);
    netc_tensors_free(&s);
    assert_int_equal(netc_read_file(at("ckpt"), 1 << 20, &file, &size), 0);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        file[bit / 8] ^= (char)(1 << bit % 8);
        put_bytes("flipped", file, size);
        file[bit / 8] ^= (char)(1 << bit % 8);
        int code = netc_checkpoint_read(at("flipped"), NULL, NULL, &s);
        if (code != NETC_EXIT_DATA) fail_msg("bit %zu: exit code %d", bit, code);
    }
    for (size_t n = 0; n < size; n++) {
        put_bytes("torn", file, n);
        assert_int_equal(netc_checkpoint_read(at("torn"), NULL, NULL, &s), NETC_EXIT_DATA);
    }
    free(file);
}

/* ---- .npy, .npz ------------------------------------------------------------------------------------- */

static void put_npy(const char *name, const char *header, const void *data, size_t size) {
    netc_buf b = {0};
    uint16_t n = (uint16_t)strlen(header);
    netc_buf_add(&b, "\x93NUMPY\x01\x00", 8);
    netc_buf_add(&b, &n, 2);
    netc_buf_text(&b, header);
    netc_buf_add(&b, data, size);
    put_bytes(name, b.data, b.size);
    netc_buf_free(&b);
}

static void test_npy_round_trip(void **state) {
    (void)state;
    int32_t numbers[6] = {1, -2, 3, 4, 5, 6};
    netc_tensor t = {.dtype = NETC_I32, .rank = 2, .shape = {2, 3}, .data = numbers, .bytes = 24}, r;
    assert_int_equal(netc_npy_write(at("a.npy"), &t), 0);
    assert_int_equal(netc_tensor_read(at("a.npy"), &r), 0);
    assert_int_equal(r.rank, 2);
    assert_int_equal(r.shape[1], 3);
    assert_memory_equal(r.data, t.data, 24);
    netc_tensor_free(&r);
    t = (netc_tensor){.dtype = NETC_F32, .data = (float[]){2.5f}, .bytes = 4};
    assert_int_equal(netc_npy_write(at("s.npy"), &t), 0);
    assert_int_equal(netc_npy_read(at("s.npy"), &r), 0);
    assert_int_equal(r.rank, 0);
    assert_true(netc_tensor_get(&r, 0) == 2.5);
    netc_tensor_free(&r);
}

static void test_npy_orders_and_types(void **state) {
    (void)state;
    netc_tensor t;
    double column_first[6] = {1, 4, 2, 5, 3, 6.1};
    put_npy("f.npy", "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }\n", column_first, 48);
    assert_int_equal(netc_npy_read(at("f.npy"), &t), 0);
    float f[6];
    bool rounded;
    netc_tensor_to_f32(&t, f, &rounded);
    assert_true(rounded);
    for (int i = 0; i < 6; i++) assert_true(f[i] == (float)(i + 1 + (i == 5 ? 0.1 : 0)));
    netc_tensor_free(&t);
    uint16_t half[4] = {0x3c00, 0xc000, 0x7c00, 0x0001};
    put_npy("h.npy", "{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}", half, 8);
    assert_int_equal(netc_npy_read(at("h.npy"), &t), 0);
    assert_true(netc_tensor_get(&t, 0) == 1 && netc_tensor_get(&t, 1) == -2);
    assert_true(netc_tensor_get(&t, 2) > 1e38 && netc_tensor_get(&t, 3) == 0x1p-24);
    netc_tensor_free(&t);
}

static void test_npy_refusals(void **state) {
    (void)state;
    static const struct { const char *header; size_t data; const char *why; } BAD[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4, "astype"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 4, "astype"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "structured"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 4, "truncated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 8, "not a valid"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4, "8 axes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 4, "too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296)}", 4, "too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, "tuple"},
        {"{'descr': '<f4', 'fortran_order': False}", 4, "not complete"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, "keys"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", 4, "fortran_order"},
        {"{'descr': '<f4", 4, "structured"},
        {"", 40, "dictionary"},
    };
    netc_tensor t;
    static const char ZEROS[64];
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        put_npy("bad.npy", BAD[i].header, ZEROS, BAD[i].data);
        assert_int_equal(netc_npy_read(at("bad.npy"), &t), NETC_EXIT_DATA);
        assert_said(BAD[i].why);
    }
    put_text("no.npy", "hello, this is no numpy file");
    assert_int_equal(netc_npy_read(at("no.npy"), &t), NETC_EXIT_DATA);
    put_bytes("far.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14);
    assert_int_equal(netc_npy_read(at("far.npy"), &t), NETC_EXIT_DATA);
}

static void put16(netc_buf *b, unsigned v) { netc_buf_add(b, &(uint16_t){(uint16_t)v}, 2); }
static void put32(netc_buf *b, uint64_t v) { netc_buf_add(b, &(uint32_t){(uint32_t)v}, 4); }

/* A zip archive of one member, as numpy.savez (method 0) and savez_compressed (8) write it. */
static void put_npz(const char *file, const char *name, const char *data, size_t size, int method) {
    unsigned char packed[4096];
    z_stream z = {0};
    size_t n = size;
    memcpy(packed, data, size);
    if (method == 8) {
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (Bytef *)(uintptr_t)data;
        z.avail_in = (uInt)size;
        z.next_out = packed;
        z.avail_out = sizeof packed;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        n = z.total_out;
        deflateEnd(&z);
    }
    netc_buf b = {0};
    for (int central = 0; central < 2; central++) {
        size_t start = b.size;
        netc_buf_add(&b, central ? "PK\1\2\0\0" : "PK\3\4", central ? 6 : 4);
        put16(&b, 20), put16(&b, 0), put16(&b, (unsigned)method), put32(&b, 0);
        put32(&b, netc_crc32(0, data, size)), put32(&b, n), put32(&b, size);
        put16(&b, (unsigned)strlen(name)), put16(&b, 0);
        if (central) netc_buf_add(&b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 14);
        netc_buf_text(&b, name);
        if (!central) {
            netc_buf_add(&b, packed, n);
        } else {
            size_t bytes = b.size - start;
            netc_buf_add(&b, "PK\5\6\0\0\0\0", 8);
            put16(&b, 1), put16(&b, 1), put32(&b, bytes), put32(&b, start), put16(&b, 0);
        }
    }
    put_bytes(file, b.data, b.size);
    netc_buf_free(&b);
}

static char *npy_bytes(size_t *size) {
    float v[100] = {0};
    char *data;
    v[99] = 42;
    put_npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (25, 4), }\n", v, sizeof v);
    assert_int_equal(netc_read_file(at("x.npy"), 1 << 20, &data, size), 0);
    return data;
}

static void test_npz(void **state) {
    (void)state;
    netc_tensors s;
    size_t size;
    char *data = npy_bytes(&size);
    for (int method = 0; method <= 8; method += 8) {
        put_npz("a.npz", "x.npy", data, size, method);
        assert_int_equal(netc_tensors_read(at("a.npz"), NULL, NULL, &s), 0);
        assert_int_equal(s.count, 1);
        assert_string_equal(s.t[0].name, "x");
        assert_int_equal(s.t[0].shape[0], 25);
        assert_true(netc_tensor_get(&s.t[0], 99) == 42);
        netc_tensors_free(&s);
    }
    put_npz("a.npz", "x.txt", data, size, 8);
    assert_int_equal(netc_npz_read(at("a.npz"), NULL, NULL, &s), NETC_EXIT_DATA);
    put_npz("a.npz", "x.npy", data, size, 12);
    assert_int_equal(netc_npz_read(at("a.npz"), NULL, NULL, &s), NETC_EXIT_DATA);
    assert_said("deflate");
    free(data);
}

static void test_npz_flipped_bits_are_found(void **state) {
    (void)state;
    netc_tensors s;
    size_t size, packed;
    char *data = npy_bytes(&size), *file;
    put_npz("a.npz", "x.npy", data, size, 8);
    assert_int_equal(netc_read_file(at("a.npz"), 1 << 20, &file, &packed), 0);
    for (size_t n = 0; n < packed; n++) {
        put_bytes("torn.npz", file, n);
        assert_int_equal(netc_npz_read(at("torn.npz"), NULL, NULL, &s), NETC_EXIT_DATA);
    }
    for (size_t i = 0; i < packed; i++) {
        file[i] ^= 0x10;
        put_bytes("flip.npz", file, packed);
        file[i] ^= 0x10;
        int code = netc_npz_read(at("flip.npz"), NULL, NULL, &s);
        if (code) continue;                     /* else the byte had no meaning: the numbers are the same */
        assert_int_equal(s.t[0].bytes, 400);
        assert_true(netc_tensor_get(&s.t[0], 99) == 42);
        netc_tensors_free(&s);
    }
    free(file);
    free(data);
}

/* ---- IDX, pictures ---------------------------------------------------------------------------------- */

static void test_idx(void **state) {
    (void)state;
    netc_tensor t;
    put_bytes("i-ubyte", "\0\0\x0b\x02\0\0\0\x02\0\0\0\x01\x01\x02\xff\xfe", 16);
    assert_int_equal(netc_tensor_read(at("i-ubyte"), &t), 0);
    assert_int_equal(t.dtype, NETC_I16);
    assert_int_equal(t.shape[0], 2);
    assert_true(netc_tensor_get(&t, 0) == 258 && netc_tensor_get(&t, 1) == -2);
    netc_tensor_free(&t);
    put_bytes("short", "\0\0\x08\x01\0\0\0\x05" "123", 11);
    assert_int_equal(netc_idx_read(at("short"), &t), NETC_EXIT_DATA);
    assert_said("truncated");
    put_bytes("long", "\0\0\x08\x01\0\0\0\x02" "123", 11);
    assert_int_equal(netc_idx_read(at("long"), &t), NETC_EXIT_DATA);
    put_bytes("huge", "\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16);
    assert_int_equal(netc_idx_read(at("huge"), &t), NETC_EXIT_DATA);
    put_bytes("magic", "\0\1\x08\x01\0\0\0\x01" "1", 9);
    assert_int_equal(netc_idx_read(at("magic"), &t), NETC_EXIT_DATA);
    put_bytes("empty", "", 0);
    assert_int_equal(netc_idx_read(at("empty"), &t), NETC_EXIT_DATA);
    assert_int_equal(netc_idx_read(at("none"), &t), NETC_EXIT_IO);
}

static void test_idx_gz(void **state) {
    (void)state;
    netc_tensor t;
    char *file, image[16 + 3000] = "\0\0\x08\x01\0\0\x0b\xb8";
    size_t size;
    for (int i = 0; i < 3000; i++) image[8 + i] = (char)(i * i);
    gzFile z = gzopen(at("a.gz"), "wb");
    gzwrite(z, image, 3008);
    gzclose(z);
    assert_int_equal(netc_idx_read(at("a"), &t), 0);         /* finds a.gz */
    assert_int_equal(t.bytes, 3000);
    assert_memory_equal(t.data, image + 8, 3000);
    netc_tensor_free(&t);
    assert_int_equal(netc_read_file(at("a.gz"), 1 << 20, &file, &size), 0);
    for (size_t n = 0; n < size; n += 7) {
        put_bytes("torn.gz", file, n);
        assert_int_equal(netc_idx_read(at("torn.gz"), &t), NETC_EXIT_DATA);
    }
    for (size_t i = 10; i < size; i += 5) {                  /* the sum at the end finds what zlib does not */
        file[i] ^= 0x04;
        put_bytes("flip.gz", file, size);
        file[i] ^= 0x04;
        assert_int_equal(netc_idx_read(at("flip.gz"), &t), NETC_EXIT_DATA);
    }
    free(file);
}

static void test_pnm(void **state) {
    (void)state;
    netc_tensor t;
    put_text("a.ppm", "P3 # a comment\n2 1\n255\n255 0 0  0 0 255\n");
    assert_int_equal(netc_image_read(at("a.ppm"), NULL, &t), 0);
    assert_int_equal(t.shape[0], 3);
    assert_memory_equal(t.data, "\xff\0\0\0\0\xff", 6);
    netc_tensor_free(&t);
    assert_int_equal(netc_image_read(at("a.ppm"), (int64_t[]){1, 1, 2}, &t), 0);
    assert_memory_equal(t.data, "\x4c\x1d", 2);              /* 0.299 and 0.114 of 255 */
    netc_tensor_free(&t);
    put_bytes("b.pgm", "P5 2 2 255\n\0\1\2\3", 15);
    assert_int_equal(netc_image_read(at("b.pgm"), (int64_t[]){3, 2, 2}, &t), 0);
    assert_memory_equal(t.data, "\0\1\2\3\0\1\2\3\0\1\2\3", 12);
    netc_tensor_free(&t);
    assert_int_equal(netc_image_read(at("b.pgm"), (int64_t[]){1, 28, 28}, &t), NETC_EXIT_DATA);
    assert_said("2 x 2");
    assert_said("28 x 28");
    put_bytes("c.pgm", "P5 2 2 255\n\0\1\2", 14);
    assert_int_equal(netc_image_read(at("c.pgm"), NULL, &t), NETC_EXIT_DATA);
    put_text("d.pgm", "P5 65536 65536 255\n");
    assert_int_equal(netc_image_read(at("d.pgm"), NULL, &t), NETC_EXIT_DATA);
    put_text("e.png", "no picture at all");
    assert_int_equal(netc_image_read(at("e.png"), NULL, &t), NETC_EXIT_DATA);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUNTIME_TEST(test_safetensors_round_trip), RUNTIME_TEST(test_safetensors_refusals),
        RUNTIME_TEST(test_check_runs_before_data), RUNTIME_TEST(test_checkpoint_finds_every_flipped_bit),
        RUNTIME_TEST(test_npy_round_trip),         RUNTIME_TEST(test_npy_orders_and_types),
        RUNTIME_TEST(test_npy_refusals),           RUNTIME_TEST(test_npz),
        RUNTIME_TEST(test_npz_flipped_bits_are_found), RUNTIME_TEST(test_idx),
        RUNTIME_TEST(test_idx_gz),                 RUNTIME_TEST(test_pnm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
