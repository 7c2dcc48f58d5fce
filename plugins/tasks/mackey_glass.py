"""The Mackey-Glass equation (Mackey and Glass 1977), a chaotic series: dx/dt = 0.2 x(t - τ) / (1 + x(t - τ)¹⁰) - 0.1
x(t).

τ = 17, x = 1.2 before the start, steps of 0.1 by the midpoint rule, one value a unit of time; the first thousand are
left out. The task is to say at each step what comes `horizon` later. The baseline, 1, is that of who always says the
mean.
"""

import numpy as np

from minigrad_plugins.tasks.series import Numbers, Series

VALUES, LEFT_OUT, FINE = 10_000, 1000, 10  # steps of 1 / FINE


def mackey_glass(count: int, tau: int = 17) -> Numbers:
    """`count` values, one a unit of time, from the start on."""
    delay = tau * FINE
    x = np.full(delay + 1 + (count - 1) * FINE, 1.2)

    def slope(now: float, before: float) -> float:
        return 0.2 * before / (1 + before**10) - 0.1 * now

    for i in range(delay, len(x) - 1):
        old, older = x[i - delay], x[i - delay + 1]
        half = x[i] + slope(x[i], old) / (2 * FINE)
        x[i + 1] = x[i] + slope(half, (old + older) / 2) / FINE
    return x[delay::FINE]


class MackeyGlass(Series):
    """Say at each of `length` steps of the series what comes `horizon` later."""

    baseline = 1.0

    def __init__(self, length: int = 100, horizon: int = 6) -> None:
        super().__init__("mackey-glass", mackey_glass(VALUES + LEFT_OUT)[LEFT_OUT:], length, horizon)
        self.suggests = {"lr": 5e-3, "hidden": 32, "steps": 1000}
