/* Element-wise producers move into the expressions that read them.
 *
 * A map goes into its readers if all of them can take it, so that it need not be stored at all. It stays
 * where computing it again would cost more than reading it:
 *   - a reader that wants a point several times takes only what is cheap (CHEAP operations);
 *   - a contraction, sum of mul(read, read), takes only copies: it shall stay one;
 *   - a reduction that picks (max, min, argmax, argmin) over the map of a contraction leaves the map there.
 * Looks through `stop`, so it belongs after differentiation. Needs topological order and leaves it;
 * maps without readers stay for dce.
 */
#include "passes/algebra.h"
#include "passes/draft.h"
#include "passes/pass.h"

/* CHEAP, DIVISION: costs as add_cost counts; MANY: points that read one; LARGEST: expr_size of a reader. */
enum { CHEAP = 4, DIVISION = 4, MANY = 64, LARGEST = 400 };

typedef struct {
    Graph    *g;
    NodeList *users;                    /* by id, kept up to date */
    bool     *is_output;
} Inliner;

/* ---- costs ------------------------------------------------------------------------------------------ */

static void add_cost(const Expr *e, void *total) {
    static const int COST[SC_COUNT] = {
        [SC_ADD] = 1, [SC_SUB] = 1, [SC_MUL] = 1, [SC_NEG] = 1, [SC_MAX] = 1, [SC_LT] = 1, [SC_EQ] = 1,
        [SC_SEL] = 1, [SC_CAST] = 1, [SC_FLOOR] = 1, [SC_DIV] = DIVISION, [SC_SQRT] = 5, [SC_EXP] = 10, [SC_LOG] = 10,
        [SC_TANH] = 15, [SC_SIN] = 15, [SC_COS] = 15, [SC_POW] = 25,
    };
    *(int *)total += COST[e->op];
}

static int cost_of(const Node *map) {
    int total = 0;
    expr_walk(map->u.comp.expr, add_cost, &total);
    return total;
}

static int64_t points(const Comp *c) {
    int64_t n = 1;
    for (int v = 0; v < c->nout + c->nred; v++) n *= c->var[v].ext.size;
    return n;
}

typedef struct {
    const Node *reader;
    int         operand, n;
    const Expr *seen[MAX_OPERANDS];
} Patterns;

static void add_pattern(const Expr *e, void *cx) {
    Patterns *p = cx;
    if (e->op != SC_READ || e->operand != p->operand) return;
    for (int i = 0; i < p->n && i < MAX_OPERANDS; i++)
        if (expr_equal(p->seen[i], e)) return;
    if (p->n < MAX_OPERANDS) p->seen[p->n] = e;
    p->n++;
}

/* How often `reader` evaluates operand k if that moves in: points x different reads. */
static int64_t evaluations(const Node *reader, int k) {
    Patterns p = {.reader = reader, .operand = k};
    expr_walk(reader->u.comp.expr, add_pattern, &p);
    return points(&reader->u.comp) * p.n;
}

static bool is_contraction(const Node *n) {
    if (n->op != OP_COMP || n->u.comp.kind != KIND_SUM || !n->u.comp.nred) return false;
    const Expr *e = n->u.comp.expr;
    return e->op == SC_MUL && e->arg[0]->op == SC_READ && e->arg[1]->op == SC_READ && n->narg == 2;
}

static bool picks(const Node *n) {
    Kind k = n->u.comp.kind;
    return k == KIND_MAX || k == KIND_MIN || k == KIND_ARGMAX || k == KIND_ARGMIN;
}

static bool reads_contraction(const Node *map) {
    for (int k = 0; k < map->narg; k++)
        if (is_contraction(map->arg[k])) return true;
    return false;
}

/* Operands of about the map's own size: what its readers would have to read instead of it. */
static int large_operands(const Node *map) {
    int n = 0;
    for (int k = 0; k < map->narg; k++) n += 2 * type_count(&map->arg[k]->type) >= type_count(&map->type);
    return n;
}

/* ---- decisions -------------------------------------------------------------------------------------- */

static int operand_of(const Node *reader, const Node *n) {
    for (int k = 0; k < reader->narg; k++)
        if (reader->arg[k] == n) return k;
    return -1;
}

/* *total: evaluations by all readers so far. */
static bool reader_takes(const Inliner *in, Node *reader, const Node *map, int cost, int64_t *total) {
    if (reader->op != OP_COMP) return false;
    int   k = operand_of(reader, map);
    bool  copy = map->u.comp.expr->op == SC_READ || map->narg == 0;
    Draft d = draft_of(in->g, reader);
    if (!draft_can_inline(&d, k) || reader->narg - 1 + map->narg > MAX_OPERANDS) return false;
    int64_t here = evaluations(reader, k);
    *total += here;
    if (copy && cost <= 1) return true;
    if (is_contraction(reader) || (picks(reader) && reads_contraction(map))) return false;
    int64_t copies = here / points(&reader->u.comp);
    if (expr_size(reader->u.comp.expr) + expr_size(map->u.comp.expr) * copies > LARGEST) return false;
    if (here <= type_count(&map->type)) return true;
    if (here > MANY * type_count(&map->type) && cost >= DIVISION) return false;
    return cost <= CHEAP && reader->u.comp.kind != KIND_SUM;
}

/* All readers take it, and together they do not work or read much more than before. */
static bool should_inline(const Inliner *in, const Node *map) {
    const NodeList *users = &in->users[map->id];
    if (map->op != OP_COMP || map->u.comp.kind != KIND_MAP || in->is_output[map->id] || !users->n) return false;
    int     cost = cost_of(map), large = large_operands(map);
    int64_t total = 0;
    for (int i = 0; i < users->n; i++)
        if (!reader_takes(in, users->at[i], map, cost, &total)) return false;
    if (cost > CHEAP && total > type_count(&map->type)) return false;
    return users->n * large <= large + 1 + users->n;
}

/* ---- doing it --------------------------------------------------------------------------------------- */

static void remove_user(NodeList *list, const Node *n) {
    int kept = 0;
    for (int i = 0; i < list->n; i++)
        if (list->at[i] != n) list->at[kept++] = list->at[i];
    list->n = kept;
}

static void add_user(Inliner *in, const Node *of, Node *n) {
    NodeList *list = &in->users[of->id];
    for (int i = 0; i < list->n; i++)
        if (list->at[i] == n) return;
    vec_push(in->g->arena, list, n);
}

static void inline_everywhere(Inliner *in, Node *map) {
    NodeList *users = &in->users[map->id];
    for (int i = 0; i < users->n; i++) {
        Node *reader = users->at[i];
        Draft d = draft_of(in->g, reader);
        draft_inline(&d, operand_of(reader, map));
        draft_store(&d, reader);
        for (int k = 0; k < reader->narg; k++) add_user(in, reader->arg[k], reader);
    }
    for (int k = 0; k < map->narg; k++) remove_user(&in->users[map->arg[k]->id], map);
    users->n = 0;
}

static bool look_through_stops(Graph *g) {
    bool changed = false;
    for (int i = 0; i < g->nodes.n; i++) {
        Node *n = g->nodes.at[i];
        if (n->op != OP_STOP) continue;
        graph_replace(g, n, n->arg[0]);
        changed = true;
    }
    return changed;
}

bool pass_inline_maps(Graph *g, PassCx *cx) {
    bool changed = look_through_stops(g);
    int  before = g->nodes.n;
    graph_sweep(g);                     /* a dead reader would keep its operands */
    changed |= g->nodes.n != before;
    Inliner in = {g, graph_users(g, cx->scratch), ARENA_ARRAY(cx->scratch, bool, g->nodes.n)};
    for (int i = 0; i < g->outs.n; i++) in.is_output[g->outs.at[i].value->id] = true;
    for (int i = 0; i < g->nodes.n; i++) {
        if (!should_inline(&in, g->nodes.at[i])) continue;
        inline_everywhere(&in, g->nodes.at[i]);
        changed = true;
    }
    return changed;
}
