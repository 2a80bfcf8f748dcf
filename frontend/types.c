/* Sizes and types: reading them, and matching declared types against those of values. */
#include "frontend/check.h"
#include "frontend/habits.h"

bool is_scalar_name(const char *name, Base *base) {
    static const struct { const char *name; Base base; } SCALAR_TYPES[] = {
        {"f32", B_F32}, {"i32", B_I32}, {"u8", B_U8}, {"bool", B_BOOL},
    };
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, SCALAR_TYPES[i].name)) {
            *base = SCALAR_TYPES[i].base;
            return true;
        }
    return false;
}

/* ---- sizes ------------------------------------------------------------------------------------- */

static bool size_of_name(Cx *cx, const Ast *e, Frame *f, Form *out) {
    Value *v = lookup(f, e->name);
    if (!v) return report(cx, e->loc, E_NAME, "unknown dim '%s'%s", e->name, suggest_dim(cx, f, e->name));
    const char *what = "not a size";
    int64_t k;
    switch (v->kind) {
    case V_POISON:
        return false;
    case V_DIM:
        *out = form_of(cx->arena, v->u.dim);
        return true;
    case V_NUMBER:
        if (!num_whole(v->u.num, &k))
            return report(cx, e->loc, E_SIZE, "%s is %s here: a size is a whole number", e->name,
                          num_text(cx->arena, v->u.num));
        *out = form_number(k);
        return true;
    case V_TENSOR: what = "known only at run time"; break;
    case V_FUNC: what = "a function"; break;
    case V_INDEX: what = "an index"; break;
    default: break;
    }
    report(cx, e->loc, E_SIZE, "'%s' is %s: a size needs a dim or a number", e->name, what);
    note_declared(cx, f, e->name);
    return false;
}

static bool size_of_quotient(Cx *cx, const Ast *e, Form a, Form b, Form *out) {
    bool bad;
    int64_t k = form_size(b, &bad);
    if (form_ragged(b) || k < 1 || bad)
        return report(cx, e->loc, E_SIZE, "a size is divided by a number of at least 1");
    *out = form_div(cx->arena, &cx->floors, a, k);
    return true;
}

static bool size_of_product(Cx *cx, const Ast *e, Form a, Form b, Form *out) {
    if (!a.n || !b.n) {
        *out = a.n ? form_scale(cx->arena, a, b.c) : form_scale(cx->arena, b, a.c);
        out->bad |= a.bad || b.bad;
        return true;
    }
    if (form_ragged(a) || form_ragged(b)) return report(cx, e->loc, E_SIZE, "a product of ragged dims is not a dim");
    bool x, y;
    int64_t p = form_size(a, &x), q = form_size(b, &y);
    *out = form_number(0);
    out->bad = __builtin_mul_overflow(p, q, &out->c) || x || y;
    return true;
}

bool size_form(Cx *cx, const Ast *e, Frame *f, Form *out) {
    Form a, b;
    if (e->kind == AST_NUM) {
        if (!e->flag || e->num > 9e15)
            return report(cx, e->loc, E_SIZE, "a size is a whole number, not %s",
                          num_text(cx->arena, num_real(e->num)));
        *out = form_number((int64_t)e->num);
        return true;
    }
    if (e->kind == AST_ID) return size_of_name(cx, e, f, out);
    if (e->kind != AST_NEG && (e->kind != AST_BIN || e->op < BIN_ADD || e->op > BIN_DIV))
        return report(cx, e->loc, E_SIZE, "a size is made of dims, whole numbers and + - * /");
    if (++cx->depth > DEPTH_LIMIT) {
        cx->depth--;
        return report(cx, e->loc, E_LIMIT_DEPTH, "this expression is nested too deeply");
    }
    bool ok = size_form(cx, e->a, f, &a) && (e->kind == AST_NEG || size_form(cx, e->b, f, &b));
    cx->depth--;
    if (!ok) return false;
    if (e->kind == AST_NEG) {
        *out = form_scale(cx->arena, a, -1);
        return true;
    }
    if (e->op == BIN_MUL) return size_of_product(cx, e, a, b, out);
    if (e->op == BIN_DIV) return size_of_quotient(cx, e, a, b, out);
    *out = form_add(cx->arena, a, b, e->op == BIN_ADD ? 1 : -1);
    return true;
}

bool dim_fits(Cx *cx, Form f, Loc at, const char *text) {
    bool bad;
    int64_t size = form_size(f, &bad);
    if (bad || size > SIZE_LIMIT)
        return report(cx, at, E_SIZE_RANGE, "the size %s is too large: a dim has at most %d", text, SIZE_LIMIT);
    if (size >= 1) return true;
    const char *value = arena_printf(cx->arena, "%lld", (long long)size);
    if (form_ragged(f))
        return report(cx, at, E_SIZE_RANGE, "the size %s is %s for the longest sequences: a dim has at least 1", text,
                      value);
    if (!strcmp(text, value)) return report(cx, at, E_SIZE_RANGE, "a dim has at least 1, this is %s", value);
    return report(cx, at, E_SIZE_RANGE, "the size %s is %s: a dim has at least 1", text, value);
}

Dim *size_dim(Cx *cx, const Ast *e, Frame *f) {
    Form form;
    if (!size_form(cx, e, f, &form) || !dim_fits(cx, form, e->loc, ast_text(cx->arena, e))) return NULL;
    return form_dim(cx->arena, form);
}

/* ---- types ------------------------------------------------------------------------------------- */

/* The dim that an element type names. */
static Dim *element_dim(Cx *cx, const Ast *t, Frame *f) {
    if (!lookup(f, t->name)) {
        const char *habit = habit_name(t->name);
        int errors = cx->diag->errors;
        report(cx, t->loc, E_NAME, "unknown type '%s'%s", t->name, *habit ? habit : suggest_dim(cx, f, t->name));
        advise(cx, errors, "types are f32, i32, u8, bool and the names of dims");
        return NULL;
    }
    Ast id = {.kind = AST_ID, .loc = t->loc, .name = t->name};
    return size_dim(cx, &id, f);
}

bool type_read(Cx *cx, const Ast *t, Frame *f, Ty *out) {
    if (t->kind == AST_TUPLETYPE) return report(cx, t->loc, E_TYPE, "a tuple type stands only after '->'");
    Ty ty = {0};
    if (!is_scalar_name(t->name, &ty.base)) {
        ty.base = B_ELEMENT;
        ty.elem = element_dim(cx, t, f);
        if (!ty.elem) return false;
    }
    if (t->args.n >= MAX_RANK)
        return report(cx, t->loc, E_LIMIT_RANK, "a tensor has at most %d dims besides the batch, this has %d",
                      MAX_RANK - 1, t->args.n);
    for (int i = 0; i < t->args.n; i++) {
        Dim *d = size_dim(cx, t->args.at[i], f);
        if (!d) return false;
        ty.dim[ty.rank++] = d;
    }
    *out = ty;
    return true;
}

bool names_no_dim(const Frame *f, const char *name) {
    Value *v = lookup(f, name);
    return !v || (v->kind != V_DIM && v->kind != V_NUMBER);
}

/* A declared type as it is written. */
static const char *written_type(Cx *cx, const Ast *t) {
    Buf b = buf_new(cx->arena);
    if (strcmp(t->name, "f32") || !t->args.n) buf_puts(&b, t->name);
    for (int i = 0; i < t->args.n; i++) buf_printf(&b, "%s%s", i ? ", " : "[", ast_text(cx->arena, t->args.at[i]));
    if (t->args.n) buf_putc(&b, ']');
    return b.s;
}

typedef struct {
    Cx    *cx;
    Frame *frame;
    Buf    text;
    VEC(const char *) seen;
} BoundNames;

static bool add_bound_name(const Ast *e, void *p) {
    BoundNames *n = p;
    Base base;
    bool type = e->kind == AST_TYPE && !is_scalar_name(e->name, &base);
    Value *v = e->kind == AST_ID || type ? lookup(n->frame, e->name) : NULL;
    if (!v || v->kind != V_DIM || (v->u.dim->name && !strcmp(v->u.dim->name, e->name))) return false;
    for (int i = 0; i < n->seen.n; i++)
        if (!strcmp(n->seen.at[i], e->name)) return false;
    vec_push(n->cx->arena, &n->seen, e->name);
    buf_printf(&n->text, "%s%s = %s", n->text.n ? ", " : "", e->name, dim_text(n->cx->arena, v->u.dim));
    return false;
}

/* What the names of a declared type stand for here: " (m = 4)". */
static const char *bound_names(Cx *cx, const Ast *t, Frame *f) {
    BoundNames n = {.cx = cx, .frame = f, .text = buf_new(cx->arena)};
    ast_find(t, add_bound_name, &n);
    return n.text.n ? arena_printf(cx->arena, " (%s)", n.text.s) : "";
}

typedef struct { Cx *cx; Frame *frame; } NoteCx;

static bool note_dim(const Ast *e, void *p) {
    NoteCx *n = p;
    Value *v = e->kind == AST_ID ? lookup(n->frame, e->name) : NULL;
    if (v && v->kind == V_DIM && v->u.dim->name && v->u.dim->loc.src && !v->u.dim->loc.src->std)
        remark(n->cx, v->u.dim->loc, "'%s' is declared here", v->u.dim->name);
    return false;
}

/* What makes the vector that a layer like Dense takes: a note after its message. */
static void advise_vector(Cx *cx, int errors, const Ty *ty) {
    Dim *outer = ty->dim[0];
    const char *shape = ty_text(cx->arena, ty);
    bool sequence = false;
    for (int i = 0; i < ty->rank; i++) sequence |= ty->dim[i]->ragged;
    if (!sequence)
        advise(cx, errors, "one dim is needed: flatten makes a vector of %s, as in 'x |> flatten |> ...'", shape);
    else if (outer->ragged)
        advise(cx, errors, "one vector is needed: an equation y[t] = d(x[t]), or a scan, applies it at every place of "
               "%s", dim_text(cx->arena, outer));
}

/* What makes the vector, or the element, that is wanted. */
static void advise_shape(Cx *cx, int errors, const Ast *t, const Ty *ty) {
    Base base;
    bool element = !is_scalar_name(t->name, &base);
    if (!element && t->args.n == 1 && ty->rank > 1) advise_vector(cx, errors, ty);
    else if (!element && t->args.n == 1 && !ty->rank && ty->base == B_ELEMENT)
        advise(cx, errors, "onehot(..) or a layer Embed(..) makes a vector of an element");
    else if (element && !t->args.n && ty->rank == 1 && ty->base == B_ELEMENT)
        advise(cx, errors, "one element is needed: an equation y[t] = f(x[t]) applies a function at every place of %s",
               dim_text(cx->arena, ty->dim[0]));
}

static Value *mismatch(Cx *cx, const Ast *t, const Value *v, Frame *f, Loc at, const char *what) {
    if (cx->muted) return NULL;                     /* a trial walk, where dims may not be known yet */
    int errors = cx->diag->errors;
    report(cx, at, E_MATCH, "%s should be %s, found %s%s", what, written_type(cx, t), ty_text(cx->arena, &v->ty),
           bound_names(cx, t, f));
    NoteCx n = {cx, f};
    ast_find(t, note_dim, &n);
    if (t->kind == AST_TYPE) advise_shape(cx, errors, t, &v->ty);
    return NULL;
}

/* The base of a value against a declared one; binds a free name of an element type. */
static bool match_base(Cx *cx, const Ast *t, const Ty *ty, Frame *f, Dim **elem) {
    Base base;
    *elem = ty->elem;
    if (is_scalar_name(t->name, &base)) {
        bool number = ty->base == B_F32 || ty->base == B_I32 || ty->base == B_U8;
        if (ty->base == B_ELEMENT) return false;
        return (base == B_F32) == number || base == ty->base;
    }
    if (ty->base != B_ELEMENT) return false;
    if (names_no_dim(f, t->name)) {
        define(cx, f, t->name, value_dim(cx, ty->elem), t->loc);
        return true;
    }
    Dim *want = element_dim(cx, t, f);
    if (!want || !dim_same(want, ty->elem)) return false;
    *elem = dim_join(ty->elem, want);
    return true;
}

Value *type_match(Cx *cx, const Ast *t, Value *v, Frame *f, Loc at, const char *what) {
    Ty ty = v->ty;
    if (ty.base == B_UNKNOWN) {
        cx->muted++;
        bool ok = type_read(cx, t, f, &ty);
        cx->muted--;
        Value *r = value_copy(cx, v);
        if (ok) r->ty = ty;
        return r;
    }
    if (t->kind == AST_TUPLETYPE || t->args.n != ty.rank) return mismatch(cx, t, v, f, at, what);
    if (!match_base(cx, t, &ty, f, &ty.elem)) return mismatch(cx, t, v, f, at, what);
    for (int i = 0; i < ty.rank; i++) {
        const Ast *p = t->args.at[i];
        bool binds = ty.dim[i] && p->kind == AST_ID && names_no_dim(f, p->name);
        if (binds) define(cx, f, p->name, value_dim(cx, ty.dim[i]), p->loc);
    }
    for (int i = 0; i < ty.rank; i++) {
        const Ast *p = t->args.at[i];
        Dim *want = size_dim(cx, p, f), *have = ty.dim[i];
        if (!want) return NULL;
        if (!dim_same(want, have)) return mismatch(cx, t, v, f, at, what);
        Entry *e = p->kind == AST_ID ? env_find(&f->body->env, p->name) : NULL;
        if (e && e->value->kind == V_DIM) e->value = value_dim(cx, dim_join(e->value->u.dim, have));
        ty.dim[i] = dim_join(have, want);
    }
    Value *r = value_copy(cx, v);
    r->ty = ty;
    r->is_index = false;
    r->zeros = false;
    return r;
}
