/* Removes what no output needs, the results of scans and the operands of bodies included. Leaves the nodes
 * numbered in topological order. */
#include "passes/pass.h"

/* Which results of a scan something reads, and the new number of each; -1: none. */
static int count_results(Graph *g, const Node *scan, int *number) {
    int n = scan_results(scan), kept = 0;
    for (int i = 0; i < n; i++) number[i] = i < scan->u.scan.ncarry ? 0 : -1;
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_RESULT && g->nodes.at[i]->arg[0] == scan)
            number[g->nodes.at[i]->u.result.index] = 0;
    for (int i = 0; i < n; i++)
        if (number[i] == 0) number[i] = kept++;
    return kept;
}

static bool drop_stacks(Graph *g, Node *scan, Arena *scratch) {
    Graph *body = scan->u.scan.body;
    int    n = scan_results(scan), *number = ARENA_ARRAY(scratch, int, n), kept = count_results(g, scan, number);
    if (kept == n) return false;
    for (int i = 0; i < n; i++)
        if (number[i] >= 0) body->outs.at[number[i]] = body->outs.at[i];
    body->outs.n = kept;
    for (int i = 0; i < kept; i++) body->outs.at[i].name = arena_printf(g->arena, "%d", i);
    for (int i = 0; i < g->nodes.n; i++) {
        Node *r = g->nodes.at[i];
        if (r->op == OP_RESULT && r->arg[0] == scan) r->u.result.index = number[r->u.result.index];
    }
    graph_sweep(body);
    return true;
}

/* Sequences and captured values that the body does not read. */
static bool drop_operands(Graph *g, Node *scan, Arena *scratch) {
    Scan  *s = &scan->u.scan;
    int   *number = ARENA_ARRAY(scratch, int, scan->narg), kept = 0, nover = 0;
    for (int k = 0; k < scan->narg; k++) number[k] = k < s->ncarry ? 0 : -1;
    for (int i = 0; i < s->body->nodes.n; i++) {
        const Node *a = s->body->nodes.at[i];
        if (a->op == OP_ARG && a->u.arg.index >= 0) number[a->u.arg.index] = 0;
    }
    Node **args = ARENA_ARRAY(g->arena, Node *, scan->narg);
    for (int k = 0; k < scan->narg; k++) {
        if (number[k] < 0) continue;
        nover += k >= s->ncarry && k < s->ncarry + s->nover;
        args[kept] = scan->arg[k];
        number[k] = kept++;
    }
    if (kept == scan->narg) return false;
    for (int i = 0; i < s->body->nodes.n; i++) {
        Node *a = s->body->nodes.at[i];
        if (a->op == OP_ARG && a->u.arg.index >= 0) a->u.arg.index = number[a->u.arg.index];
    }
    s->nover = nover;
    s->nuse = kept - s->ncarry - nover;
    scan->arg = args;
    scan->narg = kept;
    return true;
}

bool pass_dce(Graph *g, PassCx *cx) {
    int  before = g->nodes.n;
    bool changed = false;
    graph_sweep(g);
    for (int i = g->nodes.n - 1; i >= 0; i--) {
        if (i >= g->nodes.n || g->nodes.at[i]->op != OP_SCAN) continue;
        Node *scan = g->nodes.at[i];
        if (!drop_stacks(g, scan, cx->scratch) && !drop_operands(g, scan, cx->scratch)) continue;
        drop_operands(g, scan, cx->scratch);
        changed = true;
        graph_sweep(g);
        i = g->nodes.n;
    }
    return changed || g->nodes.n != before;
}
