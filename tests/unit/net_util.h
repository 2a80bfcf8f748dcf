/* The training step of a .net text as a graph, for tests. */
#ifndef NETC_TESTS_NET_UTIL_H
#define NETC_TESTS_NET_UTIL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "frontend/frontend.h"
#include "passes/pass.h"

/* Differentiated, with the optimizer's updates; before the passes that passes_run runs. */
static inline Graph *net_training_step(Arena *a, const char *name, const char *text) {
    Diag        *d = diag_new(a);
    FrontOptions f = {0};
    Program     *p = program_load_text(a, d, name, text, &f);
    bool         ok = p && program_check(p);
    diag_print(d, stderr, false);
    if (!ok) fail_msg("%s does not compile", name);
    Graph *g = program_objective(p, true, program_train(p)->batch, a);
    passes_prepare(g, &(PassOptions){.level = 2, .out = stderr});
    grad_params(g);
    if (!program_optimize(p, g)) fail_msg("%s has no optimizer", name);
    g->name = name;
    return g;
}

#endif
