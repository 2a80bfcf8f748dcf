/* Text as symbols and back. */
#include <string.h>

#include "runtime/vocab.h"

/* Bytes of the character that begins with c; 0: none does. */
static int char_length(unsigned char c) {
    return c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* Bytes of the character at p; 0: there is none. */
static size_t whole_char(const char *p, const char *end) {
    int n = char_length((unsigned char)*p);
    if (n > end - p || !*p) return 0;
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    return (size_t)n;
}

int netc_next_symbol(netc_unit by, const char **p, const char *end, const char **symbol, size_t *size) {
    static const char *const BLANKS[NETC_UNITS] = {[NETC_BY_CHAR] = "", [NETC_BY_WORD] = " \t\r\n\v\f",
                                                   [NETC_BY_LINE] = "\r\n"};
    if (by == NETC_BY_BYTE) {
        *symbol = *p;
        *size = 1;
        return *p < end && (*p)++;
    }
    *p += strspn(*p, BLANKS[by]);
    if (*p >= end) return 0;
    const char *stop = by == NETC_BY_CHAR ? *p + whole_char(*p, end) : *p + strcspn(*p, BLANKS[by]);
    if (stop == *p) return -1;
    *symbol = *p;
    *size = (size_t)(stop - *p);
    for (size_t n; *p < stop; *p += n) {
        if (!(n = whole_char(*p, end))) return -1;
    }
    return 1;
}

void netc_symbols_add(netc_symbols *s, int64_t symbol) {
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->at = netc_resize(s->at, (size_t)s->room, sizeof *s->at);
    }
    s->at[s->n++] = (int32_t)symbol;
}

bool netc_vocab_encode(const netc_vocab *v, const char *text, size_t size, netc_symbols *to, const char **bad,
                       size_t *bad_size) {
    const char *p = text;
    int more;
    while ((more = netc_next_symbol(v->by, &p, text + size, bad, bad_size)) > 0) {
        int64_t symbol = netc_vocab_find(v, *bad, *bad_size);
        if (symbol < 0) return false;
        netc_symbols_add(to, symbol);
    }
    if (more < 0) {
        *bad = p;
        *bad_size = 0;
        return false;
    }
    if (v->eos >= 0) netc_symbols_add(to, v->eos);
    return true;
}

void netc_vocab_decode(const netc_vocab *v, const int32_t *symbol, int64_t n, netc_buf *b) {
    for (int64_t i = 0; i < n; i++) {
        if (v->eos >= 0 && symbol[i] == v->eos) return;
        if (i && (v->by == NETC_BY_WORD || v->by == NETC_BY_LINE)) netc_buf_text(b, " ");
        if (symbol[i] < 0 || symbol[i] >= v->count) continue;
        if (v->by == NETC_BY_BYTE) netc_buf_add(b, (char[]){(char)symbol[i]}, 1);
        else netc_buf_text(b, v->symbol[symbol[i]]);
    }
}
