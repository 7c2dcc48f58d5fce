"""Whether a cell changes something as it runs, or asks a clock: a trace runs it once for all steps, and would freeze
it.

Imports `errors` and `values`. Looked at before and after: random generators, the attributes of the cell and of what it
holds, the variables and globals that its functions use, lists, dicts and arrays among them. What changed is put back.

    with unchanged(cell): trace it      # TraceError: the cell changes self.t
"""

import dis
import io
import random as python_random
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from minigrad.errors import TraceError
from minigrad.values import Tensor

MOST = 10_000  # things that are looked at
LIBRARY = str(Path(dis.__file__).parent)
OTHERS = set("builtins minigrad numpy numba logging threading _thread _io".split())  # packages whose state is their own
CLOCKS = {"time", "_time", "datetime", "random", "secrets", "uuid"}
BEFORE = {"__init__", "__new__", "reset_parameters", "initial_carry"}  # have run before the first step: they may draw
OURS = "_minigrad"  # attributes of that name are the framework's own
Held = tuple[str, Callable[[], Any], Callable[[Any], Any]]  # what it is called; reads it; puts it back


@contextmanager
def unchanged(cell: Any) -> Iterator[None]:
    """Raise TraceError if the cell changes something within the block, or names a clock; put back what changed."""
    held = _Walk(cell).held
    before = [read() for _, read, _ in held]
    changed = ""
    try:
        yield
    finally:
        for (name, read, restore), old in zip(held, before, strict=True):
            if (where := _difference(old, read())) is not None:
                restore(old)
                changed = changed or name + where
    if changed:
        raise TraceError(f"it changes {changed} as it runs, and a trace runs it once for all steps")


class _Attributes(dict[str, Any]):
    """An object's, so that a message can say `.t`."""


def _difference(a: Any, b: Any) -> str | None:
    """Where something was put in the place of something, as it stands behind a name; None if nowhere."""
    if isinstance(a, _Attributes):
        changed = [k for k in {**a, **b} if k not in a or k not in b or not _same(a[k], b[k])]
        return f".{changed[0]}" if changed else None
    return None if _same(a, b) else ""


def _same(a: Any, b: Any) -> bool:
    """Whether nothing was put in the place of something, on one level."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)  # their order counts
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, (bool, int, float, str, bytes)) and repr(a) == repr(b)


class _Walk:
    """What a cell can reach, as a list of things to be held."""

    def __init__(self, cell: Any) -> None:
        self.held: list[Held] = []
        self.seen: set[int] = set()
        self.kept: list[Any] = []  # so that no id is given again
        legacy = np.random.mtrand._rand
        for name, generator in (("the random module's generator", python_random._inst),
                                ("NumPy's global random generator", legacy)):  # fmt: skip
            self.look(name, generator)
        todo = [("the cell", cell)]
        while todo and len(self.seen) < MOST:
            todo += self.look(*todo.pop())

    def look(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        """Hold a thing, and return what is inside it."""
        if id(thing) in self.seen or isinstance(thing, (str, bytes, int, float, type(None), np.dtype)):
            return []
        self.seen.add(id(thing))
        self.kept.append(thing)
        for kind, method in WAYS:
            if isinstance(thing, kind):
                return method(self, name, thing)
        if isinstance(thing, Iterator) and not isinstance(thing, io.IOBase):
            raise TraceError(f"it holds {name}, an iterator, which would stand still")
        return self._instance(name, thing)

    def _function(self, name: str, f: FunctionType) -> list[tuple[str, Any]]:
        if _package(f) in ("minigrad", "numpy"):
            return []
        inside: list[tuple[str, Any]] = []
        for word in _globals(f.__code__):
            if word not in f.__globals__:
                continue
            value = f.__globals__[word]
            _refuse_clock(word, value)
            if value is np and "default_rng" in f.__code__.co_names:
                raise TraceError(f"it uses {word}.random.default_rng, whose answer would be the same at each step")
            self.held.append((f"the global {word}", *_entry(f.__globals__, word)))
            inside.append((f"the global {word}", value))
        for word, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            inside += self._variable(word, cell)
        self.held.append((f.__name__, lambda: _own(vars(f)), lambda old: _put_back(vars(f), old)))
        defaults = [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values(), *vars(f).values()]
        return inside + [(f"a default of {f.__name__}", value) for value in defaults]

    def _variable(self, name: str, cell: CellType) -> list[tuple[str, Any]]:
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            return []
        _refuse_clock(name, value)
        self.held.append(
            (f"the variable {name}", lambda: cell.cell_contents, lambda old: setattr(cell, "cell_contents", old))
        )
        return [(f"the variable {name}", value)]

    def _instance(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        kind = type(thing)
        if _package(kind) in OTHERS:
            return []
        called = "self" if name == "the cell" else name
        inside: list[tuple[str, Any]] = []
        if isinstance(attributes := _peek(thing, "__dict__"), dict):
            self.held.append((called, lambda: _own(attributes), lambda old: _put_back(attributes, old)))
            inside += [(f"{called}.{key}", value) for key, value in _own(attributes).items()]
        for base in kind.__mro__:
            if _package(base) in ("builtins", "minigrad"):
                continue
            inside += self._class("", base)
            inside += [(f"{base.__name__}.{k}", v) for k, v in vars(base).items()
                       if isinstance(v, FunctionType) and name == "the cell" and k not in BEFORE]  # fmt: skip
            for key in (k for k, v in vars(base).items() if isinstance(v, MemberDescriptorType)):  # of its __slots__
                read = partial(_peek, thing, key)
                self.held.append((f"{called}.{key}", read, partial(setattr, thing, key)))
                inside.append((f"{called}.{key}", read()))
        return inside

    def _class(self, _name: str, kind: type) -> list[tuple[str, Any]]:
        """What all objects of a class share."""
        if _package(kind) in OTHERS or _is_installed(sys.modules.get(kind.__module__)):
            return []
        shared = [
            (k, v) for k, v in vars(kind).items()
            if not k.startswith("__") and not callable(v) and not hasattr(type(v), "__get__")
        ]  # fmt: skip
        for key, _ in shared:
            self.held.append((f"{kind.__name__}.{key}", partial(getattr, kind, key), partial(setattr, kind, key)))
        return [(f"{kind.__name__}.{key}", value) for key, value in shared]

    def _module(self, name: str, module: ModuleType) -> list[tuple[str, Any]]:
        """A module of the author's own: its variables."""
        if module.__name__.partition(".")[0] in OTHERS or _is_installed(module):
            return []
        space = vars(module)
        words = [k for k, v in space.items() if not k.startswith("__") and not callable(v)]
        for word in words:
            self.held.append((f"{module.__name__}.{word}", *_entry(space, word)))
        return [(f"{module.__name__}.{word}", space[word]) for word in words]

    def _bound(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        """A method of something written in C."""
        return [(name, thing.__self__)]

    def _buffer(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        self.held.append((name, lambda: thing[:], lambda old: thing.__setitem__(slice(None), old)))
        return []

    def _method(self, name: str, thing: MethodType) -> list[tuple[str, Any]]:
        return [("the cell", thing.__self__), (name, thing.__func__)]

    def _partial(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        return [(name, x) for x in (thing.func, *thing.args, *thing.keywords.values())]

    def _list(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        def restore(old: list[Any]) -> None:
            thing.clear()
            (thing.update if isinstance(thing, set) else thing.extend)(old)

        self.held.append((name, lambda: list(thing), restore))
        return [(f"{name}[{i}]", x) for i, x in enumerate(thing)]

    def _tuple(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        return [(f"{name}[{i}]", x) for i, x in enumerate(thing)]

    def _dict(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        def restore(old: dict[Any, Any]) -> None:
            thing.clear()
            thing.update(old)

        self.held.append((name, lambda: dict(thing), restore))
        return [(f"{name}[{key!r}]", x) for key, x in thing.items()]

    def _array(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        if thing.size < 1 << 24 and thing.flags.writeable:
            self.held.append((name, thing.copy, lambda old: np.copyto(thing, old)))
        return []

    def _tensor(self, name: str, thing: Tensor) -> list[tuple[str, Any]]:
        self.held.append((name, lambda: thing.version[0], lambda _old: None))
        return []

    def _generator(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        bits = thing if isinstance(thing, np.random.BitGenerator) else thing.bit_generator
        self.held.append((name, lambda: bits.state, partial(setattr, bits, "state")))
        return []

    def _legacy(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        self.held.append((name, thing.get_state, thing.set_state))
        return []

    def _python_random(self, name: str, thing: Any) -> list[tuple[str, Any]]:
        self.held.append((name, thing.getstate, thing.setstate))
        return []


WAYS: tuple[tuple[Any, Callable[..., list[tuple[str, Any]]]], ...] = (
    (FunctionType, _Walk._function),
    (MethodType, _Walk._method),
    (partial, _Walk._partial),
    (Tensor, _Walk._tensor),
    ((list, deque, set), _Walk._list),
    (tuple, _Walk._tuple),
    (dict, _Walk._dict),
    (np.ndarray, _Walk._array),
    ((np.random.Generator, np.random.BitGenerator), _Walk._generator),
    (np.random.RandomState, _Walk._legacy),
    (python_random.Random, _Walk._python_random),
    (ModuleType, _Walk._module),
    (BuiltinMethodType, _Walk._bound),
    ((bytearray, array), _Walk._buffer),
    (type, _Walk._class),
)


def _is_installed(module: Any) -> bool:
    """Whether a module is Python's own or a package's, and not the author's."""
    if module is None or module.__name__ == "__main__":
        return False
    file = getattr(module, "__file__", None) or LIBRARY
    return any(part in file for part in ("site-packages", "dist-packages", LIBRARY))


def _package(thing: Any) -> str:
    """The package that a function or class is of."""
    return str(thing.__module__).partition(".")[0]


def _peek(thing: Any, name: str) -> Any:
    """An attribute, or None where there is none, or where the author's own `__getattr__` fails."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _refuse_clock(name: str, value: Any) -> None:
    """Raise TraceError for a module whose functions answer differently each time, and for what is taken from it."""
    if isinstance(value, ModuleType):
        sources: set[Any] = {value.__name__}
    else:  # a function, or a method with what it is bound to
        owner = _peek(value, "__self__")
        sources = {_peek(value, "__module__"), _peek(owner, "__module__")} if callable(value) else set()
    if not CLOCKS.isdisjoint(sources) or value is np.random.default_rng:
        raise TraceError(f"it uses {name}, whose answer would be the same at each step")


def _globals(code: CodeType) -> list[str]:
    """The globals that a function and those within it name."""
    inner = [name for c in code.co_consts if isinstance(c, CodeType) for name in _globals(c)]
    mine = [i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "STORE_GLOBAL")]
    return list(dict.fromkeys([*mine, *inner]))


def _own(attributes: dict[str, Any]) -> _Attributes:
    return _Attributes((key, value) for key, value in attributes.items() if not key.startswith(OURS))


def _put_back(there: dict[Any, Any], old: dict[Any, Any]) -> None:
    for key in [key for key in there if key not in old and not str(key).startswith(OURS)]:
        del there[key]
    there.update(old)


def _entry(space: dict[str, Any], word: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    return (lambda: space.get(word)), (lambda old: space.__setitem__(word, old))
