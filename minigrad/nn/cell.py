"""`Cell`: one step of a recurrence, and the two kinds of noise that belong to a step.

Imports `layers`, `module` and the floors below.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import random
from minigrad.core import draw
from minigrad.nn.layers import check_share, check_sizes
from minigrad.nn.module import Module
from minigrad.values import Plain


class Noise:
    """What `drop` lets through in one sequence: the seed that it follows from, and the mask once its shape is known."""

    __slots__ = ("mask", "seed")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.mask: Any = None


class Cell(Module):
    """One step of a recurrence: `__init__(input_size, hidden_size, **options)`, `initial_carry`, `step`.

    A step that wants noise asks for it: `self.drop(h)` where the recurrent product reads h, `self.keep(old, new)` where
    a new carry takes the place of the old one.

    Args:
        zoneout: chance of a unit to keep its old value at a step (Krueger et al. 2017); in use, the mean of both.
        recurrent_dropout: share of units that `drop` hides, the same ones for a whole sequence (Gal and Ghahramani
            2016); in use, none.

    carry_names: what the leaves of the carry are called in traces, such as ("h", "c"); may be left out.
    """

    carry_names: tuple[str, ...] = ()
    zoneout = recurrent_dropout = 0.0
    _minigrad_noise: Noise | None = None  # the name is none that an author would choose

    def __init__(
        self, input_size: int, hidden_size: int, *, zoneout: float = 0.0, recurrent_dropout: float = 0.0
    ) -> None:
        """A subclass makes its weights here."""
        name = type(self).__name__
        check_sizes(name, input_size=input_size, hidden_size=hidden_size)
        check_share(name, "zoneout", zoneout)
        check_share(name, "recurrent_dropout", recurrent_dropout)
        self.zoneout, self.recurrent_dropout = zoneout, recurrent_dropout
        Cell.begin(self)

    def initial_carry(self, batch: int) -> Any:
        """The carry before the first step: a nest of `[B, ...]`."""
        raise NotImplementedError(f"{type(self).__name__} has no initial_carry(batch)")

    def step(self, carry: Any, x: Any) -> tuple[Any, Any]:
        """(carry, x [B, D]) -> (carry, y [B, H])."""
        raise NotImplementedError(f"{type(self).__name__} has no step(carry, x)")

    def forward(self, carry: Any, x: Any) -> tuple[Any, Any]:
        """The same as `step`."""
        return self.step(carry, x)

    def begin(self) -> None:
        """A new sequence: `drop` will have another mask. `Recurrent` says so whenever it starts without a state."""
        if self._minigrad_training and self.recurrent_dropout:
            self._minigrad_noise = Noise(int(random.generator().integers(2**63)))

    def drop(self, h: Any) -> Any:
        """h [B, H] with this sequence's share of units hidden, the others scaled up, in training."""
        p = self.recurrent_dropout
        if not self._minigrad_training or not p:
            return h
        noise = self._minigrad_noise or Noise(0)
        if noise.mask is None or noise.mask.shape != h.shape or noise.mask.dtype != h.dtype:
            kept = np.random.default_rng(noise.seed).random(h.shape, dtype=np.float32) >= p
            noise.mask = Plain((kept / (1 - p)).astype(h.dtype))
        return h * noise.mask

    def keep(self, old: Any, new: Any) -> Any:
        """`new`, but for the units that are zoned out;  all [B, H]."""
        if not self.zoneout:
            return new
        shape, dtype, p = new.shape, new.dtype, self.zoneout
        if not self._minigrad_training:
            return p * old + (1 - p) * new
        taken = draw(lambda: (random.generator().random(shape, dtype=np.float32) >= p).astype(dtype))
        return old + taken * (new - old)


def mask_seeds(model: Module) -> list[int]:
    """What the masks of a model's cells follow from, for a checkpoint."""
    return [(cell._minigrad_noise or Noise(0)).seed for cell in _cells(model)]


def take_mask_seeds(model: Module, seeds: Sequence[int]) -> None:
    """Let the masks of a model's cells follow from the seeds of a checkpoint."""
    for cell, seed in zip(_cells(model), seeds, strict=True):
        cell._minigrad_noise = Noise(seed)


def _cells(model: Module) -> list[Cell]:
    return [module for module in Module.modules(model) if isinstance(module, Cell)]
