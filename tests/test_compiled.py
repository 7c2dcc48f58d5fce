"""The compiled scan against its definition: eager = generated text run as plain Python = jitted."""

from types import FunctionType, SimpleNamespace

import numpy as np
import pytest
from cells import CELLS, D

import minigrad as mg
from minigrad.codegen import run
from minigrad.jit import load
from minigrad.tree import flatten, unflatten


def plain(text):
    """A generated module as Python runs it: no Numba, and matrix products by NumPy."""

    def multiply(a, panels, out, add, first, last):
        w = np.concatenate(list(panels), axis=1)[:, : out.shape[1]]
        out[first:last] = a[first:last] @ w + (out[first:last] if add else 0)

    def bare(function):
        own = {**function.__globals__, "multiply": multiply, "apart": lambda view: view, "flush_denormals": int}
        for name in function.__code__.co_names:
            if hasattr(own.get(name), "py_func"):
                own[name] = bare(own[name].py_func)
        return FunctionType(function.__code__, own, function.__name__)

    def hushed(function):
        def call(*arguments):
            with np.errstate(all="ignore"):
                bare(function.py_func)(*arguments)

        return call

    module = load(text)
    return SimpleNamespace(forward=hushed(module.forward), backward=hushed(module.backward))


def everything(name, dtype, batch, steps, **options):
    """Values, every gradient and the traces of a scan with random first carries, weights and cotangents."""
    make, shapes, carry = CELLS[name]
    rng = np.random.default_rng(5)

    def leaf(*shape):
        shape = [batch if n == "B" else n for n in shape]
        return mg.tensor(rng.normal(size=shape).astype(dtype) * 0.7, requires_grad=True)

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


def compare(found, wanted, dtype):
    tolerance = 1e-11 if dtype == "f8" else 2e-5
    for kind, ours, theirs in zip(("value", "gradient", "trace"), found, wanted, strict=True):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(
                a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max(initial=0)), err_msg=f"{kind} {i}"
            )


OPTIONS = [
    (reverse, lengths, checkpoint) for reverse in (False, True) for lengths in (False, True) for checkpoint in (None, 2)
]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("batch", [1, 3, 17])
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
                    patch.setattr(run, "load", plain)
                    compare(everything(name, dtype, batch, steps, compiled=True, **options), eager, dtype)
