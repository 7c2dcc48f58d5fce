"""Selective copying (Gu and Dao 2023): four symbols stand anywhere among `length` steps of noise; write them in their
order.

What copy asks of time, this asks of content: the network must choose what it keeps. ln 8 a symbol for the best blind
guess.
"""

from math import log

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.transduction import Codes, Transduction

NOISE = 0


class SelectiveCopy(Transduction):
    """Write the `marked` symbols that stand among `length` steps."""

    alphabet = "_abcdefgh"
    baseline = log(8)

    def __init__(self, length: int = 32, marked: int = 4) -> None:
        if not 1 <= marked <= length:
            raise mg.errors.UsageError(f"selective-copy: marked must be from 1 to length {length}, not {marked}.")
        self.length, self.answer = length, marked
        self.suggests = {"lr": 0.01, "forget_bias": 1.0}

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Codes, Codes]:
        """[length, B], [marked, B]."""
        answer = rng.integers(1, len(self.alphabet), (self.answer, size))
        places = np.sort(rng.random((self.length, size)).argsort(axis=0)[: self.answer], axis=0)
        source = np.full((self.length, size), NOISE)
        np.put_along_axis(source, places, answer, axis=0)
        return source, answer
