/* Matrix operands of contractions in panels.
 *
 * The tiles of a product, sum over k of U[i,k] h[b,k], take 16 (say) neighbouring i and all k, again and again for
 * other b. Where i is far apart in U they are loaded number by number; where it is not, each k lies in another row,
 * and the rows of a long sum do not stay in the first cache. So U is copied once, in panels [i/16][k][i%16]: a tile
 * reads one run of memory from its first number to its last. The copy is a node whose place has panels (ir/nest.h); a
 * nest that reads it has its out i cut in two, i = 16 whole + rest (residue.c), and stores its results as ever.
 *
 * Values that a scan captures are copied before its loop. */
#include "passes/kernels_impl.h"

enum {
    VECTORS = 2,                /* of a panel that fills the lanes */
    LEAST_STEPS = 4,            /* of a loop whose captured values are copied */
    LEAST_ROWS = 4,             /* tiles of fewer rows gain nothing */
    SAVES_FIFTH = 20,           /* per cent of the time of the multiply-adds, by a panel */
    SAVES_HALF = 50,            /* the same if the other factor loads badly, too */
    SAVES_SUM = 3,              /* cycles a result, where lanes along a short sum would be added up at its end */
    SHORT_SUM = 256,
    WORTH_FLOPS = 1 << 20,
    LINE = 64,                  /* bytes */
    CHEAP = 8,                  /* operations and reads of a map */
    NEAR_COPY = 1, FAR_COPY = 2 /* cycles for a number, that comes from L2 or from beyond */
};

int panel_variable(const Node *n, const Expr *read) {
    int axis = n->arg[read->operand]->panel - 1, v;
    if (axis < 0) return -1;
    if (!affine_is_var(&read->sub[axis].aff, &v)) ICE("panels are read across");
    return v;
}

/* ---- factors --------------------------------------------------------------------------------------------- */

/* A factor of a contraction. */
typedef struct {
    const Expr *read;
    int var, axis; /* an out that moves this factor alone, by one axis of its operand; -1: there is none or more */
    int64_t     size;           /* its values */
    int64_t     rows;           /* results for which each of the operand's numbers is used */
    int64_t     sum;            /* points of the reduction */
} Factor;

static bool reads_plainly(const Node *n, const Expr *e) {
    if (e->op != SC_READ || e->guarded || e->dtype != DT_F32 || n->arg[e->operand]->panel) return false;
    for (int i = 0; i < e->nsub; i++) {
        int v;
        if (e->sub[i].ind || !affine_is_var(&e->sub[i].aff, &v)) return false;
    }
    return true;
}

/* The axis that v alone walks along; -1: none. */
static int axis_of(const Expr *read, int v) {
    int u, axis = -1;
    for (int i = 0; i < read->nsub; i++)
        if (affine_is_var(&read->sub[i].aff, &u) && u == v) axis = axis < 0 ? i : read->nsub;
    return axis < read->nsub ? axis : -1;
}

static Factor factor_of(const Comp *c, const Expr *read, const Expr *other) {
    Factor f = {.read = read, .var = -1, .axis = -1, .rows = 1, .sum = 1};
    for (int v = 0; v < c->nout + c->nred; v++) {
        int axis = axis_of(read, v);
        if (v >= c->nout) f.sum *= c->var[v].ext.size;
        else if (axis < 0) f.rows *= c->var[v].ext.size;
        else if (axis_of(other, v) < 0) f.var = v, f.axis = axis, f.size = c->var[v].ext.size;
    }
    return f;
}

/* The factors of a sum of products of two; the first is moved by the innermost out, which fills the lanes. */
static bool find_factors(const Node *n, Factor f[2]) {
    const Comp *c = &n->u.comp;
    if (n->op != OP_COMP || c->kind != KIND_SUM || c->nder || !c->nred || c->expr->op != SC_MUL) return false;
    const Expr *x = c->expr->arg[0], *y = c->expr->arg[1];
    if (!reads_plainly(n, x) || !reads_plainly(n, y)) return false;
    for (int v = c->nout; v < c->nout + c->nred; v++)
        if (axis_of(x, v) < 0 || axis_of(y, v) < 0) return false;
    f[0] = factor_of(c, x, y);
    f[1] = factor_of(c, y, x);
    if (f[1].var == c->nout - 1) {
        Factor lanes = f[1];
        f[1] = f[0];
        f[0] = lanes;
    }
    return f[0].var >= 0 && f[0].var == c->nout - 1;
}

/* Values in a panel; 0: panels would be filled badly. */
static int lanes_panel(const Target *t, const Node *n, const Factor *f) {
    int64_t panel = VECTORS * t->width, panels = (f->size + panel - 1) / panel;
    if (n->u.comp.var[f->var].ext.bound || f->read->nsub < 2 || 4 * panels * panel > 5 * f->size) return 0;
    return (int)panel;
}

/* The same for the rows of a tile, beside the vectors of the other factor. */
static int rows_panel(const Target *t, const Node *n, const Factor *f) {
    int most = (t->registers - VECTORS - 1) / VECTORS;
    if (f->var < 0 || n->u.comp.var[f->var].ext.bound || f->read->nsub < 2 || f->size < most) return 0;
    for (int panel = most; 3 * panel > 2 * most; panel--)
        if (32 * ((f->size + panel - 1) / panel * panel) <= 33 * f->size) return panel;
    return 0;
}

/* n with copies in place of what its factors read; NULL: as it is. */
static void read_copies(Graph *g, Node *n, const Factor f[2], Node *const copy[2]) {
    const Comp *c = &n->u.comp;
    Node       *args[2];
    const Expr *read[2];
    for (int i = 0; i < 2; i++) {
        args[i] = copy[i] ? copy[i] : n->arg[f[i].read->operand];
        read[i] = expr_read(g->arena, f[i].read->dtype, i, f[i].read->nsub, f[i].read->sub, false);
    }
    graph_at(g, n->name, n->loc);
    graph_replace(
        g, n,
        graph_comp(g, c->kind, c->nout, c->nred, 0, c->var, expr_op2(g->arena, SC_MUL, read[0], read[1]), 2, args));
}

/* ---- copies ---------------------------------------------------------------------------------------------- */

typedef struct {
    Node *of, *copy;
} Copy;

typedef VEC(Copy) CopyList;

/* Is n a map that is computed as fast as it is read? */
static bool cheap_map(const Node *n) {
    return n->op == OP_COMP && n->u.comp.kind == KIND_MAP && n->narg < 3 && expr_size(n->u.comp.expr) <= CHEAP;
}

static Node *map_again(Graph *g, const Node *n) {
    const Comp *c = &n->u.comp;
    graph_at(g, n->name, n->loc);
    return graph_comp(g, KIND_MAP, c->nout, 0, 0, c->var, c->expr, n->narg, n->arg);
}

static Node *find_copy(const CopyList *list, const Node *of, int axis, int size) {
    for (int i = 0; i < list->n; i++) {
        Node *old = list->at[i].copy;
        if (list->at[i].of == of && old->panel == axis + 1 && old->panel_size == size) return old;
    }
    return NULL;
}

static Node *copy_of(Graph *g, CopyList *list, Node *of, int axis, int size) {
    Node *old = find_copy(list, of, axis, size);
    if (old) return old;
    Node *copy = cheap_map(of) ? map_again(g, of) : lower_copy(g, of);
    copy->panel = axis + 1;
    copy->panel_size = size;
    vec_push(g->arena, list, ((Copy){of, copy}));
    return copy;
}

/* ---- captured values --------------------------------------------------------------------------------------- */

static void panel_captured(Graph *g, Node *scan, const Target *t, CopyList *list, Node *n) {
    Scan  *s = &scan->u.scan;
    Factor f[2];
    if (!find_factors(n, f) || f->rows < LEAST_ROWS) return;
    const Node *arg = n->arg[f->read->operand];
    int         size = lanes_panel(t, n, f);
    if (!size || arg->op != OP_ARG || arg->u.arg.index < s->ncarry + s->nover) return;
    Node *copy = copy_of(g, list, scan->arg[arg->u.arg.index], f->axis, size);
    Node *inside = scan_operand(g, scan, copy, false);
    inside->panel = copy->panel;
    inside->panel_size = copy->panel_size;
    read_copies(s->body, n, f, (Node *[2]){inside, NULL});
}

void panel_weights(Graph *g, const Target *t) {
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Node *scan = g->nodes.at[i];
        if (scan->op != OP_SCAN || scan->u.scan.trip.size < LEAST_STEPS) continue;
        Graph   *body = scan->u.scan.body;
        CopyList list = {0};
        for (int k = 0, n = body->nodes.n; k < n; k++) panel_captured(g, scan, t, &list, body->nodes.at[k]);
        graph_sort(body);
        graph_sweep(body);
    }
    graph_sort(g);
    graph_sweep(g);
}

/* ---- other operands ---------------------------------------------------------------------------------------- */

/* Are the operand's values far apart, or does a panel's part of its rows take much of the first cache? */
static bool loads_badly(const Target *t, const Node *n, const Factor *f, int panel) {
    const Node *of = n->arg[f->read->operand];
    int         last = f->read->nsub - 1;
    if (f->axis != last) return true;
    return of->type.dim[last].size > 2 * panel && 4 * f->sum * (panel * (int64_t)sizeof(float) + LINE) > t->l1;
}

/* Does each number take part in so many multiply-adds that to copy it takes less than the panels save? A short sum
 * along the rows of its operands ends before the lanes' sum pays. */
static bool is_worth(const Target *t, const Node *n, const Factor *f, int saves) {
    int64_t bytes = type_count(&n->arg[f->read->operand]->type) * (int64_t)sizeof(float);
    int64_t each = t->width * t->fma_ports;
    if (f->axis != f->read->nsub - 1 && f->sum < SHORT_SUM) saves += (int)(100 * SAVES_SUM * each / f->sum);
    return f->rows * saves >= 100 * each * (bytes > t->l2 ? FAR_COPY : NEAR_COPY);
}

/* Makes the copies that are worth it for n; with `use`, n reads those that there are. */
static void panel_factors(Graph *g, const Target *t, CopyList *list, Node *n, bool use) {
    Factor f[2];
    Node  *copy[2] = {NULL, NULL};
    int    size[2];
    if (!find_factors(n, f) || 2 * type_count(&n->type) * f->sum < WORTH_FLOPS) return;
    size[0] = lanes_panel(t, n, &f[0]);
    size[1] = f[1].axis < f[1].read->nsub - 1 ? 0 : rows_panel(t, n, &f[1]);
    for (int i = 0; i < 2; i++)
        if (size[i] && !loads_badly(t, n, &f[i], size[i])) size[i] = 0;
    for (int i = 0; i < 2; i++) {
        Node *of = n->arg[f[i].read->operand];
        if (!size[i]) continue;
        if (use) copy[i] = find_copy(list, of, f[i].axis, size[i]);
        else if (is_worth(t, n, &f[i], size[0] && size[1] ? SAVES_HALF : SAVES_FIFTH))
            copy_of(g, list, of, f[i].axis, size[i]);
    }
    if (copy[0] || copy[1]) read_copies(g, n, f, copy);
}

void panel_operands(Graph *g, const Target *t) {
    CopyList list = {0};
    for (int use = 0; use < 2; use++)               /* what is worth a copy for one may serve others */
        for (int i = 0, count = g->nodes.n; i < count; i++) panel_factors(g, t, &list, g->nodes.at[i], use);
    graph_sort(g);
    graph_sweep(g);
}
