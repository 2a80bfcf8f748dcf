/* Results of a function, all rows: collected batch by batch, then written to .npy files or as text. Symbols of a
 * vocab are printed as text. What lies past the length of a row is 0 in a file and not printed.
 */
#ifndef NETC_RUNTIME_RESULTS_H
#define NETC_RUNTIME_RESULTS_H
#include "runtime/command.h"

/* One result: an output of the function, or the lengths of a ragged dim that an argument fixed. */
typedef struct {
    const char      *name;
    const netc_port *port;
    int              out, in;   /* the call's buffer: an output, else an input; both -1: the inputs' own lengths */
    char            *data;      /* rows * row_bytes, or one value */
    const char      *file;      /* NULL: not wanted */
} netc_result;

/* Where the results go. */
typedef struct {
    const netc_call   *call;
    const netc_inputs *inputs;
    int64_t            rows;
    netc_result       *result;
    int                n, nmain;        /* lengths come behind the nmain others */
    bool               print;   /* no --out: as text on stdout */
} netc_results;

/* For in->rows rows. The --out of `o` say which are wanted; NULL or none of them: all, as text. Exit code. */
int  netc_results_new(netc_results *r, const netc_call *c, const netc_inputs *in, const netc_options *o);
void netc_results_free(netc_results *r);                /* {0} is allowed */
/* Takes what the last call gave for the rows first .. first+n-1. */
void netc_results_take(const netc_results *r, int64_t first, int64_t n);
/* A line per row; results beside each other, with tabs between where one is text. */
void netc_results_text(const netc_results *r, netc_buf *out);
int  netc_results_print(const netc_results *r);
int  netc_results_write(const netc_results *r);         /* to the files, or printed */

#endif
