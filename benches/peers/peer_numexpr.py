"""numexpr: expressions as text, compiled to bytecode once and run in blocks. Reductions come as new arrays.

It knows no erf, no products, and reduces to one stage only.
"""

import numexpr
from numexpr.necompiler import getType

from rows import POLY, horner
from ways import Way

ENVIRONMENT = "main"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1", "numexpr==2.14.2"]

# All rows run on several threads.
THREADED = None

# The inputs are a, b, c … in order, `bT` is the second one transposed; constants are of the elements' type.
ROWS = {
    "add": "a + b",
    "axpy": "k * a + b",
    "chain": "maximum(a * b + c, zero) * d - e",
    "poly8": horner("a", lambda c: f"p{POLY.index(c)}"),
    "cast_add": "a + b",
    "exp": "exp(a)",
    "tanh": "tanh(a)",
    "silu": "a / (one + exp(-a))",
    "sum": "sum(a)",
    "dot": "sum(a * b)",
    "max": "max(a)",
    "mse": "sum((a - b) ** 2)",
    "sum_axis1": "sum(a, axis=1)",
    "sum_axis0": "sum(a, axis=0)",
    "bcast_row_add": "a + b",
    "bcast_col_add": "a + b",
    "transpose_add": "a + bT",
    "dispatch_add": "a + b",
}


def bind(text: str, inputs: list, output) -> list[Way]:
    """The expression, compiled once and called again as it is."""
    kind = output.dtype.type
    names = dict(zip("abcde", inputs), k=kind(2.5), zero=kind(0), one=kind(1), bT=inputs[-1].T)
    names.update((f"p{i}", kind(p)) for i, p in enumerate(POLY))
    reduces = text.startswith(("sum(", "max("))
    compiled = numexpr.NumExpr(text, sorted((name, getType(names[name])) for name in names if name in words(text)))
    args = tuple(names[name] for name in compiled.input_names)
    if not reduces:
        return [Way("", lambda: compiled(*args, out=output, casting="unsafe", ex_uses_vml=False), ())]
    mean = inputs[0].size if "- b" in text else 1
    return [Way("", lambda: compiled(*args, ex_uses_vml=False), (), result=lambda given: given / mean)]


def words(text: str) -> set[str]:
    """The names in an expression."""
    return set("".join(c if c.isalnum() else " " for c in text).split())
