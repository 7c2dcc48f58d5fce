"""The compiled scan against its definition: eager = generated text run as plain Python = jitted."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from cells import CELLS, D
from random_run import plain

import minigrad as mg
from minigrad import fused, threads
from minigrad.codegen import run
from minigrad.errors import MutationError, ScanError, ShapeError
from minigrad.jit import load
from minigrad.tree import flatten, unflatten


def everything(name, dtype, batch, steps, device="cpu", **options):
    """Values, every gradient and the traces of a scan with random first carries, weights and cotangents."""
    make, shapes, carry = CELLS[name]
    rng = np.random.default_rng(5)

    def leaf(*shape):
        shape = [batch if n == "B" else n for n in shape]
        return mg.tensor(rng.normal(size=shape).astype(dtype) * 0.7, requires_grad=True, device=device)

    weights = [leaf(*shape) for shape in shapes]
    h, xs = leaf(batch, 3), leaf(steps, batch, D)
    leaves, structure = flatten(carry(h))
    leaves = [mg.tensor(x.detach(), requires_grad=True) for x in leaves]
    with mg.trace() as trace:
        last, ys = mg.scan(make(*weights), unflatten(structure, leaves), xs, **options)
        outs = flatten(last)[0] + flatten(ys)[0]
        sum((out * rng.normal(size=out.shape).astype(dtype)).sum() for out in outs).backward()
    grads = [np.zeros(x.shape, x.dtype) if x.grad is None else x.grad.numpy() for x in [*weights, *leaves, xs]]
    (scan,) = trace.scans
    assert scan.compiled is (options.get("compiled") is True and steps > 0)
    return [out.detach().numpy() for out in outs], grads, scan.carry_norm + scan.carry_grad_norm


def compare(found, wanted, dtype, narrow=2e-5):
    tolerance = 1e-11 if dtype == "f8" else narrow
    for kind, ours, theirs in zip(("value", "gradient", "trace"), found, wanted, strict=True):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(
                a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max(initial=0)), err_msg=f"{kind} {i}"
            )


OPTIONS = [
    (reverse, lengths, checkpoint) for reverse in (False, True) for lengths in (False, True) for checkpoint in (None, 2)
]


@pytest.mark.parametrize(("batch", "dtype"), [(1, "f4"), (3, "f4"), (3, "f8"), (17, "f8")])
@pytest.mark.parametrize("name", CELLS)
def test_eager_plain_and_jitted_agree(name, batch, dtype, monkeypatch) -> None:
    for steps in (0, 1, 2, 7):
        for reverse, some, checkpoint in OPTIONS:
            lengths = np.random.default_rng(1).integers(0, steps + 1, batch) if some else None
            options = {"reverse": reverse, "lengths": lengths, "checkpoint": checkpoint}
            eager = everything(name, dtype, batch, steps, compiled=False, **options)
            compare(everything(name, dtype, batch, steps, compiled=True, **options), eager, dtype)
            if batch == 3 and (steps == 7) == (checkpoint is None):
                with monkeypatch.context() as patch:
                    patch.setattr(fused, "functions", plain)
                    compare(everything(name, dtype, batch, steps, compiled=True, **options), eager, dtype)


# --- the same bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lstm", "attention", "folded"])
def test_threads_checkpoints_and_traces_do_not_change_a_bit(name, monkeypatch) -> None:
    make, shapes, carry = CELLS[name]
    batch, steps = 7, 9
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=[batch if n == "B" else n for n in shape]).astype("f4") for shape in shapes]
    h0, x0 = rng.normal(size=(batch, 3)).astype("f4"), rng.normal(size=(steps, batch, D)).astype("f4")

    def bits(watch=False, **options):
        weights = [mg.tensor(a, requires_grad=True) for a in arrays]
        h, xs = mg.tensor(h0, requires_grad=True), mg.tensor(x0, requires_grad=True)
        with mg.trace() if watch else contextlib.nullcontext():
            last, ys = mg.scan(make(*weights), carry(h), xs, compiled=True, **options)
            sum(out.sum() for out in flatten(last)[0] + flatten(ys)[0]).backward()
        return [out.detach().numpy().tobytes() for out in flatten(last)[0] + flatten(ys)[0]] + [
            v.grad.numpy().tobytes() for v in (*weights, h, xs)
        ]

    for reverse in (False, True):
        wanted = bits(reverse=reverse)
        assert bits(reverse=reverse) == wanted
        assert bits(reverse=reverse, watch=True) == wanted
        for checkpoint in (1, 2, 4, "sqrt", 100):
            assert bits(reverse=reverse, checkpoint=checkpoint) == wanted
        for count in (2, 3, 7):
            with monkeypatch.context() as patch:
                patch.setattr(threads, "count", lambda count=count: count)
                patch.setattr(threads, "WORTH", 2)
                patch.setattr(threads, "_pool", cache(threads._pool.__wrapped__))
                assert bits(reverse=reverse) == wanted


def test_a_planted_error_of_a_twentieth_of_a_percent_is_found(monkeypatch) -> None:
    def wrong(program, _device):
        assert "sigmoid_slope64(" in program.text
        return run.bind(program, load(program.text.replace("sigmoid_slope64(", "1.0005 * sigmoid_slope64(")))

    eager = everything("lstm", "f8", 3, 7, compiled=False)
    monkeypatch.setattr(fused, "functions", wrong)
    with pytest.raises(AssertionError, match="gradient"):
        compare(everything("lstm", "f8", 3, 7, compiled=True), eager, "f8")


def test_nan_stays_where_it_is() -> None:
    xs = np.ones((6, 2, D), "f4")
    xs[3, 1, 0] = np.nan
    make, shapes, carry = CELLS["lstm"]
    weights = [mg.tensor(np.full(shape, 0.1, "f4")) for shape in shapes]
    _, ys = mg.scan(make(*weights), carry(mg.zeros((2, 3))), xs, compiled=True)
    found = np.isnan(ys.numpy()).all(axis=-1)
    assert found.tolist() == [[False, False]] * 3 + [[False, True]] * 3
    assert np.isnan(ys.numpy()).any(axis=-1).tolist() == found.tolist()
    infinite = mg.scan(lambda h, x: (h * x, mg.exp(h)), mg.ones((1, 1)), mg.full((3, 1, 1), np.inf), compiled=True)[1]
    assert infinite.numpy().ravel()[1:].tolist() == [np.inf, np.inf]


# --- a program is known by what the cell does ---------------------------------------------------------------------


def test_what_a_cell_closes_over_may_change() -> None:
    scale, xs = 2.0, mg.ones((3, 1, 1))

    def cell(h, x):
        return h * scale + x, None

    assert mg.scan(cell, mg.zeros((1, 1)), xs, compiled=True)[0].item() == 7
    scale = 3.0
    assert mg.scan(cell, mg.zeros((1, 1)), xs, compiled=True)[0].item() == 13
    scale = mg.tensor([[0.5]], requires_grad=True)
    last, _ = mg.scan(cell, mg.zeros((1, 1)), xs, compiled=True)
    last.backward()
    assert (last.item(), scale.grad.item()) == (1.75, 2.0)
    scale = mg.tensor([[0.25]])
    assert mg.scan(cell, mg.zeros((1, 1)), xs, compiled=True)[0].item() == 1.3125


def test_other_sizes_need_no_other_module(monkeypatch) -> None:
    programs, real = [], fused.functions
    monkeypatch.setattr(fused, "functions", lambda program, device: programs.append(program) or real(program, device))
    for batch, d, h in ((3, 5, 7), (4, 9, 16), (8, 6, 32)):
        mg.nn.Recurrent("lstm", d, h)(np.ones((2, batch, d), "f4"))
    assert len(programs) == 3
    assert len({program.text for program in programs}) == 1


def test_dropout_in_a_cell_draws_what_the_loop_draws() -> None:
    drop, w = mg.nn.Dropout(0.5), mg.tensor(np.full((3, 3), 0.5), requires_grad=True)

    def cell(h, x):
        h = mg.tanh(drop(h) @ w + drop(x))
        return h, h

    def drawn(**options):
        mg.seed(4)
        w.grad = None
        _, ys = mg.scan(cell, np.ones((2, 3)), np.ones((5, 2, 3)), **options)
        ys.sum().backward()
        return ys.detach().numpy(), w.grad.numpy(), mg.random.get_state()["state"]

    for options in ({}, {"reverse": True}, {"checkpoint": 2}):
        ours, theirs = drawn(compiled=True, **options), drawn(compiled=False, **options)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-12)
        assert ours[2] == theirs[2]


def test_an_embedding_in_a_cell() -> None:
    embed, u = mg.nn.Embedding(5, 3), mg.tensor(np.eye(3, dtype="f4") * 0.5, requires_grad=True)
    words = np.array([[0, 4], [2, 2], [0, 1]])

    def run_it(compiled):
        embed.weight.grad = u.grad = None
        last, _ = mg.scan(lambda h, w: (mg.tanh(embed(w) + h @ u), None), mg.zeros((2, 3)), words, compiled=compiled)
        last.sum().backward()
        return last.detach().numpy(), embed.weight.grad.numpy(), u.grad.numpy()

    for ours, theirs in zip(run_it(True), run_it(False), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    words[1, 1] = 5
    for compiled in (True, False):
        with pytest.raises(ShapeError, match="to 5"):
            run_it(compiled)


def test_no_gradient_flows_where_the_cell_says_so() -> None:
    def cell(h, x):
        with mg.no_grad():
            gate = mg.sigmoid(h)
        return h * gate + x.detach() * mg.stop_gradient(h), None

    def slope(compiled):
        h, xs = (mg.tensor(np.full(shape, 0.3), requires_grad=True) for shape in ((1, 1), (3, 1, 1)))
        mg.scan(cell, h, xs, compiled=compiled)[0].backward()
        return h.grad.item(), xs.grad is None or xs.grad.numpy().any()

    assert slope(True) == pytest.approx(slope(False))


def test_two_biases_do_not_share_one_gradient() -> None:
    layer = mg.nn.Recurrent("rnn", 2, 3)
    layer(np.ones((2, 1, 2), "f4"))[0].sum().backward()
    grads = [p.grad.numpy() for p in layer.parameters()]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(grads) for b in grads[:i])


def test_second_order_goes_by_way_of_the_loop() -> None:
    w = np.array([[0.4, -0.3], [0.2, 0.5]])

    def loss(w, compiled=True):
        _, ys = mg.scan(
            lambda h, x: ((h := mg.tanh(x + h @ w)), h), np.ones((1, 2)), np.ones((3, 1, 2)), compiled=compiled
        )
        return (ys * ys).sum()

    def second(f):
        return mg.grad(lambda w: (mg.grad(f)(w) ** 2).sum())(mg.tensor(w)).numpy()

    np.testing.assert_allclose(second(loss), second(lambda w: loss(w, compiled=False)), rtol=1e-12)


# --- what is refused, and what is said ----------------------------------------------------------------------------


def test_what_cannot_compile_runs_step_by_step_and_says_so_once(capsys) -> None:
    def cell(h, x):
        return h - h.mean(axis=0, keepdims=True) + x, None

    for _ in range(2):
        last, _ = mg.scan(cell, mg.ones((2, 1)), mg.ones((3, 2, 1)))
    assert last.numpy().ravel().tolist() == [1, 1]
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "step by step" in line]) == 1
    assert "sum" in said[-1]
    assert "axis 0" in said[-1] or "batch" in said[-1]


@pytest.mark.parametrize("which", ["x", "weight"])
def test_a_change_before_the_backward_is_an_error(which) -> None:
    w = mg.tensor(np.eye(3, dtype="f4"), requires_grad=True)
    xs = mg.tensor(np.ones((4, 2, 3), "f4"))
    _, ys = mg.scan(lambda h, x: ((h := mg.tanh(x @ w + h * x)), h), mg.ones((2, 3)), xs, compiled=True)
    with mg.no_grad():
        {"x": xs, "weight": w}[which][0] = 5.0
    with pytest.raises(MutationError, match="scan"):
        ys.sum().backward()


# --- more of a cell ------------------------------------------------------------------------------------------------


def test_a_program_made_without_a_tape_has_its_backward() -> None:
    w = mg.tensor(np.eye(2) * 0.8, requires_grad=True)

    def scan():
        return mg.scan(lambda h, x: (mg.tanh(h @ w) + x, None), np.ones((1, 2)), np.ones((3, 1, 2)), compiled=True)[0]

    with mg.no_grad():
        scan()
    scan().sum().backward()
    assert (w.grad.numpy() > 0.1).all()


def test_a_cell_without_any_function() -> None:
    w, xs = mg.tensor(np.eye(2) * 0.9, requires_grad=True), np.ones((3, 1, 2))
    mg.scan(lambda h, x: (h @ w + x, None), np.zeros((1, 2)), xs, compiled=True)[0].sum().backward()
    # h1 = x, h2 = h1 w + x, h3 = h2 w + x: dL/dw = h2ᵀ 1 + h1ᵀ (w 1), with h1 = 1, h2 = 1.9, w 1 = .9
    np.testing.assert_allclose(w.grad.numpy(), np.full((2, 2), 1.9 + 0.9))


def test_a_scan_within_a_cell() -> None:
    w = mg.tensor(np.array([[0.4, -0.3], [0.2, 0.5]]), requires_grad=True)

    def inner(h, x):
        h = mg.tanh(h @ w + x)
        return h, None

    def outer_cell(h, x):  # x [B, K, 2]: K steps of the inner recurrence
        h, _ = mg.scan(inner, h, mg.permute_dims(x, (1, 0, 2)))
        return h, h

    def slope(compiled):
        w.grad = None
        last, ys = mg.scan(outer_cell, np.ones((3, 2)), np.ones((4, 3, 2, 2)), compiled=compiled)
        (last.sum() + (ys * ys).sum()).backward()
        return w.grad.numpy()

    np.testing.assert_allclose(slope(None), slope(False), rtol=1e-12)  # its steps stand before the batch: step by step


def test_gradients_of_two_inputs_do_not_share_memory() -> None:
    a, b, h = (mg.tensor(np.ones(shape), requires_grad=True) for shape in ((3, 2, 1), (3, 2, 1), (2, 1)))
    mg.scan(lambda h, x: (h + (x[0] + x[1]), None), h, (a, b), compiled=True)[0].sum().backward()
    assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
    g = mg.tensor(np.ones((3, 2, 1)))
    _, ys = mg.scan(lambda h, x: (h, x[0][:, ::-1]), h, (a, b), compiled=True)
    ys.backward(g)
    assert not np.shares_memory(a.grad.numpy(), g.numpy())


def test_two_threads_and_a_forked_process_use_it_at_once(monkeypatch) -> None:
    monkeypatch.setattr(threads, "count", lambda: 2)
    monkeypatch.setattr(threads, "WORTH", 2)
    make, shapes, carry = CELLS["lstm"]
    weights = [np.random.default_rng(0).normal(size=shape) for shape in shapes]

    def slope(_):
        ws = [mg.tensor(w, requires_grad=True) for w in weights]
        mg.scan(make(*ws), carry(mg.tensor(np.ones((5, 3)))), np.ones((6, 5, D)), compiled=True)[1].sum().backward()
        return ws[1].grad.numpy().tobytes()

    wanted = slope(0)
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(slope, range(12))) == {wanted}
    child = os.fork()
    if child == 0:
        os._exit(0 if slope(0) == wanted else 1)
    assert os.waitpid(child, 0)[1] == 0


# --- found by attack ----------------------------------------------------------------------------------------------


def test_results_share_memory_with_nothing() -> None:
    xs, h0 = mg.tensor(np.ones((3, 2, 3))), mg.tensor(np.ones((2, 3)))

    def cell(h, x):
        z = mg.tanh(h + x)
        return z, (x, z, z, h, z[:, :2], mg.reshape(z, (2, 3, 1)))

    last, ys = mg.scan(cell, h0, xs, compiled=True)
    arrays = [v.numpy() for v in (xs, h0, last, *ys)]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_a_batch_of_no_rows() -> None:
    for compiled in (True, False):
        with mg.trace() as trace:
            _, ys = mg.scan(lambda h, x: (mg.tanh(h + x), h), mg.zeros((0, 3)), mg.ones((4, 0, 3)), compiled=compiled)
        assert ys.shape == (4, 0, 3)
        assert trace.scans[0].carry_norm[0].shape == (4, 0)


def test_negative_and_one_hot_indices() -> None:
    w, index = mg.tensor(np.arange(9.0).reshape(3, 3), requires_grad=True), np.array([[0, -1], [1, 2]])

    def found(compiled):
        w.grad = None
        last, ys = mg.scan(lambda h, i: (h + w[i], mg.one_hot(i % 3, 3)), np.zeros((2, 3)), index, compiled=compiled)
        (last * last).sum().backward()
        return last.detach().numpy(), ys.numpy(), w.grad.numpy()

    for ours, theirs in zip(found(True), found(False), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_result_requires_a_gradient_only_if_one_can_flow() -> None:
    def flags(compiled):
        h, xs, w = (mg.tensor(np.ones(shape), requires_grad=True) for shape in ((2, 3), (4, 2, 3), (3, 3)))
        last, ys = mg.scan(
            lambda c, x: ((c[0].detach() * 2, c[1] + c[2], x @ w), (c[2], x.detach(), c[0])),
            (h, h, mg.tensor(np.ones((2, 3)))), xs, compiled=compiled,
        )  # fmt: skip
        return [out.requires_grad for out in (*last, *ys)]

    assert flags(True) == flags(False)
    assert set(flags(True)) == {True, False}


def test_a_carry_that_a_weight_replaces_has_a_gradient_for_each_step() -> None:
    def norms(compiled):
        w, h, xs = (mg.tensor(np.ones(shape), requires_grad=True) for shape in ((2, 3), (2, 3), (4, 2, 3)))
        with mg.trace() as trace:
            last, ys = mg.scan(lambda h, x: (w, h * x), h, xs, compiled=compiled)
            (last.sum() + (ys * ys).sum()).backward()
        return trace.scans[0].carry_grad_norm[0]

    np.testing.assert_allclose(norms(True), norms(False))


def test_a_fault_of_the_cell_is_told_as_the_loop_tells_it() -> None:
    for compiled in (True, False, None):
        with pytest.raises(ScanError, match=r"must return \(carry, y\)"):
            mg.scan(lambda h, x: h, np.ones((3, 3)), np.ones((2, 3, 3)), compiled=compiled)
        with pytest.raises(ScanError, match="Make the first carry of the type"):
            mg.scan(lambda h, x: (h + x, None), mg.ones((3, 3)), np.ones((2, 3, 3)), compiled=compiled)


@pytest.mark.parametrize("reduce", [mg.sum, mg.max, mg.min])
def test_a_choice_may_be_reduced(reduce) -> None:
    x = np.random.default_rng(5).normal(size=(2, 3, 5)).astype("f4")
    cell = lambda carry, x: (carry, reduce(mg.relu(x) + 1, axis=-1) + reduce(mg.where(x > 0.5, 2.0, x), axis=-1))
    _, ys = mg.scan(cell, mg.zeros((3, 1)), mg.tensor(x), compiled=True)
    by_numpy = getattr(np, reduce.__name__)
    want = by_numpy(np.maximum(x, 0) + 1, axis=-1) + by_numpy(np.where(x > 0.5, 2, x), axis=-1)
    np.testing.assert_allclose(ys.numpy(), want, rtol=1e-6)
