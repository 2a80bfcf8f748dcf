/* kernels_build: the pipeline from a graph to kernels; and kernels_print. */
#include "base/str.h"
#include "passes/kernels_impl.h"

#include <string.h>

/* C-order strides for every node; the places of leaves. */
static void place_leaves(Fuse *f) {
    Kernels *k = f->k;
    for (int i = 0; i < f->g->nodes.n; i++) {
        Node   *n = f->g->nodes.at[i];
        Place   p = {.space = node_computed(n) ? SPACE_ARENA : SPACE_NONE};
        int64_t next = 1;
        if (n->op == OP_CONST) p.space = SPACE_CONST;
        if (n->op == OP_PARAM || n->op == OP_STATE || (n->op == OP_INPUT && n->u.input.kind == IN_SCALAR))
            p = f->o->place(f->o->cx, n);
        if (n->op == OP_INPUT && n->u.input.kind == IN_DATA) {
            p.space = SPACE_IN;
            p.offset = k->nin;
            k->in[k->nin++] = n;
        }
        for (int d = n->type.rank - 1; d >= 0; next *= n->type.dim[d].size, d--) p.stride[d] = next;
        k->place[n->id] = p;
    }
}

static bool read_by_view(const Fuse *f, const Node *n) {
    for (int i = 0; i < f->users[n->id].n; i++)
        if (f->users[n->id].at[i]->op != OP_COMP) return true;
    return false;
}

/* A tensor of the arena that a spread sum reads in rows, over and over: each row (the two innermost axes) begins at an
 * aligned address, so that no vector lies in two lines of the cache. */
static void align_rows(Fuse *f) {
    for (int i = 0; i < f->groups.n; i++) {
        Spread      s;
        const Node *n = f->groups.at[i]->space;
        if (!f->groups.at[i]->alone || !spread_find(n, &s)) continue;
        const Expr *e = n->u.comp.expr->arg[1];
        const Node *arg = e->op == SC_READ ? n->arg[e->operand] : NULL;
        if (!arg || arg->type.rank < 3 || !f->group[arg->id] || read_by_view(f, arg)) continue;
        Place  *p = &f->k->place[arg->id];
        int64_t width = f->t->width, next = 1;
        for (int d = arg->type.rank - 1; d >= 0; next *= arg->type.dim[d].size, d--) {
            if (d == arg->type.rank - 3) next = (next + width - 1) / width * width;
            p->stride[d] = next;
        }
    }
}

static void build_nests(Fuse *f) {
    Kernels *k = f->k;
    k->nest = ARENA_ARRAY(f->a, Nest *, f->groups.n);
    for (int i = 0; i < f->groups.n; i++) {
        Nest *n = nest_build(f, f->groups.at[i], i);
        nest_schedule(f, n);
        nest_count(n);
        k->nest[k->nnest++] = n;
    }
    for (int i = 0; i < f->g->nodes.n; i++) {
        const Node *n = f->g->nodes.at[i];
        if (f->group[n->id] && !f->stored[n->id]) k->place[n->id].space = SPACE_NONE;
    }
}

Kernels *kernels_build(Arena *a, Graph *g, const Target *t, const KernelOptions *o) {
    Kernels *k = ARENA_NEW(a, Kernels);
    *k = (Kernels){.name = g->name, .graph = g, .target = *t, .level = o->level};
    lower_ops(g);
    if (o->level >= 2 && fusion_on(o, "spread") && fusion_on(o, "listed")) spread_graph(g);
    if (o->level >= 2 && fusion_on(o, "pack")) pack_contractions(g);
    if (o->level >= 2 && fusion_on(o, "unpool")) unpool_graph(g);
    int  room = g->nodes.n + g->outs.n;          /* update.c adds at most a copy for every output */
    Fuse f = {.a = a, .g = g, .t = t, .o = o, .k = k, .group = ARENA_ARRAY(a, Group *, room),
              .stored = ARENA_ARRAY(a, bool, room), .users = ARENA_ARRAY(a, NodeList, room)};
    memcpy(f.users, graph_users(g, a), sizeof *f.users * (size_t)g->nodes.n);
    k->place = ARENA_ARRAY(a, Place, room);
    k->in = ARENA_ARRAY(a, Node *, g->nodes.n);
    k->out = ARENA_ARRAY(a, Output, g->outs.n);
    place_leaves(&f);
    fuse_groups(&f);
    settle_outputs(&f);
    group_sort(&f);
    group_stored(&f);
    align_rows(&f);
    build_nests(&f);
    if (o->level >= 2 && fusion_on(o, "chain")) chain_nests(&f);
    plan_memory(&f);
    return k;
}

int64_t kernels_flops(const Kernels *k) {
    int64_t n = 0;
    for (int i = 0; i < k->nnest; i++) n += k->nest[i]->flops;
    return n;
}

/* ---- printing ----------------------------------------------------------------------------------------- */

static void print_var(const Nest *n, int v, int64_t step, FILE *out) {
    fprintf(out, " %s<%lld", n->var[v].name, (long long)n->var[v].size);
    if (step > 1) fprintf(out, "/%lld", (long long)step);
}

static void print_list(const Nest *n, const char *title, int count, const int *var, const int64_t *step, FILE *out) {
    if (!count) return;
    fprintf(out, " %s", title);
    for (int i = 0; i < count; i++) print_var(n, var[i], step ? step[var[i]] : 1, out);
}

static void print_stage(const Nest *n, const Stage *s, FILE *out) {
    fprintf(out, "    %s%s%s:", s->joined ? "with it " : "", KIND_TEXT[s->kind], s->nguard ? " (guarded)" : "");
    fprintf(out, " width %d", s->width);
    print_list(n, "lanes", s->nlane, s->lane, n->step, out);
    print_list(n, "window", s->nwin, s->win, NULL, out);
    print_list(n, "over", s->nloop, s->loop, s->step, out);
    if (s->chains > 1) fprintf(out, " chains %d", s->chains);
    fputc('\n', out);
}

static void print_store(const Kernels *k, const Node *n, FILE *out) {
    static const char *const SPACES[] = {"none", "arena", "weights", "opt", "state", "in", "out", "scalar", "const"};
    fprintf(out, "    -> %%%d %s", n->id, n->name ? n->name : "");
    if (n->loc.src) fprintf(out, " %s:%d", n->loc.src->name, n->loc.line);
    fprintf(out, " (%s %lld)\n", SPACES[k->place[n->id].space], (long long)k->place[n->id].offset);
}

static void print_nest(const Kernels *k, const Nest *n, FILE *out) {
    int64_t shares = 1;
    for (int i = 0; i < n->npar; i++) shares *= n->kind == NEST_SCATTER ? n->var[i].size : nest_trips(n, n->loop[i]);
    fprintf(out, "%s  %s: ", n->barrier ? "  ---\n" : "", n->name);
    for (int i = 0; i < n->nstage; i++) fprintf(out, "%s%s", i ? ", " : "", KIND_TEXT[n->stage[i].kind]);
    fprintf(out, "%s%s; %.3f Mflop, %.1f kB, ", n->nstage && *n->fused ? ", " : "", n->fused, 1e-6 * (double)n->flops,
            1e-3 * (double)n->bytes);
    if (n->npar) fprintf(out, "%lld shares\n   ", (long long)shares);
    else fprintf(out, "thread 0\n   ");
    print_list(n, "for", n->nloop, n->loop, n->step, out);
    if (n->npar) fprintf(out, " (the first %d shared out)", n->npar);
    if (n->nlane) print_list(n, "; stores in lanes", n->nlane, n->lane, n->step, out);
    if (n->width > 1) fprintf(out, " width %d", n->width);
    fputc('\n', out);
    for (int i = 0; i < n->nstage; i++) print_stage(n, &n->stage[i], out);
    for (int i = 0; i < n->nstore; i++) print_store(k, n->store[i].node, out);
}

void kernels_print(const Kernels *k, FILE *out) {
    fprintf(out, "%s: %d nests, %.3f Mflop, arena %lld bytes, %s\n", k->name, k->nnest, 1e-6 * (double)kernels_flops(k),
            (long long)k->arena_size, k->target.name);
    for (int i = 0; i < k->nnest; i++) print_nest(k, k->nest[i], out);
}
