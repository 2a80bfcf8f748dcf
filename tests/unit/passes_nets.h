/* Small nets as text, each with parameters and an output "loss": what differentiation and every pass are
 * tried on. i32 inputs are called "name/size" (tests/random/random_graph.h). */
#ifndef NETC_TESTS_PASSES_NETS_H
#define NETC_TESTS_PASSES_NETS_H

typedef struct {
    const char *name, *text;
} Net;

#define HEAD "graph g(n<=4) {\n"
/* mean over the rows of sum of squares of v[n,..] */
#define SQUARES1(v, a) "%loss = comp [| b<n,i<" #a "] sum div(mul(" v "[b,i], " v "[b,i]), bound(n)) : f32[]\nout loss = %loss }"
#define SQUARES2(v, a, c) \
    "%loss = comp [| b<n,i<" #a ",j<" #c "] sum div(mul(" v "[b,i,j], " v "[b,i,j]), bound(n)) : f32[]\nout loss = %loss }"
#define SQUARES3(v, a, c, d)                                                                                 \
    "%loss = comp [| b<n,i<" #a ",j<" #c ",k<" #d "] sum div(mul(" v "[b,i,j,k], " v "[b,i,j,k]), bound(n))" \
    " : f32[]\nout loss = %loss }"
#define XENT(z, k)                                                                                            \
    "%y = input data \"y\" < " #k " : i32[n]\n"                                                               \
    "%m = comp [b | k<" #k "] max " z "[b,k] : f32[n]\n%ms = stop %m : f32[n]\n"                              \
    "%e = comp [b,k] map exp(sub(" z "[b,k], %ms[b])) : f32[n," #k "]\n"                                      \
    "%s = comp [b | k<" #k "] sum %e[b,k] : f32[n]\n"                                                         \
    "%l = comp [b] map sub(add(log(%s[b]), %ms[b]), " z "[b,{%y[b]}]) : f32[n]\n"                             \
    "%sum = comp [| b<n] sum %l[b] : f32[]\n%loss = comp [] map div(%sum, bound(n)) : f32[]\nout loss = %loss }"

static const Net NETS[] = {
    {"dense_xent", HEAD
     "%x = input data \"x\" : f32[n,6]\n%w = param \"W\" : f32[5,6]\n%b = param \"b\" : f32[5]\n"
     "%h = comp [b,o | i<6] sum mul(%w[o,i], %x[b,i]) : f32[n,5]\n"
     "%z = comp [b,o] map add(%h[b,o], %b[o]) : f32[n,5]\n" XENT("%z", 5)},
    {"conv_relu_pool_dense", HEAD
     "%x = input data \"x\" : f32[n,2,6,6]\n%w = param \"w\" : f32[3,2,3,3]\n%b = param \"b\" : f32[3]\n"
     "%v = param \"V\" : f32[5,12]\n"
     "%c = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%w[o,c,r,s], %x[b,c,i+r,j+s]) : f32[n,3,4,4]\n"
     "%cb = comp [b,o,i,j] map add(%c[b,o,i,j], %b[o]) : f32[n,3,4,4]\n"
     "%r = comp [b,o,i,j] map max(%cb[b,o,i,j], 0) : f32[n,3,4,4]\n"
     "%p = comp [b,o,i,j | r<2,s<2] max %r[b,o,2*i+r,2*j+s] : f32[n,3,2,2]\n"
     "%f = reshape %p : f32[n,12]\n"
     "%z = comp [b,o | i<12] sum mul(%v[o,i], %f[b,i]) : f32[n,5]\n" XENT("%z", 5)},
    {"two_convs", HEAD
     "%x = input data \"x\" : f32[n,1,8,8]\n%w1 = param \"w1\" : f32[2,1,3,3]\n%w2 = param \"w2\" : f32[3,2,3,3]\n"
     "%c = comp [b,o,i,j | c<1,r<3,s<3] sum mul(%w1[o,c,r,s], %x[b,c,i+r,j+s]) : f32[n,2,6,6]\n"
     "%t = comp [b,o,i,j] map tanh(%c[b,o,i,j]) : f32[n,2,6,6]\n"
     "%d = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%w2[o,c,r,s], %t[b,c,i+r,j+s]) : f32[n,3,4,4]\n" SQUARES3("%d", 3, 4, 4)},
    {"conv_stride_pad", HEAD
     "%x = param \"x\" : f32[4,2,5,5]\n%w = param \"w\" : f32[3,2,3,3]\n"
     "%c = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%w[o,c,r,s], %x?[b,c,2*i+r-1,2*j+s-1]) : f32[n,3,3,3]\n" SQUARES3("%c", 3, 3, 3)},
    {"conv_stride_two", HEAD
     "%w0 = param \"w0\" : f32[2,3]\n%i = input data \"i\" : f32[n,3,7,7]\n%w = param \"w\" : f32[3,2,3,3]\n"
     "%x = comp [b,d,i,j | c<3] sum mul(%w0[d,c], %i[b,c,i,j]) : f32[n,2,7,7]\n"
     "%c = comp [b,o,i,j | c<2,r<3,s<3] sum mul(%w[o,c,r,s], %x[b,c,2*i+r,2*j+s]) : f32[n,3,3,3]\n" SQUARES3("%c", 3, 3, 3)},
    {"conv_dilated_1d", HEAD
     "%w0 = param \"w0\" : f32[2,2]\n%i = input data \"i\" : f32[n,2,11]\n%w = param \"w\" : f32[3,2,3]\n"
     "%x = comp [b,d,t | c<2] sum mul(%w0[d,c], %i[b,c,t]) : f32[n,2,11]\n"
     "%c = comp [b,o,t | c<2,r<3] sum mul(%w[o,c,r], %x?[b,c,3*t+2*r-1]) : f32[n,3,4]\n" SQUARES2("%c", 3, 4)},
    {"pool_overlapping", HEAD
     "%x = input data \"x\" : f32[n,2,7,7]\n%g = param \"g\" : f32[2,7,7]\n"
     "%t = comp [b,c,i,j] map tanh(mul(%x[b,c,i,j], %g[c,i,j])) : f32[n,2,7,7]\n"
     "%p = comp [b,c,i,j | r<3,s<3] max %t[b,c,2*i+r,2*j+s] : f32[n,2,3,3]\n" SQUARES3("%p", 2, 3, 3)},
    {"pools_mean_l2_min", HEAD
     "%x = input data \"x\" : f32[n,2,6]\n%g = param \"g\" : f32[2,6]\n"
     "%t = comp [b,c,i] map mul(%x[b,c,i], %g[c,i]) : f32[n,2,6]\n"
     "%a = comp [b,c,i | r<2] sum div(%t[b,c,2*i+r], 2) : f32[n,2,3]\n"
     "%q = comp [b,c,i | r<3] sum mul(%t?[b,c,2*i+r-1], %t?[b,c,2*i+r-1]) : f32[n,2,3]\n"
     "%l = comp [b,c,i] map sqrt(%q[b,c,i]) : f32[n,2,3]\n"
     "%m = comp [b,c,i | r<2] min %t[b,c,2*i+r] : f32[n,2,3]\n"
     "%y = comp [b,c,i] map add(add(%a[b,c,i], %l[b,c,i]), %m[b,c,i]) : f32[n,2,3]\n" SQUARES2("%y", 2, 3)},
    {"layernorm", HEAD
     "%x = input data \"x\" : f32[n,6]\n%w = param \"w\" : f32[6,6]\n%g = param \"g\" : f32[6]\n%b = param \"b\" : f32[6]\n"
     "%h = comp [b,o | i<6] sum mul(%w[o,i], %x[b,i]) : f32[n,6]\n"
     "%m = comp [b | i<6] sum div(%h[b,i], 6) : f32[n]\n"
     "%d = comp [b,i] map sub(%h[b,i], %m[b]) : f32[n,6]\n"
     "%v = comp [b | i<6] sum div(mul(%d[b,i], %d[b,i]), 6) : f32[n]\n"
     "%y = comp [b,i] map add(mul(%g[i], div(%d[b,i], sqrt(add(%v[b], 0.00001)))), %b[i]) : f32[n,6]\n"
     "%q = comp [b,i] map mul(tanh(%y[b,i]), %y[b,i]) : f32[n,6]\n" SQUARES1("%q", 6)},
    {"batchnorm", HEAD
     "%x = input data \"x\" : f32[n,2,3]\n%w = param \"w\" : f32[2,3]\n%g = param \"g\" : f32[2]\n"
     "%h = comp [b,c,i] map add(mul(%w[c,i], %x[b,c,i]), %w[c,i]) : f32[n,2,3]\n"
     "%m = comp [c | b<n,i<3] sum div(%h[b,c,i], mul(3, bound(n))) : f32[2]\n"
     "%v = comp [c | b<n,i<3] sum div(mul(sub(%h[b,c,i], %m[c]), sub(%h[b,c,i], %m[c])), mul(3, bound(n))) : f32[2]\n"
     "%y = comp [b,c,i] map div(mul(%g[c], sub(%h[b,c,i], %m[c])), sqrt(add(%v[c], 0.1))) : f32[n,2,3]\n"
     "%z = comp [b,c,i] map exp(%y[b,c,i]) : f32[n,2,3]\n" SQUARES2("%z", 2, 3)},
    {"embedding", HEAD
     "%y = input data \"y\" < 7 : i32[n,3]\n%E = param \"E\" : f32[7,5]\n%F = param \"F\" : f32[7,5]\n"
     "%a = gather %E, %y : f32[n,3,5]\n"
     "%h = comp [b,t,k] map tanh(add(%a[b,t,k], %F[{%y[b,t]},k])) : f32[n,3,5]\n"
     "%s = scatter_add %h, %y : f32[7,5]\n"
     "%q = comp [b,k | v<7] sum mul(%s[v,k], %E[v,k]) : f32[n,5]\n" SQUARES1("%q", 5)},
    {"one_hot", HEAD
     "%y = input data \"y\" < 6 : i32[n]\n%W = param \"W\" : f32[3,6]\n%x = input data \"x\" : f32[n,6]\n"
     "%o = comp [b,k] map sel(eq(idx(k), %y[b]), 1, 0) : f32[n,6]\n"
     "%h = comp [b,o | k<6] sum mul(%W[o,k], %o[b,k]) : f32[n,3]\n"
     "%u = comp [b,o | k<6] sum mul(f32(eq(%y[b], idx(k))), mul(%W[o,k], %x[b,k])) : f32[n,3]\n"
     "%z = comp [b,o] map mul(%h[b,o], add(%u[b,o], 1)) : f32[n,3]\n" SQUARES1("%z", 3)},
    {"attention", HEAD
     "%x = input data \"x\" : f32[n,5,4]\n%wq = param \"wq\" : f32[4,4]\n%wk = param \"wk\" : f32[4,4]\n%wv = param \"wv\" : f32[4,4]\n"
     "%q = comp [b,t,h | i<4] sum mul(%wq[h,i], %x[b,t,i]) : f32[n,5,4]\n"
     "%k = comp [b,t,h | i<4] sum mul(%wk[h,i], %x[b,t,i]) : f32[n,5,4]\n"
     "%v = comp [b,t,h | i<4] sum mul(%wv[h,i], %x[b,t,i]) : f32[n,5,4]\n"
     "%a = comp [b,t,s | h<4] sum mul(%q[b,t,h], %k[b,s,h]) : f32[n,5,5]\n"
     "%c = comp [b,t,s] map sel(lt(idx(t), idx(s)), -inf, div(%a[b,t,s], 2)) : f32[n,5,5]\n"
     "%m = comp [b,t | s<5] max %c[b,t,s] : f32[n,5]\n%ms = stop %m : f32[n,5]\n"
     "%e = comp [b,t,s] map exp(sub(%c[b,t,s], %ms[b,t])) : f32[n,5,5]\n"
     "%d = comp [b,t | s<5] sum %e[b,t,s] : f32[n,5]\n"
     "%p = comp [b,t,s] map div(%e[b,t,s], %d[b,t]) : f32[n,5,5]\n"
     "%y = comp [b,t,h | s<5] sum mul(%p[b,t,s], %v[b,s,h]) : f32[n,5,4]\n" SQUARES2("%y", 5, 4)},
    {"products", HEAD
     "%x = input data \"x\" : f32[n,4]\n%w = param \"w\" : f32[3,4]\n%v = param \"v\" : f32[2,3]\n"
     "%p = comp [b,o | i<4] prod add(mul(%w[o,i], %x[b,i]), 1) : f32[n,3]\n"
     "%q = comp [b | i<2,o<3] prod mul(%v[i,o], %p[b,o]) : f32[n]\n"
     "%z = comp [b,i] map add(%q[b], %p[b,i]) : f32[n,3]\n" SQUARES1("%z", 3)},
    {"subscripts", HEAD
     "%x = input data \"x\" : f32[n,3]\n%A = param \"A\" : f32[6,6]\n%B = param \"B\" : f32[12]\n"
     "%d = comp [b,i] map mul(%A[i,i], %A[2*i+1,5-i]) : f32[n,3]\n"
     "%c = comp [b,i] map add(%A[3,4], mul(%B[4*i+1], %x[b,i])) : f32[n,3]\n"
     "%k = comp [b,i] map add(%B?[i-1], %A?[i+4,1]) : f32[n,3]\n"
     "%g = comp [b,i | j<4] sum mul(%B[4*i+j], %B[i+j]) : f32[n,3]\n"
     "%e = comp [b,i | r<5 ; j=(i+r)/2<3] sum mul(%B[r], %x[b,j]) : f32[n,3]\n"
     "%y = comp [b,i] map add(mul(%d[b,i], %c[b,i]), mul(%k[b,i], add(%g[b,i], %e[b,i]))) : f32[n,3]\n" SQUARES1("%y", 3)},
    {"shared_variables", HEAD
     "%x = input data \"x\" : f32[n,3]\n%A = param \"A\" : f32[9,12]\n%B = param \"B\" : f32[16]\n%E = param \"E\" : f32[3,8]\n"
     "%y = input data \"y\" < 5 : i32[n]\n"
     "%a = comp [b,i | r<3,s<2] sum mul(%A[2*i+r,3*i+s], %x[b,i]) : f32[n,3]\n"
     "%c = comp [b,i | r<4] sum mul(%A[2*i+r,2*r+2*i], %B[3*r+2*i]) : f32[n,3]\n"
     "%p = comp [b,i | r<6 ; j=(r+i)/2<3] prod add(mul(%B[r], %x[b,j]), 1) : f32[n,3]\n"
     "%l = comp [b,i] map mul(%E[i,{%y[b]}+2], %E[1,{%y[b]}]) : f32[n,3]\n"
     "%q = comp [b,i | r<3 ; j=(4*i+2*r)/3<9] sum mul(%A[j,r], %A?[j-1,2*i]) : f32[n,3]\n"
     "%z = comp [b,i] map add(add(%a[b,i], mul(%c[b,i], %p[b,i])), mul(%l[b,i], %q[b,i])) : f32[n,3]\n" SQUARES1("%z", 3)},
    {"choices", HEAD
     "%x = input data \"x\" : f32[n,4]\n%w = param \"w\" : f32[4]\n"
     "%h = comp [b,i] map mul(%x[b,i], %w[i]) : f32[n,4]\n"
     "%l = comp [b,i] map log(%h[b,i]) : f32[n,4]\n%l2 = comp [b,i] map mul(%l[b,i], 2) : f32[n,4]\n"
     "%s = comp [b,i] map sel(lt(0, %h[b,i]), %l2[b,i], mul(%h[b,i], 0.1)) : f32[n,4]\n"
     "%r = comp [b,i] map div(1, %h[b,i]) : f32[n,4]\n"
     "%t = comp [b,i] map sel(lt(%h[b,i], 0.2), %s[b,i], %r[b,i]) : f32[n,4]\n"
     "%u = comp [b,i] map tanh(%t[b,i]) : f32[n,4]\n" SQUARES1("%u", 4)},
    {"dropout_sigmoid", HEAD
     "%x = input data \"x\" : f32[n,5]\n%w = param \"w\" : f32[5,5]\n%u = rng 0x1234 : f32[n,5]\n"
     "%h = comp [b,o | i<5] sum mul(%w[o,i], %x[b,i]) : f32[n,5]\n"
     "%a = comp [b,o] map add(mul(tanh(mul(%h[b,o], 0.5)), 0.5), 0.5) : f32[n,5]\n"
     "%k = comp [b,o] map div(f32(lt(%u[b,o], 0.7)), 0.7) : f32[n,5]\n"
     "%y = comp [b,o] map mul(%a[b,o], %k[b,o]) : f32[n,5]\n" SQUARES1("%y", 5)},
    {"l2_and_scalars", HEAD
     "%x = input data \"x\" : f32[n,5]\n%w = param \"w\" : f32[5]\n%a = param \"a\" : f32[]\n"
     "%q = comp [| i<5] sum mul(%w[i], %w[i]) : f32[]\n%r = comp [] map sqrt(%q) : f32[]\n"
     "%p = comp [b,i] map mul(pow(add(mul(%x[b,i], %x[b,i]), 0.5), %a), sin(%w[i])) : f32[n,5]\n"
     "%y = comp [b,i] map add(%p[b,i], div(cos(%w[i]), add(%r, 1))) : f32[n,5]\n" SQUARES1("%y", 5)},
};
enum { NNETS = sizeof NETS / sizeof *NETS };

#endif
