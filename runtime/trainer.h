/* Training: epochs over shuffled batches, validation, the run folder (docs/trainer.md).
 *
 * A run is a function of its model, data, hypers and seed alone: the same bits with any number of
 * threads, stopped and continued or not.
 */
#ifndef NETC_RUNTIME_TRAINER_H
#define NETC_RUNTIME_TRAINER_H
#include "runtime/call.h"
#include "runtime/progress.h"

typedef struct {
    const char *run;            /* folder; NULL: NAME.run */
    const char *data;           /* where the data files are looked up; NULL: "." */
    const char *weights;        /* file to start from; NULL: first weights of the seed */
    const char *label;          /* before each progress line, NULL: nothing */
    bool        fresh;          /* move away what is in the folder */
    bool        skip_test;      /* score validation data only (trials of a sweep) */
    int         threads;        /* 0: one per CPU */
    double      save_every;     /* seconds between checkpoints within an epoch, 0: only at its end */
    netc_progress_kind progress;
    int64_t     log_every_steps;        /* plain progress; 0: by time */
    double      log_every_seconds;
} netc_train_options;

typedef struct {
    int64_t epochs, steps;      /* done */
    int64_t kept_epoch;         /* whose weights are kept, from 1 */
    double  score;              /* their validation score: the metric of `keep`, else the loss; nan: none */
    double  seconds;
    bool    was_finished;       /* nothing was left to do */
    char   *text;               /* "test loss ...", NULL with skip_test; free() it */
} netc_train_result;

/* Trains one model (`ensemble` is not looked at) as its train plan says, on the splits "train", and "valid", "test" if
 * they exist. Exit code: 130/143 after a signal, with a checkpoint written. */
int  netc_train_in(netc_engine *e, const netc_data *data, const netc_train_options *o, netc_train_result *r);
void netc_train_result_free(netc_train_result *r);

/* The default run folder: NAME.run; free() it. */
char *netc_default_run(const netc_model *m);
/* Loads the splits that training uses. */
int   netc_train_data(const netc_model *m, const char *dir, netc_data *data);
/* What the weights are judged by: the key and sign of `keep`, else the loss. */
void  netc_watched(const netc_model *m, const char **key, int *sign);
/* First values of the parameters, drawn by the function "init"; states and optimizer as they are. */
int   netc_first_weights(netc_engine *e, uint64_t seed, netc_blocks *b);

#endif
