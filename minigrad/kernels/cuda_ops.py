"""Every op of the table on the GPU: on elements and over axes from its loop expression, else by a kernel or a product.

Imports the kernels, the op table and the floors below. An op without a line here is run as what it is made of
(`expand`): `run` gives NotImplemented then.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from minigrad.arraytype import SCALARS, promote
from minigrad.core import OPS, Op
from minigrad.errors import ShapeError
from minigrad.gpu import THREADS, grid, launch
from minigrad.kernels import cuda
from minigrad.kernels.cuda_array import CudaArray, empty, has_dots, put, zeros
from minigrad.kernels.cuda_elements import compute, reduce
from minigrad.kernels.cuda_products import einsum, product
from minigrad.ops.index import ARRAY
from minigrad.ops.reduce import START, STEP, start_of

Shape = tuple[int, ...]


def run(op: Op, arrays: list[Any], metadata: dict[str, Any], out: CudaArray | None = None) -> Any:
    """An op on arrays and scalars: a CudaArray, a tuple of them, or NotImplemented.

    Args:
        op: of the table.
        arrays: its inputs; NumPy arrays are copied to the GPU.
        metadata: as in a call of the op.
        out: for ops on elements, the array to write to.
    """
    inputs = [put(x) if isinstance(x, np.ndarray) else x for x in arrays]
    if op.loop:
        return _elements(op, inputs, metadata, out)
    if op.name in START:
        return _reduced(op, *inputs, **metadata)
    op.type_rule(*inputs, **metadata)  # says what does not fit together
    return RUN[op.name](*inputs, **metadata) if op.name in RUN else NotImplemented


CudaArray.run_op = staticmethod(run)


def _elements(op: Op, inputs: list[Any], metadata: dict[str, Any], out: CudaArray | None) -> CudaArray:
    if out is None:
        result = op.type_rule(*inputs, **metadata)
        out = empty(result.shape, result.dtype)
    else:
        out.memory.span = None
        inputs = [_apart(x, out) for x in inputs]
    if op.name == "where" and type(inputs[0]) in SCALARS:
        inputs = [bool(inputs[0]), *inputs[1:]]
    computed, template = op.computed_in(inputs, out.dtype)
    compute(op.name, template, computed, inputs, out)
    return out


def _apart(x: Any, out: CudaArray) -> Any:
    """An input, or a copy of it if it lies in what is written but not as that does."""
    if not isinstance(x, CudaArray) or x.memory is not out.memory:
        return x
    same = (x.offset, x.shape, x.strides) == (out.offset, out.shape, out.strides)
    return x if same else x.copy()


def _reduced(op: Op, x: Any, *, axes: Shape, keepdims: bool) -> CudaArray:
    result = op.type_rule(x, axes=axes, keepdims=keepdims)
    start = start_of(op.name, result.dtype)
    return reduce(op.name, start, STEP[op.name], x, axes, result.dtype).reshape(result.shape)


# --- views, and joining -------------------------------------------------------------------------------------------


def _split(x: CudaArray, *, sizes: Shape, axis: int) -> tuple[CudaArray, ...]:
    parts = np.split(x.shadow, np.cumsum(sizes)[:-1].tolist(), axis)
    return tuple(x.view(part) for part in parts)


def _concat(*xs: CudaArray, axis: int) -> CudaArray:
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    out = empty(tuple(shape), promote(*xs))
    for x, part in zip(xs, _split(out, sizes=tuple(x.shape[axis] for x in xs), axis=axis), strict=True):
        part[...] = x
    return out


def _stack(*xs: CudaArray, axis: int) -> CudaArray:
    out = empty((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]), promote(*xs))
    for i, x in enumerate(xs):
        out[(*[slice(None)] * axis, i)] = x
    return out


# --- along an axis ------------------------------------------------------------------------------------------------


def _around(x: CudaArray, axis: int) -> tuple[int, int, int]:
    """Sizes before, at and after an axis."""
    return prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])


def _extreme(least: bool) -> Callable[..., CudaArray]:
    def run(x: CudaArray, *, axis: int) -> CudaArray:
        x = (x.astype(np.int8) if x.dtype == bool else x).packed()
        before, n, after = _around(x, axis)
        out = empty((*x.shape[:axis], *x.shape[axis + 1 :]), np.intp)
        if out.size:
            launch(
                cuda.extreme, *grid(out.size), before, n, after, least, x.memory.numbers, x.offset, out.memory.numbers
            )
        return out

    return run


def _running_sum(x: CudaArray, *, axis: int) -> CudaArray:
    x = x.packed()
    before, n, after = _around(x, axis)
    out = empty(x.shape, np.sum(np.empty(0, x.dtype)).dtype)
    if out.size:
        launch(
            cuda.running_sum, *grid(before * after), before, n, after, x.memory.numbers, x.offset, out.memory.numbers
        )
    return out


# --- row by row ---------------------------------------------------------------------------------------------------


def _softmax(logarithm: bool) -> Callable[..., CudaArray]:
    def run(x: CudaArray) -> CudaArray:
        x, out = x.packed(), empty(x.shape, x.dtype)
        if out.size:
            n = x.shape[-1]
            _by_rows(cuda.softmax, x.size // n, n, x.memory.numbers, x.offset, logarithm, out.memory.numbers)
        return out

    return run


def _cross_entropy(x: CudaArray, targets: CudaArray) -> CudaArray:
    x, targets, out = x.packed(), targets.packed(), empty(x.shape[:1], x.dtype)
    if out.size:
        _by_rows(cuda.cross_entropy, *x.shape, x.memory.numbers, x.offset, targets.memory.numbers, targets.offset,
                 out.memory.numbers)  # fmt: skip
    return out


def _by_rows(kernel: Any, rows: int, n: int, *arguments: Any) -> None:
    """A block for each row, of one warp where rows are short."""
    threads = THREADS if n >= THREADS else min(32, THREADS)
    launch(kernel, min(rows, 1 << 16), threads, rows, n, *arguments, shared=8 * threads)


# --- by position --------------------------------------------------------------------------------------------------


def _picked(x: CudaArray, indices: tuple[CudaArray, ...], key: tuple[Any, ...]) -> tuple[CudaArray, CudaArray, int]:
    """What the arrays of a key pick from: the part of `x` with the indexed axes first and as one, [P, ...]; which of
    these rows, [S...]; and the axis of the result at which the S... come.
    """
    if not has_dots(key):
        key = (*key, ...)
    missing = x.ndim - sum(k is not None and k is not Ellipsis for k in key)
    basic = tuple(slice(None) if k is ARRAY else k for k in key)
    axes, axis = [], 0
    for k in key:
        if k is ARRAY:
            axes.append(axis)
        axis += missing if k is Ellipsis else 0 if isinstance(k, int) else 1
    advanced = [i for i, k in enumerate(key) if k is ARRAY or isinstance(k, int)]
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    at = sum(missing if k is Ellipsis else 1 for k in key[: advanced[0]]) if together else 0
    part = x[basic]
    rest = [a for a in range(part.ndim) if a not in axes]
    sizes = [part.shape[a] for a in axes]
    shape = np.broadcast_shapes(*(i.shape for i in indices))
    rows: Any = 0
    for index, n in zip(indices, sizes, strict=True):
        rows = rows * n + _within(index, n)
    rows = rows if rows.shape == shape else rows.view(np.broadcast_to(rows.shadow, shape))
    moved = part.view(part.shadow.transpose(*axes, *rest))
    return moved, rows.packed(), at


def _within(index: CudaArray, n: int) -> CudaArray:
    """An index as int64 from 0 to n - 1; negative ones count from the end."""
    if not index.size:
        return index.astype(np.int64)
    low, high = index.memory.span or (n, -n)  # known of what came from the CPU; a view may have less
    if not -n <= low <= high < n:  # the device is asked
        there = index.numpy()
        low, high = int(there.min()), int(there.max())
        if index.memory.base.size == index.size:
            index.memory.span = low, high
    if not -n <= low <= high < n:
        raise ShapeError(f"an index reaches from {low} to {high}, and the axis has size {n}.")
    index = index.astype(np.int64, copy=False)
    return _where(index < 0, index + n, index) if low < 0 else index


def _where(condition: Any, x: Any, y: Any) -> Any:
    return run(OPS["where"], [condition, x, y], {})


def _getitem(x: CudaArray, *indices: CudaArray, key: tuple[Any, ...]) -> CudaArray:
    if not indices:
        return x[key]
    moved, rows, at = _picked(x, indices, key)
    picked, source = moved.shape[len(indices) :], moved.packed()
    out, columns = empty((*rows.shape, *picked), x.dtype), prod(picked)
    if out.size:
        launch(cuda.gather, *grid(out.size), rows.size, columns, rows.memory.numbers, rows.offset,
               source.memory.numbers, source.offset, out.memory.numbers)  # fmt: skip
    return out.view(_block_moved(out.shadow, rows.ndim, 0, at))


def _put(g: CudaArray, *indices: CudaArray, key: tuple[Any, ...], shape: Shape) -> CudaArray:
    out = zeros(shape, g.dtype)
    if not indices:
        out[key] = g
        return out
    moved, rows, at = _picked(out, indices, key)
    source = g.view(_block_moved(g.shadow, rows.ndim, at, 0)).packed()
    total = moved if moved.is_contiguous and moved.size == out.size else zeros(moved.shape, g.dtype)
    columns = prod(moved.shape[len(indices) :])
    if source.size:
        launch(cuda.add_rows, *grid(columns), rows.size, columns, rows.memory.numbers, rows.offset,
               source.memory.numbers, source.offset, total.memory.numbers)  # fmt: skip
    if total is not moved:
        moved[...] = total
    return out


def _block_moved(shadow: Any, n: int, source: int, to: int) -> Any:
    """A shadow with n neighbouring axes moved to another place."""
    return np.moveaxis(shadow, range(source, source + n), range(to, to + n))


# --- what training asks for ---------------------------------------------------------------------------------------


def square_sums(arrays: list[CudaArray], less: list[CudaArray] | None) -> CudaArray:
    """[n] of float64: Σ x² of each array, or Σ (x - y)² if there is a y to each."""
    out = empty(len(arrays), np.float64)
    for i, x in enumerate(arrays):
        x, y = x.packed(), (x if less is None else less[i]).packed()
        launch(cuda.square_sum, 1, THREADS, x.size, x.memory.numbers, x.offset, y.memory.numbers, y.offset,
               float(less is not None), out.memory.numbers, i, shared=8 * THREADS)  # fmt: skip
    return out


def row_norms(x: CudaArray) -> CudaArray:
    """[.., N] -> [..] of float64: the length of each row."""
    x, out = x.packed(), empty(x.shape[:-1], np.float64)
    launch(cuda.row_norms, *grid(out.size), out.size, x.shape[-1], x.memory.numbers, x.offset, out.memory.numbers)
    return out


def fetch(arrays: list[CudaArray]) -> list[np.ndarray[Any, Any]]:
    """Copies on the CPU with one wait for the device, by way of float64: exact but for integers above 2⁵³."""
    flat = _concat(*(x.astype(np.float64, copy=False).reshape(-1) for x in arrays), axis=0).numpy()
    parts = np.split(flat, np.cumsum([x.size for x in arrays])[:-1])
    return [part.astype(x.dtype).reshape(x.shape) for part, x in zip(parts, arrays, strict=True)]


def adam(p: CudaArray, g: CudaArray, m: CudaArray, v: CudaArray, settings: np.ndarray[Any, Any]) -> None:
    """As `cpu.adam`; m and v lie at the beginning of their memory, as p does unless it is a view."""
    g, whole = g.packed(), p if p.is_contiguous and not p.offset else p.copy()
    launch(cuda.adam, *grid(p.size), p.size, whole.memory.numbers, g.memory.numbers, g.offset, m.memory.numbers,
           v.memory.numbers, *settings)  # fmt: skip
    if whole is not p:
        p[...] = whole


# --- products -----------------------------------------------------------------------------------------------------


def _linear(x: CudaArray, w: CudaArray, *b: CudaArray) -> CudaArray:
    out = product(x.astype(promote(x, w, *b), copy=False), w.T)
    for bias in b:
        out += bias
    return out


def _looked_at(x: CudaArray, **limits: Any) -> CudaArray:
    """A look at integers, on the host."""
    OPS["within"].forward(x.numpy(), **limits)
    return x


RUN: dict[str, Callable[..., Any]] = {
    "within": _looked_at,
    "to": lambda x, *, device, source: x if device == "cuda" else x.numpy(),
    "reshape": lambda x, *, shape: x.reshape(shape),
    "permute_dims": lambda x, *, axes: x.view(x.shadow.transpose(*axes)),
    "broadcast_to": lambda x, *, shape: x.view(np.broadcast_to(x.shadow, shape)),
    "flip": lambda x, *, axes: x.view(np.flip(x.shadow, axes)),
    "split": _split,
    "unstack": lambda x, *, axis: tuple(x[(*[slice(None)] * axis, i)] for i in range(x.shape[axis])),
    "concat": _concat,
    "stack": _stack,
    "argmax": _extreme(False),
    "argmin": _extreme(True),
    "cumulative_sum": _running_sum,
    "softmax": _softmax(False),
    "log_softmax": _softmax(True),
    "cross_entropy": _cross_entropy,
    "getitem": _getitem,
    "put": _put,
    "matmul": lambda x, y: product(x, y),
    "einsum": einsum,
    "linear": _linear,
}
