"""Splitting a step's graph: what is computed before the loop, in it, and after it.

    once      on weights alone
    before    a product, or a look-up, that does not depend on the carry: one for all steps
    loop      the recurrence, and all work on elements, which is free there and costs memory traffic elsewhere
    after     a product that the next step does not need, and every sum over the batch: one for all steps
    finish    what is done with those sums, and with values that are summed over the steps first: once

Imports `graph`, `rows`, `simplify` and the floors below.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from minigrad.ir.graph import Atom, Equation, Graph, Variable
from minigrad.ir.rows import SUMMED, TURNED, Kind, Rows, kinds_of
from minigrad.ir.simplify import constant_variables


@dataclass
class Parts:
    """A graph's equations by the time they run, and the kind of each value."""

    once: list[Equation]
    before: list[Equation]
    loop: list[Equation]
    after: list[Equation]
    finish: list[Equation]
    kinds: dict[Variable, Kind]
    constant: set[Variable]

    def totals(self) -> list[Equation]:
        """Those of `after` that take the sum over all steps of what they read."""
        asked = {a for e in self.finish for a in e.inputs}
        return [e for e in self.after if e.op.name == "sum" or (e.op.name == "permute_dims" and e.outs[0] in asked)]

    def summands(self) -> list[Variable]:
        """Values by rows that `finish` wants the sum over all steps of."""
        return [
            v for v in dict.fromkeys(a for e in self.finish for a in e.inputs) if isinstance(self.kinds.get(v), Rows)
        ]


def divide(
    graph: Graph,
    batch: int,
    carried: Iterable[Variable],
    carry: int,
    given: Mapping[Variable, Kind] | None,
    weights: Sequence[Atom] = (),
) -> Parts:
    """Divide the equations of a step whose inputs `carried` come from the step before, and whose first `carry` results
    go to the next one. Of a backward, `given` are the kinds of the inputs that the forward made; None for a forward.
    `weights` are the results that are gradients of consts, of which the sum over all steps is wanted.

    Raises:
        MixesRowsError: if an equation mixes the rows of the batch.
    """
    kinds, constant = kinds_of(graph, batch, given), constant_variables(graph)
    uses = Counter(a for e in graph.equations for a in e.inputs if isinstance(a, Variable))
    depends = set(carried)
    for e in graph.equations:
        if not depends.isdisjoint(a for a in e.inputs if isinstance(a, Variable)):
            depends.update(e.outs)
    needed = {a for a in graph.outs[:carry] if isinstance(a, Variable)}
    for e in reversed(graph.equations):
        if not needed.isdisjoint(e.outs):
            needed.update(a for a in e.inputs if isinstance(a, Variable))
    parts = Parts([], [], [], [], [], kinds, constant)
    results, summed = Counter(graph.outs), Counter(weights)
    early = set(graph.inputs)  # known for all steps before the loop
    for e in graph.equations:
        out = e.outs[0]
        if out in constant:
            parts.once.append(e)
        elif kinds[out] == SUMMED:
            late = any(isinstance(a, Variable) and kinds.get(a) == SUMMED for a in e.inputs)
            # xᵀ c summed over the steps is (Σ x)ᵀ c, and cᵀ x is cᵀ Σ x.
            late = late or (e.op.name == "matmul" and not constant.isdisjoint(e.inputs))
            (parts.finish if late else parts.after).append(e)
        elif kinds[out] == TURNED:
            parts.after.append(e)
        elif _is_whole(e, kinds) and out not in depends and all(a in constant or a in early for a in e.inputs):
            parts.before.append(e)
            early.update(e.outs)
        elif _is_product(e, kinds) and out not in needed and uses[out] == 0 and out not in summed:
            parts.after.append(e)
        elif _is_product(e, kinds) and uses[out] == 0 and results[out] == summed[out]:
            kinds[out] = SUMMED  # Σ (x w) is (Σ x) w
            parts.finish.append(e)
        else:
            parts.loop.append(e)
    return parts


def _is_product(e: Equation, kinds: dict[Variable, Kind]) -> bool:
    return e.op.name in ("linear", "matmul") and isinstance(kinds.get(e.inputs[0]), Rows)


def _is_whole(e: Equation, kinds: dict[Variable, Kind]) -> bool:
    """Work that is better done for all steps at once: a product with a weight, or a look-up in one."""
    return _is_product(e, kinds) or (e.op.name == "getitem" and len(e.inputs) == 2)
