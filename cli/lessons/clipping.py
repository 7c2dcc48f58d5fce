"""Clipping."""

from collections.abc import Iterator

import numpy as np

import minigrad as mg


def pages() -> Iterator[str]:
    """By norm and by value on one gradient, then a step near a cliff."""
    g = np.array([3.0, -0.4, 0.1])
    found = {}
    for name, clip in (("by norm 1", mg.optim.clip_grad_norm), ("by value 1", mg.optim.clip_grad_value)):
        p = mg.nn.Parameter(np.zeros(3, np.float32))
        p.grad = mg.tensor(g.astype("f4"))
        clip([p], 1.0)
        found[name] = p.grad.numpy().astype(float)
    rows = []
    for name, value in {"as it is": g, **found}.items():
        cosine = value @ g / np.linalg.norm(value) / np.linalg.norm(g)
        rows.append(
            f"    {name:<11} [{', '.join(f'{v:7.4f}' for v in value)}]   norm {np.linalg.norm(value):.3f}   cosine {cosine:.4f}"
        )
    yield (
        "A gradient of three elements, clipped in two ways:\n\n" + "\n".join(rows) + "\n\n"
        "By norm it keeps its direction. By value the large element alone is cut, and the step goes somewhere else."
    )
    steps, rows = 50, []
    xs = np.full((steps, 1, 1), 0.02)

    def loss(u: object) -> object:
        last, _ = mg.scan(lambda h, x: (u * h + x, None), np.zeros((1, 1)), xs, compiled=False)
        return mg.square(last - 1.0).sum()

    for u in (0.9, 1.0, 1.05, 1.1, 1.2):
        value, slope = mg.value_and_grad(loss)(mg.tensor(u, dtype="f8"))
        rows.append(f"    u = {u:<5} L = {value.item():12.4g}   dL/du = {slope.item():12.4g}")
    yield (
        f"Why clip at all? One linear unit, h' = u h + x, {steps} steps, L = (h_T - 1)²:\n\n" + "\n".join(rows) + "\n\n"
        "The loss has a cliff: between u = 1 and 1.2 its slope grows by powers of ten."
    )
    u = 1.1
    slope = mg.grad(loss)(mg.tensor(u, dtype="f8")).item()
    moved = {"unclipped": u - 0.01 * slope, "clipped to 1": u - 0.01 * np.sign(slope) * min(abs(slope), 1.0)}
    rows = [
        f"    {name:<13} u = {v:12.4f}   L = {loss(mg.tensor(v, dtype='f8')).item():12.4g}" for name, v in moved.items()
    ]
    yield (
        f"One step of size .01 from u = {u}, where L = {loss(mg.tensor(u, dtype='f8')).item():.4g}:\n\n"
        + "\n".join(rows)
        + "\n\n"
        "The unclipped step is thrown far away; the clipped one goes a little down. The norm that `minigrad train` shows is the\n"
        "one before clipping; --clip sets the limit."
    )
