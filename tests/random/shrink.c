/* Smaller graphs that fail as well: outputs go, values become leaves or operands, expressions become parts of
 * themselves. Every step that keeps the failure is kept, until none does. */
#include <string.h>
#include <time.h>

#include "tests/random/campaign.h"

enum { MINUTE = 60 };

static Graph *parse(Arena *a, const char *text) {
    Source *src = ARENA_NEW(a, Source);
    *src = (Source){"shrink.ir", "shrink.ir", arena_strdup(a, text), strlen(text), false};
    return graph_parse(a, diag_new(a), src);
}

/* A change of a graph by number; false when there is none of this number (*end) or it does not apply. */
typedef bool Change(Graph *g, int number, bool *end);

static bool drop_output(Graph *g, int k, bool *end) {
    *end = k >= g->outs.n;
    if (*end || g->outs.n == 1) return false;
    memmove(&g->outs.at[k], &g->outs.at[k + 1], sizeof *g->outs.at * (size_t)(g->outs.n - k - 1));
    g->outs.n--;
    return true;
}

static Node *leaf_like(Graph *g, const Node *n, int number) {
    bool rows = n->type.rank && n->type.dim[0].bound;
    for (int i = 1; i < n->type.rank; i++)
        if (n->type.dim[i].bound) return NULL;
    if (n->type.dtype != DT_F32) return NULL;
    const char *key = arena_printf(g->arena, "t%d", number);
    return rows ? graph_input(g, n->type, IN_DATA, key) : graph_param(g, n->type, key);
}

/* From the last value to the first: what is cut early cuts most. */
static bool cut_value(Graph *g, int k, bool *end) {
    *end = k >= g->nodes.n;
    Node *n = *end ? NULL : g->nodes.at[g->nodes.n - 1 - k];
    if (!n || n->op == OP_INPUT || n->op == OP_PARAM || n->op == OP_STATE || n->op == OP_CONST || n->op == OP_SCAN)
        return false;
    Node *leaf = leaf_like(g, n, n->id);
    if (!leaf) return false;
    graph_replace(g, n, leaf);
    graph_sort(g);
    return true;
}

/* The value of an operand of the same type instead. */
static bool skip_value(Graph *g, int k, bool *end) {
    *end = k >= g->nodes.n;
    Node *n = *end ? NULL : g->nodes.at[k];
    for (int i = 0; n && i < n->narg; i++)
        if (type_equal(&n->type, &n->arg[i]->type)) {
            graph_replace(g, n, n->arg[i]);
            return true;
        }
    return false;
}

typedef struct {
    int         left;
    DType       dtype;
    const Expr *whole, *found;
} Part;

static void count_part(const Expr *e, void *cx) {
    Part *p = cx;
    if (e != p->whole && e->dtype == p->dtype && p->left-- == 0) p->found = e;
}

/* Number k counts the parts of all expressions. */
static bool cut_expression(Graph *g, int k, bool *end) {
    for (int i = 0; i < g->nodes.n; i++) {
        Node *n = g->nodes.at[i];
        if (n->op != OP_COMP) continue;
        Comp *c = &n->u.comp;
        Part  p = {k, c->expr->dtype, c->expr, NULL};
        expr_walk(c->expr, count_part, &p);
        if (p.found) {
            Node *made = graph_comp(g, c->kind, c->nout, c->nred, c->nder, c->var, p.found, n->narg, n->arg);
            graph_replace(g, n, made);
            graph_sort(g);
            return true;
        }
        k = p.left;
    }
    *end = true;
    return false;
}

static bool fails(const Subject *s, const char *text) {
    Subject t = *s;
    t.source = FROM_TEXT;
    t.text = text;
    return !campaign_check(&t, true);
}

/* The text after a change, NULL if it does not apply or gives no graph. */
static char *changed(Arena *a, const char *text, Change *change, int k, bool *end) {
    const char *why;
    Graph *g = parse(a, text);
    if (!change(g, k, end)) return NULL;
    graph_sweep(g);
    char *now = graph_text(g, a);
    Graph *back = parse(a, now);
    return back && graph_verify(back, &why) ? now : NULL;
}

char *campaign_shrink(Arena *a, const Subject *s) {
    static Change *const CHANGES[] = {drop_output, cut_value, skip_value, cut_expression};
    time_t until = time(NULL) + MINUTE;
    char  *text = graph_text(campaign_graph(a, s), a);
    if (!fails(s, text)) return text;
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < sizeof CHANGES / sizeof *CHANGES; i++) {
            bool end = false;
            for (int k = 0; !end && time(NULL) < until; k++) {
                char *now = changed(a, text, CHANGES[i], k, &end);
                if (!now || strlen(now) >= strlen(text) || !fails(s, now)) continue;
                text = now;
                again = true;
                k--;
            }
        }
    }
    return text;
}
