"""Matrix products in Numba for scans: a weight is packed into panels once a scan and then used at every step.

Imports `jit` and `llvm`. A BLAS call packs its operands each time, and brings threads of its own; these kernels work on
the rows they are given, so that each thread runs its rows of the batch through all steps. Every sum is one chain of
fused multiply-adds in the order of its index: the same bits for any number of rows, threads or pieces.

    panels = pack(w, transposed)            # w [K, N] -> [N / COLS, K, COLS], zeros at the end
    multiply(a, panels, out, 0, R)          # out [R, N] = a [R, K] @ w
    outer(a, b, add, backwards, out)        # out [M, N] = aᵀ b,  a [R, M], b [R, N]
"""

from typing import Any

import numpy as np

from minigrad.jit import helper, kernel
from minigrad.llvm import COLS, ROWS, make_tile

DEPTH, HEIGHT = 256, 96  # terms and rows at a time: a panel stays in the first cache, the rows in the second
GROUP = 8  # panels gathered at a time: whole cache lines, one after the other
tile, tile5, tile4, tile2, tile1 = make_tile(ROWS), make_tile(5), make_tile(4), make_tile(2), make_tile(1)


@kernel
def strip(a: Any, a0: Any, row: Any, step: Any, rows: Any, b: Any, b0: Any, below: Any, n: Any, c: Any, c0: Any,
          width: Any, cols: Any, add: Any) -> None:  # fmt: skip
    """The product of any number of rows with COLS columns; see `llvm.make_tile` for where things lie."""
    r = 0
    while rows - r >= ROWS + 4 or rows - r == ROWS:  # fewer than four rows keep a processor no less busy than four do
        tile(a, a0 + r * row, row, step, b, b0, below, n, c, c0 + r * width, width, cols, add)
        r += ROWS
    if rows - r in (5, 7, 9):
        tile5(a, a0 + r * row, row, step, b, b0, below, n, c, c0 + r * width, width, cols, add)
        r += 5
    while rows - r >= 4:
        tile4(a, a0 + r * row, row, step, b, b0, below, n, c, c0 + r * width, width, cols, add)
        r += 4
    if rows - r >= 2:
        tile2(a, a0 + r * row, row, step, b, b0, below, n, c, c0 + r * width, width, cols, add)
        r += 2
    if r < rows:
        tile1(a, a0 + r * row, row, step, b, b0, below, n, c, c0 + r * width, width, cols, add)


@kernel
def pack_panels(w: Any, transposed: Any, panels: Any) -> None:
    """w [K, N], or [N, K] if transposed -> panels [P, K, COLS]."""
    k, n = w.shape
    if transposed:
        n, k = k, n
    for p in range(panels.shape[0]):
        left = p * COLS
        cols = min(COLS, n - left)
        for i in range(k):
            to = panels[p, i]
            if transposed:
                for j in range(cols):
                    to[j] = w[left + j, i]
            else:
                for j in range(cols):
                    to[j] = w[i, left + j]
            for j in range(cols, COLS):
                to[j] = 0


@kernel
def multiply(a: Any, panels: Any, out: Any, first: Any, last: Any) -> None:
    """Rows first to last of out [R, N] = a [R, K] @ w; w as `pack` gives it."""
    k, n = a.shape[1], out.shape[1]
    for top in range(first, last, HEIGHT):
        rows = min(HEIGHT, last - top)
        for start in range(0, max(k, 1), DEPTH):
            depth = min(DEPTH, k - start)
            for p in range(panels.shape[0]):
                cols = min(COLS, n - p * COLS)
                strip(a, top * k + start, k, 1, rows, panels, (p * k + start) * COLS, COLS, depth,
                      out, top * n + p * COLS, n, cols, start > 0)  # fmt: skip


@kernel
def outer_panels(
    a: Any, b: Any, add: Any, backwards: Any, left: Any, right: Any, out: Any, first: Any, last: Any
) -> None:
    """Panels first to last of out [M, N] = aᵀ b, or += if `add`;  a [R, M], b [R, N].

    The terms are added from the last row to the first if `backwards`: in pieces over time, the same chain as at once.
    left [M / ROWS DEPTH, ROWS] and right [GROUP DEPTH, COLS] are this thread's own working memory.
    """
    rows, m, n = a.shape[0], a.shape[1], b.shape[1]
    sign = -1 if backwards else 1
    narrow = m <= 4 * ROWS  # each number is used a few times: not worth a copy
    for start in range(0, max(rows, 1), DEPTH):
        depth = min(DEPTH, rows - start)
        top = rows - 1 - start if backwards else start
        if not narrow:
            _gather_tiles(a, top, sign, depth, left)
        for group in range(first, last, GROUP):
            end = min(group + GROUP, last)
            direct = narrow and end * COLS <= n
            if not direct:
                _gather_panels(b, group, end, top, sign, depth, right)
            for p in range(group, end):
                cols = min(COLS, n - p * COLS)
                beside, b0, below = right, (p - group) * DEPTH * COLS, COLS
                if direct:
                    beside, b0, below = b, top * n + p * COLS, sign * n
                for q in range(0, m, ROWS):
                    above, a0, step = left, q * DEPTH, ROWS
                    if narrow:
                        above, a0, step = a, top * m + q, sign * m
                    strip(above, a0, 1, step, min(ROWS, m - q), beside, b0, below, depth,
                          out, q * n + p * COLS, n, cols, add or start > 0)  # fmt: skip


@helper
def _gather_tiles(a: Any, top: Any, sign: Any, depth: Any, left: Any) -> None:
    """left[q DEPTH + i, r] = a[top + sign i, ROWS q + r]."""
    m = a.shape[1]
    for i in range(depth):
        source = a[top + sign * i]
        for q in range(m // ROWS):
            to, piece = left[q * DEPTH + i], source[q * ROWS : q * ROWS + ROWS]
            for r in range(ROWS):
                to[r] = piece[r]
        for r in range(m - m % ROWS, m):
            left[m // ROWS * DEPTH + i, r % ROWS] = source[r]


@helper
def _gather_panels(b: Any, group: Any, end: Any, top: Any, sign: Any, depth: Any, right: Any) -> None:
    """right[p DEPTH + i, j] = b[top + sign i, COLS (group + p) + j]."""
    n = b.shape[1]
    for i in range(depth):
        row = b[top + sign * i]
        for p in range(group, end):
            to, source = right[(p - group) * DEPTH + i], row[p * COLS : p * COLS + COLS]
            if p * COLS + COLS <= n:
                for j in range(COLS):
                    to[j] = source[j]
            else:
                for j in range(n - p * COLS):
                    to[j] = source[j]


def pack(w: Any, transposed: bool) -> Any:
    """w [K, N], or [N, K] if transposed -> its panels [P, K, COLS]."""
    k, n = w.shape[::-1] if transposed else w.shape
    panels = np.empty((-(-n // COLS), k, COLS), w.dtype)
    pack_panels(w, transposed, panels)
    return panels
