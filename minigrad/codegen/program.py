"""A traced step as two plans, forward and backward, and the text of the module that runs them.

    graph  ->  Program(forward, backward, text, host)

Imports the files of its floor and the floors below. The text of the kernels depends on the graph, dtypes and ranks, not
on sizes; that of the functions that run them has the sizes in it.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Any, cast

import numpy as np

from minigrad.arraytype import is_floating
from minigrad.codegen import host
from minigrad.codegen.cpu import module_text
from minigrad.codegen.half import Half
from minigrad.codegen.places import Array, Place, whole
from minigrad.codegen.plan import Plan, is_look_up
from minigrad.codegen.schedule import schedule
from minigrad.ir.backward import Backward, derive
from minigrad.ir.graph import Atom, Graph, Variable, name_variables
from minigrad.ir.hoist import Parts, divide
from minigrad.ir.passes import finish, prepare
from minigrad.ir.rows import SUMMED, MixesRowsError, Rows
from minigrad.ir.simplify import Check, name_carries, take_checks


@dataclass
class Program:
    """Everything that is derived from one traced step.

    consts: of each const that the cell closes over, whether it requires a gradient; its value is not kept.
    carry: the number of carry leaves.  active: the inputs and consts that a gradient is made for.
    reads: the inputs and consts that the backward reads.
    flows: for each result, which of the active ones its gradient reaches.
    text: the module of kernels.  host: the functions that run them; given: what those name and cannot write down.
    free: where in the traced graph consts stand for numbers that differ from call to call.
    functions: both, loaded, by device; see `run.py`.
    active_at, read_at, carried: places of `active` and `reads` among inputs and consts; the active leaves of the carry.
    """

    traced: Graph
    consts: dict[Variable, bool]
    carry: int
    forward: Half
    backward: Half
    active: list[Variable]
    reads: set[Variable]
    flows: list[set[int]]
    text: str
    host: str
    given: dict[str, Any]
    free: frozenset[tuple[int, int]]
    functions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs = self.traced.inputs
        order = {v: i for i, v in enumerate([*inputs, *self.consts])}
        self.active_at = [order[v] for v in self.active]
        self.read_at = [order[v] for v in self.reads if v in order]
        self.carried = [k for k in range(self.carry) if inputs[k] in set(self.active)]


def build(
    traced: Graph,
    batch: int,
    carry: int,
    ys: int,
    alive: Variable | None,
    free: frozenset[tuple[int, int]] = frozenset(),
) -> Program:
    """Derive, simplify, divide, plan and write down.

    Args:
        traced: inputs are `carry` leaves and those of xs; results are the next carry, then `ys` leaves, then, with
            `lengths`, the carry as the cell made it; `alive` is the input that says which rows run.

    Raises:
        MixesRowsError: if an equation has no loop by rows.
    """
    graph, checks = take_checks(name_carries(traced, carry, ys))
    graph = prepare(graph)
    rest, graph.outs = graph.outs[carry + ys :], graph.outs[: carry + ys]
    made, looked_at = rest[: len(rest) - len(checks)], rest[len(rest) - len(checks) :]
    graph.results = graph.results[: carry + ys]
    ends = list(zip(made or graph.outs[:carry], graph.outs[:carry], strict=True))
    derived = derive(graph)
    flows = _flows(graph, derived.wrt, carry)
    graph.outs = [*graph.outs, *derived.saved, *looked_at]
    graph = finish(graph)
    saved = graph.outs[carry + ys : len(graph.outs) - len(checks)]
    looked_at = graph.outs[len(graph.outs) - len(checks) :]
    checks = [(v, *how) for v, (_, *how) in zip(looked_at, checks, strict=True)]
    forward = _forward(graph, batch, carry, ys, saved, checks)
    needed = {a for a in saved if isinstance(a, Variable) and not _rowed(forward, a)}
    backward = _backward(derived, forward, saved, carry, ends, alive)
    lent = {array for (role, *_), array in backward.plan.arrays.items() if role == "lent"}
    reads = {v for v in graph.inputs[carry:] if forward.plan.places[v].array in lent}
    for e in reversed(forward.parts.once):
        if not needed.isdisjoint(e.outs):
            needed.update(a for a in e.inputs if isinstance(a, Variable))
    for half in (forward, backward):
        half.regions = schedule(half.plan)
    text = module_text(forward, backward)
    consts = {v: value.requires_grad for v, value in traced.consts.items()}
    forward.lifted = {v: value.numpy() for v, value in graph.consts.items() if v not in consts}
    for known in (traced, graph):
        known.consts = {}
    forward.given = [forward.plan.places[v].array for v in graph.inputs[carry:]]
    forward.carries = [forward.plan.places[v].array for v in graph.inputs[:carry]]
    forward.settle()
    backward.settle()
    forward.left = list(dict.fromkeys([*forward.carries, *backward.lent]))
    brought = cast(dict[Variable, Any], backward.graph.consts)  # by now, what stands for them in the forward
    asked = {v: a for v, a in brought.items() if isinstance(a, Variable)}
    given: dict[str, Any] = {}
    shapes = [v.shape for v in derived.wrt]
    texts = [
        host.ahead(forward, list(consts), list(dict.fromkeys(asked.values())), given),
        host.back(backward, asked, forward.left, shapes, given),
    ]
    return Program(
        traced, consts, carry, forward, backward, derived.wrt, reads | needed, flows, text, "\n\n\n".join(texts), given,
        free,
    )  # fmt: skip


def _flows(graph: Graph, wrt: list[Variable], carry: int) -> list[set[int]]:
    """For each result, by its number in `wrt`, what it depends on, over all steps, in a way that has a gradient."""
    start: dict[Atom, set[int]] = {v: {i} for i, v in enumerate(wrt)}
    while True:
        reached = dict(start)
        for e in graph.equations:
            if e.op.vjp is not None:
                some: set[int] = set().union(*(reached.get(a, set()) for a in e.inputs if isinstance(a, Variable)))
                reached.update((out, some) for out in e.outs if is_floating(out.dtype))
        found = [reached.get(atom, set()) if isinstance(atom, Variable) else set() for atom in graph.outs]
        grown = {v: start.get(v, set()) | of for v, of in zip(graph.inputs[:carry], found, strict=False)}
        if all(start.get(v, set()) == of for v, of in grown.items()):
            return found
        start |= grown


def _start(graph: Graph, parts: Parts, batch: int) -> Half:
    name_variables(graph)
    return Half(graph, parts, Plan(parts, batch))


def _rowed(half: Half, atom: Atom) -> bool:
    return isinstance(atom, Variable) and isinstance(half.parts.kinds.get(atom), Rows)


def _forward(graph: Graph, batch: int, carry: int, ys: int, saved: list[Atom], checks: list[Check]) -> Half:
    parts = divide(graph, batch, graph.inputs[:carry], carry, None)
    half = _start(graph, parts, batch)
    plan = half.plan
    for i, v in enumerate(graph.inputs):
        plan.own(v, "carry", "old") if i < carry else plan.own(v, "time")
    for e in parts.before:
        plan.own(e.outs[0], "time")
    after = {e.outs[0] for e in parts.after}
    for v in after:
        plan.own(v, "time")
    for v, atom in zip(graph.inputs, graph.outs[:carry], strict=False):
        old = plan.places[v]
        plan.store(atom, whole(old.array, old.shape, "new"), v)
    results = [_held(half, atom) for atom in graph.outs[carry : carry + ys]]
    for e in parts.loop:
        if is_look_up(e):
            n = e.inputs[0].shape[0]
            checks.append((e.inputs[1], -n, n - 1, f"a look-up in a weight of {n} rows"))
    for v, *_, what in checks:
        if not _rowed(half, v):
            raise MixesRowsError(f"{what}: its indices are the same for all rows")
    keep = [*results, *(a for a in saved if _rowed(half, a)), *(e.inputs[0] for e in parts.after)]
    _finish(half, [*keep, *(v for v, *_ in checks)])
    half.checks = [(plan.kept[v], *how) for v, *how in checks]  # type: ignore[misc]
    half.results = [plan.kept[v] for v in results]
    return half


def _held(half: Half, atom: Atom) -> Variable:
    """A result as a value by rows; a constant one is copied at each step."""
    if _rowed(half, atom):
        return atom
    plan = half.plan
    if not isinstance(atom, Variable) or atom.shape[:1] != (plan.batch,):
        raise MixesRowsError(f"its y, {getattr(atom, 'type', atom)}, has no batch of {plan.batch} as its first axis")
    like = Variable(atom.type, atom.name or "y")
    shape = atom.shape[1:]
    place = whole(plan.array(("held", like), like.name, "time", prod(shape), like.dtype), shape)
    return plan.copy(atom, place, like)


def _finish(half: Half, keep: list[Variable]) -> None:
    """Lower, and hold what must be held: values that a statement makes are told so before, views are copied after."""
    plan = half.plan
    for v in keep:
        if plan.may_choose(v):
            plan.own(v, "time")
    plan.lower()
    for v in keep:
        plan.keep(v)


def _backward(derived: Backward, forward: Half, saved: list[Atom], carry: int, ends: list[tuple[Atom, Atom]],
              alive: Variable | None) -> Half:  # fmt: skip
    """The plan of the derived graph: what it reads of the forward lies where the forward left it."""
    graph, wrt, inputs = derived.graph, derived.wrt, forward.graph.inputs
    active = set(wrt)
    held = dict(zip(derived.saved, saved, strict=True))
    by_rows = [v for v in derived.saved if _rowed(forward, held[v])]
    cotangents = graph.inputs[len(derived.saved) :]
    back = [k for k in range(carry) if inputs[k] in active]
    come = [cotangents[k] for k in back]
    graph.consts.update({v: held[v] for v in derived.saved if v not in set(by_rows)})
    graph.inputs = [*by_rows, *come, *(g for g in cotangents[carry:] if is_floating(g.dtype))]
    graph.outs = [*graph.outs, *(derived.totals[v] for pair in ends for v in pair if v in derived.totals)]
    graph = finish(graph)
    given = {v: forward.parts.kinds[held[v]] for v in by_rows}
    weights = [atom for v, atom in zip(wrt, graph.outs, strict=False) if v not in set(inputs)]
    parts = divide(graph, forward.plan.batch, come, len(back), given, weights)
    half = _start(graph, parts, forward.plan.batch)
    plan = half.plan
    for v in by_rows:
        plan.lend(v, forward.plan.kept[held[v]])
    for g in graph.inputs[len(by_rows) :]:
        plan.own(g, "swap", "come") if g in set(come) else plan.own(g, "time")
    for e in [
        *parts.before,
        *(e for e in parts.after if e.op.name in ("linear", "matmul") and _rowed(half, e.outs[0])),
    ]:
        plan.own(e.outs[0], "time")
    for g, atom in zip(come, graph.outs, strict=False):
        place = plan.places[g]
        plan.store(atom, whole(place.array, place.shape, "go"), g)
    of_xs = [a for v, a in zip(wrt, graph.outs, strict=False) if v in set(inputs[carry:]) and _rowed(half, a)]
    totals = parts.totals()
    multiplied = {a for e in parts.after if e.op.name == "matmul" for a in e.inputs}
    alone = [e for e in totals if e.outs[0] not in multiplied]
    read = [a for e in parts.after if e not in alone for a in e.inputs if _rowed(half, a)]
    _finish(half, [v for v in of_xs if v not in {e.outs[0] for e in parts.after}] + read)
    for v in [*(e.inputs[0] for e in totals), *parts.summands()]:
        plan.add_up(v)
    half.results = [_gradient(half, atom, v not in set(inputs)) for v, atom in zip(wrt, graph.outs, strict=False)]
    half.carries = [plan.places[g].array for g in come]
    half.given = [plan.places[g].array for g in graph.inputs[len(by_rows) + len(come) :]]
    half.norms = _norms(half, forward, derived, ends, graph.outs[len(wrt) :], alive)
    return half


def _gradient(half: Half, atom: Atom, weight: bool) -> Any:
    """Where the gradient of one input or weight is found."""
    if not isinstance(atom, Variable) or atom in half.parts.constant:
        return None
    if half.parts.kinds[atom] == SUMMED:
        return atom
    return half.plan.add_up(atom) if weight else half.plan.kept.get(atom, half.plan.places[atom])


Norm = tuple[int, Array, Place | None, Place | None, Place | None]


def _norms(half: Half, forward: Half, derived: Backward, ends: list[tuple[Atom, Atom]], found: list[Atom],
           alive: Variable | None) -> list[Norm]:  # fmt: skip
    """For each carry: the array of norms, where its gradient lies as the cell made it and as the mask kept it."""
    plan, totals = half.plan, iter(found)
    runs = None if alive is None else forward.plan.places[alive]
    norms: list[Norm] = []
    if runs is not None and alive is not None:
        plan.lend(alive, runs)
    for k, pair in enumerate(ends):
        made, kept = (plan.stored(next(totals)) if v in derived.totals else None for v in pair)
        if made is not None or (runs is not None and kept is not None):
            name = f"norm_{forward.graph.inputs[k].name}"
            array = plan.array(("norm", k), name, "norm", 1, np.float64)
            norms.append((k, array, made, kept, runs))
    return norms
