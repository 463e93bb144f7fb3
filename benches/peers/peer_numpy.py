"""NumPy: one ufunc after the other, into the given output as far as that goes."""

import numpy as np

from rows import POLY

PACKAGES = ["numpy==2.4.6"]

# What its BLAS runs on several threads; the rest is the same on any number.
THREADED = {"dot"}


def steps(*functions):
    """Runs functions of (inputs…, out) one after the other."""

    def run(*args):
        for function in functions:
            function(*args)

    return run


ROWS = {
    "add": lambda a, b, out: np.add(a, b, out=out),
    "axpy": steps(lambda x, y, out: np.multiply(x, 2.5, out=out), lambda x, y, out: np.add(out, y, out=out)),
    "chain": steps(lambda a, b, c, d, e, out: np.multiply(a, b, out=out), lambda a, b, c, d, e, out: np.add(out, c, out=out), lambda a, b, c, d, e, out: np.maximum(out, 0, out=out), lambda a, b, c, d, e, out: np.multiply(out, d, out=out), lambda a, b, c, d, e, out: np.subtract(out, e, out=out)),
    "poly8": steps(lambda x, out: np.multiply(x, POLY[0], out=out), *(f for k in POLY[1:-1] for f in (lambda x, out, k=k: np.add(out, k, out=out), lambda x, out: np.multiply(out, x, out=out))), lambda x, out: np.add(out, POLY[-1], out=out)),
    "exp": lambda x, out: np.exp(x, out=out),
    "sum": lambda x, out: np.sum(x, out=out),
    "dot": lambda x, y, out: np.dot(x, y, out=out),
    "sum_rows": lambda x, out: np.sum(x, axis=1, out=out),
    "sum_columns": lambda x, out: np.sum(x, axis=0, out=out),
    "add_row": lambda x, y, out: np.add(x, y, out=out),
    "add_transposed": lambda a, b, out: np.add(a, b.T, out=out),
}
