/* Memory asked for before it is needed.
 *
 * The stores of a tile touch a few short runs of each tensor, rows apart, and no processor guesses which come next. If
 * they do not lie in a near cache every tile waits for them, although its sums take longer than any memory: so their
 * lines are asked for before the sums.
 *
 * The sums of a tile read rows of a matrix from end to end. Where few rows stand against it (a small batch), numbers
 * take part in a few multiply-adds and then the next rows are needed: a matrix beyond the second cache is waited for
 * whenever a row or a page begins. So while a tile is summed up, what the next value of the loop reads in the same pass
 * is asked for: tiles that read the same rows again each ask for a part of the next ones.
 *
 * And a reduction may go through an operand in far steps (planes of an image): what its passes some cycles later read
 * is asked for. */
#include <stdlib.h>

#include "codegen/nest_impl.h"

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

/* How near: the first cache, or the second. */
enum { FIRST_CACHE = 3, NEXT_CACHE = 2 };

static void ask_for(Emit *e, Val ptr, Ty element, int64_t off, bool write, int near) {
    Codegen *cg = e->cg;
    Val      x[4] = {l_gep_const(cg, element, ptr, off), l_i32(cg, write), l_i32(cg, near), l_i32(cg, 1)};
    l_intrinsic(cg, "llvm.prefetch", 1, &cg->ptr, 4, x);
}

/* The lines of all points of the tile, each once as far as constant offsets tell. */
static int ask_for_all(Emit *e, const Layout *l, const Lin *off, const Node *node, Val ptr, bool write, int near,
                       int room) {
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
        ask_for(e, ptr, codegen_memory_type(e->cg, node->type.dtype), at[0], write, near);
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

/* ---- the next tiles ------------------------------------------------------------------------------------ */

/* Multiply-adds for each number read: with fewer of them nothing but the reading takes time, and processors read rows
 * ahead well enough; with more arithmetic rules. Lines asked for in a pass. */
enum { LEAST_USES = 8, MOST_USES = 64, MOST_AHEAD = 24 };
enum { LEAST_AHEAD = 2048 };            /* bytes to what is stored next */

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* The innermost loop that comes to other numbers of the access; -1: none, or one of them is no plain loop. */
static int moving_loop(const Nest *n, const Lin *off, int64_t *turns) {
    *turns = 1;
    for (int i = n->nloop - 1; i >= 0; i--) {
        int v = n->loop[i];
        if (n->var[v].apart) return -1;
        if (nest_trips(n, v) < 2) continue;
        if (off->k[v]) return v;
        *turns *= nest_trips(n, v);
    }
    return -1;
}

/* Are the numbers, once read, of little further use, and do those of the next tiles fit beside the present ones? */
static bool worth_asking(const Emit *e, const Lin *off, int64_t turns) {
    const Nest *n = e->n;
    int64_t     lo, hi, uses = turns, tile = sizeof(float);
    lin_range(n, off, &lo, &hi);
    for (int v = 0; v < n->nout; v++) {
        if (off->k[v]) tile *= e->count[v];
        else uses *= e->count[v];
    }
    for (int i = 0; i < n->stage[0].nred; i++) {
        int v = n->stage[0].red[i];
        if (off->k[v]) tile *= n->cut && v == n->cut_var ? n->cut : n->var[v].size;
    }
    if (uses < LEAST_USES || uses > MOST_USES) return false;
    return (hi - lo) * (int64_t)sizeof(float) > e->k->target.l2 && 4 * tile <= e->k->target.l2;
}

/* The number of the present turn of the loops inside that of v. */
static Val turn_of(Emit *e, int v) {
    Codegen *cg = e->cg;
    Val      turn = l_i64(cg, 0);
    int      at = 0;
    while (e->n->loop[at] != v) at++;
    while (++at < e->n->nloop) {
        int u = e->n->loop[at];
        if (nest_trips(e->n, u) < 2) continue;
        int64_t step = e->n->step[u];
        Val     now = l_i64(cg, e->konst[u] / step);
        if (e->base[u]) now = LLVMBuildUDiv(cg->b, e->base[u], l_i64(cg, step), "");
        turn = l_add(cg, LLVMBuildNSWMul(cg->b, turn, l_i64(cg, nest_trips(e->n, u)), ""), now);
    }
    return turn;
}

/* Elements to what is asked for: what the next value of the loop over v reads, or the next turn of a reduction that is
 * cut inside of the outermost loop. */
static int64_t to_next(const Emit *e, const Lin *off, int v) {
    const Nest *n = e->n;
    int64_t     turn = n->cut_inside ? n->cut * off->k[n->cut_var] : 0;
    return turn ? turn : e->count[v] * off->k[v];
}

static void find_ahead(Emit *e, int access) {
    Codegen   *cg = e->cg;
    const Lin *off = &e->n->access[access].off;
    int64_t    turns, line = LINE / sizeof(float);
    int        v = moving_loop(e->n, off, &turns);
    if (v < 0 || e->nahead == MAX_AHEAD || !e->base[v] || !worth_asking(e, off, turns)) return;
    int64_t k = magnitude(off->k[v]), values = k < line ? line / k : 1;
    Ahead  *a = &e->ahead[e->nahead++];
    *a = (Ahead){.access = access, .var = v, .piece = values * off->k[v]};
    a->pieces = (int)((e->count[v] + values - 1) / values);
    a->part = (int)((a->pieces + turns - 1) / turns);
    Val first = LLVMBuildNSWMul(cg->b, turn_of(e, v), l_i64(cg, a->part), ""), last = l_i64(cg, a->pieces - a->part);
    first = l_select(cg, l_icmp(cg, LLVMIntSLT, first, last), first, last);
    first = LLVMBuildNSWMul(cg->b, first, l_i64(cg, a->piece), "");
    a->off = LLVMBuildNSWMul(cg->b, l_add(cg, first, l_i64(cg, to_next(e, off, v))), l_i64(cg, sizeof(float)), "");
}

static void find_all_ahead(Emit *e) {
    const Nest *n = e->n;
    Reads       r = {.e = e};
    e->nahead = 0;
    if (e->k->level < 2 || n->adds || n->list.on || !n->nstage) return;
    if (n->stage[0].nwin || n->stage[0].kind != KIND_SUM) return;
    expr_walk(n->stage[0].expr, note_read, &r);
    for (int i = 0; i < r.n; i++)
        if (n->access[r.access[i]].dtype == DT_F32 && !n->access[r.access[i]].nguard) find_ahead(e, r.access[i]);
}

/* Adds the lines of the pass, from element `at` on, over variables from..; false: too many. */
static bool pass_lines(const Emit *e, const Ahead *a, int from, int64_t at, int64_t *line, int *n) {
    const Lin *off = &e->n->access[a->access].off;
    int        v = from;
    while (v < e->n->nvar && (v == a->var || !off->k[v] || e->count[v] < 2)) v++;
    if (v == e->n->nvar) {
        for (int i = 0; i < *n; i++)
            if (magnitude(line[i] - at) * (int64_t)sizeof(float) < LINE) return true;
        if (*n == MOST_AHEAD) return false;
        line[(*n)++] = at;
        return true;
    }
    for (int64_t i = 0; i < e->count[v]; i++)
        if (!pass_lines(e, a, v + 1, at + i * off->k[v], line, n)) return false;
    return true;
}

void emit_ask_next_tiles(Emit *e) {
    Codegen *cg = e->cg;
    for (int i = 0; i < e->nahead; i++) {
        const Ahead *a = &e->ahead[i];
        const Lin   *off = &e->n->access[a->access].off;
        int64_t      line[MOST_AHEAD], start = off->c;
        int          n = 0;
        for (int v = 0; v < e->n->nvar; v++) start += off->k[v] * e->konst[v];
        if (!pass_lines(e, a, 0, start, line, &n)) continue;
        Val ptr = l_gep(cg, cg->i8, e->ptr[a->access], a->off);
        for (int p = 0; p < a->part; p++)
            for (int k = 0; k < n; k++) ask_for(e, ptr, cg->f32, line[k] + p * a->piece, false, NEXT_CACHE);
    }
}

/* ---- the stores ---------------------------------------------------------------------------------------- */

/* Elements to what a later tile stores. The outermost loop is looked for whose turn touches so little that the next
 * one's memory may come meanwhile; 0: there is none, or turns of a loop inside touch the same again. */
static int64_t next_tile(const Emit *e, const Lin *off) {
    const Nest *n = e->n;
    int64_t     bytes = sizeof(float), far = 0;
    for (int v = 0; v < n->nout; v++)
        if (off->k[v]) bytes *= e->count[v];
    for (int i = n->nloop - 1; i >= 0; i--) {
        int     v = n->loop[i];
        int64_t trips = nest_trips(n, v);
        if (trips < 2) continue;
        if (!off->k[v] || n->var[v].apart || 4 * bytes > e->k->target.l2) break;
        far = n->step[v] * off->k[v] * ((LEAST_AHEAD + bytes - 1) / bytes);
        bytes *= trips;
    }
    return far;
}

/* Where sums are short a tile is over before what it asks for has come: what tiles far behind it store is asked for. */
static void ask_for_next(Emit *e, const Layout *l) {
    const Nest *n = e->n;
    int         room = MOST_AHEAD;
    for (int i = 0; i < n->nstore; i++) {
        const Store *s = &n->store[i];
        int64_t      lo, hi, far = next_tile(e, &s->off);
        Val          ptr = e->ptr[n->naccess + i];
        lin_range(n, &s->off, &lo, &hi);
        if (!far || s->node->type.dtype != DT_F32 || (hi - lo) * (int64_t)sizeof(float) <= e->k->target.l2) continue;
        room -= ask_for_all(e, l, &s->off, s->node, l_gep_const(e->cg, e->cg->f32, ptr, far), true, NEXT_CACHE, room);
    }
}

void emit_prefetch(Emit *e) {
    const Nest *n = e->n;
    Reads       r = {.e = e};
    int         vars[MAX_VARS], room = MOST_LINES;
    int64_t     bytes = 0;
    find_all_ahead(e);
    if (e->k->level < 2 || n->adds || n->cut || n->list.on || !n->nstage) return;
    for (int v = 0; v < n->nout; v++) vars[v] = v;
    Layout l = layout_of(e, n->nout, vars, n->nlane, n->lane, n->width);
    if (sum_points(n) < LEAST_SUM) {
        ask_for_next(e, &l);
        return;
    }
    for (int i = 0; i < n->nstore; i++) expr_walk(n->store[i].expr, note_read, &r);
    for (int i = 0; i < r.n; i++)
        bytes += type_count(&n->access[r.access[i]].node->type) * dtype_size(n->access[r.access[i]].dtype);
    for (int i = 0; i < n->nstore; i++)
        bytes += type_count(&n->store[i].node->type) * dtype_size(n->store[i].node->type.dtype);
    if (bytes <= e->k->target.l1) return;
    for (int i = 0; i < r.n; i++) {
        const Access *a = &n->access[r.access[i]];
        room -= ask_for_all(e, &l, &a->off, a->node, e->ptr[r.access[i]], false, FIRST_CACHE, room);
    }
    for (int i = 0; i < n->nstore; i++)
        room -= ask_for_all(e, &l, &n->store[i].off, n->store[i].node, e->ptr[n->naccess + i], true, FIRST_CACHE, room);
}

/* ---- operands -------------------------------------------------------------------------------------------- */

/* A reduction that goes through an operand in far steps (planes of an image, say) meets short runs of memory, a few in
 * each pass, that no processor guesses either. What the passes some cycles later read is asked for. */
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

/* Does a reduction slide over rows that a loop over an out goes along, too? Then all but its last were read a tile
 * before. */
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

/* Does it come from beyond L2, in steps of `step` values of v that are far apart? Images and sequences only: with
 * matrices, whose rows the loops over outs go along at once, asking costs more than it saves. */
static bool comes_from_far(const Emit *e, const Access *a, int v, int64_t step) {
    if (!a->node || a->nind || a->listed || a->node->op == OP_RNG || a->nguard || a->node->type.rank < 3) return false;
    int64_t size = dtype_size(a->node->type.dtype), by = a->off.k[v] * step * size;
    if (by < FAR || (e->k->local && e->k->local[a->node->id])) return false;
    return type_count(&a->node->type) * size > e->k->target.l2;
}

void emit_ask_next_passes(Emit *e, const Stage *s, int level, int64_t vectors, int64_t step) {
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
    int64_t passes = 2 * AHEAD / (vectors > 0 ? vectors : 1) + 1,
            trips = (n->cut && v == n->cut_var ? n->cut : n->var[v].size) / step;
    if (passes > MOST_PASSES) passes = MOST_PASSES;
    if (passes > trips / 4) passes = trips / 4;     /* the last ones ask for what nobody reads */
    if (passes < 1) return;
    for (int i = 0; i < n->naccess; i++) {
        const Access *a = &n->access[i];
        if (!comes_from_far(e, a, v, step) || !e->ptr[i] || !find_elements(n, &a->off, dtype_size(a->dtype), &r))
            continue;
        if (keep_lines(&r, dtype_size(a->node->type.dtype)) * WORK_PER_LINE > vectors) continue;
        for (int k = 0; k < r.n; k++)
            ask_for(e, e->ptr[i], codegen_memory_type(e->cg, a->node->type.dtype),
                    r.at[k] + passes * step * a->off.k[v], false, FIRST_CACHE);
    }
}
