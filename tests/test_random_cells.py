"""Cells drawn at random over the whole op table (`random_cells.py`): compiled against the loop, the loop against PyTorch.

Fresh ones at each run; the seed stands in each failure's message and at the head of a run. `random_run.py` runs as many as
one likes, and cuts what fails down to a few lines.
"""

import os
import random

import pytest
import random_run
from random_cells import BOOL, FLOAT, INT, draw

from minigrad import compiled, fused
from minigrad.codegen import run
from minigrad.jit import load

FIRST = int(os.environ.get("MINIGRAD_SEED", random.SystemRandom().randrange(10**9)))
GROUP, GROUPS = 25, 12


@pytest.fixture
def as_plain_python(monkeypatch) -> None:
    monkeypatch.setattr(fused, "functions", random_run.plain)


def check(first, count, dtype="f8"):
    """How many of `count` cells compiled; an assertion for the first that fails, cut down."""
    ran = 0
    for seed in range(first, first + count):
        said, is_compiled = random_run.try_cell(seed, dtype)
        ran += is_compiled
        compiled._programs.clear()
        compiled._refused.clear()
        assert not said, (
            f"cell {seed}, {random_run.setting(seed)}: {said}\n{random_run.smaller(seed, dtype, said).text}\n"
            f"again: python tests/random_run.py {seed} 1{' --float32' * (dtype == 'f4')}"
        )
    return ran


@pytest.mark.parametrize("group", range(GROUPS))
def test_fresh_cells_compiled_are_what_the_loop_makes_of_them(group, as_plain_python) -> None:
    print(f"cells from seed {FIRST + group * GROUP} on")
    ran = check(FIRST + group * GROUP, GROUP, "f4" if group % 4 == 3 else "f8")
    assert ran > GROUP // 3  # most of what is drawn compiles, or the test would look at nothing


def test_a_few_jitted() -> None:
    check(7, 6)


@pytest.mark.parametrize("group", range(4))
def test_the_loop_is_what_pytorch_makes_of_a_cell(group) -> None:
    pytest.importorskip("torch")
    looked_at = 0
    for seed in range(FIRST + group * 40, FIRST + group * 40 + 40):
        cell, (batch, steps, options) = draw(seed), random_run.setting(seed)
        if not batch or not steps:
            continue
        looked_at += 1
        ours, _ = random_run.outcome(cell, seed, batch, steps, "f8", False, **options)
        theirs = random_run.by_torch(cell, seed, batch, steps, "f8", **options)
        said = random_run.differs(ours, theirs, 1e-8, ("value", "gradient"))
        assert not said, f"cell {seed}: {said}\n{cell.text}"
    assert looked_at > 15


def test_what_is_drawn_covers_the_op_table() -> None:
    drawn = [draw(seed) for seed in range(600)]
    text = "\n".join(cell.text for cell in drawn)
    words = """tanh sigmoid exp log sqrt pow remainder floor_divide where maximum logaddexp softmax log_softmax cumulative_sum
    argmax einsum linear reshape permute_dims expand_dims broadcast_to flip roll stack concat split unstack tril repeat take
    one_hot take_along_axis scan astype logical_and all prod var max logsumexp stop_gradient clip""".split()
    assert [word for word in words if f"xp.{word}(" not in text] == []
    kinds = {v.kind for cell in drawn for v in (*cell.carry, *cell.xs)}
    assert kinds == {FLOAT, INT, BOOL}
    settings = [random_run.setting(seed) for seed in range(600)]
    assert {batch for batch, _, _ in settings} == {0, 1, 3, 17}
    assert {steps for _, steps, _ in settings} == {0, 1, 2, 3, 7}
    assert {name for _, _, options in settings for name in options} == {"reverse", "lengths", "checkpoint"}


def test_a_planted_error_of_a_twentieth_of_a_percent_is_found(monkeypatch) -> None:
    def wrong(program, _device="cpu"):
        module = load(program.text.replace("tanh64(", "1.0005 * tanh64("))
        return run.bind(program, module) if "tanh64(" in program.text else random_run.plain(program)

    monkeypatch.setattr(fused, "functions", wrong)
    found = []
    for seed in range(20):
        found.append(random_run.try_cell(seed)[0])
        compiled._programs.clear()
    assert len([said for said in found if said.startswith(("value", "gradient"))]) > 3
