/* What the two files of pictures share: view.c (what there is to draw), view_dot.c (the drawing). */
#ifndef NETC_IR_VIEW_IMPL_H
#define NETC_IR_VIEW_IMPL_H
#include "base/str.h"
#include "ir/ir_impl.h"

/* A dim that scans run over: one column of the unrolled view is one step of it. */
typedef struct {
    Extent      trip;
    const char *name, *var;        /* "T", or NULL if it is no bound; "t" */
} Time;

/* How a value is read: at steps t+lo .. t+hi, or as said. */
typedef enum {
    REACH_STEPS, REACH_ALL,        /* of every step */
    REACH_LAST,                    /* of the last step executed: what a scan leaves */
    REACH_INNER                    /* one step back in a scan inside the body */
} ReachKind;

typedef struct {
    ReachKind kind;
    int       lo, hi;
    bool      carried;             /* from a step before: the feedback edge */
    bool      first, first_back;   /* by the first step executed alone: `from`; which is the last one */
    bool      reverse;             /* the steps of what is read run backwards */
    const char *name;              /* of the carry: "h[t-1]"; NULL */
} Reach;

typedef struct {
    int   from, to;                /* boxes */
    Reach reach;
} Arrow;

/* Nodes that are drawn as one: those of one layer, or of one line of the model's own text. */
typedef struct {
    const char *label, *note;      /* "Net.cell", or the user's text; the shape of the value */
    int         time;              /* 0: none; else 1 + number of the time */
    OpId        op;
} Box;

typedef struct {
    int         box;
    const char *name;
    Reach       reach;             /* REACH_LAST: of the last step; REACH_ALL: a whole sequence */
} Ending;

typedef struct {
    Arena      *arena;
    VEC(Time)   times;
    VEC(Box)    boxes;
    VEC(Arrow)  arrows;
    VEC(Ending) endings;
} View;

/* `depth`: of instance paths, in names: 2 makes one box of Net.cell and all that is inside it; 0: all. */
View view_of(const Graph *g, int depth, Arena *a);

/* ---- the drawing: a view's boxes and arrows, once or once a step ------------------------------- */

typedef struct {
    int         box, step;         /* step -1: the box is drawn once */
    const char *label;
} Shape;

typedef struct {
    int         from, to;          /* shapes */
    bool        carried;
    const char *mark;              /* "h[t-1]", "last"; "" */
} Line;

typedef struct {
    int         shape;
    const char *name;              /* "loss", "w[2]" */
} Exit;

typedef struct {
    const View *v;
    int         steps;             /* 0: the cell */
    VEC(Shape)  shapes;
    VEC(Line)   lines;
    VEC(Exit)   exits;
} Drawing;

Drawing     drawing_of(const View *v, int steps);
const char *drawing_title(const Drawing *d, int time, int step);      /* of a column: "t = 2", "each t in T" */
const char *box_color(const Box *b);
/* view_svg.c */
void        drawing_svg(const Drawing *d, Buf *b);

#endif
