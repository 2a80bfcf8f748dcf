/* The search of hypers: every combination of the grids is a trial, trained in RUN/sweep-K, judged on
 * validation data by `keep` (else by the loss). The best one's test data are scored at the end, once.
 * RUN/sweep.jsonl has a record for each trial; a sweep that was stopped goes on.
 *
 * Dims in the grid change the compiled code: the caller adds one model for each of their combinations.
 */
#ifndef NETC_RUNTIME_SWEEP_H
#define NETC_RUNTIME_SWEEP_H
#include "runtime/trainer.h"

typedef struct netc_sweep netc_sweep;

/* `o` must live as long as the sweep. `run`: the folder if o->run is NULL. Exit code. */
int  netc_sweep_begin(const netc_train_options *o, const char *run, netc_sweep **s);
/* Trains every combination of m's hypers that its train plan sweeps (all that have a grid, if it names
 * none) and gives them back their values. `dims`: the model's sizes as shown with its trials ("K=5"),
 * "" if none are searched. m must live until netc_sweep_free. Trials that diverge are recorded, the
 * sweep goes on. Exit code; 130/143 after a signal. */
int  netc_sweep_add(netc_sweep *s, netc_model *m, const char *dims);
/* Prints the table, then the best trial's result on `out`. RUN/sweep-best.safetensors holds its weights. */
int  netc_sweep_finish(netc_sweep *s, FILE *out);
void netc_sweep_free(netc_sweep *s);                    /* NULL is allowed */

#endif
