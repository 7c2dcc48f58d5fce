"""Hand-written Numba kernels for what NumPy does in many passes over memory.

Imports `jit` and `vector_math`. Kernels take C-contiguous arrays of one float dtype and write into their last
arguments; each also runs as plain Python (`kernel.py_func`). R rows, N columns. What they win is measured in
`benchmarks/kernels.py`.
"""

import math
from typing import Any

from minigrad.jit import kernel
from minigrad.kernels.vector_math import decay32, erf64, gauss64, gelu64, gelu_slope64, norm


@kernel
def erf(x: Any, out: Any) -> None:
    """out = erf(x);  x, out [N]; in float64, whatever their dtype."""
    for i in range(x.size):
        out[i] = erf64(float(x[i]))


@kernel
def gauss(x: Any, out: Any) -> None:
    """out = exp(-x²);  x, out [N]; in float64, whatever their dtype."""
    for i in range(x.size):
        out[i] = gauss64(float(x[i]))


@kernel
def gelu(x: Any, out: Any) -> None:
    """out = x P(Z <= x), Z normal;  x, out [N]; in float64, whatever their dtype."""
    for i in range(x.size):
        out[i] = gelu64(float(x[i]))


@kernel
def gelu_slope(x: Any, out: Any) -> None:
    """out = the derivative of that;  x, out [N]; in float64, whatever their dtype."""
    for i in range(x.size):
        out[i] = gelu_slope64(float(x[i]))


@kernel
def softmax32(x: Any, out: Any) -> None:
    """out = exp(x - max) / sum, row by row;  x, out [R, N] of float32."""
    rows, n = x.shape
    for r in range(rows):
        row, to = x[r], out[r]
        top = row[0]
        for i in range(n):
            top = top if row[i] <= top else row[i]
        for i in range(n):
            to[i] = decay32(row[i] - top)
        total = 0.0
        for i in range(n):
            total += to[i]
        scale = 1 / total
        for i in range(n):
            to[i] = to[i] * scale


@kernel
def row_sums32(x: Any, top: Any, rest: Any) -> None:
    """top = max, rest = sum of exp(x - top) less 1, row by row;  x [R, N] of float32, top, rest [R].

    The 1 of the largest element is never added, for beside it a small rest would lose its digits.
    """
    rows, n = x.shape
    for r in range(rows):
        row = x[r]
        high = row[0]
        for i in range(n):
            high = high if row[i] <= high else row[i]
        some, ties = 0.0, -1
        for i in range(n):
            less = row[i] - high
            ties += less == 0
            some += 0.0 if less == 0 else float(decay32(less))
        top[r], rest[r] = high, some + ties


@kernel
def standardize(x: Any, eps: Any, out: Any) -> None:
    """out = (x - mean) / sqrt(var + eps), row by row;  x, out [R, N]; two passes, so no cancellation."""
    rows, n = x.shape
    for r in range(rows):
        row, to = x[r], out[r]
        total = row[0] * 0
        for i in range(n):
            total += row[i]
        mean = total / n
        spread = row[0] * 0
        for i in range(n):
            centred = row[i] - mean
            to[i] = centred
            spread += centred * centred
        scale = 1 / math.sqrt(spread / n + eps)
        for i in range(n):
            to[i] *= scale


@kernel
def add_rows(out: Any, index: Any, g: Any) -> None:
    """out[index[k]] += g[k];  index [K], g [K, N], out [R, N];  in the order of k: the same bits each time."""
    n = g.shape[1]
    for k in range(index.size):
        row, add = out[index[k]], g[k]
        for i in range(n):
            row[i] += add[i]


@kernel
def row_norms(x: Any, out: Any) -> None:
    """out = the length of each row;  x [R, N], out [R] of float64, in which the squares are added up too."""
    for r in range(len(x)):
        out[r] = norm(x[r])


@kernel
def adam(p: Any, g: Any, m: Any, v: Any, settings: Any) -> None:
    """Kingma and Ba 2015 in one pass;  p, g, m, v [N], of which p, m, v are written.

    settings, float64, in which it is computed too: lr / (1 - β₁ᵗ), 1 / √(1 - β₂ᵗ), β₁, 1 - β₁, β₂, 1 - β₂, eps, decay
    added to the gradient, decay beside it. The loop would multiply 1 - β₂ out, and a float32 of it is off by 1e-5.
    """
    rate, root, beta1, rest1, beta2, rest2, eps, coupled, decay = settings
    for i in range(p.size):
        slope = g[i] + coupled * p[i]
        mean = beta1 * m[i] + rest1 * slope
        square = beta2 * v[i] + rest2 * slope * slope
        m[i], v[i] = mean, square
        p[i] -= rate * mean / (math.sqrt(square) * root + eps) + decay * p[i]
