/* Sequences end to end, on a model by hand: training on streams and on batches of like lengths, stopped and
 * continued, samples, and entries called with text, lines and padded arrays. */
#include "trainer_run.h"

#include "sequence_model.h"

#define STREAMED SM_DESCRIPTION(SM_ABC, SM_STREAMS, "\"seed\":1,\"epochs\":3,\"keep\":{\"key\":\"ppl\",\"sign\":-1}")
#define BUCKETED SM_DESCRIPTION(SM_ABC, SM_TABLE, "\"seed\":1,\"epochs\":3,\"bucket\":\"T\"")
#define PLAIN    SM_DESCRIPTION(SM_ABC, SM_TABLE, "\"seed\":1,\"epochs\":3")
#define SAMPLED(args)                                                                                                  \
    SM_DESCRIPTION(SM_ABC, SM_TABLE,                                                                                   \
                   "\"seed\":1,\"epochs\":2,\"every\":{\"steps\":7,\"entry\":\"grow\","                                \
                   "\"args\":[" args "]}")

static int on(const char *description, tr_command *command, const char *args) {
    netc_model *m = netc_model_new(description, strlen(description), SM_FUNCTIONS);
    assert_non_null(m);
    int code = run_command_on(m, command, args);
    netc_model_free(m);
    return code;
}

/* 400 symbols; a table of 101 rows, the shortest with one. */
static int with_files(void **state) {
    sm_signal_step = -1;
    sm_steps = sm_work = 0;
    if (make_folder(state)) return -1;
    char text[401];
    uint32_t h = 1;
    for (int i = 0; i < 400; i++) {
        h = h * 1664525u + 1013904223u;
        text[i] = (char)('a' + (h >> 24) % 3);
    }
    text[400] = 0;
    put_text("t.txt", text);
    FILE *f = fopen(at("d.tsv"), "w");
    for (int i = 0; i < 101; i++) fprintf(f, "%.*s\t%.*s\n", 1 + i * 5 % 6, text + i, 1 + i * 5 % 6, text + i + 1);
    return fclose(f);
}

#define SEQUENCE_TEST(f) cmocka_unit_test_setup_teardown(f, with_files, remove_folder)

/* ---- training --------------------------------------------------------------------------------------------- */

/* 300 symbols: 4 lanes of 75, 12 windows of 6 each; 4 lanes of 25 validate. */
static void stream_goes_on_with_the_same_bits(void **state) {
    (void)state;
    enum { STEPS = 12 };
    assert_int_equal(on(STREAMED, netc_cmd_train, "-q --data @ --out @/whole"), 0);
    assert_int_equal(sm_steps, 3 * STEPS);
    char whole[sizeof tr_output];
    double loss, ppl, steps;
    int examples;
    strcpy(whole, tr_output);
    assert_int_equal(sscanf(whole, "valid loss %lf ppl %lf steps %lf (%d examples)", &loss, &ppl, &steps, &examples),
                     4);
    assert_int_equal(examples, 16);
    assert_true(steps == 6 && fabs(ppl - exp(loss / 6)) < 1e-3);
    for (long stop = 0; stop < 3 * STEPS; stop += 5) {
        sm_signal_step = stop;
        assert_int_equal(on(STREAMED, netc_cmd_train, "-q --data @ --out @/parts --fresh"), NETC_EXIT_TERM);
        sm_signal_step = -1;
        assert_int_equal(on(STREAMED, netc_cmd_train, "-q --data @ --out @/parts --threads 2"), 0);
        assert_string_equal(tr_output, whole);
        assert_same_checkpoint("whole/ckpt-000000036.safetensors", "parts/ckpt-000000036.safetensors");
    }
    assert_int_equal(on(STREAMED, netc_cmd_eval, "--data @ --split valid --weights @/whole/weights.safetensors"), 0);
    assert_string_equal(tr_output, whole);
}

static void buckets_go_on_with_the_same_bits(void **state) {
    (void)state;
    enum { STEPS = 26 };
    assert_int_equal(on(PLAIN, netc_cmd_train, "-q --data @ --out @/plain"), 0);
    long plain = sm_work;
    sm_work = 0;
    assert_int_equal(on(BUCKETED, netc_cmd_train, "-q --data @ --out @/whole"), 0);
    assert_true(sm_work * 10 < plain * 8);                      /* less padding */
    for (long stop = 3; stop < 3 * STEPS; stop += 17) {
        sm_signal_step = stop;
        assert_int_equal(on(BUCKETED, netc_cmd_train, "-q --data @ --out @/parts --fresh"), NETC_EXIT_TERM);
        sm_signal_step = -1;
        assert_int_equal(on(BUCKETED, netc_cmd_train, "-q --data @ --out @/parts"), 0);
        assert_same_checkpoint("whole/ckpt-000000078.safetensors", "parts/ckpt-000000078.safetensors");
    }
    assert_int_equal(on(PLAIN, netc_cmd_train, "-q --data @ --out @/whole"), NETC_EXIT_DATA);
    assert_said("bucket was T, now none");
}

static void samples_while_training(void **state) {
    (void)state;
    size_t size;
    assert_int_equal(on(PLAIN, netc_cmd_train, "-q --data @ --out @/plain epochs=2"), 0);
    assert_int_equal(on(SAMPLED("\"first=b\",\"N=4\""), netc_cmd_train, "-q --data @ --out @/run"), 0);
    assert_same_file("plain/weights.safetensors", "run/weights.safetensors");      /* looking changes nothing */
    char *log = contents("run/log.jsonl", &size);
    int   n = 0;
    for (const char *s = log; (s = strstr(s, "\"event\":\"sample\"")); s++) n++;
    assert_int_equal(n, 52 / 7);
    assert_non_null(strstr(log, "\"step\":7,\"entry\":\"grow\",\"text\":\"abca\"}"));
    assert_non_null(strstr(log, "\"step\":14,\"entry\":\"grow\",\"text\":\"bcab\"}"));
    free(log);
    assert_int_equal(on(SAMPLED("\"first=x\""), netc_cmd_train, "-q --data @ --out @/bad"), NETC_EXIT_DATA);
    assert_said("first=x: 'x' is no symbol of dim Char");
}

/* ---- votes ------------------------------------------------------------------------------------------------ */

/* `echo` answers for y: right where every symbol of y follows that of x; garbage past the length does not count. */
static void votes_on_sequences(void **state) {
    (void)state;
    put_text("d.tsv", "abc\tbca\nabc\tbcb\nc\ta\nbbbb\tcccc\nca\tab\ncab\taba\n");
    assert_int_equal(on(PLAIN, netc_cmd_init, "-o @/a.safetensors"), 0);
    assert_int_equal(on(PLAIN, netc_cmd_init, "-o @/b.safetensors --seed 2"), 0);
    assert_int_equal(on(PLAIN, netc_cmd_eval, "--data @ --split train --weights @/a.safetensors,@/b.safetensors"), 0);
    assert_string_equal(tr_output, "train accuracy 66.67 % (6 examples, vote of 2)\n");
    assert_int_equal(on(PLAIN, netc_cmd_run, "until x=ab --weights @/a.safetensors,@/b.safetensors"), NETC_EXIT_USAGE);
    assert_said("ends its sequences itself");
}

/* ---- vocabularies ------------------------------------------------------------------------------------------- */

static void other_symbols_are_refused(void **state) {
    (void)state;
    static const char *const OTHER = SM_DESCRIPTION("\"a\",\"b\",\"d\"", SM_TABLE, "\"seed\":1,\"epochs\":1");
    assert_int_equal(on(PLAIN, netc_cmd_train, "-q --data @ --out @/run"), 0);
    assert_int_equal(on(OTHER, netc_cmd_run, "echo x=ab --weights @/run/weights.safetensors"), NETC_EXIT_DATA);
    assert_said("was trained with other symbols of Char: 3 of them, here 3; number 2 is 'c', here 'd'");
    assert_int_equal(on(OTHER, netc_cmd_run, "echo x=ab --weights @/run/ckpt-000000078.safetensors"), NETC_EXIT_DATA);
    netc_vocab v;
    assert_int_equal(netc_weights_vocab(at("run/weights.safetensors"), "Char", &v), 0);
    assert_int_equal(v.count, 3);
    assert_string_equal(v.symbol[2], "c");
    netc_vocab_free(&v);
    assert_int_equal(netc_weights_vocab(at("run/weights.safetensors"), "Word", &v), 0);
    assert_true(v.count == 4 && v.by == NETC_BY_WORD && v.eos == 3 && v.unk < 0);
    netc_vocab_free(&v);
    assert_int_equal(netc_weights_vocab(at("run/weights.safetensors"), "None", &v), 0);
    assert_int_equal(v.count, 0);
}

/* ---- run ------------------------------------------------------------------------------------------------------- */

#define W " --weights @/w.safetensors "

static int run(const char *args) { return on(PLAIN, netc_cmd_run, args); }

static int with_weights(void **state) {
    if (with_files(state)) return -1;
    return on(PLAIN, netc_cmd_init, "-o @/w.safetensors");
}

#define RUN_TEST(f) cmocka_unit_test_setup_teardown(f, with_weights, remove_folder)

static void texts_in_and_out(void **state) {
    (void)state;
    assert_int_equal(run("echo" W "x=abcab"), 0);
    assert_string_equal(tr_output, "bcabc\n");
    assert_int_equal(run("echo" W "--in x=ca"), 0);
    assert_string_equal(tr_output, "ab\n");
    assert_int_equal(run("grow" W "first=c"), 0);
    assert_string_equal(tr_output, "abcabcabc\n");              /* N at its maximum */
    assert_int_equal(run("grow" W "first=c N=4 step=2"), 0);
    assert_string_equal(tr_output, "bacb\n");
    assert_int_equal(run("until" W "x=abc"), 0);
    assert_string_equal(tr_output, "even odd even\n");          /* <eos> is not printed */
    put_text("lines.txt", "abc\r\nb\nca");
    assert_int_equal(run("until" W "--in x=@/lines.txt"), 0);
    assert_string_equal(tr_output, "even odd even\neven\neven odd\n");
    assert_int_equal(run("echo" W "--in x=@/lines.txt --out @/y.npy --out T=@/n.npy"), 0);
    netc_tensor y, n;
    assert_int_equal(netc_npy_read(at("y.npy"), &y), 0);
    assert_int_equal(netc_npy_read(at("n.npy"), &n), 0);
    static const int32_t Y[3][6] = {{1, 2, 0}, {2}, {0, 1}}, N[3] = {3, 1, 2};
    assert_true(y.rank == 2 && y.shape[0] == 3 && y.shape[1] == 6);
    assert_memory_equal(y.data, Y, sizeof Y);                   /* 0 past the lengths, whatever the code left there */
    assert_memory_equal(n.data, N, sizeof N);
    netc_tensor_free(&y);
    netc_tensor_free(&n);
    assert_int_equal(run("until" W "--in x=@/lines.txt --out N=@/n.npy"), 0);
    assert_int_equal(netc_npy_read(at("n.npy"), &n), 0);
    static const int32_t FOUND[3] = {4, 2, 3};
    assert_memory_equal(n.data, FOUND, sizeof FOUND);
    netc_tensor_free(&n);
}

static void put_npy(const char *name, netc_dtype d, int rank, const int64_t *shape, void *data) {
    netc_tensor t = {.dtype = d, .rank = rank, .data = data};
    uint64_t    bytes;
    memcpy(t.shape, shape, (size_t)rank * sizeof *shape);
    assert_true(netc_tensor_size(&t, &bytes));
    t.bytes = bytes;
    assert_int_equal(netc_npy_write(at(name), &t), 0);
}

static void lines_of_standard_input(void **state) {
    (void)state;
    put_text("lines.txt", "abc\nb\r\nca");
    int saved = dup(0);
    assert_non_null(freopen(at("lines.txt"), "r", stdin));
    assert_int_equal(run("echo" W "--in x=-"), 0);
    assert_string_equal(tr_output, "bca\nc\nab\n");
    assert_non_null(freopen(at("lines.txt"), "r", stdin));
    assert_int_equal(run("grow" W "--in first=- N=2"), NETC_EXIT_DATA);
    assert_said("standard input:1: 'abc' is no symbol of dim Char");
    put_text("lines.txt", "a\nb\n");
    assert_non_null(freopen(at("lines.txt"), "r", stdin));
    assert_int_equal(run("grow" W "--in first=- N=2"), 0);
    assert_string_equal(tr_output, "bc\nab\n");                 /* each line has its own step */
    assert_int_equal(run("echo" W "--in x=- --out @/y.npy"), NETC_EXIT_USAGE);
    assert_int_equal(on(PLAIN, netc_cmd_grad, W "--in x=- y=ab --out @/g.safetensors"), NETC_EXIT_USAGE);
    float v[3] = {2, 0, 1};                                     /* another argument fixes the length of a line */
    put_npy("v.npy", NETC_F32, 2, (int64_t[]){1, 3}, v);
    put_text("lines.txt", "abc\nccc\nabca\n");
    assert_non_null(freopen(at("lines.txt"), "r", stdin));
    assert_int_equal(run("move" W "--in x=- --in v=@/v.npy"), NETC_EXIT_DATA);
    assert_said("standard input:3: x has 4 steps of T, another argument says 3");
    assert_string_equal(tr_output, "cba\nbca\n");
    dup2(saved, 0);
    close(saved);
    assert_non_null(freopen("/dev/null", "r", stdin));
}

/* Nine rows, three batches: padding is NAN and is never read. */
static void padded_arrays(void **state) {
    (void)state;
    enum { ROWS = 9, LONGEST = 4 };
    float   v[ROWS][LONGEST][2];
    int32_t n[ROWS];
    for (int r = 0; r < ROWS; r++) {
        n[r] = 1 + r % LONGEST;
        for (int t = 0; t < LONGEST; t++)
            for (int k = 0; k < 2; k++) v[r][t][k] = t < n[r] ? (float)(10 * r + t) : NAN;
    }
    put_npy("v.npy", NETC_F32, 3, (int64_t[]){ROWS, LONGEST, 2}, v);
    put_npy("n.npy", NETC_I32, 1, (int64_t[]){ROWS}, n);
    assert_int_equal(run("sums" W "--in v=@/v.npy --in T=@/n.npy --out s=@/s.npy --out parity=@/p.npy --out T=@/m.npy"),
                     0);
    netc_tensor s, p, m;
    assert_int_equal(netc_npy_read(at("s.npy"), &s), 0);
    assert_int_equal(netc_npy_read(at("p.npy"), &p), 0);
    assert_int_equal(netc_npy_read(at("m.npy"), &m), 0);
    assert_memory_equal(m.data, n, sizeof n);
    for (int r = 0; r < ROWS; r++) {
        assert_int_equal(((int32_t *)p.data)[r], n[r] % 2);
        for (int t = 0; t < SM_T; t++)
            assert_true(((float *)s.data)[r * SM_T + t] == (t < n[r] ? 2 * (10 * r + t) : 0));
    }
    netc_tensor_free(&s);
    netc_tensor_free(&p);
    netc_tensor_free(&m);
    assert_int_equal(run("sums" W "--in T=@/n.npy --in v=@/v.npy"), 0);
    assert_non_null(strstr(tr_output, "0\todd\n20 22\teven\n40 42 44\todd\n"));
    int32_t one[2][3] = {{0, 1, 2}, {2, 1, 0}};                 /* without lengths every row is whole */
    put_npy("x.npy", NETC_I32, 2, (int64_t[]){2, 3}, one);
    assert_int_equal(run("echo" W "--in x=@/x.npy"), 0);
    assert_string_equal(tr_output, "bca\nacb\n");
}

static void wrong_sequences(void **state) {
    (void)state;
    static const struct { const char *args; int code; const char *why;
    } ROWS[] = {
        {"echo" W, NETC_EXIT_USAGE, "echo needs --in x=FILE"},
        {"echo" W "x=abx", NETC_EXIT_DATA, "x: 'x' is no symbol of dim Char"},
        {"echo" W "x=abcabca", NETC_EXIT_DATA, "7 symbols, x takes 1 to 6"},
        {"echo" W "x=", NETC_EXIT_DATA, "0 symbols, x takes 1 to 6"},
        {"echo" W "x=a --in x=b", NETC_EXIT_USAGE, "x is given twice"},
        {"echo" W "--in x=@/none.txt", NETC_EXIT_IO, "none.txt"},
        {"echo" W "--in x=@/bad.txt", NETC_EXIT_DATA, "bad.txt:2: 'd' is no symbol of dim Char"},
        {"grow" W "first=ab", NETC_EXIT_DATA, "'ab' is no symbol of dim Char"},
        {"grow" W "first=a N=0", NETC_EXIT_DATA, "a length is a whole number from 1 to 9"},
        {"grow" W "first=a N=10", NETC_EXIT_DATA, "a length is a whole number from 1 to 9"},
        {"sums" W "v=1", NETC_EXIT_USAGE, "v is an array"},
        {"echo" W "--in x=@/x.npy --in T=@/n.npy", NETC_EXIT_DATA,
         "row 1 (the first is 0) has 4 steps of T, but the array holds 3"},
        {"echo" W "--in x=@/x.npy --in T=@/zero.npy", NETC_EXIT_DATA, "has the length 0 of T"},
        {"echo" W "--in x=@/x.npy --in T=@/three.npy", NETC_EXIT_DATA, "the first axis is the batch"},
        {"echo" W "--in x=ab --in T=@/one.npy", NETC_EXIT_DATA, "x has 2 steps of T, another argument says 1"},
        {"echo" W "--in x=@/x.npy --in T=@/f.npy", NETC_EXIT_DATA, "the lengths of T are integers"},
        {"echo" W "--in x=@/long.npy", NETC_EXIT_DATA, "an axis of 7, but T goes from 1 to 6"},
    };
    int32_t x[14] = {0}, n[3] = {3, 4, 1}, zero[2] = {1, 0};
    float f[2] = {1, 2};
    put_npy("x.npy", NETC_I32, 2, (int64_t[]){2, 3}, x);
    put_npy("long.npy", NETC_I32, 2, (int64_t[]){2, 7}, x);
    put_npy("n.npy", NETC_I32, 1, (int64_t[]){2}, n);
    put_npy("three.npy", NETC_I32, 1, (int64_t[]){3}, n);
    put_npy("zero.npy", NETC_I32, 1, (int64_t[]){2}, zero);
    put_npy("one.npy", NETC_I32, 1, (int64_t[]){1}, zero);
    put_npy("f.npy", NETC_F32, 1, (int64_t[]){2}, f);
    put_text("bad.txt", "abc\nad\n");
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        int code = run(ROWS[i].args);
        if (code != ROWS[i].code) fail_msg("%s: exit code %d: %s", ROWS[i].args, code, netc_error_text());
        assert_said(ROWS[i].why);
    }
}

/* ---- grad -------------------------------------------------------------------------------------------------------- */

/* A ragged batch is the mean of its examples alone. */
static void gradient_of_a_ragged_batch(void **state) {
    (void)state;
    static const char *const X[3] = {"abc", "c", "bbcaab"}, *const Y[3] = {"bca", "c", "acbaca"};
    double mean[10] = {0};
    netc_tensors g;
    int32_t x[3][SM_T], y[3][SM_T], n[3];
    memset(x, 0x77, sizeof x);
    memset(y, 0x77, sizeof y);
    for (int r = 0; r < 3; r++) {
        char args[128];
        snprintf(args, sizeof args, W "x=%s y=%s --out @/g.safetensors", X[r], Y[r]);
        assert_int_equal(on(PLAIN, netc_cmd_grad, args), 0);
        assert_int_equal(netc_safetensors_read(at("g.safetensors"), NULL, NULL, &g), 0);
        for (int i = 0; i < 9; i++) mean[i] += ((float *)netc_tensors_find(&g, "Net.w")->data)[i] / 3;
        mean[9] += *(float *)netc_tensors_find(&g, "loss")->data / 3;
        netc_tensors_free(&g);
        n[r] = (int32_t)strlen(X[r]);
        for (int t = 0; t < n[r]; t++) {
            x[r][t] = X[r][t] - 'a';
            y[r][t] = Y[r][t] - 'a';
        }
    }
    put_npy("x.npy", NETC_I32, 2, (int64_t[]){3, SM_T}, x);
    put_npy("y.npy", NETC_I32, 2, (int64_t[]){3, SM_T}, y);
    put_npy("n.npy", NETC_I32, 1, (int64_t[]){3}, n);
    assert_int_equal(on(PLAIN, netc_cmd_grad, W "--in x=@/x.npy --in y=@/y.npy --in T=@/n.npy --out @/g.safetensors"),
                     0);
    assert_int_equal(netc_safetensors_read(at("g.safetensors"), NULL, NULL, &g), 0);
    for (int i = 0; i < 9; i++) assert_true(fabs(mean[i] - ((float *)netc_tensors_find(&g, "Net.w")->data)[i]) < 1e-6);
    assert_true(fabs(mean[9] - *(float *)netc_tensors_find(&g, "loss")->data) < 1e-6);
    netc_tensors_free(&g);
}

/* ---- formulas ----------------------------------------------------------------------------------------- */

#define FORMULA(words) "\"metrics\":[{\"name\":\"ppl\",\"formula\":[" words "]}]"

static void formulas(void **state) {
    (void)state;
    static const struct { const char *words; int code; } ROWS[] = {
        {"[0]", 0}, {"[0],2,\"mul\",1,\"sub\",\"neg\",3,\"pow\",\"log\"", 0},
        {"[1]", NETC_EXIT_INTERNAL}, {"[-1]", NETC_EXIT_INTERNAL}, {"\"exp\"", NETC_EXIT_INTERNAL},
        {"[0],[0]", NETC_EXIT_INTERNAL}, {"[0],\"tan\"", NETC_EXIT_INTERNAL}, {"", NETC_EXIT_INTERNAL},
        {"[0],\"add\"", NETC_EXIT_INTERNAL}, {"null", NETC_EXIT_INTERNAL},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        const char *at_it = strstr(PLAIN, FORMULA("[0],\"exp\"")), *rest = at_it + strlen(FORMULA("[0],\"exp\""));
        assert_non_null(at_it);
        char *text = netc_format("%.*s\"metrics\":[{\"name\":\"ppl\",\"formula\":[%s]}]%s", (int)(at_it - PLAIN), PLAIN,
                                 ROWS[i].words, rest);
        assert_int_equal(on(text, netc_cmd_train, "-q --data @ --out @/run --fresh epochs=1"), ROWS[i].code);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SEQUENCE_TEST(stream_goes_on_with_the_same_bits), SEQUENCE_TEST(buckets_go_on_with_the_same_bits),
        SEQUENCE_TEST(samples_while_training), SEQUENCE_TEST(other_symbols_are_refused),
        SEQUENCE_TEST(votes_on_sequences), RUN_TEST(texts_in_and_out),
        RUN_TEST(lines_of_standard_input), RUN_TEST(padded_arrays), RUN_TEST(wrong_sequences),
        RUN_TEST(gradient_of_a_ragged_batch), SEQUENCE_TEST(formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
