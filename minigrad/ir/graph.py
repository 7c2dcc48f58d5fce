"""The graph: variables, equations, the checker that says what a graph is, and its printed form.

Imports the floors below.

    { h:float32[8,64]  x:float32[8,10]         inputs
    ; W:float32[64,10]                         weights
    ->
      a:float32[8, 64] = linear x W
      b:float32[8, 64] = tanh a
      in b }                       results
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import numpy as np

from minigrad.arraytype import SCALARS, ArrayType
from minigrad.core import Op
from minigrad.errors import TraceError
from minigrad.ops.elementwise import stop_gradient
from minigrad.ops.operators import Operators
from minigrad.values import Tensor


class Variable(Operators):
    """A stand-in for a Tensor: its type is known, its value is not."""

    __slots__ = ("is_named", "name", "type")
    is_known = False

    def __init__(self, type_: ArrayType, name: str = "") -> None:
        self.type, self.name = type_, name
        self.is_named = bool(name)  # else its name is a letter, for print

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Size of each axis."""
        return self.type.shape

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Data type of the elements."""
        return self.type.dtype

    def detach(self) -> Any:
        """The same value, through which no gradient flows."""
        return stop_gradient(self)

    def __repr__(self) -> str:
        return f"<a stand-in for {self.type}, whose value is not known while the cell is traced>"

    def __setitem__(self, _key: Any, _value: Any) -> None:
        raise TraceError(f"{self.type} is changed in place, which a gradient cannot follow. Use mg.where or mg.concat.")

    def _no_value(self, *_args: Any, **_options: Any) -> Any:
        raise TraceError(
            f"a cell is traced on stand-ins, and {self.type} has no value: `if`, `float()` and NumPy cannot see one. "
            "Use mg.where, or options and shapes, which are known."
        )

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _no_value
    __contains__ = __array__ = __array_ufunc__ = __array_function__ = numpy = item = tolist = _no_value


Atom = Any  # a Variable, or a Python scalar that stands for itself


@dataclass(frozen=True, eq=False)
class Equation:
    """`outs = op(inputs, metadata)`."""

    op: Op
    inputs: tuple[Atom, ...]
    metadata: dict[str, Any]
    outs: tuple[Variable, ...]

    def __str__(self) -> str:
        left = ", ".join(f"{out.name}:{out.type}" for out in self.outs)
        options = "".join(f" {key}={_short(value)}" for key, value in self.metadata.items())
        return f"{left} = {self.op.name}{options} {' '.join(map(atom_name, self.inputs))}"


@dataclass
class Graph:
    """inputs ; consts -> outs, by way of equations.

    consts: the weights and arrays that were closed over.  draws: inputs that are random numbers, and what draws them.
    results: what the outs are called, where that is known.
    """

    inputs: list[Variable]
    consts: dict[Variable, Tensor] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    outs: list[Atom] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    draws: dict[Variable, Callable[[], Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{{ {_listed(self.inputs)}", f"; {_listed(self.consts)}", "->", *(f"  {e}" for e in self.equations)]
        return "\n".join([*lines, f"  in {' '.join(map(atom_name, self.outs))} }}"])


def atom_name(atom: Atom) -> str:
    """A variable's name, or the scalar itself."""
    return atom.name if isinstance(atom, Variable) else repr(atom)


def _listed(variables: Iterable[Variable]) -> str:
    return fill("  ".join(f"{v.name}:{str(v.type).replace(' ', '')}" for v in variables), 100, subsequent_indent="  ")


def _short(value: Any) -> str:
    return str(value).replace(" ", "")


def name_variables(graph: Graph, taken: Sequence[str] = ()) -> None:
    """Give every variable without a name the next of a, b, … z, aa, ab, …; names that are taken are passed over."""
    count = 0
    everything = [*graph.inputs, *graph.consts, *(out for e in graph.equations for out in e.outs)]
    used = {*taken, *(v.name for v in everything)}
    for variable in everything:
        while not variable.name:
            letters, n = "", count
            while n >= 0:
                letters, n = chr(97 + n % 26) + letters, n // 26 - 1
            count += 1
            if letters not in used:
                variable.name = letters


def check(graph: Graph) -> None:
    """Raise AssertionError unless each variable is made once, before its use, and has the type that its op gives."""
    known = {*graph.inputs, *graph.consts}
    assert len(known) == len(graph.inputs) + len(graph.consts), "an input stands twice"
    for equation in graph.equations:
        for atom in equation.inputs:
            assert type(atom) in SCALARS or atom in known, f"{equation}: {atom_name(atom)} is used before it is made"
        rule = equation.op.type_rule(*equation.inputs, **equation.metadata)
        types = rule if equation.op.multiple else (rule,)
        given = [(out.shape, out.dtype) for out in equation.outs]
        assert given == [(t.shape, t.dtype) for t in types], f"{equation}: its op gives {types}"
        assert not known.intersection(equation.outs), f"{equation}: made twice"
        known.update(equation.outs)
    for atom in graph.outs:
        assert type(atom) in SCALARS or atom in known, f"the result {atom_name(atom)} is never made"


def evaluate(graph: Graph, values: Sequence[Any]) -> list[Any]:
    """Run the equations on values, eagerly, one after the other: what a graph means."""
    table: dict[Variable, Any] = {**graph.consts, **dict(zip(graph.inputs, values, strict=True))}

    def look(atom: Atom) -> Any:
        return table[atom] if isinstance(atom, Variable) else atom

    for equation in graph.equations:
        made = equation.op(*map(look, equation.inputs), **equation.metadata)
        table.update(zip(equation.outs, made if equation.op.multiple else (made,), strict=True))
    return [look(atom) for atom in graph.outs]
