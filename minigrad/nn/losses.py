"""Losses: one number from outputs and targets, as torch.nn.functional has them. Imports `layers` and the floors below.

What does not count (an ignored target, a weight of 0) is left out before anything is computed, so that whatever stands
there, infinity and NaN included, reaches neither the loss nor a gradient.
"""

from typing import Any

import numpy as np

from minigrad.arraytype import ArrayType, broadcast_shapes, show
from minigrad.core import as_value
from minigrad.errors import DtypeError, GradientError, ShapeError, UsageError
from minigrad.nn.layers import is_integer, one_value
from minigrad.ops.elementwise import (
    astype,
    equal,
    isfinite,
    logical_and,
    logical_not,
    not_equal,
    square,
    where,
)
from minigrad.ops.reduce import any as any_
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import reshape
from minigrad.ops.smooth import softplus
from minigrad.ops.softmax import cross_entropy_rows, log_softmax

Array = np.ndarray[Any, Any]


def cross_entropy(logits: Any, targets: Any, *, weight: Any = None, ignore_index: int | None = None,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Any:  # fmt: skip
    """-log softmax(logits)[target];  logits [..., C], targets integers [...], or each class's chance, floats [..., C].

    Args:
        logits: scores of C classes, in the last axis.
        targets: the right class, or the chances of all of them.
        weight: of each class, [C].
        ignore_index: positions with this target do not count.
        reduction: "mean" over the positions that count, by the weights of their targets (over all positions for
            chances), 0 if none counts; "sum"; or "none", [...].
        label_smoothing: share ε of each target that is spread over all classes, 0 to 1 (Szegedy et al. 2016).

    Raises:
        ShapeError: if the shapes differ, or a target is not in 0 .. C - 1.
        DtypeError: if the targets are neither integers nor the chances of each class.
    """
    logits, targets = _floats("cross_entropy", logits), one_value("cross_entropy", targets)
    check_reduction("cross_entropy", reduction)
    if not logits.ndim or not logits.shape[-1]:
        raise ShapeError(f"cross_entropy takes logits [..., C] of at least one class, not {show(logits)}.")
    if ignore_index is not None and not is_integer(ignore_index):
        raise UsageError(f"cross_entropy: ignore_index is an integer or None, not {ignore_index!r}.")
    if not isinstance(label_smoothing, (int, float, np.floating)) or not 0 <= label_smoothing <= 1:
        raise UsageError(f"cross_entropy: label_smoothing must be from 0 to 1, not {label_smoothing!r}.")
    shape, classes = logits.shape[:-1], logits.shape[-1]
    by_class = None if weight is None else _weights("cross_entropy: weight", weight, (classes,), logits.dtype)
    if by_class is not None and by_class.shape != (classes,):
        raise ShapeError(f"cross_entropy: weight must be one number a class, [{classes}], not {list(by_class.shape)}.")
    if targets.dtype.kind == "f" and targets.shape == logits.shape:
        if ignore_index is not None:
            raise UsageError("cross_entropy: ignore_index goes with integer targets. Give those rows chances of 0.")
        spread = float(label_smoothing)
        chances = astype(targets, logits.dtype) * (1 - spread) + spread / classes
        losses = _expected(logits, chances if by_class is None else chances * by_class)
        return reduce_loss(losses, reduction, losses.size or 1)
    if targets.dtype.kind not in "iu":
        raise DtypeError(
            f"cross_entropy: targets are integers {list(shape)}, or each class's chance, floats {list(logits.shape)}, "
            f"not {show(targets)}."
        )
    if shape != targets.shape:
        raise ShapeError(f"cross_entropy: logits {show(logits)} want targets {list(shape)}, not {show(targets)}.")
    losses, total = _of_classes(logits, targets.numpy().reshape(-1), by_class, ignore_index, float(label_smoothing))
    return reduce_loss(reshape(losses, shape), reduction, total or 1)


def _of_classes(logits: Any, targets: Array, by_class: Any, ignore: int | None, spread: float) -> tuple[Any, float]:
    """logits [..., C], targets [R] -> losses [R], zero where nothing counts, and what a mean divides by."""
    classes = logits.shape[-1]
    counted = np.ones(targets.shape, bool) if ignore is None else targets != ignore
    kept = targets[counted]
    if kept.size and not 0 <= kept.min() <= kept.max() < classes:
        raise ShapeError(
            f"cross_entropy: targets reach from {kept.min()} to {kept.max()}, classes from 0 to {classes - 1}."
        )
    targets = np.where(counted, targets, 0)
    by_row = None if by_class is None else by_class[targets]
    total = kept.size if by_row is None else float(by_row[counted].sum())
    if by_row is not None and not spread:
        counted &= by_row != 0
    rows, partly = reshape(logits, (targets.size, classes)), not counted.all()
    if partly:
        rows = where(counted[:, None], rows, 0.0)
    if spread:
        hit = (targets[:, None] == np.arange(classes)) * (1 - spread) * (1 if by_row is None else by_row[:, None])
        chances = hit + spread / classes * (1 if by_class is None else by_class)
        losses = _expected(rows, as_value(chances.astype(logits.dtype)))
    else:
        losses = cross_entropy_rows(rows, targets)
        losses = losses if by_row is None else losses * by_row
    return where(counted, losses, 0.0) if partly else losses, total


def _expected(logits: Any, chances: Any) -> Any:
    """[..., C], [..., C] -> [...]: -Σ p log softmax(x); a class that cannot be, and is not, adds nothing, nor a row
    without chances.
    """
    logs = log_softmax(where(any_(not_equal(chances, 0), axis=-1, keepdims=True), logits, 0.0))
    nothing = logical_and(equal(chances, 0), logical_not(isfinite(logs)))
    return -sum_(chances * where(nothing, 0.0, logs), axis=-1)


def mse_loss(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """(prediction - target)²; equal shapes. reduction: "mean", "sum", or "none" for each element's.

    Raises:
        ShapeError: if the shapes differ.
    """
    predictions, targets = _same_shape("mse_loss", predictions, targets)
    check_reduction("mse_loss", reduction)
    return reduce_loss(square(predictions - targets), reduction, predictions.size)


def binary_cross_entropy_with_logits(logits: Any, targets: Any, *, weight: Any = None, pos_weight: Any = None,
                                     reduction: str = "mean") -> Any:  # fmt: skip
    """-t log σ(x) - (1 - t) log(1 - σ(x)), without overflow; equal shapes.

    Args:
        logits: x, any shape.
        targets: t, from 0 to 1.
        weight: of each element; broadcasts to the logits' shape.
        pos_weight: a factor of the first term; broadcasts to the logits' shape.
        reduction: "mean" over all elements, "sum", or "none" for each element's.

    Raises:
        ShapeError: if the shapes differ, or a weight does not broadcast to them.
    """
    name = "binary_cross_entropy_with_logits"
    logits, targets = _same_shape(name, logits, targets)
    check_reduction(name, reduction)
    if weight is not None:
        weight = _weights(f"{name}: weight", weight, logits.shape, logits.dtype)
        logits, targets = (where(weight == 0, 0.0, x) for x in (logits, targets))
    positive = targets
    if pos_weight is not None:
        positive = targets * _weights(f"{name}: pos_weight", pos_weight, logits.shape, logits.dtype)
    losses = positive * softplus(-logits) + (1 - targets) * softplus(logits)
    return reduce_loss(losses if weight is None else losses * weight, reduction, losses.size)


def check_reduction(name: str, reduction: Any) -> None:
    """Raise UsageError unless it is one of the three."""
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise UsageError(f"{name}: reduction is mean, sum or none, not {reduction!r}.")


def reduce_loss(losses: Any, reduction: str, total: float) -> Any:
    """The losses themselves, their sum, or that over `total`."""
    return losses if reduction == "none" else sum_(losses) if reduction == "sum" else sum_(losses) / total


def _floats(name: str, x: Any) -> Any:
    x = one_value(name, x)
    return x if x.dtype.kind == "f" else astype(x, np.float64)


def _same_shape(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Both as floats: what a loss compares element by element."""
    x, y = _floats(name, x), one_value(name, y)
    if x.shape != y.shape:
        raise ShapeError(
            f"{name}: {show(x)} against targets {show(y)}; the shapes must be equal, nothing is broadcast."
        )
    return x, y if y.dtype.kind == "f" else astype(y, x.dtype)


def _weights(name: str, given: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Weights that broadcast to a shape, in the dtype of what they weigh."""
    value = as_value(given)
    if getattr(value, "requires_grad", False):
        raise GradientError(f"{name} is a constant of the loss and gets no gradient. Use .detach().")
    if value.dtype.kind not in "iuf":
        raise DtypeError(f"{name} must be numbers, not {value.dtype}.")
    if broadcast_shapes(name, value, ArrayType(shape, dtype)) != shape:
        raise ShapeError(f"{name} must broadcast to {list(shape)}, and {show(value)} does not.")
    return value.numpy().astype(dtype)
