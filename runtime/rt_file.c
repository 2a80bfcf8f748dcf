/* Files: read as regular files only, written whole or not at all. */
#include "runtime/rt_util.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading -------------------------------------------------------------------------------------- */

int netc_open_read(const char *path, uint64_t *size, int *code) {
    /* O_NONBLOCK: opening a pipe must not wait for a writer; it means nothing for regular files. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        *code = netc_error_errno(NETC_EXIT_IO, "%s: cannot be opened", path);
    } else if (!S_ISREG(st.st_mode)) {
        *code = netc_error(NETC_EXIT_IO, "%s: %s", path,
                           S_ISDIR(st.st_mode) ? "is a folder, not a file" : "is not a regular file");
    } else {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0) close(fd);
    return -1;
}

int netc_read_exact(int fd, void *p, uint64_t n, uint64_t offset, const char *path) {
    char *to = p;
    while (n) {
        size_t part = n < (1u << 30) ? (size_t)n : (1u << 30);
        ssize_t got = pread(fd, to, part, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return netc_error_errno(NETC_EXIT_IO, "%s: cannot be read", path);
        if (got == 0) return netc_error(NETC_EXIT_DATA, "%s: ends at byte %llu", path, (unsigned long long)offset);
        to += got;
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return NETC_EXIT_OK;
}

int netc_read_file(const char *path, uint64_t max, char **data, size_t *size) {
    uint64_t bytes;
    int code;
    int fd = netc_open_read(path, &bytes, &code);
    if (fd < 0) return code;
    char *p = NULL;
    if (bytes > max) {
        code = netc_error(NETC_EXIT_LIMIT, "%s: has %llu bytes, at most %llu are accepted", path,
                          (unsigned long long)bytes, (unsigned long long)max);
    } else if (!(p = netc_try_alloc(bytes + 1, path))) {
        code = NETC_EXIT_LIMIT;
    } else {
        code = netc_read_exact(fd, p, bytes, 0, path);
    }
    close(fd);
    if (code) {
        free(p);
        return code;
    }
    p[bytes] = 0;
    *data = p;
    *size = (size_t)bytes;
    return NETC_EXIT_OK;
}

char *netc_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return netc_strdup(".");
    char *dir = netc_strdup(path);
    dir[slash == path ? 1 : slash - path] = 0;
    return dir;
}

static bool leaves_folder(const char *name) {
    if (name[0] == '/' || !name[0]) return true;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') return true;
        p += n + (p[n] == '/');
    }
    return false;
}

char *netc_data_path(const char *dir, const char *name) {
    if (leaves_folder(name)) {
        netc_error(NETC_EXIT_IO, "%s: file names of data are relative and stay below the data folder; "
                   "name the folder with --data DIR", name);
        return NULL;
    }
    return netc_format("%s/%s", dir && *dir ? dir : ".", name);
}

/* ---- writing -------------------------------------------------------------------------------------- */

/* A link is followed, so that what it names is replaced and the link stays. */
static char *final_path(const char *path) {
    char *real = realpath(path, NULL);
    return real ? real : netc_strdup(path);
}

static char *temporary_name(const char *path) {
    static unsigned number;
    char *dir = netc_folder_of(path);
    const char *slash = strrchr(path, '/');
    char *name = netc_format("%s/.%s.%ld-%u.tmp", dir, slash ? slash + 1 : path, (long)getpid(),
                             __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
    free(dir);
    return name;
}

static int reserve(netc_file *f, uint64_t size) {
    int why;
    do why = size ? posix_fallocate(f->fd, 0, (off_t)size) : 0; while (why == EINTR);
    if (!why || why == EOPNOTSUPP || why == EINVAL) return NETC_EXIT_OK;    /* not all file systems can */
    errno = why;
    netc_error_errno(NETC_EXIT_IO, "%s: no room for %llu bytes", f->path, (unsigned long long)size);
    netc_file_abort(f);
    return NETC_EXIT_IO;
}

int netc_file_create(netc_file *f, const char *path, uint64_t size) {
    signal(SIGXFSZ, SIG_IGN);       /* a file-size limit is an error of write, not the end of the process */
    *f = (netc_file){.fd = -1, .path = final_path(path)};
    struct stat st;
    if (!stat(f->path, &st) && !S_ISREG(st.st_mode)) {
        if (S_ISDIR(st.st_mode)) errno = EISDIR;
        else f->fd = open(f->path, O_WRONLY | O_CLOEXEC);
        f->direct = true;
    } else {
        f->temporary = temporary_name(f->path);
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    }
    if (f->fd < 0) {
        netc_error_errno(NETC_EXIT_IO, "%s: cannot be written", path);
        free(f->temporary);
        f->temporary = NULL;        /* it was not made: nothing to remove */
        netc_file_abort(f);
        return NETC_EXIT_IO;
    }
    return f->direct ? NETC_EXIT_OK : reserve(f, size);
}

int netc_file_write(netc_file *f, const void *p, size_t n) {
    const char *from = p;
    while (n) {
        ssize_t done = write(f->fd, from, n < (1u << 30) ? n : (1u << 30));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return netc_error_errno(NETC_EXIT_IO, "%s: cannot be written", f->path);
        from += done;
        n -= (size_t)done;
    }
    return NETC_EXIT_OK;
}

void netc_file_abort(netc_file *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->temporary) unlink(f->temporary);
    free(f->path);
    free(f->temporary);
    *f = (netc_file){.fd = -1};
}

/* The new name is durable only when the folder is. */
static int sync_folder(const char *path) {
    char *dir = netc_folder_of(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (fd < 0) return 0;           /* a folder that may be written but not read */
    int bad = fsync(fd) && errno != EINVAL && errno != EROFS;
    close(fd);
    return bad;
}

int netc_file_commit(netc_file *f) {
    int code = NETC_EXIT_OK;
    off_t end = f->direct ? 0 : lseek(f->fd, 0, SEEK_CUR);
    if (!f->direct && (end < 0 || ftruncate(f->fd, end) || fsync(f->fd))) {
        code = netc_error_errno(NETC_EXIT_IO, "%s: cannot be written", f->path);
    }
    int bad = close(f->fd);
    f->fd = -1;
    if (!code && bad) code = netc_error_errno(NETC_EXIT_IO, "%s: cannot be written", f->path);
    if (!code && !f->direct) {
        if (rename(f->temporary, f->path)) {
            code = netc_error_errno(NETC_EXIT_IO, "%s: cannot be replaced", f->path);
        } else {
            free(f->temporary);
            f->temporary = NULL;
            if (sync_folder(f->path)) code = netc_error_errno(NETC_EXIT_IO, "%s: its folder cannot be synced", f->path);
        }
    }
    netc_file_abort(f);
    return code;
}

int netc_write_file(const char *path, const void *p, size_t n) {
    netc_file f;
    int code = netc_file_create(&f, path, n);
    if (code) return code;
    code = netc_file_write(&f, p, n);
    if (code) {
        netc_file_abort(&f);
        return code;
    }
    return netc_file_commit(&f);
}

/* ".NAME.PID-N.tmp" */
static bool is_temporary(const char *name) {
    size_t n = strlen(name);
    if (name[0] != '.' || n < 8 || strcmp(name + n - 4, ".tmp")) return false;
    const char *p = name + n - 5;
    while (p > name && isdigit((unsigned char)*p)) p--;
    if (*p != '-' || p == name + n - 5) return false;
    const char *dash = p--;
    while (p > name && isdigit((unsigned char)*p)) p--;
    return *p == '.' && p > name && p + 1 < dash;
}

void netc_remove_temporaries(const char *dir) {
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (is_temporary(e->d_name)) unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

int netc_make_dir(const char *path) {
    char *p = netc_strdup(path);
    int code = NETC_EXIT_OK;
    for (char *end = p + 1; !code; end++) {
        if (*end && *end != '/') continue;
        char kept = *end;
        *end = 0;
        struct stat st;
        if (mkdir(p, 0777) && (errno != EEXIST || stat(p, &st) || !S_ISDIR(st.st_mode))) {
            code = netc_error_errno(NETC_EXIT_IO, "%s: cannot be made", p);
        }
        *end = kept;
        if (!kept) break;
    }
    free(p);
    return code;
}
