"""What a compiled scan costs beside its arithmetic: `python benchmarks/scan.py`.

The time of a step as T grows and as gradients vanish, what checkpoints cost, what the tape costs, and how long the
first compile of an LSTM takes. Ratios are of figures taken in turns in this process.
"""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

import minigrad as mg

COLD = """
import time, numpy as np, minigrad as mg
layer, xs = mg.nn.Recurrent("lstm", 10, 64), mg.tensor(np.ones((20, 8, 10), "f4"))
start = time.perf_counter()
layer(xs)[0].sum().backward()
print(time.perf_counter() - start)
"""


def in_turns(runs, seconds=1.5):
    """The lower quartile of each, in seconds."""
    times = [[] for _ in runs]
    end = time.perf_counter() + seconds * len(runs)
    while time.perf_counter() < end or len(times[0]) < 5:
        for run, found in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
    return [sorted(found)[len(found) // 4] for found in times]


def rnn(steps, batch=8, size=32, spectral_radius=0.9, **options):
    """Forward and backward of a linear-ish RNN, whose gradient shrinks by that factor a step."""
    rng = np.random.default_rng(0)
    u = mg.tensor((np.linalg.qr(rng.normal(size=(size, size)))[0] * spectral_radius).astype("f4"), requires_grad=True)
    xs, h0 = mg.tensor(rng.normal(size=(steps, batch, size)).astype("f4") * 0.01), mg.zeros((batch, size))

    def run():
        u.grad = None
        last, _ = mg.scan(lambda h, x: (mg.tanh(x + h @ u), None), h0, xs, **options)
        last.sum().backward()

    return run


def layer(cell, batch, size, checkpoint):
    """Forward and backward of a layer over a thousand steps."""
    made = mg.nn.Recurrent(cell, 10, size, checkpoint=checkpoint)
    xs, g = mg.tensor(np.ones((1000, batch, 10), "f4")), mg.tensor(np.ones((1000, batch, size), "f4"))
    weights = list(made.parameters())

    def run():
        for p in weights:
            p.grad = None
        made(xs)[0].backward(g)

    return run


def main():
    lengths = [100, 1000, 10_000, 100_000]
    times = in_turns([rnn(t) for t in lengths])
    print("T        ", "".join(f"{t:>10}" for t in lengths))
    print("µs a step", "".join(f"{1e6 * s / t:>10.2f}" for s, t in zip(times, lengths, strict=True)))

    steady, vanishing = in_turns([rnn(2000, spectral_radius=1.0), rnn(2000, spectral_radius=0.5)])
    print(f"\nT 2000, gradients that vanish below 1e-38 over gradients that stay: {vanishing / steady:.2f}")

    for cell, batch, size in (("rnn", 32, 32), ("rnn", 32, 128), ("lstm", 8, 64), ("lstm", 32, 128)):
        plain, root = in_turns([layer(cell, batch, size, None), layer(cell, batch, size, "sqrt")])
        print(f'T 1000, {cell}, B {batch}, H {size}, checkpoint="sqrt" over none: {root / plain:.2f} times the time')

    cell = mg.nn.Recurrent("lstm", 2, 4)
    xs = mg.tensor(np.ones((1, 1, 2), "f4"))

    def forward():
        cell(xs)

    def forward_unrecorded():
        with mg.no_grad():
            cell(xs)

    recorded, bare = in_turns([forward, forward_unrecorded])
    print(f"\nan LSTM of one step: {1e6 * recorded:.0f} µs, of which the tape {1e6 * (recorded - bare):.0f} µs")

    for what in ("cold", "second process"):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "MINIGRAD_CACHE_DIR": folder}
            for _ in range(1 if what == "cold" else 2):
                done = subprocess.run(
                    [sys.executable, "-c", COLD], env=environment, capture_output=True, text=True, check=True
                )
        print(f"first forward and backward of an LSTM, {what}: {float(done.stdout):.2f} s")


if __name__ == "__main__":
    main()
