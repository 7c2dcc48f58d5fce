"""What the tasks forecast and mackey-glass share: windows of a series of numbers, cut in time.

The first four fifths are seen in training, the last fifth is held out. Numbers are scaled by mean and deviation of the
seen part, so that an error of 1 is that of who always says the mean.
"""

from typing import Any

import numpy as np

import minigrad as mg

SEEN = 0.8
Numbers = np.ndarray[Any, Any]


class Series:
    """Say at each of `length` steps what comes `horizon` steps later."""

    input_size = output_size = 1
    loss = "mse"
    predicts = True  # so that a model may not read ahead

    def __init__(self, name: str, values: Numbers, length: int, horizon: int) -> None:
        if horizon < 1:
            raise mg.errors.UsageError(f"{name}: horizon must be 1 or more, not {horizon}.")
        self.length, self.horizon = length, horizon
        cut = int(len(values) * SEEN)
        need = length + horizon
        if len(values) - cut < need:
            raise mg.errors.UsageError(
                f"{name}: the held-out fifth of {len(values)} numbers is {len(values) - cut}; length {length} and "
                f"horizon {horizon} need {need}. Give a longer series or a smaller --length."
            )
        self.mean, self.deviation = float(values[:cut].mean()), float(values[:cut].std())
        if not self.deviation > 0:
            raise mg.errors.UsageError(f"{name}: all numbers of the seen part are {self.mean:g}: nothing to predict.")
        scaled = ((values - self.mean) / self.deviation).astype(np.float32)
        self.seen, self.held_out = scaled[:cut], scaled[cut:]

    def guess_again(self, period: int) -> float:
        """Mean squared error of who says what was `period` steps before, over the whole series."""
        scaled = np.concatenate([self.seen, self.held_out])
        return float(np.mean(np.square(scaled[period:] - scaled[:-period])))

    def _windows(self, values: Numbers, rng: np.random.Generator, size: int) -> mg.Batch:
        at = rng.integers(0, len(values) - self.length - self.horizon + 1, size) + np.arange(self.length)[:, None]
        return mg.Batch(values[at][..., None], values[at + self.horizon])

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 1], targets [length, B], of the seen part."""
        return self._windows(self.seen, rng, size)

    def test_batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """The same, of the part that comes later."""
        return self._windows(self.held_out, rng, size)
