/* Training: it converges, stops and goes on with the same bits, keeps the best, refuses what it must. */
#include "trainer_run.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

/* 100 training examples in batches of 8: 13 steps an epoch, the last one with 4 rows. */
enum { STEPS = 13, EPOCHS = 6 };

static int fresh_test(void **state) {
    tm_signal = 0;
    tm_signal_step = tm_nan_step = -1;
    if (make_folder(state)) return -1;
    make_data();
    return 0;
}

#define TRAINER_TEST(f) cmocka_unit_test_setup_teardown(f, fresh_test, remove_folder)

static void it_learns(void **state) {
    (void)state;
    double loss, accuracy;
    int    examples;
    tm_train_calls = tm_eval_calls = 0;
    assert_int_equal(train("--out @/run"), 0);
    assert_int_equal(tm_train_calls, STEPS * EPOCHS);
    assert_int_equal(tm_eval_calls, 5 * EPOCHS + 8);            /* 40 validation rows each epoch, 60 test rows once */
    assert_int_equal(sscanf(tr_output, "test loss %lf accuracy %lf %% (%d examples)\n", &loss, &accuracy, &examples),
                     3);
    assert_int_equal(examples, 60);
    assert_true(accuracy > 65 && loss < 1.0);                   /* a fifth of the labels is wrong */
    assert_true(exists("run/weights.safetensors") && exists("run/best.safetensors") && exists("run/result.json"));
    assert_true(exists("run/ckpt-000000078.safetensors") && exists("run/ckpt-000000065.safetensors"));
    assert_false(exists("run/ckpt-000000052.safetensors"));
}

/* Reference run in "whole"; a run that is stopped in `step` of the training and continued in "parts". */
static void stop_and_continue(int signal, long step, int code) {
    assert_int_equal(train("--out @/whole"), 0);
    char whole[sizeof tr_output];
    strcpy(whole, tr_output);
    tm_signal = signal;
    tm_signal_step = step;
    assert_int_equal(train("--out @/parts --threads 1"), code);
    assert_string_equal(tr_output, "");
    tm_signal = 0;
    tm_train_calls = 0;
    assert_int_equal(train("--out @/parts --threads 2"), 0);
    assert_int_equal(tm_train_calls, STEPS * EPOCHS - step - 1);
    assert_string_equal(tr_output, whole);
    assert_same_file("whole/weights.safetensors", "parts/weights.safetensors");
    assert_same_checkpoint("whole/ckpt-000000078.safetensors", "parts/ckpt-000000078.safetensors");
}

static void stopped_within_an_epoch(void **state) {
    (void)state;
    stop_and_continue(SIGTERM, 30, NETC_EXIT_TERM);
}

static void stopped_at_the_last_step(void **state) {
    (void)state;
    stop_and_continue(SIGINT, 2 * STEPS - 1, NETC_EXIT_INT);
}

static void stopped_in_the_first_step(void **state) {
    (void)state;
    stop_and_continue(SIGTERM, 0, NETC_EXIT_TERM);
}

static netc_function *no_code(void *asked, const char *name) {
    assert_string_equal(name, "eval");
    ++*(int *)asked;
    return NULL;
}

/* The code of the evaluation, made while the first epoch runs, cannot be made: the epoch is saved, and a netc that can
 * goes on from there. */
static void the_evaluation_has_no_code(void **state) {
    (void)state;
    netc_function_entry table[sizeof TM_FUNCTIONS / sizeof *TM_FUNCTIONS];
    int                 asked = 0;
    assert_int_equal(train("--out @/whole"), 0);
    memcpy(table, TM_FUNCTIONS, sizeof table);
    for (int i = 0; table[i].name; i++)
        if (table[i].fn == tm_eval) table[i].fn = NULL;
    netc_model *m = netc_model_new(TM_PLAIN, strlen(TM_PLAIN), table);
    netc_model_later(m, no_code, &asked);
    tm_train_calls = tm_eval_calls = 0;
    assert_int_equal(run_command_on(m, netc_cmd_train, "-q --data @ --out @/parts"), NETC_EXIT_INTERNAL);
    netc_model_free(m);
    assert_int_equal(asked, 1);
    assert_int_equal(tm_train_calls, STEPS);
    assert_int_equal(tm_eval_calls, 0);
    assert_true(exists("parts/ckpt-000000013.safetensors"));
    tm_train_calls = 0;
    assert_int_equal(train("--out @/parts"), 0);
    assert_int_equal(tm_train_calls, STEPS * (EPOCHS - 1));
    assert_same_file("whole/weights.safetensors", "parts/weights.safetensors");
    assert_same_checkpoint("whole/ckpt-000000078.safetensors", "parts/ckpt-000000078.safetensors");
}

static void threads_do_not_matter(void **state) {
    (void)state;
    assert_int_equal(train("--out @/one --threads 1"), 0);
    assert_int_equal(train("--out @/two --threads 2"), 0);
    assert_int_equal(train("--out @/three --threads 3"), 0);
    assert_same_checkpoint("one/ckpt-000000078.safetensors", "two/ckpt-000000078.safetensors");
    assert_same_checkpoint("one/ckpt-000000078.safetensors", "three/ckpt-000000078.safetensors");
}

static void a_finished_run_says_so(void **state) {
    (void)state;
    assert_int_equal(train("--out @/run"), 0);
    char first[sizeof tr_output];
    strcpy(first, tr_output);
    tm_train_calls = tm_eval_calls = 0;
    assert_int_equal(train("--out @/run"), 0);
    assert_string_equal(tr_output, first);
    assert_int_equal(tm_train_calls + tm_eval_calls, 0);        /* the test data are scored once */
    assert_int_equal(train("--out @/run epochs=8"), 0);         /* longer */
    assert_int_equal(tm_train_calls, 2 * STEPS);
    assert_true(exists("run/ckpt-000000104.safetensors"));
}

static void another_run_is_refused(void **state) {
    (void)state;
    assert_int_equal(train("--out @/run epochs=1"), 0);
    assert_int_equal(train("--out @/run eta=0.2 seed=2"), NETC_EXIT_DATA);
    assert_said("seed was 1, now 2");
    assert_said("eta was 0.1");
    assert_int_equal(train("--out @/run --fresh eta=0.2 seed=2"), 0);
    assert_true(exists("run.1/ckpt-000000013.safetensors"));
    assert_int_equal(train("--out @/run --fresh"), 0);
    assert_true(exists("run.2/ckpt-000000078.safetensors"));
    /* other data */
    netc_tensors s;
    assert_int_equal(netc_safetensors_read(at("data.safetensors"), NULL, NULL, &s), 0);
    ((float *)netc_tensors_find(&s, "x")->data)[5] += 1;
    assert_int_equal(netc_safetensors_write(at("data.safetensors"), &s), 0);
    netc_tensors_free(&s);
    assert_int_equal(train("--out @/run"), NETC_EXIT_DATA);
    assert_said("data was");
}

static void the_best_is_kept(void **state) {
    (void)state;
    static const char *const GROWING =
        TM_DESCRIPTION(TM_SPLITS, "\"seed\":1,\"epochs\":4,\"keep\":{\"key\":\"loss\",\"sign\":1},\"patience\":2");
    /* The loss falls, so the first epoch is the best when a larger one is better; then patience ends it. */
    tm_train_calls = 0;
    assert_int_equal(run_on(GROWING, netc_cmd_train, "-q --data @ --out @/run"), 0);
    assert_int_equal(tm_train_calls, 3 * STEPS);
    assert_int_equal(train("--out @/one epochs=1"), 0);
    netc_tensors a, b;
    assert_int_equal(netc_safetensors_read(at("run/weights.safetensors"), NULL, NULL, &a), 0);
    assert_int_equal(netc_safetensors_read(at("run/best.safetensors"), NULL, NULL, &b), 0);
    assert_memory_equal(netc_tensors_find(&a, "Net.w")->data, netc_tensors_find(&b, "Net.w")->data, 48);
    assert_string_equal(netc_tensors_meta(&a, "netc.step"), "13");
    netc_tensors_free(&a);
    netc_tensors_free(&b);
    /* Going on after patience ended is possible with more of it. */
    tm_train_calls = 0;
    assert_int_equal(run_on(GROWING, netc_cmd_train, "-q --data @ --out @/run patience=5"), 0);
    assert_int_equal(tm_train_calls, STEPS);
}

static void nan_stops_training(void **state) {
    (void)state;
    tm_nan_step = 2 * STEPS + 3;
    assert_int_equal(train("--out @/run"), NETC_EXIT_NUMERIC);
    assert_said("the loss is nan at epoch 3, step 4/13");
    assert_said("eta=0.1");
    assert_true(exists("run/ckpt-000000026.safetensors"));
    assert_false(exists("run/weights.safetensors"));
    tm_nan_step = -1;
    assert_int_equal(train("--out @/run"), 0);                  /* what was saved is good */
}

static void flip_bit(const char *name, size_t from_end) {
    size_t n;
    char  *data = contents(name, &n);
    data[n - from_end] ^= 4;
    put_bytes(name, data, n);
    free(data);
}

static void a_corrupt_checkpoint_is_passed_over(void **state) {
    (void)state;
    assert_int_equal(train("--out @/whole"), 0);
    tm_signal = SIGTERM;
    tm_signal_step = 3 * STEPS + 2;
    assert_int_equal(train("--out @/run"), NETC_EXIT_TERM);
    tm_signal = 0;
    assert_true(exists("run/ckpt-000000042.safetensors") && exists("run/ckpt-000000039.safetensors"));
    flip_bit("run/ckpt-000000042.safetensors", 100);
    tm_train_calls = 0;
    assert_int_equal(train("--out @/run"), 0);
    assert_int_equal(tm_train_calls, 3 * STEPS);
    assert_same_file("whole/weights.safetensors", "run/weights.safetensors");
    /* all of them */
    flip_bit("run/ckpt-000000078.safetensors", 100);
    flip_bit("run/ckpt-000000065.safetensors", 200);
    assert_int_equal(train("--out @/run"), NETC_EXIT_DATA);
    assert_said("no valid checkpoint");
    assert_true(exists("run/weights.safetensors"));
}

static void every_bit_is_guarded(void **state) {
    (void)state;
    assert_int_equal(train("--out @/run epochs=1"), 0);
    size_t n;
    char  *data = contents("run/ckpt-000000013.safetensors", &n);
    for (size_t i = 0; i < n; i += 7) {
        data[i] ^= (char)(1 << i % 8);
        put_bytes("run/ckpt-000000013.safetensors", data, n);
        assert_int_equal(train("--out @/run epochs=1"), NETC_EXIT_DATA);
        data[i] ^= (char)(1 << i % 8);
    }
    free(data);
}

static void the_folder_is_locked(void **state) {
    (void)state;
    assert_int_equal(train("--out @/run epochs=1"), 0);
    int fd = open(at("run/lock"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(train("--out @/run"), NETC_EXIT_IO);
    assert_said("another trainer works in");
    assert_int_equal(train("--out @/run --fresh"), NETC_EXIT_IO);
    assert_false(exists("run.1"));
    close(fd);
    assert_int_equal(train("--out @/run"), 0);
}

static void bad_folders_are_refused(void **state) {
    (void)state;
    put_text("file", "x");
    assert_int_equal(train("--out @/file"), NETC_EXIT_IO);
    assert_int_equal(train("--out @/file/run"), NETC_EXIT_IO);
    assert_int_equal(train("--out /proc/run"), NETC_EXIT_IO);
    assert_int_equal(train("--out @ --fresh"), NETC_EXIT_IO);   /* the data are there: not a run folder */
    assert_said("is not a run folder");
    assert_true(exists("data.safetensors") && exists("file"));
}

/* A folder in place of the checkpoint's temporary cannot be made, but one in place of the checkpoint can. */
static void a_failed_save_does_not_stop_training(void **state) {
    (void)state;
    assert_int_equal(train("--out @/run epochs=1"), 0);
    assert_int_equal(mkdir(at("run/ckpt-000000026.safetensors"), 0777), 0);
    put_text("run/ckpt-000000026.safetensors/x", "");
    assert_int_equal(train("--out @/run epochs=2"), NETC_EXIT_SAVE);
    assert_true(exists("run/ckpt-000000013.safetensors"));
    assert_non_null(strstr(tr_output, "test loss"));            /* training itself ended well */
}

/* A checkpoint never names best weights that are not on the disk: the run that goes on finds them again. */
static void best_weights_that_cannot_be_written(void **state) {
    (void)state;
    assert_int_equal(train("--out @/whole"), 0);
    assert_int_equal(train("--out @/run epochs=1"), 0);
    assert_int_equal(remove(at("run/best.safetensors")), 0);
    assert_int_equal(train("--out @/run epochs=1"), NETC_EXIT_IO);      /* lost behind our back */
    assert_int_equal(train("--out @/run --fresh epochs=0"), 0);
    assert_int_equal(mkdir(at("run/best.safetensors"), 0777), 0);
    put_text("run/best.safetensors/x", "");
    assert_int_equal(train("--out @/run"), NETC_EXIT_SAVE);
    assert_false(exists("run/ckpt-000000078.safetensors"));
    assert_int_equal(remove(at("run/best.safetensors/x")) | remove(at("run/best.safetensors")), 0);
    assert_int_equal(train("--out @/run"), 0);
    assert_same_file("whole/weights.safetensors", "run/weights.safetensors");
    assert_same_file("whole/best.safetensors", "run/best.safetensors");
}

static void expanded_data_count_as_more_examples(void **state) {
    (void)state;
    static const char *const EXPANDED =
        TM_DESCRIPTION("\"train\":" TM_EXPANDED ",\"test\":" TM_SLICE(140, 200), "\"seed\":1,\"epochs\":2");
    tm_train_calls = 0;
    assert_int_equal(run_on(EXPANDED, netc_cmd_train, "-q --data @ --out @/run"), 0);
    assert_int_equal(tm_train_calls, 2 * 38);                   /* 300 examples, 37 batches of 8 and one of 4 */
    assert_true(exists("run/weights.safetensors"));
    assert_false(exists("run/best.safetensors"));               /* no validation data, no keep */
}

static void the_log_tells_it(void **state) {
    (void)state;
    assert_int_equal(train("--out @/run epochs=2"), 0);
    assert_int_equal(train("--out @/run epochs=3"), 0);
    size_t n, where;
    char  *log = contents("run/log.jsonl", &n), *rest = log, *line;
    const char *why, *const EVENTS[] = {"start", "epoch", "epoch", "end", "resume", "epoch", "end"};
    int         count = 0;
    while ((line = strsep(&rest, "\n")) && *line) {
        netc_json_doc *doc = netc_json_parse(line, strlen(line), &why, &where);
        assert_non_null(doc);
        const netc_json *root = netc_json_root(doc);
        assert_true(count < 7);
        assert_string_equal(netc_json_string(netc_json_get(root, "event"), ""), EVENTS[count]);
        if (!strcmp(EVENTS[count++], "epoch")) {
            assert_true(netc_json_number(netc_json_get(netc_json_get(root, "train"), "loss"), 0) > 0);
            assert_true(netc_json_number(netc_json_get(netc_json_get(root, "valid"), "accuracy"), 0) > 0);
            assert_true(netc_json_number(netc_json_get(root, "examples_per_second"), 0) > 0);
        }
        netc_json_free(doc);
    }
    assert_int_equal(count, 7);
    free(log);
}

static void weights_to_start_from(void **state) {
    (void)state;
    assert_int_equal(train("--out @/a epochs=1"), 0);
    assert_int_equal(train("--out @/b epochs=0 --weights @/a/weights.safetensors"), 0);
    netc_tensors a, b;
    assert_int_equal(netc_safetensors_read(at("a/weights.safetensors"), NULL, NULL, &a), 0);
    assert_int_equal(netc_safetensors_read(at("b/weights.safetensors"), NULL, NULL, &b), 0);
    assert_memory_equal(netc_tensors_find(&a, "Net.w")->data, netc_tensors_find(&b, "Net.w")->data, 48);
    netc_tensors_free(&a);
    netc_tensors_free(&b);
    assert_int_equal(train("--out @/c --weights @/data.safetensors"), NETC_EXIT_DATA);
}

/* The process is killed at a random moment, again and again; what comes out is what an undisturbed run gives. */
static void killed_processes_go_on(void **state) {
    (void)state;
    assert_int_equal(train("--out @/whole"), 0);
    for (int round = 0; round < 6; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
            tm_signal = SIGKILL;
            tm_signal_step = round * 15 + 8;
            train("--out @/run --threads 1");
            _exit(0);
        }
        int status;
        waitpid(pid, &status, 0);
    }
    assert_int_equal(train("--out @/run"), 0);
    assert_same_file("whole/weights.safetensors", "run/weights.safetensors");
    assert_same_checkpoint("whole/ckpt-000000078.safetensors", "run/ckpt-000000078.safetensors");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TRAINER_TEST(it_learns),
        TRAINER_TEST(stopped_within_an_epoch),
        TRAINER_TEST(stopped_at_the_last_step),
        TRAINER_TEST(stopped_in_the_first_step),
        TRAINER_TEST(the_evaluation_has_no_code),
        TRAINER_TEST(threads_do_not_matter),
        TRAINER_TEST(a_finished_run_says_so),
        TRAINER_TEST(another_run_is_refused),
        TRAINER_TEST(the_best_is_kept),
        TRAINER_TEST(nan_stops_training),
        TRAINER_TEST(a_corrupt_checkpoint_is_passed_over),
        TRAINER_TEST(every_bit_is_guarded),
        TRAINER_TEST(the_folder_is_locked),
        TRAINER_TEST(bad_folders_are_refused),
        TRAINER_TEST(a_failed_save_does_not_stop_training),
        TRAINER_TEST(best_weights_that_cannot_be_written),
        TRAINER_TEST(expanded_data_count_as_more_examples),
        TRAINER_TEST(the_log_tells_it),
        TRAINER_TEST(weights_to_start_from),
        TRAINER_TEST(killed_processes_go_on),
    };
    return cmocka_run_group_tests_name("runtime/trainer", tests, NULL, NULL);
}
