/* Loss and metrics of a pass over examples, and how they are shown.
 *
 * A metric averages over the examples, or is arithmetic on quotients of sums over them (`ratio(a, b)`, which
 * the description's "metrics" say in the order of a stack machine). A mean is shown as a share in percent
 * ("accuracy 98.91 %") if it counts: the sum of every batch was a whole number between 0 and the batch's
 * rows; everything else as a number.
 */
#ifndef NETC_RUNTIME_SCORE_H
#define NETC_RUNTIME_SCORE_H
#include "runtime/call.h"

enum { NETC_MAX_METRICS = 32, NETC_MAX_SUMS = 64 };

typedef struct {
    int         nmetric;        /* in the objective's order */
    const char *name[NETC_MAX_METRICS];
    int         first[NETC_MAX_METRICS];                /* its sum, or the first of a formula's */
    const netc_json *formula[NETC_MAX_METRICS];         /* NULL: a mean */
    int         nsum;           /* outputs of the function that are summed over the rows */
    int         port[NETC_MAX_SUMS], loss_port;
    double      loss, sum[NETC_MAX_SUMS];
    bool        share[NETC_MAX_SUMS];                   /* it counts rows */
    int64_t     rows;
} netc_score;

/* For the outputs "loss" (mean over the rows of a call), "metric.NAME" and "ratio.NAME.0", "ratio.NAME.1" ..
 * (sums; a formula's first ratio is 0 by 1). Exit code after a message. */
int    netc_score_new(netc_score *s, const netc_call *c);
void   netc_score_clear(netc_score *s);
/* Adds what the last call gave for `count` rows; returns its loss. */
double netc_score_add(netc_score *s, const netc_call *c, int64_t count);
double netc_score_loss(const netc_score *s);            /* means; nan without rows */
double netc_score_metric(const netc_score *s, int i);
/* The value of "loss" or of a metric; false if there is none of that name. */
bool   netc_score_value(const netc_score *s, const char *key, double *v);

/* "loss 0.0312  accuracy 98.91 %" with `gap` between the parts. */
void netc_score_text(netc_buf *b, const netc_score *s, const char *gap);
/* {"loss":0.0312,"accuracy":0.9891} */
void netc_score_json(netc_buf *b, const netc_score *s);
/* "test loss 0.0312 accuracy 98.91 % (10000 examples)": what commands print on stdout. */
void netc_score_result(netc_buf *b, const netc_score *s, const char *split);

/* Scores a split with the function "eval". Weights and shared states are read, never changed; lane
 * states begin at their first values. */
typedef struct {
    netc_engine *engine;
    netc_call    call;
    netc_feed    feed;
    int64_t     *position;      /* of one batch */
    netc_blocks  scratch;       /* only its states are used */
    netc_score   score;         /* of the last pass */
} netc_evaluator;

int  netc_evaluator_new(netc_evaluator *v, netc_engine *e, const netc_split *s);
void netc_evaluator_free(netc_evaluator *v);            /* {0} is allowed */
/* NETC_EXIT_OK; that of a signal if one came in between; that of netc_call_ready. */
int  netc_evaluate(netc_evaluator *v, const netc_blocks *b, const netc_time *t, uint64_t seed);

/* Lane states to their first values; `state` of `from` to `to` for the shared ones. */
void netc_states_reset_lanes(const netc_model *m, float *state);
void netc_states_copy_shared(const netc_model *m, float *to, const float *from);

#endif
