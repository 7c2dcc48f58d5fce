"""Running a program: arrays for its kernels, the products before and after the loop, the sums over the batch.

Imports the files of its floor, the kernels and the floors below. T steps, B rows. A scan may run in segments of steps:

    ahead = Ahead(program, consts, reverse)
    part = ahead.run(carry, xs)                     # a Workspace: all that these steps left
    back = Back(ahead)
    back.run(part, g_carry, g_ys, norms)            # segments from the last to the first
    back.finish()                                   # the gradients of the weights
"""

import threading
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.codegen.places import Array, Place
from minigrad.codegen.program import Half, Program
from minigrad.codegen.workspace import Workspace, give, take
from minigrad.errors import ShapeError
from minigrad.ir.graph import Atom, Equation, Variable
from minigrad.ir.rows import SUMMED, TURNED
from minigrad.jit import load
from minigrad.kernels import matmul, rows
from minigrad.llvm import COLS, ROWS
from minigrad.values import Tensor

Numbers = np.ndarray[Any, Any]
UNTRACED = np.empty((1, 1))


class Direction:
    """One half of a program with the weights of one scan."""

    def __init__(self, half: Half, values: dict[Variable, Numbers], reverse: bool) -> None:
        self.half, self.values, self.reverse = half, values, reverse
        self.fixed: list[tuple[Array, Numbers]] = []
        self.packed: dict[Equation, Numbers] = {}
        self.spare: Workspace | None = None
        for array, v, kind in half.constants:
            if kind in ("row", "shared"):
                shape = (half.plan.batch, -1) if kind == "row" else (-1,)
                self.fixed.append((array, np.ascontiguousarray(self.look(v)).reshape(shape)))
            else:
                self.fixed.append((array, self.panels(v, kind == "linear", array.dtype)))

    def look(self, atom: Atom) -> Any:
        """The value of a constant or scalar; one made of other constants is computed when it is asked for."""
        if not isinstance(atom, Variable):
            return atom
        if atom not in self.values:
            e = self.half.makers[atom]
            made = e.op.forward(*(self.look(a) for a in e.inputs), **e.metadata)
            self.values.update(zip(e.outs, made if e.op.multiple else (made,), strict=True))
        return self.values[atom]

    def panels(self, v: Variable, transposed: bool, dtype: Any) -> Numbers:
        """A weight as `multiply` takes it."""
        w = self.look(v).astype(dtype, copy=False)
        if not w.flags.c_contiguous and w.T.flags.c_contiguous:
            w, transposed = w.T, not transposed
        return matmul.pack(np.ascontiguousarray(w), transposed)

    def workspace(self, steps: int) -> Workspace:
        """Arrays for that many steps, with the weights among them."""
        if self.spare is not None and self.spare.steps == steps:
            space, self.spare = self.spare, None
            return space
        space = take(self.half, steps)
        for array, numbers in self.fixed:
            space.put(array, numbers)
        return space

    def done(self, space: Workspace, again: bool = False) -> None:
        """Nobody needs these arrays any more; `again`: but this scan will soon need others like them."""
        if again and self.spare is None:
            self.spare = space
        else:
            give(space)

    def held(self, space: Workspace, v: Variable) -> Numbers:
        """A value that is held for all steps, [T, B, N]."""
        plan = self.half.plan
        return self.steps_of(space, plan.kept[v] if v in plan.kept else plan.places[v])

    def steps_of(self, space: Workspace, place: Place) -> Numbers:
        """What lies at a place at each step, [T, B, N]."""
        numbers = space.arrays[place.array]
        if place.array.kind == "carry":
            return numbers[1:] if (place.at == "new") != self.reverse else numbers[:-1]
        return numbers

    def loop(self, kernel: Any, space: Workspace, down: bool, traced: bool) -> None:
        """Run a kernel on all rows, shared out among the threads."""
        half, late, steps = self.half, int(self.reverse), space.steps

        def run(first: int, last: int) -> None:
            kernel(first, last, steps, down, late, traced, *half.sizes.names, *space.args)

        threads.share(half.plan.batch, half.work * steps * half.plan.batch, run)

    def products(self, space: Workspace, equations: list[Equation]) -> None:
        """Products with weights and look-ups, for all steps at once."""
        for e in equations:
            x, w = e.inputs[0], e.inputs[1]
            out = self.held(space, e.outs[0])
            if e.op.name == "getitem":
                out[...] = _looked_up(self.look(x), self.held(space, w)).reshape(out.shape)
                continue
            a = self.held(space, x).reshape(-1, x.shape[-1]).astype(out.dtype, copy=False)
            out = out.reshape(-1, e.outs[0].shape[-1])
            if e not in self.packed:
                self.packed[e] = self.panels(w, e.op.name == "linear", out.dtype)
            product(a, self.packed[e], out)
            if len(e.inputs) > 2:
                out += self.look(e.inputs[2])


class Ahead(Direction):
    """The forward of one scan."""

    def __init__(self, program: Program, consts: dict[Variable, Numbers], reverse: bool) -> None:
        self.program, self.module = program, load(program.text)
        super().__init__(program.forward, {**consts, **program.forward.lifted}, reverse)

    def run(self, carry: list[Numbers], xs: list[Numbers]) -> Workspace:
        """Run the steps of xs, [T, B, ...] each."""
        half, steps = self.half, len(xs[0])
        space = self.workspace(steps)
        for array, x in zip(half.given, xs, strict=True):
            space.put(array, np.ascontiguousarray(x).reshape(steps, half.plan.batch, array.width))
        start = steps if self.reverse else 0
        for array, leaf in zip(half.carries, carry, strict=True):
            space.arrays[array][start] = leaf.reshape(half.plan.batch, array.width)
        self.products(space, half.parts.before)
        self.loop(self.module.forward, space, self.reverse, False)
        self.products(space, half.parts.after)
        return space


class Back(Direction):
    """The backward of one scan, and the gradients that add up on the way."""

    def __init__(self, ahead: Ahead) -> None:
        self.ahead = ahead
        half = ahead.program.backward
        known = {
            v: value.numpy() if isinstance(value, Tensor) else ahead.look(value)
            for v, value in half.graph.consts.items()
        }
        super().__init__(half, known, ahead.reverse)
        self.sums = {a: np.zeros((half.plan.batch, a.width), a.dtype) for a in half.sums}
        self.totals: dict[Variable, Numbers] = {}
        self.late = [e for e in half.parts.after if half.parts.kinds[e.outs[0]] not in (SUMMED, TURNED)]

    def run(
        self, ahead: Workspace, g_carry: list[Numbers], g_ys: list[Numbers], norms: dict[Array, Numbers] | None
    ) -> Workspace:
        """Go back over the steps of a segment; `g_carry` is of the carry that it left."""
        half, batch = self.half, self.half.plan.batch
        space = self.workspace(ahead.steps)
        for array in half.lent:
            space.put(array, ahead.arrays[array])
        for array, numbers in self.sums.items():
            space.put(array, numbers)
        for array, g in zip(half.carries, g_carry, strict=True):
            space.arrays[array][0] = g.reshape(batch, array.width)
        for array, g in zip(half.given, g_ys, strict=True):
            space.put(array, np.ascontiguousarray(g).reshape(ahead.steps, batch, array.width))
        for _, array, *_ in half.norms:
            space.put(array, UNTRACED if norms is None else norms[array])
        self.products(space, half.parts.before)
        self.loop(self.ahead.module.backward, space, not self.reverse, norms is not None)
        self.products(space, self.late)
        self._contract(space)
        return space

    def _contract(self, space: Workspace) -> None:
        """Add to the weights' gradients what these steps have for them."""
        turned: dict[Variable, Variable] = {}
        backwards = not self.reverse
        for e in self.half.parts.after:
            out = e.outs[0]
            if e.op.name == "permute_dims":
                turned[out] = e.inputs[0]
            elif e.op.name == "matmul" and e.inputs[0] in turned:
                a, b = (
                    self.held(space, v).reshape(-1, v.shape[-1]).astype(out.dtype, copy=False)
                    for v in (turned[e.inputs[0]], e.inputs[1])
                )
                self.totals[out] = outer(a, b, self.totals.get(out), backwards)
            elif e.op.name == "put":
                g, index = (self.held(space, v) for v in e.inputs)
                if out not in self.totals:
                    self.totals[out] = np.zeros(out.shape, out.dtype)
                order = slice(None, None, -1 if backwards else 1)
                rows.add_rows(self.totals[out], index.reshape(-1)[order], g.reshape(index.size, -1)[order])

    def finish(self) -> list[Numbers | None]:
        """What was summed up, for each input and weight that has a gradient; None for those known step by step."""
        for e in self.half.totals:
            sums = self.sums[self.half.plan.arrays["sum", e.inputs[0]]]
            self.totals[e.outs[0]] = e.op.forward(sums.reshape(e.inputs[0].shape), **e.metadata)
        for v in self.half.summands:
            self.totals[v] = self.sums[self.half.plan.arrays["sum", v]].reshape(v.shape)
        for e in self.half.parts.finish:
            made = e.op.forward(*(self.totals[a] if a in self.totals else self.look(a) for a in e.inputs), **e.metadata)
            self.totals.update(zip(e.outs, made if e.op.multiple else (made,), strict=True))
        found: list[Numbers | None] = []
        for result in self.half.results:
            g = self.totals[result] if isinstance(result, Variable) else None
            g = self.sums[result] if isinstance(result, Array) else g
            found.append(g.copy() if g is not None and any(g is other for other in found) else g)
        return found


def _looked_up(table: Numbers, index: Numbers) -> Numbers:
    """table [N, ...], index [T, B, K] -> [T, B, K, ...]."""
    low, high = index.min(initial=0), index.max(initial=0)
    if not -len(table) <= low <= high < len(table):
        raise ShapeError(f"a look-up in a weight of {len(table)} rows: indices reach from {low} to {high}.")
    return table[index]


def product(a: Numbers, panels: Numbers, out: Numbers) -> None:
    """out = a w, the rows shared out among the threads."""

    def run(first: int, last: int) -> None:
        matmul.multiply(a, panels, out, first, last)

    threads.share(len(a), 2 * out.size * a.shape[1], run)


class _Own(threading.local):
    """One thread's own."""

    def __init__(self) -> None:
        self.kept: dict[Any, tuple[Numbers, Numbers]] = {}


_own = _Own()


def _scratch(m: int, dtype: Any) -> tuple[Numbers, Numbers]:
    """This thread's working memory for `outer`."""
    kept = _own.kept
    key = m, dtype
    if key not in kept:
        left = np.empty((-(-m // ROWS) * matmul.DEPTH, ROWS), dtype)
        kept[key] = left, np.empty((matmul.GROUP * matmul.DEPTH, COLS), dtype)
    return kept[key]


def outer(a: Numbers, b: Numbers, total: Numbers | None, backwards: bool) -> Numbers:
    """total + aᵀ b, the wider one's columns shared out among the threads;  a [R, M], b [R, N] -> [M, N]."""
    if a.shape[1] > b.shape[1]:
        return outer(b, a, None if total is None else total.T, backwards).T
    m, n = a.shape[1], b.shape[1]
    out = np.empty((m, n), a.dtype) if total is None else total

    def run(first: int, last: int) -> None:
        matmul.outer_panels(a, b, total is not None, backwards, *_scratch(m, a.dtype), out, first, last)

    threads.share(-(-n // COLS), 2 * len(a) * m * n, run)
    return out
