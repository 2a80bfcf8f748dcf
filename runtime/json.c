#include "runtime/json.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_VALUES = 1 << 19, CHUNK = 512 };

/* Values live in chunks; strings are decoded inside the document's own text. */
typedef struct chunk {
    struct chunk *before;
    size_t        used;
    netc_json     value[CHUNK];
} chunk;

struct netc_json_doc {
    char      *text;
    chunk     *chunks;
    netc_json *root;
};

/* ---- parsing -------------------------------------------------------------------------------------- */

typedef struct {
    netc_json_doc *doc;
    char          *p, *end;     /* *end is 0 */
    const char    *why;         /* first error */
    size_t         where;
    size_t         values;
    int            depth;
} parser;

static bool fail(parser *s, const char *why) {
    if (!s->why) {
        s->why = why;
        s->where = (size_t)(s->p - s->doc->text);
    }
    return false;
}

static netc_json *new_value(parser *s, netc_json_kind kind) {
    if (++s->values > MAX_VALUES) {
        fail(s, "too many values");
        return NULL;
    }
    chunk *c = s->doc->chunks;
    if (!c || c->used == CHUNK) {
        c = netc_alloc(sizeof *c);
        c->before = s->doc->chunks;
        s->doc->chunks = c;
    }
    netc_json *v = &c->value[c->used++];
    v->kind = (uint8_t)kind;
    return v;
}

static void skip_blanks(parser *s) {
    while (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t') s->p++;
}

static int hex4(parser *s) {
    int v = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        static const char DIGITS[] = "0123456789abcdef";
        const char *digit = *s->p ? strchr(DIGITS, tolower((unsigned char)*s->p)) : NULL;
        if (!digit) {
            fail(s, "\\u needs four hexadecimal digits");
            return -1;
        }
        v = v * 16 + (int)(digit - DIGITS);
    }
    return v;
}

static char *put_utf8(char *to, int c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* After the backslash. The decoded text is never longer than the escape. */
static char *parse_escape(parser *s, char *to) {
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    char c = *s->p;
    const char *at = c ? strchr(FROM, c) : NULL;
    if (at) {
        s->p++;
        *to++ = TO[at - FROM];
        return to;
    }
    if (c != 'u') {
        fail(s, "unknown escape in a string");
        return NULL;
    }
    s->p++;
    int code = hex4(s);
    if (code >= 0xd800 && code < 0xdc00 && s->p[0] == '\\' && s->p[1] == 'u') {
        s->p += 2;
        int low = hex4(s);
        if (low >= 0 && (low < 0xdc00 || low > 0xdfff)) fail(s, "a high surrogate without a low one");
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
    } else if (code >= 0xd800 && code < 0xe000) {
        fail(s, "half of a surrogate pair");
    }
    if (code == 0) fail(s, "a NUL in a string");
    return s->why ? NULL : put_utf8(to, code);
}

/* Bytes of the UTF-8 character at p, 0 if it is not one (RFC 3629: no overlong forms, no surrogates). */
static int utf8_length(const unsigned char *p) {
    if (p[0] < 0x80) return 1;
    int n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (p[0] == 0xed && p[1] > 0x9f) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return n;
}

/* At the opening quote. Decodes in place; NULL on an error. */
static char *parse_string(parser *s, uint32_t *size) {
    char *start = ++s->p, *to = start;
    while (*s->p != '"') {
        if (s->p == s->end) {
            fail(s, "a string is not closed");
            return NULL;
        }
        if ((unsigned char)*s->p < 0x20) {
            fail(s, "a control character in a string");
            return NULL;
        }
        if (*s->p == '\\') {
            s->p++;
            to = parse_escape(s, to);
            if (!to) return NULL;
            continue;
        }
        int n = utf8_length((const unsigned char *)s->p);
        if (!n) {
            fail(s, "bytes that are not UTF-8");
            return NULL;
        }
        while (n--) *to++ = *s->p++;
    }
    s->p++;
    *to = 0;
    *size = (uint32_t)(to - start);
    return start;
}

static const char *skip_digits(const char *p) {
    while (*p >= '0' && *p <= '9') p++;
    return p;
}

static netc_json *parse_number(parser *s) {
    const char *start = s->p, *p = start + (*s->p == '-'), *digits = p;
    p = skip_digits(p);
    bool good = p > digits && (*digits != '0' || p == digits + 1), whole = true;
    if (*p == '.') {
        const char *from = ++p;
        p = skip_digits(p);
        good &= p > from;
        whole = false;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        const char *from = p;
        p = skip_digits(p);
        good &= p > from;
        whole = false;
    }
    if (!good) {
        fail(s, "not a number");
        return NULL;
    }
    netc_json *v = new_value(s, NETC_JSON_NUMBER);
    if (!v) return NULL;
    errno = 0;
    int64_t integer = whole ? strtoll(start, NULL, 10) : 0;
    v->truth = whole && !errno;
    if (v->truth) v->u.integer = integer;
    else v->u.number = strtod(start, NULL);
    s->p += p - start;
    return v;
}

static netc_json *parse_value(parser *s);

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool keys_are_unique(const netc_json *object) {
    if (object->count < 2) return true;
    const char **key = netc_array(object->count, sizeof *key);
    size_t n = 0;
    for (const netc_json *m = object->u.first; m; m = m->next) key[n++] = m->key;
    qsort(key, n, sizeof *key, compare_keys);
    bool unique = true;
    for (size_t i = 1; i < n; i++) unique &= strcmp(key[i - 1], key[i]) != 0;
    free(key);
    return unique;
}

/* One member; at its first character. */
static netc_json *parse_member(parser *s, bool object) {
    const char *key = NULL;
    uint32_t size;
    if (object) {
        if (*s->p != '"') {
            fail(s, "a key in quotes is missing");
            return NULL;
        }
        key = parse_string(s, &size);
        if (!key) return NULL;
        skip_blanks(s);
        if (*s->p != ':') {
            fail(s, "':' is missing");
            return NULL;
        }
        s->p++;
    }
    netc_json *v = parse_value(s);
    if (v) v->key = key;
    return v;
}

static netc_json *parse_members(parser *s, bool object) {
    char close = object ? '}' : ']';
    netc_json *v = new_value(s, object ? NETC_JSON_OBJECT : NETC_JSON_ARRAY);
    if (!v) return NULL;
    netc_json **last = &v->u.first;
    s->p++;
    skip_blanks(s);
    bool more = *s->p != close;
    if (!more) s->p++;
    while (more) {
        skip_blanks(s);
        netc_json *m = parse_member(s, object);
        if (!m) return NULL;
        *last = m;
        last = &m->next;
        v->count++;
        skip_blanks(s);
        more = *s->p == ',';
        if (!more && *s->p != close) {
            fail(s, object ? "',' or '}' is missing" : "',' or ']' is missing");
            return NULL;
        }
        s->p++;
    }
    if (object && !keys_are_unique(v)) {
        fail(s, "a key stands twice in an object");
        return NULL;
    }
    return v;
}

static netc_json *parse_word(parser *s) {
    static const struct { const char *text; netc_json_kind kind; bool truth; } WORDS[] = {
        {"true", NETC_JSON_BOOL, true}, {"false", NETC_JSON_BOOL, false}, {"null", NETC_JSON_NULL, false}};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(WORDS[i].text);
        if (strncmp(s->p, WORDS[i].text, n)) continue;
        netc_json *v = new_value(s, WORDS[i].kind);
        if (v) v->truth = WORDS[i].truth;
        s->p += n;
        return v;
    }
    fail(s, s->p == s->end ? "the text ends too early" : "a value is missing");
    return NULL;
}

static netc_json *parse_value(parser *s) {
    skip_blanks(s);
    char c = *s->p;
    if (c == '{' || c == '[') {
        if (s->depth == MAX_DEPTH) {
            fail(s, "nested too deeply");
            return NULL;
        }
        s->depth++;
        netc_json *v = parse_members(s, c == '{');
        s->depth--;
        return v;
    }
    if (c == '"') {
        uint32_t size;
        char *string = parse_string(s, &size);
        netc_json *v = string ? new_value(s, NETC_JSON_STRING) : NULL;
        if (!v) return NULL;
        v->u.string = string;
        v->count = size;
        return v;
    }
    return c == '-' || (c >= '0' && c <= '9') ? parse_number(s) : parse_word(s);
}

netc_json_doc *netc_json_parse(const char *text, size_t size, const char **why, size_t *where) {
    char *own = netc_alloc(size + 1);
    memcpy(own, text, size);
    return netc_json_parse_owned(own, size, why, where);
}

netc_json_doc *netc_json_parse_owned(char *text, size_t size, const char **why, size_t *where) {
    netc_json_doc *doc = netc_alloc(sizeof *doc);
    doc->text = text;
    parser s = {.doc = doc, .p = doc->text, .end = doc->text + size};
    if (size >= UINT32_MAX) fail(&s, "too large");
    doc->root = s.why ? NULL : parse_value(&s);
    if (doc->root) {
        skip_blanks(&s);
        if (s.p != s.end) fail(&s, "something follows the value");
    }
    if (!s.why) return doc;
    *why = s.why;
    *where = s.where;
    netc_json_free(doc);
    return NULL;
}

const netc_json *netc_json_root(const netc_json_doc *doc) { return doc->root; }

void netc_json_free(netc_json_doc *doc) {
    if (!doc) return;
    for (chunk *c = doc->chunks; c;) {
        chunk *before = c->before;
        free(c);
        c = before;
    }
    free(doc->text);
    free(doc);
}

/* ---- reading -------------------------------------------------------------------------------------- */

bool netc_json_is(const netc_json *v, netc_json_kind kind) { return v && v->kind == kind; }

const netc_json *netc_json_first(const netc_json *v) {
    return netc_json_is(v, NETC_JSON_ARRAY) || netc_json_is(v, NETC_JSON_OBJECT) ? v->u.first : NULL;
}

const netc_json *netc_json_get(const netc_json *v, const char *key) {
    if (!netc_json_is(v, NETC_JSON_OBJECT)) return NULL;
    for (const netc_json *m = v->u.first; m; m = m->next) {
        if (!strcmp(m->key, key)) return m;
    }
    return NULL;
}

const netc_json *netc_json_at(const netc_json *v, uint32_t i) {
    const netc_json *m = netc_json_first(v);
    while (m && i--) m = m->next;
    return m;
}

const char *netc_json_string(const netc_json *v, const char *otherwise) {
    return netc_json_is(v, NETC_JSON_STRING) ? v->u.string : otherwise;
}

double netc_json_number(const netc_json *v, double otherwise) {
    if (!netc_json_is(v, NETC_JSON_NUMBER)) return otherwise;
    return v->truth ? (double)v->u.integer : v->u.number;
}

int64_t netc_json_int(const netc_json *v, int64_t otherwise) {
    return netc_json_is(v, NETC_JSON_NUMBER) && v->truth ? v->u.integer : otherwise;
}

bool netc_json_bool(const netc_json *v, bool otherwise) {
    return netc_json_is(v, NETC_JSON_BOOL) ? v->truth : otherwise;
}

static bool equal_keys(const netc_json *a, const netc_json *b) {
    return !a->key == !b->key && (!a->key || !strcmp(a->key, b->key));
}

bool netc_json_equal(const netc_json *a, const netc_json *b) {
    if (!a || !b) return a == b;
    if (a->kind != b->kind || a->truth != b->truth || a->count != b->count) return false;
    if (a->kind == NETC_JSON_NUMBER) {
        return a->truth ? a->u.integer == b->u.integer : a->u.number == b->u.number;
    }
    if (a->kind == NETC_JSON_STRING) return !memcmp(a->u.string, b->u.string, a->count);
    const netc_json *m = netc_json_first(a), *n = netc_json_first(b);
    for (; m && n; m = m->next, n = n->next) {
        if (!equal_keys(m, n) || !netc_json_equal(m, n)) return false;
    }
    return true;
}

/* ---- writing -------------------------------------------------------------------------------------- */

void netc_json_put_string(netc_buf *b, const char *s) {
    netc_buf_text(b, "\"");
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        int n = utf8_length(p);
        if (*p == '"' || *p == '\\') netc_buf_printf(b, "\\%c", *p);
        else if (*p < 0x20) netc_buf_printf(b, "\\u%04x", *p);
        else if (n) netc_buf_add(b, p, (size_t)n);
        else netc_buf_text(b, "\xef\xbf\xbd");      /* U+FFFD for a byte that is not UTF-8 */
        p += n ? n : 1;
    }
    netc_buf_text(b, "\"");
}

void netc_json_put_number(netc_buf *b, double v) {
    if (!isfinite(v)) {
        netc_buf_text(b, "null");
        return;
    }
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    netc_buf_text(b, text);
}
