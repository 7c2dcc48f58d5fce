"""The arrays that a kernel works on, kept for the next run: fresh memory costs a page fault for each 4 KB, a quarter of
a layer's time.

Imports `half`. Arrays that somebody else may hold, a scan's results, are made anew each time.
"""

import threading
from collections import defaultdict
from typing import Any

import numpy as np

from minigrad.codegen.half import Half
from minigrad.device import arrays

LIMIT = 1 << 29  # bytes that may lie idle


class Arrays(list[np.ndarray[Any, Any]]):
    """Arrays for the values of one half of a program that nobody else sees, over so many steps."""

    def __init__(self, half: Half, steps: int, device: str) -> None:
        leading, empty = {"time": (steps,), "carry": (steps + 1,), "swap": (2,)}, arrays(device).empty
        super().__init__(empty((*leading.get(a.kind, ()), half.plan.batch, a.width), a.dtype) for a in half.own)
        self.key, self.size = (half, steps, device), sum(array.size * array.dtype.itemsize for array in self)


_idle: dict[tuple[Half, int, str], list[Arrays]] = defaultdict(list)
_lock = threading.Lock()
_bytes = 0


def take(half: Half, steps: int, device: str) -> Arrays:
    """Arrays that lay idle, or new ones."""
    global _bytes
    with _lock:
        if idle := _idle[half, steps, device]:
            _bytes -= idle[-1].size
            return idle.pop()
    return Arrays(half, steps, device)


def forget(*halves: Half) -> None:
    """Let go of what lies idle for halves of a program that nobody will run."""
    global _bytes
    with _lock:
        for key in [key for key in _idle if key[0] in halves]:
            _bytes -= sum(arrays.size for arrays in _idle.pop(key))


def give(lent: Arrays) -> None:
    """Take them back; all that lies idle is let go when it is too much."""
    global _bytes
    with _lock:
        if _bytes + lent.size > LIMIT:
            _idle.clear()
            _bytes = 0
        if lent.size <= LIMIT:
            _bytes += lent.size
            _idle[lent.key].append(lent)
