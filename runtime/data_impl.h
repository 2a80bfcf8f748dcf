/* How the readers of data fill a source. */
#ifndef NETC_RUNTIME_DATA_IMPL_H
#define NETC_RUNTIME_DATA_IMPL_H
#include "runtime/data.h"

/* One source being read: its files, whole paths, and the columns to fill. */
typedef struct {
    const netc_model *m;
    const char       *dir;      /* the data folder */
    const char       *kind;     /* "idx" */
    char            **file;
    int               nfile;
    netc_source      *s;        /* rows = -1 until the first column is there */
} data_load;

/* Each returns 0 or an exit code after a message; what they filled is freed by the caller. */
int data_load_idx(data_load *l);
int data_load_npy(data_load *l);
int data_load_named(data_load *l);      /* npz, safetensors */
int data_load_table(data_load *l);      /* csv, tsv */
int data_load_images(data_load *l);
int data_load_text(data_load *l);
/* The windows of a text: the view v, so far a range of its symbols, as a stream. */
int data_stream(const netc_model *m, const netc_json *e, netc_split *v);

/* The number of rows that a file has: all files of a source must agree, and none is empty. */
int data_set_rows(data_load *l, int64_t rows, const char *path);
/* Fills column `field` from a tensor (netc_rows_from_tensor); f32 must be finite. */
int data_set_column(data_load *l, int field, netc_tensor *t, const char *path, bool u8_is_image);
/* "label is 12, but Digit has 10 values" for a value at `where` ("f.csv:3:1", "f: row 7"). */
int data_check_element(const netc_port *p, int64_t value, const char *where);
/* The symbols of a port's dim if that is a vocab, else NULL: the model's, or those of the vocab's file, read
 * into *own, which the caller frees. Checks the size. */
int data_vocab(const data_load *l, const netc_port *p, netc_vocab *own, const netc_vocab **v);
/* The source has no ragged fields, or a message: `kind` cannot say how long a row is. */
int data_no_ragged(const data_load *l);
/* Numbers from .. from+n-1 of a column, as its port wants them. */
void data_copy(const netc_column *c, int64_t from, int64_t n, void *to);
/* The row in whose place an element of a column lies. */
int64_t data_row_of(const netc_port *p, const int64_t *start, int64_t rows, int64_t element);
/* Integers where the port needs them. */
int data_check_type(const netc_port *p, const netc_tensor *t, const char *what);
/* All numbers of t in the port's type; elements must lie in their dim. start: of a ragged column, or NULL. */
int data_convert(const netc_port *p, const netc_tensor *t, const char *what, const int64_t *start, int64_t rows,
                 void *to);

#endif
