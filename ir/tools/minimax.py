#!/usr/bin/env python3
"""Regenerates `ir/src/expand/coefficients.rs`.

Method: minimax fits by Lawson's iteration (least squares on a dense Chebyshev grid, reweighted by the error itself), in
300-bit arithmetic, for an error weighted by what the coefficient array multiplies; then the coefficients are rounded to the
working format one at a time, lowest power first, and the remaining ones are fitted again after each rounding, so that the
later ones absorb what the earlier ones lost (the idea of Sollya's `fpminimax`, done greedily).

Usage: python3 minimax.py > ../src/expand/coefficients.rs      needs mpmath; takes ten seconds
"""

import struct
import sys
from mpmath import asin, atan, atanh, cos, erf, erfc, exp, expm1, fdot, floor, log, log1p, lu_solve, matrix, mp, mpf, nstr, pi, sin
from mpmath import loggamma, sinh, sqrt

mp.prec = 300


def round_to(bits, value):
    """The value nearest to `value` with this many significant bits (no exponent limits)."""
    with mp.workprec(bits):
        return +mpf(value)


class Fit:
    """min over p in span{x^e : e in powers} of max |weight(x) (p(x) - target(x))| on [lo, hi]."""

    def __init__(self, target, weight, lo, hi, powers, points=None):
        self.powers = list(powers)
        n = points or 12 * len(self.powers) + 60
        lo, hi = mpf(lo), mpf(hi)
        xs = [(lo + hi) / 2 - (hi - lo) / 2 * cos(pi * (mpf(i) + mpf(1) / 2) / n) for i in range(n)]
        self.f = [target(x) for x in xs]
        self.w = [abs(weight(x)) for x in xs]
        self.basis = [[x**e for x in xs] for e in self.powers]
        self.lawson = [mpf(1)] * n

    def solve(self, first, residual):
        """Weighted least squares for the coefficients from index `first` on."""
        scale = [w * w * l for w, l in zip(self.w, self.lawson)]
        basis = self.basis[first:]
        n = len(basis)
        a, b = matrix(n, n), matrix(n, 1)
        for i in range(n):
            weighted = [s * v for s, v in zip(scale, basis[i])]
            for j in range(i, n):
                a[i, j] = a[j, i] = fdot(weighted, basis[j])
            b[i] = fdot(weighted, residual)
        return list(lu_solve(a, b))

    def errors(self, coeffs):
        """The weighted errors at the grid's points."""
        return [w * (fdot(coeffs, column) - f) for w, f, column in zip(self.w, self.f, zip(*self.basis))]

    def rounded(self, bits, steps=6):
        """The coefficients, each rounded to `bits`, and the largest weighted error."""
        for _ in range(steps):
            errors = [abs(e) for e in self.errors(self.solve(0, self.f))]
            mean = sum(l * e for l, e in zip(self.lawson, errors))
            self.lawson = [l * (e / mean + mpf(2) ** -20) for l, e in zip(self.lawson, errors)]
        residual, out = list(self.f), []
        for i, column in enumerate(self.basis):
            c = round_to(bits, self.solve(i, residual)[0])
            out.append(c)
            residual = [r - c * v for r, v in zip(residual, column)]
        return out, max(abs(r * w) for r, w in zip(residual, self.w))


def emit(name, doc, coeffs, error):
    log2 = nstr(log(error, 2), 4) if error else "-inf"
    print(f"/// {doc} Largest weighted error 2^{log2}.")
    print(f"pub(super) const {name}: [f64; {len(coeffs)}] = [")
    for c in coeffs:
        print(f"    f64::from_bits({bits_of(c):#018x}), // {float(c)!r}")
    print("];\n")
    print(f"{name}: 2^{log2}", file=sys.stderr)


def emit_table(name, doc, rows):
    print(f"/// {doc}")
    print(f"pub(super) const {name}: [[f64; {len(rows[0])}]; {len(rows)}] = [")
    for row in rows:
        print("    [" + ", ".join(f"f64::from_bits({bits_of(c):#018x})" for c in row) + "],")
    print("];\n")


def emit_exponents(name, doc, exponents):
    print(f"/// {doc}")
    print(f"pub(super) const {name}: [u64; {len(exponents)}] = {list(exponents)};\n")


def emit_words(name, doc, value, first, dtypes=("F32", "F64")):
    """A constant in two words of each format, the first of `first` bits."""
    for dtype, bits, length in (("F32", 24, first[0]), ("F64", 53, first[1])):
        if dtype not in dtypes:
            continue
        hi = round_to(length, value)
        lo = round_to(bits, value - hi)
        print(f"/// {doc} in two words, the first of {length} bits.")
        print(f"pub(super) const {name}_{dtype}: (f64, f64) = (f64::from_bits({bits_of(hi):#018x}), f64::from_bits({bits_of(lo):#018x}));\n")


def constants():
    """The constants that a product or a sum needs to more than one word."""
    # With eleven bits less, its product with any exponent is exact.
    emit_words("LOG10_2", "log10 2", log(2, 10), (14, 41))
    for name, doc, value in (
        ("LOG2_E", "log2 e", 1 / log(2)),
        ("LOG10_E", "log10 e", 1 / log(10)),
        ("PI_WORDS", "π", pi),
    ):
        emit_words(name, doc, value, (24, 53))
    emit_words("STIRLING_CONSTANT", "½ ln 2π − ½", log(2 * pi) / 2 - mpf(1) / 2, (24, 53), ["F64"])
    emit_words("LN_10", "ln 10", log(10), (24, 53))
    root = 2 * sqrt(2 / pi)
    emit_words("GELU_LINEAR", "2 √(2/π)", root, (24, 53), ["F64"])
    emit_words("GELU_CUBIC", "2 √(2/π) · 0.044715", root * mpf("0.044715"), (24, 53), ["F64"])


def bits_of(c):
    return struct.unpack("<Q", struct.pack("<d", float(c)))[0]


def digits_of_two_over_pi(first, count):
    """The binary digits `first` .. `first + count` after the point (the first digit is number 1), in place."""
    with mp.workprec(2400):
        lower = floor(mpf(2) ** (first + count - 1) * 2 / pi)
        upper = floor(mpf(2) ** (first - 1) * 2 / pi)
        return (lower - upper * mpf(2) ** count) * mpf(2) ** (1 - first - count)


F32_THRESHOLDS = (51, 77, 103)
F64_THRESHOLDS = (147, 293, 439, 585, 731, 877)


def windows_f32():
    """Windows of 1/π for f32: 29, 29 and 53 digits; a window drops the digits that contribute multiples of 2."""
    starts = [1] + [low - 24 for low in F32_THRESHOLDS]
    words = ((0, 29), (29, 29), (58, 53))
    return [[digits_of_two_over_pi(j + first, count) / 2 for first, count in words] for j in starts]


def windows_f64():
    """Windows for f64: six times 53 digits, the first word of the first window being 0; from the fourth on, times 2^400.

    The first word's product must be a multiple of 4 but for its rounding error, and the second word must begin with a
    digit 1, so windows start a few digits early.
    """
    rows = [[mpf(0)] + [digits_of_two_over_pi(1 + 53 * i, 53) for i in range(5)]]
    for index, low in enumerate(F64_THRESHOLDS):
        j = low - 57
        while not (digits_of_two_over_pi(j, 1) and digits_of_two_over_pi(j + 53, 1)):
            j -= 1
        print(f"window {low}: starts {low - 57 - j} digits earlier", file=sys.stderr)
        scale = mpf(2) ** (400 if index >= 2 else 0)
        rows.append([digits_of_two_over_pi(j + 53 * i, 53) * scale for i in range(6)])
    return rows


def near_zero(f, series):
    """`f`, or its series where `f` would cancel."""
    return lambda x: series(x) if abs(x) < mpf(2) ** -50 else f(x)


def below_one(r):
    """The weight of an error of a power whose exponent is r: below 1 an ulp is half as much."""
    return 1 if r < 0 else mpf(1) / 2


def odd_tail(f, c=1):
    """(f(z)/z − c)/s as a function of s = z²."""
    return lambda s: (f(sqrt(s)) / sqrt(s) - c) / s


def elementary():
    """The functions that are one polynomial on a short range beside an exact reduction."""
    least = mpf(2) ** -60
    for base in (2, 10):
        # The linear term of base 10 is a word and its rest; that of base 2 one word, whose rest the others make up for.
        q = near_zero(lambda r: (mpf(base) ** r - 1) / r, lambda r: log(base) + r * log(base) ** 2 / 2)
        top = log(2) / log(base) / 2 * mpf("1.0001")
        for dtype, bits, n in (("F32", 24, 6), ("F64", 53, 11)):
            linear = round_to(bits, log(2)) if base == 2 else log(10)
            fit = Fit(lambda r: q(r) - linear, lambda r: r / mpf(base) ** r * below_one(r), -top, top, range(1, n))
            emit(f"EXP{base}_{dtype}", f"((({base}ʳ − 1) / r) − ln {base}) / r for |r| ≤ {nstr(top, 4)}.", *fit.rounded(bits))
    root = sqrt(mpf(2)) * mpf("1.00001")
    for base, low, top, shown, terms in (
        (2, 1 / root - 1, root - 1, "√½ − 1 ≤ f ≤ √2 − 1", (9, 20)),
        (10, mpf("-0.3341"), mpf("0.3341"), "|f| ≤ 0.3341", (9, 20)),
    ):
        q = near_zero(lambda f: (log1p(f) - f) / f**2, lambda f: -mpf(1) / 2 + f / 3)
        for dtype, bits, n in (("F32", 24, terms[0]), ("F64", 53, terms[1])):
            fit = Fit(lambda f: q(f) / log(base), lambda f: f * f * log(base) / log1p(f), low, top, range(n))
            emit(f"LOG{base}_{dtype}", f"(log{base}(1 + f) − f log{base} e) / f² for {shown}.", *fit.rounded(bits))
    for dtype, bits, n in (("F32", 24, 9), ("F64", 53, 20)):
        fit = Fit(odd_tail(atan), lambda s: s * sqrt(s) / atan(sqrt(s)), least, 1, range(n))
        emit(f"ATAN_{dtype}", "(atan z / z − 1) / s in s = z² for z ≤ 1.", *fit.rounded(bits))
    fit = Fit(odd_tail(atan), lambda s: s * sqrt(s) / atan(sqrt(s)), least, mpf("0.2501"), range(12))
    emit("ATAN_HALF_F64", "(atan z / z − 1) / s in s = z² for z ≤ 1/2.", *fit.rounded(53))
    for dtype, bits, n in (("F32", 24, 5), ("F64", 53, 13)):
        fit = Fit(odd_tail(asin), lambda s: s * sqrt(s) / asin(sqrt(s)), least, mpf("0.2501"), range(n))
        emit(f"ASIN_{dtype}", "(asin z / z − 1) / s in s = z² for z ≤ 1/2.", *fit.rounded(bits))
    for dtype, bits, n in (("F32", 24, 6), ("F64", 53, 13)):
        fit = Fit(odd_tail(atanh), lambda s: s * sqrt(s) / atanh(sqrt(s)), least, mpf("0.2501"), range(n))
        emit(f"ATANH_{dtype}", "(atanh z / z − 1) / s in s = z² for z ≤ 1/2.", *fit.rounded(bits))
    for dtype, bits, n in (("F32", 24, 4), ("F64", 53, 8)):
        fit = Fit(odd_tail(sinh), lambda s: s * sqrt(s) / sinh(sqrt(s)), least, 1, range(n))
        emit(f"SINH_{dtype}", "(sinh z / z − 1) / s in s = z² for z ≤ 1.", *fit.rounded(bits))
    for dtype, bits, n in (("F32", 24, 4), ("F64", 53, 7)):
        fit = Fit(odd_tail(lambda z: sin(pi * z), pi), lambda s: s * sqrt(s) / sin(pi * sqrt(s)), least, mpf("0.0626"), range(n))
        emit(f"SINPI_{dtype}", "(sin(πz) / z − π) / s in s = z² for z ≤ 1/4.", *fit.rounded(bits))
    for dtype, bits, n in (("F32", 24, 4), ("F64", 53, 8)):
        fit = Fit(lambda s: (cos(pi * sqrt(s)) - 1) / s, lambda s: s / cos(pi * sqrt(s)), least, mpf("0.0626"), range(n))
        emit(f"COSPI_{dtype}", "(cos(πz) − 1) / s in s = z² for z ≤ 1/4.", *fit.rounded(bits))


def gauss_tail(c, scale):
    """(x + c) e^(x² scale²) erfc(x scale) as a function of v = 1 − 2c / (x + c)."""

    def at(v):
        x = 2 * c / (1 - v) - c
        z = x * scale
        return (x + c) * exp(z * z) * erfc(z)

    return at


def tails():
    """The scaled complementary error functions, in v = (x − c) / (x + c) (Shepherd and Laframboise, Chebyshev approximation
    of (1 + 2x) exp(x²) erfc x, 1981), each from the x where the polynomial near 0 ends, if there is one."""
    for name, scale, c, lows, top, terms in (("ERFC", mpf(1), 2, ("0.74", "0.74"), 28, (11, 25)), ("GELU", 1 / sqrt(mpf(2)), 3, (0, "0.49"), 39, (12, 26))):
        v = lambda x: (mpf(x) - c) / (mpf(x) + c)
        f = gauss_tail(c, scale)
        half = mpf(1) / 2 if name == "GELU" else mpf(1)
        for dtype, low, n in zip(("F32", "F64"), lows, terms):
            fit = Fit(lambda t: half * f(t), lambda t: 1 / (half * f(t)), v(low), v(top if dtype == "F64" else top * mpf("0.4")), range(n), points=240)
            emit(f"{name}_TAIL_{dtype}", f"(x + {c}) · {'erfcx x' if name == 'ERFC' else '½ erfcx(x/√2)'} in v = 1 − {2 * c} / (x + {c}).", *fit.rounded(53))
    near = lambda s: erf(sqrt(s / 2)) / sqrt(s) / 2
    fit = Fit(near, lambda s: 1 / near(s), mpf(2) ** -60, mpf("0.27"), range(10))
    emit("GELU_NEAR_F64", "½ erf(x/√2) / x in s = x² for x ≤ 1/2.", *fit.rounded(53))


def gammas():
    """Stirling's series, ln Γ around its zeros at 1 and 2, and the logarithm that it takes."""
    stirling = lambda z: (loggamma(z) - ((z - mpf(1) / 2) * log(z) - z + log(2 * pi) / 2)) * z
    fit = Fit(lambda u: stirling(1 / sqrt(u)), lambda u: 1, mpf(2) ** -30, mpf(1) / 49, range(7))
    emit("STIRLING", "z (ln Γ(z) − (z − ½) ln z + z − ½ ln 2π) in 1/z² for z ≥ 7.", *fit.rounded(53))
    low = mpf("4.2499")
    for dtype, n, use in (("F32", 3, "f32"), ("F64", 9, "f64")):
        fit = Fit(lambda u: stirling(1 / sqrt(u)), lambda u: 1, mpf(2) ** -30, 1 / low**2, range(n))
        emit(f"LGAMMA_FAR_{dtype}", f"As [`STIRLING`] for z ≥ 4.25, for {use} results.", *fit.rounded(53))
    near = lambda t: loggamma(t + 2) / (t * (t + 1))
    for dtype, n, use in (("F32", 11, "f32"), ("F64", 20, "f64")):
        fit = Fit(near, lambda t: 1 / near(t), mpf("-0.7501"), mpf("0.2501"), range(n))
        doc = f"ln Γ(2 + t) / (t (t + 1)) for t from −¾ to ¼, for {use} results."
        emit(f"LGAMMA_NEAR_{dtype}", doc, *fit.rounded(53))
    top = ((sqrt(2) - 1) / (sqrt(2) + 1) * mpf("1.0001")) ** 2
    tail = lambda z: (2 * atanh(sqrt(z)) - 2 * sqrt(z)) / (sqrt(z) * z)
    fit = Fit(tail, lambda z: z * sqrt(z) / (2 * atanh(sqrt(z))), mpf(2) ** -60, top, range(7))
    emit("LN_TAIL_F64", "(2 atanh s − 2s) / s³ in s², |s| ≤ 0.1716.", *fit.rounded(53))


def narrow():
    """What f32 functions that compute in f64 need: relative errors of 2⁻³⁵ or so."""
    least = mpf(2) ** -60
    half_ln2 = log(2) / 2 * mpf("1.0001")
    fit = Fit(exp, lambda r: 1 / exp(r), -half_ln2, half_ln2, range(7))
    emit("EXP_NARROW", "eʳ for |r| ≤ ln 2 / 2, for f32 results.", *fit.rounded(53))
    top = ((sqrt(2) - 1) / (sqrt(2) + 1) * mpf("1.0001")) ** 2
    fit = Fit(lambda z: 2 * atanh(sqrt(z)) / sqrt(z), lambda z: sqrt(z) / (2 * atanh(sqrt(z))), least, top, range(5))
    emit("LN_NARROW", "2 atanh s / s in s², |s| ≤ 0.1716, for f32 results.", *fit.rounded(53))
    fit = Fit(lambda z: 2 * atanh(sqrt(z)) / sqrt(z), lambda z: sqrt(z) / (2 * atanh(sqrt(z))), least, mpf(1) / 9, range(7))
    emit("LOG1P_NARROW", "2 atanh s / s in s², |s| ≤ 1/3, for f32 results.", *fit.rounded(53))
    fit = Fit(lambda s: atan(sqrt(s)) / sqrt(s), lambda s: sqrt(s) / atan(sqrt(s)), least, 1, range(12))
    emit("ATAN_NARROW", "atan z / z in s = z² for z ≤ 1, for f32 results.", *fit.rounded(53))
    fit = Fit(lambda s: sin(pi * sqrt(s)) / sqrt(s), lambda s: sqrt(s) / sin(pi * sqrt(s)), least, mpf("0.2501"), range(5))
    emit("SIN_HALF_TURN", "sin(πf) / f in f², |f| ≤ 1/2, for f32 results.", *fit.rounded(53))
    fit = Fit(lambda s: sin(pi * sqrt(s)) / sqrt(s), lambda s: sqrt(s) / sin(pi * sqrt(s)), least, mpf("0.2501"), range(9))
    emit("SIN_HALF_TURN_F64", "sin(πf) / f in f², |f| ≤ 1/2, for lgamma near its zeros.", *fit.rounded(53))
    fit = Fit(lambda s: erf(sqrt(s)) / sqrt(s), lambda s: sqrt(s) / erf(sqrt(s)), least, mpf("0.5626"), range(7))
    emit("ERF_NARROW", "erf x / x in s = x² for x ≤ 3/4, for f32 results.", *fit.rounded(53))



def main():
    print("//! Polynomial coefficients of the expansions, as bits; written by `ir/tools/minimax.py`, never by hand.")
    print("//!")
    print("//! Each array stands lowest power first, every value exact in the format it is used in. The error beside it is that of")
    print("//! the rounded coefficients in exact arithmetic, relative to the function.\n")

    half_ln2 = log(2) / 2 * mpf("1.0001")
    q = near_zero(lambda r: (expm1(r) - r) / r**2, lambda r: mpf(1) / 2 + r / 6)
    for dtype, bits, n in (("F32", 24, 5), ("F64", 53, 10)):
        fit = Fit(q, lambda r: r * r / exp(r) * below_one(r), -half_ln2, half_ln2, range(n))
        emit(f"EXP_{dtype}", "(eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2, for eʳ.", *fit.rounded(bits))
        # One more term: the error counts against eʳ − 1, and doubled against what is left of 2eʳ − 1.
        fit = Fit(q, lambda r: r * r / expm1(r), -half_ln2, half_ln2, range(n + 1))
        emit(f"EXPM1_{dtype}", "(eʳ − 1 − r) / r² for |r| ≤ ln 2 / 2, for eʳ − 1.", *fit.rounded(bits))

    q = near_zero(lambda f: (log1p(f) - f) / f**2, lambda f: -mpf(1) / 2 + f / 3)
    for dtype, bits, n in (("F32", 24, 9), ("F64", 53, 20)):
        fit = Fit(q, lambda f: f * f / log1p(f), -mpf(1) / 3, mpf(1) / 3, range(n))
        emit(f"LN_{dtype}", "(ln(1 + f) − f) / f² for |f| ≤ 1/3.", *fit.rounded(bits))

    # The head coefficient is 2/√π − 1, because x itself is added.
    fit = Fit(lambda s: erf(sqrt(s)) / sqrt(s) - 1, lambda s: sqrt(s) / erf(sqrt(s)), mpf(2) ** -60, 1, range(14))
    emit("ERF_F64", "erf x / x − 1 in s = x² for x ≤ 1.", *fit.rounded(53))

    top = (pi / 4 * mpf("1.0001")) ** 2
    fit = Fit(lambda s: (sin(sqrt(s)) / sqrt(s) - 1) / s, lambda s: s * sqrt(s) / sin(sqrt(s)), mpf(2) ** -60, top, range(7))
    emit("SIN_F64", "(sin r / r − 1) / s in s = r² for |r| ≤ π/4.", *fit.rounded(53))
    fit = Fit(lambda s: (cos(sqrt(s)) - 1 + s / 2) / s**2, lambda s: s**2 / cos(sqrt(s)), mpf(2) ** -60, top, range(7))
    emit("COS_F64", "(cos r − 1 + s/2) / s² in s = r² for |r| ≤ π/4.", *fit.rounded(53))

    emit_exponents("ONE_OVER_PI_F32_FROM", "Exponents of x from which the rows but the first of [`ONE_OVER_PI_F32`] hold.", F32_THRESHOLDS)
    emit_table("ONE_OVER_PI_F32", "Windows of the digits of 1/π for f32: words of 29, 29 and 53.", windows_f32())
    emit_exponents("TWO_OVER_PI_F64_FROM", "Exponents of x from which the rows but the first of [`TWO_OVER_PI_F64`] hold.", F64_THRESHOLDS)
    doc = "Windows of the digits of 2/π for f64: six words of 53; from the fourth row on, times 2⁴⁰⁰."
    emit_table("TWO_OVER_PI_F64", doc, windows_f64())

    top = ((sqrt(2) - 1) / (sqrt(2) + 1) * mpf("1.0001")) ** 2
    fit = Fit(lambda z: log((1 + sqrt(z)) / (1 - sqrt(z)), 2) / sqrt(z), lambda z: sqrt(z) / log((1 + sqrt(z)) / (1 - sqrt(z)), 2), mpf(2) ** -60, top, range(8))
    emit("LOG2_POW", "log2((1 + s) / (1 − s)) / s in s², |s| ≤ 0.1716, for f32 results.", *fit.rounded(53))
    fit = Fit(lambda r: mpf(2) ** r, lambda r: mpf(2) ** -r, -mpf("0.5001"), mpf("0.5001"), range(9))
    emit("EXP2_POW", "2ʳ for |r| ≤ 1/2, for f32 results.", *fit.rounded(53))
    tail = lambda z: (2 * atanh(sqrt(z)) - 2 * sqrt(z) * (1 + z / 3 + z**2 / 5)) / (sqrt(z) * z**3)
    fit = Fit(tail, lambda z: z**3 * sqrt(z) / (2 * atanh(sqrt(z))), mpf(2) ** -60, top, range(6))
    emit("LN_TAIL_POW", "(2 atanh s − 2s − 2s³/3 − 2s⁵/5) / s⁷ in s², |s| ≤ 0.1716.", *fit.rounded(53))

    constants()
    elementary()
    tails()
    gammas()
    narrow()


if __name__ == "__main__":
    main()
