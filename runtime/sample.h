/* Samples while a network is trained: `every = [1000, sample("T", N=200)]` calls an entry now and then. It sees the
 * weights and shared states and changes nothing.
 */
#ifndef NETC_RUNTIME_SAMPLE_H
#define NETC_RUNTIME_SAMPLE_H
#include "runtime/results.h"

typedef struct {
    netc_engine *engine;
    netc_call    call;
    netc_inputs  inputs;
    netc_blocks  scratch;       /* only its states are used */
} netc_sampler;

/* As the model's train plan says; nothing if that has no `every`. Exit code after a message. */
int   netc_sampler_new(netc_sampler *s, netc_engine *e);
void  netc_sampler_free(netc_sampler *s);               /* {0} is allowed */
/* Is one due after `step` steps? */
bool  netc_sampler_due(const netc_sampler *s, int64_t step);
/* What the entry says, a line per row, control characters as "?"; free() it. Random numbers are a function of seed
 * and time. */
char *netc_sampler_text(netc_sampler *s, const netc_blocks *b, const netc_time *t, uint64_t seed);

#endif
