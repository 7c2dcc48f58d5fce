"""A step's equations as statements on arrays: what is computed how, and what is stored where.

Imports `places` and the floors below. `schedule.py` puts the statements in order, `cpu.py` writes them down.
"""

from dataclasses import dataclass, field
from keyword import kwlist
from math import prod
from typing import Any

import numpy as np

from minigrad.arraytype import NUMBERS, SCALARS, ArrayType, Shape
from minigrad.codegen.places import Array, Place, whole
from minigrad.core import OPS
from minigrad.errors import TraceError
from minigrad.ir.graph import Atom, Equation, Variable
from minigrad.ir.hoist import Parts
from minigrad.ir.rows import REDUCTIONS, Rows

VIEWS = ("reshape", "permute_dims", "broadcast_to", "flip", "split", "unstack", "getitem")
COPY = OPS["identity"].loop
NAMES = """erf exp gauss gelu gelu_slope log logaddexp pow share sigmoid sigmoid_slope silu silu_slope softplus tanh
tanh_slope""".split()
FUNCTIONS = ["norm", "row_number", *(f"{name}{bits}" for name in NAMES for bits in (32, 64))]
LETTERS = "ijklmnpq"  # of the loops over a row's axes, from the outermost on
RESERVED = set(
    "t b s old new come go T H D S K M N P Q first last down late traced state np "
    "kernel multiply apart flush_denormals abs bool range "
    # those of the text for CUDA
    "start stop only together B me threads block blocks lane lanes share store part grid e rest types cuda load".split()
) | {*kwlist, *NUMBERS, *FUNCTIONS, *LETTERS, *(f"N{i}" for i in range(8, 99))}  # names that generated text uses itself


@dataclass(eq=False)
class Statement:
    """`out = template(operands)` for each element of `shape`.

    kind: "assign", "look_up", "add" (onto the target), a reduction's name, or "product".
    operands: values by rows, places of constants, scalars.
    type: the dtype that the expression is computed in.
    target: where the result is stored; None if it need not be.
    axes: of a reduction.  rows: of a product, for one row of the batch.  after: values that must be there first.
    """

    kind: str
    out: Variable
    operands: list[Any]
    shape: Shape
    type: np.dtype[Any]
    template: str = COPY
    target: Place | None = None
    axes: tuple[int, ...] = ()
    rows: int = 1
    after: tuple[Variable, ...] = ()


@dataclass
class Plan:
    """Statements, and where values lie.

    places: of every value that is stored.  kept: of those that were asked for, for all steps.
    origin: what a view is a view of.  pieces: the values that together make up a joined one.
    """

    parts: Parts
    batch: int
    statements: list[Statement] = field(default_factory=list)
    places: dict[Variable, Place] = field(default_factory=dict)
    kept: dict[Variable, Place] = field(default_factory=dict)
    arrays: dict[Any, Array] = field(default_factory=dict)
    origin: dict[Variable, Variable] = field(default_factory=dict)
    pieces: dict[Variable, list[Variable]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cut = {out: e for e in self.parts.once if e.op.name == "split" for out in e.outs}
        self.made = {out: e for e in self.parts.loop for out in e.outs}

    # --- where values lie ---

    def inner(self, v: Variable) -> Shape:
        """The shape of one row of a value."""
        kind = self.parts.kinds[v]
        assert isinstance(kind, Rows)
        return kind.inner

    def array(self, key: Any, name: str, kind: str, width: int, dtype: Any) -> Array:
        """The array for `key`, made at first sight, with a name of its own."""
        if key not in self.arrays:
            name = identifier(name)
            taken = RESERVED | {part for a in self.arrays.values() for part in (a.name, f"{a.name}_at")}
            while name in taken or f"{name}_at" in taken:
                name += "_"
            self.arrays[key] = Array(name, kind, width, np.dtype(dtype))
        return self.arrays[key]

    def own(self, v: Variable, kind: str, at: str | None = None) -> Place:
        """A new array for a value."""
        shape = self.inner(v)
        self.places[v] = whole(self.array((kind, v), v.name, kind, prod(shape), v.dtype), shape, at)
        return self.places[v]

    def lend(self, v: Variable, place: Place) -> None:
        """Let a value lie in an array of another plan."""
        self.arrays.setdefault(("lent", place.array), place.array)
        self.places[v] = place

    def may_choose(self, atom: Atom) -> bool:
        """Whether a statement makes this value and was not told yet where to store it."""
        is_made = isinstance(atom, Variable) and atom in self.made and not is_view(self.made[atom])
        return is_made and atom not in self.places

    def stored(self, v: Variable) -> Place:
        """Where a value lies, in an array of its own if nobody said so before."""
        return self.own(v, "row") if self.may_choose(v) else self.places[v]

    def store(self, atom: Atom, place: Place, like: Variable) -> Variable:
        """Let a value be stored at a place: by its own statement if that is free to choose, else by a copy."""
        if self.may_choose(atom):
            self.places[atom] = place
            return atom
        return self.copy(atom, place, like)

    def copy(self, atom: Atom, place: Place, like: Variable) -> Variable:
        """A statement that copies a value of the type of `like` to a place."""
        out = Variable(like.type, like.name)
        self.parts.kinds[out] = Rows(place.shape)
        self.places[out] = place
        self.statements.append(Statement("assign", out, [self.operand(atom, like)], place.shape, like.dtype))
        return out

    def keep(self, v: Variable) -> None:
        """Hold a value for all steps."""
        if v in self.kept:
            return
        if self.may_choose(v):
            self.own(v, "time")
        place = self.places[v]
        if not place.is_whole or place.array.kind not in ("time", "carry"):
            shape = self.inner(v)
            place = whole(self.array(("kept", v), v.name, "time", prod(shape), v.dtype), shape)
            self.copy(v, place, v)
        self.kept[v] = place

    def add_up(self, v: Variable) -> Array:
        """Add a value up over the steps, row by row."""
        shape = self.inner(v)
        array = self.array(("sum", v), f"sum_{v.name}", "sum", prod(shape), v.dtype)
        if not any(self.places.get(s.out) == whole(array, shape) for s in self.statements):
            out = Variable(v.type, v.name)
            self.places[out] = whole(array, shape)
            self.statements.append(Statement("add", out, [v], shape, v.dtype))
        return array

    def operand(self, atom: Atom, beside: Variable) -> Any:
        """A scalar, a value by rows, or the place of a constant beside a value like `beside`."""
        if type(atom) in SCALARS or atom not in self.parts.constant:
            return atom
        source = self.cut.get(atom)
        if source is not None and len(atom.shape) < len(beside.shape):  # a part of a bias: where the bias lies
            place = self.operand(source.inputs[0], beside)
            axis = source.metadata["axis"]
            return dict(zip(source.outs, _split(place, axis, axis, source.outs, False), strict=True))[atom]
        shape = atom.shape
        if len(shape) == len(beside.shape) and shape:
            if shape[0] == self.batch > 1:
                return whole(self.array(("row", atom), atom.name, "row", prod(shape[1:]), atom.dtype), shape[1:])
            shape = shape[1:]
        return whole(self.array(("shared", atom), atom.name, "shared", prod(shape), atom.dtype), shape)

    # --- equations to statements ---

    def lower(self) -> None:
        """Turn the loop's equations into statements, and say where views lie."""
        for e in reversed(self.parts.loop):  # so that what is joined is stored where the whole lies
            if e.op.name in ("concat", "stack"):
                self._join(e)
        for e in self.parts.loop:
            name = e.op.name
            if name in ("linear", "matmul"):
                self._product(e)
            elif is_look_up(e):
                self._look_up(e)
            elif name in VIEWS:
                self._view(e)
            elif name == "put":
                self._put(e)
            elif name in REDUCTIONS:
                self._reduction(e)
            elif name not in ("concat", "stack"):
                self._elements(e)

    def finish(self) -> None:
        """Tell each statement where its result lies, now that all is known."""
        for s in self.statements:
            s.target = self.places.get(s.out)

    def _elements(self, e: Equation) -> None:
        out = e.outs[0]
        computed, template = e.op.computed_in(e.inputs, out.dtype)
        operands = [self.operand(a, out) for a in e.inputs]
        self.statements.append(Statement("assign", out, operands, self.inner(out), computed, template))

    def _look_up(self, e: Equation) -> None:
        """out[i.., m..] = table[index[i..], m..]"""
        (table, index), out = e.inputs, e.outs[0]
        if not table.size:
            raise TraceError(f"it looks up rows of {table.type}, which has none")
        place, rest = self.stored(index), (0,) * (table.ndim - 1)
        ones = (1,) * len(rest)
        at = self._at(index, Place(place.array, place.at, (*place.shape, *ones), (*place.strides, *rest), place.offset))
        self.origin[at] = index
        rows = whole(self.array(("shared", table), table.name, "shared", table.size, table.dtype), table.shape)
        self.statements.append(Statement("look_up", out, [at, rows], self.inner(out), out.dtype))

    def _reduction(self, e: Equation) -> None:
        x, out = e.inputs[0], e.outs[0]
        if out in self.places and not self.places[out].is_contiguous:
            self._aside(out)
        kind = self.parts.kinds[x]
        assert isinstance(kind, Rows)
        axes = tuple(a - 1 + kind.folded for a in e.metadata["axes"])
        self.statements.append(Statement(e.op.name, out, [x], kind.inner, out.dtype, axes=axes))

    def _product(self, e: Equation) -> None:
        (x, w), out = e.inputs, e.outs[0]
        if out in self.places and not self.places[out].is_whole:
            self._aside(out)
        if not self.stored(x).is_whole or x.dtype != out.dtype:
            x = self._dense(x, out.dtype)
        self.stored(out)
        weight = self.array(("weight", w, e.op.name, out.dtype), w.name, "weight", 0, out.dtype)
        rows = prod(self.inner(out)[:-1])
        self.statements.append(Statement("product", out, [x, weight], self.inner(out), out.dtype, rows=rows))

    def _aside(self, out: Variable) -> None:
        """Let a value be made in an array of its own and copied to where it was wanted."""
        place = self.places.pop(out)
        self.own(out, "row")
        copied = self.copy(out, place, out)
        for pieces in self.pieces.values():  # whoever reads what it is a piece of reads the copy
            pieces[:] = [copied if piece is out else piece for piece in pieces]

    def _at(self, like: Variable, place: Place) -> Variable:
        """A new value for what lies at a place."""
        v = Variable(like.type, like.name)
        self.parts.kinds[v] = Rows(place.shape)
        self.places[v] = place
        return v

    def _join(self, e: Equation) -> None:
        out = e.outs[0]
        place, kind = self.stored(out), self.parts.kinds[out]
        assert isinstance(kind, Rows)
        parts = _split(place, e.metadata["axis"] - 1 + kind.folded, e.metadata["axis"], e.inputs, e.op.name == "stack")
        self.pieces[out] = []
        for a, part in zip(e.inputs, parts, strict=True):
            self.pieces[out].append(self.store(a, part, a))

    def _put(self, e: Equation) -> None:
        """Zeros, and the value in a part of them."""
        out, g = e.outs[0], e.inputs[0]
        place = self.stored(out)
        zero = self._at(out, place)
        self.statements.append(Statement("assign", zero, [0.0], place.shape, out.dtype))
        part = _indexed(place, e.metadata["key"], len(out.shape))
        inside = self._at(g, part)
        self.statements.append(Statement("assign", inside, [g], part.shape, out.dtype, after=(zero,)))
        self.pieces[out] = [zero, inside]

    def _view(self, e: Equation) -> None:
        x, name = e.inputs[0], e.op.name
        place, kind = self.stored(x), self.parts.kinds[e.outs[0]]
        assert isinstance(kind, Rows)
        if name == "reshape" and not place.is_contiguous:
            x = self._dense(x, x.dtype)
            place = self.places[x]
        if name == "getitem":
            found = [_indexed(place, e.metadata["key"], len(x.shape))]
        elif name == "permute_dims":
            axes = [a - 1 for a in e.metadata["axes"][1:]]
            shape, strides = (tuple(v[a] for a in axes) for v in (place.shape, place.strides))
            found = [Place(place.array, place.at, shape, strides, place.offset)]
        elif name == "flip":
            found = [place]
            for a in e.metadata["axes"]:
                found = [found[0].flipped(a - 1 + kind.folded)]
        elif name == "broadcast_to":
            found = [place.broadcast(kind.inner)]
        elif name == "reshape":
            found = [place.reshaped(kind.inner)]
        else:
            axis = e.metadata["axis"]
            found = _split(place, axis - 1 + kind.folded, axis, e.outs, name == "unstack")
        for out, part in zip(e.outs, found, strict=True):
            self.places[out], self.origin[out] = part, x

    def _dense(self, x: Variable, dtype: np.dtype[Any]) -> Variable:
        """A copy of a value, its elements in order and of that dtype."""
        shape, like = self.places[x].shape, Variable(ArrayType(x.shape, dtype), x.name)
        return self.copy(x, whole(self.array(("dense", x, dtype), x.name, "row", prod(shape), dtype), shape), like)


def is_look_up(e: Equation) -> bool:
    """Whether rows of a weight are picked by index."""
    return e.op.name == "getitem" and len(e.inputs) == 2


def is_view(e: Equation) -> bool:
    """Whether what comes out lies where what goes in lies."""
    return e.op.name in VIEWS and not is_look_up(e)


def _split(place: Place, axis: int, graph_axis: int, values: Any, stacked: bool) -> list[Place]:
    """The places of values that lie one after the other along an axis; `stacked` ones do not have that axis."""
    found, start = [], 0
    for v in values:
        size = 1 if stacked else v.shape[graph_axis]
        part = place.part(axis, start, size)
        found.append(part.without(axis) if stacked else part)
        start += size
    return found


def _indexed(place: Place, key: tuple[Any, ...], ndim: int) -> Place:
    """`place[key]` for slices, integers, None and `...`, whose first part is the whole batch."""
    named = sum(k is not None and k is not Ellipsis for k in key)
    full: list[Any] = []
    for k in key:
        full += [slice(None)] * (ndim - named) if k is Ellipsis else [k]
    shape: list[int] = []
    strides: list[int] = []
    offset, axis = place.offset, 0
    for k in full[1:]:
        if k is None:
            shape.append(1)
            strides.append(0)
            continue
        n, stride = place.shape[axis], place.strides[axis]
        axis += 1
        if isinstance(k, slice):
            picked = range(n)[k]
            shape.append(len(picked))
            strides.append(stride * picked.step)
            offset += stride * picked.start if picked else 0
        else:
            offset += stride * range(n)[k]
    rest = place.shape[axis:]
    return Place(place.array, place.at, (*shape, *rest), (*strides, *place.strides[axis:]), offset)


def identifier(name: str) -> str:
    """A variable's name as Python takes it: `h'` becomes `h_next`."""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in name.replace("'", "_next")) or "v"
    return f"_{name}" if name[0].isdigit() else name
