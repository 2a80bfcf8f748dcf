/* Messages, atomic files, sums, JSON. */
#include "runtime_files.h"

#include <sys/resource.h>
#include <math.h>

#include "runtime/json.h"

static void test_sums(void **state) {
    (void)state;
    /* Values of the XXH64 specification's reference program, and of zlib. */
    assert_true(netc_xxh64("", 0, 0) == UINT64_C(0xEF46DB3751D8E999));
    assert_true(netc_xxh64("abc", 3, 0) == UINT64_C(0x44BC2CF5AD770999));
    assert_true(netc_xxh64("Nobody inspects the spammish repetition", 39, 0) == UINT64_C(0xFBCEA83C8A378BF1));
    assert_int_equal(netc_crc32(0, "123456789", 9), 0xCBF43926);
}

static void test_messages(void **state) {
    (void)state;
    FILE *f = fopen(at("log"), "w+");
    FILE *before = netc_messages_to(f);
    netc_set_program("mnist");
    assert_int_equal(netc_error(NETC_EXIT_DATA, "%s: bad\033[2J", "x.idx"), NETC_EXIT_DATA);
    netc_warning("careful");
    netc_set_program(NULL);
    netc_messages_to(before);
    char text[128] = "";
    rewind(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_string_equal(text, "mnist: x.idx: bad?[2J\nmnist: warning: careful\n");
    assert_string_equal(netc_error_text(), "x.idx: bad?[2J");
}

static void test_file_is_replaced_whole(void **state) {
    (void)state;
    netc_file f;
    char *data;
    size_t size;
    put_text("w", "old");
    assert_int_equal(netc_file_create(&f, at("w"), 1000), 0);
    assert_int_equal(netc_file_write(&f, "new content", 11), 0);
    assert_int_equal(netc_read_file(at("w"), 100, &data, &size), 0);
    assert_string_equal(data, "old");
    free(data);
    assert_int_equal(netc_file_commit(&f), 0);
    assert_int_equal(netc_read_file(at("w"), 100, &data, &size), 0);
    assert_string_equal(data, "new content");
    assert_int_equal(size, 11);             /* not the 1000 that were reserved */
    free(data);
    assert_int_equal(netc_file_create(&f, at("w"), 5), 0);
    netc_file_abort(&f);
    assert_int_equal(count_files(""), 1);
}

static void test_link_stays(void **state) {
    (void)state;
    struct stat st;
    put_text("target", "old");
    assert_int_equal(symlink("target", at("link")), 0);
    assert_int_equal(netc_write_file(at("link"), "new", 3), 0);
    assert_int_equal(lstat(at("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(count_files(""), 2);
}

static void test_write_failures(void **state) {
    (void)state;
    netc_file f;
    assert_int_equal(netc_write_file(at("none/w"), "x", 1), NETC_EXIT_IO);
    assert_int_equal(netc_write_file(test_folder, "x", 1), NETC_EXIT_IO);
    assert_int_equal(netc_write_file("/dev/full", "x", 1), NETC_EXIT_IO);
    assert_said("/dev/full");
    assert_int_equal(netc_write_file("/dev/null", "x", 1), 0);
    /* A file-size limit stands for a full disk: it shows before a byte is written. */
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 1000;
    put_text("w", "old");
    setrlimit(RLIMIT_FSIZE, &low);
    int code = netc_file_create(&f, at("w"), 2000);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(code, NETC_EXIT_IO);
    assert_said("no room for 2000 bytes");
    assert_int_equal(count_files(""), 1);
}

static void test_stale_temporaries(void **state) {
    (void)state;
    put_text(".w.safetensors.123-0.tmp", "torn");
    put_text(".keep.tmp", "a user's");
    put_text("w.123-0.tmp", "a user's");
    netc_remove_temporaries(test_folder);
    assert_int_equal(count_files(""), 2);
}

static void test_reading(void **state) {
    (void)state;
    char *data;
    size_t size;
    assert_int_equal(netc_read_file(at("none"), 10, &data, &size), NETC_EXIT_IO);
    assert_int_equal(netc_read_file(test_folder, 10, &data, &size), NETC_EXIT_IO);
    assert_int_equal(mkfifo(at("pipe"), 0666), 0);
    assert_int_equal(netc_read_file(at("pipe"), 10, &data, &size), NETC_EXIT_IO);
    put_text("long", "12345678901");
    assert_int_equal(netc_read_file(at("long"), 10, &data, &size), NETC_EXIT_LIMIT);
    assert_null(netc_data_path("d", "/etc/passwd"));
    assert_null(netc_data_path("d", "a/../../b"));
    assert_null(netc_data_path("d", ".."));
    char *path = netc_data_path("d", "a/..b");
    assert_string_equal(path, "d/a/..b");
    free(path);
    assert_null(netc_try_alloc(UINT64_C(1) << 60, "a huge thing"));
    assert_said("a huge thing");
}

static void test_blocks(void **state) {
    (void)state;
    char *block = netc_block_new(1 << 22, "a block");
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % 64, 0);
    block[-NETC_SLACK] = 1;
    block[(1 << 22) + NETC_SLACK - 1] = 1;
    assert_int_equal(block[0], 0);
    netc_block_free(block, 1 << 22);
    block = netc_block_new(0, "nothing");
    assert_non_null(block);
    netc_block_free(block, 0);
}

static void test_cpu(void **state) {
    (void)state;
#ifdef __x86_64__
    assert_true(netc_cpu_has("sse2"));
    assert_int_equal(netc_cpu_has("avx2"), !!__builtin_cpu_supports("avx2"));
    assert_int_equal(netc_cpu_has("fma"), !!__builtin_cpu_supports("fma"));
    assert_int_equal(netc_cpu_has("avx512vl"), !!__builtin_cpu_supports("avx512vl"));
#endif
    assert_false(netc_cpu_has("no-such-thing"));
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static netc_json_doc *parse(const char *text) {
    const char *why;
    size_t where;
    return netc_json_parse(text, strlen(text), &why, &where);
}

static void test_json_values(void **state) {
    (void)state;
    netc_json_doc *doc = parse(" {\"a\": [1, -2.5e1, true, null, \"x\\n\\u00e9\\ud83d\\ude00\"],"
                               " \"b\": {\"c\": 9223372036854775807}} ");
    assert_non_null(doc);
    const netc_json *a = netc_json_get(netc_json_root(doc), "a");
    assert_int_equal(a->count, 5);
    assert_int_equal(netc_json_int(netc_json_at(a, 0), 0), 1);
    assert_true(netc_json_number(netc_json_at(a, 1), 0) == -25);
    assert_int_equal(netc_json_int(netc_json_at(a, 1), 7), 7);
    assert_true(netc_json_bool(netc_json_at(a, 2), false));
    assert_string_equal(netc_json_string(netc_json_at(a, 4), ""), "x\n\xc3\xa9\xf0\x9f\x98\x80");
    const netc_json *c = netc_json_get(netc_json_get(netc_json_root(doc), "b"), "c");
    assert_true(netc_json_int(c, 0) == INT64_MAX);
    assert_null(netc_json_get(c, "d"));
    netc_json_free(doc);
}

static void test_json_refusals(void **state) {
    (void)state;
    static const char *const BAD[] = {
        "", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "[1 2]", "01", "1.", ".5", "1e", "-", "+1", "nul", "tru",
        "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\u0000\"",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\n\"", "1 1", "[1]]",
        "{\"a\":1,\"b\":2,\"a\":3}", "NaN", "Infinity", "[1,,2]", "{,}",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        netc_json_doc *doc = parse(BAD[i]);
        if (doc) fail_msg("accepted: %s", BAD[i]);
    }
    char deep[2001];
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    deep[2000] = 0;
    assert_null(parse(deep));
}

static void test_json_writing(void **state) {
    (void)state;
    netc_buf b = {0};
    double numbers[] = {0, -1.5, 0.1, 1e300, 1.0 / 3, 123456789};
    netc_buf_text(&b, "[");
    for (int i = 0; i < 6; i++) {
        netc_json_put_number(&b, numbers[i]);
        netc_buf_text(&b, ",");
    }
    netc_json_put_string(&b, "a\"b\\\n\x01\xff\xc3\xa9");
    netc_buf_text(&b, "]");
    netc_json_doc *doc = parse(b.data);
    assert_non_null(doc);
    const netc_json *list = netc_json_root(doc);
    for (uint32_t i = 0; i < 6; i++) assert_true(netc_json_number(netc_json_at(list, i), NAN) == numbers[i]);
    assert_string_equal(netc_json_string(netc_json_at(list, 6), ""), "a\"b\\\n\x01\xef\xbf\xbd\xc3\xa9");
    netc_json_free(doc);
    netc_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUNTIME_TEST(test_sums),           RUNTIME_TEST(test_messages),    RUNTIME_TEST(test_file_is_replaced_whole),
        RUNTIME_TEST(test_link_stays),     RUNTIME_TEST(test_write_failures), RUNTIME_TEST(test_stale_temporaries),
        RUNTIME_TEST(test_reading),        RUNTIME_TEST(test_blocks),      RUNTIME_TEST(test_cpu),
        RUNTIME_TEST(test_json_values),    RUNTIME_TEST(test_json_refusals), RUNTIME_TEST(test_json_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
