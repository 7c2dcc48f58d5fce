"""Losses: against PyTorch's golden figures, and what may not reach them."""

import json
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.errors import DtypeError, GradientError, PluginError, ShapeError, UsageError
from minigrad.objective import make_loss, measure_accuracy
from minigrad.weights import read_arrays

GOLDEN, ABOUT = read_arrays(Path(__file__).parent / "golden" / "nn.safetensors")
OPTIONS = json.loads(ABOUT["options"])
FUNCTIONS = {
    "cross_entropy": mg.nn.cross_entropy, "soft": mg.nn.cross_entropy, "bce": mg.nn.binary_cross_entropy_with_logits,
    "mse": mg.nn.mse_loss,
}  # fmt: skip
NAMES = [name for name in OPTIONS if name.split(".")[0] in FUNCTIONS]
BAD = np.array([np.nan, np.inf, -np.inf])


def golden(name: str) -> dict:
    return {key.removeprefix(f"{name}."): value for key, value in GOLDEN.items() if key.startswith(f"{name}.")}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_losses_equal_torchs_golden_figures_to_second_order(kind: str) -> None:
    names = [name for name in NAMES if name.split(".")[0] == kind]
    assert len(names) >= 6
    for name in names:
        found = golden(name)
        options = OPTIONS[name] | {key: found[key] for key in ("weight", "pos_weight") if key in found}

        def loss(x, t=found["t"], options=options):
            return FUNCTIONS[kind](x, t, **options)

        def slope(x, g=found["g"], loss=loss):
            return mg.grad(lambda x: (loss(x) * g).sum())(x)

        x = mg.tensor(found["x"])
        np.testing.assert_allclose(loss(x).numpy(), found["loss"], rtol=1e-12, atol=1e-14, err_msg=f"{name} {options}")
        np.testing.assert_allclose(slope(x).numpy(), found["gx"], rtol=1e-10, atol=1e-14, err_msg=f"{name} {options}")
        second = mg.grad(lambda x, u=found["u"], slope=slope: (slope(x) * u).sum())(x)
        np.testing.assert_allclose(second.numpy(), found["ggx"], rtol=1e-9, atol=1e-13, err_msg=f"{name} {options}")


@pytest.mark.parametrize("i", range(3))
def test_ctc_equals_torchs_golden_figures_where_a_row_is_too_short(i: int) -> None:
    found, options = golden(f"ctc.{i}"), OPTIONS[f"ctc.{i}"]

    def loss(x, **changes):
        return mg.nn.ctc_loss(mg.log_softmax(x), found["t"], found["input_lengths"], found["target_lengths"],
                              **options | changes)  # fmt: skip

    x = mg.tensor(found["x"], requires_grad=True)
    out = loss(x)
    np.testing.assert_allclose(out.detach().numpy(), found["loss"], rtol=1e-12)
    out.backward(found["g"])
    np.testing.assert_allclose(x.grad.numpy(), found["gx"], atol=1e-14)
    never = loss(x.detach(), zero_infinity=False).numpy()
    assert np.isinf(never).any()
    assert not (never < 0).any()
    gone = mg.grad(lambda x: loss(x, zero_infinity=False).sum())(x).numpy()
    assert not gone[:, 1].any()
    assert np.isfinite(gone).all()


def test_ctc_takes_one_sequence_without_a_batch() -> None:
    log_probs, targets = mg.log_softmax(np.random.default_rng(0).normal(size=(5, 4))), np.array([1, 1, 2])
    for reduction in ("mean", "sum", "none"):
        alone = mg.nn.ctc_loss(log_probs, targets, 4, 2, reduction=reduction)
        batch = mg.nn.ctc_loss(mg.expand_dims(log_probs, 1), targets[None], [4], [2], reduction=reduction)
        assert alone.shape == ()
        assert alone.item() == batch.item()


def test_the_logarithm_of_a_sigmoid_does_not_end_where_the_sigmoid_does() -> None:
    x = np.array([-800.0, -20.0, 0.0, 20.0])
    want = -np.logaddexp(0, -x)
    np.testing.assert_allclose(mg.nn.log_sigmoid(x).numpy(), want, rtol=1e-14)
    slope = mg.grad(lambda x: mg.nn.log_sigmoid(x).sum())(mg.tensor(x)).numpy()
    np.testing.assert_allclose(slope, 1 / (1 + np.exp(x)), rtol=1e-12, atol=1e-15)


def test_binary_cross_entropy_keeps_its_digits_in_both_tails() -> None:
    x, t = mg.tensor(np.array([100.0, -100.0])), np.array([1.0, 0.0])
    loss = mg.nn.binary_cross_entropy_with_logits(x, t, reduction="none").numpy()
    np.testing.assert_allclose(loss, np.exp(-100.0), rtol=1e-12)


def test_no_target_that_counts_is_a_loss_of_zero() -> None:
    for options in ({}, {"weight": [1.0, 2.0, 0.5]}, {"label_smoothing": 0.1}):
        x = mg.tensor(np.ones((4, 3)), requires_grad=True)
        loss = mg.nn.cross_entropy(x, np.full(4, -100), ignore_index=-100, **options)
        loss.backward()
        assert loss.item() == 0
        assert not x.grad.numpy().any()
    assert mg.nn.cross_entropy(np.ones((0, 3)), np.zeros(0, int)).item() == 0


def test_integers_are_compared_as_floats() -> None:
    assert mg.nn.mse_loss(np.array([1], "u1"), np.array([2], "u1")).item() == 1
    loss = mg.nn.binary_cross_entropy_with_logits(np.array([1]), np.array([True])).item()
    assert loss == pytest.approx(np.log1p(np.exp(-1.0)), rel=1e-15)
    assert mg.nn.cross_entropy([[1, 3]], [1]).item() == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-14)
    assert mg.nn.mse_loss(mg.ones(2), np.array([0, 2])).dtype == np.float32


def test_a_chance_of_zero_counts_nothing_even_of_a_class_that_cannot_be() -> None:
    logits, chances = np.array([[0.0, 1.0, -np.inf]]), np.array([[0.25, 0.75, 0.0]])
    want = -(chances[0, :2] * (logits[0, :2] - np.logaddexp(0, 1))).sum()
    assert mg.nn.cross_entropy(logits, chances).item() == pytest.approx(want, rel=1e-14)
    p = np.exp([0, 1]) / np.exp([0, 1]).sum()
    g = mg.grad(lambda x: mg.nn.cross_entropy(x, chances))(mg.tensor(logits)).numpy()
    np.testing.assert_allclose(g, [[*(p - chances[0, :2]), 0]], atol=1e-15)
    slope = mg.grad(lambda t: mg.nn.cross_entropy(np.zeros((1, 2)), t))(mg.tensor(np.array([[1.0, 0.0]]))).numpy()
    np.testing.assert_allclose(slope, np.log(2) * np.ones((1, 2)))  # -log p, where the chance is 0 too


# --- what is masked is left out ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("options", [{}, {"weight": [1.0, 2.0, 0.5]}, {"label_smoothing": 0.1}])
def test_what_stands_at_an_ignored_target_reaches_nothing(bad: float, options) -> None:
    logits, targets = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, -1, 2, -1])
    clean = mg.nn.cross_entropy(logits[::2], targets[::2], **options).item()
    logits[1::2] = bad
    x = mg.tensor(logits, requires_grad=True)
    loss = mg.nn.cross_entropy(x, targets, ignore_index=-1, **options)
    loss.backward()
    assert loss.item() == pytest.approx(clean, rel=1e-14)
    assert np.isfinite(x.grad.numpy()).all()
    assert not x.grad.numpy()[1::2].any()
    if not options:
        each = mg.nn.cross_entropy(logits, targets, weight=[1.0, 0.0, 1.0], ignore_index=-1, reduction="none").numpy()
        assert not each[1::2].any()


@pytest.mark.parametrize("bad", BAD)
def test_a_row_without_chances_counts_nothing_whatever_its_scores(bad: float) -> None:
    x = mg.tensor(np.array([[1.0, 2.0], [bad, bad]]), requires_grad=True)
    loss = mg.nn.cross_entropy(x, np.array([[1.0, 0.0], [0.0, 0.0]]), reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(np.log1p(np.e), rel=1e-14)
    assert np.isfinite(x.grad.numpy()).all()
    assert not x.grad.numpy()[1].any()


@pytest.mark.parametrize("bad", BAD)
def test_a_weight_of_zero_leaves_out_whatever_it_weighs(bad: float) -> None:
    x, t = mg.tensor(np.array([0.5, bad, -1.0]), requires_grad=True), mg.tensor(np.array([1.0, bad, 0.0]))
    loss = mg.nn.binary_cross_entropy_with_logits(x, t, weight=[1.0, 0.0, 2.0], reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(np.log1p(np.exp(-0.5)) + 2 * np.log1p(np.exp(-1.0)), rel=1e-14)
    assert np.isfinite(x.grad.numpy()).all()
    logits = mg.tensor(np.array([[1.0, 2.0], [bad, bad]]), requires_grad=True)
    loss = mg.nn.cross_entropy(logits, [0, 1], weight=[1.0, 0.0])
    loss.backward()
    assert loss.item() == pytest.approx(np.log1p(np.e), rel=1e-14)
    assert not logits.grad.numpy()[1].any()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("by", ["mask", "lengths"])
@pytest.mark.parametrize("kind", ["mse", "cross_entropy"])
def test_what_a_batch_does_not_count_reaches_no_task_loss(bad: float, by: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    ys = rng.normal(size=(4, 2, 1 if kind == "mse" else 3))
    targets = rng.normal(size=(4, 2)) if kind == "mse" else rng.integers(0, 3, (4, 2))
    there = np.array([[1, 1], [1, 1], [0, 1], [0, 1]], bool)
    if kind == "mse":
        want = np.square(ys[..., 0] - targets)[there].mean()
        targets[~there] = bad
    else:
        want = (np.log(np.exp(ys).sum(-1)) - np.take_along_axis(ys, targets[..., None], -1)[..., 0])[there].mean()
        targets[~there] = 99
    ys[~there] = bad
    batch = mg.Batch(
        np.zeros((4, 2, 1)), targets, **({"mask": there} if by == "mask" else {"lengths": np.array([2, 4])})
    )
    x = mg.tensor(ys, requires_grad=True)
    loss = make_loss(kind)(x, batch)
    loss.backward()
    assert loss.item() == pytest.approx(want, rel=1e-13)
    assert np.isfinite(x.grad.numpy()).all()
    assert not x.grad.numpy()[~there].any()


@pytest.mark.parametrize("bad", BAD)
def test_what_stands_behind_a_rows_steps_reaches_no_ctc_loss(bad: float) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 2, 3))
    log_probs = mg.log_softmax(logits).numpy().copy()
    alone = mg.nn.ctc_loss(log_probs[:3, 1:], [[1]], reduction="sum").item()
    log_probs[3:, 1] = bad
    x = mg.tensor(log_probs, requires_grad=True)
    loss = mg.nn.ctc_loss(x, [[1, 2], [1, 1]], [5, 3], [2, 1], reduction="none")
    loss.sum().backward()
    assert loss.numpy()[1] == pytest.approx(alone, rel=1e-13)
    assert np.isfinite(x.grad.numpy()).all()
    assert not x.grad.numpy()[3:, 1].any()


# --- what is refused ---------------------------------------------------------------------------------------------


def test_targets_of_another_order_are_refused_and_both_shapes_named() -> None:
    ys = mg.ones((5, 2, 1))
    for targets in (np.ones((2, 5)), np.ones((5, 2, 3)), np.ones(10), np.ones((5, 1))):
        batch = mg.Batch(np.zeros((5, 2, 1)), targets)
        with pytest.raises(ShapeError, match=r"'mse': outputs float32\[.*\] against targets float64\[") as error:
            make_loss("mse")(ys, batch)
        assert str(list(targets.shape)) in str(error.value)
    assert make_loss("mse")(ys, mg.Batch(np.zeros((5, 2, 1)), np.ones((5, 2)))).item() == 0
    assert make_loss("mse")(ys, mg.Batch(np.zeros((5, 2, 1)), np.ones((5, 2, 1)))).item() == 0
    assert make_loss("mse")(ys, mg.Batch(np.zeros((5, 2, 1)), np.ones(2))).item() == 0


def test_a_mask_counts_whole_steps_of_wider_targets_and_has_no_other_shape() -> None:
    rng = np.random.default_rng(0)
    ys, targets, there = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, 3)), np.array([[1, 0]] * 4, bool)
    loss = make_loss("mse")(ys, mg.Batch(np.zeros((4, 2, 1)), targets, there))
    assert loss.item() == pytest.approx(np.square(ys - targets)[:, 0].mean(), rel=1e-13)
    loss = make_loss("mse")(ys, mg.Batch(np.zeros((4, 2, 1)), targets, lengths=np.array([4, 0])))
    assert loss.item() == pytest.approx(np.square(ys - targets)[:, 0].mean(), rel=1e-13)
    for kind in ("mse", "cross_entropy"):
        flat = targets[..., 0] if kind == "mse" else np.zeros((4, 2), int)
        for mask in (np.ones(2, bool), np.ones((2, 4), bool), np.ones((4, 1), bool)):
            with pytest.raises(ShapeError, match=r"mask must have the targets' shape \[4, 2\], not"):
                make_loss(kind)(ys[..., :1], mg.Batch(np.zeros((4, 2, 1)), flat, mask))
        with pytest.raises(DtypeError, match="must be true or false"):
            make_loss(kind)(ys[..., :1], mg.Batch(np.zeros((4, 2, 1)), flat, np.full((4, 2), 0.5)))


@pytest.mark.parametrize("kind", ["mse", "cross_entropy"])
def test_a_row_without_a_step_has_no_answer(kind: str) -> None:
    ys = np.random.default_rng(0).normal(size=(4, 3, 1 if kind == "mse" else 2))
    targets, lengths = np.array([1, 0, 1]), np.array([4, 0, 2])
    whole = make_loss(kind)(ys, mg.Batch(np.zeros((4, 3, 1)), targets, lengths=lengths)).item()
    rows = mg.Batch(np.zeros((4, 2, 1)), targets[::2], lengths=lengths[::2])
    assert whole == pytest.approx(make_loss(kind)(ys[:, ::2], rows).item(), rel=1e-14)
    for targets in (np.array([1, 0, 1]), np.zeros((4, 3), int)):
        with pytest.raises(ShapeError, match=r"has lengths \[2\]. Give one number for each row"):
            make_loss(kind)(ys, mg.Batch(np.zeros((4, 3, 1)), targets, lengths=lengths[:2]))


def test_accuracy_counts_what_the_mask_counts() -> None:
    class Task:
        loss = "cross_entropy"

    ys = np.eye(3)[[[0, 1], [2, 2]]]
    batch = mg.Batch(np.zeros((2, 2, 1)), np.array([[0, 0], [2, 1]]), np.array([[1, 1], [1, 0]]))
    assert measure_accuracy(Task(), mg.tensor(ys), batch) == pytest.approx(2 / 3)
    assert measure_accuracy(Task(), mg.tensor(ys), mg.Batch(batch.xs, batch.targets)) == 0.5


def test_a_layers_pair_is_no_value_for_a_loss_or_a_layer() -> None:
    pair = mg.nn.Recurrent("rnn", 2, 3)(mg.ones((4, 1, 2)))
    one = mg.ones((4, 1, 3))
    for call in (
        lambda: mg.nn.mse_loss(pair, one),
        lambda: mg.nn.mse_loss(one, pair),
        lambda: mg.nn.cross_entropy(pair, np.zeros((4, 1), int)),
        lambda: mg.nn.binary_cross_entropy_with_logits(pair, one),
        lambda: mg.nn.ctc_loss(pair, np.ones((1, 2), int)),
        lambda: make_loss("mse")(pair, mg.Batch(np.ones((4, 1, 2)), np.ones((4, 1, 3)))),
        lambda: mg.nn.Sequential(mg.nn.Recurrent("rnn", 2, 3), mg.nn.Linear(3, 1))(mg.ones((4, 1, 2))),
        lambda: mg.nn.Sequential(mg.nn.Recurrent("rnn", 2, 3), mg.nn.Dropout())(mg.ones((4, 1, 2))),
        lambda: mg.nn.Sequential(mg.nn.Recurrent("rnn", 2, 3), mg.nn.Recurrent("rnn", 3, 3))(mg.ones((4, 1, 2))),
    ):
        with pytest.raises(
            UsageError, match=r"not a tuple of 2: a layer such as Recurrent returns a pair.*Take the first"
        ):
            call()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [(lambda x, t: mg.nn.cross_entropy(x, t, weight=[1.0, 2.0]), ShapeError, r"weight: shapes do not broadcast"),
     (lambda x, t: mg.nn.cross_entropy(x, t, weight=[1.0]), ShapeError, r"one number a class, \[3\], not \[1\]"),
     (lambda x, t: mg.nn.cross_entropy(x, t, weight="abc"), DtypeError, r"\w"),
     (lambda x, t: mg.nn.cross_entropy(x, t, weight=mg.tensor([1.0] * 3, requires_grad=True)), GradientError, "detach"),
     (lambda x, t: mg.nn.cross_entropy(x, t, reduction="average"), UsageError, "mean, sum or none, not 'average'"),
     (lambda x, t: mg.nn.cross_entropy(x, t, label_smoothing=2), UsageError, "from 0 to 1, not 2"),
     (lambda x, t: mg.nn.cross_entropy(x, x, ignore_index=1), UsageError, "goes with integer targets"),
     (lambda x, t: mg.nn.cross_entropy(x, t[:, None]), ShapeError, r"want targets \[4\], not int64\[4, 1\]"),
     (lambda x, t: mg.nn.cross_entropy(x, t * 1.0), DtypeError, r"integers \[4\], or each class's chance, floats \[4, 3\]"),
     (lambda x, t: mg.nn.cross_entropy(x[:, :0], t), ShapeError, "at least one class"),
     (lambda x, t: mg.nn.mse_loss(x, t), ShapeError, "nothing is broadcast"),
     (lambda x, t: mg.nn.mse_loss(x, x, reduction=None), UsageError, "mean, sum or none"),
     (lambda x, t: mg.nn.binary_cross_entropy_with_logits(x, x, weight=np.ones(4)), ShapeError, "weight: shapes do not"),
     (lambda x, t: mg.nn.binary_cross_entropy_with_logits(x, x, pos_weight=np.ones((2, 4, 3))), ShapeError, "pos_weight must"),
     (lambda x, t: mg.nn.ctc_loss(x, t[None]), ShapeError, r"takes log_probs \[T, B, C\]"),
     (lambda x, t: mg.nn.ctc_loss(x[:, None], t[None], reduction="no"), UsageError, "ctc_loss: reduction"),
     (lambda x, t: make_loss("hinge"), PluginError, "hinge")],
)  # fmt: skip
def test_a_loss_says_what_does_not_fit(call, error, words: str) -> None:
    with pytest.raises(error, match=words):
        call(np.zeros((4, 3)), np.array([0, 1, 2, 1]))


def test_losses_have_the_derivatives_that_differences_give() -> None:
    x, rng = np.random.default_rng(0).normal(size=(4, 3)), np.random.default_rng(1)
    t, w = np.array([0, 2, 1, 1]), rng.uniform(0.5, 2, 3)
    check.check_grads(lambda x: mg.nn.cross_entropy(x, t, weight=w, ignore_index=2, label_smoothing=0.2), x, order=2)
    chances = rng.dirichlet(np.ones(3), 4)
    check.check_grads(lambda x, p: mg.nn.cross_entropy(x, p, weight=w, label_smoothing=0.2), x, chances, order=2)
    check.check_grads(lambda x: mg.nn.binary_cross_entropy_with_logits(x, chances, weight=w, pos_weight=w), x, order=2)
