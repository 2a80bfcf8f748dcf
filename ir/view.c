/* A graph as a person would draw it: boxes for the user's layers and equations, arrows between steps.
 *
 * Bodies of scans and what has a time axis outside are one: a step of it. A node is an item of its scope (the
 * graph or a body); copies, masks, arguments and results are looked through, so that an arrow goes from what
 * computes a value to what computes with it, and knows how many steps lie between. Items of one layer, or of one
 * line of the model, are one box, unless that made a circle within a step. */
#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "ir/view_impl.h"

enum { SAME_NAME_TRIES = 64, LONGEST_LABEL = 72 };

typedef struct Scope Scope;
typedef struct {
    const Node *n;
    Scope      *scope;
    int         time, box;         /* box -1: none yet */
    bool        wanted;
    int         axis[MAX_RANK];    /* 1 + number of the time that the axis is; 0: none */
} Item;

struct Scope {
    const Graph *g;
    const Node  *scan;             /* whose body it is; NULL: the whole */
    Scope       *outer;
    int          time;             /* of the outermost scan around; 0: none */
    Item        *item;             /* by id */
};

typedef struct {
    Item *from, *to;
    Reach reach;
} Edge;

typedef struct {
    View        *v;
    Arena       *a;
    int          depth;
    VEC(Scope *) scopes;
    VEC(Edge)    edges;
    VEC(Item *)  order;            /* operands before users, but for what is carried */
} Maker;

/* ---- time -------------------------------------------------------------------------------------- */

static int time_of(Maker *m, const Graph *g, Extent e, const char *var) {
    View *v = m->v;
    for (int i = 0; i < v->times.n; i++) {
        Time *t = &v->times.at[i];
        if (t->trip.bound != e.bound || t->trip.size != e.size) continue;
        if (var && !t->var) t->var = var;
        return i + 1;
    }
    Time t = {e, e.bound ? g->bounds.at[e.bound].name : NULL, var};
    vec_push(m->a, &v->times, t);
    return v->times.n;
}

static Scope *scope_new(Maker *m, const Graph *g, const Node *scan, Scope *outer) {
    Scope *s = ARENA_NEW(m->a, Scope);
    *s = (Scope){.g = g, .scan = scan, .outer = outer, .item = ARENA_ARRAY(m->a, Item, g->nodes.n)};
    if (scan) s->time = outer->time ? outer->time : time_of(m, g, scan->u.scan.trip, scan->u.scan.var);
    vec_push(m->a, &m->scopes, s);
    for (int i = 0; i < g->nodes.n; i++) {
        Item *it = &s->item[i];
        *it = (Item){.n = g->nodes.at[i], .scope = s, .box = -1};
        for (int k = 0; k < it->n->type.rank; k++)
            if (it->n->type.dim[k].bound > 1) it->axis[k] = time_of(m, g, it->n->type.dim[k], NULL);
    }
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN) scope_new(m, g->nodes.at[i]->u.scan.body, g->nodes.at[i], s);
    return s;
}

static Scope *body_of(const Maker *m, const Node *scan) {
    for (int i = 0; i < m->scopes.n; i++)
        if (m->scopes.at[i]->scan == scan) return m->scopes.at[i];
    ICE("a scan without a body");
}

static Item *operand(Item *it, int k) { return &it->scope->item[it->n->arg[k]->id]; }

static bool same_extent(const Node *a, int i, const Node *b, int k) {
    return a->type.dim[i].size == b->type.dim[k].size && a->type.dim[i].bound == b->type.dim[k].bound;
}

/* Axis k of `it` is axis i of `from`: what is known of one is known of the other. */
static bool tie(Item *from, int i, Item *it, int k) {
    if (from->axis[i] && !it->axis[k]) return (it->axis[k] = from->axis[i]) != 0;
    if (it->axis[k] && !from->axis[i] && same_extent(from->n, i, it->n, k)) return (from->axis[i] = it->axis[k]) != 0;
    return false;
}

typedef struct { Item *it; bool changed; } Tie;

static void tie_read(const Expr *e, void *p) {
    Tie *x = p;
    if (e->op != SC_READ) return;
    for (int k = 0; k < e->nsub; k++)
        for (int i = 0; i < x->it->n->u.comp.nout && !e->sub[k].ind; i++)
            if (affine_coef(&e->sub[k].aff, i) == 1) x->changed |= tie(operand(x->it, e->operand), k, x->it, i);
}

static bool tie_all(Item *from, int skip, Item *it, int put) {
    bool changed = false;
    for (int k = 0; k + skip < from->n->type.rank && k + put < it->n->type.rank; k++)
        changed |= tie(from, k + skip, it, k + put);
    return changed;
}

static bool tie_scan(Maker *m, Item *it) {
    const Scan *s = &it->n->u.scan;
    Scope      *body = body_of(m, it->n);
    bool        changed = false;
    for (int i = 0; i < body->g->nodes.n; i++) {
        Item *arg = &body->item[i];
        int   k = arg->n->op == OP_ARG ? arg->n->u.arg.index : ARG_STEP;
        if (k == ARG_STEP) continue;
        bool over = k >= s->ncarry && k < s->ncarry + s->nover;
        if (over && !it->scope->scan && !operand(it, k)->axis[0]) changed = (operand(it, k)->axis[0] = body->time) != 0;
        changed |= tie_all(operand(it, k), over, arg, 0);
    }
    return changed;
}

static bool tie_item(Maker *m, Item *it) {
    Tie  x = {it, false};
    bool changed = false;
    switch (it->n->op) {
    case OP_COMP: expr_walk(it->n->u.comp.expr, tie_read, &x); return x.changed;
    case OP_GATHER: return tie_all(operand(it, 1), 0, it, 0);
    case OP_STOP: return tie_all(operand(it, 0), 0, it, 0);
    case OP_RESHAPE:
        for (int k = 0; k < it->n->type.rank && k < it->n->arg[0]->type.rank && same_extent(it->n->arg[0], k, it->n, k);
             k++)
            changed |= tie(operand(it, 0), k, it, k);
        return changed;
    case OP_SCAN: return tie_scan(m, it);
    case OP_RESULT: {
        Scope *body = body_of(m, it->n->arg[0]);
        int    i = it->n->u.result.index, stack = i >= it->n->arg[0]->u.scan.ncarry;
        if (stack && !it->scope->scan && !it->axis[0]) changed = (it->axis[0] = body->time) != 0;
        return tie_all(&body->item[body->g->outs.at[i].value->id], 0, it, stack) || changed;
    }
    default: return false;
    }
}

static void find_times(Maker *m) {
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < m->scopes.n; i++)
            for (int k = 0; k < m->scopes.at[i]->g->nodes.n; k++) changed |= tie_item(m, &m->scopes.at[i]->item[k]);
    }
    for (int i = 0; i < m->scopes.n; i++)
        for (int k = 0; k < m->scopes.at[i]->g->nodes.n; k++) {
            Item *it = &m->scopes.at[i]->item[k];
            it->time = it->scope->time;
            for (int r = 0; r < it->n->type.rank && !it->time; r++) it->time = it->axis[r];
        }
}

/* ---- what reads what --------------------------------------------------------------------------- */

/* Lengths, numbers of steps and constants are not drawn. */
static bool is_plain(const Item *it) {
    const Node *n = it->n;
    if (n->op == OP_CONST || n->op == OP_PARAM || n->op == OP_RNG || (n->op == OP_COMP && !n->narg)) return true;
    if (n->op == OP_INPUT) {
        if (n->u.input.kind == IN_SCALAR) return true;
        for (int i = 2; i < it->scope->g->bounds.n; i++)
            if (!strcmp(it->scope->g->bounds.at[i].name, n->u.input.key)) return true;
        return false;
    }
    if (n->op != OP_ARG) return false;
    int k = n->u.arg.index, use = it->scope->scan->u.scan.ncarry;
    return k == ARG_STEP || (k >= use && is_plain(&it->scope->outer->item[it->scope->scan->arg[k]->id]));
}

typedef struct {
    Item *it, *only;               /* the operand that is read, if it is one */
    const Expr *read;
    int   others;
    bool  computes;
} Reads;

static bool is_plain_expr(Item *it, const Expr *e) {
    if (e->op == SC_READ) return is_plain(operand(it, e->operand));
    for (int k = 0; k < SCALARS[e->op].args; k++)
        if (!is_plain_expr(it, e->arg[k])) return false;
    return true;
}

/* sel(counts, next, carry): a carry that is held once its example has ended. */
static const Expr *held(const Item *it) {
    const Expr *e = it->n->u.comp.expr;
    if (!it->scope->scan || e->op != SC_SEL || e->arg[2]->op != SC_READ) return NULL;
    const Node *carry = it->n->arg[e->arg[2]->operand];
    if (carry->op != OP_ARG || carry->u.arg.index < 0 || carry->u.arg.index >= it->scope->scan->u.scan.ncarry)
        return NULL;
    return it->scope->g->outs.at[carry->u.arg.index].value == it->n ? e->arg[1] : NULL;
}

static const Expr *expr_drawn(const Item *it) {
    const Expr *e = held(it);
    return e ? e : it->n->u.comp.expr;
}

static void find_reads(Reads *r, const Expr *e) {
    if (is_plain_expr(r->it, e)) return;
    if (e->op == SC_READ) {
        Item *o = operand(r->it, e->operand);
        r->others += r->only != NULL;
        r->only = o;
        r->read = e;
        return;
    }
    r->computes |= e->op != SC_SEL && e->op != SC_CAST;
    for (int k = 0; k < SCALARS[e->op].args; k++) find_reads(r, e->arg[k]);
}

/* A copy: another order of axes, a mask, a cast. */
static const Expr *copied(Item *it) {
    if (it->n->op != OP_COMP || it->n->u.comp.kind != KIND_MAP) return NULL;
    Reads r = {.it = it};
    find_reads(&r, expr_drawn(it));
    return r.only && !r.others && !r.computes ? r.read : NULL;
}

static Reach reach_of(const Item *it, Item *o, const Expr *e) {
    const Comp *c = &it->n->u.comp;
    Reach       r = {0};
    int         axis = -1, own = -1;
    if (it->scope->scan) return r;                      /* in a body a step is a step */
    for (int k = 0; k < e->nsub && axis < 0; k++)
        if (o->axis[k] && o->axis[k] == o->time) axis = k;
    if (axis < 0) return r;
    for (int k = 0; k < it->n->type.rank && own < 0; k++)
        if (it->axis[k] && it->axis[k] == it->time) own = k;
    const Affine *s = &e->sub[axis].aff;
    if (own < 0 || it->time != o->time || e->sub[axis].ind || affine_coef(s, own) != 1)
        return (Reach){.kind = REACH_ALL};
    r.lo = r.hi = (int)s->c;
    for (int i = 0; i < s->n; i++) {
        if (s->term[i].var == own) continue;
        if (s->term[i].var < c->nout || s->term[i].var >= c->nout + c->nred) return (Reach){.kind = REACH_ALL};
        int64_t far = s->term[i].coef * (c->var[s->term[i].var].ext.size - 1);
        if (far > 0) r.hi += (int)far;
        else r.lo += (int)far;
    }
    return r;
}

/* A read of a read. */
static Reach reach_then(Reach outer, Reach inner) {
    if (outer.kind == REACH_INNER || inner.kind == REACH_INNER) return outer.kind == REACH_INNER ? outer : inner;
    Reach r = outer.kind ? outer : inner;
    r.lo = outer.lo + inner.lo;
    r.hi = outer.hi + inner.hi;
    r.carried = outer.carried || inner.carried;
    r.first = outer.first || inner.first;
    r.first_back = outer.first_back || inner.first_back;
    r.reverse = inner.kind == REACH_LAST ? inner.reverse : outer.reverse;
    r.name = outer.name ? outer.name : inner.name;
    return r;
}

static void connect(Maker *m, Item *to, Item *from, Reach r);

/* The value of an argument that is read by `to`. */
static void connect_argument(Maker *m, Item *to, Item *arg, Reach r) {
    Scope      *body = arg->scope;
    const Scan *s = &body->scan->u.scan;
    int         k = arg->n->u.arg.index;
    Item       *o = &body->outer->item[body->scan->arg[k]->id];
    if (k >= s->ncarry) {
        bool whole = k >= s->ncarry + s->nover && o->time && !body->outer->time;
        connect(m, to, o, reach_then(r, (Reach){.kind = whole ? REACH_ALL : REACH_STEPS}));
        return;
    }
    int   back = s->reverse ? 1 : -1;
    Reach before = {.lo = back, .hi = back, .carried = true, .reverse = s->reverse};
    if (body->outer->time) before = (Reach){.kind = REACH_INNER, .carried = true};
    const char *dot = arg->n->name ? strrchr(arg->n->name, '.') : NULL;
    if (dot) before.name = arena_printf(m->a, "%s[%s%s1]", dot + 1, s->var, s->reverse ? "+" : "-");
    connect(m, to, &body->item[body->g->outs.at[k].value->id], reach_then(r, before));
    connect(m, to, o, body->outer->time ? r : (Reach){.first = true, .first_back = s->reverse});
}

static void connect(Maker *m, Item *to, Item *from, Reach r) {
    const Node *n = from->n;
    const Expr *copy = NULL;
    if (is_plain(from)) return;
    switch (n->op) {
    case OP_ARG: connect_argument(m, to, from, r); return;
    case OP_RESHAPE:
    case OP_STOP: connect(m, to, operand(from, 0), r); return;
    case OP_RESULT: {
        const Scan *s = &n->arg[0]->u.scan;
        Scope      *body = body_of(m, n->arg[0]);
        bool        last = n->u.result.index < s->ncarry && !from->scope->time;
        Reach       whole = {.kind = last ? REACH_LAST : REACH_STEPS, .reverse = last && s->reverse};
        connect(m, to, &body->item[body->g->outs.at[n->u.result.index].value->id], reach_then(r, whole));
        return;
    }
    default: break;
    }
    if ((copy = copied(from)) != NULL) {
        connect(m, to, operand(from, copy->operand), reach_then(r, reach_of(from, operand(from, copy->operand), copy)));
        return;
    }
    for (int i = 0; i < m->edges.n; i++) {
        const Edge *e = &m->edges.at[i];
        if (e->from == from && e->to == to && e->reach.kind == r.kind && e->reach.lo == r.lo && e->reach.hi == r.hi &&
            e->reach.first == r.first)
            return;
    }
    Edge e = {from, to, r};
    vec_push(m->a, &m->edges, e);
}

typedef struct { Maker *m; Item *it; } Connect;

static void connect_expr(Connect *x, const Expr *e) {
    if (e->op == SC_READ) {
        Item *o = operand(x->it, e->operand);
        connect(x->m, x->it, o, reach_of(x->it, o, e));
        for (int k = 0; k < e->nsub; k++)
            if (e->sub[k].ind) connect_expr(x, e->sub[k].ind);
    }
    for (int k = 0; k < SCALARS[e->op].args; k++) connect_expr(x, e->arg[k]);
}

static void connect_operands(Maker *m, Item *it) {
    if (it->n->op == OP_COMP) connect_expr(&(Connect){m, it}, expr_drawn(it));
    else
        for (int k = 0; k < it->n->narg; k++) connect(m, it, operand(it, k), (Reach){0});
}

/* What `it` needs, before it. */
static void want(Maker *m, Item *it) {
    if (it->wanted) return;
    it->wanted = true;
    int from = m->edges.n;
    connect_operands(m, it);
    int to = m->edges.n;
    for (int i = from; i < to; i++)
        if (!m->edges.at[i].reach.carried) want(m, m->edges.at[i].from);
    vec_push(m->a, &m->order, it);
    for (int i = from; i < to; i++) want(m, m->edges.at[i].from);
}

/* ---- boxes ------------------------------------------------------------------------------------- */

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* The text of a line, without what is around it: blanks, a comment, the brace of a body. */
static const char *line_text(const Loc *at, size_t *n) {
    const char *s = at->src ? at->src->text : NULL;
    for (int line = 1; s && line < at->line; line++) s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL;
    if (!s) return NULL;
    s += strspn(s, " \t");
    *n = strcspn(s, "\n#");
    while (*n && strchr(" \t\r{", s[*n - 1])) --*n;
    return s;
}

/* A call inside a longer text, "maxpool(2)"; what is no name is as it is. */
static size_t call_length(const char *s, size_t n) {
    size_t k = 0;
    int    depth = 0;
    while (k < n && is_name_char(s[k])) k++;
    if (k == n || s[k] != '(') return k ? k : n;
    for (; k < n; k++) {
        depth += (s[k] == '(') - (s[k] == ')');
        if (!depth) return k + 1;
    }
    return n;
}

/* The call in a line at this column: of "f(2)" and "x |> f(2)" the sign in the middle is the place. */
static const char *call_at(const char *text, const char *line, size_t *n, int col) {
    const char *begin = line, *s, *end = line + *n;
    while (begin > text && isblank((unsigned char)begin[-1])) begin--;
    s = begin + col - 1;
    if (s <= line || s >= end) return line;
    if (*s == '|') s += 2 + strspn(s + 2, " \t");
    while (s > line && is_name_char(s[-1])) s--;
    if (s >= end) return line;
    *n = call_length(s, (size_t)(end - s));
    return s;
}

/* Of "scan t in T { h[t] = .. }" on one line what is inside. */
static const char *inside_scan(const char *s, size_t *n) {
    const char *open = strncmp(s, "scan ", 5) ? NULL : memchr(s, '{', *n);
    if (open && open + 1 < s + *n) {
        *n -= (size_t)(open + 1 - s);
        s = open + 1;
    }
    int depth = 0;
    for (size_t i = 0; i < *n; i++) depth += (s[i] == '{') - (s[i] == '}');
    for (; depth < 0 && *n && strchr(" }", s[*n - 1]); --*n) depth += s[*n - 1] == '}';
    while (*n && *s == ' ') s++, --*n;
    while (*n && s[*n - 1] == ' ') --*n;
    return s;
}

/* What the user wrote there: the line; of the head of a function with its body behind it, the call. */
static const char *source_line(Maker *m, const Loc *at) {
    static const char *const HEADS[] = {"fn ", "entry ", "layer "};
    size_t      n;
    const char *s = line_text(at, &n);
    if (!s || !n) return NULL;
    for (int i = 0; i < 3; i++)
        if (!strncmp(s, HEADS[i], strlen(HEADS[i]))) s = call_at(at->src->text, s, &n, at->col), i = 3;
    s = inside_scan(s, &n);
    if (n <= LONGEST_LABEL) return arena_strndup(m->a, s, n);
    return arena_printf(m->a, "%.*s ..", LONGEST_LABEL, s);
}

static const char *label_of(Maker *m, const Item *it) {
    const char *key = leaf_key(it->n), *name = it->n->name ? it->n->name : "";
    if (it->n->op == OP_INPUT) {
        const char *var = it->time ? m->v->times.at[it->time - 1].var : NULL;
        return it->time ? arena_printf(m->a, "%s[%s]", key, var ? var : "t") : key;
    }
    if (key) return key;
    if (!strchr(name, '.')) {
        const char *line = source_line(m, &it->n->loc);
        return line && *line ? line : *name ? name : OPS[it->n->op].text;
    }
    size_t n = strlen(name), dots = 0;
    for (size_t i = 0; i < n && m->depth; i++)
        if (name[i] == '.' && (int)++dots == m->depth) n = i;
    return arena_strndup(m->a, name, n);
}

/* Element type and axes, without rows and time: "[3]", "i32[5]". */
static const char *shape_note(Maker *m, const Item *it) {
    const Type *t = &it->n->type;
    Buf b = buf_new(m->a);
    int put = 0;
    if (t->dtype != DT_F32) buf_puts(&b, dtype_text(t->dtype));
    for (int k = 0; k < t->rank; k++) {
        if (t->dim[k].bound == 1 || (it->time && it->axis[k] == it->time)) continue;
        if (it->axis[k] && m->v->times.at[it->axis[k] - 1].name)
            buf_printf(&b, "%s%s", put++ ? "," : "[", m->v->times.at[it->axis[k] - 1].name);
        else buf_printf(&b, "%s%lld", put++ ? "," : "[", (long long)t->dim[k].size);
    }
    buf_puts(&b, put ? "]" : "");
    return b.n ? b.s : "";
}

static bool leads_to(const Maker *m, int from, int to, bool *seen) {
    if (from == to) return true;
    if (seen[from]) return false;
    seen[from] = true;
    for (int i = 0; i < m->edges.n; i++) {
        const Edge *e = &m->edges.at[i];
        if (!e->to || e->reach.carried || e->from->box != from || e->to->box < 0 || e->to->box == from) continue;
        if (leads_to(m, e->to->box, to, seen)) return true;
    }
    return false;
}

/* Item `it` in box b would close a circle within a step: something it reads needs b already. */
static bool closes_circle(Maker *m, const Item *it, int b) {
    for (int i = 0; i < m->edges.n; i++) {
        const Edge *e = &m->edges.at[i];
        if (e->to != it || e->reach.carried || e->from->box < 0 || e->from->box == b) continue;
        bool *seen = ARENA_ARRAY(m->a, bool, m->v->boxes.n);
        if (leads_to(m, b, e->from->box, seen)) return true;
    }
    return false;
}

static void put_in_box(Maker *m, Item *it) {
    View       *v = m->v;
    const char *label = label_of(m, it);
    for (int i = v->boxes.n - 1; i >= 0 && i >= v->boxes.n - SAME_NAME_TRIES && it->box < 0; i--) {
        Box *b = &v->boxes.at[i];
        if (b->time != it->time || strcmp(b->label, label) || (b->op == OP_INPUT) != (it->n->op == OP_INPUT)) continue;
        if (closes_circle(m, it, i)) break;
        it->box = i;
        b->note = shape_note(m, it);
    }
    if (it->box >= 0) return;
    Box b = {label, shape_note(m, it), it->time, it->n->op};
    it->box = v->boxes.n;
    vec_push(m->a, &v->boxes, b);
}

static void add_arrow(Maker *m, const Edge *e) {
    View *v = m->v;
    Arrow a = {e->from->box, e->to->box, e->reach};
    if (a.from == a.to && !a.reach.carried && a.reach.kind == REACH_STEPS) return;
    for (int i = 0; i < v->arrows.n; i++) {
        const Arrow *b = &v->arrows.at[i];
        if (b->from == a.from && b->to == a.to && b->reach.kind == a.reach.kind && b->reach.lo == a.reach.lo &&
            b->reach.hi == a.reach.hi && b->reach.first == a.reach.first && !b->reach.name == !a.reach.name &&
            (!a.reach.name || !strcmp(a.reach.name, b->reach.name)))
            return;
    }
    vec_push(m->a, &v->arrows, a);
}

/* ---- outputs ----------------------------------------------------------------------------------- */

/* The mean over the batch, which is on the line of the objective itself, is not drawn. */
static Item *before_the_mean(const Maker *m, Item *it) {
    int line = 0;
    for (int i = 0; i < it->scope->g->nodes.n && !line; i++)
        if (it->scope->g->nodes.at[i]->op == OP_INPUT) line = it->scope->g->nodes.at[i]->loc.line;
    (void)m;
    for (;;) {
        Item *next = NULL;
        int   n = 0;
        for (int k = 0; k < it->n->narg; k++)
            if (!is_plain(operand(it, k))) next = operand(it, k), n++;
        if (it->n->op != OP_COMP || n != 1 || (it->n->loc.line != line && it->n->type.rank)) return it;
        it = next;
    }
}

static void add_ending(Maker *m, Scope *top, const Output *o) {
    Item probe = {.n = o->value, .scope = top, .box = -1};
    int  from = m->edges.n;
    connect(m, &probe, before_the_mean(m, &top->item[o->value->id]), (Reach){0});
    int to = m->edges.n;
    for (int i = from; i < to; i++) want(m, m->edges.at[i].from);
    for (int i = from; i < to; i++) {
        Ending e = {from, o->name, m->edges.at[i].reach};
        e.box = i;                                  /* the edge, until boxes are made */
        vec_push(m->a, &m->v->endings, e);
        m->edges.at[i].to = NULL;                   /* no arrow of the view */
    }
}

View view_of(const Graph *g, int depth, Arena *a) {
    View   v = {.arena = a};
    Maker  m = {.v = &v, .a = a, .depth = depth};
    Scope *top = scope_new(&m, g, NULL, NULL);
    find_times(&m);
    for (int i = 0; i < g->outs.n; i++) add_ending(&m, top, &g->outs.at[i]);
    for (int i = 0; i < m.order.n; i++) put_in_box(&m, m.order.at[i]);
    for (int i = 0; i < v.endings.n; i++) v.endings.at[i].box = m.edges.at[v.endings.at[i].box].from->box;
    for (int i = 0; i < m.edges.n; i++)
        if (m.edges.at[i].to) add_arrow(&m, &m.edges.at[i]);
    return v;
}
