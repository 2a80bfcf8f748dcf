/* Removes what no output needs. Leaves the nodes numbered in topological order. */
#include "passes/pass.h"

bool pass_dce(Graph *g, PassCx *cx) {
    (void)cx;
    int before = g->nodes.n;
    graph_sweep(g);
    return g->nodes.n != before;
}
