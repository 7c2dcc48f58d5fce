"""Does each hand-written kernel beat NumPy?  `python benchmarks/kernels.py`

Prints the time of NumPy's way over the kernel's, both in this process, in turns; above 1 the kernel wins.
A kernel that does not win at the sizes it is used for has no place in `minigrad/kernels`.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable

import numpy as np

from minigrad.kernels import cpu, rows

Array = np.ndarray


def numpy_standardize(x: Array, out: Array) -> None:
    centred = x - x.mean(axis=-1, keepdims=True)
    out[...] = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + 1e-5)


def numpy_adam(p: Array, g: Array, m: Array, v: Array) -> None:
    m *= 0.9
    m += 0.1 * g
    v *= 0.999
    v += 0.001 * g * g
    p -= 0.001 * m / (np.sqrt(v) + 1e-8)


def numpy_softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def numpy_cross_entropy(x: Array, targets: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - np.take_along_axis(shifted, targets[:, None], 1)[:, 0]


def numpy_row_norms(x: Array, out: Array) -> None:
    out[...] = np.sqrt(np.square(x.astype(np.float64)).sum(axis=-1))


def cases(size: str, dtype: type) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    r, n = {"small": (32, 10), "medium": (1280, 64), "large": (4096, 512)}[size]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(r, n)).astype(dtype)
    out, norms, flat = np.empty_like(x), np.empty(r), x.reshape(-1)
    index, targets = rng.integers(0, 50, r), rng.integers(0, n, r)
    table = np.zeros((50, n), dtype)
    state = [rng.normal(size=flat.size).astype(dtype) ** 2 for _ in range(4)]
    settings = np.array([0.001, 1, 0.9, 0.1, 0.999, 0.001, 1e-8, 0, 0])
    return {
        "softmax": (lambda: numpy_softmax(x), lambda: rows.softmax(x)),
        "cross entropy": (lambda: numpy_cross_entropy(x, targets), lambda: rows.cross_entropy(x, targets)),
        "layer norm": (lambda: numpy_standardize(x, out), lambda: cpu.standardize(x, dtype(1e-5), out)),
        "scatter-add": (lambda: np.add.at(table, index, x), lambda: cpu.add_rows(table, index, x)),
        "row norms": (lambda: numpy_row_norms(x, norms), lambda: cpu.row_norms(x, norms)),
        "Adam": (lambda: numpy_adam(*state), lambda: cpu.adam(*state, settings)),
    }


def seconds(f: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        f()
    return (time.perf_counter() - start) / calls


def main() -> None:
    print(f"{'kernel':14} {'dtype':8} {'size':8} {'NumPy us':>10} {'kernel us':>10} {'ratio':>6}")
    for dtype in (np.float32, np.float64):
        for size in ("small", "medium", "large"):
            for name, (theirs, ours) in cases(size, dtype).items():
                ours(), theirs()
                calls = max(3, int(0.02 / max(seconds(theirs, 1), 1e-6)))
                pairs = [(seconds(theirs, calls), seconds(ours, calls)) for _ in range(7)]
                a, b = (statistics.median(p[i] for p in pairs) * 1e6 for i in (0, 1))
                ratio = statistics.median(p[0] / p[1] for p in pairs)
                print(f"{name:14} {np.dtype(dtype).name:8} {size:8} {a:10.1f} {b:10.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
