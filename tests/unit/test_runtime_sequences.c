/* Data of sequences: texts as streams, sequence columns, padded arrays with lengths, orders by length, and what is
 * refused. */
#include "runtime_files.h"

#include <math.h>

#include "runtime/data.h"

/* ---- a model with sequences of symbols ------------------------------------------------------------------ */

static const netc_function_entry TABLE[] = {{NULL, NULL}};

/* Symbols a b c and, as Word, the words "one" "two" with unk, bos, eos. */
#define DIMS                                                                                                           \
    "{\"name\":\"T\",\"size\":5,\"ragged\":true},{\"name\":\"S\",\"size\":4,\"ragged\":true},"                         \
    "{\"name\":\"Char\",\"size\":3,\"vocab\":{\"by\":\"char\",\"min\":1,\"eos\":false,\"symbols\":[\"a\",\"b\",\"c\"]" \
    "}},"                                                                                                              \
    "{\"name\":\"Word\",\"size\":5,\"vocab\":{\"by\":\"word\",\"min\":2,\"eos\":true,\"symbols\":[\"one\",\"two\"]}}," \
    "{\"name\":\"Byte\",\"size\":256,\"bytes\":true},{\"name\":\"Kind\",\"size\":4}"

#define I32(name, shape, axes, dim, size) \
    "{\"name\":\"" name "\",\"dtype\":\"i32\",\"shape\":" shape axes ",\"dim\":\"" dim "\",\"size\":" #size "}"
#define CHARS(name) I32(name, "[5]", ",\"axes\":[\"T\"]", "Char", 3)
#define WORDS(name) I32(name, "[4]", ",\"axes\":[\"S\"]", "Word", 5)
#define XY I32("x", "[3]", "", "Char", 3) "," I32("y", "[3]", "", "Char", 3)
#define F32(name, shape, axes) "{\"name\":\"" name "\",\"dtype\":\"f32\",\"shape\":" shape ",\"axes\":" axes "}"
#define SOURCE(kind, file) "{\"op\":\"source\",\"kind\":\"" kind "\",\"files\":[\"" file "\"],\"args\":{},\"line\":3}"
#define STREAM(of) "{\"op\":\"stream\",\"of\":" of ",\"x\":\"x\",\"y\":\"y\"}"
#define SLICE(of, lo, hi) "{\"op\":\"slice\",\"of\":" of ",\"lo\":" #lo ",\"hi\":" #hi ",\"fraction\":true}"

typedef struct {
    netc_model *m;
    netc_data   d;
    int         code;
} loaded;

static loaded load(const char *fields, const char *splits) {
    char *text = netc_format(
        "{\"netc\":\"0\",\"name\":\"n\",\"model\":\"N\",\"hash\":\"0\",\"target\":\"t\",\"batch\":2,\"weights_size\":0,"
        "\"state_size\":0,\"opt_size\":0,\"dims\":[" DIMS "],\"functions\":[],"
        "\"data\":{\"name\":\"D\",\"fields\":[%s],\"splits\":{%s}}}", fields, splits);
    loaded l = {.m = netc_model_new(text, strlen(text), TABLE)};
    free(text);
    assert_non_null(l.m);
    l.code = netc_data_load(l.m, test_folder, NULL, &l.d);
    return l;
}

static void done(loaded *l) {
    netc_data_free(&l->d);
    netc_model_free(l->m);
}

static void assert_refused(const char *fields, const char *source, int code, const char *why) {
    char  *splits = netc_format("\"train\":%s", source);
    loaded l = load(fields, splits);
    free(splits);
    if (l.code != code) fail_msg("exit code %d, not %d: %s", l.code, code, netc_error_text());
    assert_said(why);
    done(&l);
}

/* ---- texts ------------------------------------------------------------------------------------------------ */

/* 23 symbols in two lanes of 11, windows of 3: three of them, since y needs one more symbol. */
static void text_in_lanes(void **state) {
    (void)state;
    put_text("t.txt", "abcabcaabbccabcabcaabbc");
    loaded l = load(XY, "\"train\":" STREAM(SOURCE("text", "t.txt")));
    assert_int_equal(l.code, 0);
    const netc_split *s = &l.d.split[0];
    assert_int_equal(s->count, 6);
    for (int64_t e = 0; e < 6; e++) {
        int32_t x[3], y[3], lane = (int32_t)(e % 2), window = (int32_t)(e / 2);
        netc_batch_gather(s, &e, 1, 0, x);
        netc_batch_gather(s, &e, 1, 1, y);
        const char *text = "abcabcaabbccabcabcaabbc" + 11 * lane + 3 * window;
        for (int k = 0; k < 3; k++) assert_true(x[k] == text[k] - 'a' && y[k] == text[k + 1] - 'a');
    }
    int64_t order[6];
    netc_epoch_order(s, NULL, 2, 7, 3, order);
    for (int i = 0; i < 6; i++) assert_int_equal(order[i], i);           /* time does not stand on its head */
    done(&l);
}

static void ranges_of_a_text(void **state) {
    (void)state;
    put_text("t.txt", "aaaaaaaaaabbbbbbbbbb");
    loaded l = load(XY, "\"train\":" STREAM(SLICE(SOURCE("text", "t.txt"), 0.0, 0.5)) ",\"valid\":"
                        STREAM(SLICE(SOURCE("text", "t.txt"), 0.5, 1.0)));
    assert_int_equal(l.code, 0);
    assert_ptr_equal(l.d.split[0].source, l.d.split[1].source);
    for (int i = 0; i < 2; i++) {
        int64_t at = 1;
        int32_t y[3];
        assert_int_equal(l.d.split[i].count, 2);
        netc_batch_gather(&l.d.split[i], &at, 1, 1, y);
        assert_true(y[0] == i && y[2] == i);
    }
    uint64_t print = netc_data_fingerprint(&l.d);
    ((uint8_t *)l.d.sources->column[0].data)[0]++;
    assert_true(print != netc_data_fingerprint(&l.d));
    done(&l);
}

/* By words every line ends in <eos>; a word that is none becomes <unk>. */
static void words_of_a_text(void **state) {
    (void)state;
    put_text("t.txt", "one two\nthree\r\n\n two one");
    loaded l = load(I32("x", "[1]", "", "Word", 5) "," I32("y", "[1]", "", "Word", 5),
                    "\"train\":" STREAM(SOURCE("text", "t.txt")));
    assert_int_equal(l.code, 0);
    static const uint8_t WANT[] = {0, 1, 4, 2, 4, 4, 1, 0, 4};
    assert_int_equal(l.d.sources->rows, 9);
    assert_memory_equal(l.d.sources->column[0].data, WANT, 9);
    done(&l);
}

static void bytes_of_a_text(void **state) {
    (void)state;
    put_bytes("t.bin", "\0\xff\n\1\2\3\4\5\6\7", 10);
    loaded l = load(I32("x", "[2]", "", "Byte", 256) "," I32("y", "[2]", "", "Byte", 256),
                    "\"train\":" STREAM(SOURCE("text", "t.bin")));
    assert_int_equal(l.code, 0);
    int64_t at = 0;
    int32_t y[2];
    netc_batch_gather(&l.d.split[0], &at, 1, 1, y);
    assert_true(y[0] == 255 && y[1] == 10);
    done(&l);
}

static void texts_refused(void **state) {
    (void)state;
#define TEXT STREAM(SOURCE("text", "t.txt"))
    put_text("t.txt", "abc\nab\n");
    assert_refused(XY, TEXT, NETC_EXIT_DATA, "t.txt:1: '?' is no symbol of dim Char");
    put_text("t.txt", "ab");
    assert_refused(XY, TEXT, NETC_EXIT_DATA, "2 symbols are too few for a stream of 2 lanes");
    assert_refused(XY, SOURCE("text", "t.txt"), NETC_EXIT_MODEL, "'train' is a text");
    put_text("t.txt", "");
    assert_refused(XY, TEXT, NETC_EXIT_DATA, "empty");
    put_bytes("t.txt", "ab\0c", 4);
    assert_refused(XY, TEXT, NETC_EXIT_DATA, "t.txt:1: a NUL byte");
    put_text("t.txt", "abcabcabcab\xc3");
    assert_refused(XY, TEXT, NETC_EXIT_DATA, "t.txt:1: the text is not UTF-8");
#define WORD_TEXT I32("x", "[1]", "", "Word", 5) "," I32("y", "[1]", "", "Word", 5)
    put_text("t.txt", "one\ntwo\none \xff\n");
    assert_refused(WORD_TEXT, TEXT, NETC_EXIT_DATA, "t.txt:3: the text is not UTF-8");
    assert_refused(XY, STREAM(SOURCE("text", "none.txt")), NETC_EXIT_IO, "none.txt");
    assert_refused(I32("x", "[1]", "", "Kind", 4) "," I32("y", "[1]", "", "Kind", 4), TEXT, NETC_EXIT_DATA,
                   "neither the symbols of a vocab nor a size of 256");
}

/* ---- tables ----------------------------------------------------------------------------------------------- */

/* Field `field` of row `row`, padded, and the length of its dim. */
static int32_t row_of(const loaded *l, int64_t row, int field, const char *dim, void *to) {
    int32_t length = -1;
    netc_batch_gather(&l->d.split[0], &row, 1, field, to);
    assert_true(netc_batch_lengths(&l->d.split[0], &row, 1, dim, &length));
    return length;
}

static void two_sequence_columns(void **state) {
    (void)state;
    put_text("d.tsv", "abc\tone two\nc\tsix\nabcab\ttwo one two\n");
    loaded l = load(CHARS("x") "," WORDS("w"), "\"train\":" SOURCE("tsv", "d.tsv"));
    assert_int_equal(l.code, 0);
    static const int32_t X[3][5] = {{0, 1, 2}, {2}, {0, 1, 2, 0, 1}}, W[3][4] = {{0, 1, 4}, {2, 4}, {1, 0, 1, 4}};
    static const int32_t T[3] = {3, 1, 5}, S[3] = {3, 2, 4};             /* S counts <eos> */
    for (int r = 0; r < 3; r++) {
        int32_t x[5] = {9, 9, 9, 9, 9}, w[4] = {9, 9, 9, 9};
        assert_int_equal(row_of(&l, r, 0, "T", x), T[r]);
        assert_int_equal(row_of(&l, r, 1, "S", w), S[r]);
        assert_memory_equal(x, X[r], sizeof x);                          /* 0 past the length */
        assert_memory_equal(w, W[r], sizeof w);
    }
    int32_t none;
    assert_false(netc_batch_lengths(&l.d.split[0], &(int64_t){0}, 1, "U", &none));
    done(&l);
}

static void columns_that_share_a_dim(void **state) {
    (void)state;
    put_text("d.csv", "abc,1.5 -2 3,\"0 3 1\"\nb,7,2\n");
    loaded l = load(CHARS("x") "," F32("v", "[5]", "[\"T\"]") "," I32("k", "[5]", ",\"axes\":[\"T\"]", "Kind", 4),
                    "\"train\":" SOURCE("csv", "d.csv"));
    assert_int_equal(l.code, 0);
    float v[5];
    int32_t k[5];
    assert_int_equal(row_of(&l, 0, 1, "T", v), 3);
    assert_true(v[0] == 1.5f && v[1] == -2 && v[2] == 3 && v[3] == 0);
    row_of(&l, 0, 2, "T", k);
    assert_true(k[0] == 0 && k[1] == 3 && k[2] == 1 && k[3] == 0);
    done(&l);
}

/* "nan" is a word before it is a number: the first record is no header. */
static void words_that_are_numbers(void **state) {
    (void)state;
    put_text("d.tsv", "abc\tone\nb\tnan\n");
    loaded l = load(CHARS("x") "," WORDS("w"), "\"train\":" SOURCE("tsv", "d.tsv"));
    assert_int_equal(l.code, 0);
    assert_int_equal(l.d.sources->rows, 2);
    done(&l);
}

static void tables_refused(void **state) {
    (void)state;
#define BOTH CHARS("x") "," WORDS("w")
#define TSV SOURCE("tsv", "d.tsv")
    static const struct { const char *text, *why; } ROWS[] = {
        {"abc\tone\nabx\tone\n", "d.tsv:2:3: 'x' is no symbol of dim Char"},
        {"abc\tone\nabcabc\tone\n", "d.tsv:2:1: x has 6 steps, but dim T goes to 5"},
        {"abc\tone two one two\n", "d.tsv:1:5: w has 5 steps (with <eos>), but dim S goes to 4"},
        {"abc\tone\n\tone\n", "d.tsv:2:1: x is empty"},
        {"abc\tone\nab\n", "d.tsv:2: has 1 columns"},
        {"abc\tone\tc\n", "d.tsv:1: has 3 columns, the fields of data D take 2"},
        {"abc\tone\na\xff\tone\n", "d.tsv:2:2: the text of x is not UTF-8"},
        {"", "empty"},
        {"a\0c\tone\n", "d.tsv"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        put_text("d.tsv", ROWS[i].text);
        assert_refused(BOTH, TSV, NETC_EXIT_DATA, ROWS[i].why);
    }
    put_text("d.tsv", "abc\t1 2\n");
    assert_refused(CHARS("x") "," F32("v", "[5]", "[\"T\"]"), TSV, NETC_EXIT_DATA,
                   "d.tsv:1:5: v has 2 steps of T, a field before it has 3");
    put_text("d.tsv", "abc\t1 2 x\n");
    assert_refused(CHARS("x") "," F32("v", "[5]", "[\"T\"]"), TSV, NETC_EXIT_DATA, "d.tsv:1:9: 'x' is not a number");
    assert_refused(F32("f", "[5,2]", "[\"T\",null]"), TSV, NETC_EXIT_DATA, "f has 2 axes");
    assert_refused(CHARS("x"), SOURCE("npy", "x.npy"), NETC_EXIT_DATA, "npz, safetensors, csv or tsv");
    assert_refused(CHARS("x"), SOURCE("images", "x"), NETC_EXIT_DATA, "rows of different lengths");
}

/* A caption for each picture. */
static void pictures_with_words(void **state) {
    (void)state;
    put_bytes("p.pgm", "P5 2 1 255\n\0\xff", 13);
    put_text("d.tsv", "p.pgm\ttwo one\np.pgm\tone\n");
    loaded l = load(F32("img", "[1,1,2]", "[null,null,null]") "," WORDS("w"), "\"train\":" SOURCE("tsv", "d.tsv"));
    if (l.code) fail_msg("%s", netc_error_text());
    float img[2];
    int32_t w[4];
    assert_int_equal(row_of(&l, 0, 1, "S", w), 3);
    assert_true(w[0] == 1 && w[1] == 0 && w[2] == 4);
    netc_batch_gather(&l.d.split[0], &(int64_t){1}, 1, 0, img);
    assert_true(img[0] == 0 && img[1] == 1);
    done(&l);
}

/* ---- padded arrays ------------------------------------------------------------------------------------------ */

static float   frames[3 * 4 * 2];
static int32_t lengths[3], tags[3 * 4];

/* Three clips of at most 4 of 5 steps, two numbers each; past the lengths is what nobody may read. */
static void put_clips(int64_t rows) {
    static const int32_t N[3] = {2, 4, 1};
    int64_t shape[3] = {rows, 4, 2}, tag[2] = {rows, 4};
    for (int r = 0; r < 3; r++) {
        lengths[r] = N[r];
        for (int t = 0; t < 4; t++) {
            tags[4 * r + t] = t < N[r] ? t : 99;
            for (int k = 0; k < 2; k++) frames[8 * r + 2 * t + k] = t < N[r] ? (float)(100 * r + 10 * t + k) : NAN;
        }
    }
    netc_tensors s = {0};
    netc_tensors_add(&s, "f", NETC_F32, 3, shape, frames);
    netc_tensors_add(&s, "k", NETC_I32, 2, tag, tags);
    netc_tensors_add(&s, "T", NETC_I32, 1, shape, lengths);
    assert_int_equal(netc_safetensors_write(at("c.safetensors"), &s), 0);
    netc_tensors_free(&s);
}

#define CLIPS F32("f", "[5,2]", "[\"T\",null]") "," I32("k", "[5]", ",\"axes\":[\"T\"]", "Kind", 4)
#define SAFE SOURCE("safetensors", "c.safetensors")

static void padded_arrays(void **state) {
    (void)state;
    put_clips(3);
    loaded l = load(CLIPS, "\"train\":" SAFE);
    if (l.code) fail_msg("%s", netc_error_text());
    for (int r = 0; r < 3; r++) {
        float f[10];
        int32_t k[5];
        assert_int_equal(row_of(&l, r, 0, "T", f), lengths[r]);
        row_of(&l, r, 1, "T", k);
        for (int t = 0; t < 5; t++) {
            bool there = t < lengths[r];
            assert_true(f[2 * t] == (there ? 100 * r + 10 * t : 0) &&
                        f[2 * t + 1] == (there ? 100 * r + 10 * t + 1 : 0));
            assert_int_equal(k[t], there ? t : 0);
        }
    }
    done(&l);
}

static void put_lengths(int32_t a, int32_t b, int32_t c, int64_t rows) {
    netc_tensors s = {0};
    int32_t n[3] = {a, b, c};
    int64_t shape[3] = {3, 4, 2}, tag[2] = {3, 4};
    netc_tensors_add(&s, "f", NETC_F32, 3, shape, frames);
    netc_tensors_add(&s, "k", NETC_I32, 2, tag, tags);
    if (rows) netc_tensors_add(&s, "T", NETC_I32, 1, &rows, n);
    assert_int_equal(netc_safetensors_write(at("c.safetensors"), &s), 0);
    netc_tensors_free(&s);
}

static void padded_arrays_refused(void **state) {
    (void)state;
    put_clips(3);
    put_lengths(2, 5, 1, 3);
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "row 1 (the first is 0) has 5 steps of T, but the array holds 4");
    put_lengths(2, 0, 1, 3);
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "row 1 (the first is 0) has the length 0 of T");
    put_lengths(2, -7, 1, 3);
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "has the length -7");
    put_lengths(2, 4, 6, 3);
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "has the length 6 of T, which goes from 1 to 5");
    put_lengths(2, 4, 1, 2);
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "has 3 rows");
    put_lengths(0, 0, 0, 0);
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "has no array named T");
    put_lengths(3, 4, 1, 3);                        /* the padding of row 0 is inside now */
    assert_refused(CLIPS, SAFE, NETC_EXIT_DATA, "row 0 (the first is 0)");
    put_clips(3);
    assert_refused(F32("f", "[5,3]", "[\"T\",null]"), SAFE, NETC_EXIT_DATA, "rows of shape [4, 2], but f is [5, 3]");
    assert_refused(F32("f", "[4,2]", "[\"S\",null]"), SAFE, NETC_EXIT_DATA, "has no array named S");
}

/* ---- hostile files ------------------------------------------------------------------------------------------ */

/* Whatever stands in a file: it is refused, or all its rows can be taken. */
static void load_mutated(const char *name, const char *fields, const char *splits, uint32_t seed) {
    char  *data;
    size_t size;
    assert_int_equal(netc_read_file(at(name), 1 << 20, &data, &size), 0);
    for (int round = 0; round < 400; round++) {
        char *copy = netc_alloc(size + 1);
        memcpy(copy, data, size);
        for (int k = 0; k <= round % 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % size] = (char)(seed >> 24);
        }
        put_bytes(name, copy, round % 7 ? size : (seed >> 9) % size);
        free(copy);
        loaded l = load(fields, splits);
        assert_true(l.code == 0 || l.code == NETC_EXIT_DATA || l.code == NETC_EXIT_LIMIT || l.code == NETC_EXIT_IO);
        for (int64_t r = 0; !l.code && r < l.d.split[0].count; r++) {
            char row[256];
            int32_t n;
            for (int f = 0; f < l.m->nfield; f++) {
                assert_true(l.m->field[f].row_bytes <= sizeof row);
                netc_batch_gather(&l.d.split[0], &r, 1, f, row);
            }
            netc_batch_lengths(&l.d.split[0], &r, 1, "T", &n);
        }
        done(&l);
    }
    put_bytes(name, data, size);
    free(data);
}

static void mutated_files(void **state) {
    (void)state;
    put_clips(3);
    load_mutated("c.safetensors", CLIPS, "\"train\":" SAFE, 1);
    put_text("d.tsv", "abc\tone two\nc\tsix\nabcab\ttwo one two\n");
    load_mutated("d.tsv", BOTH, "\"train\":" TSV, 2);
    put_text("t.txt", "one two\nthree\r\n\n two one");
    load_mutated("t.txt", WORD_TEXT, "\"train\":" TEXT, 3);
    put_text("t.txt", "abcabcaabbccabcabcaabbc");
    load_mutated("t.txt", XY, "\"train\":" TEXT, 4);
}

/* ---- batches of like lengths ---------------------------------------------------------------------------------- */

static void order_by_length(void **state) {
    (void)state;
    enum { N = 501, BATCH = 4, GROUP = BATCH * NETC_BUCKET };
    FILE *f = fopen(at("d.tsv"), "w");
    for (int i = 0; i < N; i++) fprintf(f, "%.*s\n", 1 + i * 7 % 5, "abcab");
    fclose(f);
    loaded l = load(CHARS("x"), "\"train\":" SOURCE("tsv", "d.tsv"));
    assert_int_equal(l.code, 0);
    const netc_split *s = &l.d.split[0];
    int64_t a[N], b[N], plain[N], seen[N] = {0};
    int padding = 0, before = 0;
    netc_epoch_order(s, "T", BATCH, 5, 2, a);
    netc_epoch_order(s, "T", BATCH, 5, 2, b);
    assert_memory_equal(a, b, sizeof a);
    netc_epoch_order(s, "T", BATCH, 5, 3, b);
    assert_int_not_equal(memcmp(a, b, sizeof a), 0);
    netc_epoch_order(s, NULL, BATCH, 5, 2, plain);
    for (int first = 0; first < N; first += BATCH) {
        int n = N - first < BATCH ? N - first : BATCH, most = 0, was = 0;
        for (int i = 0; i < n; i++) {
            int32_t x, y;
            netc_batch_lengths(s, &a[first + i], 1, "T", &x);
            netc_batch_lengths(s, &plain[first + i], 1, "T", &y);
            seen[a[first + i]]++;
            most = x > most ? x : most;
            was = y > was ? y : was;
            padding -= x;
            before -= y;
        }
        padding += n * most;
        before += n * was;
    }
    for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    assert_true(10 * padding < before);
    assert_true(padding <= 4 * BATCH * ((N + GROUP - 1) / GROUP));         /* where the length changes in a group */
    done(&l);
}

/* ---- text as symbols -------------------------------------------------------------------------------------------- */

static void symbols_and_text(void **state) {
    (void)state;
    netc_vocab v;
    netc_symbols s = {0};
    netc_buf b = {0};
    const char *bad, *const list[] = {"a", "\xc3\xa9", "z"};
    size_t size;
    assert_int_equal(netc_vocab_make(&v, NETC_BY_CHAR, list, 3, false, true), 0);
    assert_true(netc_vocab_encode(&v, "z\xc3\xa9za", 5, &s, &bad, &size));
    static const int32_t WANT[] = {2, 1, 2, 0, 4};
    assert_int_equal(s.n, 5);
    assert_memory_equal(s.at, WANT, sizeof WANT);
    netc_vocab_decode(&v, s.at, s.n, &b);
    assert_string_equal(b.data, "z\xc3\xa9za");                          /* up to <eos> */
    assert_false(netc_vocab_encode(&v, "az\xc3\xbc", 4, &s, &bad, &size));
    assert_true(size == 2 && !memcmp(bad, "\xc3\xbc", 2));
    assert_false(netc_vocab_encode(&v, "a\xc3", 2, &s, &bad, &size));
    assert_int_equal(size, 0);
    netc_buf_free(&b);
    netc_vocab_free(&v);
    const char *const words[] = {"hat", "cat"};
    assert_int_equal(netc_vocab_make(&v, NETC_BY_WORD, words, 2, true, false), 0);
    netc_vocab_decode(&v, (int32_t[]){1, 2, 0}, 3, &b);
    assert_string_equal(b.data, "cat <unk> hat");
    netc_buf json = {0};
    netc_vocab w;
    const char *why;
    netc_vocab_put_json(&json, &v);
    netc_json_doc *doc = netc_json_parse(json.data, json.size, &why, &size);
    assert_non_null(doc);
    assert_int_equal(netc_vocab_from_json(&w, netc_json_root(doc)), 0);
    assert_int_equal(netc_vocab_difference(&v, &w), -1);
    free(w.symbol[1]);
    w.symbol[1] = netc_strdup("cap");
    assert_int_equal(netc_vocab_difference(&v, &w), 1);
    netc_json_free(doc);
    netc_buf_free(&json);
    netc_buf_free(&b);
    netc_vocab_free(&v);
    netc_vocab_free(&w);
    free(s.at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUNTIME_TEST(text_in_lanes), RUNTIME_TEST(ranges_of_a_text), RUNTIME_TEST(words_of_a_text),
        RUNTIME_TEST(bytes_of_a_text), RUNTIME_TEST(texts_refused), RUNTIME_TEST(two_sequence_columns),
        RUNTIME_TEST(columns_that_share_a_dim), RUNTIME_TEST(words_that_are_numbers), RUNTIME_TEST(tables_refused),
        RUNTIME_TEST(padded_arrays), RUNTIME_TEST(padded_arrays_refused), RUNTIME_TEST(order_by_length),
        RUNTIME_TEST(symbols_and_text), RUNTIME_TEST(pictures_with_words), RUNTIME_TEST(mutated_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
