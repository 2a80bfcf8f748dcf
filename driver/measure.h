/* Times of something that is called again and again. */
#ifndef NETC_DRIVER_MEASURE_H
#define NETC_DRIVER_MEASURE_H
#include "base/vec.h"

/* Seconds of single calls. */
typedef VEC(double) Samples;

typedef struct {
    double median, min;         /* seconds */
} Timing;

/* Sorts the samples; there is at least one. */
Timing timing_of(Samples *s);

typedef void MeasuredCall(void *cx);

/* Calls three times to warm up, then times calls for `seconds`, and at least `least` of them. */
Timing measure(double seconds, int least, MeasuredCall *call, void *cx);

#endif
