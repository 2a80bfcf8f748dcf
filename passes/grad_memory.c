/* The memory of sequences under differentiation, and checkpoints chosen for a budget. */
#include "passes/grad_impl.h"
#include "passes/pass.h"

/* ---- what sequences take ------------------------------------------------------------------------------- */

static int64_t bytes_of(const Node *n) { return type_count(&n->type) * dtype_size(n->type.dtype); }

int64_t sequence_bytes(const Graph *g) {
    Arena  *a = arena_new();
    bool   *seen = ARENA_ARRAY(a, bool, g->nodes.n);
    int64_t all = 0, inside = 0;
    for (int i = 0; i < g->nodes.n; i++) {
        const Node *n = g->nodes.at[i];
        if (n->op == OP_RESULT && n->u.result.index >= n->arg[0]->u.scan.ncarry) seen[i] = true;
        if (n->op != OP_SCAN) continue;
        const Scan *s = &n->u.scan;
        for (int k = s->ncarry; k < s->ncarry + s->nover; k++) seen[n->arg[k]->id] = true;
        int64_t body = sequence_bytes(s->body);
        if (body > inside) inside = body;
    }
    for (int i = 0; i < g->nodes.n; i++)
        if (seen[i]) all += bytes_of(g->nodes.at[i]);
    arena_free(a);
    return all + inside;
}

/* ---- the choice ---------------------------------------------------------------------------------------- */

typedef struct {
    const Graph *g;
    int          n;                /* scans of g */
    int         *at, *checkpoint;  /* their places; 0: none */
} Choice;

static int64_t cost_of(const Choice *c) {
    Arena *a = arena_new();
    Graph *g = graph_clone(a, c->g);
    for (int i = 0; i < c->n; i++)
        if (c->checkpoint[i]) g->nodes.at[c->at[i]]->u.scan.checkpoint = c->checkpoint[i];
    grad_params(g);
    passes_run(g, &(PassOptions){.level = 2, .only = "cse,dce"});
    int64_t bytes = sequence_bytes(g);
    arena_free(a);
    return bytes;
}

/* The longest segments of scan i that fit, else those that take the least. */
static int64_t choose(Choice *c, int i, int64_t now, int64_t budget) {
    int64_t least = now, trip = c->g->nodes.at[c->at[i]]->u.scan.trip.size;
    int     best = 0;
    for (int64_t k = (trip + 1) / 2; k > 1; k = k > 2 ? (k + 1) / 2 : 1) {
        c->checkpoint[i] = (int)k;
        int64_t bytes = cost_of(c);
        if (bytes < least) least = bytes, best = (int)k;
        if (bytes <= budget) break;
    }
    c->checkpoint[i] = best;
    return least;
}

/* The scans of g that have no checkpoints, those first that run longest over the largest carries. */
static void find_scans(Choice *c, Arena *a) {
    double *size = ARENA_ARRAY(a, double, c->g->nodes.n);
    c->at = ARENA_ARRAY(a, int, c->g->nodes.n);
    c->checkpoint = ARENA_ARRAY(a, int, c->g->nodes.n);
    for (int i = 0; i < c->g->nodes.n; i++) {
        const Node *n = c->g->nodes.at[i];
        if (n->op != OP_SCAN || n->u.scan.checkpoint || n->u.scan.trip.size < 4) continue;
        for (int k = 0; k < n->u.scan.ncarry; k++) size[i] += (double)n->u.scan.trip.size * (double)bytes_of(n->arg[k]);
        int j = c->n++;
        for (; j && size[c->at[j - 1]] < size[i]; j--) c->at[j] = c->at[j - 1];
        c->at[j] = i;
    }
}

Budget grad_budget(Graph *g, int64_t budget) {
    Arena *a = arena_new();
    Choice c = {.g = g};
    Budget b = {0};
    graph_sort(g);
    find_scans(&c, a);
    b.plain = b.chosen = cost_of(&c);
    for (int i = 0; i < c.n && b.chosen > budget; i++) b.chosen = choose(&c, i, b.chosen, budget);
    for (int i = 0; i < c.n; i++) {
        Node *n = g->nodes.at[c.at[i]];
        if (!c.checkpoint[i]) continue;
        n->u.scan.checkpoint = c.checkpoint[i];
        vec_push(g->arena, &b.scans, ((Segmented){n->loc, n->u.scan.var, c.checkpoint[i]}));
    }
    b.fits = b.chosen <= budget;
    arena_free(a);
    return b;
}
