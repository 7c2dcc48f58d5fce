"""Sorting (Vinyals et al. 2016): write the digits that were read in their order.

`length` digits out of ten. Who has not read them knows how the k-th smallest of them is distributed; that is the
baseline.
"""

from math import comb, log

import numpy as np

from minigrad_plugins.tasks.transduction import Codes, Transduction

DIGITS = 10


def blind_loss(length: int) -> float:
    """Mean entropy of the order statistics of `length` digits."""
    total = 0.0
    for k in range(1, length + 1):  # P(k-th smallest ≤ d) = P(at least k of them are ≤ d)
        below = [0.0]
        for d in range(1, DIGITS + 1):
            p = d / DIGITS
            below.append(sum(comb(length, j) * p**j * (1 - p) ** (length - j) for j in range(k, length + 1)))
        total -= sum(p * log(p) for p in np.diff(below) if p > 0)
    return total / length


class Sorting(Transduction):
    """Write `length` digits in order."""

    alphabet = "0123456789"

    def __init__(self, length: int = 8) -> None:
        self.answer = length
        self.baseline = blind_loss(length)
        self.suggests = {"lr": 5e-3, "forget_bias": 1.0}

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Codes, Codes]:
        """[length, B] twice."""
        source = rng.integers(0, DIGITS, (self.answer, size))
        return source, np.sort(source, axis=0)
