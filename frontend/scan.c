/* scan t in T { h[t] = f(x[t], h[t-1]) from e }: equations whose index t is time.
 *
 * The body is walked over types: leniently, up to four times, until the types of the carries that begin
 * as zeros or a number are known, then once strictly; and once more to lower it (scan_lower.c). Functions
 * that use a scan, or a ragged dim, are marked (Cx.sequence).
 */
#include "frontend/scan_impl.h"

enum { ROUNDS = 4 };

void uses_sequence(Cx *cx, Loc at) {
    if (!cx->sequence.src && !cx->muted)
        cx->sequence = at.src && at.src->std && cx->library.at.src ? cx->library.at : at;
}

/* ---- reads inside a scan ------------------------------------------------------------------------ */

static bool one_step(const Ast *s, const char *var, BinOp *op) {
    if (s->kind != AST_BIN || (s->op != BIN_ADD && s->op != BIN_SUB) || !ast_is_id(s->a, var)) return false;
    *op = s->op;
    return s->b->kind == AST_NUM && s->b->num == 1;
}

Value *scan_read(Cx *cx, ScanOut *o, const Ast *sub, const Ast *e) {
    const char *t = o->var->name;
    BinOp op;
    if (ast_is_id(sub, t)) {
        if (!o->cur)
            report(cx, e->loc, E_SCAN_READ,
                   "%s[%s] is read before its equation in the same step: a cycle, or equations in the wrong order "
                   "(did you mean %s[%s-1]?)",
                   o->name, t, o->name, t);
        return o->cur && o->cur->kind != V_POISON ? o->cur : NULL;
    }
    if (!one_step(sub, t, &op)) {
        report(cx, sub->loc, E_SCAN_READ,
               "inside its scan %s is read at [%s] or one step back; carry older values by a further equation",
               o->name, t);
        return NULL;
    }
    return o->prev && o->prev->kind != V_POISON ? o->prev : NULL;
}

/* ---- what a scan defines ------------------------------------------------------------------------ */

static Out *find_out(ScanWalk *s, const char *name) {
    for (int i = 0; i < s->outs.n; i++)
        if (!strcmp(s->outs.at[i].name, name)) return &s->outs.at[i];
    return NULL;
}

static bool collect_equation(ScanWalk *s, const Ast *it) {
    Cx *cx = s->cx;
    for (int j = 0; j < it->params.n; j++) {
        const Ast *l = it->params.at[j];
        if (!l->flag || !ast_is_id(l->args.at[0], s->item->name)) continue;
        if (find_out(s, l->name))
            return report(cx, l->loc, E_TWICE, "%s[%s] is defined twice", l->name, s->item->name);
        Out o = {.name = l->name, .lhs = l};
        if (it->from.n) {
            if (it->from.n != it->params.n)
                return report(cx, it->from.at[0]->loc, E_VALUES, "%d name%s on the left, %d value%s after 'from'",
                              it->params.n, it->params.n == 1 ? "" : "s", it->from.n, it->from.n == 1 ? "" : "s");
            o.from = it->from.at[j];
        }
        vec_push(cx->arena, &s->outs, o);
    }
    return true;
}

static bool find_carry(const Ast *e, void *p) {
    ScanWalk *s = p;
    BinOp op;
    if (e->kind != AST_INDEX || e->a->kind != AST_ID) return false;
    Out *o = find_out(s, e->a->name);
    if (!o) return false;
    if (!one_step(e->args.at[0], s->item->name, &op)) {
        o->far |= !ast_is_id(e->args.at[0], s->item->name);
        return false;
    }
    o->carried = true;
    *(op == BIN_ADD ? &s->ahead : &s->back) = true;
    if (!o->from)
        s->ok = report(s->cx, e->loc, E_SCAN, "%s[%s%s1] has no first value: add 'from e' to its equation", o->name,
                       s->item->name, bin_op_text(op));
    return !s->ok;
}

/* The outputs, carries and direction, from the text alone. */
static bool read_outputs(ScanWalk *s, Frame *f) {
    Cx *cx = s->cx;
    const Ast *it = s->item;
    for (int i = 0; i < it->items.n; i++)
        if (it->items.at[i]->kind == AST_ASSIGN && !collect_equation(s, it->items.at[i])) return false;
    for (int i = 0; i < s->outs.n; i++) {
        Entry *e = env_find(&f->env, s->outs.at[i].name);
        if (!e) continue;
        report(cx, s->outs.at[i].lhs->loc, E_TWICE, "'%s' is already defined", s->outs.at[i].name);
        remark(cx, e->loc, "'%s' is declared here", s->outs.at[i].name);
        return false;
    }
    for (int i = 0; s->ok && i < it->items.n; i++) ast_find(it->items.at[i], find_carry, s);
    if (s->ok && it->b) ast_find(it->b, find_carry, s);
    if (!s->ok) return false;
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        if (o->from && !o->carried && !o->far)
            return report(cx, o->from->loc, E_SCAN, "'from' is of no use: nothing reads %s[%s-1]", o->name, it->name);
    }
    if (s->back && s->ahead)
        return report(cx, it->loc, E_SCAN, "one scan reads both %s-1 and %s+1: make two scans", it->name, it->name);
    s->var->reverse = s->ahead;
    return true;
}

/* ---- walking the body --------------------------------------------------------------------------- */

Frame *scan_frame(ScanWalk *s, Frame *f) {
    Cx *cx = s->cx;
    Frame *g = frame_child(cx, f, F_SCAN);
    g->scan = s->var;
    Value *t = value_new(cx, V_INDEX);
    t->u.index = s->var;
    define(cx, g, s->item->name, t, s->item->loc);
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        Value *v = value_new(cx, V_SCANOUT);
        v->u.out = ARENA_NEW(cx->arena, ScanOut);
        *v->u.out = (ScanOut){.name = o->name, .var = s->var, .ty = o->carried ? o->ty : ty_scalar(B_UNKNOWN)};
        if (o->carried) {
            v->u.out->prev = value_tensor(cx, o->ty);
            v->u.out->prev->batched = true;
            v->u.out->prev->naxis = v->u.out->naxis = o->naxis;
            v->u.out->prev->axis = v->u.out->axis = o->axis;
        }
        define(cx, g, o->name, v, o->lhs->loc);
    }
    return g;
}

Value *scan_output(Frame *g, const Out *o) {
    Entry *e = env_find(&g->env, o->name);
    return e->value->kind == V_SCANOUT ? e->value->u.out->cur : NULL;
}

/* One lenient walk: every equation on its own, unknown types allowed. True if a type was learnt. */
static bool guess(ScanWalk *s, Frame *f) {
    Cx *cx = s->cx;
    Frame *g = scan_frame(s, f);
    bool lenient = cx->lenient, learnt = false;
    cx->lenient = true;
    cx->muted++;
    for (int i = 0; i < s->item->items.n; i++) {
        Ast *it = s->item->items.at[i];
        AstList one = {.at = &it, .n = 1, .cap = 1};
        if (block(cx, &one, g, false, NULL)) continue;
        for (int j = 0; j < it->params.n; j++) {
            Entry *e = env_find(&g->env, it->params.at[j]->name);
            if (e && e->value->kind == V_SCANOUT) e->value->u.out->cur = value_any(cx);
            else define(cx, g, it->params.at[j]->name, value_any(cx), it->loc);
        }
    }
    cx->muted--;
    cx->lenient = lenient;
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        Value *cur = scan_output(g, o);
        if (!o->carried || o->fixed || !cur || cur->kind != V_TENSOR) continue;
        Ty ty = ty_join(&o->ty, &cur->ty);
        learnt |= !ty_equal(&ty, &o->ty);
        o->ty = ty;
    }
    return learnt;
}

static bool check_until(ScanWalk *s, Frame *g) {
    Cx *cx = s->cx;
    const Ast *e = s->item->b;
    if (!e) return true;
    Value *stop = eval_tensor(cx, e, g);
    if (!stop) return false;
    if ((stop->ty.base == B_BOOL || stop->ty.base == B_UNKNOWN) && !stop->ty.rank) return true;
    return report(cx, e->loc, E_CONDITION, "'until' needs a condition, this is %s", ty_text(cx->arena, &stop->ty));
}

/* Carries keep their type from step to step. */
static bool check_carries(ScanWalk *s, Frame *g) {
    Cx *cx = s->cx;
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        Value *cur = scan_output(g, o);
        if (!o->carried || !cur || cur->kind != V_TENSOR || cur->ty.base == B_UNKNOWN) continue;
        if (!ty_same(&o->ty, &cur->ty))
            return report(cx, o->lhs->loc, E_CARRY, "%s[%s] is %s, but %s[%s-1] starts as %s", o->name, s->item->name,
                          ty_text(cx->arena, &cur->ty), o->name, s->item->name, ty_text(cx->arena, &o->ty));
    }
    return true;
}

/* Where types are not known after all trials there may be a mistake: then it is the one to report, not what follows
 * from taking a carry for a number. True if there is none. */
static bool strict_trial(ScanWalk *s, Frame *f) {
    Cx *cx = s->cx;
    bool unknown = false;
    for (int i = 0; i < s->outs.n; i++) unknown |= s->outs.at[i].carried && s->outs.at[i].ty.base == B_UNKNOWN;
    if (!unknown || cx->muted) return true;
    Graph *graph = cx->graph;
    cx->graph = NULL;
    bool ok = block(cx, &s->item->items, scan_frame(s, f), false, NULL);
    cx->graph = graph;
    return ok;
}

/* A number stays one: it takes the type of the carry. */
static Value *first_value(Cx *cx, const Ast *e, Frame *f) {
    Value *v = eval(cx, e, f);
    if (v && v->kind == V_DIM && is_static(v)) return value_number(cx, num_int(v->u.dim->size));
    return v && v->kind == V_NUMBER ? v : as_tensor(cx, v, e->loc);
}

static bool first_values(ScanWalk *s, Frame *f) {
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        if (!o->from) continue;
        o->init = first_value(s->cx, o->from, f);
        if (!o->init) return false;
        o->fixed = o->init->kind == V_TENSOR && !o->init->zeros && o->init->ty.base != B_UNKNOWN;
        o->ty = o->fixed ? o->init->ty : ty_scalar(B_UNKNOWN);
    }
    Graph *graph = s->cx->graph;
    s->cx->graph = NULL;
    for (int round = 0; round < ROUNDS && guess(s, f); round++) continue;
    s->cx->graph = graph;
    if (!strict_trial(s, f)) return false;
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        if (!o->from) continue;
        bool condition = o->init->kind == V_NUMBER && o->init->u.num.kind == N_BOOL;
        if (o->ty.base == B_UNKNOWN) o->ty = ty_scalar(condition ? B_BOOL : B_F32);
        if (o->init->kind == V_NUMBER && condition != (o->ty.base == B_BOOL))
            return report(s->cx, o->from->loc, E_CARRY, "%s[%s] is %s, but begins as a %s", o->name, s->item->name,
                          ty_text(s->cx->arena, &o->ty), condition ? "condition" : "number");
    }
    return true;
}

Value *scan_sequence(ScanWalk *s, const Out *o, const Value *v, Dim *dim) {
    Cx *cx = s->cx;
    if (!v || v->kind != V_TENSOR) return value_poison(cx);
    Value *r = value_any(cx);
    r->naxis = v->naxis;
    r->axis = v->axis;
    if (v->ty.base == B_UNKNOWN) return r;
    if (v->ty.rank + 1 >= MAX_RANK) {
        report(cx, o->lhs->loc, E_LIMIT_RANK, "a tensor has at most %d dims besides the batch", MAX_RANK - 1);
        return value_poison(cx);
    }
    r->ty = v->ty;
    r->ty.rank++;
    r->ty.dim[0] = dim;
    for (int k = 0; k < v->ty.rank; k++) r->ty.dim[k + 1] = v->ty.dim[k];
    return r;
}

/* ---- the statement ------------------------------------------------------------------------------ */

bool scan_check(ScanWalk *s, Frame *g) { return check_until(s, g) && check_carries(s, g); }

static bool scan_options(ScanWalk *s, const Ast *it, Frame *f) {
    static const char *const OPTIONS[] = {"checkpoint", "truncate", NULL};
    Cx *cx = s->cx;
    for (int i = 0; i < it->args.n; i++) {
        const Ast *o = it->args.at[i];
        const char *name = o->name ? o->name : "";
        Num n;
        if (strcmp(name, "checkpoint") && strcmp(name, "truncate"))
            return report(cx, o->a->loc, E_SCAN, "unknown scan option '%s'%s", name, suggest_in(cx, name, OPTIONS));
        Value *v = eval(cx, o->a, f);
        if (!v || !as_static(cx, v, o->a->loc, &n)) return false;
        int64_t *k = *name == 'c' ? &s->checkpoint : &s->truncate;
        if (!num_whole(n, k) || *k < 1 || *k > INT32_MAX)
            return report(cx, o->a->loc, E_SCAN, "%s is a whole number of steps, at least 1", name);
    }
    return true;
}

static bool not_known(const Dim *base, void *p) {
    Cx *cx = p;
    for (int i = 0; i < cx->known.n; i++)
        if (cx->known.at[i] == base) return false;
    return true;
}

static bool add_known(const Dim *base, void *p) {
    Cx *cx = p;
    if (not_known(base, cx)) vec_push(cx->arena, &cx->known, (Dim *)base);
    return false;
}

static bool check_length(Cx *cx, const Ast *it, const Dim *dim, bool free) {
    if (free && cx->kind == F_OBJECTIVE)
        return report(cx, it->a->loc, E_LENGTH, "no input of the objective has the dim %s", dim_text(cx->arena, dim));
    if (!it->b || free) return true;
    report(cx, it->b->loc, E_LENGTH, "'until' sets the length of a ragged dim: %s %s", dim_text(cx->arena, dim),
           dim->ragged ? "is given by an input" : "is not ragged");
    if (dim->name) remark(cx, dim->loc, "'%s' is declared here", dim->name);
    return false;
}

static bool walk_scan(ScanWalk *s, Frame *f, Dim *dim) {
    Cx *cx = s->cx;
    if (!read_outputs(s, f) || !first_values(s, f)) return false;
    if (cx->graph) return scan_lower(s, f, dim);
    Frame *g = scan_frame(s, f);
    bool ok = block(cx, &s->item->items, g, false, NULL) && scan_check(s, g);
    for (int i = 0; i < s->outs.n; i++) {
        Out *o = &s->outs.at[i];
        define(cx, f, o->name, scan_sequence(s, o, scan_output(g, o), dim), o->lhs->loc);
    }
    return ok;
}

static bool scan(Cx *cx, const Ast *it, Frame *f) {
    ScanWalk s = {.cx = cx, .item = it, .ok = true};
    Dim *dim = size_dim(cx, it->a, f);
    if (!dim || !index_fresh(cx, it->name, f, it->loc) || !scan_options(&s, it, f)) return false;
    bool free = dim_uses(dim, not_known, cx);
    if (!check_length(cx, it, dim, free)) return false;
    if (it->b && (dim->derived || dim->floored))
        return report(cx, it->b->loc, E_LENGTH, "'until' sets the length of a declared dim, not of %s",
                      dim_text(cx->arena, dim));
    if (it->b) vec_push(cx->arena, &cx->until, dim);
    s.var = index_new(cx, it->name, dim, NULL, it->loc, true);
    s.var->scan = true;
    bool ok = walk_scan(&s, f, dim);
    if (it->b || (free && cx->kind == F_ENTRY)) dim_uses(dim, add_known, cx);
    return ok;
}

bool stmt_scan(Cx *cx, const Ast *it, Frame *f) {
    if (f->kind == F_MODEL)
        return report(cx, it->loc, E_PLACE, "'scan' cannot stand in a model: put it in a fn or an objective");
    uses_sequence(cx, it->loc);
    if (scan(cx, it, f)) return true;
    for (int i = 0; i < it->items.n; i++)
        for (int j = 0; j < it->items.at[i]->params.n; j++) {
            const Ast *l = it->items.at[i]->params.at[j];
            if (l->flag && !env_find(&f->env, l->name))
                define(cx, f, l->name, cx->lenient ? value_any(cx) : value_poison(cx), l->loc);
        }
    return false;
}
