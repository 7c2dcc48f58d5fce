"""Row-wise forwards that ops call: NumPy where it is fast enough, a kernel of `cpu.py` where that was measured faster.

Imports `errors` and, when first needed, the kernels.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
KERNEL_FROM = 2048  # elements; for fewer NumPy is quick enough not to load Numba


def _as_rows(x: Array) -> Array:
    """[.., N] -> [R, N], contiguous."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _rest(less: Array, axes: Any) -> Array:
    """The sum of exp(less) less 1, where the largest of them is 0: beside its 1 a small rest would lose its digits."""
    is_top = less == 0
    some: Array = np.where(is_top, 0, np.exp(less)).sum(axis=axes, keepdims=True)
    return some + (np.count_nonzero(is_top, axis=axes, keepdims=True) - 1).astype(less.dtype)


def _sums(x: Array) -> tuple[Array, Array]:
    """[.., N] -> the maximum, and the sum of exp(x - maximum) less the 1 of the first maximum, [.., 1] each."""
    if x.dtype != np.float32 or x.size < KERNEL_FROM:
        top = x.max(axis=-1, keepdims=True)
        return top, _rest(x - top, -1)
    from minigrad.kernels import cpu

    top, rest = (np.empty((*x.shape[:-1], 1), x.dtype) for _ in range(2))
    cpu.row_sums32(_as_rows(x), top.reshape(-1), rest.reshape(-1))
    return top, rest


def softmax(x: Array) -> Array:
    """[.., N] -> [.., N]."""
    if not x.shape[-1]:
        return np.empty_like(x)
    if x.dtype != np.float32 or x.size < KERNEL_FROM:
        out: Array = np.exp(x - x.max(axis=-1, keepdims=True))
        return out / out.sum(axis=-1, keepdims=True)
    from minigrad.kernels import cpu

    rows = _as_rows(x)
    out = np.empty_like(rows)
    cpu.softmax32(rows, out)
    return out.reshape(x.shape)


def log_softmax(x: Array) -> Array:
    """[.., N] -> [.., N]."""
    if not x.shape[-1]:
        return np.empty_like(x)
    top, rest = _sums(x)
    return (x - top) - np.log1p(rest)


def logsumexp(x: Array, *, axes: tuple[int, ...]) -> Array:
    """[..] -> [..], the axes kept with size 1."""
    top = x.max(axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log1p(_rest(x - top, axes)) + top


def cross_entropy(x: Array, targets: Array) -> Array:
    """[R, C], [R] -> [R]: -log softmax at the target."""
    if not len(x):
        return np.empty(0, x.dtype)
    top, rest = _sums(x)
    return (np.log1p(rest) - (np.take_along_axis(x, targets[:, None], 1) - top))[:, 0]


def standardize(x: Array, *, eps: float) -> Array:
    """[.., N] -> [.., N]: each row less its mean, over the root of its variance plus eps."""
    if x.size < KERNEL_FROM:
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
    from minigrad.kernels import cpu

    rows = _as_rows(x)
    out = np.empty_like(rows)
    cpu.standardize(rows, rows.dtype.type(eps), out)
    return out.reshape(x.shape)


def add_rows(out: Array, index: Array, g: Array) -> None:
    """out[index] += g along the first axis, repeated indices included; negative ones count from the end."""
    if out.dtype.kind != "f" or g.size < KERNEL_FROM:
        np.add.at(out, index, g)
        return
    from minigrad.kernels import cpu

    index = np.where(index < 0, index + len(out), index).reshape(-1).astype(np.int64, copy=False)
    columns = out.size // len(out)
    cpu.add_rows(out.reshape(len(out), columns), index, np.ascontiguousarray(g).reshape(index.size, columns))
