"""Numba with fastmath: the loop a user would write, compiled with `njit`, and with `parallel=True` on several threads.

On one thread the loops of small arrays are also called from compiled code ("inner"), without Python's dispatch.
"""

import math
import os

import numba
import numpy as np

from rows import RATE, SIGMA, SQRT_HALF, horner
from ways import Way

ENVIRONMENT = "main"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1", "numba==0.68.1"]

# All rows run on several threads.
THREADED = None
PARALLEL = int(os.environ["NUMBA_NUM_THREADS"]) > 1

# Arrays of as many bytes are called from compiled code, too: there the dispatch shows.
INNER_BYTES = 1 << 22

ELEMENTS = """def row({params}, out):
 for i in numba.prange(out.size): out[i] = {body}"""
TOTAL = """def row({params}, out):
 s = {params}.dtype.type(0)
 for i in numba.prange({first}.size): s += {body}
 out[()] = s{after}"""
GRID = """def row({params}, out):
 for i in numba.prange(out.shape[0]):
  for j in range(out.shape[1]): out[i, j] = {body}"""
MAX = """def row(x, out): out[()] = np.max(x)"""
MAX_HALVES = """def row(x, out):
 m = x[0]
 for i in numba.prange(x.size): m = max(m, x[i])
 out[()] = m"""
ROW_SUMS = """def row(x, out):
 for i in numba.prange(x.shape[0]):
  s = x.dtype.type(0)
  for j in range(x.shape[1]): s += x[i, j]
  out[i] = s"""
COLUMN_SUMS = """def row(x, out):
 out[:] = 0
 for i in range(x.shape[0]):
  for j in range(x.shape[1]): out[j] += x[i, j]"""
# Each thread takes a band of columns, over which it walks row by row.
COLUMN_BANDS = """def row(x, out):
 bands = numba.get_num_threads()
 width = (x.shape[1] + bands - 1) // bands
 for band in numba.prange(bands):
  part = out[band * width:(band + 1) * width]
  part[:] = 0
  for i in range(x.shape[0]): part += x[i, band * width:(band + 1) * width]"""
TOP = """
  top = x[i, 0]
  for j in range(x.shape[1]): top = max(top, x[i, j])
  s = x.dtype.type(0)"""
LOGSUMEXP = f"""def row(x, out):
 for i in numba.prange(x.shape[0]):{TOP}
  for j in range(x.shape[1]): s += math.exp(x[i, j] - top)
  out[i] = math.log(s) + top"""
SOFTMAX = f"""def row(x, out):
 for i in numba.prange(x.shape[0]):{TOP}
  for j in range(x.shape[1]): out[i, j] = math.exp(x[i, j] - top)
  for j in range(x.shape[1]): s += out[i, j]
  r = x.dtype.type(1) / s
  for j in range(x.shape[1]): out[i, j] *= r"""
LAYERNORM = """def row(x, g, b, out):
 n = x.dtype.type(x.shape[1])
 for i in numba.prange(x.shape[0]):
  s = x.dtype.type(0)
  for j in range(x.shape[1]): s += x[i, j]
  mean = s / n
  v = x.dtype.type(0)
  for j in range(x.shape[1]): v += (x[i, j] - mean) * (x[i, j] - mean)
  r = x.dtype.type(1) / math.sqrt(v / n + x.dtype.type(1e-5))
  for j in range(x.shape[1]): out[i, j] = (x[i, j] - mean) * r * g[j] + b[j]"""
# By tiles of 32 by 32, as one who knows the cache would.
TRANSPOSED_TILES = """def row(a, b, out):
 n, m = a.shape
 for tile in numba.prange((n + 31) // 32):
  for j0 in range(0, m, 32):
   for i in range(tile * 32, min(n, tile * 32 + 32)):
    for j in range(j0, min(m, j0 + 32)): out[i, j] = a[i, j] + b[j, i]"""
DENSE = """def row(x, w, b, out):
 np.dot(x, w, out)
 for i in numba.prange(out.shape[0]):
  for j in range(out.shape[1]):
   v = out[i, j] + b[j]
   out[i, j] = {body}"""


def compiled(source: str, params: str = "", body: str = "", after: str = ""):
    """The function of a loop, for as many threads as this process may use."""
    scope = {"numba": numba, "math": math, "np": np}
    first = params.split(",")[0]
    source = source.replace("{params}.dtype", f"{first}.dtype")
    exec(source.format(params=params, body=body, first=first, after=after) if "{" in source else source, scope)
    return numba.njit(fastmath=True, error_model="numpy", parallel=PARALLEL)(scope["row"])


# Constants are written in the elements' type: a bare one would take float32 to float64.
C = "{0}.dtype.type({1})".format


def gelu(array: str, x: str) -> str:
    return f"{C(array, 0.5)} * {x} * ({C(array, 1)} + math.erf({x} * {C(array, SQRT_HALF)}))"


BLACK_SCHOLES = """def row(s, k, t, out):
 T = s.dtype.type
 for i in numba.prange(out.size):
  q = T({sigma}) * math.sqrt(t[i])
  d = (math.log(s[i] / k[i]) + T({drift}) * t[i]) / q
  up = T(0.5) * (T(1) + math.erf(d * T({half})))
  down = T(0.5) * (T(1) + math.erf((d - q) * T({half})))
  out[i] = s[i] * up - k[i] * math.exp(T(-{rate}) * t[i]) * down"""
MARKET = {"sigma": SIGMA, "drift": RATE + SIGMA * SIGMA / 2, "half": SQRT_HALF, "rate": RATE}
for name, number in MARKET.items():
    BLACK_SCHOLES = BLACK_SCHOLES.replace("{%s}" % name, repr(number))

ROWS = {
    "add": [compiled(ELEMENTS, "a, b", "a[i] + b[i]")],
    "axpy": [compiled(ELEMENTS, "x, y", f"{C('x', 2.5)} * x[i] + y[i]")],
    "chain": [compiled(ELEMENTS, "a, b, c, d, e", f"max(a[i] * b[i] + c[i], {C('a', 0)}) * d[i] - e[i]")],
    "poly8": [compiled(ELEMENTS, "x", horner("x[i]", lambda c: C("x", c)))],
    "cast_add": [compiled(ELEMENTS, "a, b", "a[i] + b[i]")],
    "exp": [compiled(ELEMENTS, "x", "math.exp(x[i])")],
    "tanh": [compiled(ELEMENTS, "x", "math.tanh(x[i])")],
    "silu": [compiled(ELEMENTS, "x", f"x[i] / ({C('x', 1)} + math.exp(-x[i]))")],
    "gelu": [compiled(ELEMENTS, "x", gelu("x", "x[i]"))],
    "black_scholes": [compiled(BLACK_SCHOLES)],
    "sum": [compiled(TOTAL, "x", "x[i]")],
    "dot": [compiled(TOTAL, "x, y", "x[i] * y[i]")],
    "max": [compiled(MAX_HALVES if PARALLEL else MAX)],
    "mse": [compiled(TOTAL, "x, y", "(x[i] - y[i]) * (x[i] - y[i])", " / x.dtype.type(x.size)")],
    "sum_axis1": [compiled(ROW_SUMS)],
    "sum_axis0": [compiled(COLUMN_BANDS if PARALLEL else COLUMN_SUMS)],
    "logsumexp_rows": [compiled(LOGSUMEXP)],
    "softmax_rows": [compiled(SOFTMAX)],
    "layernorm_rows": [compiled(LAYERNORM)],
    "bcast_row_add": [compiled(GRID, "x, y", "x[i, j] + y[j]")],
    "bcast_col_add": [compiled(GRID, "x, y", "x[i, j] + y[i, 0]")],
    "transpose_add": [compiled(GRID, "a, b", "a[i, j] + b[j, i]"), compiled(TRANSPOSED_TILES)],
    "matmul": [compiled("def row(x, w, out): np.dot(x, w, out)")],
    "mm_bias_relu": [compiled(DENSE, body=f"max(v, {C('x', 0)})")],
    "mm_bias_gelu": [compiled(DENSE, body=gelu("x", "v"))],
    "dispatch_add": [compiled(ELEMENTS, "a, b", "a[i] + b[i]")],
}


def bind(functions: list, inputs: list, output) -> list[Way]:
    """A row's functions: the first as a user writes it, then one with tiles; and the first in a compiled loop of calls."""
    args = (*inputs, output)
    ways = [Way(name, function, args) for name, function in zip(("", "tiled"), functions)]
    if not PARALLEL and sum(array.nbytes for array in args) < INNER_BYTES:
        names = ", ".join(f"x{i}" for i in range(len(args)))
        scope = {"row": functions[0]}
        exec(f"def calls(n, {names}):\n for _ in range(n): row({names})", scope)
        ways.append(Way("inner", numba.njit(scope["calls"]), args, loops=True))
    return ways
