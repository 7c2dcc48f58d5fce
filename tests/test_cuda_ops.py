"""Every op of the table on the GPU, or in its simulator, against the CPU: value, gradient, and the gradient's gradient."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import core

mg.tensor(0.0)  # fills the table


def on(where: str, op: Any, inputs: Any, metadata: dict[str, Any], dtype: Any, order: int) -> list[np.ndarray]:
    """Values, gradients for random cotangents, and with order 2 the gradients of a sum of squares of those."""
    rng = np.random.default_rng(1)
    xs = [np.asarray(x).astype(dtype) if np.asarray(x).dtype.kind == "f" else np.asarray(x) for x in inputs]
    leaves = [mg.tensor(x, device=where, requires_grad=x.dtype.kind == "f") for x in xs]
    outs = op(*leaves, **metadata)
    outs = outs if op.multiple else (outs,)
    found = [out.numpy() for out in outs]
    assert all(out.device == where for out in outs)
    if op.vjp is None:
        return found

    def loss(*points: Any) -> Any:
        draws = np.random.default_rng(2)
        made = op(*points, **metadata)
        made = made if op.multiple else (made,)
        return mg.stack([(o * draws.normal(size=o.shape).astype(dtype)).sum() for o in made]).sum()

    places = [i for i, x in enumerate(xs) if x.dtype.kind == "f"]
    first = mg.grad(loss, places)(*leaves)
    found += [g.numpy() for g in first]
    if order == 2:
        v = [rng.normal(size=g.shape).astype(dtype) for g in first]

        def again(*points: Any) -> Any:
            return mg.stack([(g * c).sum() for g, c in zip(mg.grad(loss, places)(*points), v, strict=True)]).sum()

        found += [g.numpy() for g in mg.grad(again, places)(*leaves)]
    return found


@pytest.mark.parametrize("name", sorted(set(core.OPS) - {"to"}))
def test_every_op_equals_the_cpu(name: str) -> None:
    op = core.OPS[name]
    for dtype in (np.float32, np.float64):
        for inputs, metadata in op.samples(np.random.default_rng(3)):
            order = 2 if op.vjp is not None and dtype == np.float64 else 1
            want = on("cpu", op, inputs, metadata, dtype, order)
            found = on("cuda", op, inputs, metadata, dtype, order)
            for a, b in zip(found, want, strict=True):
                assert a.dtype == b.dtype, name
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 if dtype == np.float32 else 1e-10, err_msg=name)
