/* A strict reader of JSON (RFC 8259) into a tree, and helpers to write it. Input is untrusted: depth,
 * size and number of values are limited, keys are unique, strings hold no NUL and are valid UTF-8.
 */
#ifndef NETC_RUNTIME_JSON_H
#define NETC_RUNTIME_JSON_H
#include "runtime/rt_util.h"

typedef enum {
    NETC_JSON_NULL, NETC_JSON_BOOL, NETC_JSON_NUMBER, NETC_JSON_STRING, NETC_JSON_ARRAY, NETC_JSON_OBJECT
} netc_json_kind;

/* A value. Lives as long as its document. */
typedef struct netc_json netc_json;
struct netc_json {
    uint8_t     kind;           /* netc_json_kind */
    bool        truth;          /* BOOL: the value; NUMBER: written as an integer that fits int64 */
    uint32_t    count;          /* ARRAY, OBJECT: members; STRING: bytes */
    union {
        double     number;      /* NUMBER with !truth */
        int64_t    integer;     /* NUMBER with truth */
        char      *string;      /* STRING, decoded, NUL at the end */
        netc_json *first;       /* ARRAY, OBJECT */
    } u;
    const char *key;            /* in an object */
    netc_json  *next;           /* in an array or object */
};

typedef struct netc_json_doc netc_json_doc;

/* Parses text[0..size). NULL on an error: *why (static text) and *where (byte offset) say which. */
netc_json_doc   *netc_json_parse(const char *text, size_t size, const char **why, size_t *where);
/* The same in place, for large texts: text is from malloc, text[size] is 0, the document (or, on an error,
 * this function) frees it. */
netc_json_doc   *netc_json_parse_owned(char *text, size_t size, const char **why, size_t *where);
const netc_json *netc_json_root(const netc_json_doc *doc);
void             netc_json_free(netc_json_doc *doc);

/* Reading. `v` may be NULL everywhere and then has no members; the wrong kind gives the default. */
const netc_json *netc_json_get(const netc_json *v, const char *key);       /* NULL if absent */
const netc_json *netc_json_at(const netc_json *v, uint32_t i);
bool             netc_json_is(const netc_json *v, netc_json_kind kind);
const char      *netc_json_string(const netc_json *v, const char *otherwise);
double           netc_json_number(const netc_json *v, double otherwise);
int64_t          netc_json_int(const netc_json *v, int64_t otherwise);     /* only integers */
bool             netc_json_bool(const netc_json *v, bool otherwise);
bool             netc_json_equal(const netc_json *a, const netc_json *b);  /* members in the same order */
/* for (const netc_json *m = netc_json_first(v); m; m = m->next) */
const netc_json *netc_json_first(const netc_json *v);

/* Writing, into a buffer. Numbers are the shortest text that reads back as the same double; what JSON
 * cannot say (nan, inf) becomes null. Strings are quoted and escaped. */
void netc_json_put_string(netc_buf *b, const char *s);
void netc_json_put_number(netc_buf *b, double v);

#endif
