#include "tests/random/compiled.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "passes/kernels.h"
#include "tests/unit/client/call_threads.h"

enum { SLACK = 64, PAGE = 4096, SPACES = SPACE_CONST + 1 };

static const char *key_of(const Node *n) {
    return n->op == OP_INPUT ? n->u.input.key : n->op == OP_PARAM ? n->u.param.key : n->u.state.key;
}

static int64_t bytes_of(const Node *n) { return type_count(&n->type) * dtype_size(n->type.dtype); }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* ---- where leaves lie ---------------------------------------------------------------------------------------- */

typedef struct {
    const Node *leaf;
    Place       place;
} Slot;

struct CompiledLeaves {
    Arena    *a;
    VEC(Slot) slots;
    int64_t   used[SPACES];     /* bytes; SPACE_SCALAR: numbers */
};

static Place place_leaf(void *cx, const Node *leaf) {
    CompiledLeaves *l = cx;
    Space space = leaf->op == OP_INPUT ? SPACE_SCALAR : leaf->op == OP_PARAM ? SPACE_WEIGHTS
                : leaf->u.state.kind == STATE_OPT ? SPACE_OPT : SPACE_STATE;
    for (int i = 0; i < l->slots.n; i++)
        if (l->slots.at[i].place.space == space && !strcmp(key_of(l->slots.at[i].leaf), key_of(leaf)))
            return l->slots.at[i].place;
    Place p = {.space = space, .offset = l->used[space]};
    l->used[space] += space == SPACE_SCALAR ? 1 : round_up(bytes_of(leaf), SLACK);
    vec_push(l->a, &l->slots, ((Slot){leaf, p}));
    return p;
}

/* ---- compiling ----------------------------------------------------------------------------------------------- */

Compiled *compiled_new(Arena *a, Graph *g, const CompileHow *how, const char **why) {
    Compiled *c = ARENA_NEW(a, Compiled);
    *c = (Compiled){.a = a, .g = g, .leaves = ARENA_NEW(a, CompiledLeaves)};
    c->leaves->a = a;
    KernelOptions o = {.level = how->level, .off = how->off, .place = place_leaf, .cx = c->leaves};
    Target        t;
    target_row(&t, how->target);
    c->k = kernels_build(a, g, &t, &o);
    if (!kernels_check_plan(c->k, a, why)) return NULL;
    c->cg = codegen_new(a, &t, how->level, "random");
    codegen_function(c->cg, c->k);
    codegen_function_table(c->cg, "random_functions");
    if (!codegen_jit(c->cg, why)) return NULL;
    c->fn = (netc_function *)codegen_function_address(c->cg, c->k->name);
    if (!c->fn) *why = "the function has no address";
    return c->fn ? c : NULL;
}

netc_function *compiled_from_object(Compiled *c, const char *folder, const char **why) {
    const char *o = arena_printf(c->a, "%s/random.o", folder), *so = arena_printf(c->a, "%s/random.so", folder);
    if (!codegen_object(c->cg, o, why)) return NULL;
    *why = "the object file cannot be linked and loaded";
    if (system(arena_printf(c->a, "cc -shared -nostdlib -o %s %s", so, o))) return NULL;
    void *loaded = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    const netc_function_entry *table = loaded ? dlsym(loaded, "random_functions") : NULL;
    for (; table && table->name; table++)
        if (!strcmp(table->name, c->k->name)) return table->fn;
    return NULL;
}

void compiled_free(Compiled *c) { codegen_free(c->cg); }

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* `size` bytes and the slack that may be read, full of `paint`, aligned to 64 bytes, beside a page that cannot be
 * touched. */
static char *block(const RunHow *how, int64_t size, uint32_t paint) {
    int64_t room = round_up(size + SLACK, PAGE);
    char *base = mmap(NULL, (size_t)(room + 2 * PAGE), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p = base + PAGE;
    if (base == MAP_FAILED || mprotect(p, (size_t)room, PROT_READ | PROT_WRITE)) return NULL;
    for (int64_t i = 0; i < room / 4; i++) ((uint32_t *)p)[i] = paint;
    return how->low ? p : p + (room - round_up(size, SLACK) - SLACK);
}

static void lock(const char *p, int64_t size) {
    char *from = (char *)((uintptr_t)p & ~(uintptr_t)(PAGE - 1));
    mprotect(from, (size_t)round_up(p + size - from, PAGE), PROT_READ);
}

static void write_numbers(const Node *n, char *to, const double *v, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (n->type.dtype == DT_F32) ((float *)to)[i] = (float)v[i];
        else if (n->type.dtype == DT_I32) ((int32_t *)to)[i] = (int32_t)v[i];
        else ((uint8_t *)to)[i] = (uint8_t)v[i];
    }
}

double compiled_number(DType t, const char *bytes, int64_t i) {
    if (t == DT_F32) return ((const float *)bytes)[i];
    if (t == DT_I32) return ((const int32_t *)bytes)[i];
    return ((const uint8_t *)bytes)[i];
}

/* ---- a run --------------------------------------------------------------------------------------------------- */

typedef struct {
    Compiled     *c;
    const RunHow *how;
    char         *space[SPACES];
    const void  **in;
    void        **out;
} Memory;

static bool is_target(const Graph *g, const Node *leaf) {
    for (int i = 0; i < g->outs.n; i++)
        if (g->outs.at[i].target && !strcmp(key_of(g->outs.at[i].target), key_of(leaf))) return true;
    return false;
}

static char *leaf_at(const Memory *m, const Slot *s) {
    return m->space[s->place.space] + s->place.offset * (s->place.space == SPACE_SCALAR ? 4 : 1);
}

bool compiled_lives(const InterpEnv *env, const Type *t, int64_t e) {
    for (int d = t->rank - 1; d >= 0; e /= t->dim[d].size, d--) {
        int64_t bound = env->bound[t->dim[d].bound];
        if (t->dim[d].bound && bound && e % t->dim[d].size >= bound) return false;
    }
    return true;
}

/* The numbers of a leaf that a call with these bounds has. */
static void write_live(const RunHow *how, const Node *n, char *to) {
    const double *v = how->env->leaf(how->env->cx, n);
    for (int64_t e = 0, size = dtype_size(n->type.dtype); e < type_count(&n->type); e++)
        if (compiled_lives(how->env, &n->type, e)) write_numbers(n, to + e * size, v + e, 1);
}

static void fill_memory(Memory *m) {
    Compiled *c = m->c;
    for (int s = 0; s < SPACES; s++)
        m->space[s] = block(m->how, c->leaves->used[s] * (s == SPACE_SCALAR ? 4 : 1), 0x7fc00000);
    for (int i = 0; i < c->leaves->slots.n; i++) {
        const Slot *s = &c->leaves->slots.at[i];
        write_live(m->how, s->leaf, leaf_at(m, s));
    }
    lock(m->space[SPACE_SCALAR], c->leaves->used[SPACE_SCALAR] * 4);
    m->in = ARENA_ARRAY(c->a, const void *, c->k->nin + 1);
    for (int i = 0; i < c->k->nin; i++) {
        const Node *n = c->k->in[i];
        char       *p = block(m->how, bytes_of(n), 0x7fc00000);
        write_live(m->how, n, p);
        lock(p, bytes_of(n));
        m->in[i] = p;
    }
    m->out = ARENA_ARRAY(c->a, void *, c->k->nout + 1);
    for (int i = 0; i < c->k->nout; i++) m->out[i] = block(m->how, bytes_of(c->k->out[i].value), m->how->paint);
}

/* Bytes from..to of p still hold the paint. */
static bool painted(const char *p, int64_t from, int64_t to, uint32_t paint) {
    for (int64_t i = from; i < to; i++)
        if ((uint8_t)p[i] != (uint8_t)(paint >> 8 * ((uintptr_t)(p + i) % 4))) return false;
    return true;
}

static bool is_painted(const RunHow *how, const Node *n, const char *p) {
    int64_t size = dtype_size(n->type.dtype), count = type_count(&n->type);
    for (int64_t e = 0; e < count; e++)
        if (!compiled_lives(how->env, &n->type, e) && !painted(p, e * size, (e + 1) * size, how->paint)) return false;
    return painted(p, count * size, round_up(bytes_of(n), SLACK), how->paint);
}

static bool unchanged(const Memory *m, const Slot *s) {
    int64_t size = dtype_size(s->leaf->type.dtype);
    char   *was = arena_alloc(m->c->a, (size_t)bytes_of(s->leaf) + 1), *is = leaf_at(m, s);
    write_live(m->how, s->leaf, was);
    for (int64_t e = 0; e < type_count(&s->leaf->type); e++)
        if (compiled_lives(m->how->env, &s->leaf->type, e) && memcmp(was + e * size, is + e * size, (size_t)size))
            return false;
    return true;
}

/* Outputs are written below the bounds only, leaves that get no new value not at all. */
static const char *check_memory(const Memory *m) {
    Compiled *c = m->c;
    for (int i = 0; i < c->k->nout; i++)
        if (!is_painted(m->how, c->k->out[i].value, m->out[i]))
            return arena_printf(c->a, "output %s is written past its bounds", c->k->out[i].name);
    for (int i = 0; i < c->leaves->slots.n; i++) {
        const Slot *s = &c->leaves->slots.at[i];
        if (!is_target(c->g, s->leaf) && !unchanged(m, s))
            return arena_printf(c->a, "%s is written, though no output sets it", key_of(s->leaf));
    }
    return NULL;
}

char **compiled_run(Compiled *c, const RunHow *how, const char **why) {
    Memory m = {.c = c, .how = how};
    fill_memory(&m);
    const InterpEnv *env = how->env;
    char     *arena = block(how, round_up(c->k->arena_size, SLACK) - SLACK, how->paint);
    netc_args args = {.in = m.in, .out = m.out, .weights = (float *)m.space[SPACE_WEIGHTS],
                      .opt = (float *)m.space[SPACE_OPT], .state = (float *)m.space[SPACE_STATE], .arena = arena,
                      .scalars = (const float *)m.space[SPACE_SCALAR], .seed = env->seed, .step = env->step,
                      .bound = {0, 1}};
    for (int i = 1; i < c->g->bounds.n; i++)
        args.bound[i] = env->bound[i] ? env->bound[i] : c->g->bounds.at[i].size;
    call_threads(c->fn, &args, how->threads);
    *why = check_memory(&m);
    if (*why) return NULL;
    char **out = ARENA_ARRAY(c->a, char *, c->g->outs.n);
    for (int i = 0, v = 0; i < c->g->outs.n; i++) {
        const Output *o = &c->g->outs.at[i];
        if (o->kind == OUT_VALUE) out[i] = m.out[v++];
        else out[i] = m.space[c->k->place[o->target->id].space] + c->k->place[o->target->id].offset;
    }
    return out;
}
