"""What is done to gradients before a step: they are cut, shortened, made noisy.

Imports the file before it and the floors below.
"""

from collections.abc import Iterable
from math import isfinite, sqrt
from typing import Any

import numpy as np

from minigrad import device, random
from minigrad.errors import DivergedError
from minigrad.mode import no_grad
from minigrad.ops.elementwise import clip
from minigrad.optim.arguments import LIMIT, NOT_NEGATIVE, called, count, leaves, number
from minigrad.values import Tensor


def clip_grad_value(params: Tensor | Iterable[Tensor], limit: float) -> None:
    """Cut every element of every gradient off at ±`limit`: unlike clipping by norm, this turns the direction.

    Raises:
        UsageError: unless `limit` is above 0 and `params` are weights.
    """
    limit = number("clip_grad_value", "limit", limit, LIMIT)
    with no_grad():
        for p in leaves("clip_grad_value", params):
            if p.grad is not None:
                p.grad = clip(p.grad, -limit, limit)


def add_grad_noise(params: Tensor | Iterable[Tensor], eta: float, step: int, gamma: float = 0.55) -> None:
    """Add normal noise of variance eta / (1 + step)^gamma to every gradient (Neelakantan et al. 2015).

    Raises:
        UsageError: unless `eta`, `step` and `gamma` are 0 or more and `params` are weights.
    """
    where = "add_grad_noise"
    eta, gamma = number(where, "eta", eta, NOT_NEGATIVE), number(where, "gamma", gamma, NOT_NEGATIVE)
    deviation = sqrt(eta / (1 + count(where, "step", step, 0)) ** gamma)
    with no_grad():
        for p in leaves(where, params):
            if p.grad is not None:
                noise = random.generator().standard_normal(p.shape, dtype=np.float32)
                p.grad = p.grad + (deviation * noise).astype(p.dtype)


def clip_grad_norm(params: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients so that their common norm is at most `max_norm`; return the norm before.

    Raises:
        UsageError: unless `max_norm` is above 0 (inf only measures) and `params` are weights.
        DivergedError: if a gradient is not finite, naming its parameter; no gradient is changed then.
    """
    max_norm = number("clip_grad_norm", "max_norm", max_norm, LIMIT)
    some = [(i, p) for i, p in enumerate(leaves("clip_grad_norm", params)) if p.grad is not None]
    squares = device.square_sums([p.grad._data for _, p in some])
    (found,) = device.fetch([squares])
    for (i, p), square in zip(some, found, strict=True):
        if not np.isfinite(square):
            raise DivergedError(
                f"the gradient of {called(i, p)} is not finite. Lower the learning rate, or clip earlier."
            )
    shorten([p for _, p in some], squares, max_norm)
    return sqrt(found.sum())


def shorten(params: list[Any], squares: Any, max_norm: float) -> None:
    """Scale all gradients, whose sums of squares are known, as `clip_grad_norm` does, without asking their device."""
    if not isfinite(max_norm):
        return
    norm = np.sqrt(squares.sum(axis=0))
    if device.home(squares) == "cpu" and not norm > max_norm:
        return
    factor = max_norm / np.maximum(norm, max_norm)
    for p in params:
        p.grad = Tensor((p.grad._data * factor.astype(p.dtype))[...])  # an array again where NumPy made it a number
