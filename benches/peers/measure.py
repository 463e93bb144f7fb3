"""Measures rows on all sides, interleaved, and checks every result.

In: what to measure, and the sides. Out: one `Figure` a row, dtype, size, way and number of threads.

Invariants: each side runs in a process of its own, and the others are stopped meanwhile; a side's turns are spread over the
whole time of a case, in changing order, so that what else the machine does meets all of them alike; a result that is not
the reference's is an error and has no figure; a side that dies or hangs costs its figure and is started again.
"""

import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from rows import Row, values
from worker import PIECE, pieces

HERE = Path(__file__).parent

# What an element may differ by from the reference: so much of its own magnitude, of the mean magnitude of the result, and,
# in sums of numbers of either sign, of the root of their number.
TOLERANCE = {"f32": 2e-5, "f64": 1e-12, "i32": 0, "i64": 0}

# A sample takes at least this long, in nanoseconds, so that the clock's own cost vanishes; a turn of several about so long.
SAMPLE_NS = 100_000
TURN_NS = 3_000_000
# Calls slower than this are measured in fewer rounds.
SLOW_NS, SLOW_ROUNDS = 40_000_000, 3

# How long a side may take to answer, in seconds: the first call of some takes many.
PATIENCE = 180.0


class Quiet:
    """Waits for moments in which no other program runs, as long as it lasts."""

    def __init__(self, seconds: float):
        self.left = seconds
        self.turns = self.disturbed = 0

    def turn(self, side: "Side", **request) -> list[float]:
        """The times of a turn at whose ends nothing else ran, or of the third try."""
        for _ in range(3):
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

    def __str__(self) -> str:
        return f"other programs ran beside {self.disturbed} of {self.turns} turns"


def others() -> int:
    """The threads of other programs that run or could; 0 where the system does not say."""
    try:
        running = Path("/proc/loadavg").read_text().split()[3].split("/")[0]
    except OSError:
        return 0
    # This one runs, too.
    return int(running) - 1


class Failed(Exception):
    """A side's error, in its own words."""


@dataclass(eq=False)
class Side:
    """A program with a number of threads: loopweave's driver, the Rust peers, or a Python peer."""

    name: str
    threads: int
    command: list[str]
    process: subprocess.Popen | None = field(default=None, repr=False)

    def start(self):
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", PYTHONWARNINGS="ignore")
        for variable in ("NUMBA", "OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMEXPR_MAX", "RAYON", "MATMUL"):
            environment[f"{variable}_NUM_THREADS"] = str(self.threads)
        # Where an environment has shared libraries of its own, and where PyTorch keeps what it compiled.
        home = Path(self.command[0]).parent.parent
        environment |= {"LD_LIBRARY_PATH": str(home / "lib"), "TORCHINDUCTOR_CACHE_DIR": str(home / "inductor")}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen(self.command, env=environment, cwd=HERE, **pipes)
        self.process.send_signal(signal.SIGSTOP)

    def ask(self, **request) -> dict:
        """The reply to a request, while which alone this side runs."""
        if self.process is None:
            self.start()
        try:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            line = self.process.stdout.readline() if readable else None
            if line:
                self.process.send_signal(signal.SIGSTOP)
        except OSError:
            line = ""
        if not line:
            self.stop()
            raise Failed("died" if line == "" else f"did not answer within {PATIENCE:.0f} s")
        reply = json.loads(line)
        if reply.get("error"):
            raise Failed(reply["error"])
        return reply

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Figure:
    row: str
    dtype: str
    size: str
    # The name of the way, which begins with that of the side or, for Rust, of the library.
    way: str
    threads: int
    bytes: int
    operations: int
    min_ns: float
    median_ns: float
    # The median of each round, for ratios of ways within one round.
    rounds_ns: list[float]
    # Figures are interleaved with those of the same group: all of a case, unless memory is short.
    group: int

    def key(self) -> tuple:
        return self.row, self.dtype, self.size


@dataclass
class Run:
    """What a run is to do, and what came of it."""

    sides: list[Side]
    rounds: int
    quiet: Quiet
    figures: list[Figure] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def measure(self, cases: list[tuple[Row, str, str]], journal: Path):
        """Measures the cases that the journal does not have yet, and enters them there."""
        done = self.resume(journal)
        start = time.monotonic()
        with journal.open("a") as file:
            for number, (row, dtype, size) in enumerate(cases, 1):
                if (row.name, dtype, size) in done:
                    continue
                figures, errors = len(self.figures), len(self.errors)
                self.case(row, dtype, size)
                entry = {"case": [row.name, dtype, size], "errors": self.errors[errors:]}
                entry["figures"] = [asdict(figure) for figure in self.figures[figures:]]
                file.write(json.dumps(entry) + "\n")
                file.flush()
                best = best_of(self.figures[figures:])
                print(f"[{number}/{len(cases)} {time.monotonic() - start:.0f} s] {row.name} {dtype} {size}: {best}", file=sys.stderr)

    def resume(self, journal: Path) -> set[tuple]:
        entries = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        for entry in entries:
            self.figures += [Figure(**figure) for figure in entry["figures"]]
            self.errors += entry["errors"]
        return {tuple(entry["case"]) for entry in entries}

    def case(self, row: Row, dtype: str, size: str):
        arrays, result = row.arrays(dtype, size)
        made = [values(i, shape, kind, row.ranges[min(i, len(row.ranges) - 1)]) for i, (kind, shape) in enumerate(arrays)]
        check = Check(row, dtype, made, result)
        total = sum(array.nbytes for array in made) + check.bytes
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
            inputs = []
            for i, array in enumerate(made):
                path = f"{folder}/input{i}"
                array.tofile(path)
                inputs.append({"path": path, "dtype": arrays[i][0], "shape": arrays[i][1]})
            del made
            request = {"row": row.name, "text": row.text(dtype), "dtype": dtype, "inputs": inputs}
            request["output"] = {"dtype": result[0], "shape": result[1]}
            label = f"{row.name} {dtype} {size}"
            # Loopweave is in every group: what is compared is measured side by side.
            ours = [side for side in self.sides if side.name == "loopweave"]
            peers = [side for side in self.sides if side not in ours]
            # Some peers hold arrays twice, and some make new ones on the way.
            fit = max(1, int(0.75 * available_memory() / (1.25 * total)) - len(ours))
            for group, first in enumerate(range(0, max(1, len(peers)), fit)):
                part = Part(self, ours + peers[first : first + fit], label, check, f"{folder}/result")
                part.open(request)
                part.turns()
                for (side, way), turns in part.turns_of.items():
                    every = [ns for turn in turns for ns in turn]
                    middle = [statistics.median(turn) for turn in turns]
                    figure = (way, side.threads, total, row.operations(size), min(every), statistics.median(every), middle, group)
                    self.figures.append(Figure(row.name, dtype, size, *figure))


class Part:
    """The ways of some sides to compute one case."""

    def __init__(self, run: Run, sides: list[Side], label: str, check: "Check", path: str):
        self.run, self.sides, self.label, self.check, self.path = run, sides, label, check, path
        # The time of one call of each way, and what was measured.
        self.once: dict[tuple, float] = {}
        self.turns_of: dict[tuple, list[list[float]]] = {}

    def fail(self, side: Side, way: str, problem):
        self.run.errors.append(f"{self.label} by {way} on {side.threads} thread{'s' * (side.threads > 1)}: {problem}")

    def open(self, request: dict):
        """Opens the case on all sides, and keeps the ways with the right result."""
        for side in self.sides:
            try:
                ways = side.ask(do="open", **request)["ways"]
            except Failed as problem:
                self.fail(side, side.name, problem)
                continue
            for way in ways:
                try:
                    side.ask(do="result", way=way, path=self.path, step=self.check.step)
                    self.check.read(self.path)
                    self.once[side, way] = min(side.ask(do="time", way=way, calls=1, samples=1)["ns"])
                except Failed as problem:
                    self.fail(side, way, problem)
                    if side.process is None:
                        self.forget(side)
                        break

    def turns(self):
        order = list(self.once)
        slow = bool(self.once) and max(self.once.values()) > SLOW_NS
        rounds = min(self.run.rounds, SLOW_ROUNDS) if slow else self.run.rounds
        for turn in range(rounds):
            first = turn * max(1, len(order) // rounds) % max(1, len(order))
            for side, way in order[first:] + order[:first]:
                if (side, way) in self.once:
                    self.turn(side, way)
        for side in self.sides:
            if side.process is not None:
                side.ask(do="close")

    def turn(self, side: Side, way: str):
        calls = max(1, round(SAMPLE_NS / self.once[side, way]))
        count = min(9, max(1, round(TURN_NS / (self.once[side, way] * calls))))
        try:
            # The first batch warms what the other sides have cooled; a long call warms itself.
            warm = 1 if self.once[side, way] < TURN_NS else 0
            times = self.run.quiet.turn(side, way=way, calls=calls, samples=count + warm)[warm:]
        except Failed as problem:
            self.fail(side, way, problem)
            self.forget(side)
            return
        # The first calls of all may have been slow ones.
        self.once[side, way] = min(self.once[side, way], *times)
        self.turns_of.setdefault((side, way), []).append(times)

    def forget(self, side: Side):
        for known in (self.once, self.turns_of):
            for key in [key for key in known if key[0] is side]:
                del known[key]


class Check:
    """Compares results with a reference in float64; long ones in pieces that are spread over them."""

    # As many bytes of a result are compared about, and as many elements at once, so that they stay in cache.
    BYTES, BLOCK = 16 << 20, 1 << 15

    def __init__(self, row: Row, dtype: str, inputs: list[np.ndarray], result: tuple):
        wide = [array.astype(np.float64) for array in inputs]
        expected = np.asarray(row.reference(*wide), np.float64).reshape(-1)
        self.kind = np.dtype(result[0][0] + str(int(result[0][1:]) // 8))
        self.bytes = expected.size * self.kind.itemsize
        self.step = max(1, self.bytes // self.BYTES)
        terms = sum(array.size for array in inputs) / expected.size if row.kind in ("reduction", "rows") else 0
        self.floor = float(np.mean(np.abs(expected))) + terms**0.5
        self.tolerance = TOLERANCE[dtype]
        width = PIECE // self.kind.itemsize
        begins = [begin // self.kind.itemsize for begin in pieces(self.bytes, self.step)]
        self.expected = np.concatenate([expected[begin : begin + width] for begin in begins])

    def read(self, path: str):
        found = np.fromfile(path, self.kind)
        os.unlink(path)
        if found.size != self.expected.size:
            raise Failed(f"a result of {found.size} elements, not {self.expected.size}")
        worst = 0.0
        for i in range(0, found.size, self.BLOCK):
            expected = self.expected[i : i + self.BLOCK]
            error = np.abs(found[i : i + self.BLOCK] - expected)
            # NaN, which is no number's neighbour, stays the maximum.
            worst = np.maximum(worst, np.max(error / (np.abs(expected) + self.floor)))
        if not worst <= self.tolerance:
            raise Failed(f"a wrong result, by {worst:.3g}")


def best_of(figures: list[Figure]) -> str:
    times = sorted(figures, key=lambda f: f.median_ns)[:3]
    return ", ".join(f"{f.way} {f.threads} {f.median_ns / 1000:.4g} µs" for f in times)


def memory_folder() -> str | None:
    """Where files are memory, if the system has such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def available_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 4 << 30
