"""Recurrent layers against PyTorch and JAX, forward and backward, float32: `python benchmarks/recurrent.py`.

Each library runs in a process of its own, one after the other, shape by shape; a figure is the lower quartile of its
runs. Only ratios mean something: machines are shared. A library that is not installed is left out. Linux only.
"""

import argparse
import os
import subprocess
import sys
from math import exp, log

from minigrad_cli.peers import GATES, SHAPES, in_a_process, quartile


def peak():
    """GFLOP/s of the packed product of large matrices, with all threads."""
    import numpy as np

    from minigrad import threads
    from minigrad.codegen.run import product
    from minigrad.kernels import matmul

    k = 256
    a = np.ones((4096 * threads.count(), k), "f4")
    panels, out = matmul.pack(np.ones((k, k), "f4"), False), np.empty((len(a), k), "f4")
    return 2 * a.size * k / quartile(lambda: product(a, panels, out), 1) / 1e9


def peak_of(threads):
    """The same in a process with so many threads."""
    environment = {**os.environ, "MINIGRAD_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, __file__, "--peak"], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


# --- all of them, side by side ----------------------------------------------------------------------------------------


def flops(cell, shape):
    """Of the products: forward once, backward twice."""
    steps, batch, d, h = shape
    return 3 * 2 * steps * batch * (d + h) * GATES[cell] * h


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru", "minimal"], choices=list(GATES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--shapes", nargs="+", type=int, default=range(len(SHAPES)), help="numbers from 0")
    parser.add_argument("--peers", default=sys.executable, help="the Python in which PyTorch and JAX are installed")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak())
        return
    for threads in options.threads:
        best = peak_of(threads)
        print(f"\n{threads} thread{'s' * (threads > 1)}; measured peak of the matrix product {best:.0f} GFLOP/s\n")
        for cell in options.cells:
            table(cell, threads, best, options)


def table(cell, threads, best, options):
    """One cell's figures at all shapes."""
    row = "{:8} {:>18} {:>9} {:>9} {:>9} {:>8} {:>14}"
    print(row.format(f"{cell}, ms", "T, B, D, H", "minigrad", "torch", "JAX", "of peak", "to the better"))
    pythons = {"minigrad": sys.executable, "torch": options.peers, "jax": options.peers}
    ratios = []
    for shape in [SHAPES[i] for i in options.shapes]:
        ours, *peers = (
            in_a_process(python, library, cell, shape, threads, options.seconds) for library, python in pythons.items()
        )
        if known := [p for p in peers if p]:
            ratios.append(min(known) / ours)
        figures = [f"{1e3 * t:.2f}" if t else "–" for t in (ours, *peers)]
        share = f"{flops(cell, shape) / ours / best / 1e9:.0%}"
        told = f"{ratios[-1]:.2f}" if known else "–"
        print(row.format("", ", ".join(map(str, shape)), *figures, share, told), flush=True)
    if ratios:
        mean = exp(sum(map(log, ratios)) / len(ratios))
        print(row.format("", "geometric mean", "", "", "", "", f"{mean:.2f}"), "\n", flush=True)


if __name__ == "__main__":
    main()
