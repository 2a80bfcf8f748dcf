/* The description of a compiled model: the JSON that the runtime reads (its form: runtime/netc_rt.h). */
#include <stdlib.h>
#include <string.h>

#include "driver/build.h"

static void shape(Buf *j, const Type *t, int skip) {
    buf_puts(j, "[");
    for (int i = skip; i < t->rank; i++) buf_printf(j, "%s%lld", i > skip ? "," : "", (long long)t->dim[i].size);
    buf_puts(j, "]");
}

static void numbers(Buf *j, const double *v, int n) {
    buf_puts(j, "[");
    for (int i = 0; i < n; i++) {
        if (i) buf_puts(j, ",");
        buf_number(j, v[i]);
    }
    buf_puts(j, "]");
}

/* "vocab": how it is declared, and its symbols if they are known. */
static void vocab(Buf *j, const Build *b, const DimInfo *d) {
    const netc_vocab *v = build_symbols(b, d->name);
    buf_puts(j, ",\"vocab\":{\"file\":");
    buf_json(j, d->vocab_file);
    buf_printf(j, ",\"by\":\"%s\",\"col\":%d,\"min\":%lld,\"eos\":%s", d->vocab_by, d->vocab_col,
               (long long)d->vocab_min, d->vocab_eos ? "true" : "false");
    for (int64_t i = 0; v && i < v->plain; i++) {
        buf_puts(j, i ? "," : ",\"symbols\":[");
        buf_json(j, v->symbol[i]);
    }
    buf_puts(j, v ? "]}" : "}");
}

static void dims(Buf *j, const Build *b) {
    int            n;
    const DimInfo *d = program_dims(b->program, &n);
    buf_puts(j, "\"dims\":[");
    for (int i = 0; i < n; i++) {
        buf_printf(j, "%s{\"name\":\"%s\",\"size\":%lld", i ? "," : "", d[i].name, (long long)d[i].size);
        if (d[i].ragged) buf_puts(j, ",\"ragged\":true");
        if (d[i].vocab) vocab(j, b, &d[i]);
        if (d[i].bytes) buf_puts(j, ",\"bytes\":true");
        if (d[i].ngrid) {
            buf_puts(j, ",\"grid\":");
            numbers(j, d[i].grid, d[i].ngrid);
        }
        buf_puts(j, "}");
    }
    buf_puts(j, "],\n");
}

static void hypers(Buf *j, const Program *p) {
    int              n;
    const HyperInfo *h = program_hypers(p, &n);
    buf_puts(j, "\"hypers\":[");
    for (int i = 0; i < n; i++) {
        buf_printf(j, "%s{\"name\":\"%s\",\"value\":", i ? "," : "", h[i].name);
        buf_number(j, h[i].value);
        if (h[i].ngrid) {
            buf_puts(j, ",\"grid\":");
            numbers(j, h[i].grid, h[i].ngrid);
        }
        buf_puts(j, "}");
    }
    buf_puts(j, "],\n\"scalars\":[");
    for (int i = 0; i < n; i++) buf_printf(j, "\"hyper.%s\",", h[i].name);
    buf_puts(j, "\"step\",\"epoch\",\"batches\",\"progress\"],\n");
}

static void block(Buf *j, const char *name, const Block *b) {
    buf_printf(j, "\"%s\":[", name);
    for (int i = 0; i < b->slots.n; i++) {
        const Slot *s = &b->slots.at[i];
        buf_printf(j, "%s\n  {\"key\":\"%s\",\"shape\":", i ? "," : "", s->key);
        shape(j, &s->type, !s->param && s->kind == STATE_LANE);
        buf_printf(j, ",\"offset\":%lld", (long long)s->offset);
        if (s->param) {
            buf_printf(j, ",\"init\":\"%s\",\"orthogonal\":%s}", s->param->init.name,
                       strcmp(s->param->init.name, "orthogonal") ? "false" : "true");
            continue;
        }
        buf_printf(j, ",\"lane\":%s,\"init\":", s->kind == STATE_LANE ? "true" : "false");
        buf_number(j, s->init);
        buf_puts(j, "}");
    }
    buf_puts(j, "],\n");
}

static bool listed(const char *name, const char *const *list, int n) {
    for (int i = 0; name && i < n; i++)
        if (!strcmp(list[i], name)) return true;
    return false;
}

const char *build_bound_dim(const Graph *g, int bound) {
    const char *name = g->bounds.at[bound].name;
    return strcmp(name, "n_") ? name : "n";
}

/* The one whose bound it has, or one whose lengths the function finds. */
const char *build_ragged_axis(const Function *f, const Type *t, const PortInfo *info, int i, int skip) {
    if (t->dim[i].bound > 1) return build_bound_dim(f->kernels->graph, t->dim[i].bound);
    const char *name = info ? info->axis[i - skip] : NULL;
    return build_finds(f->info, name) ? name : NULL;
}

bool build_finds(const FuncInfo *f, const char *dim) { return f && listed(dim, f->found, f->nfound); }

/* The ragged dim of each axis from `skip` on, if one has any. */
static void axes(Buf *j, const Function *f, const Type *t, const PortInfo *info, int skip) {
    bool ragged = false;
    for (int i = skip; i < t->rank; i++) ragged |= build_ragged_axis(f, t, info, i, skip) != NULL;
    if (!ragged) return;
    for (int i = skip; i < t->rank; i++) {
        const char *name = build_ragged_axis(f, t, info, i, skip);
        buf_puts(j, i > skip ? "," : ",\"axes\":[");
        if (name) buf_json(j, name);
        else buf_puts(j, "null");
    }
    buf_puts(j, "]");
}

/* One argument or result: `t` has the row axis iff it is bounded by the rows of the call. */
static void port(Buf *j, const Function *f, const char *name, const Type *t, const PortInfo *info, bool lengths) {
    static const char *const TEXT[] = {"f32", "i32", "u8", "pred"};
    bool rows = t->rank && t->dim[0].bound == 1;
    buf_puts(j, "{\"name\":");
    buf_json(j, name);
    buf_printf(j, ",\"dtype\":\"%s\",\"shape\":", TEXT[t->dtype]);
    shape(j, t, rows);
    if (!rows) buf_puts(j, ",\"rows\":false");
    axes(j, f, t, info, rows);
    if (lengths) buf_puts(j, ",\"lengths\":true");
    if (info && info->dim)
        buf_printf(j, ",\"dim\":\"%s\",\"size\":%lld", info->dim, (long long)info->dim_size);
    if (info && info->has_default) {
        buf_puts(j, ",\"default\":");
        buf_number(j, info->value);
    }
    buf_puts(j, "}");
}

static const PortInfo *find_port(const PortInfo *p, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(p[i].name, name)) return &p[i];
    return NULL;
}

static void function(Buf *j, const Function *f) {
    const FuncInfo *info = f->info;
    const Kernels  *k = f->kernels;
    const Graph    *g = k->graph;
    buf_printf(j, "  {\"name\":\"%s\",\"arena\":%lld,\"flops\":%lld,\"bounds\":[", f->name, (long long)k->arena_size,
               (long long)kernels_flops(k));
    for (int i = 1; i < g->bounds.n; i++) {
        buf_puts(j, i > 1 ? "," : "");
        buf_json(j, build_bound_dim(g, i));
    }
    buf_puts(j, "],\n   \"in\":[");
    for (int i = 0; i < k->nin; i++) {
        const char *name = k->in[i]->u.input.key;
        buf_puts(j, i ? "," : "");
        port(j, f, name, &k->in[i]->type, info ? find_port(info->in, info->nin, name) : NULL,
             info && listed(name, info->length, info->nlength));
    }
    buf_puts(j, "],\n   \"out\":[");
    for (int i = 0; i < k->nout; i++) {
        const char *name = k->out[i].name;
        buf_puts(j, i ? "," : "");
        port(j, f, name, &k->out[i].value->type, info ? find_port(info->out, info->nout, name) : NULL,
             build_finds(info, name));
    }
    buf_puts(j, "]}");
}

static void train(Buf *j, const TrainInfo *t) {
    buf_printf(j, "\"train\":{\"seed\":%lld,\"batch\":%lld,\"epochs\":%lld,\"patience\":%lld,\"ensemble\":%lld",
               (long long)t->seed, (long long)t->batch, (long long)t->epochs, (long long)t->patience,
               (long long)t->ensemble);
    if (t->keep.key) buf_printf(j, ",\"keep\":{\"key\":\"%s\",\"sign\":%d}", t->keep.key, t->keep.sign);
    if (t->bucket) buf_printf(j, ",\"bucket\":\"%s\"", t->bucket);
    if (t->every) {
        buf_printf(j, ",\"every\":{\"steps\":%lld,\"entry\":\"%s\",\"args\":[", (long long)t->every, t->sample);
        for (int i = 0; i < t->nsample_arg; i++) {
            buf_puts(j, i ? "," : "");
            buf_json(j, t->sample_arg[i]);
        }
        buf_puts(j, "]}");
    }
    buf_puts(j, ",\"sweep\":[");
    for (int i = 0; i < t->nsweep; i++) buf_printf(j, "%s\"%s\"", i ? "," : "", t->sweep[i]);
    buf_puts(j, "]},\n");
}

/* Those that are not plain means. */
static void metrics(Buf *j, const FuncInfo *f) {
    bool first = true;
    buf_puts(j, "\"metrics\":[");
    for (int i = 0; f->formula && i < f->nmetric; i++) {
        if (!f->formula[i]) continue;
        buf_printf(j, "%s{\"name\":\"%s\",\"formula\":%s}", first ? "" : ",", f->metric[i], f->formula[i]);
        first = false;
    }
    buf_puts(j, "],\n");
}

/* FNV-1a of a graph's text without its comments (names and lines of the source): two files whose graphs
 * agree are the same model. */
uint64_t build_hash(const Graph *g) {
    uint64_t h = UINT64_C(14695981039346656037);
    char    *text = NULL;
    size_t   size = 0;
    FILE    *f = open_memstream(&text, &size);
    if (!f) ICE("no memory for the text of a graph");
    graph_print(g, f);
    fclose(f);
    for (const char *s = text; *s; s++) {
        if (*s == '#') s += strcspn(s, "\n");
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    }
    free(text);
    return h;
}

/* "avx2,fma" as a list. */
static void cpu(Buf *j, const char *needs) {
    buf_puts(j, "\"cpu\":[");
    for (const char *p = needs; *p;) {
        int n = (int)strcspn(p, ",");
        buf_printf(j, "%s\"%.*s\"", p == needs ? "" : ",", n, p);
        p += n + (p[n] == ',');
    }
    buf_puts(j, "],");
}

char *build_describe(Build *b, size_t *size) {
    Buf body = buf_new(b->arena), j = buf_new(b->arena);
    block(&body, "params", &b->weights);
    block(&body, "states", &b->state);
    block(&body, "opt", &b->opt);
    dims(&body, b);
    hypers(&body, b->program);
    if (program_train(b->program)) train(&body, program_train(b->program));
    metrics(&body, &b->model->objective);
    Buf data = buf_new(b->arena);
    if (program_data_json(b->program, &data)) buf_printf(&body, "\"data\":%s,\n", data.s);
    buf_printf(&j, "{\"netc\":\"%s\",\"name\":\"%s\",\"model\":\"%s\",\"hash\":\"%016llx\",\"target\":\"%s\",\n",
               NETC_VERSION, b->stem, b->model->name, (unsigned long long)b->hash, b->target.name);
    cpu(&j, b->target.needs);
    buf_printf(&j, "\"batch\":%lld,\"beam\":%d,\n", (long long)b->batch, b->searched ? b->beams : 0);
    buf_puts(&j, body.s);
    buf_printf(&j, "\"weights_size\":%lld,\"state_size\":%lld,\"opt_size\":%lld,\n\"functions\":[\n",
               (long long)b->weights.size, (long long)b->state.size, (long long)b->opt.size);
    for (int i = 0; i < b->functions.n; i++) {
        buf_puts(&j, i ? ",\n" : "");
        function(&j, &b->functions.at[i]);
    }
    buf_puts(&j, "]}\n");
    *size = j.n;
    return j.s;
}
