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

/* Arguments of a function, all rows, ready to be cut into batches:
 *
 *   --in NAME=x.npy    an array; ragged axes are padded, --in T=lengths.npy says how long each row is (else all
 *                      are as long as the array)
 *   --in NAME=x.txt    symbols of a vocab: a row for each line. --in NAME=- : standard input, line by line
 *   --in NAME=TEXT     any other text, for symbols of a vocab: one row
 *   NAME=VALUE         the same in all rows: a number, a symbol, the length of a dim that no argument fixes; or
 *                      one row of text */
typedef struct {
    netc_call    *call;
    netc_column  *column;       /* per port: its rows; data NULL: `fill` is used */
    float        *fill;         /* the default or NAME=VALUE, for ports without data */
    netc_lengths *lengths;      /* of the ragged dims whose lengths the function takes; length NULL: `fill` */
    int           nlengths;
    int64_t       rows;         /* the same for all arrays; 1 without any */
    int           lines;        /* the port that standard input fills, -1: none */
    bool          lines_fixed;  /* another argument says how long its rows are */
} netc_inputs;

/* Takes the settings that are arguments of the function and gives the others to the model. */
int  netc_inputs_read(netc_inputs *in, netc_call *call, const netc_options *o);
/* The same without a command line: NAME=VALUE only. */
int  netc_inputs_set(netc_inputs *in, netc_call *call, const char *const *setting, int n);
void netc_inputs_free(netc_inputs *in);                 /* {0} is allowed */
/* Makes `line` the one row of the port in->lines. `where` is named in messages. */
int  netc_inputs_line(netc_inputs *in, const char *line, const char *where);
/* Copies rows first .. first+n-1 into the call's buffers. */
void netc_inputs_batch(const netc_inputs *in, int64_t first, int64_t n);

#endif
