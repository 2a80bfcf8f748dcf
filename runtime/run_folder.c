#include "runtime/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *netc_run_path(const netc_run_folder *r, const char *name) { return netc_format("%s/%s", r->path, name); }

static bool exists(const char *path) {
    struct stat st;
    return !lstat(path, &st);
}

/* The lock of the folder `path`; -1 after a message. */
static int take_lock(const char *path) {
    char *file = netc_format("%s/lock", path);
    int   fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        netc_error_errno(NETC_EXIT_IO, "cannot write in the run folder: %s", file);
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            netc_error(NETC_EXIT_IO, "another trainer works in %s: wait for it, or use another folder with --out",
                       path);
        else
            netc_error_errno(NETC_EXIT_IO, "cannot lock %s", file);
        close(fd);
        fd = -1;
    }
    free(file);
    return fd;
}

static bool is_empty(const char *path) {
    DIR *d = opendir(path);
    if (!d) return true;
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n <= 2;                                      /* "." and ".." */
}

/* PATH -> PATH.1, or the first number that is free. Only a run folder is ever moved. */
static int move_away(const char *path) {
    char *file = netc_format("%s/lock", path);
    bool  ours = exists(file);
    free(file);
    if (!ours && !is_empty(path))
        return netc_error(NETC_EXIT_IO, "--fresh: %s is not a run folder, it stays where it is; choose another --out",
                          path);
    int lock = take_lock(path);
    if (lock < 0) return NETC_EXIT_IO;
    char *to = NULL;
    int   code = NETC_EXIT_OK;
    for (int i = 1; !to; i++) {
        to = netc_format("%s.%d", path, i);
        if (!exists(to)) break;
        free(to);
        to = NULL;
    }
    if (rename(path, to)) code = netc_error_errno(NETC_EXIT_IO, "cannot move %s to %s", path, to);
    else netc_note("%s moved to %s", path, to);
    close(lock);
    free(to);
    return code;
}

/* A record that a crash tore apart must not swallow the next one. */
static int open_log(const char *file) {
    int fd = open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return netc_error_errno(-1, "cannot write %s", file);
    struct stat st;
    char        last;
    if (!fstat(fd, &st) && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n')
        if (write(fd, "\n", 1) != 1) netc_warning("cannot write %s", file);
    return fd;
}

int netc_run_open(netc_run_folder *r, const char *path, bool fresh) {
    *r = (netc_run_folder){.lock = -1, .log = -1};
    int code = fresh && exists(path) ? move_away(path) : NETC_EXIT_OK;
    if (!code) code = netc_make_dir(path);
    if (code) return code;
    r->path = netc_strdup(path);
    r->lock = take_lock(path);
    if (r->lock >= 0) {
        netc_remove_temporaries(path);
        char *log = netc_run_path(r, "log.jsonl");
        r->log = open_log(log);
        free(log);
    }
    if (r->lock >= 0 && r->log >= 0) return NETC_EXIT_OK;
    netc_run_close(r);
    return NETC_EXIT_IO;
}

void netc_run_close(netc_run_folder *r) {
    if (r->log >= 0) close(r->log);
    if (r->lock >= 0) close(r->lock);
    free(r->path);
    *r = (netc_run_folder){.lock = -1, .log = -1};
}

void netc_run_log(netc_run_folder *r, const char *record) {
    char   *line = netc_format("%s\n", record);
    size_t  n = strlen(line), done = 0;
    while (done < n) {
        ssize_t k = write(r->log, line + done, n - done);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) break;
        done += (size_t)k;
    }
    free(line);
    if (done < n && !r->log_failed) netc_warning("cannot write %s/log.jsonl: %s", r->path, strerror(errno));
    if (done < n) r->log_failed = true;
}
