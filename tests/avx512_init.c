/* The first and only process of the machine that tests/avx512.sh emulates: runs the lines of /commands, says of each
 * how it ended and how many millions of instructions it took, and in the end how many failed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

enum { SWITCH = 0x8900, WORDS = 4096, LINE = 1 << 16 };

/* The exit code of a command: words between blanks. */
static int command(char *line) {
    static char *word[WORDS];
    char        *rest = line;
    int          n = 0, status = 0;
    while (n < WORDS - 1 && (word[n] = strsep(&rest, " \n"))) n += *word[n] != 0;
    word[n] = NULL;
    pid_t child = fork();
    if (child == 0) {
        execvp(word[0], word);
        perror(word[0]);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void turn_off(void) {
    tcdrain(1);
    if (!iopl(3))
        for (const char *p = "Shutdown"; *p; p++) outb((unsigned char)*p, SWITCH);
}

int main(void) {
    static char line[LINE];
    int         failed = 0, count = 0;
    FILE       *list = fopen("/commands", "r");
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(console, i);
    setenv("PATH", "/usr/bin:/bin:/", 1);
    setenv("HOME", "/tmp", 1);
    for (; list && fgets(line, sizeof line, list); count++) {
        printf("== %.100s%s", line, strlen(line) > 100 ? "...\n" : "");
        fflush(stdout);
        unsigned long long start = __rdtsc();
        int                code = command(line);
        printf("== exit code %d, %llu million instructions\n", code, (__rdtsc() - start) / 1000000);
        failed += code != 0;
    }
    printf("== %d of %d failed\n", failed, count);
    fflush(stdout);
    turn_off();
    return 0;
}
