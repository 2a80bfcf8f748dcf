/* Making scans: see ir.h. */
#include <string.h>

#include "ir/ir_impl.h"

Node *loop_arg(Graph *g, Type t) {
    Node *n = ARENA_NEW(g->arena, Node);
    *n = (Node){.op = OP_ARG, .id = g->nodes.n, .type = t, .name = g->at_name, .loc = g->at_loc};
    n->u.arg.index = g->args++;
    vec_push(g->arena, &g->nodes, n);
    return n;
}

enum { CAPTURED = -1 };

/* A cut in progress. Arrays are by id of the nodes of `from`. */
typedef struct {
    Graph       *g, *body;
    const Graph *from;
    ScanMake         l;
    Arena       *scratch;
    int         *bound;         /* 1 + operand number of a bound node; 0: not bound. In `use` they count from 0 */
    bool        *depends, *needed;
    Node       **made;          /* in the body */
} Cut;

/* Nodes that the body computes itself: what changes with a bound node, what costs nothing; and all of a graph of its
 * own, from which nothing can be captured (a scan over zeros alone, say). */
static bool is_inner(const Cut *c, const Node *n) {
    if (c->from != c->g) return n->op != OP_ARG;
    return c->depends[n->id] || n->op == OP_CONST || (n->op == OP_COMP && !n->narg);
}

static void mark(Cut *c, const Node *n) { c->needed[n->id] = true; }

static void find_needed(Cut *c) {
    for (int i = 0; i < c->from->nodes.n; i++) {
        const Node *n = c->from->nodes.at[i];
        c->depends[i] = c->bound[i] || n == c->l.step;
        for (int k = 0; k < n->narg; k++) c->depends[i] |= c->depends[n->arg[k]->id];
    }
    for (int i = 0; i < c->l.next.n; i++) mark(c, c->l.next.at[i]);
    for (int i = 0; i < c->l.stack.n; i++) mark(c, c->l.stack.at[i]);
    for (int i = c->from->nodes.n - 1; i >= 0; i--) {
        const Node *n = c->from->nodes.at[i];
        if (!c->needed[i] || c->bound[i] || !is_inner(c, n)) continue;
        for (int k = 0; k < n->narg; k++) mark(c, n->arg[k]);
    }
}

static Node *make_arg(Cut *c, const Node *n, int index) {
    const char *why;
    graph_at(c->body, n->name, n->loc);
    Node *a = graph_try(c->body, &(Node){.op = OP_ARG, .type = n->type, .u.arg = {index}}, &why);
    if (!a) ICE("argument %d of a body: %s", index, why);
    return a;
}

/* The same operation on the operands' images in the body. */
static Node *copy_node(Cut *c, const Node *n) {
    const char *why;
    Node        proto = *n;
    proto.arg = ARENA_ARRAY(c->g->arena, Node *, n->narg);
    for (int k = 0; k < n->narg; k++) proto.arg[k] = c->made[n->arg[k]->id];
    if (n->op == OP_SCAN) proto.u.scan.body = graph_clone(c->g->arena, n->u.scan.body);
    graph_at(c->body, n->name, n->loc);
    Node *m = graph_try(c->body, &proto, &why);
    if (!m) ICE("%s in a body (%s): %s", OPS[n->op].text, n->name ? n->name : "no name", why);
    return m;
}

static Node *capture(Cut *c, Node *n) {
    int first = c->l.carry.n + c->l.over.n;
    if (c->from != c->g) ICE("a body needs %%%d (%s), which is not bound", n->id, OPS[n->op].text);
    vec_push(c->g->arena, &c->l.use, ((Bind){n, n}));
    return make_arg(c, n, first + c->l.use.n - 1);
}

static void make_body(Cut *c) {
    for (int i = 0; i < c->from->nodes.n; i++) {
        Node *n = c->from->nodes.at[i];
        if (!c->needed[i]) continue;
        c->made[i] = n == c->l.step ? make_arg(c, n, ARG_STEP)
                   : c->bound[i] ? make_arg(c, n, c->bound[i] - 1)
                   : is_inner(c, n) ? copy_node(c, n) : capture(c, n);
    }
    for (int i = 0; i < c->l.next.n + c->l.stack.n; i++) {
        Node *n = i < c->l.next.n ? c->l.next.at[i] : c->l.stack.at[i - c->l.next.n];
        graph_output(c->body, OUT_VALUE, arena_printf(c->g->arena, "%d", i), c->made[n->id], NULL);
    }
    graph_at(c->body, NULL, (Loc){0});
}

static int bind_list(Cut *c, Bind *at, int n, int first) {
    for (int i = 0; i < n; i++) c->bound[at[i].inner->id] = 1 + first + i;
    return first + n;
}

static void bind_all(Cut *c) {
    int n = bind_list(c, c->l.carry.at, c->l.carry.n, 0);
    n = bind_list(c, c->l.over.at, c->l.over.n, n);
    bind_list(c, c->l.use.at, c->l.use.n, n);
}

/* Those of a list that something reads, as a list of its own. */
static int keep_needed(Cut *c, const Bind *from, int n, Bind **to) {
    int kept = 0;
    *to = ARENA_ARRAY(c->g->arena, Bind, n);
    for (int i = 0; i < n; i++)
        if (c->needed[from[i].inner->id]) (*to)[kept++] = from[i];
    return kept;
}

static void drop_unread(Cut *c, const ScanMake *l) {
    c->l.over.n = c->l.over.cap = keep_needed(c, l->over.at, l->over.n, &c->l.over.at);
    c->l.use.n = c->l.use.cap = keep_needed(c, l->use.at, l->use.n, &c->l.use.at);
    bind_all(c);
}

Node *loop_close(Graph *g, const Graph *from, const ScanMake *l) {
    Arena *scratch = arena_new();
    int    n = from->nodes.n;
    Cut    c = {.g = g, .body = graph_new(g->arena, "body"), .from = from, .l = *l, .scratch = scratch,
                .bound = ARENA_ARRAY(scratch, int, n), .depends = ARENA_ARRAY(scratch, bool, n),
                .needed = ARENA_ARRAY(scratch, bool, n), .made = ARENA_ARRAY(scratch, Node *, n)};
    if (l->next.n != l->carry.n) ICE("%d next values for %d carries", l->next.n, l->carry.n);
    for (int i = 1; i < g->bounds.n; i++) vec_push(g->arena, &c.body->bounds, g->bounds.at[i]);
    bind_all(&c);
    find_needed(&c);
    drop_unread(&c, l);
    make_body(&c);
    VEC(Node *) args = {0};
    for (int i = 0; i < c.l.carry.n; i++) vec_push(scratch, &args, c.l.carry.at[i].outer);
    for (int i = 0; i < c.l.over.n; i++) vec_push(scratch, &args, c.l.over.at[i].outer);
    for (int i = 0; i < c.l.use.n; i++) vec_push(scratch, &args, c.l.use.at[i].outer);
    Scan s = {.body = c.body,
              .ncarry = c.l.carry.n,
              .nover = c.l.over.n,
              .nuse = c.l.use.n,
              .trip = l->trip,
              .part = l->part,
              .reverse = l->reverse,
              .checkpoint = l->checkpoint,
              .var = l->var};
    Node *scan = graph_scan(g, &s, args.n, args.at);
    arena_free(scratch);
    return scan;
}
