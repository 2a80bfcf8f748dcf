#include "driver/measure.h"

#include <stdlib.h>

#include "runtime/rt_util.h"

enum { WARM_UP = 3 };

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Timing timing_of(Samples *s) {
    qsort(s->at, (size_t)s->n, sizeof *s->at, by_size);
    return (Timing){.median = s->at[s->n / 2], .min = s->at[0]};
}

Timing measure(double seconds, int least, MeasuredCall *call, void *cx) {
    Arena  *a = arena_new();
    Samples s = {0};
    for (int i = 0; i < WARM_UP; i++) call(cx);
    double now = netc_seconds(), end = now + seconds;
    while (s.n < least || now < end) {
        double begun = netc_seconds();
        call(cx);
        now = netc_seconds();
        vec_push(a, &s, now - begun);
    }
    Timing result = timing_of(&s);
    arena_free(a);
    return result;
}
