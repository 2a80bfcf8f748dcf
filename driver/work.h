/* How much arithmetic a model is: multiply-adds of its contractions, counted in the graph before any pass. */
#ifndef NETC_DRIVER_WORK_H
#define NETC_DRIVER_WORK_H
#include "ir/ir.h"

/* Multiply-adds per example of a layer's contractions, and the shape of what the layer computes last. */
typedef struct {
    int64_t macs;
    Type    shape;
} Work;

Work work_layer(const Graph *g, const char *layer);

/* Multiply-adds of one call of the function at its full batch. A lookup of rows of a parameter counts as the
 * product with a one-hot matrix that it stands for, so that work does not depend on how it is written. */
int64_t work_graph(const Graph *g);

#endif
