"""What generated scans call on the GPU: products of some rows with a weight, norms.

Imports `gpu` and `cuda_math`. A block holds the first `here` rows of its columns of a weight in shared memory, `store`
from `begin` on, and reads the rest from the GPU's own. Its column c is column c · blocks + block of the weight.
"""

from typing import Any

import numpy as np

from minigrad.gpu import device_function
from minigrad.kernels.cuda_math import sqrt

LEAST = 2.2250738585072014e-308  # the least float64 with all its digits


@device_function
def load(w: Any, w_at: Any, n: Any, store: Any, begin: Any, here: Any, block: Any, blocks: Any, me: Any,
         threads: Any) -> None:  # fmt: skip
    """Bring a block's columns of a weight [K, n] into shared memory."""
    columns = (n + blocks - 1) // blocks
    for i in range(me, here * columns, threads):
        column = (i % columns) * blocks + block
        if column < n:
            store[begin + i] = w[w_at + (i // columns) * n + column]


@device_function
def multiply(a: Any, a_at: Any, inner: Any, w: Any, w_at: Any, n: Any, store: Any, begin: Any, here: Any, out: Any,
             out_at: Any, first: Any, last: Any, block: Any, blocks: Any, me: Any, threads: Any) -> None:  # fmt: skip
    """out = a w for the rows first to last and a block's columns, four rows at a time;  a [·, inner], w [inner, n]."""
    columns = (n + blocks - 1) // blocks
    groups = (last - first + 3) // 4
    zero = out.dtype.type(0)
    for e in range(me, columns * groups, threads):
        c = e % columns
        column = c * blocks + block
        row = first + (e // columns) * 4
        if column < n and row + 4 <= last:
            at = a_at + row * inner
            s0, s1, s2, s3 = zero, zero, zero, zero
            for k in range(here):
                u = store[begin + k * columns + c]
                s0 += a[at + k] * u
                s1 += a[at + inner + k] * u
                s2 += a[at + 2 * inner + k] * u
                s3 += a[at + 3 * inner + k] * u
            for k in range(here, inner):
                u = w[w_at + k * n + column]
                s0 += a[at + k] * u
                s1 += a[at + inner + k] * u
                s2 += a[at + 2 * inner + k] * u
                s3 += a[at + 3 * inner + k] * u
            to = out_at + row * n + column
            out[to] = s0
            out[to + n] = s1
            out[to + 2 * n] = s2
            out[to + 3 * n] = s3
        elif column < n:
            for r in range(row, last):
                at = a_at + r * inner
                s0 = zero
                for k in range(here):
                    s0 += a[at + k] * store[begin + k * columns + c]
                for k in range(here, inner):
                    s0 += a[at + k] * w[w_at + k * n + column]
                out[out_at + r * n + column] = s0


@device_function
def norm(x: Any, at: Any, n: Any) -> Any:
    """The length of n numbers, as `vector_math.norm`."""
    top = 0.0
    for k in range(at, at + n):
        size = abs(np.float64(x[k]))
        top = size if size > top or np.isnan(size) else top
    if top == np.inf:
        return top
    scale = top if top > LEAST else LEAST
    total = 0.0
    for k in range(at, at + n):
        part = np.float64(x[k]) / scale
        total += part * part
    return scale * sqrt(total)
