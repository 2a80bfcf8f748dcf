/* The first and only process of the machine that tests/avx512.sh emulates: runs the lines of /commands, says of each
 * how it ended and how many millions of instructions it took, and hands the files in /out to the host: a tar archive,
 * written byte by byte to the parallel port, which the emulator writes to a file. */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

enum { PRINTER = 0x378, STROBE = 1, SELECTED = 0xC, SWITCH = 0x8900, WORDS = 64, LINE = 1024, BLOCK = 512 };

static void print_byte(int byte) {
    outb((unsigned char)byte, PRINTER);
    outb(SELECTED | STROBE, PRINTER + 2);
    outb(SELECTED, PRINTER + 2);
}

/* One member of an archive (POSIX ustar, name below 100 characters), padded to blocks. */
static void print_file(const char *path) {
    char        head[BLOCK] = "";
    struct stat s;
    FILE       *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &s)) return;
    snprintf(head, 100, "%s", path + 1);
    snprintf(head + 100, 24, "%07o%c%07o%c%07o", 0644, 0, 0, 0, 0);
    snprintf(head + 124, 12, "%011llo", (unsigned long long)s.st_size);
    snprintf(head + 136, 12, "%011o", 0);
    memcpy(head + 148, "        0", 9);
    memcpy(head + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++) sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    for (int i = 0; i < BLOCK; i++) print_byte(head[i]);
    long long n = 0;
    for (int c; n < s.st_size && (c = getc(f)) != EOF; n++) print_byte(c);
    for (; n % BLOCK; n++) print_byte(0);
    fclose(f);
}

static void print_archive(void) {
    glob_t found;
    if (!glob("/out/*", 0, NULL, &found))
        for (size_t i = 0; i < found.gl_pathc; i++) print_file(found.gl_pathv[i]);
    for (int i = 0; i < 2 * BLOCK; i++) print_byte(0);
}

/* The exit code of a command: words between blanks. */
static int command(char *line) {
    char *word[WORDS], *rest = line;
    int   n = 0, status = 0;
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

int main(void) {
    char  line[LINE];
    FILE *list = fopen("/commands", "r"), *codes;
    mkdir("/out", 0755);
    mkdir("/tmp", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(console, i);
    setenv("PATH", "/usr/bin:/bin:/", 1);
    setenv("HOME", "/tmp", 1);
    codes = fopen("/out/codes", "w");
    if (iopl(3) || !list || !codes) return perror("init"), 1;
    while (fgets(line, sizeof line, list)) {
        printf("== %s", line);
        fflush(stdout);
        unsigned long long start = __rdtsc();
        int                code = command(line);
        fprintf(codes, "%d\n", code);
        printf("== exit code %d, %llu million instructions\n", code, (__rdtsc() - start) / 1000000);
        fflush(stdout);
    }
    fclose(codes);
    tcdrain(1);
    print_archive();
    for (const char *p = "Shutdown"; *p; p++) outb((unsigned char)*p, SWITCH);
    return 0;
}
