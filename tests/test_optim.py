"""Optimisers and clipping against PyTorch: its steps as they were written down, and itself where it is installed."""

import copy
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import minigrad as mg
from minigrad.errors import DivergedError, UsageError, WeightsError

with safe_open(Path(__file__).parent / "golden" / "optim.safetensors", "numpy") as file:
    GOLDEN = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no dict
    RULES = json.loads(file.metadata()["rules"])
SHAPES = ("matrix", "scalar", "empty", "late")
ALL = [("SGD", {"lr": 0.1}), ("RMSprop", {}), ("Adam", {}), ("AdamW", {})]


def leaf(x, dtype=np.float64) -> mg.Tensor:
    return mg.tensor(np.array(x), dtype=dtype, requires_grad=True)


def turned(x: np.ndarray) -> mg.Tensor:
    """A leaf whose rows do not lie one behind the other."""
    view = mg.tensor(x.T.copy()).T
    view.requires_grad = True
    return view


def made(kind: str, params, options: dict):
    return getattr(mg.optim, kind)(params, **options)


# --- steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RULES)
def test_fifty_steps_are_torchs_whatever_the_shape_and_however_late_a_gradient_comes(case: str) -> None:
    kind, options = RULES[case]
    weights = {name: leaf(GOLDEN[f"start.{name}"]) for name in SHAPES}
    rule = made(kind, weights.values(), options)
    for i in range(50):
        for name, p in weights.items():
            p.grad = None if name == "late" and (i < 7 or i % 5 == 0) else mg.tensor(GOLDEN[f"g.{name}"][i])
        rule.step()
        for name, p in weights.items():
            np.testing.assert_allclose(p.numpy(), GOLDEN[f"{case}.{name}"][i], rtol=1e-12, err_msg=name)
        if i == 20:  # through a state_dict and on
            rule, old = made(kind, weights.values(), options), rule
            rule.load_state_dict(old.state_dict())


@pytest.mark.parametrize("case", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_transposed_weight_moves_in_its_own_memory(case: str, dtype) -> None:
    kind, options = RULES[case]
    p = turned(GOLDEN["start.matrix"].astype(dtype))
    assert not p._data.flags.c_contiguous
    memory = p.detach()
    rule = made(kind, [p], options)
    for g in GOLDEN["g.matrix"]:
        p.grad = turned(g.astype(dtype)).detach()
        rule.step()
    assert memory.numpy().base is p.numpy().base
    np.testing.assert_allclose(
        memory.numpy(), GOLDEN[f"{case}.matrix"][-1], rtol=2e-5 if dtype == np.float32 else 1e-12
    )


@pytest.mark.parametrize("case", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_float32_is_as_near_to_float64_as_torchs_own(case: str, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", exc_type=ImportError)
    kind, options = RULES[case]
    rng = np.random.default_rng(seed)
    start, gs = rng.normal(size=40).astype("f4"), rng.normal(size=(50, 40)).astype("f4")
    ours = leaf(start, np.float32)
    theirs = [torch.tensor(start, dtype=t, requires_grad=True) for t in (torch.float32, torch.float64)]
    rules = [made(kind, [ours], options), *(getattr(torch.optim, kind)([p], **options) for p in theirs)]
    for g in gs:
        ours.grad = mg.tensor(g)
        for p in theirs:
            p.grad = torch.tensor(g, dtype=p.dtype)
        for rule in rules:
            rule.step()
    narrow, truth = (p.detach().numpy() for p in theirs)
    scale = np.abs(truth).max()
    assert ours.dtype == np.float32
    assert np.abs(ours.numpy() - truth).max() / scale <= max(np.abs(narrow - truth).max() / scale, 3e-7)


@pytest.mark.parametrize("case", RULES)
def test_torch_itself_moves_groups_and_late_weights_alike(case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", exc_type=ImportError)
    kind, options = RULES[case]
    rng = np.random.default_rng(5)
    starts = [rng.normal(size=s) for s in ((), (0,), (2, 3), (4, 1, 2))]
    ours, theirs = [leaf(x) for x in starts], [torch.tensor(x, requires_grad=True) for x in starts]
    rules = [
        made(kind, [{"params": w[:2], "lr": 0.05}, {"params": iter(w[2:]), "weight_decay": 0.3}], options)
        for made, w in ((made, ours), (lambda kind, w, o: getattr(torch.optim, kind)(w, **o), theirs))
    ]
    for i in range(50):
        for n, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = rng.normal(size=p.shape)
            p.grad, q.grad = (None, None) if i < 3 * n else (mg.tensor(g), torch.tensor(g))
        for rule in rules:
            rule.step()
            rule.param_groups[0]["lr"] *= 0.97
            rule.param_groups[1]["weight_decay"] = 0.1 * (i % 3)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12)


def test_momentum_may_begin_later() -> None:
    p, q = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    late, early = mg.optim.SGD([p], 0.1), mg.optim.SGD([q], 0.1, momentum=0.5)
    late.param_groups[0]["momentum"] = 0.5
    for rule, w in ((late, p), (early, q)):
        for _ in range(3):
            w.grad = mg.tensor([1.0, -3.0], dtype=mg.float64)
            rule.step()
    np.testing.assert_allclose(p.numpy(), [1 - 0.1 * (1 + 1.5 + 1.75), 2 + 0.3 * (1 + 1.5 + 1.75)])
    np.testing.assert_array_equal(p.numpy(), q.numpy())
    assert list(late.state_dict()) == list(early.state_dict()) == ["steps", "velocity.0"]


# --- what is no weight, and no number -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), ALL)
@pytest.mark.parametrize("frozen", ["before", "after"])
def test_a_frozen_weight_stays_and_may_thaw(kind: str, options: dict, frozen: str) -> None:
    p, q = leaf([1.0, 2.0]), leaf([3.0])
    if frozen == "before":
        p.requires_grad = False
    rule = made(kind, [p, q], options)
    for _ in range(2):
        ((p * p).sum() + q.sum()).backward()
        if frozen == "after":
            p.requires_grad = False
        rule.step()
        rule.zero_grad()
        assert q.grad is None
    assert p.numpy().tolist() == [1.0, 2.0]
    assert q.numpy()[0] < 3
    p.requires_grad = True
    (p * p).sum().backward()
    rule.step()
    assert (p.numpy() < [1.0, 2.0]).all()


W = leaf([1.0, 2.0])
LAYER = mg.nn.Linear(2, 2)
LAYER.parameters()  # names them


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (W, "not one tensor"),
        (LAYER, r"Write .parameters\(\)"),
        ([W * 1], "parameter 0 .* was computed"),
        ([LAYER.weight.T], "parameter 0 .* was computed"),
        ([W, W], "parameter 1 .* is there twice"),
        ([LAYER.weight, LAYER.bias, LAYER.weight], r"weight \(float32\[2, 2\]\) is there twice"),
        ([{"params": [LAYER.weight]}, {"params": LAYER.parameters()}], "weight .* is there twice"),
        (LAYER.named_parameters(), "parameter 0 is of type tuple"),
        (LAYER.state_dict(), "a list of parameters, not dict"),
        ([np.ones(2)], "parameter 0 is of type ndarray"),
        (np.ones(2), "not ndarray"),
        ({W}, "not set"),
        ([W, None], "parameter 1 is of type NoneType"),
        (["w"], "parameter 0 is of type str"),
        ("w", "not str"),
        (None, "not NoneType"),
        (3, "not int"),
        ([], "no parameters"),
        (iter([]), "no parameters"),
        ([mg.tensor([1, 2])], "only floats"),
        ([mg.broadcast_to(mg.ones(2), (3, 2))], "repeats elements"),
        ([{"params": [W], "lr": -1}], "group 0: lr must be"),
        ([{"params": [W], "momentun": 0.9}], "group 0: there is no option 'momentun'. Did you mean 'momentum'"),
        ([{"params": [W], 3: 0.9}], "no option 3"),
        ([{"lr": 0.1}], "group 0 has no 'params'"),
        ([{"params": [W]}, {"params": "w"}], "group 1: takes a list"),
        ([{"params": [W]}, leaf([1.0])], "parameter 0 is of type dict"),
        ({"params": [W]}, "not dict"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_weights_is_refused(params, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        mg.optim.SGD(params, lr=0.1)


NONSENSE = [None, "0.1", 1j, float("nan"), -1, -0.001, float("inf"), True, np.array([0.1, 0.2]), [0.1], 10**400,
            np.complex128(1), np.bool_(True), np.float32("nan"), b"1"]  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
@pytest.mark.parametrize(
    ("kind", "name"),
    [("SGD", "lr"), ("SGD", "momentum"), ("SGD", "weight_decay"), ("RMSprop", "lr"), ("RMSprop", "alpha"),
     ("RMSprop", "eps"), ("RMSprop", "weight_decay"), ("Adam", "lr"), ("Adam", "betas"), ("Adam", "eps"),
     ("Adam", "weight_decay"), ("AdamW", "lr"), ("AdamW", "weight_decay")],
)  # fmt: skip
def test_what_is_no_number_is_no_option_at_first_or_later(kind: str, name: str, value) -> None:
    for given in [(0.9, value), [value, 0.9], value] if name == "betas" else [value]:
        with pytest.raises(UsageError, match=rf"{kind}: {name}.* must be .* not "):
            made(kind, [W], {"lr": 0.1, name: given})
        p = leaf([1.0])
        rule = made(kind, [p], {"lr": 0.1})
        rule.param_groups[0][name] = given
        p.grad = mg.ones_like(p)
        with pytest.raises(UsageError, match=rf"{kind}: {name}.* must be .* not "):
            rule.step()
        assert p.numpy().tolist() == [1.0]


@pytest.mark.parametrize("number", [np.float16(0.5), np.float32(0.5), np.float64(0.5), np.longdouble(0.5)])
@pytest.mark.parametrize(("kind", "options"), ALL)
def test_numpys_numbers_are_numbers(kind: str, options: dict, number) -> None:
    names = {"SGD": ["momentum"], "RMSprop": ["alpha", "eps"]}.get(kind, ["eps"])
    places = []
    for given in (number, 0.5):
        p = leaf([1.0, 2.0], np.float32)
        rule = made(kind, [p], {"lr": given, "weight_decay": given} | dict.fromkeys(names, given))
        for _ in range(3):
            p.grad = mg.tensor([1.0, -3.0], dtype=np.float32)
            rule.step()
        rule.lr = given
        assert (rule.lr, type(rule.lr), p.dtype) == (0.5, float, np.float32)
        places.append(p.numpy().tolist())
    assert places[0] == places[1]
    assert mg.optim.SGD([leaf([1.0])], lr=np.int64(1)).lr == 1.0
    assert mg.optim.SGD([leaf([1.0])], lr=0).lr == 0.0


def test_groups_are_read_and_written() -> None:
    a, b = leaf([1.0]), leaf([1.0])
    given = [{"params": [a], "lr": 0.1}, {"params": b}]
    rule = mg.optim.SGD(given, lr=0.01)
    assert given == [{"params": [a], "lr": 0.1}, {"params": b}]
    assert [group["lr"] for group in rule.param_groups] == [0.1, 0.01]
    assert [group["params"][0] is w for group, w in zip(rule.param_groups, (a, b), strict=True)] == [True, True]
    assert rule.param_groups[1] == {"params": [b], "lr": 0.01, "momentum": 0.0, "weight_decay": 0.0}
    rule.param_groups[1]["lr"] = 0.5
    a.grad, b.grad = mg.ones_like(a), mg.ones_like(b)
    rule.step()
    assert (a.item(), b.item()) == (0.9, 0.5)
    assert rule.lr == 0.1
    rule.lr = 0.2
    assert [group["lr"] for group in rule.param_groups] == [0.2, 0.2]
    with pytest.raises(UsageError, match="lr must be"):
        rule.lr = -1
    again = copy.deepcopy(rule)
    again.params[0].grad = mg.ones_like(a)
    again.step()
    assert (a.item(), again.params[0].item()) == (0.9, 0.9 - 0.2)
    rule.param_groups[1]["momentun"] = 0.9
    with pytest.raises(UsageError, match=r"group 1: there is no option 'momentun'\. Did you mean 'momentum'"):
        rule.step()
    del rule.param_groups[1]["momentun"]
    rule.param_groups[1]["params"].append(leaf([1.0]))
    with pytest.raises(UsageError, match="Make a new SGD"):
        rule.step()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"m.0": "text"}, "m.0 must be numbers, not 'text'"),
        ({"m.0": np.array(["a", "b"])}, "m.0 must be numbers"),
        ({"m.0": np.array([1j, 2])}, "m.0 must be numbers"),
        ({"m.0": None}, "m.0 must be numbers, not None"),
        ({"m.0": np.array([None, None])}, "m.0 must be numbers"),
        ({"m.0": [[1], [2, 3]]}, "m.0 must be numbers"),
        ({"m.0": np.ones(3)}, r"m.0 has shape \[3\], here \[2\]"),
        ({"steps": np.array(["1"])}, "steps must be counts"),
        ({"steps": np.array([1.5])}, "steps must be counts"),
        ({"steps": np.array([-1])}, "steps must be counts"),
        ({"steps": None}, "steps must be counts"),
        ({"m.1": np.ones(2)}, "m.1 is unknown"),
        ({"velocity.0": np.ones(2)}, "velocity.0 is unknown"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(change: dict, words: str) -> None:
    p = leaf([1.0, 2.0])
    rule = mg.optim.Adam([p])
    p.grad = mg.ones_like(p)
    rule.step()
    before = rule.state_dict()
    with pytest.raises(WeightsError, match=words):
        rule.load_state_dict({"v.0": np.zeros(2), **before, **change})
    with pytest.raises(WeightsError, match=r"v\.0 is missing"):
        rule.load_state_dict({"m.0": np.ones(2)})
    for nothing in (None, "text", [1], 1j):
        with pytest.raises(WeightsError, match="goes on from a dict"):
            rule.load_state_dict(nothing)
    for name, array in rule.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# --- clipping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("give", [lambda w: w, lambda w: [w], lambda w: (w,), lambda w: (p for p in [w])])
@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (0,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_is_clipped_however_its_weight_is_given(give, shape, dtype) -> None:
    g = np.random.default_rng(0).normal(size=shape).astype(dtype) * 9
    norm = float(np.sqrt(np.square(g, dtype="f8").sum()))
    w = leaf(np.zeros(shape), dtype)
    for most in (1.0, np.float32(0.5), np.float64(2), 3, np.inf):
        w.grad = mg.tensor(g)
        assert mg.optim.clip_grad_norm(give(w), most) == pytest.approx(norm)
        np.testing.assert_allclose(w.grad.numpy(), g * min(1, most / max(norm, 1e-9)), rtol=1e-6)
        w.grad = mg.tensor(g)
        mg.optim.clip_grad_value(give(w), most)
        np.testing.assert_array_equal(w.grad.numpy(), np.clip(g, -most, most))
        mg.optim.add_grad_noise(give(w), np.float64(0.1), step=1)
        assert (w.grad.dtype, w.grad.numpy().shape) == (dtype, shape)


def test_weights_without_a_gradient_are_left_out() -> None:
    frozen, idle, w = leaf([1.0]), leaf([1.0]), leaf([1.0])
    frozen.requires_grad = False
    w.grad = mg.tensor([5.0], dtype=np.float64)
    assert mg.optim.clip_grad_norm([frozen, idle, w], 1.0) == 5.0
    mg.optim.clip_grad_value([frozen, idle, w], 0.5)
    assert w.grad.numpy().tolist() == [0.5]
    assert mg.optim.clip_grad_norm([], 1.0) == 0.0
    mg.optim.clip_grad_value([w], 1e300)
    assert w.grad.numpy().tolist() == [0.5]


@pytest.mark.parametrize(
    "value", [None, "1", 1j, float("nan"), -1, 0, -0.0, -np.inf, True, np.array([1.0, 2.0]), [1.0]], ids=repr
)
@pytest.mark.parametrize("clip", ["clip_grad_norm", "clip_grad_value"])
def test_a_limit_is_a_number_above_0(clip: str, value) -> None:
    w = leaf([1.0, 2.0])
    w.grad = mg.tensor([3.0, -4.0], dtype=np.float64)
    with pytest.raises(UsageError, match=f"{clip}: .* must be a number above 0, or inf, not"):
        getattr(mg.optim, clip)([w], value)
    assert w.grad.numpy().tolist() == [3.0, -4.0]


@pytest.mark.parametrize("clip", ["clip_grad_norm", "clip_grad_value", "add_grad_noise"])
@pytest.mark.parametrize(
    ("params", "words"),
    [([W * 1], "was computed"), (W * 1, "was computed"), ([W, W], "there twice"), ([1.0], "of type float"),
     (None, "not NoneType"), (LAYER, "parameters"), ([[W]], "of type list"), ({"w": W}, "not dict"), ("w", "not str")],
)  # fmt: skip
def test_only_weights_have_gradients_to_clip(clip: str, params, words: str) -> None:
    with pytest.raises(UsageError, match=f"{clip}: .*{words}"):
        getattr(mg.optim, clip)(params, 1.0, *([1] if clip == "add_grad_noise" else []))


def test_a_gradient_that_is_not_finite_is_named_by_its_place() -> None:
    named = [leaf([1.0]), leaf([1.0]), leaf([1.0])]
    named[0].grad = mg.ones_like(named[0])
    named[2].grad = mg.tensor([np.nan], dtype=np.float64)
    with pytest.raises(DivergedError, match=r"parameter 2 \(float64\[1\]\) is not finite"):
        mg.optim.clip_grad_norm(named, 1.0)
