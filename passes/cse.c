/* Equal nodes are made once: the same operation with the same attributes on the same operands.
 * Needs a graph in topological order. Leaves duplicates without users (dce removes them). */
#include <string.h>

#include "passes/draft.h"
#include "passes/pass.h"

/* ---- hashes ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_number(uint64_t h, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return mix(h, bits);
}

static uint64_t hash_affine(uint64_t h, const Affine *f) {
    h = mix(h, (uint64_t)f->c);
    for (int i = 0; i < f->n; i++) h = mix(mix(h, (uint64_t)f->term[i].var), (uint64_t)f->term[i].coef);
    return h;
}

static uint64_t hash_expr(uint64_t h, const Expr *e) {
    h = mix(mix(h, e->op), e->dtype);
    h = hash_number(h, e->value);
    h = hash_affine(h, &e->aff);
    h = mix(mix(h, (uint64_t)e->bound), (uint64_t)e->operand);
    for (int i = 0; i < e->nsub; i++) {
        h = hash_affine(h, &e->sub[i].aff);
        if (e->sub[i].ind) h = hash_expr(h, e->sub[i].ind);
    }
    for (int i = 0; i < SCALARS[e->op].args; i++) h = hash_expr(h, e->arg[i]);
    return h;
}

static uint64_t hash_node(const Node *n) {
    uint64_t h = mix(mix(0, n->op), n->type.dtype);
    for (int i = 0; i < n->type.rank; i++) {
        h = mix(h, (uint64_t)n->type.dim[i].size);
        h = mix(h, (uint64_t)n->type.dim[i].bound);
    }
    for (int i = 0; i < n->narg; i++) h = mix(h, (uint64_t)n->arg[i]->id);
    return n->op == OP_COMP ? hash_expr(mix(h, n->u.comp.kind), n->u.comp.expr) : h;
}

/* ---- equality --------------------------------------------------------------------------------------- */

static bool same_comp(const Comp *a, const Comp *b) {
    if (a->kind != b->kind || a->nout != b->nout || a->nred != b->nred || a->nder != b->nder) return false;
    for (int v = 0; v < a->nout + a->nred + a->nder; v++) {
        const Var *x = &a->var[v], *y = &b->var[v];
        if (x->ext.size != y->ext.size || x->ext.bound != y->ext.bound || x->div != y->div) return false;
        if (x->div && !affine_equal(&x->num, &y->num)) return false;
    }
    return expr_equal(a->expr, b->expr);
}

bool node_same(const Node *a, const Node *b) {
    if (a->op != b->op || a->narg != b->narg || !type_equal(&a->type, &b->type)) return false;
    for (int i = 0; i < a->narg; i++)
        if (a->arg[i] != b->arg[i]) return false;
    if (a->op == OP_COMP) return same_comp(&a->u.comp, &b->u.comp);
    if (a->op == OP_RESULT) return a->u.result.index == b->u.result.index;
    if (a->op == OP_SCAN) return false;
    return a->narg > 0;
}

/* ---- the pass --------------------------------------------------------------------------------------- */

typedef struct {
    Node **slot;
    size_t mask;
} Table;

/* The first node equal to `n`, which is `n` itself if there was none. */
static Node *intern(Table *t, Node *n) {
    size_t i = (size_t)hash_node(n) & t->mask;
    while (t->slot[i] && !node_same(t->slot[i], n)) i = (i + 1) & t->mask;
    if (!t->slot[i]) t->slot[i] = n;
    return t->slot[i];
}

/* Points the operands of `n` to their first equals. A comp that now has an operand twice is made anew. */
static bool redirect(Graph *g, Node *n, Node *const *first) {
    bool changed = false, twice = false;
    for (int k = 0; k < n->narg; k++) {
        Node *f = first[n->arg[k]->id];
        changed |= f != n->arg[k];
        n->arg[k] = f;
        for (int j = 0; j < k; j++) twice |= n->arg[j] == f;
    }
    if (changed && twice && n->op == OP_COMP) {
        Draft d = draft_of(g, n);
        draft_store(&d, n);
    }
    return changed;
}

bool pass_cse(Graph *g, PassCx *cx) {
    size_t size = 16;
    while (size < 2 * (size_t)g->nodes.n) size *= 2;
    Table  t = {ARENA_ARRAY(cx->scratch, Node *, size), size - 1};
    Node **first = ARENA_ARRAY(cx->scratch, Node *, g->nodes.n);
    bool   changed = false;
    for (int i = 0; i < g->nodes.n; i++) {
        Node *n = g->nodes.at[i];
        changed |= redirect(g, n, first);
        first[n->id] = n->narg || n->op == OP_COMP ? intern(&t, n) : n;
    }
    for (int i = 0; i < g->outs.n; i++) g->outs.at[i].value = first[g->outs.at[i].value->id];
    return changed;
}
