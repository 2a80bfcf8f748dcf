/* Checkpoints: RUN/ckpt-STEP.safetensors, everything that training needs to go on with the same bits.
 *
 * Tensors: weights and shared states under their keys, "opt.*", "lane.*", and
 *   netc.cursor   U64[8]  epoch, step in the epoch, step, rows in the sums, best epoch, best step,
 *                         epochs since the best, 0
 *   netc.metrics  F64[..] best and kept score, seconds, seconds of the epoch, sums of loss and metrics,
 *                         1 per metric that is a share
 *   netc.end      U64[4]  the commit record with sums of all the rest (tensor_file.h)
 * The metadata hold the run's identity; going on needs the same one.
 */
#ifndef NETC_RUNTIME_CHECKPOINT_H
#define NETC_RUNTIME_CHECKPOINT_H
#include "runtime/run_folder.h"
#include "runtime/score.h"

/* Where a run stands. */
typedef struct {
    int64_t    epoch, batch, step;      /* epochs done, steps done in this one, steps done in all */
    int64_t    best_epoch, best_step;   /* of the best validation score; 0: none yet */
    int64_t    stale;                   /* epochs since then */
    double     best, kept;              /* best score; score of the weights that are kept (nan: none) */
    double     seconds, epoch_seconds;  /* training, from the beginning and of this epoch */
    netc_score sums;                    /* of this epoch's steps */
} netc_position;

/* What must be equal for a run to go on: names and values as text. */
typedef struct {
    struct { char *name, *value; } *item;
    int n;
} netc_identity;

void netc_identity_add(netc_identity *id, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void netc_identity_free(netc_identity *id);

/* Writes a durable checkpoint, then removes older ones but the newest. Exit code; a failure leaves the
 * older ones as they are. */
int  netc_checkpoint_save(const netc_run_folder *r, const netc_model *m, const netc_identity *id, const netc_blocks *b,
                          const netc_position *at);
/* Loads the newest valid checkpoint into b and *at (whose sums are prepared by netc_score_new). *found:
 * is there one; *file: its name within RUN (free() it). A corrupt one is passed over with a warning;
 * exit code 4 if all are corrupt or the run is another one. */
int  netc_checkpoint_load(const netc_run_folder *r, const netc_model *m, const netc_identity *id, netc_blocks *b,
                          netc_position *at, bool *found, char **file);
/* The name of the newest checkpoint file in RUN, valid or not; NULL: none. free() it. */
char *netc_checkpoint_newest(const netc_run_folder *r);

/* Weights and shared states with the step they stand for. */
int  netc_weights_save_step(const netc_model *m, const char *path, const netc_blocks *b, int64_t step);
/* Exit code 4 if the file stands for another step, except that a later one is accepted without loading
 * it: *loaded = false. */
int  netc_weights_load_step(const netc_model *m, const char *path, netc_blocks *b, int64_t step, bool *loaded);

#endif
