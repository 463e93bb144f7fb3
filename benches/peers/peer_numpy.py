"""NumPy, with SciPy's erf: one ufunc after the other, into the given output as far as that goes."""

import numpy as np
from scipy.special import erf

from rows import POLY, RATE, SIGMA, SQRT_HALF
from ways import plain

ENVIRONMENT = "main"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1"]

# What its BLAS runs on several threads; the rest is the same on any number.
THREADED = {"dot", "matmul", "mm_bias_relu", "mm_bias_gelu"}


def steps(*functions):
    """Runs functions of (inputs…, out) one after the other."""

    def run(*args):
        for function in functions:
            function(*args)

    return run


def silu(x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    np.divide(x, out, out=out)


def gelu(x, out):
    np.multiply(x, SQRT_HALF, out=out)
    erf(out, out=out)
    out += 1
    out *= x
    out *= 0.5


def black_scholes(s, k, t, out):
    q = np.sqrt(t)
    q *= SIGMA
    d1 = s / k
    np.log(d1, out=d1)
    d1 += (RATE + SIGMA * SIGMA / 2) * t
    d1 /= q
    d2 = d1 - q
    for d in (d1, d2):
        d *= SQRT_HALF
        erf(d, out=d)
        d += 1
        d *= 0.5
    np.multiply(t, -RATE, out=out)
    np.exp(out, out=out)
    out *= k
    out *= d2
    d1 *= s
    np.subtract(d1, out, out=out)


def mse(x, y, out):
    d = x - y
    out[()] = np.dot(d, d) / d.size


def logsumexp(x, out):
    top = x.max(axis=1, keepdims=True)
    t = x - top
    np.exp(t, out=t)
    np.sum(t, axis=1, out=out)
    np.log(out, out=out)
    out += top[:, 0]


def softmax(x, out):
    np.subtract(x, x.max(axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)


def layernorm(x, g, b, out):
    np.subtract(x, x.mean(axis=1, keepdims=True), out=out)
    v = np.einsum("ij,ij->i", out, out)[:, None] / x.shape[1]
    v += 1e-5
    out /= np.sqrt(v)
    out *= g
    out += b


def dense_gelu(x, w, b, out):
    np.matmul(x, w, out=out)
    out += b
    t = out * SQRT_HALF
    erf(t, out=t)
    t += 1
    out *= t
    out *= 0.5


# fmt: off
ROWS = {
    "add": lambda a, b, out: np.add(a, b, out=out),
    "axpy": steps(lambda x, y, out: np.multiply(x, 2.5, out=out), lambda x, y, out: np.add(out, y, out=out)),
    "chain": steps(lambda a, b, c, d, e, out: np.multiply(a, b, out=out), lambda a, b, c, d, e, out: np.add(out, c, out=out), lambda a, b, c, d, e, out: np.maximum(out, 0, out=out), lambda a, b, c, d, e, out: np.multiply(out, d, out=out), lambda a, b, c, d, e, out: np.subtract(out, e, out=out)),
    "poly8": steps(lambda x, out: np.multiply(x, POLY[0], out=out), *(f for k in POLY[1:-1] for f in (lambda x, out, k=k: np.add(out, k, out=out), lambda x, out: np.multiply(out, x, out=out))), lambda x, out: np.add(out, POLY[-1], out=out)),
    "cast_add": lambda a, b, out: np.add(a, b, out=out),
    "exp": lambda x, out: np.exp(x, out=out),
    "tanh": lambda x, out: np.tanh(x, out=out),
    "silu": silu,
    "gelu": gelu,
    "black_scholes": black_scholes,
    "sum": lambda x, out: np.sum(x, out=out),
    "dot": lambda x, y, out: np.dot(x, y, out=out),
    "max": lambda x, out: np.max(x, out=out),
    "mse": mse,
    "sum_axis1": lambda x, out: np.sum(x, axis=1, out=out),
    "sum_axis0": lambda x, out: np.sum(x, axis=0, out=out),
    "logsumexp_rows": logsumexp,
    "softmax_rows": softmax,
    "layernorm_rows": layernorm,
    "bcast_row_add": lambda x, y, out: np.add(x, y, out=out),
    "bcast_col_add": lambda x, y, out: np.add(x, y, out=out),
    "transpose_add": lambda a, b, out: np.add(a, b.T, out=out),
    "matmul": lambda x, w, out: np.matmul(x, w, out=out),
    "mm_bias_relu": steps(lambda x, w, b, out: np.matmul(x, w, out=out), lambda x, w, b, out: np.add(out, b, out=out), lambda x, w, b, out: np.maximum(out, 0, out=out)),
    "mm_bias_gelu": dense_gelu,
    # Called as it is: the cost of a call is the row.
    "dispatch_add": np.add,
}
# fmt: on
bind = plain
