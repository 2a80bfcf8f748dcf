/* Frames, names, values and messages. */
#include "frontend/check.h"
#include "frontend/habits.h"

#include <stdarg.h>
#include <stdlib.h>

static const struct { const char *name; ScalarOp op; } ELEMENTWISE[] = {
    {"exp", SC_EXP}, {"log", SC_LOG}, {"tanh", SC_TANH}, {"sqrt", SC_SQRT}, {"sin", SC_SIN},
    {"cos", SC_COS}, {"floor", SC_FLOOR}, {"abs", SC_COUNT}, {"sign", SC_COUNT},
};
static const char *const REDUCTION[] = {"sum", "mean", "max", "min", "prod", "all", "any", "argmax", "argmin", NULL};
static const char *const OTHER[] = {"stop", "last", "first", "draw", "keep", "batch_mean", "batch_var", "flatten",
                                    "zeros", "training", "inf", "pi", "f32", "i32", "u8", "bool", NULL};
static const char *const FREE[] = {"noise", NULL};           /* a file may give the name another meaning */
static const char *const INITIALISER[] = {"zeros", "constant", "uniform", "normal", "glorot", "he", "orthogonal", NULL};
enum { NELEMENTWISE = sizeof ELEMENTWISE / sizeof *ELEMENTWISE };

static bool in_list(const char *name, const char *const *list) {
    for (; *list; list++)
        if (!strcmp(name, *list)) return true;
    return false;
}

bool is_elementwise(const char *name, ScalarOp *op) {
    for (int i = 0; i < NELEMENTWISE; i++)
        if (!strcmp(name, ELEMENTWISE[i].name)) {
            if (op) *op = ELEMENTWISE[i].op;
            return true;
        }
    return false;
}

bool is_reduction(const char *name) { return in_list(name, REDUCTION); }
bool is_initialiser(const char *name) { return in_list(name, INITIALISER); }
bool is_reserved(const char *name) { return is_elementwise(name, NULL) || is_reduction(name) || in_list(name, OTHER); }
bool is_builtin(const char *name) { return is_reserved(name) || in_list(name, FREE); }

/* ---- environments ------------------------------------------------------------------------------ */

static uint32_t hash_name(const char *s) {
    uint32_t h = 5381;
    for (; *s; s++) h = h * 33 + (unsigned char)*s;
    return h;
}

static int *env_slot(const Env *env, const char *name) {
    uint32_t i = hash_name(name) & (uint32_t)(env->nslot - 1);
    while (env->slot[i] && strcmp(env->list.at[env->slot[i] - 1].name, name)) i = (i + 1) & (uint32_t)(env->nslot - 1);
    return &env->slot[i];
}

Entry *env_find(const Env *env, const char *name) {
    if (!env->nslot) return NULL;
    int k = *env_slot(env, name);
    return k ? &env->list.at[k - 1] : NULL;
}

void env_set(Arena *a, Env *env, const char *name, Value *v, Loc loc) {
    Entry *old = env_find(env, name);
    if (old) {
        old->value = v;
        if (loc.src) old->loc = loc;
        return;
    }
    Entry e = {name, v, loc};
    vec_push(a, &env->list, e);
    if (2 * env->list.n > env->nslot) {
        env->nslot = env->nslot ? 2 * env->nslot : 8;
        env->slot = ARENA_ARRAY(a, int, env->nslot);
        for (int i = 0; i < env->list.n; i++) *env_slot(env, env->list.at[i].name) = i + 1;
        return;
    }
    *env_slot(env, name) = env->list.n;
}

/* ---- frames ------------------------------------------------------------------------------------ */

Frame *frame_new(Cx *cx, Frame *parent, FrameKind kind, Inst *inst, const Ast *decl) {
    Frame *f = ARENA_NEW(cx->arena, Frame);
    f->parent = parent;
    f->kind = kind;
    f->inst = inst;
    f->decl = decl;
    f->body = f;
    f->out = ARENA_NEW(cx->arena, Results);
    return f;
}

Frame *frame_child(Cx *cx, Frame *f, FrameKind kind) {
    Frame *g = ARENA_NEW(cx->arena, Frame);
    *g = (Frame){.parent = f, .kind = kind, .inst = f->inst, .decl = f->decl, .body = f->body,
                 .scan = f->scan, .repeat = f->repeat, .out = f->out};
    return g;
}

const char *frame_word(FrameKind k) {
    static const char *const WORD[] = {
        [F_FILE] = "file", [F_FN] = "fn", [F_LAYER] = "layer", [F_MODEL] = "model", [F_OBJECTIVE] = "objective",
        [F_ENTRY] = "entry", [F_OPTIM] = "optim", [F_SCAN] = "scan", [F_OTHER] = "block",
    };
    return WORD[k];
}

Entry *lookup_entry(const Frame *f, const char *name) {
    for (; f; f = f->parent) {
        Entry *e = env_find(&f->env, name);
        if (e) return e;
    }
    return NULL;
}

Value *lookup(const Frame *f, const char *name) {
    Entry *e = lookup_entry(f, name);
    return e ? e->value : NULL;
}

void define(Cx *cx, Frame *f, const char *name, Value *v, Loc loc) { env_set(cx->arena, &f->env, name, v, loc); }

/* ---- messages ---------------------------------------------------------------------------------- */

/* What goes wrong inside the library is shown where the user's text calls it. */
bool report(Cx *cx, Loc at, DiagCode code, const char *fmt, ...) {
    if (cx->muted) return false;
    va_list ap;
    va_start(ap, fmt);
    char text[1500];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *say = text;
    if (at.src && at.src->std && cx->library.at.src) {
        at = cx->library.at;
        say = arena_printf(cx->arena, "in %s: %s", cx->library.name, text);
    }
    return diag_error(cx->diag, at, code, "%s", say);
}

void remark(Cx *cx, Loc at, const char *fmt, ...) {
    if (cx->muted || !at.src || at.src->std) return;
    va_list ap;
    va_start(ap, fmt);
    char text[1500];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_note(cx->diag, at, "%s", text);
}

void advise(Cx *cx, int errors, const char *fmt, ...) {
    if (cx->muted || cx->diag->errors == errors) return;
    va_list ap;
    va_start(ap, fmt);
    char text[1500];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    diag_note(cx->diag, (Loc){0}, "%s", text);
}

void note_declared(Cx *cx, const Frame *f, const char *name) {
    Entry *e = lookup_entry(f, name);
    if (e) remark(cx, e->loc, "'%s' is declared here", name);
}

/* A message that will be shown: looking for near names is work. */
static bool shown(const Cx *cx) { return !cx->muted && cx->diag->errors < DIAG_LIMIT; }

const char *suggest(Cx *cx, const char *name, const char *const *names, int n) {
    const char *m = shown(cx) && strlen(name) > 1 ? str_nearest(name, names, n) : NULL;
    return m ? arena_printf(cx->arena, "; did you mean '%s'?", m) : "";
}

const char *suggest_in(Cx *cx, const char *name, const char *const *list) {
    int n = 0;
    while (list[n]) n++;
    return suggest(cx, name, list, n);
}

typedef VEC(const char *) NameList;

const char *suggest_visible(Cx *cx, const Frame *f, const char *name) {
    if (!shown(cx)) return "";
    const char *habit = habit_name(name);
    if (*habit) return habit;
    NameList names = {0};
    for (; f; f = f->parent)
        for (int i = 0; i < f->env.list.n; i++) vec_push(cx->arena, &names, f->env.list.at[i].name);
    for (int i = 0; i < NELEMENTWISE; i++) vec_push(cx->arena, &names, ELEMENTWISE[i].name);
    for (int i = 0; REDUCTION[i]; i++) vec_push(cx->arena, &names, REDUCTION[i]);
    for (int i = 0; OTHER[i]; i++) vec_push(cx->arena, &names, OTHER[i]);
    return suggest(cx, name, names.at, names.n);
}

const char *suggest_dim(Cx *cx, const Frame *f, const char *name) {
    if (!shown(cx)) return "";
    NameList names = {0};
    for (; f; f = f->parent)
        for (int i = 0; i < f->env.list.n; i++)
            if (f->env.list.at[i].value->kind == V_DIM) vec_push(cx->arena, &names, f->env.list.at[i].name);
    return suggest(cx, name, names.at, names.n);
}

/* ---- syntax trees ------------------------------------------------------------------------------ */

static bool find_in(const AstList *l, bool (*f)(const Ast *, void *), void *cx) {
    for (int i = 0; i < l->n; i++)
        if (ast_find(l->at[i], f, cx)) return true;
    return false;
}

bool ast_find(const Ast *e, bool (*f)(const Ast *, void *), void *cx) {
    if (!e) return false;
    return f(e, cx) || ast_find(e->a, f, cx) || ast_find(e->b, f, cx) || ast_find(e->c, f, cx) ||
           find_in(&e->statics, f, cx) || find_in(&e->params, f, cx) || ast_find(e->type, f, cx) ||
           find_in(&e->args, f, cx) || find_in(&e->from, f, cx) || find_in(&e->items, f, cx);
}

bool ast_is_id(const Ast *e, const char *name) {
    return e && e->kind == AST_ID && (!name || !strcmp(e->name, name));
}

/* ---- values ------------------------------------------------------------------------------------ */

Value *value_new(Cx *cx, ValueKind k) {
    Value *v = ARENA_NEW(cx->arena, Value);
    v->kind = k;
    return v;
}

Value *value_tensor(Cx *cx, Ty ty) {
    Value *v = value_new(cx, V_TENSOR);
    v->ty = ty;
    return v;
}

Value *value_any(Cx *cx) {
    Value *v = value_tensor(cx, ty_scalar(B_UNKNOWN));
    v->batched = true;
    return v;
}

Value *value_number(Cx *cx, Num n) {
    Value *v = value_new(cx, V_NUMBER);
    v->u.num = n;
    return v;
}

Value *value_dim(Cx *cx, Dim *d) {
    Value *v = value_new(cx, V_DIM);
    v->u.dim = d;
    return v;
}

Value *value_copy(Cx *cx, const Value *v) { return arena_copy(cx->arena, v, sizeof *v); }
Value *value_poison(Cx *cx) { return value_new(cx, V_POISON); }

bool is_unknown(const Value *v) { return v->kind == V_TENSOR && v->ty.base == B_UNKNOWN; }
bool is_static(const Value *v) { return v->kind == V_NUMBER || (v->kind == V_DIM && !v->u.dim->ragged); }
bool is_element(const Value *v) { return v->kind == V_TENSOR && v->ty.base == B_ELEMENT; }

bool has_axis(const Value *v, const Index *i) {
    for (int k = 0; k < v->naxis; k++)
        if (v->axis[k] == i) return true;
    return false;
}

void take_axes(Cx *cx, Value *v, int n, Value *const *from) {
    int most = 0;
    for (int i = 0; i < n; i++) most += from[i]->naxis;
    Index **axis = ARENA_ARRAY(cx->arena, Index *, most);
    v->axis = axis;
    v->naxis = 0;
    for (int i = 0; i < n; i++) {
        v->batched |= from[i]->batched;
        for (int k = 0; k < from[i]->naxis; k++)
            if (!has_axis(v, from[i]->axis[k])) axis[v->naxis++] = from[i]->axis[k];
    }
}
