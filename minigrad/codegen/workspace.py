"""The arrays that a kernel works on, kept for the next run: fresh memory costs a page fault for each 4 KB, a quarter of
a layer's time, and thirty arrays cost as much Python as a small layer.

Imports `places`, `program`. Arrays that somebody else may hold, a scan's results, are made anew each time.
"""

import threading
from collections import defaultdict
from typing import Any

import numpy as np

from minigrad.codegen.places import Array
from minigrad.codegen.program import Half

Numbers = np.ndarray[Any, Any]
LIMIT = 1 << 29  # bytes that may lie idle


class Workspace:
    """The arrays of one half of a program for a number of steps; `args` has them as the kernel takes them."""

    __slots__ = ("args", "arrays", "half", "size", "steps")

    def __init__(self, half: Half, steps: int) -> None:
        self.half, self.steps = half, steps
        self.arrays: dict[Array, Any] = {}
        self.args: list[Any] = [None] * len(half.arrays)
        for array in half.own:
            self.put(array, self.fresh(array))
        self.size = sum(self.arrays[array].nbytes for array in half.own if array not in half.seen)

    def fresh(self, array: Array) -> Numbers:
        """Memory for one array, with anything in it."""
        leading = {"time": (self.steps,), "carry": (self.steps + 1,), "swap": (2,)}.get(array.kind, ())
        return np.empty((*leading, self.half.plan.batch, array.width), array.dtype)

    def put(self, array: Array, numbers: Numbers | None) -> None:
        """Let `numbers` be that array."""
        self.arrays[array] = numbers
        if array in self.half.index:
            self.args[self.half.index[array]] = numbers


_idle: dict[tuple[Half, int], list[Workspace]] = defaultdict(list)
_lock = threading.Lock()
_bytes = 0


def take(half: Half, steps: int) -> Workspace:
    """A workspace whose arrays nobody else uses."""
    global _bytes
    with _lock:
        found = _idle[half, steps].pop() if _idle.get((half, steps)) else None
        if found is None:
            return Workspace(half, steps)
        _bytes -= found.size
    for array in half.seen:
        found.put(array, found.fresh(array))
    return found


def give(space: Workspace) -> None:
    """Take a workspace back; all that lies idle is let go when it is too much."""
    global _bytes
    for array in space.half.borrowed:
        space.put(array, None)
    with _lock:
        if _bytes + space.size > LIMIT:
            _idle.clear()
            _bytes = 0
        if space.size <= LIMIT:
            _bytes += space.size
            _idle[space.half, space.steps].append(space)
