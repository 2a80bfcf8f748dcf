/* The description, the blocks, weights files. */
#include "runtime_files.h"

#include <math.h>

#include "runtime/model.h"

static void do_nothing(const netc_args *args, uint32_t tid, uint32_t nthreads) {
    (void)args, (void)tid, (void)nthreads;
}

static const netc_function_entry TABLE[] = {{"train", do_nothing}, {"eval", do_nothing}, {NULL, NULL}};

static const char HEAD[] =
    "{\"netc\":\"0.1.0\",\"name\":\"mnist\",\"model\":\"Net\",\"hash\":\"0123456789abcdef\",\"target\":\"x86-64\","
    "\"cpu\":[],\"batch\":4,\"weights_size\":128,\"state_size\":256,\"opt_size\":64,";
static const char LISTS[] =
    "\"dims\":[{\"name\":\"Digit\",\"size\":10}],\"hypers\":[{\"name\":\"eta\",\"value\":0.03,\"grid\":[0.01,0.03]}],"
    "\"params\":[{\"key\":\"Net.fc.W\",\"shape\":[2,3],\"offset\":0,\"init\":\"glorot\"},"
    "{\"key\":\"Net.fc.b\",\"shape\":[2],\"offset\":64,\"init\":\"zeros\"}],"
    "\"states\":[{\"key\":\"Net.bn.var\",\"shape\":[2],\"offset\":0,\"lane\":false,\"init\":1},"
    "{\"key\":\"Net.h0\",\"shape\":[3],\"offset\":64,\"lane\":true,\"init\":0}],"
    "\"opt\":[{\"key\":\"opt.v.Net.fc.b\",\"shape\":[2],\"offset\":0,\"init\":0.5}],"
    "\"functions\":[{\"name\":\"train\",\"arena\":1024,"
    "\"in\":[{\"name\":\"img\",\"dtype\":\"f32\",\"shape\":[1,28,28]},"
    "{\"name\":\"label\",\"dtype\":\"i32\",\"shape\":[],\"dim\":\"Digit\",\"size\":10}],"
    "\"out\":[{\"name\":\"loss\",\"dtype\":\"f32\",\"shape\":[],\"rows\":false}]}],"
    "\"train\":{\"seed\":7,\"epochs\":3,\"keep\":{\"key\":\"accuracy\",\"sign\":1},\"sweep\":[\"eta\"]}}";

static netc_model *model_from(const char *head, const char *lists) {
    char *text = netc_format("%s%s", head, lists);
    netc_model *m = netc_model_new(text, strlen(text), TABLE);
    free(text);
    return m;
}

static netc_model *model(void) {
    netc_model *m = model_from(HEAD, LISTS);
    assert_non_null(m);
    return m;
}

static void test_description(void **state) {
    (void)state;
    netc_model *m = model();
    assert_string_equal(m->model, "Net");
    assert_int_equal(m->batch, 4);
    assert_int_equal(netc_model_param_count(m), 8);
    assert_string_equal(m->param[1].key, "Net.fc.b");
    assert_int_equal(m->param[1].offset, 64);
    assert_int_equal(netc_model_func(m, "train")->in[0].count, 784);
    assert_int_equal(netc_model_func(m, "train")->in[0].row_bytes, 3136);
    assert_int_equal(netc_model_func(m, "train")->in[1].dtype, NETC_I32);
    assert_false(netc_model_func(m, "train")->out[0].rows);
    assert_null(netc_model_func(m, "none"));
    assert_int_equal(m->state[1].count, 12);                 /* a lane state: batch * 3 */
    assert_true(netc_model_hyper(m, "eta")->value == 0.03f);
    assert_int_equal(m->train.seed, 7);
    assert_int_equal(m->train.ensemble, 1);
    assert_string_equal(m->train.keep, "accuracy");
    assert_int_equal(netc_model_check_cpu(m), 0);
    netc_model_free(m);
}

static void test_broken_descriptions(void **state) {
    (void)state;
    static const char *const BAD[] = {
        "\"params\":[{\"key\":\"a\",\"shape\":[40],\"offset\":0}]}",         /* past the block */
        "\"params\":[{\"key\":\"a\",\"shape\":[1],\"offset\":126}]}",        /* not on a float */
        "\"params\":[{\"key\":\"a\",\"shape\":[1099511627776,1099511627776],\"offset\":0}]}",
        "\"params\":[{\"key\":\"a\",\"shape\":[0],\"offset\":0}]}",
        "\"params\":[{\"shape\":[1],\"offset\":0}]}",
        "\"functions\":[{\"name\":\"unknown\",\"arena\":0}]}",
        "\"functions\":[{\"name\":\"train\",\"arena\":0,\"in\":[{\"name\":\"x\",\"dtype\":\"f16\",\"shape\":[]}]}]}",
        "\"functions\":[{\"name\":\"train\",\"arena\":0,"
        "\"in\":[{\"name\":\"x\",\"dtype\":\"i32\",\"shape\":[],\"dim\":\"D\"}]}]}",
        "\"x\":}",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_null(model_from(HEAD, BAD[i]));
        assert_said("the description of the model is broken");
    }
    assert_null(netc_model_new("{}", 2, TABLE));
}

static void test_missing_feature(void **state) {
    (void)state;
    netc_model *m = model_from("{\"netc\":\"0\",\"name\":\"n\",\"model\":\"N\",\"hash\":\"0\",\"target\":\"moon\",",
                               "\"cpu\":[\"moonlight\"],\"batch\":1,\"weights_size\":0,"
                               "\"state_size\":0,\"opt_size\":0}");
    assert_non_null(m);
    assert_int_equal(netc_model_check_cpu(m), NETC_EXIT_LIMIT);
    assert_said("moonlight");
    netc_model_free(m);
}

static void test_weights_round_trip(void **state) {
    (void)state;
    netc_model *m = model();
    netc_blocks a, b;
    assert_int_equal(netc_blocks_new(m, &a), 0);
    assert_int_equal(netc_blocks_new(m, &b), 0);
    assert_true(a.state[0] == 1 && a.state[16] == 0 && a.opt[1] == 0.5f && a.weights[0] == 0);
    for (int i = 0; i < 6; i++) a.weights[i] = (float)i;
    a.weights[16] = 77;
    a.state[1] = 5;
    a.state[16] = 3;
    a.opt[0] = 9;
    assert_int_equal(netc_weights_save(m, at("w"), a.weights, a.state), 0);
    assert_int_equal(netc_weights_load(m, at("w"), b.weights, b.state), 0);
    assert_memory_equal(a.weights, b.weights, 128);
    assert_true(b.state[1] == 5 && b.state[16] == 0);        /* lanes are not weights */
    /* A checkpoint has all of it. */
    netc_tensors s = {0}, r;
    netc_weights_collect(m, a.weights, a.state, "checkpoint", &s);
    netc_opt_collect(m, a.opt, a.state, &s);
    assert_int_equal(netc_checkpoint_write(at("c"), &s, 1), 0);
    netc_tensors_free(&s);
    assert_int_equal(netc_checkpoint_read(at("c"), NULL, NULL, &r), 0);
    assert_int_equal(netc_weights_assign(m, "c", &r, b.weights, b.state), 0);
    assert_int_equal(netc_opt_assign(m, "c", &r, b.opt, b.state), 0);
    assert_true(b.opt[0] == 9 && b.state[16] == 3);
    netc_tensor *lane = netc_tensors_find(&r, "lane.Net.h0");
    assert_int_equal(lane->rank, 2);
    assert_int_equal(lane->shape[0], 4);
    netc_tensors_free(&r);
    assert_int_equal(netc_weights_load(m, at("c"), b.weights, b.state), 0);
    netc_blocks_free(m, &a);
    netc_blocks_free(m, &b);
    netc_model_free(m);
}

static void save(const char *name, int count, const char *const *key, const int64_t (*shape)[2], netc_dtype d) {
    static const double numbers[16];
    netc_tensors s = {0};
    for (int i = 0; i < count; i++) netc_tensors_add(&s, key[i], d, shape[i][1] ? 2 : 1, shape[i], numbers);
    assert_int_equal(netc_safetensors_write(at(name), &s), 0);
    netc_tensors_free(&s);
}

static void test_other_models_are_refused(void **state) {
    (void)state;
    netc_model *m = model();
    netc_blocks b;
    assert_int_equal(netc_blocks_new(m, &b), 0);
    b.weights[0] = 5;
    const char *const keys[] = {"Net.fc.W", "Net.fc.b", "Net.bn.var", "Net.fc2.b"};
    const int64_t good[][2] = {{2, 3}, {2, 0}, {2, 0}, {2, 0}}, turned[][2] = {{3, 2}, {2, 0}, {2, 0}};
    save("short", 1, keys, good, NETC_F32);
    assert_int_equal(netc_weights_load(m, at("short"), b.weights, b.state), NETC_EXIT_DATA);
    assert_said("no tensor Net.fc.b [2]");
    save("long", 4, keys, good, NETC_F32);
    assert_int_equal(netc_weights_load(m, at("long"), b.weights, b.state), NETC_EXIT_DATA);
    assert_said("Net.fc2.b");
    save("turned", 3, keys, turned, NETC_F32);
    assert_int_equal(netc_weights_load(m, at("turned"), b.weights, b.state), NETC_EXIT_DATA);
    assert_said("Net.fc.W has the shape [3, 2], the model needs [2, 3]");
    save("ints", 3, keys, good, NETC_I32);
    assert_int_equal(netc_weights_load(m, at("ints"), b.weights, b.state), NETC_EXIT_DATA);
    assert_true(b.weights[0] == 5);                          /* a refusal changes nothing */
    save("wide", 3, keys, good, NETC_F64);
    assert_int_equal(netc_weights_load(m, at("wide"), b.weights, b.state), 0);
    assert_true(b.weights[0] == 0);
    save("stateless", 2, keys, good, NETC_F32);              /* a state may be absent: its first value stays */
    assert_int_equal(netc_weights_load(m, at("stateless"), b.weights, b.state), 0);
    netc_blocks_free(m, &b);
    netc_model_free(m);
}

static void test_weights_not_finite_warn(void **state) {
    (void)state;
    netc_model *m = model();
    netc_blocks b;
    assert_int_equal(netc_blocks_new(m, &b), 0);
    b.weights[3] = NAN;
    assert_int_equal(netc_weights_save(m, at("w"), b.weights, b.state), 0);
    FILE *f = fopen(at("log"), "w+"), *before = netc_messages_to(f);
    assert_int_equal(netc_weights_load(m, at("w"), b.weights, b.state), 0);
    netc_messages_to(before);
    char text[256] = "";
    rewind(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, "warning: "));
    assert_non_null(strstr(text, "Net.fc.W"));
    netc_blocks_free(m, &b);
    netc_model_free(m);
}

static double dot(const float *x, const float *y, int n, int stride) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i * stride] * y[i * stride];
    return sum;
}

static void test_orthogonalize(void **state) {
    (void)state;
    float w[6 * 9];
    uint32_t r = 1;
    for (int i = 0; i < 54; i++) w[i] = (float)((r = r * 1664525 + 1013904223) >> 8) * 0x1p-23f - 1;
    float t[54];
    memcpy(t, w, sizeof w);
    netc_orthogonalize(w, 6, 9);
    netc_orthogonalize(t, 9, 6);
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 6; k++) {
            assert_true(fabs(dot(w + 9 * i, w + 9 * k, 9, 1) - (i == k)) < 1e-6);
            assert_true(fabs(dot(t + i, t + k, 9, 6) - (i == k)) < 1e-6);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUNTIME_TEST(test_description),        RUNTIME_TEST(test_broken_descriptions),
        RUNTIME_TEST(test_missing_feature),    RUNTIME_TEST(test_weights_round_trip),
        RUNTIME_TEST(test_other_models_are_refused), RUNTIME_TEST(test_weights_not_finite_warn),
        RUNTIME_TEST(test_orthogonalize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
