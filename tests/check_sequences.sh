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

# Step by step: the state of each stream is the caller's, given and taken in one place; what a whole sequence gives.
cat > steps.net <<'NET'
net 1
dim V = vocab("signs.txt", eos=true)
dim T <= 6
dim H = 5
model M {
  emb = Embed(3);  cell = Lstm(H);  out = Dense(V)
  objective(x: V[T], y: V[T]) {
    state h0: [H] = 0                  # for training alone: the entries take no block of states
    scan t in T { h[t], c[t] = cell(emb(x[t]), h[t-1], c[t-1]) from h0, zeros }
    next h0 = last(h)
    loss mean[t](xent(out(h[t]), y[t]))
  }
  entry whole(x: V[T]) -> [T,V] {
    scan t in T { h[t], c[t] = cell(emb(x[t]), h[t-1], c[t-1]) from zeros, zeros }
    z[t] = out(h[t])
    return z
  }
  entry step(x: V, h: [H], c: [H]) -> ([V], [H], [H]) {
    h1, c1 = cell(emb(x), h, c)
    return out(h1), h1, c1
  }
}
NET
printf 'a"?é\\b 7' > signs.txt
expect 0 '' "$netc" compile steps.net --emit=obj,header -o steps
cat > steps.c <<'C'
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "steps.h"
#define CHECK(x) do { if (!(x)) { printf("line %d: %s\n", __LINE__, #x); return 1; } } while (0)
static const char *const symbol[] = STEPS_SYMBOLS_V;
enum { SYMBOLS = sizeof symbol / sizeof *symbol };
static _Alignas(64) char weights[STEPS_WEIGHTS_SIZE + 64], arena[1 << 20];

int main(void) {
    int32_t x[2][6] = {{1, 4, 0, 2, 7, 3}, {5, 5, 6}}, T[2] = {6, 3};
    float   z[2][6][SYMBOLS], h[2][5] = {{0}}, c[2][5] = {{0}}, y[2][SYMBOLS], kept[2][5];
    CHECK(STEPS_STATE_SIZE > 0 && SYMBOLS == 10 && STEPS_STEP_OUT0_COUNT == 10);
    CHECK(!strcmp(symbol[SYMBOLS - 2], "<bos>") && !strcmp(symbol[SYMBOLS - 1], "<eos>"));
    CHECK(!strcmp(symbol[0], " ") && !strcmp(symbol[1], "\"") && !strcmp(symbol[2], "7") && !strcmp(symbol[3], "?"));
    CHECK(!strcmp(symbol[4], "\\") && !strcmp(symbol[7], "\303\251"));
    CHECK(steps_init(weights, 3, arena, sizeof arena) == 0);
    steps_whole_io all = {.size = sizeof all, .count = 2, .x = x[0], .T = T, .z = z[0][0]};
    CHECK(steps_whole(&all, weights, NULL, arena, sizeof arena) == 0);
    for (int t = 0; t < 6; t++) {                       /* two streams at once, the second ends at 3 */
        int32_t at[2] = {x[0][t], x[1][t]};
        steps_step_io io = {.size = sizeof io, .count = t < 3 ? 2 : 1, .x = at, .h = h[0], .c = c[0], .out0 = y[0],
                            .h1 = h[0], .c1 = c[0]};
        memset(arena, 0xff, sizeof arena);
        CHECK(steps_step(&io, weights, NULL, arena, sizeof arena) == 0);
        for (int b = 0; b < (int)io.count; b++)
            for (int v = 0; v < SYMBOLS; v++) CHECK(fabsf(y[b][v] - z[b][t][v]) < 1e-6f);
        if (t == 2) memcpy(kept, h, sizeof kept);
    }
    CHECK(!memcmp(kept[1], h[1], sizeof h[1]) && memcmp(kept[0], h[0], sizeof h[0]));
    puts("as a whole");
    return 0;
}
C
expect 0 '' cc -std=c99 -pedantic -Wall -Wextra -Werror -D_Alignas\(n\)=__attribute__\(\(aligned\(n\)\)\) steps.c steps.o -lm -o steps
expect 0 'as a whole' ./steps

# Lengths that are formulas of others: of results as text and as files, for C, of several weights, and where `until`
# sets what they are made of. A row may be left with nothing.
cat > windows.net <<'NET'
net 1
dim V = 5
dim T <= 6
dim S <= 4
model M {
  emb = Embed(3);  cell = Gru(4);  out = Dense(V)
  objective(x: V[S], y: V[T]) {
    scan s in S { h[s] = cell(emb(x[s]), h[s-1]) from zeros }
    scan t in T { g[t] = cell(emb(y[t-1] ?? 0), g[t-1]) from last(h) }
    loss mean[t](xent(out(g[t]), y[t]))
  }
  entry pairs(x: V[S]) -> (V[S-1], V[S/2]) {
    a[s < S-1] = x[s+1]
    b[s < S/2] = x[2*s]
    return a, b
  }
  entry say(x: V[S]) -> (V[T], V[T-1], [(T-1)/2+S]) {
    scan s in S { h[s] = cell(emb(x[s]), h[s-1]) from zeros }
    scan t in T until y[t] == 1 {
      g[t] = cell(emb(y[t-1]), g[t-1]) from last(h)
      y[t] = argmax(out(g[t]))         from 0
    }
    z[t < T-1] = y[t+1]
    u[i < (T-1)/2+S] = f32(i)
    return y, z, u
  }
}
data D(x: V[S], y: V[T]) { train = npz("none.npz") }
NET
# npy_i32 FILE SHAPE NUMBER...: small numbers
npy_i32() {
    file=$1 shape=$2
    shift 2
    { printf '\223NUMPY\1\0v\0%-117s\n' "{'descr': '<i4', 'fortran_order': False, 'shape': ($shape), }"
      for i in "$@"; do printf "\\$(printf %03o "$i")\0\0\0"; done; } > "$file"
}
numbers() { tail -c +129 "$1" | od -An -v -td4 -w400 | tr -s ' '; }
npy_i32 x.npy '3, 4' 1 2 3 4  4 9 9 9  2 3 9 9
npy_i32 n.npy '3,' 4 1 2
expect 0 'entry pairs(x: V\[S\]) -> V\[S-1\], V\[S/2\]' "$netc" check windows.net
expect 0 '' "$netc" init windows.net -o w.safetensors
expect 0 '' "$netc" run windows.net pairs -w w.safetensors --in x=x.npy --in S=n.npy
printf '2 3 4 1 3\n \n3 2\n' > due.txt
holds "as text a row goes as far as its own length" cmp out.txt due.txt
expect 0 '' "$netc" run windows.net pairs -w w.safetensors,w.safetensors --in x=x.npy --in S=n.npy
holds "a vote has the same lengths" cmp out.txt due.txt
expect 0 '' "$netc" run windows.net pairs -w w.safetensors --in x=x.npy --in S=n.npy --out a=a.npy --out S-1=a.len.npy \
    --out S/2=b.len.npy
holds "S-1" test "$(numbers a.len.npy)" = ' 3 0 1'
holds "S/2" test "$(numbers b.len.npy)" = ' 2 0 1'
holds "0 past the lengths" test "$(numbers a.npy)" = ' 2 3 4 0 0 0 3 0 0'
expect 2 'no result .S.; it has: a, b; lengths: S-1, S/2' "$netc" run windows.net pairs -w w.safetensors --in x=x.npy \
    --in S=n.npy --out S=f.npy
expect 0 '' "$netc" run windows.net say -w w.safetensors --in x=x.npy --in S=n.npy --out T=t.npy --out T-1=z.npy \
    --out '(T-1)/2+S=u.npy'
holds "formulas of a length that until sets" sh -c 'set -- $1 $2 $3 && [ $4 = $(($1 - 1)) ] && [ $7 = $((($1 - 1) / 2 + 4)) ]' - \
    "$(numbers t.npy)" "$(numbers z.npy)" "$(numbers u.npy)"
expect 2 'until' "$netc" run windows.net say -w w.safetensors,w.safetensors --in x=x.npy --in S=n.npy
expect 0 '' "$netc" compile windows.net --emit=obj,header -o windows
cat > windows.c <<'C'
#include <stdio.h>
#include "windows.h"
static _Alignas(64) char weights[WINDOWS_WEIGHTS_SIZE + 64], state[WINDOWS_STATE_SIZE + 64], arena[1 << 20];
int main(void) {
    int32_t S[2] = {4, 1}, x[2][4] = {{1, 2, 3, 4}, {4}}, a[2][3], less[2], half[2], T[2], T1[2], u[2];
    windows_pairs_io io = {.size = sizeof io, .count = 2, .x = x[0], .S = S, .a = a[0], .S_1 = less, .S_2 = half};
    windows_say_io   say = {.size = sizeof say, .count = 2, .x = x[0], .S = S, .T = T, .T_1 = T1, .out_T_1__2_S = u};
    if (windows_init(weights, 1, arena, sizeof arena) || windows_pairs(&io, weights, state, arena, sizeof arena) ||
        windows_say(&say, weights, state, arena, sizeof arena)) return 1;
    printf("%d %d, %d %d, %d %d %d\n", less[0], less[1], half[0], half[1], a[0][0], a[0][1], a[0][2]);
    return T1[0] != T[0] - 1 || u[1] != (T[1] - 1) / 2 + 1;
}
C
expect 0 '' cc -std=c11 -Wall -Werror windows.c windows.o -o windows
expect 0 '^3 0, 2 0, 2 3 4$' ./windows
holds "the header says whose lengths these are" grep -q 'S_1; /\* out: int32_t \[count\], the length S-1 of each row' windows.h
sed 's/^data D(x: V\[S\]/data D(x: V[S-1]/' windows.net > field.net
expect 1 'a field of data has declared dims, and S-1 is made of others: declare a dim for it (dim U <= 3)' "$netc" check field.net

# Clips: a folder of pictures for each row, in the order of their names; numbers count as numbers.
# pgm FILE BYTE HEIGHT WIDTH: a picture of one grey
pgm() { { printf 'P5\n%d %d\n255\n' "$4" "$3"; for k in $(seq $(($3 * $4))); do printf "\\$(printf %03o "$2")"; done; } > "$1"; }
mkdir -p clips/a clips/b clips/c clips/none clips/torn clips/wide clips/long
for i in 1 2 3 10 11; do pgm clips/a/$i.pgm $i 2 3; done
pgm clips/b/f.pgm 255 2 3
for i in 0 1 2; do pgm clips/c/f$i.pgm $((51 * i)) 2 3; pgm clips/wide/$i.pgm 9 2 $((3 + i)); done
for i in 1 2 3 4 5 6 7; do pgm clips/long/$i.pgm 9 2 3; done
printf 'P5\n3 2\n255\nabc' > clips/torn/1.pgm
cat > clips.net <<'NET'
net 1
dim T <= 6
dim D = 2
data Clips(frames: [T,1,2,3], at: D[T]) { train = tsv("clips.tsv") }
model M {
  cell = Gru(3);  out = Dense(D)
  objective(frames: [T,1,2,3], at: D[T]) {
    f[t] = frames[t] |> flatten
    scan t in T { h[t] = cell(f[t], h[t-1]) from zeros }
    loss mean[t](xent(out(h[t]), at[t]))
    metric bright = mean[t](frames[t,0,1,2])
  }
  entry grey(frames: [T,1,2,3]) -> [T] {
    p[t] = 255*frames[t,0,0,0]
    return p
  }
}
train M on Clips { batch = 2;  epochs = 1;  optimizer = sgd(0.1);  bucket = T }
NET
printf 'clips/a\t0 0 1 0 1\nclips/b\t1\nclips/c\t0 1 0\n' > clips.tsv
expect 0 'bright 0.4071 (3 examples)' "$netc" train clips.net --out clips.run     # (27/5/255 + 1 + 51/255) / 3
expect 0 '^1 2 3 10 11$' "$netc" run clips.net grey -w clips.run/weights.safetensors --in frames=clips/a
expect 4 'clips/none: empty' "$netc" run clips.net grey -w clips.run/weights.safetensors --in frames=clips/none
expect 4 'clips/wide/1.pgm: has 2 x 4 pixels' "$netc" run clips.net grey -w clips.run/weights.safetensors --in frames=clips/wide
expect 4 'an axis of 7, but T goes from 1 to 6' "$netc" run clips.net grey -w clips.run/weights.safetensors --in frames=clips/long
# refused TEXT ROW: a second line of the table, and what is said of it
refused() {
    printf 'clips/b\t1\n%b\n' "$2" > clips.tsv
    expect "${3-4}" "clips.tsv:2:1: .*$1" "$netc" train clips.net --fresh --out clips.run
}
refused 'clips/none: empty: no .png, .pgm or .ppm in it' 'clips/none\t1'
refused 'clips/torn/1.pgm: truncated' 'clips/torn\t1'
refused 'clips/wide/1.pgm: has 2 x 4 pixels (height x width), the field is 2 x 3' 'clips/wide\t1 1 1'
refused 'clips/long: has 7 pictures, at most 6 fit' 'clips/long\t1 1 1 1 1 1 1'
refused 'clips/lost: cannot be read as a folder' 'clips/lost\t1' 3
refused 'clips/b/f.pgm: cannot be read as a folder' 'clips/b/f.pgm\t1' 3
refused 'an empty cell, frames needs the path of a folder of pictures' '\t1'
refused 'stay below' '../clips/b\t1' 3
printf 'clips/b\t1\nclips/c\t1 1\n' > clips.tsv
expect 4 'clips.tsv:2:9: at has 2 steps of T, a field before it has 3' "$netc" train clips.net --fresh --out clips.run
sed 's/frames: \[T,1,2,3\], at: D\[T\]/frames: [3,1,2,3], at: D/g; s/at\[t\]/at/; s/in T/in 3/; s/entry.*/entry grey(frames: [3,1,2,3]) -> [3] {/
    s/;  bucket = T//; s/f\[t\] =/f[t < 3] =/; s/h\[t\] = c/h[t] = c/' clips.net > three.net
printf 'clips/c\t1\nclips/b\t1\n' > clips.tsv
expect 4 'clips.tsv:2:1: ./clips/b: has 1 picture, frames takes 3' "$netc" train three.net --out three.run
finish
