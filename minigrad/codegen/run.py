"""Running a program: arrays for its kernels, the products before and after the loop, the sums over the batch.

Imports the files of its floor, the kernels and the floors below. T steps, B rows.

    state = run.forward(consts, carry, xs, reverse)      -> carry, ys
    sums.add(state, g_carry, g_ys)                       -> g_carry, g_xs;  sums.finish() -> gradients of the weights
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad import threads
from minigrad.codegen import arena
from minigrad.codegen.places import Array, Place
from minigrad.codegen.program import Half, Program
from minigrad.ir.graph import Atom, Equation, Variable
from minigrad.ir.rows import SUMMED, TURNED
from minigrad.jit import load
from minigrad.kernels import matmul, rows
from minigrad.llvm import COLS, ROWS
from minigrad.values import Tensor

Numbers = np.ndarray[Any, Any]


class Constants:
    """What does not change over time: weights, what is computed from them alone, and their panels."""

    def __init__(self, half: Half, values: dict[Variable, Numbers]) -> None:
        self.half, self.values = half, values
        self.arrays: dict[Array, Numbers] = {}
        for array, v, kind in half.constants:
            if kind in ("row", "shared"):
                shape = (half.plan.batch, -1) if kind == "row" else (-1,)
                self.arrays[array] = np.ascontiguousarray(self.look(v)).reshape(shape)
            else:
                self.arrays[array] = self.panels(v, kind == "linear", array.dtype)

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


class Runner:
    """A program's kernels with the weights of one scan."""

    def __init__(self, program: Program, consts: dict[Variable, Numbers], reverse: bool) -> None:
        self.program, self.reverse = program, reverse
        self.module = load(program.text)
        known = {**consts, **{v: value.numpy() for v, value in program.forward.graph.consts.items()}}
        self.constants = Constants(program.forward, known)
        self.back: Constants | None = None

    def backward_constants(self) -> Constants:
        """The weights as the backward wants them."""
        if self.back is None:
            ahead = self.constants
            known = {}
            for v, value in self.program.backward.graph.consts.items():
                known[v] = value.numpy() if isinstance(value, Tensor) else ahead.look(value)
            self.back = Constants(self.program.backward, known)
        return self.back

    def forward(self, carry: list[Numbers], xs: list[Numbers]) -> "Segment":
        """Run the steps of xs, [T, B, ...] each."""
        half, steps = self.program.forward, len(xs[0])
        given = {}
        for v, x in zip(half.graph.inputs[self.program.carry :], xs, strict=True):
            given[half.plan.places[v].array] = x
        segment = Segment(self, half, steps, self.constants, given)
        start = steps if self.reverse else 0
        for v, leaf in zip(half.graph.inputs, carry, strict=False):
            segment[half.plan.places[v].array][start] = leaf.reshape(self.program.batch, -1)
        segment.products(half.parts.before)
        segment.loop(self.module.forward, self.reverse, None)
        segment.products(half.parts.after)
        return segment


class Segment:
    """Some steps of one direction: its arrays, made when first asked for."""

    def __init__(
        self, runner: Runner, half: Half, steps: int, constants: Constants, given: dict[Array, Numbers]
    ) -> None:
        self.runner, self.half, self.steps, self.constants = runner, half, steps, constants
        self.batch = half.plan.batch
        self.own: dict[Array, Numbers] = {}
        self.arrays: dict[Array, Numbers] = {
            array: np.ascontiguousarray(x).reshape(steps, self.batch, -1) for array, x in given.items()
        }

    def __getitem__(self, array: Array) -> Numbers:
        if array in self.constants.arrays:
            return self.constants.arrays[array]
        if array not in self.arrays:
            leading = {"time": (self.steps,), "carry": (self.steps + 1,), "swap": (2,)}.get(array.kind, ())
            shape = (*leading, self.batch, array.width)
            if array.kind == "sum":
                self.arrays[array] = np.zeros(shape, array.dtype)
            else:
                self.arrays[array] = self.own[array] = arena.take(shape, array.dtype)
        return self.arrays[array]

    def free(self, seen: Iterable[Array]) -> None:
        """Give memory back, but for the arrays that somebody else has seen."""
        for array in seen:
            self.own.pop(array, None)
        arena.give(self.own.values())
        self.own, self.arrays = {}, {}

    def steps_of(self, place: Place) -> Numbers:
        """A value for all steps, [T, B, N]."""
        numbers = self[place.array]
        if place.array.kind == "carry":
            after = (place.at == "new") != self.runner.reverse
            return numbers[1:] if after else numbers[:-1]
        return numbers

    def whole(self, v: Variable) -> Numbers:
        """A value that is held for all steps, [T, B, N]."""
        plan = self.half.plan
        return self.steps_of(plan.kept[v] if v in plan.kept else plan.places[v])

    def loop(self, kernel: Any, down: bool, norms: dict[Array, Numbers] | None) -> None:
        """Run a kernel on all rows, shared out among the threads."""
        traced = norms is not None
        empty = np.empty((1, 1)) if traced is False else None
        sizes = list(self.half.sizes.names)
        arrays = [(norms or {}).get(a, empty) if a.kind == "norm" else self[a] for a in self.half.arrays]
        late = int(self.runner.reverse)

        def run(first: int, last: int) -> None:
            kernel(first, last, self.steps, down, late, traced, *sizes, *arrays)

        threads.share(self.batch, self.half.work * self.steps * self.batch, run)

    def products(self, equations: list[Equation]) -> None:
        """Products with weights and look-ups, for all steps at once."""
        for e in equations:
            if self.half.parts.kinds[e.outs[0]] not in (SUMMED, TURNED):
                self._product(e)

    def _product(self, e: Equation) -> None:
        plan, x, w = self.half.plan, e.inputs[0], e.inputs[1]
        out = self.steps_of(plan.places[e.outs[0]])
        if e.op.name == "getitem":
            index = self.whole(w)
            out[...] = self.constants.look(x)[index[..., 0] if index.shape[-1] == 1 else index].reshape(out.shape)
            return
        a = self.whole(x).reshape(-1, x.shape[-1]).astype(out.dtype, copy=False)
        out = out.reshape(-1, e.outs[0].shape[-1])
        panels = self.constants.panels(w, e.op.name == "linear", out.dtype)

        def run(first: int, last: int) -> None:
            matmul.multiply(a, panels, out, False, first, last)

        threads.share(len(a), 2 * out.size * a.shape[1], run)
        if len(e.inputs) > 2:
            out += self.constants.look(e.inputs[2])


class Sums:
    """The backward of one scan, a segment at a time from the end, and the gradients that add up on the way."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.half = runner, runner.program.backward
        self.constants = runner.backward_constants()
        self.sums: dict[Array, Numbers] = {}
        self.values: dict[Variable, Numbers] = {}

    def add(
        self, ahead: Segment, g_carry: list[Numbers], g_ys: list[Numbers], norms: dict[Array, Numbers] | None
    ) -> Segment:
        """Go back over the steps of a segment; `g_carry` is of the carry that it left."""
        plan, graph = self.half.plan, self.half.graph
        segment = Segment(self.runner, self.half, ahead.steps, self.constants, {})
        segment.arrays.update(self.sums)
        for array in plan.arrays.values():
            if array in ahead.arrays:
                segment.arrays[array] = ahead.arrays[array]
        places = [plan.places[g] for g in graph.inputs[len(graph.inputs) - len(g_carry) - len(g_ys) :]]
        for place, g in zip(places, g_carry, strict=False):
            segment[place.array][0] = g.reshape(segment.batch, -1)
        for place, g in zip(places[len(g_carry) :], g_ys, strict=True):
            segment.arrays[place.array] = np.ascontiguousarray(g).reshape(segment.steps, segment.batch, -1)
        segment.products(self.half.parts.before)
        segment.loop(self.runner.module.backward, not self.runner.reverse, norms)
        self.sums = {a: n for a, n in segment.arrays.items() if a.kind == "sum"}
        segment.products(self.half.parts.after)
        self._contract(segment)
        return segment

    def _contract(self, segment: Segment) -> None:
        """Add to the weights' gradients what these steps have for them."""
        turned: dict[Variable, Variable] = {}
        backwards = not self.runner.reverse
        for e in self.half.parts.after:
            out = e.outs[0]
            if e.op.name == "permute_dims":
                turned[out] = e.inputs[0]
            elif e.op.name == "matmul" and e.inputs[0] in turned:
                x, g = turned[e.inputs[0]], e.inputs[1]
                a, b = (segment.whole(v).reshape(-1, v.shape[-1]).astype(out.dtype, copy=False) for v in (x, g))
                self.values[out] = outer(a, b, self.values.get(out), backwards)
            elif e.op.name == "put":
                g, index = (segment.whole(v) for v in e.inputs)
                if out not in self.values:
                    self.values[out] = np.zeros(out.shape, out.dtype)
                order = slice(None, None, -1 if backwards else 1)
                rows.add_rows(self.values[out], index.reshape(-1)[order], g.reshape(index.size, -1)[order])

    def finish(self) -> list[Numbers | None]:
        """The gradient of each thing that has one and is not summed up by steps; None for those that are."""
        parts, plan = self.half.parts, self.half.plan
        for e in parts.after:
            if e.op.name == "sum":
                sums = self.sums[plan.arrays["sum", e.inputs[0]]]
                self.values[e.outs[0]] = e.op.forward(sums.reshape(e.inputs[0].shape), **e.metadata)
        for e in parts.finish:
            inputs = [self.values[a] if a in self.values else self.constants.look(a) for a in e.inputs]
            made = e.op.forward(*inputs, **e.metadata)
            self.values.update(zip(e.outs, made if e.op.multiple else (made,), strict=True))
        return [
            self.values[r] if isinstance(r, Variable) else self.sums[r] if isinstance(r, Array) else None
            for r in self.half.results
        ]


def outer(a: Numbers, b: Numbers, total: Numbers | None, backwards: bool) -> Numbers:
    """total + aᵀ b, the wider one's columns shared out among the threads;  a [R, M], b [R, N] -> [M, N]."""
    if a.shape[1] > b.shape[1]:
        return outer(b, a, None if total is None else total.T, backwards).T
    m, n = a.shape[1], b.shape[1]
    out = np.empty((m, n), a.dtype) if total is None else total

    def run(first: int, last: int) -> None:
        left = np.empty((-(-m // ROWS), matmul.DEPTH, ROWS), a.dtype)
        right = np.empty((matmul.GROUP, matmul.DEPTH, COLS), a.dtype)
        matmul.outer_panels(a, b, total is not None, backwards, left, right, out, first, last)

    threads.share(-(-n // COLS), 2 * len(a) * m * n, run)
    return out
