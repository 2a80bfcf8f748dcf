/* The commands of a trainer, end to end on files: run, eval, init, grad, sweep, ensembles, mistakes. */
#include "trainer_run.h"

#include "runtime/sweep.h"

static int with_weights(void **state) {
    tm_signal = 0;
    tm_signal_step = tm_nan_step = -1;
    if (make_folder(state)) return -1;
    make_data();
    return train("--out @/run");
}

#define COMMAND_TEST(f) cmocka_unit_test_setup_teardown(f, with_weights, remove_folder)
#define W " --weights @/run/weights.safetensors "

static int run(const char *args) { return run_on(TM_PLAIN, netc_cmd_run, args); }

/* A stand-alone trainer's command line. */
static int main_command(netc_model *m, int argc, char **argv) {
    (void)m;
    int code = netc_trainer_main(argc, argv, TM_PLAIN, strlen(TM_PLAIN), TM_FUNCTIONS);
    netc_set_program(NULL);
    return code;
}

static int trainer(const char *args) { return run_command_on(NULL, main_command, args); }

static netc_tensor npy(const char *name) {
    netc_tensor t;
    assert_int_equal(netc_npy_read(at(name), &t), 0);
    return t;
}

/* ---- run --------------------------------------------------------------------------------------------- */

static void any_number_of_rows(void **state) {
    (void)state;
    make_npy(140, 60);
    assert_int_equal(run("classify" W "--in x=@/x.npy --out @/y.npy --threads 3"), 0);
    netc_tensor y = npy("y.npy");
    assert_int_equal(y.dtype, NETC_I32);
    assert_int_equal(y.rank, 1);
    assert_int_equal(y.shape[0], 60);
    int32_t all[60];
    memcpy(all, y.data, sizeof all);
    netc_tensor_free(&y);
    for (int first = 0; first < 60; first += 11) {              /* the same, in other pieces */
        int rows = 60 - first < 11 ? 60 - first : 11;
        make_npy(140 + first, rows);
        assert_int_equal(run("classify" W "--in x=@/x.npy --out @/y.npy"), 0);
        y = npy("y.npy");
        assert_int_equal(y.shape[0], rows);
        assert_memory_equal(y.data, all + first, (size_t)rows * 4);
        netc_tensor_free(&y);
    }
}

static void several_results_and_a_default(void **state) {
    (void)state;
    make_npy(0, 9);
    assert_int_equal(run("both" W "--in x=@/x.npy --out @/p.npy"), NETC_EXIT_USAGE);
    assert_said("several results (p, cool)");
    assert_int_equal(run("both" W "--in x=@/x.npy --out q=@/p.npy"), NETC_EXIT_USAGE);
    assert_said("no result 'q'; it has: p, cool");
    assert_int_equal(run("both" W "--in x=@/x.npy --out 0=@/p.npy --out cool=@/c.npy"), 0);
    assert_int_equal(run("both" W "--in x=@/x.npy --out cool=@/d.npy heat=4"), 0);
    netc_tensor p = npy("p.npy"), c = npy("c.npy"), d = npy("d.npy");
    assert_int_equal(p.rank, 2);
    assert_int_equal(p.shape[0], 9);
    assert_int_equal(p.shape[1], 3);
    for (int r = 0; r < 9; r++) {
        float first = ((float *)p.data)[3 * r];
        assert_true(((float *)c.data)[r] == first / 2 && ((float *)d.data)[r] == first / 4);
    }
    netc_tensor_free(&p);
    netc_tensor_free(&c);
    netc_tensor_free(&d);
}

/* Three answers, a line each, as the .npy file has them. */
static void assert_three_answers(void) {
    char text[32], printed[sizeof tr_output];
    strcpy(printed, tr_output);
    assert_int_equal(run("classify" W "--in x=@/x.npy --out @/three.npy"), 0);
    netc_tensor    t = npy("three.npy");
    const int32_t *y = t.data;
    assert_int_equal(t.shape[0], 3);
    snprintf(text, sizeof text, "%d\n%d\n%d\n", y[0], y[1], y[2]);
    netc_tensor_free(&t);
    assert_string_equal(printed, text);
}

static void results_as_text(void **state) {
    (void)state;
    make_npy(1, 3);
    assert_int_equal(run("classify" W "--in x=@/x.npy"), 0);
    assert_three_answers();
}

static void wrong_inputs(void **state) {
    (void)state;
    make_npy(0, 5);
    assert_int_equal(run("clasify" W), NETC_EXIT_USAGE);
    assert_said("classify, both");
    assert_int_equal(run("classify --in x=@/x.npy"), NETC_EXIT_USAGE);
    assert_said("needs --weights");
    assert_int_equal(run("classify" W "--in y=@/x.npy"), NETC_EXIT_USAGE);
    assert_int_equal(run("classify" W), NETC_EXIT_USAGE);
    assert_said("classify needs --in x=FILE");
    assert_int_equal(run("classify" W "--in x=@/label.npy --out @/y.npy"), NETC_EXIT_DATA);
    assert_said("[4]");
    assert_int_equal(run("classify" W "--in x=@/none.npy --out @/y.npy"), NETC_EXIT_IO);
    assert_int_equal(run("classify --weights @/x.npy --in x=@/x.npy --out @/y.npy"), NETC_EXIT_DATA);
    assert_int_equal(run("both" W "--in x=@/x.npy heat=hot"), NETC_EXIT_USAGE);
    assert_int_equal(run("both" W "--in x=@/x.npy heta=1"), NETC_EXIT_USAGE);
    assert_int_equal(run("classify" W "--in x=@/x.npy --out @/none/y.npy"), NETC_EXIT_IO);
    assert_false(exists("y.npy"));
}

/* ---- eval, init, grad ---------------------------------------------------------------------------------- */

static void eval_repeats_the_result(void **state) {
    (void)state;
    char trained[sizeof tr_output];
    strcpy(trained, tr_output);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_eval, "--data @" W), 0);
    assert_string_equal(tr_output, trained);
    assert_int_equal(
        run_on(TM_PLAIN, netc_cmd_eval, "--data @ --split valid --weights @/run/ckpt-000000078.safetensors"), 0);
    assert_non_null(strstr(tr_output, "valid loss"));
    assert_non_null(strstr(tr_output, "(40 examples)"));
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_eval, "--data @ --split all" W), NETC_EXIT_DATA);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_eval, "--data @/none" W), NETC_EXIT_IO);
}

static void init_gives_training_its_beginning(void **state) {
    (void)state;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_init, "-o @/a.safetensors --seed 5"), 0);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_init, "-o @/b.safetensors --seed=6"), 0);
    assert_int_equal(train("--out @/five seed=5 epochs=0"), 0);
    netc_tensors a, b, five;
    assert_int_equal(netc_safetensors_read(at("a.safetensors"), NULL, NULL, &a), 0);
    assert_int_equal(netc_safetensors_read(at("b.safetensors"), NULL, NULL, &b), 0);
    assert_int_equal(netc_safetensors_read(at("five/weights.safetensors"), NULL, NULL, &five), 0);
    const void *w = netc_tensors_find(&a, "Net.w")->data;
    assert_memory_equal(w, netc_tensors_find(&five, "Net.w")->data, 48);
    assert_int_not_equal(memcmp(w, netc_tensors_find(&b, "Net.w")->data, 48), 0);
    assert_non_null(netc_tensors_find(&a, "Net.mu"));
    assert_null(netc_tensors_find(&a, "lane.Net.h"));
    netc_tensors_free(&a);
    netc_tensors_free(&b);
    netc_tensors_free(&five);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_init, "--seed 5"), NETC_EXIT_USAGE);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_init, "-o @/none/a.safetensors"), NETC_EXIT_IO);
}

/* The gradient of all rows is the mean over the rows of the gradients of each alone. */
static void gradients_of_many_rows(void **state) {
    (void)state;
    enum { ROWS = 20 };                                         /* batches of 8, 8 and 4 */
    double mean[13] = {0};
    netc_tensors g;
    for (int r = 0; r < ROWS; r++) {
        make_npy(r, 1);
        assert_int_equal(
            run_on(TM_PLAIN, netc_cmd_grad, W "--in x=@/x.npy --in label=@/label.npy --out @/g.safetensors"), 0);
        assert_int_equal(netc_safetensors_read(at("g.safetensors"), NULL, NULL, &g), 0);
        for (int i = 0; i < 12; i++) mean[i] += ((float *)netc_tensors_find(&g, "Net.w")->data)[i] / (double)ROWS;
        mean[12] += *(float *)netc_tensors_find(&g, "loss")->data / (double)ROWS;
        netc_tensors_free(&g);
    }
    make_npy(0, ROWS);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_grad, W "--in x=@/x.npy --in label=@/label.npy --out @/g.safetensors"),
                     0);
    assert_int_equal(netc_safetensors_read(at("g.safetensors"), NULL, NULL, &g), 0);
    assert_int_equal(g.count, 3);
    assert_int_equal(netc_tensors_find(&g, "loss")->rank, 0);
    for (int i = 0; i < 12; i++) assert_true(fabs(mean[i] - ((float *)netc_tensors_find(&g, "Net.w")->data)[i]) < 1e-6);
    assert_true(fabs(mean[12] - *(float *)netc_tensors_find(&g, "loss")->data) < 1e-6);
    netc_tensors_free(&g);
    int32_t     wrong[20] = {7};
    netc_tensor t = {.dtype = NETC_I32, .rank = 1, .shape = {20}, .data = wrong, .bytes = sizeof wrong};
    assert_int_equal(netc_npy_write(at("label.npy"), &t), 0);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_grad, W "--in x=@/x.npy --in label=@/label.npy --out @/h.safetensors"),
                     NETC_EXIT_DATA);
    make_npy(0, 4);
    netc_tensor x = npy("x.npy");
    make_npy(0, 5);
    assert_int_equal(netc_npy_write(at("x.npy"), &x), 0);
    netc_tensor_free(&x);
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_grad, W "--in x=@/x.npy --in label=@/label.npy --out @/h.safetensors"),
                     NETC_EXIT_DATA);
    assert_said("the first axis is the batch");
    assert_false(exists("h.safetensors"));
}

/* ---- ensembles ----------------------------------------------------------------------------------------- */

static void members_vote(void **state) {
    (void)state;
    double share;
    assert_int_equal(train("--out @/many ensemble=3 epochs=2"), 0);
    assert_int_equal(sscanf(tr_output, "test accuracy %lf %% (60 examples, vote of 3)", &share), 1);
    char voted[sizeof tr_output];
    strcpy(voted, tr_output);
    assert_true(share > 60);
    assert_int_equal(train("--out @/two seed=2 epochs=2"), 0);  /* member 2 */
    assert_same_file("two/weights.safetensors", "many/2/weights.safetensors");
#define THREE "--weights @/many/1/weights.safetensors,@/many/2/weights.safetensors,@/many/3/weights.safetensors "
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_eval, "--data @ " THREE), 0);
    assert_string_equal(tr_output, voted);
    tm_train_calls = 0;
    assert_int_equal(train("--out @/many ensemble=3 epochs=2"), 0);
    assert_int_equal(tm_train_calls, 0);
    assert_string_equal(tr_output, voted);
    /* run: the majority of the three answers, the smallest of equals */
    make_npy(100, 50);
    assert_int_equal(run("classify " THREE "--in x=@/x.npy --out @/y.npy"), 0);
    netc_tensor all = npy("y.npy"), one[3];
    for (int i = 0; i < 3; i++) {
        char args[128];
        snprintf(args, sizeof args, "classify --weights @/many/%d/weights.safetensors --in x=@/x.npy --out @/y.npy",
                 i + 1);
        assert_int_equal(run(args), 0);
        one[i] = npy("y.npy");
    }
    for (int r = 0; r < 50; r++) {
        int32_t a[3], want;
        for (int i = 0; i < 3; i++) a[i] = ((int32_t *)one[i].data)[r];
        want = a[0] == a[1] || a[0] == a[2] ? a[0]
               : a[1] == a[2]               ? a[1]
               : a[0] < a[1]                ? (a[0] < a[2] ? a[0] : a[2])
               : a[1] < a[2]                ? a[1]
                                            : a[2];
        assert_int_equal(((int32_t *)all.data)[r], want);
    }
    for (int i = 0; i < 3; i++) netc_tensor_free(&one[i]);
    netc_tensor_free(&all);
    assert_int_equal(run("both " THREE "--in x=@/x.npy"), NETC_EXIT_USAGE);
    assert_said("cannot vote");
}

static void a_stopped_ensemble_goes_on(void **state) {
    (void)state;
    assert_int_equal(train("--out @/whole ensemble=2 epochs=2"), 0);
    char voted[sizeof tr_output];
    strcpy(voted, tr_output);
    tm_signal = SIGINT;
    tm_signal_step = 20;
    assert_int_equal(train("--out @/many ensemble=2 epochs=2"), NETC_EXIT_INT);
    tm_signal = 0;
    assert_false(exists("many/2"));
    assert_int_equal(train("--out @/many ensemble=2 epochs=2"), 0);
    assert_string_equal(tr_output, voted);
    assert_same_file("whole/2/weights.safetensors", "many/2/weights.safetensors");
}

/* ---- sweeps -------------------------------------------------------------------------------------------- */

static void the_grid_is_searched(void **state) {
    (void)state;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/grid epochs=2"), 0);
    assert_non_null(strstr(tr_output, "eta=0.001 mom=0"));
    const char *best = strstr(tr_output, "best: eta=0.1 ");
    assert_non_null(best);
    assert_non_null(strstr(best, "test loss"));
    char first[sizeof tr_output];
    strcpy(first, best);
    for (int k = 1; k <= 4; k++) {
        char name[64];
        snprintf(name, sizeof name, "grid/sweep-%d/weights.safetensors", k);
        assert_true(exists(name));
    }
    assert_true(exists("grid/sweep-best.safetensors"));
    tm_train_calls = 0;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/grid epochs=2"), 0);
    assert_int_equal(tm_train_calls, 0);
    assert_string_equal(strstr(tr_output, "best:"), first);
}

static void a_stopped_sweep_goes_on(void **state) {
    (void)state;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/whole epochs=1"), 0);
    char best[sizeof tr_output];
    strcpy(best, strstr(tr_output, "best:"));
    tm_signal = SIGTERM;
    tm_signal_step = 5;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/grid epochs=1"), NETC_EXIT_TERM);
    tm_signal = 0;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/grid epochs=1"), 0);
    assert_string_equal(strstr(tr_output, "best:"), best);
    assert_same_file("whole/sweep-best.safetensors", "grid/sweep-best.safetensors");
}

static void trials_may_diverge(void **state) {
    (void)state;
    tm_nan_step = 3;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/grid epochs=1"), NETC_EXIT_NUMERIC);
    assert_non_null(strstr(tr_output, "diverged"));
    tm_train_calls = 0;
    assert_int_equal(run_on(TM_PLAIN, netc_cmd_sweep, "-q --data @ --out @/grid epochs=1"), NETC_EXIT_NUMERIC);
    assert_int_equal(tm_train_calls, 0);                        /* known from sweep.jsonl */
}

/* Two models, as a driver compiles them for two sizes of a dim: one table, one best. */
static void sizes_are_searched_too(void **state) {
    (void)state;
    static const char *const SIZES[] = {"K=3", "K=5"};
    netc_model        *m[2];
    netc_sweep        *s;
    char               text[4096];
    netc_train_options o = {.run = at("grid"), .data = test_folder, .progress = NETC_PROGRESS_NONE, .threads = 1};
    assert_int_equal(netc_sweep_begin(&o, "unused", &s), 0);
    for (int i = 0; i < 2; i++) {
        m[i] = new_model(TM_PLAIN);
        m[i]->train.epochs = 1;
        assert_int_equal(netc_sweep_add(s, m[i], SIZES[i]), 0);
        assert_true(m[i]->hyper[0].value == 0.1f);
    }
    FILE *out = fopen(at("table"), "w+");
    assert_int_equal(netc_sweep_finish(s, out), 0);
    rewind(out);
    text[fread(text, 1, sizeof text - 1, out)] = 0;
    fclose(out);
    assert_non_null(strstr(text, "    8  K=5 eta=0.1 mom=0.5"));
    assert_non_null(strstr(text, "best: K=3 eta=0.1"));         /* equal scores: the first */
    netc_sweep_free(s);
    for (int i = 0; i < 2; i++) netc_model_free(m[i]);
}

/* ---- filters ------------------------------------------------------------------------------------------- */

static void filters_of_a_layer(void **state) {
    (void)state;
    static const char CONV[] =
        "{\"netc\":\"0.1.0\",\"name\":\"conv\",\"model\":\"Net\",\"hash\":\"1\",\"target\":\"test\",\"batch\":1,"
        "\"params\":[{\"key\":\"Net.c1.w\",\"shape\":[2,1,3,3],\"offset\":0,\"init\":\"he\"},"
        "{\"key\":\"Net.c1.b\",\"shape\":[2],\"offset\":128,\"init\":\"zeros\"}],"
        "\"weights_size\":192,\"state_size\":0,\"opt_size\":0,\"functions\":[]}";
    float        w[18] = {1, 2, 3}, b[2] = {0};
    int64_t      shape[4] = {2, 1, 3, 3};
    netc_tensors s = {0};
    netc_tensors_add(&s, "Net.c1.w", NETC_F32, 4, shape, w);
    netc_tensors_add(&s, "Net.c1.b", NETC_F32, 1, shape, b);
    assert_int_equal(netc_safetensors_write(at("w.safetensors"), &s), 0);
    netc_tensors_free(&s);
    assert_int_equal(run_on(CONV, netc_cmd_filters, "--weights @/w.safetensors --layer Net.c1 -o @/f.png"), 0);
    size_t size;
    char  *png = contents("f.png", &size);
    assert_memory_equal(png, "\x89PNG", 4);
    free(png);
    assert_int_equal(run_on(CONV, netc_cmd_filters, "--weights @/w.safetensors --layer Net.c -o @/g.png"),
                     NETC_EXIT_USAGE);
    assert_said("the model has Net.c1.w");
    assert_int_equal(run_on(CONV, netc_cmd_filters, "--weights @/data.safetensors --layer Net.c1 -o @/g.png"),
                     NETC_EXIT_DATA);
    assert_false(exists("g.png"));
}

/* ---- the stand-alone trainer ----------------------------------------------------------------------------- */

static void the_trainers_command_line(void **state) {
    (void)state;
    make_npy(1, 3);
    assert_int_equal(trainer("-q --data @ --out @/t epochs=1"), 0);
    assert_non_null(strstr(tr_output, "test loss"));
    assert_int_equal(trainer("train -q --data @ --out @/u epochs=1"), 0);
    assert_same_file("t/weights.safetensors", "u/weights.safetensors");
    assert_int_equal(trainer("classify" W "--in x=@/x.npy"), 0);
    assert_three_answers();
    assert_int_equal(trainer("run classify" W "--in x=@/x.npy"), 0);
    assert_three_answers();
    assert_int_equal(trainer("eval --data @" W), 0);
    assert_int_equal(trainer("--help"), 0);
    assert_non_null(strstr(tr_output, "classify"));
    assert_int_equal(trainer("eval --help"), 0);
    assert_non_null(strstr(tr_output, "--split"));
    assert_int_equal(trainer("--version"), 0);
    assert_non_null(strstr(tr_output, "model Net 0123456789abcdef"));
}

static void mistakes_on_the_command_line(void **state) {
    (void)state;
    static const struct { const char *args, *said; } BAD[] = {
        {"classfy", "did you mean 'classify'"},
        {"evla", "did you mean 'eval'"},
        {"train --ot x", "did you mean '--out'"},
        {"train --lr 0.1", "unknown option '--lr'"},
        {"train --out", "needs RUN"},
        {"train --fresh=1", "takes no value"},
        {"train epoch=3", "did you mean 'epochs'"},
        {"train eat=3", "did you mean 'eta'"},
        {"train eta=fast", "not a finite number"},
        {"train eta=1e99", "not a finite number"},
        {"train epochs=-1", "not a whole number from 0"},
        {"train epochs=1.5", "not a whole number"},
        {"train train.batch=20", "compiled in with the value 8"},
        {"train batch=20", "compiled in with the value 8"},
        {"train Kind=4", "dim Kind is compiled in with the value 3"},
        {"train l2=0.1", "compiled in"},
        {"train extra", "'extra' is neither an option nor name=value"},
        {"train --threads 0", "whole number from 1"},
        {"train --log-every often", "neither steps"},
        {"train --progress=loud", "none of auto, bar, plain, none"},
        {"filters --weights w --layer Net.c1 -o f.png", "no convolution of that name"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(trainer(BAD[i].args), NETC_EXIT_USAGE);
        assert_said(BAD[i].said);
    }
    assert_int_equal(trainer("-q --data @ --out @/run train.batch=8 Kind=3"), 0);       /* what it has is fine */
    assert_int_equal(trainer("--data @/none --out @/new"), NETC_EXIT_IO);
    assert_false(exists("new"));
}

/* docs/trainer.md has every command and option of the table, with the same words. */
static void the_page_is_the_table(void **state) {
    (void)state;
    static const struct { const char *name, *arg, *help; } ROWS[] = {
#define TRAINER_COMMAND(id, operands, help) {#id " " operands, "", help},
#define TRAINER_OPTION(id, name, brief, arg, commands, help) {name, arg, help},
#include "runtime/options.def"
#undef TRAINER_COMMAND
#undef TRAINER_OPTION
    };
    char  *page;
    size_t size;
    assert_int_equal(netc_read_file(SOURCE_DIR "/docs/trainer.md", 1 << 20, &page, &size), 0);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char name[128], help[256];
        snprintf(name, sizeof name, "%s%s%s`", ROWS[i].name, *ROWS[i].arg ? " " : "", ROWS[i].arg);
        snprintf(help, sizeof help, "| %s |", ROWS[i].help);
        if (!strstr(page, name)) fail_msg("docs/trainer.md lacks %s", name);
        if (!strstr(page, help)) fail_msg("docs/trainer.md lacks: %s", help);
    }
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(any_number_of_rows),
        COMMAND_TEST(several_results_and_a_default),
        COMMAND_TEST(results_as_text),
        COMMAND_TEST(wrong_inputs),
        COMMAND_TEST(eval_repeats_the_result),
        COMMAND_TEST(init_gives_training_its_beginning),
        COMMAND_TEST(gradients_of_many_rows),
        COMMAND_TEST(members_vote),
        COMMAND_TEST(a_stopped_ensemble_goes_on),
        COMMAND_TEST(the_grid_is_searched),
        COMMAND_TEST(a_stopped_sweep_goes_on),
        COMMAND_TEST(trials_may_diverge),
        COMMAND_TEST(sizes_are_searched_too),
        COMMAND_TEST(filters_of_a_layer),
        COMMAND_TEST(the_trainers_command_line),
        COMMAND_TEST(mistakes_on_the_command_line),
        cmocka_unit_test(the_page_is_the_table),
    };
    return cmocka_run_group_tests_name("runtime/commands", tests, NULL, NULL);
}
