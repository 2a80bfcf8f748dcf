/* An expression at a vector of points. What is the same at all points stays a number until a vector needs it; what was
 * computed before from the same values at a place that dominates this one is used again. */
#include "codegen/nest_impl.h"

enum { MEMO_EXPR, MEMO_SCALAR = 16, MEMO_WIDEN = 128, MEMO_INDEX, MEMO_IRREGULAR };

/* ---- memo -------------------------------------------------------------------------------------------- */

static unsigned hash(int kind, const void *p, const void *q, const void *r, int64_t x, int64_t y) {
    uint64_t h = (uint64_t)kind * 0x9E3779B97F4A7C15u;
    uint64_t part[5] = {(uintptr_t)p, (uintptr_t)q, (uintptr_t)r, (uint64_t)x, (uint64_t)y};
    for (int i = 0; i < 5; i++) h = (h ^ part[i] ^ part[i] >> 29) * 0xBF58476D1CE4E5B9u;
    return (unsigned)(h >> 40) % MEMO_HEADS;
}

Val memo_find(Emit *e, int kind, const void *p, const void *q, const void *r, int64_t x, int64_t y) {
    for (int i = e->head[hash(kind, p, q, r, x, y)]; i; i = e->memo.at[i - 1].next) {
        const Memo *m = &e->memo.at[i - 1];
        if (m->kind == kind && m->p == p && m->q == q && m->r == r && m->x == x && m->y == y) return m->v;
    }
    return NULL;
}

Val memo_add(Emit *e, int kind, const void *p, const void *q, const void *r, int64_t x, int64_t y, Val v) {
    int *head = &e->head[hash(kind, p, q, r, x, y)];
    vec_push(e->a, &e->memo, ((Memo){kind, p, q, r, x, y, v, *head}));
    *head = e->memo.n;
    return v;
}

void memo_restore(Emit *e, int mark) {
    while (e->memo.n > mark) {
        const Memo *m = &e->memo.at[--e->memo.n];
        e->head[hash(m->kind, m->p, m->q, m->r, m->x, m->y)] = m->next;
    }
}

/* ---- indices ----------------------------------------------------------------------------------------- */

Val widen(Emit *e, Val v, int width) {
    if (l_lanes(v) == width) return v;
    Val old = memo_find(e, MEMO_WIDEN, v, NULL, NULL, width, 0);
    return old ? old : memo_add(e, MEMO_WIDEN, v, NULL, NULL, width, 0, l_splat(e->cg, v, width));
}

/* The value of irregular variable v: num / div where the division is exact (elsewhere any number: a guard on v
 * fails there). */
static Val irregular(Emit *e, int v, const Point *p) {
    Val old = memo_find(e, MEMO_IRREGULAR, NULL, NULL, NULL, p->serial, v);
    if (old) return old;
    Val num = emit_index(e, &e->n->var[v].num, p);
    Val q = LLVMBuildSDiv(e->cg->b, num, l_int_like(num, e->n->var[v].div), "");
    return memo_add(e, MEMO_IRREGULAR, NULL, NULL, NULL, p->serial, v, q);
}

Val emit_index(Emit *e, const Lin *a, const Point *p) {
    Codegen *cg = e->cg;
    int64_t  c[POINT_LANES];
    Lin      known = *a;
    Val      sum = NULL;
    for (int v = 0; v < e->n->nvar; v++) {
        if (!a->k[v]) continue;
        Val x = NULL;
        if (e->n->var[v].div) {
            known.k[v] = 0;
            x = irregular(e, v, p);
        } else if (e->base[v]) {
            x = memo_find(e, MEMO_INDEX, e->base[v], NULL, NULL, 0, 0);
            if (!x) {
                x = LLVMBuildTrunc(cg->b, e->base[v], cg->i32, "");
                memo_add(e, MEMO_INDEX, e->base[v], NULL, NULL, 0, 0, x);
            }
        }
        if (!x) continue;
        if (a->k[v] != 1) x = l_mul(cg, x, l_int_like(x, a->k[v]));
        if (sum && l_lanes(x) > l_lanes(sum)) sum = widen(e, sum, l_lanes(x));
        sum = sum ? l_add(cg, sum, widen(e, x, l_lanes(sum))) : x;
    }
    lin_offsets(e, &known, p, c);
    Val lanes[POINT_LANES];
    for (int i = 0; i < p->width; i++) lanes[i] = l_i32(cg, c[i]);
    bool same = all_equal(c, p->width);
    Val  offset = same ? lanes[0] : LLVMConstVector(lanes, (unsigned)p->width);
    if (!sum) return offset;
    if (same && c[0] == 0) return sum;
    int w = same ? l_lanes(sum) : p->width;
    return l_add(cg, widen(e, sum, w), widen(e, offset, w));
}

/* ---- expressions ------------------------------------------------------------------------------------- */

static Val constant(Emit *e, const Expr *x) {
    if (x->dtype == DT_F32) return l_f32(e->cg, x->value);
    return LLVMConstInt(codegen_type(e->cg, x->dtype), (unsigned long long)(int64_t)x->value, true);
}

static Val bound(Emit *e, int i) {
    Val old = memo_find(e, MEMO_EXPR, NULL, NULL, NULL, i, 0);
    if (old) return old;
    return memo_add(e, MEMO_EXPR, NULL, NULL, NULL, i, 0, LLVMBuildSIToFP(e->cg->b, bound_value(e, i), e->cg->f32, ""));
}

/* Row and lane of every point of p in the registers of a stage: one shuffle per register that is met. */
static Val stage_value(Emit *e, int stage, const Point *p) {
    const StageValue *s = &e->stage[stage];
    int               vec[POINT_LANES] = {0}, lane[POINT_LANES] = {0};
    for (int i = 0; i < p->width; i++) {
        int row, at;
        layout_find(&s->layout, p, i, &row, &at);
        if (s->layout.nlane) row = row * s->layout.nvec * s->pack + at;
        vec[i] = row / s->pack;
        lane[i] = row % s->pack;
    }
    bool own = p->width == s->pack;
    for (int i = 0; i < p->width; i++) own &= vec[i] == vec[0] && (lane[i] == i || i >= p->valid);
    if (own) return s->v[vec[0]];
    int64_t key[POINT_LANES];
    for (int i = 0; i < p->width; i++) key[i] = vec[i] * s->pack + lane[i];
    if (all_equal(key, p->width)) return l_extract(e->cg, s->v[vec[0]], lane[0]);
    Val r = NULL;
    for (int i = 0; i < p->width; i++) {
        bool met = false;
        for (int j = 0; j < i; j++) met |= vec[j] == vec[i];
        if (met) continue;
        int index[POINT_LANES], both[POINT_LANES];
        for (int j = 0; j < p->width; j++) index[j] = vec[j] == vec[i] ? lane[j] : -1;
        for (int j = 0; j < p->width; j++) both[j] = vec[j] == vec[i] ? p->width + j : j;
        Val from = s->v[vec[i]];
        Val x = s->pack == 1 ? l_splat(e->cg, from, p->width) : l_shuffle(e->cg, from, NULL, index, p->width);
        r = r ? l_shuffle(e->cg, r, x, both, p->width) : x;
    }
    return r;
}

static Val eval_op(Emit *e, const Expr *x, const Point *p) {
    Val arg[3] = {NULL, NULL, NULL};
    int width = 1, n = SCALARS[x->op].args;
    for (int i = 0; i < n; i++) {
        arg[i] = emit_eval(e, x->arg[i], p);
        if (l_lanes(arg[i]) > width) width = l_lanes(arg[i]);
    }
    for (int i = 0; i < n; i++) arg[i] = widen(e, arg[i], width);
    int kind = MEMO_SCALAR + (int)x->op;
    Val old = memo_find(e, kind, arg[0], arg[1], arg[2], x->dtype, 0);
    if (old) return old;
    Val v = emit_scalar(e->cg, x->op, x->dtype, arg[0], arg[1], arg[2]);
    return memo_add(e, kind, arg[0], arg[1], arg[2], x->dtype, 0, v);
}

Val emit_eval(Emit *e, const Expr *x, const Point *p) {
    if (x->op == SC_CONST) return constant(e, x);
    if (x->op == SC_BOUND) return bound(e, x->bound);
    if (x->op == SC_IDX) {
        Lin id[MAX_VARS];
        for (int v = 0; v < MAX_VARS; v++) id[v] = lin_var(v);
        Lin a = lin_of(&x->aff, id);
        return emit_index(e, &a, p);
    }
    Val v = memo_find(e, MEMO_EXPR, x, NULL, NULL, p->serial, 1);
    if (v) return v;
    if (x->op != SC_READ) v = eval_op(e, x, p);
    else if (e->n->access[x->operand].node) v = access_load(e, x->operand, p);
    else if (e->n->access[x->operand].stage == STAGE_LISTED) return e->listed;
    else v = stage_value(e, e->n->access[x->operand].stage, p);
    return memo_add(e, MEMO_EXPR, x, NULL, NULL, p->serial, 1, v);
}
