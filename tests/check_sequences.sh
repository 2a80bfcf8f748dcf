#!/bin/bash
# Sequences through the commands and the C interface: the answers for a row do not depend on what lies past its length
# nor on the rows beside it; lengths and symbols are checked; a training step learns.
. "$(dirname "$0")/lib.sh"

cat > tag.net <<'NET'
net 1
dim V = 5
dim T <= 4
model M {
  emb = Embed(3);  cell = Lstm(6);  out = Dense(V)
  objective(x: V[T], y: V[T]) {
    e[t] = emb(x[t])
    scan t in T { h[t], c[t] = cell(e[t], h[t-1], c[t-1]) from zeros, zeros }
    l[t] = xent(out(h[t]), y[t])
    loss mean[t](l[t])
  }
  entry score(x: V[T]) -> [T,V] {
    e[t] = emb(x[t])
    scan t in T { h[t], c[t] = cell(e[t], h[t-1], c[t-1]) from zeros, zeros }
    s[t] = out(h[t])
    return s
  }
}
data D(x: V[T], y: V[T]) { train = npz("none.npz") }
train M on D {
  batch = 3
  optimizer = sgd(0.5)
}
NET
expect 0 'scratch' "$netc" check tag.net
expect 0 '' "$netc" compile tag.net --emit=obj,header -o tag

cat > main.c <<'C'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tag.h"
#define CHECK(x) do { if (!(x)) { printf("line %d: %s\n", __LINE__, #x); return 1; } } while (0)
static _Alignas(64) char weights[TAG_WEIGHTS_SIZE + 64], opt[TAG_OPT_SIZE + 64], state[TAG_STATE_SIZE + 64], arena[1 << 20];

static int score(int rows, const int32_t *T, const int32_t *x, float *s) {
    tag_score_io io = {.size = sizeof io, .count = (uint32_t)rows, .x = x, .T = T, .s = s};
    return tag_score(&io, weights, state, arena, sizeof arena);
}

int main(void) {
    int32_t T[3] = {4, 1, 2}, x[3][4] = {{1, 2, 3, 4}, {2, -7, 99, 1 << 30}, {0, 4, -1, -1}}, bad[3] = {4, 0, 2};
    float   all[3][4][5], one[4][5], first = 0, loss = 0;
    CHECK(tag_init(weights, 7, arena, sizeof arena) == 0);
    CHECK(score(3, T, x[0], all[0][0]) == 0);
    for (int b = 0; b < 3; b++) {                       /* each row alone, something else past its length */
        int32_t y[4] = {3, 3, 3, 3};
        memcpy(y, x[b], sizeof *y * (size_t)T[b]);
        memset(arena, 0xff, sizeof arena);
        CHECK(score(1, &T[b], y, one[0]) == 0);
        CHECK(!memcmp(one, all[b], sizeof one[0] * (size_t)T[b]));
    }
    CHECK(score(3, bad, x[0], all[0][0]) == TAG_ERANGE);
    bad[1] = 5;
    CHECK(score(3, bad, x[0], all[0][0]) == TAG_ERANGE);
    bad[1] = 2;                                         /* now the -7 counts */
    CHECK(score(3, bad, x[0], all[0][0]) == TAG_ERANGE);
    CHECK(tag_reset(opt, state) == 0);
    tag_train_step_io io = {.size = sizeof io, .count = 3, .x = x[0], .y = x[0], .T = T, .loss = &loss, .batches = 1};
    for (io.step = 0; io.step < 200; io.step++) {
        CHECK(tag_train_step(&io, weights, opt, state, arena, sizeof arena) == 0);
        if (!io.step) first = loss;
    }
    CHECK(isfinite(loss) && loss < 0.5f * first);
    puts("good");
    return 0;
}
C
expect 0 '' cc -std=c11 -Wall -Werror main.c tag.o -lm -o main
expect 0 'good' ./main
finish
