#include "driver/build.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver/memory.h"
#include "passes/beam.h"
#include "runtime/pool.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The file's name as an identifier: "a_mnist.net" -> "a_mnist", "3layers.net" -> "net_3layers". */
static const char *identifier(Arena *a, const char *path) {
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t n = strcspn(base, ".");
    char  *s = arena_printf(a, "%s%.*s", isalpha((unsigned char)*base) ? "" : "net_", (int)n, base);
    for (char *p = s; *p; p++) *p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_';
    return s;
}

int build_messages(const Build *b) {
    Diag *d = b->diag;
    diag_print(d, stderr, isatty(STDERR_FILENO) && !getenv("NO_COLOR"));
    if (!d->errors) {
        d->list.n = 0;                               /* warnings are said once */
        return 0;
    }
    bool limits = true;
    for (int i = 0; i < d->list.n; i++)
        if (d->list.at[i].level == DIAG_ERROR && strncmp(diag_code(d->list.at[i].code), "E07", 3)) limits = false;
    return limits ? NETC_EXIT_LIMIT : NETC_EXIT_MODEL;
}

/* `run` and `grad` give a name=value that the program does not know to the runtime: it may be an argument. */
static void overrides(Build *b, FrontOptions *f, int n, const char *const *more) {
    const Options *o = b->options;
    b->setting = ARENA_ARRAY(b->arena, Override, o->settings.n + n + 1);
    for (int i = 0; i < o->settings.n + n; i++) {
        const char *s = i < o->settings.n ? o->settings.at[i] : more[i - o->settings.n], *eq = strchr(s, '=');
        b->setting[b->nsetting++] = (Override){arena_strndup(b->arena, s, (size_t)(eq - s)), eq + 1, false};
    }
    f->override = b->setting;
    f->noverride = b->nsetting;
    f->keep_unknown = o->command == CMD_run || o->command == CMD_grad;
}

int build_load(Build *b, Arena *a, const Options *o) { return build_load_with(b, a, o, 0, NULL); }

int build_load_with(Build *b, Arena *a, const Options *o, int n, const char *const *more) {
    memset(b, 0, sizeof *b);
    b->arena = a;
    b->options = o;
    b->diag = diag_new(a);
    b->t_start = now();
    if (!o->operand) {
        fputs("netc: a .net file is needed (netc help)\n", stderr);
        return NETC_EXIT_USAGE;
    }
    b->path = o->operand;
    b->stem = identifier(a, b->path);
    if (access(b->path, R_OK)) {
        fprintf(stderr, "netc: cannot read %s: %s\n", b->path, strerror(errno));
        return NETC_EXIT_IO;
    }
    FrontOptions f = {.data_dir = o->value[OPT_DATA], .vocab = build_vocab, .cx = b};
    overrides(b, &f, n, more);
    b->program = program_load(a, b->diag, b->path, &f);
    if (b->program) program_check(b->program);
    b->t_front = now() - b->t_start;
    int code = build_messages(b);
    if (code) return code;
    b->model = program_model(b->program);
    b->batch = program_batch(b->program);
    return 0;
}

/* The byte offset of a leaf in its block; a state that is new gets the next free place. */
static int64_t slot_offset(Build *b, Block *block, const Node *leaf) {
    bool        param = leaf->op == OP_PARAM;
    const char *key = param ? leaf->u.param.key : leaf->u.state.key;
    for (int i = 0; i < block->slots.n; i++)
        if (!strcmp(block->slots.at[i].key, key)) return block->slots.at[i].offset;
    if (param) ICE("parameter %s is not in the model", key);
    Slot s = {.key = arena_strdup(b->arena, key),
              .type = leaf->type,
              .offset = block->size,
              .init = leaf->u.state.init,
              .kind = leaf->u.state.kind};
    vec_push(b->arena, &block->slots, s);
    block->size += (type_count(&leaf->type) * 4 + 63) / 64 * 64;
    return s.offset;
}

/* Places for the states of the objective, so that every function, entries too, agrees on them. */
static void lay_out_states(Build *b) {
    if (!b->model->objective.name) return;
    Arena *a = arena_new();
    Graph *g = program_objective(b->program, true, b->batch, a);
    for (int i = 0; g && i < g->nodes.n; i++)
        if (g->nodes.at[i]->op == OP_STATE) slot_offset(b, &b->state, g->nodes.at[i]);
    arena_free(a);
}

/* Is every name of a comma-separated list among `names`? */
static bool all_known(Arena *a, const char *option, const char *list, const char *const *names, int n) {
    for (const char *s = list; s && *s; s += strcspn(s, ","), s += *s == ',') {
        const char *name = arena_strndup(a, s, strcspn(s, ","));
        int         i = 0;
        while (i < n && strcmp(names[i], name)) i++;
        if (i < n) continue;
        const char *near = str_nearest(name, names, n);
        fprintf(stderr, "netc: %s: there is no '%s'%s%s%s (netc help lists them)\n", option, name,
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return false;
    }
    return true;
}

bool build_names_known(const Build *b) {
    const Options    *o = b->options;
    VEC(const char *) names = {0};
    for (int i = 0; pass_name(i); i++) vec_push(b->arena, &names, pass_name(i));
    const int passes = names.n;
    vec_push(b->arena, &names, "all");
    bool ok = all_known(b->arena, "--passes", o->value[OPT_PASSES], names.at, passes) &&
              all_known(b->arena, "--dot-after", o->value[OPT_DOT_AFTER], names.at, passes) &&
              all_known(b->arena, "--print-after", o->value[OPT_PRINT_AFTER], names.at, passes + 1);
    names.n = passes;
    for (int i = 0; FUSIONS[i]; i++) vec_push(b->arena, &names, FUSIONS[i]);
    for (int i = 0; i < o->off.n && ok; i++) ok = all_known(b->arena, "--fno", o->off.at[i], names.at, names.n);
    return ok;
}

/* -O, --beam, --max-memory (memory.c reads its number), the target. False after a message. */
static bool read_options(Build *b) {
    const Options *o = b->options;
    const char    *level = o->value[OPT_LEVEL], *beams = o->value[OPT_BEAM], *memory = o->value[OPT_MEMORY];
    const char    *triple = o->value[OPT_TARGET], *cpu = o->value[OPT_MCPU], *why = NULL;
    char          *end = NULL;
    int64_t        bytes;
    b->level = level ? level[0] - '0' : 2;
    const long best = beams ? strtol(beams, &end, 10) : 0;
    if (level && (b->level < 0 || b->level > 3 || level[1]))
        fprintf(stderr, "netc: -O takes 0, 1, 2 or 3, not '%s'\n", level);
    else if (memory && !bytes_parse(memory, &bytes))
        fprintf(stderr, "netc: --max-memory takes a size as 512M or 2G, not '%s'\n", memory);
    else if (beams && (*end || best < 1 || best > MAX_BEAMS))
        fprintf(stderr, "netc: --beam is a whole number from 1 to %d, not '%s'\n", MAX_BEAMS, beams);
    else if (!target_select(&b->target, triple, cpu, &why))
        fprintf(stderr, "netc: %s%s%s%s%s: %s\n", triple ? "--target=" : "", triple ? triple : "",
                triple && cpu ? " " : "", cpu ? "-mcpu=" : "", cpu ? cpu : "", why);
    else return b->beams = (int)best, true;
    return false;
}

int build_start(Build *b) {
    const Options *o = b->options;
    if (!b->model) {
        fprintf(stderr, "netc: %s has no model\n", b->path);
        return NETC_EXIT_MODEL;
    }
    if (!build_names_known(b) || !read_options(b)) return NETC_EXIT_USAGE;
    for (int i = 0; i < b->model->nparam; i++) {
        const ParamInfo *p = &b->model->param[i];
        Slot s = {.key = p->key, .type = p->type, .offset = b->weights.size, .param = p};
        vec_push(b->arena, &b->weights.slots, s);
        b->weights.size += (type_count(&p->type) * 4 + 63) / 64 * 64;
    }
    b->forced = (ForcedSchedules){
        .n = o->schedules.n, .text = o->schedules.at, .met = ARENA_ARRAY(b->arena, bool, o->schedules.n + 1)};
    b->cg = codegen_new(b->arena, &b->target, b->level, b->stem);
    if (o->command != CMD_compile) codegen_for_memory(b->cg, netc_default_threads());
    lay_out_states(b);
    return 0;
}

/* Index of a run-time scalar in the order that build_describe writes. */
static int64_t scalar_index(Build *b, const char *key) {
    static const char *const LAST[] = {"step", "epoch", "batches", "progress"};
    int              n;
    const HyperInfo *h = program_hypers(b->program, &n);
    for (int i = 0; i < n; i++)
        if (!strncmp(key, "hyper.", 6) && !strcmp(key + 6, h[i].name)) return i;
    for (int i = 0; i < 4; i++)
        if (!strcmp(key, LAST[i])) return n + i;
    ICE("unknown scalar %s", key);
}

/* Where the leaves of a graph lie: the same for every function of the model. */
static Place leaf_place(void *cx, const Node *leaf) {
    Build *b = cx;
    if (leaf->op == OP_PARAM) return (Place){.space = SPACE_WEIGHTS, .offset = slot_offset(b, &b->weights, leaf)};
    if (leaf->op == OP_INPUT) return (Place){.space = SPACE_SCALAR, .offset = scalar_index(b, leaf->u.input.key)};
    bool opt = leaf->u.state.kind == STATE_OPT;
    return (Place){.space = opt ? SPACE_OPT : SPACE_STATE, .offset = slot_offset(b, opt ? &b->opt : &b->state, leaf)};
}

static const FuncInfo *function_info(const Build *b, const char *name, int *entry) {
    *entry = -1;
    if (!strcmp(name, "train") || !strcmp(name, "eval") || !strcmp(name, "grad")) return &b->model->objective;
    for (int i = 0; i < b->model->nentry && !strncmp(name, "entry.", 6); i++)
        if (!strcmp(name + 6, b->model->entry[i].name)) return *entry = i, &b->model->entry[i];
    return NULL;
}

const char *build_function_name(const Build *b, const char *name) {
    int entry;
    for (int i = 0; i < b->model->nentry; i++)
        if (!strcmp(name, b->model->entry[i].name)) return arena_printf(b->arena, "entry.%s", name);
    const FuncInfo *info = function_info(b, name, &entry);
    if (!strcmp(name, "init") || (info && (entry >= 0 || info->name))) return name;
    fprintf(stderr, "netc: there is no function '%s': train, eval, grad, init or an entry's name\n", name);
    return NULL;
}

/* --beam N in an entry: that of `run` must have what it needs, of several those are changed that do. */
static bool search_beams(Build *b, int entry, Graph *g) {
    bool        none;
    const char *why;
    if (b->beams < 1) return true;
    if (beam_search(g, b->beams, &none, &why)) return b->searched++, true;
    if (none && b->options->command != CMD_run) return true;
    return diag_error(b->diag, b->model->entry[entry].sequence, E_BEAM, "no beam search in the entry %s: %s",
                      b->model->entry[entry].name, why);
}

Graph *build_graph(Build *b, const char *name, Arena *a) {
    int    entry;
    Graph *g = NULL;
    function_info(b, name, &entry);
    if (!strcmp(name, "train") || !strcmp(name, "grad")) {
        g = program_objective(b->program, true, b->batch, a);
        if (!g) return NULL;
        PassOptions po = build_pass_options(b);
        passes_prepare(g, &po);
        if (!build_gradient(b, g)) return NULL;
        if (*name == 't' && !program_optimize(b->program, g)) return NULL;
    } else if (!strcmp(name, "eval")) {
        g = program_objective(b->program, false, b->batch, a);
    } else if (!strcmp(name, "init")) {
        g = program_init(b->program, a);
    } else if (entry >= 0) {
        g = program_entry(b->program, entry, b->batch, a);
        if (g && !search_beams(b, entry, g)) return NULL;
    } else if (!strncmp(name, "expand.", 7)) {
        g = program_expand(b->program, atoi(name + 7), b->batch, a);
    }
    if (g) g->name = arena_strdup(b->arena, name);
    return g;
}

PassOptions build_pass_options(const Build *b) {
    const Options *o = b->options;
    Buf off = buf_new(b->arena);
    for (int i = 0; i < o->off.n; i++) buf_printf(&off, "%s%s", i ? "," : "", o->off.at[i]);
    bool verify = o->value[OPT_VERIFY] != NULL;
#ifdef NETC_CHECKS
    verify = true;
#endif
    return (PassOptions){.level = b->level, .only = o->value[OPT_PASSES], .off = off.n ? off.s : NULL,
                         .print_after = o->value[OPT_PRINT_AFTER], .dot_after = o->value[OPT_DOT_AFTER],
                         .verify_each = verify, .time_report = o->value[OPT_TIME] != NULL, .out = stdout};
}

int build_kernels(Build *b, const char *name) {
    int    entry;
    double t0 = now();
    Graph *g = build_graph(b, name, arena_new());
    double t1 = now();
    if (!g) {
        int code = build_messages(b);
        return code ? code : NETC_EXIT_MODEL;
    }
    const FuncInfo *info = function_info(b, name, &entry);
    if (!strcmp(name, "train")) b->hash = build_hash(g);
    PassOptions po = build_pass_options(b);
    passes_run(g, &po);
    KernelOptions ko = {.level = b->level, .off = po.off, .place = leaf_place, .cx = b, .forced = &b->forced};
    if (b->options->command != CMD_compile) ko.threads = netc_default_threads();
    Function f = {.name = g->name, .info = info, .graph = g};
    f.kernels = kernels_build(b->arena, g, &b->target, &ko);
    if (b->forced.error) {
        fprintf(stderr, "netc: --schedule %s\n", b->forced.error);
        return NETC_EXIT_USAGE;
    }
    if (b->options->value[OPT_PRINT_SCHEDULE]) kernels_print(f.kernels, stdout);
    vec_push(b->arena, &b->functions, f);
    b->t_lower += t1 - t0;
    b->t_passes += now() - t1;
    return 0;
}

enum { NAMES_SHOWN = 60 };

static void kernel_names(const Build *b, const Kernels *k, Buf *names, int *count) {
    for (int i = 0; i < k->nnest; i++) {
        const Nest *n = k->nest[i];
        if (n->kind == NEST_SCAN) kernel_names(b, n->scan->body, names, count);
        else if ((*count)++ < NAMES_SHOWN) buf_printf(names, "%s%s", names->n ? " " : "", kernel_name(b->arena, k, n));
    }
}

int build_schedules(const Build *b) {
    int i = 0;
    while (i < b->forced.n && b->forced.met[i]) i++;
    if (i == b->forced.n) return 0;
    Buf names = buf_new(b->arena);
    int count = 0;
    for (int init = 0; init < 2; init++)                /* those of first weights are the least wanted */
        for (int f = 0; f < b->functions.n; f++)
            if ((strcmp(b->functions.at[f].name, "init") == 0) == init)
                kernel_names(b, b->functions.at[f].kernels, &names, &count);
    fprintf(stderr, "netc: --schedule: no kernel '%.*s'; there are: %s%s\n", (int)strcspn(b->forced.text[i], ":"),
            b->forced.text[i], names.n ? names.s : "none",
            count > NAMES_SHOWN ? " ... (--print-schedule shows all)" : "");
    return NETC_EXIT_USAGE;
}

/* Is running it once over before better code of it would be made? A kernel's code takes some milliseconds. */
static bool runs_briefly(const Kernels *k) {
    static const double BRIEF = 3e5;    /* cycles */
    double              cycles = 0;
    for (int i = 0; i < k->nnest; i++) cycles += k->nest[i]->cycles;
    return cycles < BRIEF * k->nnest;
}

int build_function(Build *b, const char *name) {
    codegen_send(b->cg);
    int code = build_kernels(b, name);
    if (code) return code;
    double t = now();
    const Kernels *k = b->functions.at[b->functions.n - 1].kernels;
    codegen_quick(b->cg, !strcmp(name, "init") && runs_briefly(k));
    codegen_function(b->cg, k);
    codegen_quick(b->cg, false);
    b->t_emit += now() - t;
    return 0;
}

int build_expands(Build *b) {
    for (int k = 0;; k++) {
        Arena *a = arena_new();
        Graph *g = program_expand(b->program, k, b->batch, a);
        arena_free(a);
        if (!g) return b->diag->errors ? build_messages(b) : 0;
        int code = build_function(b, arena_printf(b->arena, "expand.%d", k));
        if (code) return code;
    }
}

void build_later(Build *b) { codegen_later(b->cg); }

int build_broken(const char *why) {
    fprintf(stderr,
            "netc: internal error: %s\nThis is a bug in netc, not in your file: please report it with the file. With "
            "-O1 netc makes other code of it.\n",
            why);
    return NETC_EXIT_INTERNAL;
}

int build_join(Build *b) {
    const char *why = NULL;
    return codegen_join(b->cg, &why) ? 0 : build_broken(why);
}

/* netc_code: the machine code of a function of build_later, which is needed now. */
static netc_function *code_of(void *build, const char *name) {
    Build *b = build;
    if (build_join(b)) return NULL;
    return (netc_function *)(uintptr_t)codegen_function_address(b->cg, name);
}

netc_model *build_jit(Build *b) {
    const char *why = NULL;
    double      t0 = now();
    if (!codegen_jit(b->cg, &why)) {
        build_broken(why);
        return NULL;
    }
    netc_function_entry *table = ARENA_ARRAY(b->arena, netc_function_entry, b->functions.n + 1);
    for (int i = 0; i < b->functions.n; i++) {
        table[i].name = b->functions.at[i].name;
        table[i].fn = (netc_function *)(uintptr_t)codegen_function_address(b->cg, b->functions.at[i].name);
    }
    b->t_code = now() - t0;
    size_t size;
    char       *json = build_describe(b, &size);
    netc_model *m = netc_model_new(json, size, table);
    if (m) netc_model_later(m, code_of, b);
    return m;
}

int build_time_report(Build *b, FILE *out) {
    int code = b->functions.n ? build_join(b) : 0;
    if (code) return code;
    if (b->cg) codegen_time_report(b->cg, out);
    fprintf(out,
            "front end %6.1f ms\nlowering  %6.1f ms\npasses    %6.1f ms\nemission  %6.1f ms\nmachine code %3.1f ms\n",
            1e3 * b->t_front, 1e3 * b->t_lower, 1e3 * b->t_passes, 1e3 * b->t_emit, 1e3 * b->t_code);
    return 0;
}

void build_free(Build *b) {
    if (b->cg) codegen_free(b->cg);
    for (int i = 0; i < b->vocabs.n; i++) netc_vocab_free(&b->vocabs.at[i].symbols);
    for (int i = 0; i < b->functions.n; i++)
        if (b->functions.at[i].graph) arena_free(b->functions.at[i].graph->arena);
}
