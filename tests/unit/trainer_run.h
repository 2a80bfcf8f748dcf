/* For the tests of the trainer: data in the test's folder, commands as a shell would call them, their
 * standard output as text. */
#ifndef NETC_TESTS_TRAINER_RUN_H
#define NETC_TESTS_TRAINER_RUN_H
#include <signal.h>

#include "runtime_files.h"
#include "trainer_model.h"

#include "runtime/model.h"
#include "runtime/tensor_file.h"

static char tr_output[8192];            /* of the last command */

typedef int tr_command(netc_model *m, int argc, char **argv);

/* 200 points of three kinds around different centres; every fifth has a wrong label. */
static inline void make_data(void) {
    static float   x[200 * TM_X];
    static int32_t label[200];
    uint32_t       h = 12345;
    for (int r = 0; r < 200; r++) {
        label[r] = r % 3;
        for (int i = 0; i < TM_X; i++) {
            h = h * 1664525u + 1013904223u;
            x[r * TM_X + i] = (float)(h >> 8) / 16777216.0f + (i == r % 3 ? 0.7f : 0);
        }
        if (r % 5 == 0) label[r] = (r + 1) % 3;
    }
    int64_t      rows = 200, shape[2] = {200, TM_X};
    netc_tensors s = {0};
    netc_tensors_add(&s, "x", NETC_F32, 2, shape, x);
    netc_tensors_add(&s, "label", NETC_I32, 1, &rows, label);
    assert_int_equal(netc_safetensors_write(at("data.safetensors"), &s), 0);
    netc_tensors_free(&s);
}

/* Writes the first `rows` examples from row `first` on as x.npy and label.npy. */
static inline void make_npy(int64_t first, int64_t rows) {
    netc_tensors s;
    assert_int_equal(netc_safetensors_read(at("data.safetensors"), NULL, NULL, &s), 0);
    netc_tensor x = *netc_tensors_find(&s, "x"), y = *netc_tensors_find(&s, "label");
    x.data = (float *)x.data + first * TM_X;
    y.data = (int32_t *)y.data + first;
    x.shape[0] = y.shape[0] = rows;
    x.bytes = (size_t)rows * TM_X * 4;
    y.bytes = (size_t)rows * 4;
    assert_int_equal(netc_npy_write(at("x.npy"), &x), 0);
    assert_int_equal(netc_npy_write(at("label.npy"), &y), 0);
    netc_tensors_free(&s);
}

static inline netc_model *new_model(const char *description) {
    netc_model *m = netc_model_new(description, strlen(description), TM_FUNCTIONS);
    assert_non_null(m);
    return m;
}

/* Runs with standard output in tr_output. `args` are separated by blanks; "@" is the test's folder. */
static inline int run_command_on(netc_model *m, tr_command *command, const char *args) {
    char  text[1024] = "prog ", *argv[40];
    int   argc = 0, n = 5;
    for (const char *s = args; *s; s++) n += snprintf(text + n, sizeof text - (size_t)n, "%.*s", *s == '@' ? 64 : 1,
                                                      *s == '@' ? test_folder : s);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    argv[argc] = NULL;
    fflush(stdout);
    int saved = dup(1);
    assert_non_null(freopen(at("stdout"), "w", stdout));
    int code = command(m, argc, argv);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    FILE *f = fopen(at("stdout"), "r");
    assert_non_null(f);
    tr_output[fread(tr_output, 1, sizeof tr_output - 1, f)] = 0;
    fclose(f);
    return code;
}

/* The same on a fresh model of that description. */
static inline int run_on(const char *description, tr_command *command, const char *args) {
    netc_model *m = new_model(description);
    int         code = run_command_on(m, command, args);
    netc_model_free(m);
    return code;
}

static inline int train(const char *args) {
    char all[512];
    snprintf(all, sizeof all, "-q --data @ %s", args);
    return run_on(TM_PLAIN, netc_cmd_train, all);
}

/* A whole file; free() it. */
static inline char *contents(const char *name, size_t *size) {
    char *data;
    assert_int_equal(netc_read_file(at(name), 1 << 24, &data, size), 0);
    return data;
}

static inline void assert_same_file(const char *a, const char *b) {
    size_t na, nb;
    char  *pa = contents(a, &na), *pb = contents(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(pa, pb, na);
    free(pa);
    free(pb);
}

/* Two checkpoints that stand for the same state: only the seconds may differ. */
static inline void assert_same_checkpoint(const char *a, const char *b) {
    netc_tensors x, y;
    assert_int_equal(netc_checkpoint_read(at(a), NULL, NULL, &x), 0);
    assert_int_equal(netc_checkpoint_read(at(b), NULL, NULL, &y), 0);
    assert_int_equal(x.count, y.count);
    for (int i = 0; i < x.count; i++) {
        assert_string_equal(x.t[i].name, y.t[i].name);
        assert_int_equal(x.t[i].bytes, y.t[i].bytes);
        double *p = x.t[i].data, *q = y.t[i].data;
        if (!strcmp(x.t[i].name, "netc.end")) continue;
        if (!strcmp(x.t[i].name, "netc.metrics")) p[2] = p[3] = q[2] = q[3] = 0;
        assert_memory_equal(p, q, x.t[i].bytes);
    }
    netc_tensors_free(&x);
    netc_tensors_free(&y);
}

static inline bool exists(const char *name) { return !access(at(name), F_OK); }

#endif
