"""Copy memory (Hochreiter and Schmidhuber 1997), as Arjovsky et al. 2016 define it.

Ten symbols out of eight, `length` - 1 blanks, a marker, ten blanks; the ten symbols are to be recalled at the end.
length + 20 steps, one-hot of ten; the loss is averaged over all of them, the accuracy over the ten recalled ones.
"""

from math import log
from typing import Any

import numpy as np

import minigrad as mg

SYMBOLS, K, MARKER = 8, 10, 9


class Copy:
    """Recall ten symbols after `length` steps."""

    input_size = output_size = SYMBOLS + 2
    loss = "cross_entropy"

    def __init__(self, length: int = 20) -> None:
        self.length = length
        # The best guess without memory: blanks for sure, then any of eight.
        self.baseline = K * log(SYMBOLS) / (length + 2 * K)
        # With β₂ = .99 fewer steps were needed than with .999 at each of four seeds (docs/measured.md).
        self.suggests = {"lr": 0.015, "betas": [0.9, 0.99], "chrono": 4 * (length + K)}

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length + 20, B, 10], targets [length + 20, B]."""
        symbols = rng.integers(1, SYMBOLS + 1, (K, size))
        blanks = np.zeros((self.length + K, size), np.int64)
        inputs = np.concatenate([symbols, blanks])
        inputs[K + self.length - 1] = MARKER
        targets = np.concatenate([blanks, symbols])
        return mg.Batch(np.eye(self.input_size, dtype=np.float32)[inputs], targets)

    def accuracy(self, ys: Any, batch: mg.Batch) -> float:
        """Share of the ten symbols that are recalled."""
        return float(np.mean(np.argmax(ys.numpy()[-K:], axis=-1) == batch.targets[-K:]))

    def solved(self, loss: float, accuracy: float | None) -> bool:
        """At least 95 % of the symbols are recalled, averaged over recent batches."""
        return accuracy is not None and accuracy >= 0.95 and loss < self.baseline / 2
