/* RUN/: the folder of one training run. One trainer at a time works in it (a lock that ends with the
 * process). Files: docs/trainer.md.
 */
#ifndef NETC_RUNTIME_RUN_FOLDER_H
#define NETC_RUNTIME_RUN_FOLDER_H
#include "runtime/rt_util.h"

typedef struct {
    char *path;
    int   lock, log;            /* file descriptors */
    bool  log_failed;           /* a record could not be written (a warning said so) */
} netc_run_folder;

/* Makes the folder if need be and locks it; `fresh`: what is there is moved to PATH.1 (.2, ...) first.
 * Exit code 3 after a message: another trainer works there, or it cannot be written. */
int   netc_run_open(netc_run_folder *r, const char *path, bool fresh);
void  netc_run_close(netc_run_folder *r);               /* {.lock = -1, .log = -1} is allowed */
char *netc_run_path(const netc_run_folder *r, const char *name);        /* PATH/NAME; free() it */
/* Appends one record (a JSON object without newline) to PATH/log.jsonl. */
void  netc_run_log(netc_run_folder *r, const char *record);

#endif
