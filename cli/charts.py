"""Pictures made of characters: a line of blocks, and columns on a log scale. Pure functions from numbers to text."""

from collections.abc import Sequence
from math import isfinite, log10

BLOCKS = " ▁▂▃▄▅▆▇█"


def resample(values: Sequence[float], width: int) -> list[float]:
    """At most `width` figures: means of neighbours if there are more."""
    n = len(values)
    if n <= width:
        return list(values)
    edges = [i * n // width for i in range(width + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]


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
