#!/usr/bin/env python3
"""Prints the largest error of each f64 function in fractions of an ulp, and where it is.

Reads the file of misses that `ir/examples/accuracy.rs` writes: lines of a function's name, and the bits of an input and of a
result that is not the correctly rounded one. The exact values are computed in 200 bits.

Usage: python3 fractions.py MISSES [LIMIT]        at most LIMIT lines of a function (10000 by default); needs mpmath
"""

import struct
import sys
from collections import Counter

import mpmath as mp
from mpmath import mpf

mp.mp.prec = 200


def log1p_exp(x):
    return mp.log1p(mp.exp(-abs(x))) + max(x, 0)


def gelu_tanh(x):
    return x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)))


FUNCTIONS = {
    "exp2": lambda x: mpf(2) ** x,
    "exp10": lambda x: mpf(10) ** x,
    "log2": lambda x: mp.log(x, 2),
    "log10": lambda x: mp.log(x, 10),
    "ln": mp.log,
    "sinpi": mp.sinpi,
    "cospi": mp.cospi,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "lgamma": lambda x: mp.re(mp.loggamma(x)) if x > 0 else mp.log(abs(mp.gamma(x))),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "softplus": log1p_exp,
    "gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
    "gelu_tanh": gelu_tanh,
    "mish": lambda x: x * mp.tanh(log1p_exp(x)),
}


def value(bits):
    return struct.unpack("<d", struct.pack("<Q", int(bits, 16)))[0]


def ulp(exact):
    return mpf(2) ** (max(mp.mag(exact) - 1, -1022) - 52)


def main():
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    seen, worst = Counter(), {}
    with open(sys.argv[1], encoding="ascii") as lines:
        for line in lines:
            name, x, y = line.split()
            seen[name] += 1
            if seen[name] > limit:
                continue
            x, y = value(x), value(y)
            exact = FUNCTIONS.get(name, getattr(mp, name, None))(mpf(x))
            # Between its zeros below -2 ln |gamma| is a difference, whose error is that of its terms.
            unit = max(abs(exact), mpf(1) / 2) if name == "lgamma" and x < -2 else exact
            error = abs(y - exact) / ulp(unit)
            if error > worst.get(name, (0,))[0]:
                worst[name] = (error, x)
    for name, (error, x) in worst.items():
        print(f"{name} {mp.nstr(error, 4)} {x!r} {min(seen[name], limit)}")


if __name__ == "__main__":
    main()
