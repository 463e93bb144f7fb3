"""PyTorch on the CPU, eager: one operation after the other, into the given output as far as that goes."""

import os

import torch

from rows import POLY

PACKAGES = ["numpy==2.4.6", "torch==2.15.0"]

# All rows run on several threads.
THREADED = None

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def poly8(x, out):
    torch.mul(x, POLY[0], out=out)
    for c in POLY[1:-1]:
        out.add_(c).mul_(x)
    out.add_(POLY[-1])


ROWS = {
    "add": lambda a, b, out: torch.add(a, b, out=out),
    "axpy": lambda x, y, out: torch.add(y, x, alpha=2.5, out=out),
    "chain": lambda a, b, c, d, e, out: torch.addcmul(c, a, b, out=out).relu_().mul_(d).sub_(e),
    "poly8": poly8,
    "exp": lambda x, out: torch.exp(x, out=out),
    "sum": lambda x, out: torch.sum(x, dim=0, out=out),
    "dot": lambda x, y, out: torch.dot(x, y, out=out),
    "sum_rows": lambda x, out: torch.sum(x, dim=1, out=out),
    "sum_columns": lambda x, out: torch.sum(x, dim=0, out=out),
    "add_row": lambda x, y, out: torch.add(x, y, out=out),
    "add_transposed": lambda a, b, out: torch.add(a, b.T, out=out),
}


def bind(function, *arrays):
    """The function on tensors of the same memory; it returns nothing, as the output has the result."""

    def call(*tensors):
        function(*tensors)

    return call, tuple(map(torch.from_numpy, arrays))
