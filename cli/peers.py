"""One layer of one library, forward and backward: what `minigrad bench` and `benchmarks/{recurrent,cuda}.py` time.

Run as a file, so that a peer may live in another environment than minigrad: `python peers.py LIBRARY CELL SHAPE
SECONDS`.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

SHAPES = [(20, 8, 16, 64), (20, 32, 10, 64), (100, 32, 10, 128), (100, 32, 128, 128), (200, 64, 128, 256),
          (100, 20, 2, 128), (500, 32, 10, 64), (50, 128, 256, 512)]  # fmt: skip
GATES = {"rnn": 1, "gru": 3, "lstm": 4, "minimal": 2}


def quartile(run: Any, budget: float) -> float:
    """Seconds of one run: the lower quartile."""
    run(), run()
    times, end = [], time.perf_counter() + budget
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 4]


# --- one library, one process: each makes two functions, one that runs forward, one that runs backward too ------------


def numbers(shape: Any) -> Any:
    """Input and cotangent."""
    import numpy as np

    steps, batch, d, h = shape
    rng = np.random.default_rng(0)
    return rng.normal(size=(steps, batch, d)).astype("f4"), rng.normal(size=(steps, batch, h)).astype("f4")


def minigrad(cell: str, shape: Any, device: str = "cpu") -> Any:
    """Ours."""
    import minigrad as mg

    class Gated(mg.nn.Cell):
        """A cell that nobody built in: h' = z h + (1 - z) tanh(W x + U h), z = σ(V x + R h)."""

        def __init__(self, input_size, hidden_size):
            self.x = mg.nn.Linear(input_size, 2 * hidden_size)
            self.h = mg.nn.Linear(hidden_size, 2 * hidden_size)

        def initial_carry(self, batch):
            return mg.zeros((batch, self.h.in_features))

        def step(self, h, x):
            z, n = mg.split(self.x(x) + self.h(h), 2, axis=-1)
            h = mg.sigmoid(z) * h + (1 - mg.sigmoid(z)) * mg.tanh(n)
            return h, h

    x, g = numbers(shape)
    layer = mg.nn.Recurrent(Gated if cell == "minimal" else cell, *shape[2:]).to(device)
    xs, g = mg.tensor(x, requires_grad=True, device=device), mg.tensor(g, device=device)

    def forward():
        with mg.no_grad():
            layer(xs)

    def both():
        for p in [*layer.parameters(), xs]:
            p.grad = None
        layer(xs)[0].backward(g)

    return forward, both


def torch(cell: str, shape: Any, device: str = "cpu") -> Any:
    """PyTorch's layer, or for a cell that it has not a loop of its ops, on a GPU with the step compiled."""
    import torch

    torch.set_default_device(device)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x, g = (torch.tensor(a) for a in numbers(shape))
    x.requires_grad = True
    if cell == "minimal":
        over_x, over_h = torch.nn.Linear(shape[2], 2 * shape[3]), torch.nn.Linear(shape[3], 2 * shape[3])
        weights = [*over_x.parameters(), *over_h.parameters()]

        def step(h, x):
            z, n = (x + over_h(h)).chunk(2, -1)
            return torch.sigmoid(z) * h + (1 - torch.sigmoid(z)) * torch.tanh(n)

        step = torch.compile(step) if device == "cuda" else step

        def layer(x):
            h, ys, first = torch.zeros(shape[1], shape[3]), [], over_x(x)
            for t in range(shape[0]):
                h = step(h, first[t])
                ys.append(h)
            return torch.stack(ys), h
    else:
        layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](*shape[2:])
        weights = list(layer.parameters())

    def forward():
        with torch.no_grad():
            layer(x)

    def both():
        for p in [*weights, x]:
            p.grad = None
        layer(x)[0].backward(g)

    return forward, both


def jax(cell: str, shape: Any) -> Any:
    """A jitted `lax.scan`."""
    import jax
    import jax.numpy as jnp
    from jax.nn import sigmoid

    def rnn(w, h, z):
        h = jnp.tanh(z + h @ w["u"] + w["c"])
        return h, h

    def gru(w, h, z):
        a, b, n = jnp.split(z, 3, -1)
        d, e, m = jnp.split(h @ w["u"] + w["c"], 3, -1)
        gate = sigmoid(b + e)
        h = (1 - gate) * jnp.tanh(n + sigmoid(a + d) * m) + gate * h
        return h, h

    def lstm(w, carry, z):
        h, c = carry
        i, f, g, o = jnp.split(z + h @ w["u"] + w["c"], 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
        h = sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def minimal(w, h, z):
        z, n = jnp.split(z + h @ w["u"] + w["c"], 2, -1)
        h = sigmoid(z) * h + (1 - sigmoid(z)) * jnp.tanh(n)
        return h, h

    step = {"rnn": rnn, "gru": gru, "lstm": lstm, "minimal": minimal}[cell]
    x, g = (jnp.array(a) for a in numbers(shape))
    _, batch, d, h = shape
    wide = GATES[cell] * h
    draws = jax.random.split(jax.random.key(0), 2)
    w = {"w": jax.random.normal(draws[0], (d, wide)) * 0.1, "u": jax.random.normal(draws[1], (h, wide)) * 0.1}
    w |= {"b": jnp.zeros(wide), "c": jnp.zeros(wide)}
    zero = jnp.zeros((batch, h))

    @jax.jit
    def layer(w, x):
        carry = (zero, zero) if cell == "lstm" else zero
        return jax.lax.scan(lambda c, z: step(w, c, z), carry, x @ w["w"] + w["b"])[1]

    @jax.jit
    def both(w, x, g):
        ys, back = jax.vjp(layer, w, x)
        return ys, back(g)

    return lambda: jax.block_until_ready(layer(w, x)), lambda: jax.block_until_ready(both(w, x, g))


def in_a_process(python: str, library: str, cell: str, shape: Any, threads: int, budget: float) -> float | None:
    """Seconds, or None if the library is not there."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    environment |= {"MINIGRAD_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [python, __file__, library, cell, json.dumps(shape), str(budget)]
    cores = sorted(os.sched_getaffinity(0))[:threads]  # JAX takes no number of threads, but as many as it has cores
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode and "No module named" not in done.stderr:
        print(done.stderr, file=sys.stderr)
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its files are not modules of that name
    library, cell, shape, budget = sys.argv[1:]
    print(json.dumps(quartile(globals()[library](cell, tuple(json.loads(shape)))[1], float(budget))))
