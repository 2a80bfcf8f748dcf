/* What a checked program has, for the driver. */
#include "frontend/program.h"

const DimInfo *program_dims(const Program *p, int *n) {
    *n = p->dims.n;
    return p->dims.at;
}

const HyperInfo *program_hypers(const Program *p, int *n) {
    *n = p->hypers.n;
    return p->hypers.at;
}

const ModelInfo *program_model(const Program *p) {
    if (p->trained >= 0) return &p->models.at[p->trained].info;
    return p->models.n ? &p->models.at[p->models.n - 1].info : NULL;
}

const TrainInfo *program_train(const Program *p) { return p->train ? &p->train->info : NULL; }

int64_t program_batch(const Program *p) { return p->train ? p->train->info.batch : p->batch; }

bool program_data_json(const Program *p, Buf *b) {
    const Data *d = p->trained_data >= 0 ? &p->datas.at[p->trained_data] : p->datas.n ? &p->datas.at[0] : NULL;
    if (!d || !d->block) return false;
    data_block_json(d->block, b);
    return true;
}

/* ---- as text ----------------------------------------------------------------------------------- */

static void print_port(const PortInfo *q, FILE *out) {
    fprintf(out, "%s: %s", q->name, q->dim ? q->dim : dtype_text(q->type.dtype));
    for (int i = 0; i < q->type.rank; i++) {
        if (q->axis[i]) fprintf(out, "%s%s", i ? ", " : "[", q->axis[i]);
        else fprintf(out, "%s%lld", i ? ", " : "[", (long long)q->type.dim[i].size);
    }
    if (q->type.rank) fputc(']', out);
}

static void print_function(const FuncInfo *f, FILE *out) {
    fprintf(out, "  %s(", f->name);
    for (int i = 0; i < f->nin; i++) {
        if (i) fputs(", ", out);
        print_port(&f->in[i], out);
    }
    fputc(')', out);
    for (int i = 0; i < f->nout; i++) {
        fputs(i ? ", " : " -> ", out);
        print_port(&f->out[i], out);
    }
    for (int i = 0; i < f->nmetric; i++) fprintf(out, "%s%s", i ? ", " : "  metrics: ", f->metric[i]);
    fputs(f->recurrent ? "  (sequences)\n" : "\n", out);
}

void program_print(const Program *p, FILE *out) {
    for (int i = 0; i < p->dims.n; i++)
        fprintf(out, "dim %s %s %lld\n", p->dims.at[i].name, p->dims.at[i].ragged ? "<=" : "=",
                (long long)p->dims.at[i].size);
    for (int i = 0; i < p->hypers.n; i++)
        fprintf(out, "hyper %s = %.9g\n", p->hypers.at[i].name, p->hypers.at[i].value);
    for (int i = 0; i < p->models.n; i++) {
        const ModelInfo *m = &p->models.at[i].info;
        fprintf(out, "model %s\n", m->name);
        if (m->objective.name) print_function(&m->objective, out);
        for (int k = 0; k < m->nentry; k++) print_function(&m->entry[k], out);
        for (int k = 0; k < m->nparam; k++) {
            const ParamInfo *q = &m->param[k];
            fprintf(out, "  param %s [", q->key);
            for (int j = 0; j < q->type.rank; j++)
                fprintf(out, "%s%lld", j ? ", " : "", (long long)q->type.dim[j].size);
            fprintf(out, "] %s\n", q->init.name);
        }
    }
}
