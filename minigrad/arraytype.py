"""The type of an array: its shape and dtype, and the rules that combine types.

Imports `errors` and `arguments`. A Python scalar is weak: beside an array it takes the array's dtype, as in NumPy 2.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from minigrad.arguments import short
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
