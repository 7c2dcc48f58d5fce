"""Arguments that are no arrays, such as axes, sizes and numbers: each kind is looked at in one place.

Imports `errors` only. `where` is the function that a user called, `name` the argument.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from minigrad.errors import DtypeError, MinigradError, ShapeError

MOST_AXES = 64  # of NumPy
MOST_ELEMENTS = 2**60  # beyond this the number of bytes overflows


@contextmanager
def in_memory(where: str) -> Iterator[None]:
    """Refuse what NumPy has no memory for within the block, with a ShapeError."""
    try:
        yield
    except MinigradError:
        raise
    except (MemoryError, ValueError, OverflowError) as error:
        raise ShapeError(f"{where}: {said(error)}. Ask for fewer elements.") from None


def said(error: Exception) -> str:
    """What NumPy said, as a part of a sentence."""
    return "it does not fit into memory" if isinstance(error, MemoryError) else str(error).rstrip(".")


def short(value: Any) -> str:
    """An argument as it stands in a message: a value by its type, anything else by its first characters."""
    if isinstance(shape := getattr(value, "shape", None), tuple) and not isinstance(value, np.generic):
        return f"an array {getattr(value, 'dtype', '')}{list(shape)}"
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


def flag(where: str, name: str, value: Any) -> bool:
    """Return an argument that has to be true or false.

    Raises:
        DtypeError: if it is neither; 0 and 1 are.
    """
    if type(value) is bool:
        return value
    if isinstance(value, np.bool_) or (isinstance(value, int) and 0 <= value <= 1):
        return bool(value)
    raise DtypeError(f"{where}: {name} must be True or False, not {short(value)}.")


def number(where: str, name: str, value: Any) -> Any:
    """Return an argument that has to be one number, as Python's or NumPy's.

    Raises:
        DtypeError: if it is none; a Tensor is none, since no gradient would reach it.
    """
    if isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise DtypeError(f"{where}: {name} is {short(value)}, more than an integer of 64 bits. Use a float.")
        return value
    if isinstance(value, np.ndarray) and not value.ndim:
        return number(where, name, value[()])
    hint = " Use .item()." if getattr(value, "shape", None) == () else ""
    raise DtypeError(f"{where}: {name} must be a number, not {short(value)}.{hint}")


def sizes_of(where: str, shape: Any, smallest: int = 0) -> tuple[int, ...]:
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
    if type(axis) is int and -ndim <= axis < ndim:
        return axis % ndim
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
