"""Which axis of each value is the batch, and that no equation mixes its rows: what makes a loop by rows right.

Imports `graph` and the floors below. A value of a step is one of

    constant    made of weights alone
    by rows     [B, ...]; `inner` is the shape of one row. A product folds axes into the first one, [B S, K] for
                [B, S, K]: `folded` says how many
    turned      a value by rows with the batch moved to the end, as a weight's gradient asks for: xᵀ g
    summed      over the rows: a weight's gradient, and what is computed from it
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from minigrad.arraytype import Shape
from minigrad.errors import TraceError
from minigrad.ir.graph import Equation, Graph, Variable
from minigrad.ir.simplify import constant_variables

REDUCTIONS = ("sum", "max", "min", "all", "any")


class MixesRowsError(TraceError):
    """An op that no loop by rows can compute; its text is the reason, for one sentence."""


@dataclass(frozen=True)
class Rows:
    """A value by rows."""

    inner: Shape
    folded: int = 0


TURNED, SUMMED = "turned", "summed"
Kind = Rows | str  # of each variable that is not constant


def kinds_of(graph: Graph, batch: int, given: Mapping[Variable, Kind] | None) -> dict[Variable, Kind]:
    """The kind of every variable that is not constant. Sums over the batch are for backwards only, where `given` has
    the kinds of the inputs that the forward made.

    Raises:
        MixesRowsError: with the op and the reason, if rows are mixed or an op has no loop.
    """
    constant = constant_variables(graph)
    kinds: dict[Variable, Kind] = {}
    for v in graph.inputs:
        if given is not None and v in given:
            kinds[v] = given[v]
            continue
        if not v.shape or v.shape[0] != batch:
            raise MixesRowsError(f"{v.name or 'a value'} {v.type} has no batch of {batch} as its first axis")
        kinds[v] = Rows(v.shape[1:])
    for e in graph.equations:
        if e.outs[0] not in constant:
            of_inputs = [kinds.get(a) if isinstance(a, Variable) else None for a in e.inputs]
            step = _Step(e, of_inputs, batch)
            found = SUMMED if SUMMED in of_inputs else step.kind()
            if found == SUMMED and given is None:
                raise step.refusal("it works across the batch, its axis 0")
            if SUMMED in of_inputs and any(isinstance(k, Rows) for k in of_inputs):
                raise MixesRowsError("a value is used by rows and as a factor, and its gradient would mix the two")
            kinds.update(zip(e.outs, found if isinstance(found, list) else [found] * len(e.outs), strict=True))
    return kinds


@dataclass
class _Step:
    """One equation, the kinds of its inputs (None: constant), and the size of the batch."""

    e: Equation
    given: list[Kind | None]
    batch: int

    def kind(self) -> Kind | list[Kind]:
        """The kind of what comes out."""
        name = self.e.op.name
        if TURNED in self.given and name != "matmul":
            raise self.refusal("it moves the batch away from the first axis")
        has_loop = self.e.op.loop and self.e.outs[0].dtype.kind in self.e.op.loops_over
        rule = getattr(self, f"_{name}", None) or (self._elements if has_loop else None)
        if name in REDUCTIONS:
            rule = self._reduce
        if rule is None:
            raise self.refusal("no loop is written for it")
        result: Kind | list[Kind] = rule()
        return result

    def refusal(self, why: str) -> MixesRowsError:
        shapes = ", ".join(str(a.type) if isinstance(a, Variable) else repr(a) for a in self.e.inputs)
        return MixesRowsError(f"the op {self.e.op.name} on {shapes}: {why}")

    def first(self) -> Rows:
        """The kind of the first input, which must be by rows."""
        if not isinstance(self.given[0], Rows):
            raise self.refusal("its rows are not those of the batch")
        return self.given[0]

    def inner_axis(self, axis: int) -> int:
        """The axis within a row."""
        if axis == 0:
            raise self.refusal("it works across the batch, its axis 0")
        return axis - 1 + self.first().folded

    def like(self, rows: Rows, shape: Shape) -> Rows:
        """The kind of a value of that graph shape, folded as `rows` is."""
        return Rows((*rows.inner[: rows.folded], *shape[1:]), rows.folded)

    def _elements(self) -> Kind:
        out = self.e.outs[0]
        rows = [(k, a) for k, a in zip(self.given, self.e.inputs, strict=True) if isinstance(k, Rows)]
        kind, _ = rows[0]
        if any(a.ndim != out.ndim or a.shape[0] != out.shape[0] for _, a in rows):
            raise self.refusal("broadcasting puts the batch beside another axis")
        if any(k.folded != kind.folded or k.inner[: k.folded] != kind.inner[: kind.folded] for k, _ in rows):
            raise self.refusal("its inputs have the batch folded differently")
        for k, a in zip(self.given, self.e.inputs, strict=True):
            if k is None and isinstance(a, Variable) and a.ndim == out.ndim and a.shape[0] != 1 and kind.folded:
                raise self.refusal("a constant by rows meets a folded batch")
        return self.like(kind, out.shape)

    def _reshape(self) -> Kind:
        shape, kind = self.e.outs[0].shape, self.first()
        if shape and shape[0] == self.batch:
            return Rows(shape[1:])
        for folded in range(1, len(kind.inner) + 1):
            if shape and shape[0] == self.batch * prod(kind.inner[:folded]):
                return Rows((*kind.inner[:folded], *shape[1:]), folded)
        raise self.refusal("it takes the batch apart")

    def _permute_dims(self) -> Kind:
        axes, kind = self.e.metadata["axes"], self.first()
        if axes == (1, 0):
            return TURNED
        if axes[0] != 0 or kind.folded:
            raise self.refusal("it moves the batch away from the first axis")
        return Rows(self.e.outs[0].shape[1:])

    def _broadcast_to(self) -> Kind:
        kind, (x, out) = self.first(), (self.e.inputs[0], self.e.outs[0])
        if x.ndim != out.ndim or x.shape[0] != out.shape[0]:
            raise self.refusal("it broadcasts the batch")
        return self.like(kind, out.shape)

    def _flip(self) -> Kind:
        for axis in self.e.metadata["axes"]:
            self.inner_axis(axis)
        return self.first()

    def _concat(self) -> Kind:
        if None in self.given and any(a.shape[0] != self.e.outs[0].shape[0] for a in self.e.inputs):
            raise self.refusal("a part has no batch")
        rows = next(k for k in self.given if isinstance(k, Rows))
        if self.e.metadata["axis"] == 0 or rows.folded:
            raise self.refusal("it joins along the batch")
        return self.like(rows, self.e.outs[0].shape)

    _stack = _concat

    def _split(self) -> list[Kind]:
        self.inner_axis(self.e.metadata["axis"])
        return [self.like(self.first(), out.shape) for out in self.e.outs]

    _unstack = _split

    def _getitem(self) -> Kind:
        key = self.e.metadata["key"]
        if len(self.e.inputs) > 1:
            index = self.given[1]
            if self.given[0] is None and isinstance(index, Rows) and key == ("array",) and not index.folded:
                return Rows(self.e.outs[0].shape[1:])
            raise self.refusal("index arrays look up rows of a weight; within a row use slices and concat")
        if not key or (key[0] is not Ellipsis and key[0] != slice(None)) or self.first().folded:
            raise self.refusal("it picks rows of the batch")
        if key[0] is Ellipsis and sum(k is not None for k in key) - 1 >= self.e.inputs[0].ndim:
            raise self.refusal("it picks rows of the batch")
        return Rows(self.e.outs[0].shape[1:])

    def _put(self) -> Kind:
        key = self.e.metadata["key"]
        if len(self.e.inputs) > 1:
            if key == ("array",) and isinstance(self.given[0], Rows) and isinstance(self.given[1], Rows):
                return SUMMED
            raise self.refusal("only rows of a weight are looked up by index")
        return Rows(self.e.outs[0].shape[1:])

    def _reduce(self) -> Kind:
        axes, kind = self.e.metadata["axes"], self.first()
        if 0 in axes:
            if self.e.op.name != "sum":
                raise self.refusal("it works across the batch, its axis 0")
            return SUMMED
        return self.like(kind, self.e.outs[0].shape)

    def _linear(self) -> Kind:
        if self.given[1:] != [None] * (len(self.given) - 1):
            raise self.refusal("its weight differs from row to row")
        return self.like(self.first(), self.e.outs[0].shape)

    def _matmul(self) -> Kind:
        if self.given[0] == TURNED and not isinstance(self.given[1], str):
            return SUMMED
        if self.given[0] is None and isinstance(self.given[1], Rows) and self.e.inputs[0].ndim == 2:
            return SUMMED
        if self.given[1] is not None:
            raise self.refusal("its second factor has the batch where the sum runs")
        return self.like(self.first(), self.e.outs[0].shape)
