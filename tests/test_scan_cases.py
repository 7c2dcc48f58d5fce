"""Scans as outsiders used them. The right values are from mathematics, or a loop over NumPy arrays."""

import subprocess
import sys

import numpy as np
import pytest
from random_run import plain

import minigrad as mg
from minigrad import fused
from minigrad.codegen.plan import LETTERS
from minigrad.errors import ScanError, ShapeError

JITTED = ("integers", "power", "padding_is", "booleans", "two_dtypes")  # where Numba has a word of its own


@pytest.fixture(autouse=True)
def _as_plain_python(request, monkeypatch) -> None:
    """Generated text as Python runs it: machine code says the same (`test_compiled.py`), and takes its time to make."""
    if not any(word in request.node.name for word in JITTED):
        monkeypatch.setattr(fused, "functions", plain)


ROADS = pytest.mark.parametrize("compiled", [True, False])


def leaf(array):
    return mg.tensor(np.asarray(array), requires_grad=True)


# --- what stands behind a row's length ----------------------------------------------------------------------------


@ROADS
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, 1e38, 0.0])
@pytest.mark.parametrize("cell", ["tanh", "log", "relu"])
def test_padding_is_left_out_whatever_it_is(cell, padding, reverse, compiled) -> None:
    rng = np.random.default_rng(0)
    lengths, w0 = [4, 2, 0], rng.normal(size=(2, 3)).astype("f4")
    xs = rng.uniform(0.5, 2, size=(4, 3, 2)).astype("f4")

    def step(w):
        f = {"tanh": mg.tanh, "log": mg.log, "relu": mg.relu}[cell]
        return lambda h, x: (h * 0.5 + mg.tanh(f(x) @ w), h)

    def run(xs, lengths):
        w, h, x = leaf(w0), leaf(np.full((xs.shape[1], 3), 0.3, "f4")), leaf(xs)
        last, ys = mg.scan(step(w), h, x, lengths=lengths, reverse=reverse, compiled=compiled)
        ((last * last).sum() + ys.sum()).backward()
        return last.detach().numpy(), ys.detach().numpy(), w.grad.numpy(), h.grad.numpy(), x.grad.numpy()

    padded = xs.copy()
    for row, n in enumerate(lengths):
        padded[n:, row] = padding
    last, ys, w_grad, h_grad, x_grad = run(padded, lengths)
    alone = [run(xs[:n, row : row + 1], None) for row, n in enumerate(lengths) if n]
    for row, n in enumerate(lengths[:2]):
        np.testing.assert_allclose(last[row], alone[row][0][0], rtol=1e-5)
        np.testing.assert_allclose(ys[:n, row], alone[row][1][:, 0], rtol=1e-5)
        np.testing.assert_allclose(h_grad[row], alone[row][3][0], rtol=1e-5)
        np.testing.assert_allclose(x_grad[:n, row], alone[row][4][:, 0], rtol=1e-5, atol=1e-7)
        assert not ys[n:, row].any()
        assert not x_grad[n:, row].any()
    np.testing.assert_allclose(w_grad, alone[0][2] + alone[1][2], rtol=1e-5, atol=1e-6)
    assert last[2].tolist() == [np.float32(0.3)] * 3
    np.testing.assert_allclose(h_grad[2], 2 * last[2])


@ROADS
def test_indices_behind_a_rows_length_are_not_looked_up(compiled) -> None:
    table, index = leaf(np.arange(6.0).reshape(3, 2)), np.array([[0, 1], [2, -99], [1, 7]])
    last, _ = mg.scan(lambda h, i: (h + table[i], None), np.zeros((2, 2)), index, lengths=[3, 1], compiled=compiled)
    last.sum().backward()
    assert last.detach().numpy().tolist() == [[6.0, 9.0], [2.0, 3.0]]
    assert table.grad.numpy().tolist() == [[1, 1], [2, 2], [1, 1]]


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "jordan"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}, {"reverse": True}])
def test_layers_leave_padding_out(name, options) -> None:
    layer = mg.nn.Recurrent(name, 3, 4, **options)
    xs = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("f4")
    found = []
    for padding in (0, np.nan):
        xs[2:, 1] = padding
        for p in layer.parameters():
            p.grad = None
        ys, _ = layer(xs, lengths=[5, 2])
        (ys * ys).sum().backward()
        found.append([p.grad.numpy().copy() for p in layer.parameters()])
    for with_zeros, with_nan in zip(*found, strict=True):
        assert np.isfinite(with_nan).all()
        np.testing.assert_array_equal(with_nan, with_zeros)


# --- how many steps -----------------------------------------------------------------------------------------------


@ROADS
@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"checkpoint": 2}, {"lengths": [5, 3]}])
def test_a_scan_needs_no_xs(options, compiled) -> None:
    w = leaf(np.array(0.9))
    last, ys = mg.scan(lambda h, x: (h * w, h), np.ones((2, 1)), None, length=5, compiled=compiled, **options)
    ys.sum().backward()
    ran = np.array(options.get("lengths", [5, 5]))
    np.testing.assert_allclose(last.detach().numpy()[:, 0], 0.9**ran)
    np.testing.assert_allclose(w.grad.numpy(), sum(k * 0.9 ** (k - 1) for n in ran for k in range(n)))
    with pytest.raises(ScanError, match="length"):
        mg.scan(lambda h, x: (h, h), np.ones((2, 1)), None, compiled=compiled)


@ROADS
def test_of_no_steps_every_gradient_is_zero(compiled) -> None:
    w, h, xs = leaf(np.eye(2)), leaf(np.ones((3, 2))), leaf(np.ones((0, 3, 2)))
    last, ys = mg.scan(lambda h, x: (mg.tanh(h @ w / x), h), h, xs, compiled=compiled)
    assert ys.shape == (0, 3, 2)
    (ys.sum() + last.sum()).backward()
    assert w.grad.numpy().tolist() == [[0, 0], [0, 0]]
    assert xs.grad.shape == (0, 3, 2)
    assert (h.grad.numpy() == 1).all()


# --- derivatives of derivatives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [None, 1, 2])
@pytest.mark.parametrize("compiled", [None, True, False])
@pytest.mark.parametrize("twice", ["xs", "carry", "weight and carry", "weight and xs"])
def test_a_tensor_that_comes_in_twice_counts_twice_and_no_more(twice, compiled, checkpoint) -> None:
    def f(v):
        x, h = mg.reshape(v, (2, 1, 1)), mg.reshape(v, (1, 2))
        options = {"compiled": compiled, "checkpoint": checkpoint}
        if twice == "xs":
            _, ys = mg.scan(lambda h, x: (mg.tanh(h * x[0] + x[1]),) * 2, np.ones((1, 1)), (x, x), **options)
        elif twice == "carry":
            cell = lambda c, x: ((mg.tanh(c[0] * c[1] + x), mg.sin(c[1])), c[0])
            _, ys = mg.scan(cell, (h, h), np.ones((3, 1, 2)), **options)
        elif twice == "weight and carry":
            _, ys = mg.scan(lambda c, x: (mg.tanh(c * h + x), c), h, np.ones((3, 1, 2)), **options)
        else:
            _, ys = mg.scan(lambda c, x: (mg.tanh(c * h + x), c), np.ones((1, 2)), mg.stack([h, h]), **options)
        return (ys * ys).sum()

    v, e = np.array([0.3, 0.7]), 1e-5
    second = mg.grad(lambda v: (mg.grad(f)(v) * np.array([1.0, -0.5])).sum())(mg.tensor(v)).numpy()
    first = lambda at: mg.grad(f)(mg.tensor(at)).numpy() @ [1.0, -0.5]
    by_differences = [(first(v + e * d) - first(v - e * d)) / (2 * e) for d in np.eye(2)]
    np.testing.assert_allclose(second, by_differences, rtol=1e-6)


def test_the_second_derivative_that_was_doubled() -> None:
    """f(v) = Σ ys² of tanh(h x₀ + x₁) over xs = (v, v) from h = 0, by hand: ys are h₁ = tanh(v₁), h₂ = tanh(h₁ v₂ + v₂)."""
    v = np.array([0.3, 0.7])

    def first(v):
        h1 = np.tanh(v[0])
        h2 = np.tanh(h1 * v[1] + v[1])
        of_z = 2 * h2 * (1 - h2**2)
        return np.array([(2 * h1 + of_z * v[1]) * (1 - h1**2), of_z * (h1 + 1)])

    def f(v):
        x = mg.reshape(v, (2, 1, 1))
        _, ys = mg.scan(lambda h, x: (mg.tanh(h * x[0] + x[1]),) * 2, np.zeros((1, 1)), (x, x), compiled=True)
        return (ys * ys).sum()

    np.testing.assert_allclose(mg.grad(f)(mg.tensor(v)).numpy(), first(v), rtol=1e-12)
    e = 1e-6
    wanted = [(first(v + e * d).sum() - first(v - e * d).sum()) / (2 * e) for d in np.eye(2)]
    np.testing.assert_allclose(mg.grad(lambda v: mg.grad(f)(v).sum())(mg.tensor(v)).numpy(), wanted, rtol=1e-7)


# --- looking up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
@ROADS
def test_an_index_that_the_cell_computes_is_looked_up(dtype, compiled) -> None:
    table, xs = np.random.default_rng(0).normal(size=(5, 2, 3)), np.random.default_rng(1).normal(size=(4, 2)) ** 2
    w = leaf(table)

    def cell(carry, x):
        h, n = carry
        n = (n + mg.astype(x * 3, dtype)) % 5
        found = w[n]
        return (h * 0.5 + found.sum(axis=1), n), (found[:, 0], n)

    (last, _), (ys, numbers) = mg.scan(cell, (np.zeros((2, 3)), np.zeros(2, dtype)), xs, compiled=compiled)
    (last.sum() + 2 * ys.sum()).backward()
    n, h, grad = np.zeros(2, dtype), np.zeros((2, 3)), np.zeros_like(table)
    for t in range(4):
        n = (n + (xs[t] * 3).astype(dtype)) % 5
        assert numbers.numpy()[t].tolist() == n.tolist()
        h = h * 0.5 + table[n].sum(axis=1)
        np.testing.assert_allclose(ys.detach().numpy()[t], table[n][:, 0])
        for row in n:
            grad[row] += 0.5 ** (3 - t)
            grad[row, 0] += 2
    np.testing.assert_allclose(last.detach().numpy(), h)
    np.testing.assert_allclose(w.grad.numpy(), grad)


@ROADS
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("kind", ["embedding", "one_hot", "weight"])
@pytest.mark.parametrize("index", [-1, 5, 99, -6])
def test_what_is_out_of_range_is_refused_on_either_road(kind, index, computed, compiled) -> None:
    embedding, w = mg.nn.Embedding(5, 2), leaf(np.ones((5, 2)))

    def cell(h, i):
        i = i * 1 if computed else i
        look = {"embedding": embedding, "one_hot": lambda i: mg.one_hot(i, 5)[:, :2], "weight": lambda i: w[i]}[kind]
        return h + look(i).astype(h.dtype), None

    def run(i):
        return mg.scan(cell, np.zeros((1, 2)), np.array([[0], [i], [1]]), compiled=compiled)

    run(4)
    if kind == "weight" and index == -1:
        run(index)  # as NumPy has it
        return
    with pytest.raises(ShapeError, match=rf"from {index}|to {index}|index {index} is out of bounds"):
        run(index)


# --- what drawn cells went wrong in -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint8", "bool"])
def test_a_power_of_what_was_an_integer_does_not_end_the_process(dtype) -> None:
    code = f"""
import numpy as np, minigrad as mg
cell = lambda h, x: (h * 0 + (mg.abs(x) + .5) ** mg.astype(x * 2, {dtype!r}), None)
x = np.array([[[.4, 1.2]]])
last, _ = mg.scan(cell, np.ones((1, 2)), x, compiled=True)
np.testing.assert_allclose(last.numpy(), (abs(x[0]) + .5) ** (x[0] * 2).astype({dtype!r}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-500:]


@ROADS
def test_powers_and_their_gradients(compiled) -> None:
    x = np.linspace(0.5, 2, 6).reshape(1, 1, 6)
    for power in (2, 3, -1, 2.0, 0.5, 1.7, 0, -2):
        xs = leaf(x)
        _, ys = mg.scan(lambda h, x, p=power: (h, x**p), np.ones((1, 6)), xs, compiled=compiled)
        ys.sum().backward()
        np.testing.assert_allclose(ys.detach().numpy(), x**power, rtol=1e-14)
        np.testing.assert_allclose(xs.grad.numpy(), power * x ** (power - 1.0), rtol=1e-13, atol=1e-13)


@ROADS
@pytest.mark.parametrize("shape", [(4, 1), (1, 4, 1), (3, 1, 1), (2,), (1, 1, 2), (3, 4, 1)])
def test_a_choice_that_is_broadcast_has_the_sum_of_its_gradients(shape, compiled) -> None:
    """L = Σ max(x, w): dL/dw counts where w is the larger one."""
    rng = np.random.default_rng(0)
    x, w0 = rng.normal(size=(2, 5, 3, 4, 2)), rng.normal(size=shape)
    w = leaf(w0)
    _, ys = mg.scan(lambda h, x: (h, mg.maximum(x, w)), np.ones((5, 1)), x, compiled=compiled)
    ys.sum().backward()
    larger = (w0 > x).astype(float)
    extra = tuple(range(x.ndim - w0.ndim))
    kept = tuple(i + len(extra) for i, n in enumerate(w0.shape) if n == 1)
    np.testing.assert_allclose(w.grad.numpy(), larger.sum(axis=(*extra, *kept), keepdims=False).reshape(w0.shape))


@ROADS
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint16", "uint64"])
def test_integers_of_every_width_go_through_a_scan(dtype, compiled) -> None:
    xs = np.array([[[7], [2]], [[5], [3]]], dtype)
    last, ys = mg.scan(lambda n, x: ((n + x) % 11, (n // 2, x % 3)), np.ones((2, 1), dtype), xs, compiled=compiled)
    assert last.dtype == ys[0].dtype == dtype
    assert last.numpy().tolist() == [[2], [6]]
    assert ys[0].numpy().reshape(-1).tolist() == [0, 0, 4, 1]


@ROADS
def test_a_split_of_one_column_and_none(compiled) -> None:
    x = leaf(np.array([[[1.0], [2.0]]]))
    _, ys = mg.scan(lambda h, x: (h, (mg.roll(mg.tanh(x), 1, axis=1), mg.split(x * 2, [0], axis=1)[1])), np.ones((2, 1)), x,
                    compiled=compiled)  # fmt: skip
    (ys[0].sum() + ys[1].sum()).backward()
    np.testing.assert_allclose(ys[0].detach().numpy(), np.tanh(x.detach().numpy()))
    np.testing.assert_allclose(x.grad.numpy(), 3 - np.tanh(x.detach().numpy()) ** 2)


INTEGERS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_in_a_compiled_cell_are_numpys(dtype) -> None:
    """They wrap where they are full, and reductions begin with the least and the most that they hold."""
    ends, rng = np.iinfo(dtype), np.random.default_rng(0)
    x = rng.integers(ends.min // 2, ends.max, (3, 2, 4), dtype=dtype)
    x[0, 0, :2] = ends.max, ends.min
    h = rng.integers(1, 100, (2, 4)).astype(dtype)

    def cell(h, x):
        results = (x + x, x * h, x - h, x // h, x % h, mg.max(x, axis=1), mg.min(x, axis=1), mg.sum(x, axis=1), -x, abs(x),
                   mg.where(x > h, x, h), mg.square(x), x & h, x ^ h, ~x, x | 3, x >> 1, x << 1, x / h, x * 2 + 1)  # fmt: skip
        return h, results

    _, ys = mg.scan(cell, h, x, compiled=True)
    with np.errstate(all="ignore"):
        wanted = (x + x, x * h, x - h, x // h, x % h, x.max(2), x.min(2), x.sum(2), -x, abs(x), np.where(x > h, x, h),
                  np.square(x), x & h, x ^ h, ~x, x | 3, x >> 1, x << 1, x / h, x * 2 + 1)  # fmt: skip
    for i, (ours, theirs) in enumerate(zip(ys, wanted, strict=True)):
        assert ours.dtype == theirs.dtype, i
        np.testing.assert_array_equal(ours.numpy(), theirs, err_msg=str(i))


@ROADS
def test_booleans_have_a_largest_and_a_smallest(compiled) -> None:
    x = np.random.default_rng(0).random((3, 2, 2)) > 0.5
    _, (most, least) = mg.scan(
        lambda h, x: (h, (mg.max(x, axis=1), mg.min(x, axis=1))), np.ones((2, 1)), x, compiled=compiled
    )
    np.testing.assert_array_equal(most.numpy(), x.max(2))
    np.testing.assert_array_equal(least.numpy(), x.min(2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lengths": [[1], [1, 2]]}, "lengths must be integers"),
        ({"checkpoint": np.ones(2)}, "checkpoint is"),
        ({"compiled": np.ones(2)}, "compiled is"),
        ({"compiled": "yes"}, "compiled is"),
        ({"reverse": "no"}, "reverse must be"),
        ({"length": 2.0}, "length is"),
        ({"cell": None}, "the cell must be a function"),
    ],
)
def test_what_a_scan_cannot_take_is_told_in_a_sentence(options, said) -> None:
    cell = options.pop("cell", lambda h, x: (h, h)) if "cell" in options else (lambda h, x: (h, h))
    with pytest.raises(mg.MinigradError, match=said):
        mg.scan(cell, np.ones((2, 1)), np.ones((3, 2, 1)), **options)


@ROADS
def test_a_batch_that_is_moved_away_and_back_stays(compiled) -> None:
    w, x = leaf(np.array([0.5, -0.3, 0.2])), leaf(np.random.default_rng(0).normal(size=(4, 2, 3)))
    cell = lambda h, x: (mg.tanh((h.T * 0.5 + x.T).T * w), mg.moveaxis(mg.exp(mg.moveaxis(x, 0, 1)), 1, 0))
    last, ys = mg.scan(cell, np.zeros((2, 3)), x, compiled=compiled)
    (last.sum() + ys.sum()).backward()
    h, wn, xn = np.zeros((2, 3)), w.detach().numpy(), x.detach().numpy()
    for t in range(4):
        h = np.tanh((h * 0.5 + xn[t]) * wn)
    np.testing.assert_allclose(last.detach().numpy(), h)
    np.testing.assert_allclose(ys.detach().numpy(), np.exp(xn))
    slope = (1 - h**2) * wn + np.exp(xn[3])
    np.testing.assert_allclose(x.grad.numpy()[3], slope)


# --- a value whose maker and whose place are two statements -------------------------------------------------------


def sliced(h, x, w):
    v = mg.tanh(h @ w)
    s = mg.tanh(mg.einsum("bstk,bstk->bst", h[..., 1:], v))  # the slice's gradient is a sum, copied to its place
    return mg.tanh(h * 0.7 + x), s


def test_a_reader_comes_after_the_copy_that_it_reads() -> None:
    found = []
    for compiled in (True, False):
        rng = np.random.default_rng(0)
        shapes = (5, 3, 4, 2), (2, 5, 3, 4, 2), (2, 1)
        h, x, w = leaves = [leaf(rng.normal(size=shape)) for shape in shapes]
        last, ys = mg.scan(lambda h, x, w=w: sliced(h, x, w), h, x, compiled=compiled)
        ((last * rng.normal(size=last.shape)).sum() + (ys * rng.normal(size=ys.shape)).sum()).backward()
        found.append([ys.detach().numpy(), *(a.grad.numpy() for a in leaves if a.grad is not None)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@ROADS
def test_one_weight_as_it_is_and_turned(compiled) -> None:
    rng = np.random.default_rng(0)
    wn, xn = rng.normal(size=(3, 3)), rng.normal(size=(4, 2, 3))
    w, x = leaf(wn), leaf(xn)
    cell = lambda h, x: (h * 0.5 + x @ w, mg.tanh(mg.linear(x, w)))
    last, ys = mg.scan(cell, leaf(np.zeros((2, 3))), x, compiled=compiled)
    (last.sum() + ys.sum()).backward()
    power = 0.5 ** np.arange(4)[::-1, None, None]
    np.testing.assert_allclose(last.detach().numpy(), (power * (xn @ wn)).sum(0))
    np.testing.assert_allclose(ys.detach().numpy(), np.tanh(xn @ wn.T))
    slope = 1 - np.tanh(xn @ wn.T) ** 2
    np.testing.assert_allclose(x.grad.numpy(), power * wn.sum(1) + slope @ wn)
    total = (power * xn).sum((0, 1))[:, None] + np.einsum("tbi,tbj->ij", slope, xn)
    np.testing.assert_allclose(w.grad.numpy(), total)


@ROADS
@pytest.mark.parametrize("narrow_first", [True, False])
def test_one_weight_in_products_of_two_dtypes(narrow_first, compiled) -> None:
    rng = np.random.default_rng(0)
    wn, hn = rng.normal(size=(3, 3)).astype("f4"), rng.normal(size=(2, 3))

    def cell(h, _):
        makers = [lambda: mg.astype(h, "float32") @ w, lambda: h @ w]
        one, other = (make() for make in (makers if narrow_first else makers[::-1]))
        return mg.tanh(mg.astype(one, "float64") + other), (one if narrow_first else other)

    w, h = leaf(wn), leaf(hn)
    last, ys = mg.scan(cell, h, None, length=2, compiled=compiled)
    last.sum().backward()
    first = np.tanh(2 * hn @ wn)
    np.testing.assert_allclose(ys.detach().numpy(), [hn @ wn, first @ wn], rtol=1e-5)
    assert ys.dtype == np.float32
    second = np.tanh(2 * first @ wn)
    np.testing.assert_allclose(last.detach().numpy(), second, rtol=1e-5)
    g2 = 1 - second**2
    g1 = (1 - first**2) * (2 * g2 @ wn.T)
    np.testing.assert_allclose(h.grad.numpy(), 2 * g1 @ wn.T, rtol=1e-4)
    np.testing.assert_allclose(w.grad.numpy(), 2 * (first.T @ g2 + hn.T @ g1), rtol=1e-4)


@ROADS
@pytest.mark.parametrize("word", LETTERS)
def test_a_value_may_be_called_as_an_index_is(word, compiled) -> None:
    rng = np.random.default_rng(0)
    hn, wn = rng.normal(size=(2, 3, 3, 2)), rng.normal(size=(2, 2))
    space = {"mg": mg, "w": mg.tensor(wn)}
    lines = f"{word} = h * 1.5", f"return mg.tanh(mg.einsum('bstk,kz->bstz', {word}, w)), None"
    exec("def cell(h, x):\n    " + "\n    ".join(lines), space)
    last, _ = mg.scan(space["cell"], hn, None, length=2, compiled=compiled)
    np.testing.assert_allclose(last.detach().numpy(), np.tanh(1.5 * np.tanh(1.5 * hn @ wn) @ wn))
