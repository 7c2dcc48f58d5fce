"""`scan` against JAX: values, first and second derivatives of every program, on each road, forwards and backwards.

A program says what it does in functions that both libraries have; every case is asked compiled, by the loop, and with
checkpoints on either road.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
from peers import nests, scans, steps, uses
from peers.harness import Case, agree, answers, jax, minigrad, narrow, rng_of, wanted, write
from random_run import plain

import minigrad as mg
from minigrad import fused
from minigrad.tree import flatten

assert nests and steps and uses  # they enter their programs
SIZES = {"B": 2, "D": 2, "H": 3, "S": 4, "C": 9, "Z": 0, "U": 1, "L": 5, "W": 17}
STEPWISE = {"compiled": False}
ROADS: list[dict[str, Any]] = [{"compiled": True}, STEPWISE, {"checkpoint": 2}, {"checkpoint": "sqrt", **STEPWISE}]
# Cells that run by the loop: leaves without a batch, steps across it, values looked at, functions without a loop.
LOOPED = set(
    """number numbers rows_without_batch weight_from_a_scan inner_scan_of_x inner_ys_come_out inner_nests
    one_tensor_twice_within three_deep inner_scan_backwards y_is_one_number y_counts index_of_the_carry moves picks
    across_the_batch arithmetic_on_indices a_gradient_within gradient_of_a_scan_within weight_is_xs deep_transition
    inner_scan_of_what_stands_outside inner_scan_of_the_outer_xs""".split()
)


@pytest.fixture(autouse=True)
def _as_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated text as Python runs it: `test_compiled.py` holds that machine code says the same, and takes its time."""
    monkeypatch.setattr(fused, "functions", plain)


class Here:
    """minigrad, on one road and in one direction."""

    def __init__(self, backwards: bool, **road: Any) -> None:
        self.backwards, self.road = backwards, road

    def __getattr__(self, name: str) -> Any:
        return getattr(mg, name)

    def scan(self, cell: Any, carry: Any, xs: Any, reverse: bool = False, lengths: Any = None) -> Any:
        return mg.scan(cell, carry, xs, reverse=reverse != self.backwards, lengths=lengths, **self.road)


class There:
    """JAX under the same names; a row that has ended is kept by `where`. The file is made of its compiled loops."""

    stepwise = True  # which spares the compiler half a minute

    def __init__(self, backwards: bool) -> None:
        self.backwards = backwards

    def __getattr__(self, name: str) -> Any:
        import jax

        if name in ("sigmoid", "softmax", "log_softmax", "logsumexp"):
            return getattr(jax.nn, name)
        if name == "stop_gradient":
            return jax.lax.stop_gradient
        return jax.grad if name == "grad" else getattr(jax.numpy, name)

    def scan(self, cell: Any, carry: Any, xs: Any, reverse: bool = False, lengths: Any = None) -> Any:
        import jax

        steps = len(flatten(xs)[0][0])

        def choose(runs: Any, new: Any, old: Any) -> Any:
            return jax.numpy.where(runs.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        def masked(carry: Any, x: Any) -> Any:
            t, x = x
            runs = t < np.array(lengths)
            made, y = cell(carry, x)
            kept = jax.tree.map(partial(choose, runs), made, carry)
            return kept, jax.tree.map(lambda leaf: choose(runs, leaf, jax.numpy.zeros_like(leaf)), y)

        step, given = (cell, xs) if lengths is None else (masked, (jax.numpy.arange(steps), xs))
        with jax.disable_jit(self.stepwise and steps > 0):
            return jax.lax.scan(step, carry, given, reverse=reverse != self.backwards)


def drawn(name: str, shapes: str, steps: int) -> tuple[Any, ...]:
    """The arrays of a program: integers from 0 to 2, booleans, else normal numbers."""
    rng, found = rng_of(name), []
    kinds = {"i": lambda size: rng.integers(0, 3, size), "b": lambda size: rng.random(size) > 0.5}
    for letters in shapes.split(" "):
        size = tuple({**SIZES, "T": steps}[c] for c in letters.lstrip("ib"))
        found.append(kinds.get(letters[:1], lambda size: narrow(0.7 * rng.normal(size=size)))(size))
    return tuple(found)


def case(name: str, steps: int, backwards: bool) -> Case:
    program, shapes = scans.PROGRAMS[name]
    called = f"{name}, T {steps}{', reverse' * backwards}"
    return Case(
        called, partial(program, Here(backwards)), partial(program, There(backwards)), drawn(called, shapes, steps)
    )


WAYS, TWO_WAYS = [(0, False), (1, False), (2, True), (5, False)], [(1, False), (4, True)]
CASES = [
    case(name, *way)
    for name, (program, _) in scans.PROGRAMS.items()
    for way in (TWO_WAYS if program.__module__ == uses.__name__ else WAYS)
]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i].name)
def test_scan_says_what_jax_says(number: int) -> None:
    one = CASES[number]
    name, right = one.name.split(",")[0], wanted(one, "jax", jax)
    for road in ROADS:
        road = {} if road == {"compiled": True} and name in LOOPED else road
        program = partial(scans.PROGRAMS[name][0], Here(one.name.endswith("reverse"), **road))
        agree(answers(one, program, minigrad("f8")), right, "f8", f"{one.name}, {road}")


def make() -> None:
    There.stepwise = False
    write("jax", CASES, jax)
