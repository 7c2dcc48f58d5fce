"""The cells against PyTorch itself, with random shapes and lengths. Runs where torch is installed; `.ci/run` installs it."""

import warnings

import numpy as np
import pytest

import minigrad as mg

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
