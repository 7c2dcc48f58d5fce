"""Gradient checks: the derived gradient against finite differences.

Imports the library below it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.eager import tensor
from minigrad.errors import GradientError
from minigrad.functional import grad
from minigrad.mode import no_grad
from minigrad.ops.reduce import sum as sum_
from minigrad.tree import flatten
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]
STEP = 1e-6  # of a central difference in float64: error about 1e-10, so a rule wrong by 0.05 % stands out
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Report:
    """What was compared: `checks` partial derivatives, the largest `error` relative to the gradient's size."""

    checks: int
    error: float


def check_grads(f: Callable[..., Any], *arrays: Any, order: int = 1, seed: int = 0) -> Report:
    """Compare the gradient of `f` with central differences, in float64, under a random cotangent.

    Args:
        f: a function of Tensors that returns a Tensor or a nest of them.
        arrays: its arguments; those of floats are differentiated.
        order: 2 compares the gradient's own gradient as well.
        seed: of the cotangent.

    Returns:
        A Report.

    Raises:
        GradientError: naming the argument, the element and both figures, if they differ.
    """
    rng = np.random.default_rng(seed)
    points = [np.array(a, np.float64 if np.asarray(a).dtype.kind == "f" else None) for a in arrays]
    numbers = [i for i, p in enumerate(points) if p.dtype.kind == "f"]
    weights: list[Array] = []

    def weighed(*values: Any) -> Any:
        """A random sum of all results, so that every element counts differently."""
        leaves = [leaf for leaf in flatten(f(*values))[0] if leaf.dtype.kind == "f"]
        weights.extend(rng.normal(size=leaf.shape) for leaf in leaves[len(weights) :])
        return sum(
            (sum_(leaf * tensor(w)) for leaf, w in zip(leaves, weights, strict=True)), start=tensor(0.0, dtype="f8")
        )

    report = _compare(weighed, points, numbers)
    if order < 2:
        return report
    first = grad(weighed, numbers)
    second = check_grads(lambda *values: first(*values), *points, seed=seed + 1)
    return Report(report.checks + second.checks, max(report.error, second.error))


def _compare(f: Callable[..., Any], points: list[Array], numbers: list[int]) -> Report:
    derived = [g.numpy() for g in grad(f, numbers)(*points)] if numbers else []
    checks, worst = 0, 0.0
    for n, g in zip(numbers, derived, strict=True):
        scale = max(1.0, float(np.abs(g).max(initial=0.0)))
        for at in np.ndindex(points[n].shape):
            measured = _difference(f, points, n, at)
            error = abs(measured - float(g[at])) / scale
            checks, worst = checks + 1, max(worst, error)
            if not error < TOLERANCE:
                raise GradientError(
                    f"the gradient for argument {n}, element {list(at)}, is {float(g[at]):.9g}; a central difference "
                    f"gives {measured:.9g}. Look at the vjp of the ops on its way."
                )
    return Report(checks, worst)


def _difference(f: Callable[..., Any], points: list[Array], n: int, at: tuple[int, ...]) -> float:
    values = []
    for sign in (1, -1):
        moved = [p.copy() for p in points]
        moved[n][at] += sign * STEP
        with no_grad():
            values.append(f(*map(Tensor, moved)).item())
    return (values[0] - values[1]) / (2 * STEP)
