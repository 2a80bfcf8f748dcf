/* Data sets from files: every kind of source, views, batches, random orders, what is refused. */
#include "runtime_files.h"

#include "runtime/data.h"
#include "runtime/image.h"
#include "runtime/picture.h"

/* ---- a model with some fields ----------------------------------------------------------------------- */

static void do_nothing(const netc_args *args, uint32_t tid, uint32_t nthreads) {
    (void)args, (void)tid, (void)nthreads;
}

static const netc_function_entry TABLE[] = {{"expand.0", do_nothing}, {NULL, NULL}};

#define IMG(shape) "{\"name\":\"img\",\"dtype\":\"f32\",\"shape\":" shape "}"
#define LABEL "{\"name\":\"label\",\"dtype\":\"i32\",\"shape\":[],\"dim\":\"Digit\",\"size\":3}"
#define SOURCE(kind, files) "{\"op\":\"source\",\"kind\":\"" kind "\",\"files\":[" files "],\"args\":{},\"line\":3}"
#define VOCAB ",\"vocab\":{\"symbols\":[\"cat\",\"dog\",\"elk\"],\"by\":\"word\",\"col\":1,\"min\":1,\"eos\":false}"

typedef struct {
    netc_model *m;
    netc_data   d;
    int         code;
} loaded;

static loaded load_with(const char *fields, const char *splits, const char *vocab) {
    char *text = netc_format(
        "{\"netc\":\"0\",\"name\":\"n\",\"model\":\"N\",\"hash\":\"0\",\"target\":\"t\",\"batch\":4,\"weights_size\":0,"
        "\"state_size\":0,\"opt_size\":0,\"dims\":[{\"name\":\"Digit\",\"size\":3%s}],"
        "\"functions\":[{\"name\":\"expand.0\",\"arena\":0}],"
        "\"data\":{\"name\":\"D\",\"fields\":[%s],\"splits\":{%s}}}", vocab, fields, splits);
    loaded l = {.m = netc_model_new(text, strlen(text), TABLE)};
    free(text);
    assert_non_null(l.m);
    l.code = netc_data_load(l.m, test_folder, NULL, &l.d);
    return l;
}

static loaded load(const char *fields, const char *splits) { return load_with(fields, splits, ""); }

static void done(loaded *l) {
    netc_data_free(&l->d);
    netc_model_free(l->m);
}

static void assert_fails(const char *fields, const char *source, int code, const char *why) {
    char *splits = netc_format("\"train\":%s", source);
    loaded l = load(fields, splits);
    free(splits);
    if (l.code != code) fail_msg("exit code %d, not %d", l.code, code);
    assert_said(why);
    done(&l);
}

/* ---- IDX ---------------------------------------------------------------------------------------------- */

/* Six pictures of 2 x 2 and their labels; picture i has the pixels 4 i .. 4 i + 3. */
static void put_idx(void) {
    char img[16 + 24] = "\0\0\x08\x03\0\0\0\x06\0\0\0\x02\0\0\0\x02", label[8 + 6] = "\0\0\x08\x01\0\0\0\x06";
    for (int i = 0; i < 24; i++) img[16 + i] = (char)i;
    for (int i = 0; i < 6; i++) label[8 + i] = (char)(i % 3);
    put_bytes("img", img, sizeof img);
    put_bytes("lab", label, sizeof label);
}

#define IDX SOURCE("idx", "\"img\",\"lab\"")

static void test_idx_batches(void **state) {
    (void)state;
    put_idx();
    loaded l = load(IMG("[1,2,2]") "," LABEL, "\"train\":{\"op\":\"slice\",\"of\":" IDX ",\"lo\":0,\"hi\":4},"
                                              "\"valid\":{\"op\":\"slice\",\"of\":" IDX ",\"lo\":4,\"hi\":6}");
    assert_int_equal(l.code, 0);
    netc_split *train = netc_data_split(&l.d, "train"), *valid = netc_data_split(&l.d, "valid");
    assert_null(netc_data_split(&l.d, "test"));
    assert_ptr_equal(train->source, valid->source);          /* loaded once */
    assert_int_equal(train->source->column[0].dtype, NETC_U8);
    assert_int_equal(train->count, 4);
    float img[12] = {[8] = -1};
    int32_t label[3] = {0, 0, -1};
    netc_batch_gather(valid, (int64_t[]){1, 0}, 2, 0, img);
    netc_batch_gather(valid, (int64_t[]){1, 0}, 2, 1, label);
    for (int k = 0; k < 4; k++) assert_true(img[k] == (float)(20 + k) / 255 && img[4 + k] == (float)(16 + k) / 255);
    assert_true(img[8] == -1 && label[2] == -1);             /* rows beyond n are not touched */
    assert_int_equal(label[0], 2);
    assert_int_equal(label[1], 1);
    done(&l);
    l = load(IMG("[4]") "," LABEL, "\"train\":" IDX);       /* flat rows of the same size */
    assert_int_equal(l.code, 0);
    done(&l);
}

static void test_idx_refusals(void **state) {
    (void)state;
    put_idx();
    assert_fails(IMG("[1,3,3]") "," LABEL, IDX, NETC_EXIT_DATA, "rows of shape [2, 2], but img is [1, 3, 3]");
    assert_fails(IMG("[1,2,2]"), IDX, NETC_EXIT_DATA, "2 files for the 1 fields");
    assert_fails(IMG("[1,2,2]") "," LABEL, SOURCE("idx", "\"img\",\"none\""), NETC_EXIT_IO, "none");
    assert_fails(IMG("[1,2,2]") "," LABEL, SOURCE("idx", "\"../img\",\"lab\""), NETC_EXIT_IO, "--data");
#define SLICE(lo, hi) "{\"op\":\"slice\",\"of\":" IDX ",\"lo\":" #lo ",\"hi\":" #hi "}"
#define STREAM "{\"op\":\"stream\",\"of\":" IDX "}"
    assert_fails(IMG("[1,2,2]") "," LABEL, SLICE(0, 7), NETC_EXIT_DATA, "there are 6");
    assert_fails(IMG("[1,2,2]") "," LABEL, SLICE(2, 2), NETC_EXIT_DATA, "empty");
    assert_fails(IMG("[1,2,2]") "," LABEL, STREAM, NETC_EXIT_INTERNAL, "stream of unknown fields");
    put_bytes("lab", "\0\0\x08\x01\0\0\0\x05\0\0\0\0\0", 13);
    assert_fails(IMG("[1,2,2]") "," LABEL, IDX, NETC_EXIT_DATA, "has 5 rows");
    put_bytes("lab", "\0\0\x08\x01\0\0\0\x06\0\0\0\0\3\0", 14);
    assert_fails(IMG("[1,2,2]") "," LABEL, IDX, NETC_EXIT_DATA, "row 4 (the first is 0): label is 3, but Digit has 3");
    put_bytes("lab", "\0\0\x08\x01\0\0\0\0", 8);
    put_bytes("img", "\0\0\x08\x03\0\0\0\0\0\0\0\x02\0\0\0\x02", 16);
    assert_fails(IMG("[1,2,2]") "," LABEL, IDX, NETC_EXIT_DATA, "empty");
}

static void test_views(void **state) {
    (void)state;
    put_idx();
#define SHUFFLED "{\"op\":\"shuffle\",\"seed\":1,\"of\":" IDX "}"
#define PART(k) "{\"op\":\"split\",\"parts\":[0.5,0.17,0.33],\"part\":" #k ",\"of\":" SHUFFLED "}"
#define HALF "{\"op\":\"slice\",\"lo\":0.5,\"hi\":1.0,\"fraction\":true,\"of\":" IDX "}"
    loaded l = load(IMG("[1,2,2]") "," LABEL, "\"train\":" PART(0) ",\"valid\":" PART(1) ",\"test\":" PART(2)
                                              ",\"half\":" HALF);
    assert_int_equal(l.code, 0);
    int seen[6] = {0}, at_home = 0;
    assert_int_equal(l.d.split[0].count, 3);
    assert_int_equal(l.d.split[1].count, 1);
    assert_int_equal(l.d.split[2].count, 2);
    for (int i = 0; i < 3; i++) {
        for (int64_t k = 0; k < l.d.split[i].count; k++) seen[l.d.split[i].map[k]]++;
    }
    for (int i = 0; i < 6; i++) assert_int_equal(seen[i], 1);
    for (int k = 0; k < 3; k++) at_home += l.d.split[0].map[k] == k;
    assert_true(at_home < 3);
    assert_int_equal(l.d.split[3].first, 3);
    assert_int_equal(l.d.split[3].count, 3);
    uint64_t print = netc_data_fingerprint(&l.d);
    ((uint8_t *)l.d.sources->column[0].data)[0]++;
    assert_true(print != netc_data_fingerprint(&l.d));
    done(&l);
}

static void test_expand(void **state) {
    (void)state;
    put_idx();
#define VARIANTS "\"variants\":[[0,0],[1,0],[-1,5]]"
#define EXPAND(of) "{\"op\":\"expand\",\"function\":\"expand.0\",\"field\":\"img\"," VARIANTS ",\"of\":" of "}"
    loaded l = load(IMG("[1,2,2]") "," LABEL, "\"train\":" EXPAND("{\"op\":\"slice\",\"lo\":2,\"hi\":6,\"of\":" IDX "}")
                                              ",\"mixed\":" EXPAND(SHUFFLED));
    assert_int_equal(l.code, 0);
    const netc_split *s = &l.d.split[0];
    assert_int_equal(s->count, 12);
    assert_int_equal(s->field, 0);
    assert_string_equal(s->function, "expand.0");
    int32_t label[3], arg[3];
    int64_t position[] = {0, 5, 11};                         /* rows 2, 3, 5; variants 0, 2, 2 */
    netc_batch_gather(s, position, 3, 1, label);
    assert_true(label[0] == 2 && label[1] == 0 && label[2] == 2);
    netc_batch_variant(s, position, 3, 1, arg);
    assert_true(arg[0] == 0 && arg[1] == 5 && arg[2] == 5);
    netc_batch_variant(s, position, 3, 0, arg);
    assert_true(arg[0] == 0 && arg[1] == -1 && arg[2] == -1);
    for (int64_t k = 0; k < 18; k++) assert_int_equal(l.d.split[1].map[k] % 3, k % 3);
    done(&l);
    assert_fails(IMG("[1,2,2]") "," LABEL, EXPAND(EXPAND(IDX)), NETC_EXIT_MODEL, "already");
}

/* ---- arrays ------------------------------------------------------------------------------------------- */

static void put_npy(const char *name, netc_dtype d, int rank, const int64_t *shape, void *data) {
    netc_tensor t = {.dtype = d, .rank = rank, .data = data};
    uint64_t bytes;
    for (int i = 0; i < rank; i++) t.shape[i] = shape[i];
    assert_true(netc_tensor_size(&t, &bytes));
    t.bytes = (size_t)bytes;
    assert_int_equal(netc_npy_write(at(name), &t), 0);
}

#define X2 "{\"name\":\"x\",\"dtype\":\"f32\",\"shape\":[2]}"
#define NPY SOURCE("npy", "\"x.npy\",\"y.npy\"")

static void test_npy_source(void **state) {
    (void)state;
    put_npy("x.npy", NETC_U8, 2, (int64_t[]){3, 2}, (uint8_t[]){1, 2, 3, 4, 5, 255});
    put_npy("y.npy", NETC_I64, 1, (int64_t[]){3}, (int64_t[]){0, 1, 2});
    loaded l = load(X2 "," LABEL, "\"train\":" NPY);
    assert_int_equal(l.code, 0);
    float x[2];
    netc_batch_gather(&l.d.split[0], (int64_t[]){2}, 1, 0, x);
    assert_true(x[0] == 5 && x[1] == 255);                   /* the value, not / 255 */
    done(&l);
    put_npy("x.npy", NETC_F64, 2, (int64_t[]){3, 2}, (double[]){1, 2, 3, 0.1, 5, 6});
    l = load(X2 "," LABEL, "\"train\":" NPY);
    assert_int_equal(l.code, 0);
    netc_batch_gather(&l.d.split[0], (int64_t[]){1}, 1, 0, x);
    assert_true(x[1] == 0.1f);
    done(&l);
    put_npy("x.npy", NETC_F32, 2, (int64_t[]){3, 2}, (float[]){1, 2, 3, 0.0f / 0.0f, 5, 6});
    assert_fails(X2 "," LABEL, NPY, NETC_EXIT_DATA, "row 1");
    put_npy("x.npy", NETC_F32, 2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6});
    assert_fails(X2 "," LABEL, NPY, NETC_EXIT_DATA, "rows of shape [3], but x is [2]");
    put_npy("x.npy", NETC_F32, 2, (int64_t[]){3, 2}, (float[]){1, 2, 3, 4, 5, 6});
    put_npy("y.npy", NETC_F32, 1, (int64_t[]){3}, (float[]){0, 1, 2});
    assert_fails(X2 "," LABEL, NPY, NETC_EXIT_DATA, "needs integers");
    put_npy("y.npy", NETC_I64, 1, (int64_t[]){3}, (int64_t[]){0, 1, INT64_MAX});
    assert_fails(X2 "," LABEL, NPY, NETC_EXIT_DATA, "does not fit");
}

static void test_safetensors_source(void **state) {
    (void)state;
    netc_tensors s = {0};
    float x[6] = {1, 2, 3, 4, 5, 6};
    int32_t label[3] = {2, 1, 0};
    netc_tensors_add(&s, "label", NETC_I32, 1, (int64_t[]){3}, label);
    netc_tensors_add(&s, "unused", NETC_F32, 1, (int64_t[]){1}, x);
    netc_tensors_add(&s, "x", NETC_F32, 2, (int64_t[]){3, 2}, x);
    assert_int_equal(netc_safetensors_write(at("d.safetensors"), &s), 0);
    netc_tensors_free(&s);
    loaded l = load(X2 "," LABEL, "\"train\":" SOURCE("safetensors", "\"d.safetensors\""));
    assert_int_equal(l.code, 0);
    int32_t y[1];
    netc_batch_gather(&l.d.split[0], (int64_t[]){0}, 1, 1, y);
    assert_int_equal(y[0], 2);
    done(&l);
    assert_fails("{\"name\":\"z\",\"dtype\":\"f32\",\"shape\":[2]}", SOURCE("safetensors", "\"d.safetensors\""),
                 NETC_EXIT_DATA, "no array named z");
}

/* ---- tables ------------------------------------------------------------------------------------------- */

#define CSV SOURCE("csv", "\"d.csv\"")

static void assert_csv_fails(const char *text, const char *why) {
    put_text("d.csv", text);
    assert_fails(X2 "," LABEL, CSV, NETC_EXIT_DATA, why);
}

static void test_csv(void **state) {
    (void)state;
    float x[4];
    int32_t y[2];
    put_text("d.csv", "\xef\xbb\xbfwidth,height,kind\r\n1.5, -2e3 ,0\r\n\r\n\".25\",3,\"2\"");
    loaded l = load(X2 "," LABEL, "\"train\":" CSV);
    assert_int_equal(l.code, 0);
    assert_int_equal(l.d.split[0].count, 2);
    netc_batch_gather(&l.d.split[0], (int64_t[]){0, 1}, 2, 0, x);
    netc_batch_gather(&l.d.split[0], (int64_t[]){0, 1}, 2, 1, y);
    assert_true(x[0] == 1.5f && x[1] == -2000 && x[2] == 0.25f && x[3] == 3);
    assert_true(y[0] == 0 && y[1] == 2);
    done(&l);
}

static void test_csv_refusals(void **state) {
    (void)state;
    assert_csv_fails("1,2,0\n1,2,3\n", "d.csv:2:5: label is 3, but Digit has 3 values, 0 to 2");
    assert_csv_fails("1,2,0\n1,abc,0\n", "d.csv:2:3: 'abc' is not a number");
    assert_csv_fails("1,2,0\n1,0x10,0\n", "d.csv:2:3: '0x10' is not a number");
    assert_csv_fails("1,2,0\n1,nan,0\n", "d.csv:2:3: 'nan' is not a finite number");
    assert_csv_fails("1,2,0\n1,1e400,0\n", "d.csv:2:3");
    assert_csv_fails("1,2,0\n1,1e39,0\n", "too large for f32");
    assert_csv_fails("1,2,0\n1,,0\n", "d.csv:2:3: an empty cell");
    assert_csv_fails("1,2,0\n1,2,0.5\n", "not an integer");
    assert_csv_fails("1,2,0\n1,2\n", "d.csv:2: has 2 columns, the lines before have 3");
    assert_csv_fails("1,2\n", "the fields of data D take 3");
    assert_csv_fails("1,2,\"0\n", "d.csv:1:5: a quote is not closed");
    assert_csv_fails("1,\"2\"x,0\n", "text follows a closing quote");
    assert_csv_fails("", "empty");
    assert_csv_fails("\n\n", "empty");
    put_bytes("d.csv", "1,2\0,0\n", 7);
    assert_fails(X2 "," LABEL, CSV, NETC_EXIT_DATA, "NUL");
}

static void test_symbols(void **state) {
    (void)state;
    int32_t y[3];
    put_text("d.csv", "1,2,dog\n3,4,\"cat\"\n5,6,elk\n");
    loaded l = load_with(X2 "," LABEL, "\"train\":" CSV, VOCAB);
    assert_int_equal(l.code, 0);
    netc_batch_gather(&l.d.split[0], (int64_t[]){0, 1, 2}, 3, 1, y);
    assert_true(y[0] == 1 && y[1] == 0 && y[2] == 2);
    done(&l);
    put_text("d.csv", "1,2,cow\n");
    l = load_with(X2 "," LABEL, "\"train\":" CSV, VOCAB);
    assert_int_equal(l.code, NETC_EXIT_DATA);
    assert_said("d.csv:1:5: 'cow' is no symbol of dim Digit");
    done(&l);
    /* Without a table in the description the symbols are read from the file. */
    put_text("d.csv", "x,y,kind\n1,2,dog\n3,4,cat\n5,6,cat\n");
    l = load_with(X2 "," LABEL, "\"train\":" CSV, ",\"vocab\":{\"file\":\"d.csv\",\"by\":\"line\",\"col\":2}");
    assert_int_equal(l.code, NETC_EXIT_DATA);
    assert_said("3 symbols, its file has 2 now");
    done(&l);
}

static void test_vocabularies(void **state) {
    (void)state;
    netc_vocab v;
    put_text("t.txt", "b\xc3\xa9 a\na a b\n");
    assert_int_equal(netc_vocab_read(&v, at("t.txt"), "char", -1, 1, true), 0);
    assert_int_equal(v.count, 7);                            /* \n, blank, a, b, e acute, bos, eos */
    assert_string_equal(v.symbol[2], "a");
    assert_string_equal(v.symbol[4], "\xc3\xa9");
    assert_int_equal(netc_vocab_find(&v, "b", 1), 3);
    assert_int_equal(netc_vocab_find(&v, "z", 1), -1);
    assert_int_equal(netc_vocab_find(&v, "<bos>", 5), -1);
    assert_int_equal(v.bos, 5);
    assert_int_equal(v.eos, 6);
    netc_vocab_free(&v);
    assert_int_equal(netc_vocab_read(&v, at("t.txt"), "word", -1, 2, false), 0);
    assert_int_equal(v.count, 2);                            /* a, <unk> */
    assert_int_equal(netc_vocab_find(&v, "b", 1), v.unk);
    netc_vocab_free(&v);
    put_text("l.txt", "walk\nrun\r\nwalk\n\n");
    assert_int_equal(netc_vocab_read(&v, at("l.txt"), "line", -1, 1, false), 0);
    assert_int_equal(v.count, 2);
    assert_string_equal(v.symbol[0], "walk");                /* order of the file */
    netc_vocab_free(&v);
    put_text("d.tsv", "ab\tx\nbc\ty\n");
    assert_int_equal(netc_vocab_read(&v, at("d.tsv"), "char", 0, 1, true), 0);
    assert_int_equal(v.count, 5);
    netc_vocab_free(&v);
    assert_int_equal(netc_vocab_read(&v, at("none.tsv"), "char", 0, 1, true), NETC_EXIT_IO);
    assert_said("none.tsv");
    put_text("bad.txt", "ab\nc\na\xff");
    const char *const units[] = {"char", "word", "line"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(netc_vocab_read(&v, at("bad.txt"), units[i], -1, 1, false), NETC_EXIT_DATA);
        assert_said("bad.txt:3: the text is not UTF-8");
    }
    assert_int_equal(netc_vocab_read(&v, at("d.tsv"), "char", 2, 1, false), NETC_EXIT_DATA);
    const char *const twice[] = {"a", "b", "a"};
    assert_int_equal(netc_vocab_make(&v, NETC_BY_WORD, twice, 3, false, false), NETC_EXIT_DATA);
}

/* Many symbols, so that the hash table grows. */
static void test_large_vocabulary(void **state) {
    (void)state;
    netc_buf b = {0};
    for (int i = 0; i < 5000; i++) netc_buf_printf(&b, "w%04d ", (i * 7) % 5000);
    put_text("t.txt", b.data);
    netc_buf_free(&b);
    netc_vocab v;
    assert_int_equal(netc_vocab_read(&v, at("t.txt"), "word", -1, 1, false), 0);
    assert_int_equal(v.count, 5000);
    assert_int_equal(netc_vocab_find(&v, "w1234", 5), 1234);
    netc_vocab_free(&v);
}

/* ---- pictures ------------------------------------------------------------------------------------------ */

static void test_image_folder(void **state) {
    (void)state;
    float img[8];
    int32_t label[2];
    mkdir(at("p"), 0777), mkdir(at("p/b"), 0777), mkdir(at("p/a"), 0777), mkdir(at("p/c"), 0777);
    put_bytes("p/b/1.pgm", "P5 2 2 255\n\x0a\x0b\x0c\x0d", 15);
    put_bytes("p/a/2.ppm", "P6 2 2 255\n\1\1\1\2\2\2\3\3\3\4\4\4", 23);
    put_bytes("p/a/1.pgm", "P5 2 2 255\n\x05\x06\x07\x08", 15);
    put_bytes("p/c/1.pgm", "P5 2 2 255\n\x05\x06\x07\x08", 15);
    put_text("p/a/notes.txt", "not a picture");
    loaded l = load(IMG("[1,2,2]") "," LABEL, "\"train\":" SOURCE("images", "\"p\""));
    assert_int_equal(l.code, 0);
    assert_int_equal(l.d.split[0].count, 4);
    netc_batch_gather(&l.d.split[0], (int64_t[]){1, 2}, 2, 0, img);
    netc_batch_gather(&l.d.split[0], (int64_t[]){1, 2}, 2, 1, label);
    assert_true(img[3] == 4.0f / 255 && img[4] == 10.0f / 255);
    assert_true(label[0] == 0 && label[1] == 1);
    done(&l);
    assert_fails(IMG("[1,3,3]") "," LABEL, SOURCE("images", "\"p\""), NETC_EXIT_DATA,
                 "2 x 2 pixels (height x width), the field is 3 x 3");
    assert_fails(IMG("[1,2,2]"), SOURCE("images", "\"p\""), NETC_EXIT_DATA, "empty");
    assert_fails(IMG("[1,2,2]") "," LABEL, SOURCE("images", "\"q\""), NETC_EXIT_IO, "q");
    mkdir(at("p/d"), 0777);
    assert_fails(IMG("[1,2,2]") "," LABEL, SOURCE("images", "\"p\""), NETC_EXIT_DATA, "4 subfolders");
    put_text("t.tsv", "p/a/1.pgm\t2\np/b/1.pgm\t0\n");
    l = load(IMG("[1,2,2]") "," LABEL, "\"train\":" SOURCE("tsv", "\"t.tsv\""));
    assert_int_equal(l.code, 0);
    netc_batch_gather(&l.d.split[0], (int64_t[]){1}, 1, 0, img);
    assert_true(img[0] == 10.0f / 255);
    done(&l);
    put_text("t.tsv", "/etc/passwd\t2\n");
    assert_fails(IMG("[1,2,2]") "," LABEL, SOURCE("tsv", "\"t.tsv\""), NETC_EXIT_IO, "relative");
}

static void test_filters(void **state) {
    (void)state;
    float w[2 * 9];
    for (int i = 0; i < 18; i++) w[i] = (float)i;
    assert_int_equal(netc_picture_filters(at("f.png"), w, 2, 1, 3, 3, NETC_SCALE_FILTER), 0);
    netc_tensor t;
    assert_int_equal(netc_tensor_read(at("f.png"), &t), 0);
    assert_int_equal(t.shape[1], 1);
    int64_t wide = t.shape[3];
    const uint8_t *p = t.data;
    /* Each filter is 3 blocks of 16 pixels, a line of 1 around it and 3 white pixels outside. */
    assert_int_equal(wide, 3 + 2 * (48 + 2 + 3));
    assert_int_equal(p[0], 255);
    assert_int_equal(p[3 * wide + 3], 128);
    for (int filter = 0; filter < 2; filter++) {
        int64_t x = 4 + 53 * filter;
        assert_int_equal(p[4 * wide + x], 255);              /* the least weight: white */
        assert_int_equal(p[(4 + 47) * wide + x + 47], 0);    /* the largest: black */
        assert_in_range(p[(4 + 24) * wide + x + 24], 126, 129);
    }
    netc_tensor_free(&t);
    assert_int_equal(netc_picture_filters(at("none/f.png"), w, 2, 1, 3, 3, NETC_SCALE_FILTER), NETC_EXIT_IO);
    char *png;
    size_t size;
    assert_int_equal(netc_read_file(at("f.png"), 1 << 20, &png, &size), 0);
    for (size_t i = 0; i < size; i++) {                      /* every torn and every damaged picture */
        put_bytes("torn.png", png, i);
        assert_int_equal(netc_image_read(at("torn.png"), NULL, &t), NETC_EXIT_DATA);
        png[i] ^= 0x21;
        put_bytes("bad.png", png, size);
        png[i] ^= 0x21;
        if (!netc_image_read(at("bad.png"), NULL, &t)) netc_tensor_free(&t);
    }
    free(png);
}

/* ---- random orders ------------------------------------------------------------------------------------- */

static void test_permutation(void **state) {
    (void)state;
    enum { N = 1000 };
    int64_t a[N], b[N], c[N];
    int seen[N] = {0}, fixed = 0, same = 0;
    netc_permutation(1, 0, N, a);
    netc_permutation(1, 0, N, b);
    netc_permutation(1, 1, N, c);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < N; i++) {
        seen[a[i]]++;
        fixed += a[i] == i;
        same += a[i] == c[i];
    }
    for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    assert_true(fixed < 10 && same < 10);
    /* Of 3 things, each of the 6 orders as often as the others: 6000 draws, 1000 each, sigma 29. */
    int order[27] = {0};
    for (uint64_t seed = 0; seed < 6000; seed++) {
        netc_permutation(seed, 3, 3, a);
        order[a[0] * 9 + a[1] * 3 + a[2]]++;
    }
    int orders = 0;
    for (int i = 0; i < 27; i++) {
        orders += order[i] > 0;
        if (order[i]) assert_in_range(order[i], 850, 1150);
    }
    assert_int_equal(orders, 6);
    netc_permutation(1, 0, 1, a);
    assert_int_equal(a[0], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUNTIME_TEST(test_idx_batches),  RUNTIME_TEST(test_idx_refusals), RUNTIME_TEST(test_views),
        RUNTIME_TEST(test_expand),       RUNTIME_TEST(test_npy_source),   RUNTIME_TEST(test_safetensors_source),
        RUNTIME_TEST(test_csv),          RUNTIME_TEST(test_csv_refusals), RUNTIME_TEST(test_symbols),
        RUNTIME_TEST(test_vocabularies), RUNTIME_TEST(test_large_vocabulary), RUNTIME_TEST(test_image_folder),
        RUNTIME_TEST(test_filters),      RUNTIME_TEST(test_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
