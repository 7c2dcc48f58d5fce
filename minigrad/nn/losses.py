"""Losses: one number from outputs and targets. Imports the floors below."""

from typing import Any

import numpy as np

from minigrad.arraytype import show
from minigrad.core import as_value
from minigrad.errors import DtypeError, ShapeError
from minigrad.ops.elementwise import square, where
from minigrad.ops.reduce import cross_entropy_rows, mean
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import reshape
from minigrad.ops.smooth import softplus


def cross_entropy(logits: Any, targets: Any, *, ignore_index: int | None = None) -> Any:
    """Mean of -log softmax(logits)[target];  logits [..., C], targets integers [...].

    Positions whose target is `ignore_index` do not count; if none counts the loss is 0.

    Raises:
        ShapeError: if the shapes differ, or a target is not in 0 .. C - 1.
        DtypeError: if the targets are not integers.
    """
    logits, targets = as_value(logits), as_value(targets)
    classes = logits.shape[-1] if logits.ndim else 0
    if targets.dtype.kind not in "iu":
        raise DtypeError(f"cross_entropy: targets must be integers, not {targets.dtype}.")
    if logits.shape[:-1] != targets.shape:
        raise ShapeError(
            f"cross_entropy: logits {show(logits)} want targets {list(logits.shape[:-1])}, not {show(targets)}."
        )
    flat = targets.numpy().reshape(-1)
    counted = np.ones(flat.shape, bool) if ignore_index is None else flat != ignore_index
    kept = flat[counted]
    if kept.size and not 0 <= kept.min() <= kept.max() < classes:
        raise ShapeError(
            f"cross_entropy: targets reach from {kept.min()} to {kept.max()}, classes from 0 to {classes - 1}."
        )
    losses = cross_entropy_rows(reshape(logits, (-1, classes)), np.where(counted, flat, 0))
    if kept.size == flat.size and flat.size:
        return mean(losses)
    return sum_(where(counted, losses, 0.0)) / max(kept.size, 1)


def _same_shape(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    x, y = as_value(x), as_value(y)
    if x.shape != y.shape:
        raise ShapeError(
            f"{name}: {show(x)} against targets {show(y)}; the shapes must be equal, nothing is broadcast."
        )
    return x, y


def mse_loss(predictions: Any, targets: Any) -> Any:
    """Mean of (prediction - target)²; equal shapes."""
    predictions, targets = _same_shape("mse_loss", predictions, targets)
    return mean(square(predictions - targets))


def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Any:
    """Mean of -t log σ(x) - (1 - t) log(1 - σ(x)), without overflow; equal shapes."""
    logits, targets = _same_shape("binary_cross_entropy_with_logits", logits, targets)
    return mean(targets * softplus(-logits) + (1 - targets) * softplus(logits))
