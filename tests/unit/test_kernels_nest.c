/* Nests against the interpreter: kinds, types, guards, derived and indirect subscripts, awkward sizes. */
#include "tests/unit/kernel_util.h"

#include "base/str.h"

/* Around the widths of vectors and tiles. */
static const int SIZES[] = {1, 8, 15, 33};

#define EACH_SIZE(n) for (int k_ = 0, n; k_ < (int)(sizeof SIZES / sizeof *SIZES) && (n = SIZES[k_], true); k_++)

static void check_size(const char *text, int n, int64_t rows) {
    Arena *a = arena_new();
    Buf    b = buf_new(a);
    for (const char *p = text; *p; p++)
        if (*p == '@') buf_printf(&b, "%d", n);
        else buf_putc(&b, *p);
    kt_check(b.s, rows);
    arena_free(a);
}

static void maps(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=5) { %x = input data \"x\" : f32[n,@]\n %w = param \"w\" : f32[@]\n"
                   "%a = comp [b,i] map add(mul(%x[b,i], %w[i]), 0.5) : f32[n,@]\n"
                   "%c = comp [b,i] map sel(lt(%a[b,i], 0), neg(%x[b,i]), %a[b,i]) : f32[n,@]\n"
                   "%d = comp [b,i] map sub(%c[b,i], %c?[b,i-1]) : f32[n,@]\n"
                   "%e = comp [i,b] map exp(%x[b,i]) : f32[@,n]\n"
                   "%h = comp [b] map %x[b,0] : f32[n]\n"
                   "out a = %a\n out d = %d\n out e = %e\n out h = %h\n}", n, 3);
}

static void scalars_of_all_kinds(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=4) { %x = input data \"x\" : f32[n,@]\n %y = input data \"y\" : f32[n,@]\n"
                   "%s = input scalar \"hyper.eta\" : f32[]\n"
                   "%a = comp [b,i] map add(tanh(%x[b,i]), mul(exp(%y[b,i]), log(add(1.5, %x[b,i])))) : f32[n,@]\n"
                   "%c = comp [b,i] map div(sqrt(%x[b,i]), add(2, sin(cos(%y[b,i])))) : f32[n,@]\n"
                   "%d = comp [b,i] map pow(add(2, %x[b,i]), mul(%s[], floor(mul(3, %y[b,i])))) : f32[n,@]\n"
                   "%e = comp [b,i] map eq(idx(2*i+b), i32(mul(7, %x[b,i]))) : pred[n,@]\n"
                   "%f = comp [b,i] map max(f32(%e[b,i]), mul(f32(idx(i-b)), bound(n))) : f32[n,@]\n"
                   "out a = %a\n out c = %c\n out d = %d\n out e = %e\n out f = %f\n}", n, 3);
}

static void reductions(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=5) { %x = input data \"x\" : f32[n,@]\n %p = input data \"p_9\" : i32[n,@]\n"
                   "%a = comp [b | i<@] sum %x[b,i] : f32[n]\n"
                   "%c = comp [i | b<n] sum mul(%x[b,i], %x[b,i]) : f32[@]\n"
                   "%d = comp [| b<n,i<@] sum %x[b,i] : f32[]\n"
                   "%e = comp [b | i<@] max %x[b,i] : f32[n]\n"
                   "%f = comp [b | i<@] argmax %x[b,i] : i32[n]\n"
                   "%h = comp [b | i<@] argmin %p[b,i] : i32[n]\n"
                   "%j = comp [i | b<n] argmax %p[b,i] : i32[@]\n"
                   "%k = comp [b | i<@] all lt(-0.9, %x[b,i]) : pred[n]\n"
                   "%l = comp [i | b<n] any lt(0.9, %x[b,i]) : pred[@]\n"
                   "%m = comp [b | i<@] prod add(1, mul(0.1, %x[b,i])) : f32[n]\n"
                   "%o = comp [| b<n,i<@] min %p[b,i] : i32[]\n"
                   "%q = comp [b | i<@] sum %p[b,i] : i32[n]\n"
                   "out a = %a\n out c = %c\n out d = %d\n out e = %e\n out f = %f\n out h = %h\n out j = %j\n"
                   "out k = %k\n out l = %l\n out m = %m\n out o = %o\n out q = %q\n}", n, 3);
}

/* NaN in some points of an extreme, in most, in all; lanes along the reduction and across it; a window with guards. */
static void extremes_skip_nan(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=5) { %x = input data \"x\" : f32[n,@]\n"
                   "%y = comp [b,i] map sel(lt(%x[b,i], 0.3), nan, %x[b,i]) : f32[n,@]\n"
                   "%z = comp [b,i] map sel(lt(%x[b,i], 0.97), nan, %x[b,i]) : f32[n,@]\n"
                   "%a = comp [b | i<@] max %y[b,i] : f32[n]\n %c = comp [b | i<@] min %y[b,i] : f32[n]\n"
                   "%d = comp [b | i<@] argmax %y[b,i] : i32[n]\n %e = comp [b | i<@] argmin %y[b,i] : i32[n]\n"
                   "%f = comp [i | b<n] max %z[b,i] : f32[@]\n %h = comp [i | b<n] argmin %z[b,i] : i32[@]\n"
                   "%j = comp [b | i<@] argmax %z[b,i] : i32[n]\n"
                   "%k = comp [b,i | r<3] max %y?[b,i+r-1] : f32[n,@]\n"
                   "%l = comp [b,i | r<1] max %y[b,i] : f32[n,@]\n %m = comp [b,i | r<1] min %z[b,i] : f32[n,@]\n"
                   "%o = comp [b,i | r<3; k=(2*i+r-1)/1<@] max %y[b,k] : f32[n,@]\n"
                   "%p = comp [b,i | r<3; k=(2*i+r-1)/1<@] argmax %z[b,k] : i32[n,@]\n"
                   "out a = %a\n out c = %c\n out d = %d\n out e = %e\n out f = %f\n out h = %h\n out j = %j\n"
                   "out k = %k\n out l = %l\n out m = %m\n out o = %o\n out p = %p\n}", n, 3);
}

static void bytes(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=3) { %x = input data \"x_256\" : u8[n,@]\n"
                   "%a = comp [b,i] map div(f32(%x[b,i]), 255) : f32[n,@]\n"
                   "%p = comp [b,i] map lt(%a[b,i], 0.5) : pred[n,@]\n"
                   "%c = comp [b,i] map sel(%p[b,@-1-i], %a[b,i], 0) : f32[n,@]\n"
                   "%s = comp [b | i<@] sum f32(%x[b,i]) : f32[n]\n"
                   "out a = %a\n out p = %p\n out c = %c\n out s = %s\n}"
                   , n == 1 ? 2 : n, 2);
}

static void contractions(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=11) { %x = input data \"x\" : f32[n,@]\n %w = param \"w\" : f32[19,@]\n %b = param \"b\" : f32[19]\n"
                   "%y = comp [b,o | k<@] sum mul(%w[o,k], %x[b,k]) : f32[n,19]\n"
                   "%z = comp [b,o] map max(add(%y[b,o], %b[o]), 0) : f32[n,19]\n"
                   "%dx = comp [b,k | o<19] sum mul(%w[o,k], %z[b,o]) : f32[n,@]\n"
                   "%dw = comp [o,k | b<n] sum mul(%z[b,o], %x[b,k]) : f32[19,@]\n"
                   "%db = comp [o | b<n] sum %z[b,o] : f32[19]\n"
                   "%w1 = comp [o,k] map sub(%w[o,k], mul(0.1, %dw[o,k])) : f32[19,@]\n"
                   "out z = %z\n out dx = %dx\n out db = %db\n set %w = %w1\n}", n, 7);
}

static void convolution(void **state) {
    (void)state;
    EACH_SIZE(n) {
        if (n > 33) continue;
        check_size("graph g(n<=3) { %x = input data \"x\" : f32[n,3,@,9]\n %w = param \"w\" : f32[5,3,3,3]\n %b = param \"b\" : f32[5]\n"
                   "%y = comp [b,o,i,j | c<3,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,i+r-1,j+s-1]) : f32[n,5,@,9]\n"
                   "%z = comp [b,o,i,j] map max(add(%y[b,o,i,j], %b[o]), 0) : f32[n,5,@,9]\n"
                   "%dw = comp [o,c,r,s | b<n,i<@,j<9] sum mul(%z[b,o,i,j], %x?[b,c,i+r-1,j+s-1]) : f32[5,3,3,3]\n"
                   "%dx = comp [b,c,p,q | o<5,r<3,s<3 ; i=p-r+1<@,j=q-s+1<9] sum mul(%w[o,c,r,s], %z[b,o,i,j]) : f32[n,3,@,9]\n"
                   "%db = comp [o | b<n,i<@,j<9] sum %z[b,o,i,j] : f32[5]\n"
                   "out z = %z\n out dw = %dw\n out dx = %dx\n out db = %db\n}", n, 2);
    }
}

static void strided_convolution(void **state) {
    (void)state;
    kt_check("graph g(n<=3) { %x = input data \"x\" : f32[n,3,8,11]\n %w = param \"w\" : f32[4,3,3,3]\n"
             "%y = comp [b,o,i,j | c<3,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,2*i+r-1,3*j+s-1]) : f32[n,4,4,4]\n"
             "%dw = comp [o,c,r,s | b<n,i<4,j<4] sum mul(%y[b,o,i,j], %x?[b,c,2*i+r-1,3*j+s-1]) : f32[4,3,3,3]\n"
             "%dx = comp [b,c,p,q | o<4,r<3,s<3 ; i=(p-r+1)/2<4,j=(q-s+1)/3<4] sum mul(%w[o,c,r,s], %y[b,o,i,j]) : f32[n,3,8,11]\n"
             "out y = %y\n out dw = %dw\n out dx = %dx\n}", 2);
    kt_check("graph g(n<=3) { %x = input data \"x\" : f32[n,2,12,12]\n %w = param \"w\" : f32[4,2,5,5]\n"
             "%y = comp [b,o,i,j | c<2,r<5,s<5] sum mul(%w[o,c,r,s], %x[b,c,2*i+r,2*j+s]) : f32[n,4,4,4]\n"
             "%dx = comp [b,c,p,q | o<4,r<5,s<5 ; i=(p-r)/2<4,j=(q-s)/2<4] sum mul(%w[o,c,r,s], %y[b,o,i,j]) : f32[n,2,12,12]\n"
             "%dz = comp [b,c,p,q | o<4,i<4,j<4 ; r=p-2*i<5,s=q-2*j<5] sum mul(%w[o,c,r,s], %y[b,o,i,j]) : f32[n,2,12,12]\n"
             "out y = %y\n out dx = %dx\n out dz = %dz\n}", 2);
}

/* The gradient of an image under a stride: every remainder of the image's sides, kernels smaller and larger than the
 * stride, with and without padding; in one dimension too. */
static void strided_backwards(void **state) {
    (void)state;
    static const struct {
        int side, k, stride, pad;
    } SHAPES[] = {{16, 3, 2, 1}, {17, 3, 2, 1}, {33, 1, 2, 0}, {16, 1, 2, 0}, {15, 1, 2, 1}, {19, 7, 2, 3}, {35, 3, 2, 1}, {9, 2, 2, 0},
                  {20, 3, 3, 1}, {22, 5, 3, 2}, {31, 7, 4, 3}, {13, 1, 3, 1}, {11, 4, 3, 0}, {5, 5, 4, 2}, {3, 3, 2, 0},
                  {8, 7, 1, 0}, {8, 5, 2, 0}, {6, 5, 1, 0}, {7, 7, 1, 1}, {9, 9, 2, 2}};
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        int    n = SHAPES[i].side, k = SHAPES[i].k, s = SHAPES[i].stride, p = SHAPES[i].pad, m = (n + 2 * p - k) / s + 1;
        Arena *a = arena_new();
        kt_check(arena_printf(a,
                 "graph g(n<=3) { %%y = input data \"y\" : f32[n,5,%d,%d]\n %%w = param \"w\" : f32[5,7,%d,%d]\n"
                 "%%x = input data \"x\" : f32[n,7,%d,%d]\n"
                 "%%d = comp [b,c,p,q | o<5,r<%d,s<%d ; i=(p-r+%d)/%d<%d,j=(q-s+%d)/%d<%d] sum "
                 "mul(%%w[o,c,r,s], %%y[b,o,i,j]) : f32[n,7,%d,%d]\n"
                 "%%e = comp [b,c,p,q] map sel(lt(0, %%x[b,c,p,q]), %%d[b,c,p,q], 0) : f32[n,7,%d,%d]\n"
                 "out d = %%d\n out e = %%e\n}",
                 m, m, k, k, n, n, k, k, p, s, m, p, s, m, n, n, n, n), 3);
        kt_check(arena_printf(a,
                 "graph g(n<=3) { %%y = input data \"y\" : f32[n,16,%d]\n %%w = param \"w\" : f32[16,9,%d]\n"
                 "%%d = comp [b,c,p | o<16,r<%d ; i=(p-r+%d)/%d<%d] sum mul(%%w[o,c,r], %%y[b,o,i]) : f32[n,9,%d]\n"
                 "out d = %%d\n}", m, k, k, p, s, m, n), 2);
        arena_free(a);
    }
}

/* Layers of a batch that does not fit into the caches: chains, whole and partial batches. */
static void chains(void **state) {
    (void)state;
    const char *text =
        "graph g(n<=41) { %x = input data \"x\" : f32[n,2,40,40]\n %w = param \"w\" : f32[2,2,3,3]\n %v = param \"v\" : f32[3,2,3,3]\n"
        "%1 = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,i+r-1,j+s-1]) : f32[n,2,40,40]\n"
        "%2 = comp [b,o,i,j] map max(%1[b,o,i,j], 0) : f32[n,2,40,40]\n"
        "%3 = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%w[o,c,r,s], %2?[b,c,i+r-1,j+s-1]) : f32[n,2,40,40]\n"
        "%4 = comp [b,o,i,j] map max(add(%3[b,o,i,j], %x[b,o,i,j]), 0) : f32[n,2,40,40]\n"
        "%5 = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%v[o,c,r,s], %4?[b,c,2*i+r-1,2*j+s-1]) : f32[n,3,20,20]\n"
        "%6 = comp [o | b<n,i<20,j<20] sum %5[b,o,i,j] : f32[3]\n"
        "%7 = comp [b,o,i,j] map sub(%5[b,o,i,j], %6[o]) : f32[n,3,20,20]\n"
        "%8 = comp [b,c,p,q | o<3,r<3,s<3 ; i=(p-r+1)/2<20,j=(q-s+1)/2<20] sum mul(%v[o,c,r,s], %7[b,o,i,j]) : f32[n,2,40,40]\n"
        "%9 = comp [b,o,i,j] map sel(lt(0, %4[b,o,i,j]), %8[b,o,i,j], 0) : f32[n,2,40,40]\n"
        "%10 = comp [b,c,p,q | o<2,r<3,s<3 ; i=p-r+1<40,j=q-s+1<40] sum mul(%w[o,c,r,s], %9[b,o,i,j]) : f32[n,2,40,40]\n"
        "%11 = comp [o,c,r,s | b<n,i<40,j<40] sum mul(%9[b,o,i,j], %2?[b,c,i+r-1,j+s-1]) : f32[2,2,3,3]\n"
        "out y = %7\n out dx = %10\n out dw = %11\n}";
    static const int64_t ROWS[] = {41, 1, 24};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) kt_check_as(text, 2, i % 2 ? "haswell" : NULL, ROWS[i], NULL);
    kt_check_as(text, 2, "x86-64", 11, NULL);
    const char *passing =               /* a sum behind the chain in which it stands, a map before it */
        "graph g(n<=41) { %x = input data \"x\" : f32[n,3,50,50]\n %w = param \"w\" : f32[3,3,3,3]\n"
        "%1 = comp [b,o,i,j | c<3,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,i+r-1,j+s-1]) : f32[n,3,50,50]\n"
        "%2 = comp [o,i,j | b<n] sum %1[b,o,i,j] : f32[3,50,50]\n"
        "%3 = comp [o,c,r,s] map exp(%w[o,c,r,s]) : f32[3,3,3,3]\n"
        "%4 = comp [b,o,i,j | c<3,r<3,s<3] sum mul(%3[o,c,r,s], %1?[b,c,i+r-1,j+s-1]) : f32[n,3,50,50]\n"
        "%5 = comp [o,j | b<n,i<50] sum mul(%4[b,o,i,j], %1[b,o,i,j]) : f32[3,50]\n"
        "out y = %4\n out s = %2\n out t = %5\n}";
    kt_check_as(passing, 2, "haswell", 41, NULL);
    kt_check_as(passing, 2, "haswell", 17, "winograd");
    kt_check_as(text, 2, NULL, 41, "pack");             /* reads under guards: the first number stands in for those that are not there */
}

/* conv, bias, max-pool with argmax, relu, and everything backwards. */
static void pooled_convolution(void **state) {
    (void)state;
    static const int IMAGES[] = {6, 8, 14, 28};
    for (size_t i = 0; i < sizeof IMAGES / sizeof *IMAGES; i++) {
        int    n = IMAGES[i], m = n - 4, p = m / 2;
        Arena *a = arena_new();
        kt_check(arena_printf(a,
                 "graph g(n<=3) { %%x = input data \"x\" : f32[n,2,%d,%d]\n %%w = param \"w\" : f32[5,2,5,5]\n %%b = param \"b\" : f32[5]\n"
                 "%%y = comp [b,o,i,j | c<2,r<5,s<5] sum mul(%%w[o,c,r,s], %%x[b,c,i+r,j+s]) : f32[n,5,%d,%d]\n"
                 "%%m = comp [b,o,i,j | r<2,s<2] max add(%%y[b,o,2*i+r,2*j+s], %%b[o]) : f32[n,5,%d,%d]\n"
                 "%%k = comp [b,o,i,j | r<2,s<2] argmax add(%%y[b,o,2*i+r,2*j+s], %%b[o]) : i32[n,5,%d,%d]\n"
                 "%%z = comp [b,o,i,j] map max(%%m[b,o,i,j], 0) : f32[n,5,%d,%d]\n"
                 "%%g = comp [b,o,p,q | r<2,s<2 ; i=(p-r)/2<%d,j=(q-s)/2<%d] sum "
                 "sel(eq(idx(2*r+s), %%k[b,o,i,j]), sel(lt(0, %%z[b,o,i,j]), %%z[b,o,i,j], 0), 0) : f32[n,5,%d,%d]\n"
                 "%%dw = comp [o,c,r,s | b<n,i<%d,j<%d] sum mul(%%g[b,o,i,j], %%x[b,c,i+r,j+s]) : f32[5,2,5,5]\n"
                 "%%dx = comp [b,c,p,q | o<5,r<5,s<5 ; i=p-r<%d,j=q-s<%d] sum mul(%%w[o,c,r,s], %%g[b,o,i,j]) : f32[n,2,%d,%d]\n"
                 "%%db = comp [o | b<n,i<%d,j<%d] sum %%g[b,o,i,j] : f32[5]\n"
                 "out z = %%z\n out dw = %%dw\n out dx = %%dx\n out db = %%db\n}",
                 n, n, m, m, p, p, p, p, p, p, p, p, m, m, m, m, m, m, n, n, m, m), 2);
        arena_free(a);
    }
}

/* Every fusion switched off, one at a time: the same numbers within the bound. */
static void fusions_off(void **state) {
    (void)state;
    const char *text =
        "graph g(n<=3) { %x = input data \"x\" : f32[n,4,12,12]\n %w = param \"w\" : f32[6,4,5,5]\n %b = param \"b\" : f32[6]\n"
        "%v = state opt \"v\" 0 : f32[6,4,5,5]\n"
        "%y = comp [b,o,i,j | c<4,r<5,s<5] sum mul(%w[o,c,r,s], %x[b,c,i+r,j+s]) : f32[n,6,8,8]\n"
        "%m = comp [b,o,i,j | r<2,s<2] max add(%y[b,o,2*i+r,2*j+s], %b[o]) : f32[n,6,4,4]\n"
        "%k = comp [b,o,i,j | r<2,s<2] argmax add(%y[b,o,2*i+r,2*j+s], %b[o]) : i32[n,6,4,4]\n"
        "%z = comp [b,o,i,j] map max(%m[b,o,i,j], 0) : f32[n,6,4,4]\n"
        "%h = comp [b | o<6,i<4,j<4] max %z[b,o,i,j] : f32[n]\n"
        "%e = comp [b | o<6,i<4,j<4] sum exp(sub(%z[b,o,i,j], %h[b])) : f32[n]\n"
        "%d = comp [b,o,i,j] map div(exp(sub(%z[b,o,i,j], %h[b])), %e[b]) : f32[n,6,4,4]\n"
        "%g = comp [b,o,p,q | r<2,s<2 ; i=(p-r)/2<4,j=(q-s)/2<4] sum sel(eq(idx(2*r+s), %k[b,o,i,j]), %d[b,o,i,j], 0) : f32[n,6,8,8]\n"
        "%dw = comp [o,c,r,s | b<n,i<8,j<8] sum mul(%g[b,o,i,j], %x[b,c,i+r,j+s]) : f32[6,4,5,5]\n"
        "%dx = comp [b,c,p,q | o<6,r<5,s<5 ; i=p-r<8,j=q-s<8] sum mul(%w[o,c,r,s], %g[b,o,i,j]) : f32[n,4,12,12]\n"
        "%u = comp [o,c,r,s] map sub(mul(0.9, %v[o,c,r,s]), %dw[o,c,r,s]) : f32[6,4,5,5]\n"
        "%w1 = comp [o,c,r,s] map add(%w[o,c,r,s], %u[o,c,r,s]) : f32[6,4,5,5]\n"
        "out z = %z\n out dx = %dx\n set %w = %w1\n set %v = %u\n}";
    for (int i = 0; FUSIONS[i]; i++) kt_check_as(text, 2, NULL, 0, FUSIONS[i]);
    kt_check_as(text, 2, NULL, 2, "epilogue,update,pool,rows,siblings,pack,unpool");
}

static void rows_of_softmax(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=7) { %z = input data \"z\" : f32[n,@]\n %y = input data \"y_@\" : i32[n]\n"
                   "%2 = comp [b | k<@] max %z[b,k] : f32[n]\n"
                   "%3 = comp [b,k] map exp(sub(%z[b,k], %2[b])) : f32[n,@]\n"
                   "%4 = comp [b | k<@] sum %3[b,k] : f32[n]\n"
                   "%s = comp [b | k<@] sum exp(sub(%z[b,k], %2[b])) : f32[n]\n"
                   "%5 = comp [b] map sub(add(log(%4[b]), %2[b]), %z[b,{%y[b]}]) : f32[n]\n"
                   "%6 = comp [| b<n] sum div(%5[b], bound(n)) : f32[]\n"
                   "%7 = comp [b | k<@] argmax %z[b,k] : i32[n]\n"
                   "%8 = comp [b] map eq(%7[b], %y[b]) : pred[n]\n"
                   "%9 = comp [| b<n] sum f32(%8[b]) : f32[]\n"
                   "%11 = comp [b,k] map div(sub(div(%3[b,k], %s[b]), f32(eq(idx(k), %y[b]))), bound(n)) : f32[n,@]\n"
                   "out loss = %6\n out accuracy = %9\n out dz = %11\n}", n, 5);
}

static void lookups(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=6) { %y = input data \"y_7\" : i32[n,4]\n %E = param \"E\" : f32[7,@]\n"
                   "%2 = gather %E, %y : f32[n,4,@]\n"
                   "%3 = comp [b,t,k] map mul(%E[{%y[b,t]},k], %2[b,t,k]) : f32[n,4,@]\n"
                   "%4 = scatter_add %3, %y : f32[7,@]\n"
                   "%s = input scalar \"hyper.s\" : f32[]\n %r = rng 0xfeed : f32[7,@]\n"
                   "%5 = gather %r, %y : f32[n,4,@]\n"
                   "%c = const 3 : i32[]\n %7 = scatter_add %s, %c : f32[5]\n"
                   "out r = %2\n out s = %4\n out g = %5\n out t = %7\n}"
                   , n, 4);
}

static void views_and_random(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=6) { %x = input data \"x\" : f32[n,3,@]\n %w = param \"w\" : f32[3,@]\n"
                   "%r = rng 0xbeef : f32[n,3,@]\n"
                   "%h = stop %x : f32[n,3,@]\n"
                   "%d = comp [b,i,j] map sel(lt(%r[b,i,j], 0.5), mul(2, %h[b,i,j]), 0) : f32[n,3,@]\n"
                   "%f = reshape %w : f32[@,3]\n"
                   "%y = comp [b,i | j<@] sum mul(%f[j,i], %d[b,i,j]) : f32[n,3]\n"
                   "%q = comp [b,i,j] map add(%r[b,i,j], %d[b,i,j]) : f32[n,3,@]\n"
                   "%t = comp [b,i,j] map %r?[b,i,j-2] : f32[n,3,@]\n"
                   "out d = %d\n out y = %y\n out q = %q\n out r = %r\n out t = %t\n}", n, 4);
}

/* New values of leaves: over the old ones, or through a copy where the old ones are still needed. */
static void updates(void **state) {
    (void)state;
    EACH_SIZE(n)
        check_size("graph g(n<=3) { %x = input data \"x\" : f32[n,@]\n %p = param \"p\" : f32[@]\n %q = param \"q\" : f32[@]\n"
                   "%v = state opt \"v\" 0 : f32[@]\n %h = state lane \"h\" 0 : f32[n,@]\n %k = state opt \"k\" 0 : f32[]\n"
                   "%g = comp [i | b<n] sum mul(%x[b,i], %p[i]) : f32[@]\n"
                   "%u = comp [i] map sub(mul(0.9, %v[i]), mul(0.1, %g[i])) : f32[@]\n"
                   "%p1 = comp [i] map add(%p[i], %u[i]) : f32[@]\n"
                   "%m = comp [i] map %p[@-1-i] : f32[@]\n"
                   "%h1 = comp [b,i] map add(mul(0.5, %h[b,@-1-i]), %x[b,i]) : f32[n,@]\n"
                   "%k1 = comp [] map add(%k[], 1) : f32[]\n"
                   "%late = comp [b,i] map mul(%p[i], %h1[b,i]) : f32[n,@]\n"
                   "set %p = %p1\n set %v = %u\n set %q = %m\n set %h = %h1\n set %k = %k1\n out late = %late\n out p = %p\n}", n, 2);
    kt_check("graph g() { %p = param \"p\" : f32[37]\n %q = param \"q\" : f32[37]\n set %p = %q\n set %q = %p\n}", 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),          cmocka_unit_test(scalars_of_all_kinds), cmocka_unit_test(reductions),
        cmocka_unit_test(extremes_skip_nan),
        cmocka_unit_test(bytes),         cmocka_unit_test(contractions),         cmocka_unit_test(convolution),
        cmocka_unit_test(strided_convolution), cmocka_unit_test(strided_backwards), cmocka_unit_test(chains), cmocka_unit_test(pooled_convolution), cmocka_unit_test(fusions_off),
        cmocka_unit_test(rows_of_softmax),
        cmocka_unit_test(lookups),       cmocka_unit_test(views_and_random),     cmocka_unit_test(updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
