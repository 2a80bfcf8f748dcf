/* Statements. */
#include "frontend/check.h"
#include "frontend/lower.h"

bool fresh(Cx *cx, const char *name, Frame *f, Loc at) {
    if (is_reserved(name)) return report(cx, at, E_BUILTIN, "'%s' is built in and cannot be redefined", name);
    Entry *e = env_find(&f->env, name);
    if (!e || e->value->kind == V_TENSOR || e->value->kind == V_POISON) return true;
    report(cx, at, E_TWICE, "'%s' is declared twice", name);
    remark(cx, e->loc, "'%s' is declared here", name);
    return false;
}

bool no_parameters(Cx *cx, const AstList *items) {
    for (int i = 0; i < items->n; i++) {
        const Ast *it = items->at[i];
        if (it->kind == AST_PARAM || it->kind == AST_STATE)
            return report(cx, it->loc, E_OWNER, "'%s' in a fn: a fn has no instance to keep it in; make it a layer",
                          ast_kind_name(it->kind));
        if (!no_parameters(cx, &it->items)) return false;
    }
    return true;
}

/* The statement stands in one of the kinds of body that it belongs to. */
static bool belongs(Cx *cx, const Ast *it, Frame *f, int n, const FrameKind *kinds) {
    Buf b = buf_new(cx->arena);
    for (int i = 0; i < n; i++) {
        if (f->kind == kinds[i]) return true;
        buf_printf(&b, "%s%s", i ? ", " : "", frame_word(kinds[i]));
    }
    return report(cx, it->loc, E_PLACE, "'%s' cannot stand in this %s: it belongs in: %s", ast_kind_name(it->kind),
                  frame_word(f->kind), b.s);
}

/* ---- assignments and equations ------------------------------------------------------------------ */

bool eval_values(Cx *cx, const AstList *rhs, Frame *f, int n, Loc at, Value **out) {
    Value **got = ARENA_ARRAY(cx->arena, Value *, rhs->n);
    int count = rhs->n;
    for (int i = 0; i < rhs->n; i++)
        if (!(got[i] = eval(cx, rhs->at[i], f))) return false;
    if (rhs->n == 1 && got[0]->kind == V_TUPLE) {
        count = got[0]->u.tuple.n;
        got = got[0]->u.tuple.at;
    }
    if (count != n)
        return report(cx, at, E_VALUES, "%d name%s on the left, %d value%s on the right", n, n == 1 ? "" : "s", count,
                      count == 1 ? "" : "s");
    for (int i = 0; i < n; i++) {
        if (got[i]->kind == V_TUPLE)
            return report(cx, rhs->at[i < rhs->n ? i : 0]->loc, E_VALUES, "%d values where one is needed",
                          got[i]->u.tuple.n);
        out[i] = got[i];
    }
    return true;
}

/* The value of an equation: the indices of its left side become the first dims of what was one element. */
static Value *gather_map(Cx *cx, Value *v, const IndexList *ix, Loc at) {
    bool unknown = v->ty.base == B_UNKNOWN && !v->zeros;
    Ty own = unknown && ix->n ? ty_scalar(B_F32) : v->ty;
    if (v->zeros) own = ty_scalar(B_F32);
    if (ix->n + own.rank >= MAX_RANK) {
        report(cx, at, E_LIMIT_RANK, "a tensor has at most %d dims besides the batch, this has %d", MAX_RANK - 1,
               ix->n + own.rank);
        return NULL;
    }
    Value *r = value_tensor(cx, own);
    r->batched = v->batched;
    r->ty.rank = ix->n + own.rank;
    for (int k = 0; k < ix->n; k++) {
        r->ty.dim[k] = ix->at[k]->dim;
        r->batched |= ix->at[k]->dim && ix->at[k]->dim->ragged;
    }
    for (int k = 0; k < own.rank; k++) r->ty.dim[ix->n + k] = own.dim[k];
    if (unknown && !ix->n) r->ty = ty_scalar(B_UNKNOWN);
    r->axis = ARENA_ARRAY(cx->arena, Index *, v->naxis);
    for (int k = 0; k < v->naxis; k++) {
        bool gone = false;
        for (int i = 0; i < ix->n; i++) gone |= ix->at[i] == v->axis[k];
        if (!gone) r->axis[r->naxis++] = v->axis[k];
    }
    if (!tensor_fits(cx, r, at)) return NULL;
    if (!cx->graph) return r;
    Change by[2 * MAX_RANK];
    for (int k = 0; k < own.rank; k++) by[k] = (Change){k, affine_var(k + ix->n), NULL};
    for (int k = 0; k < ix->n; k++) by[own.rank + k] = (Change){ix->at[k]->var, affine_var(k), NULL};
    r->expr = lower_change(cx, v->expr, own.rank + ix->n, by);
    return lower_named(cx, r);
}

/* All left sides have the same one index, or there is one left side. */
static bool left_sides(Cx *cx, const Ast *it) {
    const Ast *head = it->params.at[0]->args.at[0];
    for (int i = 0; i < it->params.n; i++) {
        const Ast *l = it->params.at[i];
        if (!l->flag) return report(cx, l->loc, E_VALUES, "all names on the left need subscripts, or none");
    }
    for (int i = 0; i < it->params.n && it->params.n > 1; i++) {
        const Ast *l = it->params.at[i], *s = l->args.at[0];
        bool same = s->kind == AST_ID && head->kind == AST_ID && !strcmp(s->name, head->name);
        if (l->args.n != 1)
            return report(cx, it->loc, E_VALUES, "several names on the left take one and the same index each");
        if (!same) return report(cx, l->loc, E_VALUES, "several names on the left take one and the same index each");
    }
    return true;
}

static bool is_named(const Ast *e, void *name) { return ast_is_id(e, name); }

/* y[i, j < n] = rhs: a map over the indices of the left side. */
static bool equation(Cx *cx, const Ast *it, Frame *f, Value **out) {
    if (!left_sides(cx, it)) return false;
    const AstList *subs = &it->params.at[0]->args;
    int from = 0;
    bool steps = false;
    for (int i = 0; f->scan && i < subs->n; i++) steps |= ast_find(subs->at[i], is_named, (void *)f->scan->name);
    if (steps) {
        if (!ast_is_id(subs->at[0], f->scan->name))
            return report(cx, subs->at[0]->loc, E_SCAN, "the scan index %s comes first on the left, alone",
                          f->scan->name);
        from = 1;
    } else if (it->from.n) {
        return report(cx, it->from.at[0]->loc, E_SCAN, "'from' needs [%s] on the left", f->scan->name);
    }
    Frame *g = frame_child(cx, f, f->kind);
    IndexList ix = {0};
    if (!index_make(cx, subs, from, f, g, &ix) || !index_infer(cx, &ix, &it->args, g)) return false;
    if (!eval_values(cx, &it->args, g, it->params.n, it->loc, out)) return false;
    for (int i = 0; i < it->params.n; i++) {
        out[i] = as_tensor(cx, out[i], it->loc);
        if (out[i]) out[i] = gather_map(cx, out[i], &ix, it->loc);
        if (!out[i]) return false;
    }
    return true;
}

static bool assignable(Cx *cx, const Ast *l, Frame *f) {
    if (is_reserved(l->name)) return report(cx, l->loc, E_BUILTIN, "'%s' is built in and cannot be redefined", l->name);
    Entry *e = env_find(&f->env, l->name);
    ValueKind k = e ? e->value->kind : V_POISON;
    if (!l->flag && (k == V_INDEX || k == V_SCANOUT || k == V_FUNC)) {
        report(cx, l->loc, E_TWICE, "'%s' already has another meaning here", l->name);
        remark(cx, e->loc, "'%s' is declared here", l->name);
        return false;
    }
    return true;
}

static bool assign_one(Cx *cx, const Ast *l, Frame *f, Value *v) {
    Entry *e = env_find(&f->env, l->name);
    Value *old = e ? e->value : NULL;
    if (old && old->kind == V_SCANOUT) {
        if (old->u.out->cur)
            return report(cx, l->loc, E_TWICE, "%s[%s] is defined twice", l->name, old->u.out->var->name);
        old->u.out->cur = scan_assign(cx, old->u.out, v);
        return true;
    }
    if (old && ((l->flag && old->kind != V_POISON) || old->kind == V_DIM || old->kind == V_INST)) {
        if (l->flag) report(cx, l->loc, E_TWICE, "'%s' is already defined", l->name);
        else report(cx, l->loc, E_TWICE, "'%s' is already a %s", l->name,
                    old->kind == V_DIM ? "dim" : "layer instance");
        remark(cx, e->loc, "'%s' is declared here", l->name);
        return false;
    }
    if (v->kind == V_TENSOR && !v->zeros) v = lower_named(cx, v);
    define(cx, f, l->name, v, l->loc);
    return true;
}

static bool assign(Cx *cx, const Ast *it, Frame *f) {
    if (it->from.n && !f->scan)
        return report(cx, it->from.at[0]->loc, E_SCAN, "'from' belongs to an equation inside a scan");
    for (int i = 0; i < it->params.n; i++)
        if (!assignable(cx, it->params.at[i], f)) return false;
    const Ast *l = it->params.at[0], *r = it->args.at[0];
    if (!l->flag && it->params.n == 1 && it->args.n == 1 && names_layer(r, f, NULL)) {
        Inst *inst = instance_at(cx, r, f, l->name);
        if (!inst) return false;
        Value *v = value_new(cx, V_INST);
        v->u.inst = inst;
        define(cx, f, l->name, v, l->loc);
        return true;
    }
    Value **v = ARENA_ARRAY(cx->arena, Value *, it->params.n);
    bool ok = l->flag ? equation(cx, it, f, v) : eval_values(cx, &it->args, f, it->params.n, it->loc, v);
    for (int i = 0; ok && i < it->params.n; i++) ok = assign_one(cx, it->params.at[i], f, v[i]);
    return ok;
}

/* After a mistake the names stand for nothing, so that it is the only one reported. */
static void poison(Cx *cx, const Ast *it, Frame *f) {
    for (int i = 0; i < it->params.n; i++) {
        const Ast *l = it->params.at[i];
        Entry *e = env_find(&f->env, l->name);
        Value *old = e ? e->value : NULL;
        if (old && old->kind == V_SCANOUT) {
            if (!old->u.out->cur) old->u.out->cur = value_poison(cx);
        } else if (!old || old->kind == V_TENSOR) {
            define(cx, f, l->name, value_poison(cx), l->loc);
        }
    }
}

static bool stmt_assign(Cx *cx, const Ast *it, Frame *f) {
    bool ok = assign(cx, it, f);
    if (!ok) poison(cx, it, f);
    return ok;
}

/* ---- states ------------------------------------------------------------------------------------ */

/* The first value of a state: one number that fills it. */
static bool first_value(Cx *cx, const Ast *e, Frame *f, double *out) {
    Value *v = eval(cx, e, f);
    if (!v) return false;
    if (v->kind == V_NUMBER) *out = num_value(v->u.num);
    else if (v->kind == V_TENSOR && v->zeros) *out = 0;
    else return report(cx, e->loc, E_STATE, "a state begins as one number, or zeros");
    return true;
}

static const Expr *state_expr(Cx *cx, const State *s, const char *path) {
    bool optim = cx->kind == F_OPTIM;
    if (s->lane && cx->kind == F_ENTRY) return lower_real(cx, s->init);
    graph_at(cx->graph, path, s->loc);
    StateKind kind = optim ? STATE_OPT : s->lane ? STATE_LANE : STATE_SHARED;
    return lower_leaf(cx, graph_state(cx->graph, lower_type(cx, &s->ty, s->lane), kind, s->key, s->init), &s->ty,
                      s->lane);
}

/* The key of a state: "Net.bn.mu"; of an optimizer, whose owner is the parameter: "opt.m.Net.c1.w". */
static const char *state_key(Cx *cx, const Ast *it, Frame *f) {
    if (cx->kind == F_OPTIM) return arena_printf(cx->arena, "opt.%s.%s", it->name, f->inst->path);
    return arena_printf(cx->arena, "%s.%s", f->inst->path, it->name);
}

static bool state_type_fits(Cx *cx, const Ast *it, const Ty *ty) {
    for (int i = 0; i < ty->rank; i++)
        if (ty->dim[i]->ragged)
            return report(cx, it->type->loc, E_RAGGED, "a state cannot have the ragged dim %s",
                          dim_text(cx->arena, ty->dim[i]));
    Value whole = {.kind = V_TENSOR, .ty = *ty, .batched = true};
    return tensor_fits(cx, &whole, it->type->loc);
}

static bool stmt_state(Cx *cx, const Ast *it, Frame *f) {
    static const FrameKind IN[] = {F_LAYER, F_MODEL, F_OBJECTIVE, F_OPTIM};
    if (!belongs(cx, it, f, 4, IN) || !fresh(cx, it->name, f, it->loc)) return false;
    State *s = state_at(cx, state_key(cx, it, f), it->loc);
    if (!first_value(cx, it->a, f, &s->init)) return false;
    if (it->type && (!type_read(cx, it->type, f, &s->ty) || !state_type_fits(cx, it, &s->ty))) return false;
    Value *v = value_tensor(cx, s->ty);
    v->batched = s->lane;
    if (cx->graph) v->expr = state_expr(cx, s, f->inst->path);
    define(cx, f, it->name, v, it->loc);
    StateName n = {it->name, s};
    vec_push(cx->arena, &f->body->out->states, n);
    return true;
}

static State *visible_state(const Frame *f, const char *name) {
    for (; f; f = f->parent)
        for (int i = 0; f->out && i < f->out->states.n; i++)
            if (!strcmp(f->out->states.at[i].name, name)) return f->out->states.at[i].state;
    return NULL;
}

static bool next_type(Cx *cx, const Ast *it, State *s, const Value *v) {
    if (s->ty.base == B_UNKNOWN) {
        s->ty = v->ty.base != B_UNKNOWN ? v->ty : ty_scalar(B_F32);
        cx->changed = true;
    }
    if (!ty_same(&s->ty, &v->ty))
        return report(cx, it->a->loc, E_STATE, "state %s is %s, its next value %s", it->name,
                      ty_text(cx->arena, &s->ty), ty_text(cx->arena, &v->ty));
    if (v->naxis) return report(cx, it->loc, E_STATE, "a state's next value cannot depend on a map index");
    if (v->batched && !s->lane) s->lane = cx->changed = true;
    return true;
}

static bool stmt_next(Cx *cx, const Ast *it, Frame *f) {
    State *s = visible_state(f, it->name);
    Value *v = eval_tensor(cx, it->a, f);
    if (!v) return false;
    Next n = {s, v, it->loc};
    bool param = !s && f->body->kind == F_OPTIM && !strcmp(it->name, "p");
    if (!s && !param) return report(cx, it->loc, E_STATE, "'%s' is not a state", it->name);
    if (f->scan) return report(cx, it->loc, E_STATE, "'next' cannot stand in a scan");
    for (int i = 0; i < cx->nexts.n; i++)
        if (cx->nexts.at[i].state == s) return report(cx, it->loc, E_STATE, "'next %s' twice", it->name);
    if (s && !next_type(cx, it, s, v)) return false;
    if (s) s->moves = true;
    vec_push(cx->arena, &cx->nexts, n);
    return true;
}

/* ---- loss and metrics -------------------------------------------------------------------------- */

static bool stmt_loss(Cx *cx, const Ast *it, Frame *f) {
    static const FrameKind IN[] = {F_OBJECTIVE};
    Value *old = f->out->loss;
    if (!old) f->out->loss = value_poison(cx);
    if (!belongs(cx, it, f, 1, IN)) return false;
    Value *v = as_number(cx, eval(cx, it->a, f), it->a->loc, false);
    if (!v) return false;
    if (v->ty.rank)
        return report(cx, it->a->loc, E_LOSS, "the loss is one number per example, this is %s: use sum or mean",
                      ty_text(cx->arena, &v->ty));
    if (old) v = old->kind == V_POISON ? old : arithmetic(cx, BIN_ADD, old, v, it->loc);
    if (v) f->out->loss = v;
    return v != NULL;
}

static bool stmt_metric(Cx *cx, const Ast *it, Frame *f) {
    static const FrameKind IN[] = {F_OBJECTIVE};
    if (!belongs(cx, it, f, 1, IN)) return false;
    for (int i = 0; i < f->out->metrics.n; i++)
        if (!strcmp(f->out->metrics.at[i].name, it->name)) {
            report(cx, it->loc, E_TWICE, "metric %s twice", it->name);
            remark(cx, f->out->metrics.at[i].loc, "'%s' is declared here", it->name);
            return false;
        }
    if (has_ratio(it->a, f)) {
        Metric r = {.name = it->name, .value = value_poison(cx), .loc = it->loc};
        bool ok = ratio_metric(cx, it->a, f, &r);
        vec_push(cx->arena, &f->out->metrics, r);
        return ok;
    }
    Value *v = eval_tensor(cx, it->a, f);
    if (v && (v->ty.rank || v->ty.base == B_ELEMENT)) {
        report(cx, it->a->loc, E_LOSS, "a metric is one number per example, this is %s", ty_text(cx->arena, &v->ty));
        v = NULL;
    }
    Metric m = {.name = it->name, .value = v ? v : value_poison(cx), .loc = it->loc};
    vec_push(cx->arena, &f->out->metrics, m);
    return v != NULL;
}

/* ---- repeat, dims, members --------------------------------------------------------------------- */

static bool whole_bound(Cx *cx, const Ast *it, const Ast *e, Frame *f, int64_t *out) {
    Num n;
    Value *v = eval(cx, e, f);
    if (!v || !as_static(cx, v, e->loc, &n)) return false;
    return num_whole(n, out) || report(cx, it->loc, E_STATIC, "repeat needs whole numbers known at compile time");
}

static bool repeat_once(Cx *cx, const Ast *it, Frame *f, int64_t i) {
    Frame *g = frame_child(cx, f, f->kind);
    g->repeat.cap = g->repeat.n;                     /* grow into a copy: f keeps its own */
    vec_push(cx->arena, &g->repeat, i);
    define(cx, g, it->name, value_number(cx, num_int(i)), it->loc);
    bool ok = block(cx, &it->items, g, false, NULL);
    for (int k = 0; k < g->env.list.n; k++) {
        Entry *e = &g->env.list.at[k];
        if (strcmp(e->name, it->name) && env_find(&f->env, e->name)) define(cx, f, e->name, e->value, (Loc){0});
    }
    return ok;
}

static bool stmt_repeat(Cx *cx, const Ast *it, Frame *f) {
    int64_t lo, hi;
    if (!whole_bound(cx, it, it->a, f, &lo) || !whole_bound(cx, it, it->b, f, &hi)) return false;
    if (!index_fresh(cx, it->name, f, it->loc)) return false;
    for (int64_t i = lo; i < hi; i++) {
        if (!take_step(cx, it->loc)) return false;
        if (!repeat_once(cx, it, f, i)) return false;
    }
    return true;
}

static bool stmt_dim(Cx *cx, const Ast *it, Frame *f) {
    Value *old = lookup(f, it->name);
    bool taken = old && (old->kind == V_DIM || old->kind == V_TENSOR || old->kind == V_NUMBER);
    if (it->flag || it->b || taken)
        return report(cx, it->loc, E_TWICE, "a local dim is a new name for a size: dim %s = ...", it->name);
    Dim *d = size_dim(cx, it->a, f);
    define(cx, f, it->name, d ? value_dim(cx, d) : value_poison(cx), it->loc);
    return d != NULL;
}

static bool member(Cx *cx, const Ast *it, Frame *f) {
    if (it->kind == AST_OBJECTIVE) return true;
    if (!fresh(cx, it->name, f, it->loc)) return false;
    Value *v = value_new(cx, V_FUNC);
    v->u.func = (Func){it, f};
    bool ok = no_parameters(cx, &it->items);
    define(cx, f, it->name, ok ? v : value_poison(cx), it->loc);
    return ok;
}

static bool statement(Cx *cx, const Ast *it, Frame *f, bool members) {
    static const FrameKind OWNERS[] = {F_LAYER, F_MODEL};
    bool local = f == f->body && (f->kind == F_FN || f->kind == F_LAYER);
    switch (it->kind) {
    case AST_FN: case AST_ENTRY: case AST_OBJECTIVE:
        if (members) return member(cx, it, f);
        break;
    case AST_DIM:
        if (local) return stmt_dim(cx, it, f);
        break;
    case AST_ASSIGN: return stmt_assign(cx, it, f);
    case AST_PARAM:
        if (belongs(cx, it, f, 2, OWNERS) && stmt_param(cx, it, f)) return true;
        if (!env_find(&f->env, it->name)) define(cx, f, it->name, value_poison(cx), it->loc);
        return false;
    case AST_STATE:
        if (stmt_state(cx, it, f)) return true;
        if (!env_find(&f->env, it->name)) define(cx, f, it->name, value_poison(cx), it->loc);
        return false;
    case AST_NEXT: return stmt_next(cx, it, f);
    case AST_LOSS: return stmt_loss(cx, it, f);
    case AST_METRIC: return stmt_metric(cx, it, f);
    case AST_SCAN: return stmt_scan(cx, it, f);
    case AST_REPEAT: return stmt_repeat(cx, it, f);
    default: break;
    }
    return report(cx, it->loc, E_PLACE, "'%s' cannot stand here", ast_kind_name(it->kind));
}

static bool stmt_return(Cx *cx, const AstList *items, int n, Frame *f, Value **ret) {
    const Ast *it = items->at[n];
    FrameKind k = f->body->kind;
    if ((k != F_FN && k != F_LAYER && k != F_ENTRY) || f != f->body)
        return report(cx, it->loc, E_PLACE, "'return' cannot stand here (%s)", frame_word(f->kind));
    if (n + 1 < items->n) return report(cx, items->at[n + 1]->loc, E_PLACE, "a statement after 'return'");
    Value *t = value_new(cx, V_TUPLE);
    t->u.tuple.n = it->args.n;
    t->u.tuple.at = ARENA_ARRAY(cx->arena, Value *, it->args.n);
    for (int i = 0; i < it->args.n; i++)
        if (!(t->u.tuple.at[i] = eval(cx, it->args.at[i], f))) return false;
    *ret = t;
    return true;
}

bool block(Cx *cx, const AstList *items, Frame *f, bool members, Value **ret) {
    bool ok = true;
    for (int n = 0; n < items->n; n++) {
        const Ast *it = items->at[n];
        cx->at = it->loc;
        cx->frame = f;
        bool done = it->kind == AST_RETURN ? stmt_return(cx, items, n, f, ret) : statement(cx, it, f, members);
        ok = ok && done;
        if (!done && it->loc.src && it->loc.src->std) return false;
    }
    return ok;
}
