"""Ops that move elements without computing: reshape, permute, broadcast, join, split.

Imports the ground floor, `core` and `elementwise`.
`concat` and `split`, `stack` and `unstack` are each other's gradient.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from minigrad.arguments import normalize_axes, normalize_axis, short, sizes_of, whole
from minigrad.arraytype import ArrayType, Shape, promote
from minigrad.core import Op, Value, as_value, declare
from minigrad.errors import ShapeError
from minigrad.ops.elementwise import where

# --- one array ----------------------------------------------------------------------------------------------------


def _reshape_type(x: Any, *, shape: Shape) -> ArrayType:
    if prod(shape) != prod(x.shape):
        raise ShapeError(f"reshape: {prod(x.shape)} elements of shape {list(x.shape)} do not fill shape {list(shape)}.")
    return ArrayType(shape, x.dtype)


_reshape: Op = declare(
    "reshape",
    forward=lambda x, *, shape: np.reshape(x, shape),
    type_rule=_reshape_type,
    vjp=lambda g, _out, _x, shape: (_reshape(g, shape=_x.shape),),
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"shape": (3, 2)}), ((rng.normal(size=(1,)),), {"shape": ()})],
)
_permute: Op = declare(
    "permute_dims",
    forward=lambda x, *, axes: np.transpose(x, axes),
    type_rule=lambda x, *, axes: ArrayType(tuple(x.shape[a] for a in axes), x.dtype),
    vjp=lambda g, _out, _x, axes: (_permute(g, axes=tuple(int(a) for a in np.argsort(axes))),),
    samples=lambda rng: [((rng.normal(size=(2, 3, 4)),), {"axes": (2, 0, 1)})],
)


def _broadcast_type(x: Any, *, shape: Shape) -> ArrayType:
    try:
        fits = np.broadcast_shapes(x.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"broadcast_to: shape {list(x.shape)} does not broadcast to {list(shape)}.")
    return ArrayType(shape, x.dtype)


_broadcast = declare(
    "broadcast_to",
    forward=lambda x, *, shape: np.broadcast_to(x, shape),
    type_rule=_broadcast_type,
    vjp=lambda g, _out, _x, shape: (g,),
    samples=lambda rng: [((rng.normal(size=(3, 1)),), {"shape": (2, 3, 4)}), ((rng.normal(),), {"shape": (2,)})],
    broadcasts=True,
)
_flip: Op = declare(
    "flip",
    forward=lambda x, *, axes: np.flip(x, axes),
    type_rule=lambda x, *, axes: ArrayType(x.shape, x.dtype),
    vjp=lambda g, _out, _x, axes: (_flip(g, axes=axes),),
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"axes": (1,)})],
)

# --- several arrays -----------------------------------------------------------------------------------------------


def _concat_type(*xs: Any, axis: int) -> ArrayType:
    first = xs[0].shape
    for x in xs:
        if len(x.shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(x.shape, first, strict=True)) if i != axis
        ):
            shapes = " with ".join(str(list(x.shape)) for x in xs)
            raise ShapeError(f"concat: shapes must agree but for axis {axis}: {shapes}.")
    return ArrayType((*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]), promote(*xs))


def _split_type(x: Any, *, sizes: tuple[int, ...], axis: int) -> tuple[ArrayType, ...]:
    if sum(sizes) != x.shape[axis]:
        raise ShapeError(f"split: sizes {list(sizes)} add up to {sum(sizes)}, axis {axis} of {list(x.shape)} does not.")
    return tuple(ArrayType((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes)


def _split_forward(x: Any, *, sizes: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    leading = (slice(None),) * axis
    return tuple(x[(*leading, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True))


def _stack_type(*xs: Any, axis: int) -> ArrayType:
    if any(x.shape != xs[0].shape for x in xs):
        raise ShapeError(f"stack: shapes must be equal: {' with '.join(str(list(x.shape)) for x in xs)}.")
    return ArrayType((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]), promote(*xs))


_concat = declare(
    "concat",
    forward=lambda *xs, axis: np.concatenate(xs, axis),
    type_rule=_concat_type,
    vjp=lambda g, _out, *_xs, axis: _split(g, sizes=tuple(x.shape[axis] for x in _xs), axis=axis),
    samples=lambda rng: [((rng.normal(size=(2, 3)), rng.normal(size=(2, 1))), {"axis": 1})],
)
_split: Op = declare(
    "split",
    forward=_split_forward,
    type_rule=_split_type,
    vjp=lambda gs, _outs, _x, sizes, axis: (_concat(*gs, axis=axis),),
    samples=lambda rng: [((rng.normal(size=(2, 5)),), {"sizes": (2, 0, 3), "axis": 1})],
    multiple=True,
)
_stack = declare(
    "stack",
    forward=lambda *xs, axis: np.stack(xs, axis),
    type_rule=_stack_type,
    vjp=lambda g, _out, *_xs, axis: _unstack(g, axis=axis),
    samples=lambda rng: [((rng.normal(size=(2, 3)), rng.normal(size=(2, 3))), {"axis": 1})],
)
_unstack: Op = declare(
    "unstack",
    forward=lambda x, *, axis: tuple(np.moveaxis(x, axis, 0)[i] for i in range(x.shape[axis])),
    type_rule=lambda x, *, axis: (ArrayType((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype),) * x.shape[axis],
    vjp=lambda gs, _outs, _x, axis: (_stack(*gs, axis=axis),),
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"axis": 1})],
    multiple=True,
)

# --- the array API's functions ------------------------------------------------------------------------------------


def reshape(x: Any, shape: int | Sequence[int]) -> Any:
    """The same elements in another shape; one size may be -1."""
    x = as_value(x)
    want = list(sizes_of("reshape", shape, -1))
    if want.count(-1) == 1:
        rest = prod(n for n in want if n != -1)
        if rest and prod(x.shape) % rest == 0:
            want[want.index(-1)] = prod(x.shape) // rest
    if want and min(want) < 0:
        raise ShapeError(f"reshape: shape {list(x.shape)} cannot become {want}.")
    return x if tuple(want) == x.shape else _reshape(x, shape=tuple(want))


def permute_dims(x: Any, axes: Sequence[int]) -> Any:
    """The axes of `x` in another order."""
    x = as_value(x)
    found = tuple(normalize_axis("permute_dims", a, x.ndim) for a in several("permute_dims", "axes", axes))
    if sorted(found) != list(range(x.ndim)):
        raise ShapeError(f"permute_dims: axes {short(axes)} do not name each axis of shape {list(x.shape)} once.")
    return _permute(x, axes=found)


def several(where: str, name: str, values: Any) -> list[Any]:
    """An argument that has to be a list or a tuple, as a list.

    Raises:
        ShapeError: if it is neither.
    """
    if not isinstance(values, (list, tuple)) and not (isinstance(values, np.ndarray) and values.ndim == 1):
        raise ShapeError(f"{where}: {name} must be a list or a tuple, not {short(values)}.")
    return list(values)


def moveaxis(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Any:
    """`x` with one axis, or several, moved to other places."""
    x = as_value(x)
    from_, to = (a if isinstance(a, (list, tuple)) else (a,) for a in (source, destination))
    places = [[normalize_axis("moveaxis", a, x.ndim) for a in axes] for axes in (from_, to)]
    if len(from_) != len(to) or any(len(set(axes)) != len(axes) for axes in places):
        raise ShapeError(f"moveaxis: axes {short(source)} cannot go to {short(destination)}: each axis once, in pairs.")
    axes = [a for a in range(x.ndim) if a not in places[0]]
    for at, a in sorted(zip(places[1], places[0], strict=True)):
        axes.insert(at, a)
    return _permute(x, axes=tuple(axes))


def expand_dims(x: Any, axis: int | tuple[int, ...] = 0) -> Any:
    """`x` with a new axis of size 1, or several."""
    x = as_value(x)
    new = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    found = normalize_axes("expand_dims", new, x.ndim + len(new))
    sizes = iter(x.shape)
    return _reshape(x, shape=tuple(1 if a in found else next(sizes) for a in range(x.ndim + len(new))))


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """`x` without the named axes, which must have size 1 (`None`: all such axes)."""
    x = as_value(x)
    ones = tuple(a for a, n in enumerate(x.shape) if n == 1)
    axes = ones if axis is None else normalize_axes("squeeze", axis, x.ndim)
    if any(a not in ones for a in axes):
        raise ShapeError(f"squeeze: axis {axis} of shape {list(x.shape)} is not of size 1.")
    return _reshape(x, shape=tuple(n for a, n in enumerate(x.shape) if a not in axes))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """`x` repeated to `shape` by NumPy's rule."""
    x, shape = as_value(x), sizes_of("broadcast_to", shape)
    return x if x.shape == shape else _broadcast(x, shape=shape)


def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """`x` with the order along `axis` reversed (`None`: along all)."""
    x = as_value(x)
    return _flip(x, axes=normalize_axes("flip", axis, x.ndim))


def arrays(where: str, xs: Any) -> list[Any]:
    """The values in a list, a tuple, or along the first axis of an array."""
    return (
        list(unstack(xs))
        if isinstance(xs, (Value, np.ndarray))
        else [as_value(x) for x in several(where, "arrays", xs)]
    )


def concat(xs: Sequence[Any], axis: int | None = 0) -> Any:
    """Join arrays along an axis they have (`None`: flatten first)."""
    values = arrays("concat", xs)
    if not values:
        raise ShapeError("concat: needs at least one array.")
    if axis is None:
        values, axis = [reshape(x, (-1,)) for x in values], 0
    return _concat(*values, axis=normalize_axis("concat", axis, values[0].ndim))


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """Join arrays of equal shape along a new axis."""
    values = arrays("stack", xs)
    if not values:
        raise ShapeError("stack: needs at least one array.")
    return _stack(*values, axis=normalize_axis("stack", axis, values[0].ndim + 1))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut into that many equal parts, or before each of the given indices, as `numpy.split`."""
    x = as_value(x)
    axis = normalize_axis("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        marks = [
            0,
            *(
                slice(0, whole("split", "an index", i)).indices(n)[1]
                for i in several("split", "indices", indices_or_sections)
            ),
            n,
        ]
        sizes = tuple(b - a for a, b in zip(marks, marks[1:], strict=False))
        if min(sizes) < 0:
            raise ShapeError(f"split: indices {list(indices_or_sections)} must not decrease.")
    else:
        parts = whole("split", "indices_or_sections", indices_or_sections, 1)
        if n % parts:
            raise ShapeError(f"split: axis {axis} of {list(x.shape)} has {n} elements, not {short(parts)} equal parts.")
        sizes = (n // parts,) * parts
    return list(_split(x, sizes=sizes, axis=axis))


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, each without it."""
    x = as_value(x)
    return tuple(_unstack(x, axis=normalize_axis("unstack", axis, x.ndim)))


def roll(x: Any, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Any:
    """`x` shifted along axes; what falls off one end comes in at the other (`None`: shift the flattened array)."""
    x = as_value(x)
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, 0), x.shape)
    shifts, axes = (list(v) if isinstance(v, (list, tuple)) else [v] for v in (shift, axis))
    pairs = max(len(shifts), len(axes))
    if {len(shifts), len(axes)} - {1, pairs}:
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes. Give one, or as many as there are axes.")
    for by, a in zip(shifts * (pairs // len(shifts)), axes * (pairs // len(axes)), strict=True):
        a, by = normalize_axis("roll", a, x.ndim), whole("roll", "shift", by)
        n = x.shape[a]
        cut = (n - by) % n if n else 0
        left, right = _split(x, sizes=(cut, n - cut), axis=a)
        x = _concat(right, left, axis=a)
    return x


def tril(x: Any, k: int = 0) -> Any:
    """`x` with zeros above the k-th diagonal of its last two axes."""
    x = as_value(x)
    return where(_triangle("tril", x, k), x, _zero(x))


def triu(x: Any, k: int = 0) -> Any:
    """`x` with zeros below the k-th diagonal of its last two axes."""
    x = as_value(x)
    return where(_triangle("triu", x, whole("triu", "k", k) - 1), _zero(x), x)


def _triangle(name: str, x: Any, k: int) -> Any:
    """[m, n] of booleans: on or below the k-th diagonal."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: needs two dimensions or more, not shape {list(x.shape)}.")
    return np.tri(x.shape[-2], x.shape[-1], max(-x.shape[-2], min(whole(name, "k", k), x.shape[-1])), dtype=bool)


def _zero(x: Any) -> Any:
    return {"f": 0.0, "b": False}.get(x.dtype.kind, 0)
