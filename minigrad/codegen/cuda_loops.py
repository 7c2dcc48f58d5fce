"""Statements over elements for CUDA: nested loops of `loops.py` made flat, their elements shared out among threads.

Imports the files of its floor before it. Arrays are flat: `h[h_at + (old * B + b) * H + j]`. Where nothing is summed
up, all rows are one loop; else a row is the business of one block, whose threads add their parts up.
"""

from typing import Any

from minigrad.codegen.loops import LoopWriter
from minigrad.codegen.places import Place
from minigrad.codegen.plan import Statement, identifier
from minigrad.codegen.schedule import Loop
from minigrad.codegen.text import Text
from minigrad.ops.reduce import START, STEP, start_of

LEADING = ("time", "carry", "swap", "norm")  # kinds of arrays with one part a step


class CudaText(Text):
    """The body of one kernel; arrays are flat."""

    def row(self, place: Place, inside: str = "") -> str:
        return f"{place.array.name}[{self.begin(place)}{f' + {inside}' if inside not in ('', '0') else ''}]"

    def begin(self, place: Place, row: str = "b") -> str:
        """Where a row begins, `h_at + (old * B + b) * H`; without one, where all do."""
        array = place.array
        step = f"{place.at} * B" if array.kind in LEADING else ""
        line = " + ".join(part for part in (step, row) if part and array.kind != "shared")
        line = f"({line})" if step and row else line
        return f"{array.name}_at + {line} * {self.factor(array.width)}" if line else f"{array.name}_at"

    def factor(self, n: int) -> str:
        size = self.size(n)
        return f"({size})" if "*" in size else size

    def product(self, sizes: Any) -> str:
        """A product of sizes as text."""
        return " * ".join(self.factor(n) for n in sizes if n != 1) or "1"

    def sync(self, row_by_row: bool = False) -> None:
        """Wait for all who work on these rows."""
        if row_by_row:
            self.put("cuda.syncthreads()")
        else:
            self.put("if together:", "    grid.sync()", "else:", "    cuda.syncthreads()")


class CudaLoop(LoopWriter):
    """Writes the statements that share a loop; its elements are shared out among threads."""

    def __init__(self, out: CudaText, loop: Loop) -> None:
        super().__init__(out, loop)
        self.out: CudaText = out
        self.reductions = [s for s in loop.statements if s.kind in START]
        self.reduced = self.reductions[0].axes if self.reductions else ()
        self.body: list[str] = []
        self.before = [self.body]

    def write_flat(self) -> None:
        """All rows as one."""
        self._statements()
        size = self.out.product(self.loop.shape)
        self.out.put(f"for e in range(lane, (last - first) * {size}, lanes):")
        self._inside(self.axes, self.body, (f"b = first + e // {f'({size})' if '*' in size else size}",))

    def write_row(self) -> None:
        """The row b, by the threads of one block."""
        self._statements(by_all=not self.axes)
        kept = [a for a in self.axes if a not in self.reduced]
        inner = [a for a in self.axes if a in self.reduced]
        if not self.axes:  # one number: every thread computes it
            self.out.put(*self._starts(), *self.body, *self._steps(), *self._stores())
        elif not inner:
            self.out.put(f"for e in range(me, {self.out.product(self.loop.shape[a] for a in kept)}, threads):")
            self._inside(kept, [*self._starts(), *self.body, *self._steps(), *self._stores()])
        elif kept:
            self.out.put(f"for e in range(me, {self.out.product(self.loop.shape[a] for a in kept)}, threads):")
            self._inside(kept, self._starts())
            self.out.depth += 1
            for a in inner:
                self.out.put(f"for {self._letter(a)} in range({self.out.size(self.loop.shape[a])}):")
                self.out.depth += 1
            self.out.put(*self.body, *self._steps())
            self.out.depth -= len(inner)
            self.out.put(*self._stores())
            self.out.depth -= 1
        else:
            self.out.put(*self._starts())
            self.out.put(f"for e in range(me, {self.out.product(self.loop.shape[a] for a in inner)}, threads):")
            self._inside(inner, [*self.body, *self._steps()])
            self._exchange()

    def _inside(self, axes: list[int], lines: list[str], head: tuple[str, ...] = ()) -> None:
        """The indices along some axes, from e, and the lines of what is done there."""
        found, rest = [*head], "e"
        for place, a in reversed(list(enumerate(axes))):
            n, letter = self.out.factor(self.loop.shape[a]), self._letter(a)
            found.append(f"{letter} = {rest}" if place == 0 and not head else f"{letter} = {rest} % {n}")
            if place:
                found.append(f"rest = {rest} // {n}")
                rest = "rest"
        self.out.put(*(f"    {line}" for line in [*found, *lines]))

    def _letter(self, axis: int) -> str:
        return self.letters[self.axes.index(axis)]

    def _statements(self, by_all: bool = False) -> None:
        """The body; `by_all`: every thread runs it, so that one must do what may be done but once."""
        for s in self.loop.statements:
            if s.kind in START:
                self._name(s)
            elif s.kind == "add":
                add = f"{self.element(s.target)} += {self.operand(s.operands[0], s)}"
                self.body += ["if me == 0:", f"    {add}"] if by_all else [add]
            else:
                self.assign(s)

    # --- elements ---

    def element(self, place: Place | None, added_to: bool = False) -> str:
        """The element of a place at this loop's indices."""
        assert place is not None
        place = place.broadcast(self.loop.shape)
        offset, steps = place.offset, []
        for axis in self.axes:
            step, letter = place.strides[axis], self._letter(axis)
            if step < 0:
                n = self.loop.shape[axis]
                offset, step, letter = offset + step * max(n - 1, 0), -step, f"({self.out.size(n)} - 1 - {letter})"
            steps.append((step, letter))
        return self.out.row(place, self.out.total((offset, ""), *steps))

    # --- reductions ---

    def _name(self, s: Statement) -> str:
        return self.out.name(s.out, f"{identifier(s.out.name)}_b")

    def _type(self, s: Statement) -> str:
        return "bool" if s.out.dtype.kind == "b" else s.type.name

    def _starts(self) -> list[str]:
        return [f"{self._name(s)} = {start_of(s.kind, s.out.dtype)}" for s in self.reductions]

    def _steps(self) -> list[str]:
        return [
            f"{self._name(s)} = {STEP[s.kind].format(a=self._name(s), x=f'({self.operand(s.operands[0], s)})')}"
            for s in self.reductions
        ]

    def _stores(self) -> list[str]:
        return [f"{self._result(s)} = {self._name(s)}" for s in self.reductions if s.target is not None]

    def _result(self, s: Statement) -> str:
        """The element of a reduction's result at the indices of the axes that stay."""
        assert s.target is not None
        kept = [d for d in range(len(self.loop.shape)) if d not in s.axes]
        has_all = len(s.target.shape) == len(self.loop.shape)
        steps = [
            (s.target.strides[a if has_all else kept.index(a)], self._letter(a)) for a in self.axes if a not in s.axes
        ]
        return self.out.row(s.target, self.out.total((s.target.offset, ""), *steps))

    def _exchange(self) -> None:
        """What the threads of a block have each: every one gets the whole."""
        for s in self.reductions:
            name = self._name(s)
            step = STEP[s.kind].format(a=name, x="part[e]")
            start = start_of(s.kind, s.out.dtype)
            self.out.put(f"part[me] = {name}", "cuda.syncthreads()", f"{name} = {start}", "for e in range(threads):")
            self.out.put(f"    {name} = {step}", f"{name} = {self._type(s)}({name})", "cuda.syncthreads()")
        self.out.put(*self._stores())
