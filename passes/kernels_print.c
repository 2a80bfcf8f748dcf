/* --print-schedule: kernels in words. */
#include "base/str.h"
#include "passes/kernels_impl.h"

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
    const char *how = s->joined ? "with it " : s->goes_on ? "then " : "";
    fprintf(out, "    %s%s%s:", how, KIND_TEXT[s->kind], s->nguard ? " (guarded)" : "");
    fprintf(out, " width %d", s->width);
    print_list(n, "lanes", s->nlane, s->lane, n->step, out);
    print_list(n, "window", s->nwin, s->win, NULL, out);
    print_list(n, "over", s->nloop, s->loop, s->step, out);
    if (s->chains > 1) fprintf(out, " chains %d", s->chains);
    if (n->cut) fprintf(out, "; %s in turns of %lld", n->var[n->cut_var].name, (long long)n->cut);
    if (n->cut && n->cut_inside) fprintf(out, " inside of %s", n->var[n->loop[0]].name);
    fputc('\n', out);
}

static void print_store(const Kernels *k, const Node *n, FILE *out) {
    static const char *const SPACES[] = {"none", "arena", "weights", "opt",    "state",
                                         "in",   "out",   "scalar",  "const",  "step"};
    fprintf(out, "    -> %%%d %s", n->id, n->name ? n->name : "");
    if (n->loc.src) fprintf(out, " %s:%d", n->loc.src->name, n->loc.line);
    fprintf(out, " (%s %lld)\n", SPACES[k->place[n->id].space], (long long)k->place[n->id].offset);
}

static void print_loop(const Kernels *around, const Nest *n, FILE *out);

/* The nest that makes a node, if all it does is to lay numbers out in another way. */
static const Nest *packed_by(const Kernels *k, const Node *node) {
    for (int i = 0; i < k->nnest; i++)
        for (int s = 0; s < k->nest[i]->nstore; s++)
            if (k->nest[i]->store[s].node == node) return nest_packs(k->nest[i]) ? k->nest[i] : NULL;
    return NULL;
}

static const char *operand_name(const Node *n) {
    if (n->op == OP_PARAM) return n->u.param.key;
    if (n->op == OP_STATE) return n->u.state.key;
    if (n->op == OP_INPUT) return n->u.input.key;
    return n->op == OP_RNG ? "random numbers" : n->op == OP_CONST ? "a table" : n->name ? n->name : "a value";
}

/* The operands in memory, each once, and which nest packed them. */
static void print_reads(const Kernels *k, const Nest *n, FILE *out) {
    bool any = false;
    for (int i = 0; i < n->naccess; i++) {
        const Node *node = n->access[i].node;
        bool        seen = !node;
        for (int j = 0; j < i; j++) seen |= n->access[j].node == node;
        if (seen) continue;
        const Nest *pack = packed_by(k, node);
        fprintf(out, "%s %s", any ? "," : "    reads", operand_name(node));
        if (pack) fprintf(out, " packed by %s", pack->name);
        any = true;
    }
    if (any) fputc('\n', out);
}

static void print_loops(const Nest *n, FILE *out) {
    fputs("   ", out);
    print_list(n, "for", n->nloop, n->loop, n->step, out);
    if (n->npar) fprintf(out, " (the first %d shared out)", n->npar);
    if (n->nlane) print_list(n, "; stores in lanes", n->nlane, n->lane, n->step, out);
    if (n->width > 1) fprintf(out, " width %d", n->width);
    fputc('\n', out);
}

static void print_nest(const Kernels *k, const Nest *n, FILE *out) {
    if (n->kind == NEST_SCAN) {
        print_loop(k, n, out);
        return;
    }
    Arena  *a = arena_new();
    int64_t shares = 1;
    for (int i = 0; i < n->npar; i++) shares *= n->kind == NEST_SCATTER ? n->var[i].size : nest_trips(n, n->loop[i]);
    fprintf(out, "%s  %s: ", n->barrier ? "  ---\n" : "", kernel_name(a, k, n));
    for (int i = 0; i < n->nstage; i++) fprintf(out, "%s%s", i ? ", " : "", KIND_TEXT[n->stage[i].kind]);
    fprintf(out, "%s%s; %.3f Mflop, %.1f kB, ", n->nstage && *n->fused ? ", " : "", nest_packs(n) ? "pack" : n->fused,
            1e-6 * (double)n->flops, 1e-3 * (double)n->bytes);
    if (n->npar) fprintf(out, "%lld shares, ", (long long)shares);
    else fputs("thread 0, ", out);
    fprintf(out, "predicted %.1f us, %.1f %% of peak\n", kernel_predicted_us(n), 100 * kernel_predicted(k, n));
    fprintf(out, "    --schedule=%s\n", kernel_schedule(a, k, n));
    print_loops(n, out);
    for (int i = 0; i < n->nstage; i++) print_stage(n, &n->stage[i], out);
    print_reads(k, n, out);
    for (int i = 0; i < n->nstore; i++) print_store(k, n->store[i].node, out);
    arena_free(a);
}

static void print_loop(const Kernels *around, const Nest *n, FILE *out) {
    const ScanLoop *l = n->scan;
    const Kernels  *k = l->body;
    fprintf(out, "%s  %s_%s: %lld steps%s%s, %.3f Mflop\n", n->barrier ? "  ---\n" : "", around->name, n->name,
            (long long)l->trip.size,
            l->reverse ? " backwards" : "", l->serial ? ", thread 0" : "", 1e-6 * (double)n->flops);
    for (int i = 0; i < k->nnest; i++) {
        if (i == l->nfirst && l->nfirst) fprintf(out, "  every step:\n");
        if (i == k->nnest - l->nlast && l->nlast) fprintf(out, "  after the last step:\n");
        print_nest(k, k->nest[i], out);
    }
    fprintf(out, "  end of %s\n", n->name);
}

void kernels_print(const Kernels *k, FILE *out) {
    fprintf(out, "%s: %d nests, %.3f Mflop, arena %lld bytes, %s, predicted", k->name, k->nnest,
            1e-6 * (double)kernels_flops(k), (long long)k->arena_size, k->target.name);
    for (int threads = 1; threads <= 8; threads *= 2)
        fprintf(out, "%s %.1f us on %d thread%s", threads > 1 ? "," : "", cycles_to_us(kernels_cycles(k, threads)),
                threads, threads > 1 ? "s" : "");
    fputc('\n', out);
    for (int i = 0, c = 0; i < k->nnest; i++) {
        if (c < k->nchain && k->chain[c].first == i) {
            fprintf(out, "%s  the next %d nests in turns of %lld rows:\n", k->nest[i]->barrier ? "  ---\n" : "",
                    k->chain[c].count,
                    (long long)k->chain[c].rows);
            c++;
        }
        print_nest(k, k->nest[i], out);
    }
}
