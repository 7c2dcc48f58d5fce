"""The eager interpreter: it runs each op at once, and writes it on the tape if a gradient is wanted.

Imports the floors below, `mode`, `tape` and `values`.
"""

from typing import Any

import numpy as np
from numpy import ndarray

from minigrad import device as devices
from minigrad.arguments import flag, said, short
from minigrad.arraytype import SCALARS, ArrayType, check_dtype, converted, holds, show
from minigrad.core import Interpreter, Op, make_default
from minigrad.errors import DeviceError, DtypeError, GradientError, MinigradError, MutationError, ShapeError
from minigrad.mode import mode, recording
from minigrad.tape import Edge, Node
from minigrad.tree import flatten
from minigrad.values import Plain, Tensor

Array = np.ndarray[Any, Any]
INT64, UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


class OpNode(Node):
    """One op call on the tape: the op, and those inputs and results that its rule names."""

    __slots__ = ("metadata", "op", "outs", "saved")

    def __init__(
        self, op: Op, inputs: list[Any], metadata: dict[str, Any], outs: tuple[Tensor, ...], edges: list[Edge | None]
    ) -> None:
        super().__init__(tuple([ArrayType(out._data.shape, out._data.dtype) for out in outs]), edges)
        self.op, self.metadata = op, metadata
        self.saved: Any = [
            (x, x.version[0])
            if isinstance(x, Tensor) and op.keeps_input(i)
            else (ArrayType(x._data.shape, x._data.dtype) if isinstance(x, Tensor) else x, None)
            for i, x in enumerate(inputs)
        ]
        # Not the results themselves: they refer to the node, and the circle would keep the memory.
        self.outs: Any = [(out._data, out.version, out.version[0]) for out in outs] if op.keeps_output else None

    def pull(self, gs: list[Any]) -> tuple[Any, ...]:
        for i, (x, version) in enumerate(self.saved):
            if version is not None and x.version[0] != version:
                raise self._changed(f"input {i}", x)
        outs: Any = None
        if self.outs is not None:
            outs = [Tensor(data, (self, i), version) for i, (data, version, _) in enumerate(self.outs)]
            for out, (_, version, count) in zip(outs, self.outs, strict=True):
                if version[0] != count:
                    raise self._changed("result", out)
        inputs = [x for x, _ in self.saved]
        if not self.op.multiple:
            return self.op.vjp(gs[0], outs and outs[0], *inputs, **self.metadata)  # type: ignore[misc]
        gs = [Plain(np.zeros(t.shape, t.dtype)) if g is None else g for g, t in zip(gs, self.types, strict=True)]
        return self.op.vjp(gs, outs, *inputs, **self.metadata)  # type: ignore[misc]

    def release(self) -> None:
        super().release()
        self.saved = self.outs = None

    def _changed(self, which: str, x: Tensor) -> MutationError:
        name = f"{x.name!r}, " if x.name else ""
        return MutationError(
            f"backward of {self.op.name}: its {which} ({name}{show(x)}) was changed after the forward pass, and the "
            "gradient needs the value it had. Call backward() before changing it, or compute the value again."
        )


class Eager(Interpreter):
    """Runs an op at once; writes it on the tape if an input requires a gradient."""

    def run(self, op: Op, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Any:
        values, arrays, first, traced, away = [], [], None, False, None
        made: type[Tensor] = Plain
        for x in inputs:
            if type(x) not in SCALARS:
                x = x if isinstance(x, Tensor) else self.lift(x)
                data = x._data
                first = x if first is None else first
                traced = traced or x.edge is not None
                if type(x) is not Plain:
                    made = Tensor
                if type(data) is not ndarray:
                    away = x
                arrays.append(data)
            else:
                arrays.append(x)
            values.append(x)
        if first is None:
            return self.run(op, tuple(self.lift(x) for x in inputs), metadata)
        if away is not None:
            values = together(op.name, values, away)
            arrays = [x._data if isinstance(x, Tensor) else x for x in values]
        try:
            if away is not None:
                raw = _run_away(op, values, arrays, metadata)
            elif mode.quiet:
                raw = op.forward(*arrays, **metadata)
            else:
                with np.errstate(all="ignore"):
                    raw = op.forward(*arrays, **metadata)
        except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
            if isinstance(error, MinigradError):
                raise
            op.type_rule(*values, **metadata)  # says more than NumPy, if the types are at fault
            kind = DtypeError if isinstance(error, (TypeError, OverflowError)) else ShapeError
            raise kind(f"{op.name} of {', '.join(show(x) for x in values)}: {said(error)}.") from None
        outs = (
            tuple([_wrap(r, arrays, first, made) for r in raw]) if op.multiple else (_wrap(raw, arrays, first, made),)
        )
        if traced and mode.recording and op.vjp is not None:
            if all([out._data.dtype.kind == "f" for out in outs]):
                edges = [x.edge if isinstance(x, Tensor) else None for x in values]
                node = OpNode(op, values, metadata, outs, edges)
                for i, out in enumerate(outs):
                    out.edge = (node, i)
        return outs if op.multiple else outs[0]

    def lift(self, data: Any) -> Tensor:
        return plain(data)

    def make(self, array: Array, device: str | None) -> Tensor:
        return Tensor(devices.put(array, devices.check_device(device)))


def plain(data: Any) -> Tensor:
    """Data as ops take it: a Tensor as it is, other data as a Tensor that goes where it is needed."""
    return data if isinstance(data, Tensor) else Plain(tensor(data)._data)


def together(where: str, values: list[Any], away: Tensor) -> list[Any]:
    """Values beside one on another device: plain data goes there, a Tensor that lives elsewhere is refused."""
    found = []
    for x in values:
        if isinstance(x, Tensor) and x.device != away.device:
            if type(x) is not Plain or x.edge is not None:
                raise DeviceError(
                    f"{where}: {show(x)} is on {x.device}, {show(away)} on {away.device}. "
                    f"Use .to({away.device!r}) on the first."
                )
            x = Tensor(devices.put(x._data, away.device))
        found.append(x)
    return found


def _run_away(op: Op, values: list[Any], arrays: list[Any], metadata: dict[str, Any]) -> Any:
    """What an op gives on another device; where that has no kernel for it, what simpler ops give."""
    device = next(x for x in arrays if not isinstance(x, np.ndarray) and type(x) not in SCALARS)
    raw = device.run_op(op, arrays, metadata)
    if raw is not NotImplemented:
        return raw
    assert op.expand is not None, f"op {op.name} has no kernel for device {device.device!r}"
    with recording(False):
        out = op.expand(*(x.detach() if isinstance(x, Tensor) else x for x in values), **metadata)
    return out._data.astype(op.type_rule(*values, **metadata).dtype, copy=False)


def _wrap(raw: Any, arrays: list[Any], first: Tensor, kind: type[Tensor]) -> Tensor:
    """A result as a Tensor; one that may share memory with an input shares its version too."""
    if type(raw) is ndarray:
        shares = raw.base is not None and type(first._data) is ndarray
        for array in arrays:  # any() takes twice as long
            shares = shares or raw is array
    elif isinstance(raw, np.generic):
        return kind(np.asarray(raw))
    else:
        shares = any([raw.memory is getattr(array, "memory", None) for array in arrays])
    return kind(raw, None, first.version if shares else None)


make_default(Eager())


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Make a Tensor from numbers, nests of numbers, a NumPy array or a Tensor, always as a copy.

    Args:
        data: Python floats become float32, Python integers int64; arrays keep their dtype.
        dtype: another dtype to convert to; fractions are cut off.
        requires_grad: whether `backward` adds up a gradient here.
        device: "cpu" or "cuda"; `None` is the device of a given Tensor, else the CPU.

    Raises:
        DeviceError: if the device is not there.
        DtypeError: for float16, complex numbers, text, integers that `dtype` cannot hold, or `requires_grad` on
            anything but floats.
        ShapeError: for rows of different lengths, or more elements than memory holds.
    """
    device = data.device if device is None and isinstance(data, Tensor) else devices.check_device(device)
    if isinstance(data, (Tensor, np.ndarray, np.generic)):
        array = data.numpy() if isinstance(data, Tensor) else data
        found = array.dtype
    else:
        array, found = _from_python(data)
    if dtype is None or found.kind not in "biuf":
        dtype = check_dtype(found)
    elif found != (dtype := check_dtype(dtype)):
        array = converted("mg.tensor", np.asarray(array), dtype)
    try:
        made = Tensor(devices.put(np.array(array, dtype=dtype, order="C"), device))
    except MemoryError:
        raise ShapeError(f"mg.tensor: {short(data)} does not fit into memory.") from None
    if flag("mg.tensor", "requires_grad", requires_grad):
        made.requires_grad = True
    return made


def _from_python(data: Any) -> tuple[Any, np.dtype[Any]]:
    """Numbers, or a nest of them, as an array; and the dtype to give it, if nobody asks for another."""
    leaves, _ = flatten(data)
    if any(isinstance(x, Tensor) and x.requires_grad for x in leaves):
        raise GradientError("mg.tensor([...]) of tensors that require a gradient would lose it. Use mg.stack.")
    try:
        array = np.array(data if not leaves else _plain(data))
    except ValueError:
        raise ShapeError("mg.tensor: the rows of a nested list must all have the same length.") from None
    except (TypeError, OverflowError, RuntimeError, MemoryError) as error:
        raise DtypeError(f"mg.tensor of {short(data)}: {said(error)}. Give it numbers, or an array of them.") from None
    if array.dtype.kind in "fO" and (wide := [x for x in leaves if type(x) is int and not holds(INT64, x)]):
        if not all(type(x) is int and holds(UINT64, x) for x in leaves):
            raise DtypeError(f"mg.tensor: int64 does not hold {short(wide[0])}. Use floats.")
        array = np.array(data, UINT64)
    if array.dtype.kind == "O":
        odd = next((x for x in leaves if type(x) not in SCALARS), data)
        raise DtypeError(f"mg.tensor takes numbers (bool, integers, float32, float64) and arrays, not {short(odd)}.")
    is_python = array.dtype == np.float64 and all(type(x) in SCALARS for x in leaves)
    return array, np.dtype(np.float32) if is_python else array.dtype


def _plain(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return data.numpy() if isinstance(data, Tensor) else data
