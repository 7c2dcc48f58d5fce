"""The tape: which values were made from which, and the walk back along them.

Imports the ground floor and the ops that add cotangents up. Nodes are numbered as they are made, so a walk in falling
order meets every use of a value before the node that made it: no recursion, whatever the depth.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

from minigrad.arraytype import ArrayType
from minigrad.errors import GradientError
from minigrad.ops import elementwise as el
from minigrad.ops import reduce, shape

Edge = tuple["Node", int]  # one output of one node
_numbers = itertools.count()


class Node:
    """Values that were computed together.

    types: of the values. edges: where each input came from, None where no gradient goes; None once used up.
    """

    __slots__ = ("edges", "number", "types")

    def __init__(self, types: tuple[ArrayType, ...], edges: Sequence[Edge | None]) -> None:
        self.types = types
        self.edges: Sequence[Edge | None] | None = edges
        self.number = next(_numbers)

    def __lt__(self, other: "Node") -> bool:
        return self.number > other.number  # so that a heap gives the youngest first

    def pull(self, gs: list[Any]) -> Sequence[Any]:
        """One cotangent a value (None: zero) -> one cotangent an edge."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of everything that the backward needed."""
        self.edges = None


class Leaf(Node):
    """A value that the user wants a gradient for: where the walk ends and cotangents add up."""

    __slots__ = ("grad", "is_gone")

    def __init__(self, type_: ArrayType) -> None:
        super().__init__((type_,), ())
        self.grad: Any = None
        self.is_gone = False  # whether the value has another leaf by now


class Entry(Node):
    """The same value under a node of its own."""

    __slots__ = ()

    def pull(self, gs: list[Any]) -> Sequence[Any]:
        return gs


def fit(g: Any, type_: ArrayType) -> Any:
    """Bring a cotangent to the type of its value: the one place where broadcasting and promotion are undone."""
    if g.shape != type_.shape:
        extra = len(g.shape) - len(type_.shape)
        stretched = tuple(i + extra for i, n in enumerate(type_.shape) if n == 1 and g.shape[i + extra] != 1)
        g = shape.reshape(reduce.sum(g, axis=(*range(extra), *stretched)), type_.shape)
    return g if g.dtype == type_.dtype else el.astype(g, type_.dtype)


def walk_back(
    starts: Iterable[tuple[Edge, Any]],
    *,
    stop: frozenset[Edge] = frozenset(),
    watch: dict[Edge, Any] | None = None,
    keep: bool,
) -> dict[Edge, Any]:
    """Carry cotangents from `starts` back to the leaves and to `stop`.

    Args:
        starts: pairs of an edge and its cotangent.
        stop: edges at which the walk ends, as at a leaf.
        watch: its keys are edges on the way; each gets the whole cotangent that arrived there.
        keep: leave the nodes as they are; else they are used up and freed on the way.

    Returns:
        The cotangent at each leaf and each stop that was reached.

    Raises:
        GradientError: if a node on the way was used up before.
    """
    found: dict[Edge, Any] = {}
    waiting: dict[Node, list[Any]] = {}
    heap: list[Node] = []

    def arrive(edge: Edge, g: Any) -> None:
        node, i = edge
        g = fit(g, node.types[i])
        if edge in stop or isinstance(node, Leaf):
            found[edge] = found[edge] + g if edge in found else g
            return
        if node not in waiting:
            waiting[node] = [None] * len(node.types)
            heappush(heap, node)
        gs = waiting[node]
        gs[i] = g if gs[i] is None else gs[i] + g

    for edge, g in starts:
        arrive(edge, g)
    while heap:
        node = heappop(heap)
        gs = waiting.pop(node)
        if watch is not None:
            watch.update({(node, i): g for i, g in enumerate(gs) if (node, i) in watch and g is not None})
        if node.edges is None:
            raise GradientError(
                "backward() came a second time to a graph that was used up and freed. "
                "Add the losses and call backward() once, compute the values again, or use mg.grad."
            )
        for source, g in zip(node.edges, node.pull(gs), strict=True):
            if source is not None and g is not None:
                arrive(source, g() if callable(g) else g)
        if not keep:
            node.release()
    return found


def sources(starts: Iterable[Edge], is_source: Callable[[Edge], bool]) -> list[Edge]:
    """The first edges behind `starts` that are a leaf or for which `is_source` holds, in the order of their making."""
    found: set[Edge] = set()
    seen: set[Node] = set()
    todo = list(starts)
    while todo:
        edge = todo.pop()
        if isinstance(edge[0], Leaf) or is_source(edge):
            found.add(edge)
        elif edge[0] not in seen:
            seen.add(edge[0])
            todo.extend(e for e in edge[0].edges or () if e is not None)
    return sorted(found, key=lambda e: (e[0].number, e[1]))


def now() -> int:
    """A number between those of the nodes made before and after."""
    return next(_numbers)
