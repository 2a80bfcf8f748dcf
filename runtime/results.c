/* Results of a function: their rows, as .npy files or as text. */
#include "runtime/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/settings.h"

static const netc_port LENGTHS = {
    .name = "", .dtype = NETC_I32, .count = 1, .row_bytes = sizeof(int32_t), .rows = true, .lengths = true};

/* ---- where results go -------------------------------------------------------------------------------- */

static const netc_result *lengths_result(const netc_results *r, const char *dim) {
    for (int i = r->nmain; i < r->n; i++)
        if (!strcmp(r->result[i].name, dim)) return &r->result[i];
    return NULL;
}

static void add_result(netc_results *r, const char *name, const netc_port *port, int out, int in) {
    r->result = netc_resize(r->result, (size_t)r->n + 1, sizeof *r->result);
    r->result[r->n++] = (netc_result){.name = name, .port = port, .out = out, .in = in};
}

/* The outputs, then the lengths of their ragged dims: found by the function, or those of its arguments. */
static void list_results(netc_results *r) {
    const netc_func *f = r->call->func;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < f->nout; i++)
            if (f->out[i].lengths == pass) add_result(r, f->out[i].name, &f->out[i], i, -1);
        if (!pass) r->nmain = r->n;
    }
    for (int i = 0; i < f->nout; i++)
        for (int k = 0; k < f->out[i].rank; k++) {
            const char *dim = f->out[i].axis[k];
            if (dim && !lengths_result(r, dim)) add_result(r, dim, &LENGTHS, -1, netc_call_in(r->call, dim));
        }
}

/* Does text begin with an identifier, a number or a formula like T-1, and '='? Then it names a result, not a file. */
static bool names_result(const char *text) {
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-*()");
    return n && text[n] == '=';
}

/* The result that "NAME=FILE", "NUMBER=FILE" or, with a single one, "FILE" means; NULL after a message. */
static netc_result *find_result(const netc_results *r, const char *text, const char **file) {
    for (int i = 0; i < r->n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        if (netc_setting_is(text, r->result[i].name, file)) return &r->result[i];
        if (i < r->nmain && netc_setting_is(text, number, file)) return &r->result[i];
    }
    *file = text;
    if (r->nmain == 1 && !names_result(text)) return &r->result[0];
    netc_buf b = {0};
    for (int i = 0; i < r->nmain; i++) netc_buf_printf(&b, "%s%s", i ? ", " : "", r->result[i].name);
    for (int i = r->nmain; i < r->n && names_result(text); i++)
        netc_buf_printf(&b, "%s%s", i > r->nmain ? ", " : "; lengths: ", r->result[i].name);
    if (names_result(text))
        netc_error(-1, "--out %s: %s has no result '%.*s'; it has: %s", text, r->call->func->name,
                   (int)strcspn(text, "="), text, b.data);
    else
        netc_error(-1, "--out %s: %s has several results (%s): give --out NAME=FILE for each that you want", text,
                   r->call->func->name, b.data);
    netc_buf_free(&b);
    return NULL;
}

int netc_results_new(netc_results *r, const netc_call *c, const netc_inputs *in, const netc_options *o) {
    *r = (netc_results){.call = c, .inputs = in, .rows = in->rows, .print = true};
    list_results(r);
    for (int g = 0; o && g < o->ngiven; g++) {
        const char *file;
        if (o->given[g].id != NETC_OPT_RESULT) continue;
        netc_result *to = find_result(r, o->given[g].value, &file);
        if (!to) return NETC_EXIT_USAGE;
        to->file = strcmp(file, "-") ? file : "/dev/stdout";
        r->print = false;
    }
    if (!r->print && in->lines >= 0)
        return netc_error(NETC_EXIT_USAGE, "lines of standard input are answered on standard output; for --out give "
                          "them as a .txt file");
    for (int i = 0; i < r->n; i++) {
        netc_result *to = &r->result[i];
        uint64_t     bytes;
        if (!r->print && !to->file && i < r->nmain) continue;
        if (!netc_mul(to->port->row_bytes, to->port->rows ? (uint64_t)r->rows : 1, &bytes)) return NETC_EXIT_LIMIT;
        if (!(to->data = netc_try_alloc(bytes, to->name))) return NETC_EXIT_LIMIT;
    }
    return NETC_EXIT_OK;
}

void netc_results_free(netc_results *r) {
    for (int i = 0; i < r->n; i++) free(r->result[i].data);
    free(r->result);
}

/* How far row `row` of a result goes on each axis. */
static void row_lengths(const netc_results *r, const netc_port *p, int64_t row, int64_t *length) {
    for (int k = 0; k < p->rank; k++) {
        const netc_result *n = p->axis[k] ? lengths_result(r, p->axis[k]) : NULL;
        length[k] = n ? ((const int32_t *)(const void *)n->data)[row] : p->shape[k];
    }
}

/* The lengths of a batch, from wherever they are; NULL: not known, all rows are whole. */
static const int32_t *batch_lengths(const netc_results *r, const netc_result *x, int64_t first) {
    if (x->out >= 0) return r->call->out[x->out];
    if (x->in >= 0) return r->call->in[x->in];
    const int32_t *own = netc_lengths_of(r->inputs->lengths, r->inputs->nlengths, x->name);
    return own ? own + first : NULL;
}

static void take_lengths(const netc_results *r, const netc_result *x, int64_t first, int64_t n) {
    const int32_t *from = batch_lengths(r, x, first);
    const netc_dim *d = netc_model_dim(r->call->engine->model, x->name);
    int32_t *to = (int32_t *)(void *)x->data + first;
    for (int64_t i = 0; i < n; i++) to[i] = from ? from[i] : (int32_t)d->size;
}

/* Lengths are taken first. What lies past them is 0. */
void netc_results_take(const netc_results *r, int64_t first, int64_t n) {
    for (int i = r->nmain; i < r->n; i++) take_lengths(r, &r->result[i], first, n);
    for (int i = 0; i < r->nmain; i++) {
        const netc_result *x = &r->result[i];
        const netc_port *p = x->port;
        const char      *from = r->call->out[x->out];
        if (!x->data) continue;
        for (int64_t k = 0; k < (p->rows ? n : 1); k++) {
            int64_t     length[NETC_MAX_RANK], row = p->rows ? first + k : 0;
            const char *source = from + (size_t)k * p->row_bytes;
            char       *to = x->data + (size_t)row * p->row_bytes;
            row_lengths(r, p, row, length);
            if (p->ragged) netc_row_copy(p, length, source, to);
            else memcpy(to, source, p->row_bytes);
        }
    }
}

/* ---- as text ------------------------------------------------------------------------------------------- */

static void put_value(netc_buf *b, const netc_port *p, const char *data, int64_t k) {
    if (p->dtype == NETC_F32) netc_buf_printf(b, "%.9g", (double)((const float *)(const void *)data)[k]);
    else if (p->dtype == NETC_I32) netc_buf_printf(b, "%d", ((const int32_t *)(const void *)data)[k]);
    else netc_buf_printf(b, "%d", ((const uint8_t *)data)[k]);
}

static const netc_vocab *result_vocab(const netc_results *r, const netc_port *p) {
    return p->dtype == NETC_I32 ? netc_model_vocab(r->call->engine->model, p->dim) : NULL;
}

/* The numbers of a row that are there, blanks between. */
static void put_numbers(netc_buf *b, const netc_port *p, const int64_t *length, const char *data) {
    bool first = true;
    for (int64_t k = 0; k < p->count; k++) {
        int64_t at = k;
        bool    inside = true;
        for (int a = p->rank - 1; a >= 0; at /= p->shape[a--]) inside &= at % p->shape[a] < length[a];
        if (!inside) continue;
        if (!first) netc_buf_text(b, " ");
        put_value(b, p, data, k);
        first = false;
    }
}

/* One row of a result: symbols of a vocab as their text. */
static void put_row(const netc_results *r, netc_buf *b, const netc_result *x, int64_t row) {
    const netc_port  *p = x->port;
    const netc_vocab *v = result_vocab(r, p);
    const char       *data = x->data + (p->rows ? (size_t)row * p->row_bytes : 0);
    int64_t           length[NETC_MAX_RANK];
    row_lengths(r, p, p->rows ? row : 0, length);
    if (v && p->rank < 2) netc_vocab_decode(v, (const int32_t *)(const void *)data, p->rank ? length[0] : 1, b);
    else put_numbers(b, p, length, data);
}

void netc_results_text(const netc_results *r, netc_buf *out) {
    bool texts = false;
    for (int i = 0; i < r->nmain; i++) texts |= result_vocab(r, r->result[i].port) != NULL;
    for (int64_t row = 0; row < r->rows; row++) {
        bool first = true;
        for (int i = 0; i < r->nmain; i++) {
            if (!r->result[i].port->rows && row) continue;
            if (!first) netc_buf_text(out, texts ? "\t" : " ");
            put_row(r, out, &r->result[i], row);
            first = false;
        }
        netc_buf_text(out, "\n");
    }
}

int netc_results_print(const netc_results *r) {
    netc_buf b = {0};
    netc_results_text(r, &b);
    fwrite(b.data, 1, b.size, stdout);
    netc_buf_free(&b);
    return fflush(stdout) ? netc_error_errno(NETC_EXIT_IO, "cannot write to standard output") : NETC_EXIT_OK;
}

int netc_results_write(const netc_results *r) {
    if (r->print) return netc_results_print(r);
    for (int i = 0; i < r->n; i++) {
        const netc_result *x = &r->result[i];
        const netc_port *p = x->port;
        netc_tensor      t = {.dtype = p->dtype, .data = x->data};
        if (!x->file) continue;
        if (p->rows) t.shape[t.rank++] = r->rows;
        if (t.rank + p->rank > NETC_MAX_RANK)
            return netc_error(NETC_EXIT_LIMIT, "%s has more than %d axes with the batch", x->name, NETC_MAX_RANK);
        for (int k = 0; k < p->rank; k++) t.shape[t.rank++] = p->shape[k];
        t.bytes = p->row_bytes * (size_t)(p->rows ? r->rows : 1);
        int code = netc_npy_write(x->file, &t);
        if (code) return code;
    }
    return NETC_EXIT_OK;
}

