#!/usr/bin/env python3
"""Regenerates `ir/tests/data/hard_angles.txt`: the f64 numbers nearest to multiples of π/2, nearest first.

For each exponent e the significands m with m · 2^e · 2/π nearest to an integer are denominators of the last convergents of
the continued fraction of 2^e · 2/π.

Usage: python3 hard_angles.py > ../tests/data/hard_angles.txt      needs mpmath
"""

import struct
from mpmath import floor, ldexp, mp, mpf, nint, pi

mp.prec = 2600
KEPT = 400


def denominators(alpha, limit):
    """The last denominators below `limit` of convergents of alpha, and the largest intermediate one."""
    found, before, current = [1], 0, 1
    rest = alpha - floor(alpha)
    while rest:
        rest = 1 / rest
        digit = int(floor(rest))
        rest -= digit
        following = digit * current + before
        if following >= limit:
            found.append((limit - 1 - before) // current * current + before)
            break
        before, current = current, following
        found.append(current)
    return [q for q in found[-3:] if q > 0]


def main():
    rows = set()
    for e in range(-52, 972):
        alpha = ldexp(2 / pi, e)
        for m in denominators(alpha, 2**53):
            turns = m * alpha
            rows.add((float(abs(turns - nint(turns))), float(ldexp(mpf(m), e))))
    for _, x in sorted(rows)[:KEPT]:
        print(f"{struct.unpack('<Q', struct.pack('<d', x))[0]:016x}")


main()
