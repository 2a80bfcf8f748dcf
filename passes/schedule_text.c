/* The schedule of a nest in words: see forced.h for the form. */
#include <string.h>

#include "base/str.h"
#include "passes/forced.h"

const char *kernel_name(Arena *a, const Kernels *k, const Nest *n) { return arena_printf(a, "%s_%s", k->name,
                                                                                         n->name); }

double kernel_predicted(const Kernels *k, const Nest *n) {
    const Target *t = &k->target;
    return n->cycles > 0 ? (double)n->flops / (n->cycles * 2 * t->width * t->fma_ports) : 0;
}

/* At 3 GHz: for people. */
double cycles_to_us(double cycles) { return cycles / 3e3; }

double kernel_predicted_us(const Nest *n) { return cycles_to_us(n->cycles); }

bool nest_packs(const Nest *n) {
    for (int i = 0; i < n->nstore; i++)
        if (!n->store[i].expr || n->store[i].expr->op != SC_READ) return false;
    return n->kind == NEST_LOOPS && !n->nstage;
}

/* The program's name; with a number where several variables of the nest have it. */
const char *nest_var_name(Arena *a, const Nest *n, int v) {
    int number = 1;
    for (int u = 0; u < v; u++) number += n->var[u].size > 1 && !strcmp(n->var[u].name, n->var[v].name);
    return number == 1 ? n->var[v].name : arena_printf(a, "%s.%d", n->var[v].name, number);
}

static void put_var(Buf *b, const Nest *n, int v, int64_t step, bool first) {
    buf_printf(b, "%s%s", first ? "" : ",", nest_var_name(b->arena, n, v));
    if (step < n->var[v].size) buf_printf(b, "/%lld", (long long)step);
}

static bool is_red(const Stage *s, int v) {
    for (int i = 0; i < s->nred; i++)
        if (s->red[i] == v) return true;
    return false;
}

static bool in_list(const int *list, int n, int v) {
    for (int i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

static void put_lanes(Buf *b, const Nest *n, const Stage *s) {
    int        nlane = s ? s->nlane : n->nlane;
    const int *lane = s ? s->lane : n->lane;
    for (int i = 0; i < nlane; i++) {
        int     v = lane[i];
        int64_t step = v < n->nout ? n->step[v] : is_red(s, v) ? s->step[v] : n->var[v].size;
        if (!i) buf_puts(b, ":lanes=");
        put_var(b, n, v, step, !i);
    }
    int width = s ? s->width : n->width;
    if (nlane && width > 1) buf_printf(b, ":width=%d", width);
    bool first = true;
    for (int v = 0; v < n->nout; v++) {
        if (n->step[v] < 2 || in_list(lane, nlane, v)) continue;
        if (first) buf_puts(b, ":tile=");
        put_var(b, n, v, n->step[v], first);
        first = false;
    }
}

/* Loops with one value are left out. */
static void put_loops(Buf *b, const Nest *n, const char *title, int nloop, const int *loop, const Stage *s) {
    bool first = true;
    for (int i = 0; i < nloop; i++) {
        if (n->var[loop[i]].size < 2) continue;
        if (first) buf_puts(b, title);
        int64_t step = s ? s->step[loop[i]] : 1;
        buf_printf(b, "%s%s", first ? "" : ",", nest_var_name(b->arena, n, loop[i]));
        if (step > 1) buf_printf(b, "/%lld", (long long)step);
        first = false;
    }
}

const char *kernel_schedule(Arena *a, const Kernels *k, const Nest *n) {
    if (n->kind == NEST_SCAN) return NULL;
    Buf          b = buf_new(a);
    const Stage *s = n->nstage ? &n->stage[nest_main_stage(n)] : NULL;
    buf_puts(&b, kernel_name(a, k, n));
    if (n->list.on) buf_puts(&b, ":list");
    if (n->kind == NEST_LOOPS && (n->list.on || !n->adds)) {
        put_lanes(&b, n, s);
        if (!n->list.on) put_loops(&b, n, ":order=", n->nloop, n->loop, NULL);
        if (!n->list.on && s) put_loops(&b, n, ":over=", s->nloop, s->loop, s);
        if (s && s->chains > 1) buf_printf(&b, ":chains=%d", s->chains);
        if (n->cut) buf_printf(&b, ":cut=%s/%lld", nest_var_name(a, n, n->cut_var), (long long)n->cut);
        if (n->cut_inside) buf_puts(&b, ":inside");
    }
    if (n->chained) buf_puts(&b, ":chained");
    buf_printf(&b, ":shared=%d", n->npar);
    return b.s;
}
