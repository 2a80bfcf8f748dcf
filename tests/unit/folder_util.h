/* A folder of its own for the files of a test program. */
#ifndef NETC_TESTS_FOLDER_UTIL_H
#define NETC_TESTS_FOLDER_UTIL_H
#include <stdio.h>
#include <stdlib.h>

static char folder[] = "/tmp/netc_test_XXXXXX";

static inline int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

#endif
