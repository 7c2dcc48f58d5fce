"""The table of ops, walked: an op without sample, type rule or right gradient fails by its name."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import check, core
from minigrad.errors import DtypeError, GradientError
from minigrad.ops import elementwise

mg.tensor(0.0)  # fills the table

DIFFERENTIABLE = sorted(name for name, op in core.OPS.items() if op.vjp is not None)


def samples(name: str):
    found = core.OPS[name].samples(np.random.default_rng(3))
    assert found, f"{name} has no samples"
    return found


@pytest.mark.parametrize("name", sorted(core.OPS))
def test_type_rule_says_what_the_forward_gives(name: str) -> None:
    op = core.OPS[name]
    for inputs, metadata in samples(name):
        raw = op.forward(*map(np.asarray, inputs), **metadata)
        raws = raw if op.multiple else (raw,)
        rule = op.type_rule(*map(np.asarray, inputs), **metadata)
        rules = rule if op.multiple else (rule,)
        assert [(np.shape(r), np.asarray(r).dtype) for r in raws] == [(t.shape, t.dtype) for t in rules], name


@pytest.mark.parametrize("name", sorted(core.OPS))
def test_float32_stays_float32(name: str) -> None:
    op = core.OPS[name]
    if name == "cast":
        return  # its purpose is another dtype
    for inputs, metadata in samples(name):
        narrow = [x.astype(np.float32) if np.asarray(x).dtype == np.float64 else x for x in map(np.asarray, inputs)]
        xs = [mg.tensor(x, requires_grad=x.dtype == np.float32) for x in narrow]
        outs = op(*xs, **metadata)
        for out in outs if op.multiple else (outs,):
            assert out.dtype != np.float64
            if out.requires_grad:
                out.sum().backward() if not op.multiple else None
        assert all(x.grad is None or x.grad.dtype == np.float32 for x in xs)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_first_and_second_order(name: str) -> None:
    op = core.OPS[name]
    for inputs, metadata in samples(name):
        report = check.check_grads(lambda *xs, m=metadata: op(*xs, **m), *inputs, order=2)
        assert report.checks > 0


@pytest.mark.parametrize("name", ["tanh", "matmul", "getitem", "softmax", "linear", "concat"])
def test_a_rule_wrong_by_half_a_thousandth_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op = core.OPS[name]
    right = op.vjp
    assert right is not None

    def wrong(*args, **metadata):
        found = list(right(*args, **metadata))
        found[0] = (found[0]() if callable(found[0]) else found[0]) * 1.0005
        return tuple(found)

    object.__setattr__(op, "vjp", wrong)
    try:
        with pytest.raises(GradientError, match="central difference"):
            for inputs, metadata in samples(name):
                check.check_grads(lambda *xs, m=metadata: op(*xs, **m), *inputs)
    finally:
        object.__setattr__(op, "vjp", right)


def test_nan_and_infinity_pass_through_every_elementwise_op() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.0])
    for name in ("exp", "tanh", "sigmoid", "relu", "square", "abs", "negative", "sqrt", "log", "erf"):
        out = core.OPS[name](x).numpy()
        assert np.isnan(out[0]), name
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(np.isnan(out), np.isnan(core.OPS[name].forward(x)), err_msg=name)
    for function in (mg.softmax, mg.log_softmax):
        assert np.isnan(function(mg.tensor([1.0, np.nan])).numpy()).all()
    wide = np.zeros((4, 1024), np.float32)
    wide[1, 5] = np.nan
    assert np.isnan(elementwise.as_value(core.OPS["standardize"](wide, eps=1e-5)).numpy()).any(axis=1).tolist() == [
        False, True, False, False,
    ]  # fmt: skip


NUMPY_TWINS = {
    "abs": 1, "add": 2, "cos": 1, "divide": 2, "equal": 2, "exp": 1, "expm1": 1, "floor": 1, "greater": 2, "isfinite": 1,
    "isnan": 1, "less": 2, "log1p": 1, "logaddexp": 2, "logical_and": 2, "maximum": 2, "minimum": 2, "multiply": 2,
    "negative": 1, "remainder": 2, "reciprocal": 1, "sign": 1, "sin": 1, "square": 1, "subtract": 2, "tan": 1, "tanh": 1,
    "max": 1, "mean": 1, "min": 1, "prod": 1, "std": 1, "sum": 1, "var": 1, "argmax": 1, "argmin": 1, "all": 1, "any": 1,
    "matmul": 2, "flip": 1, "squeeze": 1, "tril": 1, "triu": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(NUMPY_TWINS))
def test_same_as_numpy(name: str) -> None:
    rng = np.random.default_rng(5)
    for dtype in (np.float32, np.float64, np.int64):
        xs = [(rng.normal(size=(3, 3)) * 4 + 0.5).astype(dtype) for _ in range(NUMPY_TWINS[name])]
        if dtype == np.int64 and name in ("remainder", "reciprocal", "divide"):
            continue
        with np.errstate(all="ignore"):
            want = getattr(np, name)(*xs)
        got = getattr(mg, name)(*map(mg.tensor, xs))
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["max", "mean", "min", "prod", "std", "sum", "var", "all", "any"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_by_axis(name: str, axis, keepdims: bool) -> None:
    x = np.random.default_rng(6).normal(size=(2, 3, 4))
    want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    got = getattr(mg, name)(mg.tensor(x), axis=axis, keepdims=keepdims)
    assert got.shape == want.shape
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)


def test_shape_functions_are_numpys() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    t = mg.tensor(x)
    pairs = [
        (mg.permute_dims(t, (2, 0, 1)), np.transpose(x, (2, 0, 1))),
        (mg.moveaxis(t, 0, -1), np.moveaxis(x, 0, -1)),
        (mg.expand_dims(t, 1), np.expand_dims(x, 1)),
        (mg.roll(t, 2, 2), np.roll(x, 2, 2)),
        (mg.roll(t, -5), np.roll(x, -5)),
        (mg.repeat(t, 2, 1), np.repeat(x, 2, 1)),
        (mg.reshape(t, (4, -1)), x.reshape(4, -1)),
        (mg.broadcast_to(t[:, :1], (2, 3, 4)), np.broadcast_to(x[:, :1], (2, 3, 4))),
        (mg.concat([t, t], axis=1), np.concatenate([x, x], axis=1)),
        (mg.stack([t, t], axis=-1), np.stack([x, x], axis=-1)),
        (mg.split(t, [1, 3], axis=2)[1], np.split(x, [1, 3], axis=2)[1]),
        (mg.unstack(t, axis=1)[2], x[:, 2]),
        (mg.take(t, np.array([2, 0]), axis=1), np.take(x, [2, 0], axis=1)),
        (mg.take_along_axis(t, np.array([[[1], [0], [3]]] * 2), axis=2),
         np.take_along_axis(x, np.array([[[1], [0], [3]]] * 2), axis=2)),
        (mg.cumulative_sum(t, axis=1), np.cumsum(x, axis=1)),
        (mg.tensordot(t, t, axes=([1, 2], [1, 2])), np.tensordot(x, x, axes=([1, 2], [1, 2]))),
        (mg.vecdot(t, t), (x * x).sum(-1)),
        (mg.one_hot(mg.tensor([1, 0]), 3), np.eye(3)[[1, 0]]),
        (mg.logsumexp(t, axis=1), np.log(np.exp(x).sum(1))),
        (mg.clip(t, 3, 9.5), np.clip(x, 3, 9.5)),
    ]  # fmt: skip
    for i, (got, want) in enumerate(pairs):
        np.testing.assert_allclose(got.numpy(), want, err_msg=f"pair {i}")


@pytest.mark.parametrize(
    "subscripts", ["ij,jk->ik", "bij,bjk->bik", "ii->i", "ii", "i,j", "...i,i", "ij->", "iij,j->i"]
)
def test_einsum(subscripts: str) -> None:
    rng = np.random.default_rng(7)
    sizes = {"i": 3, "j": 3, "k": 2, "b": 2, ".": 2}
    terms = subscripts.split("->", maxsplit=1)[0].split(",")
    xs = [rng.normal(size=[sizes[c] for c in term.replace("...", ".")]) for term in terms]
    np.testing.assert_allclose(mg.einsum(subscripts, *map(mg.tensor, xs)).numpy(), np.einsum(subscripts, *xs))
    check.check_grads(lambda *ts: mg.einsum(subscripts, *ts), *xs, order=2)


@pytest.mark.parametrize(
    "function",
    [
        mg.prod, mg.std, mg.logsumexp, mg.elu, mg.gelu, mg.silu, mg.softplus, mg.leaky_relu,
        lambda x: mg.var(x, axis=0), lambda x: mg.cumulative_sum(x, axis=1), lambda x: mg.tril(x),
        lambda x: mg.roll(x, 1, 0), lambda x: mg.repeat(x, 2, 1), lambda x: mg.take_along_axis(x, np.array([[0], [2], [1]]), 1),
        lambda x: mg.softmax(x, axis=0), lambda x: mg.clip(x, -0.5, 0.5), lambda x: mg.tensordot(x, x, 1),
        lambda x: mg.prod(mg.where(mg.abs(x) < 0.3, 0.0, x), axis=1),
    ],
)  # fmt: skip
def test_functions_made_of_ops(function) -> None:
    check.check_grads(function, np.random.default_rng(8).normal(size=(3, 3)), order=2)


@pytest.mark.parametrize("x", [-0.0, 0.0])
def test_kinks_are_as_documented(x: float) -> None:
    slope = lambda f: mg.grad(f)(mg.tensor(x)).item()
    assert slope(mg.relu) == 0
    assert slope(mg.abs) == 0
    assert slope(lambda t: mg.maximum(t, 0.0)) == 0.5
    assert slope(lambda t: mg.clip(t, 0.0, 1.0)) == 1
    assert mg.grad(lambda t: mg.std(t))(mg.ones(3)).numpy().tolist() == [0, 0, 0]
    assert mg.grad(lambda t: mg.max(t))(mg.tensor([2.0, 2.0])).numpy().tolist() == [0.5, 0.5]


def test_powers_at_zero() -> None:
    gx, gy = mg.grad(lambda x, y: mg.pow(x, y).sum(), (0, 1))(mg.tensor([0.0, 0.0, 2.0]), mg.tensor([0.0, 2.0, 0.0]))
    assert gx.numpy().tolist() == [0, 0, 0]
    np.testing.assert_allclose(gy.numpy(), [0, 0, np.log(2)], rtol=1e-6)


def test_large_rows_take_the_kernels_and_agree_with_numpy() -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(64, 100)).astype(np.float32)
    layer = mg.nn.LayerNorm(100)
    want = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(x).numpy(), want, atol=2e-6)
    table = mg.tensor(np.zeros((5, 64)), requires_grad=True)
    rows = rng.integers(-5, 5, 200)
    mg.take(table, rows, axis=0).sum().backward()
    assert table.grad is not None
    np.testing.assert_array_equal(table.grad.numpy()[:, 0], np.bincount(rows % 5, minlength=5))


def test_kernels_run_as_plain_python_too_and_agree() -> None:
    from minigrad.kernels import cpu

    rng = np.random.default_rng(10)
    x = (rng.normal(size=(3, 40)) * 20).astype(np.float32)
    x[0, :3] = -np.inf
    x[1, 2] = np.nan
    outs = np.zeros((2, 3, 40), np.float32)
    with np.errstate(all="ignore"):
        cpu.softmax32.py_func(x, outs[0])
        cpu.softmax32(x, outs[1])
        wide = x.astype(np.float64)
        want = np.exp(wide - wide.max(-1, keepdims=True))
        want /= want.sum(-1, keepdims=True)
    np.testing.assert_allclose(outs[0], outs[1], rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(outs[1], want, rtol=1e-5, atol=1e-37)
    assert np.isnan(outs[1, 1]).all()


def test_float32_softmax_and_cross_entropy_of_large_rows() -> None:
    x = np.random.default_rng(11).normal(size=(50, 60)) * 5
    targets = np.random.default_rng(12).integers(0, 60, 50)
    narrow = x.astype(np.float32)
    np.testing.assert_allclose(mg.softmax(narrow).numpy(), mg.softmax(x).numpy(), rtol=2e-5, atol=1e-12)
    np.testing.assert_allclose(mg.log_softmax(narrow).numpy(), mg.log_softmax(x).numpy(), rtol=1e-5, atol=1e-5)
    got = mg.value_and_grad(lambda v: mg.nn.cross_entropy(v, targets))
    for a, b in zip(got(mg.tensor(narrow)), got(mg.tensor(x)), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-8)
    narrow[3, 4] = np.nan
    assert np.isnan(mg.softmax(narrow).numpy()).any(axis=1).tolist() == [i == 3 for i in range(50)]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(name for name, op in core.OPS.items() if op.loop))
def test_the_loop_expression_says_what_the_forward_says(name: str, dtype: str) -> None:
    from minigrad.kernels import vector_math

    op, bits = core.OPS[name], 8 * int(dtype[1])
    words = {key: value.py_func for key, value in vars(vector_math).items() if hasattr(value, "py_func")}
    words |= {"tanh32": vector_math.tanh32, "np": np, "float32": np.float32, "float64": np.float64, "bool": bool}
    words |= {"int64": np.int64}
    for inputs, metadata in samples(name):
        if name == "cast":
            metadata = {"dtype": np.dtype(dtype)}
        arrays = [np.asarray(x) if np.asarray(x).dtype.kind != "f" else np.asarray(x, dtype) for x in inputs]
        wanted = np.asarray(op.forward(*arrays, **metadata))
        t, f = (wanted.dtype.name, 64) if wanted.dtype.kind == "i" else (f"float{bits}", bits)
        expression = op.loop.format("x0", "x1", "x2", t=t, f=f)
        for at in np.ndindex(np.shape(wanted)):
            spread = np.broadcast_arrays(*arrays)
            found = eval(expression, words, {f"x{i}": x[at] for i, x in enumerate(spread)})
            assert found == pytest.approx(wanted[at], rel=1e-6 if dtype == "f4" else 1e-12), expression


@pytest.mark.parametrize("name", sorted(name for name, op in core.OPS.items() if op.expand))
def test_the_expansion_says_what_the_forward_says(name: str) -> None:
    op = core.OPS[name]
    for inputs, metadata in samples(name):
        wanted = op.forward(*inputs, **metadata)
        found = op.expand(*map(mg.tensor, inputs), **metadata).numpy()
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


BITS = {
    "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift,
}  # fmt: skip
INTEGERS = [np.dtype(c) for c in "bhilBHIL"]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("name", sorted(BITS))
def test_operators_on_integers_work_on_their_bits_in_both_roads(name: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    x = rng.integers(max(np.iinfo(dtype).min, -100), 100, (5, 2, 3)).astype(dtype)
    y = rng.integers(0, 70 if "shift" in name else 100, (5, 2, 3)).astype(dtype)
    want = BITS[name](x, y)
    got = getattr(mg, name)(x, y)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.numpy(), want)
    carries = np.stack([y[0] ^ (t % 2) for t in range(5)]).astype(dtype)
    twice = BITS[name](BITS[name](x, carries), np.asarray(2, dtype))
    cell = lambda c, x: (c ^ 1, getattr(mg, name)(getattr(mg, name)(x, c), 2))
    for compiled in (dtype.name in ("int32", "int64"), False):
        _, ys = mg.scan(cell, mg.tensor(y[0]), mg.tensor(x), compiled=compiled)
        assert ys.dtype == dtype
        np.testing.assert_array_equal(ys.numpy(), twice, err_msg=f"compiled={compiled}")


def test_signs_for_bits_are_numpys() -> None:
    x, mask = np.array([6, -5, 0]), np.array([True, False, True])
    t, m = mg.tensor(x), mg.tensor(mask)
    pairs = [
        (t & 3, x & 3), (3 | t, 3 | x), (t ^ t[::-1], x ^ x[::-1]), (~t, ~x), (t << 2, x << 2), (t >> 1, x >> 1), (2 << abs(t), 2 << abs(x)),
        (m & mask[::-1], mask & mask[::-1]), (m | True, mask | True), (m ^ True, mask ^ True), (~m, ~mask), (m & t, mask & x),
        (60 >> abs(t), 60 >> abs(x)),
    ]  # fmt: skip
    for i, (got, want) in enumerate(pairs):
        assert got.dtype == want.dtype, f"pair {i}"
        np.testing.assert_array_equal(got.numpy(), want, err_msg=f"pair {i}")
    for bits in (lambda f: f & 1, lambda f: ~f, lambda f: 1 | f, lambda f: f << 1, lambda f: t ^ f):
        with pytest.raises(DtypeError, match="bits of integers"):
            bits(mg.ones(3))
    inverted = mg.scan(lambda c, x: (c, ~x), mg.zeros((1, 1)), m.reshape(3, 1, 1), compiled=True)[1]
    np.testing.assert_array_equal(inverted.numpy()[:, 0, 0], ~mask)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,ij->i", [(2, 3), (1, 3)]), ("ij,ij->i", [(1, 3), (2, 1)]), ("ij,jk->ik", [(2, 1), (3, 4)]), ("ij,ij", [(1, 1), (2, 3)]),
        ("...i,...i->...", [(2, 1, 3), (4, 3)]), ("i,i,i->", [(1,), (3,), (1,)]), ("bij,bjk->bik", [(1, 2, 3), (4, 1, 2)]), ("ij,j->ij", [(2, 3), (1,)]),
    ],
)  # fmt: skip
def test_einsum_stretches_axes_of_size_1_as_numpy(subscripts: str, shapes: list) -> None:
    rng = np.random.default_rng(13)
    xs = [rng.normal(size=shape) for shape in shapes]
    got = mg.einsum(subscripts, *map(mg.tensor, xs))
    np.testing.assert_allclose(got.numpy(), np.einsum(subscripts, *xs))
    check.check_grads(lambda *ts: mg.einsum(subscripts, *ts), *xs, order=2)
