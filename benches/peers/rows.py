"""The rows: what is computed, on what, and what the result must be.

A row is one line here: its name; the kernel as loopweave takes it, where `T` stands for the dtype; and a NumPy reference,
which is given the inputs in float64. Each peer has one line for it in its own `peer_*.py`, or leaves it out. The extents
come from the kernel's parameters: `n` is the whole number of elements, `r` and `c` are the sides of the nearest square.
"""

import re
from dataclasses import dataclass
from typing import Callable

import numpy as np

SIZES = {"1k": 1 << 10, "64k": 1 << 16, "1M": 1 << 20, "16M": 1 << 24}

POLY = (0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9)


# What the kernels may call.
FUNCTIONS = "fn relu(x) { if x > 0 { x } else { 0 } }\n"


def horner(x: str, constant: Callable = str) -> str:
    """The polynomial of degree 8, as text that every side reads."""
    text = constant(POLY[0])
    for c in POLY[1:]:
        text = f"({text}) * {x} + ({constant(c)})"
    return text


@dataclass(frozen=True)
class Row:
    name: str
    kernel: str
    reference: Callable

    def text(self, dtype: str) -> str:
        return FUNCTIONS + "kernel row" + re.sub(r"\bT\b", dtype, self.kernel)

    def shapes(self, elements: int) -> tuple[list[list[int]], list[int]]:
        """The extents of the inputs and of the result."""
        rows = 1 << (elements.bit_length() // 2)
        extents = {"n": elements, "r": rows, "c": elements // rows}
        params, result = self.kernel.split("{")[0].split("->")
        shape = lambda dims: [extents[d.strip()] for d in dims.split(",") if d.strip()]
        inputs = [shape(dims) for dims in re.findall(r": T\b(?:\[(.*?)\])?", params)]
        return inputs, shape("".join(re.findall(r"\[(.*?)\]", result)))


ROWS = [
    Row("add", "(a: T[n], b: T[n]) -> T[n] { a + b }", lambda a, b: a + b),
    Row("axpy", "(x: T[n], y: T[n]) -> T[n] { 2.5 * x + y }", lambda x, y: 2.5 * x + y),
    Row("chain", "(a: T[n], b: T[n], c: T[n], d: T[n], e: T[n]) -> T[n] { relu(a * b + c) * d - e }", lambda a, b, c, d, e: np.maximum(a * b + c, 0) * d - e),
    Row("poly8", "(x: T[n]) -> T[n] { %s }" % horner("x"), lambda x: np.polyval(POLY, x)),
    Row("exp", "(x: T[n]) -> T[n] { exp(x) }", np.exp),
    Row("sum", "(x: T[n]) -> T { sum(x) }", np.sum),
    Row("dot", "(x: T[n], y: T[n]) -> T { sum(x * y) }", lambda x, y: np.sum(x * y)),
    Row("sum_rows", "(x: T[r, c]) -> T[r] { sum(x, axis = 1) }", lambda x: x.sum(axis=1)),
    Row("sum_columns", "(x: T[r, c]) -> T[c] { sum(x, axis = 0) }", lambda x: x.sum(axis=0)),
    Row("add_row", "(x: T[r, c], y: T[c]) -> T[r, c] { x + y }", lambda x, y: x + y),
    Row("add_transposed", "(a: T[r, c], b: T[c, r]) -> T[r, c] { a + permute(b, 1, 0) }", lambda a, b: a + b.T),
]
