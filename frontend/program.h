/* A loaded program. Internal to frontend/. */
#ifndef NETC_FRONTEND_PROGRAM_H
#define NETC_FRONTEND_PROGRAM_H
#include "frontend/blocks.h"
#include "frontend/check.h"

/* A function of the model, after its check. */
typedef struct {
    const Ast *item;               /* objective or entry */
    FuncInfo   info;
    Loc        sequence;           /* its first scan or ragged dim; src NULL: none */
} Function;

typedef struct {
    const Ast *item;
    ModelInfo  info;
    Function   objective;          /* item NULL: none */
    VEC(Function) entries;
} Model;

typedef struct {
    const Ast *item;
    PortInfo  *field;
    Ty        *ty;                 /* of each field */
    DataBlock *block;              /* NULL after a mistake */
} Data;

struct Program {
    Arena       *arena;
    Diag        *diag;
    FrontOptions option;
    Cx           cx;
    Frame       *std, *file;
    VEC(const char *) loaded;      /* paths of the files read */
    VEC(DimInfo)      dims;
    VEC(HyperInfo)    hypers;
    VEC(Model)        models;
    VEC(Data)         datas;
    VEC(const Ast *)  trains;
    TrainBlock  *train;            /* of the last train block; NULL: none */
    int64_t      batch;            /* without one: examples a step */
    int          trained;          /* its model and data, as numbers */
    int          trained_data;
    bool         checked;
};

/* load.c */
Override *find_override(Program *p, const char *name);

/* walk.c: one walk over a function of a model */
typedef struct {
    Frame *frame;
    Value *result;                 /* entry, fn; NULL after a mistake */
    bool   ok;
} Walk;

void walk_begin(Program *p, FrameKind kind, bool training);
Frame *walk_model(Program *p, const Ast *model);   /* its own statements */
Walk walk_function(Program *p, const Ast *model, const Ast *item, bool training);
/* The ports of a function, after a walk over it. */
void walk_ports(Program *p, const Ast *item, const Walk *w, FuncInfo *info);
PortInfo port_info(Program *p, const char *name, const Ty *ty);
/* The derived ragged dims (T-1) of what a function returns, each once: their lengths are results of their name. */
typedef VEC(const Dim *) DimList;
void derived_dims(Cx *cx, const Value *result, DimList *list);
const char *result_name(Program *p, const Ast *item, int k, int n);

/* build.c */
Graph *graph_begin(Program *p, const char *name, int64_t batch, Arena *arena);
/* Sweeps the graph and hands it over; NULL if there were errors. */
Graph *graph_end(Program *p);

/* optimize.c */
bool check_optimizer(Program *p);
Frame *train_frame(Program *p);    /* where the expressions of a train block are evaluated */

#endif
