"""Associative recall (Ba et al. 2016, "fast weights"): c9k8j3f1?c is read, and 9 is the answer.

`length` pairs of a letter and a digit, each letter once, then a mark and one of the letters; its digit is asked for at
the last step. ln 10 for the best guess that does not look.
"""

from math import log

import numpy as np

import minigrad as mg

LETTERS, DIGITS = 26, 10
QUERY = LETTERS + DIGITS


class AssociativeRecall:
    """Say which digit stood behind a letter, among `length` pairs."""

    input_size, output_size = QUERY + 1, DIGITS
    loss = "cross_entropy"
    baseline = log(DIGITS)

    def __init__(self, length: int = 4) -> None:
        if length > LETTERS:
            raise mg.errors.UsageError(f"associative-recall: length must be from 1 to {LETTERS} pairs, not {length}.")
        self.length = length
        self.suggests = {"lr": 2e-3, "batch": 64, "forget_bias": 1.0}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [2 length + 2, B, 37], targets [B]."""
        letters = rng.random((LETTERS, size)).argsort(axis=0)[: self.length]
        digits = rng.integers(0, DIGITS, (self.length, size))
        asked, rows = rng.integers(0, self.length, size), np.arange(size)
        pairs = np.stack([letters, LETTERS + digits], axis=1).reshape(2 * self.length, size)
        codes = np.concatenate([pairs, np.full((1, size), QUERY), letters[asked, rows][None]])
        return mg.Batch(np.eye(self.input_size, dtype=np.float32)[codes], digits[asked, rows])

    def solved(self, loss: float, accuracy: float | None) -> bool:
        """At least 99 % are right, averaged over recent batches."""
        return accuracy is not None and accuracy >= 0.99
