"""An op, the table of ops, and who runs them.

Imports the ground floor. An op is declared once (see `minigrad/ops`); calling it hands it to the running
interpreter: the eager one of `minigrad/eager.py`, or whichever `interpreting` put on top.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.arraytype import SCALARS, holds
from minigrad.errors import UsageError


class Value:
    """What ops take and return: a Tensor, or a stand-in for one."""

    __slots__ = ()
    is_known = True  # False for a stand-in, whose value nobody can ask for
    device: str | None = None  # of a stand-in: wherever the others live
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One operation on arrays: arrays are positional, metadata is keyword.

    forward:    NumPy arrays (or Python scalars) -> array, or a tuple of arrays if `multiple`.
    type_rule:  the same arguments' types -> ArrayType (or a tuple); raises ShapeError with the reason.
    vjp:        `(g, out, *inputs, **metadata)` -> one cotangent an input (None: no gradient), in ops, never in NumPy.
                A cotangent that is much work may be a function that gives it; it is called if somebody wants it.
                An argument whose name begins with `_` comes as its ArrayType: its value is not kept for the backward.
    broadcasts: the cotangents may have the broadcast shape; undoing it happens in one place, `tape.py`.
    arity:      how many arrays an op takes that takes nothing else; 0 for others.
    loop:       for ops on elements, the expression in a generated loop: `{0}`, `{1}` inputs, `{t}` the result's type
                as in `float32`, `{f}` its bits.  loops_over: the kinds of dtypes for which it says what `forward` says.
    expand:     the same value from simpler ops, for generated code.
    samples:    `rng -> [(inputs, metadata), ...]`, what the tests draw from; inputs inside the smooth region.
    """

    name: str
    forward: Callable[..., Any]
    type_rule: Callable[..., Any]
    vjp: Callable[..., tuple[Any, ...]] | None
    samples: Callable[[np.random.Generator], list[tuple[tuple[Any, ...], dict[str, Any]]]]
    multiple: bool = False
    broadcasts: bool = False
    arity: int = 0
    loop: str = ""
    loops_over: str = "biuf"
    expand: Callable[..., Any] | None = None
    keeps: tuple[bool, ...] = ()

    def __call__(self, *inputs: Any, **metadata: Any) -> Any:
        if self.arity and (len(inputs) != self.arity or metadata):
            raise self._misused(len(inputs), metadata)
        return running.interpreter.run(self, inputs, metadata)

    def _misused(self, given: int, options: dict[str, Any]) -> UsageError:
        what = f"{given} {'was' if given == 1 else 'were'} given" + "".join(f", and {name}=" for name in options)
        hint = " The indices where a condition holds are np.nonzero(t.numpy())." if self.name == "where" else ""
        return UsageError(f"mg.{self.name} takes {self.arity} array{'s'[: self.arity > 1]}, by position; {what}.{hint}")

    def keeps_input(self, i: int) -> bool:
        """Whether the backward needs the value of input `i`; a rule's last name, if starred, covers the rest."""
        return self.keeps[min(i + 1, len(self.keeps) - 1)]

    def computed_in(self, inputs: Any, result: np.dtype[Any]) -> tuple[np.dtype[Any], str]:
        """Of an op on elements: the dtype that its expression is computed in, and that expression."""
        if self.name == "cast":
            return inputs[0].dtype, "{0} != 0" if result.kind == "b" else self.loop
        if self.name == "bitwise_invert" and result.kind == "b":
            return result, "not {0}"
        if result.kind == "b":
            found = np.result_type(*(x if type(x) in SCALARS else x.dtype for x in inputs))
            wide = [x for x in inputs if type(x) is int and found.kind in "iu" and not holds(found, x)]
            return np.dtype(np.int64) if wide else found, self.loop  # no element can equal such a number
        return result, self.loop

    @property
    def keeps_output(self) -> bool:
        """Whether the backward needs what came out."""
        return self.keeps[0]


OPS: dict[str, Op] = {}


def declare(name: str, **fields: Any) -> Op:
    """Put an op into the table."""
    assert name not in OPS, f"op {name} is declared twice"
    vjp = fields["vjp"]
    keeps: tuple[bool, ...] = ()
    if vjp is not None:
        code = vjp.__code__
        names = code.co_varnames[1 : code.co_argcount]
        if code.co_flags & 0x04:  # a starred argument stands for all further inputs
            names += (code.co_varnames[code.co_argcount + code.co_kwonlyargcount],)
        keeps = tuple(not n.startswith("_") for n in names)
    OPS[name] = Op(name=name, keeps=keeps, **fields)
    return OPS[name]


class Interpreter:
    """Runs ops, and lifts plain data to the values it works on."""

    def run(self, op: Op, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Any:
        raise NotImplementedError

    def lift(self, data: Any) -> Value:
        raise NotImplementedError

    def make(self, array: Any, device: str | None) -> Value:
        """A value of an array that nobody else holds, on a device if values have one."""
        return self.lift(array)

    def draw(self, make: Callable[[], Any]) -> Value:
        """A value of the random numbers that `make` draws: other ones at each step of a scan."""
        return self.lift(make())


class _Running(threading.local):
    """The interpreter of this thread; a new thread starts with the one that was made the default."""

    interpreter: Interpreter


running = _Running()


def make_default(interpreter: Interpreter) -> None:
    """Let `interpreter` run every op for which nothing else was said, in every thread."""
    _Running.interpreter = interpreter


class interpreting:  # noqa: N801
    """Let `interpreter` run every op of this thread within the block."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter

    def __enter__(self) -> None:
        self.before, running.interpreter = running.interpreter, self.interpreter

    def __exit__(self, *_: Any) -> None:
        running.interpreter = self.before


def draw(make: Callable[[], Any]) -> Any:
    """A value of random numbers, drawn by `make` as an array whenever the program comes by."""
    return running.interpreter.draw(make)


def as_value(data: Any) -> Any:
    """`data` itself if ops know it, else what the running interpreter makes of it."""
    return data if isinstance(data, Value) else running.interpreter.lift(data)
