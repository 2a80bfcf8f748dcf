#include "ir/ir.h"

static void mulhilo(uint32_t a, uint32_t b, uint32_t *high, uint32_t *low) {
    uint64_t p = (uint64_t)a * b;
    *high = (uint32_t)(p >> 32);
    *low = (uint32_t)p;
}

/* The constants are those of the paper: two odd multipliers, and the golden ratio and sqrt(3) - 1 as
 * Weyl increments of the key. */
void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint32_t h0, l0, h1, l1;
        mulhilo(0xD2511F53u, c0, &h0, &l0);
        mulhilo(0xCD9E8D57u, c2, &h1, &l1);
        c0 = h1 ^ c1 ^ k0;
        c1 = l1;
        c2 = h0 ^ c3 ^ k1;
        c3 = l0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

double rng_uniform(uint64_t seed, uint32_t site, uint64_t step, int64_t element) {
    uint32_t counter[4] = {(uint32_t)(element / 4), (uint32_t)step, (uint32_t)(step >> 32), 0};
    uint32_t key[2] = {(uint32_t)seed, site}, word[4];
    philox(counter, key, word);
    return ((double)(word[element % 4] >> 9) + 0.5) * 0x1p-23;
}
