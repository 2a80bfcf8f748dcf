/* The functions of a C interface: checks, copies of the caller's arrays, a call of the model's function.
 *
 * Kernels may read a vector past the end of a tensor, so arguments and results live in the arena during the call; the
 * caller's arrays are read and written to the element. All checks are made before anything is changed.
 */
#include "codegen/c_api.h"

#include <string.h>

#include "codegen/c_impl.h"
#include "codegen/l.h"

/* ---- helpers of the module ----------------------------------------------------------------------- */

/* Where the builder stood before a helper is emitted in between. */
typedef struct {
    Val               fn;
    LLVMBasicBlockRef at;
} Where;

static Val helper_begin(Codegen *cg, const char *name, Ty result, Ty *params, unsigned n, Where *before) {
    *before = (Where){cg->fn, cg->fn ? l_here(cg) : NULL};
    cg->fn = codegen_helper(cg, name, LLVMFunctionType(result, params, n, false));
    l_at(cg, l_block(cg, "entry"));
    return cg->fn;
}

static void helper_end(Codegen *cg, Where before) {
    cg->fn = before.fn;
    if (before.at) l_at(cg, before.at);
}

static void call(Codegen *cg, Val fn, Val *x, unsigned n) {
    LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, x, n, "");
}

/* copy(to, from, bytes): whole vectors, then bytes. */
static Val copy_function(Codegen *cg) {
    Val fn = LLVMGetNamedFunction(cg->module, "c.copy");
    if (fn) return fn;
    Where before;
    Ty     params[3] = {cg->ptr, cg->ptr, cg->i64};
    fn = helper_begin(cg, "c.copy", cg->none, params, 3, &before);
    Val  to = LLVMGetParam(fn, 0), from = LLVMGetParam(fn, 1), n = LLVMGetParam(fn, 2);
    int  vector = 4 * cg->target.width;
    Ty   t = l_vec(cg->i8, vector);
    Val  whole = LLVMBuildAnd(cg->b, n, l_i64(cg, -vector), "");
    Loop l = l_loop(cg, l_i64(cg, 0), whole, vector, 0, NULL);
    l_store(cg, l_load(cg, t, l_gep(cg, cg->i8, from, l.i), 1), l_gep(cg, cg->i8, to, l.i), 1);
    l_loop_end(cg, &l, NULL);
    l = l_loop(cg, whole, n, 1, 0, NULL);
    l_store(cg, l_load(cg, cg->i8, l_gep(cg, cg->i8, from, l.i), 1), l_gep(cg, cg->i8, to, l.i), 1);
    l_loop_end(cg, &l, NULL);
    LLVMBuildRetVoid(cg->b);
    helper_end(cg, before);
    return fn;
}

static void emit_copy(Codegen *cg, Val to, Val from, Val bytes) {
    call(cg, copy_function(cg), (Val[]){to, from, bytes}, 3);
}

/* fill(to, value, count of floats) */
static Val fill_function(Codegen *cg) {
    Val fn = LLVMGetNamedFunction(cg->module, "c.fill");
    if (fn) return fn;
    Where before;
    Ty     params[3] = {cg->ptr, cg->f32, cg->i64};
    fn = helper_begin(cg, "c.fill", cg->none, params, 3, &before);
    Loop l = l_loop(cg, l_i64(cg, 0), LLVMGetParam(fn, 2), 1, 0, NULL);
    l_store(cg, LLVMGetParam(fn, 1), l_gep(cg, cg->f32, LLVMGetParam(fn, 0), l.i), 4);
    l_loop_end(cg, &l, NULL);
    LLVMBuildRetVoid(cg->b);
    helper_end(cg, before);
    return fn;
}

/* outside(p, n, first, limit): is any of n integers not in first .. first + limit-1? */
static Val outside_function(Codegen *cg) {
    Val fn = LLVMGetNamedFunction(cg->module, "c.outside");
    if (fn) return fn;
    Where before;
    Ty     params[4] = {cg->ptr, cg->i64, cg->i32, cg->i32};
    fn = helper_begin(cg, "c.outside", cg->i1, params, 4, &before);
    Val  bad = l_i1(cg, false);
    Loop l = l_loop(cg, l_i64(cg, 0), LLVMGetParam(fn, 1), 1, 1, &bad);
    Val  v = l_load(cg, cg->i32, l_gep(cg, cg->i32, LLVMGetParam(fn, 0), l.i), 4);
    v = l_sub(cg, v, LLVMGetParam(fn, 2));
    bad = LLVMBuildOr(cg->b, bad, l_icmp(cg, LLVMIntUGE, v, LLVMGetParam(fn, 3)), "");
    l_loop_end(cg, &l, &bad);
    LLVMBuildRet(cg->b, bad);
    helper_end(cg, before);
    return fn;
}

static Val is_outside(Codegen *cg, Val p, Val n, int64_t first, int64_t limit) {
    Val fn = outside_function(cg), x[4] = {p, n, l_i32(cg, first), l_i32(cg, limit)};
    return LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, x, 4, "");
}

/* max(p, n): the largest of n integers, at least 1. */
static Val longest_function(Codegen *cg) {
    Val fn = LLVMGetNamedFunction(cg->module, "c.longest");
    if (fn) return fn;
    Where before;
    Ty     params[2] = {cg->ptr, cg->i64};
    fn = helper_begin(cg, "c.longest", cg->i64, params, 2, &before);
    Val  most = l_i64(cg, 1);
    Loop l = l_loop(cg, l_i64(cg, 0), LLVMGetParam(fn, 1), 1, 1, &most);
    Val  v = LLVMBuildSExt(cg->b, l_load(cg, cg->i32, l_gep(cg, cg->i32, LLVMGetParam(fn, 0), l.i), 4), cg->i64, "");
    most = l_select(cg, l_icmp(cg, LLVMIntSGT, v, most), v, most);
    l_loop_end(cg, &l, &most);
    LLVMBuildRet(cg->b, most);
    helper_end(cg, before);
    return fn;
}

/* ---- exported functions -------------------------------------------------------------------------- */

/* Starts `int NAME_WHAT(params)`. An internal function that happens to have that symbol gives it up. */
static Val export_begin(Codegen *cg, const CModel *m, const char *what, Ty *params, unsigned n) {
    const char *symbol = arena_printf(cg->arena, "%s_%s", m->name, what);
    Val         other = LLVMGetNamedFunction(cg->module, symbol);
    if (other) {
        const char *inner = arena_printf(cg->arena, "%s.inner", symbol);
        LLVMSetValueName2(other, inner, strlen(inner));
    }
    cg->fn = LLVMAddFunction(cg->module, symbol, LLVMFunctionType(cg->i32, params, n, false));
    codegen_attributes(cg, cg->fn);
    l_at(cg, l_block(cg, "entry"));
    return cg->fn;
}

static void export_end(Codegen *cg) {
    LLVMBuildRet(cg->b, l_i32(cg, C_OK));
    cg->fn = NULL;
}

/* if (bad) return code; */
static void refuse(Codegen *cg, Val bad, CCode code) {
    LLVMBasicBlockRef no = l_block(cg, "refuse"), go = l_block(cg, "go");
    LLVMBuildCondBr(cg->b, bad, no, go);
    l_at(cg, no);
    LLVMBuildRet(cg->b, l_i32(cg, code));
    l_at(cg, go);
}

/* NULL passes. */
static void check_aligned(Codegen *cg, Val p, int align) {
    if (align < 2) return;
    Val low = LLVMBuildAnd(cg->b, LLVMBuildPtrToInt(cg->b, p, cg->i64, ""), l_i64(cg, align - 1), "");
    refuse(cg, l_icmp(cg, LLVMIntNE, low, l_i64(cg, 0)), C_EALIGN);
}

static void check_pointer(Codegen *cg, Val p, int align) {
    refuse(cg, LLVMBuildIsNull(cg->b, p, ""), C_ENULL);
    check_aligned(cg, p, align);
}

/* A block of `size` bytes; one that the model does not have, or a function does not use, may be NULL. */
static void check_block(Codegen *cg, Val p, int64_t size) {
    if (size) check_pointer(cg, p, C_ALIGN);
}

/* ---- a call -------------------------------------------------------------------------------------- */

/* One wrapper while it is emitted. Pointers that the function does not take are null constants. */
typedef struct {
    Codegen         *cg;
    const CModel    *m;
    const CFunction *f;
    Val              io, weights, opt, state, arena, arena_size;
    Ty               io_type;
    Val              count, seed, step;       /* i64 */
    Val             *in, *out;                /* the caller's arrays */
    unsigned         field;                   /* of io: the next one to read */
} Wrap;

/* struct NAME_ENTRY_io: size, count, inputs, outputs, then what the kind has; c_header.c prints the same order. */
static Ty io_struct(Wrap *w) {
    Codegen *cg = w->cg;
    int      n = 0, pointers = w->f->nin + w->f->nout;
    Ty      *field = ARENA_ARRAY(cg->arena, Ty, pointers + w->m->nhyper + 8);
    field[n++] = cg->i32;
    field[n++] = cg->i32;
    for (int i = 0; i < pointers; i++) field[n++] = cg->ptr;
    if (w->f->kind == C_TRAIN) field[n++] = cg->i64;
    if (w->f->kind == C_TRAIN || w->f->random) field[n++] = cg->i64;
    for (int i = 0; w->f->kind == C_TRAIN && i < w->m->nhyper + C_TIMES - 1; i++) field[n++] = cg->f32;
    return LLVMStructTypeInContext(cg->cx, field, (unsigned)n, false);
}

static Val next_field(Wrap *w) {
    Ty  t = LLVMStructGetTypeAtIndex(w->io_type, w->field);
    Val p = LLVMBuildStructGEP2(w->cg->b, w->io_type, w->io, w->field++, "");
    return l_load(w->cg, t, p, t == w->cg->ptr || t == w->cg->i64 ? 8 : 4);
}

static Val widen(Codegen *cg, Val v) { return LLVMBuildZExt(cg->b, v, cg->i64, ""); }

/* The struct up to its arrays: sizes are checked before any field behind them is read. */
static void read_io(Wrap *w) {
    Codegen *cg = w->cg;
    check_pointer(cg, w->io, 8);
    Val size = widen(cg, next_field(w));
    refuse(cg, l_icmp(cg, LLVMIntULT, size, LLVMSizeOf(w->io_type)), C_ESIZE);
    w->count = widen(cg, next_field(w));
    refuse(cg, l_icmp(cg, LLVMIntUGE, l_sub(cg, w->count, l_i64(cg, 1)), l_i64(cg, w->m->batch)), C_ECOUNT);
    w->in = ARENA_ARRAY(cg->arena, Val, w->f->nin);
    w->out = ARENA_ARRAY(cg->arena, Val, w->f->nout);
    for (int i = 0; i < w->f->nin; i++) w->in[i] = next_field(w);
    for (int i = 0; i < w->f->nout; i++) w->out[i] = next_field(w);
}

/* Elements of a port in this call. */
static Val port_count(Wrap *w, const CPort *p) {
    Val row = l_i64(w->cg, c_row_count(p));
    return p->rows ? l_mul(w->cg, w->count, row) : row;
}

static bool is_ragged(const CPort *p) {
    for (int i = 0; i < p->rank; i++)
        if (p->axis[i]) return true;
    return false;
}

/* The length of row `row` of a ragged dim that an input gives; NULL: none gives it. */
static Val length_of(Wrap *w, const char *dim, Val row) {
    Codegen *cg = w->cg;
    for (int i = 0; i < w->f->nin; i++)
        if (w->f->in[i].longest && !strcmp(w->f->in[i].name, dim))
            return LLVMBuildZExt(cg->b, l_load(cg, cg->i32, l_gep(cg, cg->i32, w->in[i], row), 4), cg->i64, "");
    return NULL;
}

/* Is a number of port i below the lengths of its row outside its range? `at`: elements before axis `axis` of the row,
 * in units of that axis. What lies past a length is not looked at. */
static Val any_outside(Wrap *w, int i, int axis, Val row, Val at, Val bad) {
    Codegen     *cg = w->cg;
    const CPort *p = &w->f->in[i];
    if (axis == p->rank) {
        Val v = l_load(cg, cg->i32, l_gep(cg, cg->i32, w->in[i], at), 4);
        return LLVMBuildOr(cg->b, bad, l_icmp(cg, LLVMIntUGE, v, l_i32(cg, p->range)), "");
    }
    Val size = l_i64(cg, p->dim[axis]), length = p->axis[axis] ? length_of(w, p->axis[axis], row) : NULL;
    Loop l = l_loop(cg, l_i64(cg, 0), length ? length : size, 1, 1, &bad);
    bad = any_outside(w, i, axis + 1, row, l_add(cg, l_mul(cg, at, size), l.i), bad);
    l_loop_end(cg, &l, &bad);
    return bad;
}

static void check_range(Wrap *w, int i) {
    Codegen     *cg = w->cg;
    const CPort *p = &w->f->in[i];
    if (p->longest) {
        refuse(cg, is_outside(cg, w->in[i], port_count(w, p), 1, p->longest), C_ERANGE);
    } else if (p->range && p->dtype == DT_I32 && p->rows && is_ragged(p)) {
        Val  bad = l_i1(cg, false);
        Loop l = l_loop(cg, l_i64(cg, 0), w->count, 1, 1, &bad);
        bad = any_outside(w, i, 0, l.i, l.i, bad);
        l_loop_end(cg, &l, &bad);
        refuse(cg, bad, C_ERANGE);
    } else if (p->range && p->dtype == DT_I32) {
        refuse(cg, is_outside(cg, w->in[i], port_count(w, p), 0, p->range), C_ERANGE);
    }
}

static void check_arrays(Wrap *w) {
    Codegen *cg = w->cg;
    for (int i = 0; i < w->f->nin; i++) check_pointer(cg, w->in[i], dtype_size(w->f->in[i].dtype));
    for (int i = 0; i < w->f->nout; i++) check_aligned(cg, w->out[i], dtype_size(w->f->out[i].dtype));
    for (int i = 0; i < w->f->nin; i++)             /* lengths first: the others look at them */
        if (w->f->in[i].longest) check_range(w, i);
    for (int i = 0; i < w->f->nin; i++)
        if (!w->f->in[i].longest) check_range(w, i);
}

/* The address of copy number i (inputs, then outputs) behind the function's own arena. */
static Val room(Wrap *w, int i) {
    int64_t at = (w->f->arena + C_ALIGN - 1) / C_ALIGN * C_ALIGN;
    for (int k = 0; k < i; k++) at += c_room(w->m, k < w->f->nin ? &w->f->in[k] : &w->f->out[k - w->f->nin]);
    return l_bytes(w->cg, w->arena, at);
}

static Val bytes_of(Wrap *w, const CPort *p) {
    return l_mul(w->cg, port_count(w, p), l_i64(w->cg, dtype_size(p->dtype)));
}

/* A table of the addresses of copies first .. first + n - 1, on the stack. */
static Val room_table(Wrap *w, int first, int n) {
    Codegen *cg = w->cg;
    Val      table = l_alloca(cg, LLVMArrayType2(cg->ptr, (uint64_t)(n ? n : 1)));
    for (int i = 0; i < n; i++) l_store(cg, room(w, first + i), l_gep_const(cg, cg->ptr, table, i), 8);
    return table;
}

/* Hypers and times: of io in a training step, else their defaults (batches 1, the rest 0). */
static Val scalar_table(Wrap *w) {
    Codegen *cg = w->cg;
    int      nhyper = w->m->nhyper, n = nhyper + C_TIMES;
    bool     train = w->f->kind == C_TRAIN;
    Val      table = l_alloca(cg, LLVMArrayType2(cg->f32, (uint64_t)n));
    for (int i = 0; i < n; i++) {
        Val v;
        if (train)
            v = i == nhyper ? LLVMBuildUIToFP(cg->b, w->step, cg->f32, "") : next_field(w);
        else
            v = l_f32(cg, i < nhyper ? w->m->hyper[i].value : i == nhyper + 2 ? 1 : 0);
        l_store(cg, v, l_gep_const(cg, cg->f32, table, i), 4);
    }
    return table;
}

static Val make_args(Wrap *w) {
    Codegen *cg = w->cg;
    Val      none = l_zero(cg->ptr);
    bool     train = w->f->kind == C_TRAIN;
    if (train) w->step = next_field(w);
    if (train || w->f->random) w->seed = next_field(w);
    Val value[] = {
        [ABI_IN] = room_table(w, 0, w->f->nin), [ABI_OUT] = room_table(w, w->f->nin, w->f->nout),
        [ABI_WEIGHTS] = w->weights, [ABI_OPT] = w->opt, [ABI_STATE] = w->state, [ABI_ARENA] = w->arena,
        [ABI_SCALARS] = scalar_table(w), [ABI_SEED] = w->seed, [ABI_STEP] = w->step,
        [ABI_BARRIER] = none, [ABI_POOL] = none,
    };
    Val args = l_alloca(cg, cg->args);
    for (unsigned i = 0; i < sizeof value / sizeof *value; i++)
        if (value[i]) l_store(cg, value[i], LLVMBuildStructGEP2(cg->b, cg->args, args, i, ""), 8);
    Val bound = LLVMBuildStructGEP2(cg->b, cg->args, args, ABI_BOUND, "");
    l_store(cg, w->count, l_gep_const(cg, cg->i64, bound, 1), 8);
    for (int i = 2; i < w->f->nbound; i++) {
        Val n = l_i64(cg, w->f->bound_size[i]), fn = longest_function(cg);
        if (w->f->bound_in[i] >= 0) {
            Val x[2] = {w->in[w->f->bound_in[i]], w->count};
            n = LLVMBuildCall2(cg->b, LLVMGlobalGetValueType(fn), fn, x, 2, "");
        }
        l_store(cg, n, l_gep_const(cg, cg->i64, bound, i), 8);
    }
    return args;
}

/* ---- the machine's mode -------------------------------------------------------------------------- */

/* Denormals are flushed during a call, as everywhere else that the code runs: the same bits, and no slow numbers. The
 * caller's mode comes back. x86: MXCSR with all exceptions masked, round to nearest, FTZ, DAZ. aarch64: FPCR.FZ. */
enum { MXCSR = 0x9fc0, FPCR = 1 << 24 };

static Val set_mode(Codegen *cg) {
    if (cg->target.arch == ARCH_AARCH64) {
        Val old = l_intrinsic(cg, "llvm.aarch64.get.fpcr", 0, NULL, 0, NULL), mode = l_i64(cg, FPCR);
        l_intrinsic(cg, "llvm.aarch64.set.fpcr", 0, NULL, 1, &mode);
        return old;
    }
    Val old = l_alloca(cg, cg->i32), mode = l_alloca(cg, cg->i32);
    l_intrinsic(cg, "llvm.x86.sse.stmxcsr", 0, NULL, 1, &old);
    l_store(cg, l_i32(cg, MXCSR), mode, 4);
    l_intrinsic(cg, "llvm.x86.sse.ldmxcsr", 0, NULL, 1, &mode);
    return old;
}

static void restore_mode(Codegen *cg, Val old) {
    const char *name = cg->target.arch == ARCH_AARCH64 ? "llvm.aarch64.set.fpcr" : "llvm.x86.sse.ldmxcsr";
    l_intrinsic(cg, name, 0, NULL, 1, &old);
}

/* ---- wrappers ------------------------------------------------------------------------------------ */

static Val find_function(Codegen *cg, const char *name) {
    Val fn = codegen_model_function(cg, name);
    if (!fn) ICE("no function '%s' was emitted", name);
    return fn;
}

static void run(Wrap *w) {
    Codegen *cg = w->cg;
    for (int i = 0; i < w->f->nin; i++) emit_copy(cg, room(w, i), w->in[i], bytes_of(w, &w->f->in[i]));
    Val args = make_args(w), mode = set_mode(cg);
    call(cg, find_function(cg, w->f->function), (Val[]){args, l_i32(cg, 0), l_i32(cg, 1)}, 3);
    restore_mode(cg, mode);
}

/* Results that the caller wants. */
static void hand_out(Wrap *w) {
    for (int i = 0; i < w->f->nout; i++) {
        If s = l_if(w->cg, LLVMBuildIsNotNull(w->cg->b, w->out[i], ""));
        emit_copy(w->cg, w->out[i], room(w, w->f->nin + i), bytes_of(w, &w->f->out[i]));
        l_if_end(w->cg, &s);
    }
}

/* The results of init are the parameters, in any order. */
static void place_parameters(Wrap *w) {
    for (int i = 0; i < w->f->nout; i++) {
        const CTensor *t = NULL;
        for (int k = 0; k < w->m->nparam && !t; k++)
            if (!strcmp(w->m->param[k].key, w->f->out[i].name)) t = &w->m->param[k];
        if (!t) ICE("no parameter '%s'", w->f->out[i].name);
        emit_copy(w->cg, l_bytes(w->cg, w->weights, t->offset), room(w, w->f->nin + i), bytes_of(w, &w->f->out[i]));
    }
}

static void check_blocks(Wrap *w) {
    Codegen *cg = w->cg;
    check_block(cg, w->weights, w->m->weights_size);
    if (w->f->kind == C_TRAIN) check_block(cg, w->opt, w->m->opt_size);
    if (w->f->state) check_block(cg, w->state, w->m->state_size);
    int64_t size = c_arena_size(w->m, w->f);
    check_block(cg, w->arena, size);
    if (size) refuse(cg, l_icmp(cg, LLVMIntULT, w->arena_size, l_i64(cg, size)), C_ESIZE);
}

static void emit_function(Codegen *cg, const CModel *m, const CFunction *f) {
    Ty  p = cg->ptr, n = cg->i64;
    Val none = l_zero(p), zero = l_i64(cg, 0), fn;
    Wrap w = {.cg = cg, .m = m, .f = f, .opt = none, .state = none, .count = l_i64(cg, m->batch),
              .seed = zero, .step = zero};
    if (f->kind == C_INIT) {
        fn = export_begin(cg, m, "init", (Ty[]){p, n, p, n}, 4);
        w.weights = LLVMGetParam(fn, 0), w.seed = LLVMGetParam(fn, 1);
        w.arena = LLVMGetParam(fn, 2), w.arena_size = LLVMGetParam(fn, 3);
    } else {
        bool     train = f->kind == C_TRAIN;
        unsigned i = 0;
        fn = train ? export_begin(cg, m, "train_step", (Ty[]){p, p, p, p, p, n}, 6)
                   : export_begin(cg, m, f->name, (Ty[]){p, p, p, p, n}, 5);
        w.io = LLVMGetParam(fn, i++), w.weights = LLVMGetParam(fn, i++);
        if (train) w.opt = LLVMGetParam(fn, i++);
        w.state = LLVMGetParam(fn, i++), w.arena = LLVMGetParam(fn, i++), w.arena_size = LLVMGetParam(fn, i);
        w.io_type = io_struct(&w);
        read_io(&w);
        check_arrays(&w);
    }
    check_blocks(&w);
    run(&w);
    if (f->kind == C_INIT) place_parameters(&w);
    else hand_out(&w);
    export_end(cg);
}

/* int NAME_pack(const float *plain, void *weights, void *state),
 * int NAME_unpack(float *plain, const void *weights, const void *state) */
static void emit_pack(Codegen *cg, const CModel *m, bool pack) {
    Val fn = export_begin(cg, m, pack ? "pack" : "unpack", (Ty[]){cg->ptr, cg->ptr, cg->ptr}, 3);
    Val plain = LLVMGetParam(fn, 0), weights = LLVMGetParam(fn, 1), state = LLVMGetParam(fn, 2);
    int     n;
    bool   *is_state;
    int64_t at = 0;
    const CTensor **t = c_file_tensors(cg->arena, m, &n, &is_state);
    if (n) check_pointer(cg, plain, 4);
    check_block(cg, weights, m->weights_size);
    bool states = false;
    for (int i = 0; i < n; i++) states |= is_state[i];
    if (states) check_block(cg, state, m->state_size);
    for (int i = 0; i < n; i++) {
        int64_t bytes = 4 * c_tensor_count(t[i]);
        Val     inside = l_bytes(cg, is_state[i] ? state : weights, t[i]->offset), outside = l_bytes(cg, plain, at);
        emit_copy(cg, pack ? inside : outside, pack ? outside : inside, l_i64(cg, bytes));
        at += bytes;
    }
    export_end(cg);
}

/* First values of a block that is not NULL. */
static void fill_block(Codegen *cg, Val p, const CTensor *t, int n) {
    If s = l_if(cg, LLVMBuildIsNotNull(cg->b, p, ""));
    for (int i = 0; i < n; i++) {
        Val x[3] = {l_bytes(cg, p, t[i].offset), l_f32(cg, t[i].first), l_i64(cg, c_tensor_count(&t[i]))};
        call(cg, fill_function(cg), x, 3);
    }
    l_if_end(cg, &s);
}

/* int NAME_reset(void *opt, void *state) */
static void emit_reset(Codegen *cg, const CModel *m) {
    Val fn = export_begin(cg, m, "reset", (Ty[]){cg->ptr, cg->ptr}, 2);
    Val opt = LLVMGetParam(fn, 0), state = LLVMGetParam(fn, 1);
    check_aligned(cg, opt, C_ALIGN);
    check_aligned(cg, state, C_ALIGN);
    fill_block(cg, opt, m->opt, m->nopt);
    fill_block(cg, state, m->state, m->nstate);
    export_end(cg);
}

void codegen_c_interface(Codegen *cg, const CModel *m) {
    for (int i = 0; i < m->nfunction; i++) emit_function(cg, m, &m->function[i]);
    emit_pack(cg, m, true);
    emit_pack(cg, m, false);
    emit_reset(cg, m);
}
