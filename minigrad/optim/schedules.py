"""Learning rates that follow the number of steps, with PyTorch's names, arguments and values.

Imports the files before it. Every rate is computed from the step's number alone, so the number is all the state there
is. Of two schedules for one optimiser the last one called has its way; `SequentialLR` runs one after the other.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import cos, pi
from typing import Any

from minigrad.errors import UsageError, WeightsError
from minigrad.optim.arguments import NOT_NEGATIVE, SHARE, SHARE_ABOVE_0, count, listed, number
from minigrad.optim.rules import Optimizer, Options


def groups_of(where: str, optimizer: Any) -> list[Options]:
    """The groups of an optimiser.

    Raises:
        UsageError: if it is none.
    """
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"{where}: takes an optimiser, such as mg.optim.Adam(…), not {type(optimizer).__name__}.")
    return optimizer.param_groups


class Schedule:
    """Sets the learning rate of an optimiser's groups: at once, and again with each `step()`.

    Args:
        optimizer: whose groups' `lr` it starts from and sets; call its `step()` first, then the schedule's.
        last_epoch: the number of the step that was the last before; -1 to begin.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        where = type(self).__name__
        groups = groups_of(where, optimizer)
        self.optimizer, self.last_epoch = optimizer, count(where, "last_epoch", last_epoch, -1)
        for i, group in enumerate(groups):
            if self.last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise UsageError(
                    f"{where}: group {i} has no 'initial_lr' to go on from after step {self.last_epoch}. "
                    "Write it into the group, or leave out last_epoch and use load_state_dict."
                )
        self.base_lrs = [group["initial_lr"] for group in groups]
        self.step()

    def rates(self, n: int) -> list[float]:
        """The learning rate of each group after `n` steps."""
        raise NotImplementedError

    def move(self, n: int) -> None:
        """Set the learning rates to what they are after `n` steps."""
        rates = self.rates(n)
        self.last_epoch = n
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def step(self) -> None:
        """Set the next learning rates."""
        self.move(self.last_epoch + 1)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group as it was set last."""
        return self.rates(self.last_epoch)

    def state_dict(self) -> dict[str, int]:
        """Where the schedule stands: `last_epoch`. What it was made with is said again when it is made again."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, and set the learning rates that belong there.

        Raises:
            WeightsError: if it is anything else.
        """
        where = type(self).__name__
        if not isinstance(state, Mapping) or set(state) != {"last_epoch"}:
            raise WeightsError(f"{where} goes on from {{'last_epoch': n}}, not from {state!r}.")
        try:
            self.move(count(where, "last_epoch", state["last_epoch"], 0))
        except UsageError as error:
            raise WeightsError(str(error)) from None


class StepLR(Schedule):
    """Times `gamma` after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = count("StepLR", "step_size", step_size, 1)
        self.gamma = number("StepLR", "gamma", gamma, NOT_NEGATIVE)
        super().__init__(optimizer, last_epoch)

    def rates(self, n: int) -> list[float]:
        return [base * self.gamma ** (n // self.step_size) for base in self.base_lrs]


class LinearLR(Schedule):
    """A share of the learning rate that goes evenly from `start_factor` to `end_factor` in `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor, SHARE_ABOVE_0)
        self.end_factor = number("LinearLR", "end_factor", end_factor, SHARE)
        self.total_iters = count("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def rates(self, n: int) -> list[float]:
        done = min(n, self.total_iters) / self.total_iters
        return [base * (self.start_factor + (self.end_factor - self.start_factor) * done) for base in self.base_lrs]


class CosineAnnealingLR(Schedule):
    """Down to `eta_min` along half a cosine in `T_max` steps, then up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = count("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, NOT_NEGATIVE)
        super().__init__(optimizer, last_epoch)

    def rates(self, n: int) -> list[float]:
        return [cosine(base, self.eta_min, n / self.T_max) for base in self.base_lrs]


def cosine(start: float, end: float, share: float) -> float:
    """The value a share of the way along half a cosine."""
    return end + (start - end) * (1 + cos(pi * share)) / 2


class SequentialLR(Schedule):
    """One schedule after the other: the next from each milestone on, where it begins at its own step 0."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        where = "SequentialLR"
        self.schedulers = listed(where, schedulers)
        for i, inner in enumerate(self.schedulers):
            if not isinstance(inner, Schedule):
                raise UsageError(f"{where}: schedulers[{i}] is no schedule but {type(inner).__name__}.")
            if inner.optimizer is not optimizer:
                raise UsageError(f"{where}: schedulers[{i}] is for another optimiser. Make it with the same one.")
        self.milestones = [count(where, "a milestone", n, 1) for n in listed(where, milestones)]
        if len(self.milestones) != len(self.schedulers) - 1 or self.milestones != sorted(set(self.milestones)):
            raise UsageError(
                f"{where}: {len(self.schedulers)} schedules need one milestone fewer, rising, not {self.milestones}."
            )
        super().__init__(optimizer, last_epoch)

    def _at(self, n: int) -> tuple[Schedule, int]:
        """The schedule that holds after `n` steps, and how many steps it has taken then."""
        i = bisect_right(self.milestones, n)
        return self.schedulers[i], n - (self.milestones[i - 1] if i else 0)

    def rates(self, n: int) -> list[float]:
        inner, own = self._at(n)
        return inner.rates(own)

    def move(self, n: int) -> None:
        inner, own = self._at(n)
        inner.move(own)
        self.last_epoch = n
