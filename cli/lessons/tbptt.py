"""Truncated backpropagation through time."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_cli.charts import log_columns

STEPS = 12


def pairs(window: int, stride: int) -> list[str]:
    """For each loss t a row: from which steps s its gradient is counted."""
    rows = []
    for t in range(STEPS):
        end = -(-(t + 1) // stride) * stride
        rows.append("".join("█" if max(0, end - window) <= s <= t else "·" if s <= t else " " for s in range(STEPS)))
    return rows


class Model(mg.nn.Module):
    """A tanh network with a readout."""

    def __init__(self) -> None:
        self.recurrent, self.readout = mg.nn.Recurrent("rnn", 2, 16, init="orthogonal"), mg.nn.Linear(16, 1)

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> Any:
        ys, state = self.recurrent(xs, state, lengths)
        return self.readout(ys), state


def measured(name: str, **options: Any) -> tuple[Any, Any]:
    """The gradient of all weights as one vector, and the trace, of one batch."""
    mg.seed(0)
    model, rng = Model(), np.random.default_rng(0)
    batch = mg.Batch(rng.normal(size=(STEPS, 8, 2)).astype("f4"), rng.normal(size=(STEPS, 8)).astype("f4"))
    unroll = mg.registry.load("unrolls", name)(**options)
    with mg.trace() as trace:
        unroll.run(model, batch, lambda ys, b: mg.nn.mse_loss(ys[..., 0], b.targets), None)
    norms = np.concatenate([np.sqrt(np.square(s.carry_grad_norm[0]).sum(axis=1)) for s in trace.scans])
    return np.concatenate([p.grad.numpy().ravel() for p in model.parameters()]), norms


def pages() -> Iterator[str]:
    """Which pairs count, what that does to the gradient, and the cut on the trace."""
    side = [f"    {a}   {b}   {c}" for a, b, c in zip(pairs(STEPS, STEPS), pairs(4, 4), pairs(6, 2), strict=True)]
    yield (
        "The loss of step t (rows) depends on the weights through every step s ≤ t (columns). Full backpropagation counts all\n"
        "pairs; TBPTT(k1, k2) looks every k1 steps and goes back k2:\n\n"
        f"    {'full':<{STEPS}}   {'k1 = k2 = 4':<{STEPS}}   k1 = 2, k2 = 6\n" + "\n".join(side)
    )
    full, curve = measured("full")
    rows = []
    for window, stride in ((1, 1), (2, 2), (4, 4), (6, 2), (8, 4), (12, 12)):
        g, _ = measured("tbptt", window=window, stride=stride)
        cosine = float(g @ full / np.linalg.norm(g) / np.linalg.norm(full))
        rows.append(
            f"    k1 = {stride:<3} k2 = {window:<3} length {np.linalg.norm(g) / np.linalg.norm(full):.3f}   cosine {cosine:.4f}"
        )
    yield (
        "The gradient that is left, against the full one, of a tanh network on one batch:\n\n"
        + "\n".join(rows)
        + "\n\n"
        "It is another direction, not only a shorter one. From k2 = T on it is the full gradient."
    )
    _, cut = measured("tbptt", window=4, stride=4)
    yield (
        "‖dL/dh_t‖ over time, full:\n\n"
        + "\n".join(log_columns(curve, 54, 4))
        + "\n\nand with k1 = k2 = 4; it starts again at each cut:\n\n"
        + "\n".join(log_columns(cut, 54, 4))
        + "\n\nIn a run:  minigrad train lstm --task copy --unroll tbptt --window 10"
    )
