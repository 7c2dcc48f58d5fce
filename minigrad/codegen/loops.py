"""Statements over elements, as nested loops over one row.

Imports `text`, `schedule` and the floors below. In the text `x[t, b]` is a row, `x_row` a view of it and `x_j` one
element. Views are taken before a loop and indexed from 0: an index that might be negative would keep LLVM from using
vectors, and so would views that might overlap (`apart`).
"""

import re
from math import isfinite, isnan
from typing import Any

import numpy as np

from minigrad.arraytype import SCALARS
from minigrad.codegen.places import Place
from minigrad.codegen.plan import COPY, LETTERS, Statement, identifier
from minigrad.codegen.schedule import Loop
from minigrad.codegen.text import Text
from minigrad.ir.graph import Variable
from minigrad.ops.reduce import START, STEP, start_of


class LoopWriter:
    """Writes the statements that share a loop."""

    def __init__(self, out: Text, loop: Loop) -> None:
        self.out, self.plan, self.loop = out, out.plan, loop
        self.axes = [d for d, n in enumerate(loop.shape) if n != 1]
        self.letters = ("", "j", "ij")[len(self.axes)] if len(self.axes) < 3 else LETTERS[: len(self.axes)]
        self.before: list[list[str]] = [[] for _ in range(len(self.axes) + 1)]  # the last is the innermost body
        self.behind: list[list[str]] = [[] for _ in range(len(self.axes) + 1)]
        self.views: dict[Any, str] = {}
        self.texts: dict[Variable, str] = {}  # values made in this loop

    def write(self) -> None:
        """All of it."""
        for s in self.loop.statements:
            if s.kind in START:
                self.reduce(s)
            elif s.kind == "add":
                text = self.element(s.target)
                self.before[-1].append(f"{text} += {self.operand(s.operands[0], s)}")
            else:
                self.assign(s)
        for d, axis in enumerate(self.axes):
            self.out.put(*self.before[d])
            self.out.put(f"for {self.letters[d]} in range({self.out.size(self.loop.shape[axis])}):")
            self.out.depth += 1
        self.out.put(*self.before[-1], *self.behind[-1])
        for d in reversed(range(len(self.axes))):
            self.out.depth -= 1
            self.out.put(*self.behind[d])

    def assign(self, s: Statement) -> None:
        """One value: in a variable if it is read again, within its reader if only once, stored if read elsewhere."""
        text = self.expression(s)
        here = any(a is s.out for other in self.loop.statements for a in other.operands)
        if s.target is None and self.out.uses[s.out] == 1 and here and not s.out.is_named:
            self.texts[s.out] = text
            return
        if here or s.target is None:
            name = self.out.name(s.out, f"{identifier(s.out.name)}_{self.letters or 'b'}")
            self.before[-1].append(f"{name} = {text}")
            self.texts[s.out] = text = name
        if s.target is not None:
            self.before[-1].append(f"{self.element(s.target)} = {text}")

    def expression(self, s: Statement) -> str:
        """The right-hand side."""
        if s.kind == "look_up":
            return self.looked_up(s)
        parts = []
        for i, a in enumerate(s.operands):
            is_condition = s.template.startswith("bool") or (s.template.startswith("{1} if {0}") and i == 0)
            text = self.operand(a, s, is_condition)
            is_argument = re.search(rf"[(,] ?\{{{i}\}}[,)]", s.template)
            parts.append(text if is_argument or s.template == COPY else closed(text))
        t = "bool" if s.out.dtype.kind == "b" else s.out.dtype.name
        text = s.template.format(*parts, t=t, f=s.type.itemsize * 8)
        is_narrow = s.out.dtype.kind in "iu" and s.out.dtype != np.int64 and s.template != COPY
        return f"{t}({text})" if is_narrow else text  # Numba computes with integers in 64 bits

    def looked_up(self, s: Statement) -> str:
        """One element of the row of a table that an index names; one out of range is told of after the loop."""
        index, table = s.operands
        row = f"row_number({self.element(self.plan.places[index])}, {self.out.size(table.shape[0])})"
        inner = range(len(self.loop.shape) - len(table.shape) + 1, len(self.loop.shape))
        steps = [
            (table.strides[1 + i], self.letters[self.axes.index(a)]) for i, a in enumerate(inner) if a in self.axes
        ]
        return self.out.row(table, self.out.total((table.strides[0], row), *steps))

    def operand(self, a: Any, s: Statement, as_it_is: bool = False) -> str:
        """A scalar with its dtype, a value of this loop, or an element of an array; cast where dtypes differ."""
        if type(a) in SCALARS:
            return literal(a, s.type)
        if isinstance(a, Variable):
            dtype = a.dtype
            text = self.texts.get(a) or (
                self.element(self.plan.places[a]) if a in self.plan.places else self.out.names[a]
            )
        else:
            dtype, text = a.array.dtype, self.element(a)
        as_it_is = as_it_is or dtype == s.type or s.type.kind == "b" or s.template.startswith("{t}(")
        return text if as_it_is else f"{s.type.name}({text})"

    # --- elements of arrays ---

    def element(self, place: Place | None, added_to: bool = False) -> str:
        """The element of a place at this loop's indices; one that is `added_to` may not be a variable's copy of it."""
        assert place is not None
        place = place.broadcast(self.loop.shape)
        offset, steps = place.offset, []
        for letter, axis in zip(self.letters, self.axes, strict=True):
            step, n = place.strides[axis], self.loop.shape[axis]
            if step < 0:  # count from the other end: no index may be negative
                offset, step, letter = offset + step * max(n - 1, 0), -step, f"({self.out.size(n)} - 1 - {letter})"
            steps.append((step, letter))
        if not steps:
            return self.out.row(place, self.out.total((offset, "")))
        outer, (step, letter) = ((offset, ""), *steps[:-1]), steps[-1]
        if added_to and step == 0:
            return self.out.row(place, self.out.total(*outer))
        key = (place.array, place.at, outer, step)
        if key not in self.views:
            self.views[key] = self._view(place, outer, step, self.loop.shape[self.axes[-1]])
        return f"{self.views[key]}[{self.out.total((step, letter))}]" if step else self.views[key]

    def _view(self, place: Place, outer: tuple[tuple[int, str], ...], step: int, size: int) -> str:
        """Take a view of what the innermost loop walks along, or the one element that it sees."""
        start = self.out.total(*outer)
        stem = f"{place.array.name}_{place.at if place.at not in ('', 't') else 'row'}"
        name = self.out.name((self, place.array, place.at, outer, step), stem)
        if step == 0:
            text = self.out.row(place, start)
        elif step == 1 and start == "0" and size == place.array.width:
            text = f"apart({self.out.row(place)})"
        else:
            end = self.out.total(*outer, (size, "")) if step == 1 else ""
            text = f"apart({self.out.row(place, f'{start}:{end}')})"
        self.before[len(self.axes) - 1].append(f"{name} = {text}")
        return name

    # --- reductions ---

    def reduce(self, s: Statement) -> None:
        """Into a variable if what is reduced comes innermost, else onto a stored row."""
        start = start_of(s.kind, s.out.dtype)
        reduced = [d for d, axis in enumerate(self.axes) if axis in s.axes]
        depth = len(self.axes) - len(reduced)
        x = closed(self.operand(s.operands[0], s))
        if reduced == list(range(depth, len(self.axes))):
            name = self.out.name(s.out, f"{identifier(s.out.name)}_{self.letters[:depth] or 'b'}")
            self.before[depth].append(f"{name} = {start}")
            self.before[-1].append(f"{name} = {STEP[s.kind].format(a=name, x=x)}")
            if s.target is not None:
                index = self.out.total((s.target.offset, ""), *self._kept_steps(s, depth))
                self.behind[depth].append(f"{self.out.row(s.target, index)} = {name}")
            return
        assert s.target is not None
        kept = tuple(1 if d in s.axes else n for d, n in enumerate(self.loop.shape))
        target = s.target.reshaped(kept)
        fill = LoopWriter(self.out, Loop(kept))
        fill.before[-1].append(f"{fill.element(target)} = {start}")
        fill.write()
        place = self.element(target, added_to=True)
        self.before[-1].append(f"{place} = {STEP[s.kind].format(a=place, x=x)}")

    def _kept_steps(self, s: Statement, depth: int) -> list[tuple[int, str]]:
        """How far a result's element moves with each of the outer letters."""
        assert s.target is not None
        kept = [d for d in range(len(self.loop.shape)) if d not in s.axes]
        has_all = len(s.target.shape) == len(self.loop.shape)
        return [
            (s.target.strides[axis if has_all else kept.index(axis)], letter)
            for letter, axis in zip(self.letters[:depth], self.axes[:depth], strict=True)
        ]


def closed(text: str) -> str:
    """An expression that holds together beside any sign."""
    return text if re.fullmatch(r"[\w.]+(\([^()]*\)|\[[^][]*\])?", text) else f"({text})"


def literal(value: Any, dtype: np.dtype[Any]) -> str:
    """A scalar with its dtype, so that it does not widen a float32."""
    if dtype.kind == "b":
        return str(bool(value))
    if isinstance(value, float) and not isfinite(value):
        return f"{dtype.name}({'-' if value < 0 else ''}np.{'nan' if isnan(value) else 'inf'})"
    if dtype.kind == "f" and float(value).is_integer() and abs(value) < 1e6:
        value = int(value)
    return f"{dtype.name}({value!r})"
