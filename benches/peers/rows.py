"""The rows: what is computed, on what, and what the result must be.

A row is one line of `ROWS`: its name and kind; the kernel as loopweave takes it, where `T` stands for the dtype; a NumPy
reference, which is given the inputs in float64; and where they matter the inputs' ranges. Each peer has one line for it in
its own file, or leaves it out. The kind says at which sizes a row is measured; a size gives the extents that the kernel's
parameters name: `n` elements, `r` by `c`, or `m`, `k` and `n` of a product.
"""

import re
from dataclasses import dataclass
from typing import Callable

import numpy as np
from scipy.special import erf

POLY = (0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9)
RATE, SIGMA = 0.05, 0.2
SQRT_HALF = 0.7071067811865476

# About how many operations a row takes for each element, for the roofline: those of the polynomials that stand for exp and
# the like among them. Products count their own.
ARITHMETIC = {
    **{"add": 1, "axpy": 2, "chain": 4, "poly8": 16, "cast_add": 1, "exp": 16, "tanh": 24, "silu": 20, "gelu": 30},
    **{"black_scholes": 110, "sum": 1, "dot": 2, "max": 1, "mse": 3, "sum_axis1": 1, "sum_axis0": 1, "logsumexp_rows": 18},
    **{"softmax_rows": 20, "layernorm_rows": 8, "bcast_row_add": 1, "bcast_col_add": 1, "transpose_add": 1},
}

# What the kernels may call.
FUNCTIONS = """fn relu(x) { if x > 0 { x } else { 0 } }
fn gelu(x) { 0.5 * x * (1 + erf(x * 0.7071067811865476)) }
fn phi(x) { 0.5 * (1 + erf(x * 0.7071067811865476)) }
"""

# The kinds of rows, and the sizes of each.
SIZES = {
    "map": ["1k", "64k", "1M", "16M"],
    "reduction": ["1k", "64k", "1M", "16M"],
    "rows": ["1024x1024", "2048x2048"],
    "transposed": ["1024x1024", "2048x2048"],
    "product": [f"{n}x{n}x{n}" for n in (16, 32, 64, 127, 128, 250, 256, 512, 1000, 1024, 2048)]
    + ["4096x512x512", "16x1024x1024", "64x4096x64", "1024x16x1024"],
    "dispatch": ["1", "16", "256"],
}
# Sizes beyond those of the kind: larger than any cache.
MORE_SIZES = {("add", "f32"): ["128M"], ("sum", "f32"): ["128M"]}


def horner(x: str, constant: Callable = str) -> str:
    """The polynomial of degree 8, as text that every side reads."""
    text = constant(POLY[0])
    for c in POLY[1:]:
        text = f"({text}) * {x} + ({constant(c)})"
    return text


@dataclass(frozen=True)
class Row:
    name: str
    kind: str
    kernel: str
    reference: Callable
    # From where to where each input's numbers lie; the last is that of all further ones.
    ranges: tuple = ((-1.0, 1.0),)
    dtypes: tuple = ("f32", "f64")

    def text(self, dtype: str) -> str:
        return FUNCTIONS + "kernel row" + re.sub(r"\bT\b", dtype, self.kernel)

    def sizes(self, dtype: str) -> list[str]:
        return SIZES[self.kind] + MORE_SIZES.get((self.name, dtype), [])

    def arrays(self, dtype: str, size: str) -> tuple[list, tuple]:
        """The dtype and extents of each input, and those of the result."""
        given = extents(self.kind, size)
        params, result = self.text(dtype).split("kernel row")[1].split("{")[0].split("->")
        of = lambda array: (array[0], [given.get(d.strip(), 1) for d in array[1].split(",") if d.strip()])
        found = [of(array) for array in re.findall(r"\b([fi]\d\d)(?:\[(.*?)\])?", params + " -> " + result)]
        return found[:-1], found[-1]

    def operations(self, size: str) -> int:
        """Multiplications and additions of a product; 0 for what memory bounds."""
        m, k, n = (extents(self.kind, size)[name] for name in "mkn") if self.kind == "product" else (0, 0, 0)
        return 2 * m * k * n


def extents(kind: str, size: str) -> dict[str, int]:
    unit = {"k": 1 << 10, "M": 1 << 20}.get(size[-1], 1)
    counts = [int(part.rstrip("kM")) * unit for part in size.split("x")]
    return dict(zip({"rows": "rc", "transposed": "rc", "product": "mkn"}.get(kind, "n"), counts))


def family(row: str, size: str) -> str:
    """Under which heading a figure counts."""
    kind = next(known.kind for known in ROWS if known.name == row)
    if kind in ("map", "reduction"):
        name = "maps" if kind == "map" else "reductions"
        return f"{name} {'in' if size in ('1k', '64k') else 'out of'} cache"
    if kind != "product":
        return {"rows": "rows and columns", "transposed": "transposed add", "dispatch": "dispatch"}[kind]
    if row != "matmul":
        return "products with an epilogue"
    sides = [int(side) for side in size.split("x")]
    if max(sides) <= 64:
        return "small products"
    return "products" if len(set(sides)) == 1 and sides[0] % 64 == 0 or size == "4096x512x512" else "odd and skinny products"


def values(position: int, shape: list[int], dtype: str, bounds: tuple) -> np.ndarray:
    """Numbers within bounds, other ones at each position; small integers for integer dtypes."""
    kind = np.dtype(dtype[0] + str(int(dtype[1:]) // 8))
    rng = np.random.default_rng(position)
    count = int(np.prod(shape, dtype=int))
    # A million numbers, repeated: more would take longer than the measurement, and tell no more.
    base = min(count, 1_000_003)
    block = rng.integers(-1000, 1000, base) if dtype[0] == "i" else rng.uniform(*bounds, base)
    return np.resize(block.astype(kind), count).reshape(shape)


def reference_gelu(x):
    return 0.5 * x * (1 + erf(x * SQRT_HALF))


def reference_black_scholes(s, k, t):
    q = SIGMA * np.sqrt(t)
    d = (np.log(s / k) + (RATE + SIGMA * SIGMA / 2) * t) / q
    phi = lambda x: 0.5 * (1 + erf(x * SQRT_HALF))
    return s * phi(d) - k * np.exp(-RATE * t) * phi(d - q)


def reference_softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def reference_layernorm(x, g, b):
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5) * g + b


WIDE = ((-4.0, 4.0),)
MARKET = ((50.0, 150.0), (50.0, 150.0), (0.1, 2.0))
ADD = lambda a, b: a + b

# fmt: off
ROWS = [
    Row("add", "map", "(a: T[n], b: T[n]) -> T[n] { a + b }", ADD, dtypes=("f32", "f64", "i32", "i64")),
    Row("axpy", "map", "(x: T[n], y: T[n]) -> T[n] { 2.5 * x + y }", lambda x, y: 2.5 * x + y),
    Row("chain", "map", "(a: T[n], b: T[n], c: T[n], d: T[n], e: T[n]) -> T[n] { relu(a * b + c) * d - e }", lambda a, b, c, d, e: np.maximum(a * b + c, 0) * d - e),
    Row("poly8", "map", "(x: T[n]) -> T[n] { %s }" % horner("x"), lambda x: np.polyval(POLY, x)),
    Row("cast_add", "map", "(a: f32[n], b: f64[n]) -> f64[n] { a + b }", ADD, dtypes=("f64",)),
    Row("exp", "map", "(x: T[n]) -> T[n] { exp(x) }", np.exp, WIDE),
    Row("tanh", "map", "(x: T[n]) -> T[n] { tanh(x) }", np.tanh, WIDE),
    Row("silu", "map", "(x: T[n]) -> T[n] { silu(x) }", lambda x: x / (1 + np.exp(-x)), WIDE),
    Row("gelu", "map", "(x: T[n]) -> T[n] { gelu(x) }", reference_gelu, WIDE),
    Row("black_scholes", "map", "(s: T[n], k: T[n], t: T[n]) -> T[n] { let q = 0.2 * sqrt(t); let d = (ln(s / k) + 0.07 * t) / q; s * phi(d) - k * exp(-0.05 * t) * phi(d - q) }", reference_black_scholes, MARKET),
    Row("sum", "reduction", "(x: T[n]) -> T { sum(x) }", np.sum),
    Row("dot", "reduction", "(x: T[n], y: T[n]) -> T { sum(x * y) }", lambda x, y: np.sum(x * y)),
    Row("max", "reduction", "(x: T[n]) -> T { max(x) }", np.max),
    Row("mse", "reduction", "(x: T[n], y: T[n]) -> T { mean((x - y) * (x - y)) }", lambda x, y: np.mean((x - y) ** 2)),
    Row("sum_axis1", "rows", "(x: T[r, c]) -> T[r] { sum(x, axis = 1) }", lambda x: x.sum(axis=1)),
    Row("sum_axis0", "rows", "(x: T[r, c]) -> T[c] { sum(x, axis = 0) }", lambda x: x.sum(axis=0)),
    Row("logsumexp_rows", "rows", "(x: T[r, c]) -> T[r] { let top = max(x, axis = 1, keepdims = true); ln(sum(exp(x - top), axis = 1)) + max(x, axis = 1) }", lambda x: np.log(np.exp(x).sum(axis=1)), WIDE),
    Row("softmax_rows", "rows", "(x: T[r, c]) -> T[r, c] { let e = exp(x - max(x, axis = 1, keepdims = true)); e / sum(e, axis = 1, keepdims = true) }", reference_softmax, WIDE),
    Row("layernorm_rows", "rows", "(x: T[r, c], g: T[c], b: T[c]) -> T[r, c] { let d = x - mean(x, axis = 1, keepdims = true); d / sqrt(mean(d * d, axis = 1, keepdims = true) + 0.00001) * g + b }", reference_layernorm, WIDE),
    Row("bcast_row_add", "rows", "(x: T[r, c], y: T[c]) -> T[r, c] { x + y }", ADD),
    Row("bcast_col_add", "rows", "(x: T[r, c], y: T[r, 1]) -> T[r, c] { x + y }", ADD),
    Row("transpose_add", "transposed", "(a: T[r, c], b: T[c, r]) -> T[r, c] { a + permute(b, 1, 0) }", lambda a, b: a + b.T),
    Row("matmul", "product", "(x: T[m, k], w: T[k, n]) -> T[m, n] { x @ w }", np.matmul),
    Row("mm_bias_relu", "product", "(x: T[m, k], w: T[k, n], b: T[n]) -> T[m, n] { relu(x @ w + b) }", lambda x, w, b: np.maximum(x @ w + b, 0)),
    Row("mm_bias_gelu", "product", "(x: T[m, k], w: T[k, n], b: T[n]) -> T[m, n] { gelu(x @ w + b) }", lambda x, w, b: reference_gelu(x @ w + b)),
    Row("dispatch_add", "dispatch", "(a: T[n], b: T[n]) -> T[n] { a + b }", ADD, dtypes=("f32",)),
]
# fmt: on
