"""The charts: ratios as dots, and the roofline. Self-contained SVG of one file each, readable without a script.

In: the lines of the report, for each number of threads. Out: text. A dot's colour says where a case's arrays fit; its
tooltip names the case.
"""

import math
from html import escape

from rows import ARITHMETIC, ROWS

# Up to how many bytes a case counts as one of a cache, for its colour.
PLACES = [("32 KiB", 32 << 10, "#7d5ba6"), ("1 MiB", 1 << 20, "#1b6ca8"), ("16 MiB", 16 << 20, "#2a9d8f"), ("more", math.inf, "#e9833b")]
ORDER = {row.name: position for position, row in enumerate(ROWS)}


def colour(bytes: int) -> str:
    return next(colour for _, most, colour in PLACES if bytes <= most)


class Drawing:
    """SVG under construction."""

    def __init__(self, width: int, height: int):
        self.size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        self.parts = [f'<rect width="{width}" height="{height}" fill="white"/>']

    def text(self, x: float, y: float, text: str, more: str = ""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, more: str = ""):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" {more}/>')

    def dot(self, x: float, y: float, radius: float, style: str, title: str):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {style}><title>{escape(title)}</title></circle>')

    def legend(self, x: float, y: float):
        self.text(x, y, "arrays of at most")
        for i, (name, _, fill) in enumerate(PLACES):
            self.dot(x + 112 + 70 * i, y - 4, 4, f'fill="{fill}"', name)
            self.text(x + 120 + 70 * i, y, name)

    def __str__(self) -> str:
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {self.size} font-family="sans-serif" font-size="12">'
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"


def ratios(tables: dict) -> str:
    """A dot a ratio on a logarithmic axis, a line a row and dtype, a panel a number of threads."""
    left, width, step, top = 170, 400, 18, 78
    lines = [line for table in tables.values() for line in table]
    found = [ratio.value for line in lines for ratio in (line.bound, line.strict) if ratio]
    low, high = (powers(found, 0.5, 4.0) if found else (0.5, 4.0))
    names = sorted({(ORDER[line.ours.row], line.ours.row, line.ours.dtype) for line in lines})
    at = {(row, dtype): top + step * i + 8 for i, (_, row, dtype) in enumerate(names)}
    height = top + step * len(names) + 24
    place = lambda ratio: width * math.log(min(max(ratio, low), high) / low) / math.log(high / low)
    drawing = Drawing(left + len(tables) * (width + 40), height)
    drawing.text(8, 18, "time of the best peer / time of loopweave: right of the line loopweave is faster", 'font-size="14"')
    drawing.text(8, 36, "filled: fast(contract), as the peers run; ring: strict. Bound calls.", 'fill="#555"')
    drawing.legend(8, 56)
    for (row, dtype), y in at.items():
        drawing.text(left - 12, y + 4, f"{row} {dtype}", 'text-anchor="end"')
    for panel, (threads, table) in enumerate(tables.items()):
        x0 = left + panel * (width + 40)
        drawing.text(x0 + width, 56, f"{threads} thread{'s' * (threads > 1)}", 'font-weight="bold" text-anchor="end"')
        for tick in (2.0**power for power in range(round(math.log2(low)), round(math.log2(high)) + 1)):
            x = x0 + place(tick)
            drawing.line(x, top - 8, x, height - 22, "#444" if tick == 1 else "#ddd")
            drawing.text(x, height - 8, fraction(tick), 'text-anchor="middle"')
        for y in at.values():
            drawing.line(x0, y, x0 + width, y, "#f2f2f2")
        for line in table:
            ours, fill = line.ours, colour(line.ours.bytes)
            rings = (line.strict, f'fill="none" stroke="{fill}" stroke-opacity="0.6"', "strict")
            for ratio, style, what in (rings, (line.bound, f'fill="{fill}" fill-opacity="0.85"', "contract")):
                if ratio:
                    title = f"{ours.row} {ours.dtype} {ours.size}, {what}: {ratio.value:.2f} of {ratio.peer.way}"
                    drawing.dot(x0 + place(ratio.value), at[ours.row, ours.dtype], 4, style, title)
    return str(drawing)


def powers(values: list[float], low: float, high: float) -> tuple[float, float]:
    """The powers of two around values, and at least those from low to high."""
    return 2.0 ** math.floor(math.log2(min(*values, low))), 2.0 ** math.ceil(math.log2(max(*values, high)))


def fraction(power: float) -> str:
    """A power of two as text."""
    return f"{power:g}" if power >= 1 else f"1/{1 / power:g}"


def roofline(tables: dict, limits: dict) -> str:
    """A point a kernel, operations a second over operations a byte; lines are what the machine was measured to do."""
    width, height, left, top, gap = 520, 380, 60, 76, 70
    low_x, high_x = 1 / 32, 512.0
    dtypes = [d for d in ("f32", "f64") if any(line.ours.dtype == d for table in tables.values() for line in table)]
    rates = [rate for known in limits.values() for rate in known.values()]
    low_y, high_y = 0.25, 1.5 * max([*rates, 200.0])
    drawing = Drawing(left + len(dtypes) * (width + gap), top + len(tables) * (height + gap))
    drawing.text(8, 18, "Operations a second of loopweave's kernels, over operations for each byte of their arrays", 'font-size="14"')
    drawing.text(8, 36, "lines: measured in the same run (nt: non-temporal stores); ring: best peer. A function such as exp counts as the operations of its approximation.", 'fill="#555"')
    drawing.legend(8, 56)
    for down, (threads, table) in enumerate(tables.items()):
        for across, dtype in enumerate(dtypes):
            x0, y0 = left + across * (width + gap), top + down * (height + gap)
            x_of = lambda value: x0 + width * math.log(value / low_x) / math.log(high_x / low_x)
            y_of = lambda value: y0 + height * (1 - math.log(value / low_y) / math.log(high_y / low_y))
            drawing.text(x0 + 4, y0 + 14, f"{dtype}, {threads} thread{'s' * (threads > 1)}", 'font-weight="bold"')
            grid(drawing, (x0, y0, width, height), x_of, y_of, (low_x, high_x), (low_y, high_y))
            known = limits.get(str(threads), {})
            roof(drawing, known, dtype, x_of, y_of, (low_x, high_x), low_y)
            points(drawing, [line for line in table if line.ours.dtype == dtype], x_of, y_of, (low_x, high_x), (low_y, high_y))
    return str(drawing)


def grid(drawing: Drawing, box: tuple, x_of, y_of, xs: tuple, ys: tuple):
    x0, y0, width, height = box
    for power in range(-6, 12):
        for value, horizontal in ((2.0**power, False), (2.0**power, True)):
            if horizontal and ys[0] <= value <= ys[1]:
                drawing.line(x0, y_of(value), x0 + width, y_of(value), "#eee")
                drawing.text(x0 - 6, y_of(value) + 4, fraction(value), 'text-anchor="end" font-size="10"')
            elif not horizontal and xs[0] <= value <= xs[1]:
                drawing.line(x_of(value), y0, x_of(value), y0 + height, "#eee")
                drawing.text(x_of(value), y0 + height + 14, fraction(value), 'text-anchor="middle" font-size="10"')
    drawing.text(x0 + width, y0 + height + 30, "operations / byte", 'text-anchor="end" font-size="10"')
    drawing.text(x0 - 40, y0 - 6, "Gflop/s", 'font-size="10"')


def roof(drawing: Drawing, known: dict, dtype: str, x_of, y_of, xs: tuple, low_y: float):
    peak = known.get(f"fma {dtype}")
    if not peak:
        return
    bandwidths = {name: rate for name, rate in known.items() if name.startswith("triad")}
    widest = max(bandwidths.values())
    drawing.line(x_of(peak / widest), y_of(peak), x_of(xs[1]), y_of(peak), "#333")
    drawing.text(x_of(xs[1]), y_of(peak) - 5, f"FMA {peak:.0f} Gflop/s", 'text-anchor="end" font-size="10"')
    for i, (name, rate) in enumerate(sorted(bandwidths.items(), key=lambda pair: -pair[1])):
        start = max(xs[0], low_y / rate)
        drawing.line(x_of(start), y_of(start * rate), x_of(peak / rate), y_of(peak), "#888", 'stroke-dasharray="4 3"')
        # Along its line, left of all points; below it where the line above may be close.
        x, y = x_of(start * 1.1), y_of(start * 1.1 * rate)
        below = 12 if i and i % 2 == 0 else -3
        angle = math.degrees(math.atan2(y_of(2 * rate) - y_of(rate), x_of(2) - x_of(1)))
        text = f"{name.removeprefix('triad ').replace(', non-temporal', ' nt')} {rate:.0f} GB/s"
        drawing.text(x, y + below, text, f'transform="rotate({angle:.1f} {x:.1f} {y:.1f})" font-size="10" fill="#555"')


def points(drawing: Drawing, table: list, x_of, y_of, xs: tuple, ys: tuple):
    taken: list[tuple] = []
    within = lambda value, bounds: min(max(value, bounds[0]), bounds[1])
    for line in table:
        ours = line.ours
        operations = ours.operations or ARITHMETIC.get(ours.row, 0) * elements(ours)
        if not operations:
            continue
        x = x_of(within(operations / ours.bytes, xs))
        y = y_of(within(operations / ours.median_ns, ys))
        if line.bound:
            peer = line.bound.peer
            title = f"{ours.row} {ours.dtype} {ours.size} of {peer.way}: {operations / peer.median_ns:.3g} Gflop/s"
            style = f'fill="none" stroke="{colour(ours.bytes)}" stroke-opacity="0.6"'
            drawing.dot(x, y_of(within(operations / peer.median_ns, ys)), 3, style, title)
        title = f"{ours.row} {ours.dtype} {ours.size}: {operations / ours.median_ns:.3g} Gflop/s, {ours.bytes / ours.median_ns:.3g} GB/s"
        drawing.dot(x, y, 3.5, f'fill="{colour(ours.bytes)}" fill-opacity="0.85"', title)
        # A name where there is room for one.
        box = (x + 5, y - 5, x + 9 + 5.2 * len(ours.row), y + 5)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            taken.append(box)
            drawing.text(x + 6, y + 3, ours.row, 'font-size="9" fill="#333"')


def elements(figure) -> int:
    """The elements of the widest array."""
    unit = {"k": 1 << 10, "M": 1 << 20}.get(figure.size[-1], 1)
    return math.prod(int(part.rstrip("kM")) * unit for part in figure.size.split("x"))
