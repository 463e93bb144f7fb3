"""numexpr: expressions as text, compiled to bytecode once and run in blocks. Sums come as new arrays."""

import numexpr

from rows import POLY, horner

PACKAGES = ["numpy==2.4.6", "numexpr==2.14.2"]

# All rows run on several threads.
THREADED = None

# The inputs are a, b, c … in order, `bT` is the second one transposed; constants are of the elements' type.
ROWS = {
    "add": "a + b",
    "axpy": "k * a + b",
    "chain": "where(a * b + c > zero, a * b + c, zero) * d - e",
    "poly8": horner("a", lambda c: f"p{POLY.index(c)}"),
    "exp": "exp(a)",
    "sum": "sum(a)",
    "dot": "sum(a * b)",
    "sum_rows": "sum(a, axis=1)",
    "sum_columns": "sum(a, axis=0)",
    "add_row": "a + b",
    "add_transposed": "a + bT",
}


def bind(text: str, *arrays):
    """The function that evaluates an expression, and its arguments."""
    *inputs, out = arrays
    kind = out.dtype.type
    names = dict(zip("abcde", inputs), k=kind(2.5), zero=kind(0), bT=inputs[-1].T)
    names.update((f"p{i}", kind(p)) for i, p in enumerate(POLY))
    into = {} if text.startswith("sum") else {"out": out}

    def call():
        given = numexpr.evaluate(text, names, {}, **into)
        return None if into else given

    return call, ()
