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

/* The number of rows that a file has: all files of a source must agree, and none is empty. */
int data_set_rows(data_load *l, int64_t rows, const char *path);
/* Fills column `field` from a tensor (netc_rows_from_tensor); f32 must be finite. */
int data_set_column(data_load *l, int field, netc_tensor *t, const char *path, bool u8_is_image);
/* "label is 12, but Digit has 10 values" for a value at `where` ("f.csv:3:1", "f: row 7"). */
int data_check_element(const netc_port *p, int64_t value, const char *where);
/* The symbols of a port's dim if that is a vocab, else count = 0. Checks the size. */
int data_vocab(const data_load *l, const netc_port *p, netc_vocab *v);

#endif
