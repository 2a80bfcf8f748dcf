#include "runtime/clip.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/image.h"

/* ---- names ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

void netc_names_free(netc_names *n) {
    for (int i = 0; i < n->count; i++) free(n->name[i]);
    free(n->name);
    *n = (netc_names){0};
}

static void add_name(netc_names *n, const char *name) {
    if (!(n->count & (n->count - 1))) {         /* a power of two: full */
        n->name = netc_resize(n->name, (size_t)(n->count ? 2 * n->count : 1), sizeof *n->name);
    }
    n->name[n->count++] = netc_strdup(name);
}

int netc_folder_list(const char *path, bool folders, netc_names *n) {
    *n = (netc_names){0};
    DIR *d = opendir(path);
    if (!d) return netc_error_errno(NETC_EXIT_IO, "%s: cannot be read as a folder", path);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0)) continue;
        if (folders ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode) && netc_image_named(e->d_name)) add_name(n, e->d_name);
    }
    closedir(d);
    if (n->count) qsort(n->name, (size_t)n->count, sizeof *n->name, by_name);
    return NETC_EXIT_OK;
}

bool netc_is_folder(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* ---- clips ---------------------------------------------------------------------------------------- */

/* Frame i into the clip, whose memory the first one takes. */
static int add_frame(netc_tensor *clip, const char *path, const int64_t *want, int i, int count) {
    netc_tensor t;
    int         code = netc_image_read(path, want, &t);
    if (!code && !i) {
        *clip = (netc_tensor){.dtype = NETC_U8, .rank = 4, .shape = {count, t.shape[0], t.shape[1], t.shape[2]}};
        code = netc_tensor_alloc(clip, path);
    }
    if (!code) memcpy((char *)clip->data + (size_t)i * t.bytes, t.data, t.bytes);
    netc_tensor_free(&t);
    return code;
}

int netc_clip_read(const char *folder, const int64_t want[3], int64_t most, netc_tensor *t) {
    netc_names files;
    *t = (netc_tensor){0};
    int code = netc_folder_list(folder, false, &files);
    if (!code && !files.count) code = netc_error(NETC_EXIT_DATA, "%s: empty: no .png, .pgm or .ppm in it", folder);
    if (!code && files.count > most)
        code =
            netc_error(NETC_EXIT_DATA, "%s: has %d pictures, at most %lld fit", folder, files.count, (long long)most);
    for (int i = 0; i < files.count && !code; i++) {
        char *path = netc_format("%s/%s", folder, files.name[i]);
        code = add_frame(t, path, i && !want ? t->shape + 1 : want, i, files.count);
        free(path);
    }
    netc_names_free(&files);
    if (code) netc_tensor_free(t);
    return code;
}
