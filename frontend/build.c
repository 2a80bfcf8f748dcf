/* The graphs of a program: objective, entries, expansions of the data. */
#include "frontend/lower.h"
#include "frontend/program.h"

Graph *graph_begin(Program *p, const char *name, int64_t batch, Arena *arena) {
    Graph *g = graph_new(arena, name);
    graph_bound(g, "n", batch);
    p->cx.graph = g;
    p->cx.batch = batch;
    return g;
}

Graph *graph_end(Program *p) {
    Graph *g = p->cx.graph;
    p->cx.graph = NULL;
    if (p->diag->errors) return NULL;
    graph_sweep(g);
    return g;
}

static void output(Cx *cx, OutKind kind, const char *name, const Value *v, bool batch, Node *target) {
    graph_output(cx->graph, kind, name, lower_node(cx, v, batch), target);
}

/* ---- the objective ------------------------------------------------------------------------------ */

/* A number per example, summed over the rows of this call. */
static Value *over_rows(Cx *cx, Value *v) {
    Value *sum = value_tensor(cx, ty_scalar(B_F32));
    sum->expr = lower_reduce(cx, KIND_SUM, lower_stored(cx, v), NULL, true);
    return sum;
}

static void loss_output(Cx *cx, Value *loss) {
    Value *mean = over_rows(cx, loss);
    mean->expr = expr_op2(cx->graph->arena, SC_DIV, mean->expr, expr_bound(cx->graph->arena, 1));
    output(cx, OUT_VALUE, "loss", mean, false, NULL);
}

static void sum_output(Cx *cx, const char *name, Value *v) {
    output(cx, OUT_VALUE, name, over_rows(cx, as_number(cx, v, cx->at, true)), false, NULL);
}

static void metric_outputs(Cx *cx, const Results *r) {
    for (int i = 0; i < r->metrics.n; i++) {
        const Metric *m = &r->metrics.at[i];
        cx->at = m->loc;
        if (!m->formula) sum_output(cx, arena_printf(cx->arena, "metric.%s", m->name), m->value);
        for (int k = 0; k < m->parts.n; k++)
            sum_output(cx, arena_printf(cx->arena, "ratio.%s.%d", m->name, k), m->parts.at[k]);
    }
}

static Node *state_node(Cx *cx, const State *s, StateKind kind) {
    return graph_state(cx->graph, lower_type(cx, &s->ty, s->lane), kind, s->key, s->init);
}

/* Lane states advance in every call, shared ones in training. */
static void state_outputs(Cx *cx) {
    for (int i = 0; i < cx->nexts.n; i++) {
        const Next *n = &cx->nexts.at[i];
        if (!n->state->lane && !cx->training) continue;
        cx->at = n->loc;
        Value *v = value_copy(cx, n->value);
        v->ty = n->state->ty;
        output(cx, OUT_STATE, n->state->key, v, n->state->lane,
               state_node(cx, n->state, n->state->lane ? STATE_LANE : STATE_SHARED));
    }
}

static const Model *trained_model(const Program *p) {
    if (p->trained >= 0) return &p->models.at[p->trained];
    return p->models.n ? &p->models.at[p->models.n - 1] : NULL;
}

Graph *program_objective(Program *p, bool training, int64_t batch, Arena *graph_arena) {
    const Model *m = trained_model(p);
    if (!m || !m->objective.item || p->diag->errors) return NULL;
    Cx *cx = &p->cx;
    graph_begin(p, training ? "train" : "eval", batch, graph_arena);
    Walk w = walk_function(p, m->item, m->objective.item, training);
    if (w.ok) {
        cx->at = m->objective.item->loc;
        loss_output(cx, w.frame->out->loss);
        metric_outputs(cx, w.frame->out);
        state_outputs(cx);
    }
    return graph_end(p);
}

/* ---- entries and expansions --------------------------------------------------------------------- */

static void result_outputs(Program *p, const Ast *item, Value *r) {
    Cx *cx = &p->cx;
    bool many = r->kind == V_TUPLE;
    int n = many ? r->u.tuple.n : 1;
    for (int i = 0; i < n; i++) {
        Value *v = as_tensor(cx, many ? r->u.tuple.at[i] : r, item->loc);
        if (!v) return;
        if (v->ty.base == B_BOOL) v = as_number(cx, v, item->loc, true);
        output(cx, OUT_VALUE, result_name(p, item, i, n), v, true, NULL);
    }
    DimList own = {0};                               /* the lengths of dims that are not the caller's */
    for (int i = 0; i < cx->until.n; i++) vec_push(cx->arena, &own, cx->until.at[i]);
    derived_dims(cx, r, &own);
    for (int i = 0; i < own.n; i++) {
        Value *v = value_tensor(cx, ty_scalar(B_I32));
        v->expr = length_expr(cx, own.at[i]);
        output(cx, OUT_VALUE, dim_text(cx->graph->arena, own.at[i]), v, true, NULL);
    }
}

Graph *program_entry(Program *p, int i, int64_t batch, Arena *graph_arena) {
    const Model *m = trained_model(p);
    if (!m || i < 0 || i >= m->entries.n || p->diag->errors) return NULL;
    const Ast *item = m->entries.at[i].item;
    graph_begin(p, item->name, batch, graph_arena);
    Walk w = walk_function(p, m->item, item, false);
    if (w.ok) {
        p->cx.at = item->loc;
        result_outputs(p, item, w.result);
    }
    return graph_end(p);
}

/* The call function(field, arg0, arg1 ..) as syntax, over names that `f` defines. */
static AstList *expand_arguments(Program *p, const DataExpand *x, const Ty *field, Frame *f) {
    Cx *cx = &p->cx;
    AstList *args = ARENA_NEW(p->arena, AstList);
    for (int i = 0; i <= x->narg && i < x->decl->params.n; i++) {
        const char *name = i ? x->decl->params.at[i]->name : x->field;
        Ty ty = i ? ty_scalar(B_I32) : *field;
        Value *v = value_tensor(cx, ty);
        v->batched = true;
        v->expr = lower_input(cx, &ty, i ? arena_printf(p->arena, "arg.%s", name) : name);
        const char *id = arena_printf(p->arena, "%d", i);
        define(cx, f, id, v, x->loc);
        Ast *e = ARENA_NEW(p->arena, Ast), *arg = ARENA_NEW(p->arena, Ast);
        *e = (Ast){.kind = AST_ID, .loc = x->loc, .name = id};
        *arg = (Ast){.kind = AST_ARG, .loc = x->loc, .a = e};
        vec_push(p->arena, args, arg);
    }
    return args;
}

Graph *program_expand(Program *p, int k, int64_t batch, Arena *graph_arena) {
    int n = 0;
    const Data *d = p->trained_data >= 0 ? &p->datas.at[p->trained_data] : p->datas.n ? &p->datas.at[0] : NULL;
    const DataExpand *x = d && d->block ? data_block_expands(d->block, &n) : NULL;
    if (k < 0 || k >= n || p->diag->errors) return NULL;
    x += k;
    int field = 0;
    while (strcmp(d->field[field].name, x->field)) field++;
    Cx *cx = &p->cx;
    graph_begin(p, arena_printf(p->arena, "expand.%d", k), batch, graph_arena);
    walk_begin(p, F_FN, false);
    Frame *f = frame_new(cx, p->file, F_OTHER, NULL, NULL);
    cx->owner = x->function;
    cx->at = x->loc;
    cx->frame = f;
    Value *r = apply(cx, lookup(p->file, x->function), expand_arguments(p, x, &d->ty[field], f), f, x->loc, NULL);
    r = r ? as_tensor(cx, r, x->loc) : NULL;
    if (r && !ty_same(&r->ty, &d->ty[field]))
        report(cx, x->loc, E_MATCH, "%s makes %s of the field '%s', which is %s", x->function,
               ty_text(p->arena, &r->ty), x->field, ty_text(p->arena, &d->ty[field]));
    else if (r) output(cx, OUT_VALUE, "0", r, true, NULL);
    return graph_end(p);
}
