"""Parity: is the number of ones odd? (Minsky and Papert 1969; as sequences in Delétang et al. 2023.)

Bits one by one, sequences of 1 to `length` of them, the question at each row's last step. One unit that turns over is
enough, and every bit matters, so nothing but a state can learn it for lengths that it has not seen. ln 2, 50 %.
"""

from math import log

import numpy as np

import minigrad as mg


class Parity:
    """Tell whether a row of 1 to `length` bits has an odd number of ones; `exact`: of `length` bits."""

    input_size = output_size = 2
    loss = "cross_entropy"
    solved = 0.99
    baseline = log(2)

    def __init__(self, length: int = 20, exact: bool = False) -> None:
        self.length, self.exact = length, exact
        self.suggests = {"batch": 128}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 2], targets [B], lengths [B]."""
        lengths = np.full(size, self.length) if self.exact else rng.integers(1, self.length + 1, size)
        bits = rng.integers(0, 2, (self.length, size)) * (np.arange(self.length)[:, None] < lengths)
        return mg.Batch(np.eye(2, dtype=np.float32)[bits], bits.sum(axis=0) % 2, lengths=lengths)
