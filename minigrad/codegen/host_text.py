"""Lines of the Python that runs a program's kernels: names, constants, products, and where arrays come from.

Imports the files of its floor before it. `host.py` says which lines make up which function.
"""

from collections.abc import Iterable, Mapping
from keyword import kwlist
from math import isfinite
from textwrap import wrap
from typing import Any

from minigrad.arraytype import NUMBERS
from minigrad.codegen.half import Half
from minigrad.codegen.places import Array, Place
from minigrad.codegen.plan import identifier
from minigrad.codegen.text import Names
from minigrad.ir.graph import Atom, Equation, Variable

WIDTH = 116
WORDS = {*kwlist, *NUMBERS} | set(
    "T reverse start end old new order weights own kept carry ys g_carry g_ys sums totals norms traced wanted values "
    "first last ops empty panels rows product looked_up within outer put share forward backward int bool slice".split()
)


class HostText(Names):
    """The functions of one half, and the names of what they work on."""

    def __init__(self, half: Half, constants: dict[str, Any]) -> None:
        self.half, self.plan, self.constants = half, half.plan, constants
        super().__init__(WORDS | set(constants))
        self.lines: list[str] = []
        self.makers = {out: e for e in half.parts.once for out in e.outs}
        self.panels: dict[tuple[Atom, bool, Any], str] = {}

    # --- names ---

    def array(self, array: Array) -> str:
        """An array of the loop."""
        return self.name(array, array.name)

    def value(self, atom: Any) -> str:
        """A constant of the graph, or anything that an op is told."""
        if isinstance(atom, Variable):
            return self.name(atom, identifier(atom.name))
        return self.literal(atom)

    def literal(self, given: Any) -> str:
        """As Python would write it, if it can; else a name for it."""
        if _plain(given):
            return repr(given)
        name = f"given{len(self.constants)}"
        self.constants[name] = given
        return name

    def call(self, e: Equation, inputs: Iterable[str]) -> str:
        """`a, b = ops.split(x, sizes=(3, 4), axis=0)`"""
        options = [f"{key}={self.literal(v)}" for key, v in e.metadata.items()]
        outs = ", ".join(self.value(v) for v in e.outs) + "," * (e.op.multiple and len(e.outs) == 1)
        return f"{outs} = ops.{e.op.name}({', '.join([*inputs, *options])})"

    # --- lines ---

    def put(self, *lines: str) -> None:
        """Lines of a function's body."""
        for line in lines:
            if len(line) + 4 > WIDTH:  # only what stands in brackets may be broken
                left, sign, right = line.partition(" = ")
                if line.startswith("return "):
                    line = f"return ({line.removeprefix('return ')})"
                elif sign and "," in left and "(" not in left:
                    line = f"({left})\0=\0{right}"
            self.lines += [
                piece.replace("\0", " ")
                for piece in wrap(
                    line, WIDTH, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False
                )
            ]

    def define(self, signature: str, doc: str) -> None:
        """The head of a function."""
        self.lines += [f"def {signature}:", f'    """{doc}"""']

    def unpack(self, names: list[str], source: str) -> None:
        """`a, b = source`"""
        if names:
            self.put(f"{', '.join(names)}{',' * (len(names) == 1)} = {source}")

    def steps(self, head: str) -> None:
        """Where, in an array of carries, the values before and after each step are, if the function asks."""
        at = self.lines.index(head) + 2
        text = "\n".join(self.lines[at:])
        if "[old]" in text or "[new]" in text:
            later, earlier = "slice(1, None)", "slice(T)"
            self.lines.insert(at, f"    old, new = ({later}, {earlier}) if reverse else ({earlier}, {later})")
        if "[start]" in text or "[end]" in text:
            self.lines.insert(at, "    start, end = (T, 0) if reverse else (0, T)")

    # --- what both directions do ---

    def weights(
        self, name: str, given: list[Variable], products: list[Equation], asked: list[Any], doc: str
    ) -> list[str]:
        """The function that makes of constants what the loop and the products take, and what is asked for."""
        self.define(f"{name}({', '.join(map(self.value, given))})", doc)
        beside = [a for e in products for a in e.inputs if a in self.half.parts.constant]
        self.constants_of([*(v for _, v, _ in self.half.constants), *asked, *beside])
        ready = self.packed(products)
        self.put(f"return ({listed(ready)}), ({listed(map(self.value, asked))})")
        self.lines += ["", ""]
        return ready

    def constants_of(self, asked: Iterable[Atom]) -> None:
        """Make the asked constants out of those that are there."""
        todo, needed = [a for a in asked if isinstance(a, Variable)], set()
        while todo:
            atom = todo.pop()
            if atom not in needed:
                needed.add(atom)
                todo += [a for a in self.makers[atom].inputs if isinstance(a, Variable)] if atom in self.makers else []
        for e in self.half.parts.once:
            if not needed.isdisjoint(e.outs):
                self.put(self.call(e, map(self.value, e.inputs)))

    def packed(self, products: list[Equation]) -> list[str]:
        """The weights as the loop and the products take them: names; the lines that make them are put down."""
        for array, v, kind in self.half.constants:
            if kind in ("row", "shared"):
                shape = f"({self.plan.batch}, -1)" if kind == "row" else "-1"
                self.put(f"{self.array(array)} = rows({self.value(v)}, {shape})")
            else:
                self._panels(v, kind == "linear", array.dtype, array)
        for e in products:
            if e.op.name != "getitem":
                turned, dtype = e.op.name == "linear", e.outs[0].dtype
                self._panels(e.inputs[1], turned, dtype, ("panels", e.inputs[1], turned, dtype))
        names = [self.array(array) for array, *_ in self.half.constants] + list(self.panels.values())
        extra = [e.inputs[0] if e.op.name == "getitem" else e.inputs[2] for e in products if _asks(e)]
        return list(dict.fromkeys(names + [self.value(v) for v in extra if isinstance(v, Variable)]))

    def _panels(self, v: Atom, turned: bool, dtype: Any, key: Any) -> None:
        if (v, turned, dtype) not in self.panels:
            name = self.name(key, identifier(f"{v.name}_panels") if isinstance(v, Variable) else "panels_of")
            self.panels[v, turned, dtype] = name
            self.put(f"{name} = panels({self.value(v)}, {turned}, {dtype})")
        elif isinstance(key, Array):
            self.names[key] = self.panels[v, turned, dtype]

    def held(self, v: Variable) -> str:
        """A value that is held for all steps, [T, B, N]."""
        return self.at(self.place(v))

    def at(self, place: Place) -> str:
        """What lies at a place at each step, [T, B, N]."""
        name = self.array(place.array)
        return f"{name}[{'new' if place.at == 'new' else 'old'}]" if place.array.kind == "carry" else name

    def matrix(self, v: Variable, dtype: Any) -> str:
        """The same as [T B, N]."""
        cast = f".astype({dtype})" if v.dtype != dtype else ""
        return f"{self.held(v)}.reshape(-1, {v.shape[-1]}){cast}"

    def products(self, equations: list[Equation], wanted: Mapping[Variable, int] | None = None) -> None:
        """Products with weights and look-ups, for all steps at once; `wanted`: those that may be left out."""
        for e in equations:
            out = e.outs[0]
            if e.op.name == "getitem":
                self.put(f"looked_up({self.value(e.inputs[0])}, {self.held(e.inputs[1])}, {self.held(out)})")
                continue
            panels = self.panels[e.inputs[1], e.op.name == "linear", out.dtype]
            line = f"product({self.matrix(e.inputs[0], out.dtype)}, {panels}, {self.matrix(out, out.dtype)})"
            if wanted and out in wanted:
                self.put(f"if wanted[{wanted[out]}]:")
            self.put("    " * bool(wanted and out in wanted) + line)
            if len(e.inputs) > 2:
                self.put(f"{self.array(self.place(out).array)} += {self.value(e.inputs[2])}")

    def place(self, v: Variable) -> Place:
        """Where a value is held for all steps."""
        return self.plan.kept[v] if v in self.plan.kept else self.plan.places[v]

    def arrays(self) -> None:
        """The arrays that this half writes: kept ones, and fresh ones for what others may hold afterwards."""
        self.unpack([self.array(a) for a in self.half.own], "own")
        for array in self.half.seen:
            leading = {"time": "T, ", "carry": "T + 1, ", "swap": "2, "}.get(array.kind, "")
            self.put(f"{self.array(array)} = empty(({leading}{self.plan.batch}, {array.width}), {array.dtype})")

    def given(self, arrays: list[Array], source: str) -> None:
        """What the caller brings, [T, B, ...] each."""
        self.unpack([self.array(a) for a in arrays], source)
        for a in arrays:
            self.put(f"{self.array(a)} = rows({self.array(a)}, (T, {self.plan.batch}, {a.width}))")

    def first(self, arrays: list[Array], source: str, at: str) -> None:
        """What comes from the step before the first."""
        names = [self.name((source, a), f"{a.name}_first") for a in arrays]
        self.unpack(names, source)
        for a, name in zip(arrays, names, strict=True):
            self.put(f"{self.array(a)}[{at}] = {name}.reshape({self.plan.batch}, {a.width})")

    def loop(self, kernel: str, down: str, traced: str) -> None:
        """The kernel on all rows, shared out among the threads."""
        sizes = [str(n) for n in self.half.sizes.names]
        names = ["first, last, T", down, "int(reverse)", traced, *sizes, *(self.array(a) for a in self.half.arrays)]
        batch = self.plan.batch
        self.put(f"share({batch}, {self.half.work * batch} * T, lambda first, last: {kernel}(")
        self.lines += wrap(f"{', '.join(names)}))", WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _asks(e: Equation) -> bool:
    """Whether a product or look-up reads a constant as it is."""
    return e.op.name == "getitem" or len(e.inputs) > 2


def listed(names: Iterable[str]) -> str:
    """A tuple's inside."""
    several = list(names)
    return f"{several[0]}," if len(several) == 1 else ", ".join(several)


def _plain(given: Any) -> bool:
    """Whether `repr` gives it back."""
    if isinstance(given, tuple):
        return all(_plain(g) for g in given)
    if isinstance(given, slice):
        return all(_plain(g) for g in (given.start, given.stop, given.step))
    if type(given) is float:
        return isfinite(given)
    return given is None or type(given) in (bool, int, str)
