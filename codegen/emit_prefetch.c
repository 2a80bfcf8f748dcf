/* What the stores of a tile read and write, asked for before its sums.
 *
 * The stores touch a few short runs of each tensor, rows apart, and no processor guesses which come next. If they do
 * not lie in a near cache every tile waits for them, although its sums take longer than any memory: so their lines are
 * asked for first. */
#include "codegen/nest_impl.h"

#include <stdlib.h>

enum { LINE = 64, LEAST_SUM = 32, MOST_LINES = 112 };      /* bytes; points of a sum; lines asked for */

typedef struct {
    Emit *e;
    int   n;
    int   access[MAX_STORES * 4];
} Reads;

static void note_read(const Expr *x, void *cx) {
    Reads *r = cx;
    if (x->op != SC_READ || r->n == (int)(sizeof r->access / sizeof *r->access)) return;
    const Access *a = &r->e->n->access[x->operand];
    if (!a->node || a->nind || a->listed || a->node->op == OP_RNG || !r->e->ptr[x->operand]) return;
    for (int i = 0; i < r->n; i++)
        if (r->access[i] == x->operand) return;
    r->access[r->n++] = x->operand;
}

static void ask_for(Emit *e, Val ptr, Ty element, int64_t off, bool write) {
    Codegen *cg = e->cg;
    Val      x[4] = {l_gep_const(cg, element, ptr, off), l_i32(cg, write), l_i32(cg, 3), l_i32(cg, 1)};
    l_intrinsic(cg, "llvm.prefetch", 1, &cg->ptr, 4, x);
}

/* The lines of all points of the tile, each once as far as constant offsets tell. */
static int ask_for_all(Emit *e, const Layout *l, const Lin *off, const Node *node, Val ptr, bool write, int room) {
    int     size = dtype_size(node->type.dtype), count = 0;
    int64_t last = 0;
    for (int i = 0; i < l->rows * l->nvec; i++) {
        int64_t at[POINT_LANES];
        Point   p = layout_point(e, l, i / l->nvec, i % l->nvec);
        lin_offsets(e, off, &p, at);
        if (count && at[0] >= last && (at[0] - last) * size < LINE) continue;
        if (count == room) return count;
        last = at[0];
        count++;
        ask_for(e, ptr, codegen_memory_type(e->cg, node->type.dtype), at[0], write);
    }
    return count;
}

static int64_t sum_points(const Nest *n) {
    int64_t most = 0;
    for (int i = 0; i < n->nstage; i++) {
        int64_t points = 1;
        for (int k = 0; k < n->stage[i].nred; k++) points *= n->var[n->stage[i].red[k]].size;
        if (points > most) most = points;
    }
    return most;
}

void emit_prefetch(Emit *e) {
    const Nest *n = e->n;
    Reads       r = {.e = e};
    int         vars[MAX_VARS], room = MOST_LINES;
    int64_t     bytes = 0;
    if (e->k->level < 2 || n->adds || n->cut || n->list.on || sum_points(n) < LEAST_SUM) return;
    for (int v = 0; v < n->nout; v++) vars[v] = v;
    for (int i = 0; i < n->nstore; i++) expr_walk(n->store[i].expr, note_read, &r);
    for (int i = 0; i < r.n; i++) bytes += type_count(&n->access[r.access[i]].node->type) * dtype_size(n->access[r.access[i]].dtype);
    for (int i = 0; i < n->nstore; i++) bytes += type_count(&n->store[i].node->type) * dtype_size(n->store[i].node->type.dtype);
    if (bytes <= e->k->target.l1) return;
    Layout l = layout_of(e, n->nout, vars, n->nlane, n->lane, n->width);
    for (int i = 0; i < r.n; i++) {
        const Access *a = &n->access[r.access[i]];
        room -= ask_for_all(e, &l, &a->off, a->node, e->ptr[r.access[i]], false, room);
    }
    for (int i = 0; i < n->nstore; i++)
        room -= ask_for_all(e, &l, &n->store[i].off, n->store[i].node, e->ptr[n->naccess + i], true, room);
}

/* ---- operands -------------------------------------------------------------------------------------------- */

/* A reduction that goes through an operand in far steps (planes of an image, say) meets short runs of memory, a few in each
 * pass, that no processor guesses either. What the passes some cycles later read is asked for. */
enum {
    FAR = 1024,                 /* bytes from one pass to the next: more lie in too many pages to be guessed */
    AHEAD = 240,                /* cycles until memory answers */
    MOST_PASSES = 16,
    WORK_PER_LINE = 6,          /* vectors of products for each line that is asked for */
    MOST_POINTS = 2048          /* of an operand in a pass */
};

typedef struct {
    int     n;
    int64_t extent[MAX_VARS];   /* values in a pass */
    int64_t at[MOST_POINTS];    /* elements */
} Runs;

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Does a reduction slide over rows that a loop over an out goes along, too? Then all but its last were read a tile before. */
static bool slides(const Nest *n, const Lin *off, int v, int size) {
    if (v < n->nout || off->k[v] * size < LINE) return false;
    for (int u = 0; u < n->nout; u++)
        if (off->k[u] == off->k[v] && n->var[u].size > 1) return true;
    return false;
}

/* The elements that an access reads in a pass and were not read in the last tile, in order; false: too many. */
static bool find_elements(const Nest *n, const Lin *off, int size, Runs *r) {
    r->n = 1;
    r->at[0] = 0;
    for (int v = 0; v < n->nvar; v++) {
        if (!off->k[v] || r->extent[v] < 2) continue;
        if (slides(n, off, v, size)) {
            for (int i = 0; i < r->n; i++) r->at[i] += (r->extent[v] - 1) * off->k[v];
            continue;
        }
        if (r->n * r->extent[v] > MOST_POINTS) return false;
        int before = r->n;
        for (int64_t x = 1; x < r->extent[v]; x++)
            for (int i = 0; i < before; i++) r->at[r->n++] = r->at[i] + x * off->k[v];
    }
    qsort(r->at, (size_t)r->n, sizeof *r->at, by_size);
    return true;
}

/* The first element of every line, and the last one of every run, which begins anywhere in a line; their number. */
static int keep_lines(Runs *r, int size) {
    const int64_t line = LINE / size;
    int           kept = 1;
    for (int i = 1; i < r->n; i++) {
        bool ends = i + 1 == r->n || r->at[i + 1] - r->at[i] >= line;
        if (r->at[i] - r->at[kept - 1] >= line || (ends && r->at[i] != r->at[kept - 1])) r->at[kept++] = r->at[i];
    }
    return r->n = kept;
}

/* Does it come from beyond L2, in steps of `step` values of v that are far apart? Images and sequences only: with matrices, whose
 * rows the loops over outs go along at once, asking costs more than it saves. */
static bool comes_from_far(const Emit *e, const Access *a, int v, int64_t step) {
    if (!a->node || a->nind || a->listed || a->node->op == OP_RNG || a->nguard || a->node->type.rank < 3) return false;
    int64_t size = dtype_size(a->node->type.dtype), by = a->off.k[v] * step * size;
    if (by < FAR || (e->k->local && e->k->local[a->node->id])) return false;
    return type_count(&a->node->type) * size > e->k->target.l2;
}

void emit_prefetch_ahead(Emit *e, const Stage *s, int level, int64_t vectors, int64_t step) {
    const Nest *n = e->n;
    const int   v = s->loop[level];
    Runs        r;
    if (e->k->level < 2 || s->width < 2) return;
    for (int i = 0; i < n->nvar; i++) r.extent[i] = i < n->nout ? e->count[i] : 1;
    for (int i = 0; i < s->nwin; i++) r.extent[s->win[i]] = n->var[s->win[i]].size;
    for (int i = 0; i < s->nred; i++) r.extent[s->red[i]] = n->var[s->red[i]].size;
    for (int i = 0; i < level; i++) r.extent[s->loop[i]] = e->count[s->loop[i]];
    r.extent[v] = step;
    for (int i = 0; i < s->nred; i++) vectors *= r.extent[s->red[i]];
    int64_t passes = 2 * AHEAD / (vectors > 0 ? vectors : 1) + 1, trips = (n->cut && v == n->cut_var ? n->cut : n->var[v].size) / step;
    if (passes > MOST_PASSES) passes = MOST_PASSES;
    if (passes > trips / 4) passes = trips / 4;     /* the last ones ask for what nobody reads */
    if (passes < 1) return;
    for (int i = 0; i < n->naccess; i++) {
        const Access *a = &n->access[i];
        if (!comes_from_far(e, a, v, step) || !e->ptr[i] || !find_elements(n, &a->off, dtype_size(a->dtype), &r)) continue;
        if (keep_lines(&r, dtype_size(a->node->type.dtype)) * WORK_PER_LINE > vectors) continue;
        for (int k = 0; k < r.n; k++)
            ask_for(e, e->ptr[i], codegen_memory_type(e->cg, a->node->type.dtype), r.at[k] + passes * step * a->off.k[v], false);
    }
}
