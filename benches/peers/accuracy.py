#!/usr/bin/env python3
"""The largest error of each elementary function, here and in the peers, on the same inputs.

In: nothing but the options; the environments with the peers are made by `environments.py`, and loopweave's command line is
built. Out: a Markdown table on the standard output, which `ir/ACCURACY.md` shows.

The inputs are spread over all binades (random bits), with as many between −10 and 10 and as many from a half to two. The exact
value of an `f32` function is NumPy's or SciPy's in `float64`, that of an `f64` function NumPy's in the 80-bit format, so there are
no `f64` rows where that has none.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = "numpy numba numba_svml512 torch jax".split()
# What each function is called where its name is another one.
NUMPY = {"ln": "log", "pow": "power"} | {name: "arc" + name[1:] for name in "asin acos atan asinh acosh atanh atan2".split()}
FUNCTIONS = """exp exp2 expm1 ln log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt erf erfc lgamma gamma
sigmoid softplus gelu gelu_tanh silu mish atan2 hypot pow""".split()
OF_TWO = {"atan2", "hypot", "pow"}
DTYPES = ("f32", "f64")


def compositions(m, special):
    """Functions that are formulas of others, exact where those are: for an oracle of more digits than are asked for."""
    sigmoid = lambda x: 1 / (1 + m.exp(-x))
    softplus = lambda x: m.maximum(x, 0) + m.log1p(m.exp(-m.abs(x)))
    root = m.sqrt(m.abs(m.asarray(2) / m.arccos(m.asarray(-1, dtype=m.longdouble))))
    table = {
        "sigmoid": sigmoid,
        "softplus": softplus,
        "silu": lambda x: x * sigmoid(x),
        "mish": lambda x: x * m.tanh(softplus(x)),
        "gelu_tanh": lambda x: x * sigmoid(2 * root.astype(x.dtype) * (x + m.asarray("0.044715", dtype=m.longdouble).astype(x.dtype) * x * x * x)),
    }
    if special:
        table |= {"gelu": lambda x: x * special.ndtr(x), "erf": special.erf, "erfc": special.erfc, "lgamma": special.gammaln, "gamma": special.gamma}
    return table


def by_name(module, table: dict, names: dict = NUMPY) -> dict:
    """The functions that a module has under their names or others, or that the table has."""
    found = {name: getattr(module, names.get(name, name), None) for name in FUNCTIONS}
    return {name: function for name, function in (found | table).items() if function}


def of_numpy():
    import numpy as np
    from scipy import special

    table = {"erf": special.erf, "erfc": special.erfc, "lgamma": special.gammaln, "gamma": special.gamma, "sigmoid": special.expit}
    return by_name(np, table)


def of_numba(peer: str):
    import math

    # Its settings come before the import of Numba.
    __import__(f"peer_{peer}")
    import numba
    import numpy as np

    def loop(text, operands):
        """A loop as the peer's own are compiled, so that vectors of SVML are what is measured where they are what runs."""
        names = [f"{o}[i]" for o in operands]
        source = f"def row({', '.join(operands)}, out):\n for i in range(out.size): out[i] = {text.format(*names)}"
        scope = {"np": np, "math": math}
        exec(source, scope)
        row = numba.njit(scope["row"], fastmath=True)

        def run(*xs):
            out = np.empty_like(xs[0])
            row(*xs, out)
            return out

        return run

    own = """exp expm1 log1p log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc lgamma gamma""".split()
    texts = {name: f"math.{name}({{0}})" for name in own}
    texts |= {"ln": "math.log({0})", "exp2": "np.exp2({0})", "cbrt": "np.cbrt({0})"}
    texts |= {"sigmoid": "1 / (1 + math.exp(-{0}))", "silu": "{0} / (1 + math.exp(-{0}))"}
    texts |= {"atan2": "math.atan2({0}, {1})", "hypot": "math.hypot({0}, {1})", "pow": "{0} ** {1}"}
    return {name: loop(text, "xy" if name in OF_TWO else "x") for name, text in texts.items()}


def of_torch():
    import torch
    from torch.nn import functional as f

    names = {"ln": "log"}
    table = {
        "cbrt": None,
        "gamma": None,
        "softplus": f.softplus,
        "gelu": f.gelu,
        "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"),
        "silu": f.silu,
        "mish": f.mish,
    }
    table = by_name(torch, table, names)
    return {name: lambda *xs, function=function: function(*map(torch.from_numpy, xs)).numpy() for name, function in table.items()}


def of_jax():
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.scipy import special

    jax.config.update("jax_enable_x64", True)
    table = {"erf": special.erf, "erfc": special.erfc, "lgamma": special.gammaln, "gamma": special.gamma}
    table |= {name: getattr(jax.nn, name) for name in "sigmoid softplus silu mish".split()}
    table |= {"gelu": lambda x: jax.nn.gelu(x, approximate=False), "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True)}
    return {name: lambda *xs, function=jax.jit(function): np.asarray(function(*xs)) for name, function in by_name(jnp, table).items()}


def answer(peer: str, folder: Path):
    """Writes a peer's results for the inputs in a folder."""
    import numpy as np

    np.seterr(all="ignore")
    others = {"numpy": of_numpy, "torch": of_torch, "jax": of_jax}
    functions = others[peer]() if peer in others else of_numba(peer)
    for dtype in DTYPES:
        for name, function in functions.items():
            xs = [np.load(folder / f"{operand}_{dtype}.npy") for operand in ("xy" if name in OF_TWO else "x")]
            np.save(folder / f"{peer}_{name}_{dtype}.npy", function(*xs))


def inputs(np, dtype, count: int):
    """Numbers of all binades, and as many twice over where functions change."""
    rng = np.random.default_rng(20)
    word = {4: np.uint32, 8: np.uint64}[np.dtype(dtype).itemsize]
    bits = rng.integers(0, np.iinfo(word).max, count // 3, dtype=word, endpoint=True).view(dtype)
    ranges = [rng.uniform(-10, 10, count // 3), rng.uniform(0.5, 2, count - 2 * (count // 3))]
    values = np.concatenate([bits, *(r.astype(dtype) for r in ranges)])
    return np.nan_to_num(values, nan=1.0)


def errors(np, result, exact):
    """The largest distance of finite results in ulps of the exact values, where those are normal; whether it is much more where
    they are not; and whether a result is a NaN or an infinity that the exact value is not."""
    kind = np.finfo(result.dtype)
    beyond = np.abs(exact) >= exact.dtype.type(2) ** (kind.maxexp - 1) * (2 - 2.0 ** -(kind.nmant + 1))
    wrong = np.isnan(result) != np.isnan(exact)
    wrong |= np.isinf(result) & ~beyond & ~np.isnan(exact)
    finite = np.isfinite(result) & np.isfinite(exact) & ~beyond
    result, exact = result[finite].astype(exact.dtype), exact[finite]
    _, exponent = np.frexp(exact)
    exponent = np.maximum(exponent, kind.minexp + 1) - 1 - kind.nmant
    distance = np.abs(result - exact) / np.ldexp(exact.dtype.type(1), exponent)
    is_normal = np.abs(exact) >= kind.smallest_normal
    most = lambda values: float(values.max(initial=0))
    return most(distance[is_normal]), most(distance[~is_normal]), bool(wrong.any())


def cell(np, folder: Path, side: str, name: str, dtype: str, exact) -> str:
    path = folder / f"{side}_{name}_{dtype}.npy"
    if not path.exists():
        return "—"
    normal, subnormal, is_wrong = errors(np, np.load(path), exact)
    shown = f"{normal:.2f}" if normal < 100 else f"{normal:.1e}"
    return shown + (" †" if subnormal > max(2.0, normal) else "") + (" ‡" if is_wrong else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3_000_000, help="inputs of each dtype [3000000]")
    parser.add_argument("--peer", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    if given.peer:
        answer(given.peer[0], Path(given.peer[1]))
        return
    import environments

    python = environments.runner()
    if Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    import numpy as np
    from scipy import special

    np.seterr(all="ignore")
    pythons, missing = environments.prepare(PEERS)
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = {}
        for dtype, kind in zip(DTYPES, (np.float32, np.float64)):
            x = inputs(np, kind, given.count)
            y = np.random.default_rng(21).permutation(x)
            columns[dtype] = (x, y)
            np.save(folder / f"x_{dtype}.npy", x)
            np.save(folder / f"y_{dtype}.npy", y)
        for dtype in DTYPES:
            for function in FUNCTIONS:
                operands = "xy" if function in OF_TWO else "x"
                call = f"{function}({', '.join(operands)})"
                files = [part for o in operands for part in ("-i", f"{o}={folder / f'{o}_{dtype}.npy'}")]
                command = [target / "release" / "loopweave", "eval", call, *files]
                subprocess.run([*command, "-o", folder / f"loopweave_{function}_{dtype}.npy"], check=True)
        for peer, path in pythons.items():
            # SVML lies in its environment's own folder.
            library = {"LD_LIBRARY_PATH": str(path.parent.parent / "lib"), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
            command = [path, __file__, "--peer", peer, folder]
            done = subprocess.run(command, env=os.environ | library, capture_output=True, text=True)
            if done.returncode:
                missing[peer] = done.stderr.strip().splitlines()[-1]
        sides = ["loopweave", *pythons]
        print("| function | dtype | " + " | ".join(sides) + " |")
        print("| --- | --- |" + " --- |" * len(sides))
        for dtype, wider in zip(DTYPES, (np.float64, np.longdouble)):
            oracle = by_name(np, compositions(np, special if dtype == "f32" else None))
            for function in FUNCTIONS:
                if function not in oracle:
                    continue
                operands = columns[dtype][: 2 if function in OF_TWO else 1]
                exact = oracle[function](*(v.astype(wider) for v in operands))
                cells = [cell(np, folder, side, function, dtype, exact) for side in sides]
                print(f"| `{function}` | {dtype} | " + " | ".join(cells) + " |", flush=True)
        for peer, reason in missing.items():
            print(f"{peer}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
