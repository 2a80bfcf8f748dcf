/* One walk over a function of a model, and what it says about the function's arguments and results. */
#include "frontend/lower.h"
#include "frontend/program.h"

void walk_begin(Program *p, FrameKind kind, bool training) {
    Cx *cx = &p->cx;
    cx->kind = kind;
    cx->training = training;
    cx->nexts.n = cx->stack.n = cx->known.n = cx->path.n = 0;
    cx->until.n = cx->lengths.n = cx->loops.n = cx->level.n = 0;
    cx->sites = (Env){0};
    cx->library = (LibraryCall){0};
    cx->sequence = (Loc){0};
    cx->owner = NULL;
    cx->frame = NULL;
    cx->depth = 0;
    cx->work = 0;
    cx->overworked = false;
    cx->next_var = VAR_FIRST;
}

Frame *walk_model(Program *p, const Ast *m) {
    Cx *cx = &p->cx;
    Inst *i = ARENA_NEW(p->arena, Inst);
    *i = (Inst){.decl = m, .path = m->name, .scope = p->file, .loc = m->loc};
    Frame *f = frame_new(cx, p->file, F_MODEL, i, m);
    cx->owner = i->path;
    block(cx, &m->items, f, true, NULL);
    return f;
}

static bool add_known(const Dim *base, void *p) {
    Cx *cx = p;
    vec_push(cx->arena, &cx->known, (Dim *)base);
    return false;
}

/* The arguments of a function, each an input of the graph. */
static bool arguments(Program *p, const Ast *item, Frame *f) {
    Cx *cx = &p->cx;
    bool ok = true;
    for (int i = 0; i < item->params.n; i++) {
        const Ast *q = item->params.at[i];
        Ty ty = ty_scalar(B_F32);
        int errors = p->diag->errors;
        bool twice = env_find(&f->env, q->name) != NULL;
        cx->at = q->loc;
        if (!q->type && !q->a) {
            ok = report(cx, q->loc, E_TYPE, "the type of '%s' is missing", q->name);
        } else if (q->type && !type_read(cx, q->type, f, &ty)) {
            ok = false;
            if (item->kind == AST_FN)
                advise(cx, errors,
                       "a fn inside of a model takes declared dims; at the top of the file, dims of any size");
        } else if (twice) {
            ok = report(cx, q->loc, E_TWICE, "'%s' is declared twice", q->name);
        } else {
            Num n;
            const Ast *bad;
            if (q->a && !num_const(q->a, &n, &bad))
                ok = report(cx, bad->loc, E_STATIC, "a number known at compile time is needed here");
            for (int k = 0; k < ty.rank; k++) {
                dim_uses(ty.dim[k], add_known, cx);
                if (ty.dim[k]->ragged) uses_sequence(cx, q->type->loc);
            }
            Value *v = value_tensor(cx, ty);
            v->batched = true;
            if (!tensor_fits(cx, v, q->loc)) return false;
            if (cx->graph) v->expr = lower_input(cx, &ty, q->name);
            define(cx, f, q->name, v, q->loc);
            continue;
        }
        if (!twice) define(cx, f, q->name, value_poison(cx), q->loc);
    }
    return ok;
}

Walk walk_function(Program *p, const Ast *model, const Ast *item, bool training) {
    Cx *cx = &p->cx;
    FrameKind kind = item->kind == AST_OBJECTIVE ? F_OBJECTIVE : item->kind == AST_ENTRY ? F_ENTRY : F_FN;
    int errors = p->diag->errors;
    walk_begin(p, kind, training);
    Frame *m = walk_model(p, model);
    Walk w = {.frame = frame_new(cx, m, kind, m->inst, item)};
    bool ok = arguments(p, item, w.frame);
    if (ok) {
        Value *r = NULL;
        ok = block(cx, &item->items, w.frame, false, &r);
        if (ok && kind != F_OBJECTIVE) {
            if (!r) report(cx, item->loc, E_RESULT, "%s %s returns nothing: its block ends with 'return'",
                           ast_kind_name(item->kind), item->name);
            else w.result = body_result(cx, item, r, w.frame);
        }
    }
    w.ok = ok && p->diag->errors == errors;
    return w;
}

/* ---- arguments and results as ports ------------------------------------------------------------- */

PortInfo port_info(Program *p, const char *name, const Ty *ty) {
    PortInfo q = {.name = name};
    q.type.rank = ty->rank;
    q.type.dtype = ty->base == B_BOOL ? DT_U8 : lower_dtype(ty);
    if (ty->base == B_ELEMENT) {
        q.dim = dim_text(p->arena, ty->elem);
        q.dim_size = ty->elem->size;
    }
    for (int i = 0; i < ty->rank; i++) {
        q.type.dim[i] = (Extent){ty->dim[i]->size, 0};
        q.axis[i] = ty->dim[i]->ragged ? dim_text(p->arena, ty->dim[i]) : ty->dim[i]->name;
        q.ragged[i] = ty->dim[i]->ragged;
    }
    return q;
}

static void add_derived(Cx *cx, const Ty *ty, DimList *list) {
    for (int i = 0; i < ty->rank; i++) {
        const Dim *d = ty->dim[i];
        bool       listed = !d->derived && !d->floored;
        for (int k = 0; k < list->n; k++) listed |= dim_same(list->at[k], d);
        if (!listed) vec_push(cx->arena, list, d);
    }
}

void derived_dims(Cx *cx, const Value *result, DimList *list) {
    if (result->kind == V_TENSOR) add_derived(cx, &result->ty, list);
    for (int i = 0; result->kind == V_TUPLE && i < result->u.tuple.n; i++)
        derived_dims(cx, result->u.tuple.at[i], list);
}

/* Their names, behind those of the dims that the function ends itself. */
static void note_derived(Program *p, const Value *result, FuncInfo *info) {
    DimList list = {0};
    derived_dims(&p->cx, result, &list);
    const char **found = ARENA_ARRAY(p->arena, const char *, info->nfound + list.n);
    for (int i = 0; i < info->nfound; i++) found[i] = info->found[i];
    for (int i = 0; i < list.n; i++) found[info->nfound++] = dim_text(p->arena, list.at[i]);
    info->found = found;
}

const char *result_name(Program *p, const Ast *item, int k, int n) {
    const Ast *ret = item->items.n ? item->items.at[item->items.n - 1] : NULL;
    if (ret && ret->kind == AST_RETURN && ret->args.n == n && ret->args.at[k]->kind == AST_ID)
        return ret->args.at[k]->name;
    return arena_printf(p->arena, "%d", k);
}

void walk_ports(Program *p, const Ast *item, const Walk *w, FuncInfo *info) {
    info->nin = item->params.n;
    info->in = ARENA_ARRAY(p->arena, PortInfo, info->nin);
    for (int i = 0; i < info->nin; i++) {
        const Ast *q = item->params.at[i];
        Value *v = lookup(w->frame, q->name);
        Num n = num_int(0);
        const Ast *bad;
        info->in[i] = port_info(p, q->name, &v->ty);
        info->in[i].has_default = q->a && num_const(q->a, &n, &bad);
        info->in[i].value = num_value(n);
    }
    Results *r = w->frame->out;
    info->metric = ARENA_ARRAY(p->arena, const char *, r->metrics.n);
    info->formula = ARENA_ARRAY(p->arena, const char *, r->metrics.n);
    for (int i = 0; i < r->metrics.n; i++) {
        info->formula[info->nmetric] = r->metrics.at[i].formula;
        info->metric[info->nmetric++] = r->metrics.at[i].name;
    }
    if (!w->result) return;
    note_derived(p, w->result, info);
    bool many = w->result->kind == V_TUPLE;
    info->nout = many ? w->result->u.tuple.n : 1;
    info->out = ARENA_ARRAY(p->arena, PortInfo, info->nout);
    for (int i = 0; i < info->nout; i++) {
        Value *v = as_tensor(&p->cx, many ? w->result->u.tuple.at[i] : w->result, item->loc);
        if (!v) return;
        info->out[i] = port_info(p, result_name(p, item, i, info->nout), &v->ty);
        if (v->ty.base == B_BOOL) info->out[i].type.dtype = DT_F32;
    }
}
