/* The training step's last part: l2, l1, clipping and the optimizer, one update for each parameter. */
#include <string.h>

#include "frontend/lower.h"
#include "frontend/program.h"

enum { ROUNDS = 4 };

/* ---- the expressions of a train block ------------------------------------------------------------ */

/* A frame with the scalars of the training loop. */
Frame *train_frame(Program *p) {
    static const char *const SCALARS_OF_TRAINING[] = {"batches", "step", "epoch", "progress"};
    Cx *cx = &p->cx;
    Frame *f = frame_new(cx, p->file, F_OTHER, NULL, NULL);
    for (int i = 0; i < 4; i++) {
        Value *v = value_tensor(cx, ty_scalar(B_F32));
        v->scalar = SCALARS_OF_TRAINING[i];
        define(cx, f, v->scalar, v, (Loc){0});
    }
    return f;
}

/* One run-time or constant number. */
static Value *train_number(Program *p, const Ast *e) {
    Value *v = as_number(&p->cx, eval(&p->cx, e, train_frame(p)), e->loc, false);
    if (!v || !v->ty.rank) return v;
    report(&p->cx, e->loc, E_SHAPES, "this is one number, not %s", ty_text(p->arena, &v->ty));
    return NULL;
}

/* ---- applying an optimizer ----------------------------------------------------------------------- */

/* An optimizer and its arguments as the train block gives them; without one: sgd(0.01). */
typedef struct {
    Func       func;
    const Ast *call;               /* NULL: no arguments */
    Loc        loc;
    Frame     *frame;              /* of its arguments */
} Optimizer;

static const char *suggest_optimizer(Program *p, const char *name) {
    VEC(const char *) names = {0};
    for (Frame *f = p->file; f; f = f->parent)
        for (int i = 0; i < f->env.list.n; i++) {
            Value *v = f->env.list.at[i].value;
            bool optim = v->kind == V_FUNC && v->u.func.decl->kind == AST_OPTIM;
            if (optim) vec_push(p->arena, &names, f->env.list.at[i].name);
        }
    return suggest(&p->cx, name, names.at, names.n);
}

static const Ast *default_optimizer(Program *p) {
    Ast *call = ARENA_NEW(p->arena, Ast), *id = ARENA_NEW(p->arena, Ast), *arg = ARENA_NEW(p->arena, Ast),
        *lr = ARENA_NEW(p->arena, Ast);
    *id = (Ast){.kind = AST_ID, .name = "sgd"};
    *lr = (Ast){.kind = AST_NUM, .num = 0.01};
    *arg = (Ast){.kind = AST_ARG, .a = lr};
    *call = (Ast){.kind = AST_CALL, .a = id};
    vec_push(p->arena, &call->args, arg);
    return call;
}

static bool find_optimizer(Program *p, Optimizer *o) {
    const Ast *e = p->train && p->train->optimizer ? p->train->optimizer : default_optimizer(p);
    const Ast *id = e->kind == AST_CALL ? e->a : e;
    const char *name = id->kind == AST_ID ? id->name : "?";
    Value *v = lookup(p->file, name);
    if (!v || v->kind != V_FUNC || v->u.func.decl->kind != AST_OPTIM)
        return report(&p->cx, e->loc, E_NAME, "unknown optimizer '%s'%s", name, suggest_optimizer(p, name));
    *o = (Optimizer){v->u.func, e->kind == AST_CALL ? e : NULL, e->loc, train_frame(p)};
    if (o->func.decl->params.n == 2) return true;
    return report(&p->cx, o->func.decl->loc, E_ARGUMENTS,
                  "an optimizer is %s(...)(p, g): for a parameter and its gradient", o->func.decl->name);
}

/* Walks the body for one parameter. Its `next` values are in cx->nexts. */
static bool walk_optimizer(Program *p, const Optimizer *o, const Param *info, Value *param, Value *grad) {
    Cx *cx = &p->cx;
    const Ast *d = o->func.decl;
    walk_begin(p, F_OPTIM, true);
    cx->owner = info->path;
    Inst *i = ARENA_NEW(p->arena, Inst);
    *i = (Inst){.decl = d, .path = info->key, .scope = o->func.scope, .loc = o->loc};
    Frame *f = frame_new(cx, o->func.scope, F_OPTIM, i, d);
    cx->at = o->loc;
    cx->frame = o->frame;
    if (d->loc.src->std) cx->library = (LibraryCall){o->loc, d->name};
    bool ok = bind(cx, &d->statics, o->call ? &o->call->args : &(AstList){0}, o->frame, f, o->loc, d->name, NULL,
                   NULL);
    define(cx, f, d->params.at[0]->name, param, d->params.at[0]->loc);
    define(cx, f, d->params.at[1]->name, grad, d->params.at[1]->loc);
    ok = ok && block(cx, &d->items, f, false, NULL);
    cx->library = (LibraryCall){0};
    return ok;
}

static const Next *next_of_param(const Cx *cx) {
    for (int i = 0; i < cx->nexts.n; i++)
        if (!cx->nexts.at[i].state) return &cx->nexts.at[i];
    return NULL;
}

/* Over types alone until the types of its states are known. */
static bool settle_optimizer(Program *p, const Optimizer *o, const Param *info) {
    Cx *cx = &p->cx;
    Graph *g = cx->graph;
    const Ty *ty = &info->ty;
    bool ok = true;
    cx->graph = NULL;
    for (int round = 0; ok && round < ROUNDS; round++) {
        cx->changed = false;
        ok = walk_optimizer(p, o, info, value_tensor(cx, *ty), value_tensor(cx, *ty));
        if (!cx->changed) break;
    }
    cx->graph = g;
    const Next *n = ok ? next_of_param(cx) : NULL;
    if (!ok) return false;
    if (!n) return report(cx, o->func.decl->loc, E_STATE, "optimizer %s has no 'next %s'", o->func.decl->name,
                          o->func.decl->params.at[0]->name);
    if (!n->value->ty.rank || ty_same(&n->value->ty, ty)) return true;
    return report(cx, n->loc, E_STATE, "the parameter is %s, its next value %s", ty_text(p->arena, ty),
                  ty_text(p->arena, &n->value->ty));
}

static const Param *find_param(const Program *p, const char *key) {
    for (int i = 0; i < p->cx.params.n; i++)
        if (!strcmp(p->cx.params.at[i]->key, key)) return p->cx.params.at[i];
    return NULL;
}

static bool check_numbers(Program *p) {
    const TrainBlock *t = p->train;
    const Ast *list[] = {t->l2, t->l1, t->clip};
    bool ok = true;
    for (int i = 0; i < 3; i++)
        if (list[i] && !train_number(p, list[i])) ok = false;
    return ok;
}

bool check_optimizer(Program *p) {
    Optimizer o;
    const ModelInfo *m = program_model(p);
    walk_begin(p, F_OPTIM, true);
    if (!check_numbers(p) || !find_optimizer(p, &o)) return false;
    for (int i = 0; i < m->nparam; i++)
        if (!settle_optimizer(p, &o, find_param(p, m->param[i].key))) return false;
    return true;
}

/* ---- the graph ---------------------------------------------------------------------------------- */

/* A parameter of the graph, and its gradient as it is after l2, l1 and clipping. */
typedef struct {
    const Param *info;
    Node        *node;
    Value       *p, *g;
} Update;

typedef VEC(Update) Updates;

static Value *node_value(Cx *cx, Node *n, const Ty *ty) {
    Value *v = value_tensor(cx, *ty);
    v->expr = lower_leaf(cx, n, ty, false);
    return v;
}

static void collect_updates(Program *p, Updates *list) {
    Cx *cx = &p->cx;
    Graph *g = cx->graph;
    for (int i = 0; i < g->outs.n; i++) {
        if (strncmp(g->outs.at[i].name, "grad.", 5)) continue;
        Update u = {.info = find_param(p, g->outs.at[i].name + 5)};
        if (!u.info) ICE("a gradient of '%s', which is no parameter", g->outs.at[i].name);
        graph_at(g, u.info->path, u.info->item->loc);
        u.node = graph_param(g, lower_type(cx, &u.info->ty, false), u.info->key);
        u.p = node_value(cx, u.node, &u.info->ty);
        u.g = node_value(cx, g->outs.at[i].value, &u.info->ty);
        vec_push(p->arena, list, u);
    }
}

static void drop_gradients(Graph *g) {
    int n = 0;
    for (int i = 0; i < g->outs.n; i++)
        if (strncmp(g->outs.at[i].name, "grad.", 5)) g->outs.at[n++] = g->outs.at[i];
    g->outs.n = n;
}

static const Expr *sign(Cx *cx, const Expr *x) {
    Arena *m = cx->graph->arena;
    const Expr *zero = lower_real(cx, 0);
    const Expr *pos = expr_sel(m, expr_op2(m, SC_LT, zero, x), lower_real(cx, 1), zero);
    return expr_sel(m, expr_op2(m, SC_LT, x, zero), lower_real(cx, -1), pos);
}

/* g += c * p (l2) or c * sign p (l1), for weights: parameters of rank 2 and more. */
static void add_decay(Program *p, Updates *list, const Ast *e, bool l2) {
    Cx *cx = &p->cx;
    Arena *m = cx->graph->arena;
    Value *c = e ? train_number(p, e) : NULL;
    if (!c) return;
    c = lower_named(cx, c);
    for (int i = 0; i < list->n; i++) {
        Update *u = &list->at[i];
        if (u->info->ty.rank < 2) continue;
        const Expr *pull = expr_op2(m, SC_MUL, c->expr, l2 ? u->p->expr : sign(cx, u->p->expr));
        u->g = value_copy(cx, u->g);
        u->g->expr = expr_op2(m, SC_ADD, u->g->expr, pull);
    }
}

static Value *square_sum(Cx *cx, const Value *g) {
    Value *sq = value_tensor(cx, ty_scalar(B_F32));
    IndexList ix = {0};
    Change by[MAX_RANK];
    sq->axis = ARENA_ARRAY(cx->arena, Index *, g->ty.rank);
    for (int k = 0; k < g->ty.rank; k++) {
        Index *i = index_new(cx, "i", g->ty.dim[k], NULL, cx->at, true);
        vec_push(cx->arena, &ix, i);
        sq->axis[sq->naxis++] = i;
        by[k] = (Change){k, affine_var(i->var), NULL};
    }
    const Expr *x = lower_change(cx, g->expr, g->ty.rank, by);
    sq->expr = expr_op2(cx->graph->arena, SC_MUL, x, x);
    if (g->ty.rank) sq->expr = lower_reduce(cx, KIND_SUM, sq, &ix, false);
    sq->naxis = 0;
    return sq;
}

/* All gradients scaled by c / max(norm, c), norm over all of them together. */
static void clip_by_norm(Cx *cx, Updates *list, const Value *c) {
    Arena *m = cx->graph->arena;
    Value *norm = value_tensor(cx, ty_scalar(B_F32));
    norm->expr = lower_real(cx, 0);
    for (int i = 0; i < list->n; i++) {
        list->at[i].g = lower_named(cx, list->at[i].g);
        norm->expr = expr_op2(m, SC_ADD, norm->expr, square_sum(cx, list->at[i].g)->expr);
    }
    norm->expr = expr_op1(m, SC_SQRT, norm->expr);
    norm->expr = expr_op2(m, SC_DIV, c->expr, expr_op2(m, SC_MAX, norm->expr, c->expr));
    norm = lower_stored(cx, norm);
    for (int i = 0; i < list->n; i++) {
        Value *g = list->at[i].g = value_copy(cx, list->at[i].g);
        g->expr = expr_op2(m, SC_MUL, g->expr, norm->expr);
    }
}

static void clip_by_value(Cx *cx, Updates *list, const Value *c) {
    Arena *m = cx->graph->arena;
    const Expr *low = expr_op1(m, SC_NEG, c->expr);
    for (int i = 0; i < list->n; i++) {
        Value *g = list->at[i].g = value_copy(cx, lower_named(cx, list->at[i].g));
        const Expr *top = expr_sel(m, expr_op2(m, SC_LT, c->expr, g->expr), c->expr, g->expr);
        g->expr = expr_op2(m, SC_MAX, top, low);
    }
}

static void clip(Program *p, Updates *list) {
    Value *c = p->train && p->train->clip ? train_number(p, p->train->clip) : NULL;
    if (!c) return;
    c = lower_named(&p->cx, c);
    if (p->train->info.clip_by_norm) clip_by_norm(&p->cx, list, c);
    else clip_by_value(&p->cx, list, c);
}

static bool update(Program *p, const Optimizer *o, Update *u) {
    Cx *cx = &p->cx;
    if (!settle_optimizer(p, o, u->info)) return false;
    cx->at = o->loc;
    cx->owner = u->info->path;
    u->g = lower_named(cx, u->g);
    if (!walk_optimizer(p, o, u->info, u->p, u->g)) return false;
    cx->at = o->loc;
    cx->owner = u->info->path;
    for (int i = 0; i < cx->nexts.n; i++) {
        const Next *n = &cx->nexts.at[i];
        Value *v = value_copy(cx, n->value);
        v->ty = n->state ? n->state->ty : u->info->ty;
        Node *value = lower_node(cx, v, false);
        Node *target = u->node;
        if (n->state)
            target = graph_state(cx->graph, lower_type(cx, &v->ty, false), STATE_OPT, n->state->key, n->state->init);
        graph_output(cx->graph, n->state ? OUT_STATE : OUT_PARAM, n->state ? n->state->key : u->info->key, value,
                     target);
    }
    return true;
}

bool program_optimize(Program *p, Graph *g) {
    Cx *cx = &p->cx;
    Optimizer o;
    Updates list = {0};
    graph_sort(g);
    cx->graph = g;
    walk_begin(p, F_OPTIM, true);
    bool ok = find_optimizer(p, &o);
    if (ok) {
        cx->at = o.loc;
        collect_updates(p, &list);
        drop_gradients(g);
        if (p->train) {
            add_decay(p, &list, p->train->l2, true);
            add_decay(p, &list, p->train->l1, false);
        }
        clip(p, &list);
        for (int i = 0; ok && i < list.n; i++) ok = update(p, &o, &list.at[i]);
    }
    cx->graph = NULL;
    if (ok) graph_sweep(g);
    return ok && p->diag->errors == 0;
}
