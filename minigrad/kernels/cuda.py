"""Hand-written kernels in numba.cuda, for what no loop expression says.

Imports `gpu`. Arrays are flat and contiguous but for `x_at`, the place where they begin; a thread takes every so many
elements of the result, and adds up in the order of the CPU: the same bits each time. N, M, R, C sizes.
"""

from typing import Any

import numpy as np

from minigrad.gpu import cuda, device_function, kernel
from minigrad.jit import types
from minigrad.kernels.cuda_math import exp64, log1p, sqrt
from minigrad.kernels.cuda_scan import norm


@kernel
def extreme(n: Any, m: Any, after: Any, least: Any, x: Any, x_at: Any, out: Any) -> None:
    """out = the first index of the largest x, or the least, along the middle axis, NaN before all;  x [N, M, after]."""
    for i in range(cuda.grid(1), n * after, cuda.gridsize(1)):
        at = x_at + (i // after) * m * after + i % after
        best, found = x[at], 0
        for k in range(1, m):
            new = x[at + k * after]
            if best == best and ((new < best if least else new > best) or new != new):  # noqa: PLR0124
                best, found = new, k
        out[i] = found


@kernel
def running_sum(n: Any, m: Any, after: Any, x: Any, x_at: Any, out: Any) -> None:
    """out[k] = x[0] + … + x[k] along the middle axis;  x, out [N, M, after]."""
    for i in range(cuda.grid(1), n * after, cuda.gridsize(1)):
        at = (i // after) * m * after + i % after
        total = out.dtype.type(0)
        for k in range(m):
            total += x[x_at + at + k * after]
            out[at + k * after] = total


@device_function
def together(part: Any, mine: Any, me: Any, all_: Any) -> Any:
    """The sum of what the threads of a block have each."""
    part[me] = mine
    cuda.syncthreads()
    total = 0.0
    for k in range(all_):
        total += part[k]
    cuda.syncthreads()
    return total


@device_function
def row_sums(n: Any, x: Any, at: Any) -> tuple[Any, Any]:
    """The maximum of a row and the sum of exp(x - maximum) less 1, for a block together;  x [at : at + n].

    The 1 of the largest element is never added, for beside it a small rest would lose its digits.
    """
    part = cuda.shared.array(0, types.float64)
    me, all_ = cuda.threadIdx.x, cuda.blockDim.x
    high = np.float64(x[at])
    for k in range(me, n, all_):
        new = np.float64(x[at + k])
        high = high if new <= high else new
    part[me] = high
    cuda.syncthreads()
    for k in range(all_):
        high = high if part[k] <= high else part[k]
    cuda.syncthreads()
    total, ties = 0.0, 0.0
    for k in range(me, n, all_):
        less = x[at + k] - high
        if less == 0:
            ties += 1.0
        else:
            total += exp64(less)
    total = together(part, total, me, all_)
    return high, total + (together(part, ties, me, all_) - 1)


@kernel
def softmax(rows: Any, n: Any, x: Any, x_at: Any, logarithm: Any, out: Any) -> None:
    """out = exp(x - max) / sum, or its logarithm, row by row, a block each;  x, out [rows, n]."""
    for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        high, rest = row_sums(n, x, x_at + r * n)
        for k in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            less = x[x_at + r * n + k] - high
            out[r * n + k] = less - log1p(rest) if logarithm else exp64(less) / (1 + rest)


@kernel
def cross_entropy(rows: Any, n: Any, x: Any, x_at: Any, targets: Any, targets_at: Any, out: Any) -> None:
    """out = -log softmax(x)[target], row by row, a block each;  x [rows, n], targets, out [rows]."""
    for r in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        high, rest = row_sums(n, x, x_at + r * n)
        if cuda.threadIdx.x == 0:
            out[r] = log1p(rest) - (x[x_at + r * n + targets[targets_at + r]] - high)


@kernel
def gather(n: Any, columns: Any, index: Any, index_at: Any, x: Any, x_at: Any, out: Any) -> None:
    """out = x[index];  index [N], x [·, columns], out [N, columns]."""
    for i in range(cuda.grid(1), n * columns, cuda.gridsize(1)):
        out[i] = x[x_at + index[index_at + i // columns] * columns + i % columns]


@kernel
def add_rows(n: Any, columns: Any, index: Any, index_at: Any, g: Any, g_at: Any, out: Any) -> None:
    """out[index[k]] += g[k], in the order of k;  index [N], g [N, columns], out [·, columns]."""
    for i in range(cuda.grid(1), columns, cuda.gridsize(1)):
        for k in range(n):
            out[index[index_at + k] * columns + i] += g[g_at + k * columns + i]


@kernel
def square_sum(n: Any, x: Any, x_at: Any, y: Any, y_at: Any, less: Any, out: Any, at: Any) -> None:
    """out[at] = Σ (x - less · y)², in float64, by one block;  x, y [N]."""
    part = cuda.shared.array(0, types.float64)
    me = cuda.threadIdx.x
    total = 0.0
    for k in range(me, n, cuda.blockDim.x):
        apart = np.float64(x[x_at + k]) - less * np.float64(y[y_at + k])
        total += apart * apart
    part[me] = total
    cuda.syncthreads()
    if me == 0:
        total = 0.0
        for k in range(cuda.blockDim.x):
            total += part[k]
        out[at] = total


@kernel
def row_norms(rows: Any, n: Any, x: Any, x_at: Any, out: Any) -> None:
    """As `cpu.row_norms`, a thread a row;  x [rows, n], out [rows]."""
    for r in range(cuda.grid(1), rows, cuda.gridsize(1)):
        out[r] = norm(x, x_at + r * n, n)


@kernel
def adam(n: Any, p: Any, g: Any, g_at: Any, m: Any, v: Any, rate: Any, root: Any, beta1: Any, rest1: Any,
         beta2: Any, rest2: Any, eps: Any, coupled: Any, decay: Any) -> None:  # fmt: skip
    """As `cpu.adam`, in float64 too;  p, g, m, v [N], of which p, m, v are written."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        slope = g[g_at + i] + coupled * p[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * slope * slope
        m[i], v[i] = mean, square
        p[i] -= rate * mean / (sqrt(square) * root + eps) + decay * p[i]


@kernel
def matmul(rows: Any, inner: Any, columns: Any, x: Any, x_at: Any, y: Any, y_at: Any, out: Any, out_at: Any) -> None:
    """out = x y, where cuBLAS has none, such as for integers;  x [rows, inner], y [inner, columns]."""
    for i in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
        r, c = i // columns, i % columns
        total = out.dtype.type(0)
        for k in range(inner):
            total += x[x_at + r * inner + k] * y[y_at + k * columns + c]
        out[out_at + i] = total
