"""Many ops as one node of the tape: what a loop wrote is kept behind it, or made anew when its backward comes.

Imports `tracing` and the floors below.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigrad import random
from minigrad.arraytype import ArrayType, is_floating
from minigrad.device import put
from minigrad.mode import is_recording, quiet, recording
from minigrad.tape import Edge, Node, now, sources, walk_back
from minigrad.tracing import Step
from minigrad.values import Tensor

Heard = Callable[[list[Step], Callable[[Tensor], Any]], None]


def fold(run: Callable[[], tuple[list[Tensor], list[Step]]], *, heard: Heard, again: bool) -> list[Tensor]:
    """Run, and write all of it on the tape as one node.

    Args:
        run: returns the results, and the steps whose cotangents are of interest.
        heard: is told of those cotangents in the backward.
        again: forget everything but the results, and run once more when the backward comes.
    """
    before = now()
    state = random.get_state() if again else None
    with quiet():
        outs, steps = run()
    ends = [out.edge for out in outs if out.edge is not None]
    if not is_recording() or not ends:
        return outs
    edges = sources(ends, lambda edge: edge[0].number < before)
    results = [Tensor(out._data, version=out.version) for out in outs]
    made = [(r, out) for r, out in zip(results, outs, strict=True) if out.edge is not None]
    types = tuple(ArrayType(r.shape, r.dtype) for r, _ in made)
    node = FoldNode(types, edges, None if again else (ends, steps), lambda: _run_again(run, state), heard)
    for i, (result, _) in enumerate(made):
        result.edge = (node, i)
    return results


class Untouched(Node):
    """Values that others would have gone into, had there been a step: their gradients are zero."""

    __slots__ = ()

    def pull(self, gs: list[Any]) -> list[Any]:
        types = [edge[0].types[edge[1]] for edge in self.edges or () if edge is not None]
        return [Tensor(put(np.zeros(t.shape, t.dtype), gs[0].device)) for t in types]


def untouched(value: Tensor, edges: Iterable[Edge | None]) -> Tensor:
    """The value, depending on all that lies behind some edges."""
    found = [edge for edge in edges if edge is not None]
    if found and is_recording() and is_floating(value.dtype):
        value.edge = (Untouched((ArrayType(value.shape, value.dtype),), found), 0)
    return value


class FoldNode(Node):
    """Many ops as one: `kept` is their tape, or None if `again` makes it anew for each backward."""

    __slots__ = ("again", "heard", "kept")

    def __init__(self, types: Any, edges: list[Edge], kept: Any, again: Callable[[], Any], heard: Heard) -> None:
        super().__init__(types, list(edges))
        self.kept, self.again, self.heard = kept, again, heard

    def pull(self, gs: list[Any]) -> list[Any]:
        ends, steps = self.kept or self.again()
        watch: dict[Edge, Any] = {x.edge: None for s in steps for x in s.made + s.kept if x.edge is not None}
        starts = [(edge, g) for edge, g in zip(ends, gs, strict=True) if g is not None]
        edges = list(self.edges or ())
        # Kept until `release`: a gradient's own graph may refer to these nodes from outside this one.
        found = walk_back(starts, stop=frozenset(e for e in edges if e), watch=watch, keep=True)
        arrived: dict[Any, Any] = {**found}
        arrived.update((edge, g) for edge, g in watch.items() if g is not None)
        self.heard(steps, lambda x: arrived.get(x.edge))
        return [found.get(edge) for edge in edges if edge]

    def release(self) -> None:
        super().release()
        self.kept = self.again = self.heard = None  # type: ignore[assignment]


def _run_again(run: Callable[[], tuple[list[Tensor], list[Step]]], state: Any) -> tuple[list[Edge], list[Step]]:
    """The same ops with the same random numbers, on the tape this time."""
    now = random.get_state()
    random.set_state(state)
    with recording(True):
        outs, steps = run()
    random.set_state(now)
    return [out.edge for out in outs if out.edge is not None], steps
