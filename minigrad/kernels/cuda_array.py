"""`CudaArray`: an array on the GPU, a strided part of flat memory, as a NumPy array is.

Imports `device`, `gpu` and `core`. Views are NumPy's own: each array has a `shadow`, a NumPy array that lies in memory
which nobody reads just as this one lies in the GPU's, and a view of the shadow says where the view lies. What computes
is an op of the table, run by `cuda_ops.py`; NumPy's ufuncs and Python's operators are ops too.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minigrad.core import OPS, Op
from minigrad.device import put as on_device
from minigrad.errors import DeviceError, ShapeError
from minigrad.gpu import Memory

Numbers = np.ndarray[Any, Any]
UFUNCS = {"true_divide": "divide", "power": "pow", "absolute": "abs"}  # by other names in the table


class CudaArray(NDArrayOperatorsMixin):
    """Numbers on the GPU."""

    __slots__ = ("memory", "shadow")
    device = "cuda"
    run_op: Callable[..., Any]  # (op, arrays, metadata, out=None); `cuda_ops.py` puts it here

    def __init__(self, memory: Memory, shadow: Numbers) -> None:
        """Wrap a part of memory."""
        self.memory, self.shadow = memory, shadow

    # --- what it is ---

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shadow.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.shadow.dtype

    @property
    def ndim(self) -> int:
        return self.shadow.ndim

    @property
    def size(self) -> int:
        return self.shadow.size

    @property
    def is_contiguous(self) -> bool:
        """Whether its elements follow one another."""
        return self.shadow.flags.c_contiguous

    @property
    def offset(self) -> int:
        """Where it begins in its memory, in elements."""
        begins, base = (a.__array_interface__["data"][0] for a in (self.shadow, self.memory.base))
        return int(begins - base) // self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements."""
        return tuple(s // self.dtype.itemsize for s in self.shadow.strides)

    def __len__(self) -> int:
        return len(self.shadow)

    # --- the way out ---

    def numpy(self) -> Numbers:
        """A copy on the CPU; waits until it is computed."""
        if not self.size:
            return np.empty(self.shape, self.dtype)
        whole = self.packed()
        return whole.memory.read(whole.offset, self.size).reshape(self.shape)

    def item(self) -> Any:
        return self.numpy().item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Numbers:
        raise DeviceError(f"NumPy cannot read {self.dtype}{list(self.shape)} on device 'cuda'. Use t.numpy() first.")

    # --- views and copies ---

    def view(self, shadow: Numbers) -> "CudaArray":
        """The part of the same memory where a view of the shadow lies."""
        return CudaArray(self.memory, shadow)

    def __deepcopy__(self, memo: Any) -> "CudaArray":
        return self.copy()

    def __reduce__(self) -> Any:
        return on_device, (self.numpy(), self.device)

    def packed(self) -> "CudaArray":
        """Itself if its elements follow one another, else a copy."""
        return self if self.is_contiguous else self.copy()

    def copy(self) -> "CudaArray":
        return CudaArray.run_op(OPS["identity"], [self], {})

    def astype(self, dtype: Any, copy: bool = True) -> "CudaArray":
        if self.dtype == dtype:
            return self.copy() if copy else self
        return CudaArray.run_op(OPS["cast"], [self], {"dtype": np.dtype(dtype)})

    def sum(self, axis: int) -> "CudaArray":
        return CudaArray.run_op(OPS["sum"], [self], {"axes": (axis,), "keepdims": False})

    def reshape(self, *sizes: Any) -> "CudaArray":
        shape = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple) else sizes
        if -1 in shape:
            rest = prod(n for n in shape if n != -1)
            shape = tuple(self.size // max(rest, 1) if n == -1 else n for n in shape)
        try:
            return self.view(np.reshape(self.shadow, shape, copy=False))
        except ValueError:
            if prod(shape) != self.size:
                raise ShapeError(f"{self.size} elements do not fill shape {list(shape)}.") from None
            return self.copy().reshape(shape)

    @property
    def T(self) -> "CudaArray":
        return self.view(self.shadow.T)

    def __getitem__(self, key: Any) -> "CudaArray":
        """For integers, slices, None and `...`."""
        return self.view(self.shadow[key if has_dots(key) else (*as_key(key), ...)])

    def __setitem__(self, key: Any, value: Any) -> None:
        """The same keys; one with index arrays or a mask goes by way of the CPU."""
        if not all(is_basic(k) for k in as_key(key)):
            there = self.numpy()
            there[key] = value.numpy() if isinstance(value, CudaArray) else value
            key, value = ..., there
        to = self[key]
        if not isinstance(value, (bool, int, float)):
            value = value if isinstance(value, CudaArray) else put(np.asarray(value, self.dtype))
            while value.ndim > to.ndim and value.shape[0] == 1:
                value = value[0]
            value = value.view(np.broadcast_to(value.shadow, to.shape))  # says what does not fit
        CudaArray.run_op(OPS["identity"], [value], {}, out=to)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        op: Op | None = OPS.get(UFUNCS.get(ufunc.__name__, ufunc.__name__))
        if method != "__call__" or options or op is None:
            raise DeviceError(f"np.{ufunc.__name__} does not run on device 'cuda'. Use minigrad's functions.")
        plain = [x.item() if isinstance(x, np.generic) else x for x in inputs]
        return CudaArray.run_op(op, plain, {}, out=None if out is None else out[0])


def has_dots(key: Any) -> bool:
    """Whether `...` stands in a key."""
    return any(k is Ellipsis for k in as_key(key))


def is_basic(part: Any) -> bool:
    """Whether a part of a key is an integer, a slice, None or `...`."""
    if isinstance(part, (int, np.integer)):
        return not isinstance(part, (bool, np.bool_))
    return part is None or part is Ellipsis or isinstance(part, slice)


def as_key(key: Any) -> tuple[Any, ...]:
    """A key as a tuple."""
    return key if isinstance(key, tuple) else (key,)


def empty(shape: Any, dtype: Any) -> CudaArray:
    """An array of whatever numbers lie there."""
    shape, dtype = (shape if isinstance(shape, tuple) else (shape,)), np.dtype(dtype)
    memory = Memory(prod(shape), dtype)
    return CudaArray(memory, memory.base.reshape(shape))


def zeros(shape: Any, dtype: Any) -> CudaArray:
    """An array of zeros."""
    made = empty(shape, dtype)
    made[...] = 0
    return made


def put(array: Numbers) -> CudaArray:
    """A copy of a NumPy array on the GPU."""
    made = empty(array.shape, array.dtype)
    if array.size:
        made.memory.write(array)
        if array.dtype.kind in "iu":
            made.memory.span = int(array.min()), int(array.max())
    return made
