#include "driver/link.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/netc_rt.h"

extern char **environ;

/* A runtime built with the sanitizers needs them in the trainer, too. */
#ifdef NETC_SANITIZE
#define NETC_LINK_FLAGS NETC_SANITIZE,
#else
#define NETC_LINK_FLAGS
#endif

/* The runtime library lies beside netc (in a build tree) or in ../lib/netc (installed). */
static const char *runtime_library(Arena *a) {
    static const char *const PLACES[] = {"libnetc_runtime.a", "../lib/netc/libnetc_runtime.a"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return NULL;
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (int i = 0; i < 2; i++) {
        const char *path = arena_printf(a, "%s/%s", self, PLACES[i]);
        if (!access(path, R_OK)) return path;
    }
    return NULL;
}

int link_trainer(Arena *a, const char *object, const char *out) {
    const char *library = runtime_library(a), *cc = getenv("CC");
    if (!library) {
        fputs("netc: libnetc_runtime.a is not beside netc: the installation is not whole\n", stderr);
        return NETC_EXIT_IO;
    }
    if (!cc || !*cc) cc = "cc";
    char *tmp = arena_printf(a, "%s.tmp%ld", out, (long)getpid());
    /* zlib and libpng go in as archives: the program then needs the C library and nothing else. */
    char *argv[] = {(char *)cc, "-o", tmp, (char *)object, (char *)library, "-Wl,--gc-sections", "-Wl,--as-needed",
                    "-Wl,-Bstatic", "-lpng", "-lz", "-Wl,-Bdynamic", "-lpthread", "-lm", NETC_LINK_FLAGS NULL};
    pid_t pid;
    int   status = 0, e = posix_spawnp(&pid, cc, NULL, NULL, argv, environ);
    if (e) {
        fprintf(stderr, "netc: cannot start the linker '%s': %s (set CC, or install gcc)\n", cc, strerror(e));
        return NETC_EXIT_IO;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (status) {
        unlink(tmp);
        fprintf(stderr,
                "netc: linking %s failed (it needs gcc, libpng-dev and zlib1g-dev; the command was: %s -o %s %s %s "
                "-Wl,-Bstatic -lpng -lz -Wl,-Bdynamic -lpthread -lm)\n",
                out, cc, out, object, library);
        return NETC_EXIT_IO;
    }
    if (rename(tmp, out)) {
        fprintf(stderr, "netc: cannot write %s: %s\n", out, strerror(errno));
        unlink(tmp);
        return NETC_EXIT_IO;
    }
    return 0;
}
