/* netc compile: object file and header, stand-alone trainer, LLVM, assembly and IR text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/c_model.h"
#include "driver/commands.h"
#include "driver/link.h"

typedef enum { EMIT_OBJ, EMIT_HEADER, EMIT_TRAINER, EMIT_LLVM, EMIT_ASM, EMIT_IR, EMIT_COUNT } Emit;
static const struct { const char *name, *suffix; } KINDS[EMIT_COUNT] = {
    {"obj", ".o"}, {"header", ".h"}, {"trainer", ""}, {"llvm", ".ll"}, {"asm", ".s"}, {"ir", ".ir"},
};

/* "obj,header" as a set; false after a message. */
static bool parse_kinds(Arena *a, const char *list, bool want[EMIT_COUNT]) {
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ",");
        int    k = 0;
        while (k < EMIT_COUNT && (strlen(KINDS[k].name) != n || strncmp(s, KINDS[k].name, n))) k++;
        if (k == EMIT_COUNT) {
            const char *names[EMIT_COUNT];
            for (int i = 0; i < EMIT_COUNT; i++) names[i] = KINDS[i].name;
            const char *near = str_nearest(arena_strndup(a, s, n), names, EMIT_COUNT);
            fprintf(stderr, "netc: --emit knows obj, header, trainer, llvm, asm, ir, not '%.*s'%s%s%s\n", (int)n, s,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
            return false;
        }
        want[k] = true;
        s += n + (s[n] == ',');
    }
    for (int k = 0; k < EMIT_COUNT; k++) {
        if (!want[EMIT_TRAINER] || k == EMIT_TRAINER || !want[k]) continue;
        fprintf(stderr, "netc: --emit=trainer makes a program, %s is of a library part: ask for one of them\n",
                KINDS[k].name);
        return false;
    }
    return true;
}

/* The functions an artifact holds: a trainer has all, a library part the entries and the training step. */
static int build_all(Build *b, bool trainer) {
    const TrainInfo *t = program_train(b->program);
    bool trains = b->model->objective.name && t && t->has_optimizer;
    int  code = 0;
    if (trainer && !trains) {
        fprintf(stderr, "netc: a trainer needs an objective and a train block with an optimizer; %s lacks one\n",
                b->path);
        return NETC_EXIT_MODEL;
    }
    if (trains) code = build_function(b, "train");
    if (!code && trainer) code = build_function(b, "eval");
    if (!code && trainer) code = build_function(b, "grad");
    if (!code) code = build_function(b, "init");
    for (int i = 0; i < b->model->nentry && !code; i++)
        code = build_function(b, arena_printf(b->arena, "entry.%s", b->model->entry[i].name));
    if (!code && b->beams && !b->searched) {
        fprintf(stderr, "netc: --beam %d: no entry of %s feeds an argmax back in a scan with 'until'\n", b->beams,
                b->path);
        return NETC_EXIT_MODEL;
    }
    if (!code && trainer) code = build_expands(b);
    return code ? code : build_schedules(b);
}

static int failed(const char *path, const char *why) {
    fprintf(stderr, "netc: cannot write %s: %s\n", path, why);
    return NETC_EXIT_IO;
}

static int no_code(Build *b, const char *path, const char *why) {
    return codegen_broken(b->cg) ? build_broken(why) : failed(path, why);
}

static int write_ir(Build *b, const char *path) {
    char  *text = NULL;
    size_t size = 0;
    FILE  *f = open_memstream(&text, &size);
    if (!f) return failed(path, strerror(errno));
    for (int i = 0; i < b->functions.n; i++) graph_print(b->functions.at[i].graph, f);
    fclose(f);
    bool ok = file_write(path, text, size);
    free(text);
    return ok ? 0 : failed(path, strerror(errno));
}

/* The trainer: description, table of functions and code in one object, linked with the runtime. */
static int write_trainer(Build *b, const char *path) {
    const char *why, *object = arena_printf(b->arena, "%s.tmp%ld.o", path, (long)getpid());
    size_t      size;
    Target host;
    target_host(&host);
    if (b->target.arch != host.arch) {
        fputs("netc: a trainer is linked for this machine's architecture only; --emit=obj,header works for every "
              "target\n",
              stderr);
        return NETC_EXIT_USAGE;
    }
    char *json = build_describe(b, &size);
    codegen_blob(b->cg, "netc_model_description", json, size);
    codegen_function_table(b->cg, "netc_model_functions");
    if (!codegen_object(b->cg, object, &why)) return no_code(b, path, why);
    int code = link_trainer(b->arena, object, path);
    unlink(object);
    return code;
}

/* What may fail comes first: a header without its code is of no use. */
static int write_outputs(Build *b, const bool want[EMIT_COUNT], const char *base) {
    const char *path[EMIT_COUNT], *why = NULL, *name = b->options->value[OPT_NAME];
    for (int k = 0; k < EMIT_COUNT; k++) path[k] = arena_printf(b->arena, "%s%s", base, KINDS[k].suffix);
    if (want[EMIT_TRAINER]) return write_trainer(b, path[EMIT_TRAINER]);
    CModel m = {0};
    c_model_of(b, name ? name : b->stem, &m);
    if (!c_model_check(b->arena, &m, &why)) {
        fprintf(stderr, "netc: %s\n", why);
        return NETC_EXIT_USAGE;
    }
    codegen_c_interface(b->cg, &m);
    if (want[EMIT_IR] && write_ir(b, path[EMIT_IR])) return NETC_EXIT_IO;
    if (want[EMIT_LLVM]) {
        char *text = codegen_llvm_text(b->cg, b->arena);
        if (!file_write(path[EMIT_LLVM], text, strlen(text))) return failed(path[EMIT_LLVM], strerror(errno));
    }
    if (want[EMIT_ASM] && !codegen_asm(b->cg, path[EMIT_ASM], &why)) return no_code(b, path[EMIT_ASM], why);
    if (want[EMIT_OBJ] && !codegen_object(b->cg, path[EMIT_OBJ], &why)) return no_code(b, path[EMIT_OBJ], why);
    if (want[EMIT_HEADER]) {
        char *text = c_header(b->arena, &m);
        if (!file_write(path[EMIT_HEADER], text, strlen(text))) return failed(path[EMIT_HEADER], strerror(errno));
    }
    return 0;
}

/* --function NAME --emit=ir: the graph of this function, whether an artifact holds it or not. */
static int write_function(Build *b, const bool want[EMIT_COUNT]) {
    for (int k = 0; k < EMIT_COUNT; k++)
        if (want[k] != (k == EMIT_IR)) {
            fputs("netc: --function NAME goes with --emit=ir alone\n", stderr);
            return NETC_EXIT_USAGE;
        }
    const char *name = build_function_name(b, b->options->value[OPT_FUNCTION]);
    if (!name) return NETC_EXIT_USAGE;
    const char *base = b->options->value[OPT_OUTPUT] ? b->options->value[OPT_OUTPUT] : b->stem;
    int         code = build_kernels(b, name);
    return code ? code : write_ir(b, arena_printf(b->arena, "%s%s", base, KINDS[EMIT_IR].suffix));
}

static int write_artifacts(Build *b, const bool want[EMIT_COUNT]) {
    const char *base = b->options->value[OPT_OUTPUT];
    int         code = build_all(b, want[EMIT_TRAINER]);
    if (!base) base = want[EMIT_TRAINER] ? arena_printf(b->arena, "%s-train", b->stem) : b->stem;
    return code ? code : write_outputs(b, want, base);
}

int cmd_compile(Arena *a, const Options *o) {
    Build b;
    bool  want[EMIT_COUNT] = {0};
    if (!parse_kinds(a, o->value[OPT_EMIT] ? o->value[OPT_EMIT] : "obj,header", want)) return NETC_EXIT_USAGE;
    int code = build_load(&b, a, o);
    if (!code) code = build_start(&b);
    if (!code) code = o->value[OPT_FUNCTION] ? write_function(&b, want) : write_artifacts(&b, want);
    if (!code && o->value[OPT_TIME]) code = build_time_report(&b, stderr);
    build_free(&b);
    return code;
}
