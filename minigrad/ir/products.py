"""Few large products, and everything between them one loop: what makes four gates cost what one weight costs.

Imports `graph`, `simplify` and the floors below. Each pass is a function graph -> graph; `passes.py` has the order.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from minigrad.arraytype import SCALARS
from minigrad.ir.graph import Atom, Equation, Graph, Variable
from minigrad.ir.simplify import constant_variables, rewrite
from minigrad.ops.linalg import linear, matmul
from minigrad.ops.shape import concat, split


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
