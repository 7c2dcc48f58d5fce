"""Recurrent layers on a GPU against PyTorch (cuDNN) and JAX, float32: `python benchmarks/cuda.py`.

Each library runs in a process of its own, one after the other, shape by shape. A figure is the median of 30 runs after
a warm-up, by CUDA events (JAX, which has none, by the clock, with a wait after each run): forward alone, and forward
and backward, in milliseconds. `minimal` is a cell that nobody built in: ours is ten lines, PyTorch's a loop whose step
is compiled, JAX's a scan. What is not installed is left blank. A figure without a GPU means nothing: there is none.
"""

import argparse
import json
import subprocess
import sys

sys.path.pop(0)  # NVIDIA has a package called as this file

from minigrad_cli import peers

LONG = (1024, 16, 128, 768)
CELLS = ("rnn", "lstm", "gru", "minimal")
LIBRARIES = ("minigrad", "torch", "jax")
RUNS, WARM = 30, 5


def events(library):
    """A function that times a run in milliseconds on the device."""
    if library == "minigrad":
        from numba import cuda

        def timed(run):
            start, end = cuda.event(), cuda.event()
            start.record()
            run()
            end.record()
            end.synchronize()
            return cuda.event_elapsed_time(start, end)

    elif library == "torch":
        import torch

        torch.backends.cudnn.allow_tf32 = False  # as ours, and as on the CPU

        def timed(run):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            return start.elapsed_time(end)

    else:
        from time import perf_counter

        def timed(run):
            start = perf_counter()
            run()
            return 1000 * (perf_counter() - start)

    return timed


def one(library, cell, shape):
    """Milliseconds forward, and forward and backward."""
    where = {} if library == "jax" else {"device": "cuda"}
    timed, found = events(library), []
    for run in getattr(peers, library)(cell, shape, **where):
        times = [timed(run) for _ in range(WARM + RUNS)][WARM:]
        found.append(sorted(times)[RUNS // 2])
    return found


def measured(python, library, cell, shape):
    """The same in a process of its own; None, and why on stderr, where it cannot be had."""
    line = [python, __file__, "--one", json.dumps([library, cell, shape])]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{library} {cell} {shape}: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS)
    parser.add_argument("--peers", default=sys.executable, help="the Python in which PyTorch and JAX are installed")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        library, cell, shape = json.loads(options.one)
        print(json.dumps(one(library, cell, tuple(shape))))
        return
    from minigrad import gpu

    if gpu.SIMULATED:
        sys.exit("cuda: the simulator's times mean nothing. Unset NUMBA_ENABLE_CUDASIM, on a machine with a GPU.")
    gpu.door()
    print(f"{gpu.description()}; milliseconds: forward / forward and backward; µs a step: of ours, forward\n")
    print("| cell | T, B, D, H | µs a step |", " | ".join(LIBRARIES), "|\n|---|---|---|---|---|---|")
    pythons = {"minigrad": sys.executable, "torch": options.peers, "jax": options.peers}
    for cell in options.cells:
        for shape in [*peers.SHAPES, LONG]:
            found = [measured(python, library, cell, shape) for library, python in pythons.items()]
            step = f"{1000 * found[0][0] / shape[0]:.2f}" if found[0] else ""
            texts = [f"{f[0]:.3f} / {f[1]:.3f}" if f else "" for f in found]
            print(f"| {cell} | {', '.join(map(str, shape))} | {step} |", " | ".join(texts), "|", flush=True)


if __name__ == "__main__":
    main()
