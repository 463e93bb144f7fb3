"""Measures rows on all sides, interleaved, and checks every result.

In: what to measure, and the sides. Out: one `Figure` a row, dtype, size, side and number of threads.

Invariants: each side runs in a process of its own, and the others are stopped meanwhile; a side's turns are spread over the
whole time of a case, in changing order, so that what else the machine does meets all of them alike; a result that is not
the reference's is an error and has no figure.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rows import SIZES, Row
from worker import values

HERE = Path(__file__).parent

# Rounding and the order of summation, beside what a sum of the terms' absolute values would be.
TOLERANCE = {"f32": 2e-5, "f64": 1e-12}

# A sample takes at least this long, in nanoseconds, so that the clock's own cost vanishes.
SAMPLE_NS = 200_000
TURN_NS = 3_000_000


class Patience:
    """Waits for moments in which no other program runs, as long as it lasts."""

    def __init__(self, seconds: float):
        self.left = seconds
        self.turns = self.disturbed = 0

    def turn(self, side: "Side", **request) -> list[float]:
        """The times of a turn at whose ends nothing else ran, or of the fourth try."""
        for _ in range(4):
            self.wait()
            times = side.ask(do="time", **request)["ns"]
            self.turns += 1
            if not others():
                break
            self.disturbed += 1
            if self.left <= 0:
                break
        return times

    def wait(self):
        start = time.monotonic()
        while others() and time.monotonic() - start < self.left:
            time.sleep(0.002)
        self.left -= time.monotonic() - start


def others() -> int:
    """The threads of other programs that run or could; 0 where the system does not say."""
    try:
        running = Path("/proc/loadavg").read_text().split()[3].split("/")[0]
    except OSError:
        return 0
    # This one runs, too.
    return int(running) - 1


@dataclass
class Side:
    """A library with a number of threads."""

    name: str
    threads: int
    command: list[str]
    fast: str = ""
    process: subprocess.Popen | None = field(default=None, repr=False)

    def start(self):
        count = str(self.threads)
        environment = dict(os.environ)
        for variable in ("NUMBA", "OMP", "OPENBLAS", "MKL", "NUMEXPR"):
            environment[f"{variable}_NUM_THREADS"] = count
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(self.command, env=environment, cwd=HERE, **pipes)
        self.process.send_signal(signal.SIGSTOP)

    def ask(self, **request) -> dict:
        """The reply to a request, while which alone this side runs."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        self.process.send_signal(signal.SIGSTOP)
        if not line:
            raise RuntimeError(f"{self.name} on {self.threads} threads has died")
        return json.loads(line)

    def stop(self):
        self.process.kill()
        self.process.wait()


@dataclass
class Figure:
    row: str
    dtype: str
    size: str
    side: str
    threads: int
    bytes: int
    min_ns: float
    median_ns: float
    # The median of each round, for ratios of sides within one round.
    rounds_ns: list[float]


def measure(
    sides: list[Side], rows: list[Row], dtypes: list[str], sizes: list[str], rounds: int, seconds: float
) -> tuple[list[Figure], list[str], str]:
    """The figures, what went wrong, and how quiet the machine was; `seconds` are to be waited for other programs at most."""
    figures, errors, patience = [], [], Patience(seconds)
    for side in sides:
        side.start()
    try:
        for row in rows:
            for dtype in dtypes:
                for size in sizes:
                    figures += case(sides, row, dtype, size, rounds, patience, errors)
    finally:
        for side in sides:
            side.stop()
    return figures, errors, f"other programs ran beside {patience.disturbed} of {patience.turns} turns"


def case(
    sides: list[Side], row: Row, dtype: str, size: str, rounds: int, patience: Patience, errors: list[str]
) -> list[Figure]:
    inputs, output = row.shapes(SIZES[size])
    request = {"text": row.text(dtype), "row": row.name, "dtype": dtype, "inputs": inputs, "output": output}
    arrays = [values(position, shape, dtype).astype(np.float64) for position, shape in enumerate(inputs)]
    expected = row.reference(*arrays)
    scale = 1 + np.abs(expected) + np.abs(row.reference(*map(np.abs, arrays)))
    del arrays

    opened, calls, samples = [], {}, {}
    for side in sides:
        reply = side.ask(do="open", fast=side.fast, **request)
        if reply.get("absent"):
            continue
        problem = reply.get("error") or wrong(side, expected, scale, TOLERANCE[dtype])
        if problem:
            errors.append(f"{row.name} {dtype} {size} by {side.name} on {side.threads}: {problem}")
            side.ask(do="close")
            continue
        once = min(side.ask(do="time", calls=1, samples=3)["ns"])
        calls[id(side)] = max(1, round(SAMPLE_NS / once))
        opened.append(side)
        samples[id(side)] = []

    for turn in range(rounds):
        first = turn % max(1, len(opened))
        for side in opened[first:] + opened[:first]:
            per_call = calls[id(side)]
            last = samples[id(side)][-1][0] if samples[id(side)] else SAMPLE_NS / per_call
            count = min(15, max(3, round(TURN_NS / (last * per_call))))
            samples[id(side)].append(patience.turn(side, calls=per_call, samples=count))
    for side in opened:
        side.ask(do="close")

    width = int(dtype[1:]) // 8
    size_bytes = width * sum(int(np.prod(shape)) for shape in [*inputs, output])
    figures = []
    for side in opened:
        every = [ns for turn in samples[id(side)] for ns in turn]
        middle = [statistics.median(turn) for turn in samples[id(side)]]
        best, median = min(every), statistics.median(every)
        figures.append(Figure(row.name, dtype, size, side.name, side.threads, size_bytes, best, median, middle))
    times = [f"{f.side} {f.threads} {f.median_ns / 1000:.4g} µs" for f in figures]
    print(f"{row.name} {dtype} {size}: {', '.join(times)}", file=sys.stderr)
    return figures


def wrong(side: Side, expected, scale, tolerance: float) -> str | None:
    """What is wrong with a side's result."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "result.npy")
        problem = side.ask(do="result", path=path).get("error")
        if problem:
            return problem
        found = np.load(path)
    if found.shape != np.shape(expected):
        return f"a result of shape {found.shape}, not {np.shape(expected)}"
    error = float(np.max(np.abs(found - expected) / scale))
    return None if error <= tolerance else f"an error of {error:.3g}"
