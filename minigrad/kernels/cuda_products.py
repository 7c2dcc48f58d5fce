"""Matrix products on the GPU, by cuBLAS through nvmath-python; in the simulator by NumPy.

Imports `gpu`, `cuda_array` and the kernels. nvmath-python was chosen over CuPy: it takes bare pointers, so that no
second kind of array and no second memory pool comes along.
"""

from functools import cache
from math import prod
from typing import Any

import numpy as np

from minigrad.arraytype import promote
from minigrad.errors import DeviceError
from minigrad.gpu import SIMULATED, grid, launch
from minigrad.kernels import cuda
from minigrad.kernels.cuda_array import CudaArray, empty, put

NOT_TURNED, TURNED = 0, 1  # cuBLAS's words for whether an operand is transposed


def product(x: CudaArray, y: CudaArray) -> CudaArray:
    """[.., m, k] @ [.., k, n] -> [.., m, n]; leading axes broadcast."""
    dtype = promote(x, y)
    x, y = x.astype(dtype, copy=False), y.astype(dtype, copy=False)
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = empty((*batch, x.shape[-2], y.shape[-1]), dtype)
    multiply(x, y, out)
    return out


def multiply(x: CudaArray, y: CudaArray, out: CudaArray, add: bool = False) -> None:
    """out = x y, or out += x y if `add`;  of one dtype; out [.., m, n] contiguous."""
    if not out.size:
        return
    if not x.shape[-1]:
        if not add:
            out[...] = 0
        return
    if SIMULATED:
        _by_numpy(x, y, out, add)
    elif out.dtype.kind == "f":
        _by_cublas(x, y, out, add)
    else:
        _by_kernel(x, y, out)


def _by_numpy(x: CudaArray, y: CudaArray, out: CudaArray, add: bool) -> None:
    x, y, whole = x.packed(), y.packed(), out.packed()
    there = [a.memory.read(a.offset, a.size).reshape(a.shape) for a in (x, y, whole)]
    with np.errstate(all="ignore"):
        found = np.matmul(there[0], there[1])
        out[...] = put(there[2] + found if add else found)


def _by_kernel(x: CudaArray, y: CudaArray, out: CudaArray) -> None:
    batch = out.shape[:-2]
    (m, k), n = x.shape[-2:], y.shape[-1]
    xs, ys = (a.view(np.broadcast_to(a.shadow, (*batch, *a.shape[-2:]))).packed() for a in (x, y))
    for i in range(prod(batch)):
        launch(cuda.matmul, *grid(m * n), m, k, n, xs.memory.numbers, xs.offset + i * m * k, ys.memory.numbers,
               ys.offset + i * k * n, out.memory.numbers, out.offset + i * m * n)  # fmt: skip


def _by_cublas(x: CudaArray, y: CudaArray, out: CudaArray, add: bool) -> None:
    """Row-major x y is column-major yᵀ xᵀ, which is what cuBLAS computes when it is given y before x."""
    cublas, handle = _cublas()
    batch = out.shape[:-2]
    (m, k), n = x.shape[-2:], y.shape[-1]
    (x, turned_x, x_row, x_step), (y, turned_y, y_row, y_step) = (_laid_out(a, batch) for a in (x, y))
    run = cublas.sgemm_strided_batched if out.dtype == np.float32 else cublas.dgemm_strided_batched
    one, other = (np.array(v, out.dtype) for v in (1, int(add)))
    run(handle, turned_y, turned_x, n, m, k, one.ctypes.data, _pointer(y), y_row, y_step, _pointer(x), x_row, x_step,
        other.ctypes.data, _pointer(out), n, m * n, prod(batch))  # fmt: skip


def _laid_out(a: CudaArray, batch: tuple[int, ...]) -> tuple[CudaArray, int, int, int]:
    """An operand as cuBLAS takes it: whether it is transposed, how far its rows and its matrices lie apart."""
    rows, columns = a.shape[-2:]
    down, across = a.strides[-2:]
    leading = a.view(np.broadcast_to(a.shadow, (*batch, rows, columns)))
    steps = [s for s, n in zip(leading.strides[:-2], batch, strict=True) if n > 1]
    plain = (across == 1 or columns == 1) and (down >= columns or rows == 1)
    turned = (down == 1 or rows == 1) and (across >= rows or columns == 1)
    if len(steps) > 1 or not (plain or turned):  # several batch axes, or elements that lie apart
        return _laid_out(leading.copy().reshape(-1, rows, columns), (prod(batch),))
    step = steps[0] if steps else 0
    if plain:
        return leading, NOT_TURNED, max(down if rows > 1 else columns, columns, 1), step
    return leading, TURNED, max(across if columns > 1 else rows, rows, 1), step


def _pointer(a: CudaArray) -> int:
    """The address of the first element."""
    return int(a.memory.numbers.__cuda_array_interface__["data"][0]) + a.offset * a.dtype.itemsize


@cache
def _cublas() -> tuple[Any, Any]:
    """cuBLAS, and a handle that works in the stream of the kernels."""
    try:
        from nvmath.bindings import cublas

        return cublas, cublas.create()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DeviceError(
            f"device 'cuda': products need cuBLAS, which cannot be had ({reason}). pip install 'minigrad[cuda]'."
        ) from None


def einsum(*xs: CudaArray, terms: tuple[str, ...], to: str) -> CudaArray:
    """Einstein's summation, two operands at a time: each pair is one product of stacked matrices."""
    x, term = xs[0], terms[0]
    for i, (y, other) in enumerate(zip(xs[1:], terms[1:], strict=True)):
        needed = set(to).union(*terms[i + 2 :])
        x, term = _pair(*_summed(x, term, needed | set(other)), *_summed(y, other, needed | set(term)), needed)
    x, term = _summed(x, term, set(to))
    return x.view(x.shadow.transpose(*(term.index(c) for c in to))).astype(promote(*xs), copy=False)


def _summed(x: CudaArray, term: str, needed: set[str]) -> tuple[CudaArray, str]:
    """An operand without the letters that nobody needs."""
    for axis in reversed(range(len(term))):
        if term[axis] not in needed:
            x, term = x.sum(axis), term[:axis] + term[axis + 1 :]
    return x, term


def _pair(x: CudaArray, left: str, y: CudaArray, right: str, needed: set[str]) -> tuple[CudaArray, str]:
    """Two operands as one, over the letters that both have and nobody needs."""
    both = [c for c in left if c in right]
    batch, inner = ([c for c in both if (c in needed) is kept] for kept in (True, False))
    rows, columns = [c for c in left if c not in both], [c for c in right if c not in both]
    sizes = {**dict(zip(left, x.shape, strict=True)), **dict(zip(right, y.shape, strict=True))}

    def stacked(a: CudaArray, term: str, *groups: list[str]) -> CudaArray:
        turned = a.view(a.shadow.transpose(*(term.index(c) for group in groups for c in group)))
        return turned.reshape(tuple(prod(sizes[c] for c in group) for group in groups))

    found = product(stacked(x, left, batch, rows, inner), stacked(y, right, batch, inner, columns))
    letters = [*batch, *rows, *columns]
    return found.reshape(tuple(sizes[c] for c in letters)), "".join(letters)
