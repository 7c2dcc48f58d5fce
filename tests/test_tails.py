"""Functions over their whole range against float64 and mpmath: values to four units in the last place, slopes in the tails.

Both roads: NumPy and kernels, and the expressions in generated loops, which count denormal numbers as zero. An error is
counted in units of the last place of the right value; of logaddexp and logsumexp, which cancel where e^x + e^y is near
1, in those of the larger of it and the maximum.
"""

import math
from functools import cache

import mpmath
import numpy as np
import pytest

import minigrad as mg

ROOT = math.sqrt(0.5)
erf, erfc = np.vectorize(math.erf, otypes=[float]), np.vectorize(math.erfc, otypes=[float])


def decay(x):
    return np.exp(-np.abs(x))


def sigmoid(x):
    return np.where(x < 0, decay(x), 1) / (1 + decay(x))


def normal(x):
    return erfc(-x * ROOT) / 2


def density(x):
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def times(x, weight):
    """x weight, at infinity the limit."""
    return np.where(weight == 0, 0, x) * weight


# name: the function, its value, its slope by float64, its value by mpmath
FUNCTIONS = {
    "exp": (mg.exp, np.exp, np.exp, mpmath.exp),
    "expm1": (mg.expm1, np.expm1, np.exp, mpmath.expm1),
    "log": (mg.log, np.log, lambda x: 1 / x, mpmath.log),
    "log1p": (mg.log1p, np.log1p, lambda x: 1 / (1 + x), mpmath.log1p),
    "sqrt": (mg.sqrt, np.sqrt, lambda x: 0.5 / np.sqrt(x), mpmath.sqrt),
    "sin": (mg.sin, np.sin, np.cos, mpmath.sin),
    "cos": (mg.cos, np.cos, lambda x: -np.sin(x), mpmath.cos),
    "tan": (mg.tan, np.tan, lambda x: 1 + np.tan(x) ** 2, mpmath.tan),
    "tanh": (mg.tanh, np.tanh, lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x), mpmath.tanh),
    "sigmoid": (mg.sigmoid, sigmoid, lambda x: sigmoid(x) * sigmoid(-x), lambda x: 1 / (1 + mpmath.exp(-x))),
    "silu": (mg.silu, lambda x: times(x, sigmoid(x)),
             lambda x: sigmoid(x) + times(x, sigmoid(x) * sigmoid(-x)), lambda x: x / (1 + mpmath.exp(-x))),
    "softplus": (mg.softplus, lambda x: np.maximum(x, 0) + np.log1p(decay(x)), sigmoid,
                 lambda x: mpmath.log1p(mpmath.exp(x))),
    "log_sigmoid": (mg.nn.log_sigmoid, lambda x: np.minimum(x, 0) - np.log1p(decay(x)), lambda x: sigmoid(-x),
                    lambda x: -mpmath.log1p(mpmath.exp(-x))),
    "elu": (mg.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), lambda x: np.exp(np.minimum(x, 0)),
            lambda x: x if x > 0 else mpmath.expm1(x)),
    "leaky_relu": (mg.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01),
                   lambda x: x if x > 0 else mpmath.mpf(0.01) * x),
    "erf": (mg.erf, erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x), mpmath.erf),
    "gelu": (mg.gelu, lambda x: times(x, normal(x)), lambda x: normal(x) + times(x, density(x)),
             lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
}  # fmt: skip
PAIRS = {
    "logaddexp": (mg.logaddexp, lambda x, y: np.logaddexp(x, y),
                  lambda x, y: max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y)))),
}  # fmt: skip
ROADS, DTYPES = ("eager", "compiled"), ("float32", "float64")
SHAPE = {"float32": (100, 1000), "float64": (10, 100)}


@cache
def points(dtype: str, seed: int = 0) -> np.ndarray:
    """Any number at all, numbers up to where exp ends, numbers near 1, and the special ones."""
    rng, size, kind = np.random.default_rng(seed), math.prod(SHAPE[dtype]), np.dtype(dtype)
    bits = rng.integers(0, 256, size * kind.itemsize, dtype=np.uint8).view(kind)
    bits[np.isnan(bits)] = np.nan  # one that signals nothing
    end = 110 if dtype == "float32" else 750
    found = np.concatenate([bits[: size // 4], rng.uniform(-end, end, size // 4), rng.normal(size=size) * 4])[:size]
    about = np.finfo(kind)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, about.max, about.min, about.tiny, -about.tiny,
               about.smallest_subnormal, 88.7, -87.5, -95, -17, -37, -20, 15, -12, -14]  # fmt: skip
    found[: len(special)] = special
    found[:2] = found[:2] if seed == 0 else found[1::-1]
    return found.astype(kind).reshape(SHAPE[dtype])


@cache
def results(road: str, dtype: str) -> dict[str, tuple[np.ndarray, ...]]:
    """Values and slopes of all functions."""
    xs = {name: (points(dtype),) for name in FUNCTIONS} | {name: (points(dtype), points(dtype, 1)) for name in PAIRS}
    functions = {name: known[0] for name, known in (FUNCTIONS | PAIRS).items()}
    leaves = {name: [mg.tensor(x[None], requires_grad=True) for x in given] for name, given in xs.items()}

    def cell(carry, x):
        return carry, {name: f(*x[name]) for name, f in functions.items()}

    _, ys = mg.scan(cell, mg.zeros((SHAPE[dtype][0], 1)), leaves, compiled=road == "compiled")
    with np.errstate(all="ignore"):
        mg.stack([y.astype(np.float64).sum() for y in ys.values()]).sum().backward()
    return {name: (ys[name].numpy()[0], *(leaf.grad.numpy()[0] for leaf in leaves[name])) for name in functions}


def flushed(x: np.ndarray) -> np.ndarray:
    """In float64, denormal numbers as zero."""
    return np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.copysign(0, x), x).astype(np.float64)


def exactly(function, about: np.ndarray, *xs: np.ndarray) -> np.ndarray:
    """A function by mpmath, as the nearest long double, where its value is about a number and not 0 far from all."""
    found = about.astype(np.longdouble)
    with mpmath.workprec(200):
        for at in np.argwhere(np.isfinite(about) & ((about != 0) | (np.abs(xs[0]) < 1e4))):
            y = function(*(mpmath.mpf(float(x[*at])) for x in xs))
            high = float(y)
            found[*at] = np.longdouble(high) + (np.longdouble(float(y - high)) if math.isfinite(high) else 0)
    return found


def units(got: np.ndarray, want: np.ndarray, road: str, scale: np.ndarray | float = 0.0) -> np.ndarray:
    """How far, in units of the last place of what is wanted, or of `scale` where that is larger."""
    about = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(want), scale)
        unit = np.spacing(np.minimum(size, float(about.max)).astype(got.dtype)).astype(np.longdouble)
        far = np.abs(got.astype(np.longdouble) - want) / unit
        same = (got == want.astype(got.dtype)) | (np.isnan(got) & np.isnan(want))
        lost = (road == "compiled") & (got == 0) & (np.abs(want) < about.tiny)
        return np.where(same & ~np.isfinite(far) | lost, 0, np.where(np.isnan(far), np.inf, far))


def check(far: np.ndarray, most: float, got: np.ndarray, want: np.ndarray, *xs: np.ndarray) -> None:
    at = np.unravel_index(np.argmax(far), far.shape)
    where = ", ".join(repr(x[at]) for x in xs)
    assert far[at] <= most, f"{far[at]} from the right value at {where}: {got[at]!r}, right is {want[at]!r}"


@cache
def wanted(name: str, dtype: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """The right values, those for denormal numbers taken for zero, and the points."""
    xs = [points(dtype, seed) for seed in range(1 + (name in PAIRS))]
    by_float64, by_mpmath = (PAIRS[name][1], PAIRS[name][2]) if name in PAIRS else FUNCTIONS[name][1::2]
    with np.errstate(all="ignore"):
        want, flat = by_float64(*(x.astype(np.float64) for x in xs)), by_float64(*(flushed(x) for x in xs))
    want = want if dtype == "float32" else exactly(by_mpmath, want, *xs)
    denormal = np.logical_or.reduce([flushed(x) != x for x in xs])
    return want, np.where(denormal, flat, want), xs


@pytest.mark.parametrize("name", [*FUNCTIONS, *PAIRS])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("road", ROADS)
def test_a_value_is_right_to_four_units_in_the_last_place(road: str, dtype: str, name: str) -> None:
    got = results(road, dtype)[name][0]
    want, flat, xs = wanted(name, dtype)
    scale = np.abs(np.maximum(*xs)) if name in PAIRS else 0.0
    far = units(got, want, road, scale)
    far = np.minimum(far, units(got, flat, road, scale)) if road == "compiled" else far
    check(far, 4, got, want, *xs)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("road", ROADS)
def test_a_slope_is_right_to_a_millionth_in_the_tails(road: str, name: str) -> None:
    x, got = points("float32"), results(road, "float32")[name][1]
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name][2](x.astype(np.float64))
        known = np.isfinite(x) & (np.abs(want) >= 2 * np.finfo("f4").tiny) & (np.abs(want) < 3e38)
        known &= (road == "eager") | (flushed(x) == x)
        known &= ~((np.abs(want) < 0.05) & (np.abs(x) < 2))  # where gelu and silu turn, a slope is a difference
        far = np.where(known, np.abs(got - want) / np.abs(want), 0)
    check(np.where(np.isnan(far), np.inf, far), 1e-6, got, want, x)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300, 8), (20, 700)])
def test_log_softmax_and_logsumexp_are_right_where_one_element_has_all(shape, dtype: str, road: str) -> None:
    """Of numbers whose differences are exact: the rounding of 80 - x alone is eighty roundings of its exponential."""
    rng = np.random.default_rng(2)
    x = np.round(rng.normal(size=shape) * 10.0 ** rng.uniform(0, 3.5, (shape[0], 1))).astype(dtype) / 64
    x[::2] -= x[::2].max(1, keepdims=True)  # the maximum is 0, and logsumexp what the others add
    x[0, :3] = 0

    def cell(carry, x):
        return carry, (mg.log_softmax(x), mg.logsumexp(x, axis=-1, keepdims=True))

    _, (log_p, total) = mg.scan(cell, mg.zeros((shape[0], 1)), mg.tensor(x[None]), compiled=road == "compiled")
    wide = x.astype(np.longdouble)
    less = wide - wide.max(1, keepdims=True)
    e = np.exp(less)
    e[np.arange(len(x)), x.argmax(1)] = 0
    rest = np.log1p(e.sum(1, keepdims=True))
    want = less - rest
    check(units(log_p.numpy()[0], want, road), 4, log_p.numpy()[0], want, x)
    top = wide.max(1, keepdims=True)
    want = top + rest
    check(units(total.numpy()[0], want, road, np.abs(top)), 4, total.numpy()[0], want, x[:, :1])


@pytest.mark.parametrize("road", ROADS)
def test_the_logarithm_of_a_sigmoid_keeps_its_value_and_its_slope(road: str) -> None:
    x = mg.tensor([[[-20.0, -60.0, -80.0, 0.0]]], requires_grad=True)
    _, y = mg.scan(lambda h, x: (h, mg.log(mg.sigmoid(x))), mg.zeros((1, 1)), x, compiled=road == "compiled")
    y.sum().backward()
    np.testing.assert_allclose(y.numpy()[0, 0], [-20, -60, -80, -math.log(2)], rtol=1e-6)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy()[0, 0], [1, 1, 1, 0.5], rtol=1e-6)


def test_the_slopes_of_losses_are_right_where_the_answer_is_nearly_certain() -> None:
    x = mg.tensor([[20.0, 0.0], [-30.0, 5.0]], requires_grad=True)
    loss = mg.nn.cross_entropy(x, np.array([0, 1]))
    loss.backward()
    assert x.grad is not None
    small = np.exp([-20.0, -35.0]) / 2
    assert loss.item() == pytest.approx(small.sum(), rel=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [[-small[0], small[0]], [small[1], -small[1]]], rtol=1e-6)
    picked = mg.grad(lambda x: mg.log_softmax(x)[0, 0])(mg.tensor([[20.0, 0.0]])).numpy()
    np.testing.assert_allclose(picked, [[np.exp(-20.0), -np.exp(-20.0)]], rtol=1e-6)
    value, slope = mg.value_and_grad(mg.nn.binary_cross_entropy_with_logits)(mg.tensor([20.0]), mg.tensor([1.0]))
    assert (value.item(), slope.item()) == pytest.approx((np.exp(-20.0), -np.exp(-20.0)), rel=1e-6)


def test_the_weights_of_logaddexp_are_right_in_the_tails() -> None:
    x, y = points("float32")[-20:], points("float32", 1)[-20:]
    got = mg.grad(lambda x, y: mg.logaddexp(x, y).sum(), (0, 1))(mg.tensor(x), mg.tensor(y * 4))
    d = x.astype(np.float64) - y * 4.0
    np.testing.assert_allclose(got[0].numpy(), sigmoid(d), rtol=1e-6)
    np.testing.assert_allclose(got[1].numpy(), sigmoid(-d), rtol=1e-6)


def test_elu_has_one_slope_at_zero() -> None:
    assert mg.grad(mg.elu)(mg.tensor(0.0)).item() == 1
    assert mg.grad(lambda x: mg.elu(x, 0.5))(mg.tensor(0.0)).item() == 0.5
