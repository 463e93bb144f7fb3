"""JAX: `jit` on the CPU, waited for. Results are new arrays, or written over one that is given up ("donated")."""

import os

# Before the import, which reads them: one thread means no pool within an operation, and one core.
if os.environ["OMP_NUM_THREADS"] == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf

from rows import POLY, RATE, SIGMA, SQRT_HALF
from ways import Way

ENVIRONMENT = "main"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1", "jax[cpu]==0.10.2"]

# All rows run on several threads.
THREADED = None

# Results of as many bytes are also written over a donated array: fresh memory is what they cost otherwise.
DONATED_BYTES = 1 << 22

jax.config.update("jax_enable_x64", True)


def phi(x):
    return 0.5 * (1 + erf(x * SQRT_HALF))


def gelu(x):
    return x * phi(x)


def poly8(x):
    v = POLY[0]
    for c in POLY[1:]:
        v = v * x + c
    return v


def black_scholes(s, k, t):
    q = SIGMA * jnp.sqrt(t)
    d = (jnp.log(s / k) + (RATE + SIGMA * SIGMA / 2) * t) / q
    return s * phi(d) - k * jnp.exp(-RATE * t) * phi(d - q)


def layernorm(x, g, b):
    d = x - x.mean(1, keepdims=True)
    return d * jax.lax.rsqrt((d * d).mean(1, keepdims=True) + 1e-5) * g + b


ROWS = {
    "add": lambda a, b: a + b,
    "axpy": lambda x, y: 2.5 * x + y,
    "chain": lambda a, b, c, d, e: jnp.maximum(a * b + c, 0) * d - e,
    "poly8": poly8,
    "cast_add": lambda a, b: a + b,
    "exp": jnp.exp,
    "tanh": jnp.tanh,
    "silu": lambda x: x / (1 + jnp.exp(-x)),
    "gelu": gelu,
    "black_scholes": black_scholes,
    "sum": jnp.sum,
    "dot": jnp.dot,
    "max": jnp.max,
    "mse": lambda x, y: jnp.mean((x - y) ** 2),
    "sum_axis1": lambda x: x.sum(1),
    "sum_axis0": lambda x: x.sum(0),
    "logsumexp_rows": lambda x: jax.nn.logsumexp(x, axis=1),
    "softmax_rows": lambda x: jax.nn.softmax(x, axis=1),
    "layernorm_rows": layernorm,
    "bcast_row_add": lambda x, y: x + y,
    "bcast_col_add": lambda x, y: x + y,
    "transpose_add": lambda a, b: a + b.T,
    "matmul": jnp.matmul,
    "mm_bias_relu": lambda x, w, b: jnp.maximum(x @ w + b, 0),
    "mm_bias_gelu": lambda x, w, b: gelu(x @ w + b),
    "dispatch_add": lambda a, b: a + b,
}


def bind(function, inputs: list, output) -> list[Way]:
    """The compiled function, on the inputs as JAX's arrays."""
    arrays = tuple(map(jax.device_put, inputs))
    compiled = jax.jit(function)
    ways = [Way("", lambda *args: compiled(*args).block_until_ready(), arrays, result=np.asarray)]
    if output.nbytes >= DONATED_BYTES:
        into = jax.jit(lambda *args: function(*args[:-1]), donate_argnums=len(arrays), keep_unused=True)
        last = [jax.device_put(np.zeros(output.shape, output.dtype))]

        def donate(*args):
            last[0] = into(*args, last[0])
            return last[0].block_until_ready()

        ways.append(Way("donated", donate, arrays, result=np.asarray))
    return ways
