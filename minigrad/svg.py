"""Pictures as SVG text: curves and heat maps with axes. Colours follow the reader's light or dark page; a curve has its
own dashes and its name at the end of it, so that nothing is said by colour alone.

No library draws these: one file without scripts or network, whose colours a style sheet can turn over, is some hundred
lines; the well-kept plotting libraries weigh tens of megabytes and fix the colours. Imports nothing of minigrad.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 660, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 110, 26, 34
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
STYLE = """
:root, .minigrad { --ink: #1b1f24; --faint: #d5d9de; --page: #ffffff;
  --c0: #0b62c4; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #0e7490; --c5: #a16207; }
@media (prefers-color-scheme: dark) { :root, .minigrad { --ink: #e6e9ec; --faint: #3a4048; --page: #14171a;
  --c0: #6cb2ff; --c1: #ff9b6b; --c2: #6fdc8c; --c3: #d3a0ff; --c4: #5fd4e8; --c5: #f0c75e; } }
.minigrad text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.minigrad .title { font-weight: 600; font-size: 13px; }
.minigrad .grid { stroke: var(--faint); stroke-width: 1; }
.minigrad .frame { stroke: var(--ink); stroke-width: 1; fill: none; }
.minigrad .curve { fill: none; stroke-width: 1.8; }
"""
# Dark to light, perceptually even (the endpoints and thirds of viridis).
RAMP = ((68, 1, 84), (49, 104, 142), (53, 183, 121), (253, 231, 37))


def unseen(rows: Iterable[Iterable[float]], what: str = "blank") -> str:
    """What a picture on a log scale says of figures that are exactly 0; empty where there are none."""
    return f"{what}: zero, or below what float32 holds" if any(v == 0 for row in rows for v in row) else ""


def shade(share: float) -> str:
    """A colour for 0 to 1."""
    at = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(at), len(RAMP) - 2)
    mixed = (round(a + (b - a) * (at - i)) for a, b in zip(RAMP[i], RAMP[i + 1], strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed)


def resample(values: Sequence[float], width: int) -> list[float]:
    """At most `width` figures: means of neighbours if there are more."""
    n = len(values)
    if n <= width:
        return list(values)
    edges = [i * n // width for i in range(width + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]


def page(*parts: str) -> str:
    """A piece of HTML with pictures in it, as a notebook shows it."""
    return f'<div class="minigrad"><style>{STYLE}</style>{"".join(parts)}</div>'


class Axis:
    """From figures to places between `start` and `end`; `log`: by powers of ten."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        if log:
            low, high = floor(log10(low)), max(ceil(log10(high)), floor(log10(low)) + 1)
        elif high <= low:
            high = low + 1
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        at = log10(value) if self.log else value
        return self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Values with their labels."""
        if self.log:
            every = max(1, ceil((self.high - self.low) / 5))
            return [(10.0**e, f"1e{e}") for e in range(int(self.low), int(self.high) + 1, every)]
        step = 10 ** floor(log10((self.high - self.low) / 4))
        step = next(step * k for k in (1, 2, 5, 10) if (self.high - self.low) / (step * k) <= 6)
        first = ceil(self.low / step)
        return [(i * step, f"{i * step:g}") for i in range(first, floor(self.high / step + 1e-9) + 1)]


def curves(
    title: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x: str,
    log: bool = False,
    level: tuple[str, float] | None = None,
) -> str:
    """Curves (xs, ys) by name; `level`: a horizontal line with its name."""
    points = {
        n: [(a, b) for a, b in zip(*v, strict=True) if isfinite(b) and (b > 0 or not log)] for n, v in series.items()
    }
    found = [p for some in points.values() for p in some]
    if not found:
        return ""
    ys = [b for _, b in found] + ([level[1]] if level else [])
    across = Axis(min(a for a, _ in found), max(a for a, _ in found), LEFT, WIDTH - RIGHT)
    up = Axis(min(ys) if log else min(0.0, *ys), max(ys), HEIGHT - BOTTOM, TOP, log)
    gap = unseen((ys for _, ys in series.values()), "where a curve is not") if log else ""
    parts = [_frame(title, f"{x}; {gap}" if gap else x, across, up)]
    if level is not None:
        y = up(level[1])
        parts.append(
            f'<line class="frame" stroke-dasharray="3 3" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    ends = []
    for i, (name, some) in enumerate(points.items()):
        if some:
            path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in some)
            dashes = f'style="stroke: var(--c{i % 6})" stroke-dasharray="{DASHES[i % 6]}"'
            parts.append(f'<polyline class="curve" {dashes} points="{path}"/>')
            ends.append((up(some[-1][1]), f"var(--c{i % 6})", name))
    if level is not None:
        ends.append((up(level[1]), "var(--ink)", level[0]))
    at = TOP - 12.0
    for k, (y, colour, name) in enumerate(sorted(ends)):  # one below the other, with room for those to come
        at = max(at + 12, min(y, HEIGHT - BOTTOM - 12 * (len(ends) - 1 - k)) + 4)
        short = name if len(name) <= 16 else f"…{name[-15:]}"
        parts.append(f'<text style="fill: {colour}" x="{WIDTH - RIGHT + 4}" y="{at:.1f}">{escape(short)}</text>')
    return _whole(parts, title)


def limits(rows: Sequence[Sequence[float]], log: bool = True) -> tuple[float, float] | None:
    """The smallest and the largest figure that a picture can show."""
    shown = [v for row in rows for v in row if isfinite(v) and (v > 0 or not log)]
    return (min(shown), max(shown)) if shown else None


def heat(title: str, rows: Sequence[Sequence[float]], *, x: str, y: str, span: tuple[float, float], log: bool = True,
         labels: tuple[str, str] | None = None, scale: tuple[float, float] | None = None) -> str:  # fmt: skip
    """A cell a figure, the first row at the top; `span`: what the first and the last row stand for.

    scale: the figures of the darkest and the lightest colour, for pictures that are compared.

    labels: a character for each column and each row, instead of axes with figures.
    """
    found = limits(rows, log)
    if found is None:
        return ""
    low, high = scale or found
    n, m = len(rows), len(rows[0])
    wide, tall = (WIDTH - RIGHT - LEFT) / m, (HEIGHT - TOP - BOTTOM) / n
    across = Axis(0, m, LEFT, WIDTH - RIGHT)
    down = Axis(span[0], span[1], TOP, HEIGHT - BOTTOM)
    gap = unseen(rows) if log else ""
    parts = [_frame(title, f"{x}; {gap}" if gap else x, None if labels else across, None if labels else down, y)]
    for i, row in enumerate(rows):
        for j, v in enumerate(row):
            if isfinite(v) and (v > 0 or not log):
                a, b, c = (log10(q) if log else q for q in (v, low, high))
                share = (a - b) / ((c - b) or 1.0)
                parts.append(
                    f'<rect x="{LEFT + j * wide:.1f}" y="{TOP + i * tall:.1f}" width="{wide + 0.3:.1f}" '
                    f'height="{tall + 0.3:.1f}" fill="{shade(share)}"/>'
                )
    if labels:
        parts += [
            f'<text x="{LEFT + (j + 0.3) * wide:.1f}" y="{HEIGHT - BOTTOM + 14}">{escape(c)}</text>'
            for j, c in enumerate(labels[0])
        ]
        parts += [
            f'<text x="{LEFT - 14}" y="{TOP + (i + 0.7) * tall:.1f}">{escape(c)}</text>'
            for i, c in enumerate(labels[1])
        ]
    for k in range(5):  # the scale
        top = TOP + k * 18
        value = 10 ** (log10(high) - k / 4 * (log10(high) - log10(low))) if log else high - k / 4 * (high - low)
        parts.append(f'<rect x="{WIDTH - RIGHT + 8}" y="{top}" width="14" height="18" fill="{shade(1 - k / 4)}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 26}" y="{top + 13}">{value:.2g}</text>')
    return _whole(parts, title)


def _frame(title: str, x: str, across: Axis | None, up: Axis | None, y: str = "") -> str:
    parts = [
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>',
        f'<text text-anchor="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}">{escape(x)}</text>',
    ]
    if y:
        middle = -(TOP + HEIGHT - BOTTOM) / 2
        parts.append(f'<text transform="rotate(-90)" text-anchor="middle" x="{middle}" y="12">{escape(y)}</text>')
    for value, label in up.ticks() if up else ():
        at = up(value) if up else 0.0
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{LEFT - 6}" y="{at + 4:.1f}">{label}</text>')
    for value, label in across.ticks() if across else ():
        at = across(value) if across else 0.0
        parts.append(f'<text text-anchor="middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}">{label}</text>')
    return "".join(parts)


def _whole(parts: list[str], title: str) -> str:
    return (
        f'<svg class="minigrad" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
