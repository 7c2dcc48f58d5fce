"""How the learning rate of a run goes over all its steps, by name. Imports the files before it."""

from collections.abc import Callable

from minigrad.optim.onecycle import OneCycleLR
from minigrad.optim.rules import Optimizer
from minigrad.optim.schedules import CosineAnnealingLR, LinearLR, Schedule, SequentialLR, StepLR

RISING = "onecycle"  # which warms up by itself
FROM_THE_TOP: dict[str, Callable[[Optimizer, int], Schedule]] = {
    "constant": lambda optimizer, _steps: LinearLR(optimizer, 1.0, 1.0, 1),
    "linear": lambda optimizer, steps: LinearLR(optimizer, 1.0, 0.0, steps),
    "cosine": CosineAnnealingLR,
    "step": lambda optimizer, steps: StepLR(optimizer, -(-steps // 3)),
}
NAMES = (*FROM_THE_TOP, RISING)


def course(optimizer: Optimizer, name: str, steps: int, warmup: int) -> Schedule:
    """A schedule over `steps`, of which the first `warmup` rise to the optimiser's learning rate, by equal parts."""
    if name == RISING:
        share = warmup / steps if warmup else 0.3
        return OneCycleLR(optimizer, optimizer.lr, steps, pct_start=share, cycle_momentum=False)
    if not warmup:
        return FROM_THE_TOP[name](optimizer, steps)
    rise = LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
    return SequentialLR(optimizer, [rise, FROM_THE_TOP[name](optimizer, steps - warmup)], [warmup])
