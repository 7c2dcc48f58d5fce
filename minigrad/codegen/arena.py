"""Memory that is used again: a fresh array costs a page fault for each 4 KB, a quarter of a layer's time.

Imports nothing of minigrad. Only arrays that nobody else can hold are given back.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, Any]
LIMIT = 1 << 29  # bytes that may lie idle
_free: dict[Any, list[Numbers]] = defaultdict(list)
_idle = 0


def take(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Numbers:
    """An array with anything in it."""
    global _idle
    try:
        found = _free[shape, dtype].pop()
    except IndexError:
        return np.empty(shape, dtype)
    _idle -= found.nbytes
    return found


def give(arrays: Iterable[Numbers]) -> None:
    """Take arrays back; what has lain idle is let go when there is too much."""
    global _idle
    for array in arrays:
        if _idle + array.nbytes > LIMIT:
            _free.clear()
            _idle = 0
        if array.nbytes <= LIMIT:
            _free[array.shape, array.dtype].append(array)
            _idle += array.nbytes
