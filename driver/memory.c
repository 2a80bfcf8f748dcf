#include "driver/memory.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/grad.h"

const char *bytes_text(Arena *a, double n) {
    return n < 10240 ? arena_printf(a, "%.0f B", n) : n < 10485760 ? arena_printf(a, "%.1f KiB", n / 1024)
                                                                  : arena_printf(a, "%.1f MiB", n / 1048576);
}

bool bytes_parse(const char *s, int64_t *bytes) {
    static const char UNITS[] = "KMGT";
    char  *end;
    double n = strtod(s, &end);
    const char *unit = *end ? strchr(UNITS, toupper((unsigned char)*end)) : NULL;
    if (end == s || !isdigit((unsigned char)*s) || (*end && (!unit || end[1])) || !(n >= 1)) return false;
    for (const char *u = UNITS; unit && u <= unit; u++) n *= 1024;
    if (!(n < ldexp(1, 62))) return false;
    *bytes = (int64_t)n;
    return true;
}

/* ---- --max-memory ------------------------------------------------------------------------------ */

static void say(Build *b, const Budget *m) {
    for (int i = 0; i < m->scans.n; i++)
        fprintf(stderr, "netc: checkpoint=%d for the scan of %s at %s:%d\n", m->scans.at[i].checkpoint,
                m->scans.at[i].var, m->scans.at[i].loc.src ? m->scans.at[i].loc.src->name : b->path,
                m->scans.at[i].loc.line);
    fprintf(stderr, "netc: a training step keeps %s of sequences instead of %s (--max-memory)\n",
            bytes_text(b->arena, (double)m->chosen), bytes_text(b->arena, (double)m->plain));
}

static const Node *first_scan(const Graph *g) {
    for (int i = 0; i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_SCAN) return g->nodes.at[i];
    return NULL;
}

static bool keep_within(Build *b, Graph *g) {
    int64_t budget = 0;
    if (!b->options->value[OPT_MEMORY] || !first_scan(g) || !bytes_parse(b->options->value[OPT_MEMORY], &budget))
        return true;
    Budget m = grad_budget(g, budget);
    if (m.fits && m.scans.n && !b->said_memory) say(b, &m);
    b->said_memory = true;
    if (m.fits) return true;
    return diag_error(
        b->diag, first_scan(g)->loc, E_LIMIT_MEMORY,
        "a training step keeps at least %s of sequences (%s without checkpoints), more than --max-memory %s",
        bytes_text(b->arena, (double)m.chosen), bytes_text(b->arena, (double)m.plain), b->options->value[OPT_MEMORY]);
}

/* ---- --print-stash ----------------------------------------------------------------------------- */

static const char *name_of(Arena *a, const Stash *s) {
    const char *name = s->name ? s->name : "";
    if (!s->loc.src) return name;
    return arena_printf(a, "%s %s:%d", name, s->loc.src->name, s->loc.line);
}

static void print_stash(Build *b, const Graph *g, const StashList *list) {
    static const char *const HOW[] = {[STASH_KEPT] = "kept", [STASH_GIVEN] = "given", [STASH_CAPTURED] = "captured",
                                      [STASH_AGAIN] = "again"};
    double      kept = 0;
    const Node *scan = NULL;
    for (int i = 0; i < list->n; i++) {
        const Stash *s = &list->at[i];
        if (s->scan != scan) {
            const Scan *c = &s->scan->u.scan;
            const char *file = s->scan->loc.src ? s->scan->loc.src->name : b->path;
            printf("scan of %s at %s:%d, %lld step%s%s\n", c->var ? c->var : "t", file, s->scan->loc.line,
                   (long long)c->trip.size, c->trip.size == 1 ? "" : "s",
                   c->checkpoint == 1 ? ", each computed again" : "");
            scan = s->scan;
        }
        bool whole = s->how == STASH_AGAIN;
        printf("  %-9s %-28s %-14s %10s  %s\n", HOW[s->how], name_of(b->arena, s),
               s->bytes ? type_text(g, &s->type, b->arena) : "", whole ? "" : bytes_text(b->arena, (double)s->bytes),
               s->why);
        if (s->how == STASH_KEPT) kept += (double)s->bytes;
    }
    if (list->n) printf("kept for the gradient: %s\n", bytes_text(b->arena, kept));
}

bool build_gradient(Build *b, Graph *g) {
    StashList list = {0};
    bool      wanted = b->options->value[OPT_STASH] && !b->said_stash;
    if (!keep_within(b, g)) return false;
    grad_params_noting(g, wanted ? &list : NULL);
    if (wanted) print_stash(b, g, &list);
    b->said_stash |= wanted;
    return true;
}

int print_sequence_memory(Build *b) {
    if (!b->model->objective.name || !b->model->objective.recurrent) return 0;
    Arena      *a = arena_new();
    Graph      *g = program_objective(b->program, true, b->batch, a);
    PassOptions po = build_pass_options(b);
    if (!g) {
        arena_free(a);
        return build_messages(b);
    }
    passes_prepare(g, &po);
    Budget m = grad_budget(graph_clone(a, g), 0);
    printf("\nsequences of a training step, batches of %lld, all of the longest length:\n  %s", (long long)b->batch,
           bytes_text(b->arena, (double)m.plain));
    for (int i = 0; i < m.scans.n; i++)
        printf("%s checkpoint=%d (%s, line %d)",
               i ? "," : arena_printf(b->arena, "; at least %s with", bytes_text(b->arena, (double)m.chosen)),
               m.scans.at[i].checkpoint, m.scans.at[i].var, m.scans.at[i].loc.line);
    putchar('\n');
    build_gradient(b, g);
    arena_free(a);
    return build_messages(b);
}
