/* graph and opt: the IR as a picture or as text, and passes on a graph in text form. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/build.h"
#include "driver/commands.h"

enum { MOST_STEPS = 200, STEPS = 3 };

/* --view and --steps: 0 steps is the cell, -1 no view at all. */
static bool view_options(const Options *o, int *steps) {
    const char *view = o->value[OPT_VIEW], *count = o->value[OPT_STEPS];
    *steps = !view ? -1 : strcmp(view, "unrolled") ? 0 : STEPS;
    if (view && strcmp(view, "cell") && strcmp(view, "unrolled")) {
        fprintf(stderr, "netc: --view is cell or unrolled, not '%s'\n", view);
        return false;
    }
    if (!count) return true;
    char *end;
    long  n = strtol(count, &end, 10);
    if (*steps <= 0) {
        fputs("netc: --steps goes with --view=unrolled\n", stderr);
        return false;
    }
    if (*end || n < 1 || n > MOST_STEPS) {
        fprintf(stderr, "netc: --steps is a whole number from 1 to %d, not '%s'\n", MOST_STEPS, count);
        return false;
    }
    *steps = (int)n;
    return true;
}

static bool is_svg(const char *path) {
    size_t n = strlen(path);
    return n > 4 && !strcmp(path + n - 4, ".svg");
}

static int put_picture(const Graph *g, int steps, const char *path) {
    char  *text = NULL;
    size_t size = 0;
    bool   svg = path && is_svg(path);
    if (svg && steps < 0) {
        fputs("netc: a picture (.svg) needs --view=cell or --view=unrolled; the graph of all nodes is text for "
              "graphviz\n",
              stderr);
        return NETC_EXIT_USAGE;
    }
    FILE *f = open_memstream(&text, &size);
    if (!f) return NETC_EXIT_IO;
    if (steps < 0) graph_dot(g, f);
    else graph_view(g, steps, svg, f);
    fclose(f);
    int code = 0;
    if (!path) {
        fwrite(text, 1, size, stdout);
    } else if (!file_write(path, text, size)) {
        fprintf(stderr, "netc: cannot write %s: %s\n", path, strerror(errno));
        code = NETC_EXIT_IO;
    }
    free(text);
    return code;
}

/* The graph of one function as lowered (and differentiated), or after the passes named by --passes. */
int cmd_graph(Arena *a, const Options *o) {
    Build b;
    int   steps;
    if (!view_options(o, &steps)) return NETC_EXIT_USAGE;
    int   code = build_load(&b, a, o);
    if (!code) code = build_start(&b);
    if (code) return code;
    const char *name = o->value[OPT_FUNCTION];
    if (!name && b.model->objective.name) name = "eval";
    name = build_function_name(&b, name ? name : "");
    if (!name) return NETC_EXIT_USAGE;
    Arena *ga = arena_new();
    Graph *g = build_graph(&b, name, ga);
    if (!g) {
        code = build_messages(&b);
        code = code ? code : NETC_EXIT_MODEL;
    } else {
        PassOptions po = build_pass_options(&b);
        if (po.only || po.print_after || po.dot_after) passes_run(g, &po);
        if (!po.dot_after && !po.print_after) code = put_picture(g, steps, o->value[OPT_OUTPUT]);
    }
    arena_free(ga);
    build_free(&b);
    return code;
}

int cmd_opt(Arena *a, const Options *o) {
    if (!o->operand) {
        fputs("netc: opt needs a graph in text form (docs/ir.md): netc opt FILE.ir --passes=fold,cse\n", stderr);
        return NETC_EXIT_USAGE;
    }
    Source *src = ARENA_NEW(a, Source);
    src->path = src->name = o->operand;
    src->text = file_read(a, src->path, 64 << 20, &src->size);
    if (!src->text) {
        fprintf(stderr, "netc: cannot read %s: %s\n", src->path, strerror(errno));
        return NETC_EXIT_IO;
    }
    Build  b = {.arena = a, .options = o, .diag = diag_new(a), .level = 2};
    if (!build_names_known(&b)) return NETC_EXIT_USAGE;
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
