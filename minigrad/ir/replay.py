"""Whether a function does again what a graph says: a trace that was made before, checked in a few microseconds an op.

Imports `graph`, and the floors below. A program may not be known by its function: what it closes over may change.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minigrad.core import Interpreter, Op, interpreting
from minigrad.eager import plain
from minigrad.errors import MinigradError
from minigrad.ir.graph import Equation, Graph, Variable
from minigrad.ir.trace import NUMBERS, by_author, number
from minigrad.mode import mode, recording
from minigrad.ops.elementwise import stop_gradient

Found = tuple[dict[Variable, Any], dict[Variable, Callable[[], Any]]]


class Differs(Exception):  # noqa: N818
    """The function does something else this time."""


class Replayer(Interpreter):
    """Compares each op with the next equation, and finds out what stands for each const this time."""

    def __init__(self, graph: Graph, expected: Mapping[Variable, bool]) -> None:
        self.equations = iter(graph.equations)
        self.count = -1  # of the equation that was last compared
        self.expected = expected
        self.moved: set[tuple[int, int]] = set()  # equation and input where a number stands that is another one now
        self.consts: dict[Variable, Any] = {}
        self.waiting = iter(graph.draws)
        self.draws: dict[Variable, Callable[[], Any]] = {}

    def run(self, op: Op, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Any:
        self.count += 1
        equation = next(self.equations, None)
        if equation is None or equation.op is not op or len(inputs) != len(equation.inputs):
            raise Differs
        if metadata != equation.metadata:
            raise Differs
        for i, (x, atom) in enumerate(zip(inputs, equation.inputs, strict=True)):
            if x is not atom and type(x) in NUMBERS and type(atom) in NUMBERS:
                if repr(x) != repr(atom):
                    self.moved.add((self.count, i))
            elif x is not atom:
                self.compare(x, atom)
        outs = equation.outs
        if not mode.recording and op.vjp is not None:
            stops = [self.next() for _ in outs]  # as the tracer wrote it: no_grad() in the cell
            if any(
                e is None or e.op is not stop_gradient or e.inputs[0] is not out
                for e, out in zip(stops, outs, strict=True)
            ):
                raise Differs
            outs = tuple(e.outs[0] for e in stops if e is not None)
        return outs if op.multiple else outs[0]

    def next(self) -> Equation | None:
        """The next equation."""
        self.count += 1
        return next(self.equations, None)

    def compare(self, x: Any, atom: Any) -> None:
        """Take `x` for the const `atom`, or find the scalar unchanged."""
        if not isinstance(atom, Variable):
            if type(x) is not type(atom) or repr(x) != repr(atom):
                raise Differs
            return
        value = None if isinstance(x, Variable) else number(x, atom.dtype) if type(x) in NUMBERS else plain(x)
        known = self.consts.get(atom)
        if value is None or atom not in self.expected or (known is not None and known is not value):
            raise Differs
        if value._data.shape != atom.type.shape or value._data.dtype != atom.type.dtype:
            raise Differs
        if (value.edge is not None) is not self.expected[atom]:
            raise Differs
        self.consts[atom] = value

    def lift(self, data: Any) -> Any:
        return plain(data)

    def draw(self, make: Callable[[], Any]) -> Variable:
        variable = next(self.waiting, None)
        if variable is None:
            raise Differs
        self.draws[variable] = make
        return variable


def replay(
    graph: Graph, expected: Mapping[Variable, bool], function: Callable[..., Sequence[Any]], count: int
) -> Found | set[tuple[int, int]] | None:
    """Run `function` on the first `count` inputs of `graph`; return what its consts and draws are now, or None if it
    does something else; or, if only numbers are others, where they stand. `expected` says of each const whether it
    requires a gradient.
    """
    replayer = Replayer(graph, expected)
    try:
        with interpreting(replayer), recording(True):
            outs = by_author(function, *graph.inputs[:count])
        if len(outs) != len(graph.outs):
            return None
        for x, atom in zip(outs, graph.outs, strict=True):
            if x is not atom:
                replayer.compare(x, atom)
    except (Differs, MinigradError):
        return None
    if replayer.next() is not None or len(replayer.consts) != len(expected):
        return None
    return replayer.moved or (replayer.consts, replayer.draws)
