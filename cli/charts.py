"""Pictures made of characters: a line of blocks, and columns on a log scale. Pure functions from numbers to text."""

from collections.abc import Mapping, Sequence
from math import isfinite, log10

from minigrad.svg import resample

BLOCKS = " ▁▂▃▄▅▆▇█"
MARKS = "●▲■◆○△□◇"
SHADES = "·░▒▓█"  # a blank is left for what cannot be seen


def spark(values: Sequence[float], width: int, top: float | None = None) -> str:
    """One line of blocks from 0 to `top` (else the largest), the newest at the right."""
    shown = resample(values, width)
    high = top or max(shown, default=0.0) or 1.0
    return "".join(BLOCKS[min(8, max(1, round(8 * v / high)))] if isfinite(v) else "?" for v in shown)


def log_columns(values: Sequence[float], width: int, height: int) -> list[str]:
    """Columns of a log scale with powers of ten at the left: `height` lines, at most `width` characters wide.

    A figure of 0 has no column. The lowest line stands for the power of ten below the smallest figure.
    """
    margin = 6
    positive = [v for v in values if v > 0 and isfinite(v)]
    if not positive or width <= margin:
        return [""] * height
    low, high = _decades(positive)
    columns = []
    for v in _stretch(values, width - margin):
        share = (log10(v) - low) / (high - low) if v > 0 and isfinite(v) else 0.0
        columns.append(max(1, round(share * height * 8)) if v > 0 and isfinite(v) else 0)
    lines = []
    for row in reversed(range(height)):
        label = f"1e{high:.0f}" if row == height - 1 else f"1e{low:.0f}" if row == 0 else ""
        lines.append(label.rjust(margin - 1) + "│" + "".join(BLOCKS[min(8, max(0, c - 8 * row))] for c in columns))
    return lines


def overlay(curves: Mapping[str, Sequence[float]], width: int, height: int) -> list[str]:
    """Curves in one picture on a log scale, each drawn with its key, a character; time from left to right."""
    margin = 6
    positive = [v for values in curves.values() for v in values if v > 0 and isfinite(v)]
    if not positive or width <= margin:
        return [""] * height
    low, high = _decades(positive)
    room = width - margin
    grid = [[" "] * room for _ in range(height)]
    for mark, values in curves.items():
        n = len(values)
        for column in range(room):
            v = values[min(column * n // room, n - 1)]
            if v > 0 and isfinite(v):
                row = round((log10(v) - low) / (high - low) * (height - 1))
                grid[height - 1 - row][column] = mark
    labels = {0: f"1e{high}", height - 1: f"1e{low}"}
    return [labels.get(i, "").rjust(margin - 1) + "│" + "".join(line).rstrip() for i, line in enumerate(grid)]


def picked(n: int, height: int) -> list[int]:
    """Which of n rows are shown on so many lines: the first, the last, and some in between."""
    lines = min(n, height)
    return [i * (n - 1) // max(lines - 1, 1) for i in range(lines)]


def heat(rows: Sequence[Sequence[float]], width: int, height: int) -> tuple[list[str], tuple[float, float]]:
    """Figures as shades on a log scale, a blank for 0, at most `height` lines of `width`; and the ends of the scale."""
    taken = [rows[i] for i in picked(len(rows), height)]
    positive = [v for row in taken for v in row if v > 0 and isfinite(v)]
    if not positive:
        return [""] * len(taken), (0.0, 0.0)
    low, high = log10(min(positive)), log10(max(positive))
    lines = []
    for row in taken:
        line = ""
        for v in _stretch(row, width):
            share = (log10(v) - low) / ((high - low) or 1.0) if v > 0 and isfinite(v) else 0.0
            line += SHADES[min(4, int(share * 5))] if v > 0 and isfinite(v) else " "
        lines.append(line)
    return lines, (min(positive), max(positive))


def _decades(positive: Sequence[float]) -> tuple[int, int]:
    low = int(log10(min(positive)) // 1)
    high = -int(-log10(max(positive)) // 1)
    return low, max(high, low + 1)


def _stretch(values: Sequence[float], width: int) -> list[float]:
    """Exactly `width` figures at most: each repeated as often as fits, or means of neighbours."""
    if len(values) >= width:
        return resample(values, width)
    times = width // len(values)
    return [v for v in values for _ in range(times)]
