/* What the C interface (codegen/c_api.h) needs to know of a built model. */
#include <string.h>

#include "codegen/c_api.h"
#include "driver/build.h"
#include "driver/c_model.h"

static CTensor *tensors(Arena *a, const Block *b) {
    CTensor *t = ARENA_ARRAY(a, CTensor, b->slots.n + 1);
    for (int i = 0; i < b->slots.n; i++) {
        const Slot *s = &b->slots.at[i];
        t[i] = (CTensor){.key = s->key, .rank = s->type.rank, .offset = s->offset, .first = s->init,
                         .in_file = !s->param && s->kind == STATE_SHARED};
        for (int k = 0; k < s->type.rank; k++) t[i].dim[k] = s->type.dim[k].size;
    }
    return t;
}

/* The largest length of the ragged dim that a port called so is the lengths of; 0: it is something else. */
static int64_t longest(const Function *f, const char *name) {
    for (int i = 2; f->info && i < f->kernels->graph->bounds.n; i++)
        if (!strcmp(build_bound_dim(f->kernels->graph, i), name)) return f->kernels->graph->bounds.at[i].size;
    return 0;
}

static void find_bounds(const Function *f, CFunction *c) {
    c->nbound = f->kernels->graph->bounds.n;
    for (int i = 2; i < c->nbound; i++) {
        c->bound_in[i] = -1;
        c->bound_size[i] = f->kernels->graph->bounds.at[i].size;
        for (int k = 0; k < c->nin; k++)
            if (c->in[k].longest && !strcmp(c->in[k].name, build_bound_dim(f->kernels->graph, i))) c->bound_in[i] = k;
    }
}

static CPort port(const Function *f, const char *name, const Type *t, const PortInfo *info) {
    bool  rows = t->rank && t->dim[0].bound == 1;
    CPort p = {.name = name, .dtype = t->dtype, .rank = t->rank - rows, .rows = rows,
               .range = info && info->dim ? info->dim_size : 0};
    for (int k = 0; k < p.rank; k++) {
        p.dim[k] = t->dim[k + rows].size;
        p.axis[k] = build_ragged_axis(f, t, info, k + rows, rows);
    }
    if (rows && !p.rank && t->dtype == DT_I32) p.longest = longest(f, name);
    return p;
}

static const PortInfo *find_port(const PortInfo *p, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(p[i].name, name)) return &p[i];
    return NULL;
}

static CPort argument(const Function *f, const Node *leaf) {
    const char *name = leaf->u.input.key;
    return port(f, name, &leaf->type, f->info ? find_port(f->info->in, f->info->nin, name) : NULL);
}

static CPort result(const Function *f, const char *name, const Type *t) {
    CPort p = port(f, name, t, f->info ? find_port(f->info->out, f->info->nout, name) : NULL);
    p.range = p.longest = 0;
    p.found = build_finds(f->info, name);
    return p;
}

static bool has(const Graph *g, OpId op) {
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == op) return true;
    return false;
}

static CFunction function(Arena *a, const Function *f) {
    const Kernels *k = f->kernels;
    bool      entry = !strncmp(f->name, "entry.", 6);
    CFunction c = {.kind = entry ? C_ENTRY : !strcmp(f->name, "train") ? C_TRAIN : C_INIT,
                   .name = entry ? f->name + 6 : f->name, .function = f->name, .nin = k->nin, .nout = k->nout,
                   .in = ARENA_ARRAY(a, CPort, k->nin + 1), .out = ARENA_ARRAY(a, CPort, k->nout + 1),
                   .arena = k->arena_size, .random = entry && has(f->graph, OP_RNG), .state = has(k->graph, OP_STATE)};
    for (int i = 0; i < k->nin; i++) c.in[i] = argument(f, k->in[i]);
    for (int i = 0; i < k->nout; i++) c.out[i] = result(f, k->out[i].name, &k->out[i].value->type);
    find_bounds(f, &c);
    return c;
}

/* Orthogonal parameters are finished by the runtime, so init alone would not give the model's first weights. */
static bool has_orthogonal(const Block *weights) {
    for (int i = 0; i < weights->slots.n; i++)
        if (!strcmp(weights->slots.at[i].param->init.name, "orthogonal")) return true;
    return false;
}

/* Of the vocab dims whose symbols are known. */
static void vocabularies(const Build *b, CModel *m) {
    int            n;
    const DimInfo *d = program_dims(b->program, &n);
    m->vocab = ARENA_ARRAY(b->arena, CVocab, n + 1);
    for (int i = 0; i < n; i++) {
        const netc_vocab *v = build_symbols(b, d[i].name);
        if (v) m->vocab[m->nvocab++] = (CVocab){d[i].name, v->count, (const char *const *)v->symbol};
    }
}

void c_model_of(const Build *b, const char *name, CModel *m) {
    Arena           *a = b->arena;
    const HyperInfo *h = program_hypers(b->program, &m->nhyper);
    const char      *slash = strrchr(b->path, '/');
    m->name = name;
    m->source = slash ? slash + 1 : b->path;
    m->version = NETC_VERSION;
    m->target = b->target;
    m->batch = b->batch;
    m->hyper = ARENA_ARRAY(a, CHyper, m->nhyper + 1);
    for (int i = 0; i < m->nhyper; i++) m->hyper[i] = (CHyper){h[i].name, h[i].value};
    m->param = tensors(a, &b->weights);
    m->state = tensors(a, &b->state);
    m->opt = tensors(a, &b->opt);
    m->nparam = b->weights.slots.n;
    m->nstate = b->state.slots.n;
    m->nopt = b->opt.slots.n;
    m->weights_size = b->weights.size;
    m->state_size = b->state.size;
    m->opt_size = b->opt.size;
    vocabularies(b, m);
    m->function = ARENA_ARRAY(a, CFunction, b->functions.n + 1);
    for (int i = 0; i < b->functions.n; i++) {
        CFunction f = function(a, &b->functions.at[i]);
        if (f.kind != C_INIT || !has_orthogonal(&b->weights)) m->function[m->nfunction++] = f;
    }
}
