/* What the two files of scans share: scan.c (names, types, direction), scan_lower.c (the scan in the graph). */
#ifndef NETC_FRONTEND_SCAN_IMPL_H
#define NETC_FRONTEND_SCAN_IMPL_H
#include "frontend/check.h"

/* What a scan defines. */
typedef struct {
    const char *name;
    const Ast  *lhs, *from;        /* its left side; its first value or NULL */
    bool        carried, far;      /* read one step before; read at another distance, which is a mistake */
    Ty          ty;                /* of the carry */
    bool        fixed;             /* known from its first value */
    Value      *init;
    int         naxis;             /* the map indices that a carry varies with */
    Index     **axis;
} Out;

typedef struct {
    Cx        *cx;
    const Ast *item;
    Index     *var;
    VEC(Out)   outs;
    bool       back, ahead, ok;    /* reads t-1, t+1 */
    int64_t    checkpoint, truncate;
} ScanWalk;

/* A frame for one step, with its outputs; out_values are empty. */
Frame *scan_frame(ScanWalk *s, Frame *f);
/* The value of an output after a walk; NULL after a mistake. */
Value *scan_output(Frame *g, const Out *o);
Value *scan_sequence(ScanWalk *s, const Out *o, const Value *v, Dim *dim);
bool   scan_check(ScanWalk *s, Frame *g);              /* types of carries, the `until` */

/* scan_lower.c: walks the body once more and makes the scan; defines the outputs in f. */
bool   scan_lower(ScanWalk *s, Frame *f, Dim *dim);

#endif
