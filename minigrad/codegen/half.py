"""One direction of a program: what runs when, on which arrays, and who brings them.

Imports the files of its floor before it.
"""

from dataclasses import dataclass, field
from typing import Any

from minigrad.codegen.places import Array, Place, Sizes
from minigrad.codegen.plan import Plan
from minigrad.ir.graph import Graph, Variable
from minigrad.ir.hoist import Parts


@dataclass(eq=False)
class Half:
    """One direction: what runs when, and on which arrays.

    results: where each result of the graph is found: a Place held for all steps, an Array of sums, a Variable that
        `after` or `finish` makes, or None for one that is zero.
    sizes, arrays: what the kernel takes, in its order; work: operations for one row of one step.
    carries, given, lent, constants, sums, own: the arrays of the carry, of xs or the cotangents of ys, of the other
        half, of weights (with what is in them, and how), of sums over time, and those that are its own to write.
    seen: those of its own that results lie in, so that they are made anew each time.
    left: what the steps leave for whoever comes after.
    regions: what the schedule made of the plan.
    lifted: constants that the graph brings.  added: the gradients that products add up, in the order of `totals`.
    checks: integers, from where to where they may reach, and what for.
    """

    graph: Graph
    parts: Parts
    plan: Plan
    results: list[Any] = field(default_factory=list)
    norms: list[Any] = field(default_factory=list)
    sizes: Sizes = field(default_factory=Sizes)
    arrays: list[Array] = field(default_factory=list)
    work: int = 0
    carries: list[Array] = field(default_factory=list)
    given: list[Array] = field(default_factory=list)
    left: list[Array] = field(default_factory=list)
    lifted: dict[Variable, Any] = field(default_factory=dict)
    regions: list[Any] = field(default_factory=list)
    added: list[Variable] = field(default_factory=list)
    checks: list[tuple[Place, int, int, str]] = field(default_factory=list)

    def settle(self) -> None:
        """Sort the arrays by who fills them, once for all runs."""
        arrays = self.plan.arrays
        self.totals, self.summands = self.parts.totals(), self.parts.summands()
        self.constants = [(a, v, rest[0]) for (role, v, *rest), a in arrays.items() if role == "weight"]
        for (role, v, *_), array in arrays.items():
            if role == "shared" or (role == "row" and v in self.parts.constant):
                self.constants.append((array, v, role))
        self.lent = [array for (role, *_), array in arrays.items() if role == "lent"]
        self.sums = [array for array in arrays.values() if array.kind == "sum"]
        others = {*self.given, *self.lent, *self.sums, *(a for a, _, _ in self.constants), *(n[1] for n in self.norms)}
        found = {result.array for result in self.results if isinstance(result, Place)}
        self.seen = [array for array in arrays.values() if array in found and array not in others]
        self.own = [array for array in arrays.values() if array not in others and array not in found]
