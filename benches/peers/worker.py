"""One peer in a process of its own: answers the requests of `measure.py` as `driver.rs` does.

In: the name of a `peer_*.py` and the number of threads, then one JSON object a line. Out: one a line for each. The peer's rows are functions of the
inputs and the output, called as any Python program calls them.
"""

import importlib
import itertools
import json
import mmap
import sys
import time

import numpy as np


def values(position: int, shape: list[int], dtype: str) -> np.ndarray:
    """The input at this position: the same numbers as `value` in `driver.rs`."""
    bits = np.arange(np.prod(shape, dtype=int), dtype=np.uint32)
    bits *= np.uint32(0x9E3779B1)
    bits += np.uint32(position * 0x85EBCA6B & 0xFFFFFFFF)
    bits ^= bits >> np.uint32(15)
    bits *= np.uint32(0x2C1B3C6D)
    bits ^= bits >> np.uint32(12)
    bits >>= np.uint32(8)
    out = empty(position, shape, dtype)
    flat = out.reshape(-1)
    np.divide(bits, 1 << 23, out=flat, casting="unsafe")
    flat -= 1
    return out


def empty(position: int, shape: list[int], dtype: str) -> np.ndarray:
    """An array in memory as `Memory` in `driver.rs` takes it: from the beginning of a huge page, and a little on."""
    page = 2 << 20
    kind = np.dtype({"f32": np.float32, "f64": np.float64}[dtype])
    count = int(np.prod(shape, dtype=int))
    # Shared memory, the default, has small pages only.
    memory = mmap.mmap(-1, count * kind.itemsize + 2 * page, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    begin = -np.frombuffer(memory, np.uint8).ctypes.data % page + 320 * position
    return np.frombuffer(memory, kind, count, begin).reshape(shape)


class Case:
    def __init__(self, peer, row: str, dtype: str, inputs: list, output: list):
        arrays = [values(position, shape, dtype) for position, shape in enumerate(inputs)]
        self.output = empty(len(inputs), output, dtype)
        # A peer may take arrays of its own kind.
        bind = getattr(peer, "bind", lambda function, *args: (function, args))
        self.function, self.args = bind(peer.ROWS[row], *arrays, self.output)
        self.given = self.function(*self.args)

    def result(self) -> np.ndarray:
        """What was computed: the output, unless the peer makes new ones."""
        return np.asarray(self.given) if self.given is not None else self.output

    def batch(self, calls: int) -> float:
        """The time per call of so many calls, in nanoseconds."""
        function, args = self.function, self.args
        start = time.perf_counter_ns()
        for _ in itertools.repeat(None, calls):
            function(*args)
        return (time.perf_counter_ns() - start) / calls


def threaded(peer, row: str) -> bool:
    """Whether the peer runs a row on more threads than one."""
    return peer.THREADED is None or row in peer.THREADED


def serve(peer, threads: int, request: dict, opened: list[Case]) -> dict:
    match request["do"]:
        case "open":
            opened.clear()
            if request["row"] not in peer.ROWS or not (threads == 1 or threaded(peer, request["row"])):
                return {"absent": True}
            opened.append(Case(peer, request["row"], request["dtype"], request["inputs"], request["output"]))
        case "time":
            opened[0].batch(request["calls"])
            return {"ns": [opened[0].batch(request["calls"]) for _ in range(request["samples"])]}
        case "result":
            np.save(request["path"], opened[0].result())
        case "close":
            opened.clear()
    return {}


def main():
    peer, threads = importlib.import_module(f"peer_{sys.argv[1]}"), int(sys.argv[2])
    opened = []
    for line in sys.stdin:
        try:
            reply = serve(peer, threads, json.loads(line), opened)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
