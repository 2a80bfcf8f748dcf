/* What a person sees while a network trains, on stderr. On a terminal one line that is rewritten:
 *     epoch 3/10  step 812/938  loss 0.0431  accuracy 98.7 %  12.4k examples/s  ETA 0:00:41
 * else such a line every few seconds or steps. A line per epoch stays in both cases.
 */
#ifndef NETC_RUNTIME_PROGRESS_H
#define NETC_RUNTIME_PROGRESS_H
#include "runtime/score.h"

typedef enum { NETC_PROGRESS_AUTO, NETC_PROGRESS_BAR, NETC_PROGRESS_PLAIN, NETC_PROGRESS_NONE } netc_progress_kind;

typedef struct {
    netc_progress_kind kind;    /* never AUTO once started */
    FILE       *out;
    const char *label;          /* before each line ("member 2/5  "), may be "" */
    int64_t     every_steps;    /* plain: a line every so many steps, 0: by time */
    double      every_seconds;
    double      last;           /* when a line was shown */
    bool        bar_shown;      /* the cursor is in the rewritten line */
} netc_progress;

/* `out` NULL: stderr. AUTO is a bar if `out` is a terminal. */
void netc_progress_start(netc_progress *p, netc_progress_kind kind, FILE *out, const char *label);
/* Is it time to show something? Cheap; `step` counts over the whole training. */
bool netc_progress_due(const netc_progress *p, int64_t step, double now);
/* Where training is. */
typedef struct {
    int64_t epoch, epochs, batch, batches;      /* epoch from 1, steps done of this epoch */
    double  rate, left;                         /* examples per second, seconds to go */
} netc_progress_point;
void netc_progress_step(netc_progress *p, const netc_score *s, const netc_progress_point *at, double now);
/* A line that stays; clears the rewritten one first. Nothing with NETC_PROGRESS_NONE. */
void netc_progress_say(netc_progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Clears the rewritten line, before a message of another kind. */
void netc_progress_clear(netc_progress *p);

/* "12.4k", "870", "1.25M" */
void netc_rate_text(char text[16], double v);
/* "0:00:41" */
void netc_duration_text(char text[32], double seconds);

#endif
