"""What this thread is doing: whether it writes a tape, and whether NumPy is hushed. Imports nothing of minigrad."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class _Mode(threading.local):
    """One thread's state."""

    recording = True
    quiet = False


mode = _Mode()


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Write ops on the tape within the block, or do not."""
    before, mode.recording = mode.recording, on
    try:
        yield
    finally:
        mode.recording = before


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without writing a tape."""
    with recording(False):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Let NumPy keep its warnings about NaN and infinity to itself: once for many ops, since it takes a microsecond."""
    before, mode.quiet = mode.quiet, True
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        mode.quiet = before


def is_recording() -> bool:
    """Whether this thread writes a tape."""
    return mode.recording
