/* A group of nodes as one nest: every member's expression over the nest's variables, reads as accesses
 * (a place and a linear offset) or as values of stages.
 *
 * Each member's own variables are linear forms of the nest's variables: the outs of the group's space are the
 * nest's outs; members inside a window are computed at the subscripts with which the window reads them;
 * derived variables are replaced by their forms, with a guard (residue.c turns the forms that are left
 * over from strides and pooling into dense ones first).
 */
#include <stdlib.h>
#include <string.h>

#include "passes/nest_impl.h"

/* ---- variables --------------------------------------------------------------------------------------- */

int nest_var(Nest *n, const char *name, int64_t size, int bound) {
    if (n->nvar == MAX_VARS) ICE("a nest of more than %d variables", MAX_VARS);
    n->var[n->nvar] = (NestVar){.name = name, .size = size, .bound = bound, .per = 1};
    return n->nvar++;
}

static bool in_window(const NestBuild *b, int member) {
    for (int i = 0; b->gr->pool && i < b->gr->nodes.n; i++)
        if (b->gr->nodes.at[i] == b->gr->pool) return member < i;
    return false;
}

/* The subscripts with which the pool reads members of its window. */
static void find_window_subs(const Expr *e, void *cx) {
    NestBuild *b = cx;
    if (e->op != SC_READ) return;
    const Node *arg = node_unstop(b->gr->pool->arg[e->operand]);
    if (b->f->group[arg->id] == b->gr) b->window = e;
}

/* Variables of the window, and the outs of the members inside it. */
static void add_window(NestBuild *b) {
    const Comp *c = &b->gr->pool->u.comp;
    Lin         var[MAX_VARS];
    for (int i = 0; i < c->nout; i++) var[i] = b->outs[i];
    for (int i = 0; i < c->nred; i++) {
        const Var *v = &c->var[c->nout + i];
        b->win[i] = nest_var(b->n, v->name, v->ext.size, v->ext.bound);
        var[c->nout + i] = lin_var(b->win[i]);
    }
    b->nwin = c->nred;
    expr_walk(c->expr, find_window_subs, b);
    for (int i = 0; i < b->window->nsub; i++) b->inner[i] = lin_of(&b->window->sub[i].aff, var);
}

/* ---- guards ------------------------------------------------------------------------------------------ */

static void push_guard(NestBuild *b, Guard **list, int *count, Guard g) {
    if (!guard_can_fail(b->n, &g)) return;
    for (int i = 0; i < *count; i++)
        if (guard_equal(&(*list)[i], &g)) return;
    Guard *more = ARENA_ARRAY(b->f->a, Guard, *count + 1);
    if (*count) memcpy(more, *list, sizeof g * (size_t)*count);
    more[(*count)++] = g;
    *list = more;
}

/* Derived variable v of a comp: its form if the division is exact, else an irregular variable. */
static Lin derived_form(NestBuild *b, const Var *v, const Lin *map) {
    Lin  num = lin_of(&v->num, map);
    bool exact = num.c % v->div == 0;
    for (int i = 0; i < b->n->nvar; i++) exact &= num.k[i] % v->div == 0;
    if (exact) {
        num.c /= v->div;
        for (int i = 0; i < b->n->nvar; i++) num.k[i] /= v->div;
        return num;
    }
    int irregular = nest_var(b->n, v->name, v->ext.size, v->ext.bound);
    b->n->var[irregular].num = num;
    b->n->var[irregular].div = v->div;
    return lin_var(irregular);
}

/* ---- reads ------------------------------------------------------------------------------------------- */

static bool access_equal(const Access *a, const Access *b) {
    if (a->node != b->node || a->stage != b->stage || a->nind != b->nind || a->nguard != b->nguard) return false;
    if (!lin_equal(&a->off, &b->off)) return false;
    for (int i = 0; i < a->nind; i++)
        if (a->ind[i].stride != b->ind[i].stride || !expr_equal(a->ind[i].expr, b->ind[i].expr)) return false;
    for (int i = 0; i < a->nguard; i++)
        if (!guard_equal(&a->guard[i], &b->guard[i])) return false;
    return true;
}

static const Expr *access_expr(NestBuild *b, const Access *acc) {
    Nest *n = b->n;
    int   k = 0;
    while (k < n->naccess && !access_equal(&n->access[k], acc)) k++;
    if (k == n->naccess) {
        if (n->naccess == n->cap_access) {
            n->cap_access = n->cap_access ? 2 * n->cap_access : 16;
            Access *more = ARENA_ARRAY(b->f->a, Access, n->cap_access);
            if (n->naccess) memcpy(more, n->access, sizeof *more * (size_t)n->naccess);
            n->access = more;
        }
        n->access[n->naccess++] = *acc;
    }
    return expr_read(b->f->a, acc->dtype, k, 0, NULL, false);
}

/* Elements per axis of `arg`, read where `store` lies: a view has C order, like what it views. */
static void strides_of(const NestBuild *b, const Node *arg, const Node *store, int64_t *stride) {
    int64_t next = 1;
    for (int i = arg->type.rank - 1; i >= 0; next *= arg->type.dim[i].size, i--)
        stride[i] = node_unstop((Node *)arg) == store ? b->f->k->place[store->id].stride[i] : next;
}

static const Expr *uniform_const(NestBuild *b, const Node *n) {
    const double *v = n->u.konst.value;
    for (int64_t i = 1; i < type_count(&n->type); i++)
        if (memcmp(&v[i], &v[0], sizeof *v)) return NULL;
    if (n->type.dtype == DT_I32) return expr_int(b->f->a, (int64_t)v[0]);
    return n->type.dtype == DT_F32 ? expr_const(b->f->a, v[0]) : NULL;
}

/* An indirect subscript lies inside its axis at the points that count, but a derived variable runs outside its range
 * at the others, which are computed and thrown away. */
static void guard_terms(NestBuild *b, Access *acc, const Affine *f, int64_t stride) {
    for (int k = 0; k < f->n; k++) {
        int    v = f->term[k].var;
        Extent range = b->m->u.comp.var[v].ext;
        push_guard(b, &acc->guard, &acc->nguard, (Guard){b->map[v], range.size, range.bound,
                                                            llabs(f->term[k].coef * stride)});
    }
}

/* The elements that out v of the member moves something that lies in panels along it. */
static Lin panel_offset(const NestBuild *b, const Place *p, int v) {
    Lin off = lin_var(b->split[v].rest);
    off.k[b->split[v].whole] = p->panel_stride;
    return off;
}

static const Expr *rewrite(NestBuild *b, const Expr *e);

static const Expr *rewrite_read(NestBuild *b, const Expr *e) {
    Node   *arg = b->m->arg[e->operand], *store = node_storage(arg);
    int64_t stride[MAX_RANK];
    if (node_unstop(arg) == store && b->f->group[store->id] == b->gr) {
        for (int i = 0; i < b->gr->nodes.n; i++)
            if (b->gr->nodes.at[i] == store) return b->value[i];
    }
    Access acc = {.node = store, .stage = -1, .dtype = e->dtype, .off = lin_const(0)};
    strides_of(b, arg, store, stride);
    acc.ind = ARENA_ARRAY(b->f->a, Indirect, e->nsub);
    int panel = panel_variable(b->m, e);
    for (int i = 0; i < e->nsub; i++) {
        Lin    at = lin_of(&e->sub[i].aff, b->map);
        Extent dim = arg->type.dim[i];
        if (panel >= 0 && i == store->panel - 1) {          /* the last one is read whole */
            at = panel_offset(b, &b->f->k->place[store->id], panel);
            lin_add(&acc.off, &at, 1);
            continue;
        }
        lin_add(&acc.off, &at, stride[i]);
        if (e->sub[i].ind) {
            guard_terms(b, &acc, &e->sub[i].aff, stride[i]);
            acc.ind[acc.nind++] = (Indirect){rewrite(b, e->sub[i].ind), stride[i]};
        } else {
            push_guard(b, &acc.guard, &acc.nguard, (Guard){at, dim.size, dim.bound, stride[i]});
        }
    }
    const Expr *same = store->op == OP_CONST && !acc.nguard ? uniform_const(b, store) : NULL;
    return same ? same : access_expr(b, &acc);
}

static bool is_term(const Group *gr, const Node *n) {
    for (int i = 0; i < gr->terms.n; i++)
        if (gr->terms.at[i] == n) return true;
    return false;
}

/* A term that the next one has in it. */
static bool is_absorbed(const NestBuild *b, const Expr *e) {
    const NodeList *terms = &b->gr->terms;
    if (!terms->n) return false;
    if (e->op == SC_ADD) return is_absorbed(b, e->arg[0]) && is_absorbed(b, e->arg[1]);
    const Node *n = e->op == SC_READ ? node_unstop(b->m->arg[e->operand]) : NULL;
    return n && is_term(b->gr, n) && n != terms->at[terms->n - 1];
}

static const Expr *rewrite(NestBuild *b, const Expr *e) {
    if (e->op == SC_ADD && is_absorbed(b, e->arg[0])) return rewrite(b, e->arg[1]);
    if (e->op == SC_ADD && is_absorbed(b, e->arg[1])) return rewrite(b, e->arg[0]);
    for (int i = 0; i < b->memo.n; i++)
        if (b->memo.at[i].from == e) return b->memo.at[i].to;
    const Expr *to = e;
    if (e->op == SC_READ) {
        to = rewrite_read(b, e);
    } else if (e->op == SC_IDX) {
        Lin at = lin_of(&e->aff, b->map);
        to = expr_idx(b->f->a, lin_affine(&at));
    } else if (SCALARS[e->op].args) {
        Expr *made = arena_copy(b->f->a, e, sizeof *e);
        for (int i = 0; i < SCALARS[e->op].args; i++) made->arg[i] = rewrite(b, e->arg[i]);
        to = made;
    }
    vec_push(b->f->a, &b->memo, ((Rewritten){e, to}));
    return to;
}

/* ---- members ------------------------------------------------------------------------------------------ */

static bool reads_group(const NestBuild *b, const Node *n) {
    for (int i = 0; i < n->narg; i++)
        if (b->f->group[node_storage(n->arg[i])->id] == b->gr) return true;
    return false;
}

/* The stage before, if the member being built can run in its loops: the same reductions, none of its value. */
static const Stage *loops_to_share(const NestBuild *b) {
    const Comp  *c = &b->m->u.comp;
    const Stage *last = b->n->nstage ? &b->n->stage[b->n->nstage - 1] : NULL;
    if (!last || !c->nred || c->nder || last->node->u.comp.nder || last->nwin || last->nred != c->nred) return NULL;
    if (b->gr->pool) return last;                 /* window reductions: fuse.c saw to it that they are equal */
    if (reads_group(b, b->m)) return NULL;
    for (int i = 0; i < c->nred; i++) {
        const NestVar *v = &b->n->var[last->red[i]];
        if (v->size != c->var[c->nout + i].ext.size || v->bound != c->var[c->nout + i].ext.bound) return NULL;
    }
    return last;
}

/* Is the out cut as the residue needs it? */
static bool is_cut(const NestBuild *b, const Residue *r) {
    return b->split[r->out].div == r->div && b->split[r->out].shift == r->cut;
}

/* The form of derived variable j if it is (out + c) / div, which counts at one remainder of the out. */
static bool lone_form(NestBuild *b, Stage *s, int j, Lin *form) {
    const Comp *c = &b->m->u.comp;
    const Var  *v = &c->var[c->nout + c->nred + j];
    Residue     r;
    if (!residue_find(c, j, &r) || r.red >= 0 || v->num.n != 1 || !is_cut(b, &r)) return false;
    Lin rest = lin_var(b->split[r.out].rest);
    rest.c -= r.flip;
    push_guard(b, &s->guard, &s->nguard, (Guard){rest, 1, 0, 0});
    *form = lin_var(b->split[r.out].whole);
    form->c = (v->num.c - r.cut + r.flip) / r.div;
    return true;
}

/* Makes the forms of the member's reduction variables that a residue settles (see residue.c). */
static void pin_residues(NestBuild *b, Stage *s, bool *pinned) {
    const Comp *c = &b->m->u.comp;
    for (int j = 0; j < c->nder; j++) {
        Residue r;
        if (!residue_find(c, j, &r) || !is_cut(b, &r) || r.red < 0 || pinned[r.red]) continue;
        const Var *v = &c->var[r.red];
        int64_t    steps = (r.span + r.div - 1) / r.div;
        Lin        t = lin_const(0), rest = lin_var(b->split[r.out].rest);
        Lin        at = r.inverse ? lin_var(b->split[r.out].whole) : lin_const(r.flip);
        if (steps > 1) {
            s->red[s->nred] = nest_var(b->n, v->name, steps, 0);
            t = lin_var(s->red[s->nred++]);
        }
        if (r.inverse) at.c += r.shift;
        else lin_add(&at, &rest, r.flip ? -1 : 1);
        lin_add(&at, &t, r.inverse ? -1 : r.div);
        b->map[r.red] = at;
        pinned[r.red] = true;
        push_guard(b, &s->guard, &s->nguard, (Guard){at, v->ext.size, v->ext.bound, 0});
    }
}

/* Outs, derived variables and some reductions are loops of the nest already. */
static void map_spread(NestBuild *b, Stage *s) {
    const Comp *c = &b->m->u.comp;
    for (int v = c->nout; v < c->nout + c->nred + c->nder; v++) {
        b->map[v] = b->loops[v];
        if (v >= c->nout + c->nred || b->spread.loop[v]) continue;
        s->red[s->nred] = nest_var(b->n, c->var[v].name, c->var[v].ext.size, c->var[v].ext.bound);
        b->map[v] = lin_var(s->red[s->nred++]);
    }
}

static void map_reductions(NestBuild *b, Stage *s, const int *given) {
    const Comp *c = &b->m->u.comp;
    bool        pinned[MAX_VARS] = {false};
    if (b->spreads) {
        map_spread(b, s);
        return;
    }
    pin_residues(b, s, pinned);
    for (int i = 0; i < c->nred; i++) {
        const Var *v = &c->var[c->nout + i];
        if (pinned[c->nout + i]) continue;
        s->red[s->nred] = given ? given[i] : nest_var(b->n, v->name, v->ext.size, v->ext.bound);
        b->map[c->nout + i] = lin_var(s->red[s->nred++]);
    }
    for (int i = c->nout + c->nred; i < c->nout + c->nred + c->nder; i++) {
        if (!lone_form(b, s, i - c->nout - c->nred, &b->map[i])) b->map[i] = derived_form(b, &c->var[i], b->map);
        push_guard(b, &s->guard, &s->nguard, (Guard){b->map[i], c->var[i].ext.size, c->var[i].ext.bound, 0});
    }
}

/* C-order number of a point of the comp's reductions. */
static Lin flat_form(const NestBuild *b) {
    const Comp *c = &b->m->u.comp;
    Lin         flat = lin_const(0);
    for (int i = 0; i < c->nred; i++) {
        int64_t size = c->var[c->nout + i].ext.size;
        flat.c *= size;
        for (int v = 0; v < MAX_VARS; v++) flat.k[v] *= size;
        lin_add(&flat, &b->map[c->nout + i], 1);
    }
    return flat;
}

static const Expr *add_stage(NestBuild *b, bool inside) {
    Stage        s = {.node = b->m, .kind = b->m->u.comp.kind};
    const Stage *share = inside ? NULL : loops_to_share(b);
    const int   *given = share ? share->red : b->gr->pool && !inside ? b->win : NULL;
    bool         more = is_term(b->gr, b->m) && b->m != b->gr->terms.at[0];
    map_reductions(b, &s, given);
    if (inside) {
        s.nwin = b->nwin;
        memcpy(s.win, b->win, sizeof *s.win * (size_t)b->nwin);
    }
    s.expr = rewrite(b, b->m->u.comp.expr);
    s.flat = flat_form(b);
    s.joined = share && !more;
    s.goes_on = more;
    bool real_extreme = (s.kind == KIND_MAX || s.kind == KIND_MIN) && s.expr->dtype == DT_F32;    /* drops NaN */
    if (!s.nred && !s.nguard && s.kind >= KIND_SUM && s.kind <= KIND_MIN && !real_extreme) return s.expr;
    b->n->stage[b->n->nstage] = s;
    Access value = {.stage = b->n->nstage++, .dtype = b->m->type.dtype, .off = lin_const(0)};
    return access_expr(b, &value);
}

static void add_store(NestBuild *b, const Expr *value) {
    Store s = {.node = b->m, .expr = value, .off = lin_const(0)};
    const Place *p = &b->f->k->place[b->m->id];
    for (int i = 0; i < b->m->type.rank; i++) {
        bool panel = i == b->m->panel - 1;
        Lin  off = panel ? panel_offset(b, p, i) : b->outs[i];
        lin_add(&s.off, &off, panel ? 1 : p->stride[i]);
        if (b->split[i].div) push_guard(b, &s.guard, &s.nguard, (Guard){b->outs[i], b->m->type.dim[i].size, 0, 0});
    }
    if (b->n->nstore == MAX_STORES) ICE("a nest of more than %d results", MAX_STORES);
    b->n->store[b->n->nstore++] = s;
}

static void add_member(NestBuild *b, int i) {
    bool inside = in_window(b, i);
    b->m = b->gr->nodes.at[i];
    b->memo.n = 0;
    const Comp *c = &b->m->u.comp;
    for (int k = 0; k < c->nout; k++) b->map[k] = inside ? b->inner[k] : b->outs[k];
    b->value[i] = c->kind == KIND_MAP ? rewrite(b, c->expr) : add_stage(b, inside);
    if (b->f->stored[b->m->id]) add_store(b, b->value[i]);
}

/* ---- scatter ------------------------------------------------------------------------------------------ */

/* outs: k... of the result; access 0: the rows to add, access 1: where to; see NEST_SCATTER. */
static void build_scatter(NestBuild *b) {
    Node *n = b->gr->space, *grad = node_storage(n->arg[0]), *index = node_storage(n->arg[1]);
    int   lead = n->arg[1]->type.rank;
    Lin   from = lin_const(0), at = lin_const(0), to = lin_const(0), unit;
    b->n->kind = NEST_SCATTER;
    int64_t stride[MAX_RANK];
    for (int i = 1; i < n->type.rank; i++) {
        unit = lin_var(nest_var(b->n, "k", n->type.dim[i].size, n->type.dim[i].bound));
        lin_add(&to, &unit, b->f->k->place[n->id].stride[i]);
        strides_of(b, n->arg[0], grad, stride);
        lin_add(&from, &unit, stride[lead + i - 1]);
    }
    b->n->nout = b->n->nvar;
    Stage *s = &b->n->stage[b->n->nstage++];
    *s = (Stage){.node = n, .kind = KIND_SUM};
    for (int i = 0; i < lead; i++) {
        s->red[s->nred++] = nest_var(b->n, "i", n->arg[1]->type.dim[i].size, n->arg[1]->type.dim[i].bound);
        unit = lin_var(s->red[i]);
        strides_of(b, n->arg[0], grad, stride);
        lin_add(&from, &unit, stride[i]);
        strides_of(b, n->arg[1], index, stride);
        lin_add(&at, &unit, stride[i]);
    }
    s->expr = access_expr(b, &(Access){.node = grad, .stage = -1, .dtype = grad->type.dtype, .off = from});
    access_expr(b, &(Access){.node = index, .stage = -1, .dtype = index->type.dtype, .off = at});
    b->n->store[b->n->nstore++] = (Store){.node = n, .off = to};
}

/* ---- names -------------------------------------------------------------------------------------------- */

static char *nest_name(const NestBuild *b, int number) {
    const Node *n = b->gr->nodes.at[0];
    Buf         s = buf_new(b->f->a);
    buf_printf(&s, "%d_", number);
    for (const char *p = n->name ? n->name : OPS[n->op].text; *p; p++)
        buf_putc(&s, (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ? *p : '_');
    return s.s;
}

static const Output *update_by(const Fuse *f, const Node *n) {
    for (int k = 0; k < f->g->outs.n; k++) {
        const Output *o = &f->g->outs.at[k];
        if (o->kind != OUT_VALUE && node_storage(o->value) == n) return o;
    }
    return NULL;
}

/* What is computed beside the stages: "2 maps, update of Net.c1.w". */
static const char *fused_text(const NestBuild *b) {
    Buf s = buf_new(b->f->a);
    int maps = 0;
    for (int i = 0; i < b->gr->nodes.n; i++) {
        const Node *n = b->gr->nodes.at[i];
        maps += n->op == OP_COMP && n->u.comp.kind == KIND_MAP && !update_by(b->f, n);
    }
    if (maps) buf_printf(&s, maps > 1 ? "%d maps" : "map", maps);
    for (int i = 0; i < b->gr->nodes.n; i++) {
        const Output *o = update_by(b->f, b->gr->nodes.at[i]);
        const char   *key = !o ? NULL : o->target->op == OP_PARAM ? o->target->u.param.key : o->target->u.state.key;
        if (key) buf_printf(&s, "%supdate of %s", s.n ? ", " : "", key);
    }
    return s.n ? s.s : "";
}

/* The loops of a sum that adds to memory: the outs that tell results apart first. */
static void spread_outs(NestBuild *b) {
    const Comp *c = &b->gr->space->u.comp;
    int         nvar = c->nout + c->nred + c->nder;
    for (int v = 0; v < nvar; v++) {
        if (!b->spread.loop[v]) continue;
        b->loops[v] = lin_var(nest_var(b->n, c->var[v].name, c->var[v].ext.size, c->var[v].ext.bound));
        b->n->var[b->n->nvar - 1].adds = v >= c->nout;
    }
    for (int v = 0; v < nvar; v++)
        if (!b->spread.loop[v]) b->loops[v] = lin_of(&b->spread.form[v], b->loops);
    for (int v = 0; v < c->nout; v++) b->outs[v] = b->loops[v];
    b->n->nout = b->n->nvar;
    b->n->adds = true;
}

Nest *nest_build(Fuse *f, Group *gr, int number) {
    Nest     *n = ARENA_NEW(f->a, Nest);
    NestBuild b = {.f = f, .gr = gr, .n = n};
    n->name = nest_name(&b, number);
    n->fused = fused_text(&b);
    if (gr->space->op == OP_SCATTER) {
        build_scatter(&b);
        return n;
    }
    n->alone = gr->alone;
    b.spreads = gr->alone && spread_find(gr->space, &b.spread);
    if (b.spreads) spread_outs(&b);
    else residue_split(&b);
    if (gr->pool) add_window(&b);
    for (int i = 0; i < gr->nodes.n; i++) add_member(&b, i);
    return n;
}
