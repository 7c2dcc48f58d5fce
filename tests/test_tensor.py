"""`Tensor`: dtypes, indexing, the way to NumPy and back, the tape and its errors."""

import copy
import gc
import math
import sys
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.errors import DtypeError, GradientError, MinigradError, MutationError, ShapeError


def test_the_contracts_first_example() -> None:
    x = mg.tensor([[1.0, 2.0]], requires_grad=True)
    w = mg.tensor(np.eye(2))
    y = mg.tanh(x @ w + 1).sum()
    y.backward()
    assert x.dtype == np.float32
    assert w.dtype == y.dtype == np.float64
    np.testing.assert_allclose(x.grad.numpy(), 1 - np.tanh([[2.0, 3.0]]) ** 2, rtol=1e-6)
    assert x.grad.dtype == np.float32
    mg.sum(x * 2).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 - np.tanh([[2.0, 3.0]]) ** 2, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_python_scalars_never_change_a_dtype(dtype) -> None:
    t = mg.tensor(np.array([1, 2], dtype))
    for result in (t + 1, 1 + t, t * 2, t - 1, 2 - t, t**2, -t, t % 2, t // 2, mg.maximum(t, 1), mg.where(t > 1, t, 0)):
        assert result.dtype == dtype
    if t.dtype.kind == "f":
        for result in (t + 1.5, t / 3, 2.5 / t, mg.clip(t, 0.5, 1.5), 1 - t * t):
            assert result.dtype == dtype


def test_dtypes_of_new_tensors() -> None:
    assert mg.tensor(1.5).dtype == mg.zeros(2).dtype == mg.arange(0.0, 1.0, 0.5).dtype == np.float32
    assert mg.tensor(1).dtype == mg.arange(3).dtype == np.int64
    assert mg.tensor([True]).dtype == np.bool_
    assert mg.tensor(np.float64(1)).dtype == mg.ones_like(mg.tensor(np.ones(2))).dtype == np.float64
    assert mg.tensor([1.0], dtype=mg.float64).dtype == mg.tensor([1, 2]).astype(np.float64).dtype == np.float64


@pytest.mark.parametrize("bad", [np.ones(2, np.float16), np.ones(2, complex), np.array(["a"]), "text", None])
def test_dtypes_that_are_refused(bad) -> None:
    with pytest.raises(DtypeError, match="float32"):
        mg.tensor(bad)


def test_ragged_and_integer_gradients_are_refused() -> None:
    with pytest.raises(ShapeError, match="same length"):
        mg.tensor([[1, 2], [3]])
    with pytest.raises(DtypeError, match="only floats"):
        mg.tensor([1, 2], requires_grad=True)


INDICES = [
    0, -1, slice(1, None), (slice(None), 1), (Ellipsis, 0), (None, 1), (0, 1, 2), slice(None, None, -1),
    np.array([0, 1, 1]), (np.array([0, 1]), np.array([2, 2])), (slice(None), np.array([0, 2])), [1, 0],
    (1, slice(0, 2), np.array([3, 3])),
]  # fmt: skip


@pytest.mark.parametrize("key", INDICES, ids=str)
def test_indexing_as_numpy_with_gradients(key) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(mg.tensor(x)[key].numpy(), x[key])
    check.check_grads(lambda t: t[key], x, order=2)


def test_boolean_masks() -> None:
    x = np.random.default_rng(1).normal(size=(3, 4))
    t = mg.tensor(x)
    np.testing.assert_array_equal(t[t > 0].numpy(), x[x > 0])
    check.check_grads(lambda v: v[x > 0], x)
    check.check_grads(lambda v: v[:, np.array([True, False, True, True])], x)


def test_index_errors_name_the_shape() -> None:
    with pytest.raises(ShapeError, match=r"float32\[2\]"):
        mg.zeros(2)[3]
    with pytest.raises(DtypeError, match="indices"):
        mg.zeros(2)[0.5]


def test_shapes_that_do_not_fit_are_both_named() -> None:
    with pytest.raises(ShapeError, match=r"float32\[2, 3\].*float32\[4\]"):
        mg.zeros((2, 3)) + mg.zeros(4)
    with pytest.raises(ShapeError, match="inner sizes 3 and 4"):
        mg.zeros((2, 3)) @ mg.zeros((4, 5))


def test_the_way_to_numpy_loses_no_gradient_in_silence() -> None:
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    for lose in (np.asarray, np.array, np.median, np.from_dlpack, lambda v: np.add.reduce(v)):
        with pytest.raises(GradientError, match="lose"):
            lose(t)
    assert np.sin(t).requires_grad
    assert (np.ones(2) * t).requires_grad
    assert np.concatenate([t, t]).requires_grad
    assert np.sum(t).requires_grad
    plain = t.detach()
    np.testing.assert_array_equal(np.asarray(plain), [1, 2])
    np.testing.assert_array_equal(np.from_dlpack(plain), [1, 2])
    np.testing.assert_array_equal(np.median(plain), 1.5)
    assert np.asarray(plain, np.float64).dtype == np.float64


def test_float64_arrays_promote_and_gradients_come_back_narrow() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * np.array([3.0, 4.0])
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32


# --- the tape -----------------------------------------------------------------------------------------------------


def test_a_chain_of_100_000_nodes_runs_and_is_freed() -> None:
    x = mg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    assert sys.getrecursionlimit() <= 1000 or "pytest" in sys.modules
    y.backward()
    assert x.grad.item() == 1
    y = x
    for _ in range(100_000):
        y = y + 1.0
    watch = weakref.ref(y)
    del y
    assert watch() is None


def test_a_graph_is_freed_without_the_collector() -> None:
    x = mg.tensor(np.ones(3), requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        y = mg.tanh(mg.exp(x)) * x
        watch = weakref.ref(y)
        del y
        assert watch() is None
    finally:
        gc.enable()


def test_a_second_backward_says_what_to_do() -> None:
    x = mg.tensor(2.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(GradientError, match="once, compute the values again"):
        y.backward()


def test_backward_without_graph_or_cotangent() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match="requires_grad=True"):
        x.detach().sum().backward()
    with mg.no_grad(), pytest.raises(GradientError, match="no_grad"):
        (x * 2).sum().backward()
    with pytest.raises(GradientError, match=r"y\.backward\(g\)"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match="g has shape"):
        (x * 2).backward(mg.ones(3))
    (x * 2).backward(mg.tensor([1.0, 10.0]))
    assert x.grad.numpy().tolist() == [2, 20]


@pytest.mark.parametrize(
    "make", [lambda x: x * x, lambda x: mg.exp(x), lambda x: x.reshape(2, 1) * 3.0 * x.reshape(2, 1)]
)
def test_a_saved_array_that_changes_is_named(make) -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    x.name = "speed"
    y = make(x)
    target = x if make(mg.ones(2)).shape != (2,) or "exp" not in str(make.__code__.co_names) else y
    with mg.no_grad():
        if target is x:
            x[0] = 5.0
        else:
            y.detach()[0] = 5.0
    with pytest.raises(MutationError, match=r"float32\[2"):
        y.sum().backward()


def test_what_the_backward_does_not_need_may_change() -> None:
    x, y = mg.tensor([1.0], requires_grad=True), mg.tensor([2.0], requires_grad=True)
    z = x + y
    with mg.no_grad():
        x[0] = 7.0
    z.backward()
    assert x.grad.item() == 1


def test_an_optimiser_step_before_backward_is_caught() -> None:
    layer = mg.nn.Linear(2, 2)
    loss = mg.square(layer(layer(mg.ones((1, 2))))).sum()
    layer(mg.ones((1, 2))).sum().backward()
    mg.optim.SGD(layer.parameters(), lr=0.1).step()
    with pytest.raises(MutationError, match="weight"):
        loss.backward()


def test_arrays_handed_in_and_out_cannot_reach_the_tape() -> None:
    source = np.array([1.0, 2.0])
    x = mg.tensor(source, requires_grad=True)
    constant = np.array([3.0, 3.0])
    y = x * constant
    source[0] = constant[0] = 100
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 9
    with pytest.raises(MutationError, match=r"mg\.where"):
        x[0] = 9.0
    y.sum().backward()
    assert x.grad.numpy().tolist() == [3, 3]


def test_values_print_copy_and_convert() -> None:
    t = mg.tensor([1.5, 2.0], requires_grad=True)
    assert repr(t) == "tensor([1.5, 2. ], requires_grad=True)"
    twin = copy.deepcopy(t)
    assert twin.requires_grad
    assert twin.edge is not t.edge
    assert float(t[0].detach()) == 1.5
    assert [v.item() for v in t] == [1.5, 2.0]
    assert len(t) == 2
    assert bool(t[0] > 1)
    with pytest.raises(ShapeError, match="item"):
        t.item()
    with pytest.raises(AttributeError, match="Did you mean 'tensor'"):
        mg.tensr  # noqa: B018


def test_every_name_of_the_contract_is_there() -> None:
    functions = """abs add clip cos cumulative_sum divide equal exp expm1 floor greater isfinite isnan less log log1p
    logaddexp logical_and maximum minimum multiply negative pow remainder reciprocal sign sin sqrt square subtract tan tanh
    where max mean min prod std sum var argmax argmin all any matmul tensordot vecdot einsum broadcast_to concat
    expand_dims flip moveaxis permute_dims repeat reshape roll split squeeze stack take take_along_axis tril triu unstack
    arange eye full full_like linspace ones ones_like zeros zeros_like sigmoid relu leaky_relu elu gelu silu softplus
    softmax log_softmax logsumexp one_hot grad value_and_grad no_grad seed scan stop_gradient trace tensor Tensor save
    load_weights Batch""".split()
    assert [name for name in functions if not callable(getattr(mg, name))] == []
    attributes = "shape ndim size dtype device T grad requires_grad numpy item detach astype to backward".split()
    assert [name for name in attributes if not hasattr(mg.Tensor, name)] == []


# --- gradients as functions ---------------------------------------------------------------------------------------


def test_grad_nests_to_any_order() -> None:
    f = lambda x: x**4
    x = mg.tensor(2.0)
    third = mg.grad(mg.grad(mg.grad(f)))(x)
    assert third.item() == pytest.approx(48)
    assert not third.requires_grad


def test_grad_of_nests_and_several_arguments() -> None:
    value, (g0, g1) = mg.value_and_grad(lambda p, x: (p["w"] * x).sum() + p["b"], (0, 1))(
        {"w": mg.tensor([1.0, 2.0]), "b": mg.tensor(3.0)}, mg.tensor([4.0, 5.0])
    )
    assert value.item() == 17
    assert g0["w"].numpy().tolist() == [4, 5]
    assert g0["b"].item() == 1
    assert g1.numpy().tolist() == [1, 2]


def test_a_gradient_penalty_reaches_the_weights() -> None:
    w = mg.tensor(3.0, requires_grad=True)
    slope = mg.grad(lambda x: w * x * x)(mg.tensor(2.0))  # 2 w x
    (slope * slope).backward()  # 4 w² x² -> 8 w x²
    assert w.grad.item() == pytest.approx(8 * 3 * 4)


def test_what_an_argument_does_not_reach_has_gradient_zero() -> None:
    assert mg.grad(lambda x: mg.tensor(1.0))(mg.ones(2)).numpy().tolist() == [0, 0]
    assert mg.grad(lambda x: mg.stop_gradient(x).sum())(mg.ones(2)).numpy().tolist() == [0, 0]
    with pytest.raises(GradientError, match="one number"):
        mg.grad(lambda x: x)(mg.ones(2))


def test_what_makes_arrays_refuses_a_dtype_as_tensor_does() -> None:
    for make in (mg.zeros, mg.ones):
        for dtype in ("float16", "no such type", complex):
            with pytest.raises(DtypeError):
                make(2, dtype=dtype)
        assert make(2, dtype="int64").dtype == np.int64
        assert make(2).dtype == np.float32


# --- as a number, as an array of NumPy ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2.5, -3.7, 0.0, 7])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_value_of_one_element_is_a_number(value, shape) -> None:
    t = mg.tensor(np.full(shape, value))
    if isinstance(value, float):
        t.requires_grad = True
    for use in (
        float, int, complex, round, math.floor, math.ceil, math.trunc, bool, "{:.4f}".format, "{:>12.3e}".format, "{:+}".format,
        lambda x: round(x, 1), lambda x: f"{x:8.2f}|", lambda x: math.sqrt(abs(x)), lambda x: "%.3f" % x,  # noqa: UP031
    ):  # fmt: skip
        assert use(t) == use(value)
        assert type(use(t)) is type(use(value))
    assert f"{t}" == str(t) == repr(t)
    assert (+t).tolist() == t.tolist() == np.full(shape, value).tolist()
    assert (+t).requires_grad == t.requires_grad


def test_several_elements_are_no_number() -> None:
    t = mg.tensor([[1.25, 2.5]])
    for use in (
        float,
        int,
        complex,
        round,
        math.floor,
        math.ceil,
        math.trunc,
        lambda x: f"{x:.2f}",
        lambda x: round(x, 2),
    ):
        with pytest.raises(ShapeError, match=r"one element, and float32\[1, 2\] has 2"):
            use(t)
    for t in (mg.tensor([1, 2]), mg.tensor(1.0)):
        with pytest.raises(TypeError, match="one integer"):
            [5, 6, 7][t]
    assert [5, 6, 7][mg.tensor(1)] == 6
    assert 2 in mg.tensor([[1, 2]])
    assert 3 not in mg.tensor([[1, 2]])


def test_divmod_is_the_quotient_and_the_remainder_of_numpy() -> None:
    x, y = np.array([7.5, -7.5, 3.0]), np.array([2.0, 2.0, -2.0])
    for got, want in (
        (divmod(mg.tensor(x), mg.tensor(y)), np.divmod(x, y)), (divmod(mg.tensor(x), 2), np.divmod(x, 2)), (divmod(9.0, mg.tensor(y)), np.divmod(9.0, y)),
        (divmod(x, mg.tensor(y)), np.divmod(x, y)), (divmod(mg.tensor(7), 2), (3, 1)),
    ):  # fmt: skip
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)


def test_gradients_may_be_taken_away_and_are_tensors() -> None:
    value, leaf = mg.tensor([1.0]), mg.tensor([1.0], requires_grad=True)
    computed = leaf * 2
    for t in (value, leaf, computed):
        t.grad = None
        assert t.grad is None
    for t in (value, computed):
        with pytest.raises(GradientError, match="leaf"):
            t.grad = mg.ones(1)
    for bad in (1.0, np.ones(1), "text"):
        with pytest.raises(GradientError, match=r"mg\.tensor"):
            leaf.grad = bad


def test_a_retained_graph_may_be_walked_again_and_gradients_add_up() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4, 2, 3)), rng.normal(size=(3, 3))

    def cell(h, x_):
        h = mg.tanh(x_ @ w_ + h)
        return h, h

    for compiled in (True, False):
        w_ = mg.tensor(w, requires_grad=True)
        loss = mg.scan(cell, mg.zeros((2, 3), dtype=mg.float64), mg.tensor(x), compiled=compiled)[1].sum()
        w_torch, h = torch.tensor(w, requires_grad=True), torch.zeros(2, 3, dtype=torch.float64)
        total = 0.0
        for x_torch in torch.tensor(x):
            h = torch.tanh(x_torch @ w_torch + h)
            total = total + h.sum()
        for retain in (True, True, False):
            loss.backward(retain_graph=retain)
            total.backward(retain_graph=retain)
            np.testing.assert_allclose(w_.grad.numpy(), w_torch.grad.numpy(), rtol=1e-10)
        with pytest.raises(GradientError, match="used up"):
            loss.backward()


NUMPY_CALLS = [
    lambda x: np.sum(x), lambda x: np.sum(x, 0), lambda x: np.sum(x, axis=1, keepdims=True), lambda x: np.sum(x, 1, np.float32), lambda x: np.prod(x, axis=0),
    lambda x: np.mean(x, axis=0), lambda x: np.var(x, ddof=1), lambda x: np.var(x, axis=0, correction=1), lambda x: np.std(x, 1, ddof=1), lambda x: np.max(x, axis=1),
    lambda x: np.amin(x, 0), lambda x: np.cumsum(x), lambda x: np.cumsum(x, axis=1), lambda x: np.cumulative_sum(x, axis=0, include_initial=True),
    lambda x: np.transpose(x), lambda x: np.transpose(x, (1, 0)), lambda x: np.transpose(x, axes=[1, 0]), lambda x: np.matrix_transpose(x), lambda x: np.swapaxes(x, 0, -1),
    lambda x: np.reshape(x, (3, 2)), lambda x: np.reshape(x, -1), lambda x: np.ravel(x), lambda x: np.moveaxis(x, 0, 1), lambda x: np.expand_dims(x, 1),
    lambda x: np.squeeze(x[:1], 0), lambda x: np.flip(x, 1), lambda x: np.roll(x, 1, axis=1), lambda x: np.concatenate([x, x]), lambda x: np.concatenate((x, x), axis=1),
    lambda x: np.concat([x, x], axis=None), lambda x: np.stack([x, x], 1), lambda x: np.split(x, 3, axis=1)[1], lambda x: np.unstack(x)[1], lambda x: np.broadcast_to(x, (2, 2, 3)),
    lambda x: np.tril(x, -1), lambda x: np.triu(x), lambda x: np.repeat(x, 2, axis=0), lambda x: np.take(x, [2, 0], axis=1), lambda x: np.take(x, 3),
    lambda x: np.take_along_axis(x, np.array([[1], [0]]), axis=1), lambda x: np.where(x > 0, x, 0.0), lambda x: np.clip(x, -0.5, 0.5), lambda x: np.clip(x, a_min=None, a_max=0.1),
    lambda x: np.tensordot(x, x, 2), lambda x: np.dot(x, x[0]), lambda x: np.dot(x, np.transpose(x)), lambda x: np.dot(x, 2.0), lambda x: np.einsum("ij,kj->ik", x, x, optimize=True),
    lambda x: np.linalg.matmul(x, np.matrix_transpose(x)), lambda x: np.linalg.vecdot(x, x), lambda x: np.vecdot(x, x), lambda x: np.astype(x, np.float32),
    lambda x: np.sin(x), lambda x: np.power(x, 2), lambda x: np.true_divide(x, 3), lambda x: np.absolute(x), lambda x: np.ones((4, 2)) @ x, lambda x: np.matmul(x, x[0]), lambda x: np.positive(x),
]  # fmt: skip


@pytest.mark.parametrize("i", range(len(NUMPY_CALLS)))
def test_numpys_functions_of_a_tensor_are_minigrads_and_keep_the_gradient(i: int) -> None:
    x = np.random.default_rng(2).normal(size=(2, 3))
    t = mg.tensor(x, requires_grad=True)
    got, want = NUMPY_CALLS[i](t), NUMPY_CALLS[i](x)
    assert isinstance(got, mg.Tensor)
    assert got.requires_grad
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


def test_numpys_functions_that_have_no_twin_compute_or_say_what_to_call() -> None:
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = t.numpy()
    for function, instead in {
        np.trace: 'mg.einsum("ii", t)', np.cosh: "mg.exp", np.real: "t itself", np.linalg.norm: "mg.square", np.outer: "mg.einsum", np.median: "t.detach",
        np.diagonal: "mg.einsum", np.log10: "mg.log", np.linalg.det: "t.detach", np.ptp: "mg.max", np.diff: "t[1:]",
    }.items():  # fmt: skip
        args = (t, t) if function is np.outer else (t,)
        with pytest.raises(GradientError, match="would lose its gradient") as caught:
            function(*args)
        assert instead in str(caught.value)
        np.testing.assert_allclose(function(*(a.detach() for a in args)), function(*(x for _ in args)))
    assert np.shape(t) == (2, 2)
    assert (np.ndim(t), np.size(t)) == (2, 4)
    np.testing.assert_array_equal(np.where(t > 2)[0], [1, 1])


def test_what_numpys_functions_could_not_keep_is_refused(tmp_path) -> None:
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    target = mg.zeros((2, 2))
    with pytest.raises(GradientError, match=r"np\.save.*t\.numpy\(\)"):
        np.save(tmp_path / "t.npy", t)
    np.save(tmp_path / "t.npy", t.detach())
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), t.numpy())
    for call in (
        lambda: np.sum(t, initial=1.0), lambda: np.sum(t, where=t.numpy() > 1), lambda: np.mean(t, dtype=np.float64), lambda: np.reshape(t, 4, order="F"),
        lambda: np.take(t, [5], mode="clip"), lambda: np.concatenate([t, t], dtype=np.float64), lambda: np.linspace(0, t[0, 0], 3), lambda: np.sum(t, out=np.zeros(())),
    ):  # fmt: skip
        with pytest.raises(MinigradError):
            call()
    for write in (
        lambda: np.add(t, 1, out=target),
        lambda: np.add(np.ones((2, 2)), 1, out=target),
        lambda: np.add.at(target, 0, 1),
        lambda: np.copyto(target, 1.0),
        lambda: np.fill_diagonal(target, 1),
    ):
        with pytest.raises(MutationError, match="would write"):
            write()
    assert not target.numpy().any()
    with pytest.raises(DtypeError, match=r"linspace: stop must be a number, not an array float32\[\]\. Use \.item"):
        mg.linspace(0, t[0, 0], 3)


def test_writing_takes_numbers_that_fit() -> None:
    t = mg.tensor(np.zeros(3))
    t[0] = 0.1
    t[1:] = [1, True]
    assert t.tolist() == [0.1, 1, 1]
    for bad in (1j, "3", None, np.array(["a"]), np.datetime64(1, "s"), object()):
        with pytest.raises(DtypeError, match="not made of numbers"):
            t[0] = bad
    for key, value in ((5, 1), (0, [1, 2]), ("a", 1), (slice(None), [[1], [1, 2]])):
        with pytest.raises(ShapeError, match="writing into float64"):
            t[key] = value


def test_a_gradient_of_no_dimensions_is_an_array_after_clipping_too() -> None:
    w = mg.tensor(3.0, requires_grad=True)
    (w * w).backward()
    mg.optim.clip_grad_norm([w], 1.0)
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 1.0, rtol=1e-6)
    assert mg.Tensor(np.float64(2.0)).numpy().shape == ()


def test_a_tuple_beside_a_tensor_is_an_array_not_repeated() -> None:
    for t in (mg.tensor(2), mg.tensor([2, 3])):
        assert (t * (5, 7)).tolist() == (t.numpy() * np.array((5, 7))).tolist()
        assert ((5, 7) * t).tolist() == (t.numpy() * np.array((5, 7))).tolist()
        assert (t + (5, 7)).tolist() == (t.numpy() + np.array((5, 7))).tolist()
