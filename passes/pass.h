/* Passes over graphs. One pass is one file with one public function
 *
 *     bool pass_NAME(Graph *g, PassCx *cx);      true if it changed the graph
 *
 * and one row in passes.def; row order is the pipeline. The runner alone makes the scratch arena,
 * verifies, prints and times, so a pass holds no such code; and it alone goes into the bodies of scans, from the
 * inside out: to a pass a body is a graph, and a scan is a node with operands.
 *
 * Adding a pass: write passes/NAME.c (its head comment says what it does, what it needs, what it leaves
 * true), add a row to passes.def, put IR files under tests/golden/NAME/. Nothing else changes.
 */
#ifndef NETC_PASSES_PASS_H
#define NETC_PASSES_PASS_H
#include "ir/ir.h"

typedef struct {
    Arena *scratch;                /* dies after the pass */
} PassCx;

typedef struct {
    int         level;             /* -O */
    const char *only;              /* --passes=a,b: these alone, in this order; NULL: the pipeline */
    const char *off;               /* --fno-NAME, comma-separated names; NULL: none */
    const char *print_after;       /* a name, "all", or NULL */
    const char *dot_after;         /* a name: the graph in graphviz form to stdout */
    bool        verify_each, time_report;
    FILE       *out;               /* where prints go */
} PassOptions;

#define PASS(name, level, help) bool pass_##name(Graph *g, PassCx *cx);
#include "passes/passes.def"
#undef PASS

/* cse.c: the same operation with the same attributes on the same operands. Leaves of one key are one node
 * from the start, and no two scans are the same. */
bool node_same(const Node *a, const Node *b);

void passes_run(Graph *g, const PassOptions *o);          /* ICE if verification fails */
/* For a graph that will be differentiated, before that: those passes from which a gradient gains. Only the
 * level, `off` and what concerns printing and checking count. */
void passes_prepare(Graph *g, const PassOptions *o);
void passes_list(FILE *out);                              /* for --help */
const char *pass_name(int i);                             /* in the order of the pipeline; NULL: past the last */

/* grad.c: differentiation. Adds nodes that compute d loss / d wrt[i] and returns them (zeros where the
 * loss does not depend on it). loss has rank 0. One rule for comp (docs/ir.md), one line per scalar. */
void grad_build(Graph *g, Node *loss, int n, Node *const *wrt, Node **grad);
/* Convenience: an output "grad.KEY" for every parameter of g, from its output "loss". passes/grad.h: what it keeps. */
void grad_params(Graph *g);

#endif
