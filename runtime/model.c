/* The description as structs. It comes from netc itself, but as text inside a file: it is checked
 * wholly here, so that nothing else has to.
 */
#include "runtime/model.h"

#include <stdlib.h>
#include <string.h>

/* Where a broken description is found; all parsers stop at the first mistake. */
typedef struct {
    netc_model *m;
    bool        broken;
} parser;

static void fail(parser *p, const char *where, const char *what) {
    if (!p->broken) netc_error(NETC_EXIT_INTERNAL, "the description of the model is broken: %s: %s", where, what);
    p->broken = true;
}

/* An array of `size`-byte structs for the members of v, with their number in *n. */
static void *members(const netc_json *v, int *n, size_t size) {
    *n = netc_json_is(v, NETC_JSON_ARRAY) ? (int)v->count : 0;
    return netc_array((size_t)*n, size);
}

static const char *text(parser *p, const netc_json *v, const char *key) {
    const char *s = netc_json_string(netc_json_get(v, key), NULL);
    if (!s) fail(p, key, "a text is missing");
    return s ? s : "";
}

static uint64_t bytes(parser *p, const netc_json *v, const char *key) {
    int64_t n = netc_json_int(netc_json_get(v, key), -1);
    if (n < 0) fail(p, key, "a number of bytes is missing");
    return n < 0 ? 0 : (uint64_t)n;
}

static const char **texts(const netc_json *v, int *n) {
    const char **s = members(v, n, sizeof *s);
    int i = 0;
    for (const netc_json *e = netc_json_first(v); e; e = e->next) s[i++] = netc_json_string(e, "");
    return s;
}

/* Fills shape; returns the number of elements. */
static int64_t shape(parser *p, const netc_json *v, const char *name, int *rank, int64_t *axis) {
    const netc_json *list = netc_json_get(v, "shape");
    uint64_t count = 1;
    *rank = 0;
    if (!netc_json_is(list, NETC_JSON_ARRAY) || list->count > NETC_MAX_RANK) {
        fail(p, name, "its shape is missing or has more than 8 axes");
        return 0;
    }
    for (const netc_json *e = netc_json_first(list); e; e = e->next) {
        int64_t n = netc_json_int(e, 0);
        if (n < 1 || !netc_mul(count, (uint64_t)n, &count) || count > UINT64_C(1) << 40) {
            fail(p, name, "its shape is not possible");
            return 0;
        }
        axis[(*rank)++] = n;
    }
    return (int64_t)count;
}

/* The ragged dims among the axes. One that is no dim of the model is a formula (T-1), whose lengths are a result. */
static void parse_axes(parser *p, const netc_json *v, netc_port *port) {
    const netc_json *axes = netc_json_get(v, "axes");
    int k = 0;
    for (const netc_json *e = netc_json_first(axes); e; e = e->next, k++) {
        if (k == port->rank) return fail(p, port->name, "has more names of axes than axes");
        const netc_dim *d = NULL;
        port->axis[k] = netc_json_string(e, NULL);
        port->ragged |= port->axis[k] != NULL;
        if (port->axis[k] && (d = netc_model_dim(p->m, port->axis[k])) && d->size != port->shape[k])
            fail(p, port->name, "an axis is not of the dim that it names");
    }
    port->lengths = netc_json_bool(netc_json_get(v, "lengths"), false);
    if (port->lengths && (port->dtype != NETC_I32 || port->rank)) fail(p, port->name, "lengths are one i32 per row");
}

static void parse_port(parser *p, const netc_json *v, netc_port *port) {
    static const struct { const char *text; netc_dtype dtype; } TYPES[] = {
        {"f32", NETC_F32}, {"i32", NETC_I32}, {"u8", NETC_U8}, {"pred", NETC_BOOL}};
    const char *dtype = text(p, v, "dtype");
    int k = 0;
    port->name = text(p, v, "name");
    while (k < 4 && strcmp(TYPES[k].text, dtype)) k++;
    if (k == 4) fail(p, port->name, "its dtype is none of f32, i32, u8, pred");
    else port->dtype = TYPES[k].dtype;
    port->count = shape(p, v, port->name, &port->rank, port->shape);
    port->row_bytes = (size_t)port->count * (size_t)netc_dtype_size(port->dtype);
    port->rows = netc_json_bool(netc_json_get(v, "rows"), true);
    port->dim = netc_json_string(netc_json_get(v, "dim"), NULL);
    port->size = netc_json_int(netc_json_get(v, "size"), 0);
    if (port->dim && port->size < 1) fail(p, port->name, "the size of its dim is missing");
    parse_axes(p, v, port);
}

/* The lengths of every ragged dim that is none of the model's are among the results `out`. */
static void check_axes(parser *p, const netc_port *port, int n, const netc_port *out, int nout) {
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < port[i].rank; k++) {
            const char *dim = port[i].axis[k];
            bool        known = !dim || netc_model_dim(p->m, dim);
            for (int r = 0; r < nout && !known; r++) known = out[r].lengths && !strcmp(out[r].name, dim);
            if (!known) fail(p, port[i].name, "an axis is not of the dim that it names");
        }
        if (port[i].lengths && port != out && !netc_model_dim(p->m, port[i].name))
            fail(p, port[i].name, "lengths of no dim");
    }
}

static netc_port *parse_ports(parser *p, const netc_json *v, int *n) {
    netc_port *port = members(v, n, sizeof *port);
    int i = 0;
    for (const netc_json *e = netc_json_first(v); e; e = e->next) parse_port(p, e, &port[i++]);
    return port;
}

/* Slots of a block of `size` bytes. */
static netc_slot *parse_slots(parser *p, const netc_json *v, int *n, uint64_t size) {
    netc_slot *slot = members(v, n, sizeof *slot);
    int i = 0;
    for (const netc_json *e = netc_json_first(v); e; e = e->next, i++) {
        netc_slot *s = &slot[i];
        s->key = text(p, e, "key");
        s->count = shape(p, e, s->key, &s->rank, s->shape);
        s->offset = bytes(p, e, "offset");
        s->lane = netc_json_bool(netc_json_get(e, "lane"), false);
        s->orthogonal = netc_json_bool(netc_json_get(e, "orthogonal"), false);
        s->init = netc_json_string(netc_json_get(e, "init"), "");
        s->first = (float)netc_json_number(netc_json_get(e, "init"), 0);
        if (s->lane) s->count *= p->m->batch;
        if (s->lane && s->rank == NETC_MAX_RANK) fail(p, s->key, "has no room for the axis of the rows");
        uint64_t need = (uint64_t)s->count * sizeof(float);
        bool inside = s->offset % sizeof(float) == 0 && s->offset <= size && size - s->offset >= need;
        if (!inside) fail(p, s->key, "lies outside of its block");
    }
    return slot;
}

/* The bounds of a function: the rows, then ragged dims, each the longest of the lengths in the input of its name. */
static void parse_bounds(parser *p, const netc_json *v, netc_func *f) {
    f->nbound = 1;
    for (const netc_json *e = netc_json_first(v); e; e = e->next) {
        if (f->nbound == NETC_BOUNDS) {
            fail(p, f->name, "it has too many bounds");
            return;
        }
        int k = f->nbound++;
        f->bound[k] = netc_json_string(e, "");
        f->bound_in[k] = -1;
        const netc_dim *d = k > 1 ? netc_model_dim(p->m, f->bound[k]) : NULL;
        f->bound_size[k] = k == 1 ? p->m->batch : d ? d->size : 0;
        if (f->bound_size[k] < 1) fail(p, f->name, "a bound is no dim of the model");
        for (int i = 0; k > 1 && i < f->nin; i++)
            if (f->in[i].lengths && !strcmp(f->in[i].name, f->bound[k])) f->bound_in[k] = i;
    }
}

static void parse_funcs(parser *p, const netc_json *v, const netc_function_entry *table) {
    netc_model *m = p->m;
    m->func = members(v, &m->nfunc, sizeof *m->func);
    int i = 0;
    for (const netc_json *e = netc_json_first(v); e; e = e->next, i++) {
        netc_func *f = &m->func[i];
        f->name = text(p, e, "name");
        f->arena = bytes(p, e, "arena");
        f->in = parse_ports(p, netc_json_get(e, "in"), &f->nin);
        f->out = parse_ports(p, netc_json_get(e, "out"), &f->nout);
        check_axes(p, f->in, f->nin, NULL, 0);
        check_axes(p, f->out, f->nout, f->out, f->nout);
        parse_bounds(p, netc_json_get(e, "bounds"), f);
        const netc_function_entry *t = table;
        while (t && t->name && strcmp(t->name, f->name)) t++;
        if (t && t->name) f->fn = t->fn;
        else fail(p, f->name, "its code is missing");
    }
}

static void parse_names(parser *p, const netc_json *root) {
    netc_model *m = p->m;
    m->version = text(p, root, "netc");
    m->name = text(p, root, "name");
    m->model = text(p, root, "model");
    m->hash = text(p, root, "hash");
    m->target = text(p, root, "target");
    m->cpu = texts(netc_json_get(root, "cpu"), &m->ncpu);
    m->batch = netc_json_int(netc_json_get(root, "batch"), 0);
    if (m->batch < 1 || m->batch > INT32_MAX) fail(p, "batch", "is not possible");
    m->beam = netc_json_int(netc_json_get(root, "beam"), 0);
    m->step_flops = netc_json_number(netc_json_get(root, "step_flops"), 0);
}

/* The symbols of a vocabulary, if the description has them. */
static void parse_vocab(parser *p, netc_dim *d) {
    if (!netc_json_get(d->vocab, "symbols")) return;
    if (netc_vocab_from_json(&d->table, d->vocab)) fail(p, d->name, "its symbols are missing or stand twice");
    else if (d->table.count != d->size) fail(p, d->name, "its size is not the number of its symbols");
}

static void parse_dims(parser *p, const netc_json *v) {
    netc_model *m = p->m;
    m->dim = members(v, &m->ndim, sizeof *m->dim);
    int i = 0;
    for (const netc_json *e = netc_json_first(v); e; e = e->next) {
        netc_dim *d = &m->dim[i++];
        d->name = text(p, e, "name");
        d->size = netc_json_int(netc_json_get(e, "size"), 0);
        d->ragged = netc_json_bool(netc_json_get(e, "ragged"), false);
        d->vocab = netc_json_get(e, "vocab");
        parse_vocab(p, d);
        if (d->size == 256 && netc_json_bool(netc_json_get(e, "bytes"), false)) netc_vocab_bytes(&d->table);
    }
}

static void parse_hypers(parser *p, const netc_json *v) {
    netc_model *m = p->m;
    m->hyper = members(v, &m->nhyper, sizeof *m->hyper);
    int i = 0;
    for (const netc_json *e = netc_json_first(v); e; e = e->next, i++) {
        const netc_json *grid = netc_json_get(e, "grid");
        netc_hyper *h = &m->hyper[i];
        int k = 0;
        h->name = text(p, e, "name");
        h->value = (float)netc_json_number(netc_json_get(e, "value"), 0);
        h->grid = members(grid, &h->ngrid, sizeof *h->grid);
        for (const netc_json *g = netc_json_first(grid); g; g = g->next) h->grid[k++] = netc_json_number(g, 0);
    }
}

static void parse_train(parser *p, const netc_json *v) {
    netc_train_plan *t = &p->m->train;
    const netc_json *keep = netc_json_get(v, "keep");
    t->present = netc_json_is(v, NETC_JSON_OBJECT);
    t->seed = netc_json_int(netc_json_get(v, "seed"), 1);
    t->batch = netc_json_int(netc_json_get(v, "batch"), p->m->batch);
    t->epochs = netc_json_int(netc_json_get(v, "epochs"), 10);
    t->patience = netc_json_int(netc_json_get(v, "patience"), 0);
    t->keep = netc_json_string(netc_json_get(keep, "key"), NULL);
    t->keep_sign = netc_json_int(netc_json_get(keep, "sign"), 1) < 0 ? -1 : 1;
    t->sweep = texts(netc_json_get(v, "sweep"), &t->nsweep);
    t->ensemble = netc_json_int(netc_json_get(v, "ensemble"), 1);
    t->bucket = netc_json_string(netc_json_get(v, "bucket"), NULL);
    const netc_json *every = netc_json_get(v, "every");
    t->every = netc_json_int(netc_json_get(every, "steps"), 0);
    t->sample = netc_json_string(netc_json_get(every, "entry"), "");
    t->sample_arg = texts(netc_json_get(every, "args"), &t->nsample_arg);
}

static void parse_formulas(parser *p, const netc_json *v) {
    netc_model *m = p->m;
    int         i = 0;
    m->formula = members(v, &m->nformula, sizeof *m->formula);
    for (const netc_json *e = netc_json_first(v); e; e = e->next)
        m->formula[i++] = (netc_formula){text(p, e, "name"), netc_json_get(e, "formula")};
}

static void parse_data(parser *p, const netc_json *v) {
    netc_model *m = p->m;
    if (!netc_json_is(v, NETC_JSON_OBJECT)) return;
    m->data_name = text(p, v, "name");
    m->field = parse_ports(p, netc_json_get(v, "fields"), &m->nfield);
    check_axes(p, m->field, m->nfield, NULL, 0);
    m->splits = netc_json_get(v, "splits");
}

netc_model *netc_model_new(const char *description, size_t size, const netc_function_entry *functions) {
    const char *why;
    size_t where;
    netc_json_doc *doc = netc_json_parse(description, size, &why, &where);
    if (!doc) {
        netc_error(NETC_EXIT_INTERNAL, "the description of the model is broken: byte %zu: %s", where, why);
        return NULL;
    }
    netc_model *m = netc_alloc(sizeof *m);
    m->doc = doc;
    parser p = {.m = m};
    const netc_json *root = netc_json_root(doc);
    parse_names(&p, root);
    m->weights_size = bytes(&p, root, "weights_size");
    m->state_size = bytes(&p, root, "state_size");
    m->opt_size = bytes(&p, root, "opt_size");
    parse_dims(&p, netc_json_get(root, "dims"));
    parse_hypers(&p, netc_json_get(root, "hypers"));
    m->param = parse_slots(&p, netc_json_get(root, "params"), &m->nparam, m->weights_size);
    m->state = parse_slots(&p, netc_json_get(root, "states"), &m->nstate, m->state_size);
    m->opt = parse_slots(&p, netc_json_get(root, "opt"), &m->nopt, m->opt_size);
    parse_funcs(&p, netc_json_get(root, "functions"), functions);
    parse_data(&p, netc_json_get(root, "data"));
    parse_train(&p, netc_json_get(root, "train"));
    parse_formulas(&p, netc_json_get(root, "metrics"));
    if (!p.broken) return m;
    netc_model_free(m);
    return NULL;
}

void netc_model_later(netc_model *m, netc_code *code, void *cx) {
    m->code = code;
    m->code_cx = cx;
}

netc_function *netc_model_code(netc_model *m, const char *name) {
    netc_func *f = netc_model_func(m, name);
    if (!f->fn) f->fn = m->code(m->code_cx, name);
    return f->fn;
}

void netc_model_free(netc_model *m) {
    if (!m) return;
    for (int i = 0; i < m->nhyper; i++) free(m->hyper[i].grid);
    for (int i = 0; i < m->nfunc; i++) {
        free(m->func[i].in);
        free(m->func[i].out);
    }
    for (int i = 0; i < m->ndim; i++) netc_vocab_free(&m->dim[i].table);
    free(m->cpu);
    free(m->dim);
    free(m->hyper);
    free(m->param);
    free(m->state);
    free(m->opt);
    free(m->func);
    free(m->field);
    free(m->train.sweep);
    free(m->train.sample_arg);
    free(m->formula);
    netc_json_free(m->doc);
    free(m);
}

/* ---- finding -------------------------------------------------------------------------------------- */

netc_func *netc_model_func(const netc_model *m, const char *name) {
    for (int i = 0; i < m->nfunc; i++) {
        if (!strcmp(m->func[i].name, name)) return &m->func[i];
    }
    return NULL;
}

netc_hyper *netc_model_hyper(const netc_model *m, const char *name) {
    for (int i = 0; i < m->nhyper; i++) {
        if (!strcmp(m->hyper[i].name, name)) return &m->hyper[i];
    }
    return NULL;
}

netc_dim *netc_model_dim(const netc_model *m, const char *name) {
    for (int i = 0; i < m->ndim; i++) {
        if (!strcmp(m->dim[i].name, name)) return &m->dim[i];
    }
    return NULL;
}

const netc_vocab *netc_model_vocab(const netc_model *m, const char *dim) {
    const netc_dim *d = dim ? netc_model_dim(m, dim) : NULL;
    return d && d->table.count ? &d->table : NULL;
}

int64_t netc_model_param_count(const netc_model *m) {
    int64_t n = 0;
    for (int i = 0; i < m->nparam; i++) n += m->param[i].count;
    return n;
}

int netc_model_check_cpu(const netc_model *m) {
    for (int i = 0; i < m->ncpu; i++) {
        if (netc_cpu_has(m->cpu[i])) continue;
        return netc_error(NETC_EXIT_LIMIT, "this CPU has no %s, which the code was compiled for (%s); compile it with "
                          "another -mcpu", m->cpu[i], m->target);
    }
    return NETC_EXIT_OK;
}
