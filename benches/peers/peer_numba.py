"""Numba with fastmath: the loop a user would write, compiled with `njit`, and with `parallel=True` on several threads."""

import math
import os

import numba

from rows import POLY, horner

PACKAGES = ["numpy==2.4.6", "numba==0.68.1"]

# All rows run on several threads.
THREADED = None
PARALLEL = int(os.environ["NUMBA_NUM_THREADS"]) > 1

ELEMENTS = "def row({params}, out):\n for i in numba.prange(out.size): out[i] = {body}"
TOTAL = "def row({params}, out):\n s = {params}.dtype.type(0)\n for i in numba.prange({first}.size): s += {body}\n out[()] = s"
GRID = "def row({params}, out):\n for i in numba.prange(out.shape[0]):\n  for j in range(out.shape[1]): out[i, j] = {body}"
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


def compiled(source: str, params: str = "", body: str = ""):
    """The function of a loop, for as many threads as this process may use."""
    scope = {"numba": numba, "math": math}
    first = params.split(",")[0]
    exec(source.replace("{params}.dtype", f"{first}.dtype").format(params=params, body=body, first=first), scope)
    return numba.njit(fastmath=True, parallel=PARALLEL)(scope["row"])


# Constants are written in the elements' type: a bare one would take float32 to float64.
C = "{0}.dtype.type({1})".format

ROWS = {
    "add": compiled(ELEMENTS, "a, b", "a[i] + b[i]"),
    "axpy": compiled(ELEMENTS, "x, y", f"{C('x', 2.5)} * x[i] + y[i]"),
    "chain": compiled(ELEMENTS, "a, b, c, d, e", f"max(a[i] * b[i] + c[i], {C('a', 0)}) * d[i] - e[i]"),
    "poly8": compiled(ELEMENTS, "x", horner("x[i]", lambda c: C("x", c))),
    "exp": compiled(ELEMENTS, "x", "math.exp(x[i])"),
    "sum": compiled(TOTAL, "x", "x[i]"),
    "dot": compiled(TOTAL, "x, y", "x[i] * y[i]"),
    "sum_rows": compiled(ROW_SUMS),
    "sum_columns": compiled(COLUMN_BANDS if PARALLEL else COLUMN_SUMS),
    "add_row": compiled(GRID, "x, y", "x[i, j] + y[j]"),
    "add_transposed": compiled(GRID, "a, b", "a[i, j] + b[j, i]"),
}
