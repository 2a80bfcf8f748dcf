/* Calls: arguments, application of functions and layer instances, results, pipes. */
#include "frontend/check.h"
#include "frontend/lower.h"

/* ---- arguments --------------------------------------------------------------------------------- */

static int parameter_number(const AstList *params, const char *name) {
    for (int i = 0; i < params->n; i++)
        if (!strcmp(params->at[i]->name, name)) return i;
    return -1;
}

static const char *suggest_parameter(Cx *cx, const AstList *params, const char *name) {
    const char **names = ARENA_ARRAY(cx->arena, const char *, params->n);
    for (int i = 0; i < params->n; i++) names[i] = params->at[i]->name;
    const char *near = suggest(cx, name, names, params->n);
    if (*near || !params->n) return near;
    Buf b = buf_new(cx->arena);
    for (int i = 0; i < params->n; i++) buf_printf(&b, "%s%s", i ? ", " : "; it has ", names[i]);
    return b.s;
}

/* Evaluates the arguments; given[i] is what parameter i gets (value NULL: its default). */
static bool collect(Cx *cx, const AstList *params, const AstList *args, Frame *f, Loc at, const char *name,
                    const Arg *first, Arg *given) {
    VEC(Arg) plain = {0};
    if (first) vec_push(cx->arena, &plain, *first);
    for (int i = 0; args && i < args->n; i++) {
        const Ast *e = args->at[i];
        Arg a = {e->name, eval(cx, e->a, f), e->a->loc};
        if (!a.value) return false;
        if (a.value->kind == V_TUPLE)
            return report(cx, a.loc, E_VALUES, "%d values where one is needed", a.value->u.tuple.n);
        if (!e->name) {
            vec_push(cx->arena, &plain, a);
            continue;
        }
        int k = parameter_number(params, e->name);
        if (k < 0)
            return report(cx, a.loc, E_ARGUMENTS, "%s has no parameter '%s'%s", name, e->name,
                          suggest_parameter(cx, params, e->name));
        if (given[k].value) return report(cx, a.loc, E_ARGUMENTS, "'%s' is given twice", e->name);
        given[k] = a;
    }
    if (plain.n > params->n)
        return report(cx, at, E_ARGUMENTS, "%s takes %d argument%s, %d given", name, params->n,
                      params->n == 1 ? "" : "s", plain.n);
    for (int i = 0; i < plain.n; i++) {
        if (given[i].value)
            return report(cx, at, E_ARGUMENTS, "'%s' of %s is given twice", params->at[i]->name, name);
        given[i] = plain.at[i];
    }
    return true;
}

/* The value of parameter p in g, from its argument. */
static Value *accept(Cx *cx, const Ast *p, const Arg *a, Frame *g, const char *name) {
    Value *v = a->value;
    Base base;
    if (p->type) {
        bool element = v->kind == V_NUMBER && p->type->kind == AST_TYPE && !is_scalar_name(p->type->name, &base) &&
                       !names_no_dim(g, p->type->name);
        if (element) {
            Ty ty;
            if (!type_read(cx, p->type, g, &ty)) return NULL;
            v = as_literal(cx, v, ty.elem, a->loc);
        }
        v = as_tensor(cx, v, a->loc);
        if (v) v = type_match(cx, p->type, v, g, a->loc, arena_printf(cx->arena, "'%s' of %s", p->name, name));
    } else if (v->kind == V_TENSOR && v->is_index) {
        v = as_number(cx, v, a->loc, false);
    }
    return v && v->kind == V_TENSOR ? lower_named(cx, v) : v;
}

static void define_all(Cx *cx, Frame *g, const Env *env) {
    for (int i = 0; i < env->list.n; i++) {
        const Entry *e = &env->list.at[i];
        define(cx, g, e->name, e->value, e->loc);
    }
}

bool bind(Cx *cx, const AstList *params, const AstList *args, Frame *f, Frame *g, Loc at, const char *name,
          const Arg *first, const Env *fixed) {
    Arg *given = ARENA_ARRAY(cx->arena, Arg, params->n);
    if (!collect(cx, params, args, f, at, name, first, given)) return false;
    if (fixed) define_all(cx, g, fixed);
    for (int i = 0; i < params->n; i++)
        if (!given[i].value && !params->at[i]->a)
            return report(cx, at, E_ARGUMENTS, "%s lacks its argument '%s'", name, params->at[i]->name);
    for (int i = 0; i < params->n; i++) {
        const Ast *p = params->at[i];
        Value *v;
        if (given[i].value) v = accept(cx, p, &given[i], g, name);
        else v = eval(cx, p->a, g);
        if (!v) return false;
        define(cx, g, p->name, v, p->loc);
    }
    return true;
}

/* ---- application ------------------------------------------------------------------------------- */

static bool names_differ(Cx *cx, const Ast *d, const Env *statics) {
    for (int i = 0; i < d->params.n; i++) {
        const Ast *p = d->params.at[i];
        bool twice = statics && env_find(statics, p->name);
        for (int k = 0; k < i; k++) twice |= !strcmp(d->params.at[k]->name, p->name);
        if (twice) return report(cx, p->loc, E_TWICE, "'%s' is declared twice", p->name);
    }
    return true;
}

/* The frame of a body that is about to be walked; NULL if fn cannot be called. */
static Frame *frame_of(Cx *cx, Value *fn, Loc at) {
    if (fn->kind == V_INST) {
        Inst *i = fn->u.inst;
        Frame *g = frame_new(cx, i->scope, F_LAYER, i, i->decl);
        define_all(cx, g, &i->statics);
        return names_differ(cx, i->decl, &i->statics) ? g : NULL;
    }
    const Ast *d = fn->u.func.decl;
    Frame *scope = fn->u.func.scope;
    if (d->kind == AST_ENTRY) report(cx, at, E_CALL, "entry %s cannot be called: make it a fn", d->name);
    else if (d->kind != AST_FN) report(cx, at, E_CALL, "%s is a %s", d->name, ast_kind_name(d->kind));
    else if (names_differ(cx, d, NULL)) return frame_new(cx, scope, F_FN, scope->inst, d);
    return NULL;
}

static bool enter(Cx *cx, const Ast *d, Loc at) {
    for (int i = 0; i < cx->stack.n; i++)
        if (cx->stack.at[i] == d) return report(cx, at, E_RECURSION, "%s calls itself", d->name);
    if (cx->stack.n >= CALL_LIMIT)
        return report(cx, at, E_LIMIT_DEPTH, "calls are nested more than %d deep", CALL_LIMIT);
    vec_push(cx->arena, &cx->stack, d);
    return true;
}

static Value *walk_body(Cx *cx, const Ast *d, Frame *g, Loc at) {
    if (!enter(cx, d, at)) return NULL;
    uint32_t call = hash_call(cx, at);
    const char *owner = cx->owner;
    vec_push(cx->arena, &cx->path, call);
    if (g->inst) cx->owner = g->inst->path;
    Value *r = NULL;
    if (!block(cx, &d->items, g, false, &r)) r = NULL;
    else if (!r) report(cx, d->loc, E_RESULT, "%s returns nothing: its block ends with 'return'", d->name);
    else r = body_result(cx, d, r, g);
    cx->owner = owner;
    cx->path.n--;
    cx->stack.n--;
    return r;
}

/* Where the types of carries are still being learnt, a body may not be walked yet: what a call gives is then what its
 * signature says, if that is known. */
static Value *promised(Cx *cx, const Ast *d, Frame *g) {
    const Ast *t = d->type;
    if (!cx->lenient || !t || t->kind == AST_TUPLETYPE) return NULL;
    Value *v = value_any(cx);
    return type_read(cx, t, g, &v->ty) ? v : NULL;
}

Value *apply(Cx *cx, Value *fn, const AstList *args, Frame *f, Loc at, const Arg *first) {
    Frame *g = frame_of(cx, fn, at);
    if (!g) return NULL;
    LibraryCall library = cx->library;
    if (g->decl->loc.src->std && !at.src->std) cx->library = (LibraryCall){at, g->decl->name};
    Value *r = NULL;
    const Env *fixed = fn->kind == V_INST ? &fn->u.inst->fixed : NULL;
    if (bind(cx, &g->decl->params, args, f, g, at, g->decl->name, first, fixed)) {
        r = walk_body(cx, g->decl, g, at);
        if (!r) r = promised(cx, g->decl, g);
    }
    cx->library = library;
    return r;
}

Value *body_result(Cx *cx, const Ast *d, Value *r, Frame *g) {
    if (r->u.tuple.n == 1 && r->u.tuple.at[0]->kind == V_TUPLE) r = r->u.tuple.at[0];
    int n = r->u.tuple.n;
    const Ast *promise = d->type;
    int want = !promise ? n : promise->kind == AST_TUPLETYPE ? promise->args.n : 1;
    if (want != n) {
        report(cx, d->loc, E_RESULT, "%s promises %d value%s, returns %d", d->name, want, want == 1 ? "" : "s", n);
        return NULL;
    }
    Value *out = value_new(cx, V_TUPLE);
    out->u.tuple.n = n;
    out->u.tuple.at = ARENA_ARRAY(cx->arena, Value *, n);
    for (int i = 0; i < n; i++) {
        Value *v = r->u.tuple.at[i];
        if (v->kind == V_INST) {
            report(cx, d->loc, E_RESULT, "%s returns a layer instance: apply it", d->name);
            return NULL;
        }
        if (promise) {
            v = as_tensor(cx, v, d->loc);
            const Ast *t = promise->kind == AST_TUPLETYPE ? promise->args.at[i] : promise;
            Loc at = d->items.at[d->items.n - 1]->loc;
            Ty known; /* no caller binds the names of an entry's result: they are known, or misspelt */
            if (d->kind == AST_ENTRY && !type_read(cx, t, g, &known)) return NULL;
            if (v) v = type_match(cx, t, v, g, at, arena_printf(cx->arena, "the result of %s", d->name));
            if (!v) return NULL;
        }
        out->u.tuple.at[i] = v;
    }
    return n == 1 ? out->u.tuple.at[0] : out;
}

/* ---- calls and pipes --------------------------------------------------------------------------- */

static Value *call_reduction(Cx *cx, const Ast *e, Frame *f, const Arg *first) {
    const Ast *c = e->a;
    if (first || e->args.n != 1) {
        report(cx, e->loc, E_ARGUMENTS, "%s[...] takes one expression in brackets", c->a->name);
        return NULL;
    }
    return reduction(cx, c->a->name, &c->args, e->args.at[0]->a, f, e->loc);
}

static Value *call(Cx *cx, const Ast *e, Frame *f, const Arg *first) {
    const Ast *c = e->a;
    if (c->kind == AST_INDEX && c->a->kind == AST_ID && is_reduction(c->a->name))
        return call_reduction(cx, e, f, first);
    Value *v;
    if (c->kind == AST_ID) {
        v = lookup(f, c->name);
        if (!v && is_builtin(c->name)) return builtin(cx, c->name, e, f, first ? first->value : NULL);
        if (!v) {
            report(cx, c->loc, E_NAME, "unknown name '%s'%s", c->name, suggest_visible(cx, f, c->name));
            return NULL;
        }
    } else {
        v = eval(cx, c, f);
    }
    if (!v || v->kind == V_POISON) return NULL;
    if (v->kind != V_FUNC && v->kind != V_INST) {
        const char *name = c->kind == AST_ID ? arena_printf(cx->arena, "'%s'", c->name) : "this";
        report(cx, e->loc, E_CALL, "%s is not a function or a layer", name);
        return NULL;
    }
    if (v->kind == V_FUNC && v->u.func.decl->kind == AST_LAYER) {
        const char *n = v->u.func.decl->name;
        report(cx, e->loc, E_CALL, "%s is a layer: write %s(...)(x), or x |> %s(...)", n, n, n);
        return NULL;
    }
    return apply(cx, v, &e->args, f, e->loc, first);
}

static Value *instance_value(Cx *cx, const Ast *e, Frame *f, const char *name) {
    Inst *i = instance_at(cx, e, f, name);
    if (!i) return NULL;
    Value *v = value_new(cx, V_INST);
    v->u.inst = i;
    return v;
}

Value *eval_call(Cx *cx, const Ast *e, Frame *f) {
    return names_layer(e, f, NULL) ? instance_value(cx, e, f, NULL) : call(cx, e, f, NULL);
}

Value *eval_pipe(Cx *cx, const Ast *e, Frame *f) {
    Arg first = {NULL, eval(cx, e->a, f), e->a->loc};
    if (!first.value) return NULL;
    if (first.value->kind == V_TUPLE) {
        report(cx, e->loc, E_VALUES, "%d values where one is needed", first.value->u.tuple.n);
        return NULL;
    }
    const Ast *c = e->b;
    if (names_layer(c, f, NULL)) {
        Value *i = instance_value(cx, c, f, e->name);
        return i ? apply(cx, i, NULL, f, c->loc, &first) : NULL;
    }
    if (e->name) {
        report(cx, e->loc, E_INSTANCE, "'as' names a layer instance, and there is none here");
        return NULL;
    }
    if (c->kind == AST_CALL) return call(cx, c, f, &first);
    Ast bare = {.kind = AST_CALL, .loc = c->loc, .a = (Ast *)c};
    return call(cx, &bare, f, &first);
}
