"""Deriving the backward of a graph, with the rules that the eager tape uses.

    { inputs ; consts -> outs }   ->   { saved, g_outs -> g_inputs, g_consts }

Imports `graph`, `trace` and the floors below. `saved` are the values of the forward that some rule names.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from minigrad.arraytype import SCALARS, ArrayType, is_floating
from minigrad.core import interpreting
from minigrad.ir.graph import Atom, Equation, Graph, Variable, check, name_variables
from minigrad.ir.trace import Tracer, zeros
from minigrad.tape import fit


@dataclass
class Backward:
    """The derived graph. Its inputs are `saved`, then one cotangent an output; its results one an input and weight.

    totals: the whole cotangent of each value of the forward that has one.
    """

    graph: Graph
    saved: list[Variable]
    wrt: list[Variable]
    totals: dict[Variable, Any]


def derive(graph: Graph) -> Backward:
    """Walk the equations from the last to the first, adding cotangents up."""
    active = _active(graph)
    derived = Graph([])
    tracer = Tracer(derived)
    cotangents: dict[Variable, Any] = {}
    named = [(v, name) for v, name in zip(graph.outs, graph.results, strict=True) if isinstance(v, Variable)]
    g_outs = [Variable(v.type, f"g_{name}") for v, name in named]
    with interpreting(tracer):
        for (v, _), g in zip(named, g_outs, strict=True):
            _add(cotangents, active, v, g)
        for equation in reversed(graph.equations):
            _pull(equation, cotangents, active)
        wrt = [v for v in [*graph.inputs, *graph.consts] if v in active]
        outs = [cotangents[v] if v in cotangents else tracer.lift(zeros(v.type)) for v in wrt]
    for v, g in cotangents.items():
        if isinstance(g, Variable) and not g.is_named and len(v.name) > 2 - v.is_named * 2:
            g.name, g.is_named = f"g_{v.name}", v.is_named
    derived.outs = outs
    derived.equations = [*_remade(graph, derived), *derived.equations]
    made = {out for e in derived.equations for out in e.outs} | {*g_outs, *derived.consts}
    used = [a for e in derived.equations for a in e.inputs if isinstance(a, Variable)]
    saved = [a for a in dict.fromkeys([*used, *(o for o in outs if isinstance(o, Variable))]) if a not in made]
    derived.inputs = [*saved, *g_outs]
    name_variables(derived, [v.name for v in saved])
    check(derived)
    return Backward(derived, saved, wrt, cotangents)


def _remade(graph: Graph, derived: Graph) -> list[Equation]:
    """The equations of the forward whose result costs less to compute again than to save.

    A sigmoid's slope is computed from x, and from the same exponential as the sigmoid: of both only x is saved.
    """
    uses: dict[Atom, list[Equation]] = defaultdict(list)
    results = set(derived.outs)
    for e in derived.equations:
        for a in e.inputs:
            uses[a].append(e)
    return [
        e for e in graph.equations
        if e.op.name in ("sigmoid", "tanh") and e.inputs[0] in uses and e.outs[0] not in results
        and uses[e.outs[0]] and all(user.op.loop for user in uses[e.outs[0]])
    ]  # fmt: skip


def _active(graph: Graph) -> set[Variable]:
    """What a gradient is wanted for: inputs and weights of floats, and all that is computed from them."""
    active = {v for v in graph.inputs if is_floating(v.dtype)}
    active |= {v for v, value in graph.consts.items() if value.requires_grad}
    for e in graph.equations:
        if e.op.vjp is not None and any(isinstance(a, Variable) and a in active for a in e.inputs):
            active.update(out for out in e.outs if is_floating(out.dtype))
    return active


def _add(cotangents: dict[Variable, Any], active: set[Variable], to: Atom, g: Any) -> None:
    if isinstance(to, Variable) and to in active and g is not None:
        g = fit(g() if callable(g) else g, to.type)
        cotangents[to] = cotangents[to] + g if to in cotangents else g


def _pull(equation: Equation, cotangents: dict[Variable, Any], active: set[Variable]) -> None:
    """Apply one op's rule, if a cotangent arrived at one of its results."""
    gs = [cotangents.get(out) for out in equation.outs]
    op = equation.op
    if op.vjp is None or all(g is None for g in gs):
        return
    inputs = [
        a if type(a) in SCALARS or op.keeps_input(i) else ArrayType(a.shape, a.dtype)
        for i, a in enumerate(equation.inputs)
    ]
    if op.multiple:
        gs = [zeros(out.type) if g is None else g for g, out in zip(gs, equation.outs, strict=True)]
        found = op.vjp(gs, equation.outs, *inputs, **equation.metadata)
    else:
        found = op.vjp(gs[0], equation.outs[0], *inputs, **equation.metadata)
    for atom, g in zip(equation.inputs, found, strict=True):
        _add(cotangents, active, atom, g)
