"""Running the program of a scan, all at once or in segments, as one node of the tape.

Imports `compiled`, `codegen` and the floors below.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import device as devices
from minigrad import random
from minigrad.arraytype import ArrayType, is_floating
from minigrad.codegen.places import Place
from minigrad.codegen.run import UNTRACED, Numbers, functions
from minigrad.codegen.workspace import Arrays, give, take
from minigrad.compiled import Call, Steps
from minigrad.eager import together
from minigrad.errors import MutationError
from minigrad.ir.graph import Variable
from minigrad.jit import compiling_for
from minigrad.kernels.cpu import row_norms
from minigrad.mode import mode, no_grad
from minigrad.tape import Node
from minigrad.values import Tensor

UNSEEN = 32  # steps at a time, where no backward will come and nothing is kept


def run(steps: Steps, call: Call, every: int | None) -> list[Tensor]:
    """The results of a scan: the last carry, then ys. `every`: keep the carry every that many steps, else all."""
    with compiling_for(steps.name):
        scan = Scan(steps, call, every)
        outs = [Tensor(out) for out in scan.forward()]
    if not scan.keep:
        return outs
    node = ScanNode(scan, outs)
    for i, sources in enumerate(call.program.flows):
        if any([scan.edges[k] is not None for k in sources]):
            outs[i].edge = (node, i)
    return outs


class Scan:
    """One call: the values it was given, and what it keeps for the backward."""

    def __init__(self, steps: Steps, call: Call, every: int | None) -> None:
        self.steps, program = steps, call.program
        self.program = program
        self.random = random.get_state() if call.draws else None
        consts = [call.consts[v] for v in program.consts]
        between = len(program.traced.inputs) - len(steps.carry) - len(steps.xs)
        self.values: list[Any] = _together([*steps.carry, *steps.xs, *[None] * between, *consts])
        self.device = self.values[0].device
        self.run, self.arrays = functions(program, self.device), devices.arrays(self.device)
        found = [self.values[i] for i in program.active_at]
        self.edges = [None if value is None else value.edge for value in found]
        self.keep = mode.recording and any([edge is not None for edge in self.edges])
        length = steps.length
        self.size = max(1, min(length, every or length if self.keep else min(every or UNSEEN, UNSEEN)))
        self.starts = list(range(0, length, self.size))
        if steps.reverse:
            self.starts.reverse()
        carry, last = len(steps.carry), len(program.traced.inputs)
        self.weights, self.behind = self.run.weights(*[value._data for value in self.values[last:]])
        self.carry, self.xs = ([x._data for x in self.values[a:b]] for a, b in ((0, carry), (carry, last - between)))
        if steps.alive is not None:
            self.xs.append(devices.put(steps.alive, self.device))
        if call.draws:
            self.xs += [devices.put(numbers, self.device) for numbers in self._drawn(call.draws)]
        self.carries: list[list[Numbers]] = []  # before each segment, in the order of running
        self.whole: Segment | None = None  # all that was computed, if it is all in one segment

    def _drawn(self, draws: dict[Variable, Callable[[], Any]]) -> list[Numbers]:
        """[T, ...] of random numbers each, drawn in the order in which the steps run."""
        found = [np.empty((self.steps.length, *v.shape), v.dtype) for v in draws]
        times = range(self.steps.length)
        for t in reversed(times) if self.steps.reverse else times:
            for numbers, make in zip(found, draws.values(), strict=True):
                numbers[t] = make()
        return found

    def part(self, carry: list[Numbers], start: int) -> "Segment":
        """Run the segment from `start` on."""
        xs = self.xs if len(self.starts) == 1 else [x[start : start + self.size] for x in self.xs]
        length = min(self.size, self.steps.length - start)
        own = take(self.program.forward, length, self.device)
        return Segment(length, own, *self.run.ahead(self.weights, own, length, self.steps.reverse, carry, xs))

    def done(self, part: "Segment") -> None:
        """Nobody needs what a segment left any more."""
        give(part.own)

    def forward(self) -> list[Numbers]:
        """The last carry, then ys."""
        length, reverse = self.steps.length, self.steps.reverse
        carry = self.carry
        ys: list[Numbers] = []
        for start in self.starts:
            part = self.part(carry, start)
            self.carries.append(carry)
            here = slice(start, start + part.length)
            for watcher in self.steps.traces:
                for k, made in enumerate(part.left[: len(carry)]):
                    watcher.write(k, here, _norms(made[:-1] if reverse else made[1:]), gradient=False)
            carry = list(part.carry)
            if len(self.starts) == 1:
                ys = list(part.ys)
                self.whole = part if self.keep else None
            else:
                ys = ys or [self.arrays.empty((length, *y.shape[1:]), y.dtype) for y in part.ys]
                for y, piece in zip(ys, part.ys, strict=True):
                    y[here] = piece
            if self.whole is None:
                self.done(part)
        shapes = [out.shape for out in self.program.traced.outs]
        n = len(carry)
        return [x.reshape(s) for x, s in zip(carry, shapes, strict=False)] + [
            y.reshape(length, *s) for y, s in zip(ys, shapes[n:], strict=False)
        ]

    def backward(self, gs: list[Numbers]) -> list[Any]:
        """One cotangent a result -> one a value in `program.active` that has an edge."""
        program, steps, half = self.program, self.steps, self.program.backward
        carried, single = program.carried, len(self.starts) == 1
        g_carry = [gs[k] for k in carried]
        g_ys = [g for g in gs[program.carry :] if is_floating(g.dtype)]
        wanted = [edge is not None for edge in self.edges]
        weights, values = self.run.weights_back(*self.behind)
        empty, zeros = self.arrays.empty, self.arrays.zeros
        sums = [zeros((half.plan.batch, a.width), a.dtype) for a in half.sums]
        totals: list[Any] = [None] * len(half.added)
        norms = [devices.put(UNTRACED, self.device)] * len(half.norms)
        g_xs: list[Numbers] = []
        for i in reversed(range(len(self.starts))):
            start = self.starts[i]
            part = self.whole or self.part(self.carries[i], start)
            here = slice(start, start + part.length)
            if steps.traces:
                norms = [zeros((part.length, half.plan.batch), np.float64) for _ in half.norms]
            own = take(half, part.length, self.device)
            g_carry, found = self.run.back(
                weights, own, part.left, part.length, steps.reverse, g_carry,
                g_ys if single else [g[here] for g in g_ys], sums, totals, norms, bool(steps.traces), wanted,
            )  # fmt: skip
            for watcher in steps.traces:
                for k in range(program.carry):
                    made = (n for n, (j, *_) in zip(norms, half.norms, strict=True) if j == k)
                    watcher.write(k, here, next(made, 0.0), gradient=True)
            if single:
                g_xs = found
            else:
                g_xs = g_xs or [empty((steps.length, *g.shape[1:]), g.dtype) for g in found]
                for g, piece in zip(g_xs, found, strict=True):
                    g[here] = piece
            give(own)
            if part is not self.whole:
                self.done(part)
        of_weights = self.run.finish(values, sums, totals)
        n, by_steps = len(carried), iter(g_xs)
        rest = zip(half.results[n:], of_weights[n:], strict=True)
        every = [*g_carry, *(next(by_steps) if isinstance(r, Place) else g for r, g in rest)]
        shaped = zip(every, self.edges, program.active_at, strict=True)
        return [g if g is None else g.reshape(self.values[i].shape) for g, edge, i in shaped if edge is not None]

    def free(self) -> None:
        """Nobody will come back for what was kept."""
        if self.whole is not None:
            self.done(self.whole)


def _together(values: list[Any]) -> list[Any]:
    """The values of a scan on one device; those that come from nowhere, such as a mask, go where the others are."""
    if all([x is None or type(x._data) is np.ndarray for x in values]):
        return values
    away = next(x for x in values if x is not None and x.device != "cpu")
    return [x if x is None else together("scan", [x], away)[0] for x in values]


class Segment(NamedTuple):
    """Some steps that ran: how many, the arrays that are theirs, what the backward reads, the last carry, ys."""

    length: int
    own: Arrays
    left: tuple[Numbers, ...]
    carry: tuple[Numbers, ...]
    ys: tuple[Numbers, ...]


def _norms(values: Numbers) -> Numbers:
    """[T, B, N] -> [T, B], in float64."""
    if devices.home(values) != "cpu":
        return devices.arrays(devices.home(values)).row_norms(values)
    steps, batch, width = values.shape
    out = np.empty((steps, batch))
    floats = values if is_floating(values.dtype) else values.astype(np.float64)
    row_norms(np.ascontiguousarray(floats).reshape(steps * batch, width), out.reshape(-1))
    return out


class ScanNode(Node):
    """A compiled scan on the tape."""

    __slots__ = ("scan", "versions")

    def __init__(self, scan: Scan, outs: list[Tensor]) -> None:
        edges = [edge for edge in scan.edges if edge is not None]
        super().__init__(tuple([ArrayType(out.shape, out.dtype) for out in outs]), edges)
        self.scan: Any = scan
        again = scan.whole is None  # all of it will be computed again
        watched = scan.values if again else [scan.values[i] for i in scan.program.read_at]
        self.versions: Any = [(x, x.version[0]) for x in watched if x is not None]

    def pull(self, gs: list[Any]) -> list[Any]:
        for x, version in self.versions:
            if x.version[0] != version:
                name = f"{x.name!r}, " if x.name else ""
                raise MutationError(
                    f"backward of a scan: a Tensor that it needs ({name}{ArrayType(x.shape, x.dtype)}) was changed "
                    "after the forward pass. Call backward() before changing it, or compute the value again."
                )
        if mode.recording:
            return self.scan.steps.pull_eagerly(gs, list(self.edges or ()), self.scan.random)
        zeros = self.scan.arrays.zeros
        numbers = [zeros(t.shape, t.dtype) if g is None else g._data for g, t in zip(gs, self.types, strict=True)]
        with no_grad(), compiling_for(self.scan.steps.name):
            return [None if g is None else Tensor(g) for g in self.scan.backward(numbers)]

    def release(self) -> None:
        super().release()
        self.scan.free()
        self.scan = self.versions = None
