"""The type of an array: its shape and dtype, and the rules that combine types.

Imports `errors` only. A Python scalar is weak: beside an array it takes the array's dtype, as in NumPy 2.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import DtypeError, ShapeError

Shape = tuple[int, ...]
SCALARS = (bool, int, float)
MOST_AXES = 64  # of NumPy
MOST_ELEMENTS = 2**60  # beyond this the number of bytes overflows


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
        found = np.dtype("no type" if dtype is None else dtype)  # None would be NumPy's float64
    except (TypeError, ValueError, OverflowError, SyntaxError):
        raise DtypeError(f"{short(dtype)} is no data type. Use mg.float32, mg.float64, mg.int64 or mg.bool_.") from None
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
    """The common dtype of arrays and weak Python scalars.

    Raises:
        DtypeError: if a scalar is an integer that this dtype does not hold.
    """
    found = np.result_type(*(v if type(v) in SCALARS else v.dtype for v in values))
    for v in values:
        if type(v) is int and not holds(found, v):
            raise DtypeError(
                f"{found}, the dtype of the other values, cannot hold {short(v)}. Use a wider one: .astype(mg.int64)."
            )
    return found


def holds(dtype: np.dtype[Any], value: int) -> bool:
    """Whether an integer is in the range of a dtype; that of booleans is every number's."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return int(limits.min) <= value <= int(limits.max)
    return dtype.kind == "b" or abs(value) <= float(np.finfo(np.float64).max)


def converted(where: str, array: Any, dtype: np.dtype[Any]) -> Any:
    """A NumPy array in another dtype: itself if it has that one. Fractions are cut off, as NumPy does.

    Raises:
        DtypeError: if it has numbers that this dtype of integers cannot hold, NaN among them.
    """
    if array.dtype == dtype:
        return array
    if dtype.kind in "iu" and array.dtype.kind != "b" and not np.can_cast(array.dtype, dtype) and array.size:
        for value in (array.min(), array.max()):
            if not np.isfinite(value) or not holds(dtype, int(value)):
                raise DtypeError(
                    f"{where}: {dtype} does not hold {value}. Use a wider dtype, or .astype to cut it off."
                )
    with np.errstate(over="ignore"):  # beyond the range of a float is infinity
        return array.astype(dtype)


# --- arguments that are no arrays -----------------------------------------------------------------------------------


@contextmanager
def in_memory(where: str) -> Iterator[None]:
    """Refuse what NumPy has no memory for within the block, with a ShapeError."""
    try:
        yield
    except (MemoryError, ValueError) as error:
        raise ShapeError(f"{where}: {said(error)}. Ask for fewer elements.") from None


def said(error: Exception) -> str:
    """What NumPy said, as a part of a sentence."""
    return "it does not fit into memory" if isinstance(error, MemoryError) else str(error).rstrip(".")


def short(value: Any) -> str:
    """An argument as it stands in a message: a value by its type, anything else by its first characters."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array {value.dtype}{list(value.shape)}"
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of some {value.bit_length() * 30103 // 100000 + 1} digits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} …"


def whole(where: str, name: str, value: Any, at_least: int | None = None) -> int:
    """Return an argument that has to be an integer.

    Raises:
        ShapeError: if it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ShapeError(f"{where}: {name} must be an integer, not {short(value)}.")
    if at_least is not None and value < at_least:
        raise ShapeError(f"{where}: {name} must be {at_least} or more, not {short(value)}.")
    return int(value)


def number(where: str, name: str, value: Any) -> Any:
    """Return an argument that has to be one number, as Python's or NumPy's.

    Raises:
        DtypeError: if it is none; a Tensor is none, since no gradient would reach it.
    """
    if isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
        if isinstance(value, int) and abs(value) >= 2**64:
            raise DtypeError(f"{where}: {name} is {short(value)}, more than an integer of 64 bits. Use a float.")
        return value
    if isinstance(value, np.ndarray) and not value.ndim:
        return number(where, name, value[()])
    hint = " Use .item()." if getattr(value, "shape", None) == () else ""
    raise DtypeError(f"{where}: {name} must be a number, not {short(value)}.{hint}")


def sizes_of(where: str, shape: Any, smallest: int = 0) -> Shape:
    """Return a shape, given as one integer or as a sequence of them.

    Raises:
        ShapeError: if a size is no integer, below `smallest`, or more than any memory.
    """
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if any([type(n) is not int for n in sizes]):
        sizes = tuple([whole(where, "a size", n) for n in sizes])
    if sizes and min(sizes) < smallest:
        raise ShapeError(f"{where}: sizes are integers from {smallest} on, not {short(shape)}.")
    if len(sizes) > MOST_AXES or prod(sizes) >= MOST_ELEMENTS:
        raise ShapeError(f"{where}: shape {short(shape)} is more than an array can have.")
    return sizes


def normalize_axis(where: str, axis: int, ndim: int) -> int:
    """Return `axis` counted from the front.

    Raises:
        ShapeError: if the value has no such axis.
    """
    axis = whole(where, "axis", axis)
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{where}: axis {short(axis)} is out of range for a value of {ndim} dimensions.")
    return axis % ndim


def normalize_axes(where: str, axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """Return `axis` as sorted axes counted from the front; `None` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(sorted(normalize_axis(where, a, ndim) for a in axes))
    if len(set(found)) != len(found):
        raise ShapeError(f"{where}: axis {axis} names the same axis twice.")
    return found
