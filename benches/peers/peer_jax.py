"""JAX: `jit` on the CPU, waited for. Results are new arrays, as it has no others."""

import os

# Before the import, which reads them: one thread means no pool within an operation, and one core.
if os.environ["OMP_NUM_THREADS"] == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp

from rows import POLY

PACKAGES = ["numpy==2.4.6", "jax==0.10.2"]

# All rows run on several threads.
THREADED = None

jax.config.update("jax_enable_x64", True)


ROWS = {
    "add": lambda a, b: a + b,
    "axpy": lambda x, y: 2.5 * x + y,
    "chain": lambda a, b, c, d, e: jax.nn.relu(a * b + c) * d - e,
    "poly8": lambda x: jnp.polyval(jnp.array(POLY, x.dtype), x),
    "exp": jnp.exp,
    "sum": jnp.sum,
    "dot": lambda x, y: jnp.sum(x * y),
    "sum_rows": lambda x: jnp.sum(x, axis=1),
    "sum_columns": lambda x: jnp.sum(x, axis=0),
    "add_row": lambda x, y: x + y,
    "add_transposed": lambda a, b: a + b.T,
}


def bind(function, *arrays):
    """The compiled function, and its arguments as JAX's arrays."""
    compiled = jax.jit(function)
    return (lambda *inputs: compiled(*inputs).block_until_ready()), tuple(map(jax.device_put, arrays[:-1]))
