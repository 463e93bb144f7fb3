"""PyTorch on the CPU, eager: one operation after the other, into the given output as far as that goes."""

import os

import torch

from rows import POLY
from torch_rows import FUNCTIONS
from ways import Way

ENVIRONMENT = "torch"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1", "torch==2.15.0"]
# The build without CUDA, where it can be reached; PyPI has the same code with 5 GB of CUDA beside it.
INDEX = "https://download.pytorch.org/whl/cpu"

# All rows run on several threads.
THREADED = None

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.set_grad_enabled(False)


def poly8(x, out):
    torch.mul(x, POLY[0], out=out)
    for c in POLY[1:-1]:
        out.add_(c).mul_(x)
    out.add_(POLY[-1])


def dense_gelu(x, w, b, out):
    torch.addmm(b, x, w, out=out)
    torch.ops.aten.gelu_(out)


# The last arguments are the outputs; those in `NEW` have none, and their results are new tensors.
ROWS = {
    "add": lambda a, b, out: torch.add(a, b, out=out),
    "axpy": lambda x, y, out: torch.add(y, x, alpha=2.5, out=out),
    "chain": lambda a, b, c, d, e, out: torch.addcmul(c, a, b, out=out).relu_().mul_(d).sub_(e),
    "poly8": poly8,
    "cast_add": lambda a, b, out: torch.add(a, b, out=out),
    "exp": lambda x, out: torch.exp(x, out=out),
    "tanh": lambda x, out: torch.tanh(x, out=out),
    "silu": lambda x, out: torch.ops.aten.silu.out(x, out=out),
    "gelu": lambda x, out: torch._C._nn.gelu(x, out=out),
    "black_scholes": FUNCTIONS["black_scholes"],
    "sum": lambda x, out: torch.sum(x, dim=0, out=out),
    "dot": lambda x, y, out: torch.dot(x, y, out=out),
    "max": lambda x, out: torch.amax(x, dim=0, out=out),
    "mse": FUNCTIONS["mse"],
    "sum_axis1": lambda x, out: torch.sum(x, dim=1, out=out),
    "sum_axis0": lambda x, out: torch.sum(x, dim=0, out=out),
    "logsumexp_rows": lambda x, out: torch.logsumexp(x, 1, out=out),
    "softmax_rows": lambda x, out: torch.softmax(x, 1, out=out),
    "layernorm_rows": FUNCTIONS["layernorm_rows"],
    "bcast_row_add": lambda x, y, out: torch.add(x, y, out=out),
    "bcast_col_add": lambda x, y, out: torch.add(x, y, out=out),
    "transpose_add": lambda a, b, out: torch.add(a, b.T, out=out),
    "matmul": lambda x, w, out: torch.mm(x, w, out=out),
    "mm_bias_relu": lambda x, w, b, out: torch.addmm(b, x, w, out=out).relu_(),
    "mm_bias_gelu": dense_gelu,
    "dispatch_add": lambda a, b, out: torch.add(a, b, out=out),
}
NEW = {ROWS[name] for name in ("black_scholes", "mse", "layernorm_rows")}


def bind(function, inputs: list, output) -> list[Way]:
    """The function on tensors of the same memory."""
    tensors = tuple(map(torch.from_numpy, inputs))
    if function in NEW:
        return [Way("", function, tensors, result=lambda given: given.numpy())]
    return [Way("", function, (*tensors, torch.from_numpy(output)))]
