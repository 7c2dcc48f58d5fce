"""What layers are called with: without a batch, batch first, without biases, with a padding row, and what is refused."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import DtypeError, MinigradError, ShapeError, UsageError, WeightsError


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(value):
    return value if isinstance(value, tuple) else (value,)


# --- Recurrent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "jordan"])
def test_a_sequence_without_a_batch_is_a_batch_of_one(name: str) -> None:
    layer = mg.nn.Recurrent(name, 3, 4, num_layers=2, bidirectional=True)
    xs = rng().normal(size=(5, 3)).astype("f4")
    ys, state = layer(xs)
    whole, last = layer(xs[:, None])
    assert ys.shape == (5, 8)
    np.testing.assert_array_equal(ys.detach().numpy(), whole.detach().numpy()[:, 0])
    for one, of_batch in zip(pair(state), pair(last), strict=True):
        assert one.shape == (4, 4)
        np.testing.assert_array_equal(one.detach().numpy(), of_batch.detach().numpy()[:, 0])
    again, after = layer(xs, state)
    np.testing.assert_array_equal(again.detach().numpy(), layer(xs[:, None], last)[0].detach().numpy()[:, 0])
    assert pair(after)[0].shape == (4, 4)
    short, _ = layer(xs, lengths=[2])
    assert not short.detach().numpy()[2:].any()
    with pytest.raises(
        ShapeError, match=r"must be \[layers \* directions, B, ...\] = \[4, 1, 4\], not float32\[4, 1, 1, 4\]"
    ):
        layer(xs, last)


def test_batch_first_turns_xs_and_ys_and_not_the_state() -> None:
    layer = mg.nn.Recurrent("lstm", 3, 4, num_layers=2, batch_first=True)
    plain = mg.nn.Recurrent("lstm", 3, 4, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    xs = rng().normal(size=(2, 5, 3)).astype("f4")
    ys, state = layer(xs, lengths=[5, 3])
    want, last = plain(xs.transpose(1, 0, 2).copy(), lengths=[5, 3])
    assert ys.shape == (2, 5, 4)
    np.testing.assert_array_equal(ys.detach().numpy(), want.detach().numpy().transpose(1, 0, 2))
    for a, b in zip(state, last, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    np.testing.assert_array_equal(layer(xs[0])[0].detach().numpy(), plain(xs[0])[0].detach().numpy())
    with pytest.raises(
        ShapeError, match=r"takes xs \[B, T, D\], or \[T, D\] without a batch, with D = 3, not float32\[5\]"
    ):
        layer(mg.ones(5))


@pytest.mark.parametrize(("name", "options"), [
    ("rnn", {}), ("rnn", {"init": "orthogonal"}), ("lstm", {}), ("lstm", {"layer_norm": True, "peephole": True}),
    ("lstm", {"coupled": True, "projection": 2}), ("lstm", {"forget_bias": 1.0}), ("lstm", {"chrono": 9}), ("gru", {}), ("gru", {"reset_after": False}),
])  # fmt: skip
def test_without_biases_a_cell_is_one_whose_biases_are_zero(name: str, options) -> None:
    bare = mg.nn.Recurrent(name, 3, 4, num_layers=2, bidirectional=True, bias=False, **options)
    full = mg.nn.Recurrent(name, 3, 4, num_layers=2, bidirectional=True, **options)
    assert not any(key.startswith("bias_") for key in bare.state_dict())
    zeros = {key: np.zeros_like(value) for key, value in full.state_dict().items() if key.startswith("bias_")}
    bare.load_state_dict({key: value.astype("f8") for key, value in bare.state_dict().items()})
    full.load_state_dict(bare.state_dict() | zeros)
    xs = rng().normal(size=(5, 2, 3))
    found = []
    for layer in (bare, full):
        ys, _ = layer(xs)
        (ys * ys).sum().backward()
        found.append([ys.detach(), *(p.grad for n, p in layer.named_parameters() if not n.startswith("bias_"))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-11)


def test_a_cell_without_that_option_refuses_bias() -> None:
    with pytest.raises(UsageError, match=r"Jordan has no option 'bias'.*It takes: zoneout"):
        mg.nn.Recurrent("jordan", 3, 4, bias=False)


class Counts(mg.nn.Cell):
    """h' = tanh(W x + h) until n steps ran; the carry counts them, and says whether any ran."""

    carry_names = ("n", "h", "ran")

    def __init__(self, input_size, hidden_size):
        self.w = mg.nn.Linear(input_size, hidden_size)

    def initial_carry(self, batch):
        count = mg.zeros((batch, 1), dtype=mg.int64)
        return count, mg.zeros((batch, self.w.out_features)), mg.zeros((batch, 1), dtype=mg.bool_)

    def step(self, carry, x):
        n, h, ran = carry
        h = mg.where(n < 3, mg.tanh(self.w(x) + h), h)
        return (n + 1, h, mg.logical_or(ran, True)), h


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_counter_or_a_flag_in_the_carry_keeps_its_dtype(dtype: str) -> None:
    layer = mg.nn.Recurrent(Counts, 2, 3)
    layer.load_state_dict({key: value.astype(dtype) for key, value in layer.state_dict().items()})
    xs = rng().normal(size=(5, 2, 2)).astype(dtype)
    ys, state = layer(xs, lengths=[5, 2])
    n, h, ran = state
    assert (n.dtype, h.dtype, ran.dtype) == (np.dtype("i8"), np.dtype(dtype), np.dtype(bool))
    assert n.numpy()[0, :, 0].tolist() == [5, 2]
    np.testing.assert_array_equal(ys.detach().numpy()[4, 0], ys.detach().numpy()[2, 0])
    first, middle = layer(xs[:2])
    rest, last = layer(xs[2:], middle)
    np.testing.assert_array_equal(mg.concat([first, rest]).detach().numpy()[:, 0], ys.detach().numpy()[:, 0])
    assert last[0].numpy()[0, :, 0].tolist() == [5, 5]
    ys.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    n, h, ran = layer.reset(state, [1])
    assert n.numpy()[0, :, 0].tolist() == [5, 0]
    assert (n.dtype, ran.dtype) == (np.dtype("i8"), np.dtype(bool))
    assert ran.numpy()[0, :, 0].tolist() == [True, False]
    with pytest.raises(DtypeError, match=r"state\[0\] is float32, and the cell's carry int64"):
        layer(xs, (mg.zeros((1, 2, 1)), state[1], state[2]))


def test_rows_are_reset_by_number_or_by_booleans() -> None:
    layer = mg.nn.Recurrent("lstm", 2, 3, num_layers=2)
    _, state = layer(np.ones((4, 3, 2), "f4"))
    for rows, gone in (
        ([0, 1], [0, 1]), ([2], [2]), (2, [2]), ([-1, -1], [2]), ([], []), (np.array([0, 2], "u1"), [0, 2]),
        ([True, False, True], [0, 2]), (np.zeros(3, bool), []), (mg.tensor([1]), [1]),
    ):  # fmt: skip
        for old, new in zip(state, layer.reset(state, rows), strict=True):
            for row in range(3):
                want = np.zeros((2, 3)) if row in gone else old.detach().numpy()[:, row]
                np.testing.assert_array_equal(new.detach().numpy()[:, row], want)
    for rows in ([3], [-4], [True, False], [0.5], [[0, 1]], ["a"], None):
        with pytest.raises(MinigradError, match=r"rows must be booleans \[3\], or numbers of rows from 0 to 2"):
            layer.reset(state, rows)
    for wrong in (state[0], (state[0], state[1][:1]), None, (state[0][:, 0], state[1][:, 0])):
        with pytest.raises(ShapeError, match="Recurrent"):
            layer.reset(wrong, [0])


# --- Embedding ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [1, -3])
def test_a_padding_row_starts_at_zero_and_gets_no_gradient(padding: int) -> None:
    table = mg.nn.Embedding(4, 3, padding_idx=padding)
    assert table.padding_idx == 1
    assert not table.weight.numpy()[1].any()
    assert table.weight.numpy()[[0, 2, 3]].any(axis=1).all()
    indices = np.array([[1, 0, 1], [2, 1, 2]])
    g = rng().normal(size=(2, 3, 3)).astype("f4")
    table(indices).backward(g)
    want = np.zeros((4, 3))
    np.add.at(want, indices, g)
    want[1] = 0
    np.testing.assert_allclose(table.weight.grad.numpy(), want, atol=1e-6)
    table.load_state_dict({"weight": np.arange(12.0).reshape(4, 3)})
    np.testing.assert_array_equal(table(indices).detach().numpy(), np.arange(12.0).reshape(4, 3)[indices])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [(lambda: mg.nn.Embedding(4, 3)(-1), ShapeError, "Embedding of 4 rows: indices reach from -1 to -1, and must be from 0 to 3"),
     (lambda: mg.nn.Embedding(4, 3)(np.array([[0, 4]])), ShapeError, "from 0 to 4"),
     (lambda: mg.nn.Embedding(4, 3)([0.0]), DtypeError, r"indices must be integers, not float32\[1\]"),
     (lambda: mg.nn.Embedding(4, 3)([True]), DtypeError, "indices must be integers"),
     (lambda: mg.nn.Embedding(4, 3, padding_idx=4), UsageError, "padding_idx is a row, an integer from -4 to 3, not 4"),
     (lambda: mg.nn.Embedding(4, 3, padding_idx=True), UsageError, "padding_idx"),
     (lambda: mg.nn.Linear(3, 2)(mg.ones((2, 4))), ShapeError, r"Linear takes x \[..., D\] with D = 3, not float32\[2, 4\]"),
     (lambda: mg.nn.Linear(3, 2)(1.0), ShapeError, r"with D = 3, not"),
     (lambda: mg.nn.LayerNorm(3)(mg.ones(())), ShapeError, "LayerNorm of 3 features"),
     (lambda: mg.nn.Recurrent("gru", 3, 2)(mg.ones((1, 2, 3, 3))), ShapeError, r"Recurrent takes xs \[T, B, D\]"),
     (lambda: mg.nn.Recurrent("gru", 3, 2)(1.0), ShapeError, r"Recurrent takes xs"),
     (lambda: mg.nn.Recurrent("gru", 3, 2, bias=0), UsageError, "gru: bias is True or False, not 0"),
     (lambda: mg.nn.Recurrent("gru", 3, 2, batch_first=None), UsageError, "Recurrent: batch_first is True or False, not None"),
     (lambda: mg.nn.Linear(3, 2).train(np.ones(2)), UsageError, r"Linear\.train\(\) takes True or False"),
     (lambda: mg.nn.rotate(np.ones(4)), ShapeError, r"rotate takes x \[..., T, E\]"),
     (lambda: mg.nn.sinusoidal("a", 2), UsageError, "steps must be an integer from 0 on"),
     (lambda: mg.nn.Sequential([mg.nn.Linear(1, 1)]), UsageError, "takes modules one by one, and number 0 is list"),
     (lambda: mg.nn.Sequential(mg.nn.Linear(1, 1), mg.tanh), UsageError, "number 1 is Op")],
)  # fmt: skip
def test_what_a_layer_cannot_take_is_told(call, error, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_file_of_other_weights_is_named(tmp_path) -> None:
    mg.save(tmp_path / "w.safetensors", mg.nn.Linear(2, 3))
    with pytest.raises(WeightsError, match=r"w\.safetensors: these weights do not fit Linear"):
        mg.load_weights(tmp_path / "w.safetensors", mg.nn.Linear(3, 2))
    for call in (mg.save, mg.load_weights):
        with pytest.raises(UsageError, match=r"\(path, module\) takes a module, not str"):
            call(tmp_path / "w.safetensors", "module")
