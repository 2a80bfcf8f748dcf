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

/* Makes the hash table anew, with room for `want` symbols; false: a symbol stands twice. */
static bool build_slots(netc_vocab *v, int64_t want) {
    uint64_t n = 64;
    while (n < 2 * (uint64_t)want) n *= 2;
    free(v->slot);
    v->slot = netc_array(n, sizeof *v->slot);
    v->nslot = n;
    for (int64_t i = 0; i < v->plain; i++) {
        uint64_t *slot = slot_of(v, v->symbol[i], strlen(v->symbol[i]));
        if (*slot) return false;
        *slot = (uint64_t)i + 1;
    }
    return true;
}

static void count_symbol(counter *c, const char *text, size_t size) {
    netc_vocab *v = c->v;
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
    if (2 * (uint64_t)v->plain > v->nslot) build_slots(v, 2 * v->plain);
}

/* ---- units of text -------------------------------------------------------------------------------- */

enum { BY_CHAR, BY_WORD, BY_LINE, BY_COUNT };
static const char *const BY[BY_COUNT] = {"char", "word", "line"};

static int char_length(unsigned char c) {
    return c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

static bool count_chars(counter *c, const char *p, const char *end) {
    while (p < end) {
        int n = char_length((unsigned char)*p);
        if (!n || n > end - p || !*p) return false;
        for (int i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80) return false;
        }
        count_symbol(c, p, (size_t)n);
        p += n;
    }
    return true;
}

/* Pieces between characters of `blanks`; empty ones do not count. */
static void count_pieces(counter *c, const char *p, const char *blanks) {
    for (p += strspn(p, blanks); *p; p += strspn(p, blanks)) {
        size_t n = strcspn(p, blanks);
        count_symbol(c, p, n);
        p += n;
    }
}

/* text[size] is 0. */
static int count_text(counter *c, const char *path, const char *text, size_t size, int by) {
    if (strlen(text) != size) return netc_error(NETC_EXIT_DATA, "%s: a NUL byte in the text", path);
    if (by == BY_WORD) count_pieces(c, text, " \t\r\n\v\f");
    if (by == BY_LINE) count_pieces(c, text, "\r\n");
    if (by == BY_CHAR && !count_chars(c, text, text + size)) {
        return netc_error(NETC_EXIT_DATA, "%s: the text is not UTF-8", path);
    }
    return NETC_EXIT_OK;
}

static int count_column(counter *c, const char *path, bool tabs, int by, int col) {
    netc_table t;
    const netc_record *r;
    int code = netc_table_open(&t, path, tabs);
    while (!code && !(code = netc_table_next(&t, &r)) && r) {
        if (col >= r->count) {
            code = netc_error(NETC_EXIT_DATA, "%s:%d: has %d columns; vocab(col=%d) needs more", path, r->cell[0].line,
                              r->count, col);
        } else {
            code = count_text(c, path, r->cell[col].text, r->cell[col].size, by);
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
    int unit = 0, code;
    bool tabs, table = col >= 0 && netc_path_is_table(path, &tabs);
    *v = (netc_vocab){0};
    while (unit < BY_COUNT && strcmp(BY[unit], by)) unit++;
    if (unit == BY_COUNT) return netc_error(NETC_EXIT_USAGE, "vocab: by=\"%s\" is none of char, word, line", by);
    counter c = {.v = v};
    build_slots(v, 1024);
    if (table) {
        code = count_column(&c, path, tabs, unit, col);
    } else {
        char *text = NULL;
        size_t size;
        code = netc_read_file(path, MAX_TEXT, &text, &size);
        if (!code) code = count_text(&c, path, text, size, unit);
        free(text);
    }
    if (!code && !v->plain) code = netc_error(NETC_EXIT_DATA, "%s: no symbols in the text: it is empty", path);
    if (!code) {
        drop_rare(&c, min);
        if (unit != BY_LINE || table) qsort(v->symbol, (size_t)v->plain, sizeof *v->symbol, by_text);
        finish(v, min > 1, eos);
    }
    free(c.times);
    v->count = code ? v->plain : v->count;
    if (code) netc_vocab_free(v);
    return code;
}

int netc_vocab_make(netc_vocab *v, const char *const *symbol, int64_t plain, bool unk, bool eos) {
    *v = (netc_vocab){.plain = plain, .symbol = netc_array((size_t)plain + 3, sizeof *v->symbol)};
    for (int64_t i = 0; i < plain; i++) v->symbol[i] = netc_strdup(symbol[i]);
    if (finish(v, unk, eos)) return NETC_EXIT_OK;
    netc_vocab_free(v);
    return netc_error(NETC_EXIT_DATA, "a symbol stands twice in a vocabulary");
}

void netc_vocab_free(netc_vocab *v) {
    for (int64_t i = 0; i < v->count; i++) free(v->symbol[i]);
    free(v->symbol);
    free(v->slot);
    *v = (netc_vocab){0};
}

int64_t netc_vocab_find(const netc_vocab *v, const char *text, size_t size) {
    if (!v->nslot) return -1;
    uint64_t slot = *slot_of(v, text, size);
    return slot ? (int64_t)slot - 1 : v->unk;
}

bool netc_vocab_size(const char *path, const char *by, int col, int64_t min, bool eos, int64_t *size,
                     const char **why) {
    netc_vocab v;
    FILE *before = netc_messages_to(NULL);
    int code = netc_vocab_read(&v, path, by, col, min, eos);
    netc_messages_to(before);
    if (code) {
        *why = netc_error_text();
        return false;
    }
    *size = v.count;
    netc_vocab_free(&v);
    return true;
}
