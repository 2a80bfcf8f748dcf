/* Texts: one long row of symbols, which `stream` cuts into lanes and windows. The dim of the fields says what a
 * symbol is: one of a vocabulary (characters, words, lines), or a byte. By words, the end of a line is <eos> if
 * the vocabulary has it.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/data_impl.h"

#define MAX_TEXT (UINT64_C(1) << 34)

enum { BYTES = 256 };

typedef struct {
    const char       *path;
    const char       *text, *end;
    const netc_vocab *vocab;
    const netc_port  *port;
    netc_column      *c;        /* to be filled */
    int64_t           n, room;
} text_load;

static int bad_place(const text_load *t, const char *at, const char *what) {
    int line = 1;
    for (const char *p = t->text; (p = memchr(p, '\n', (size_t)(at - p))); p++) line++;
    return netc_error(NETC_EXIT_DATA, "%s:%d: %s", t->path, line, what);
}

static void add(text_load *t, int64_t symbol) {
    size_t size = (size_t)netc_dtype_size(t->c->dtype);
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 4096;
        t->c->data = netc_resize(t->c->data, (size_t)t->room, size);
    }
    if (t->c->dtype == NETC_U8) ((uint8_t *)t->c->data)[t->n++] = (uint8_t)symbol;
    else ((int32_t *)t->c->data)[t->n++] = (int32_t)symbol;
}

static int add_symbol(text_load *t, const char *text, size_t size) {
    int64_t symbol = netc_vocab_find(t->vocab, text, size);
    if (symbol >= 0) {
        add(t, symbol);
        return NETC_EXIT_OK;
    }
    char *what = netc_format("'%.*s' is no symbol of dim %s", size < 60 ? (int)size : 60, text, t->port->dim);
    int code = bad_place(t, text, what);
    free(what);
    return code;
}

/* By word with <eos>: line by line. */
static int read_symbols(text_load *t) {
    bool ends = t->vocab->by == NETC_BY_WORD && t->vocab->eos >= 0;
    const char *p = t->text, *symbol;
    size_t size;
    int code = NETC_EXIT_OK, more = 1;
    while (!code && p < t->end) {
        const char *stop = ends ? memchr(p, '\n', (size_t)(t->end - p)) : NULL;
        if (!stop) stop = t->end;
        while (!code && (more = netc_next_symbol(t->vocab->by, &p, stop, &symbol, &size)) > 0)
            code = add_symbol(t, symbol, size);
        if (code) return code;
        if (more < 0) return bad_place(t, p, "the text is not UTF-8");
        if (ends) add(t, t->vocab->eos);
        p = stop + (stop < t->end);
    }
    return code;
}

static int read_bytes(text_load *t) {
    int64_t size = t->end - t->text;
    if (!size) return NETC_EXIT_OK;
    t->c->data = netc_try_alloc((uint64_t)size, t->path);
    if (!t->c->data) return NETC_EXIT_LIMIT;
    memcpy(t->c->data, t->text, (size_t)size);
    t->n = size;
    return NETC_EXIT_OK;
}

static int read_file(text_load *t) {
    char *text = NULL;
    size_t size;
    int code = netc_read_file(t->path, MAX_TEXT, &text, &size);
    if (code) return code;
    t->text = text;
    t->end = text + size;
    bool bytes = t->vocab->by == NETC_BY_BYTE;
    const char *nul = bytes ? NULL : memchr(text, 0, size);
    if (nul) code = bad_place(t, nul, "a NUL byte in the text");
    else code = bytes ? read_bytes(t) : read_symbols(t);
    free(text);
    return code;
}

int data_load_text(data_load *l) {
    netc_vocab own = {0};
    text_load t = {.path = l->file[0], .port = l->s->column[0].port, .c = &l->s->column[0]};
    if (l->nfile != 1) return netc_error(NETC_EXIT_DATA, "text: one file is needed, not %d", l->nfile);
    int code = data_vocab(l, t.port, &own, &t.vocab);
    if (!code && !t.vocab)
        code = netc_error(NETC_EXIT_DATA, "%s: %s has neither the symbols of a vocab nor a size of %d, for bytes",
                          t.path, t.port->name, BYTES);
    t.c->dtype = t.port->size <= BYTES ? NETC_U8 : NETC_I32;
    if (!code) code = read_file(&t);
    l->s->text = true;
    if (!code) code = data_set_rows(l, t.n, t.path);
    netc_vocab_free(&own);
    return code;
}

/* ---- streams -------------------------------------------------------------------------------------- */

static int find_field(const netc_model *m, const char *name) {
    for (int i = 0; i < m->nfield; i++) {
        if (!strcmp(m->field[i].name, name)) return i;
    }
    return -1;
}

/* y of a window's last step lies in its lane, too. */
int data_stream(const netc_model *m, const netc_json *e, netc_split *v) {
    int x = find_field(m, netc_json_string(netc_json_get(e, "x"), ""));
    int y = find_field(m, netc_json_string(netc_json_get(e, "y"), ""));
    if (x < 0 || y < 0 || x == y || m->nfield != 2 || m->field[x].count != m->field[y].count)
        return netc_error(NETC_EXIT_INTERNAL, "the description of the data is broken: stream of unknown fields");
    if (!v->source->text || v->map || v->lanes)
        return netc_error(NETC_EXIT_MODEL, "data: stream follows a text, or a range of one");
    v->lanes = m->batch;
    v->lane = v->count / v->lanes;
    v->window = m->field[x].count;
    v->follower = y;
    int64_t windows = v->lane ? (v->lane - 1) / v->window : 0;
    if (!windows)
        return netc_error(NETC_EXIT_DATA, "data: %lld symbols are too few for a stream of %lld lanes (train.batch) "
                          "with windows of %lld: it takes at least %lld", (long long)v->count, (long long)v->lanes,
                          (long long)v->window, (long long)(v->lanes * (v->window + 1)));
    v->count = windows * v->lanes;
    return NETC_EXIT_OK;
}
