"""The trace is exact down to the last number of float32, and up to the largest; every leaf, both roads."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.cpu import row_norms
from minigrad.tracing import lengths

LEAST = float(np.finfo(np.float32).tiny)  # with all its digits; a compiled loop takes what is smaller for zero


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("factor", "batch"), [(0.5, 1), (0.5, 3), (2.0, 2)])
def test_a_gradient_is_seen_for_as_long_as_float32_holds_it(factor, batch, compiled) -> None:
    steps, units = 140, 4
    w = mg.tensor(np.float32(factor), requires_grad=True)

    def cell(carry, x):
        h, c = carry
        return (h * w + x, c * (w * 0.5) + x), None

    first = (mg.zeros((batch, units)), mg.zeros((batch, units)))
    with mg.trace() as trace:
        last, _ = mg.scan(cell, first, mg.zeros((steps, batch, units)), compiled=compiled)
        ((last[0] + last[1]) * np.float32(2**-10 if factor > 1 else 1)).sum().backward()
    assert trace.scans[0].compiled is compiled
    back = np.arange(steps)[::-1].astype(np.float64)
    start = np.sqrt(units) * (2.0**-10 if factor > 1 else 1)
    for found, slope in zip(trace.scans[0].carry_grad_norm, (factor, factor / 2), strict=True):
        exact = start * slope**back
        seen = (exact / np.sqrt(units) >= LEAST) & (exact / np.sqrt(units) < np.finfo(np.float32).max)
        assert seen.sum() > 60
        np.testing.assert_allclose(found[seen], np.broadcast_to(exact[seen, None], (seen.sum(), batch)), rtol=1e-6)
        if compiled and factor < 1:
            assert (found[exact / np.sqrt(units) < LEAST] == 0).all()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1.0, 1e25, 3e37])
def test_the_norm_of_a_carry_neither_vanishes_nor_overflows_in_its_square(scale, compiled) -> None:
    h = np.float32([[3, 4], [0, 2]]) * np.float32(scale)
    with mg.trace() as trace:
        mg.scan(lambda h, x: (h * x, None), h, np.ones((2, 2, 1), "f4"), compiled=compiled)
    np.testing.assert_allclose(
        trace.scans[0].carry_norm[0], [np.array([5, 2]) * np.float64(np.float32(scale))] * 2, rtol=3e-7
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_lengths_of_float64_are_hypots(scale) -> None:
    x = np.random.default_rng(0).normal(size=(5, 2)) * scale
    x[3], x[4] = [np.nan, 1], [np.inf, 1]
    wanted, out = np.hypot(x[:, 0], x[:, 1]), np.empty(5)
    np.testing.assert_allclose(lengths(x), wanted, rtol=1e-14)
    row_norms(x, out)
    np.testing.assert_allclose(out, wanted, rtol=1e-14)
    assert lengths(np.zeros((3, 0))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("compiled", [True, False])
def test_leaves_of_any_kind_have_norms(compiled) -> None:
    def cell(carry, x):
        h, n, on, wide = carry
        return (mg.tanh(h + x), n + 1, mg.logical_not(on), wide * 0.5), None

    first = (np.ones((2, 3)), np.array([[3], [4]]), np.ones((2, 2), bool), np.full((2, 2, 2), 2.0))
    with mg.trace() as trace:
        mg.scan(cell, first, np.ones((2, 2, 3)), compiled=compiled)
    found = trace.scans[0].carry_norm
    np.testing.assert_allclose(found[1], [[4, 5], [5, 6]])
    np.testing.assert_allclose(found[2], [[0, 0], [2**0.5, 2**0.5]])
    np.testing.assert_allclose(found[3], [[2, 2], [1, 1]])


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("checkpoint", [None, 2])
def test_what_no_gradient_reaches_has_a_gradient_of_zero(compiled, checkpoint) -> None:
    w = mg.tensor(np.eye(2), requires_grad=True)
    with mg.trace() as trace:
        last, _ = mg.scan(
            lambda h, x: (mg.tanh(x @ w), None),
            np.ones((1, 2)),
            np.ones((7, 1, 2)),
            compiled=compiled,
            checkpoint=checkpoint,
        )
        last.sum().backward()
    assert trace.scans[0].carry_grad_norm[0][:, 0].tolist() == [0] * 6 + [pytest.approx(2**0.5)]


def test_equal_carries_have_each_its_own_gradient() -> None:
    """a' = b' = tanh(x) by two calls: dL/da' counts what was made of a' alone, L = Σ a + 3 Σ b."""
    for compiled in (True, False):
        with mg.trace() as trace:
            last, _ = mg.scan(lambda carry, x: ((mg.tanh(x), mg.tanh(x)), None), (np.ones((1, 1)), np.ones((1, 1))),
                              mg.tensor(np.ones((1, 1, 1)), requires_grad=True), compiled=compiled)  # fmt: skip
            (last[0].sum() + 3 * last[1].sum()).backward()
        assert [norm.item() for norm in trace.scans[0].carry_grad_norm] == [1, 3]
