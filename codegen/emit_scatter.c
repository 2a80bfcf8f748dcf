/* scatter_add: y[v, k...] = sum over i... with index[i...] = v of g[i..., k...]. All rows of y are zeroed for the
 * thread's share of k..., then rows are added in the C order of i..., so that the sums are the same for any
 * number of threads. */
#include "codegen/nest_impl.h"

typedef struct {
    Emit *e;
    Val   index, grad, to;      /* running addresses of the reads; to: the result's first element */
    Val   lo, hi;               /* the thread's share of k..., flattened */
    int64_t row;                /* elements of a row */
} Scatter;

/* for k in lo .. hi-1: to[row * v + k] += from[k], or = 0 */
static void add_row(Scatter *s, Val to, Val from) {
    Codegen *cg = s->e->cg;
    Loop     l = l_loop(cg, s->lo, s->hi, 1, 0, NULL);
    Val      at = l_gep(cg, cg->f32, to, l.i), v = l_f32(cg, 0);
    if (from) v = l_fadd(cg, l_load(cg, cg->f32, at, 4), l_load(cg, cg->f32, l_gep(cg, cg->f32, from, l.i), 4));
    l_store(cg, v, at, 4);
    l_loop_end(cg, &l, NULL);
}

static void over_rows(Scatter *s, int level) {
    Emit        *e = s->e;
    Codegen     *cg = e->cg;
    const Stage *stage = &e->n->stage[0];
    if (level == stage->nred) {
        Val v = LLVMBuildSExt(cg->b, l_load(cg, cg->i32, s->index, 4), cg->i64, "");
        add_row(s, l_gep(cg, cg->f32, s->to, LLVMBuildNSWMul(cg->b, v, l_i64(cg, s->row), "")), s->grad);
        return;
    }
    int  var = stage->red[level];
    Val  index = s->index, grad = s->grad;
    Loop l = l_loop(cg, l_i64(cg, 0), var_limit(e, var), 1, 0, NULL);
    s->grad = l_gep(cg, cg->f32, grad, LLVMBuildNSWMul(cg->b, l.i, l_i64(cg, e->n->access[0].off.k[var]), ""));
    s->index = l_gep(cg, cg->i32, index, LLVMBuildNSWMul(cg->b, l.i, l_i64(cg, e->n->access[1].off.k[var]), ""));
    over_rows(s, level + 1);
    s->grad = grad;
    s->index = index;
    l_loop_end(cg, &l, NULL);
}

void emit_scatter(Emit *e, Val lo, Val hi) {
    Codegen    *cg = e->cg;
    const Node *n = e->n->store[0].node;
    Scatter     s = {.e = e, .grad = e->ptr[0], .index = e->ptr[1], .row = 1};
    s.to = e->ptr[e->n->naccess];
    int64_t share = 1;                      /* elements of one share of the first npar axes */
    for (int i = 0; i < e->n->nout; i++) {
        s.row *= e->n->var[i].size;
        if (i >= e->n->npar) share *= e->n->var[i].size;
    }
    s.lo = LLVMBuildNSWMul(cg->b, lo, l_i64(cg, share), "");
    s.hi = LLVMBuildNSWMul(cg->b, hi, l_i64(cg, share), "");
    Val  rows = l_i64(cg, n->type.dim[0].size);
    Loop l = l_loop(cg, l_i64(cg, 0), rows, 1, 0, NULL);
    add_row(&s, l_gep(cg, cg->f32, s.to, LLVMBuildNSWMul(cg->b, l.i, l_i64(cg, s.row), "")), NULL);
    l_loop_end(cg, &l, NULL);
    over_rows(&s, 0);
}
