"""Regions to text for CUDA: a module with two kernels, from the same plan as `cpu.py`.

Imports the files of its floor before it. A kernel runs all steps, or one region of some steps. Rows of the batch have
nothing to do with each other, so a block may run its rows through all steps alone; else all blocks run all rows
together, each its columns of the weights, and wait for each other after each region (`launch.py` chooses).
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from minigrad.codegen.half import Half
from minigrad.codegen.loops import LoopWriter
from minigrad.codegen.places import Array, Place, Sizes
from minigrad.codegen.plan import Statement, identifier
from minigrad.codegen.schedule import Loop
from minigrad.codegen.text import Text
from minigrad.ir.graph import Variable
from minigrad.kernels.cuda_elements import spoken
from minigrad.ops.reduce import START, STEP

HEAD = '''"""A recurrence for the GPU, written by minigrad from the graph of its cell. B rows; steps start to stop of T.
down: from the last step to the first.  late: 1 for a scan that runs so, whose carry before step t is then at t + 1.
only: the region to run, or -1 for all.  together: whether all blocks run all rows.  x_at: where x begins.
Shared memory: `part`, if rows are summed up, and behind it the weights, `store`.
"""

import numpy as np
from numpy import float32, float64, int32, int64

from minigrad.gpu import cuda, kernel
from minigrad.jit import types
from minigrad.kernels.cuda_math import *  # noqa: F403
from minigrad.kernels.cuda_scan import load, multiply, norm'''
LEADING = {"time": True, "carry": True, "swap": True, "norm": True}  # arrays with one part a step


@dataclass(frozen=True)
class Product:
    """A product of a kernel: which region it is, and its operands as (array, at)."""

    region: int
    x: tuple[Array, str]
    weight: Array
    out: tuple[Array, str]
    rows: int
    inner: int
    columns: int


@dataclass(frozen=True)
class Written:
    """One kernel: its text, the sizes that it takes, its products, whether a row may be run by one block only, and how
    many regions it has.
    """

    text: str
    sizes: list[int]
    products: list[Product]
    alone: bool
    regions: int


class CudaText(Text):
    """The body of one kernel; arrays are flat."""

    def row(self, place: Place, inside: str = "") -> str:
        return f"{place.array.name}[{self.begin(place)}{f' + {inside}' if inside not in ('', '0') else ''}]"

    def begin(self, place: Place, row: str = "b") -> str:
        """Where a row begins: `h_at + (old * B + b) * H`."""
        array = place.array
        if array.kind == "shared":
            return f"{array.name}_at"
        line = f"({place.at} * B + {row})" if LEADING.get(array.kind) else row
        return f"{array.name}_at + {line} * {self._factor(array.width)}"

    def _factor(self, n: int) -> str:
        size = self.size(n)
        return f"({size})" if "*" in size else size

    def product(self, sizes: Any) -> str:
        """A product of sizes as text."""
        return " * ".join(self._factor(n) for n in sizes if n != 1) or "1"

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
        self._inside([f"b = first + e // {'(' + size + ')' if '*' in size else size}"], self.axes)

    def write_row(self) -> None:
        """The row b, by the threads of one block."""
        self._statements()
        kept = [a for a in self.axes if a not in self.reduced]
        inner = [a for a in self.axes if a in self.reduced]
        if not self.axes:  # one number: every thread computes it
            self.out.put(*self._starts(), *self.body, *self._steps(), *self._stores())
        elif not inner:
            self.out.put(f"for e in range(me, {self.out.product(self.loop.shape[a] for a in kept)}, threads):")
            self._inside([*self._starts()], kept, [*self._steps(), *self._stores()])
        elif kept:
            self.out.put(f"for e in range(me, {self.out.product(self.loop.shape[a] for a in kept)}, threads):")
            self._inside([], kept, body=[])
            self.out.depth += 1
            self.out.put(*self._starts())
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
            self._inside([], inner, self._steps())
            self._exchange()

    def _inside(self, head: list[str], axes: list[int], tail: list[str] = [], body: Any = None) -> None:  # noqa: B006
        """The indices along some axes, from e, and what is done there."""
        lines, rest = [*head], "e"
        for place, a in reversed(list(enumerate(axes))):
            n, letter = self.out._factor(self.loop.shape[a]), self._letter(a)
            lines.append(f"{letter} = {rest}" if place == 0 and not head else f"{letter} = {rest} % {n}")
            if place:
                lines.append(f"rest = {rest} // {n}")
                rest = "rest"
        self.out.put(*(f"    {line}" for line in [*lines, *(self.body if body is None else body), *tail]))

    def _letter(self, axis: int) -> str:
        return self.letters[self.axes.index(axis)]

    def _statements(self) -> None:
        for s in self.loop.statements:
            if s.kind in START:
                self._name(s)
            elif s.kind == "add":
                self.body.append(f"{self.element(s.target)} += {self.operand(s.operands[0], s)}")
            else:
                self.assign(s)

    # --- elements ---

    def element(self, place: Place | None) -> str:
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
        return [f"{self._name(s)} = {START[s.kind].format(t=self._type(s))}" for s in self.reductions]

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
            start = START[s.kind].format(t=self._type(s))
            self.out.put(f"part[me] = {name}", "cuda.syncthreads()", f"{name} = {start}", "for e in range(threads):")
            self.out.put(f"    {name} = {step}", f"{name} = {self._type(s)}({name})", "cuda.syncthreads()")
        self.out.put(*self._stores())


def module_text(forward: Half, backward: Half) -> tuple[str, Written, Written]:
    """The module for one program, and what there is to know of its kernels."""
    written = _kernel(forward, "forward"), _kernel(backward, "backward")
    return "\n\n\n".join([HEAD, *(w.text for w in written)]) + "\n", *written


def _kernel(half: Half, name: str) -> Written:
    text = CudaText(half.plan, Sizes())
    text.taken |= {f"{a.name}_at" for a in half.plan.arrays.values()}
    text.depth = 3
    products: list[Product] = []
    alone = False
    for number, region in enumerate(half.regions):
        text.depth = 2
        text.put(f"if only < 0 or only == {number}:")
        text.depth = 3
        if isinstance(region, Statement):
            products.append(_product(text, region, number))
        else:
            alone = _pass(text, region) or alone
        text.sync()
    body, text.lines, text.depth = text.lines, [], 1
    if half.norms:
        _norms(text, half)
    norms = text.lines
    lines = [*_setting(text, products, alone), *body, *norms]
    sizes = text.size
    arguments = [*"start stop only together T down late traced B".split(), *sizes.names.values()]
    arguments += [f"{p}_{i}" for i in range(len(products)) for p in ("begin", "here")]
    arguments += [part for a in half.arrays for part in (a.name, f"{a.name}_at")]
    words = ", ".join(arguments)
    return Written(f"@kernel\ndef {name}({words}):\n" + spoken("\n".join(lines)), list(sizes.names), products, alone,
                   len(half.regions))  # fmt: skip


def _setting(text: CudaText, products: list[Product], alone: bool) -> list[str]:
    """Who works on what, weights brought into shared memory, and the loop over steps."""
    dtype = products[0].weight.dtype.name if products else "float32"
    text.lines, text.depth = [], 1
    text.put(
        "grid = cuda.cg.this_grid()",
        "me, threads = cuda.threadIdx.x, cuda.blockDim.x",
        "block, blocks = (cuda.blockIdx.x, cuda.gridDim.x) if together else (0, 1)",
        "share = B if together else (B + cuda.gridDim.x - 1) // cuda.gridDim.x",
        "first = 0 if together else min(B, cuda.blockIdx.x * share)",
        "last = min(B, first + share)",
        "lane, lanes = me * blocks + block, threads * blocks",
    )
    if alone:
        text.put("part = cuda.shared.array(0, types.float64)")
    if products:
        text.put(f"store = cuda.shared.array(0, types.{dtype})")
    for i, p in enumerate(products):
        w = p.weight.name
        text.put(f"load({w}, {w}_at, {text.size(p.columns)}, store, begin_{i}, here_{i}, block, blocks, me, threads)")
    text.put("cuda.syncthreads()", "for s in range(start, stop):", "    t = T - 1 - s if down else s")
    text.put("    old, new = t + late, t + 1 - late", "    come, go = s % 2, 1 - s % 2")
    return text.lines


def _product(text: CudaText, s: Statement, number: int) -> Product:
    x, weight = s.operands
    assert s.target is not None
    place = text.plan.places[x]
    inner, columns = place.shape[-1], s.shape[-1]
    rows = text.size(s.rows)
    i = sum("multiply(" in line for line in text.lines)
    ends = [f"{end} * {rows}" if s.rows > 1 else end for end in ("first", "last")]
    text.put(
        f"multiply({place.array.name}, {text.begin(place, '0')}, {text.size(inner)}, {weight.name}, {weight.name}_at, "
        f"{text.size(columns)}, store, begin_{i}, here_{i}, {s.target.array.name}, {text.begin(s.target, '0')}, "
        f"{ends[0]}, {ends[1]}, block, blocks, me, threads)"
    )
    return Product(number, (place.array, place.at), weight, (s.target.array, s.target.at), s.rows, inner, columns)


def _pass(text: CudaText, loops: list[Loop]) -> bool:
    """A pass over the rows; returns whether one block must have a row to itself."""
    made = {s.out: loop for loop in loops for s in loop.statements}
    shared = any(
        isinstance(a, Variable) and a not in text.plan.places and made.get(a) is not loop
        for loop in loops for s in loop.statements for a in s.operands
    )  # fmt: skip
    if not shared and not any(s.kind in START for loop in loops for s in loop.statements):
        for i, loop in enumerate(loops):
            CudaLoop(text, loop).write_flat()
            if i < len(loops) - 1:
                text.sync()
        return False
    text.put("for b in range(first, last):")
    text.depth += 1
    for i, loop in enumerate(loops):
        CudaLoop(text, loop).write_row()
        if i < len(loops) - 1:
            text.sync(row_by_row=True)
    text.depth -= 1
    return True


def _norms(text: CudaText, half: Half) -> None:
    """The norm of the gradient of each carry at each step, for whoever watches; a thread a row."""

    def of(place: Place) -> str:
        return f"norm({place.array.name}, {text.begin(place)}, {text.size(prod(place.shape))})"

    text.depth = 2
    text.put(f"if traced and (only < 0 or only == {len(half.regions)}):")
    text.put("    for b in range(first + lane, last, lanes):")
    for _, target, made, kept, runs in half.norms:
        found = of(made)
        if runs is not None and kept is not None:
            found = f"{found} if {text.row(runs)} else {of(kept)}"
        text.put(f"        {target.name}[{target.name}_at + t * B + b] = {found}")
    text.depth = 3
    text.sync()
