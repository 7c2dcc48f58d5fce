"""Figures as people write them."""

from math import log
from typing import Any


def clock(seconds: float) -> str:
    """`1:05` or `1:02:03`."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(accuracy: float | None) -> str:
    """`95.0 %`, or nothing."""
    return "" if accuracy is None else f"{100 * accuracy:.1f} %"


def bits(task: Any, loss: float) -> str:
    """` = 2.104 bits a character`, for a task that says what its symbols are."""
    symbol = getattr(task, "symbol", None)
    return "" if symbol is None else f" = {loss / log(2):.3f} bits a {symbol}"
