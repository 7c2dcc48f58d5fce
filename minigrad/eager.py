"""`Tensor`, and the eager interpreter that runs each op at once and writes it on the tape.

Imports the floors below and `tape`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from minigrad import device as devices
from minigrad.arraytype import SCALARS, ArrayType, check_dtype, is_floating, show
from minigrad.core import Interpreter, Op, _Running
from minigrad.errors import DtypeError, GradientError, MinigradError, MutationError, ShapeError
from minigrad.ops.operators import Operators
from minigrad.tape import Edge, Leaf, Node, walk_back

Array = np.ndarray[Any, Any]


class _Mode(threading.local):
    recording = True
    quiet = False


_mode = _Mode()


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Write ops on the tape within the block, or do not."""
    before, _mode.recording = _mode.recording, on
    try:
        yield
    finally:
        _mode.recording = before


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without writing a tape."""
    with recording(False):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Let NumPy keep its warnings about NaN and infinity to itself: once for many ops, since it takes a microsecond."""
    before, _mode.quiet = _mode.quiet, True
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _mode.quiet = before


def is_recording() -> bool:
    """Whether this thread writes a tape."""
    return _mode.recording


class Tensor(Operators):
    """An array that knows how it was made. Values never change under a reader: `numpy()` gives a read-only view."""

    __slots__ = ("__weakref__", "_data", "edge", "name", "version")

    def __init__(self, data: Array, edge: Edge | None = None, version: list[int] | None = None) -> None:
        """Wrap an array without a copy; users call `mg.tensor`."""
        self._data = data
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
    def device(self) -> str:
        """Where the values live."""
        return "cpu"

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
            raise GradientError("only a leaf made with requires_grad=True holds a gradient.")
        if value is not None and (value.shape, value.dtype) != (self.shape, self.dtype):
            raise ShapeError(f"the gradient of {show(self)} cannot be {show(value)}.")
        self.edge[0].grad = value

    # --- the way out ---

    def numpy(self) -> Array:
        """The values as a read-only view; no gradient passes through it."""
        view = self._data.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item() takes one element, {show(self)} has {self.size}.")
        return self._data.item()

    def detach(self) -> "Tensor":
        """The same values, cut off the tape."""
        return Tensor(self._data, version=self.version)

    def to(self, device: str) -> Self:
        """The same values on a device."""
        devices.check_device(device)
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        self._lose_no_gradient("turning this tensor into a NumPy array")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from minigrad.core import OPS

        name = {"true_divide": "divide", "power": "pow", "absolute": "abs"}.get(ufunc.__name__, ufunc.__name__)
        if method == "__call__" and not kwargs and name in OPS:
            return OPS[name](*inputs)
        if name == "matmul" and method == "__call__" and not kwargs:
            return inputs[0] @ inputs[1]
        call = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        for x in inputs:
            if isinstance(x, Tensor):
                x._lose_no_gradient(f"np.{call}")
        return getattr(ufunc, method)(*(np.asarray(x) for x in inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        import minigrad
        from minigrad.tree import tree_map

        ours = getattr(
            minigrad, {"concatenate": "concat", "transpose": "permute_dims"}.get(name := function.__name__, name), None
        )
        if callable(ours):
            return ours(*args, **kwargs)

        def out(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            x._lose_no_gradient(f"np.{name}")
            return x.numpy()

        return function(*tree_map(out, args), **tree_map(out, kwargs))

    def __dlpack__(self, **options: Any) -> Any:
        self._lose_no_gradient("DLPack")
        readonly = options.get("max_version") is not None
        return (self.numpy() if readonly else self._data.copy()).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def _lose_no_gradient(self, what: str) -> None:
        if self.requires_grad and _mode.recording:
            raise GradientError(
                f"{what} would lose its gradient ({show(self)}). Use t.detach(), or t.numpy(), to say so."
            )

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        return self._data.__index__()

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="tensor(")
        dtype = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        return f"tensor({text}{dtype}{', requires_grad=True' if self.requires_grad else ''})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        copied = type(self).__new__(type(self))
        Tensor.__init__(copied, self._data.copy())
        copied.name = self.name
        copied.requires_grad = self.requires_grad
        return copied

    # --- changing, and going back ---

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.requires_grad and (_mode.recording or not isinstance(self.edge[0], Leaf)):  # type: ignore[index]
            raise MutationError(
                f"{show(self)} is part of a gradient's graph and cannot be changed in place. "
                "Use mg.where, or write within `with mg.no_grad():` if it is a leaf."
            )
        plain = tuple(
            np.asarray(k) if isinstance(k, Tensor) else k for k in (key if isinstance(key, tuple) else (key,))
        )
        with self.writing() as data:
            data[plain] = value.numpy() if isinstance(value, Tensor) else value

    @contextmanager
    def writing(self) -> Iterator[Array]:
        """The memory itself, to be written to; a pending backward that needs the old values will refuse."""
        self.version[0] += 1
        yield self._data

    def backward(self, g: Any = None) -> None:
        """Add the gradient of this value to `.grad` of every leaf it was made from.

        Args:
            g: cotangent of the same shape; may be left out for a single element.

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
        cotangent = np.ones(self.shape, self.dtype) if g is None else np.array(g, dtype=self.dtype)
        if cotangent.shape != self.shape:
            raise ShapeError(f"backward(g): g has shape {list(cotangent.shape)}, the value {list(self.shape)}.")
        with no_grad(), quiet():
            for (leaf, _), found in walk_back([(self.edge, Tensor(cotangent))], keep=False).items():
                assert isinstance(leaf, Leaf)
                leaf.grad = found if leaf.grad is None else leaf.grad + found


class OpNode(Node):
    """One op call on the tape: the op, and those inputs and results that its rule names."""

    __slots__ = ("metadata", "op", "outs", "saved")

    def __init__(
        self, op: Op, inputs: list[Any], metadata: dict[str, Any], outs: tuple["Tensor", ...], edges: list[Edge | None]
    ) -> None:
        super().__init__(tuple(ArrayType(out._data.shape, out._data.dtype) for out in outs), edges)
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
        gs = [Tensor(np.zeros(t.shape, t.dtype)) if g is None else g for g, t in zip(gs, self.types, strict=True)]
        return self.op.vjp(gs, outs, *inputs, **self.metadata)  # type: ignore[misc]

    def release(self) -> None:
        super().release()
        self.saved = self.outs = None

    def _changed(self, which: str, x: "Tensor") -> MutationError:
        name = f"{x.name!r}, " if x.name else ""
        return MutationError(
            f"backward of {self.op.name}: its {which} ({name}{show(x)}) was changed after the forward pass, and the "
            "gradient needs the value it had. Call backward() before changing it, or compute the value again."
        )


class Eager(Interpreter):
    """Runs an op at once; writes it on the tape if an input requires a gradient."""

    def run(self, op: Op, inputs: tuple[Any, ...], metadata: dict[str, Any]) -> Any:
        values, arrays, first, traced = [], [], None, False
        for x in inputs:
            if type(x) not in SCALARS:
                x = x if isinstance(x, Tensor) else self.lift(x)
                first = x if first is None else first
                traced = traced or x.edge is not None
                arrays.append(x._data)
            else:
                arrays.append(x)
            values.append(x)
        if first is None:
            return self.run(op, tuple(self.lift(x) for x in inputs), metadata)
        try:
            if _mode.quiet:
                raw = op.forward(*arrays, **metadata)
            else:
                with np.errstate(all="ignore"):
                    raw = op.forward(*arrays, **metadata)
        except (ValueError, TypeError, IndexError) as error:
            if isinstance(error, MinigradError):
                raise
            op.type_rule(*values, **metadata)  # says more than NumPy, if the types are at fault
            raise DtypeError(f"{op.name} of {', '.join(show(x) for x in values)}: {error}.") from None
        outs = tuple([_wrap(r, arrays, first) for r in raw]) if op.multiple else (_wrap(raw, arrays, first),)
        if traced and _mode.recording and op.vjp is not None:
            if all([out._data.dtype.kind == "f" for out in outs]):
                edges = [x.edge if isinstance(x, Tensor) else None for x in values]
                node = OpNode(op, values, metadata, outs, edges)
                for i, out in enumerate(outs):
                    out.edge = (node, i)
        return outs if op.multiple else outs[0]

    def lift(self, data: Any) -> Tensor:
        return tensor(data)


def _wrap(raw: Any, arrays: list[Any], first: Tensor) -> Tensor:
    """A result as a Tensor; one that may share memory with an input shares its version too."""
    if type(raw) is not np.ndarray:
        return Tensor(np.asarray(raw))
    shares = raw.base is not None or any([raw is array for array in arrays])
    return Tensor(raw, None, first.version if shares else None)


_Running.default = Eager()


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Make a Tensor from numbers, nests of numbers, a NumPy array or a Tensor, always as a copy.

    Args:
        data: Python floats become float32, Python integers int64; arrays keep their dtype.
        dtype: another dtype to convert to.
        requires_grad: whether `backward` adds up a gradient here.
        device: "cpu".

    Raises:
        DtypeError: for float16, complex numbers, text, or `requires_grad` on anything but floats.
        ShapeError: for rows of different lengths.
    """
    devices.check_device(device)
    if isinstance(data, (Tensor, np.ndarray, np.generic)):
        array = data.numpy() if isinstance(data, Tensor) else data
        found = check_dtype(array.dtype if dtype is None else dtype)
        array = np.array(array, dtype=found, order="C")
    else:
        array = _from_python(data, dtype)
    made = Tensor(array)
    if requires_grad:
        made.requires_grad = True
    return made


def _from_python(data: Any, dtype: Any) -> Array:
    from minigrad.tree import flatten

    leaves, _ = flatten(data)
    if any(isinstance(x, Tensor) and x.requires_grad for x in leaves):
        raise GradientError("mg.tensor([...]) of tensors that require a gradient would lose it. Use mg.stack.")
    try:
        array = np.array(data if not leaves else _plain(data))
    except ValueError:
        raise ShapeError("mg.tensor: the rows of a nested list must all have the same length.") from None
    if dtype is None and array.dtype == np.float64 and not any(isinstance(x, (np.ndarray, np.generic)) for x in leaves):
        dtype = np.float32
    return array.astype(check_dtype(array.dtype if dtype is None else dtype))


def _plain(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return data.numpy() if isinstance(data, Tensor) else data
