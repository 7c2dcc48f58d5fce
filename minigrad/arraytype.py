"""The type of an array: its shape and dtype, and the rules that combine types.

Imports `errors` only. A Python scalar is weak: beside an array it takes the array's dtype, as in NumPy 2.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import DtypeError, ShapeError

Shape = tuple[int, ...]
SCALARS = (bool, int, float)
NUMBERS = {n: np.dtype(n) for n in "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()}


class ArrayType(NamedTuple):
    """Shape and dtype of a value; in a gradient rule it stands for an input whose value is not needed."""

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def type_of(value: Any) -> ArrayType:
    """The type of an array-like with a shape and a dtype, or of a Python scalar."""
    if type(value) in SCALARS:
        return ArrayType((), np.result_type(value))
    return ArrayType(value.shape, value.dtype)


def show(value: Any) -> str:
    """A value as it stands in a message: `float32[2, 3]`, or the scalar itself."""
    return repr(value) if type(value) in SCALARS else str(type_of(value))


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether values of this dtype can carry a gradient."""
    return dtype.kind == "f"


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of `dtype`.

    Raises:
        DtypeError: for anything but booleans, integers, float32 and float64.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"{dtype!r} is no data type. Use mg.float32, mg.float64, mg.int64 or mg.bool_.") from None
    if found == np.float16:
        raise DtypeError(
            "float16 is too narrow to add gradients up in (largest value 65504, 3 digits). "
            "Use dtype=mg.float32, or mg.float64."
        )
    if found.kind not in "biuf" or found.itemsize > 8:
        raise DtypeError(f"minigrad computes with bool, integers, float32 and float64, not with {found}.")
    return found.newbyteorder("=") if not found.isnative else found


def broadcast_shapes(where: str, *values: Any) -> Shape:
    """The common shape of values by NumPy's rule.

    Raises:
        ShapeError: naming `where` and every shape, if there is none.
    """
    try:
        return np.broadcast_shapes(*(type_of(v).shape for v in values))
    except ValueError:
        raise ShapeError(
            f"{where}: shapes do not broadcast: {' with '.join(show(v) for v in values)}. "
            "Counted from the right, two sizes must be equal or one of them 1."
        ) from None


def promote(*values: Any) -> np.dtype[Any]:
    """The common dtype of arrays and weak Python scalars."""
    return np.result_type(*(v if type(v) in SCALARS else v.dtype for v in values))


def normalize_axis(where: str, axis: int, ndim: int) -> int:
    """Return `axis` counted from the front.

    Raises:
        ShapeError: if the value has no such axis.
    """
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise ShapeError(f"{where}: axis must be an integer, not {axis!r}.")
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{where}: axis {axis} is out of range for a value of {ndim} dimensions.")
    return int(axis) % ndim


def normalize_axes(where: str, axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """Return `axis` as sorted axes counted from the front; `None` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(sorted(normalize_axis(where, a, ndim) for a in axes))
    if len(set(found)) != len(found):
        raise ShapeError(f"{where}: axis {axis} names the same axis twice.")
    return found
