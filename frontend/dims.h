/* Dims, the arithmetic of sizes, bounds of subscripts, and the types of the language.
 *
 * A size is an affine form over dims: H+2*pad-k+1 is {H: 1} + 2*pad-k+1. What a form means:
 *   exactly one dim, coefficient 1, no constant     that dim
 *   no ragged dim                                   an anonymous number
 *   else                                            a derived ragged dim, equal iff the form is equal
 * Floor division of a form over ragged dims is an atom of its own, made once for equal operands.
 */
#ifndef NETC_FRONTEND_DIMS_H
#define NETC_FRONTEND_DIMS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "ir/ir.h"

typedef struct Dim Dim;

typedef struct {
    Dim    *dim;
    int64_t k;
} Atom;

/* c + sum of k * dim. `bad`: some step left the range of int64_t. Atoms in order of appearance, k != 0. */
typedef struct {
    int     n;
    Atom   *atom;
    int64_t c;
    bool    bad;
} Form;

struct Dim {
    const char *name;              /* NULL: a number or a derived dim */
    int64_t     size;              /* ragged: the maximum */
    bool        ragged, vocab, eos;
    bool        derived;           /* `form` holds its length */
    Form        form;
    bool        floored;           /* an atom: floor(over / div) */
    Form        over;
    int64_t     div;
    Loc         loc;               /* where a named dim is declared */
};

enum { SIZE_LIMIT = INT32_MAX };   /* the largest size of a dim */

Dim *dim_number(Arena *a, int64_t size);
Form form_number(int64_t c);
Form form_of(Arena *a, Dim *d);                              /* the form that stands for d */
Form form_add(Arena *a, Form x, Form y, int64_t scale);      /* x + scale * y */
Form form_scale(Arena *a, Form x, int64_t k);
bool form_ragged(Form f);
bool form_equal(Form x, Form y);
int64_t form_size(Form f, bool *bad);                        /* at full size of every dim */
const char *form_text(Arena *a, Form f);
const char *dim_text(Arena *a, const Dim *d);

/* Floor atoms that were made, so that equal divisions are one dim. */
typedef VEC(Dim *) FloorTable;
Form form_div(Arena *a, FloorTable *t, Form f, int64_t k);   /* k >= 1 */

/* The dim that a form means (see above); the caller has checked that a static one is at least 1. */
Dim *form_dim(Arena *a, Form f);

bool dim_same(const Dim *a, const Dim *b);                   /* NULL agrees with everything */
Dim *dim_join(Dim *a, Dim *b);                               /* of two that agree, the one with a name */
bool dim_uses(const Dim *d, bool (*f)(const Dim *base, void *cx), void *cx);   /* some named ragged base */

/* ---- bounds ----------------------------------------------------------------------------------- */

/* A rational; every operation says in *bad if it left the range. */
typedef struct {
    int64_t num, den;              /* den >= 1, lowest terms */
} Ratio;

Ratio ratio(int64_t num, int64_t den);                       /* den != 0 */
bool  ratio_add(Ratio a, Ratio b, Ratio *r);                 /* false: out of range */
bool  ratio_mul(Ratio a, Ratio b, Ratio *r);
int   ratio_compare(Ratio a, Ratio b);                       /* -1 0 1 */
int64_t ratio_floor(Ratio a);
double  ratio_real(Ratio a);

/* A bound of a subscript: c + sum of coefficient * length of a ragged dim, each length in 1 .. size. */
typedef struct {
    int    n;
    struct LimitTerm { const Dim *dim; Ratio k; } *term;
    Ratio  c;
    bool   known;                  /* false: nothing is known */
} Limit;

Limit  limit_number(int64_t c);
Limit  limit_unknown(void);
Limit  limit_add(Arena *a, Limit x, Limit y, int64_t scale);
Limit  limit_scale(Arena *a, Limit x, Ratio k);
Limit  limit_dim(Arena *a, const Dim *d, bool up);               /* upper or lower bound of the size of d */
Limit  limit_form(Arena *a, Form f, bool up);
/* The least value it can have; false if nothing is known. */
bool limit_least(Limit x, Ratio *least);
bool limit_nonnegative(Limit x);                                 /* proved: never below 0 */

/* ---- types ------------------------------------------------------------------------------------- */

typedef enum { B_UNKNOWN, B_F32, B_I32, B_U8, B_BOOL, B_ELEMENT } Base;

typedef struct {
    Base base;
    Dim *elem;                     /* B_ELEMENT: the dim it is an element of */
    int  rank;
    Dim *dim[MAX_RANK];
} Ty;

Ty          ty_scalar(Base b);
Ty          ty_element(Dim *d);
Ty          ty_base(Ty t);                                   /* the type without its dims */
bool        ty_same(const Ty *a, const Ty *b);
Ty          ty_join(const Ty *a, const Ty *b);
bool        ty_equal(const Ty *a, const Ty *b);              /* the very same dims */
const char *ty_text(Arena *a, const Ty *t);                  /* "Char[T, 3]" */

#endif
