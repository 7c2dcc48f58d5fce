"""What a program's functions call: products before and after the loop, sums over the steps, look-ups; and loading them.

Imports the files of its floor, the kernels and the floors below. T steps, B rows.
"""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.arraytype import NUMBERS
from minigrad.codegen.program import Program
from minigrad.core import OPS
from minigrad.jit import load
from minigrad.kernels import matmul
from minigrad.kernels import rows as row_kernels
from minigrad.llvm import COLS, ROWS

Numbers = np.ndarray[Any, Any]
UNTRACED = np.empty((1, 1))


class Forwards:
    """What each op of the table does to arrays, by name."""

    def __getattr__(self, name: str) -> Any:
        return OPS[name].forward


FORWARDS = Forwards()


def functions(program: Program, device: str = "cpu") -> Any:
    """The functions of a program, loaded when they are first asked for: `weights`, `ahead` and so on; see `host.py`."""
    if device not in program.functions:
        if device == "cpu":
            program.functions[device] = bind(program, load(program.text))
        else:
            from minigrad.codegen import cuda_run

            program.functions[device] = cuda_run.bind(program)
    return program.functions[device]


def bind(program: Program, kernels: Any) -> Any:
    """The functions of a program, with these kernels."""
    names = {**TOOLS, "forward": kernels.forward, "backward": kernels.backward, **program.given}
    exec(compile(program.host, "<minigrad: around a loop>", "exec"), names)
    return SimpleNamespace(**{k: names[k] for k in "weights ahead weights_back back finish".split()})


def rows(x: Numbers, shape: Any) -> Numbers:
    """An array with its elements in order, in that shape."""
    return np.ascontiguousarray(x).reshape(shape)


def panels(w: Numbers, turned: bool, dtype: Any) -> Numbers:
    """A weight as `multiply` takes it."""
    w = w.astype(dtype, copy=False)
    if not w.flags.c_contiguous and w.T.flags.c_contiguous:
        w, turned = w.T, not turned
    return matmul.pack(np.ascontiguousarray(w), turned)


def put(total: Numbers | None, shape: Any, index: Numbers, g: Numbers, backwards: bool) -> Numbers:
    """total[index] += g, the last step first if `backwards`;  index [T, B, K], g [T, B, K N]."""
    total = np.zeros(shape, g.dtype) if total is None else total
    order = slice(None, None, -1 if backwards else 1)
    row_kernels.add_rows(total, index.reshape(-1)[order], g.reshape(index.size, *shape[1:])[order])
    return total


def within(index: Numbers, low: int, high: int, what: str) -> None:
    """Raise ShapeError unless all integers are from `low` to `high`."""
    FORWARDS.within(index, low=low, high=high, what=what)


def looked_up(table: Numbers, index: Numbers, out: Numbers) -> None:
    """out [T, B, ...] = table[index];  table [N, ...], index [T, B, K]."""
    within(index, -len(table), len(table) - 1, f"a look-up in a weight of {len(table)} rows")
    out[...] = table[index].reshape(out.shape)


def product(a: Numbers, panels: Numbers, out: Numbers) -> None:
    """out = a w, the rows shared out among the threads."""

    def run(first: int, last: int) -> None:
        matmul.multiply(a, panels, out, first, last)

    threads.share(len(a), 2 * out.size * a.shape[1], run)


class _Own(threading.local):
    """One thread's own."""

    def __init__(self) -> None:
        self.kept: dict[Any, tuple[Numbers, Numbers]] = {}


_own = _Own()


def _scratch(m: int, dtype: Any) -> tuple[Numbers, Numbers]:
    """This thread's working memory for `outer`."""
    kept = _own.kept
    key = m, dtype
    if key not in kept:
        left = np.empty((-(-m // ROWS) * matmul.DEPTH, ROWS), dtype)
        kept[key] = left, np.empty((matmul.GROUP * matmul.DEPTH, COLS), dtype)
    return kept[key]


def outer(a: Numbers, b: Numbers, total: Numbers | None, backwards: bool) -> Numbers:
    """total + aᵀ b, the wider one's columns shared out among the threads;  a [R, M], b [R, N] -> [M, N]."""
    if a.shape[1] > b.shape[1]:
        return outer(b, a, None if total is None else total.T, backwards).T
    m, n = a.shape[1], b.shape[1]
    out = np.empty((m, n), a.dtype) if total is None else total

    def run(first: int, last: int) -> None:
        matmul.outer_panels(a, b, total is not None, backwards, *_scratch(m, a.dtype), out, first, last)

    threads.share(-(-n // COLS), 2 * len(a) * m * n, run)
    return out


TOOLS: dict[str, Any] = {
    **NUMBERS, "empty": np.empty, "ops": FORWARDS, "share": threads.share, "rows": rows, "panels": panels,
    "product": product, "looked_up": looked_up, "within": within, "outer": outer, "put": put,
}  # fmt: skip
