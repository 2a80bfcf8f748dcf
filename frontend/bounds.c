/* Bounds of subscripts: linear forms over the lengths of ragged dims, with rational coefficients.
 *
 * A length is anything from 1 to its dim's size, so the least value of c + sum k*n is c + sum of
 * k * (k > 0 ? 1 : size); floor(f/k) lies in [(f-k+1)/k, f/k]. A subscript is inside an axis if both
 * subscript and axis - 1 - subscript have a least value of at least 0.
 */
#include "frontend/dims.h"

static bool ratio_make(__int128 num, __int128 den, Ratio *r) {
    if (den < 0) num = -num, den = -den;
    __int128 a = num < 0 ? -num : num, b = den;
    while (b) {
        __int128 t = a % b;
        a = b;
        b = t;
    }
    if (a > 1) num /= a, den /= a;
    if (num > INT64_MAX || num < -INT64_MAX || den > INT64_MAX) return false;
    *r = (Ratio){(int64_t)num, (int64_t)den};
    return true;
}

Ratio ratio(int64_t num, int64_t den) {
    Ratio r = {0, 1};
    ratio_make(num, den, &r);
    return r;
}

/* Numerators and denominators are below 2^63: each product below 2^126, the sum below 2^127. */
bool ratio_add(Ratio a, Ratio b, Ratio *r) {
    return ratio_make((__int128)a.num * b.den + (__int128)b.num * a.den, (__int128)a.den * b.den, r);
}

bool ratio_mul(Ratio a, Ratio b, Ratio *r) {
    return ratio_make((__int128)a.num * b.num, (__int128)a.den * b.den, r);
}

int ratio_compare(Ratio a, Ratio b) {
    __int128 x = (__int128)a.num * b.den, y = (__int128)b.num * a.den;
    return (x > y) - (x < y);
}

int64_t ratio_floor(Ratio a) { return a.num / a.den - (a.num % a.den < 0); }
double  ratio_real(Ratio a) { return (double)a.num / (double)a.den; }

Limit limit_number(int64_t c) { return (Limit){.c = ratio(c, 1), .known = true}; }
Limit limit_unknown(void) { return (Limit){.c = {0, 1}}; }

Limit limit_scale(Arena *a, Limit x, Ratio k) {
    if (!x.known) return x;
    Limit r = {.n = x.n, .term = arena_alloc(a, sizeof *r.term * (size_t)x.n), .known = true};
    r.known = ratio_mul(x.c, k, &r.c);
    for (int i = 0; i < x.n; i++) {
        r.term[i].dim = x.term[i].dim;
        r.known = ratio_mul(x.term[i].k, k, &r.term[i].k) && r.known;
    }
    return r;
}

Limit limit_add(Arena *a, Limit x, Limit y, int64_t scale) {
    if (!x.known || !y.known) return limit_unknown();
    y = limit_scale(a, y, ratio(scale, 1));
    Limit r = {.term = arena_alloc(a, sizeof *r.term * (size_t)(x.n + y.n)), .known = y.known};
    r.known = ratio_add(x.c, y.c, &r.c) && r.known;
    for (int i = 0; i < x.n; i++) r.term[r.n++] = x.term[i];
    for (int i = 0; i < y.n; i++) {
        int j = 0;
        while (j < r.n && r.term[j].dim != y.term[i].dim) j++;
        if (j == r.n) r.term[r.n++] = y.term[i];
        else r.known = ratio_add(r.term[j].k, y.term[i].k, &r.term[j].k) && r.known;
    }
    return r;
}

Limit limit_form(Arena *a, Form f, bool up) {
    Limit r = limit_number(f.c);
    for (int i = 0; i < f.n; i++) {
        int64_t k = f.atom[i].k;
        r = limit_add(a, r, limit_dim(a, f.atom[i].dim, k > 0 ? up : !up), k);
    }
    if (f.bad) r.known = false;
    return r;
}

Limit limit_dim(Arena *a, const Dim *d, bool up) {
    if (!d->ragged) return limit_number(d->size);
    if (d->floored) {
        Limit r = limit_scale(a, limit_form(a, d->over, up), ratio(1, d->div));
        Limit slack = limit_scale(a, limit_number(1 - d->div), ratio(1, d->div));
        return up ? r : limit_add(a, r, slack, 1);
    }
    if (d->derived) return limit_form(a, d->form, up);
    Limit r = {.n = 1, .term = arena_alloc(a, sizeof *r.term), .c = {0, 1}, .known = true};
    r.term[0].dim = d;
    r.term[0].k = ratio(1, 1);
    return r;
}

bool limit_least(Limit x, Ratio *least) {
    if (!x.known) return false;
    *least = x.c;
    for (int i = 0; i < x.n; i++) {
        Ratio at = ratio(x.term[i].k.num > 0 ? 1 : x.term[i].dim->size, 1);
        if (!ratio_mul(x.term[i].k, at, &at) || !ratio_add(*least, at, least)) return false;
    }
    return true;
}

bool limit_nonnegative(Limit x) {
    Ratio least;
    return limit_least(x, &least) && least.num >= 0;
}
