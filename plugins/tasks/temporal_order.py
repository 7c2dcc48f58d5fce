"""Temporal order (Hochreiter and Schmidhuber 1997, experiments 6a and 6b): in which order did the X and Y come?

Two or three marks, each X or Y, among distractors a b c d; the class is their sequence, asked for at the last step. The
first of two stands between 1/10 and 2/10 of the length, the second between 5/10 and 6/10; of three, from 1/10, 3/10 and
6/10 on (a width of 1/10). Nothing but the order tells the classes apart: ln 4 or ln 8, 75 or 87.5 % errors.
"""

from math import log

import numpy as np

import minigrad as mg

START, END, X = 0, 1, 6  # E, B, then a b c d, then X Y
BEGINS = {2: (0.1, 0.5), 3: (0.1, 0.33, 0.66)}


class TemporalOrder:
    """Tell in which order `marks` marks came among `length` steps."""

    input_size = 8
    loss = "cross_entropy"
    solved = 0.99

    def __init__(self, length: int = 100, marks: int = 2) -> None:
        if marks not in BEGINS or length < 10 * marks:
            raise mg.errors.UsageError(
                f"temporal-order: marks is 2 or 3, not {marks}; length {10 * marks} or more, not {length}."
            )
        self.length, self.marks = length, marks
        self.output_size = 2**marks
        self.baseline = marks * log(2)
        self.suggests = {"lr": 2e-3, "chrono": length}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 8], targets [B]."""
        codes, rows = rng.integers(2, X, (self.length, size)), np.arange(size)
        codes[0], codes[-1] = START, END
        targets = np.zeros(size, np.int64)
        for begin in BEGINS[self.marks]:
            first = int(begin * self.length)
            mark = rng.integers(0, 2, size)
            codes[rng.integers(first, first + self.length // 10 + 1, size), rows] = X + mark
            targets = 2 * targets + mark
        return mg.Batch(np.eye(self.input_size, dtype=np.float32)[codes], targets)
