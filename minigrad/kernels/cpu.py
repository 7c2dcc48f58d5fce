"""Hand-written Numba kernels for what NumPy does in many passes over memory.

Imports `jit` only. Kernels take C-contiguous arrays of one float dtype and write into their last arguments; each also
runs as plain Python (`kernel.python`). R rows, N columns. What they win is measured in `benchmarks/kernels.py`.
"""

import math
from typing import Any

import numpy as np

from minigrad.jit import helper, kernel


@kernel
def erf(x: Any, out: Any) -> None:
    """out = erf(x);  x, out [N]."""
    for i in range(x.size):
        out[i] = math.erf(x[i])


@helper
def exp32(x: Any) -> Any:
    """exp of a float32 to 2e-7, made of multiplications, so that a loop of it is vectorised; 0 below -87.

    exp(x) = 2^n exp(r), r = x - n ln 2 in [-0.35, 0.35]; ln 2 in two parts, a Taylor-like polynomial (Cephes' expf).
    """
    c = np.float32(-87) if x < np.float32(-87) else x  # not max(): NaN must stay NaN
    n = np.floor(c * np.float32(1.44269504) + np.float32(0.5))
    r = c - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(0) if x < np.float32(-87) else p * power


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
            to[i] = exp32(row[i] - top)
        total = np.float32(0)
        for i in range(n):
            total += to[i]
        scale = np.float32(1) / total
        for i in range(n):
            to[i] *= scale


@kernel
def row_sums32(x: Any, top: Any, total: Any) -> None:
    """top = max, total = sum of exp(x - top), row by row;  x [R, N] of float32, top, total [R]."""
    rows, n = x.shape
    for r in range(rows):
        row = x[r]
        high = row[0]
        for i in range(n):
            high = high if row[i] <= high else row[i]
        some = np.float32(0)
        for i in range(n):
            some += exp32(row[i] - high)
        top[r], total[r] = high, some


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
def adam(p: Any, g: Any, m: Any, v: Any, settings: Any) -> None:
    """Kingma and Ba 2015 in one pass;  p, g, m, v [N], of which p, m, v are written.

    settings: lr / (1 - β₁ᵗ), 1 / √(1 - β₂ᵗ), β₁, β₂, eps, decay added to the gradient, decay beside it.
    """
    rate, root, beta1, beta2, eps, coupled, decay = settings
    one = settings.dtype.type(1)
    for i in range(p.size):
        slope = g[i] + coupled * p[i]
        m[i] = beta1 * m[i] + (one - beta1) * slope
        v[i] = beta2 * v[i] + (one - beta2) * slope * slope
        p[i] -= rate * m[i] / (math.sqrt(v[i]) * root + eps) + decay * p[i]
