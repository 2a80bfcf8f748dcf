/* Layers and what they own: instances, parameters, states.
 *
 * Every place in the text where a layer gets its sizes, Layer(args), is one instance for each enclosing
 * instance. Its path is the owner's path, its name, and the numbers of the repeats around it.
 */
#include <ctype.h>

#include "frontend/check.h"
#include "frontend/habits.h"
#include "frontend/lower.h"

bool names_layer(const Ast *e, const Frame *f, Func *out) {
    if (e->kind != AST_CALL || e->a->kind != AST_ID) return false;
    Value *v = lookup(f, e->a->name);
    if (!v || v->kind != V_FUNC || v->u.func.decl->kind != AST_LAYER) return false;
    if (out) *out = v->u.func;
    return true;
}

/* ---- names of instances ------------------------------------------------------------------------- */

/* Counts the unnamed sites of a layer before `call` in the text of its owner. */
typedef struct {
    const Frame *frame;
    const Ast   *decl, *call;
    int          before;
    VEC(const Ast *) named;
    Arena       *arena;
} SiteCount;

static bool before(Loc a, Loc b) { return a.line < b.line || (a.line == b.line && a.col < b.col); }

static bool find_named(const Ast *e, void *p) {
    SiteCount *c = p;
    bool single = e->kind == AST_ASSIGN && e->params.n == 1 && e->args.n == 1;
    bool assigned = single && names_layer(e->args.at[0], c->frame, NULL);
    if (assigned) vec_push(c->arena, &c->named, e->args.at[0]);
    if (e->kind == AST_PIPE && e->name) vec_push(c->arena, &c->named, e->b);
    return false;
}

static bool count_unnamed(const Ast *e, void *p) {
    SiteCount *c = p;
    Func layer;
    if (!names_layer(e, c->frame, &layer) || layer.decl != c->decl || !before(e->loc, c->call->loc)) return false;
    for (int i = 0; i < c->named.n; i++)
        if (c->named.at[i] == e) return false;
    c->before++;
    return false;
}

/* The lower-cased layer, then with a number: dense, dense2, dense3. */
static const char *default_name(Cx *cx, const Ast *call, Frame *f, const Ast *decl) {
    SiteCount c = {.frame = f, .decl = decl, .call = call, .arena = cx->arena};
    const AstList *body = &f->inst->decl->items;
    for (int i = 0; i < body->n; i++) ast_find(body->at[i], find_named, &c);
    for (int i = 0; i < body->n; i++) ast_find(body->at[i], count_unnamed, &c);
    char *name = arena_strdup(cx->arena, decl->name);
    for (char *s = name; *s; s++) *s = (char)tolower((unsigned char)*s);
    return c.before ? arena_printf(cx->arena, "%s%d", name, c.before + 1) : name;
}

/* One path belongs to one site of the text. */
static bool claim(Cx *cx, const char *path, const Ast *call) {
    Entry *e = env_find(&cx->sites, path);
    if (e && e->value->u.item != call) {
        report(cx, call->loc, E_INSTANCE, "two layer instances are called '%s'", path);
        remark(cx, e->value->u.item->loc, "the other one is here");
        return false;
    }
    if (e) return true;
    Value *v = value_new(cx, V_ITEM);
    v->u.item = call;
    env_set(cx->arena, &cx->sites, path, v, call->loc);
    return true;
}

static Inst *instance_of(Cx *cx, const char *path, const Func *layer, Loc loc) {
    Entry *e = env_find(&cx->insts, path);
    if (e && e->value->u.inst->decl == layer->decl) return e->value->u.inst;
    Inst *i = ARENA_NEW(cx->arena, Inst);
    *i = (Inst){.decl = layer->decl, .path = path, .scope = layer->scope, .loc = loc};
    Value *v = value_new(cx, V_INST);
    v->u.inst = i;
    env_set(cx->arena, &cx->insts, path, v, loc);
    return i;
}

Inst *instance_at(Cx *cx, const Ast *call, Frame *f, const char *name) {
    Func layer = {0};
    names_layer(call, f, &layer);
    if (!f->inst) {
        report(cx, call->loc, E_OWNER,
               "layer %s in a fn outside a model: its parameters would have no owner; make it a layer",
               layer.decl->name);
        return NULL;
    }
    if (!name) name = default_name(cx, call, f, layer.decl);
    Buf path = buf_new(cx->arena);
    buf_printf(&path, "%s.%s", f->inst->path, name);
    for (int i = 0; i < f->repeat.n; i++) buf_printf(&path, ".%lld", (long long)f->repeat.at[i]);
    if (!claim(cx, path.s, call)) return NULL;
    Inst *i = instance_of(cx, path.s, &layer, call->loc);
    Frame *g = frame_new(cx, layer.scope, F_LAYER, i, layer.decl);
    LibraryCall library = cx->library;
    if (layer.decl->loc.src->std && !call->loc.src->std) cx->library = (LibraryCall){call->loc, layer.decl->name};
    bool ok = bind(cx, &layer.decl->statics, &call->args, f, g, call->loc, layer.decl->name, NULL, NULL);
    cx->library = library;
    i->statics = g->env;
    return ok ? i : NULL;
}

/* ---- parameters and states ---------------------------------------------------------------------- */

static Param *param_at(Cx *cx, const char *key) {
    for (int i = 0; i < cx->params.n; i++)
        if (!strcmp(cx->params.at[i]->key, key)) return cx->params.at[i];
    return NULL;
}

State *state_at(Cx *cx, const char *key, Loc loc) {
    for (int i = 0; i < cx->states.n; i++)
        if (!strcmp(cx->states.at[i]->key, key)) return cx->states.at[i];
    State *s = ARENA_NEW(cx->arena, State);
    *s = (State){.key = key, .ty = ty_scalar(B_UNKNOWN), .loc = loc};
    vec_push(cx->arena, &cx->states, s);
    return s;
}

static Value *param_value(Cx *cx, Param *p) {
    Value *v = value_tensor(cx, p->ty);
    v->param = p;
    if (!cx->graph) return v;
    graph_at(cx->graph, p->path, p->item->loc);
    v->expr = lower_leaf(cx, graph_param(cx->graph, lower_type(cx, &p->ty, false), p->key), &p->ty, false);
    return v;
}

static const char *initialiser_name(const Ast *init) {
    const Ast *id = init->kind == AST_CALL ? init->a : init;
    return id->kind == AST_ID ? id->name : "?";
}

/* The initialiser is known and has the arguments and the rank that it needs. */
static bool check_initialiser(Cx *cx, const Ast *it, const Ty *ty) {
    static const char *const NAMES[] = {"zeros", "constant", "uniform", "normal", "glorot", "he", "orthogonal", NULL};
    Num n;
    const Ast *bad, *e = it->a;
    if (!it->flag && !num_const(e, &n, &bad))
        return report(cx, bad->loc, E_STATIC, "a number known at compile time is needed here");
    if (!it->flag) return true;
    const char *name = initialiser_name(e);
    if (!is_initialiser(name)) {
        int errors = cx->diag->errors;
        report(cx, e->loc, E_PARAMETER, "unknown initialiser '%s'%s", name, suggest_in(cx, name, NAMES));
        advise(cx, errors, "initialisers are zeros, constant, uniform, normal, glorot (Xavier), he (Kaiming) and "
               "orthogonal");
        return false;
    }
    int given = e->kind == AST_CALL ? e->args.n : 0;
    bool takes = !strcmp(name, "constant") || !strcmp(name, "uniform") || !strcmp(name, "normal");
    if (given > takes || (!strcmp(name, "constant") && !given))
        return report(cx, e->loc, E_PARAMETER, "%s takes %s", name, takes ? "one number" : "no arguments");
    for (int i = 0; i < given; i++)
        if (!num_const(e->args.at[i]->a, &n, &bad))
            return report(cx, bad->loc, E_STATIC, "a number known at compile time is needed here");
    bool matrix = !strcmp(name, "glorot") || !strcmp(name, "he") || !strcmp(name, "orthogonal");
    if (matrix && ty->rank < 2) return report(cx, e->loc, E_PARAMETER, "%s needs at least two dims", name);
    return true;
}

static bool check_param(Cx *cx, const Ast *it, Frame *f, const Ty *ty) {
    for (int i = 0; i < ty->rank; i++) {
        if (!ty->dim[i]->ragged) continue;
        report(cx, it->type->loc, E_RAGGED, "a parameter cannot have the ragged dim %s",
               dim_text(cx->arena, ty->dim[i]));
        if (ty->dim[i]->name) remark(cx, ty->dim[i]->loc, "'%s' is declared here", ty->dim[i]->name);
        return false;
    }
    if (ty->base != B_F32) return report(cx, it->type->loc, E_PARAMETER, "a parameter is f32");
    Value whole = {.kind = V_TENSOR, .ty = *ty};
    (void)f;
    return tensor_fits(cx, &whole, it->type->loc) && check_initialiser(cx, it, ty);
}

typedef struct { Cx *cx; Frame *frame; } FixCx;

/* Names of sizes that the first application has bound are the instance's from now on. */
static bool fix_dim(const Ast *e, void *p) {
    FixCx *c = p;
    Env *fixed = &c->frame->inst->fixed;
    Entry *v = e->kind == AST_ID ? env_find(&c->frame->env, e->name) : NULL;
    if (v && v->value->kind == V_DIM && !env_find(fixed, e->name))
        env_set(c->cx->arena, fixed, e->name, v->value, v->loc);
    return false;
}

bool stmt_param(Cx *cx, const Ast *it, Frame *f) {
    if (!fresh(cx, it->name, f, it->loc)) return false;
    if (env_find(&f->env, it->name)) {
        report(cx, it->loc, E_TWICE, "'%s' is declared twice", it->name);
        note_declared(cx, f, it->name);
        return false;
    }
    Ty ty;
    if (!type_read(cx, it->type, f, &ty) || !check_param(cx, it, f, &ty)) return false;
    FixCx fix = {cx, f};
    ast_find(it->type, fix_dim, &fix);
    const char *key = arena_printf(cx->arena, "%s.%s", f->inst->path, it->name);
    Param *p = param_at(cx, key);
    if (!p) {
        p = ARENA_NEW(cx->arena, Param);
        *p = (Param){.key = key, .path = f->inst->path, .decl = f->inst->decl, .item = it, .ty = ty};
        vec_push(cx->arena, &cx->params, p);
        cx->changed = true;
    }
    define(cx, f, it->name, param_value(cx, p), it->loc);
    return true;
}

/* ---- fields ------------------------------------------------------------------------------------ */

static Value *symbol(Cx *cx, const Ast *e, Dim *d) {
    bool bos = !strcmp(e->name, "bos"), eos = !strcmp(e->name, "eos");
    if (!d->eos || (!bos && !eos)) {
        report(cx, e->loc, E_FIELD, "%s has no symbol .%s%s", dim_text(cx->arena, d), e->name,
               bos || eos ? ": declare it with vocab(..., eos=true)" : "");
        if (d->name) remark(cx, d->loc, "'%s' is declared here", d->name);
        return NULL;
    }
    Value *v = value_tensor(cx, ty_element(d));
    if (cx->graph) v->expr = expr_int(cx->graph->arena, d->size - (bos ? 2 : 1));
    return v;
}

/* The parameters of an instance, after the name of one that it does not have. */
static const char *suggest_owned(Cx *cx, const Inst *x, const char *name) {
    VEC(const char *) names = {0};
    Buf all = buf_new(cx->arena);
    size_t n = strlen(x->path);
    for (int i = 0; i < cx->params.n; i++) {
        const Param *q = cx->params.at[i];
        if (strcmp(q->path, x->path)) continue;
        vec_push(cx->arena, &names, q->key + n + 1);
        buf_printf(&all, "%s%s", all.n ? ", " : "; it has ", q->key + n + 1);
    }
    const char *near = suggest(cx, name, names.at, names.n);
    return *near || !names.n ? near : all.s;
}

Value *eval_field(Cx *cx, const Ast *e, Frame *f) {
    Value *v = eval(cx, e->a, f);
    if (!v) return NULL;
    if (v->kind == V_DIM) return symbol(cx, e, v->u.dim);
    if (v->kind != V_INST) {
        const char *tail = is_builtin(e->name) || lookup(f, e->name)
                               ? arena_printf(cx->arena, "; a function comes first: %s(x)", e->name)
                               : habit_name(e->name);
        report(cx, e->loc, E_FIELD, "a .name belongs to a dim or to a layer instance%s", tail);
        return NULL;
    }
    Param *p = param_at(cx, arena_printf(cx->arena, "%s.%s", v->u.inst->path, e->name));
    if (!p) {
        report(cx, e->loc, E_FIELD, "%s has no parameter '%s' (or is not applied yet)%s", v->u.inst->path, e->name,
               suggest_owned(cx, v->u.inst, e->name));
        return NULL;
    }
    p->read = true;
    return param_value(cx, p);
}
