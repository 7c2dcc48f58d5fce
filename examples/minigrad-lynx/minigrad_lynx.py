"""Lynx trapped in the Mackenzie river district of Canada in each year from 1821 to 1934 (Elton and Nicholson 1942).

Some years of the logarithm are shown, and the next year of each is asked for. A cycle of nine to ten years makes that
possible; whoever does not look can do no better than the mean.
"""

import numpy as np

import minigrad as mg

minigrad_api = 1

TRAPPED = """
269 321 585 871 1475 2821 3928 5943 4950 2577 523 98 184 279 409 2285 2685 3409 1824 409 151 45 68 213 546 1033 2129
2536 957 361 377 225 360 731 1638 2725 2871 2119 684 299 236 245 552 1623 3311 6721 4254 687 255 473 358 784 1594 1676
2251 1426 756 299 201 229 469 736 2042 2811 4431 2511 389 73 39 49 59 188 377 1292 4031 3495 587 105 153 387 758 1307
3465 6991 6313 3794 1836 345 382 808 1388 2713 3800 3091 2985 3790 674 81 80 108 229 399 1132 2432 3574 2935 1537 529
485 662 1000 1590 2657 3396
"""
HELD_OUT = 24  # the last years, which training does not see


class Lynx:
    """Say each year what the next one brings."""

    input_size = output_size = 1
    loss = "mse"
    predicts = True  # models that read ahead would see the answer

    def __init__(self, length: int = 20) -> None:
        most = HELD_OUT - 1
        if not 1 <= length <= most:
            raise mg.errors.UsageError(f"lynx: length must be from 1 to {most} years, not {length}.")
        self.length = length
        self.suggests = {"lr": 5e-3, "hidden": 16, "steps": 400}
        logs = np.log10(np.array(TRAPPED.split(), float))
        known = logs[:-HELD_OUT]
        self.years = ((logs - known.mean()) / known.std()).astype(np.float32)
        self.baseline = 1.0  # the mean squared error of the mean, in units of the standard deviation

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, 1], targets [length, B]: stretches from anywhere in the years that training sees."""
        return self._stretches(rng.integers(0, len(self.years) - HELD_OUT - self.length, size))

    def test_batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """The same of the years held out."""
        first = len(self.years) - HELD_OUT
        return self._stretches(rng.integers(first, len(self.years) - self.length, size))

    def _stretches(self, starts: np.ndarray) -> mg.Batch:
        at = starts + np.arange(self.length)[:, None]
        return mg.Batch(self.years[at][..., None], self.years[at + 1])
