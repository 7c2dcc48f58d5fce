"""Associative recall (Ba et al. 2016; with key and value together, Schlag et al. 2021): the pairs c9 k8 j3 are read,
one a step, then k c j, and 8 9 3 is to be said.

`length` pairs of a letter and a digit, each letter once; then the same letters in another order, and at each the digit
that stood beside it. ln 10 a digit for the best guess that does not look.
"""

from math import log

import numpy as np

import minigrad as mg

LETTERS, DIGITS = 26, 10


class AssociativeRecall:
    """Say which digits stood beside the letters of `length` pairs."""

    input_size, output_size = LETTERS + DIGITS, DIGITS
    loss = "cross_entropy"
    solved = 0.99
    baseline = log(DIGITS)

    def __init__(self, length: int = 4) -> None:
        if length > LETTERS:
            raise mg.errors.UsageError(f"associative-recall: length must be from 1 to {LETTERS} pairs, not {length}.")
        self.length = length
        self.suggests = {"lr": 2e-3, "batch": 64, "forget_bias": 1.0}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [2 length, B, 36], targets [2 length, B], counted in the last `length`."""
        letters = rng.random((LETTERS, size)).argsort(axis=0)[: self.length]
        digits = rng.integers(0, DIGITS, (self.length, size))
        order = rng.random((self.length, size)).argsort(axis=0)
        asked, answers = (np.take_along_axis(codes, order, axis=0) for codes in (letters, digits))
        xs = np.eye(self.input_size, dtype=np.float32)[np.concatenate([letters, asked])]
        xs[: self.length] += np.eye(self.input_size, dtype=np.float32)[LETTERS + digits]
        targets = np.concatenate([np.zeros_like(digits), answers])
        mask = np.repeat([[False], [True]], self.length, axis=0) & np.ones((1, size), bool)
        return mg.Batch(xs, targets, mask)
