"""Cells, losses and attention against PyTorch itself, with random shapes and lengths. Runs where torch is installed; `.ci/run` installs it."""

import itertools
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import WeightsError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", exc_type=ImportError)

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 1, 3]])
def test_outputs_and_gradients(name: str, dtype, bidirectional: bool, lengths) -> None:
    torch.manual_seed(0)
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name]
    theirs = kind(3, 4, num_layers=2, bidirectional=bidirectional).to(
        torch.float64 if dtype == np.float64 else torch.float32
    )
    ours = mg.nn.Recurrent(name, 3, 4, num_layers=2, bidirectional=bidirectional)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(1)
    xs = rng.normal(size=(5, 3, 3)).astype(dtype)
    g = rng.normal(size=(5, 3, 8 if bidirectional else 4)).astype(dtype)

    x = torch.tensor(xs, requires_grad=True)
    if lengths is None:
        ys, _ = theirs(x)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], total_length=5)
    (ys * torch.tensor(g)).sum().backward()

    mine = mg.tensor(xs, requires_grad=True)
    out, _ = ours(mine, lengths=lengths)
    (out * g).sum().backward()
    close = {"rtol": 0, "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(out.detach().numpy(), ys.detach().numpy(), **close)
    np.testing.assert_allclose(mine.grad.numpy(), x.grad.numpy(), **close)
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5, atol=TOLERANCE[dtype], err_msg=key)


@pytest.mark.parametrize(
    ("name", "of_torch"),
    [("gelu", "gelu"), ("silu", "silu"), ("elu", "elu"), ("softplus", "softplus"), ("leaky_relu", "leaky_relu"),
     ("sigmoid", "sigmoid"), ("log_softmax", "log_softmax")],
)  # fmt: skip
def test_activations(name: str, of_torch: str) -> None:
    x = np.linspace(-5, 5, 41).reshape(1, -1)
    function = getattr(torch.nn.functional, of_torch)
    want = function(torch.tensor(x), **({"dim": -1} if name == "log_softmax" else {})).numpy()
    np.testing.assert_allclose(getattr(mg, name)(x).numpy(), want, rtol=1e-7, atol=1e-12)


SIZES = [(0,), (1,), (), (4,), (2, 3)]


def both(x):
    """The same leaf for minigrad and for torch."""
    return mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)


def agree(ours, theirs, leaves, g, message="") -> None:
    """Values and gradients are the same."""
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=1e-12, err_msg=message)
    ours.backward(g)
    theirs.backward(torch.tensor(g))
    for mine, other in leaves:
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), atol=1e-12, err_msg=message)


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("classes", [1, 4])
def test_cross_entropy_with_all_its_options(shape, classes: int) -> None:
    rng = np.random.default_rng(0)
    for reduction, weighted, ignore, smoothing, soft in itertools.product(
        ("mean", "sum", "none"), (False, True), (None, 0), (0.0, 0.2, 1.0), (False, True)
    ):
        none_counts = 0 in shape or (ignore is not None and classes == 1)
        if (soft and ignore is not None) or (none_counts and reduction == "mean"):
            continue  # torch: refused; and a mean of nothing, which is nan there and 0 here
        leaf = both(rng.normal(size=(*shape, classes)))
        t = rng.dirichlet(np.ones(classes), shape) if soft else rng.integers(0, classes, shape)
        w = rng.uniform(0.5, 2, classes) if weighted else None
        options = {"reduction": reduction, "label_smoothing": smoothing}
        ours = mg.nn.cross_entropy(leaf[0], t, weight=w, ignore_index=ignore, **options)
        rows, to = leaf[1].reshape(-1, classes), torch.tensor(t).reshape((-1, classes) if soft else -1)
        theirs = torch.nn.functional.cross_entropy(
            rows, to, None if w is None else torch.tensor(w), ignore_index=-100 if ignore is None else ignore, **options
        )
        if ignore is not None and not (t != ignore).any() and reduction == "mean":
            assert ours.item() == 0
            continue
        theirs = theirs.reshape(shape) if reduction == "none" else theirs
        agree(ours, theirs, [leaf], rng.normal(size=ours.shape), f"{options} {w} {ignore} {soft}")


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_squares_and_binary_cross_entropy_with_all_their_options(shape) -> None:
    rng = np.random.default_rng(0)
    functional = torch.nn.functional
    for reduction, weight, positive in itertools.product(("mean", "sum", "none"), (None, 0, 1), (None, 0, 1)):
        if 0 in shape and reduction == "mean":
            continue  # a mean of nothing
        x, t = both(3 * rng.normal(size=shape)), both(rng.uniform(size=shape))
        w, p = (None if axes is None else rng.uniform(0.5, 2, shape[axes:]) for axes in (weight, positive))
        ours = mg.nn.binary_cross_entropy_with_logits(x[0], t[0], weight=w, pos_weight=p, reduction=reduction)
        theirs = functional.binary_cross_entropy_with_logits(
            x[1], t[1], None if w is None else torch.tensor(w), reduction=reduction,
            pos_weight=None if p is None else torch.tensor(p),
        )  # fmt: skip
        agree(ours, theirs, [x, t], rng.normal(size=ours.shape))
        x, t = both(rng.normal(size=shape)), both(rng.normal(size=shape))
        theirs = functional.mse_loss(x[1], t[1], reduction=reduction)
        agree(mg.nn.mse_loss(x[0], t[0], reduction=reduction), theirs, [x, t], rng.normal(size=theirs.shape))


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_of_labellings_that_fit_and_that_do_not(zero_infinity: bool) -> None:
    rng = np.random.default_rng(0)
    targets, steps, symbols = rng.integers(1, 4, (6, 3)), np.array([6, 3, 4, 1, 5, 2]), np.array([3, 3, 0, 1, 2, 3])
    for reduction in ("mean", "sum", "none"):
        x = both(rng.normal(size=(6, 6, 4)))
        options = {"reduction": reduction, "zero_infinity": zero_infinity}
        ours = mg.nn.ctc_loss(mg.log_softmax(x[0]), targets, steps, symbols, **options)
        theirs = torch.nn.functional.ctc_loss(
            torch.log_softmax(x[1], -1), torch.tensor(targets), torch.tensor(steps), torch.tensor(symbols), **options
        )
        if zero_infinity:
            agree(ours, theirs, [x], rng.normal(size=ours.shape))
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_attention_with_masks_of_booleans_and_floats(batch) -> None:
    rng = np.random.default_rng(0)
    theirs = torch.nn.MultiheadAttention(6, 3, dtype=torch.float64)
    ours = mg.nn.MultiHeadAttention(6, 3)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rows = () if batch is None else (batch,)

    def masked(shape, kind):
        hidden = rng.uniform(size=shape) < 0.4
        hidden[..., 0] = False
        return hidden if kind == "hidden" else np.where(hidden, -np.inf, rng.normal(size=shape))

    for kind, padded, pairs in itertools.product(("hidden", "added"), (False, True), (None, (), (3 * (batch or 1),))):
        masks = {"key_padding_mask": masked((*rows, 5), kind)} if padded else {}
        masks |= {} if pairs is None else {"attn_mask": masked((*pairs, 4, 5), kind)}
        leaves = [both(rng.normal(size=(n, *rows, 6))) for n in (4, 5, 5)]
        out, weights = ours(*(mine for mine, _ in leaves), **masks)
        want, of_torch = theirs(*(other for _, other in leaves), **{k: torch.tensor(m) for k, m in masks.items()})
        np.testing.assert_allclose(weights.detach().numpy(), of_torch.detach().numpy(), atol=1e-12)
        agree(out, want, leaves, rng.normal(size=out.shape), f"{kind} {padded} {pairs}")


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_batch_first_without_a_batch_and_without_biases(name: str, batched: bool, bias: bool) -> None:
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[name]
    theirs = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True, bias=bias, dtype=torch.float64)
    ours = mg.nn.Recurrent(name, 3, 4, num_layers=2, bidirectional=True, batch_first=True, bias=bias)
    given = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(given)
    ours.load_state_dict(given)
    rng = np.random.default_rng(0)
    xs = both(rng.normal(size=(2, 5, 3) if batched else (5, 3)))
    state = [both(rng.normal(size=(4, 2, 4) if batched else (4, 4))) for _ in range(2 if name == "lstm" else 1)]
    first, other = (tuple(s[i] for s in state) if name == "lstm" else state[0][i] for i in (0, 1))
    (ys, last), (want, of_torch) = ours(xs[0], first), theirs(xs[1], other)
    for a, b in zip(*(x if name == "lstm" else (x,) for x in (last, of_torch)), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)
    agree(ys, want, [xs, *state], rng.normal(size=ys.shape))


def test_a_file_of_narrower_floats_says_so(tmp_path) -> None:
    from safetensors.torch import save_file

    layer = mg.nn.Linear(2, 2)
    before = layer.state_dict()
    for dtype, words in (
        (torch.bfloat16, "that NumPy does not know|not with bfloat16"),  # JAX, once imported, makes NumPy know them
        (torch.float16, "weight: float16 is too"),
    ):
        save_file({"weight": torch.ones(2, 2, dtype=dtype), "bias": torch.ones(2)}, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match=words):
            mg.load_weights(tmp_path / "w.safetensors", layer)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_that_modules_share_go_both_ways() -> None:
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = torch.nn.Embedding(4, 3, padding_idx=0), torch.nn.Linear(3, 4)
            self.last.weight = self.first.weight

    class Ours(mg.nn.Module):
        def __init__(self):
            self.first, self.last = mg.nn.Embedding(4, 3, padding_idx=0), mg.nn.Linear(3, 4)
            self.last.weight = self.first.weight

    theirs, ours = Theirs(), Ours()
    given = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert set(given) == {"first.weight", "last.weight", "last.bias"}
    ours.load_state_dict(given)
    found = theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()}, strict=False)
    mine = ours.load_state_dict({"last.bias": given["last.bias"], "other": 0}, strict=False)
    assert found.missing_keys == ["last.weight"]
    assert mine == (["first.weight"], ["other"])
    indices = np.array([[0, 3], [1, 0]])
    ours.last(ours.first(indices)).sum().backward()
    theirs.last(theirs.first(torch.tensor(indices))).sum().backward()
    np.testing.assert_allclose(ours.first.weight.grad.numpy(), theirs.first.weight.grad.numpy(), atol=1e-6)
