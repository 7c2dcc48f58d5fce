"""Rewriting a graph into one that says the same with less: no dead or double equation, nothing moved for nothing.

Imports `graph`, `trace` and the floors below. Each pass here is a function graph -> graph; `passes.py` has the order.
"""

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.arraytype import SCALARS
from minigrad.core import interpreting
from minigrad.ir.graph import Atom, Equation, Graph, Variable
from minigrad.ir.trace import Tracer
from minigrad.ops.elementwise import identity, reciprocal, square
from minigrad.ops.elementwise import pow as power
from minigrad.ops.index import within
from minigrad.ops.shape import permute_dims

Rule = Callable[[Equation], Sequence[Atom] | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """The graph with each equation replaced by what `rule` makes of it with ops; None leaves it as it is."""
    new = Graph(graph.inputs, dict(graph.consts), results=graph.results)
    same: dict[Variable, Atom] = {}

    def look(atom: Atom) -> Atom:
        return same.get(atom, atom) if isinstance(atom, Variable) else atom

    with interpreting(Tracer(new)):
        for old in graph.equations:
            equation = Equation(old.op, tuple(map(look, old.inputs)), old.metadata, old.outs)
            found = rule(equation)
            if found is None:
                new.equations.append(equation)
                continue
            for out, atom in zip(equation.outs, found, strict=True):
                same[out] = atom
                if isinstance(atom, Variable) and not atom.is_named:
                    atom.name, atom.is_named = out.name, out.is_named
    new.outs = [look(atom) for atom in graph.outs]
    return new


def constant_variables(graph: Graph) -> set[Variable]:
    """Consts, and what is computed from nothing else."""
    known = set(graph.consts)
    for e in graph.equations:
        if all(type(a) in SCALARS or a in known for a in e.inputs):
            known.update(e.outs)
    return known


def constants_first(graph: Graph) -> Graph:
    """Equations on consts alone go to the front, where every other one may use them."""
    known = constant_variables(graph)
    order = sorted(graph.equations, key=lambda e: e.outs[0] not in known)
    return Graph(graph.inputs, graph.consts, order, graph.outs, graph.results)


def drop_dead(graph: Graph) -> Graph:
    """Without the equations, and the consts, that no result depends on."""
    wanted = {a for a in graph.outs if isinstance(a, Variable)}
    kept = []
    for e in reversed(graph.equations):
        if not wanted.isdisjoint(e.outs):
            kept.append(e)
            wanted.update(a for a in e.inputs if isinstance(a, Variable))
    consts = {v: value for v, value in graph.consts.items() if v in wanted}
    return Graph(graph.inputs, consts, kept[::-1], graph.outs, graph.results)


def name_carries(graph: Graph, carry: int, ys: int) -> Graph:
    """The graph with each carry that it makes under a variable that every use of it reads, so that no other pass can
    make one of it and an equal value: the gradient of that carry alone is asked for by a trace.
    """
    made = {a for a in [*graph.outs[:carry], *graph.outs[carry + ys :]] if isinstance(a, Variable)}

    def rule(e: Equation) -> Sequence[Atom] | None:
        if made.isdisjoint(e.outs) or e.op is identity:
            return None
        outs = e.op(*e.inputs, **e.metadata)
        return [identity(out) if old in made else out
                for old, out in zip(e.outs, outs if e.op.multiple else (outs,), strict=True)]  # fmt: skip

    return rewrite(graph, rule)


def drop_identities(graph: Graph) -> Graph:
    """Without the names for carries; from here on an equal value may stand for another."""
    return rewrite(graph, lambda e: e.inputs if e.op is identity else None)


def join_equal(graph: Graph) -> Graph:
    """One equation for all that compute the same; a split undoes the concat it came from. A name is no computation."""
    seen: dict[Any, tuple[Variable, ...]] = {}
    made: dict[Variable, Equation] = {}

    def rule(e: Equation) -> Sequence[Atom] | None:
        source = made.get(e.inputs[0]) if e.op.name == "split" else None
        if source is not None and source.op.name == "concat" and source.metadata["axis"] == e.metadata["axis"]:
            if tuple(a.shape[e.metadata["axis"]] for a in source.inputs) == e.metadata["sizes"]:
                return source.inputs
        key = (
            e.op.name,
            repr(sorted(e.metadata.items())),
            tuple(a if isinstance(a, Variable) else repr(a) for a in e.inputs),
        )
        if key in seen and e.op is not identity:
            return seen[key]
        seen[key] = e.outs
        made.update(dict.fromkeys(e.outs, e))
        return None

    return rewrite(graph, rule)


Check = tuple[Any, int, int, str]  # integers, from where to where they may reach, and what for


def take_checks(graph: Graph) -> tuple[Graph, list[Check]]:
    """The graph without its `within`, which no loop can raise; what they looked at is the last of its results."""
    found: list[Check] = []

    def rule(e: Equation) -> Sequence[Atom] | None:
        if e.op is not within:
            return None
        found.append((e.inputs[0], e.metadata["low"], e.metadata["high"], e.metadata["what"]))
        return e.inputs

    graph = rewrite(graph, rule)
    graph.outs = [*graph.outs, *(index for index, *_ in found)]
    return graph, found


def plain_powers(graph: Graph) -> Graph:
    """x² and x³ as products, 1 / x as what it is: a power of a number that is not known takes fifty times as long."""

    def rule(e: Equation) -> Sequence[Atom] | None:
        if e.op is not power or e.outs[0].dtype.kind != "f" or type(e.inputs[1]) not in SCALARS:
            return None
        x, y = e.inputs
        plain = {2: lambda: square(x), 3: lambda: square(x) * x, -1: lambda: reciprocal(x)}.get(y)
        return [plain()] if plain else None

    return rewrite(graph, rule)


def undo_moves(graph: Graph) -> Graph:
    """permute(f(permute(x, p)), q) becomes f(permute(x, pq)): a batch that is moved away and back again stays."""
    made: dict[Variable, Equation] = {}

    def rule(e: Equation) -> Sequence[Atom] | None:
        axes = e.metadata.get("axes", ())
        if e.op.name != "permute_dims" or axes[:1] == (0,) or not comes_back(e.inputs[0], axes):
            made.update(dict.fromkeys(e.outs, e))
            return None
        return [moved(e.inputs[0], axes)]

    def comes_back(x: Atom, axes: tuple[int, ...]) -> bool:
        if type(x) in SCALARS:
            return True
        source = made.get(x)
        if source is None or source.op.name == "permute_dims":
            return source is not None and source.metadata["axes"][axes[0]] == 0
        alike = [type(a) in SCALARS or a.shape == x.shape for a in source.inputs]
        return bool(source.op.loop) and all(alike) and all(comes_back(a, axes) for a in source.inputs)

    def moved(x: Atom, axes: tuple[int, ...]) -> Atom:
        if type(x) in SCALARS:
            return x
        source = made[x]
        if source.op.name == "permute_dims":
            return permute_dims(source.inputs[0], [source.metadata["axes"][a] for a in axes])
        return source.op(*(moved(a, axes) for a in source.inputs), **source.metadata)

    return rewrite(graph, rule)


def describe(graph: Graph) -> Graph:
    """Say in a value's name what it is, where the cell gave it none: `sigmoid_f`, `weight_hh_h`."""
    taken = {v.name for v in [*graph.inputs, *graph.consts, *(out for e in graph.equations for out in e.outs)]}
    for e in graph.equations:
        out, named = e.outs[0], [a for a in e.inputs if isinstance(a, Variable) and (a.is_named or a in graph.consts)]
        if out.is_named or len(named) < len(e.inputs) or len(e.outs) > 1:
            continue
        parts = [e.op.name, named[0].name] if len(named) == 1 and e.op.loop else []
        if e.op.name in ("linear", "matmul"):
            parts = [named[1].name, named[0].name]
        name = "_".join(parts)
        if name and name not in taken:
            taken.add(name)
            out.name = name
    return graph


def expand(graph: Graph) -> Graph:
    """Softmax, layer norm, products of stacked matrices and the like, in terms of simpler ops."""

    def rule(e: Equation) -> Sequence[Atom] | None:
        if e.op.expand is None or (e.op.name == "matmul" and all(a.ndim == 2 for a in e.inputs)):
            return None
        return [e.op.expand(*e.inputs, **e.metadata)]

    return rewrite(graph, rule)
