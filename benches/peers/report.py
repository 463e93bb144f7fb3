"""Figures as a Markdown report, JSON and charts.

In: the figures of one run and its setting. Out: `report.md`, `report.json`, `ratios.svg` and `roofline.svg` in a folder. A
ratio is the time of the best peer by that of loopweave, above 1 where loopweave is faster: the median over the rounds, in
each of which both were measured.
"""

import json
import math
import os
import platform
import statistics
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import charts
from measure import Figure
from rows import ROWS, family

RUST = ("rustc", "ndarray", "gemm", "matrixmultiply", "faer")
KIND = {row.name: row.kind for row in ROWS}


@dataclass
class Ratio:
    """A way of loopweave beside the best of some peers."""

    ours: Figure
    peer: Figure

    @property
    def value(self) -> float:
        return statistics.median(theirs / ours for theirs, ours in zip(self.peer.rounds_ns, self.ours.rounds_ns))


@dataclass
class Line:
    """All ratios of a row, dtype and size on some number of threads; None where no peer has the row."""

    ours: Figure
    # Bound calls with `fast(contract)`, as the peers run with fast-math, against peers called in any way.
    bound: Ratio | None
    # The same through the public calls of both sides.
    call: Ratio | None
    # Bound calls in strict arithmetic, against the same peers as `bound`.
    strict: Ratio | None
    # As `bound`, against the libraries of Rust.
    rust: Ratio | None

    @property
    def family(self) -> str:
        return family(self.ours.row, self.ours.size)


def lines(figures: list[Figure], threads: int) -> list[Line]:
    """Every row on so many threads; a peer may use fewer."""
    cases: dict[tuple, list[Figure]] = {}
    for figure in figures:
        cases.setdefault(figure.key(), []).append(figure)
    found = []
    for key, case in cases.items():
        own = [f for f in case if f.way.startswith("loopweave") and f.threads == threads]
        peers = [f for f in case if not f.way.startswith("loopweave") and f.threads <= threads]

        def ratio(way: str, among) -> Ratio | None:
            beside = {f.group: f for f in own if f.way == way}
            known = [f for f in peers if among(f) and f.group in beside]
            best = min(known, key=lambda f: f.median_ns, default=None)
            return best and Ratio(beside[best.group], best)

        if own:
            ours = next((f for f in own if f.way == "loopweave contract bound"), own[0])
            bound, strict = (ratio(way, counts) for way in ("loopweave contract bound", "loopweave bound"))
            call = ratio("loopweave contract", lambda f: f.way not in RUST and not f.way.endswith("inner"))
            rust = ratio("loopweave contract bound", lambda f: f.way in RUST)
            found.append(Line(bound.ours if bound else ours, bound, call, strict, rust))
    return found


def counts(figure: Figure) -> bool:
    """Whether a way is one of the peers proper. Rust's stand apart, but for its best matrix product; and where the call is
    what is measured, loops around nothing but an addition do."""
    kind = KIND[figure.row]
    inner = figure.way in RUST or figure.way.endswith("inner")
    return not inner or (figure.way == "gemm" and kind == "product") or (figure.way.endswith("inner") and kind != "dispatch")


def write(folder: Path, figures: list[Figure], errors: list[str], setting: dict):
    """`setting`: what was run on what, and the limits of the machine."""
    threads = sorted({f.threads for f in figures if f.way.startswith("loopweave")})
    tables = {count: lines(figures, count) for count in threads}
    setting = {**setting, "date": date.today().isoformat(), "machine": machine()}
    data = {**setting, "errors": errors, "figures": [asdict(f) for f in figures]}
    (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "report.md").write_text(markdown(setting, tables, errors))
    (folder / "ratios.svg").write_text(charts.ratios(tables))
    (folder / "roofline.svg").write_text(charts.roofline(tables, setting["limits"]))
    print("\n".join(summary(tables)))
    print(f"written: {folder}/report.md, report.json, ratios.svg, roofline.svg")


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        known = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in known if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def markdown(setting: dict, tables: dict[int, list[Line]], errors: list[str]) -> str:
    text = [f"`{setting['command']}` on {setting['machine']}, {setting['date']}; {setting['quiet']}.", ""]
    text += [f"Peers: {', '.join(package.replace('==', ' ') for package in setting['packages'])}.", ""]
    text += [f"- {peer}: {reason}" for peer, reason in setting["missing"].items()] + [""] * bool(setting["missing"])
    text += ["## Summary", "", *summary(tables), "", "## Limits of the machine", "", *limits(setting["limits"]), ""]
    for threads, table in tables.items():
        text += [f"## {threads} thread{'s' * (threads > 1)}", ""]
        text += ["| row | dtype | size | loopweave µs | rate | best peer | µs | ratio | by call | strict | best in Rust | ratio |"]
        text += ["| --- " * 12 + "|", *(row(line) for line in table), ""]
    if errors:
        text += ["## Without a figure", "", *(f"- {error}" for error in errors)]
    return "\n".join(text).rstrip() + "\n"


def summary(tables: dict[int, list[Line]]) -> list[str]:
    """Geometric means and worst rows of each family."""
    text = ["| threads | family | rows | mean | worst | by call | worst | strict | against Rust | worst |", "| --- " * 10 + "|"]
    for threads, table in tables.items():
        for name in dict.fromkeys(line.family for line in table):
            here = [line for line in table if line.family == name]
            cells = [str(threads), name, str(len(here))]
            for column, with_worst in (("bound", True), ("call", True), ("strict", False), ("rust", True)):
                found = [(getattr(line, column).value, line) for line in here if getattr(line, column)]
                mean = math.exp(statistics.fmean(math.log(value) for value, _ in found)) if found else None
                cells.append(f"**{mean:.2f}**" if found else "")
                if with_worst:
                    value, line = min(found, key=lambda pair: pair[0], default=(0, None))
                    cells.append(f"{value:.2f} {line.ours.row} {line.ours.dtype} {line.ours.size}" if line else "")
            text.append(f"| {' | '.join(cells)} |")
    return text


def limits(known: dict) -> list[str]:
    if not any(known.values()):
        return ["Not measured: they are the Rust peers' to measure."]
    names = list(dict.fromkeys(name for rates in known.values() for name in rates))
    text = ["| | " + " | ".join(f"{threads} thread{'s' * (threads != '1')}" for threads in known) + " |"]
    text.append("| --- " * (len(known) + 1) + "|")
    for name in names:
        unit = "Gflop/s" if name.startswith("fma") else "GB/s"
        text.append(f"| {name}, {unit} | " + " | ".join(str(rates.get(name, "")) for rates in known.values()) + " |")
    return text


def row(line: Line) -> str:
    ours = line.ours
    rate = f"{ours.operations / ours.median_ns:.0f} GF" if ours.operations else f"{ours.bytes / ours.median_ns:.1f} GB/s"
    who = lambda ratio: f"{ratio.peer.way}{'' if ratio.peer.threads == ours.threads else ' on 1'}" if ratio else ""
    value = lambda ratio: f"{ratio.value:.2f}" if ratio else ""
    peer = micro(line.bound.peer.median_ns) if line.bound else ""
    cells = [ours.row, ours.dtype, ours.size, micro(ours.median_ns), rate, who(line.bound), peer]
    cells += [value(line.bound), value(line.call), value(line.strict), who(line.rust), value(line.rust)]
    return f"| {' | '.join(cells)} |"


def micro(ns: float) -> str:
    return f"{ns / 1000:.3g}" if ns < 1e6 else f"{ns / 1000:.0f}"
