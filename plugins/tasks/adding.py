"""The adding problem (Hochreiter and Schmidhuber 1997), as Arjovsky et al. 2016 define it.

Each step brings a value from U[0, 1] and a mark; one step in each half is marked. The target is the sum of the two
marked values. Whoever guesses 1 has a mean squared error of 1/6, the variance of that sum.
"""

import numpy as np

import minigrad as mg


class Adding:
    """Add the two marked numbers among `length`."""

    input_size, output_size = 2, 1
    loss = "mse"
    baseline = 1 / 6

    def __init__(self, length: int = 50) -> None:
        if length < 2:
            raise mg.errors.UsageError(f"adding: length must be 2 or more, one mark in each half, not {length}.")
        self.length = length
        self.suggests = {"lr": 2e-3, "batch": 50, "forget_bias": 1.0}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 2], targets [B]."""
        values = rng.random((self.length, size), dtype=np.float32)
        half, rows = self.length // 2, np.arange(size)
        first, second = rng.integers(0, half, size), rng.integers(half, self.length, size)
        marks = np.zeros((self.length, size), np.float32)
        marks[first, rows] = marks[second, rows] = 1
        return mg.Batch(np.stack([values, marks], axis=-1), values[first, rows] + values[second, rows])

    def solved(self, loss: float, accuracy: float | None) -> bool:
        """The mean squared error, averaged over recent batches, is below .005."""
        return loss < 0.005
