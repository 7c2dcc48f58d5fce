"""Softmax and its kin: what is divided by a sum of exponentials, or by the spread of a row.

Imports the ground floor, `core`, the kernels, `elementwise`, `shape` and `reduce`. They have Numba kernels for the last
axis where `benchmarks/kernels.py` shows that they win.
"""

from typing import Any

import numpy as np

from minigrad.arguments import flag, normalize_axes, normalize_axis
from minigrad.arraytype import ArrayType, Shape
from minigrad.core import OPS, as_value, declare
from minigrad.kernels import rows
from minigrad.ops import elementwise as el
from minigrad.ops.reduce import Axis, max, mean, reduced, sum, var
from minigrad.ops.shape import moveaxis, reshape


def _row_type(x: Any, **_metadata: Any) -> ArrayType:
    el.require_floating("a softmax or norm", x)
    return ArrayType(x.shape, x.dtype)


def _row_samples(rng: np.random.Generator) -> Any:
    return [((rng.normal(size=(2, 3)),), {}), ((rng.normal(size=(5,)),), {})]


_softmax = declare(
    "softmax",
    forward=rows.softmax,
    type_rule=_row_type,
    vjp=lambda g, out, _x: (out * (g - sum(g * out, axis=-1, keepdims=True)),),
    expand=lambda x: (e := el.exp(x - max(x, -1, keepdims=True))) / sum(e, -1, keepdims=True),
    samples=_row_samples,
)


def _rest(less: Any, axis: Axis) -> Any:
    """The sum of exp(less) less 1, where the largest of them is 0: beside its 1 a small rest would lose its digits.

    Choices, not differences: generated code may add in another order.
    """
    is_top = el.equal(less, 0)
    some = sum(el.where(is_top, 0.0, el.exp(less)), axis, keepdims=True)
    ties = sum(el.astype(is_top, less.dtype), axis, keepdims=True)
    return some + el.where(el.equal(ties, 1), 0.0, ties - 1)


def _log_softmax_vjp(g: Any, out: Any, _x: Any) -> tuple[Any]:
    """g - p sum(g), each element's own part of it as g (1 - p): where p is near 1 that is all there is."""
    others = sum(g, axis=-1, keepdims=True) - g
    return (-g * el.expm1(out) - el.exp(out) * others,)


_log_softmax = declare(
    "log_softmax",
    forward=rows.log_softmax,
    type_rule=_row_type,
    vjp=_log_softmax_vjp,
    expand=lambda x: (s := x - max(x, -1, keepdims=True)) - el.log1p(_rest(s, -1)),
    samples=_row_samples,
)


def _logsumexp_type(x: Any, *, axes: Shape) -> ArrayType:
    el.require_floating("logsumexp", x)
    found: ArrayType = OPS["max"].type_rule(x, axes=axes, keepdims=True)
    return found


def _logsumexp_expand(x: Any, *, axes: Shape) -> Any:
    top = max(x, axes, keepdims=True)
    top = el.where(el.isfinite(top), top, 0.0)
    return el.log1p(_rest(x - top, axes)) + top


_logsumexp = declare(
    "logsumexp",
    forward=rows.logsumexp,
    type_rule=_logsumexp_type,
    vjp=lambda g, out, x, axes: (g * el.exp(x - out),),
    expand=_logsumexp_expand,
    samples=lambda rng: [((rng.normal(size=(2, 3, 4)),), {"axes": axes}) for axes in ((1,), (0, 2), (0, 1, 2))],
)


def _standardize_vjp(g: Any, out: Any, x: Any, eps: float) -> tuple[Any]:
    """[.., n] -> [.., n]: (g - mean(g) - out mean(g out)) / sqrt(var(x) + eps)."""
    centred = g - mean(g, axis=-1, keepdims=True) - out * mean(g * out, axis=-1, keepdims=True)
    return (centred / el.sqrt(var(x, axis=-1, keepdims=True) + eps),)


standardize = declare(
    "standardize",
    forward=rows.standardize,
    type_rule=_row_type,
    vjp=_standardize_vjp,
    expand=lambda x, eps: (c := x - mean(x, -1, keepdims=True)) / el.sqrt(mean(c * c, -1, keepdims=True) + eps),
    samples=lambda rng: [((rng.normal(size=(2, 4)),), {"eps": 1e-5})],
)


def _cross_entropy_vjp(g: Any, out: Any, x: Any, targets: Any) -> tuple[Any, None]:
    """[R] -> [R, C]: softmax, less 1 at the target, where it is exp(-out)."""
    hit = el.equal(reshape(targets, (-1, 1)), np.arange(x.shape[1]))
    return el.where(hit, el.expm1(-reshape(out, (-1, 1))), _softmax(x)) * reshape(g, (-1, 1)), None


# x [R, C], targets [R] in 0 .. C - 1 -> [R]
cross_entropy_rows = declare(
    "cross_entropy",
    forward=rows.cross_entropy,
    type_rule=lambda x, targets: ArrayType(x.shape[:1], x.dtype),
    vjp=_cross_entropy_vjp,
    samples=lambda rng: [((rng.normal(size=(3, 4)), np.array([0, 3, 1])), {})],
)

# --- by their names ---------------------------------------------------------------------------------------------


def _on_last_axis(op: Any, x: Any, axis: int) -> Any:
    x = el.astype(x, np.float64) if (x := as_value(x)).dtype.kind != "f" else x
    axis = normalize_axis(op.name, axis, x.ndim)
    return op(x) if axis == x.ndim - 1 else moveaxis(op(moveaxis(x, axis, -1)), -1, axis)


def softmax(x: Any, axis: int = -1) -> Any:
    """`exp(x)` over its sum along an axis, without overflow."""
    return _on_last_axis(_softmax, x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of `softmax`, without its loss of digits."""
    return _on_last_axis(_log_softmax, x, axis)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """`log(sum(exp(x)))` over axes, without overflow; `-inf` where every element is `-inf`."""
    x = el.astype(x, np.float64) if (x := as_value(x)).dtype.kind != "f" else x
    axes = normalize_axes("logsumexp", axis, x.ndim)
    total = _logsumexp(x, axes=axes)
    return total if flag("logsumexp", "keepdims", keepdims) else reshape(total, reduced(x, axes, False))
