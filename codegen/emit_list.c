/* Lists of the points that count (passes/listed.c), and results that are added up in memory.
 *
 * A vector of points goes to the end of the list with those that do not count squeezed out: one instruction where
 * the target has it, a permutation from a table of all masks for 8 lanes, else lane by lane, each written
 * and then kept or overwritten by the next. */
#include "codegen/nest_impl.h"

typedef struct {
    Emit *e;
    const List *list;
    Val   n;                    /* points in the list: i64 */
} Making;

static void reserve(Emit *e) {
    Codegen *cg = e->cg;
    unsigned room = (unsigned)e->n->list.most + POINT_LANES;
    if (e->list_value) return;
    e->list_value = l_alloca(cg, LLVMArrayType2(cg->f32, room));
    e->list_move = l_alloca(cg, LLVMArrayType2(cg->i32, room));
}

static bool has_compress(const Emit *e) { return strstr(e->cg->target.features, "+avx512f") != NULL; }

enum { LANES = 8, MASKS = 1 << LANES };

/* For every mask of 8 lanes, the lanes that are set, in order; behind that, how many they are. */
static Val permutations(Emit *e) {
    uint8_t table[MASKS * (LANES + 1)] = {0};
    for (int m = 0; m < MASKS; m++) {
        uint8_t *count = &table[MASKS * LANES + m];
        for (int i = 0; i < LANES; i++)
            if (m >> i & 1) table[m * LANES + (*count)++] = (uint8_t)i;
    }
    const char *name = arena_printf(e->a, "%s_squeeze", e->k->name);
    Val old = LLVMGetNamedGlobal(e->cg->module, name);
    return old ? old : codegen_table(e->cg, name, table, sizeof table);
}

static Val squeeze(Emit *e, Val v, Val order) {
    Codegen *cg = e->cg;
    Val      x[2] = {l_bitcast(cg, v, cg->i32), order};
    return l_intrinsic(cg, "llvm.x86.avx2.permd", 0, NULL, 2, x);
}

static void append_squeezed(Making *m, Val value, Val move, Val mask) {
    Codegen *cg = m->e->cg;
    Val      bits = l_mask_bits(cg, mask), table = permutations(m->e);
    Val      count = l_gep(cg, cg->i8, l_bytes(cg, table, MASKS * LANES), bits);
    Val      at = l_gep(cg, l_vec(cg->i8, LANES), table, bits);
    Val      order = LLVMBuildZExt(cg->b, l_load(cg, l_vec(cg->i8, LANES), at, 8), l_vec(cg->i32, LANES), "");
    l_store(cg, squeeze(m->e, value, order), l_gep(cg, cg->f32, m->e->list_value, m->n), 4);
    l_store(cg, squeeze(m->e, move, order), l_gep(cg, cg->i32, m->e->list_move, m->n), 4);
    m->n = l_add(cg, m->n, LLVMBuildZExt(cg->b, l_load(cg, cg->i8, count, 1), cg->i64, ""));
}

static void append_compressed(Making *m, Val value, Val move, Val mask) {
    Codegen *cg = m->e->cg;
    for (int i = 0; i < 2; i++) {
        Val v = i ? move : value, to = l_gep(cg, l_element(v), i ? m->e->list_move : m->e->list_value, m->n);
        Ty  t = LLVMTypeOf(v);
        Val x[3] = {v, to, mask};
        l_intrinsic(cg, "llvm.masked.compressstore", 1, &t, 3, x);
    }
    m->n = l_add(cg, m->n, l_call1(cg, "llvm.ctpop", l_mask_bits(cg, mask)));
}

static void append_lanes(Making *m, Val value, Val move, Val mask, int valid) {
    Codegen *cg = m->e->cg;
    for (int i = 0; i < valid; i++) {
        l_store(cg, l_extract(cg, value, i), l_gep(cg, cg->f32, m->e->list_value, m->n), 4);
        l_store(cg, l_extract(cg, move, i), l_gep(cg, cg->i32, m->e->list_move, m->n), 4);
        m->n = l_add(cg, m->n, LLVMBuildZExt(cg->b, l_extract(cg, mask, i), cg->i64, ""));
    }
}

static void append(Making *m, const Point *p) {
    Emit    *e = m->e;
    Codegen *cg = e->cg;
    Val value = widen(e, emit_eval(e, m->list->value, p), p->width),
        move = widen(e, emit_eval(e, m->list->move, p), p->width);
    Val mask = l_fcmp(cg, LLVMRealUNE, value, l_zero(LLVMTypeOf(value)));
    if (p->width >= 8 && p->valid < p->width)
        mask = LLVMBuildAnd(cg->b, mask, l_mask_const(cg, 0, p->valid, p->width), "");
    if (p->width >= 8 && has_compress(e)) append_compressed(m, value, move, mask);
    else if (p->width == 8 && strstr(cg->target.features, "+avx2")) append_squeezed(m, value, move, mask);
    else append_lanes(m, value, move, mask, p->valid);
}

static void list_points(Making *m) {
    const List *l = m->list;
    Layout      at = layout_of(m->e, l->nred, l->red, l->nlane, l->lane, l->width);
    for (int r = 0; r < at.rows; r++)
        for (int q = 0; q < at.nvec; q++) {
            Point p = layout_point(m->e, &at, r, q);
            append(m, &p);
        }
}

static void list_level(Making *m, int level);

static void list_loop(Making *m, int level, int v, Val lo, Val hi, int64_t step) {
    Emit *e = m->e;
    int   mark = e->memo.n;
    Val  *saved = arena_copy(e->a, e->ptr, sizeof *saved * (size_t)(e->n->naccess + e->n->nstore));
    Loop  loop = l_loop(e->cg, lo, hi, step, 1, &m->n);
    e->base[v] = loop.i;
    e->base_max[v] = e->n->var[v].size - step;
    e->count[v] = step;
    move_pointers(e, v, loop.i);
    list_level(m, level + 1);
    l_loop_end(e->cg, &loop, &m->n);
    e->base[v] = NULL;
    memcpy(e->ptr, saved, sizeof *saved * (size_t)(e->n->naccess + e->n->nstore));
    memo_restore(e, mark);
}

static void list_level(Making *m, int level) {
    Emit *e = m->e;
    if (level == m->list->nloop) {
        int mark = e->memo.n;
        list_points(m);
        memo_restore(e, mark);
        return;
    }
    int            v = m->list->loop[level];
    const NestVar *var = &e->n->var[v];
    int64_t        step = m->list->step[v], full = var->size / step * step;
    if (m->list->block && v == m->list->block_var) {
        list_loop(m, level, v, e->block_lo, e->block_hi, 1);
    } else if (var->bound) {
        list_loop(m, level, v, l_i64(e->cg, 0), var_limit(e, v), 1);
    } else {
        e->count[v] = step;
        if (full == step) list_level(m, level + 1);
        else if (full) list_loop(m, level, v, l_i64(e->cg, 0), l_i64(e->cg, full), step);
        e->konst[v] = full;
        e->count[v] = var->size - full;
        if (full < var->size) list_level(m, level + 1);
        e->konst[v] = 0;
    }
    e->count[v] = 1;
}

void emit_list(Emit *e) {
    Making m = {e, &e->n->list, l_i64(e->cg, 0)};
    reserve(e);
    list_level(&m, 0);
    e->list_count = m.n;
}

Val list_value_at(Emit *e, Val i) { return l_load(e->cg, e->cg->f32, l_gep(e->cg, e->cg->f32, e->list_value, i), 4); }

Val list_move_at(Emit *e, Val i) {
    Codegen *cg = e->cg;
    return LLVMBuildSExt(cg->b, l_load(cg, cg->i32, l_gep(cg, cg->i32, e->list_move, i), 4), cg->i64, "");
}

/* ---- results that are added up ---------------------------------------------------------------------------- */

/* The results inside the loops that are open are one run of memory (list_schedule sees to it). */
void emit_zeros(Emit *e) {
    Codegen     *cg = e->cg;
    const Nest  *n = e->n;
    const Store *s = &n->store[0];
    int64_t      run = type_count(&s->node->type);
    int          width = cg->target.width;
    for (int k = 0; k < nest_zero_level(n); k++)
        if (s->off.k[n->loop[k]] && s->off.k[n->loop[k]] < run) run = s->off.k[n->loop[k]];
    Val  to = e->ptr[n->naccess], zero = l_zero(l_vec(cg->f32, width));
    Loop l = l_loop(cg, l_i64(cg, 0), l_i64(cg, run / width * width), width, 0, NULL);
    l_store(cg, zero, l_gep(cg, cg->f32, to, l.i), 4);
    l_loop_end(cg, &l, NULL);
    for (int64_t i = run / width * width; i < run; i++) l_store(cg, l_f32(cg, 0), l_gep_const(cg, cg->f32, to, i), 4);
}
