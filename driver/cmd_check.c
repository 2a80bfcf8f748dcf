/* netc check: what a model is, before anything runs: layers with their shapes, parameters and work, the
 * functions it offers, and the memory that training and each entry take. */
#include <string.h>

#include "driver/build.h"
#include "driver/commands.h"
#include "driver/memory.h"
#include "runtime/data.h"
#include "driver/work.h"

static const char *shape_text(Arena *a, const Type *t) {
    Buf b = buf_new(a);
    int first = t->rank && t->dim[0].bound == 1;
    buf_puts(&b, "[");
    for (int i = first; i < t->rank; i++) buf_printf(&b, "%s%lld", i > first ? ", " : "", (long long)t->dim[i].size);
    buf_puts(&b, "]");
    return b.s;
}

/* How a layer's count comes about: "20 x (25 + 1)" for 20 filters of 25 weights and a bias each. */
static const char *count_text(Arena *a, const ModelInfo *m, int from, int to) {
    const Type *w = &m->param[from].type, *b = to - from == 2 ? &m->param[from + 1].type : NULL;
    if (w->rank < 2) return "";
    long long n = (long long)w->dim[0].size, each = (long long)type_count(w) / n;
    if (to - from == 1) return arena_printf(a, "%lld x %lld", n, each);
    if (b && b->rank == 1 && b->dim[0].size == n) return arena_printf(a, "%lld x (%lld + 1)", n, each);
    return "";
}

static void print_layers(const Build *b, const Graph *g) {
    const ModelInfo *m = b->model;
    int64_t          total = 0, macs = 0;
    printf("%-20s %-10s %-16s %-18s %12s %14s\n", "layer", "kind", "output", "", "parameters", "multiply-adds");
    for (int i = 0, j; i < m->nparam; i = j) {
        int64_t count = 0;
        for (j = i; j < m->nparam && !strcmp(m->param[j].layer, m->param[i].layer); j++)
            count += type_count(&m->param[j].type);
        Work w = g ? work_layer(g, m->param[i].layer) : (Work){0};
        printf("%-20s %-10s %-16s %-18s %12lld %14lld\n", m->param[i].layer, m->param[i].decl,
               g ? shape_text(b->arena, &w.shape) : "", count_text(b->arena, m, i, j), (long long)count,
               (long long)w.macs);
        total += count;
        macs += w.macs;
    }
    printf("%-20s %-10s %-16s %-18s %12lld %14lld\n\n", "in all", "", "", "", (long long)total, (long long)macs);
}

static void print_port(const PortInfo *p) {
    if (p->name && *p->name) printf("%s: ", p->name);
    fputs(p->dim ? p->dim : p->type.rank && p->type.dtype == DT_F32 ? "" : dtype_text(p->type.dtype), stdout);
    for (int i = 0; i < p->type.rank; i++) {
        fputs(i ? "," : "[", stdout);
        if (p->axis[i])
            fputs(p->axis[i], stdout);
        else
            printf("%lld", (long long)p->type.dim[i].size);
    }
    if (p->type.rank) fputs("]", stdout);
}

static void print_signature(const FuncInfo *f, const char *what) {
    printf("%s%s(", what, *what == 'e' ? f->name : "");
    for (int i = 0; i < f->nin; i++) {
        fputs(i ? ", " : "", stdout);
        print_port(&f->in[i]);
    }
    fputs(")", stdout);
    for (int i = 0; i < f->nout; i++) {
        fputs(i ? ", " : " -> ", stdout);
        PortInfo p = f->out[i];
        p.name = NULL;
        print_port(&p);
    }
    fputs("\n", stdout);
}

/* Bytes that the data take in memory once loaded (all splits; u8 stays u8) and the training examples; false
 * if the files are not there or not right, which `train` will say in full. */
static bool data_size(const Build *b, double *bytes, int64_t *examples) {
    Build       bare = *b;
    const char *slash = strrchr(b->path, '/'), *dir = b->options->value[OPT_DATA];
    size_t      size;
    netc_data   d;
    bare.functions.n = 0;                                    /* a description of the data, without code */
    const char *json = build_describe(&bare, &size);
    netc_messages_to(NULL);
    netc_model *m = netc_model_new(json, size, (const netc_function_entry[]){{NULL, NULL}});
    if (!dir) dir = slash ? arena_strndup(b->arena, b->path, (size_t)(slash - b->path) + 1) : ".";
    bool ok = m && !netc_data_load(m, dir, NULL, &d);
    netc_messages_to(stderr);
    *bytes = 0;
    for (const netc_source *s = ok ? d.sources : NULL; s; s = s->next)
        for (int i = 0; i < s->ncolumn; i++)
            *bytes += (double)s->rows * (double)s->column[i].port->count * netc_dtype_size(s->column[i].dtype);
    const netc_split *train = ok ? netc_data_split(&d, "train") : NULL;
    *examples = train ? train->count : 0;
    if (ok) netc_data_free(&d);
    netc_model_free(m);
    return ok;
}

/* What a trainer takes at its peak: the data, the blocks (a second copy of the kept weights, a third while a
 * checkpoint is written), scratch, the batch, the shuffled order, and the program itself. */
static void print_peak(const Build *b) {
    enum { PROGRAM = 4 << 20 };
    double  data, blocks = (double)(3 * b->weights.size + 2 * (b->opt.size + b->state.size)), scratch = 0, batch = 0;
    int64_t examples;
    Buf     unused = buf_new(b->arena);
    if (!program_train(b->program) || !program_data_json(b->program, &unused)) return;
    for (int i = 0; i < b->functions.n; i++) {
        const Kernels *k = b->functions.at[i].kernels;
        scratch += (double)k->arena_size;
        for (int n = 0; n < k->nin; n++)
            batch += (double)(type_count(&k->in[n]->type) * dtype_size(k->in[n]->type.dtype));
    }
    if (!data_size(b, &data, &examples)) {
        puts("  data                 not there (or not right: `netc train` says why); see --data");
        return;
    }
    printf("  data                 %s, %lld training examples\n", bytes_text(b->arena, data), (long long)examples);
    printf("  training             %s in all\n",
           bytes_text(b->arena, data + blocks + scratch + batch + 8.0 * (double)examples + PROGRAM));
}

/* Compiles everything down to the memory plan (no machine code) and prints the exact sizes. */
static int print_memory(Build *b) {
    static const char *const NAMES[] = {"train", "eval"};
    int code = 0;
    for (int i = 0; i < 2 && b->model->objective.name && !code; i++) {
        if (!i && !(program_train(b->program) && program_train(b->program)->has_optimizer)) continue;
        code = build_kernels(b, NAMES[i]);
    }
    for (int i = 0; i < b->model->nentry && !code; i++)
        code = build_kernels(b, arena_printf(b->arena, "entry.%s", b->model->entry[i].name));
    if (code) return code;
    printf("\nmemory for batches of %lld:\n  weights %s, optimizer %s, states %s\n", (long long)b->batch,
           bytes_text(b->arena, (double)b->weights.size), bytes_text(b->arena, (double)b->opt.size),
           bytes_text(b->arena, (double)b->state.size));
    for (int i = 0; i < b->functions.n; i++)
        printf("  %-20s scratch %s, %.3f MFLOP an example\n", b->functions.at[i].name,
               bytes_text(b->arena, (double)b->functions.at[i].kernels->arena_size),
               1e-6 * (double)kernels_flops(b->functions.at[i].kernels) / (double)b->batch);
    print_peak(b);
    return 0;
}

static void print_ast(Build *b) {
    Source *src = ARENA_NEW(b->arena, Source);
    src->name = src->path = b->path;
    src->text = file_read(b->arena, b->path, 1 << 24, &src->size);
    AstList *items = src->text ? ast_parse(b->arena, b->diag, src) : NULL;
    if (items) ast_print(items, stdout);
}

int cmd_check(Arena *a, const Options *o) {
    Build b;
    int   code = build_load(&b, a, o);
    if (code) return code;
    if (o->value[OPT_AST]) print_ast(&b);
    if (o->value[OPT_TYPES]) program_print(b.program, stdout);
    if (!b.model) {
        printf("%s: no model, no errors\n", b.path);
        return 0;
    }
    code = build_start(&b);
    if (code) return code;
    const ModelInfo *m = b.model;
    printf("%s: model %s\n\n", b.path, m->name);
    Graph *g = !m->objective.name ? NULL : program_objective(b.program, false, b.batch, arena_new());
    print_layers(&b, g);
    if (m->objective.name) print_signature(&m->objective, "objective");
    for (int i = 0; i < m->nentry; i++) print_signature(&m->entry[i], "entry ");
    code = print_sequence_memory(&b);
    if (!code) code = print_memory(&b);
    if (!code && o->value[OPT_TIME]) code = build_time_report(&b, stdout);
    if (g) arena_free(g->arena);
    build_free(&b);
    return code;
}
