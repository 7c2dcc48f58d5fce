"""The order of statements, and which of them share a loop.

    [Statement]  ->  [product | [Loop]]

Imports `plan`, `places`. Products work on all rows of a thread, all else row by row; so statements are gathered into as
few passes over the rows as the products allow, and within a pass into as few loops as reductions and shapes allow.
"""

from dataclasses import dataclass, field
from math import prod

from minigrad.arraytype import Shape
from minigrad.codegen.plan import Plan, Statement
from minigrad.ir.graph import Variable
from minigrad.ops.reduce import START


@dataclass
class Loop:
    """Statements over elements of one shape."""

    shape: Shape
    statements: list[Statement] = field(default_factory=list)


Region = Statement | list[Loop]


def schedule(plan: Plan) -> list[Region]:
    """Order the statements, and store each value that is read where a variable of the loop cannot be."""
    makers = {s.out: s for s in plan.statements}
    waiting = {s: _sources(plan, makers, s) for s in plan.statements}
    regions: list[Region] = []
    where: dict[Statement, tuple[int, int]] = {}  # region, loop
    while waiting:
        for product in [s for s, needs in waiting.items() if s.kind == "product" and not needs & waiting.keys()]:
            where[product] = (len(regions), 0)
            regions.append(product)
            del waiting[product]
        loops: list[Loop] = []
        found = True
        while found:
            found = False
            for s in [s for s in waiting if s.kind != "product"]:
                if not waiting[s] & waiting.keys():
                    where[s] = (len(regions), _place_in(loops, s, plan, makers, where, len(regions)))
                    del waiting[s]
                    found = True
        if loops:
            regions.append(loops)
    _store_shared(plan, makers, where)
    plan.finish()
    return regions


def _bases(plan: Plan, v: Variable) -> list[Variable]:
    """The values that a value lies in: itself, what it is a view of, the pieces it is made of."""
    if v in plan.origin:
        return _bases(plan, plan.origin[v])
    return [base for piece in plan.pieces[v] for base in _bases(plan, piece)] if v in plan.pieces else [v]


def _sources(plan: Plan, makers: dict[Variable, Statement], s: Statement) -> set[Statement]:
    """The statements that must come first."""
    read = [v for v in (*s.operands, *s.after) if isinstance(v, Variable)]
    return {makers[base] for v in read for base in _bases(plan, v) if base in makers and makers[base] is not s}


def _is_direct(plan: Plan, makers: dict[Variable, Statement], v: Variable) -> bool:
    """Whether a value is what one element-wise statement makes, element for element."""
    return v not in plan.origin and v not in plan.pieces and v in makers and makers[v].kind == "assign"


def _place_in(loops: list[Loop], s: Statement, plan: Plan, makers: dict[Variable, Statement],
              where: dict[Statement, tuple[int, int]], region: int) -> int:  # fmt: skip
    """Put a statement into the first loop of its shape that comes late enough; return which."""
    earliest = 0
    for source in _sources(plan, makers, s):
        if where[source][0] == region:
            read = [v for v in s.operands if isinstance(v, Variable) and source.out in set(_bases(plan, v))]
            beside = bool(read) and source.shape == s.shape and all(_is_direct(plan, makers, v) for v in read)
            earliest = max(earliest, where[source][1] + (0 if beside else 1))
    for i in range(earliest, len(loops)):
        reductions = {other.axes for other in loops[i].statements if other.kind in START}
        if loops[i].shape == s.shape and (s.kind not in START or reductions <= {s.axes}):
            loops[i].statements.append(s)
            return i
    loops.append(Loop(s.shape, [s]))
    return len(loops) - 1


def _store_shared(plan: Plan, makers: dict[Variable, Statement], where: dict[Statement, tuple[int, int]]) -> None:
    """Give a row of memory to each value that is read outside its own loop."""
    for s in plan.statements:
        for v in s.operands:
            if not isinstance(v, Variable) or v not in makers or v in plan.places:
                continue
            maker = makers[v]
            same_pass = where[maker][0] == where[s][0]
            size = prod(plan.inner(v))
            if not (same_pass and ((where[maker] == where[s] and maker.kind == "assign") or size == 1)):
                plan.own(v, "row")
