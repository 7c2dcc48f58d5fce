"""Labelling without an alignment, what CTC was made for (Graves et al. 2006): frames come in, a shorter word comes out.

A word of 1 to `length` letters is drawn out: each letter lasts two to four frames, with one or two of silence between,
and each frame is a noisy picture of its letter. Which frame belongs to which letter is not told. The outputs are the
letters and the blank, 0; the loss is CTC's, the accuracy the share of words that are right. The baseline is the loss of
a network that says the same at each step, the best such guess for the middle length.
"""

from typing import Any

import numpy as np

import minigrad as mg

LETTERS, FEATURES, NOISE = 6, 8, 0.3


class Labelling:
    """Read words of up to `length` letters out of frames."""

    input_size, output_size = FEATURES, LETTERS + 1
    solved = 0.95

    def __init__(self, length: int = 5) -> None:
        self.length = length
        self.pictures = np.random.default_rng(0).normal(size=(LETTERS + 1, FEATURES))
        self.pictures[0] = 0
        self.steps = 6 * length + 2
        self.baseline = self._blind_loss()
        self.suggests: dict[str, Any] = {"lr": 5e-3, "hidden": 64}

    def loss(self, ys: Any, batch: mg.Batch) -> Any:
        """ys [T, B, letters + 1], against words [length, B] that end with -1."""
        words = batch.targets.T
        lengths = (words >= 0).sum(axis=1)
        return mg.nn.ctc_loss(mg.log_softmax(ys), np.maximum(words, 1), batch.lengths, lengths)

    def _blind_loss(self) -> float:
        """Of the best constant chance of the blank, on a grid, for a word of middle length and its mean frames."""
        symbols = (self.length + 1) // 2
        found = []
        for blank in np.linspace(0.05, 0.95, 19):
            chances = np.where(np.arange(2 * symbols + 1) % 2, (1 - blank) / LETTERS, blank)
            alpha = np.eye(2 * symbols + 1)[0]
            for _ in range(int(4.5 * symbols) + 1):
                leaps = np.pad(alpha, (2, 0))[:-2] * (np.arange(len(alpha)) % 2)
                alpha = (alpha + np.pad(alpha, (1, 0))[:-1] + leaps) * chances
            found.append(-np.log(alpha[-2:].sum()) / symbols)
        return float(min(found))

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [T, B, 8], targets [length, B] with -1 past a word's end, lengths [B]."""
        xs, words = np.zeros((self.steps, size, FEATURES)), np.full((self.length, size), -1)
        lengths = np.zeros(size, np.int64)
        for row in range(size):
            letters = rng.integers(1, LETTERS + 1, rng.integers(1, self.length + 1))
            words[: len(letters), row] = letters
            pairs = [x for letter in letters for x in ([0] * rng.integers(1, 3), [letter] * rng.integers(2, 5))]
            frames = [frame for pair in pairs for frame in pair] + [0]
            lengths[row] = len(frames)
            xs[: len(frames), row] = self.pictures[frames] + rng.normal(size=(len(frames), FEATURES)) * NOISE
        return mg.Batch(xs.astype(np.float32), words, lengths=lengths)

    def accuracy(self, ys: Any, batch: mg.Batch) -> float:
        """Share of words that the best path gives: repeats are one letter, blanks none."""
        best, right = ys.numpy().argmax(-1), 0
        for row, steps in enumerate(np.asarray(batch.lengths)):
            path = best[:steps, row]
            found = path[(path != 0) & (path != np.concatenate([[0], path[:-1]]))]
            word = batch.targets[:, row]
            right += found.tolist() == word[word >= 0].tolist()
        return right / best.shape[1]
