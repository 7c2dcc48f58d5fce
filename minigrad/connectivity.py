"""Which input step moved which output: the size of dy_t/dx_s. Imports `eager`, `mode` and the floors below."""

from typing import Any

import numpy as np

from minigrad.eager import tensor

Array = np.ndarray[Any, Any]


def connectivity(model: Any, batch: Any, most: int = 64) -> tuple[list[int], Array]:
    """The output steps looked at, at most `most`, and for each of them a row [S]: how much input step s moves it.

    The figure is the root mean square over the batch of |vᵀ dy_t/dx_s| for a random v of unit variance, which is the
    expected Frobenius norm of the Jacobian.
    """
    steps = len(batch.xs)
    some = sorted({round(i) for i in np.linspace(0, steps - 1, min(most, steps))})
    rng, rows = np.random.default_rng(0), []
    for t in some:
        xs = tensor(batch.xs, requires_grad=True)
        ys, _ = model(xs, None, lengths=batch.lengths)
        ys[t].backward(rng.standard_normal(ys.shape[1:]).astype(ys.dtype))
        found = np.zeros(xs.shape) if xs.grad is None else xs.grad.numpy().astype(np.float64)
        rows.append(np.sqrt(np.square(found).sum(axis=2).mean(axis=1)))
    for p in model.parameters():
        p.grad = None
    return some, np.array(rows)
