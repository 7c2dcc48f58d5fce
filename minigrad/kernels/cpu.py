"""Hand-written Numba kernels for what NumPy does in many passes over memory.

Imports `jit` only. Kernels take C-contiguous arrays of one float dtype and write into their last arguments; each also
runs as plain Python (`kernel.python`). R rows, N columns. What they win is measured in `benchmarks/kernels.py`.
"""

import math
from typing import Any

from minigrad.jit import kernel


@kernel
def erf(x: Any, out: Any) -> None:
    """out = erf(x);  x, out [N]."""
    for i in range(x.size):
        out[i] = math.erf(x[i])


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
    """out[index[k]] += g[k];  index [K] in 0..R-1, g [K, N], out [R, N]; in the order of k, so the same bits each time."""
    n = g.shape[1]
    for k in range(index.size):
        row, add = out[index[k]], g[k]
        for i in range(n):
            row[i] += add[i]


@kernel
def adam(p: Any, g: Any, m: Any, v: Any, lr: Any, beta1: Any, beta2: Any, eps: Any, decay: Any, step: Any) -> None:
    """Kingma and Ba 2015, with AdamW's decay:  p, g, m, v [N]; p, m, v are written, in one pass."""
    unbias1 = 1 - beta1**step
    unbias2 = 1 - beta2**step
    for i in range(p.size):
        m[i] = beta1 * m[i] + (1 - beta1) * g[i]
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i]
        p[i] -= lr * (m[i] / unbias1 / (math.sqrt(v[i] / unbias2) + eps) + decay * p[i])
