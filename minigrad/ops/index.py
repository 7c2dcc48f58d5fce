"""Ops that pick elements by position, and put them back: indexing, take, one-hot.

Imports the ground floor, `core`, the kernels, `elementwise` and `shape`. `getitem` and `put` are each other's gradient.
"""

from math import prod
from typing import Any

import numpy as np

from minigrad.arguments import in_memory, normalize_axis, said, short, whole
from minigrad.arraytype import ArrayType, Shape
from minigrad.core import Op, Value, as_value, declare
from minigrad.errors import DtypeError, ShapeError
from minigrad.kernels import rows
from minigrad.ops.elementwise import astype, equal
from minigrad.ops.shape import expand_dims, reshape

ARRAY = "array"  # in a key: the next index array stands here
Key = tuple[Any, ...]


def _filled(key: Key, indices: tuple[Any, ...]) -> Key:
    """The key that NumPy takes: index arrays put where the template says."""
    rest = iter(indices)
    return tuple(next(rest) if part is ARRAY else part for part in key)


def _getitem_type(x: Any, *indices: Any, key: Key) -> ArrayType:
    # A zero-stride view of one element knows the answer without any memory.
    try:
        probe = np.broadcast_to(np.empty((), x.dtype), x.shape)
        zeros = tuple(np.zeros(i.shape, i.dtype) for i in indices)
        return ArrayType(probe[_filled(key, zeros)].shape, x.dtype)
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"indexing {x.dtype}{list(x.shape)}: {said(error)}.") from None


def _put_forward(g: Any, *indices: Any, key: Key, shape: Shape) -> Any:
    out = np.zeros(shape, g.dtype)
    if not indices:
        out[key] = g
    elif key[0] is ARRAY and len(indices) == 1 and all(part == slice(None) for part in key[1:]):
        rows.add_rows(out, indices[0], g)
    else:
        np.add.at(out, _filled(key, indices), g)
    return out


def _getitem_samples(rng: np.random.Generator) -> Any:
    x = rng.normal(size=(3, 4, 2))
    i, j = np.array([[0, 2], [2, -1]]), np.array([1, 3])
    return [
        ((x,), {"key": (1, slice(None, None, 2))}),
        ((x,), {"key": (Ellipsis, None, 0)}),
        ((x, i), {"key": (ARRAY,)}),
        ((x, i, j), {"key": (ARRAY, ARRAY)}),
        ((x, j), {"key": (slice(0, 2), ARRAY)}),
    ]


_getitem = declare(
    "getitem",
    forward=lambda x, *indices, key: np.asarray(x[_filled(key, indices)]),
    type_rule=_getitem_type,
    vjp=lambda g, _out, _x, *indices, key: (_put(g, *indices, key=key, shape=_x.shape), *(None for _ in indices)),
    samples=_getitem_samples,
)
_put: Op = declare(
    "put",
    forward=_put_forward,
    type_rule=lambda g, *indices, key, shape: ArrayType(shape, g.dtype),
    vjp=lambda g, _out, _g, *indices, key, shape: (_getitem(g, *indices, key=key), *(None for _ in indices)),
    samples=lambda rng: [
        ((rng.normal(size=(2, 2)), np.array([2, 2])), {"key": (ARRAY,), "shape": (3, 2)}),
        ((rng.normal(size=(2,)),), {"key": (1,), "shape": (3, 2)}),
    ],
)


def _within_forward(x: Any, *, low: int, high: int, what: str) -> Any:
    if x.size and not low <= x.min() <= x.max() <= high:
        raise ShapeError(f"{what}: indices reach from {x.min()} to {x.max()}, and must be from {low} to {high}.")
    return x


# Integers, after a look at whether each is from `low` to `high`; `what` they are for stands in the message.
within = declare(
    "within",
    forward=_within_forward,
    type_rule=lambda x, *, low, high, what: ArrayType(x.shape, x.dtype),
    vjp=None,
    samples=lambda rng: [((np.array([0, 2]),), {"low": 0, "high": 2, "what": "a look-up"})],
)


def getitem(x: Any, key: Any) -> Any:
    """`x[key]` with ints, slices, `...`, `None`, integer arrays, masks; gradients of a repeated index add up."""
    parts: list[Any] = []
    indices: list[Any] = []
    for part in key if isinstance(key, tuple) else (key,):
        if part is None or part is Ellipsis or isinstance(part, slice):
            parts.append(part)
        elif isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_)):
            parts.append(int(part))
        else:
            for array in _index_arrays(_beside(part, x, parts)):
                parts.append(ARRAY)
                indices.append(array)
    return _getitem(x, *indices, key=tuple(parts))


def _beside(part: Any, x: Any, before: list[Any]) -> Any:
    """A part of a key for `x`: a mask must have its sizes; an index from another device goes where `x` is."""
    if isinstance(part, Value) and part.is_known and getattr(x, "device", None) not in (None, part.device):
        part = np.asarray(part)
    mask = part if isinstance(part, Value) else _numbers(part)
    if mask.dtype.kind not in "biu":
        raise DtypeError(f"indices must be integers, booleans, slices, `...` or None, not {short(part)}.")
    axis = sum(k is not None for k in before)
    if mask.dtype.kind == "b" and (not mask.shape or Ellipsis not in [k for k in before if k is not ARRAY]):
        sizes = (x.shape if isinstance(x, Value) else np.shape(x))[axis : axis + len(mask.shape)]
        if not mask.shape or tuple(sizes) != tuple(mask.shape):
            raise ShapeError(f"indexing: a mask {list(mask.shape)} does not fit axis {axis} of shape {list(x.shape)}.")
    return part


def _numbers(part: Any) -> Any:
    """A part of a key as an array of NumPy; of an empty list one of integers."""
    try:
        return np.asarray(part, dtype=np.intp if isinstance(part, list) and not part else None)
    except ValueError:
        raise ShapeError(f"indexing: the rows of {short(part)} must all have the same length.") from None


def _index_arrays(part: Any) -> list[Any]:
    value: Any = part if isinstance(part, Value) else _numbers(part)
    if value.dtype.kind != "b":
        return [as_value(value)]
    return [as_value(found) for found in np.nonzero(value if isinstance(value, np.ndarray) else value.numpy())]


def _integers(name: str, indices: Any) -> Any:
    value = as_value(indices)
    if value.dtype.kind not in "iu":
        raise DtypeError(f"{name}: indices must be integers, not {value.dtype}.")
    return value


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements of `x` at integer positions along an axis (`None`: of the flattened array)."""
    x = as_value(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = normalize_axis("take", axis, x.ndim)
    return _getitem(x, _integers("take", indices), key=(*[slice(None)] * axis, ARRAY))


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """One element of `x` for each index along an axis; other axes broadcast."""
    x, indices = as_value(x), _integers("take_along_axis", indices)
    axis = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: {indices.ndim} dimensions of indices for shape {list(x.shape)}.")
    grid: list[Any] = [np.arange(n).reshape(-1, *[1] * (x.ndim - a - 1)) for a, n in enumerate(x.shape)]
    grid[axis] = indices
    return _getitem(x, *(as_value(g) for g in grid), key=(ARRAY,) * x.ndim)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element along an axis that many times (`None`: of the flattened array)."""
    x = as_value(x)
    if not isinstance(repeats, (int, np.integer, np.ndarray)):  # a number is known while a cell is traced
        repeats = _integers("repeat", repeats).numpy()
    counts = np.asarray(repeats)
    n = prod(x.shape) if axis is None else x.shape[normalize_axis("repeat", axis, x.ndim)]
    if counts.dtype.kind not in "iu" or counts.size not in (1, n) or counts.ndim > 1 or (counts < 0).any():
        raise ShapeError(f"repeat: takes one number from 0 on, or one for each of {n}, not {short(repeats)}.")
    with in_memory("repeat"):
        indices = np.repeat(np.arange(n), counts)
    return take(x, indices, axis)


def one_hot(indices: Any, num_classes: int, dtype: Any = np.float32) -> Any:
    """[...] integers -> [..., num_classes]: 1 at the index, 0 elsewhere.

    Raises:
        ShapeError: if an index is not in 0 .. num_classes - 1.
    """
    n = whole("one_hot", "num_classes", num_classes, 0)
    value = within(_integers("one_hot", indices), low=0, high=n - 1, what=f"one_hot of {n} classes")
    with in_memory("one_hot"):
        classes = np.arange(n)
    return astype(equal(expand_dims(value, -1), classes), dtype)
