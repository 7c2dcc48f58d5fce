"""Delayed recall, the latching problem (Bengio et al. 1994): one symbol, then distractors, then say what it was.

The first of `length` steps brings one symbol out of eight, all later ones one of four others. ln 8 for the best blind
guess.
"""

from math import log

import numpy as np

import minigrad as mg

SYMBOLS, DISTRACTORS = 8, 4


class DelayedRecall:
    """Recall at the end of `length` steps what the first one brought."""

    input_size, output_size = SYMBOLS + DISTRACTORS, SYMBOLS
    loss = "cross_entropy"
    solved = 0.99
    baseline = log(SYMBOLS)

    def __init__(self, length: int = 50) -> None:
        if length < 2:
            raise mg.errors.UsageError(f"delayed-recall: length must be 2 or more, not {length}.")
        self.length = length
        self.suggests = {"lr": 2e-3, "chrono": max(3, length)}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 12], targets [B]."""
        codes = rng.integers(SYMBOLS, SYMBOLS + DISTRACTORS, (self.length, size))
        codes[0] = rng.integers(0, SYMBOLS, size)
        return mg.Batch(np.eye(self.input_size, dtype=np.float32)[codes], codes[0])
