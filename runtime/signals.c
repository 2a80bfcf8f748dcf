#include "runtime/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "runtime/netc_rt.h"

static volatile sig_atomic_t caught;
static struct sigaction      before_int, before_term;
static int                   depth;

static void on_signal(int signal) {
    if (caught && signal == SIGINT) _exit(NETC_EXIT_INT);
    caught = signal;
}

void netc_signals_catch(void) {
    if (depth++) return;
    caught = 0;
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, &before_int);
    sigaction(SIGTERM, &a, &before_term);
}

void netc_signals_restore(void) {
    if (--depth) return;
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
}

int netc_signal_caught(void) { return caught; }

int netc_signal_exit_code(void) { return caught == SIGTERM ? NETC_EXIT_TERM : NETC_EXIT_INT; }

void netc_signal_pretend(int signal) { caught = signal; }
