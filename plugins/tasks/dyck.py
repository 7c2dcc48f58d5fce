"""Dyck brackets (Chomsky and Schützenberger 1963; for networks Suzgun et al. 2019): which bracket would have to close
now?

`length` brackets of `kinds` kinds, opened and closed at random, never deeper than `depth`. After each one the kind of
the innermost open bracket is asked for, where there is one: a stack. ln kinds for the best guess without the order.
"""

from math import log

import numpy as np

import minigrad as mg


class Dyck:
    """Name the innermost open bracket after each of `length` brackets."""

    loss = "cross_entropy"
    solved = 0.99

    def __init__(self, length: int = 40, kinds: int = 4, depth: int = 6) -> None:
        if kinds < 2:
            raise mg.errors.UsageError(f"dyck: kinds must be 2 or more, not {kinds}.")
        if depth < 1:
            raise mg.errors.UsageError(f"dyck: depth must be 1 or more, not {depth}.")
        self.length, self.kinds, self.depth = length, kinds, depth
        self.input_size, self.output_size = 2 * kinds, kinds
        self.baseline = log(kinds)
        self.suggests = {"lr": 5e-3, "forget_bias": 1.0}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 2 kinds], targets [length, B], counted where a bracket is open."""
        rows, heights = np.arange(size), np.zeros(size, np.int64)
        stacks = np.zeros((self.depth + 1, size), np.int64)
        codes, targets, mask = (np.zeros((self.length, size), np.int64) for _ in range(3))
        for t in range(self.length):
            opens = (heights == 0) | ((heights < self.depth) & (rng.random(size) < 0.5))
            heights = heights + opens
            new = rng.integers(0, self.kinds, size)
            stacks[heights[opens], rows[opens]] = new[opens]
            codes[t] = np.where(opens, new, self.kinds + stacks[heights, rows])
            heights = heights - ~opens
            targets[t], mask[t] = stacks[heights, rows] * (heights > 0), heights > 0
        return mg.Batch(np.eye(self.input_size, dtype=np.float32)[codes], targets, mask.astype(bool))
