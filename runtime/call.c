#include "runtime/call.h"

#include <stdlib.h>
#include <string.h>

/* What a scalar of the description is; hypers are their index. */
enum { SCALAR_STEP = -1, SCALAR_EPOCH = -2, SCALAR_BATCHES = -3, SCALAR_PROGRESS = -4 };

/* ---- engine ------------------------------------------------------------------------------------------ */

static int scalar_kind(const netc_model *m, const char *name, int *kind) {
    static const struct { const char *name; int kind; } FIXED[] = {
        {"step", SCALAR_STEP}, {"epoch", SCALAR_EPOCH}, {"batches", SCALAR_BATCHES}, {"progress", SCALAR_PROGRESS}};
    for (size_t i = 0; i < sizeof FIXED / sizeof *FIXED; i++)
        if (!strcmp(name, FIXED[i].name)) {
            *kind = FIXED[i].kind;
            return NETC_EXIT_OK;
        }
    for (int i = 0; i < m->nhyper; i++)
        if (!strncmp(name, "hyper.", 6) && !strcmp(name + 6, m->hyper[i].name)) {
            *kind = i;
            return NETC_EXIT_OK;
        }
    return netc_error(NETC_EXIT_INTERNAL, "description: unknown scalar '%s'", name);
}

static int read_scalars(netc_engine *e) {
    const netc_json *list = netc_json_get(netc_json_root(e->model->doc), "scalars");
    uint32_t         n = netc_json_is(list, NETC_JSON_ARRAY) ? list->count : 0;
    e->scalars = netc_array(n + 1, sizeof *e->scalars);
    e->scalar_kind = netc_array(n + 1, sizeof *e->scalar_kind);
    for (const netc_json *s = netc_json_first(list); s; s = s->next) {
        int code = scalar_kind(e->model, netc_json_string(s, ""), &e->scalar_kind[e->nscalar++]);
        if (code) return code;
    }
    return NETC_EXIT_OK;
}

int netc_engine_new(netc_engine *e, netc_model *m, int threads, netc_pool *pool) {
    *e = (netc_engine){.model = m, .pool = pool};
    int code = netc_model_check_cpu(m);
    if (!code) code = read_scalars(e);
    for (int i = 0; i < m->nfunc; i++)
        if (m->func[i].arena > e->arena_size) e->arena_size = m->func[i].arena;
    if (!code && !(e->arena = netc_block_new(e->arena_size, "scratch of the compiled functions")))
        code = NETC_EXIT_LIMIT;
    if (code) {
        netc_engine_free(e);
        return code;
    }
    if (!pool) {
        e->pool = netc_pool_new(threads);
        e->owns_pool = true;
    }
    return NETC_EXIT_OK;
}

void netc_engine_free(netc_engine *e) {
    if (e->owns_pool) netc_pool_free(e->pool);
    netc_block_free(e->arena, e->arena_size);
    free(e->scalars);
    free(e->scalar_kind);
    *e = (netc_engine){0};
}

static void set_scalars(netc_engine *e, const netc_time *t) {
    for (int i = 0; i < e->nscalar; i++) {
        int kind = e->scalar_kind[i];
        e->scalars[i] = kind == SCALAR_STEP      ? (float)t->step
                        : kind == SCALAR_EPOCH   ? (float)t->epoch
                        : kind == SCALAR_BATCHES ? (float)t->batches
                        : kind == SCALAR_PROGRESS
                            ? (float)((double)t->step / ((double)t->epochs * (double)t->batches))
                            : e->model->hyper[kind].value;
    }
}

/* ---- calls ------------------------------------------------------------------------------------------- */

/* Room of a port's buffer: whole rows, 64 bytes readable past the end, the next one aligned. */
static bool port_room(const netc_model *m, const netc_port *p, uint64_t *room) {
    uint64_t bytes;
    if (!netc_mul((uint64_t)p->row_bytes, p->rows ? (uint64_t)m->batch : 1, &bytes)) return false;
    if (!netc_add(bytes, 64 + 63, &bytes)) return false;
    *room = bytes & ~UINT64_C(63);
    return true;
}

static bool layout(const netc_model *m, const netc_port *port, int n, void **at, char *block, uint64_t *size) {
    for (int i = 0; i < n; i++) {
        uint64_t room;
        if (!port_room(m, &port[i], &room)) return false;
        if (block) at[i] = block + *size;
        if (!netc_add(*size, room, size)) return false;
    }
    return true;
}

int netc_call_new(netc_call *c, netc_engine *e, const char *function) {
    const netc_model *m = e->model;
    const netc_func  *f = netc_model_func(m, function);
    *c = (netc_call){.engine = e, .func = f};
    if (!f) return netc_error(NETC_EXIT_INTERNAL, "the compiled model has no function '%s'", function);
    if (!layout(m, f->in, f->nin, NULL, NULL, &c->block_size) ||
        !layout(m, f->out, f->nout, NULL, NULL, &c->block_size))
        return netc_error(NETC_EXIT_LIMIT, "function %s: its arguments do not fit into memory", function);
    c->block = netc_block_new(c->block_size, function);
    if (!c->block) return NETC_EXIT_LIMIT;
    c->in = netc_array((size_t)f->nin + 1, sizeof *c->in);
    c->out = netc_array((size_t)f->nout + 1, sizeof *c->out);
    uint64_t size = 0;
    layout(m, f->in, f->nin, c->in, c->block, &size);
    layout(m, f->out, f->nout, c->out, c->block, &size);
    return NETC_EXIT_OK;
}

void netc_call_free(netc_call *c) {
    if (c->block) netc_block_free(c->block, c->block_size);
    free(c->in);
    free(c->out);
    *c = (netc_call){0};
}

static int find_port(const netc_port *p, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(p[i].name, name)) return i;
    return -1;
}

int netc_call_in(const netc_call *c, const char *name) { return find_port(c->func->in, c->func->nin, name); }

int netc_call_out(const netc_call *c, const char *name) { return find_port(c->func->out, c->func->nout, name); }

typedef struct {
    netc_function   *fn;
    const netc_args *args;
} region;

static void run_region(void *cx, uint32_t tid, uint32_t nthreads) {
    const region *r = cx;
    r->fn(r->args, tid, nthreads);
}

/* The rows, and for each ragged dim the longest length of the batch. */
static void set_bounds(const netc_call *c, int64_t rows, int64_t *bound) {
    const netc_func *f = c->func;
    bound[1] = rows;
    for (int k = 2; k < f->nbound; k++) {
        const int32_t *length = f->bound_in[k] < 0 ? NULL : c->in[f->bound_in[k]];
        bound[k] = length ? 1 : f->bound_size[k];
        for (int64_t r = 0; length && r < rows; r++)
            if (length[r] > bound[k]) bound[k] = length[r];
    }
}

int netc_call_ready(const netc_call *c) {
    return netc_model_code(c->engine->model, c->func->name) ? NETC_EXIT_OK : NETC_EXIT_INTERNAL;
}

void netc_call_run(netc_call *c, netc_blocks *b, const netc_time *t, uint64_t seed, int64_t count) {
    netc_engine *e = c->engine;
    set_scalars(e, t);
    netc_args args = {
        .in = (const void *const *)c->in, .out = (void *const *)c->out, .weights = b->weights, .opt = b->opt,
        .state = b->state, .arena = e->arena, .scalars = e->scalars, .seed = seed, .step = (uint64_t)t->step,
        .barrier = netc_pool_threads(e->pool) > 1 ? netc_pool_barrier : NULL, .pool = e->pool};
    set_bounds(c, count, args.bound);
    netc_pool_run(e->pool, run_region,
                  &(region){c->func->fn ? c->func->fn : netc_model_code(e->model, c->func->name), &args});
}

/* ---- feeds ------------------------------------------------------------------------------------------- */

static int find_field(const netc_model *m, const char *name) { return find_port(m->field, m->nfield, name); }

/* The expand function takes one field and the variant's integers, and makes that field anew. */
static int start_expand(netc_feed *f, netc_engine *e) {
    const netc_split *s = f->split;
    int               code = netc_call_new(&f->expand, e, s->function);
    if (code) return code;
    const netc_func *x = f->expand.func;
    if (x->nin == 1 + s->nargs && x->nout == 1 && x->in[0].row_bytes == e->model->field[s->field].row_bytes &&
        x->out[0].row_bytes == x->in[0].row_bytes)
        return NETC_EXIT_OK;
    return netc_error(NETC_EXIT_INTERNAL, "description: %s does not fit the data of split %s", s->function, s->name);
}

int netc_feed_new(netc_feed *f, const netc_split *s, netc_call *call) {
    netc_engine      *e = call->engine;
    const netc_model *m = e->model;
    const netc_func  *fn = call->func;
    *f = (netc_feed){.split = s, .call = call};
    f->field = netc_array((size_t)fn->nin + 1, sizeof *f->field);
    f->position = netc_array((size_t)m->batch, sizeof *f->position);
    for (int i = 0; i < fn->nin; i++) {
        int k = find_field(m, fn->in[i].name);
        int32_t length;
        f->field[i] = -1;
        if (fn->in[i].lengths && netc_batch_lengths(s, &(int64_t){0}, 1, fn->in[i].name, &length)) continue;
        if (k < 0)
            return netc_error(NETC_EXIT_DATA, "function %s: the data block %s has no field '%s'", fn->name,
                              m->data_name ? m->data_name : "", fn->in[i].name);
        if (m->field[k].dtype != fn->in[i].dtype || m->field[k].row_bytes != fn->in[i].row_bytes) {
            const netc_port *have = &m->field[k], *want = &fn->in[i];
            char             a[NETC_SHAPE_TEXT], b[NETC_SHAPE_TEXT];
            return netc_error(NETC_EXIT_DATA, "field %s is %s%s in the data block, %s%s in %s", want->name,
                              netc_dtype_text(have->dtype), netc_shape_text(have->rank, have->shape, a),
                              netc_dtype_text(want->dtype), netc_shape_text(want->rank, want->shape, b), fn->name);
        }
        f->field[i] = k;
    }
    int code = netc_call_new(&f->other, e, fn->name);
    return code || !s->function ? code : start_expand(f, e);
}

void netc_feed_free(netc_feed *f) {
    if (f->call) netc_pool_finish(f->call->engine->pool);
    netc_call_free(&f->other);
    netc_call_free(&f->expand);
    free(f->field);
    free(f->position);
    *f = (netc_feed){0};
}

static bool is_expanded(const netc_feed *f, int i) { return f->split->function && f->field[i] == f->split->field; }

static char *row_at(const netc_port *p, void *block, int64_t row) {
    return (char *)block + (p->rows ? (size_t)row * (size_t)p->row_bytes : 0);
}

/* Row `row` of the batch, while a later one is on its way from memory. What is expanded is gathered for the function
 * that does it. */
static void gather_row(void *cx, uint32_t row) {
    enum { AHEAD = 3 };
    netc_feed       *f = cx;
    const netc_func *fn = f->call->func;
    const int64_t   *at = f->position + row;
    for (int i = 0; i < fn->nin; i++) {
        if (f->field[i] < 0) {
            netc_batch_lengths(f->split, at, 1, fn->in[i].name, (int32_t *)f->other.in[i] + row);
            continue;
        }
        const netc_call *x = is_expanded(f, i) ? &f->expand : NULL;
        for (int64_t k = row ? AHEAD : 0; k <= AHEAD && row + k < f->rows; k++)
            netc_batch_prefetch(f->split, at[k], f->field[i]);
        netc_batch_gather(f->split, at, 1, f->field[i],
                          x ? row_at(&x->func->in[0], x->in[0], row) : row_at(&fn->in[i], f->other.in[i], row));
        for (int k = 0; x && k < f->split->nargs; k++)
            netc_batch_variant(f->split, at, 1, k, (int32_t *)x->in[1 + k] + row);
    }
}

void netc_feed_start(netc_feed *f, const int64_t *position, int64_t n) {
    netc_pool_finish(f->call->engine->pool);
    memmove(f->position, position, (size_t)n * sizeof *position);
    f->rows = n;
    netc_pool_meanwhile(f->call->engine->pool, gather_row, f, (uint32_t)n);
}

void netc_feed_take(netc_feed *f, netc_blocks *b) {
    netc_pool_finish(f->call->engine->pool);
    for (int i = 0; i < f->call->func->nin; i++) {
        void *filled = f->other.in[i];
        f->other.in[i] = f->call->in[i];
        f->call->in[i] = filled;
        if (!is_expanded(f, i)) continue;
        f->expand.out[0] = filled;
        netc_call_run(&f->expand, b, &(netc_time){.batches = 1, .epochs = 1}, 0, f->rows);
    }
    f->rows = 0;
}
