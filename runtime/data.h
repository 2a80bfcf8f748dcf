/* Data: the splits of a description's data block, loaded and ready to be gathered into batches.
 *
 *     source   a file or several: fields with `rows` rows each; u8 stays u8 in memory. Rows of a ragged field
 *              lie one behind the other, each as far as its lengths go
 *     text     a source of one long row of symbols; only its windows (stream) are examples
 *     split    a view of a source: a range or a list of dataset indices, or the windows of a text
 * A dataset index is row * variants + variant (variants = 1 without `expand`). Positions 0 .. count-1
 * of a split are what the trainer shuffles.
 */
#ifndef NETC_RUNTIME_DATA_H
#define NETC_RUNTIME_DATA_H
#include "runtime/model.h"

/* One field of a source. */
typedef struct {
    const netc_port *port;
    netc_dtype dtype;           /* in memory: NETC_U8, NETC_F32 or NETC_I32 */
    bool       scale;           /* u8 that becomes f32 / 255 */
    void      *data;            /* rows * port->count numbers; ragged: start[rows] */
    int64_t   *start;           /* ragged: where each row begins in data, rows + 1 places; else NULL */
} netc_column;

/* The lengths of a ragged dim: all fields that have it agree. */
typedef struct {
    const netc_dim *dim;
    int32_t        *length;     /* one per row, 1 .. dim->size */
} netc_lengths;

typedef struct netc_source {
    const netc_json *plan;      /* the description's node: equal ones are loaded once */
    int64_t      rows;
    netc_column *column;        /* one per field of the data block */
    int          ncolumn;
    netc_lengths *lengths;      /* the ragged dims of the fields; of a text without lengths: windows are whole */
    int          nlengths;
    bool         text;          /* column[0].data are `rows` symbols, u8 or i32 */
    struct netc_source *next;
} netc_source;

typedef struct {
    const char  *name;          /* "train", "valid", "test" */
    netc_source *source;
    int64_t      count;         /* examples, variants included */
    int64_t      first;         /* dataset index of position 0 if map is NULL (the others follow) */
    int64_t     *map;           /* else the dataset index of each position */
    /* expand */
    int64_t      variants;      /* 1: not expanded */
    int          nargs;         /* integers of a variant */
    int32_t     *variant;       /* variants * nargs */
    const char  *function;      /* "expand.0", NULL without */
    int          field;         /* which field it makes */
    /* stream: example w * lanes + l is window w of lane l; its symbols begin at first + l * lane + w * window */
    int64_t      lanes;         /* 0: not a stream */
    int64_t      lane, window;  /* symbols of a lane, of a window */
    int          follower;      /* the field that is one symbol later */
} netc_split;

typedef struct {
    netc_split  *split;
    int          nsplit;
    netc_source *sources;
} netc_data;

/* Loads the named splits (NULL: all; `names` ends with NULL; one that the description lacks is passed
 * over). File names are looked up below `dir`. Exit code 3: a file cannot be read; 4: it is corrupt or
 * does not fit the fields. On failure *d is {0}. */
int  netc_data_load(const netc_model *m, const char *dir, const char *const *names, netc_data *d);
void netc_data_free(netc_data *d);
netc_split *netc_data_split(const netc_data *d, const char *name);       /* NULL if absent */
/* A number of the loaded contents (and of the views), for checkpoints. */
uint64_t netc_data_fingerprint(const netc_data *d);

/* Copies field `field` of the examples at `position[0..n)` of the split to rows 0 .. n-1 of dst, in the
 * port's dtype (u8 of idx and images: / 255 for f32), 0 past their lengths. Rows from n on are not touched.
 * The untransformed field, if the split is expanded. */
void netc_batch_gather(const netc_split *s, const int64_t *position, int64_t n, int field, void *dst);
/* Argument `arg` of the expand function for those examples. */
/* Asks the memory for the row. */
void netc_batch_prefetch(const netc_split *s, int64_t position, int field);
void netc_batch_variant(const netc_split *s, const int64_t *position, int64_t n, int arg, int32_t *dst);

/* The lengths of ragged dim `dim` of those examples. False: no field has it. */
bool netc_batch_lengths(const netc_split *s, const int64_t *position, int64_t n, const char *dim, int32_t *dst);

/* The order of an epoch: random, as netc_permutation; of a stream, its own. With `bucket`, a ragged dim, each
 * group of NETC_BUCKET batches is sorted by length, then the full batches are put into a random order. */
enum { NETC_BUCKET = 32 };
void netc_epoch_order(const netc_split *s, const char *bucket, int64_t batch, uint64_t seed, uint64_t epoch,
                      int64_t *out);

/* out[0..n) = a random order of 0 .. n-1: a function of (seed, epoch) only. */
void netc_permutation(uint64_t seed, uint64_t epoch, int64_t n, int64_t *out);

/* Copies row `row` of a column to dst, as netc_batch_gather does; `lengths` are those of its source. */
void netc_column_row(const netc_column *c, const netc_lengths *lengths, int nlengths, int64_t row, void *dst);
const int32_t *netc_lengths_of(const netc_lengths *lengths, int nlengths, const char *dim);    /* NULL: none */

/* Copies what a padded row has: length[k] of each axis; the rest of `to` is 0. */
void netc_row_copy(const netc_port *p, const int64_t *length, const void *from, void *to);

/* Fills a ragged column from a tensor that is padded: axis 0 the rows, each ragged axis of any size from the
 * longest length to the dim's maximum. What lies past the lengths is not looked at. Checks the rest as
 * netc_rows_from_tensor does. */
int  netc_column_from_padded(netc_column *c, const netc_lengths *lengths, int nlengths, netc_tensor *t,
                             const char *what, bool keep_u8);
/* Lengths of `dim` from a tensor of integers, [rows]; *length: free() it. */
int  netc_lengths_from_tensor(const netc_dim *dim, const netc_tensor *t, const char *what, int32_t **length);

/* A tensor from a file as rows of a port (`run --in`, npy sources): the first axis is the rows, the rest
 * must be the port's shape, axes of size 1 apart (with `flat`, a port of one axis also takes rows of more
 * axes). Checks types, and that elements lie in their dim. On success *data holds t->shape[0] rows of
 * *dtype: the port's, or u8 for an f32 port if `keep_u8`; 64 bytes of room behind; free() it. t owns its
 * data and may lose them; free it in any case. `what` names the file in messages. */
int  netc_rows_from_tensor(const netc_port *p, netc_tensor *t, const char *what, bool keep_u8, bool flat,
                           netc_dtype *dtype, void **data);

#endif
