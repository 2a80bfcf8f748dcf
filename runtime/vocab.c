#include "runtime/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/table.h"

#define MAX_TEXT (UINT64_C(1) << 34)

/* ---- the table of symbols ------------------------------------------------------------------------- */

/* While symbols are counted: times[i] belongs to v->symbol[i]. */
typedef struct {
    netc_vocab *v;
    int64_t    *times;
    int64_t     room;
} counter;

static uint64_t *slot_of(const netc_vocab *v, const char *text, size_t size) {
    uint64_t at = netc_xxh64(text, size, 0) & (v->nslot - 1);
    for (;; at = (at + 1) & (v->nslot - 1)) {
        uint64_t *slot = &v->slot[at];
        if (!*slot) return slot;
        const char *symbol = v->symbol[*slot - 1];
        if (strlen(symbol) == size && !memcmp(symbol, text, size)) return slot;
    }
}

/* The place of its index + 1, if the symbol is one byte of ASCII; else NULL. */
static int64_t *ascii_of(netc_vocab *v, const char *text, size_t size) {
    return size == 1 && (unsigned char)*text < 128 ? &v->ascii[(unsigned char)*text] : NULL;
}

/* Makes the hash table anew, with room for `want` symbols; false: a symbol stands twice. */
static bool build_slots(netc_vocab *v, int64_t want) {
    uint64_t n = 64;
    while (n < 2 * (uint64_t)want) n *= 2;
    free(v->slot);
    v->slot = netc_array(n, sizeof *v->slot);
    v->nslot = n;
    memset(v->ascii, 0, sizeof v->ascii);
    for (int64_t i = 0; i < v->plain; i++) {
        size_t    size = strlen(v->symbol[i]);
        uint64_t *slot = slot_of(v, v->symbol[i], size);
        int64_t  *ascii = ascii_of(v, v->symbol[i], size);
        if (*slot) return false;
        *slot = (uint64_t)i + 1;
        if (ascii) *ascii = i + 1;
    }
    return true;
}

static void count_symbol(counter *c, const char *text, size_t size) {
    netc_vocab *v = c->v;
    int64_t *ascii = ascii_of(v, text, size);
    if (ascii && *ascii) {
        c->times[*ascii - 1]++;
        return;
    }
    uint64_t *slot = slot_of(v, text, size);
    if (*slot) {
        c->times[*slot - 1]++;
        return;
    }
    if (v->plain == c->room) {
        c->room = c->room ? 2 * c->room : 256;
        v->symbol = netc_resize(v->symbol, (size_t)c->room, sizeof *v->symbol);
        c->times = netc_resize(c->times, (size_t)c->room, sizeof *c->times);
    }
    char *symbol = netc_alloc(size + 1);
    memcpy(symbol, text, size);
    c->times[v->plain] = 1;
    v->symbol[v->plain++] = symbol;
    *slot = (uint64_t)v->plain;
    if (ascii) *ascii = v->plain;
    if (2 * (uint64_t)v->plain > v->nslot) build_slots(v, 2 * v->plain);
}

/* ---- units of text -------------------------------------------------------------------------------- */

/* The line of a place in a text, from 1. */
static int line_of(const char *text, const char *at) {
    int line = 1;
    for (; (text = memchr(text, '\n', (size_t)(at - text))); text++) line++;
    return line;
}

/* text[size] is 0; `line` is that of its first byte. */
static int count_text(counter *c, const char *path, const char *text, size_t size, int line) {
    const char *p = text, *symbol, *nul = memchr(text, 0, size);
    size_t n;
    int more = 0;
    while (!nul && (more = netc_next_symbol(c->v->by, &p, text + size, &symbol, &n)) > 0) count_symbol(c, symbol, n);
    if (nul) return netc_error(NETC_EXIT_DATA, "%s:%d: a NUL byte in the text", path, line - 1 + line_of(text, nul));
    if (more < 0) return netc_error(NETC_EXIT_DATA, "%s:%d: the text is not UTF-8", path, line - 1 + line_of(text, p));
    return NETC_EXIT_OK;
}

static int count_column(counter *c, const char *path, bool tabs, int col) {
    netc_table t;
    const netc_record *r;
    int code = netc_table_open(&t, path, tabs);
    while (!code && !(code = netc_table_next(&t, &r)) && r) {
        if (col >= r->count) {
            code = netc_error(NETC_EXIT_DATA, "%s:%d: has %d columns; vocab(col=%d) needs more", path, r->cell[0].line,
                              r->count, col);
        } else {
            code = count_text(c, path, r->cell[col].text, r->cell[col].size, r->cell[col].line);
        }
    }
    netc_table_close(&t);
    return code;
}

/* ---- order ---------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);      /* bytes of UTF-8 sort as code points do */
}

static void drop_rare(counter *c, int64_t min) {
    netc_vocab *v = c->v;
    int64_t kept = 0;
    for (int64_t i = 0; i < v->plain; i++) {
        if (c->times[i] >= min) v->symbol[kept++] = v->symbol[i];
        else free(v->symbol[i]);
    }
    v->plain = kept;
}

static int64_t add_special(netc_vocab *v, bool wanted, const char *text) {
    if (!wanted) return -1;
    v->symbol[v->count] = netc_strdup(text);
    return v->count++;
}

/* Special symbols behind the plain ones; the hash table has the plain ones only. */
static bool finish(netc_vocab *v, bool unk, bool eos) {
    v->symbol = netc_resize(v->symbol, (size_t)v->plain + 3, sizeof *v->symbol);
    v->count = v->plain;
    v->unk = add_special(v, unk, "<unk>");
    v->bos = add_special(v, eos, "<bos>");
    v->eos = add_special(v, eos, "<eos>");
    return build_slots(v, v->plain);
}

int netc_vocab_read(netc_vocab *v, const char *path, const char *by, int col, int64_t min, bool eos) {
    int code;
    bool tabs, table = col >= 0 && netc_path_is_table(path, &tabs);
    *v = (netc_vocab){0};
    if (!netc_unit_find(by, &v->by))
        return netc_error(NETC_EXIT_USAGE, "vocab: by=\"%s\" is none of char, word, line", by);
    counter c = {.v = v};
    build_slots(v, 1024);
    if (table) {
        code = count_column(&c, path, tabs, col);
    } else {
        char *text = NULL;
        size_t size;
        code = netc_read_file(path, MAX_TEXT, &text, &size);
        if (!code) code = count_text(&c, path, text, size, 1);
        free(text);
    }
    if (!code && !v->plain) code = netc_error(NETC_EXIT_DATA, "%s: no symbols in the text: it is empty", path);
    if (!code) {
        drop_rare(&c, min);
        if (v->by != NETC_BY_LINE || table) qsort(v->symbol, (size_t)v->plain, sizeof *v->symbol, by_text);
        finish(v, min > 1, eos);
    }
    free(c.times);
    v->count = code ? v->plain : v->count;
    if (code) netc_vocab_free(v);
    return code;
}

int netc_vocab_make(netc_vocab *v, netc_unit by, const char *const *symbol, int64_t plain, bool unk, bool eos) {
    *v = (netc_vocab){.by = by, .plain = plain, .symbol = netc_array((size_t)plain + 3, sizeof *v->symbol)};
    for (int64_t i = 0; i < plain; i++) v->symbol[i] = netc_strdup(symbol[i]);
    if (finish(v, unk, eos)) return NETC_EXIT_OK;
    netc_vocab_free(v);
    return netc_error(NETC_EXIT_DATA, "a symbol stands twice in a vocabulary");
}

void netc_vocab_bytes(netc_vocab *v) {
    enum { BYTES = 256 };
    *v = (netc_vocab){.by = NETC_BY_BYTE, .count = BYTES, .plain = BYTES, .unk = -1, .bos = -1, .eos = -1};
    v->symbol = netc_array(BYTES, sizeof *v->symbol);
    for (int i = 0; i < BYTES; i++) v->symbol[i] = netc_strdup((char[]){(char)i, 0});
}

static const char *const UNIT[NETC_UNITS] = {"char", "word", "line"};

bool netc_unit_find(const char *text, netc_unit *by) {
    for (int i = 0; i < NETC_UNITS; i++) {
        if (strcmp(UNIT[i], text)) continue;
        *by = (netc_unit)i;
        return true;
    }
    return false;
}

void netc_vocab_put_json(netc_buf *b, const netc_vocab *v) {
    netc_buf_printf(b, "{\"by\":\"%s\",\"min\":%d,\"eos\":%s,\"symbols\":[", UNIT[v->by], v->unk >= 0 ? 2 : 1,
                    v->eos >= 0 ? "true" : "false");
    for (int64_t i = 0; i < v->plain; i++) {
        if (i) netc_buf_text(b, ",");
        netc_json_put_string(b, v->symbol[i]);
    }
    netc_buf_text(b, "]}");
}

int netc_vocab_from_json(netc_vocab *v, const netc_json *json) {
    const netc_json *symbols = netc_json_get(json, "symbols");
    int64_t n = 0;
    netc_unit by;
    *v = (netc_vocab){0};
    if (!netc_json_is(symbols, NETC_JSON_ARRAY) || !symbols->count ||
        !netc_unit_find(netc_json_string(netc_json_get(json, "by"), "char"), &by))
        return netc_error(NETC_EXIT_DATA, "a vocabulary without symbols");
    const char **list = netc_array(symbols->count, sizeof *list);
    for (const netc_json *e = netc_json_first(symbols); e; e = e->next) list[n++] = netc_json_string(e, "");
    int code = netc_vocab_make(v, by, list, n, netc_json_int(netc_json_get(json, "min"), 1) > 1,
                               netc_json_bool(netc_json_get(json, "eos"), false));
    free(list);
    return code;
}

int64_t netc_vocab_difference(const netc_vocab *a, const netc_vocab *b) {
    int64_t n = a->count < b->count ? a->count : b->count;
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(a->symbol[i], b->symbol[i])) return i;
    }
    return a->count == b->count && a->by == b->by ? -1 : n;
}

void netc_vocab_free(netc_vocab *v) {
    for (int64_t i = 0; i < v->count; i++) free(v->symbol[i]);
    free(v->symbol);
    free(v->slot);
    *v = (netc_vocab){0};
}

int64_t netc_vocab_find(const netc_vocab *v, const char *text, size_t size) {
    if (v->by == NETC_BY_BYTE) return size == 1 ? (unsigned char)*text : -1;
    if (!v->nslot) return -1;
    if (size == 1 && (unsigned char)*text < 128) {
        int64_t ascii = v->ascii[(unsigned char)*text];
        return ascii ? ascii - 1 : v->unk;
    }
    uint64_t slot = *slot_of(v, text, size);
    return slot ? (int64_t)slot - 1 : v->unk;
}
