"""`mg.trace`: what a scan's carries and their gradients were at every step.

Imports `svg` and `values`. (Not called `trace.py`: `mg.trace` is a function.)
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from minigrad import svg
from minigrad.device import fetch, home
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]


class Step:
    """The carry that step t made: as the cell gave it, and as the mask of `lengths` left it."""

    __slots__ = ("alive", "kept", "made", "t")

    def __init__(self, t: int, made: list[Tensor], kept: list[Tensor], alive: Array | None) -> None:
        self.t, self.made, self.kept, self.alive = t, made, kept, alive


class ScanTrace:
    """What one scan did at each step. T steps, B rows.

    carry_norm:      one array [T, B] a carry leaf: the norm over units of the carry that step t made.
    carry_grad_norm: the same for dL/d carry_t, counting every use of that carry; NaN before a backward came by.
    compiled:        whether compiled code ran.
    """

    def __init__(self, length: int, carry: list[Tensor]) -> None:
        shapes = [(length, leaf.shape[0] if leaf.ndim else 1) for leaf in carry]
        self._carry_norm = [np.zeros(shape) for shape in shapes]
        self._carry_grad_norm = [np.full(shape, np.nan) for shape in shapes]
        self._waiting: list[tuple[Array, Any, Any]] = []  # where, and norms that are still on another device
        self.compiled = False
        self._has_gradients = False

    @property
    def carry_norm(self) -> list[Array]:
        settle([self])
        return self._carry_norm

    @property
    def carry_grad_norm(self) -> list[Array]:
        settle([self])
        return self._carry_grad_norm

    def write(self, k: int, steps: slice, norms: Any, *, gradient: bool) -> None:
        """Keep the norms [steps, B] of carry leaf k, or of its gradients; those on another device are fetched later."""
        leaf = (self._carry_grad_norm if gradient else self._carry_norm)[k]
        if isinstance(norms, float) or home(norms) == "cpu":
            leaf[steps] = norms
        else:
            self._waiting.append((leaf, steps, norms))

    def __repr__(self) -> str:
        steps, batch = self._carry_norm[0].shape if self._carry_norm else (0, 0)
        how = "compiled" if self.compiled else "step by step"
        return f"ScanTrace(T = {steps}, B = {batch}, {len(self._carry_norm)} carry leaves, {how})"

    def curves(self, title: str) -> str:
        """‖carry_t‖ and ‖dL/d carry_t‖ over the batch, as a picture."""
        series = {}
        for what, leaves in (("carry", self.carry_norm), ("gradient", self.carry_grad_norm)):
            for i, norms in enumerate(leaves):
                total = lengths(norms).tolist()
                series[f"{what} {i}" if len(leaves) > 1 else what] = (range(len(total)), total)
        return svg.curves(title, series, x="time step t", log=True)

    def _repr_html_(self) -> str:
        return svg.page(self.curves(repr(self)))

    def note_carry(self, t: int, carry: list[Tensor]) -> None:
        """Keep the norms of step t's carry."""
        for norms, leaf in zip(self._carry_norm, carry, strict=True):
            norms[t] = _norm(leaf)

    def begin_gradients(self) -> None:
        """A backward came by: what it does not reach has a gradient of zero."""
        if not self._has_gradients:
            self._has_gradients = True
            for norms in self._carry_grad_norm:
                norms[...] = 0.0

    def note_gradient(self, step: Step, gradient: Callable[[Tensor], Any]) -> None:
        """Keep the norms of step t's cotangents: the cell's own result where the row ran, the kept carry elsewhere."""
        for norms, made, kept in zip(self._carry_grad_norm, step.made, step.kept, strict=True):
            g = gradient(made)
            norms[step.t] = 0.0 if g is None else _norm(g)
            if step.alive is not None and (g := gradient(kept)) is not None:
                norms[step.t] = np.where(step.alive, norms[step.t], _norm(g))


def settle(traces: list[ScanTrace], beside: list[Any] | None = None) -> list[Any]:
    """Bring what traces left on another device, and the arrays `beside`, which are returned, with one wait for it."""
    waiting = [entry for trace in traces for entry in trace._waiting]
    found = fetch([*(norms for *_, norms in waiting), *(beside or [])])
    for (leaf, steps, _), norms in zip(waiting, found, strict=False):
        leaf[steps] = norms
    for trace in traces:
        trace._waiting.clear()
    return found[len(waiting) :]


def lengths(x: Array, axis: int = -1) -> Array:
    """The lengths of vectors in float64, each measured by its largest number: no square vanishes or overflows."""
    sizes = np.abs(x.astype(np.float64))
    top = sizes.max(axis=axis, keepdims=True, initial=0.0)
    measured = (top > 0) & (top < np.inf)
    scale = np.where(measured, np.maximum(top, np.finfo(np.float64).tiny), 1.0)
    found = np.sqrt(np.square(np.where(measured, sizes / scale, 0.0)).sum(axis=axis, keepdims=True))
    return np.squeeze(np.where(measured, found * scale, top), axis)


def _norm(x: Tensor) -> Array:
    """[B, ...] -> [B]."""
    return lengths(x.numpy().reshape(x.shape[0] if x.ndim else 1, prod(x.shape[1:])))


class Trace:
    """`scans`: a ScanTrace for each scan that ran within the block, in their order."""

    def __init__(self) -> None:
        self.scans: list[ScanTrace] = []

    def __repr__(self) -> str:
        return f"Trace({self.scans})"

    def _repr_html_(self) -> str:
        return svg.page(*(scan.curves(f"scan {i}: {scan}") for i, scan in enumerate(self.scans)))


class _Tracing(threading.local):
    def __init__(self) -> None:
        self.active: list[list[ScanTrace]] = []


tracing = _Tracing()


@contextmanager
def no_trace(on: bool = True) -> Iterator[None]:
    """Let scans within the block leave no trace; `on=False`: let them."""
    before = tracing.active
    tracing.active = [] if on else before
    try:
        yield
    finally:
        tracing.active = before


@contextmanager
def trace() -> Iterator[Trace]:
    """Keep, for each scan within the block, the norms of its carries and of their gradients at every step."""
    made = Trace()
    tracing.active.append(made.scans)
    try:
        yield made
    finally:
        tracing.active.remove(made.scans)
