/* For the tests of runtime/: a folder of their own, files in it, quiet messages. */
#ifndef NETC_TESTS_RUNTIME_FILES_H
#define NETC_TESTS_RUNTIME_FILES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/rt_util.h"

static char test_folder[64];

/* "NAME" in the test's folder; valid until the eighth call after. */
static inline const char *at(const char *name) {
    static char path[8][256];
    static int  next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", test_folder, name);
    return p;
}

static inline void put_bytes(const char *name, const void *data, size_t size) {
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static inline void put_text(const char *name, const char *text) { put_bytes(name, text, strlen(text)); }

/* Files and folders in a folder of the test ("": the test's own), hidden ones too. */
static inline int count_files(const char *name) {
    int n = 0;
    DIR *d = opendir(at(name));
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n - 2;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place) {
    (void)st, (void)kind, (void)place;
    return remove(path);
}

static inline int make_folder(void **state) {
    (void)state;
    strcpy(test_folder, "/tmp/netc-test-XXXXXX");
    netc_messages_to(NULL);
    return mkdtemp(test_folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    (void)state;
    return nftw(test_folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The last message says all of `part`. */
static inline void assert_said(const char *part) {
    if (!strstr(netc_error_text(), part)) fail_msg("the message '%s' lacks '%s'", netc_error_text(), part);
}

#define RUNTIME_TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

#endif
