"""The forget gate's bias."""

from collections.abc import Iterator
from math import exp
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_cli.charts import overlay

STEPS = 100


def cell_path(bias: float) -> Any:
    """dL/dc_t of an LSTM whose weights are 0 and whose forget bias is `bias`, over that at the end."""
    layer = mg.nn.Recurrent("lstm", 1, 1)
    weights = {k: np.zeros(v.shape) for k, v in layer.state_dict().items()}
    weights["bias_ih_l0"][1] = bias
    layer.load_state_dict(weights)
    with mg.trace() as trace:
        _, (_, c) = layer(np.zeros((STEPS + 1, 1, 1)), (np.zeros((1, 1, 1)), np.ones((1, 1, 1))))
        c.sum().backward()
    found = trace.scans[0].carry_grad_norm[1][:, 0]
    return found / found[-1]


def pages() -> Iterator[str]:
    """The path along c, at three biases; then what chrono initialisation draws."""
    paths = {bias: cell_path(bias) for bias in (0.0, 1.0, 5.0)}
    rows = [
        f"    {b:<4}  σ(b) = {1 / (1 + exp(-b)):.4f}   after 20 steps {float(p[-21]):9.2e}   after {STEPS} {float(p[-STEPS - 1]):9.2e}"
        for b, p in paths.items()
    ]
    yield (
        "An LSTM keeps its memory in c' = σ(f) c + …, and a gradient comes back along c multiplied by σ(f) a step.\n"
        "At rest, with all weights 0, σ(f) is σ of the bias alone. Measured on the trace of such a layer:\n\n"
        "    bias\n" + "\n".join(rows)
    )
    yield (
        "Drawn:   ● bias 0   ▲ 1   ■ 5\n\n"
        + "\n".join(overlay({"●": paths[0.0], "▲": paths[1.0], "■": paths[5.0]}, 78, 10))
        + "\n\nSo an LSTM at rest does vanish: with a bias of 0 it forgets half of all at each step. It need not, and that is the\n"
        "point: the factor is learned, and its first value is ours to choose."
    )
    rows = []
    for longest in (100, 500, 1000):
        cell = mg.registry.load("cells", "lstm")(1, 1000, chrono=longest)
        b = cell.bias_ih.numpy()[1000:2000]
        kept = 1 / (1 + np.exp(-b))
        rows.append(
            f"    T = {longest:<5} mean bias {b.mean():.3f}   median memory 1 / (1 - σ(b)) = {np.median(1 / (1 - kept)):.0f} steps"
        )
    yield (
        "If memories of up to T steps are wanted, chrono initialisation draws b = ln U[1, T - 1], so that the units remember\n"
        "for spans spread evenly up to T:\n\n" + "\n".join(rows) + "\n\n"
        "What it does to learning:\n\n    minigrad train lstm --task copy\n"
        "    minigrad train lstm --task copy --set chrono=0 --set forget_bias=1.0"
    )
