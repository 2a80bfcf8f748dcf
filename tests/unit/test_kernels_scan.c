/* Scans as machine code against the interpreter: directions, bounds, what is stacked and what is not, nesting. */
#include "tests/unit/kernel_util.h"

#include "base/str.h"

/* Every level, with and without fusions, few and all rows and steps. */
static void check(const char *text) {
    static const int BOUNDS[][2] = {{0, 0}, {1, 1}, {2, 3}, {0, 2}};
    for (size_t i = 0; i < sizeof BOUNDS / sizeof *BOUNDS; i++)
        for (int level = 0; level <= 2; level++) kt_check_steps(text, level, NULL, BOUNDS[i][0], BOUNDS[i][1], NULL);
    kt_check_steps(text, 2, "haswell", 2, 4, NULL);
    kt_check_steps(text, 2, "x86-64", 0, 3, "epilogue,update,pool,rows,siblings,pack,unpool");
}

static void check_both_ways(const char *text) {
    Arena *a = arena_new();
    check(arena_printf(a, text, ""));
    check(arena_printf(a, text, " reverse"));
    arena_free(a);
}

/* A carry that is stacked, one that is not, one that is stacked before its step, numbers of the step. */
static void carries_and_stacks(void **state) {
    (void)state;
    check_both_ways(
        "graph f(n<=3, T<=5) {\n %%x = input data \"x\" : f32[n,T]\n %%s0 = input data \"s\" : f32[n]\n %%i0 = const 2 : i32[n]\n"
        "%%z = const 0.5 : f32[n]\n %%xt = comp [t,b] map %%x[b,t] : f32[T,n]\n"
        "%%r = scan t<T%s carry(%%s0, %%z, %%i0) over(%%xt) {\n %%s = arg 0 : f32[n]\n %%q = arg 1 : f32[n]\n %%i = arg 2 : i32[n]\n"
        "%%x = arg 3 : f32[n]\n %%t = arg step : i32[]\n"
        "%%u = comp [b] map add(mul(0.5, %%s[b]), mul(%%x[b], f32(%%t))) : f32[n]\n"
        "%%v = comp [b] map add(%%q[b], mul(%%u[b], %%s[b])) : f32[n]\n"
        "%%j = comp [b] map add(%%i[b], %%t) : i32[n]\n"
        "carry %%u\n carry %%v\n carry %%j\n stack %%u\n stack %%s\n }\n"
        "%%a = result %%r, 0 : f32[n]\n %%c = result %%r, 1 : f32[n]\n %%d = result %%r, 2 : i32[n]\n"
        "%%e = result %%r, 3 : f32[T,n]\n %%g = result %%r, 4 : f32[T,n]\n"
        "out a = %%a\n out c = %%c\n out d = %%d\n out e = %%e\n out g = %%g\n}");
}

/* Carries that change places; one that is another's old value; results that nothing reads. */
static void swapped_carries(void **state) {
    (void)state;
    check_both_ways(
        "graph f(n<=3, T<=5) {\n %%x = input data \"x\" : f32[n,7]\n %%y = input data \"y\" : f32[n,7]\n"
        "%%r = scan t<T%s carry(%%x, %%y, %%x) {\n %%a = arg 0 : f32[n,7]\n %%b = arg 1 : f32[n,7]\n %%c = arg 2 : f32[n,7]\n"
        "%%d = comp [b,i] map add(%%b[b,i], mul(0.25, %%c[b,6-i])) : f32[n,7]\n"
        "carry %%d\n carry %%a\n carry %%d\n stack %%d\n stack %%c\n }\n"
        "%%p = result %%r, 1 : f32[n,7]\n %%q = result %%r, 4 : f32[T,n,7]\n %%z = comp [b,i] map %%p[b,i] : f32[n,7]\n"
        "out p = %%p\n out z = %%z\n out q = %%q\n}");
}

#define LEAVES "%%x = input data \"x\" : f32[n,T,9]\n %%U = param \"U\" : f32[@,@]\n %%W = param \"W\" : f32[@,9]\n" \
    "%%b = param \"b\" : f32[@]\n %%len = input data \"T_6\" : i32[n]\n"

/* A vanilla cell over examples of different lengths, its inputs transformed before the loop. */
static void a_cell(void **state) {
    (void)state;
    static const int SIZES[] = {1, 8, 33};
    for (int k = 0; k < 3; k++) {
        Arena *a = arena_new();
        const char *text =
            "graph f(n<=3, T<=5) {\n" LEAVES " %%h0 = const 0 : f32[n,@]\n"
            "%%u = comp [t,b,i | d<9] sum mul(%%W[i,d], %%x[b,t,d]) : f32[T,n,@]\n"
            "%%s = scan t<T%s carry(%%h0) over(%%u) use(%%U, %%b, %%len) {\n %%h = arg 0 : f32[n,@]\n %%u = arg 1 : f32[n,@]\n"
            "%%U = arg 2 : f32[@,@]\n %%b = arg 3 : f32[@]\n %%len = arg 4 : i32[n]\n %%t = arg step : i32[]\n"
            "%%r = comp [b,i | k<@] sum mul(%%U[i,k], %%h[b,k]) : f32[n,@]\n"
            "%%g = comp [b,i] map tanh(add(add(%%u[b,i], mul(0.3, %%r[b,i])), %%b[i])) : f32[n,@]\n"
            "%%k = comp [b,i] map sel(lt(%%t, %%len[b]), %%g[b,i], %%h[b,i]) : f32[n,@]\n carry %%k\n stack %%k\n }\n"
            "%%last = result %%s, 0 : f32[n,@]\n %%hs = result %%s, 1 : f32[T,n,@]\n"
            "%%y = comp [b | i<@] sum mul(%%last[b,i], %%last[b,i]) : f32[n]\n %%z = comp [b,t,i] map exp(%%hs[t,b,i]) : f32[n,T,@]\n"
            "out y = %%y\n out z = %%z\n}";
        Buf b = buf_new(a);
        for (const char *p = text; *p; p++)
            if (*p == '@') buf_printf(&b, "%d", SIZES[k]);
            else buf_putc(&b, *p);
        check_both_ways(b.s);
        arena_free(a);
    }
}

/* A loop in a loop: the inner one runs over rows of the outer carry, and what it sums goes on. */
static void nested(void **state) {
    (void)state;
    check_both_ways(
        "graph f(n<=3, T<=4, S<=5) {\n %%x = input data \"x\" : f32[n,T,S]\n %%c0 = input data \"c\" : f32[n]\n"
        "%%xt = comp [t,s,b] map %%x[b,t,s] : f32[T,S,n]\n %%m0 = comp [k,b] map mul(f32(idx(k+1)), %%c0[b]) : f32[3,n]\n"
        "%%r = scan t<T%s carry(%%m0, %%c0) over(%%xt) {\n %%m = arg 0 : f32[3,n]\n %%c = arg 1 : f32[n]\n %%xs = arg 2 : f32[S,n]\n"
        "%%t = arg step : i32[]\n"
        "%%q = scan s<S carry(%%c) over(%%xs) use(%%t) {\n %%d = arg 0 : f32[n]\n %%x = arg 1 : f32[n]\n %%t = arg 2 : i32[]\n"
        "%%s = arg step : i32[]\n %%e = comp [b] map add(mul(0.5, %%d[b]), mul(%%x[b], f32(add(%%t, %%s)))) : f32[n]\n"
        "carry %%e\n stack %%e\n }\n %%qs = result %%q, 1 : f32[S,n]\n %%ql = result %%q, 0 : f32[n]\n"
        "%%w = scan k<3 reverse carry(%%ql) over(%%m) {\n %%d = arg 0 : f32[n]\n %%y = arg 1 : f32[n]\n"
        "%%e = comp [b] map add(mul(0.25, %%d[b]), %%y[b]) : f32[n]\n carry %%e\n stack %%e\n }\n"
        "%%ws = result %%w, 1 : f32[3,n]\n %%wl = result %%w, 0 : f32[n]\n"
        "%%v = comp [k,b] map mul(0.5, %%ws[k,b]) : f32[3,n]\n carry %%v\n carry %%wl\n stack %%qs\n stack %%wl\n }\n"
        "%%a = result %%r, 0 : f32[3,n]\n %%b = result %%r, 2 : f32[T,S,n]\n %%c = result %%r, 3 : f32[T,n]\n"
        "%%bt = comp [b,t,s] map %%b[t,s,b] : f32[n,T,S]\n out a = %%a\n out b = %%bt\n out c = %%c\n}");
}

/* Random numbers, a table, a scalar and a reshape as operands; a lookup and its adjoint inside. */
static void operands_of_all_kinds(void **state) {
    (void)state;
    check_both_ways(
        "graph f(n<=3, T<=5) {\n %%s = input scalar \"hyper.eta\" : f32[]\n %%e = param \"e\" : f32[6,4]\n"
        "%%y = input data \"y_6\" : i32[n,T]\n %%yt = comp [t,b] map %%y[b,t] : i32[T,n]\n %%u = rng 0x77 : f32[T,n]\n"
        "%%k = const [1, 2, 3, 4, 5] : f32[5]\n %%g0 = comp [] map 1 : f32[]\n %%h0 = comp [b,i] map 0 : f32[n,4]\n"
        "%%f = reshape %%e : f32[24]\n"
        "%%r = scan t<5%1$s carry(%%h0) over(%%k) use(%%s, %%e, %%f) {\n %%h = arg 0 : f32[n,4]\n %%k = arg 1 : f32[]\n %%s = arg 2 : f32[]\n"
        "%%e = arg 3 : f32[6,4]\n %%f = arg 4 : f32[24]\n %%g = comp [b,i] map add(mul(0.5, %%h[b,i]), add(mul(%%k, %%s), %%f[5*i])) : f32[n,4]\n"
        "carry %%g\n }\n %%a = result %%r, 0 : f32[n,4]\n"
        "%%q = scan t<T%1$s carry(%%h0) over(%%yt, %%u) use(%%e) {\n %%h = arg 0 : f32[n,4]\n %%y = arg 1 : i32[n]\n %%u = arg 2 : f32[n]\n"
        "%%e = arg 3 : f32[6,4]\n %%x = gather %%e, %%y : f32[n,4]\n %%z = scatter_add %%x, %%y : f32[6,4]\n"
        "%%g = comp [b,i] map add(mul(%%u[b], %%h[b,i]), add(%%x[b,i], %%z[2,i])) : f32[n,4]\n carry %%g\n stack %%u\n }\n"
        "%%b = result %%q, 0 : f32[n,4]\n %%c = result %%q, 1 : f32[T,n]\n out a = %%a\n out b = %%b\n out c = %%c\n}");
}

/* Two carries of 'until': who runs, and how many steps each row has made. */
static const char UNTIL[] =
    "graph f(n<=3, T<=5) {\n %x = input data \"x\" : f32[n]\n %e = param \"e\" : f32[5,4]\n"
    "%r0 = comp [b] map true : pred[n]\n %c0 = comp [b] map idx(0) : i32[n]\n"
    "%s = scan t<T carry(%r0, %c0, %x, %c0) {\n %r = arg 0 : pred[n]\n %c = arg 1 : i32[n]\n %v = arg 2 : f32[n]\n %k = arg 3 : i32[n]\n"
    "%w = comp [b] map sel(%r[b], add(mul(%v[b], 0.5), 0.25), %v[b]) : f32[n]\n"
    "%m = comp [b] map sel(%r[b], i32(add(mul(4, %w[b]), 1)), %k[b]) : i32[n]\n"
    "%q = comp [b] map sel(%r[b], lt(%w[b], 0.375), false) : pred[n]\n"
    "%d = comp [b] map add(%c[b], sel(%r[b], idx(1), idx(0))) : i32[n]\n"
    "carry %q\n carry %d\n carry %w\n carry %m\n stack %m\n stack %w\n }\n"
    "%n = result %s, 1 : i32[n]\n %v = result %s, 2 : f32[n]\n %ms = result %s, 4 : i32[T,n]\n %ws = result %s, 5 : f32[T,n]\n"
    "%y = comp [t,b,i] map sel(lt(idx(t), %n[b]), add(%e[{%ms[t,b]},i], %ws[t,b]), -1) : f32[T,n,4]\n"
    "out n = %n\n out v = %v\n out y = %y\n}";

static void steps_until_no_row_runs(void **state) {
    (void)state;
    check(UNTIL);
    Arena        *a = arena_new();
    KtLayout      l = {.a = a};
    KernelOptions o = {.level = 2, .place = kt_place, .cx = &l};
    Target        t;
    target_row(&t, TARGET_AVX2);
    const Kernels *k = kernels_build(a, ir_good(a, UNTIL), &t, &o);
    int            found = 0;
    for (int i = 0; i < k->nnest; i++) found += k->nest[i]->kind == NEST_SCAN && k->nest[i]->scan->runs;
    assert_int_equal(found, 1);
    arena_free(a);
}

/* Two steps of T at a time, as many as the bound needs. */
static void parts_of_a_bound(void **state) {
    (void)state;
    check_both_ways(
        "graph f(n<=3, T<=7) {\n %%x = input data \"x\" : f32[n,T]\n %%s0 = input data \"s\" : f32[n]\n"
        "%%xs = comp [a,s,b] map %%x?[b,2*a+s] : f32[4,2,n]\n"
        "%%r = scan a<4 by 2 of T%s carry(%%s0) over(%%xs) {\n %%s = arg 0 : f32[n]\n %%v = arg 1 : f32[2,n]\n"
        "%%a = arg step : i32[]\n %%u = comp [b] map add(%%s[b], sub(%%v[0,b], %%v[1,b])) : f32[n]\n"
        "%%w = comp [s,b] map add(mul(%%v[s,b], f32(%%a)), %%u[b]) : f32[2,n]\n carry %%u\n stack %%w\n }\n"
        "%%last = result %%r, 0 : f32[n]\n %%ws = result %%r, 1 : f32[4,2,n]\n %%flat = reshape %%ws : f32[8,n]\n"
        "%%y = comp [t,b] map %%flat[t,b] : f32[T,n]\n out last = %%last\n out y = %%y\n}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_and_stacks), cmocka_unit_test(swapped_carries), cmocka_unit_test(a_cell),
        cmocka_unit_test(nested), cmocka_unit_test(operands_of_all_kinds), cmocka_unit_test(steps_until_no_row_runs),
        cmocka_unit_test(parts_of_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
