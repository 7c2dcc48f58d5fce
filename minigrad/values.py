"""`Tensor`: an array that knows how it was made. Its operators are ops; this file holds what is not an op.

Imports the floors below, `mode` and `tape`. (Not called `tensor.py`: `mg.tensor` is a function.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from math import ceil, floor, trunc
from typing import Any, Self

import numpy as np
from numpy import ndarray

from minigrad import device as devices
from minigrad import numpy_calls, svg
from minigrad.arguments import flag, said, short
from minigrad.arraytype import ArrayType, converted, is_floating, show
from minigrad.core import OPS, as_value
from minigrad.errors import DeviceError, DtypeError, GradientError, MinigradError, MutationError, ShapeError
from minigrad.mode import mode, no_grad, quiet
from minigrad.numpy_calls import FUNCTIONS, INSTEAD, UFUNCS, WRITES
from minigrad.ops.operators import Operators
from minigrad.tape import Edge, Leaf, walk_back
from minigrad.tree import tree_map

Array = np.ndarray[Any, Any]
READABLE = 64  # numbers that a reader still takes in


class Tensor(Operators):
    """An array that knows how it was made. Values never change under a reader: `numpy()` gives a read-only view."""

    __slots__ = ("__weakref__", "_data", "edge", "name", "version")

    def __init__(self, data: Any, edge: Edge | None = None, version: list[int] | None = None) -> None:
        """Wrap an array without a copy; users call `mg.tensor`."""
        self._data = data if type(data) is ndarray else _as_array(data)
        self.edge = edge
        self.version = [0] if version is None else version  # shared by all views of the same memory
        self.name = ""

    # --- what it is ---

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Size of each axis."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:  # type: ignore[override]
        """Data type of the elements."""
        return self._data.dtype

    @property
    def device(self) -> str:  # type: ignore[override]
        """Where the values live."""
        return devices.home(self._data)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient can flow here."""
        return self.edge is not None

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        if self.edge is not None and not isinstance(self.edge[0], Leaf):
            raise GradientError(f"{self!r} was computed; only a leaf can be told to require a gradient. Use detach().")
        if on and not is_floating(self.dtype):
            raise DtypeError(f"only floats have gradients, not {self.dtype}. Use .astype(mg.float32) first.")
        if on and self.edge is None:
            self.edge = (Leaf(ArrayType(self.shape, self.dtype)), 0)
        elif not on:
            self.edge = None

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that `backward` added up here; None before the first, and always for a computed value."""
        return self.edge[0].grad if self.edge is not None and isinstance(self.edge[0], Leaf) else None

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if self.edge is None or not isinstance(self.edge[0], Leaf):
            if value is None:
                return
            raise GradientError(f"only a leaf made with requires_grad=True holds a gradient; {show(self)} is none.")
        if value is not None and not isinstance(value, Tensor):
            raise GradientError(f"a gradient is a Tensor or None, not {short(value)}. Use mg.tensor.")
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise ShapeError(f"the gradient of {show(self)} cannot be {show(value)}. Use .reshape, or .astype.")
        if value is not None and value.device != self.device:
            raise DeviceError(f"the gradient of a value on {self.device} cannot be on {value.device}.")
        self.edge[0].grad = value

    # --- the way out ---

    def numpy(self) -> Array:
        """The values as a read-only view, from another device as a copy; no gradient passes through it."""
        if mode.taken is not None and self.edge is not None and mode.recording:
            mode.taken()
        view = devices.put(self._data, "cpu").view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The only element, as a Python number; so `float(t)`, `round(t, 3)` and `f"{t:.3f}"`."""
        if self.size != 1:
            raise ShapeError(
                f"item(), a Python number and a format like .3f take one element, and {show(self)} has {self.size}. "
                "Use t.tolist(), or np.round(t.numpy(), 3)."
            )
        return self._data.item()

    def tolist(self) -> Any:
        """The values as a nest of lists of Python numbers."""
        return self.numpy().tolist()

    def detach(self) -> "Tensor":
        """The same values, cut off the tape."""
        return Tensor(self._data, version=self.version)

    def to(self, device: str) -> Self:
        """The same values on a device: itself if it is there; else a copy, through which gradients pass.

        Raises:
            DeviceError: if the device is not there.
        """
        device = devices.check_device(device)
        if type(self) is Plain and self.edge is None:
            return Tensor(devices.put(self._data, device), self.edge, self.version)  # type: ignore[return-value]
        return self if device == self.device else OPS["to"](self, device=device, source=self.device)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self._lose_no_gradient("turning this tensor into a NumPy array")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc in UFUNCS:
            return UFUNCS[ufunc](*inputs)
        call = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if method == "at" or any(isinstance(x, Tensor) for x in kwargs.get("out", ())):
            raise self._written_by(call)
        for x in inputs:
            if isinstance(x, Tensor):
                x._lose_no_gradient(call, INSTEAD.get(ufunc))
        return getattr(ufunc, method)(*(np.asarray(x) for x in inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in FUNCTIONS:
            return numpy_calls.call(function, args, kwargs)
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        if function in WRITES and isinstance(next(iter([*args, *kwargs.values()])), Tensor):
            raise self._written_by(name)

        def out(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            x._lose_no_gradient(name, INSTEAD.get(function))
            return x.numpy()

        return function(*tree_map(out, args), **tree_map(out, kwargs))

    def __dlpack__(self, **options: Any) -> Any:
        self._lose_no_gradient("DLPack")
        if self.device != "cpu":
            raise DeviceError(f"DLPack: {show(self)} is on {self.device}. Use t.to('cpu') first.")
        readonly = options.get("max_version") is not None
        return (self.numpy() if readonly else self._data.copy()).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1 if self.device == "cpu" else 2), 0  # DLPack's numbers for the CPU and for CUDA

    def _written_by(self, call: str) -> MutationError:
        return MutationError(f"{call} would write into {show(self)}. Use t[key] = value, which a gradient can follow.")

    def _lose_no_gradient(self, what: str, instead: str | None = None) -> None:
        if self.requires_grad and mode.recording:
            hint = f"Use {instead}; or t.detach()" if instead else "Use t.detach()"
            raise GradientError(f"{what} would lose its gradient ({show(self)}). {hint}, or t.numpy(), to say so.")

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"`if` and bool() take one element, and {show(self)} has {self.size}. To choose element by element use "
                "mg.where(condition, a, b); to ask about all of them, mg.any or mg.all."
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.size != 1 or self.dtype.kind not in "iu":
            raise TypeError(f"an index, a size or a count is one integer, not {show(self)}. Use int(t).")
        return int(self.item())

    def __round__(self, ndigits: int | None = None) -> Any:
        return round(self.item(), ndigits)

    def __trunc__(self) -> int:
        return trunc(self.item())

    def __floor__(self) -> int:
        return floor(self.item())

    def __ceil__(self) -> int:
        return ceil(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __contains__(self, value: Any) -> bool:
        return bool(OPS["equal"](self, value).numpy().any())

    def __repr__(self) -> str:
        text = np.array2string(self.detach().numpy(), separator=", ", prefix="tensor(")
        dtype = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        dtype += "" if self.device == "cpu" else f", device={self.device!r}"
        return f"tensor({text}{dtype}{', requires_grad=True' if self.requires_grad else ''})"

    def _repr_html_(self) -> str:
        """In a notebook: the type, and a heat map of a matrix or a curve of a vector that is too long to read."""
        about = f"{show(self)}{', requires_grad=True' if self.requires_grad else ''}"
        if self.size <= READABLE or self.ndim not in (1, 2) or self.dtype.kind not in "fiu":
            return f"<pre>{escape(repr(self))}</pre><code>{about}</code>"
        if self.ndim == 1:
            return svg.page(svg.curves(about, {"": (range(self.size), self.numpy().tolist())}, x="index"))
        thin = [svg.resample(row, 128) for row in self.numpy()[:: -(-len(self) // 64)].tolist()]
        return svg.page(svg.heat(about, thin, x="axis 1", y="axis 0", span=(0, len(self)), log=False))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        copied = type(self).__new__(type(self))
        Tensor.__init__(copied, self._data.copy())
        copied.name = self.name
        copied.requires_grad = self.requires_grad
        return copied

    # --- changing, and going back ---

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.requires_grad and (mode.recording or not isinstance(self.edge[0], Leaf)):  # type: ignore[index]
            raise MutationError(
                f"{show(self)} is part of a gradient's graph and cannot be changed in place. "
                "Use mg.where, or write within `with mg.no_grad():` if it is a leaf."
            )
        plain = tuple(k.numpy() if isinstance(k, Tensor) else k for k in (key if isinstance(key, tuple) else (key,)))
        if isinstance(value, Tensor):
            value._lose_no_gradient("writing this tensor into another one")
        if not getattr(self._data, "shadow", self._data).flags.writeable:
            raise MutationError(f"{show(self)} repeats elements (broadcast_to) and cannot be written. Copy it first.")
        try:
            array = value._data if isinstance(value, Tensor) else np.asarray(value)
            if array.dtype.kind not in "biuf":
                raise DtypeError(f"writing into {show(self)}: {short(value)} is not made of numbers.")
            if array.dtype != self.dtype:
                array = converted(f"writing into {show(self)}", devices.put(array, "cpu"), self.dtype)
            with self.writing() as data:
                data[plain] = devices.put(array, self.device)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            if isinstance(error, MinigradError):
                raise
            raise ShapeError(f"writing into {show(self)}: {said(error)}.") from None

    @contextmanager
    def writing(self) -> Iterator[Array]:
        """The memory itself, to be written to; a pending backward that needs the old values will refuse."""
        self.version[0] += 1
        yield self._data

    def backward(self, g: Any = None, *, retain_graph: bool = False) -> None:
        """Add the gradient of this value to `.grad` of every leaf it was made from.

        Args:
            g: cotangent of the same shape; may be left out for a single element.
            retain_graph: keep what the backward needed, so that it can be called again.

        Raises:
            GradientError: without a graph, with a used one, or for several elements without `g`.
            MutationError: if a value that the backward needs was changed.
        """
        if self.edge is None:
            raise GradientError(
                f"backward() from {show(self)}, which no op on a tensor with requires_grad=True made "
                "(or detach() or no_grad() cut it off). Make the weights with requires_grad=True."
            )
        if g is None and self.size != 1:
            raise GradientError(
                f"backward() from {show(self)} needs a cotangent of that shape: y.backward(g), or y.sum().backward()."
            )
        given = np.ones(self.shape, self.dtype) if g is None else as_value(g)._data  # of an array that is a copy
        cotangent = given.astype(self.dtype, copy=isinstance(g, Tensor))
        if cotangent.shape != self.shape:
            raise ShapeError(f"backward(g): g has shape {list(cotangent.shape)}, the value {list(self.shape)}.")
        cotangent = devices.put(cotangent, self.device)
        with no_grad(), quiet():
            for (leaf, _), found in walk_back(
                [(self.edge, Tensor(cotangent))], keep=flag("backward", "retain_graph", retain_graph)
            ).items():
                assert isinstance(leaf, Leaf)
                if leaf.is_gone:
                    raise MutationError(
                        "backward() came to a weight that was moved to another device, or replaced, after the forward "
                        "pass. Call backward() before that, or compute the value again."
                    )
                leaf.grad = found if leaf.grad is None else leaf.grad + found


def _as_array(data: Any) -> Any:
    """An array, of whatever device; of a scalar, which NumPy makes of an array of no dimensions, that array again."""
    if isinstance(data, ndarray) or hasattr(data, "run_op"):
        return data
    if not isinstance(data, np.generic):
        raise DtypeError(f"mg.Tensor wraps an array, not {short(data)}. Use mg.tensor for numbers.")
    return np.asarray(data)


class Plain(Tensor):
    """What ops make of data that is no Tensor, and of each other: it goes to whatever device it is needed on."""

    __slots__ = ()
