/* Matrix operands of contractions in panels.
 *
 * The tiles of a product, sum over k of U[i,k] h[b,k], take `panel_values` neighbouring i and all k, again and again for
 * other b. Where i is far apart in U they are loaded number by number; where it is not, each k lies in another row,
 * and the rows of a long sum do not stay in the first cache. So U is copied once, in panels [i/16][k][i%16]: a tile
 * reads one run of memory from its first number to its last. The copy is a node whose place has panels (ir/nest.h); a nest
 * that reads it has its out i cut in two, i = 16 whole + rest (residue.c), and stores its results as ever.
 *
 * Values that a scan captures are copied before its loop. */
#include "passes/kernels_impl.h"

enum {
    VECTORS = 2,                /* of a panel: with 6 rows they are a tile for 16 registers, with 12 for 32 */
    LEAST_STEPS = 4,            /* of a loop whose captured values are copied */
    LEAST_ROWS = 4,             /* tiles of fewer rows gain nothing */
    WORTH_ROWS = 64,            /* results that share a number: as long as multiplying takes, to copy it takes little */
    WORTH_FLOPS = 1 << 20
};

int64_t panel_values(const Target *t) { return VECTORS * t->width; }

int panel_variable(const Node *n, const Expr *read) {
    int axis = n->arg[read->operand]->panel - 1, v;
    if (axis < 0) return -1;
    if (!affine_is_var(&read->sub[axis].aff, &v)) ICE("panels are read across");
    return v;
}

/* A factor of a contraction that could lie in panels. */
typedef struct {
    const Expr *read;
    int         axis;           /* of the operand */
    int64_t     rows;           /* results for which each of its numbers is used */
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

static bool uses(const Expr *read, int v) {
    for (int i = 0; i < read->nsub; i++)
        if (affine_coef(&read->sub[i].aff, v)) return true;
    return false;
}

/* The factor of n that alone moves with the innermost out, and so fills the lanes. */
static bool find_factor(const Target *t, const Node *n, Factor *f) {
    const Comp *c = &n->u.comp;
    int         v = c->nout - 1;
    if (n->op != OP_COMP || c->kind != KIND_SUM || c->nder || !c->nred || v < 0 || c->expr->op != SC_MUL) return false;
    const Expr *x = c->expr->arg[0], *y = c->expr->arg[1];
    if (!reads_plainly(n, x) || !reads_plainly(n, y) || uses(x, v) == uses(y, v)) return false;
    *f = (Factor){.read = uses(x, v) ? x : y, .rows = 1, .sum = 1};
    int64_t size = c->var[v].ext.size, panel = panel_values(t), panels = (size + panel - 1) / panel;
    if (c->var[v].ext.bound || f->read->nsub < 2 || 4 * panels * panel > 5 * size) return false;
    for (int i = 0, u; i < f->read->nsub; i++)
        if (affine_is_var(&f->read->sub[i].aff, &u) && u == v) f->axis = i;
    for (int u = 0; u < c->nout + c->nred; u++) {
        if (u >= c->nout) f->sum *= c->var[u].ext.size;
        if (u >= c->nout && !uses(f->read, u)) return false;
        if (u < c->nout && !uses(f->read, u)) f->rows *= c->var[u].ext.size;
    }
    return true;
}

/* n with another operand in place of the one that the factor reads. */
static void read_copy(Graph *g, Node *n, const Factor *f, Node *copy) {
    const Comp *c = &n->u.comp;
    Node       *args[] = {n->arg[c->expr->arg[0]->operand], n->arg[c->expr->arg[1]->operand]};
    const Expr *read[2];
    for (int i = 0; i < 2; i++) {
        const Expr *e = c->expr->arg[i];
        if (e == f->read) args[i] = copy;
        read[i] = expr_read(g->arena, e->dtype, i, e->nsub, e->sub, false);
    }
    graph_at(g, n->name, n->loc);
    graph_replace(g, n, graph_comp(g, c->kind, c->nout, c->nred, 0, c->var, expr_op2(g->arena, SC_MUL, read[0], read[1]), 2, args));
}

/* ---- copies ---------------------------------------------------------------------------------------------- */

typedef struct {
    Node *of, *copy;
    Node *arg;                  /* in the body that it is made for */
} Copy;

typedef VEC(Copy) CopyList;

/* In the list, or made and added to it. */
static Copy *copy_of(Graph *g, CopyList *list, Node *of, int axis) {
    for (int i = 0; i < list->n; i++)
        if (list->at[i].of == of && list->at[i].copy->panel == axis + 1) return &list->at[i];
    Node *copy = lower_copy(g, of);
    copy->panel = axis + 1;
    vec_push(g->arena, list, ((Copy){of, copy, NULL}));
    return &list->at[list->n - 1];
}

/* ---- captured values --------------------------------------------------------------------------------------- */

static void panel_captured(Graph *g, Node *scan, const Target *t, CopyList *list, Node *n) {
    Scan  *s = &scan->u.scan;
    Factor f;
    if (!find_factor(t, n, &f) || f.rows < LEAST_ROWS) return;
    const Node *arg = n->arg[f.read->operand];
    if (arg->op != OP_ARG || arg->u.arg.index < s->ncarry + s->nover) return;
    Copy *c = copy_of(g, list, scan->arg[arg->u.arg.index], f.axis);
    if (!c->arg) {
        Node **args = ARENA_ARRAY(g->arena, Node *, scan->narg + 1);
        for (int i = 0; i < scan->narg; i++) args[i] = scan->arg[i];
        args[scan->narg] = c->copy;
        c->arg = loop_arg(s->body, c->copy->type);
        c->arg->panel = c->copy->panel;
        c->arg->u.arg.index = scan->narg++;
        scan->arg = args;
        s->nuse++;
    }
    read_copy(s->body, n, &f, c->arg);
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

/* Is the operand worth a copy: are its lanes far apart, or its rows too many for the first cache? */
static bool loads_badly(const Target *t, const Node *n, const Factor *f) {
    const Node *of = n->arg[f->read->operand];
    int         last = f->read->nsub - 1;
    if (f->axis != last) return true;
    return of->type.dim[last].size > 2 * panel_values(t) && 2 * f->sum * panel_values(t) * (int64_t)sizeof(float) > t->l1;
}

void panel_operands(Graph *g, const Target *t) {
    CopyList list = {0};
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Node  *n = g->nodes.at[i];
        Factor f;
        if (!find_factor(t, n, &f) || f.rows < WORTH_ROWS || !loads_badly(t, n, &f)) continue;
        if (2 * type_count(&n->type) * f.sum < WORTH_FLOPS) continue;
        Node *of = n->arg[f.read->operand], *copy = copy_of(g, &list, of, f.axis)->copy;
        read_copy(g, n, &f, copy);
    }
    graph_sort(g);
    graph_sweep(g);
}
