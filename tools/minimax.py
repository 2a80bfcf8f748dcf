"""The polynomials of codegen/emit_math.c: coefficients with the least largest error, by Remez exchange.

    python3 tools/minimax.py          needs mpmath; prints each polynomial and its error as a power of two

A function f is computed as main(t) + factor(t) * p(t); p is chosen to minimise the relative error of f.
"""
import struct

from mpmath import atanh, cos, exp, log, lu_solve, matrix, mp, mpf, pi, sin, sqrt, tanh

mp.prec = 200
POINTS = 1000


def exchange_points(error, wanted):
    """Indices of `wanted` extrema of alternating sign."""
    found = []
    for i, e in enumerate(error):
        if found and error[found[-1]] * e > 0:
            if abs(e) > abs(error[found[-1]]):
                found[-1] = i
        else:
            found.append(i)
    while len(found) > wanted:
        found.pop(0 if abs(error[found[0]]) < abs(error[found[-1]]) else -1)
    return found


def minimax(f, weight, lo, hi, degree):
    """Coefficients of p, lowest first, with the least largest |f - p| * weight on [lo, hi]."""
    n = degree + 2
    grid = [lo + (hi - lo) * mpf(i) / POINTS for i in range(POINTS + 1)]
    at = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(pi * i / (n - 1)) for i in range(n)]
    for _ in range(30):
        a, y = matrix(n, n), matrix(n, 1)
        for i, t in enumerate(at):
            for k in range(degree + 1):
                a[i, k] = t**k
            a[i, degree + 1] = (-1) ** i / weight(t)
            y[i] = f(t)
        c = list(lu_solve(a, y))[: degree + 1]
        error = [(f(t) - mp.polyval(c[::-1], t)) * weight(t) for t in grid]
        found = exchange_points(error, n)
        if len(found) < n or [grid[i] for i in found] == at:
            break
        at = [grid[i] for i in found]
    return c


def to_single(x):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def rounded(f, weight, lo, hi, degree):
    """As minimax, in single precision. Where 0 is outside, later coefficients make up for earlier ones' rounding."""
    c = [to_single(x) for x in minimax(f, weight, lo, hi, degree)]
    if degree == 0 or lo < 0:
        return c
    rest = rounded(lambda t: (f(t) - c[0]) / t, lambda t: weight(t) * t, max(lo, hi / 10**6), hi, degree - 1)
    return [c[0], *rest]


def show(name, f, weight, lo, hi, degree, fit=rounded):
    lo, hi = mpf(lo), mpf(hi)
    c = [mpf(float(x)) for x in fit(f, weight, lo, hi, degree)]
    middle = [lo + (hi - lo) * (i + mpf("0.5")) / POINTS for i in range(POINTS)]
    worst = max(abs((f(t) - mp.polyval(c[::-1], t)) * weight(t)) for t in middle)
    print(f"{name}: error 2^{float(log(worst, 2)):.1f}:", ", ".join(float(x).hex() for x in c))


def odd(f):
    """f(x) = f'(0) x + x^3 p(x^2) as a function of z = x^2: p, and its weight in f's relative error."""
    slope = 2 if f is twice_atanh else 1
    return (lambda z: (f(sqrt(z)) / sqrt(z) - slope) / z), (lambda z: z * sqrt(z) / f(sqrt(z)))


def twice_atanh(x):
    return 2 * atanh(x)


TINY = mpf("1e-12")
HALF = log(2) / 2 * mpf("1.001")
QUARTER = (pi / 4 * mpf("1.0001")) ** 2

show("exp ", lambda r: (exp(r) - 1 - r) / r**2, lambda r: r**2 / exp(r), -HALF + TINY, HALF, 4)
show("log ", lambda f: (log(1 + f) - f + f * f / 2) / f**3, lambda f: abs(f**3 / log(1 + f)),
     sqrt(mpf("0.5")) - 1 + TINY, sqrt(mpf(2)) - 1, 7)
show("tanh", *odd(tanh), TINY, mpf("0.625") ** 2, 4)
show("sin ", *odd(sin), TINY, QUARTER, 2)
show("cos ", lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2, lambda z: z**2 / cos(sqrt(z)), TINY, QUARTER, 2)
show("2 atanh", *odd(twice_atanh), TINY, ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2, 4, fit=minimax)
