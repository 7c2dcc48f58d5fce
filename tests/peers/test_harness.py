"""The comparison itself: it sees what is wrong, and it does not shrink."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from peers import scans, test_jax, test_onnx, test_torch
from peers.harness import COUNTS, Case, agree, answers, golden, minigrad, pack, unpack

import minigrad as mg
from minigrad import core


@contextmanager
def another_rule(name: str, change: Any) -> Iterator[None]:
    """Within the block the op's gradient is what `change` makes of the right one."""
    op = core.OPS[name]
    right = op.vjp
    assert right is not None

    def wrong(*args: Any, **metadata: Any) -> tuple[Any, ...]:
        first, *rest = right(*args, **metadata)
        return change(first() if callable(first) else first), *rest

    object.__setattr__(op, "vjp", wrong)
    try:
        yield
    finally:
        object.__setattr__(op, "vjp", right)


def of_name(cases: list[Case], name: str) -> Case:
    return next(case for case in cases if case.name == name)


@pytest.mark.parametrize(
    ("change", "answer"),
    [(lambda g: g * (1 + 1e-7), "answer 1"), (mg.stop_gradient, "answer 2")],
    ids=["first", "second"],
)
def test_a_rule_that_is_wrong_in_either_order_is_seen(change: Any, answer: str) -> None:
    case = of_name(test_torch.CASES, "tanh (3, 1, 2) ")
    right = unpack(golden("torch")[case.name])
    agree(answers(case, case.ours, minigrad("f8")), right, "f8", "the right rule")
    with another_rule("tanh", change), pytest.raises(AssertionError, match=answer):
        agree(answers(case, case.ours, minigrad("f8")), right, "f8", "a wrong rule")


def test_a_wrong_rule_within_a_scan_is_seen() -> None:
    case = of_name(test_jax.CASES, "elman, T 5")
    right = unpack(golden("jax")[case.name])
    program = partial(scans.PROGRAMS["elman"][0], test_jax.Here(False, compiled=False))
    agree(answers(case, program, minigrad("f8")), right, "f8", "the right rule")
    with another_rule("tanh", lambda g: g * (1 + 1e-7)), pytest.raises(AssertionError, match="answer 2"):
        agree(answers(case, program, minigrad("f8")), right, "f8", "a wrong rule")


def test_another_shape_kind_or_width_is_seen() -> None:
    right = [np.ones((2, 1))]
    for wrong in ([np.ones(2)], [np.ones((2, 1), int)], [np.ones((2, 1), "f4")], [], [np.full((2, 1), np.nan)]):
        with pytest.raises(AssertionError):
            agree(wrong, right, "f8", "")


def test_what_is_packed_comes_out_again() -> None:
    arrays = [np.array(2.5), np.zeros((0, 3)), np.array([[True, False]]), np.array([3, -1]), np.array([np.nan, np.inf])]
    for a, b in zip(arrays, unpack(pack(arrays)), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("source", ["jax", "torch", "onnx"])
def test_no_peer_is_asked_less_than_before(source: str) -> None:
    """A case more or less: `python tests/golden/make_peers.py SOURCE`, which notes the number."""
    asked = {"jax": test_jax.CASES, "torch": test_torch.CASES, "onnx": test_onnx.kept()}[source]
    assert len(asked) == COUNTS[source]
    if source != "onnx":
        assert set(golden(source)) == {case.name for case in asked}
