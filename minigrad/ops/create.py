"""Arrays from nothing: zeros, ones, arange. The default dtype of floats is float32.

Imports the ground floor and `core`.
"""

from typing import Any

import numpy as np

from minigrad.arraytype import check_dtype
from minigrad.core import as_value, running
from minigrad.errors import ShapeError


def _value(array: np.ndarray[Any, Any], dtype: Any, device: str | None) -> Any:
    if dtype is None and array.dtype == np.float64:
        dtype = np.float32
    return running.interpreter.make(array if dtype is None else array.astype(check_dtype(dtype), copy=False), device)


def _dtype(dtype: Any) -> Any:
    return np.float32 if dtype is None else check_dtype(dtype)


def _shape(name: str, shape: Any) -> Any:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    if any([not isinstance(n, (int, np.integer)) or n < 0 for n in sizes]):
        raise ShapeError(f"{name}: a shape is made of integers from 0 on, not {shape!r}.")
    return tuple(sizes)


def full(shape: Any, fill_value: float, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of one value."""
    return _value(np.full(_shape("full", shape), fill_value), dtype, device)


def zeros(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of zeros."""
    return _value(np.zeros(_shape("zeros", shape), _dtype(dtype)), dtype, device)


def ones(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of ones."""
    return _value(np.ones(_shape("ones", shape), _dtype(dtype)), dtype, device)


def full_like(x: Any, fill_value: float, *, dtype: Any = None, device: str | None = None) -> Any:
    """An array of one value, with the shape, dtype and device of `x`."""
    x = as_value(x)
    return _value(np.full(x.shape, fill_value, dtype=x.dtype), dtype or x.dtype, device or x.device)


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
    return _value(np.arange(start, stop, step), dtype, device)


def linspace(
    start: float, stop: float, num: int, *, dtype: Any = None, device: str | None = None, endpoint: bool = True
) -> Any:
    """`num` evenly spaced numbers from `start` to `stop`."""
    return _value(np.linspace(start, stop, num, endpoint=endpoint), dtype, device)


def eye(n_rows: int, n_cols: int | None = None, *, k: int = 0, dtype: Any = None, device: str | None = None) -> Any:
    """Ones on the k-th diagonal."""
    return _value(np.eye(n_rows, n_cols, k), dtype, device)
