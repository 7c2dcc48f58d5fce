"""`scan` against a loop written out, and the trace against gradients kept by hand."""

import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.errors import GradientError, ScanError, ShapeError

D, H = 2, 3
RNG = np.random.default_rng(11)
WEIGHTS = RNG.normal(size=(D, H)), RNG.normal(size=(H, H)) * 0.5


# A cell is made from its weights, so that the tests can differentiate for them.
def elman(w, u):
    def cell(h, x):
        h = mg.tanh(x @ w + h @ u)
        return h, h

    return cell


def ignores_x(w, u):
    return lambda h, x: (mg.tanh(h @ u), h * 2.0)


def weight_twice(w, u):
    def cell(h, x):
        h = mg.tanh((h @ u) @ u + x @ w)
        return h, h * h

    return cell


def two_carries(w, u):
    def cell(carry, x):
        h, c = carry["h"], carry["c"]
        c = c * 0.9 + mg.sigmoid(x @ w + h @ u)
        h = mg.tanh(c)
        return {"h": h, "c": c}, (h, {"c": c})

    return cell


def no_y(w, u):
    return lambda carry, x: ((mg.tanh(carry[0] @ u + carry[1]), carry[1] + x @ w), None)


CELLS = {
    "elman": (elman, lambda h: h),
    "ignores_x": (ignores_x, lambda h: h),
    "weight_twice": (weight_twice, lambda h: h),
    "two_carries": (two_carries, lambda h: {"h": h, "c": h * 0.5}),
    "no_y": (no_y, lambda h: (h, h * 0.5)),
}


def leaves_of(nest):
    from minigrad.tree import flatten

    return flatten(nest)[0]


def by_hand(cell, carry, xs, lengths, reverse):
    """The recurrence as a user would write it without scan."""
    from minigrad.tree import flatten, unflatten

    length = xs.shape[0]
    ys: dict = {}
    for t in range(length)[::-1] if reverse else range(length):
        new, y = cell(carry, xs[t])
        alive = np.array([True] * xs.shape[1]) if lengths is None else t < lengths
        old, structure = flatten(carry)
        kept = [mg.where(alive[:, None], n, o) for n, o in zip(flatten(new)[0], old, strict=True)]
        carry = unflatten(structure, kept)
        ys[t] = [mg.where(alive[:, None], leaf, 0.0) for leaf in flatten(y)[0]]
    return carry, [mg.stack([ys[t][i] for t in range(length)]) for i in range(len(ys[0]))]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("length", "batch"), [(1, 3), (2, 1), (7, 3)])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("checkpoint", [None, 1, 3, "sqrt"])
def test_values_and_gradients_equal_a_plain_loop(name, length, batch, reverse, with_lengths, checkpoint) -> None:
    make, first = CELLS[name]
    rng = np.random.default_rng(12)
    h0, xs = rng.normal(size=(batch, H)), rng.normal(size=(length, batch, D))
    lengths = rng.integers(0, length + 1, batch) if with_lengths else None
    cotangents = rng.normal(size=(8, length, batch, H))

    def weighed(outs):
        return sum((leaf * g[: leaf.shape[0]].reshape(leaf.shape)).sum() if leaf.ndim == 3 else (leaf * g[0]).sum()
                   for leaf, g in zip(outs, cotangents, strict=False))  # fmt: skip

    def scanned(h, x, w, u):
        last, ys = mg.scan(make(w, u), first(h), x, lengths=lengths, reverse=reverse, checkpoint=checkpoint)
        return weighed(leaves_of(last) + leaves_of(ys))

    def looped(h, x, w, u):
        last, ys = by_hand(make(w, u), first(h), x, lengths, reverse)
        return weighed(leaves_of(last) + ys)

    arguments = [mg.tensor(a) for a in (h0, xs, *WEIGHTS)]
    value, gradients = mg.value_and_grad(scanned, (0, 1, 2, 3))(*arguments)
    want, wanted = mg.value_and_grad(looped, (0, 1, 2, 3))(*arguments)
    np.testing.assert_allclose(value.item(), want.item(), rtol=1e-12)
    for g, w in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("checkpoint", [None, 2])
def test_second_order(name, checkpoint) -> None:
    make, first = CELLS[name]

    def run(h, x, w, u):
        return mg.scan(make(w, u), first(h), x, lengths=[3, 1], checkpoint=checkpoint)

    check.check_grads(run, RNG.normal(size=(2, H)), RNG.normal(size=(3, 2, D)), *WEIGHTS, order=2)


def test_no_steps() -> None:
    h0 = mg.tensor(np.ones((2, H)), requires_grad=True)
    last, ys = mg.scan(two_carries(*WEIGHTS), {"h": h0, "c": h0}, np.ones((0, 2, D)))
    assert ys[0].shape == ys[1]["c"].shape == (0, 2, H)
    last["h"].sum().backward()
    assert h0.grad.numpy().tolist() == np.ones((2, H)).tolist()
    last, ys = mg.scan(elman(*WEIGHTS), np.ones((2, H)), np.ones((0, 2, D)), lengths=[0, 0], reverse=True, checkpoint=3)
    assert ys.shape == (0, 2, H)


def test_a_row_with_lengths_is_what_it_is_alone() -> None:
    cell, xs, h0 = elman(*WEIGHTS), RNG.normal(size=(5, 3, D)), RNG.normal(size=(3, H))
    for reverse in (False, True):
        last, ys = mg.scan(cell, h0, xs, lengths=[5, 0, 2], reverse=reverse)
        for row, n in enumerate([5, 0, 2]):
            alone, alone_ys = mg.scan(cell, h0[row : row + 1], xs[:n, row : row + 1], reverse=reverse)
            # BLAS sums a matrix of one row in another order: equal but for the last bit
            np.testing.assert_allclose(last.numpy()[row], alone.numpy()[0], rtol=1e-14)
            np.testing.assert_allclose(ys.numpy()[:n, row], alone_ys.numpy()[:, 0], rtol=1e-14)
            assert not ys.numpy()[n:, row].any()


def test_a_scan_is_one_node_of_the_tape() -> None:
    w, u = (mg.tensor(a, requires_grad=True) for a in WEIGHTS)
    last, ys = mg.scan(elman(w, u), mg.tensor(np.zeros((1, H))), np.ones((50, 1, D)))
    assert last.edge[0] is ys.edge[0]
    assert {edge[0] for edge in last.edge[0].edges} == {w.edge[0], u.edge[0]}
    (last.sum() + ys.sum()).backward()
    with pytest.raises(GradientError, match="second time"):
        ys.sum().backward()


def test_dropout_inside_a_checkpointed_cell_draws_the_same_mask_again() -> None:
    drop = mg.nn.Dropout(0.5)

    def run(checkpoint):
        mg.seed(3)
        x = mg.tensor(np.ones((6, 2, H)), requires_grad=True)
        _, ys = mg.scan(lambda h, x: (h + drop(x), h), np.zeros((2, H)), x, checkpoint=checkpoint)
        ys.sum().backward()
        return x.grad.numpy()

    np.testing.assert_array_equal(run(None), run(2))


def test_checkpoints_save_memory() -> None:
    def kept(checkpoint, compiled):
        """Bytes that a scan without ys holds until its backward, once a first one has made its working memory."""
        w, u = (mg.tensor(a, requires_grad=True) for a in (np.ones((D, 64)), np.eye(64) * 0.5))
        xs, h0 = mg.tensor(np.ones((1000, 8, D))), mg.tensor(np.zeros((8, 64)))
        for _ in range(2):
            tracemalloc.start()
            last, _ = mg.scan(
                lambda h, x: (elman(w, u)(h, x)[0], None), h0, xs, checkpoint=checkpoint, compiled=compiled
            )
            found = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            last.sum().backward()
        return found

    carries = 1000 * 8 * 64 * 8
    assert kept(None, False) > carries
    assert kept("sqrt", True) < 0.07 * carries
    assert kept("sqrt", False) < 0.1 * carries


def test_a_hundred_thousand_steps() -> None:
    h0 = mg.tensor([[1.0]], requires_grad=True)
    last, _ = mg.scan(lambda h, x: (h * x, None), h0, np.ones((100_000, 1, 1), np.float32))
    last.sum().backward()
    assert h0.grad.item() == 1


# --- the trace ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [None, 3])
@pytest.mark.parametrize("lengths", [None, [4, 6]])
def test_the_trace_equals_gradients_kept_by_hand(checkpoint, lengths) -> None:
    xs, w_y = RNG.normal(size=(6, 2, D)), RNG.normal(size=(6, 2, H))
    with mg.trace() as trace:
        w, u = (mg.tensor(a, requires_grad=True) for a in WEIGHTS)
        _, ys = mg.scan(elman(w, u), np.ones((2, H)), xs, lengths=lengths, checkpoint=checkpoint)
        (ys * w_y).sum().backward()
    (found,) = trace.scans
    assert found.compiled
    assert found.carry_norm[0].shape == found.carry_grad_norm[0].shape == (6, 2)
    alive = np.arange(6)[:, None] < np.array(lengths or [6, 6])
    for t in range(6):
        # h_t as an argument of its own: what is downstream of it, written out
        def rest(h, t=t):
            total = (mg.where(alive[t][:, None], h, 0.0) * w_y[t]).sum()
            for s in range(t + 1, 6):
                new = mg.tanh(xs[s] @ WEIGHTS[0] + h @ WEIGHTS[1])
                total = total + (mg.where(alive[s][:, None], new, 0.0) * w_y[s]).sum()
                h = mg.where(alive[s][:, None], new, h)
            return total

        h = mg.tensor(np.ones((2, H)))
        for s in range(t + 1):
            h = mg.where(alive[s][:, None], mg.tanh(xs[s] @ WEIGHTS[0] + h @ WEIGHTS[1]), h)
        want = np.linalg.norm(mg.grad(rest)(h).numpy(), axis=1)
        np.testing.assert_allclose(found.carry_grad_norm[0][t], want, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(found.carry_norm[0][t], np.linalg.norm(h.numpy(), axis=1), rtol=1e-12)


def test_the_trace_changes_no_bit_and_sees_both_carries() -> None:
    layer = mg.nn.Recurrent("lstm", D, H)
    xs = RNG.normal(size=(5, 2, D)).astype(np.float32)

    def gradients():
        for p in layer.parameters():
            p.grad = None
        layer(xs)[0].sum().backward()
        return [p.grad.numpy() for p in layer.parameters()]

    plain = gradients()
    with mg.trace() as trace:
        traced = gradients()
    for a, b in zip(plain, traced, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [n.shape for n in trace.scans[0].carry_grad_norm] == [(5, 2), (5, 2)]
    assert np.isfinite(trace.scans[0].carry_grad_norm).all()


@pytest.mark.parametrize(("rho", "published"), [(0.9, 2.656140e-5), (0.95, 5.920529e-3), (1.05, 131.5013)])
def test_a_linear_network_forgets_by_exactly_rho_to_the_k(rho: float, published: float) -> None:
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))
    with mg.trace() as trace:
        w = mg.tensor(rho * q, requires_grad=True)
        last, _ = mg.scan(lambda h, x: (h @ w + x, None), np.zeros((1, 16)), np.zeros((101, 1, 16)))
        last.sum().backward()
    norms = trace.scans[0].carry_grad_norm[0][:, 0]
    np.testing.assert_allclose(norms / norms[-1], rho ** np.arange(100, -1, -1.0), rtol=1e-10)
    assert norms[0] / norms[-1] == pytest.approx(published, rel=1e-6)


# --- what does not fit --------------------------------------------------------------------------------------------

X = np.ones((4, 2, D), np.float32)
H0 = np.zeros((2, H), np.float32)


def test_a_carry_of_another_type_is_shown_against_the_first() -> None:
    with pytest.raises(ScanError, match=r"carry: float32\[2, 3\] goes in, float64\[2, 3\] comes out"):
        mg.scan(elman(*WEIGHTS), H0, X)
    with pytest.raises(ScanError, match=r"carry\[1\]: float32\[2, 3\] goes in, float32\[2, 1\] comes out"):
        mg.scan(lambda c, x: ((c[0], c[1][:, :1]), None), (H0, H0), X)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((lambda c, x: c, H0, X), {}, r"must return \(carry, y\)"),
        ((lambda c, x: ((c, c), c), H0, X), {}, "another form"),
        ((lambda c, x: (c, c), H0, (X, X[:3])), {}, "first axis"),
        ((lambda c, x: (c, c), H0, ()), {}, "first axis would say how many steps"),
        ((lambda c, x: (c, c), H0, X), {"lengths": [5, 1]}, r"lengths\[0\] is 5"),
        ((lambda c, x: (c, c), H0, X), {"lengths": [1.0, 2.0]}, "integers"),
        ((lambda c, x: (c, c), H0, X), {"lengths": [1, 2, 3]}, "first axis must be the batch"),
        ((lambda c, x: (c, c), H0, X), {"checkpoint": 0}, "checkpoint"),
        ((lambda c, x: (c if c.sum() > 0 else x, c), H0, X), {"compiled": True}, "has no value"),
        ((lambda c, x: (mg.flip(c, axis=0), c), H0, X), {"compiled": True}, "op flip on float32.*across the batch"),
    ],
)
def test_misfits_say_what_to_do(arguments, options, words) -> None:
    with pytest.raises(ScanError, match=words):
        mg.scan(*arguments, **options)


# --- where an error arose -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False, None])
def test_an_error_in_a_cell_names_the_line_the_expression_and_the_shapes(compiled) -> None:
    w = mg.ones((10, 64))

    def cell(h, x):
        return mg.tanh(x + h @ w), h

    with pytest.raises(ShapeError) as error:
        mg.scan(cell, mg.zeros((32, 64)), mg.zeros((5, 32, 64)), compiled=compiled)
    words = str(error.value)
    line = cell.__code__.co_firstlineno + 1
    assert words.startswith(f"test_scan.py, line {line}, step 0, `h @ w`: ")
    assert "float32[32, 64] @ float32[10, 64]" in words


def test_an_error_in_a_later_step_says_which() -> None:
    steps = iter(range(9))

    def cell(h, x):
        wide = next(steps) == 3
        return h + (mg.zeros((2, 4)) if wide else x), h

    with pytest.raises(ShapeError, match=r"line \d+, step 3, `h \+ \(mg\.zeros"):
        mg.scan(cell, mg.zeros((2, 3)), mg.zeros((5, 2, 3)), compiled=False)


def test_an_error_in_a_helper_of_the_cell_names_the_helper_once() -> None:
    def helper(h):
        return h.reshape(7)

    def inner(h, x):
        return helper(h), h

    with pytest.raises(ShapeError) as error:
        mg.scan(lambda h, x: (mg.scan(inner, h, mg.zeros((2, 2, 3)))[0], h), mg.zeros((2, 3)), mg.zeros((5, 2, 3)))
    assert str(error.value).count("test_scan.py, line") == 1
    assert "`h.reshape(7)`" in str(error.value)
