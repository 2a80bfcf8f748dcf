/* Tensors in files: safetensors, .npy, .npz, IDX (also .gz). All of it is untrusted input: every size
 * is checked against the file before memory is asked for.
 */
#ifndef NETC_RUNTIME_TENSOR_FILE_H
#define NETC_RUNTIME_TENSOR_FILE_H
#include "runtime/rt_util.h"

enum { NETC_MAX_RANK = 8 };

typedef enum {
    NETC_F32, NETC_I32, NETC_U8, NETC_F64, NETC_I64, NETC_U64, NETC_I8, NETC_I16, NETC_F16, NETC_BF16, NETC_BOOL,
    NETC_DTYPES
} netc_dtype;
int         netc_dtype_size(netc_dtype d);              /* bytes */
const char *netc_dtype_text(netc_dtype d);              /* "f32" */

/* Numbers in C order, little-endian, aligned to 64 bytes when read from a file. */
typedef struct {
    char      *name;            /* NULL where the format has none (.npy, IDX) */
    netc_dtype dtype;
    int        rank;
    int64_t    shape[NETC_MAX_RANK];
    void      *data;
    size_t     bytes;
} netc_tensor;

typedef struct {
    netc_tensor *t;
    int          count;
    struct { char *key, *value; } *meta;    /* safetensors' __metadata__ */
    int          nmeta;
    void        *block;         /* one allocation for all the data, or NULL */
    bool         owns_data;     /* each t[i].data is its own allocation */
} netc_tensors;

int64_t      netc_tensor_count(const netc_tensor *t);   /* elements */
void         netc_tensor_free(netc_tensor *t);          /* one that owns its data (netc_npy_read, ...) */
/* Bytes of dtype and shape; false: more than 2^40 elements, or an axis below 0. */
bool         netc_tensor_size(const netc_tensor *t, uint64_t *bytes);
/* Memory for dtype and shape: sets data and bytes. `path` for messages. */
int          netc_tensor_alloc(netc_tensor *t, const char *path);
/* "[20, 1, 5, 5]" into text. */
enum { NETC_SHAPE_TEXT = 160 };
const char  *netc_shape_text(int rank, const int64_t *shape, char text[NETC_SHAPE_TEXT]);
/* Element i as a double (u64 and i64 beyond 2^53 are rounded). */
double       netc_tensor_get(const netc_tensor *t, int64_t i);
/* All numbers as f32 into dst. f64 and 64-bit integers are rounded: *rounded says so (NULL: don't care). */
void         netc_tensor_to_f32(const netc_tensor *t, float *dst, bool *rounded);

void         netc_tensors_free(netc_tensors *s);        /* {0} is allowed; leaves {0} */
netc_tensor *netc_tensors_find(const netc_tensors *s, const char *name);
const char  *netc_tensors_meta(const netc_tensors *s, const char *key);          /* NULL if absent */
/* Adds a tensor whose data stay the caller's (name and shape are copied). */
void         netc_tensors_add(netc_tensors *s, const char *name, netc_dtype d, int rank, const int64_t *shape,
                              const void *data);
void         netc_tensors_add_meta(netc_tensors *s, const char *key, const char *value);

/* Called when names, types and shapes are known and no data are read yet (data = NULL): returns 0, or
 * an exit code after a message, to stop. */
typedef int netc_tensors_check(void *cx, const char *path, const netc_tensors *header);

/* ---- safetensors: github.com/huggingface/safetensors, "Format" -------------------------------------- */
/* `check` may be NULL. On failure *s is {0}. */
int netc_safetensors_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s);
/* Sorted by alignment of the dtype (large first), then name; data begin on 64 bytes; atomic. */
int netc_safetensors_write(const char *path, const netc_tensors *s);
/* The same with a commit record: one more tensor, last in the file, "netc.end" U64[4] = { magic, step,
 * CRC-32 of the header, CRC-32 of magic, step and the data before it }. */
int netc_checkpoint_write(const char *path, const netc_tensors *s, uint64_t step);
/* Reads a file that has one; exit code 4 if it is missing or a sum is wrong. */
int netc_checkpoint_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s);

/* ---- .npy, .npz: numpy.org/doc/stable/reference/generated/numpy.lib.format.html ---------------------- */
/* f4 f8 f2 i1 u1 i2 i4 i8 u8 b1, little-endian; Fortran order is turned into C order. */
int netc_npy_read(const char *path, netc_tensor *t);
int netc_npy_write(const char *path, const netc_tensor *t);
int netc_npz_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s);

/* ---- IDX: yann.lecun.com/exdb/mnist; also compressed with gzip ---------------------------------------- */
/* Opens `path`, or `path`.gz if only that exists. Big-endian numbers are turned around. */
int netc_idx_read(const char *path, netc_tensor *t);

/* By the name's end: .npy, .idx/-ubyte (.gz too), .png/.pgm/.ppm (one image: [1, c, h, w]). */
int netc_tensor_read(const char *path, netc_tensor *t);
/* Is it a picture or IDX, whose bytes stand for 0 to 1? (Those of .npy are the numbers themselves.) */
bool netc_tensor_of_pixels(const char *path);
/* By the name's end: .safetensors or .npz. */
int netc_tensors_read(const char *path, netc_tensors_check *check, void *cx, netc_tensors *s);

#endif
