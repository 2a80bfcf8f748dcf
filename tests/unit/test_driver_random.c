/* Random graphs and networks, compiled: see tests/random/campaign.h for what must hold, error_bound.h for the bound.
 *
 *     test_driver_random                    75 of them, the regressions, special values
 *     NETC_SEED=7 NETC_COUNT=1000 ...       seeds 7 .. 1006; NETC_ALL=1: every schedule; NETC_SHRINK=1: the
 *                                           smallest graph that still fails is printed; NETC_ONLY=graph,
 *                                           network or scans: those alone
 *     test_driver_random FILE.ir            one graph, every schedule
 *
 * What was found once lies in tests/golden/ir-regressions/ and stays there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/random/campaign.h"
#include "tests/unit/folder_util.h"

static long setting(const char *name, long otherwise) {
    const char *v = getenv(name);
    return v ? atol(v) : otherwise;
}

static int start(void **state) {
    (void)state;
    campaign_start();
    return make_folder(state);
}

static int finish(void **state) {
    (void)state;
    const CampaignCount *c = campaign_count;
    print_message("%ld graphs, compiled %ld times, %ld runs, %ld numbers compared, %ld without a bound\n", c->graphs,
                  c->compiled, c->runs, c->numbers, c->unbounded);
    return remove_folder(state);
}

/* ---- random ------------------------------------------------------------------------------------------------ */

static const char *const SOURCES[] = {"graph", "network", "scans"};

static void report(const Subject *s) {
    fprintf(stderr, "^ seed %llu, %s%s\n", (unsigned long long)s->seed, SOURCES[s->source], s->train ? ", trained" : "");
    if (!setting("NETC_SHRINK", 0)) return;
    Arena *a = arena_new();
    fprintf(stderr, "%s", campaign_shrink(a, s));
    arena_free(a);
}

static void random_subjects(SubjectSource source, long count) {
    uint64_t first = (uint64_t)setting("NETC_SEED", 1);
    int      failed = 0;
    if (getenv("NETC_ONLY") && strcmp(getenv("NETC_ONLY"), SOURCES[source])) return;
    count = setting("NETC_COUNT", count);
    for (uint64_t seed = first; seed < first + (uint64_t)count; seed++) {
        Subject s = {.source = source, .seed = seed, .train = source == FROM_NET || seed % 2, .object = seed % 8 == 0,
                     .all = setting("NETC_ALL", 0), .folder = folder};
        if (campaign_check(&s, false)) continue;
        report(&s);
        failed++;
    }
    if (failed) fail_msg("%d of %ld", failed, count);
}

static void random_graphs(void **state) {
    (void)state;
    random_subjects(FROM_GRAPH, 30);
}

static void random_networks(void **state) {
    (void)state;
    random_subjects(FROM_NET, 30);
}

static void random_recurrences(void **state) {
    (void)state;
    random_subjects(FROM_SCANS, 15);
}

static void few_numbers_are_without_a_bound(void **state) {
    (void)state;
    assert_true(campaign_count->numbers > 1000);
    assert_true(campaign_count->unbounded < campaign_count->numbers / 50);
}

/* ---- what was found once ----------------------------------------------------------------------------------- */

static bool check_file(const char *path, bool all) {
    Arena  *a = arena_new();
    size_t  n;
    char   *text = file_read(a, path, 1 << 20, &n);
    Subject s = {.source = FROM_TEXT, .seed = (uint64_t)setting("NETC_SEED", 1), .text = text, .all = all,
                 .folder = folder};
    bool    good = text && campaign_check(&s, false);
    if (!good) fprintf(stderr, "^ %s\n", path);
    arena_free(a);
    return good;
}

static void regressions(void **state) {
    (void)state;
    glob_t found;
    int    failed = 0;
    if (glob(SOURCE_DIR "/tests/golden/ir-regressions/*.ir", 0, NULL, &found)) fail_msg("no regressions");
    for (size_t i = 0; i < found.gl_pathc; i++) failed += !check_file(found.gl_pathv[i], setting("NETC_ALL", 0));
    globfree(&found);
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv) {
    if (argc == 2) {
        campaign_start();
        return !check_file(argv[1], true);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(random_networks),
        cmocka_unit_test(random_recurrences),
        cmocka_unit_test(few_numbers_are_without_a_bound),
        cmocka_unit_test(regressions),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
