"""One peer in a process of its own: answers the requests of `measure.py` as `protocol.rs` does.

In: the name of a `peer_*.py` and the number of threads, then one JSON object a line. Out: one a line for each. A peer has a
table `ROWS`, and a function `bind` that makes of its entry, the inputs and the output the ways to compute a case.
"""

import importlib
import itertools
import json
import mmap
import sys
import time

import numpy as np


# The bytes in a piece of a result; those of a long one are checked in part.
PIECE = 1 << 20


def pieces(size: int, step: int) -> range:
    """Where every so many-th piece of so many bytes begins, from the last one on."""
    return range((size - 1) // PIECE * PIECE, -1, -PIECE * step)


def empty(position: int, shape: list[int], dtype: str) -> np.ndarray:
    """An array in memory as `Memory` in `protocol.rs` takes it: from the beginning of a huge page, and a little on."""
    page = 2 << 20
    kind = np.dtype(dtype[0] + str(int(dtype[1:]) // 8))
    count = int(np.prod(shape, dtype=int))
    # Shared memory, the default, has small pages only.
    memory = mmap.mmap(-1, count * kind.itemsize + 2 * page, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    begin = -np.frombuffer(memory, np.uint8).ctypes.data % page + 320 * position
    return np.frombuffer(memory, kind, count, begin).reshape(shape)


def read(position: int, array: dict) -> np.ndarray:
    into = empty(position, array["shape"], array["dtype"])
    with open(array["path"], "rb") as file:
        file.readinto(into.reshape(-1).view(np.uint8))
    return into


class Case:
    def __init__(self, name: str, peer, request: dict):
        inputs = [read(position, array) for position, array in enumerate(request["inputs"])]
        output = request["output"]
        self.output = empty(len(inputs), output["shape"], output["dtype"])
        ways = peer.bind(peer.ROWS[request["row"]], inputs, self.output)
        self.ways = {f"{name} {way.name}".strip(): way for way in ways}

    def result(self, name: str) -> tuple[np.ndarray, float]:
        """What one way computes: in the output, unless the peer makes new ones; and the time the call took."""
        way = self.ways[name]
        self.output.reshape(-1).view(np.uint8)[:] = 0xFF
        args = (1, *way.args) if way.loops else way.args
        # The first call may compile.
        way.function(*args)
        start = time.perf_counter_ns()
        given = way.function(*args)
        taken = time.perf_counter_ns() - start
        found = way.result(given) if way.result else self.output
        return np.asarray(found, self.output.dtype).reshape(self.output.shape), taken

    def batch(self, name: str, calls: int) -> float:
        """The time per call of so many calls, in nanoseconds."""
        way = self.ways[name]
        function, args = way.function, way.args
        start = time.perf_counter_ns()
        if way.loops:
            function(calls, *args)
        else:
            for _ in itertools.repeat(None, calls):
                function(*args)
        return (time.perf_counter_ns() - start) / calls


def serve(name: str, peer, threads: int, request: dict, opened: list[Case]) -> dict:
    match request["do"]:
        case "open":
            opened.clear()
            row, dtype = request["row"], request["dtype"]
            fits = row in peer.ROWS and dtype in getattr(peer, "DTYPES", (dtype,))
            if not fits or not (threads == 1 or peer.THREADED is None or row in peer.THREADED):
                return {"ways": []}
            opened.append(Case(name, peer, request))
            return {"ways": list(opened[0].ways)}
        case "result":
            found, taken = opened[0].result(request["way"])
            found = np.ascontiguousarray(found).reshape(-1).view(np.uint8)
            with open(request["path"], "wb") as file:
                for begin in pieces(found.size, request["step"]):
                    file.write(found[begin : begin + PIECE])
            return {"ns": [taken]}
        case "time":
            return {"ns": [opened[0].batch(request["way"], request["calls"]) for _ in range(request["samples"])]}
        case "close":
            opened.clear()
    return {}


def main():
    name, threads = sys.argv[1], int(sys.argv[2])
    # What a library prints goes where errors go: the requests' pipe carries replies only.
    replies, sys.stdout = sys.stdout, sys.stderr
    peer = importlib.import_module(f"peer_{name}")
    opened: list[Case] = []
    for line in sys.stdin:
        try:
            reply = serve(name, peer, threads, json.loads(line), opened)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
