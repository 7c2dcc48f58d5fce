"""Arrays from nothing: zeros, ones, arange. The default dtype of floats is float32.

Imports the ground floor and `core`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.arguments import flag, number, said, sizes_of, whole
from minigrad.arraytype import check_dtype, converted
from minigrad.core import as_value, running
from minigrad.errors import ShapeError

FLOAT32 = np.dtype(np.float32)


def _value(name: str, make: Callable[[], Any], dtype: Any, device: str | None) -> Any:
    """What NumPy makes, in the dtype asked for; else in its own, and float32 for floats."""
    try:
        array = make()
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ShapeError(f"{name}: {said(error)}. Ask for fewer elements, or for a smaller dtype.") from None
    if dtype is None:
        dtype = np.float32 if array.dtype == np.float64 else array.dtype
    return running.interpreter.make(converted(name, array, check_dtype(dtype)), device)


def _filled(name: str, shape: Any, fill_value: Any, dtype: Any, device: str | None) -> Any:
    sizes, value = sizes_of(name, shape), np.asarray(number(name, "fill_value", fill_value))
    if dtype is None:
        dtype = np.float32 if value.dtype == np.float64 else value.dtype
    value = converted(name, value, check_dtype(dtype))
    return _value(name, lambda: np.full(sizes, value), value.dtype, device)


def full(shape: Any, fill_value: float, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of one value.

    Raises:
        DtypeError: if `dtype` cannot hold it.
    """
    return _filled("full", shape, fill_value, dtype, device)


def zeros(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of zeros."""
    sizes, found = sizes_of("zeros", shape), FLOAT32 if dtype is None else check_dtype(dtype)
    return _value("zeros", lambda: np.zeros(sizes, found), found, device)


def ones(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of ones."""
    sizes, found = sizes_of("ones", shape), FLOAT32 if dtype is None else check_dtype(dtype)
    return _value("ones", lambda: np.ones(sizes, found), found, device)


def full_like(x: Any, fill_value: float, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of one value, with the shape, dtype and device of `x`."""
    x = as_value(x)
    return _filled("full_like", x.shape, fill_value, x.dtype if dtype is None else dtype, device or x.device)


def zeros_like(x: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """Zeros, with the shape, dtype and device of `x`."""
    return full_like(x, 0, dtype=dtype, device=device)


def ones_like(x: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """Ones, with the shape, dtype and device of `x`."""
    return full_like(x, 1, dtype=dtype, device=device)


def arange(
    start: float, stop: float | None = None, step: float = 1, *, dtype: Any = None, device: str | None = None
) -> Any:
    """Evenly spaced numbers from `start` up to, not including, `stop`."""
    if stop is None:
        start, stop = 0, start
    numbers = [number("arange", name, x) for name, x in (("start", start), ("stop", stop), ("step", step))]
    if not numbers[2]:
        raise ShapeError("arange: step must not be 0. Use mg.full for one number many times.")
    return _value("arange", lambda: np.arange(*numbers), dtype, device)


def linspace(
    start: float, stop: float, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`."""
    n, closed = whole("linspace", "num", num, 0), flag("linspace", "endpoint", endpoint)
    first, last = number("linspace", "start", start), number("linspace", "stop", stop)
    return _value("linspace", lambda: np.linspace(first, last, n, endpoint=closed), dtype, device)


def eye(n_rows: int, n_cols: int | None = None, *, k: int = 0, dtype: Any = None, device: str | None = None) -> Any:
    """Ones on the k-th diagonal."""
    rows, columns = sizes_of("eye", (n_rows, n_rows if n_cols is None else n_cols))
    at = whole("eye", "k", k)
    return _value("eye", lambda: np.eye(rows, columns, at), dtype, device)
