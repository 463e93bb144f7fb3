"""Figures as a Markdown table, JSON and a chart.

In: the figures of one run. Out: `report.md`, `report.json` and `ratios.svg` in a folder. A ratio is the time of the best
peer by that of loopweave: the median over the rounds, in each of which all sides were measured, and beside it that of the
fastest samples.
"""

import json
import math
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass
from datetime import date
from html import escape
from pathlib import Path

from measure import Figure

OURS = "loopweave"


@dataclass
class Ratio:
    """A row of loopweave beside its best peer."""

    ours: Figure
    peer: Figure

    @property
    def median(self) -> float:
        return statistics.median(theirs / ours for theirs, ours in zip(self.peer.rounds_ns, self.ours.rounds_ns))

    @property
    def min(self) -> float:
        return self.peer.min_ns / self.ours.min_ns


def ratios(figures: list[Figure], threads: int) -> list[Ratio]:
    """Every row on so many threads; a peer may use fewer."""
    found = []
    for ours in (f for f in figures if f.side == OURS and f.threads == threads):
        same = lambda f: (f.row, f.dtype, f.size) == (ours.row, ours.dtype, ours.size)
        peers = [f for f in figures if f.side != OURS and f.threads <= threads and same(f)]
        if peers:
            found.append(Ratio(ours, min(peers, key=lambda f: f.median_ns)))
    return found


def write(folder: Path, figures: list[Figure], errors: list[str], command: str, packages: list[str], quiet: str):
    counts = sorted({f.threads for f in figures if f.side == OURS})
    tables = {threads: ratios(figures, threads) for threads in counts}
    setting = {"command": command, "date": date.today().isoformat(), "machine": machine(), "peers": packages, "quiet": quiet}
    data = {**setting, "errors": errors, "figures": [asdict(f) for f in figures]}
    (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "report.md").write_text(markdown(setting, tables, errors))
    (folder / "ratios.svg").write_text(chart(tables))
    print((folder / "report.md").read_text())


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        cores = subprocess.run(["nproc"], capture_output=True, text=True).stdout.strip()
    except (OSError, StopIteration):
        cores = "?"
    return f"{model}, {cores} cores, {platform.system()} {platform.machine()}"


def markdown(setting: dict, tables: dict[int, list[Ratio]], errors: list[str]) -> str:
    lines = [f"`{setting['command']}` on {setting['machine']}, {setting['date']}; {', '.join(setting['peers'])}; {setting['quiet']}", ""]
    for threads, table in tables.items():
        lines += [f"## {threads} thread{'s' * (threads > 1)}", ""]
        lines += ["| row | dtype | size | loopweave µs | GB/s | best peer | µs | ratio | of minima |", "| --- " * 9 + "|"]
        for r in table:
            ours, peer = r.ours, r.peer
            rate = ours.bytes / ours.median_ns
            who = f"{peer.side} {peer.threads}"
            lines.append(
                f"| {ours.row} | {ours.dtype} | {ours.size} | {micro(ours.median_ns)} | {rate:.1f} "
                f"| {who} | {micro(peer.median_ns)} | {r.median:.2f} | {r.min:.2f} |"
            )
        lines += ["", "| size | geometric mean | worst |", "| --- | --- | --- |"]
        for size in dict.fromkeys(r.ours.size for r in table):
            here = [r for r in table if r.ours.size == size]
            worst = min(here, key=lambda r: r.median)
            mean = math.exp(statistics.fmean(math.log(r.median) for r in here))
            lines.append(f"| {size} | {mean:.2f} | {worst.median:.2f} {worst.ours.row} {worst.ours.dtype} |")
        lines.append("")
    lines += [f"- **{error}**" for error in errors]
    return "\n".join(lines).rstrip() + "\n"


def micro(ns: float) -> str:
    return f"{ns / 1000:.3g}" if ns < 1e6 else f"{ns / 1000:.0f}"


COLOURS = ["#1b6ca8", "#2a9d8f", "#e9a03b", "#c8553d", "#7d5ba6"]


def chart(tables: dict[int, list[Ratio]]) -> str:
    """A dot a ratio on a logarithmic axis, a line a row and dtype, a panel a number of threads."""
    low, high, left, width, step, top = 0.25, 16.0, 170, 330, 18, 56
    names = list(dict.fromkeys(f"{r.ours.row} {r.ours.dtype}" for table in tables.values() for r in table))
    sizes = list(dict.fromkeys(r.ours.size for table in tables.values() for r in table))
    colour = {size: COLOURS[i % len(COLOURS)] for i, size in enumerate(sizes)}
    place = lambda ratio: width * math.log(min(max(ratio, low), high) / low) / math.log(high / low)
    height = top + step * len(names) + 24
    total = left + len(tables) * (width + 40)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{total}" height="{height}" fill="white"/>',
        '<text x="8" y="16">time of the best peer / time of loopweave; right of the line loopweave is faster</text>',
    ]
    for i, size in enumerate(sizes):
        parts.append(f'<circle cx="{total - 220 + 55 * i}" cy="34" r="4" fill="{colour[size]}"/>')
        parts.append(f'<text x="{total - 212 + 55 * i}" y="38">{escape(size)}</text>')
    for i, name in enumerate(names):
        y = top + step * i + 12
        parts.append(f'<text x="{left - 12}" y="{y}" text-anchor="end">{escape(name)}</text>')
    for panel, (threads, table) in enumerate(tables.items()):
        x0 = left + panel * (width + 40)
        parts.append(f'<text x="{x0}" y="38" font-weight="bold">{threads} thread{"s" * (threads > 1)}</text>')
        for tick in (0.25, 0.5, 1, 2, 4, 8, 16):
            x, stroke = x0 + place(tick), "#444" if tick == 1 else "#ddd"
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 8}" y2="{height - 22}" stroke="{stroke}"/>')
            parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{tick:g}</text>')
        for r in table:
            y = top + step * names.index(f"{r.ours.row} {r.ours.dtype}") + 8
            title = f"{r.ours.row} {r.ours.dtype} {r.ours.size}: {r.median:.2f} × {r.peer.side}"
            dot = f'<circle cx="{x0 + place(r.median):.1f}" cy="{y}" r="4" fill="{colour[r.ours.size]}" fill-opacity="0.85">'
            parts.append(f"{dot}<title>{escape(title)}</title></circle>")
    return "\n".join([*parts, "</svg>"]) + "\n"
