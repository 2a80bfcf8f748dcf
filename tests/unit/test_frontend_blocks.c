/* Data and train blocks: their JSON and settings, and every mistake at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "frontend/frontend.h"

static Arena *arena;
static Diag  *diag;

static int begin(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int end(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

/* The block under test begins in line 10, in column 1. */
static const char HEAD[] =
    "dim Digit = 10\n"
    "dim T <= 9\n"
    "dim K = 2 in [2, 3]\n"
    "hyper eta = 0.1 in [0.1, 0.2]; hyper mu = 0.9\n"
    "fn shift(x: [C,H,W], dy, dx) -> [C,H,W] { y[c, i < H, j < W] = x[c, i-dy, j-dx] ?? 0; return y }\n"
    "fn same(x) = x\n"
    "model M { objective(img: [1,4,4], label: Digit) {\n"
    "  z = img |> flatten |> Dense(Digit); loss xent(z, label); metric acc = argmax(z) == label\n"
    "} }\n";
static const char DATA[] = "data D(img: [1,4,4], label: Digit) { train = npz(\"a.npz\") }\n";

static bool vocab_size(void *cx, const DimInfo *d, int64_t *size, const char **why) {
    (void)cx, (void)d, (void)why;
    *size = 30;
    return true;
}

static Program *load(const char *text, Override *o, int n) {
    FrontOptions options = {.override = o, .noverride = n, .vocab = vocab_size};
    diag = diag_new(arena);
    Program *p = program_load_text(arena, diag, "x.net", text, &options);
    return p && program_check(p) ? p : NULL;
}

static Program *load_data(const char *body) {
    return load(arena_printf(arena, "%sdata D(img: [1,4,4], label: Digit) {%s}\n", HEAD, body), NULL, 0);
}

static Program *load_train(const char *body, Override *o, int n) {
    return load(arena_printf(arena, "%strain M on D {%s}\n%s", HEAD, body, DATA), o, n);
}

static void expect_message(DiagLevel level, const char *code, int col, const char *words) {
    for (int i = 0; i < diag->list.n; i++) {
        const Message *m = &diag->list.at[i];
        if (m->level == level && !strcmp(diag_code(m->code), code) && m->loc.col == col && strstr(m->text, words)) return;
    }
    diag_print(diag, stderr, false);
    fail_msg("no message %s in column %d with '%s'", code, col, words);
}

/* ---- data ---------------------------------------------------------------------------------------- */

static void expect_splits(const char *body, const char *splits) {
    Program *p = load_data(body);
    Buf      b = buf_new(arena);
    if (!p) diag_print(diag, stderr, false);
    assert_non_null(p);
    assert_true(program_data_json(p, &b));
    const char *got = strstr(b.s, "\"splits\":");
    assert_non_null(got);
    assert_string_equal(got, arena_printf(arena, "\"splits\":{%s}}", splits));
}

static void data_as_json(void **state) {
    (void)state;
    expect_splits("train = npz(\"d/a.npz\")", "\"train\":{\"op\":\"source\",\"kind\":\"npz\",\"files\":[\"d/a.npz\"],"
                                              "\"args\":{},\"line\":10}");
    expect_splits("a = csv(\"a.csv\"); train = a[0:50000]; valid = a[0.9:1.0]; test = a[:]",
                  "\"train\":{\"op\":\"slice\",\"of\":{\"op\":\"source\",\"kind\":\"csv\",\"files\":[\"a.csv\"],\"args\":{},"
                  "\"line\":10},\"lo\":0,\"hi\":50000,\"fraction\":false},"
                  "\"valid\":{\"op\":\"slice\",\"of\":{\"op\":\"source\",\"kind\":\"csv\",\"files\":[\"a.csv\"],\"args\":{},"
                  "\"line\":10},\"lo\":0.9,\"hi\":1,\"fraction\":true},"
                  "\"test\":{\"op\":\"source\",\"kind\":\"csv\",\"files\":[\"a.csv\"],\"args\":{},\"line\":10}");
    expect_splits("train, test = idx(\"i\", \"l\") |> shuffle(7) |> split(0.75, 0.25)",
                  "\"train\":{\"op\":\"split\",\"of\":{\"op\":\"shuffle\",\"of\":{\"op\":\"source\",\"kind\":\"idx\","
                  "\"files\":[\"i\",\"l\"],\"args\":{},\"line\":10},\"seed\":7},\"parts\":[0.75,0.25],\"part\":0},"
                  "\"test\":{\"op\":\"split\",\"of\":{\"op\":\"shuffle\",\"of\":{\"op\":\"source\",\"kind\":\"idx\","
                  "\"files\":[\"i\",\"l\"],\"args\":{},\"line\":10},\"seed\":7},\"parts\":[0.75,0.25],\"part\":1}");
    expect_splits("a = npz(\"a\"); a = a |> expand(shift, img, [[0, 0], [K, -1]]); train = a",
                  "\"train\":{\"op\":\"expand\",\"of\":{\"op\":\"source\",\"kind\":\"npz\",\"files\":[\"a\"],\"args\":{},"
                  "\"line\":10},\"function\":\"expand.0\",\"field\":\"img\",\"variants\":[[0,0],[2,-1]]}");
    expect_splits("train = shuffle(images(\"f\"), 1)[0:2*K]",
                  "\"train\":{\"op\":\"slice\",\"of\":{\"op\":\"shuffle\",\"of\":{\"op\":\"source\",\"kind\":\"images\","
                  "\"files\":[\"f\"],\"args\":{},\"line\":10},\"seed\":1},\"lo\":0,\"hi\":4,\"fraction\":false}");
}

static void data_fields(void **state) {
    (void)state;
    Program *p = load("dim C = vocab(\"t\")\ndim T = 5\ndata D(x: C[T], w: f32, u: u8[3]) { train = npz(\"t\") }\n"
                      "model M { objective(x: C[T]) { loss 0*f32(x[0]) } }\n", NULL, 0);
    Buf b = buf_new(arena);
    assert_non_null(p);
    assert_true(program_data_json(p, &b));
    assert_non_null(strstr(b.s, "{\"name\":\"D\",\"fields\":[{\"name\":\"x\",\"dtype\":\"i32\",\"shape\":[5],\"dim\":\"C\","
                                "\"size\":30},"));
    assert_non_null(strstr(b.s, "{\"name\":\"w\",\"dtype\":\"f32\",\"shape\":[]},"));
    assert_null(strstr(b.s, "axes"));
}

/* ---- sequences ----------------------------------------------------------------------------------- */

static const char SEQUENCES[] =
    "dim C = vocab(\"t\"); dim T <= 5; dim S <= 9; dim N <= 7; hyper eta = 1\n"
    "model M {\n"
    "  out = Dense(C)\n"
    "  objective(x: C[T], y: C[T]) {\n"
    "    ce[t] = xent(out(onehot(x[t])), y[t]); loss sum[t](ce[t])\n"
    "    metric ppl = exp(ratio(sum[t](ce[t]), T)); metric mean = mean[t](ce[t])\n"
    "    metric two = -(ratio(sum[t](ce[t]), T) + 2*ratio(1, T))^2 / 3\n"
    "  }\n"
    "  entry sample(first: C, heat = 1.0) -> C[N] {\n"
    "    scan t in N { c[t] = draw(heat * out(onehot(c[t-1]))) from first }\n"
    "    return c\n"
    "  }\n"
    "}\n";

static Program *load_sequences(const char *data, const char *train) {
    return load(arena_printf(arena, "%sdata D(x: C[T], y: C[T]) {%s}\ntrain M on D {%s}\n", SEQUENCES, data, train), NULL, 0);
}

static const char STREAM[] = "train = text(\"t\")[0.0:0.9] |> stream(x, y)";

static void sequence_fields(void **state) {
    (void)state;
    Program *p = load_sequences(STREAM, "bucket = T; every = [20, sample(\"a=b\", N=3)]");
    if (!p) diag_print(diag, stderr, false);
    assert_non_null(p);
    Buf b = buf_new(arena);
    assert_true(program_data_json(p, &b));
    assert_non_null(strstr(b.s, "{\"name\":\"x\",\"dtype\":\"i32\",\"shape\":[5],\"axes\":[\"T\"],\"dim\":\"C\",\"size\":30}"));
    assert_non_null(strstr(b.s, "{\"op\":\"stream\",\"of\":{\"op\":\"slice\",\"of\":{\"op\":\"source\",\"kind\":\"text\""));
    assert_non_null(strstr(b.s, "\"x\":\"x\",\"y\":\"y\"}"));
    const TrainInfo *t = program_train(p);
    assert_string_equal(t->bucket, "T");
    assert_int_equal(t->every, 20);
    assert_string_equal(t->sample, "sample");
    assert_int_equal(t->nsample_arg, 2);
    assert_string_equal(t->sample_arg[0], "first=a=b");
    assert_string_equal(t->sample_arg[1], "N=3");
    const FuncInfo *f = &program_model(p)->objective;
    assert_int_equal(f->nmetric, 3);
    assert_string_equal(f->formula[0], "[[0],\"exp\"]");
    assert_null(f->formula[1]);
    /* a unary minus binds tighter than a quotient */
    assert_string_equal(f->formula[2], "[[0],2,[1],\"mul\",\"add\",2,\"pow\",\"neg\",3,\"div\"]");
    Graph *g = program_objective(p, false, 4, arena);
    static const char *const OUT[] = {"loss", "ratio.ppl.0", "ratio.ppl.1", "metric.mean", "ratio.two.0"};
    assert_non_null(g);
    for (int i = 0; i < 5; i++) assert_string_equal(g->outs.at[i].name, OUT[i]);
}

static void sequence_mistakes(void **state) {
    (void)state;
    static const struct { const char *data, *train, *code, *words; } ROWS[] = {
        {"train = text(\"t\")", "", "E0602", "trained on in windows"},
        {"train = text(\"t\", by=\"word\") |> stream(x, y)", "", "E0602", "the dim of the fields says what a symbol is"},
        {"train = text(\"t\") |> shuffle(1) |> stream(x, y)", "", "E0602", "a text keeps its order"},
        {"train = (text(\"t\") |> stream(x, y))[0:3]", "", "E0602", "last operation"},
        {"train = tsv(\"t\") |> stream(x, y)", "", "E0602", "stream follows a text"},
        {"train = text(\"t\") |> stream(x, x)", "", "E0602", "stream needs two fields"},
        {"train = npy(\"a\", \"b\")", "", "E0602", "npy does not say how long the rows of 'x' are"},
        {"train = images(\"a\")", "", "E0602", "images does not say how long"},
        {STREAM, "bucket = S", "E0605", "no field of the data is a sequence over 'S'"},
        {STREAM, "every = [10, smple(\"T\")]", "E0201", "did you mean 'sample'?"},
        {STREAM, "every = [10, sample()]", "E0207", "lacks its argument 'first'"},
        {STREAM, "every = [10, sample(\"T\", M=3)]", "E0207", "no parameter 'M'"},
        {STREAM, "every = [10, sample(\"T\", 1, 2)]", "E0207", "takes 2 arguments"},
        {STREAM, "every = [10, sample(\"T\", heat=eta)]", "E0605", "known at compile time"},
        {STREAM, "every = [0, sample(\"T\")]", "E0605", "this is 0"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_null(load_sequences(ROWS[i].data, ROWS[i].train));
        const Message *m = &diag->list.at[0];
        if (strcmp(diag_code(m->code), ROWS[i].code) || !strstr(m->text, ROWS[i].words))
            fail_msg("row %zu: %s %s", i, diag_code(m->code), m->text);
    }
}

static void ratio_mistakes(void **state) {
    (void)state;
    static const struct { const char *metric, *words; } ROWS[] = {
        {"exp(ratio(x, 1))", "two numbers of each example"},
        {"ratio(1)", "ratio takes two arguments"},
        {"tanh(ratio(1, 2))", "around ratio(a, b) stand"},
        {"ratio(1, 2) * eta", "known at compile time"},
        {"sum(x) + ratio(1, 2)", "known at compile time"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_null(load(arena_printf(arena, "hyper eta = 1\nmodel M { objective(x: [3]) { loss sum(x); metric m = %s } }\n",
                                      ROWS[i].metric), NULL, 0));
        const Message *m = &diag->list.at[0];
        if (!strstr(m->text, ROWS[i].words)) fail_msg("row %zu: %s %s", i, diag_code(m->code), m->text);
    }
    assert_null(load("model M { objective(x: [3]) { loss ratio(1, 2) } }\n", NULL, 0));
    if (!strstr(diag->list.at[0].text, "stands in a metric alone")) fail_msg("%s", diag->list.at[0].text);
}

static void data_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *body, *code;
        int         col;           /* in the body, from 1 */
        const char *words;
    } ROWS[] = {
        {"scan t in T { x = 1 }", "E0204", 1, "'scan' cannot stand in a data block"},
        {"all = npz(\"a\"); train = al", "E0201", 25, "did you mean 'all'?"},
        {"train = cvs(\"a\")", "E0601", 9, "unknown data function 'cvs'; did you mean 'csv'?"},
        {"train = npz(\"a\") |> shufle(1)", "E0601", 21, "did you mean 'shuffle'?"},
        {"train = 3", "E0602", 9, "data is needed here"},
        {"train = npz(a)", "E0602", 13, "file names in quotes"},
        {"train = npz(\"a\", \"b\")", "E0602", 12, "takes 1 argument"},
        {"train = npz(\"a\", sep=1)", "E0602", 18, "no option 'sep'"},
        {"train = idx(\"a\")", "E0602", 12, "one file for each of the 2 fields of data D, not 1"},
        {"train = npz(\"/etc/x\")", "E0602", 13, "relative"},
        {"train = npz(\"a/../../x\")", "E0602", 13, "below the data folder"},
        {"train = npz(\"a\") |> npz(\"b\")", "E0602", 21, "is a source"},
        {"train = npz(\"a\") |> shuffle", "E0602", 21, "in brackets"},
        {"train = shuffle(seed=1)", "E0602", 16, "needs the data"},
        {"train = npz(\"a\") |> shuffle(1.5)", "E0602", 29, "whole number"},
        {"train = npz(\"a\") |> shuffle(-1)", "E0602", 29, "from 0 to"},
        {"train = npz(\"a\") |> shuffle(eta)", "E0602", 29, "known at compile time"},
        {"train = npz(\"a\") |> shuffle(1) as x", "E0602", 18, "'as' names layers"},
        {"train = npz(\"a\")[3]", "E0602", 17, "as a range"},
        {"train = npz(\"a\")[5:3]", "E0602", 18, "is empty"},
        {"train = npz(\"a\")[0.5:2]", "E0602", 18, "at most 1.0"},
        {"train = npz(\"a\")[0:K/4]", "E0602", 18, "whole number"},
        {"train, valid = npz(\"a\") |> split(0.8, 0.1, 0.1)", "E0603", 25, "3 parts for 2 names"},
        {"train, valid = npz(\"a\")", "E0603", 1, "2 names on the left, 1 value"},
        {"train, valid = npz(\"a\") |> split(0.8, 0.5)", "E0602", 39, "more than 1 (1.3)"},
        {"train, valid = npz(\"a\") |> split(0, 0.5)", "E0602", 34, "more than 0"},
        {"train = npz(\"a\") |> split(0.8, 0.2) |> shuffle(1)", "E0602", 40, "name them first"},
        {"train = npz(\"a\") |> expand(shft, img, [[0, 0]])", "E0201", 28, "did you mean 'shift'?"},
        {"train = npz(\"a\") |> expand(shift, im, [[0, 0]])", "E0201", 35, "data D has no field 'im'; did you mean 'img'?"},
        {"train = npz(\"a\") |> expand(same, img, [[0]])", "E0602", 28, "1 to 8 whole numbers"},
        {"train = npz(\"a\") |> expand(shift, img, [[0]])", "E0602", 41, "2 numbers after the field, this variant has 1"},
        {"train = npz(\"a\") |> expand(shift, img, [0])", "E0602", 41, "a variant is a list"},
        {"train = npz(\"a\") |> expand(shift, img, [[0, 0.5]])", "E0602", 45, "whole number"},
        {"train = npz(\"a\") |> expand(shift, img, 3)", "E0602", 40, "list of lists"},
        {"a = npz(\"a\") |> expand(shift, img, [[0, 0]]); train = a |> expand(shift, img, [[0, 0]])", "E0602", 66,
         "expanded again"},
        {"train = npz(\"a\") |> stream(img, label)", "E0602", 27, "stream needs two fields"},
        {"train[1] = npz(\"a\")", "E0602", 1, "no subscripts"},
        {"train = npz(\"a\") from 3", "E0602", 23, "equations of a scan"},
    };
    int before = (int)strlen("data D(img: [1,4,4], label: Digit) {");
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_null(load_data(ROWS[i].body));
        expect_message(DIAG_ERROR, ROWS[i].code, before + ROWS[i].col, ROWS[i].words);
    }
    assert_null(load_data("trian = npz(\"a\")"));
    expect_message(DIAG_ERROR, "E0603", 1, "data D does not set 'train'");
    assert_non_null(load_data("tests = npz(\"a\"); train = npz(\"a\")"));
    expect_message(DIAG_WARNING, "W0601", before + 1, "did you mean 'test'?");
}

/* A hostile block: many names, a long chain of operations. */
static void data_limits(void **state) {
    (void)state;
    Buf b = buf_new(arena);
    buf_puts(&b, "train = npz(\"a\")\n");
    for (int i = 0; i < 100000; i++) buf_puts(&b, "train = train |> shuffle(1)\n");
    assert_null(load_data(b.s));
    assert_int_equal(diag->list.at[0].code, E_DATA_ARGUMENT);
    b = buf_new(arena);
    for (int i = 0; i < 20000; i++) buf_printf(&b, "n%d = npz(\"a\")\n", i);
    assert_null(load_data(b.s));
    assert_int_equal(diag->list.at[0].code, E_DATA_ARGUMENT);
}

/* ---- train --------------------------------------------------------------------------------------- */

static void train_settings(void **state) {
    (void)state;
    Program *p = load_train("seed = 7; batch = 5*K; epochs = 40; optimizer = adam(eta); l2 = 0.1 / batches; l1 = eta\n"
                            "clip = value(5); keep = best(acc); stop = patience(10); sweep = grid(eta, K)\n"
                            "ensemble = vote(5)", NULL, 0);
    if (!p) diag_print(diag, stderr, false);
    assert_non_null(p);
    const TrainInfo *t = program_train(p);
    assert_string_equal(t->model, "M");
    assert_string_equal(t->data, "D");
    assert_int_equal(t->seed, 7);
    assert_int_equal(t->batch, 10);
    assert_int_equal(t->epochs, 40);
    assert_string_equal(t->keep.key, "acc");
    assert_int_equal(t->keep.sign, 1);
    assert_int_equal(t->patience, 10);
    assert_int_equal(t->nsweep, 2);
    assert_string_equal(t->sweep[1], "K");
    assert_int_equal(t->ensemble, 5);
    assert_true(t->has_optimizer);
    assert_false(t->clip_by_norm);
    p = load_train("keep = best(-loss); clip = 5", NULL, 0);
    assert_non_null(p);
    t = program_train(p);
    assert_int_equal(t->seed, 1);
    assert_int_equal(t->batch, 32);
    assert_int_equal(t->epochs, 10);
    assert_int_equal(t->ensemble, 1);
    assert_string_equal(t->keep.key, "loss");
    assert_int_equal(t->keep.sign, -1);
    assert_false(t->has_optimizer);
    assert_true(t->clip_by_norm);
    assert_non_null(load_train("keep = last", NULL, 0));
}

static void train_overrides(void **state) {
    (void)state;
    Override o[] = {{"train.batch", "20", false}, {"train.patience", "3", false}, {"train.ensemble", "4", false},
                    {"train.keep", "best(-acc)", false}, {"eta", "0.5", false}};
    Program *p = load_train("batch = 10; keep = best(acc); stop = patience(9)", o, 5);
    if (!p) diag_print(diag, stderr, false);
    assert_non_null(p);
    const TrainInfo *t = program_train(p);
    assert_int_equal(t->batch, 20);
    assert_int_equal(t->patience, 3);
    assert_int_equal(t->ensemble, 4);
    assert_int_equal(t->keep.sign, -1);
    for (int i = 0; i < 5; i++) assert_true(o[i].used);
    static const struct {
        const char *name, *value, *code, *words;
    } ROWS[] = {
        {"train.batchs", "20", "E0801", "unknown train key 'batchs'; did you mean 'batch'?"},
        {"train.batch", "0", "E0605", "from 1 to 1000000, this is 0"},
        {"train.batch", "1.5", "E0605", "this is 1.5"},
        {"train.batch", "x", "E0605", "known at compile time"},
        {"train.batch", "2; epochs = 3", "E0802", "train.batch takes one value"},
        {"train.batch", "(2", "E0101", "expected"},
        {"train.batch", "", "E0101", "expected an expression"},
        {"train.", "2", "E0101", "cannot begin with '='"},
        {"train.patience", "0", "E0605", "patience is a whole number"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        Override one = {ROWS[i].name, ROWS[i].value, false};
        assert_null(load_train("batch = 10; keep = best(acc)", &one, 1));
        assert_string_equal(diag_code(diag->list.at[0].code), ROWS[i].code);
        if (!strstr(diag->list.at[0].text, ROWS[i].words)) fail_msg("%s: %s", ROWS[i].value, diag->list.at[0].text);
    }
}

/* The size of batches alone can be set where there is no train block. */
static void batch_without_a_block(void **state) {
    (void)state;
    Override o = {"train.batch", "4*K", false}, wrong[] = {{"train.batch", "0", false}, {"train.epochs", "3", false}};
    Program *p = load(HEAD, NULL, 0);
    assert_non_null(p);
    assert_int_equal(program_batch(p), 32);
    p = load(HEAD, &o, 1);
    assert_non_null(p);
    assert_null(program_train(p));
    assert_int_equal(program_batch(p), 8);
    p = load_train("batch = 10", &o, 1);
    assert_non_null(p);
    assert_int_equal(program_batch(p), 8);
    assert_null(load(HEAD, &wrong[0], 1));
    assert_string_equal(diag_code(diag->list.at[0].code), "E0605");
    assert_null(load(HEAD, &wrong[1], 1));
    assert_string_equal(diag_code(diag->list.at[0].code), "E0801");
    o.used = false;
    assert_null(load(arena_printf(arena, "%strain N on D {}\n%s", HEAD, DATA), &o, 1));
    assert_int_equal(diag->errors, 1);                      /* the block's own */
}

static void train_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *body, *code;
        int         col;
        const char *words;
    } ROWS[] = {
        {"epoch = 3", "E0604", 1, "unknown train key 'epoch'; did you mean 'epochs'?"},
        {"batch = 3; batch = 4", "E0604", 12, "'batch' is set twice"},
        {"loss 3", "E0604", 1, "unknown train key 'loss'"},
        {"batch[1] = 3", "E0605", 1, "set as batch = value"},
        {"batch, seed = 3, 4", "E0605", 1, "set as batch = value"},
        {"batch = 0", "E0605", 9, "from 1 to 1000000, this is 0"},
        {"batch = eta", "E0605", 9, "known at compile time"},
        {"epochs = 1.5", "E0605", 10, "this is 1.5"},
        {"seed = -1", "E0605", 8, "this is -1"},
        {"optimizer = 3", "E0605", 13, "as sgd(0.1)"},
        {"optimizer = sgdd(0.1)", "E0201", 17, "did you mean 'sgd'?"},
        {"keep = accuracy", "E0605", 8, "best(metric)"},
        {"keep = best(acc, acc)", "E0605", 12, "best(metric)"},
        {"keep = best(3)", "E0605", 13, "name of a metric"},
        {"keep = best(accc)", "E0201", 13, "the objective has no metric 'accc'; did you mean 'acc'?"},
        {"keep = best(loss)", "E0605", 13, "best(-loss)"},
        {"stop = 3", "E0605", 8, "patience(n)"},
        {"keep = best(acc); stop = patience(0)", "E0605", 35, "this is 0"},
        {"sweep = eta", "E0605", 9, "grid(names)"},
        {"sweep = grid(etta)", "E0201", 14, "did you mean 'eta'?"},
        {"sweep = grid(mu)", "E0605", 14, "declare it with 'in [..]'"},
        {"sweep = grid(eta, eta)", "E0605", 19, "named twice"},
        {"sweep = grid(3)", "E0605", 14, "names of hypers and dims"},
        {"ensemble = 5", "E0605", 12, "vote(n)"},
        {"ensemble = vote(0)", "E0605", 17, "this is 0"},
        {"every = 3", "E0605", 9, "a number of steps and an entry"},
        {"bucket = 3", "E0605", 10, "ragged dim"},
        {"bucket = K", "E0605", 10, "not ragged"},
        {"bucket = TT", "E0201", 10, "unknown dim"},
    };
    int before = (int)strlen("train M on D {");
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_null(load_train(ROWS[i].body, NULL, 0));
        expect_message(DIAG_ERROR, ROWS[i].code, before + ROWS[i].col, ROWS[i].words);
    }
    assert_null(load_train("stop = patience(3)", NULL, 0));
    expect_message(DIAG_ERROR, "E0605", 1, "needs keep = best(..)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(data_as_json, begin, end),
        cmocka_unit_test_setup_teardown(data_fields, begin, end),
        cmocka_unit_test_setup_teardown(sequence_fields, begin, end),
        cmocka_unit_test_setup_teardown(sequence_mistakes, begin, end),
        cmocka_unit_test_setup_teardown(ratio_mistakes, begin, end),
        cmocka_unit_test_setup_teardown(data_mistakes, begin, end),
        cmocka_unit_test_setup_teardown(data_limits, begin, end),
        cmocka_unit_test_setup_teardown(train_settings, begin, end),
        cmocka_unit_test_setup_teardown(train_overrides, begin, end),
        cmocka_unit_test_setup_teardown(batch_without_a_block, begin, end),
        cmocka_unit_test_setup_teardown(train_mistakes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
