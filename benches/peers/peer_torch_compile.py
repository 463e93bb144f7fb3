"""PyTorch's compiler, Inductor, where it may do better than eager calls: it fuses, and writes C++ that a compiler must take.

Products are left out: it calls the library that the eager peer calls, and takes seconds to compile for each extent.
"""

import os

import torch

from torch_rows import FUNCTIONS
from ways import Way

ENVIRONMENT = "torch"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1", "torch==2.15.0", "setuptools==80.9.0"]
INDEX = "https://download.pytorch.org/whl/cpu"

# All rows run on several threads.
THREADED = None

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.set_grad_enabled(False)
torch._dynamo.config.recompile_limit = 1000

ROWS = {name: function for name, function in FUNCTIONS.items() if not name.startswith("mm")}

COMPILED = {}


def bind(function, inputs: list, output) -> list[Way]:
    """The function compiled, storing into the output: for any number of elements, or for these extents where there are two."""
    tensors = [torch.from_numpy(array) for array in inputs]
    vector = output.ndim == 1 and inputs[0].ndim == 1
    key = (function, output.dtype.name, vector or tuple(array.shape for array in inputs))
    if key not in COMPILED:
        names = ", ".join(f"x{i}" for i in range(len(inputs)))
        scope = {"function": function}
        exec(f"def row({names}, out): out.copy_(function({names}))", scope)
        COMPILED[key] = torch.compile(scope["row"], dynamic=vector)
    return [Way("", COMPILED[key], (*tensors, torch.from_numpy(output)))]
