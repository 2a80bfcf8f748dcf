/* What nest_build.c and residue.c share. */
#ifndef NETC_PASSES_NEST_IMPL_H
#define NETC_PASSES_NEST_IMPL_H
#include "base/str.h"
#include "passes/kernels_impl.h"

typedef struct {
    const Expr *from, *to;
} Rewritten;

/* An out of the space that is cut into div * whole + rest - shift; div 0: not cut, `whole` is the variable. */
typedef struct {
    int64_t div, shift;
    bool    panel;              /* rest: the place in panel `whole` */
    int     whole, rest;        /* nest variables */
} Split;

typedef struct {
    Fuse       *f;
    Group      *gr;
    Nest       *n;
    Split       split[MAX_RANK];          /* per out of the space */
    Lin         outs[MAX_RANK];           /* the space's outs as forms of nest variables */
    int         nwin, win[MAX_VARS];      /* variables of the window */
    const Expr *window;                   /* a read of the window's values by the pool */
    Lin         inner[MAX_RANK];          /* outs of members inside the window */
    const Expr *value[32];                /* per member */
    bool        spreads;        /* the group's one member adds to memory (spread.c): */
    Spread      spread;         /* its loops and forms */
    Lin         loops[MAX_VARS];          /* its variables as forms of nest variables, but for its reductions */
    /* the member being built */
    Node       *m;
    Lin         map[MAX_VARS];            /* its variables */
    VEC(Rewritten) memo;
} NestBuild;

int  nest_var(Nest *n, const char *name, int64_t size, int bound);

/* residue.c: a derived variable of a comp that a division of an out makes dense. With out p = div * whole + rest:
 *   inverse false   derived = (p - red + c) / div:      red = rest + div * t, or 1 - rest + div * t if flip
 *   inverse true    derived = p - div * red + c:        red = whole + shift - t
 * for t = 0 .. (span + div - 1) / div - 1. With cut > 0 (c is no multiple of div, and div > 2) it is
 * p = div * whole + rest - cut. */
typedef struct {
    int     out, red;           /* variables of the comp; red < 0: derived = (p + c) / div, at one remainder */
    int64_t div, span, shift, cut;
    bool    inverse, flip;
} Residue;

bool residue_find(const Comp *c, int derived, Residue *r);
/* Makes the nest's outs, cut where a member asks for it. */
void residue_split(NestBuild *b);

#endif
