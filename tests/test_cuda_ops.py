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


A = np.random.default_rng(7).normal(size=(3, 4)).astype("f4")
FUNCTIONS = {
    "tril": lambda x: mg.tril(x, 1),
    "triu": mg.triu,
    "roll": lambda x: mg.roll(x, 2, axis=1) + mg.roll(x, -1),
    "repeat": lambda x: mg.repeat(x, [1, 0, 2], axis=0),
    "one_hot": lambda x: mg.one_hot(mg.argmax(x, axis=1), 4) * x,
    "prod": lambda x: mg.prod(x) + mg.prod(x, axis=1),
    "std": lambda x: mg.std(x, axis=0) + mg.var(x),
    "take": lambda x: mg.take(x, [2, 0, 2], axis=1),
    "take_along_axis": lambda x: mg.take_along_axis(x, np.array([[1], [0], [3]]), axis=1),
    "mask": lambda x: x[x.numpy() > 0],
    "mask of its own": lambda x: x[x > 0],
    "index and slice": lambda x: x[:, None][1:, 0, [3, 1, 1]] * x[[-1, 0]][:, 2:1:-1],
    "an index between slices": lambda x: mg.stack([x, x * 2])[:, [2, 0], ::2] + mg.stack([x, x * 2])[1, [2, 0], ::2],
    "integers": lambda x: x * (mg.astype(x * 3, mg.int64) % 2 + mg.astype(x > 0, mg.int32)),
    "tensordot": lambda x: mg.tensordot(x, x, axes=([0], [0])),
    "vecdot": lambda x: mg.vecdot(x, x * x),
    "einsum of pairs": lambda x: mg.einsum("ij,ik->kj", x, x) + mg.einsum("ij,jk,i->k", x, x.T @ x, x[:, 0]),
    "einsum in stacks": lambda x: (
        mg.einsum("bi,bij,bj->b", x, mg.stack([x.T @ x] * 3), x)[:, None] * mg.einsum("bi,ci->bc", x, x)
    ),
    "einsum of one": lambda x: mg.einsum("ij->j", x) * mg.einsum("ij->ji", x)[:, :1].sum() + mg.einsum("ij->", x),
    "einsum of integers": lambda x: (
        mg.einsum("ij,kj->ik", mg.astype(x * 5, mg.int32), np.ones((2, 4), np.int32)) * x[:, :2]
    ),
    "einsum of three": lambda x: mg.einsum("ij,kj,kl->il", x, x, x),
    "a diagonal": lambda x: mg.einsum("ii->i", x[:, :3]),
    "logsumexp": lambda x: mg.logsumexp(x, axis=0) + mg.logsumexp(x),
    "clip": lambda x: mg.clip(x, -0.5, np.full(4, 0.5, "f4")),
    "powers": lambda x: mg.abs(x) ** 1.5 + 2**x + x**2,
    "activations": lambda x: mg.gelu(x) + mg.silu(x) + mg.softplus(x) + mg.elu(x) + mg.leaky_relu(x),
    "softmax over the first": lambda x: mg.softmax(x, axis=0) + mg.log_softmax(x, axis=0),
    "max of ties": lambda x: mg.max(mg.floor(x), axis=0) + mg.max(x * 0, axis=0) * x[0] + mg.min(x),
    "running sum": lambda x: mg.cumulative_sum(x, axis=0),
    "a vector by a matrix": lambda x: x[0] @ x.T + x @ x[1],
    "rows apart": lambda x: sum(row * i for i, row in enumerate(x)),
    "unstack": lambda x: mg.concat(mg.unstack(x, axis=1)[1:], axis=0),
    "nothing": lambda x: mg.concat([x[:0], x]) + mg.sum(x[:, :0]),
    "there and back": lambda x: x.to("cpu").to(x.device) * x,
    "of nothing": lambda x: x + mg.zeros_like(x) + mg.ones(4, device=x.device) + mg.full((), 2.0, device=x.device),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_made_of_ops_equal_the_cpu(name: str) -> None:
    found = []
    for where in ("cpu", "cuda"):
        x = mg.tensor(A, device=where, requires_grad=True)
        out = FUNCTIONS[name](x)
        assert out.device == where
        (out * np.random.default_rng(1).normal(size=out.shape).astype("f4")).sum().backward()
        found.append((out.numpy(), x.grad.numpy()))
    for cpu, gpu in zip(*found, strict=True):
        assert cpu.dtype == gpu.dtype
        np.testing.assert_allclose(gpu, cpu, rtol=1e-5, atol=1e-5)


STEPS, BATCH, WIDE = 4, 2, 6
XS = np.random.default_rng(8).normal(size=(STEPS, BATCH, WIDE)).astype("f4")
LAYERS = {
    "linear": lambda: (mg.nn.Linear(WIDE, 3), lambda m, x: m(x)),
    "layer norm": lambda: (mg.nn.LayerNorm(WIDE), lambda m, x: m(x)),
    "embedding": lambda: (mg.nn.Embedding(5, WIDE), lambda m, x: m(np.array([[1, 4], [0, 1]])) * x[:2]),
    "dropout": lambda: (mg.nn.Sequential(mg.nn.Linear(WIDE, 3), mg.nn.Dropout(0.4)), lambda m, x: m(x)),
    "heads": lambda: (
        mg.nn.MultiHeadAttention(WIDE, 2), lambda m, x: m(x, key_padding_mask=np.eye(BATCH, STEPS, dtype=bool), is_causal=True)[0]),
    "additive": lambda: (mg.nn.AdditiveAttention(WIDE, WIDE, 3), lambda m, x: m(x[0], mg.permute_dims(x, (1, 0, 2)), mask=np.tri(BATCH, STEPS, 1, dtype=bool))[0]),
    "dot": lambda: (mg.nn.DotAttention(WIDE, WIDE, "general"), lambda m, x: m(x[0], mg.permute_dims(x, (1, 0, 2)))[0]),
    "cross entropy": lambda: (mg.nn.Linear(WIDE, 4), lambda m, x: mg.nn.cross_entropy(m(x), np.array([[0, 3], [1, -1], [2, 2], [3, 0]]), ignore_index=-1)),
    "squares": lambda: (mg.nn.Linear(WIDE, WIDE), lambda m, x: mg.nn.mse_loss(m(x), XS * 2)),
    "binary": lambda: (mg.nn.Linear(WIDE, WIDE), lambda m, x: mg.nn.binary_cross_entropy_with_logits(m(x), (XS > 0).astype("f4"))),
    "ctc": lambda: (mg.nn.Linear(WIDE, 4), lambda m, x: mg.nn.ctc_loss(mg.log_softmax(m(x)), np.array([[1, 2], [3, 3]]), [4, 3], [2, 1])),
    "layers both ways": lambda: (
        mg.nn.Recurrent("gru", WIDE, 3, num_layers=2, bidirectional=True, dropout=0.3), lambda m, x: m(x, lengths=[4, 2])[0]),
    "a state of one's own": lambda: (
        mg.nn.Recurrent("lstm", WIDE, 3), lambda m, x: m(x, m(x)[1])[0]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_losses_equal_the_cpu(name: str) -> None:
    found = []
    for where in ("cpu", "cuda"):
        mg.seed(3)
        module, run = LAYERS[name]()
        x = mg.tensor(XS, device=where, requires_grad=True)
        out = run(module.to(where), x)
        assert out.device == where
        (out * out).sum().backward()
        found.append([out.numpy(), x.grad.numpy(), *(p.grad.numpy() for p in module.parameters())])
    for cpu, gpu in zip(*found, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-5, atol=1e-5)
