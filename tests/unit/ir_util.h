/* For tests of ir/: graphs from text, expectations on text. */
#ifndef NETC_TESTS_IR_UTIL_H
#define NETC_TESTS_IR_UTIL_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "ir/ir.h"

/* The graph that `text` says, NULL if it does not parse; *d (may be NULL) gets the messages. */
static inline Graph *ir_parse(Arena *a, const char *text, Diag **d) {
    Source *s = ARENA_NEW(a, Source);
    *s = (Source){"test.ir", "test.ir", arena_strdup(a, text), strlen(text), false};
    Diag *diag = diag_new(a);
    if (d) *d = diag;
    return graph_parse(a, diag, s);
}

/* The same; a text that does not parse fails the test and shows why. */
static inline Graph *ir_graph(Arena *a, const char *text) {
    Diag  *d;
    Graph *g = ir_parse(a, text, &d);
    diag_print(d, stderr, false);
    assert_non_null(g);
    return g;
}

/* The same; it must verify too. */
static inline Graph *ir_good(Arena *a, const char *text) {
    const char *why;
    Graph      *g = ir_graph(a, text);
    if (!graph_verify(g, &why)) fail_msg("%s", why);
    return g;
}

#endif
