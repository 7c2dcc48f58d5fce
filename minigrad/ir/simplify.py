"""Rewriting a graph into one that says the same with less: no dead or double equation, few large products.

Imports `graph`, `trace` and the floors below. Each pass here is a function graph -> graph; `passes.py` has the order.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.arraytype import SCALARS
from minigrad.core import interpreting
from minigrad.ir.graph import Atom, Equation, Graph, Variable
from minigrad.ir.trace import Tracer
from minigrad.ops.elementwise import identity, reciprocal, square
from minigrad.ops.elementwise import pow as power
from minigrad.ops.index import within
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.shape import concat, split

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


def split_bias(graph: Graph) -> Graph:
    """`linear` with a bias becomes a product and a sum: the sum is free inside a loop, and its gradient is added there.

    Left alone where nothing but a result of the cell comes of it.
    """
    used = {a for e in graph.equations for a in e.inputs if isinstance(a, Variable)}

    def rule(e: Equation) -> Sequence[Atom] | None:
        if e.op.name != "linear" or len(e.inputs) == 2 or e.outs[0] not in used:
            return None
        return [linear(*e.inputs[:2]) + e.inputs[2]]

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


def name_products(graph: Graph) -> Graph:
    """`einsum` of two matrices over one index becomes a product, which the passes after this one know."""

    def rule(e: Equation) -> Sequence[Atom] | None:
        if e.op.name != "einsum" or [len(t) for t in e.metadata["terms"]] != [2, 2]:
            return None
        (left, right), to = e.metadata["terms"], e.metadata["to"]
        x, y = e.inputs
        if left[1] == right[0] and to == left[0] + right[1] and left[0] != right[1]:
            return [matmul(x, y)]
        if left[1] == right[1] and to == left[0] + right[0] and left[0] != right[0]:
            return [linear(x, y)]
        return None

    return rewrite(graph, rule)


def join_slices(graph: Graph) -> Graph:
    """Slices `z[..., a:b]` of one value become one split: its gradient is one concat, not padded arrays to be added."""
    parts: dict[Variable, list[tuple[int, int]]] = defaultdict(list)
    for e in graph.equations:
        if (ends := _last_axis_slice(e)) is not None:
            parts[e.inputs[0]].append(ends)
    pieces: dict[Variable, dict[tuple[int, int], Atom]] = {}
    for variable, slices in parts.items():
        ordered = sorted(set(slices))
        if all(a[1] <= b[0] for a, b in zip(ordered, ordered[1:], strict=False)):
            pieces[variable] = {}

    def rule(e: Equation) -> Sequence[Atom] | None:
        if (ends := _last_axis_slice(e)) is None or e.inputs[0] not in pieces:
            return None
        x = e.inputs[0]
        if not pieces[x]:
            marks = sorted({0, x.shape[-1], *(mark for pair in parts[x] for mark in pair)})
            found = split(x, marks[1:-1], axis=-1)
            pieces[x] = dict(zip(zip(marks, marks[1:], strict=False), found, strict=True))
        return [pieces[x][ends]]

    return rewrite(graph, rule)


def _last_axis_slice(e: Equation) -> tuple[int, int] | None:
    """(a, b) if the equation is `x[..., a:b]`, not empty and not all."""
    if e.op.name != "getitem" or len(e.inputs) != 1 or not isinstance(e.inputs[0], Variable):
        return None
    x, key = e.inputs[0], e.metadata["key"]
    if x.ndim < 2 or not key or not isinstance(key[-1], slice) or len(key) > x.ndim:
        return None
    if len(key) < x.ndim and Ellipsis not in key:
        return None
    if any(k is not Ellipsis and k != slice(None) for k in key[:-1]):
        return None
    start, stop, step = key[-1].indices(x.shape[-1])
    return (start, stop) if step == 1 and start < stop and stop - start < x.shape[-1] else None


def join_products(graph: Graph) -> Graph:
    """Products of one value with several weights become one, with the weights side by side: four gates cost one."""
    constant = constant_variables(graph)
    groups: dict[Any, list[Equation]] = defaultdict(list)

    def key(e: Equation) -> Any:
        is_product = e.op.name in ("linear", "matmul") and len(e.inputs) == 2
        if not is_product or e.inputs[0] in constant or e.inputs[1] not in constant or e.inputs[1].ndim != 2:
            return None
        return e.op.name, e.inputs[0], e.inputs[1].dtype

    for e in graph.equations:
        if (k := key(e)) is not None:
            groups[k].append(e)
    done: dict[Variable, Atom] = {}

    def rule(e: Equation) -> Sequence[Atom] | None:
        if e.outs[0] not in done and (k := key(e)) is not None and len(groups[k]) > 1:
            group = groups[k]
            rows = e.op.name == "linear"
            weight = concat([g.inputs[1] for g in group], axis=0 if rows else 1)
            product = (linear if rows else matmul)(e.inputs[0], weight)
            ends: list[int] = []
            for g in group[:-1]:
                ends.append((ends[-1] if ends else 0) + g.outs[0].shape[-1])
            done.update(zip([g.outs[0] for g in group], split(product, ends, axis=-1), strict=True))
        return [done[e.outs[0]]] if e.outs[0] in done else None

    return rewrite(graph, rule)


def sink_splits(graph: Graph) -> Graph:
    """split(f(a, b)) becomes f of the split a and b: an LSTM's gates are one loop over H, not one over 4 H first."""
    made = {out: e for e in graph.equations for out in e.outs}
    uses = Counter(a for e in graph.equations for a in e.inputs if isinstance(a, Variable))
    uses.update(a for a in graph.outs if isinstance(a, Variable))

    def rule(e: Equation) -> Sequence[Atom] | None:
        if (
            e.op.name != "split"
            or e.metadata["axis"] != e.inputs[0].ndim - 1
            or not _sinks(made.get(e.inputs[0]), uses)
        ):
            return None
        return pieces(e.inputs[0], e.metadata["sizes"])

    def pieces(x: Atom, sizes: tuple[int, ...]) -> list[Atom]:
        if type(x) in SCALARS or not x.shape or (x.shape[-1] == 1 and sum(sizes) != 1):  # it is broadcast
            return [x] * len(sizes)
        source = made.get(x)
        if source is None or not _sinks(source, uses):
            ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
            return split(x, ends, axis=-1)
        parts = [pieces(a, sizes) for a in source.inputs]
        return [source.op(*part, **source.metadata) for part in zip(*parts, strict=True)]

    return rewrite(graph, rule)


def _sinks(source: Equation | None, uses: Counter[Variable]) -> bool:
    """Whether a value is made element by element, and for one use only."""
    return source is not None and bool(source.op.loop) and uses[source.outs[0]] == 1


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
