"""The compiled road of `scan`: the program for a cell, found again or made; `fused.py` runs it.

Imports `codegen`, `ir`, `tracing` and the floors below.
"""

from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass
from types import CellType
from typing import Any, Protocol

import numpy as np

from minigrad.arraytype import ArrayType
from minigrad.codegen.program import Program, build
from minigrad.codegen.workspace import forget
from minigrad.errors import DefectError, TraceError
from minigrad.ir.graph import Graph, Variable
from minigrad.ir.replay import replay
from minigrad.ir.trace import Spot, trace
from minigrad.ir.watch import unchanged
from minigrad.mode import recording
from minigrad.tracing import ScanTrace
from minigrad.tree import paths
from minigrad.values import Tensor


class Steps(Protocol):
    """What a scan was asked to do; see `recurrence.py`."""

    cell: Any
    carry: list[Tensor]
    xs: list[Tensor]
    alive: Any
    length: int
    reverse: bool
    traces: list[ScanTrace]
    carry_structure: Any
    xs_structure: Any
    y_structure: Any

    @property
    def name(self) -> str: ...

    @property
    def carry_names(self) -> list[str]: ...

    def step(self, *values: Any) -> list[Any]: ...


_programs: OrderedDict[Any, list[Program]] = OrderedDict()
_refused: dict[Any, str] = {}
REMEMBERED = 8  # programs for one function and one set of types
EMPTY = CellType()  # a variable that is not assigned yet
KEYS = 256  # functions and sets of types, the longest unused of which are forgotten


@dataclass
class Call:
    """A program, and what its consts and random numbers are in this call."""

    program: Program
    consts: dict[Variable, Tensor]
    draws: dict[Variable, Callable[[], Any]]


def find(steps: Steps, afresh: bool = True) -> Call:
    """The program for these steps: one made before, if the cell does the same again, else a new one.

    Raises:
        TraceError: with the reason, if the cell cannot be compiled, or, unless `afresh`, could not be compiled before.
    """
    types = _types(steps)
    key = _codes(steps.cell), types, steps.alive is None
    if key in _refused and not afresh:
        raise TraceError(_refused[key])
    known = _programs.setdefault(key, [])
    _programs.move_to_end(key)
    while len(_programs) > KEYS:
        for old in _programs.popitem(last=False)[1]:
            forget(old.forward, old.backward)
    try:
        with recording(True):  # a program has its backward, wherever it was first asked for
            return _found(steps, types, known)
    except TraceError as error:
        while len(_refused) >= KEYS:
            del _refused[next(iter(_refused))]
        _refused[key] = str(error)
        raise


def _found(steps: Steps, types: tuple[ArrayType, ...], known: list[Program]) -> Call:
    """The first known program that the cell still runs, else a new one, put before them."""
    free: frozenset[Spot] = frozenset()
    for program in known:
        found = replay(program.traced, program.consts, steps.step, len(types))
        if isinstance(found, tuple):
            return Call(program, *found)
        free = program.free.union(found) if found and not free else free
    program, values = _make(steps, len(types), free)
    found = replay(program.traced, program.consts, steps.step, len(types))
    if not isinstance(found, tuple) or not all(_equal(values[v], value) for v, value in found[0].items()):
        raise TraceError("the cell does something else each time it is called")
    known.insert(0, program)
    for old in known[REMEMBERED:]:
        forget(old.forward, old.backward)
    del known[REMEMBERED:]
    return Call(program, *found)


def _types(steps: Steps) -> tuple[ArrayType, ...]:
    """Of the carry, of x, and of which rows run."""
    types = [ArrayType(leaf.shape, leaf.dtype) for leaf in steps.carry]
    types += [ArrayType(x.shape[1:], x.dtype) for x in steps.xs]
    if steps.alive is not None:
        types.append(ArrayType(steps.alive.shape[1:], np.dtype(bool)))
    return tuple(types)


def traced(steps: Steps, free: Container[Spot] = ()) -> Graph:
    """One step of the cell as a graph, with the names that the cell gives to things."""
    names = steps.carry_names
    inputs = [*names, *paths(steps.xs_structure, "x"), "runs"]

    def results() -> list[str]:
        return [*(f"{name}'" for name in names), *paths(steps.y_structure, "y")]

    with unchanged(steps.cell):
        return trace(steps.step, _types(steps), inputs, results, _code(steps.cell), _names(steps.cell), free)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two consts are the same; those that the cell makes itself may be, say, random."""
    return a is b or np.array_equal(a.numpy(), b.numpy(), equal_nan=a.dtype.kind == "f")


def _make(steps: Steps, inputs: int, free: frozenset[Spot]) -> tuple[Program, dict[Variable, Tensor]]:
    """The program, and what its consts are this time."""
    graph = traced(steps, free)
    n = len(steps.carry)
    if not graph.inputs[0].shape:
        raise TraceError(f"its first carry {graph.inputs[0].type} has no batch as its first axis")
    alive = None if steps.alive is None else graph.inputs[inputs - 1]
    ys = len(graph.outs) - n - (n if alive is not None else 0)
    values = graph.consts
    try:
        return build(graph, graph.inputs[0].shape[0], n, ys, alive, free), values
    except TraceError:
        raise
    except Exception as error:
        raise DefectError(
            f"{steps.name} could not be compiled, {type(error).__name__}: {error}. This is a fault of minigrad and not "
            "of the cell: please report it. With compiled=False the cell runs step by step."
        ) from error


def _code(cell: Any) -> Any:
    """The code of a function or method."""
    return getattr(getattr(cell, "__func__", cell), "__code__", None)


def _codes(cell: Any) -> tuple[Any, ...]:
    """What a cell is known by: its code, and that of the functions which it closes over."""
    cells = getattr(getattr(cell, "__func__", cell), "__closure__", None) or ()
    closed = [c.cell_contents for c in cells if c != EMPTY]
    return (_code(cell) or type(cell), *(_code(f) or type(f) for f in closed if callable(f)))


def _names(cell: Any) -> dict[int, str]:
    """What the cell calls the Tensors that it uses, by their ids."""
    found: dict[int, str] = {}
    owner = getattr(cell, "__self__", None)
    if owner is not None and hasattr(owner, "_minigrad_named"):
        found.update((id(value), name) for name, value in owner._minigrad_named())
    code, function = _code(cell), getattr(cell, "__func__", cell)
    if code is not None:
        closed = zip(code.co_freevars, function.__closure__ or (), strict=False)
        values = {name: function.__globals__.get(name) for name in code.co_names}
        values.update((name, c.cell_contents) for name, c in closed)
        found.update((id(value), name) for name, value in values.items() if isinstance(value, Tensor))
    return found
