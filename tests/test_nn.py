"""Modules, layers, losses and optimisers, against PyTorch's own figures."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import minigrad as mg
from minigrad import check
from minigrad.errors import DivergedError, DtypeError, ScanError, ShapeError, UsageError, WeightsError

GOLDEN = load_file(Path(__file__).parent / "golden" / "torch.safetensors")
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


class Minimal(mg.nn.Cell):
    """h' = z h + (1 - z) W x,   z = σ(V x)"""

    def __init__(self, input_size, hidden_size):
        self.z = mg.nn.Linear(input_size, hidden_size)
        self.h = mg.nn.Linear(input_size, hidden_size)

    def initial_carry(self, batch):
        return mg.zeros((batch, self.h.out_features))

    def step(self, carry, x):
        z = mg.sigmoid(self.z(x))
        h = z * carry + (1 - z) * self.h(x)
        return h, h


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cells_equal_torchs_golden_vectors(name: str, dtype) -> None:
    golden = {k.removeprefix(f"{name}."): v.astype(dtype) for k, v in GOLDEN.items() if k.startswith(f"{name}.")}
    layer = mg.nn.Recurrent(name, 4, 5, num_layers=2, bidirectional=True)
    layer.load_state_dict({k.removeprefix("w."): v for k, v in golden.items() if k.startswith("w.")})
    n = 2 if name == "lstm" else 1
    x = mg.tensor(golden["x"], requires_grad=True)
    first = [mg.tensor(golden[f"state{i}"], requires_grad=True) for i in range(n)]
    ys, last = layer(x, tuple(first) if n == 2 else first[0])
    last = list(last) if n == 2 else [last]
    total = (ys * golden["g_ys"]).sum()
    for i, out in enumerate(last):
        total = total + (out * golden[f"g_last{i}"]).sum()
    total.backward()
    found = {"ys": ys, "gx": x.grad}
    found |= {f"last{i}": out for i, out in enumerate(last)} | {f"gstate{i}": s.grad for i, s in enumerate(first)}
    found |= {f"gw.{key}": p.grad for key, p in layer.named_parameters()}
    assert all(f"gw.{key}" in golden for key, _ in layer.named_parameters())
    for key, value in found.items():
        assert value.dtype == dtype
        np.testing.assert_allclose(value.detach().numpy(), golden[key], rtol=0, atol=TOLERANCE[dtype], err_msg=key)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_optimisers_take_torchs_steps(name: str) -> None:
    options = {
        "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
        "RMSprop": {"lr": 0.01, "weight_decay": 0.01},
        "Adam": {"lr": 0.01, "weight_decay": 0.01},
        "AdamW": {"lr": 0.01, "weight_decay": 0.1},
    }[name]
    p = mg.nn.Parameter(GOLDEN[f"{name}.start"])
    rule = getattr(mg.optim, name)([p], **options)
    for i in range(5):
        p.grad = mg.tensor(GOLDEN[f"{name}.g{i}"])
        rule.step()
        np.testing.assert_allclose(p.numpy(), GOLDEN[f"{name}.p{i}"], rtol=1e-12)
        if i == 2:  # through a state_dict and on
            rule, old = getattr(mg.optim, name)([p], **options), rule
            rule.load_state_dict(old.state_dict())


def test_a_cell_of_ten_lines_is_a_layer() -> None:
    layer = mg.nn.Recurrent(Minimal, input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
    names = list(layer.state_dict())
    assert names[:2] == ["z.weight_l0", "z.bias_l0"]
    assert "h.bias_l1_reverse" in names
    ys, state = layer(np.ones((5, 2, 3), np.float32), lengths=[5, 2])
    assert ys.shape == (5, 2, 8)
    assert state.shape == (4, 2, 4)
    assert not ys.numpy()[2:, 1].any()
    check.check_grads(lambda x: layer.eval()(x)[0], np.random.default_rng(0).normal(size=(3, 2, 3)))


def test_state_goes_on_where_it_stopped() -> None:
    layer = mg.nn.Recurrent("lstm", 3, 4, num_layers=2)
    xs = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)
    whole, last = layer(xs)
    first, state = layer(xs[:4])
    second, again = layer(xs[4:], state)
    np.testing.assert_allclose(mg.concat([first, second]).detach().numpy(), whole.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(again[1].detach().numpy(), last[1].detach().numpy(), atol=1e-6)
    with pytest.raises(ShapeError, match=r"state\[0\] must be"):
        layer(xs, (state[0][:1], state[1]))


def test_parameter_counts_are_the_published_ones() -> None:
    count = lambda *a: sum(p.size for p in mg.nn.Recurrent(*a).parameters())
    assert count("gru", 2, 128) == 50_688
    assert count("lstm", 2, 128) == 67_584


def test_chrono_initialisation_has_the_published_means() -> None:
    for t_max, mean in ((100, 3.645), (500, 5.224), (1000, 5.914)):
        cell = mg.registry.load("cells", "lstm")(1, 1000, chrono=t_max)
        b = cell.bias_ih.numpy().reshape(4, -1)
        assert b[1].mean() == pytest.approx(mean, abs=0.1)
        np.testing.assert_array_equal(b[0], -b[1])
        assert not cell.bias_hh.numpy().reshape(4, -1)[:2].any()


def test_dropout_drops_in_training_only() -> None:
    layer = mg.nn.Dropout(0.25)
    x = mg.ones((200, 200))
    dropped = layer(x).numpy()
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert dropped.mean() == pytest.approx(1, abs=0.01)
    assert layer.eval()(x) is x
    stacked = mg.nn.Recurrent("rnn", 3, 8, num_layers=2, dropout=0.5)
    assert not np.array_equal(*(stacked(mg.ones((2, 1, 3)))[0].detach().numpy() for _ in range(2)))
    stacked.eval()
    assert np.array_equal(*(stacked(mg.ones((2, 1, 3)))[0].detach().numpy() for _ in range(2)))


def test_modules_name_and_switch_what_is_inside() -> None:
    net = mg.nn.Sequential(mg.nn.Embedding(7, 3), mg.nn.Linear(3, 4), mg.nn.LayerNorm(4), mg.nn.Dropout(0.1))
    assert list(net.state_dict()) == ["0.weight", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert net(np.array([1, 6, 1])).shape == (3, 4)
    assert all(not m.training for m in net.eval().modules())
    with pytest.raises(ShapeError, match="Embedding of 7 rows"):
        net(np.array([7]))


def test_weights_go_through_a_file_and_damage_is_noticed(tmp_path: Path) -> None:
    layer, twin = mg.nn.Recurrent("gru", 2, 3), mg.nn.Recurrent("gru", 2, 3)
    path = tmp_path / "w.safetensors"
    mg.save(path, layer)
    mg.load_weights(path, twin)
    for a, b in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not [f for f in tmp_path.iterdir() if f != path]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        mg.load_weights(path, twin)
    with pytest.raises(WeightsError, match="no file"):
        mg.load_weights(tmp_path / "none", twin)


def test_weights_that_do_not_fit_are_all_named_and_none_is_taken() -> None:
    layer = mg.nn.Linear(2, 3)
    before = layer.weight.numpy().copy()
    with pytest.raises(WeightsError, match=r"(?s)bias is missing.*weigth is unknown. Did you mean 'weight'") as error:
        layer.load_state_dict({"weigth": np.ones(1), "weight": np.ones((2, 3))})
    assert "weight has shape [2, 3], the module [3, 2]" in str(error.value)
    np.testing.assert_array_equal(layer.weight.numpy(), before)


# --- losses -------------------------------------------------------------------------------------------------------


def test_cross_entropy_value_and_gradient() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3, 5))
    targets = np.random.default_rng(1).integers(0, 5, (4, 3))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    want = -np.take_along_axis(log_p, targets[..., None], -1).mean()
    assert mg.nn.cross_entropy(logits, targets).item() == pytest.approx(want)
    check.check_grads(lambda x: mg.nn.cross_entropy(x, targets), logits, order=2)
    ignored = targets.copy()
    ignored[:2] = -100
    kept = -np.take_along_axis(log_p, targets[..., None], -1)[2:].mean()
    assert mg.nn.cross_entropy(logits, ignored, ignore_index=-100).item() == pytest.approx(kept)
    check.check_grads(lambda x: mg.nn.cross_entropy(x, ignored, ignore_index=-100), logits)
    assert mg.nn.cross_entropy(logits, np.full((4, 3), 9), ignore_index=9).item() == 0
    with pytest.raises(ShapeError, match="targets reach from"):
        mg.nn.cross_entropy(logits, targets + 1)
    with pytest.raises(ShapeError, match="want targets"):
        mg.nn.cross_entropy(logits, targets[0])
    with pytest.raises(DtypeError, match="integers"):
        mg.nn.cross_entropy(logits, targets * 1.0)


def test_other_losses() -> None:
    x, t = np.array([[100.0, -100.0, 0.3]]), np.array([[1.0, 0.0, 1.0]])
    want = np.mean([0, 0, np.log1p(np.exp(-0.3))])
    assert mg.nn.binary_cross_entropy_with_logits(x, t).item() == pytest.approx(want)
    assert mg.nn.mse_loss(x, t).item() == pytest.approx(np.square(x - t).mean())
    check.check_grads(lambda v: mg.nn.binary_cross_entropy_with_logits(v, t), x / 50, order=2)
    with pytest.raises(ShapeError, match="nothing is broadcast"):
        mg.nn.mse_loss(mg.ones((3, 1)), mg.ones(3))


# --- clipping, and options that are wrong -------------------------------------------------------------------------


def test_clipping_returns_the_norm_before_and_refuses_what_is_not_finite() -> None:
    layer = mg.nn.Linear(1, 2)
    parameters = layer.parameters()
    for p in parameters:
        p.grad = mg.full_like(p, 3.0)
    assert mg.optim.clip_grad_norm(parameters, 1.0) == pytest.approx(6.0)
    assert np.sqrt(sum(np.square(p.grad.numpy()).sum() for p in parameters)) == pytest.approx(1.0)
    assert mg.optim.clip_grad_norm(parameters, 5.0) == pytest.approx(1.0)
    layer.bias.grad = mg.tensor([np.inf, 1.0], dtype=np.float32)
    weight = layer.weight.grad.numpy().copy()
    with pytest.raises(DivergedError, match="bias"):
        mg.optim.clip_grad_norm(parameters, 1.0)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mg.nn.Recurrent("lstm", 0, 3),
        lambda: mg.nn.Recurrent("lstm", 2, 3, dropout=1.0),
        lambda: mg.nn.Recurrent("lstm", 2, 3, forget_bais=1.0),
        lambda: mg.nn.Recurrent("lstn", 2, 3),
        lambda: mg.nn.Recurrent(object, 2, 3),
        lambda: mg.nn.Recurrent("rnn", 2, 3, nonlinearity="sin"),
        lambda: mg.nn.Linear(2, 2.5),
        lambda: mg.optim.Adam([], 1e-3),
        lambda: mg.optim.SGD(mg.nn.Linear(1, 1).parameters(), -1),
    ],
)
def test_wrong_options_are_usage_errors(make) -> None:
    with pytest.raises(UsageError, match=r"\w"):
        make()


def test_sequences_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match="D = 3"):
        mg.nn.Recurrent("rnn", 3, 4)(mg.ones((5, 2, 4)))


class Yields(mg.nn.Cell):
    """h' = W x, with a y of one's choice."""

    def __init__(self, input_size, hidden_size, y=lambda h: h):
        self.w, self.y = mg.nn.Linear(input_size, hidden_size), y

    def initial_carry(self, batch):
        return mg.zeros((batch, self.w.out_features))

    def step(self, h, x):
        h = self.w(x)
        return h, self.y(h)


@pytest.mark.parametrize(
    ("y", "words"),
    [(lambda h: None, "needs a y [B, H] of each step, and its ys are None"),
     (lambda h: (h, h), "and its ys are tuple"),
     (lambda h: h[:, 0], "and its ys are float32[5, 2]"),
     (lambda h: h[:, :3], "its y is 3 wide, and hidden_size is 4. Return a y of that width, or give the cell an attribute output_size = 3")],
)  # fmt: skip
def test_a_layer_says_what_is_wrong_with_a_cells_y(y, words) -> None:
    with pytest.raises(ScanError, match=re.escape(words)):
        mg.nn.Recurrent(Yields, 3, 4, y=y)(np.ones((5, 2, 3), "f4"))


def test_names_for_other_leaves_than_the_carry_has_are_refused() -> None:
    class Misnamed(Yields):
        carry_names = ("h", "c")

    with pytest.raises(ScanError, match=r"Misnamed: carry_names \('h', 'c'\) are 2, its carry has 1"):
        mg.nn.Recurrent(Misnamed, 3, 4)(np.ones((5, 2, 3), "f4"))


def test_a_carry_of_another_type_is_told_by_its_own_name_and_line() -> None:
    class Wide(Yields):
        carry_names = ("h",)

        def step(self, h, x):
            return mg.astype(h, mg.float64), h

    line = Wide.step.__code__.co_firstlineno
    with pytest.raises(
        ScanError, match=rf"Wide\.step \(test_nn\.py, line {line}\).*\n  h: float32\[2, 4\] goes in, float64"
    ):
        mg.nn.Recurrent(Wide, 3, 4)(np.ones((5, 2, 3), "f4"))
