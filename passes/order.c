/* Operands of contractions in the order of axes in which they load well.
 *
 * The weight gradient of a convolution, sum over b, i, j of dy[b,o,i,j] x[b,c,i+r,j+s], finds numbers of neighbouring o
 * or c far apart; so does the image, w[o,c,r,s] x[b,c,2i+r,2j+s], with o, while neighbouring j are two apart. A copy of
 * an operand with another axis last (dy[b,i,j,o], w[c,r,s,o]) fills vectors by plain loads, whatever stride, padding or
 * size of the image.
 *
 * For every variable that is the whole subscript of an axis, the search for a schedule (choose.c) says what the
 * contraction would cost if all operands had this axis last, and the result as well or not; copying them is counted. */
#include "passes/algebra.h"
#include "passes/schedule_impl.h"

enum { MAX_FACTORS = 4, LEAST_WORK = 1 << 18, NEAR = 1 << 20 };
/* products of a contraction that is looked at; numbers of a tensor and its copy that stay in a cache */
static const double GOOD = 0.6; /* predicted share of the peak that leaves no such gain: the best tiles reach 0.7 */
static const double GAIN = 0.85;        /* of the cycles: what is more is not worth a copy */
static const double COPY = 1.5, FAR_COPY = 4.5;    /* cycles to turn a number; of a tensor that lies in memory */

typedef struct {
    Graph        *g;
    const Target *t;
    Arena        *a;            /* for the search */
    Node         *n;
    int           nfactor;
    const Expr   *factor[MAX_FACTORS];
    int           v;            /* the variable whose axis is to be the last of the operands, -1: none .. */
    bool          result;       /* .. and of the result */
} Order;

typedef VEC(Order) OrderList;

/* ---- factors ------------------------------------------------------------------------------------------- */

static bool find_factors(Order *o, const Expr *e) {
    if (e->op == SC_MUL) return find_factors(o, e->arg[0]) && find_factors(o, e->arg[1]);
    if (e->op != SC_READ || e->dtype != DT_F32 || o->nfactor == MAX_FACTORS || o->n->arg[e->operand]->panel)
        return false;
    for (int i = 0; i < e->nsub; i++) {
        const Extent ext = o->n->arg[e->operand]->type.dim[i];
        if (e->sub[i].ind || (e->guarded && !affine_inside(&e->sub[i].aff, o->n->u.comp.var, ext))) return false;
    }
    o->factor[o->nfactor++] = e;
    return true;
}

/* The axis of a factor that v alone walks along, if it is not the last one already; -1: none. */
static int axis_of(const Expr *read, int v) {
    int axis = -1, var;
    for (int i = 0; i < read->nsub; i++) {
        if (!affine_coef(&read->sub[i].aff, v)) continue;
        if (axis >= 0 || !affine_is_var(&read->sub[i].aff, &var)) return -1;
        axis = i;
    }
    return axis == read->nsub - 1 ? -1 : axis;
}

static double copy_of(const Node *n) {
    double count = (double)type_count(&n->type);
    return count * (count > NEAR ? FAR_COPY : COPY);
}

/* ---- what it would cost --------------------------------------------------------------------------------- */

/* The offset of a read whose operand has `last` (-1: the last one) as its last axis. */
static Lin offset_of(const Node *arg, const Expr *read, int last) {
    Lin     off = lin_const(0), by[MAX_VARS];
    int64_t next = 1;
    for (int v = 0; v < MAX_VARS; v++) by[v] = lin_var(v);
    for (int i = arg->type.rank; i >= 0; i--) {
        int d = i == arg->type.rank ? last : i;
        if (d < 0 || (i < arg->type.rank && d == last)) continue;
        Lin at = lin_of(&read->sub[d].aff, by);
        lin_add(&off, &at, next);
        next *= arg->type.dim[d].size;
    }
    return off;
}

/* The contraction as a nest, its factors with the axis of v last, `result`: what it makes, too. */
static Nest *sketch(const Order *o, int v, bool result) {
    const Comp *c = &o->n->u.comp;
    Nest       *n = ARENA_NEW(o->a, Nest);
    Stage      *s = &n->stage[0];
    n->nvar = c->nout + c->nred;
    n->nout = c->nout;
    for (int i = 0; i < n->nvar; i++)
        n->var[i] =
            (NestVar){.name = c->var[i].name, .size = c->var[i].ext.size, .bound = c->var[i].ext.bound, .per = 1};
    n->naccess = o->nfactor + 1;
    n->access = ARENA_ARRAY(o->a, Access, n->naccess);
    *s = (Stage){.node = o->n, .kind = KIND_SUM};
    for (int i = 0; i < o->nfactor; i++) {
        Node *arg = o->n->arg[o->factor[i]->operand];
        int   last = v < 0 ? -1 : axis_of(o->factor[i], v);
        n->access[i] = (Access){.node = arg, .stage = -1, .dtype = DT_F32, .off = offset_of(arg, o->factor[i], last)};
        const Expr *read = expr_read(o->a, DT_F32, i, 0, NULL, false);
        s->expr = s->expr ? expr_op2(o->a, SC_MUL, s->expr, read) : read;
    }
    for (int i = c->nout; i < n->nvar; i++) s->red[s->nred++] = i;
    n->access[o->nfactor] = (Access){.stage = 0, .dtype = DT_F32};
    n->store[0] =
        (Store){.node = o->n, .expr = expr_read(o->a, DT_F32, o->nfactor, 0, NULL, false), .off = lin_const(0)};
    n->nstage = n->nstore = 1;
    int64_t next = 1;
    for (int i = c->nout; i >= 0; i--) {
        int d = i == c->nout ? (result ? v : -1) : i;
        if (d < 0 || (result && i == v)) continue;
        n->store[0].off.k[d] = next;
        next *= c->var[d].ext.size;
    }
    return n;
}

/* limit: 0, or cycles that more is of no use than. */
static double cycles_with(const Order *o, int v, bool result, double limit) {
    Nest *n = sketch(o, v, result);
    merge_vars(n);
    n->cut_var = cut_variable(n);
    Task w = task_of(o->t, n, 0, 1);
    return choose_below(&w, NULL, limit).cost;
}

static double copy_cycles(const Order *o, int v, bool result) {
    double cycles = result ? copy_of(o->n) : 0;
    for (int i = 0; i < o->nfactor; i++)
        if (axis_of(o->factor[i], v) >= 0) cycles += copy_of(o->n->arg[o->factor[i]->operand]);
    return cycles;
}

static void find_best(Order *o) {
    const Comp *c = &o->n->u.comp;
    double      products = 1, before = cycles_with(o, -1, false, 0), least = GAIN * before;
    o->v = -1;
    for (int v = 0; v < c->nout + c->nred; v++) products *= (double)c->var[v].ext.size;
    if (products > GOOD * before * o->t->width * o->t->fma_ports) return;
    for (int v = 0; v < c->nout + c->nred; v++) {
        if (copy_cycles(o, v, false) == 0 || c->var[v].ext.bound || c->var[v].ext.size < o->t->width / 2) continue;
        for (int turn = 0; turn <= (v < c->nout - 1); turn++) {
            double copy = copy_cycles(o, v, turn);
            double cycles = copy < least ? cycles_with(o, v, turn, least - copy) + copy : copy;
            if (cycles < least) o->v = v, least = cycles, o->result = turn;
        }
    }
}

static bool same_form(const Order *x, const Order *y) {
    const Comp *a = &x->n->u.comp, *b = &y->n->u.comp;
    if (a->nout != b->nout || a->nred != b->nred || x->nfactor != y->nfactor) return false;
    for (int v = 0; v < a->nout + a->nred; v++)
        if (a->var[v].ext.size != b->var[v].ext.size || a->var[v].ext.bound != b->var[v].ext.bound) return false;
    for (int i = 0; i < x->nfactor; i++) {
        const Expr *e = x->factor[i], *f = y->factor[i];
        if (!type_equal(&x->n->arg[e->operand]->type, &y->n->arg[f->operand]->type)) return false;
        for (int k = 0; k < e->nsub; k++)
            if (!affine_equal(&e->sub[k].aff, &f->sub[k].aff)) return false;
    }
    return true;
}

/* As for an equal contraction before. */
static void decide(Order *o, OrderList *done) {
    for (int i = 0; i < done->n; i++) {
        if (!same_form(o, &done->at[i])) continue;
        o->v = done->at[i].v;
        o->result = done->at[i].result;
        return;
    }
    find_best(o);
    vec_push(o->a, done, *o);
}

/* ---- copies ---------------------------------------------------------------------------------------------- */

static Node *turned(Graph *g, const Node *n, Node *arg, int axis, NodeList *copies) {
    Var         var[MAX_RANK] = {0};
    const Expr *e = axis_last(g, arg, axis, var);
    int         rank = arg->type.rank;
    for (int i = 0; i < copies->n; i++)
        if (copies->at[i]->arg[0] == arg && expr_equal(copies->at[i]->u.comp.expr, e)) return copies->at[i];
    graph_at(g, n->name, n->loc);
    Node *made = graph_comp(g, KIND_MAP, rank, 0, 0, var, e, 1, &arg);
    vec_push(g->arena, copies, made);
    return made;
}

/* The sum of `product` with out v as the last axis, and behind it the result in its own order. */
static Node *turned_result(const Order *o, const Expr *product, Node *const *arg) {
    const Comp *c = &o->n->u.comp;
    const int   v = o->v;
    Affine      by[MAX_VARS];
    Var         var[MAX_VARS];
    Sub         sub[MAX_RANK] = {0};
    for (int i = 0; i < c->nout + c->nred; i++) {
        int to = i >= c->nout ? i : i == v ? c->nout - 1 : i < v ? i : i - 1;
        by[i] = affine_var(to);
        var[to] = c->var[i];
        if (i < c->nout) sub[to].aff = affine_var(i);
    }
    product = expr_subst(o->g->arena, product, by, c->nout + c->nred, NULL);
    Node *sum = graph_comp(o->g, KIND_SUM, c->nout, c->nred, 0, var, product, o->nfactor, arg);
    return graph_comp(o->g, KIND_MAP, c->nout, 0, 0, c->var, expr_read(o->g->arena, DT_F32, 0, c->nout, sub, false), 1,
                      &sum);
}

static void turn_factors(const Order *o, NodeList *copies) {
    const Comp *c = &o->n->u.comp;
    const Expr *product = NULL;
    Node       *arg[MAX_FACTORS];
    for (int i = 0; i < o->nfactor; i++) {
        const Expr *read = o->factor[i];
        int         axis = axis_of(read, o->v);
        Sub         sub[MAX_RANK] = {0};
        arg[i] = o->n->arg[read->operand];
        for (int k = 0; k < read->nsub; k++)
            sub[axis < 0 || k < axis ? k : k == axis ? read->nsub - 1 : k - 1] = read->sub[k];
        if (axis >= 0) arg[i] = turned(o->g, o->n, arg[i], axis, copies);
        const Expr *moved = expr_read(o->g->arena, DT_F32, i, read->nsub, sub, false);
        product = product ? expr_op2(o->g->arena, SC_MUL, product, moved) : moved;
    }
    graph_at(o->g, o->n->name, o->n->loc);
    graph_replace(o->g, o->n,
                  o->result ? turned_result(o, product, arg)
                            : graph_comp(o->g, KIND_SUM, c->nout, c->nred, 0, c->var, product, o->nfactor, arg));
}

/* Of images or sequences: products of matrices have panels (panel.c). LLVM 19's register allocator once crashed (in
 * RegAllocBase::postOptimization, where it hoists spills) on a product that both passes had rearranged, 160 -> 49 at
 * 360 rows; 30 more compilations of it and 60 of its neighbours did not. */
static bool is_contraction(const Node *n) {
    const Comp *c = &n->u.comp;
    int64_t     products = 1;
    int         rank = 0;
    for (int i = 0; i < n->narg; i++) rank = n->arg[i]->type.rank > rank ? n->arg[i]->type.rank : rank;
    if (rank < 3) return false;
    if (n->op != OP_COMP || c->kind != KIND_SUM || !c->nred || c->nder || c->expr->op != SC_MUL) return false;
    for (int v = 0; v < c->nout + c->nred; v++) products *= c->var[v].ext.size;
    return products >= LEAST_WORK;
}

void order_operands(Graph *g, const Target *t) {
    Arena    *a = arena_new();
    NodeList  copies = {0};
    OrderList done = {0};
    for (int i = 0, count = g->nodes.n; i < count; i++) {
        Order o = {.g = g, .t = t, .a = a, .n = g->nodes.at[i]};
        if (!is_contraction(o.n) || !find_factors(&o, o.n->u.comp.expr)) continue;
        decide(&o, &done);
        if (o.v >= 0) turn_factors(&o, &copies);
    }
    arena_free(a);
    graph_sweep(g);
}
