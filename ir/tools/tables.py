#!/usr/bin/env python3
"""Regenerates `ir/src/expand/tables.rs`: functions as one polynomial for each of some intervals.

Method: an odd function that goes to 1 is read off u = |x| + c by the exponent and the first bits of u's significand, which number
eight intervals in x (f32, one bit) or sixteen (f64, two bits), short near 0 and longer above. For each there is a centre x0 and a
minimax fit (see `minimax.py`) of

    f(x) = c0 + t (c1 + c2 t + …),  t = x − x0,

where x0 lies so that what the rounding of the sum in parentheses does is the same at both ends, beside f(x) or, where that is
above 1/2, beside its slope, which it must not turn. It is chosen among the floats near there so that f(x0) lies very near to a float, c0 (the idea of Gal, *Computing elementary functions: a
new approach for achieving high accuracy and good performance*, 1986). In the first interval x0 is 0 and
x itself stands for c0, so that c1 is f'(0) − 1.

Usage: python3 tables.py > ../src/expand/tables.rs      needs mpmath; takes a minute
"""

import sys

from minimax import Fit, bits_of, mpf, mp, round_to
from mpmath import diff, erf, floor, log, nstr, tanh

# Bits of the significand that number the intervals, and these.
BITS = {24: 1, 53: 2}
ENTRIES = {24: 8, 53: 16}
# Coefficients up to which one chain of multiply-adds serves.
LONG = 11


def bounds(c, bits):
    """The u at which the intervals begin and the last one ends."""
    exponent = int(floor(log(c, 2)))
    step = mpf(2) ** (exponent - BITS[bits])
    u = floor(c / step) * step
    out = [u]
    while len(out) <= ENTRIES[bits]:
        if u + step >= mpf(2) ** (exponent + 1):
            exponent += 1
        u += step
        step = mpf(2) ** (exponent - BITS[bits])
        out.append(u)
    return out


def index(u, bits):
    """The low bits of the exponent and the first bits of the significand of u."""
    exponent, shift = int(floor(log(u, 2))), BITS[bits]
    significand = int(floor(u / mpf(2) ** (exponent - shift))) - 2**shift
    return ((exponent - 1 << shift) + significand) % ENTRIES[bits]


def centre(f, low, high, bits):
    """A float inside of an interval at which f is nearly a float."""
    weight = f if f(low) < 0.5 else lambda x: diff(f, x)
    middle = (low * weight(high) + high * weight(low)) / (weight(low) + weight(high))
    unit = mpf(2) ** (int(floor(log(high, 2))) - bits + 1)
    # Further to the right the powers of t cancel too much at the left end.
    middle = min(middle, low + (high - low) * mpf("0.65"))
    step = (high - low) / 2**16
    best = None
    for i in range(4000):
        x = floor((middle + (i // 2 if i % 2 else -i // 2) * step) / unit) * unit
        y = f(x)
        error = abs(round_to(bits, y) - y) / y
        if best is None or error < best[0]:
            best = (error, x)
    return best[1]


def by_use(coefficients):
    """From the highest power down; of many first every second one, then the others, then those of the lowest two."""
    if len(coefficients) <= LONG:
        return coefficients[::-1]
    low, high = coefficients[:2], coefficients[2:]
    return high[1::2][::-1] + high[::2][::-1] + low[::-1]


def lifted_tanh(x):
    """tanh x, and above 14.75 a part of an ulp more, so that at 18.74 it rounds to 1.

    The sixteen intervals end at 18.75, where 1 − tanh x is 0.94 ulp, and what is beyond is to have the value there."""
    rise = (x - mpf("14.75")) / 4
    return tanh(x) + (mpf("0.47") * mpf(2) ** -53 * rise**8 if rise > 0 else 0)


def table(name, doc, f, c, bits, terms):
    """Columns: x0, the coefficients from the last to c1, and c0, for each interval."""
    us = bounds(mpf(c), bits)
    rows, worst = [None] * ENTRIES[bits], 0
    for k in range(ENTRIES[bits]):
        # |x| + c is rounded, so an interval may get a little of its neighbours.
        low, high = us[k] - c - us[k] * mpf(2) ** -bits, us[k + 1] - c + us[k] * mpf(2) ** (1 - bits)
        if k == 0:
            tiny = mpf(2) ** -60
            fit = Fit(lambda t: (f(t) / t - 1), lambda t: t / f(t), tiny, high, range(terms))
            x0, c0 = mpf(0), mpf(0)
        else:
            x0 = centre(f, low, high, bits)
            c0 = round_to(bits, f(x0))
            fit = Fit(lambda t: (f(x0 + t) - f(x0)) / t, lambda t: t / f(x0 + t), low - x0, high - x0, range(terms))
        coefficients, error = fit.rounded(bits)
        worst = max(worst, error + abs(c0 - f(x0)) / (f(x0) or 1))
        print(f"{name} {k}: x0 {nstr(x0, 6)}, 2^{nstr(log(error, 2), 4)}", file=sys.stderr)
        rows[index(us[k], bits)] = [x0] + by_use(coefficients) + [c0]
    columns = list(zip(*rows))
    print(f"/// {doc} Largest relative error 2^{nstr(log(worst, 2), 4)}.")
    dtype = name.rsplit("_", 1)[1]
    print(f"pub(super) static {name}: Table = Table::new(\"{name.lower()}\", Dtype::{dtype}, &[")
    for column in columns:
        print("    &[" + ", ".join(f"f64::from_bits({bits_of(v):#018x})" for v in column) + "],")
    print("]);\n")
    return name


def main():
    print("//! Coefficients of the expansions that look them up, as bits; written by `ir/tools/tables.py`, never by hand.")
    print("//!")
    print("//! Columns in the order of their use: the centres of the intervals, the coefficients from the highest power down to the first (of\n//! many first every second one), and the values at the centres.\n")
    print("use crate::dtype::Dtype;\nuse crate::table::Table;\n")
    names = []
    for dtype, bits, tanh_terms, erf_terms, c in (("F32", 24, 8, 8, ("0.75", "0.375")), ("F64", 53, 14, 14, ("1.25", "0.5"))):
        names.append(table(f"TANH_{dtype}", f"tanh x by |x| + {c[0]}.", tanh if dtype == "F32" else lifted_tanh, mpf(c[0]), bits, tanh_terms))
        names.append(table(f"ERF_{dtype}", f"erf x by |x| + {c[1]}.", erf, mpf(c[1]), bits, erf_terms))
    print("/// All of them.")
    print(f"pub(crate) const TABLES: [&Table; {len(names)}] = [" + ", ".join(f"&{name}" for name in names) + "];")


if __name__ == "__main__":
    main()
