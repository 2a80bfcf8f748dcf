/* graph and opt: the IR as a picture or as text, and passes on a graph in text form. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "driver/build.h"
#include "driver/commands.h"

/* The graph of one function as lowered (and differentiated), or after the passes named by --passes. */
int cmd_graph(Arena *a, const Options *o) {
    Build b;
    int   code = build_load(&b, a, o);
    if (!code) code = build_start(&b);
    if (code) return code;
    const char *name = o->value[OPT_FUNCTION] ? o->value[OPT_FUNCTION] : b.model->objective.name ? "eval" : NULL;
    for (int i = 0; name && i < b.model->nentry; i++)
        if (!strcmp(name, b.model->entry[i].name)) name = arena_printf(a, "entry.%s", name);
    Arena *ga = arena_new();
    Graph *g = name ? build_graph(&b, name, ga) : NULL;
    if (!g) {
        code = build_messages(&b);
        if (!code) fprintf(stderr, "netc: there is no function '%s': train, eval, grad, init or an entry's name\n", name ? name : "");
        code = code ? code : NETC_EXIT_USAGE;
    } else {
        PassOptions po = build_pass_options(&b);
        if (po.only || po.print_after || po.dot_after) passes_run(g, &po);
        if (!po.dot_after && !po.print_after) graph_dot(g, stdout);
    }
    arena_free(ga);
    build_free(&b);
    return code;
}

int cmd_opt(Arena *a, const Options *o) {
    if (!o->operands.n) {
        fputs("netc: opt needs a graph in text form (docs/ir.md): netc opt FILE.ir --passes=fold,cse\n", stderr);
        return NETC_EXIT_USAGE;
    }
    Source *src = ARENA_NEW(a, Source);
    src->path = src->name = o->operands.at[0];
    src->text = file_read(a, src->path, 64 << 20, &src->size);
    if (!src->text) {
        fprintf(stderr, "netc: cannot read %s: %s\n", src->path, strerror(errno));
        return NETC_EXIT_IO;
    }
    Build  b = {.arena = a, .options = o, .diag = diag_new(a), .level = 2};
    Graph *g = graph_parse(a, b.diag, src);
    if (!g) return build_messages(&b);
    const char *why;
    if (!graph_verify(g, &why)) {
        fprintf(stderr, "%s: error: %s\n", src->name, why);
        return NETC_EXIT_MODEL;
    }
    PassOptions po = build_pass_options(&b);
    passes_run(g, &po);
    if (!po.print_after && !po.dot_after) graph_print(g, stdout);
    return 0;
}
