"""`scan`: one recurrence over time, one node of the tape.

Imports the floors below. `Steps.run` is the definition. (Not called `scan.py`: `mg.scan` is a function.)
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import random
from minigrad.arguments import flag, short
from minigrad.arraytype import show
from minigrad.core import as_value, running
from minigrad.device import put
from minigrad.eager import Eager
from minigrad.errors import DeviceError, DtypeError, MinigradError, ScanError, ShapeError, TraceError, placed
from minigrad.folding import FoldNode, fold, untouched
from minigrad.mode import mode, quiet, recording
from minigrad.ops.elementwise import identity
from minigrad.ops.shape import concat, split, stack, unstack
from minigrad.padding import alive_rows, count_steps, select, without_padding
from minigrad.tape import now
from minigrad.tracing import ScanTrace, Step, tracing
from minigrad.tree import flatten, paths, unflatten
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]
Cell = Callable[[Any, Any], tuple[Any, Any]]


def scan(
    cell: Cell,
    carry: Any,
    xs: Any,
    *,
    length: int | None = None,
    lengths: Any = None,
    reverse: bool = False,
    compiled: bool | None = None,
    checkpoint: int | str | None = None,
) -> tuple[Any, Any]:
    """Run `carry, y = cell(carry, x)` over the first axis of `xs`; return the last carry and all `y`, stacked.

    Args:
        cell: a function of a carry and one step's `x`; every Tensor that it closes over is a weight.
        carry: a Tensor or nest of Tensors, `[B, ...]`; each step returns the same nest, shapes and dtypes.
        xs: a Tensor or nest of Tensors, `[T, ...]` each, or None. T = 0 is legal.
        length: T, where there are no xs; the cell is then called as `cell(carry, None)`.
        lengths: integers `[B]`, 0 to T: past its length a row keeps its carry and its `y` is zero, and what stands in
            xs there counts for nothing, be it NaN.
        reverse: run from the last step to the first; a row then starts at its own last step.
        compiled: `None` runs code compiled from the cell, or where there can be none the loop below, and says once why;
            `True` raises instead; `False` is the loop below, which is the definition.
        checkpoint: keep the carry every that many steps ("sqrt": every √T) and compute the rest again in the backward.

    Returns:
        The last carry, and the nest of `y`, `[T, ...]` each, in the order of `xs`.

    Raises:
        ScanError: for a cell, carry, `xs` or `lengths` that do not fit together.

    >>> import minigrad as mg
    >>> mg.scan(lambda total, x: (total + x, total + x), mg.zeros(1), mg.ones((3, 1)))[0]
    tensor([3.])
    """
    if not callable(cell):
        raise ScanError(f"scan: the cell must be a function of (carry, x), not {short(cell)}.")
    if compiled is not None and not isinstance(compiled, (bool, np.bool_)):
        raise ScanError(f"scan: compiled is None, True or False, not {short(compiled)}.")
    steps = Steps(cell, carry, xs, length, lengths, reverse)
    for hear in listeners:
        hear(steps)
    eagerly = isinstance(running.interpreter, Eager)  # else this scan is part of a cell that is being traced
    for scans in tracing.active if eagerly else ():
        steps.traces.append(ScanTrace(steps.length, steps.carry))
        scans.append(steps.traces[-1])
    k = _segment_length(checkpoint, steps.length)
    n = len(steps.carry)
    reason = ""
    if compiled is not False and steps.length and eagerly:
        outs, reason = _compiled(steps, None if checkpoint is None else k, bool(compiled))
        if compiled and reason:
            raise ScanError(f"scan(compiled=True): {steps.name} cannot be compiled: {reason}.")
        if not reason:
            return unflatten(steps.carry_structure, outs[:n]), unflatten(steps.y_structure, outs[n:])
    starts = range(0, steps.length, k)

    def run() -> tuple[list[Tensor], list[Step]]:
        if checkpoint is None:
            return steps.run(steps.carry, steps.xs, 0, steps.length)
        return _in_segments(steps, k, list(starts))

    outs = fold(run, heard=steps.heard, again=False) if eagerly else run()[0]
    if reason:
        _say_once(f"{steps.name} runs step by step, not compiled: {reason}")
    return unflatten(steps.carry_structure, outs[:n]), unflatten(steps.y_structure, outs[n:])


listeners: list[Callable[["Steps"], None]] = []


@contextmanager
def listening(hear: Callable[["Steps"], None]) -> Iterator[None]:
    """Tell `hear` of each scan within the block before it runs."""
    listeners.append(hear)
    try:
        yield
    finally:
        listeners.remove(hear)


def _compiled(steps: "Steps", every: int | None, strict: bool) -> tuple[list[Tensor], str]:
    """The results by compiled code, or why there is none."""
    from minigrad import compiled, fused

    try:
        call = compiled.find(steps, afresh=strict)
    except TraceError as error:
        return [], str(error).rstrip(".")
    except MinigradError:
        if strict:
            raise
        return [], "its first step fails"  # and fails again, step by step
    for trace in steps.traces:
        trace.compiled = True
    return fused.run(steps, call, every), ""


_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        plain = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)  # it steers no terminal
        print(f"minigrad: {plain}.", file=sys.stderr)


def _segment_length(checkpoint: int | str | None, length: int) -> int:
    if checkpoint is None:
        return max(length, 1)
    if isinstance(checkpoint, str) and checkpoint == "sqrt":
        return max(isqrt(max(length - 1, 0)) + 1, 1)
    if not isinstance(checkpoint, int) or isinstance(checkpoint, bool) or checkpoint < 1:
        raise ScanError(f'scan: checkpoint is None, a number of steps from 1 on, or "sqrt", not {checkpoint!r}.')
    return checkpoint


def _in_segments(steps: "Steps", k: int, starts: list[int]) -> tuple[list[Tensor], list[Step]]:
    """The loop in pieces of k steps, each a node that runs its piece again when the backward comes."""
    cuts = starts[1:]
    pieces: list[Any] = [split(x, cuts) for x in steps.xs]
    n, carry, ys = len(steps.carry), steps.carry, {}
    for s in reversed(range(len(starts))) if steps.reverse else range(len(starts)):
        part, count = [p[s] for p in pieces], min(k, steps.length - starts[s])
        outs = fold(partial(steps.run, carry, part, starts[s], count), heard=steps.heard, again=True)
        carry, ys[s] = outs[:n], outs[n:]
    if not starts:
        return steps.run(carry, steps.xs, 0, 0)
    return carry + [concat([ys[s][i] for s in sorted(ys)]) for i in range(len(ys[0]))], []


class Steps:
    """A cell with its checked arguments; `run` is the loop."""

    def __init__(self, cell: Cell, carry: Any, xs: Any, length: Any, lengths: Any, reverse: bool) -> None:
        self.cell, self.reverse = cell, flag("scan", "reverse", reverse)
        leaves, self.carry_structure = flatten(carry)
        self.carry = [as_value(leaf) for leaf in leaves]
        leaves, self.xs_structure = flatten(xs)
        self.xs = [as_value(leaf) for leaf in leaves]
        self.y_structure: Any = None
        self.began = now()
        self.traces: list[ScanTrace] = []
        if any([not x.ndim for x in self.xs]):
            raise ScanError(
                "scan: a leaf of xs has no axis; the first one is the time, which xs [T, ...] is cut along."
            )
        if len(self.xs) > 1 and len({len(x) for x in self.xs}) > 1:
            names = paths(self.xs_structure, "xs")
            sizes = ", ".join(f"{name} {show(x)}" for name, x in zip(names, self.xs, strict=True))
            raise ScanError(f"scan: the first axis of every leaf of xs is the time, and must agree: {sizes}.")
        self.length = count_steps(length, len(self.xs[0]) if self.xs else None)
        self.alive = None if lengths is None else alive_rows(lengths, self.length, self.carry)
        if self.alive is not None and not self.alive.all():
            self.xs = [without_padding(x, self.alive) for x in self.xs]

    @property
    def name(self) -> str:
        """What messages call the cell."""
        owner = getattr(self.cell, "__self__", None)
        named = getattr(self.cell, "__qualname__", type(self.cell).__name__) if owner is None else type(owner).__name__
        return f"the cell {named}".replace(".<locals>", "")

    @property
    def carry_names(self) -> list[str]:
        """What the cell calls the leaves of its carry, else how a user would write them."""
        names = list(getattr(getattr(self.cell, "__self__", None), "carry_names", ()))
        return names if len(names) == len(self.carry) else paths(self.carry_structure, "carry")

    @property
    def called(self) -> str:
        """The function's own name, and where it is written."""
        name = getattr(self.cell, "__qualname__", type(self.cell).__name__).replace("<locals>.", "")
        code = getattr(getattr(self.cell, "__func__", self.cell), "__code__", None)
        return name if code is None else f"{name} ({Path(code.co_filename).name}, line {code.co_firstlineno})"

    def run(self, carry: list[Tensor], xs: list[Tensor], start: int, length: int) -> tuple[list[Tensor], list[Step]]:
        """The definition: `length` steps from `start` on, one after the other."""
        if not length:
            return carry + self._no_ys(), []
        x_at = list(zip(*(unstack(x) for x in xs), strict=True)) or [()] * length
        ys: list[list[Tensor]] = [[]] * length
        steps = []
        for t in reversed(range(length)) if self.reverse else range(length):
            made, y = self._call(carry, x_at[t], start + t)
            alive = None if self.alive is None else self.alive[start + t]
            kept = made
            if alive is not None:
                kept = [select(alive, new, old) for new, old in zip(made, carry, strict=True)]
                y = [select(alive, leaf, False if leaf.dtype.kind == "b" else 0) for leaf in y]
            carry, ys[t] = kept, y
            steps.append(Step(start + t, made, kept, alive))
            for trace in self.traces:
                trace.note_carry(start + t, kept)
        return carry + [stack(leaves) for leaves in zip(*ys, strict=True)], steps

    def _call(self, carry: list[Tensor], x: Sequence[Tensor], t: int) -> tuple[list[Tensor], list[Tensor]]:
        before, mode.taken = mode.taken, self._numbers_taken
        try:
            result: Any = self.cell(unflatten(self.carry_structure, carry), unflatten(self.xs_structure, x))
        except (ShapeError, DtypeError, DeviceError) as error:
            raise placed(error, f"step {t}") from error
        finally:
            mode.taken = before
        if not isinstance(result, tuple) or len(result) != 2:
            raise ScanError(
                f"scan: the cell {self.called} must return (carry, y), at step {t} it returned {_kind(result)}."
            )
        made, structure = flatten(result[0])
        if structure != self.carry_structure:
            raise ScanError(
                f"scan: the cell {self.called} returns a carry of another form than it takes: {_kind(result[0])} comes "
                f"out, {_kind(unflatten(self.carry_structure, carry))} goes in. Return the carry in the form it came."
            )
        # What is passed on is a value of its own, so that the trace tells the steps apart.
        given = {id(leaf) for leaf in (*carry, *x)}
        made = [identity(leaf) if id(leaf) in given or self._is_older(leaf) else as_value(leaf) for leaf in made]
        if any([old.shape != new.shape or old.dtype != new.dtype for old, new in zip(carry, made, strict=True)]):
            wrong = [
                f"  {path}: {show(old)} goes in, {show(new)} comes out"
                for path, old, new in zip(self.carry_names, carry, made, strict=True)
                if (old.shape, old.dtype) != (new.shape, new.dtype)
            ]
            raise ScanError(
                "\n".join(
                    [f"the cell {self.called} returns a carry of another type than it takes, at step {t}", *wrong]
                )
                + "\nMake the first carry of the type that comes out, or cast and reshape inside the cell."
            )
        y, self.y_structure = flatten(result[1])
        return made, [as_value(leaf) for leaf in y]

    def _numbers_taken(self) -> None:
        """The cell asked a value on the tape for its numbers, which may be meant."""
        _say_once(
            f"{self.name} takes numbers out of a value with numpy(), and no gradient flows through them. "
            "If that is meant, say detach().numpy()"
        )

    def _is_older(self, leaf: Any) -> bool:
        """Whether a value on the tape was there before this scan."""
        return isinstance(leaf, Tensor) and leaf.edge is not None and leaf.edge[0].number < self.began

    def step(self, *values: Any) -> list[Tensor]:
        """One step on leaves: carry, x, and with `lengths` which rows run -> carry, y, then the carry as made."""
        n, m = len(self.carry), len(self.carry) + len(self.xs)
        carry = list(values[:n])
        made, y = self._call(carry, values[n:m], 0)
        if self.alive is None:
            return made + y
        runs = values[m]
        kept = [select(runs, new, old) for new, old in zip(made, carry, strict=True)]
        return kept + [select(runs, leaf, False if leaf.dtype.kind == "b" else 0) for leaf in y] + made

    def pull_eagerly(self, gs: list[Any], edges: list[Any], state: Any) -> list[Any]:
        """One cotangent a result -> one an edge, by the definition, on the tape: for derivatives of derivatives."""
        after = random.get_state()
        if state is not None:
            random.set_state(state)
        with recording(True), quiet():
            outs, steps = self.run(self.carry, self.xs, 0, self.length)
        random.set_state(after)
        ends = [(out.edge, g) for out, g in zip(outs, gs, strict=True) if out.edge is not None]
        kept = ([edge for edge, _ in ends], steps)
        once = list(dict.fromkeys(edges))  # a tensor may come in twice; the walk finds all of its gradient at once
        found = FoldNode((), once, kept, lambda: kept, self.heard).pull([g for _, g in ends])
        whole = dict(zip(once, found, strict=True))
        return [whole.pop(edge, None) for edge in edges]

    def _no_ys(self) -> list[Tensor]:
        """What `ys` of no steps looks like, and what they would depend on: the cell runs once on zeros to tell."""
        with quiet():
            made, y = self._call(self.carry, [_zeros(x.shape[1:], x) for x in self.xs], 0)
        edges = [x.edge for x in (*made, *y, *self.xs)]
        return [untouched(_zeros((0, *leaf.shape), leaf), edges, self.began) for leaf in y]

    def heard(self, steps: list[Step], gradient: Callable[[Tensor], Any]) -> None:
        """Pass the cotangents of these steps' carries on to the traces."""
        for trace in self.traces:
            trace.begin_gradients()
            for step in steps:
                trace.note_gradient(step, gradient)


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"dict with keys {sorted(value)}"
    return "one Tensor" if isinstance(value, Tensor) else type(value).__name__


def _zeros(shape: Any, like: Tensor) -> Tensor:
    return Tensor(put(np.zeros(shape, like.dtype), like.device))
