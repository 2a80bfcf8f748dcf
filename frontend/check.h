/* The walk over a program: names, sizes and types and, when a graph is given, its lowering.
 * Internal to frontend/. One file per subject:
 *
 *   scope.c     frames, names, messages            types.c     sizes, types, matching
 *   number.c    numbers known at compile time      expr.c      names, arithmetic, comparison, if
 *   index.c     subscripts and reads               reduce.c    index variables, reductions
 *   builtin.c   built-in functions                 call.c      arguments, application, results
 *   instance.c  layers, parameters                 stmt.c      statements
 *   scan.c      sequences                          lower.c     values to graph nodes
 *
 * Every function that can find a mistake reports it and returns NULL or false; the statement that it
 * stands in is given up, the names that it would have defined become V_POISON (which silences what
 * depends on them), and the walk goes on with the next statement.
 */
#ifndef NETC_FRONTEND_CHECK_H
#define NETC_FRONTEND_CHECK_H
#include "base/str.h"
#include "frontend/ast.h"
#include "frontend/dims.h"
#include "frontend/frontend.h"

typedef struct Value Value;
typedef struct Frame Frame;
typedef struct Inst  Inst;
typedef struct Cx    Cx;

/* ---- numbers known at compile time ------------------------------------------------------------- */

typedef enum { N_BOOL, N_EXACT, N_REAL } NumKind;

typedef struct {
    NumKind kind;
    Ratio   q;                     /* N_EXACT; N_BOOL: 0 or 1 */
    double  r;                     /* N_REAL */
} Num;

Num    num_int(int64_t v);
Num    num_real(double v);
Num    num_bool(bool v);
double num_value(Num n);
bool   num_whole(Num n, int64_t *v);                /* a whole number (a bool is none) */
const char *num_text(Arena *a, Num n);
bool   num_binary(BinOp op, Num a, Num b, Num *r);  /* false: division by zero */
bool   num_const(const Ast *e, Num *r, const Ast **bad);   /* a constant expression of literals */

/* ---- values ------------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    Dim        *dim;               /* NULL: not known yet */
    Frame      *frame;             /* the body whose index it is; NULL for temporaries */
    Loc         loc;
    bool        bounded;           /* written i < n */
    bool        scan, reverse;     /* the index of a scan */
    int         var;               /* its variable in lowered expressions */
} Index;

typedef VEC(Index *) IndexList;

/* A declared fn, layer, optim or entry and where its body looks names up. */
typedef struct {
    const Ast *decl;
    Frame     *scope;
} Func;

/* The output of a scan while its body is walked. */
typedef struct {
    const char *name;
    Index      *var;
    Value      *prev, *cur;        /* one step back (carries), this step (after its equation) */
    Ty          ty;
    /* lowering, of a carry: the map indices that it varies with; its value before the step; when a step counts
     * (NULL: always) */
    int         naxis;
    Index     **axis;
    const Expr *before, *counts;
} ScanOut;

typedef enum {
    V_TENSOR, V_NUMBER, V_DIM, V_INDEX, V_FUNC, V_INST, V_TUPLE, V_TEXT, V_SCANOUT, V_ITEM, V_POISON
} ValueKind;

/* What a name or an expression stands for. Values are not changed once made (a scan output excepted).
 *
 * A tensor value describes one element of the map around it: its own dims, and the index variables and
 * the batch that it varies with. Lowered, it is a scalar expression over variables numbered as in
 * lower.h: own dims, the batch, index variables; reads name graph nodes by number. */
struct Value {
    ValueKind kind;
    Ty        ty;                  /* V_TENSOR */
    int       naxis;
    Index   **axis;
    bool      batched;             /* differs from example to example */
    bool      zeros;               /* the word `zeros`: any shape */
    bool      is_index;            /* an index used as a value */
    struct Param *param;           /* the value of a parameter */
    const char *scalar;            /* a run-time scalar: its key, "hyper.eta" */
    const Value *first, *last;     /* of a sequence from a scan, known without a subscript while expr is `whole` */
    const Expr *whole;
    const Expr *expr;              /* NULL when only checking */
    union {
        Num        num;
        Dim       *dim;
        Index     *index;
        Func       func;
        Inst      *inst;
        ScanOut   *out;
        const Ast *item;           /* model, data */
        const char *text;
        struct { Value **at; int n; } tuple;
    } u;
};

/* ---- scopes ------------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    Value      *value;
    Loc         loc;               /* where it was declared; src NULL: nowhere */
} Entry;

/* Names in order of definition, with a hash table over them. */
typedef struct {
    VEC(Entry) list;
    int *slot, nslot;
} Env;

Entry *env_find(const Env *env, const char *name);
void   env_set(Arena *a, Env *env, const char *name, Value *v, Loc loc);

typedef enum { F_FILE, F_FN, F_LAYER, F_MODEL, F_OBJECTIVE, F_ENTRY, F_OPTIM, F_SCAN, F_OTHER } FrameKind;

typedef struct { const char *name; struct State *state; } StateName;
typedef struct {
    const char *name;
    Value      *value;             /* a mean over the examples */
    Loc         loc;
    const char *formula;           /* not NULL: arithmetic on ratios (ratio.c) .. */
    VEC(Value *) parts;            /* .. of the sums of these, two for each */
} Metric;

/* What the statements of one body leave besides names. */
typedef struct {
    VEC(StateName) states;
    VEC(Metric)    metrics;
    Value         *loss;
} Results;

struct Frame {
    Frame      *parent;
    FrameKind   kind;
    Inst       *inst;              /* owner of layers and parameters; NULL: none */
    const Ast  *decl;
    Env         env;
    Frame      *body;              /* the frame of the whole body that this is in */
    Index      *scan;              /* the innermost scan around */
    VEC(int64_t) repeat;           /* numbers of the repeats around */
    Results    *out;
};

/* One application site of a layer, per owner. */
struct Inst {
    const Ast  *decl;
    Env         statics, fixed;    /* arguments in the first brackets; dims fixed by the first use */
    const char *path;              /* "Net.block.0.a" */
    Frame      *scope;
    Loc         loc;
};

typedef struct Param {
    const char *key, *path;        /* "Net.c1.w"; owner's path */
    const Ast  *decl, *item;       /* the layer; the param statement */
    Ty          ty;
    bool        read;
} Param;

typedef struct State {
    const char *key;
    Ty          ty;                /* base B_UNKNOWN: not known yet */
    bool        lane;              /* one per row of the batch */
    bool        moves;             /* a `next` gives it another value */
    double      init;
    Loc         loc;
} State;

typedef struct { State *state; Value *value; Loc loc; } Next;   /* state NULL: the parameter of an optimizer */
typedef struct { Loc at; const char *name; } LibraryCall;
typedef struct { const Dim *dim; Node *node; } Length;

enum { DEPTH_LIMIT = 1000, CALL_LIMIT = 150, WORK_LIMIT = 500000, NODE_LIMIT = 200000 };

/* The state of one walk. */
struct Cx {
    Arena  *arena;
    Diag   *diag;
    Graph  *graph;                 /* NULL: types alone */
    int64_t batch;
    bool    training, lenient;
    int     muted;                 /* > 0: a trial, its mistakes are not reported */
    FrameKind kind;                /* of the function being walked */

    VEC(Param *)  params;          /* in order of first application */
    VEC(State *)  states;
    Env           insts;           /* by path */
    bool          changed;         /* this round of the check learnt something */

    /* one function */
    VEC(Next)     nexts;
    Env           sites;           /* by path: the call (V_ITEM) that has the name */
    VEC(const Ast *) stack;        /* bodies being applied */
    VEC(Dim *)    known;           /* ragged dims whose length an input fixes */
    VEC(const Dim *) until;        /* ragged dims whose length an `until` sets */
    VEC(Length)   lengths;         /* lowered */
    VEC(struct OpenLoop *) loops;  /* scans being lowered, outermost first */
    VEC(int)      level;           /* of nodes, by number: the innermost open loop that they change with */
    LibraryCall   library;         /* outermost call from the user's text into std; src NULL: none */
    Loc           sequence;        /* first use of a scan or ragged dim; src NULL: none */
    Loc           at;              /* the expression being walked */
    Frame        *frame;           /* its frame */
    const char *owner;             /* path of the instance whose body is walked */
    VEC(uint32_t) path;            /* hashes of the calls around (hash_call) */
    int           depth;
    int64_t       work;
    bool          overworked;      /* WORK_LIMIT was reported */
    int           next_var;
    FloorTable    floors;
};

/* scope.c */
Frame *frame_new(Cx *cx, Frame *parent, FrameKind kind, Inst *inst, const Ast *decl);
Frame *frame_child(Cx *cx, Frame *f, FrameKind kind);
const char *frame_word(FrameKind k);                         /* "layer" */
Value *lookup(const Frame *f, const char *name);             /* NULL: unknown */
Entry *lookup_entry(const Frame *f, const char *name);
void   define(Cx *cx, Frame *f, const char *name, Value *v, Loc loc);
bool   is_builtin(const char *name);
bool   is_reserved(const char *name);                  /* built in, and no file may declare it */
bool   is_elementwise(const char *name, ScalarOp *op);       /* exp log tanh sqrt abs sin cos floor sign */
bool   is_reduction(const char *name);
bool   is_initialiser(const char *name);
bool   report(Cx *cx, Loc at, DiagCode code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));   /* false */
void   remark(Cx *cx, Loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A note without a place, what to do, if the report before it was said; `errors`: diag->errors before that. */
void   advise(Cx *cx, int errors, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "; did you mean 'x'?" for the nearest of the names, or "". */
const char *suggest(Cx *cx, const char *name, const char *const *names, int n);
const char *suggest_visible(Cx *cx, const Frame *f, const char *name);
const char *suggest_dim(Cx *cx, const Frame *f, const char *name);
const char *suggest_in(Cx *cx, const char *name, const char *const *list);   /* NULL-terminated */
void   note_declared(Cx *cx, const Frame *f, const char *name);
/* Calls f on e and everything below it, in source order, until it returns true. */
bool   ast_find(const Ast *e, bool (*f)(const Ast *, void *), void *cx);
bool   ast_is_id(const Ast *e, const char *name);

Value *value_new(Cx *cx, ValueKind k);
Value *value_tensor(Cx *cx, Ty ty);
Value *value_any(Cx *cx);                                    /* a tensor of unknown type */
Value *value_number(Cx *cx, Num n);
Value *value_dim(Cx *cx, Dim *d);
Value *value_copy(Cx *cx, const Value *v);
Value *value_poison(Cx *cx);
bool   is_unknown(const Value *v);                           /* tensor of unknown type */
bool   is_static(const Value *v);                            /* number, or dim that is not ragged */
bool   is_element(const Value *v);                           /* tensor of elements of a dim */
/* The union of the axes and `batched` of some values, into v. */
void   take_axes(Cx *cx, Value *v, int n, Value *const *from);
bool   has_axis(const Value *v, const Index *i);

/* types.c */
bool   size_form(Cx *cx, const Ast *e, Frame *f, Form *out);
Dim   *size_dim(Cx *cx, const Ast *e, Frame *f);
bool   type_read(Cx *cx, const Ast *t, Frame *f, Ty *out);
Value *type_match(Cx *cx, const Ast *t, Value *v, Frame *f, Loc at, const char *what);
bool   dim_fits(Cx *cx, Form f, Loc at, const char *text);   /* 1 .. SIZE_LIMIT */
bool   names_no_dim(const Frame *f, const char *name);
bool   is_scalar_name(const char *name, Base *base);

/* expr.c */
bool   take_step(Cx *cx, Loc at);                            /* false: over the limit of unrolling */
Value *eval(Cx *cx, const Ast *e, Frame *f);
Value *eval_tensor(Cx *cx, const Ast *e, Frame *f);          /* as_tensor of eval */
Value *as_tensor(Cx *cx, Value *v, Loc at);
Value *as_number(Cx *cx, Value *v, Loc at, bool boolean);    /* a value used in arithmetic */
bool   as_static(Cx *cx, const Value *v, Loc at, Num *out);
Value *as_literal(Cx *cx, Value *v, Dim *dim, Loc at);       /* a number that stands for an element */
Value *arithmetic(Cx *cx, BinOp op, Value *a, Value *b, Loc at);
bool   unify(Cx *cx, Value **a, Value **b, Ty *base, Loc at);
/* The shape of an elementwise operation; what: for the message. `base` of the result. */
Value *elementwise(Cx *cx, int n, Value *const *v, Ty base, Loc at, const char *what);
Value *fill(Cx *cx, Value *v, const Ty *ty);
/* The value, as a node, has an allowed rank and size. */
bool   tensor_fits(Cx *cx, const Value *v, Loc at);

/* index.c: a subscript */
typedef struct {
    Value   axes;                  /* what it varies with (kind, ty unused) */
    Limit     lo, hi;
    Dim    *elem;                  /* the dim it is an element of */
    Index  *index;                 /* a lone index */
    bool    is_const;
    int64_t value;
    Affine  aff;                   /* lowered: aff + ind */
    const Expr *ind;
    bool    below, above;          /* on which sides it may leave its axis */
} Subscript;

bool   subscript(Cx *cx, const Ast *e, Frame *f, Subscript *s);
Value *eval_index(Cx *cx, const Ast *e, Frame *f, const Ast *otherwise);
Value *eval_guard(Cx *cx, const Ast *e, Frame *f);

/* reduce.c */
bool   index_fresh(Cx *cx, const char *name, Frame *f, Loc at);
bool   index_make(Cx *cx, const AstList *subs, int from, Frame *f, Frame *g, IndexList *out);
bool   index_infer(Cx *cx, const IndexList *ix, const AstList *exprs, Frame *g);
Index *index_new(Cx *cx, const char *name, Dim *d, Frame *frame, Loc loc, bool bounded);
Value *reduction(Cx *cx, const char *op, const AstList *subs, const Ast *body, Frame *f, Loc at);
Value *fold(Cx *cx, const char *op, const IndexList *ix, Value *v, Loc at);

/* builtin.c. `first`: the piped value or NULL. */
Value *builtin(Cx *cx, const char *name, const Ast *call, Frame *f, Value *first);

/* call.c */
typedef struct { const char *name; Value *value; Loc loc; } Arg;
Value *eval_call(Cx *cx, const Ast *e, Frame *f);
Value *eval_pipe(Cx *cx, const Ast *e, Frame *f);
/* Arguments, evaluated in f, become names in g. `fixed`: names defined in g between the two, or NULL. */
bool   bind(Cx *cx, const AstList *params, const AstList *args, Frame *f, Frame *g, Loc at, const char *name,
            const Arg *first, const Env *fixed);
Value *apply(Cx *cx, Value *fn, const AstList *args, Frame *f, Loc at, const Arg *first);
Value *body_result(Cx *cx, const Ast *decl, Value *r, Frame *g);

/* instance.c */
bool   names_layer(const Ast *e, const Frame *f, Func *out);
Inst  *instance_at(Cx *cx, const Ast *call, Frame *f, const char *name);
Value *eval_field(Cx *cx, const Ast *e, Frame *f);
bool   stmt_param(Cx *cx, const Ast *it, Frame *f);
State *state_at(Cx *cx, const char *key, Loc loc);           /* found or made */

/* stmt.c */
/* Walks a body. *ret becomes the returned values (a V_TUPLE of one or more) or NULL. False after a mistake. */
bool   block(Cx *cx, const AstList *items, Frame *f, bool members, Value **ret);
bool   no_parameters(Cx *cx, const AstList *items);          /* neither param nor state in a fn */
bool   fresh(Cx *cx, const char *name, Frame *f, Loc at);
bool   eval_values(Cx *cx, const AstList *rhs, Frame *f, int n, Loc at, Value **out);

/* ratio.c */
bool   has_ratio(const Ast *e, const Frame *f);
bool   ratio_metric(Cx *cx, const Ast *e, Frame *f, Metric *metric);

/* scan.c */
bool   stmt_scan(Cx *cx, const Ast *it, Frame *f);
Value *scan_read(Cx *cx, ScanOut *o, const Ast *sub, const Ast *e);
/* The value of an output's equation; lowered, a carry that has ended keeps its value. */
Value *scan_assign(Cx *cx, const ScanOut *o, Value *v);
void   uses_sequence(Cx *cx, Loc at);

#endif
