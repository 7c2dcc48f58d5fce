"""Running a function on stand-ins, and writing down what it does.

    function, types  ->  graph

Imports `graph` and the floors below. What the function closes over becomes a const of the graph: a weight, if it
requires a gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.arraytype import SCALARS, ArrayType
from minigrad.core import Interpreter, Op, interpreting
from minigrad.eager import tensor
from minigrad.ir.graph import Equation, Graph, Variable, check, name_variables
from minigrad.values import Tensor


class Tracer(Interpreter):
    """Writes each op down as an equation; Tensors that it meets become consts."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._seen: dict[int, Variable] = {}

    def run(self, op: Op, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Any:
        """Note the equation; return stand-ins for its results."""
        atoms = tuple(x if type(x) in SCALARS or isinstance(x, Variable) else self.lift(x) for x in inputs)
        if all(type(x) in SCALARS for x in atoms):
            atoms = tuple(self.lift(x) for x in atoms)
        rule = op.type_rule(*atoms, **metadata)
        outs = tuple(Variable(t) for t in (rule if op.multiple else (rule,)))
        self.graph.equations.append(Equation(op, atoms, metadata, outs))
        return outs if op.multiple else outs[0]

    def lift(self, data: Any) -> Variable:
        """A const for a Tensor or an array; the same one for the same Tensor."""
        value = data if isinstance(data, Tensor) else tensor(data)
        if id(value) not in self._seen:
            variable = Variable(ArrayType(value.shape, value.dtype), value.name)
            self._seen[id(value)] = variable
            self.graph.consts[variable] = value  # which also keeps the id from being given again
        return self._seen[id(value)]


def trace(
    function: Callable[..., Sequence[Any]],
    types: Sequence[ArrayType],
    names: Sequence[str] = (),
    results: Sequence[str] = (),
) -> Graph:
    """Run `function` on one stand-in a type; return the graph of what it did, checked.

    `names` and `results` are what its arguments and results are called in print.

    Raises:
        TraceError: if the function asks for the value of a stand-in.
    """
    inputs = [Variable(t, name) for t, name in zip(types, [*names, *[""] * len(types)], strict=False)]
    graph = Graph(inputs)
    tracer = Tracer(graph)
    with interpreting(tracer):
        outs = list(function(*inputs))
        graph.outs = [x if type(x) in SCALARS or isinstance(x, Variable) else tracer.lift(x) for x in outs]
    graph.results = [*results, *[f"out{i}" for i in range(len(results), len(graph.outs))]]
    for atom, result in zip(graph.outs, results, strict=False):
        if isinstance(atom, Variable) and not atom.name:
            atom.name = result
    name_variables(graph)
    check(graph)
    return graph


def zeros(type_: ArrayType) -> Tensor:
    """What stands for a cotangent that nothing contributes to."""
    return tensor(np.zeros(type_.shape, type_.dtype))
