/* l_: thin wrappers of the LLVM C API, so that the files that emit read like what they emit. Differences between
 * LLVM versions stay in this file. All take the Codegen, whose builder says where the instruction goes.
 */
#ifndef NETC_CODEGEN_L_H
#define NETC_CODEGEN_L_H
#include <llvm/Config/llvm-config.h>
#include <string.h>

#include "codegen/codegen_impl.h"

#if LLVM_VERSION_MAJOR < 19
#error "netc needs LLVM 19 or newer"
#endif

typedef LLVMValueRef Val;
typedef LLVMTypeRef  Ty;

enum { L_MAX_LANES = 64, L_MAX_CARRY = 96 };

/* An error of LLVM where none can be: a mistake of ours. */
static inline void l_check(LLVMErrorRef e) {
    if (e) ICE("LLVM: %s", LLVMGetErrorMessage(e));
}

/* ---- types ------------------------------------------------------------------------------------- */

/* n elements: a vector, or the element type itself for n = 1. */
static inline Ty l_vec(Ty element, int n) { return n == 1 ? element : LLVMVectorType(element, (unsigned)n); }

/* Lanes of a value; 1 for a number. */
static inline int l_lanes(Val v) {
    Ty t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(t) : 1;
}

static inline Ty l_element(Val v) {
    Ty t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetElementType(t) : t;
}

/* ---- constants --------------------------------------------------------------------------------- */

static inline Val l_i64(Codegen *cg, int64_t v) { return LLVMConstInt(cg->i64, (unsigned long long)v, true); }
static inline Val l_i32(Codegen *cg, int64_t v) { return LLVMConstInt(cg->i32, (unsigned long long)v, true); }
static inline Val l_i1(Codegen *cg, bool v) { return LLVMConstInt(cg->i1, v, false); }
static inline Val l_f32(Codegen *cg, double v) { return LLVMConstReal(cg->f32, v); }
static inline Val l_zero(Ty t) { return LLVMConstNull(t); }

/* n copies of a constant. */
static inline Val l_const_splat(Val c, int n) {
    if (n == 1) return c;
    Val lane[L_MAX_LANES];
    for (int i = 0; i < n; i++) lane[i] = c;
    return LLVMConstVector(lane, (unsigned)n);
}

/* v in every lane of a constant with the shape of `like`; the element type is that of `like`, float or integer. */
static inline Val l_real_like(Val like, double v) {
    return l_const_splat(LLVMConstReal(l_element(like), v), l_lanes(like));
}
static inline Val l_int_like(Val like, int64_t v) {
    return l_const_splat(LLVMConstInt(l_element(like), (unsigned long long)v, true), l_lanes(like));
}

/* <first, first + step, ...> of n integers of type t. */
static inline Val l_iota(Ty t, int n, int64_t first, int64_t step) {
    Val lane[L_MAX_LANES];
    for (int i = 0; i < n; i++) lane[i] = LLVMConstInt(t, (unsigned long long)(first + step * i), true);
    return n == 1 ? lane[0] : LLVMConstVector(lane, (unsigned)n);
}

/* ---- intrinsics -------------------------------------------------------------------------------- */

/* `name` overloaded on types[0..ntypes-1]; ICE if LLVM has no such intrinsic. */
static inline Val l_intrinsic(Codegen *cg, const char *name, int ntypes, Ty *types, int nargs, Val *args) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) ICE("LLVM has no %s", name);
    Val fn = LLVMGetIntrinsicDeclaration(cg->module, id, types, (size_t)ntypes);
    Ty  type = LLVMIntrinsicGetType(cg->cx, id, types, (size_t)ntypes);
    return LLVMBuildCall2(cg->b, type, fn, args, (unsigned)nargs, "");
}

static inline Val l_call1(Codegen *cg, const char *name, Val x) {
    Ty t = LLVMTypeOf(x);
    return l_intrinsic(cg, name, 1, &t, 1, &x);
}

/* ---- arithmetic -------------------------------------------------------------------------------- */

static inline Val l_fadd(Codegen *cg, Val a, Val b) { return LLVMBuildFAdd(cg->b, a, b, ""); }
static inline Val l_fsub(Codegen *cg, Val a, Val b) { return LLVMBuildFSub(cg->b, a, b, ""); }
static inline Val l_fmul(Codegen *cg, Val a, Val b) { return LLVMBuildFMul(cg->b, a, b, ""); }
static inline Val l_add(Codegen *cg, Val a, Val b) { return LLVMBuildAdd(cg->b, a, b, ""); }
static inline Val l_sub(Codegen *cg, Val a, Val b) { return LLVMBuildSub(cg->b, a, b, ""); }
static inline Val l_mul(Codegen *cg, Val a, Val b) { return LLVMBuildMul(cg->b, a, b, ""); }
static inline Val l_select(Codegen *cg, Val c, Val x, Val y) { return LLVMBuildSelect(cg->b, c, x, y, ""); }
static inline Val l_fcmp(Codegen *cg, LLVMRealPredicate p, Val a, Val b) { return LLVMBuildFCmp(cg->b, p, a, b, ""); }
static inline Val l_icmp(Codegen *cg, LLVMIntPredicate p, Val a, Val b) { return LLVMBuildICmp(cg->b, p, a, b, ""); }
static inline Val l_bitcast(Codegen *cg, Val v, Ty element) {
    return LLVMBuildBitCast(cg->b, v, l_vec(element, l_lanes(v)), "");
}

/* a b + c: rounded once where the target has the instruction, else twice. f32 or f64. */
static inline Val l_fma(Codegen *cg, Val a, Val b, Val c) {
    if (!cg->target.has_fma) return l_fadd(cg, l_fmul(cg, a, b), c);
    Ty  t = LLVMTypeOf(a);
    Val x[3] = {a, b, c};
    return l_intrinsic(cg, "llvm.fma", 1, &t, 3, x);
}

/* ---- lanes ------------------------------------------------------------------------------------- */

static inline Val l_extract(Codegen *cg, Val v, int lane) {
    return l_lanes(v) == 1 ? v : LLVMBuildExtractElement(cg->b, v, l_i32(cg, lane), "");
}

/* A mask as a number (i64), lane 0 in its lowest bit. */
static inline Val l_mask_bits(Codegen *cg, Val mask) {
    Ty t = LLVMIntTypeInContext(cg->cx, (unsigned)l_lanes(mask));
    return LLVMBuildZExt(cg->b, LLVMBuildBitCast(cg->b, mask, t, ""), cg->i64, "");
}

static inline Val l_insert(Codegen *cg, Val v, Val x, int lane) {
    return LLVMBuildInsertElement(cg->b, v, x, l_i32(cg, lane), "");
}

/* Lanes index[0..n-1] of a and b side by side (numbers or vectors; b may be NULL); -1: any value. A number if n = 1. */
static inline Val l_shuffle(Codegen *cg, Val a, Val b, const int *index, int n) {
    int w = l_lanes(a);
    if (n == 1) return l_extract(cg, index[0] < w ? a : b, index[0] % w);
    if (w == 1) {
        Val v = LLVMGetPoison(l_vec(LLVMTypeOf(a), n));
        for (int i = 0; i < n; i++)
            if (index[i] >= 0) v = l_insert(cg, v, index[i] ? b : a, i);
        return v;
    }
    Val lane[L_MAX_LANES];
    for (int i = 0; i < n; i++) lane[i] = index[i] < 0 ? LLVMGetPoison(cg->i32) : l_i32(cg, index[i]);
    if (!b) b = LLVMGetPoison(LLVMTypeOf(a));
    return LLVMBuildShuffleVector(cg->b, a, b, LLVMConstVector(lane, (unsigned)n), "");
}

/* A number in every lane. */
static inline Val l_splat(Codegen *cg, Val x, int n) {
    if (n == 1) return x;
    if (LLVMIsConstant(x) && !LLVMIsAGlobalValue(x)) return l_const_splat(x, n);
    Val v = l_insert(cg, LLVMGetPoison(l_vec(LLVMTypeOf(x), n)), x, 0);
    return LLVMBuildShuffleVector(cg->b, v, LLVMGetPoison(LLVMTypeOf(v)), LLVMConstNull(l_vec(cg->i32, n)), "");
}

/* All lanes combined by f in a fixed tree (halves onto each other): a number. */
static inline Val l_reduce(Codegen *cg, Val v, Val (*f)(Codegen *, Val, Val)) {
    for (int n = l_lanes(v); n > 1; n /= 2) {
        int low[L_MAX_LANES], high[L_MAX_LANES];
        for (int i = 0; i < n / 2; i++) low[i] = i, high[i] = n / 2 + i;
        v = f(cg, l_shuffle(cg, v, NULL, low, n / 2), l_shuffle(cg, v, NULL, high, n / 2));
    }
    return v;
}

/* <n x i1>: lane i holds where base + i < limit (i64 both). */
static inline Val l_mask_below(Codegen *cg, Val base, Val limit, int n) {
    Val left = LLVMBuildSub(cg->b, limit, base, "");
    return l_icmp(cg, LLVMIntSLT, l_iota(cg->i64, n, 0, 1), l_splat(cg, left, n));
}

/* <n x i1>: lanes from .. to - 1 hold. */
static inline Val l_mask_const(Codegen *cg, int from, int to, int n) {
    Val lane[L_MAX_LANES];
    for (int i = 0; i < n; i++) lane[i] = l_i1(cg, i >= from && i < to);
    return n == 1 ? lane[0] : LLVMConstVector(lane, (unsigned)n);
}

/* ---- memory ------------------------------------------------------------------------------------ */

/* p + index elements of type t; index i64 or, for a vector of pointers, a vector of i64. */
static inline Val l_gep(Codegen *cg, Ty t, Val p, Val index) {
    if (LLVMIsConstant(index) && LLVMIsNull(index) && l_lanes(index) == 1) return p;
    return LLVMBuildInBoundsGEP2(cg->b, t, p, &index, 1, "");
}

static inline Val l_gep_const(Codegen *cg, Ty t, Val p, int64_t index) { return l_gep(cg, t, p, l_i64(cg, index)); }
static inline Val l_bytes(Codegen *cg, Val p, int64_t bytes) { return l_gep_const(cg, cg->i8, p, bytes); }

static inline Val l_load(Codegen *cg, Ty t, Val p, int align) {
    Val v = LLVMBuildLoad2(cg->b, t, p, "");
    LLVMSetAlignment(v, (unsigned)align);
    return v;
}

static inline void l_store(Codegen *cg, Val v, Val p, int align) {
    LLVMSetAlignment(LLVMBuildStore(cg->b, v, p), (unsigned)align);
}

/* Room for a t on the stack, reserved once at the start of the function. */
static inline Val l_alloca(Codegen *cg, Ty t) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(cg->b), entry = LLVMGetEntryBasicBlock(cg->fn);
    Val first = LLVMGetFirstInstruction(entry);
    if (first) LLVMPositionBuilderBefore(cg->b, first);
    Val p = LLVMBuildAlloca(cg->b, t, "");
    LLVMPositionBuilderAtEnd(cg->b, here);
    return p;
}

/* Lanes without `mask` are not touched and give `other`. */
static inline Val l_masked_load(Codegen *cg, Ty t, Val p, int align, Val mask, Val other) {
    Ty  types[2] = {t, cg->ptr};
    Val x[4] = {p, l_i32(cg, align), mask, other};
    return l_intrinsic(cg, "llvm.masked.load", 2, types, 4, x);
}

static inline void l_masked_store(Codegen *cg, Val v, Val p, int align, Val mask) {
    Ty  types[2] = {LLVMTypeOf(v), cg->ptr};
    Val x[4] = {v, p, l_i32(cg, align), mask};
    l_intrinsic(cg, "llvm.masked.store", 2, types, 4, x);
}

/* `pointers`: a vector of ptr (l_gep with a vector index). */
static inline Val l_gather(Codegen *cg, Ty t, Val pointers, int align, Val mask, Val other) {
    Ty  types[2] = {t, LLVMTypeOf(pointers)};
    Val x[4] = {pointers, l_i32(cg, align), mask, other};
    return l_intrinsic(cg, "llvm.masked.gather", 2, types, 4, x);
}

/* ---- control ----------------------------------------------------------------------------------- */

static inline LLVMBasicBlockRef l_block(Codegen *cg, const char *name) {
    return LLVMAppendBasicBlockInContext(cg->cx, cg->fn, name);
}
static inline LLVMBasicBlockRef l_here(Codegen *cg) { return LLVMGetInsertBlock(cg->b); }
static inline void l_at(Codegen *cg, LLVMBasicBlockRef block) { LLVMPositionBuilderAtEnd(cg->b, block); }

/* for (i = lo; i < hi; i += step), with values carried from pass to pass:
 *
 *     Loop l = l_loop(cg, lo, hi, step, n, carry);     carry[] becomes the values at the start of a pass
 *     ... l.i ... carry[k] = the value for the next pass ...
 *     l_loop_end(cg, &l, carry);                       carry[] becomes the values after the last pass
 *
 * The test is at the bottom; a test above guards loops that may have no pass. */
typedef struct {
    LLVMBasicBlockRef before, head, exit;
    Val i, hi, step;
    bool guarded;
    int  n;
    Val  first[L_MAX_CARRY], phi[L_MAX_CARRY];
} Loop;

static inline Loop l_loop(Codegen *cg, Val lo, Val hi, int64_t step, int n, Val *carry) {
    if (n > L_MAX_CARRY) ICE("a loop that carries %d values", n);
    Loop l = {.before = l_here(cg), .head = l_block(cg, "loop"), .exit = l_block(cg, "done"), .hi = hi, .n = n};
    l.step = LLVMConstInt(LLVMTypeOf(lo), (unsigned long long)step, true);
    l.guarded = !LLVMIsAConstantInt(lo) || !LLVMIsAConstantInt(hi) ||
                LLVMConstIntGetSExtValue(lo) >= LLVMConstIntGetSExtValue(hi);
    if (l.guarded)
        LLVMBuildCondBr(cg->b, l_icmp(cg, LLVMIntSLT, lo, hi), l.head, l.exit);
    else
        LLVMBuildBr(cg->b, l.head);
    l_at(cg, l.head);
    l.i = LLVMBuildPhi(cg->b, LLVMTypeOf(lo), "i");
    LLVMAddIncoming(l.i, &lo, &l.before, 1);
    for (int k = 0; k < n; k++) {
        l.first[k] = carry[k];
        l.phi[k] = LLVMBuildPhi(cg->b, LLVMTypeOf(carry[k]), "");
        LLVMAddIncoming(l.phi[k], &carry[k], &l.before, 1);
        carry[k] = l.phi[k];
    }
    return l;
}

static inline void l_loop_end(Codegen *cg, Loop *l, Val *carry) {
    Val next = LLVMBuildNSWAdd(cg->b, l->i, l->step, "");
    LLVMBasicBlockRef latch = l_here(cg);
    LLVMBuildCondBr(cg->b, l_icmp(cg, LLVMIntSLT, next, l->hi), l->head, l->exit);
    LLVMAddIncoming(l->i, &next, &latch, 1);
    for (int k = 0; k < l->n; k++) LLVMAddIncoming(l->phi[k], &carry[k], &latch, 1);
    l_at(cg, l->exit);
    for (int k = 0; k < l->n && l->guarded; k++) {
        Val out = LLVMBuildPhi(cg->b, LLVMTypeOf(carry[k]), "");
        LLVMAddIncoming(out, &l->first[k], &l->before, 1);
        LLVMAddIncoming(out, &carry[k], &latch, 1);
        carry[k] = out;
    }
}

/* if (cond) { ... }: what is emitted between l_if and l_if_end runs where cond holds. */
typedef struct {
    LLVMBasicBlockRef end;
} If;

static inline If l_if(Codegen *cg, Val cond) {
    LLVMBasicBlockRef then = l_block(cg, "then");
    If                s = {.end = l_block(cg, "end")};
    LLVMBuildCondBr(cg->b, cond, then, s.end);
    l_at(cg, then);
    return s;
}

static inline void l_if_end(Codegen *cg, If *s) {
    LLVMBuildBr(cg->b, s->end);
    l_at(cg, s->end);
}

/* ---- attributes -------------------------------------------------------------------------------- */

/* An enum attribute ("noalias", "nounwind") of the function (LLVMAttributeFunctionIndex) or parameter 1... */
static inline void l_attribute(Codegen *cg, Val fn, unsigned index, const char *name, uint64_t value) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, index, LLVMCreateEnumAttribute(cg->cx, kind, value));
}

static inline void l_attribute_text(Codegen *cg, Val fn, const char *name, const char *value) {
    LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(cg->cx, name, (unsigned)strlen(name), value,
                                                      (unsigned)strlen(value)));
}

/* A load of what does not change during the call (a field of args, a pointer table). */
static inline Val l_load_invariant(Codegen *cg, Ty t, Val p, int align) {
    Val      v = l_load(cg, t, p, align);
    unsigned kind = LLVMGetMDKindIDInContext(cg->cx, "invariant.load", 14);
    LLVMSetMetadata(v, kind, LLVMMetadataAsValue(cg->cx, LLVMMDNodeInContext2(cg->cx, NULL, 0)));
    return v;
}

#endif
