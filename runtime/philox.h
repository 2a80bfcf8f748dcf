/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
 * random numbers that are a function of a key and a counter. The same function as in generated code.
 */
#ifndef NETC_RUNTIME_PHILOX_H
#define NETC_RUNTIME_PHILOX_H
#include <stdint.h>

void netc_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
