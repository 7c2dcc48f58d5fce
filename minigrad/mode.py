"""What this thread is doing: whether it writes a tape, and whether NumPy is hushed. Imports nothing of minigrad."""

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

import numpy as np


class _Mode(threading.local):
    """One thread's state."""

    recording = True
    quiet = False
    taken: Callable[[], None] | None = None  # is told when `numpy()` takes a value off the tape


mode = _Mode()


class recording:  # noqa: N801  # a class, since a generator takes three times as long
    """Write ops on the tape within the block, or do not."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __enter__(self) -> None:
        self.before, mode.recording = mode.recording, self.on

    def __exit__(self, *_: Any) -> None:
        mode.recording = self.before


class no_grad(recording, ContextDecorator):  # noqa: N801
    """Compute without writing a tape."""

    def __init__(self) -> None:
        super().__init__(False)

    def _recreate_cm(self) -> "no_grad":
        return no_grad()  # a decorated function may call itself


class quiet:  # noqa: N801
    """Let NumPy keep its warnings about NaN and infinity to itself: once for many ops, since it takes a microsecond."""

    def __enter__(self) -> None:
        self.before, mode.quiet = mode.quiet, True
        self.numpy = np.errstate(all="ignore")
        self.numpy.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.numpy.__exit__(*error)
        mode.quiet = self.before


def is_recording() -> bool:
    """Whether this thread writes a tape."""
    return mode.recording
