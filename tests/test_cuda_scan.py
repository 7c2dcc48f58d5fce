"""Scans on the GPU, or in its simulator, against their definition on the CPU, in each way that a kernel can run."""

from collections import OrderedDict

import grid
import numpy as np
import pytest
from cells import CELLS, D, H
from test_compiled import compare, everything

import minigrad as mg
from minigrad import gpu
from minigrad.codegen import cuda_run
from minigrad.codegen.cuda_run import ALONE, STEPWISE, TOGETHER, Way

B, T = 3, 3


def both(name, dtype, batch=B, steps=T, **options):
    """On the GPU, compiled, and the definition on the CPU."""
    compare(
        everything(name, dtype, batch, steps, device="cuda", compiled=True, **options),
        everything(name, dtype, batch, steps, compiled=False, **options),
        dtype,
        narrow=1e-5,
    )


@pytest.fixture
def way(monkeypatch):
    """Let every kernel of programs made from now on run in a way."""

    def force(name, blocks, share=1.0):
        def chosen(written, batch, room, most):
            return Way(name, blocks, tuple(int(p.inner * share) for p in written.products))

        monkeypatch.setattr(cuda_run, "choose", chosen)
        monkeypatch.setattr("minigrad.compiled._programs", OrderedDict())

    return force


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_equals_its_definition(name, dtype) -> None:
    if dtype == "f4":
        both(name, dtype, lengths=np.array([3, 0, 2]), checkpoint=2, reverse=True)
    else:
        both(name, dtype, batch=5)


@pytest.mark.parametrize("name", CELLS)
def test_a_region_a_step_with_products_between(name, way) -> None:
    way(STEPWISE, 2, 0)
    both(name, "f4", lengths=np.array([3, 0, 2]), reverse=True)


def gained(w, u, gain, shift):
    """Numbers of which there is one a row, and weights of one number."""

    def cell(h, x):
        z = x @ w + h @ u
        size = mg.sqrt((z * z).mean(axis=-1, keepdims=True) + 1e-3) * gain + shift
        h = mg.tanh(z / size) * mg.sigmoid(size)
        return h, size

    return cell


@pytest.mark.parametrize("name", [ALONE, STEPWISE])
def test_one_number_a_row(name, way, monkeypatch) -> None:
    monkeypatch.setitem(CELLS, "gained", (gained, [(D, H), (H, H), (1,), ()], lambda h: h))
    for batch in (1, 5):
        way(name, 2)
        both("gained", "f4", batch=batch)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_weights_that_do_not_fit_into_shared_memory_are_read_from_outside(share, way) -> None:
    for name in ("lstm", "weight_twice"):
        way(ALONE, 2, share)
        both(name, "f4", batch=11)


NO_REDUCTIONS = [name for name in CELLS if name not in ("layer_norm", "attention", "additive", "odd_ops")]


@pytest.mark.parametrize("name", NO_REDUCTIONS)
def test_all_blocks_together(name, way, monkeypatch) -> None:
    launched, run = [], grid.launch if gpu.SIMULATED else gpu.launch

    def launch(kernel, blocks, threads, *arguments, shared=0):
        launched.append(blocks)
        run(kernel, blocks, threads, *arguments, shared=shared)

    monkeypatch.setattr(gpu, "launch", launch)
    way(TOGETHER, 3)
    both(name, "f4", batch=6, lengths=np.array([3, 0, 2, 3, 1, 3]))
    assert 3 in launched


@pytest.mark.parametrize("name", [ALONE, STEPWISE])
def test_a_planted_error_of_a_twentieth_of_a_percent_is_found(name, way, monkeypatch) -> None:
    right = cuda_run.module_text

    def wrong(forward, backward):
        text, *rest = right(forward, backward)
        assert "tanh32(" in text
        return text.replace("tanh32(", "float32(1.0005) * tanh32("), *rest

    monkeypatch.setattr(cuda_run, "module_text", wrong)
    way(name, 2)
    with pytest.raises(AssertionError, match="value"):
        both("lstm", "f4")


def test_a_block_that_does_not_wait_for_the_others_is_found(way, monkeypatch) -> None:
    """The grid of the test above is one in which waiting matters."""
    if not gpu.SIMULATED:
        pytest.skip("a real race may go well")
    monkeypatch.setattr(gpu, "launch", lambda *a, **k: grid.launch(*a, **k, waits=False))
    way(TOGETHER, 3)
    with pytest.raises(AssertionError):
        for _ in range(5):
            both("weight_twice", "f4", batch=6)
