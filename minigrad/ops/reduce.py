"""Ops that take an axis away, or run along it. NumPy's semantics.

Imports the ground floor, `core`, and the op files before it.
"""

from math import nan
from typing import Any

import numpy as np

from minigrad.arguments import flag, normalize_axes, normalize_axis, number
from minigrad.arraytype import ArrayType, Shape
from minigrad.core import as_value, declare
from minigrad.errors import ShapeError
from minigrad.ops import elementwise as el
from minigrad.ops.shape import broadcast_to, concat, flip, moveaxis, reshape

Axis = int | tuple[int, ...] | None


def _kept(shape: Shape, axes: Shape) -> Shape:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def reduced(x: Any, axes: Shape, keepdims: bool) -> Shape:
    """The shape without some axes, or with size 1 there."""
    return _kept(x.shape, axes) if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)


def _spread(g: Any, x: Any, axes: Shape) -> Any:
    """[reduced] -> [like x]: undo a reduction by repeating."""
    return broadcast_to(reshape(g, _kept(x.shape, axes)), x.shape)


def _samples(rng: np.random.Generator) -> Any:
    x = rng.normal(size=(2, 3, 4))
    return [
        ((x,), {"axes": (1,), "keepdims": False}),
        ((x,), {"axes": (0, 2), "keepdims": True}),
        ((x,), {"axes": (0, 1, 2), "keepdims": False}),
    ]


# How a reduction begins, and how it takes one more element `x` to what it has, `a`: for generated code.
START = {"sum": "{t}(0)", "max": "{t}({least})", "min": "{t}({most})", "all": "True", "any": "False"}
STEP = {
    "sum": "{a} + {x}",
    "max": "{x} if {x} > {a} or {x} != {x} else {a}",
    "min": "{x} if {x} < {a} or {x} != {x} else {a}",
    "all": "{a} and {x}",
    "any": "{a} or {x}",
}


def start_of(kind: str, dtype: np.dtype[Any]) -> str:
    """What a reduction begins with, in a dtype."""
    if dtype.kind == "b":
        return START[kind].format(t="bool", least=False, most=True)
    if dtype.kind == "f":
        return START[kind].format(t=dtype.name, least="-np.inf", most="np.inf")
    ends = np.iinfo(dtype)
    return START[kind].format(t=dtype.name, least=f"{ends.min + 1} - 1", most=ends.max)  # -2^63 is no literal


def _reduction(name: str, ufunc: Any, vjp: Any, dtype: Any = None) -> Any:
    def type_rule(x: Any, *, axes: Shape, keepdims: bool) -> ArrayType:
        if name in ("max", "min") and 0 in [x.shape[a] for a in axes]:
            raise ShapeError(f"{name}: shape {list(x.shape)} has no element along axis {axes}.")
        found = np.sum(np.empty(0, x.dtype)).dtype if name == "sum" else dtype or x.dtype
        return ArrayType(reduced(x, axes, keepdims), np.dtype(found))

    return declare(
        name,
        forward=lambda x, *, axes, keepdims: ufunc.reduce(x, axis=axes, keepdims=keepdims),
        type_rule=type_rule,
        vjp=vjp,
        samples=_samples,
    )


def _extreme_vjp(g: Any, out: Any, x: Any, axes: Shape, keepdims: bool) -> tuple[Any]:
    hit = el.astype(el.equal(x, _spread(out, x, axes)), x.dtype)  # ties share the gradient evenly, as torch.amax
    share = hit / sum(hit, axis=axes, keepdims=True)
    return (share * _spread(g, x, axes),)


_sum = _reduction("sum", np.add, lambda g, _out, _x, axes, keepdims: (_spread(g, _x, axes),))
_max = _reduction("max", np.maximum, _extreme_vjp)
_min = _reduction("min", np.minimum, _extreme_vjp)
_all = _reduction("all", np.logical_and, None, dtype=bool)
_any = _reduction("any", np.logical_or, None, dtype=bool)


def _arg_type(x: Any, *, axis: int) -> ArrayType:
    if x.shape[axis] == 0:
        raise ShapeError(f"argmax, argmin: shape {list(x.shape)} has no element along axis {axis}.")
    return ArrayType(tuple(n for i, n in enumerate(x.shape) if i != axis), np.dtype(np.intp))


def _arg_samples(rng: np.random.Generator) -> Any:
    return [((rng.normal(size=(2, 3)),), {"axis": 1})]


_argmax = declare(
    "argmax",
    forward=lambda x, *, axis: np.argmax(x, axis),
    type_rule=_arg_type,
    vjp=None,
    samples=_arg_samples,
)
_argmin = declare(
    "argmin",
    forward=lambda x, *, axis: np.argmin(x, axis),
    type_rule=_arg_type,
    vjp=None,
    samples=_arg_samples,
)
_cumulative_sum = declare(
    "cumulative_sum",
    forward=lambda x, *, axis: np.cumsum(x, axis),
    type_rule=lambda x, *, axis: ArrayType(x.shape, np.sum(np.empty(0, x.dtype)).dtype),
    vjp=lambda g, _out, _x, axis: (_backwards_sum(g, axis),),
    samples=_arg_samples,
)


def _backwards_sum(g: Any, axis: int) -> Any:
    return flip(_cumulative_sum(flip(g, axis), axis=axis), axis)


# --- the array API's functions ------------------------------------------------------------------------------------


def _call(op: Any, x: Any, axis: Axis, keepdims: bool, dtype: Any = None) -> Any:
    x = as_value(x)
    found = op(
        x,
        axes=normalize_axes(op.name, axis, x.ndim),
        keepdims=flag(op.name, "keepdims", keepdims),
    )
    return found if dtype is None else el.astype(found, dtype)


def sum(x: Any, axis: Axis = None, keepdims: bool = False, *, dtype: Any = None) -> Any:
    """Sum over axes, of small integers in 64 bits, or in the dtype asked for."""
    return _call(_sum, x if dtype is None else el.astype(x, dtype), axis, keepdims, dtype)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element over axes; equal ones share the gradient."""
    return _call(_max, x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element over axes; equal ones share the gradient."""
    return _call(_min, x, axis, keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether every element over axes is true."""
    return _call(_all, x, axis, keepdims)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether some element over axes is true."""
    return _call(_any, x, axis, keepdims)


def _count(x: Any, axis: Axis) -> int:
    return int(np.prod([x.shape[a] for a in normalize_axes("mean", axis, x.ndim)], dtype=np.int64))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Arithmetic mean over axes; of integers in float64."""
    x = as_value(x) if as_value(x).dtype.kind == "f" else el.astype(x, np.float64)
    return sum(x, axis, keepdims) / _count(x, axis)


def var(x: Any, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Mean squared distance to the mean, over `count - correction`; NaN where that is not above 0."""
    x = as_value(x) if as_value(x).dtype.kind == "f" else el.astype(x, np.float64)
    free = _count(x, axis) - number("var", "correction", correction)
    return sum(el.square(x - mean(x, axis, keepdims=True)), axis, keepdims) / (free if free > 0 else nan)


def std(x: Any, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Square root of `var`; where the variance is 0 the gradient is 0."""
    v = var(x, axis, correction, keepdims)
    flat = el.equal(v, 0)
    return el.where(flat, 0.0, el.sqrt(el.where(flat, 1.0, v)))


def prod(x: Any, axis: Axis = None, keepdims: bool = False, *, dtype: Any = None) -> Any:
    """Product over axes, multiplied in pairs, so that a zero among the factors has the right gradient."""
    x = as_value(x)
    axes = normalize_axes("prod", axis, x.ndim)
    shape = reduced(x, axes, flag("prod", "keepdims", keepdims))
    x = el.astype(x, np.prod(np.empty(0, x.dtype)).dtype if dtype is None else dtype)
    for a in axes:  # the reduced axes go last, as one
        x = moveaxis(x, a - axes.index(a), -1)
    x = reshape(x, (*x.shape[: x.ndim - len(axes)], int(np.prod(x.shape[x.ndim - len(axes) :], dtype=np.int64))))
    if x.shape[-1] == 0:
        return reshape(el.astype(sum(x, -1) + 1, x.dtype), shape)
    while (n := x.shape[-1]) > 1:
        half, rest = x[..., : n // 2] * x[..., n // 2 : n - n % 2], x[..., n - n % 2 :]
        x = half if n % 2 == 0 else el.multiply(half, _padded_one(rest, n // 2))
    return reshape(x, shape)


def _padded_one(rest: Any, n: int) -> Any:
    """[.., 1] -> [.., n]: the odd factor, followed by ones."""
    ones = np.ones((*rest.shape[:-1], n - 1), rest.dtype)
    return concat([rest, ones], axis=-1)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the first largest element along an axis (`None`: of the flattened array)."""
    return _arg(_argmax, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Index of the first smallest element along an axis (`None`: of the flattened array)."""
    return _arg(_argmin, x, axis, keepdims)


def _arg(op: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    x, keepdims = as_value(x), flag(op.name, "keepdims", keepdims)
    if axis is None:
        found = op(reshape(x, (-1,)), axis=0)
        return reshape(found, (1,) * x.ndim) if keepdims else found
    axis = normalize_axis(op.name, axis, x.ndim)
    found = op(x, axis=axis)
    return reshape(found, _kept(x.shape, (axis,))) if keepdims else found


def cumulative_sum(x: Any, axis: int | None = None, *, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running sum along an axis, which only a one-dimensional `x` may leave out; with `include_initial` from 0 on."""
    x = as_value(x) if dtype is None else el.astype(x, dtype)
    if axis is None:
        if x.ndim != 1:
            raise ShapeError(f"cumulative_sum: say along which axis of shape {list(x.shape)}.")
        axis = 0
    axis = normalize_axis("cumulative_sum", axis, x.ndim)
    if flag("cumulative_sum", "include_initial", include_initial):
        x = concat([np.zeros((*x.shape[:axis], 1, *x.shape[axis + 1 :]), x.dtype), x], axis)
    found = _cumulative_sum(x, axis=axis)
    return found if dtype is None else el.astype(found, dtype)
