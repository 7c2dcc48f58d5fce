"""Running a function on stand-ins, and writing down what it does.

    function, types  ->  graph

Imports `graph` and the floors below. What the function closes over becomes a const of the graph: a weight, if it
requires a gradient.
"""

import sys
import traceback
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from minigrad import random
from minigrad.arraytype import SCALARS, ArrayType, promote
from minigrad.core import Interpreter, Op, interpreting
from minigrad.eager import plain
from minigrad.errors import MinigradError, TraceError
from minigrad.ir.graph import Equation, Graph, Variable, check, name_variables
from minigrad.mode import is_recording, recording
from minigrad.ops.elementwise import stop_gradient
from minigrad.values import Tensor

NUMBERS = (int, float)
Spot = tuple[int, int]  # equation, input


class Tracer(Interpreter):
    """Writes each op down as an equation; Tensors that it meets, and numbers at the `free` spots, become consts."""

    def __init__(
        self,
        graph: Graph,
        names: Mapping[int, str] | None = None,
        code: CodeType | None = None,
        free: Container[Spot] = (),
    ) -> None:
        self.graph, self.names, self.code, self.free = graph, names or {}, code, free
        self.called: dict[str, Any] = {}  # what the variables of the function with that code were when last looked at
        self._seen: dict[int, Variable] = {id(value): variable for variable, value in graph.consts.items()}

    def run(self, op: Op, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Any:
        """Note the equation; return stand-ins for its results."""
        if op.name == "to":
            raise TraceError("the cell moves a value to another device. Move it before the scan")
        if self.free:
            here = len(self.graph.equations)
            inputs = tuple(number(x, promote(*inputs)) if (here, i) in self.free else x for i, x in enumerate(inputs))
        atoms = tuple(x if type(x) in SCALARS or isinstance(x, Variable) else self.lift(x) for x in inputs)
        if all(type(x) in SCALARS for x in atoms):
            atoms = tuple(self.lift(x) for x in atoms)
        rule = op.type_rule(*atoms, **metadata)
        outs = tuple(Variable(t) for t in (rule if op.multiple else (rule,)))
        self.graph.equations.append(Equation(op, atoms, metadata, outs))
        if self.code is not None:
            self._look_at_names()
        if not is_recording() and op.vjp is not None:
            with recording(True):  # the cell says no_grad() here
                outs = tuple(stop_gradient(out) for out in outs)
        return outs if op.multiple else outs[0]

    def _look_at_names(self) -> None:
        """Keep what the function calls its values, those in a list or tuple with their index. (Not by `sys.setprofile`,
        which may be somebody else's.)
        """
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        for name, value in frame.f_locals.items() if frame is not None else ():
            several = isinstance(value, (list, tuple))
            self.called.update({f"{name}{i}": v for i, v in enumerate(value)} if several else {name: value})

    def lift(self, data: Any) -> Variable:
        """A const for a Tensor or an array; the same one for the same Tensor."""
        value = plain(data)
        if id(value) not in self._seen:
            variable = Variable(ArrayType(value.shape, value.dtype), self.names.get(id(value), value.name))
            self._seen[id(value)] = variable
            self.graph.consts[variable] = value  # which also keeps the id from being given again
        return self._seen[id(value)]

    def draw(self, make: Callable[[], Any]) -> Variable:
        """An input for random numbers; the generator stays where it is."""
        state = random.get_state()
        sample = make()
        random.set_state(state)
        variable = Variable(ArrayType(sample.shape, sample.dtype))
        self.graph.draws[variable] = make
        return variable


def trace(
    function: Callable[..., Sequence[Any]],
    types: Sequence[ArrayType],
    names: Sequence[str] = (),
    results: Callable[[], Sequence[str]] = lambda: (),
    code: CodeType | None = None,
    weights: Mapping[int, str] | None = None,
    free: Container[Spot] = (),
) -> Graph:
    """Run `function` on one stand-in a type; return the graph of what it did, checked.

    `names`, and `results` once it has run, are what its arguments and results are called in print; what else it
    computes is called after the variables of the function with that `code`. `weights` names Tensors by their id.
    Numbers at the `free` spots become consts, since they differ from call to call.

    Raises:
        TraceError: if the function asks for the value of a stand-in, or draws random numbers other than by `draw`.
    """
    inputs = [Variable(t, name) for t, name in zip(types, [*names, *[""] * len(types)], strict=False)]
    graph = Graph(inputs)
    tracer = Tracer(graph, weights, code, free)
    state = random.get_state()
    with interpreting(tracer), recording(True):
        outs = list(by_author(function, *inputs))
        graph.outs = [x if isinstance(x, Variable) else tracer.lift(x) for x in outs]
    if random.get_state() != state:
        random.set_state(state)
        raise TraceError("the cell draws random numbers, which would be the same at each step; mg.nn.Dropout is known")
    graph.inputs = [*inputs, *graph.draws]
    called = list(results())
    graph.results = [*called, *[f"out{i}" for i in range(len(called), len(graph.outs))]]
    named = [*zip(graph.outs, called, strict=False), *((value, name) for name, value in tracer.called.items())]
    for atom, result in named:
        if isinstance(atom, Variable) and not atom.is_named:
            atom.name, atom.is_named = result, True
    name_variables(graph)
    check(graph)
    return graph


def by_author(function: Callable[..., Any], *inputs: Variable) -> Any:
    """What somebody else's function gives for stand-ins.

    Raises:
        TraceError: for whatever it raises that is not of minigrad's family, unless the compiler itself did.
    """
    try:
        return function(*inputs)
    except MinigradError:
        raise
    except Exception as error:
        *_, frame = traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent == Path(__file__).parent:
            raise
        reason = f"it does what a stand-in cannot, {type(error).__name__}: {error}"
        raise TraceError(reason.rstrip(".?")) from error


def number(x: float, dtype: np.dtype[Any]) -> Tensor:
    """A Python number as a const, in the dtype that it is weak beside."""
    return plain(np.asarray(x, dtype))


def zeros(type_: ArrayType) -> Tensor:
    """What stands for a cotangent that nothing contributes to."""
    return plain(np.zeros(type_.shape, type_.dtype))
