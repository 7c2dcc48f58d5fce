"""One cycle of the learning rate, and of the momentum against it. Imports the files before it."""

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.errors import UsageError
from minigrad.optim.arguments import BELOW_1, NOT_NEGATIVE, POSITIVE, SHARE, Range, count, number
from minigrad.optim.rules import Optimizer
from minigrad.optim.schedules import Schedule, cosine, groups_of

Numbers = float | Sequence[float]
ANNEAL: dict[str, Callable[[float, float, float], float]] = {
    "cos": cosine,
    "linear": lambda start, end, share: start + (end - start) * share,
}


class OneCycleLR(Schedule):
    """From max_lr / div_factor up to `max_lr`, and down to a `final_div_factor`th of the start (Smith and Topin 2017).

    The momentum, for Adam β₁, goes down as the rate goes up, and up again. There may be one figure for all groups, or a
    list with one a group.

    Args:
        optimizer: whose `lr` it replaces.
        max_lr: the highest rate.
        total_steps: of the cycle; or `epochs` and `steps_per_epoch`.
        pct_start: the share of the steps that go up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether the momentum moves from `max_momentum` to `base_momentum` and back.
        three_phase: whether it comes down to the start as fast as it went up, and only then to the end.
        last_epoch: the number of the step that was the last before; -1 to begin.

    Raises:
        UsageError: from `step()` too, beyond the cycle.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Numbers,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Numbers = 0.85,
        max_momentum: Numbers = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        where, groups = "OneCycleLR", groups_of("OneCycleLR", optimizer)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if anneal_strategy not in ANNEAL:
            raise UsageError(f"{where}: anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}.")
        self.anneal = ANNEAL[anneal_strategy]
        rise = number(where, "pct_start", pct_start, SHARE) * self.total_steps
        self.ends = [rise - 1, *([2 * rise - 2] if three_phase else []), self.total_steps - 1]
        by = number(where, "div_factor", div_factor, POSITIVE)
        then_by = number(where, "final_div_factor", final_div_factor, POSITIVE)
        tops = _one_a_group("max_lr", max_lr, len(groups), NOT_NEGATIVE)
        self.rate_turns = [[top / by, top, *([top / by] * three_phase), top / by / then_by] for top in tops]
        low = _one_a_group("base_momentum", base_momentum, len(groups), BELOW_1)
        high = _one_a_group("max_momentum", max_momentum, len(groups), BELOW_1)
        self.momentum_turns = [[h, b, *([h] * three_phase), h] for b, h in zip(low, high, strict=True)]
        self.cycle_momentum = cycle_momentum
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise UsageError(f"{where}: {type(optimizer).__name__} has no momentum to move. Say cycle_momentum=False.")
        if last_epoch == -1:
            for group, turns in zip(groups, self.rate_turns, strict=True):
                group["initial_lr"] = turns[0]
        super().__init__(optimizer, last_epoch)

    def _between(self, turns: list[float], n: int) -> float:
        """The value after `n` steps of what goes from each turn to the next."""
        phase = next((i for i, end in enumerate(self.ends) if n <= end), len(self.ends) - 1)
        begin, end = self.ends[phase - 1] if phase else 0, self.ends[phase]
        share = (n - begin) / (end - begin) if end != begin else 1.0
        return self.anneal(turns[phase], turns[phase + 1], share)

    def rates(self, n: int) -> list[float]:
        if n > self.total_steps:
            raise UsageError(f"OneCycleLR: step {n} is beyond its {self.total_steps} steps. Make it with more of them.")
        return [self._between(turns, n) for turns in self.rate_turns]

    def move(self, n: int) -> None:
        super().move(n)
        for group, turns in zip(self.optimizer.param_groups, self.momentum_turns, strict=True):
            if self.cycle_momentum and "betas" in group:
                group["betas"] = (self._between(turns, n), group["betas"][1])
            elif self.cycle_momentum:
                group["momentum"] = self._between(turns, n)


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        return count("OneCycleLR", "total_steps", total_steps, 1)
    if epochs is None or steps_per_epoch is None:
        raise UsageError("OneCycleLR: how many steps? Give total_steps, or epochs and steps_per_epoch.")
    return count("OneCycleLR", "epochs", epochs, 1) * count("OneCycleLR", "steps_per_epoch", steps_per_epoch, 1)


def _one_a_group(name: str, value: Any, groups: int, allowed: Range) -> list[float]:
    found = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(found) != groups:
        raise UsageError(f"OneCycleLR: {name} has {len(found)} figures for {groups} groups. Give one, or one a group.")
    return [number("OneCycleLR", name, x, allowed) for x in found]
