"""The names of the array API standard: the same call on NumPy 2 and on minigrad, for shapes and dtypes drawn at random."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import api, core
from minigrad.errors import MinigradError

mg.tensor(0.0)  # fills the table

DTYPES = [np.dtype(c) for c in "?bhilBHILfd"]
FLOATS = [np.dtype(c) for c in "fd"]
SIZES = (0, 1, 2, 3)
UNARY = "abs bitwise_invert cos exp expm1 floor isfinite isnan log log1p logical_not negative reciprocal sign sin sqrt square tan tanh".split()
BINARY = """add bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor divide equal floor_divide greater
greater_equal less less_equal logaddexp logical_and logical_or maximum minimum multiply not_equal pow remainder subtract""".split()
TO_FLOAT = set("cos exp expm1 log log1p reciprocal sin sqrt tan tanh logaddexp divide".split())

Call = Callable[[Any, Any], Any]
CALLS: dict[str, Call] = {
    "sum": lambda xp, x: xp.sum(x, axis=-1), "sum of all": lambda xp, x: xp.sum(x), "sum, kept": lambda xp, x: xp.sum(x, axis=(0, 1), keepdims=True),
    "sum, float64": lambda xp, x: xp.sum(x, dtype=np.float64), "sum, int8": lambda xp, x: xp.sum(x, axis=0, dtype=np.int8),
    "prod": lambda xp, x: xp.prod(x, axis=1), "prod of all": lambda xp, x: xp.prod(x), "prod, float64": lambda xp, x: xp.prod(x, axis=0, dtype=np.float64, keepdims=True),
    "mean": lambda xp, x: xp.mean(x, axis=0), "var": lambda xp, x: xp.var(x, axis=-1, keepdims=True), "var, corrected": lambda xp, x: xp.var(x, correction=1),
    "std": lambda xp, x: xp.std(x, axis=1, correction=0.5), "max": lambda xp, x: xp.max(x, axis=0), "min": lambda xp, x: xp.min(x, axis=-1, keepdims=True),
    "argmax": lambda xp, x: xp.argmax(x, axis=1), "argmin": lambda xp, x: xp.argmin(x, keepdims=True), "all": lambda xp, x: xp.all(x, axis=0),
    "any": lambda xp, x: xp.any(x, axis=(0, 1)), "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=0),
    "cumulative_sum from 0": lambda xp, x: xp.cumulative_sum(x, axis=1, include_initial=True, dtype=np.float64),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, *x.shape)), "concat": lambda xp, x: xp.concat([x, x], axis=1), "concat, flat": lambda xp, x: xp.concat([x, x], axis=None),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=-1), "expand_dims twice": lambda xp, x: xp.expand_dims(x, axis=(0, -1)), "flip": lambda xp, x: xp.flip(x, axis=-1),
    "flip all": lambda xp, x: xp.flip(x), "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1), "moveaxis of two": lambda xp, x: xp.moveaxis(x, (0, 1), (-1, 0)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)), "repeat": lambda xp, x: xp.repeat(x, 2, axis=1), "repeat, flat": lambda xp, x: xp.repeat(x, 2),
    "reshape": lambda xp, x: xp.reshape(x, (x.shape[1], x.shape[0])), "reshape, flat": lambda xp, x: xp.reshape(x, (x.shape[0] * x.shape[1],)),
    "roll": lambda xp, x: xp.roll(x, 1, axis=0), "roll of two": lambda xp, x: xp.roll(x, (1, -5), axis=(0, 1)), "roll, flat": lambda xp, x: xp.roll(x, -2), "roll, one shift": lambda xp, x: xp.roll(x, 2, axis=(0, 1)),
    "squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, 1), axis=1), "stack": lambda xp, x: xp.stack([x, x], axis=-1), "take": lambda xp, x: xp.take(x, np.array([0, -1]), axis=1) if x.shape[1] else x,
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.argmax(x, axis=1, keepdims=True), axis=1) if x.shape[1] else x,
    "tril": lambda xp, x: xp.tril(x), "triu": lambda xp, x: xp.triu(x, k=1), "tril below": lambda xp, x: xp.tril(x, k=-5), "unstack": lambda xp, x: xp.stack(xp.unstack(x, axis=1), axis=0) if x.shape[1] else x,
    "split": lambda xp, x: xp.concat(xp.split(x, [1], axis=0)[::-1], axis=0), "matmul": lambda xp, x: xp.matmul(x, xp.permute_dims(x, (1, 0))), "tensordot": lambda xp, x: xp.tensordot(x, x, axes=2),
    "tensordot of one": lambda xp, x: xp.tensordot(x, x, axes=((0,), (0,))), "outer by tensordot": lambda xp, x: xp.tensordot(x, x, axes=0), "vecdot": lambda xp, x: xp.vecdot(x, x), "vecdot along": lambda xp, x: xp.vecdot(x, x, axis=-1),
    "where": lambda xp, x: xp.where(x > 1, x, 0), "clip": lambda xp, x: xp.clip(x, 1, 2), "zeros_like": lambda xp, x: xp.zeros_like(x), "full_like": lambda xp, x: xp.full_like(x, 1, dtype=np.int16),
    "astype": lambda xp, x: xp.astype(x, np.int16), "index": lambda xp, x: x[::-1, None, :1], "einsum": lambda xp, x: xp.einsum("ij,kj->ik", x, x), "einsum of sizes 1": lambda xp, x: xp.einsum("ij,ij->ij", x, xp.ones_like(x[:1])) if x.shape[0] else x,
}  # fmt: skip


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, low: int = 0) -> Any:
    """Whole numbers, since all dtypes hold them; negative strides in some axis."""
    array = rng.integers(low, 4, shape).astype(dtype)
    return array[tuple(slice(None, None, int(rng.choice([1, -1]))) for _ in shape)]


def turned(array: Any) -> Any:
    """Every axis backwards."""
    return array[(slice(None, None, -1),) * array.ndim]


def same(call: Call, *arrays: Any, name: str = "", rtol: float = 3e-6) -> None:
    """NumPy's answer and minigrad's are the same array, or both refuse."""
    views = [mg.tensor(turned(a))[(slice(None, None, -1),) * a.ndim] for a in arrays]
    with np.errstate(all="ignore"):
        try:
            want = np.asarray(call(np, *arrays))
        except (TypeError, ValueError, IndexError):
            with pytest.raises(MinigradError):
                call(mg, *views)
            return
    got = call(mg, *views)
    about = f"{name} of {', '.join(f'{a.dtype}{list(a.shape)}' for a in arrays)}"
    assert got.shape == want.shape, about
    dtype = np.dtype(np.float64) if name in TO_FLOAT and all(a.dtype.kind != "f" for a in arrays) else want.dtype
    assert got.dtype == dtype, about
    with np.errstate(all="ignore"):
        want = np.asarray(call(np, *(a.astype(dtype) for a in arrays))) if dtype != want.dtype else want
    np.testing.assert_allclose(got.numpy(), want, rtol=rtol, atol=1e-6 if want.dtype.kind == "f" else 0, err_msg=about)


@pytest.mark.parametrize("name", UNARY)
def test_one_array_as_numpy(name: str) -> None:
    rng = np.random.default_rng(1)
    for dtype, shape in itertools.product(DTYPES, [(), (0,), (1,), (3,), (2, 3)]):
        same(lambda xp, x: getattr(xp, name)(x), drawn(rng, shape, dtype), name=name)


@pytest.mark.parametrize("name", BINARY)
def test_two_arrays_as_numpy_whatever_their_dtypes(name: str) -> None:
    rng = np.random.default_rng(2)
    shapes = [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (2,)), ((0, 1), (3,)), ((1,), (1,)), ((2,), (3,))]
    call = lambda xp, x, y: getattr(xp, name)(x, y)
    for i, (a, b) in enumerate(itertools.product(DTYPES, DTYPES)):
        for shape_a, shape_b in (shapes[i % len(shapes)], shapes[0]):
            same(call, drawn(rng, shape_a, a), drawn(rng, shape_b, b, low=1), name=name)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy: a mean of nothing
@pytest.mark.parametrize("name", CALLS)
def test_functions_of_an_array_as_numpy(name: str) -> None:
    rng = np.random.default_rng(3)
    for dtype, *shape in itertools.product(DTYPES, SIZES, SIZES):
        same(CALLS[name], drawn(rng, tuple(shape), dtype), name=name, rtol=1e-5)


@pytest.mark.parametrize("scalar", [True, 2, 2.5])
def test_scalars_of_python_are_weak_as_in_numpy(scalar: Any) -> None:
    rng = np.random.default_rng(4)
    for name, dtype in itertools.product(BINARY, DTYPES):
        call = lambda xp, x, name=name: getattr(xp, name)(x, scalar)
        turned = lambda xp, x, name=name: getattr(xp, name)(scalar, x)
        for each in (call, turned):
            same(each, drawn(rng, (3,), dtype, low=1), name=name)


def test_what_makes_arrays_as_numpy() -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda xp: xp.arange(3), lambda xp: xp.arange(5, 1, -2), lambda xp: xp.arange(0, 1, 0.25, dtype=np.float64), lambda xp: xp.eye(3, 4, k=-1, dtype=np.int8),
        lambda xp: xp.linspace(0, 1, 5, dtype=np.float64), lambda xp: xp.linspace(0, 1, 5, endpoint=False, dtype=np.float64), lambda xp: xp.linspace(2, 2, 0, dtype=np.float64),
        lambda xp: xp.full((2, 0), 7), lambda xp: xp.full((), True), lambda xp: xp.zeros((2, 1), dtype=bool), lambda xp: xp.ones(3, dtype=np.uint8), lambda xp: xp.arange(0),
    ]  # fmt: skip
    for i, call in enumerate(calls):
        want, got = call(np), call(mg)
        assert got.dtype == want.dtype, i
        np.testing.assert_array_equal(got.numpy(), want, err_msg=str(i))


# --- one rule for dtypes --------------------------------------------------------------------------------------------

ON_FLOATS = {"logsumexp", "softmax", "log_softmax", "standardize", "cross_entropy"}  # their functions cast before


@pytest.mark.parametrize("name", sorted(set(core.OPS) - {"to"}))
def test_the_type_rule_says_what_an_op_gives_for_every_dtype(name: str) -> None:
    op = core.OPS[name]
    inputs, metadata = op.samples(np.random.default_rng(0))[0]
    inputs = [np.abs(np.asarray(i)) for i in inputs]
    choices: list[Any] = [
        [i.dtype] if i.dtype.kind != "f" and not op.arity else FLOATS if name in ON_FLOATS else [*DTYPES, *((True, 2, 2.5) if op.arity else ())]
        for i in inputs
    ]  # fmt: skip
    for chosen in itertools.product(*choices):
        if not any(isinstance(c, np.dtype) for c in chosen):
            continue
        values = [mg.tensor(i.astype(c)) if isinstance(c, np.dtype) else c for i, c in zip(inputs, chosen, strict=True)]
        about = f"{name} of {', '.join(map(str, chosen))}"
        try:
            rule = op.type_rule(*values, **metadata)
        except MinigradError:
            with pytest.raises(MinigradError):
                op(*values, **metadata)
            continue
        made = op(*values, **metadata)
        for type_, out in zip(rule if op.multiple else (rule,), made if op.multiple else (made,), strict=True):
            assert (out.shape, out.dtype) == (type_.shape, type_.dtype), about
            assert out.dtype != np.float16, about


@pytest.mark.parametrize(
    "function",
    [
        mg.softmax,
        mg.log_softmax,
        mg.logsumexp,
        mg.mean,
        mg.var,
        mg.std,
        mg.gelu,
        mg.silu,
        mg.softplus,
        mg.erf,
        mg.sigmoid,
    ],
)
def test_integers_become_float64_where_floats_come_out(function: Any) -> None:
    for dtype in DTYPES:
        out = function(mg.tensor(np.array([[1, 0, 1]], dtype)))
        assert out.dtype == (dtype if dtype.kind == "f" else np.float64), dtype
        np.testing.assert_allclose(
            out.numpy(), function(mg.tensor([[1.0, 0.0, 1.0]], dtype=np.float64)).numpy(), rtol=1e-6
        )


def test_var_and_std_without_freedom_are_nan() -> None:
    for x, correction in (([1.0, 2.0], 3), ([1.0, 2.0], 2), ([1.0], 1), ([], 0), ([3.0, 3.0], 2.5)):
        for function in (mg.var, mg.std):
            assert np.isnan(function(mg.tensor(x), correction=correction).item()), (x, correction)
    assert np.isnan(mg.var(mg.ones((3, 2)), axis=1, correction=2).numpy()).all()
    assert mg.var(mg.tensor([1.0, 2.0]), correction=1).item() == 0.5


def test_clip_lets_nan_through_from_wherever_it_comes() -> None:
    x = np.array([-1.0, 0.5, 2.0, np.nan])
    for low, high in (
        (0.0, 1.0),
        (np.nan, 1.0),
        (0.0, np.nan),
        (2.0, 1.0),
        (None, 1.0),
        (0.0, None),
        (np.array([0.0, np.nan, 0.0, 0.0]), 1.0),
    ):
        np.testing.assert_array_equal(mg.clip(x, low, high).numpy(), np.clip(x, low, high), err_msg=str((low, high)))
    assert mg.grad(lambda t: mg.clip(t, 0.0, 1.0).sum())(mg.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])).numpy().tolist() == [
        0,
        1,
        1,
        1,
        0,
    ]


# --- names ----------------------------------------------------------------------------------------------------------

STANDARD = """abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh bitwise_and
bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor broadcast_arrays broadcast_shapes broadcast_to can_cast
ceil clip concat conj copysign cos cosh count_nonzero cumulative_prod cumulative_sum diff divide empty empty_like equal exp expand_dims
expm1 eye finfo flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag isdtype isfinite isin isinf
isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul matrix_transpose max
maximum mean meshgrid min minimum moveaxis multiply negative nextafter nonzero not_equal ones ones_like permute_dims positive pow prod
real reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh sort sqrt square squeeze stack std
subtract sum take take_along_axis tan tanh tensordot tile tril triu trunc unique_all unique_counts unique_inverse unique_values unstack
var vecdot where zeros zeros_like""".split()


def test_the_page_lists_each_name_of_the_standard_that_is_not_there() -> None:
    page = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
    listed = page.split("Names of the standard that are not there:\n\n")[1].split("\n\n")[0]
    names = [name for words in re.findall(r"`([^`]+)`", listed) for name in words.split() if "." not in words]
    assert sorted(names) == sorted(set(STANDARD) - set(api.__all__))


@pytest.mark.parametrize("x", [[2**62, 2**62], [-(2**62)] * 3, [2**53 + 1]])
def test_the_mean_of_large_integers_is_numpys(x) -> None:
    assert mg.mean(mg.tensor(x)).item() == np.mean(x)
    assert mg.var(mg.tensor(x)).item() == np.var(x)
