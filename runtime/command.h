/* What the commands of a trainer share. */
#ifndef NETC_RUNTIME_COMMAND_H
#define NETC_RUNTIME_COMMAND_H
#include "runtime/options.h"
#include "runtime/trainer.h"

/* Parses the command line and applies its name=value settings to the model. With o->help set, or a code
 * other than NETC_EXIT_OK, the command ends. The caller frees *o if the code is NETC_EXIT_OK. */
int netc_command_start(netc_command c, netc_model *m, int argc, char **argv, netc_options *o);
/* The options of train and sweep. Exit code after a message. */
int netc_command_train_options(const netc_options *o, netc_train_options *t);
int netc_command_threads(const netc_options *o, int *threads);
/* Operands are a mistake: NETC_EXIT_USAGE after a message if there are more than `allowed`. */
int netc_command_no_operands(const netc_options *o, int allowed);

/* Arguments of a function from --in NAME=FILE (and, where the description gives a default or the port is
 * one number, from NAME=VALUE): whole arrays, ready to be cut into batches. */
typedef struct {
    netc_call *call;
    void     **data;            /* per port: rows * row_bytes, NULL: `fill` is used */
    float     *fill;            /* the default or NAME=VALUE, for ports without data */
    int64_t    rows;            /* the same for all arrays; 1 without any */
} netc_inputs;

/* Takes the settings that are arguments of the function and gives the others to the model. */
int  netc_inputs_read(netc_inputs *in, netc_call *call, const netc_options *o);
void netc_inputs_free(netc_inputs *in);                 /* {0} is allowed */
/* Copies rows first .. first+n-1 into the call's buffers. */
void netc_inputs_batch(const netc_inputs *in, int64_t first, int64_t n);

#endif
