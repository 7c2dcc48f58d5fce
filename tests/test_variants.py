"""The built-in cells with all their options: against ONNX' definition, finite differences, and their own eager loop."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import minigrad as mg
from minigrad import check
from minigrad.errors import UsageError

GOLDEN = load_file(Path(__file__).parent / "golden" / "onnx.safetensors")
VARIANTS = [
    ("rnn", {"nonlinearity": "relu", "init": "identity"}),
    ("rnn", {"nonlinearity": "linear", "init": "orthogonal", "gain": 0.9}),
    ("jordan", {}),
    ("gru", {"reset_after": False}),
    ("lstm", {"peephole": True}),
    ("lstm", {"coupled": True}),
    ("lstm", {"coupled": True, "peephole": True, "layer_norm": True, "projection": 2}),
    ("lstm", {"layer_norm": True}),
    ("lstm", {"projection": 2}),
    ("rnn", {"zoneout": 0.3, "recurrent_dropout": 0.3}),
    ("jordan", {"zoneout": 0.3, "recurrent_dropout": 0.3}),
    ("gru", {"zoneout": 0.3, "recurrent_dropout": 0.3, "reset_after": False}),
    ("lstm", {"zoneout": 0.3, "recurrent_dropout": 0.3}),
]
ids = [" ".join([name, *options]) for name, options in VARIANTS]


def places(module):
    """Where each parameter is kept: (owner, attribute)."""
    return [(m, k) for m in module.modules() for k, v in vars(m).items() if isinstance(v, mg.nn.Parameter)]


def run(layer, compiled, xs, lengths=None, weights=None):
    """ys and last state of a layer's only cell, with `weights` in the places of its own."""
    (cell,) = layer.cells
    kept = [(owner, name, getattr(owner, name)) for owner, name in places(cell)]
    for (owner, name, _), w in zip(kept, weights or (), strict=False):
        setattr(owner, name, w)
    cell.begin()
    last, ys = mg.scan(cell.step, cell.initial_carry(xs.shape[1]), xs, lengths=lengths, compiled=compiled)
    for owner, name, value in kept:
        setattr(owner, name, value)
    return ys, last


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=ids)
def test_compiled_equals_eager_with_the_same_masks(name: str, options) -> None:
    xs = mg.tensor(np.random.default_rng(0).normal(size=(5, 3, 2)).astype("f4"), requires_grad=True)
    layer = mg.nn.Recurrent(name, 2, 4, **options)
    found = []
    for compiled in (True, False):
        mg.seed(4)
        ys, _ = run(layer, compiled, xs, lengths=[5, 0, 3])
        xs.grad = None
        for p in layer.parameters():
            p.grad = None
        (ys * np.random.default_rng(1).normal(size=ys.shape).astype("f4")).sum().backward()
        found.append([ys.detach(), xs.grad, *(p.grad for p in layer.parameters())])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5 * max(1, np.abs(theirs.numpy()).max()))


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=ids)
def test_gradients_of_every_variant(name: str, options) -> None:
    layer = mg.nn.Recurrent(name, 2, 3, **options).eval()
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=getattr(owner, key).shape) for owner, key in places(layer.cells[0])]

    def f(xs, *weights):
        return run(layer, False, xs.astype(mg.float64), lengths=[3, 2], weights=list(weights))

    # The carry is float32 where a cell makes it; float64 weights want a float64 one.
    layer.cells[0].initial_carry = _in_float64(layer.cells[0].initial_carry)
    assert check.check_grads(f, rng.normal(size=(3, 2, 2)), *arrays).error < 1e-6


def _in_float64(initial_carry):
    from minigrad.tree import tree_map

    return lambda batch: tree_map(lambda leaf: leaf.astype(mg.float64), initial_carry(batch))


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=ids)
def test_a_padded_batch_equals_each_row_alone(name: str, options) -> None:
    layer = mg.nn.Recurrent(name, 2, 4, num_layers=2, bidirectional=True, **options).eval()
    lengths = [4, 1, 6]
    xs = mg.tensor(np.random.default_rng(0).normal(size=(6, 3, 2)).astype("f4"), requires_grad=True)
    g = np.random.default_rng(1).normal(size=(6, 3, layer.output_size)).astype("f4")
    ys, _ = layer(xs, lengths=lengths)
    (ys * g).sum().backward()
    together = [xs.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())]
    xs.grad = None
    for p in layer.parameters():
        p.grad = None
    for row, n in enumerate(lengths):
        alone, _ = layer(xs[:n, row : row + 1])
        np.testing.assert_allclose(alone.detach().numpy()[:, 0], ys.detach().numpy()[:n, row], atol=1e-6)
        assert not ys.detach().numpy()[n:, row].any()
        (alone * g[:n, row : row + 1]).sum().backward()
    for one, other in zip(together, [xs.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize(("kind", "name", "options"), [("GRU", "gru", {"reset_after": False}),
                                                       ("LSTM", "lstm", {"peephole": True})])  # fmt: skip
def test_variants_equal_onnx_golden_vectors(kind: str, name: str, options) -> None:
    golden = {k.removeprefix(f"{kind}."): v for k, v in GOLDEN.items() if k.startswith(f"{kind}.")}
    layer = mg.nn.Recurrent(name, 4, 5, **options)
    layer.load_state_dict({k.removeprefix("w."): v for k, v in golden.items() if k.startswith("w.")})
    ys, _ = layer(golden["x"], golden["h"] if name == "gru" else (golden["h"], golden["c"]))
    np.testing.assert_allclose(ys.detach().numpy(), golden["ys"], atol=1e-12)


@pytest.mark.parametrize("rho", [0.9, 0.95, 1.05])
def test_a_linear_network_loses_exactly_rho_a_step(rho: float) -> None:
    layer = mg.nn.Recurrent("rnn", 1, 16, nonlinearity="linear", init="orthogonal", gain=rho)
    weights = {k: v.astype("f8") for k, v in layer.state_dict().items()}
    u, _, v = np.linalg.svd(weights["weight_hh_l0"])
    layer.load_state_dict(weights | {"weight_hh_l0": rho * u @ v})  # orthogonal in float64, not in float32 alone
    with mg.trace() as trace:
        ys, _ = layer(np.zeros((101, 1, 1)))
        ys[-1].sum().backward()
    norms = trace.scans[0].carry_grad_norm[0][:, 0]
    np.testing.assert_allclose(norms / norms[-1], rho ** np.arange(100.0, -1, -1), rtol=1e-12)


def test_an_irnn_passes_the_gradient_on_unchanged() -> None:
    layer = mg.nn.Recurrent("rnn", 1, 4, nonlinearity="relu", init="identity")
    first = mg.tensor(np.ones((1, 2, 4), "f4"), requires_grad=True)
    g = np.random.default_rng(0).normal(size=(2, 4)).astype("f4")
    ys, _ = layer(np.zeros((50, 2, 1), "f4"), first)
    ys[-1].backward(g)
    np.testing.assert_array_equal(first.grad.numpy()[0], g)


@pytest.mark.parametrize(("bias", "over20", "over100"), [(0, 9.54e-7, 7.9e-31), (1, 1.90e-3, 2.48e-14),
                                                         (5, 0.87, 0.51)])  # fmt: skip
def test_the_cell_path_of_an_lstm_at_rest(bias: float, over20: float, over100: float) -> None:
    layer = mg.nn.Recurrent("lstm", 1, 4, forget_bias=float(bias))
    # At rest: no weights, so that the forget gate is its bias and c goes on by that factor alone.
    found = {k: np.zeros(v.shape) for k, v in layer.state_dict().items()}
    found["bias_ih_l0"][4:8] = bias
    layer.load_state_dict(found)
    first = (mg.tensor(np.zeros((1, 1, 4))), mg.tensor(np.ones((1, 1, 4)), requires_grad=True))
    for steps, want in ((20, over20), (100, over100)):
        first[1].grad = None
        _, (_, c) = layer(np.zeros((steps, 1, 1)), first)
        c.sum().backward()
        assert first[1].grad.numpy()[0, 0, 0] == pytest.approx(want, rel=0.01)


def test_zoneout_and_recurrent_dropout_are_off_in_use_and_keep_the_mean() -> None:
    layer = mg.nn.Recurrent("rnn", 2, 4, zoneout=0.25, nonlinearity="linear")
    xs = np.random.default_rng(0).normal(size=(1, 20_000, 2)).astype("f4")
    xs[:] = xs[:, :1]
    drawn = layer(xs)[0].detach().numpy()
    used = layer.eval()(xs)[0].detach().numpy()
    np.testing.assert_allclose(drawn.mean(axis=1), used[:, 0], atol=0.01)
    hidden = mg.nn.Recurrent("lstm", 2, 64, recurrent_dropout=0.5)
    cell = hidden.cells[0]
    first = cell.drop(mg.ones((3, 64))).numpy()
    np.testing.assert_array_equal(cell.drop(mg.ones((3, 64))).numpy(), first)  # one mask a sequence
    assert set(first.ravel()) == {0.0, 2.0}
    cell.begin()
    assert (cell.drop(mg.ones((3, 64))).numpy() != first).any()
    assert cell.eval().drop(first) is first


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("checkpoint", [None, 2])
def test_a_second_sequence_does_not_change_the_masks_of_the_first(compiled, checkpoint, monkeypatch) -> None:
    from minigrad.nn import recurrent

    monkeypatch.setattr(recurrent, "scan", lambda *a, **k: mg.scan(*a, compiled=compiled, **k))
    layer = mg.nn.Recurrent("lstm", 2, 4, recurrent_dropout=0.5, zoneout=0.2, checkpoint=checkpoint)
    xs = np.ones((5, 3, 2), "f4")

    def gradient(between):
        mg.seed(1)
        for p in layer.parameters():
            p.grad = None
        ys, _ = layer(xs)
        if between:
            layer(xs)
        ys.sum().backward()
        return layer.parameters()[1].grad.numpy()

    np.testing.assert_array_equal(gradient(False), gradient(True))


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [("rnn", {"init": "zero"}, "orthogonal"), ("lstm", {"projection": -1}, "projection"), ("gru", {"zoneout": 1.0}, "zoneout"),
     ("lstm", {"recurrent_dropout": "x"}, "recurrent_dropout")],
)  # fmt: skip
def test_wrong_options_say_so(name: str, options, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        mg.nn.Recurrent(name, 2, 3, **options)
