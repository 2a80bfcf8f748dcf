/* Which nodes are computed together.
 *
 * Nodes are taken in graph order; each joins the group of one of its operands, or a group over the same
 * space, or starts a group of its own. What may join (names are those of FUSIONS):
 *
 *   epilogue   a map that reads the group's values at its own point: bias, activation, masks (but those of random
 *              numbers)
 *   update     the same, where the map is the next value of a parameter or state
 *   pool       reductions over windows of the group's contraction, each position in one window only;
 *              then nothing of the contraction is stored (conv + bias + max-pool + argmax)
 *   rows       a reduction whose outs are the group's space and that reads the group's values there:
 *              max, sum of exp, log of a softmax
 *   siblings   maps or reductions over the same space that read the same tensor
 *   sums       sums of products that meet in a map: see sums.c
 *
 * Before that, spread.c (spread), taps.c (taps), pack.c (pack), unpool.c (unpool) and reuse.c (reuse) rewrite
 * contractions and their operands; after it, listed.c (listed) may run a sum over a list of the points that count.
 *
 * A scan and its results are a group of their own. A group never needs what depends on it through another group.
 */
#include <string.h>

#include "passes/kernels_impl.h"

enum { MAX_WINDOW = 16, MAX_GROUP = 24, LONG_SUM = 1024 };

const char *const FUSIONS[] = {"epilogue", "update", "pool",   "rows",  "siblings", "pack",    "turn",
                               "unpool",   "spread", "listed", "panel", "sink",     "keep",    "rotate",
                               "sums",     "chain",  "reuse",  "order", "winograd", "threads", "taps",    NULL};

bool fusion_on(const KernelOptions *o, const char *name) {
    size_t n = strlen(name);
    if (o->level < 1) return false;
    for (const char *s = o->off; s && *s; s += strcspn(s, ","), s += *s == ',')
        if (strcspn(s, ",") == n && !strncmp(s, name, n)) return false;
    return true;
}

/* ---- reads of a group's values --------------------------------------------------------------------- */

typedef struct {
    const Fuse  *f;
    const Node  *n;             /* the reader */
    const Group *gr;
    int          reads;         /* of values of gr */
    bool         other;         /* some are not at the reader's own point, or go through a reshape */
    bool         windows;       /* all have the subscripts `sub` */
    const Sub   *sub;
} Reads;

static bool same_subs(const Sub *a, const Sub *b, int n) {
    for (int i = 0; i < n; i++)
        if (a[i].ind || b[i].ind || !affine_equal(&a[i].aff, &b[i].aff)) return false;
    return true;
}

static void look_at_read(const Expr *e, void *cx) {
    Reads *r = cx;
    if (e->op != SC_READ) return;
    Node *arg = r->n->arg[e->operand], *value = node_unstop(arg);
    if (r->f->group[node_storage(arg)->id] != r->gr) return;
    r->reads++;
    if (value != node_storage(arg) || !reads_own_point(r->n, e)) r->other = true;
    if (value != node_storage(arg) || (r->sub && !same_subs(r->sub, e->sub, e->nsub))) r->windows = false;
    r->sub = e->sub;
}

static Reads reads_of(const Fuse *f, const Node *n, const Group *gr) {
    Reads r = {.f = f, .n = n, .gr = gr, .windows = true};
    expr_walk(n->u.comp.expr, look_at_read, &r);
    return r;
}

bool same_outs(const Node *a, const Node *b) {
    const Comp *x = &a->u.comp, *y = &b->u.comp;
    if (x->nout != y->nout) return false;
    for (int i = 0; i < x->nout; i++)
        if (x->var[i].ext.size != y->var[i].ext.size || x->var[i].ext.bound != y->var[i].ext.bound) return false;
    return true;
}

bool same_reds(const Node *a, const Node *b) {
    const Comp *x = &a->u.comp, *y = &b->u.comp;
    if (x->nred != y->nred || x->nder || y->nder) return false;
    for (int i = 0; i < x->nred; i++) {
        Extent p = x->var[x->nout + i].ext, q = y->var[y->nout + i].ext;
        if (p.size != q.size || p.bound != q.bound) return false;
    }
    return true;
}

static bool is_map(const Node *n) { return n->op == OP_COMP && n->u.comp.kind == KIND_MAP; }

/* A sum of products: what is worth a register tile. */
static bool is_contraction(const Node *n) {
    const Comp *c = &n->u.comp;
    return n->op == OP_COMP && c->kind == KIND_SUM && c->nred && c->expr->op == SC_MUL && n->narg > 1;
}

static int contractions(const Group *gr) {
    int count = 0;
    for (int i = 0; i < gr->nodes.n; i++) count += is_contraction(gr->nodes.at[i]);
    return count;
}

static bool has_contraction(const Group *gr) { return contractions(gr) > 0; }

/* A contraction over so many points that its operands leave the caches: it may be cut into turns (schedule.c), which
 * leave their sums in the result's memory, so that an update has a nest of its own. To store the sums is little
 * beside so many multiply-adds. */
static bool has_long_sum(const Group *gr) {
    for (int i = 0; i < gr->nodes.n; i++) {
        const Node *n = gr->nodes.at[i];
        int64_t     points = 1;
        if (!is_contraction(n)) continue;
        for (int v = 0; v < n->u.comp.nred; v++) points *= n->u.comp.var[n->u.comp.nout + v].ext.size;
        if (points >= LONG_SUM) return true;
    }
    return false;
}

static bool is_update(const Fuse *f, const Node *n) {
    for (int i = 0; i < f->g->outs.n; i++) {
        const Output *o = &f->g->outs.at[i];
        if (o->kind != OUT_VALUE && node_storage(o->value) == n) return true;
    }
    return false;
}

/* Variables of the nest of gr, with n if that is not NULL. A cut out (residue.c) makes one more. */
static int group_vars(const Group *gr, const Node *n) {
    const Comp *space = &(n ? n : gr->space)->u.comp;
    int         count = space->nout;
    for (int i = 0; i <= gr->nodes.n; i++) {
        const Node *m = i < gr->nodes.n ? gr->nodes.at[i] : n;
        if (m) count += m->u.comp.nred + 2 * m->u.comp.nder;
    }
    return count;
}

static int group_stages(const Group *gr) {
    int n = 0;
    for (int i = 0; i < gr->nodes.n; i++) n += !is_map(gr->nodes.at[i]);
    return n;
}

bool group_has_room(const Group *gr, const Node *n) {
    return gr->nodes.n < MAX_GROUP && gr->nodes.n < MAX_STORES && (is_map(n) || group_stages(gr) < MAX_STAGES) &&
           group_vars(gr, n) <= MAX_VARS;
}

/* ---- windows ---------------------------------------------------------------------------------------- */

/* Do the subscripts visit each position at most once, and every one inside the tensor? Each axis: an out alone,
 * or d * out + red with the red's extent at most d. */
static bool windows_disjoint(const Node *p, const Node *x, const Sub *sub) {
    const Comp *c = &p->u.comp;
    bool        used[MAX_VARS] = {false};
    for (int i = 0; i < x->type.rank; i++) {
        const Affine *a = &sub[i].aff;
        int64_t       d = 0, span = 1, last = 0;
        if (a->c || a->n < 1 || a->n > 2) return false;
        for (int t = 0; t < a->n; t++) {
            int v = a->term[t].var;
            if (v >= c->nout + c->nred || used[v] || a->term[t].coef < 1) return false;
            used[v] = true;
            last += a->term[t].coef * (c->var[v].ext.size - 1);
            if (v < c->nout) d = a->term[t].coef;
            else if (a->term[t].coef != 1) return false;
            else span = c->var[v].ext.size;
            if (c->var[v].ext.bound != x->type.dim[i].bound) return false;
        }
        if (span > d || last >= x->type.dim[i].size) return false;
    }
    for (int v = 0; v < c->nout + c->nred; v++)
        if (!used[v]) return false;
    return true;
}

/* Is p a reduction over small disjoint windows of values of gr? Fills *r. */
static bool is_window(const Fuse *f, const Node *p, const Group *gr, Reads *r) {
    if (p->op != OP_COMP || is_map(p) || p->u.comp.nder || !p->u.comp.nred) return false;
    int64_t window = 1;
    for (int i = 0; i < p->u.comp.nred; i++) window *= p->u.comp.var[p->u.comp.nout + i].ext.size;
    *r = reads_of(f, p, gr);
    return window <= MAX_WINDOW && r->reads && r->windows && windows_disjoint(p, gr->space, r->sub);
}

/* Collects the readers of n outside of gr (through stops); false if one is a reshape. */
static bool readers(Fuse *f, const Node *n, const Group *gr, NodeList *out) {
    for (int i = 0; i < f->users[n->id].n; i++) {
        Node *u = f->users[n->id].at[i];
        if (u->op == OP_RESHAPE) return false;
        if (u->op == OP_STOP ? !readers(f, u, gr, out) : false) return false;
        if (u->op != OP_STOP && f->group[u->id] != gr) vec_push(f->a, out, u);
    }
    return true;
}

static bool is_output(const Fuse *f, const Node *n) {
    for (int i = 0; i < f->g->outs.n; i++)
        if (node_storage(f->g->outs.at[i].value) == n) return true;
    return false;
}

/* Can u be computed now: are its other operands made already? */
static bool operands_ready(const Fuse *f, const Node *u) {
    for (int i = 0; i < u->narg; i++) {
        const Node *s = node_storage(u->arg[i]);
        if ((node_computed(s) || s->op == OP_RESULT) && !f->group[s->id]) return false;
    }
    return true;
}

/* Outs that a member cuts, into remainders (residue.c) or panels (panel.c), are no windows' positions. */
static bool has_cut_outs(const Group *gr) {
    for (int i = 0; i < gr->nodes.n; i++) {
        const Node *n = gr->nodes.at[i];
        if (n->u.comp.nder) return true;
        for (int k = 0; k < n->narg; k++)
            if (n->arg[k]->panel) return true;
    }
    return false;
}

/* Joins p and every other reader of gr's values, if all of them are reductions over the same windows. */
static bool join_windows(Fuse *f, Node *p, Group *gr) {
    Reads    first, r;
    NodeList all = {0};
    if (gr->pool || contractions(gr) != 1 || has_cut_outs(gr) || !is_window(f, p, gr, &first)) return false;
    for (int i = 0; i < gr->nodes.n; i++)
        if (is_output(f, gr->nodes.at[i]) || !readers(f, gr->nodes.at[i], gr, &all)) return false;
    for (int i = 0; i < all.n; i++) {
        Node *u = all.at[i];
        if (!is_window(f, u, gr, &r) || !same_outs(u, p) || !same_reds(u, p)) return false;
        if (!same_subs(r.sub, first.sub, gr->space->type.rank)) return false;
        if (!operands_ready(f, u) || group_cycle(f, u, gr)) return false;
    }
    if (group_stages(gr) + all.n > MAX_STAGES || group_vars(gr, p) > MAX_VARS) return false;
    gr->pool = all.at[0];
    gr->space = p;
    for (int i = 0; i < all.n; i++)
        if (!f->group[all.at[i]->id]) group_join(f, gr, all.at[i]);
    return true;
}

/* ---- joining ---------------------------------------------------------------------------------------- */

/* Only values over the group's space can be read at its point: not those inside a window. */
static bool reads_visible(const Fuse *f, const Node *n, const Group *gr) {
    bool hidden = gr->pool != NULL;
    for (int i = 0; i < gr->nodes.n && hidden; i++) {
        if (gr->nodes.at[i] == gr->pool) break;
        for (int k = 0; k < n->narg; k++)
            if (node_storage(n->arg[k]) == gr->nodes.at[i]) return false;
    }
    (void)f;
    return true;
}

/* Random numbers come in blocks of four vectors along memory, which the tile of a contraction rarely has: one by one
 * they take longer than to store the values and load them again. */
static bool is_random(const Node *n) {
    bool random = false;
    for (int i = 0; i < n->narg; i++) random |= n->arg[i]->op == OP_RNG;
    return random;
}

static bool join_at_point(Fuse *f, Node *n, Group *gr) {
    Reads r = reads_of(f, n, gr);
    if (!r.reads || r.other || !same_outs(n, gr->space) || !reads_visible(f, n, gr) || !group_has_room(gr, n))
        return false;
    if (is_map(n)) {
        if (is_random(n) && has_contraction(gr)) return false;
        if (!fusion_on(f->o, is_update(f, n) ? "update" : "epilogue") || (is_update(f, n) && has_long_sum(gr)))
            return false;
    } else if (!fusion_on(f->o, "rows") || n->u.comp.nder || is_contraction(n) || has_contraction(gr)) {
        return false;
    }
    if (group_cycle(f, n, gr)) return false;
    group_join(f, gr, n);
    return true;
}

static bool share_operand(const Node *n, const Group *gr) {
    for (int i = 0; i < gr->nodes.n; i++)
        for (int k = 0; k < gr->nodes.at[i]->narg; k++)
            for (int j = 0; j < n->narg; j++)
                if (gr->nodes.at[i]->arg[k] == n->arg[j] && n->arg[j]->type.rank) return true;
    return false;
}

/* n beside the nodes of gr: over the same space (and, for a reduction, the same reductions), reading one
 * tensor that they read, and nothing of theirs. */
static bool join_sibling(Fuse *f, Node *n, Group *gr) {
    Node *first = gr->nodes.at[0];
    if (gr->pool || first->op != OP_COMP || is_contraction(n) || has_contraction(gr) || n->u.comp.nder) return false;
    if (!same_outs(n, gr->space) || !share_operand(n, gr) || !group_has_room(gr, n)) return false;
    if (is_map(n) != is_map(first) || (!is_map(n) && !same_reds(n, first))) return false;
    if (first->u.comp.nder || reads_of(f, n, gr).reads || group_cycle(f, n, gr)) return false;
    group_join(f, gr, n);
    return true;
}

static bool join_some(Fuse *f, Node *n) {
    Spread s;
    if (n->panel) {
        group_new(f, n)->alone = true;
        return true;
    }
    if (f->o->level >= 2 && (spread_find(n, &s) || (fusion_on(f->o, "listed") && list_block(f->t, n)))) {
        group_new(f, n)->alone = true;
        return true;
    }
    for (int i = n->narg - 1; i >= 0; i--) {
        Group *gr = f->group[node_storage(n->arg[i])->id];
        if (!gr || gr->alone || gr->nodes.at[0]->op != OP_COMP) continue;
        if (join_at_point(f, n, gr)) {
            if (f->o->level >= 2 && fusion_on(f->o, "sums")) join_terms(f, n, gr);
            return true;
        }
        if (fusion_on(f->o, "pool") && join_windows(f, n, gr)) return true;
    }
    for (int i = f->groups.n - 1; fusion_on(f->o, "siblings") && i >= 0 && i > f->groups.n - 1 - MAX_GROUP; i--)
        if (join_sibling(f, n, f->groups.at[i])) return true;
    return f->o->level >= 2 && fusion_on(f->o, "sums") && join_sums(f, n);
}

void fuse_groups(Fuse *f) {
    for (int i = 0; i < f->g->nodes.n; i++) {
        Node *n = f->g->nodes.at[i];
        if (n->op == OP_SCAN) group_new(f, n);
        if (n->op == OP_RESULT) group_join(f, f->group[n->arg[0]->id], n);
        if (!node_computed(n) || f->group[n->id]) continue;
        if (f->o->level < 1 || n->op != OP_COMP || !join_some(f, n)) group_new(f, n);
    }
}
