#include "passes/kernels_impl.h"

#include <string.h>

static void plain_stage(const Nest *n, Stage *s) {
    s->width = 1;
    s->chains = 1;
    for (int i = 0; i < s->nred; i++) {
        s->loop[s->nloop++] = s->red[i];
        s->step[s->red[i]] = 1;
    }
    (void)n;
}

void nest_schedule(const Fuse *f, Nest *n) {
    (void)f;
    n->width = 1;
    for (int v = 0; v < n->nout; v++) {
        n->step[v] = 1;
        n->loop[n->nloop++] = v;
    }
    for (int i = 0; i < n->nstage; i++) plain_stage(n, &n->stage[i]);
    for (int i = 0; i < n->nstage; i++)
        for (int k = 0; k < n->stage[i].nwin; k++)
            for (int j = 0; j < n->nstage; j++)
                if (j != i) n->stage[j].step[n->stage[i].win[k]] = n->var[n->stage[i].win[k]].size;
    n->npar = n->kind == NEST_SCATTER ? n->nout : n->nout > 0;
}
