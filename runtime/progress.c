#include "runtime/progress.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double BAR_SECONDS = 0.1;          /* the rewritten line changes this often */

void netc_rate_text(char text[16], double v) {
    if (v >= 1e6) snprintf(text, 16, "%.3gM", v / 1e6);
    else if (v >= 1e3) snprintf(text, 16, "%.3gk", v / 1e3);
    else snprintf(text, 16, "%.3g", v);
}

void netc_duration_text(char text[32], double seconds) {
    unsigned long s = seconds > 0 && seconds < 1e9 ? (unsigned long)(seconds + 0.5) : 0;
    snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

void netc_progress_start(netc_progress *p, netc_progress_kind kind, FILE *out, const char *label) {
    *p = (netc_progress){.kind = kind, .out = out ? out : stderr, .label = label, .every_seconds = 10};
    if (kind == NETC_PROGRESS_AUTO) p->kind = isatty(fileno(p->out)) ? NETC_PROGRESS_BAR : NETC_PROGRESS_PLAIN;
    p->last = netc_seconds();
}

bool netc_progress_due(const netc_progress *p, int64_t step, double now) {
    switch (p->kind) {
    case NETC_PROGRESS_BAR: return now - p->last >= BAR_SECONDS;
    case NETC_PROGRESS_PLAIN: return p->every_steps ? step % p->every_steps == 0 : now - p->last >= p->every_seconds;
    default: return false;
    }
}

static int terminal_width(FILE *out) {
    struct winsize w;
    return !ioctl(fileno(out), TIOCGWINSZ, &w) && w.ws_col ? w.ws_col : 80;
}

/* The line; `unit` behind the rate. */
static netc_buf step_text(const netc_progress *p, const netc_score *s, const netc_progress_point *at,
                          const char *unit) {
    netc_buf b = {0};
    char     rate[16], left[32];
    netc_rate_text(rate, at->rate);
    netc_duration_text(left, at->left);
    netc_buf_printf(&b, "%sepoch %lld/%lld  step %lld/%lld  ", p->label, (long long)at->epoch, (long long)at->epochs,
                    (long long)at->batch, (long long)at->batches);
    netc_score_text(&b, s, "  ");
    netc_buf_printf(&b, "  %s%s  ETA %s", rate, unit, left);
    return b;
}

void netc_progress_step(netc_progress *p, const netc_score *s, const netc_progress_point *at, double now) {
    netc_buf b = step_text(p, s, at, " examples/s");
    if (p->kind == NETC_PROGRESS_BAR) {
        int width = terminal_width(p->out) - 1;
        if ((int)b.size > width) {
            netc_buf_free(&b);
            b = step_text(p, s, at, "/s");
        }
        fprintf(p->out, "\r%.*s\033[K", width, b.data);
        p->bar_shown = true;
    } else {
        fprintf(p->out, "%s\n", b.data);
    }
    fflush(p->out);
    netc_buf_free(&b);
    p->last = now;
}

void netc_progress_clear(netc_progress *p) {
    if (!p->bar_shown) return;
    fputs("\r\033[K", p->out);
    fflush(p->out);
    p->bar_shown = false;
}

void netc_progress_say(netc_progress *p, const char *fmt, ...) {
    if (p->kind == NETC_PROGRESS_NONE) return;
    netc_progress_clear(p);
    va_list ap;
    va_start(ap, fmt);
    fputs(p->label, p->out);
    vfprintf(p->out, fmt, ap);
    va_end(ap);
    fputc('\n', p->out);
    fflush(p->out);
}
