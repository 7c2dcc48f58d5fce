"""Reversal (Sutskever et al. 2014 found it to be what a sequence-to-sequence network wants): write what was read,
backwards.

`length` symbols out of eight, all as likely; the best guess that has not read them is ln 8 a symbol.
"""

from math import log

import numpy as np

from minigrad_plugins.tasks.transduction import Codes, Transduction


class Reversal(Transduction):
    """Write `length` symbols backwards."""

    alphabet = "abcdefgh"
    baseline = log(8)

    def __init__(self, length: int = 10) -> None:
        self.answer = length
        self.suggests = {"lr": 5e-3, "forget_bias": 1.0}

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Codes, Codes]:
        """[length, B] twice."""
        source = rng.integers(0, len(self.alphabet), (self.answer, size))
        return source, source[::-1]
